//! The ways in which a SQL file, psql or a server can mislead a tool that runs migrations, each of which some tool has
//! fallen for: what a file says to psql, where an error is, what stays in a session, which bytes are a migration.

use std::time::Duration;

use crate::database::Bench;
use crate::sandbox::wait;

#[test]
fn psql_is_told_nothing_by_files_or_by_its_user() {
    let Some(mut bench) = Bench::new("psql_is_told_nothing_by_files_or_by_its_user") else { return };
    // What a person has set up for psql must not end it, or switch its errors off.
    let home = bench.sandbox.path("home");
    bench.sandbox.write("home/.psqlrc", "\\set ON_ERROR_STOP off\n\\set AUTOCOMMIT off\n\\echo of the person\n\\q\n");
    bench.sandbox.set("HOME", home.clone());
    bench.sandbox.set("PSQLRC", home.join(".psqlrc"));
    for (command, hint) in [
        ("\\q", "what stands below would never run"),
        ("\\connect postgres", "runs in the database of its environment"),
        ("\\! touch hacked", "runs no shell"),
        ("\\set ON_ERROR_STOP 0", "a file stops at its first error"),
        ("\\set x `id`", "\\set"),
        ("\\copy a from x", "use COPY"),
        ("\\gexec", "end the statement with `;`"),
        ("\\if true", "use a DO block"),
    ] {
        bench.migration("1_a", &format!("create table a ();\n  {command}\nselect nope;\n"));
        let run = bench.xtask("migrate").exits(2).says("pending/1_a.sql:2:3: error: ");
        assert!(run.stderr.contains(hint), "{command}: {run}");
    }
    bench.migration("1_a", "create table a ()\n\\q\n;\n");
    bench.xtask("migrate").exits(2).says("1_a.sql:2:1: error: the psql command `\\q` inside a statement");
    assert_eq!(bench.ask("select to_regclass('a') is null"), "t");
    // The data of a COPY that fails at once is no command either.
    let hacked = bench.sandbox.path("hacked");
    bench.migration("1_a", &format!("copy nowhere from stdin;\n\\! touch {}\n\\.\n", hacked.display()));
    bench.xtask("migrate").exits(1).says("relation \"nowhere\" does not exist");
    assert!(!hacked.exists(), "psql ran a line of data");
    // Its variables are not put into SQL; what pg_dump writes around a dump is taken; the last `;` may be missing.
    bench.migration(
        "1_a",
        "\\set ON_ERROR_STOP on\n\\restrict abc\ncreate table a (v text);\ninsert into a values (':USER'), ((array['x','y'])[1:1]::text), \
         ('a' /* :HOST */ || $$:DBNAME$$);\n\\unrestrict abc\ninsert into a select ((array['p','q','r'])[1:PORT])::text from (select 2 as port) t;\n\
         insert into a select v from (select 'b'::text as v) t -- :PORT",
    );
    bench.xtask("migrate").exits(0).says_nothing_of("of the person");
    assert_eq!(bench.ask("select string_agg(v, ' ' order by v) from a"), ":USER a:DBNAME b {p,q} {x}");
}

#[test]
fn an_error_is_where_it_is() {
    let Some(bench) = Bench::new("an_error_is_where_it_is") else { return };
    let cases: &[(&str, &str)] = &[
        // psql would name the last line of the statement.
        (
            "select 1;\n\nselect\n  1,\n  nope\nfrom\n  pg_class;\n",
            "1_a.sql:5:3: error: column \"nope\" does not exist",
        ),
        ("\u{feff}-- größe €😀\r\nselect '€😀', nope\r\n;\r\n", "1_a.sql:2:14: error: column \"nope\" does not exist"),
        ("select 1; select 2; select\n\n\n nope;\n", "1_a.sql:4:2: error: column \"nope\" does not exist"),
        (
            "create table a (n int);\ncopy a from stdin;\n1\n2\nx\n4\n\\.\nselect 1;\n",
            "1_a.sql:5:1: error: invalid input syntax for type integer",
        ),
        (
            "select 1;\ndo $$\nbegin\n  perform 1;\n  raise exception 'on line five';\nend $$;\n",
            "1_a.sql:5:1: error: on line five",
        ),
        // A function's own query is in no file.
        (
            "create function f() returns int language plpgsql as $$ begin return (select nope2); end $$;\n\nselect f();\n",
            "1_a.sql:3:1: error: column \"nope2\" does not exist",
        ),
        ("create table a (n int);\ninsert into a values (1)\n", ""),
    ];
    for (text, place) in cases.iter().take(cases.len() - 1) {
        bench.migration("1_a", text);
        let run = bench.xtask("migrate").exits(1);
        assert!(run.stderr.contains(place), "{place} for {text:?}: {run}");
        assert_eq!(bench.ask("select to_regclass('a') is null"), "t");
    }
    // The server's own hint is kept, with the statement and a caret.
    bench.migration("1_a", "create table a (number int);\nselect numbr from a;\n");
    let run = bench.xtask("migrate").exits(1).says("  2 | select numbr from a;\n    |        ^");
    run.says("hint: Perhaps you meant to reference the column \"a.number\"");
}

