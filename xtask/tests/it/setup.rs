//! `setup` from nothing to a stack that answers, twice, and killed at many moments. Needs the embedded PostgreSQL that the
//! workspace under test has unpacked, so that nothing is downloaded; without it, it is skipped by name.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::sandbox::{NODE, PYTHON, Sandbox, skip, wait};

/// A workspace as a fresh clone: a schema, services that want the database, a migration, a seed; no values.
fn fresh_clone(test: &str) -> Option<Sandbox> {
    let tools = std::env::var("XTASK_TEST_WORKSPACE").map(|root| Path::new(&root).join(".ops/tools"));
    let Some(tools) = tools.ok().filter(|tools| tools.is_dir()) else {
        skip(test, "no unpacked PostgreSQL is given; `cargo xtask test` gives it in XTASK_TEST_WORKSPACE");
        return None;
    };
    let mut sandbox = Sandbox::new();
    // cargo finds its toolchain by HOME, and the crates that setup makes sure of are those of this package: none.
    for name in ["HOME", "CARGO", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            sandbox.set(name, value);
        }
    }
    sandbox.write(
        "Cargo.toml",
        "[package]\nname = \"nothing\"\nedition = \"2024\"\n[lib]\npath = \"nothing.rs\"\n[workspace]\n",
    );
    sandbox.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"nothing\"\nversion = \"0.0.0\"\n");
    sandbox.write("nothing.rs", "");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |file: &str| std::fs::read_to_string(repository.join(file)).unwrap();
    let config = read("config/services/database.yaml");
    sandbox.write("config/services/database.yaml", config.split("\nenvironments:").next().unwrap());
    sandbox.write("database/embedded-postgres.txt", read("database/embedded-postgres.txt"));
    let schema = crate::sandbox::SCHEMA.replace("# @sensitive @generate", "# @required @sensitive @generate");
    let schema = format!("{schema}\n# @type=url @sensitive\nDATABASE_URL=\n");
    sandbox.write("config/environments/.env.dev.example", schema);
    std::fs::remove_file(sandbox.path("config/environments/.env.dev")).unwrap();
    sandbox.python("alpha", &["database"], PYTHON);
    sandbox.node("beta", &["alpha"], NODE);
    sandbox.replace("config/services/alpha.yaml", "API_KEY]", "API_KEY, DATABASE_URL]");
    sandbox.write("database/migrations/pending/1_one.sql", "create table t (n int primary key);\n");
    sandbox.write("database/migrations/applied/README.md", "");
    sandbox.write("database/seeds/dev/010_numbers.sql", "insert into t values (1) on conflict do nothing;\n");
    sandbox.write("database/queries/diagnostics/numbers.sql", "-- The numbers\nselect n from t;\n");
    sandbox.init_git();
    std::fs::create_dir_all(sandbox.path(".ops")).unwrap();
    std::os::unix::fs::symlink(tools, sandbox.path(".ops/tools")).unwrap();
    Some(sandbox)
}

/// Fails unless everything answers and runs once.
fn assert_green(sandbox: &Sandbox) {
    sandbox.xtask("health").exits(0).prints("database    ok").prints("migrations  ok").prints("beta        ok");
    let mut seen = Vec::new();
    let count = |seen: &[crate::sandbox::Process], end: &str| seen.iter().filter(|p| p.command.ends_with(end)).count();
    let one_each = wait(Duration::from_secs(10), || {
        seen = sandbox.processes();
        let servers = seen.iter().filter(|process| process.command.contains("/bin/postgres -D ")).count();
        let keepers = ["keep alpha", "keep beta", "keep database"].map(|keeper| count(&seen, keeper));
        let services = ["alpha", "beta"].map(|name| {
            let folder = sandbox.path(format!("services/{name}"));
            seen.iter().filter(|process| process.dir == folder).count()
        });
        (servers, keepers, services) == (1, [1, 1, 1], [1, 1])
    });
    assert!(one_each, "{seen:#?}");
    assert_eq!(sandbox.xtask("db query numbers --format csv").exits(0).stdout, "n\n1\n");
}

#[test]
fn setup_makes_a_clone_work_and_a_second_one_changes_nothing() {
    let Some(sandbox) = fresh_clone("setup_makes_a_clone_work_and_a_second_one_changes_nothing") else { return };
    sandbox.xtask("services start").exits(2).says("hint: run `cargo xtask setup`; it makes .env.dev");
    let run = sandbox.xtask("setup").exits(0);
    run.says("next:").says("ok     migrate 1_one").says("ok     service beta");
    assert_green(&sandbox);
    let values = sandbox.read("config/environments/.env.dev");
    assert!(values.lines().any(|line| line.starts_with("API_KEY=") && line.len() > 30), "{values}");
    let pids = (sandbox.pid("alpha"), sandbox.pid("beta"), sandbox.pid("database"));
    let started = Instant::now();
    sandbox.xtask("setup").exits(0).says("same   service beta");
    let time = started.elapsed();
    assert!(time < Duration::from_secs(10), "a second setup takes at most 3 s on a free machine, here {time:?}");
    assert_eq!(pids, (sandbox.pid("alpha"), sandbox.pid("beta"), sandbox.pid("database")));
    assert_eq!(sandbox.read("config/environments/.env.dev"), values);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");

    sandbox.xtask("db reset").exits(3).says("not confirmed").says("hint: add --yes");
    sandbox.xtask("db reset --yes").exits(0).says("ok     migrate 1_one");
    assert_green(&sandbox);
    sandbox.xtask("clean --all").exits(3).says("not confirmed");
    assert_green(&sandbox);
    sandbox.xtask("clean --all --yes").exits(0);
    assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
    assert_eq!(sandbox.read("config/environments/.env.dev"), values, "clean keeps the values");
}

#[test]
fn setup_is_killed_at_many_moments() {
    let Some(sandbox) = fresh_clone("setup_is_killed_at_many_moments") else { return };
    let mut killed = 0;
    for delay in [100, 300, 600, 1000, 1500, 2200] {
        let mut run = sandbox.command(&["setup"]).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        killed += u32::from(!run.is_over());
        run.kill();
        // Every other time it goes on where the kill left it; else the next kill meets what two of them left.
        if delay % 200 != 0 {
            continue;
        }
        sandbox.xtask("setup").exits(0);
        assert_green(&sandbox);
        sandbox.xtask("services stop").exits(0);
        let none = wait(Duration::from_secs(10), || sandbox.processes().is_empty());
        assert!(none, "killed after {delay} ms: {:#?}", sandbox.processes());
    }
    assert!(killed >= 3, "only {killed} runs were still at work when they were killed");
    sandbox.xtask("setup").exits(0);
    assert_green(&sandbox);
}

#[test]
fn a_killed_database_is_brought_back_with_its_data() {
    let Some(sandbox) = fresh_clone("a_killed_database_is_brought_back_with_its_data") else { return };
    sandbox.xtask("setup").exits(0);
    let (alpha, beta) = (sandbox.pid("alpha"), sandbox.pid("beta"));
    sandbox.kill_service("database");
    sandbox.xtask("health").exits(3).prints("database    DOWN");
    sandbox.xtask("services start").exits(0);
    assert_eq!((alpha, beta), (sandbox.pid("alpha"), sandbox.pid("beta")));
    assert_green(&sandbox);
    sandbox.xtask("services stop").exits(0);
    sandbox.xtask("services start").exits(0);
    assert_green(&sandbox);
}
