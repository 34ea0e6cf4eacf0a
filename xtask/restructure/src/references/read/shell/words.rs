//! Words of a shell: quotes, escapes, expansions. A word is a row of bytes, each with its place and its quotes, and of
//! values that were put in by an expansion.

use std::ops::Range;

use super::super::super::spelling::Quote;
use super::values::Value;
use super::{DEEPEST, Place, Shell};

/// A word of a command.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub units: Vec<Unit>,
    pub values: Vec<(Value, Range<usize>)>,
    pub span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub what: What,
    pub at: usize,
    pub end: usize,
    pub quote: Quote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Byte(u8),
    /// An unquoted wildcard or brace.
    Wild(u8),
    /// The value with this number.
    Value(usize),
}

impl Unit {
    pub fn byte(&self) -> Option<u8> {
        match self.what {
            What::Byte(byte) => Some(byte),
            _ => None,
        }
    }
}

impl Word {
    /// The text of a word without expansions and wildcards.
    pub fn literal(&self) -> Option<Vec<u8>> {
        self.units.iter().map(Unit::byte).collect()
    }
    pub fn starts_with(&self, text: &[u8]) -> bool {
        self.units.len() >= text.len() && self.units.iter().zip(text).all(|(unit, byte)| unit.byte() == Some(*byte))
    }
    pub fn position(&self, byte: u8) -> Option<usize> {
        self.units.iter().position(|unit| unit.byte() == Some(byte))
    }
    /// True when no part of it is quoted: only such a word is a keyword.
    pub fn is_bare(&self) -> bool {
        self.units.iter().all(|unit| unit.quote == Quote::None)
    }
    /// The word that is one expansion and nothing else.
    pub fn only_value(&self) -> Option<(&Value, &Range<usize>)> {
        match self.units.as_slice() {
            [Unit { what: What::Value(index), .. }] => self.values.get(*index).map(|(value, range)| (value, range)),
            _ => None,
        }
    }
}

