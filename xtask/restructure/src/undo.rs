//! Back to what was there before, bit for bit, from any point that an apply has come to; and the end of a restructure, when
//! nobody wants to go back any more.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use base::tools::{files, os};
use base::ui::{Exit, Failure, Finding, Step as Progress};
use camino::Utf8Path;

use crate::apply::sync;
use crate::journal::step::{Step, exists, sha256_at};
use crate::journal::{Journal, RESTAGED, State, UNDOING, UNSTAGING, Was};
use crate::path::RelPath;
use crate::tree::Kind;

/// What undo would lose: files that this program wrote and somebody has changed since.
pub fn changed_since(state: &State, journal: &Journal) -> Result<Vec<RelPath>> {
    let root = journal.root(state)?;
    let mut changed = Vec::new();
    for step in &journal.steps {
        // It is this program's from the moment it has left the place where it waits until it is taken back.
        let (path, sha256, is_written) = match step {
            Step::Rewrite { path, new, store, sha256 } => {
                (path, sha256, !exists(&new.on(&root)) && exists(&store.on(&root)))
            }
            Step::Create { path, new, sha256 } => (path, sha256, !exists(&new.on(&root))),
            _ => continue,
        };
        let there = path.on(&root);
        if is_written && exists(&there) && sha256_at(&there).as_ref() != Some(sha256) {
            changed.push(path.clone());
        }
    }
    Ok(changed)
}

/// Takes back every step that has been taken.
pub fn take_back(state: &State, journal: &Journal, progress: &Progress) -> Result<()> {
    let root = journal.root(state)?;
    let lines = state.lines();
    let has = |line: &str| lines.iter().any(|known| known == line);
    if !has(UNDOING) {
        state.note(UNDOING)?;
    }
    // What waits in the staging place is there because nothing has left it yet, or because all of it is back.
    let mut is_unstaged = has(UNSTAGING) && !has(RESTAGED);
    let first = journal.first_unstage();
    for (number, step) in journal.steps.iter().enumerate().rev() {
        let taken = journal.steps.len() - number;
        progress.detail(&format!("{taken} of {}: {}", journal.steps.len(), step.describe()));
        match step {
            Step::Unstage { .. } if !is_unstaged => {}
            step => step.back(&root)?,
        }
        if Some(number) == first && is_unstaged {
            sync(&root, journal)?;
            state.note(RESTAGED)?;
            is_unstaged = false;
        }
    }
    for commits in &journal.commits {
        commits.back(&root, state, &journal.id)?;
    }
    sync(&root, journal)?;
    restore_folders(&root, journal)
}

/// Modes and times of folders, the deepest first; the target's own comes last, when its state is gone.
fn restore_folders(root: &Path, journal: &Journal) -> Result<()> {
    let folders = journal.before.iter().filter(|(_, was)| was.kind == Kind::Folder && !was.is_closed);
    for (path, was) in folders.rev() {
        let there = path.on(root);
        let Ok(facts) = there.symlink_metadata() else { continue };
        if facts.mode() & 0o7777 != was.mode {
            std::fs::set_permissions(&there, std::fs::Permissions::from_mode(was.mode))
                .with_context(|| format!("failed to set the mode of `{path}`"))?;
        }
        set_time(&there, path, was.mtime)?;
    }
    Ok(())
}

fn set_time(there: &Path, path: &RelPath, mtime: (i64, u32)) -> Result<()> {
    let facts = there.symlink_metadata().with_context(|| format!("failed to look at `{path}`"))?;
    if (facts.mtime(), facts.mtime_nsec()) == (mtime.0, i64::from(mtime.1)) {
        return Ok(());
    }
    os::set_modified(there, mtime.0, mtime.1).with_context(|| format!("failed to set the time of `{path}`"))
}

/// How what is there differs from what was: nothing may be missing, and nothing may have changed.
pub fn differences(state: &State, journal: &Journal) -> Result<Vec<Finding>> {
    let root = journal.root(state)?;
    let mut findings = Vec::new();
    for (path, was) in &journal.before {
        let there = path.on(&root);
        let what = match there.symlink_metadata() {
            Err(_) => Some("is not there".to_owned()),
            Ok(facts) => difference(&there, &facts, was, path == &journal.into),
        };
        findings.extend(what.map(|what| Finding::error(format!("`{path}` {what}"))));
    }
    Ok(findings)
}

