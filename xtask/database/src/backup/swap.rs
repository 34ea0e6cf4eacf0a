//! A restored database takes the place of the old one: both renames in one transaction from the maintenance database,
//! so that a crash at any moment leaves the one state or the other, and never a database that is closed.
//!
//! ALTER DATABASE … RENAME locks the database first, which makes every new connection wait, and then waits some seconds
//! for the sessions that are there to end, looking again every tenth of a second. A second session ends them meanwhile,
//! the one that holds the schema's lock last of all: it is there until nobody can come in any more. Then it wakes the
//! rename by a notification, so that clients wait for some milliseconds only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::manifest::Manifest;
use super::scratch::{self, Scratch};
use super::{facts, releases};
use crate::Target;
use crate::session::{Session, SqlError, identifier, literal};
use base::ui::{self, Failure, Step};
use base::workspace::Workspace;

/// How often the sessions of the old database are ended.
const PAUSE: Duration = Duration::from_millis(5);
/// How often the rename is woken: each time it looks once, and it looks fifty times.
const WAKES: u32 = 5;
const CHANNEL: &str = "xtask_swap";
/// How long the rename may wait for whoever copies or alters the database right now.
const LOCK_TIMEOUT: &str = "10s";
/// Each gives the old sessions five seconds to end.
const ATTEMPTS: usize = 3;

/// Puts the scratch database in the target's place, and says under which name the old one is kept: closed, None when
/// there was none. `held` is a session in the old database that holds the schema's lock, with one of
/// [`scratch::maintenance`] that ends the others.
pub fn swap(mut scratch: Scratch, target: &Target, held: Option<(Session, Session)>) -> Result<Option<String>> {
    let [old, new] = [&target.database, &scratch.target.database].map(|name| identifier(name));
    let Some((held, ender)) = held else {
        let service = identifier(&target.config.service_role);
        for statement in [
            "begin".to_owned(),
            format!("revoke all on database {new} from public"),
            format!("grant connect on database {new} to {service}"),
            format!("alter database {new} rename to {old}"),
            "commit".to_owned(),
        ] {
            scratch.maintenance.execute(&statement)?;
        }
        return Ok(None);
    };
    let digits: String = ui::utc(SystemTime::now()).chars().filter(char::is_ascii_digit).collect();
    let kept = format!("{}{digits}", scratch::beside(&target.database, "old"));
    let properties = facts::properties(&mut scratch.maintenance, &target.database, &scratch.target.database)?;
    let mut statements = vec![
        "begin".to_owned(),
        format!("set local lock_timeout = '{LOCK_TIMEOUT}'"),
        "set local statement_timeout = 0".to_owned(),
        "set local search_path = ''".to_owned(),
    ];
    statements.extend(properties);
    statements.extend([
        format!("alter database {old} rename to {}", identifier(&kept)),
        format!("alter database {new} rename to {old}"),
        format!("alter database {} allow_connections false", identifier(&kept)),
        "commit".to_owned(),
    ]);
    scratch.maintenance.execute(&format!("listen {CHANNEL}"))?;
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| end_sessions(ender, &target.database, &done));
        let result = run(&mut scratch.maintenance, &statements);
        done.store(true, Ordering::Relaxed);
        result
    });
    drop(held);
    match result {
        Ok(()) => Ok(Some(kept)),
        Err(error) => {
            let message = format!("failed to put the restored database in place, the old one serves on: {error:#}");
            // Best effort: the next run drops it as well.
            let _dropped = scratch.remove();
            let hint = "see who does not leave: `cargo xtask db shell`, then select * from pg_stat_activity";
            Err(Failure::failed(message).hint(hint).into())
        }
    }
}

fn run(session: &mut Session, statements: &[String]) -> Result<()> {
    let mut attempt = 1;
    loop {
        let result = statements.iter().try_for_each(|statement| session.execute(statement).map(|_| ()));
        let Err(error) = result else { return Ok(()) };
        session.execute("rollback")?;
        let is_in_use = error.downcast_ref::<Box<SqlError>>().is_some_and(|error| error.sqlstate == "55006");
        if !is_in_use || attempt == ATTEMPTS {
            return Err(error);
        }
        attempt += 1;
    }
}

/// As soon as the rename has its lock, ends all sessions in the database, again and again until the swap is over. Its own
/// failure shows in that of the rename.
fn end_sessions(mut session: Session, database: &str, done: &AtomicBool) {
    let database = literal(database);
    let is_locked = format!(
        "exists (select from pg_catalog.pg_locks l join pg_catalog.pg_database d on d.oid = l.objid \
           where l.locktype = 'object' and l.classid = 'pg_catalog.pg_database'::regclass and d.datname = {database} \
           and l.mode = 'AccessExclusiveLock' and l.granted)"
    );
    // A session that this role may not end is left, and the rename then says that it is there.
    let end = format!(
        "select count(pg_terminate_backend(a.pid)) from pg_catalog.pg_stat_activity a \
         where a.datname = {database} and (a.usesysid is null or pg_has_role(current_user, a.usesysid, 'member') \
           or pg_has_role(current_user, 'pg_signal_backend', 'member')) and {is_locked}"
    );
    let wake = format!(
        "select count(pg_notify('{CHANNEL}', '')) from (select) it \
         where {is_locked} and not exists (select from pg_catalog.pg_stat_activity where datname = {database})"
    );
    let mut wakes = 0;
    while !done.load(Ordering::Relaxed) {
        let _ended = session.run(&end);
        if wakes < WAKES && session.value(&wake).is_ok_and(|count| count == "1") {
            wakes += 1;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Makes the releases of the scratch database those of the target's, and keeps them as they are until `held` ends.
pub fn carry_releases(
    held: &mut Session,
    target: &Target,
    scratch: &Scratch,
    manifest: &Manifest,
    workspace: &Workspace,
    step: &Step,
) -> Result<usize> {
    let same_environment = manifest.environment == target.environment;
    let folder = workspace.ops().join("restore").join(&scratch.target.database);
    releases::carry(held, (target, &scratch.target), same_environment, &folder, step)
}

/// What would make the swap fail, found before anything is made: refused (exit 3).
pub fn preflight(maintenance: &mut Session, database: &str) -> Result<()> {
    let name = literal(database);
    let prepared = format!("select count(*) from pg_catalog.pg_prepared_xacts where database = {name}");
    if maintenance.value(&prepared)? != "0" {
        let failure = Failure::refused(format!("`{database}` has prepared transactions; nothing was touched"));
        return Err(failure.hint("commit or roll them back: select * from pg_prepared_xacts").into());
    }
    let slots = format!("select count(*) from pg_catalog.pg_replication_slots where database = {name}");
    if maintenance.value(&slots)? != "0" {
        let message = format!("`{database}` has logical replication slots, which would stay with the old database");
        let hint = "drop them, or end the replication: select * from pg_replication_slots";
        return Err(Failure::refused(message).hint(hint).into());
    }
    Ok(())
}
