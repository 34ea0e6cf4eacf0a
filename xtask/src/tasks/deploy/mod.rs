//! `deploy ENV` and `rollback ENV`: the story of each; what both read first is here.

mod forward;
mod interrupted;
pub mod rehearse;
mod rollback;

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

pub use forward::run as deploy;
pub use rollback::run as rollback;

use crate::deploy::artifact::Artifact;
use crate::deploy::engine::{self, Engine, Render, Running, World};
use crate::deploy::pipeline;
use crate::deploy::plan::{self, Pending, Plan};
use crate::deploy::values::Values;
use crate::tools::hash;
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

/// A session that is to be held for as long as a deployment takes.
fn keep_open(session: &mut Session) -> Result<()> {
    for setting in ["idle_session_timeout", "idle_in_transaction_session_timeout", "statement_timeout"] {
        session.execute(&format!("set {setting} = 0"))?;
    }
    session.execute("set tcp_keepalives_idle = 30")?;
    Ok(())
}

/// What services would get, and the keyed hashes of it. `key` is empty before the first release: then nothing can be equal.
fn values(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    key: &str,
) -> Result<(Values, std::collections::BTreeMap<String, String>)> {
    let wants_url = world.services.running().any(|service| service.env.iter().any(|name| name == "DATABASE_URL"));
    let url = if wants_url { target.service_url_from(engine.name() == "compose")? } else { String::new() };
    let values = Values::of(world.environment, world.services, &url);
    let hashes = values.hashes(key);
    Ok((values, hashes))
}

/// Compares what is with what would be.
#[expect(clippy::too_many_arguments, reason = "each is a part of the comparison, read side by side")]
fn compare(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    artifact: Artifact,
    values: &Values,
    hashes: std::collections::BTreeMap<String, String>,
    (ledger, releases): (&Look, &releases::Look),
    running: &[Running],
) -> Result<Plan> {
    let workspace = world.workspace;
    let render = engine.render(&artifact, values, &hashes)?;
    let pending = crate::tasks::migrate::pending_for_deploy(workspace, world.environment, ledger)?;
    let pending: Vec<Pending> = pending
        .iter()
        .map(|ready| Pending {
            title: ready.migration.title(),
            sha256: ready.migration.sha256.clone(),
            // A view or a function that is applied again takes the place of the one before.
            is_compatible: ready.script.directives.compatible || ready.migration.version.is_empty(),
        })
        .collect();
    let live = releases.live.clone();
    let live_render = live.as_ref().map(|live| Render { document: live.record["render"].clone() });
    let actions = plan::actions(&render, live_render.as_ref(), running);
    Ok(Plan {
        environment: world.environment.name.clone(),
        engine: engine.name().to_owned(),
        before: live.as_ref().and_then(|live| Artifact::from_json(&live.record["manifest"])),
        no_way_back: pipeline::no_way_back(world, engine, live.as_ref(), &pending)?,
        found_running: live.is_none() && running.iter().any(|running| running.is_up),
        backs_up: target.config.policy(&world.environment.name).backup_before_deploy,
        live,
        artifact,
        render,
        values: hashes,
        seeds: seeds_hash(workspace, &world.environment.name)?,
        migrations: pending,
        actions,
    })
}

fn seeds_hash(workspace: &Workspace, environment: &str) -> Result<String> {
    let mut text = String::new();
    for file in seeds::files(workspace, environment) {
        text.push_str(&format!("{}  {}\n", hash::sha256_file(&file)?, file.file_name().unwrap_or_default()));
    }
    Ok(hash::sha256(text))
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
