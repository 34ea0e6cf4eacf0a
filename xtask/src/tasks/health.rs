//! `health`: probe the services and the database; exit 3 when something is down, 4 when it could not look.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::flags::Health;
use crate::health::{self, DatabaseHealth, Report};
use crate::services::converge::PROBE_LIMIT;
use crate::services::stack::Stack;
use crate::ui::{self, Exit, Failure, Style};
use crate::workspace::service::Services;
use crate::workspace::{Environment, Workspace};
use database::Target;

pub fn run(workspace: &Workspace, flags: &Health) -> Result<Exit> {
    let name = flags.env.clone().unwrap_or_else(|| super::services::DEV.to_owned());
    let services = Services::load(workspace)?;
    let environment = Environment::load(workspace, &name)?;
    let engine = environment.get("DEPLOY_ENGINE").unwrap_or("local");
    if engine != "local" {
        let message = format!("nothing is deployed to `{name}` from here, so its services cannot be probed");
        return Err(Failure::cannot_tell(message).hint(format!("its engine is {engine}")).into());
    }
    let started = Instant::now();
    loop {
        let report = look(workspace, &services, &environment)?;
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

/// One look at everything of an environment on this machine.
pub fn look(workspace: &Workspace, services: &Services, environment: &Environment) -> Result<Report> {
    let stack = Stack::new(workspace, services, environment, &environment.name);
    let (seen, database) = std::thread::scope(|scope| {
        let database = stack.wants_database().then(|| scope.spawn(|| look_at_database(workspace, environment)));
        let running: Vec<_> = services.running().collect();
        let seen = health::look_at_services(&stack, &running, PROBE_LIMIT);
        (seen, database.and_then(|handle| handle.join().ok()))
    });
    Ok(Report { environment: environment.name.clone(), services: seen?, database: database.transpose()? })
}

fn look_at_database(workspace: &Workspace, environment: &Environment) -> Result<DatabaseHealth> {
    let target = Target::of(workspace, environment, &environment.name)?;
    let started = Instant::now();
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
