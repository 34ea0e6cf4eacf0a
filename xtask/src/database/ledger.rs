//! The ledger: the schema `ops` in each environment's database. It knows which migrations were applied, by whom and
//! from which content, and which environment the database belongs to. Always named with its schema: a migration may
//! have changed the search path.

use anyhow::{Context, Result};
use serde_json::Value;

use super::lock;
use super::session::{Session, literal};
use crate::tools::hash;
use crate::ui::Failure;
use crate::workspace::Database;

/// What services may read: versions that are applied. A view, so that the table behind it may change.
const TABLES: &str = "
create schema if not exists ops;
create table if not exists ops.identity (
    only_row boolean primary key default true check (only_row),
    environment text not null,
    created_at timestamptz not null default now()
);
create table if not exists ops.migration (
    -- digits, as in the file's name
    version text primary key check (version ~ '^[0-9]+$'),
    name text not null,
    state text not null check (state in ('running', 'applied', 'baseline')),
    -- of a file without a transaction: statements that are done
    statements_done int not null default 0,
    sha256 text not null,
    raw_sha256 text not null,
    -- of the row before it (by time) and this one: a history that was edited shows
    chain_sha256 text not null,
    run_id text not null,
    applied_by text not null default session_user,
    os_user text not null,
    host text not null,
    git_commit text,
    tool_version text not null,
    started_at timestamptz not null default clock_timestamp(),
    applied_at timestamptz,
    duration_ms bigint
);
create table if not exists ops.repeatable (
    name text primary key,
    sha256 text not null,
    run_id text not null,
    applied_at timestamptz not null default now()
);
create or replace view ops.applied_migration as
    select version from ops.migration where state in ('applied', 'baseline');
";

/// A row of ops.migration.
#[derive(Clone, Debug)]
pub struct Applied {
    pub version: String,
    pub name: String,
    pub state: String,
    pub statements_done: usize,
    pub sha256: String,
    pub chain_sha256: String,
    pub applied_at: Option<String>,
}

/// Who and what makes an entry.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: String,
    pub os_user: String,
    pub host: String,
    pub commit: Option<String>,
}

/// The contents of one migration, as the ledger keeps them.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub version: &'a str,
    pub name: &'a str,
    /// Of the canonical form: LF, no byte order mark.
    pub sha256: &'a str,
    pub raw_sha256: &'a str,
}

/// True when the ledger is there.
pub fn exists(session: &mut Session) -> Result<bool> {
    Ok(session.value("select to_regclass('ops.migration') is not null")? == "t")
}

/// Makes the ledger where it is missing, lets the services' role read what it may, and pins the environment. The
/// caller holds the schema's lock.
pub fn prepare(session: &mut Session, environment: &str, config: &Database) -> Result<()> {
    check_identity(session, environment)?;
    check_extensions(session, config)?;
    let statements: Vec<&str> =
        TABLES.split_inclusive(";\n").filter(|statement| !statement.trim().is_empty()).collect();
    let mut all = vec!["begin", "set local client_min_messages = warning"];
    all.extend(statements);
    let pin =
        format!("insert into ops.identity (environment) values ({}) on conflict do nothing", literal(environment));
    let grant = format!(
        "do $$ begin if exists (select from pg_catalog.pg_roles where rolname = {role}) then \
         execute format('grant usage on schema ops to %I', {role}); \
         execute format('grant select on ops.applied_migration to %I', {role}); end if; end $$",
        role = literal(&config.service_role)
    );
    all.extend([pin.as_str(), grant.as_str(), "commit"]);
    for answer in session.run_all(&all)? {
        answer.ok().context("failed to make the ledger")?;
    }
    Ok(())
}

/// Refuses (exit 3) when the database says that it belongs to another environment.
pub fn check_identity(session: &mut Session, environment: &str) -> Result<()> {
    if session.value("select to_regclass('ops.identity') is not null")? != "t" {
        return Ok(());
    }
    let found = session.value("select environment from ops.identity")?;
    if found.is_empty() || found == environment {
        return Ok(());
    }
    let message = format!("this is the database of `{found}`, not of `{environment}`; nothing was touched");
    Err(Failure::refused(message)
        .hint(format!("check DATABASE_ADMIN_URL in config/environments/.env.{environment}"))
        .into())
}

