//! The pipeline: the steps of a deployment and of a rollback, each journaled before and after, and the way back when one
//! fails. It knows no engine by name.

mod back;
mod forward;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::engine::{self, Applied, Engine, Render, Running, UnitKind, World};
use super::gate::{self, Gate};
use super::hooks::{self, When};
use super::plan::{self, Action, Now, Objection, Plan};
use super::preflight::Overrides;
use super::{facts, schema};
use crate::ui::{self, Exit, Failure, Step, redact};
use database::Target;
use database::ledger;
use database::lock::{self, Protects};
use database::releases::{self, Release, State};
use database::session::{self, Session};

/// The steps, by the names that the journal has.
pub const LOCK: &str = "lock";
pub const PREFLIGHT: &str = "preflight";
pub const BUILD: &str = "build";
pub const SHOW: &str = "show";
pub const HOOKS: &str = "pre-deploy";
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
    pub target: Target,
    pub session: Session,
    pub number: i64,
    /// The id of what is deployed.
    pub artifact: String,
    pub gate: Gate,
    pub overrides: Overrides,
    /// An earlier run of this release was killed while it rolled out: what runs may be half of it.
    pub is_half_done: bool,
    /// What its row will tell when it is closed.
    pub outcome: serde_json::Map<String, Value>,
    /// Keeps others of this machine away, from the rollout on.
    pub hold: Option<Box<dyn Send>>,
}

