//! Services that do not behave, and machines that cannot do what is asked: a clear error with what to do, the right exit
//! code, nothing half-made.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::sandbox::{NODE, PYTHON, Sandbox, fake_program, is_alive, is_root, skip, wait};

#[test]
fn a_service_that_ends_at_once_is_named_with_what_it_said() {
    let mut sandbox = Sandbox::new();
    sandbox.python("alpha", &[], "import sys\nprint('no configuration found', file=sys.stderr)\nsys.exit(3)\n");
    sandbox.node("beta", &["alpha"], NODE);
    let run = sandbox.xtask("services start").exits(1);
    run.says("error: alpha did not stay up: it exited with 3")
        .says("\n  | no configuration found")
        .says("hint: see `cargo xtask services logs alpha`")
        .says("failed service alpha")
        .says_nothing_of("service beta");
    assert!(sandbox.processes().is_empty());
    sandbox.xtask("health").exits(3).prints("alpha  DOWN  not running: exited with 3").prints("beta   DOWN");
    sandbox.write("services/alpha/server.py", PYTHON);
    sandbox.xtask("services start").exits(0);
    sandbox.assert_one_copy_of(&["alpha", "beta"]);
}

#[test]
fn a_service_that_never_becomes_ready_is_named_with_its_last_answer() {
    let mut sandbox = Sandbox::new();
    let warming = PYTHON
        .replace("200 OK\\r\\nContent-Length: 2", "503 No\\r\\nContent-Length: 10")
        .replace("ok\")", "warming up\")");
    sandbox.python("alpha", &[], &warming);
    let started = Instant::now();
    let run = sandbox.xtask("services start --wait 1").exits(1);
    run.says("error: alpha was not ready within 1.0 s; its last answer to the readiness probe: status 503: warming up");
    assert!(started.elapsed() < Duration::from_secs(30));
    sandbox.xtask("health").exits(3).prints("alpha  DOWN  liveness probe: status 503: warming up");
    sandbox.xtask("health --wait 1").exits(3);
    sandbox.write("services/alpha/server.py", PYTHON);
    sandbox.xtask("services start").exits(0);
    sandbox.assert_one_copy_of(&["alpha"]);
    // One that does not even listen.
    sandbox.write("services/alpha/server.py", "import time\ntime.sleep(1000)\n");
    sandbox.xtask("services start --wait=1").exits(1).says("alpha was not ready within 1.0 s");
    sandbox.xtask("services stop").exits(0);
    assert!(sandbox.processes().is_empty());
}

#[test]
fn a_service_that_ignores_the_request_to_end_is_ended() {
    let mut sandbox = Sandbox::new();
    sandbox.python("alpha", &[], &format!("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{PYTHON}"));
    sandbox.xtask("services start").exits(0);
    sandbox.xtask("services stop").exits(0).says("ok     stop alpha");
    assert!(sandbox.processes().is_empty());
}

/// Starts helpers that hold on: one in the service's group, one in a group of its own, one in a session of its own.
const WITH_HELPERS: &str = r#"import os, time
def helper(leave):
    if os.fork() == 0:
        leave()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
for leave in (lambda: None, lambda: os.setpgid(0, 0), os.setsid):
    helper(leave)
"#;

#[test]
fn what_a_service_leaves_behind_goes_with_it() {
    let mut sandbox = Sandbox::new();
    sandbox.python("alpha", &[], &format!("{WITH_HELPERS}{PYTHON}"));
    let helpers = |sandbox: &Sandbox| {
        let main = sandbox.pid("alpha");
        let processes = sandbox.processes();
        let of_alpha = processes.iter().filter(|process| process.dir == sandbox.path("services/alpha"));
        of_alpha.map(|process| process.pid).filter(|pid| *pid != main).collect::<Vec<_>>()
    };
    sandbox.xtask("services start").exits(0);
    assert!(wait(Duration::from_secs(20), || helpers(&sandbox).len() == 3), "{:#?}", sandbox.processes());
    let first = helpers(&sandbox);
    // It dies; what it left is ended before it is started anew.
    sandbox.kill_service("alpha");
    sandbox.xtask("services start").exits(0);
    assert!(first.iter().all(|pid| !is_alive(*pid)), "orphans: {:#?}", sandbox.processes());
    assert!(wait(Duration::from_secs(20), || helpers(&sandbox).len() == 3), "{:#?}", sandbox.processes());
    let second = helpers(&sandbox);
    sandbox.xtask("services restart").exits(0);
    assert!(second.iter().all(|pid| !is_alive(*pid)), "orphans: {:#?}", sandbox.processes());
    sandbox.xtask("services stop").exits(0);
    assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
}

