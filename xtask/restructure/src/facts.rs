//! What one look at each file tells: its language, its size in lines, secrets, who made it, a sketch of its text.

use std::io::Read;
use std::sync::LazyLock;

use anyhow::{Context, Result};
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

/// What the content alone tells, wherever it lies.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    text: hot::similar::Reading,
    is_text: bool,
    secrets: Vec<Secret>,
}

impl Facts {
    /// Of a file whose content is (or begins with) `content`, if it could be read.
    pub(crate) fn of(entry: &Entry, content: &[u8], reading: &Reading, error: Option<&anyhow::Error>) -> Facts {
        let head = &content[..content.len().min(HEAD)];
        let language = Language::of(&entry.path, head, reading.is_text);
        let made = made(entry, head, language, reading, content.len());
        let is_written = !matches!(made, Some(Made::Lock | Made::Vendored));
        let is_sketched = made.is_none() && reading.text.filled >= 6;
        Facts {
            language,
            is_text: reading.is_text,
            lines: reading.text.lines,
            secrets: if is_written { reading.secrets.clone() } else { Vec::new() },
            made,
            sketch: if is_sketched { reading.text.sketch.clone() } else { Vec::new() },
            unreadable: error.map(|error| error.root_cause().to_string()),
        }
    }
}

impl Reading {
    pub(crate) fn of(content: &[u8]) -> Reading {
        // An encoding of one byte a letter counts as text too.
        if content.is_empty() || hot::find::byte(content, 0, 0).is_some() {
            return Reading::default();
        }
        Reading { text: hot::similar::Reading::of(content), is_text: true, secrets: secrets::find(content) }
    }
}

/// The content, or the beginning of a very long one; its digest either way. Digests are remembered in the tree.
pub(crate) fn read(tree: &Tree, id: FileId, buffer: &mut Vec<u8>) -> Result<Digest> {
    let size = tree.entry(id).size;
    if size <= LONGEST_TEXT {
        buffer.reserve(usize::try_from(size).unwrap_or(0) + 1);
        tree.open(id)?.read_to_end(buffer).with_context(|| tree.unreadable(id))?;
        tree.remember_digest(id, base::tools::hash::digest(buffer));
    } else {
        tree.open(id)?.take(LONGEST_TEXT).read_to_end(buffer).with_context(|| tree.unreadable(id))?;
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

/// A head that says a program wrote the file: in a comment of the first six lines.
fn says_generated(head: &[u8]) -> bool {
    let mut ends = head.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let head = &head[..ends.nth(5).unwrap_or(head.len())];
    let Some((at, _)) = GENERATED.find(head, 0) else { return false };
    let before = &head[..at];
    let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let is_comment = line.trim_ascii_start().first().is_some_and(|first| b"#/-*<;\"".contains(first));
    is_comment && line.len() < 200
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
