//! `deploy ENV`: reads, plans, shows, and hands the plan to the pipeline.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::interrupted::Interrupted;
use super::{Past, Scene, agree, compare, first_contact, moved, seconds, values};
use crate::deploy::artifact::Artifact;
use crate::deploy::engine::compose::DatabaseState;
use crate::deploy::engine::{self, Engine, Running, World};
use crate::deploy::gate::{self, Answers, Gate};
use crate::deploy::pipeline::{self, Run};
use crate::deploy::plan::Plan;
use crate::deploy::preflight::{self, Overrides};
use crate::deploy::values::Values;
use crate::deploy::{self, facts};
use crate::flags::Deploy;
use crate::tools::git;
use crate::ui::{self, Exit, Failure, Finding, prompt};
use crate::workspace::{Environment, Workspace, entries, environment};
use database::Target;
use database::backup::store::{Backup, Store};
use database::ledger;
use database::lock::{self, Protects};
use database::releases::{self, Kind, Opening, State};
use database::session::Session;

pub fn run(workspace: &Workspace, flags: &Deploy) -> Result<Exit> {
    workspace.check_environment_name(&flags.env)?;
    agree_with_each_other(flags)?;
    if flags.rehearse {
        return super::rehearse::run(workspace, flags);
    }
    let Some(environment) = environment_of(workspace, flags)? else { return Ok(Exit::Findings) };
    let scene = Scene::of(workspace, environment)?;
    let world = scene.world(workspace);
    let is_looking = flags.plan || flags.explain;
    if flags.database {
        return renew_database(&scene, &world, flags);
    }
    if is_looking && let Some(state) = deploy::database::absence(&world)? {
        return Ok(without_database(&flags.env, state, flags.json));
    }
    let engine = engine::of(&world, flags.engine.as_deref())?;
    // What takes a while and does not depend on the lock is read beside the way to the database.
    let opened = std::thread::scope(|scope| {
        let warm = scope.spawn(|| engine.warm());
        let opened = deploy::database::open(&world, &format!("deploy {}", flags.env));
        let warmed = warm.join().unwrap_or_else(|_| Err(Failure::failed("a thread ended early").into()));
        warmed.and(opened)
    });
    let (target, mut session) = opened?;
    let overrides = Overrides {
        allow_dirty: flags.allow_dirty,
        break_glass: flags.break_glass.clone(),
        dangerous_schema: flags.dangerous_schema,
        signed_off: flags.signed_off.clone().map(Utf8PathBuf::from),
    };
    let gate = Gate::of(&scene.environment, flags.wait);
    let order =
        Order { scene: &scene, world: &world, engine: engine.as_ref(), target: &target, overrides, gate, flags };
    if is_looking { order.look(&mut session) } else { order.execute(session) }
}

/// Refuses (exit 2) flags of which one leaves the other without a meaning.
fn agree_with_each_other(flags: &Deploy) -> Result<()> {
    let modes = [
        ("--plan", flags.plan),
        ("--explain", flags.explain),
        ("--apply-plan", flags.apply_plan.is_some()),
        ("--resume", flags.resume),
        ("--rehearse", flags.rehearse),
        ("--database", flags.database),
    ];
    let given: Vec<&str> = modes.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
    match given[..] {
        [] | [_] | ["--plan", "--database"] => {}
        _ => return Err(Failure::usage(format!("{} exclude each other", given.join(" and "))).into()),
    }
    if flags.json && !(flags.plan || flags.explain) {
        return Err(Failure::usage("--json tells a plan: add --plan or --explain").into());
    }
    Ok(())
}

/// What is asked for, and all that it takes.
pub struct Order<'a> {
    pub scene: &'a Scene,
    pub world: &'a World<'a>,
    pub engine: &'a dyn Engine,
    pub target: &'a Target,
    pub overrides: Overrides,
    pub gate: Gate,
    pub flags: &'a Deploy,
}

/// Everything that decides, read once.
struct Reading {
    plan: Plan,
    values: Values,
    looked: releases::Look,
    running: Vec<Running>,
    answers: Answers,
}

