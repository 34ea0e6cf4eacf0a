//! db export and import against real PostgreSQL: what comes out goes in again as it was; what does not fit is named by
//! file and line, and then nothing is loaded; a run that is killed leaves nothing behind. And db maintain and seed.

use std::time::Duration;

use crate::database::Bench;
use crate::sandbox::{kill, signal, wait};

/// Types, nulls and texts that are easily lost on the way; identity, generated columns, a circle of references.
const SCHEMA: &str = r#"
create schema t;
create domain t.pos as int check (value > 0);
create type t.pair as (a int, b text);
create table t.kinds (id bigint generated always as identity primary key, n numeric(20,5), m numeric, f float8, b bool,
    t text, v varchar(5), j json, a text[], by bytea, u uuid, ts timestamptz, iv interval, d t.pos, p t.pair, r int4range,
    "Weird ""Col" text, g int generated always as (2) stored);
insert into t.kinds (n, m, f, b, t, v, j, a, by, u, ts, iv, d, p, r, "Weird ""Col") values
    (12345.67890, 99999999999999999999999999.000000000001, 0.1, true, E'tab\there "quoted", comma\nline\\back\\.', 'abcde',
     '{"a": 1, "a": 2}', array['a,b', null, 'NULL', '"q"', '', E'\\'], '\xdead00', '00000000-0000-0000-0000-000000000001',
     '2026-01-01', '1 year 2 days 03:04:05.6', 5, row(1, 'x,y"'), '[1,5)', E'\\N'),
    (null, 'NaN', 'Infinity', null, '', null, '"s"', '{}', '', null, 'infinity', '-1 day', null, null, 'empty', '');
insert into t.kinds (t) select E'\\.\n\\.\n' || repeat('ü€😀', 3) from generate_series(1, 2);
create table t.tree (id int primary key, parent int references t.tree);
insert into t.tree values (1, 3), (2, 1), (3, null);
create table t.a (id serial primary key, b int not null);
create table t.b (id serial primary key, a int not null references t.a deferrable initially deferred);
insert into t.b (a) values (1);
insert into t.a (b) values (1);
set constraints all immediate;
alter table t.a add foreign key (b) references t.b;
create table t.one (v text);
insert into t.one values (null), (''), ('x');
create table t.strict (id int primary key, v varchar(3) not null, k bigint references t.kinds, n int check (n > 0));
"#;
const SUM: &str = "select string_agg(s, ' ') from (
    select count(*) || ':' || sum(hashtextextended(x::text, 0)) as s from t.kinds x
    union all select count(*) || ':' || sum(hashtextextended(x::text, 0)) from t.tree x
    union all select count(*) || ':' || sum(hashtextextended(x::text, 0)) from t.a x
    union all select count(*) || ':' || sum(hashtextextended(x::text, 0)) from t.b x
    union all select count(*) || ':' || sum(hashtextextended(x::text, 0)) from t.one x) y";
const EMPTY: &str = "truncate t.kinds, t.tree, t.a, t.b, t.one, t.strict restart identity";

