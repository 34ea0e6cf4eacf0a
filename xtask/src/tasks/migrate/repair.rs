//! `migrate repair`: makes the ledger agree with the files, and seals a history that was edited by hand. It never touches
//! the schema: whoever runs it says that the schema is as the files say.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::up::Disk;
use super::{PATIENCE, chain, elsewhere, lock_and_look, look, open_environment, remember};
use crate::flags::MigrateRepair;
use crate::tools::hash;
use crate::ui::{self, Exit, Failure, prompt};
use crate::workspace::{Environment, Workspace};
use database::ledger::{self, Chain, Entry, Event, Look};
use database::migrations::{self, Standing, State, order};
use database::session::{Session, literal};

pub fn repair(workspace: &Workspace, environment: Option<&str>, flags: &MigrateRepair) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let disk = Disk::read(workspace)?;
    let (mut session, look) = look(&target, &environment, "migrate repair", PATIENCE)?;
    let broken = broken(&disk, &look);
    if broken.is_empty() && look.edited().is_none() {
        ui::say("nothing to do: ledger and files agree");
        return Ok(Exit::Done);
    }
    let mut rows: Vec<Vec<String>> =
        broken.iter().map(|standing| describe(workspace, &environment, standing)).collect();
    if let Some(version) = look.edited() {
        rows.push(vec![
            version.to_owned(),
            String::new(),
            "the history from here on is sealed as it stands".to_owned(),
        ]);
    }
    ui::out(&ui::table(&["VERSION", "NAME", "WHAT IS DONE TO THE LEDGER"], &rows));
    if flags.plan {
        return Ok(Exit::Findings);
    }
    let question = format!("the schema of `{}` stays as it is; write this to its ledger?", environment.name);
    if (environment.name != super::super::services::DEV || environment.is_protected())
        && !prompt::confirm_by_name(&question, &environment.name, flags.confirm.as_deref())?
    {
        return Err(Failure::refused("not confirmed; nothing was touched").into());
    }
    let look = lock_and_look(&mut session, &target, &environment, Duration::ZERO)?;
    let step = ui::step("repair the ledger");
    session.execute("begin")?;
    let mut chain = chain(workspace, &look)?;
    if look.edited().is_some() {
        chain.last = seal(&mut session)?;
        seal_rows(&mut session, &mut chain)?;
    }
    for standing in self::broken(&disk, &look) {
        let file = disk.files.iter().find(|file| file.version == standing.version);
        match (standing.state, file) {
            (State::Changed, Some(file)) => {
                session.execute(&ledger::replace(&chain, &file.entry()))?;
                chain.last = chain.link(Event::Repaired, &file.entry());
            }
            _ => {
                let entry = Entry { version: &standing.version, name: &standing.name, sha256: "", raw_sha256: "" };
                session.execute(&ledger::forget(&chain, Event::Forgotten, &entry))?;
                chain.last = chain.link(Event::Forgotten, &entry);
            }
        }
    }
    session.execute("commit")?;
    step.done();
    remember(workspace, &environment, &ledger::read(&mut session)?)?;
    Ok(Exit::Done)
}

fn broken(disk: &Disk, look: &Look) -> Vec<Standing> {
    let standings = migrations::compare(&disk.files, &look.rows).into_iter();
    standings.filter(|standing| matches!(standing.state, State::Changed | State::Missing)).collect()
}

fn describe(workspace: &Workspace, environment: &Environment, standing: &Standing) -> Vec<String> {
    let others = elsewhere(workspace, &environment.name)(&standing.version);
    let also = if others.is_empty() { String::new() } else { format!(" (applied to {} too)", others.join(", ")) };
    let what = match standing.state {
        State::Changed => format!(
            "takes the content and name of {}{also}",
            standing.file.as_deref().map_or("?", |file| file.as_str())
        ),
        _ => format!("forgets it: its file is gone{also}"),
    };
    vec![standing.version.clone(), standing.name.clone(), what]
}

/// Links the events anew, in their order; the last link.
fn seal(session: &mut Session) -> Result<String> {
    let events =
        session.query("select id, event, version, name, sha256, chain_sha256 from ops.migration_event order by id")?;
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let mut last = String::new();
    for event in &events {
        let parts = ["event", "version", "name", "sha256"].map(|key| text(event, key));
        let link = hash::sha256(format!("{last}\n{}\n", parts.join("\n")));
        let old = text(event, "chain_sha256");
        if link != old {
            let id = &event["id"];
            session.execute(&format!(
                "update ops.migration_event set chain_sha256 = {} where id = {id}",
                literal(&link)
            ))?;
            session.execute(&format!(
                "update ops.migration set chain_sha256 = {} where chain_sha256 = {} and version = {}",
                literal(&link),
                literal(&old),
                literal(&text(event, "version"))
            ))?;
        }
        last = link;
    }
    Ok(last)
}

/// Gives an event to each row that none has made as it is now.
fn seal_rows(session: &mut Session, chain: &mut Chain) -> Result<()> {
    let rows = session.query(
        "select m.version, m.name, m.sha256, m.raw_sha256 from ops.migration m \
         left join ops.migration_event e on e.chain_sha256 = m.chain_sha256 and e.version = m.version and e.sha256 = m.sha256 \
         where m.state in ('applied', 'baseline') and e.id is null order by m.version::numeric",
    )?;
    let mut rows: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            ["version", "name", "sha256", "raw_sha256"].map(|key| row[key].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    rows.sort_by(|a, b| order(&a[0]).cmp(&order(&b[0])));
    for [version, name, sha256, raw_sha256] in &rows {
        let entry = Entry { version, name, sha256, raw_sha256 };
        session.execute(&ledger::replace(chain, &entry))?;
        chain.last = chain.link(Event::Repaired, &entry);
    }
    Ok(())
}
