//! The verbs, each a file that tells its story. What was asked comes from `cargo xtask restructure` as one JSON value.

mod apply;
mod finish;
mod plan;
mod scan;
mod undo;
mod verify;
mod why;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use base::processes::keeper;
use base::tools::files::Lock;
use base::tools::{cmd, files, guard, hash};
use base::ui::{self, Exit, Failure};
use base::workspace::Workspace;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::journal::{Journal, State};

/// The whole program.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let first = words.next();
    // Children run under the guard, which is this very program.
    match first.as_ref().and_then(|word| word.to_str()) {
        Some(guard::VERB) => guard::run(words),
        Some(keeper::VERB) => ExitCode::from(Exit::Usage as u8),
        Some(text) => {
            let exit = answer(text).unwrap_or_else(|error| {
                ui::exit::report(&error);
                ui::exit::exit_of(&error)
            });
            ExitCode::from(exit as u8)
        }
        None => {
            ui::error("this program is started by `cargo xtask restructure`");
            ExitCode::from(Exit::Usage as u8)
        }
    }
}

fn answer(text: &str) -> Result<Exit> {
    let value: Value = serde_json::from_str(text)
        .map_err(|_| Failure::usage("this program is started by `cargo xtask restructure`"))?;
    let request = Request { value };
    cmd::VERBOSE.store(request.is("verbose"), Ordering::Relaxed);
    let workspace = &Workspace::find(request.text("workspace"))?;
    match request.text("verb").unwrap_or_default() {
        "scan" => scan::run(workspace, &request),
        "plan" => plan::run(workspace, &request),
        "apply" => apply::run(workspace, &request),
        "verify" => verify::run(workspace, &request),
        "undo" => undo::run(workspace, &request),
        "finish" => finish::run(workspace, &request),
        "why" => why::run(workspace, &request),
        other => Err(Failure::usage(format!("unknown verb `{other}`")).into()),
    }
}

/// The flags of a verb.
pub struct Request {
    value: Value,
}

impl Request {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value[name].as_str()
    }
    pub fn is(&self, name: &str) -> bool {
        self.value[name].as_bool().unwrap_or(false)
    }
    pub fn need(&self, name: &str) -> Result<&str> {
        self.text(name).with_context(|| format!("`{name}` is missing"))
    }
    /// A folder that must be there, as an absolute path without links.
    pub fn folder(&self, name: &str) -> Result<Option<Utf8PathBuf>> {
        self.text(name).map(folder).transpose()
    }
    /// Whether `cargo xtask` has a task: its words, such as `db import`.
    pub fn has_task(&self, task: &str) -> bool {
        let words: Vec<&str> =
            task.split(' ').take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
        let known = self.value["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        known.iter().any(|known| known.as_str() == Some(words.join(" ").as_str()))
    }
}

pub fn folder(given: &str) -> Result<Utf8PathBuf> {
    let path = Utf8Path::new(given)
        .canonicalize_utf8()
        .map_err(|error| Failure::usage(format!("failed to find the folder `{given}`: {error}")))?;
    if !path.is_dir() {
        return Err(Failure::usage(format!("`{given}` is not a folder")).into());
    }
    Ok(path)
}

/// One restructure of a target at a time.
fn lock(workspace: &Workspace, into: &Utf8Path) -> Result<Lock> {
    let name = format!("restructure-{}", &hash::sha256(into.as_str())[..12]);
    Lock::take(&workspace.lock_file(&name), &format!("`{into}`"), Duration::ZERO)
}

/// The restructure that a folder belongs to: as its target, or as the folder that was taken apart.
fn find(workspace: &Workspace, folder: &Utf8Path) -> Result<(State, Journal)> {
    let own = State::of(folder);
    if own.journal().exists() || own.finishing().exists() {
        let journal = Journal::read(&own)?;
        return Ok((own, journal));
    }
    let remembered = files::read_json(&pointer(workspace, folder))
        .and_then(|value| Some(Utf8PathBuf::from(value["into"].as_str()?)));
    let targets =
        folder.ancestors().skip(1).map(Utf8Path::to_owned).chain([workspace.root().to_owned()]).chain(remembered);
    for target in targets {
        let state = State::of(&target);
        if !state.journal().exists() && !state.finishing().exists() {
            continue;
        }
        let journal = Journal::read(&state)?;
        if journal.from.on(&journal.root(&state)?) == folder.as_std_path() {
            return Ok((state, journal));
        }
    }
    // The message for a folder without one.
    let journal = Journal::read(&own)?;
    Ok((own, journal))
}

/// Where the workspace that runs this has written down which target a folder was brought into.
fn pointer(workspace: &Workspace, folder: &Utf8Path) -> Utf8PathBuf {
    workspace.ops().join("restructured").join(format!("{}.json", &hash::sha256(folder.as_str())[..12]))
}

/// So that `verify`, `undo` and `finish` find the target by the folder that was taken apart.
fn remember(workspace: &Workspace, folder: &Utf8Path, into: &Utf8Path) -> Result<()> {
    if folder == into {
        return Ok(());
    }
    files::write_json(&pointer(workspace, folder), &json!({"into": into.as_str()}))
}

/// So that `why` finds the plan that was written last for a folder.
fn remember_plan(workspace: &Workspace, folder: &Utf8Path, plan: &Utf8Path) -> Result<()> {
    files::write_json(&pointer(workspace, folder).with_extension("plan.json"), &json!({"plan": plan.as_str()}))
}

/// The plan that was written last for the innermost folder above a path, when it is still there.
fn remembered_plan(workspace: &Workspace, path: &Utf8Path) -> Option<Utf8PathBuf> {
    path.ancestors().find_map(|folder| {
        let value = files::read_json(&pointer(workspace, folder).with_extension("plan.json"))?;
        value["plan"].as_str().map(Utf8PathBuf::from).filter(|plan| plan.is_file())
    })
}

/// A count with its noun.
fn plural(count: usize, noun: &str) -> String {
    crate::tell::readme::plural(count, noun)
}
