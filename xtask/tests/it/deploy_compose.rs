//! `deploy` and its kin on Docker Compose: real images, containers, a real database in one of them. Skipped by name where
//! there is no Docker; with CI_REQUIRE_DOCKER=1 that is a failure. XTASK_TEST_KILLS=all runs the whole table of kills.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::deployment::{CRASHES, KEYS, NEVER_READY, TELLING, dies_later, get};
use crate::sandbox::{Run, SCHEMA, Sandbox, free_port, skip, wait};

/// Images that the tests build on.
const IMAGES: [&str; 2] = ["python:3.11-slim-bookworm", "postgres:18-bookworm"];

const DOCKERFILE: &str = "\
ARG BASE=python:3.11-slim-bookworm
ARG SERVICE_SOURCE
FROM ${BASE}
ARG SERVICE_SOURCE
COPY ${SERVICE_SOURCE} /app
COPY database/migrations /app/migrations
WORKDIR /app
USER 10001:10001
";

const COMPOSE: &str = r#"
services:
  database:
    image: postgres:18-bookworm
    entrypoint: [sh, -c, 'POSTGRES_PASSWORD="$$(cat /run/secrets/DATABASE_PASSWORD)" exec docker-entrypoint.sh "$$@"', sh]
    command: [postgres, -c, fsync=off, -c, log_min_error_statement=panic]
    environment: {POSTGRES_USER: postgres}
    secrets: [DATABASE_PASSWORD]
    volumes: ["database:/var/lib/postgresql"]
    ports: ["127.0.0.1::5432"]
    stop_signal: SIGINT
    healthcheck: {test: [CMD, pg_isready, --quiet, --username=postgres, --host=127.0.0.1], interval: 1s, retries: 30}
  alpha:
    image: alpha
    read_only: true
    ports: ["127.0.0.1:${ALPHA_PORT}:ALPHA"]
    stop_grace_period: 1s
    healthcheck: {test: [CMD, python3, -c, "import socket; socket.create_connection(('127.0.0.1', ALPHA)).close()"], interval: 1s}
  service:
    image: template
    profiles: [template]
    stop_grace_period: 1s
volumes: {database: {}}
secrets: {DATABASE_PASSWORD: {file: "${DATABASE_PASSWORD_FILE}"}}
"#;

