//! The keeper: `xtask keep NAME` leads the session of one unit. It writes the unit's record, starts the process, moves
//! its output into the log (rotated, secrets masked), and writes down how it ended. It lives as long as the process.
//!
//! Its order comes through stdin, so that secrets are neither in argv nor on disk; its one answer goes to stdout. It
//! holds a lock that its process does not inherit: whoever finds the lock free knows that no keeper is at work.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::process::{Identity, RUN_ID, Record, UnitFiles};
use crate::tools::files::{self, Lock};
use crate::tools::os::{self, Signal};
use crate::ui::redact;

/// The hidden verb; main hands it over before it reads flags.
pub const VERB: &str = "keep";
/// A log is rotated at this size…
const LOG_SIZE: u64 = 10 * 1024 * 1024;
/// … and this many old ones are kept beside it, `.1` the newest.
const LOG_COUNT: usize = 3;

/// The keeper's whole life.
pub fn run() -> ExitCode {
    match keep() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{error:#}").replace('\n', " ");
            // Whoever ordered may be gone; then nobody is left to tell.
            let _written = writeln!(std::io::stdout(), "error {line}");
            ExitCode::FAILURE
        }
    }
}

fn keep() -> Result<()> {
    let mut order = String::new();
    std::io::stdin().read_to_string(&mut order)?;
    let order: Value = serde_json::from_str(&order).context("the order is torn")?;
    let text = |key: &str| order[key].as_str().map(str::to_owned).with_context(|| format!("the order has no {key}"));
    let texts = |key: &str| order[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let path = |key: &str| text(key).map(Utf8PathBuf::from);
    let files = UnitFiles { record: path("record")?, lock: path("lock")?, log: path("log")? };
    os::new_session().context("failed to make a session")?;
    // Every path of the order is absolute; the folder of whoever gave it must not be held.
    let own = files.record.parent().context("the record lies nowhere")?;
    files::make_folder(own)?;
    std::env::set_current_dir(own).context("failed to leave the current folder")?;
    // A keeper of an earlier start that is just ending still has it for a moment.
    let _lock = Lock::take(&files.lock, &text("name")?, Duration::from_millis(500))?;
    let keeper = Identity::of(std::process::id()).context("failed to read /proc")?;
    let mut record = Record {
        keeper,
        process: None,
        run_id: text("run_id")?,
        port: order["port"].as_u64().and_then(|port| u16::try_from(port).ok()),
        fingerprint: text("fingerprint")?,
        stop_signal: Signal::from_name(&text("stop_signal")?).context("unknown stop signal")?,
        grace: Duration::from_millis(order["grace_ms"].as_u64().unwrap_or(10_000)),
        started_at: SystemTime::now(),
        ended: None,
    };
    record.write(&files)?;
    let mut secrets: Vec<String> = texts("secrets").flat_map(|secret| redact::forms(&secret)).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let log = Arc::new(Mutex::new(Log::open(&files.log, secrets)?));

    let env = order["env"].as_array().into_iter().flatten();
    let env = env.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())));
    let mut child = Command::new(text("program")?)
        .args(texts("args"))
        .current_dir(path("dir")?)
        .env_clear()
        .envs(env)
        .env(RUN_ID, &record.run_id)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to run `{}`", order["program"].as_str().unwrap_or_default()))?;
    record.process = Identity::of(child.id());
    record.write(&files)?;
    let _written = writeln!(std::io::stdout(), "started {}", child.id());
    close_standard_streams();

    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
    ];
    let pumps: Vec<_> = streams
        .into_iter()
        .flatten()
        .map(|stream| {
            std::thread::spawn({
                let log = Arc::clone(&log);
                move || pump(stream, &log)
            })
        })
        .collect();
    let status = child.wait().context("failed to wait for the process")?;
    record.ended = Some((describe(status), SystemTime::now()));
    // `stop` removes the record of what it stops, after this keeper is gone; a full disk leaves the older record, which
    // still tells that the process is not there.
    let _written = if files.record.exists() { record.write(&files) } else { Ok(()) };
    // What the process left behind in its group still holds the pipes; it is not wanted without its leader.
    os::signal_group(child.id(), Signal::Kill);
    for pump in pumps {
        os::wait_until(Duration::from_secs(1), || pump.is_finished());
    }
    Ok(())
}

/// "exited with 1", "ended by signal 9".
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Lets go of the pipes to whoever gave the order, so that it does not wait for this process.
fn close_standard_streams() {
    os::redirect_to_null(&[0, 1, 2]);
}

fn pump(stream: impl Read, log: &Mutex<Log>) {
    // The end of the stream, or an error that means the same.
    let _end = crate::tools::cmd::for_each_line(stream, |line| {
        log.lock().unwrap_or_else(PoisonError::into_inner).write(line);
    });
}

/// A log file that is rotated by size.
struct Log {
    path: Utf8PathBuf,
    file: File,
    size: u64,
    secrets: Vec<String>,
}

impl Log {
    fn open(path: &Utf8Path, secrets: Vec<String>) -> Result<Log> {
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        let file = Log::append_to(path).with_context(|| format!("failed to open log `{path}`"))?;
        let size = file.metadata().map_or(0, |facts| facts.size());
        Ok(Log { path: path.to_owned(), file, size, secrets })
    }

    fn append_to(path: &Utf8Path) -> std::io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)
    }

    fn write(&mut self, line: &str) {
        let line = format!("{}\n", redact::mask_with(line, &self.secrets));
        if self.size + line.len() as u64 > LOG_SIZE && self.size > 0 {
            self.rotate();
        }
        // A full disk loses log lines and must not end the service.
        if self.file.write_all(line.as_bytes()).is_ok() {
            self.size += line.len() as u64;
        }
    }

    fn rotate(&mut self) {
        for index in (1..LOG_COUNT).rev() {
            let _moved = std::fs::rename(self.old(index), self.old(index + 1));
        }
        let _moved = std::fs::rename(&self.path, self.old(1));
        if let Ok(file) = Log::append_to(&self.path) {
            self.file = file;
            self.size = 0;
        }
    }

    fn old(&self, index: usize) -> Utf8PathBuf {
        Utf8PathBuf::from(format!("{}.{index}", self.path))
    }
}
