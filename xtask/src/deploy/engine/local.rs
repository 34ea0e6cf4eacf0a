//! The local engine: processes of this machine, each run from an immutable copy of what was built. They stand in the place
//! of those that `services start` runs from the sources.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::{Applied, Engine, LogLine, LogPart, Pins, Render, Running, Unit, UnitKind, World};
use crate::deploy::artifact::{self, Artifact, Part};
use crate::deploy::values::Values;
use crate::processes::process::{self, State, UnitFiles};
use crate::services::build::{self, Builder, Component};
use crate::services::stack::{GRACE, Stack, inherited};
use crate::services::{converge, logs};
use crate::tools::files::{self, Lock};
use crate::tools::os::{self, Signal};
use crate::tools::versions::{self, Found, TOOLS};
use crate::tools::{Cmd, hash};
use crate::ui::{Failure, Finding, Step};
use crate::workspace::entries;
use crate::workspace::service::{DATABASE, Language, Service};
use database::Target;

/// Free space below which nothing is begun.
const SPACE: u64 = 300 * 1024 * 1024;
/// The manifest of a part, beside its copy.
const MANIFEST: &str = "manifest.json";

pub struct Local<'a> {
    world: &'a World<'a>,
}

impl<'a> Local<'a> {
    pub fn new(world: &'a World<'a>) -> Local<'a> {
        Local { world }
    }

    fn stack(&self) -> Stack<'a> {
        Stack::new(self.world.workspace, self.world.services, self.world.environment, &self.world.place)
    }
    fn files(&self, name: &str) -> UnitFiles {
        let (workspace, stack) = (self.world.workspace, &self.world.place);
        UnitFiles::new(&workspace.run_folder(stack), &workspace.log_folder(stack), name)
    }
    fn copy_of(&self, part: &Part) -> Utf8PathBuf {
        self.world.folder().join(&part.id)
    }
    fn service(&self, name: &str) -> Result<&'a Service> {
        self.world.services.get(name).with_context(|| format!("config/services has no {name}"))
    }

    /// The copy of one service: sources, libraries, what was installed. Made under another name and renamed when whole.
    fn copy(&self, component: &Component, part: &Part) -> Result<()> {
        let folder = self.copy_of(part);
        if is_whole(&folder).is_ok() {
            return Ok(());
        }
        files::remove(&folder)?;
        let half = self.world.folder().join(format!(".{}.{}.new", part.short(), os::random_hex(4)?));
        let result = self.fill(component, part, &half);
        if result.is_err() {
            // Best effort: the next run removes it.
            let _removed = files::remove(&half);
        }
        result?;
        files::rename(&half, &folder)
    }

    fn fill(&self, component: &Component, part: &Part, half: &Utf8Path) -> Result<()> {
        artifact::stage(self.world.workspace, part, self.world.migrations, half)?;
        let (from, to) = (self.world.workspace.root().join(&component.source), half.join(&component.source));
        for name in ["node_modules", ".venv"] {
            if from.join(name).is_dir() {
                let copy = Cmd::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from.join(name)).arg(to.join(name));
                let output = copy.output()?;
                if !output.ok() {
                    return Err(copy.failure(&output));
                }
            }
        }
        // Libraries that Python finds by their place: in the copy too.
        let root = self.world.workspace.root();
        for version in entries(&to.join(".venv/lib")) {
            let links = version.join("site-packages/workspace-libraries.pth");
            if let Some(text) = files::read(&links)? {
                let copy = self.copy_of(part);
                let moved = |line: &str| match Utf8Path::new(line).strip_prefix(root) {
                    Ok(below) => format!("{}\n", copy.join(below)),
                    Err(_) => format!("{line}\n"),
                };
                files::write(&links, text.lines().map(moved).collect::<String>(), 0o644)?;
            }
        }
        files::write_json(&half.join(MANIFEST), &json!({"id": part.id, "inputs": part.inputs}))?;
        os::sync_file_system(half)
    }
}

/// Fails when a copy is not there or not what it was made from.
fn is_whole(folder: &Utf8Path) -> Result<()> {
    let manifest = files::read_json(&folder.join(MANIFEST)).with_context(|| format!("`{folder}` is gone"))?;
    let inputs = manifest["inputs"].as_object().into_iter().flatten();
    let inputs = inputs.filter_map(|(name, hash)| Some((name.clone(), hash.as_str()?.to_owned()))).collect();
    let id = manifest["id"].as_str().unwrap_or_default().to_owned();
    artifact::check(&Part { id, inputs }, folder)
}

