//! `doctor`: tools, ports, disk, configuration, database; every problem with its fix. `setup` and `test` use the same
//! checks before they touch anything.

use anyhow::Result;
use serde_json::{Value, json};

use crate::flags::Doctor;
use crate::processes::process::State;
use crate::services::stack::Stack;
use crate::tools::versions::{self, Found, TOOLS, Tool};
use crate::tools::{docker, files, git, os, ports, python};
use crate::ui::{self, Exit, Failure};
use crate::workspace::service::{Language, Services};
use crate::workspace::{Environment, Workspace};

/// What a full setup may write, with room to breathe: dependencies, PostgreSQL, its first data.
const NEEDED_BYTES: u64 = 600_000_000;

/// One thing looked at.
pub struct Check {
    pub name: String,
    pub ok: bool,
    /// Not needed by every task: shown, but no problem.
    pub is_optional: bool,
    pub detail: String,
    pub hint: Option<String>,
    /// How a task that needs it ends without it.
    pub exit: Exit,
}

impl Check {
    fn good(name: &str, detail: impl Into<String>) -> Check {
        Check {
            name: name.to_owned(),
            ok: true,
            is_optional: false,
            detail: detail.into(),
            hint: None,
            exit: Exit::Done,
        }
    }
    fn bad(name: &str, detail: impl Into<String>, hint: impl Into<String>, exit: Exit) -> Check {
        Check { ok: false, hint: Some(hint.into()), exit, ..Check::good(name, detail) }
    }
}

pub fn run(workspace: &Workspace, flags: &Doctor) -> Result<Exit> {
    let mut checks = tools(workspace, true);
    checks.extend(machine(workspace));
    checks.extend(configuration(workspace)?);
    let ok = checks.iter().all(|check| check.ok || check.is_optional);
    if flags.json {
        ui::json(&to_json(&checks));
    } else {
        let verdict = |check: &Check| match (check.ok, check.is_optional) {
            (true, _) => "ok",
            (false, true) => "-",
            (false, false) => "PROBLEM",
        };
        let rows = checks.iter().map(|check| vec![check.name.clone(), verdict(check).to_owned(), check.detail.clone()]);
        ui::out(&ui::table(&[], &rows.collect::<Vec<_>>()));
        for check in checks.iter().filter(|check| !check.ok && !check.is_optional) {
            ui::hint(&format!("{}: {}", check.name, check.hint.as_deref().unwrap_or_default()));
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Findings })
}

fn to_json(checks: &[Check]) -> Value {
    let ok = checks.iter().all(|check| check.ok || check.is_optional);
    let objects = checks.iter().map(|check| {
        json!({"name": check.name, "ok": check.ok, "optional": check.is_optional, "detail": check.detail, "hint": check.hint})
    });
    json!({"ok": ok, "checks": objects.collect::<Vec<_>>()})
}

/// Tools with their versions and the machine, for the bundle of an incident.
pub fn for_bundle(workspace: &Workspace) -> Value {
    let mut checks = tools(workspace, true);
    checks.extend(machine(workspace));
    let mut value = to_json(&checks);
    value["xtask"] = json!(env!("CARGO_PKG_VERSION"));
    value["commit"] = json!(git::commit(workspace.root()));
    value["host"] = json!(os::host_name());
    value
}

/// Refuses, before anything is touched, when something that `setup` and `test` need is not there: exit 4 for a missing
/// tool, else 3.
pub fn preflight(workspace: &Workspace) -> Result<()> {
    let mut checks = tools(workspace, false);
    checks.extend(machine(workspace));
    let problems: Vec<&Check> = checks.iter().filter(|check| !check.ok).collect();
    let Some(first) = problems.first() else { return Ok(()) };
    for problem in &problems {
        ui::error(&format!("{}: {}", problem.name, problem.detail));
        ui::hint(problem.hint.as_deref().unwrap_or_default());
    }
    let exit = if problems.iter().any(|check| check.exit == Exit::CannotTell) { Exit::CannotTell } else { first.exit };
    let names: Vec<&str> = problems.iter().map(|check| check.name.as_str()).collect();
    Err(Failure::new(exit, format!("this machine is not ready: {}; nothing was touched", names.join(", "))).into())
}