struct Ship {
    sandbox: Sandbox,
    project: String,
    /// Where alpha is published.
    port: u16,
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn has_docker() -> bool {
    let ok = |args: &[&str]| Command::new("docker").args(args).output().is_ok_and(|output| output.status.success());
    ok(&["version", "--format", "{{.Server.Version}}"])
        && ok(&["compose", "version"])
        && IMAGES.iter().all(|image| ok(&["image", "inspect", image]))
}

impl Ship {
    fn new(test: &str) -> Option<Ship> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !has_docker() {
            let required = std::env::var("CI_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
            assert!(!required, "{test} needs Docker with {IMAGES:?}, and CI_REQUIRE_DOCKER is set");
            skip(test, "Docker, Compose, or the images that it builds on are not here");
            return None;
        }
        let tools = std::env::var("XTASK_TEST_WORKSPACE").map(|root| Path::new(&root).join(".ops/tools")).ok();
        let Some(tools) = tools.filter(|tools| tools.is_dir()) else {
            skip(test, "XTASK_TEST_WORKSPACE is not set; `cargo xtask test` sets it");
            return None;
        };
        let project = format!("it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut sandbox = Sandbox::new();
        for name in ["HOME", "DOCKER_HOST"] {
            if let Some(value) = std::env::var_os(name) {
                sandbox.set(name, value);
            }
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let read = |file: &str| fs::read_to_string(repository.join(file)).unwrap();
        let config = read("config/services/database.yaml");
        let config = config.split("\nenvironments:").next().unwrap();
        sandbox.write("config/services/database.yaml", config);
        sandbox.write("database/embedded-postgres.txt", read("database/embedded-postgres.txt"));
        fs::create_dir_all(sandbox.path(".ops")).unwrap();
        std::os::unix::fs::symlink(tools, sandbox.path(".ops/tools")).unwrap();
        sandbox.python("alpha", &["database"], &TELLING.replace("TEXT", "one"));
        sandbox.python("beta", &["alpha"], &TELLING.replace("TEXT", "beta"));
        for name in ["alpha", "beta"] {
            let file = format!("config/services/{name}.yaml");
            let yaml = sandbox.read(&file) + "image: {dockerfile: infrastructure/docker/Dockerfile}\n";
            sandbox.write(&file, yaml.replace("[python, server.py]", "[python3, server.py]"));
        }
        let inner = sandbox.port("alpha").to_string();
        sandbox.write(
            "infrastructure/docker/docker-compose.yml",
            COMPOSE
                .replace("ALPHA}", "X}")
                .replace(":ALPHA\"", &format!(":{inner}\""))
                .replace("', ALPHA)", &format!("', {inner})")),
        );
        sandbox.write("infrastructure/docker/docker-compose.prod.yml", "services:\n  alpha:\n    pids_limit: 100\n");
        sandbox.write("infrastructure/docker/Dockerfile", DOCKERFILE);
        for folder in ["applied", "pending", "repeatable"] {
            sandbox.write(format!("database/migrations/{folder}/README.md"), "");
        }
        let port = free_port();
        let keys = KEYS
            .replace("DEPLOY_ENGINE=local", "DEPLOY_ENGINE=compose")
            .replace("COMPOSE_PROJECT=", &format!("COMPOSE_PROJECT={project}"));
        let schema = SCHEMA.replace("embedded:", "compose:database");
        sandbox.write(
            "config/environments/.env.staging.example",
            format!("{schema}{keys}\n# @type=port\nALPHA_PORT={port}\n"),
        );
        sandbox.init_git();
        Some(Ship { sandbox, project, port })
    }

    fn xtask(&self, words: &str) -> Run {
        self.sandbox.xtask(words)
    }
    fn commit(&self) {
        self.sandbox.git(&["add", "-A"]);
        self.sandbox.git(&["commit", "-q", "--allow-empty", "-m", "change"]);
    }
    fn alpha(&self, text: &str) {
        self.alpha_is(&TELLING.replace("TEXT", text));
    }
    fn alpha_is(&self, script: &str) {
        self.sandbox.write("services/alpha/server.py", script);
        self.commit();
    }
    fn answer(&self) -> String {
        get(self.port)
    }
    fn containers(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter]).lines().map(str::to_owned).collect()
    }
    fn id(&self, service: &str) -> String {
        docker(&[
            "inspect",
            "--format",
            "{{.Id}} {{.State.StartedAt}} {{.Image}}",
            &format!("{}-{service}-1", self.project),
        ])
    }
    fn states(&self) -> Vec<String> {
        let all = self.xtask("releases --env staging --json").exits(0).json();
        let mut states: Vec<String> =
            all["releases"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap().to_owned()).collect();
        states.reverse();
        states
    }
    fn wait_for_step(&self, run: &mut crate::sandbox::Running, step: &str) -> bool {
        let facts = self.sandbox.path(".ops/facts/staging.release.json");
        let (mut seen, pid) = (false, run.pid());
        wait(Duration::from_secs(90), || {
            let value: Value =
                serde_json::from_str(&fs::read_to_string(&facts).unwrap_or_default()).unwrap_or_default();
            seen = value["step"] == step && value["process"]["pid"] == pid;
            seen || run.is_over()
        });
        seen
    }
}

impl Drop for Ship {
    fn drop(&mut self) {
        if std::env::var_os("XTASK_TEST_KEEP").is_some() {
            return;
        }
        let filter = format!("label=com.docker.compose.project={}", self.project);
        for (list, remove) in [
            (&["ps", "-aq"][..], &["rm", "-fv"][..]),
            (&["network", "ls", "-q"], &["network", "rm"]),
            (&["volume", "ls", "-q"], &["volume", "rm"]),
        ] {
            let output = Command::new("docker").args(list).args(["--filter", &filter]).output().unwrap();
            let ids = String::from_utf8_lossy(&output.stdout).into_owned();
            if !ids.trim().is_empty() {
                let _removed = Command::new("docker").args(remove).args(ids.split_whitespace()).output();
            }
        }
        let images =
            Command::new("docker").args(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).output().unwrap();
        for image in String::from_utf8_lossy(&images.stdout)
            .lines()
            .filter(|name| name.starts_with(&format!("{}/", self.project)))
        {
            let _removed = Command::new("docker").args(["image", "rm", image]).output();
        }
    }
}

/// Asks alpha again and again, as a client that tries for ten seconds, until it is told to stop; requests and errors.
fn load(port: u16, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<(usize, usize)> {
    std::thread::spawn(move || {
        let (mut asked, mut failed) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            asked += 1;
            let started = Instant::now();
            while !get(port).ends_with(" info") {
                if started.elapsed() > Duration::from_secs(10) {
                    failed += 1;
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        (asked, failed)
    })
}

#[test]
fn first_then_nothing_to_do_then_one_service_under_load_then_back() {
    let Some(ship) = Ship::new("first_then_nothing_to_do_then_one_service_under_load_then_back") else { return };
    ship.xtask("deploy staging --plan").exits(3).prints(".env.staging is missing");
    ship.xtask("health --env staging").exits(2);
    ship.xtask("deploy staging").exits(0).says("made, with generated keys").says("release 1 of `staging` is live");
    assert_eq!(ship.answer(), "one info");
    ship.xtask("deploy staging").exits(0).says("nothing to do: release 1 is live");
    ship.xtask("health --env staging").exits(0);
    // Without an engine nothing can be told.
    let blind = |words: &[&str]| ship.sandbox.command(words).env("DOCKER_HOST", "unix:///nowhere/docker.sock").run();
    blind(&["health", "--env", "staging"]).exits(4).says("the Docker engine does not answer");
    blind(&["deploy", "staging"]).exits(4).says("the Docker engine does not answer");
    ship.xtask("logs --env staging").exits(0).prints("alpha  listening").prints("beta   listening");

    // Images are pinned by id, secrets are files that any user of the container may read and nobody else of the host.
    let render: Value = serde_json::from_str(&ship.sandbox.read(".ops/releases/staging/1/render.json")).unwrap();
    let image = render["services"]["alpha"]["image"].as_str().unwrap();
    assert!(image.starts_with("sha256:") && ship.id("alpha").ends_with(image), "{image}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let secrets = ship.sandbox.path(".ops/releases/staging/secrets");
    assert_eq!(mode(&secrets), 0o700);
    for entry in fs::read_dir(&secrets).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o444, "{entry:?}");
    }
    for name in ["render.json", "values.json"] {
        assert_eq!(mode(&ship.sandbox.path(format!(".ops/releases/staging/1/{name}"))), 0o600, "{name}");
    }

    let (beta, database) = (ship.id("beta"), ship.id("database"));
    let stop = Arc::new(AtomicBool::new(false));
    let client = load(ship.port, Arc::clone(&stop));
    // An image of its own: what other tests build alike has the same id, and is in use there.
    ship.alpha("second");
    ship.xtask("deploy staging").exits(0).says("release 2 of `staging` is live");
    assert_eq!(ship.answer(), "second info");
    assert_eq!((ship.id("beta"), ship.id("database")), (beta.clone(), database.clone()));
    ship.xtask("rollback staging").exits(0).says("release 1 runs again in `staging`, as release 3");
    stop.store(true, Ordering::Relaxed);
    let (asked, failed) = client.join().unwrap();
    assert!(asked > 50 && failed == 0, "{failed} of {asked} requests failed");
    assert_eq!((ship.answer().as_str(), ship.id("beta"), ship.id("database")), ("one info", beta, database));
    assert!(ship.id("alpha").ends_with(image));

    // Somebody changes what runs, by hand: the next deployment sees it though nothing else has changed.
    docker(&["stop", "-t", "0", &format!("{}-alpha-1", ship.project)]);
    ship.xtask("health --env staging").exits(3).prints("alpha").prints("DOWN");
    ship.sandbox.git(&["checkout", "-q", "HEAD~1", "--", "services"]);
    ship.commit();
    ship.xtask("deploy staging --plan").exits(3).prints("it is not running: exited with");
    ship.xtask("deploy staging").exits(0);
    assert_eq!(ship.answer(), "one info");
    // An image that is gone keeps its release away, before anything is touched.
    let gone: Value = serde_json::from_str(&ship.sandbox.read(".ops/releases/staging/2/render.json")).unwrap();
    docker(&["image", "rm", "-f", gone["services"]["alpha"]["image"].as_str().unwrap()]);
    ship.xtask("rollback staging --to 2").exits(3).says("the image of alpha (sha256:").says("nothing was touched");
    ship.xtask("releases verify --env staging").exits(0);
}

#[test]
fn a_broken_release_leaves_the_old_containers_serving() {
    let Some(ship) = Ship::new("a_broken_release_leaves_the_old_containers_serving") else { return };
    ship.xtask("deploy staging").exits(0);
    let serves = |case: &str| assert_eq!(ship.answer(), "one info", "{case}");
    let dockerfile = "infrastructure/docker/Dockerfile";
    ship.sandbox.write(dockerfile, format!("{DOCKERFILE}RUN echo the compiler is out >&2 && exit 3\n"));
    ship.commit();
    ship.xtask("deploy staging").exits(1).says("the image of alpha cannot be built").says("the compiler is out");
    serves("does not build");

    // A program for another machine.
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0".to_vec();
    elf.resize(4096, 0);
    ship.sandbox.write("services/alpha/foreign", &elf);
    fs::set_permissions(ship.sandbox.path("services/alpha/foreign"), fs::Permissions::from_mode(0o755)).unwrap();
    ship.sandbox.write(dockerfile, DOCKERFILE);
    ship.sandbox.replace("config/services/alpha.yaml", "[python3, server.py]", "[./foreign]");
    ship.commit();
    ship.xtask("deploy staging").exits(6).says("exec format error").says("release 1 runs again");
    serves("wrong architecture");
    ship.sandbox.replace("config/services/alpha.yaml", "[./foreign]", "[python3, server.py]");

    ship.sandbox.write(dockerfile, DOCKERFILE);
    ship.alpha_is(CRASHES);
    let run = ship.xtask("deploy staging").exits(6).says("| the cause of it all").says("exited with 7");
    run.says("release 4 failed; release 1 runs again");
    serves("crashes at start");

    ship.alpha_is(&NEVER_READY.replace("\"127.0.0.1\"", "\"0.0.0.0\""));
    ship.xtask("deploy staging --wait 3").exits(6).says("status 503: thinking").says("| still thinking");
    serves("never ready");

    ship.alpha_is(&dies_later().replace("\"127.0.0.1\"", "\"0.0.0.0\""));
    ship.sandbox.replace("config/environments/.env.staging.example", "GATE_SOAK=200ms", "GATE_SOAK=20s");
    ship.commit();
    ship.xtask("deploy staging").exits(6).says("| out of breath").says("release 1 runs again");
    serves("dies in the soak");

    ship.sandbox.replace("config/environments/.env.staging.example", "GATE_SOAK=20s", "GATE_SOAK=200ms");
    ship.alpha("two");
    ship.sandbox
        .write("database/migrations/pending/1_broken.sql", "create table t (n int);\ninsert into t values ('x');\n");
    ship.commit();
    ship.xtask("deploy staging").exits(1).says("invalid input syntax").says("release 1 goes on");
    serves("a migration fails");
    fs::remove_file(ship.sandbox.path("database/migrations/pending/1_broken.sql")).unwrap();

    let budget = "\nenvironments:\n  staging: {migration_budget: {total: 100ms}}\n";
    let config = ship.sandbox.read("config/services/database.yaml");
    ship.sandbox.write("config/services/database.yaml", format!("{}{budget}", config.trim_end()));
    ship.sandbox.write("database/migrations/pending/1_slow.sql", "select pg_sleep(0.4);\n");
    ship.commit();
    ship.xtask("deploy staging").exits(3).says("all together take").says("nothing was touched");
    serves("a migration is slower than its budget");
    fs::remove_file(ship.sandbox.path("database/migrations/pending/1_slow.sql")).unwrap();
    ship.sandbox.write("config/services/database.yaml", config);
    ship.commit();

    let file = "infrastructure/docker/docker-compose.yml";
    let files = ship.sandbox.read(file);
    for (from, to, why) in [
        ("    read_only: true\n", "    read_only: true\n    scale: 2\n", "ask for 2 of alpha"),
        ("    read_only: true\n", "    environment: {X: \"${NO_SUCH}\"}\n", "use NO_SUCH, which have no value"),
        ("    read_only: true\n", "    read_only: [1\n", "docker-compose.prod.yml` cannot be used: yaml: line"),
    ] {
        ship.sandbox.write(file, files.replace(from, to));
        ship.xtask("deploy staging").exits(2).says(why);
    }
    ship.sandbox.write(file, &files);
    ship.xtask("deploy staging --database --plan").exits(0).prints("is what the Compose files say");
    serves("Compose files that cannot be used");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    ship.sandbox.replace(
        "config/environments/.env.staging.example",
        &format!("ALPHA_PORT={}", ship.port),
        &format!("ALPHA_PORT={port}"),
    );
    ship.commit();
    ship.xtask("deploy staging")
        .exits(3)
        .says(&format!("port {port} of 127.0.0.1, where alpha is published, is taken by pid"));
    serves("a port that is taken");
    let expected = [
        "verified",
        "failed",
        "rolled-back",
        "rolled-back",
        "rolled-back",
        "rolled-back",
        "failed",
        "refused",
        "refused",
    ];
    assert_eq!(ship.states(), expected);
    drop(taken);

    // By another engine: what the first one runs is not touched, and nothing of the second one stays.
    docker(&["stop", "--time", "1", &format!("{}-alpha-1", ship.project)]);
    ship.alpha_is(CRASHES);
    ship.xtask("deploy staging --engine local")
        .exits(1)
        .says("| the cause of it all")
        .says("release 1 was deployed by the engine compose, which was not touched");
    ship.alpha("here");
    ship.xtask("deploy staging --engine local").exits(0).says("release 1 was deployed by the engine compose");
    assert_eq!(get(port), "here info");
    ship.xtask("deploy staging --engine local").exits(0).says("nothing to do");
}

#[test]
fn jobs_run_first_and_what_stands_beside_the_services_is_kept() {
    let Some(ship) = Ship::new("jobs_run_first_and_what_stands_beside_the_services_is_kept") else { return };
    let file = "infrastructure/docker/docker-compose.yml";
    let with = |command: &str| {
        ship.sandbox.read(file).replace(
            "volumes: {database: {}}",
            &format!(
                "  job:\n    image: python:3.11-slim-bookworm\n    labels: {{ops.kind: job}}\n    command: [sh, -c, \"{command}\"]\n  \
                 beside:\n    image: python:3.11-slim-bookworm\n    stop_grace_period: 0s\n    command: [sleep, infinity]\n\
                 volumes: {{database: {{}}}}"
            ),
        )
    };
    let plain = ship.sandbox.read(file);
    ship.sandbox.write(file, with("echo job ran"));
    ship.commit();
    ship.xtask("deploy staging").exits(0);
    ship.xtask("deploy staging").exits(0).says("nothing to do");
    let beside = ship.id("beside");
    ship.sandbox.write(file, plain);
    let failing = with("echo no luck >&2; exit 4");
    ship.sandbox.write(file, failing);
    ship.alpha("two");
    ship.xtask("deploy staging").exits(6).says("no luck").says("release 1 runs again");
    assert_eq!((ship.answer().as_str(), ship.id("beside")), ("one info", beside));
    // What the files no longer name goes.
    let without = ship.sandbox.read(file);
    let at = without.find("  job:").unwrap();
    ship.sandbox.write(file, format!("{}{}", &without[..at], &without[without.find("volumes: {database").unwrap()..]));
    ship.commit();
    ship.xtask("deploy staging").exits(0);
    assert!(!ship.containers().iter().any(|name| name.contains("beside")), "{:?}", ship.containers());
    assert_eq!(ship.answer(), "two info");
}

#[test]
fn a_killed_deployment_on_compose_ends_well_both_ways() {
    let Some(ship) = Ship::new("a_killed_deployment_on_compose_ends_well_both_ways") else { return };
    ship.xtask("deploy staging").exits(0);
    let whole = std::env::var("XTASK_TEST_KILLS").is_ok_and(|value| value == "all");
    let steps: &[&str] = if whole {
        &["preflight", "build", "show", "migrate", "rollout", "gate", "record"]
    } else {
        &["build", "rollout", "gate"]
    };
    for step in steps {
        for back in [false, true] {
            let case = format!("killed at {step}, then {}", if back { "rollback" } else { "resume" });
            let before = ship.answer();
            let text = format!("{step}-{back}");
            ship.alpha(&text);
            let mut run = ship.sandbox.command(&["deploy", "staging"]).spawn();
            let seen = ship.wait_for_step(&mut run, step);
            // In the middle of a rollout the old container is gone and the new one not there yet.
            std::thread::sleep(Duration::from_millis(if *step == "rollout" { 400 } else { 0 }));
            run.kill();
            let all = ship.xtask("releases --env staging --json").exits(0).json();
            if all["releases"][0]["state"] == "running" {
                ship.xtask("releases --env staging").exits(0).prints("interrupted at");
                if back {
                    ship.xtask("rollback staging").exits(0);
                    assert_eq!(ship.answer(), before, "{case}, seen {seen}");
                } else {
                    ship.xtask("deploy staging --resume").exits(0);
                }
            }
            ship.xtask("deploy staging --yes").exits(0);
            assert_eq!(ship.answer(), format!("{text} info"), "{case}");
            let mut containers = ship.containers();
            containers.sort();
            let expected = ["alpha", "beta", "database"].map(|name| format!("{}-{name}-1", ship.project));
            assert_eq!(containers, expected, "{case}");
            ship.xtask("releases verify --env staging").exits(0);
        }
    }
}

#[test]
fn ten_first_deployments_at_once_and_a_database_that_is_killed() {
    let Some(ship) = Ship::new("ten_first_deployments_at_once_and_a_database_that_is_killed") else { return };
    let runs: Vec<_> = (0..10).map(|_| ship.sandbox.command(&["deploy", "staging"]).spawn()).collect();
    let runs: Vec<_> = runs.into_iter().map(crate::sandbox::Running::wait).collect();
    let codes: Vec<Option<i32>> = runs.iter().map(|run| run.code).collect();
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 5))) && codes.contains(&Some(0)), "{runs:?}");
    assert_eq!((ship.states(), ship.answer().as_str()), (vec!["verified".to_owned()], "one info"));

    // The database dies during the gate: what runs is told, and nothing more is touched.
    ship.sandbox.replace("config/environments/.env.staging.example", "GATE_SOAK=200ms", "GATE_SOAK=30s");
    ship.alpha("two");
    let mut run = ship.sandbox.command(&["deploy", "staging"]).spawn();
    assert!(ship.wait_for_step(&mut run, "gate"), "{}", run.stderr());
    docker(&["kill", &format!("{}-database-1", ship.project)]);
    ship.xtask("health --env staging").exits(3).prints("database").prints("DOWN");
    // The gate itself does not need it; recording does.
    ship.sandbox.replace("config/environments/.env.staging.example", "GATE_SOAK=30s", "GATE_SOAK=200ms");
    let run = run.wait().exits(7).says("the lock of this environment was lost");
    run.says("alpha: running");
    ship.commit();
    ship.xtask("deploy staging --yes").exits(0).says("was interrupted at `gate`");
    assert_eq!(ship.answer(), "two info");
}

