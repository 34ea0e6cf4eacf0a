//! One builder for all black-box tests: a minimal workspace in a folder of its own, the real binary run in it with a
//! known environment, and a look at every process that belongs to it. Dropping it ends what it started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
/// How long one run may take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ten lines without dependencies, as somebody would begin a service.
pub const PYTHON: &str = r#"import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("listening", flush=True)
while True:
    client, _ = server.accept()
    try:
        if client.recv(65536):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    except OSError:
        pass
    client.close()
"#;
pub const NODE: &str = r#"const server = require("node:http").createServer((request, response) => response.end("ok"));
server.listen(process.env.PORT, "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
"#;

/// The schema of `dev` that a sandbox begins with; API_KEY is the one secret.
pub const SCHEMA: &str = "\
# Where the database is.
# @type=url @required
DATABASE_ADMIN_URL=embedded:

# How much the services log.
# @type=enum(debug,info,warn,error) @required
LOG_LEVEL=info

# The key of clients.
# @sensitive @generate
API_KEY=
";

pub struct Sandbox {
    /// Holds the workspace and what its runs printed.
    base: PathBuf,
    pub root: PathBuf,
    ports: BTreeMap<String, u16>,
    variables: BTreeMap<String, OsString>,
}

impl Sandbox {
    /// An environment `dev` and no services.
    pub fn new() -> Sandbox {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // The name of none begins with that of another: processes are found, and ended, by it.
        let name = format!("a sandbox {}-{}_", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let root = base.join("work space");
        fs::create_dir_all(base.join("printed")).unwrap();
        let mut sandbox = Sandbox { base, root, ports: BTreeMap::new(), variables: BTreeMap::new() };
        sandbox.set("PATH", std::env::var_os("PATH").unwrap());
        // A repository around the sandbox (this one, when `target` lies in it) is none of its business.
        sandbox.set("GIT_CEILING_DIRECTORIES", sandbox.base.clone());
        sandbox.write("config/environments/.env.dev.example", SCHEMA);
        sandbox.write("config/environments/.env.dev", "LOG_LEVEL=info\n");
        sandbox.write("config/services/README.md", "services\n");
        sandbox
    }

    /// Two services that answer at once: `alpha` in Python, and `beta` in Node.js, which depends on it.
    pub fn with_two_services() -> Sandbox {
        let mut sandbox = Sandbox::new();
        sandbox.python("alpha", &[], PYTHON);
        sandbox.node("beta", &["alpha"], NODE);
        sandbox
    }

    /// A variable of every run.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    pub fn python(&mut self, name: &str, depends_on: &[&str], script: &str) {
        self.service(name, "python", depends_on, "[python, server.py]", "server.py", script);
    }
    pub fn node(&mut self, name: &str, depends_on: &[&str], script: &str) {
        self.service(name, "node", depends_on, "[node, server.js]", "server.js", script);
    }
    fn service(&mut self, name: &str, language: &str, depends_on: &[&str], run: &str, file: &str, script: &str) {
        let port = free_port();
        self.ports.insert(name.to_owned(), port);
        let depends_on = depends_on.join(", ");
        let yaml = format!(
            "source: services/{name}\nlanguage: {language}\nport: {port}\nhealth: {{live: /, ready: /}}\n\
             depends_on: [{depends_on}]\nrun: {run}\nenv: [LOG_LEVEL, API_KEY]\n"
        );
        self.write(format!("config/services/{name}.yaml"), &yaml);
        self.write(format!("services/{name}/{file}"), script);
    }

    pub fn port(&self, service: &str) -> u16 {
        self.ports[service]
    }
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if path.file_name().is_some_and(|name| name == ".env.dev") {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        String::from_utf8_lossy(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
            .into_owned()
    }
    pub fn replace(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "{path} has no {old:?}:\n{text}");
        self.write(path, text.replace(old, new));
    }
    pub fn log(&self, service: &str) -> String {
        self.read(format!(".ops/logs/dev/{service}.log"))
    }
    pub fn record(&self, service: &str) -> PathBuf {
        self.path(format!(".ops/run/dev/{service}.json"))
    }
    /// Changes the record of a service.
    pub fn edit_record(&self, service: &str, change: impl FnOnce(&mut Value)) {
        let mut record: Value = serde_json::from_str(&fs::read_to_string(self.record(service)).unwrap()).unwrap();
        change(&mut record);
        fs::write(self.record(service), record.to_string()).unwrap();
    }

    /// A run to be arranged further.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Invocation<'_> {
        Invocation {
            sandbox: self,
            args: args.iter().map(|arg| arg.as_ref().to_owned()).collect(),
            variables: self.variables.clone(),
            dir: self.root.clone(),
            names_workspace: true,
        }
    }
    /// Runs `cargo xtask ARGS…` in this workspace, to its end.
    pub fn run(&self, args: &[&str]) -> Run {
        self.command(args).run()
    }
    /// The same with its words in one text.
    pub fn xtask(&self, words: &str) -> Run {
        self.run(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// What `services status --json` says of a service.
    pub fn status(&self, service: &str) -> Value {
        let all = self.xtask("services status --json").exits(0).json();
        let found = all["services"].as_array().unwrap().iter().find(|one| one["name"] == service).cloned();
        found.unwrap_or_else(|| panic!("no {service} in {all}"))
    }
    /// The pid that runs a service, from its record.
    pub fn pid(&self, service: &str) -> u32 {
        let record: Value = serde_json::from_str(&fs::read_to_string(self.record(service)).unwrap()).unwrap();
        u32::try_from(record["process"]["pid"].as_u64().unwrap()).unwrap()
    }
    /// kill -9 of a service, and waits until its keeper has written that down.
    #[track_caller]
    pub fn kill_service(&self, service: &str) {
        kill(self.pid(service));
        let noticed = wait(Duration::from_secs(20), || self.read(self.record(service)).contains("ended by signal 9"));
        assert!(noticed, "the keeper of {service} did not see its end");
    }
    pub fn keeper(&self, service: &str) -> u32 {
        let record: Value = serde_json::from_str(&fs::read_to_string(self.record(service)).unwrap()).unwrap();
        u32::try_from(record["keeper"]["pid"].as_u64().unwrap()).unwrap()
    }

    /// Every process whose folder or environment lies in this sandbox, this test's own children aside.
    pub fn processes(&self) -> Vec<Process> {
        let needle = self.base.to_str().unwrap();
        let belongs = |process: &Process| {
            process.dir.starts_with(&self.base) || process.environment.iter().any(|entry| entry.contains(needle))
        };
        all_processes().into_iter().filter(belongs).collect()
    }

    /// Fails unless each of these services runs exactly once, under one keeper, and nothing else does.
    pub fn assert_one_copy_of(&self, services: &[&str]) {
        let mut seen = Vec::new();
        let expected = services.len() * 2;
        // A watcher or guard of the last run may take a moment to see that it is over.
        let settled = wait(Duration::from_secs(10), || {
            seen = self.processes();
            seen.len() == expected
        });
        assert!(settled, "expected {expected} processes, found {seen:#?}");
        for service in services {
            let keepers = seen.iter().filter(|process| process.command.ends_with(&format!("keep {service}"))).count();
            let folder = self.path(format!("services/{service}"));
            let copies = seen.iter().filter(|process| process.dir == folder).count();
            assert_eq!((keepers, copies), (1, 1), "{service}: {seen:#?}");
        }
    }

    /// Fails unless a service runs exactly once, from the copy of a release, under one keeper.
    pub fn assert_one_release_copy_of(&self, service: &str) {
        let below = self.path(".ops/releases");
        let mut seen = Vec::new();
        let settled = wait(Duration::from_secs(10), || {
            seen = self.processes();
            let keepers = seen.iter().filter(|process| process.command.ends_with(&format!("keep {service}"))).count();
            let copies = seen.iter().filter(|process| process.dir.starts_with(&below)).count();
            (keepers, copies) == (1, 1)
        });
        assert!(settled, "{service}: {seen:#?}");
    }

    /// Every file below the sandbox, what the runs printed included.
    pub fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.is_symlink() { walk(&path, files) } else { files.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(&self.base, &mut files);
        files
    }

    /// Makes it a git repository with everything committed.
    pub fn init_git(&self) {
        self.write(".gitignore", "/.ops/\n/config/environments/.env.*\n!/config/environments/.env.*.example\n*.pyc\n");
        for args in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "all"]] {
            self.git(args);
        }
    }
    pub fn git(&self, args: &[&str]) -> String {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let output = Command::new("git").args(who).args(args).current_dir(&self.root).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::env::var_os("XTASK_TEST_KEEP").is_some() {
            return;
        }
        if self.path(".ops/run").is_dir() {
            // A database has a place outside the clone too, which only `clean` knows.
            let has_database = self.path(".ops/postgres").is_dir();
            let words = if has_database { ["clean", "--all", "--yes"].as_slice() } else { &["services", "stop"] };
            let mut stop = Command::new(XTASK);
            stop.args(words).arg("--workspace").arg(&self.root).env_clear().envs(&self.variables);
            let mut stop = stop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            wait(Duration::from_secs(30), || stop.try_wait().is_ok_and(|status| status.is_some()));
            let _killed = stop.kill();
            let _status = stop.wait();
        }
        for process in self.processes() {
            signal("KILL", process.pid);
        }
        let _removed = fs::remove_dir_all(&self.base);
    }
}

