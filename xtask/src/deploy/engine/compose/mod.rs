//! The Compose engine: containers of one host. It builds images by content, adds what the workspace knows to the Compose
//! files, and lets Docker Compose put each service in its place.

mod document;
pub mod images;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::{Applied, Engine, LogLine, LogPart, Pins, RENDER_FILE, Render, Running, Unit, World};
use crate::deploy::artifact::{self, Artifact};
use crate::deploy::values::{self, Values};
use crate::tools::docker::{self, Container};
use crate::tools::files::{self, Lock};
use crate::tools::{Cmd, hash, os, ports};
use crate::ui::{Failure, Finding, Step};
use crate::workspace::Database;
use crate::workspace::service::{DATABASE, Service};
use database::compose::PASSWORD;

/// Labels of containers and images of ours.
const FINGERPRINT: &str = "ops.fingerprint";
const PART: &str = "ops.part";
/// Of a service's container: the port it listens on.
const PORT: &str = "ops.port";
/// Free space below which nothing is begun.
const SPACE: u64 = 1024 * 1024 * 1024;
/// Between two looks for the container that takes another's place.
const PAUSE: Duration = Duration::from_millis(500);

pub struct Compose<'a> {
    world: &'a World<'a>,
    project: String,
    /// What the Compose files say, read once.
    files: OnceLock<Value>,
}

impl<'a> Compose<'a> {
    /// Refuses (exit 2) an environment whose database containers could not reach.
    pub fn new(world: &'a World<'a>) -> Result<Compose<'a>> {
        if world.environment.get("DATABASE_ADMIN_URL").is_some_and(|address| address.starts_with("embedded:")) {
            let name = &world.environment.name;
            let message = format!("the database of `{name}` is embedded, and containers cannot reach its socket");
            let hint = format!("set DATABASE_ADMIN_URL=compose:database in .env.{name}");
            return Err(Failure::usage(message).hint(hint).into());
        }
        let config = Database::load(world.workspace)?;
        Ok(Compose { world, project: world.environment.compose_project(&config), files: OnceLock::new() })
    }

    /// What the Compose files say for this environment, profiles included; nothing of ours is added yet.
    fn files(&self) -> Result<Value> {
        if let Some(files) = self.files.get() {
            return Ok(files.clone());
        }
        let files = self.read_files()?;
        Ok(self.files.get_or_init(|| files).clone())
    }

    fn read_files(&self) -> Result<Value> {
        let (base, own) =
            (self.world.workspace.compose_file(), self.world.workspace.compose_override(&self.world.environment.name));
        if !base.is_file() {
            let failure = Failure::usage(format!("`{}` is not there", self.world.workspace.relative(&base)));
            return Err(failure.hint("the Compose engine runs what it says").into());
        }
        let mut compose = docker::compose(&self.project, &base);
        if own.is_file() {
            compose = compose.args(["--file", own.as_str()]);
        }
        let settings = self.world.environment.settings().iter();
        let plain = settings.filter(|setting| !setting.declaration.is_sensitive && !setting.value.is_empty());
        let plain = plain.filter(|setting| crate::ui::redact::url_password(&setting.value).is_none());
        let mut ports = Vec::new();
        for service in self.world.services.running() {
            let outside = self.world.environment.port_of(service).unwrap_or(service.port);
            ports.push((service.port_variable(), outside.to_string()));
            ports.push((format!("{}_LISTENS", service.variable()), service.port.to_string()));
        }
        let compose = compose
            .envs(plain.map(|setting| (setting.declaration.key.as_str(), setting.value.as_str())))
            .envs(ports)
            .env("ENVIRONMENT", &self.world.environment.name)
            .env(format!("{PASSWORD}_FILE"), self.password_file());
        let compose = compose.args(["--profile", "*", "config", "--format", "json"]);
        let output = compose.ask()?;
        if !output.ok() {
            // Compose names line and key itself, and not always the file.
            let words: Vec<&str> = output.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let files = [&base, &own].into_iter().filter(|file| file.is_file());
            let files: Vec<String> = files.map(|file| format!("`{}`", self.world.workspace.relative(file))).collect();
            let message = format!("{} cannot be used: {}", files.join(" with "), words.join("; "));
            return Err(Failure::usage(message).into());
        }
        let unset: Vec<&str> = output.stderr.lines().filter_map(unset_variable).collect();
        if !unset.is_empty() {
            let message = format!("the Compose files use {}, which have no value", unset.join(", "));
            let hint = format!(
                "declare them in config/environments/.env.{}.example, or give a default: ${{NAME:-value}}; secrets reach a \
                 service by `env` in config/services",
                self.world.environment.name
            );
            return Err(Failure::usage(message).hint(hint).into());
        }
        serde_json::from_str(&output.stdout).context("`docker compose config` did not answer in JSON")
    }

    fn password_file(&self) -> Utf8PathBuf {
        self.world.folder().join("secrets").join(PASSWORD)
    }

    fn containers(&self) -> Result<Vec<Container>> {
        docker::containers(&self.project)
    }

    /// Removes what a recreation that was killed has left of a service: with two containers, or one that was renamed to make
    /// room, Compose stumbles over names that are taken.
    fn clear_up(&self, service: &str, step: &Step) -> Result<()> {
        let all = self.containers()?;
        let own: Vec<&Container> = all.iter().filter(|container| container.service == service).collect();
        let is_in_the_way = |container: &&&Container| own.len() > 1 || is_set_aside(&container.name, &self.project);
        for container in own.iter().filter(is_in_the_way) {
            step.detail(&format!("{service}: remove what an interrupted run left"));
            docker::remove_container(&container.id)?;
        }
        Ok(())
    }

    /// The database's own Compose file, from which it is made and never by a release.
    fn database_document(&self) -> Result<Option<Value>> {
        Ok(document::database(&self.files()?, DATABASE, FINGERPRINT, self.world.rehearsal.is_some()))
    }
}

