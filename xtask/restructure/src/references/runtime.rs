//! What is not in a tree and need not be: ignored by git, made when something runs.

use std::collections::HashSet;

use super::glob;
use crate::path::RelPath;
use crate::tree::Tree;

pub(crate) struct Runtime {
    rules: Vec<Rule>,
    /// Paths that something in the tree writes.
    made: HashSet<RelPath>,
}

/// A line of a .gitignore.
struct Rule {
    folder: RelPath,
    pattern: Vec<u8>,
    /// It has a slash in it: it is read from the folder, not from any below.
    is_anchored: bool,
    brings_back: bool,
}

impl Runtime {
    pub fn of(tree: &Tree) -> Runtime {
        let mut rules = Vec::new();
        let mut made = HashSet::new();
        for id in tree.ids() {
            let entry = tree.entry(id);
            if !entry.is_given || !entry.is_file() {
                continue;
            }
            // `compose.yaml.in` is what `compose.yaml` is made from.
            let name = entry.path.name();
            let template =
                TEMPLATES.iter().find_map(|ending| name.strip_suffix(*ending)).filter(|name| !name.is_empty());
            if let Some(name) = template {
                made.insert(entry.path.parent().unwrap_or_default().join(name));
            }
            if name == b".gitmodules" {
                made.extend(tree.content(id).iter().flat_map(|text| submodules(text, &entry.path)));
            }
            if name != b".gitignore" {
                continue;
            }
            let Ok(text) = tree.content(id) else { continue };
            let folder = entry.path.parent().unwrap_or_default();
            rules.extend(text.split(|byte| *byte == b'\n').filter_map(|line| Rule::of(line, &folder)));
        }
        Runtime { rules, made }
    }
    pub fn makes(&mut self, path: RelPath) {
        self.made.insert(path);
    }
    /// True for a path that is not in the tree because it is made at run time.
    pub fn holds(&self, path: &RelPath) -> bool {
        if is_made_everywhere(path) || self.made.contains(path) {
            return true;
        }
        if path.ancestors().any(|folder| !folder.is_root() && self.made.contains(&folder)) {
            return true;
        }
        let mut is_ignored = false;
        for rule in &self.rules {
            if rule.matches(path) {
                is_ignored = !rule.brings_back;
            }
        }
        is_ignored
    }
}

impl Rule {
    fn of(line: &[u8], folder: &RelPath) -> Option<Rule> {
        let line = line.trim_ascii_end();
        let (brings_back, line) = line.strip_prefix(b"!").map_or((false, line), |rest| (true, rest));
        if line.is_empty() || line[0] == b'#' {
            return None;
        }
        let line = line.strip_suffix(b"/").unwrap_or(line);
        let is_anchored = line.contains(&b'/');
        let pattern = line.strip_prefix(b"/").unwrap_or(line).to_vec();
        Some(Rule { folder: folder.clone(), pattern, is_anchored, brings_back })
    }
    /// Itself or a folder above it is named.
    fn matches(&self, path: &RelPath) -> bool {
        let Some(inner) = path.below(&self.folder) else { return false };
        if inner.is_root() {
            return false;
        }
        if !self.is_anchored {
            return inner.parts().any(|name| glob::part(&self.pattern, name));
        }
        let mut ends: Vec<usize> =
            inner.bytes().iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).collect();
        ends.push(inner.bytes().len());
        ends.iter().any(|end| glob::matches(&self.pattern, &inner.bytes()[..*end]))
    }
}

/// Endings of what something else is made from.
const TEMPLATES: [&[u8]; 9] =
    [b".in", b".template", b".tmpl", b".tpl", b".j2", b".erb", b".dist", b".sample", b".example"];

/// Folders that `git submodule` fills.
fn submodules(text: &[u8], file: &RelPath) -> Vec<RelPath> {
    let folder = file.parent().unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let rest = line.trim_ascii().strip_prefix(b"path")?.trim_ascii().strip_prefix(b"=")?;
        folder.resolve(rest.trim_ascii()).filter(|path| !path.is_root())
    });
    lines.collect()
}

/// Names that tools make wherever they run.
fn is_made_everywhere(path: &RelPath) -> bool {
    path.parts().any(|name| {
        matches!(
            name,
            b"node_modules"
                | b".venv"
                | b"venv"
                | b"__pycache__"
                | b".next"
                | b".nuxt"
                | b"dist"
                | b"build"
                | b"target"
                | b"coverage"
                | b".git"
                | b".cache"
                | b".terraform"
                | b".pytest_cache"
                | b".turbo"
                | b"logs"
                | b"log"
                | b"tmp"
                | b"temp"
                | b".tox"
                | b"htmlcov"
                | b"out"
                | b".svelte-kit"
                | b".vercel"
                | b"_build"
                | b"output"
                | b"outputs"
                | b".bundle"
                | b"vendor"
                | b".ops"
                | b"artifacts"
                | b"test-results"
                | b"playwright-report"
                | b".coverage"
                | b"husky.sh"
        ) || name == b".env"
            || name.starts_with(b".env.") && !name.ends_with(b".example")
            || name.ends_with(b".log")
            || name.ends_with(b".pid")
            || name.ends_with(b".egg-info")
            || name.ends_with(b".pyc")
            || name.ends_with(b".lock")
            || name.ends_with(b".tfstate")
            || name.ends_with(b".tmp")
            || name.ends_with(b".sock")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_gitignore() {
        let folder = RelPath::new("a").unwrap();
        let is =
            |line: &str, path: &str| Rule::of(line.as_bytes(), &folder).unwrap().matches(&RelPath::new(path).unwrap());
        assert!(
            is("*.local", "a/b/x.local")
                && is("/data/", "a/data/x")
                && is("b/*.csv", "a/b/x.csv")
                && is("**/gen", "a/x/gen/y")
        );
        assert!(!is("/data/", "a/b/data") && !is("*.local", "b/x.local") && !is("b/*.csv", "a/b/c/x.csv"));
        assert!(Rule::of(b"# no", &folder).is_none() && Rule::of(b"", &folder).is_none());
    }
}
