//! What is known of migrations before they run: `schema --check`, `verify` with each thing that it finds, `measure` on a
//! copy of dev and on backups. On a server of the test's own, where the tasks make their scratch databases.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::database::Bench;
use crate::sandbox::wait;

/// Finds the cost of the statement that begins with these words.
fn cost<'a>(report: &'a Value, words: &str) -> &'a Value {
    let statements =
        report["migrations"].as_array().unwrap().iter().flat_map(|one| one["statements"].as_array().unwrap());
    let found = statements.into_iter().find(|one| one["statement"].as_str().unwrap().starts_with(words));
    found.unwrap_or_else(|| panic!("no {words} in {report:#}"))
}

fn locks(cost: &Value) -> String {
    let locks = cost["locks"].as_array().unwrap().iter();
    let locks = locks.map(|lock| format!("{} {}", lock["table"].as_str().unwrap(), lock["mode"].as_str().unwrap()));
    locks.collect::<Vec<_>>().join(", ")
}

/// Scratch databases on the test's server.
fn left(bench: &Bench) -> String {
    bench.ask_at(
        &bench.server,
        "select count(*) from pg_database where datname like 'xtask%' or datname like '%\\_\\_%'",
    )
}

#[test]
fn what_migrations_cost_is_measured_on_a_copy() {
    let Some(bench) = Bench::own("what_migrations_cost_is_measured_on_a_copy") else { return };
    bench.migration("1_t", "create table t (id int primary key, v varchar(50), n int);\ncreate table small (n int);\n");
    bench.xtask("migrate").exits(0);
    bench.ask("insert into t select i, 'row ' || i, i % 7 from generate_series(1, 120000) i");
    bench.xtask("migrate measure").exits(0).says("nothing is pending in vital_dev");
    bench.migration("2_add", "alter table t add column five int default 5;\nselect count(*) from small;\n");
    bench.migration("3_rewrite", "alter table t alter column id type bigint;\n");
    bench.migration("4_check", "alter table t add constraint k check (n >= 0);\n");
    bench.migration(
        "5_index",
        "create index t_n on t (n);\ncreate table new (n int);\nalter table new add column m int;\n",
    );
    bench.migration(
        "6_outside",
        "-- migrate: no-transaction\ncreate index concurrently t_v on t (v);\nupdate small set n = 1;\n",
    );
    bench.migration("7_data", "copy small (n) from stdin;\n1\n2\n\\.\n");
    bench.sandbox.write("database/migrations/repeatable/v.sql", "create or replace view v as select id from t;\n");
    let report = bench.xtask("migrate measure --json").exits(0).json();
    assert_eq!((report["environment"].as_str(), report["data"].as_str()), (Some("dev"), Some("vital_dev")));
    let names: Vec<&str> =
        report["migrations"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["add", "rewrite", "check", "index", "outside", "data", "v"]);
    let of = |words: &str| cost(&report, words);
    let add = of("alter table t add column five");
    assert_eq!(
        (locks(add).as_str(), &add["rewrites"], &add["rows_scanned"]),
        ("public.t AccessExclusive", &serde_json::json!([]), &0.into())
    );
    assert_eq!(locks(of("select count")), "public.small AccessShare");
    let rewrite = of("alter table t alter column id");
    assert_eq!(
        (locks(rewrite).as_str(), rewrite["rewrites"][0].as_str()),
        ("public.t AccessExclusive", Some("public.t"))
    );
    assert!(rewrite["wal_bytes"].as_u64().unwrap() > 1_000_000 && rewrite["line"] == 1, "{rewrite}");
    assert!(of("alter table t add constraint")["rows_scanned"].as_u64().unwrap() >= 120_000);
    assert_eq!(locks(of("create index t_n")), "public.t Share");
    // What a migration makes itself locks nobody out.
    assert_eq!((locks(of("create table new")).as_str(), locks(of("alter table new")).as_str()), ("", ""));
    assert!(locks(of("create index concurrently")).contains("public.t ShareUpdateExclusive"));
    assert_eq!(locks(of("update small")), "public.small RowExclusive");
    let windows = report["migrations"][1]["tables"].as_array().unwrap();
    assert_eq!(
        (windows[0]["table"].as_str(), windows[0]["lock"].as_str()),
        (Some("public.t"), Some("AccessExclusive"))
    );
    assert!(windows[0]["blocks_reads_ms"].as_u64().unwrap() <= windows[0]["blocks_writes_ms"].as_u64().unwrap());
    let shown = bench.xtask("migrate measure").exits(0);
    shown.prints("public.t AccessExclusive").prints("READERS WAIT").prints("3_rewrite.sql:1");

    // A budget is held, each at its place; one that fails is told as it would be.
    let budget = "\nenvironments:\n  dev: {migration_budget: {rewrites: false, wal_mb: 1, total: 1ms}}\n";
    let config = bench.sandbox.read("config/services/database.yaml");
    bench.sandbox.write("config/services/database.yaml", format!("{}{budget}", config.trim_end()));
    let run = bench
        .xtask("migrate measure")
        .exits(3)
        .says("3_rewrite.sql:1:1: error: it writes public.t anew, which `dev` does not allow");
    run.says("all together take").says("MB of log, `dev` allows 1").says("the migrations cost more than `dev` allows");
    bench.migration("8_wrong", "select 1;\nselect nope from t;\n");
    bench.xtask("migrate measure").exits(1).says("8_wrong.sql:2:8: error: column \"nope\" does not exist");
    assert_eq!(
        bench.ask("select count(*) from information_schema.columns where table_name = 't'"),
        "3",
        "dev was touched"
    );
    assert_eq!(bench.states().matches("pending").count(), 7);
    assert_eq!(left(&bench), "0");
}

