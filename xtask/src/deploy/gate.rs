//! The gate: whether what was rolled out is well, and stays so. Every probe must pass several times in a row, nothing may
//! restart, for as long as the environment asks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::engine::{Engine, LogPart, READY, Running, Unit, UnitKind};
use crate::services::converge::PROBE_LIMIT;
use crate::tools::curl::{self, Answer};
use crate::ui::{self, Failure, Step};
use crate::workspace::Environment;
use crate::workspace::schema;
use crate::workspace::service::Services;

/// How many times in a row every probe must pass.
const PASSES: u32 = 3;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// How many lines of a service's log a failure shows.
const LOG_LINES: usize = 50;
/// How much of each line.
const LINE: usize = 300;
/// How long the last words of something that ended may take to reach its log.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a release must show.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// How long something may take to be ready.
    pub ready: Duration,
    /// How long all of it must stay well.
    pub soak: Duration,
    /// It fails in the end whatever it saw: for a rehearsal.
    pub is_sabotaged: bool,
}

impl Gate {
    /// GATE_SOAK of the environment; two seconds where it says nothing.
    pub fn of(environment: &Environment, ready: Option<u64>) -> Gate {
        let soak = environment.get("GATE_SOAK").and_then(schema::duration).unwrap_or(Duration::from_secs(2));
        Gate { ready: ready.map_or(READY, Duration::from_secs), soak, is_sabotaged: false }
    }
}

/// One look at a unit: what the engine says and what its probes answer.
struct Seen {
    unit: Unit,
    running: Option<Running>,
    live: Option<Answer>,
    ready: Option<Answer>,
}

impl Seen {
    /// What the engine's own check has not said yes to yet: it may be seconds apart.
    fn waits(&self) -> Option<String> {
        let running = self.running.as_ref().filter(|running| running.is_waiting)?;
        Some(format!("{}: {}", self.unit.name, running.detail))
    }

    /// Why it is not well, by the engine's word and by its probes; None when it is.
    fn objection(&self) -> Option<String> {
        let name = &self.unit.name;
        let Some(running) = &self.running else { return Some(format!("{name} is not there")) };
        if running.fingerprint != self.unit.fingerprint {
            return Some(format!("what runs as {name} is not what was meant"));
        }
        if !running.is_up {
            return Some(format!("{name} is not running: {}", running.detail));
        }
        if self.unit.kind == UnitKind::Service {
            if running.address.is_none() {
                return Some(format!("{name} is not published on this host"));
            }
            for (what, answer) in [("ready", &self.ready), ("live", &self.live)] {
                match answer {
                    Some(answer) if answer.is_success() => {}
                    Some(answer) => return Some(format!("{name} is not {what}: {}", answer.describe())),
                    None => return Some(format!("{name} was not asked whether it is {what}")),
                }
            }
        }
        None
    }

