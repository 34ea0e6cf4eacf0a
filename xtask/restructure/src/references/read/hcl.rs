//! Terraform: sources of modules, and files read by path: `"${path.module}/x"`, `file("x")`, `templatefile("x", …)`.

use std::ops::Range;

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::spelling::{Inner, Quote, Spelling};
use super::super::{Kind, bytes};

pub(crate) fn read(source: &Source, said: &mut Said) {
    let text = &source.bytes;
    let mut at = 0;
    // The block that is open: only a module's source is a path.
    let mut block: Vec<Vec<u8>> = Vec::new();
    let mut line = 0;
    while at < text.len() {
        match text[at] {
            b'\n' => {
                at += 1;
                line = at;
            }
            b'#' => at = comment(source, at, said),
            b'/' if text[at..].starts_with(b"//") => at = comment(source, at, said),
            b'/' if text[at..].starts_with(b"/*") => {
                at = bytes::find(text, b"*/", at).map_or(text.len(), |end| end + 2)
            }
            b'{' => {
                let head = text[line..at].trim_ascii();
                block.push(
                    head.split(|byte| byte.is_ascii_whitespace() || *byte == b'"').next().unwrap_or_default().to_vec(),
                );
                at += 1;
            }
            b'}' => {
                block.pop();
                at += 1;
            }
            b'<' if text[at..].starts_with(b"<<") => at = heredoc(text, at),
            b'"' => {
                let end = closing(text, at + 1);
                let is_source = block.last().is_some_and(|block| block == b"module")
                    && text[line..at].trim_ascii_start().starts_with(b"source");
                string(source, at + 1..end, &text[line..at], is_source, said);
                at = (end + 1).min(text.len());
            }
            _ => at += 1,
        }
    }
}

fn comment(source: &Source, at: usize, said: &mut Said) -> usize {
    let end =
        source.bytes[at..].iter().position(|byte| *byte == b'\n').map_or(source.bytes.len(), |length| at + length);
    super::words::read_prose(source, at..end, said);
    end
}

fn heredoc(text: &[u8], at: usize) -> usize {
    let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length);
    let word: Vec<u8> =
        text[at + 2..end].iter().copied().filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').collect();
    if word.is_empty() {
        return at + 2;
    }
    let mut place = end + 1;
    while place < text.len() {
        let stop = text[place..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| place + length);
        if text[place..stop].trim_ascii() == word {
            return stop;
        }
        place = stop + 1;
    }
    text.len()
}

/// The end of a string, over the quotes in its `${…}`.
fn closing(text: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut depth = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'$' if text[at..].starts_with(b"${") => {
                depth += 1;
                at += 2;
            }
            b'}' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b'"' if depth == 0 => return at,
            b'\n' if depth == 0 => return at,
            _ => at += 1,
        }
    }
    text.len()
}

fn string(source: &Source, range: Range<usize>, before: &[u8], is_source: bool, said: &mut Said) {
    let text = &source.bytes[range.clone()];
    if is_source {
        // Others are registries and repositories.
        if text.starts_with(b"./") || text.starts_with(b"../") {
            let mention = Mention::new(Kind::Include, range, text, Anchor::Own).weight(Weight::Sure);
            said.push(source, mention.spelled(Spelling::plain().dotted()));
        }
        return;
    }
    let starts: [(&[u8], Anchor); 3] =
        [(b"${path.module}", Anchor::Own), (b"${path.root}", Anchor::Own), (b"${path.cwd}", Anchor::Cwd)];
    if let Some((start, anchor)) = starts.iter().find(|(start, _)| text.starts_with(start)) {
        let begin = range.start + start.len();
        let rest = &source.bytes[begin..range.end];
        let open = bytes::find(rest, b"${", 0).unwrap_or(rest.len());
        // Up to the last slash before what is not known.
        let cut = if open == rest.len() {
            open
        } else {
            rest[..open].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)
        };
        if rest.first() != Some(&b'/') || cut == 0 {
            return;
        }
        let mut mention = Mention::new(Kind::Open, begin..begin + cut, &rest[1..cut], *anchor)
            .spelled(Spelling::of(Inner::Shell(Quote::Double, Quote::Double)).joined(true));
        if open < rest.len() {
            mention.tail = [&rest[cut..open], b"*"].concat();
            if let Some(close) = rest[open..].iter().rposition(|byte| *byte == b'}') {
                mention.tail.extend_from_slice(&rest[open + close + 1..]);
            }
            mention.is_pattern = true;
        }
        said.push(source, mention);
        return;
    }
    // `file("x")` is read from the folder where terraform runs, which is that of the root module.
    let call = before.trim_ascii_end();
    let is_file = [&b"file("[..], b"templatefile(", b"filebase64(", b"filemd5(", b"filesha256("]
        .iter()
        .any(|name| call.ends_with(name));
    if is_file && !text.contains(&b'$') && bytes::may_be_path(text) && text[0] != b'/' {
        let part = source.part(range, Outer::Json);
        super::settings::path_in(&part, Kind::Open, &[Anchor::Own, Anchor::Cwd], Weight::Likely, said);
    } else if text.contains(&b'/') && (text.starts_with(b"./") || text.starts_with(b"../")) && !text.contains(&b'$') {
        let part = source.part(range, Outer::Json);
        super::settings::path_in(&part, Kind::Setting, &[Anchor::Own, Anchor::Cwd], Weight::Likely, said);
    } else if text.contains(&b' ') && text.contains(&b'/') {
        super::words::read_prose(source, range, said);
    }
}
