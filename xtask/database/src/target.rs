//! What DATABASE_ADMIN_URL means for an environment: where its database is and how a client gets there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use camino::Utf8PathBuf;

use super::binaries::{self, Binaries};
use super::cluster::{Change, Cluster};
use super::compose::{self, Served};
use super::url::{self, Connection};
use base::ui::redact::percent_encode;
use base::ui::{Failure, Step, redact, suggest};
use base::workspace::{Database, Environment, Workspace};

const ADMIN: &str = "DATABASE_ADMIN_URL";
const SERVICE: &str = "DATABASE_URL";

/// Where the database is.
#[derive(Clone, Debug)]
enum Place {
    /// Run here.
    Embedded(Box<Cluster>),
    /// Run by Docker Compose on this machine.
    Compose(Box<Served>),
    /// A server that others run.
    External(Connection),
}

/// The database of one environment.
#[derive(Clone, Debug)]
pub struct Target {
    pub environment: String,
    /// The database's name on its server.
    pub database: String,
    pub config: Database,
    workspace: Workspace,
    place: Place,
    /// DATABASE_URL, where the environment has one.
    service_url: Option<String>,
    /// The server's major version, once a session has asked; 0 before.
    server_major: Arc<AtomicU32>,
}

impl Target {
    /// The database of an environment; `stack` names the cluster that `embedded:` runs. Exit 2 when the address cannot
    /// be read, 4 when it needs an engine that is not at hand.
    pub fn of(workspace: &Workspace, environment: &Environment, stack: &str) -> Result<Target> {
        let config = Database::load(workspace)?;
        let mut database = config.database_of(&environment.name);
        let address = environment.get(ADMIN).unwrap_or_default();
        let name = &environment.name;
        let place = match address.split_once(':') {
            Some(("embedded", "")) => Place::Embedded(Box::new(Cluster::of(workspace, &config, stack))),
            Some(("compose", service)) if !service.is_empty() => {
                Place::Compose(Box::new(compose::reach(environment, &config, service)?))
            }
            Some(("kubernetes", what)) if !what.is_empty() => {
                return Err(no_engine(name, address, &format!("a port-forward to `{what}` in a Kubernetes cluster")));
            }
            Some(("postgres" | "postgresql", _)) => {
                let connection = url::parse(ADMIN, address)?;
                if let Some(given) = connection.get("PGDATABASE") {
                    database = given.to_owned();
                }
                Place::External(connection)
            }
            _ => return Err(unreadable(name, address)),
        };
        let service_url = environment.get(SERVICE).map(str::to_owned);
        let (workspace, environment) = (workspace.clone(), name.clone());
        Ok(Target { environment, database, config, workspace, place, service_url, server_major: Arc::default() })
    }

    /// A database for a test run, whatever the environment's address: in a cluster of its own, fast and not durable.
    pub fn for_test(workspace: &Workspace, environment: &Environment, stack: &str) -> Result<Target> {
        let config = Database::load(workspace)?;
        let cluster = Cluster::for_test(workspace, &config, stack);
        Ok(Target {
            environment: environment.name.clone(),
            database: config.database_of(&environment.name),
            config,
            workspace: workspace.clone(),
            place: Place::Embedded(Box::new(cluster)),
            service_url: None,
            server_major: Arc::default(),
        })
    }

    /// The same server, another database: a scratch copy, one of many tests.
    pub fn with_database(&self, name: &str) -> Target {
        Target { database: name.to_owned(), ..self.clone() }
    }

