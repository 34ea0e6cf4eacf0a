//! db sync against real PostgreSQL: what is masked never leaves in clear, what looks personal does not leave without a
//! rule, the part that comes is whole in its references, and only dev is ever replaced.

use std::time::Duration;

use crate::database::Bench;
use crate::sandbox::{SCHEMA, kill, wait};

const TABLES: &str = "
create schema u;
create table u.person (id int primary key, boss int references u.person, full_name text not null, email text not null unique,
    home_ip inet, note text, phone varchar(20), ok boolean, ref uuid unique);
create table u.task (id int generated always as identity primary key, person int not null references u.person, what text);
create table u.left_a (id int primary key, o int);
create table u.left_b (id int primary key, o int references u.left_a);
alter table u.left_a add foreign key (o) references u.left_b;
";
const ROWS: &str = "
insert into u.person select i, nullif(i / 2, 0), 'Person ' || i, 'p' || i || '@corp.example', '10.0.0.1',
    case when i = 7 then 'mail me at x@corp.example' end, '+43 1 234567', true, gen_random_uuid() from generate_series(1, 50) i;
insert into u.task (person, what) select i, 'w' || i from generate_series(1, 50) i;
insert into u.left_a values (1, null); insert into u.left_b values (1, 1); update u.left_a set o = 1";
const RULES: &str = "u.person.full_name: {fake: name}
u.person.email: {fake: email}
u.person.home_ip: \"null\"
u.person.note: {fixed: \"it's \\\\ fixed\"}
u.person.phone: {fake: phone}
u.person.ref: hash
";

/// dev and staging, each with a database of its own; staging's holds people.
fn bench(test: &str) -> Option<Bench> {
    let bench = Bench::new(test)?;
    let staging = format!("{}_staging", bench.name);
    bench.ask_at(&bench.server, &format!("create database {staging}"));
    let url = bench.url.replace(&bench.name, &staging);
    let schema = format!("{SCHEMA}\n# @type=bool @required\nPROTECTED=false\n");
    bench.sandbox.write("config/environments/.env.staging.example", &schema);
    bench
        .sandbox
        .write("config/environments/.env.staging", format!("DATABASE_ADMIN_URL={url}\nAPI_KEY=a-key-of-staging\n"));
    bench.migration("1_u", TABLES);
    bench.xtask("migrate").exits(0);
    bench.xtask("migrate --env staging").exits(0);
    bench.ask_at(&url, ROWS);
    Some(bench)
}

fn drop_staging(bench: &Bench) {
    bench.ask_at(&bench.server, &format!("drop database {}_staging with (force)", bench.name));
}

#[test]
fn nothing_leaves_without_a_rule() {
    let Some(bench) = bench("nothing_leaves_without_a_rule") else { return };
    let mut run = bench.xtask("db sync --from staging").exits(3).says("nothing was read out");
    for (column, why) in [
        ("full_name", "its name says `name`"),
        ("email", "its name says `email`"),
        ("home_ip", "its type is inet"),
        ("phone", "its name says `phone`"),
        ("note", "a sample of its values holds e-mail addresses"),
    ] {
        run = run.says(&format!("u.person.{column} looks personal ({why}) and has no rule"));
    }
    run.says("add to database/masking.yaml: `u.person.email: {fake: email}`").says_nothing_of("corp.example");
    bench.sandbox.write(
        "database/masking.yaml",
        format!("{RULES}u.person.gone: keep\nu.person.ok: hash\nu.person.id: \"null\"\nu.task.person: {{fixed: 1}}\n"),
    );
    let run = bench.xtask("db sync --from staging").exits(3);
    run.says("database/masking.yaml:7:1: error: there is no column u.person.gone any more")
        .says("database/masking.yaml:8:1: error: u.person.ok is boolean")
        .says(":9:1: error: u.person.id takes no null")
        .says("u.task.person refers to u.person.id, but one becomes");
    bench.sandbox.write("database/masking.yaml", "u.person.email: hsah\n");
    bench.xtask("db sync --from staging").exits(2).says("database/masking.yaml:1:17: error: `hsah` is not known here");
    assert_eq!(bench.ask("select count(*) from u.person"), "0");
    drop_staging(&bench);
}

#[test]
fn what_comes_is_masked_and_whole() {
    let Some(bench) = bench("what_comes_is_masked_and_whole") else { return };
    bench.sandbox.write("database/masking.yaml", RULES);
    bench.ask("insert into u.person values (900, null, 'old', 'old')");
    bench.xtask("db sync --from staging --plan").exits(3).prints("u.person  all rows  6 columns masked");
    assert_eq!(bench.ask("select count(*) from u.person"), "1", "a plan touched it");
    bench.xtask("db sync --from staging").exits(0);
    let people = "select count(*), count(distinct email), count(distinct ref), count(home_ip), count(note) from u.person
        where email ~ '^[a-z]+[.][0-9a-f]{16}@example.com$' and full_name ~ '^[A-Z][a-z]+ [A-Z][a-z]+$' and phone ~ '^[+]999'
        and (note is null or note = $$it's \\ fixed$$)";
    assert_eq!(bench.ask(people), "50|50|50|0|1");
    assert_eq!(bench.ask("select count(*) from u.task"), "50");
    assert_eq!(bench.ask("insert into u.task (person) values (1) returning id"), "51", "the sequence did not follow");
    let mails = "select string_agg(email, ' ' order by id) from u.person";
    let first = bench.ask(mails);
    bench.xtask("db sync --from staging").exits(0);
    assert_eq!(bench.ask(mails), first, "the same value is masked in another way");
    // A part: person 40, those above, their tasks but for those of others; a circle comes whole.
    let part = ["db", "sync", "--from", "staging", "--only", "person=id = 40", "--only", "u.left_b=false"];
    bench.sandbox.run(&part).exits(0);
    assert_eq!(bench.ask("select string_agg(id::text, ' ' order by id) from u.person"), "1 2 5 10 20 40");
    assert_eq!(bench.ask("select string_agg(person::text, ' ') from u.task"), "40");
    assert_eq!(bench.ask("select count(*) from u.left_a, u.left_b"), "1");
    bench.xtask("db sync --from staging --tables task --only task=id<3").exits(0);
    assert_eq!(bench.ask("select count(*) from u.person"), "2");
    for condition in ["task=true) union select (1", "task=true) or (true)"] {
        bench.sandbox.run(&["db", "sync", "--from", "staging", "--only", condition]).exits(2);
    }
    // The same holds for an export that leaves staging.
    bench.xtask("db export person --env staging --out p.csv").exits(0);
    assert!(!bench.sandbox.read("p.csv").contains("corp.example"));
    drop_staging(&bench);
}

#[test]
fn only_dev_is_replaced() {
    let Some(bench) = bench("only_dev_is_replaced") else { return };
    bench.sandbox.write("database/masking.yaml", RULES);
    bench.xtask("db sync --from dev --env staging").exits(3).says("`staging` is not a development environment");
    bench.sandbox.replace("config/environments/.env.staging", "API_KEY", "PROTECTED=true\nAPI_KEY");
    bench.xtask("db sync --from dev --env staging").exits(3).says("`staging` is protected");
    bench.xtask("db sync --from dev").exits(2);
    bench.xtask("db sync").exits(2).says("needs --from");
    // Both databases must be whose they are said to be, and dev's must be able to take what comes.
    let url = bench.url.replace(&bench.name, &format!("{}_staging", bench.name));
    bench.ask_at(&url, "create table u.extra (id int primary key); alter table u.task add column more int");
    let run = bench.xtask("db sync --from staging").exits(3).says("`dev` has no table u.extra");
    run.says("`dev` has no column u.task.more to write to").says("nothing was read out");
    bench.ask_at(&url, "drop table u.extra; alter table u.task drop column more");
    bench.ask("update ops.identity set environment = 'qa'");
    bench.xtask("db sync --from staging").exits(3).says("this is the database of `qa`, not of `dev`");
    bench.ask("update ops.identity set environment = 'dev'");
    let holder = bench.hold(crate::database::LOCK);
    bench.xtask("db sync --from staging").exits(5).says("the database is locked by another run");
    drop(holder);
    assert_eq!(bench.ask("select count(*) from u.person"), "0", "rows came without the lock");
    bench.sandbox.write("t.csv", "person\n1\n");
    bench.xtask("db export person --env staging --raw --out r.csv").exits(3).says("--confirm staging");
    assert!(!bench.sandbox.path("r.csv").exists());
    bench.xtask("db import t.csv --table task --env staging").exits(3).says("not confirmed");
    bench.xtask("db import t.csv --table task --env staging --confirm staging").exits(0);
    drop_staging(&bench);
}

#[test]
fn a_sync_that_is_killed_is_healed_by_the_next() {
    let Some(bench) = bench("a_sync_that_is_killed_is_healed_by_the_next") else { return };
    bench.sandbox.write("database/masking.yaml", RULES);
    let url = bench.url.replace(&bench.name, &format!("{}_staging", bench.name));
    bench.ask_at(&url, "insert into u.task (person, what) select 1, 'x' from generate_series(1, 300000)");
    bench.ask("insert into u.person values (900, null, 'old', 'old')");
    for pause in [100, 400, 800, 1500] {
        let mut run = bench.sandbox.command(&["db", "sync", "--from", "staging"]).spawn();
        wait(Duration::from_millis(pause), || run.is_over());
        kill(run.pid());
        drop(run);
        let over = wait(Duration::from_secs(20), || {
            bench.ask(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
            ) == "0"
        });
        assert!(over, "a session outlives the killed sync");
        let seen = bench.ask("select count(*) || ' ' || (select count(*) from u.task) from u.person");
        assert!(["1 0", "50 300050"].contains(&seen.as_str()), "half a sync after {pause} ms: {seen}");
    }
    bench.xtask("db sync --from staging").exits(0);
    assert_eq!(bench.ask("select count(*) from u.task"), "300050");
    assert!(!bench.sandbox.path(".ops/transit").exists(), "masked rows were left behind");
    drop_staging(&bench);
}
