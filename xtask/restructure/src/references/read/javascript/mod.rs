//! JavaScript and TypeScript: modules that are imported, paths made from `__dirname` and `import.meta.url`, files that
//! are read, scripts that are started.

mod paths;
mod tokens;

use super::super::Kind;
use super::super::mention::{Anchor, Form, Mention, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::spelling::Spelling;
use super::program::{Quoted, Token, What};
use paths::Paths;

pub(crate) fn read(source: &Source, said: &mut Said) {
    let tokens = tokens::tokens(&source.bytes);
    let mut paths = Paths::new(source, &tokens, said);
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.what {
            What::Comment => {
                super::words::read_prose(source, token.span.clone(), paths.said);
                at += 1;
            }
            What::Text(text) if is_module(source, &tokens, at) && !is_open(source, &text) => {
                module(source, text.start..text.end, paths.said);
                at += 1;
            }
            What::Name => at = paths.statement(at),
            _ => at = paths.expression(at),
        }
    }
}

/// True for a template of which some is known only when it runs.
fn is_open(source: &Source, text: &Quoted) -> bool {
    text.is_format && source.bytes[text.start..text.end].contains(&b'$')
}

/// True for a string that names a module: behind `from`, `import`, `require(`.
fn is_module(source: &Source, tokens: &[Token], at: usize) -> bool {
    let word = |back: usize| at.checked_sub(back).map_or(&b""[..], |index| &source.bytes[tokens[index].span.clone()]);
    if matches!(word(1), b"from" | b"import") && at > 0 && tokens[at - 1].what == What::Name && word(2) != b"." {
        return true;
    }
    if matches!(word(1), b"[" | b",") {
        return is_defined(source, tokens, at);
    }
    if word(1) != b"(" {
        return false;
    }
    match word(2) {
        b"require" | b"import" => word(3) != b".",
        b"resolve" => word(3) == b"." && word(4) == b"require",
        b"mock" | b"unmock" | b"doMock" | b"dontMock" | b"requireActual" | b"requireMock" | b"importActual"
        | b"importMock" => word(3) == b"." && matches!(word(4), b"jest" | b"vi"),
        _ => false,
    }
}

/// True in the list of `define(['./a', './b'], …)`.
fn is_defined(source: &Source, tokens: &[Token], at: usize) -> bool {
    let mut back = tokens[..at]
        .iter()
        .rev()
        .skip_while(|token| matches!(token.what, What::Text(_) | What::Comment) || token.is(source, b","));
    let is_list = back.next().is_some_and(|token| token.is(source, b"["));
    let mut call = back.skip_while(|token| matches!(token.what, What::Text(_)) || token.is(source, b","));
    is_list
        && call.next().is_some_and(|token| token.is(source, b"("))
        && call.next().is_some_and(|token| {
            token.is(source, b"define") || token.is(source, b"require") || token.is(source, b"requirejs")
        })
}

fn module(source: &Source, range: std::ops::Range<usize>, said: &mut Said) {
    let text = &source.bytes[range.clone()];
    // `./x.svg?raw`, and loaders before a `!`.
    let length = text.iter().position(|byte| *byte == b'?').unwrap_or(text.len());
    let text = &text[..length];
    if text.is_empty() || text.contains(&b'!') || text.contains(&b'\\') || text.contains(&b':') {
        return;
    }
    let quote = source.bytes[range.start - 1];
    let part = source.part(range.start..range.start + length, Outer::Quoted(quote));
    let is_relative = text.starts_with(b"./") || text.starts_with(b"../") || text == b"." || text == b"..";
    let mention = Mention::new(Kind::Import, 0..length, text, if is_relative { Anchor::Own } else { Anchor::Outside });
    said.push(
        &part,
        if is_relative {
            mention.form(Form::Module).weight(Weight::Sure).spelled(Spelling::plain().dotted())
        } else {
            mention.form(Form::Alias)
        },
    );
}
