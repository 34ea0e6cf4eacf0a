//! What `migrate` promises beyond the plain case: files that no one transaction holds, files that include others, what
//! is left half done, the way back, the ledger's history, frozen files, histories of other tools.

use std::time::Duration;

use crate::database::Bench;
use crate::sandbox::wait;

#[test]
fn a_file_outside_a_transaction_goes_on_where_it_stopped() {
    let Some(bench) = Bench::new("a_file_outside_a_transaction_goes_on_where_it_stopped") else { return };
    let head =
        "-- migrate: no-transaction\nset search_path = s;\ncreate table t (n int);\ninsert into t values (1), (1);\n";
    bench.migration("1_s", "create schema s;\n");
    bench.migration("2_t", &format!("{head}create unique index concurrently t_n on t (n);\nselect 1;\n"));
    let failed = bench.xtask("migrate").exits(1);
    failed.says("pending/2_t.sql:5:1: error: could not create unique index").says("the index s.t_n on s.t is INVALID");
    assert_eq!(bench.ask("select state || statements_done from ops.migration where version = '2'"), "running3");
    bench.xtask("migrate down").exits(3).says("version 2 was begun and is not finished");
    // What is done may not be edited, and what failed may.
    bench.migration("2_t", &format!("{}create unique index concurrently t_n on t (n);\n", head.replace("(1)", "(2)")));
    bench.xtask("migrate").exits(3).says("one of those was edited meanwhile");
    bench.migration("2_t", &format!("{head}delete from t;\ncreate unique index concurrently t_n on t (n);\n"));
    bench.xtask("migrate").exits(0).says("going on behind statement 3 of 5").says("left INVALID by a run");
    assert_eq!(bench.ask("select indisvalid from pg_index where indexrelid = 's.t_n'::regclass"), "t");
    assert_eq!(bench.states(), "1 applied, 2 applied");
    bench.xtask("migrate").exits(0).says("nothing to do");
}

#[test]
fn a_file_with_transactions_of_its_own_must_say_so_and_end_them() {
    let Some(bench) = Bench::new("a_file_with_transactions_of_its_own_must_say_so_and_end_them") else { return };
    bench.migration("1_a", "begin;\ncreate table a ();\ncommit;\n");
    bench.xtask("migrate").exits(2).says("pending/1_a.sql:1:1: error: BEGIN in a migration");
    let head = "-- migrate: own-transaction\nbegin;\ncreate table a (n int);\ncommit;\nbegin;\ncreate table b ();\n";
    bench.migration("1_a", head);
    bench.xtask("migrate").exits(1).says("does not end its last transaction");
    assert_eq!(bench.ask("select to_regclass('a') is not null and to_regclass('b') is null"), "t");
    bench.migration("1_a", &format!("{head}commit;\n"));
    bench.xtask("migrate").exits(0).says("going on behind statement 3 of 6");
    assert_eq!(bench.states(), "1 applied");
}

#[test]
fn what_a_file_does_to_its_session_ends_with_it() {
    let Some(bench) = Bench::new("what_a_file_does_to_its_session_ends_with_it") else { return };
    bench.migration(
        "1_a",
        "create schema s;\nset search_path = s;\nset default_transaction_read_only = on;\ncreate temp table x ();\n",
    );
    bench.migration("2_b", "create table b ();\ncreate temp table x ();\n");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select to_regclass('public.b') is not null"), "t");
    // The ledger is its owner's business, whoever a file has become.
    let role = format!("somebody_of_{}", bench.name);
    bench.migration("3_b", &format!("create role {role};\nset role {role};\nselect 1;\n"));
    bench.migration("4_b", &format!("-- migrate: no-transaction\nset role {role};\nselect 1;\n"));
    bench.migration(
        "5_b",
        &format!("create table d (o text);\ninsert into d values (current_user);\ndrop role {role};\n"),
    );
    bench.xtask("migrate").exits(0);
    assert_ne!(bench.ask("select o from d"), role);
    bench.migration("6_c", "create table c ();\nselect pg_advisory_unlock_all();\n");
    bench.xtask("migrate").exits(1).says("the lock of the schema was lost");
    assert_eq!(bench.ask("select to_regclass('c') is null"), "t");
}

