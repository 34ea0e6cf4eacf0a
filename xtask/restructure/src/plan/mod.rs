//! The plan: for each file whether it is kept, moved, archived, dropped as a duplicate, or left for a person to decide, why,
//! and how sure that is. A value that is written to a file, edited there, and carried out.

pub mod check;
mod copies;
pub mod file;
mod make;
mod place;
pub mod rules;
pub mod trial;

use std::collections::BTreeMap;

use base::tools::hash;
use camino::Utf8PathBuf;

use crate::classify::Class;
use crate::moves::{Fate, Moves};
use crate::path::RelPath;
use crate::tree::{Closed, Digest, Entry, FileId, Git, Kind, Tree};

pub use copies::Copy;
pub use make::{Made, copies_of, make, why_copies_stay};

/// How a plan is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Absolute: the folder that is taken apart.
    pub folder: Utf8PathBuf,
    /// Absolute: the folder in which the layout comes to be; the same when it is done in place.
    pub into: Utf8PathBuf,
    /// Scripts go to scripts/<function> instead of the archive.
    pub keep_scripts: bool,
    /// The archive's folder for what goes out of use now, such as `2026-q1`.
    pub period: String,
}

/// What happens to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Keep,
    /// Paths are relative to `into`.
    Move(RelPath),
    Archive(RelPath),
    /// The same bytes stand at this path, relative to the folder.
    Drop(RelPath),
    /// It stays, and is listed.
    Decide,
}

impl Act {
    pub fn name(&self) -> &'static str {
        match self {
            Act::Keep => "keep",
            Act::Move(_) => "move",
            Act::Archive(_) => "archive",
            Act::Drop(_) => "drop-as-duplicate-of",
            Act::Decide => "needs-decision",
        }
    }
    pub fn target(&self) -> Option<&RelPath> {
        match self {
            Act::Move(to) | Act::Archive(to) => Some(to),
            _ => None,
        }
    }
}

/// One line of the plan. A path that ends with a slash there is a folder that is kept with all that is in it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Relative to the folder.
    pub path: RelPath,
    pub is_folder: bool,
    pub act: Act,
    pub class: Class,
    /// 0 to 1.
    pub confidence: f32,
    pub because: String,
    /// What the content was; of a folder, of all that is in it.
    pub print: String,
    /// It was changed by hand since it was made.
    pub by_hand: bool,
    /// Its line in the plan's file; 0 for one that was never written.
    pub line: usize,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub options: Options,
    /// Where READMEs are written.
    pub readmes: Readmes,
    /// Of everything the plan was made from.
    pub digest: String,
    /// In the order of paths.
    pub items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readmes {
    EveryFolder,
    OutsideApplications,
    None,
}

impl Readmes {
    pub const ALL: [Readmes; 3] = [Readmes::EveryFolder, Readmes::OutsideApplications, Readmes::None];
    pub fn from_name(name: &str) -> Option<Readmes> {
        Readmes::ALL.into_iter().find(|readmes| readmes.name() == name)
    }
    pub fn name(self) -> &'static str {
        match self {
            Readmes::EveryFolder => "every-folder",
            Readmes::OutsideApplications => "outside-applications",
            Readmes::None => "none",
        }
    }
}

/// The folders of a plan in its tree.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Relative to the tree's root.
    pub from: RelPath,
    pub into: RelPath,
}

impl Folders {
    pub fn of(tree: &Tree, options: &Options) -> Folders {
        let relative = |path: &Utf8PathBuf| {
            let rest = path.strip_prefix(tree.root()).map(|rest| rest.as_str()).unwrap_or_default();
            RelPath::new(rest).unwrap_or_default()
        };
        Folders { from: relative(&options.folder), into: relative(&options.into) }
    }
}

