//! Lists of patterns: .gitignore and its kin, CODEOWNERS. Only those that are a plain path of something in the tree count.

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::Source;
use super::super::spelling::{Inner, Spelling};
use super::super::{Kind, bytes};

/// `base`: what a line is read from.
pub(crate) fn read(source: &Source, base: Anchor, said: &mut Said) {
    let text = &source.bytes;
    for line in bytes::lines(text) {
        let line = bytes::trim(text, line);
        let words = &text[line.clone()];
        if words.is_empty() || words[0] == b'#' {
            continue;
        }
        let length = words.iter().position(|byte| *byte == b' ' || *byte == b'\t').unwrap_or(words.len());
        let mut start = line.start;
        let end = line.start + length;
        start += usize::from(text[start] == b'!');
        start += usize::from(text.get(start) == Some(&b'/') && start < end);
        let path = &text[start..end];
        // Without a slash it holds at any depth and follows what moves by itself.
        let is_anchored = text[line.start..end].iter().take(length.saturating_sub(1)).any(|byte| *byte == b'/');
        if path.is_empty() || !is_anchored || path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
            continue;
        }
        let mention = Mention::new(Kind::Pattern, start..end, path, base).weight(Weight::Likely);
        said.push(source, mention.spelled(Spelling::of(Inner::Pattern)));
    }
}
