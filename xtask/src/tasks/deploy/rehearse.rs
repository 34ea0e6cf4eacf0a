//! `deploy ENV --rehearse`: the environment's shape on this machine, twice through the pipeline. The second release fails its
//! gate on purpose, and the first must run again. Everything has a place of its own and is removed in the end, also by
//! whoever comes after a run that was killed.

use std::time::Duration;

use super::Scene;
use super::forward::Order;
use crate::deploy;
use crate::deploy::engine::{self, Engine, Render, World, compose};
use crate::deploy::gate::{self, Gate};
use crate::deploy::preflight::Overrides;
use crate::flags::Deploy;
use crate::tools::files::{self, Lock};
use crate::tools::{docker, guard, os, ports};
use crate::ui::{self, Exit, Failure, exit};
use crate::workspace::service::Services;
use crate::workspace::{BackupPolicy, Environment, REHEARSAL, Workspace, entries};
use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use database::Target;
use database::backup::scratch;
use database::backup::store::Store;
use database::releases::{self, State};
use database::session::Session;
use serde_json::json;

/// The hidden verb of the watcher that cleans up after a killed rehearsal.
pub const SWEEP_VERB: &str = "sweep-rehearsals";
/// Longer than this the gate is not held here.
const SOAK: Duration = Duration::from_secs(5);

pub fn run(workspace: &Workspace, flags: &Deploy) -> Result<Exit> {
    if let Err(error) = sweep(workspace) {
        ui::warn(&format!("an earlier rehearsal could not be removed: {error:#}"));
    }
    let place = format!("{REHEARSAL}{}", os::random_hex(4)?);
    let _lock = Lock::take(&workspace.lock_file(&place), "this rehearsal", Duration::ZERO)?;
    let engine = engine_name(flags)?;
    files::write_json(&marker(workspace, &place), &json!({"engine": engine, "environment": flags.env}))?;
    let args = [SWEEP_VERB, "--workspace", workspace.root().as_str()].map(str::to_owned);
    guard::after_this_process(&args, std::process::Stdio::null())?;

    let result = rehearse(workspace, flags, engine, &place);
    let step = ui::step("remove the rehearsal");
    let removed = remove(workspace, &place);
    match &removed {
        Ok(()) => step.done(),
        Err(_) => drop(step),
    }
    let verdict = result?;
    removed.context("failed to remove the rehearsal")?;
    match verdict {
        None => {
            ui::say(&format!(
                "the rehearsal of `{}` went well: deployed, failed its gate on purpose, and rolled back to what ran before",
                flags.env
            ));
            Ok(Exit::Done)
        }
        Some(why) => {
            let message =
                format!("the rehearsal of `{}` failed: {why}; nothing of the environment was touched", flags.env);
            Err(Failure::refused(message).into())
        }
    }
}

/// Local where it is asked for or where there is no Docker, else Compose.
fn engine_name(flags: &Deploy) -> Result<&'static str> {
    match flags.engine.as_deref() {
        Some("local") => Ok("local"),
        Some("compose") => Ok("compose"),
        Some(other) => {
            let failure = Failure::usage(format!("a rehearsal cannot run on the engine `{other}`"));
            Err(failure.hint("it runs on local or on compose").into())
        }
        None => Ok(if docker::engine().is_ok() { "compose" } else { "local" }),
    }
}

