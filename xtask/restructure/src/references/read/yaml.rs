//! The values of a YAML file with their keys and places. Line by line and forgiving: a template that no parser would
//! take (`{{ … }}`) still says what its other lines say.

use std::ops::Range;

use super::super::bytes;
use super::super::source::{Outer, Source};

/// A value and the keys that lead to it; `-` stands for an element of a list.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub path: Vec<Vec<u8>>,
    /// Without quotes.
    pub range: Range<usize>,
    pub style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    /// `|` and `>`: whole lines.
    Block,
}

impl Scalar {
    pub fn key(&self) -> &[u8] {
        self.path.iter().rev().find(|key| key.as_slice() != b"-").map_or(b"", Vec::as_slice)
    }
    /// True when the keys are these; `*` is any one, `**` any number.
    pub fn is_at(&self, pattern: &[&str]) -> bool {
        fn fits(pattern: &[&str], path: &[Vec<u8>]) -> bool {
            match (pattern.split_first(), path.split_first()) {
                (None, None) => true,
                (Some((&"**", rest)), _) => (0..=path.len()).any(|skip| fits(rest, &path[skip..])),
                (Some((&"*", rest)), Some((_, path))) => fits(rest, path),
                (Some((key, rest)), Some((first, path))) => key.as_bytes() == first && fits(rest, path),
                _ => false,
            }
        }
        fits(pattern, &self.path)
    }
    /// The value as a text of its own.
    pub fn source<'a>(&self, source: &'a Source<'a>) -> Source<'a> {
        match self.style {
            Style::Plain => source.part(self.range.clone(), Outer::YamlPlain),
            Style::Single => source.undoubled(self.range.clone(), Outer::YamlSingle),
            Style::Double => source.unescaped(self.range.clone(), Outer::Json),
            Style::Block => source.part(self.range.clone(), Outer::Plain),
        }
    }
}

pub(crate) fn scalars(text: &[u8]) -> Vec<Scalar> {
    let mut scanner = Scanner { text, at: 0, keys: Vec::new(), scalars: Vec::new() };
    scanner.read();
    scanner.scalars
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Each with its indentation.
    keys: Vec<(usize, Vec<u8>)>,
    scalars: Vec<Scalar>,
}

