//! An environment: its schema (`.env.<env>.example`), its values (`.env.<env>`), what CI overrides, and the effective
//! result, each value with its source.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use serde_json::{Value as Json, json};

use super::Workspace;
use super::database::Database;
use super::dotenv;
use super::freeze;
use super::schema::{self, Declaration, Type};
use super::service::Service;
use crate::tools::files::{self, Lock};
use crate::tools::{os, ports};
use crate::ui::{Failure, Finding, Place, Severity, has_errors, redact, suggest};

/// Keys that decide which target is meant, or how well it is protected: a process variable must not change them.
const PINNED: [&str; 8] = [
    "PROTECTED",
    "PROMOTE_FROM",
    "PROMOTE_WITHIN",
    "DEPLOY_ENGINE",
    "COMPOSE_PROJECT",
    "KUBE_CONTEXT",
    "KUBE_NAMESPACE",
    "FREEZE",
];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The default in the example.
    Default(Place),
    /// The environment's own file.
    File(Place),
    /// A variable of this process, such as `STAGING__API_KEY`.
    Process(String),
    /// Declared, but nowhere given.
    Unset,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Default(place) | Source::File(place) => write!(f, "{}:{}", place.file, place.line),
            Source::Process(name) => write!(f, "${name}"),
            Source::Unset => f.write_str("not set"),
        }
    }
}

/// One key with its effective value.
#[derive(Clone, Debug)]
pub struct Setting {
    pub declaration: Declaration,
    pub value: String,
    pub source: Source,
}

impl Setting {
    /// The value as it may be shown: secrets masked, passwords in URLs masked.
    pub fn shown(&self) -> String {
        match (self.declaration.is_sensitive, self.value.is_empty()) {
            (true, false) => redact::MASK.to_owned(),
            _ => redact::mask_url(&self.value),
        }
    }
    fn place(&self) -> Place {
        match &self.source {
            Source::Default(place) | Source::File(place) => place.clone(),
            Source::Process(_) | Source::Unset => self.declaration.place.clone(),
        }
    }
}

/// The effective environment. Making one teaches the output to mask its secrets.
#[derive(Clone, Debug)]
pub struct Environment {
    pub name: String,
    /// Only its shape: nothing of what is found out about it holds for the real one.
    pub is_rehearsal: bool,
    settings: Vec<Setting>,
}

impl Environment {
    /// The effective environment, or exit 2 with every problem found.
    pub fn load(workspace: &Workspace, name: &str) -> Result<Environment> {
        let (environment, findings) = Environment::read(workspace, name)?;
        if has_errors(&findings) {
            let failure = Failure::configuration(&format!("the environment `{name}` cannot be used"), findings);
            let values = workspace.environment_values(name);
            return Err(match values.is_file() {
                true => failure.into(),
                false if name == "dev" => failure.hint("run `cargo xtask setup`; it makes .env.dev").into(),
                false => failure.hint(format!("copy .env.{name}.example to .env.{name} and fill it in")).into(),
            });
        }
        Ok(environment)
    }

    /// The same for checks: what could be read, and every finding. An unknown name is exit 2.
    pub fn read(workspace: &Workspace, name: &str) -> Result<(Environment, Vec<Finding>)> {
        let (environment, mut findings) = Environment::read_text(workspace, name)?;
        findings.extend(environment.settings.iter().filter_map(|setting| check(name, setting)));
        findings.extend(environment.settings.iter().filter_map(|setting| check_meaning(workspace, name, setting)));
        Ok((environment, findings))
    }

