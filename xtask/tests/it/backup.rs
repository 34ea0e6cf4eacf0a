//! Backups and restores on real PostgreSQL: what is refused, that a restore equals the moment of the backup while the
//! source goes on, that clients may be connected, that two at once do no harm. The runner's server, as in database.rs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::sandbox::{Running, Sandbox, is_alive, signal, skip, wait};

/// Few numbers, so that a test can say what they mean.
pub const POLICY: &str = "---\ndefault: {keep_daily: 1, keep_weekly: 0, max_age: 1d, verify_every: 1d, jobs: 2}\n---\n";

/// A workspace whose dev environment has a database with content.
pub struct Bench {
    pub sandbox: Sandbox,
    server: String,
    psql: PathBuf,
    pub url: String,
    pub name: String,
}

impl Bench {
    /// None, and a line that says so, where there is no server.
    pub fn new(test: &str) -> Option<Bench> {
        let Ok(server) = std::env::var("XTASK_TEST_DATABASE") else {
            skip(test, "XTASK_TEST_DATABASE is not set; `cargo xtask test` sets it");
            return None;
        };
        let tools = std::env::var("XTASK_TEST_WORKSPACE").map(|root| Path::new(&root).join(".ops/tools")).ok();
        let given = std::env::var_os("XTASK_TEST_PSQL").map(PathBuf::from);
        let Some(psql) = given.or_else(|| tools.as_deref().and_then(find_psql)) else {
            skip(test, "there is no unpacked PostgreSQL");
            return None;
        };
        let bench = Bench::at(&server, psql);
        if let Some(tools) = tools {
            std::os::unix::fs::symlink(tools, bench.sandbox.path(".ops/tools")).unwrap();
        }
        Some(bench)
    }

    /// On the server of this URL, in a database of its own.
    pub fn at(server: &str, psql: PathBuf) -> Bench {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (head, options) =
            server.split_once('?').map_or((server, String::new()), |(head, options)| (head, format!("?{options}")));
        let (authority, _) = head.rsplit_once('/').unwrap();
        let name = format!("backup_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let url = format!("{authority}/{name}{options}");
        let sandbox = Sandbox::new();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let read = |file: &str| std::fs::read_to_string(repository.join(file)).unwrap();
        let config = read("config/services/database.yaml");
        sandbox.write("config/services/database.yaml", config.split("\nenvironments:").next().unwrap());
        sandbox.write("database/embedded-postgres.txt", read("database/embedded-postgres.txt"));
        sandbox.write("database/backups/backup-policy.md", POLICY);
        sandbox.write(".ops/README.md", "");
        for name in ["dev", "production"] {
            let protected = format!("\n# @type=bool\nPROTECTED={}\n", name == "production");
            sandbox.write(
                format!("config/environments/.env.{name}.example"),
                format!("{}{protected}", crate::sandbox::SCHEMA),
            );
            sandbox.write(
                format!("config/environments/.env.{name}"),
                format!("DATABASE_ADMIN_URL={url}\nAPI_KEY=a-key-of-this-test\n"),
            );
        }
        let bench = Bench { sandbox, server: server.to_owned(), psql, url, name };
        bench.ask_at(server, &format!("create database {}", bench.name));
        bench.ask(
            "create schema app; create table app.note (id bigint generated always as identity primary key, \
             body text not null, note text, at timestamptz default now(), weight float8, raw bytea, \
             twice int generated always as (length(body) * 2) stored); \
             insert into app.note (body, note, weight, raw) select md5(i::text), nullif(i % 3, 0)::text, i / 3.0, \
             decode(md5(i::text), 'hex') from generate_series(1, 2000) i; \
             create table app.empty (); create view app.notes as select id, body from app.note",
        );
        bench
    }

    pub fn ask_at(&self, url: &str, sql: &str) -> String {
        let mut psql = Command::new(&self.psql);
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]).current_dir("/");
        // The password by environment: a test looks for it in every command line.
        let (before, after) = url.split_once('@').unwrap();
        let url = match before.rsplit_once(':') {
            Some((before, password)) if !password.starts_with("//") => {
                psql.env("PGPASSWORD", decoded(password));
                format!("{before}@{after}")
            }
            _ => url.to_owned(),
        };
        let output = psql.args(["-d", &url]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
    /// What the environment's database answers.
    pub fn ask(&self, sql: &str) -> String {
        self.ask_at(&self.url, sql)
    }
    /// Of another database beside it.
    pub fn ask_in(&self, database: &str, sql: &str) -> String {
        self.ask_at(&self.url.replace(&self.name, database), sql)
    }
    /// Databases of this test, its own aside.
    pub fn beside(&self) -> Vec<String> {
        let query = format!("select datname from pg_database where datname like '{}\\_\\_%' order by 1", self.name);
        self.ask_at(&self.server, &query).lines().map(str::to_owned).collect()
    }
    /// A table that takes a while.
    pub fn fill(&self, rows: u32) {
        self.ask(&format!(
            "create table app.big as select i as id, md5(i::text) as a, md5((i * 7)::text) as b \
             from generate_series(1, {rows}) i; alter table app.big add primary key (id); create index on app.big (a)"
        ));
    }
    /// Content of a table, whatever its order.
    pub fn content(&self, table: &str) -> String {
        self.ask(&format!("select count(*), sum(hashtextextended(t::text, 0)) from {table} t"))
    }
    pub fn backup(&self) -> String {
        self.sandbox.xtask("db backup --lock-wait 30").exits(0).stdout.trim().to_owned()
    }
    pub fn folder(&self, id: &str) -> PathBuf {
        self.sandbox.path(format!(".ops/backups/dev/{id}"))
    }
    /// Names below the environment's backups that begin with a dot, locks aside.
    pub fn half_made(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.sandbox.path(".ops/backups/dev")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with('.') && !name.starts_with(".lock")).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The server may have been killed by the test.
        let mut names = vec![self.name.clone()];
        names.extend(["aside", "other"].map(|what| format!("{}_{what}", self.name)));
        if std::thread::panicking() {
            return;
        }
        names.extend(self.beside());
        for name in names {
            self.ask_at(&self.server, &format!("drop database if exists \"{name}\" with (force)"));
        }
    }
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        whole.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        whole.push_str(&part[2..]);
    }
    whole
}

