//! A release whose run was killed, as the next `deploy` finds it: how far it had come, and what may be done about it.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::json;

use crate::deploy::pipeline;
use crate::deploy::plan::Plan;
use crate::flags::Deploy;
use crate::ui::{self, Failure};
use database::releases::{self, Kind, Release, State};
use database::session::Session;

/// A release whose run was killed, and how far it had come.
pub struct Interrupted {
    pub release: Release,
    /// Steps that it had done.
    pub done: BTreeSet<String>,
    /// The step that was begun last.
    step: String,
}

impl Interrupted {
    pub fn read(session: &mut Session, release: &Release) -> Result<Interrupted> {
        let entries = releases::steps(session, release.number)?;
        let ended = |event: &str| matches!(event, "done" | "same");
        let done = entries.iter().filter(|entry| ended(&entry.event)).map(|entry| entry.step.clone()).collect();
        let known = entries.iter().rfind(|entry| entry.event == "begin").map(|entry| entry.step.clone());
        let step = known.unwrap_or_else(|| pipeline::LOCK.to_owned());
        Ok(Interrupted { release: release.clone(), done, step })
    }
    /// Nothing that runs was changed yet.
    fn is_harmless(&self) -> bool {
        let harmless =
            [pipeline::LOCK, pipeline::PREFLIGHT, pipeline::BUILD, pipeline::SHOW, pipeline::HOOKS, pipeline::BACKUP];
        harmless.contains(&self.step.as_str())
    }
    /// What runs may be half of it.
    pub fn has_rolled_out(&self) -> bool {
        !self.is_harmless() && self.step != pipeline::MIGRATE
    }
    pub fn describe(&self) -> String {
        let by = &self.release;
        format!(
            "release {} was interrupted at `{}` ({}@{}, {})",
            by.number, self.step, by.os_user, by.host, by.started_at
        )
    }

    /// What a plain `deploy` does about it: says so, asks where something may be half done, and closes it.
    pub fn give_up(&self, session: &mut Session, flags: &Deploy) -> Result<()> {
        ui::warn(&self.describe());
        let name = &flags.env;
        if !self.is_harmless() && !flags.yes {
            if !ui::terminal().interactive {
                let hint = format!(
                    "go on with it: `cargo xtask deploy {name} --resume`; go back: `cargo xtask rollback {name}`; \
                 or give it up for a new release: --yes"
                );
                return Err(Failure::refused(self.describe()).hint(hint).into());
            }
            if !ui::prompt::confirm("give it up, and deploy a new release?", false)? {
                let hint = format!(
                    "`cargo xtask deploy {name} --resume` goes on with it, `cargo xtask rollback {name}` goes back"
                );
                return Err(Failure::refused("declined; nothing was touched").hint(hint).into());
            }
        }
        let outcome = json!({"message": format!("interrupted at {}", self.step)});
        releases::close(session, self.release.number, State::Interrupted, &outcome)
    }

    /// Refuses (exit 3) to go on with it when the world would make another release by now. Says whether it is its rollback
    /// that was interrupted.
    pub fn check_same(&self, plan: &Plan, environment: &str) -> Result<bool> {
        let release = &self.release;
        if release.kind == Kind::Rollback {
            let hint = format!("`cargo xtask rollback {environment}` begins it again");
            return Err(Failure::refused(format!("release {} is a rollback", release.number)).hint(hint).into());
        }
        if self.step == pipeline::ROLLBACK {
            return Ok(true);
        }
        let then = &release.record;
        let differences = [
            ("the sources", release.artifact != plan.artifact.id),
            ("the configuration", then["render"] != plan.render.document),
            ("values of the environment", then["values"] != json!(plan.values)),
            ("the engine", release.engine != plan.engine),
        ];
        let changed: Vec<&str> = differences.iter().filter(|(_, differs)| *differs).map(|(what, _)| *what).collect();
        if changed.is_empty() {
            return Ok(false);
        }
        let what = changed.join(", ");
        let message = format!("release {} cannot be resumed: {what} changed since it was begun", release.number);
        let commit = release.commit.as_deref().unwrap_or("the commit it was begun from");
        let hint = format!(
            "check out {commit}, or go back: `cargo xtask rollback {environment}`, \
             or give it up: `cargo xtask deploy {environment} --yes`"
        );
        Err(Failure::refused(message).hint(hint).into())
    }
}