#[test]
fn line_ends_and_marks_of_editors_are_no_part_of_a_migration() {
    let Some(bench) = Bench::new("line_ends_and_marks_of_editors_are_no_part_of_a_migration") else { return };
    let body = "create function f() returns text language sql as $$\nselect 'a\n b'\n$$;\n";
    bench.migration("1_f", &body.replace('\n', "\r\n"));
    bench.migration("2_t", "\u{feff}-- a licence\r\n\r\n-- migrate: no-transaction\r\ncreate table t (n int);\r\ncreate index concurrently t_n on t (n);\r\n");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select prosrc like E'%\\r%' from pg_proc where proname = 'f'"), "f");
    bench.migration("1_f", body);
    bench.xtask("migrate").exits(0).says("nothing to do");
}

#[test]
fn what_is_no_migration_is_refused() {
    let Some(bench) = Bench::new("what_is_no_migration_is_refused") else { return };
    bench.migration("1_one", "create table one ();\n");
    bench.xtask("migrate").exits(0);
    bench.migration("2_empty", "");
    bench.xtask("migrate").exits(2).says("pending/2_empty.sql:1:1: error: the file holds no statement");
    let pending = "database/migrations/pending";
    for (bytes, message) in [
        (&b"select 1;\n-- \xe9\n"[..], "2_empty.sql:2:4: error: byte 0xe9 is not UTF-8"),
        (b"select 1;\n\0", "2_empty.sql:2:1: error: a NUL byte"),
        (b"\xff\xfes\0", "2_empty.sql:1:1: error: the file is UTF-16, not UTF-8"),
    ] {
        bench.sandbox.write(format!("{pending}/2_empty.sql"), bytes);
        bench.xtask("migrate").exits(2).says(message);
    }
    std::fs::remove_file(bench.sandbox.path(format!("{pending}/2_empty.sql"))).unwrap();
    // A link may lead to a file of the workspace, and nowhere else.
    bench.sandbox.write("database/common.sql", "create table two ();\n");
    std::fs::write(bench.sandbox.path("../outside.sql"), "create table outside ();\n").unwrap();
    let link = bench.sandbox.path(format!("{pending}/2_two.sql"));
    for (target, message) in [
        ("../../../../outside.sql", "2_two.sql:1:1: error: the link leads out of the workspace"),
        ("nowhere.sql", "2_two.sql:1:1: error: cannot be read"),
    ] {
        let _gone = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        bench.xtask("migrate").exits(2).says(message);
    }
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../../common.sql", &link).unwrap();
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select to_regclass('two') is not null and to_regclass('outside') is null"), "t");
    // What is applied again and again is applied as a whole.
    let view = "database/migrations/repeatable/v.sql";
    bench.sandbox.write(view, "-- migrate: no-transaction\ncreate or replace view v as select 1 as n;\n");
    bench.xtask("migrate").exits(2).says("repeatable/v.sql:1:1: error: a repeatable migration runs in a transaction");
    std::fs::remove_file(bench.sandbox.path(view)).unwrap();
    // Another name is another migration, to whoever reads the ledger.
    let path = |name: &str| bench.sandbox.path(format!("{pending}/{name}.sql"));
    std::fs::rename(path("1_one"), path("1_uno")).unwrap();
    bench.xtask("migrate").exits(3).says("1_uno.sql:1:1: error: version 1 was applied with another content or name");
}

#[test]
fn no_file_switches_the_limits_off_for_the_next() {
    let Some(bench) = Bench::new("no_file_switches_the_limits_off_for_the_next") else { return };
    // As pg_dump begins.
    let head = "set statement_timeout = 0;\nset lock_timeout = 0;\nset row_security = off;\nset check_function_bodies = false;\n\
                select pg_catalog.set_config('search_path', '', false);\n";
    let seen = |number: u32| {
        format!(
            "create table public.seen{number} as select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement, \
                 current_setting('search_path') as path;\n"
        )
    };
    bench.migration("1_dump", &format!("{head}{}", seen(1)));
    bench.migration("2_next", &seen(2));
    bench.migration("3_slow", &format!("-- migrate: lock-timeout=7s, statement-timeout=2min\n{}", seen(3)));
    bench.migration("4_outside", &format!("-- migrate: no-transaction\n{head}{}", seen(4)));
    bench.migration("5_last", &seen(5));
    bench.xtask("migrate").exits(0);
    let seen = |number: u32| bench.ask(&format!("select concat_ws(' ', lock, statement, path) from seen{number}"));
    assert_eq!([seen(1), seen(4)], ["0 0", "0 0"]);
    assert_eq!([seen(2), seen(5)], ["3s 1min \"$user\", public", "3s 1min \"$user\", public"]);
    assert_eq!(seen(3), "7s 2min \"$user\", public");
}

