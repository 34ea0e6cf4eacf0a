//! `migrate import`, a history of each of the six kinds: what is written, that it runs in its tool's order and as its tool
//! runs it, that the tool's ledger is taken over, and what cannot be.

use crate::database::Bench;
use crate::sandbox::Run;

/// Files of a history, with their texts.
type Files = &'static [(&'static str, &'static str)];

fn bench(test: &str, files: Files) -> Option<Bench> {
    let bench = Bench::new(test)?;
    for (name, text) in files {
        bench.sandbox.write(format!("old/{name}"), text);
    }
    Some(bench)
}

fn import(bench: &Bench, words: &str) -> Run {
    bench.xtask(&format!("migrate import old {words}"))
}

/// Names of the files that were written.
fn written(bench: &Bench) -> String {
    let mut names = Vec::new();
    for folder in ["pending", "repeatable"] {
        let entries = std::fs::read_dir(bench.sandbox.path(format!("database/migrations/{folder}"))).unwrap().flatten();
        let own =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != "README.md");
        names.extend(own.map(|name| if folder == "pending" { name } else { format!("{folder}/{name}") }));
    }
    names.sort();
    names.join(" ")
}

/// Imports, runs, and says in which order the files ran: each leaves its mark in the table `ran`.
fn ran(bench: &Bench, words: &str) -> String {
    bench.ask("create table if not exists ran (id int generated always as identity, what text)");
    import(bench, words).exits(0);
    bench.xtask("migrate --confirm dev").exits(0);
    bench.xtask("migrate").exits(0).says("nothing to do");
    bench.ask("select string_agg(what, ' ' order by id) from ran")
}

#[test]
fn a_history_of_sqlx_simple() {
    let files: Files = &[
        ("Cargo.toml", ""),
        ("20200101000000_first.sql", "\u{feff}create table a (n int);\r\ninsert into ran (what) values ('first');\r\n"),
        ("20200102000000_second.sql", "-- no-transaction\ncreate index concurrently a_n on a (n);\n"),
        ("20200103000000_third.sql", "insert into ran (what) values ('third');"),
        ("seeds/20200104000000_no.sql", "insert into ran (what) values ('never');\n"),
    ];
    let Some(bench) = bench("a_history_of_sqlx_simple", files) else { return };
    import(&bench, "--plan")
        .exits(3)
        .says("3 migrations of sqlx")
        .prints("no-transaction")
        .says("where its tool does not look");
    assert_eq!(written(&bench), "");
    assert_eq!(ran(&bench, ""), "first third");
    assert_eq!(written(&bench), "20200101000000_first.sql 20200102000000_second.sql 20200103000000_third.sql");
    let second = bench.sandbox.read("database/migrations/pending/20200102000000_second.sql");
    assert!(second.starts_with("-- migrate: no-transaction\n"), "{second}");
    assert_eq!(bench.ask("select count(*) from pg_index where indexrelid = 'a_n'::regclass and indisvalid"), "1");
}

#[test]
fn a_history_of_sqlx_reversible() {
    let files: Files = &[
        ("9_b.up.sql", "insert into ran (what) values ('9');\n"),
        ("9_b.down.sql", "delete from ran where what = '9';\n"),
        ("10_c.up.sql", "insert into ran (what) values ('10');\n"),
        ("10_c.down.sql", "-- nothing to take back\n"),
        ("8_gone.down.sql", "select 1;\n"),
    ];
    let Some(bench) = bench("a_history_of_sqlx_reversible", files) else { return };
    let run = import(&bench, "--format sqlx --plan")
        .exits(3)
        .says("10_c.down.sql: it holds no statement, so there is no way back");
    run.says("8_gone.down.sql: there is no migration that it would take back");
    assert_eq!(ran(&bench, "--format sqlx"), "9 10");
    assert_eq!(written(&bench), "10_c.sql 9_b.down.sql 9_b.sql");
    bench.xtask("migrate down").exits(3).says("version 10 (c) has no down file");
    bench.ask("create table _sqlx_migrations (version bigint, success bool); insert into _sqlx_migrations values (9, true), (10, false)");
    import(&bench, "--format sqlx --env dev").exits(3).says("a migration failed half-way");
    bench.ask("update _sqlx_migrations set success = true; insert into _sqlx_migrations values (11, true)");
    let run = import(&bench, "--format sqlx --env dev").exits(3);
    run.says("error: _sqlx_migrations has version 11, and no file is that");
}