fn bench(test: &str) -> Option<Bench> {
    let bench = Bench::new(test)?;
    bench.migration("1_t", SCHEMA);
    bench.xtask("migrate").exits(0);
    Some(bench)
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    let Some(bench) = bench("what_is_exported_is_imported_as_it_was") else { return };
    let before = bench.ask(SUM);
    for format in ["csv", "jsonl"] {
        bench.xtask(&format!("db export --out {format} --format {format}")).exits(0).prints(format);
        bench.xtask(&format!("db export --out {format}")).exits(3).says("is there already; nothing was touched");
        bench.ask(EMPTY);
        bench.xtask(&format!("db import {format} --plan")).exits(3).prints("references checked at the end");
        assert_eq!(bench.ask("select count(*) from t.one"), "0", "a plan loaded rows");
        bench.xtask(&format!("db import {format}")).exits(0).says("t.a, t.b refer to each other");
        assert_eq!(bench.ask(SUM), before, "{format}");
        assert_eq!(bench.ask("insert into t.kinds default values returning id"), "5", "the sequence did not follow");
        bench.ask("delete from t.kinds where id = 5");
    }
    assert_eq!(bench.ask("select count(*) from pg_constraint where conrelid = 't.a'::regclass and condeferrable"), "0");
    bench.ask("update t.kinds set j = 'null' where id = 1");
    let run = bench.xtask("db export t.kinds --out nulls --format jsonl").exits(0);
    run.says("t.kinds: 1 rows hold a JSON null, which comes back as NULL; --format csv tells them apart");
    bench.xtask("db export t.kinds --out nulls.csv").exits(0).says_nothing_of("JSON null");
    bench.ask("delete from t.kinds where id = 1");
    bench.xtask("db import nulls.csv --table kinds").exits(3).says("duplicate key");
    bench.ask("delete from t.kinds");
    bench.xtask("db import nulls.csv --table kinds").exits(0);
    assert_eq!(bench.ask("select count(*) filter (where json_typeof(j) = 'null') || ' ' || count(*) filter (where j is null) from t.kinds"), "1 2");
    bench.xtask("db export t.one --out one.csv").exits(0);
    bench.xtask("db import one.csv one.csv --table one").exits(2);
    bench.ask("truncate t.one");
    std::fs::rename(bench.sandbox.path("one.csv"), bench.sandbox.path("t.one.csv")).unwrap();
    bench.xtask("db import t.one.csv ./t.one.csv t.one.csv").exits(2).says("is given twice");
    std::fs::rename(bench.sandbox.path("t.one.csv"), bench.sandbox.path("one.csv")).unwrap();
    std::fs::remove_file(bench.sandbox.path("csv/t.kinds.csv")).unwrap();
    bench.xtask("db import csv").exits(2).says("the export is not whole").says("t.kinds.csv` is missing");
    assert_eq!(bench.ask("select count(*) from t.one"), "0");
    assert_eq!(bench.sandbox.read("one.csv"), "v\n\n\"\"\nx\n");
    assert!(!bench.sandbox.files().iter().any(|file| file.to_string_lossy().ends_with(".part")));
}

#[test]
fn every_bad_row_is_named_and_nothing_is_loaded() {
    let Some(bench) = bench("every_bad_row_is_named_and_nothing_is_loaded") else { return };
    let good = "id,v,k,n\n1,a,,1\n";
    bench.sandbox.write("f/t.one.csv", "v\nloaded\n");
    let bad = "2,abcd,,1\n3,,,1\n4,b,99,1\n5,c,,-1\n6,d,,x\n1,f,,1\n8,\"g\"h,,1\n10,i,1\n";
    let bytes = [good.as_bytes(), bad.as_bytes(), b"11,\xff,,1\n12,\"x\ny\",,\n"].concat();
    bench.sandbox.write("f/t.strict.csv", bytes);
    let run = bench.xtask("db import f").exits(3);
    run.says("9 rows were not taken, so nothing was loaded").says("f/t.strict.csv:3:1: error: value too long");
    assert_eq!(bench.ask("select count(*) from t.strict"), "0");
    assert_eq!(bench.ask("select count(*) from t.one where v = 'loaded'"), "0");
    let rejected = bench.sandbox.files().into_iter().find(|file| file.to_string_lossy().contains(".ops/rejected/"));
    let rejected = std::fs::read_to_string(rejected.unwrap()).unwrap();
    for (line, why) in [
        (3, "22001"),
        (4, "23502"),
        (5, "23503"),
        (6, "23514"),
        (7, "22P02"),
        (8, "23505"),
        (9, "a value goes on behind its closing quote"),
        (10, "3 values, but the header names 4"),
        (11, "not UTF-8"),
    ] {
        let found = rejected.lines().any(|row| row.contains(&format!("\"{line}\",")) && row.contains(why));
        assert!(found, "no {why} of line {line}:\n{rejected}");
    }
    bench.sandbox.write("f/t.strict.csv", format!("{good}12,\"x\ny\",,\r\n"));
    bench.xtask("db import f").exits(0).says("3 rows into 2 tables");
    for (header, why) in [
        ("id,vv\n", "t.strict has no column `vv`"),
        ("id\n", "the column `v` of t.strict is missing"),
        ("id,v,v\n", "the column `v` stands here twice"),
        ("", "the file is empty: it lacks a header"),
    ] {
        bench.sandbox.write("x.csv", header);
        bench.xtask("db import x.csv --table strict").exits(3).says(why).says("nothing was touched");
    }
    bench.sandbox.write("x.csv", "id,g\n");
    bench.xtask("db import x.csv --table kinds").exits(3).says("t.kinds.g is generated");
    bench.xtask("db import x.csv").exits(2).says("names no table");
}

