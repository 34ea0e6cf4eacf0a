//! What each file is for: by its content and by who uses it, names only help. Says why, and how sure it is.

pub mod class;
pub mod documents;
pub mod former;
pub mod look;
pub mod names;
mod sql;
pub mod units;

use std::collections::HashMap;

use crate::facts::{Facts, Made};
use crate::language::{Family, Language};
use crate::path::RelPath;
use crate::references::{Outcome, Reference, Target};
use crate::tree::{FileId, Git, Kind, Tree};

pub use class::{Class, Weights};
use documents::Document;
use look::{Look, Shape, What};
use units::Units;

/// What was decided about a file.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub class: Class,
    /// 0 to 1.
    pub confidence: f32,
    /// One sentence without a full stop.
    pub because: String,
    pub role: Role,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// It belongs where it is.
    Stays,
    /// Run by people; a task does its work.
    Script,
    /// In use, and moves to the place of its class.
    Live,
    Document(Document),
    /// For diagnostics, analytics or utilities.
    Query(&'static str),
    /// Out of use.
    Former,
    /// Nothing says what it is.
    Unknown,
}

/// What classification stands on.
pub struct Known<'a> {
    pub tree: &'a Tree,
    pub facts: &'a [Option<Facts>],
    pub looks: &'a [Option<Look>],
    pub uses: &'a Uses,
    /// By given folder.
    pub units: &'a [(RelPath, Units)],
}

/// Who refers to a file.
#[derive(Debug, Default)]
pub struct Uses {
    of: HashMap<FileId, Vec<FileId>>,
}

impl Uses {
    pub fn new(tree: &Tree, references: &[Reference]) -> Uses {
        let mut of: HashMap<FileId, Vec<FileId>> = HashMap::new();
        for reference in references {
            let Outcome::Resolved(Target::File(path)) = &reference.outcome else { continue };
            if let Some(id) = tree.get(path).filter(|id| *id != reference.file) {
                of.entry(id).or_default().push(reference.file);
            }
        }
        for users in of.values_mut() {
            users.sort_unstable();
            users.dedup();
        }
        Uses { of }
    }
    /// Files that refer to this one, each once.
    pub fn of(&self, id: FileId) -> &[FileId] {
        self.of.get(&id).map_or(&[], Vec::as_slice)
    }
}

/// A verdict on every file, link and closed folder in the given folders, by index.
pub fn classify(known: &Known) -> Vec<Option<Verdict>> {
    let tree = known.tree;
    let mut verdicts: Vec<Option<Verdict>> = tree.ids().map(|_| None).collect();
    for id in tree.ids().filter(|id| tree.entry(*id).is_given && tree.entry(*id).is_whole()) {
        verdicts[id.index()] = known.verdict(id);
    }
    attach(known, &mut verdicts);
    verdicts
}

fn verdict(class: Class, confidence: f32, because: impl Into<String>, role: Role) -> Verdict {
    Verdict { class, confidence, because: because.into(), role }
}

