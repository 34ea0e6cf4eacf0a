//! What a deployment would change, as a value: shown, saved, compared, executed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::artifact::{Artifact, short};
use super::engine::{Render, Running, Unit, UnitKind};
use crate::tools::hash;
use crate::ui;
use database::releases::Release;

/// A migration that is not applied yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// `<version>_<name>`, or `repeatable/<name>`.
    pub title: String,
    pub sha256: String,
    /// The code before it works on the schema after it.
    pub is_compatible: bool,
}

/// What is done with one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Start,
    Replace {
        why: String,
    },
    /// It runs as it should.
    Keep,
    /// The release does not have it.
    Remove,
}

impl Action {
    pub fn name(&self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Replace { .. } => "restart",
            Action::Keep => "keep",
            Action::Remove => "stop",
        }
    }
}

/// Everything that is known before anything is touched.
#[derive(Clone, Debug)]
pub struct Plan {
    pub environment: String,
    pub engine: String,
    /// The release that is meant to run now.
    pub live: Option<Release>,
    pub artifact: Artifact,
    pub before: Option<Artifact>,
    /// Without pins.
    pub render: Render,
    /// HMAC of each value that services get.
    pub values: BTreeMap<String, String>,
    /// SHA-256 of the reference data's files.
    pub seeds: String,
    pub migrations: Vec<Pending>,
    /// In the order they are carried out.
    pub actions: Vec<(String, Action)>,
    pub backs_up: bool,
    /// The sources run, in the place of any release.
    pub found_running: bool,
    /// Why the live release could not be brought back after this one; empty when it could, or when there is none.
    pub no_way_back: Vec<Objection>,
}

/// Why the live release could not be brought back after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    pub why: String,
    /// Nothing is deployed against it without a person's word; the others are told with the plan.
    pub is_binding: bool,
}

/// What a render is compared with.
pub struct Now<'a> {
    /// The render of the live release, as its record has it.
    pub live: Option<&'a Render>,
    pub running: &'a [Running],
    /// Why something that runs under the right fingerprint is not what is meant all the same.
    pub deviates: &'a dyn Fn(&Running) -> Option<String>,
    /// A release comes back: its jobs have done their work.
    pub is_restoring: bool,
}

/// What happens to each unit, compared with what runs.
pub fn actions(render: &Render, now: &Now<'_>) -> Vec<(String, Action)> {
    let units = render.units();
    let before = now.live.map(Render::units).unwrap_or_default();
    let mut actions: Vec<(String, Action)> = Vec::new();
    for unit in &units {
        let running = now.running.iter().find(|running| running.name == unit.name);
        let was = before.iter().find(|before| before.name == unit.name);
        let mut action = action(unit, was, running, now.is_restoring);
        if action == Action::Keep
            && let Some(why) = running.and_then(now.deviates)
        {
            action = Action::Replace { why };
        }
        actions.push((unit.name.clone(), action));
    }
    let gone = now
        .running
        .iter()
        .filter(|running| !running.fingerprint.is_empty() && !units.iter().any(|unit| unit.name == running.name));
    actions.extend(gone.map(|running| (running.name.clone(), Action::Remove)));
    if !now.is_restoring && actions.iter().any(|(_, action)| *action != Action::Keep) {
        // What they prepare is wanted by every release that changes something.
        let jobs = units.iter().filter(|unit| unit.kind == UnitKind::Job);
        jobs.for_each(|job| {
            actions.iter_mut().filter(|(name, _)| *name == job.name).for_each(|(_, action)| *action = Action::Start)
        });
    }
    actions
}

fn action(unit: &Unit, was: Option<&Unit>, now: Option<&Running>, is_restoring: bool) -> Action {
    if unit.kind == UnitKind::Job {
        let is_done = is_restoring || was.is_some_and(|was| was.fingerprint == unit.fingerprint);
        return if is_done { Action::Keep } else { Action::Start };
    }
    match now {
        None => Action::Start,
        Some(now) if !now.is_up => Action::Replace { why: format!("it is not running: {}", now.detail) },
        Some(now) if now.fingerprint == unit.fingerprint => Action::Keep,
        Some(now) if was.is_some_and(|was| was.fingerprint == now.fingerprint) => {
            Action::Replace { why: "it is another one in this release".to_owned() }
        }
        Some(_) => Action::Replace { why: "what runs is not what the live release says".to_owned() },
    }
}

