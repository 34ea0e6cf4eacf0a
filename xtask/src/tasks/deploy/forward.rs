//! `deploy ENV`: reads, plans, shows, and hands the plan to the pipeline.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::{Scene, agree, compare, first_contact, keep_open, moved, seconds, values};
use crate::deploy::artifact::Artifact;
use crate::deploy::engine::{self, Engine, World};
use crate::deploy::gate::Gate;
use crate::deploy::pipeline::{self, Run};
use crate::deploy::plan::Plan;
use crate::deploy::preflight::{self, Overrides};
use crate::deploy::values::Values;
use crate::deploy::{self, facts};
use crate::flags::Deploy;
use crate::tools::git;
use crate::ui::{self, Exit, Failure, Finding};
use crate::workspace::{Environment, Workspace, environment};
use database::Target;
use database::ledger;
use database::lock::{self, Protects};
use database::releases::{self, Kind, Opening, Release, State};
use database::session::Session;

pub fn run(workspace: &Workspace, flags: &Deploy) -> Result<Exit> {
    workspace.check_environment_name(&flags.env)?;
    if flags.rehearse {
        return super::rehearse::run(workspace, flags);
    }
    let Some(environment) = environment_of(workspace, flags)? else { return Ok(Exit::Findings) };
    let scene = Scene::of(workspace, environment)?;
    let world = scene.world(workspace);
    let is_looking = flags.plan || flags.explain;
    if is_looking && let Some(state) = deploy::database::absence(&world)? {
        return Ok(without_database(&flags.env, state, flags.json));
    }
    let engine = engine::of(&world, flags.engine.as_deref())?;
    // What takes a while and does not depend on the lock is read beside the way to the database.
    let opened = std::thread::scope(|scope| {
        let warm = scope.spawn(|| engine.warm());
        let opened = deploy::database::open(&world, &format!("deploy {}", flags.env), flags.database);
        let warmed = warm.join().unwrap_or_else(|_| Err(Failure::failed("a thread ended early").into()));
        warmed.and(opened)
    });
    let (target, mut session) = opened?;
    if flags.database {
        ui::say("the database's container is what the Compose files say");
        return Ok(Exit::Done);
    }
    let overrides = Overrides {
        allow_dirty: flags.allow_dirty,
        break_glass: flags.break_glass.clone(),
        dangerous_schema: flags.dangerous_schema,
        signed_off: flags.signed_off.clone().map(Utf8PathBuf::from),
    };
    if is_looking {
        let (plan, _, looked) = read(&world, engine.as_ref(), &target, &mut session)?;
        return look(&world, engine.as_ref(), &target, &mut session, &plan, &looked, &overrides, flags);
    }

    let gate = Gate::of(&scene.environment, flags.wait);
    execute(&scene, &world, engine.as_ref(), &target, session, overrides, gate, flags)
}

