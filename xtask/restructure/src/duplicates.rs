//! The same bytes more than once: files, and whole folders; how much any two folders have in common; and texts that are
//! nearly the same.

use std::collections::{BTreeMap, HashMap, HashSet};

use base::tools::hash;

use crate::facts::Facts;
use crate::path::RelPath;
use crate::tree::{Digest, FileId, Kind, Tree};

/// Files with the same bytes, sorted by path. Empty files are no duplicates of each other: there is nothing to copy.
#[derive(Clone, Debug)]
pub struct Group {
    pub digest: Digest,
    pub size: u64,
    pub files: Vec<FileId>,
}

impl Group {
    /// Copies that could go without losing a byte; names of one inode count once.
    pub fn redundant(&self) -> usize {
        self.files.len() - 1
    }
}

/// Folders with the same names and bytes in them, at least two files each; none of them inside another such pair.
#[derive(Clone, Debug)]
pub struct FolderGroup {
    pub folders: Vec<RelPath>,
    pub files: usize,
}

/// What two folders have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub a: RelPath,
    pub b: RelPath,
    /// Files that are not empty.
    pub files_a: usize,
    pub files_b: usize,
    /// Files of `a` whose bytes stand somewhere in `b`, and the other way round.
    pub shared_a: usize,
    pub shared_b: usize,
    /// Files with the same bytes at the same path below both.
    pub same_path: usize,
}

/// Two texts with their Jaccard similarity, 0 to 1.
#[derive(Clone, Debug)]
pub struct Near {
    pub a: FileId,
    pub b: FileId,
    pub similarity: f64,
}

/// Texts less alike than this are no near duplicates.
pub const NEAR: f64 = 0.5;
/// Of more copies than this only neighbours by path tell which folders overlap.
const MANY: usize = 32;

/// Groups by content, the one with the most bytes to spare first.
pub fn groups(tree: &Tree) -> Vec<Group> {
    let mut by_size: HashMap<u64, Vec<FileId>> = HashMap::new();
    for id in tree.sources().filter(|id| tree.entry(*id).size > 0) {
        by_size.entry(tree.entry(id).size).or_default().push(id);
    }
    let mut groups: Vec<Group> = Vec::new();
    for (size, files) in by_size.into_iter().filter(|(_, files)| files.len() > 1) {
        let mut by_digest: HashMap<Digest, Vec<FileId>> = HashMap::new();
        for id in files {
            // What cannot be read is the same as nothing.
            if let Ok(digest) = tree.digest(id) {
                by_digest.entry(digest).or_default().push(id);
            }
        }
        let same = by_digest.into_iter().filter(|(_, files)| files.len() > 1);
        groups.extend(same.map(|(digest, files)| Group { digest, size, files }));
    }
    groups.iter_mut().for_each(|group| group.files.sort_unstable());
    groups.sort_by_key(|group| (std::cmp::Reverse(group.size * group.redundant() as u64), group.files[0]));
    groups
}

/// Folders that are equal as wholes.
pub fn folders(tree: &Tree) -> Vec<FolderGroup> {
    let mut prints: HashMap<RelPath, (Digest, usize)> = HashMap::new();
    let mut by_print: HashMap<Digest, Vec<RelPath>> = HashMap::new();
    // Deepest first: what a folder holds is known before the folder.
    for id in (0..tree.entries().len()).rev() {
        let entry = &tree.entries()[id];
        if entry.kind != Kind::Folder || entry.closed.is_some() || !entry.is_given {
            continue;
        }
        let mut sum = Vec::new();
        let mut files = 0;
        let mut is_known = true;
        for child in tree.children(&entry.path) {
            let inside = tree.entry(child);
            sum.extend_from_slice(inside.path.name());
            sum.push(0);
            match &inside.kind {
                Kind::File => match tree.digest(child) {
                    Ok(digest) => {
                        sum.push(if inside.is_executable() { b'x' } else { b'f' });
                        sum.extend_from_slice(&digest);
                        files += 1;
                    }
                    Err(_) => is_known = false,
                },
                Kind::Symlink(target) => {
                    sum.push(b'l');
                    sum.extend_from_slice(target);
                    sum.push(0);
                }
                Kind::Folder => match prints.get(&inside.path) {
                    Some((print, count)) => {
                        sum.push(b'd');
                        sum.extend_from_slice(print);
                        files += count;
                    }
                    None => is_known = false,
                },
                Kind::Other => is_known = false,
            }
        }
        if is_known {
            let print = hash::digest(&sum);
            prints.insert(entry.path.clone(), (print, files));
            if files >= 2 {
                by_print.entry(print).or_default().push(entry.path.clone());
            }
        }
    }
    let is_outermost = |folders: &[RelPath]| {
        // All of them inside folders that are equal themselves say nothing new.
        let parents: HashSet<Option<Digest>> = folders
            .iter()
            .map(|folder| folder.parent().and_then(|parent| prints.get(&parent)).map(|(print, _)| *print))
            .collect();
        parents.len() > 1 || parents.contains(&None)
    };
    let mut groups: Vec<FolderGroup> = by_print
        .into_values()
        .filter(|folders| folders.len() > 1 && is_outermost(folders))
        .map(|mut folders| {
            folders.sort();
            let files = prints.get(&folders[0]).map_or(0, |(_, files)| *files);
            FolderGroup { folders, files }
        })
        .collect();
    groups.sort_by(|a, b| b.files.cmp(&a.files).then_with(|| a.folders.cmp(&b.folders)));
    groups
}

