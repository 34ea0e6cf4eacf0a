//! kill -9 of the run, of its psql and of its server process while a migration runs, one transaction or none: the next
//! run ends right at once, nothing is lost or done twice, no lock stays.

use std::time::Duration;

use crate::database::Bench;
use crate::sandbox::{all_processes, parent, signal, wait};

/// Who is killed.
const VICTIMS: [&str; 3] = ["xtask", "psql", "server"];
/// What runs at that moment, behind a first migration that is done: the file, and how it is waited for.
const STEPS: [(&str, &str); 4] = [
    ("in one transaction", "create table b (n int);\ninsert into b values (1);\nselect pg_sleep(SLEEP);\n"),
    (
        "statement by statement",
        "-- migrate: no-transaction\ncreate table b (n int);\ninsert into b values (1);\nselect pg_sleep(SLEEP);\n",
    ),
    (
        "an index outside",
        "-- migrate: no-transaction\ncreate table b (n int);\ninsert into b values (1);\ncreate function slow(n int) returns int \
         language plpgsql immutable as $$ begin perform pg_sleep(SLEEP); return n; end $$;\n\
         create index concurrently b_n on b (slow(n));\n",
    ),
    (
        "in its own transaction",
        "-- migrate: own-transaction\nbegin;\ncreate table b (n int);\ninsert into b values (1);\ncommit;\nbegin;\nselect pg_sleep(SLEEP);\ncommit;\n",
    ),
];

#[test]
fn whoever_is_killed_the_next_run_ends_right() {
    for (step, text) in STEPS {
        for victim in VICTIMS {
            let Some(bench) = Bench::new("whoever_is_killed_the_next_run_ends_right") else { return };
            let case = format!("{step}, {victim} killed");
            bench.migration("1_a", "create table a ();\n");
            bench.xtask("migrate").exits(0);
            // Slow only once: a sequence counts the attempts, and no transaction takes it back.
            bench.ask("create sequence tries");
            let text =
                text.replace("pg_sleep(SLEEP)", "pg_sleep(case when nextval('public.tries') = 1 then 30 else 0 end)");
            bench.migration("2_b", &text);
            let mut run = bench.sandbox.command(&["migrate"]).spawn();
            let sleeper = "select coalesce(max(pid), 0) from pg_stat_activity where datname = current_database() \
                           and wait_event = 'PgSleep'";
            let mut backend = String::new();
            let asleep = wait(Duration::from_secs(20), || {
                backend = bench.ask(sleeper);
                backend != "0"
            });
            assert!(asleep, "{case}: {}", run.stderr());
            match victim {
                "xtask" => run.kill(),
                "psql" => {
                    let own = |command: &str| command.contains("/psql -X -q -A") && !command.contains("guard");
                    let needle = format!("{}", run.pid());
                    let guards: Vec<u32> = all_processes()
                        .iter()
                        .filter(|it| it.command.contains(&format!("guard {needle} ")))
                        .map(|it| it.pid)
                        .collect();
                    let child = all_processes()
                        .into_iter()
                        .find(|it| own(&it.command) && parent(it.pid).is_some_and(|pid| guards.contains(&pid)));
                    signal("KILL", child.unwrap_or_else(|| panic!("{case}: no psql")).pid);
                }
                // kill -9 of a server process would end them all; this is what the server does to one.
                _ => _ = bench.ask(&format!("select pg_terminate_backend({backend})")),
            }
            wait(Duration::from_secs(30), || run.is_over());
            let next = bench.xtask("migrate").exits(0);
            assert_eq!(bench.states(), "1 applied, 2 applied", "{case}: {next}");
            assert_eq!(bench.ask("select count(*) from b"), "1", "{case}");
            let broken = "select count(*) from pg_index where not indisvalid";
            assert_eq!(bench.ask(broken), "0", "{case}");
            assert_eq!(
                bench.ask(
                    "select count(*) from pg_locks join pg_database d on d.oid = database \
                                     where locktype = 'advisory' and datname = current_database()"
                ),
                "0",
                "{case}"
            );
            bench.xtask("migrate").exits(0).says("nothing to do");
        }
    }
}
