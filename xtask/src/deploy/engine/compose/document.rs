//! From the Compose files to what a release runs: images by content, the environment and the secrets that services get,
//! labels. Pure, so that the same commit and values always give the same text.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use serde_json::{Map, Value, json};

use super::{FINGERPRINT, PART, PASSWORD, PORT, fingerprint, images, tag};
use crate::deploy::artifact::Artifact;
use crate::deploy::engine::{Render, Unit, UnitKind, World};
use crate::deploy::values::Values;
use crate::ui::Failure;
use crate::workspace::service::{DATABASE, Language, Service};

/// What a label of a service in the Compose files may say: it runs once, before the services.
const KIND: &str = "ops.kind";
const JOB: &str = "job";
/// The profile of the service that lends its definition to those that the files do not name.
const TEMPLATE: &str = "template";

/// What is put into the files.
pub struct Order<'a> {
    pub world: &'a World<'a>,
    pub project: &'a str,
    pub artifact: &'a Artifact,
    pub values: &'a Values,
    pub hashes: &'a BTreeMap<String, String>,
}

/// The document of a release. `files` is what `docker compose config` made of the Compose files.
pub fn render(files: &Value, order: &Order<'_>) -> Result<Render> {
    let mut document = files.clone();
    document["name"] = json!(order.project);
    let all = files["services"].as_object().context("the Compose files name no service")?;
    let has_profile = |service: &Value, name: &str| {
        service["profiles"].as_array().is_some_and(|all| all.iter().any(|profile| profile == name))
    };
    let template = all.values().find(|service| has_profile(service, TEMPLATE)).cloned();
    // What stands under a profile is started by hand, never by a deployment.
    let is_started = |service: &Value| service["profiles"].as_array().is_none_or(Vec::is_empty);
    let mut services: Map<String, Value> =
        all.iter().filter(|(_, service)| is_started(service)).map(|(name, of)| (name.clone(), of.clone())).collect();
    let mut secrets: BTreeMap<String, Utf8PathBuf> = BTreeMap::new();
    let mut units = Vec::new();
    for service in order.world.services.running() {
        let mut definition = match (services.get(&service.name), &template) {
            (Some(definition), _) => definition.clone(),
            (None, Some(template)) => template.clone(),
            (None, None) => {
                let file = order.world.workspace.compose_file();
                let message = format!("`{}` has no service `{}`", order.world.workspace.relative(&file), service.name);
                return Err(Failure::usage(message).hint("add it there, beside the others").into());
            }
        };
        let unit = fill(&mut definition, service, order, &mut secrets)?;
        services.insert(service.name.clone(), definition);
        units.push(unit);
    }
    if order.world.rehearsal.is_some() {
        services.values_mut().for_each(shrink);
    }
    for (name, definition) in &services {
        only_one(name, definition)?;
    }
    for (name, definition) in &mut services {
        if name == DATABASE || order.world.services.get(name).is_some_and(|service| !service.is_library()) {
            continue;
        }
        definition.as_object_mut().map(|all| all.remove("pull_policy"));
        let is_job = definition["labels"][KIND] == JOB;
        let kind = if is_job { UnitKind::Job } else { UnitKind::Other };
        let print = fingerprint(definition);
        set(definition, "labels", FINGERPRINT, json!(print));
        let unit = Unit {
            name: name.clone(),
            kind,
            fingerprint: print,
            port: 0,
            live: String::new(),
            ready: String::new(),
            secrets: BTreeMap::new(),
        };
        // Before the services, which may want them; jobs first of all.
        let at = if is_job { 0 } else { units.iter().take_while(|unit| unit.kind == UnitKind::Job).count() };
        units.insert(at, unit);
    }
    // The database is no part of a release: a render that held it could replace it.
    services.remove(DATABASE);
    for definition in services.values_mut() {
        if let Some(wanted) = definition.get_mut("depends_on").and_then(Value::as_object_mut) {
            wanted.remove(DATABASE);
        }
    }
    document["services"] = Value::Object(services);
    let files: Map<String, Value> =
        secrets.iter().map(|(key, path)| (key.clone(), json!({"file": plain(path.as_str())}))).collect();
    let own = document["secrets"].as_object().cloned().unwrap_or_default();
    let own = own.into_iter().filter(|(name, _)| name != PASSWORD);
    document["secrets"] = Value::Object(own.chain(files).collect());
    Ok(Render::new(document, &units))
}

