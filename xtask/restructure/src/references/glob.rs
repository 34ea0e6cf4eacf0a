//! Patterns of paths, and the files of a tree that they match.

use std::collections::HashMap;

use crate::path::RelPath;
use crate::tree::{FileId, Tree};

/// True when a pattern with `*`, `?` and `**` matches a path, both read part by part.
pub(crate) fn matches(pattern: &[u8], path: &[u8]) -> bool {
    parts(&split(pattern), &split(path))
}

fn split(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').collect()
}

fn parts(pattern: &[&[u8]], path: &[&[u8]]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&b"**", rest)), _) => (0..=path.len()).any(|skip| parts(rest, &path[skip..])),
        (Some((first, rest)), Some((name, path))) => part(first, name) && parts(rest, path),
        _ => false,
    }
}

/// One name against one part of a pattern. Two cursors, so that a row of stars costs no more than one.
pub(crate) fn part(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[place] => {
                at += 1;
                place += 1;
            }
            _ => match star {
                Some((back, begun)) => {
                    star = Some((back, begun + 1));
                    (at, place) = (back + 1, begun + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// What lies directly in each folder of a tree, looked up once.
pub(crate) struct Folders<'a> {
    tree: &'a Tree,
    inside: HashMap<&'a [u8], Vec<FileId>>,
}

impl<'a> Folders<'a> {
    pub fn of(tree: &'a Tree) -> Folders<'a> {
        let mut inside: HashMap<&[u8], Vec<FileId>> = HashMap::new();
        for id in tree.ids() {
            let path = tree.path(id).bytes();
            if !path.is_empty() {
                let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                inside.entry(&path[..end]).or_default().push(id);
            }
        }
        Folders { tree, inside }
    }

    /// The paths below `folder` that the pattern matches, in order: files, or folders where it matches no file.
    pub fn expand(&self, folder: &RelPath, pattern: &[u8]) -> Vec<RelPath> {
        // Parts without a wildcard lead to the folder where to look, `..` among them.
        let mut rest = pattern;
        let mut from = folder.clone();
        while let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
            if rest[..slash].iter().any(|byte| matches!(byte, b'*' | b'?')) {
                break;
            }
            let Some(next) = from.resolve(&rest[..slash]) else { return Vec::new() };
            from = next;
            rest = &rest[slash + 1..];
        }
        let mut found = Vec::new();
        if !rest.is_empty() {
            self.walk(from.bytes(), &split(rest), &mut found);
        }
        found.sort_unstable();
        found.dedup();
        let entries = |whole: bool| {
            let fits = found.iter().filter(move |id| self.tree.entry(**id).is_whole() == whole);
            fits.map(|id| self.tree.path(*id).clone()).collect::<Vec<_>>()
        };
        let files = entries(true);
        if files.is_empty() { entries(false) } else { files }
    }

    fn walk(&self, folder: &[u8], pattern: &[&[u8]], found: &mut Vec<FileId>) {
        let (Some((first, rest)), Some(inside)) = (pattern.split_first(), self.inside.get(folder)) else { return };
        let is_deep = *first == b"**";
        if is_deep && !rest.is_empty() {
            // No folder at all is one of the ways.
            self.walk(folder, rest, found);
        }
        for id in inside {
            if found.len() > MOST {
                return;
            }
            let entry = self.tree.entry(*id);
            let name = entry.path.name();
            // A shell's star takes no name that begins with a dot.
            if name.first() == Some(&b'.') && first.first() == Some(&b'*') {
                continue;
            }
            if is_deep {
                if rest.is_empty() {
                    found.push(*id);
                }
                self.walk(entry.path.bytes(), pattern, found);
            } else if part(first, name) {
                if rest.is_empty() { found.push(*id) } else { self.walk(entry.path.bytes(), rest, found) }
            }
        }
    }
}

/// A pattern that matches more says nothing about where its files belong.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path) in
            [("*.sql", "a.sql"), ("a/**/c", "a/c"), ("a/**/c", "a/x/y/c"), ("**", "a/b"), ("a*b?", "axxbc")]
        {
            assert!(matches(pattern.as_bytes(), path.as_bytes()), "{pattern} {path}");
        }
        for (pattern, path) in [("*.sql", "a/b.sql"), ("a/*", "a/b/c"), ("a?", "a"), ("a/**/c", "a/x/cc")] {
            assert!(!matches(pattern.as_bytes(), path.as_bytes()), "{pattern} {path}");
        }
    }
}
