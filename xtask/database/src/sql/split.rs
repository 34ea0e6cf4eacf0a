//! A SQL file cut into what psql would execute, piece by piece, with nothing lost: the pieces' bytes are the file's.
//!
//! A statement ends at a `;` outside quotes, comments, parentheses and the `BEGIN … END` of a function body; COPY takes
//! the lines below it up to `\.`; a backslash begins a psql command. What psql would read differently from what a
//! person sees (an open quote, a `\g` in mid-statement, data without an end) is an error here, never a guess.

use std::ops::Range;

use super::lexer::{self, Token};
use super::position::{Lines, Place};
use super::text::{BYTE_ORDER_MARK, SyntaxError};

/// A statement, a psql command, or the blanks and comments at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// All its bytes, with the blanks and comments before it (and those after it on a COPY's line).
    pub whole: Range<usize>,
    /// From its first token to its `;`, which the last one may lack; what is sent.
    pub body: Range<usize>,
    /// Of the first token.
    pub place: Place,
    /// Of the last byte of the body or of the data.
    pub last_line: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Sql,
    /// COPY … FROM STDIN and its lines, without the `\.`; each has its line end.
    Copy {
        data: Range<usize>,
    },
    /// A line for psql: the name without its backslash, the rest of the line trimmed.
    Meta {
        name: Range<usize>,
        arguments: Range<usize>,
    },
    /// Nothing to execute: blanks, comments, a lone `;`.
    Empty,
}

impl Piece {
    pub fn sql<'a>(&self, text: &'a str) -> &'a str {
        &text[self.body.clone()]
    }

    /// The first line of COPY data, from 1.
    pub fn data_line(&self, text: &str) -> Option<usize> {
        match &self.kind {
            Kind::Copy { data } => Some(Lines::new(text).place(data.start).line),
            _ => None,
        }
    }
}

/// Cuts a text up. Joining `whole` of all pieces gives the text again, byte for byte.
pub fn split(text: &str) -> Result<Vec<Piece>, SyntaxError> {
    let mut splitter = Splitter { text, lines: Lines::new(text), at: 0, pieces: Vec::new() };
    if text.starts_with(BYTE_ORDER_MARK) {
        splitter.at = BYTE_ORDER_MARK.len();
    }
    let mut start = 0;
    while start < text.len() {
        splitter.piece(start)?;
        start = splitter.at;
    }
    Ok(splitter.pieces)
}

struct Splitter<'a> {
    text: &'a str,
    lines: Lines<'a>,
    at: usize,
    pieces: Vec<Piece>,
}

impl Splitter<'_> {
    /// Reads one piece, whose blanks begin at `start`.
    fn piece(&mut self, start: usize) -> Result<(), SyntaxError> {
        let mut statement = Statement::default();
        while self.at < self.text.len() {
            let token_start = self.at;
            let (token, end) = lexer::token(self.text, self.at).map_err(|open| {
                self.error(open.start, format!("unterminated {}", open.what)).hint("it runs to the end of the file")
            })?;
            self.at = end;
            match token {
                _ if token.is_blank() => continue,
                Token::Backslash => return self.backslash(start, token_start, &statement),
                Token::Semicolon if statement.first.is_none() => {
                    self.push(start..end, token_start..end, Kind::Empty);
                    return Ok(());
                }
                _ => statement.take(token, &self.text[token_start..end], token_start..end),
            }
            if token == Token::Semicolon && statement.is_outside() {
                return self.statement(start, statement);
            }
        }
        self.end_of_file(start, &statement)
    }

    fn statement(&mut self, start: usize, statement: Statement) -> Result<(), SyntaxError> {
        let body = statement.first.unwrap_or(start)..self.at;
        if !statement.is_copy_from_stdin() {
            self.push(start..self.at, body, Kind::Sql);
            return Ok(());
        }
        if statement.is_binary_copy() {
            return Err(self.error(body.start, "binary COPY data cannot stand in a text file"));
        }
        let rest = self.text[self.at..].split('\n').next().unwrap_or_default();
        let is_blank =
            lexer::tokens(rest).map(|(token, text)| if token.is_blank() { text.len() } else { 0 }).sum::<usize>()
                == rest.len();
        if !is_blank {
            return Err(self
                .error(self.at, "a statement behind COPY … FROM STDIN")
                .hint("its data begins on the next line; move the statement below the `\\.`"));
        }
        let data_start = (self.at + rest.len() + 1).min(self.text.len());
        let mut at = data_start;
        for line in self.text[data_start..].split_inclusive('\n') {
            if matches!(line.trim_end_matches('\n'), "\\." | "\\.\r") {
                self.at = at + line.len();
                self.push(start..self.at, body, Kind::Copy { data: data_start..at });
                return Ok(());
            }
            at += line.len();
        }
        Err(self
            .error(body.start, "the data of this COPY does not end")
            .hint("end it with a line that is `\\.` and nothing else"))
    }

    /// At a backslash outside quotes: psql's, unless it stands in a statement.
    fn backslash(&mut self, start: usize, slash: usize, statement: &Statement) -> Result<(), SyntaxError> {
        let line = self.text[slash..].split('\n').next().unwrap_or_default();
        let name_length = line[1..].find(|char: char| char.is_whitespace() || char == '\\').unwrap_or(line.len() - 1);
        let name = slash + 1..slash + 1 + name_length;
        if statement.first.is_some() {
            let error = self.error(slash, format!("the psql command `\\{}` inside a statement", &self.text[name]));
            return Err(error.hint("end the statement with `;` first"));
        }
        if &self.text[name.clone()] == "." {
            return Err(self.error(slash, "the end of COPY data (`\\.`) without a COPY … FROM STDIN before it"));
        }
        let rest = &self.text[name.end..slash + line.len()];
        let arguments_start = name.end + (rest.len() - rest.trim_start().len());
        let arguments = arguments_start..arguments_start + rest.trim().len();
        self.at = (slash + line.len() + 1).min(self.text.len());
        let body_end = arguments.end.max(name.end);
        self.push(start..self.at, slash..body_end, Kind::Meta { name, arguments });
        Ok(())
    }

    fn end_of_file(&mut self, start: usize, statement: &Statement) -> Result<(), SyntaxError> {
        let Some(first) = statement.first else {
            self.push(start..self.at, self.at..self.at, Kind::Empty);
            return Ok(());
        };
        if let Some(&open) = statement.open.last() {
            return Err(self
                .error(open, "this parenthesis is never closed")
                .hint("psql ends no statement inside parentheses"));
        }
        if let Some(&begin) = statement.begins.last() {
            return Err(self.error(begin, "this block of a function body has no END"));
        }
        if statement.is_copy_from_stdin() {
            return Err(self.error(first, "COPY … FROM STDIN without `;` and data"));
        }
        self.push(start..self.at, first..statement.end, Kind::Sql);
        Ok(())
    }

    fn push(&mut self, whole: Range<usize>, body: Range<usize>, kind: Kind) {
        let last = match &kind {
            Kind::Copy { data } => data.end.max(body.end),
            _ => body.end,
        };
        let last_line = self.lines.line_of(last.saturating_sub(1).max(body.start));
        self.pieces.push(Piece { place: self.lines.place(body.start), last_line, whole, body, kind });
    }

    fn error(&self, at: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.lines.place(at), message)
    }
}