#[test]
fn a_flood_is_rotated_and_no_line_is_lost() {
    let mut sandbox = Sandbox::new();
    let flood =
        "import sys\nfor number in range(260000):\n    sys.stdout.write(f'{number:0100}\\n')\nsys.stdout.flush()\n";
    sandbox.python("alpha", &[], &format!("{flood}{PYTHON}"));
    sandbox.xtask("services start").exits(0);
    assert!(wait(Duration::from_secs(30), || sandbox.log("alpha").contains("listening")));
    let mut text = String::new();
    for old in [".2", ".1", ""] {
        let part = sandbox.read(format!(".ops/logs/dev/alpha.log{old}"));
        assert!(part.len() <= 10 * 1024 * 1024 && part.ends_with('\n'), "{old}: {}", part.len());
        text.push_str(&part);
    }
    let numbers: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(0..260_000), "{} lines, from {:?}", numbers.len(), numbers.first());
    let mode = sandbox.path(".ops/logs/dev/alpha.log").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    sandbox.xtask("services logs alpha -n 1").exits(0).prints("alpha  listening");
}

/// A PATH with just these programs of the machine, and the fakes.
fn only(sandbox: &Sandbox, programs: &[&str], fakes: &[(&str, &str)]) -> std::path::PathBuf {
    let folder = sandbox.path(format!("../bin {}", programs.join(" ")));
    std::fs::create_dir_all(&folder).unwrap();
    for program in programs {
        let paths = std::env::var("PATH").unwrap();
        let found = paths.split(':').map(|place| std::path::Path::new(place).join(program)).find(|path| path.is_file());
        // cargo need not be in PATH.
        let Some(found) = found else { continue };
        // python3 may be a shim that needs more of PATH than there will be.
        let real = match *program {
            "python3" => {
                let ask =
                    std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
                String::from_utf8_lossy(&ask.unwrap().stdout).trim().into()
            }
            _ => found,
        };
        std::os::unix::fs::symlink(real, folder.join(program)).unwrap();
    }
    for (name, script) in fakes {
        fake_program(&folder, name, script);
    }
    folder
}

const TOOLS: [&str; 8] = ["sh", "git", "curl", "node", "npm", "python3", "env", "cargo"];

#[test]
fn a_missing_tool_is_named_with_how_to_get_it_and_nothing_is_touched() {
    for missing in ["curl", "node", "python3"] {
        let sandbox = Sandbox::with_two_services();
        let rest: Vec<&str> = TOOLS.into_iter().filter(|tool| *tool != missing).collect();
        let path = only(&sandbox, &rest, &[]);
        let run = sandbox.command(&["services", "start"]).env("PATH", &path).run();
        run.exits(4).says(&format!("`{missing}` is not installed, or not in PATH")).says("hint: install ");
        assert!(sandbox.processes().is_empty(), "{missing}: {:#?}", sandbox.processes());
    }
    for missing in ["git", "curl", "node", "npm", "python3"] {
        let sandbox = Sandbox::with_two_services();
        std::fs::remove_file(sandbox.path("config/environments/.env.dev")).unwrap();
        let rest: Vec<&str> = TOOLS.into_iter().filter(|tool| *tool != missing).collect();
        let path = only(&sandbox, &rest, &[]);
        let run = sandbox.command(&["setup"]).env("PATH", &path).run().exits(4);
        run.says(&format!("error: {missing}: not installed, or not in PATH"))
            .says("hint: install ")
            .says("error: this machine is not ready: ")
            .says("; nothing was touched");
        assert!(!sandbox.path("config/environments/.env.dev").exists() && sandbox.processes().is_empty());
        sandbox.command(&["doctor"]).env("PATH", &path).run().exits(3).prints("PROBLEM");
    }
}

#[test]
fn a_tool_that_is_too_old_or_broken_is_named() {
    let sandbox = Sandbox::with_two_services();
    let rest: Vec<&str> = TOOLS.into_iter().filter(|tool| *tool != "node").collect();
    let path = only(&sandbox, &rest, &[("node", "echo v18.19.1")]);
    let run = sandbox.command(&["setup"]).env("PATH", &path).run().exits(4);
    run.says("error: node: version 18.19.1 is too old: 20 or newer is needed")
        .says("hint: install Node.js 20 or newer");
    let path =
        only(&sandbox, &["sh", "git", "curl", "npm", "python3"], &[("node", "echo 'libc is missing' >&2; exit 127")]);
    sandbox.command(&["setup"]).env("PATH", &path).run().exits(4).says("error: node: does not answer: libc is missing");
    assert!(!sandbox.path(".ops/run").exists());
}

