//! The pipeline: the steps of a deployment and of a rollback, each journaled before and after, and the way back when one
//! fails. It knows no engine by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::artifact::short;
use super::engine::{self, Applied, Engine, Pins, RENDER_FILE, Render, UnitKind, VALUES_FILE, World};
use super::gate::{self, Gate};
use super::hooks::{self, When};
use super::plan::{self, Action, Plan};
use super::preflight::{self, Overrides};
use super::values::Values;
use super::{facts, retention, schema};
use crate::tools::files;
use crate::ui::{self, Exit, Failure, Step, exit, redact};
use database::Target;
use database::ledger;
use database::lock::{self, Protects};
use database::releases::{self, Release, State};
use database::session::Session;

/// The steps, by the names that the journal has.
pub const LOCK: &str = "lock";
pub const PREFLIGHT: &str = "preflight";
pub const BUILD: &str = "build";
pub const SHOW: &str = "show";
pub const BACKUP: &str = "backup";
pub const MIGRATE: &str = "migrate";
pub const ROLLOUT: &str = "rollout";
pub const GATE: &str = "gate";
pub const RECORD: &str = "record";
/// Brings back what ran before, after a step from the rollout on has failed.
pub const ROLLBACK: &str = "rollback";

/// How long a database that went away in the middle may take to be back.
const PATIENCE: Duration = Duration::from_secs(15);

/// One run that holds the environment's lock.
pub struct Run<'a> {
    pub world: &'a World<'a>,
    pub engine: &'a dyn Engine,
    pub target: &'a Target,
    pub session: Session,
    pub number: i64,
    pub gate: Gate,
    pub overrides: Overrides,
    /// What its row will tell when it is closed.
    pub outcome: serde_json::Map<String, Value>,
    /// Keeps others of this machine away, from the rollout on.
    pub hold: Option<Box<dyn Send>>,
}

/// Where a run stopped, and what its release is then.
struct Stop {
    state: State,
    error: anyhow::Error,
}

