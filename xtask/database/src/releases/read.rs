//! What the ledger of releases says.

use anyhow::Result;
use serde_json::Value;

use super::{Entry, Kind, Release, State, moment};
use crate::session::Session;

/// What a run must know before it begins.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Keys the hashes of values; empty before the first release.
    pub key: String,
    /// The last one that was verified: what is meant to run.
    pub live: Option<Release>,
    /// The newest one.
    pub latest: Option<Release>,
    /// False when [`super::prepare`] has something to do.
    pub is_ready: bool,
}

impl Look {
    /// The newest release when it was begun and never ended; under the lock that means that its run was killed.
    pub fn unfinished(&self) -> Option<&Release> {
        self.latest.as_ref().filter(|release| release.state == State::Running)
    }
}

/// SQLSTATE of a table that is not there yet, and of a schema.
const MISSING: [&str; 2] = ["42P01", "3F000"];
const COLUMN_MISSING: &str = "42703";

fn columns() -> String {
    format!(
        "number, kind, state, artifact, restores, engine, run_id, os_user, host, git_commit, tool_version, record, outcome, \
         {} as started_at, {} as ended_at, \
         greatest(0, extract(epoch from clock_timestamp() - coalesce(ended_at, started_at)))::bigint as age_seconds",
        moment("started_at"),
        moment("ended_at")
    )
}

/// Looks, in one exchange with the server.
pub fn look(session: &mut Session) -> Result<Look> {
    let one = |condition: &str| {
        format!(
            "select row_to_json(one) from (select {} from ops.release {condition} order by number desc limit 1) one",
            columns()
        )
    };
    let statements = [
        "select key from ops.release_key".to_owned(),
        one("where state = 'verified'"),
        one(""),
        "select 1 from ops.release_step limit 1".to_owned(),
        "select head from ops.release_key".to_owned(),
    ];
    let answers = session.run_all(&statements.each_ref().map(String::as_str))?;
    let mut rows = Vec::new();
    let mut is_whole = true;
    for answer in answers {
        match answer.error {
            Some(error) if MISSING.contains(&error.sqlstate.as_str()) => return Ok(Look::default()),
            // Of a version before this one; a backup may bring it back.
            Some(error) if error.sqlstate == COLUMN_MISSING => is_whole = false,
            Some(error) => return Err(error.into()),
            None => rows.push(answer.rows.trim_end_matches('\n').to_owned()),
        }
    }
    let release = |row: &String| serde_json::from_str(row).ok().as_ref().and_then(release);
    let is_ready = is_whole && !rows[0].is_empty();
    Ok(Look { is_ready, live: release(&rows[1]), latest: release(&rows[2]), key: rows[0].clone() })
}

/// The newest releases, newest first; none where there is no ledger yet.
pub fn list(session: &mut Session, count: u32) -> Result<Vec<Release>> {
    if !is_there(session)? {
        return Ok(Vec::new());
    }
    let query = format!("select {} from ops.release order by number desc limit {count}", columns());
    Ok(session.query(&query)?.iter().filter_map(release).collect())
}

/// The backups that were made for the newest releases, by their ids.
pub fn backups(session: &mut Session, count: u32) -> Result<Vec<String>> {
    if !is_there(session)? {
        return Ok(Vec::new());
    }
    let query = format!("select outcome from ops.release order by number desc limit {count}");
    let outcome = |row: &Value| serde_json::from_str::<Value>(row["outcome"].as_str()?).ok();
    let all = session.query(&query)?;
    Ok(all.iter().filter_map(|row| outcome(row)?["backup"].as_str().map(str::to_owned)).collect())
}

/// One release by its number.
pub fn find(session: &mut Session, number: i64) -> Result<Option<Release>> {
    if !is_there(session)? {
        return Ok(None);
    }
    let query = format!("select {} from ops.release where number = {number}", columns());
    Ok(session.query(&query)?.first().and_then(release))
}

/// The journal of a release, in order.
pub fn steps(session: &mut Session, number: i64) -> Result<Vec<Entry>> {
    if !is_there(session)? {
        return Ok(Vec::new());
    }
    let rows = session.query(&format!(
        "select step, event, detail, {} as at, extract(epoch from at)::float8 as seconds, chain_sha256 \
         from ops.release_step where release = {number} order by id",
        moment("at")
    ))?;
    Ok(rows.iter().map(entry).collect())
}

pub(super) fn is_there(session: &mut Session) -> Result<bool> {
    Ok(session.value("select to_regclass('ops.release_step') is not null")? == "t")
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

fn release(row: &Value) -> Option<Release> {
    let json = |key: &str| row[key].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    Some(Release {
        number: row["number"].as_i64()?,
        kind: if row["kind"] == "rollback" { Kind::Rollback } else { Kind::Deploy },
        state: State::from_name(row["state"].as_str()?),
        artifact: text(row, "artifact"),
        restores: row["restores"].as_i64(),
        engine: text(row, "engine"),
        run_id: text(row, "run_id"),
        os_user: text(row, "os_user"),
        host: text(row, "host"),
        commit: row["git_commit"].as_str().map(str::to_owned),
        tool_version: text(row, "tool_version"),
        record: json("record"),
        outcome: json("outcome"),
        started_at: text(row, "started_at"),
        ended_at: row["ended_at"].as_str().map(str::to_owned),
        age_seconds: row["age_seconds"].as_u64().unwrap_or(0),
    })
}

fn entry(row: &Value) -> Entry {
    Entry {
        step: text(row, "step"),
        event: text(row, "event"),
        detail: text(row, "detail"),
        at: text(row, "at"),
        seconds: row["seconds"].as_f64().unwrap_or(0.0),
        chain_sha256: text(row, "chain_sha256"),
    }
}
