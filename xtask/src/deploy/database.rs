//! The database of an environment that is deployed to: it is no part of a release, and runs before the lock is taken.

use anyhow::Result;

use super::engine::World;
use super::engine::compose::{self, DatabaseState};
use crate::ui::{self, Failure};
use database::compose::prepare;
use database::ledger;
use database::session::Session;
use database::{Cluster, Target};

/// What runs it, by its address.
enum Served {
    Here,
    Compose,
    Others,
}

fn served(world: &World<'_>) -> Served {
    match world.environment.get("DATABASE_ADMIN_URL").and_then(|address| address.split(':').next()) {
        Some("embedded") => Served::Here,
        Some("compose") => Served::Compose,
        _ => Served::Others,
    }
}

/// Why nothing can be asked of it yet: it does not run; None when it does, or when others run it.
pub fn absence(world: &World<'_>) -> Result<Option<&'static str>> {
    Ok(match served(world) {
        Served::Others => None,
        Served::Here => {
            let target = Target::of(world.workspace, world.environment, &world.place)?;
            (!target.cluster().is_some_and(Cluster::answers)).then_some("stopped")
        }
        Served::Compose => match compose::database_state(world)? {
            DatabaseState::Absent => Some("absent"),
            DatabaseState::Stopped => Some("stopped"),
            DatabaseState::Running { .. } => None,
        },
    })
}

/// How its container stands; exit 2 where it is not run by Compose.
pub fn container(world: &World<'_>) -> Result<DatabaseState> {
    let Served::Compose = served(world) else {
        let failure = Failure::usage(format!("the database of `{}` is not run by Compose", world.environment.name));
        return Err(failure.hint("--database is for DATABASE_ADMIN_URL=compose:database").into());
    };
    compose::database_state(world)
}

/// Brings its container to what the Compose files say.
pub fn renew(world: &World<'_>) -> Result<()> {
    ensure(world, true).map(drop)
}

/// Says whether its container was started.
fn ensure(world: &World<'_>, renew: bool) -> Result<bool> {
    let step = ui::step(format!("database of {}", world.environment.name));
    let is_started = compose::ensure_database(world, renew, &step)?;
    match is_started {
        true => step.done_with("started"),
        false => step.same("is as it should be"),
    }
    Ok(is_started)
}

/// Makes sure that it runs and can be asked, and opens a session with it.
pub fn open(world: &World<'_>, purpose: &str) -> Result<(Target, Session)> {
    let name = &world.environment.name;
    let mut is_new = false;
    if let Served::Compose = served(world)
        && !compose::database_runs(world)?
    {
        is_new = ensure(world, false)?;
    }
    let target = target(world)?;
    if target.is_embedded() {
        crate::tasks::migrate::start_embedded(&target)?;
    }
    let open = || Session::open_within(&target, &ledger::purpose(purpose), crate::tasks::migrate::PATIENCE);
    let Some(served) = target.compose() else { return Ok((target.clone(), open()?)) };
    if !is_new && let Ok(session) = Session::open(&target, &ledger::purpose(purpose)) {
        return Ok((target, session));
    }
    // It was just made, or whoever made it was killed before its roles were there.
    let step = ui::step(format!("roles of {name}"));
    prepare(world.workspace, &target, served, &step)?;
    step.done();
    Ok((target.clone(), open()?))
}

/// Where it is, as it runs now.
pub fn target(world: &World<'_>) -> Result<Target> {
    match (&world.rehearsal, served(world)) {
        (Some(_), Served::Here) => Target::for_test(world.workspace, world.environment, &world.place),
        _ => Target::of(world.workspace, world.environment, &world.place),
    }
}
