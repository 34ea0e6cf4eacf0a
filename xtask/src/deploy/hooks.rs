//! Hooks: executables of the team's own, run around a deployment in the order of their names. Each gets the release as
//! variables and, on stdin, as one JSON object; never a secret.

use anyhow::Result;
use serde_json::Value;

use super::engine::World;
use crate::tools::{self, Cmd};
use crate::ui::{self, Step};
use crate::workspace::{Workspace, entries, environment};

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After the plan was agreed to, before anything is touched: one that fails stops the deployment.
    PreDeploy,
    /// After the release was verified: one that fails is recorded.
    PostDeploy,
    /// After a deployment that failed, whatever became of it.
    Failed,
}

impl When {
    pub fn folder(self) -> &'static str {
        match self {
            When::PreDeploy => "pre-deploy",
            When::PostDeploy => "post-deploy",
            When::Failed => "failed",
        }
    }
}

/// Runs the hooks of a moment; the first that fails ends the row. `release` is what they are told.
pub fn run(world: &World<'_>, when: When, release: &Value) -> Result<()> {
    // What a hook does reaches the world outside: a rehearsal must not.
    if world.rehearsal.is_some() {
        return Ok(());
    }
    let workspace = world.workspace;
    for path in entries(&workspace.hooks(when.folder())) {
        let name = path.file_name().unwrap_or_default();
        let is_ours = !name.starts_with('.') && !name.ends_with('~');
        if !is_ours || !path.is_file() || tools::find(path.as_str()).is_none() {
            continue;
        }
        let step = ui::step(format!("hook {}/{name}", when.folder()));
        call(workspace, path.as_str(), release, &step)?;
        step.done();
    }
    Ok(())
}

fn call(workspace: &Workspace, program: &str, release: &Value, step: &Step) -> Result<()> {
    let mut hook = Cmd::new(program).dir(workspace.root()).stdin(format!("{release}\n"));
    // Values of environments, secrets among them: a hook gets what it is told, and nothing beside it.
    for prefix in workspace.environment_names().iter().map(|name| environment::variable(name, "")) {
        let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in given.filter(|name| name.starts_with(&prefix)) {
            hook = hook.env_remove(name);
        }
    }
    for (key, value) in release.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => continue,
        };
        hook = hook.env(format!("OPS_{}", key.to_uppercase()), value);
    }
    hook.run(step)
}
