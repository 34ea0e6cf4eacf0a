//! `restructure …`: the program that does it is built when it is first wanted, and this process becomes it.
//!
//! It is used once in the life of a workspace, so it is no part of every clone's build, and it reads every byte of a tree,
//! so it is compiled with optimisation: both at once is a program of its own.

use std::os::unix::process::CommandExt;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::cli;
use crate::flags::{Restructure, RestructureCmd};
use crate::tools::{Cmd, cmd, guard};
use crate::ui::{self, Exit, Failure};
use crate::workspace::Workspace;

const PACKAGE: &str = "xtask-restructure";
/// The packages it is made of, below the folder of xtask's own.
const SOURCES: [&str; 4] = ["base", "database", "hot", "restructure"];

pub fn run(workspace: &Workspace, flags: Restructure) -> Result<Exit> {
    let mut request = request(flags.subcommand);
    request["workspace"] = workspace.root().as_str().into();
    request["verbose"] = cmd::VERBOSE.load(Ordering::Relaxed).into();
    // What a script's place is taken by is said only of tasks that there are.
    request["tasks"] = cli::page().iter().map(|command| command.path.clone()).collect::<Vec<_>>().into();
    let program = built()?;
    ui::steps::clear_live_line();
    let error = Cmd::new(&program).arg(request.to_string()).command()?.exec();
    Err(error).with_context(|| format!("failed to run `{program}`"))
}

fn request(verb: RestructureCmd) -> Value {
    match verb {
        RestructureCmd::RestructureScan(f) => {
            json!({"verb": "scan", "folder": f.folder, "json": f.json, "html": f.html, "no_syntax": f.no_syntax, "keep_scripts": f.keep_scripts})
        }
        RestructureCmd::RestructurePlan(f) => json!({
            "verb": "plan", "folder": f.folder, "into": f.into, "in_place": f.in_place, "output": f.output,
            "keep_scripts": f.keep_scripts, "period": f.period, "fresh": f.fresh, "html": f.html, "json": f.json,
        }),
        RestructureCmd::RestructureApply(f) => {
            json!({"verb": "apply", "plan": f.plan, "resume": f.resume, "check": f.check, "no_commit": f.no_commit})
        }
        RestructureCmd::RestructureVerify(f) => {
            json!({"verb": "verify", "folder": f.folder, "json": f.json})
        }
        RestructureCmd::RestructureUndo(f) => {
            json!({"verb": "undo", "folder": f.folder, "check": f.check, "lose_changes": f.lose_changes})
        }
        RestructureCmd::RestructureFinish(f) => {
            json!({"verb": "finish", "folder": f.folder, "check": f.check, "yes": f.yes})
        }
        RestructureCmd::RestructureWhy(f) => json!({"verb": "why", "path": f.path, "plan": f.plan}),
    }
}

/// The program, built from the sources beside those of this one; cargo is asked only when one of them has changed.
fn built() -> Result<Utf8PathBuf> {
    let own = guard::program()?;
    let program = own.with_file_name(PACKAGE);
    let mark = own.with_file_name(format!(".{PACKAGE}.current"));
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let package = [Utf8PathBuf::from(package), Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR"))]
        .into_iter()
        .find(|folder| folder.join("restructure").is_dir());
    let Some(package) = package else {
        // A program that was carried away from its sources is as current as it can be.
        return if program.exists() { Ok(program) } else { Err(missing(&program)) };
    };
    if is_current(&program, &mark, &package) {
        return Ok(program);
    }
    let step = ui::step("build the program that restructures (first call, or it has changed)");
    let target = own.parent().and_then(Utf8Path::parent).context("this program lies in no folder")?;
    let build = Cmd::cargo().args(["build", "--quiet", "--package", PACKAGE]).env("CARGO_TARGET_DIR", target.as_str());
    let build =
        if own.parent().and_then(Utf8Path::file_name) == Some("release") { build.arg("--release") } else { build };
    build.dir(&package).run(&step)?;
    std::fs::write(&mark, "").with_context(|| format!("failed to write `{mark}`"))?;
    step.done();
    if program.exists() { Ok(program) } else { Err(missing(&program)) }
}

fn missing(program: &Utf8Path) -> anyhow::Error {
    let failure = Failure::cannot_tell(format!("`{program}` is not there"));
    failure.hint("run it as `cargo xtask restructure` in the clone whose sources it is built from").into()
}

/// Nothing it is made of is younger than the last time cargo said that it is current.
fn is_current(program: &Utf8Path, mark: &Utf8Path, package: &Utf8Path) -> bool {
    let time = |path: &Utf8Path| path.metadata().and_then(|facts| facts.modified()).ok();
    let Some(since) = time(mark).filter(|_| program.exists()) else { return false };
    let root = package.parent().unwrap_or(package);
    let manifests = ["Cargo.toml", "Cargo.lock"].map(|name| root.join(name));
    manifests.iter().all(|path| time(path).is_some_and(|time| time < since))
        && SOURCES.iter().all(|folder| newest(&package.join(folder)).is_some_and(|time| time < since))
}

/// The time of the youngest file below a folder; of a folder too, since one that lost a file is younger.
fn newest(folder: &Utf8Path) -> Option<SystemTime> {
    let mut newest = folder.metadata().and_then(|facts| facts.modified()).ok()?;
    for entry in folder.read_dir_utf8().ok()?.flatten() {
        let facts = entry.metadata().ok()?;
        newest = newest.max(if facts.is_dir() { self::newest(entry.path())? } else { facts.modified().ok()? });
    }
    Some(newest)
}
