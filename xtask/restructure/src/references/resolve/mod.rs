//! What each mention means in a tree: on which of the folders it may be read from, and what lies there.
//!
//! Where a script runs is settled by evidence: who calls it from where, and in which folder most of what it names is
//! there. Only where that leaves two answers a reference is ambiguous.

mod places;
mod resolver;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::aliases::Aliases;
use super::glob::Folders;
use super::mention::{Anchor, Mention, Said, Weight};
use super::runtime::Runtime;
use super::{Base, Outcome, Reference, Target};
use crate::contents::Spoken;
use crate::path::RelPath;
use crate::tree::{FileId, Kind, Tree};
use places::Places;
pub(crate) use places::page_folder;
use resolver::Resolver;
pub(crate) use resolver::through_links;

/// One way to read a mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub anchor: Anchor,
    /// What the text is joined to: a folder, or a file of which the folder is asked (`..`).
    pub base: RelPath,
    /// Letters before the path that stand for the base: `@/` of an alias.
    pub skip: usize,
    pub target: Target,
}

/// What came of a mention.
#[derive(Clone, Debug)]
enum Found {
    Readings(Vec<Reading>),
    Broken,
    Runtime,
    External,
    /// Not a path after all.
    Nothing,
}

pub(crate) fn all(tree: &Tree, said: &[Spoken]) -> Vec<Reference> {
    let mut runtime = Runtime::of(tree);
    let aliases = Aliases::of(tree);
    let sites = places::sites(tree);
    let mut files: Vec<File> = said
        .iter()
        .map(|(id, _, said)| {
            let places = Places::of(tree, &sites, tree.path(*id));
            File { id: *id, places, found: Vec::new(), said: Arc::clone(said) }
        })
        .collect();
    files.extend(links(tree, &sites));
    files.sort_by_key(|file| file.id);
    for file in &files {
        file.made(tree, &mut runtime);
    }
    let index: HashMap<FileId, usize> = files.iter().enumerate().map(|(index, file)| (file.id, index)).collect();
    let world =
        World { tree, runtime, aliases, folders: Folders::of(tree), names: names(tree), has_links: has_links(tree) };
    let every: Vec<usize> = (0..files.len()).collect();
    world.settle(&mut files, &every);
    // A script that is called from somewhere runs there; that may settle where its own calls run, and so on.
    for _ in 0..CALL_ROUNDS {
        let mut callers: HashMap<usize, Vec<RelPath>> = HashMap::new();
        for file in &files {
            for (callee, folder) in file.runs(tree) {
                let Some(callee) = index.get(&callee) else { continue };
                let places = callers.entry(*callee).or_default();
                if !places.contains(&folder) && places.len() < MOST_CALLERS {
                    places.push(folder);
                }
            }
        }
        let mut changed = Vec::new();
        for (callee, folders) in callers {
            if files[callee].places.callers != folders {
                files[callee].places.callers = folders;
                changed.push(callee);
            }
        }
        if changed.is_empty() {
            break;
        }
        world.settle(&mut files, &changed);
    }
    let mut references = Vec::new();
    for file in files {
        file.references(&mut references);
    }
    references
}

/// Symbolic links, each a text that is one path.
fn links(tree: &Tree, sites: &HashSet<RelPath>) -> impl Iterator<Item = File> {
    tree.ids().filter(|id| tree.entry(*id).is_given).filter_map(|id| {
        let Kind::Symlink(target) = &tree.entry(id).kind else { return None };
        let mention =
            Mention::new(super::Kind::Symlink, 0..target.len(), target.as_slice(), Anchor::Own).weight(Weight::Sure);
        let said = Arc::new(Said { mentions: vec![mention], places: vec![(1, 1)], ..Said::default() });
        let places = Places::of(tree, sites, tree.path(id));
        (target.first() != Some(&b'/')).then(|| File { id, places, said, found: Vec::new() })
    })
}

/// What all files are resolved in.
struct World<'a> {
    tree: &'a Tree,
    runtime: Runtime,
    aliases: Aliases,
    folders: Folders<'a>,
    /// The last part of every path there is: most words that are none end here.
    names: HashSet<&'a [u8]>,
    has_links: bool,
}

impl World<'_> {
    /// Settles the mentions of some files, side by side on every core.
    fn settle(&self, files: &mut [File], which: &[usize]) {
        let next = AtomicUsize::new(0);
        let threads = thread::available_parallelism().map_or(1, usize::from).min(which.len().max(1));
        let shared: &[File] = files;
        let work = || {
            let mut done = Vec::new();
            while let Some(index) = which.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((*index, Resolver::new(self, &shared[*index]).all()));
            }
            done
        };
        let parts: Vec<Vec<(usize, Vec<Found>)>> = thread::scope(|scope| {
            let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            workers.into_iter().filter_map(|worker| worker.join().ok()).chain([own]).collect()
        });
        for (index, found) in parts.into_iter().flatten() {
            files[index].found = found;
        }
    }
}