/// Why the rehearsal failed; None when all went as it should.
fn rehearse(workspace: &Workspace, flags: &Deploy, name: &str, place: &str) -> Result<Option<String>> {
    let environment = environment(workspace, &flags.env, name, place)?;
    let scene = Scene::of(workspace, environment)?;
    let world =
        |text: &str| World { place: place.to_owned(), rehearsal: Some(text.to_owned()), ..scene.world(workspace) };
    let first = world("1");
    ui::say(&format!("rehearsing `{}` on the engine {name}, as {place}", flags.env));
    let flags = &quiet(flags);
    let (target, session) = deploy::database::open(&first, &format!("rehearsal of {}", flags.env))?;
    restore(workspace, &flags.env, &target)?;
    let mut gate = Gate::of(&scene.environment, flags.wait);
    gate.soak = gate.soak.min(SOAK);
    let engine = engine::of(&first, Some(name))?;
    let order = |world: &World<'_>, engine: &dyn Engine, gate: Gate, session: Session| {
        // What is tried need not be committed yet.
        let overrides = Overrides { allow_dirty: true, ..Overrides::default() };
        Order { scene: &scene, world, engine, target: &target, overrides, gate, flags }.execute(session)
    };
    ui::say("the first release: it must be verified");
    if let Err(error) = order(&first, engine.as_ref(), gate, session) {
        exit::report(&error);
        return Ok(Some("its first release was not verified".to_owned()));
    }

    ui::say("the second release: its gate fails on purpose, and the first must run again");
    let second = world("2");
    let engine = engine::of(&second, Some(name))?;
    let (_, session) = deploy::database::open(&second, &format!("rehearsal of {}", flags.env))?;
    gate.is_sabotaged = true;
    let failed = order(&second, engine.as_ref(), gate, session);
    if let Err(error) = &failed {
        exit::report(error);
    }
    match failed {
        Ok(_) => return Ok(Some("the gate was to fail, and the release was verified".to_owned())),
        Err(error) if exit::exit_of(&error) == Exit::RolledBack => {}
        Err(_) => return Ok(Some("the second release was not rolled back".to_owned())),
    }
    proof(&first, engine.as_ref(), &target, gate)
}

/// Looks at what runs after the rollback, without believing the pipeline: why it is not the first release.
fn proof(world: &World<'_>, engine: &dyn Engine, target: &Target, gate: Gate) -> Result<Option<String>> {
    let step = ui::step("prove the rollback");
    let mut session = Session::open(target, "xtask rehearsal")?;
    let ledger = releases::list(&mut session, 10)?;
    let states: Vec<(i64, State)> = ledger.iter().map(|release| (release.number, release.state)).collect();
    if states != [(2, State::RolledBack), (1, State::Verified)] {
        return Ok(Some(format!("the ledger does not say that release 2 was rolled back to release 1: {states:?}")));
    }
    let Ok((render, _)) = engine::read_release(&world.release_folder(1)) else {
        return Ok(Some("the record of the first release is gone".to_owned()));
    };
    if let Some(deviation) = deviation(engine, &render)? {
        return Ok(Some(deviation));
    }
    let gate = Gate { soak: Duration::ZERO, is_sabotaged: false, ..gate };
    if let Err(error) = gate::hold(engine, &render.units(), &gate, &step) {
        return Ok(Some(format!("what runs after the rollback is not well: {error:#}")));
    }
    if let Some(finding) = releases::verify(&mut session)?.first() {
        return Ok(Some(format!("the ledger does not hold together: {}", finding.message)));
    }
    step.done_with("release 1 runs as it did before");
    Ok(None)
}

fn deviation(engine: &dyn Engine, render: &Render) -> Result<Option<String>> {
    let running = engine.observe()?;
    for unit in render.units() {
        match running.iter().find(|running| running.name == unit.name) {
            None if unit.kind == engine::UnitKind::Job => {}
            None => return Ok(Some(format!("after the rollback {} is not there", unit.name))),
            Some(running) if running.fingerprint != unit.fingerprint => {
                return Ok(Some(format!("after the rollback {} is not that of the first release", unit.name)));
            }
            Some(running) => {
                if let Some(deviation) = engine.deviates(render, running) {
                    return Ok(Some(format!("after the rollback {deviation}")));
                }
            }
        }
    }
    Ok(None)
}

