//! `db seed`: the environment's seeds.

use std::time::Duration;

use anyhow::Result;

use crate::database::lock::{self, Protects};
use crate::database::session::Session;
use crate::database::{ledger, seeds};
use crate::tasks::migrate::{PATIENCE, open_environment};
use crate::ui::{self, Exit};
use crate::workspace::Workspace;

/// Loads the environment's seeds.
pub fn run(workspace: &Workspace, environment: Option<&str>) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let mut session = Session::open_within(&target, &ledger::purpose("db seed"), PATIENCE)?;
    ledger::check_identity(&mut session, &environment.name)?;
    lock::take(&mut session, Protects::Schema, Duration::ZERO)?;
    let step = ui::step(format!("seed {}", environment.name));
    let loaded = seeds::load(&mut session, workspace, &environment)?;
    step.done_with(&format!("{} files", loaded.len()));
    Ok(Exit::Done)
}
