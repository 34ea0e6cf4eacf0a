//! A lock in the database: a PostgreSQL advisory lock, held by the session that does the work. It is gone when that
//! session is gone, so it can not go stale.
//!
//! It is taken by asking again and again, never by waiting: a session that waits for a lock has a snapshot, and a
//! CREATE INDEX CONCURRENTLY of the holder would wait for it (measured: "deadlock detected").

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::session::{Session, literal};
use base::tools::{hash, os};
use base::ui::{self, Failure};

/// How often a lock that is held is asked for again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a run that was killed may go on holding it, or one that is just ending.
const ORPHAN: Duration = Duration::from_secs(5);

/// What a lock protects; part of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protects {
    /// The schema and the ledger: migrations, seeds, restores.
    Schema,
    /// What runs in the environment: deployments and rollbacks.
    Release,
}

impl Protects {
    fn name(self) -> &'static str {
        match self {
            Protects::Schema => "schema",
            Protects::Release => "release",
        }
    }
    /// The number of the advisory lock: 63 bits of SHA-256 of `xtask:<name>`; locks are per database already.
    pub fn number(self) -> i64 {
        let digits = &hash::sha256(format!("xtask:{}", self.name()))[..16];
        u64::from_str_radix(digits, 16).map_or(0, |number| i64::try_from(number >> 1).unwrap_or(0))
    }
}

/// Takes the lock for as long as the session lives, or says who holds it (exit 5) when `patience` is over.
pub fn take(session: &mut Session, what: Protects, patience: Duration) -> Result<()> {
    let started = Instant::now();
    let mut told = false;
    // Twice: what writes to the ledger gives it back once and takes it again, to see that it is still there.
    let number = what.number();
    let query = format!("select pg_try_advisory_lock({number}) and pg_try_advisory_lock({number})");
    while session.value(&query)? != "t" {
        let (holder, pid) = holder(session, what)?;
        // A killed run's statement ends when the server misses its client, or has ended already.
        let patience = if pid.is_none() { patience.max(ORPHAN) } else { patience };
        if started.elapsed() >= patience {
            let failure = Failure::busy(format!("the database is locked by another run: {holder}"));
            return Err(failure.hint("wait until it ends, or give it time with --lock-wait SECONDS").into());
        }
        // A session that has just ended is gone within moments; nobody need know.
        if !told && started.elapsed() >= PAUSE {
            ui::say(&format!("waiting for the lock of {holder}"));
            told = true;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// A statement that fails (22012) when the lock is lost. The lock is held twice, so giving it back once says whether it is
/// still there.
pub fn proof(what: Protects) -> String {
    let lock = what.number();
    format!(
        "select 1 / (case when pg_catalog.pg_advisory_unlock({lock}) \
         then pg_catalog.pg_try_advisory_lock({lock}) else false end)::int as yes"
    )
}

/// The same as a part of a statement, `held as …`; with it `from held where yes = 1`.
pub fn held(what: Protects) -> String {
    format!("held as materialized ({})", proof(what))
}

/// The number of the lock that says that the maker of a database beside others is alive: it takes it before it makes the
/// database, and has it until the database is gone or has got another name. Every run that might remove such a database
/// asks for it in the same database of the server.
fn of_maker(name: &str) -> String {
    format!("hashtextextended({}, 0)", literal(&format!("xtask:database:{name}")))
}

/// Takes the lock of a database's maker; false when somebody else has it. The session that has it already takes it again.
pub fn take_as_maker(session: &mut Session, name: &str) -> Result<bool> {
    Ok(session.value(&format!("select pg_catalog.pg_try_advisory_lock({})", of_maker(name)))? == "t")
}

pub fn give_back_as_maker(session: &mut Session, name: &str) -> Result<()> {
    session.value(&format!("select pg_catalog.pg_advisory_unlock({})", of_maker(name)))?;
    Ok(())
}

/// True when anybody holds it right now.
pub fn is_taken(session: &mut Session, what: Protects) -> Result<bool> {
    Ok(holder(session, what)?.1.is_some())
}

/// True as long as the session still holds it: a pooler or a restart may have taken it away.
pub fn is_held(session: &mut Session, what: Protects) -> Result<bool> {
    // A bigint key is split into classid (high half) and objid (low half), with objsubid 1.
    let query = format!(
        "select exists (select from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted \
         and objsubid = 1 and (classid::bigint << 32) | objid::bigint = {})",
        what.number()
    );
    Ok(session.value(&query)? == "t")
}

/// Who holds it: what the server knows of the session, whose application name carries the run; and its process, unless
/// that is known to be gone.
fn holder(session: &mut Session, what: Protects) -> Result<(String, Option<u32>)> {
    let query = format!(
        "select a.pid, a.usename, coalesce(a.client_addr::text, 'local') as address, a.application_name, \
         extract(epoch from now() - a.backend_start)::int as age from pg_catalog.pg_locks l \
         join pg_catalog.pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.granted and l.objsubid = 1 \
         and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) \
         and (l.classid::bigint << 32) | l.objid::bigint = {}",
        what.number()
    );
    Ok(match session.query(&query)?.first() {
        Some(holder) => {
            let name = holder["application_name"].as_str().unwrap_or_default();
            (describe(holder), (!is_orphan(name)).then(|| run_of(name).map_or(0, |(pid, _)| pid)))
        }
        None => ("a run that is just ending".to_owned(), None),
    })
}

/// Process and machine of a run, from its application name.
fn run_of(name: &str) -> Option<(u32, &str)> {
    let (_, rest) = name.rsplit_once(" pid ")?;
    let (pid, who) = rest.split_once(' ')?;
    Some((pid.parse().ok()?, who.rsplit_once('@')?.1))
}

/// True when it was begun on this machine by a process that is gone.
fn is_orphan(name: &str) -> bool {
    let here = os::host_name();
    run_of(name).is_some_and(|(pid, host)| {
        !host.is_empty() && here.starts_with(host) && os::process(pid).is_none_or(|it| it.is_zombie)
    })
}

fn describe(holder: &Value) -> String {
    let text = |key: &str| holder[key].as_str().unwrap_or("?").to_owned();
    let age = Duration::from_secs(holder["age"].as_u64().unwrap_or(0));
    let orphan = if is_orphan(&text("application_name")) { ", whose run was killed" } else { "" };
    format!(
        "`{}`{orphan}, server process {}, role {}, for {}",
        text("application_name"),
        holder["pid"],
        text("usename"),
        ui::age(age)
    )
}

/// The application name of a run: what it does, and on which machine and process. PostgreSQL cuts it at 63 bytes.
pub fn application_name(task: &str) -> String {
    let host = os::host_name();
    let user = std::env::var("USER").unwrap_or_default();
    let name = format!("xtask {task} pid {} {user}@{}", std::process::id(), host);
    name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(63).collect()
}

/// Backends that an earlier, killed run of a migration left at work in this database: what they are, for a message. The
/// caller holds the schema's lock, so no other run is alive.
pub fn leftovers(session: &mut Session) -> Result<Vec<String>> {
    let rows = session.query(
        "select pid, application_name, left(query, 60) as query \
         from pg_catalog.pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
         and (application_name like 'xtask migrate up%' or application_name like 'xtask migrate down%' \
         or application_name like 'xtask setup%') and state <> 'idle'",
    )?;
    let describe = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ");
        format!("server process {} of `{}` ({})", row["pid"], text("application_name"), text("query"))
    };
    Ok(rows.iter().map(describe).collect())
}
