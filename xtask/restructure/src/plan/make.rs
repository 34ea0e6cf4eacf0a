//! A plan from a scan: rules first, then what each file is for, then copies, places, and at last the proof by a trial: a
//! file whose move would break a reference stays.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;

use super::copies::{Copies, Copy};
use super::place::{self, Placed, Spot};
use super::rules::{Action, Rule};
use super::trial;
use super::{Act, Folders, Item, Options, Plan, Readmes, stamp};
use crate::classify::look::What;
use crate::classify::{self, Class, Known, Role, Uses, Verdict};
use crate::git;
use crate::moves::{Fate, Moves};
use crate::path::RelPath;
use crate::references::{self, Outcome, Reference, Rewrites, Target};
use crate::scan::Scan;
use crate::tree::{FileId, Kind, Tree};

/// A plan with all that is known about it.
pub struct Made {
    pub plan: Plan,
    /// The decision about every file, also those that the plan's file names only by their folder.
    pub decisions: BTreeMap<RelPath, Item>,
    /// By the path relative to the folder: what was decided about copies.
    pub copies: BTreeMap<RelPath, Copy>,
    /// What will be written when it is carried out.
    pub rewrites: Rewrites,
}

/// So often the trial is repeated with more files staying where they are.
const TRIALS: usize = 12;

/// `hand` are entries of an older plan that somebody changed: they stay as they are.
pub fn make(scan: &Scan, options: &Options, rules: &[Rule], hand: &[Item]) -> Result<Made> {
    let uses = Uses::new(&scan.tree, &scan.references);
    let known = Known { tree: &scan.tree, facts: &scan.facts, looks: &scan.looks, uses: &uses, units: &scan.units };
    let verdicts = classify::classify(&known);
    let mut maker = Maker {
        scan,
        uses: &uses,
        options,
        folders: Folders::of(&scan.tree, options),
        verdicts,
        decided: HashMap::new(),
        copies: HashMap::new(),
    };
    maker.take_over(hand);
    maker.apply_rules(rules);
    maker.decide_copies();
    maker.place();
    let rewrites = maker.try_out()?;
    let (plan, decisions) = maker.plan();
    let from = maker.folders.from.clone();
    let copies =
        maker.copies.iter().filter_map(|(id, copy)| Some((scan.tree.path(*id).below(&from)?, copy.clone()))).collect();
    Ok(Made { plan, decisions, copies, rewrites })
}

/// Why copies that could go stay: by the same rules by which a plan decides about them.
pub fn why_copies_stay(scan: &Scan) -> HashMap<FileId, String> {
    let mut reasons = HashMap::new();
    for (id, copy) in copies_of(scan) {
        if let Copy::Both(why) = copy {
            reasons.insert(id, why);
        }
    }
    reasons
}

/// What the rules say of every copy.
pub fn copies_of(scan: &Scan) -> HashMap<FileId, Copy> {
    let uses = Uses::new(&scan.tree, &scan.references);
    let known = Known { tree: &scan.tree, facts: &scan.facts, looks: &scan.looks, uses: &uses, units: &scan.units };
    let verdicts = classify::classify(&known);
    Copies::new(scan, &uses, &verdicts, HashMap::new()).decide()
}

/// A decision before it has its line: targets are relative to `into`.
#[derive(Clone, Debug)]
struct Decision {
    act: Act,
    class: Class,
    confidence: f32,
    because: String,
    by_hand: bool,
}

/// A file that goes somewhere: its path below the folder, the place, and what it is for.
type Wanted = (FileId, RelPath, Spot, Verdict);

struct Maker<'a> {
    scan: &'a Scan,
    uses: &'a Uses,
    options: &'a Options,
    folders: Folders,
    verdicts: Vec<Option<Verdict>>,
    decided: HashMap<FileId, Decision>,
    copies: HashMap<FileId, Copy>,
}

