//! Makefiles: recipes, what is included, files that targets need, variables that hold a path.

use std::collections::HashMap;
use std::ops::Range;

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::{Kind, bytes};
use super::shell::{self, Known, Place};

pub(crate) fn read(source: &Source, said: &mut Said) {
    let text = &source.bytes;
    let mut variables: HashMap<Vec<u8>, Known> = HashMap::new();
    // An included file is read where make runs, so is a recipe.
    let cwd = [Anchor::Cwd];
    let mut at = 0;
    let mut is_defining = false;
    while at < text.len() {
        let mut end = line_end(text, at);
        let is_recipe = text[at] == b'\t';
        while text[at..end].trim_ascii_end().ends_with(b"\\") && end < text.len() {
            end = line_end(text, end + 1);
        }
        let line = at..end;
        at = end + 1;
        let words = bytes::trim(text, line.clone());
        if words.is_empty() {
            continue;
        }
        let first = &text[words.clone()];
        if is_recipe {
            // `@`, `-` and `+` before a command are make's.
            let skip = first.iter().take_while(|byte| matches!(byte, b'@' | b'-' | b'+')).count();
            let part = source.part(words.start + skip..words.end, Outer::Make);
            // A variable that a recipe sets is gone with its shell.
            shell::read_with(&part, Place::Recipe, &cwd, &mut variables.clone(), said);
            continue;
        }
        if first[0] == b'#' {
            super::words::read_prose(source, words, said);
        } else if first.starts_with(b"define ") {
            is_defining = true;
        } else if first == b"endef" {
            is_defining = false;
        } else if is_defining && !first.starts_with(b"$(") {
            super::words::read_prose(source, words, said);
        } else if is_defining {
            let part = source.part(words, Outer::Make);
            shell::read_with(&part, Place::Recipe, &cwd, &mut variables.clone(), said);
        } else if let Some(rest) = include(first) {
            for word in split(text, words.start + rest..words.end) {
                let weight = if first[0] == b'-' || first[0] == b's' { Weight::Likely } else { Weight::Sure };
                one(source, word, Kind::Include, weight, said);
            }
        } else if let Some((name, behind)) = assignment(first) {
            let part = source.part(words.start + behind..words.end, Outer::Make);
            let value = shell::value_of(&part, Place::Recipe, &cwd, &variables, said);
            variables.insert(name.to_vec(), value);
        } else if let Some(colon) = first.iter().position(|byte| *byte == b':') {
            for word in split(text, words.start + colon + 1..words.end) {
                one(source, word, Kind::Argument, Weight::Word, said);
            }
        }
    }
}

fn line_end(text: &[u8], at: usize) -> usize {
    text[at.min(text.len())..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length)
}

/// How long `include` is at the start of a line.
fn include(line: &[u8]) -> Option<usize> {
    [&b"include "[..], b"-include ", b"sinclude "].iter().find(|word| line.starts_with(word)).map(|word| word.len())
}

/// `NAME = value`, `NAME := value`, `export NAME ?= value`: the name, and where the value begins.
fn assignment(line: &[u8]) -> Option<(&[u8], usize)> {
    let skip = [&b"export "[..], b"override "].iter().find(|word| line.starts_with(word)).map_or(0, |word| word.len());
    let sign = line.iter().position(|byte| *byte == b'=')?;
    let name = line[skip..sign].trim_ascii_end();
    let name = name
        .strip_suffix(b"::")
        .or_else(|| name.strip_suffix(b":"))
        .or_else(|| name.strip_suffix(b"?"))
        .unwrap_or(name);
    let name = name.strip_suffix(b"+").unwrap_or(name).trim_ascii();
    let is_name =
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    is_name.then_some((name, sign + 1))
}

fn split(text: &[u8], range: Range<usize>) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = range.start;
    while at < range.end {
        if text[at].is_ascii_whitespace() || text[at] == b'\\' || text[at] == b'|' {
            at += 1;
            continue;
        }
        if text[at] == b'#' || text[at] == b';' {
            break;
        }
        let start = at;
        while at < range.end && !text[at].is_ascii_whitespace() {
            at += 1;
        }
        words.push(start..at);
    }
    words
}

fn one(source: &Source, word: Range<usize>, kind: Kind, weight: Weight, said: &mut Said) {
    let path = &source.bytes[word.clone()];
    if path.contains(&b'$')
        || path.contains(&b'%')
        || path.contains(&b'*')
        || path[0] == b'/'
        || !bytes::may_be_path(path)
    {
        return;
    }
    let part = source.part(word.clone(), Outer::Make);
    let mention = Mention::new(kind, 0..path.len(), path, Anchor::Cwd).weight(weight);
    let index = said.push(&part, mention);
    if kind == Kind::Include {
        said.run(index, &[Anchor::Cwd]);
    }
}
