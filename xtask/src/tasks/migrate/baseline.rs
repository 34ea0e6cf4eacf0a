//! `migrate baseline VERSION`: records what a database has already, without running it.

use std::time::Duration;

use anyhow::Result;

use super::up::Disk;
use super::{PATIENCE, authorise, chain, lock_and_look, look, open_environment, remember};
use crate::flags::MigrateBaseline;
use crate::ui::{self, Exit};
use crate::workspace::Workspace;
use database::ledger::{self, Event, Look};
use database::migrations::{Migration, order};

pub fn baseline(workspace: &Workspace, environment: Option<&str>, flags: &MigrateBaseline) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let disk = Disk::read(workspace)?;
    disk.check_version(Some(&flags.version))?;
    let (mut session, look) = look(&target, &environment, "migrate baseline", PATIENCE)?;
    look.check_chain()?;
    let to_record = plan(&disk, &look, &flags.version);
    if to_record.is_empty() {
        ui::say("nothing to do: the ledger has them all");
        return Ok(Exit::Done);
    }
    let names: Vec<_> = to_record.iter().map(|file| vec![file.file.to_string()]).collect();
    ui::out(&ui::table(&[], &names));
    if flags.plan {
        return Ok(Exit::Findings);
    }
    authorise(&mut session, &look, &environment, &target, flags.confirm.as_deref())?;
    let look = lock_and_look(&mut session, &target, &environment, Duration::ZERO)?;
    let mut chain = chain(workspace, &look)?;
    let mut statements = vec!["begin".to_owned()];
    for file in plan(&disk, &look, &flags.version) {
        statements.push(ledger::record(&chain, Event::Baseline, &file.entry()));
        chain.last = chain.link(Event::Baseline, &file.entry());
    }
    let step = ui::step(format!("record {} migrations as applied", statements.len() - 1));
    statements.push("commit".to_owned());
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    for answer in session.run_all(&statements)? {
        answer.ok()?;
    }
    step.done();
    remember(workspace, &environment, &ledger::read(&mut session)?)?;
    Ok(Exit::Done)
}

/// The files up to a version that the ledger does not have.
fn plan<'a>(disk: &'a Disk, look: &Look, version: &str) -> Vec<&'a Migration> {
    let is_new = |file: &&Migration| !look.rows.iter().any(|row| order(&row.version) == order(&file.version));
    disk.files.iter().filter(|file| order(&file.version) <= order(version)).filter(is_new).collect()
}