#[test]
fn of_many_files_each_is_its_own_transaction() {
    let Some(bench) = Bench::new("of_many_files_each_is_its_own_transaction") else { return };
    for number in 1..=30 {
        bench.migration(&format!("{number}_t"), &format!("create table t{number} (n int);\n"));
    }
    // What one does to its session, and how one runs, must not reach the next, which is on its way already.
    bench
        .migration("5_t", "set default_transaction_read_only = on;\nprepare p as select 1;\ncreate temp table x ();\n");
    bench.migration("6_t", "prepare p as select 1;\ncreate temp table x ();\ncreate table t6 (n int);\n");
    bench.migration(
        "7_t",
        "create table t7 (n int);\n\ndo $$ begin raise warning 'of the seventh'; end $$;\nselect 7;\n",
    );
    bench.migration("8_t", "create table t8 (n int);\ncopy t8 from stdin;\n8\n\\.\n");
    bench.migration("9_t", "-- migrate: no-transaction\ncreate table t9 (n int);\nset lock_timeout = 1;\nselect 9;\n");
    bench.migration("20_t", "create table t20 (n int);\n\n  select nope;\n");
    let run = bench.xtask("migrate").exits(1);
    run.says("pending/7_t.sql:3:1: of the seventh").says("20_t.sql:3:10: error: column \"nope\" does not exist");
    assert_eq!(bench.ask("select count(*) from ops.migration where state = 'applied'"), "19");
    assert_eq!(bench.ask("select to_regclass('t19') is not null and to_regclass('t20') is null"), "t");
    assert_eq!(bench.ask("select to_regclass('t21') is null"), "t", "what stood behind the failure ran");
    bench.migration("31_t", "prepare again as select 1;\ninsert into t1 values (31);\n");
    for number in 32..=50 {
        bench.migration(&format!("{number}_t"), &format!("create table t{number} (n int);\n"));
    }
    // Only the commit says no: nothing of it stays, and the next, which is on its way, must not run either.
    bench.migration(
        "20_t",
        "create table t20 (n int unique deferrable initially deferred);\ninsert into t20 values (1), (1);\n",
    );
    bench.xtask("migrate").exits(1).says("pending/20_t.sql").says("duplicate key value violates unique constraint");
    assert_eq!(bench.ask("select to_regclass('t20') is null and to_regclass('t21') is null"), "t");
    bench.migration("20_t", "create table t20 (n int);\n");
    // Somebody holds a table for longer than a statement may wait: that file is tried again, and none is left out.
    bench.sandbox.replace("config/services/database.yaml", "lock: 3s", "lock: 200ms");
    let holder = bench.hold("begin;\nlock table t1");
    let run = bench.sandbox.command(&["migrate", "--json"]).spawn();
    let told = "another session holds a lock that is needed; trying again";
    assert!(wait(Duration::from_secs(60), || run.stderr().contains(told)), "{}", run.stderr());
    drop(holder);
    let run = run.wait().exits(0);
    assert_eq!(run.json()["applied"].as_array().unwrap().len(), 31);
    assert_eq!(bench.ask("select count(*) from t1"), "1");
    assert_eq!(
        bench.ask("select string_agg(version, ' ' order by id) from ops.migration_event"),
        (1..=50).map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
    );
    bench.xtask("migrate").exits(0).says("nothing to do");
}

#[test]
fn what_is_left_half_done_fails_the_run() {
    let Some(bench) = Bench::new("what_is_left_half_done_fails_the_run") else { return };
    bench.migration("1_a", "create table a (n int);\nalter table a add constraint k check (n > 0) not valid;\n");
    bench.xtask("migrate").exits(1).says("the constraint k on public.a is NOT VALID").says("validate constraint k");
    assert_eq!(bench.states(), "1 applied");
    bench.migration("2_b", "alter table a validate constraint k;\n");
    bench.xtask("migrate").exits(0);
    bench.migration("2_b.down", "alter table a add constraint l check (n > 1) not valid;\n");
    bench.xtask("migrate down").exits(1).says("the constraint l on public.a is NOT VALID");
    assert_eq!(bench.states(), "1 applied, 2 pending");
}

