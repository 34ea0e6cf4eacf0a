//! `migrate …`: the schema of an environment's database. One file a verb; here is what they share.

mod baseline;
mod down;
mod import;
mod measure;
mod new;
mod promote;
mod repair;
mod schema;
mod status;
mod up;
mod verify;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::json;

pub use baseline::baseline;
pub use down::down;
pub use import::import;
pub use measure::{measure, measure_for};
pub use new::new;
pub use promote::promote;
pub use repair::repair;
pub use schema::{replay_applied, schema};
pub use status::status;
pub use up::{Planned, apply_and_seed, apply_for_deploy, pending_for_deploy, up};
pub use verify::verify;

use crate::tools::{files, git};
use crate::ui::{self, Failure};
use crate::workspace::{Environment, Workspace};
use database::Target;
use database::ledger::{self, Applied, Chain, Look, Run};
use database::lock::{self, Protects};
use database::migrations;
use database::session::Session;

/// How long the server may take to answer, unless `--wait` says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A session in an environment's database for a task; refused (exit 3) when the database says that it is another's.
pub fn open_own(target: &Target, task: &str) -> Result<Session> {
    let mut session = Session::open_within(target, &ledger::purpose(task), PATIENCE)?;
    ledger::check_identity(&mut session, &target.environment)?;
    Ok(session)
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
    if target.cluster().is_none_or(|cluster| cluster.serves(&target.database)) {
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
    let look = ledger::look(&mut session, &target.config.service_role)?;
    look.check_identity(environment)?;
    let standings = migrations::compare(&files, &look.rows);
    Ok(standings.iter().filter(|standing| standing.state.is_open()).map(|standing| standing.version.clone()).collect())
}

/// A session with what the ledger says, identity checked.
fn look(target: &Target, environment: &Environment, task: &str, patience: Duration) -> Result<(Session, Look)> {
    let mut session = Session::open_within(target, &ledger::purpose(task), patience)?;
    let look = ledger::look(&mut session, &target.config.service_role)?;
    look.check_identity(&environment.name)?;
    Ok((session, look))
}

/// A protected environment is not written to without its name being typed, and neither is a database that holds
/// something and does not say yet whose it is.
fn authorise(
    session: &mut Session,
    look: &Look,
    environment: &Environment,
    target: &Target,
    confirm: Option<&str>,
) -> Result<()> {
    let name = &environment.name;
    let question = if look.identity.is_none() && !target.is_ours() && holds_something(session)? {
        format!(
            "{} does not say yet which environment it belongs to; make it the database of `{name}`?",
            target.describe()
        )
    } else if environment.is_protected() {
        format!("`{name}` is protected; write to its database?")
    } else {
        return Ok(());
    };
    match ui::prompt::confirm_by_name(&question, name, confirm)? {
        true => Ok(()),
        false => Err(Failure::refused("not confirmed; nothing was touched").into()),
    }
}

/// True for a database that holds more than the tasks and PostgreSQL itself put there.
pub fn holds_something(session: &mut Session) -> Result<bool> {
    let query = "select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                 where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'ops') \
                 and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e'))";
    Ok(session.value(query)? == "t")
}

/// Takes the lock and looks again, now that nobody else changes anything; names what a killed run left at work.
fn lock_and_look(
    session: &mut Session,
    target: &Target,
    environment: &Environment,
    lock_wait: Duration,
) -> Result<Look> {
    lock::take(session, Protects::Schema, lock_wait)?;
    let look = ledger::look(session, &target.config.service_role)?;
    look.check_identity(&environment.name)?;
    for leftover in lock::leftovers(session)? {
        ui::warn(&format!("{leftover} is still at work: an earlier run was killed"));
    }
    if look.is_ready {
        return Ok(look);
    }
    ledger::prepare(session, &environment.name, &target.config)?;
    ledger::look(session, &target.config.service_role)
}

/// Makes the ledger and pins the environment, for who has asked already.
pub fn make_ledger(workspace: &Workspace, environment: &Environment, target: &Target) -> Result<()> {
    let (mut session, _) = look(target, environment, "deploy, ledger", PATIENCE)?;
    let look = lock_and_look(&mut session, target, environment, PATIENCE)?;
    remember(workspace, environment, &look.rows)
}

fn chain(workspace: &Workspace, look: &Look) -> Result<Chain> {
    Ok(Chain { last: look.chain.clone(), run: Run::new(git::commit(workspace.root()))? })
}

/// Leaves what the database said for the overview.
fn remember(workspace: &Workspace, environment: &Environment, rows: &[Applied]) -> Result<()> {
    if environment.is_rehearsal {
        return Ok(());
    }
    /// Seconds after which the moment is told anew.
    const AGE: f64 = 60.0;
    let done = rows.iter().filter(|row| matches!(row.state.as_str(), "applied" | "baseline"));
    let applied = json!(done.map(|row| &row.version).collect::<Vec<_>>());
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let path = workspace.facts_file(&environment.name);
    let known = files::read_json(&path);
    let is_fresh = |known: &serde_json::Value| {
        known["applied"] == applied && known["at"].as_f64().is_some_and(|then| at - then < AGE)
    };
    if known.as_ref().is_some_and(is_fresh) {
        return Ok(());
    }
    files::write_json(&path, &json!({"applied": applied, "at": at}))
}

/// The other environments of which it is known here that they have applied a version.
fn elsewhere(workspace: &Workspace, environment: &str) -> impl Fn(&str) -> Vec<String> {
    let facts: Vec<(String, serde_json::Value)> = workspace
        .environment_names()
        .into_iter()
        .filter(|name| name != environment)
        .filter_map(|name| files::read_json(&workspace.facts_file(&name)).map(|facts| (name, facts)))
        .collect();
    move |version| {
        let has = |facts: &serde_json::Value| {
            facts["applied"].as_array().is_some_and(|all| all.iter().any(|it| it == version))
        };
        facts.iter().filter(|(_, facts)| has(facts)).map(|(name, _)| name.clone()).collect()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
