//! `overview`, and `cargo xtask` alone: tasks by group, what runs, what is pending, what one may want next. It asks no
//! other program, so that it is there at once; what tasks have found out they left in .ops/facts.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli;
use crate::deploy::artifact::short;
use crate::deploy::facts::{self, Noted};
use crate::flags::Overview;
use crate::processes::process::{State, UnitFiles};
use crate::tools::files;
use crate::ui::{self, Exit, Finding, Style};
use crate::workspace::service::{DATABASE, Services};
use crate::workspace::{Workspace, entries};

/// The tasks by what one wants to do; tidy checks that each stands in exactly one group.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("every day", &["setup", "services", "health", "logs", "test", "build"]),
    ("deployment", &["deploy", "rollback", "releases"]),
    ("database", &["migrate", "db"]),
    ("configuration and machine", &["config", "doctor", "restructure", "clean", "completions"]),
    ("automation", &["ci", "overview"]),
];

pub fn run(workspace: &Workspace, flags: &Overview) -> Result<Exit> {
    let (services, findings) = Services::read(workspace)?;
    let states = states(workspace, &services);
    let known = Facts::read(workspace);
    if flags.json {
        ui::json(&to_json(workspace, &states, &known, &findings));
        return Ok(Exit::Done);
    }
    let page = cli::page();
    let mut text = String::new();
    for (group, verbs) in GROUPS {
        let row = |verb: &&str| {
            let summary = page.iter().find(|command| command.path == **verb).map(|command| command.summary.clone());
            vec![format!("  {verb:<12}"), summary.unwrap_or_default()]
        };
        let rows: Vec<Vec<String>> = verbs.iter().map(row).collect();
        text.push_str(&format!("{}\n{}", ui::paint(Style::Strong, group), ui::table(&[], &rows)));
    }
    text.push_str(&format!("\n{}\n", ui::paint(Style::Strong, "environments")));
    let environments: Vec<Vec<String>> =
        workspace.environment_names().iter().map(|name| environment_row(workspace, name, &states, &known)).collect();
    text.push_str(&ui::table(&[], &environments));
    text.push_str(&format!("\n{}\n", ui::paint(Style::Strong, "services (dev)")));
    let rows: Vec<Vec<String>> =
        states.iter().map(|seen| vec![format!("  {}", seen.name), seen.state.describe(), seen.place()]).collect();
    text.push_str(&ui::table(&[], &rows));
    text.push_str(&format!("\n{}\n", ui::paint(Style::Strong, "next")));
    for (command, why) in next(workspace, &states, &known, &findings) {
        text.push_str(&format!("  {command:<32} {why}\n"));
    }
    ui::out(&text);
    Ok(Exit::Done)
}

struct Seen {
    name: String,
    port: u16,
    state: State,
}

impl Seen {
    fn place(&self) -> String {
        if self.port == 0 { String::new() } else { format!("http://127.0.0.1:{}", self.port) }
    }
    fn is_up(&self) -> bool {
        self.state.pid().is_some()
    }
}

fn states(workspace: &Workspace, services: &Services) -> Vec<Seen> {
    let files = |name: &str| UnitFiles::new(&workspace.run_folder("dev"), &workspace.log_folder("dev"), name);
    let seen = |name: &str, port: u16| Seen { name: name.to_owned(), port, state: State::look(&files(name)) };
    let wants = services.running().any(|service| service.depends_on.iter().any(|name| name == DATABASE));
    let database =
        wants.then(|| seen(DATABASE, 0)).filter(|seen| seen.is_up() || workspace.cluster_folder("dev").is_dir());
    database.into_iter().chain(services.running().map(|service| seen(&service.name, service.port))).collect()
}

/// What the database said when a task last asked it.
struct Facts {
    applied: Option<Vec<String>>,
    asked: Option<Duration>,
}

impl Facts {
    fn read(workspace: &Workspace) -> Facts {
        let value = files::read_json(&workspace.facts_file("dev"));
        let applied = value.as_ref().and_then(|value| {
            let versions = value["applied"].as_array()?.iter();
            Some(versions.filter_map(|version| version.as_str().map(str::to_owned)).collect())
        });
        let at = value.and_then(|value| value["at"].as_f64()).map(|at| UNIX_EPOCH + Duration::from_secs_f64(at));
        Facts { applied, asked: at.and_then(|at| at.elapsed().ok()) }
    }

    /// Versions on disk that dev's database did not have when it was last asked.
    fn pending(&self, workspace: &Workspace) -> Option<Vec<String>> {
        let applied = self.applied.as_ref()?;
        let on_disk = ["pending", "applied"].iter().flat_map(|folder| entries(&workspace.migrations().join(folder)));
        let versions = on_disk.filter_map(|path| {
            let name = path.file_name()?;
            let version: String = name.chars().take_while(char::is_ascii_digit).collect();
            (name.ends_with(".sql") && !name.ends_with(".down.sql") && !version.is_empty()).then_some(version)
        });
        Some(versions.filter(|version| !applied.contains(version)).collect())
    }
}

