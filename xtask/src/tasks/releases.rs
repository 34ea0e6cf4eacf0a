//! `releases list|show|verify`: the ledger of an environment's releases.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::services::DEV;
use crate::deploy::artifact::short;
use crate::flags::{ReleasesList, ReleasesShow, ReleasesVerify};
use crate::ui::{self, Exit, Failure, Finding, Style};
use crate::workspace::{Environment, Workspace};
use database::releases::{self, Entry, Release, State};
use database::session::Session;
use database::{Target, ledger};

/// How many are listed unless `--count` says otherwise.
const COUNT: u32 = 20;

/// A session with the environment's database; it is not started for a look.
fn open(workspace: &Workspace, name: Option<&str>) -> Result<(String, Session)> {
    let name = name.unwrap_or(DEV);
    let environment = Environment::load(workspace, name)?;
    let target = Target::of(workspace, &environment, name)?;
    let mut session = Session::open(&target, &ledger::purpose("releases"))?;
    ledger::check_identity(&mut session, name)?;
    Ok((name.to_owned(), session))
}

pub fn list(workspace: &Workspace, environment: Option<&str>, flags: &ReleasesList) -> Result<Exit> {
    if flags.count == Some(0) {
        return Err(Failure::usage("`-n 0` asks for no release").into());
    }
    let (name, mut session) = open(workspace, environment)?;
    let all = releases::list(&mut session, flags.count.unwrap_or(COUNT))?;
    if flags.json {
        let brief = |release: &Release| {
            let mut value = release.to_json();
            for key in ["record", "outcome", "run_id"] {
                value.as_object_mut().map(|all| all.remove(key));
            }
            value["message"] = release.outcome["message"].clone();
            value
        };
        ui::json(&json!({"environment": name, "releases": all.iter().map(brief).collect::<Vec<_>>()}));
        return Ok(Exit::Done);
    }
    if all.is_empty() {
        ui::say(&format!("nothing was deployed to `{name}` yet: `cargo xtask deploy {name}`"));
        return Ok(Exit::Done);
    }
    let live = all.iter().find(|release| release.state == State::Verified).map(|release| release.number);
    let mut rows = Vec::new();
    for release in &all {
        let state = match is_interrupted(&mut session, release)? {
            Some(step) => format!("interrupted at {step}"),
            None => release.state.name().to_owned(),
        };
        rows.push(vec![
            release.number.to_string(),
            if live == Some(release.number) { format!("{state}, live") } else { state },
            what(release),
            short(&release.artifact).to_owned(),
            release.commit.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{}@{}", release.os_user, release.host),
            format!("{} ago", ui::age(Duration::from_secs(release.age_seconds))),
            release.outcome["message"]
                .as_str()
                .and_then(|text| text.lines().next())
                .unwrap_or_default()
                .chars()
                .take(60)
                .collect(),
        ]);
    }
    ui::out(&ui::table(&["RELEASE", "STATE", "WHAT", "ARTIFACT", "COMMIT", "BY", "", ""], &rows));
    Ok(Exit::Done)
}

fn what(release: &Release) -> String {
    match release.restores {
        Some(number) => format!("rollback to {number}"),
        None => release.kind.name().to_owned(),
    }
}

/// The step at which a release's run was killed: it was begun, has not ended, and nobody holds the lock.
fn is_interrupted(session: &mut Session, release: &Release) -> Result<Option<String>> {
    if release.state != State::Running || database::lock::is_taken(session, database::lock::Protects::Release)? {
        return Ok(None);
    }
    let steps = releases::steps(session, release.number)?;
    let last = steps.iter().rfind(|entry| entry.event == "begin").map(|entry| entry.step.clone());
    Ok(Some(last.unwrap_or_else(|| "lock".to_owned())))
}

pub fn show(workspace: &Workspace, environment: Option<&str>, flags: &ReleasesShow) -> Result<Exit> {
    let (name, mut session) = open(workspace, environment)?;
    let Some(release) = releases::find(&mut session, flags.number)? else {
        let failure = Failure::usage(format!("there is no release {} in `{name}`", flags.number));
        return Err(failure.hint(format!("see `cargo xtask releases --env {name}`")).into());
    };
    let steps = releases::steps(&mut session, flags.number)?;
    if flags.json {
        let mut value = release.to_json();
        value["steps"] = json!(steps.iter().map(Entry::to_json).collect::<Vec<_>>());
        ui::json(&value);
        return Ok(Exit::Done);
    }
    ui::out(&describe(&name, &release, &steps, is_interrupted(&mut session, &release)?));
    Ok(Exit::Done)
}