    /// What the files say; the values themselves are not looked at yet.
    fn read_text(workspace: &Workspace, name: &str) -> Result<(Environment, Vec<Finding>)> {
        workspace.check_environment_name(name)?;
        let values_path = workspace.environment_values(name);
        let text = files::read(&values_path).map_err(|error| Failure::usage(format!("{error:#}")))?.unwrap_or_default();
        let (entries, mut findings) = dotenv::parse(workspace.relative(&values_path), &text);
        let (declarations, problems) = declared(workspace, name)?;
        findings.extend(problems);
        let mut settings = Vec::new();
        for declaration in declarations {
            let own = entries.iter().find(|entry| entry.key == declaration.key);
            let variable = variable(name, &declaration.key);
            let given = std::env::var(&variable).ok();
            if given.is_some() && PINNED.contains(&declaration.key.as_str()) {
                let message = format!(
                    "`{variable}` is set, but `{}` says which target is meant and is read only from its file",
                    declaration.key
                );
                findings.push(Finding::error(message).hint(format!("unset {variable}")));
            }
            let (value, source) = match (given, own) {
                (Some(value), _) if !PINNED.contains(&declaration.key.as_str()) => (value, Source::Process(variable)),
                (_, Some(entry)) => (entry.value.clone(), Source::File(entry.value_place.clone())),
                _ if declaration.default.is_empty() => (String::new(), Source::Unset),
                _ => (declaration.default.clone(), Source::Default(declaration.value_place.clone())),
            };
            settings.push(Setting { declaration, value, source });
        }
        for entry in &entries {
            if !settings.iter().any(|setting| setting.declaration.key == entry.key) {
                let hint =
                    suggest::nearest(&entry.key, settings.iter().map(|setting| setting.declaration.key.as_str()));
                let hint = hint.map_or_else(
                    || format!("declare it in .env.{name}.example"),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("unknown key `{}`: the example does not declare it", entry.key);
                findings.push(Finding::error(message).at(entry.place.clone()).hint(hint));
            }
        }
        let environment = Environment { name: name.to_owned(), is_rehearsal: false, settings };
        environment.teach_redaction();
        Ok((environment, findings))
    }

    /// An environment for a test run: the schema of `name` with its defaults, random values for generated keys, and
    /// nothing of the real file.
    pub fn for_test(workspace: &Workspace, name: &str) -> Result<Environment> {
        let (declarations, findings) = declared(workspace, name)?;
        if has_errors(&findings) {
            return Err(Failure::configuration(&format!("the environment `{name}` cannot be used"), findings).into());
        }
        let mut settings = Vec::new();
        for declaration in declarations {
            let value = if declaration.is_generated { os::random_hex(24)? } else { declaration.default.clone() };
            let source = Source::Default(declaration.value_place.clone());
            settings.push(Setting { declaration, value, source });
        }
        let environment = Environment { name: name.to_owned(), is_rehearsal: false, settings };
        environment.teach_redaction();
        Ok(environment)
    }

    /// The shape of an environment for a rehearsal: its own values where they are no secrets, a generated one of the same
    /// type for every secret and for what has none, and `changes` on top.
    pub fn for_rehearsal(workspace: &Workspace, name: &str, changes: &[(String, String)]) -> Result<Environment> {
        let (mut environment, findings) = Environment::read_text(workspace, name)?;
        // What is wrong with values that are not taken is no matter; what cannot be read is.
        let unreadable: Vec<Finding> =
            findings.into_iter().filter(|finding| finding.severity == Severity::Error && is_syntax(finding)).collect();
        if !unreadable.is_empty() {
            return Err(Failure::configuration(&format!("the environment `{name}` cannot be used"), unreadable).into());
        }
        for setting in &mut environment.settings {
            let declared = &setting.declaration;
            let is_secret = declared.is_sensitive || redact::url_password(&setting.value).is_some();
            if is_secret || (setting.value.is_empty() && declared.is_required) || schema::is_placeholder(&setting.value)
            {
                setting.value = generated(&declared.kind)?;
                setting.source = Source::Unset;
            }
        }
        for (key, value) in changes {
            match environment.settings.iter_mut().find(|setting| setting.declaration.key == *key) {
                Some(setting) => setting.value.clone_from(value),
                None => environment.settings.push(Setting {
                    declaration: Declaration::plain(key),
                    value: value.clone(),
                    source: Source::Unset,
                }),
            }
        }
        environment.is_rehearsal = true;
        environment.teach_redaction();
        Ok(environment)
    }

    fn teach_redaction(&self) {
        for setting in &self.settings {
            if setting.declaration.is_sensitive {
                redact::remember(&setting.value);
            } else if let Some(password) = redact::url_password(&setting.value) {
                redact::remember(password);
            }
        }
    }

    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }
    /// The value of a key; None when it is not declared or empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        let setting = self.settings.iter().find(|setting| setting.declaration.key == key)?;
        Some(setting.value.as_str()).filter(|value| !value.is_empty())
    }
    pub fn declares(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.declaration.key == key)
    }
    pub fn is_sensitive(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.declaration.key == key && setting.declaration.is_sensitive)
    }
    /// True when whatever writes to it must ask for its name.
    pub fn is_protected(&self) -> bool {
        self.get("PROTECTED") == Some("true")
    }

    /// The port of this host at which a service is reached, where the environment says so: `API_GATEWAY_PORT`.
    pub fn port_of(&self, service: &Service) -> Option<u16> {
        self.get(&service.port_variable()).and_then(|port| port.parse().ok())
    }
    /// The Compose project that holds its containers: COMPOSE_PROJECT, else one named like its database.
    pub fn compose_project(&self, config: &Database) -> String {
        let own = self.get("COMPOSE_PROJECT").map(str::to_owned);
        own.unwrap_or_else(|| format!("{}-{}", config.name.replace('_', "-"), self.name))
    }

    pub fn to_json(&self) -> Json {
        let keys = self.settings.iter().map(|setting| {
            let declared = &setting.declaration;
            json!({
                "key": declared.key,
                "value": setting.shown(),
                "source": setting.source.to_string(),
                "type": declared.kind.to_string(),
                "required": declared.is_required,
                "sensitive": declared.is_sensitive,
                "documentation": declared.documentation,
            })
        });
        json!({"environment": self.name, "keys": keys.collect::<Vec<_>>()})
    }
}

