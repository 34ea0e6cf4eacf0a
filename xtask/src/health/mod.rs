//! Is it well? One look at every service and the database of an environment, as a value.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::deploy::engine::{Engine, Running};
use crate::tools::curl::{self, Answer};
use crate::ui::{age, utc};
use crate::workspace::service::Service;

/// How often something that is not well is looked at again, and after how long: what passes in between flaps.
pub const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(400);

/// What was seen of one service.
pub struct ServiceHealth {
    pub name: String,
    pub port: u16,
    /// None where the engine has nothing of this name.
    pub running: Option<Running>,
    pub live: Option<Answer>,
    pub ready: Option<Answer>,
    /// Looks at which it was well, of so many.
    pub passed: u32,
    pub looks: u32,
}

impl ServiceHealth {
    /// Well at every look.
    pub fn is_ok(&self) -> bool {
        self.passed == self.looks
    }
    /// Well at some looks only.
    pub fn flaps(&self) -> bool {
        self.passed > 0 && self.passed < self.looks
    }
    fn is_well_now(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_up)
            && self.live.as_ref().is_some_and(Answer::is_success)
            && self.ready.as_ref().is_some_and(Answer::is_success)
    }

    /// Why it is not well, or since when it is.
    pub fn describe(&self) -> String {
        let Some(running) = &self.running else { return "not running: stopped".to_owned() };
        if !running.is_up {
            return format!("not running: {}", running.detail);
        }
        let flaps =
            if self.flaps() { format!("well at {} of {} looks; ", self.passed, self.looks) } else { String::new() };
        for (probe, answer) in [("liveness", &self.live), ("readiness", &self.ready)] {
            match answer {
                Some(answer) if !answer.is_success() => return format!("{flaps}{probe} probe: {}", explain(answer)),
                Some(_) => {}
                None => return format!("{flaps}it is not published on this host, so it cannot be probed"),
            }
        }
        let up = running.since.map(|since| since.elapsed().unwrap_or_default()).unwrap_or_default();
        let restarts = if running.restarts > 0 { format!(", {} restarts", running.restarts) } else { String::new() };
        format!("{flaps}up for {}{restarts}", age(up))
    }

    fn to_json(&self) -> Value {
        let probe = |answer: &Option<Answer>| {
            answer.as_ref().map(|answer| {
                json!({
                    "ok": answer.is_success(),
                    "status": answer.status,
                    "time_ms": u64::try_from(answer.time.as_millis()).unwrap_or(u64::MAX),
                    "error": answer.error,
                })
            })
        };
        let running = self.running.as_ref();
        json!({
            "name": self.name,
            "ok": self.is_ok(),
            "flaps": self.flaps(),
            "state": running.map_or("stopped", |running| running.state.as_str()),
            "pid": running.and_then(|running| running.pid),
            "port": self.port,
            "since": running.and_then(|running| running.since).map(utc),
            "restarts": running.map(|running| running.restarts),
            "live": probe(&self.live),
            "ready": probe(&self.ready),
            "detail": self.describe(),
        })
    }
}

/// The answer in words; a problem report's or a readiness report's own words where it is one.
fn explain(answer: &Answer) -> String {
    let Some(body) = curl::body_json(answer) else { return answer.describe() };
    let checks = body["checks"].as_array().into_iter().flatten().filter(|check| check["ok"] == false);
    let failing: Vec<String> = checks
        .map(|check| {
            format!("{}: {}", check["name"].as_str().unwrap_or("?"), check["detail"].as_str().unwrap_or("not ok"))
        })
        .collect();
    if failing.is_empty() { answer.describe() } else { format!("status {}: {}", answer.status, failing.join("; ")) }
}

/// What was seen of the database.
pub struct DatabaseHealth {
    pub ok: bool,
    pub detail: String,
    pub time: Duration,
    /// Migrations on disk that are not applied; None when it could not be asked.
    pub pending: Option<Vec<String>>,
}

/// Everything that was seen.
pub struct Report {
    pub environment: String,
    pub services: Vec<ServiceHealth>,
    pub database: Option<DatabaseHealth>,
}

