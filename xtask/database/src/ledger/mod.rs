//! The ledger: the schema `ops` in each environment's database. It knows which migrations were applied, by whom and
//! from which content, and which environment the database belongs to. Always named with its schema: a migration may
//! have changed the search path.

mod look;
mod write;

use anyhow::{Context, Result};

use super::lock;
use super::session::{Session, literal};
use base::tools::os;
use base::ui::Failure;
use base::workspace::Database;

pub use look::{Look, look, read};
pub use write::{Chain, Event, begin, finish, forget, progress, record, record_repeatable, replace};

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
    -- running, reverting: begun outside a transaction and not finished
    state text not null check (state in ('running', 'reverting', 'applied', 'baseline')),
    -- of a file without a transaction: statements that are done, and their hash
    statements_done int not null default 0,
    sha256 text not null,
    raw_sha256 text not null,
    -- of the entry in ops.migration_event that made this row
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
alter table ops.migration add column if not exists done_sha256 text not null default '';
create table if not exists ops.migration_event (
    id bigint generated always as identity primary key,
    event text not null check (event in ('applied', 'reverted', 'baseline', 'repaired', 'forgotten')),
    version text not null,
    name text not null,
    sha256 text not null,
    -- of the entry before it and this one: a history that was edited shows
    chain_sha256 text not null,
    run_id text not null,
    applied_by text not null default session_user,
    os_user text not null,
    host text not null,
    git_commit text,
    tool_version text not null,
    at timestamptz not null default clock_timestamp()
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
    /// Of the statements that are done.
    pub done_sha256: String,
    pub sha256: String,
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
    compare_identity(&found, environment)
}

fn compare_identity(found: &str, environment: &str) -> Result<()> {
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

impl Run {
    pub fn new(commit: Option<String>) -> Result<Run> {
        let os_user = std::env::var("USER").unwrap_or_else(|_| format!("uid {}", os::user_id()));
        Ok(Run { id: os::random_hex(8)?, os_user, host: os::host_name(), commit })
    }
}

/// Names the run to the server, for whoever finds the lock taken.
pub fn purpose(task: &str) -> String {
    lock::application_name(task)
}
