//! Text that people read: comments, prose, code of languages that nobody else reads here. A word in it counts as a path
//! only where it is unmistakable: it has a slash and is the path of a file.

use std::ops::Range;

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::Source;
use super::super::spelling::{Inner, Spelling, is_of_word};
use super::super::{Kind, bytes};

/// Takes the words of a text that look like paths.
pub(crate) fn read_prose(source: &Source, range: Range<usize>, said: &mut Said) {
    read_words(source, range, Kind::Prose, said);
}

pub(crate) fn read_words(source: &Source, range: Range<usize>, kind: Kind, said: &mut Said) {
    let text = &source.bytes[..range.end];
    let mut at = range.start;
    while let Some(slash) = hot::find::byte(text, at, b'/') {
        let mut start = slash;
        while start > range.start && is_of_word(text[start - 1]) {
            start -= 1;
        }
        let mut end = slash + 1;
        while end < text.len() && is_of_word(text[end]) {
            end += 1;
        }
        at = end;
        let word = word_in(text, start..end, range.start);
        if let Some(word) = word {
            let path = text[word.clone()].to_vec();
            let mention = Mention::new(kind, word, path, Anchor::Above).weight(Weight::Word);
            said.push(source, mention.spelled(Spelling::of(Inner::Word)));
        }
    }
}

/// The path in a run of letters and slashes.
fn word_in(text: &[u8], run: Range<usize>, from: usize) -> Option<Range<usize>> {
    let (mut start, mut end) = (run.start, run.end);
    // What stands before tells a URL (`https://`), a variable (`$X/`, `${X}/`, `{{x}}/`), a pattern (`*/`).
    let before = if start > from { Some(text[start - 1]) } else { None };
    if text[start] == b'/' || matches!(before, Some(b'$' | b'}' | b'*' | b'?' | b'\\' | b'>' | b'&' | b'#')) {
        return None;
    }
    if before == Some(b')') && text[start] != b'.'
        || text.get(end).is_some_and(|byte| matches!(byte, b'*' | b'$' | b'{' | b'<' | b'?'))
    {
        return None;
    }
    while start < end && matches!(text[start], b'-' | b'@' | b'+' | b'~' | b'%') || text[start..end].starts_with(b"...")
    {
        start += 1;
    }
    while end > start && matches!(text[end - 1], b'.' | b'-' | b'+' | b'~' | b'%' | b'@') {
        end -= 1;
    }
    // Words of other scripts and dashes stand at a path's end without a blank.
    let word = &text[start..end];
    let is_path = word.contains(&b'/')
        && word.len() > 3
        && word.len() < 300
        && !bytes::contains(word, b"//")
        && !bytes::contains(word, b".../")
        && word.iter().any(u8::is_ascii_alphanumeric);
    is_path.then_some(start..end)
}