impl Order<'_> {
    /// Everything from the lock on.
    pub fn execute(&self, mut session: Session) -> Result<Exit> {
        let flags = self.flags;
        let started = Instant::now();
        lock::take(&mut session, Protects::Release, seconds(flags.lock_wait))?;
        let waited = started.elapsed();
        pipeline::keep_open(&mut session)?;
        let was_ready = self.make_ready(&mut session)?;
        let Reading { plan, values, looked, running, answers } = self.read(&mut session)?;
        if let Some(path) = flags.apply_plan.as_ref().filter(|_| was_ready) {
            same_as(path, &plan)?;
        }
        match looked.unfinished() {
            Some(release) => {
                let interrupted = Interrupted::read(&mut session, release)?;
                if flags.resume {
                    return self.resume(session, &plan, &values, &interrupted);
                }
                interrupted.give_up(&mut session, flags)?;
            }
            None if flags.resume => {
                ui::say("nothing to resume: no release was interrupted");
                return Ok(Exit::Done);
            }
            None if plan.is_empty() => {
                let live = plan.live.as_ref().map_or(0, |live| live.number);
                facts::note(self.world, live, State::Verified, &plan.artifact.id);
                return self.nothing_to_do(live, gate::unwell(&running, &answers, &plan.render.units())?);
            }
            None => {}
        }
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let number = self.open(&mut session, &plan, waited_ms)?;
        ui::say(&format!("release {number} of `{}`", flags.env));
        releases::note(&mut session, number, pipeline::LOCK, "done", &format!("waited {}", ui::seconds(waited)))?;
        self.run(session, number, &plan, None).deploy(&plan, &values, &BTreeSet::new(), &mut |plan| self.ask(plan))
    }

    /// Makes the ledgers where they are missing, after the questions that a database without them raises. Says whether
    /// they were there.
    fn make_ready(&self, session: &mut Session) -> Result<bool> {
        let flags = self.flags;
        let is_known = ledger::look(session, &self.target.config.service_role)?.is_ready;
        let has_releases = releases::look(session)?.is_ready;
        if is_known && has_releases {
            return Ok(true);
        }
        if let Some(path) = &flags.apply_plan {
            // Before anything is made: a plan that was written before the key was there knows no hash of a value.
            same_as(path, &self.read(session)?.plan)?;
        }
        if !is_known {
            if !has_releases {
                self.check_history()?;
            }
            first_contact(self.scene, self.world.workspace, self.target, session, flags.yes)?;
        }
        if !has_releases {
            releases::prepare(session)?;
        }
        Ok(false)
    }

    /// Asks before an empty database takes the place of one that this environment had: what is left of its releases and its
    /// backups tells that there was one.
    fn check_history(&self) -> Result<()> {
        let (world, environment) = (self.world, &self.scene.environment);
        if world.rehearsal.is_some() {
            return Ok(());
        }
        let releases = released(world.workspace, &world.place).is_some();
        let backups = Store::of(world.workspace, environment).list();
        let backup = backups.iter().find(|it| it.usable().is_ok()).map(Backup::id);
        let left = match (releases, backup) {
            (false, None) => return Ok(()),
            (_, Some(id)) => format!("it has the backup {id}"),
            (true, None) => "releases of it are on this machine".to_owned(),
        };
        let name = &environment.name;
        let message = format!("the database of `{name}` knows of no release, and {left}: was it lost?");
        let question = format!("{message} Begin anew?");
        let is_agreed = match environment.is_protected() {
            // Its name is given with every deployment; this one takes one word more.
            true => prompt::confirm_by_name(&question, name, self.flags.confirm.as_deref().filter(|_| self.flags.yes)),
            false => prompt::confirm(&question, self.flags.yes),
        };
        if matches!(is_agreed, Ok(true)) {
            return Ok(());
        }
        let hint = match backup {
            Some(id) => format!("bring it back with `cargo xtask db restore {id} --env {name}`, or begin anew: "),
            None => "look where it is; or begin anew: ".to_owned(),
        };
        let word = if environment.is_protected() { format!("--confirm {name} --yes") } else { "--yes".to_owned() };
        Err(Failure::refused(message).hint(hint + &word).into())
    }

    /// The live release is what would be made; exit 3 when it is not well all the same.
    fn nothing_to_do(&self, live: i64, unwell: Option<String>) -> Result<Exit> {
        match unwell {
            None => ui::say(&format!("nothing to do: release {live} is live and runs as it should")),
            Some(why) => {
                let name = &self.flags.env;
                let failure = Failure::refused(format!("nothing to change: release {live} is live, but {why}"));
                let hint = format!("`cargo xtask health --env {name}` and `cargo xtask logs --env {name}` tell more");
                return Err(failure.hint(hint).into());
            }
        }
        Ok(Exit::Done)
    }

    /// Opens the release in the ledger, with everything that is fixed from now on.
    fn open(&self, session: &mut Session, plan: &Plan, lock_waited_ms: u64) -> Result<i64> {
        let root = self.world.workspace.root();
        let record = json!({
            "environment": self.flags.env,
            "plan": plan.to_json(),
            "manifest": plan.artifact.to_json(),
            "render": plan.render.document,
            "values": plan.values,
            "seeds": plan.seeds,
            "found_running": plan.found_running,
            "target": self.engine.target()?,
            "dirty": git::dirty(root).is_none_or(|changes| !changes.is_empty()),
            "overrides": self.overrides.to_json(),
            "lock_waited_ms": lock_waited_ms,
        });
        let opening = Opening {
            kind: Kind::Deploy,
            artifact: &plan.artifact.id,
            restores: None,
            engine: self.engine.name(),
            record: &record,
            run: &ledger::Run::new(git::commit(root))?,
        };
        releases::open(session, &opening)
    }

    /// Reads everything that decides, side by side: the tree, what runs, the two ledgers.
    fn read(&self, session: &mut Session) -> Result<Reading> {
        let (world, engine, target) = (self.world, self.engine, self.target);
        let lost = || Failure::failed("a thread ended early");
        let (artifact, running, asked) = std::thread::scope(|scope| {
            let artifact = scope.spawn(|| Artifact::of(world.workspace, world.services, world.migrations));
            let running = scope.spawn(|| -> Result<(Vec<Running>, Answers)> {
                let running = engine.observe()?;
                // In case that there is nothing else to do; a plan does not tell them.
                let is_looking = self.flags.plan || self.flags.explain;
                let answers = if is_looking { Answers::new() } else { gate::ask(&running, world.services) };
                Ok((running, answers))
            });
            let asked = ledger::look(session, &target.config.service_role)
                .and_then(|look| look.check_identity(&world.environment.name).map(|()| look))
                .and_then(|look| Ok((look, releases::look(session)?)));
            let artifact = artifact.join().unwrap_or_else(|_| Err(lost().into()));
            let running = running.join().unwrap_or_else(|_| Err(lost().into()));
            (artifact, running, asked)
        });
        let (ledger, looked) = asked?;
        let (values, hashes) = values(world, engine, target, &looked.key)?;
        let (running, answers) = running?;
        let past = Past { ledger: &ledger, releases: &looked, running: &running };
        let plan = compare(world, engine, target, artifact?, (&values, hashes), &past)?;
        Ok(Reading { plan, values, looked, running, answers })
    }

    /// `--plan` and `--explain`: what would change, and what speaks against it.
    fn look(&self, session: &mut Session) -> Result<Exit> {
        let Reading { plan, looked, .. } = self.read(session)?;
        if let Some(release) = looked.unfinished() {
            ui::warn(&format!("{} is at work, or was interrupted: see `cargo xtask releases`", release.title()));
        }
        let exit = if plan.is_empty() { Exit::Done } else { Exit::Findings };
        if self.flags.explain {
            let words = plan.explain();
            match self.flags.json {
                true => ui::json(&json!({"environment": plan.environment, "why": words})),
                false if words.is_empty() => ui::out("it would be the release that is live"),
                false => words.iter().for_each(|why| ui::out(why)),
            }
            return Ok(exit);
        }
        let report = match plan.is_empty() {
            true => preflight::Report::default(),
            false => preflight::run(self.world, self.engine, self.target, session, &plan, &self.overrides)?,
        };
        if self.flags.json {
            let mut value = plan.to_json();
            value["findings"] = json!(report.findings.iter().map(Finding::to_json).collect::<Vec<_>>());
            ui::json(&value);
        } else if plan.is_empty() {
            let live = plan.live.as_ref().map_or(0, |live| live.number);
            ui::out(&format!("nothing to do: release {live} is live"));
        } else {
            ui::out(&plan.describe());
            report.findings.iter().for_each(ui::finding);
        }
        Ok(exit)
    }

    fn ask(&self, plan: &Plan) -> Result<bool> {
        ui::say(plan.describe().trim_end());
        // A plan that was applied from its file was read before.
        let yes = self.flags.yes || self.flags.apply_plan.is_some();
        let question = format!("deploy this to `{}`?", plan.environment);
        agree(&self.scene.environment, &question, yes, self.flags.confirm.as_deref())
    }

    /// `--resume`: the same release again, from where it was, when the world still makes the same one.
    fn resume(&self, session: Session, plan: &Plan, values: &Values, interrupted: &Interrupted) -> Result<Exit> {
        let release = &interrupted.release;
        ui::say(&interrupted.describe());
        let is_going_back = interrupted.check_same(plan, &self.flags.env)?;
        // As it was before the first run of this release: what runs by now may be of that run.
        let found_running = release.record["found_running"].as_bool().unwrap_or(plan.found_running);
        let plan = &Plan { found_running, ..plan.clone() };
        let hold = if is_going_back { Some(self.engine.hold()?) } else { None };
        let mut run = self.run(session, release.number, plan, hold);
        run.is_half_done = interrupted.has_rolled_out();
        if let Some(id) = &interrupted.backup {
            run.outcome.insert("backup".to_owned(), json!(id));
        }
        let by = format!("resumed with {}", self.overrides.to_json());
        releases::note(&mut run.session, release.number, pipeline::LOCK, "note", &by)?;
        if is_going_back {
            return run.resume_rollback(plan);
        }
        run.deploy(plan, values, &interrupted.done, &mut |plan| self.ask(plan))
            .with_context(|| format!("resumed release {}", release.number))
    }

    /// A run of a release that holds the lock.
    fn run(&self, session: Session, number: i64, plan: &Plan, hold: Option<Box<dyn Send>>) -> Run<'_> {
        Run {
            world: self.world,
            engine: self.engine,
            target: self.target.clone(),
            session,
            number,
            artifact: plan.artifact.id.clone(),
            is_half_done: false,
            gate: self.gate,
            overrides: self.overrides.clone(),
            outcome: serde_json::Map::new(),
            hold,
        }
    }
}

