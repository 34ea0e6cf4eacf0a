//! Markdown: links, images, definitions, HTML in it, examples of commands, and paths in code spans and prose where they
//! are unmistakable.

use std::ops::Range;

use super::super::mention::{Anchor, Form, Mention, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::spelling::{Inner, Spelling};
use super::super::{Kind, bytes};
use super::shell;

/// `is_record`: a changelog and the like, where what is not a link tells of the past and stays as it is.
pub(crate) fn read(source: &Source, is_record: bool, said: &mut Said) {
    let mut reader = Reader { source, text: &source.bytes, is_record, said };
    let mut lines = bytes::lines(&source.bytes).peekable();
    let mut is_behind_blank = true;
    let mut is_in_list = false;
    while let Some(line) = lines.next() {
        let text = &source.bytes[line.clone()];
        let indent = text.iter().take_while(|byte| **byte == b' ').count();
        let words = &text[indent..];
        if let Some((mark, length)) = fence(words) {
            let start = line.end + 1;
            let mut end = source.bytes.len();
            for inner in lines.by_ref() {
                let text = bytes::trim(&source.bytes, inner.clone());
                if fence(&source.bytes[text.clone()])
                    .is_some_and(|(other, count)| other == mark && count >= length && text.len() == count)
                {
                    end = inner.start;
                    break;
                }
            }
            let info = bytes::trim(&source.bytes, line.start + indent + length..line.end);
            if start <= end {
                reader.example(info, start..end);
            }
            is_behind_blank = true;
            continue;
        }
        let is_blank = words.is_empty() || words == b"\r";
        let is_item = matches!(words.first(), Some(b'-' | b'*' | b'+')) && words.get(1) == Some(&b' ')
            || words.iter().take_while(|byte| byte.is_ascii_digit()).count() > 0 && words.contains(&b'.');
        if is_item {
            is_in_list = true;
        } else if !is_blank && indent == 0 && text.first() != Some(&b'\t') {
            is_in_list = false;
        }
        let is_code = is_behind_blank && !is_in_list && !is_blank && (indent >= 4 || text.first() == Some(&b'\t'));
        if is_code {
            if !is_record {
                super::words::read_prose(source, line, reader.said);
            }
            // The lines that follow are code as well: nothing blank is needed between them.
            continue;
        }
        is_behind_blank = is_blank;
        if !is_blank {
            reader.line(line, indent);
        }
    }
}

/// The sign of a fence and how many there are.
fn fence(words: &[u8]) -> Option<(u8, usize)> {
    let mark = *words.first().filter(|byte| matches!(byte, b'`' | b'~'))?;
    let count = words.iter().take_while(|byte| **byte == mark).count();
    (count >= 3 && (mark == b'~' || !words[count..].contains(&b'`'))).then_some((mark, count))
}

struct Reader<'a> {
    source: &'a Source<'a>,
    text: &'a [u8],
    is_record: bool,
    said: &'a mut Said,
}