#[test]
fn a_history_of_golang_migrate() {
    let files: Files = &[
        ("000009_i.up.sql", "create table a (n int);\ninsert into ran (what) values ('9');\n"),
        ("000009_i.down.sql", "drop table a;\n"),
        ("000010_x.up.sql", "create index concurrently a_n on a (n);\n"),
        ("000011_own.up.sql", "begin;\ninsert into ran (what) values ('11');\ncommit;\n"),
        ("000012_pairs.up.sql", "commit;\nvacuum a;\nbegin;\ninsert into ran (what) values ('12');\n"),
        ("notes.sql", "select 1;\n"),
    ];
    let Some(bench) = bench("a_history_of_golang_migrate", files) else { return };
    let plan = import(&bench, "--plan")
        .exits(3)
        .says("4 migrations of golang-migrate")
        .says("notes.sql: its name ends in neither");
    plan.prints("000010_x.sql").prints("no-transaction").prints("own-transaction");
    assert_eq!(ran(&bench, ""), "9 11 12");
    assert_eq!(bench.ask("select count(*) from pg_index where indexrelid = 'a_n'::regclass"), "1");

    // Its ledger is one row: all up to it are applied.
    bench.ask("drop schema ops cascade; create table schema_migrations (version bigint, dirty bool); insert into schema_migrations values (10, false)");
    bench.sandbox.write("old/000013_new.up.sql", "insert into ran (what) values ('13');\n");
    import(&bench, "--env dev --confirm dev").exits(0).says("2 of 5 are applied there");
    assert_eq!(bench.states(), "000009 baseline, 000010 baseline, 000011 pending, 000012 pending, 000013 pending");
    bench.ask("update schema_migrations set version = 14");
    import(&bench, "--env dev")
        .exits(3)
        .says("schema_migrations has version 14, and no file is that")
        .says("nothing was touched");
    bench.ask("update schema_migrations set dirty = true");
    import(&bench, "--env dev").exits(3).says("a migration failed half-way");
}

#[test]
fn a_history_of_diesel() {
    let files: Files = &[
        ("00000000000000_diesel_initial_setup/up.sql", "create function f() returns int language sql as 'select 1';\n"),
        ("00000000000000_diesel_initial_setup/down.sql", "drop function f();\n"),
        ("20200102000000_old/up.sql", "insert into ran (what) values ('old');\n"),
        ("20200102000000_old/down.sql", "delete from ran;\n"),
        ("2020-01-03-000000-0000_new/up.sql", "create table a (n int);\ninsert into ran (what) values ('new');\n"),
        ("2020-01-03-000000-0000_new/down.sql", "drop table a;\n"),
        ("2020-01-04-000000-0000_index/up.sql", "create index concurrently a_n on a (n);\n"),
        ("2020-01-04-000000-0000_index/metadata.toml", "run_in_transaction = false\n"),
        ("20200105000000_late/up.sql", "insert into ran (what) values ('late');\n"),
    ];
    let Some(bench) = bench("a_history_of_diesel", files) else { return };
    import(&bench, "--plan").exits(3).says("5 migrations of diesel").says("filled up with zeros");
    assert_eq!(ran(&bench, ""), "old new late");
    assert_eq!(
        written(&bench),
        "000000000000000000_diesel_initial_setup.down.sql 000000000000000000_diesel_initial_setup.sql \
         202001020000000000_old.down.sql 202001020000000000_old.sql 202001030000000000_new.down.sql \
         202001030000000000_new.sql 202001040000000000_index.sql 202001050000000000_late.sql"
    );
    bench.ask(
        "drop schema ops cascade; create table __diesel_schema_migrations (version text); \
         insert into __diesel_schema_migrations values ('00000000000000'), ('20200102000000'), ('202001030000000000')",
    );
    import(&bench, "--env dev --confirm dev").exits(0).says("3 of 5 are applied there");
    assert!(
        bench.states().ends_with("202001030000000000 baseline, 202001040000000000 pending, 202001050000000000 pending"),
        "{}",
        bench.states()
    );
}