/// What psql keeps of a statement it is in the middle of.
#[derive(Default)]
struct Statement {
    first: Option<usize>,
    /// After the last token that is no blank.
    end: usize,
    open: Vec<usize>,
    /// Each BEGIN, and each CASE in one, of a function body written in SQL (`BEGIN ATOMIC`).
    begins: Vec<usize>,
    words: usize,
    /// psql's rule, to the letter: the first four of create, or, replace, function, procedure by their first letter.
    head: [u8; 4],
    is_copy: bool,
    /// 0, 1 after FROM outside parentheses, 2 after FROM STDIN.
    from_stdin: u8,
    after_format: bool,
    is_binary: bool,
}

impl Statement {
    fn take(&mut self, token: Token, text: &str, at: Range<usize>) {
        self.is_copy |= self.first.is_none() && text.eq_ignore_ascii_case("copy");
        self.first.get_or_insert(at.start);
        self.end = at.end;
        match token {
            Token::Open => self.open.push(at.start),
            Token::Close => _ = self.open.pop(),
            Token::Word => self.block(text, at.start),
            _ => {}
        }
        if self.is_copy {
            self.copy(token, text);
        }
    }

    fn block(&mut self, word: &str, at: usize) {
        const HEAD: [&str; 5] = ["create", "or", "replace", "function", "procedure"];
        if let Some(slot) = self.head.get_mut(self.words)
            && HEAD.iter().any(|head| word.eq_ignore_ascii_case(head))
        {
            *slot = word.as_bytes()[0].to_ascii_lowercase();
        }
        self.words += 1;
        let is_function = matches!(self.head, [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']);
        if !is_function || !self.open.is_empty() {
            return;
        }
        if word.eq_ignore_ascii_case("begin") || (word.eq_ignore_ascii_case("case") && !self.begins.is_empty()) {
            self.begins.push(at);
        } else if word.eq_ignore_ascii_case("end") {
            self.begins.pop();
        }
    }

    /// `FROM STDOUT` is the same to PostgreSQL's grammar.
    fn copy(&mut self, token: Token, text: &str) {
        let is = |word: &str| text.trim_matches(['\'', '"']).eq_ignore_ascii_case(word);
        self.from_stdin = match self.from_stdin {
            0 | 1 if token == Token::Word && self.open.is_empty() && is("from") => 1,
            1 if token == Token::Word && (is("stdin") || is("stdout")) => 2,
            2 => 2,
            _ => 0,
        };
        let is_option = self.from_stdin == 2 && (token == Token::Word || self.after_format);
        let is_old_syntax = self.words == 2 && token == Token::Word;
        self.is_binary |= is("binary") && (is_option || is_old_syntax);
        self.after_format = token == Token::Word && is("format");
    }

    fn is_outside(&self) -> bool {
        self.open.is_empty() && self.begins.is_empty()
    }

    fn is_copy_from_stdin(&self) -> bool {
        self.from_stdin == 2
    }

    fn is_binary_copy(&self) -> bool {
        self.is_binary
    }
}

#[cfg(test)]
mod tests;
