//! `restructure why PATH`: one entry explained: what happens to it and why, who refers to it, what it refers to, its copies.

use anyhow::Result;
use base::ui::{self, Exit, Failure};
use base::workspace::Workspace;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::Request;
use crate::journal::{Journal, State};
use crate::path::RelPath;
use crate::plan::{self, Act, Copy, Item, Options, file};
use crate::references::{Outcome, Target};
use crate::scan::Scan;
use crate::undo::places;

pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let given = Utf8Path::new(request.need("path")?);
    let path = absolute(given)?;
    if request.text("plan").is_none()
        && let Some(told) = carried_out(&path)?
    {
        ui::out(&told);
        return Ok(Exit::Done);
    }
    let file = match request.text("plan") {
        Some(file) => Some(Utf8PathBuf::from(file)),
        None => super::remembered_plan(workspace, &path),
    };
    let plan = file.as_deref().map(|file| file::read(file, file).map(|plan| (plan, file))).transpose()?;
    // A path is one from here, or as it stands in the plan.
    let path = match &plan {
        Some((plan, _)) if !path.starts_with(&plan.options.folder) => plan.options.folder.join(given),
        _ => path,
    };
    let options = match &plan {
        Some((plan, _)) => plan.options.clone(),
        None => {
            let folder = top(&path)?;
            Options { folder: folder.clone(), into: folder, keep_scripts: false, period: super::plan::now() }
        }
    };
    let state: Vec<&Utf8Path> = plan.iter().map(|(_, file)| *file).collect();
    let scan = Scan::of(&[&options.folder, &options.into], &state)?;
    let below = path.strip_prefix(&options.folder).ok().and_then(|rest| RelPath::new(rest.as_str()));
    let Some(below) = below.filter(|below| !below.is_root()) else {
        return Err(Failure::usage(format!("`{given}` does not lie in `{}`", options.folder)).into());
    };
    let made = plan::make(&scan, &options, &super::plan::rules(workspace, &options)?, &[])?;
    let decisions = plan.as_ref().map_or_else(|| made.decisions.clone(), |(plan, _)| plan.decisions(&scan.tree));
    let items: Vec<&Item> = match decisions.get(&below) {
        Some(item) => vec![item],
        None => decisions.values().filter(|item| item.path.is_within(&below)).collect(),
    };
    match items.as_slice() {
        [] => Err(Failure::usage(format!("there is no `{given}`")).into()),
        [item] if item.path == below => {
            ui::out(&explain(&scan, &made, item, &options, plan.as_ref().map(|(_, file)| *file)));
            Ok(Exit::Done)
        }
        inside => {
            let rows: Vec<Vec<String>> = inside
                .iter()
                .map(|item| vec![item.path.to_string(), item.act.name().to_owned(), item.because.clone()])
                .collect();
            ui::out(&ui::table(&[], &rows));
            Ok(Exit::Done)
        }
    }
}

fn explain(scan: &Scan, made: &plan::Made, item: &Item, options: &Options, plan: Option<&Utf8Path>) -> String {
    let tree = &scan.tree;
    let from = plan::Folders::of(tree, options).from;
    let path = from.append(&item.path);
    let shown = |path: &RelPath| path.below(&from).unwrap_or_else(|| path.clone()).to_string();
    let what = match &item.act {
        Act::Move(to) | Act::Archive(to) => format!("{} to {to}", item.act.name()),
        Act::Drop(of) => format!("drop as a duplicate of {of}"),
        Act::Keep => "keep: it stays where it is".to_owned(),
        Act::Decide => "needs a decision: it stays until somebody decides".to_owned(),
    };
    let mut rows = vec![
        vec!["path".to_owned(), item.path.to_string()],
        vec!["what".to_owned(), what],
        vec!["class".to_owned(), format!("{}, {:.0} % sure", item.class.name(), item.confidence * 100.0)],
        vec!["why".to_owned(), item.because.clone()],
    ];
    if let Some(plan) = plan {
        rows.push(vec!["plan".to_owned(), plan.to_string()]);
    }
    if item.by_hand {
        rows.push(vec!["decided".to_owned(), format!("by hand, in line {} of the plan", item.line)]);
    }
    match made.copies.get(&item.path) {
        Some(Copy::Both(why)) => rows.push(vec!["copy".to_owned(), format!("stays beside another one: {why}")]),
        Some(Copy::Goes { because, .. }) => rows.push(vec!["copy".to_owned(), because.clone()]),
        None => {}
    }
    if let Some(id) = tree.get(&path) {
        for group in scan.groups.iter().filter(|group| group.files.contains(&id)) {
            let others = group
                .files
                .iter()
                .filter(|other| **other != id)
                .map(|other| vec!["same bytes".to_owned(), shown(tree.path(*other))]);
            rows.extend(others);
        }
        for near in scan.near.iter().filter(|near| near.a == id || near.b == id) {
            let other = if near.a == id { near.b } else { near.a };
            rows.push(vec!["alike".to_owned(), format!("{:.2} {}", near.similarity, shown(tree.path(other)))]);
        }
        for reference in &scan.references {
            let text = crate::path::shown(&reference.text);
            if reference.file == id {
                let to = match &reference.outcome {
                    Outcome::Resolved(Target::File(path) | Target::Folder(path)) => shown(path),
                    Outcome::Resolved(Target::Files(files)) => format!("{} files", files.len()),
                    Outcome::Broken => "nothing: broken".to_owned(),
                    Outcome::Runtime => "what is made at run time".to_owned(),
                    Outcome::External => "the outside".to_owned(),
                    Outcome::Ambiguous(_) => "one of several: ambiguous".to_owned(),
                };
                rows.push(vec![format!("line {}", reference.line), format!("`{text}` leads to {to}")]);
            } else if matches!(&reference.outcome, Outcome::Resolved(Target::File(target)) if *target == path) {
                rows.push(vec![
                    "referred to by".to_owned(),
                    format!("{}:{} as `{text}`", shown(tree.path(reference.file)), reference.line),
                ]);
            }
        }
    }
    ui::table(&[], &rows)
}