impl Engine for Local<'_> {
    fn name(&self) -> &'static str {
        "local"
    }

    fn target(&self) -> Result<String> {
        let machine = files::read("/etc/machine-id".into())?.unwrap_or_else(os::host_name);
        let identity = hash::sha256(format!("{}\n{}", machine.trim(), self.world.workspace.root()));
        Ok(format!("local {} on {}", &identity[..12], os::host_name()))
    }

    fn warm(&self) -> Result<()> {
        Ok(())
    }

    fn preflight(&self, changing: &[Unit], leaving: &[&str]) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let changed: Vec<&Service> = changing.iter().filter_map(|unit| self.world.services.get(&unit.name)).collect();
        findings.extend(converge::taken_ports(&self.stack(), changed.iter().copied(), leaving));
        for tool in TOOLS.iter() {
            let is_used = match tool.program {
                "node" | "npm" => changed.iter().any(|service| service.uses(Language::Node)),
                "python3" => changed.iter().any(|service| service.uses(Language::Python)),
                "curl" => true,
                _ => false,
            };
            if is_used && !matches!(versions::look(tool), Found::Good { .. }) {
                let message = format!("{} is missing or too old: {}", tool.program, tool.purpose);
                findings.push(Finding::error(message).hint(tool.how_to_get));
            }
        }
        let folder = self.world.folder();
        let there = folder.ancestors().find(|folder| folder.is_dir());
        let folder = there.unwrap_or(self.world.workspace.root());
        if let Some(free) = os::free_bytes(folder).filter(|free| *free < SPACE && !changing.is_empty()) {
            let message =
                format!("only {} MB are free in {folder}: a copy of what is deployed needs more", free / 1_000_000);
            findings
                .push(Finding::error(message).hint("free some space: `cargo xtask clean` removes what can be rebuilt"));
        }
        Ok(findings)
    }

    fn render(&self, artifact: &Artifact, values: &Values, hashes: &BTreeMap<String, String>) -> Result<Render> {
        let stack = self.stack();
        let mut services = serde_json::Map::new();
        let mut units = Vec::new();
        for service in self.world.services.running() {
            let part = artifact.part(&service.name)?;
            let copy = self.copy_of(part);
            let mut environment = stack.variables(service);
            let mut secrets = BTreeMap::new();
            for key in &service.env {
                let Some(given) = values.get(key) else { continue };
                if given.is_secret {
                    environment.remove(key);
                    secrets.insert(key.clone(), hashes.get(key).cloned().unwrap_or_default());
                } else {
                    environment.insert(key.clone(), given.value.clone());
                }
            }
            environment.insert("SERVICE_VERSION".to_owned(), part.short().to_owned());
            if let Some(text) = &self.world.rehearsal {
                environment.insert("OPS_REHEARSAL".to_owned(), text.clone());
            }
            environment.insert("MIGRATIONS_DIR".to_owned(), copy.join("database/migrations").into_string());
            let definition = json!({
                "folder": copy.join(&service.source).as_str(), "run": service.run, "environment": environment, "secrets": secrets,
            });
            units.push(Unit {
                name: service.name.clone(),
                kind: UnitKind::Service,
                fingerprint: hash::sha256(definition.to_string()),
                port: stack.port(service),
                live: service.health.as_ref().map(|health| health.live.clone()).unwrap_or_default(),
                ready: service.health.as_ref().map(|health| health.ready.clone()).unwrap_or_default(),
                secrets,
            });
            services.insert(service.name.clone(), definition);
        }
        Ok(Render::new(json!({"services": services}), &units))
    }

    fn build(&self, artifact: &Artifact, render: &Render, step: &Step) -> Result<Pins> {
        let services = render.services();
        for entry in entries(&self.world.folder()) {
            // What a killed run left.
            if entry.file_name().is_some_and(|name| name.starts_with('.') && name.ends_with(".new")) {
                files::remove(&entry)?;
            }
        }
        let mut todo = Vec::new();
        for name in &services {
            if is_whole(&self.copy_of(artifact.part(name)?)).is_err() {
                todo.push(name);
            }
        }
        let component = |name: &&String| -> Result<Component> {
            Ok(Component::of(self.world.workspace, self.world.services, self.service(name)?))
        };
        let mut components: Vec<Component> = todo.iter().map(component).collect::<Result<_>>()?;
        let own = components.clone();
        for name in &todo {
            for library in self.world.services.libraries_of(self.service(name)?) {
                if !components.iter().any(|known| known.name == library.name) {
                    components.push(Component::of(self.world.workspace, self.world.services, library));
                }
            }
        }
        if !components.is_empty() {
            crate::tasks::build::bring_up_to_date(self.world.workspace, &components, crate::tasks::build::RUN)?;
        }
        for component in &own {
            step.detail(&format!("copy {}", component.name));
            self.copy(component, artifact.part(&component.name)?)?;
        }
        Ok(Pins::new())
    }

    fn pin(&self, render: &Render, _pins: &Pins) -> Result<Render> {
        // A copy's folder bears the id of its content already.
        Ok(render.clone())
    }

    fn missing(&self, render: &Render) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for copy in copies(&self.world.folder(), render) {
            if let Err(error) = is_whole(&copy) {
                missing.push(format!("{error:#}"));
            }
        }
        Ok(missing)
    }

    fn observe(&self) -> Result<Vec<Running>> {
        let (workspace, stack) = (self.world.workspace, &self.world.place);
        let units = crate::tasks::services::units(workspace, stack);
        let look = |(name, files): (String, UnitFiles)| {
            let state = State::look(&files);
            let record = state.record()?;
            Some(Running {
                name,
                fingerprint: record.fingerprint.clone(),
                is_up: matches!(state, State::Running(_)),
                state: state.name().to_owned(),
                pid: state.pid(),
                since: Some(record.started_at),
                is_waiting: false,
                detail: state.describe(),
                restarts: 0,
                instance: record.run_id.clone(),
                pin: None,
                address: record.port.map(|port| format!("http://127.0.0.1:{port}")),
            })
        };
        Ok(units.into_iter().filter(|(name, _)| name != DATABASE).filter_map(look).collect())
    }

    fn deviates(&self, _render: &Render, _running: &Running) -> Option<String> {
        // The fingerprint covers the folder it runs from, and that bears the id of its content.
        None
    }

    fn hold(&self) -> Result<Box<dyn Send>> {
        Ok(Box::new(Lock::take(
            &self.world.workspace.lock_file("services"),
            "the services of this clone",
            Duration::ZERO,
        )?))
    }

    fn apply(&self, release: &Applied<'_>, unit: &Unit, step: &Step) -> Result<()> {
        let definition = &release.render.document["services"][&unit.name];
        let folder = Utf8PathBuf::from(definition["folder"].as_str().unwrap_or_default());
        let mut words = definition["run"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let program = build::program(&folder, words.next().context("the render does not say what to run")?)?;
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in definition["environment"].as_object().into_iter().flatten() {
            variables.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
        }
        let mut secrets = Vec::new();
        for key in unit.secrets.keys() {
            let given = release.values.get(key).with_context(|| format!("the release has no value for `{key}`"))?;
            variables.insert(key.clone(), given.value.clone());
            secrets.push(given.value.clone());
        }
        let files = self.files(&unit.name);
        step.detail(&format!("{}: stop", unit.name));
        process::stop(&files)?;
        step.detail(&format!("{}: start", unit.name));
        process::start(&process::Unit {
            name: unit.name.clone(),
            program: program.to_string(),
            args: words.map(str::to_owned).collect(),
            dir: folder,
            env: inherited().chain(variables).collect(),
            secrets: secrets.into_iter().filter(|secret| !secret.is_empty()).collect(),
            port: Some(unit.port),
            stop_signal: Signal::Term,
            grace: GRACE,
            fingerprint: unit.fingerprint.clone(),
            files,
        })?;
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        process::stop(&self.files(name))
    }

    fn settle(&self, release: Option<(i64, &Applied<'_>)>) -> Result<()> {
        let path = live_file(&self.world.folder());
        match release {
            Some((number, release)) => {
                files::write_json(&path, &json!({"release": number, "folder": release.folder.as_str()}))
            }
            None => files::remove(&path),
        }
    }

    fn is_settled(&self) -> bool {
        live_file(&self.world.folder()).is_file()
    }

    fn give_back(&self) -> Result<bool> {
        if self.world.place != crate::tasks::services::DEV {
            return Ok(false);
        }
        let mut stack = self.stack();
        if stack.wants_database() {
            let target = Target::of(self.world.workspace, self.world.environment, &self.world.place)?;
            stack.database_url = target.service_url()?;
        }
        let chosen = stack.with_dependencies(&[]);
        let component = |service: &&Service| Component::of(self.world.workspace, self.world.services, service);
        let builder = Builder::new(self.world.workspace, &chosen.iter().map(component).collect::<Vec<_>>());
        let units =
            chosen.iter().map(|service| Ok((*service, stack.unit(service, &builder)?))).collect::<Result<Vec<_>>>()?;
        converge::execute(&stack, &converge::plan(&stack, units, false), super::READY)?;
        Ok(true)
    }

    fn log(&self, name: &str, part: LogPart) -> Result<Vec<LogLine>> {
        let log = self.files(name).log;
        Ok(match part {
            LogPart::Last(count) => process::last_lines(&log, count).into_iter().map(dated).collect(),
            LogPart::Since(age) => {
                let from = crate::ui::utc(std::time::SystemTime::now() - age);
                let lines = logs::whole(&log).into_iter().map(dated);
                // One without a moment belongs to the line before it.
                lines.skip_while(|line| line.at.as_ref().is_none_or(|at| *at < from)).collect()
            }
        })
    }

    fn follow(&self, name: &str, each: &mut dyn FnMut(&str)) -> Result<()> {
        let mut follower = logs::Follower::new(name, self.files(name).log);
        loop {
            follower.lines().iter().for_each(|line| each(line));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn prune(&self, keep: &[Render]) -> Result<Vec<String>> {
        let folder = self.world.folder();
        let kept: Vec<Utf8PathBuf> = keep.iter().flat_map(|render| copies(&folder, render)).collect();
        let mut removed = Vec::new();
        for path in entries(&folder) {
            let name = path.file_name().unwrap_or_default();
            let is_copy = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_copy && !kept.contains(&path) {
                files::remove(&path)?;
                removed.push(format!("the copy {}", artifact::short(name)));
            }
        }
        Ok(removed)
    }
}

/// A line with the moment that it tells itself: services write JSON with a `time`.
fn dated(text: String) -> LogLine {
    let value: Option<Value> = text.starts_with('{').then(|| serde_json::from_str(&text).ok()).flatten();
    let at = value.and_then(|value| value["time"].as_str().map(str::to_owned));
    LogLine { at: at.filter(|at| at.ends_with('Z')), text }
}

/// The folders of parts below `releases` that a render runs from.
fn copies(releases: &Utf8Path, render: &Render) -> Vec<Utf8PathBuf> {
    let services = render.document["services"].as_object().into_iter().flatten();
    let copy = |definition: &Value| {
        let below = Utf8Path::new(definition["folder"].as_str()?).strip_prefix(releases).ok()?;
        Some(releases.join(below.components().next()?.as_str()))
    };
    services.filter_map(|(_, definition)| copy(definition)).collect()
}

fn live_file(releases: &Utf8Path) -> Utf8PathBuf {
    releases.join("live.json")
}

/// A release that the local engine has put in the place of the sources.
pub struct Live {
    pub number: i64,
    pub folder: Utf8PathBuf,
    pub render: Render,
    pub values: Values,
}

/// The release that runs here in the place of the sources, if one does. Exit 1 when what it needs is gone.
pub fn live(releases: &Utf8Path) -> Result<Option<Live>> {
    let Some(noted) = files::read_json(&live_file(releases)) else { return Ok(None) };
    let number = noted["release"].as_i64().unwrap_or_default();
    let folder = Utf8PathBuf::from(noted["folder"].as_str().unwrap_or_default());
    let (render, values) = super::read_release(&folder).map_err(|error| {
        let failure = Failure::failed(format!("release {number} runs here, and {error:#}"));
        failure.hint("run the sources instead: `cargo xtask services start --source`")
    })?;
    Ok(Some(Live { number, folder, render, values }))
}

/// Forgets the release that runs here; what runs goes on until something else takes its place.
pub fn forget(releases: &Utf8Path) -> Result<()> {
    files::remove(&live_file(releases))
}
