//! A stack: the services of one environment on this machine, with their ports and their place for records and logs.
//! The dev stack has the ports of config/services; a test stack has free ones and a place of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use super::build::{self, Builder, Component};
use crate::processes::process::{State, Unit, UnitFiles};
use crate::tools::os::Signal;
use crate::tools::{hash, ports};
use crate::workspace::service::{DATABASE, Service, Services};
use crate::workspace::{Environment, Workspace};

/// Variables of this process that a service gets as they are.
const PASSED_ON: [&str; 8] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE"];

/// What a service inherits of this process's environment.
pub fn inherited() -> impl Iterator<Item = (String, String)> {
    PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
}

/// How long a service may take to end after TERM.
pub const GRACE: Duration = Duration::from_secs(10);

pub struct Stack<'a> {
    pub workspace: &'a Workspace,
    pub services: &'a Services,
    pub environment: &'a Environment,
    /// Names the folders of records and logs: `dev`, or `test-…`.
    pub name: String,
    /// What services get as DATABASE_URL where their environment leaves it to the engine.
    pub database_url: String,
    ports: BTreeMap<String, u16>,
}

impl<'a> Stack<'a> {
    pub fn new(
        workspace: &'a Workspace,
        services: &'a Services,
        environment: &'a Environment,
        name: &str,
    ) -> Stack<'a> {
        let port = |service: &Service| environment.port_of(service).unwrap_or(service.port);
        let ports = services.running().map(|service| (service.name.clone(), port(service))).collect();
        Stack { workspace, services, environment, name: name.to_owned(), database_url: String::new(), ports }
    }

    /// The same with ports that are free now.
    pub fn with_free_ports(mut self) -> Result<Stack<'a>> {
        for port in self.ports.values_mut() {
            *port = ports::free_port().context("failed to find a free port")?;
        }
        Ok(self)
    }

    pub fn port(&self, service: &Service) -> u16 {
        self.ports.get(&service.name).copied().unwrap_or(service.port)
    }
    pub fn url(&self, service: &Service) -> String {
        format!("http://127.0.0.1:{}", self.port(service))
    }
    pub fn files(&self, name: &str) -> UnitFiles {
        UnitFiles::new(&self.workspace.run_folder(&self.name), &self.workspace.log_folder(&self.name), name)
    }
    pub fn state(&self, service: &Service) -> State {
        State::look(&self.files(&service.name))
    }
    fn source(&self, service: &Service) -> Utf8PathBuf {
        self.workspace.root().join(&service.source)
    }

    /// What a service is given beside what it inherits: from the engine, and the keys that its file names.
    pub fn variables(&self, service: &Service) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
        for key in &service.env {
            let value = self.environment.get(key).unwrap_or_default();
            let value = if key == "DATABASE_URL" && value.is_empty() { &self.database_url } else { value };
            set(key, value.to_owned());
        }
        for dependency in
            service.depends_on.iter().filter_map(|name| self.services.get(name)).filter(|s| !s.is_library())
        {
            set(&dependency.url_variable(), self.url(dependency));
        }
        set("PORT", self.port(service).to_string());
        set("HOST", "127.0.0.1".to_owned());
        set("SERVICE_NAME", service.name.clone());
        set("SERVICE_SETTINGS", service.settings.to_string());
        set("ENVIRONMENT", self.environment.name.clone());
        set("MIGRATIONS_DIR", self.workspace.migrations().to_string());
        variables
    }

    /// The process of a service, with the fingerprint of everything that would make it another one: its sources and
    /// those of its libraries, its file's meaning, its effective environment.
    pub fn unit(&self, service: &Service, builder: &Builder<'_>) -> Result<Unit> {
        let folder = self.source(service);
        let program = build::program(&folder, &service.run[0])?;
        let sources = builder.source_hash(&Component::of(self.workspace, self.services, service))?;
        let mut variables = self.variables(service);
        variables.insert("SERVICE_VERSION".to_owned(), sources[..12].to_owned());
        let mut identity = format!("{sources}\n{program}\n{:?}\n", service.run);
        for (name, value) in &variables {
            identity.push_str(&format!("{name}={value}\n"));
        }
        let key = build::hash_key(self.workspace)?;
        let sensitive = service.env.iter().filter(|key| self.environment.is_sensitive(key));
        let secrets =
            sensitive.filter_map(|key| variables.get(key)).filter(|value| !value.is_empty()).cloned().collect();
        Ok(Unit {
            name: service.name.clone(),
            program: program.to_string(),
            args: service.run[1..].to_vec(),
            dir: folder,
            env: inherited().chain(variables).collect(),
            secrets,
            port: Some(self.port(service)),
            stop_signal: Signal::Term,
            grace: GRACE,
            fingerprint: hash::hmac_sha256(key.as_bytes(), identity.as_bytes()),
            files: self.files(&service.name),
        })
    }

    /// True when one of the services wants the database.
    pub fn wants_database(&self) -> bool {
        self.services.running().any(|service| service.depends_on.iter().any(|name| name == DATABASE))
    }

    /// The services named and everything they depend on, dependencies first.
    pub fn with_dependencies(&self, names: &[String]) -> Vec<&'a Service> {
        let mut wanted: Vec<String> = names.to_vec();
        let mut at = 0;
        while let Some(service) = wanted.get(at).and_then(|name| self.services.get(name)) {
            let new: Vec<String> = service
                .depends_on
                .iter()
                .filter(|name| self.services.get(name).is_some() && !wanted.contains(*name))
                .cloned()
                .collect();
            wanted.extend(new);
            at += 1;
        }
        let all = names.is_empty();
        self.services.running().filter(|service| all || wanted.contains(&service.name)).collect()
    }

    /// The services named and everything that depends on them, dependents first.
    pub fn with_dependents(&self, names: &[String]) -> Vec<&'a Service> {
        let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        // The list is in order of dependency, so one pass finds dependents of dependents.
        for service in self.services.running() {
            if service.depends_on.iter().any(|name| wanted.contains(&name.as_str()))
                && !wanted.contains(&service.name.as_str())
            {
                wanted.push(&service.name);
            }
        }
        let all = names.is_empty();
        let mut found: Vec<&Service> =
            self.services.running().filter(|service| all || wanted.contains(&service.name.as_str())).collect();
        found.reverse();
        found
    }
}
