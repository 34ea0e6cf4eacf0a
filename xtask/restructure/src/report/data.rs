//! The same as JSON, one object.

use serde_json::{Value, json};

use super::{Report, percent};
use crate::classify::Class;
use crate::plan::{Act, Copy, Item};
use crate::references::Reference;
use crate::tree::{Closed, FileId, Git, Kind};

pub fn scan(report: &Report) -> Value {
    let scan = report.scan;
    let tree = &scan.tree;
    let counts = report.counts();
    let references = report.references();
    let of = |name: &str| references.get(name).map_or(&[][..], Vec::as_slice);
    let groups: Vec<Value> = scan
        .groups
        .iter()
        .map(|group| {
            let files: Vec<String> = group.files.iter().map(|id| report.shown_id(*id)).collect();
            json!({"sha256": base::tools::hash::hex(&group.digest), "size": group.size, "files": files})
        })
        .collect();
    json!({
        "folder": tree.root().join(report.folder.utf8().unwrap_or_default()).as_str(),
        "counts": {
            "files": counts.files, "folders": counts.folders, "links": counts.links, "special": counts.special, "bytes": counts.bytes,
            "executable": counts.executable, "empty": counts.empty, "languages": counts.languages, "made": counts.made,
        },
        "duplicates": {
            "groups": scan.groups.len(),
            "redundant": scan.groups.iter().map(|group| group.redundant()).sum::<usize>(),
            "bytes": scan.groups.iter().map(|group| group.size * group.redundant() as u64).sum::<u64>(),
            "list": groups,
            "folders": scan.folders.iter().map(|group| json!({
                "files": group.files,
                "folders": group.folders.iter().map(|folder| report.shown(folder)).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        },
        "overlaps": scan.overlaps.iter().map(|overlap| json!({
            "a": report.shown(&overlap.a), "b": report.shown(&overlap.b), "files_a": overlap.files_a, "files_b": overlap.files_b,
            "shared_a": overlap.shared_a, "shared_b": overlap.shared_b, "same_path": overlap.same_path,
            "percent_a": percent(overlap.shared_a, overlap.files_a), "percent_b": percent(overlap.shared_b, overlap.files_b),
        })).collect::<Vec<_>>(),
        "near": scan.near.iter().map(|near| json!({
            "a": report.shown_id(near.a), "b": report.shown_id(near.b), "similarity": (near.similarity * 1000.0).round() / 1000.0,
        })).collect::<Vec<_>>(),
        "references": {
            "total": references.values().map(Vec::len).sum::<usize>(),
            "resolved": of("resolved").len(), "runtime": of("runtime").len(), "external": of("external").len(),
            "broken": of("broken").iter().map(|reference| place(report, reference)).collect::<Vec<_>>(),
            "ambiguous": of("ambiguous").iter().map(|reference| place(report, reference)).collect::<Vec<_>>(),
        },
        "units": scan.units.iter().flat_map(|(_, units)| &units.units).map(|unit| json!({"folder": report.shown(&unit.root), "why": unit.why})).collect::<Vec<_>>(),
        "closed": report.ids().filter_map(|id| {
            let closed = tree.entry(id).closed.as_ref()?;
            Some(json!({"folder": report.shown_id(id), "why": why_closed(closed)}))
        }).collect::<Vec<_>>(),
        "unreadable": report.ids().filter_map(|id| {
            let error = scan.facts[id.index()].as_ref()?.unreadable.as_ref()?;
            Some(json!({"file": report.shown_id(id), "error": error}))
        }).collect::<Vec<_>>(),
        "secrets": report.ids().flat_map(|id| secrets(report, id)).collect::<Vec<_>>(),
        "syntax": report.syntax.map(|syntax| json!({
            "parsed": syntax.states.len(),
            "broken": syntax.broken().iter().map(|(id, line, message)| json!({"file": report.shown_id(*id), "line": line, "message": message})).collect::<Vec<_>>(),
            "without_parser": syntax.without_parser.iter().map(|(language, count)| (language.name(), *count)).collect::<std::collections::BTreeMap<_, _>>(),
        })),
        "files": report.ids().filter_map(|id| file(report, id)).collect::<Vec<_>>(),
    })
}

fn place(report: &Report, reference: &Reference) -> Value {
    json!({
        "file": report.shown_id(reference.file), "line": reference.line, "column": reference.column,
        "text": crate::path::shown(&reference.text), "kind": reference.kind.name(), "read_from": reference.base.why,
    })
}

pub fn secrets(report: &Report, id: FileId) -> Vec<Value> {
    let facts = report.scan.facts[id.index()].as_ref();
    let secrets = facts.map_or(&[][..], |facts| facts.secrets.as_slice());
    secrets
        .iter()
        .map(|secret| json!({"file": report.shown_id(id), "line": secret.line, "kind": secret.kind}))
        .collect()
}

fn file(report: &Report, id: FileId) -> Option<Value> {
    let entry = report.scan.tree.entry(id);
    let facts = report.scan.facts[id.index()].as_ref();
    let (kind, target) = match &entry.kind {
        Kind::File => ("file", None),
        Kind::Symlink(target) => ("link", Some(crate::path::shown(target))),
        Kind::Other => ("special", None),
        Kind::Folder => return None,
    };
    Some(json!({
        "path": report.shown_id(id), "kind": kind, "target": target, "size": entry.size, "mode": format!("{:o}", entry.mode),
        "executable": entry.is_executable(), "git": git(entry.git),
        "sha256": report.scan.tree.digest(id).ok().filter(|_| entry.is_file()).map(|digest| base::tools::hash::hex(&digest)),
        "language": facts.map(|facts| facts.language.name()), "lines": facts.map(|facts| facts.lines),
        "made": facts.and_then(|facts| facts.made).map(|made| made.name()),
    }))
}

pub fn git(git: Git) -> Option<&'static str> {
    match git {
        Git::Tracked => Some("tracked"),
        Git::Untracked => Some("untracked"),
        Git::Ignored => Some("ignored"),
        Git::Outside => None,
    }
}

pub fn why_closed(closed: &Closed) -> String {
    match closed {
        Closed::Repository => "a repository of its own".to_owned(),
        Closed::Ignored => "ignored by git, made at run time".to_owned(),
        Closed::Dependencies => "installed dependencies or a cache".to_owned(),
        Closed::Data => "the data of a database server".to_owned(),
        Closed::State => "state of this program".to_owned(),
        Closed::Unreadable(error) => format!("cannot be read: {error}"),
    }
}

/// A plan with the decision about every single file.
pub fn plan(report: &Report) -> Value {
    let Some(made) = report.made else { return Value::Null };
    let options = &made.plan.options;
    json!({
        "folder": options.folder.as_str(), "into": options.into.as_str(), "period": options.period, "keep_scripts": options.keep_scripts,
        "readmes": made.plan.readmes.name(), "digest": made.plan.digest,
        "counts": crate::plan::count(made.decisions.values()),
        "rewritten": made.rewrites.edits.len(),
        "unclear": made.rewrites.unclear.iter().map(|unclear| json!({
            "file": report.shown_id(unclear.file), "line": unclear.line, "text": crate::path::shown(&unclear.text), "why": unclear.why,
        })).collect::<Vec<_>>(),
        "files": made.decisions.values().map(|item| decision(report, item)).collect::<Vec<_>>(),
    })
}

fn decision(report: &Report, item: &Item) -> Value {
    let (to, of) = match &item.act {
        Act::Move(to) | Act::Archive(to) => (Some(to.to_string()), None),
        Act::Drop(of) => (None, Some(of.to_string())),
        Act::Keep | Act::Decide => (None, None),
    };
    let copy = report.made.and_then(|made| made.copies.get(&item.path));
    let duplicate = match copy {
        Some(Copy::Both(why)) => Some(format!("stays beside its copy: {why}")),
        Some(Copy::Goes { because, .. }) => Some(because.clone()),
        None => None,
    };
    let task =
        report.task(item).map(|task| task.map_or("no task yet".to_owned(), |task| format!("cargo xtask {task}")));
    json!({
        "path": item.path.to_string(), "action": item.act.name(), "to": to, "of": of, "class": item.class.name(),
        "function": if item.class == Class::Archive { Value::Null } else { item.class.name().into() },
        "confidence": (f64::from(item.confidence) * 100.0).round() / 100.0, "reason": item.because, "task": task, "duplicate": duplicate,
    })
}
