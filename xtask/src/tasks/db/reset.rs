//! `db reset`: dev's database dropped and made anew.

use std::time::Duration;

use anyhow::Result;

use crate::flags::DbReset;
use crate::tasks::migrate::{self, open_own};
use crate::tasks::services::DEV;
use crate::tools::files::Lock;
use crate::ui::{self, Exit, Failure, prompt};
use crate::workspace::{Environment, Workspace};
use database::Target;
use database::lock::{self, Protects};

/// Drops dev's database and makes it anew.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbReset) -> Result<Exit> {
    let name = environment.unwrap_or(DEV);
    if name != DEV {
        workspace.check_environment_name(name)?;
        return Err(Failure::refused(format!("only dev's database can be reset, not that of `{name}`")).into());
    }
    let environment = Environment::load(workspace, name)?;
    let target = Target::of(workspace, &environment, name)?;
    if !target.is_embedded() {
        let message = format!("only a database that runs here can be made anew, not {}", target.describe());
        return Err(Failure::refused(message).into());
    }
    // For as long as this takes: the lock in the database ends with the database.
    let _lock = Lock::take(&workspace.lock_file("reset-dev"), "dev's database", Duration::ZERO)?;
    let step = ui::step("database");
    // A run that was killed may have left no database, or one without its roles.
    target.ensure_running(&step)?;
    step.done_with(&target.describe());
    let mut session = open_own(&target, "db reset")?;
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
