//! The pipeline: the steps of a deployment and of a rollback, each journaled before and after, and the way back when one
//! fails. It knows no engine by name.

mod back;
mod forward;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::engine::{self, Applied, Engine, Render, UnitKind, World};
use super::gate::{self, Gate};
use super::hooks::{self, When};
use super::plan::{self, Action, Plan};
use super::preflight::Overrides;
use super::{facts, schema};
use crate::ui::{self, Exit, Failure, Step, redact};
use database::Target;
use database::ledger;
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

impl Run<'_> {
    /// The versions that this release was verified on: what decides later whether it can come back.
    fn note_schema(&mut self) -> Result<()> {
        let rows = ledger::read(&mut self.session)?;
        self.outcome.insert("schema".to_owned(), json!(schema::versions(&rows)));
        Ok(())
    }

    fn tell_failure(&self, plan: &Plan, state: State) {
        if let Err(error) = hooks::run(self.world, When::Failed, &self.told(plan, state)) {
            ui::warn(&format!("a hook failed: {error:#}"));
        }
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
