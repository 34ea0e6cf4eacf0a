//! The way forward: the steps of a deployment, in order.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::json;

use super::{BACKUP, BUILD, Before, GATE, HOOKS, LOCK, MIGRATE, PREFLIGHT, RECORD, ROLLOUT, Run, SHOW};
use crate::deploy::artifact::short;
use crate::deploy::engine::{Applied, RENDER_FILE, Render, VALUES_FILE};
use crate::deploy::hooks::{self, When};
use crate::deploy::plan::Plan;
use crate::deploy::values::Values;
use crate::deploy::{facts, gate, preflight, retention};
use crate::tasks::db::backup;
use crate::tasks::migrate;
use crate::tools::files;
use crate::ui::{self, Exit, Failure, exit, redact};
use database::releases::{self, State};

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
        facts::note(self.world, self.number, State::Running, &self.artifact);
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
            let report = preflight::run(run.world, run.engine, &run.target, &mut run.session, plan, &run.overrides)?;
            if !report.overridden.is_empty() {
                run.outcome.insert("overridden".to_owned(), json!(report.overridden));
            }
            if !report.proof.is_null() {
                run.outcome.insert("promoted".to_owned(), report.proof.clone());
            }
            report.result()
        })
        .map_err(stop(State::Refused))?;
        let pins = self
            .step(BUILD, |run, step| run.engine.build(&plan.artifact, &plan.render, step))
            .map_err(stop(State::Failed))?;
        let render = self.engine.pin(&plan.render, &pins).map_err(stop(State::Failed))?;
        self.outcome.insert("pins".to_owned(), json!(pins));
        if !done.contains(SHOW) {
            self.show(plan, ask).map_err(stop(State::Declined))?;
        }
        if !done.contains(HOOKS) {
            self.step(HOOKS, |run, _| {
                hooks::run(run.world, When::PreDeploy, &run.told(plan, State::Running))
                    .context(Failure::refused("a pre-deploy hook said no; nothing was touched"))
            })
            .map_err(stop(State::Refused))?;
        }
        if plan.backs_up && !done.contains(BACKUP) {
            let id = self
                .step(BACKUP, |run, step| {
                    let kept = releases::backups(&mut run.session, retention::KEEP)?;
                    let id =
                        backup::before_deploy(run.world.workspace, run.world.environment, &run.target, &kept, step)?;
                    run.note(BACKUP, "note", &id)?;
                    Ok(id)
                })
                .map_err(stop(State::Failed))?;
            self.outcome.insert("backup".to_owned(), json!(id));
        }
        let migrated = self
            .step(MIGRATE, |run, _| {
                let planned = migrate::Planned {
                    files: plan.migrations.iter().map(|it| (it.title.as_str(), it.sha256.as_str())).collect(),
                    seeds: &plan.seeds,
                };
                migrate::apply_for_deploy(run.world.workspace, run.world.environment, &run.target, &planned)
            })
            .map_err(stop(State::Failed))?;
        if !migrated.is_empty() {
            self.outcome.insert("migrated".to_owned(), json!(migrated));
        }
        self.keep(&render, values).map_err(stop(State::Failed))?;
        Ok(render)
    }

    fn show(&mut self, plan: &Plan, ask: &mut dyn FnMut(&Plan) -> Result<bool>) -> Result<()> {
        self.note(SHOW, "begin", "")?;
        facts::note_step(self.world, self.number, SHOW);
        let answer = ask(plan);
        let (event, detail) = match &answer {
            Ok(true) => ("done", String::new()),
            Ok(false) => ("failed", "declined".to_owned()),
            Err(error) => ("failed", format!("{error:#}")),
        };
        self.note(SHOW, event, &redact::mask(&detail))?;
        match answer? {
            true => Ok(()),
            false => Err(Failure::refused("declined; nothing was rolled out").into()),
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
        self.step(ROLLOUT, |run, step| run.converge(ROLLOUT, applied, Before::Live(live.as_ref()), step).map(drop))?;
        let gate = self.gate;
        let evidence = self.step(GATE, |run, step| gate::hold(run.engine, &applied.render.units(), &gate, step))?;
        self.outcome.insert("gate".to_owned(), evidence);
        self.step(RECORD, |run, _| {
            run.engine.settle(Some((run.number, applied)))?;
            run.note_schema()
        })?;
        self.close(State::Verified)?;
        self.after(plan);
        Ok(())
    }

    /// What follows a release that is verified; nothing of it can undo that.
    pub(super) fn after(&mut self, plan: &Plan) {
        if let Some(live) = plan.live.as_ref().filter(|live| live.engine != self.engine.name()) {
            ui::warn(&format!(
                "release {} was deployed by the engine {}; what of it still runs there was not touched",
                live.number, live.engine
            ));
        }
        let told = self.told(plan, State::Verified);
        if let Err(error) = hooks::run(self.world, When::PostDeploy, &told) {
            let text = format!("a post-deploy hook failed: {error:#}");
            ui::warn(&text);
            let noted =
                releases::note_after(&mut self.session, self.number, "post-deploy", "failed", &redact::mask(&text));
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

    /// Ends a run that has rolled nothing out: what ran before runs on.
    fn stop(mut self, plan: &Plan, stop: Stop) -> Result<Exit> {
        let Stop { state, error } = stop;
        let code = exit::exit_of(&error);
        self.outcome.insert("message".to_owned(), json!(redact::mask(&format!("{error:#}"))));
        let (number, environment) = (self.number, &plan.environment);
        if !self.secure() {
            let what = match self.is_half_done {
                true => format!("release {number} was not resumed, and may still be half rolled out"),
                false => format!("release {number} stopped before anything was rolled out"),
            };
            let hint = format!("when the database is back: `cargo xtask deploy {environment} --resume`");
            return Err(error.context(Failure::cannot_tell(what).hint(hint)));
        }
        if self.is_half_done {
            // What its first run has rolled out stands: the release stays open, for one of the two ways out of it.
            let why = redact::mask(&format!("{error:#}")).into_owned();
            if let Err(second) = self.note(LOCK, "note", &format!("not resumed: {why}")) {
                ui::warn(&format!("that could not be recorded: {second:#}"));
            }
            let what = format!("release {number} was not resumed, and may still be half rolled out");
            let hint = format!(
                "mend it, then `cargo xtask deploy {environment} --resume`; or go back: `cargo xtask rollback {environment}`"
            );
            return Err(error.context(Failure::new(code, what).hint(hint)));
        }
        if let Err(second) = self.close(state) {
            ui::warn(&format!("how release {number} ended could not be recorded: {second:#}"));
        }
        if state == State::Failed {
            self.tell_failure(plan, state);
            let serving = plan.live.as_ref().map_or("nothing was rolled out".to_owned(), |live| {
                format!("nothing was rolled out: release {} goes on", live.number)
            });
            return Err(error.context(Failure::new(code, format!("release {number} failed; {serving}"))));
        }
        Err(error)
    }
}
