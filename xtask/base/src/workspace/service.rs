//! A service: config/services/<name>.yaml as a type. Reading collects every problem of every file.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde_json::{Value as Json, json};

use super::yaml::{self, Fields, Node};
use super::{Workspace, entries, is_name};
use crate::tools::files;
use crate::ui::{Failure, Finding, Place, has_errors, suggest};

/// The reserved name of the database among dependencies.
pub const DATABASE: &str = "database";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Service,
    Library,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    Node,
    Python,
}

impl Language {
    pub fn name(self) -> &'static str {
        match self {
            Language::Node => "node",
            Language::Python => "python",
        }
    }
}

/// Paths that a service answers for probes and scrapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub live: String,
    pub ready: String,
    pub metrics: Option<String>,
}

/// How its container image is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub dockerfile: String,
    pub target: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Service {
    pub name: String,
    pub kind: Kind,
    /// Its file, relative to the workspace.
    pub file: Utf8PathBuf,
    /// Relative to the workspace.
    pub source: Utf8PathBuf,
    pub languages: Vec<Language>,
    /// 0 for a library.
    pub port: u16,
    pub health: Option<Health>,
    /// Names of services, libraries, or `database`.
    pub depends_on: Vec<String>,
    /// Program and arguments, run in `source`.
    pub run: Vec<String>,
    pub image: Option<Image>,
    /// Keys of the environment that it is given.
    pub env: Vec<String>,
    /// Handed to it as it is.
    pub settings: Json,
    places: BTreeMap<String, Place>,
}

impl Service {
    pub fn is_library(&self) -> bool {
        self.kind == Kind::Library
    }
    pub fn uses(&self, language: Language) -> bool {
        self.languages.contains(&language)
    }
    /// Where a value of its file stands, e.g. `port` or `env.LOG_LEVEL`; the file's start when it does not.
    pub fn place(&self, key: &str) -> Place {
        self.places.get(key).cloned().unwrap_or_else(|| Place { file: self.file.clone(), line: 1, column: 1 })
    }
    /// Its name as variables begin with it: `AI_ENGINE`.
    pub fn variable(&self) -> String {
        self.name.to_uppercase().replace('-', "_")
    }
    /// The key of an environment that says where it is reached on the host: `AI_ENGINE_PORT`.
    pub fn port_variable(&self) -> String {
        format!("{}_PORT", self.variable())
    }
    /// The name of the variable that holds its address: `AI_ENGINE_URL`.
    pub fn url_variable(&self) -> String {
        format!("{}_URL", self.variable())
    }
}

/// All services and libraries, dependencies before dependents.
#[derive(Clone, Debug)]
pub struct Services {
    list: Vec<Service>,
}

impl Services {
    /// Reads every file of config/services (database.yaml aside), or exit 2 with all findings.
    pub fn load(workspace: &Workspace) -> Result<Services> {
        let (services, findings) = Services::read(workspace)?;
        if has_errors(&findings) {
            return Err(Failure::configuration("config/services cannot be used", findings).into());
        }
        Ok(services)
    }

    /// The same for checks: what could be read, and every finding.
    pub fn read(workspace: &Workspace) -> Result<(Services, Vec<Finding>)> {
        let mut findings = Vec::new();
        let mut list = Vec::new();
        for path in entries(&workspace.services_config()) {
            if path.extension() != Some("yaml") || path == workspace.database_config() {
                continue;
            }
            let file = workspace.relative(&path);
            let Some(text) = files::read(&path)? else { continue };
            match yaml::parse(file, &text) {
                Ok(node) => list.extend(read_service(file, &node, &mut findings)),
                Err(problems) => findings.extend(problems),
            }
        }
        check_together(workspace, &list, &mut findings);
        let list = if has_errors(&findings) { list } else { in_order(list) };
        Ok((Services { list }, findings))
    }

    pub fn all(&self) -> &[Service] {
        &self.list
    }
    /// Those that run, in the order they start.
    pub fn running(&self) -> impl Iterator<Item = &Service> {
        self.list.iter().filter(|service| !service.is_library())
    }
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.list.iter().find(|service| service.name == name)
    }

    /// The services a user named, in order; all of them when none was named. Unknown names are exit 2.
    pub fn select(&self, names: &[String]) -> Result<Vec<&Service>> {
        for name in names {
            if self.get(name).is_none() {
                let hint = suggest::did_you_mean(name, self.list.iter().map(|service| service.name.as_str()));
                return Err(Failure::usage(format!("unknown service `{name}`")).hint(hint).into());
            }
        }
        let wanted = |service: &&Service| names.is_empty() || names.contains(&service.name);
        Ok(self.list.iter().filter(wanted).collect())
    }

    /// A service's libraries and theirs.
    pub fn libraries_of<'a>(&'a self, service: &'a Service) -> Vec<&'a Service> {
        let mut found: Vec<&Service> = Vec::new();
        let mut look = vec![service];
        while let Some(next) = look.pop() {
            for library in next.depends_on.iter().filter_map(|name| self.get(name)).filter(|s| s.is_library()) {
                if !found.iter().any(|known| known.name == library.name) {
                    found.push(library);
                    look.push(library);
                }
            }
        }
        found
    }
}