fn find_psql(tools: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(tools).ok()?.flatten();
    let psql = folders.map(|entry| entry.path().join("embedded_postgres/pginstall/bin/psql"));
    psql.into_iter().find(|path| path.is_file())
}

/// Waits until a run has said something.
#[track_caller]
pub fn wait_for(run: &mut Running, text: &str) {
    let said = wait(Duration::from_secs(60), || run.stderr().contains(text) || run.is_over());
    assert!(said && run.stderr().contains(text), "expected {text:?} in\n{}", run.stderr());
}

#[test]
fn a_restore_equals_the_moment_of_the_backup() {
    let Some(bench) = Bench::new("a_restore_equals_the_moment_of_the_backup") else { return };
    bench.fill(60_000);
    bench.ask(
        "create schema ops; create table ops.identity (only_row boolean primary key, environment text not null); \
         insert into ops.identity values (true, 'dev'); create table ops.release (number bigint primary key, what text, state text); \
         create table ops.release_step (id bigint generated always as identity primary key, \
         release bigint not null references ops.release, step text, event text, detail text); \
         create table ops.release_key (only_row boolean primary key, key text); \
         insert into ops.release values (1, 'of the backup'); insert into ops.release_step (release, step) values (1, 'a'); \
         alter database current_database_name set search_path to app, public"
            .replace("current_database_name", &bench.name)
            .as_str(),
    );
    let before = [bench.content("app.note"), bench.content("app.big"), bench.content("app.notes")];
    let mut run = bench.sandbox.command(&["db", "backup"]).spawn();
    wait_for(&mut run, "> backup");
    // The snapshot is taken within the first moments; rows that come and go later are none of its business.
    let id = wait_and_change(&bench, run);
    assert_ne!(bench.content("app.note"), before[0]);
    bench.ask(
        "insert into ops.release values (2, 'since'); insert into ops.release_step (release, step) values (2, 'b'), (2, 'c'); \
         insert into ops.release_key values (true, 'k')",
    );

    bench.sandbox.xtask(&format!("db restore {id}")).exits(3).says("not confirmed");
    let result =
        bench.sandbox.xtask(&format!("db restore {id} --yes --json")).exits(0).says("3 tables of releases").json();
    let after = [bench.content("app.note"), bench.content("app.big"), bench.content("app.notes")];
    assert_eq!(after, before);
    let releases = "select string_agg(what || step, ',' order by id) || key from ops.release_step \
                    join ops.release on number = release, ops.release_key group by key";
    assert_eq!(bench.ask(releases), "of the backupa,sinceb,sinceck");
    assert_eq!(bench.ask("insert into ops.release_step (release, step) values (2, 'd') returning id"), "4");
    assert_eq!(bench.ask("show search_path"), "app, public");
    assert_eq!(bench.ask("insert into app.note (body) values ('x') returning id"), "2001");
    let kept = result["kept"].as_str().unwrap();
    assert_eq!(bench.beside(), [kept]);
    let open = format!("select datallowconn from pg_database where datname = '{kept}'");
    assert_eq!(bench.ask(&open), "f");
}

