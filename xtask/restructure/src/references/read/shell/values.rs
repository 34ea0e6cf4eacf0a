//! What variables and expansions stand for, as far as it is a path.

use std::ops::Range;

use super::super::super::mention::{Anchor, Mention, Weight};
use super::super::super::spelling::{Inner, Part, Quote, Spelling};
use super::super::super::{Kind, bytes};
use super::Shell;
use super::words::{Unit, What, Word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Unknown,
    /// Not known, but its name says a folder: the root (`REPO_ROOT`) or that of the file (`SCRIPT_DIR`).
    Hint(Anchor),
    /// The path of the script that is read.
    Itself,
    /// A path that is named elsewhere, or a folder that is known.
    Path(Vec<Anchor>),
    /// Letters; the mention they are when they may be a path.
    Text(Vec<u8>, Option<usize>),
    Many(Vec<Value>),
}

impl Value {
    /// What a variable that nobody set is for, by its name.
    pub fn hint(name: &[u8]) -> Value {
        let name = name.to_ascii_uppercase();
        let has = |word: &[u8]| name.windows(word.len()).any(|part| part == word);
        if has(b"HOME") || has(b"TMP") || has(b"TEMP") || has(b"BUILD") || has(b"OUT") || has(b"DEST") || has(b"GOPATH")
        {
            return Value::Unknown;
        }
        let is_root =
            [&b"ROOT"[..], b"REPO", b"PROJECT_DIR", b"WORKSPACE", b"TOPDIR", b"TOP_DIR", b"BASE_DIR", b"BASEDIR"];
        if is_root.iter().any(|word| has(word)) {
            return Value::Hint(Anchor::Root);
        }
        let is_own = [&b"SCRIPT_DIR"[..], b"SCRIPTDIR", b"SCRIPT_PATH", b"SCRIPTPATH", b"CURRENT_DIR", b"THIS_DIR"];
        if is_own.iter().any(|word| has(word)) || matches!(name.as_slice(), b"DIR" | b"HERE" | b"CWD" | b"SELF_DIR") {
            return Value::Hint(Anchor::Own);
        }
        Value::Unknown
    }
    /// Both, where a variable has one value or the other.
    pub fn or(self, other: Value) -> Value {
        match (self, other) {
            (one, other) if one == other => one,
            (Value::Unknown | Value::Hint(_), other) => other,
            (one, Value::Unknown | Value::Hint(_)) => one,
            (Value::Many(mut values), other) => {
                if values.len() < MOST_VALUES && !values.contains(&other) {
                    values.push(other);
                }
                Value::Many(values)
            }
            (one, other) => Value::Many(vec![one, other]),
        }
    }
}

/// A variable that may have more values than this is not known.
const MOST_VALUES: usize = 16;

/// A path that a word spells.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub bases: Vec<Anchor>,
    /// The mention that is the whole path when the word is `$NAME`.
    pub whole: Option<Vec<Anchor>>,
    text: Vec<u8>,
    tail: Vec<u8>,
    span: Range<usize>,
    quotes: (Quote, Quote),
    joins: bool,
    is_pattern: bool,
    /// It hangs on a guess by a variable's name.
    pub is_guess: bool,
    /// Mentions that are parts of it: they are read from its base too.
    parts: Vec<usize>,
}

impl Draft {
    pub fn path(&self) -> Vec<u8> {
        [self.text.as_slice(), &self.tail].concat()
    }
    pub fn is_joined(&self) -> bool {
        self.joins
    }
    pub fn has_pattern(&self) -> bool {
        self.is_pattern
    }
}