/// Everything from the lock on.
#[expect(clippy::too_many_arguments, reason = "what a deployment consists of")]
pub fn execute(
    scene: &Scene,
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    mut session: Session,
    overrides: Overrides,
    gate: Gate,
    flags: &Deploy,
) -> Result<Exit> {
    let workspace = world.workspace;
    let started = Instant::now();
    lock::take(&mut session, Protects::Release, seconds(flags.lock_wait))?;
    let waited = started.elapsed();
    keep_open(&mut session)?;
    if !ledger::look(&mut session, &target.config.service_role)?.is_ready {
        first_contact(scene, workspace, target, &mut session, flags.yes)?;
    }
    if !releases::look(&mut session)?.is_ready {
        releases::prepare(&mut session)?;
    }
    let (plan, values, looked) = read(world, engine, target, &mut session)?;
    if let Some(path) = &flags.apply_plan {
        same_as(path, &plan)?;
    }
    let unfinished = looked.unfinished().cloned();
    let interrupted = match &unfinished {
        Some(release) => Some(Interrupted::read(&mut session, release)?),
        None if flags.resume => {
            ui::say("nothing to resume: no release was interrupted");
            return Ok(Exit::Done);
        }
        None => None,
    };
    if plan.is_empty() && interrupted.is_none() {
        let live = plan.live.as_ref().map_or(0, |live| live.number);
        facts::note(world, live, State::Verified, &plan.artifact.id);
        ui::say(&format!("nothing to do: release {live} is live and runs as it should"));
        return Ok(Exit::Done);
    }
    if let Some(interrupted) = &interrupted {
        if flags.resume {
            return resume(world, engine, target, session, &plan, &values, interrupted, overrides, gate, flags);
        }
        give_up(&mut session, interrupted, &scene.environment, flags)?;
    }

    let record = json!({
        "environment": flags.env,
        "plan": plan.to_json(),
        "manifest": plan.artifact.to_json(),
        "render": plan.render.document,
        "values": plan.values,
        "seeds": plan.seeds,
        "target": engine.target()?,
        "dirty": git::dirty(workspace.root()).is_none_or(|changes| !changes.is_empty()),
        "overrides": overrides.to_json(),
        "lock_waited_ms": u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
    });
    let run = ledger::Run::new(git::commit(workspace.root()))?;
    let opening = Opening {
        kind: Kind::Deploy,
        artifact: &plan.artifact.id,
        restores: None,
        engine: engine.name(),
        record: &record,
        run: &run,
    };
    let number = releases::open(&mut session, &opening)?;
    ui::say(&format!("release {number} of `{}`", flags.env));
    releases::end(&mut session, number, pipeline::LOCK, "done", &format!("waited {}", ui::seconds(waited)))?;
    let run =
        Run { world, engine, target, session, number, gate, overrides, outcome: serde_json::Map::new(), hold: None };
    run.deploy(&plan, &values, &BTreeSet::new(), &mut |plan| ask(plan, &scene.environment, flags))
}

/// The environment, made from its example where it is missing and not protected; None where it would have to be made and
/// one only looks.
fn environment_of(workspace: &Workspace, flags: &Deploy) -> Result<Option<Environment>> {
    let name = &flags.env;
    let file = workspace.environment_values(name);
    let (read, _) = Environment::read(workspace, name)?;
    if flags.plan || flags.explain {
        if !file.is_file() && !read.is_protected() {
            let file = workspace.relative(&file);
            match flags.json {
                true => ui::json(&json!({"environment": name, "configured": false, "nothing_to_do": false})),
                false => ui::out(&format!(
                    "{file} is missing: a deployment makes it from its example, and then everything else"
                )),
            }
            return Ok(None);
        }
    } else if !read.is_protected() {
        if environment::make_values_file(workspace, name)? {
            ui::step(workspace.relative(&file).as_str()).done_with("made, with generated keys");
        }
    } else if !file.is_file() {
        let failure = Failure::usage(format!(
            "`{name}` is protected and has no values: {} is missing",
            workspace.relative(&file)
        ));
        return Err(failure.hint(format!("make it and fill it in: `cargo xtask config init --env {name}`")).into());
    }
    Ok(Some(Environment::load(workspace, name)?))
}

fn without_database(name: &str, state: &str, as_json: bool) -> Exit {
    match as_json {
        true => ui::json(&json!({"environment": name, "database": state, "nothing_to_do": false})),
        false => ui::out(&format!(
            "the database of `{name}` is {state}: a deployment starts it first, and only then can tell what changes"
        )),
    }
    Exit::Findings
}

/// Reads everything that decides, side by side: the tree, the Compose files, what runs, the two ledgers.
fn read(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    session: &mut Session,
) -> Result<(Plan, Values, releases::Look)> {
    let lost = || Failure::failed("a thread ended early");
    let (artifact, running, asked) = std::thread::scope(|scope| {
        let artifact = scope.spawn(|| Artifact::of(world.workspace, world.services, world.migrations));
        let running = scope.spawn(|| engine.observe());
        let asked = ledger::look(session, &target.config.service_role)
            .and_then(|look| look.check_identity(&world.environment.name).map(|()| look))
            .and_then(|look| Ok((look, releases::look(session)?)));
        let artifact = artifact.join().unwrap_or_else(|_| Err(lost().into()));
        let running = running.join().unwrap_or_else(|_| Err(lost().into()));
        (artifact, running, asked)
    });
    let (ledger, releases) = asked?;
    let (values, hashes) = values(world, engine, target, &releases.key)?;
    let plan = compare(world, engine, target, artifact?, &values, hashes, (&ledger, &releases), &running?)?;
    Ok((plan, values, releases))
}