/// Changes the source as soon as pg_dump is at work; the id of the backup. Rows only: a TRUNCATE that waits behind the
/// dump's locks makes one of pg_dump's workers give up, as its manual says of -j.
fn wait_and_change(bench: &Bench, mut run: Running) -> String {
    let dumping = "select count(*) from pg_stat_activity where datname = current_database() and query like 'COPY %'";
    wait(Duration::from_secs(10), || run.is_over() || bench.ask(dumping) != "0");
    bench.ask("delete from app.note where id % 2 = 0; update app.note set body = 'changed' where id < 100");
    run.wait().exits(0).stdout.trim().to_owned()
}

#[test]
fn damaged_backups_are_refused_before_anything_is_touched() {
    let Some(bench) = Bench::new("damaged_backups_are_refused_before_anything_is_touched") else { return };
    let id = bench.backup();
    let folder = bench.folder(&id);
    let data = std::fs::read_dir(folder.join("dump")).unwrap().flatten().map(|entry| entry.path());
    let data = data.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let whole = std::fs::read(&data).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let refused = |why: &str| {
        for words in ["", "--verify", "--into aside"] {
            let run = bench.sandbox.xtask(&format!("db restore {id} --yes {words}"));
            run.exits(3).says("is damaged").says(why).says("nothing was touched");
        }
        assert_eq!(bench.beside(), Vec::<String>::new());
    };
    std::fs::write(&data, &flipped).unwrap();
    refused("its sha256 differs");
    std::fs::write(&data, &whole[..whole.len() - 1]).unwrap();
    refused("bytes, and should have");
    std::fs::remove_file(&data).unwrap();
    refused("is missing");
    std::fs::write(&data, &whole).unwrap();
    let extra = folder.join("dump/9999.dat.gz");
    std::fs::write(&extra, "x").unwrap();
    refused("the manifest does not name it");
    std::fs::remove_file(&extra).unwrap();
    let manifest = folder.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"rows\": 2000", "\"rows\": 2001")).unwrap();
    refused("its own sha256 does not agree");
    std::fs::remove_file(&manifest).unwrap();
    refused("manifest.json cannot be read");
    std::fs::write(&manifest, text).unwrap();
    let other = "dev-20250102T030405Z";
    std::fs::rename(&folder, bench.folder(other)).unwrap();
    let run = bench.sandbox.xtask(&format!("db restore {other} --yes")).exits(3);
    run.says(&format!("its manifest is that of `{id}`")).says("nothing was touched");
    std::fs::rename(bench.folder(other), &folder).unwrap();
    bench.sandbox.xtask(&format!("db restore {id} --verify")).exits(0).says("2 tables equal");
    assert_eq!(bench.beside(), Vec::<String>::new());
}

#[test]
fn a_restore_ends_the_sessions_of_clients() {
    let Some(bench) = Bench::new("a_restore_ends_the_sessions_of_clients") else { return };
    let id = bench.backup();
    bench.ask("delete from app.note");
    let url = bench.url.clone();
    // Clients that come back at once, as a service's pool does.
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let script = "while :; do \"$0\" -XAtqc 'select pg_sleep(5)' -d \"$1\" >/dev/null 2>&1; done";
            Command::new("sh").args(["-c", script]).arg(&bench.psql).arg(&url).spawn().unwrap()
        })
        .collect();
    let connected =
        "select count(*) from pg_stat_activity where datname = current_database() and query like '%pg_sleep%'";
    assert!(wait(Duration::from_secs(20), || bench.ask(connected).parse::<u32>().unwrap() > 3));
    let run = bench.sandbox.xtask(&format!("db restore {id} --yes"));
    for mut client in clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    run.exits(0).says("is kept as");
    assert_eq!(bench.ask("select count(*) from app.note"), "2000");
}

