//! What writes to the ledger of releases. Every statement proves in itself that the environment's lock is held and that no
//! newer release was begun, and writes nothing when not.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{CLOSE, Kind, OPEN, State, TABLES, link, row_sha256};
use crate::ledger::Run;
use crate::lock::{self, Protects};
use crate::session::{Session, literal};
use base::ui::Failure;

/// Makes the tables and the key where they are missing. The caller holds the lock.
pub fn prepare(session: &mut Session) -> Result<()> {
    let mut all = vec!["begin", "set local client_min_messages = warning"];
    all.extend(TABLES.split_inclusive(";\n").filter(|statement| !statement.trim().is_empty()));
    all.push("alter table ops.release_key add column if not exists head text");
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
         {engine}, {id}, {user}, {host}, {commit}, {version}, {record}, clock_timestamp() from held where yes = 1 returning *), {}",
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

/// An entry of the journal. Fails when the lock was lost, or the release is not the newest one, or no longer at work.
/// `event` is `begin`, `done`, `same`, `failed`, or `note` for something on the way.
pub fn note(session: &mut Session, number: i64, step: &str, event: &str, detail: &str) -> Result<()> {
    write_down(session, number, "'running'", step, event, detail)
}

/// An entry that follows the last word on a release: what came of its hooks.
pub fn note_after(session: &mut Session, number: i64, step: &str, event: &str, detail: &str) -> Result<()> {
    write_down(session, number, "state", step, event, detail)
}

fn write_down(session: &mut Session, number: i64, state: &str, step: &str, event: &str, detail: &str) -> Result<()> {
    let source = format!(
        "(select number as release from ops.release where number = {number} and state = {state} \
         and number = (select max(number) from ops.release)) n"
    );
    let statement =
        format!("with {}, {}", lock::held(Protects::Release), journal(&source, step, event, &literal(detail)));
    changed(&run_held(session, &statement)?, number)
}

/// Closes a release with its last state and what there is to tell of it.
pub fn close(session: &mut Session, number: i64, state: State, outcome: &Value) -> Result<()> {
    let statement = format!(
        "with {}, r as (update ops.release set state = {}, outcome = {}, ended_at = clock_timestamp() from held \
         where yes = 1 and number = {number} and state = 'running' returning ops.release.*), {}",
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
    changed(&run_held(session, &statement)?, number)
}

/// Parts of a statement that insert an entry for each row of `source`, which has a column `release`, and keep the journal's
/// head beside it; they return the release.
fn journal(source: &str, step: &str, event: &str, detail: &str) -> String {
    let last = "coalesce((select chain_sha256 from ops.release_step order by id desc limit 1), '-')";
    format!(
        "e as (insert into ops.release_step (release, step, event, detail, at, chain_sha256) \
         select x.release, x.step, x.event, x.detail, x.at, {} from (select n.release, {} as step, {} as event, \
         {detail} as detail, clock_timestamp() as at from {source}, held where yes = 1) x \
         returning release, chain_sha256) \
         update ops.release_key set head = e.chain_sha256 from e returning e.release",
        link(last),
        literal(step),
        literal(event)
    )
}

/// Fails when a statement that was to write of a release has found it closed, or not the newest one.
fn changed(rows: &str, number: i64) -> Result<()> {
    match rows.trim().is_empty() {
        false => Ok(()),
        true => Err(lost(format!("another run has ended release {number}, or has begun a newer one"))),
    }
}

fn run_held(session: &mut Session, statement: &str) -> Result<String> {
    match session.run(statement)?.ok() {
        Ok(rows) => Ok(rows),
        Err(error) if error.sqlstate == DIVISION_BY_ZERO => {
            Err(lost("its session was ended, or moved to another".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// What [`lock::held`] fails with.
const DIVISION_BY_ZERO: &str = "22012";

/// The lock is not this run's any more: it must touch nothing.
#[derive(Debug)]
struct LockLost(String);

impl std::fmt::Display for LockLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LockLost {}

fn lost(why: String) -> anyhow::Error {
    anyhow::Error::new(LockLost(why)).context(Failure::cannot_tell("the lock of this environment was lost"))
}

/// True for the error of a run that no longer holds the environment's lock.
pub fn is_lost(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<LockLost>())
}
