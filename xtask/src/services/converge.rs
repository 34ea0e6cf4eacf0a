//! From what runs to what should run: a plan that says for each service whether it is started, restarted or left
//! alone, and its execution: all ports first, then each service as soon as what it depends on is ready.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::outcomes::Outcomes;
use super::stack::Stack;
use crate::processes::process::{self, State, Unit};
use crate::tools::curl::{self, Answer};
use crate::tools::files::Lock;
use crate::tools::{self, os, ports};
use crate::ui::{self, Exit, Failure, Finding};
use crate::workspace::service::Service;

/// How many lines of a service's log a failure shows.
const LOG_LINES: usize = 20;
/// How long one probe may take.
pub const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// How long the last words of a service that ended may take to reach its log.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What is to be done with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Start,
    Restart {
        why: String,
    },
    /// It runs as it should.
    Keep,
}

impl Action {
    pub fn describe(&self) -> String {
        match self {
            Action::Start => "start".to_owned(),
            Action::Restart { why } => format!("restart: {why}"),
            Action::Keep => "runs as it should".to_owned(),
        }
    }
}

/// One service of a plan.
pub struct Item<'a> {
    pub service: &'a Service,
    pub unit: Unit,
    pub action: Action,
}

/// Compares what runs with what should run.
pub fn plan<'a>(stack: &Stack<'a>, units: Vec<(&'a Service, Unit)>, restart: bool) -> Vec<Item<'a>> {
    let items = units.into_iter().map(|(service, unit)| {
        let action = match stack.state(service) {
            State::Running(record) if record.fingerprint == unit.fingerprint && !restart => Action::Keep,
            State::Running(_) if restart => Action::Restart { why: "asked for".to_owned() },
            State::Running(_) => Action::Restart { why: "its source, configuration or environment changed".to_owned() },
            State::Unkept(_) => Action::Restart { why: "its keeper is gone".to_owned() },
            State::Stopped | State::Ended(_) => Action::Start,
        };
        Item { service, unit, action }
    });
    items.collect()
}

/// Refuses, before anything is touched, when a port that is needed belongs to somebody else (exit 3).
pub fn check_ports<'a>(stack: &Stack<'_>, services: impl IntoIterator<Item = &'a Service>) -> Result<()> {
    let findings = taken_ports(stack, services, &[]);
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Failure::with_findings(Exit::Findings, "ports are taken; nothing was touched", findings).into()),
    }
}

/// The ports of these services that belong to somebody else; `leaving` end before the services begin.
pub fn taken_ports<'a>(
    stack: &Stack<'_>,
    services: impl IntoIterator<Item = &'a Service>,
    leaving: &[&str],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in services {
        let port = stack.port(service);
        let Some(owner) = ports::listener(port) else { continue };
        let own = std::iter::once(service.name.as_str()).chain(leaving.iter().copied());
        let session = owner.pid.and_then(os::process).map(|facts| facts.session);
        // One that has just begun has bound its port before it listens, and nobody can be seen on it yet; whose it is
        // shows when the service is ready.
        let is_beginning = owner.pid.is_none() && stack.state(service).pid().is_some();
        let is_ours = |name| session.is_some() && process::session_of(&stack.files(name)) == session;
        if own.into_iter().any(is_ours) || is_beginning {
            continue;
        }
        let message = format!("port {port} of {} is taken by {owner}", service.name);
        let hint = match owner.pid {
            Some(pid) => format!("end it (kill {pid}), or change `port` in {}", service.file),
            None => format!("find it with root's rights, or change `port` in {}", service.file),
        };
        findings.push(Finding::error(message).at(service.place("port")).hint(hint));
    }
    findings
}

/// Carries the plan out and waits until every service of it is ready. The first failure is returned, after all others have
/// come to their end.
pub fn execute(stack: &Stack<'_>, items: &[Item<'_>], wait: Duration) -> Result<()> {
    execute_when(stack, items, wait, &|_| true)
}