fn describe(environment: &str, release: &Release, steps: &[Entry], interrupted: Option<String>) -> String {
    let state = interrupted.map_or(release.state.name().to_owned(), |step| format!("interrupted at {step}"));
    let mut rows = vec![
        ("release", format!("{} of {environment}: {}, {state}", release.number, what(release))),
        ("artifact", release.artifact.clone()),
        ("by", format!("{}@{}, xtask {}", release.os_user, release.host, release.tool_version)),
        (
            "commit",
            format!(
                "{}{}",
                release.commit.as_deref().unwrap_or("none"),
                if release.record["dirty"] == true { ", with changes that were not committed" } else { "" }
            ),
        ),
        ("engine", format!("{}, {}", release.engine, release.record["target"].as_str().unwrap_or_default())),
        ("from", release.started_at.clone()),
        ("to", release.ended_at.clone().unwrap_or_else(|| "-".to_owned())),
        ("lock", format!("waited {} ms", release.record["lock_waited_ms"])),
    ];
    if let Some(reason) = release.record["overrides"]["break_glass"].as_str() {
        rows.push(("break glass", format!("{reason} ({})", list_of(&release.outcome["overridden"]))));
    }
    if release.record["overrides"]["dangerous_schema"] == true {
        rows.push(("overridden", "--dangerous-schema".to_owned()));
    }
    if let Some(id) = release.outcome["backup"].as_str() {
        rows.push(("backup", id.to_owned()));
    }
    if !release.outcome["promoted"].is_null() {
        let proof = &release.outcome["promoted"];
        rows.push((
            "promoted",
            format!("release {} of {}", proof["release"], proof["environment"].as_str().unwrap_or_default()),
        ));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
    let mut text = ui::table(&[], &rows);
    let plan = &release.record["plan"];
    for (title, lines) in [
        (
            "sources",
            plan["parts"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|part| format!("{}: {}", part["name"].as_str().unwrap_or_default(), list_of(&part["why"])))
                .collect::<Vec<_>>(),
        ),
        ("configuration", texts(&plan["configuration"])),
        (
            "values",
            plan["values"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| {
                    format!("{} {}", it["key"].as_str().unwrap_or_default(), it["change"].as_str().unwrap_or_default())
                })
                .collect(),
        ),
        (
            "migrations",
            plan["migrations"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| it["name"].as_str().unwrap_or_default().to_owned())
                .collect(),
        ),
        (
            "services",
            plan["services"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| {
                    format!("{} {}", it["action"].as_str().unwrap_or_default(), it["name"].as_str().unwrap_or_default())
                })
                .collect(),
        ),
    ] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n", ui::paint(Style::Strong, title)));
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    }
    text.push_str(&format!("\n{}\n{}", ui::paint(Style::Strong, "steps"), ui::table(&[], &step_rows(steps))));
    if let Some(units) = release.outcome["gate"]["units"].as_array() {
        text.push_str(&format!("\n{}\n", ui::paint(Style::Strong, "gate")));
        for unit in units {
            let answer = |key: &str| unit[key]["status"].as_u64().map_or("-".to_owned(), |status| status.to_string());
            text.push_str(&format!(
                "  {}: {}, ready {}, live {}, {} restarts\n",
                unit["name"].as_str().unwrap_or_default(),
                unit["state"].as_str().unwrap_or_default(),
                answer("ready"),
                answer("live"),
                unit["restarts"]
            ));
        }
    }
    if let Some(message) = release.outcome["message"].as_str() {
        text.push_str(&format!("\n{}\n{message}\n", ui::paint(Style::Strong, "what went wrong")));
    }
    if let Some(states) = release.outcome["stuck"]["states"].as_str() {
        text.push_str(&format!("then: {states}\n"));
    }
    text
}

/// Steps with their time, notes below them.
fn step_rows(steps: &[Entry]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut begun: Vec<(&str, f64)> = Vec::new();
    for entry in steps.iter().filter(|entry| !["open", "close"].contains(&entry.step.as_str())) {
        let detail = entry.detail.lines().next().unwrap_or_default().chars().take(100).collect::<String>();
        match entry.event.as_str() {
            "begin" => begun.push((&entry.step, entry.seconds)),
            "note" => rows.push(vec![String::new(), String::new(), format!("{}: {detail}", entry.step)]),
            event => {
                let at = begun.iter().rposition(|(step, _)| *step == entry.step);
                let time = at.map(|at| begun.remove(at).1).map_or(0.0, |from| (entry.seconds - from).max(0.0));
                rows.push(vec![format!("  {}", entry.step), event.to_owned(), format!("{time:.1} s  {detail}")]);
            }
        }
    }
    rows.extend(
        begun.into_iter().map(|(step, _)| vec![format!("  {step}"), "begun".to_owned(), "not ended".to_owned()]),
    );
    rows
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect()
}
fn list_of(value: &Value) -> String {
    texts(value).join(", ")
}

/// The newest releases and the journal of the very newest, for the bundle of an incident.
pub fn for_bundle(workspace: &Workspace, environment: &str) -> Result<Value> {
    let (name, mut session) = open(workspace, Some(environment))?;
    let all = releases::list(&mut session, COUNT)?;
    let steps = match all.first() {
        Some(newest) => releases::steps(&mut session, newest.number)?,
        None => Vec::new(),
    };
    Ok(json!({
        "environment": name,
        "releases": all.iter().map(Release::to_json).collect::<Vec<_>>(),
        "steps": steps.iter().map(Entry::to_json).collect::<Vec<_>>(),
    }))
}

pub fn verify(workspace: &Workspace, environment: Option<&str>, flags: &ReleasesVerify) -> Result<Exit> {
    let (name, mut session) = open(workspace, environment)?;
    let findings = releases::verify(&mut session)?;
    if flags.json {
        let all: Vec<Value> = findings.iter().map(Finding::to_json).collect();
        ui::json(&json!({"ok": findings.is_empty(), "findings": all}));
        return Ok(if findings.is_empty() { Exit::Done } else { Exit::Findings });
    }
    if findings.is_empty() {
        ui::say(&format!("the ledger of `{name}` is what the tasks wrote"));
        return Ok(Exit::Done);
    }
    let message = format!("the ledger of `{name}` was edited");
    Err(Failure::with_findings(Exit::Findings, &message, findings).into())
}
