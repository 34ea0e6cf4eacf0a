//! Installing what a component depends on, from lock files only: npm's, and pip's requirements with hashes.
//!
//! What running needs and what tests need are installed apart: node_modules is made once with both where the component
//! has dependencies at run time (npm cannot add to it in place), a Python environment gets its tools added when they
//! are first wanted.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::build::{Component, Stage};
use crate::tools::{Cmd, files, versions};
use crate::ui::{Exit, Failure, Step};
use crate::workspace::entries;
use crate::workspace::service::Language;

/// What running needs.
pub fn runtime(folder: &Utf8Path, component: &Component, step: &Step) -> Result<()> {
    if component.uses(Language::Node) && node_stage(folder) == Some(Stage::Install) {
        npm_ci(folder, step)?;
    }
    let requirements = requirements(folder, Stage::Install);
    if component.uses(Language::Python) && !requirements.is_empty() {
        files::remove(&folder.join(".venv"))?;
        add_to_venv(folder, component, &requirements, step)?;
    }
    Ok(())
}

/// What tests and linters need besides.
pub fn tools(folder: &Utf8Path, component: &Component, step: &Step) -> Result<()> {
    if component.uses(Language::Node) && node_stage(folder) == Some(Stage::Tools) {
        npm_ci(folder, step)?;
    }
    let requirements = requirements(folder, Stage::Tools);
    if component.uses(Language::Python) && !requirements.is_empty() {
        add_to_venv(folder, component, &requirements, step)?;
    }
    Ok(())
}

/// Whether a file of the component's folder decides what a stage installs.
pub fn is_input(folder: &Utf8Path, name: &str, stage: Stage) -> bool {
    match name {
        "package.json" | "package-lock.json" | ".npmrc" => node_stage(folder) == Some(stage),
        name => requirements_stage(name) == Some(stage),
    }
}

/// Whether what a stage installed is still there.
pub fn is_there(folder: &Utf8Path, component: &Component, stage: Stage) -> bool {
    let node = component.uses(Language::Node) && node_stage(folder) == Some(stage);
    let python = component.uses(Language::Python) && !requirements(folder, stage).is_empty();
    (!node || folder.join("node_modules").is_dir()) && (!python || venv_python(folder).is_file())
}

/// The interpreter of a folder's own environment.
pub fn venv_python(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join(".venv/bin/python")
}

/// The stage that makes node_modules: a package without dependencies at run time has it only for its tests.
fn node_stage(folder: &Utf8Path) -> Option<Stage> {
    if !folder.join("package-lock.json").is_file() {
        return None;
    }
    let package = files::read_json(&folder.join("package.json"));
    let runtime =
        package.as_ref().and_then(|package| package["dependencies"].as_object()).is_some_and(|all| !all.is_empty());
    // What cannot be read as a package is npm's to explain.
    let unreadable = package.is_none()
        || package
            .is_some_and(|package| package["dependencies"] == Value::Null && package["devDependencies"] == Value::Null);
    Some(if runtime || unreadable { Stage::Install } else { Stage::Tools })
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

fn npm_ci(folder: &Utf8Path, step: &Step) -> Result<()> {
    let npm = Cmd::new("npm").args(["ci", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]);
    let result = npm.dir(folder).env("NO_UPDATE_NOTIFIER", "1").run(step);
    if result.is_err() {
        files::remove(&folder.join("node_modules"))?;
    }
    result
}

/// Installs into the folder's environment, which is made when it is missing. One that could not be filled is removed.
fn add_to_venv(folder: &Utf8Path, component: &Component, requirements: &[String], step: &Step) -> Result<()> {
    let result = fill_venv(folder, component, requirements, step);
    if result.is_err() {
        files::remove(&folder.join(".venv"))?;
    }
    result
}

fn fill_venv(folder: &Utf8Path, component: &Component, requirements: &[String], step: &Step) -> Result<()> {
    let python = venv_python(folder);
    // From 22.3 on, the machine's own pip can install into another environment, which then needs no pip: that saves
    // unpacking one.
    let version = Cmd::new("python3").args(["-c", "import pip; print(pip.__version__)"]).ask();
    let has_pip = version.is_ok_and(|answer| answer.ok() && versions::is_at_least(answer.stdout.trim(), &[22, 3]));
    if !python.is_file() {
        let venv = Cmd::new("python3").args(["-m", "venv"]).args(has_pip.then_some("--without-pip")).arg(".venv");
        venv.dir(folder).run(step).context("failed to make a Python environment")?;
        link_libraries(folder, component)?;
    }
    let pip = match has_pip {
        true => Cmd::new("python3").args(["-m", "pip", "--python", python.as_str()]),
        false => Cmd::new(python.as_str()).args(["-m", "pip"]),
    };
    let mut pip = pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--no-compile",
        "--require-hashes",
    ]);
    for file in requirements {
        pip = pip.args(["-r", file.as_str()]);
    }
    pip.dir(folder).run(step)
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
