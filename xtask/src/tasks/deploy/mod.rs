//! `deploy ENV` and `rollback ENV`: the story of each; what both read first is here.

mod forward;
mod interrupted;
pub mod rehearse;
mod rollback;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

pub use forward::run as deploy;
pub use rollback::run as rollback;

use crate::deploy::artifact::Artifact;
use crate::deploy::engine::{self, Engine, Render, Running, World};
use crate::deploy::pipeline;
use crate::deploy::plan::{self, Now, Pending, Plan};
use crate::deploy::schema;
use crate::deploy::values::{Values, hashed};
use crate::ui::{self, Failure, prompt};
use crate::workspace::service::Services;
use crate::workspace::{Environment, Workspace};
use database::ledger::Look;
use database::migrations::{self, Migration};
use database::releases;
use database::session::Session;
use database::{Target, seeds};

/// The files of an environment and of the services, read once.
pub struct Scene {
    pub environment: Environment,
    pub services: Services,
    pub migrations: Vec<Migration>,
}

impl Scene {
    pub fn load(workspace: &Workspace, name: &str) -> Result<Scene> {
        Scene::of(workspace, Environment::load(workspace, name)?)
    }
    pub fn of(workspace: &Workspace, environment: Environment) -> Result<Scene> {
        let services = Services::load(workspace)?;
        let mut migrations = migrations::read(workspace)?;
        migrations.extend(migrations::read_repeatable(workspace)?);
        Ok(Scene { environment, services, migrations })
    }
    pub fn world<'a>(&'a self, workspace: &'a Workspace) -> World<'a> {
        World::new(workspace, &self.environment, &self.services, &self.migrations)
    }
}

/// Hashes of values, by key.
type Hashes = BTreeMap<String, String>;

/// What services would get, and the keyed hashes of all values that a release stands on: those of services, and those whose
/// SHA-256 its seeds load. `key` is empty before the first release: then there is nothing to compare with.
fn values(world: &World<'_>, engine: &dyn Engine, target: &Target, key: &str) -> Result<(Values, Hashes)> {
    let wants_url = world.services.running().any(|service| service.env.iter().any(|name| name == "DATABASE_URL"));
    let url = if wants_url { target.service_url_from(engine.name() == "compose")? } else { String::new() };
    let values = Values::of(world.environment, world.services, &url);
    let mut hashes = values.hashes(key);
    for name in seeds::keys(world.workspace, &world.environment.name)? {
        let value = world.environment.get(&name).unwrap_or_default();
        hashes.entry(name.clone()).or_insert_with(|| hashed(key, &name, value));
    }
    Ok((values, hashes))
}

/// What one release is compared with: what the two ledgers say, and what runs.
struct Past<'a> {
    ledger: &'a Look,
    releases: &'a releases::Look,
    running: &'a [Running],
}

/// Compares what is with what would be.
fn compare(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    artifact: Artifact,
    (values, hashes): (&Values, Hashes),
    past: &Past<'_>,
) -> Result<Plan> {
    let workspace = world.workspace;
    let render = engine.render(&artifact, values, &hashes)?;
    let pending = crate::tasks::migrate::pending_for_deploy(workspace, world.environment, past.ledger)?;
    let pending: Vec<Pending> = pending
        .iter()
        .map(|ready| Pending {
            title: ready.migration.title(),
            sha256: ready.migration.sha256.clone(),
            // A view or a function that is applied again takes the place of the one before.
            is_compatible: ready.script.directives.compatible || ready.migration.version.is_empty(),
        })
        .collect();
    let live = past.releases.live.clone();
    let live_render = live.as_ref().map(|live| Render { document: live.record["render"].clone() });
    // With pins: what runs may be another image under the same name.
    let pinned = live
        .as_ref()
        .filter(|live| live.engine == engine.name())
        .and_then(|live| engine::read_release(&world.release_folder(live.content())).ok())
        .map(|(render, _)| render);
    let deviates = |running: &Running| pinned.as_ref().and_then(|pinned| engine.deviates(pinned, running));
    let now = Now { live: live_render.as_ref(), running: past.running, deviates: &deviates, is_restoring: false };
    let actions = plan::actions(&render, &now);
    let applied = schema::versions(&past.ledger.rows);
    let no_way_back = match &live {
        Some(live) => pipeline::no_way_back(world, engine, live, pinned.as_ref(), &pending, &applied)?,
        None => Vec::new(),
    };
    Ok(Plan {
        environment: world.environment.name.clone(),
        engine: engine.name().to_owned(),
        before: live.as_ref().and_then(|live| Artifact::from_json(&live.record["manifest"])),
        no_way_back,
        found_running: past.running.iter().any(|it| it.is_up) && (live.is_none() || !engine.is_settled()),
        backs_up: !pending.is_empty() && target.config.policy(&world.environment.name).backup_before_deploy,
        live,
        artifact,
        render,
        values: hashes,
        seeds: seeds::hash(workspace, &world.environment.name)?,
        migrations: pending,
        actions,
    })
}

/// Asks before something is changed: a protected environment for its name, another one only a person at a terminal.
fn agree(environment: &Environment, question: &str, yes: bool, confirm: Option<&str>) -> Result<bool> {
    let name = &environment.name;
    if environment.is_protected() {
        return prompt::confirm_by_name(&format!("`{name}` is protected; {question}"), name, confirm);
    }
    if yes || !ui::terminal().interactive {
        return Ok(true);
    }
    prompt::confirm(question, false)
}

/// The engine that an environment's live release runs on, where nothing else is asked for.
pub fn engine_for<'a>(
    world: &'a World<'a>,
    given: Option<&str>,
    live: Option<&releases::Release>,
) -> Result<Box<dyn Engine + 'a>> {
    engine::of(world, given.or(live.map(|live| live.engine.as_str())))
}

fn seconds(given: Option<u64>) -> Duration {
    given.map_or(Duration::ZERO, Duration::from_secs)
}

/// The names under which a plan's parts stand that another plan has otherwise.
fn moved(now: &Value, then: &Value) -> Vec<String> {
    let keys = now.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.filter(|key| *key != "digest" && now[key.as_str()] != then[key.as_str()]).cloned().collect()
}

/// Refuses (exit 3) a database that holds something and does not say whose it is, unless a person says that it is this
/// environment's; then the ledger is made.
fn first_contact(
    scene: &Scene,
    workspace: &Workspace,
    target: &Target,
    session: &mut Session,
    yes: bool,
) -> Result<()> {
    let environment = &scene.environment;
    if !target.is_ours() && crate::tasks::migrate::holds_something(session)? {
        let question = format!(
            "{} does not say yet which environment it belongs to; make it the database of `{}`?",
            target.describe(),
            environment.name
        );
        let is_agreed = match environment.is_protected() {
            true => prompt::confirm_by_name(&question, &environment.name, None)?,
            false => prompt::confirm(&question, yes)?,
        };
        if !is_agreed {
            return Err(Failure::refused("not confirmed; nothing was touched").into());
        }
    }
    crate::tasks::migrate::make_ledger(workspace, environment, target)
}
