//! kill -9 at every step of whatever writes to a database: of the run, of the client that it talks through, and of the
//! whole server. The next run ends right, nothing is lost or done twice, no lock and no session stays.
//!
//! The table below names each step and how it is met. All of it takes minutes, so `cargo xtask test kills` runs it
//! (XTASK_TEST_KILLS=all; or a part of a name), and else every seventh case is run.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::database::Bench;
use crate::sandbox::{Running, all_processes, parent, signal, wait};

/// The number of the schema's lock.
const LOCK: &str = "4371319755203453149";

/// Where a run is when it is killed.
#[derive(Clone, Copy)]
enum At {
    /// It has printed this.
    Says(&'static str),
    /// Its session waits, in a statement that has the second text in it, for what the first statement holds.
    Waits(&'static str, &'static str),
    /// Its client is at work on a statement with this in it.
    Works(&'static str),
}

/// One line of the table.
struct Step {
    name: &'static str,
    words: &'static str,
    before: fn(&Bench),
    at: At,
    /// The program through which it talks to the server.
    child: &'static str,
    /// What holds when the run was killed there, and again when the next one has ended well.
    outcome: &'static str,
    holds: fn(&Bench) -> String,
    /// What `holds` answers after the kill, one of these, and after the next run, the last.
    answers: &'static [&'static str],
}

/// A statement of a file that waits as long as a test holds this.
const GATE: &str = "select pg_advisory_lock(77)";
const PASS: &str = "select pg_advisory_lock(77), pg_advisory_unlock(77);\n";

fn one_applied(bench: &Bench) {
    bench.migration("1_a", "create table a (n int);\n");
    bench.xtask("migrate").exits(0);
}
fn pending(bench: &Bench) {
    one_applied(bench);
    bench.migration("2_b", "create table b (n int);\ninsert into b values (1);\n");
}
fn slow(bench: &Bench) {
    one_applied(bench);
    bench.migration("2_b", &format!("create table b (n int);\ninsert into b values (1);\n{PASS}"));
}
fn slow_at_commit(bench: &Bench) {
    one_applied(bench);
    bench.migration(
        "2_b",
        &format!(
            "create table b (n int);\ncreate function late() returns trigger language plpgsql as $$ begin perform {}\n\
             return null; end $$;\ncreate constraint trigger late after insert on b deferrable initially deferred for \
             each row execute function late();\ninsert into b values (1);\n",
            PASS.trim_start_matches("select ")
        ),
    );
}
fn slow_in_the_middle_of_many(bench: &Bench) {
    one_applied(bench);
    for number in 2..=40 {
        let pass = if number == 30 { PASS } else { "" };
        bench.migration(&format!("{number}_t"), &format!("create table t{number} (n int);\n{pass}"));
    }
}
fn slow_view(bench: &Bench) {
    one_applied(bench);
    bench
        .sandbox
        .write("database/migrations/repeatable/v.sql", format!("create or replace view v as select 1 as n;\n{PASS}"));
}
fn outside(bench: &Bench, statements: &str) {
    one_applied(bench);
    bench.migration(
        "2_b",
        &format!("-- migrate: no-transaction\ncreate table b (n int);\ninsert into b values (1);\n{statements}"),
    );
}
fn outside_slow(bench: &Bench) {
    outside(bench, PASS);
}
fn outside_index(bench: &Bench) {
    let pass = PASS.trim_start_matches("select ").trim_end();
    outside(
        bench,
        &format!(
            "create function slow(n int) returns int language plpgsql immutable as $$ begin perform {pass} return n; end $$;\n\
             create index concurrently b_n on b (slow(n));\n"
        ),
    );
}
/// Begun by an earlier run that failed at its third statement.
fn outside_resumed(bench: &Bench) {
    outside(bench, "insert into b select 1 / count(*) from a;\nselect 4;\n");
    bench.xtask("migrate").exits(1).says("division by zero");
    bench.ask("insert into a values (1)");
}
fn down(bench: &Bench) {
    one_applied(bench);
    bench.migration("2_b", "create table b (n int);\ninsert into b values (1);\n");
    bench.migration("2_b.down", &format!("{PASS}drop table b;\n"));
    bench.xtask("migrate").exits(0);
}
fn down_quick(bench: &Bench) {
    down(bench);
    bench.migration("2_b.down", "drop table b;\n");
}
fn down_outside(bench: &Bench) {
    down(bench);
    bench.migration("2_b.down", &format!("-- migrate: no-transaction\ndelete from b;\n{PASS}drop table b;\n"));
}
fn edited(bench: &Bench) {
    pending(bench);
    bench.xtask("migrate").exits(0);
    bench.migration("2_b", "create table b (n int);\ninsert into b values (1); -- edited\n");
}
fn histories(bench: &Bench) {
    one_applied(bench);
    bench.ask(
        "create table b (n int); insert into b values (1); create table schema_migrations (version text); \
               insert into schema_migrations values ('2')",
    );
    bench.sandbox.write("old/2_b.sql", "-- migrate:up\ncreate table b (n int);\n-- migrate:down\ndrop table b;\n");
}
fn seeds(bench: &Bench) {
    pending(bench);
    bench.xtask("migrate").exits(0);
    bench.sandbox.write("database/seeds/dev/1.sql", format!("insert into b values (7);\n{PASS}"));
}
fn rows(bench: &Bench) {
    pending(bench);
    bench.xtask("migrate").exits(0);
    bench.ask("create table big (n int primary key, a text); insert into a values (1), (2)");
    let lines: String = (1..=200_000).map(|number| format!("{number},row {number}\n")).collect();
    bench.sandbox.write("big.csv", format!("n,a\n{lines}"));
}
fn filled(bench: &Bench) {
    pending(bench);
    bench.xtask("migrate").exits(0);
    bench.ask("create table big as select i as n, md5(i::text) as a, md5((i * 7)::text) as b from generate_series(1, 250000) i");
    bench.ask("alter table big add primary key (n)");
}
fn backed_up(bench: &Bench) {
    filled(bench);
    bench.xtask("db backup").exits(0);
    bench.ask("create table since ()");
}
/// dev and staging in one server; staging has rows.
fn two(bench: &Bench) {
    one_applied(bench);
    bench.migration("2_big", "create table big (n int primary key, a text);\n");
    bench.xtask("migrate").exits(0);
    bench.ask_at(&bench.server, "drop database if exists staging with (force)");
    bench.ask_at(&bench.server, "create database staging");
    let url = bench.url.replace("/vital_dev?", "/staging?");
    let schema = format!("{}\n# @type=bool @required\nPROTECTED=false\n", crate::sandbox::SCHEMA);
    bench.sandbox.write("config/environments/.env.staging.example", schema);
    bench
        .sandbox
        .write("config/environments/.env.staging", format!("DATABASE_ADMIN_URL={url}\nAPI_KEY=a-key-of-staging\n"));
    bench.xtask("migrate --env staging").exits(0);
    bench.ask_at(&url, "insert into big select i, md5(i::text) from generate_series(1, 250000) i");
    bench.ask("insert into big values (-1, 'old')");
    bench.sandbox.write("database/masking.yaml", "public.big.a: hash\n");
}
fn released(bench: &Bench) {
    for number in 1..=60 {
        bench.migration(&format!("{number}_t"), &format!("create table t{number} (n int);\n"));
    }
    bench.xtask("migrate").exits(0);
}

/// The states of the migrations, and rows of b: all that `up` and `down` are about.
fn states(bench: &Bench) -> String {
    let rows = bench.ask(
        "select coalesce(string_agg(version || ' ' || state, ', ' order by version::numeric), '') from ops.migration",
    );
    let table = if bench.ask("select to_regclass('b') is null") == "t" {
        "no b".to_owned()
    } else {
        bench.ask("select count(*) from b")
    };
    format!("{rows}; {table}")
}
fn many(bench: &Bench) -> String {
    let applied = bench.ask("select count(*) from ops.migration");
    let tables = bench.ask("select count(*) + 1 from pg_class where relname ~ '^t[0-9]+$'");
    let order = "select count(*) from (select version::int, lag(version::int) over (order by id) as before from \
                 ops.migration_event) e where before > version";
    format!(
        "as many rows as tables: {}, out of order: {}, all: {}",
        applied == tables,
        bench.ask(order),
        applied == "40"
    )
}
fn repeatable(bench: &Bench) -> String {
    bench.ask("select (select count(*) from ops.repeatable) || ' ' || (to_regclass('v') is not null)")
}
fn index(bench: &Bench) -> String {
    format!(
        "{}; {} whole",
        states(bench),
        bench.ask("select count(*) from pg_index where indexrelid = to_regclass('b_n') and indisvalid")
    )
}
fn ledger(bench: &Bench) -> String {
    let events = bench.ask("select coalesce(string_agg(event, ' ' order by id), '') from ops.migration_event");
    format!("{}; {events}", states(bench))
}
fn seeded(bench: &Bench) -> String {
    bench.ask("select count(*) from b where n = 7")
}
fn loaded(bench: &Bench) -> String {
    bench.ask(
        "select count(*) || ' ' || coalesce(sum(n), 0) || ' ' || count(*) filter (where a <> 'row ' || n) from big",
    )
}
fn backups(bench: &Bench) -> String {
    let listed = bench.xtask("db backups --json").json();
    let listed = listed["backups"].as_array().unwrap();
    let half = std::fs::read_dir(bench.sandbox.path(".ops/backups/dev")).into_iter().flatten().flatten();
    let half = half.filter(|entry| entry.file_name().to_string_lossy().ends_with(".new")).count();
    format!("{} whole, damaged: {}, half: {half}", listed.len(), listed.iter().any(|one| one["is_damaged"] == true))
}
fn whole_backups(bench: &Bench) -> String {
    backups(bench).split(", half").next().unwrap().to_owned()
}
fn restored(bench: &Bench) -> String {
    let since = bench.ask("select to_regclass('since') is not null");
    let big = bench.ask("select count(*) from big");
    format!("since: {since}, rows: {big}")
}
fn synced(bench: &Bench) -> String {
    bench.ask("select count(*) || ' ' || count(*) filter (where a ~ '^row' or a = md5(n::text)) from big")
}
/// Each file once, in one of the two folders, and every line of checksums true.
fn frozen(bench: &Bench) -> String {
    let folder = |name: &str| bench.sandbox.path(format!("database/migrations/{name}"));
    let names = |name: &str| {
        let entries = std::fs::read_dir(folder(name)).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".sql")).collect::<Vec<_>>()
    };
    let (pending, applied) = (names("pending"), names("applied"));
    let twice = pending.iter().any(|name| applied.contains(name));
    let mut check = Command::new("sha256sum");
    check
        .args(["-c", "--quiet", "checksums"])
        .current_dir(folder("applied"))
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    let is_true = !folder("applied/checksums").exists() || check.status().unwrap().success();
    format!(
        "{} files, twice: {twice}, true: {is_true}, pending: {}",
        pending.len() + applied.len(),
        !pending.is_empty()
    )
}