impl Known<'_> {
    /// None for what follows the files around it.
    fn verdict(&self, id: FileId) -> Option<Verdict> {
        let entry = self.tree.entry(id);
        let path = &entry.path;
        let (given, units) = self.units.iter().find(|(given, _)| path.is_within(given))?;
        let below = path.below(given)?;
        if let Some(stays) = self.stays(id, &below, units) {
            return Some(stays);
        }
        let facts = self.facts[id.index()].as_ref()?;
        let look = self.looks[id.index()].as_ref();
        let what = look.map_or(What::Plain, |look| look.what);
        if let Some(why) = former::why(&below) {
            return Some(verdict(Class::Archive, 0.9, why, Role::Former));
        }
        if let Some(class) = what.class() {
            return Some(verdict(class, 0.95, format!("is {}", what.name()), Role::Live));
        }
        if entry.kind != Kind::File || names::is_attached(&below) {
            return None;
        }
        if let Some((user, form)) = self.infrastructure_user(id) {
            let because = format!("is used by {} `{}`", form.name(), self.tree.path(user));
            let class = form.class().unwrap_or(Class::Infrastructure);
            return Some(verdict(class, 0.85, because, Role::Live));
        }
        if facts.language == Language::Make {
            return Some(verdict(Class::Utilities, 0.6, "is a makefile", Role::Stays));
        }
        if let Some(sql) = look.and_then(|look| look.sql) {
            return Some(sql::verdict_of(&below, &sql));
        }
        match (facts.language.family(), look.map_or(Shape::None, |look| look.shape)) {
            // What is a text only because it is nothing else goes with what lies around it.
            (Family::Document, _) if facts.language == Language::Text && !names::is_prose(below.name()) => None,
            (Family::Document, _) if facts.language != Language::Image => Some(documents::verdict_of(&below)),
            // No task replaces a program's source, wherever it lies; one in a folder of scripts is run like them.
            (Family::Program, Shape::Module | Shape::Test) if !look?.is_compiled => None,
            (Family::Program, Shape::Module | Shape::Test) if !units::is_among_scripts(&below) => {
                Some(verdict(Class::Application, 0.8, "is source code of a program", Role::Stays))
            }
            (_, Shape::Script | Shape::Module) => Some(self.script(id, &below, look?)),
            (_, Shape::Test) => Some(verdict(Class::Testing, 0.85, "is a test by its form", Role::Script)),
            _ => None,
        }
    }

    fn stays(&self, id: FileId, below: &RelPath, units: &Units) -> Option<Verdict> {
        let entry = self.tree.entry(id);
        let stays = |class, because: String| Some(verdict(class, 0.97, because, Role::Stays));
        if let Some(closed) = &entry.closed {
            return stays(Class::Application, closed_because(closed));
        }
        if entry.kind == Kind::Other {
            return stays(Class::Application, "is a socket, a pipe or a device".to_owned());
        }
        if let Some(error) = self.facts[id.index()].as_ref().and_then(|facts| facts.unreadable.as_ref()) {
            return stays(Class::Application, format!("cannot be read: {error}"));
        }
        if let Some(unit) = units.of(&entry.path) {
            return stays(Class::Application, format!("belongs to `{}/`: {}", unit.root, unit.why));
        }
        let made = self.facts[id.index()].as_ref().and_then(|facts| facts.made);
        if made == Some(Made::Runtime) || entry.git == Git::Ignored {
            return stays(Class::Config, "is made at run time".to_owned());
        }
        if let Some(collection) = units.collection(&entry.path) {
            return stays(Class::Application, format!("stands beside the programs in `{collection}/`"));
        }
        if made == Some(Made::Vendored) {
            return stays(Class::Application, "is somebody else's code".to_owned());
        }
        if let Some((class, because)) = names::fixed(below) {
            return stays(class, because);
        }
        if let Some(user) = self.application_user(id, units) {
            return stays(Class::Application, format!("`{}` of the program uses it", self.tree.path(user)));
        }
        None
    }

    /// A file of a program that uses this one: its build, its code, its image.
    fn application_user(&self, id: FileId, units: &Units) -> Option<FileId> {
        let is_program = |user: &&FileId| {
            let path = self.tree.path(**user);
            let is_prose =
                self.facts[user.index()].as_ref().is_some_and(|facts| facts.language.family() == Family::Document);
            let is_manifest = units.is_program && names::is_manifest(path);
            !is_prose && (units.of(path).is_some() || is_manifest)
        };
        self.uses.of(id).iter().find(is_program).copied()
    }

    /// Infrastructure that needs this script or file at its place: an image that copies it, a unit that runs it.
    fn infrastructure_user(&self, id: FileId) -> Option<(FileId, What)> {
        let form = |user: &FileId| self.looks[user.index()].as_ref().map(|look| look.what);
        let needs = |what: &What| {
            !matches!(what, What::Plain | What::Workflow | What::Environment | What::Dump) && what.class().is_some()
        };
        let own = form(&id).unwrap_or(What::Plain);
        let users = self.uses.of(id).iter();
        users.filter_map(|user| Some((*user, form(user).filter(needs)?))).find(|_| own == What::Plain)
    }

    /// By name, folders and commands.
    fn script(&self, id: FileId, below: &RelPath, look: &Look) -> Verdict {
        let mut evidence = names::evidence(below);
        let mut commands: Vec<(Class, f32, &str)> = look
            .commands
            .iter()
            .map(|(which, count)| {
                let (text, class, weight) = class::COMMANDS[*which];
                (class, weight * (1.0 + 0.25 * f32::from(count - 1)), text.trim())
            })
            .collect();
        commands.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut total: HashMap<Class, f32> = HashMap::new();
        for (class, weight, text) in commands {
            // A long script runs a lot of everything.
            let so_far = total.entry(class).or_default();
            let weight = weight.min(4.0 - *so_far).max(0.0);
            *so_far += weight;
            evidence.push((class, weight, format!("runs `{text}`")));
        }
        if look.shape == Shape::Test {
            evidence.push((Class::Testing, 4.0, "is a test".to_owned()));
        }
        for user in self.uses.of(id) {
            if self.looks[user.index()].as_ref().is_some_and(|look| look.what == What::Workflow) {
                evidence.push((Class::Ci, 1.5, format!("the workflow `{}` runs it", self.tree.path(*user))));
            }
        }
        let mut weights = Weights::default();
        evidence.iter().for_each(|(class, weight, _)| weights.add(*class, *weight));
        let Some((class, confidence)) = weights.best() else {
            return verdict(Class::Utilities, 0.3, "is a script that nothing says more about", Role::Script);
        };
        let mut reasons: Vec<&(Class, f32, String)> = evidence.iter().filter(|(said, ..)| *said == class).collect();
        reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut because: Vec<&str> = reasons.iter().map(|(.., reason)| reason.as_str()).collect();
        because.dedup();
        because.truncate(3);
        verdict(class, confidence, because.join(", "), Role::Script)
    }
}

