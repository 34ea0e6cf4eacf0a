//! Of files with the same bytes, which one is kept and which go: the one referenced most, then the one on a live path,
//! then the one newest in git, then the one with the shortest path. Copies of whole folders are decided as wholes.

use std::collections::{HashMap, HashSet};

use crate::classify::{Class, Role, Uses, Verdict};
use crate::duplicates::{Group, parting};
use crate::path::RelPath;
use crate::references::{Outcome, Reference, Target};
use crate::scan::Scan;
use crate::tree::{Digest, FileId};

/// What is decided about one copy.
#[derive(Clone, Debug, PartialEq)]
pub enum Copy {
    /// It goes: the other one has the same bytes.
    Goes { kept: FileId, because: String },
    /// It stays beside another one, for this reason.
    Both(String),
}

pub struct Copies<'a> {
    scan: &'a Scan,
    uses: &'a Uses,
    verdicts: &'a [Option<Verdict>],
    /// When git last saw a change of a file; empty without git.
    ages: HashMap<RelPath, i64>,
    references: HashMap<FileId, Vec<&'a Reference>>,
    /// Folders that part two copies, with what speaks for each.
    sides: HashMap<RelPath, Side>,
    /// Folders that are copies of each other as wholes, nearly or entirely.
    wholes: HashSet<(RelPath, RelPath)>,
}

/// What speaks for one of two folders, in the order in which it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    /// References from outside.
    referenced: usize,
    resolving: usize,
    files: usize,
}

/// So much of a folder must stand in another one to be a copy of it as a whole, of 100.
const WHOLE: usize = 90;