/// The keys of a service's file for editors, as JSON Schema (draft 2020-12): what [`read_service`] accepts.
pub fn json_schema() -> Json {
    let path = json!({"type": "string", "pattern": "^/\\S*$"});
    let names = json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true});
    let language = json!({"enum": [Language::Node.name(), Language::Python.name()]});
    let mut properties = json!({
        "kind": {"enum": ["service", "library"], "default": "service", "description": "a library has no port, health or run"},
        "source": {"type": "string", "description": "its folder, relative to the workspace"},
        "language": {"anyOf": [language, {"type": "array", "items": language, "minItems": 1}]},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "health": {
            "type": "object",
            "properties": {"live": path, "ready": path, "metrics": path},
            "required": ["live", "ready"],
            "additionalProperties": false,
        },
        "depends_on": names,
        "run": {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
        "image": {
            "type": "object",
            "properties": {"dockerfile": {"type": "string"}, "target": {"type": "string"}},
            "required": ["dockerfile"],
            "additionalProperties": false,
        },
        "env": names,
        "settings": {"type": "object", "description": "handed to the service as it is"},
    });
    let described = [
        ("language", "how setup, build and test treat it"),
        ("port", "where it listens on this machine"),
        ("depends_on", "services, libraries, or `database`: started before it"),
        ("run", "the program and its arguments, run in `source`"),
        ("env", "keys of the environment that it is given"),
    ];
    for (key, description) in described {
        properties[key]["description"] = Json::from(description);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "generated by `cargo xtask config schema`; do not edit",
        "title": "a service of this workspace: config/services/NAME.yaml",
        "type": "object",
        "properties": properties,
        "required": ["source", "language"],
        "if": {"properties": {"kind": {"const": "library"}}, "required": ["kind"]},
        "then": {"properties": {"port": false, "health": false, "run": false, "image": false}},
        "else": {"required": ["port", "health", "run"]},
        "additionalProperties": false,
    })
}

