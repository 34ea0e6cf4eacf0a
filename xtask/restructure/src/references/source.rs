//! A text that stands in a file, perhaps inside another one: a script in a JSON string, commands in a block of YAML.

use std::borrow::Cow;
use std::ops::Range;

/// Bytes to read, and where in the file each of them stands.
pub(crate) struct Source<'a> {
    pub bytes: Cow<'a, [u8]>,
    places: Places,
    pub outer: Outer,
}

enum Places {
    /// All bytes stand side by side, the first one here.
    From(usize),
    /// One place a byte and one for the end.
    Each(Vec<usize>),
}

/// How the text around writes what stands in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outer {
    Plain,
    /// A JSON string, or any with its escapes: `\"`, `\\`.
    Json,
    /// A YAML scalar without quotes.
    YamlPlain,
    /// `'it''s'`.
    YamlSingle,
    /// A TOML literal or another string that has no escapes; it ends at this quote.
    Literal(u8),
    /// A string of JavaScript or Python with this quote and escapes.
    Quoted(u8),
    /// `$$` for a dollar.
    Make,
    /// A text in a text in a text: only letters that mean themselves everywhere.
    Safe,
}

impl<'a> Source<'a> {
    /// A whole file.
    pub fn file(bytes: &'a [u8]) -> Source<'a> {
        Source { bytes: Cow::Borrowed(bytes), places: Places::From(0), outer: Outer::Plain }
    }
    /// The bytes of `self` in `range` as they are.
    pub fn part(&'a self, range: Range<usize>, outer: Outer) -> Source<'a> {
        let places = match &self.places {
            Places::From(start) => Places::From(start + range.start),
            Places::Each(places) => Places::Each(places[range.start..=range.end].to_vec()),
        };
        Source { bytes: Cow::Borrowed(&self.bytes[range]), places, outer: self.with(outer) }
    }
    /// Decoded bytes, each with its place in `self`, and one place for the end.
    pub fn decoded(&self, bytes: Vec<u8>, places: Vec<usize>, outer: Outer) -> Source<'a> {
        debug_assert_eq!(bytes.len() + 1, places.len());
        let places = places.into_iter().map(|place| self.place_of(place)).collect();
        Source { bytes: Cow::Owned(bytes), places: Places::Each(places), outer: self.with(outer) }
    }
    fn with(&self, inner: Outer) -> Outer {
        match (self.outer, inner) {
            (outer, Outer::Plain) => outer,
            (Outer::Plain, inner) => inner,
            _ => Outer::Safe,
        }
    }
    pub fn place_of(&self, at: usize) -> usize {
        match &self.places {
            Places::From(start) => start + at,
            Places::Each(places) => places[at],
        }
    }
    pub fn place(&self, range: &Range<usize>) -> Range<usize> {
        // The byte after the last one may be an escape whose first byte belongs to no path.
        let (start, end) = (self.place_of(range.start), self.place_of(range.end));
        start..end.max(start)
    }
    /// The text of a string with backslash escapes (JSON, JavaScript, Python, YAML in double quotes) in `range`.
    pub fn unescaped(&self, range: Range<usize>, outer: Outer) -> Source<'_> {
        let raw = &self.bytes[range.clone()];
        if !raw.contains(&b'\\') {
            return self.part(range, outer);
        }
        let (mut bytes, mut places) = (Vec::with_capacity(raw.len()), Vec::with_capacity(raw.len() + 1));
        let mut at = 0;
        while at < raw.len() {
            let place = range.start + at;
            if raw[at] != b'\\' || at + 1 == raw.len() {
                bytes.push(raw[at]);
                places.push(place);
                at += 1;
                continue;
            }
            let (value, length): (Option<u32>, usize) = match raw[at + 1] {
                b'n' => (Some(10), 2),
                b't' => (Some(9), 2),
                b'r' => (Some(13), 2),
                b'u' => match hex(raw.get(at + 2..at + 6)) {
                    Some(value) => (Some(value), 6),
                    None => (Some('u' as u32), 2),
                },
                b'x' => match hex(raw.get(at + 2..at + 4)) {
                    Some(value) => (Some(value), 4),
                    None => (Some('x' as u32), 2),
                },
                b'\n' => (None, 2),
                other => (Some(u32::from(other)), 2),
            };
            if let Some(c) = value {
                let mut buffer = [0; 4];
                let c = if raw[at + 1] >= 0x80 { None } else { char::from_u32(c) };
                let encoded = match c {
                    Some(c) => c.encode_utf8(&mut buffer).as_bytes(),
                    None => &raw[at + 1..at + 2],
                };
                bytes.extend_from_slice(encoded);
                places.extend(std::iter::repeat_n(place, encoded.len()));
            }
            at += length;
        }
        places.push(range.end);
        self.decoded(bytes, places, outer)
    }
    /// A YAML scalar in single quotes, or SQL: the quote doubled stands for one.
    pub fn undoubled(&self, range: Range<usize>, outer: Outer) -> Source<'_> {
        let raw = &self.bytes[range.clone()];
        if !raw.contains(&b'\'') {
            return self.part(range, outer);
        }
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < raw.len() {
            bytes.push(raw[at]);
            places.push(range.start + at);
            at += if raw[at..].starts_with(b"''") { 2 } else { 1 };
        }
        places.push(range.end);
        self.decoded(bytes, places, outer)
    }
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits?).ok()?, 16).ok()
}
