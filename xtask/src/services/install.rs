//! Installing what a component depends on, from lock files only: npm's, and pip's requirements with hashes.
//!
//! What running needs and what tests need are installed apart: what tests and linters need is added to node_modules and to
//! the Python environment when it is first wanted, and what runs is not disturbed by that.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::build::{Component, Stage};
use super::node_modules::{self, INSTALLING, NODE_MODULES};
use crate::tools::sets::Set;
use crate::tools::{Cmd, files, python};
use crate::ui::{Exit, Failure, Step};
use crate::workspace::service::Language;
use crate::workspace::{Workspace, entries};

/// Scripts of a package that npm runs when it builds it.
const BUILDING: [&str; 3] = ["prebuild", "build", "postbuild"];

/// What running needs.
pub fn runtime(workspace: &Workspace, folder: &Utf8Path, component: &Component, step: &Step) -> Result<()> {
    if component.uses(Language::Node) && has_node(folder, Stage::Install) {
        let development = if is_made(&package(folder)) { "--include=dev" } else { "--omit=dev" };
        let install = || npm(folder, &["ci", development], step);
        whole(&folder.join(NODE_MODULES), node_modules::fill(workspace, folder, development, install))?;
    }
    let requirements = requirements(folder, Stage::Install);
    if component.uses(Language::Python) && !requirements.is_empty() {
        let environment = folder.join(".venv");
        files::remove(&environment)?;
        whole(&environment, add_to_venv(workspace, folder, component, &requirements, step))?;
    }
    Ok(())
}

/// Removes what could not be filled: half of it would be taken for all.
fn whole(folder: &Utf8Path, filled: Result<()>) -> Result<()> {
    if filled.is_err() {
        files::remove(folder)?;
    }
    filled
}

/// What tests and linters need besides. What is there already stays when this fails: a service may run on it.
pub fn tools(workspace: &Workspace, folder: &Utf8Path, component: &Component, step: &Step) -> Result<()> {
    if component.uses(Language::Node) && has_node(folder, Stage::Tools) {
        // `ci` begins by removing what is there; this adds what the same lock file says.
        let verb: &[&str] = if has_node(folder, Stage::Install) { &["install", "--no-save"] } else { &["ci"] };
        npm(folder, &[verb, &["--include=dev"]].concat(), step)?;
    }
    let requirements = requirements(folder, Stage::Tools);
    if component.uses(Language::Python) && !requirements.is_empty() {
        if !has_environment(folder) {
            files::remove(&folder.join(".venv"))?;
        }
        add_to_venv(workspace, folder, component, &requirements, step)?;
    }
    Ok(())
}

/// Whether a file of the component's folder decides what a stage installs.
pub fn is_input(folder: &Utf8Path, name: &str, stage: Stage) -> bool {
    match name {
        "package.json" | "package-lock.json" | ".npmrc" => has_node(folder, stage),
        name => requirements_stage(name) == Some(stage),
    }
}

/// Whether what a stage installed is still there.
pub fn is_there(folder: &Utf8Path, component: &Component, stage: Stage) -> bool {
    let node = component.uses(Language::Node) && has_node(folder, stage);
    let python = component.uses(Language::Python) && !requirements(folder, stage).is_empty();
    (!node || folder.join(NODE_MODULES).is_dir()) && (!python || venv_python(folder).is_file())
}

/// The interpreter of a folder's own environment.
pub fn venv_python(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join(".venv/bin/python")
}

/// Whether running wants an environment in a folder.
pub fn has_environment(folder: &Utf8Path) -> bool {
    !requirements(folder, Stage::Install).is_empty()
}

/// Whether a stage puts something into node_modules.
fn has_node(folder: &Utf8Path, stage: Stage) -> bool {
    if !folder.join("package-lock.json").is_file() {
        return false;
    }
    let package = package(folder);
    let has = |key: &str| package[key].as_object().is_some_and(|all| !all.is_empty());
    let runs = ["dependencies", "optionalDependencies", "peerDependencies"].into_iter().any(has) || is_made(&package);
    match stage {
        // What cannot be read as a package is npm's to explain.
        Stage::Install => runs || !has("devDependencies"),
        Stage::Tools => has("devDependencies") && !is_made(&package),
        Stage::Build => false,
    }
}