/// The same, where each waits for `may_begin` first: false when what it is made from failed, which is told elsewhere.
pub fn execute_when(
    stack: &Stack<'_>,
    items: &[Item<'_>],
    wait: Duration,
    may_begin: &(dyn Fn(&Service) -> bool + Sync),
) -> Result<()> {
    // Readiness is probed with it; without it nothing must be started.
    tools::need("curl")?;
    check_ports(stack, items.iter().filter(|item| item.action != Action::Keep).map(|item| item.service))?;
    // What is only started may have left something behind too: a process that outlived it, a keeper that just ends.
    for item in items.iter().rev().filter(|item| item.action != Action::Keep) {
        process::stop(&item.unit.files)?;
    }
    let ready = Outcomes::default();
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let handles: Vec<_> = items
            .iter()
            .map(|item| {
                let ready = &ready;
                scope.spawn(move || {
                    let promise = ready.promise([&item.service.name]);
                    let in_plan = |name: &&String| items.iter().any(|other| other.service.name == **name);
                    if may_begin(item.service) && ready.wait(item.service.depends_on.iter().filter(in_plan)) {
                        bring_up(item, wait)?;
                        promise.keep();
                    }
                    Ok(())
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|_| Err(Failure::failed("a thread ended early").into())))
            .collect()
    });
    ui::exit::all(results).map(|_| ())
}

fn bring_up(item: &Item<'_>, wait: Duration) -> Result<()> {
    let step = ui::step(format!("service {}", item.service.name));
    if item.action != Action::Keep {
        process::start(&item.unit)?;
    }
    let pid = wait_until_ready(item, wait)?;
    match &item.action {
        Action::Keep => step.same(&format!("runs, pid {pid}")),
        Action::Start => step.done_with(&format!("ready, pid {pid}")),
        Action::Restart { why } => step.done_with(&format!("ready again, pid {pid} ({why})")),
    }
    Ok(())
}

/// Waits for the readiness probe to pass, and makes sure that it is this very service that answers on the port.
fn wait_until_ready(item: &Item<'_>, wait: Duration) -> Result<u32> {
    let name = &item.service.name;
    let port = item.unit.port.unwrap_or_default();
    let url = item.service.health.as_ref().map(|health| format!("http://127.0.0.1:{port}{}", health.ready));
    let started = Instant::now();
    let mut last: Option<Answer> = None;
    let mut pause = Duration::from_millis(10);
    loop {
        let state = State::look(&item.unit.files);
        let State::Running(record) = &state else {
            // Its keeper ends when it has written down how it ended, and all that it said.
            os::wait_until(LAST_WORDS, || !Lock::is_held(&item.unit.files.lock));
            let state = State::look(&item.unit.files);
            return Err(failure(item, &format!("{name} did not stay up: it {}", state.describe()), last.as_ref()));
        };
        // A connection costs nothing; the probe, which starts curl, is made only when somebody listens.
        if std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_millis(500)).is_ok() {
            let answer = match &url {
                Some(url) => curl::get_all(std::slice::from_ref(url), PROBE_LIMIT)?.pop(),
                None => None,
            };
            if answer.as_ref().is_none_or(Answer::is_success) {
                check_listener(name, port, record)?;
                return Ok(record.process.as_ref().map_or(0, |process| process.pid));
            }
            last = answer;
        }
        if started.elapsed() > wait {
            let waited = format!("{name} was not ready within {}", ui::seconds(wait));
            return Err(failure(item, &waited, last.as_ref()));
        }
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(150));
    }
}

fn check_listener(name: &str, port: u16, record: &process::Record) -> Result<()> {
    let owner = ports::listener(port);
    let session = owner.as_ref().and_then(|owner| owner.pid).and_then(os::process).map(|facts| facts.session);
    match (owner, session) {
        (Some(owner), Some(session)) if session != record.keeper.pid => {
            let failure = Failure::refused(format!("port {port} is answered by {owner}, not by {name}"));
            Err(failure.hint("the service listens somewhere else: does it read PORT?").into())
        }
        _ => Ok(()),
    }
}

fn failure(item: &Item<'_>, message: &str, last: Option<&Answer>) -> anyhow::Error {
    let mut text = message.to_owned();
    if let Some(answer) = last {
        text.push_str(&format!("; its last answer to the readiness probe: {}", answer.describe()));
    }
    let lines = process::last_lines(&item.unit.files.log, LOG_LINES);
    for line in &lines {
        text.push_str(&format!("\n  | {line}"));
    }
    Failure::failed(text).hint(format!("see `cargo xtask services logs {}`", item.service.name)).into()
}
