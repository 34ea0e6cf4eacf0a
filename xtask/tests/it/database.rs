//! Migrations, seeds and queries against real PostgreSQL. The runner gives a server (XTASK_TEST_DATABASE, an owner's URL
//! of a scratch database); each test makes a database of its own there. Without one they are skipped by name.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use expect_test::expect;

use crate::sandbox::{Run, Sandbox, skip};

/// A workspace whose dev environment has an empty database.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) server: String,
    psql: PathBuf,
    pub(crate) url: String,
    pub(crate) name: String,
}

impl Bench {
    /// None, and a line that says so, where there is no server.
    pub(crate) fn new(test: &str) -> Option<Bench> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let Ok(server) = std::env::var("XTASK_TEST_DATABASE") else {
            skip(test, "XTASK_TEST_DATABASE is not set; `cargo xtask test` sets it");
            return None;
        };
        let tools = std::env::var("XTASK_TEST_WORKSPACE").map(|root| Path::new(&root).join(".ops/tools")).ok();
        let given = std::env::var_os("XTASK_TEST_PSQL").map(PathBuf::from);
        let Some(psql) = given.or_else(|| tools.as_deref().and_then(find_psql)).or_else(|| in_path("psql")) else {
            skip(test, "there is no psql");
            return None;
        };
        let (head, options) = server
            .split_once('?')
            .map_or((server.clone(), String::new()), |(head, options)| (head.to_owned(), format!("?{options}")));
        let (authority, database) = head.rsplit_once('/').unwrap();
        let name = format!("{database}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let url = format!("{authority}/{name}{options}");
        let sandbox = Sandbox::new();
        lay_out(&sandbox, tools);
        let bench = Bench { sandbox, server, psql, url, name };
        bench.ask_at(&bench.server, &format!("create database {}", bench.name));
        bench.sandbox.write(
            "config/environments/.env.dev.example",
            format!("{}\n# @type=url @sensitive\nDATABASE_URL=\n", crate::sandbox::SCHEMA),
        );
        bench.sandbox.write(
            "config/environments/.env.dev",
            format!("DATABASE_ADMIN_URL={0}\nDATABASE_URL={0}\nAPI_KEY=a-key-of-this-test\n", bench.url),
        );
        Some(bench)
    }

    /// A server of the test's own, which may be killed: `embedded:`, run by the tasks themselves.
    pub(crate) fn own(test: &str) -> Option<Bench> {
        let tools = std::env::var("XTASK_TEST_WORKSPACE").map(|root| Path::new(&root).join(".ops/tools")).ok();
        let Some((tools, psql)) = tools.and_then(|tools| Some((tools.clone(), find_psql(&tools)?))) else {
            skip(test, "no unpacked PostgreSQL is given; `cargo xtask test` gives it in XTASK_TEST_WORKSPACE");
            return None;
        };
        let sandbox = Sandbox::new();
        lay_out(&sandbox, Some(tools));
        sandbox.write("config/environments/.env.dev", "DATABASE_ADMIN_URL=embedded:\nAPI_KEY=a-key-of-this-test\n");
        sandbox.xtask("migrate").exits(0);
        let question = "-- Where it is\nselect current_setting('unix_socket_directories') as folder\n";
        sandbox.write("database/queries/diagnostics/where.sql", question);
        let told = sandbox.xtask("db query where --format csv").exits(0).stdout;
        let sockets = told.lines().nth(1).unwrap();
        let host = sockets.replace('/', "%2F");
        let url = |database: &str| format!("postgres://postgres@localhost/{database}?host={host}");
        Some(Bench { server: url("postgres"), url: url("vital_dev"), name: "vital_dev".to_owned(), psql, sandbox })
    }

