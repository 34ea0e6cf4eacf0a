//! `migrate down [N]`: takes the newest migrations back by their down files, newest first. Repeatable views are dropped
//! with the first one, and made again by the next `up`.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::up::Disk;
use super::{PATIENCE, authorise, chain, elsewhere, lock_and_look, look, milliseconds, open_environment, remember};
use crate::flags::MigrateDown;
use crate::ui::{self, Exit, Failure};
use crate::workspace::Workspace;
use database::ledger::{self, Applied, Look};
use database::migrations::apply::views;
use database::migrations::{self, Ready, Runner, leftovers, order};

pub fn down(workspace: &Workspace, environment: Option<&str>, flags: &MigrateDown) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let disk = Disk::read(workspace)?;
    let count = flags.count.unwrap_or(1);
    let (mut session, mut look) = look(&target, &environment, "migrate down", PATIENCE)?;
    let planned = plan(workspace, &disk, &look, &environment.name, count)?;
    if flags.plan {
        let rows: Vec<_> = planned.iter().map(|(down, _)| vec![down.migration.file.to_string()]).collect();
        ui::out(&ui::table(&[], &rows));
        return Ok(if planned.is_empty() { Exit::Done } else { Exit::Findings });
    }
    let mut reverted = Vec::new();
    if !planned.is_empty() {
        authorise(&mut session, &look, &environment, &target, flags.confirm.as_deref())?;
        let lock_wait = flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs);
        look = lock_and_look(&mut session, &target, &environment, lock_wait)?;
        let planned = plan(workspace, &disk, &look, &environment.name, count)?;
        let mut views = views(&migrations::prepare(workspace, disk.repeatable.clone())?);
        let before = leftovers::read(&mut session)?;
        let mut runner =
            Runner { session: &mut session, chain: chain(workspace, &look)?, timeouts: target.config.timeouts };
        for (down, row) in &planned {
            let step = ui::step(format!("take back {}_{}", row.version, row.name));
            let time = runner.down(down, row, &std::mem::take(&mut views))?;
            step.done();
            reverted.push((row, time));
        }
        remember(workspace, &environment, &ledger::read(&mut session)?)?;
        leftovers::check(&mut session, &before)?;
        let objects = reverted
            .iter()
            .map(|(row, time)| json!({"version": row.version, "name": row.name, "duration_ms": milliseconds(*time)}));
        if flags.json {
            ui::json(&json!({"reverted": objects.collect::<Vec<_>>()}));
        }
    } else if flags.json {
        ui::json(&json!({"reverted": []}));
    } else {
        ui::say("nothing to do: no migration is applied");
    }
    Ok(Exit::Done)
}

/// The down files of the newest `count` applied migrations, newest first, or a refusal (exit 3) when one has none.
fn plan<'a>(
    workspace: &Workspace,
    disk: &Disk,
    look: &'a Look,
    environment: &str,
    count: usize,
) -> Result<Vec<(Ready, &'a Applied)>> {
    look.check_chain()?;
    let standings = migrations::compare(&disk.files, &look.rows);
    let settled: Vec<_> = standings.into_iter().filter(|it| it.state != migrations::State::Reverting).collect();
    migrations::check_history(&settled, environment, elsewhere(workspace, environment))?;
    let mut rows: Vec<&Applied> = look.rows.iter().collect();
    rows.sort_by(|a, b| order(&b.version).cmp(&order(&a.version)));
    let mut downs = Vec::new();
    let mut chosen = Vec::new();
    for row in rows.into_iter().take(count) {
        if row.state == "running" {
            let message =
                format!("version {} was begun and is not finished: there is no whole to take back", row.version);
            return Err(Failure::refused(message).hint("finish it with `cargo xtask migrate up`").into());
        }
        let file = disk.files.iter().find(|file| order(&file.version) == order(&row.version));
        let down = file.map(|file| migrations::down_file(workspace, file)).transpose()?.flatten();
        let Some(down) = down else {
            let message = format!("version {} ({}) has no down file; nothing was touched", row.version, row.name);
            let hint =
                format!("write {}_{}.down.sql beside it, or a new migration that undoes it", row.version, row.name);
            return Err(Failure::refused(message).hint(hint).into());
        };
        downs.push(down);
        chosen.push(row);
    }
    Ok(migrations::prepare(workspace, downs)?.into_iter().zip(chosen).collect())
}
