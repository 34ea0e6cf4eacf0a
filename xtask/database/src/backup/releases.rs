//! The releases of an environment (tables `ops.release…`) belong to the environment, not to the data: a restore carries
//! them over from the database that it replaces.

use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::{guarded, scratch};
use crate::session::{Session, identifier};
use crate::{Target, ledger};
use base::tools::{Cmd, files};
use base::ui::Step;

/// Tables and views of the releases, `r` and `p` first.
fn list(session: &mut Session) -> Result<Vec<(String, bool)>> {
    let rows = session.query(
        "select c.relname as name, c.relkind in ('r', 'p') as is_table from pg_catalog.pg_class c \
         where c.relnamespace = to_regnamespace('ops') and c.relname ~ '^release' and c.relkind in ('r', 'p', 'v', 'm') \
         order by 2 desc, 1",
    )?;
    let entry = |row: &serde_json::Value| {
        (row["name"].as_str().unwrap_or_default().to_owned(), row["is_table"].as_bool().unwrap_or(false))
    };
    Ok(rows.iter().map(entry).collect())
}

/// Makes the releases of `new` those of `old`. `held` is a session in the old database: until it ends, nobody can change
/// them there. Without any in the old one, those of the backup stay where `same_environment`.
pub fn carry(
    held: &mut Session,
    (old, new): (&Target, &Target),
    same_environment: bool,
    folder: &Utf8Path,
    step: &Step,
) -> Result<usize> {
    let there = list(held)?;
    if there.is_empty() && same_environment {
        return Ok(0);
    }
    hold(held, &there, old.config.timeouts.lock)?;
    let mut session = Session::open(new, &ledger::purpose("db restore"))?;
    session.execute("set client_min_messages = warning")?;
    for (name, is_table) in list(&mut session)?.into_iter().rev() {
        let kind = if is_table { "table" } else { "view" };
        session.execute(&format!("drop {kind} if exists ops.{} cascade", identifier(&name)))?;
    }
    drop(session);
    if there.is_empty() {
        return Ok(0);
    }
    files::remove(folder)?;
    let result =
        dump(old, folder, step).and_then(|()| scratch::pg_restore(new, (folder, 0), 1, scratch::Rights::All, step));
    // Best effort: it lies below .ops, and the next restore makes it anew.
    let _removed = files::remove(folder);
    result.context("failed to carry the releases over")?;
    Ok(there.iter().filter(|(_, is_table)| *is_table).count())
}

fn hold(held: &mut Session, there: &[(String, bool)], patience: Duration) -> Result<()> {
    let tables: Vec<String> =
        there.iter().filter(|(_, is_table)| *is_table).map(|(name, _)| format!("ops.{}", identifier(name))).collect();
    held.execute("begin")?;
    held.execute(&format!("set local lock_timeout = {}", patience.as_millis()))?;
    held.execute("set local idle_in_transaction_session_timeout = 0")?;
    if !tables.is_empty() {
        held.execute(&format!("lock table {} in share row exclusive mode", tables.join(", ")))
            .context("somebody is writing a release")?;
    }
    Ok(())
}

fn dump(old: &Target, folder: &Utf8Path, step: &Step) -> Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    files::make_folder(parent)?;
    let dump = guarded(old, "db restore").apply(Cmd::new(old.program("pg_dump")?)).args([
        "--format=directory",
        "--no-password",
        "--no-sync",
        "--table=ops.release*",
        &format!("--file={folder}"),
    ]);
    dump.run(step)
}
