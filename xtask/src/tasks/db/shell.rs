//! `db shell`: psql with the terminal.

use anyhow::Result;

use crate::flags::DbShell;
use crate::tasks::migrate::{open_environment, open_own};
use crate::tools::Cmd;
use crate::ui::{self, Exit};
use crate::workspace::Workspace;
use database::ledger;

/// Opens psql with the terminal, in the database that is the environment's.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbShell) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    drop(open_own(&target, "db shell")?);
    if environment.is_protected() {
        ui::say(&format!("`{}` is protected: nothing asks before what is typed here is done", environment.name));
    }
    let connection = if flags.as_service { target.service_connection()? } else { target.connection() };
    let psql = connection.with("PGAPPNAME", &ledger::purpose("db shell")).apply(Cmd::new(target.psql()?));
    let code = psql.interactive()?;
    Ok(if code == 0 { Exit::Done } else { Exit::Failed })
}