impl Report {
    pub fn is_ok(&self) -> bool {
        let database = self
            .database
            .as_ref()
            .is_none_or(|database| database.ok && database.pending.as_ref().is_some_and(Vec::is_empty));
        database && self.services.iter().all(ServiceHealth::is_ok)
    }

    pub fn to_json(&self) -> Value {
        let database = self.database.as_ref();
        json!({
            "environment": self.environment,
            "ok": self.is_ok(),
            "services": self.services.iter().map(ServiceHealth::to_json).collect::<Vec<_>>(),
            "database": database.map(|database| json!({
                "ok": database.ok,
                "detail": database.detail,
                "time_ms": u64::try_from(database.time.as_millis()).unwrap_or(u64::MAX),
            })),
            "migrations": database.map(|database| json!({
                "ok": database.pending.as_ref().is_some_and(Vec::is_empty),
                "pending": database.pending,
            })),
        })
    }

    /// Rows of name, verdict and words.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, ok: bool, detail: String| {
            vec![name.to_owned(), if ok { "ok" } else { "DOWN" }.to_owned(), detail]
        };
        let of_service = |service: &ServiceHealth| {
            let verdict = if service.flaps() {
                "FLAPS"
            } else if service.is_ok() {
                "ok"
            } else {
                "DOWN"
            };
            vec![service.name.clone(), verdict.to_owned(), service.describe()]
        };
        let mut rows = Vec::new();
        if let Some(database) = &self.database {
            rows.push(row("database", database.ok, database.detail.clone()));
            let (ok, detail) = match &database.pending {
                Some(pending) if pending.is_empty() => (true, "none pending".to_owned()),
                Some(pending) => {
                    (false, format!("{} pending: {}; run `cargo xtask migrate`", pending.len(), pending.join(", ")))
                }
                None => (false, "the database could not be asked".to_owned()),
            };
            rows.push(row("migrations", ok, detail));
        }
        rows.extend(self.services.iter().map(of_service));
        rows
    }
}

/// Looks at services, all at once; those that are not well are looked at again, and told apart from those that flap. One
/// that does not run is not probed.
pub fn look_at_services(engine: &dyn Engine, services: &[&Service], limit: Duration) -> Result<Vec<ServiceHealth>> {
    let mut seen = look_once(engine, services, limit)?;
    for _ in 1..LOOKS {
        let ill: Vec<&Service> = services
            .iter()
            .zip(&seen)
            // What has ended does not come back by being asked.
            .filter(|(_, seen)| !seen.is_ok() && seen.running.as_ref().is_some_and(|running| running.is_up))
            .map(|(service, _)| *service)
            .collect();
        if ill.is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
        for again in look_once(engine, &ill, limit)? {
            if let Some(before) = seen.iter_mut().find(|before| before.name == again.name) {
                let (passed, looks) = (before.passed + again.passed, before.looks + 1);
                *before = ServiceHealth { passed, looks, ..again };
            }
        }
    }
    Ok(seen)
}

fn look_once(engine: &dyn Engine, services: &[&Service], limit: Duration) -> Result<Vec<ServiceHealth>> {
    let running = engine.observe()?;
    let mut seen: Vec<ServiceHealth> = Vec::new();
    let mut urls = Vec::new();
    for service in services {
        let running = running.iter().find(|running| running.name == service.name).cloned();
        let address = running.as_ref().filter(|running| running.is_up).and_then(|running| running.address.clone());
        if let (Some(health), Some(address)) = (&service.health, &address) {
            urls.extend([&health.live, &health.ready].map(|path| format!("{address}{path}")));
        }
        let port = address.and_then(|address| address.rsplit(':').next()?.parse().ok()).unwrap_or(service.port);
        seen.push(ServiceHealth {
            name: service.name.clone(),
            port,
            running,
            live: None,
            ready: None,
            passed: 0,
            looks: 1,
        });
    }
    let mut answers = curl::get_all(&urls, limit)?.into_iter();
    let is_probed =
        |seen: &ServiceHealth| seen.running.as_ref().is_some_and(|running| running.is_up && running.address.is_some());
    for service in seen.iter_mut().filter(|seen| is_probed(seen)) {
        service.live = answers.next();
        service.ready = answers.next();
    }
    for service in &mut seen {
        service.passed = u32::from(service.is_well_now());
    }
    Ok(seen)
}
