//! `ci`: what CI runs, in CI's order. Everything runs, then the verdict.

use anyhow::Result;

use crate::flags::{ConfigCheck, ConfigSchema, Test};
use crate::services::build;
use crate::tools::{Cmd, guard};
use crate::ui::{self, Exit, Failure};
use crate::workspace::Workspace;
use crate::workspace::service::{Language, Services};

/// Runs the following in order: rustfmt, clippy, installation, lint of each service, retired paths of a restructure,
/// configuration, tests.
pub fn run(workspace: &Workspace) -> Result<Exit> {
    let services = Services::load(workspace)?;
    super::doctor::preflight(workspace)?;
    let mut failed: Vec<String> = Vec::new();
    let root = workspace.root();
    let mut check = |name: &str, commands: Vec<Cmd>| -> Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let step = ui::step(name.to_owned());
        for command in commands {
            if let Err(error) = command.run(&step) {
                ui::exit::report(&error);
                failed.push(name.to_owned());
                return Ok(());
            }
        }
        step.done();
        Ok(())
    };
    check("rustfmt", vec![Cmd::cargo().args(["fmt", "--all", "--check"]).dir(root)])?;
    let clippy =
        Cmd::cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    check("clippy", vec![clippy.dir(root)])?;
    let everything: Vec<_> =
        services.all().iter().map(|service| build::Component::of(workspace, &services, service)).collect();
    super::build::bring_up_to_date(workspace, &everything, super::build::TEST)?;
    for service in services.all() {
        let folder = root.join(&service.source);
        let mut commands = Vec::new();
        if service.uses(Language::Node) && build::has_script(&folder, "lint") {
            commands.push(Cmd::new("npm").args(["run", "lint", "--silent"]).dir(&folder));
        }
        if service.uses(Language::Python) {
            let python = build::python(&folder)?;
            let ruff = |args: &[&str]| Cmd::new(&python).args(["-m", "ruff"]).args(args).dir(&folder);
            if ruff(&["--version"]).ask().is_ok_and(|answer| answer.ok()) {
                commands.extend([ruff(&["check", "--no-cache", "."]), ruff(&["format", "--no-cache", "--check", "."])]);
            }
        }
        check(&format!("lint {}", service.name), commands)?;
    }
    if root.join("_archive/retired-paths").is_file() {
        let verify = Cmd::new(guard::program()?).args(["restructure", "verify", "."]).dir(root);
        check("restructure verify", vec![verify.arg("--workspace").arg(root)])?;
    }
    if let Err(error) = super::config::schema(workspace, &ConfigSchema { check: true }) {
        ui::exit::report(&error);
        failed.push("config schema".to_owned());
    }
    if super::config::check(workspace, ConfigCheck { env: None, json: false })? != Exit::Done {
        failed.push("config check".to_owned());
    }
    if super::test::run(workspace, &Test { name: Vec::new() })? != Exit::Done {
        failed.push("test".to_owned());
    }
    match failed.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Failure::failed(format!("failed: {}", failed.join(", "))).into()),
    }
}
