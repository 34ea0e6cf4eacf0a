//! `restructure finish DIR`: the state goes, and with it the copies of duplicates and the way back.

use anyhow::Result;
use base::tools::files;
use base::ui::{self, Exit, Failure, Finding, prompt};
use base::workspace::Workspace;

use super::{Request, plural};
use crate::journal::{Journal, Stage, State};
use crate::undo;

pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let folder = super::folder(request.need("folder")?)?;
    let finishing = State::of(&folder);
    if finishing.finishing().exists() {
        // A run that was killed had begun; nothing can be asked any more.
        let _lock = super::lock(workspace, &folder)?;
        return remove(&finishing);
    }
    let (state, journal) = super::find(workspace, &folder)?;
    let target = state.folder.ancestors().nth(2).unwrap_or(&state.folder).to_owned();
    let _lock = super::lock(workspace, &target)?;
    if state.stage() != Stage::Applied {
        let failure = Failure::refused("it has not been carried out to its end");
        return Err(failure.hint(format!("cargo xtask restructure apply --resume {target}, or undo {target}")).into());
    }
    let step = ui::step("every dropped copy has its twin");
    let orphans = undo::orphans(&state, &journal)?;
    if !orphans.is_empty() {
        let findings = orphans
            .iter()
            .map(|path| Finding::error(format!("the content of `{path}` stands nowhere else any more")))
            .collect();
        let failure = Failure::with_findings(Exit::Findings, "finish would lose content", findings);
        return Err(failure.hint(format!("bring the kept files back, or undo {target}")).into());
    }
    step.done();
    if request.is("check") {
        return Ok(Exit::Findings);
    }
    let question = "remove the journal and the copies of duplicates? there is no way back afterwards";
    if !prompt::confirm(question, request.is("yes"))? {
        return Ok(Exit::Done);
    }
    files::rename(&state.journal(), &state.finishing())?;
    remove(&state)
}

/// From here on there is no way back: what is left is only removed.
fn remove(state: &State) -> Result<Exit> {
    let step = ui::step("remove the state");
    let journal = Journal::read_finishing(state)?;
    undo::remove_state(state, &journal, undo::time_after(&journal))?;
    step.done_with(&plural(journal.steps.len(), "step"));
    Ok(Exit::Done)
}
