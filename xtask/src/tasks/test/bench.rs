//! The place where tests run: a stack name of their own, a scratch cluster, the services once a suite wants them. A
//! killed run's place is swept up by its watcher, and by the next run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::services::build::{Builder, Component};
use crate::services::converge;
use crate::services::stack::Stack;
use crate::tools::files::Lock;
use crate::tools::{guard, os};
use crate::ui::Exit;
use crate::workspace::service::Services;
use crate::workspace::{Environment, TEST, Workspace, entries};
use database::Target;

/// How long a service of a test stack may take to be ready.
const READY: Duration = Duration::from_secs(120);

/// The place where tests run: a stack name of their own, a scratch cluster, and the services once a suite wants them.
pub struct Bench<'a> {
    pub workspace: &'a Workspace,
    services: &'a Services,
    environment: Environment,
    name: String,
    target: Option<Target>,
    stack_variables: Option<BTreeMap<String, String>>,
    _lock: Lock,
}

impl<'a> Bench<'a> {
    /// Sweeps up what a killed run left, then takes a name of its own.
    pub fn new(workspace: &'a Workspace, services: &'a Services) -> Result<Bench<'a>> {
        sweep(workspace)?;
        let environment = Environment::for_test(workspace, crate::tasks::services::DEV)?;
        let name = format!("{TEST}{}", os::random_hex(4)?);
        let lock = Lock::take(&workspace.lock_file(&name), "this test run", Duration::ZERO)?;
        let args = ["--workspace", workspace.root().as_str()].map(str::to_owned);
        guard::after_this_process(&[vec![SWEEP_VERB.to_owned()], args.to_vec()].concat(), std::process::Stdio::null())?;
        Ok(Bench { workspace, services, environment, name, target: None, stack_variables: None, _lock: lock })
    }

    /// The scratch cluster, started when first wanted.
    fn target(&mut self) -> Result<&Target> {
        if self.target.is_none() {
            let target = Target::for_test(self.workspace, &self.environment, &self.name)?;
            crate::tasks::migrate::start_embedded(&target)?;
            self.target = Some(target);
        }
        self.target.as_ref().context("the scratch database is not there")
    }

    /// An empty database of its own; its address for the owner.
    pub fn scratch_database(&mut self, purpose: &str) -> Result<Target> {
        let name = format!("test_{}", purpose.replace('-', "_"));
        self.target()?.scratch(&name)
    }

    /// What a suite is told: where the services are, a key, the database. Starts the stack when first wanted.
    pub fn stack_variables(&mut self) -> Result<BTreeMap<String, String>> {
        if let Some(variables) = &self.stack_variables {
            return Ok(variables.clone());
        }
        let database = self.scratch_database("stack")?;
        crate::tasks::migrate::apply_and_seed(self.workspace, &self.environment, &database)?;
        let mut stack = Stack::new(self.workspace, self.services, &self.environment, &self.name).with_free_ports()?;
        stack.database_url = database.service_url()?;
        let chosen = stack.with_dependencies(&[]);
        let components: Vec<Component> =
            chosen.iter().map(|service| Component::of(self.workspace, self.services, service)).collect();
        let builder = Builder::new(self.workspace, &components);
        let units =
            chosen.iter().map(|service| Ok((*service, stack.unit(service, &builder)?))).collect::<Result<Vec<_>>>()?;
        converge::execute(&stack, &converge::plan(&stack, units, false), READY)?;
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        for service in chosen {
            variables.insert(service.url_variable(), stack.url(service));
        }
        for setting in self.environment.settings().iter().filter(|setting| setting.declaration.is_generated) {
            variables.insert(setting.declaration.key.clone(), setting.value.clone());
        }
        variables.insert("DATABASE_URL".to_owned(), database.service_url()?);
        self.stack_variables = Some(variables.clone());
        Ok(variables)
    }

    pub fn log(&self, name: &str) -> Utf8PathBuf {
        self.workspace.log_folder("test").join(format!("{name}.log"))
    }

    pub fn close(self) -> Result<()> {
        remove_stack(self.workspace, &self.name)
    }
}

/// The hidden verb of the watcher that cleans up after a killed test run.
pub const SWEEP_VERB: &str = "sweep-tests";

/// The watcher's call: `--workspace DIR` follows.
pub fn sweep_at(words: impl Iterator<Item = std::ffi::OsString>) -> Result<Exit> {
    let words: Vec<String> = words.filter_map(|word| word.into_string().ok()).collect();
    sweep(&Workspace::find(words.get(1).map(String::as_str))?)?;
    Ok(Exit::Done)
}

/// Ends and removes every test stack whose run is gone.
pub fn sweep(workspace: &Workspace) -> Result<()> {
    for path in entries(&workspace.ops().join("run")) {
        let Some(name) = path.file_name().filter(|name| name.starts_with(TEST)) else { continue };
        if !Lock::is_held(&workspace.lock_file(name)) {
            remove_stack(workspace, name)?;
        }
    }
    Ok(())
}

pub fn remove_stack(workspace: &Workspace, name: &str) -> Result<()> {
    crate::tasks::services::stop_stack(workspace, name)?;
    database::scratch::remove_stack(workspace, name)
}