#[test]
fn two_at_once_do_no_harm() {
    let Some(bench) = Bench::new("two_at_once_do_no_harm") else { return };
    bench.fill(60_000);
    let both = [(); 2].map(|()| bench.sandbox.command(&["db", "backup"]).spawn());
    let mut codes = both.map(|run| run.wait().code.unwrap());
    codes.sort_unstable();
    assert!(codes == [0, 5] || codes == [0, 0], "{codes:?}");
    let listed = bench.sandbox.xtask("db backups --json").exits(0).json();
    assert!(listed["backups"].as_array().unwrap().iter().all(|backup| backup["is_damaged"] == false));
    let both = [(); 2].map(|()| bench.sandbox.command(&["db", "restore", "latest", "--yes"]).spawn());
    let mut codes = both.map(|run| run.wait().code.unwrap());
    codes.sort_unstable();
    assert!(codes == [0, 5] || codes == [0, 0], "{codes:?}");
    assert_eq!(bench.ask("select count(*) from app.big"), "60000");
    assert!(bench.beside().iter().all(|name| name.contains("__old_")), "{:?}", bench.beside());
    // The second one comes while the first one's database is there, and leaves it alone.
    let mut first = bench.sandbox.command(&["db", "restore", "latest", "--verify"]).spawn();
    wait_for(&mut first, "> restore into");
    signal("STOP", first.pid());
    bench.sandbox.xtask("db restore latest --verify").exits(0).says_nothing_of("had left");
    signal("CONT", first.pid());
    first.wait().exits(0);
    assert!(bench.beside().iter().all(|name| name.contains("__old_")), "{:?}", bench.beside());
}

/// A manifest's text, with the hash over itself.
fn sealed(mut manifest: serde_json::Value) -> String {
    manifest.as_object_mut().unwrap().remove("sha256");
    let text = serde_json::to_string(&manifest).unwrap();
    let digest = Command::new("sh").args(["-c", "printf %s \"$0\" | sha256sum", &text]).output().unwrap();
    manifest["sha256"] = String::from_utf8_lossy(&digest.stdout)[..64].into();
    format!("{manifest:#}\n")
}

#[test]
fn the_policy_is_checked_and_obeyed() {
    let Some(bench) = Bench::new("the_policy_is_checked_and_obeyed") else { return };
    let check = |code| bench.sandbox.xtask("db backup --check").exits(code);
    check(3).says("there is no backup of `dev`").says("ever verified");
    let first = bench.backup();
    check(3).says("ever verified");
    bench.sandbox.xtask("db restore latest --verify").exits(0);
    check(0);
    let second = bench.backup();
    // One that is a year old: nothing asks for it. All of today stay, however many there are.
    let old = "dev-20250102T030405Z";
    bench.sandbox.xtask("db backup --plan").exits(3);
    std::fs::rename(bench.folder(&second), bench.folder(old)).unwrap();
    let manifest = bench.folder(old).join("manifest.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    value["id"] = old.into();
    value["created_at"] = "2025-01-02T03:04:05Z".into();
    std::fs::write(&manifest, sealed(value)).unwrap();
    bench.sandbox.xtask("db backup --plan").exits(3).prints(&format!("remove {old}"));
    let third = bench.sandbox.xtask("db backup").exits(0).says(&format!("removed {old}")).stdout;
    let fourth = bench.backup();
    let list = bench.sandbox.xtask("db backups --json").exits(0).json();
    let ids: Vec<&str> = list["backups"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&fourth, third.trim(), &first]);
    assert_eq!(list["policy"]["is_met"], true);
    bench.sandbox.write("database/backups/backup-policy.md", POLICY.replace("jobs: 2", "jobs: 0"));
    bench.sandbox.xtask("db backup").exits(2).says("backup-policy.md:2:");
}