/// A value of a type that means nothing outside the run that made it.
fn generated(kind: &Type) -> Result<String> {
    Ok(match kind {
        Type::String => os::random_hex(24)?,
        Type::Url => format!("http://127.0.0.1:9/{}", os::random_hex(12)?),
        Type::Port => ports::free_port().context("failed to find a free port")?.to_string(),
        Type::Int => "1".to_owned(),
        Type::Bool => "true".to_owned(),
        Type::Duration => "1s".to_owned(),
        Type::Path => "/tmp".to_owned(),
        Type::Enum(words) => words.first().cloned().unwrap_or_default(),
    })
}

/// True for a finding about the text of a file, not about a value in it.
fn is_syntax(finding: &Finding) -> bool {
    let of_values = ["the required key", "still holds a placeholder", "must be", "is read only from its file"];
    !of_values.iter().any(|words| finding.message.contains(words))
}

/// The declarations that hold for an environment.
fn declared(workspace: &Workspace, name: &str) -> Result<(Vec<Declaration>, Vec<Finding>)> {
    let path = workspace.environment_schema(name);
    let text = files::read(&path)?.unwrap_or_default();
    let (mut declarations, findings) = schema::declarations(workspace.relative(&path), &text);
    declarations.retain(|declared| declared.only.is_empty() || declared.only.iter().any(|only| only == name));
    Ok((declarations, findings))
}

/// What is wrong with one value; the value itself is named only where it is no secret.
fn check(environment: &str, setting: &Setting) -> Option<Finding> {
    let declared = &setting.declaration;
    let key = &declared.key;
    if setting.value.is_empty() {
        let message = format!("the required key `{key}` has no value");
        let hint = format!("set it in config/environments/.env.{environment}");
        return declared.is_required.then(|| Finding::error(message).at(setting.place()).hint(hint));
    }
    if schema::is_placeholder(&setting.value) {
        let message = format!("`{key}` still holds a placeholder");
        return Some(Finding::error(message).at(setting.place()).hint("put the real value in its place"));
    }
    if matches!(setting.source, Source::Default(_)) {
        // The schema's own check has named it.
        return None;
    }
    let expected = declared.kind.objection(&setting.value)?;
    let found = if declared.is_sensitive { String::new() } else { format!(", found `{}`", setting.shown()) };
    Some(Finding::error(format!("`{key}` must be {expected}{found}")).at(setting.place()))
}