impl Plan {
    /// True when all is as it would be made, and what runs agrees.
    pub fn is_empty(&self) -> bool {
        self.live.is_some()
            && self.migrations.is_empty()
            && self.actions.iter().all(|(_, action)| *action == Action::Keep)
            && self.explain().is_empty()
    }

    /// Units that will be started or replaced.
    pub fn changing(&self) -> Vec<Unit> {
        let is_changing = |unit: &Unit| {
            self.actions
                .iter()
                .any(|(name, action)| *name == unit.name && matches!(action, Action::Start | Action::Replace { .. }))
        };
        self.render.units().into_iter().filter(is_changing).collect()
    }

    /// What the release does not have and is ended first.
    pub fn leaving(&self) -> Vec<&str> {
        let leaving = self.actions.iter().filter(|(_, action)| *action == Action::Remove);
        leaving.map(|(name, _)| name.as_str()).collect()
    }

    /// The unpinned render of the live release, as its record has it.
    pub fn live_document(&self) -> Option<&Value> {
        self.live.as_ref().map(|live| &live.record["render"]).filter(|document| document.is_object())
    }

    /// In words, why this is another release than the live one; empty when it is the same.
    pub fn explain(&self) -> Vec<String> {
        let Some(live) = &self.live else { return vec!["nothing has been deployed here yet".to_owned()] };
        let mut words = Vec::new();
        let before = self.before.as_ref();
        for part in self.artifact.changed_parts(before) {
            words.extend(self.artifact.changes(before, &part).into_iter().map(
                |change| match change.starts_with(&part) {
                    true => change,
                    false => format!("{part}: {change}"),
                },
            ));
        }
        words.extend(self.configuration());
        for (key, change) in self.changed_values() {
            words.push(format!("value of {key}: {change}"));
        }
        if live.record["seeds"].as_str().is_some_and(|seeds| seeds != self.seeds) {
            words.push("reference data (database/seeds) changed".to_owned());
        }
        if live.engine != self.engine {
            words.push(format!("the engine: {} was {}", self.engine, live.engine));
        }
        words
    }

    /// What changed in how services are run, their images aside: `api-gateway: settings.rate 120 -> 60`.
    pub fn configuration(&self) -> Vec<String> {
        let Some(before) = self.live_document() else { return Vec::new() };
        // Compose reads `$$` as a dollar.
        let dollars = if self.engine == "compose" { "$$" } else { "$" };
        let (before, now) = (leaves(before, dollars), leaves(&self.render.document, dollars));
        let mut words = Vec::new();
        let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
        keys.sort();
        keys.dedup();
        let services: BTreeSet<String> = self.render.services().into_iter().collect();
        for key in keys.into_iter().filter(|key| !is_derived(key, &services)) {
            match (before.get(key), now.get(key)) {
                (Some(then), Some(now)) if then != now => words.push(format!("{key}: {then} -> {now}")),
                (None, Some(now)) => words.push(format!("{key}: {now} is new")),
                (Some(then), None) => words.push(format!("{key}: {then} is gone")),
                _ => {}
            }
        }
        words
    }

    /// Keys of the environment whose values are others than in the live release.
    pub fn changed_values(&self) -> Vec<(String, &'static str)> {
        let Some(live) = &self.live else { return Vec::new() };
        let before = |key: &str| live.record["values"][key].as_str();
        let mut changed = Vec::new();
        for (key, hash) in &self.values {
            match before(key) {
                None => changed.push((key.clone(), "new")),
                Some(old) if old != hash => changed.push((key.clone(), "changed")),
                Some(_) => {}
            }
        }
        let known = live.record["values"].as_object().into_iter().flatten();
        changed.extend(known.filter(|(key, _)| !self.values.contains_key(*key)).map(|(key, _)| (key.clone(), "gone")));
        changed
    }