#[test]
fn a_rehearsal_on_compose_leaves_nothing_behind() {
    let Some(ship) = Ship::new("a_rehearsal_on_compose_leaves_nothing_behind") else { return };
    let rehearsals = |what: &[&str]| {
        let all = docker(what);
        all.lines().filter(|line| line.contains("rehearsal-")).map(str::to_owned).collect::<Vec<_>>()
    };
    ship.xtask("deploy staging --rehearse --engine compose").exits(0).says("the rehearsal of `staging` went well");
    assert_eq!(ship.containers(), Vec::<String>::new());
    let own = ship.sandbox.path(".ops/releases");
    assert_eq!(fs::read_dir(own).map_or(0, Iterator::count), 0);
    // Killed in the middle, it is swept up by its watcher.
    let mut run = ship.sandbox.command(&["deploy", "staging", "--rehearse", "--engine", "compose"]).spawn();
    let place = || {
        let entries = fs::read_dir(ship.sandbox.path(".ops/releases")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).find(|name| name.starts_with("rehearsal-"))
    };
    let mut name = None;
    assert!(wait(Duration::from_secs(60), || {
        name = place();
        let started = name.as_ref().is_some_and(|name| {
            rehearsals(&["ps", "-a", "--format", "{{.Names}}"]).iter().any(|it| it.contains(name.as_str()))
        });
        started || run.is_over()
    }));
    run.kill();
    let name = name.unwrap();
    let left = || {
        let mut left = rehearsals(&["ps", "-a", "--format", "{{.Names}}"]);
        left.extend(rehearsals(&["volume", "ls", "--format", "{{.Name}}"]));
        left.extend(rehearsals(&["network", "ls", "--format", "{{.Name}}"]));
        left.retain(|it| it.contains(&name));
        left
    };
    assert!(wait(Duration::from_secs(60), || left().is_empty() && place().is_none()), "{:?}", left());
}