#[test]
fn lines_of_json_are_checked_one_by_one() {
    let Some(bench) = bench("lines_of_json_are_checked_one_by_one") else { return };
    let lines = [
        "{\"id\":1,\"v\":\"a\"}",
        "{\"id\":\"x\",\"v\":\"b\"}",
        "{\"id\":2}",
        "[1]",
        "{\"id\":3,\"v\":\"\\u0000\"}",
        "{bad",
        "",
    ];
    bench.sandbox.write("t.strict.jsonl", lines.join("\n"));
    let run = bench
        .xtask("db import t.strict.jsonl")
        .exits(3)
        .says("5 rows were not taken")
        .says(":2:1: error: invalid input");
    run.says(":3:1: error: it lacks the key `v`").says(":4:1: error: not a JSON object").says(":6:1: error: not JSON");
    bench.sandbox.write("t.strict.jsonl", "{\"id\":3,\"v\":\"b\"}\n{\"id\":4,\"v\":\"c\",\"k\":1}\n");
    bench.xtask("db import t.strict.jsonl").exits(3).says("has the key `k`");
    assert_eq!(bench.ask("select count(*) from t.strict"), "0");
}

#[test]
fn an_import_that_is_killed_leaves_nothing() {
    let Some(bench) = bench("an_import_that_is_killed_leaves_nothing") else { return };
    let rows: String = (1..400_000).map(|id| format!("{id},a,,1\n")).collect();
    bench.sandbox.write("t.strict.csv", format!("id,v,k,n\n{rows}"));
    for pause in [50, 300, 900] {
        let run = bench.sandbox.command(&["db", "import", "t.strict.csv"]).spawn();
        std::thread::sleep(Duration::from_millis(pause));
        if pause == 300 {
            // A second one at the same time is told who holds the lock: the first stands still while it has it.
            let locked = "select count(*) > 0 from pg_locks where locktype = 'advisory' and granted and database = \
                          (select oid from pg_database where datname = current_database())";
            assert!(wait(Duration::from_secs(20), || bench.ask(locked) == "t"));
            signal("STOP", run.pid());
            assert_eq!(bench.ask(locked), "t", "it was too quick");
            bench.xtask("db import t.strict.csv").exits(5).says("locked by another run");
        }
        kill(run.pid());
        drop(run);
        let free = wait(Duration::from_secs(20), || {
            bench.ask(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
            ) == "0"
        });
        assert!(free, "a session outlives the killed import");
        assert_eq!(bench.ask("select count(*) from t.strict"), "0", "after {pause} ms");
    }
    bench.xtask("db import t.strict.csv").exits(0).says("399999 rows into 1 tables");
}

#[test]
fn upkeep_is_run_and_what_needs_care_is_told() {
    let Some(bench) = bench("upkeep_is_run_and_what_needs_care_is_told") else { return };
    bench
        .sandbox
        .write("database/maintenance/a.sql", "vacuum (analyze) t.one; -- two\nreindex table concurrently t.kinds;\n");
    bench.xtask("db maintain --plan").exits(3).prints("reindex table concurrently t.kinds");
    bench.xtask("db maintain").exits(0).says("ok     vacuum (analyze) t.one");
    bench.ask("create index one_a on t.one (v)");
    bench.ask("create index one_b on t.one (v)");
    bench.ask("create sequence t.short maxvalue 10");
    bench.ask("select setval('t.short', 9)");
    let found = bench.xtask("db maintain a --json").exits(3).json();
    let kinds: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["duplicate-index", "sequence"], "{found}");
    assert_eq!(found["ran"].as_array().unwrap().len(), 2);
    bench.sandbox.write("database/maintenance/a.sql", "select 1;\nvacuum nosuch;\n");
    bench
        .xtask("db maintain")
        .exits(1)
        .says("database/maintenance/a.sql:2:1: error: relation \"nosuch\" does not exist");
    bench.sandbox.write("database/maintenance/a.sql", "\\! ls\n");
    bench.xtask("db maintain").exits(2).says("a.sql:1:1: error: upkeep is SQL only");
}