    /// One object; its `digest` covers all that decides what is done.
    pub fn to_json(&self) -> Value {
        let why = |action: &Action| match action {
            Action::Replace { why } => Some(why.clone()),
            _ => None,
        };
        let actions = self
            .actions
            .iter()
            .map(|(name, action)| json!({"name": name, "action": action.name(), "why": why(action)}));
        let parts = self.artifact.changed_parts(self.before.as_ref()).into_iter().map(|name| {
            let id =
                |artifact: Option<&Artifact>| artifact.and_then(|it| it.parts.get(&name)).map(|part| part.id.clone());
            json!({
                "name": name, "from": id(self.before.as_ref()), "to": id(Some(&self.artifact)),
                "why": self.artifact.changes(self.before.as_ref(), &name),
            })
        });
        let migrations = self
            .migrations
            .iter()
            .map(|it| json!({"name": it.title, "sha256": it.sha256, "compatible": it.is_compatible}));
        let values = self.changed_values().into_iter().map(|(key, change)| json!({"key": key, "change": change}));
        let mut plan = json!({
            "environment": self.environment,
            "engine": self.engine,
            "live": self.live.as_ref().map(|live| live.number),
            "artifact": {"from": self.before.as_ref().map(|before| &before.id), "to": self.artifact.id},
            "parts": parts.collect::<Vec<_>>(),
            "configuration": self.configuration(),
            "render_sha256": self.render.sha256(),
            "values": values.collect::<Vec<_>>(),
            "values_sha256": hash::sha256(json!(self.values).to_string()),
            "seeds_sha256": self.seeds,
            "migrations": migrations.collect::<Vec<_>>(),
            "services": actions.collect::<Vec<_>>(),
            "backup": self.backs_up,
            "rollback": {
                "to": self.live.as_ref().map(|live| live.number),
                "objections": self.no_way_back.iter().map(|objection| &objection.why).collect::<Vec<_>>(),
            },
            "nothing_to_do": self.is_empty(),
        });
        let digest = hash::sha256(plan.to_string());
        plan["digest"] = json!(digest);
        plan
    }

    /// For people.
    pub fn describe(&self) -> String {
        let live = self
            .live
            .as_ref()
            .map_or("nothing".to_owned(), |live| format!("{}, artifact {}", live.title(), short(&live.artifact)));
        let mut text =
            format!("{} by {}: artifact {}; now {live}\n", self.environment, self.engine, short(&self.artifact.id));
        let mut section = |title: &str, rows: Vec<Vec<String>>| {
            if !rows.is_empty() {
                text.push_str(&format!("{title}\n{}", ui::table(&[], &rows)));
            }
        };
        let changes = |name: &String| {
            let why = self.artifact.changes(self.before.as_ref(), name);
            let more = if why.len() > 3 { format!(", and {} more", why.len() - 3) } else { String::new() };
            vec![format!("  {name}"), why.into_iter().take(3).collect::<Vec<_>>().join(", ") + &more]
        };
        section("sources", self.artifact.changed_parts(self.before.as_ref()).iter().map(changes).collect());
        section("configuration", self.configuration().into_iter().map(|words| vec![format!("  {words}")]).collect());
        let values = self.changed_values().into_iter().map(|(key, change)| vec![format!("  {key}"), change.to_owned()]);
        section("values", values.collect());
        let migration = |it: &Pending| {
            let note = if it.is_compatible { "the code before works on it" } else { "not marked compatible" };
            vec![format!("  {}", it.title), note.to_owned()]
        };
        section("migrations", self.migrations.iter().map(migration).collect());
        let service = |(name, action): &(String, Action)| {
            let why = if let Action::Replace { why } = action { why.clone() } else { String::new() };
            vec![format!("  {name}"), action.name().to_owned(), why]
        };
        section("services, in this order", self.actions.iter().map(service).collect());
        if self.backs_up {
            text.push_str("the database is backed up first\n");
        }
        match (&self.live, self.no_way_back.is_empty()) {
            (None, _) => text.push_str("rollback: none, this is the first release; a failure stops it\n"),
            (Some(live), true) => text.push_str(&format!("rollback: would bring back release {}\n", live.content())),
            (Some(_), false) => {
                let why: Vec<&str> = self.no_way_back.iter().map(|objection| objection.why.as_str()).collect();
                text.push_str(&format!("rollback: not possible: {}\n", why.join("; ")));
            }
        }
        text
    }
}

/// Leaves of a render that follow from other things: what the image of one of our services is, hashes, where secrets lie.
fn is_derived(key: &str, services: &BTreeSet<String>) -> bool {
    let parts: Vec<&str> = key.split(": ").collect();
    let below = parts.get(1).copied().unwrap_or_default();
    key.starts_with("x-ops")
        || (below == "image" && services.contains(parts[0]))
        || below == "folder"
        || below.starts_with("labels.ops.")
        || ["environment.SERVICE_VERSION", "environment.MIGRATIONS_DIR"].contains(&below)
        || below.starts_with("secrets")
        || key.starts_with("secrets")
}

