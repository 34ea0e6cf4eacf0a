//! The same on a server that others run: Debian's PostgreSQL 15 with TLS, a password with special characters, over TCP.
//! The server is this test's own and is killed by it. No password stands in a command line or a file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::backup::{Bench, wait_for};
use crate::sandbox::{all_processes, free_port, is_alive, is_root, kill, skip, wait};

pub(crate) const BIN: &str = "/usr/lib/postgresql/15/bin";
/// Everything that means something in a URL, a shell or SQL.
const PASSWORD: &str = "p@ss/w:rd %'x#?&=secret";
const ENCODED: &str = "p%40ss%2Fw%3Ard%20%25%27x%23%3F%26%3Dsecret";

pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    /// As a URL has it.
    password: String,
}

impl Server {
    /// None, and a line that says so, where it cannot be had.
    fn new(test: &str) -> Option<Server> {
        Server::with(test, PASSWORD, ENCODED)
    }

    pub(crate) fn with(test: &str, password: &str, encoded: &str) -> Option<Server> {
        if !Path::new(BIN).join("initdb").is_file() || !is_root() {
            skip(test, "it needs Debian's PostgreSQL 15, and root to run it as somebody else");
            return None;
        }
        let port = free_port();
        let folder = PathBuf::from(format!("/var/tmp/xtask-test-{}-{port}", std::process::id()));
        let server = Server { folder, port, password: encoded.to_owned() };
        std::fs::create_dir(&server.folder).unwrap();
        std::fs::write(server.folder.join("password"), password).unwrap();
        sh(&format!("chown -R 65534:65534 {}", server.folder.display()));
        let folder = server.folder.display();
        sh(&server.as_nobody(&format!(
            "{BIN}/initdb -D {folder}/data -U owner --no-sync -A scram-sha-256 --pwfile={folder}/password -E UTF8 --locale=C.UTF-8"
        )));
        sh(&server.as_nobody(&format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {folder}/data/server.key \
             -out {folder}/data/server.crt && chmod 600 {folder}/data/server.key"
        )));
        server.start();
        Some(server)
    }

    fn as_nobody(&self, command: &str) -> String {
        let path = std::env::var("PATH").unwrap();
        format!(
            "cd {} && setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH={path} HOME={0} sh -c '{command}'",
            self.folder.display()
        )
    }

    fn start(&self) {
        let data = self.folder.join("data");
        let command = format!(
            "exec {BIN}/postgres -D {} -p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c ssl=on \
             -c fsync=off -c max_prepared_transactions=2 -c wal_level=logical -c log_min_messages=fatal",
            data.display(),
            self.port
        );
        Command::new("sh")
            .args(["-c", &format!("{} &", self.as_nobody(&command))])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let ready = format!("{BIN}/pg_isready -q -h 127.0.0.1 -p {}", self.port);
        assert!(wait(Duration::from_secs(30), || Command::new("sh").args(["-c", &ready]).status().unwrap().success()));
    }

    fn pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        text.lines().next()?.parse().ok()
    }

    fn kill(&self) {
        let folder = self.folder.to_str().unwrap().to_owned();
        let pid = self.pid().unwrap();
        kill(pid);
        // Until it is reaped, its lock file counts.
        assert!(wait(Duration::from_secs(20), || !Path::new(&format!("/proc/{pid}")).exists()));
        // Backends notice by themselves; a new server wants them gone.
        assert!(wait(Duration::from_secs(20), || {
            !all_processes()
                .iter()
                .any(|process| process.command.starts_with("postgres") && process.dir.starts_with(&folder))
        }));
    }

    /// The owner's address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://owner:{}@127.0.0.1:{}/{database}?sslmode=require", self.password, self.port)
    }

    fn bench(&self) -> Bench {
        Bench::at(&self.url("postgres"), PathBuf::from(BIN).join("psql"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().filter(|pid| is_alive(*pid)) {
            kill(pid);
        }
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

#[track_caller]
fn sh(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// True when a process shows the password in its command line.
fn is_shown() -> bool {
    all_processes().iter().any(|process| process.command.contains(PASSWORD) || process.command.contains(ENCODED))
}

#[test]
fn no_password_is_shown_or_kept() {
    let Some(server) = Server::new("no_password_is_shown_or_kept") else { return };
    let bench = server.bench();
    bench.fill(100_000);
    for words in [&["db", "backup", "-v"][..], &["db", "restore", "latest", "--yes", "-v"]] {
        let mut run = bench.sandbox.command(words).spawn();
        assert!(wait(Duration::from_secs(60), || {
            assert!(!is_shown());
            run.is_over()
        }));
        run.wait().exits(0).says_nothing_of(PASSWORD).says_nothing_of(ENCODED);
    }
    let is_secret = |bytes: &[u8], secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    for file in bench.sandbox.files() {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let is_values = file.file_name().is_some_and(|name| name == ".env.dev" || name == ".env.production");
        assert!(is_values || (!is_secret(&bytes, PASSWORD) && !is_secret(&bytes, ENCODED)), "{}", file.display());
    }
    assert_eq!(bench.ask("select count(*) from app.big"), "100000");
}

#[test]
fn a_server_killed_at_any_step_leaves_the_old_database_in_use() {
    let Some(server) = Server::new("a_server_killed_at_any_step_leaves_the_old_database_in_use") else { return };
    let bench = server.bench();
    bench.fill(150_000);
    bench.backup();
    for (words, line) in [
        ("db backup", "> backup"),
        ("db restore latest --yes", "> restore into"),
        ("db restore latest --yes", "> verify"),
        ("db restore latest --yes", "> analyze"),
        ("db restore latest --yes", "> put it in the place"),
    ] {
        let mut run = bench.sandbox.command(&words.split_whitespace().collect::<Vec<_>>()).spawn();
        wait_for(&mut run, line);
        server.kill();
        let ended = run.wait();
        assert!(matches!(ended.code, Some(0 | 1 | 4)), "{words} at {line}: {ended}");
        server.start();
        assert_eq!(bench.ask("select count(*) from app.big"), "150000", "{words} at {line}");
        bench.sandbox.xtask(&format!("{words} --lock-wait 30")).exits(0);
        let left: Vec<String> = bench.beside().into_iter().filter(|name| !name.contains("__old_")).collect();
        assert!(left.is_empty(), "{words} at {line}: {left:?}");
        assert!(bench.half_made().is_empty());
    }
}

#[test]
fn a_full_disk_fails_the_backup_and_leaves_nothing() {
    let Some(server) = Server::new("a_full_disk_fails_the_backup_and_leaves_nothing") else { return };
    let bench = server.bench();
    bench.fill(150_000);
    let small = server.folder.join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size=2m tmpfs {}", small.display());
    if !Command::new("sh").args(["-c", &mount]).status().unwrap().success() {
        skip("a_full_disk_fails_the_backup_and_leaves_nothing", "a tmpfs cannot be mounted here");
        return;
    }
    bench.sandbox.replace(
        "config/environments/.env.dev.example",
        "# How much",
        "# Backups.\n# @type=path\nBACKUP_DIR=\n\n# How much",
    );
    let values = bench.sandbox.read("config/environments/.env.dev");
    bench.sandbox.write("config/environments/.env.dev", format!("{values}BACKUP_DIR={}\n", small.display()));
    let run = bench.sandbox.xtask("db backup");
    let left: Vec<_> = std::fs::read_dir(small.join("dev")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    sh(&format!("umount {}", small.display()));
    run.exits(1).says("No space left on device");
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with(".lock")), "{left:?}");
}