/// What is wrong with a value that names something else, or that others must be able to use.
fn check_meaning(workspace: &Workspace, environment: &str, setting: &Setting) -> Option<Finding> {
    let value = setting.value.as_str();
    if value.is_empty() {
        return None;
    }
    let key = setting.declaration.key.as_str();
    let error = |why: String| Finding::error(format!("`{key}`: {why}")).at(setting.place());
    match key {
        "FREEZE" => freeze::parse(value).err().map(error),
        "PROMOTE_FROM" => {
            let names = workspace.environment_names();
            match names.iter().any(|name| name == value) {
                true if value == environment => Some(error(format!("`{value}` is this environment itself"))),
                true => None,
                false => {
                    let hint = suggest::did_you_mean(value, names.iter().map(String::as_str));
                    Some(error(format!("unknown environment `{value}`")).hint(hint))
                }
            }
        }
        "COMPOSE_PROJECT" => {
            let is_good = value.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
            let why = format!("`{value}` is no name of a project: lower-case letters, digits, `-` and `_` make one");
            (!is_good).then(|| error(why))
        }
        "PUBLISH_ADDRESS" => {
            let is_good = value.parse::<std::net::IpAddr>().is_ok();
            (!is_good).then(|| error(format!("`{value}` is no address of this host, such as 127.0.0.1 or 0.0.0.0")))
        }
        _ => None,
    }
}

/// Makes `.env.<env>` from its example, generated keys filled, mode 0600; an existing file gets only the generated keys
/// that it lacks. Says whether anything was written.
pub fn make_values_file(workspace: &Workspace, name: &str) -> Result<bool> {
    workspace.check_environment_name(name)?;
    // Two runs that both made it would each believe in secrets of their own.
    let lock = workspace.lock_file(&format!("environment-{name}"));
    let _lock = Lock::take(&lock, &format!("the values of `{name}`"), Duration::from_secs(10))?;
    let path = workspace.environment_values(name);
    let (declarations, findings) = declared(workspace, name)?;
    if has_errors(&findings) {
        return Err(Failure::configuration(&format!("the environment `{name}` cannot be used"), findings).into());
    }
    let existing = files::read(&path)?;
    let (entries, problems) = dotenv::parse(workspace.relative(&path), existing.as_deref().unwrap_or_default());
    if has_errors(&problems) {
        return Err(Failure::configuration(&format!("the environment `{name}` cannot be used"), problems).into());
    }
    let mut text = existing.clone().unwrap_or_else(|| header(name));
    let mut changed = existing.is_none();
    for declared in declarations.iter().filter(|declared| declared.is_generated) {
        match entries.iter().find(|entry| entry.key == declared.key) {
            Some(entry) if entry.value.is_empty() => {
                text = fill_line(&text, entry.place.line, &format!("{}={}", declared.key, os::random_hex(24)?));
            }
            Some(_) => continue,
            None => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&format!("{}={}\n", declared.key, os::random_hex(24)?));
            }
        }
        changed = true;
    }
    if changed {
        if existing.is_some() {
            // It holds secrets from now on, whatever its mode was.
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, private).with_context(|| format!("failed to close `{path}` to others"))?;
        }
        files::write(&path, text, 0o600).context("failed to make the environment's file")?;
    }
    Ok(changed)
}

/// The variable of this process that gives an environment's key: `STAGING__API_KEY`.
pub fn variable(name: &str, key: &str) -> String {
    format!("{}__{key}", name.to_uppercase().replace('-', "_"))
}

fn header(name: &str) -> String {
    let example: Utf8PathBuf = format!(".env.{name}.example").into();
    format!(
        "# Values of the environment `{name}`; what is not set here has the default of {example}.\n# Ignored by git. Holds secrets: keep its mode at 0600.\n\n"
    )
}

fn fill_line(text: &str, line: usize, replacement: &str) -> String {
    let lines = text.split_inclusive('\n').enumerate();
    lines.map(|(index, old)| if index + 1 == line { format!("{replacement}\n") } else { old.to_owned() }).collect()
}