/// `--plan` and `--explain`: what would change, and what speaks against it.
#[expect(clippy::too_many_arguments, reason = "what a deployment has at hand, and only looks at")]
fn look(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    session: &mut Session,
    plan: &Plan,
    looked: &releases::Look,
    overrides: &Overrides,
    flags: &Deploy,
) -> Result<Exit> {
    if let Some(release) = looked.unfinished() {
        ui::warn(&format!("{} is at work, or was interrupted: see `cargo xtask releases`", release.title()));
    }
    let exit = if plan.is_empty() { Exit::Done } else { Exit::Findings };
    if flags.explain {
        let words = plan.explain();
        match flags.json {
            true => ui::json(&json!({"environment": plan.environment, "why": words})),
            false if words.is_empty() => ui::out("it would be the release that is live"),
            false => words.iter().for_each(|why| ui::out(why)),
        }
        return Ok(exit);
    }
    let report = match plan.is_empty() {
        true => preflight::Report::default(),
        false => preflight::run(world, engine, target, session, plan, overrides)?,
    };
    if flags.json {
        let mut value = plan.to_json();
        value["findings"] = json!(report.findings.iter().map(Finding::to_json).collect::<Vec<_>>());
        ui::json(&value);
    } else if plan.is_empty() {
        let live = plan.live.as_ref().map_or(0, |live| live.number);
        ui::out(&format!("nothing to do: release {live} is live and runs as it should"));
    } else {
        ui::out(&plan.describe());
        report.findings.iter().for_each(ui::finding);
    }
    Ok(exit)
}

fn ask(plan: &Plan, environment: &Environment, flags: &Deploy) -> Result<bool> {
    ui::say(plan.describe().trim_end());
    // A plan that was applied from its file was read before.
    let yes = flags.yes || flags.apply_plan.is_some();
    agree(environment, &format!("deploy this to `{}`?", plan.environment), yes, flags.confirm.as_deref())
}

/// Refuses (exit 3) when the world is no longer the one for which a plan was made.
fn same_as(path: &str, plan: &Plan) -> Result<()> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("failed to read `{path}`: {error}")))?;
    let then: Value = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("{path}:{}:{}: it is no JSON: {error}", error.line(), error.column()))
    })?;
    if !then["digest"].is_string() {
        let failure = Failure::usage(format!("`{path}` is no plan"));
        return Err(failure.hint("`cargo xtask deploy ENV --plan --json` writes one").into());
    }
    let now = plan.to_json();
    if now["digest"] == then["digest"] && moved(&now, &then).is_empty() {
        return Ok(());
    }
    let changed = moved(&now, &then);
    let what = if changed.is_empty() { "its own text".to_owned() } else { changed.join(", ") };
    let failure = Failure::refused(format!("the plan in `{path}` is stale; nothing was touched: {what} changed since"));
    Err(failure.hint("make it again, and read it again").into())
}

/// A release whose run was killed, and how far it had come.
struct Interrupted {
    release: Release,
    done: BTreeSet<String>,
    /// The step that was begun last.
    step: String,
}

