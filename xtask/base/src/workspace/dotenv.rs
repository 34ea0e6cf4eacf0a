//! The dotenv format: `KEY=value` lines with places, and in an example file the decorators that type them.
//!
//! A value is bare (up to ` #` or the line's end), 'single-quoted' (as it is) or "double-quoted" (`\n`, `\t`, `\"`,
//! `\\`, `\$`); quoted ones may span lines. Nothing is expanded: what stands there is the value.

use camino::Utf8Path;

use crate::ui::{Finding, Place};

/// One `KEY=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    /// Of the key.
    pub place: Place,
    /// Of the value's first character.
    pub value_place: Place,
    /// Comment lines directly above, without `#`, with their places.
    pub comment: Vec<(Place, String)>,
}

/// Parses a file; `file` is the name that findings give.
pub fn parse(file: &Utf8Path, text: &str) -> (Vec<Entry>, Vec<Finding>) {
    let mut scanner = Scanner { file, rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, column: 1 };
    let mut entries: Vec<Entry> = Vec::new();
    let mut findings = Vec::new();
    let mut comment = Vec::new();
    while !scanner.rest.is_empty() {
        scanner.skip_blanks();
        match scanner.peek() {
            None => {}
            Some('\n' | '\r') => {
                comment.clear();
                scanner.skip_line();
            }
            Some('#') => {
                let place = scanner.place();
                let text = scanner.take_line();
                comment.push((place, text.trim_start_matches('#').trim().to_owned()));
            }
            Some(_) => {
                let comment = std::mem::take(&mut comment);
                match scanner.entry(comment) {
                    Ok(entry) => match entries.iter().find(|known| known.key == entry.key) {
                        Some(first) => {
                            let message = format!(
                                "the key `{}` stands here a second time; the first is on line {}",
                                entry.key, first.place.line
                            );
                            findings.push(Finding::error(message).at(entry.place));
                        }
                        None => entries.push(entry),
                    },
                    Err(finding) => {
                        findings.push(finding);
                        scanner.skip_line();
                    }
                }
            }
        }
    }
    (entries, findings)
}

struct Scanner<'a> {
    file: &'a Utf8Path,
    rest: &'a str,
    line: usize,
    column: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }
    fn place(&self) -> Place {
        Place { file: self.file.to_owned(), line: self.line, column: self.column }
    }
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
    }
    fn skip_line(&mut self) {
        self.take_line();
    }
    /// The rest of the line; the line end is consumed and not returned.
    fn take_line(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == '\n' {
                break;
            }
            text.push(c);
        }
        text.trim_end_matches('\r').to_owned()
    }

    fn entry(&mut self, comment: Vec<(Place, String)>) -> Result<Entry, Finding> {
        let mut place = self.place();
        let mut key = self.word();
        if key == "export" && matches!(self.peek(), Some(' ' | '\t')) {
            self.skip_blanks();
            place = self.place();
            key = self.word();
        }
        self.skip_blanks();
        let valid = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !valid || self.peek() != Some('=') {
            let message = if valid {
                format!("expected `=` after `{key}`")
            } else {
                "expected KEY=value or a comment".to_owned()
            };
            return Err(Finding::error(message).at(if valid { self.place() } else { place }));
        }
        self.next();
        self.skip_blanks();
        let value_place = self.place();
        let value = match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, &value_place)?,
            _ => self.bare(),
        };
        if value.contains('\0') {
            return Err(Finding::error(format!("the value of `{key}` holds a NUL character")).at(value_place));
        }
        Ok(Entry { key, value, place, value_place, comment })
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            word.push(c);
            self.next();
        }
        word
    }

    fn bare(&mut self) -> String {
        let line = self.take_line();
        let comment = line.char_indices().find(|(at, c)| *c == '#' && (*at == 0 || line[..*at].ends_with([' ', '\t'])));
        comment.map_or(line.as_str(), |(at, _)| &line[..at]).trim_end().to_owned()
    }

    fn quoted(&mut self, quote: char, start: &Place) -> Result<String, Finding> {
        let mut value = String::new();
        self.next();
        loop {
            match self.next() {
                None => {
                    return Err(Finding::error(format!("the quote ({quote}) that opens here is never closed"))
                        .at(start.clone()));
                }
                Some(c) if c == quote => break,
                Some('\\') if quote == '"' => match self.next() {
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some(c @ ('"' | '\\' | '$')) => value.push(c),
                    Some(c) => value.extend(['\\', c]),
                    None => value.push('\\'),
                },
                Some('\r') if self.peek() == Some('\n') => {}
                Some(c) => value.push(c),
            }
        }
        self.skip_blanks();
        match self.peek() {
            None | Some('\n' | '\r' | '#') => {
                self.skip_line();
                Ok(value)
            }
            Some(_) => Err(Finding::error("text after the closing quote").at(self.place())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        let (entries, findings) = parse(Utf8Path::new(".env"), text);
        assert!(findings.is_empty(), "{findings:?}");
        entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }
    fn problems(text: &str) -> Vec<String> {
        let (_, findings) = super::super::schema::declarations(Utf8Path::new(".env"), text);
        findings.iter().map(Finding::line).collect()
    }

    #[test]
    fn every_form_of_value() {
        let text = "\u{feff}A=1\r\nexport B = two words # note\nC='it''\n\nD=\"a\\n\\\"b\\\" $x\"\nE=\nF=a#b\nG='one\ntwo' # x\nH=";
        let text = text.replace("'it''", "'it'");
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "it"),
            ("D", "a\n\"b\" $x"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "one\ntwo"),
            ("H", ""),
        ];
        assert_eq!(parsed(&text), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn each_problem_has_its_place() {
        assert_eq!(problems("A=1\nB=\"x\n"), [".env:2:3: error: the quote (\") that opens here is never closed"]);
        assert_eq!(problems("A='x' y\n"), [".env:1:7: error: text after the closing quote"]);
        assert_eq!(problems("A\n"), [".env:1:2: error: expected `=` after `A`"]);
        assert_eq!(problems("=1\n"), [".env:1:1: error: expected KEY=value or a comment"]);
        assert_eq!(
            problems("A=1\nA=2\n"),
            [".env:2:1: error: the key `A` stands here a second time; the first is on line 1"]
        );
        assert_eq!(problems("# @requird\nA=\n"), [".env:1:3: error: unknown decorator `@requird`"]);
        assert_eq!(problems("# @type=prt\nA=\n"), [".env:1:3: error: unknown type `prt`"]);
        assert_eq!(
            problems("# @sensitive\nA=x\n"),
            [".env:2:3: error: `A` is @sensitive: an example is committed and must not hold its value"]
        );
        assert_eq!(
            problems("# @type=port\nA=x\n"),
            [".env:2:3: error: the default of `A` must be a port between 1 and 65535, found `x`"]
        );
    }
}
