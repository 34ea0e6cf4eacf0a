//! What is kept of earlier releases: all that the last few verified ones need to come back, the live one always among them.

use std::collections::BTreeSet;

use anyhow::Result;

use super::engine::{self, Engine, Render, World};
use crate::tools::files;
use crate::workspace::entries;
use database::releases::{self, State};
use database::session::Session;

/// How many verified releases can come back.
pub const KEEP: u32 = 6;
/// How far back the ledger is read for them.
const DEPTH: u32 = 500;

/// Removes what none of the kept releases needs: copies or images, renders, values, secrets; what was removed, in words.
pub fn prune(world: &World<'_>, engine: &dyn Engine, session: &mut Session) -> Result<Vec<String>> {
    let all = releases::list(session, DEPTH)?;
    let mut kept: BTreeSet<i64> = BTreeSet::new();
    for release in all.iter().filter(|release| release.state == State::Verified) {
        if kept.len() < KEEP as usize {
            kept.insert(release.content());
        }
    }
    // One that is at work, or was killed, may be resumed.
    kept.extend(all.iter().filter(|release| release.state == State::Running).map(|release| release.number));
    let mut renders: Vec<Render> = Vec::new();
    let mut secrets = BTreeSet::new();
    for number in &kept {
        let render = match engine::read_release(&world.release_folder(*number)) {
            Ok((render, _)) => render,
            // Its folder is in another clone, which may want to go back to it: what the ledger says of it.
            Err(_) => match all.iter().find(|release| release.number == *number) {
                Some(release) => Render { document: release.record["render"].clone() },
                None => continue,
            },
        };
        for unit in render.units() {
            secrets.extend(unit.secrets.iter().map(|(key, hash)| world.secret_file(key, hash)));
        }
        renders.push(render);
    }
    let removed = engine.prune(&renders)?;
    for path in entries(&world.folder()) {
        let number = path.file_name().and_then(|name| name.parse::<i64>().ok()).filter(|_| path.is_dir());
        if number.is_some_and(|number| !kept.contains(&number)) {
            files::remove(&path)?;
        }
    }
    for path in entries(&world.folder().join("secrets")) {
        let is_of_a_release = path.file_name().is_some_and(|name| name.contains('-'));
        if is_of_a_release && !secrets.contains(&path) {
            files::remove(&path)?;
        }
    }
    Ok(removed)
}