/// Refuses (exit 2) more than one of a service: on one host they would want the same port and the same name.
fn only_one(name: &str, definition: &Value) -> Result<()> {
    let count = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(1);
    let wanted = count(&definition["scale"]).max(count(&definition["deploy"]["replicas"]));
    if wanted <= 1 {
        return Ok(());
    }
    let failure =
        Failure::usage(format!("the Compose files ask for {wanted} of {name}, and this engine runs one of each"));
    Err(failure.hint("take `scale` and `replicas` out, and let one process use the processors it is given").into())
}

/// Gives a service all that the workspace knows of it.
fn fill(
    definition: &mut Value,
    service: &Service,
    order: &Order<'_>,
    secrets: &mut BTreeMap<String, Utf8PathBuf>,
) -> Result<Unit> {
    let part = order.artifact.part(&service.name)?;
    for key in ["build", "profiles", "pull_policy"] {
        definition.as_object_mut().map(|all| all.remove(key));
    }
    let tag = tag(order.project, &service.name, part.short());
    definition["image"] = json!(match images::registry(order.world) {
        Some(registry) => format!("{registry}/{tag}"),
        None => tag,
    });
    definition["command"] = json!(service.run.iter().map(|word| plain(word)).collect::<Vec<_>>());
    let mut own_secrets = BTreeMap::new();
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    environment.insert("PORT".to_owned(), service.port.to_string());
    environment.insert("HOST".to_owned(), "0.0.0.0".to_owned());
    environment.insert("SERVICE_NAME".to_owned(), service.name.clone());
    environment.insert("SERVICE_SETTINGS".to_owned(), service.settings.to_string());
    environment.insert("SERVICE_VERSION".to_owned(), part.short().to_owned());
    environment.insert("ENVIRONMENT".to_owned(), order.world.environment.name.clone());
    if let Some(text) = &order.world.rehearsal {
        environment.insert("OPS_REHEARSAL".to_owned(), text.clone());
    }
    for dependency in service.depends_on.iter().filter_map(|name| order.world.services.get(name)) {
        if !dependency.is_library() {
            environment.insert(dependency.url_variable(), format!("http://{}:{}", dependency.name, dependency.port));
        }
    }
    for key in &service.env {
        let Some(given) = order.values.get(key) else { continue };
        if given.is_secret {
            let hash = order.hashes.get(key).cloned().unwrap_or_default();
            // Compose takes the name for the file below /run/secrets.
            environment.insert(format!("{key}_FILE"), format!("/run/secrets/{key}"));
            secrets.insert(key.clone(), order.world.secret_file(key, &hash));
            own_secrets.insert(key.clone(), hash);
        } else {
            environment.insert(key.clone(), given.value.clone());
        }
    }
    for (name, value) in environment {
        set(definition, "environment", &name, json!(plain(&value)));
    }
    let mounts = definition["secrets"].as_array().cloned().unwrap_or_default();
    let known = |key: &String| mounts.iter().any(|mount| mount["source"] == key.as_str());
    let new: Vec<Value> =
        own_secrets.keys().filter(|key| !known(key)).map(|key| json!({"source": key, "target": key})).collect();
    definition["secrets"] = json!([mounts.clone(), new].concat());
    publish(definition, service);
    if definition["healthcheck"].is_null() {
        definition["healthcheck"] = health_check(service);
    }
    set(definition, "labels", PART, json!(part.id));
    set(definition, "labels", PORT, json!(service.port.to_string()));
    // The paths of secrets change with the workspace's place and with nothing else that is not in their hashes.
    let print = fingerprint(&json!({"definition": definition, "secrets": own_secrets}));
    set(definition, "labels", FINGERPRINT, json!(print));
    Ok(Unit {
        name: service.name.clone(),
        kind: UnitKind::Service,
        fingerprint: print,
        port: service.port,
        live: service.health.as_ref().map(|health| health.live.clone()).unwrap_or_default(),
        ready: service.health.as_ref().map(|health| health.ready.clone()).unwrap_or_default(),
        secrets: own_secrets,
    })
}

