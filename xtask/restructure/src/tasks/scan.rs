//! `restructure scan DIR`: what is there, without touching it.

use anyhow::Result;
use base::tools::files;
use base::ui::{self, Exit};
use base::workspace::Workspace;
use camino::Utf8Path;

use super::{Request, plural};
use crate::path::RelPath;
use crate::plan::{self, Options};
use crate::report::{self, Report};
use crate::scan::Scan;
use crate::syntax::{self, Syntax};

/// Runs in this order: every file is read once; references are resolved while copies are looked for; the parsers of other
/// languages say what parses, as far as they have not said so before.
pub fn run(workspace: &Workspace, request: &Request) -> Result<Exit> {
    let folder = super::folder(request.need("folder")?)?;
    let page = request.text("html").map(Utf8Path::new);
    let step = ui::step("scan");
    let scan = Scan::of(&[&folder], page.as_slice())?;
    let syntax = if request.is("no_syntax") { None } else { Some(look_at_syntax(workspace, &scan)) };
    step.done_with(&plural(scan.tree.sources().count(), "file"));
    let made = match page {
        Some(_) => {
            let step = ui::step("plan");
            let options = Options {
                folder: folder.clone(),
                into: folder.clone(),
                keep_scripts: request.is("keep_scripts"),
                period: super::plan::now(),
            };
            let made = plan::make(&scan, &options, &super::plan::rules(workspace, &options)?, &[])?;
            step.done();
            Some(made)
        }
        None => None,
    };
    let has_task = |task: &str| request.has_task(task);
    let report = report(&scan, syntax.as_ref(), made.as_ref(), &folder, &has_task);
    if let Some(page) = page {
        files::write(page, report::page(&report), 0o644)?;
        ui::say(&format!("page: {page}"));
    }
    if request.is("json") {
        ui::json(&report::scan_json(&report));
    } else {
        ui::out(&report::scan_text(&report));
    }
    Ok(Exit::Done)
}

/// What parsers said is remembered in the workspace that runs this, not in the folder.
pub fn look_at_syntax(workspace: &Workspace, scan: &Scan) -> Syntax {
    syntax::check(&scan.tree, &scan.facts, Some(&workspace.ops().join("restructure-syntax.json")))
}

pub fn report<'a>(
    scan: &'a Scan,
    syntax: Option<&'a Syntax>,
    made: Option<&'a plan::Made>,
    folder: &Utf8Path,
    has_task: &'a dyn Fn(&str) -> bool,
) -> Report<'a> {
    let below = folder.strip_prefix(scan.tree.root()).map_or("", Utf8Path::as_str);
    Report { scan, syntax, made, folder: RelPath::new(below).unwrap_or_default(), has_task }
}
