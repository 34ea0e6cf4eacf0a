//! What is wrong with a plan on the tree it is for: everything is looked at before anything is touched.

use std::collections::{BTreeMap, HashMap};

use base::tools::os;
use base::ui::{Finding, Place};
use camino::Utf8Path;

use super::{Act, Folders, Item, Plan, digest, print_of_folder};
use crate::path::RelPath;
use crate::tree::{Entry, Kind, Tree};

/// More findings of one kind are counted, not listed.
const LISTED: usize = 20;
/// What file systems take.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4000;

/// What has changed since the plan was made; none when nothing has.
pub fn stale(plan: &Plan, tree: &Tree, decisions: &BTreeMap<RelPath, Item>, file: &Utf8Path) -> Vec<Finding> {
    let folders = Folders::of(tree, &plan.options);
    if digest(tree, &folders.from) == plan.digest {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let place = |item: &Item| Place { file: file.to_owned(), line: item.line.max(1), column: 1 };
    for item in &plan.items {
        let inside = decisions.values().filter(|one| one.path.is_within(&item.path));
        match decisions.get(&item.path) {
            Some(now)
                if !item.print.is_empty() && now.print != item.print && now.print != "ignored" && !item.is_folder =>
            {
                findings.push(
                    Finding::error(format!("`{}` has changed since the plan was made", item.path)).at(place(item)),
                );
            }
            Some(_) => {}
            None if item.is_folder && inside.clone().next().is_some() => {
                if !item.print.is_empty() && print_of_folder(inside) != item.print {
                    findings.push(
                        Finding::error(format!("something in `{}/` has changed since the plan was made", item.path))
                            .at(place(item)),
                    );
                }
            }
            None => findings.push(Finding::error(format!("`{}` is not there any more", item.path)).at(place(item))),
        }
    }
    for item in decisions.values().filter(|item| plan.item(&item.path).is_none() && item.print != "ignored") {
        findings.push(Finding::error(format!("`{}` is new since the plan was made", item.path)));
    }
    if findings.is_empty() {
        findings.push(Finding::error("the folder is not what the plan was made from"));
    }
    shorten(findings)
}

/// What keeps the decisions from being carried out.
pub fn problems(plan: &Plan, tree: &Tree, decisions: &BTreeMap<RelPath, Item>, file: &Utf8Path) -> Vec<Finding> {
    let checker = Checker { tree, folders: Folders::of(tree, &plan.options), decisions, file };
    let mut findings = Vec::new();
    let mut targets: HashMap<RelPath, &Item> = HashMap::new();
    for item in decisions.values() {
        match &item.act {
            Act::Move(to) | Act::Archive(to) => {
                checker.target(item, to, &mut findings);
                if let Some(other) = targets.insert(to.clone(), item) {
                    findings.push(
                        checker.at(item, format!("`{}` goes to `{to}`, where `{}` goes too", item.path, other.path)),
                    );
                }
            }
            Act::Drop(of) => checker.copy(item, of, &mut findings),
            Act::Keep | Act::Decide => {}
        }
    }
    for (to, item) in &targets {
        if let Some(above) = to.ancestors().find(|above| targets.contains_key(above)) {
            findings.push(checker.at(item, format!("`{}` goes below `{above}`, which is to be a file", item.path)));
        }
    }
    findings.sort_by(|a, b| {
        (a.place.as_ref().map(|place| place.line), &a.message)
            .cmp(&(b.place.as_ref().map(|place| place.line), &b.message))
    });
    shorten(findings)
}

struct Checker<'a> {
    tree: &'a Tree,
    folders: Folders,
    decisions: &'a BTreeMap<RelPath, Item>,
    file: &'a Utf8Path,
}