#[test]
fn what_migrations_cost_is_measured_on_a_backup() {
    let Some(bench) = Bench::own("what_migrations_cost_is_measured_on_a_backup") else { return };
    bench.sandbox.write("database/backups/backup-policy.md", crate::backup::POLICY);
    bench.ask_at(&bench.server, "create database live");
    let url = bench.url.replace("/vital_dev?", "/live?");
    bench.sandbox.write(
        "config/environments/.env.production.example",
        format!("{}\n# @type=bool @required\nPROTECTED=true\n", crate::sandbox::SCHEMA),
    );
    bench.sandbox.write(
        "config/environments/.env.production",
        format!("DATABASE_ADMIN_URL={url}\nAPI_KEY=a-key-of-production\n"),
    );
    bench.migration("1_t", "create table t (id int primary key, n int);\n");
    bench.xtask("migrate").exits(0);
    bench.xtask("migrate --env production --confirm production").exits(0);
    // Rows, a role and grants that dev's server would not know by itself.
    bench.ask_at(&url, "insert into t select i, i from generate_series(1, 50000) i");
    let role = "create role of_production; grant select on t to of_production; alter table t owner to of_production";
    bench.ask_at(&url, role);
    let id = bench.xtask("db backup --env production").exits(0).stdout.trim().to_owned();
    bench.ask_at(&url, "alter table t owner to postgres; drop owned by of_production; drop role of_production");
    bench.migration("2_check", "alter table t add constraint k check (n >= 0);\n");

    let rows = |words: &str, data: &str| {
        let report = bench.xtask(&format!("migrate measure --json {words}")).exits(0).json();
        assert_eq!(report["data"], data, "{words}");
        cost(&report, "alter table t")["rows_scanned"].as_u64().unwrap()
    };
    // None is verified yet, so dev's few rows stand for it, unless it is named.
    let run = bench.xtask("migrate measure --env production").exits(0);
    run.says("`production` has no verified backup here; dev's rows stand for its own");
    assert_eq!(rows("--env production --data backup", &id), 50_000);
    // That was a verification too.
    let list = bench.xtask("db backups --env production --json").exits(0).json();
    assert!(list["backups"][0]["verified_at"].is_string(), "{list}");
    assert_eq!(rows("--env production", &id), 50_000);
    assert_eq!(rows(&format!("--env production --data backup:{id}"), &id), 50_000);
    assert_eq!(rows("--data live", "live"), 50_000, "a database of dev's server");
    bench.xtask("migrate measure --env production --data backup:nothing").exits(2).says("there is no backup");
    bench.xtask("migrate measure --data backup").exits(3).says("`dev` has no backup that can be used");
    // By the history of production: an older one that came late is refused, as it would be there.
    bench.migration("0_late", "select 1;\n");
    bench.xtask("migrate measure --env production").exits(3).says("version 0 is older than 1");
    bench.xtask("migrate measure").exits(0).says_nothing_of("error");
    std::fs::remove_file(bench.sandbox.path("database/migrations/pending/0_late.sql")).unwrap();
    let folder = bench.sandbox.path(format!(".ops/backups/production/{id}/dump"));
    let file = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "gz"));
    let file = file.unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    bench.xtask("migrate measure --env production").exits(3).says("is damaged").says("its sha256 differs");
    assert_eq!(left(&bench), "0");
    bench.ask_at(&bench.server, "drop database live");
}

