//! One long-running process: started under its keeper, recognised by pid, start time and boot id, stopped with its
//! whole session. Services and the embedded database are both run this way.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::keeper;
use crate::tools::files::{self, Lock};
use crate::tools::guard;
use crate::tools::os::{self, Signal};
use crate::ui::Failure;

/// The variable that marks every process of one start, so that leftovers can be told from strangers.
pub const RUN_ID: &str = "XTASK_RUN_ID";
/// How long a process that was sent KILL may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What to run, and where its record and log lie. Values of `env` never leave memory: the keeper gets them by a pipe.
#[derive(Clone, Debug)]
pub struct Unit {
    pub name: String,
    /// Absolute path of the program.
    pub program: String,
    pub args: Vec<String>,
    pub dir: Utf8PathBuf,
    /// The whole environment of the process.
    pub env: Vec<(String, String)>,
    /// Values that must not reach the log.
    pub secrets: Vec<String>,
    pub port: Option<u16>,
    /// The signal that asks it to end.
    pub stop_signal: Signal,
    /// How long it may take to end.
    pub grace: Duration,
    /// Changes when the unit must be restarted.
    pub fingerprint: String,
    pub files: UnitFiles,
}

/// Where the record, the keeper's lock and the log of a unit lie.
#[derive(Clone, Debug)]
pub struct UnitFiles {
    pub record: Utf8PathBuf,
    pub lock: Utf8PathBuf,
    pub log: Utf8PathBuf,
}

impl UnitFiles {
    pub fn new(run_folder: &Utf8Path, log_folder: &Utf8Path, name: &str) -> UnitFiles {
        UnitFiles {
            record: run_folder.join(format!("{name}.json")),
            lock: run_folder.join(format!("{name}.lock")),
            log: log_folder.join(format!("{name}.log")),
        }
    }
}

/// A process that can not be mistaken for another: the kernel reuses pids, but not with the same start time and boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub pid: u32,
    pub start_time: u64,
    pub boot_id: String,
}

impl Identity {
    pub fn of(pid: u32) -> Option<Identity> {
        os::process(pid).map(|facts| Identity { pid, start_time: facts.start_time, boot_id: os::boot_id() })
    }
    pub fn is_alive(&self) -> bool {
        let same = |facts: &os::ProcessFacts| facts.start_time == self.start_time && !facts.is_zombie;
        self.boot_id == os::boot_id() && os::process(self.pid).as_ref().is_some_and(same)
    }
    pub fn to_json(&self) -> Value {
        json!({"pid": self.pid, "start_time": self.start_time, "boot_id": self.boot_id})
    }
    pub fn from_json(value: &Value) -> Option<Identity> {
        Some(Identity {
            pid: u32::try_from(value["pid"].as_u64()?).ok()?,
            start_time: value["start_time"].as_u64()?,
            boot_id: value["boot_id"].as_str()?.to_owned(),
        })
    }
}

/// What the keeper wrote down about a unit.
#[derive(Clone, Debug)]
pub struct Record {
    pub keeper: Identity,
    /// None between the keeper's start and the process's.
    pub process: Option<Identity>,
    pub run_id: String,
    pub port: Option<u16>,
    pub fingerprint: String,
    pub stop_signal: Signal,
    pub grace: Duration,
    pub started_at: SystemTime,
    /// How it ended, in words, and when.
    pub ended: Option<(String, SystemTime)>,
}

impl Record {
    pub fn read(files: &UnitFiles) -> Option<Record> {
        let value = files::read_json(&files.record)?;
        let time = |value: &Value| Some(UNIX_EPOCH + Duration::from_secs_f64(value.as_f64()?));
        Some(Record {
            keeper: Identity::from_json(&value["keeper"])?,
            process: Identity::from_json(&value["process"]),
            run_id: value["run_id"].as_str()?.to_owned(),
            port: value["port"].as_u64().and_then(|port| u16::try_from(port).ok()),
            fingerprint: value["fingerprint"].as_str()?.to_owned(),
            stop_signal: Signal::from_name(value["stop_signal"].as_str()?)?,
            grace: Duration::from_millis(value["grace_ms"].as_u64()?),
            started_at: time(&value["started_at"])?,
            ended: value["ended"].as_str().map(str::to_owned).zip(time(&value["ended_at"])),
        })
    }