impl Shell<'_> {
    pub(super) fn word(&mut self) -> Word {
        let mut word = Word { span: self.at..self.at, ..Word::default() };
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => break,
                _ => self.word_part(&mut word, Quote::None),
            }
        }
        word.span.end = self.at;
        word
    }

    /// The next part of a word that stands in these quotes.
    fn word_part(&mut self, word: &mut Word, quote: Quote) {
        let Some(byte) = self.peek() else { return };
        let start = self.at;
        let push = |word: &mut Word, what: What, end: usize, quote: Quote| {
            word.units.push(Unit { what, at: start, end, quote });
        };
        match (byte, quote) {
            (b'\\', _) => {
                let next = self.byte(1);
                if next == Some(b'\n') {
                    self.at += 2;
                    return;
                }
                let keeps = quote == Quote::Double && !next.is_some_and(|byte| b"$`\"\\".contains(&byte));
                match next {
                    Some(next) if !keeps => {
                        self.at += 2;
                        push(word, What::Byte(next), self.at, quote);
                    }
                    _ => {
                        self.at += 1;
                        push(word, What::Byte(b'\\'), self.at, quote);
                    }
                }
            }
            (b'\'', Quote::None) => {
                self.at += 1;
                while let Some(byte) = self.peek() {
                    self.at += 1;
                    if byte == b'\'' {
                        break;
                    }
                    word.units.push(Unit {
                        what: What::Byte(byte),
                        at: self.at - 1,
                        end: self.at,
                        quote: Quote::Single,
                    });
                }
            }
            (b'"', Quote::None) => {
                self.at += 1;
                while let Some(byte) = self.peek() {
                    if byte == b'"' {
                        self.at += 1;
                        break;
                    }
                    self.word_part(word, Quote::Double);
                }
            }
            (b'$', Quote::None) if self.byte(1) == Some(b'\'') => {
                self.at += 2;
                while let Some(byte) = self.peek() {
                    let at = self.at;
                    self.at += 1;
                    if byte == b'\'' {
                        break;
                    }
                    let mut what = byte;
                    if byte == b'\\' {
                        what = self.peek().map_or(byte, |next| match next {
                            b'n' => b'\n',
                            b't' => b'\t',
                            next => next,
                        });
                        self.at = (self.at + 1).min(self.end);
                    }
                    word.units.push(Unit { what: What::Byte(what), at, end: self.at, quote: Quote::Ansi });
                }
            }
            (b'$', Quote::None) if self.byte(1) == Some(b'"') => self.at += 1,
            (b'$' | b'`', _) => match self.expansion() {
                Some(value) => {
                    word.values.push((value, start..self.at));
                    push(word, What::Value(word.values.len() - 1), self.at, quote);
                }
                None => {
                    self.at = start + 1;
                    push(word, What::Byte(byte), self.at, quote);
                }
            },
            (b'*' | b'?', Quote::None) => {
                self.at += 1;
                push(word, What::Wild(byte), self.at, quote);
            }
            (b'[' | b'{', Quote::None) if let Some(length) = self.bracket() => {
                self.at += length;
                push(word, What::Wild(b'*'), self.at, quote);
            }
            _ => {
                self.at += 1;
                push(word, What::Byte(byte), self.at, quote);
            }
        }
    }

    /// The length of a `[a-z]` or a `{a,b}` that stands here.
    fn bracket(&self) -> Option<usize> {
        let is_set = self.peek() == Some(b'[');
        let rest = &self.text[self.at..self.end];
        let length = rest.iter().position(|byte| b" \t\n/\"'$]}".contains(byte))?;
        let inner = &rest[1..length];
        let is_closed = rest[length] == if is_set { b']' } else { b'}' };
        let is_choice =
            is_set && !inner.is_empty() || inner.contains(&b',') || inner.windows(2).any(|pair| pair == b"..");
        (is_closed && is_choice).then_some(length + 1)
    }

    /// What a `$…` or a text in backticks stands for; None when it is no expansion.
    fn expansion(&mut self) -> Option<Value> {
        if self.peek() == Some(b'`') {
            let start = self.at + 1;
            let length = self.text[start..self.end].iter().position(|byte| *byte == b'`')?;
            return Some(self.substitution(start..start + length, start + length + 1));
        }
        let next = self.byte(1)?;
        if self.place == Place::Recipe {
            return self.make_expansion(next);
        }
        self.dollar(next)
    }

    /// `$` and what follows, in shell.
    fn dollar(&mut self, next: u8) -> Option<Value> {
        match next {
            b'(' if self.byte(2) == Some(b'(') => {
                self.at += 1;
                self.skip_arithmetic();
                Some(Value::Unknown)
            }
            b'(' => {
                let start = self.at + 2;
                if self.depth >= DEEPEST {
                    self.at = self.end;
                    return Some(Value::Unknown);
                }
                self.at = start;
                Some(self.nested(Some(b')')))
            }
            b'{' => {
                self.at += 2;
                Some(self.parameter())
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let start = self.at + 1;
                self.at = start;
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    self.at += 1;
                }
                Some(self.variable(&self.text[start..self.at]))
            }
            b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-' => {
                self.at += 2;
                Some(if next == b'0' { self.itself() } else { Value::Unknown })
            }
            _ => None,
        }
    }

    /// `$$` is a dollar for the shell; `$(NAME)` and `${NAME}` are variables of make.
    fn make_expansion(&mut self, next: u8) -> Option<Value> {
        match next {
            b'$' => {
                self.at += 1;
                let next = self.byte(1)?;
                // Make's own variables do not occur in what `$$(…)` starts; reading on as a recipe is right for both.
                self.dollar(next)
            }
            b'(' | b'{' => {
                let (open, close) = if next == b'(' { (b'(', b')') } else { (b'{', b'}') };
                let start = self.at + 2;
                let mut depth = 1;
                self.at = start;
                while let Some(byte) = self.peek() {
                    depth += i32::from(byte == open) - i32::from(byte == close);
                    if depth == 0 {
                        break;
                    }
                    self.at += 1;
                }
                let inner = self.text[start..self.at].to_vec();
                self.at = (self.at + 1).min(self.end);
                Some(match inner.as_slice() {
                    b"CURDIR" | b"PWD" => Value::Path(self.cwd.clone()),
                    name => self.variables.get(name).cloned().unwrap_or_else(|| Value::hint(name)),
                })
            }
            b'@' | b'<' | b'^' | b'*' | b'?' | b'+' | b'|' => {
                self.at += 2;
                Some(Value::Unknown)
            }
            _ => None,
        }
    }

    /// Commands up to the byte that ends them; what the last one says.
    pub(super) fn nested(&mut self, stop: Option<u8>) -> Value {
        let (cwd, variables) = (self.cwd.clone(), self.variables.clone());
        let heredocs = std::mem::take(&mut self.heredocs);
        self.depth += 1;
        self.result = Value::Unknown;
        self.commands(stop);
        self.depth -= 1;
        if stop.is_some() {
            self.at = (self.at + 1).min(self.end);
        }
        self.heredocs = heredocs;
        (self.cwd, self.variables) = (cwd, variables);
        std::mem::replace(&mut self.result, Value::Unknown)
    }

    /// Commands in a range, such as one in backticks; reading goes on at `after`.
    fn substitution(&mut self, range: Range<usize>, after: usize) -> Value {
        if self.depth >= DEEPEST {
            self.at = after;
            return Value::Unknown;
        }
        let limit = std::mem::replace(&mut self.end, range.end);
        self.at = range.start;
        let value = self.nested(None);
        self.end = limit;
        self.at = after;
        value
    }

    /// `${NAME…}` behind its brace.
    fn parameter(&mut self) -> Value {
        let start = self.at;
        if matches!(self.peek(), Some(b'#' | b'!')) && self.byte(1) != Some(b'}') {
            self.skip_braces();
            return Value::Unknown;
        }
        // zsh: `${(%):-%x}` is the file that is read, `${0:a:h}` its folder.
        if self.text[self.at..self.end].starts_with(b"(%):-%") {
            let is_folder = self.text[self.at..self.line_end()].windows(2).any(|pair| pair == b":h");
            self.skip_braces();
            return if is_folder { Value::Path(vec![super::Anchor::Own]) } else { self.itself() };
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        let name = self.text[start..self.at].to_vec();
        let value = if name == b"0" { self.itself() } else { self.variable(&name) };
        if self.peek() == Some(b'[') {
            while self.peek().is_some_and(|byte| byte != b']' && byte != b'}') {
                self.at += 1;
            }
            if self.peek() == Some(b']') {
                self.at += 1;
            }
        }
        let rest = &self.text[self.at..self.end];
        let value =
            if rest.starts_with(b":-") || rest.starts_with(b":=") || rest.starts_with(b"-") || rest.starts_with(b"=") {
                self.at += if rest[0] == b':' { 2 } else { 1 };
                let default = self.default_word();
                let is_known = !matches!(value, Value::Unknown | Value::Hint(_));
                return if is_known { value } else { self.assigned(&default) };
            } else if [&b"%/*}"[..], b":a:h}", b":A:h}", b":h}"].iter().any(|end| rest.starts_with(end)) {
                self.folder_of(&value)
            } else if rest.starts_with(b"}")
                || rest.starts_with(b"%/}")
                || rest.starts_with(b":?")
                || rest.starts_with(b":A}")
            {
                value
            } else {
                Value::Unknown
            };
        self.skip_braces();
        value
    }

    /// The word in `${NAME:-word}`, read behind the sign; its brace is taken.
    fn default_word(&mut self) -> Word {
        let mut word = Word { span: self.at..self.at, ..Word::default() };
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => break,
                b'{' => {
                    word.units.push(Unit { what: What::Byte(b'{'), at: self.at, end: self.at + 1, quote: Quote::None });
                    self.at += 1;
                }
                _ => self.word_part(&mut word, Quote::None),
            }
        }
        word.span.end = self.at;
        self.at = (self.at + 1).min(self.end);
        word
    }

    fn skip_braces(&mut self) {
        let mut depth = 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at = (self.at + 1).min(self.end),
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                b'\n' if depth == 1 && self.place != Place::Script => return,
                _ => {}
            }
        }
    }
}
