//! kill -9 at any moment, of anything: the next run ends green, with no orphan and no second copy. And a process is
//! known by more than its number: a stranger that has it now is left alone.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{PYTHON, Sandbox, is_alive, kill, wait};

/// Kills `services start` after each delay and demands that the next run heals everything.
fn kill_start_after(delays: impl Iterator<Item = u64>, prepare: impl Fn(&Sandbox, u64)) {
    let sandbox = Sandbox::with_two_services();
    sandbox.xtask("services start").exits(0);
    let mut killed = 0;
    for delay in delays {
        prepare(&sandbox, delay);
        let mut start = sandbox.command(&["services", "start"]).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        killed += u32::from(!start.is_over());
        start.kill();
        let next = sandbox.xtask("services start");
        assert_eq!(next.code, Some(0), "killed after {delay} ms: {next}\n{:#?}", sandbox.processes());
        sandbox.assert_one_copy_of(&["alpha", "beta"]);
        sandbox.xtask("health").exits(0);
    }
    assert!(killed >= 4, "only {killed} runs were still at work when they were killed");
    sandbox.xtask("services stop").exits(0);
    assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
    let halves: Vec<_> = sandbox.files().into_iter().filter(|file| file.to_string_lossy().ends_with(".new")).collect();
    assert!(halves.len() <= 2, "halves of killed writes pile up: {halves:?}");
}

#[test]
fn start_from_nothing_is_killed_at_many_moments() {
    kill_start_after([5, 60, 130, 220, 330, 450, 600, 800].into_iter(), |sandbox, _| {
        sandbox.xtask("services stop").exits(0);
    });
}

#[test]
fn start_after_a_change_is_killed_at_many_moments() {
    kill_start_after([30, 90, 170, 270, 390, 520, 700].into_iter(), |sandbox, delay| {
        sandbox.write("services/alpha/server.py", format!("# {delay}\n{PYTHON}"));
        sandbox.write("services/beta/more.js", format!("// {delay}\n"));
    });
}

#[test]
fn stop_is_killed_at_many_moments() {
    let sandbox = Sandbox::with_two_services();
    for delay in [2, 20, 50, 90] {
        sandbox.xtask("services start").exits(0);
        let mut stop = sandbox.command(&["services", "stop"]).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        stop.kill();
        sandbox.xtask("services start").exits(0);
        sandbox.assert_one_copy_of(&["alpha", "beta"]);
        sandbox.xtask("services stop").exits(0);
        assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
    }
}

#[test]
fn a_service_without_its_keeper_is_replaced() {
    let sandbox = Sandbox::with_two_services();
    sandbox.xtask("services start").exits(0);
    let (alpha, beta) = (sandbox.pid("alpha"), sandbox.pid("beta"));
    kill(sandbox.keeper("alpha"));
    assert_eq!(sandbox.status("alpha")["state"], "unkept");
    sandbox
        .xtask("services start --plan")
        .exits(3)
        .prints("alpha  restart: its keeper is gone\nbeta   runs as it should");
    sandbox.xtask("services start").exits(0);
    assert!(!is_alive(alpha) && sandbox.pid("alpha") != alpha && sandbox.pid("beta") == beta);
    sandbox.assert_one_copy_of(&["alpha", "beta"]);
    kill(sandbox.keeper("beta"));
    sandbox.xtask("services stop").exits(0);
    assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
    // Keeper and service at once, as the kernel does when memory runs out.
    sandbox.xtask("services start").exits(0);
    kill(sandbox.keeper("alpha"));
    kill(sandbox.pid("alpha"));
    sandbox.xtask("health").exits(3).prints("alpha  DOWN  not running: ended, nobody saw how");
    sandbox.xtask("services start").exits(0);
    sandbox.assert_one_copy_of(&["alpha", "beta"]);
}

/// A process of somebody else that leads a session of its own, with a child in it.
struct Stranger(Child);

impl Stranger {
    fn new() -> Stranger {
        let mut command = Command::new("setsid");
        command.args(["--wait", "sh", "-c", "sleep 1000 & sleep 1000"]).stdin(Stdio::null()).stdout(Stdio::null());
        command.process_group(0);
        Stranger(command.spawn().unwrap())
    }
    /// The leader of the session, once it is there.
    fn leader(&self) -> u32 {
        let mut leader = None;
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        wait(Duration::from_secs(10), || {
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            leader = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
            leader.is_some()
        });
        leader.unwrap_or_else(|| self.0.id())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let leader = self.leader();
        let children = std::fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).unwrap_or_default();
        for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([leader]) {
            kill(pid);
        }
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
}

#[test]
fn a_stranger_with_a_recycled_pid_is_not_touched() {
    let sandbox = Sandbox::with_two_services();
    let stranger = Stranger::new();
    let pid = stranger.leader();
    for what in ["another start time", "another boot"] {
        let edit = |identity: &mut Value| {
            let other_time = what == "another start time";
            identity["pid"] = pid.into();
            identity["start_time"] = (start_time(pid) + u64::from(other_time)).into();
            if !other_time {
                identity["boot_id"] = "00000000-0000-0000-0000-000000000000".into();
            }
        };
        sandbox.xtask("services start").exits(0);
        // As after a loss of power: the processes are gone, the record is not, and the number belongs to another.
        let (alpha, keeper) = (sandbox.pid("alpha"), sandbox.keeper("alpha"));
        kill(keeper);
        kill(alpha);
        sandbox.edit_record("alpha", |record| {
            record["ended"] = Value::Null;
            edit(&mut record["process"]);
            edit(&mut record["keeper"]);
        });
        assert_ne!(sandbox.status("alpha")["state"], "running", "{what}");
        sandbox.xtask("health").exits(3).prints("alpha  DOWN");
        sandbox.xtask("services start").exits(0);
        assert!(is_alive(pid), "{what}: start killed a stranger");
        sandbox.assert_one_copy_of(&["alpha", "beta"]);
        kill(sandbox.keeper("alpha"));
        kill(sandbox.pid("alpha"));
        sandbox.edit_record("alpha", |record| {
            edit(&mut record["process"]);
            edit(&mut record["keeper"]);
        });
        sandbox.xtask("services stop").exits(0);
        assert!(is_alive(pid), "{what}: stop killed a stranger");
        assert!(sandbox.processes().is_empty());
    }
}

#[test]
fn a_record_that_cannot_be_read_leads_to_no_second_copy() {
    for torn in ["", "{\"keeper\": {\"pid\": 1}}"] {
        let sandbox = Sandbox::with_two_services();
        sandbox.xtask("services start").exits(0);
        let (alpha, beta) = (sandbox.pid("alpha"), sandbox.pid("beta"));
        std::fs::write(sandbox.record("alpha"), torn).unwrap();
        sandbox.xtask("services").exits(0);
        let start = sandbox.xtask("services start");
        assert_eq!(start.code, Some(0), "{torn:?}: {start}");
        sandbox.assert_one_copy_of(&["alpha", "beta"]);
        assert!(!is_alive(alpha) && is_alive(beta), "{torn:?}");
        std::fs::write(sandbox.record("beta"), torn).unwrap();
        sandbox.xtask("services stop").exits(0);
        assert!(sandbox.processes().is_empty(), "{torn:?}: {:#?}", sandbox.processes());
    }
}