impl Checker<'_> {
    fn at(&self, item: &Item, message: String) -> Finding {
        Finding::error(message).at(Place { file: self.file.to_owned(), line: item.line.max(1), column: 1 })
    }
    fn before(&self, item: &Item) -> Option<&Entry> {
        self.tree.at(&self.folders.from.append(&item.path))
    }
    /// It has another place, or none, afterwards.
    fn leaves(&self, path: &RelPath) -> bool {
        let item = path.below(&self.folders.from).and_then(|below| self.decisions.get(&below));
        item.is_some_and(|item| match &item.act {
            Act::Move(to) | Act::Archive(to) => self.folders.into.append(to) != *path,
            Act::Drop(_) => true,
            Act::Keep | Act::Decide => false,
        })
    }

    fn target(&self, item: &Item, to: &RelPath, findings: &mut Vec<Finding>) {
        let Some(entry) = self.before(item) else { return };
        let mut wrong = |message: String| findings.push(self.at(item, message));
        if entry.closed.is_some() || entry.kind == Kind::Other {
            return wrong(format!("`{}` can only stay: its inside is not this program's business", item.path));
        }
        let target = self.folders.into.append(to);
        let is_state = to.parts().any(|part| part == b".git") || to.parts().next() == Some(b".ops");
        if is_state {
            return wrong(format!("`{to}` belongs to git or to this program"));
        }
        if to.parts().any(|part| part.len() > LONGEST_NAME) || to.bytes().len() > LONGEST_PATH {
            return wrong(format!("the path that `{}` goes to is too long", item.path));
        }
        if let Some(closed) = self.tree.closed(&target) {
            return wrong(format!(
                "`{}` cannot go into `{}`, whose inside is not this program's business",
                item.path, closed.path
            ));
        }
        match self.tree.at(&target) {
            Some(there) if there.path == entry.path => {}
            Some(there) if there.kind == Kind::Folder => {
                let mut inside = self.tree.below(&target).filter(|id| self.tree.entry(*id).is_whole());
                if inside.any(|id| !self.leaves(self.tree.path(id))) || self.tree.below(&target).next().is_none() {
                    wrong(format!("`{}` cannot go to `{to}`: a folder has that name", item.path));
                }
            }
            Some(there) if !self.leaves(&there.path) => {
                wrong(format!("`{}` cannot go to `{to}`: that is taken", item.path))
            }
            _ => {}
        }
        for above in
            target.ancestors().take_while(|above| above.is_within(&self.folders.into) && *above != self.folders.into)
        {
            match self.tree.at(&above).map(|entry| &entry.kind) {
                // Through a link, a file would land where nobody has looked.
                Some(Kind::Symlink(_)) => {
                    wrong(format!("`{}` cannot go to `{to}`: `{above}` is a symbolic link", item.path))
                }
                Some(Kind::File | Kind::Other) if !self.leaves(&above) => {
                    wrong(format!("`{}` cannot go to `{to}`: `{above}` is no folder", item.path));
                }
                _ => {}
            }
        }
        let home = entry.path.parent().unwrap_or_default();
        let nearest = target.ancestors().find(|above| self.tree.is_folder(above)).unwrap_or_default();
        for folder in [home, nearest] {
            if !os::may_change(&folder.on(self.tree.root().as_std_path())) {
                wrong(format!("`{}` cannot go to `{to}`: this user may not change the folder `{folder}/`", item.path));
            }
        }
    }

    fn copy(&self, item: &Item, of: &RelPath, findings: &mut Vec<Finding>) {
        let kept = self.folders.from.append(of);
        let digest = |path: &RelPath| {
            self.tree.get(path).filter(|id| self.tree.entry(*id).is_file()).and_then(|id| self.tree.digest(id).ok())
        };
        let own = digest(&self.folders.from.append(&item.path));
        let mut wrong = |message: String| findings.push(self.at(item, message));
        if own.is_none() || digest(&kept) != own {
            wrong(format!("`{}` is no duplicate of `{of}`: their bytes differ", item.path));
        } else if self.decisions.get(of).is_some_and(|other| matches!(other.act, Act::Drop(_))) {
            wrong(format!("`{}` is dropped for `{of}`, which is dropped itself", item.path));
        } else if !os::may_change(
            &self.folders.from.append(&item.path).parent().unwrap_or_default().on(self.tree.root().as_std_path()),
        ) {
            wrong(format!("`{}` cannot go: this user may not change its folder", item.path));
        }
    }
}

fn shorten(mut findings: Vec<Finding>) -> Vec<Finding> {
    let more = findings.len().saturating_sub(LISTED);
    findings.truncate(LISTED);
    if more > 0 {
        findings.push(Finding::error(format!("and {more} more of these")));
    }
    findings
}
