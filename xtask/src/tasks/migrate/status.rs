//! `migrate status`: which migrations are applied, pending or changed.

use anyhow::Result;
use serde_json::json;

use super::{PATIENCE, look, open_environment, remember};
use crate::flags::MigrateStatus;
use crate::ui::{self, Exit};
use crate::workspace::Workspace;
use database::migrations;

pub fn status(workspace: &Workspace, environment: Option<&str>, flags: &MigrateStatus) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let files = migrations::read(workspace)?;
    let (_session, look) = look(&target, &environment, "migrate status", PATIENCE)?;
    let standings = migrations::compare(&files, &look.rows);
    if flags.json {
        let objects = standings.iter().map(|standing| {
            json!({"version": standing.version, "name": standing.name, "state": standing.state.name(), "applied_at": standing.applied_at})
        });
        ui::json(&json!({"migrations": objects.collect::<Vec<_>>()}));
    } else {
        let rows = standings.iter().map(|standing| {
            vec![
                standing.version.clone(),
                standing.name.clone(),
                standing.state.name().to_owned(),
                standing.applied_at.clone().unwrap_or_default(),
            ]
        });
        ui::out(&ui::table(&["VERSION", "NAME", "STATE", "APPLIED"], &rows.collect::<Vec<_>>()));
        if let Some(version) = look.edited() {
            ui::warn(&format!(
                "the ledger was edited by hand at version {version}: see `cargo xtask migrate repair --plan`"
            ));
        }
    }
    remember(workspace, &environment, &look.rows)?;
    Ok(Exit::Done)
}
