//! From moves and new contents to the steps of a journal, in an order in which no name is ever taken twice: what is in
//! somebody's way goes to the staging place first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;

use anyhow::Result;
use base::tools::hash;

use super::commits::{self, Commits, Tracked};
use super::step::{Identity, Step};
use crate::git;
use crate::moves::{Fate, Moves};
use crate::path::RelPath;
use crate::tree::{Entry, FileId, Kind, Tree};

/// A content that is written: over what is there, or as something new.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its path after.
    pub path: RelPath,
    /// Of a link, the text of its target.
    pub content: Vec<u8>,
    /// The entry of before that it replaces the content of.
    pub replaces: Option<FileId>,
}

/// The steps, with what has to wait in the state before the first one is taken.
pub struct Built {
    pub steps: Vec<Step>,
    /// Where a new content waits, and which.
    pub waiting: Vec<(RelPath, Written)>,
    /// Time stamps of what is made anew: the latest of all that was there.
    pub latest: (i64, u32),
}

/// Where things of a restructure lie, relative to the root.
pub struct Places {
    /// The state's folder.
    pub state: RelPath,
}

impl Places {
    fn at(&self, folder: &str, number: usize) -> RelPath {
        self.state.join(folder.as_bytes()).join(number.to_string().as_bytes())
    }
}

pub fn build(tree: &Tree, moves: &Moves, written: Vec<Written>, places: &Places, has_commits: bool) -> Built {
    let news = written.iter().map(|written| (written.path.clone(), written.content.clone()));
    let after = tree.after(moves, news);
    let mut builder = Builder {
        tree,
        after: &after,
        places,
        steps: Vec::new(),
        late: Vec::new(),
        stored: 0,
        touched: BTreeSet::new(),
    };
    builder.moves(moves);
    builder.folders(moves);
    if has_commits {
        builder.steps.push(Step::Commit { is_second: false });
    }
    let waiting = builder.contents(written);
    if has_commits {
        builder.steps.push(Step::Commit { is_second: true });
    }
    let latest = latest(tree);
    builder.touch(latest);
    Built { steps: builder.steps, waiting, latest }
}

/// The latest time of all files that were there.
fn latest(tree: &Tree) -> (i64, u32) {
    tree.entries()
        .iter()
        .filter(|entry| entry.is_given && entry.is_file())
        .map(|entry| entry.mtime)
        .max()
        .unwrap_or((0, 0))
}

struct Builder<'a> {
    tree: &'a Tree,
    after: &'a Tree,
    places: &'a Places,
    steps: Vec<Step>,
    /// Steps that must wait until folders are gone: out of the staging place.
    late: Vec<Step>,
    stored: usize,
    /// Folders whose content changes.
    touched: BTreeSet<RelPath>,
}

