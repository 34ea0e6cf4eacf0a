//! Expressions that make a path: steps up, then strings. How another path is put in their place.

use std::ops::Range;

use super::super::source::Outer;
use super::{Change, Spelling};

/// A part of an expression that makes a path.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// `.parent` so many times; one of them leads to the file's own folder when `is_file`.
    Parents { span: Range<usize>, count: usize, is_file: bool },
    /// The digits of `parents[N]`, which is N + 1 steps up.
    Index { span: Range<usize>, count: usize, is_file: bool },
    /// `dirname(dirname(X))`: the brackets of each layer, the outermost first.
    Nest { layers: Vec<(Range<usize>, Range<usize>)>, is_file: bool },
    /// A string: the bytes between its quotes, and with its quotes and the comma or slash before it.
    Literal { span: Range<usize>, text: Vec<u8>, quote: u8, with_joint: Range<usize>, joins: bool },
    /// Where a further string may be put, and what stands before and after it.
    Gap { at: usize, before: Vec<u8>, after: Vec<u8> },
}

impl Spelling {
    /// Steps up go where steps up are counted, names go into the literals, those that stay the same are left alone.
    pub(super) fn respell_parts(&self, parts: &[Part], new: &[u8], file: &[u8]) -> Option<Vec<Change>> {
        let mut names: Vec<&[u8]> =
            new.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
        let mut changes = Vec::new();
        let (mut literals, mut gap) = (Vec::new(), None);
        let first_names = parts.iter().find(|part| matches!(part, Part::Literal { .. })).map(Part::names);
        let goes_up_in_text = first_names.is_some_and(|names| names.first() == Some(&&b".."[..]));
        for part in parts {
            match part {
                Part::Literal { .. } => literals.push(part),
                Part::Gap { at, before, after } => gap = Some((*at, before, after)),
                steps => {
                    let up = names.iter().take_while(|name| **name == b"..").count();
                    // Where a string goes on upwards (`dirname(__file__), ".."`), it is the one that changes.
                    let up = if goes_up_in_text { up.min(steps.steps()) } else { up };
                    changes.extend(respell_steps(steps, up, file)?);
                    names.drain(..up);
                }
            }
        }
        let texts: Vec<Vec<&[u8]>> = literals.iter().map(|part| part.names()).collect();
        let (mut first, mut last) = (0, literals.len());
        let mut rest = names.as_slice();
        while first < last && rest.starts_with(&texts[first]) && rest.len() >= texts[first].len() {
            rest = &rest[texts[first].len()..];
            first += 1;
        }
        while first < last && rest.ends_with(&texts[last - 1]) {
            rest = &rest[..rest.len() - texts[last - 1].len()];
            last -= 1;
        }
        match (rest.len(), last - first) {
            (0, 0) => {}
            (_, 0) => match (literals.get(first), first.checked_sub(1).map(|index| literals[index]), gap) {
                // The names go before the literal that follows, or behind the one before, or into one of their own.
                (Some(next), ..) => changes.push(next.with_names(&[rest, &texts[first]].concat(), self)?),
                (None, Some(before), _) => changes.push(before.with_names(&[&texts[first - 1], rest].concat(), self)?),
                (None, None, Some((at, before, after))) => {
                    changes
                        .push((at..at, [before.as_slice(), &self.outer_spelled(&rest.join(&b'/'))?, after].concat()));
                }
                (None, None, None) => return None,
            },
            (count, places) => {
                for place in 0..places {
                    let literal = literals[first + place];
                    let own: &[&[u8]] = if place + 1 == places && count > place {
                        &rest[place..]
                    } else {
                        rest.get(place..=place).unwrap_or_default()
                    };
                    if own.is_empty() {
                        changes.push(literal.without(self)?);
                    } else if own != texts[first + place].as_slice() {
                        changes.push(literal.with_names(own, self)?);
                    }
                }
            }
        }
        // Brackets that close and a name behind them go to the same place: in this order, as one.
        let mut merged: Vec<Change> = Vec::new();
        for (span, bytes) in changes {
            match merged.iter_mut().find(|(other, _)| *other == span && span.is_empty()) {
                Some((_, known)) => known.extend_from_slice(&bytes),
                None => merged.push((span, bytes)),
            }
        }
        Some(merged)
    }
}

impl Part {
    /// How far up from the folder of the file, or from its base, it leads.
    fn steps(&self) -> usize {
        match self {
            Part::Parents { count, is_file, .. } | Part::Index { count, is_file, .. } => count - usize::from(*is_file),
            Part::Nest { layers, is_file } => layers.len() - usize::from(*is_file),
            Part::Literal { .. } | Part::Gap { .. } => 0,
        }
    }
    fn names(&self) -> Vec<&[u8]> {
        match self {
            Part::Literal { text, .. } => {
                text.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect()
            }
            _ => Vec::new(),
        }
    }
    fn with_names(&self, names: &[&[u8]], spelling: &Spelling) -> Option<Change> {
        let Part::Literal { span, text, quote, joins, .. } = self else { return None };
        let mut path = names.join(&b'/');
        if *joins {
            path.insert(0, b'/');
        } else if text.starts_with(b"./") && names.first() != Some(&&b".."[..]) {
            path.splice(0..0, *b"./");
        }
        if text.ends_with(b"/") && text.len() > 1 {
            path.push(b'/');
        }
        let outer = match (spelling.outer, *quote) {
            (Outer::Plain, 0) => Outer::Safe,
            (Outer::Plain, quote) => Outer::Quoted(quote),
            _ => Outer::Safe,
        };
        Some((span.clone(), Spelling { outer, ..Spelling::plain() }.outer_spelled(&path)?))
    }
    fn without(&self, spelling: &Spelling) -> Option<Change> {
        let Part::Literal { span, with_joint, joins, .. } = self else { return None };
        let _ = spelling;
        Some((if *joins { span.clone() } else { with_joint.clone() }, Vec::new()))
    }
}

fn respell_steps(part: &Part, up: usize, file: &[u8]) -> Option<Vec<Change>> {
    Some(match part {
        Part::Parents { span, count, is_file } => {
            let wanted = up + usize::from(*is_file);
            if wanted == *count { Vec::new() } else { vec![(span.clone(), b".parent".repeat(wanted))] }
        }
        Part::Index { span, count, is_file } => {
            let wanted = up + usize::from(*is_file);
            if wanted == *count {
                return Some(Vec::new());
            }
            vec![(span.clone(), wanted.checked_sub(1)?.to_string().into_bytes())]
        }
        Part::Nest { layers, is_file } => {
            let wanted = up + usize::from(*is_file);
            let (open, close) = layers.first()?;
            if wanted >= layers.len() {
                let more = wanted - layers.len();
                if more == 0 {
                    return Some(Vec::new());
                }
                vec![
                    (open.start..open.start, file[open.clone()].repeat(more)),
                    (close.end..close.end, file[close.clone()].repeat(more)),
                ]
            } else {
                let surplus = &layers[..layers.len() - wanted];
                surplus
                    .iter()
                    .flat_map(|(open, close)| [(open.clone(), Vec::new()), (close.clone(), Vec::new())])
                    .collect()
            }
        }
        Part::Literal { .. } | Part::Gap { .. } => Vec::new(),
    })
}
