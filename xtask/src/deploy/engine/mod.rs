//! What runs a release: the trait that the pipeline knows, and its implementations, which know nothing of each other.

pub mod compose;
pub mod local;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::artifact::Artifact;
use super::values::Values;
use crate::tools::{files, hash};
use crate::ui::{Failure, Finding, Step, suggest};
use crate::workspace::service::Services;
use crate::workspace::{Environment, Workspace};
use database::migrations::Migration;

/// What every engine works on, read once.
pub struct World<'a> {
    pub workspace: &'a Workspace,
    pub environment: &'a Environment,
    pub services: &'a Services,
    pub migrations: &'a [Migration],
    /// Names the folders of state on this machine: the environment, or a rehearsal of it.
    pub place: String,
    /// A rehearsal: everything has a place of its own, ports that are free, and one of each. Its text makes releases of the
    /// same commit different.
    pub rehearsal: Option<String>,
}

impl<'a> World<'a> {
    pub fn new(
        workspace: &'a Workspace,
        environment: &'a Environment,
        services: &'a Services,
        migrations: &'a [Migration],
    ) -> World<'a> {
        let place = environment.name.clone();
        World { workspace, environment, services, migrations, place, rehearsal: None }
    }

    /// Where deployments of this environment keep what they need.
    pub fn folder(&self) -> Utf8PathBuf {
        self.workspace.releases(&self.place)
    }
    /// The folder of a release: its render, its values.
    pub fn release_folder(&self, number: i64) -> Utf8PathBuf {
        self.folder().join(number.to_string())
    }
    /// The secret of a key with this hash, as a file for containers.
    pub fn secret_file(&self, key: &str, hash: &str) -> Utf8PathBuf {
        self.folder().join("secrets").join(format!("{key}-{}", &hash[..16.min(hash.len())]))
    }
}

/// What kind of thing a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// Of config/services: it has probes.
    Service,
    /// Runs once, before the services, and must succeed.
    Job,
    /// Runs beside the services; the engine alone knows whether it is well.
    Other,
}

impl UnitKind {
    fn name(self) -> &'static str {
        match self {
            UnitKind::Service => "service",
            UnitKind::Job => "job",
            UnitKind::Other => "other",
        }
    }
}

/// One thing that a release runs, as its render has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    pub kind: UnitKind,
    /// Of everything that makes it what it is: its part, its configuration, the hashes of its values.
    pub fingerprint: String,
    /// The port it listens on.
    pub port: u16,
    pub live: String,
    pub ready: String,
    /// Keys of the environment that it gets as secrets, and the hash of each value.
    pub secrets: BTreeMap<String, String>,
}

impl Unit {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "kind": self.kind.name(), "fingerprint": self.fingerprint, "port": self.port,
            "live": self.live, "ready": self.ready, "secrets": self.secrets,
        })
    }
    fn from_json(value: &Value) -> Option<Unit> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let kind =
            [UnitKind::Service, UnitKind::Job, UnitKind::Other].into_iter().find(|kind| value["kind"] == kind.name());
        let secrets = value["secrets"].as_object()?.iter();
        Some(Unit {
            name: text("name")?,
            kind: kind?,
            fingerprint: text("fingerprint")?,
            port: u16::try_from(value["port"].as_u64()?).ok()?,
            live: text("live")?,
            ready: text("ready")?,
            secrets: secrets
                .map(|(key, hash)| Some((key.clone(), hash.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
        })
    }
}

/// Where a render keeps its units.
const UNITS: &str = "x-ops";

/// How a release is to run, all of it but secrets: what an engine applies, and what it will apply again when this release
/// must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Render {
    /// The engine's own document; `x-ops` in it holds the units, in the order they are started.
    pub document: Value,
}

impl Render {
    pub fn new(mut document: Value, units: &[Unit]) -> Render {
        document[UNITS] = json!({"units": units.iter().map(Unit::to_json).collect::<Vec<_>>()});
        Render { document }
    }
    pub fn parse(text: &str) -> Result<Render> {
        let document: Value = serde_json::from_str(text).context("the render is torn")?;
        let render = Render { document };
        match render.document[UNITS]["units"].is_array() {
            true => Ok(render),
            false => anyhow::bail!("the render does not say what runs"),
        }
    }
    pub fn text(&self) -> String {
        format!("{:#}\n", self.document)
    }
    pub fn sha256(&self) -> String {
        hash::sha256(self.text())
    }
    pub fn units(&self) -> Vec<Unit> {
        self.document[UNITS]["units"].as_array().into_iter().flatten().filter_map(Unit::from_json).collect()
    }
    /// The names of its services.
    pub fn services(&self) -> Vec<String> {
        let services = self.units().into_iter().filter(|unit| unit.kind == UnitKind::Service);
        services.map(|unit| unit.name).collect()
    }
}

/// Image ids, or whatever else pins what was built, by unit.
pub type Pins = BTreeMap<String, String>;

/// One thing that really runs, or has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    pub name: String,
    /// That of the unit it was started as.
    pub fingerprint: String,
    pub is_up: bool,
    /// One word: `running`, `ended`, `exited`.
    pub state: String,
    /// Of a process of this machine.
    pub pid: Option<u32>,
    /// Since when it runs.
    pub since: Option<SystemTime>,
    /// The engine's own check says that it is not well, or not yet.
    pub is_waiting: bool,
    /// In words: `running`, `ended by signal 9`, `exited with 1, 3 restarts`.
    pub detail: String,
    pub restarts: u64,
    /// Changes when it is started anew.
    pub instance: String,
    /// What pins it: the image's id.
    pub pin: Option<String>,
    /// `http://127.0.0.1:8080`; None while it is not published.
    pub address: Option<String>,
}