impl Shell<'_> {
    pub(super) fn itself(&self) -> Value {
        if self.place == super::Place::Script { Value::Itself } else { Value::Unknown }
    }

    pub(super) fn variable(&self, name: &[u8]) -> Value {
        if let Some(value) = self.variables.get(name) {
            return value.clone();
        }
        match name {
            b"BASH_SOURCE" | b"ZSH_SCRIPT" => self.itself(),
            b"PWD" => Value::Path(self.cwd.clone()),
            b"GITHUB_WORKSPACE" | b"CI_PROJECT_DIR" | b"TRAVIS_BUILD_DIR" | b"BUILD_SOURCESDIRECTORY" => {
                Value::Path(vec![Anchor::Root])
            }
            b"BATS_TEST_DIRNAME" => Value::Path(vec![Anchor::Own]),
            b"BATS_TEST_FILENAME" => self.itself(),
            _ => Value::hint(name),
        }
    }

    /// The folder that a path lies in: it follows from the path, nothing in the text spells it.
    pub(super) fn folder_of(&mut self, value: &Value) -> Value {
        match value {
            Value::Itself => Value::Path(vec![Anchor::Own]),
            Value::Path(anchors) => {
                let place = self.at.min(self.end);
                let mention = Mention::new(Kind::Folder, place..place, *b"..", Anchor::Own).bases(anchors);
                let mention = mention.spelled(Spelling::of(Inner::Unwritten));
                Value::Path(vec![Anchor::At(self.said.push(self.source, mention))])
            }
            Value::Hint(_) | Value::Unknown | Value::Text(..) | Value::Many(_) => Value::Unknown,
        }
    }

    /// `$(dirname X)` that stands in `range`, X being one expansion in `inner`.
    pub(super) fn dirname(&mut self, value: &Value, inner: &Range<usize>, range: Range<usize>) -> Value {
        let Value::Path(anchors) = value else { return self.folder_of(value) };
        let (open, close) = (range.start..inner.start, inner.end..range.end);
        let place = self.source.place(&range);
        // `$(dirname "$(dirname X)")` is one path with two steps up.
        if let [Anchor::At(number)] = anchors.as_slice()
            && let Some(within) = self.said.mentions.get_mut(*number)
            && place.start < within.span.start
            && within.span.end < place.end
            && let Inner::Parts(parts) = &mut within.spelling.inner
            && let [Part::Nest { layers, .. }, Part::Gap { at, .. }] = parts.as_mut_slice()
        {
            layers.insert(0, (self.source.place(&open), self.source.place(&close)));
            *at = place.end;
            within.span = place;
            within.text.extend_from_slice(b"/..");
            return value.clone();
        }
        let gap = Part::Gap { at: range.end, before: b"/".to_vec(), after: Vec::new() };
        let parts = vec![Part::Nest { layers: vec![(open, close)], is_file: false }, gap];
        let mention = Mention::new(Kind::Folder, range, *b"..", Anchor::Own)
            .bases(anchors)
            .spelled(Spelling::of(Inner::Parts(parts)));
        Value::Path(vec![Anchor::At(self.said.push(self.source, mention))])
    }

    /// The paths that a word may spell: more than one when a variable in it has more than one value.
    pub(super) fn drafts(&mut self, word: &Word, units: &[Unit]) -> Vec<Draft> {
        // `./$DIR/x` is read like `$DIR/x`.
        let is_value = |unit: Option<&Unit>| matches!(unit.map(|unit| unit.what), Some(What::Value(_)));
        let has_dot =
            units.first().and_then(Unit::byte) == Some(b'.') && units.get(1).and_then(Unit::byte) == Some(b'/');
        let units = if has_dot && is_value(units.get(2)) { &units[2..] } else { units };
        let Some(first) = units.first() else { return Vec::new() };
        let start = Draft {
            bases: self.cwd.clone(),
            whole: None,
            text: Vec::new(),
            tail: Vec::new(),
            span: first.at..first.at,
            quotes: (first.quote, first.quote),
            joins: false,
            is_pattern: false,
            is_guess: false,
            parts: Vec::new(),
        };
        let mut drafts = Vec::new();
        match first.what {
            What::Value(index) => {
                let values = match &word.values[index].0 {
                    Value::Many(values) => values.clone(),
                    value => vec![value.clone()],
                };
                for value in values {
                    drafts.extend(self.draft_behind(&start, &value, first, &units[1..], word));
                }
            }
            What::Byte(b'/' | b'~') => {}
            What::Byte(_) | What::Wild(_) => drafts.extend(self.draft_of(start, units, word)),
        }
        drafts
    }

    /// The rest of a word behind a value that its path begins with.
    fn draft_behind(&mut self, start: &Draft, value: &Value, first: &Unit, rest: &[Unit], word: &Word) -> Vec<Draft> {
        let is_joined = rest.first().is_none_or(|unit| unit.byte() == Some(b'/'));
        let (bases, is_guess) = match value {
            Value::Path(anchors) => (anchors.clone(), false),
            Value::Text(_, Some(index)) => (vec![Anchor::At(*index)], false),
            Value::Hint(anchor) if !rest.is_empty() => (vec![*anchor], true),
            _ => return Vec::new(),
        };
        if !is_joined {
            return Vec::new();
        }
        if !rest.is_empty() {
            self.said.wake(&bases);
        }
        if first.quote == Quote::None {
            self.said.split(&bases);
        }
        let next = rest.first().copied().unwrap_or(Unit { at: first.end, end: first.end, ..*first });
        let start = Draft {
            whole: rest.is_empty().then(|| bases.clone()),
            bases,
            joins: true,
            span: next.at..next.at,
            quotes: (next.quote, next.quote),
            is_guess,
            ..start.clone()
        };
        if rest.is_empty() { vec![start] } else { self.draft_of(start, rest, word) }
    }

    /// Letters up to the first thing that is not known make the text, the rest is the tail.
    fn draft_of(&self, mut draft: Draft, units: &[Unit], word: &Word) -> Vec<Draft> {
        let fixed = units.iter().position(|unit| unit.byte().is_none()).unwrap_or(units.len());
        let cut = if fixed == units.len() {
            fixed
        } else {
            // The text that can change ends with the last slash before what is not known.
            units[..fixed].iter().rposition(|unit| unit.byte() == Some(b'/')).map_or(0, |index| index + 1)
        };
        if draft.joins && cut == 0 && fixed < units.len() {
            return Vec::new();
        }
        draft.text = units[..cut].iter().filter_map(Unit::byte).collect();
        if draft.joins {
            draft.text.remove(0);
        }
        if let (Some(first), Some(last)) = (units[..cut].first(), units[..cut].last()) {
            draft.span = first.at..last.end;
            draft.quotes = (first.quote, last.quote);
        }
        let mut drafts = vec![draft];
        for unit in &units[cut..] {
            let texts: Vec<(Vec<u8>, Option<usize>)> = match unit.what {
                What::Byte(byte) => vec![(vec![byte], None)],
                What::Wild(byte) => vec![(vec![if byte == b'?' { b'?' } else { b'*' }], None)],
                What::Value(index) => match &word.values[index].0 {
                    Value::Text(text, mention) => vec![(text.clone(), *mention)],
                    Value::Many(values) if drafts.len() * values.len() <= MOST_VALUES => values
                        .iter()
                        .map(|value| match value {
                            Value::Text(text, mention) => (text.clone(), *mention),
                            _ => (b"*".to_vec(), None),
                        })
                        .collect(),
                    _ => vec![(b"*".to_vec(), None)],
                },
            };
            drafts = drafts
                .iter()
                .flat_map(|draft| {
                    texts.iter().map(move |(text, mention)| {
                        let mut draft = draft.clone();
                        draft.is_pattern |= !matches!(unit.what, What::Byte(_)) && bytes::has_wildcard(text);
                        draft.tail.extend_from_slice(text);
                        draft.parts.extend(mention);
                        draft
                    })
                })
                .collect();
        }
        drafts
    }

    /// Takes a path that a word spells for a mention.
    pub(super) fn mention(&mut self, draft: &Draft, kind: Kind, weight: Weight) -> usize {
        let weight = if draft.is_guess { weight.min(Weight::Word) } else { weight };
        let spelling = Spelling::of(Inner::Shell(draft.quotes.0, draft.quotes.1)).joined(draft.joins);
        let mut mention = Mention::new(kind, draft.span.clone(), draft.text.clone(), Anchor::Own)
            .bases(&draft.bases)
            .weight(weight)
            .spelled(spelling);
        mention.tail = draft.tail.clone();
        mention.is_pattern = draft.is_pattern;
        if let ([part], true, true) = (draft.parts.as_slice(), draft.text.is_empty(), draft.joins) {
            // `"$ROOT/$FILE"`: what stands in FILE is the path, and ROOT is where it is read from.
            let named = &mut self.said.mentions[*part];
            if named.text == draft.tail {
                named.bases.retain(|base| !draft.bases.contains(base));
                named.bases.splice(0..0, draft.bases.iter().copied());
                named.weight = named.weight.max(weight);
                return *part;
            }
        }
        self.said.push(self.source, mention)
    }

    /// What a variable is that is set to this word.
    pub(super) fn assigned(&mut self, word: &Word) -> Value {
        if word.units.is_empty() {
            return Value::Text(Vec::new(), None);
        }
        if let Some((value, _)) = word.only_value() {
            return value.clone();
        }
        if let Some(text) = word.literal() {
            if text.contains(&b' ') || text.contains(&b'\n') {
                if !text.contains(&b'\n') && text.contains(&b'/') && text[0] != b'/' {
                    // A path with blanks, or a command: without an ending it counts once something is read through it.
                    let is_file = bytes::extension(&text).is_some();
                    let weight = if is_file { Weight::Word } else { Weight::Idle };
                    let draft = self.drafts(word, &word.units).into_iter().next();
                    let index = draft.map(|draft| self.mention(&draft, Kind::Variable, weight));
                    self.prose(word);
                    return Value::Text(text, index);
                }
                self.prose(word);
                return Value::Unknown;
            }
            let is_name = bytes::is_name(&text);
            if text.starts_with(b"/") || text.starts_with(b"~") || !(is_name || bytes::may_be_path(&text)) {
                return Value::Text(text, None);
            }
            let Some(draft) = self.drafts(word, &word.units).into_iter().next() else { return Value::Unknown };
            let weight = match (text.contains(&b'/'), bytes::may_be_path(&text)) {
                (true, _) => Weight::Likely,
                (false, true) => Weight::Word,
                (false, false) => Weight::Idle,
            };
            let index = self.mention(&draft, Kind::Variable, weight);
            return Value::Text(text, Some(index));
        }
        let drafts = self.drafts(word, &word.units);
        let values: Vec<Value> = drafts
            .iter()
            .filter(|draft| draft.joins || bytes::may_be_path(&draft.path()))
            .map(|draft| Value::Path(vec![Anchor::At(self.mention(draft, Kind::Variable, Weight::Likely))]))
            .collect();
        values.into_iter().reduce(Value::or).unwrap_or(Value::Unknown)
    }

    /// A word that is a text with blanks: paths in it count where they are unmistakable.
    pub(super) fn prose(&mut self, word: &Word) {
        super::super::words::read_prose(self.source, word.span.clone(), self.said);
    }

    /// Any word that may spell a path.
    pub(super) fn mention_word(&mut self, word: &Word) {
        for draft in self.drafts(word, &word.units) {
            if draft.whole.is_none() && (draft.joins || draft.path().contains(&b'/')) {
                self.mention(&draft, Kind::Argument, Weight::Likely);
            }
        }
    }
}
