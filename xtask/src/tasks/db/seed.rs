//! `db seed`: the environment's seeds.

use std::time::Duration;

use anyhow::Result;

use crate::flags::DbSeed;
use crate::tasks::migrate::{open_environment, open_own};
use crate::tasks::services::DEV;
use crate::ui::{self, Exit};
use crate::workspace::Workspace;
use database::lock::{self, Protects};
use database::seeds;

/// Loads the environment's seeds, all in one transaction; says how many rows that changed.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbSeed) -> Result<Exit> {
    let name = environment.unwrap_or(DEV);
    workspace.check_environment_name(name)?;
    if seeds::files(workspace, name).is_empty() {
        let folder = workspace.seeds(name);
        ui::say(&format!("nothing to do: {} holds no seed", workspace.relative(&folder)));
        return Ok(Exit::Done);
    }
    let (environment, target) = open_environment(workspace, environment)?;
    let mut session = open_own(&target, "db seed")?;
    super::confirm(&environment, "load its seeds?", flags.confirm.as_deref())?;
    lock::take(&mut session, Protects::Schema, Duration::ZERO)?;
    let step = ui::step(format!("seed {}", environment.name));
    let (loaded, rows) = seeds::load_counting(&mut session, workspace, &environment)?;
    match rows {
        0 => step.same(&format!("{} files, no row changed", loaded.len())),
        rows => step.done_with(&format!("{} files, {rows} rows written", loaded.len())),
    }
    Ok(Exit::Done)
}