#[test]
fn without_network_nothing_half_installed_is_left() {
    let sandbox = Sandbox::with_two_services();
    sandbox.write("services/beta/package.json", r#"{"name": "beta", "dependencies": {"left-pad": "1.0.0"}}"#);
    sandbox.write("services/beta/package-lock.json", r#"{"name": "beta", "lockfileVersion": 3, "packages": {}}"#);
    let npm = "mkdir -p node_modules/left-pad; echo 'npm error code ENOTFOUND' >&2; exit 1";
    let rest: Vec<&str> = TOOLS.into_iter().chain(["mkdir"]).filter(|tool| *tool != "npm").collect();
    let path = only(&sandbox, &rest, &[("npm", npm)]);
    let run = sandbox.command(&["services", "start"]).env("PATH", &path).run().exits(4);
    run.says("error: a package registry could not be reached")
        .says("npm error code ENOTFOUND")
        .says("hint: dependencies come from");
    assert!(
        !sandbox.path("services/beta/node_modules").exists() && !sandbox.path(".ops/build/beta.install.json").exists()
    );
    assert!(sandbox.processes().is_empty());
    let path = only(&sandbox, &["sh", "git", "curl", "node", "python3"], &[("npm", "exit 0")]);
    sandbox.command(&["services", "start"]).env("PATH", &path).run();
}

/// Runs in a mount namespace of its own in which `mount` has been run; None where that is not allowed.
fn with_mount(sandbox: &Sandbox, mount: &str, args: &[&str]) -> Option<std::process::Output> {
    let script = format!("{mount} || exit 99; shift; exec \"$@\"");
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(&sandbox.root).arg(crate::sandbox::XTASK).args(args);
    command.arg("--workspace").arg(&sandbox.root).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.current_dir("/").stdin(std::process::Stdio::null()).output().ok()?;
    (output.status.code() != Some(99) && is_root()).then_some(output)
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_a_remedy() {
    let sandbox = Sandbox::with_two_services();
    std::fs::remove_file(sandbox.path("config/environments/.env.dev")).unwrap();
    let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\"";
    for (words, code) in [("services start", 1), ("setup", 3), ("build", 1)] {
        let words: Vec<&str> = words.split(' ').collect();
        let (got, stderr) = if let Some(output) = with_mount(&sandbox, mount, &words) {
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        } else if !is_root() {
            std::fs::set_permissions(&sandbox.root, std::fs::Permissions::from_mode(0o555)).unwrap();
            let run = sandbox.run(&words);
            std::fs::set_permissions(&sandbox.root, std::fs::Permissions::from_mode(0o755)).unwrap();
            (run.code, run.stderr)
        } else {
            return skip("a_folder_that_cannot_be_written", "no mount namespace can be made here");
        };
        assert_eq!(got, Some(code), "{words:?}: {stderr}");
        assert!(
            stderr.contains("hint: the file system is read-only") || stderr.contains("hint: this user may not"),
            "{stderr}"
        );
        assert!(!sandbox.path(".ops").exists() && sandbox.processes().is_empty());
    }
    for words in [&["overview"][..], &["config"], &["services", "status"], &["doctor"]] {
        if let Some(output) = with_mount(&sandbox, mount, words) {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!stderr.contains("panicked") && output.status.code() != Some(1), "{words:?} only looks: {stderr}");
        }
    }
}

#[test]
fn a_full_disk_is_an_error_with_a_remedy() {
    let sandbox = Sandbox::with_two_services();
    std::fs::create_dir_all(sandbox.path(".ops")).unwrap();
    // Room for some files and then no more, so that it fails at different places.
    for size in [16, 24, 32, 40] {
        let mount = format!(
            "mount -t tmpfs -o size={size}k none \"$1/.ops\" && cd \"$1/.ops\" && head -c 12288 /dev/zero > ballast"
        );
        let Some(output) = with_mount(&sandbox, &mount, &["services", "start"]) else {
            return skip("a_full_disk", "no mount namespace can be made here");
        };
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{size}: {stderr}");
        assert!(stderr.contains("hint: the disk is full: free some space"), "{size}: {stderr}");
        let gone = wait(Duration::from_secs(10), || sandbox.processes().is_empty());
        assert!(gone, "{size}: {stderr}\n{:#?}", sandbox.processes());
    }
}