/// A path from the root of the file system. Links of the folders that are there are followed, and not the last name: a file
/// that was moved away is asked for by its old name.
fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let here = Utf8Path::new(".").canonicalize_utf8()?;
    let mut whole = here.clone();
    for part in path.components() {
        match part {
            Utf8Component::ParentDir => drop(whole.pop()),
            Utf8Component::CurDir => {}
            part => whole.push(part),
        }
    }
    let Some((folder, name)) = whole.parent().zip(whole.file_name()) else { return Ok(whole) };
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
    let rest = folder.strip_prefix(there).unwrap_or(Utf8Path::new(""));
    let there =
        there.canonicalize_utf8().map_err(|error| Failure::usage(format!("failed to find `{path}`: {error}")))?;
    Ok(if rest.as_str().is_empty() { there.join(name) } else { there.join(rest).join(name) })
}

/// What a restructure that was carried out did with a path of before, or where one of after came from.
fn carried_out(path: &Utf8Path) -> Result<Option<String>> {
    for folder in path.ancestors().skip(1) {
        let state = State::of(folder);
        if !state.journal().exists() {
            continue;
        }
        let journal = Journal::read(&state)?;
        let root = journal.root(&state)?;
        let Some(below) = path.as_std_path().strip_prefix(&root).ok().and_then(|rest| rest.to_str()) else { continue };
        let Some(below) = RelPath::new(below) else { continue };
        let moved = places(&journal);
        let shown = |path: &RelPath| path.below(&journal.into).unwrap_or_else(|| path.clone()).to_string();
        let row = |name: &str, text: String| vec![name.to_owned(), text];
        let origin = moved.iter().find(|(_, to)| **to == &below).map(|(from, _)| *from);
        let old = origin.unwrap_or(&below);
        let mut rows = vec![row("path", shown(old))];
        if let Some(kept) = journal.dropped.get(old) {
            let now = moved.get(kept).copied().unwrap_or(kept);
            rows.push(row("what", format!("dropped: the same bytes stood in {}", shown(kept))));
            rows.push(row("now", shown(now)));
        } else if let Some(to) = moved.get(old) {
            rows.push(row("what", "moved".to_owned()));
            rows.push(row("now", shown(to)));
        } else if journal.before.contains_key(old) {
            rows.push(row("what", "stayed where it was".to_owned()));
        } else {
            continue;
        }
        if let Some(why) = journal.copies.get(moved.get(old).copied().unwrap_or(old)) {
            rows.push(row("copy", format!("stays beside another one: {why}")));
        }
        if let Some((_, task, _)) = journal.commands.iter().find(|(script, ..)| script == old) {
            let task = task.as_ref().map_or_else(|| "no task yet".to_owned(), |task| format!("cargo xtask {task}"));
            rows.push(row("its work", task));
        }
        rows.push(row("plan", format!("{}, carried out", journal.plan)));
        return Ok(Some(ui::table(&[], &rows)));
    }
    Ok(None)
}

/// The folder that a path is looked at in: the repository it lies in, else the one below the current folder, else its own.
fn top(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no `{path}`")).into());
    }
    if let Some(top) = crate::git::top(folder)? {
        return Ok(top);
    }
    let here = Utf8Path::new(".").canonicalize_utf8()?;
    let first = folder.strip_prefix(&here).ok().and_then(|below| below.iter().next());
    Ok(first.map_or_else(|| folder.to_owned(), |first| here.join(first)))
}
