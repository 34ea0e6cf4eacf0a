//! What writes to the ledger of releases. Every statement proves in itself that the environment's lock is held and that no
//! newer release was begun, and fails (22012) when not.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{CLOSE, Kind, OPEN, State, TABLES, link, row_sha256};
use crate::ledger::Run;
use crate::lock::{self, Protects};
use crate::session::{Session, SqlError, literal};
use base::ui::Failure;

/// Makes the tables and the key where they are missing. The caller holds the lock.
pub fn prepare(session: &mut Session) -> Result<()> {
    let mut all = vec!["begin", "set local client_min_messages = warning"];
    all.extend(TABLES.split_inclusive(";\n").filter(|statement| !statement.trim().is_empty()));
    // Two random UUIDs are 244 bits of the server's strong randomness.
    all.push(
        "insert into ops.release_key (key) select encode(sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid()), \
         'UTF8')), 'hex') on conflict do nothing",
    );
    all.push("commit");
    for answer in session.run_all(&all)? {
        answer.ok().context("failed to make the ledger of releases")?;
    }
    Ok(())
}

/// What is fixed when a release is opened.
pub struct Opening<'a> {
    pub kind: Kind,
    pub artifact: &'a str,
    pub restores: Option<i64>,
    pub engine: &'a str,
    pub record: &'a Value,
    pub run: &'a Run,
}

/// Opens a release; its number.
pub fn open(session: &mut Session, opening: &Opening<'_>) -> Result<i64> {
    let run = opening.run;
    let texts = [
        opening.kind.name(),
        opening.artifact,
        opening.engine,
        &run.id,
        &run.os_user,
        &run.host,
        env!("CARGO_PKG_VERSION"),
        &opening.record.to_string(),
    ];
    let [kind, artifact, engine, id, user, host, version, record] = texts.map(literal);
    let commit = run.commit.as_deref().map_or("null".to_owned(), literal);
    let restores = opening.restores.map_or("null".to_owned(), |number| number.to_string());
    let statement = format!(
        "with {}, r as (insert into ops.release (number, kind, state, artifact, restores, engine, run_id, os_user, host, \
         git_commit, tool_version, record, started_at) \
         select coalesce((select max(number) from ops.release), 0) + 1, {kind}, 'running', {artifact}, {restores}, \
         {engine}, {id}, {user}, {host}, {commit}, {version}, {record}, clock_timestamp() from held where yes = 1 returning *) \
         {} returning release",
        lock::held(Protects::Release),
        journal(
            "(select r.number as release from r) n",
            OPEN,
            "done",
            &format!("(select {} from r)", row_sha256(false))
        )
    );
    let number = run_held(session, &statement)?;
    number.trim().parse().context("the server did not tell the release's number")
}

/// Notes that a step begins. Fails when the lock was lost, or somebody has begun a newer release.
pub fn begin(session: &mut Session, number: i64, step: &str, detail: &str) -> Result<()> {
    note(session, number, step, "begin", detail)
}

/// Notes how a step ended (`done`, `same`, `failed`), or something on its way (`note`).
pub fn end(session: &mut Session, number: i64, step: &str, event: &str, detail: &str) -> Result<()> {
    note(session, number, step, event, detail)
}

fn note(session: &mut Session, number: i64, step: &str, event: &str, detail: &str) -> Result<()> {
    let statement = format!(
        "with {}, {} {}",
        lock::held(Protects::Release),
        fence(number),
        journal(
            &format!("(select {number}::bigint as release from fence where newest = 1) n"),
            step,
            event,
            &literal(detail)
        )
    );
    run_held(session, &statement).map(drop)
}

/// Closes a release with its last state and what there is to tell of it.
pub fn close(session: &mut Session, number: i64, state: State, outcome: &Value) -> Result<()> {
    let statement = format!(
        "with {}, r as (update ops.release set state = {}, outcome = {}, ended_at = clock_timestamp() from held \
         where yes = 1 and number = {number} and state = 'running' returning ops.release.*) {}",
        lock::held(Protects::Release),
        literal(state.name()),
        literal(&outcome.to_string()),
        journal(
            "(select r.number as release from r) n",
            CLOSE,
            "done",
            &format!("(select {} from r)", row_sha256(true))
        )
    );
    run_held(session, &statement).map(drop)
}

/// Inserts an entry of the journal for each row of `source`, which has a column `release`.
fn journal(source: &str, step: &str, event: &str, detail: &str) -> String {
    let last = "coalesce((select chain_sha256 from ops.release_step order by id desc limit 1), '-')";
    format!(
        "insert into ops.release_step (release, step, event, detail, at, chain_sha256) \
         select x.release, x.step, x.event, x.detail, x.at, {} from (select n.release, {} as step, {} as event, \
         {detail} as detail, clock_timestamp() as at from {source}, held where yes = 1) x",
        link(last),
        literal(step),
        literal(event)
    )
}

/// Fails (22012) when there is a newer release than this one.
fn fence(number: i64) -> String {
    format!(
        "fence as materialized (select 1 / (case when (select max(number) from ops.release) = {number} then 1 else 0 end) \
         as newest)"
    )
}

fn run_held(session: &mut Session, statement: &str) -> Result<String> {
    match session.run(statement)?.ok() {
        Ok(rows) => Ok(rows),
        Err(error) if error.sqlstate == DIVISION_BY_ZERO => {
            let message = "the lock of this environment was lost, or another run has begun a newer release";
            Err(anyhow::Error::new(*error).context(Failure::cannot_tell(message)))
        }
        Err(error) => Err(error.into()),
    }
}

const DIVISION_BY_ZERO: &str = "22012";

/// True for the error of a run that no longer holds the lock, or has lost the database: it must touch nothing more.
pub fn is_lost(error: &anyhow::Error) -> bool {
    let sql = error.chain().find_map(|cause| cause.downcast_ref::<SqlError>());
    match sql {
        Some(error) => error.sqlstate == DIVISION_BY_ZERO,
        None => error.chain().any(|cause| cause.to_string().contains("the connection to the database failed")),
    }
}