    pub fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Embedded(_))
    }
    /// The cluster of `embedded:`.
    pub fn cluster(&self) -> Option<&Cluster> {
        match &self.place {
            Place::Embedded(cluster) => Some(cluster),
            Place::Compose(_) | Place::External(_) => None,
        }
    }
    /// The database that Docker Compose runs.
    pub fn compose(&self) -> Option<&Served> {
        match &self.place {
            Place::Compose(served) => Some(served),
            Place::Embedded(_) | Place::External(_) => None,
        }
    }
    /// True for a database that the tasks run themselves.
    pub fn is_ours(&self) -> bool {
        !matches!(self.place, Place::External(_))
    }

    /// Makes sure that a database we run is up; the others are their
    /// engine's or their owner's business, so nothing is done.
    pub fn ensure_running(&self, step: &Step) -> Result<Change> {
        match &self.place {
            Place::Embedded(cluster) => cluster.ensure_running(&self.database, step),
            Place::Compose(_) | Place::External(_) => Ok(Change::Same),
        }
    }

    /// How the owner gets there; nothing of it may stand in argv.
    pub fn connection(&self) -> Connection {
        let connection = match &self.place {
            Place::Embedded(cluster) => Connection::new(cluster.variables(&self.database)),
            Place::Compose(served) => served.connection(&self.database),
            Place::External(connection) => connection.to_database(&self.database),
        };
        match connection.get("PGCONNECT_TIMEOUT") {
            Some(_) => connection,
            // libpq counts whole seconds, and takes 1 as 2.
            None => {
                let seconds = self.config.timeouts.connect.as_millis().div_ceil(1000).max(2);
                connection.with("PGCONNECT_TIMEOUT", &seconds.to_string())
            }
        }
    }

    /// What services get as DATABASE_URL: the environment's own, else the one that follows from a database we run.
    pub fn service_url(&self) -> Result<String> {
        self.service_url_from(false)
    }
    /// The same, also for services that run in containers beside it (`within`).
    pub fn service_url_from(&self, within: bool) -> Result<String> {
        match (&self.service_url, &self.place) {
            (Some(url), _) => Ok(url.clone()),
            (None, Place::Compose(served)) => Ok(served.service_url(&self.config.login_role, &self.database, within)),
            (None, Place::Embedded(cluster)) => {
                let socket = percent_encode(cluster.socket_folder().as_str());
                Ok(format!("postgres://{}@localhost/{}?host={socket}", self.config.login_role, self.database))
            }
            (None, Place::External(_)) => {
                let message =
                    format!("`{SERVICE}` of `{}` is empty, and its database is run by others", self.environment);
                let hint = format!("set it to the URL that services log in with as `{}`", self.config.login_role);
                Err(Failure::usage(message).hint(hint).into())
            }
        }
    }

    /// How services get there.
    pub fn service_connection(&self) -> Result<Connection> {
        url::parse(SERVICE, &self.service_url()?)
    }

    /// The owner's address as a URL, for test runners of a database that we run; it has no password.
    pub fn owner_url(&self) -> String {
        let connection = self.connection();
        let part = |name: &str| percent_encode(connection.get(name).unwrap_or_default());
        format!("postgres://{}@localhost/{}?host={}", part("PGUSER"), part("PGDATABASE"), part("PGHOST"))
    }

    /// An empty database of this name on a server that we run; what was there under that name is gone.
    pub fn scratch(&self, name: &str) -> Result<Target> {
        let scratch = self.with_database(name);
        scratch.recreate()?;
        Ok(scratch)
    }

    /// Drops the database and makes it anew, empty. Only for a database that we run.
    pub fn recreate(&self) -> Result<()> {
        let Place::Embedded(cluster) = &self.place else {
            return Err(Failure::refused("only a database that runs here can be made anew").into());
        };
        cluster.drop_database(&self.database)?;
        cluster.prepare_database(&self.database)
    }

    /// Ends and removes what [`Target::for_test`] made for a test run.
    pub fn remove_test_cluster(workspace: &Workspace, stack: &str) -> Result<()> {
        let config = Database::load(workspace)?;
        Cluster::for_test(workspace, &config, stack).remove()
    }

    /// The psql to use: the server's own, or for an external one the newest there is.
    pub fn psql(&self) -> Result<Utf8PathBuf> {
        Ok(self.client()?.program("psql"))
    }
    /// A program that dumps or restores: of the server's version, else of the next one there is. A newer one may say what an
    /// older server does not understand.
    pub fn program(&self, name: &str) -> Result<Utf8PathBuf> {
        Ok(self.tools(0)?.program(name))
    }
    /// The programs that dump and restore, of the server's version and at least `major`.
    pub fn tools(&self, major: u32) -> Result<Binaries> {
        self.binaries(Some(major.max(self.server_major())))
    }
    fn client(&self) -> Result<Binaries> {
        self.binaries(None)
    }
    fn binaries(&self, least: Option<u32>) -> Result<Binaries> {
        let client = |needs_tls| binaries::client(&self.workspace, &self.config, needs_tls, least);
        match &self.place {
            Place::Embedded(cluster) => cluster.binaries(),
            Place::Compose(_) => client(false),
            Place::External(connection) => client(connection.may_leave_the_machine()),
        }
    }

    /// The server's major version; 0 as long as no session was opened.
    pub fn server_major(&self) -> u32 {
        self.server_major.load(Ordering::Relaxed)
    }
    /// Notes the server's version, and refuses (exit 4) a client that is older: pg_dump would not work, and psql would not
    /// know all.
    pub fn note_server(&self, major: u32) -> Result<()> {
        self.server_major.store(major, Ordering::Relaxed);
        self.check_client(major)
    }
    /// Refuses (exit 4) a client that is older than what it has to understand.
    pub fn check_client(&self, major: u32) -> Result<()> {
        let client = self.client()?;
        if client.major >= major {
            return Ok(());
        }
        let message = format!(
            "the server of `{}` is PostgreSQL {major}, the newest client here ({}) is {}",
            self.environment, client.bin, client.version
        );
        let hint = format!("install its client (Debian: apt-get install postgresql-client-{major})");
        Err(Failure::cannot_tell(message).hint(hint).into())
    }

    /// For people: `embedded: vital_dev`, `db.example:5432/vital`; never a password.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Embedded(_) => format!("embedded: {}", self.database),
            Place::Compose(served) => format!("compose: {} ({} of {})", self.database, served.service, served.project),
            Place::External(connection) => {
                let host = connection.get("PGHOST").unwrap_or("localhost");
                let port = connection.get("PGPORT").unwrap_or("5432");
                format!("{host}:{port}/{}", self.database)
            }
        }
    }
}

fn no_engine(environment: &str, address: &str, what: &str) -> anyhow::Error {
    let message =
        format!("the database of `{environment}` ({address}) is {what}, which xtask cannot reach by itself yet");
    let hint = format!("give an address that can be dialled: {ADMIN}=postgres://… in .env.{environment}");
    Failure::cannot_tell(message).hint(hint).into()
}

fn unreadable(environment: &str, address: &str) -> anyhow::Error {
    let message = match address.is_empty() {
        true => format!("`{ADMIN}` of `{environment}` is empty"),
        false => format!("`{ADMIN}` of `{environment}` cannot be read: `{}`", redact::mask_url(address)),
    };
    let known = ["embedded:", "compose:", "kubernetes:", "postgres://"];
    let scheme = address.split_inclusive(':').next().unwrap_or_default();
    let near = suggest::nearest(scheme, known).map(|near| format!("did you mean `{near}`? "));
    let hint =
        format!("{}it is embedded:, compose:SERVICE, kubernetes:svc/NAME or postgres://…", near.unwrap_or_default());
    Failure::usage(message).hint(hint).into()
}