    pub fn write(&self, files: &UnitFiles) -> Result<()> {
        let time = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        files::write_json(
            &files.record,
            &json!({
                "keeper": self.keeper.to_json(),
                "process": self.process.as_ref().map(Identity::to_json),
                "run_id": self.run_id,
                "port": self.port,
                "fingerprint": self.fingerprint,
                "stop_signal": self.stop_signal.name(),
                "grace_ms": u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX),
                "started_at": time(self.started_at),
                "ended": self.ended.as_ref().map(|(how, _)| how),
                "ended_at": self.ended.as_ref().map(|(_, when)| time(*when)),
            }),
        )
    }
}

/// How a unit stands right now.
#[derive(Clone, Debug)]
pub enum State {
    /// It was never started here, or was stopped.
    Stopped,
    Running(Record),
    /// The process lives, but its keeper is gone: its log is lost, so it is replaced at the next start.
    Unkept(Record),
    /// It ended without being asked.
    Ended(Record),
}

impl State {
    pub fn look(files: &UnitFiles) -> State {
        let Some(record) = Record::read(files) else { return State::Stopped };
        let alive = record.process.as_ref().is_some_and(Identity::is_alive);
        match (alive, record.keeper.is_alive()) {
            (true, true) => State::Running(record),
            (true, false) => State::Unkept(record),
            (false, _) => State::Ended(record),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Running(_) => "running",
            State::Unkept(_) => "unkept",
            State::Ended(_) => "ended",
        }
    }
    pub fn record(&self) -> Option<&Record> {
        match self {
            State::Stopped => None,
            State::Running(record) | State::Unkept(record) | State::Ended(record) => Some(record),
        }
    }
    pub fn pid(&self) -> Option<u32> {
        match self {
            State::Running(record) | State::Unkept(record) => record.process.as_ref().map(|process| process.pid),
            State::Stopped | State::Ended(_) => None,
        }
    }
    /// In words: `running`, `ended by signal 9, 5 s ago`.
    pub fn describe(&self) -> String {
        match self {
            State::Ended(Record { ended: Some((how, when)), .. }) => {
                let ago = when.elapsed().unwrap_or_default();
                format!("{how}, {} ago", crate::ui::age(ago))
            }
            State::Ended(_) => "ended, nobody saw how".to_owned(),
            State::Unkept(_) => "running without its keeper".to_owned(),
            other => other.name().to_owned(),
        }
    }
}

/// Starts a unit. The caller has stopped what ran before ([`stop`]); when a keeper is at work all the same, it is an error.
/// Returns as soon as the process runs; whether it is ready is the caller's question.
pub fn start(unit: &Unit) -> Result<Record> {
    let run_id = os::random_hex(8)?;
    let order = json!({
        "name": unit.name,
        "program": unit.program,
        "args": unit.args,
        "dir": unit.dir.as_str(),
        "env": unit.env,
        "secrets": unit.secrets,
        "run_id": run_id,
        "port": unit.port,
        "fingerprint": unit.fingerprint,
        "stop_signal": unit.stop_signal.name(),
        "grace_ms": u64::try_from(unit.grace.as_millis()).unwrap_or(u64::MAX),
        "record": unit.files.record.as_str(),
        "lock": unit.files.lock.as_str(),
        "log": unit.files.log.as_str(),
    });
    let mut command = std::process::Command::new(guard::program()?);
    command.arg(keeper::VERB).arg(&unit.name).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut keeper = command.spawn().with_context(|| format!("failed to start the keeper of {}", unit.name))?;
    let mut stdin = keeper.stdin.take().context("the keeper has no stdin")?;
    stdin.write_all(order.to_string().as_bytes()).with_context(|| format!("failed to order {}", unit.name))?;
    drop(stdin);
    let mut answer = String::new();
    BufReader::new(keeper.stdout.take().context("the keeper has no stdout")?).read_line(&mut answer)?;
    match answer.trim().split_once(' ') {
        Some(("error", why)) => {
            let failure = Failure::failed(format!("failed to start {}: {why}", unit.name));
            Err(match files::hint_in(why) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
            .into())
        }
        Some(("started", _)) => {
            Record::read(&unit.files).with_context(|| format!("the record of {} is gone", unit.name))
        }
        _ => bail!("the keeper of {} ended without an answer", unit.name),
    }
}