#[test]
fn a_savepoint_saves_no_file_that_failed() {
    let Some(bench) = Bench::new("a_savepoint_saves_no_file_that_failed") else { return };
    bench.migration("1_a", "create table a ();\nsavepoint s;\nselect nope;\nrollback to s;\ncreate table b ();\n");
    bench.xtask("migrate").exits(1).says("1_a.sql:3:8: error: column \"nope\" does not exist");
    assert_eq!(bench.ask("select to_regclass('a') is null and to_regclass('b') is null"), "t");
    assert_eq!(bench.states(), "1 pending");
}

#[test]
fn a_new_value_of_an_enum_waits_for_its_commit() {
    let Some(bench) = Bench::new("a_new_value_of_an_enum_waits_for_its_commit") else { return };
    bench.migration("1_kind", "create type kind as enum ('a');\ncreate table t (k kind);\n");
    bench.xtask("migrate").exits(0);
    let both = "alter type kind add value 'b';\ninsert into t values ('b');\n";
    bench.migration("2_both", both);
    bench
        .xtask("migrate")
        .exits(1)
        .says("2_both.sql:2:23: error: unsafe use of new value")
        .says("use the new value in a migration of its own");
    bench.migration("2_both", &format!("-- migrate: no-transaction\n{both}"));
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select k from t"), "b");
}

#[test]
fn what_comes_late_is_refused_where_others_rely_on_the_order() {
    let Some(bench) = Bench::new("what_comes_late_is_refused_where_others_rely_on_the_order") else { return };
    let schema = bench.sandbox.read("config/environments/.env.dev.example");
    bench.sandbox.write("config/environments/.env.staging.example", schema);
    bench.sandbox.write(
        "config/environments/.env.staging",
        format!("DATABASE_ADMIN_URL={0}\nDATABASE_URL={0}\nAPI_KEY=k-of-staging\n", bench.url),
    );
    bench.migration("2_b", "create table b ();\n");
    bench.xtask("migrate --env staging").exits(0);
    bench.migration("1_a", "create table a ();\n");
    for words in ["migrate --env staging", "migrate --env staging --plan"] {
        let run = bench
            .xtask(words)
            .exits(3)
            .says("pending/1_a.sql:1:1: error: version 1 is older than 2, the newest one applied");
        run.says("rename it to a later version").says("nothing was touched");
    }
    bench.xtask("migrate --env staging --out-of-order").exits(0);
    assert_eq!(bench.ask("select to_regclass('a') is not null"), "t");
    // Applied elsewhere: dev is not told to make it fit.
    bench.migration("2_b", "create table b (n int);\n");
    bench
        .xtask("migrate --env staging")
        .exits(3)
        .says("put it back as it was (git log shows it)")
        .says_nothing_of("db reset");
    bench.xtask("migrate repair --env staging").exits(3).says("--confirm staging");
    bench.xtask("migrate repair --env staging --confirm dev").exits(3).says("not confirmed; nothing was touched");
    bench.xtask("migrate --env staging").exits(3);
    bench.xtask("migrate repair --env staging --confirm staging").exits(0);
    bench.xtask("migrate --env staging").exits(0);
}

#[test]
fn what_a_killed_run_left_at_work_is_named() {
    let Some(bench) = Bench::new("what_a_killed_run_left_at_work_is_named") else { return };
    bench.migration("1_a", "create table a ();\n");
    let url = format!(
        "{}{}application_name=xtask%20migrate%20up%20pid%201%20x@elsewhere",
        bench.url,
        if bench.url.contains('?') { "&" } else { "?" }
    );
    let left = bench.spawn_at(&url, "select pg_sleep(30)");
    let at_work =
        "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and datname = current_database()";
    assert!(wait(Duration::from_secs(10), || bench.ask(at_work) == "1"));
    bench.xtask("migrate").exits(0).says(
        "of `xtask migrate up pid 1 x@elsewhere` (select pg_sleep(30)) is still at work: an earlier run was killed",
    );
    drop(left);
}

