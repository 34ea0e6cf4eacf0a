//! `migrate up|status|new`: the schema of an environment's database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::json;

use crate::database::ledger::{self, Run};
use crate::database::lock::{self, Protects};
use crate::database::migrations::{self, Migration, State};
use crate::database::session::Session;
use crate::database::{Cluster, Target, seeds};
use crate::flags::{MigrateNew, MigrateStatus, MigrateUp};
use crate::tools::{files, git};
use crate::ui::{self, Exit, Failure};
use crate::workspace::{Database, Environment, Workspace};

/// How long the server may take to answer, unless `--wait` says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Plans, takes the lock, applies each pending migration with its ledger row, then what is repeatable.
pub fn up(workspace: &Workspace, environment: Option<&str>, flags: &MigrateUp) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let files = migrations::read(workspace)?;
    if let Some(to) = flags
        .to
        .as_ref()
        .filter(|to| !files.iter().any(|file| migrations::order(&file.version) == migrations::order(to)))
    {
        return Err(Failure::usage(format!("there is no migration of version `{to}`"))
            .hint("see `cargo xtask migrate status`")
            .into());
    }
    let patience = flags.wait.map_or(PATIENCE, Duration::from_secs);
    let mut session = Session::open_within(&target, &ledger::purpose("migrate up"), patience)?;
    ledger::check_identity(&mut session, &environment.name)?;
    if flags.plan {
        return plan(workspace, &mut session, &files, &environment.name, flags);
    }
    confirm(&environment)?;
    let lock_wait = flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs);
    let applied = apply(workspace, &mut session, &files, &environment, flags.to.as_deref(), lock_wait)?;
    if flags.json {
        let object = |(migration, time): &(Migration, Duration)| json!({"version": migration.version, "name": migration.name, "duration_ms": u64::try_from(time.as_millis()).unwrap_or(u64::MAX)});
        ui::json(&json!({"applied": applied.iter().map(object).collect::<Vec<_>>()}));
    } else if applied.is_empty() {
        ui::say("nothing to do: no migration is pending");
    }
    Ok(Exit::Done)
}

/// A protected environment is not written to without its name being typed.
fn confirm(environment: &Environment) -> Result<()> {
    if !environment.is_protected() {
        return Ok(());
    }
    let question = format!("`{0}` is protected; migrate its database?", environment.name);
    match ui::prompt::confirm_by_name(&question, &environment.name, None)? {
        true => Ok(()),
        false => Err(Failure::refused("not confirmed; nothing was touched").into()),
    }
}

fn plan(
    workspace: &Workspace,
    session: &mut Session,
    files: &[Migration],
    environment: &str,
    flags: &MigrateUp,
) -> Result<Exit> {
    let standings = migrations::compare(files, &ledger::read(session)?);
    migrations::check_history(&standings, environment)?;
    let pending: Vec<&Migration> = pending_of(files, &standings, flags.to.as_deref());
    let repeatable = migrations::stale_repeatable(session, migrations::read_repeatable(workspace)?)?;
    let all = pending.iter().copied().chain(&repeatable);
    if flags.json {
        let object = |migration: &Migration| json!({"version": migration.version, "name": migration.name, "file": migration.file.as_str()});
        ui::json(&json!({"pending": all.map(object).collect::<Vec<_>>()}));
    } else {
        let row = |migration: &Migration| {
            vec![
                migration.file.to_string(),
                if migration.directives.no_transaction { "statement by statement" } else { "" }.to_owned(),
            ]
        };
        ui::out(&ui::table(&[], &all.map(row).collect::<Vec<_>>()));
    }
    Ok(if pending.is_empty() && repeatable.is_empty() { Exit::Done } else { Exit::Findings })
}

fn pending_of<'a>(files: &'a [Migration], standings: &[migrations::Standing], to: Option<&str>) -> Vec<&'a Migration> {
    let is_open = |file: &&Migration| {
        let standing = standings.iter().find(|standing| standing.version == file.version);
        matches!(standing.map(|standing| standing.state), Some(State::Pending | State::Running))
    };
    let in_reach = |file: &&Migration| to.is_none_or(|to| migrations::order(&file.version) <= migrations::order(to));
    files.iter().filter(is_open).filter(in_reach).collect()
}

/// Applies everything that is pending, under the lock; what was applied and how long each took.
fn apply(
    workspace: &Workspace,
    session: &mut Session,
    files: &[Migration],
    environment: &Environment,
    to: Option<&str>,
    lock_wait: Duration,
) -> Result<Vec<(Migration, Duration)>> {
    let repeatable = migrations::read_repeatable(workspace)?;
    lock::take(session, Protects::Schema, lock_wait)?;
    ledger::prepare(session, &environment.name, &Database::load(workspace)?)?;
    for leftover in lock::leftovers(session)? {
        ui::warn(&format!("{leftover} is still at work: an earlier run was killed"));
    }
    let rows = ledger::read(session)?;
    let standings = migrations::compare(files, &rows);
    migrations::check_history(&standings, &environment.name)?;
    let run = Run::new(git::commit(workspace.root()))?;
    let mut chain = rows.last().map(|row| row.chain_sha256.clone()).unwrap_or_default();
    let mut applied = Vec::new();
    for migration in pending_of(files, &standings, to) {
        let step = ui::step(format!("migrate {}_{}", migration.version, migration.name));
        let done = rows.iter().find(|row| row.version == migration.version).map_or(0, |row| row.statements_done);
        if !lock::is_held(session, Protects::Schema)? {
            return Err(Failure::failed("the lock of the schema was lost; no further migration was applied").into());
        }
        let (link, time) = migrations::apply(session, migration, &chain, &run, done)?;
        step.done();
        chain = link;
        applied.push((migration.clone(), time));
    }
    if to.is_none() {
        for file in migrations::stale_repeatable(session, repeatable)? {
            let step = ui::step(format!("migrate repeatable/{}", file.name));
            let time = migrations::apply_repeatable(session, &file, &run)?;
            step.done();
            applied.push((file, time));
        }
    }
    remember(workspace, &environment.name, session)?;
    Ok(applied)
}