#[test]
fn seeds_change_nothing_a_second_time_and_say_so() {
    let Some(bench) = bench("seeds_change_nothing_a_second_time_and_say_so") else { return };
    bench.xtask("db seed").exits(0).says("nothing to do: database/seeds/dev holds no seed");
    bench.sandbox.write("database/seeds/dev/1.sql", "insert into t.tree values (9) on conflict do nothing;\n");
    bench.xtask("db seed").exits(0).says("1 files, 1 rows written");
    bench.xtask("db seed").exits(0).says("1 files, no row changed");
    bench.sandbox.write("database/seeds/dev/2.sql", "insert into t.tree values (10);\nselect 1 / 0;\n");
    bench.xtask("db seed").exits(1).says("database/seeds/dev/2.sql:2:").says("division by zero");
    assert_eq!(bench.ask("select count(*) from t.tree where id = 10"), "0", "a part of the seeds stayed");
    bench.sandbox.write("database/seeds/dev/2.sql", "select 1;\n\\q\n");
    bench.xtask("db seed").exits(2).says("database/seeds/dev/2.sql:2:1: error: a seed holds SQL only");
}

#[test]
fn a_query_cannot_write_and_its_values_are_exact() {
    let Some(bench) = bench("a_query_cannot_write_and_its_values_are_exact") else { return };
    bench.ask(
        "create function t.sly() returns int language sql volatile as 'insert into t.tree values (77) returning id'",
    );
    let query = |name: &str, sql: &str| {
        bench.sandbox.write(format!("database/queries/x/{name}.sql"), format!("-- {name}\n{sql}\n"))
    };
    query("sly", "select t.sly();");
    query("next", "select nextval('t.a_id_seq');");
    query("open", "select set_config('transaction_read_only', 'off', false), t.sly();");
    query("slow", "-- timeout 200ms\nselect pg_sleep(10);");
    query("exact", "select m as t, f, a, t as x from t.kinds order by id limit 2;");
    query("say", "-- param what text : any\nselect :what as said;");
    for name in ["sly", "next", "open"] {
        bench.xtask(&format!("db query {name}")).exits(1).says("read-");
    }
    // What fails behind its first row has failed, whatever psql makes of it.
    query("midway", "select 1 / (2 - g) as share from generate_series(1, 3) g;");
    for format in ["table", "csv", "json"] {
        bench.xtask(&format!("db query midway --format {format}")).exits(2).says("division by zero");
    }
    assert_eq!(bench.ask("select count(*) from t.tree where id = 77"), "0");
    bench.xtask("db query slow").exits(1).says("statement timeout");
    bench.xtask("db query exact --format json").exits(0).prints("\"t\":99999999999999999999999999.000000000001");
    bench.xtask("db query exact --format csv").exits(0).prints("99999999999999999999999999.000000000001,0.1,");
    bench.xtask("db query say").exits(2).says("the query `say` needs the parameter `what`");
    for (text, why) in [
        ("select 1;\ncommit;\ndrop table t.one;", "two.sql:3:1: error: a query is one statement"),
        ("-- param n nubmer : how many\nselect :n;", "two.sql:2:1: error: unknown type `nubmer`"),
    ] {
        query("two", text);
        bench.xtask("db query two").exits(2).says(why);
    }
    std::fs::remove_file(bench.sandbox.path("database/queries/x/two.sql")).unwrap();
    bench.xtask("db export midway --out m.csv").exits(1).says("division by zero");
    bench.xtask("db export midway --out m").exits(1);
    let half = |file: &std::path::PathBuf| file.ends_with("m.csv") || file.to_string_lossy().contains(".part");
    assert!(!bench.sandbox.files().iter().any(half), "half of an export was left");
    let sly = "what='); drop table t.one; --\\";
    let run = bench.sandbox.run(&["db", "query", "say", sly, "--format", "json"]).exits(0);
    assert_eq!(run.json()[0]["said"], "'); drop table t.one; --\\");
    assert_eq!(bench.ask("select to_regclass('t.one') is not null"), "t");
}