    pub(crate) fn ask_at(&self, url: &str, sql: &str) -> String {
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
        let output = psql.current_dir("/").output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
    /// What the database of this test answers.
    pub(crate) fn ask(&self, sql: &str) -> String {
        self.ask_at(&self.url, sql)
    }
    /// Another empty database on the same server, for another environment; its URL. The server of a test run goes with it.
    pub(crate) fn second_database(&self, what: &str) -> String {
        let name = format!("{}_{what}", self.name);
        self.ask_at(&self.server, &format!("create database {name}"));
        self.url.replace(&self.name, &name)
    }
    /// A session that runs these statements while the test goes on; it is ended with the value.
    pub(crate) fn spawn_at(&self, url: &str, sql: &str) -> Background {
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "-XAtq", "-d", url, "-c", sql]).current_dir("/");
        Background(psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
    /// An idle session that holds what these statements take, until the value is dropped.
    pub(crate) fn hold(&self, sql: &str) -> Background {
        use std::io::{BufRead, BufReader, Write};
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.url]).current_dir("/");
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{sql};\n\\echo held").unwrap();
        let said =
            BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).any(|line| line == "held");
        assert!(said, "nothing is held by {sql}");
        Background(child)
    }
    pub(crate) fn migration(&self, name: &str, sql: &str) {
        self.sandbox.write(format!("database/migrations/pending/{name}.sql"), sql);
    }
    pub(crate) fn xtask(&self, words: &str) -> Run {
        self.sandbox.xtask(words)
    }
    /// `version state` of each migration.
    pub(crate) fn states(&self) -> String {
        let all = self.xtask("migrate status --json").exits(0).json();
        let rows = all["migrations"].as_array().unwrap().iter();
        let rows = rows.map(|row| format!("{} {}", row["version"].as_str().unwrap(), row["state"].as_str().unwrap()));
        rows.collect::<Vec<_>>().join(", ")
    }
}

/// What every workspace with a database has.
fn lay_out(sandbox: &Sandbox, tools: Option<PathBuf>) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |file: &str| std::fs::read_to_string(repository.join(file)).unwrap();
    // What it says of environments that the sandbox does not have is left out.
    let config = read("config/services/database.yaml");
    sandbox.write("config/services/database.yaml", config.split("\nenvironments:").next().unwrap());
    sandbox.write("database/embedded-postgres.txt", read("database/embedded-postgres.txt"));
    if let Some(tools) = tools.filter(|tools| tools.is_dir()) {
        std::fs::create_dir_all(sandbox.path(".ops")).unwrap();
        std::os::unix::fs::symlink(tools, sandbox.path(".ops/tools")).unwrap();
    }
    for folder in ["applied", "pending", "repeatable"] {
        sandbox.write(format!("database/migrations/{folder}/README.md"), "");
    }
}

pub(crate) struct Background(std::process::Child);

impl Background {
    /// Gives a session that [`Bench::hold`] has begun more to do, and does not wait for it.
    pub(crate) fn goes_on(&self, sql: &str) {
        use std::io::Write;
        writeln!(self.0.stdin.as_ref().unwrap(), "{sql}").unwrap();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.name == "vital_dev" {
            // Its whole server goes with the sandbox.
            return;
        }
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "-Xq", "-d", &self.server, "-c"]);
        let _output = psql.arg(format!("drop database if exists {} with (force)", self.name)).output();
    }
}