/// Ids of what is of a project: `list` is the question.
fn ids_of(project: &str, list: &[&str]) -> Result<Vec<String>> {
    let filter = format!("label=com.docker.compose.project={project}");
    let all = docker::ask(&Cmd::new("docker").args(list).args(["--quiet", "--filter", &filter]))?;
    Ok(all.split_whitespace().map(str::to_owned).collect())
}

/// Ends and removes all of a project, its data and its images too: for a rehearsal.
pub fn remove_project(project: &str) -> Result<()> {
    for (list, remove) in [
        (&["ps", "--all"][..], &["rm", "--force", "--volumes"][..]),
        (&["network", "ls"], &["network", "rm"]),
        (&["volume", "ls"], &["volume", "rm"]),
    ] {
        let all = ids_of(project, list)?;
        if !all.is_empty() {
            docker::ask(&Cmd::new("docker").args(remove).args(all))?;
        }
    }
    images::prune(None, project, &[]).map(drop)
}

/// How the database of an environment stands under Compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    Absent,
    Stopped,
    /// It runs; `current` when its container is what the Compose files say.
    Running {
        current: bool,
    },
}

/// Looks at the database's container.
pub fn database_state(world: &World<'_>) -> Result<DatabaseState> {
    let engine = Compose::new(world)?;
    let containers = engine.containers()?;
    let Some(container) = containers.iter().find(|container| container.service == DATABASE) else {
        return Ok(DatabaseState::Absent);
    };
    if !container.is_running() {
        return Ok(DatabaseState::Stopped);
    }
    let document = engine.database_document()?;
    let wanted = document.as_ref().and_then(|document| document["services"][DATABASE]["labels"][FINGERPRINT].as_str());
    Ok(DatabaseState::Running { current: wanted.is_none() || wanted == container.label(FINGERPRINT) })
}

/// Whether the database of an environment runs, whatever its container is made from.
pub fn database_runs(world: &World<'_>) -> Result<bool> {
    let all = Compose::new(world)?.containers()?;
    Ok(all.iter().any(|container| container.service == DATABASE && container.is_running()))
}

