//! The guard: `xtask guard PARENT PROGRAM ARGS…` runs a program in a process group of its own and ends that whole group
//! when the parent is gone, so that a killed task leaves nothing running. It forwards the exit code.
//!
//! A parent-death signal would be simpler, but fires when a thread ends and does not reach grandchildren.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use super::os::{self, Signal};

/// The hidden verb; main hands it over before it reads flags.
pub const VERB: &str = "guard";
/// How long the group has between the request to end and the end.
const GRACE: Duration = Duration::from_secs(2);
/// How often the guard looks whether its parent is still there.
const WATCH: Duration = Duration::from_millis(50);

/// This very program, also when its file has been replaced by a newer build meanwhile.
pub fn program() -> Result<Utf8PathBuf> {
    let path = std::env::current_exe().context("failed to find this program's own file")?;
    let path = Utf8PathBuf::from_path_buf(path).map_err(|path| anyhow::anyhow!("`{}` is not UTF-8", path.display()))?;
    Ok(if path.exists() { path } else { Utf8PathBuf::from("/proc/self/exe") })
}

/// The arguments that put `program` under the guard of this process.
pub fn arguments<'a>(program: &'a str, args: &'a [String]) -> impl Iterator<Item = String> + 'a {
    [VERB.to_owned(), std::process::id().to_string(), program.to_owned()].into_iter().chain(args.iter().cloned())
}

/// Ends guarded children of this process: the guards get the request and pass it on.
pub fn end(guards: &[u32]) {
    for guard in guards {
        for child in os::processes().into_iter().filter(|process| process.parent == *guard) {
            os::signal_group(child.pid, Signal::Kill);
        }
        os::signal(*guard, Signal::Kill);
    }
}

/// The guard's whole life.
pub fn run(mut args: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let parent = args.next().and_then(|pid| pid.to_str()?.parse::<u32>().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else { return ExitCode::from(2) };
    if std::os::unix::process::parent_id() != parent {
        return ExitCode::from(1);
    }
    let child = Command::new(&program).args(args).process_group(0).spawn();
    let Ok(mut child) = child else { return ExitCode::from(127) };
    let group = child.id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(WATCH);
        }
        os::signal_group(group, Signal::Term);
        std::thread::sleep(GRACE);
        os::signal_group(group, Signal::Kill);
        std::process::exit(1);
    });
    let code = child.wait().map_or(1, super::cmd::code_of);
    if std::os::unix::process::parent_id() != parent {
        // What the child started in its group may outlive it; nobody is left to want it.
        os::signal_group(group, Signal::Kill);
    }
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The second hidden verb: `xtask after PARENT ARGS…` waits until the parent is gone, then runs `xtask ARGS…`.
pub const AFTER_VERB: &str = "after";

/// Arranges that `xtask ARGS…` runs when this process is gone, however it ends.
pub fn after_this_process(args: &[String], log: std::process::Stdio) -> Result<()> {
    let mut command = Command::new(program()?);
    command.arg(AFTER_VERB).arg(std::process::id().to_string()).args(args).process_group(0);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(log);
    command.spawn().context("failed to start the watcher of this run")?;
    Ok(())
}

/// The watcher's whole life.
pub fn run_after(mut args: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let parent = args.next().and_then(|pid| pid.to_str()?.parse::<u32>().ok());
    let Some(parent) = parent else { return ExitCode::from(2) };
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(WATCH);
    }
    let Ok(program) = program() else { return ExitCode::from(1) };
    let status = Command::new(program).args(args).status();
    ExitCode::from(status.map_or(1, |status| u8::try_from(super::cmd::code_of(status)).unwrap_or(1)))
}
