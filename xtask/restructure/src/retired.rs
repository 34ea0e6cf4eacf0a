//! Old paths that must not come back: a merge from a branch that still has the old tree would bring it back silently.

use anyhow::Result;
use base::ui::{Finding, Place};

use crate::path::{self, RelPath};
use crate::tell::RETIRED;
use crate::tree::Tree;

/// A finding for each retired path of a target that is there again.
pub fn check(tree: &Tree, into: &RelPath) -> Result<Vec<Finding>> {
    let list = into.append(&RelPath::new(RETIRED).unwrap_or_default());
    let Some(id) = tree.get(&list) else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&tree.content(id)?).into_owned();
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let Some((old, went)) = line.rsplit_once(" -> ") else { continue };
        let Some(path) = path::from_shown(old).map(|old| into.append(&old)) else { continue };
        let is_back = match tree.at(&path) {
            None => false,
            // A folder that only holds what is made at run time has not come back.
            Some(entry) if tree.is_folder(&entry.path) => {
                tree.below(&path).any(|id| tree.entry(id).is_file() && tree.entry(id).git != crate::tree::Git::Ignored)
            }
            Some(_) => true,
        };
        if is_back {
            let place = Place { file: RETIRED.into(), line: number + 1, column: 1 };
            let hint = format!("git rm -r '{old}', after what is new in it has been taken over");
            findings.push(Finding::error(format!("`{old}` is back; it went to {went}")).at(place).hint(hint));
        }
    }
    Ok(findings)
}
