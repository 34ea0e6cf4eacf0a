//! A snapshot of the given folders: what lies where, as the file system has it. Everything else stands on it. Content is
//! read when it is asked for; no symbolic link is followed, nothing outside the root is looked at.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::git::Repository;
use crate::moves::Moves;
use crate::path::RelPath;

mod read;

/// An entry of one tree, by its place in the order of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    /// With the text of its target.
    Symlink(Vec<u8>),
    Folder,
    /// A socket, a pipe, a device.
    Other,
}

/// How git sees an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Git {
    Tracked,
    Untracked,
    Ignored,
    /// There is no repository.
    Outside,
}

/// Why the inside of a folder is not listed: it is one thing, and stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A repository of its own, or a submodule.
    Repository,
    /// git ignores it: made at run time.
    Ignored,
    /// node_modules, a virtual environment, a cache that says it is one.
    Dependencies,
    /// The files of a database server.
    Data,
    /// State of this program.
    State,
    /// With the error of the file system.
    Unreadable(String),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub path: RelPath,
    pub kind: Kind,
    /// Bytes of a file; 0 for everything else.
    pub size: u64,
    /// Permission bits, 0o7777.
    pub mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Device and inode: two entries with the same are hard links of one file.
    pub inode: (u64, u64),
    /// Names that the inode has anywhere.
    pub links: u64,
    pub git: Git,
    pub closed: Option<Closed>,
    /// Lies in a given folder. What does not is only known by name, as its repository lists it, and never written.
    pub is_given: bool,
}

impl Entry {
    /// A file, a link, a closed folder: what moves or stays as one.
    pub fn is_whole(&self) -> bool {
        self.kind != Kind::Folder || self.closed.is_some()
    }
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
    pub fn is_executable(&self) -> bool {
        self.kind == Kind::File && self.mode & 0o111 != 0
    }
}

/// Where the bytes of an entry are, when they are not on disk at its path.
#[derive(Clone, Debug)]
enum Content {
    /// On disk, at another path below the root.
    At(RelPath),
    Bytes(Arc<[u8]>),
}

pub struct Tree {
    root: Utf8PathBuf,
    given: Vec<RelPath>,
    entries: Vec<Entry>,
    index: HashMap<RelPath, FileId>,
    digests: Vec<OnceLock<Digest>>,
    content: HashMap<FileId, Content>,
    repositories: Vec<Repository>,
}

/// SHA-256 of a content.
pub type Digest = [u8; 32];

impl Tree {
    /// Reads the given folders. The root is the top of their repository, or the nearest folder that holds them all; what
    /// of the repository lies outside the given folders is listed by name.
    pub fn read(given: &[&Utf8Path]) -> Result<Tree> {
        read::tree(given, &[])
    }
    /// The same without some files, which lie in the folders but are none of their content.
    pub fn read_without(given: &[&Utf8Path], state: &[&Utf8Path]) -> Result<Tree> {
        read::tree(given, state)
    }

    /// `entries` in any order.
    fn new(root: Utf8PathBuf, given: Vec<RelPath>, mut entries: Vec<Entry>) -> Tree {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let ids = (0..).map(FileId);
        let index = entries.iter().zip(ids).map(|(entry, id)| (entry.path.clone(), id)).collect();
        let digests = entries.iter().map(|_| OnceLock::new()).collect();
        Tree { root, given, entries, index, digests, content: HashMap::new(), repositories: Vec::new() }
    }

