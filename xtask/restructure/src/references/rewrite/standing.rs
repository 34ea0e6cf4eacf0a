//! Where one stands after the moves who stood in a folder, and where a folder went.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::super::aliases::Aliases;
use super::super::glob::Folders;
use crate::moves::Moves;
use crate::path::RelPath;
use crate::tree::Tree;

pub(super) struct World<'a> {
    pub before: &'a Tree,
    pub after: &'a Tree,
    pub moves: &'a Moves,
    pub aliases: Aliases,
    pub files_after: Folders<'a>,
    folders: RefCell<HashMap<RelPath, RelPath>>,
}

impl<'a> World<'a> {
    pub fn new(before: &'a Tree, after: &'a Tree, moves: &'a Moves) -> World<'a> {
        let (aliases, files_after) = (Aliases::of(before), Folders::of(after));
        World { before, after, moves, aliases, files_after, folders: RefCell::new(HashMap::new()) }
    }

    /// Where one stands afterwards who stood in this folder: programs are started there, nothing in the text says so.
    pub fn standing(&self, folder: &RelPath) -> RelPath {
        if let Some(known) = self.folders.borrow().get(folder) {
            return known.clone();
        }
        let place = self.find_standing(folder);
        self.folders.borrow_mut().insert(folder.clone(), place.clone());
        place
    }
    fn find_standing(&self, folder: &RelPath) -> RelPath {
        if folder.is_root() {
            return folder.clone();
        }
        if let Some(went) = self.moves.folder(folder) {
            return went;
        }
        if self.before.given().contains(folder) {
            // The root of what is taken over: afterwards, the root of where most of it went.
            return self
                .most_of(folder, |path| self.before.given().iter().find(|given| path.is_within(given)).cloned());
        }
        for marker in MARKERS {
            let file = folder.join(marker);
            if self.before.is_file(&file) {
                return self.moves.after(&file).parent().unwrap_or_default();
            }
        }
        if self.after.is_folder(folder) { folder.clone() } else { self.majority(folder) }
    }
    /// Where most of what lies in a folder keeps its names below.
    pub fn majority(&self, folder: &RelPath) -> RelPath {
        self.most_of(folder, |_| None)
    }
    fn most_of(&self, folder: &RelPath, known: impl Fn(&RelPath) -> Option<RelPath>) -> RelPath {
        let mut counts: BTreeMap<RelPath, usize> = BTreeMap::new();
        for id in self.before.below(folder).filter(|id| self.before.entry(*id).is_whole()) {
            let path = self.before.path(id);
            let to = self.moves.after(path);
            let place = known(&to).or_else(|| to.without_end(&path.below(folder).unwrap_or_default()));
            if let Some(place) = place {
                *counts.entry(place).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(path, count)| (*count, std::cmp::Reverse(path.clone())));
        most.map_or_else(|| folder.clone(), |(path, _)| path)
    }
    /// The same for what a pattern matches.
    pub fn of_match(&self, path: &RelPath) -> Option<RelPath> {
        if self.before.is_folder(path) { self.moves.folder(path) } else { Some(self.moves.after(path)) }
    }
    /// The one place where everything in a folder went but the file that asks. None when it is split.
    pub fn whole(&self, folder: &RelPath, asking: &RelPath) -> Option<RelPath> {
        if folder.is_root() {
            return Some(folder.clone());
        }
        if let Some(went) = self.moves.folder(folder) {
            return Some(went);
        }
        if !asking.is_within(folder) {
            return None;
        }
        let mut ways = self.before.below(folder).filter(|id| self.before.entry(*id).is_whole()).filter_map(|id| {
            let path = self.before.path(id);
            (path != asking).then(|| self.moves.after(path).without_end(&path.below(folder).unwrap_or_default()))
        });
        let first = ways.next()??;
        ways.all(|way| way.as_ref() == Some(&first)).then_some(first)
    }
}

/// Files by which a folder is known as that of a project: who works in it goes where they go.
const MARKERS: [&[u8]; 8] = [
    b"package.json",
    b"pyproject.toml",
    b"go.mod",
    b"Cargo.toml",
    b"Makefile",
    b"docker-compose.yml",
    b"compose.yaml",
    b"Chart.yaml",
];
