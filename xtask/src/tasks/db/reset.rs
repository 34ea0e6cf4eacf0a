//! `db reset`: dev's database dropped and made anew.

use std::time::Duration;

use anyhow::Result;

use crate::database::ledger;
use crate::database::lock::{self, Protects};
use crate::database::session::Session;
use crate::flags::DbReset;
use crate::tasks::migrate::{self, PATIENCE, open_environment};
use crate::tasks::services::DEV;
use crate::ui::{self, Exit, Failure, prompt};
use crate::workspace::Workspace;

/// Drops dev's database and makes it anew.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbReset) -> Result<Exit> {
    let name = environment.unwrap_or(DEV);
    if name != DEV {
        workspace.check_environment_name(name)?;
        return Err(Failure::refused(format!("only dev's database can be reset, not that of `{name}`")).into());
    }
    let (environment, target) = open_environment(workspace, environment)?;
    let mut session = Session::open_within(&target, &ledger::purpose("db reset"), PATIENCE)?;
    ledger::check_identity(&mut session, &environment.name)?;
    if !prompt::confirm("drop dev's database with all it holds, and make it anew?", flags.yes)? {
        ui::say("nothing was touched");
        return Ok(Exit::Done);
    }
    lock::take(&mut session, Protects::Schema, Duration::ZERO)?;
    drop(session);
    let step = ui::step("drop and make the database");
    target.recreate()?;
    step.done();
    migrate::apply_and_seed(workspace, &environment, &target)?;
    Ok(Exit::Done)
}
