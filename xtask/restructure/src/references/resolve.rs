//! What each mention means in a tree: on which of the folders it may be read from, and what lies there.
//!
//! Where a script runs is settled by evidence: who calls it from where, and in which folder most of what it names is
//! there. Only where that leaves two answers a reference is ambiguous.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::aliases::Aliases;
use super::cache::Spoken;
use super::glob::Folders;
use super::mention::{Anchor, Form, Mention, Said, Weight};
use super::modules;
use super::runtime::Runtime;
use super::{Base, Outcome, Reference, Target, bytes};
use crate::path::RelPath;
use crate::tree::{Closed, FileId, Kind, Tree};

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

/// The folders a file's paths may be read from.
#[derive(Clone, Debug, Default)]
struct Places {
    own: RelPath,
    /// Roots of what it belongs to: its repository, the given folder; for CI the folder that holds `.github`.
    roots: Vec<RelPath>,
    /// Where those who run it stand.
    callers: Vec<RelPath>,
    /// Folders between its own and the roots, nearest first.
    above: Vec<RelPath>,
    /// Where a site would serve it, when it is a document.
    page: Option<RelPath>,
    /// It belongs to a site, whose links may be routes.
    is_of_site: bool,
    /// Test data and the like: nothing in it must be there.
    is_sample: bool,
}

impl Places {
    fn of(tree: &Tree, path: &RelPath) -> Places {
        let own = path.parent().unwrap_or_default();
        let mut roots = Vec::new();
        let parts: Vec<&[u8]> = own.parts().collect();
        if let Some(index) =
            parts.iter().position(|part| matches!(*part, b".github" | b".circleci" | b".buildkite" | b".gitlab"))
        {
            roots.extend(RelPath::new(parts[..index].join(&b'/')));
        }
        if roots.is_empty() {
            roots.push(RelPath::default());
        }
        for given in tree.given() {
            if path.is_within(given) && !roots.contains(given) {
                roots.push(given.clone());
            }
        }
        let above = own.ancestors().filter(|folder| !roots.contains(folder)).collect();
        let is_document = matches!(path.extension(), b"md" | b"mdx" | b"markdown");
        let is_of_site =
            is_document && [&own].into_iter().chain(&above).chain(&roots).any(|folder| is_site(tree, folder));
        let is_sample = path.parts().any(is_sample);
        let page = if is_document { page_folder(path) } else { None };
        Places { own, roots, callers: Vec::new(), above, page, is_of_site, is_sample }
    }
}

/// The folder that a document is served as; None for the page of a folder.
pub(crate) fn page_folder(path: &RelPath) -> Option<RelPath> {
    let name = path.name();
    let stem = &name[..name.iter().rposition(|byte| *byte == b'.')?];
    let is_index = matches!(stem.to_ascii_lowercase().as_slice(), b"index" | b"_index" | b"readme");
    Some(path.parent()?.join(stem)).filter(|_| !is_index)
}

fn is_site(tree: &Tree, folder: &RelPath) -> bool {
    let markers: [&[u8]; 17] = [
        b"mkdocs.yml",
        b"docusaurus.config.js",
        b"docusaurus.config.ts",
        b"_config.yml",
        b"_index.md",
        b"book.toml",
        b"SUMMARY.md",
        b"sidebars.js",
        b"sidebars.json",
        b".vitepress",
        b"docs.json",
        b"mint.json",
        b"antora.yml",
        b"conf.py",
        b"hugo.toml",
        b"gatsby-config.js",
        b"next.config.js",
    ];
    markers.iter().any(|marker| tree.get(&folder.join(marker)).is_some())
}

fn is_sample(part: &[u8]) -> bool {
    let words: [&[u8]; 10] = [
        b"testdata",
        b"testdata2",
        b"fixtures",
        b"__fixtures__",
        b"test-fixtures",
        b"__snapshots__",
        b"golden",
        b"test-data",
        b"test_data",
        b"__mocks__",
    ];
    words.contains(&part)
}

pub(crate) fn all(tree: &Tree, said: Vec<Spoken>) -> Vec<Reference> {
    let mut runtime = Runtime::of(tree);
    let aliases = Aliases::of(tree);
    let mut files: Vec<File> = said
        .into_iter()
        .map(|(id, _, said)| File { id, places: Places::of(tree, tree.path(id)), found: Vec::new(), said })
        .collect();
    files.extend(links(tree));
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
        file.references(tree, &mut references);
    }
    references
}

