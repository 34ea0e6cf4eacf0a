//! `migrate promote`: what production has released moves from pending/ to applied/, and gets its line in checksums.
//!
//! The ledger says what is released, by content; a run that was killed between two files is finished by the next one. A
//! line that is there is never changed.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::{PATIENCE, look, open_environment, remember};
use crate::flags::MigratePromote;
use crate::tools::files::{self, Lock};
use crate::tools::hash;
use crate::ui::{self, Exit, Failure, has_errors};
use crate::workspace::{Workspace, entries};
use database::checksums::Checksums;
use database::migrations::{self, State};

/// Whose ledger decides.
const RELEASED: &str = "production";

pub fn promote(workspace: &Workspace, environment: Option<&str>, flags: &MigratePromote) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, Some(environment.unwrap_or(RELEASED)))?;
    let _lock = Lock::take(&workspace.lock_file("migrations"), "the migration files", PATIENCE)?;
    let files = migrations::read(workspace)?;
    let (_session, look) = look(&target, &environment, "migrate promote", PATIENCE)?;
    look.check_chain()?;
    let standings = migrations::compare(&files, &look.rows);
    migrations::check_history(&standings, &environment.name, |_| Vec::new())?;
    let mut checksums = Checksums::read(workspace)?;
    let folder = workspace.migrations();
    let released = |state: State| matches!(state, State::Applied | State::Baseline);
    // Whatever has a line is frozen; what is wrong with it is for a person.
    let findings: Vec<_> =
        checksums.check(workspace)?.into_iter().filter(|it| !it.message.starts_with("it has no line")).collect();
    if has_errors(&findings) {
        let message = "applied migrations are not as they were released; nothing was touched";
        return Err(Failure::with_findings(Exit::Findings, message, findings).into());
    }
    let mut moves: Vec<(Utf8PathBuf, Utf8PathBuf)> = Vec::new();
    let mut frozen: Vec<String> = Vec::new();
    for file in files.iter().filter(|file| standings.iter().any(|it| it.version == file.version && released(it.state)))
    {
        let path = workspace.root().join(&file.file);
        for path in [path.clone(), path.with_extension("down.sql")] {
            let name = path.file_name().unwrap_or_default().to_owned();
            if path.is_file() && path.parent() != Some(&folder.join("applied")) {
                moves.push((path, folder.join("applied").join(&name)));
                frozen.push(name);
            } else if path.is_file() && !checksums.known.contains_key(&name) {
                frozen.push(name);
            }
        }
    }
    if frozen.is_empty() {
        ui::say(&format!("nothing to do: applied/ holds what `{}` has released", environment.name));
        return Ok(Exit::Done);
    }
    ui::out(&ui::table(&[], &frozen.iter().map(|name| vec![name.clone()]).collect::<Vec<_>>()));
    if flags.plan {
        return Ok(Exit::Findings);
    }
    let step = ui::step(format!("freeze {} files", frozen.len()));
    files::make_folder(&folder.join("applied"))?;
    for (from, to) in &moves {
        files::rename(from, to)?;
    }
    for path in entries(&folder.join("applied")) {
        if let Some(name) = path.file_name().filter(|name| frozen.iter().any(|it| it == name)) {
            checksums.known.insert(name.to_owned(), hash::sha256_file(&path)?);
        }
    }
    checksums.write()?;
    step.done_with("commit database/migrations");
    remember(workspace, &environment, &look.rows)?;
    Ok(Exit::Done)
}