/// Stops a unit: its signal, its grace, then KILL for whatever is left of its session. Waits until all of it is gone.
/// What is not running is no error.
pub fn stop(files: &UnitFiles) -> Result<()> {
    // A keeper that is just starting has the lock but has not written its record yet.
    os::wait_until(KILL_PATIENCE, || match Record::read(files) {
        Some(record) => record.process.is_some() || !record.keeper.is_alive(),
        // Records are replaced in one step, so one that is there and cannot be read will not get better.
        None => files.record.exists() || !Lock::is_held(&files.lock),
    });
    let Some(record) = Record::read(files) else { return stop_unrecorded(files) };
    let session = Session { record: &record };
    if let Some(process) = record.process.as_ref().filter(|process| process.is_alive()) {
        if record.stop_signal == Signal::Term {
            os::signal_group(process.pid, Signal::Term);
        } else {
            os::signal(process.pid, record.stop_signal);
        }
        os::wait_until(record.grace, || !process.is_alive() && session.members().is_empty());
    }
    let started = Instant::now();
    loop {
        let left = session.members();
        if left.is_empty() && !record.keeper.is_alive() {
            break;
        }
        if started.elapsed() > KILL_PATIENCE {
            let pids: Vec<String> = left.iter().map(u32::to_string).collect();
            bail!(
                "failed to end all of {}: still there: {}",
                files.record.file_stem().unwrap_or_default(),
                pids.join(", ")
            );
        }
        left.iter().for_each(|pid| os::signal(*pid, Signal::Kill));
        if left.is_empty() && started.elapsed() > KILL_PATIENCE / 5 && record.keeper.is_alive() {
            os::signal(record.keeper.pid, Signal::Kill);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    files::remove(&files.record)
}

/// Stops a unit whose keeper is at work without a record that can be read: its session has to do.
fn stop_unrecorded(files: &UnitFiles) -> Result<()> {
    let session = session_of(files);
    let members = || -> Vec<u32> {
        let of_session = |facts: &os::ProcessFacts| Some(facts.session) == session && !facts.is_zombie;
        let processes = os::processes().into_iter().filter(of_session).map(|facts| facts.pid);
        processes.filter(|pid| Some(*pid) != session).collect()
    };
    members().iter().for_each(|pid| os::signal(*pid, Signal::Term));
    os::wait_until(KILL_PATIENCE, || members().is_empty());
    members().iter().chain(&session).for_each(|pid| os::signal(*pid, Signal::Kill));
    if !os::wait_until(KILL_PATIENCE, || members().is_empty() && !Lock::is_held(&files.lock)) {
        bail!("failed to end all of {}", files.record.file_stem().unwrap_or_default());
    }
    files::remove(&files.record)
}

/// The session in which a unit's processes run, which is its keeper's pid: by its record, or where that is gone or torn by
/// the lock that the keeper holds.
pub fn session_of(files: &UnitFiles) -> Option<u32> {
    let recorded = Record::read(files).map(|record| record.keeper.pid);
    recorded.or_else(|| Lock::holder(&files.lock))
}

/// The session of one start, whose leader is the keeper.
struct Session<'a> {
    record: &'a Record,
}

impl Session<'_> {
    /// Everything in the session but the keeper, and what left the session but carries this start's mark. With the
    /// keeper gone its number could belong to somebody else's session, so then only the mark counts.
    fn members(&self) -> Vec<u32> {
        let keeper = &self.record.keeper;
        if keeper.boot_id != os::boot_id() {
            return Vec::new();
        }
        let kept = keeper.is_alive();
        let is_marked = |pid: u32| os::environment_of(pid, RUN_ID).as_deref() == Some(&self.record.run_id);
        let belongs = |facts: &os::ProcessFacts| (kept && facts.session == keeper.pid) || is_marked(facts.pid);
        let processes = os::processes().into_iter().filter(|facts| facts.pid != keeper.pid && !facts.is_zombie);
        processes.filter(belongs).map(|facts| facts.pid).collect()
    }
}

/// The last lines of a log, oldest first.
pub fn last_lines(log: &Utf8Path, count: usize) -> Vec<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(1024 * 1024);
    let text = String::from_utf8_lossy(&bytes[start..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}
