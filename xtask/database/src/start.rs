//! From whatever the last run left to a server that answers: leftovers ended, the cluster made if there is none, its
//! settings written, the postmaster started under its keeper.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::binaries::Binaries;
use super::place::{self, Place};
use super::probe;
use base::processes::process::{self, State, Unit, UnitFiles};
use base::tools::files::{self, Lock};
use base::tools::os::{self, Signal};
use base::ui::{Failure, Step};
use base::workspace::{Workspace, entries};

/// How long a server may take to answer; recovery after a crash is part of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long leftovers have between the request to end and the end.
const GRACE: Duration = Duration::from_secs(5);
/// How many lines of the log a failure shows.
const LOG_LINES: usize = 20;
/// Our settings, beside PostgreSQL's own, which include it.
const SETTINGS: &str = "ops.conf";

/// What is to be started.
pub struct Order<'a> {
    pub workspace: &'a Workspace,
    pub binaries: &'a Binaries,
    pub folder: &'a Utf8Path,
    pub sockets: &'a Utf8Path,
    /// Stands in the title of each of its processes.
    pub mark: &'a str,
    pub settings: &'a str,
    pub fingerprint: String,
    pub files: UnitFiles,
    /// Nothing is lost when its files are.
    pub is_test: bool,
}

/// Starts the server and waits until it answers. Nothing of it runs: the caller has stopped it.
pub fn start(order: &Order<'_>, step: &Step) -> Result<()> {
    if !os::wait_until(GRACE, || !Lock::is_held(&order.files.lock)) {
        let failure = Failure::busy("the database runs under a keeper that this run cannot see");
        return Err(failure.hint("a container or another machine may use the same folder: stop it there").into());
    }
    let place = place::choose(order.binaries, order.folder)?;
    let data = place.home.join("data");
    let mut half_made = entries(&place.home);
    half_made.retain(|path| path.as_str().ends_with(".new"));
    files::remove_half_made(&half_made);
    if !data.is_dir() {
        step.detail("making the cluster");
        initdb(order, &place, &data)?;
    }
    let owner = data.metadata().with_context(|| format!("failed to read `{data}`"))?.uid();
    if owner != place.runner.owner() {
        let message = format!("`{data}` belongs to the user with id {owner}");
        return Err(Failure::failed(message).hint("run it as that user, or remove it as that user").into());
    }
    place::socket_folder(order.sockets, place.runner)?;
    files::write(&data.join(SETTINGS), order.settings, 0o644)?;
    // Nothing of this cluster runs, so whatever has the number in it now is somebody else.
    files::remove(&data.join("postmaster.pid"))?;
    for path in entries(order.sockets) {
        files::remove(&path)?;
    }
    step.detail("starting");
    let before = files::size(&order.files.log);
    process::start(&unit(order, &place, &data)?)?;
    wait(order, before, step)
}

fn unit(order: &Order<'_>, place: &Place, data: &Utf8Path) -> Result<Unit> {
    let (program, mut args) = place.runner.wrap(&place.bin.join("postgres"))?;
    args.extend(["-D".to_owned(), data.to_string(), "-c".to_owned(), format!("cluster_name={}", order.mark)]);
    Ok(Unit {
        name: base::workspace::service::DATABASE.to_owned(),
        program: program.to_string(),
        args,
        dir: place.home.clone(),
        env: place::environment(),
        secrets: Vec::new(),
        port: None,
        stop_signal: if order.is_test { Signal::Quit } else { Signal::Int },
        grace: Duration::from_secs(30),
        fingerprint: order.fingerprint.clone(),
        files: order.files.clone(),
    })
}

/// `before` is the size that the log had when the server was started.
fn wait(order: &Order<'_>, before: u64, step: &Step) -> Result<()> {
    let mut ended = false;
    let up = os::wait_until(PATIENCE, || {
        let answer = probe::probe(order.sockets, "postgres", "postgres");
        if let probe::Answer::Refused { message, .. } = &answer {
            step.detail(message);
        }
        ended = !matches!(State::look(&order.files), State::Running(_));
        answer.is_up() || ended
    });
    if up && !ended {
        return Ok(());
    }
    let how = if ended { "ended at once" } else { "does not answer" };
    let log = &order.files.log;
    if ended {
        // The keeper is the one that writes the log, and ends after the last line.
        os::wait_until(GRACE, || !Lock::is_held(&order.files.lock));
    }
    let mut text = format!("the database was started, but {how}; the end of {}:", order.workspace.relative(log));
    for line in lines_since(log, before) {
        text.push_str(&format!("\n  | {line}"));
    }
    Err(Failure::failed(text).hint("see `cargo xtask services logs database`").into())
}