/// What a release takes the place of.
enum Before<'a> {
    /// The live release, where there is one.
    Live(Option<&'a Render>),
    /// Of its own: it comes back.
    Itself,
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

    /// Brings what runs to what a release says, in the order of dependency; the lock is proved before each effect. `live`
    /// is what it takes the place of.
    fn converge(&mut self, name: &str, applied: &Applied<'_>, live: Before<'_>, step: &Step) -> Result<()> {
        let running = self.engine.observe()?;
        let deviates = |running: &Running| self.engine.deviates(applied.render, running);
        let (live, is_restoring) = match live {
            Before::Live(live) => (live, false),
            Before::Itself => (Some(applied.render), true),
        };
        let now = Now { live, running: &running, deviates: &deviates, is_restoring };
        let actions = plan::actions(applied.render, &now);
        let named: BTreeMap<&str, &Action> = actions.iter().map(|(name, action)| (name.as_str(), action)).collect();
        // First, because what is gone may hold what something new needs: a port.
        for (gone, _) in actions.iter().filter(|(_, action)| *action == Action::Remove) {
            self.prove(name, &format!("stop {gone}"))?;
            self.engine.remove(gone)?;
        }
        let mut units = applied.render.units();
        units.retain(|unit| matches!(named.get(unit.name.as_str()), Some(Action::Start | Action::Replace { .. })));
        for unit in &units {
            self.prove(name, &format!("{} {}", named[unit.name.as_str()].name(), unit.name))?;
            self.engine.apply(applied, unit, step)?;
            if unit.kind == UnitKind::Service {
                gate::wait_until_ready(self.engine, unit, &self.gate, step)?;
            }
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
        self.note(step, "note", effect)
    }

    /// An entry of the journal.
    fn note(&mut self, step: &str, event: &str, detail: &str) -> Result<()> {
        self.write(|session, number| releases::note(session, number, step, event, detail))
    }

    /// Writes to the ledger; once more with a new session where the one there was is gone.
    fn write(&mut self, write: impl Fn(&mut Session, i64) -> Result<()>) -> Result<()> {
        match write(&mut self.session, self.number) {
            Err(error) if session::is_lost(&error) && self.secure() => write(&mut self.session, self.number),
            other => other,
        }
    }

    /// Makes sure of the lock: the session still has it, or a new one takes it, when nobody else has it by now.
    fn secure(&mut self) -> bool {
        if lock::is_held(&mut self.session, Protects::Release).unwrap_or(false) {
            return true;
        }
        ui::warn("the session with the database was lost; trying to take the lock again");
        let again = || -> Result<(Target, Session)> {
            // A database that was started again may be published on another port.
            let started = Instant::now();
            let target = loop {
                match super::database::target(self.world) {
                    Err(_) if started.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                    other => break other?,
                }
            };
            let mut session = Session::open_within(&target, &ledger::purpose("deploy"), PATIENCE)?;
            keep_open(&mut session)?;
            lock::take(&mut session, Protects::Release, Duration::ZERO)?;
            releases::note(&mut session, self.number, LOCK, "note", "taken again: the session was lost")?;
            Ok((target, session))
        };
        match again() {
            Ok((target, session)) => {
                (self.target, self.session) = (target, session);
                true
            }
            Err(error) => {
                ui::warn(&format!("{error:#}"));
                false
            }
        }
    }

    /// One step: told, journaled before and after, timed.
    fn step<T>(&mut self, name: &str, work: impl FnOnce(&mut Self, &Step) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        self.note(name, "begin", "")?;
        facts::note_step(self.world, self.number, name);
        let step = ui::step(name);
        let result = work(self, &step);
        let (event, detail) = match &result {
            Ok(_) => ("done", String::new()),
            Err(error) => ("failed", redact::mask(&format!("{error:#}")).into_owned()),
        };
        match &result {
            Ok(_) => step.done(),
            Err(_) => drop(step),
        }
        // What was lost in the middle of it is taken again where one needs it.
        let noted = match result.is_ok() {
            true => self.note(name, event, &detail),
            false => releases::note(&mut self.session, self.number, name, event, &detail),
        };
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
        let closed = self.write(|session, number| match releases::close(session, number, state, &outcome) {
            // It may have been written before the session was lost.
            Err(error) if releases::is_lost(&error) => match releases::find(session, number)? {
                Some(release) if release.state == state && release.outcome == outcome => Ok(()),
                _ => Err(error),
            },
            other => other,
        });
        if closed.is_ok() {
            facts::note(self.world, self.number, state, &self.artifact);
        }
        closed
    }
}

/// How long a database that went away in the middle may take to be back.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

/// Settings of a session that is to be held for as long as a deployment takes.
pub fn keep_open(session: &mut Session) -> Result<()> {
    for setting in ["idle_session_timeout", "idle_in_transaction_session_timeout", "statement_timeout"] {
        session.execute(&format!("set {setting} = 0"))?;
    }
    session.execute("set tcp_keepalives_idle = 30")?;
    Ok(())
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

/// Why the live release could not be brought back after this one: what is gone, what is in its way, and what the migrations
/// say that came since or are pending.
pub fn no_way_back(
    world: &World<'_>,
    engine: &dyn Engine,
    live: &Release,
    pinned: Option<&Render>,
    pending: &[plan::Pending],
    applied: &[String],
) -> Result<Vec<Objection>> {
    let mut objections = Vec::new();
    let mut binding = |why: String| objections.push(Objection { why, is_binding: true });
    if live.engine != engine.name() {
        let why = format!("release {} runs on the engine {}", live.number, live.engine);
        objections.push(Objection { why, is_binding: world.environment.is_protected() });
    } else if let Some(render) = pinned {
        engine.missing(render)?.into_iter().for_each(|what| binding(format!("{what} is gone")));
    } else if let Err(error) = engine::read_release(&world.release_folder(live.content())) {
        binding(format!("{error:#}"));
    }
    for why in schema::objections(world.workspace, world.migrations, &schema_of(live), applied)? {
        objections.push(Objection { why, is_binding: false });
    }
    for migration in pending.iter().filter(|migration| !migration.is_compatible) {
        let why = format!("migration {} is not marked `-- migrate: compatible`", migration.title);
        objections.push(Objection { why, is_binding: false });
    }
    Ok(objections)
}