/// Symbolic links, each a text that is one path.
fn links(tree: &Tree) -> impl Iterator<Item = File> {
    tree.ids().filter(|id| tree.entry(*id).is_given).filter_map(|id| {
        let Kind::Symlink(target) = &tree.entry(id).kind else { return None };
        let mention =
            Mention::new(super::Kind::Symlink, 0..target.len(), target.as_slice(), Anchor::Own).weight(Weight::Sure);
        let said = Arc::new(Said { mentions: vec![mention], ..Said::default() });
        let places = Places::of(tree, tree.path(id));
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
                done.push((*index, Resolver { world: self, tree: self.tree, file: &shared[*index] }.all()));
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
                    Anchor::At(_) | Anchor::Outside | Anchor::Modules | Anchor::Page => Vec::new(),
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
                    Anchor::Above | Anchor::Outside | Anchor::Modules | Anchor::Page => None,
                };
                runs.extend(folder.map(|folder| (callee, folder)));
            }
        }
        runs
    }

    fn references(self, tree: &Tree, references: &mut Vec<Reference>) {
        let mut lines: Option<Vec<usize>> = None;
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
            let starts = lines.get_or_insert_with(|| line_starts(tree, self.id));
            let line = starts.partition_point(|start| *start <= mention.span.start);
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
                column: mention.span.start - starts.get(line.wrapping_sub(1)).copied().unwrap_or(0) + 1,
                base,
                outcome,
                number,
                mention: mention.clone(),
                readings,
            });
        }
    }
}

fn line_starts(tree: &Tree, id: FileId) -> Vec<usize> {
    if !tree.entry(id).is_file() {
        return vec![0];
    }
    let content = tree.content(id).unwrap_or_default();
    let ends = content.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    [0].into_iter().chain(ends).collect()
}

impl Anchor {
    fn why(self) -> &'static str {
        match self {
            Anchor::Own => "the folder of the file",
            Anchor::Page => "the page that the file is served as",
            Anchor::Root => "the root",
            Anchor::Cwd => "the folder where it runs",
            Anchor::Above => "the folder of the file or one above it",
            Anchor::At(_) => "a folder named before",
            Anchor::Modules => "where modules are looked up",
            Anchor::Outside => "a folder that is not known",
        }
    }
}

struct Resolver<'a> {
    world: &'a World<'a>,
    tree: &'a Tree,
    file: &'a File,
}

/// Folders to try together: what is found in one of a tier counts before the next is looked at.
type Tiers = Vec<Vec<(Anchor, RelPath)>>;

