//! Shell scripts, and commands in whatever else holds some: what they source, call, read, write and where they go (`cd`).
//!
//! The text is read once, in order, the way a shell would: words are taken apart, variables that hold a path are
//! followed, `cd` changes where the next path is read from. Nothing is run, both branches of an `if` are read.

mod arguments;
mod commands;
mod programs;
mod values;
mod words;

use std::collections::HashMap;

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::Source;
use super::super::spelling::{Inner, Quote};
use super::super::{Kind, bytes};
pub(crate) use values::Value as Known;
use values::Value;
use words::Word;

/// What kind of text the commands stand in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// A script that is run as a file: `$0` is its path.
    Script,
    /// Commands in the file of another tool, which starts a shell for them.
    Commands,
    /// A recipe of a Makefile: `$(NAME)` is a variable of make.
    Recipe,
    /// An example in a document: nothing in it must be there.
    Example,
}

/// Reads commands; `cwd` is where they start.
pub(crate) fn read(source: &Source, place: Place, cwd: &[Anchor], said: &mut Said) {
    read_with(source, place, cwd, &mut HashMap::new(), said);
}

/// The same, with variables that are known before, and those known after.
pub(crate) fn read_with(
    source: &Source,
    place: Place,
    cwd: &[Anchor],
    variables: &mut HashMap<Vec<u8>, Value>,
    said: &mut Said,
) {
    let mut shell = Shell::new(source, place, cwd, std::mem::take(variables), said);
    shell.commands(None);
    *variables = std::mem::take(&mut shell.variables);
}

/// What a variable of make is that is set to this text.
pub(crate) fn value_of(
    source: &Source,
    place: Place,
    cwd: &[Anchor],
    variables: &HashMap<Vec<u8>, Value>,
    said: &mut Said,
) -> Value {
    let mut shell = Shell::new(source, place, cwd, variables.clone(), said);
    shell.skip_blanks();
    let word = shell.word();
    shell.skip_blanks();
    if shell.at < shell.end {
        // More than one word is a list, or commands; rarely a path with blanks.
        let range = bytes::trim(&source.bytes, 0..source.bytes.len());
        let text = &source.bytes[range.clone()];
        super::words::read_prose(source, 0..source.bytes.len(), shell.said);
        if !text.contains(&b'/') || text[0] == b'/' || text.iter().any(|byte| b"$`\n\\".contains(byte)) {
            return Value::Unknown;
        }
        let mention = Mention::new(Kind::Variable, range, text, Anchor::Own).bases(cwd).weight(Weight::Word);
        return Value::Text(text.to_vec(), Some(shell.said.push(source, mention)));
    }
    let first = shell.said.mentions.len();
    let value = shell.assigned(&word);
    // To make, what stands behind the sign is the value, letter by letter.
    for mention in &mut shell.said.mentions[first..] {
        if matches!(mention.spelling.inner, Inner::Shell(Quote::None, Quote::None)) {
            mention.spelling.inner = Inner::Bare;
        }
    }
    value
}

struct Shell<'t> {
    source: &'t Source<'t>,
    text: &'t [u8],
    at: usize,
    end: usize,
    place: Place,
    said: &'t mut Said,
    variables: HashMap<Vec<u8>, Value>,
    /// Where the next command runs; more than one when it depends.
    cwd: Vec<Anchor>,
    /// Where `popd` and `cd -` go.
    pushed: Vec<Vec<Anchor>>,
    blocks: Vec<Block>,
    heredocs: Vec<HereDoc>,
    /// What the last command wrote, as far as it is a path.
    result: Value,
    /// Of substitutions in substitutions.
    depth: usize,
}

