//! Expressions of a program that make a path: steps up from the file, variables, strings that are joined.

use std::ops::Range;

use super::super::mention::{Anchor, Mention, Weight};
use super::super::spelling::{Inner, Part, Spelling};
use super::super::{Kind, bytes};

/// What an expression gives.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Unknown,
    Text(Text),
    Path(Expression),
}

/// A string that stands in the text.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub bytes: Vec<u8>,
    /// Between the quotes.
    pub range: Range<usize>,
    pub quote: u8,
    /// Some of it is known only when it runs: what is known ends here in `bytes`.
    pub known: Option<usize>,
    /// Its bytes mean themselves: no escapes.
    pub is_plain: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub bases: Vec<Anchor>,
    /// It is still the file itself, none of its folders.
    pub is_file: bool,
    pub text: Vec<u8>,
    pub tail: Vec<u8>,
    pub parts: Vec<Part>,
    pub range: Range<usize>,
}

impl Expression {
    pub fn at(bases: Vec<Anchor>, range: Range<usize>) -> Expression {
        Expression { bases, is_file: false, text: Vec::new(), tail: Vec::new(), parts: Vec::new(), range }
    }
    pub fn file(range: Range<usize>) -> Expression {
        Expression { is_file: true, ..Expression::at(vec![Anchor::Own], range) }
    }
    /// True when nothing is added to where it begins.
    pub fn is_bare(&self) -> bool {
        self.text.is_empty() && self.tail.is_empty()
    }

    fn step(&mut self) {
        if std::mem::take(&mut self.is_file) {
            return;
        }
        if !self.tail.is_empty() {
            return;
        }
        self.text.extend_from_slice(if self.text.is_empty() { b".." } else { b"/.." });
    }
    /// `.parent`, which stands in `span`.
    pub fn parent(&mut self, span: Range<usize>) {
        let was_file = self.is_file;
        self.step();
        match self.parts.last_mut() {
            Some(Part::Parents { span: known, count, .. }) if known.end == span.start => {
                known.end = span.end;
                *count += 1;
            }
            _ => self.parts.push(Part::Parents { span, count: 1, is_file: was_file }),
        }
    }
    /// `.parents[N]`, the digits in `span`.
    pub fn parents(&mut self, number: usize, span: Range<usize>) {
        let was_file = self.is_file;
        (0..=number).for_each(|_| self.step());
        self.parts.push(Part::Index { span, count: number + 1, is_file: was_file });
    }
    /// `dirname(…)` around it.
    pub fn dirname(&mut self, open: Range<usize>, close: Range<usize>) {
        let was_file = self.is_file;
        self.step();
        match self.parts.as_mut_slice() {
            [Part::Nest { layers, .. }] => layers.insert(0, (open, close)),
            [] => self.parts.push(Part::Nest { layers: vec![(open, close)], is_file: was_file }),
            // Around strings it is no step that can be counted.
            _ => {}
        }
    }
    /// A string behind it. `joint`: where what joins the two begins; `needs_slash`: the string itself has to begin with
    /// one.
    pub fn join(&mut self, text: &Text, joint: usize, needs_slash: bool) -> bool {
        let mut bytes = text.bytes.as_slice();
        let joins = bytes.first() == Some(&b'/');
        if needs_slash && !joins || !needs_slash && joins && !self.parts.is_empty() && !self.text.is_empty() {
            return false;
        }
        if joins {
            bytes = &bytes[1..];
        }
        if !self.tail.is_empty() || text.known.is_some() {
            self.tail_behind(bytes, text, joins);
            return true;
        }
        if !self.text.is_empty() && !bytes.is_empty() {
            self.text.push(b'/');
        }
        self.text.extend_from_slice(bytes);
        self.parts.push(Part::Literal {
            span: text.range.clone(),
            text: text.bytes.clone(),
            quote: if text.is_plain { 0 } else { text.quote },
            with_joint: joint.min(text.range.start)..text.range.end + 1,
            joins,
        });
        true
    }
    /// Something that is not known behind it.
    pub fn join_unknown(&mut self) {
        self.tail.extend_from_slice(if self.tail.is_empty() && self.text.is_empty() { b"*" } else { b"/*" });
    }
    fn tail_behind(&mut self, bytes: &[u8], text: &Text, joins: bool) {
        let known = text.known.map_or(bytes.len(), |known| known.saturating_sub(usize::from(joins)).min(bytes.len()));
        // What is known up to its last slash can still be written anew.
        let cut = bytes[..known].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let has_tail = !self.tail.is_empty();
        if !has_tail && cut > 0 {
            if !self.text.is_empty() {
                self.text.push(b'/');
            }
            self.text.extend_from_slice(&bytes[..cut - 1]);
            let start = text.range.start;
            let end = start + cut - 1 + usize::from(joins);
            self.parts.push(Part::Literal {
                span: start..end,
                text: text.bytes[..cut - 1 + usize::from(joins)].to_vec(),
                quote: if text.is_plain { 0 } else { text.quote },
                with_joint: start..end,
                joins,
            });
        }
        let rest = if has_tail { bytes } else { &bytes[cut..] };
        if has_tail || !self.text.is_empty() {
            self.tail.push(b'/');
        }
        self.tail.extend_from_slice(rest);
    }

    /// The mention that it is; `gap` says how one more string is put behind it.
    pub fn mention(&self, kind: Kind, weight: Weight, gap: Option<Part>) -> Mention {
        let mut parts = self.parts.clone();
        parts.extend(gap);
        let mut mention = Mention::new(kind, self.range.clone(), self.text.clone(), Anchor::Own)
            .bases(&self.bases)
            .weight(weight)
            .spelled(Spelling::of(Inner::Parts(parts)));
        mention.tail = self.tail.clone();
        mention.is_pattern = bytes::has_wildcard(&self.tail);
        mention
    }
}
