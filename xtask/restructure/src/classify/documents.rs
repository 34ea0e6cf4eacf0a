//! What a document is for: a runbook, a guide, architecture, troubleshooting, or a record of what was done.

use super::class::{Class, words};
use super::{Role, Verdict, verdict};
use crate::path::RelPath;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    Runbook,
    Guide,
    Architecture,
    Troubleshooting,
    /// Tells what was done or planned at a time; nobody follows it any more.
    Record,
}

impl Document {
    /// Its folder below docs/.
    pub fn folder(self) -> &'static str {
        match self {
            Document::Runbook => "runbooks",
            Document::Guide => "guides",
            Document::Architecture => "architecture",
            Document::Troubleshooting => "troubleshooting",
            Document::Record => "records",
        }
    }
}

const RUNBOOKS: &[&str] = &[
    "runbook",
    "runbooks",
    "playbook",
    "playbooks",
    "incident",
    "incidents",
    "rollback",
    "recovery",
    "oncall",
    "failover",
    "disaster",
    "procedure",
    "procedures",
    "sop",
    "emergency",
    "escalation",
];
const TROUBLES: &[&str] = &[
    "troubleshooting",
    "troubleshoot",
    "debugging",
    "debug",
    "faq",
    "errors",
    "error",
    "issues",
    "problems",
    "diagnosis",
    "fix",
    "fixes",
];
const ARCHITECTURE: &[&str] = &[
    "architecture",
    "architectural",
    "design",
    "adr",
    "adrs",
    "diagram",
    "diagrams",
    "schema",
    "dataflow",
    "structure",
    "overview",
    "model",
    "topology",
    "spec",
    "specification",
    "rfc",
    "infrastructure",
    "reference",
];
const RECORDS: &[&str] = &[
    "complete",
    "completed",
    "completion",
    "summary",
    "summaries",
    "progress",
    "report",
    "reports",
    "audit",
    "results",
    "result",
    "findings",
    "changelog",
    "postmortem",
    "retrospective",
    "minutes",
    "todo",
    "roadmap",
    "plan",
    "plans",
    "fixed",
    "applied",
    "executed",
    "final",
    "crosscheck",
    "analysis",
    "status",
    "success",
    "done",
    "phase",
    "sprint",
    "milestone",
    "update",
];
const GUIDES: &[&str] = &[
    "guide",
    "guides",
    "howto",
    "tutorial",
    "quickstart",
    "quick",
    "start",
    "setup",
    "install",
    "installation",
    "usage",
    "onboarding",
    "getting",
    "manual",
    "deploy",
    "deployment",
    "instructions",
    "development",
    "contributing",
    "runtime",
    "testing",
    "monitoring",
    "alerting",
    "checks",
    "checklist",
];

pub fn verdict_of(path: &RelPath) -> Verdict {
    let name = String::from_utf8_lossy(path.name()).into_owned();
    let own = words(name.split('.').next().unwrap_or_default());
    let folders: Vec<String> =
        path.parent().unwrap_or_default().parts().flat_map(|part| words(&String::from_utf8_lossy(part))).collect();
    let score = |names: &[&str]| {
        let count = |list: &[String]| list.iter().filter(|word| names.contains(&word.as_str())).count();
        count(&own) * 2 + count(&folders)
    };
    // The last word of a name says what it is, the ones before what it is about.
    let last = own.iter().rfind(|word| !word.chars().all(|c| c.is_ascii_digit())).map_or("", String::as_str);
    let kinds = [
        (Document::Runbook, RUNBOOKS),
        (Document::Troubleshooting, TROUBLES),
        (Document::Guide, GUIDES),
        (Document::Architecture, ARCHITECTURE),
        (Document::Record, RECORDS),
    ];
    let scored = kinds.map(|(kind, names)| (kind, score(names) + 3 * usize::from(names.contains(&last))));
    let Some((kind, most)) = scored.into_iter().max_by_key(|(_, score)| *score).filter(|(_, score)| *score > 0) else {
        return verdict(Class::Docs, 0.55, "is a document", Role::Document(Document::Guide));
    };
    let confidence = if most >= 3 { 0.85 } else { 0.7 };
    match kind {
        Document::Record => verdict(
            Class::Archive,
            confidence,
            format!("tells what was done or planned: `{}`", crate::path::shown(path.name())),
            Role::Document(Document::Record),
        ),
        kind => verdict(
            Class::Docs,
            confidence,
            format!("is a document of the kind {}", kind.folder()),
            Role::Document(kind),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_documents() {
        let kind = |name: &str| match verdict_of(&RelPath::new(name).unwrap()).role {
            Role::Document(kind) => kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind("docs/rollback-runbook.md"), Document::Runbook);
        assert_eq!(kind("operations-docs/monitoring/ALERTING.md"), Document::Guide);
        assert_eq!(kind("MIGRATION_COMPLETE.md"), Document::Record);
        assert_eq!(kind("PHASE2_PROGRESS.md"), Document::Record);
        assert_eq!(kind("DEPLOYMENT_GUIDE.md"), Document::Guide);
        assert_eq!(kind("docs/ARRAY_TYPE_FIX.md"), Document::Troubleshooting);
        assert_eq!(kind("docs/architecture/overview.md"), Document::Architecture);
        assert_eq!(kind("anything.md"), Document::Guide);
    }
}