impl Run<'_> {
    /// Carries a plan out. `done` are steps that an earlier, killed run of the same release has done.
    pub fn deploy(
        mut self,
        plan: &Plan,
        values: &Values,
        done: &BTreeSet<String>,
        ask: &mut dyn FnMut(&Plan) -> Result<bool>,
    ) -> Result<Exit> {
        facts::note(self.world, self.number, State::Running, &plan.artifact.id);
        let render = match self.prepare(plan, values, done, ask) {
            Ok(render) => render,
            Err(stop) => return self.stop(plan, stop),
        };
        match self.engine.hold() {
            Ok(hold) => self.hold = Some(hold),
            Err(error) => return self.stop(plan, Stop { state: State::Failed, error }),
        }
        let folder = self.world.release_folder(self.number);
        let applied = Applied { folder: &folder, render: &render, values };
        match self.roll_out(plan, &applied) {
            Ok(()) => {
                ui::say(&format!(
                    "release {} of `{}` is live: artifact {}",
                    self.number,
                    plan.environment,
                    short(&plan.artifact.id)
                ));
                Ok(Exit::Done)
            }
            Err(error) => self.go_back(plan, error),
        }
    }

    /// All steps before the rollout; the pinned render.
    fn prepare(
        &mut self,
        plan: &Plan,
        values: &Values,
        done: &BTreeSet<String>,
        ask: &mut dyn FnMut(&Plan) -> Result<bool>,
    ) -> Result<Render, Stop> {
        let stop = |state: State| move |error: anyhow::Error| Stop { state, error };
        self.step(PREFLIGHT, |run, _| {
            let report = preflight::run(run.world, run.engine, run.target, &mut run.session, plan, &run.overrides)?;
            if !report.overridden.is_empty() {
                run.outcome.insert("overridden".to_owned(), json!(report.overridden));
            }
            if !report.proof.is_null() {
                run.outcome.insert("promoted".to_owned(), report.proof.clone());
            }
            report.result()
        })
        .map_err(stop(State::Refused))?;
        let pins = self.step(BUILD, |run, step| run.build(plan, step)).map_err(stop(State::Failed))?;
        let render = self.engine.pin(&plan.render, &pins).map_err(stop(State::Failed))?;
        self.outcome.insert("pins".to_owned(), json!(pins));
        if !done.contains(SHOW) {
            self.show(plan, ask).map_err(stop(State::Declined))?;
            let told = self.told(plan, State::Running);
            hooks::run(self.world, When::PreDeploy, &told)
                .context(Failure::refused("a pre-deploy hook said no; nothing was touched"))
                .map_err(stop(State::Refused))?;
        }
        if plan.backs_up && !done.contains(BACKUP) {
            let id = self
                .step(BACKUP, |run, step| {
                    crate::tasks::db::backup::before_deploy(
                        run.world.workspace,
                        run.world.environment,
                        run.target,
                        step,
                    )
                })
                .map_err(stop(State::Failed))?;
            self.outcome.insert("backup".to_owned(), json!(id));
        }
        let migrated = self
            .step(MIGRATE, |run, _| {
                crate::tasks::migrate::apply_for_deploy(run.world.workspace, run.world.environment, run.target)
            })
            .map_err(stop(State::Failed))?;
        if !migrated.is_empty() {
            self.outcome.insert("migrated".to_owned(), json!(migrated));
        }
        self.keep(&render, values).map_err(stop(State::Failed))?;
        Ok(render)
    }

    fn build(&mut self, plan: &Plan, step: &Step) -> Result<Pins> {
        let services: Vec<String> = plan
            .render
            .units()
            .into_iter()
            .filter(|unit| unit.kind == UnitKind::Service)
            .map(|unit| unit.name)
            .collect();
        self.engine.build(&plan.artifact, &services, step)
    }

    fn show(&mut self, plan: &Plan, ask: &mut dyn FnMut(&Plan) -> Result<bool>) -> Result<()> {
        releases::begin(&mut self.session, self.number, SHOW, "")?;
        facts::note_step(self.world, self.number, SHOW);
        let answer = ask(plan);
        let (event, detail) = match &answer {
            Ok(true) => ("done", String::new()),
            Ok(false) => ("failed", "declined".to_owned()),
            Err(error) => ("failed", format!("{error:#}")),
        };
        releases::end(&mut self.session, self.number, SHOW, event, &redact::mask(&detail))?;
        match answer? {
            true => Ok(()),
            false => Err(Failure::refused("declined; nothing was touched").into()),
        }
    }

    /// Writes down what the release is, so that it can come back: render and values.
    fn keep(&self, render: &Render, values: &Values) -> Result<()> {
        let folder = self.world.release_folder(self.number);
        values.write(&folder.join(VALUES_FILE))?;
        files::write(&folder.join(RENDER_FILE), render.text(), 0o600)
    }

    /// Rolls out, holds to the gate, records.
    fn roll_out(&mut self, plan: &Plan, applied: &Applied<'_>) -> Result<()> {
        let live = plan.live_document().map(|document| Render { document: document.clone() });
        self.step(ROLLOUT, |run, step| run.converge(ROLLOUT, applied, live.as_ref(), step))?;
        let gate = self.gate;
        let evidence = self.step(GATE, |run, step| gate::hold(run.engine, &applied.render.units(), &gate, step))?;
        self.outcome.insert("gate".to_owned(), evidence);
        releases::begin(&mut self.session, self.number, RECORD, "")?;
        facts::note_step(self.world, self.number, RECORD);
        self.engine.settle(Some((self.number, applied)))?;
        self.note_schema()?;
        self.close(State::Verified)?;
        facts::note(self.world, self.number, State::Verified, &plan.artifact.id);
        self.after(plan);
        Ok(())
    }

    /// What follows a release that is verified; nothing of it can undo that.
    fn after(&mut self, plan: &Plan) {
        let told = self.told(plan, State::Verified);
        if let Err(error) = hooks::run(self.world, When::PostDeploy, &told) {
            let text = format!("a post-deploy hook failed: {error:#}");
            ui::warn(&text);
            let noted = releases::end(&mut self.session, self.number, "post-deploy", "failed", &redact::mask(&text));
            if let Err(error) = noted {
                ui::warn(&format!("that could not be recorded: {error:#}"));
            }
        }
        match retention::prune(self.world, self.engine, &mut self.session) {
            Ok(removed) => {
                removed.iter().for_each(|what| ui::say(&format!("removed {what}: no release that is kept needs it")))
            }
            Err(error) => ui::warn(&format!("what is no longer needed could not be removed: {error:#}")),
        }
    }

    /// The versions that this release was verified on: what decides later whether it can come back.
    fn note_schema(&mut self) -> Result<()> {
        let rows = ledger::read(&mut self.session)?;
        self.outcome.insert("schema".to_owned(), json!(schema::versions(&rows)));
        Ok(())
    }

    /// Brings what runs to what a release says, in the order of dependency; the lock is proved before each effect.
    fn converge(&mut self, name: &str, applied: &Applied<'_>, live: Option<&Render>, step: &Step) -> Result<()> {
        let running = self.engine.observe()?;
        let actions: BTreeMap<String, Action> = plan::actions(applied.render, live, &running).into_iter().collect();
        let mut units = applied.render.units();
        units.retain(|unit| matches!(actions.get(&unit.name), Some(Action::Start | Action::Replace { .. })));
        for unit in &units {
            self.prove(name, &format!("{} {}", actions[&unit.name].name(), unit.name))?;
            self.engine.apply(applied, unit, step)?;
            if unit.kind == UnitKind::Service {
                gate::wait_until_ready(self.engine, unit, &self.gate, step)?;
            }
        }
        for (gone, _) in actions.iter().filter(|(_, action)| **action == Action::Remove) {
            self.prove(name, &format!("stop {gone}"))?;
            self.engine.remove(gone)?;
        }
        self.prove(name, "all is as meant")?;
        let running = self.engine.observe()?;
        match running.iter().find_map(|running| self.engine.deviates(applied.render, running)) {
            Some(deviation) => Err(Failure::failed(deviation).into()),
            None => Ok(()),
        }
    }

    /// Fails when the lock was lost or a newer release was begun; leaves a note in the journal.
    fn prove(&mut self, step: &str, effect: &str) -> Result<()> {
        releases::end(&mut self.session, self.number, step, "note", effect)
    }

    /// One step: told, journaled before and after, timed.
    fn step<T>(&mut self, name: &str, work: impl FnOnce(&mut Self, &Step) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        releases::begin(&mut self.session, self.number, name, "")?;
        facts::note_step(self.world, self.number, name);
        let step = ui::step(name);
        let result = work(self, &step);
        let event = if result.is_ok() { "done" } else { "failed" };
        let detail = match &result {
            Ok(_) => String::new(),
            Err(error) => redact::mask(&format!("{error:#}")).into_owned(),
        };
        match &result {
            Ok(_) => step.done(),
            Err(_) => drop(step),
        }
        let noted = releases::end(&mut self.session, self.number, name, event, &detail);
        self.outcome.entry("seconds").or_insert_with(|| json!({}))[name] =
            json!((started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0);
        match (result, noted) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => Err(error),
            // What went wrong first is what counts.
            (Err(error), _) => Err(error),
        }
    }

    /// What hooks are told.
    fn told(&self, plan: &Plan, state: State) -> Value {
        json!({
            "environment": plan.environment, "release": self.number, "state": state.name(),
            "artifact": plan.artifact.id, "engine": plan.engine,
            "commit": crate::tools::git::commit(self.world.workspace.root()),
            "previous": plan.live.as_ref().map(|live| live.number),
        })
    }

    fn close(&mut self, state: State) -> Result<()> {
        let outcome = Value::Object(self.outcome.clone());
        releases::close(&mut self.session, self.number, state, &outcome)
    }

    /// Ends a run that has rolled nothing out: what ran before runs on.
    fn stop(mut self, plan: &Plan, stop: Stop) -> Result<Exit> {
        let Stop { state, error } = stop;
        self.outcome.insert("message".to_owned(), json!(redact::mask(&format!("{error:#}"))));
        if releases::is_lost(&error) && !self.reconnect() {
            let what = format!("release {} stopped before anything was rolled out", self.number);
            let hint = format!("when the database is back: `cargo xtask deploy {} --resume`", plan.environment);
            return Err(error.context(Failure::cannot_tell(what).hint(hint)));
        }
        if let Err(second) = self.close(state) {
            ui::warn(&format!("how release {} ended could not be recorded: {second:#}", self.number));
        }
        facts::note(self.world, self.number, state, &plan.artifact.id);
        if state == State::Failed {
            self.tell_failure(plan, state);
            let serving = plan.live.as_ref().map_or("nothing was rolled out".to_owned(), |live| {
                format!("nothing was rolled out: release {} goes on", live.number)
            });
            let code = exit::exit_of(&error);
            return Err(error.context(Failure::new(code, format!("release {} failed; {serving}", self.number))));
        }
        Err(error)
    }

    fn tell_failure(&self, plan: &Plan, state: State) {
        if let Err(error) = hooks::run(self.world, When::Failed, &self.told(plan, state)) {
            ui::warn(&format!("a hook failed: {error:#}"));
        }
    }

    /// After a failure from the rollout on: brings back what ran before, or says how things stand.
    fn go_back(mut self, plan: &Plan, error: anyhow::Error) -> Result<Exit> {
        exit::report(&error);
        let message = redact::mask(&format!("{error:#}")).into_owned();
        self.outcome.insert("message".to_owned(), json!(message));
        if releases::is_lost(&error) && !self.reconnect() {
            return Err(self.stuck(plan, "the lock of this environment was lost, so nothing more is touched", None));
        }
        match self.restore_before(plan) {
            Ok(Restored::Release(number)) => {
                self.close(State::RolledBack)?;
                facts::note(self.world, self.number, State::RolledBack, &plan.artifact.id);
                self.tell_failure(plan, State::RolledBack);
                let message = format!("release {} failed; release {number} runs again", self.number);
                Err(Failure::new(Exit::RolledBack, message).hint(self.look_hint(plan)).into())
            }
            Ok(Restored::Sources) => {
                self.close(State::RolledBack)?;
                facts::note(self.world, self.number, State::RolledBack, &plan.artifact.id);
                self.tell_failure(plan, State::RolledBack);
                let message = format!("release {} failed; the services run from their sources again", self.number);
                Err(Failure::new(Exit::RolledBack, message).hint(self.look_hint(plan)).into())
            }
            Ok(Restored::Nothing) => {
                self.close(State::Failed)?;
                facts::note(self.world, self.number, State::Failed, &plan.artifact.id);
                self.tell_failure(plan, State::Failed);
                let message = format!("release {} failed and was stopped; there is none before it", self.number);
                Err(Failure::failed(message).hint(self.look_hint(plan)).into())
            }
            Err(second) => {
                exit::report(&second);
                let why = format!("it could not be rolled back: {}", redact::mask(&format!("{second:#}")));
                Err(self.stuck(plan, &why, Some(&second)))
            }
        }
    }

    fn look_hint(&self, plan: &Plan) -> String {
        format!("see `cargo xtask releases show {} --env {}`", self.number, plan.environment)
    }

    fn restore_before(&mut self, plan: &Plan) -> Result<Restored> {
        let Some(live) = plan.live.clone() else {
            return self.step(ROLLBACK, |run, _| {
                run.prove(ROLLBACK, "bring back what ran before any release")?;
                run.engine.settle(None)?;
                if plan.found_running && run.engine.give_back()? {
                    return Ok(Restored::Sources);
                }
                for unit in run.engine.observe()?.iter().filter(|running| !running.fingerprint.is_empty()) {
                    run.prove(ROLLBACK, &format!("stop {}", unit.name))?;
                    run.engine.remove(&unit.name)?;
                }
                Ok(Restored::Nothing)
            });
        };
        let evidence = self.step(ROLLBACK, |run, step| {
            let render = run.restore(ROLLBACK, &live, step)?;
            let gate = Gate { soak: Duration::ZERO, is_sabotaged: false, ..run.gate };
            gate::hold(run.engine, &render.units(), &gate, step)
        })?;
        self.outcome.insert("rollback".to_owned(), json!({"release": live.content(), "gate": evidence}));
        Ok(Restored::Release(live.content()))
    }

    /// Applies the record of a release again, and observes that what runs is what was meant.
    fn restore(&mut self, name: &str, release: &Release, step: &Step) -> Result<Render> {
        let objections = self.objections(release)?;
        if !objections.is_empty() && !self.overrides.dangerous_schema {
            return Err(refused(release, &objections));
        }
        let folder = self.world.release_folder(release.content());
        let (render, values) =
            engine::read_release(&folder).with_context(|| format!("release {} cannot come back", release.content()))?;
        let applied = Applied { folder: &folder, render: &render, values: &values };
        self.converge(name, &applied, Some(&render), step)?;
        self.engine.settle(Some((release.content(), &applied)))?;
        Ok(render)
    }

    /// Why a release cannot come back on the schema as it is now.
    fn objections(&mut self, release: &Release) -> Result<Vec<String>> {
        let now = schema::versions(&ledger::read(&mut self.session)?);
        schema::objections(self.world.workspace, self.world.migrations, &schema_of(release), &now)
    }

    fn stuck(&mut self, plan: &Plan, why: &str, error: Option<&anyhow::Error>) -> anyhow::Error {
        let states = gate::states(self.engine);
        self.outcome.insert("stuck".to_owned(), json!({"why": why, "states": states}));
        // When the database is away this cannot be written down; the message says it all.
        let recorded = self.close(State::Stuck);
        facts::note(self.world, self.number, State::Stuck, &plan.artifact.id);
        self.tell_failure(plan, State::Stuck);
        let mut message = format!("release {} failed, and {why}; now {states}", self.number);
        if recorded.is_err() {
            message.push_str("; this could not be recorded, so the ledger shows the release as running");
        }
        let is_schema = error.is_some_and(|error| exit::exit_of(error) == Exit::Findings);
        let hint = match is_schema {
            true => format!(
                "mend it and deploy again, or bring it back all the same: `cargo xtask rollback {} --dangerous-schema`",
                plan.environment
            ),
            false => format!("nothing more is touched: look at it, then `cargo xtask rollback {}`", plan.environment),
        };
        Failure::new(Exit::Stuck, message).hint(hint).into()
    }

    /// A new session with the lock, when nobody else has taken it and no newer release was begun meanwhile.
    fn reconnect(&mut self) -> bool {
        ui::warn("the session with the database was lost; trying to take the lock again");
        let again = || -> Result<Session> {
            let mut session = Session::open_within(self.target, &ledger::purpose("deploy"), PATIENCE)?;
            lock::take(&mut session, Protects::Release, Duration::ZERO)?;
            releases::end(&mut session, self.number, LOCK, "note", "taken again: the session was lost")?;
            Ok(session)
        };
        match again() {
            Ok(session) => {
                self.session = session;
                true
            }
            Err(error) => {
                ui::warn(&format!("{error:#}"));
                false
            }
        }
    }

    /// Applies the record of an earlier release again, at the wish of a person.
    pub fn roll_back(mut self, plan: &Plan, release: &Release) -> Result<Exit> {
        facts::note(self.world, self.number, State::Running, &release.artifact);
        let mut gate = self.gate;
        gate.is_sabotaged = false;
        let result = self.step(ROLLOUT, |run, step| run.restore(ROLLOUT, release, step)).and_then(|render| {
            let evidence = self.step(GATE, |run, step| gate::hold(run.engine, &render.units(), &gate, step))?;
            self.outcome.insert("gate".to_owned(), evidence);
            releases::begin(&mut self.session, self.number, RECORD, "")?;
            self.note_schema()?;
            self.close(State::Verified)
        });
        match result {
            Ok(()) => {
                facts::note(self.world, self.number, State::Verified, &release.artifact);
                self.after(plan);
                ui::say(&format!(
                    "release {} runs again in `{}`, as release {}",
                    release.content(),
                    plan.environment,
                    self.number
                ));
                Ok(Exit::Done)
            }
            Err(error) => {
                exit::report(&error);
                self.outcome.insert("message".to_owned(), json!(redact::mask(&format!("{error:#}"))));
                Err(self.stuck(plan, "the rollback did not succeed", Some(&error)))
            }
        }
    }

    /// Goes on with a rollback in which an earlier run of this release was killed.
    pub fn resume_rollback(self, plan: &Plan) -> Result<Exit> {
        let failure = Failure::failed(format!("release {} had failed, and its rollback was interrupted", self.number));
        self.go_back(plan, failure.into())
    }
}

