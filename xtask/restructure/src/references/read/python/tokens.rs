//! The tokens of Python, as far as paths need them.

use super::super::program::{Quoted, Token, Tokens, What};

pub(super) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = Tokens::of_length(text.len());
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let what = match text[at] {
            b'\n' => {
                at += 1;
                // A line ends no statement in brackets.
                if tokens.is_in_brackets() {
                    continue;
                }
                What::Line
            }
            b' ' | b'\t' | b'\r' | b'\x0c' => {
                at += 1;
                continue;
            }
            b'\\' => {
                at += 2;
                continue;
            }
            b'#' => {
                at = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length);
                What::Comment
            }
            b'"' | b'\'' => string(text, &mut at, false, false),
            byte if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                while at < text.len() && (text[at].is_ascii_alphanumeric() || text[at] == b'_' || text[at] >= 0x80) {
                    at += 1;
                }
                let name = &text[start..at];
                if matches!(text.get(at), Some(b'"' | b'\'')) && is_prefix(name) {
                    let has = |letter: &[u8]| name.iter().any(|byte| letter.eq_ignore_ascii_case(&[*byte]));
                    string(text, &mut at, has(b"r"), has(b"f"))
                } else {
                    What::Name
                }
            }
            byte if byte.is_ascii_digit() => {
                while at < text.len() && (text[at].is_ascii_alphanumeric() || text[at] == b'_' || text[at] == b'.') {
                    at += 1;
                }
                What::Other
            }
            _ => {
                at += 1;
                What::Sign
            }
        };
        tokens.push(what, start..at.min(text.len()), text);
    }
    tokens.list
}

/// What may stand before the quotes of a string.
fn is_prefix(name: &[u8]) -> bool {
    [&b"r"[..], b"b", b"f", b"u", b"rb", b"br", b"fr", b"rf"].iter().any(|prefix| prefix.eq_ignore_ascii_case(name))
}

fn string(text: &[u8], at: &mut usize, is_raw: bool, is_format: bool) -> What {
    let quote = text[*at];
    let is_long = text[*at..].starts_with(&[quote; 3]);
    let width = if is_long { 3 } else { 1 };
    let start = *at + width;
    let mut place = start;
    while place < text.len() {
        match text[place] {
            b'\\' => place += 2,
            b'\n' if !is_long => break,
            byte if byte == quote && (!is_long || text[place..].starts_with(&[quote; 3])) => break,
            _ => place += 1,
        }
    }
    let end = place.min(text.len());
    *at = (end + if text.get(end) == Some(&quote) { width } else { 0 }).min(text.len());
    What::Text(Quoted { start, end, is_raw, is_format, is_long })
}