#[test]
fn what_no_migration_made_is_told() {
    let Some(bench) = bench("what_no_migration_made_is_told") else { return };
    bench.migration(
        "2_more",
        "create index tree_parent on t.tree (parent);
        create function t.f() returns trigger language plpgsql as $$ begin return new; end $$;
        create trigger f before insert on t.tree for each row execute function t.f();
        create view t.v as select id from t.tree;
        alter table t.tree enable row level security;
        create policy p on t.tree using (id > 0);\n",
    );
    bench.xtask("migrate").exits(0);
    // What is pending is no difference.
    bench.migration("3_later", "create table t.later (id int);\n");
    bench.xtask("db diff").exits(0).says("nothing differs");
    bench.ask("create table t.by_hand (id int, n text)");
    bench.ask("alter table t.one add column extra int");
    bench.ask("alter table t.one alter column v set default 'x'");
    bench.ask("alter table t.tree disable trigger f");
    bench.ask("alter table t.tree add constraint positive check (id > 0) not valid");
    bench.ask("update pg_index set indisvalid = false where indexrelid = 't.tree_parent'::regclass");
    bench.ask("grant select on t.one to public");
    bench.ask("alter policy p on t.tree using (id > 1)");
    bench.ask("create or replace view t.v as select id, parent from t.tree");
    bench.ask("create or replace function t.f() returns trigger language plpgsql as $$ begin return null; end $$");
    bench.ask("alter sequence t.a_id_seq cache 7");
    let found = bench.xtask("db diff --json").exits(3).json();
    let mut seen: Vec<String> = found["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["kind"].as_str().unwrap(), one["object"].as_str().unwrap()))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "column t.one.extra",
            "column t.one.v",
            "constraint positive on t.tree",
            "function t.f()",
            "grants relation t.one",
            "index t.tree_parent",
            "policy p on t.tree",
            "sequence settings t.a_id_seq",
            "table t.by_hand",
            "trigger f on t.tree",
            "view t.v",
        ]
    );
    bench.xtask("db diff").exits(3).prints("table t.by_hand: no migration makes it").prints("begin return null");
    // A second one comes while the first one's database is there, and leaves it alone.
    let made = "select count(*) > 0 from pg_database d join pg_database own on own.datname = current_database() \
                where starts_with(d.datname, 'xtask_diff_' || own.oid || '_')";
    let mut first = bench.sandbox.command(&["db", "diff"]).spawn();
    assert!(wait(Duration::from_secs(60), || bench.ask(made) == "t" || first.is_over()));
    signal("STOP", first.pid());
    bench.xtask("db diff").exits(3);
    assert_eq!(bench.ask(made), "t", "the first one was over");
    signal("CONT", first.pid());
    first.wait().exits(3);
    let left = "select count(*) from pg_database d join pg_database own on own.datname = current_database() \
                where starts_with(d.datname, 'xtask_diff_' || own.oid || '_')";
    assert_eq!(bench.ask(left), "0", "a scratch database was left behind");
}

#[test]
fn what_a_restore_writes_in_another_way_is_no_difference() {
    let Some(bench) = bench("what_a_restore_writes_in_another_way_is_no_difference") else { return };
    bench.sandbox.write("database/backups/backup-policy.md", crate::backup::POLICY);
    bench.migration(
        "2_words",
        "create table t.words (a varchar(9) check (a = any (array['x', 'y']::varchar[])), b varchar(9) default 'n'::varchar);
        create index words_a on t.words (a) where a = any (array['x'::varchar, 'y']);
        create view t.w as select a from t.words where a in ('x', 'y');\n",
    );
    bench.xtask("migrate").exits(0);
    bench.xtask("db backup").exits(0);
    let written =
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 't.words'::regclass and contype = 'c'";
    let before = bench.ask(written);
    bench.xtask("db restore latest --yes").exits(0);
    assert_ne!(bench.ask(written), before, "PostgreSQL writes it as before, so this proves nothing");
    bench.xtask("db diff").exits(0).says("nothing differs");
    // What does differ is told, also where it is written in another way as well.
    bench.ask("alter table t.words alter b set default 'm'::varchar");
    bench.ask("update pg_index set indisvalid = false where indexrelid = 't.words_a'::regclass");
    let found = bench.xtask("db diff --json").exits(3).json();
    let objects: Vec<&str> =
        found["differences"].as_array().unwrap().iter().map(|one| one["object"].as_str().unwrap()).collect();
    assert_eq!(objects, ["t.words.b", "t.words_a"]);
    let kept = bench.ask(&format!("select datname from pg_database where datname like '{}\\_\\_old%'", bench.name));
    bench.ask_at(&bench.server, &format!("drop database \"{kept}\""));
}
