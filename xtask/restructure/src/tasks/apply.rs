//! `restructure apply PLAN`: preflight of the whole plan, the journal, moves, rewrites, and two commits where git is.

use anyhow::Result;
use base::ui::{self, Exit, Failure};
use base::workspace::Workspace;
use camino::Utf8Path;

use super::{Request, plural};
use crate::apply::{self, Options, Prepared};
use crate::journal::{Journal, Stage, State};
use crate::plan;

/// Runs in this order: the plan is read and held against the folder, tried out in memory; what will be written is laid
/// ready; the journal is written; files move; a commit; references are rewritten, READMEs and catalog written; a commit.
pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    if request.is("resume") {
        return resume(workspace, request);
    }
    let Some(file) = request.text("plan").map(Utf8Path::new) else {
        return Err(Failure::usage("which plan? give its file").hint("cargo xtask restructure apply plan.yaml").into());
    };
    let step = ui::step("preflight");
    let has_task = |task: &str| request.has_task(task);
    let options = Options { shown: file, commit: !request.is("no_commit"), has_task: &has_task };
    let prepared = apply::prepare(file, &options)?;
    step.done_with(&summary(&prepared));
    for pattern in &prepared.patterns {
        ui::finding(pattern);
    }
    if prepared.is_nothing() {
        ui::say("nothing to do: everything stays where it is");
        return Ok(Exit::Done);
    }
    if request.is("check") {
        show(&prepared);
        return Ok(Exit::Findings);
    }
    let _lock = super::lock(workspace, &prepared.plan.options.into)?;
    if prepared.state.stage() != Stage::None {
        return Err(Failure::busy("another run has begun to restructure this folder meanwhile").into());
    }
    let step = ui::step("journal");
    super::remember(workspace, &prepared.plan.options.folder, &prepared.plan.options.into)?;
    prepared.begin()?;
    step.done_with(&plural(prepared.journal.steps.len(), "step"));
    carry_out(&prepared.state, &prepared.journal)
}

fn resume(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let given = request.text("plan").unwrap_or(".");
    let (state, journal) = match Utf8Path::new(given).is_dir() {
        true => super::find(workspace, &super::folder(given)?)?,
        false => {
            let state = State::of(&plan::file::read(Utf8Path::new(given), Utf8Path::new(given))?.options.into);
            let journal = Journal::read(&state)?;
            (state, journal)
        }
    };
    let target = state.folder.ancestors().nth(2).unwrap_or(&state.folder).to_owned();
    let _lock = super::lock(workspace, &target)?;
    match state.stage() {
        Stage::Begun => carry_out(&state, &journal),
        Stage::Applied => {
            ui::say("nothing to resume: everything was carried out");
            Ok(Exit::Done)
        }
        Stage::Undoing => Err(Failure::refused("undo was begun; there is no way but back")
            .hint(format!("cargo xtask restructure undo {target}"))
            .into()),
        Stage::Finishing | Stage::None => Err(Failure::refused("there is nothing to resume").into()),
    }
}

fn carry_out(state: &State, journal: &Journal) -> Result<Exit> {
    let target = state.folder.ancestors().nth(2).unwrap_or(&state.folder);
    let step = ui::step("apply");
    apply::carry_out(state, journal, &step)?;
    step.done();
    let root = journal.root(state)?;
    for commits in &journal.commits {
        ui::say(&format!("committed in `{}`: {}", commits.top.on(&root).display(), commits.summary));
    }
    ui::say(&format!(
        "next:\n  cargo xtask restructure verify {target}\n  cargo xtask restructure finish {target}, or undo {target}"
    ));
    Ok(Exit::Done)
}

fn summary(prepared: &Prepared) -> String {
    let counts = plan::count(prepared.decisions.values());
    let parts: Vec<String> = counts.iter().map(|(action, count)| format!("{count} {action}")).collect();
    let edits = prepared.rewrites.edits.len();
    format!("{}; {} rewritten", parts.join(", "), plural(edits, "reference"))
}

fn show(prepared: &Prepared) {
    for step in &prepared.journal.steps {
        ui::out(&step.describe());
    }
}
