//! The mentions of one file, each settled: on which base it is read, and what that gives.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::super::mention::{Anchor, Form, Mention, Weight};
use super::super::{Kind as Use, Target, bytes, modules};
use super::{File, Found, MANY_IMPORTS, Reading, World};
use crate::path::RelPath;
use crate::tree::{Closed, Kind, Tree};

pub(super) struct Resolver<'a> {
    world: &'a World<'a>,
    tree: &'a Tree,
    file: &'a File,
    /// Where Compose is told to be, where that is not the folder of the file.
    project: OnceCell<Option<RelPath>>,
    /// Asked only where there is more than one reading.
    votes: OnceCell<HashMap<RelPath, usize>>,
}

/// Folders to try together: what is found in one of a tier counts before the next is looked at.
type Tiers = Vec<Vec<(Anchor, RelPath)>>;

impl<'a> Resolver<'a> {
    pub fn new(world: &'a World<'a>, file: &'a File) -> Resolver<'a> {
        Resolver { world, tree: world.tree, file, project: OnceCell::new(), votes: OnceCell::new() }
    }
    pub fn all(&self) -> Vec<Found> {
        let mentions = &self.file.said.mentions;
        let mut found: Vec<Option<Found>> = vec![None; mentions.len()];
        for number in 0..mentions.len() {
            self.settle(number, &mut found, 0);
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
    fn votes(&self) -> &HashMap<RelPath, usize> {
        self.votes.get_or_init(|| self.count_votes())
    }

    fn count_votes(&self) -> HashMap<RelPath, usize> {
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

    /// The folder above in which most of what the file names is, where nothing of it is in its own.
    fn project(&self) -> Option<RelPath> {
        let places = &self.file.places;
        let named = self.file.said.mentions.iter().filter(|mention| mention.bases == [Anchor::Project]);
        // `..` is everywhere, and a name alone is in too many folders to say anything.
        let names =
            |path: &[u8]| path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"." | b"..")).count();
        let named: Vec<(&Mention, Vec<u8>, usize)> = named
            .map(|mention| (mention, [mention.text.as_slice(), &mention.tail].concat()))
            .map(|(mention, path)| (mention, path.clone(), names(&path)))
            .collect();
        let count = |folder: &RelPath, least: usize| {
            let is_there = |(mention, path, names): &&(&Mention, Vec<u8>, usize)| {
                // A folder to mount is made where it is missing: that says nothing either.
                let says = *names >= least && (least < 2 || mention.weight == Weight::Sure);
                says && !self.look(mention, folder, path).is_empty()
            };
            named.iter().filter(is_there).count()
        };
        if count(&places.own, 1) > 0 {
            return None;
        }
        let folders = places.above.iter().chain(&places.roots);
        let best = folders.map(|folder| (count(folder, 2), folder)).rev().max_by_key(|(count, _)| *count);
        best.filter(|(count, _)| *count > 0).map(|(_, folder)| folder.clone())
    }

    fn settle(&self, number: usize, found: &mut Vec<Option<Found>>, depth: usize) {
        if found[number].is_some() || depth > 50 {
            return;
        }
        let mention = &self.file.said.mentions[number];
        if mention.weight == Weight::Idle {
            found[number] = Some(Found::Nothing);
            return;
        }
        // Most words are none, wherever they are read from.
        let is_word = mention.weight == Weight::Word && !mention.is_pattern && mention.tail.is_empty();
        let is_nowhere = match mention.form {
            Form::Path => is_word && !self.may_be_there(&mention.text),
            Form::Dotted => is_word && !self.may_be_module(&mention.text),
            Form::Module | Form::Page | Form::Alias => false,
        };
        if is_nowhere {
            found[number] = Some(Found::Nothing);
            return;
        }
        let mut tiers: Tiers = Vec::new();
        let (mut is_external, mut is_runtime, mut is_unknown) = (false, false, false);
        for base in &mention.bases {
            match base {
                Anchor::At(other) => {
                    if *other != number {
                        self.settle(*other, found, depth + 1);
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
                Anchor::Modules if modules::comes_with_python(&mention.text) => {
                    let own = &self.file.places.own;
                    if !self.tree.is_file(&own.join(b"__init__.py")) {
                        merge(&mut tiers, vec![vec![(Anchor::Own, own.clone())]]);
                    }
                }
                Anchor::Modules => {
                    // The script's own folder, then what it adds to `sys.path`, then where packages usually lie.
                    let mut places: Tiers = vec![vec![(Anchor::Own, self.file.places.own.clone())]];
                    for root in &self.file.said.module_roots {
                        if let Anchor::At(other) = root {
                            self.settle(*other, found, depth + 1);
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
        found[number] = Some(self.decide(mention, tiers, is_external, is_runtime, is_unknown));
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
            Anchor::Project => {
                let told = self.project.get_or_init(|| self.project());
                let told = told.iter().map(|folder| vec![(base, folder.clone())]);
                [vec![(Anchor::Own, places.own.clone())]].into_iter().chain(told).collect()
            }
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

    fn decide(&self, mention: &Mention, tiers: Tiers, is_external: bool, is_runtime: bool, is_unknown: bool) -> Found {
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
                match base.resolve(&path) {
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
                return self.choose(mention, readings);
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
                // What is copied into an image from nobody knows where may be put there by whoever builds it.
                let is_unplaced = mention.kind == Use::Build
                    && mention.bases == [Anchor::Cwd]
                    && self.file.places.callers.is_empty()
                    && self.votes().is_empty();
                // `from ..x` in a folder that is no package: whoever loads it decides what that is.
                let is_loaded = mention.form == Form::Dotted
                    && path.starts_with(b"..")
                    && !self.tree.is_file(&self.file.places.own.join(b"__init__.py"));
                if is_unplaced {
                    Found::Runtime
                } else if is_loaded {
                    Found::External
                } else if is_placeholder(&path) || mention.is_pattern || self.file.places.is_sample {
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
    fn choose(&self, mention: &Mention, mut readings: Vec<Reading>) -> Found {
        let is_same = readings.iter().all(|reading| reading.target == readings[0].target);
        if readings.len() > 1 && !is_same || readings.len() > 1 && mention.bases.len() == 1 {
            let votes_of = |reading: &Reading| match reading.anchor {
                Anchor::Cwd | Anchor::Above => self.votes().get(&reading.base).copied().unwrap_or(0),
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
        let Some(place) = base.resolve(path) else { return Vec::new() };
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
            _ if is_folder && mention.kind == Use::Redirection => false,
            Weight::Likely if is_folder && mention.kind == Use::Argument => {
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
