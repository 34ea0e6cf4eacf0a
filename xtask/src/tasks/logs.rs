//! `logs`: what the services of an environment have logged, whatever runs them; `--collect` makes a bundle for an incident.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;
use serde_json::json;

use super::deploy::Scene;
use super::services::DEV;
use crate::deploy::engine::{self, Engine, LogLine, LogPart, Running};
use crate::flags::Logs;
use crate::tools::{Cmd, files, os};
use crate::ui::{self, Exit, Failure, Style, redact};
use crate::workspace::{Workspace, schema};

/// How many lines of each are shown first.
const LINES: usize = 50;
/// What a bundle holds of each, unless `--since` says otherwise.
const BUNDLE: Duration = Duration::from_secs(24 * 3600);

pub fn run(workspace: &Workspace, flags: &Logs) -> Result<Exit> {
    let name = flags.env.as_deref().unwrap_or(DEV);
    let scene = Scene::load(workspace, name)?;
    let world = scene.world(workspace);
    let engine = engine::of(&world, flags.engine.as_deref())?;
    let since =
        match &flags.since {
            None => None,
            Some(text) => Some(schema::duration(text).ok_or_else(|| {
                Failure::usage(format!("`--since {text}` is no age")).hint("such as 30s, 10m, 2h or 1d")
            })?),
        };
    if let Some(path) = &flags.collect {
        // An incident is when things do not answer: what runs beside the known services is then not told.
        let known = || scene.services.running().map(|service| service.name.clone()).collect();
        let names = match flags.service.is_empty() {
            true => names(&scene, engine.as_ref(), &[]).unwrap_or_else(|_| known()),
            false => names(&scene, engine.as_ref(), &flags.service)?,
        };
        return collect(workspace, &scene, engine.as_ref(), &names, since.unwrap_or(BUNDLE), Utf8Path::new(path));
    }
    let names = names(&scene, engine.as_ref(), &flags.service)?;
    let part = match since {
        Some(age) => LogPart::Since(age),
        None => LogPart::Last(flags.lines.unwrap_or(LINES)),
    };
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let show = |name: &str, line: &str| {
        if flags.grep.as_ref().is_none_or(|text| line.contains(text.as_str())) {
            ui::out(&format!("{}  {line}", ui::paint(Style::Faint, &format!("{name:<width$}"))));
        }
    };
    let most = flags.lines.unwrap_or(usize::MAX);
    for (name, line) in merged(engine.as_ref(), &names, part, most)? {
        show(&name, &line.text);
    }
    if flags.follow {
        let screen = Mutex::new(());
        std::thread::scope(|scope| {
            for name in &names {
                let (engine, screen, show) = (engine.as_ref(), &screen, &show);
                scope.spawn(move || {
                    let ended = engine.follow(name, &mut |line| {
                        let _turn = screen.lock();
                        show(name, line);
                    });
                    if let Err(error) = ended {
                        ui::warn(&format!("{name}: {error:#}"));
                    }
                });
            }
        });
    }
    Ok(Exit::Done)
}

/// The units asked for, or all that run or should.
fn names(scene: &Scene, engine: &dyn Engine, wanted: &[String]) -> Result<Vec<String>> {
    let mut known: Vec<String> = scene.services.running().map(|service| service.name.clone()).collect();
    for running in engine.observe()? {
        if !known.contains(&running.name) {
            known.push(running.name);
        }
    }
    for name in wanted {
        if !known.contains(name) {
            let hint = ui::suggest::did_you_mean(name, known.iter().map(String::as_str));
            return Err(Failure::usage(format!("unknown service `{name}`")).hint(hint).into());
        }
    }
    Ok(known.into_iter().filter(|name| wanted.is_empty() || wanted.contains(name)).collect())
}

/// The lines of all units in the order of their moments; one without a moment stays behind the line before it.
fn merged(engine: &dyn Engine, names: &[String], part: LogPart, most: usize) -> Result<Vec<(String, LogLine)>> {
    let mut all: Vec<(String, String, LogLine)> = Vec::new();
    for name in names {
        let mut at = String::new();
        let mut lines = engine.log(name, part)?;
        lines.drain(..lines.len().saturating_sub(most));
        for line in lines {
            if let Some(own) = &line.at {
                at.clone_from(own);
            }
            all.push((at.clone(), name.clone(), line));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all.into_iter().map(|(_, name, line)| (name, line)).collect())
}

/// Writes the bundle: under another name first, so that a file of this name is whole.
fn collect(
    workspace: &Workspace,
    scene: &Scene,
    engine: &dyn Engine,
    names: &[String],
    since: Duration,
    path: &Utf8Path,
) -> Result<Exit> {
    let environment = &scene.environment;
    let title = format!("incident-{}-{}", environment.name, ui::utc(std::time::SystemTime::now()).replace(':', ""));
    let folder = workspace.ops().join("collect").join(os::random_hex(6)?);
    let bundle = folder.join(&title);
    files::make_folder(&bundle)?;
    let write = |name: &str, text: &str| files::write(&bundle.join(name), redact::mask(text).as_ref(), 0o600);
    let result = (|| {
        let step = ui::step("collect");
        for name in names {
            let lines = engine.log(name, LogPart::Since(since)).unwrap_or_else(|error| {
                vec![LogLine { at: None, text: format!("this log cannot be read: {error:#}") }]
            });
            let text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
            write(&format!("{name}.log"), &text)?;
        }
        let unit = |it: Running| json!({"name": it.name, "detail": it.detail, "restarts": it.restarts, "address": it.address, "image": it.pin});
        let running = match engine.observe() {
            Ok(all) => json!({"engine": engine.name(), "units": all.into_iter().map(unit).collect::<Vec<_>>()}),
            Err(error) => json!({"engine": engine.name(), "error": format!("{error:#}")}),
        };
        write("running.json", &format!("{running:#}\n"))?;
        write("config.json", &format!("{:#}\n", environment.to_json()))?;
        // What cannot be asked is told in its place: an incident is when things do not answer.
        let health = super::health::look_with(workspace, scene, engine);
        let health = health.map_or_else(|error| json!({"error": format!("{error:#}")}), |report| report.to_json());
        write("health.json", &format!("{health:#}\n"))?;
        let releases = super::releases::for_bundle(workspace, &environment.name);
        let releases = releases.unwrap_or_else(|error| json!({"error": format!("{error:#}")}));
        write("releases.json", &format!("{releases:#}\n"))?;
        write("machine.json", &format!("{:#}\n", super::doctor::for_bundle(workspace)))?;
        step.done_with(&format!("{} logs", names.len()));
        let tar = Cmd::new("tar").args(["-czf", folder.join("bundle").as_str(), "-C", folder.as_str(), "--", &title]);
        let output = tar.output()?;
        if !output.ok() {
            return Err(tar.failure(&output));
        }
        let bytes = std::fs::read(folder.join("bundle"))?;
        let place = std::path::absolute(path)?;
        let place = Utf8Path::from_path(&place).ok_or_else(|| Failure::usage(format!("`{path}` is not UTF-8")))?;
        files::write(place, bytes, 0o600)
    })();
    // Best effort: it lies below .ops, and holds nothing that the bundle does not.
    let _removed = files::remove(&folder);
    result?;
    ui::out(path.as_str());
    Ok(Exit::Done)
}
