//! kill -9 before every single change of the file system that `restructure apply`, `undo` and `finish` make: `--resume` and
//! `undo` end as if nobody had been killed, to the last byte, mode, link and time stamp.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::restructure::{assert_same, bench, snapshot};
use crate::sandbox::{Sandbox, XTASK, skip};
use crate::traced::{End, kill_at};

/// A folder where names are in each other's way: a swap, a chain, a circle, a file that becomes a folder, a folder that
/// becomes a file, a change of case only.
fn knot() -> Sandbox {
    let sandbox = bench();
    for path in ["scripts-copy", "sql", "docker", "k8s", "notes", "services", "scripts", "docs"] {
        fs::remove_dir_all(sandbox.path("old").join(path)).unwrap();
    }
    let write = |path: &str, text: &str| sandbox.write(format!("old/{path}"), text);
    write("swap/a.txt", "a");
    write("swap/b.txt", "b");
    write("chain/1.txt", "one");
    write("chain/2.txt", "two");
    write("chain/3.txt", "three");
    write("becomes", "a folder");
    write("folder/inside.txt", "x");
    write("case/Readme.TXT", "case");
    write("run.sh", "#!/bin/sh\ncat swap/a.txt chain/1.txt\n");
    write("copy/a.txt", "copied\n");
    write("copy/b.txt", "copied\n");
    symlink("swap/a.txt", sandbox.path("old/link")).unwrap();
    fs::set_permissions(sandbox.path("old/run.sh"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(sandbox.path("old/chain"), fs::Permissions::from_mode(0o710)).unwrap();
    let moves = [
        ("swap/a.txt", "swap/b.txt"),
        ("swap/b.txt", "swap/a.txt"),
        ("chain/1.txt", "chain/2.txt"),
        ("chain/2.txt", "chain/3.txt"),
        ("chain/3.txt", "chain/1.txt"),
        ("becomes", "becomes/a/file"),
        ("folder/inside.txt", "folder"),
        ("case/Readme.TXT", "case/readme.txt"),
        ("run.sh", "bin/run.sh"),
    ];
    sandbox.xtask("restructure plan old -o plan.yaml").exits(0);
    let text = sandbox.read("plan.yaml");
    let head = text.split_once("files:\n").unwrap().0;
    let entries: String =
        moves.iter().map(|(from, to)| format!("  - {{path: {from}, action: move, to: {to}}}\n")).collect();
    let rest = "  - {path: copy/b.txt, action: drop-as-duplicate-of, of: copy/a.txt}\n  - {path: copy/a.txt, action: keep}\n  - {path: link, action: keep}\n  - {path: README.md, action: keep}\n";
    sandbox.write("plan.yaml", format!("{head}files:\n{entries}{rest}"));
    sandbox
}

fn command(sandbox: &Sandbox, words: &str) -> Command {
    let mut command = Command::new(XTASK);
    command.args(words.split_whitespace()).arg("--workspace").arg(&sandbox.root).current_dir(&sandbox.root).env_clear();
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_CEILING_DIRECTORIES", sandbox.root.parent().unwrap());
    command
}

/// The folder without this program's state.
fn tree(sandbox: &Sandbox) -> std::collections::BTreeMap<Vec<u8>, (u32, i64, i64, Vec<u8>)> {
    let mut tree = snapshot(&sandbox.path("old"));
    tree.retain(|name, _| !name.starts_with(b".ops"));
    tree
}

fn put_back(sandbox: &Sandbox, copy: &Path) {
    fs::remove_dir_all(sandbox.path("old")).unwrap();
    let done = Command::new("cp").arg("-a").arg(copy).arg(sandbox.path("old")).status().unwrap();
    assert!(done.success());
}

/// Kills `apply` before each of its changes, then goes on or back; in a repository, where the files are the same and each
/// look takes git's time, before every third.
fn killed_everywhere(name: &str, sandbox: &Sandbox, git: bool) {
    let copy = sandbox.path("copy of old");
    assert!(Command::new("cp").arg("-a").arg(sandbox.path("old")).arg(&copy).status().unwrap().success());
    let before = snapshot(&sandbox.path("old"));
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    let after = tree(sandbox);
    let commits =
        |sandbox: &Sandbox| if git { sandbox.git(&["-C", "old", "log", "--format=%s %T"]) } else { String::new() };
    let log = commits(sandbox);
    sandbox.xtask("restructure undo old").exits(0);
    assert_same(&before, &snapshot(&sandbox.path("old")), "undo");
    let old_log = commits(sandbox);
    let mut number = 0;
    loop {
        match kill_at(command(sandbox, "restructure apply plan.yaml"), number) {
            End::Impossible => return skip(name, "a process may not be traced here"),
            End::Ended { code, changes } => {
                assert_eq!(code, 0, "{name}: {number}");
                assert!(changes > 100, "{name}: only {changes} changes");
                break;
            }
            End::Killed => {}
        }
        let place = format!("{name}, killed before change {number}");
        let has_begun = sandbox.path("old/.ops/restructure/journal.json").exists();
        if number % 2 == 0 && has_begun {
            sandbox.xtask("restructure apply --resume old").exits(0);
            assert_same(&after, &tree(sandbox), &place);
            assert_eq!(commits(sandbox), log, "{place}");
        }
        let is_laid_ready = !has_begun && sandbox.path("old/.ops/restructure").exists();
        if is_laid_ready && number % 2 == 0 {
            // What was laid ready for a journal that was never written is in nobody's way.
            sandbox.xtask("restructure apply plan.yaml").exits(0);
            assert_same(&after, &tree(sandbox), &place);
        }
        if has_begun || is_laid_ready {
            sandbox.xtask("restructure undo old").exits(0);
        }
        if !has_begun {
            // The moment between making the state's folder and giving the target its time again.
            put_back(sandbox, &copy);
        }
        assert_same(&before, &snapshot(&sandbox.path("old")), &place);
        if git {
            assert_eq!(
                (commits(sandbox), sandbox.git(&["-C", "old", "status", "--porcelain"])),
                (old_log.clone(), String::new()),
                "{place}"
            );
        }
        number += if git { 3 } else { 1 };
    }
}

#[test]
fn apply_killed_anywhere_goes_on_or_back() {
    killed_everywhere("apply_killed_anywhere_goes_on_or_back", &knot(), false);
}

#[test]
fn apply_in_a_repository_killed_anywhere_goes_on_or_back() {
    let sandbox = knot();
    sandbox.git(&["init", "-q", "old"]);
    sandbox.git(&["-C", "old", "add", "-A"]);
    sandbox.git(&["-C", "old", "commit", "-q", "-m", "all"]);
    killed_everywhere("apply_in_a_repository_killed_anywhere_goes_on_or_back", &sandbox, true);
}

#[test]
fn undo_killed_anywhere_ends_well_the_second_time() {
    let name = "undo_killed_anywhere_ends_well_the_second_time";
    let sandbox = knot();
    let before = snapshot(&sandbox.path("old"));
    let mut number = 0;
    loop {
        sandbox.xtask("restructure apply plan.yaml").exits(0);
        match kill_at(command(&sandbox, "restructure undo old"), number) {
            End::Impossible => return skip(name, "a process may not be traced here"),
            End::Ended { code, .. } => {
                assert_eq!(code, 0, "{number}");
                break;
            }
            End::Killed => {}
        }
        let place = format!("undo, killed before change {number}");
        let state = sandbox.path("old/.ops/restructure");
        if state.join("journal.json").exists() {
            if fs::read_to_string(state.join("progress")).unwrap_or_default().contains("undoing") {
                sandbox.xtask("restructure apply --resume old").exits(3).says("no way but back");
            }
            sandbox.xtask("restructure undo old").exits(0);
        } else {
            // All is back; what is left of the state goes with the next apply and undo.
            let mut tree = tree(&sandbox);
            tree.insert(Vec::new(), before[&Vec::new()].clone());
            assert_same(&before, &tree, &place);
            sandbox.xtask("restructure apply plan.yaml").exits(0);
            sandbox.xtask("restructure undo old").exits(0);
            let _left = fs::remove_dir_all(sandbox.path("old/.ops"));
        }
        let mut now = snapshot(&sandbox.path("old"));
        let mut then = before.clone();
        // The time of the folder itself is known no more once the journal is gone.
        now.remove(&Vec::new());
        then.remove(&Vec::new());
        assert_same(&then, &now, &place);
        number += 1;
    }
}

#[test]
fn finish_killed_anywhere_ends_well_the_second_time() {
    let name = "finish_killed_anywhere_ends_well_the_second_time";
    let sandbox = knot();
    let copy = sandbox.path("copy of old");
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    let after = tree(&sandbox);
    assert!(Command::new("cp").arg("-a").arg(sandbox.path("old")).arg(&copy).status().unwrap().success());
    let mut number = 0;
    loop {
        match kill_at(command(&sandbox, "restructure finish old --yes"), number) {
            End::Impossible => return skip(name, "a process may not be traced here"),
            End::Ended { code, .. } => {
                assert_eq!(code, 0, "{number}");
                break;
            }
            End::Killed => {}
        }
        let place = format!("finish, killed before change {number}");
        if sandbox.path("old/.ops/restructure").exists() {
            let run = sandbox.xtask("restructure finish old --yes");
            assert!(matches!(run.code, Some(0 | 2)), "{place}: {run}");
        }
        let mut now = tree(&sandbox);
        let mut then = after.clone();
        now.remove(&Vec::new());
        then.remove(&Vec::new());
        assert_same(&then, &now, &place);
        put_back(&sandbox, &copy);
        number += 1;
    }
    assert!(!sandbox.path("old/.ops").exists());
}
