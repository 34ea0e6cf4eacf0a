//! What a release is built from: for each service the content of its sources, its libraries and its Dockerfile, and which
//! migrations there are. The same commit gives the same id on every machine and for every environment.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::services::build::{self, Builder, Component, Inputs};
use crate::tools::{files, hash};
use crate::workspace::service::{DATABASE, Image, Language, Service, Services};
use crate::workspace::{Database, Workspace};
use database::migrations::Migration;

/// Changes when the same inputs would be built into something else.
const RECIPE: &str = "1";
/// The part that holds the migrations with their content.
const MIGRATIONS: &str = "migrations";
/// The part that holds the versions of tools that the workspace pins.
const TOOLS: &str = "pinned tools";

/// One thing that is built: a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// SHA-256 over its inputs.
    pub id: String,
    /// Each input, a path of the workspace or a fact in parentheses, and its hash or value.
    pub inputs: Inputs,
}

impl Part {
    fn new(inputs: Inputs) -> Part {
        Part { id: build::digest(&inputs), inputs }
    }
    /// What names it where a name must be short: twelve digits.
    pub fn short(&self) -> &str {
        short(&self.id)
    }
}

/// The first twelve digits of an id.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// All that a release is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256 over the ids of the parts.
    pub id: String,
    pub parts: BTreeMap<String, Part>,
}

impl Artifact {
    /// Reads the work tree.
    pub fn of(workspace: &Workspace, services: &Services, migrations: &[Migration]) -> Result<Artifact> {
        let components: Vec<Component> =
            services.running().map(|service| Component::of(workspace, services, service)).collect();
        let builder = Builder::of_sources(workspace, &components);
        let mut parts = BTreeMap::new();
        for (service, component) in services.running().zip(&components) {
            let mut inputs = builder.sources(component)?;
            let image = image_of(service);
            for file in [image.dockerfile.clone(), format!("{}.dockerignore", image.dockerfile)] {
                let path = workspace.root().join(&file);
                if path.is_file() {
                    inputs.insert(file, build::content_hash(&path)?);
                }
            }
            let target = image.target.as_deref().unwrap_or("the last one");
            inputs.insert(fact("its image"), format!("{} {target}", image.dockerfile));
            // Which there are, not what they hold: that is fixed once one is applied.
            if service.depends_on.iter().any(|name| name == DATABASE) {
                let versioned = migrations.iter().filter(|file| !file.version.is_empty());
                inputs.extend(versioned.map(|file| (migration_fact(file), "built with".to_owned())));
            }
            parts.insert(service.name.clone(), Part::new(inputs));
        }
        let content = |file: &Migration| (migration_fact(file), file.sha256.clone());
        parts.insert(MIGRATIONS.to_owned(), Part::new(migrations.iter().map(content).collect()));
        let embedded = if workspace.database_config().is_file() {
            Database::load(workspace)?.embedded.version
        } else {
            String::new()
        };
        let tools = [("PostgreSQL, embedded", embedded.as_str()), ("how artifacts are made", RECIPE)];
        let tools = tools.map(|(name, version)| (fact(name), version.to_owned()));
        parts.insert(TOOLS.to_owned(), Part::new(tools.into()));
        let ids: String = parts.iter().map(|(name, part)| format!("{}  {name}\n", part.id)).collect();
        Ok(Artifact { id: hash::sha256(ids), parts })
    }

    pub fn part(&self, service: &str) -> Result<&Part> {
        self.parts.get(service).with_context(|| format!("{service} is no part of the artifact"))
    }

    /// The manifest as it is kept beside the id.
    pub fn to_json(&self) -> Value {
        let part = |part: &Part| json!({"id": part.id, "inputs": part.inputs});
        let parts: serde_json::Map<String, Value> =
            self.parts.iter().map(|(name, of)| (name.clone(), part(of))).collect();
        json!({"id": self.id, "parts": parts})
    }

    pub fn from_json(value: &Value) -> Option<Artifact> {
        let part = |value: &Value| {
            let inputs = value["inputs"].as_object()?.iter();
            let inputs = inputs.filter_map(|(name, hash)| Some((name.clone(), hash.as_str()?.to_owned()))).collect();
            Some(Part { id: value["id"].as_str()?.to_owned(), inputs })
        };
        let parts = value["parts"].as_object()?.iter();
        let parts = parts.map(|(name, value)| Some((name.clone(), part(value)?))).collect::<Option<_>>()?;
        Some(Artifact { id: value["id"].as_str()?.to_owned(), parts })
    }

