//! `db maintain`: upkeep, and what needs care.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::flags::DbMaintain;
use crate::tasks::migrate::{open_environment, open_own};
use crate::ui::{self, Exit, Failure, suggest};
use crate::workspace::Workspace;
use database::lock::{self, Protects};
use database::maintain::{self, Job};

/// Runs the statements one by one, then reports what is beyond its threshold.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbMaintain) -> Result<Exit> {
    let jobs = chosen(maintain::read(workspace)?, &flags.name)?;
    let (environment, target) = open_environment(workspace, environment)?;
    let mut session = open_own(&target, "db maintain")?;
    let mut ran = Vec::new();
    if flags.plan {
        let rows: Vec<Vec<String>> = jobs.iter().map(|job| vec![job.file.to_string(), first_line(job)]).collect();
        if !flags.json {
            ui::out(&ui::table(&["FILE", "STATEMENT"], &rows));
        }
    } else {
        super::confirm(&environment, "run its upkeep?", flags.confirm.as_deref())?;
        lock::take(&mut session, Protects::Schema, flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs))?;
        for job in &jobs {
            let step = ui::step(first_line(job));
            let time = maintain::run(&mut session, job, target.config.timeouts.lock)?;
            step.done();
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            ran.push(json!({"file": job.file.as_str(), "statement": job.sql, "ms": ms}));
        }
    }
    let found = maintain::report(&mut session)?;
    if flags.json {
        let planned: Vec<_> = jobs.iter().map(|job| json!({"file": job.file.as_str(), "statement": job.sql})).collect();
        let findings: Vec<_> = found.iter().map(maintain::Care::to_json).collect();
        let mut object = json!({"environment": environment.name, "ran": ran, "findings": findings});
        if flags.plan {
            object["planned"] = planned.into();
        }
        ui::json(&object);
    } else {
        for care in &found {
            ui::warn(&care.message);
            ui::hint(&care.hint);
        }
        if found.is_empty() {
            ui::say("nothing is beyond its threshold");
        }
    }
    Ok(if found.is_empty() && (!flags.plan || jobs.is_empty()) { Exit::Done } else { Exit::Findings })
}

fn chosen(jobs: Vec<Job>, names: &[String]) -> Result<Vec<Job>> {
    let stem = |job: &Job| job.file.file_stem().unwrap_or_default().to_owned();
    for name in names {
        if !jobs.iter().any(|job| stem(job) == *name) {
            let mut known: Vec<String> = jobs.iter().map(stem).collect();
            known.dedup();
            let failure = Failure::usage(format!("there is no upkeep `{name}`"));
            return Err(failure.hint(suggest::did_you_mean(name, known.iter().map(String::as_str))).into());
        }
    }
    Ok(jobs.into_iter().filter(|job| names.is_empty() || names.contains(&stem(job))).collect())
}

fn first_line(job: &Job) -> String {
    job.sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(100).collect()
}