/// Which lines of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPart {
    Last(usize),
    Since(Duration),
}

/// A line of a log, with its moment where that is known: RFC 3339 in UTC, so that texts sort as moments do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub at: Option<String>,
    pub text: String,
}

/// A release as an engine applies it.
pub struct Applied<'a> {
    /// Its folder; holds the render.
    pub folder: &'a Utf8Path,
    /// With pins.
    pub render: &'a Render,
    pub values: &'a Values,
}

/// The name of a render's file in its release's folder.
pub const RENDER_FILE: &str = "render.json";
/// The name of the values' file in its release's folder.
pub const VALUES_FILE: &str = "values.json";

/// What runs releases. Nothing of it knows the pipeline's steps or the ledger.
pub trait Engine: Sync {
    fn name(&self) -> &'static str;
    /// Tells this target from every other: compared with the one the live release was deployed to.
    fn target(&self) -> Result<String>;
    /// Reads what takes a while, so that it can be done beside other things.
    fn warm(&self) -> Result<()>;
    /// Everything that would stop a deployment; nothing is touched. `changing` are the units that will be started, `leaving`
    /// what is ended before that.
    fn preflight(&self, changing: &[Unit], leaving: &[&str]) -> Result<Vec<Finding>>;
    /// How the artifact is to run with these values, whose hashes are given.
    fn render(&self, artifact: &Artifact, values: &Values, hashes: &BTreeMap<String, String>) -> Result<Render>;
    /// Makes what a render runs and is not there yet; what pins each.
    fn build(&self, artifact: &Artifact, render: &Render, step: &Step) -> Result<Pins>;
    /// The render with what was built in the place of what was to be built.
    fn pin(&self, render: &Render, pins: &Pins) -> Result<Render>;
    /// What a pinned render needs and is no longer there, in words.
    fn missing(&self, render: &Render) -> Result<Vec<String>>;
    fn observe(&self) -> Result<Vec<Running>>;
    /// Why something that runs under the right fingerprint is not what the render pins all the same.
    fn deviates(&self, render: &Render, running: &Running) -> Option<String>;
    /// Keeps others of this machine from changing what runs, for as long as the value lives.
    fn hold(&self) -> Result<Box<dyn Send>>;
    /// Starts a unit, or replaces what runs in its name; it need not be ready yet. A job runs to its end.
    fn apply(&self, release: &Applied<'_>, unit: &Unit, step: &Step) -> Result<()>;
    /// Ends what runs under a name that the release does not have.
    fn remove(&self, name: &str) -> Result<()>;
    /// Notes which release runs now, None for none, for tasks that ask without a database.
    fn settle(&self, release: Option<(i64, &Applied<'_>)>) -> Result<()>;
    /// Whether it is a release that runs; false while the sources do.
    fn is_settled(&self) -> bool;
    /// Brings back the sources, where they ran in the place of a release; false where they cannot.
    fn give_back(&self) -> Result<bool>;
    /// What a unit has said, oldest first: the last lines, or those that are at most so old.
    fn log(&self, name: &str, part: LogPart) -> Result<Vec<LogLine>>;
    /// Hands on what a unit says from now on, until it cannot say more.
    fn follow(&self, name: &str, each: &mut dyn FnMut(&str)) -> Result<()>;
    /// Removes what was built for releases that are not among these; what was removed, in words.
    fn prune(&self, keep: &[Render]) -> Result<Vec<String>>;
}

/// How long something may take to be ready after its start.
pub const READY: Duration = Duration::from_secs(60);

/// The render and the values of a release, from its folder.
pub fn read_release(folder: &Utf8Path) -> Result<(Render, Values)> {
    let path = folder.join(RENDER_FILE);
    let text = files::read(&path)?.with_context(|| format!("its render `{path}` is gone"))?;
    let render = Render::parse(&text).with_context(|| format!("`{path}` cannot be read"))?;
    Ok((render, Values::read(&folder.join(VALUES_FILE)).context("its values are gone")?))
}

/// The engines there are.
pub const NAMES: [&str; 2] = ["local", "compose"];

/// The engine of an environment: `given` is `--engine`, else DEPLOY_ENGINE decides.
pub fn of<'a>(world: &'a World<'a>, given: Option<&str>) -> Result<Box<dyn Engine + 'a>> {
    let name = given.or(world.environment.get("DEPLOY_ENGINE")).unwrap_or("local");
    match name {
        "local" => Ok(Box::new(local::Local::new(world))),
        "compose" => Ok(Box::new(compose::Compose::new(world)?)),
        other => {
            let message =
                format!("there is no engine `{other}`: `{}` cannot be deployed with it", world.environment.name);
            let hint = match given {
                Some(_) => suggest::did_you_mean(other, NAMES),
                None => format!(
                    "set DEPLOY_ENGINE in .env.{}, or give --engine {}",
                    world.environment.name,
                    NAMES.join("|")
                ),
            };
            Err(Failure::usage(message).hint(hint).into())
        }
    }
}
