//! How a path is written where it stands, and how another one is written in its place: quotes, escapes, `..` counts.

use std::ops::Range;

mod parts;

use super::source::{Outer, Source};
pub(crate) use parts::Part;

/// Bytes of a file and what they become.
pub(crate) type Change = (Range<usize>, Vec<u8>);

#[derive(Clone, Debug)]
pub(crate) struct Spelling {
    pub inner: Inner,
    /// How the text around is written; known once the mention has its place in the file.
    pub outer: Outer,
    /// The span begins with the slash that joins the path to its base (`"$DIR/x"`); an empty one wants it put there.
    pub joins: bool,
    /// A path that begins with a name means something else here: a package, a volume.
    pub needs_dot: bool,
    /// A name alone means something else here: a program in PATH.
    pub needs_slash: bool,
    /// It is used where a blank would end it: `$DIR/x` without quotes.
    pub is_split: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Inner {
    /// As it is.
    Bare,
    /// A word of shell; its first and its last byte may stand in different quotes.
    Shell(Quote, Quote),
    /// A word of prose: it ends at the first sign that no path there has.
    Word,
    /// Percent-encoded.
    Url,
    /// In Markdown's angle brackets, or any place that takes blanks but no `<`, `>` and line ends.
    Angle,
    /// A pattern of git: wildcards and blanks at the end are escaped.
    Pattern,
    /// A Python module.
    Dotted,
    /// One that is read from the package of the file: `..a.b`.
    RelativeDotted,
    /// It is not written at all: a Dockerfile that has no other name.
    Unwritten,
    /// An expression: folders above, then literals.
    Parts(Vec<Part>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Quote {
    None,
    Double,
    Single,
    /// `$'…'`
    Ansi,
}

impl Spelling {
    pub fn plain() -> Spelling {
        Spelling {
            inner: Inner::Bare,
            outer: Outer::Plain,
            joins: false,
            needs_dot: false,
            needs_slash: false,
            is_split: false,
        }
    }
    pub fn of(inner: Inner) -> Spelling {
        Spelling { inner, ..Spelling::plain() }
    }
    pub fn dotted(self) -> Spelling {
        Spelling { needs_dot: true, ..self }
    }
    pub fn joined(self, joins: bool) -> Spelling {
        Spelling { joins, ..self }
    }

    /// Places in a text become places in the file.
    pub fn place_in_file(&mut self, source: &Source) {
        self.outer = source.outer;
        let Inner::Parts(parts) = &mut self.inner else { return };
        let place = |range: &mut Range<usize>| *range = source.place(range);
        for part in parts {
            match part {
                Part::Parents { span, .. } | Part::Index { span, .. } => place(span),
                Part::Nest { layers, .. } => layers.iter_mut().for_each(|(open, close)| {
                    place(open);
                    place(close);
                }),
                Part::Literal { span, with_joint, .. } => {
                    place(span);
                    place(with_joint);
                }
                Part::Gap { at, .. } => *at = source.place_of(*at),
            }
        }
    }

    /// The changes that put the path `new` where the one at `span` is. None when it cannot be written there.
    pub fn respell(&self, span: &Range<usize>, old: &[u8], new: &[u8], file: &[u8]) -> Option<Vec<Change>> {
        if self.is_split && new.iter().any(|byte| byte.is_ascii_whitespace() || b"*?[".contains(byte)) {
            return None;
        }
        if let Inner::Shell(start, end) = self.inner
            && start != end
            && let Some(change) = self.respell_start(span, old, new, file, start)
        {
            return Some(vec![change]);
        }
        let bytes = match &self.inner {
            Inner::Parts(parts) => return self.respell_parts(parts, new, file),
            Inner::Unwritten => return None,
            Inner::Bare => new.to_vec(),
            Inner::Word => new.iter().all(|byte| is_of_word(*byte)).then(|| new.to_vec())?,
            Inner::Shell(start, end) => self.shell(new, *start, *end)?,
            Inner::Url => percent_encoded(new),
            Inner::Angle => (!new.iter().any(|byte| b"<>\n".contains(byte))).then(|| new.to_vec())?,
            Inner::Pattern => pattern_escaped(new),
            Inner::Dotted => dotted(new)?,
            Inner::RelativeDotted => relative_dotted(new)?,
        };
        let bytes = match (self.joins, &self.inner) {
            (true, Inner::Shell(..)) | (false, _) => bytes,
            (true, _) if new == b"." => Vec::new(),
            (true, _) => [b"/", bytes.as_slice()].concat(),
        };
        Some(vec![(span.clone(), self.outer_spelled(&bytes)?)])
    }

    /// `/x/'a b.txt'`, of which only what stands before the quotes changes.
    fn respell_start(&self, span: &Range<usize>, old: &[u8], new: &[u8], file: &[u8], quote: Quote) -> Option<Change> {
        let raw = &file[span.clone()];
        let same = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        // Whole names only; the slash before them belongs to what changes.
        let names = (old.len() - same..old.len()).filter(|at| *at == 0 || old[at - 1] == b'/');
        names.map(|at| &old[at..]).find_map(|end| {
            let start = raw.strip_suffix(end)?;
            let quotes = start.iter().rev().take_while(|byte| matches!(byte, b'\'' | b'"')).count();
            let start = &start[..start.len() - quotes];
            if quotes == 0 || start.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'$')) {
                return None;
            }
            let way = [if self.joins { b"/".as_slice() } else { b"" }, &new[..new.len() - end.len()]].concat();
            Some((span.start..span.start + start.len(), self.outer_spelled(&shell_quoted(&way, quote)?)?))
        })
    }

    fn shell(&self, new: &[u8], start: Quote, end: Quote) -> Option<Vec<u8>> {
        let mut path = Vec::new();
        match (self.joins, new) {
            (true, b".") => {}
            (true, new) => {
                path.push(b'/');
                path.extend_from_slice(new);
            }
            (false, new) => path.extend_from_slice(new),
        }
        let mut bytes = shell_quoted(&path, start)?;
        if start != end {
            bytes.extend_from_slice(match start {
                Quote::None => b"".as_slice(),
                Quote::Double => b"\"",
                Quote::Single | Quote::Ansi => b"'",
            });
            bytes.extend_from_slice(match end {
                Quote::None => b"".as_slice(),
                Quote::Double => b"\"",
                Quote::Single => b"'",
                Quote::Ansi => b"$'",
            });
        }
        Some(bytes)
    }

    fn outer_spelled(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let has = |set: &[u8]| bytes.iter().any(|byte| set.contains(byte));
        if has(b"\n\r\0") && self.outer != Outer::Plain {
            return None;
        }
        let escaped = |special: &[u8]| {
            let mut out = Vec::with_capacity(bytes.len());
            for byte in bytes {
                if special.contains(byte) {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out
        };
        Some(match self.outer {
            Outer::Plain => bytes.to_vec(),
            Outer::Safe => is_safe(bytes).then(|| bytes.to_vec())?,
            Outer::Json if bytes.iter().any(|byte| *byte < 0x20) => return None,
            Outer::Json => escaped(b"\"\\"),
            Outer::Quoted(quote) => escaped(&[quote, b'\\']),
            Outer::Literal(quote) => (!bytes.contains(&quote)).then(|| bytes.to_vec())?,
            Outer::YamlSingle => doubled(bytes, b'\''),
            Outer::YamlPlain => {
                let is_odd = has(b"#:{}[],&*!|>'\"%@`")
                    && (bytes.windows(2).any(|pair| pair == b" #" || pair == b": ") || has(b"{}[],'\"`"));
                (!is_odd).then(|| bytes.to_vec())?
            }
            Outer::Make => {
                let mut out = Vec::new();
                for byte in bytes {
                    match byte {
                        b'$' => out.extend_from_slice(b"$$"),
                        b'#' => out.extend_from_slice(b"\\#"),
                        byte => out.push(*byte),
                    }
                }
                out
            }
        })
    }
}

pub(crate) fn shell_quoted(path: &[u8], quote: Quote) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        match quote {
            Quote::None if byte.is_ascii_control() => return None,
            Quote::None if byte.is_ascii_alphanumeric() || *byte >= 0x80 || b"_./@%+=:,-".contains(byte) => {
                out.push(*byte)
            }
            Quote::None => out.extend_from_slice(&[b'\\', *byte]),
            Quote::Double if b"\"$`\\".contains(byte) => out.extend_from_slice(&[b'\\', *byte]),
            Quote::Single if *byte == b'\'' => out.extend_from_slice(b"'\\''"),
            Quote::Ansi if b"'\\".contains(byte) => out.extend_from_slice(&[b'\\', *byte]),
            Quote::Ansi if byte.is_ascii_control() => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            Quote::Double | Quote::Single | Quote::Ansi => out.push(*byte),
        }
    }
    Some(out)
}

/// True for what a path in prose can be made of.
pub(crate) fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+' | b'@' | b'~' | b'%')
        || byte >= 0x80
}