/// Refuses (exit 4) when the server does not offer an extension that database.yaml names.
fn check_extensions(session: &mut Session, config: &Database) -> Result<()> {
    let wanted: Vec<String> = config.extensions.iter().map(|name| format!("({})", literal(name))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let missing = session.value(&format!(
        "select string_agg(name, ', ') from (values {}) wanted (name) \
         where name not in (select name from pg_catalog.pg_available_extensions)",
        wanted.join(", ")
    ))?;
    if missing.is_empty() {
        return Ok(());
    }
    let failure = Failure::cannot_tell(format!("the server does not offer the extension {missing}"));
    Err(failure
        .hint("install it on the server (Debian: postgresql-contrib), or take it out of config/services/database.yaml")
        .into())
}

/// Every entry, oldest first.
pub fn read(session: &mut Session) -> Result<Vec<Applied>> {
    if !exists(session)? {
        return Ok(Vec::new());
    }
    let rows = session.query(
        "select version, name, state, statements_done, sha256, chain_sha256, \
         to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as applied_at \
         from ops.migration order by started_at, version::numeric",
    )?;
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let applied = |row: &Value| Applied {
        version: text(row, "version"),
        name: text(row, "name"),
        state: text(row, "state"),
        statements_done: row["statements_done"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        sha256: text(row, "sha256"),
        chain_sha256: text(row, "chain_sha256"),
        applied_at: row["applied_at"].as_str().map(str::to_owned),
    };
    Ok(rows.iter().map(applied).collect())
}

impl Run {
    pub fn new(commit: Option<String>) -> Result<Run> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let os_user = std::env::var("USER").unwrap_or_else(|_| format!("uid {}", crate::tools::os::user_id()));
        Ok(Run { id: crate::tools::os::random_hex(8)?, os_user, host: host.trim().to_owned(), commit })
    }
}

/// The chain's next link: SHA-256 of the link before, the version and the content.
pub fn link(before: &str, entry: &Entry<'_>) -> String {
    hash::sha256(format!("{before}\n{}\n{}\n{}\n", entry.version, entry.name, entry.sha256))
}

/// The statement that records a migration which runs in the same transaction.
pub fn record(entry: &Entry<'_>, chain: &str, run: &Run, started: &str) -> String {
    insert(
        entry,
        chain,
        run,
        "applied",
        &format!("{started}, clock_timestamp(), round(extract(epoch from clock_timestamp() - {started}) * 1000)"),
    )
}

/// The statement that records the intent to run a migration outside a transaction.
pub fn intend(entry: &Entry<'_>, chain: &str, run: &Run) -> String {
    insert(entry, chain, run, "running", "clock_timestamp(), null, null")
}

/// The statement that records the content of a repeatable file.
pub fn record_repeatable(entry: &Entry<'_>, run: &Run) -> String {
    let [name, sha256, run] = [entry.name, entry.sha256, run.id.as_str()].map(literal);
    format!(
        "insert into ops.repeatable (name, sha256, run_id) values ({name}, {sha256}, {run}) \
         on conflict (name) do update set sha256 = excluded.sha256, run_id = excluded.run_id, applied_at = now()"
    )
}

fn insert(entry: &Entry<'_>, chain: &str, run: &Run, state: &str, times: &str) -> String {
    let commit = run.commit.as_deref().map_or("null".to_owned(), literal);
    let texts = [
        entry.name,
        state,
        entry.sha256,
        entry.raw_sha256,
        chain,
        &run.id,
        &run.os_user,
        &run.host,
        env!("CARGO_PKG_VERSION"),
    ];
    let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
    format!(
        "insert into ops.migration (version, name, state, sha256, raw_sha256, chain_sha256, run_id, os_user, host, tool_version, \
         git_commit, started_at, applied_at, duration_ms) values ({}, {}, {commit}, {times})",
        literal(entry.version),
        texts.join(", ")
    )
}

/// Statements of a migration outside a transaction that are done.
pub fn progress(version: &str, statements: usize) -> String {
    format!("update ops.migration set statements_done = {statements} where version = {}", literal(version))
}

/// A migration outside a transaction has come to its end.
pub fn finish(version: &str) -> String {
    format!(
        "update ops.migration set state = 'applied', applied_at = clock_timestamp(), \
         duration_ms = round(extract(epoch from clock_timestamp() - started_at) * 1000) where version = {}",
        literal(version)
    )
}

/// Names the run to the server, for whoever finds the lock taken.
pub fn purpose(task: &str) -> String {
    lock::application_name(task)
}
