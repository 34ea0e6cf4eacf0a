//! `migrate new NAME`: an empty migration with the time as its version, later than every other one.

use std::time::SystemTime;

use anyhow::Result;

use crate::flags::MigrateNew;
use crate::tools::files;
use crate::ui::{self, Exit, Failure};
use crate::workspace::Workspace;
use database::migrations;

pub fn new(workspace: &Workspace, flags: &MigrateNew) -> Result<Exit> {
    let name: String =
        flags.name.trim().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    if name.is_empty() || name.len() > 80 {
        return Err(Failure::usage(format!("`{}` cannot name a migration", flags.name))
            .hint("a few words, such as add_api_keys")
            .into());
    }
    let files = migrations::read(workspace)?;
    let now: String = ui::utc(SystemTime::now()).chars().filter(char::is_ascii_digit).collect();
    let last = files.last().map(|migration| migration.version.clone()).unwrap_or_default();
    let next = last.parse::<u128>().map_or(now.clone(), |last| (last + 1).to_string());
    let version = if migrations::order(&last) >= migrations::order(&now) { next } else { now };
    let path = workspace.migrations().join("pending").join(format!("{version}_{name}.sql"));
    let words = name.replace('_', " ");
    files::write(&path, format!("-- {words}: say why here\n"), 0o644)?;
    ui::say("write the migration into the file, then run `cargo xtask migrate`");
    ui::out(workspace.relative(&path).as_str());
    Ok(Exit::Done)
}