#[test]
fn the_schema_file_is_what_the_migrations_make() {
    let Some(bench) = Bench::own("the_schema_file_is_what_the_migrations_make") else { return };
    bench.ask("update ops.identity set environment = 'qa'");
    bench.xtask("db reset --yes").exits(3).says("this is the database of `qa`, not of `dev`; nothing was touched");
    bench.ask("update ops.identity set environment = 'dev'");
    bench.migration("1_a", "create table a (n int primary key);\ncreate index a_n on a (n);\n");
    bench.sandbox.write("database/migrations/repeatable/v.sql", "create or replace view v as select n from a;\n");
    let check = |code| bench.xtask("migrate schema --check").exits(code);
    check(3)
        .says("database/schema/current.sql:1:1: error: the file is missing")
        .says("run `cargo xtask migrate schema`");
    bench.xtask("migrate schema").exits(0).prints("database/schema/current.sql");
    let text = bench.sandbox.read("database/schema/current.sql");
    assert!(text.contains("CREATE VIEW public.v") && !text.contains("ops.") && !text.contains("\\restrict"), "{text}");
    check(0).says("the schema is what the migrations make");
    bench.xtask("migrate schema").exits(0).says("nothing to do");
    assert_eq!(bench.sandbox.read("database/schema/current.sql"), text, "a second run writes other bytes");
    bench.sandbox.write("database/schema/current.sql", text.replace('\n', "\r\n"));
    check(0);
    bench.sandbox.write("database/schema/current.sql", text.replace("n integer NOT NULL", "n bigint NOT NULL"));
    check(3).says(": error: the migrations make `n integer NOT NULL`, the file has `n bigint NOT NULL`");
    bench.sandbox.write("database/schema/current.sql", &text);
    bench.migration("2_b", "alter table a add column m text;\n");
    check(3).says("database/schema/current.sql:");
    assert_eq!(bench.states(), "1 pending, 2 pending", "it has to do with no environment");
    bench.migration("3_c", "select nope;\n");
    bench.xtask("migrate schema").exits(1).says("pending/3_c.sql:1:8: error: column \"nope\" does not exist");
    assert_eq!(left(&bench), "0");
    // What another run works in is left alone while that run lives, and removed when it was killed.
    bench.migration("3_c", "select pg_sleep(50);\n");
    let mut first = bench.sandbox.command(&["migrate", "schema"]).spawn();
    assert!(wait(Duration::from_secs(60), || left(&bench) == "1"), "{}", first.stderr());
    bench.migration("3_c", "select 1;\n");
    bench.xtask("migrate schema").exits(0);
    assert_eq!(left(&bench), "1", "{}", first.stderr());
    first.kill();
    let is_removed = wait(Duration::from_secs(20), || {
        bench.xtask("migrate schema").exits(0);
        left(&bench) == "0"
    });
    assert!(is_removed, "what a killed run left stays");
}

