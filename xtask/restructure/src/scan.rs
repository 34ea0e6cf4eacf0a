//! Everything that is known of a folder before anybody decides anything: the snapshot, facts of each file, duplicates,
//! references, units, and what each file is for.

use anyhow::Result;
use camino::Utf8Path;

use crate::classify::look::Look;
use crate::classify::units::{self, Units};
use crate::contents::{Contents, Spoken};
use crate::duplicates::{self, FolderGroup, Group, Near, Overlap};
use crate::facts::Facts;
use crate::path::RelPath;
use crate::references::{self, Reference};
use crate::tree::Tree;

pub struct Scan {
    pub tree: Tree,
    /// By the index of the entry.
    pub facts: Vec<Option<Facts>>,
    pub groups: Vec<Group>,
    pub folders: Vec<FolderGroup>,
    pub overlaps: Vec<Overlap>,
    pub near: Vec<Near>,
    pub references: Vec<Reference>,
    pub(crate) said: Vec<Spoken>,
    pub looks: Vec<Option<Look>>,
    /// Application code, by given folder.
    pub units: Vec<(RelPath, Units)>,
}

impl Scan {
    /// Reads and compares everything below the given folders. `state` lies in them but is none of their content: the plan
    /// itself, a report.
    pub fn of(given: &[&Utf8Path], state: &[&Utf8Path]) -> Result<Scan> {
        let tree = Tree::read_without(given, state)?;
        let Contents { facts, looks, said } = Contents::read(&tree)?;
        let said = said?;
        let (references, rest) = std::thread::scope(|scope| {
            // References take the longest: they have a core to themselves.
            let references = scope.spawn(|| references::resolved(&tree, &said));
            let groups = duplicates::groups(&tree);
            let folders = duplicates::folders(&tree);
            let overlaps = duplicates::overlaps(&tree, &groups);
            let near = duplicates::near(&tree, &facts, &groups);
            let given = tree.given().iter();
            let units = given.map(|given| (given.clone(), units::find(&tree, given, &looks))).collect();
            let references = references.join().map_err(|_| anyhow::anyhow!("the reader of references died"));
            (references, (groups, folders, overlaps, near, units))
        });
        let (groups, folders, overlaps, near, units) = rest;
        Ok(Scan { references: references?, said, tree, facts, groups, folders, overlaps, near, looks, units })
    }
}
