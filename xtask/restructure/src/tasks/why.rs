//! `restructure why PATH`: one entry explained: what happens to it and why, who refers to it, what it refers to, its copies.

use anyhow::Result;
use base::ui::{self, Exit, Failure};
use base::workspace::Workspace;
use camino::{Utf8Path, Utf8PathBuf};

use super::Request;
use crate::path::RelPath;
use crate::plan::{self, Act, Copy, Item, Options, file};
use crate::references::{Outcome, Target};
use crate::scan::Scan;

pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let given = Utf8Path::new(request.need("path")?);
    let path = absolute(given)?;
    let plan = match request.text("plan") {
        Some(file) => Some((file::read(Utf8Path::new(file), Utf8Path::new(file))?, Utf8Path::new(file))),
        None => None,
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
            ui::out(&explain(&scan, &made, item, &options));
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

fn explain(scan: &Scan, made: &plan::Made, item: &Item, options: &Options) -> String {
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

fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let folder =
        folder.canonicalize_utf8().map_err(|error| Failure::usage(format!("failed to find `{path}`: {error}")))?;
    Ok(match path.file_name() {
        Some(name) => folder.join(name),
        None => path.canonicalize_utf8()?,
    })
}

/// The repository that a path lies in, or its own folder's.
fn top(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    Ok(crate::git::top(folder)?.unwrap_or_else(|| folder.to_owned()))
}