/// A run before it starts.
pub struct Invocation<'a> {
    sandbox: &'a Sandbox,
    args: Vec<OsString>,
    variables: BTreeMap<String, OsString>,
    dir: PathBuf,
    names_workspace: bool,
}

impl Invocation<'_> {
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = self.sandbox.path(dir);
        self
    }
    /// Found the way cargo tells it instead of by `--workspace`.
    pub fn found_by_cargo(mut self) -> Self {
        self.names_workspace = false;
        let package = self.sandbox.path("xtask");
        self.env("CARGO_MANIFEST_DIR", package)
    }
    pub fn spawn(self) -> Running {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = |stream: &str| self.sandbox.base.join("printed").join(format!("{number}.{stream}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let mut command = Command::new(XTASK);
        command.args(&self.args);
        if self.names_workspace {
            command.arg("--workspace").arg(&self.sandbox.root);
        }
        command.env_clear().envs(&self.variables).current_dir(&self.dir).stdin(Stdio::null());
        // Files, not pipes: a child that outlives the run and kept a stream open would keep us waiting.
        command.stdout(fs::File::create(&stdout).unwrap()).stderr(fs::File::create(&stderr).unwrap());
        let line = self.args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Running { child: command.spawn().unwrap(), stdout, stderr, line }
    }
    pub fn run(self) -> Run {
        self.spawn().wait()
    }
}

pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    line: String,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }
    /// kill -9, of this process alone, as a person or the kernel would do it.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        self.child.wait().unwrap();
    }
    pub fn wait(mut self) -> Run {
        let over = wait(PATIENCE, || self.is_over());
        if !over {
            self.kill();
        }
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (text(&self.stdout), text(&self.stderr));
        assert!(over, "`xtask {}` did not end within {PATIENCE:?}\n{stdout}\n{stderr}", self.line);
        let code = self.child.wait().unwrap().code();
        Run { code, stdout, stderr, line: std::mem::take(&mut self.line) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A run that ended; `code` is None after a signal.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    line: String,
}

impl Run {
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(!self.stderr.contains("panicked at"), "{self}");
        self
    }
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(self.stderr.contains(text), "expected {text:?} on stderr of\n{self}");
        self
    }
    #[track_caller]
    pub fn says_nothing_of(self, text: &str) -> Run {
        assert!(!self.stderr.contains(text) && !self.stdout.contains(text), "did not expect {text:?} of\n{self}");
        self
    }
    #[track_caller]
    pub fn prints(self, text: &str) -> Run {
        assert!(self.stdout.contains(text), "expected {text:?} on stdout of\n{self}");
        self
    }
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in the stdout of\n{self}"))
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`xtask {}` exited with {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.line, self.code, self.stdout, self.stderr
        )
    }
}

