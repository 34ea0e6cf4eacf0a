//! What readers of programs share: tokens, the variables that hold a path, strings that are taken for one.

use std::collections::HashMap;
use std::ops::{DerefMut, Range};

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::{Kind, bytes};
use super::expression::{Expression, Text, Value};

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub what: What,
    pub span: Range<usize>,
    /// Of open brackets.
    pub depth: usize,
    /// For an open bracket, the token that closes it.
    pub partner: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Name,
    Text(Quoted),
    Sign,
    Comment,
    /// The end of a line that ends a statement.
    Line,
    /// Numbers, patterns.
    Other,
}

/// A string of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Quoted {
    /// Between its quotes.
    pub start: usize,
    pub end: usize,
    /// Its backslashes mean themselves.
    pub is_raw: bool,
    /// It has expressions in it: `f"…"` and `` `…` ``.
    pub is_format: bool,
    /// It may go over lines.
    pub is_long: bool,
}

impl Token {
    pub fn is(&self, source: &Source, word: &[u8]) -> bool {
        matches!(self.what, What::Name | What::Sign) && source.bytes[self.span.clone()] == *word
    }
}

/// Takes tokens as they come and finds the partner of each bracket.
pub(crate) struct Tokens {
    pub list: Vec<Token>,
    open: Vec<usize>,
}

impl Tokens {
    /// For a text of some length: programs have a token in about six bytes.
    pub fn of_length(length: usize) -> Tokens {
        Tokens { list: Vec::with_capacity(length / 6), open: Vec::new() }
    }
    pub fn is_in_brackets(&self) -> bool {
        !self.open.is_empty()
    }
    pub fn push(&mut self, what: What, span: Range<usize>, text: &[u8]) {
        if what == What::Sign {
            match text[span.start] {
                b'(' | b'[' | b'{' => self.open.push(self.list.len()),
                b')' | b']' | b'}' => {
                    if let Some(partner) = self.open.pop() {
                        self.list[partner].partner = self.list.len();
                    }
                }
                _ => {}
            }
        }
        self.list.push(Token { what, span, depth: self.open.len(), partner: usize::MAX });
    }
}

/// A program that is read from its first token to its last.
pub(crate) struct Program<'a> {
    pub source: &'a Source<'a>,
    pub tokens: &'a [Token],
    pub said: &'a mut Said,
    /// Variables that hold a path: a folder that is known, or what a mention names.
    pub variables: HashMap<Vec<u8>, Vec<Anchor>>,
    /// Of expressions in expressions.
    pub depth: usize,
}

/// Deeper expressions make no paths.
pub(crate) const DEEPEST: usize = 30;