/// Every leaf of a render by its path: `api-gateway: settings.rate`. Settings, JSON inside a text, are opened too.
fn leaves(document: &Value, dollars: &str) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, dollars: &str, found: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(all) => {
                for (key, value) in all {
                    let gap = if path.is_empty() || path.ends_with(": ") { "" } else { "." };
                    walk(&format!("{path}{gap}{key}"), value, dollars, found);
                }
            }
            Value::String(text) if path.ends_with("SERVICE_SETTINGS") => {
                let settings: Value = serde_json::from_str(&text.replace(dollars, "$")).unwrap_or(Value::Null);
                let path = path.replace("environment.SERVICE_SETTINGS", "settings");
                if settings.is_object() {
                    walk(&path, &settings, "$", found)
                } else {
                    drop(found.insert(path, text.clone()))
                }
            }
            Value::String(text) => drop(found.insert(path.to_owned(), text.replace(dollars, "$"))),
            Value::Null => {}
            other => drop(found.insert(path.to_owned(), other.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    for (name, service) in document["services"].as_object().into_iter().flatten() {
        walk(&format!("{name}: "), service, dollars, &mut found);
    }
    for (name, value) in document.as_object().into_iter().flatten().filter(|(name, _)| *name != "services") {
        walk(name, value, dollars, &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_leaves_and_images_of_services_are_not_told() {
        let document = json!({
            "services": {
                "api": {"image": "x", "environment": {"SERVICE_SETTINGS": "{\"rate\":120}", "PRICE": "$$5"}},
                "cache": {"image": "redis:7"},
            },
            "x-ops": {"units": []},
        });
        let services = BTreeSet::from(["api".to_owned()]);
        let found = leaves(&document, "$$");
        let told = found.iter().filter(|(key, _)| !is_derived(key, &services));
        let told: Vec<String> = told.map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["api: environment.PRICE=$5", "api: settings.rate=120", "cache: image=redis:7"]);
    }

    fn unit(name: &str, kind: UnitKind, fingerprint: &str) -> Unit {
        Unit {
            name: name.to_owned(),
            kind,
            fingerprint: fingerprint.to_owned(),
            port: 1,
            live: String::new(),
            ready: String::new(),
            secrets: BTreeMap::new(),
        }
    }
    fn running(name: &str, fingerprint: &str, is_up: bool) -> Running {
        Running {
            name: name.to_owned(),
            fingerprint: fingerprint.to_owned(),
            is_up,
            detail: "d".to_owned(),
            ..Running::default()
        }
    }
    fn told(actions: Vec<(String, Action)>) -> String {
        actions.iter().map(|(name, action)| format!("{} {name}", action.name())).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_runs_as_it_should_is_kept() {
        let of = |name, fingerprint| unit(name, UnitKind::Service, fingerprint);
        let render = Render::new(json!({}), &[of("a", "1"), of("b", "2"), of("c", "3"), of("d", "4"), of("e", "5")]);
        let running = [
            running("a", "1", true),
            running("b", "9", true),
            running("c", "3", false),
            running("e", "5", true),
            running("z", "7", true),
            running("foreign", "", true),
        ];
        let deviates = |running: &Running| (running.name == "e").then(|| "another image".to_owned());
        let now = Now { live: None, running: &running, deviates: &deviates, is_restoring: false };
        assert_eq!(told(actions(&render, &now)), "keep a, restart b, restart c, start d, restart e, stop z");
    }

    #[test]
    fn jobs_run_with_whatever_else_changes_and_never_on_the_way_back() {
        let of = |print: &str| {
            Render::new(json!({}), &[unit("job", UnitKind::Job, "j"), unit("a", UnitKind::Service, print)])
        };
        let running = [running("a", "1", true)];
        let (before, same, other) = (of("1"), of("1"), of("2"));
        let plan = |render: &Render, is_restoring: bool| {
            let now = Now { live: Some(&before), running: &running, deviates: &|_| None, is_restoring };
            told(actions(render, &now))
        };
        assert_eq!(plan(&same, false), "keep job, keep a");
        assert_eq!(plan(&other, false), "start job, restart a");
        assert_eq!(plan(&other, true), "keep job, restart a");
    }
}
