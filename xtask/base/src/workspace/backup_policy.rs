//! The backup policy as data: the front matter of database/backups/backup-policy.md. `default` holds for every
//! environment, a block under `environments` changes what differs. Reading collects every problem of the file.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;

use super::Workspace;
use super::yaml::{self, Fields, Node, Value};
use crate::tools::files;
use crate::ui::{Failure, Finding, Place, has_errors, suggest};

/// What holds for one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupPolicy {
    /// The newest backup of each of the last N days is kept.
    pub keep_daily: u32,
    /// The newest backup of each of the last N weeks is kept.
    pub keep_weekly: u32,
    /// When the newest backup is older, it counts as missing.
    pub max_age: Duration,
    /// How often a backup is restored into a scratch database.
    pub verify_every: Duration,
    /// Parallel jobs of pg_dump and pg_restore.
    pub jobs: u32,
}

/// Where a block says nothing and `default` neither.
const FALLBACK: BackupPolicy = BackupPolicy {
    keep_daily: 7,
    keep_weekly: 4,
    max_age: Duration::from_secs(7 * 86_400),
    verify_every: Duration::from_secs(30 * 86_400),
    jobs: 2,
};

impl BackupPolicy {
    /// The policy of an environment, or exit 2 with all findings.
    pub fn load(workspace: &Workspace, environment: &str) -> Result<BackupPolicy> {
        let path = workspace.backup_policy();
        let file = workspace.relative(&path);
        let (policy, findings) = match files::read(&path)? {
            Some(text) => read(workspace, file, &text, environment),
            None => {
                let place = Place { file: file.to_owned(), line: 1, column: 1 };
                let finding = Finding::error("the file is missing: it says which backups are made and kept").at(place);
                (FALLBACK, vec![finding])
            }
        };
        if has_errors(&findings) {
            return Err(Failure::configuration(&format!("{file} cannot be used"), findings).into());
        }
        Ok(policy)
    }
}

/// The lines between the first two `---`; the first is replaced by an empty one, so that places stay right.
fn front_matter(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let mut matter = String::from("\n");
    for line in lines {
        if line.trim_end() == "---" {
            return Some(matter);
        }
        matter.push_str(line);
        matter.push('\n');
    }
    None
}

fn read(workspace: &Workspace, file: &Utf8Path, text: &str, environment: &str) -> (BackupPolicy, Vec<Finding>) {
    let mut findings = Vec::new();
    let Some(matter) = front_matter(text) else {
        let place = Place { file: file.to_owned(), line: 1, column: 1 };
        let finding = Finding::error("the file has no front matter: the numbers between two lines `---` at its start");
        return (FALLBACK, vec![finding.at(place)]);
    };
    let node = match yaml::parse(file, &matter) {
        Ok(node) => node,
        Err(findings) => return (FALLBACK, findings),
    };
    let policy = (|| {
        let mut fields = Fields::new(file, &node, "the policy", &mut findings)?;
        let default = fields.need("default", &mut findings);
        let environments = fields.get("environments");
        fields.finish(&mut findings);
        let mut policy = block(file, default?, "`default`", FALLBACK, &mut findings);
        let known = workspace.environment_names();
        let blocks = Fields::new(file, environments?, "`environments`", &mut findings).map(|fields| fields.entries());
        let default = policy;
        for (key, name, value) in blocks.unwrap_or_default() {
            if !known.contains(name) {
                let hint = suggest::did_you_mean(name, known.iter().map(String::as_str));
                let finding = Finding::error(format!("unknown environment `{name}`")).at(key.place(file));
                findings.push(finding.hint(hint));
            }
            let its = block(file, value, &format!("`{name}`"), default, &mut findings);
            if name == environment {
                policy = its;
            }
        }
        Some(policy)
    })();
    let policy = match (policy, &node.value) {
        (Some(policy), _) => policy,
        // No `environments`: the default holds for all; its own problems are told already.
        (None, Value::Map(entries)) => {
            let default = entries.iter().find(|(_, key, _)| key == "default").map(|(_, _, value)| value);
            default.map_or(FALLBACK, |node| block(file, node, "`default`", FALLBACK, &mut Vec::new()))
        }
        (None, _) => FALLBACK,
    };
    (policy, findings)
}

/// One block over what holds without it.
fn block(file: &Utf8Path, node: &Node, what: &str, base: BackupPolicy, findings: &mut Vec<Finding>) -> BackupPolicy {
    let Some(mut fields) = Fields::new(file, node, what, findings) else { return base };
    let mut number = |key: &'static str, least: i64, base: u32, findings: &mut Vec<Finding>| {
        let node = fields.get(key);
        let value = node.and_then(|node| yaml::int(file, node, "a whole number", least..=1000, findings));
        value.and_then(|value| u32::try_from(value).ok()).unwrap_or(base)
    };
    let keep_daily = number("keep_daily", 0, base.keep_daily, findings);
    let keep_weekly = number("keep_weekly", 0, base.keep_weekly, findings);
    let jobs = number("jobs", 1, base.jobs, findings);
    let max_age = fields.get("max_age").and_then(|node| duration(file, node, findings)).unwrap_or(base.max_age);
    let every = fields.get("verify_every").and_then(|node| duration(file, node, findings));
    fields.finish(findings);
    BackupPolicy { keep_daily, keep_weekly, max_age, verify_every: every.unwrap_or(base.verify_every), jobs }
}

fn duration(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Duration> {
    yaml::duration(file, node, "90m, 26h or 7d", findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_file_of_this_workspace() {
        let workspace = Workspace::find(None).unwrap();
        let dev = BackupPolicy::load(&workspace, "dev").unwrap();
        assert_eq!((dev.keep_daily, dev.keep_weekly, dev.jobs), (3, 0, 2));
        let production = BackupPolicy::load(&workspace, "production").unwrap();
        assert_eq!((production.max_age, production.verify_every), (DAY * 26 / 24, DAY * 7));
        assert_eq!(BackupPolicy::load(&workspace, "elsewhere").unwrap().max_age, DAY * 7);
    }

    #[test]
    fn every_problem_has_its_place() {
        let workspace = Workspace::find(None).unwrap();
        let problems = |text: &str| {
            let (_, findings) = read(&workspace, Utf8Path::new("p.md"), text, "dev");
            findings.iter().map(Finding::line).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(problems("---\ndefault: {keep_daily: 1}\n---\n"), "");
        assert!(problems("# no numbers\n").contains("p.md:1:1: error: the file has no front matter"));
        assert!(problems("---\ndefault: {}\n").contains("no front matter"));
        expect_test::expect![[r#"
            p.md:2:23: error: expected a whole number, found `-1`
            p.md:2:36: error: expected a duration such as 90m, 26h or 7d, found `7`
            p.md:4:3: error: unknown environment `dve`
            p.md:4:9: error: unknown key `keep` in `dve`"#]]
        .assert_eq(&problems("---\ndefault: {keep_daily: -1, max_age: 7}\nenvironments:\n  dve: {keep: 1}\n---\n"));
    }
}
