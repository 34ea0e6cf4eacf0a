//! The PostgreSQL that runs here for one stack: brought up, kept as it should be, stopped, removed. It answers on a
//! Unix socket in a private folder and nowhere else.

use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use super::binaries::{self, Binaries};
use super::session::identifier;
use super::{place, probe, roles, start};
use base::processes::process::{self, State, UnitFiles};
use base::tools::files::{self, Lock};
use base::tools::{Cmd, hash};
use base::ui::{Failure, Step};
use base::workspace::service::DATABASE;
use base::workspace::{Database, Workspace};

/// The superuser, who owns the databases.
pub const OWNER: &str = "postgres";
/// How long a run waits for another one that is bringing the same cluster up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one call of psql may take here.
const LIMIT: Duration = Duration::from_secs(60);

/// What [`Cluster::ensure_running`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ran as it should.
    Same,
    Started,
    /// It ran with other settings, or without its keeper.
    Restarted,
    /// It ran, but the database or the roles were not there yet.
    Prepared,
}

/// A cluster, whether it runs or not.
#[derive(Clone, Debug)]
pub struct Cluster {
    workspace: Workspace,
    config: Database,
    stack: String,
    is_test: bool,
}

impl Cluster {
    /// The cluster of a stack, e.g. of `dev`. Touches nothing.
    pub fn of(workspace: &Workspace, config: &Database, stack: &str) -> Cluster {
        Cluster { workspace: workspace.clone(), config: config.clone(), stack: stack.to_owned(), is_test: false }
    }
    /// One for a test run, fast because a loss of power may destroy it.
    pub fn for_test(workspace: &Workspace, config: &Database, stack: &str) -> Cluster {
        Cluster { is_test: true, ..Cluster::of(workspace, config, stack) }
    }

    pub fn files(&self) -> UnitFiles {
        UnitFiles::new(&self.workspace.run_folder(&self.stack), &self.workspace.log_folder(&self.stack), DATABASE)
    }
    pub fn state(&self) -> State {
        State::look(&self.files())
    }
    /// The folder of the socket; short, because the kernel allows 107 bytes for its path.
    pub fn socket_folder(&self) -> Utf8PathBuf {
        Utf8PathBuf::from(format!("/tmp/{}", self.mark()))
    }
    /// True when it takes sessions right now.
    pub fn answers(&self) -> bool {
        self.is_ours() && probe::probe(&self.socket_folder(), OWNER, OWNER).is_up()
    }
    /// True when it takes the owner's sessions in a database right now.
    pub fn serves(&self, database: &str) -> bool {
        self.is_ours() && probe::probe(&self.socket_folder(), OWNER, database).is_welcome()
    }
    /// The programs that serve it, or would; nothing is downloaded. Exit 4 when there are none.
    pub fn binaries(&self) -> Result<Binaries> {
        binaries::ready(&self.workspace, &self.config, self.made_with()).ok_or_else(|| {
            let failure = Failure::cannot_tell("PostgreSQL is not unpacked yet");
            failure.hint("run `cargo xtask setup`").into()
        })
    }

    /// Makes sure that PostgreSQL runs as it should and that `database` is there with its roles, whatever was before:
    /// downloads, makes the cluster, starts or restarts. Exit 4 without network, 5 when another run keeps it busy.
    pub fn ensure_running(&self, database: &str, step: &Step) -> Result<Change> {
        if self.is_as_it_should_be(database) {
            return Ok(Change::Same);
        }
        step.detail("waiting for another run");
        let _lock = self.lock()?;
        step.detail("looking at what is there");
        if self.is_as_it_should_be(database) {
            return Ok(Change::Same);
        }
        let binaries = binaries::for_cluster(&self.workspace, &self.config, self.made_with(), step)?;
        let fingerprint = self.fingerprint(&binaries);
        let change = match self.state() {
            State::Running(record) if record.fingerprint == fingerprint && self.answers() => Change::Prepared,
            State::Running(_) | State::Unkept(_) => Change::Restarted,
            State::Stopped | State::Ended(_) => Change::Started,
        };
        if change != Change::Prepared {
            self.end()?;
            start::start(
                &start::Order {
                    workspace: &self.workspace,
                    binaries: &binaries,
                    folder: &self.workspace.cluster_folder(&self.stack),
                    sockets: &self.socket_folder(),
                    mark: &self.mark(),
                    settings: &self.settings(),
                    fingerprint,
                    files: self.files(),
                    is_test: self.is_test,
                },
                step,
            )?;
        }
        step.detail("roles");
        let sql = roles::sql(&self.config, database);
        self.run_sql(&binaries, &sql).with_context(|| format!("failed to prepare the database `{database}`"))?;
        files::write(&self.roles_mark(), hash::sha256(&sql), 0o600)?;
        Ok(change)
    }

