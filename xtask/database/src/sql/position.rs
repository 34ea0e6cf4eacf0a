//! Places in a file: byte offsets, PostgreSQL's error positions and COPY's line numbers as line and column, and the
//! lines that show them to a person.

use std::fmt;
use std::fmt::Write as _;

/// Line and column, both from 1; the column counts characters, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub const START: Place = Place { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where each line of a text begins. Lines end with LF, before which a CR is no part of the line.
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Lines { text, starts }
    }

    /// The place of a byte offset; the text's length is the place after its last character.
    pub fn place(&self, byte: usize) -> Place {
        let line = self.line_of(byte);
        let before = &self.text[self.starts[line - 1]..byte];
        let mark = usize::from(line == 1 && before.starts_with('\u{feff}'));
        Place { line, column: before.chars().count() - mark + 1 }
    }

    /// The number of the line that a byte stands on, from 1.
    pub fn line_of(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start <= byte)
    }

    /// The line (from 1) without its end; empty past the last one.
    pub fn line(&self, line: usize) -> &'a str {
        let Some(&start) = self.starts.get(line.wrapping_sub(1)) else {
            return "";
        };
        let text = self.text[start..].split('\n').next().unwrap_or_default();
        let text = text.strip_suffix('\r').unwrap_or(text);
        if line == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text }
    }
}

/// The byte that PostgreSQL's `position` means: it counts characters of the statement it was sent, from 1, and the
/// statement began at byte `start` of the file. Beyond the end ("syntax error at end of input") is the end.
pub fn byte_of(text: &str, start: usize, position: usize) -> usize {
    let statement = &text[start..];
    let offset = statement.char_indices().nth(position.saturating_sub(1)).map_or(statement.len(), |(at, _)| at);
    start + offset
}

/// The line of COPY data in an error's context, from 1: `COPY t, line 3` or `COPY t, line 3, column b: "x"`, whatever
/// language the server speaks. A header line counts.
pub fn copy_line(context: &str) -> Option<usize> {
    let after_name = context.lines().find_map(|line| line.strip_prefix("COPY "))?;
    after_name.match_indices(", ").find_map(|(at, _)| number_after_word(&after_name[at + 2..]))
}

/// The line of a `DO` body in an error's context, from 1: `PL/pgSQL function inline_code_block line 3 at RAISE`.
/// The body's first line is the one of the opening `$$`.
pub fn inline_block_line(context: &str) -> Option<usize> {
    context.lines().find_map(|line| number_after_word(line.split_once("inline_code_block ")?.1))
}

/// 3 of `line 3 …`.
fn number_after_word(text: &str) -> Option<usize> {
    let mut words = text.split([' ', ',', ':']);
    let word = words.next()?;
    let is_word = !word.is_empty() && word.chars().all(char::is_alphabetic);
    words.next().filter(|_| is_word)?.parse().ok()
}

/// The line and a caret below it, indented, each with its end:
/// ```text
///   12 | select foo,
///      |        ^
/// ```
/// A long line is cut around the place, tabs are kept below tabs, and wide characters get two columns.
pub fn snippet(lines: &Lines<'_>, place: Place) -> String {
    const BEFORE: usize = 60;
    const WIDTH: usize = 100;
    let chars: Vec<char> = lines.line(place.line).chars().collect();
    let column = (place.column - 1).min(chars.len());
    let from = if chars.len() > WIDTH { column.saturating_sub(BEFORE) } else { 0 };
    let to = chars.len().min(from + WIDTH);
    let shown = |chars: &[char]| -> String {
        chars.iter().map(|&char| if char.is_control() && char != '\t' { ' ' } else { char }).collect()
    };
    let cut = |is_cut: bool| if is_cut { "…" } else { "" };
    let mut caret = String::from(if from > 0 { " " } else { "" });
    for &char in &chars[from..column] {
        match width(char) {
            _ if char == '\t' => caret.push('\t'),
            columns => caret.extend(std::iter::repeat_n(' ', columns)),
        }
    }
    let number = place.line.to_string();
    let mut out = String::new();
    let _ = writeln!(out, "  {number} | {}{}{}", cut(from > 0), shown(&chars[from..to]), cut(to < chars.len()));
    let _ = writeln!(out, "  {:1$} | {caret}^", "", number.len());
    out
}

/// Columns on a terminal: the ranges that matter (combining marks, East Asian wide, emoji), not all of Unicode.
fn width(char: char) -> usize {
    match u32::from(char) {
        0x0300..=0x036f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f680..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_to_places() {
        let text = "\u{feff}é\tb\r\nc\n";
        let lines = Lines::new(text);
        let place = |needle: &str| lines.place(text.find(needle).unwrap()).to_string();
        assert_eq!([place("é"), place("b"), place("c")], ["1:1", "1:3", "2:1"]);
        assert_eq!(lines.place(text.len()).to_string(), "3:1");
        assert_eq!([lines.line(1), lines.line(2), lines.line(3), lines.line(9)], ["é\tb", "c", "", ""]);
    }

    #[test]
    fn positions_count_characters() {
        let text = "-- 😀\nselect '😀€', x";
        let start = text.find("select").unwrap();
        assert_eq!(&text[byte_of(text, start, 14)..], "x");
        assert_eq!(byte_of(text, start, 99), text.len());
        assert_eq!(byte_of(text, start, 0), start);
    }

    #[test]
    fn lines_in_contexts() {
        assert_eq!(copy_line("COPY t, line 3"), Some(3));
        assert_eq!(copy_line("COPY a b 7, line 12, column c: \"x, line 9\""), Some(12));
        assert_eq!(copy_line("COPY t, Zeile 3: »x«"), Some(3));
        assert_eq!(copy_line("PL/pgSQL function f() line 3 at RAISE"), None);
        assert_eq!(inline_block_line("x\nPL/pgSQL function inline_code_block line 3 at RAISE"), Some(3));
        assert_eq!(inline_block_line("PL/pgSQL function f() line 3 at RAISE"), None);
    }

    #[test]
    fn carets() {
        let show = |text: &str, needle: &str| {
            let lines = Lines::new(text);
            snippet(&lines, lines.place(text.find(needle).unwrap()))
        };
        assert_eq!(show("a\n\tb c\r\n", "c"), "  2 | \tb c\n    | \t  ^\n");
        assert_eq!(show("'漢e\u{301}' x", "x"), "  1 | '漢e\u{301}' x\n    |       ^\n");
        assert_eq!(snippet(&Lines::new("select"), Place { line: 1, column: 7 }), "  1 | select\n    |       ^\n");
        let long = format!("{} x {}", "a".repeat(200), "b".repeat(200));
        let cut = show(&long, "x");
        let (line, caret) = cut.split_once('\n').unwrap();
        assert_eq!(line.chars().nth(caret.find('^').unwrap()), Some('x'));
        assert!(line.contains("| …a") && line.ends_with("b…") && line.chars().count() < 110, "{line}");
    }
}