impl Reader<'_> {
    fn example(&mut self, info: Range<usize>, body: Range<usize>) {
        if self.is_record {
            return;
        }
        let language: Vec<u8> =
            self.text[info].iter().take_while(|byte| !b" \t{,:\r".contains(byte)).map(u8::to_ascii_lowercase).collect();
        let is_shell = match language.as_slice() {
            b"sh" | b"bash" | b"shell" | b"zsh" | b"console" | b"shell-session" | b"terminal" | b"shellsession" => true,
            b"" | b"text" | b"plaintext" => looks_like_commands(&self.text[body.clone()]),
            _ => false,
        };
        if is_shell {
            shell::read(&self.source.part(body, Outer::Plain), shell::Place::Example, &[Anchor::Cwd], self.said);
        } else {
            super::words::read_prose(self.source, body, self.said);
        }
    }

    fn line(&mut self, line: Range<usize>, indent: usize) {
        let start = line.start + indent;
        if indent == 0 && self.text[start..line.end].starts_with(b"import ") && self.import(line.clone()) {
            return;
        }
        if indent < 4 && self.text[start] == b'[' && self.definition(start..line.end) {
            return;
        }
        let mut at = start;
        // Prose between what is told apart.
        let mut prose = start;
        while at < line.end {
            let next = match self.text[at] {
                b'`' => self.code_span(at, line.end),
                b']' if self.text.get(at + 1) == Some(&b'(') => self.link(at, line.start, line.end),
                b'<' => self.html(at, line.end),
                b'\\' => Some(at + 2),
                _ => None,
            };
            match next {
                Some(next) => {
                    self.prose(prose..at);
                    at = next.min(line.end);
                    prose = at;
                }
                None => at += 1,
            }
        }
        self.prose(prose..line.end);
    }

    /// `import Part from './part.mdx'`, as pages of a site have it.
    fn import(&mut self, line: Range<usize>) -> bool {
        let before = self.said.mentions.len();
        let part = self.source.part(line, Outer::Plain);
        super::javascript::read(&part, self.said);
        self.said.mentions.len() > before
    }

    fn prose(&mut self, range: Range<usize>) {
        if !self.is_record && range.len() > 3 {
            super::words::read_prose(self.source, range, self.said);
        }
    }

    fn code_span(&mut self, at: usize, end: usize) -> Option<usize> {
        let count = self.text[at..end].iter().take_while(|byte| **byte == b'`').count();
        let start = at + count;
        let mut closing = start;
        loop {
            closing += self.text[closing..end].iter().position(|byte| *byte == b'`')?;
            let run = self.text[closing..end].iter().take_while(|byte| **byte == b'`').count();
            if run == count {
                break;
            }
            closing += run;
        }
        let span = bytes::trim(self.text, start..closing);
        let text = &self.text[span.clone()];
        if !self.is_record && text.contains(&b'/') {
            let is_one_word = !text.contains(&b' ');
            if is_one_word
                && bytes::may_be_path(text)
                && text[0] != b'/'
                && text[0] != b'~'
                && !bytes::has_wildcard(text)
            {
                let mention = Mention::new(Kind::CodeSpan, span.clone(), text, Anchor::Above);
                self.said.push(self.source, mention.spelled(Spelling::of(Inner::Word)));
            } else {
                super::words::read_words(self.source, span, Kind::CodeSpan, self.said);
            }
        }
        Some(closing + count)
    }

    /// `](target "title")`, the place being that of the bracket.
    fn link(&mut self, at: usize, line: usize, end: usize) -> Option<usize> {
        let mut start = at + 2;
        while start < end && self.text[start] == b' ' {
            start += 1;
        }
        let is_angled = self.text.get(start) == Some(&b'<');
        let mut stop = start;
        if is_angled {
            start += 1;
            stop = start + self.text[start..end].iter().position(|byte| *byte == b'>')?;
        } else {
            let mut depth = 0;
            while stop < end {
                match self.text[stop] {
                    b'(' => depth += 1,
                    b')' if depth == 0 => break,
                    b')' => depth -= 1,
                    b' ' | b'\t' => break,
                    b'\\' => stop += 1,
                    _ => {}
                }
                stop += 1;
            }
            if stop >= end {
                return None;
            }
        }
        // A title may go on over the next lines.
        let behind = self.text[stop..end].trim_ascii_start();
        let has_title = matches!(behind.first(), Some(b'"' | b'\'' | b'('));
        let closing = match self.text[stop..end].iter().position(|byte| *byte == b')') {
            Some(length) => stop + length,
            None if has_title => end - 1,
            None => return None,
        };
        // `![label](…)`: the bracket that opens the label has a mark before it.
        let open = self.text[line..at].iter().rposition(|byte| *byte == b'[').map(|index| line + index);
        let is_image = open.is_some_and(|open| open > line && self.text[open - 1] == b'!');
        self.target(start..stop, if is_image { Kind::Image } else { Kind::Link }, is_angled);
        // A label may be a picture or code: it stands before and has been read.
        Some(closing + 1)
    }

    /// `[label]: target`
    fn definition(&mut self, line: Range<usize>) -> bool {
        let Some(colon) = bytes::find(&self.text[..line.end], b"]:", line.start) else { return false };
        if self.text[line.start + 1] == b'^' || self.text[line.start..colon].contains(&b'(') {
            return false;
        }
        let rest = bytes::trim(self.text, colon + 2..line.end);
        let is_angled = self.text.get(rest.start) == Some(&b'<') && !rest.is_empty();
        let (start, stop) = if is_angled {
            let length = self.text[rest.start..rest.end].iter().position(|byte| *byte == b'>');
            (rest.start + 1, length.map_or(rest.end, |length| rest.start + length))
        } else {
            let length = self.text[rest.clone()].iter().position(|byte| byte.is_ascii_whitespace());
            (rest.start, length.map_or(rest.end, |length| rest.start + length))
        };
        let behind = bytes::trim(self.text, (stop + usize::from(is_angled)).min(rest.end)..rest.end);
        if !behind.is_empty() && !matches!(self.text[behind.start], b'"' | b'\'' | b'(') {
            return false;
        }
        self.target(start..stop, Kind::Link, is_angled);
        true
    }

    /// `<img src="…">` and `<a href="…">`.
    fn html(&mut self, at: usize, end: usize) -> Option<usize> {
        let stop = at + self.text[at..end].iter().position(|byte| *byte == b'>')?;
        if !self.text.get(at + 1).is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        attributes(self.source, at..stop, self.said);
        Some(stop + 1)
    }

    fn target(&mut self, range: Range<usize>, kind: Kind, is_angled: bool) {
        target(self.source, range, kind, if is_angled { Inner::Angle } else { Inner::Url }, self.said);
    }
}