impl Resolver<'_> {
    fn all(&self) -> Vec<Found> {
        let mentions = &self.file.said.mentions;
        let mut found: Vec<Option<Found>> = vec![None; mentions.len()];
        let votes = self.votes();
        for number in 0..mentions.len() {
            self.settle(number, &mut found, &votes, 0);
        }
        let mut found: Vec<Found> = found.into_iter().map(|found| found.unwrap_or(Found::Nothing)).collect();
        self.forgive_bundles(&mut found);
        found
    }

    /// A bundle holds the modules that its parts import: where many imports lead nowhere and few somewhere, that is one.
    fn forgive_bundles(&self, found: &mut [Found]) {
        let modules: Vec<usize> =
            (0..found.len()).filter(|index| self.file.said.mentions[*index].form == Form::Module).collect();
        let count = |is: fn(&Found) -> bool| modules.iter().filter(|index| is(&found[**index])).count();
        let broken = count(|found| matches!(found, Found::Broken));
        if broken >= MANY_IMPORTS && broken >= count(|found| matches!(found, Found::Readings(_))) {
            for index in modules.into_iter().filter(|index| matches!(found[*index], Found::Broken)).collect::<Vec<_>>()
            {
                found[index] = Found::External;
            }
        }
    }

    /// How much of what the file names lies where it would be, were it run in a folder.
    fn votes(&self) -> HashMap<RelPath, usize> {
        let mut votes: HashMap<RelPath, usize> = HashMap::new();
        for mention in &self.file.said.mentions {
            let is_asked = mention.bases.iter().any(|base| matches!(base, Anchor::Cwd | Anchor::Above));
            if !is_asked || matches!(mention.weight, Weight::Made | Weight::Idle) || mention.is_pattern {
                continue;
            }
            let path = [mention.text.as_slice(), &mention.tail].concat();
            let worth = if path.contains(&b'/') { 3 } else { 1 };
            let places = &self.file.places;
            let mut tried: Vec<&RelPath> = Vec::new();
            for folder in places.callers.iter().chain(&places.roots).chain([&places.own]).chain(&places.above) {
                if !tried.contains(&folder) && !self.look(mention, folder, &path).is_empty() {
                    *votes.entry(folder.clone()).or_default() += worth;
                }
                tried.push(folder);
            }
        }
        votes
    }

    fn settle(&self, number: usize, found: &mut Vec<Option<Found>>, votes: &HashMap<RelPath, usize>, depth: usize) {
        if found[number].is_some() || depth > 50 {
            return;
        }
        let mention = &self.file.said.mentions[number];
        if mention.weight == Weight::Idle {
            found[number] = Some(Found::Nothing);
            return;
        }
        let mut tiers: Tiers = Vec::new();
        let (mut is_external, mut is_runtime, mut is_unknown) = (false, false, false);
        for base in &mention.bases {
            match base {
                Anchor::At(other) => {
                    if *other != number {
                        self.settle(*other, found, votes, depth + 1);
                    }
                    let is_module = self.file.said.mentions[*other].form == Form::Dotted;
                    match &found[*other] {
                        Some(Found::Readings(readings)) => {
                            let bases = readings.iter().filter_map(|reading| match &reading.target {
                                Target::File(path) if is_module => Some((*base, modules::package_folder(path))),
                                Target::File(path) | Target::Folder(path) => Some((*base, path.clone())),
                                Target::Files(_) => None,
                            });
                            merge(&mut tiers, vec![bases.collect()]);
                        }
                        Some(Found::Runtime) => is_runtime = true,
                        Some(Found::External) => is_external = true,
                        _ => is_unknown = true,
                    }
                }
                Anchor::Outside => is_unknown = true,
                Anchor::Modules => {
                    // The script's own folder, then what it adds to `sys.path`, then where packages usually lie.
                    let mut places: Tiers = vec![vec![(Anchor::Own, self.file.places.own.clone())]];
                    for root in &self.file.said.module_roots {
                        if let Anchor::At(other) = root {
                            self.settle(*other, found, votes, depth + 1);
                            if let Some(Found::Readings(readings)) = &found[*other]
                                && let [Reading { target: Target::Folder(folder), .. }] = readings.as_slice()
                            {
                                places.push(vec![(*root, folder.clone())]);
                            }
                        } else {
                            places.extend(self.tiers(*root, mention));
                        }
                    }
                    places.extend(self.tiers(Anchor::Modules, mention));
                    merge(&mut tiers, places);
                }
                base => merge(&mut tiers, self.tiers(*base, mention)),
            }
        }
        found[number] = Some(self.decide(mention, tiers, votes, is_external, is_runtime, is_unknown));
    }

    fn tiers(&self, base: Anchor, mention: &Mention) -> Tiers {
        let places = &self.file.places;
        let with = |folders: Vec<&RelPath>| folders.into_iter().map(|folder| (base, folder.clone())).collect();
        match base {
            Anchor::Own => {
                let page = places.page.as_ref().filter(|_| mention.form == Form::Page);
                let page = page.map(|page| vec![(Anchor::Page, page.clone())]);
                [with(vec![&places.own])].into_iter().chain(page).collect()
            }
            Anchor::Page => Vec::new(),
            Anchor::Root => places.roots.iter().map(|root| with(vec![root])).collect(),
            Anchor::Cwd => {
                let near = with(places.callers.iter().chain(&places.roots).chain([&places.own]).collect());
                let above = places.above.iter().map(|folder| with(vec![folder]));
                // A function may run after the script went somewhere else.
                [near].into_iter().chain(above).collect()
            }
            Anchor::Above => {
                let near = with(places.roots.iter().chain([&places.own]).collect());
                [near].into_iter().chain(places.above.iter().map(|folder| with(vec![folder]))).collect()
            }
            Anchor::Modules => {
                let roots = modules::roots(self.tree, &places.own, &places.roots, &places.above);
                roots.into_iter().map(|folder| vec![(base, folder)]).collect()
            }
            Anchor::At(_) | Anchor::Outside => Vec::new(),
        }
    }

    fn decide(
        &self,
        mention: &Mention,
        tiers: Tiers,
        votes: &HashMap<RelPath, usize>,
        is_external: bool,
        is_runtime: bool,
        is_unknown: bool,
    ) -> Found {
        if mention.weight == Weight::Made && mention.text.is_empty() && mention.tail.is_empty() {
            return Found::Nothing;
        }
        let path = [mention.text.as_slice(), &mention.tail].concat();
        let mut leaves = false;
        let mut first: Option<RelPath> = None;
        // A bare name is looked for only where it is run, not everywhere above.
        let is_bare = mention.weight == Weight::Word && mention.form == Form::Path && !path.contains(&b'/');
        let looked = if is_bare { 1.min(tiers.len()) } else { tiers.len() };
        for tier in &tiers[..looked] {
            let mut readings: Vec<Reading> = Vec::new();
            for (anchor, base) in tier {
                match resolve(base, &path) {
                    None => leaves = true,
                    Some(place) if first.is_none() => first = Some(place),
                    Some(_) => {}
                }
                for target in self.look(mention, base, &path) {
                    let reading = Reading { anchor: *anchor, base: base.clone(), skip: 0, target };
                    if !readings.contains(&reading) {
                        readings.push(reading);
                    }
                }
            }
            if !readings.is_empty() {
                return self.choose(mention, readings, votes);
            }
            // Where it is certain what it is read from, a folder further up is no reading of it.
            if mention.weight == Weight::Made && !tier.is_empty() {
                break;
            }
        }
        if mention.form == Form::Alias {
            return self.alias(&path);
        }
        let is_quiet = mention.weight <= Weight::Word;
        match first {
            _ if mention.weight == Weight::Made => Found::Runtime,
            Some(place) if !is_quiet && (self.world.runtime.holds(&place) || self.is_closed(&place)) => Found::Runtime,
            Some(_) if mention.weight == Weight::Sure && !is_unknown && !is_runtime && !leaves && !is_external => {
                let is_route =
                    mention.form == Form::Page && self.file.places.is_of_site && bytes::extension(&path).is_none();
                if is_placeholder(&path) || mention.is_pattern || self.file.places.is_sample {
                    Found::Nothing
                } else if is_route {
                    Found::External
                } else {
                    Found::Broken
                }
            }
            _ if is_quiet => Found::Nothing,
            _ if is_external || leaves => Found::External,
            _ if is_runtime => Found::Runtime,
            _ => Found::Nothing,
        }
    }

    /// One of several readings, when there is evidence for it.
    fn choose(&self, mention: &Mention, mut readings: Vec<Reading>, votes: &HashMap<RelPath, usize>) -> Found {
        let is_same = readings.iter().all(|reading| reading.target == readings[0].target);
        if readings.len() > 1 && !is_same || readings.len() > 1 && mention.bases.len() == 1 {
            let votes_of = |reading: &Reading| match reading.anchor {
                Anchor::Cwd | Anchor::Above => votes.get(&reading.base).copied().unwrap_or(0),
                _ => usize::MAX,
            };
            let most = readings.iter().map(votes_of).max().unwrap_or(0);
            let mut best: Vec<Reading> = readings.iter().filter(|reading| votes_of(reading) == most).cloned().collect();
            if best.len() > 1 && !same_target(&best) {
                let is_caller = |reading: &&Reading| self.file.places.callers.contains(&reading.base);
                let called: Vec<Reading> = best.iter().filter(is_caller).cloned().collect();
                if called.len() == 1 {
                    best = called;
                }
            }
            readings = best;
            if same_target(&readings) {
                readings.truncate(1);
            }
        }
        Found::Readings(readings)
    }

    fn is_closed(&self, path: &RelPath) -> bool {
        self.tree
            .closed(path)
            .is_some_and(|entry| !matches!(entry.closed, Some(Closed::Repository)) && entry.path != *path)
    }

    /// What lies at `path` read from `base`.
    fn look(&self, mention: &Mention, base: &RelPath, path: &[u8]) -> Vec<Target> {
        if mention.is_pattern {
            // Anything at all in a root says nothing.
            if path == b"*" && self.file.places.roots.contains(base) {
                return Vec::new();
            }
            let files = self.world.folders.expand(base, path);
            return if files.is_empty() { Vec::new() } else { vec![Target::Files(files)] };
        }
        let is_there = match mention.form {
            Form::Path => self.may_be_there(path),
            Form::Dotted => self.may_be_module(path),
            Form::Module | Form::Page | Form::Alias => true,
        };
        if !is_there {
            return Vec::new();
        }
        let Some(place) = resolve(base, path) else { return Vec::new() };
        let target = match mention.form {
            Form::Path => self.at(&place),
            Form::Page => modules::page(self.tree, &place, path),
            Form::Module => modules::javascript(self.tree, &place),
            Form::Dotted => modules::python(self.tree, &place),
            Form::Alias => None,
        };
        let Some(target) = target else { return Vec::new() };
        // A word is a path only when a file has it; `docs/` may be a folder.
        let is_folder = matches!(target, Target::Folder(_));
        let counts = match mention.weight {
            Weight::Word => {
                !is_folder && (path.contains(&b'/') || bytes::may_be_path(path))
                    || is_folder
                        && path.len() > 3
                        && path.ends_with(b"/")
                        && bytes::find(path, b"/", 0) < Some(path.len() - 1)
            }
            _ if is_folder && mention.kind == super::Kind::Redirection => false,
            Weight::Likely if is_folder && mention.kind == super::Kind::Argument => {
                path.contains(&b'/') || path.starts_with(b".") || mention.spelling.joins
            }
            _ => true,
        };
        if counts { vec![target] } else { Vec::new() }
    }

    /// False when nothing in the whole tree has the name that the path ends with.
    fn may_be_there(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        self.world.has_links || matches!(name, b"" | b"." | b"..") || self.world.names.contains(name)
    }

    fn may_be_module(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        if name == b".." || name == b"." || self.world.names.contains(name) {
            return true;
        }
        let mut file = name.to_vec();
        file.extend_from_slice(b".py");
        self.world.names.contains(file.as_slice()) || {
            file.push(b'i');
            self.world.names.contains(file.as_slice())
        }
    }

    fn at(&self, place: &RelPath) -> Option<Target> {
        let entry = match self.tree.at(place) {
            Some(entry) => entry,
            None if self.world.has_links => return through_links(self.tree, place, 0),
            None => return None,
        };
        match &entry.kind {
            Kind::Folder => Some(Target::Folder(place.clone())),
            Kind::File | Kind::Symlink(_) => Some(Target::File(place.clone())),
            Kind::Other => None,
        }
    }

    fn alias(&self, name: &[u8]) -> Found {
        match self.world.aliases.lead(self.tree, &self.file.places.own, name) {
            Some((base, skip, target)) => {
                Found::Readings(vec![Reading { anchor: Anchor::Modules, base, skip, target }])
            }
            None => Found::External,
        }
    }
}