impl Maker<'_> {
    fn tree(&self) -> &Tree {
        &self.scan.tree
    }
    /// Entries of the folder that a plan decides about, with their paths below it.
    fn subjects(&self) -> Vec<(FileId, RelPath)> {
        super::subjects(self.tree(), &self.folders.from)
    }
    fn is_in_place(&self) -> bool {
        self.folders.from == self.folders.into
    }

    fn take_over(&mut self, hand: &[Item]) {
        for item in hand {
            if let Some(id) = self.tree().get(&self.folders.from.append(&item.path)) {
                let Item { act, class, confidence, because, .. } = item.clone();
                self.decided.insert(id, Decision { act, class, confidence, because, by_hand: true });
            }
        }
    }

    fn apply_rules(&mut self, rules: &[Rule]) {
        if rules.is_empty() {
            return;
        }
        for (id, path) in self.subjects() {
            let Some((rule, pattern)) = rules.iter().find_map(|rule| Some((rule, rule.matched(&path)?))) else {
                continue;
            };
            if self.tree().entry(id).closed.is_some() || self.decided.contains_key(&id) {
                continue;
            }
            let act = match (&rule.action, rule.target(pattern, &path)) {
                (Action::Move(_), Some(to)) => Act::Move(to),
                (Action::Archive(_), Some(to)) => Act::Archive(to),
                (Action::Decide, _) => Act::Decide,
                _ => Act::Keep,
            };
            let guessed = self.verdicts[id.index()].as_ref().map(|verdict| verdict.class);
            let class = rule.class.or(guessed).unwrap_or(Class::Utilities);
            self.decided.insert(id, Decision { act, class, confidence: 1.0, because: rule.because(), by_hand: false });
        }
    }

    fn decide_copies(&mut self) {
        let tree = self.tree();
        let mut ages = HashMap::new();
        for repository in tree.repositories() {
            let inside: Vec<FileId> = self.scan.groups.iter().flat_map(|group| group.files.iter().copied()).collect();
            ages.extend(git::ages(repository, tree, &inside));
        }
        let copies = Copies::new(self.scan, self.uses, &self.verdicts, ages).decide();
        let decided: Vec<(FileId, Decision)> = copies
            .iter()
            .filter(|(id, _)| !self.decided.contains_key(id) && tree.path(**id).is_within(&self.folders.from))
            .filter_map(|(id, copy)| {
                let Copy::Goes { kept, because } = copy else { return None };
                let of = tree.path(*kept).below(&self.folders.from)?;
                let class = self.verdicts[kept.index()].as_ref().map_or(Class::Utilities, |verdict| verdict.class);
                Some((
                    *id,
                    Decision { act: Act::Drop(of), class, confidence: 1.0, because: because.clone(), by_hand: false },
                ))
            })
            .collect();
        self.decided.extend(decided);
        self.copies = copies;
    }

    /// A place for everything that has no decision yet. Whoever would take a place twice gets his whole old path below it.
    fn place(&mut self) {
        let around = self.forms_around();
        let mut wanted: Vec<Wanted> = Vec::new();
        for (id, path) in self.subjects() {
            if self.decided.contains_key(&id) {
                continue;
            }
            let Some(verdict) = self.verdicts[id.index()].clone() else { continue };
            let placed = Placed {
                path: &path,
                verdict: &verdict,
                language: self.scan.facts[id.index()]
                    .as_ref()
                    .map_or(crate::language::Language::Empty, |facts| facts.language),
                what: self.scan.looks[id.index()].as_ref().map_or(What::Plain, |look| look.what),
                around: path.parent().and_then(|folder| around.get(&folder).copied()).unwrap_or(What::Plain),
                changed: self.tree().entry(id).mtime.0,
            };
            match place::spot(&placed, self.options) {
                Some(spot) => wanted.push((id, path, spot, verdict)),
                None => {
                    let act = if verdict.role == Role::Unknown { Act::Decide } else { Act::Keep };
                    let Verdict { class, confidence, because, .. } = verdict;
                    self.decided.insert(id, Decision { act, class, confidence, because, by_hand: false });
                }
            }
        }
        let wanted = self.without_readmes_that_stay(wanted);
        let taken = self.taken();
        let mut by_target: HashMap<RelPath, usize> = HashMap::new();
        let mut folders: HashSet<RelPath> = HashSet::new();
        for (_, _, spot, _) in &wanted {
            let path = spot.path();
            folders.extend(path.ancestors());
            *by_target.entry(path).or_default() += 1;
        }
        for (id, path, spot, verdict) in wanted {
            let Verdict { class, confidence, because, .. } = verdict;
            let short = spot.path();
            let is_here = self.is_in_place() && short == path;
            let is_free = |target: &RelPath| !taken.contains(target) && !folders.contains(target);
            let target =
                if is_here || (by_target[&short] == 1 && is_free(&short)) { short } else { spot.unmistakable() };
            let decision = if self.is_in_place() && target == path {
                Decision {
                    by_hand: false,
                    act: Act::Keep,
                    class,
                    confidence,
                    because: format!("{because}; it lies where the layout wants it"),
                }
            } else if !is_free(&target) {
                let because = format!("{because}; its place `{target}` is taken by another file");
                Decision { act: Act::Decide, class, confidence: 0.0, because, by_hand: false }
            } else {
                let act = if spot.is_archive { Act::Archive(target) } else { Act::Move(target) };
                Decision { act, class, confidence, because, by_hand: false }
            };
            self.decided.insert(id, decision);
        }
    }

    /// A README goes with its folder. Where the folder stays, because something in it does or something comes into it, so
    /// does its README.
    fn without_readmes_that_stay(&mut self, wanted: Vec<Wanted>) -> Vec<Wanted> {
        if !self.is_in_place() {
            return wanted;
        }
        let is_readme = |path: &RelPath| classify::names::is_readme(path.name());
        let comes = wanted.iter().filter(|(_, path, ..)| !is_readme(path)).map(|(_, _, spot, _)| spot.path());
        let stays = self.decided.iter().filter(|(_, decision)| matches!(decision.act, Act::Keep | Act::Decide));
        let stays = stays.filter_map(|(id, _)| self.tree().path(*id).below(&self.folders.from));
        let folders: HashSet<RelPath> =
            comes.chain(stays).flat_map(|path| path.ancestors().collect::<Vec<_>>()).collect();
        let (stay, go): (Vec<Wanted>, Vec<Wanted>) = wanted.into_iter().partition(|(_, path, _, verdict)| {
            let folder = path.parent().unwrap_or_default();
            is_readme(path) && verdict.class != Class::Archive && folders.contains(&folder)
        });
        for (id, path, _, verdict) in stay {
            let because = format!("tells of `{}/`, which stays", path.parent().unwrap_or_default());
            let Verdict { class, confidence, .. } = verdict;
            self.decided.insert(id, Decision { act: Act::Keep, class, confidence, because, by_hand: false });
        }
        go
    }

    /// Paths below the target that nothing leaves.
    fn taken(&self) -> HashSet<RelPath> {
        let tree = self.tree();
        let stays = |id: &FileId| {
            let path = tree.path(*id);
            let decided = self.decided.get(id).map(|decision| &decision.act);
            let is_ours = path.is_within(&self.folders.from);
            // In place, what has no decision yet is about to leave or to stay where it is.
            tree.entry(*id).is_whole()
                && (!is_ours
                    || matches!(decided, Some(Act::Keep | Act::Decide))
                    || !self.is_in_place() && path.is_within(&self.folders.into))
        };
        tree.below(&self.folders.into).filter(stays).filter_map(|id| tree.path(id).below(&self.folders.into)).collect()
    }

    /// What most of the infrastructure directly in each folder is.
    fn forms_around(&self) -> HashMap<RelPath, What> {
        let mut counts: HashMap<RelPath, Vec<(What, usize)>> = HashMap::new();
        for (id, path) in self.subjects() {
            let Some(what) = self.scan.looks[id.index()].as_ref().map(|look| look.what) else { continue };
            if !matches!(what.class(), Some(Class::Infrastructure)) {
                continue;
            }
            let counts = counts.entry(path.parent().unwrap_or_default()).or_default();
            match counts.iter_mut().find(|(known, _)| *known == what) {
                Some((_, count)) => *count += 1,
                None => counts.push((what, 1)),
            }
        }
        counts
            .into_iter()
            .filter_map(|(folder, counts)| Some((folder, counts.into_iter().max_by_key(|(_, count)| *count)?.0)))
            .collect()
    }

    fn moves(&self) -> Moves {
        let fates = self.decided.iter().filter_map(|(id, decision)| {
            let from = self.tree().path(*id).clone();
            match &decision.act {
                Act::Keep | Act::Decide => None,
                Act::Move(to) | Act::Archive(to) => Some((from, Fate::At(self.folders.into.append(to)))),
                Act::Drop(of) => Some((from, Fate::DroppedFor(self.folders.from.append(of)))),
            }
        });
        Moves::new(self.tree(), fates)
    }

    /// Moves and rewrites in memory and looks whether every reference still leads where it led. What a broken one needs
    /// stays, until none is broken.
    fn try_out(&mut self) -> Result<Rewrites> {
        for _ in 0..TRIALS {
            let moves = self.moves();
            let rewrites = references::rewrite(self.tree(), &self.scan.references, &moves)?;
            let losses = trial::losses(self.scan, &moves, &rewrites)?;
            let lost: Vec<&Reference> =
                losses.iter().filter(|loss| loss.matters()).map(|loss| loss.reference).collect();
            if !self.mend(&lost, &moves) {
                return Ok(rewrites);
            }
        }
        // What still breaks after that is told by `apply`'s own trial, which refuses.
        references::rewrite(self.tree(), &self.scan.references, &self.moves())
    }

    /// Files that a pattern finds go one way, that of most of them. Any other target of a broken reference stays; where it
    /// stays already, the file that refers to it.
    fn mend(&mut self, lost: &[&Reference], moves: &Moves) -> bool {
        let mut changes: Vec<(FileId, Act, String)> = Vec::new();
        for reference in lost {
            let Outcome::Resolved(target) = &reference.outcome else { continue };
            let tree = self.tree();
            let text = crate::path::shown(&reference.text);
            let place = format!("{}:{}", tree.path(reference.file), reference.line);
            let targets: Vec<FileId> = match target {
                Target::File(path) => tree.get(path).into_iter().collect(),
                Target::Folder(folder) => tree.below(folder).filter(|id| tree.entry(*id).is_whole()).collect(),
                Target::Files(files) => files.iter().filter_map(|path| tree.get(path)).collect(),
            };
            if let (Target::Files(files), Some(way)) = (target, self.way_of_most(target, moves)) {
                let because = format!("`{place}` takes it with others by `{text}`");
                let strays = targets.iter().zip(files).filter(|(_, path)| {
                    moves.is_dropped(path) || moves.after(path).parent().as_ref() != Some(&way.folder)
                });
                let strays: Vec<(FileId, Act, String)> =
                    strays.map(|(id, path)| (*id, way.act(path, &self.folders.into), because.clone())).collect();
                changes.extend(strays);
                continue;
            }
            let moving: Vec<FileId> = targets.into_iter().filter(|id| self.is_moving(*id)).collect();
            if moving.is_empty() {
                let because = format!("what it calls `{text}` in line {} cannot be rewritten", reference.line);
                changes.push((reference.file, Act::Keep, because));
            }
            let because = format!("`{place}` calls it `{text}`, which cannot be rewritten");
            changes.extend(moving.into_iter().map(|id| (id, Act::Keep, because.clone())));
        }
        changes.extend(self.bound(lost));
        let mut has_changed = false;
        for (id, act, because) in changes {
            if let Some(decision) =
                self.decided.get_mut(&id).filter(|decision| decision.act != act && !decision.by_hand)
            {
                *decision = Decision { act, because, ..decision.clone() };
                has_changed = true;
            }
        }
        has_changed
    }

    /// What is bound to stay together with both ends of a lost reference: a text that is read from its file's own folder and
    /// cannot be written otherwise, such as the name of a module, leads to its target only while neither moves; so does the
    /// next one of its sort. All of them at once: one a trial, long chains would never come to an end.
    fn bound(&self, lost: &[&Reference]) -> Vec<(FileId, Act, String)> {
        let tree = self.tree();
        let sort = |reference: &Reference| (reference.kind, tree.path(reference.file).extension());
        let ends = |reference: &Reference| {
            let Outcome::Resolved(Target::File(path)) = &reference.outcome else { return None };
            let is_own = reference.kind == references::Kind::Import
                && reference.base.folder == tree.path(reference.file).parent();
            Some((reference.file, tree.get(path)?)).filter(|_| is_own)
        };
        let (mut queue, mut sorts) = (Vec::new(), HashSet::new());
        for reference in lost {
            if let Some((file, target)) = ends(reference) {
                queue.extend([file, target]);
                sorts.insert(sort(reference));
            }
        }
        if queue.is_empty() {
            return Vec::new();
        }
        let mut bound: HashMap<FileId, Vec<(FileId, &Reference)>> = HashMap::new();
        for reference in self.scan.references.iter().filter(|reference| sorts.contains(&sort(reference))) {
            if let Some((file, target)) = ends(reference) {
                bound.entry(file).or_default().push((target, reference));
                bound.entry(target).or_default().push((file, reference));
            }
        }
        let mut seen: HashSet<FileId> = queue.iter().copied().collect();
        let mut changes = Vec::new();
        while let Some(id) = queue.pop() {
            for (other, reference) in bound.get(&id).into_iter().flatten() {
                if seen.insert(*other) {
                    queue.push(*other);
                }
                if self.is_moving(*other) {
                    let (file, text) = (tree.path(reference.file), crate::path::shown(&reference.text));
                    let because = format!("`{file}:{}` calls it or stands on it by `{text}`", reference.line);
                    changes.push((*other, Act::Keep, because));
                }
            }
        }
        changes
    }

    /// Where most of the files of a pattern go.
    fn way_of_most(&self, target: &Target, moves: &Moves) -> Option<Way> {
        let Target::Files(files) = target else { return None };
        let mut counts: BTreeMap<RelPath, usize> = BTreeMap::new();
        for path in files.iter().filter(|path| !moves.is_dropped(path)) {
            *counts.entry(moves.after(path).parent()?).or_default() += 1;
        }
        let (folder, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        let is_archive =
            folder.below(&self.folders.into).is_some_and(|below| below.parts().next() == Some(b"_archive"));
        Some(Way { is_here: files.first()?.parent().as_ref() == Some(&folder), folder, is_archive })
    }
    fn is_moving(&self, id: FileId) -> bool {
        self.decided.get(&id).is_some_and(|decision| !matches!(decision.act, Act::Keep | Act::Decide))
    }

    fn plan(&self) -> (Plan, BTreeMap<RelPath, Item>) {
        let mut decisions = BTreeMap::new();
        for (id, path) in self.subjects() {
            let decision = self.decided.get(&id).cloned().unwrap_or(Decision {
                act: Act::Decide,
                class: Class::Utilities,
                confidence: 0.0,
                because: "nothing says what it is for".to_owned(),
                by_hand: false,
            });
            let Decision { act, class, confidence, because, by_hand } = decision;
            let print = stamp(self.tree(), id).unwrap_or_else(|| "ignored".to_owned());
            let is_folder = self.tree().entry(id).kind == Kind::Folder;
            let item = Item { path: path.clone(), is_folder, act, class, confidence, because, print, by_hand, line: 0 };
            decisions.insert(path, item);
        }
        let items = self.folded(&decisions);
        let applications = decisions.values().filter(|item| item.class == Class::Application).count();
        let is_application = applications * 2 > decisions.len();
        let readmes = if is_application { Readmes::OutsideApplications } else { Readmes::EveryFolder };
        let digest = super::digest(self.tree(), &self.folders.from);
        (Plan { options: self.options.clone(), readmes, digest, items }, decisions)
    }

    /// Folders in which everything is kept, as one line each.
    fn folded(&self, decisions: &BTreeMap<RelPath, Item>) -> Vec<Item> {
        let mut is_kept: HashMap<RelPath, bool> = HashMap::new();
        for item in decisions.values() {
            for folder in item.path.ancestors().filter(|folder| !folder.is_root()) {
                *is_kept.entry(folder).or_insert(true) &= item.act == Act::Keep;
            }
        }
        let top_kept = |path: &RelPath| path.ancestors().filter(|folder| is_kept.get(folder) == Some(&true)).last();
        let mut inside: BTreeMap<RelPath, Vec<&Item>> = BTreeMap::new();
        let mut items = Vec::new();
        for item in decisions.values() {
            match top_kept(&item.path) {
                Some(folder) => inside.entry(folder).or_default().push(item),
                None => items.push(item.clone()),
            }
        }
        for (folder, kept) in inside {
            items.push(fold(folder, &kept));
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        items
    }
}

fn fold(folder: RelPath, kept: &[&Item]) -> Item {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for item in kept {
        *reasons.entry(item.because.as_str()).or_default() += 1;
    }
    let (because, count) = reasons.into_iter().max_by_key(|(_, count)| *count).unwrap_or(("", 0));
    let because = if count == kept.len() {
        because.to_owned()
    } else {
        format!("all {} files in it stay; most: {because}", kept.len())
    };
    let class = kept.first().map_or(Class::Application, |item| item.class);
    let confidence = kept.iter().map(|item| item.confidence).fold(1.0, f32::min);
    let print = super::print_of_folder(kept.iter().copied());
    Item { path: folder, is_folder: true, act: Act::Keep, class, confidence, because, print, by_hand: false, line: 0 }
}

/// A folder, relative to the root, where files go together.
struct Way {
    folder: RelPath,
    is_here: bool,
    is_archive: bool,
}

impl Way {
    fn act(&self, path: &RelPath, into: &RelPath) -> Act {
        match self.folder.join(path.name()).below(into) {
            Some(to) if self.is_archive => Act::Archive(to),
            Some(to) if !self.is_here => Act::Move(to),
            _ => Act::Keep,
        }
    }
}
