//! `restructure verify DIR`: the proof, and the ten criteria by which a restructure counts as done.

use anyhow::Result;
use base::ui::{self, Exit, Failure, Style};
use base::workspace::Workspace;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::{Request, plural};
use crate::facts::Facts;
use crate::journal::Stage;
use crate::path::RelPath;
use crate::scan::Scan;
use crate::tell::RETIRED;
use crate::tree::Tree;
use crate::verify::{self, Criterion, Verdicts};
use crate::{retired, syntax};

/// Findings of one criterion that are listed for people; the rest is in the JSON.
const LISTED: usize = 20;

/// Runs in this order: the tree that is there is read; the one of before is put together from the journal; every file,
/// reference and syntax of before is looked for in what is there; each criterion is looked at.
pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let folder = super::folder(request.need("folder")?)?;
    let (state, journal) = match super::find(workspace, &folder) {
        Ok(found) => found,
        // What a finished restructure leaves to be looked at.
        Err(_) if folder.join(RETIRED).is_file() => return retired(&folder, request),
        Err(error) => return Err(error),
    };
    if state.stage() != Stage::Applied {
        let target = state.folder.ancestors().nth(2).unwrap_or(&state.folder);
        let failure = Failure::refused("it has not been carried out to its end");
        return Err(failure.hint(format!("cargo xtask restructure apply --resume {target}, or undo {target}")).into());
    }
    let root = Utf8PathBuf::from_path_buf(journal.root(&state)?).unwrap_or_default();
    let given: Vec<Utf8PathBuf> =
        [&journal.from, &journal.into].into_iter().map(|path| root.join(path.utf8().unwrap_or_default())).collect();
    let there: Vec<&Utf8Path> = given.iter().map(Utf8PathBuf::as_path).filter(|path| path.is_dir()).collect();
    let step = ui::step("read what is there");
    let after = Scan::of(&there, &[])?;
    step.done_with(&plural(after.tree.sources().count(), "file"));
    let step = ui::step("compare it with what was there before");
    let memory = workspace.ops().join("restructure-syntax.json");
    let look = |tree: &Tree, facts: &[Option<Facts>]| syntax::check(tree, facts, Some(&memory));
    let verdicts = verify::verify(&state, &journal, &after, &look, &|task| request.has_task(task))?;
    step.done();
    tell(&verdicts, request)
}

/// After `finish` there is nothing left to compare with; old paths can still come back.
fn retired(folder: &Utf8Path, request: &Request) -> Result<Exit> {
    let tree = Tree::read(&[folder])?;
    let into = tree.given().first().cloned().unwrap_or_default();
    let findings = retired::check(&tree, &into)?;
    let evidence = match findings.len() {
        0 => "none is back; the restructure is finished, and there is nothing else to compare with".to_owned(),
        back => format!("{back} are back"),
    };
    let criterion = Criterion { name: "retired paths", holds: findings.is_empty(), evidence, findings };
    tell(&Verdicts { criteria: vec![criterion], ..Verdicts::default() }, request)
}

fn tell(verdicts: &Verdicts, request: &Request) -> Result<Exit> {
    if request.is("json") {
        ui::json(&to_json(verdicts));
    } else {
        show(verdicts);
    }
    if verdicts.hold() { Ok(Exit::Done) } else { Ok(Exit::Findings) }
}

fn show(verdicts: &Verdicts) {
    for criterion in &verdicts.criteria {
        criterion.findings.iter().take(LISTED).for_each(ui::finding);
        if criterion.findings.len() > LISTED {
            ui::say(&format!("and {} more of these", criterion.findings.len() - LISTED));
        }
    }
    let rows: Vec<Vec<String>> = verdicts
        .criteria
        .iter()
        .map(|criterion| {
            let (style, word) = if criterion.holds { (Style::Good, "ok") } else { (Style::Bad, "failed") };
            vec![ui::paint(style, word), criterion.name.to_owned(), criterion.evidence.clone()]
        })
        .collect();
    ui::out(&ui::table(&[], &rows));
    let mut notes = Vec::new();
    if !verdicts.broken_before.is_empty() {
        notes.push(match verdicts.broken_before.len() {
            1 => "1 reference was broken before and still is; --json names it".to_owned(),
            count => format!("{count} references were broken before and still are; --json lists them"),
        });
    }
    if !verdicts.patterns.is_empty() {
        notes.push(format!(
            "{} other files than before: {}",
            if verdicts.patterns.len() == 1 {
                "1 pattern finds".to_owned()
            } else {
                format!("{} patterns find", verdicts.patterns.len())
            },
            verdicts.patterns.iter().take(3).cloned().collect::<Vec<_>>().join("; ")
        ));
    }
    if !verdicts.undecided.is_empty() {
        let paths: Vec<String> = verdicts.undecided.iter().take(LISTED).map(|path| format!("`{path}`")).collect();
        notes.push(format!(
            "{} for a decision: {}",
            if verdicts.undecided.len() == 1 {
                "1 file waits".to_owned()
            } else {
                format!("{} files wait", verdicts.undecided.len())
            },
            paths.join(", ")
        ));
    }
    if !verdicts.changed.is_empty() {
        notes.push(format!(
            "{} changed since by somebody else; what they refer to is theirs",
            plural(verdicts.changed.len(), "file")
        ));
    }
    notes.iter().for_each(|note| ui::say(note));
}

fn to_json(verdicts: &Verdicts) -> serde_json::Value {
    let criteria: Vec<serde_json::Value> = verdicts
        .criteria
        .iter()
        .map(|criterion| {
            let findings: Vec<serde_json::Value> = criterion.findings.iter().map(ui::Finding::to_json).collect();
            json!({"name": criterion.name, "holds": criterion.holds, "evidence": criterion.evidence, "findings": findings})
        })
        .collect();
    let paths = |list: &[RelPath]| -> Vec<String> { list.iter().map(ToString::to_string).collect() };
    json!({
        "ok": verdicts.hold(), "criteria": criteria, "broken_before": verdicts.broken_before, "patterns": verdicts.patterns,
        "undecided": paths(&verdicts.undecided), "changed": paths(&verdicts.changed),
    })
}