/// `--database`: brings the database's container to what the Compose files say; while nothing else is deployed.
fn renew_database(scene: &Scene, world: &World<'_>, flags: &Deploy) -> Result<Exit> {
    let name = &flags.env;
    let state = deploy::database::container(world)?;
    let is_current = state == DatabaseState::Running { current: true };
    if flags.plan {
        let words = match state {
            DatabaseState::Running { current: true } => "is what the Compose files say",
            DatabaseState::Running { current: false } => "would be made anew, and the database restarted",
            DatabaseState::Stopped | DatabaseState::Absent => "would be started",
        };
        match flags.json {
            true => ui::json(&json!({"environment": name, "database": words, "nothing_to_do": is_current})),
            false => ui::out(&format!("the container of the database of `{name}` {words}")),
        }
        return Ok(if is_current { Exit::Done } else { Exit::Findings });
    }
    if is_current {
        ui::say("the database's container is what the Compose files say");
        return Ok(Exit::Done);
    }
    let question = format!("start the database of `{name}` anew?");
    if !agree(&scene.environment, &question, flags.yes, flags.confirm.as_deref())? {
        return Err(Failure::refused("declined; nothing was touched").into());
    }
    let mut session = None;
    if matches!(state, DatabaseState::Running { .. }) {
        // The lock ends with its session, when the server goes down; by then nobody has begun anything.
        let target = deploy::database::target(world)?;
        let purpose = ledger::purpose(&format!("deploy {name} --database"));
        let session = session.insert(Session::open(&target, &purpose)?);
        lock::take(session, Protects::Release, seconds(flags.lock_wait))?;
    }
    deploy::database::renew(world)?;
    drop(session);
    deploy::database::open(world, &format!("deploy {name}"))?;
    ui::say("the database's container is what the Compose files say");
    Ok(Exit::Done)
}

