//! From the disk to a [`Tree`]: a walk of the given folders, with what git says of them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use base::ui::Failure;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Closed, Entry, Git, Kind, Tree};
use crate::git::{self, Repository};
use crate::path::RelPath;

pub(super) fn tree(given: &[&Utf8Path], state: &[&Utf8Path]) -> Result<Tree> {
    let mut folders: Vec<Utf8PathBuf> = Vec::new();
    for folder in given {
        folders.push(canonical(folder)?);
    }
    let tops = folders.iter().map(|folder| git::top(folder)).collect::<Result<Vec<_>>>()?;
    let around = folders.iter().zip(&tops).map(|(folder, top)| top.as_deref().unwrap_or(folder));
    let root = around.reduce(common).map(Utf8Path::to_owned).unwrap_or_default();
    let relative = |path: &Utf8Path| {
        let rest = path.strip_prefix(&root).unwrap_or(path);
        RelPath::new(rest.as_str()).with_context(|| format!("`{path}` is no proper path"))
    };
    // One inside another is read with the outer one.
    let mut given = folders.iter().map(|folder| relative(folder)).collect::<Result<Vec<_>>>()?;
    given.sort();
    given.dedup_by(|inner, outer| inner.is_within(outer));
    let mut tops: Vec<Utf8PathBuf> = tops.into_iter().flatten().collect();
    tops.sort();
    tops.dedup();
    let mut repositories = Vec::new();
    for top in tops {
        let here = relative(&top)?;
        let inside: Vec<RelPath> = given.iter().filter_map(|folder| folder.below(&here)).collect();
        repositories.push((here, Repository::read(&top, &inside)?));
    }
    let state = state.iter().filter_map(|path| {
        // Its folder is resolved, not the file itself, which may not be there.
        let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        RelPath::new(folder.canonicalize_utf8().ok()?.join(path.file_name()?).strip_prefix(&root).ok()?.as_str())
    });
    let state: HashSet<RelPath> = state.collect();
    let mut walk = Walk { root: &root, repositories: &repositories, state, entries: Vec::new(), error: None };
    for folder in &given {
        walk.folder(folder);
    }
    if let Some(error) = walk.error {
        return Err(error);
    }
    let mut entries = walk.entries;
    add_surroundings(&mut entries, &repositories, &given);
    let mut tree = Tree::new(root, given, entries);
    tree.repositories = repositories.into_iter().map(|(_, repository)| repository).collect();
    Ok(tree)
}

fn canonical(folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let path = folder
        .canonicalize_utf8()
        .map_err(|error| Failure::usage(format!("failed to read the folder `{folder}`: {error}")))?;
    if !path.is_dir() {
        return Err(Failure::usage(format!("`{folder}` is not a folder")).into());
    }
    Ok(path)
}

fn common<'a>(a: &'a Utf8Path, b: &'a Utf8Path) -> &'a Utf8Path {
    a.ancestors().find(|folder| b.starts_with(folder)).unwrap_or(a)
}

/// What the repositories track outside the given folders, and the folders above everything.
fn add_surroundings(entries: &mut Vec<Entry>, repositories: &[(RelPath, Repository)], given: &[RelPath]) {
    for (top, repository) in repositories {
        for (path, tracked) in &repository.tracked {
            let path = top.append(path);
            if given.iter().any(|folder| path.is_within(folder)) {
                continue;
            }
            let mode = u32::from_str_radix(&tracked.mode, 8).unwrap_or(0o100_644);
            let (kind, closed) = match mode & 0o170_000 {
                0o120_000 => (Kind::Symlink(Vec::new()), None),
                0o160_000 => (Kind::Folder, Some(Closed::Repository)),
                _ => (Kind::File, None),
            };
            entries.push(Entry { closed, mode: mode & 0o7777, ..outside(path, kind) });
        }
    }
    let known: HashSet<RelPath> = entries.iter().map(|entry| entry.path.clone()).collect();
    let above: HashSet<RelPath> = entries.iter().flat_map(|entry| entry.path.ancestors()).collect();
    entries.extend(above.difference(&known).map(|path| outside(path.clone(), Kind::Folder)));
    if entries.is_empty() {
        entries.push(outside(RelPath::default(), Kind::Folder));
    }
}

fn outside(path: RelPath, kind: Kind) -> Entry {
    let git = if kind == Kind::Folder { Git::Outside } else { Git::Tracked };
    Entry {
        path,
        kind,
        size: 0,
        mode: 0o755,
        mtime: (0, 0),
        inode: (0, 0),
        links: 1,
        git,
        closed: None,
        is_given: false,
    }
}

struct Walk<'a> {
    root: &'a Utf8Path,
    repositories: &'a [(RelPath, Repository)],
    state: HashSet<RelPath>,
    entries: Vec<Entry>,
    error: Option<anyhow::Error>,
}