const NO_EVENT: &str = "begin; lock table ops.migration_event in share row exclusive mode";
const NO_ROW: &str = "begin; lock table ops.migration in share row exclusive mode";
const UP: &[&str] = &["1 applied; no b", "1 applied, 2 applied; 1"];
const OUTSIDE: &[&str] = &[
    "1 applied; no b",
    "1 applied, 2 running; no b",
    "1 applied, 2 running; 0",
    "1 applied, 2 running; 1",
    "1 applied, 2 applied; 1",
];
const COUNTED: &[&str] = &["1 applied, 2 running; 1", "1 applied, 2 applied; 2"];
const FINISHED: &[&str] = &["1 applied, 2 running; 2", "1 applied, 2 applied; 2"];
const DOWN: &[&str] = &["1 applied, 2 applied; 1", "1 applied; no b"];
const MANY: &[&str] = &[
    "as many rows as tables: true, out of order: 0, all: false",
    "as many rows as tables: true, out of order: 0, all: true",
];

macro_rules! step {
    ($name:literal, $words:literal, $before:expr, $at:expr, $child:literal, $outcome:literal, $holds:expr, $answers:expr) => {
        Step {
            name: $name,
            words: $words,
            before: $before,
            at: $at,
            child: $child,
            outcome: $outcome,
            holds: $holds,
            answers: $answers,
        }
    };
}

