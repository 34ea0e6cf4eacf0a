//! What one look at each file tells: its language, its size in lines, secrets, who made it, a sketch of its text. All
//! files are read once, on all cores.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::Result;
use hot::find::Needles;

use crate::language::Language;
use crate::secrets::{self, Secret};
use crate::tree::{Digest, Entry, FileId, Git, Tree};

/// Longer files are hashed, but their text is not looked at beyond this.
const LONGEST_TEXT: u64 = 16 * 1024 * 1024;
/// How much of a file its language is told by.
const HEAD: usize = 4096;

#[derive(Clone, Debug)]
pub struct Facts {
    pub language: Language,
    pub is_text: bool,
    pub lines: usize,
    pub secrets: Vec<Secret>,
    pub made: Option<Made>,
    /// For near duplicates; empty where the text is too short to say anything.
    pub sketch: Vec<u64>,
    /// It could not be read: the error.
    pub unreadable: Option<String>,
}

/// A file that no person wrote for this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    /// By a program, from something else.
    Generated,
    /// Versions that a package manager froze.
    Lock,
    /// Somebody else's code, copied here.
    Vendored,
    /// At run time: ignored by git, or by its nature (a log, a pid file).
    Runtime,
}

impl Made {
    pub fn name(self) -> &'static str {
        match self {
            Made::Generated => "generated",
            Made::Lock => "lock file",
            Made::Vendored => "vendored",
            Made::Runtime => "runtime",
        }
    }
}

/// Facts of every entry, by its index; None for what is no file or lies outside the given folders. Digests are remembered
/// in the tree.
pub fn collect(tree: &Tree) -> Vec<Option<Facts>> {
    let files: Vec<FileId> = tree.sources().collect();
    let next = AtomicUsize::new(0);
    let known = Mutex::new(HashMap::new());
    let work = || {
        let mut found = Vec::new();
        let mut buffer = Vec::new();
        while let Some(id) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push((*id, look(tree, *id, &mut buffer, &known)));
        }
        found
    };
    let mut facts: Vec<Option<Facts>> = (0..tree.entries().len()).map(|_| None).collect();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            for (id, found) in thread.join().unwrap_or_default() {
                facts[id.index()] = Some(found);
            }
        }
    });
    facts
}

/// What the content alone tells, wherever it lies: of copies only the first is looked at.
#[derive(Debug, Default)]
struct Reading {
    text: hot::similar::Reading,
    is_text: bool,
    secrets: Vec<Secret>,
}

type Known = Mutex<HashMap<Digest, Arc<Reading>>>;

fn look(tree: &Tree, id: FileId, buffer: &mut Vec<u8>, known: &Known) -> Facts {
    let entry = tree.entry(id);
    buffer.clear();
    let read = read(tree, id, buffer);
    let reading = match &read {
        Ok(digest) => {
            let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
            let copy = lock().get(digest).cloned();
            copy.unwrap_or_else(|| {
                let new = Arc::new(reading(buffer));
                lock().insert(*digest, Arc::clone(&new));
                new
            })
        }
        Err(_) => Arc::default(),
    };
    let head = &buffer[..buffer.len().min(HEAD)];
    let language = Language::of(&entry.path, head, reading.is_text);
    let made = made(entry, head, language, &reading, buffer.len());
    let is_written = !matches!(made, Some(Made::Lock | Made::Vendored));
    Facts {
        language,
        is_text: reading.is_text,
        lines: reading.text.lines,
        secrets: if is_written { reading.secrets.clone() } else { Vec::new() },
        made,
        sketch: if made.is_none() && reading.text.filled >= 6 { reading.text.sketch.clone() } else { Vec::new() },
        unreadable: read.err().map(|error| error.root_cause().to_string()),
    }
}

fn reading(content: &[u8]) -> Reading {
    // An encoding of one byte a letter counts as text too.
    if content.is_empty() || content.contains(&0) {
        return Reading::default();
    }
    Reading { text: hot::similar::Reading::of(content), is_text: true, secrets: secrets::find(content) }
}