    /// Absolute, without symbolic links.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }
    /// The folders that may be written, none inside another.
    pub fn given(&self) -> &[RelPath] {
        &self.given
    }
    pub fn is_given(&self, path: &RelPath) -> bool {
        self.given.iter().any(|folder| path.is_within(folder))
    }
    pub fn repositories(&self) -> &[Repository] {
        &self.repositories
    }
    /// Every entry, sorted by the bytes of its path; the root is the first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
    pub fn ids(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..self.entries.len() as u32).map(FileId)
    }
    pub fn entry(&self, id: FileId) -> &Entry {
        &self.entries[id.index()]
    }
    pub fn path(&self, id: FileId) -> &RelPath {
        &self.entries[id.index()].path
    }
    pub fn get(&self, path: &RelPath) -> Option<FileId> {
        self.index.get(path).copied()
    }
    pub fn at(&self, path: &RelPath) -> Option<&Entry> {
        self.get(path).map(|id| self.entry(id))
    }
    /// A regular file.
    pub fn is_file(&self, path: &RelPath) -> bool {
        self.at(path).is_some_and(Entry::is_file)
    }
    pub fn is_folder(&self, path: &RelPath) -> bool {
        self.at(path).is_some_and(|entry| entry.kind == Kind::Folder)
    }
    /// The closed folder that is `path` or holds it: what lies in there is not listed, so nothing can be said about it.
    pub fn closed(&self, path: &RelPath) -> Option<&Entry> {
        let itself = self.at(path).filter(|entry| entry.closed.is_some());
        itself.or_else(|| path.ancestors().find_map(|folder| self.at(&folder).filter(|entry| entry.closed.is_some())))
    }
    /// Everything below a folder, itself aside, in order.
    pub fn below(&self, folder: &RelPath) -> impl Iterator<Item = FileId> + use<> {
        let (first, last) = if folder.is_root() {
            (1.min(self.entries.len()), self.entries.len())
        } else {
            // What lies below stands together: its paths begin with the folder's and a slash.
            let prefix = folder.join(b"");
            let first = self.entries.partition_point(|entry| entry.path.bytes() < prefix.bytes());
            let rest = &self.entries[first..];
            (first, first + rest.partition_point(|entry| entry.path.bytes().starts_with(prefix.bytes())))
        };
        (first as u32..last as u32).map(FileId)
    }
    /// What lies directly in a folder, in order.
    pub fn children(&self, folder: &RelPath) -> impl Iterator<Item = FileId> + use<'_> {
        let skip = if folder.is_root() { 0 } else { folder.bytes().len() + 1 };
        self.below(folder).filter(move |id| !self.path(*id).bytes()[skip..].contains(&b'/'))
    }
    /// Files whose content may hold references: those in the given folders.
    pub fn sources(&self) -> impl Iterator<Item = FileId> + use<'_> {
        self.ids().filter(|id| self.entry(*id).is_given && self.entry(*id).is_file())
    }

    /// Where an entry's bytes are on disk; None for what exists only in this value.
    pub fn on_disk(&self, id: FileId) -> Option<std::path::PathBuf> {
        self.place(id).map(|path| path.on(self.root.as_std_path()))
    }
    /// The path at which the bytes of an entry lie on disk, when they lie there.
    pub fn place(&self, id: FileId) -> Option<&RelPath> {
        match self.content.get(&id) {
            None => Some(self.path(id)),
            Some(Content::At(path)) => Some(path),
            Some(Content::Bytes(_)) => None,
        }
    }
    /// All bytes of a file; of a symbolic link, where it leads.
    pub fn content(&self, id: FileId) -> Result<Cow<'_, [u8]>> {
        if let Kind::Symlink(target) = &self.entry(id).kind {
            return Ok(Cow::Borrowed(target));
        }
        if let Some(Content::Bytes(bytes)) = self.content.get(&id) {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.entry(id).size).unwrap_or(0).saturating_add(1));
        self.open(id)?.read_to_end(&mut bytes).with_context(|| self.unreadable(id))?;
        Ok(Cow::Owned(bytes))
    }
    /// The first bytes of a file, at most so many.
    pub fn head(&self, id: FileId, most: usize) -> Result<Cow<'_, [u8]>> {
        if let Some(Content::Bytes(bytes)) = self.content.get(&id) {
            return Ok(Cow::Borrowed(&bytes[..bytes.len().min(most)]));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.entry(id).size).unwrap_or(most).min(most) + 1);
        self.open(id)?.take(most as u64).read_to_end(&mut bytes).with_context(|| self.unreadable(id))?;
        Ok(Cow::Owned(bytes))
    }
    /// A file whose bytes are on disk, opened without following a link.
    pub fn open(&self, id: FileId) -> Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.on_disk(id).with_context(|| self.unreadable(id))?;
        // NONBLOCK: a pipe that took the file's place since must not hang us.
        let flags = base::tools::os::NO_FOLLOW | base::tools::os::NO_BLOCK;
        File::options().read(true).custom_flags(flags).open(path).with_context(|| self.unreadable(id))
    }
    pub(crate) fn unreadable(&self, id: FileId) -> String {
        format!("failed to read `{}`", self.path(id))
    }

    /// SHA-256 of a file's content; asked twice it is read once.
    pub fn digest(&self, id: FileId) -> Result<Digest> {
        if let Some(digest) = self.digests[id.index()].get() {
            return Ok(*digest);
        }
        let digest = match self.content.get(&id) {
            Some(Content::Bytes(bytes)) => base::tools::hash::digest(bytes),
            _ => base::tools::hash::digest_of(self.open(id)?).with_context(|| self.unreadable(id))?,
        };
        Ok(*self.digests[id.index()].get_or_init(|| digest))
    }
    /// For who has read the content anyway.
    pub fn remember_digest(&self, id: FileId, digest: Digest) {
        let _first = self.digests[id.index()].set(digest);
    }

    /// A tree that is no more, from its entries and the place below the root where the content of each lies now.
    pub fn rebuilt(
        root: Utf8PathBuf,
        given: Vec<RelPath>,
        entries: Vec<(Entry, Option<RelPath>)>,
        digests: &HashMap<RelPath, Digest>,
    ) -> Tree {
        let mut places: HashMap<RelPath, RelPath> = HashMap::new();
        let mut list = Vec::with_capacity(entries.len());
        for (entry, place) in entries {
            places.extend(place.map(|place| (entry.path.clone(), place)));
            list.push(entry);
        }
        let mut tree = Tree::new(root, given, list);
        let content = places.into_iter().filter_map(|(path, place)| Some((tree.get(&path)?, Content::At(place))));
        tree.content = content.collect();
        for (path, digest) in digests {
            if let Some(id) = tree.get(path) {
                tree.remember_digest(id, *digest);
            }
        }
        tree
    }

    /// The tree as it will be after the moves, with the content of some files (by their path after; of a link, its target) given here. Nothing
    /// is written: what is only moved is read from where it lies now.
    pub fn after(&self, moves: &Moves, written: impl IntoIterator<Item = (RelPath, Vec<u8>)>) -> Tree {
        let mut entries: HashMap<RelPath, (Entry, Option<Content>)> = HashMap::new();
        let is_emptied = |folder: &RelPath| {
            let mut wholes = self.below(folder).filter(|id| self.entry(*id).is_whole()).peekable();
            let had_some = wholes.peek().is_some();
            had_some && wholes.all(|id| moves.is_dropped(self.path(id)) || moves.after(self.path(id)) != *self.path(id))
        };
        for (id, entry) in self.ids().zip(&self.entries) {
            let to = moves.after(&entry.path);
            let goes = if entry.is_whole() { moves.is_dropped(&entry.path) } else { is_emptied(&entry.path) };
            if goes {
                continue;
            }
            let from = match self.content.get(&id) {
                Some(content) => Some(content.clone()),
                None => (to != entry.path).then(|| Content::At(entry.path.clone())),
            };
            entries.insert(to.clone(), (Entry { path: to, ..entry.clone() }, from));
        }
        let plain = |path: &RelPath, kind: Kind, size: usize| Entry {
            path: path.clone(),
            mode: if kind == Kind::Folder { 0o755 } else { 0o644 },
            kind,
            size: size as u64,
            mtime: (0, 0),
            inode: (0, 0),
            links: 1,
            git: Git::Untracked,
            closed: None,
            is_given: true,
        };
        for (path, bytes) in written {
            let new = plain(&path, Kind::File, bytes.len());
            let (entry, content) = entries.entry(path).or_insert((new, None));
            if let Kind::Symlink(target) = &mut entry.kind {
                *target = bytes;
                continue;
            }
            entry.size = bytes.len() as u64;
            *content = Some(Content::Bytes(bytes.into()));
        }
        let folders: std::collections::HashSet<RelPath> = entries.keys().flat_map(RelPath::ancestors).collect();
        for folder in folders {
            let new = (plain(&folder, Kind::Folder, 0), None);
            entries.entry(folder).or_insert(new);
        }
        let mut contents: HashMap<RelPath, Content> = HashMap::new();
        let mut list = Vec::with_capacity(entries.len());
        for (path, (entry, content)) in entries {
            contents.extend(content.map(|content| (path, content)));
            list.push(entry);
        }
        let mut tree = Tree::new(self.root.clone(), self.given.clone(), list);
        tree.content = contents.into_iter().filter_map(|(path, content)| Some((tree.get(&path)?, content))).collect();
        for id in self.ids() {
            let known = self.digests[id.index()].get();
            let after = tree
                .get(&moves.after(self.path(id)))
                .filter(|id| !matches!(tree.content.get(id), Some(Content::Bytes(_))));
            if let (Some(digest), Some(after)) = (known, after) {
                tree.remember_digest(after, *digest);
            }
        }
        tree
    }
}

impl FileId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests;