fn names(tree: &Tree) -> HashSet<&[u8]> {
    tree.entries().iter().map(|entry| entry.path.name()).collect()
}

fn has_links(tree: &Tree) -> bool {
    tree.entries().iter().any(|entry| matches!(entry.kind, Kind::Symlink(_)))
}

const CALL_ROUNDS: usize = 3;
const MOST_CALLERS: usize = 8;
const MANY_IMPORTS: usize = 8;

struct File {
    id: FileId,
    places: Places,
    said: Arc<Said>,
    found: Vec<Found>,
}

impl File {
    /// What it writes.
    fn made(&self, tree: &Tree, runtime: &mut Runtime) {
        for mention in &self.said.mentions {
            if mention.weight != Weight::Made || mention.is_pattern {
                continue;
            }
            for base in &mention.bases {
                let folders = match base {
                    Anchor::Own => vec![&self.places.own],
                    Anchor::Root | Anchor::Cwd | Anchor::Above => {
                        self.places.roots.iter().chain([&self.places.own]).collect()
                    }
                    Anchor::At(_) | Anchor::Outside | Anchor::Modules | Anchor::Page | Anchor::Project => Vec::new(),
                };
                for folder in folders {
                    let path = folder.resolve(&[mention.text.as_slice(), &mention.tail].concat());
                    if let Some(path) = path.filter(|path| !path.is_root() && tree.get(path).is_none()) {
                        runtime.makes(path);
                    }
                }
            }
        }
    }

    /// Files that it runs, and where.
    fn runs(&self, tree: &Tree) -> Vec<(FileId, RelPath)> {
        let mut runs = Vec::new();
        for run in &self.said.runs {
            let Some(Found::Readings(readings)) = self.found.get(run.what) else { continue };
            let [Reading { target: Target::File(path), .. }] = readings.as_slice() else { continue };
            let Some(callee) = tree.get(path) else { continue };
            for anchor in &run.folders {
                let folder = match anchor {
                    Anchor::Own => Some(self.places.own.clone()),
                    Anchor::Root => self.places.roots.first().cloned(),
                    Anchor::At(number) => match self.found.get(*number) {
                        Some(Found::Readings(readings)) => match readings.as_slice() {
                            [Reading { target: Target::Folder(folder), .. }] => Some(folder.clone()),
                            _ => None,
                        },
                        _ => None,
                    },
                    // Where the caller itself was found to run.
                    Anchor::Cwd => readings
                        .iter()
                        .find(|reading| reading.anchor == Anchor::Cwd)
                        .map(|reading| reading.base.clone()),
                    Anchor::Above | Anchor::Outside | Anchor::Modules | Anchor::Page | Anchor::Project => None,
                };
                runs.extend(folder.map(|folder| (callee, folder)));
            }
        }
        runs
    }

    fn references(self, references: &mut Vec<Reference>) {
        for (number, (mention, found)) in self.said.mentions.iter().zip(self.found).enumerate() {
            let (outcome, readings) = match found {
                Found::Nothing => continue,
                Found::Broken => (Outcome::Broken, Vec::new()),
                Found::Runtime => (Outcome::Runtime, Vec::new()),
                Found::External => (Outcome::External, Vec::new()),
                Found::Readings(readings) => {
                    let mut targets: Vec<Target> = Vec::new();
                    for reading in &readings {
                        if !targets.contains(&reading.target) {
                            targets.push(reading.target.clone());
                        }
                    }
                    if targets.len() == 1 {
                        (Outcome::Resolved(targets.remove(0)), readings)
                    } else {
                        (Outcome::Ambiguous(targets), readings)
                    }
                }
            };
            let (line, column) = self.said.places.get(number).copied().unwrap_or_default();
            let base = Base {
                folder: match readings.as_slice() {
                    [one] => Some(one.base.clone()),
                    _ => None,
                },
                why: readings.first().map_or(Anchor::Outside, |reading| reading.anchor).why(),
            };
            references.push(Reference {
                file: self.id,
                span: mention.span.clone(),
                text: [mention.text.as_slice(), &mention.tail].concat(),
                kind: mention.kind,
                line,
                column,
                base,
                outcome,
                number,
                mention: mention.clone(),
                readings,
            });
        }
    }
}

impl Anchor {
    fn why(self) -> &'static str {
        match self {
            Anchor::Own => "the folder of the file",
            Anchor::Page => "the page that the file is served as",
            Anchor::Root => "the root",
            Anchor::Project => "the folder that Compose is told to be in",
            Anchor::Cwd => "the folder where it runs",
            Anchor::Above => "the folder of the file or one above it",
            Anchor::At(_) => "a folder named before",
            Anchor::Modules => "where modules are looked up",
            Anchor::Outside => "a folder that is not known",
        }
    }
}
