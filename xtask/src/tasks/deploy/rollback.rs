//! `rollback ENV`: finds the release to bring back, refuses what cannot work, and applies its record again.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::{Scene, agree, engine_for, seconds};
use crate::deploy::artifact::{Artifact, short};
use crate::deploy::engine::{self, Engine, Render, Running, World};
use crate::deploy::gate::Gate;
use crate::deploy::pipeline::{self, Run, refused, schema_of};
use crate::deploy::plan::{self, Now, Plan};
use crate::deploy::preflight::Overrides;
use crate::deploy::{self, schema};
use crate::flags::Rollback;
use crate::tools::git;
use crate::ui::{self, Exit, Failure, Finding};
use crate::workspace::Workspace;
use database::Target;
use database::ledger;
use database::lock::{self, Protects};
use database::releases::{self, Kind, Opening, Release, State};
use database::session::Session;

/// How far back the ledger is read.
const DEPTH: u32 = 500;

pub fn run(workspace: &Workspace, flags: &Rollback) -> Result<Exit> {
    workspace.check_environment_name(&flags.env)?;
    let scene = Scene::load(workspace, &flags.env)?;
    let world = scene.world(workspace);
    if flags.json && !flags.plan {
        return Err(Failure::usage("--json tells a plan: add --plan").into());
    }
    if flags.plan
        && let Some(state) = deploy::database::absence(&world)?
    {
        let message = format!("the database of `{}` is {state}, so what would come back cannot be told", flags.env);
        return Err(Failure::cannot_tell(message).hint("a rollback starts it; a plan touches nothing").into());
    }
    let (target, mut session) = deploy::database::open(&world, &format!("rollback {}", flags.env))?;
    ledger::check_identity(&mut session, &flags.env)?;
    let started = Instant::now();
    if !flags.plan {
        lock::take(&mut session, Protects::Release, seconds(flags.lock_wait))?;
        pipeline::keep_open(&mut session)?;
    }
    let waited = started.elapsed();
    let looked = releases::look(&mut session)?;
    if !flags.plan && !looked.is_ready && looked.latest.is_some() {
        releases::prepare(&mut session)?;
    }
    let release = choose(&mut session, &looked, flags)?;
    let engine = engine_for(&world, flags.engine.as_deref(), Some(&release))?;
    if engine.name() != release.engine {
        let message = format!("release {} ran on the engine {}, not {}", release.number, release.engine, engine.name());
        return Err(Failure::refused(message).into());
    }
    check(&world, engine.as_ref(), &target, &mut session, &release, flags)?;
    let plan = plan(&world, engine.as_ref(), &looked, &release)?;
    if flags.plan {
        match flags.json {
            true => ui::json(&plan.to_json()),
            false => ui::out(&describe(&plan, &release)),
        }
        return Ok(Exit::Findings);
    }
    ui::say(describe(&plan, &release).trim_end());
    if !agree(
        &scene.environment,
        &format!("bring release {} back?", release.content()),
        flags.yes,
        flags.confirm.as_deref(),
    )? {
        return Err(Failure::refused("declined; nothing was touched").into());
    }

    let hold = engine.hold()?;
    if let Some(unfinished) = looked.unfinished() {
        let outcome = json!({"message": "interrupted, and rolled back by hand"});
        releases::close(&mut session, unfinished.number, State::Interrupted, &outcome)?;
    }
    let overrides = Overrides { dangerous_schema: flags.dangerous_schema, ..Overrides::default() };
    let record = json!({
        "environment": flags.env,
        "plan": plan.to_json(),
        "manifest": release.record["manifest"],
        "render": release.record["render"],
        "values": release.record["values"],
        "seeds": release.record["seeds"],
        "target": engine.target()?,
        "overrides": overrides.to_json(),
        "lock_waited_ms": u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
    });
    let by = ledger::Run::new(git::commit(workspace.root()))?;
    let opening = Opening {
        kind: Kind::Rollback,
        artifact: &release.artifact,
        restores: Some(release.content()),
        engine: engine.name(),
        record: &record,
        run: &by,
    };
    let number = releases::open(&mut session, &opening)?;
    releases::note(&mut session, number, pipeline::LOCK, "done", &format!("waited {}", ui::seconds(waited)))?;
    let run = Run {
        world: &world,
        engine: engine.as_ref(),
        target: target.clone(),
        session,
        number,
        artifact: release.artifact.clone(),
        is_half_done: false,
        gate: Gate::of(&scene.environment, flags.wait),
        overrides,
        outcome: serde_json::Map::new(),
        hold: Some(hold),
    };
    run.roll_back(&plan, &release)
}