    /// Why a part is another one than in `before`, in words; empty for the same.
    pub fn changes(&self, before: Option<&Artifact>, name: &str) -> Vec<String> {
        let now = self.parts.get(name).map(|part| &part.inputs);
        let then = before.and_then(|before| before.parts.get(name)).map(|part| &part.inputs);
        let (now, then) = match (now, then) {
            (Some(now), Some(then)) => (now, then),
            (Some(_), None) => return vec![format!("{name} is new")],
            (None, Some(_)) => return vec![format!("{name} is gone")],
            (None, None) => return Vec::new(),
        };
        let shown = |input: &str| input.trim_start_matches('(').trim_end_matches(')').to_owned();
        let mut words = Vec::new();
        for (input, hash) in now {
            match then.get(input) {
                None => words.push(format!("{} is new", shown(input))),
                Some(old) if old != hash => words.push(format!("{} changed", shown(input))),
                Some(_) => {}
            }
        }
        let gone = then.keys().filter(|input| !now.contains_key(*input));
        words.extend(gone.map(|input| format!("{} is gone", shown(input))));
        words
    }

    /// The names of parts that differ from those of `before`, or are in one of the two only.
    pub fn changed_parts(&self, before: Option<&Artifact>) -> Vec<String> {
        let id = |artifact: Option<&Artifact>, name: &str| {
            artifact.and_then(|it| it.parts.get(name)).map(|part| part.id.clone())
        };
        let mut names: Vec<&String> =
            self.parts.keys().chain(before.iter().flat_map(|before| before.parts.keys())).collect();
        names.sort();
        names.dedup();
        names.into_iter().filter(|name| id(Some(self), name) != id(before, name)).cloned().collect()
    }
}

/// An input that is no file; no path of the workspace begins with a parenthesis.
fn fact(words: &str) -> String {
    format!("({words})")
}
fn migration_fact(file: &Migration) -> String {
    fact(&format!("migration {}", file.title()))
}
fn is_file(input: &str) -> bool {
    !input.starts_with('(')
}

/// How a service's image is built: as its file says, else as its language is.
pub fn image_of(service: &Service) -> Image {
    service.image.clone().unwrap_or_else(|| {
        let kind = if service.uses(Language::Node) { "frontend" } else { "backend" };
        let dockerfile = format!("infrastructure/docker/Dockerfile.{kind}");
        Image { dockerfile, target: Some("service".to_owned()) }
    })
}

/// Copies what a service is built from into `folder`, as it lies in the workspace, and the names of the migrations. Fails
/// when the tree does not hold what `part` says (it was changed meanwhile).
pub fn stage(workspace: &Workspace, part: &Part, migrations: &[Migration], folder: &Utf8Path) -> Result<()> {
    for (input, hash) in &part.inputs {
        let from = workspace.root().join(input);
        if !is_file(input) || from.symlink_metadata().is_err() {
            continue;
        }
        let to = folder.join(input);
        files::make_folder(to.parent().unwrap_or(folder))?;
        if from.is_symlink() {
            let target = std::fs::read_link(&from).with_context(|| format!("failed to read `{from}`"))?;
            std::os::unix::fs::symlink(target, &to).with_context(|| format!("failed to copy `{from}`"))?;
        } else {
            std::fs::copy(&from, &to).with_context(|| format!("failed to copy `{from}`"))?;
        }
        if build::content_hash(&to)? != *hash {
            anyhow::bail!("`{input}` was changed while it was copied");
        }
    }
    check(part, folder)?;
    // Always there, because Dockerfiles copy it; whether a file is pending or released says nothing to a service.
    let names: Utf8PathBuf = folder.join("database/migrations/applied");
    files::make_folder(&names)?;
    for file in migrations.iter().filter(|file| part.inputs.contains_key(&migration_fact(file))) {
        let path = names.join(format!("{}.sql", file.title()));
        std::fs::write(&path, "").with_context(|| format!("failed to write `{path}`"))?;
    }
    Ok(())
}

/// Fails when a copy does not hold what the part was made from.
pub fn check(part: &Part, folder: &Utf8Path) -> Result<()> {
    for (input, hash) in part.inputs.iter().filter(|(input, _)| is_file(input)) {
        if build::content_hash(&folder.join(input))? != *hash {
            anyhow::bail!("`{}` is not what it was made from", folder.join(input));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(parts: &[(&str, &[(&str, &str)])]) -> Artifact {
        let inputs = |inputs: &[(&str, &str)]| inputs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let parts = parts.iter().map(|(name, all)| ((*name).to_owned(), Part::new(inputs(all)))).collect();
        Artifact { id: "x".to_owned(), parts }
    }

    #[test]
    fn what_changed_is_told_in_words_and_survives_json() {
        let before = artifact(&[("api", &[("a/x", "1"), ("a/y", "2")]), ("gone", &[("g", "1")])]);
        let now = artifact(&[("api", &[("a/x", "3"), ("a/z", "2")]), ("new", &[("n", "1")])]);
        assert_eq!(now.changed_parts(Some(&before)), ["api", "gone", "new"]);
        assert_eq!(now.changes(Some(&before), "api"), ["a/x changed", "a/z is new", "a/y is gone"]);
        assert_eq!(now.changes(Some(&before), "gone"), ["gone is gone"]);
        assert_eq!(now.changes(None, "api"), ["api is new"]);
        assert_eq!(Artifact::from_json(&now.to_json()), Some(now));
    }
}
