//! `db shell`: psql with the terminal.

use anyhow::Result;

use crate::flags::DbShell;
use crate::tasks::migrate::open_environment;
use crate::tools::Cmd;
use crate::ui::Exit;
use crate::workspace::Workspace;
use database::ledger;

/// Opens psql with the terminal.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbShell) -> Result<Exit> {
    let (_, target) = open_environment(workspace, environment)?;
    let connection = if flags.as_service { target.service_connection()? } else { target.connection() };
    let psql = connection.with("PGAPPNAME", &ledger::purpose("db shell")).apply(Cmd::new(target.psql()?));
    let code = psql.interactive()?;
    Ok(if code == 0 { Exit::Done } else { Exit::Failed })
}