/// The content, or the beginning of a very long one; its digest either way.
fn read(tree: &Tree, id: FileId, buffer: &mut Vec<u8>) -> Result<Digest> {
    let size = tree.entry(id).size;
    if size <= LONGEST_TEXT {
        buffer.reserve(usize::try_from(size).unwrap_or(0) + 1);
        tree.open(id)?.read_to_end(buffer)?;
        tree.remember_digest(id, base::tools::hash::digest(buffer));
    } else {
        tree.open(id)?.take(LONGEST_TEXT).read_to_end(buffer)?;
    }
    tree.digest(id)
}

/// Names of files in which package managers freeze versions.
const LOCKS: &[&str] = &[
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lockb",
    "poetry.lock",
    "Pipfile.lock",
    "uv.lock",
    "pdm.lock",
    "Cargo.lock",
    "go.sum",
    "go.work.sum",
    "composer.lock",
    "Gemfile.lock",
    "mix.lock",
    "flake.lock",
    ".terraform.lock.hcl",
    "Chart.lock",
    "deno.lock",
];
/// Folders of somebody else's code.
const VENDORS: &[&[u8]] =
    &[b"node_modules", b"vendor", b"third_party", b"thirdparty", b"third-party", b"bower_components", b"site-packages"];

fn made(entry: &Entry, head: &[u8], language: Language, reading: &Reading, length: usize) -> Option<Made> {
    let name = String::from_utf8_lossy(entry.path.name());
    let in_folder = |names: &[&[u8]]| {
        let folder = entry.path.parent().unwrap_or_default();
        folder.parts().any(|part| names.contains(&part))
    };
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if LOCKS.contains(&name.as_ref()) || (name.ends_with(".lock") && length > 0) {
        return Some(Made::Lock);
    }
    if in_folder(VENDORS) {
        return Some(Made::Vendored);
    }
    let is_dropping = ends(&[".log", ".pid", ".sock", ".swp", ".tfstate", ".tfstate.backup"])
        || matches!(name.as_ref(), ".DS_Store" | "Thumbs.db" | "nohup.out");
    if entry.git == Git::Ignored || (is_dropping && entry.git != Git::Tracked) || language == Language::Log {
        return Some(Made::Runtime);
    }
    let is_product = ends(&[
        ".pyc",
        ".pyo",
        ".min.js",
        ".min.css",
        ".js.map",
        ".css.map",
        ".tsbuildinfo",
        ".pb.go",
        "_pb2.py",
        "_pb2_grpc.py",
    ]) || matches!(name.as_ref(), "coverage.xml" | "coverage.json" | ".coverage" | "lcov.info")
        || entry.path.parts().any(|part| part == b"__pycache__" || part.ends_with(b".egg-info"));
    let is_minified = matches!(language, Language::JavaScript | Language::Css)
        && reading.text.longest > 5000
        && length / (reading.text.lines + 1) > 500;
    if is_product || is_minified || (reading.is_text && says_generated(head)) {
        return Some(Made::Generated);
    }
    None
}

static GENERATED: LazyLock<Needles> = LazyLock::new(|| {
    let says = [
        "@generated",
        "do not edit",
        "code generated by",
        "auto-generated by",
        "autogenerated by",
        "automatically generated by",
        "this file is generated",
        "this file is auto",
    ];
    Needles::new(&[], &says)
});

/// A head that says a program wrote the file: in a comment of the first lines.
fn says_generated(head: &[u8]) -> bool {
    let Some((at, _)) = GENERATED.find(head, 0) else { return false };
    let before = &head[..at];
    let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let is_comment = line.trim_ascii_start().first().is_some_and(|first| b"#/-*<;\"".contains(first));
    is_comment && line.len() < 200 && hot::find::lines_before(head, at) < 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_who_wrote_it() {
        assert!(says_generated(b"// Code generated by protoc-gen-go. DO NOT EDIT.\n"));
        assert!(says_generated(b"#!/bin/sh\n# This file is generated from x.in\n"));
        assert!(!says_generated(b"# How to read code generated for tests\n"));
        assert!(!says_generated(b"echo 'do not edit'\n"));
    }
}