/// What runs again.
enum Restored {
    Release(i64),
    Sources,
    Nothing,
}

/// The versions that a release was verified on.
pub fn schema_of(release: &Release) -> Vec<String> {
    let versions = release.outcome["schema"].as_array().into_iter().flatten();
    versions.filter_map(|version| version.as_str().map(str::to_owned)).collect()
}

/// The refusal to bring a release back on a schema that has moved on.
pub fn refused(release: &Release, objections: &[String]) -> anyhow::Error {
    let findings = objections.iter().map(|why| ui::Finding::error(why.clone())).collect();
    let message = format!("release {} may not work on the schema as it is now", release.content());
    Failure::with_findings(Exit::Findings, &message, findings)
        .hint("if you know that it does: --dangerous-schema, which is recorded")
        .into()
}

/// Why the live release could not be brought back after this one: what is gone, and what the pending migrations say.
pub fn no_way_back(
    world: &World<'_>,
    engine: &dyn Engine,
    live: Option<&Release>,
    pending: &[plan::Pending],
) -> Result<Vec<String>> {
    let Some(live) = live.filter(|live| live.engine == engine.name()) else { return Ok(Vec::new()) };
    let mut objections = Vec::new();
    match engine::read_release(&world.release_folder(live.content())) {
        Ok((render, _)) => {
            objections.extend(engine.missing(&render)?.into_iter().map(|what| format!("{what} is gone")));
        }
        Err(error) => objections.push(format!("{error:#}")),
    }
    for migration in pending.iter().filter(|migration| !migration.is_compatible) {
        objections.push(format!("migration {} is not marked `-- migrate: compatible`", migration.title));
    }
    Ok(objections)
}
