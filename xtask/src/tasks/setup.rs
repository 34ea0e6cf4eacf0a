//! `setup`: make this clone work, and say what comes next.

use std::time::Instant;

use anyhow::Result;

use super::services::{DEV, World};
use crate::services::converge;
use crate::services::outcomes::Outcomes;
use crate::services::stack::Stack;
use crate::tools::Cmd;
use crate::tools::cmd::quote;
use crate::tools::files::Lock;
use crate::ui::{self, Exit, Failure, Style};
use crate::workspace::service::{DATABASE, Services};
use crate::workspace::{Environment, Workspace, environment};
use database::Target;

/// How long each service may take to be ready on a machine that has just built everything.
const READY: std::time::Duration = std::time::Duration::from_secs(120);

/// Runs in this order: tools checked; .env.dev made; side by side the dependencies of services, the database (unpacked,
/// started, migrated, seeded), cargo's crates, and each service as soon as what it needs is there; health; the next steps.
pub fn run(workspace: &Workspace) -> Result<Exit> {
    let started = Instant::now();
    super::doctor::preflight(workspace)?;
    let _setup = Lock::take(&workspace.lock_file("setup"), "the setup of this clone", std::time::Duration::ZERO)?;
    let _services = super::services::lock(workspace)?;

    let services = Services::load(workspace)?;
    let (environment, _) = Environment::read(workspace, DEV)?;
    super::services::check_runs_here(&environment)?;
    converge::check_ports(&Stack::new(workspace, &services, &environment, DEV), services.running())?;
    let step = ui::step("config/environments/.env.dev");
    match environment::make_values_file(workspace, DEV)? {
        true => step.done_with("made, with generated keys"),
        false => step.same("is there"),
    }
    let environment = Environment::load(workspace, DEV)?;
    let world = World { workspace, services, environment };

    if !side_by_side(&world)? {
        super::services::bring_up(&world, &[], false, READY)?;
    }

    let report = super::health::look_here(workspace, &world.services, &world.environment)?;
    ui::say("");
    super::health::show(&report, false);
    if !report.is_ok() {
        return Err(Failure::refused("not everything is well").hint("see `cargo xtask services logs`").into());
    }
    ui::say(&format!("\n{} in {}", ui::paint(Style::Good, "ready"), ui::seconds(started.elapsed())));
    next_steps(&world);
    Ok(Exit::Done)
}

/// What does not depend on each other; every branch comes to its end before the first failure is returned. False when the
/// services were left as they are, because one ran already.
fn side_by_side(world: &World<'_>) -> Result<bool> {
    let all: Vec<_> = world.services.all().iter().collect();
    let components = world.components(&all);
    let there = Outcomes::default();
    let results = std::thread::scope(|scope| {
        let crates = scope.spawn(|| fetch_crates(world.workspace).map(|()| true));
        let database = scope.spawn(|| {
            let promise = there.promise([DATABASE]);
            database(world)?;
            promise.keep();
            Ok(true)
        });
        let build = scope.spawn(|| {
            let last = world.last_to_start();
            super::build::bring_up_each(world.workspace, &components, super::build::RUN, &last, &there).map(|_| true)
        });
        let services = scope.spawn(|| super::services::start_as_it_comes(world, &there, READY));
        [crates, database, build, services]
            .map(|handle| handle.join().unwrap_or_else(|_| Err(Failure::failed("a thread ended early").into())))
    });
    Ok(ui::exit::all(results)?.into_iter().all(|done| done))
}

/// The crates that tests need beyond those this program was built from.
fn fetch_crates(workspace: &Workspace) -> Result<()> {
    let fetch = Cmd::cargo().args(["fetch", "--locked", "--quiet"]).dir(workspace.root());
    if fetch.clone().arg("--offline").ask().is_ok_and(|answer| answer.ok()) {
        return Ok(());
    }
    let step = ui::step("fetch crates");
    if fetch.is_there() {
        fetch.run(&step)?;
        step.done();
    } else {
        // Only tests of xtask itself want them.
        step.same("cargo is not in PATH");
    }
    Ok(())
}

fn database(world: &World<'_>) -> Result<()> {
    let target = Target::of(world.workspace, &world.environment, DEV)?;
    super::migrate::start_embedded(&target)?;
    super::migrate::apply_and_seed(world.workspace, &world.environment, &target)
}

fn next_steps(world: &World<'_>) {
    ui::say("next:");
    if let Some(gateway) = world.services.get("api-gateway").filter(|_| world.environment.declares("API_KEY")) {
        let file = world.workspace.environment_values(DEV);
        let is_here = std::env::current_dir().is_ok_and(|dir| dir == world.workspace.root());
        let file = quote(if is_here { world.workspace.relative(&file) } else { &file }.as_str());
        let port = gateway.port;
        ui::say(&format!("  http://127.0.0.1:{port}/ in a browser, with API_KEY of {file}, or:"));
        ui::say(&format!(
            "  curl -s http://127.0.0.1:{port}/v1/answers \\\n    \
             -H \"Authorization: Bearer $(sed -n 's/^API_KEY=//p' {file})\" -H 'Content-Type: application/json' \\\n    \
             -d '{{\"question\": \"how do I roll back a deployment?\"}}'"
        ));
    }
    ui::say("  cargo xtask test             run all tests, beside what is running");
    ui::say("  cargo xtask                  what there is, and what is running");
    ui::say("  cargo xtask services stop    stop it all");
}
