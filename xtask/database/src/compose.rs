//! The database that Docker Compose runs on this machine for an environment (`DATABASE_ADMIN_URL=compose:SERVICE`): where
//! it is published, and the roles and the database in it. Its container is the engine's business.

use anyhow::{Context, Result};

use super::cluster::{OWNER, psql_failure};
use super::session::{identifier, literal};
use super::target::Target;
use super::url::Connection;
use super::{binaries, roles};
use base::tools::{Cmd, docker, hash};
use base::ui::redact::percent_encode;
use base::ui::{Failure, Step, redact};
use base::workspace::{Database, Environment, Workspace};

/// The key whose value is the owner's password.
pub const PASSWORD: &str = "DATABASE_PASSWORD";
/// Where PostgreSQL listens in its container.
pub const PORT: u16 = 5432;

/// A database under Compose, as it can be reached.
#[derive(Clone, Debug)]
pub struct Served {
    pub project: String,
    /// Its service in the Compose files, which is its name in their network.
    pub service: String,
    password: String,
    /// The port of this host.
    port: u16,
}

/// Where the database of an environment is published. Exit 4 when it does not run.
pub fn reach(environment: &Environment, config: &Database, service: &str) -> Result<Served> {
    let project = environment.compose_project(config);
    let name = &environment.name;
    let Some(password) = environment.get(PASSWORD) else {
        let failure = Failure::usage(format!("`{PASSWORD}` of `{name}` has no value: its database cannot be reached"));
        return Err(failure.hint(format!("declare it with @sensitive @generate, and set it in .env.{name}")).into());
    };
    let containers = docker::containers(&project)?;
    let container = containers.iter().find(|container| container.service == service && container.is_running());
    let Some((_, port)) = container.and_then(|container| container.published(PORT)) else {
        let failure =
            Failure::cannot_tell(format!("the database of `{name}` does not run (Compose project {project})"));
        return Err(failure.hint(format!("`cargo xtask deploy {name}` starts it")).into());
    };
    Ok(Served { project, service: service.to_owned(), password: password.to_owned(), port })
}

impl Served {
    /// How the owner gets there from this host.
    pub fn connection(&self, database: &str) -> Connection {
        let pairs = [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &self.port.to_string()),
            ("PGUSER", OWNER),
            ("PGPASSWORD", &self.password),
            ("PGDATABASE", database),
            // It is this machine's loopback; the embedded client has no TLS.
            ("PGSSLMODE", "disable"),
        ];
        Connection::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    /// The password of the role that services log in as: follows from the owner's, and does not tell it.
    fn login_password(&self) -> String {
        let password = hash::hmac_sha256(self.password.as_bytes(), b"services log in")[..48].to_owned();
        redact::remember(&password);
        password
    }

    /// What services get as DATABASE_URL: within the project's network, or from this host.
    pub fn service_url(&self, login: &str, database: &str, within: bool) -> String {
        let place = if within { format!("{}:{PORT}", self.service) } else { format!("127.0.0.1:{}", self.port) };
        format!("postgres://{}:{}@{place}/{}", percent_encode(login), self.login_password(), percent_encode(database))
    }
}

/// Makes the roles, the services' password and the database where they are missing. PostgreSQL's client is fetched where
/// this machine has none that serves.
pub fn prepare(workspace: &Workspace, target: &Target, served: &Served, step: &Step) -> Result<()> {
    let config = &target.config;
    if binaries::client(workspace, config, false, None).map_or(0, |client| client.major) < config.embedded_major() {
        binaries::for_cluster(workspace, config, None, step)?;
    }
    step.detail("roles");
    let psql = Cmd::new(target.psql()?).args(["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
    let password = format!(
        "set log_statement = 'none';\nset log_min_duration_statement = -1;\nset log_min_error_statement = 'panic';\n\
         {}\nalter role {} password {};\n",
        roles::sql(config, &target.database),
        identifier(&config.login_role),
        literal(&served.login_password())
    );
    let psql = served.connection(OWNER).apply(psql).env("PGOPTIONS", "-c client_min_messages=warning");
    let output = psql.env("PSQLRC", "/dev/null").stdin(password).output()?;
    if output.ok() {
        return Ok(());
    }
    let failure = psql_failure(&output.stderr);
    if output.stderr.contains("password authentication failed") {
        let name = &target.environment;
        let hint = format!(
            "it was made with another `{PASSWORD}`: put that one back in .env.{name}, or change it in the database"
        );
        return Err(
            failure.context(Failure::cannot_tell(format!("the database of `{name}` refuses its owner")).hint(hint))
        );
    }
    Err(failure).with_context(|| format!("failed to prepare the database `{}`", target.database))
}