fn read_service(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Service> {
    let name = file.file_stem().unwrap_or_default().to_owned();
    let start = Place { file: file.to_owned(), line: 1, column: 1 };
    if !is_name(&name) {
        let message = format!("`{name}` cannot name a service: use lower-case letters, digits and single dashes");
        findings.push(Finding::error(message).at(start));
        return None;
    }
    if name == DATABASE {
        return None;
    }
    let before = findings.len();
    let mut fields = Fields::new(file, node, "a service", findings)?;
    let mut places = BTreeMap::new();
    let kind = match fields.get("kind") {
        Some(node) => yaml::word(file, node, &["service", "library"], findings),
        None => Some("service"),
    };
    let kind = if kind == Some("library") { Kind::Library } else { Kind::Service };
    let source = fields.need("source", findings).and_then(|node| {
        places.insert("source".to_owned(), node.place(file));
        inside(file, node, "a folder", findings)
    });
    let languages = fields.need("language", findings).map(|node| languages(file, node, findings)).unwrap_or_default();
    let depends_on =
        fields.get("depends_on").map(|node| names(file, node, "depends_on", &mut places, findings)).unwrap_or_default();
    let env = fields.get("env").map(|node| names(file, node, "env", &mut places, findings)).unwrap_or_default();
    let settings = fields.get("settings").map_or_else(
        || Json::Object(serde_json::Map::new()),
        |node| {
            Fields::new(file, node, "`settings`", findings);
            node.to_json()
        },
    );
    let mut port = 0;
    let mut health = None;
    let mut run = Vec::new();
    let mut image = None;
    if kind == Kind::Service {
        if let Some(node) = fields.need("port", findings) {
            places.insert("port".to_owned(), node.place(file));
            let value = yaml::int(file, node, "a port between 1 and 65535", 1..=65535, findings).unwrap_or(0);
            port = u16::try_from(value).unwrap_or(0);
        }
        health = fields.need("health", findings).and_then(|node| read_health(file, node, findings));
        if let Some(node) = fields.need("run", findings) {
            places.insert("run".to_owned(), node.place(file));
            let texts = yaml::texts(file, node, "a list: the program and its arguments", findings);
            if texts.as_ref().is_some_and(Vec::is_empty) {
                findings
                    .push(Finding::error("`run` is empty: give the program and its arguments").at(node.place(file)));
            }
            run = texts.unwrap_or_default();
        }
        image = fields.get("image").and_then(|node| read_image(file, node, findings));
    }
    fields.finish(findings);
    if has_errors(&findings[before..]) {
        return None;
    }
    let source = Utf8PathBuf::from(source?);
    Some(Service {
        name,
        kind,
        file: file.to_owned(),
        source,
        languages,
        port,
        health,
        depends_on,
        run,
        image,
        env,
        settings,
        places,
    })
}

fn languages(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Vec<Language> {
    let one = |node: &Node, findings: &mut Vec<Finding>| match yaml::word(file, node, &["node", "python"], findings)? {
        "node" => Some(Language::Node),
        _ => Some(Language::Python),
    };
    match &node.value {
        yaml::Value::List(items) => items.iter().filter_map(|item| one(item, findings)).collect(),
        _ => one(node, findings).into_iter().collect(),
    }
}

fn names(
    file: &Utf8Path,
    node: &Node,
    key: &str,
    places: &mut BTreeMap<String, Place>,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    if let yaml::Value::List(items) = &node.value {
        for item in items {
            if let yaml::Value::Text(text) = &item.value {
                places.insert(format!("{key}.{text}"), item.place(file));
            }
        }
    }
    yaml::texts(file, node, "a list of names", findings).unwrap_or_default()
}

fn read_health(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Health> {
    let mut fields = Fields::new(file, node, "`health`", findings)?;
    let path = |node: Option<&Node>, findings: &mut Vec<Finding>| {
        let node = node?;
        let path = yaml::text(file, node, "a path such as /healthz", findings)?;
        if path.starts_with('/') && !path.contains(char::is_whitespace) {
            return Some(path);
        }
        findings.push(Finding::error(format!("`{path}` is not a path: it must begin with `/`")).at(node.place(file)));
        None
    };
    let live = fields.need("live", findings);
    let ready = fields.need("ready", findings);
    let metrics = fields.get("metrics");
    let (live, ready, metrics) = (path(live, findings), path(ready, findings), path(metrics, findings));
    fields.finish(findings);
    Some(Health { live: live?, ready: ready?, metrics })
}

fn read_image(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Image> {
    let mut fields = Fields::new(file, node, "`image`", findings)?;
    let dockerfile = fields.need("dockerfile", findings).and_then(|node| inside(file, node, "a file", findings));
    let target = fields.get("target").and_then(|node| yaml::text(file, node, "a stage of the Dockerfile", findings));
    fields.finish(findings);
    Some(Image { dockerfile: dockerfile?, target })
}

/// A path that stays in the workspace: relative, without `..`.
fn inside(file: &Utf8Path, node: &Node, what: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let path = yaml::text(file, node, what, findings)?;
    let stays =
        Utf8Path::new(&path).components().all(|part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir));
    if stays && !path.is_empty() {
        return Some(path);
    }
    let message = format!("`{path}` leads out of the workspace: it is told from its root, without `..`");
    findings.push(Finding::error(message).at(node.place(file)));
    None
}

/// What only shows when all are read: folders, dependencies, cycles, ports.
fn check_together(workspace: &Workspace, list: &[Service], findings: &mut Vec<Finding>) {
    // A file that could not be read is not an unknown dependency as well.
    let files = entries(&workspace.services_config());
    let has_file = |name: &str| files.iter().any(|file| file.file_stem() == Some(name));
    for service in list {
        if !workspace.root().join(&service.source).is_dir() {
            let message = format!("the folder `{}` is not there", service.source);
            findings.push(Finding::error(message).at(service.place("source")));
        }
        for name in &service.depends_on {
            if name != DATABASE && !has_file(name) {
                let known = list.iter().map(|service| service.name.as_str()).chain([DATABASE]);
                let hint = suggest::did_you_mean(name, known.collect::<Vec<_>>());
                let place = service.place(&format!("depends_on.{name}"));
                findings.push(Finding::error(format!("unknown dependency `{name}`")).at(place).hint(hint));
            }
        }
        if let Some(other) =
            list.iter().find(|other| other.port == service.port && other.port != 0 && other.name < service.name)
        {
            let message = format!("port {} is also the port of {} ({})", service.port, other.name, other.place("port"));
            findings.push(Finding::error(message).at(service.place("port")));
        }
        if let Some(path) = cycle_from(service, list) {
            let place = service.place(&format!("depends_on.{}", path.get(1).map_or("", String::as_str)));
            findings.push(Finding::error(format!("dependencies in a circle: {}", path.join(" -> "))).at(place));
        }
    }
}

/// The circle that begins at a service and comes back to it, told once, at its first name in the alphabet.
fn cycle_from(service: &Service, list: &[Service]) -> Option<Vec<String>> {
    fn walk(name: &str, first: &str, list: &[Service], path: &mut Vec<String>) -> bool {
        let Some(service) = list.iter().find(|service| service.name == name) else { return false };
        path.push(name.to_owned());
        for next in &service.depends_on {
            if next == first || (!path.contains(next) && walk(next, first, list, path)) {
                return true;
            }
        }
        path.pop();
        false
    }
    let mut path = Vec::new();
    let found = walk(&service.name, &service.name, list, &mut path);
    (found && path.iter().all(|name| *name >= service.name)).then(|| {
        path.push(service.name.clone());
        path
    })
}

/// Dependencies before dependents, otherwise by name; there are no cycles left here.
fn in_order(mut list: Vec<Service>) -> Vec<Service> {
    let mut ordered: Vec<Service> = Vec::with_capacity(list.len());
    while !list.is_empty() {
        let met = |service: &Service| {
            service.depends_on.iter().all(|name| name == DATABASE || ordered.iter().any(|done| done.name == *name))
        };
        let next = list.iter().position(met).unwrap_or(0);
        ordered.push(list.remove(next));
    }
    ordered
}