#[test]
fn a_deadlock_is_tried_again() {
    let Some(bench) = Bench::new("a_deadlock_is_tried_again") else { return };
    bench.migration("1_t", "create table a (n int);\ncreate table b (n int);\n");
    bench.xtask("migrate").exits(0);
    // Each goes on only when the other one holds its first table, and the migration closes the circle: it is the one that
    // looks for a deadlock, because the other one waits for a minute before it does.
    let locked = |table: &str, granted: &str| {
        format!(
            "exists (select from pg_locks where relation = '{table}'::regclass and mode = 'AccessExclusiveLock' \
             and database = (select oid from pg_database where datname = current_database()) \
             and pid <> pg_backend_pid() and {granted})"
        )
    };
    let until =
        |condition: &str| format!("do $$ begin while not ({condition}) loop perform pg_sleep(0.02); end loop; end $$;");
    // The second time the other one is done, and has nothing any more.
    let closes = until(&format!("{} or not {}", locked("a", "not granted"), locked("b", "granted")));
    bench.migration("2_both", &format!("lock table a;\n{closes}\nlock table b;\ninsert into a values (1);\n"));
    let other = bench.hold("set deadlock_timeout = '60s';\nbegin;\nlock table b");
    other.goes_on(&format!("{}\nlock table a;\ncommit;", until(&locked("a", "granted"))));
    bench.sandbox.replace("config/services/database.yaml", "lock: 3s", "lock: 10s");
    bench.xtask("migrate").exits(0).says("another session holds a lock that is needed; trying again");
    assert_eq!(bench.ask("select count(*) from a"), "1");
    drop(other);
}

#[test]
fn a_statement_outside_a_transaction_is_tried_again() {
    let Some(bench) = Bench::new("a_statement_outside_a_transaction_is_tried_again") else { return };
    bench.migration("1_t", "create table t (n int);\n");
    bench.xtask("migrate").exits(0);
    bench.sandbox.replace("config/services/database.yaml", "lock: 3s", "lock: 200ms");
    let holder = bench.hold("begin;\nlock table t");
    bench.migration("2_n", "-- migrate: no-transaction\ninsert into t values (1);\nselect 1;\n");
    let mut run = bench.sandbox.command(&["migrate"]).spawn();
    let told = "another session holds a lock that is needed; trying again";
    assert!(wait(Duration::from_secs(60), || run.stderr().contains(told) || run.is_over()), "{}", run.stderr());
    drop(holder);
    run.wait().exits(0).says(told);
    assert_eq!(bench.ask("select count(*) from t"), "1");
}

#[test]
fn an_index_is_built_for_as_long_as_it_takes() {
    let Some(bench) = Bench::new("an_index_is_built_for_as_long_as_it_takes") else { return };
    bench.migration("1_t", "create table t (n int);\n");
    bench.xtask("migrate").exits(0);
    // It stands in nobody's way while it waits for a transaction to end, so the limit for locks is not for it.
    bench.sandbox.replace("config/services/database.yaml", "lock: 3s", "lock: 200ms");
    let holder = bench.hold("begin;\ninsert into t values (1)");
    bench.migration("2_n", "-- migrate: no-transaction\ncreate index concurrently t_n on t (n);\n");
    let run = bench.sandbox.command(&["migrate"]).spawn();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' \
                 and query like 'create index concurrently%' and clock_timestamp() - query_start > interval '1s'";
    assert!(wait(Duration::from_secs(60), || bench.ask(waits) == "1"), "{}", run.stderr());
    drop(holder);
    run.wait().exits(0).says_nothing_of("trying again");
    // One that somebody has left INVALID is no index, whatever `if not exists` makes of it.
    bench.ask("update pg_index set indisvalid = false where indexrelid = 't_n'::regclass");
    bench.migration("3_n", "-- migrate: no-transaction\ncreate index concurrently if not exists t_n on t (n);\n");
    let run = bench.xtask("migrate").exits(1).says("3_n.sql:2:1: error: an INVALID index t_n is there already");
    run.says("hint: drop index concurrently t_n");
    bench.ask("drop index t_n");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select indisvalid from pg_index where indexrelid = 't_n'::regclass"), "t");
}

#[test]
fn a_client_older_than_its_server_is_refused() {
    let Some(bench) = Bench::new("a_client_older_than_its_server_is_refused") else { return };
    let server = bench.ask("select current_setting('server_version_num')::int / 10000");
    let older = ["15", "16", "17"].into_iter().any(|major| {
        std::path::Path::new(&format!("/usr/lib/postgresql/{major}/bin/psql")).is_file() && major < server.as_str()
    });
    if !older || std::path::Path::new(&format!("/usr/lib/postgresql/{server}/bin/psql")).is_file() {
        return;
    }
    // Where nothing is unpacked, the machine's own is the newest there is.
    std::fs::remove_file(bench.sandbox.path(".ops/tools")).unwrap();
    bench.sandbox.write("database/backups/backup-policy.md", crate::backup::POLICY);
    bench.migration("1_t", "create table t (n int);\n");
    for words in ["migrate", "migrate status", "db export --out x", "db backup"] {
        let run = bench.xtask(words).exits(4).says(&format!("is PostgreSQL {server}, the newest client here"));
        run.says(&format!("postgresql-client-{server}"));
    }
    assert_eq!(bench.ask("select to_regclass('t') is null"), "t");
}