/// The files that an HTML element names.
pub(crate) fn attributes(source: &Source, element: Range<usize>, said: &mut Said) {
    let text = &source.bytes[..element.end];
    for name in [&b"src="[..], b"href="] {
        let mut at = element.start;
        while let Some(found) = bytes::find(text, name, at) {
            at = found + name.len();
            let Some(quote) = text.get(at).filter(|byte| matches!(byte, b'"' | b'\'')) else { continue };
            let Some(length) = text[at + 1..].iter().position(|byte| byte == quote) else { break };
            if text[found - 1].is_ascii_whitespace() {
                let kind = if name[0] == b's' { Kind::Image } else { Kind::Link };
                target(source, at + 1..at + 1 + length, kind, Inner::Url, said);
            }
            at += length + 1;
        }
    }
}

/// The target of a link: the path without fragment and query.
pub(crate) fn target(source: &Source, range: Range<usize>, kind: Kind, inner: Inner, said: &mut Said) {
    let text = &source.bytes;
    let length = text[range.clone()].iter().position(|byte| matches!(byte, b'#' | b'?')).unwrap_or(range.len());
    let mut range = range.start..range.start + length;
    let raw = &text[range.clone()];
    let has_scheme = raw.iter().position(|byte| *byte == b':').is_some_and(|colon| {
        colon > 1 && raw[..colon].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    });
    if raw.is_empty() || has_scheme || raw.starts_with(b"//") || raw.iter().any(|byte| b"{}$|`\"^".contains(byte)) {
        return;
    }
    let is_rooted = raw[0] == b'/';
    if is_rooted {
        range.start += 1;
    }
    let raw = &text[range.clone()];
    let path = if matches!(inner, Inner::Url) { percent_decoded(raw) } else { raw.to_vec() };
    if path.is_empty() || matches!(path[0], b'@' | b'<' | b'(') || bytes::contains(&path, b"://") {
        return;
    }
    // Without an ending and a slash it may be a word that stands for something: `[text](url)`.
    let is_certain = !is_rooted
        && (path.contains(&b'/') || bytes::extension(&path).is_some_and(is_ending))
        && !bytes::contains(&path, b"path/to")
        && !bytes::contains(&path, b"...")
        && !is_page_elsewhere(&path);
    let weight = if is_certain { Weight::Sure } else { Weight::Likely };
    let base = if is_rooted { Anchor::Root } else { Anchor::Own };
    let mention = Mention::new(kind, range, path, base).weight(weight).form(Form::Page).spelled(Spelling::of(inner));
    said.push(source, mention);
}

/// True for what files end with; `Class.method` is none.
fn is_ending(ending: &[u8]) -> bool {
    ending.len() <= 5 && ending.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A host without its scheme, or a page of the place where the repository is kept: `../../issues`.
fn is_page_elsewhere(path: &[u8]) -> bool {
    let is_route = |part: &[u8]| {
        matches!(
            part,
            b"blob"
                | b"tree"
                | b"issues"
                | b"pull"
                | b"pulls"
                | b"wiki"
                | b"releases"
                | b"actions"
                | b"discussions"
                | b"compare"
                | b"commit"
                | b"edit"
                | b"raw"
                | b"commits"
                | b"labels"
                | b"milestone"
                | b"projects"
                | b"security"
                | b"merge_requests"
        )
    };
    bytes::is_host(path) || path.starts_with(b"..") && path.split(|byte| *byte == b'/').any(is_route)
}

fn percent_decoded(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let digits = raw.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (raw[at], code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (b'\\', _) if raw.get(at + 1).is_some_and(u8::is_ascii_punctuation) => {
                out.push(raw[at + 1]);
                at += 2;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// True when the first words of an example without a language are those of commands.
fn looks_like_commands(body: &[u8]) -> bool {
    let first =
        bytes::lines(body).map(|line| &body[bytes::trim(body, line)]).find(|line| !line.is_empty() && line[0] != b'#');
    first.is_some_and(|line| {
        let starts: [&[u8]; 24] = [
            b"$ ",
            b"./",
            b"cd ",
            b"bash ",
            b"sh ",
            b"npm ",
            b"pnpm ",
            b"yarn ",
            b"node ",
            b"python ",
            b"python3 ",
            b"pip ",
            b"make ",
            b"docker ",
            b"docker-compose ",
            b"kubectl ",
            b"psql ",
            b"git ",
            b"source ",
            b"cp ",
            b"chmod ",
            b"curl ",
            b"export ",
            b"cat ",
        ];
        starts.iter().any(|start| line.starts_with(start))
    })
}
