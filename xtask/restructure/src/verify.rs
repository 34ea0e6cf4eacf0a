//! The proof after the fact: nothing lost, no reference broken that resolved, syntax not worse, and the ten criteria by which
//! a restructure counts as done, each with its evidence. The tree of before is put together again from the journal.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use base::ui::{Finding, Place};
use camino::Utf8PathBuf;

use crate::classify::look::{Look, What};
use crate::classify::{Class, Known, Role, Uses, Verdict, classify};
use crate::contents::Contents;
use crate::facts::Facts;
use crate::journal::step::{Step, exists, sha256_at};
use crate::journal::{Journal, State, Was};
use crate::moves::{Fate, Moves};
use crate::path::RelPath;
use crate::plan::trial::{self, Loss};
use crate::plan::{self, Copy, Folders, Options, Plan, Readmes};
use crate::references::{self, Outcome, Reference, Rewrites};
use crate::retired;
use crate::scan::Scan;
use crate::syntax::{State as Parse, Syntax};
use crate::tell::{Teller, readme};
use crate::tree::{Closed, Digest, Entry, FileId, Git, Kind, Tree};
use crate::undo::places;

/// One of the ten.
pub struct Criterion {
    pub name: &'static str,
    pub holds: bool,
    /// What shows it, with figures.
    pub evidence: String,
    pub findings: Vec<Finding>,
}

#[derive(Default)]
pub struct Verdicts {
    pub criteria: Vec<Criterion>,
    /// References that were broken before anything was touched, and still are.
    pub broken_before: Vec<String>,
    /// Patterns that find other files than before.
    pub patterns: Vec<String>,
    /// Files that wait for a decision.
    pub undecided: Vec<RelPath>,
    /// Files that somebody has changed since.
    pub changed: Vec<RelPath>,
}

impl Verdicts {
    pub fn hold(&self) -> bool {
        self.criteria.iter().all(|criterion| criterion.holds)
    }
}

/// Everything that the criteria look at.
struct Proof<'a> {
    journal: &'a Journal,
    before: Tree,
    looks_before: Vec<Option<Look>>,
    references_before: Vec<Reference>,
    after: &'a Scan,
    moves: Moves,
    rewrites: Rewrites,
    changed: HashSet<RelPath>,
    lost: Vec<Finding>,
    /// Written by apply, as something new.
    created: HashSet<&'a RelPath>,
}

/// Looks at everything. `syntax` says what parses in a tree.
pub fn verify(
    state: &State,
    journal: &Journal,
    after: &Scan,
    syntax: &dyn Fn(&Tree, &[Option<Facts>]) -> Syntax,
    has_task: &dyn Fn(&str) -> bool,
) -> Result<Verdicts> {
    let root = Utf8PathBuf::from_path_buf(journal.root(state)?).unwrap_or_default();
    let before = tree_before(journal, after, root);
    let Contents { facts, looks: looks_before, said } = Contents::read(&before)?;
    let references_before = references::resolved(&before, &said?);
    let moves = moves(journal, &before);
    let rewrites = references::rewrite(&before, &references_before, &moves)?;
    let (lost, changed) = lost(state, journal)?;
    let created = journal.steps.iter().filter_map(|step| match step {
        Step::Create { path, .. } => Some(path),
        _ => None,
    });
    let created = created.collect();
    let proof =
        Proof { created, journal, before, looks_before, references_before, after, moves, rewrites, changed, lost };
    let losses = proof.losses();
    let (broken, patterns): (Vec<&Loss>, Vec<&Loss>) = losses.iter().partition(|loss| loss.is_broken());
    let (syntax_before, syntax_after) = (syntax(&proof.before, &facts), syntax(&after.tree, &after.facts));
    let teller = proof.teller(has_task);
    let criteria = vec![
        proof.scripts_work(&broken, &syntax_before, &syntax_after),
        proof.no_duplication(),
        proof.readmes(&teller),
        proof.catalog(&teller)?,
        proof.commands(),
        proof.environments(),
        proof.documentation(&broken),
        proof.archive(&teller)?,
        proof.tests(&broken, &syntax_before, &syntax_after),
        proof.found(&teller)?,
    ];
    let is_broken = |reference: &&Reference| reference.outcome == Outcome::Broken;
    let broken_before =
        proof.references_before.iter().filter(is_broken).map(|reference| proof.told(reference)).collect();
    let patterns = patterns.iter().map(|loss| proof.told(loss.reference)).collect();
    let mut changed: Vec<RelPath> = proof.changed.into_iter().collect();
    changed.sort();
    Ok(Verdicts { criteria, broken_before, patterns, undecided: journal.undecided.clone(), changed })
}

