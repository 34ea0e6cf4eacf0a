//! What is written to the ledger, each time as statements for one message to the server: they are done together or not
//! at all. It is to be sent while the schema's lock is held, and fails (22012) when that was lost meanwhile.

use super::{Entry, Run};
use crate::lock::{self, Protects};
use crate::session::literal;
use base::tools::hash;

/// What happened to a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Applied,
    Reverted,
    Baseline,
    /// The ledger was made to agree with the file.
    Repaired,
    /// Its row was removed, because its file is gone.
    Forgotten,
}

impl Event {
    pub fn name(self) -> &'static str {
        match self {
            Event::Applied => "applied",
            Event::Reverted => "reverted",
            Event::Baseline => "baseline",
            Event::Repaired => "repaired",
            Event::Forgotten => "forgotten",
        }
    }
}

/// The last link of the history's chain, and the run that adds to it.
#[derive(Clone, Debug)]
pub struct Chain {
    pub last: String,
    pub run: Run,
}

impl Chain {
    /// The next link: SHA-256 of the link before, the event, the version, the name and the content.
    pub fn link(&self, event: Event, entry: &Entry<'_>) -> String {
        hash::sha256(format!("{}\n{}\n{}\n{}\n{}\n", self.last, event.name(), entry.version, entry.name, entry.sha256))
    }

    fn by(&self) -> String {
        let commit = self.run.commit.as_deref().map_or("null".to_owned(), literal);
        let texts = [&self.run.id, &self.run.os_user, &self.run.host, env!("CARGO_PKG_VERSION")].map(literal);
        format!("{}, {commit}", texts.join(", "))
    }

    /// Proves that the lock is held, and writes to the history.
    fn event(&self, event: Event, entry: &Entry<'_>) -> String {
        let texts = [event.name(), entry.version, entry.name, entry.sha256, &self.link(event, entry)].map(literal);
        format!(
            "{}\\; insert into ops.migration_event (event, version, name, sha256, chain_sha256, {BY}) values ({}, {})",
            held(),
            texts.join(", "),
            self.by()
        )
    }
}

const BY: &str = "run_id, os_user, host, tool_version, git_commit";
const ROW: &str =
    "version, name, state, sha256, raw_sha256, chain_sha256, run_id, os_user, host, tool_version, git_commit";

/// A statement before the others, because plain INSERTs behind it are planned in half the time.
fn held() -> String {
    lock::proof(Protects::Schema)
}

fn row(chain: &Chain, entry: &Entry<'_>, state: &str, link: &str) -> String {
    let texts = [entry.version, entry.name, state, entry.sha256, entry.raw_sha256, link].map(literal);
    format!("{}, {}", texts.join(", "), chain.by())
}

/// Records a migration that is applied in the same transaction, or one that is there already (a baseline).
pub fn record(chain: &Chain, event: Event, entry: &Entry<'_>) -> String {
    let state = if event == Event::Baseline { "baseline" } else { "applied" };
    let link = chain.link(event, entry);
    format!(
        "{}\\; insert into ops.migration ({ROW}, started_at, applied_at, duration_ms) values ({}, transaction_timestamp(), \
         clock_timestamp(), round(extract(epoch from clock_timestamp() - transaction_timestamp()) * 1000))",
        chain.event(event, entry),
        row(chain, entry, state, &link)
    )
}

/// Records the intent to run a file outside a transaction: `running` up, `reverting` down. The row of one that is
/// reverting stands already.
pub fn begin(chain: &Chain, entry: &Entry<'_>, state: &str) -> String {
    format!(
        "{}\\; insert into ops.migration ({ROW}) values ({}) on conflict (version) do update set \
         state = excluded.state, statements_done = 0, done_sha256 = ''",
        held(),
        row(chain, entry, state, "")
    )
}

/// Statements of a file outside a transaction that are done, and their hash.
pub fn progress(version: &str, statements: usize, sha256: &str) -> String {
    format!(
        "{}\\; update ops.migration set statements_done = {statements}, done_sha256 = {} where version = {}",
        held(),
        literal(sha256),
        literal(version)
    )
}

/// A migration outside a transaction has come to its end; the file may have been mended behind what was done.
pub fn finish(chain: &Chain, entry: &Entry<'_>) -> String {
    let [name, sha256, raw, link] =
        [entry.name, entry.sha256, entry.raw_sha256, &chain.link(Event::Applied, entry)].map(literal);
    format!(
        "{}\\; update ops.migration set state = 'applied', name = {name}, sha256 = {sha256}, raw_sha256 = {raw}, \
         chain_sha256 = {link}, applied_at = clock_timestamp(), \
         duration_ms = round(extract(epoch from clock_timestamp() - started_at) * 1000) where version = {}",
        chain.event(Event::Applied, entry),
        literal(entry.version)
    )
}

/// Removes a row, with an event that says why. Repeatable files are to be applied again: what they made may be gone.
pub fn forget(chain: &Chain, event: Event, entry: &Entry<'_>) -> String {
    format!(
        "{}\\; delete from ops.repeatable\\; delete from ops.migration where version = {}",
        chain.event(event, entry),
        literal(entry.version)
    )
}

/// Makes a row agree with its file.
pub fn replace(chain: &Chain, entry: &Entry<'_>) -> String {
    let [name, sha256, raw, link] =
        [entry.name, entry.sha256, entry.raw_sha256, &chain.link(Event::Repaired, entry)].map(literal);
    format!(
        "{}\\; update ops.migration set name = {name}, sha256 = {sha256}, raw_sha256 = {raw}, chain_sha256 = {link} \
         where version = {}",
        chain.event(Event::Repaired, entry),
        literal(entry.version)
    )
}

/// Records the content of a repeatable file.
pub fn record_repeatable(chain: &Chain, entry: &Entry<'_>) -> String {
    let [name, sha256, run] = [entry.name, entry.sha256, &chain.run.id].map(literal);
    format!(
        "{}\\; insert into ops.repeatable (name, sha256, run_id) values ({name}, {sha256}, {run}) \
         on conflict (name) do update set sha256 = excluded.sha256, run_id = excluded.run_id, applied_at = now()",
        held()
    )
}
