//! Dockerfiles: what is copied from the build context. What runs inside the image is none of the tree's.

use std::ops::Range;

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::spelling::{Inner, Quote, Spelling};
use super::super::{Kind, bytes};

pub(crate) fn read(source: &Source, said: &mut Said) {
    let text = &source.bytes;
    let mut at = 0;
    while at < text.len() {
        let (line, next) = instruction(text, at);
        at = next;
        let start = bytes::trim(text, line.clone()).start;
        if text.get(start) == Some(&b'#') {
            super::words::read_prose(source, line, said);
            continue;
        }
        let length =
            text[start..line.end].iter().position(u8::is_ascii_whitespace).unwrap_or(line.end.saturating_sub(start));
        let word = text[start..start + length].to_ascii_uppercase();
        match word.as_slice() {
            b"COPY" | b"ADD" => copy(source, start + length..line.end, said),
            b"RUN" => mounts(source, start + length..line.end, said),
            _ => {}
        }
    }
}

/// One instruction with its continued lines, and where the next begins.
fn instruction(text: &[u8], start: usize) -> (Range<usize>, usize) {
    let mut at = start;
    loop {
        let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length);
        let is_comment = text[at..end].trim_ascii_start().starts_with(b"#");
        let goes_on = text[at..end].trim_ascii_end().ends_with(b"\\") && !(is_comment && at == start);
        if end >= text.len() || !(goes_on || is_comment && at != start) {
            return (start..end, end + 1);
        }
        at = end + 1;
    }
}

/// `COPY [--from=stage] [--chown=…] source… target`
fn copy(source: &Source, range: Range<usize>, said: &mut Said) {
    let text = &source.bytes;
    let mut words: Vec<Range<usize>> = Vec::new();
    let list = bytes::trim(text, range.clone());
    if text.get(list.start) == Some(&b'[') && !list.is_empty() {
        // The JSON form.
        for scalar in super::json::strings(&text[list.clone()]) {
            words.push(list.start + scalar.range.start..list.start + scalar.range.end);
        }
        let Some((_, sources)) = words.split_last() else { return };
        for word in sources {
            one(source, word.clone(), Inner::Bare, said);
        }
        return;
    }
    let mut at = range.start;
    while at < range.end {
        match text[at] {
            byte if byte.is_ascii_whitespace()
                || byte == b'\\' && text[at + 1..].trim_ascii_start().len() < text[at + 1..].len() =>
            {
                at += 1
            }
            b'#' if text[..at].iter().rev().find(|byte| **byte != b' ' && **byte != b'\t') == Some(&b'\n') => {
                at = text[at..range.end].iter().position(|byte| *byte == b'\n').map_or(range.end, |length| at + length);
            }
            _ => {
                let start = at;
                while at < range.end && !text[at].is_ascii_whitespace() {
                    at += if text[at] == b'"' {
                        text[at + 1..range.end].iter().position(|byte| *byte == b'"').map_or(1, |end| end + 2)
                    } else {
                        1
                    };
                }
                words.push(start..at.min(range.end));
            }
        }
    }
    let is_foreign = |word: &Range<usize>| text[word.clone()].starts_with(b"--from=");
    if words.iter().any(is_foreign) || words.iter().any(|word| text[word.clone()].starts_with(b"<<")) {
        return;
    }
    words.retain(|word| !text[word.clone()].starts_with(b"--"));
    let Some((_, sources)) = words.split_last() else { return };
    for word in sources {
        let is_quoted = text[word.start] == b'"' && word.len() > 2;
        let word = if is_quoted { word.start + 1..word.end - 1 } else { word.clone() };
        // A blank can be written in quotes only.
        let inner = if is_quoted { Inner::Shell(Quote::Double, Quote::Double) } else { Inner::Word };
        one(source, word, inner, said);
    }
}

/// A path in the context; a slash before it changes nothing.
fn one(source: &Source, word: Range<usize>, inner: Inner, said: &mut Said) {
    let text = &source.bytes;
    let start = word.start + text[word.clone()].iter().take_while(|byte| **byte == b'/').count();
    let path = &text[start..word.end];
    if path.is_empty() || bytes::contains(path, b"://") || path.contains(&b'$') || path.starts_with(b"git@") {
        return;
    }
    let part = source.part(start..word.end, Outer::Plain);
    // A name without an ending may be a program that was built before.
    let is_certain = path.contains(&b'/') && path != b"./" || bytes::extension(path).is_some();
    let weight = if is_certain { Weight::Sure } else { Weight::Likely };
    if let Some(index) = super::settings::path_in(&part, Kind::Build, &[Anchor::Cwd], weight, said) {
        said.mentions[index].spelling.inner = inner;
    }
}

/// `RUN --mount=type=bind,source=package.json,target=…`
fn mounts(source: &Source, range: Range<usize>, said: &mut Said) {
    let text = &source.bytes[..range.end];
    let mut at = range.start;
    while let Some(found) = bytes::find(text, b"--mount=", at) {
        let end = text[found..].iter().position(u8::is_ascii_whitespace).map_or(text.len(), |length| found + length);
        let mount = &text[found..end];
        at = end;
        if !bytes::contains(mount, b"type=bind") || bytes::contains(mount, b"from=") {
            continue;
        }
        for name in [&b"source="[..], b"src="] {
            if let Some(place) = bytes::find(mount, name, 0) {
                let start = found + place + name.len();
                let stop = text[start..end].iter().position(|byte| *byte == b',').map_or(end, |length| start + length);
                let spelling = Spelling::of(Inner::Bare);
                let mention = Mention::new(Kind::Build, start..stop, &text[start..stop], Anchor::Cwd);
                said.push(source, mention.spelled(spelling));
                break;
            }
        }
    }
}
