//! JavaScript and TypeScript: modules that are imported, paths made from `__dirname` and `import.meta.url`, files that
//! are read, scripts that are started.

mod paths;
mod tokens;

use super::super::Kind;
use super::super::mention::{Anchor, Form, Mention, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::spelling::Spelling;
use paths::Paths;
use tokens::{Token, What};

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
            What::Text { start, end } if is_module(source, &tokens, at) => {
                module(source, start..end, paths.said);
                at += 1;
            }
            What::Template { start, end }
                if is_module(source, &tokens, at) && !source.bytes[start..end].contains(&b'$') =>
            {
                module(source, start..end, paths.said);
                at += 1;
            }
            What::Name => at = paths.statement(at),
            _ => at = paths.expression(at),
        }
    }
}

/// True for a string that names a module: behind `from`, `import`, `require(`.
fn is_module(source: &Source, tokens: &[Token], at: usize) -> bool {
    let word = |back: usize| at.checked_sub(back).map_or(&b""[..], |index| &source.bytes[tokens[index].span.clone()]);
    if matches!(word(1), b"from" | b"import") && at > 0 && tokens[at - 1].what == What::Name && word(2) != b"." {
        return true;
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
