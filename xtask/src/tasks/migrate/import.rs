//! `migrate import DIR`: takes over the history of another tool, as files of ours; with `--env`, what that tool's ledger
//! says is applied becomes the baseline of that environment.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;

use super::up::Disk;
use super::{PATIENCE, authorise, chain, lock_and_look, look, open_environment, remember};
use crate::flags::MigrateImport;
use crate::tools::files;
use crate::ui::{self, Exit, Failure, Finding, Place, has_errors};
use crate::workspace::Workspace;
use database::import::convert::{Output, convert};
use database::import::{self, Format, Item, adopt};
use database::ledger::{self, Event};
use database::migrations::order;

pub fn import(workspace: &Workspace, environment: Option<&str>, flags: &MigrateImport) -> Result<Exit> {
    let format = flags.format.as_deref().map(Format::parse).transpose()?;
    let mut values = BTreeMap::new();
    for pair in &flags.set {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("expected NAME=VALUE, not `{pair}`")).into());
        };
        values.insert(name.to_owned(), value.to_owned());
    }
    let mut history = import::read(Utf8Path::new(&flags.folder), format)?;
    ui::say(&format!("{}: {} migrations of {}", flags.folder, history.items.len(), history.format.name()));
    let outputs = convert(&mut history, &values);
    history.notes.iter().for_each(|note| ui::warn(note));
    let mut findings = std::mem::take(&mut history.findings);
    let new = not_there_yet(workspace, &outputs, &mut findings)?;
    if has_errors(&findings) {
        return Err(Failure::with_findings(
            Exit::Findings,
            "the history cannot be taken over as it is; nothing was written",
            findings,
        )
        .into());
    }
    let rows = new.iter().map(|output| vec![output.from.to_string(), output.file.to_string(), output.how.to_owned()]);
    if !new.is_empty() {
        ui::out(&ui::table(&["FROM", "TO", "HOW IT RUNS"], &rows.collect::<Vec<_>>()));
    }
    if flags.plan {
        return Ok(if new.is_empty() { Exit::Done } else { Exit::Findings });
    }
    let step = ui::step(format!("write {} files", new.len()));
    for output in &new {
        files::write(&workspace.migrations().join(&output.file), &output.text, 0o644)?;
    }
    step.done();
    match environment {
        Some(name) => take_over(workspace, name, &history.items, history.format, flags),
        None => Ok(Exit::Done),
    }
}

/// The files to write; one that is there with the same text is done already.
fn not_there_yet<'a>(
    workspace: &Workspace,
    outputs: &'a [Output],
    findings: &mut Vec<Finding>,
) -> Result<Vec<&'a Output>> {
    let disk = Disk::read(workspace)?;
    let mut new = Vec::new();
    for output in outputs {
        let stem = output.file.file_stem().unwrap_or_default().trim_end_matches(".down");
        let version = stem.split('_').next().unwrap_or_default();
        let is_repeatable = output.file.starts_with("repeatable");
        let path = workspace.migrations().join(&output.file);
        let other = disk.files.iter().find(|file| !is_repeatable && order(&file.version) == order(version));
        let place = Place { file: output.from.clone(), line: 1, column: 1 };
        match (files::read(&path)?, other) {
            (Some(text), _) if text == output.text => {}
            (Some(_), _) => findings
                .push(Finding::error(format!("{} is there already, with another content", output.file)).at(place)),
            (None, Some(other)) if !output.file.as_str().contains(&other.name) => {
                findings.push(Finding::error(format!("{} has its version already", other.file)).at(place));
            }
            (None, _) => new.push(output),
        }
    }
    Ok(new)
}

/// Records what the tool's ledger has as applied.
fn take_over(workspace: &Workspace, name: &str, items: &[Item], format: Format, flags: &MigrateImport) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, Some(name))?;
    let (mut session, look) = look(&target, &environment, "migrate import", PATIENCE)?;
    look.check_chain()?;
    let applied = adopt::applied(&mut session, format, items)?;
    authorise(&mut session, &look, &environment, &target, flags.confirm.as_deref())?;
    let look = lock_and_look(&mut session, &target, &environment, Duration::ZERO)?;
    let disk = Disk::read(workspace)?;
    let mut chain = chain(workspace, &look)?;
    let mut statements = vec!["begin".to_owned()];
    for file in &disk.files {
        let is_applied = applied.iter().any(|item| order(&item.version) == order(&file.version));
        let is_known = look.rows.iter().any(|row| order(&row.version) == order(&file.version));
        if is_applied && !is_known {
            statements.push(ledger::record(&chain, Event::Baseline, &file.entry()));
            chain.last = chain.link(Event::Baseline, &file.entry());
        }
    }
    let step = ui::step(format!("adopt the ledger of {}", format.name()));
    let count = statements.len() - 1;
    statements.push("commit".to_owned());
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    for answer in session.run_all(&statements)? {
        answer.ok()?;
    }
    step.done_with(&format!("{count} of {} are applied there", items.len()));
    remember(workspace, &environment, &ledger::read(&mut session)?)?;
    Ok(Exit::Done)
}