#[test]
fn a_protected_environment_asks_for_its_name() {
    let Some(bench) = Bench::new("a_protected_environment_asks_for_its_name") else { return };
    let id = bench.backup();
    let restore = |words: &str| bench.sandbox.xtask(&format!("db restore {id} --env production {words}"));
    restore("--yes").exits(3).says("`production` is protected").says("--confirm production");
    restore("--confirm dev").exits(3).says("not confirmed; nothing was touched");
    restore("--confirm production").exits(0).says("is kept as");
    // One that is not protected is asked for all the same, and by its own name where one is given.
    bench.sandbox.replace("config/environments/.env.production", "API_KEY", "PROTECTED=false\nAPI_KEY");
    restore("").exits(3).says("a backup of another environment");
    restore(&format!("--into {}_aside", bench.name)).exits(3).says("a backup of another environment");
    restore("--yes --confirm dev").exits(3).says("not confirmed; nothing was touched");
}

#[test]
fn the_dump_and_the_look_at_it_are_of_one_moment() {
    let Some(bench) = Bench::new("the_dump_and_the_look_at_it_are_of_one_moment") else { return };
    // Rows come all the time, each committed.
    let rows = "do $$ begin loop insert into app.note (body) values ('more'); commit; end loop; end $$";
    let mut writer =
        Command::new(&bench.psql).args(["-XAtq", "-d", &bench.url, "-c", rows]).stderr(Stdio::null()).spawn().unwrap();
    assert!(wait(Duration::from_secs(20), || bench.ask("select count(*) > 2100 from app.note") == "t"));
    let id = bench.backup();
    bench.ask(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'do $$%' and datname = current_database()",
    );
    writer.wait().unwrap();
    bench.sandbox.xtask(&format!("db restore {id} --verify")).exits(0).says("2 tables equal");
}

#[test]
fn owners_that_the_server_does_not_have() {
    let Some(bench) = Bench::new("owners_that_the_server_does_not_have") else { return };
    let role = format!("owner_{}", bench.name);
    bench.ask(&format!("create role {role}; alter table app.note owner to {role}"));
    let of_two = bench.backup();
    bench.ask(&format!(
        "alter schema app owner to {role}; alter table app.empty owner to {role}; alter view app.notes owner to {role}"
    ));
    let of_one = bench.backup();
    bench.ask(&format!("reassign owned by {role} to current_user; drop owned by {role}; drop role {role}"));
    let run = bench.sandbox.xtask(&format!("db restore {of_two} --yes")).exits(3);
    run.says(&format!("roles that the server does not have: {role}"));
    assert_eq!(bench.beside(), Vec::<String>::new());
    // One owner of everything has another name here.
    bench.sandbox.xtask(&format!("db restore {of_one} --yes")).exits(0);
    assert_eq!(bench.ask("select count(*) from app.note"), "2000");
}