#[test]
fn a_history_of_flyway() {
    let files: Files = &[
        ("V1__first.sql", "create table a (n int);\ninsert into ran (what) values ('${who}');\n"),
        ("sub/V1_10__tenth.sql", "insert into ran (what) values ('1.10 $${not} one');\n"),
        ("V1.2__second.sql", "insert into ran (what) values ('1.2');\n"),
        ("V2__index.sql", "create index concurrently a_n on a (n);\n"),
        ("V3__plain.sql", "insert into ran (what) values ('${kept}');\n"),
        ("V3__plain.sql.conf", "placeholderReplacement=false\n"),
        ("U1_2__second.sql", "delete from ran where what = '1.2';\n"),
        ("R__View_b.sql", "create or replace view v as select count(*) from ran;\n"),
        ("R__ViewA.sql", "create or replace view w as select count from v;\n"),
        ("B3__all.sql", "select 1;\n"),
        ("afterMigrate.sql", "select 1;\n"),
        ("V4__code.java", ""),
    ];
    let Some(bench) = bench("a_history_of_flyway", files) else { return };
    let run = import(&bench, "")
        .exits(3)
        .says("V1__first.sql:1:1: error: it has the placeholder `who`")
        .says("--set who=VALUE");
    run.says("nothing was written");
    let run = import(&bench, "--set who=me --set not=x --plan").exits(3).says("5 migrations of flyway");
    run.says("a callback is not carried over")
        .says("a baseline script is not carried over")
        .says("in another language than SQL");
    assert_eq!(ran(&bench, "--set who=me --set not=x"), "me 1.2 1.10 $x one ${kept}");
    assert_eq!(
        written(&bench),
        "100_first.sql 102_second.down.sql 102_second.sql 110_tenth.sql 200_index.sql 300_plain.sql repeatable/001_View_b.sql repeatable/002_ViewA.sql"
    );
    // Each after what it needs, as Flyway has it: by its words.
    assert_eq!(bench.ask("select count from w"), "4");
    bench.sandbox.write("old/R__View_c.sql", "begin;\ncreate or replace view x as select 1 as n;\ncommit;\n");
    let run = import(&bench, "--set who=me --set not=x").exits(3).says("a repeatable file cannot be own-transaction");
    run.says("nothing was written");
    std::fs::remove_file(bench.sandbox.path("old/R__View_c.sql")).unwrap();
    bench.ask(
        "drop schema ops cascade; create table flyway_schema_history (installed_rank int, version text, type text, success bool); \
         insert into flyway_schema_history values (1, '1.1', 'BASELINE', true), (2, '1.2', 'SQL', true), (3, '1.10', 'SQL', true), \
         (4, '2', 'SQL', true), (5, '2', 'UNDO_SQL', true), (6, null, 'SQL', true)",
    );
    import(&bench, "--set who=me --set not=x --env dev --confirm dev").exits(0).says("3 of 5 are applied there");
    assert_eq!(bench.states(), "100 baseline, 102 baseline, 110 baseline, 200 pending, 300 pending");
}