impl Plan {
    /// The entry that decides about a path: its own, or that of the nearest folder above it.
    pub fn item(&self, path: &RelPath) -> Option<&Item> {
        let at =
            |path: &RelPath| self.items.binary_search_by(|item| item.path.cmp(path)).ok().map(|at| &self.items[at]);
        at(path).or_else(|| path.ancestors().find_map(|folder| at(&folder).filter(|item| item.is_folder)))
    }
    /// The decision about every file of the tree. One that the plan does not name stays, and waits for a decision.
    pub fn decisions(&self, tree: &Tree) -> BTreeMap<RelPath, Item> {
        let folders = Folders::of(tree, &self.options);
        let subjects = subjects(tree, &folders.from).into_iter();
        subjects.map(|(id, path)| (path.clone(), self.decision(tree, id, path))).collect()
    }
    fn decision(&self, tree: &Tree, id: FileId, path: RelPath) -> Item {
        let print = stamp(tree, id).unwrap_or_else(|| "ignored".to_owned());
        let Some(item) = self.item(&path) else {
            let because = "the plan has no entry for it".to_owned();
            return Item {
                path,
                is_folder: false,
                act: Act::Decide,
                class: Class::Utilities,
                confidence: 0.0,
                because,
                print,
                by_hand: false,
                line: 0,
            };
        };
        let rest = path.below(&item.path).unwrap_or_default();
        let act = match &item.act {
            Act::Move(to) => Act::Move(to.append(&rest)),
            Act::Archive(to) => Act::Archive(to.append(&rest)),
            Act::Drop(of) => Act::Drop(of.append(&rest)),
            // What a folder of the plan stands for is as the folder; closed folders never go anywhere.
            stays => stays.clone(),
        };
        Item { path, act, print, is_folder: tree.entry(id).kind == Kind::Folder, ..item.clone() }
    }
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        count(self.items.iter())
    }
}

/// How many entries have each action.
pub fn count<'a>(items: impl Iterator<Item = &'a Item>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    items.for_each(|item| *counts.entry(item.act.name()).or_default() += 1);
    counts
}

/// The moves that carry decisions out, in the paths of the tree.
pub fn moves(tree: &Tree, folders: &Folders, decisions: &BTreeMap<RelPath, Item>) -> Moves {
    let fates = decisions.values().filter_map(|item| {
        let from = folders.from.append(&item.path);
        match &item.act {
            Act::Keep | Act::Decide => None,
            Act::Move(to) | Act::Archive(to) => Some((from, Fate::At(folders.into.append(to)))),
            Act::Drop(of) => Some((from, Fate::DroppedFor(folders.from.append(of)))),
        }
    });
    Moves::new(tree, fates)
}

/// Files, links and closed folders of the folder that a plan decides about, with their paths below it.
pub fn subjects(tree: &Tree, from: &RelPath) -> Vec<(FileId, RelPath)> {
    let is_subject = |id: &FileId| tree.entry(*id).is_whole() && tree.entry(*id).is_given;
    tree.below(from).filter(is_subject).filter_map(|id| Some((id, tree.path(id).below(from)?))).collect()
}

/// A hash over everything that a plan must find again.
pub fn digest(tree: &Tree, from: &RelPath) -> String {
    let mut sum = Vec::new();
    for (id, path) in subjects(tree, from) {
        if let Some(print) = stamp(tree, id) {
            add_print(&mut sum, &path, &print);
        }
    }
    hash::sha256(&sum)
}

fn add_print(sum: &mut Vec<u8>, path: &RelPath, print: &str) {
    sum.extend_from_slice(path.bytes());
    sum.push(0);
    sum.extend_from_slice(print.as_bytes());
    sum.push(b'\n');
}

/// The print of a folder that stands for everything below it.
pub fn print_of_folder<'a>(inside: impl Iterator<Item = &'a Item>) -> String {
    let mut sum = Vec::new();
    inside.for_each(|item| add_print(&mut sum, &item.path, &item.print));
    hash::hex(&hash::digest(&sum)[..6])
}

/// A short form of a content's hash, as plans show it.
pub fn print_of(digest: &Digest) -> String {
    hash::hex(&digest[..6])
}

/// What the plan must find again: the kind and content of an entry. None for what changes by itself: what git ignores,
/// what programs leave behind.
pub fn stamp(tree: &Tree, id: FileId) -> Option<String> {
    let entry: &Entry = tree.entry(id);
    if entry.git == Git::Ignored || !entry.is_given {
        return None;
    }
    match &entry.kind {
        Kind::File => Some(tree.digest(id).map_or_else(|_| "unreadable".to_owned(), |digest| print_of(&digest))),
        Kind::Symlink(target) => Some(format!("link-{}", print_of(&hash::digest(target)))),
        Kind::Folder if entry.closed == Some(Closed::State) => None,
        Kind::Folder => entry.closed.as_ref().map(|_| "closed".to_owned()),
        Kind::Other => Some("special".to_owned()),
    }
}