#[test]
fn included_files_are_part_of_the_migration() {
    let Some(bench) = Bench::new("included_files_are_part_of_the_migration") else { return };
    let common = "database/common/t.sql";
    bench.migration("1_a", "\\echo hello there\n\\ir ../../common/t.sql\n\\i /etc/passwd\n");
    bench.sandbox.write(common, "create table t ();\n");
    bench.xtask("migrate").exits(2).says("pending/1_a.sql:3:1: error: the included file `/etc/passwd` is outside");
    std::os::unix::fs::symlink("/etc/passwd", bench.sandbox.path("database/common/link.sql")).unwrap();
    bench.migration("1_a", "\\i database/common/link.sql\n");
    bench.xtask("migrate").exits(2).says("is outside the workspace");
    bench.migration("1_a", "\\ir ../../common/t.sql\n");
    bench.sandbox.write(common, "create table t ();\n\\i database/migrations/pending/1_a.sql\n");
    bench.xtask("migrate").exits(2).says("common/t.sql:2:1: error: the included file").says("includes itself");
    bench.sandbox.write(common, "-- migrate: no-transaction\ncreate table t ();\n");
    bench.xtask("migrate").exits(2).says("common/t.sql:1:1: error: a directive in an included file has no effect");
    bench.sandbox.write(common, "create table t ();\nselect nope;\n");
    bench.xtask("migrate").exits(1).says("database/common/t.sql:2:8: error: column \"nope\" does not exist");
    bench.sandbox.write(common, "create table t ();\n");
    bench.xtask("migrate").exits(0);
    bench.sandbox.write(common, "create table t (n int);\n");
    bench.xtask("migrate").exits(3).says("version 1 was applied with another content");
}

#[test]
fn the_way_back_needs_a_file_and_leaves_its_trace() {
    let Some(bench) = Bench::new("the_way_back_needs_a_file_and_leaves_its_trace") else { return };
    bench.migration("1_a", "create table a (n int);\n");
    bench.sandbox.write("database/migrations/repeatable/v.sql", "create or replace view v as select n from a;\n");
    bench.xtask("migrate").exits(0);
    bench.xtask("migrate down").exits(3).says("version 1 (a) has no down file; nothing was touched");
    bench.migration("1_a.down", "drop table a;\n");
    bench.migration("1_a", "create table a (n bigint);\n");
    bench.xtask("migrate down").exits(3).says("version 1 was applied with another content").says("nothing was touched");
    bench.migration("1_a", "create table a (n int);\n");
    bench.xtask("migrate down --plan").exits(3).prints("pending/1_a.down.sql");
    bench.xtask("migrate down").exits(0);
    assert_eq!(bench.ask("select to_regclass('a') is null"), "t");
    assert_eq!(bench.states(), "1 pending");
    bench.xtask("migrate").exits(0).says("repeatable/v");
    assert_eq!(
        bench.ask("select string_agg(event, ' ' order by id) from ops.migration_event"),
        "applied reverted applied"
    );
    bench.migration("2_none.down", "select 1;\n");
    bench.xtask("migrate").exits(2).says("there is no migration that this file would take back");
}

#[test]
fn a_ledger_edited_by_hand_is_noticed_and_repaired_on_demand() {
    let Some(bench) = Bench::new("a_ledger_edited_by_hand_is_noticed_and_repaired_on_demand") else { return };
    bench.migration("1_a", "create table a ();\n");
    bench.migration("2_b", "create table b ();\n");
    bench.xtask("migrate").exits(0);
    bench.ask("update ops.migration_event set sha256 = repeat('0', 64) where version = '1'");
    bench.xtask("migrate").exits(3).says("the ledger was edited by hand: version 1");
    bench.xtask("migrate repair --plan").exits(3);
    bench.xtask("migrate repair").exits(0);
    bench.xtask("migrate").exits(0).says("nothing to do");
    bench.ask("drop table ops.migration_event");
    bench.xtask("migrate").exits(3).says("the ledger has no history").says("cargo xtask migrate repair");
    bench.xtask("migrate repair").exits(0);
    bench.xtask("migrate").exits(0).says("nothing to do");
    // An edited file of dev, and one that is gone.
    bench.migration("2_b", "create table b (); -- edited\n");
    bench.xtask("migrate").exits(3).says("cargo xtask db reset").says("migrate repair");
    std::fs::remove_file(bench.sandbox.path("database/migrations/pending/1_a.sql")).unwrap();
    bench.xtask("migrate repair").exits(0).prints("forgets it");
    assert_eq!(bench.states(), "2 applied");
}