/// Makes sure that the database of an environment runs; with `renew` also that its container is what the Compose files
/// say, which restarts it. Says whether anything was done.
pub fn ensure_database(world: &World<'_>, renew: bool, step: &Step) -> Result<bool> {
    docker::engine()?;
    docker::compose_version()?;
    let state = database_state(world)?;
    if matches!(state, DatabaseState::Running { current } if current || !renew) {
        return Ok(false);
    }
    let engine = Compose::new(world)?;
    let name = &world.environment.name;
    let lock = world.workspace.lock_file(&format!("compose-{}", world.place));
    let _lock = Lock::take(&lock, &format!("the database of `{name}`"), Duration::from_secs(60))?;
    if matches!(database_state(world)?, DatabaseState::Running { current } if current || !renew) {
        return Ok(false);
    }
    let Some(password) = world.environment.get(PASSWORD) else {
        let failure = Failure::usage(format!("`{PASSWORD}` of `{name}` has no value: its database cannot be made"));
        return Err(failure.hint(format!("set it in config/environments/.env.{name}")).into());
    };
    let file = engine.password_file();
    let has_data = state != DatabaseState::Absent || !ids_of(&engine.project, &["volume", "ls"])?.is_empty();
    if has_data && files::read(&file)?.is_some_and(|old| old != password) {
        let message = format!("`{PASSWORD}` of `{name}` is not the one that its database was made with");
        let hint = format!(
            "set the one in {file} again; to change it, `\\password` in `cargo xtask db shell --env {name}` comes first, \
             then the value in .env.{name}, then this file is removed"
        );
        return Err(Failure::usage(message).hint(hint).into());
    }
    values::write_secret(&file, password)?;
    let Some(document) = engine.database_document()? else {
        let file = world.workspace.compose_file();
        let message = format!("`{}` has no service `{DATABASE}`", world.workspace.relative(&file));
        return Err(Failure::usage(message).hint("DATABASE_ADMIN_URL=compose:database names it").into());
    };
    let file = world.folder().join("database.json");
    files::write_json(&file, &document)?;
    let compose = docker::compose(&engine.project, &file).args(["up", "--detach", "--wait", "--wait-timeout", "120"]);
    let compose = if renew { compose } else { compose.arg("--no-recreate") };
    compose.arg(DATABASE).run(step).context("failed to start the database")?;
    Ok(true)
}