/// The pairs of folders that share content, most first: for each pair of copies, the two folders in which their ways part.
pub fn overlaps(tree: &Tree, groups: &[Group]) -> Vec<Overlap> {
    let mut pairs: BTreeMap<(RelPath, RelPath), usize> = BTreeMap::new();
    for group in groups {
        let mut seen: HashSet<(RelPath, RelPath)> = HashSet::new();
        let reach = if group.files.len() > MANY { 1 } else { MANY };
        for (at, a) in group.files.iter().enumerate() {
            for b in group.files.iter().skip(at + 1).take(reach) {
                if let Some(pair) = parting(tree.path(*a), tree.path(*b)) {
                    seen.insert(pair);
                }
            }
        }
        seen.into_iter().for_each(|pair| *pairs.entry(pair).or_default() += 1);
    }
    let mut most: Vec<(usize, (RelPath, RelPath))> = pairs.into_iter().map(|(pair, count)| (count, pair)).collect();
    most.sort_by(|x, y| y.0.cmp(&x.0).then_with(|| x.1.cmp(&y.1)));
    most.truncate(200);
    let mut overlaps: Vec<Overlap> = most.into_iter().map(|(_, (a, b))| overlap(tree, &a, &b)).collect();
    overlaps.sort_by(|x, y| (y.shared_a + y.shared_b).cmp(&(x.shared_a + x.shared_b)).then_with(|| x.a.cmp(&y.a)));
    overlaps
}

/// The children of the nearest common folder on the way to each; None when one file lies directly in it.
pub fn parting(a: &RelPath, b: &RelPath) -> Option<(RelPath, RelPath)> {
    let common = a.parts().zip(b.parts()).take_while(|(x, y)| x == y).count();
    let head = |path: &RelPath| {
        let parts: Vec<&[u8]> = path.parts().take(common + 1).collect();
        (parts.len() < path.parts().count()).then(|| RelPath::new(parts.join(&b'/'))).flatten()
    };
    Some((head(a)?, head(b)?))
}

/// The overlap of any two folders.
pub fn overlap(tree: &Tree, a: &RelPath, b: &RelPath) -> Overlap {
    let files = |folder: &RelPath| {
        let inside = tree.below(folder).filter(|id| tree.entry(*id).is_file() && tree.entry(*id).size > 0);
        inside.filter_map(|id| Some((tree.path(id).below(folder)?, tree.digest(id).ok()?))).collect::<HashMap<_, _>>()
    };
    let (in_a, in_b) = (files(a), files(b));
    let shared = |one: &HashMap<RelPath, Digest>, other: &HashMap<RelPath, Digest>| {
        let known: HashSet<&Digest> = other.values().collect();
        one.values().filter(|digest| known.contains(digest)).count()
    };
    Overlap {
        a: a.clone(),
        b: b.clone(),
        files_a: in_a.len(),
        files_b: in_b.len(),
        shared_a: shared(&in_a, &in_b),
        shared_b: shared(&in_b, &in_a),
        same_path: in_a.iter().filter(|(path, digest)| in_b.get(*path) == Some(*digest)).count(),
    }
}

/// Pairs of different texts that are nearly the same, the nearest first. Of copies, the first stands for all.
pub fn near(tree: &Tree, facts: &[Option<Facts>], groups: &[Group]) -> Vec<Near> {
    let copies: HashSet<FileId> = groups.iter().flat_map(|group| &group.files[1..]).copied().collect();
    let mut texts = Vec::new();
    let mut sketches = Vec::new();
    for id in tree.sources().filter(|id| !copies.contains(id)) {
        if let Some(facts) = facts[id.index()].as_ref().filter(|facts| !facts.sketch.is_empty()) {
            texts.push(id);
            sketches.push(facts.sketch.clone());
        }
    }
    let sizes: Vec<usize> =
        texts.iter().map(|id| usize::try_from(tree.entry(*id).size).unwrap_or(usize::MAX)).collect();
    // A sketch errs by a few hundredths; what it lets expect somewhat less is looked at as well.
    let candidates = hot::similar::candidates(&sketches, &sizes, NEAR - 0.2);
    let mut sets: HashMap<u32, Vec<u64>> = HashMap::new();
    let mut found = Vec::new();
    for (a, b) in candidates {
        for text in [a, b] {
            let id = texts[text as usize];
            sets.entry(text)
                .or_insert_with(|| tree.content(id).map(|text| hot::similar::shingles(&text)).unwrap_or_default());
        }
        let similarity = hot::similar::similarity(&sets[&a], &sets[&b]);
        if similarity >= NEAR {
            found.push(Near { a: texts[a as usize], b: texts[b as usize], similarity });
        }
    }
    found.sort_by(|x, y| y.similarity.total_cmp(&x.similarity).then_with(|| (x.a, x.b).cmp(&(y.a, y.b))));
    found
}