    /// Makes a database, as a copy of `template` where one is given; nobody may be connected to that one.
    pub fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        let (name, template) = (identifier(name), identifier(template.unwrap_or("template0")));
        self.run_sql(&self.binaries()?, &format!("create database {name} template {template};\n"))
    }
    /// Makes a database where it is missing, with its roles and who may connect, as [`Cluster::ensure_running`] does.
    pub fn prepare_database(&self, name: &str) -> Result<()> {
        self.run_sql(&self.binaries()?, &roles::sql(&self.config, name))
    }
    /// Removes a database and ends the sessions in it. One that is not there is no error.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        self.run_sql(&self.binaries()?, &format!("drop database if exists {} with (force);\n", identifier(name)))
    }

    /// Stops it. What is not running is no error.
    pub fn stop(&self) -> Result<()> {
        let _lock = self.lock()?;
        self.end()
    }
    /// Stops it and removes all its data.
    pub fn remove(&self) -> Result<()> {
        let _lock = self.lock()?;
        self.end()?;
        let folder = self.workspace.cluster_folder(&self.stack);
        if place::is_private(&self.socket_folder(), &place::owners()) {
            files::remove(&self.socket_folder())?;
        }
        if place::is_private(&place::elsewhere(&folder), &place::owners()) {
            files::remove(&place::elsewhere(&folder))?;
        }
        files::remove(&folder)
    }

    fn end(&self) -> Result<()> {
        if self.state().pid().is_none() {
            // A server whose record is lost: with it ends its keeper.
            start::end_leftovers(&self.mark())?;
        }
        process::stop(&self.files())?;
        // Backends lead sessions of their own, so the end of the postmaster's session says nothing of theirs.
        start::end_leftovers(&self.mark())
    }

    fn lock(&self) -> Result<Lock> {
        Lock::take(&self.workspace.lock_file(&format!("database-{}", self.stack)), "the database", PATIENCE)
    }

    /// Names it on this machine: its socket's folder, and the title of its processes.
    fn mark(&self) -> String {
        let digits = place::digits(&self.workspace.cluster_folder(&self.stack));
        format!("ops-{}-{digits}", base::tools::os::user_id())
    }
    fn home(&self) -> Utf8PathBuf {
        place::home(&self.workspace.cluster_folder(&self.stack))
    }
    /// The major version of PostgreSQL that made it; None when it has not been made.
    fn made_with(&self) -> Option<u32> {
        std::fs::read_to_string(self.home().join("data/PG_VERSION")).ok()?.trim().parse().ok()
    }
    fn roles_mark(&self) -> Utf8PathBuf {
        self.home().join("roles")
    }
    fn is_ours(&self) -> bool {
        place::is_private(&self.socket_folder(), &place::owners())
    }

    /// Without a lock and without a child process, because every task asks first.
    fn is_as_it_should_be(&self, database: &str) -> bool {
        let State::Running(record) = self.state() else { return false };
        let Some(binaries) = binaries::ready(&self.workspace, &self.config, self.made_with()) else { return false };
        let roles = hash::sha256(roles::sql(&self.config, database));
        record.fingerprint == self.fingerprint(&binaries)
            && std::fs::read_to_string(self.roles_mark()).is_ok_and(|mark| mark == roles)
            && self.is_ours()
            && probe::probe(&self.socket_folder(), &self.config.login_role, database).is_welcome()
    }

    fn fingerprint(&self, binaries: &Binaries) -> String {
        let folder = self.workspace.cluster_folder(&self.stack);
        let identity = format!("{}\n{}\n{folder}\n{}", binaries.version, binaries.bin, self.settings());
        hash::sha256(identity)
    }

    /// One psql as the superuser, in the database `postgres`.
    fn run_sql(&self, binaries: &Binaries, sql: &str) -> Result<()> {
        let psql = Cmd::new(binaries.program("psql")).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let psql = psql.env_clear().envs(place::environment()).envs(self.variables(OWNER)).stdin(sql).timeout(LIMIT);
        let output = psql.env("PGOPTIONS", "-c client_min_messages=warning").output()?;
        if output.ok() { Ok(()) } else { Err(psql_failure(&output.stderr)) }
    }

    /// What libpq reads to reach a database of it as the owner.
    pub fn variables(&self, database: &str) -> Vec<(String, String)> {
        let pairs = [
            ("PGHOST", self.socket_folder().into_string()),
            ("PGPORT", "5432".to_owned()),
            ("PGUSER", OWNER.to_owned()),
            ("PGDATABASE", database.to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// ops.conf. Statements are never logged: they may hold secrets.
    fn settings(&self) -> String {
        let mut text = format!(
            "# generated by `cargo xtask`, at each start; do not edit\n\
             listen_addresses = ''\n\
             unix_socket_directories = '{}'\n\
             unix_socket_permissions = 0700\n\
             port = 5432\n\
             shared_buffers = 64MB\n\
             timezone = 'UTC'\n\
             log_timezone = 'UTC'\n\
             log_destination = 'stderr'\n\
             logging_collector = off\n\
             log_line_prefix = '%m [%p] %q%u@%d '\n\
             log_statement = none\n\
             log_min_duration_statement = -1\n\
             log_min_error_statement = panic\n\
             log_error_verbosity = terse\n\
             log_checkpoints = off\n",
            self.socket_folder()
        );
        text.push_str(match self.is_test {
            true => {
                "max_connections = 200\n\
                 fsync = off\n\
                 synchronous_commit = off\n\
                 full_page_writes = off\n\
                 wal_level = minimal\n\
                 max_wal_senders = 0\n"
            }
            false => "max_connections = 100\n",
        });
        text
    }
}

/// The server's own words out of what psql said.
pub(super) fn psql_failure(stderr: &str) -> anyhow::Error {
    let line = stderr.lines().find(|line| line.contains("ERROR:") || line.contains("error:"));
    let line = line.or_else(|| stderr.lines().next_back()).unwrap_or("psql failed without a word");
    Failure::failed(line.rsplit("ERROR:").next().unwrap_or(line).trim()).into()
}
