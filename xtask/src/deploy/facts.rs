//! What deployments leave for the overview, which asks no database: the newest release of an environment and how it stands.

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::engine::World;
use crate::processes::process::Identity;
use crate::tools::files;
use crate::workspace::Workspace;
use database::releases::State;

fn file(workspace: &Workspace, environment: &str) -> Utf8PathBuf {
    workspace.facts_file(&format!("{environment}.release"))
}

/// Notes how a release stands. What cannot be written is no reason to fail a deployment.
pub fn note(world: &World<'_>, number: i64, state: State, artifact: &str) {
    let process = Identity::of(std::process::id()).map(|identity| identity.to_json());
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let value = json!({"release": number, "state": state.name(), "artifact": artifact, "process": process, "at": at});
    let _written = files::write_json(&file(world.workspace, &world.place), &value);
}

/// Notes where a release is that is at work.
pub fn note_step(world: &World<'_>, number: i64, step: &str) {
    let path = file(world.workspace, &world.place);
    if let Some(mut value) = files::read_json(&path).filter(|value| value["release"] == number) {
        value["step"] = json!(step);
        let _written = files::write_json(&path, &value);
    }
}

/// What was last noted of an environment.
#[derive(Clone, Debug)]
pub struct Noted {
    pub release: i64,
    pub state: String,
    pub artifact: String,
    pub step: Option<String>,
    /// The run that was at work is gone, and has not ended its release.
    pub is_interrupted: bool,
    /// Seconds since 1970.
    pub at: u64,
}

/// Reads what was noted; None where nothing was deployed from here.
pub fn read(workspace: &Workspace, environment: &str) -> Option<Noted> {
    let value = files::read_json(&file(workspace, environment))?;
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let is_running = value["state"] == State::Running.name();
    let alive = |value: &Value| Identity::from_json(value).is_some_and(|identity| identity.is_alive());
    Some(Noted {
        release: value["release"].as_i64()?,
        state: text("state")?,
        artifact: text("artifact")?,
        step: text("step"),
        is_interrupted: is_running && !alive(&value["process"]),
        at: value["at"].as_u64().unwrap_or(0),
    })
}