/// The environment, made from its example where it is missing and not protected; None where it would have to be made and
/// one only looks.
fn environment_of(workspace: &Workspace, flags: &Deploy) -> Result<Option<Environment>> {
    let name = &flags.env;
    let file = workspace.environment_values(name);
    let (read, _) = Environment::read(workspace, name)?;
    if flags.plan || flags.explain {
        let lacks_keys = read.settings().iter().any(|it| {
            let declared = &it.declaration;
            declared.is_required && declared.is_generated && it.value.is_empty()
        });
        if !read.is_protected() && (!file.is_file() || lacks_keys) {
            let what = if file.is_file() { "lacks keys that are generated" } else { "is missing" };
            let file = workspace.relative(&file);
            match flags.json {
                true => ui::json(&json!({"environment": name, "configured": false, "nothing_to_do": false})),
                false => ui::out(&format!("{file} {what}: a deployment makes that, and then everything else")),
            }
            return Ok(None);
        }
    } else if !read.is_protected() {
        if !file.is_file()
            && let Some(number) = released(workspace, name)
        {
            // New keys would not open what the old ones have closed.
            let file = workspace.relative(&file);
            let message = format!("{file} is missing, and release {number} of `{name}` was made here with its values");
            let hint = format!(
                "bring it back; what services got stands in {}; or begin with new keys: `cargo xtask config init --env {name}`",
                workspace.relative(&workspace.releases(name).join(number.to_string()).join(engine::VALUES_FILE))
            );
            return Err(Failure::usage(message).hint(hint).into());
        }
        if environment::make_values_file(workspace, name)? {
            ui::step(workspace.relative(&file).as_str()).done_with("made, with generated keys");
        }
    }
    // A protected one is never made here; variables of this process may stand in the place of its file.
    Ok(Some(Environment::load(workspace, name)?))
}

/// The newest release of an environment that was made here.
fn released(workspace: &Workspace, name: &str) -> Option<i64> {
    let folders = entries(&workspace.releases(name)).into_iter();
    let folders = folders.filter(|folder| folder.join(engine::RENDER_FILE).is_file());
    folders.filter_map(|folder| folder.file_name()?.parse().ok()).max()
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
