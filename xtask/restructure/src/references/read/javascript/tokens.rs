//! The tokens of JavaScript and TypeScript, as far as paths need them.

use super::super::program::{Quoted, Token, Tokens, What};

pub(super) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = Tokens::of_length(text.len());
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let what = match text[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if text.get(at + 1) == Some(&b'/') => {
                at = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length);
                What::Comment
            }
            b'/' if text.get(at + 1) == Some(&b'*') => {
                at = super::super::super::bytes::find(text, b"*/", at + 2).map_or(text.len(), |end| end + 2);
                What::Comment
            }
            b'#' if at == 0 && text.starts_with(b"#!") => {
                at = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
                What::Comment
            }
            b'/' if begins_regex(text, tokens.list.last()) => {
                at = regex_end(text, at);
                What::Other
            }
            quote @ (b'"' | b'\'') => {
                let end = string_end(text, at + 1, quote);
                at = (end + 1).min(text.len());
                What::Text(Quoted { start: start + 1, end, ..Quoted::default() })
            }
            b'`' => {
                let end = template_end(text, at + 1);
                at = (end + 1).min(text.len());
                What::Text(Quoted { start: start + 1, end, is_format: true, is_long: true, ..Quoted::default() })
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || byte >= 0x80 => {
                while at < text.len()
                    && (text[at].is_ascii_alphanumeric() || matches!(text[at], b'_' | b'$') || text[at] >= 0x80)
                {
                    at += 1;
                }
                What::Name
            }
            byte if byte.is_ascii_digit() => {
                while at < text.len() && (text[at].is_ascii_alphanumeric() || text[at] == b'.') {
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

/// A slash begins a pattern where no value stands before it.
fn begins_regex(text: &[u8], before: Option<&Token>) -> bool {
    let Some(before) = before else { return true };
    let word = &text[before.span.clone()];
    match before.what {
        What::Sign => !matches!(word, b")" | b"]" | b"}" | b"<"),
        What::Name => matches!(
            word,
            b"return" | b"typeof" | b"case" | b"in" | b"of" | b"delete" | b"void" | b"await" | b"yield" | b"do"
        ),
        What::Comment => true,
        What::Text(_) | What::Other | What::Line => false,
    }
}

fn regex_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    let mut is_in_set = false;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'\n' => return at,
            b'[' => is_in_set = true,
            b']' => is_in_set = false,
            b'/' if !is_in_set => return at + 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

fn string_end(text: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'\n' => return at,
            byte if byte == quote => return at,
            _ => at += 1,
        }
    }
    text.len()
}

pub(super) fn template_end(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'`' => return at,
            b'$' if text.get(at + 1) == Some(&b'{') => at = hole_end(text, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

/// Behind the brace that ends a `${…}` whose inside begins here.
pub(super) fn hole_end(text: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut depth = 1;
    while at < text.len() {
        match text[at] {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            quote @ (b'"' | b'\'') => at = string_end(text, at + 1, quote),
            b'`' => at = template_end(text, at + 1),
            _ => {}
        }
        at += 1;
    }
    text.len()
}
