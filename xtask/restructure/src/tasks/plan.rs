//! `restructure plan DIR`: for each file what happens to it, as a file to read and edit.

use anyhow::{Context, Result};
use base::tools::files;
use base::ui::{self, Exit, Failure};
use base::workspace::Workspace;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Request, plural};
use crate::classify::former;
use crate::plan::{self, Options, file, rules};
use crate::report;
use crate::scan::Scan;

/// Runs in this order: the folder is read; an older plan's decisions and rules of one's own are taken over; the rest is
/// decided and tried out in memory; the plan is written.
pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let folder = super::folder(request.need("folder")?)?;
    let into = match (request.folder("into")?, request.is("in_place")) {
        (Some(_), true) => return Err(Failure::usage("--into and --in-place contradict each other").into()),
        (Some(into), false) => into,
        (None, _) => folder.clone(),
    };
    let output = request.text("output").map(absolute).transpose()?;
    let old = match &output {
        Some(path) if path.exists() && !request.is("fresh") => {
            Some((file::read(path, path)?, files::read(path)?.unwrap_or_default()))
        }
        _ => None,
    };
    let options = options(request, folder, into, old.as_ref().map(|(old, _)| old))?;
    let step = ui::step("scan");
    let page = request.text("html").map(Utf8Path::new);
    let state: Vec<&Utf8Path> = output.iter().map(Utf8PathBuf::as_path).chain(page).collect();
    let scan = Scan::of(&[&options.folder, &options.into], &state)?;
    step.done_with(&plural(scan.tree.sources().count(), "file"));
    let step = ui::step("plan");
    let hand: Vec<plan::Item> =
        old.iter().flat_map(|(old, _)| old.items.iter().filter(|item| item.by_hand).cloned()).collect();
    let mut made = plan::make(&scan, &options, &rules(workspace, &options)?, &hand)?;
    if let Some((old, _)) = &old {
        made.plan.readmes = old.readmes;
    }
    let counts = plan::count(made.decisions.values());
    let parts: Vec<String> = counts.iter().map(|(action, count)| format!("{count} {action}")).collect();
    step.done_with(&parts.join(", "));
    match (&output, old) {
        (Some(path), Some((old, text))) => files::write(path, file::again(&made.plan, path, &old, &text), 0o644)?,
        (Some(path), None) => files::write(path, file::render(&made.plan, path), 0o644)?,
        (None, _) if request.is("json") => {}
        (None, _) => ui::out(&file::render(&made.plan, &absolute("plan.yaml")?)),
    }
    if let Some(path) = &output {
        super::remember_plan(workspace, &options.folder, path)?;
    }
    if let Some(page) = request.text("html") {
        let has_task = |task: &str| request.has_task(task);
        let syntax = super::scan::look_at_syntax(workspace, &scan);
        let report = super::scan::report(&scan, Some(&syntax), Some(&made), &options.folder, &has_task);
        files::write(Utf8Path::new(page), report::page(&report), 0o644)?;
        ui::say(&format!("page: {page}"));
    }
    if request.is("json") {
        let has_task = |task: &str| request.has_task(task);
        ui::json(&report::plan_json(&super::scan::report(&scan, None, Some(&made), &options.folder, &has_task)));
    }
    Ok(Exit::Done)
}

/// Rules of the folder itself come first, then those of the target, then those of the workspace that runs this.
pub fn rules(workspace: &Workspace, options: &Options) -> Result<Vec<rules::Rule>> {
    let mut all = Vec::new();
    let mut seen = Vec::new();
    for root in [options.folder.as_path(), options.into.as_path(), workspace.root()] {
        if !seen.contains(&root) {
            seen.push(root);
            let path = root.join("config/restructure.yaml");
            let shown = path.strip_prefix(workspace.root()).unwrap_or(&path);
            all.extend(rules::read(&path, shown)?);
        }
    }
    Ok(all)
}

fn options(request: &Request, folder: Utf8PathBuf, into: Utf8PathBuf, old: Option<&plan::Plan>) -> Result<Options> {
    let period = match (request.text("period"), old) {
        (Some(period), _) => period.to_owned(),
        (None, Some(old)) => old.options.period.clone(),
        (None, None) => now(),
    };
    if !file::is_period(&period) {
        return Err(Failure::usage(format!("`{period}` is no name of a period, such as 2026-q1")).into());
    }
    let keep_scripts = request.is("keep_scripts") || old.is_some_and(|old| old.options.keep_scripts);
    Ok(Options { folder, into, keep_scripts, period })
}

/// The quarter that it is.
pub fn now() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    former::period_of(i64::try_from(seconds).unwrap_or(0))
}

/// The path from the root of the file system, of a file that need not be there.
fn absolute(path: &str) -> Result<Utf8PathBuf> {
    let path = Utf8Path::new(path);
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let folder = folder
        .canonicalize_utf8()
        .map_err(|error| Failure::usage(format!("failed to find the folder `{folder}`: {error}")))?;
    Ok(folder.join(path.file_name().context("the path names no file")?))
}
