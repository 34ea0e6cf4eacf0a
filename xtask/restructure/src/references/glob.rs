//! Patterns of paths, and the files of a tree that they match.

use crate::path::RelPath;
use crate::tree::Tree;

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

/// The paths below `folder` that the pattern matches, in order: files, or folders where it matches no file.
pub(crate) fn expand(tree: &Tree, folder: &RelPath, pattern: &[u8]) -> Vec<RelPath> {
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
    if rest.is_empty() || !tree.is_folder(&from) {
        return Vec::new();
    }
    let pattern = split(rest);
    let skip = if from.is_root() { 0 } else { from.bytes().len() + 1 };
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for id in tree.below(&from) {
        let entry = tree.entry(id);
        let path = &entry.path.bytes()[skip..];
        let fits = match pattern.as_slice() {
            // By far the most, so without taking the path apart.
            [one] => !path.contains(&b'/') && part(one, path),
            _ => true,
        };
        if !fits {
            continue;
        }
        let names = split(path);
        // A shell's star takes no name that begins with a dot.
        let hides = |(pattern, name): (&&[u8], &&[u8])| name.first() == Some(&b'.') && pattern.first() == Some(&b'*');
        if !parts(&pattern, &names) || pattern.len() == names.len() && pattern.iter().zip(&names).any(hides) {
            continue;
        }
        if entry.is_whole() {
            files.push(entry.path.clone())
        } else {
            folders.push(entry.path.clone())
        }
        if files.len() + folders.len() > MOST {
            break;
        }
    }
    if files.is_empty() { folders } else { files }
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
