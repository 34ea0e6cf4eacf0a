//! One command of a shell: keywords, assignments, redirections, and what its arguments mean by the name of the program.

use super::super::super::Kind;
use super::super::super::mention::Weight;
use super::super::super::spelling::Quote;
use super::values::{Draft, Value};
use super::words::{Unit, Word};
use super::{BlockKind, HereDoc, Reader, Shell};

impl Shell<'_> {
    /// Reads one simple command or one keyword.
    pub(super) fn command(&mut self) {
        let start = self.at;
        let mut words: Vec<Word> = Vec::new();
        let mut heredocs: Vec<(Vec<u8>, bool, bool)> = Vec::new();
        loop {
            self.skip_blanks();
            let Some(byte) = self.peek() else { break };
            match byte {
                b'\n' | b';' | b'|' | b')' => break,
                b'&' if self.byte(1) != Some(b'>') => break,
                b'#' => break,
                b'(' if words.len() == 1 && self.byte(1) == Some(b')') => {
                    // `name() {`
                    self.at += 2;
                    return self.function_body();
                }
                b'(' => break,
                b'<' | b'>' | b'&' => self.redirection(&mut heredocs),
                b'`' if self.depth > 0 && words.is_empty() && self.at == start => break,
                _ => {
                    let before = self.at;
                    let word = self.word();
                    if self.at == before {
                        break;
                    }
                    let is_number = matches!(self.peek(), Some(b'<' | b'>'))
                        && word.span.end == self.at
                        && word.literal().is_some_and(|text| text.iter().all(u8::is_ascii_digit));
                    if is_number {
                        continue;
                    }
                    if words.is_empty() {
                        if word.is_bare() && self.keyword(&word) {
                            return;
                        }
                        if self.assignment(&word) {
                            continue;
                        }
                    }
                    words.push(word);
                }
            }
        }
        self.result = Value::Unknown;
        let reader = self.reader_of(&words);
        for (end, strips_tabs, is_literal) in heredocs {
            self.heredocs.push(HereDoc { end, strips_tabs, is_literal, reader });
        }
        if !words.is_empty() {
            self.run(&words, start);
        }
    }

    /// Takes a keyword and what belongs to it. False when it is none.
    pub(super) fn keyword(&mut self, word: &Word) -> bool {
        let Some(text) = word.literal() else { return false };
        match text.as_slice() {
            b"if" | b"while" | b"until" => self.open(BlockKind::Branch),
            b"then" | b"do" | b"else" | b"elif" | b"!" | b"time" => {}
            b"fi" | b"done" => self.close(BlockKind::Branch),
            b"{" => self.open(BlockKind::Brace),
            b"}" => self.close(if self.innermost() == Some(BlockKind::Function) {
                BlockKind::Function
            } else {
                BlockKind::Brace
            }),
            b"function" => {
                self.skip_blanks();
                self.word();
                self.skip_blanks();
                if self.peek() == Some(b'(') {
                    self.at = (self.at + 2).min(self.end);
                }
                self.function_body();
            }
            b"for" | b"select" => self.for_loop(),
            b"case" => {
                self.skip_blanks();
                self.word();
                while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
                    self.at += 1;
                }
                if self.keyword_at(b"in") {
                    self.at += 2;
                    self.open(BlockKind::CasePattern);
                }
            }
            b"esac" => self.close(BlockKind::Case),
            b"[[" => self.double_brackets(),
            _ => return false,
        }
        true
    }

    pub(super) fn function_body(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        if self.peek() == Some(b'{') {
            self.at += 1;
            self.open(BlockKind::Function);
        }
    }

    /// `for NAME in words; do`
    pub(super) fn for_loop(&mut self) {
        self.skip_blanks();
        if self.peek() == Some(b'(') {
            self.skip_arithmetic();
            return self.open(BlockKind::Branch);
        }
        let name = self.word().literal().unwrap_or_default();
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        let mut value = Value::Unknown;
        if self.keyword_at(b"in") {
            self.at += 2;
            let words = self.words_up_to(b"\n;");
            value = self.values(&words);
        }
        self.variables.insert(name, value);
        self.open(BlockKind::Branch);
    }

    pub(super) fn words_up_to(&mut self, ends: &[u8]) -> Vec<Word> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return words,
                Some(byte) if ends.contains(&byte) => return words,
                Some(b'\n') => self.at += 1,
                Some(b'#') => self.at = self.line_end(),
                _ => {
                    let before = self.at;
                    let word = self.word();
                    if self.at == before {
                        self.at += 1;
                    } else {
                        words.push(word);
                    }
                }
            }
        }
    }

    pub(super) fn values(&mut self, words: &[Word]) -> Value {
        let mut value: Option<Value> = None;
        for word in words {
            let next = self.assigned(word);
            value = Some(match value {
                None => next,
                Some(_) if next == Value::Unknown => Value::Unknown,
                Some(Value::Unknown) => Value::Unknown,
                Some(value) => value.or(next),
            });
        }
        value.unwrap_or(Value::Unknown)
    }

    /// `[[ … ]]`: words, of which some are paths that are asked for.
    pub(super) fn double_brackets(&mut self) {
        let mut words: Vec<Word> = Vec::new();
        loop {
            while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || b"&|<>()\\;".contains(&byte)) {
                self.at += 1;
            }
            if self.peek().is_none() {
                break;
            }
            let before = self.at;
            let word = self.word();
            if self.at == before {
                self.at += 1;
                continue;
            }
            if word.literal().as_deref() == Some(b"]]") {
                break;
            }
            words.push(word);
        }
        self.test(&words);
    }

    pub(super) fn test(&mut self, words: &[Word]) {
        for pair in words.windows(2) {
            let is_question = pair[0]
                .literal()
                .is_some_and(|text| text.len() == 2 && text[0] == b'-' && text[1].is_ascii_alphabetic());
            if is_question && !matches!(pair[0].literal().as_deref(), Some(b"-z" | b"-n")) {
                let tested = self.drafts(&pair[1], &pair[1].units);
                self.said.tested.extend(tested.iter().map(Draft::path).filter(|path| !path.is_empty()));
                self.argument(&pair[1], Weight::Likely);
            }
        }
    }

    /// `NAME=value`, `NAME+=value`, `NAME=(…)`. False when the word is none.
    pub(super) fn assignment(&mut self, word: &Word) -> bool {
        let Some(sign) = word.position(b'=') else { return false };
        // `NAME[index]=…`
        let index = word.units[..sign].iter().position(|unit| unit.byte().is_none() || unit.byte() == Some(b'['));
        if let Some(index) = index.filter(|index| *index > 0)
            && word.units[..index]
                .iter()
                .filter_map(Unit::byte)
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.assigned(&part_of(word, sign + 1));
            return true;
        }
        let mut name: Vec<u8> = word.units[..sign].iter().filter_map(Unit::byte).collect();
        let appends = name.last() == Some(&b'+');
        if appends {
            name.pop();
        }
        let is_name = !name.is_empty()
            && !name[0].is_ascii_digit()
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && word.units[..sign].iter().all(|unit| unit.quote == Quote::None && unit.byte().is_some());
        if !is_name {
            return false;
        }
        let value = if word.units.len() == sign + 1 && self.peek() == Some(b'(') {
            self.at += 1;
            let words = self.words_up_to(b")");
            self.at = (self.at + 1).min(self.end);
            self.values(&words)
        } else {
            self.assigned(&part_of(word, sign + 1))
        };
        let value = match self.variables.get(&name) {
            Some(before) if appends && word.units.len() == sign + 1 => before.clone().or(value),
            _ if appends => Value::Unknown,
            Some(before) if self.is_conditional() => before.clone().or(value),
            _ => value,
        };
        self.variables.insert(name, value);
        true
    }

    pub(super) fn redirection(&mut self, heredocs: &mut Vec<(Vec<u8>, bool, bool)>) {
        let rest = &self.text[self.at..self.end];
        if rest.starts_with(b"<(") || rest.starts_with(b">(") {
            self.at += 2;
            self.nested(Some(b')'));
            return;
        }
        if rest.starts_with(b"<<<") {
            self.at += 3;
            self.skip_blanks();
            let word = self.word();
            return self.prose(&word);
        }
        if rest.starts_with(b"<<") {
            let strips_tabs = rest.get(2) == Some(&b'-');
            self.at += if strips_tabs { 3 } else { 2 };
            self.skip_blanks();
            let word = self.word();
            let is_literal = !word.is_bare() || self.text[word.span.clone()].contains(&b'\\');
            heredocs.push((word.literal().unwrap_or_default(), strips_tabs, is_literal));
            return;
        }
        let writes = rest.contains(&b'>') && rest.iter().take(2).any(|byte| *byte == b'>');
        while matches!(self.peek(), Some(b'<' | b'>' | b'|' | b'&')) {
            self.at += 1;
        }
        self.skip_blanks();
        let word = self.word();
        let is_stream =
            word.literal().is_some_and(|text| text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-'));
        if is_stream || word.units.is_empty() {
            return;
        }
        for draft in self.drafts(&word, &word.units) {
            let is_certain = draft.is_joined() || draft.path().contains(&b'/');
            let read = if is_certain && !self.said.fetches { self.sure() } else { Weight::Likely };
            let weight = if writes { Weight::Made } else { read };
            if draft.whole.is_none() || writes {
                self.mention(&draft, Kind::Redirection, weight);
            }
        }
    }

    pub(super) fn reader_of(&self, words: &[Word]) -> Reader {
        let name =
            words.iter().filter_map(Word::literal).find(|text| !matches!(text.as_slice(), b"sudo" | b"env" | b"exec"));
        match name.as_deref().map(file_name) {
            Some(b"bash" | b"sh" | b"zsh" | b"dash") => Reader::Shell,
            Some(b"psql") => Reader::Sql,
            Some(b"ssh" | b"docker" | b"kubectl" | b"python" | b"python3" | b"node" | b"ruby" | b"perl") => {
                Reader::Nobody
            }
            _ => Reader::Words,
        }
    }
}

/// The part of a word from a unit on.
pub(super) fn part_of(word: &Word, from: usize) -> Word {
    let units = word.units[from.min(word.units.len())..].to_vec();
    let start = units.first().map_or(word.span.end, |unit| unit.at);
    Word { units, values: word.values.clone(), span: start..word.span.end }
}

pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
