//! Makes a backup: pg_dump of one exported snapshot, the content of every table from that same snapshot, and the
//! manifest last. It gets its name when all of it is on the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use super::content::{self, Shape, Table, View};
use super::manifest::{self, DUMP, Manifest};
use super::store::{Backup, Store};
use super::{facts, guarded};
use crate::session::{Session, SqlError};
use crate::{Target, ledger};
use base::tools::{Cmd, files, git, hash};
use base::ui::{self, Failure, Step};
use base::workspace::Workspace;

/// How often tables that come and go while they are listed are listed again.
const ATTEMPTS: usize = 5;

/// What is to be backed up, and how.
pub struct Order<'a> {
    pub workspace: &'a Workspace,
    pub target: &'a Target,
    pub store: &'a Store,
    pub jobs: u32,
}

/// Makes it. `session` holds the schema's lock; it is in no transaction before and after.
pub fn make(order: &Order<'_>, session: &mut Session, step: &Step) -> Result<Backup> {
    let mut created_at = ui::utc(SystemTime::now());
    // An id is a second: two backups within one wait for the next.
    while order.store.folder_of(&order.store.new_id(&created_at)).exists() {
        std::thread::sleep(Duration::from_millis(100));
        created_at = ui::utc(SystemTime::now());
    }
    let id = order.store.new_id(&created_at);
    let temporary = order.store.temporary(&id)?;
    let result = fill(order, session, step, &temporary, (&id, &created_at)).and_then(|manifest| {
        let folder = order.store.folder_of(&id);
        files::rename(&temporary, &folder)?;
        Ok(Backup { folder, manifest: Ok(manifest), verified: None })
    });
    if result.is_err() {
        // Best effort: the next run removes it as well. It may be what fills the disk.
        let _removed = files::remove(&temporary);
    }
    result
}

fn fill(
    order: &Order<'_>,
    session: &mut Session,
    step: &Step,
    folder: &Utf8Path,
    (id, created_at): (&str, &str),
) -> Result<Manifest> {
    step.detail("the snapshot");
    content::settle(session)?;
    let lock_timeout = order.target.config.timeouts.lock;
    let (shapes, snapshot) = snapshot(session, lock_timeout)?;
    let before = content::sequences(session)?;
    step.detail("pg_dump");
    let (tables, facts) = dump_and_look(order, step, folder, &shapes, &snapshot, || Facts::read(order, session))?;
    let sequences = content::between(before, &content::sequences(session)?);
    session.execute("commit")?;
    step.detail("the manifest");
    let dump = folder.join(DUMP);
    let (schema_sha256, files) = std::thread::scope(|scope| {
        let schema = scope.spawn(|| schema_sha256(order.target, &dump));
        let files = manifest::measure(folder, &dump).and_then(|measured| files::sync_tree(&dump).map(|()| measured));
        (schema.join().unwrap_or_else(|_| Err(Failure::failed("a thread ended early").into())), files)
    });
    let manifest = Manifest {
        id: id.to_owned(),
        environment: order.target.environment.clone(),
        created_at: created_at.to_owned(),
        database: facts.database,
        made_by: facts.made_by,
        schema_sha256: schema_sha256?,
        migrations: facts.migrations,
        content: content::METHOD.to_owned(),
        tables,
        sequences,
        files: files?,
        text: String::new(),
    };
    let manifest = manifest.sealed();
    files::write(&folder.join(manifest::NAME), &manifest.text, 0o600)?;
    Ok(manifest)
}

/// What is asked while pg_dump is at work; of the database, in the same snapshot.
struct Facts {
    database: Value,
    migrations: Value,
    made_by: Value,
}

impl Facts {
    fn read(order: &Order<'_>, session: &mut Session) -> Result<Facts> {
        let database = facts::read(session)?;
        let migrations = facts::ledger_head(session)?;
        let server = session.value("show server_version")?;
        let pg_dump = Cmd::new(order.target.program("pg_dump")?).arg("--version").read()?;
        let version = pg_dump.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let run = ledger::Run::new(git::commit(order.workspace.root()))?;
        let made_by = json!({
            "server": server, "pg_dump": version, "xtask": env!("CARGO_PKG_VERSION"), "jobs": order.jobs,
            "commit": run.commit, "user": run.os_user, "host": run.host,
        });
        Ok(Facts { database, migrations, made_by })
    }
}

