//! `build [SERVICE…]`: install and build what changed since the last build, by content.

use anyhow::Result;
use serde_json::json;

use super::deploy::Scene;
use crate::deploy::artifact::Artifact;
use crate::deploy::engine::compose;
use crate::flags::Build;
use crate::services::build::{Builder, Component, Stage};
use crate::services::outcomes::Outcomes;
use crate::tools::files::Lock;
use crate::tools::os;
use crate::ui::{self, Exit};
use crate::workspace::service::Services;
use crate::workspace::{Database, Workspace};

/// How long a task waits for another one that is building.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

pub fn run(workspace: &Workspace, flags: &Build) -> Result<Exit> {
    if flags.images {
        return images(workspace, flags);
    }
    let services = Services::load(workspace)?;
    let selected = services.select(&flags.service)?;
    let components: Vec<Component> =
        selected.iter().map(|service| Component::of(workspace, &services, service)).collect();
    if flags.explain || flags.json {
        return explain(workspace, &components, flags.json);
    }
    bring_up_to_date(workspace, &components, RUN)?;
    Ok(Exit::Done)
}

fn explain(workspace: &Workspace, components: &[Component], as_json: bool) -> Result<Exit> {
    let builder = Builder::new(workspace, components);
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    for component in components {
        let mut reasons = Vec::new();
        for stage in RUN.iter().copied() {
            let why = builder.reasons(component, stage)?.unwrap_or_default();
            reasons.extend(why.into_iter().map(|why| format!("{}: {why}", stage.name())));
        }
        let words = if reasons.is_empty() { "up to date".to_owned() } else { reasons.join("; ") };
        rows.push(vec![component.name.clone(), words]);
        objects.push(json!({"name": component.name, "stale": !reasons.is_empty(), "reasons": reasons}));
    }
    if as_json {
        ui::json(&json!({"services": objects}));
    } else {
        ui::out(&ui::table(&[], &rows));
    }
    Ok(Exit::Done)
}

/// `--images`: the images of an environment, each built when there is none of its content yet.
fn images(workspace: &Workspace, flags: &Build) -> Result<Exit> {
    let scene = Scene::load(workspace, flags.env.as_deref().unwrap_or(super::services::DEV))?;
    let world = scene.world(workspace);
    let selected = scene.services.select(&flags.service)?;
    let names: Vec<String> =
        selected.iter().filter(|service| !service.is_library()).map(|service| service.name.clone()).collect();
    let artifact = Artifact::of(workspace, &scene.services, &scene.migrations)?;
    let project = scene.environment.compose_project(&Database::load(workspace)?);
    if flags.explain || flags.json {
        let stale = compose::images::stale(&world, &project, &artifact, &names)?;
        if flags.json {
            let object = |(name, reasons): &(String, Vec<String>)| json!({"name": name, "stale": !reasons.is_empty(), "reasons": reasons});
            ui::json(&json!({"services": stale.iter().map(object).collect::<Vec<_>>()}));
        } else {
            let row = |(name, reasons): &(String, Vec<String>)| {
                let words = if reasons.is_empty() { "up to date".to_owned() } else { reasons.join("; ") };
                vec![name.clone(), words]
            };
            ui::out(&ui::table(&[], &stale.iter().map(row).collect::<Vec<_>>()));
        }
        return Ok(Exit::Done);
    }
    let step = ui::step("build images");
    let pins = compose::images::build(&world, &project, &artifact, &names, &step)?;
    step.done();
    let rows: Vec<Vec<String>> = pins.into_iter().map(|(name, image)| vec![name, image]).collect();
    ui::out(&ui::table(&[], &rows));
    Ok(Exit::Done)
}

/// What running needs.
pub const RUN: &[Stage] = &[Stage::Install, Stage::Build];
/// What running, tests and linters need.
pub const TEST: &[Stage] = &[Stage::Install, Stage::Tools, Stage::Build];

/// Installs and builds what is stale, components side by side. All come to their end before the first failure is
/// returned. Says whether anything was done.
pub fn bring_up_to_date(workspace: &Workspace, components: &[Component], stages: &[Stage]) -> Result<bool> {
    let changed = bring_up_each(workspace, components, stages, &[], &Outcomes::default())?;
    if !changed {
        ui::step("build").same(&format!("{} components are up to date", components.len()));
    }
    Ok(changed)
}

/// The same, and `done` is told of each component when it is up to date, or will not be. The `last` ones leave the
/// processors to whatever else wants them: others wait for that.
pub fn bring_up_each(
    workspace: &Workspace,
    components: &[Component],
    stages: &[Stage],
    last: &[&str],
    done: &Outcomes,
) -> Result<bool> {
    let names = components.iter().map(|component| component.name.as_str());
    // Kept by each by itself; what is left when this ends will not be.
    let _promise = done.promise(names);
    let _lock = Lock::take(&workspace.lock_file("build"), "the build of this clone", PATIENCE)?;
    let builder = Builder::new(workspace, components);
    let results: Vec<Result<bool>> = std::thread::scope(|scope| {
        let build = |component: &Component| {
            if last.contains(&component.name.as_str()) {
                os::step_back();
            }
            let result = one(&builder, component, stages);
            done.set(&component.name, result.is_ok());
            result
        };
        let handles: Vec<_> = components.iter().map(|component| scope.spawn(move || build(component))).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, Result<bool>>| {
            handle.join().unwrap_or_else(|_| Err(ui::Failure::failed("a build thread ended early").into()))
        };
        handles.into_iter().map(join).collect()
    });
    Ok(ui::exit::all(results)?.contains(&true))
}

fn one(builder: &Builder<'_>, component: &Component, stages: &[Stage]) -> Result<bool> {
    let mut changed = false;
    for stage in stages.iter().copied() {
        if builder.reasons(component, stage)?.is_some() {
            let step = ui::step(format!("{} {}", stage.name(), component.name));
            builder.perform(component, stage, &step)?;
            step.done();
            changed = true;
        }
    }
    Ok(changed)
}
