//! `clean [--all]`: remove what can be rebuilt, with `--all` also what dev holds. Backups, releases, journals and whatever
//! belongs to another environment are never touched.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::flags::Clean;
use crate::services::build::Component;
use crate::tools::files::{self, Lock};
use crate::ui::{self, Exit, Failure, prompt};
use crate::workspace::Workspace;
use crate::workspace::service::Services;
use crate::workspace::suite::Suite;

/// Below a component's folder: all made from lock files and sources.
const DERIVED: [&str; 6] = ["node_modules", ".venv", ".pytest_cache", ".ruff_cache", "dist", "coverage"];

/// Plans, shows, asks where data is at stake, removes.
pub fn run(workspace: &Workspace, flags: &Clean) -> Result<Exit> {
    let targets = plan(workspace, flags.all)?;
    if flags.plan {
        let rows: Vec<Vec<String>> = targets
            .iter()
            .map(|path| vec![workspace.relative(path).to_string(), megabytes(files::size(path))])
            .collect();
        ui::out(&ui::table(&[], &rows));
        return Ok(if targets.is_empty() { Exit::Done } else { Exit::Findings });
    }
    let others: Vec<String> = super::services::other_stacks(workspace);
    if !others.is_empty() {
        let message = format!("{} still run from what would be removed", others.join(", "));
        return Err(Failure::refused(message).hint("stop them first; `clean` touches nothing but dev's").into());
    }
    let running = super::services::running_units(workspace, super::services::DEV);
    if !running.is_empty() && !flags.all {
        let message = format!("{} still run from what would be removed", running.join(", "));
        return Err(Failure::refused(message)
            .hint("run `cargo xtask services stop` first, or `cargo xtask clean --all`")
            .into());
    }
    let has_database = workspace.cluster_folder(super::services::DEV).is_dir();
    if flags.all && has_database && !prompt::confirm("remove the database of dev with all it holds?", flags.yes)? {
        ui::say("nothing was removed");
        return Ok(Exit::Done);
    }
    let _lock = Lock::take(&workspace.lock_file("build"), "the build of this clone", std::time::Duration::ZERO)?;
    if flags.all {
        super::services::stop_everything(workspace)?;
    }
    let mut freed = 0;
    for path in &targets {
        freed += files::size(path);
        files::remove(path)?;
    }
    ui::step("clean").done_with(&format!("{} removed, {}", targets.len(), megabytes(freed)));
    Ok(Exit::Done)
}

fn plan(workspace: &Workspace, all: bool) -> Result<Vec<Utf8PathBuf>> {
    let services = Services::load(workspace)?;
    let suites =
        workspace.suite_names().into_iter().map(|name| Suite::load(workspace, &name)).collect::<Result<Vec<_>>>()?;
    let components = services.all().iter().map(|service| Component::of(workspace, &services, service));
    let components = components.chain(suites.iter().map(|suite| Component::of_suite(workspace, suite)));
    let mut targets = Vec::new();
    for component in components {
        targets.extend(DERIVED.map(|name| workspace.root().join(&component.source).join(name)));
    }
    targets.extend([workspace.build_records(), workspace.tool_cache()]);
    targets.extend(["cache", "test"].map(|name| workspace.ops().join(name)));
    if all {
        let dev = super::services::DEV;
        targets.extend([workspace.run_folder(dev), workspace.log_folder(dev), workspace.cluster_folder(dev)]);
        targets.extend([workspace.facts_file(dev), workspace.facts_file(&format!("{dev}.release"))]);
        targets.push(workspace.hash_key_file());
    }
    targets.retain(|path| path.symlink_metadata().is_ok());
    Ok(targets)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
