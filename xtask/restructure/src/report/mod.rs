//! What is known, for people, for programs, and as a page to browse.

mod data;
mod html;
mod text;

use std::collections::BTreeMap;

use crate::path::RelPath;
use crate::plan::{Item, Made};
use crate::references::{Outcome, Reference};
use crate::scan::Scan;
use crate::syntax::Syntax;
use crate::tell::task;
use crate::tree::{FileId, Kind};

pub use data::{plan as plan_json, scan as scan_json};
pub use html::page;
pub use text::scan as scan_text;

/// A scan as it is told: with syntax where that was looked at, and with the plan where there is one.
pub struct Report<'a> {
    pub scan: &'a Scan,
    pub syntax: Option<&'a Syntax>,
    pub made: Option<&'a Made>,
    /// The folder, relative to the tree's root; paths are told relative to it.
    pub folder: RelPath,
    /// Whether this program has a task.
    pub has_task: &'a dyn Fn(&str) -> bool,
}

impl Report<'_> {
    /// As people know a path.
    pub fn shown(&self, path: &RelPath) -> String {
        match path.below(&self.folder) {
            Some(below) if below.is_root() => ".".to_owned(),
            Some(below) => below.to_string(),
            None => path.to_string(),
        }
    }
    fn shown_id(&self, id: FileId) -> String {
        self.shown(self.scan.tree.path(id))
    }
    /// Entries of the folder, the folder itself aside.
    fn ids(&self) -> impl Iterator<Item = FileId> + use<'_> {
        self.scan.tree.below(&self.folder).filter(|id| self.scan.tree.entry(*id).is_given)
    }
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for id in self.ids() {
            let entry = self.scan.tree.entry(id);
            match &entry.kind {
                Kind::File => {
                    counts.files += 1;
                    counts.bytes += entry.size;
                    counts.executable += usize::from(entry.is_executable());
                    counts.empty += usize::from(entry.size == 0);
                }
                Kind::Folder => counts.folders += 1,
                Kind::Symlink(_) => counts.links += 1,
                Kind::Other => counts.special += 1,
            }
            if let Some(facts) = &self.scan.facts[id.index()] {
                *counts.languages.entry(facts.language.name()).or_default() += 1;
                if let Some(made) = facts.made {
                    *counts.made.entry(made.name()).or_default() += 1;
                }
            }
        }
        counts
    }
    /// References of files in the folder, by how they end.
    fn references(&self) -> BTreeMap<&'static str, Vec<&Reference>> {
        let mut by_outcome: BTreeMap<&'static str, Vec<&Reference>> = BTreeMap::new();
        let inside = |reference: &&Reference| self.scan.tree.path(reference.file).is_within(&self.folder);
        for reference in self.scan.references.iter().filter(inside) {
            by_outcome.entry(outcome(&reference.outcome)).or_default().push(reference);
        }
        by_outcome
    }
    /// The task that does a live script's work: None for what is no such script.
    fn task(&self, item: &Item) -> Option<Option<&'static str>> {
        self.made?;
        let id = self.scan.tree.get(&self.folder.append(&item.path))?;
        let facts = self.scan.facts[id.index()].as_ref()?;
        let is_live = !matches!(item.class, crate::classify::Class::Archive | crate::classify::Class::Application);
        let is_script =
            self.scan.looks[id.index()].as_ref().is_some_and(|look| look.shape != crate::classify::look::Shape::None);
        let is_code = facts.language.is_code() && item.act.target().is_some();
        (is_live && is_script && is_code)
            .then(|| task::of_class(&item.path, item.class).filter(|task| (self.has_task)(task)))
    }
}

#[derive(Debug, Default)]
struct Counts {
    files: usize,
    folders: usize,
    links: usize,
    special: usize,
    bytes: u64,
    executable: usize,
    empty: usize,
    languages: BTreeMap<&'static str, usize>,
    made: BTreeMap<&'static str, usize>,
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Resolved(_) => "resolved",
        Outcome::Broken => "broken",
        Outcome::Runtime => "runtime",
        Outcome::External => "external",
        Outcome::Ambiguous(_) => "ambiguous",
    }
}

/// A share of a whole as people read it.
fn percent(part: usize, whole: usize) -> usize {
    (part * 100 + whole / 2).checked_div(whole).unwrap_or_default()
}
