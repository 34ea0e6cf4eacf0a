//! `db backup`: a backup of one moment, then what the policy no longer asks for is removed; `--check` only says whether
//! the policy is met.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::backups::megabytes;
use crate::deploy::retention;
use crate::flags::DbBackup;
use crate::tasks::migrate::{PATIENCE, open_environment, open_own};
use crate::tasks::services::DEV;
use crate::ui::{self, Exit, Failure, Step};
use crate::workspace::{BackupPolicy, Environment, Workspace};
use database::Target;
use database::backup::dump;
use database::backup::policy::{self, Facts};
use database::backup::store::{self, Store};
use database::ledger;
use database::lock::{self, Protects};
use database::releases;
use database::session::Session;

/// Locks, removes what killed runs left, dumps and describes one snapshot, then prunes.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbBackup) -> Result<Exit> {
    let name = environment.unwrap_or(DEV);
    let policy = BackupPolicy::load(workspace, name)?;
    if flags.check {
        return check(workspace, &Environment::load(workspace, name)?, &policy);
    }
    let jobs = super::jobs(flags.jobs, &policy)?;
    let (environment, target) = open_environment(workspace, environment)?;
    let store = Store::of(workspace, &environment);
    let lock_wait = flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs);
    let mut session = open_own(&target, "db backup")?;
    let wanted = releases::backups(&mut session, retention::KEEP)?;
    if flags.plan {
        return plan(workspace, &store, &policy, &wanted, &mut session);
    }
    let _files = store.lock(lock_wait)?;
    store.sweep();
    lock::take(&mut session, Protects::Schema, lock_wait)?;

    let step = ui::step(format!("backup {}", target.describe()));
    let order = dump::Order { workspace, target: &target, store: &store, jobs };
    let backup = dump::make(&order, &mut session, &step)?;
    drop(session);
    let manifest = backup.usable()?;
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let size = megabytes(manifest.bytes());
    step.done_with(&format!("{}, {size}, {} tables, {rows} rows", manifest.id, manifest.tables.len()));
    let removed = prune(&store, &policy, &wanted)?;
    if flags.json {
        ui::json(&json!({
            "id": manifest.id, "folder": backup.folder.as_str(), "bytes": manifest.bytes(),
            "tables": manifest.tables.len(), "rows": rows, "removed": removed,
        }));
    } else {
        ui::out(&manifest.id);
    }
    Ok(Exit::Done)
}

/// The same for `deploy`, without a word on stdout; the backup's id. `wanted` are those of earlier releases.
pub fn before_deploy(
    workspace: &Workspace,
    environment: &Environment,
    target: &Target,
    wanted: &[String],
    step: &Step,
) -> Result<String> {
    let policy = BackupPolicy::load(workspace, &environment.name)?;
    let jobs = super::jobs(None, &policy)?;
    let store = Store::of(workspace, environment);
    let mut session = Session::open_within(target, &ledger::purpose("deploy, backup"), PATIENCE)?;
    let _files = store.lock(PATIENCE)?;
    store.sweep();
    lock::take(&mut session, Protects::Schema, PATIENCE)?;
    let backup = dump::make(&dump::Order { workspace, target, store: &store, jobs }, &mut session, step)?;
    drop(session);
    prune(&store, &policy, wanted)?;
    Ok(backup.usable()?.id.clone())
}

/// Removes what the policy no longer asks for; only after a backup that was completed.
fn prune(store: &Store, policy: &BackupPolicy, wanted: &[String]) -> Result<Vec<String>> {
    let backups = store.list();
    let facts: Vec<Facts> = backups.iter().map(Facts::of).collect();
    let surplus = policy::surplus(&facts, policy, wanted, store::now());
    for backup in backups.iter().filter(|backup| surplus.iter().any(|id| id == backup.id())) {
        store.remove(backup)?;
        ui::say(&format!("removed {}: the policy no longer asks for it", backup.id()));
    }
    Ok(surplus)
}

/// What a backup would hold and remove; exit 3, because it would do something.
fn plan(
    workspace: &Workspace,
    store: &Store,
    policy: &BackupPolicy,
    wanted: &[String],
    session: &mut Session,
) -> Result<Exit> {
    let bytes: u64 = session.value("select pg_database_size(current_database())")?.parse().unwrap_or(0);
    ui::out(&format!("back up {} of data into {}", megabytes(bytes), workspace.relative(&store.folder)));
    let now = store::now();
    let new = Facts { id: "the new one".to_owned(), created: now, is_usable: true, verified: None };
    // First, so that it is the newest also of those of this second.
    let facts: Vec<Facts> = std::iter::once(new).chain(store.list().iter().map(Facts::of)).collect();
    for id in policy::surplus(&facts, policy, wanted, now) {
        ui::out(&format!("remove {id}"));
    }
    Ok(Exit::Findings)
}

fn check(workspace: &Workspace, environment: &Environment, policy: &BackupPolicy) -> Result<Exit> {
    let store = Store::of(workspace, environment);
    let facts: Vec<Facts> = store.list().iter().map(Facts::of).collect();
    let findings = policy::unmet(&facts, policy, &environment.name, store::now());
    if findings.is_empty() {
        ui::say(&format!("the backup policy of `{}` is met", environment.name));
        return Ok(Exit::Done);
    }
    let message = format!("the backup policy of `{}` is not met", environment.name);
    Err(Failure::with_findings(Exit::Findings, &message, findings).into())
}