/// A process as /proc tells it.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    pub command: String,
    pub dir: PathBuf,
    environment: Vec<String>,
}

pub fn all_processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id()).filter_map(process).collect()
}

/// None for one that is gone, a zombie, or somebody else's.
fn process(pid: u32) -> Option<Process> {
    let words = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
        let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>())
    };
    let dir = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let command = words("cmdline")?.join(" ");
    Some(Process { pid, command, dir, environment: words("environ")? }).filter(|process| !process.command.is_empty())
}

/// The parent of a process.
pub fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

pub fn is_alive(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    state.is_some_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim().starts_with(['Z', 'X'])))
}

/// Sends a signal; a process that is gone is no error.
pub fn signal(name: &str, pid: u32) {
    let pid = pid.to_string();
    let _status = Command::new("sh").args(["-c", "kill -\"$1\" \"$2\" 2>/dev/null", "sh", name, &pid]).status();
}

/// kill -9, and waits until it is gone.
#[track_caller]
pub fn kill(pid: u32) {
    signal("KILL", pid);
    assert!(wait(Duration::from_secs(10), || !is_alive(pid)), "{pid} survived");
}

/// Polls until it is true; false when the time is over.
pub fn wait(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !ready() {
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// A port that is free, handed out once in this process. Below the range from which the kernel takes ports of outgoing
/// connections, so that none of those comes between.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 110) as u16 * 100;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 11_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// True for root, whom file modes do not stop.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0)
}

/// Names a test that could not run here. Not by a macro of std, whose words would be kept back for a test that passes.
pub fn skip(name: &str, reason: &str) {
    let _written = writeln!(std::io::stdout(), "\nskipped: {name}: {reason}");
}

/// A script that stands in for a program at the front of PATH.
pub fn fake_program(folder: &Path, name: &str, script: &str) {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
