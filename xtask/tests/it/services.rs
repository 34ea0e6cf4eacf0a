//! `services` converges: what runs as it should is left alone, what changed is restarted, dependencies come first, and
//! a port of somebody else stops everything before it begins.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use expect_test::expect;

use crate::sandbox::{NODE, PYTHON, Sandbox, is_alive, signal, wait};

/// Writes a line every 50 ms, so that there is always something new in its log.
const TICKING: &str = r#"require("node:http").createServer((request, response) => response.end("ok")).listen(process.env.PORT, "127.0.0.1");
let count = 0;
setInterval(() => console.log(`tick ${count++}`), 50);
"#;

#[test]
fn a_second_start_changes_nothing_and_stop_leaves_nothing() {
    let sandbox = Sandbox::with_two_services();
    let run = sandbox.xtask("services start").exits(0);
    assert_eq!(run.stdout, "", "a task that does things has no data");
    let run = run
        .says("> build alpha")
        .says("ok     build beta")
        .says("> service alpha")
        .says("ok     service beta  ready, pid ");
    assert!(run.stderr.find("service alpha  ready") < run.stderr.find("> service beta"), "dependencies first: {run}");
    sandbox.assert_one_copy_of(&["alpha", "beta"]);
    let before =
        [sandbox.read(".ops/run/dev/alpha.json"), sandbox.read(".ops/run/dev/beta.json"), sandbox.log("alpha")];

    let again = sandbox.xtask("services start").exits(0);
    let pid = sandbox.pid("alpha");
    again.says(&format!("same   service alpha  runs, pid {pid}")).says("same   build  2 components are up to date");
    let after = [sandbox.read(".ops/run/dev/alpha.json"), sandbox.read(".ops/run/dev/beta.json"), sandbox.log("alpha")];
    assert_eq!(before, after);
    assert!(sandbox.log("alpha").starts_with("listening\n"));

    let status = sandbox.status("beta");
    assert_eq!(status["state"], "running");
    assert_eq!((status["pid"].as_u64(), status["stale"].as_bool()), (Some(sandbox.pid("beta").into()), Some(false)));
    assert_eq!(status["port"], sandbox.port("beta"));
    sandbox.xtask("services").exits(0).prints("alpha    running");
    let health = sandbox.xtask("health --json").exits(0).json();
    assert_eq!((&health["ok"], &health["database"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(health["services"][1]["ready"]["status"], 200);
    sandbox.xtask("services start --plan").exits(0).prints("alpha  runs as it should");
    sandbox.xtask("overview --json").exits(0).prints(r#""state": "running""#);

    let stopped = sandbox.xtask("services stop").exits(0);
    assert!(stopped.stderr.find("stop beta") < stopped.stderr.find("stop alpha"), "dependents first: {stopped}");
    assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
    sandbox.xtask("services stop").exits(0).says("same   stop alpha  was not running");
    assert_eq!(sandbox.status("alpha")["state"], "stopped");
    sandbox.xtask("health").exits(3).prints("alpha  DOWN  not running: stopped");
    sandbox.xtask("services start --plan").exits(3).prints("alpha  start\nbeta   start");
    assert!(sandbox.processes().is_empty());
}

#[test]
fn only_what_changed_is_restarted() {
    let sandbox = Sandbox::with_two_services();
    sandbox.replace("config/services/alpha.yaml", "[LOG_LEVEL, API_KEY]", "[]");
    sandbox.init_git();
    sandbox.xtask("services start").exits(0);
    let pids = || (sandbox.pid("alpha"), sandbox.pid("beta"));
    let first = pids();

    // The same content with another time stamp is the same; so is a file that git ignores.
    sandbox.write("services/alpha/server.py", PYTHON);
    sandbox.write("services/alpha/old.pyc", "x");
    sandbox.xtask("services start --plan").exits(0);

    sandbox.write("services/alpha/server.py", format!("# changed\n{PYTHON}"));
    assert_eq!(sandbox.status("alpha")["stale"], true);
    let plan = sandbox.xtask("services start --plan").exits(3);
    plan.prints("alpha  restart: its source, configuration or environment changed\nbeta   runs as it should");
    assert_eq!(pids(), first, "a plan touches nothing");
    sandbox.xtask("services start beta").exits(0);
    let second = pids();
    assert!(
        second.0 != first.0 && second.1 == first.1,
        "alpha, which beta depends on, and it alone: {first:?} {second:?}"
    );
    assert!(!is_alive(first.0));

    // A file that git does not know yet counts too.
    sandbox.write("services/beta/new.js", "");
    assert_eq!(
        (sandbox.status("alpha")["stale"].clone(), sandbox.status("beta")["stale"].clone()),
        (false.into(), true.into())
    );
    sandbox.xtask("services start alpha").exits(0);
    assert_eq!(pids(), second, "beta was not asked for");
    sandbox.xtask("services start").exits(0);
    let third = pids();
    assert!(third.0 == second.0 && third.1 != second.1, "{second:?} {third:?}");

    sandbox.write("config/environments/.env.dev", "LOG_LEVEL=debug\n");
    sandbox.xtask("services start").exits(0);
    let fourth = pids();
    assert!(fourth.0 == third.0 && fourth.1 != third.1, "only beta gets LOG_LEVEL: {third:?} {fourth:?}");

    sandbox.write(
        "config/services/beta.yaml",
        format!("{}settings: {{a: 1}}\n", sandbox.read("config/services/beta.yaml")),
    );
    sandbox.xtask("services start").exits(0).says("ready again");
    let fifth = pids();
    assert!(fifth.0 == fourth.0 && fifth.1 != fourth.1, "{fourth:?} {fifth:?}");

    sandbox.xtask("services restart alpha").exits(0).says("(asked for)").says_nothing_of("beta");
    let sixth = pids();
    assert!(sixth.0 != fifth.0 && sixth.1 == fifth.1, "{fifth:?} {sixth:?}");
    sandbox.assert_one_copy_of(&["alpha", "beta"]);
    let status = sandbox.git(&["status", "--porcelain", "--", ".ops"]);
    assert_eq!(status, "");
}

#[test]
fn a_clone_inside_an_ignored_folder_of_another_repository_sees_its_changes_too() {
    let mut sandbox = Sandbox::new();
    sandbox.set("GIT_CEILING_DIRECTORIES", "/");
    sandbox.python("alpha", &[], PYTHON);
    sandbox.write("../.gitignore", "*\n");
    let init = std::process::Command::new("git").args(["init", "-q"]).current_dir(sandbox.path("..")).status();
    assert!(init.unwrap().success());
    sandbox.xtask("services start").exits(0);
    sandbox.write("services/alpha/server.py", format!("# changed\n{PYTHON}"));
    assert_eq!(sandbox.status("alpha")["stale"], true);
}

/// Ends at once when what it depends on does not answer yet.
const WANTS_ALPHA: &str = r#"import os, socket, urllib.parse
url = urllib.parse.urlparse(os.environ["ALPHA_URL"])
socket.create_connection((url.hostname, url.port), 5).close()
"#;

#[test]
fn what_a_service_depends_on_is_ready_before_it_starts() {
    let mut sandbox = Sandbox::new();
    sandbox.python("alpha", &[], &PYTHON.replace("import os, socket\n", "import os, socket, time\ntime.sleep(0.7)\n"));
    sandbox.python("beta", &["alpha"], &format!("{WANTS_ALPHA}{PYTHON}"));
    sandbox.node("gamma", &["beta"], NODE);
    sandbox.node("delta", &[], NODE);
    sandbox.xtask("services start gamma").exits(0).says("service beta").says_nothing_of("delta");
    sandbox.assert_one_copy_of(&["alpha", "beta", "gamma"]);
    sandbox.xtask("services start").exits(0);
    let delta = sandbox.pid("delta");
    sandbox.xtask("services stop beta").exits(0).says("stop gamma").says_nothing_of("stop alpha");
    sandbox.assert_one_copy_of(&["alpha", "delta"]);
    sandbox.xtask("services start").exits(0);
    assert_eq!(sandbox.pid("delta"), delta);
    // A service whose file is gone is stopped with the rest.
    std::fs::remove_file(sandbox.path("config/services/delta.yaml")).unwrap();
    sandbox.xtask("services stop").exits(0).says("stop delta");
    assert!(sandbox.processes().is_empty());
}

#[test]
fn a_killed_service_is_named_by_health_and_it_alone_is_brought_back() {
    let sandbox = Sandbox::with_two_services();
    sandbox.xtask("services start").exits(0);
    let (alpha, beta) = (sandbox.pid("alpha"), sandbox.pid("beta"));
    sandbox.kill_service("alpha");
    let report = sandbox.xtask("health").exits(3);
    report.prints("alpha  DOWN  not running: ended by signal 9, ").prints("beta   ok    up for ");
    let json = sandbox.xtask("health --json").exits(3).json();
    assert_eq!((&json["services"][0]["ok"], &json["services"][1]["ok"]), (&false.into(), &true.into()));
    sandbox.xtask("services").exits(0).prints("ended by signal 9");
    sandbox.xtask("services start").exits(0).says("same   service beta").says("ok     service alpha  ready");
    assert!(sandbox.pid("alpha") != alpha && sandbox.pid("beta") == beta);
    sandbox.assert_one_copy_of(&["alpha", "beta"]);
    sandbox.xtask("health --wait 20").exits(0);
}

#[test]
fn of_two_runs_at_once_one_may_be_told_that_the_other_is_busy() {
    let sandbox = Sandbox::with_two_services();
    for round in 0..3 {
        let runs = [(); 3].map(|()| sandbox.command(&["services", "start"]).spawn());
        let runs = runs.map(crate::sandbox::Running::wait);
        assert!(runs.iter().any(|run| run.code == Some(0)), "round {round}: {} {} {}", runs[0], runs[1], runs[2]);
        for run in runs.into_iter().filter(|run| run.code != Some(0)) {
            run.exits(5)
                .says("error: another run is at work on the services of this clone")
                .says("hint: wait until it ends");
        }
        sandbox.assert_one_copy_of(&["alpha", "beta"]);
        if round < 2 {
            sandbox.xtask("services restart").exits(0);
            sandbox.kill_service("beta");
        }
    }
    let mut slow = Sandbox::new();
    slow.python("alpha", &[], "import time\ntime.sleep(60)\n");
    let mut start = slow.command(&["services", "start"]).spawn();
    assert!(wait(Duration::from_secs(30), || start.stderr().contains("> service alpha")), "{}", start.stderr());
    let stop = slow.xtask("services stop").exits(5);
    stop.says(&format!("pid {}, `cargo xtask services start", start.pid()));
    start.kill();
    slow.xtask("services stop").exits(0);
    // What watched over the killed run may take a moment to see that it is over.
    assert!(wait(Duration::from_secs(10), || slow.processes().is_empty()), "{:#?}", slow.processes());
}

#[test]
fn a_port_of_somebody_else_is_refused_before_anything_is_touched() {
    let sandbox = Sandbox::with_two_services();
    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, sandbox.port("beta"))).unwrap();
    let run = sandbox.xtask("services start").exits(3);
    let (port, me) = (sandbox.port("beta"), std::process::id());
    let command = std::fs::read(format!("/proc/{me}/cmdline")).unwrap();
    let program = String::from_utf8_lossy(command.split(|byte| *byte == 0).next().unwrap()).into_owned();
    let start: String = program.chars().take(60).collect();
    run.says(&format!("config/services/beta.yaml:3:7: error: port {port} of beta is taken by pid {me} ({start}"))
        .says(&format!("hint: end it (kill {me}), or change `port` in config/services/beta.yaml"))
        .says("error: ports are taken; nothing was touched");
    assert!(sandbox.processes().is_empty() && !sandbox.record("alpha").exists());
    let doctor = sandbox.xtask("doctor");
    doctor.prints(&format!("of beta is taken by pid {me}")).exits(3);
    drop(stranger);
    sandbox.xtask("services start").exits(0);

    // With alpha changed and beta's port lost to somebody else, alpha stays as it is.
    let alpha = sandbox.pid("alpha");
    sandbox.kill_service("beta");
    let _stranger = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    sandbox.write("services/alpha/server.py", format!("# changed\n{PYTHON}"));
    sandbox.xtask("services start").exits(3).says(&format!("port {port} of beta is taken by pid {me}"));
    assert_eq!(sandbox.pid("alpha"), alpha);
    assert!(is_alive(alpha));
}

#[test]
fn logs_are_shown_filtered_and_followed() {
    let mut sandbox = Sandbox::new();
    sandbox.node("alpha", &[], TICKING);
    sandbox.python("beta", &[], PYTHON);
    sandbox.xtask("services start").exits(0);
    assert!(wait(Duration::from_secs(20), || sandbox.log("alpha").contains("tick 3\n")));
    let run = sandbox.xtask("services logs").exits(0);
    run.prints("alpha  tick 0\n").prints("beta   listening\n");
    let run = sandbox.run(&["services", "logs", "alpha", "-n", "1000", "--grep", "tick 2"]).exits(0);
    assert_eq!(run.stdout.lines().next(), Some("alpha  tick 2"));
    assert_eq!(sandbox.xtask("services logs alpha --lines 2").exits(0).stdout.lines().count(), 2);
    let mut follow = sandbox.command(&["services", "logs", "-f", "-n", "0"]).spawn();
    let seen = wait(Duration::from_secs(20), || follow.stdout().lines().count() > 3);
    assert!(seen, "{}{}", follow.stdout(), follow.stderr());
    let lines: Vec<u64> =
        follow.stdout().lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(lines.windows(2).all(|pair| pair[1] == pair[0] + 1), "no line lost or twice: {lines:?}");
    assert!(!follow.is_over());
}

#[test]
fn foreground_shows_logs_and_stops_the_services_however_it_ends() {
    // What was started in the background of a shell is deaf to INT, and so is whatever it starts.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let is_deaf = u64::from_str_radix(ignored.trim(), 16).unwrap() & (1 << 1) != 0;
    for name in [if is_deaf { "TERM" } else { "INT" }, "KILL"] {
        let mut sandbox = Sandbox::new();
        sandbox.node("alpha", &[], TICKING);
        let run = sandbox.command(&["services", "start", "--foreground"]).spawn();
        let shown = wait(Duration::from_secs(30), || run.stdout().contains("alpha  tick "));
        assert!(shown, "{}{}", run.stdout(), run.stderr());
        // Another task may work meanwhile: the lock is not held.
        sandbox.xtask("services start").exits(0);
        signal(name, run.pid());
        let gone = wait(Duration::from_secs(30), || {
            // Collects the zombie, by which the watcher sees that it is over.
            !is_alive(run.pid()) && sandbox.processes().is_empty()
        });
        assert!(gone, "after {name}: {:#?}\n{}", sandbox.processes(), run.stderr());
    }
}

#[test]
fn build_works_by_content_and_says_why() {
    let sandbox = Sandbox::with_two_services();
    let stale = |sandbox: &Sandbox| {
        let all = sandbox.xtask("build --explain --json").exits(0).json();
        let one =
            |service: &serde_json::Value| format!("{} {} {}", service["name"], service["stale"], service["reasons"]);
        all["services"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join("\n").replace('"', "")
    };
    expect![[r#"
        alpha true [build: it was never done here]
        beta true [build: it was never done here]"#]]
    .assert_eq(&stale(&sandbox));
    assert!(!sandbox.path(".ops/build").exists(), "explaining builds nothing");
    sandbox.xtask("build").exits(0).says("ok     build alpha");
    sandbox.xtask("build").exits(0).says("same   build  2 components are up to date");
    sandbox.write("services/alpha/more.py", "");
    expect![[r#"
        alpha true [build: services/alpha/more.py is new]
        beta false []"#]]
    .assert_eq(&stale(&sandbox));
    sandbox.write("services/beta/server.js", "const = 1;\n");
    let run = sandbox.xtask("build").exits(1);
    run.says("ok     build alpha").says("SyntaxError").says("failed build beta").says("node --check server.js");
    sandbox.xtask("services start").exits(1).says("SyntaxError");
    assert!(sandbox.processes().is_empty(), "what does not build is not started");
    sandbox.write("services/beta/server.js", NODE);
    sandbox.xtask("services start").exits(0);
    sandbox.xtask("clean").exits(3).says("alpha, beta still run").says("hint: run `cargo xtask services stop`");
    sandbox.xtask("services stop").exits(0);
    sandbox.xtask("clean --plan").exits(3).prints(".ops/build");
    sandbox.xtask("clean").exits(0);
    sandbox.xtask("clean --plan").exits(0);
}
