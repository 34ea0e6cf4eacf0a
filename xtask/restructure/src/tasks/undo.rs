//! `restructure undo DIR`: everything back to where and what it was, from any point an apply has come to.

use anyhow::Result;
use base::ui::{self, Exit, Failure};
use base::workspace::Workspace;

use super::{Request, plural};
use crate::journal::{Stage, State};
use crate::undo;

/// Runs in this order: what would be lost is looked for; every step is taken back; the branches go back; modes and times of
/// folders are restored; all of it is compared with what was there before; the state is removed.
pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let folder = super::folder(request.need("folder")?)?;
    let left = State::of(&folder);
    if left.folder.exists() && left.stage() == Stage::None {
        // An apply that was killed before it had written its journal: nothing was touched yet.
        let _lock = super::lock(workspace, &folder)?;
        undo::remove_leftovers(&left, &folder)?;
        ui::say("nothing had been done; what was laid ready for it is removed");
        return Ok(Exit::Done);
    }
    let (state, journal) = super::find(workspace, &folder)?;
    let target = state.folder.ancestors().nth(2).unwrap_or(&state.folder).to_owned();
    let _lock = super::lock(workspace, &target)?;
    if state.stage() == Stage::Finishing {
        let failure = Failure::refused("it is being finished: what undo needs is gone in part");
        return Err(failure.hint(format!("cargo xtask restructure finish {target}")).into());
    }
    let changed = undo::changed_since(&state, &journal)?;
    if !request.is("lose_changes") {
        undo::refuse_loss(&changed)?;
    }
    if request.is("check") {
        ui::say(&format!("{} would be taken back", plural(journal.steps.len(), "step")));
        return Ok(Exit::Findings);
    }
    let step = ui::step("undo");
    undo::take_back(&state, &journal, &step)?;
    step.done_with(&plural(journal.steps.len(), "step"));
    let step = ui::step("compare with what was there before");
    let differences = undo::differences(&state, &journal)?;
    undo::remove_state(&state, &journal, undo::time_of_target(&journal))?;
    if differences.is_empty() {
        step.done_with(&format!(
            "{} the same in content, mode, link and time",
            plural(journal.before.len(), "entry").replace("entrys", "entries")
        ));
        return Ok(Exit::Done);
    }
    step.done_with("everything is back; some of it was changed since");
    differences.iter().for_each(ui::finding);
    Ok(Exit::Findings)
}