#[test]
fn both_names_change_or_none() {
    let Some(bench) = Bench::new("both_names_change_or_none") else { return };
    let id = bench.backup();
    bench.ask("create table app.since ()");
    let mut run = bench.sandbox.command(&["db", "restore", &id, "--yes"]).spawn();
    // Somebody is in the new database, so that the second of the two renames fails.
    let made = || bench.beside().into_iter().find(|name| name.contains("__restore_"));
    assert!(wait(Duration::from_secs(20), || made().is_some() || run.is_over()), "{}", run.stderr());
    let url = bench.url.replace(&bench.name, &made().expect("the new database"));
    let mut guest = Command::new(&bench.psql)
        .args(["-XAtq", "-d", &url, "-c", "select pg_sleep(60)"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    run.wait().exits(1).says("failed to put the restored database in place, the old one serves on");
    guest.kill().unwrap();
    guest.wait().unwrap();
    assert_eq!(bench.ask("select to_regclass('app.since') is not null"), "t");
    assert_eq!(bench.beside(), Vec::<String>::new());
}

#[test]
fn large_objects_sequences_and_wide_tables_are_compared() {
    let Some(bench) = Bench::new("large_objects_sequences_and_wide_tables_are_compared") else { return };
    bench.ask("select lo_from_bytea(0, decode(repeat('beef', 3000), 'hex')) from generate_series(1, 3)");
    let columns: Vec<String> = (1..=1500).map(|number| format!("c{number} int")).collect();
    bench.ask(&format!(
        "create table app.wide ({}); insert into app.wide (c1, c1500) values (1, 2)",
        columns.join(", ")
    ));
    bench.ask("create sequence app.unused; create sequence app.down increment -3; select nextval('app.down')");
    let id = bench.backup();
    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(bench.folder(&id).join("manifest.json")).unwrap()).unwrap();
    let table = |name: &str| {
        let tables = manifest["tables"].as_array().unwrap().iter();
        tables.clone().find(|table| table["name"] == name).unwrap_or_else(|| panic!("{manifest}"))["rows"].clone()
    };
    assert_eq!((table("pg_catalog.pg_largeobject"), table("app.wide")), (3.into(), 1.into()));
    let sequences: Vec<String> = manifest["sequences"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        sequences,
        [
            r#"{"from":-1,"name":"app.down","to":-1}"#,
            r#"{"from":2000,"name":"app.note_id_seq","to":2000}"#,
            r#"{"from":null,"name":"app.unused","to":null}"#
        ]
    );
    let aside = format!("{}_aside", bench.name);
    bench.sandbox.xtask(&format!("db restore {id} --into {aside}")).exits(0).says("4 tables equal");
    let digest = "select string_agg(md5(lo_get(oid)), ',' order by oid) from pg_largeobject_metadata";
    assert_eq!(bench.ask_in(&aside, digest), bench.ask(digest));
    let path = bench.folder(&id).join("manifest.json");
    let rewrite = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut other = manifest.clone();
        change(&mut other);
        std::fs::write(&path, sealed(other)).unwrap();
    };
    // What is restored must be what was seen when the backup was made, to the last value, or nothing is replaced.
    let place = |key: &str, name: &str| {
        let all = manifest[key].as_array().unwrap();
        all.iter().position(|one| one["name"] == name).unwrap_or_else(|| panic!("{manifest}"))
    };
    let (note, sequence) = (place("tables", "app.note"), place("sequences", "app.note_id_seq"));
    bench.ask("create table app.since ()");
    type Change<'a> = (&'a dyn Fn(&mut serde_json::Value), &'a str);
    let gone = serde_json::json!({"name": "app.gone", "rows": 0, "hash": "0"});
    let changes: [Change; 5] = [
        (&|manifest| manifest["tables"].as_array_mut().unwrap().push(gone.clone()), "the table `app.gone` is missing"),
        (&|manifest| _ = manifest["tables"].as_array_mut().unwrap().remove(note), "the table `app.note` is too much"),
        (&|manifest| manifest["tables"][note]["hash"] = "1".into(), "app.note"),
        (&|manifest| manifest["tables"][note]["rows"] = 1999.into(), "app.note"),
        (
            &|manifest| {
                manifest["sequences"][sequence]["from"] = 7.into();
                manifest["sequences"][sequence]["to"] = 8.into();
            },
            "app.note_id_seq",
        ),
    ];
    for (change, what) in changes {
        rewrite(change);
        let run = bench.sandbox.xtask(&format!("db restore {id} --yes")).exits(1);
        run.says("what was restored is not what the backup").says(what);
        assert_eq!(
            (bench.beside(), bench.ask("select to_regclass('app.since') is not null")),
            (Vec::new(), "t".into())
        );
    }
    rewrite(&|manifest| manifest["made_by"]["jobs"] = 3.into());
    let listed = bench.sandbox.xtask("db backups --json").exits(0).json();
    assert_eq!(listed["backups"][0]["verified_at"], serde_json::Value::Null, "what was proven was another manifest");
    rewrite(&|manifest| manifest["made_by"]["pg_dump"] = "99.1".into());
    bench.sandbox.xtask(&format!("db restore {id} --yes")).exits(4).says("the newest client here");
    rewrite(&|manifest| manifest["made_by"]["server"] = "99.1".into());
    let run = bench.sandbox.xtask(&format!("db restore {id} --yes")).exits(3);
    run.says("the backup is of PostgreSQL 99").says("restore it on a server of that version");
    // A manifest of a later version: what is not known is kept, and content hashed in another way is not compared.
    rewrite(&|manifest| {
        manifest["content"] = "in some other way".into();
        manifest["more"] = "of it".into();
    });
    let run = bench.sandbox.xtask(&format!("db restore {id} --verify --json")).exits(0);
    let run = run.says("4 tables have as many rows").says("another version of this program has made the backup");
    assert_eq!(run.json()["is_verified"], false);
}