/// The tree of before: what it was from the journal, what lies where from its steps.
fn tree_before(journal: &Journal, after: &Scan, root: Utf8PathBuf) -> Tree {
    let moved = places(journal);
    let mut kept_at: HashMap<RelPath, RelPath> = HashMap::new();
    for step in &journal.steps {
        if let Step::Rewrite { path, store, .. } = step {
            kept_at.insert(path.clone(), store.clone());
        }
    }
    let stored = stored(journal);
    let mut entries = Vec::new();
    let mut digests: HashMap<RelPath, Digest> = HashMap::new();
    for (path, was) in &journal.before {
        let now = stored.get(path).copied().or_else(|| moved.get(path).copied()).unwrap_or(path);
        let place = kept_at.get(now).unwrap_or(now);
        let there = after.tree.at(now);
        digests.extend(digest_of(was).map(|digest| (path.clone(), digest)));
        entries.push((entry(path, was, there), (place != path).then(|| place.clone())));
    }
    let around =
        after.tree.entries().iter().filter(|entry| !entry.is_given && !journal.before.contains_key(&entry.path));
    entries.extend(around.map(|entry| (entry.clone(), None)));
    Tree::rebuilt(root, after.tree.given().to_vec(), entries, &digests)
}

fn entry(path: &RelPath, was: &Was, there: Option<&Entry>) -> Entry {
    let closed = there.and_then(|entry| entry.closed.clone()).unwrap_or(Closed::Ignored);
    Entry {
        path: path.clone(),
        kind: was.kind.clone(),
        size: was.size,
        mode: was.mode,
        mtime: was.mtime,
        inode: (0, 0),
        links: 1,
        git: there.map_or(Git::Untracked, |entry| entry.git),
        closed: was.is_closed.then_some(closed),
        is_given: true,
    }
}