fn environment_row(workspace: &Workspace, name: &str, states: &[Seen], known: &Facts) -> Vec<String> {
    let has_values = workspace.environment_values(name).is_file();
    let state = match (name, has_values) {
        ("dev", true) => {
            let up = states.iter().filter(|seen| seen.is_up()).count();
            let pending = match known.pending(workspace) {
                Some(pending) if pending.is_empty() => "no migration pending".to_owned(),
                Some(pending) => format!("{} migrations pending", pending.len()),
                None => "migrations not asked yet".to_owned(),
            };
            let asked = known.asked.map_or(String::new(), |ago| format!(" (asked {} ago)", ui::age(ago)));
            format!("{up} of {} running, {pending}{asked}", states.len())
        }
        (_, true) if facts::read(workspace, name).is_some() => String::new(),
        (_, true) => "configured, nothing deployed from here".to_owned(),
        (_, false) => format!("not set up: no .env.{name}"),
    };
    let release = facts::read(workspace, name).map(|noted| describe(&noted)).unwrap_or_default();
    let gap = if state.is_empty() || release.is_empty() { "" } else { "; " };
    vec![format!("  {name}"), format!("{state}{gap}{release}")]
}

/// The newest release as it was last noted here.
fn describe(noted: &Noted) -> String {
    let ago = (UNIX_EPOCH + Duration::from_secs(noted.at)).elapsed().unwrap_or_default();
    let at = noted.step.as_ref().map_or(String::new(), |step| format!(" at {step}"));
    match (noted.is_interrupted, noted.state.as_str()) {
        (true, _) => format!("release {} was interrupted{at}, {} ago", noted.release, ui::age(ago)),
        (false, "running") => format!("release {} is being deployed{at}", noted.release),
        (false, state) => {
            format!("release {} {state}, artifact {}, {} ago", noted.release, short(&noted.artifact), ui::age(ago))
        }
    }
}

/// The commands one is likely to want now, with the reason.
fn next(workspace: &Workspace, states: &[Seen], known: &Facts, findings: &[Finding]) -> Vec<(String, String)> {
    let interrupted;
    let mut next: Vec<(&str, String)> = Vec::new();
    if !findings.is_empty() {
        next.push(("cargo xtask config check", format!("{} problems in config/services", findings.len())));
    }
    for name in workspace.environment_names() {
        if facts::read(workspace, &name).is_some_and(|noted| noted.is_interrupted) {
            interrupted = format!("cargo xtask deploy {name} --resume");
            next.push((&interrupted, "go on with the release that was interrupted".to_owned()));
            break;
        }
    }
    let is_set_up = workspace.environment_values("dev").is_file();
    let down: Vec<&str> = states.iter().filter(|seen| !seen.is_up()).map(|seen| seen.name.as_str()).collect();
    if !is_set_up {
        next.push(("cargo xtask setup", "this clone is not set up yet".to_owned()));
        next.push(("cargo xtask doctor", "what this machine lacks".to_owned()));
    } else {
        if known.pending(workspace).is_some_and(|pending| !pending.is_empty()) {
            next.push(("cargo xtask migrate", "migrations are pending".to_owned()));
        }
        if !down.is_empty() {
            next.push(("cargo xtask services start", format!("{} not running", down.join(", "))));
        }
        next.push(("cargo xtask health", "probe everything".to_owned()));
    }
    next.push(("cargo xtask test", "prove that it works".to_owned()));
    next.push(("cargo xtask TASK --help", "how a task is used".to_owned()));
    next.into_iter().take(3).map(|(command, why)| (command.to_owned(), why)).collect()
}

fn to_json(workspace: &Workspace, states: &[Seen], known: &Facts, findings: &[Finding]) -> Value {
    let groups = GROUPS.iter().map(|(group, verbs)| json!({"group": group, "tasks": verbs}));
    let environments = workspace.environment_names().into_iter().map(|name| {
        let pending = (name == "dev").then(|| known.pending(workspace)).flatten();
        let release = facts::read(workspace, &name).map(|noted| {
            json!({
                "number": noted.release, "state": noted.state, "artifact": noted.artifact, "step": noted.step,
                "interrupted": noted.is_interrupted,
            })
        });
        json!({
            "name": name, "configured": workspace.environment_values(&name).is_file(), "pending_migrations": pending,
            "release": release,
        })
    });
    let services = states.iter().map(|seen| {
        json!({"name": seen.name, "state": seen.state.name(), "pid": seen.state.pid(), "port": Some(seen.port).filter(|port| *port > 0)})
    });
    json!({
        "groups": groups.collect::<Vec<_>>(),
        "environments": environments.collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
        "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
    })
}