/// The last lines that were added to a log.
fn lines_since(log: &Utf8Path, before: u64) -> Vec<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    // A log that was rotated meanwhile is shorter.
    let start = usize::try_from(before).ok().filter(|start| *start <= bytes.len()).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[start..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Makes the cluster under another name, and gives it its name when it is complete.
fn initdb(order: &Order<'_>, place: &Place, data: &Utf8Path) -> Result<()> {
    let suffix = os::random_hex(4).context("failed to read /dev/urandom")?;
    let half = place.home.join(format!("data.{suffix}.new"));
    let made = make(order, place, &half, "C.UTF-8").or_else(|error| {
        // Old libraries lack C.UTF-8.
        if format!("{error:#}").contains("locale name") { make(order, place, &half, "C") } else { Err(error) }
    });
    let made = made.and_then(|()| {
        let path = half.join("postgresql.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path)?;
        writeln!(file, "\n# Settings of `cargo xtask`, written anew at each start.\ninclude = '{SETTINGS}'")?;
        drop(file);
        if !order.is_test {
            files::sync_tree(&half)?;
        }
        files::rename(&half, data)
    });
    if made.is_err() {
        // Best effort: the next run removes it as well.
        let _removed = files::remove(&half);
    }
    made
}

fn make(order: &Order<'_>, place: &Place, folder: &Utf8Path, locale: &str) -> Result<()> {
    let mut args = vec!["--username=postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"];
    let locale = format!("--locale={locale}");
    args.extend([locale.as_str(), "--text-search-config=simple", "--no-instructions"]);
    if order.binaries.major >= 17 {
        // The same order on every machine, whatever its libraries.
        args.extend(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    }
    // It syncs a thousand files one by one; here several wait for the disk at a time.
    args.push("--no-sync");
    let cmd = place::for_initdb(place.runner).cmd(&place.bin.join("initdb"))?;
    let output = cmd.args(["-D", folder.as_str()]).args(args).dir(&place.home).output()?;
    if output.ok() {
        return Ok(());
    }
    if output.stderr.contains("No space left on device") {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        return Err(anyhow::Error::new(full).context("failed to make the database's cluster"));
    }
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    bail!("failed to make the database's cluster: {}", lines.join("; "))
}

/// Ends what still runs of a cluster although nothing should: a postmaster that lost its record, or backends whose
/// postmaster was killed. Only processes that carry the cluster's mark count.
pub fn end_leftovers(mark: &str) -> Result<()> {
    let left = leftovers(mark);
    if left.is_empty() {
        return Ok(());
    }
    for pid in &left {
        os::signal(*pid, Signal::Int);
    }
    if os::wait_until(GRACE, || leftovers(mark).is_empty()) {
        return Ok(());
    }
    for pid in leftovers(mark) {
        os::signal(pid, Signal::Kill);
    }
    if os::wait_until(GRACE, || leftovers(mark).is_empty()) {
        return Ok(());
    }
    let pids: Vec<String> = leftovers(mark).iter().map(u32::to_string).collect();
    bail!("failed to end what is left of an earlier database: {}", pids.join(", "))
}

/// Processes of a cluster: the postmaster by its arguments, the others by the title that they give themselves.
fn leftovers(mark: &str) -> Vec<u32> {
    let owners = place::owners();
    let is_ours = |pid: &u32| {
        let owner = std::fs::metadata(Utf8PathBuf::from(format!("/proc/{pid}"))).map(|facts| facts.uid());
        if !owner.is_ok_and(|owner| owners.contains(&owner)) {
            return false;
        }
        let arguments = os::arguments(*pid);
        let is_postmaster = arguments.iter().any(|argument| *argument == format!("cluster_name={mark}"));
        is_postmaster || arguments.first().is_some_and(|title| title.starts_with(&format!("postgres: {mark}: ")))
    };
    let alive = os::processes().into_iter().filter(|process| !process.is_zombie);
    alive.map(|process| process.pid).filter(is_ours).collect()
}