fn digest_of(was: &Was) -> Option<Digest> {
    let mut digest = [0u8; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(was.sha256.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Where dropped copies are kept.
fn stored(journal: &Journal) -> HashMap<&RelPath, &RelPath> {
    let renames = journal.steps.iter().filter_map(|step| match step {
        Step::Rename { from, to, .. } if journal.dropped.contains_key(from) => Some((from, to)),
        _ => None,
    });
    renames.collect()
}

fn moves(journal: &Journal, before: &Tree) -> Moves {
    let moved = places(journal)
        .into_iter()
        .filter(|(from, _)| journal.before.contains_key(*from) && !journal.dropped.contains_key(*from));
    let moved = moved.map(|(from, to)| (from.clone(), Fate::At(to.clone())));
    let dropped = journal.dropped.iter().map(|(from, kept)| (from.clone(), Fate::DroppedFor(kept.clone())));
    Moves::new(before, moved.chain(dropped))
}

/// What of before is nowhere any more; and what was changed by somebody since, by its path after.
fn lost(state: &State, journal: &Journal) -> Result<(Vec<Finding>, HashSet<RelPath>)> {
    let root = journal.root(state)?;
    let moved = places(journal);
    let stored = stored(journal);
    let mut written: HashMap<&RelPath, (&RelPath, &String)> = HashMap::new();
    for step in &journal.steps {
        if let Step::Rewrite { path, store, sha256, .. } = step {
            written.insert(path, (store, sha256));
        }
    }
    let mut findings = Vec::new();
    let mut changed = HashSet::new();
    for (path, was) in journal.before.iter().filter(|(_, was)| was.kind == Kind::File && !was.sha256.is_empty()) {
        let now = stored.get(path).copied().or_else(|| moved.get(path).copied()).unwrap_or(path);
        let there = sha256_at(&now.on(&root));
        let expected = written.get(now).map_or(&was.sha256, |(_, sha256)| *sha256);
        match there {
            None => findings.push(Finding::error(format!("`{path}` is neither at its old place nor at `{now}`"))),
            Some(sha256) if sha256 != *expected => {
                changed.insert(now.clone());
            }
            Some(_) => {}
        }
        if let Some((store, _)) = written.get(now)
            && sha256_at(&store.on(&root)).as_ref() != Some(&was.sha256)
        {
            findings.push(Finding::error(format!("what `{path}` was before it was rewritten is not kept any more")));
        }
    }
    for (path, _) in journal.before.iter().filter(|(_, was)| matches!(was.kind, Kind::Symlink(_))) {
        let now = stored.get(path).copied().or_else(|| moved.get(path).copied()).unwrap_or(path);
        if !exists(&now.on(&root)) {
            findings.push(Finding::error(format!("the link `{path}` is neither at its old place nor at `{now}`")));
        }
    }
    Ok((findings, changed))
}

impl Proof<'_> {
    fn told(&self, reference: &Reference) -> String {
        format!(
            "{}:{}: {} `{}`",
            self.before.path(reference.file),
            reference.line,
            reference.kind.name(),
            crate::path::shown(&reference.text)
        )
    }

    /// References that resolved and no longer do, those of files aside that somebody has changed since.
    fn losses(&self) -> Vec<Loss<'_>> {
        let after = (&self.after.tree, self.after.references.as_slice());
        let losses = trial::compare((&self.before, &self.references_before), after, &self.moves, &self.rewrites);
        let is_ours = |loss: &Loss| !self.changed.contains(&self.moves.after(self.before.path(loss.reference.file)));
        losses.into_iter().filter(is_ours).collect()
    }

    fn broken_finding(&self, loss: &Loss) -> Finding {
        let file = self.moves.after(self.before.path(loss.reference.file)).to_string();
        let place = Place { file: file.into(), line: loss.reference.line, column: 1 };
        Finding::error(format!(
            "`{}` led to `{}` and does not any more",
            crate::path::shown(&loss.reference.text),
            loss.lost.wanted
        ))
        .at(place)
    }

    /// What does not parse and did before.
    fn worse(&self, before: &Syntax, after: &Syntax) -> Vec<Finding> {
        let mut worse = Vec::new();
        for (id, line, message) in after.broken() {
            let path = self.after.tree.path(id);
            let was = self.before.get(&self.moves.before(path)).and_then(|id| before.states.get(&id));
            if was == Some(&Parse::Parses) && !self.changed.contains(path) {
                let place = Place { file: path.to_string().into(), line, column: 1 };
                worse.push(Finding::error(format!("does not parse any more: {message}")).at(place));
            }
        }
        worse
    }

    fn scripts_work(&self, broken: &[&Loss], before: &Syntax, after: &Syntax) -> Criterion {
        let worse = self.worse(before, after);
        let mut findings: Vec<Finding> = broken.iter().map(|loss| self.broken_finding(loss)).collect();
        let resolved =
            self.references_before.iter().filter(|reference| matches!(reference.outcome, Outcome::Resolved(_))).count();
        let modes = self.modes();
        let evidence = format!(
            "{} files of before are all there; {resolved} references resolved, {} of them do not any more; {} files parse as before, {} do not; {} modes kept",
            self.journal.before.values().filter(|was| was.kind == Kind::File).count() - self.lost.len(),
            broken.len(),
            after.states.len() - worse.len(),
            worse.len(),
            modes.0
        );
        findings.extend(worse);
        findings.extend(self.lost.iter().cloned());
        findings.extend(modes.1);
        criterion("all scripts work after the move", evidence, findings)
    }

    /// How many modes are as they were, and which are not.
    fn modes(&self) -> (usize, Vec<Finding>) {
        let mut same = 0;
        let mut findings = Vec::new();
        for (path, was) in
            self.journal.before.iter().filter(|(path, was)| was.kind == Kind::File && !self.moves.is_dropped(path))
        {
            let now = self.moves.after(path);
            match self.after.tree.at(&now) {
                Some(entry) if entry.mode == was.mode => same += 1,
                Some(entry) if !self.changed.contains(&now) => {
                    findings
                        .push(Finding::error(format!("`{now}` has the mode {:o}, it had {:o}", entry.mode, was.mode)));
                }
                _ => {}
            }
        }
        (same, findings)
    }

    fn no_duplication(&self) -> Criterion {
        let mut findings = Vec::new();
        let (mut explained, mut left) = (0, 0);
        for (id, copy) in plan::copies_of(self.after) {
            let path = self.after.tree.path(id);
            left += 1;
            match (copy, self.journal.copies.get(path)) {
                (_, Some(_)) | (Copy::Both(_), None) => explained += 1,
                (Copy::Goes { kept, .. }, None) => {
                    findings.push(Finding::error(format!(
                        "`{path}` is a copy of `{}`, and nobody has said why",
                        self.after.tree.path(kept)
                    )));
                }
            }
        }
        let dropped = self.journal.dropped.len();
        criterion(
            "no duplication between directories",
            format!(
                "{dropped} copies dropped and kept in the journal; {left} redundant copies left, {explained} of them with a reason"
            ),
            findings,
        )
    }

    fn readmes(&self, teller: &Teller) -> Criterion {
        let mut findings = Vec::new();
        let (mut with, mut excused) = (0, BTreeMap::<&str, usize>::new());
        for entry in self.after.tree.entries().iter().filter(|entry| entry.kind == Kind::Folder && entry.is_given) {
            let own = self
                .after
                .tree
                .children(&entry.path)
                .any(|id| crate::classify::names::is_readme(self.after.tree.path(id).name()));
            if own {
                with += 1;
            } else if let Some(why) = readme::why_none(teller, entry) {
                *excused.entry(why).or_default() += 1;
            } else {
                findings.push(Finding::error(format!("`{}/` has no README", teller.shown(&entry.path))));
            }
        }
        let excused: Vec<String> =
            excused.into_iter().map(|(why, count)| format!("{count} need none ({why})")).collect();
        let excused = if excused.is_empty() { String::new() } else { format!("; {}", excused.join(", ")) };
        criterion("every directory has a README", format!("{with} folders have one{excused}"), findings)
    }

    /// Files that a document links to, and those of its links that lead nowhere.
    fn links(&self, path: &RelPath) -> Result<(HashSet<RelPath>, Vec<Finding>)> {
        let mut targets = HashSet::new();
        let mut dead = Vec::new();
        let Some(id) = self.after.tree.get(path) else {
            return Ok((targets, vec![Finding::error(format!("there is no `{path}`"))]));
        };
        let folder = path.parent().unwrap_or_default();
        let text = String::from_utf8_lossy(&self.after.tree.content(id)?).into_owned();
        for (number, line) in text.lines().enumerate() {
            let mut rest = line;
            while let Some(at) = rest.find("](") {
                rest = &rest[at + 2..];
                let Some(end) = rest.find(')') else { break };
                let link = &rest[..end];
                if link.contains("://") || link.starts_with('#') {
                    continue;
                }
                let way = percent_decode(link.split('#').next().unwrap_or_default());
                match folder.resolve(&way).filter(|target| self.after.tree.at(target).is_some()) {
                    Some(target) => drop(targets.insert(target)),
                    None => {
                        let place = Place { file: path.to_string().into(), line: number + 1, column: 1 };
                        dead.push(Finding::error(format!("`{link}` is not there")).at(place));
                    }
                }
            }
        }
        Ok((targets, dead))
    }

    /// Written by apply, or by somebody since.
    fn is_new(&self, path: &RelPath) -> bool {
        self.created.contains(path) || self.before.at(&self.moves.before(path)).is_none()
    }

    fn into(&self) -> &RelPath {
        &self.journal.into
    }

    fn catalog(&self, teller: &Teller) -> Result<Criterion> {
        if self.moves.is_empty() {
            return Ok(criterion(
                "CATALOG.md is comprehensive",
                "nothing was moved, so nothing was written".to_owned(),
                Vec::new(),
            ));
        }
        let (targets, mut findings) = self.links(&self.into().join(b"CATALOG.md"))?;
        let archive = self.into().join(b"_archive");
        let is_known =
            |path: &RelPath| targets.contains(path) || path.ancestors().any(|above| targets.contains(&above));
        let mut listed = 0;
        for path in teller.told.keys().filter(|path| path.is_within(self.into()) && !path.is_within(&archive)) {
            if is_known(path) || *path == self.into().join(b"CATALOG.md") {
                listed += 1;
            } else if !self.is_new(path) {
                findings.push(Finding::error(format!("`{}` is not in CATALOG.md", teller.shown(path))));
            }
        }
        Ok(criterion(
            "CATALOG.md is comprehensive",
            format!(
                "{} paths in it, all there; {listed} files are in it by themselves or by their application",
                targets.len()
            ),
            findings,
        ))
    }

    fn commands(&self) -> Criterion {
        let with = self.journal.commands.iter().filter(|(_, task, _)| task.is_some()).count();
        let all = self.journal.commands.len();
        let gone = self.journal.commands.iter().filter(|(.., now)| self.after.tree.at(now).is_none());
        let findings = gone
            .map(|(old, _, now)| Finding::error(format!("the script that was `{old}` is not at `{now}`")))
            .collect();
        let evidence = format!(
            "{all} old commands: {with} have a task, {} none yet and are at hand where CATALOG.md says",
            all - with
        );
        criterion("common commands are at hand", evidence, findings)
    }

    fn environments(&self) -> Criterion {
        let mut findings = Vec::new();
        let mut by_place: BTreeMap<String, usize> = BTreeMap::new();
        let mut total = 0;
        let home = self.into().join(b"config").join(b"environments");
        for id in self.after.tree.sources() {
            if self.after.looks[id.index()].as_ref().map(|look| look.what) != Some(What::Environment) {
                continue;
            }
            let path = self.after.tree.path(id);
            let unit = self.after.units.iter().find_map(|(_, units)| units.of(path));
            total += 1;
            let place = match unit {
                Some(unit) => unit.root.to_string(),
                None if path.is_within(&home) => "config/environments".to_owned(),
                None if path.parent().as_ref() == Some(self.into()) || path.name() == b".env" => {
                    "the top, where tools look".to_owned()
                }
                None if path.is_within(&self.into().join(b"_archive")) => "the archive".to_owned(),
                None if self.journal.undecided.contains(path) || self.moves.before(path) == *path => {
                    "where it was".to_owned()
                }
                None => {
                    findings
                        .push(Finding::error(format!("`{path}` is an environment's file outside config/environments")));
                    continue;
                }
            };
            *by_place.entry(place).or_default() += 1;
        }
        let places: Vec<String> = by_place.into_iter().map(|(place, count)| format!("{count} in {place}")).collect();
        let places = if places.is_empty() { String::new() } else { format!(": {}", places.join(", ")) };
        criterion(
            "environment configurations are separated",
            format!("{total} files of environments{places}; each is one environment's"),
            findings,
        )
    }

    fn documentation(&self, broken: &[&Loss]) -> Criterion {
        let is_document = |reference: &Reference, tree: &Tree| {
            let name = tree.path(reference.file).name();
            name.ends_with(b".md") || name.ends_with(b".rst") || name.ends_with(b".mdx")
        };
        let findings: Vec<Finding> = broken
            .iter()
            .filter(|loss| is_document(loss.reference, &self.before))
            .map(|loss| self.broken_finding(loss))
            .collect();
        let count = |references: &[Reference], tree: &Tree, wanted: fn(&Outcome) -> bool| {
            references.iter().filter(|reference| is_document(reference, tree) && wanted(&reference.outcome)).count()
        };
        let resolved =
            count(&self.after.references, &self.after.tree, |outcome| matches!(outcome, Outcome::Resolved(_)));
        let before = count(&self.references_before, &self.before, |outcome| *outcome == Outcome::Broken);
        let documents = self
            .after
            .facts
            .iter()
            .flatten()
            .filter(|facts| facts.language == crate::language::Language::Markdown)
            .count();
        criterion(
            "documentation is complete",
            format!(
                "{documents} documents; {resolved} of their references resolve, {} broke; {before} were broken before and are listed",
                findings.len()
            ),
            findings,
        )
    }

    fn archive(&self, teller: &Teller) -> Result<Criterion> {
        let home = self.into().join(b"_archive");
        let files: Vec<&RelPath> = teller.told.keys().filter(|path| path.is_within(&home)).collect();
        if files.is_empty() {
            return Ok(criterion(
                "the archive is organised",
                "nothing is archived".to_owned(),
                retired::check(&self.after.tree, self.into())?,
            ));
        }
        let (targets, mut findings) = self.links(&home.join(b"README.md"))?;
        let is_own = |path: &RelPath| path.parent().as_ref() == Some(&home);
        let missing = files.iter().filter(|path| !targets.contains(**path) && !is_own(path) && !self.is_new(path));
        findings.extend(missing.map(|path| Finding::error(format!("`{path}` is not in the index of the archive"))));
        let periods: HashSet<Vec<u8>> =
            files.iter().filter_map(|path| path.below(&home)?.parts().next().map(<[u8]>::to_vec)).collect();
        findings.extend(retired::check(&self.after.tree, self.into())?);
        Ok(criterion(
            "the archive is organised",
            format!(
                "{} files in {} periods, all in its index; {} retired paths, none is back",
                files.len(),
                periods.len(),
                self.journal.retired.len()
            ),
            findings,
        ))
    }

    fn tests(&self, broken: &[&Loss], before: &Syntax, after: &Syntax) -> Criterion {
        let uses = Uses::new(&self.before, &self.references_before);
        let looks = &self.looks_before;
        let is_test = |id: FileId| {
            looks[id.index()].as_ref().is_some_and(|look| look.shape == crate::classify::look::Shape::Test)
        };
        let tests: Vec<FileId> = self.before.sources().filter(|id| is_test(*id)).collect();
        let of_tests = |file: FileId| is_test(file) || uses.of(file).iter().any(|user| is_test(*user));
        let mut findings: Vec<Finding> =
            broken.iter().filter(|loss| of_tests(loss.reference.file)).map(|loss| self.broken_finding(loss)).collect();
        let worse = self.worse(before, after);
        let moved =
            tests.iter().filter(|id| self.moves.after(self.before.path(**id)) != *self.before.path(**id)).count();
        let references = self
            .references_before
            .iter()
            .filter(|reference| is_test(reference.file) && matches!(reference.outcome, Outcome::Resolved(_)))
            .count();
        findings.extend(worse.into_iter().filter(|finding| {
            finding
                .place
                .as_ref()
                .and_then(|place| crate::path::from_shown(place.file.as_str()))
                .is_some_and(|path| self.before.get(&self.moves.before(&path)).is_some_and(is_test))
        }));
        criterion(
            "tests pass as before",
            format!(
                "{} files of tests, {moved} of them moved; they parse as before, and all {references} references they have resolve as before",
                tests.len()
            ),
            findings,
        )
    }

    fn found(&self, teller: &Teller) -> Result<Criterion> {
        let mut reached: HashSet<RelPath> = HashSet::new();
        for name in [&b"CATALOG.md"[..], b"_archive/README.md"] {
            let path = RelPath::new(name).map(|path| self.into().append(&path)).unwrap_or_default();
            if self.after.tree.at(&path).is_some() {
                reached.extend(self.links(&path)?.0);
            }
        }
        let is_reached = |path: &RelPath| {
            reached.contains(path)
                || path.ancestors().any(|above| reached.contains(&above))
                || path.parent().is_some_and(|folder| self.after.tree.is_file(&folder.join(b"README.md")))
        };
        let all: Vec<&RelPath> = teller.told.keys().filter(|path| path.is_within(self.into())).collect();
        let missing: Vec<&&RelPath> = all
            .iter()
            .filter(|path| !is_reached(path) && !self.moves.is_empty() && self.moves.before(path) != ***path)
            .collect();
        let findings =
            missing.iter().map(|path| Finding::error(format!("`{path}` is in no catalog and no README"))).collect();
        Ok(criterion(
            "everything is found easily",
            format!(
                "{} of {} files by the catalog, the archive's index or the README beside them",
                all.len() - missing.len(),
                all.len()
            ),
            findings,
        ))
    }

    /// What would be told of the tree that is there.
    fn teller(&self, has_task: &dyn Fn(&str) -> bool) -> Teller<'_> {
        let folders = Folders { from: self.journal.from.clone(), into: self.journal.into.clone() };
        let known = Known {
            tree: &self.after.tree,
            facts: &self.after.facts,
            looks: &self.after.looks,
            uses: &Uses::default(),
            units: &self.after.units,
        };
        let verdicts: Vec<Option<Verdict>> = classify(&known);
        let applications = verdicts
            .iter()
            .flatten()
            .filter(|verdict| verdict.class == Class::Application && verdict.role == Role::Stays)
            .count();
        let is_application = applications * 2 > verdicts.iter().flatten().count();
        let root = self.after.tree.root();
        let on = |path: &RelPath| root.join(path.utf8().unwrap_or_default());
        let options =
            Options { folder: on(&folders.from), into: on(&folders.into), keep_scripts: false, period: String::new() };
        let readmes = if is_application { Readmes::OutsideApplications } else { Readmes::EveryFolder };
        let readmes = self.journal.readmes.unwrap_or(readmes);
        let plan = Plan { options, readmes, digest: String::new(), items: Vec::new() };
        Teller::new(self.after, &plan, &BTreeMap::new(), &Moves::default(), &self.after.tree, has_task)
    }
}

fn criterion(name: &'static str, evidence: String, findings: Vec<Finding>) -> Criterion {
    Criterion { name, holds: findings.is_empty(), evidence, findings }
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}