impl Interrupted {
    fn read(session: &mut Session, release: &Release) -> Result<Interrupted> {
        let entries = releases::steps(session, release.number)?;
        let ended = |event: &str| matches!(event, "done" | "same");
        let done = entries.iter().filter(|entry| ended(&entry.event)).map(|entry| entry.step.clone()).collect();
        let known = entries.iter().rfind(|entry| entry.event == "begin").map(|entry| entry.step.clone());
        let step = known.unwrap_or_else(|| pipeline::LOCK.to_owned());
        Ok(Interrupted { release: release.clone(), done, step })
    }
    /// Nothing that runs was changed yet.
    fn is_harmless(&self) -> bool {
        [pipeline::LOCK, pipeline::PREFLIGHT, pipeline::BUILD, pipeline::SHOW, pipeline::BACKUP]
            .contains(&self.step.as_str())
    }
    fn describe(&self) -> String {
        let by = &self.release;
        format!(
            "release {} was interrupted at `{}` ({}@{}, {})",
            by.number, self.step, by.os_user, by.host, by.started_at
        )
    }
}

/// A plain `deploy` that finds an interrupted release: says so, asks where something may be half done, and closes it.
fn give_up(session: &mut Session, interrupted: &Interrupted, environment: &Environment, flags: &Deploy) -> Result<()> {
    ui::warn(&interrupted.describe());
    let name = &environment.name;
    if !interrupted.is_harmless() && !flags.yes {
        if !ui::terminal().interactive {
            let hint = format!(
                "go on with it: `cargo xtask deploy {name} --resume`; go back: `cargo xtask rollback {name}`; \
                 or give it up for a new release: --yes"
            );
            return Err(Failure::refused(interrupted.describe()).hint(hint).into());
        }
        if !ui::prompt::confirm("give it up, and deploy a new release?", false)? {
            let hint = format!(
                "`cargo xtask deploy {name} --resume` goes on with it, `cargo xtask rollback {name}` goes back"
            );
            return Err(Failure::refused("declined; nothing was touched").hint(hint).into());
        }
    }
    let outcome = json!({"message": format!("interrupted at {}", interrupted.step)});
    releases::close(session, interrupted.release.number, State::Interrupted, &outcome)
}

/// `--resume`: the same release again, from where it was, when the world still makes the same one.
#[expect(clippy::too_many_arguments, reason = "what a run consists of")]
fn resume(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    session: Session,
    plan: &Plan,
    values: &Values,
    interrupted: &Interrupted,
    overrides: Overrides,
    gate: Gate,
    flags: &Deploy,
) -> Result<Exit> {
    let release = &interrupted.release;
    ui::say(&interrupted.describe());
    if release.kind == Kind::Rollback {
        let hint = format!("`cargo xtask rollback {}` begins it again", flags.env);
        return Err(Failure::refused(format!("release {} is a rollback", release.number)).hint(hint).into());
    }
    let then = &release.record;
    let mut changed = Vec::new();
    if release.artifact != plan.artifact.id {
        changed.push("the sources");
    }
    if then["render"] != plan.render.document {
        changed.push("the configuration");
    }
    if then["values"] != json!(plan.values) {
        changed.push("values of the environment");
    }
    if release.engine != plan.engine {
        changed.push("the engine");
    }
    let is_going_back = interrupted.step == pipeline::ROLLBACK;
    if !changed.is_empty() && !is_going_back {
        let message =
            format!("release {} cannot be resumed: {} changed since it was begun", release.number, changed.join(", "));
        let commit = release.commit.as_deref().unwrap_or("it was begun from");
        let hint = format!(
            "check out {commit}, or go back: `cargo xtask rollback {}`, or give it up: `cargo xtask deploy {} --yes`",
            flags.env, flags.env
        );
        return Err(Failure::refused(message).hint(hint).into());
    }
    let hold = if is_going_back { Some(engine.hold()?) } else { None };
    let mut run = Run {
        world,
        engine,
        target,
        session,
        number: release.number,
        gate,
        overrides,
        outcome: serde_json::Map::new(),
        hold,
    };
    releases::end(&mut run.session, release.number, pipeline::LOCK, "note", "resumed")?;
    if is_going_back {
        return run.resume_rollback(plan);
    }
    run.deploy(plan, values, &interrupted.done, &mut |plan| ask(plan, world.environment, flags))
        .with_context(|| format!("resumed release {}", release.number))
}
