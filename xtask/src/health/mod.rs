//! Is it well? One look at every service and the database of an environment, as a value.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::processes::process::State;
use crate::services::stack::Stack;
use crate::tools::curl::{self, Answer};
use crate::ui::{age, utc};
use crate::workspace::service::Service;

/// What was seen of one service.
pub struct ServiceHealth {
    pub name: String,
    pub port: u16,
    pub state: State,
    pub live: Option<Answer>,
    pub ready: Option<Answer>,
}

impl ServiceHealth {
    pub fn is_ok(&self) -> bool {
        self.state.pid().is_some()
            && self.live.as_ref().is_some_and(Answer::is_success)
            && self.ready.as_ref().is_some_and(Answer::is_success)
    }

    /// Why it is not well, or since when it is.
    pub fn describe(&self) -> String {
        if self.state.pid().is_none() {
            return format!("not running: {}", self.state.describe());
        }
        for (probe, answer) in [("liveness", &self.live), ("readiness", &self.ready)] {
            if let Some(answer) = answer.as_ref().filter(|answer| !answer.is_success()) {
                return format!("{probe} probe: {}", explain(answer));
            }
        }
        let up = self.state.record().map(|record| record.started_at.elapsed().unwrap_or_default());
        format!("up for {}", age(up.unwrap_or_default()))
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
        json!({
            "name": self.name,
            "ok": self.is_ok(),
            "state": self.state.name(),
            "pid": self.state.pid(),
            "port": self.port,
            "since": self.state.record().map(|record| utc(record.started_at)),
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
        rows.extend(self.services.iter().map(|service| row(&service.name, service.is_ok(), service.describe())));
        rows
    }
}

/// Probes services, all at once; one that does not run is not probed.
pub fn look_at_services(stack: &Stack<'_>, services: &[&Service], limit: Duration) -> Result<Vec<ServiceHealth>> {
    let mut seen: Vec<ServiceHealth> = Vec::new();
    let mut urls = Vec::new();
    for service in services {
        let state = stack.state(service);
        if let Some(health) = service.health.as_ref().filter(|_| state.pid().is_some()) {
            urls.extend([&health.live, &health.ready].map(|path| format!("{}{path}", stack.url(service))));
        }
        seen.push(ServiceHealth {
            name: service.name.clone(),
            port: stack.port(service),
            state,
            live: None,
            ready: None,
        });
    }
    let mut answers = curl::get_all(&urls, limit)?.into_iter();
    for service in seen.iter_mut().filter(|service| service.state.pid().is_some()) {
        service.live = answers.next();
        service.ready = answers.next();
    }
    Ok(seen)
}
