//! `migrate schema [--check]`: database/schema/current.sql, what all migrations together make.

use anyhow::Result;

use super::super::services::DEV;
use super::chain;
use super::up::{Disk, Plan, Wish, run};
use crate::flags::MigrateSchema;
use crate::tools::files;
use crate::ui::{self, Exit, Failure, Finding, Place};
use crate::workspace::Workspace;
use database::Target;
use database::ledger;
use database::lock::{self, Protects};
use database::migrations::{Runner, order};
use database::schema::{dump, first_difference};
use database::scratch::Scratch;
use database::session::Session;

pub fn schema(workspace: &Workspace, flags: &MigrateSchema) -> Result<Exit> {
    let disk = Disk::read(workspace)?;
    let step = ui::step("replay all migrations");
    let scratch = Scratch::empty(workspace, &step)?;
    replay(workspace, &disk, &scratch.target)?;
    step.done_with(&format!("{} files", disk.files.len() + disk.repeatable.len()));
    let path = workspace.schema_file();
    let found = dump(&scratch.target)?;
    if flags.check {
        return match compare(workspace, &found)? {
            None => {
                ui::say("the schema is what the migrations make");
                Ok(Exit::Done)
            }
            Some(finding) => {
                Err(Failure::with_findings(Exit::Findings, "the schema is out of date", vec![finding]).into())
            }
        };
    }
    match compare(workspace, &found)? {
        None => ui::say("nothing to do: the schema is what the migrations make"),
        Some(_) => {
            files::write(&path, found, 0o644)?;
            ui::out(workspace.relative(&path).as_str());
        }
    }
    Ok(Exit::Done)
}

/// What differs between the file and what the migrations make.
pub(super) fn compare(workspace: &Workspace, found: &str) -> Result<Option<Finding>> {
    let path = workspace.schema_file();
    let file = workspace.relative(&path).to_owned();
    let hint = "run `cargo xtask migrate schema`, and look at what git diff says";
    let Some(text) = files::read(&path)? else {
        let place = Place { file, line: 1, column: 1 };
        return Ok(Some(Finding::error("the file is missing").at(place).hint(hint)));
    };
    let text = text.replace("\r\n", "\n");
    Ok(first_difference(found, &text).map(|(line, expected, found)| {
        let message = format!("the migrations make `{}`, the file has `{}`", expected.trim(), found.trim());
        Finding::error(message).at(Place { file, line, column: 1 }).hint(hint)
    }))
}

/// Runs in an empty database what another one's ledger says is applied there: how many files that are, and the versions
/// that no file has any more.
pub fn replay_applied(workspace: &Workspace, look: &ledger::Look, target: &Target) -> Result<(usize, Vec<String>)> {
    let mut disk = Disk::read(workspace)?;
    let is_applied = |version: &str| look.rows.iter().any(|row| order(&row.version) == order(version));
    let has_file = |version: &str| disk.files.iter().any(|file| order(&file.version) == order(version));
    let missing = look.rows.iter().filter(|row| row.state == "applied" && !has_file(&row.version));
    let missing = missing.map(|row| format!("{}_{}", row.version, row.name)).collect();
    disk.files.retain(|file| is_applied(&file.version));
    disk.repeatable.retain(|file| look.repeatable.iter().any(|(name, _)| *name == file.name));
    replay_some(workspace, &disk, target, &Wish { to: None, out_of_order: true })?;
    Ok((disk.files.len() + disk.repeatable.len(), missing))
}

/// Runs every migration in an empty database.
pub(super) fn replay(workspace: &Workspace, disk: &Disk, target: &Target) -> Result<()> {
    replay_some(workspace, disk, target, &Wish::ALL)
}

pub(super) fn replay_some(workspace: &Workspace, disk: &Disk, target: &Target, wish: &Wish<'_>) -> Result<()> {
    let mut session = Session::open(target, &ledger::purpose("migrate schema"))?;
    lock::take(&mut session, Protects::Schema, super::PATIENCE)?;
    ledger::prepare(&mut session, DEV, &target.config)?;
    let look = ledger::look(&mut session, &target.config.service_role)?;
    let plan = Plan::new(workspace, disk, &look, DEV, wish)?;
    let mut runner =
        Runner { session: &mut session, chain: chain(workspace, &look)?, timeouts: target.config.timeouts };
    run(&mut runner, &plan, &look, false)?;
    Ok(())
}
