//! Where everything goes: the one mapping that rewriting, applying and verifying read.

use std::collections::{BTreeMap, HashMap};

use crate::path::RelPath;
use crate::tree::{FileId, Kind, Tree};

/// What becomes of one file or symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lies at this path afterwards; its own one when it stays.
    At(RelPath),
    /// It goes away because the same bytes lie at this other path of before, which itself is `At` somewhere.
    DroppedFor(RelPath),
}

/// The fate of every file of a tree; what is not named stays. Folders have none: they follow from what lies in them.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    fates: HashMap<RelPath, Fate>,
    /// Back from the path after to the one before, for what moves.
    origins: HashMap<RelPath, RelPath>,
    /// Folders of before that hold something whose path changes, with where the folder went; None when it is split.
    folders: HashMap<RelPath, Option<RelPath>>,
}

impl Moves {
    /// `fates` need only name what does not stay.
    pub fn new(tree: &Tree, fates: impl IntoIterator<Item = (RelPath, Fate)>) -> Moves {
        let is_change = |(path, fate): &(RelPath, Fate)| !matches!(fate, Fate::At(to) if to == path);
        let fates: HashMap<RelPath, Fate> = fates.into_iter().filter(is_change).collect();
        let origins = fates.iter().filter_map(|(from, fate)| match fate {
            Fate::At(to) => Some((to.clone(), from.clone())),
            Fate::DroppedFor(_) => None,
        });
        let mut moves = Moves { origins: origins.collect(), fates, folders: HashMap::new() };
        moves.folders = moves.where_folders_went(tree);
        moves
    }
    pub fn is_empty(&self) -> bool {
        self.fates.is_empty()
    }
    pub fn len(&self) -> usize {
        self.fates.len()
    }
    /// What changes, sorted by the path before.
    pub fn changes(&self) -> BTreeMap<&RelPath, &Fate> {
        self.fates.iter().collect()
    }
    /// Where the content of a file of before lies afterwards: of one that was dropped, where the kept copy lies.
    pub fn after(&self, before: &RelPath) -> RelPath {
        match self.fates.get(before) {
            None => before.clone(),
            Some(Fate::At(to)) => to.clone(),
            Some(Fate::DroppedFor(kept)) => match self.fates.get(kept) {
                Some(Fate::At(to)) => to.clone(),
                _ => kept.clone(),
            },
        }
    }
    pub fn is_dropped(&self, before: &RelPath) -> bool {
        matches!(self.fates.get(before), Some(Fate::DroppedFor(_)))
    }
    /// The path before of what lies at `after` afterwards; of what is new there, the same path.
    pub fn before(&self, after: &RelPath) -> RelPath {
        self.origins.get(after).unwrap_or(after).clone()
    }
    /// Where a folder of before went: itself when all in it stays, its new path when all that is in it and went anywhere
    /// went there under the same names. None when its files went several ways.
    pub fn folder(&self, before: &RelPath) -> Option<RelPath> {
        self.folders.get(before).map_or_else(|| Some(before.clone()), Clone::clone)
    }

    fn where_folders_went(&self, tree: &Tree) -> HashMap<RelPath, Option<RelPath>> {
        let mut folders: HashMap<RelPath, Option<RelPath>> = HashMap::new();
        // Only folders above something that changes can have gone anywhere.
        for from in self.fates.keys() {
            for folder in from.ancestors() {
                if folders.contains_key(&folder) {
                    break;
                }
                folders.insert(folder, None);
            }
        }
        for (folder, went) in &mut folders {
            let mut ways = tree.below(folder).filter(|id| tree.entry(*id).is_whole()).map(|id| {
                let path = &tree.entry(id).path;
                let name = path.below(folder).unwrap_or_default();
                self.after(path).without_end(&name)
            });
            let first = ways.next().flatten();
            *went = first.filter(|first| ways.all(|way| way.as_ref() == Some(first)));
        }
        folders
    }
}

/// Every file and link of `tree` with its path after.
pub fn destinations(tree: &Tree, moves: &Moves) -> Vec<(FileId, RelPath)> {
    let files = tree.ids().filter(|id| tree.entry(*id).kind != Kind::Folder);
    files.map(|id| (id, moves.after(&tree.entry(id).path))).collect()
}