#[rustfmt::skip]
const STEPS: &[Step] = &[
    step!("up, waiting for the lock", "migrate --lock-wait 60", pending, At::Says("waiting for the lock"), "psql",
        "nothing was begun", states, UP),
    step!("up, looking at the ledger", "migrate", pending, At::Waits("begin; lock table ops.identity", "ops.identity"), "psql",
        "nothing was begun", states, UP),
    step!("up, in a statement", "migrate", slow, At::Waits(GATE, "pg_advisory_lock"), "psql",
        "the file is taken back as a whole", states, UP),
    step!("up, writing the ledger", "migrate", pending, At::Waits(NO_EVENT, "insert into ops.migration_event"), "psql",
        "the file is taken back as a whole", states, UP),
    step!("up, committing", "migrate", slow_at_commit, At::Waits(GATE, "commit"), "psql",
        "the file and its row are there, or neither", states, UP),
    step!("up, in the middle of many files", "migrate", slow_in_the_middle_of_many, At::Waits(GATE, "pg_advisory_lock"), "psql",
        "as many rows as tables, in order, none of those behind", many, MANY),
    step!("up, in a repeatable file", "migrate", slow_view, At::Waits(GATE, "pg_advisory_lock"), "psql",
        "the view and its row are there, or neither", repeatable, &["0 false", "1 true"]),
    step!("up outside, writing the intent", "migrate", outside_slow, At::Waits(NO_ROW, "insert into ops.migration"), "psql",
        "nothing was begun", states, OUTSIDE),
    step!("up outside, in a statement", "migrate", outside_slow, At::Waits(GATE, "pg_advisory_lock"), "psql",
        "what is done is counted, and goes on there", states, OUTSIDE),
    step!("up outside, counting a statement", "migrate", outside_resumed, At::Waits(NO_ROW, "update ops.migration"), "psql",
        "the statement and its count are there, or neither", states, COUNTED),
    step!("up outside, building an index", "migrate", outside_index, At::Waits(GATE, "create index concurrently"), "psql",
        "an INVALID index is dropped and built again", index, &["1 applied, 2 running; 1; 0 whole", "1 applied, 2 applied; 1; 1 whole"]),
    step!("up outside, at the end", "migrate", outside_resumed, At::Waits(NO_EVENT, "insert into ops.migration_event"), "psql",
        "all is done, and the row says so with the next run", states, FINISHED),
    step!("down, in a statement", "migrate down", down, At::Waits(GATE, "pg_advisory_lock"), "psql",
        "it is taken back as a whole", states, DOWN),
    step!("down, writing the ledger", "migrate down", down_quick, At::Waits(NO_EVENT, "insert into ops.migration_event"), "psql",
        "it is taken back as a whole", states, DOWN),
    step!("down outside", "migrate down", down_outside, At::Waits(GATE, "pg_advisory_lock"), "psql",
        "what is done is counted, and goes on there", states, &["1 applied, 2 reverting; 0", "1 applied; no b"]),
    step!("baseline", "migrate baseline 2", pending, At::Waits(NO_EVENT, "insert into ops.migration_event"), "psql",
        "all rows or none", ledger, &["1 applied; no b; applied", "1 applied, 2 baseline; no b; applied baseline"]),
    step!("repair", "migrate repair", edited, At::Waits(NO_EVENT, "insert into ops.migration_event"), "psql",
        "all rows or none", ledger, &["1 applied, 2 applied; 1; applied applied", "1 applied, 2 applied; 1; applied applied repaired"]),
    step!("import of a history", "migrate import old --env dev", histories, At::Waits(NO_EVENT, "insert into ops.migration_event"), "psql",
        "the files are there; all rows or none", ledger, &["1 applied; 1; applied", "1 applied, 2 baseline; 1; applied baseline"]),
    step!("promote, looking at the ledger", "migrate promote --env dev", released, At::Waits("begin; lock table ops.identity", "ops.identity"), "psql",
        "nothing was begun", frozen, &["60 files, twice: false, true: true, pending: true", "60 files, twice: false, true: true, pending: false"]),
    step!("promote, moving files", "migrate promote --env dev", released, At::Says("> freeze"), "psql",
        "each file is in one place, each line is true", frozen, &["60 files, twice: false, true: true, pending: true", "60 files, twice: false, true: true, pending: false"]),
    step!("seed", "db seed", seeds, At::Waits(GATE, "pg_advisory_lock"), "psql",
        "all seeds or none", seeded, &["0", "1"]),
    step!("backup, looking at tables", "db backup --lock-wait 30", filled, At::Works("hashtextextended"), "psql",
        "no backup is listed that is not whole", whole_backups, &["0 whole, damaged: false", "1 whole, damaged: false"]),
    step!("backup, in pg_dump", "db backup --lock-wait 30", filled, At::Works("COPY"), "pg_dump",
        "no backup is listed that is not whole", whole_backups, &["0 whole, damaged: false", "1 whole, damaged: false"]),
    step!("restore, checking files", "db restore latest --yes", backed_up, At::Says("> check"), "psql",
        "the old database serves on", restored, &["since: t, rows: 250000", "since: f, rows: 250000"]),
    step!("restore, in pg_restore", "db restore latest --yes", backed_up, At::Works("COPY"), "pg_restore",
        "the old database serves on", restored, &["since: t, rows: 250000", "since: f, rows: 250000"]),
    step!("restore, comparing", "db restore latest --yes", backed_up, At::Says("> verify"), "psql",
        "the old database serves on", restored, &["since: t, rows: 250000", "since: f, rows: 250000"]),
    step!("restore, making statistics", "db restore latest --yes", backed_up, At::Says("> analyze"), "psql",
        "the old database serves on", restored, &["since: t, rows: 250000", "since: f, rows: 250000"]),
    step!("restore, swapping", "db restore latest --yes", backed_up, At::Says("> put it in the place"), "psql",
        "the one database or the other, whole", restored, &["since: t, rows: 250000", "since: f, rows: 250000"]),
    step!("import of rows", "db import big.csv --table big", rows, At::Works("copy"), "psql",
        "all rows or none", loaded, &["0 0 0", "200000 20000100000 0"]),
    step!("sync, reading out", "db sync --from staging --yes", two, At::Works("copy (select"), "psql",
        "dev's rows are the old ones", synced, &["1 0", "250000 0"]),
    step!("sync, loading", "db sync --from staging --yes", two, At::Works("copy \"public\""), "psql",
        "the old rows or the new ones, all of them", synced, &["1 0", "250000 0"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Run,
    Client,
    Server,
}

#[test]
fn whatever_is_killed_the_next_run_ends_right() {
    let Some(bench) = Bench::own("whatever_is_killed_the_next_run_ends_right") else { return };
    bench.sandbox.write("database/backups/backup-policy.md", crate::backup::POLICY);
    let all = std::env::var("XTASK_TEST_KILLS").is_ok_and(|value| value == "all");
    let only = std::env::var("XTASK_TEST_KILLS").unwrap_or_default();
    let mut ran = 0;
    let victims = [Victim::Run, Victim::Client, Victim::Server];
    let cases = STEPS.iter().flat_map(|step| victims.map(|victim| (step, victim)));
    let mut missed = Vec::new();
    for (number, (step, victim)) in cases.enumerate() {
        let is_named = !only.is_empty() && format!("{}, {victim:?}", step.name).contains(&only);
        if all || is_named || (only.is_empty() && number % 7 == 0) {
            missed.extend(kill_at(&bench, step, victim));
            ran += 1;
        }
    }
    println!("{ran} of {} cases; the kill came too late for {missed:#?}", STEPS.len() * victims.len());
    // A step that lasts a moment may be over before the kill; that says nothing, but most must be met.
    assert!(ran > 0 && missed.len() <= 1 + ran / 10, "{ran} ran, and the kill came too late for {missed:#?}");
}

/// Kills one at one step; the case's name when the run was over before.
fn kill_at(bench: &Bench, step: &Step, victim: Victim) -> Option<String> {
    let case = format!("{}, {victim:?} killed ({})", step.name, step.outcome);
    clear(bench);
    (step.before)(bench);
    let mut hold = match step.at {
        At::Waits(held, _) => Some(bench.hold(held)),
        At::Says("waiting for the lock") => Some(bench.hold(&format!("select pg_advisory_lock({LOCK})"))),
        _ => None,
    };
    let words: Vec<&str> = step.words.split_whitespace().collect();
    let mut run = bench.sandbox.command(&words).spawn();
    meet(bench, step, &mut run, &case);
    let mut was_over = run.is_over();
    match victim {
        Victim::Run => run.kill(),
        Victim::Client => {
            let children = child_of(&run, step.child);
            was_over |= children.is_empty();
            children.into_iter().for_each(|pid| signal("KILL", pid));
        }
        Victim::Server => bench.sandbox.kill_service("database"),
    }
    if victim != Victim::Server {
        // What holds it goes when the killed one has been noticed, as it would in life.
        wait(Duration::from_secs(3), || sessions(bench) == "0");
    }
    drop(hold.take());
    assert!(wait(Duration::from_secs(60), || run.is_over()), "{case}: it does not end\n{}", run.stderr());
    let said = run.stderr();
    if victim == Victim::Server {
        bench.xtask("migrate status").exits(0);
    }
    assert!(wait(Duration::from_secs(20), || sessions(bench) == "0"), "{case}: a session stays\n{said}");
    let answer = (step.holds)(bench);
    assert!(step.answers.contains(&answer.as_str()), "{case}: {answer:?}\n{said}");
    let next = bench.xtask(step.words);
    let last = *step.answers.last().unwrap();
    // A run that came to its end although something was killed has left nothing to do.
    let is_done = answer == last && matches!(next.code, Some(0..=3));
    assert!(next.code == Some(0) || is_done, "{case}: {said}\nthen {next}");
    assert_eq!((step.holds)(bench), last, "{case}: {said}\nthen {next}");
    assert_eq!(bench.ask("select count(*) from pg_locks where locktype = 'advisory'"), "0", "{case}: a lock stays");
    let beside =
        "select coalesce(string_agg(datname, ' '), '') from pg_database where datname like 'vital\\_dev\\_\\_restore%'";
    assert_eq!(bench.ask(beside), "", "{case}: a database stays");
    assert!(!bench.sandbox.path(".ops/transit").exists(), "{case}: rows on their way stay");
    was_over.then_some(case)
}

fn meet(bench: &Bench, step: &Step, run: &mut Running, case: &str) {
    let query = |condition: &str| {
        format!(
            "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and application_name like 'xtask %' and {condition}"
        )
    };
    let met = match step.at {
        At::Says(text) => wait(Duration::from_secs(30), || run.stderr().contains(text) || run.is_over()),
        At::Waits(_, text) => {
            let waits = query(&format!("query ilike '%{text}%' and wait_event_type = 'Lock'"));
            wait(Duration::from_secs(30), || bench.ask(&waits) != "0" || run.is_over())
        }
        At::Works(text) => {
            let works = query(&format!("query ilike '%{text}%' and state = 'active'"));
            wait(Duration::from_secs(30), || bench.ask_at(&bench.server, &works) != "0" || run.is_over())
        }
    };
    assert!(met, "{case}: it does not get there\n{}", run.stderr());
}

/// The program that a run talks through: below its guard.
fn child_of(run: &Running, program: &str) -> Vec<u32> {
    let guard = format!("guard {} ", run.pid());
    let guards: Vec<u32> = all_processes().iter().filter(|it| it.command.contains(&guard)).map(|it| it.pid).collect();
    let is_it = |command: &str| command.contains(&format!("/{program} ")) && !command.contains(" guard ");
    let children = all_processes().into_iter().filter(|it| is_it(&it.command));
    children.filter(|it| parent(it.pid).is_some_and(|pid| guards.contains(&pid))).map(|it| it.pid).collect()
}

/// Sessions of runs on the server, but for those that only look.
fn sessions(bench: &Bench) -> String {
    bench.ask_at(
        &bench.server,
        "select count(*) from pg_stat_activity where application_name like 'xtask %' and pid <> pg_backend_pid()",
    )
}

/// An empty database, and no file of an earlier case.
fn clear(bench: &Bench) {
    for folder in ["pending", "applied", "repeatable"] {
        let folder = bench.sandbox.path(format!("database/migrations/{folder}"));
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_name() != "README.md" {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    for folder in ["database/seeds", ".ops/backups", "old"] {
        let _gone = std::fs::remove_dir_all(bench.sandbox.path(folder));
    }
    let names = bench.ask_at(&bench.server, "select datname from pg_database where datname like 'vital%'");
    for name in names.lines() {
        bench.ask_at(&bench.server, &format!("drop database \"{name}\" with (force)"));
    }
    bench.xtask("migrate").exits(0);
}