/// The tools, side by side; without `all` only the required ones.
fn tools(workspace: &Workspace, all: bool) -> Vec<Check> {
    let languages: Vec<Language> = Services::read(workspace)
        .map(|(services, _)| services.all().iter().flat_map(|service| service.languages.clone()).collect())
        .unwrap_or_default();
    let is_needed = |tool: &Tool| match tool.program {
        "node" | "npm" => languages.contains(&Language::Node),
        _ => tool.is_required,
    };
    let wanted: Vec<(&Tool, bool)> =
        TOOLS.iter().map(|tool| (tool, is_needed(tool))).filter(|(_, needed)| *needed || all).collect();
    let (mut checks, venv): (Vec<Check>, _) = std::thread::scope(|scope| {
        let handles: Vec<_> = wanted.iter().map(|(tool, needed)| scope.spawn(move || look(tool, *needed))).collect();
        let venv = languages.contains(&Language::Python).then(|| scope.spawn(python::python));
        let checks = handles.into_iter().filter_map(|handle| handle.join().ok()).collect();
        (checks, venv.and_then(|handle| handle.join().ok()))
    });
    let has_python = checks.iter().any(|check| check.name == "python3" && check.ok);
    if let Some(venv) = venv.filter(|_| has_python) {
        checks.push(match venv {
            Ok(python) if python.makes_environments() => Check::good("python3 venv", "there"),
            _ => Check::bad(
                "python3 venv",
                "the module venv, or both pip and ensurepip, are missing",
                "install it (Debian: apt-get install python3-venv)",
                Exit::CannotTell,
            ),
        });
    }
    if all && checks.iter().any(|check| check.name == "docker" && check.ok) {
        let check = match docker::compose_version() {
            Ok(version) => Check::good("docker compose", version),
            Err(error) => {
                let hint = "install its plugin (docs.docker.com/compose/install)";
                Check::bad("docker compose", format!("{error:#}"), hint, Exit::CannotTell)
            }
        };
        checks.push(Check { is_optional: true, ..check });
    }
    checks
}

fn look(tool: &Tool, is_needed: bool) -> Check {
    let least: Vec<String> = tool.at_least.iter().map(u32::to_string).collect();
    let (ok, detail) = match versions::look(tool) {
        Found::Good { version } => (true, version),
        Found::TooOld { version } => {
            (false, format!("version {version} is too old: {} or newer is needed", least.join(".")))
        }
        Found::Missing => (false, "not installed, or not in PATH".to_owned()),
        Found::Broken { answer } => (false, format!("does not answer: {}", answer.lines().next().unwrap_or_default())),
    };
    let detail = if ok || is_needed { detail } else { format!("{detail}; for {}", tool.purpose) };
    let check = if ok {
        Check::good(tool.program, detail)
    } else {
        Check::bad(tool.program, detail, tool.how_to_get, Exit::CannotTell)
    };
    Check { is_optional: !is_needed, ..check }
}

/// Whether this clone can be written and has room.
fn machine(workspace: &Workspace) -> Vec<Check> {
    let probe = workspace.ops().join("writable");
    let writable = match files::write(&probe, "", 0o600).and_then(|()| files::remove(&probe)) {
        Ok(()) => Check::good("clone", "can be written"),
        Err(error) => {
            let hint = files::hint_for(&error).unwrap_or("check the owner and the mode of the clone");
            Check::bad("clone", format!("cannot be written: {error:#}"), hint, Exit::Findings)
        }
    };
    let free = os::free_bytes(workspace.root()).unwrap_or(u64::MAX);
    let installed = workspace.build_records().is_dir() && workspace.tool_cache().is_dir();
    let needed = if installed { NEEDED_BYTES / 20 } else { NEEDED_BYTES };
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let disk = match free >= needed {
        true => Check::good("disk", format!("{} MB free", megabytes(free))),
        false => {
            let detail = format!("{} MB free, {} MB are needed", megabytes(free), megabytes(needed));
            Check::bad(
                "disk",
                detail,
                "free some space; `cargo xtask clean` removes what can be rebuilt",
                Exit::Findings,
            )
        }
    };
    vec![writable, disk]
}

fn configuration(workspace: &Workspace) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    let (services, findings) = Services::read(workspace)?;
    let mut problems = findings.len();
    for name in workspace.environment_names() {
        let values = workspace.environment_values(&name);
        if values.is_file() {
            problems += Environment::read(workspace, &name)?.1.len();
            if let Some(finding) = super::config::exposed(workspace, &name) {
                checks.push(Check::bad("secrets", finding.line(), finding.hint.unwrap_or_default(), Exit::Findings));
            }
        }
    }
    checks.push(match problems {
        0 => Check::good("configuration", "can be used"),
        count => {
            Check::bad("configuration", format!("{count} problems"), "see `cargo xtask config check`", Exit::Usage)
        }
    });
    if !workspace.environment_values("dev").is_file() {
        checks.push(Check::bad("dev", "not set up", "run `cargo xtask setup`", Exit::Findings));
    }
    let (environment, _) = Environment::read(workspace, "dev")?;
    let stack = Stack::new(workspace, &services, &environment, "dev");
    for service in services.running() {
        let name = format!("port {}", service.port);
        let state = stack.state(service);
        checks.push(match (&state, ports::listener(service.port)) {
            (State::Running(_) | State::Unkept(_), Some(_)) => {
                Check::good(&name, format!("{} runs, pid {}", service.name, state.pid().unwrap_or(0)))
            }
            (_, None) => Check::good(&name, format!("free for {}", service.name)),
            (_, Some(owner)) => {
                let hint =
                    owner.pid.map_or("find it with root's rights".to_owned(), |pid| format!("end it: kill {pid}"));
                Check::bad(&name, format!("of {} is taken by {owner}", service.name), hint, Exit::Findings)
            }
        });
    }
    Ok(checks)
}
