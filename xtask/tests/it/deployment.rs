//! What the tests of deployments share: a workspace in git with two small services, an environment that deploys by the
//! local engine, a database of its own.

use std::time::Duration;

use serde_json::Value;

use crate::database::Bench;
use crate::sandbox::{NODE, PYTHON, Run, Sandbox, wait};

/// A service that serves its own text, so that one sees which one answers.
pub const TELLING: &str = r#"import os, socket
server = socket.create_server((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])))
print("listening", flush=True)
while True:
    client, _ = server.accept()
    try:
        if client.recv(65536):
            body = b"TEXT " + os.environ.get("LOG_LEVEL", "").encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    except OSError:
        pass
    client.close()
"#;

/// Keys of an environment that is deployed to.
pub const KEYS: &str = "
# @type=enum(local,compose,kubernetes) @required
DEPLOY_ENGINE=local

# @type=bool @required
PROTECTED=false

PROMOTE_FROM=

# @type=duration
PROMOTE_WITHIN=14d

# @type=duration
GATE_SOAK=200ms

FREEZE=

# @type=path
BACKUP_DIR=.ops/backups

# @sensitive @generate
DATABASE_PASSWORD=

COMPOSE_PROJECT=
";

pub struct Deployment {
    pub bench: Bench,
}

impl Deployment {
    /// `alpha` in Python and `beta` in Node.js, which depends on it; all committed. None where there is no server.
    pub fn new(test: &str) -> Option<Deployment> {
        let mut bench = Bench::new(test)?;
        bench.sandbox.python("alpha", &[], &TELLING.replace("TEXT", "one"));
        bench.sandbox.node("beta", &["alpha"], NODE);
        Some(Deployment::of(bench))
    }
    /// One service only, where less is enough.
    pub fn small(test: &str) -> Option<Deployment> {
        let mut bench = Bench::new(test)?;
        bench.sandbox.python("alpha", &[], &TELLING.replace("TEXT", "one"));
        Some(Deployment::of(bench))
    }
    pub fn of(bench: Bench) -> Deployment {
        let example = bench.sandbox.read("config/environments/.env.dev.example");
        bench.sandbox.write("config/environments/.env.dev.example", example + KEYS);
        bench.sandbox.write("services/alpha/README.md", "alpha\n");
        bench.sandbox.init_git();
        Deployment { bench }
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.bench.sandbox
    }
    pub fn xtask(&self, words: &str) -> Run {
        self.bench.sandbox.xtask(words)
    }
    pub fn commit(&self) {
        self.sandbox().git(&["add", "-A"]);
        self.sandbox().git(&["commit", "-q", "--allow-empty", "-m", "change"]);
    }
    /// Another text of alpha, committed.
    pub fn alpha(&self, text: &str) {
        self.sandbox().write("services/alpha/server.py", TELLING.replace("TEXT", text));
        self.commit();
    }
    /// Another program in alpha's place, committed.
    pub fn alpha_is(&self, script: &str) {
        self.sandbox().write("services/alpha/server.py", script);
        self.commit();
    }
    /// What alpha answers; empty when it does not.
    pub fn answer(&self) -> String {
        get(self.sandbox().port("alpha"))
    }
    pub fn releases(&self) -> Vec<Value> {
        let all = self.xtask("releases --json").exits(0).json();
        all["releases"].as_array().unwrap().clone()
    }
    /// The states of all releases, the oldest first.
    pub fn states(&self) -> Vec<String> {
        let mut states: Vec<String> =
            self.releases().iter().map(|release| release["state"].as_str().unwrap().to_owned()).collect();
        states.reverse();
        states
    }
    /// Waits until the newest run says that it is at this step, or is over. Says whether it was seen there.
    pub fn wait_for_step(&self, run: &mut crate::sandbox::Running, step: &str) -> bool {
        let facts = self.sandbox().path(".ops/facts/dev.release.json");
        let mut seen = false;
        let pid = run.pid();
        wait(Duration::from_secs(60), || {
            let text = std::fs::read_to_string(&facts).unwrap_or_default();
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            seen = value["step"] == step && value["process"]["pid"] == pid;
            seen || run.is_over()
        });
        seen
    }
}

/// The body of an answer to GET /.
pub fn get(port: u16) -> String {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    let mut answer = String::new();
    let _sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let _read = stream.read_to_string(&mut answer);
    answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
}

/// A service that ends as soon as it is started.
pub const CRASHES: &str = "import sys\nprint('the cause of it all', flush=True)\nsys.exit(7)\n";
/// One that listens and is never ready.
pub const NEVER_READY: &str = r#"import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("still thinking", flush=True)
while True:
    client, _ = server.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\nConnection: close\r\n\r\nthinking")
    client.close()
"#;
/// One that is ready, and dies when it was asked a few times.
pub fn dies_later() -> String {
    PYTHON.replace("while True:", "for _ in range(6):") + "print('out of breath', flush=True)\nraise SystemExit(9)\n"
}
