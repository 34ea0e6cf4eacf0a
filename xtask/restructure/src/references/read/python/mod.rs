//! Python: imports that follow files, paths made from `__file__`, files that are opened, scripts that are started.

mod paths;
mod tokens;

use std::ops::Range;

use super::super::Kind;
use super::super::mention::{Anchor, Form, Mention, Said, Weight};
use super::super::source::Source;
use super::super::spelling::{Inner, Spelling};
use super::program::{Token, What};
use paths::Paths;

pub(crate) fn read(source: &Source, said: &mut Said) {
    let tokens = tokens::tokens(&source.bytes);
    let mut paths = Paths::new(source, &tokens, said);
    let mut at = 0;
    let mut is_statement = true;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.what {
            What::Line => {
                is_statement = true;
                at += 1;
                continue;
            }
            What::Comment => {
                super::words::read_prose(source, token.span.clone(), paths.said);
                at += 1;
                continue;
            }
            What::Name if is_statement => match &source.bytes[token.span.clone()] {
                b"import" => at = imports(source, &tokens, at + 1, paths.said),
                b"from" => {
                    let is_tried = is_tried(source, &tokens[..at]);
                    at = from_import(source, &tokens, at + 1, is_tried, paths.said);
                }
                _ => at = paths.statement(at),
            },
            _ => at = paths.expression(at),
        }
        is_statement = false;
        if tokens.get(at).is_some_and(|token| token.is(source, b":")) {
            // `if x: import y`, and the end of every head of a block.
            is_statement = true;
            at += 1;
        }
    }
}

/// A dotted name: its place, and where reading goes on.
fn dotted(source: &Source, tokens: &[Token], mut at: usize) -> Option<(Range<usize>, usize)> {
    let first = tokens.get(at).filter(|token| token.what == What::Name)?;
    let mut span = first.span.clone();
    at += 1;
    while tokens.get(at).is_some_and(|token| token.is(source, b"."))
        && let Some(name) = tokens.get(at + 1).filter(|token| token.what == What::Name)
    {
        span.end = name.span.end;
        at += 2;
    }
    Some((span, at))
}

fn as_path(name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(name.len());
    for byte in name.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        path.push(if *byte == b'.' { b'/' } else { *byte });
    }
    path
}

/// `import a.b, c as d`
fn imports(source: &Source, tokens: &[Token], mut at: usize, said: &mut Said) -> usize {
    while let Some((span, next)) = dotted(source, tokens, at) {
        let path = as_path(&source.bytes[span.clone()]);
        let mention = Mention::new(Kind::Import, span, path, Anchor::Modules).form(Form::Dotted);
        said.push(source, mention.spelled(Spelling::of(Inner::Dotted)));
        at = next;
        if tokens.get(at).is_some_and(|token| token.is(source, b"as")) {
            at += 2;
        }
        if !tokens.get(at).is_some_and(|token| token.is(source, b",")) {
            break;
        }
        at += 1;
    }
    at
}

/// True behind `try:`, where it may fail.
fn is_tried(source: &Source, before: &[Token]) -> bool {
    let mut words = before.iter().rev().filter(|token| !matches!(token.what, What::Line | What::Comment));
    words.next().is_some_and(|token| token.is(source, b":"))
        && words.next().is_some_and(|token| token.is(source, b"try"))
}

/// `from ..a.b import c, d`
fn from_import(source: &Source, tokens: &[Token], mut at: usize, is_tried: bool, said: &mut Said) -> usize {
    let start = tokens.get(at).map_or(0, |token| token.span.start);
    let mut dots = 0;
    while let Some(token) = tokens.get(at).filter(|token| token.what == What::Sign) {
        match &source.bytes[token.span.clone()] {
            b"." => dots += 1,
            _ => break,
        }
        at += 1;
    }
    let mut span = start..start + dots;
    let mut name = Vec::new();
    if !tokens.get(at).is_some_and(|token| token.is(source, b"import"))
        && let Some((range, next)) = dotted(source, tokens, at)
    {
        name = as_path(&source.bytes[range.clone()]);
        span.end = range.end;
        if dots == 0 {
            span.start = range.start;
        }
        at = next;
    }
    if !tokens.get(at).is_some_and(|token| token.is(source, b"import")) {
        return at;
    }
    at += 1;
    let module = if dots == 0 {
        let mention = Mention::new(Kind::Import, span, name, Anchor::Modules).form(Form::Dotted);
        said.push(source, mention.spelled(Spelling::of(Inner::Dotted)))
    } else {
        let up = vec![&b".."[..]; dots - 1];
        let mut path = up.join(&b'/');
        if !name.is_empty() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
        } else if path.is_empty() {
            path = b".".to_vec();
        }
        let is_made = name.ends_with(b"version");
        let weight = if name.is_empty() || is_made || is_tried { Weight::Likely } else { Weight::Sure };
        let mention = Mention::new(Kind::Import, span, path, Anchor::Own).form(Form::Dotted).weight(weight);
        said.push(source, mention.spelled(Spelling::of(Inner::RelativeDotted)))
    };
    // Each name may be a module of the package.
    while let Some(token) = tokens.get(at) {
        match token.what {
            What::Name if token.is(source, b"as") => at += 2,
            What::Name => {
                let name = source.bytes[token.span.clone()].to_vec();
                let mention = Mention::new(Kind::Import, token.span.clone(), name, Anchor::At(module));
                let mention = mention.form(Form::Dotted).weight(Weight::Word);
                said.push(source, mention.spelled(Spelling::of(Inner::Dotted)));
                at += 1;
            }
            What::Line | What::Comment if token.depth > 0 => at += 1,
            What::Sign if matches!(&source.bytes[token.span.clone()], b"," | b"(" | b")" | b"*") => at += 1,
            _ => break,
        }
    }
    at
}