fn closed_because(closed: &crate::tree::Closed) -> String {
    use crate::tree::Closed;
    match closed {
        Closed::Repository => "is a repository of its own".to_owned(),
        Closed::Ignored => "is ignored by git: made at run time".to_owned(),
        Closed::Dependencies => "holds installed dependencies or a cache".to_owned(),
        Closed::Data => "holds the files of a database server".to_owned(),
        Closed::State => "is this program's state".to_owned(),
        Closed::Unreadable(error) => format!("cannot be read: {error}"),
    }
}

/// Files that follow those around them: a README its folder, data its scripts, a picture its documents.
fn attach(known: &Known, verdicts: &mut [Option<Verdict>]) {
    let tree = known.tree;
    let mut by_folder: HashMap<RelPath, Vec<(FileId, Class, Role)>> = HashMap::new();
    for id in tree.ids() {
        if let Some(verdict) = &verdicts[id.index()] {
            let found = (id, verdict.class, verdict.role.clone());
            let folder = tree.path(id).parent().unwrap_or_default();
            by_folder.entry(folder).or_default().push(found);
        }
    }
    let majority = |ids: &[(FileId, Class, Role)]| {
        let mut counts: Vec<(&Class, &Role, usize)> = Vec::new();
        for (_, class, role) in ids {
            match counts.iter_mut().find(|(known, kind, _)| *known == class && **kind == *role) {
                Some((.., count)) => *count += 1,
                None => counts.push((class, role, 1)),
            }
        }
        let most = counts.iter().max_by_key(|(class, _, count)| (*count, std::cmp::Reverse(**class)))?;
        Some(((*most.0, most.1.clone()), most.2, ids.len()))
    };
    let mut new = Vec::new();
    for id in tree.ids().filter(|id| tree.entry(*id).is_given && tree.entry(*id).is_whole()) {
        if verdicts[id.index()].is_some() {
            continue;
        }
        // Those who use it say most, then its folder, then what lies below it, then the folders above.
        let users: Vec<(FileId, Class, Role)> = known
            .uses
            .of(id)
            .iter()
            .filter_map(|user| {
                verdicts[user.index()].as_ref().map(|verdict| (*user, verdict.class, verdict.role.clone()))
            })
            .collect();
        let folder = tree.path(id).parent().unwrap_or_default();
        let is_readme = names::is_readme(tree.path(id).name());
        let found = majority(&users)
            .filter(|_| !is_readme)
            .map(|found| (found, "those that use it".to_owned()))
            .or_else(|| {
                let beside = by_folder.get(&folder).and_then(|files| majority(files));
                beside.map(|found| (found, format!("the files beside it in `{folder}/`")))
            });
        let found = found.or_else(|| {
            let inside: Vec<(FileId, Class, Role)> = by_folder
                .iter()
                .filter(|(path, _)| path.is_within(&folder))
                .flat_map(|(_, files)| files.clone())
                .collect();
            majority(&inside).map(|found| (found, format!("what lies below `{folder}/`")))
        });
        let found = found.or_else(|| {
            let above = folder.ancestors().filter(|above| !above.is_root());
            above
                .filter_map(|above| Some((majority(by_folder.get(&above)?)?, format!("the files in `{above}/`"))))
                .next()
        });
        let verdict = match found {
            Some((((class, role), count, all), whose)) => {
                let share = count as f32 / all as f32;
                verdict(class, 0.4 + 0.4 * share, format!("goes with {whose}"), role)
            }
            None => verdict(Class::Utilities, 0.0, "nothing says what it is for", Role::Unknown),
        };
        new.push((id, verdict));
    }
    for (id, verdict) in new {
        verdicts[id.index()] = Some(verdict);
    }
}