impl<'a> Copies<'a> {
    pub fn new(
        scan: &'a Scan,
        uses: &'a Uses,
        verdicts: &'a [Option<Verdict>],
        ages: HashMap<RelPath, i64>,
    ) -> Copies<'a> {
        let mut references: HashMap<FileId, Vec<&Reference>> = HashMap::new();
        for reference in &scan.references {
            references.entry(reference.file).or_default().push(reference);
        }
        let is_whole = |shared: usize, files: usize| files > 0 && shared * 100 >= files * WHOLE;
        let wholes = scan
            .overlaps
            .iter()
            .filter(|overlap| {
                is_whole(overlap.same_path, overlap.files_a.min(overlap.files_b)) && overlap.same_path >= 3
            })
            .map(|overlap| (overlap.a.clone(), overlap.b.clone()))
            .collect();
        let mut copies = Copies { scan, uses, verdicts, ages, references, sides: HashMap::new(), wholes };
        let folders: HashSet<RelPath> = copies.wholes.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        copies.sides = folders.into_iter().map(|folder| (folder.clone(), copies.side(&folder))).collect();
        copies
    }

    /// Decides about every copy in every group; the one that is kept is not listed.
    pub fn decide(&self) -> HashMap<FileId, Copy> {
        let mut decided = HashMap::new();
        for group in &self.scan.groups {
            self.group(group, &mut decided);
        }
        decided
    }

    fn group(&self, group: &Group, decided: &mut HashMap<FileId, Copy>) {
        let Some(kept) =
            group.files.iter().copied().reduce(|best, next| if self.is_better(next, best) { next } else { best })
        else {
            return;
        };
        for id in group.files.iter().filter(|id| **id != kept) {
            let copy = match self.why_both(*id, kept) {
                Some(why) => Copy::Both(why),
                None => Copy::Goes { kept, because: self.because(kept, *id) },
            };
            decided.insert(*id, copy);
        }
    }

    fn verdict(&self, id: FileId) -> Option<&Verdict> {
        self.verdicts[id.index()].as_ref()
    }
    fn must_stay(&self, id: FileId) -> bool {
        self.verdict(id).is_none_or(|verdict| verdict.role == Role::Stays)
    }
    fn is_former(&self, id: FileId) -> bool {
        self.verdict(id).is_some_and(|verdict| verdict.class == Class::Archive)
    }

    /// The rule, as a comparison.
    fn is_better(&self, a: FileId, b: FileId) -> bool {
        self.rank(a, b) > self.rank(b, a)
    }

    /// What speaks for one copy against another; the greater is kept.
    fn rank(&self, id: FileId, other: FileId) -> impl Ord + use<'a> {
        let tree = &self.scan.tree;
        let path = tree.path(id);
        let side = self.parted(id, other).and_then(|(own, _)| self.sides.get(&own).copied()).unwrap_or_default();
        (
            self.must_stay(id),
            side,
            self.uses.of(id).len(),
            !self.is_former(id),
            self.ages.get(path).copied().unwrap_or(0),
            std::cmp::Reverse(path.bytes().len()),
            std::cmp::Reverse(path.clone()),
        )
    }

    /// The whole folders that part two copies, the first one's first.
    fn parted(&self, id: FileId, other: FileId) -> Option<(RelPath, RelPath)> {
        let (own, their) = parting(self.scan.tree.path(id), self.scan.tree.path(other))?;
        let is_known =
            self.wholes.contains(&(own.clone(), their.clone())) || self.wholes.contains(&(their.clone(), own.clone()));
        is_known.then_some((own, their))
    }

    fn side(&self, folder: &RelPath) -> Side {
        let tree = &self.scan.tree;
        let mut side = Side::default();
        for id in tree.below(folder).filter(|id| tree.entry(*id).is_file()) {
            side.files += 1;
            side.referenced += self.uses.of(id).iter().filter(|user| !tree.path(**user).is_within(folder)).count();
            let own = self.references.get(&id).map_or(&[][..], Vec::as_slice);
            side.resolving += own.iter().filter(|reference| matches!(reference.outcome, Outcome::Resolved(_))).count();
        }
        side
    }

    fn because(&self, kept: FileId, gone: FileId) -> String {
        let tree = &self.scan.tree;
        let uses = |id| self.uses.of(id).len();
        let age = |id| self.ages.get(tree.path(id)).copied().unwrap_or(0);
        let why = if self.must_stay(kept) {
            "which must stay where it is".to_owned()
        } else if let Some((own, their)) = self.parted(kept, gone) {
            let (a, b) = (
                self.sides.get(&own).copied().unwrap_or_default(),
                self.sides.get(&their).copied().unwrap_or_default(),
            );
            if a.referenced != b.referenced {
                format!("whose folder `{own}/` is referenced {} times, `{their}/` {} times", a.referenced, b.referenced)
            } else if a.resolving != b.resolving {
                format!("in whose folder `{own}/` {} references resolve, in `{their}/` {}", a.resolving, b.resolving)
            } else if a.files != b.files {
                format!("whose folder `{own}/` has all of `{their}/` and more")
            } else {
                format!("whose folder `{own}/` has the shorter path")
            }
        } else if uses(kept) != uses(gone) {
            format!("which is referenced {} times, this one {}", uses(kept), uses(gone))
        } else if self.is_former(gone) && !self.is_former(kept) {
            "which is on a live path".to_owned()
        } else if age(kept) != age(gone) {
            "which is newer in git".to_owned()
        } else {
            "which has the shorter path".to_owned()
        };
        format!("the same bytes stand in `{}`, {why}", tree.path(kept))
    }

    /// Why a copy is needed beside the kept one.
    fn why_both(&self, id: FileId, kept: FileId) -> Option<String> {
        let tree = &self.scan.tree;
        let path = tree.path(id);
        if self.must_stay(id) {
            return Some(self.verdict(id).map_or_else(String::new, |verdict| verdict.because.clone()));
        }
        if super::place::differ_by_environment(path, tree.path(kept)) {
            return Some("each environment has its own".to_owned());
        }
        let is_whole = self.parted(id, kept).is_some();
        let means_something_here = crate::classify::names::is_attached(path) || path.name() == b"__init__.py";
        let class = self.verdict(id).map(|verdict| verdict.class);
        let is_read_in_place =
            matches!(class, Some(Class::Infrastructure | Class::Config | Class::Monitoring | Class::Ci));
        if (means_something_here || is_read_in_place) && !is_whole {
            return Some("its tool or its reader looks for it here".to_owned());
        }
        if !self.means_the_same(id, kept) {
            return Some(format!(
                "the same bytes as `{}`, but what it refers to is another file here",
                tree.path(kept)
            ));
        }
        None
    }

    /// Two copies refer to the same things: the same file, or files with the same bytes, or nothing.
    fn means_the_same(&self, id: FileId, kept: FileId) -> bool {
        let tree = &self.scan.tree;
        let none = Vec::new();
        let (own, their) = (self.references.get(&id).unwrap_or(&none), self.references.get(&kept).unwrap_or(&none));
        let by_place: HashMap<(usize, usize), &Outcome> =
            their.iter().map(|reference| ((reference.span.start, reference.span.end), &reference.outcome)).collect();
        let digest = |path: &RelPath| -> Option<Digest> { tree.digest(tree.get(path)?).ok() };
        own.iter().all(|reference| {
            let Outcome::Resolved(target) = &reference.outcome else { return true };
            match (target, by_place.get(&(reference.span.start, reference.span.end))) {
                (Target::File(a), Some(Outcome::Resolved(Target::File(b)))) => {
                    a == b || *b == *tree.path(kept) || (digest(a).is_some() && digest(a) == digest(b))
                }
                (_, Some(Outcome::Resolved(_))) => true,
                _ => false,
            }
        })
    }
}