impl Walk<'_> {
    /// A folder with everything in it, itself included. Folders wait in a list, not on the stack: a tree may be deep.
    fn folder(&mut self, given: &RelPath) {
        let mut waiting = vec![given.clone()];
        while let Some(folder) = waiting.pop() {
            let path = folder.on(self.root.as_std_path());
            let names = match path.symlink_metadata().and_then(|facts| Ok((facts, list(&path)?))) {
                Ok((facts, names)) => {
                    let closed = if folder == *given { None } else { self.why_closed(&folder, &names) };
                    let is_closed = closed.is_some();
                    self.add(folder.clone(), Kind::Folder, &facts, closed);
                    if is_closed { Vec::new() } else { names }
                }
                Err(error) if folder == *given => {
                    let error = Failure::usage(format!("failed to read the folder `{}`: {error}", path.display()));
                    self.error = Some(error.into());
                    return;
                }
                // It went away meanwhile, or it may not be read: known, and left alone.
                Err(error) => {
                    if let Ok(facts) = path.symlink_metadata() {
                        self.add(folder, Kind::Folder, &facts, Some(Closed::Unreadable(error.to_string())));
                    }
                    continue;
                }
            };
            for name in names.iter().filter(|name| *name != ".git") {
                self.entry(folder.join(name.as_bytes()), &mut waiting);
            }
        }
    }

    fn entry(&mut self, path: RelPath, waiting: &mut Vec<RelPath>) {
        let full = path.on(self.root.as_std_path());
        let Ok(facts) = full.symlink_metadata() else { return };
        if self.state.contains(&path) {
            return;
        }
        let kind = facts.file_type();
        if kind.is_dir() {
            waiting.push(path);
        } else if kind.is_symlink() {
            let target = full.read_link().map(|target| target.as_os_str().as_bytes().to_vec()).unwrap_or_default();
            self.add(path, Kind::Symlink(target), &facts, None);
        } else {
            self.add(path, if kind.is_file() { Kind::File } else { Kind::Other }, &facts, None);
        }
    }

    fn add(&mut self, path: RelPath, kind: Kind, facts: &Metadata, closed: Option<Closed>) {
        let git = self.git(&path, &kind);
        self.entries.push(Entry {
            size: if kind == Kind::File { facts.len() } else { 0 },
            mode: facts.mode() & 0o7777,
            mtime: (facts.mtime(), u32::try_from(facts.mtime_nsec()).unwrap_or(0)),
            inode: (facts.dev(), facts.ino()),
            links: facts.nlink(),
            path,
            kind,
            git,
            closed,
            is_given: true,
        });
    }

    /// The innermost repository that holds a path, and the path in it.
    fn repository(&self, path: &RelPath) -> Option<(&Repository, RelPath)> {
        let holding = self.repositories.iter().filter_map(|(top, known)| Some((top, known, path.below(top)?)));
        holding.max_by_key(|(top, ..)| top.bytes().len()).map(|(_, known, inside)| (known, inside))
    }

    fn git(&self, path: &RelPath, kind: &Kind) -> Git {
        match self.repository(path) {
            None => Git::Outside,
            Some((known, inside)) if known.ignored.contains(&inside) => Git::Ignored,
            Some((known, inside)) if *kind == Kind::Folder || known.tracked.contains_key(&inside) => Git::Tracked,
            Some((known, inside)) if known.untracked.contains(&inside) => Git::Untracked,
            // A file that came after git was asked.
            Some(_) => Git::Untracked,
        }
    }

    fn why_closed(&self, folder: &RelPath, names: &[std::ffi::OsString]) -> Option<Closed> {
        let has = |name: &str| names.iter().any(|known| known == OsStr::new(name));
        let name = folder.name();
        let in_repository = self.repository(folder);
        let is_ignored = in_repository.as_ref().is_some_and(|(known, inside)| known.ignored.contains(inside));
        let is_top = self.repositories.iter().any(|(top, _)| top == folder);
        let is_tracked = || {
            let prefix = |inside: &RelPath| inside.join(b"");
            in_repository.as_ref().is_some_and(|(known, inside)| {
                let prefix = prefix(inside);
                known.tracked.keys().any(|path| path.bytes().starts_with(prefix.bytes()))
            })
        };
        let is_bare = has("HEAD") && has("objects") && has("refs");
        let is_cache = has("CACHEDIR.TAG") || has("pyvenv.cfg") || name == b"node_modules" || name == b".terraform";
        let is_postgres = has("PG_VERSION") && has("base") && has("global");
        let is_mysql = has("ibdata1") || (has("mysql.ibd") && has("undo_001"));
        let is_mongo = has("WiredTiger") && has("WiredTiger.wt");
        let is_state = name == b".ops" && (has("restructure") || has("run") || has("locks"));
        if !is_top && (has(".git") || is_bare) {
            Some(Closed::Repository)
        } else if is_state {
            Some(Closed::State)
        } else if is_postgres || is_mysql || is_mongo {
            Some(Closed::Data)
        } else if is_ignored {
            Some(Closed::Ignored)
        } else if is_cache && !is_tracked() {
            Some(Closed::Dependencies)
        } else {
            None
        }
    }
}

fn list(folder: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}