impl Builder<'_> {
    fn moves(&mut self, moves: &Moves) {
        let mut direct = Vec::new();
        let mut staged = 0;
        for (from, fate) in moves.changes() {
            let Some(entry) = self.tree.at(from) else { continue };
            let identity = identity(entry);
            self.touch_around(from);
            match fate {
                Fate::DroppedFor(_) => {
                    let to = self.store();
                    direct.push(Step::Rename { from: from.clone(), to, identity });
                }
                Fate::At(to) if self.is_in_the_way(from, to) => {
                    let waits = self.places.at("stage", staged);
                    staged += 1;
                    self.steps.push(Step::Stage { from: from.clone(), stage: waits.clone(), identity });
                    self.late.push(Step::Unstage { stage: waits, to: to.clone() });
                    self.touch_around(to);
                }
                Fate::At(to) => {
                    direct.push(Step::Rename { from: from.clone(), to: to.clone(), identity });
                    self.touch_around(to);
                }
            }
        }
        self.make_folders(moves, false);
        self.steps.extend(direct);
    }

    /// Somebody has the name now, or a name above it, or the same one but for upper and lower case.
    fn is_in_the_way(&self, from: &RelPath, to: &RelPath) -> bool {
        let is_no_folder = |path: &RelPath| self.tree.at(path).is_some_and(|entry| entry.kind != Kind::Folder);
        self.tree.at(to).is_some()
            || to.ancestors().any(|above| is_no_folder(&above))
            || from.bytes().eq_ignore_ascii_case(to.bytes())
    }

    fn folders(&mut self, moves: &Moves) {
        // Deepest first: a path sorts before what lies in it.
        for entry in self
            .tree
            .entries()
            .iter()
            .rev()
            .filter(|entry| entry.kind == Kind::Folder && entry.is_given && entry.closed.is_none())
        {
            if self.after.is_folder(&entry.path) {
                continue;
            }
            let owner = entry
                .path
                .on(self.tree.root().as_std_path())
                .symlink_metadata()
                .map_or((0, 0), |facts| (facts.uid(), facts.gid()));
            self.touch_around(&entry.path);
            self.steps.push(Step::RemoveFolder {
                path: entry.path.clone(),
                mode: entry.mode,
                mtime: entry.mtime,
                owner,
            });
        }
        self.make_folders(moves, true);
        self.steps.append(&mut self.late);
    }

    /// New folders; late ones have a name that was a file's, or lie in one.
    fn make_folders(&mut self, moves: &Moves, late: bool) {
        let modes = folder_modes(self.tree, moves);
        let was_file = |path: &RelPath| self.tree.at(path).is_some_and(|entry| entry.kind != Kind::Folder);
        let mut new = Vec::new();
        for entry in
            self.after.entries().iter().filter(|entry| entry.kind == Kind::Folder && !self.tree.is_folder(&entry.path))
        {
            let is_late = was_file(&entry.path) || entry.path.ancestors().any(|above| was_file(&above));
            if is_late == late {
                // What people put files into must let its owner in.
                let mode = modes.get(&entry.path).copied().unwrap_or(0o755) | 0o700;
                new.push(Step::MakeFolder { path: entry.path.clone(), mode });
            }
        }
        for step in new {
            if let Step::MakeFolder { path, .. } = &step {
                self.touch_around(path);
                self.touched.insert(path.clone());
            }
            self.steps.push(step);
        }
    }

    fn contents(&mut self, written: Vec<Written>) -> Vec<(RelPath, Written)> {
        let mut waiting = Vec::new();
        for (number, written) in written.into_iter().enumerate() {
            let new = self.places.at("new", number);
            let (path, sha256) = (written.path.clone(), hash::sha256(&written.content));
            self.touch_around(&path);
            let step = match written.replaces {
                Some(_) => Step::Rewrite { path, new: new.clone(), store: self.store(), sha256 },
                None => Step::Create { path, new: new.clone(), sha256 },
            };
            self.steps.push(step);
            waiting.push((new, written));
        }
        waiting
    }

    fn touch(&mut self, latest: (i64, u32)) {
        // The folder above the state changes with the state itself.
        let target = self.places.state.parent().and_then(|ops| ops.parent()).unwrap_or_default();
        self.touched.insert(target);
        let is_folder =
            |path: &&RelPath| self.after.at(path).is_some_and(|entry| entry.is_given && entry.kind == Kind::Folder);
        let there = self.touched.iter().filter(is_folder);
        let steps: Vec<Step> = there.rev().map(|path| Step::Touch { path: path.clone(), mtime: latest }).collect();
        self.steps.extend(steps);
    }

    fn touch_around(&mut self, path: &RelPath) {
        self.touched.extend(path.parent());
    }
    fn store(&mut self) -> RelPath {
        self.stored += 1;
        self.places.at("store", self.stored)
    }
}

fn identity(entry: &Entry) -> Identity {
    let size = match &entry.kind {
        Kind::Symlink(target) => target.len() as u64,
        _ => entry.size,
    };
    Identity { inode: entry.inode, size, mtime: entry.mtime }
}