#[test]
fn no_secret_is_in_an_image_a_container_or_a_bundle() {
    let Some(ship) = Ship::new("no_secret_is_in_an_image_a_container_or_a_bundle") else { return };
    let secret = "s3cret-marked-value";
    ship.sandbox
        .write("config/environments/.env.staging", format!("API_KEY={secret}\nDATABASE_PASSWORD=pw-{secret}-pw\n"));
    ship.alpha_is(&TELLING.replace("print(\"listening\"", "print(open(os.environ['API_KEY_FILE']).read()"));
    let file = ship.sandbox.path(".ops/incident.tgz");
    for words in [
        "deploy staging -v",
        "deploy staging --plan --json",
        "releases show 1 --json --env staging",
        "logs --env staging",
        "config show --env staging --json",
        "health --env staging --json",
    ] {
        let run = ship.xtask(words);
        assert!(matches!(run.code, Some(0 | 3)), "{run}");
        run.says_nothing_of(secret);
    }
    ship.sandbox.run(&["logs", "--env", "staging", "--collect", file.to_str().unwrap()]).exits(0);
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    let bundle = Command::new("tar").arg("-xzOf").arg(&file).output().unwrap().stdout;
    assert!(!holds(&bundle));
    for service in ["alpha", "beta", "database"] {
        let name = format!("{}-{service}-1", ship.project);
        assert!(!docker(&["inspect", &name]).contains(secret), "{service}");
        let image = docker(&["inspect", "--format", "{{.Image}}", &name]);
        assert!(!docker(&["history", "--no-trunc", &image]).contains(secret), "{service}");
        if service != "database" {
            let saved = Command::new("docker").args(["save", &image]).output().unwrap().stdout;
            assert!(saved.len() > 1000 && !holds(&saved), "{service}");
        }
        let arguments = docker(&["top", &name, "-eo", "pid,args"]);
        assert!(!arguments.contains(secret), "{service}: {arguments}");
    }
    for process in crate::sandbox::all_processes() {
        assert!(!process.command.contains(secret), "{process:?}");
    }
    let mut holders: Vec<String> = Vec::new();
    for path in ship.sandbox.files() {
        if fs::read(&path).is_ok_and(|bytes| holds(&bytes)) {
            let name = path.strip_prefix(&ship.sandbox.root).unwrap().display().to_string();
            holders.push(name.split('-').next().unwrap().to_owned());
        }
    }
    holders.sort();
    let expected = [
        ".ops/releases/staging/1/values.json",
        ".ops/releases/staging/secrets/API_KEY",
        ".ops/releases/staging/secrets/DATABASE_PASSWORD",
        "config/environments/.env.staging",
    ];
    assert_eq!(holders, expected);
}