fn package(folder: &Utf8Path) -> Value {
    files::read_json(&folder.join("package.json")).unwrap_or_default()
}

/// Whether what only development needs is needed to have the package at all.
fn is_made(package: &Value) -> bool {
    // They may need what is there for development.
    INSTALLING.iter().chain(&BUILDING).any(|script| package["scripts"][script].is_string())
}

fn requirements_stage(name: &str) -> Option<Stage> {
    match name {
        "requirements.txt" => Some(Stage::Install),
        name if name.starts_with("requirements") && name.ends_with(".txt") => Some(Stage::Tools),
        _ => None,
    }
}

fn requirements(folder: &Utf8Path, stage: Stage) -> Vec<String> {
    let names = entries(folder).into_iter().filter_map(|path| path.file_name().map(str::to_owned));
    names.filter(|name| requirements_stage(name) == Some(stage)).collect()
}

/// npm, without questions to the registry that nobody waits for.
fn npm(folder: &Utf8Path, words: &[&str], step: &Step) -> Result<()> {
    let npm = Cmd::new("npm").args(words).args(["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]);
    npm.dir(folder).env("NO_UPDATE_NOTIFIER", "1").run(step)
}

/// Installs into the folder's environment, which is made when it is missing.
fn add_to_venv(
    workspace: &Workspace,
    folder: &Utf8Path,
    component: &Component,
    requirements: &[String],
    step: &Step,
) -> Result<()> {
    let python = python::python()?;
    let own = venv_python(folder);
    if !own.is_file() {
        let venv = python.cmd().args(["-m", "venv", "--without-pip", ".venv"]);
        venv.dir(folder).run(step).context("failed to make a Python environment")?;
        link_libraries(folder, component)?;
    }
    let pip = |verb: &str, more: &[&str]| -> Result<Cmd> {
        let cmd = python.pip(&own)?.args([verb, "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
        let files = requirements.iter().flat_map(|file| ["-r", file.as_str()]);
        Ok(cmd.arg("--require-hashes").args(more).args(files).dir(folder))
    };
    let paths: Vec<Utf8PathBuf> = requirements.iter().map(|file| folder.join(file)).collect();
    let set = Set::of_wheels(workspace, &paths, &python.platform)?;
    let wheels = match set.ready() {
        Some(folder) => Some(folder),
        None => set.fill_with_wheels(|folder| pip("download", &["--dest", folder.as_str()])?.run(step))?,
    };
    if let Some(wheels) = wheels {
        let install = pip("install", &["--no-compile", "--no-index", "--find-links", wheels.as_str()])?;
        match install.run(step) {
            Ok(()) => return Ok(()),
            // A file there may be damaged; the index has it whole.
            Err(_) => set.forget()?,
        }
    }
    pip("install", &["--no-compile"])?.run(step)
}

/// Puts the component's Python libraries on the path of its environment, for every program that uses it.
fn link_libraries(folder: &Utf8Path, component: &Component) -> Result<()> {
    let paths: String = component.python_roots.iter().map(|path| format!("{path}\n")).collect();
    let versions = entries(&folder.join(".venv/lib"));
    let site = versions.iter().map(|version| version.join("site-packages")).find(|site| site.is_dir());
    let site = site.with_context(|| format!("`{folder}/.venv` has no site-packages"))?;
    if paths.is_empty() { Ok(()) } else { files::write(&site.join("workspace-libraries.pth"), paths, 0o644) }
}

/// The same error with the exit code and the remedy that its text tells.
pub fn explain(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    let network = [
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ETIMEDOUT",
        "ENETUNREACH",
        "network request",
        "NewConnectionError",
        "name resolution",
        "Connection refused",
        "Network is unreachable",
        "No matching distribution found",
        "ReadTimeout",
    ];
    if has(&["ENOSPC", "No space left on device", "Disk quota exceeded"]) {
        let hint =
            "the disk is full: free some space (`cargo xtask clean` removes what can be rebuilt), then run it again";
        return error.context(Failure::failed("the disk is full").hint(hint));
    }
    if has(&network) {
        let hint = "dependencies come from the network the first time: check the connection and the proxy settings, then run it again";
        return error.context(Failure::new(Exit::CannotTell, "a package registry could not be reached").hint(hint));
    }
    error
}
