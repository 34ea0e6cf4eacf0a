//! The ledger of releases, in the schema `ops` of each environment's database: what was deployed, by whom, from what, step
//! by step, and how it ended. Numbers only grow. Every step is a row that carries a hash over the row before it, and the
//! first and the last of a release carry the hash of the release's own row, so that an edited history shows.

mod read;
mod verify;
mod write;

use serde_json::{Value, json};

pub use read::{Look, backups, find, list, look, steps};
pub use verify::{check_file, verify};
pub use write::{Opening, close, is_lost, note, note_after, open, prepare};

const TABLES: &str = "
create table if not exists ops.release (
    -- grows by one: a run that finds a greater one than its own stops
    number bigint primary key check (number > 0),
    kind text not null check (kind in ('deploy', 'rollback')),
    state text not null check (state in
        ('running', 'verified', 'refused', 'declined', 'failed', 'rolled-back', 'stuck', 'interrupted')),
    -- the content of sources, lock files and Dockerfiles that it was built from
    artifact text not null,
    -- of a rollback: the release whose record it applied again
    restores bigint,
    engine text not null,
    run_id text not null,
    os_user text not null,
    host text not null,
    git_commit text,
    tool_version text not null,
    -- JSON, fixed when it was opened: plan, manifest, hashes of values
    record text not null,
    -- JSON, written when it was closed: what the gate saw, images, what went wrong
    outcome text,
    started_at timestamptz not null,
    ended_at timestamptz
);
create table if not exists ops.release_step (
    id bigint generated always as identity primary key,
    release bigint not null references ops.release,
    step text not null,
    event text not null check (event in ('begin', 'done', 'same', 'failed', 'note')),
    detail text not null,
    at timestamptz not null,
    chain_sha256 text not null
);
create table if not exists ops.release_key (
    only_row boolean primary key default true check (only_row),
    -- keys the hashes of values, so that none can be found by trying
    key text not null,
    -- the chain's value of the newest step, so that a history cut short shows
    head text
);
";

/// What a release does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Deploy,
    /// It applies the record of an earlier one again.
    Rollback,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Deploy => "deploy",
            Kind::Rollback => "rollback",
        }
    }
}

/// How a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// At work, or killed: whoever holds the lock knows which.
    Running,
    Verified,
    /// Stopped by its checks, before anything was touched.
    Refused,
    /// A person said no.
    Declined,
    /// Failed before anything was rolled out, or with nothing before it.
    Failed,
    /// Failed, and what ran before runs again.
    RolledBack,
    /// Failed, and could not be rolled back.
    Stuck,
    /// Killed, and not resumed.
    Interrupted,
}

impl State {
    const ALL: [State; 8] = [
        State::Running,
        State::Verified,
        State::Refused,
        State::Declined,
        State::Failed,
        State::RolledBack,
        State::Stuck,
        State::Interrupted,
    ];
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Verified => "verified",
            State::Refused => "refused",
            State::Declined => "declined",
            State::Failed => "failed",
            State::RolledBack => "rolled-back",
            State::Stuck => "stuck",
            State::Interrupted => "interrupted",
        }
    }
    fn from_name(name: &str) -> State {
        State::ALL.into_iter().find(|state| state.name() == name).unwrap_or(State::Interrupted)
    }
}

/// A release as the ledger has it.
#[derive(Clone, Debug)]
pub struct Release {
    pub number: i64,
    pub kind: Kind,
    pub state: State,
    pub artifact: String,
    /// Of a rollback: the release whose record it applied again.
    pub restores: Option<i64>,
    pub engine: String,
    pub run_id: String,
    pub os_user: String,
    pub host: String,
    pub commit: Option<String>,
    pub tool_version: String,
    /// Fixed when it was opened.
    pub record: Value,
    /// Null until it was closed.
    pub outcome: Value,
    /// UTC, RFC 3339.
    pub started_at: String,
    pub ended_at: Option<String>,
    /// Seconds since it ended, or began where it has not ended.
    pub age_seconds: u64,
}

impl Release {
    /// The release whose folder holds its render and values: itself, or the one it restores.
    pub fn content(&self) -> i64 {
        self.restores.unwrap_or(self.number)
    }
    /// For people: `release 7`.
    pub fn title(&self) -> String {
        match self.restores {
            Some(restored) => format!("release {} (release {restored} again)", self.number),
            None => format!("release {}", self.number),
        }
    }
    /// One object, the record and the outcome as they are.
    pub fn to_json(&self) -> Value {
        json!({
            "number": self.number, "kind": self.kind.name(), "state": self.state.name(), "artifact": self.artifact,
            "restores": self.restores, "engine": self.engine, "run_id": self.run_id, "user": self.os_user, "host": self.host,
            "commit": self.commit, "tool_version": self.tool_version, "started_at": self.started_at,
            "ended_at": self.ended_at, "record": self.record, "outcome": self.outcome,
        })
    }
}

/// One entry of a release's journal.
#[derive(Clone, Debug)]
pub struct Entry {
    pub step: String,
    /// begin, done, same, failed, note.
    pub event: String,
    pub detail: String,
    /// UTC, RFC 3339 with microseconds.
    pub at: String,
    /// Seconds since 1970.
    pub seconds: f64,
    pub chain_sha256: String,
}

impl Entry {
    pub fn to_json(&self) -> Value {
        json!({
            "step": self.step, "event": self.event, "detail": self.detail, "at": self.at, "chain_sha256": self.chain_sha256,
        })
    }
}

/// The steps that frame a release: their details are the hashes of its row.
const OPEN: &str = "open";
const CLOSE: &str = "close";

/// A moment as hashes and answers have it.
fn moment(column: &str) -> String {
    format!("to_char({column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

/// SHA-256 over columns of a row `r` of ops.release: those fixed at its opening, or all.
fn row_sha256(closed: bool) -> String {
    let mut columns = vec![
        "r.number::text".to_owned(),
        "r.kind".to_owned(),
        "r.artifact".to_owned(),
        "coalesce(r.restores::text, '-')".to_owned(),
        "r.engine".to_owned(),
        "r.run_id".to_owned(),
        "r.os_user".to_owned(),
        "r.host".to_owned(),
        "coalesce(r.git_commit, '-')".to_owned(),
        "r.tool_version".to_owned(),
        "r.record".to_owned(),
        moment("r.started_at"),
    ];
    if closed {
        let more = ["r.state".to_owned(), "coalesce(r.outcome, '-')".to_owned(), moment("r.ended_at")];
        columns.extend(more);
    }
    sha256(&columns.join(", "))
}

/// SHA-256 over an entry `x` of the journal and the link before it, an expression.
fn link(before: &str) -> String {
    sha256(&format!("{before}, x.release::text, x.step, x.event, x.detail, {}", moment("x.at")))
}

fn sha256(columns: &str) -> String {
    format!("encode(sha256(convert_to(concat_ws(E'\\n', {columns}), 'UTF8')), 'hex')")
}