/// Leaves what the database said for the overview.
fn remember(workspace: &Workspace, environment: &str, session: &mut Session) -> Result<()> {
    let versions: Vec<String> = ledger::read(session)?.into_iter().map(|row| row.version).collect();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    files::write_json(&workspace.facts_file(environment), &json!({"applied": versions, "at": at}))
}

pub fn status(workspace: &Workspace, environment: Option<&str>, flags: &MigrateStatus) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let files = migrations::read(workspace)?;
    let mut session = Session::open_within(&target, &ledger::purpose("migrate status"), PATIENCE)?;
    ledger::check_identity(&mut session, &environment.name)?;
    let standings = migrations::compare(&files, &ledger::read(&mut session)?);
    if flags.json {
        let objects = standings.iter().map(|standing| {
            json!({"version": standing.version, "name": standing.name, "state": standing.state.name(), "applied_at": standing.applied_at})
        });
        ui::json(&json!({"migrations": objects.collect::<Vec<_>>()}));
    } else {
        let rows = standings.iter().map(|standing| {
            vec![
                standing.version.clone(),
                standing.name.clone(),
                standing.state.name().to_owned(),
                standing.applied_at.clone().unwrap_or_default(),
            ]
        });
        ui::out(&ui::table(&["VERSION", "NAME", "STATE", "APPLIED"], &rows.collect::<Vec<_>>()));
    }
    remember(workspace, &environment.name, &mut session)?;
    Ok(Exit::Done)
}

/// Writes an empty migration with the time as its version, later than every other one.
pub fn new(workspace: &Workspace, flags: &MigrateNew) -> Result<Exit> {
    let name: String =
        flags.name.trim().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    if name.is_empty() || name.len() > 80 {
        return Err(Failure::usage(format!("`{}` cannot name a migration", flags.name))
            .hint("a few words, such as add_api_keys")
            .into());
    }
    let files = migrations::read(workspace)?;
    let now: String = ui::utc(SystemTime::now()).chars().filter(char::is_ascii_digit).collect();
    let last = files.last().map(|migration| migration.version.clone()).unwrap_or_default();
    let next = last.parse::<u64>().map_or(now.clone(), |last| (last + 1).to_string());
    let version = if migrations::order(&last) >= migrations::order(&now) { next } else { now };
    let path = workspace.migrations().join("pending").join(format!("{version}_{name}.sql"));
    let words = name.replace('_', " ");
    files::write(&path, format!("-- {words}: say why here\n"), 0o644)?;
    ui::say("write the migration into the file, then run `cargo xtask migrate`");
    ui::out(workspace.relative(&path).as_str());
    Ok(Exit::Done)
}

/// The environment and its database; started where it runs here.
pub fn open_environment(workspace: &Workspace, name: Option<&str>) -> Result<(Environment, Target)> {
    let environment = Environment::load(workspace, name.unwrap_or(super::services::DEV))?;
    let target = Target::of(workspace, &environment, &environment.name)?;
    start_embedded(&target)?;
    Ok((environment, target))
}

/// Starts the database where it runs on this machine; what already runs is left alone.
pub fn start_embedded(target: &Target) -> Result<()> {
    if !target.is_embedded() || target.cluster().is_some_and(Cluster::answers) {
        return Ok(());
    }
    let step = ui::step("database");
    target.ensure_running(&step)?;
    step.done_with(&target.describe());
    Ok(())
}

/// Versions on disk that are not applied. Asks only: it starts nothing.
pub fn pending(workspace: &Workspace, target: &Target, environment: &str) -> Result<Vec<String>> {
    let files = migrations::read(workspace)?;
    let mut session = Session::open(target, &ledger::purpose("status"))?;
    ledger::check_identity(&mut session, environment)?;
    let standings = migrations::compare(&files, &ledger::read(&mut session)?);
    let is_open = |standing: &&migrations::Standing| matches!(standing.state, State::Pending | State::Running);
    Ok(standings.iter().filter(is_open).map(|standing| standing.version.clone()).collect())
}

/// Brings a database up to date and seeds it, as `setup` and `test` do.
pub fn apply_and_seed(workspace: &Workspace, environment: &Environment, target: &Target) -> Result<()> {
    let files = migrations::read(workspace)?;
    let mut session = Session::open_within(target, &ledger::purpose("setup"), PATIENCE)?;
    ledger::check_identity(&mut session, &environment.name)?;
    if apply(workspace, &mut session, &files, environment, None, PATIENCE)?.is_empty() {
        ui::step("migrate").same("no migration is pending");
    }
    let step = ui::step("seed");
    let loaded = seeds::load(&mut session, workspace, environment)?;
    step.done_with(&format!("{} files", loaded.len()));
    Ok(())
}