struct Block {
    kind: BlockKind,
    cwd: Vec<Anchor>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BlockKind {
    /// `( … )`: what happens to the folder in it ends with it.
    Paren,
    /// `{ … }` of a function: it runs some other time.
    Function,
    Brace,
    /// `if`, loops: it runs or not.
    Branch,
    Case,
    /// Between the branches of a case: the pattern of the next one.
    CasePattern,
}

struct HereDoc {
    end: Vec<u8>,
    strips_tabs: bool,
    is_literal: bool,
    /// Its text is commands of this language.
    reader: Reader,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reader {
    Words,
    Shell,
    Sql,
    Nobody,
}

const DEEPEST: usize = 20;

impl<'t> Shell<'t> {
    fn new(
        source: &'t Source<'t>,
        place: Place,
        cwd: &[Anchor],
        variables: HashMap<Vec<u8>, Value>,
        said: &'t mut Said,
    ) -> Shell<'t> {
        Shell {
            source,
            text: &source.bytes,
            at: 0,
            end: source.bytes.len(),
            place,
            said,
            variables,
            cwd: cwd.to_vec(),
            pushed: Vec::new(),
            blocks: Vec::new(),
            heredocs: Vec::new(),
            result: Value::Unknown,
            depth: 0,
        }
    }
}

impl Shell<'_> {
    fn peek(&self) -> Option<u8> {
        self.byte(0)
    }
    fn byte(&self, ahead: usize) -> Option<u8> {
        let at = self.at + ahead;
        if at < self.end { Some(self.text[at]) } else { None }
    }
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\\') if self.byte(1) == Some(b'\n') => self.at += 2,
                Some(b'\\') if self.byte(1) == Some(b'\r') && self.byte(2) == Some(b'\n') => self.at += 3,
                _ => return,
            }
        }
    }

    /// Reads commands up to the byte that ends them, which is left.
    fn commands(&mut self, stop: Option<u8>) {
        let outer_blocks = self.blocks.len();
        while let Some(byte) = self.peek() {
            if self.blocks.last().is_some_and(|block| block.kind == BlockKind::CasePattern) {
                self.case_pattern();
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\\' if byte != b'\\' || matches!(self.byte(1), Some(b'\n' | b'\r')) => {
                    let before = self.at;
                    self.skip_blanks();
                    if self.at == before {
                        self.at += 1;
                    }
                }
                b'\n' => {
                    self.at += 1;
                    self.heredoc_bodies();
                }
                b'#' => self.comment(),
                b'`' if stop == Some(b'`') => break,
                b';' if self.byte(1) == Some(b';') || self.byte(1) == Some(b'&') => {
                    self.at += 2;
                    if self.innermost() == Some(BlockKind::Case) {
                        self.set_innermost(BlockKind::CasePattern);
                    }
                }
                b';' | b'&' | b'|' => self.at += 1,
                b'(' if self.byte(1) == Some(b'(') => self.skip_arithmetic(),
                b'(' => {
                    self.at += 1;
                    self.open(BlockKind::Paren);
                }
                b')' => {
                    if self.blocks.len() > outer_blocks
                        && self.blocks.iter().skip(outer_blocks).any(|b| b.kind == BlockKind::Paren)
                    {
                        self.at += 1;
                        self.close(BlockKind::Paren);
                    } else if stop == Some(b')') {
                        break;
                    } else {
                        self.at += 1;
                    }
                }
                _ => {
                    let before = self.at;
                    self.command();
                    if self.at == before {
                        self.at += 1;
                    }
                }
            }
        }
        self.blocks.truncate(outer_blocks);
    }

    fn innermost(&self) -> Option<BlockKind> {
        self.blocks.last().map(|block| block.kind)
    }
    fn set_innermost(&mut self, kind: BlockKind) {
        if let Some(block) = self.blocks.last_mut() {
            block.kind = kind;
        }
    }
    fn open(&mut self, kind: BlockKind) {
        self.blocks.push(Block { kind, cwd: self.cwd.clone() });
    }
    /// Ends the innermost block of this kind and those in it that were left open.
    fn close(&mut self, kind: BlockKind) {
        let Some(index) = self
            .blocks
            .iter()
            .rposition(|block| block.kind == kind || kind == BlockKind::Case && block.kind == BlockKind::CasePattern)
        else {
            return;
        };
        let cwd = self.blocks.swap_remove(index).cwd;
        self.blocks.truncate(index);
        match kind {
            BlockKind::Paren | BlockKind::Function => self.cwd = cwd,
            BlockKind::Branch | BlockKind::Case => cwd.into_iter().for_each(|anchor| {
                if !self.cwd.contains(&anchor) {
                    self.cwd.push(anchor);
                }
            }),
            BlockKind::Brace | BlockKind::CasePattern => {}
        }
    }
    /// True where a command runs only sometimes.
    fn is_conditional(&self) -> bool {
        self.blocks
            .iter()
            .any(|block| matches!(block.kind, BlockKind::Branch | BlockKind::Case | BlockKind::CasePattern))
    }

    fn comment(&mut self) {
        let end = self.line_end();
        // `#!/usr/bin/env bash` and `# shellcheck source=lib/x.sh` are read where they stand.
        let start = self.at;
        self.at = end;
        super::words::read_prose(self.source, start..end, self.said);
    }
    fn line_end(&self) -> usize {
        self.text[self.at..self.end].iter().position(|byte| *byte == b'\n').map_or(self.end, |length| self.at + length)
    }

    fn case_pattern(&mut self) {
        self.skip_blanks();
        match self.peek() {
            Some(b'\n' | b';') => self.at += 1,
            Some(b'#') => self.at = self.line_end(),
            None => {}
            _ if self.keyword_at(b"esac") => {
                self.at += 4;
                self.close(BlockKind::Case);
            }
            _ => {
                if self.peek() == Some(b'(') {
                    self.at += 1;
                }
                while let Some(byte) = self.peek() {
                    match byte {
                        b')' => break,
                        b'\\' => self.at += 2,
                        b'\'' | b'"' => {
                            self.word();
                        }
                        _ => self.at += 1,
                    }
                }
                self.at = (self.at + 1).min(self.end);
                self.set_innermost(BlockKind::Case);
            }
        }
    }
    fn keyword_at(&self, word: &[u8]) -> bool {
        self.text[self.at..self.end].starts_with(word)
            && !self.byte(word.len()).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-./=".contains(&byte))
    }

    fn skip_arithmetic(&mut self) {
        let mut depth = 0;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn heredoc_bodies(&mut self) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            let start = self.at;
            let mut end = self.end;
            while self.at < self.end {
                let line = self.at..self.line_end();
                let text = self.text[line.clone()].strip_suffix(b"\r").unwrap_or(&self.text[line.clone()]);
                let tabs = text.iter().take_while(|byte| heredoc.strips_tabs && **byte == b'\t').count();
                self.at = (line.end + 1).min(self.end);
                if text[tabs..] == heredoc.end {
                    end = line.start;
                    break;
                }
            }
            let after = self.at;
            self.heredoc(&heredoc, start..end);
            self.at = after;
        }
    }
    fn heredoc(&mut self, heredoc: &HereDoc, body: std::ops::Range<usize>) {
        match heredoc.reader {
            Reader::Nobody => {}
            Reader::Shell if heredoc.is_literal => {
                let (limit, cwd) = (self.end, self.cwd.clone());
                (self.at, self.end) = (body.start, body.end);
                let place = std::mem::replace(&mut self.place, Place::Commands);
                self.commands(None);
                self.place = place;
                (self.end, self.cwd) = (limit, cwd);
            }
            Reader::Sql => super::sql::read_commands(self.source, body, &self.cwd.clone(), self.said),
            Reader::Words | Reader::Shell => self.text_with_variables(body, !heredoc.is_literal),
        }
    }

    /// A text that is no command: paths in it count where they are unmistakable.
    fn text_with_variables(&mut self, body: std::ops::Range<usize>, expands: bool) {
        super::words::read_prose(self.source, body.clone(), self.said);
        if !expands || !self.text[body.clone()].contains(&b'$') {
            return;
        }
        let limit = self.end;
        let mut at = body.start;
        while let Some(found) = self.text[at..body.end].iter().position(|byte| *byte == b'$') {
            at += found;
            let line_end =
                self.text[at..body.end].iter().position(|b| b"\n \t\"'`;,".contains(b)).map_or(body.end, |l| at + l);
            if self.text[at..].starts_with(b"$(") || at > body.start && self.text[at - 1] == b'\\' {
                at += 1;
                continue;
            }
            (self.at, self.end) = (at, line_end);
            let word: Word = self.word();
            self.mention_word(&word);
            at = self.at.max(at + 1);
            self.end = limit;
        }
        self.end = limit;
    }
}
