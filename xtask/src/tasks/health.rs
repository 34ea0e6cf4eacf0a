//! `health`: probe the services and the database; exit 3 when something is down, 4 when it could not look.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::deploy::Scene;
use crate::deploy::engine::{self, Engine, World};
use crate::flags::Health;
use crate::health::{self, DatabaseHealth, Report};
use crate::services::converge::PROBE_LIMIT;
use crate::ui::{self, Exit, Style, exit};
use crate::workspace::service::{DATABASE, Services};
use crate::workspace::{Environment, Workspace};
use database::Target;

pub fn run(workspace: &Workspace, flags: &Health) -> Result<Exit> {
    let name = flags.env.clone().unwrap_or_else(|| super::services::DEV.to_owned());
    let scene = Scene::load(workspace, &name)?;
    let world = scene.world(workspace);
    let engine = engine::of(&world, flags.engine.as_deref())?;
    let started = Instant::now();
    loop {
        let report = look_with(workspace, &scene, engine.as_ref())?;
        let waiting = flags.wait.is_some_and(|wait| started.elapsed() < Duration::from_secs(wait));
        if flags.watch {
            show(&report, flags.json);
            std::thread::sleep(Duration::from_secs(2));
        } else if report.is_ok() || !waiting {
            show(&report, flags.json);
            return Ok(if report.is_ok() { Exit::Done } else { Exit::Findings });
        } else {
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// One look at everything of an environment.
pub fn look_with(workspace: &Workspace, scene: &Scene, engine: &dyn Engine) -> Result<Report> {
    look(workspace, &scene.services, &scene.environment, engine)
}

/// The same for the services of this machine.
pub fn look_here(workspace: &Workspace, services: &Services, environment: &Environment) -> Result<Report> {
    let world = World::new(workspace, environment, services, &[]);
    let engine = engine::of(&world, Some("local"))?;
    look(workspace, services, environment, engine.as_ref())
}

fn look(workspace: &Workspace, services: &Services, environment: &Environment, engine: &dyn Engine) -> Result<Report> {
    let wants_database = services.running().any(|service| service.depends_on.iter().any(|name| name == DATABASE));
    let (seen, database) = std::thread::scope(|scope| {
        let database = wants_database.then(|| scope.spawn(|| look_at_database(workspace, environment)));
        let running: Vec<_> = services.running().collect();
        let seen = health::look_at_services(engine, &running, PROBE_LIMIT);
        (seen, database.and_then(|handle| handle.join().ok()))
    });
    Ok(Report { environment: environment.name.clone(), services: seen?, database: database.transpose()? })
}

fn look_at_database(workspace: &Workspace, environment: &Environment) -> Result<DatabaseHealth> {
    let started = Instant::now();
    let target = match Target::of(workspace, environment, &environment.name) {
        Ok(target) => target,
        // It is known not to run: that is an answer.
        Err(error) if exit::exit_of(&error) == Exit::CannotTell => {
            let time = started.elapsed();
            return Ok(DatabaseHealth { ok: false, detail: format!("{error:#}"), time, pending: None });
        }
        Err(error) => return Err(error),
    };
    let asked = super::migrate::pending(workspace, &target, &environment.name);
    let time = started.elapsed();
    Ok(match asked {
        Ok(pending) => {
            DatabaseHealth { ok: true, detail: format!("{} answers", target.describe()), time, pending: Some(pending) }
        }
        Err(error) => DatabaseHealth { ok: false, detail: format!("{error:#}"), time, pending: None },
    })
}

pub fn show(report: &Report, as_json: bool) {
    if as_json {
        ui::json(&report.to_json());
        return;
    }
    let mut rows = report.rows();
    for row in &mut rows {
        let style = if row[1] == "ok" { Style::Good } else { Style::Bad };
        row[1] = ui::paint(style, &format!("{:<4}", row[1]));
    }
    ui::out(&ui::table(&[], &rows));
}