/// Opens a transaction whose snapshot is exported, with every table's structure held. The tables are locked before the
/// snapshot is taken: one that is emptied by TRUNCATE in between would look empty in it.
fn snapshot(session: &mut Session, lock_timeout: Duration) -> Result<(Vec<Shape>, String)> {
    session.execute(&format!("set lock_timeout = {}", lock_timeout.as_millis()))?;
    for _ in 0..ATTEMPTS {
        let before = content::names(session)?;
        session.execute("begin isolation level repeatable read read only")?;
        if let Err(error) = content::hold(session, &before) {
            session.execute("rollback")?;
            let sqlstate = error.downcast_ref::<Box<SqlError>>().map(|error| error.sqlstate.clone());
            match sqlstate.as_deref() {
                // Dropped or renamed since it was listed.
                Some("42P01" | "3F000") => continue,
                Some("55P03") => {
                    let failure = Failure::failed(format!("a table stayed locked by another session: {error:#}"));
                    let hint = "see who: `cargo xtask db shell`, then select * from pg_stat_activity where \
                                wait_event_type is distinct from 'Client'; run the backup again when it is done";
                    return Err(failure.hint(hint).into());
                }
                _ => return Err(error),
            }
        }
        let snapshot = session.value("select pg_export_snapshot()")?;
        // One that came in between is not held; with it, all begins anew.
        if content::names(session)? == before {
            return Ok((content::shapes(session)?, snapshot));
        }
        session.execute("rollback")?;
    }
    let failure = Failure::failed("tables are made and dropped all the time; no moment could be held");
    Err(failure.hint("run it again when the schema is quiet").into())
}

/// pg_dump, our own look at the tables, and `meanwhile`, side by side: all see the same snapshot.
fn dump_and_look<T: Send>(
    order: &Order<'_>,
    step: &Step,
    folder: &Utf8Path,
    shapes: &[Shape],
    snapshot: &str,
    meanwhile: impl FnOnce() -> Result<T> + Send,
) -> Result<(Vec<Table>, T)> {
    let lock_timeout = order.target.config.timeouts.lock;
    let connection = guarded(order.target, "db backup");
    let dump = connection.apply(Cmd::new(order.target.program("pg_dump")?)).args([
        "--format=directory",
        "--no-password",
        // Two thirds of the time of the default (6), for some percent more bytes.
        "--compress=4",
        // All of it is written through to the disk at the end, several files at a time.
        "--no-sync",
        &format!("--jobs={}", order.jobs),
        &format!("--snapshot={snapshot}"),
        &format!("--lock-wait-timeout={}", lock_timeout.as_millis()),
        &format!("--file={}", folder.join(DUMP)),
    ]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dumped = scope.spawn(|| {
            let result = dump.run(step);
            stop.fetch_or(result.is_err(), Ordering::Relaxed);
            result
        });
        let asked = scope.spawn(meanwhile);
        let jobs = usize::try_from(order.jobs).unwrap_or(1);
        let tables = content::look(order.target, shapes, View::Snapshot(snapshot), jobs, &stop);
        let ended_early = || Failure::failed("a thread ended early");
        let asked = asked.join().unwrap_or_else(|_| Err(ended_early().into()));
        dumped.join().unwrap_or_else(|_| Err(ended_early().into()))?;
        Ok((tables?, asked?))
    })
}

/// SHA-256 of the schema as SQL, without what differs from run to run.
fn schema_sha256(target: &Target, dump: &Utf8Path) -> Result<String> {
    let restore = Cmd::new(target.program("pg_restore")?).args(["--schema-only", "--file=-", dump.as_str()]);
    let restore = restore.env("LC_ALL", "C.UTF-8");
    let output = restore.output()?;
    if !output.ok() {
        return Err(restore.failure(&output)).context("what pg_dump wrote cannot be read");
    }
    let is_noise = |line: &&str| {
        line.is_empty() || ["--", "\\restrict", "\\unrestrict", "SET "].iter().any(|start| line.starts_with(start))
    };
    let lines: Vec<&str> = output.stdout.lines().filter(|line| !is_noise(line)).collect();
    Ok(hash::sha256(lines.join("\n")))
}
