//! The command line: help, defaults, did-you-mean, exit codes, completions, the overview, and where it works.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use expect_test::{Expect, expect};

use crate::sandbox::{Sandbox, XTASK};

/// Every command with the words that lead to it, as help tells them; xtask itself first.
pub fn commands(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut at = 0;
    while let Some(path) = all.get(at).cloned() {
        let help = help(sandbox, &path);
        let section = help.split_once("TASKS:\n").or_else(|| help.split_once("VERBS:\n")).map_or("", |(_, rest)| rest);
        let rows = section.lines().take_while(|line| line.starts_with("  "));
        let verbs = rows.filter_map(|row| row.split_whitespace().next());
        all.extend(verbs.map(|verb| path.iter().cloned().chain([verb.to_owned()]).collect::<Vec<_>>()));
        at += 1;
    }
    all
}

pub fn help(sandbox: &Sandbox, path: &[String]) -> String {
    let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let run = sandbox.run(&words).exits(0);
    assert_eq!(run.stderr, "", "help is data: {run}");
    run.stdout
}

#[test]
fn help_at_every_level_exits_0_and_names_all_verbs() {
    let sandbox = Sandbox::new();
    let all: Vec<String> = commands(&sandbox).iter().map(|path| path.join(" ")).collect();
    expect![[r#"

        overview
        setup
        deploy
        rollback
        releases
        logs
        doctor
        build
        test
        ci
        services
        health
        config
        migrate
        db
        restructure
        clean
        completions
        releases list
        releases show
        releases verify
        services start
        services stop
        services restart
        services status
        services logs
        config show
        config check
        config init
        config schema
        migrate up
        migrate down
        migrate status
        migrate new
        migrate verify
        migrate measure
        migrate import
        migrate baseline
        migrate repair
        migrate promote
        migrate schema
        db query
        db seed
        db export
        db import
        db sync
        db maintain
        db diff
        db shell
        db backup
        db backups
        db restore
        db reset
        restructure scan
        restructure plan
        restructure apply
        restructure verify
        restructure undo
        restructure finish
        restructure why"#]]
    .assert_eq(&all.join("\n"));
    let top = help(&sandbox, &[]);
    assert!(top.contains("USAGE: cargo xtask TASK"), "{top}");
    for words in ["help services start", "services start -h", "services --help start", "services start --help --plan"] {
        sandbox.xtask(words).exits(0).prints("Bring the services up: dependencies first");
    }
    assert!(!sandbox.path(".ops").exists(), "help touched the workspace");
}

fn check(words: &str, expected: Expect) {
    let run = Sandbox::new().xtask(words).exits(2);
    assert_eq!(run.stdout, "", "{run}");
    expected.assert_eq(&run.stderr);
}

#[test]
fn what_is_unknown_exits_2_and_says_what_was_probably_meant() {
    check(
        "srevices",
        expect![[r#"
            error: unknown task `srevices`
            hint: did you mean `services`?
        "#]],
    );
    check(
        "xyzzy",
        expect![[r#"
            error: unknown task `xyzzy`
            hint: see `cargo xtask --help`
        "#]],
    );
    check(
        "services strat",
        expect![[r#"
            error: unknown verb `strat` of `services`
            hint: did you mean `start`?
        "#]],
    );
    check(
        "services start --pln",
        expect![[r#"
            error: unknown flag `--pln` for `services start`
            hint: did you mean `--plan`?
        "#]],
    );
    check(
        "health --env=stagin",
        expect![[r#"
            error: unknown environment `stagin`
            hint: one of: dev
        "#]],
    );
    check(
        "health --env dve",
        expect![[r#"
            error: unknown environment `dve`
            hint: did you mean `dev`?
        "#]],
    );
    check(
        "completions bsh",
        expect![[r#"
            error: unknown shell `bsh`
            hint: did you mean `bash`?
        "#]],
    );
    check(
        "db",
        expect![[r#"
            error: `db` needs a verb: query, seed, export, import, sync, maintain, diff, shell, backup, backups, restore, reset
            hint: see `cargo xtask db --help`
        "#]],
    );
    check(
        "services start --wait",
        expect![[r#"
            error: the flag `--wait` needs a value
            hint: see `cargo xtask services start --help`
        "#]],
    );
    check(
        "services start --plan=yes",
        expect![[r#"
            error: the flag `--plan` takes no value
            hint: see `cargo xtask services start --help`
        "#]],
    );
    let run = Sandbox::new().xtask("services start --wait soon").exits(2);
    run.says("can't parse `--wait`").says("hint: see `cargo xtask services start --help`");
    Sandbox::new().xtask("completions").exits(2).says("hint: see `cargo xtask completions --help`");
}

#[test]
fn an_unknown_service_exits_2_wherever_one_can_be_named() {
    let sandbox = Sandbox::with_two_services();
    for task in ["build", "services start", "services stop", "services restart", "services status", "services logs"] {
        let run = sandbox.xtask(&format!("{task} alhpa")).exits(2);
        run.says("unknown service `alhpa`").says("hint: did you mean `alpha`?");
    }
    sandbox.xtask("test alhpa").exits(2).says("unknown test `alhpa`").says("hint: did you mean `alpha`?");
    assert!(sandbox.processes().is_empty());
}

#[test]
fn values_may_follow_an_equals_sign_and_default_verbs_may_be_left_out() {
    let sandbox = Sandbox::new();
    let shown = sandbox.xtask("config show --env=dev --json").exits(0).stdout;
    for same in ["config --env=dev --json", "config --env dev --json", "config --json", "config show --json"] {
        assert_eq!(sandbox.xtask(same).exits(0).stdout, shown, "{same}");
    }
    let overview = sandbox.xtask("overview --json").exits(0).json();
    assert_eq!(sandbox.xtask("--json").exits(0).json(), overview);
    sandbox.xtask("services").exits(0).prints("SERVICE");
    let root = format!("--workspace={}", sandbox.root.display());
    let run = Command::new(XTASK).args(["config", &root, "--json"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), shown);
}

#[test]
fn the_overview_tells_tasks_environments_services_and_what_is_next() {
    let sandbox = Sandbox::with_two_services();
    let run = sandbox.run(&[]).exits(0);
    assert_eq!(run.stderr, "");
    let run = run.prints("every day\n  setup ").prints("alpha").prints("beta").prints("stopped").prints("\nnext\n");
    run.prints("cargo xtask services start");
    assert!(!sandbox.path(".ops").exists(), "the overview only looks");
    sandbox.write("config/services/gamma.yaml", "source: services/gamma\n");
    sandbox.run(&[]).exits(0).prints("cargo xtask config check");
    sandbox.xtask("overview --json").exits(0).prints(r#""findings""#);
}

#[test]
fn without_a_terminal_there_are_no_escape_codes() {
    let sandbox = Sandbox::with_two_services();
    for words in ["", "--help", "services start", "health", "services status", "config", "xyzzy", "services stop"] {
        let words: Vec<&str> = words.split_whitespace().collect();
        for term in ["xterm-256color", "dumb"] {
            let run = sandbox.command(&words).env("TERM", term).env("FORCE_COLOR", "1").run();
            assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'), "{run}");
            assert!(!run.stderr.contains('\r'), "{run}");
        }
    }
}

#[test]
fn it_works_from_a_sub_folder_and_without_home() {
    let sandbox = Sandbox::with_two_services();
    let here = sandbox.xtask("config --json").exits(0).stdout;
    let below = sandbox.command(&["config", "--json"]).found_by_cargo().dir("services/alpha").run().exits(0);
    assert_eq!(below.stdout, here);
    let start = sandbox.command(&["services", "start"]).found_by_cargo().dir("services/alpha").run();
    start.exits(0).says("service beta");
    sandbox.command(&["health"]).found_by_cargo().dir("config").run().exits(0);
    sandbox.command(&["services", "stop"]).found_by_cargo().dir("config").run().exits(0);
    let elsewhere = sandbox.run(&["config", "--workspace", "/nonexistent"]);
    elsewhere.exits(2).says("error: flag specified more than once: `--workspace`");
}

#[test]
fn a_folder_that_is_no_workspace_exits_2() {
    let run = |dir: &str| {
        let output = Command::new(XTASK).args(["--workspace", dir]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, stderr) = run("/nonexistent");
    assert!(code == Some(2) && stderr.contains("failed to find the workspace `/nonexistent`"), "{code:?} {stderr}");
    let (code, stderr) = run("/proc");
    assert!(code == Some(2) && stderr.contains("is not a workspace: it has no folder config/"), "{code:?} {stderr}");
}

#[test]
fn an_argument_that_is_not_utf8_exits_2() {
    let word = OsString::from_vec(b"caf\xe9".to_vec());
    let run = Sandbox::new().command(&[OsString::from("services"), "start".into(), word]).run().exits(2);
    run.says("the argument `caf\u{fffd}` is not UTF-8");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let line = format!("'{XTASK}' --help | head -n 1");
    let output = Command::new("bash").args(["-o", "pipefail", "-c", &line]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn completions_are_valid_and_know_the_verbs_and_flags() {
    let sandbox = Sandbox::new();
    let script = sandbox.path("completions.bash");
    std::fs::write(&script, sandbox.xtask("completions bash").exits(0).stdout).unwrap();
    let parsed = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let complete = |words: &str| {
        let harness = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cargo_xtask cargo; echo "${COMPREPLY[*]}""#;
        let words = words.split(' ');
        let output = Command::new("bash").args(["-c", harness, "bash"]).arg(&script).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(complete("cargo xtask se"), "setup services");
    assert_eq!(complete("cargo xtask services st"), "start stop status");
    assert_eq!(complete("cargo xtask services start --pl"), "--plan");
    assert_eq!(complete("cargo xtask migrate --env dev st"), "status");
    assert_eq!(complete("cargo build --rel"), "");
    sandbox.xtask("completions zsh").exits(0).prints("bashcompinit");
    let fish = sandbox.xtask("completions fish").exits(0).prints("complete -c cargo");
    for path in commands(&sandbox).iter().filter(|path| path.len() == 1) {
        assert!(fish.stdout.contains(&format!(" -a {} ", path[0])), "fish does not know {path:?}");
    }
}
