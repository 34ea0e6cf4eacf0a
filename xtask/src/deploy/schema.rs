//! Whether the code of a release works on the schema as it is now: it needs its migrations, and of every later one the word
//! that the code before it works on it.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::workspace::Workspace;
use database::ledger::Applied;
use database::migrations::{self, Migration, order};

/// Versions that are applied, as a release's outcome keeps them.
pub fn versions(rows: &[Applied]) -> Vec<String> {
    let done = rows.iter().filter(|row| matches!(row.state.as_str(), "applied" | "baseline"));
    done.map(|row| row.version.clone()).collect()
}

/// Why a release that was verified on the versions `then` would not work on `now`; empty when it would.
pub fn objections(workspace: &Workspace, files: &[Migration], then: &[String], now: &[String]) -> Result<Vec<String>> {
    let key = |version: &String| (order(version).0, order(version).1.to_owned());
    let (had, has): (BTreeSet<_>, BTreeSet<_>) = (then.iter().map(key).collect(), now.iter().map(key).collect());
    let mut objections = Vec::new();
    for version in then.iter().filter(|version| !has.contains(&key(version))) {
        objections.push(format!("it needs migration {version}, which is no longer applied"));
    }
    for version in now.iter().filter(|version| !had.contains(&key(version))) {
        match files.iter().find(|file| order(&file.version) == order(version)) {
            None => objections.push(format!("migration {version} was applied since, and its file is not in this tree")),
            Some(file) if !is_compatible(workspace, file)? => {
                objections.push(format!(
                    "migration {} was applied since and is not marked `-- migrate: compatible`",
                    file.title()
                ));
            }
            Some(_) => {}
        }
    }
    Ok(objections)
}

/// True when its file says that the code before it works on the schema after it.
pub fn is_compatible(workspace: &Workspace, file: &Migration) -> Result<bool> {
    let ready = migrations::prepare(workspace, vec![file.clone()])?;
    Ok(ready.iter().all(|ready| ready.script.directives.compatible))
}