/// `RelPath::resolve`, with a short way for the texts that most are: names and nothing else.
fn resolve(base: &RelPath, text: &[u8]) -> Option<RelPath> {
    match RelPath::new(text) {
        Some(plain) => Some(base.append(&plain)),
        None => base.resolve(text),
    }
}

fn same_target(readings: &[Reading]) -> bool {
    readings.iter().all(|reading| reading.target == readings[0].target)
}

fn merge(tiers: &mut Tiers, more: Tiers) {
    for (index, tier) in more.into_iter().enumerate() {
        match tiers.get_mut(index) {
            Some(known) => tier.into_iter().for_each(|place| {
                if !known.contains(&place) {
                    known.push(place);
                }
            }),
            None => tiers.push(tier),
        }
    }
}

/// A path that goes through a symbolic link to a folder of the tree.
pub(crate) fn through_links(tree: &Tree, place: &RelPath, depth: usize) -> Option<Target> {
    if depth > 10 {
        return None;
    }
    let (folder, link) = place.ancestors().find_map(|folder| match &tree.at(&folder)?.kind {
        Kind::Symlink(target) => Some((folder, target.clone())),
        _ => None,
    })?;
    let real = folder.parent()?.resolve(&link)?.append(&place.below(&folder)?);
    match tree.at(&real) {
        Some(entry) if entry.kind == Kind::Folder => Some(Target::Folder(real)),
        Some(_) => Some(Target::File(real)),
        None => through_links(tree, &real, depth + 1),
    }
}

/// A text that stands for a path that the reader is to put in.
fn is_placeholder(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, b'<' | b'>' | b'{' | b'}' | b'$' | b'%' | b'\n' | b'"' | b'|'))
        || bytes::contains(path, b"...")
        || bytes::contains(path, b"path/to")
}
