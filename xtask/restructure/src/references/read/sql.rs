//! SQL for psql: `\i FILE`, `\ir FILE`, `\copy … from FILE`. Comments are prose.

use std::ops::Range;

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::Source;
use super::super::spelling::{Inner, Quote, Spelling};
use super::super::{Kind, bytes};

pub(crate) fn read(source: &Source, said: &mut Said) {
    read_commands(source, 0..source.bytes.len(), &[Anchor::Cwd], said);
}

/// The commands in a range; relative paths are read from `cwd`.
pub(crate) fn read_commands(source: &Source, range: Range<usize>, cwd: &[Anchor], said: &mut Said) {
    let text = &source.bytes[..range.end];
    let mut at = range.start;
    while at < range.end {
        let end = hot::find::byte(text, at, b'\n').unwrap_or(range.end);
        // Long lines are data.
        if end - at < 2000 {
            line(source, at..end, cwd, said);
        }
        at = end + 1;
    }
}

fn line(source: &Source, line: Range<usize>, cwd: &[Anchor], said: &mut Said) {
    let text = &source.bytes;
    let line = bytes::trim(text, line);
    let words = &text[line.clone()];
    if words.starts_with(b"--") || words.starts_with(b"\\echo") {
        return super::words::read_prose(source, line, said);
    }
    if !words.starts_with(b"\\") {
        return;
    }
    let length = words.iter().position(|byte| *byte == b' ' || *byte == b'\t').unwrap_or(words.len());
    let rest = bytes::trim(text, line.start + length..line.end);
    match &words[1..length] {
        b"i" | b"include" => include(source, rest, cwd, said),
        b"ir" | b"include_relative" => include(source, rest, &[Anchor::Own], said),
        b"copy" => copy(source, rest, cwd, said),
        _ => {}
    }
}

fn include(source: &Source, rest: Range<usize>, bases: &[Anchor], said: &mut Said) {
    let text = &source.bytes;
    let (range, inner) = match text.get(rest.start) {
        Some(b'\'') => {
            let length = text[rest.start + 1..rest.end].iter().position(|byte| *byte == b'\'');
            (
                rest.start + 1..rest.start + 1 + length.unwrap_or(rest.len() - 1),
                Inner::Shell(Quote::Single, Quote::Single),
            )
        }
        _ => (rest, Inner::Bare),
    };
    let path = text[range.clone()].to_vec();
    // `:'variable'` and `:name` are not known; an absolute path is none of the tree's.
    if path.is_empty() || path.contains(&b':') || path[0] == b'/' || path.contains(&b'\\') {
        return;
    }
    let mention = Mention::new(Kind::Include, range, path, Anchor::Own)
        .bases(bases)
        .weight(Weight::Sure)
        .spelled(Spelling::of(inner));
    let index = said.push(source, mention);
    said.run(index, bases);
}

/// `\copy table from 'file'`
fn copy(source: &Source, rest: Range<usize>, cwd: &[Anchor], said: &mut Said) {
    let text = &source.bytes;
    let lower = text[rest.clone()].to_ascii_lowercase();
    let Some(from) = bytes::find(&lower, b" from ", 0) else { return };
    let Some(open) = text[rest.start + from..rest.end].iter().position(|byte| *byte == b'\'') else { return };
    let start = rest.start + from + open + 1;
    let Some(length) = text[start..rest.end].iter().position(|byte| *byte == b'\'') else { return };
    let path = text[start..start + length].to_vec();
    if bytes::may_be_path(&path) && path[0] != b'/' {
        let spelling = Spelling::of(Inner::Shell(Quote::Single, Quote::Single));
        said.push(
            source,
            Mention::new(Kind::Open, start..start + length, path, Anchor::Own).bases(cwd).spelled(spelling),
        );
    }
}