#[test]
fn beside_and_identity() {
    let Some(bench) = Bench::new("beside_and_identity") else { return };
    bench.ask(
        "create schema ops; create table ops.identity (only_row boolean primary key, environment text not null); \
         insert into ops.identity values (true, 'dev')",
    );
    let id = bench.backup();
    let aside = format!("{}_aside", bench.name);
    let into = format!("db restore {id} --into {aside}");
    bench.sandbox.xtask(&into).exits(0).says(&format!("restored into `{aside}`"));
    assert_eq!(bench.ask_in(&aside, "select count(*) from app.note"), "2000");
    bench.sandbox.xtask(&into).exits(3).says("already; nothing was touched");
    // The database says whose it is, so production's tasks leave it alone.
    let words = format!("db restore {id} --env production --confirm production");
    bench.sandbox.xtask(&words).exits(3).says("this is the database of `dev`");
    for other in [format!("--into {aside}_2"), "--verify".to_owned()] {
        bench.sandbox.xtask(&format!("{words} {other}")).exits(3).says("this is the database of `dev`");
    }
    bench.sandbox.xtask("db backup --env production").exits(3).says("this is the database of `dev`");
    bench.ask("update ops.identity set environment = 'production'");
    bench.sandbox.xtask(&words).exits(0);
    assert_eq!(bench.ask("select environment from ops.identity"), "production");
}

#[test]
fn what_cannot_be_put_in_place_is_refused_before_anything_is_made() {
    let Some(bench) = Bench::new("what_cannot_be_put_in_place_is_refused_before_anything_is_made") else { return };
    let id = bench.backup();
    for words in ["db restore nothing-like-it", "db restore /nowhere/at/all", "db restore latest --verify --into x"] {
        bench.sandbox.xtask(words).exits(2);
    }
    bench.sandbox.xtask(&format!("db restore {id} --plan")).exits(3).prints("2 tables, 2000 rows");
    if bench.ask("show max_prepared_transactions") != "0" {
        bench.ask("begin; insert into app.note (body) values ('p'); prepare transaction 'held'");
        bench.sandbox.xtask(&format!("db restore {id} --yes")).exits(3).says("has prepared transactions");
        bench.ask("rollback prepared 'held'");
    }
    if bench.ask("show wal_level") == "logical" {
        bench.ask("select pg_create_logical_replication_slot('a_slot', 'pgoutput')");
        bench.sandbox.xtask(&format!("db restore {id} --yes")).exits(3).says("has logical replication slots");
        bench.ask("select pg_drop_replication_slot('a_slot')");
    }
    let role = format!("stranger_{}", bench.name);
    bench.ask(&format!("create role {role}; grant select on app.note to {role}"));
    let granted = bench.backup();
    bench.ask(&format!("drop owned by {role}; drop role {role}"));
    let run = bench.sandbox.xtask(&format!("db restore {granted} --yes"));
    run.exits(3).says(&format!("grants to roles that the server does not have: {role}"));
    assert_eq!(bench.beside(), Vec::<String>::new());
}

#[test]
fn a_table_that_stays_locked_fails_the_backup_in_time() {
    let Some(bench) = Bench::new("a_table_that_stays_locked_fails_the_backup_in_time") else { return };
    bench.sandbox.replace("config/services/database.yaml", "lock: 3s", "lock: 300ms");
    let mut holder = Command::new(&bench.psql)
        .args(["-XAtq", "-d", &bench.url, "-c", "begin; lock table app.note; select pg_sleep(60)"])
        .spawn()
        .unwrap();
    let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'app.note'::regclass";
    assert!(wait(Duration::from_secs(10), || bench.ask(held) == "1"));
    bench.sandbox.xtask("db backup").exits(1).says("a table stayed locked by another session");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(!is_alive(holder.id()));
    assert_eq!(bench.half_made(), Vec::<String>::new());
}