/// The release to bring back: the one asked for; after an interrupted run the live one; else the verified one before what
/// is live. Going back twice goes back two releases, never forth again.
fn choose(session: &mut Session, looked: &releases::Look, flags: &Rollback) -> Result<Release> {
    let all = releases::list(session, DEPTH)?;
    let verified: Vec<&Release> = all.iter().filter(|release| release.state == State::Verified).collect();
    let Some(live) = &looked.live else {
        let failure =
            Failure::refused(format!("nothing was verified in `{}` yet: there is nothing to bring back", flags.env));
        return Err(failure.hint(format!("see `cargo xtask releases --env {}`", flags.env)).into());
    };
    if let Some(number) = flags.to {
        let known: Vec<String> = verified.iter().rev().map(|release| release.number.to_string()).collect();
        return verified.iter().find(|release| release.number == number).map(|release| (*release).clone()).ok_or_else(
            || {
                let message = match all.iter().find(|release| release.number == number) {
                    Some(release) => format!("release {number} was not verified: it is {}", release.state.name()),
                    None => format!("there is no release {number} in `{}`", flags.env),
                };
                Failure::usage(message).hint(format!("verified are {}", known.join(", "))).into()
            },
        );
    }
    if let Some(broken) = broken(session, &all)? {
        // A way back that did not end is begun again to where it went.
        let meant = broken.restores.and_then(|number| verified.iter().find(|release| release.content() == number));
        return Ok(meant.map_or(live, |release| *release).clone());
    }
    let before = verified.iter().find(|release| release.content() < live.content());
    before.map(|release| (*release).clone()).ok_or_else(|| {
        let message = format!("release {} is the first of `{}`: there is none before it", live.content(), flags.env);
        Failure::refused(message).hint(format!("bring that one back with --to {}", live.number)).into()
    })
}

/// The newest release that may be half rolled out, or half taken back; None when the live one is what was left.
fn broken<'a>(session: &mut Session, all: &'a [Release]) -> Result<Option<&'a Release>> {
    for release in all {
        match release.state {
            State::Verified | State::RolledBack => return Ok(None),
            State::Stuck | State::Running => return Ok(Some(release)),
            State::Interrupted
                if pipeline::is_rolling(pipeline::furthest(&releases::steps(session, release.number)?)) =>
            {
                return Ok(Some(release));
            }
            // Nothing was rolled out, or it was stopped again.
            State::Interrupted | State::Refused | State::Declined | State::Failed => {}
        }
    }
    Ok(None)
}

/// Refuses, before anything is touched, what could not work.
fn check(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    session: &mut Session,
    release: &Release,
    flags: &Rollback,
) -> Result<()> {
    let content = release.content();
    let gone = match engine::read_release(&world.release_folder(content)) {
        Ok((render, _)) => engine.missing(&render)?,
        Err(error) => vec![format!("{error:#}")],
    };
    if !gone.is_empty() {
        let findings = gone.into_iter().map(Finding::error).collect();
        let message = format!("release {content} cannot come back; nothing was touched");
        let failure = Failure::with_findings(Exit::Findings, &message, findings);
        let commit = release.commit.as_deref().unwrap_or("its commit");
        return Err(failure
            .hint(format!("deploy it anew: check out {commit}, then `cargo xtask deploy {}`", flags.env))
            .into());
    }
    let now = schema::versions(&ledger::look(session, &target.config.service_role)?.rows);
    let objections = schema::objections(world.workspace, world.migrations, &schema_of(release), &now)?;
    match objections.is_empty() || flags.dangerous_schema {
        true => Ok(()),
        false => Err(refused(release, &objections)),
    }
}

/// What changes: the release's record against what runs.
fn plan(world: &World<'_>, engine: &dyn Engine, looked: &releases::Look, release: &Release) -> Result<Plan> {
    let render = Render { document: release.record["render"].clone() };
    let live = looked.live.clone();
    let artifact = Artifact::from_json(&release.record["manifest"]);
    let values = release.record["values"].as_object().into_iter().flatten();
    let live_render = live.as_ref().map(|live| Render { document: live.record["render"].clone() });
    let running = engine.observe()?;
    let pinned = engine::read_release(&world.release_folder(release.content())).ok().map(|(render, _)| render);
    let deviates = |running: &Running| pinned.as_ref().and_then(|pinned| engine.deviates(pinned, running));
    let now = Now { live: live_render.as_ref(), running: &running, deviates: &deviates, is_restoring: true };
    Ok(Plan {
        environment: world.environment.name.clone(),
        engine: engine.name().to_owned(),
        before: live.as_ref().and_then(|live| Artifact::from_json(&live.record["manifest"])),
        artifact: artifact
            .ok_or_else(|| Failure::failed(format!("the record of release {} is torn", release.number)))?,
        actions: plan::actions(&render, &now),
        live,
        render,
        values: values.filter_map(|(key, hash)| Some((key.clone(), hash.as_str()?.to_owned()))).collect(),
        seeds: release.record["seeds"].as_str().unwrap_or_default().to_owned(),
        migrations: Vec::new(),
        backs_up: false,
        found_running: false,
        no_way_back: Vec::new(),
    })
}

fn describe(plan: &Plan, release: &Release) -> String {
    let by = format!("{}@{}", release.os_user, release.host);
    let ago = ui::age(std::time::Duration::from_secs(release.age_seconds));
    format!(
        "bring back release {} (artifact {}, verified {ago} ago, {by})\n{}",
        release.content(),
        short(&release.artifact),
        plan.describe()
    )
}