impl Engine for Compose<'_> {
    fn name(&self) -> &'static str {
        "compose"
    }

    fn target(&self) -> Result<String> {
        Ok(format!("compose {} on Docker {}", self.project, docker::engine()?.id))
    }

    fn warm(&self) -> Result<()> {
        self.files().map(drop)
    }

    fn preflight(&self, changing: &[Unit], leaving: &[&str]) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        docker::compose_version()?;
        for service in changing.iter().filter_map(|unit| self.world.services.get(&unit.name)) {
            let dockerfile = artifact::image_of(service).dockerfile;
            if !self.world.workspace.root().join(&dockerfile).is_file() {
                let (message, hint) = images::no_dockerfile(service, &dockerfile);
                findings.push(Finding::error(message).hint(hint));
            }
        }
        let engine = docker::engine()?;
        let containers = self.containers()?;
        let files = self.files()?;
        for unit in changing {
            for (host, port) in document::published(&files["services"][&unit.name]) {
                let makes_room = |container: &Container| {
                    container.service == unit.name || leaving.contains(&container.service.as_str())
                };
                let ours = containers.iter().any(|container| makes_room(container) && container.publishes(port));
                if let Some(owner) = ports::listener(port).filter(|_| !ours) {
                    let message =
                        format!("port {port} of {host}, where {} is published, is taken by {owner}", unit.name);
                    let variable = self.world.services.get(&unit.name).map(Service::port_variable);
                    let known = variable.filter(|variable| self.world.environment.declares(variable));
                    let elsewhere = match known {
                        Some(variable) => format!("{variable} in .env.{}", self.world.environment.name),
                        None => format!(
                            "`ports` in {}",
                            self.world.workspace.relative(&self.world.workspace.compose_file())
                        ),
                    };
                    findings.push(Finding::error(message).hint(format!("end it, or publish elsewhere: {elsewhere}")));
                }
            }
        }
        for (folder, what) in
            [(engine.root.as_str(), "Docker's images"), (self.world.workspace.root().as_str(), "the workspace")]
        {
            // The engine may be on another machine; then its folder is not here.
            if let Some(free) = os::free_bytes(folder.into()).filter(|free| *free < SPACE && !changing.is_empty()) {
                let message = format!("only {} MB are free in {folder} for {what}", free / 1_000_000);
                findings.push(Finding::error(message).hint("free some space: `docker system df` tells what takes it"));
            }
        }
        Ok(findings)
    }

    fn render(&self, artifact: &Artifact, values: &Values, hashes: &BTreeMap<String, String>) -> Result<Render> {
        let order = document::Order { world: self.world, project: &self.project, artifact, values, hashes };
        document::render(&self.files()?, &order)
    }

    fn build(&self, artifact: &Artifact, render: &Render, step: &Step) -> Result<Pins> {
        let mut pins = images::build(self.world, &self.project, artifact, &render.services(), step)?;
        pins.extend(images::fetch(render, step)?);
        Ok(pins)
    }

    fn pin(&self, render: &Render, pins: &Pins) -> Result<Render> {
        let mut document = render.document.clone();
        for (service, image) in pins {
            document["services"][service]["image"] = json!(image);
        }
        Ok(Render { document })
    }

    fn missing(&self, render: &Render) -> Result<Vec<String>> {
        let mut wanted = Vec::new();
        for unit in render.units() {
            let image = render.document["services"][&unit.name]["image"].as_str().unwrap_or_default();
            wanted.push((unit.name, image.to_owned()));
        }
        // Only what is pinned was built here; the others are pulled where they are missing.
        wanted.retain(|(_, image)| image.starts_with("sha256:"));
        let names: Vec<&str> = wanted.iter().map(|(_, image)| image.as_str()).collect();
        let found = docker::images(&names)?;
        let gone = wanted.iter().zip(found).filter(|(_, found)| found.is_none());
        Ok(gone.map(|((service, image), _)| format!("the image of {service} ({})", images::short(image))).collect())
    }

    fn observe(&self) -> Result<Vec<Running>> {
        let containers = self.containers()?.into_iter().filter(|container| container.service != DATABASE);
        let mut all: Vec<Running> = Vec::new();
        for container in containers {
            match all.iter_mut().find(|known| known.name == container.service) {
                None => all.push(running(&container)),
                // What a recreation that was killed leaves: the next one removes all but one.
                Some(known) => {
                    known.is_up = false;
                    known.fingerprint = "several".to_owned();
                    known.detail = "several containers".to_owned();
                }
            }
        }
        Ok(all)
    }

    fn deviates(&self, render: &Render, running: &Running) -> Option<String> {
        let meant = render.document["services"][&running.name]["image"].as_str()?;
        let real = running.pin.as_deref()?;
        let differs = meant.starts_with("sha256:") && meant != real;
        differs
            .then(|| format!("{} runs the image {}, not {}", running.name, images::short(real), images::short(meant)))
    }

    fn hold(&self) -> Result<Box<dyn Send>> {
        // Whoever else changes containers holds the environment's lock in its database.
        Ok(Box::new(()))
    }

    fn apply(&self, release: &Applied<'_>, unit: &Unit, step: &Step) -> Result<()> {
        let references: Vec<(String, Utf8PathBuf)> =
            unit.secrets.iter().map(|(key, hash)| (key.clone(), self.world.secret_file(key, hash))).collect();
        release.values.write_secrets(&references)?;
        self.clear_up(&unit.name, step)?;
        let compose = docker::compose(&self.project, &release.folder.join(RENDER_FILE));
        let compose = match unit.kind {
            super::UnitKind::Job => {
                // One whose run was killed goes on by itself: two of them at once is what nobody wrote it for.
                let name = format!("{}-{}-job", self.project, unit.name);
                docker::remove_container(&name)?;
                compose.args(["run", "--rm", "--no-deps", "--no-TTY", "--name", &name, &unit.name])
            }
            _ => compose.args(["up", "--detach", "--no-deps", "--no-build", "--force-recreate", &unit.name]),
        };
        step.detail(&unit.name);
        compose.run(step)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let all = self.containers()?;
        let mut own = all.iter().filter(|container| container.service == name);
        own.try_for_each(|container| docker::remove_container(&container.id))
    }

    fn settle(&self, _release: Option<(i64, &Applied<'_>)>) -> Result<()> {
        // The containers themselves tell what runs.
        Ok(())
    }

    fn is_settled(&self) -> bool {
        true
    }

    fn give_back(&self) -> Result<bool> {
        Ok(false)
    }

    fn log(&self, name: &str, part: LogPart) -> Result<Vec<LogLine>> {
        let Some(container) = self.containers()?.into_iter().find(|container| container.service == name) else {
            return Ok(Vec::new());
        };
        let logs = Cmd::new("docker").args(["logs", "--timestamps"]);
        let logs = match part {
            LogPart::Last(count) => logs.args(["--tail", &count.to_string()]),
            LogPart::Since(age) => logs.args(["--since", &format!("{}s", age.as_secs())]),
        };
        let logs = logs.arg(&container.id);
        let output = logs.ask()?;
        if !output.ok() {
            return Err(docker::explain(&logs, &output));
        }
        // What it wrote to its two streams comes on two streams; the moments bring them together.
        let mut lines: Vec<LogLine> = output.stdout.lines().chain(output.stderr.lines()).map(dated).collect();
        lines.sort_by(|a, b| a.at.cmp(&b.at));
        if let LogPart::Last(count) = part {
            lines.drain(..lines.len().saturating_sub(count));
        }
        Ok(lines)
    }

    fn follow(&self, name: &str, each: &mut dyn FnMut(&str)) -> Result<()> {
        // A release puts another container in its place; what that one says belongs here too.
        let mut known: Option<String> = None;
        let mut from = vec!["--tail".to_owned(), "0".to_owned()];
        loop {
            if let Some(container) = self.containers()?.into_iter().find(|it| it.service == name && it.is_running()) {
                if known.as_ref().is_some_and(|known| *known != container.id) {
                    from.clear();
                }
                known = Some(container.id.clone());
                let logs = Cmd::new("docker").args(["logs", "--follow"]).args(&from).arg(&container.id);
                // It fails for a container that is removed meanwhile, which is no failure of ours.
                let _ended = logs.follow_code(&mut *each)?;
                from = vec!["--since".to_owned(), crate::ui::utc(SystemTime::now())];
            } else if known.is_none() {
                known = Some(String::new());
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn prune(&self, keep: &[Render]) -> Result<Vec<String>> {
        images::prune(images::registry(self.world), &self.project, keep)
    }
}

/// True for the name that Compose gives a container while it makes the one that takes its place: twelve digits before it.
fn is_set_aside(name: &str, project: &str) -> bool {
    let digits = name.strip_suffix(name.get(12..).unwrap_or_default()).unwrap_or_default();
    digits.len() == 12
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && name[12..].strip_prefix('_').is_some_and(|rest| rest.starts_with(project))
}

fn running(container: &Container) -> Running {
    let mut detail = match container.status.as_str() {
        "running" if container.health.is_empty() => "running".to_owned(),
        "running" => format!("running, {}", container.health),
        "exited" => format!("exited with {}", container.exit_code),
        other => other.to_owned(),
    };
    if container.restarts > 0 {
        detail.push_str(&format!(", {} restarts, last exit code {}", container.restarts, container.exit_code));
    }
    // What it was started with: the service may listen elsewhere in the tree as it is now, or be gone from it.
    let port = container.label(PORT).and_then(|port| port.parse().ok());
    let address = port.and_then(|port| container.published(port));
    Running {
        name: container.service.clone(),
        fingerprint: container.label(FINGERPRINT).unwrap_or_default().to_owned(),
        is_up: container.is_running(),
        state: container.status.clone(),
        pid: None,
        since: moment(&container.started_at),
        is_waiting: !matches!(container.health.as_str(), "" | "healthy"),
        detail,
        restarts: container.restarts,
        instance: format!("{} {}", container.id, container.started_at),
        pin: Some(container.image.clone()),
        address: address.map(|(host, port)| format!("http://{host}:{port}")),
    }
}

/// The name in Compose's warning of a variable that is not set: `The \"NAME\" variable is not set. …`.
fn unset_variable(line: &str) -> Option<&str> {
    let (before, _) = line.split_once("variable is not set")?;
    before.trim_end().trim_end_matches(['"', '\\']).rsplit(['"', '\\', ' ']).next().filter(|name| !name.is_empty())
}

/// A moment as Docker tells it, to the second.
fn moment(text: &str) -> Option<SystemTime> {
    let whole = format!("{}Z", text.get(..19)?);
    database::backup::store::seconds_of(&whole).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A line of `docker logs --timestamps`.
fn dated(line: &str) -> LogLine {
    match line.split_once(' ').filter(|(at, _)| at.ends_with('Z') && at.contains('T')) {
        Some((at, text)) => LogLine { at: Some(at.to_owned()), text: text.to_owned() },
        None => LogLine { at: None, text: line.to_owned() },
    }
}

/// Names an image, a part of a service, in this project: by content.
fn tag(project: &str, service: &str, part: &str) -> String {
    format!("{project}/{service}:{part}")
}

/// SHA-256 over a definition, as its fingerprint.
fn fingerprint(definition: &Value) -> String {
    hash::sha256(definition.to_string())
}