/// The environment's own shape, with everything moved out of the way of the real one.
fn environment(workspace: &Workspace, name: &str, engine: &str, place: &str) -> Result<Environment> {
    let address = if engine == "compose" { "compose:database" } else { "embedded:" };
    let mut changes: Vec<(String, String)> = [
        ("DATABASE_ADMIN_URL", address),
        ("DATABASE_URL", ""),
        ("DEPLOY_ENGINE", engine),
        ("COMPOSE_PROJECT", place),
        ("BACKUP_DIR", workspace.releases(place).join("backups").as_str()),
        ("PROTECTED", "false"),
        ("PROMOTE_FROM", ""),
        ("FREEZE", ""),
        ("IMAGE_REGISTRY", ""),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    changes.push(("DATABASE_PASSWORD".to_owned(), os::random_hex(24)?));
    for service in Services::load(workspace)?.running() {
        let port = ports::free_port().context("failed to find a free port")?;
        changes.push((service.port_variable(), port.to_string()));
    }
    Environment::for_rehearsal(workspace, name, &changes)
}

/// The data of the environment's last backup, where there is one.
fn restore(workspace: &Workspace, name: &str, target: &Target) -> Result<()> {
    let (real, _) = Environment::read(workspace, name)?;
    let backups = Store::of(workspace, &real).list();
    let Some(backup) = backups.iter().find(|backup| backup.usable().is_ok()) else {
        ui::say(&format!("`{name}` has no backup here: the rehearsal begins with an empty database"));
        return Ok(());
    };
    let step = ui::step(format!("restore {}", backup.id()));
    scratch::load_into(target, backup, BackupPolicy::load(workspace, name)?.jobs, &step)?;
    step.done();
    Ok(())
}

/// The flags of a deployment that asks nothing.
fn quiet(flags: &Deploy) -> Deploy {
    Deploy {
        env: flags.env.clone(),
        engine: flags.engine.clone(),
        plan: false,
        json: false,
        apply_plan: None,
        resume: false,
        rehearse: false,
        explain: false,
        database: false,
        allow_dirty: true,
        break_glass: None,
        dangerous_schema: false,
        signed_off: None,
        yes: true,
        confirm: None,
        wait: flags.wait,
        lock_wait: None,
    }
}

/// The watcher's call: `--workspace DIR` follows.
pub fn sweep_at(words: impl Iterator<Item = std::ffi::OsString>) -> Result<Exit> {
    let words: Vec<String> = words.filter_map(|word| word.into_string().ok()).collect();
    sweep(&Workspace::find(words.get(1).map(String::as_str))?)?;
    Ok(Exit::Done)
}

/// Removes every rehearsal whose run is gone.
fn sweep(workspace: &Workspace) -> Result<()> {
    for path in entries(&workspace.ops().join("releases")) {
        let Some(name) = path.file_name().filter(|name| name.starts_with(REHEARSAL)) else { continue };
        if !Lock::is_held(&workspace.lock_file(name)) {
            remove(workspace, name)?;
        }
    }
    Ok(())
}

/// What a rehearsal runs on, in its folder: by it one knows what there may be to remove, whatever the tree says by then.
fn marker(workspace: &Workspace, place: &str) -> Utf8PathBuf {
    workspace.releases(place).join("rehearsal.json")
}

/// Removes all that a rehearsal has made; its own folder last, by which it is found.
fn remove(workspace: &Workspace, place: &str) -> Result<()> {
    let noted = files::read_json(&marker(workspace, place));
    if noted.is_some_and(|noted| noted["engine"] == "compose") {
        compose::remove_project(place)?;
    }
    crate::tasks::services::stop_stack(workspace, place)?;
    let facts = workspace.facts_file(&format!("{place}.release"));
    files::remove(&facts)?;
    files::remove(&workspace.lock_file(&format!("compose-{place}")))?;
    files::remove(&workspace.lock_file(&format!("compose-{place}")).with_extension("holder.json"))?;
    for record in entries(&workspace.build_records()) {
        if record.as_str().ends_with(&format!(" of {place}.json")) {
            files::remove(&record)?;
        }
    }
    if workspace.database_config().is_file() {
        database::scratch::remove_stack(workspace, place)?;
    }
    files::remove(&workspace.run_folder(place))?;
    files::remove(&workspace.log_folder(place))?;
    files::remove(&workspace.releases(place))
}