/// A text that Compose takes as it is: it reads `$` as the beginning of a variable.
fn plain(text: &str) -> String {
    text.replace('$', "$$")
}

fn set(definition: &mut Value, map: &str, key: &str, value: Value) {
    if !definition[map].is_object() {
        definition[map] = json!({});
    }
    definition[map][key] = value;
}

/// Makes a service one that can stand beside the real one, on a smaller machine: one of it, no name and no port of the host
/// that somebody else may have.
pub fn shrink(definition: &mut Value) {
    let Some(all) = definition.as_object_mut() else { return };
    all.remove("container_name");
    for port in all.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        port.as_object_mut().map(|port| port.remove("published"));
        port["host_ip"] = json!("127.0.0.1");
    }
    if let Some(deploy) = all.get_mut("deploy").and_then(Value::as_object_mut) {
        deploy.remove("replicas");
        if let Some(limits) = deploy.get_mut("resources").and_then(|resources| resources["limits"].as_object_mut()) {
            limits.remove("cpus");
        }
    }
    all.remove("cpus");
    all.remove("scale");
}

/// A port of the host, for the probes, where the files publish none.
fn publish(definition: &mut Value, service: &Service) {
    let ports = definition["ports"].as_array().cloned().unwrap_or_default();
    if !ports.iter().any(|port| port["target"].as_u64() == Some(service.port.into())) {
        let own = json!({"mode": "ingress", "host_ip": "127.0.0.1", "target": service.port, "protocol": "tcp"});
        definition["ports"] = json!([ports, vec![own]].concat());
    }
}

/// The ports of the host that a service is given by number: address and port.
pub fn published(definition: &Value) -> Vec<(String, u16)> {
    let port = |port: &Value| {
        let host = port["host_ip"].as_str().unwrap_or("0.0.0.0").to_owned();
        Some((host, port["published"].as_str()?.parse().ok()?))
    };
    definition["ports"].as_array().into_iter().flatten().filter_map(port).collect()
}

/// A check for a service whose files have none, in its own language: images have no curl.
fn health_check(service: &Service) -> Value {
    let Some(health) = &service.health else { return Value::Null };
    let url = format!("http://127.0.0.1:{}{}", service.port, health.ready);
    let test = match service.uses(Language::Node) {
        true => json!([
            "CMD",
            "node",
            "-e",
            format!("fetch({url:?}).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))")
        ]),
        false => json!([
            "CMD",
            "python3",
            "-c",
            format!("import urllib.request; urllib.request.urlopen({url:?}, timeout=3)")
        ]),
    };
    json!({"test": test, "interval": "3s", "timeout": "4s", "retries": 3, "start_period": "30s"})
}

/// The document that makes the database alone; None where the files have none.
pub fn database(files: &Value, name: &str, label: &str, is_rehearsal: bool) -> Option<Value> {
    let mut definition = files["services"].get(name)?.clone();
    if is_rehearsal {
        shrink(&mut definition);
    }
    let print = fingerprint(&definition);
    set(&mut definition, "labels", label, json!(print));
    let named = |section: &str, wanted: Vec<String>| {
        let all = files[section].as_object().into_iter().flatten();
        let own: Map<String, Value> =
            all.filter(|(name, _)| wanted.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        Value::Object(own)
    };
    let keys =
        |value: &Value| value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let sources = |value: &Value| {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(|mount| mount["source"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    Some(json!({
        "name": files["name"],
        "networks": named("networks", keys(&definition["networks"])),
        "volumes": named("volumes", sources(&definition["volumes"])),
        "secrets": named("secrets", sources(&definition["secrets"])),
        "services": {name: definition},
    }))
}