impl Scanner<'_> {
    fn line_end(&self, at: usize) -> usize {
        self.text[at..].iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |length| at + length)
    }

    fn read(&mut self) {
        while self.at < self.text.len() {
            let line = self.at;
            let end = self.line_end(line);
            let indent = self.text[line..end].iter().take_while(|byte| **byte == b' ').count();
            let start = line + indent;
            let rest = bytes::trim(self.text, start..end);
            self.at = end + 1;
            let words = &self.text[rest.clone()];
            if words.is_empty() || words[0] == b'#' {
                continue;
            }
            if words == b"---" || words == b"..." || words.starts_with(b"--- ") {
                self.keys.clear();
                continue;
            }
            self.node(rest, indent, line);
        }
    }

    /// What stands on a line behind its indentation.
    fn node(&mut self, mut rest: Range<usize>, mut indent: usize, line: usize) {
        let mut is_first = true;
        while self.text[rest.start] == b'-' && (rest.len() == 1 || self.text[rest.start + 1] == b' ') {
            // The list of a key may stand as far left as the key itself.
            self.keys.retain(|(at, key)| *at < indent || *at == indent && is_first && key != b"-");
            self.keys.push((indent, b"-".to_vec()));
            is_first = false;
            let inner = bytes::trim(self.text, rest.start + 1..rest.end);
            if inner.is_empty() {
                return;
            }
            indent = inner.start - line;
            rest = inner;
        }
        if is_first {
            self.keys.retain(|(at, _)| *at < indent);
        }
        match self.key(&rest) {
            Some((key, behind)) => {
                self.keys.push((indent, key));
                let value = bytes::trim(self.text, behind..rest.end);
                if !value.is_empty() {
                    self.value(value, indent);
                }
            }
            None => {
                let outer = self.keys.last().map_or(0, |(at, _)| *at);
                self.value(rest, outer);
            }
        }
    }

    /// A key at the start of a range, and where its value begins.
    fn key(&self, range: &Range<usize>) -> Option<(Vec<u8>, usize)> {
        let text = &self.text[range.clone()];
        let quote = *text.first()?;
        if quote == b'"' || quote == b'\'' {
            let close = 1 + text[1..].iter().position(|byte| *byte == quote)?;
            let is_key = text.get(close + 1) == Some(&b':') && matches!(text.get(close + 2), None | Some(b' '));
            return is_key.then(|| (text[1..close].to_vec(), range.start + close + 2));
        }
        if matches!(quote, b'{' | b'[' | b'|' | b'>') {
            return None;
        }
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                b':' if matches!(text.get(at + 1), None | Some(b' ' | b'\t')) => {
                    return Some((text[..at].trim_ascii_end().to_vec(), range.start + at + 1));
                }
                b'#' if at > 0 && text[at - 1] == b' ' => return None,
                _ => at += 1,
            }
        }
        None
    }

    fn push(&mut self, range: Range<usize>, style: Style) {
        if !range.is_empty() {
            let path = self.keys.iter().map(|(_, key)| key.clone()).collect();
            self.scalars.push(Scalar { path, range, style });
        }
    }

    /// A value that begins at the start of a range, which is the rest of its line.
    fn value(&mut self, mut range: Range<usize>, indent: usize) {
        while matches!(self.text[range.start], b'&' | b'!') {
            let word = self.text[range.clone()].iter().position(|byte| *byte == b' ').unwrap_or(range.len());
            range = bytes::trim(self.text, range.start + word..range.end);
            if range.is_empty() {
                return;
            }
        }
        match self.text[range.start] {
            b'|' | b'>' => self.block(range, indent),
            b'[' | b'{' => {
                let after = self.flow(range.start, 0);
                self.at = self.at.max(self.line_end(after.min(self.text.len())) + 1);
            }
            quote @ (b'"' | b'\'') => {
                let close = self.closing(range.start + 1, quote);
                self.push(range.start + 1..close, if quote == b'"' { Style::Double } else { Style::Single });
                self.at = self.at.max(self.line_end(close) + 1);
            }
            b'#' => {}
            _ => {
                let comment = bytes::find(&self.text[..range.end], b" #", range.start);
                self.push(bytes::trim(self.text, range.start..comment.unwrap_or(range.end)), Style::Plain);
            }
        }
    }

    /// Where a quoted text ends.
    fn closing(&self, start: usize, quote: u8) -> usize {
        let mut at = start;
        while at < self.text.len() {
            match self.text[at] {
                b'\\' if quote == b'"' => at += 2,
                byte if byte == quote && quote == b'\'' && self.text.get(at + 1) == Some(&quote) => at += 2,
                byte if byte == quote => return at,
                _ => at += 1,
            }
        }
        self.text.len()
    }

    /// The lines below that are indented more than the key.
    fn block(&mut self, head: Range<usize>, indent: usize) {
        let start = (self.line_end(head.start) + 1).min(self.text.len());
        let (mut at, mut end) = (start, start);
        while at < self.text.len() {
            let stop = self.line_end(at);
            let blank = self.text[at..stop].iter().take_while(|byte| **byte == b' ').count();
            let is_blank = self.text[at..stop].trim_ascii().is_empty();
            if !is_blank && blank <= indent {
                break;
            }
            at = stop + 1;
            if !is_blank {
                end = at.min(self.text.len());
            }
        }
        self.push(start..end, Style::Block);
        self.at = at;
    }

    /// `[a, b]` and `{a: b}`, which may go over lines; returns the place behind it.
    fn flow(&mut self, open: usize, depth: usize) -> usize {
        let is_list = self.text[open] == b'[';
        let close = if is_list { b']' } else { b'}' };
        let level = self.keys.len();
        if is_list {
            self.keys.push((usize::MAX, b"-".to_vec()));
        }
        let mut at = open + 1;
        let mut start = at;
        while at < self.text.len() && depth < 50 {
            match self.text[at] {
                byte if byte == close => {
                    self.flow_plain(start..at, is_list, level);
                    self.keys.truncate(level);
                    return at + 1;
                }
                b',' => {
                    self.flow_plain(start..at, is_list, level);
                    self.keys.truncate(level + usize::from(is_list));
                    at += 1;
                    start = at;
                }
                b':' if !is_list
                    && matches!(self.text.get(at + 1), Some(b' ' | b'\n' | b'"' | b'\'' | b'[' | b'{')) =>
                {
                    let key = bytes::trim(self.text, start..at);
                    self.keys.truncate(level);
                    self.keys.push((usize::MAX, self.text[key].trim_ascii_end().to_vec()));
                    at += 1;
                    start = at;
                }
                b'[' | b'{' => {
                    at = self.flow(at, depth + 1);
                    start = at;
                }
                quote @ (b'"' | b'\'') if self.text[start..at].trim_ascii().is_empty() => {
                    let end = self.closing(at + 1, quote);
                    let behind = self.text.get(end + 1..).unwrap_or_default().trim_ascii_start();
                    if !is_list && behind.first() == Some(&b':') {
                        self.keys.truncate(level);
                        self.keys.push((usize::MAX, self.text[at + 1..end].to_vec()));
                        at = self.text.len() - behind.len() + 1;
                    } else {
                        self.push(at + 1..end, if quote == b'"' { Style::Double } else { Style::Single });
                        at = (end + 1).min(self.text.len());
                    }
                    start = at;
                }
                // A template in braces is no map, and a list that is not closed ends with its document.
                b'\n' if self.text[at..].starts_with(b"\n---") => break,
                _ => at += 1,
            }
        }
        self.keys.truncate(level);
        at
    }

    fn flow_plain(&mut self, range: Range<usize>, is_list: bool, level: usize) {
        let range = bytes::trim(self.text, range);
        if !range.is_empty() && (is_list || self.keys.len() > level) {
            self.push(range, Style::Plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expect: Expect) {
        let shown = scalars(text.as_bytes()).into_iter().map(|scalar| {
            let path: Vec<String> = scalar.path.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
            format!("{} = {:?} {:?}\n", path.join("."), &text[scalar.range.clone()], scalar.style)
        });
        expect.assert_eq(&shown.collect::<String>());
    }

    #[test]
    fn keys_lists_and_quotes() {
        check(
            "a:\n  b: x y # no\n  'c d': \"q\\\"r\"\n  l:\n  - one\n  - k: v\n    m: ''\n    n: it\n  - - deep\nz: &x !t w\n",
            expect![[r#"
                a.b = "x y" Plain
                a.c d = "q\\\"r" Double
                a.l.- = "one" Plain
                a.l.-.k = "v" Plain
                a.l.-.n = "it" Plain
                a.l.-.- = "deep" Plain
                z = "w" Plain
            "#]],
        );
    }

    #[test]
    fn blocks_and_flows() {
        check(
            "run: |\n  cd x\n\n  ls\nnext: [a, 'b', {c: d, \"e\": [f]}]\nm: {g: h,\n  i: j}\nt: {{ x }}\nu: http://x:1/y\n",
            expect![[r#"
                run = "  cd x\n\n  ls\n" Block
                next.- = "a" Plain
                next.- = "b" Single
                next.-.c = "d" Plain
                next.-.e.- = "f" Plain
                m.g = "h" Plain
                m.i = "j" Plain
                u = "http://x:1/y" Plain
            "#]],
        );
    }

    #[test]
    fn documents_and_odd_ends() {
        check(
            "a: 1\n---\nb: \"x\n",
            expect![[r#"
            a = "1" Plain
            b = "x\n" Double
        "#]],
        );
        check(
            "- [a,\n",
            expect![[r#"
            -.- = "a" Plain
        "#]],
        );
    }
}