/// A new folder lets nobody in whom one of the folders did not let in that its files come from.
fn folder_modes(tree: &Tree, moves: &Moves) -> HashMap<RelPath, u32> {
    let mut modes: HashMap<RelPath, u32> = HashMap::new();
    for (from, fate) in moves.changes() {
        let Fate::At(to) = fate else { continue };
        let mode = from.parent().and_then(|folder| tree.at(&folder)).map_or(0o755, |folder| folder.mode & 0o777);
        for folder in to.ancestors() {
            *modes.entry(folder).or_insert(0o755) &= mode;
        }
    }
    modes
}

/// What each repository commits: only of what it tracks.
pub fn commits(tree: &Tree, moves: &Moves, written: &[Written]) -> Result<Vec<Commits>> {
    let mut all = Vec::new();
    for repository in tree.repositories() {
        let top = git::top_in(tree, repository);
        let Some(head) = commits::head(&repository.top)? else { continue };
        let tracked = |path: &RelPath| {
            let below = path.below(&top)?;
            let known = repository.tracked.get(&below)?;
            Some(Tracked { path: below, mode: known.mode.clone(), blob: known.blob.clone() })
        };
        let mut commits = Commits {
            top: top.clone(),
            head,
            old: Vec::new(),
            gone: Vec::new(),
            moved: Vec::new(),
            brought: Vec::new(),
            written: Vec::new(),
            summary: String::new(),
        };
        let (mut moved, mut dropped) = (0, 0);
        let mut new_paths: HashSet<RelPath> = HashSet::new();
        for (from, fate) in moves.changes() {
            let old = tracked(from);
            if let Fate::At(to) = fate
                && let Some(below) = to.below(&top)
            {
                if let Some(old) = &old {
                    commits.moved.push(Tracked { path: below.clone(), ..old.clone() });
                    new_paths.insert(below);
                    moved += 1;
                } else if is_tracked_elsewhere(tree, from, &top) {
                    commits.brought.push(below.clone());
                    new_paths.insert(below);
                }
            } else if old.is_some() {
                dropped += 1;
            }
            commits.old.extend(old);
        }
        commits.gone =
            commits.old.iter().map(|old| old.path.clone()).filter(|path| !new_paths.contains(path)).collect();
        if commits.old.is_empty() && commits.brought.is_empty() {
            continue;
        }
        for written in written {
            let Some(below) = written.path.below(&top) else { continue };
            let before = written.replaces.map(|id| tree.path(id).clone());
            let is_tracked = before.as_ref().is_none_or(|path| tracked(path).is_some() || new_paths.contains(&below));
            if is_tracked {
                commits.written.push(below);
                // Rewritten where it lies.
                commits.old.extend(before.filter(|path| *path == written.path).and_then(|path| tracked(&path)));
            }
        }
        let copies = if dropped == 0 { String::new() } else { format!(", {dropped} copies of others go") };
        commits.summary = format!("{moved} files move{copies}");
        all.push(commits);
    }
    Ok(all)
}

/// Tracked by a repository other than that at `top`.
fn is_tracked_elsewhere(tree: &Tree, path: &RelPath, top: &RelPath) -> bool {
    tree.repositories().iter().any(|repository| {
        let own = git::top_in(tree, repository);
        own != *top && path.below(&own).is_some_and(|below| repository.tracked.contains_key(&below))
    })
}

/// Old paths that must not come back: a folder that is gone as one, relative to the root; with where its content went,
/// where that is one place.
pub fn retired(tree: &Tree, after: &Tree, moves: &Moves) -> Vec<(RelPath, RelPath)> {
    let mut retired: BTreeMap<RelPath, RelPath> = BTreeMap::new();
    for (from, _) in moves.changes() {
        if after.at(from).is_some() {
            continue;
        }
        let is_gone = |folder: &RelPath| tree.is_given(folder) && after.at(folder).is_none();
        let folder = from.ancestors().filter(is_gone).last();
        match folder {
            Some(folder) => {
                let to = moves.folder(&folder).unwrap_or_default();
                retired.insert(folder, to);
            }
            None => {
                retired.insert(from.clone(), moves.after(from));
            }
        }
    }
    retired.into_iter().collect()
}
