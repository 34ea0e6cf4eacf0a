//! The way back: what follows a failure from the rollout on, and what a person asks for with `rollback`.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Before, GATE, RECORD, ROLLBACK, ROLLOUT, Run, refused, schema_of};
use crate::deploy::engine::{self, Applied, Render};
use crate::deploy::gate::{self, Gate};
use crate::deploy::plan::Plan;
use crate::deploy::{facts, schema};
use crate::ui::{self, Exit, Failure, Step, exit, redact};
use database::ledger;
use database::releases::{Release, State};

/// What runs again.
enum Restored {
    Release(i64),
    Sources,
    Nothing,
    /// Nothing of this engine; another one runs what it ran.
    Elsewhere(i64, String),
}

impl Run<'_> {
    /// After a failure from the rollout on: brings back what ran before, or says how things stand.
    pub(super) fn go_back(mut self, plan: &Plan, error: anyhow::Error) -> Result<Exit> {
        exit::report(&error);
        let message = redact::mask(&format!("{error:#}")).into_owned();
        self.outcome.insert("message".to_owned(), json!(message));
        if !self.secure() {
            return Err(self.stuck(plan, "the lock of this environment was lost, so nothing more is touched", None));
        }
        let (number, hint) = (self.number, self.look_hint(plan));
        let (state, failure) = match self.restore_before(plan) {
            Ok(Restored::Release(live)) => {
                let message = format!("release {number} failed; release {live} runs again");
                (State::RolledBack, Failure::new(Exit::RolledBack, message).hint(hint))
            }
            Ok(Restored::Sources) => {
                let message = format!("release {number} failed; the services run from their sources again");
                (State::RolledBack, Failure::new(Exit::RolledBack, message).hint(hint))
            }
            Ok(Restored::Nothing) => {
                let message = format!("release {number} failed and was stopped; there is none before it");
                (State::Failed, Failure::failed(message).hint(hint))
            }
            Ok(Restored::Elsewhere(live, engine)) => {
                let message = format!(
                    "release {number} failed and was stopped; release {live} was deployed by the engine {engine}, which was \
                     not touched"
                );
                let hint = format!(
                    "see how that one is: `cargo xtask health --env {0}`; bring it back: `cargo xtask rollback {0} --to {live}`",
                    plan.environment
                );
                (State::Failed, Failure::failed(message).hint(hint))
            }
            Err(second) => {
                exit::report(&second);
                let why = format!("it could not be rolled back: {}", redact::mask(&format!("{second:#}")));
                return Err(self.stuck(plan, &why, Some(&second)));
            }
        };
        Err(self.went_back(plan, state, failure))
    }

    /// The last word on a release that failed, once what ran before it runs again.
    fn went_back(&mut self, plan: &Plan, state: State, failure: Failure) -> anyhow::Error {
        let closed = self.close(state);
        facts::note(self.world, self.number, state, &self.artifact);
        self.tell_failure(plan, state);
        match closed {
            Ok(()) => failure.into(),
            Err(error) => {
                let what = format!("{failure}; this could not be recorded, so the ledger shows the release as running");
                let hint = format!("when the database is back: `cargo xtask rollback {}`", plan.environment);
                error.context(Failure::new(Exit::Stuck, what).hint(hint))
            }
        }
    }

    fn look_hint(&self, plan: &Plan) -> String {
        format!("see `cargo xtask releases show {} --env {}`", self.number, plan.environment)
    }

    fn restore_before(&mut self, plan: &Plan) -> Result<Restored> {
        let own = plan.live.clone().filter(|live| live.engine == self.engine.name());
        if plan.found_running || own.is_none() {
            let restored = self.step(ROLLBACK, |run, _| {
                run.prove(ROLLBACK, "bring back what ran before this release")?;
                run.engine.settle(None)?;
                if plan.found_running && run.engine.give_back()? {
                    return Ok(Some(Restored::Sources));
                }
                if own.is_some() {
                    return Ok(None);
                }
                for unit in run.engine.observe()?.iter().filter(|running| !running.fingerprint.is_empty()) {
                    run.prove(ROLLBACK, &format!("stop {}", unit.name))?;
                    run.engine.remove(&unit.name)?;
                }
                Ok(Some(match &plan.live {
                    Some(live) => Restored::Elsewhere(live.content(), live.engine.clone()),
                    None => Restored::Nothing,
                }))
            })?;
            if let Some(restored) = restored {
                return Ok(restored);
            }
        }
        let live = own.context("there is no release to bring back")?;
        let evidence = self.step(ROLLBACK, |run, step| {
            let (render, _) = run.restore(ROLLBACK, &live, step)?;
            let gate = Gate { soak: Duration::ZERO, is_sabotaged: false, ..run.gate };
            gate::hold(run.engine, &render.units(), &gate, step)
        })?;
        self.outcome.insert("rollback".to_owned(), json!({"release": live.content(), "gate": evidence}));
        Ok(Restored::Release(live.content()))
    }

    /// Applies the record of a release again, and observes that what runs is what was meant. Says whether anything was
    /// changed for it.
    fn restore(&mut self, name: &str, release: &Release, step: &Step) -> Result<(Render, bool)> {
        let objections = self.objections(release)?;
        if !objections.is_empty() && !self.overrides.dangerous_schema {
            return Err(refused(release, &objections));
        }
        let folder = self.world.release_folder(release.content());
        let (render, values) =
            engine::read_release(&folder).with_context(|| format!("release {} cannot come back", release.content()))?;
        let applied = Applied { folder: &folder, render: &render, values: &values };
        let has_changed = self.converge(name, &applied, Before::Itself, step)?;
        self.engine.settle(Some((release.content(), &applied)))?;
        Ok((render, has_changed))
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
        facts::note(self.world, self.number, State::Stuck, &self.artifact);
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

    /// Applies the record of an earlier release again, at the wish of a person.
    pub fn roll_back(mut self, plan: &Plan, release: &Release) -> Result<Exit> {
        facts::note(self.world, self.number, State::Running, &self.artifact);
        let mut gate = self.gate;
        gate.is_sabotaged = false;
        let attempt = |run: &mut Self| -> Result<(bool, Result<Value>)> {
            let (render, has_changed) = run.step(ROLLOUT, |run, step| run.restore(ROLLOUT, release, step))?;
            let held = run.step(GATE, |run, step| gate::hold(run.engine, &render.units(), &gate, step));
            Ok((has_changed, held))
        };
        let result = attempt(&mut self).and_then(|(has_changed, held)| match held {
            // What ran all the while may have been told to end by a run that was killed, and ended only now.
            Err(error) if !has_changed => {
                exit::report(&error);
                attempt(&mut self)?.1
            }
            held => held,
        });
        let result = result.and_then(|evidence| {
            self.outcome.insert("gate".to_owned(), evidence);
            self.step(RECORD, |run, _| run.note_schema())?;
            self.close(State::Verified)
        });
        match result {
            Ok(()) => {
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
