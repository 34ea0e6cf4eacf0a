//! kill -9 at every step of `db backup` and `db restore`, of xtask itself and of pg_dump and pg_restore: what is in use
//! stays in use, and the next run ends well and removes what the killed one left.

use std::time::Duration;

use crate::backup::{Bench, wait_for};
use crate::sandbox::{all_processes, kill, wait};

/// Enough for a step to last.
const ROWS: u32 = 150_000;

/// Who is killed when which line has been printed, and what the killed run leaves in use.
#[derive(Clone, Copy)]
enum Victim {
    Xtask,
    Child(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// The database as it was.
    Old,
    /// One of the two, whole: both renames are one transaction.
    Either,
}

/// Step by step: the words of the verb, when, who, what is in use afterwards.
const STEPS: [(&str, &str, Victim, Leaves); 8] = [
    ("db backup", "> backup", Victim::Xtask, Leaves::Old),
    ("db backup", "> backup", Victim::Child("pg_dump"), Leaves::Old),
    ("db restore latest --yes", "> check", Victim::Xtask, Leaves::Old),
    ("db restore latest --yes", "> restore into", Victim::Xtask, Leaves::Old),
    ("db restore latest --yes", "> restore into", Victim::Child("pg_restore"), Leaves::Old),
    ("db restore latest --yes", "> verify", Victim::Xtask, Leaves::Old),
    ("db restore latest --yes", "> analyze", Victim::Xtask, Leaves::Old),
    ("db restore latest --yes", "> put it in the place", Victim::Xtask, Leaves::Either),
];

#[test]
fn a_run_killed_at_any_step_is_healed_by_the_next() {
    let Some(bench) = Bench::new("a_run_killed_at_any_step_is_healed_by_the_next") else { return };
    bench.fill(ROWS);
    bench.backup();
    for (words, line, victim, leaves) in STEPS {
        let place = format!("`{words}` at {line:?}");
        bench.ask("create table if not exists app.mark (); delete from app.note where id = 1");
        let before = bench.sandbox.xtask("db backups --json").json()["backups"].as_array().unwrap().len();
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut run = bench.sandbox.command(&[&words[..], &["--lock-wait", "30"]].concat()).spawn();
        wait_for(&mut run, line);
        match victim {
            Victim::Xtask => run.kill(),
            Victim::Child(program) => {
                // A small moment later than its start, when it has connected and is at work.
                let mut pid = None;
                assert!(
                    wait(Duration::from_secs(20), || {
                        pid = child_of(&bench, program);
                        pid.is_some()
                    }),
                    "{place}: no {program}"
                );
                kill(pid.unwrap());
                let ended = run.wait();
                assert_eq!(ended.code, Some(1), "{place}: {ended}");
                assert_eq!(bench.half_made(), Vec::<String>::new(), "{place}");
            }
        }
        let is_old = bench.ask("select to_regclass('app.mark') is not null") == "t";
        assert!(is_old || leaves == Leaves::Either, "{place}: the old database is gone");
        let now = bench.sandbox.xtask("db backups --json").json();
        assert_eq!(now["backups"].as_array().unwrap().len(), before, "{place}: half a backup is listed");
        // The next run of the same ends well, and nothing is left over.
        bench.sandbox.xtask(&format!("{} --lock-wait 30", words.join(" "))).exits(0);
        assert_eq!(bench.half_made(), Vec::<String>::new(), "{place}");
        let left: Vec<String> = bench.beside().into_iter().filter(|name| !name.contains("__old_")).collect();
        assert!(left.is_empty(), "{place}: {left:?}");
        if words[1] == "restore" {
            assert_eq!(bench.ask("select to_regclass('app.mark') is null"), "t", "{place}");
            assert_eq!(bench.ask("select count(*) from app.big"), ROWS.to_string(), "{place}");
        }
        // A backup in the state that the next step expects.
        bench.ask("drop table if exists app.mark");
        bench.backup();
    }
}

/// A program of this sandbox's run, its guard aside.
fn child_of(bench: &Bench, program: &str) -> Option<u32> {
    let ours = |command: &str| command.contains(&bench.name) || command.contains(bench.sandbox.root.to_str().unwrap());
    all_processes()
        .into_iter()
        .find(|process| {
            let command = &process.command;
            command.contains(&format!("/{program} ")) && !command.contains(" guard ") && ours(command)
        })
        .map(|process| process.pid)
}
