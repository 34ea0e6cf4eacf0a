//! `db backups`: the backups there are, and what the policy asks for. Asks no database.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::flags::DbBackups;
use crate::tasks::services::DEV;
use crate::ui::{self, Exit};
use crate::workspace::{BackupPolicy, Environment, Workspace};
use database::backup::policy::{self, Facts};
use database::backup::store::{self, Backup, Store};

pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbBackups) -> Result<Exit> {
    let environment = Environment::load(workspace, environment.unwrap_or(DEV))?;
    let policy = BackupPolicy::load(workspace, &environment.name)?;
    let store = Store::of(workspace, &environment);
    let backups = store.list();
    let facts: Vec<Facts> = backups.iter().map(Facts::of).collect();
    let now = store::now();
    let findings = policy::unmet(&facts, &policy, &environment.name, now);
    if flags.json {
        ui::json(&json!({
            "environment": environment.name,
            "folder": store.folder.as_str(),
            "policy": {
                "keep_daily": policy.keep_daily, "keep_weekly": policy.keep_weekly,
                "max_age_seconds": policy.max_age.as_secs(), "verify_every_seconds": policy.verify_every.as_secs(),
                "jobs": policy.jobs, "is_met": findings.is_empty(),
                "unmet": findings.iter().map(|finding| finding.message.clone()).collect::<Vec<_>>(),
            },
            "backups": backups.iter().map(|backup| object(backup, now)).collect::<Vec<_>>(),
        }));
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = backups.iter().map(|backup| row(backup, now)).collect();
    if rows.is_empty() {
        ui::say(&format!("no backup in {}", workspace.relative(&store.folder)));
    } else {
        ui::out(&ui::table(&["ID", "AGE", "SIZE", "TABLES", "MIGRATION", "VERIFIED"], &rows));
    }
    ui::say(&format!(
        "policy: the newest of {} days and {} weeks, none older than {}, verified every {}",
        policy.keep_daily,
        policy.keep_weekly,
        ui::age(policy.max_age),
        ui::age(policy.verify_every)
    ));
    for finding in &findings {
        ui::warn(&finding.message);
    }
    Ok(Exit::Done)
}

fn age(backup: &Backup, now: u64) -> Duration {
    Duration::from_secs(now.saturating_sub(backup.created()))
}

fn row(backup: &Backup, now: u64) -> Vec<String> {
    let age = ui::age(age(backup, now));
    match &backup.manifest {
        Ok(manifest) => vec![
            backup.id().to_owned(),
            age,
            megabytes(manifest.bytes()),
            manifest.tables.len().to_string(),
            manifest.migrations["head"].as_str().unwrap_or("-").to_owned(),
            backup.verified_at().unwrap_or("never").to_owned(),
        ],
        Err(error) => vec![backup.id().to_owned(), age, format!("damaged: {error:#}")],
    }
}

fn object(backup: &Backup, now: u64) -> Value {
    let mut object = json!({
        "id": backup.id(), "folder": backup.folder.as_str(), "age_seconds": age(backup, now).as_secs(),
        "verified_at": backup.verified_at(), "is_damaged": backup.manifest.is_err(),
    });
    if let (Ok(manifest), Value::Object(map)) = (&backup.manifest, &mut object) {
        map.insert("environment".to_owned(), json!(manifest.environment));
        map.insert("created_at".to_owned(), json!(manifest.created_at));
        map.insert("bytes".to_owned(), json!(manifest.bytes()));
        map.insert("tables".to_owned(), json!(manifest.tables.len()));
        map.insert("server".to_owned(), manifest.made_by["server"].clone());
        map.insert("migration".to_owned(), manifest.migrations["head"].clone());
    }
    object
}

/// `12.3 MB`.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
