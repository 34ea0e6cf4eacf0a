//! `config show|check`: the effective environment, and whether the configuration can be used.

use anyhow::Result;
use serde_json::json;

use crate::flags::{ConfigCheck, ConfigInit, ConfigSchema, ConfigShow};
use crate::tools::files;
use crate::ui::{self, Exit, Failure, Finding, Place, has_errors};
use crate::workspace::service::{self, Services};
use crate::workspace::suite::Suite;
use crate::workspace::{Database, Environment, Workspace, environment};

/// Every key with its value and source. What cannot be used is reported too, but shown first.
pub fn show(workspace: &Workspace, flags: ConfigShow) -> Result<Exit> {
    let name = flags.env.unwrap_or_else(|| "dev".to_owned());
    let (environment, findings) = Environment::read(workspace, &name)?;
    if flags.json {
        ui::json(&environment.to_json());
    } else {
        let rows = environment.settings().iter().map(|setting| {
            let declared = &setting.declaration;
            let value = if setting.value.is_empty() { "-".to_owned() } else { setting.shown() };
            vec![declared.key.clone(), value, setting.source.to_string(), declared.documentation.clone()]
        });
        ui::out(&ui::table(&["KEY", "VALUE", "FROM", "WHAT IT IS"], &rows.collect::<Vec<_>>()));
    }
    findings.iter().for_each(ui::finding);
    Ok(if has_errors(&findings) { Exit::Usage } else { Exit::Done })
}

/// Environments, services and suites; everything that is wrong, in one go.
pub fn check(workspace: &Workspace, flags: ConfigCheck) -> Result<Exit> {
    let mut findings = Vec::new();
    let names = match &flags.env {
        Some(name) => vec![name.clone()],
        None => workspace.environment_names(),
    };
    let (services, problems) = Services::read(workspace)?;
    findings.extend(problems);
    if workspace.database_config().is_file() {
        findings.extend(Database::read(workspace)?.1);
    }
    for name in &names {
        let (environment, problems) = Environment::read(workspace, name)?;
        // A schema without values is fine as long as nobody deploys it: only what it declares is checked.
        let has_values = flags.env.is_some() || workspace.environment_values(name).is_file();
        let of_schema = |finding: &Finding| !finding.message.contains("has no value");
        findings.extend(problems.into_iter().filter(|finding| has_values || of_schema(finding)));
        for service in services.all() {
            for key in service.env.iter().filter(|key| !environment.declares(key)) {
                let message =
                    format!("{} wants the key `{key}`, which .env.{name}.example does not declare", service.name);
                findings.push(Finding::error(message).at(service.place(&format!("env.{key}"))));
            }
        }
    }
    findings.extend(names.iter().filter_map(|name| exposed(workspace, name)));
    for name in workspace.suite_names() {
        if let Err(error) = Suite::load(workspace, &name) {
            findings
                .extend(error.downcast_ref::<Failure>().map(|failure| failure.findings().to_vec()).unwrap_or_default());
        }
    }
    let ok = !has_errors(&findings);
    if flags.json {
        ui::json(&json!({"ok": ok, "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>()}));
    } else {
        findings.iter().for_each(ui::finding);
        let verdict = if ok { "can be used" } else { "cannot be used" };
        ui::say(&format!(
            "the configuration {verdict}: {} environments, {} services",
            names.len(),
            services.all().len()
        ));
    }
    Ok(if ok { Exit::Done } else { Exit::Usage })
}

/// Writes the JSON Schema of a service's file, or says whether it is current.
pub fn schema(workspace: &Workspace, flags: &ConfigSchema) -> Result<Exit> {
    let path = workspace.services_schema();
    let wanted = format!("{:#}\n", service::json_schema());
    let file = workspace.relative(&path);
    if files::read(&path)?.as_ref() == Some(&wanted) {
        ui::say(&format!("{file} is current"));
        return Ok(Exit::Done);
    }
    if flags.check {
        let failure = Failure::refused(format!("{file} is not current"));
        return Err(failure.hint("run `cargo xtask config schema`").into());
    }
    files::write(&path, wanted, 0o644)?;
    ui::say(&format!("{file} written"));
    Ok(Exit::Done)
}

/// Warns when others on this machine can read an environment's secrets.
pub fn exposed(workspace: &Workspace, environment: &str) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let path = workspace.environment_values(environment);
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    let file = workspace.relative(&path);
    let place = Place { file: file.to_owned(), line: 1, column: 1 };
    let finding = Finding::warning(format!("mode {mode:03o}: others can read its secrets")).at(place);
    (mode & 0o077 != 0).then(|| finding.hint(format!("chmod 600 {file}")))
}

/// Makes an environment's file from its example, or adds the generated keys that it lacks.
pub fn init(workspace: &Workspace, flags: &ConfigInit) -> Result<Exit> {
    workspace.check_environment_name(&flags.env)?;
    let file = workspace.environment_values(&flags.env);
    let step = ui::step(workspace.relative(&file).as_str());
    match environment::make_values_file(workspace, &flags.env)? {
        true => step.done_with("made, with generated keys"),
        false => step.same("is there, and has every generated key"),
    }
    let (environment, findings) = Environment::read(workspace, &flags.env)?;
    findings.iter().for_each(ui::finding);
    if has_errors(&findings) {
        ui::say(&format!(
            "fill in what `{}` still needs, then `cargo xtask config check --env {}`",
            environment.name, environment.name
        ));
    }
    Ok(Exit::Done)
}