/// True for letters that mean themselves in every language.
pub(crate) fn is_safe(path: &[u8]) -> bool {
    path.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_./@%+=:,-*?".contains(byte))
}

fn percent_encoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        if byte.is_ascii_graphic() && !b"%#?()<>[]\\\"".contains(byte) || *byte >= 0x80 {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

fn pattern_escaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for (index, byte) in path.iter().enumerate() {
        let is_last_blank = *byte == b' ' && index + 1 == path.len();
        if b"*?[]\\".contains(byte) || is_last_blank || index == 0 && b"#!".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// A module's name; None when a part of it is none.
fn dotted(path: &[u8]) -> Option<Vec<u8>> {
    let is_name = |name: &[u8]| {
        !name.is_empty()
            && !name[0].is_ascii_digit()
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80)
    };
    path.split(|byte| *byte == b'/')
        .all(is_name)
        .then(|| path.iter().map(|b| if *b == b'/' { b'.' } else { *b }).collect())
}

/// One dot for the own package, one more for each step up.
fn relative_dotted(path: &[u8]) -> Option<Vec<u8>> {
    let mut names = path;
    let mut out = b".".to_vec();
    while let Some(rest) = names.strip_prefix(b"..") {
        out.push(b'.');
        names = rest.strip_prefix(b"/").unwrap_or(rest);
    }
    if !matches!(names, b"" | b".") {
        out.extend(dotted(names)?);
    }
    Some(out)
}

fn doubled(bytes: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        out.push(*byte);
        if *byte == quote {
            out.push(quote);
        }
    }
    out
}