impl<'a> Program<'a> {
    pub fn new(source: &'a Source<'a>, tokens: &'a [Token], said: &'a mut Said) -> Program<'a> {
        Program { source, tokens, said, variables: HashMap::new(), depth: 0 }
    }
    pub fn text(&self, at: usize) -> &'a [u8] {
        self.tokens.get(at).map_or(b"", |token| &self.source.bytes[token.span.clone()])
    }
    pub fn is(&self, at: usize, word: &[u8]) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(self.source, word))
    }
    pub fn is_name(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.what == What::Name)
    }
    /// The bytes of some tokens.
    pub fn span(&self, from: usize, to: usize) -> Range<usize> {
        self.tokens[from].span.start..self.tokens[to.clamp(1, self.tokens.len()) - 1].span.end
    }
    /// The token behind a dotted name that begins here.
    pub fn behind_name(&self, at: usize) -> usize {
        let mut next = at + 1;
        while self.is(next, b".") && self.is_name(next + 1) {
            next += 2;
        }
        next
    }
    /// The token behind a name and all that hangs on it: `.x`, `(…)`, `[…]`.
    pub fn behind(&self, at: usize) -> usize {
        let mut next = at + 1;
        loop {
            if self.is(next, b".") && self.is_name(next + 1) {
                next += 2;
            } else if self.is(next, b"(") || self.is(next, b"[") {
                next = self.behind_brackets(next);
            } else {
                return next;
            }
        }
    }
    /// The token behind the bracket that closes the one at `open`.
    pub fn behind_brackets(&self, open: usize) -> usize {
        let partner = self.tokens.get(open).map_or(usize::MAX, |token| token.partner);
        partner.saturating_add(1).min(self.tokens.len())
    }
    /// The comma or bracket that ends the argument which `at` is in.
    fn argument_end(&self, mut at: usize, depth: usize) -> usize {
        while let Some(token) = self.tokens.get(at) {
            if token.depth < depth || token.depth == depth && self.is(at, b",") {
                return at;
            }
            at += 1;
        }
        at
    }

    pub fn prose(&mut self, range: Range<usize>) {
        super::words::read_prose(self.source, range, self.said);
    }

    /// A string by itself: a path read from where the program runs, if it is one.
    pub fn push_text(&mut self, text: &Text, kind: Kind, weight: Weight) -> Option<usize> {
        let bytes = &text.bytes;
        let has_lines = bytes.contains(&b'\n');
        if has_lines || bytes.contains(&b' ') {
            let is_file = text.known.is_none() && bytes.contains(&b'/') && bytes::extension(bytes).is_some();
            if has_lines || !is_file {
                self.prose(text.range.clone());
                return None;
            }
        }
        let is_candidate = bytes::may_be_path(bytes)
            && !matches!(bytes[0], b'/' | b'~')
            && (weight != Weight::Word || bytes.contains(&b'/'));
        let is_name = weight == Weight::Word && kind == Kind::Variable && text.known.is_none() && bytes::is_name(bytes);
        if !is_candidate && !is_name {
            return None;
        }
        let weight = if is_candidate { weight } else { Weight::Idle };
        let outer = if text.is_plain { Outer::Literal(text.quote) } else { Outer::Quoted(text.quote) };
        let (cut, tail) = match text.known {
            None => (bytes.len(), Vec::new()),
            Some(known) => {
                let cut = bytes[..known].iter().rposition(|byte| *byte == b'/').map(|slash| slash + 1)?;
                (cut, bytes[cut..].to_vec())
            }
        };
        let part = self.source.part(text.range.start..text.range.start + cut, outer);
        let mut mention = Mention::new(kind, 0..cut, &bytes[..cut], Anchor::Cwd).weight(weight);
        mention.is_pattern = bytes::has_wildcard(&tail);
        mention.tail = tail;
        Some(self.said.push(&part, mention))
    }
}

/// A language that can say what an expression gives.
pub(crate) trait Evaluate<'a>: DerefMut<Target = Program<'a>> {
    /// What an expression gives, and the token behind it.
    fn value(&mut self, at: usize) -> (Value, usize);

    /// The arguments of a call, joined to a path; a single string stays one. `takes_rooted`: a slash before a name changes
    /// nothing.
    fn joined(&mut self, open: usize, start: usize, close: usize, takes_rooted: bool) -> Value {
        let depth = self.tokens[open].depth;
        let (mut value, mut next) = self.value(open + 1);
        if !self.is(next, b")") && !self.is(next, b",") {
            return Value::Unknown;
        }
        let is_single = self.is(next, b")");
        match &value {
            Value::Text(text) if !is_single => {
                // Read from where it runs.
                let text = text.clone();
                let mut path = Expression::at(vec![Anchor::Cwd], self.span(start, close));
                let is_path = text.bytes.first() != Some(&b'/') && path.join(&text, text.range.start - 1, false);
                value = if is_path { Value::Path(path) } else { Value::Unknown };
            }
            // `join(__filename, '..', 'x')`: the first step up leads to its folder; rarely written, and not followed.
            Value::Path(path) if path.is_file && !is_single => value = Value::Unknown,
            _ => {}
        }
        while self.is(next, b",") && !self.is(next + 1, b")") {
            let joint = self.tokens[next].span.start;
            let (mut right, mut after) = self.value(next + 1);
            if !self.is(after, b",") && !self.is(after, b")") {
                (right, after) = (Value::Unknown, self.argument_end(after, depth));
            }
            if let Value::Path(path) = &mut value {
                match &right {
                    Value::Text(text) if text.bytes.first() == Some(&b'/') && !(takes_rooted && path.is_bare()) => {
                        value = Value::Unknown;
                    }
                    Value::Text(text) => {
                        path.join(text, joint, false);
                    }
                    _ => path.join_unknown(),
                }
            }
            if after <= next {
                break;
            }
            next = after;
        }
        if !(self.is(next, b")") || self.is(next, b",") && self.is(next + 1, b")")) {
            // Something in it is not understood: what is known of it may be wrong.
            return Value::Unknown;
        }
        if let Value::Path(path) = &mut value {
            path.range = self.span(start, close);
        }
        value
    }
}