fn find_psql(tools: &Path) -> Option<PathBuf> {
    fn walk(folder: &Path, depth: u32) -> Option<PathBuf> {
        let psql = folder.join("bin/psql");
        if psql.is_file() {
            return Some(psql);
        }
        let below = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
        (depth > 0).then(|| below.into_iter().find_map(|path| walk(&path, depth - 1))).flatten()
    }
    walk(tools, 3)
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[test]
fn migrations_are_applied_in_order_and_once() {
    let Some(bench) = Bench::new("migrations_are_applied_in_order_and_once") else { return };
    bench.migration("0009_two", "insert into t values (2);\n");
    bench.migration("0008_one", "create table t (n int);\ninsert into t values (1);\n");
    bench.migration(
        "10_three",
        "-- migrate: no-transaction\ncreate index concurrently t_n on t (n);\ninsert into t values (3);\n",
    );
    bench.sandbox.write("database/migrations/repeatable/v.sql", "create or replace view v as select max(n) from t;\n");
    assert_eq!(bench.states(), "0008 pending, 0009 pending, 10 pending");
    let plan = bench.xtask("migrate --plan").exits(3);
    plan.prints("database/migrations/pending/0008_one.sql\n").prints("10_three.sql  statement by statement");
    assert_eq!(
        bench.ask("select to_regclass('t') is null and to_regnamespace('ops') is null"),
        "t",
        "a plan touched it"
    );
    bench.xtask("migrate --to 7").exits(2).says("there is no migration of version `7`");
    bench.xtask("migrate up --to=0008").exits(0).says("ok     migrate 0008_one").says_nothing_of("0009");
    assert_eq!(bench.states(), "0008 applied, 0009 pending, 10 pending");
    let applied = bench.xtask("migrate --json").exits(0).json();
    let versions: Vec<&str> =
        applied["applied"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(versions[..2], ["0009", "10"]);
    assert_eq!(bench.ask("select string_agg(n::text, ',' order by n) || (select max::text from v) from t"), "1,2,33");
    bench.xtask("migrate").exits(0).says("nothing to do: no migration is pending");
    bench.xtask("migrate --plan").exits(0);
    bench.xtask("overview").exits(0).prints("no migration pending");
    // What is repeatable is applied again when it has another content.
    bench
        .sandbox
        .write("database/migrations/repeatable/v.sql", "create or replace view v as select min(n) as max from t;\n");
    bench.xtask("migrate --plan").exits(3).prints("repeatable/v.sql");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select max from v"), "1");
}

#[test]
fn a_new_migration_is_later_than_every_other() {
    let Some(bench) = Bench::new("a_new_migration_is_later_than_every_other") else { return };
    bench.migration("99990101000000_far", "select 1;\n");
    let run = bench.xtask("migrate new Add-API_keys").exits(0);
    assert_eq!(run.stdout, "database/migrations/pending/99990101000001_add_api_keys.sql\n");
    bench.xtask("migrate new ///").exits(2).says("`///` cannot name a migration");
    // As written it holds no statement yet, and so is refused with its place.
    let run = bench.xtask("migrate").exits(2);
    run.says("99990101000001_add_api_keys.sql:1:1: error: the file holds no statement");
}

#[test]
fn an_edited_or_missing_history_is_refused() {
    let Some(bench) = Bench::new("an_edited_or_missing_history_is_refused") else { return };
    bench.migration("1_one", "create table t (n int);\n");
    bench.migration("2_two", "insert into t values (2);\n");
    bench.xtask("migrate").exits(0);
    // Another line end or a byte order mark is the same migration.
    bench.migration("1_one", "\u{feff}create table t (n int);\r\n");
    bench.xtask("migrate").exits(0);
    bench.migration("1_one", "create table t (n bigint);\n");
    bench.migration("3_three", "insert into t values (3);\n");
    assert_eq!(bench.states(), "1 changed, 2 applied, 3 pending");
    for words in ["migrate", "migrate --plan"] {
        let run = bench.xtask(words).exits(3);
        run.says(
            "database/migrations/pending/1_one.sql:1:1: error: version 1 was applied with another content or name",
        )
        .says("hint: `cargo xtask db reset` makes dev's database anew;")
        .says("nothing was touched");
    }
    bench.migration("1_one", "create table t (n int);\n");
    std::fs::remove_file(bench.sandbox.path("database/migrations/pending/2_two.sql")).unwrap();
    assert_eq!(bench.states(), "1 applied, 2 missing, 3 pending");
    bench.xtask("migrate").exits(3).says("error: version 2 (two) was applied, but its file is gone");
    assert_eq!(bench.ask("select count(*) from t"), "1");
    bench.migration("2_two", "insert into t values (2);\n");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select count(*) from t"), "2");
}

#[test]
fn a_failing_migration_is_shown_with_a_caret_and_leaves_nothing() {
    let Some(bench) = Bench::new("a_failing_migration_is_shown_with_a_caret_and_leaves_nothing") else { return };
    bench.migration("1_one", "create table t (n int);\n");
    bench.migration("2_two", "insert into t values (2);\n\nupdate t\n   set größe = 1;\n");
    bench.migration("3_three", "insert into t values (3);\n");
    let run = bench.xtask("migrate").exits(1);
    let from = run.stderr.find("database/migrations").unwrap();
    expect![[r#"
        database/migrations/pending/2_two.sql:4:8: error: column "größe" of relation "t" does not exist (42703)
          4 |    set größe = 1;
            |        ^
        error: failed to apply `database/migrations/pending/2_two.sql`
    "#]]
    .assert_eq(&run.stderr[from..]);
    assert_eq!(bench.states(), "1 applied, 2 pending, 3 pending");
    assert_eq!(bench.ask("select count(*) from t"), "0", "half of it was applied");
    bench.migration("2_two", "insert into t values (2);\n");
    bench.xtask("migrate").exits(0);
    assert_eq!(bench.ask("select count(*) from t"), "2");
}

#[test]
fn files_that_cannot_be_migrations_are_refused_before_anything_runs() {
    let Some(bench) = Bench::new("files_that_cannot_be_migrations_are_refused_before_anything_runs") else { return };
    bench.migration("two_2", "select 1;\n");
    bench.migration("03_again", "select 1;\n");
    bench.migration("3_three", "select 'open;\n");
    let places = |run: &Run| {
        let lines = run.stderr.lines().filter(|line| line.starts_with("database/"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let run = bench.xtask("migrate").exits(2);
    expect![[r#"
        database/migrations/pending/two_2.sql:1:1: error: a migration is named <version>_<name>.sql, the version in digits
        database/migrations/pending/3_three.sql:1:1: error: version 3 is also that of database/migrations/pending/03_again.sql"#]].assert_eq(&places(&run));
    for name in ["two_2", "03_again"] {
        std::fs::remove_file(bench.sandbox.path(format!("database/migrations/pending/{name}.sql"))).unwrap();
    }
    bench.migration("1_one", "create table t (n int);\nbegin;\n");
    bench.migration("2_two", "select 1;\n  create index concurrently i on t (n);\n");
    let run = bench.xtask("migrate").exits(2);
    expect![[r#"
        database/migrations/pending/1_one.sql:2:1: error: BEGIN in a migration: each file runs in one transaction already
        database/migrations/pending/2_two.sql:2:3: error: CREATE INDEX CONCURRENTLY cannot run inside a transaction
        database/migrations/pending/3_three.sql:1:8: error: unterminated quoted string"#]].assert_eq(&places(&run));
    for name in ["1_one", "2_two"] {
        bench.migration(name, &format!("create table {} (n int);\n", &name[2..]));
    }
    let run = bench.xtask("migrate").exits(2);
    expect!["database/migrations/pending/3_three.sql:1:8: error: unterminated quoted string"].assert_eq(&places(&run));
    assert_eq!(bench.ask("select to_regclass('t') is null and to_regclass('one') is null"), "t", "something ran");
}

#[test]
fn of_ten_runners_each_migration_is_applied_by_one() {
    let Some(bench) = Bench::new("of_ten_runners_each_migration_is_applied_by_one") else { return };
    bench.migration("1_one", "create table t (n int);\nselect pg_sleep(0.2);\n");
    bench.migration("2_two", "insert into t values (2);\nselect pg_sleep(0.2);\n");
    bench.migration("3_three", "-- migrate: no-transaction\ninsert into t values (3);\n");
    bench.migration("4_four", "-- migrate: no-transaction\ncreate index concurrently t_n on t (n);\n");
    bench
        .sandbox
        .write("database/migrations/repeatable/v.sql", "create or replace view v as select count(*) from t;\n");
    let start = |words: &[&str]| bench.sandbox.command(words).spawn();
    let runs: Vec<_> = (0..10)
        .map(|number| start(if number % 2 == 0 { &["migrate", "--lock-wait", "60"] } else { &["migrate"] }))
        .collect();
    for (number, run) in runs.into_iter().enumerate() {
        let run = run.wait();
        // Those that wait are served; the others may come when nothing is to be done any more.
        match (number % 2, run.code) {
            (_, Some(0)) => {}
            (1, Some(5)) => _ = run.says("error: the database is locked by another run: `xtask migrate up"),
            _ => panic!("{run}"),
        }
    }
    assert_eq!(bench.ask("select string_agg(n::text, ',' order by n) from t"), "2,3");
    assert_eq!(bench.states(), "1 applied, 2 applied, 3 applied, 4 applied");
    let events = "select string_agg(event || version, ' ' order by id) from ops.migration_event";
    assert_eq!(bench.ask(events), "applied1 applied2 applied3 applied4");
    assert_eq!(bench.ask("select count(*) from pg_index where not indisvalid"), "0");
}

#[test]
fn a_killed_migration_leaves_no_lock_and_no_half() {
    let Some(bench) = Bench::new("a_killed_migration_leaves_no_lock_and_no_half") else { return };
    bench.migration("1_one", "create table t (n int);\n");
    bench.xtask("migrate").exits(0);
    for (index, delay) in [20, 80, 150, 250, 400].into_iter().enumerate() {
        let version = index + 2;
        bench.migration(
            &format!("{version}_more"),
            &format!("insert into t values ({version});\nselect pg_sleep(0.3);\n"),
        );
        let mut run = bench.sandbox.command(&["migrate"]).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        run.kill();
        bench.xtask("migrate --lock-wait 30").exits(0);
        assert_eq!(bench.ask(&format!("select count(*) from t where n = {version}")), "1", "killed after {delay} ms");
    }
    let gone = crate::sandbox::wait(Duration::from_secs(20), || bench.sandbox.processes().is_empty());
    assert!(gone, "{:#?}", bench.sandbox.processes());
}

#[test]
fn seeds_may_be_loaded_again_and_fail_as_one() {
    let Some(bench) = Bench::new("seeds_may_be_loaded_again_and_fail_as_one") else { return };
    bench.migration("1_one", "create table t (n int primary key, note text);\n");
    bench.xtask("migrate").exits(0);
    bench
        .sandbox
        .write("database/seeds/dev/010_numbers.sql", "insert into t values (1, 'x;y') on conflict do nothing;\n");
    bench.sandbox.write(
        "database/seeds/dev/020_key.sql",
        "-- seed: sha256 API_KEY\ninsert into t values (2, current_setting('seed.api_key_sha256')) on conflict do nothing;\n",
    );
    for _ in 0..2 {
        bench.xtask("db seed").exits(0);
        assert_eq!(bench.ask("select count(*) from t"), "2");
    }
    assert_eq!(bench.ask("select note = encode(sha256('a-key-of-this-test'), 'hex') from t where n = 2"), "t");
    bench
        .sandbox
        .write("database/seeds/dev/015_more.sql", "insert into t values (3, '');\ninsert into t values (4, 5, 6);\n");
    let run = bench.xtask("db seed").exits(1);
    run.says("database/seeds/dev/015_more.sql:2:").says("(42601)").says_nothing_of("a-key-of-this-test");
    assert_eq!(bench.ask("select count(*) from t"), "2");
    bench.sandbox.write("database/seeds/dev/015_more.sql", "-- seed: sha256 NO_SUCH_KEY\nselect 1;\n");
    let run = bench.xtask("db seed").exits(2);
    run.says("database/seeds/dev/015_more.sql:1:1: error: the environment `dev` has no value for `NO_SUCH_KEY`");
}

#[test]
fn queries_have_typed_parameters_and_cannot_write() {
    let Some(bench) = Bench::new("queries_have_typed_parameters_and_cannot_write") else { return };
    bench.migration("1_one", "create table t (n int, note text);\ninsert into t values (1, 'a, \"b\"'), (2, null);\n");
    bench.xtask("migrate").exits(0);
    bench.sandbox.write(
        "database/queries/diagnostics/numbers.sql",
        "-- The numbers\n-- param least int = 1 : leave out smaller ones\n-- param note text = '' : only with this note\n\
         select n, note from t where n >= :least and (:note = '' or note = :note) order by n;\n",
    );
    bench
        .sandbox
        .write("database/queries/utilities/write.sql", "-- Writes\ninsert into t values (9, '') returning n;\n");
    bench.xtask("db query").exits(0).prints("diagnostics  numbers  least=… note=…  The numbers");
    assert_eq!(bench.xtask("db query numbers --format csv").exits(0).stdout, "n,note\n1,\"a, \"\"b\"\"\"\n2,\n");
    let rows = bench.xtask("db query numbers least=2 --format=json").exits(0).json();
    assert_eq!(rows, serde_json::json!([{"n": 2, "note": null}]));
    bench.xtask("db query numbers").exits(0).prints("n  note\n1  a, \"b\"\n2");
    let injected = bench.sandbox.run(&["db", "query", "numbers", "note='; drop table t; --"]).exits(0);
    assert_eq!(injected.stdout, "n  note\n");
    assert_eq!(bench.ask("select count(*) from t"), "2");
    bench.xtask("db query numbres").exits(2).says("did you mean `numbers`?");
    bench.xtask("db query numbers lest=1").exits(2).says("did you mean `least`?");
    bench.xtask("db query numbers least=1 least=2").exits(2).says("the parameter `least` is given twice");
    let mistyped = bench.xtask("db query numbers least=many");
    assert!(mistyped.code != Some(0) && mistyped.stderr.contains("many"), "{mistyped}");
    bench.xtask("db query numbers --format xml").exits(2).says("unknown format `xml`");
    bench.xtask("db query write").exits(1).says("read-only");
    assert_eq!(bench.ask("select count(*) from t"), "2");
}

#[test]
fn services_wait_for_migrations_and_are_given_the_database() {
    let Some(mut bench) = Bench::new("services_wait_for_migrations_and_are_given_the_database") else { return };
    bench.migration("1_one", "create table t (n int);\n");
    let script =
        format!("import os\nopen('../../seen', 'w').write(os.environ['DATABASE_URL'])\n{}", crate::sandbox::PYTHON);
    bench.sandbox.python("alpha", &["database"], &script);
    bench.sandbox.replace("config/services/alpha.yaml", "[LOG_LEVEL, API_KEY]", "[DATABASE_URL]");
    let run = bench.xtask("services start").exits(3);
    run.says("1 migrations are pending").says("hint: run `cargo xtask migrate`");
    assert!(bench.sandbox.processes().is_empty());
    bench.xtask("migrate").exits(0);
    bench.xtask("services start").exits(0);
    assert_eq!(bench.sandbox.read("seen"), bench.url);
    bench.xtask("health").exits(0).prints("migrations  ok    none pending").prints("database    ok");
    bench.xtask("services start").exits(0).says("same   service alpha");
    bench.migration("2_two", "insert into t values (2);\n");
    bench.xtask("health").exits(3).prints("migrations  DOWN  1 pending: 2; run `cargo xtask migrate`");
    let health = bench.xtask("health --json").exits(3).json();
    assert_eq!(
        (&health["database"]["ok"], &health["migrations"]["pending"]),
        (&true.into(), &serde_json::json!(["2"]))
    );
    bench.xtask("overview").exits(0).prints("cargo xtask migrate");
}

#[test]
fn a_database_of_another_environment_or_of_others_is_not_touched() {
    let Some(bench) = Bench::new("a_database_of_another_environment_or_of_others_is_not_touched") else { return };
    bench.migration("1_one", "create table t (n int);\n");
    bench.xtask("migrate").exits(0);
    let schema = bench.sandbox.read("config/environments/.env.dev.example");
    let values = bench.sandbox.read("config/environments/.env.dev");
    bench.sandbox.write("config/environments/.env.staging.example", schema);
    bench.sandbox.write("config/environments/.env.staging", values);
    bench.migration("2_two", "insert into t values (2);\n");
    bench.sandbox.write("database/seeds/staging/1_t.sql", "insert into t values (3);\n");
    bench.sandbox.write("t.csv", "n\n4\n");
    bench.sandbox.write("database/maintenance/a.sql", "delete from t;\n");
    bench.sandbox.write("database/queries/common/all.sql", "-- All of it.\nselect * from t;\n");
    for words in [
        "migrate",
        "migrate status",
        "migrate down",
        "migrate baseline 2",
        "migrate repair",
        "migrate promote",
        "db seed",
        "db import t.csv --table t",
        "db export t --out out",
        "db maintain",
        "db diff",
        "db query all",
        "db shell",
    ] {
        let run = bench.xtask(&format!("{words} --env staging")).exits(3);
        run.says("this is the database of `dev`, not of `staging`; nothing was touched");
    }
    let rows = bench.xtask("db sync --from staging").exits(3);
    rows.says("this is the database of `dev`, not of `staging`; nothing was touched");
    assert!(!bench.sandbox.path("out").exists());
    bench
        .xtask("db reset --env staging --yes")
        .exits(3)
        .says("only dev's database can be reset, not that of `staging`");
    bench.xtask("db reset --yes").exits(3).says("only a database that runs here can be made anew");
    bench.xtask("db reset").exits(3).says("error: ");
    assert_eq!(bench.ask("select count(*) from t"), "0");
    bench.xtask("migrate").exits(0);
}

/// Another environment, whose database is at this URL.
fn environment(bench: &Bench, name: &str, url: &str, is_protected: bool) {
    let schema = bench.sandbox.read("config/environments/.env.dev.example");
    let folder = "config/environments";
    bench
        .sandbox
        .write(format!("{folder}/.env.{name}.example"), format!("{schema}\n# @type=bool\nPROTECTED={is_protected}\n"));
    bench.sandbox.write(
        format!("{folder}/.env.{name}"),
        format!("DATABASE_ADMIN_URL={url}\nDATABASE_URL={url}\nAPI_KEY=a-key-of-another\n"),
    );
}

/// Takes the schema's lock, as a run does.
pub(crate) const LOCK: &str =
    "select pg_advisory_lock((('x' || left(encode(sha256('xtask:schema'), 'hex'), 16))::bit(64) >> 1)::bigint)";

#[test]
fn a_protected_environment_is_migrated_only_by_its_name() {
    let Some(bench) = Bench::new("a_protected_environment_is_migrated_only_by_its_name") else { return };
    environment(&bench, "production", &bench.url, true);
    bench.migration("1_one", "create table t (n int);\n");
    bench.migration("1_one.down", "drop table t;\n");
    let refused = |words: &str| {
        let run = bench.xtask(&format!("{words} --env production")).exits(3);
        run.says("`production` is protected").says("--confirm production");
        bench.xtask(&format!("{words} --env production --confirm dev")).exits(3).says("not confirmed");
    };
    refused("migrate");
    refused("migrate baseline 1");
    assert_eq!(bench.ask("select to_regclass('t') is null and to_regnamespace('ops') is null"), "t");
    bench.xtask("migrate --env production --confirm production").exits(0);
    refused("migrate down");
    assert_eq!(bench.ask("select to_regclass('t') is not null"), "t");
}

#[test]
fn a_database_that_became_anothers_while_a_run_waited_is_not_touched() {
    let Some(bench) = Bench::new("a_database_that_became_anothers_while_a_run_waited_is_not_touched") else { return };
    environment(&bench, "staging", &bench.url, false);
    bench.migration("1_one", "create table t (n int);\n");
    bench.xtask("migrate").exits(0);
    bench.ask("delete from ops.identity");
    bench.migration("2_two", "insert into t values (2);\n");
    let holder = bench.hold(LOCK);
    let words = ["migrate", "--env", "staging", "--lock-wait", "60", "--confirm", "staging"];
    let mut run = bench.sandbox.command(&words).spawn();
    let waits = || run.stderr().contains("waiting for the lock of") || run.is_over();
    assert!(crate::sandbox::wait(Duration::from_secs(60), waits) && !run.is_over(), "{}", run.stderr());
    bench.ask("insert into ops.identity (environment) values ('dev')");
    drop(holder);
    run.wait().exits(3).says("this is the database of `dev`, not of `staging`; nothing was touched");
    assert_eq!(bench.ask("select count(*) from t"), "0");
}

#[test]
fn whoever_writes_has_the_lock() {
    let Some(bench) = Bench::new("whoever_writes_has_the_lock") else { return };
    bench.sandbox.write("database/backups/backup-policy.md", crate::backup::POLICY);
    bench.migration("1_one", "create table t (n int);\n");
    bench.migration("1_one.down", "drop table t;\n");
    bench.xtask("migrate").exits(0);
    bench.migration("2_two", "insert into t values (2);\n");
    bench.sandbox.write("database/seeds/dev/1.sql", "insert into t values (3);\n");
    bench.sandbox.write("database/maintenance/a.sql", "delete from t;\n");
    bench.sandbox.write("t.csv", "n\n4\n");
    bench.xtask("db backup").exits(0);
    let holder = bench.hold(LOCK);
    for words in [
        "migrate",
        "migrate down",
        "migrate baseline 2",
        "db seed",
        "db import t.csv --table t",
        "db maintain",
        "db backup",
        "db restore latest --yes",
    ] {
        bench.xtask(words).exits(5).says("the database is locked by another run");
    }
    assert_eq!(bench.ask("select count(*) from t"), "0");
    drop(holder);
    bench.xtask("migrate --lock-wait 10").exits(0);
}

#[test]
fn what_to_do_about_an_edited_file_is_told_by_who_has_applied_it() {
    let Some(bench) = Bench::new("what_to_do_about_an_edited_file_is_told_by_who_has_applied_it") else { return };
    let staging = bench.second_database("staging");
    environment(&bench, "staging", &staging, false);
    bench.migration("1_one", "create table t (n int);\n");
    bench.xtask("migrate").exits(0);
    bench.migration("1_one", "create table t (n bigint);\n");
    bench.xtask("migrate").exits(3).says("cargo xtask db reset");
    bench.migration("1_one", "create table t (n int);\n");
    bench.xtask("migrate --env staging").exits(0);
    bench.migration("1_one", "create table t (n bigint);\n");
    bench.xtask("migrate").exits(3).says("staging has applied it too").says_nothing_of("db reset");
    bench.ask_at(&bench.server, &format!("drop database {}_staging with (force)", bench.name));
    std::fs::remove_file(bench.sandbox.path("config/environments/.env.staging.example")).unwrap();
    std::fs::remove_file(bench.sandbox.path("config/environments/.env.staging")).unwrap();
    let folder = bench.sandbox.path("database/migrations");
    std::fs::rename(folder.join("pending/1_one.sql"), folder.join("applied/1_one.sql")).unwrap();
    bench.xtask("migrate").exits(3).says("put it back as it was (git log shows it)").says_nothing_of("db reset");
}

#[test]
fn a_server_without_an_extension_that_is_needed_is_exit_4() {
    let Some(bench) = Bench::new("a_server_without_an_extension_that_is_needed_is_exit_4") else { return };
    bench.sandbox.replace("config/services/database.yaml", "[pg_trgm]", "[pg_trgm, no_such_thing]");
    bench.migration("1_one", "create table t (n int);\n");
    bench.xtask("migrate").exits(4).says("the server does not offer the extension no_such_thing");
    assert_eq!(bench.ask("select to_regclass('t') is null and to_regnamespace('ops') is null"), "t");
}

#[test]
fn a_server_that_does_not_answer_is_exit_4_and_its_password_stays_unsaid() {
    let Some(bench) = Bench::new("a_server_that_does_not_answer_is_exit_4_and_its_password_stays_unsaid") else {
        return;
    };
    let port = crate::sandbox::free_port();
    let values = format!("DATABASE_ADMIN_URL=postgres://me:Marked-Pass-9@127.0.0.1:{port}/x\nDATABASE_URL=\n");
    bench.sandbox.write("config/environments/.env.dev", values);
    bench.migration("1_one", "select 1;\n");
    for words in ["migrate --wait 1 -v", "migrate --plan --wait 1"] {
        bench.xtask(words).exits(4).says("error: ").says("hint: ").says_nothing_of("Marked-Pass");
    }
    let run = bench.sandbox.command(&["migrate", "--wait", "3"]).spawn();
    let seen = crate::sandbox::all_processes().iter().any(|process| process.command.contains("Marked-Pass"));
    assert!(!seen, "the password stands in a command line");
    run.wait().exits(4);
}