#[test]
fn a_history_of_plain_sql() {
    let files: Files = &[
        ("2/01_a.sql", "insert into ran (what) values ('2/1');\n"),
        ("10/1_b.sql", "insert into ran (what) values ('10/1');\n"),
        ("2/02-b.sql", "\\set ON_ERROR_STOP 1\nbegin;\ninsert into ran (what) values ('2/2');\ncommit;\n"),
        ("2/3_empty.sql", "-- nothing\n"),
        ("11/0001.do.more.sql", "insert into ran (what) values ('11/1');\n"),
        ("11/0001.undo.more.sql", "delete from ran where what = '11/1';\n"),
        ("11/2_x_rollback.sql", "delete from ran where what = '11/2';\n"),
        ("11/2_x.sql", "insert into ran (what) values ('11/2');\n"),
        ("11/3.undo.gone.sql", "delete from ran;\n"),
    ];
    let Some(bench) = bench("a_history_of_plain_sql", files) else { return };
    import(&bench, "--plan")
        .exits(3)
        .says("6 migrations of plain")
        .says("11/3.undo.gone.sql: there is no migration that it would take back")
        .says("`select 1` stands for it")
        .prints("own-transaction");
    assert_eq!(ran(&bench, ""), "2/1 2/2 10/1 11/1 11/2");
    assert_eq!(
        written(&bench),
        "021_a.sql 022_b.sql 023_empty.sql 101_b.sql 111_more.down.sql 111_more.sql 112_x.down.sql 112_x.sql"
    );
    import(&bench, "--env dev").exits(3).says("plain SQL has no ledger").says("migrate baseline VERSION");
    // What another tool would run in parts, or psql would do, is refused.
    bench.sandbox.write("old/11/1_c.sql", "-- +goose Up\nselect 1;\n-- +goose Down\nselect 2;\n");
    bench.sandbox.write("old/11/2_d.sql", "\\i other.sql\n");
    bench.sandbox.write("old/11/3_e.sql", "select 1;\n\\! rm -rf /\n");
    bench.sandbox.write("old/11/4_f.sql", "select 'open;\n");
    let run = import(&bench, "").exits(3).says("11/1_c.sql:1:1: error: it is a file of goose");
    run.says("11/2_d.sql:1:1: error: it includes `other.sql`")
        .says("11/3_e.sql:2:1: error: the psql command `\\!` is not allowed")
        .says("11/4_f.sql:1:8: error: unterminated quoted string")
        .says("nothing was written");
}

#[test]
fn what_stands_in_the_way_of_an_import_is_named() {
    let files: Files = &[
        ("1_a.sql", "-- migrate:up\nselect 1;\n-- migrate:down\n"),
        ("01_b.sql", "-- migrate:up\nselect 2;\n"),
        ("2_c.sql", "create table no_section ();\n"),
    ];
    let Some(bench) = bench("what_stands_in_the_way_of_an_import_is_named", files) else { return };
    let run = import(&bench, "").exits(3).says("1_a.sql:1:1: error: version 1 is also that of 01_b.sql");
    run.says("2_c.sql:1:1: error: it has no `-- migrate:up`").says("nothing was written");
    std::fs::remove_file(bench.sandbox.path("old/01_b.sql")).unwrap();
    bench.sandbox.write("old/2_c.sql", "-- migrate:up\nselect 3;\n");
    bench.migration("02_mine", "select 1;\n");
    import(&bench, "").exits(3).says("pending/02_mine.sql has its version already");
    std::fs::remove_file(bench.sandbox.path("database/migrations/pending/02_mine.sql")).unwrap();
    import(&bench, "").exits(0);
    let plain = import(&bench, "--format plain").exits(3);
    plain.says("1_a.sql:1:1: error: it is a file of dbmate, whose parts would all be run");
    // Again is no work; an edited file is not overwritten.
    import(&bench, "--plan").exits(0);
    bench.migration("1_a", "select 'mine';\n");
    import(&bench, "").exits(3).says("pending/1_a.sql is there already, with another content");
    bench.xtask("migrate import nowhere").exits(2).says("failed to read `nowhere`");
    bench.xtask("migrate import old --format flywya").exits(2).says("did you mean `flyway`");
    bench.xtask("migrate import old --format flyway").exits(2).says("holds no migrations of flyway");
    bench.xtask("migrate import old --set x").exits(2).says("expected NAME=VALUE");
    import(&bench, "--format dbmate --env dev --confirm dev").exits(3).says("1_a.sql is there already");
}