#[test]
fn a_baseline_is_recorded_and_not_run() {
    let Some(bench) = Bench::new("a_baseline_is_recorded_and_not_run") else { return };
    bench.ask("create table a ()");
    bench.migration("1_a", "create table a ();\n");
    bench.migration("2_b", "create table b ();\n");
    // It holds something and does not say whose it is: first contact asks.
    bench.xtask("migrate").exits(3).says("does not say yet which environment it belongs to");
    bench.xtask("migrate baseline 3").exits(2);
    bench.xtask("migrate baseline 1 --confirm dev").exits(0);
    assert_eq!(bench.states(), "1 baseline, 2 pending");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select to_regclass('b') is not null"), "t");
}

#[test]
fn released_files_are_frozen() {
    let Some(bench) = Bench::new("released_files_are_frozen") else { return };
    bench.migration("1_a", "create table a ();\n");
    bench.migration("1_a.down", "drop table a;\n");
    bench.xtask("migrate").exits(0);
    bench.migration("2_b", "create table b ();\n");
    bench.migration("1_a", "create table a (); -- edited\n");
    bench.xtask("migrate promote --env dev").exits(3).says("version 1 was applied with another content");
    bench.migration("1_a", "create table a ();\n");
    bench.xtask("migrate promote --env dev --plan").exits(3);
    bench.xtask("migrate promote --env dev").exits(0);
    let applied = "database/migrations/applied";
    let check = std::process::Command::new("sha256sum")
        .args(["-c", "checksums"])
        .current_dir(bench.sandbox.path(applied))
        .output();
    assert!(check.unwrap().status.success());
    assert!(bench.sandbox.path("database/migrations/pending/2_b.sql").is_file());
    // Killed between the files and their lines: the next run writes the lines.
    bench.sandbox.write(format!("{applied}/checksums"), "");
    bench.xtask("migrate promote --env dev").exits(0);
    assert_eq!(bench.sandbox.read(format!("{applied}/checksums")).lines().count(), 2);
    bench.xtask("migrate promote --env dev").exits(0).says("nothing to do");
    bench.sandbox.write(format!("{applied}/1_a.down.sql"), "drop table a cascade;\n");
    bench.xtask("migrate promote --env dev").exits(3).says("it was edited since");
}

#[test]
fn a_late_migration_is_told_in_dev() {
    let Some(bench) = Bench::new("a_late_migration_is_told_in_dev") else { return };
    bench.migration("2_b", "create table b ();\n");
    bench.xtask("migrate").exits(0);
    bench.migration("1_a", "create table a ();\n");
    bench.xtask("migrate").exits(0).says("version 1 is older than 2, the newest one applied");
}

#[test]
fn a_history_of_dbmate_is_taken_over_with_its_ledger() {
    let Some(bench) = Bench::new("a_history_of_dbmate_is_taken_over_with_its_ledger") else { return };
    let old = |name: &str, text: &str| bench.sandbox.write(format!("old/{name}"), text);
    old("20200101_a.sql", "-- migrate:up\ncreate table a (n int);\n-- migrate:down\ndrop table a;\n");
    old(
        "20200102_b.sql",
        "-- migrate:up transaction:false\ncreate index concurrently a_n on a (n);\n-- migrate:down\n",
    );
    bench.ask("create table a (n int); create table schema_migrations (version text); insert into schema_migrations values ('20200101')");
    let folder = bench.sandbox.path("old");
    let run = |more: &[&str]| bench.sandbox.run(&[&["migrate", "import", folder.to_str().unwrap()], more].concat());
    run(&["--plan"]).exits(3).prints("no-transaction");
    run(&["--env", "dev", "--confirm", "dev"]).exits(0).says("1 of 2 are applied there");
    assert_eq!(bench.states(), "20200101 baseline, 20200102 pending");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.sandbox.read("database/migrations/pending/20200101_a.down.sql"), "drop table a;\n");
    run(&[]).exits(0);
}