fn difference(there: &Path, facts: &std::fs::Metadata, was: &Was, is_target: bool) -> Option<String> {
    let kind = facts.file_type();
    let is_kind = match &was.kind {
        Kind::File => kind.is_file(),
        Kind::Folder => kind.is_dir(),
        Kind::Symlink(_) => kind.is_symlink(),
        Kind::Other => true,
    };
    let mtime = (facts.mtime(), u32::try_from(facts.mtime_nsec()).unwrap_or(0));
    if !is_kind {
        Some("is another kind of thing".to_owned())
    } else if facts.mode() & 0o7777 != was.mode && !kind.is_symlink() {
        Some(format!("has the mode {:o}, not {:o}", facts.mode() & 0o7777, was.mode))
    } else if mtime != was.mtime && !was.is_closed && !is_target {
        Some("has another time stamp".to_owned())
    } else if let Kind::Symlink(target) = &was.kind {
        use std::os::unix::ffi::OsStrExt;
        let is_same = there.read_link().is_ok_and(|now| now.as_os_str().as_bytes() == target.as_slice());
        (!is_same).then(|| "leads elsewhere".to_owned())
    } else if was.kind == Kind::File
        && !was.sha256.is_empty()
        && sha256_at(&there.to_owned()).as_ref() != Some(&was.sha256)
    {
        Some("has another content".to_owned())
    } else {
        None
    }
}

/// Removes all state, and the traces of it: `.ops`, where it was made for it, and the time of the target.
pub fn remove_state(state: &State, journal: &Journal, mtime: Option<(i64, u32)>) -> Result<()> {
    let root = journal.root(state)?;
    // The journal goes last: until then undo can be run again.
    state.clear()?;
    files::remove(&state.folder)?;
    let ops = state.folder.parent().context("the state has no folder")?;
    if journal.made_ops {
        // Somebody else's state may have come there meanwhile.
        let _kept_when_not_empty = std::fs::remove_dir(ops);
    }
    let ops = journal.into.join(b".ops");
    if let (Some(was), true) = (journal.before.get(&ops), exists(&ops.on(&root))) {
        set_time(&ops.on(&root), &ops, was.mtime)?;
    }
    if let Some(mtime) = mtime {
        set_time(&journal.into.on(&root), &journal.into, mtime)?;
    }
    Ok(())
}

/// Removes a state without a journal.
pub fn remove_leftovers(state: &State, into: &Utf8Path) -> Result<()> {
    let facts = into.metadata().with_context(|| format!("failed to look at `{into}`"))?;
    files::remove(&state.folder)?;
    if let Some(ops) = state.folder.parent() {
        let _kept_when_not_empty = std::fs::remove_dir(ops);
    }
    let time = (facts.mtime(), u32::try_from(facts.mtime_nsec()).unwrap_or(0));
    os::set_modified(into.as_std_path(), time.0, time.1).with_context(|| format!("failed to set the time of `{into}`"))
}

/// The time of the target as it was before.
pub fn time_of_target(journal: &Journal) -> Option<(i64, u32)> {
    journal.before.get(&journal.into).map(|was| was.mtime)
}

/// The time of the target as the last step has set it.
pub fn time_after(journal: &Journal) -> Option<(i64, u32)> {
    journal.steps.iter().rev().find_map(|step| match step {
        Step::Touch { path, mtime } if *path == journal.into => Some(*mtime),
        _ => None,
    })
}

/// Dropped copies whose content `finish` would remove for good: the kept twin is not there any more.
pub fn orphans(state: &State, journal: &Journal) -> Result<Vec<RelPath>> {
    let root = journal.root(state)?;
    let moved = places(journal);
    let rewritten: HashSet<&RelPath> = journal
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Rewrite { path, .. } => Some(path),
            _ => None,
        })
        .collect();
    let mut orphans = Vec::new();
    for (gone, kept) in &journal.dropped {
        let now = moved.get(kept).copied().unwrap_or(kept);
        let there = now.on(&root);
        // The twin of one that was rewritten has the new bytes; its old ones are what the copy has.
        let is_there = if rewritten.contains(now) {
            exists(&there)
        } else {
            sha256_at(&there).as_ref() == journal.before.get(gone).map(|was| &was.sha256)
        };
        if !is_there {
            orphans.push(gone.clone());
        }
    }
    Ok(orphans)
}

/// Where the moves have brought each file.
pub fn places(journal: &Journal) -> HashMap<&RelPath, &RelPath> {
    let mut to: HashMap<&RelPath, &RelPath> = HashMap::new();
    let mut staged: HashMap<&RelPath, &RelPath> = HashMap::new();
    for step in &journal.steps {
        match step {
            Step::Rename { from, to: target, .. } => drop(to.insert(from, target)),
            Step::Stage { from, stage, .. } => drop(staged.insert(stage, from)),
            Step::Unstage { stage, to: target } => {
                if let Some(from) = staged.get(stage) {
                    to.insert(from, target);
                }
            }
            _ => {}
        }
    }
    to.retain(|from, _| !journal.dropped.contains_key(*from));
    to
}

/// A failure that names what undo would lose (exit 3).
pub fn refuse_loss(changed: &[RelPath]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let findings = changed
        .iter()
        .map(|path| Finding::error(format!("`{path}` was changed after it was written by apply")))
        .collect();
    let failure = Failure::with_findings(Exit::Findings, "undo would lose changes made since", findings);
    Err(failure.hint("copy these files somewhere else; undo DIR --lose-changes then takes everything back").into())
}