#[test]
fn migrations_that_do_not_hold_together_are_told_all_at_once() {
    let Some(bench) = Bench::own("migrations_that_do_not_hold_together_are_told_all_at_once") else { return };
    let migrations = "database/migrations";
    bench.sandbox.write(format!("{migrations}/applied/0_z.sql"), "select 1;\n");
    bench.sandbox.write(format!("{migrations}/applied/1_a.sql"), "create table a (n int primary key);\n");
    bench.sandbox.write(format!("{migrations}/applied/2_b.sql"), "create table b (n int);\n");
    let mut sums = Command::new("sha256sum");
    sums.args(["0_z.sql", "1_a.sql", "2_b.sql"]).current_dir(bench.sandbox.path(format!("{migrations}/applied")));
    let sums = sums.output().unwrap().stdout;
    bench.sandbox.write(format!("{migrations}/applied/checksums"), &sums);
    bench.migration("5_e", "create table e (n int);\n");
    bench.migration("5_e.down", "drop table e;\n");
    bench.sandbox.write(
        "database/queries/diagnostics/rows.sql",
        "-- Rows\n-- param least int = 0 : how many\nselect n from a where n > :least\n",
    );
    bench.sandbox.write("database/seeds/dev/1.sql", "insert into a values (1) on conflict do nothing;\n");
    bench.xtask("migrate schema").exits(0);
    bench.sandbox.init_git();
    // origin's main as it is now.
    let origin = bench.sandbox.path("origin.git");
    let origin = origin.to_str().unwrap();
    bench.sandbox.git(&["init", "-q", "--bare", origin]);
    bench.sandbox.git(&["remote", "add", "origin", origin]);
    bench.sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]);
    bench.sandbox.git(&["fetch", "-q", "origin"]);
    let told = bench.xtask("migrate verify --json").exits(0).json();
    assert_eq!(told, serde_json::json!({"ok": true, "findings": []}));

    // Each of them at once.
    bench.sandbox.write(format!("{migrations}/applied/1_a.sql"), "create table a (n int primary key);\n-- edited\n");
    bench.sandbox.git(&["commit", "-q", "-am", "edit"]);
    bench.sandbox.write(format!("{migrations}/applied/3_c.sql"), "create table c (n int);\n");
    std::fs::remove_file(bench.sandbox.path(format!("{migrations}/applied/0_z.sql"))).unwrap();
    bench.migration("4_late", "create table late (n int);\n");
    bench.migration("05_other", "select 1;\n");
    std::fs::remove_file(bench.sandbox.path(format!("{migrations}/pending/5_e.sql"))).unwrap();
    std::fs::remove_file(bench.sandbox.path(format!("{migrations}/pending/5_e.down.sql"))).unwrap();
    bench.migration("6_f", "create table f (n int);\nalter table a add column m int;\n");
    bench.migration("6_f.down", "drop table f;\n");
    bench.migration("7_g", "create table g (n int);\n");
    bench.migration("7_g.down", "drop table gone;\n");
    bench.sandbox.write("database/queries/diagnostics/bad.sql", "-- Bad\nselect nope from a\n");
    bench.sandbox.write("database/seeds/dev/1.sql", "insert into b values (1);\n");
    bench.sandbox.write("database/seeds/dev/2.sql", "insert into nowhere values (1);\n");
    let run = bench.xtask("migrate verify").exits(3);
    for line in [
        "applied/0_z.sql:1:1: error: production has released it, but the file is gone",
        "applied/1_a.sql:1:1: error: production has released it, and it was edited since",
        "applied/3_c.sql:1:1: error: it has no line",
        "changed it after it was released",
        "pending/05_other.sql:1:1: error: origin/main has version 5 already: 5_e",
        "pending/4_late.sql:1:1: error: version 4 is older than 5, the newest one of origin/main",
        "database/schema/current.sql:",
        "queries/diagnostics/bad.sql:1:1: error: it cannot run on the schema: column \"nope\" does not exist",
        "database/seeds/dev/2.sql:1:13: error: relation \"nowhere\" does not exist",
        "pending/6_f.down.sql:1:1: error: it does not restore the schema",
        "pending/7_g.down.sql:1:1: error: table \"gone\" does not exist",
        "the migrations do not hold together",
    ] {
        assert!(run.stderr.contains(line), "no {line:?} in {run}");
    }
    std::fs::remove_file(bench.sandbox.path("database/seeds/dev/2.sql")).unwrap();
    bench.xtask("migrate verify").exits(3).says("the second load changed the number of rows");
    assert_eq!(bench.states().matches("pending").count(), 7, "it has to do with no environment");
    assert_eq!(left(&bench), "0");
}
