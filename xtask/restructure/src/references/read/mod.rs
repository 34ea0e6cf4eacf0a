//! The readers, one a language: from the bytes of a file to the paths that it names. They see no tree.

mod markdown;
mod shell;
mod sql;
mod words;

use super::bytes;
use super::mention::{Anchor, Said};
use super::source::Source;
use crate::path::RelPath;

/// Larger files are data.
pub(crate) const LARGEST: u64 = 4 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Language {
    /// Nothing in it is read: binary, generated, data.
    None,
    Shell,
    Markdown,
    /// A changelog and the like: only its links are followed.
    Record,
    Sql,
    /// Whatever else: words that are unmistakable.
    Text,
    /// Not told by the name.
    Unknown,
}

impl Language {
    /// What a file's name tells. None when it is not worth to open it.
    pub fn by_name(path: &RelPath) -> Option<Language> {
        let name = path.name().to_ascii_lowercase();
        let ending = bytes::extension(&name).unwrap_or_default();
        if is_generated(&name) {
            return None;
        }
        Some(match ending {
            b"sh" | b"bash" | b"zsh" | b"ksh" | b"bats" | b"envrc" => Language::Shell,
            b"md" | b"markdown" | b"mdx" | b"mdown" => {
                if is_record(&name) {
                    Language::Record
                } else {
                    Language::Markdown
                }
            }
            b"sql" | b"psql" | b"ddl" => Language::Sql,
            b"log" | b"csv" | b"tsv" | b"lock" | b"sum" | b"svg" | b"map" | b"png" | b"jpg" | b"jpeg" | b"gif"
            | b"ico" | b"pdf" | b"zip" | b"gz" | b"tgz" | b"xz" | b"woff" | b"woff2" | b"ttf" | b"eot" | b"mp4"
            | b"webp" | b"pyc" | b"so" | b"dylib" | b"dll" | b"exe" | b"jar" | b"class" | b"wasm" | b"pb" | b"bin"
            | b"db" | b"sqlite" | b"parquet" | b"xlsx" | b"docx" | b"rtf" => {
                return None;
            }
            _ => Language::Unknown,
        })
    }
    /// What the content tells where the name does not.
    pub fn by_content(self, content: &[u8], is_executable: bool) -> Language {
        let head = &content[..content.len().min(1024)];
        if head.contains(&0) {
            return Language::None;
        }
        if self != Language::Unknown {
            return self;
        }
        let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if first.starts_with(b"#!") {
            let has = |word: &[u8]| bytes::contains(first, word);
            if has(b"sh") && !has(b"fish") && !has(b"pwsh") {
                return Language::Shell;
            }
        }
        let _ = is_executable;
        Language::Text
    }
}

/// Files that tools write: what they name is the tools' affair.
fn is_generated(name: &[u8]) -> bool {
    matches!(
        name,
        b"package-lock.json"
            | b"pnpm-lock.yaml"
            | b"yarn.lock"
            | b"composer.lock"
            | b"go.sum"
            | b"coverage.json"
            | b"coverage.xml"
            | b"npm-shrinkwrap.json"
            | b".ds_store"
            | b"license"
            | b"license.md"
            | b"license.txt"
    ) || bytes::contains(name, b".min.")
}

/// A changelog, a history, release notes: what they say was so at the time.
fn is_record(name: &[u8]) -> bool {
    [&b"changelog"[..], b"changes", b"history", b"news", b"release_notes", b"release-notes", b"releases"]
        .iter()
        .any(|word| name.starts_with(word))
}

/// What a text of a language says.
pub(crate) fn read(language: Language, content: &[u8]) -> Said {
    let mut said = Said::default();
    let source = Source::file(content);
    match language {
        Language::None | Language::Unknown => {}
        Language::Shell => shell::read(&source, shell::Place::Script, &[Anchor::Cwd], &mut said),
        Language::Markdown => markdown::read(&source, false, &mut said),
        Language::Record => markdown::read(&source, true, &mut said),
        Language::Sql => sql::read(&source, &mut said),
        Language::Text => words::read_prose(&source, 0..content.len(), &mut said),
    }
    said
}