    fn to_json(&self) -> Value {
        let answer = |answer: &Option<Answer>| {
            answer
                .as_ref()
                .map(|answer| json!({"status": answer.status, "ms": milliseconds(answer.time), "error": answer.error}))
        };
        json!({
            "name": self.unit.name,
            "state": self.running.as_ref().map(|running| running.detail.clone()),
            "restarts": self.running.as_ref().map(|running| running.restarts),
            "live": answer(&self.live),
            "ready": answer(&self.ready),
        })
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn look(engine: &dyn Engine, units: &[Unit]) -> Result<Vec<Seen>> {
    probe(&engine.observe()?, units, &Answers::new())
}

/// What probes have answered, by their addresses.
pub type Answers = BTreeMap<String, Answer>;

/// Asks what was observed, by the probes that the services' files name; nothing where that cannot be.
pub fn ask(running: &[Running], services: &Services) -> Answers {
    let urls: Vec<String> = running
        .iter()
        .filter(|running| running.is_up)
        .filter_map(|running| Some((running.address.as_ref()?, services.get(&running.name)?.health.as_ref()?)))
        .flat_map(|(address, health)| [&health.ready, &health.live].map(|path| format!("{address}{path}")))
        .collect();
    let answers = curl::get_all(&urls, PROBE_LIMIT).unwrap_or_default();
    urls.into_iter().zip(answers).collect()
}

/// Asks the probes of what was observed, where `known` does not have all their answers.
fn probe(running: &[Running], units: &[Unit], known: &Answers) -> Result<Vec<Seen>> {
    let mut seen: Vec<Seen> = units
        .iter()
        .filter(|unit| unit.kind != UnitKind::Job)
        .map(|unit| Seen {
            unit: unit.clone(),
            running: running.iter().find(|running| running.name == unit.name).cloned(),
            live: None,
            ready: None,
        })
        .collect();
    let is_probed = |seen: &&mut Seen| {
        let address =
            seen.running.as_ref().filter(|running| running.is_up).and_then(|running| running.address.as_ref());
        seen.unit.kind == UnitKind::Service && address.is_some()
    };
    let mut urls = Vec::new();
    for seen in seen.iter_mut().filter(is_probed) {
        let address = seen.running.as_ref().and_then(|running| running.address.clone()).unwrap_or_default();
        urls.extend([&seen.unit.ready, &seen.unit.live].map(|path| format!("{address}{path}")));
    }
    let all: Option<Vec<Answer>> = urls.iter().map(|url| known.get(url).cloned()).collect();
    let mut answers = match all {
        Some(all) => all,
        None => curl::get_all(&urls, PROBE_LIMIT)?,
    }
    .into_iter();
    for seen in seen.iter_mut().filter(is_probed) {
        seen.ready = answers.next();
        seen.live = answers.next();
    }
    Ok(seen)
}

/// Waits until one unit is ready, or says why it will not be.
pub fn wait_until_ready(engine: &dyn Engine, unit: &Unit, gate: &Gate, step: &Step) -> Result<()> {
    let started = Instant::now();
    loop {
        let seen = look(engine, std::slice::from_ref(unit))?;
        let Some(seen) = seen.first() else { return Ok(()) };
        let Some(objection) = seen.objection() else { return Ok(()) };
        step.detail(&objection);
        let has_ended = seen.running.as_ref().is_some_and(|running| !running.is_up || running.restarts > 0);
        if has_ended {
            return Err(failure(engine, seen, &format!("{objection}, so it will not be ready")));
        }
        if started.elapsed() > gate.ready {
            return Err(failure(engine, seen, &format!("{objection}, after {}", ui::seconds(gate.ready))));
        }
        std::thread::sleep(PAUSE);
    }
}

/// One look at what a release runs, as it was observed: why it is not well, None when it is.
pub fn unwell(running: &[Running], answers: &Answers, units: &[Unit]) -> Result<Option<String>> {
    Ok(probe(running, units, answers)?.iter().find_map(|seen| seen.objection().or_else(|| seen.waits())))
}

/// Holds what was rolled out to the gate; the evidence.
pub fn hold(engine: &dyn Engine, units: &[Unit], gate: &Gate, step: &Step) -> Result<Value> {
    let started = Instant::now();
    let mut first: Option<Vec<Option<String>>> = None;
    let mut passes = 0;
    loop {
        let seen = look(engine, units)?;
        let instances: Vec<Option<String>> =
            seen.iter().map(|seen| seen.running.as_ref().map(|running| running.instance.clone())).collect();
        if let Some(first) = first.as_ref().filter(|first| **first != instances) {
            let which = seen.iter().zip(first.iter().zip(&instances)).find(|(_, (then, now))| then != now);
            let (seen, name) = which.map_or((&seen[0], "it"), |(seen, _)| (seen, seen.unit.name.as_str()));
            return Err(failure(engine, seen, &format!("{name} was started anew during the gate")));
        }
        match seen.iter().find_map(|seen| seen.objection().map(|objection| (seen, objection))) {
            None => {
                passes += 1;
                first.get_or_insert(instances);
            }
            // Before the first pass the engine's own checks may still be on their way.
            Some((seen, objection)) => {
                let is_beginning = first.is_none() && started.elapsed() < gate.ready;
                let is_up = seen.running.as_ref().is_some_and(|running| running.is_up);
                if !(is_beginning && is_up) {
                    return Err(failure(engine, seen, &objection));
                }
                step.detail(&objection);
            }
        }
        let waits = seen.iter().find_map(|seen| seen.waits().map(|why| (seen, why)));
        if let Some((seen, why)) = waits.as_ref().filter(|_| started.elapsed() > gate.ready) {
            return Err(failure(engine, seen, &format!("{why}, after {}", ui::seconds(gate.ready))));
        }
        if passes >= PASSES && started.elapsed() >= gate.soak && waits.is_none() {
            let evidence = json!({
                "passes": passes,
                "soak_ms": milliseconds(started.elapsed()),
                "units": seen.iter().map(Seen::to_json).collect::<Vec<_>>(),
            });
            return match gate.is_sabotaged {
                true => Err(Failure::failed("the gate fails on purpose: this is a rehearsal").into()),
                false => Ok(evidence),
            };
        }
        step.detail(&format!("{passes} passes, {} of {}", ui::seconds(started.elapsed()), ui::seconds(gate.soak)));
        std::thread::sleep(PAUSE);
    }
}

/// What one wants to know of something that is not well: why, its last answer, its restarts, its last words.
fn failure(engine: &dyn Engine, seen: &Seen, message: &str) -> anyhow::Error {
    std::thread::sleep(LAST_WORDS);
    let name = &seen.unit.name;
    let mut text = message.to_owned();
    if let Some(answer) = &seen.ready {
        text.push_str(&format!("\n  last answer to its readiness probe: {}", answer.describe()));
    }
    // As it is now: between the look and this it may have ended once more.
    let now = engine.observe().ok().and_then(|all| all.into_iter().find(|running| running.name == *name));
    if let Some(running) = now.as_ref().or(seen.running.as_ref()) {
        text.push_str(&format!("\n  {name}: {}", running.detail));
    }
    match engine.log(name, LogPart::Last(LOG_LINES)) {
        Ok(lines) if lines.is_empty() => text.push_str("\n  it has logged nothing"),
        Ok(lines) => {
            let short = |text: &str| text.chars().take(LINE).collect::<String>();
            lines.iter().for_each(|line| text.push_str(&format!("\n  | {}", short(&line.text))));
        }
        Err(error) => text.push_str(&format!("\n  its log cannot be read: {error:#}")),
    }
    Failure::failed(text).into()
}

/// How each unit stands, for a message: `api: running; engine: exited with 1`.
pub fn states(engine: &dyn Engine) -> String {
    match engine.observe() {
        Ok(all) if all.is_empty() => "nothing runs".to_owned(),
        Ok(all) => all.iter().map(|it| format!("{}: {}", it.name, it.detail)).collect::<Vec<_>>().join("; "),
        Err(error) => format!("what runs cannot be told: {error:#}"),
    }
}
