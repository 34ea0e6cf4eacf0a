//! Paths in Python's expressions: `Path(__file__).parent / "x"`, `os.path.join(HERE, "..", "x")`, `open("x")`.

use std::collections::HashMap;
use std::ops::Range;

use super::super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::super::source::{Outer, Source};
use super::super::super::spelling::{Inner, Part, Spelling};
use super::super::super::{Kind, bytes};
use super::super::expression::{Expression, Text, Value};
use super::super::shell;
use super::tokens::{Token, What};

pub(super) struct Paths<'a> {
    source: &'a Source<'a>,
    tokens: &'a [Token],
    pub said: &'a mut Said,
    /// Names of variables with the mention or folder that they hold.
    variables: HashMap<Vec<u8>, Vec<Anchor>>,
    depth: usize,
}

impl<'a> Paths<'a> {
    pub fn new(source: &'a Source<'a>, tokens: &'a [Token], said: &'a mut Said) -> Paths<'a> {
        Paths { source, tokens, said, variables: HashMap::new(), depth: 0 }
    }

    fn text(&self, at: usize) -> &'a [u8] {
        self.tokens.get(at).map_or(b"", |token| &self.source.bytes[token.span.clone()])
    }
    fn is(&self, at: usize, word: &[u8]) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(self.source, word))
    }
    fn is_name(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.what == What::Name)
    }

    /// A statement that begins with a name: perhaps an assignment. Where reading goes on.
    pub fn statement(&mut self, at: usize) -> usize {
        // `NAME = …`, `self.NAME = …`, `NAME: Path = …`
        let mut sign = at + 1;
        while self.is(sign, b".") && self.is_name(sign + 1) {
            sign += 2;
        }
        let name = self.tokens[at].span.start..self.tokens[sign - 1].span.end;
        if self.is(sign, b":") && self.is_name(sign + 1) {
            sign += 2;
            while self.is(sign, b".") || self.is_name(sign) {
                sign += 1;
            }
        }
        if self.is(sign, b"=") && !self.is(sign + 1, b"=") {
            let name = self.source.bytes[name].to_vec();
            let (value, next) = self.value(sign + 1);
            let is_whole = self.tokens.get(next).is_none_or(|token| matches!(token.what, What::Line | What::Comment));
            match value {
                Value::Path(path) => {
                    let anchors = self.push_expression(&path, Kind::Variable, Weight::Likely, next);
                    if is_whole {
                        self.variables.insert(name, anchors);
                    }
                }
                Value::Text(text) => {
                    let index = self.push_text(&text, Kind::Variable, Weight::Word);
                    self.variables.remove(&name);
                    if let (Some(index), true) = (index, is_whole) {
                        self.variables.insert(name, vec![Anchor::At(index)]);
                    }
                }
                Value::Unknown => {
                    self.variables.remove(&name);
                    return sign + 1;
                }
            }
            return next.max(sign + 1);
        }
        self.expression(at)
    }

    /// Whatever begins here: takes the paths in it. Where reading goes on.
    pub fn expression(&mut self, at: usize) -> usize {
        let Some(token) = self.tokens.get(at) else { return at + 1 };
        match token.what {
            What::Name => {}
            What::Text { .. } => {
                let (value, next) = self.value(at);
                match value {
                    Value::Text(text) => drop(self.push_text(&text, Kind::Argument, Weight::Word)),
                    Value::Path(path) => drop(self.push_expression(&path, Kind::Argument, Weight::Likely, next)),
                    Value::Unknown => {
                        if let What::Text { start, end, .. } = token.what {
                            super::super::words::read_prose(self.source, start..end, self.said);
                        }
                        return at + 1;
                    }
                }
                return next.max(at + 1);
            }
            _ => return at + 1,
        }
        if let Some(next) = self.known_call(at) {
            return next;
        }
        match self.value(at) {
            (Value::Path(path), next) => {
                self.push_expression(&path, Kind::Argument, Weight::Likely, next);
                next.max(at + 1)
            }
            // What is not understood is looked into.
            _ => at + 1,
        }
    }

    /// Calls whose arguments are told apart: `open`, `sys.path.insert`, `subprocess.run`.
    fn known_call(&mut self, at: usize) -> Option<usize> {
        let (name, open) = self.called(at)?;
        match name {
            b"open"
            | b"io.open"
            | b"codecs.open"
            | b"pd.read_csv"
            | b"pd.read_json"
            | b"load_dotenv"
            | b"dotenv.load_dotenv" => {
                let (value, next) = self.value(open + 1);
                let writes = name.ends_with(b"open") && self.is(next, b",") && {
                    let mode = self.text(next + 1);
                    mode.first().is_some_and(|byte| matches!(byte, b'"' | b'\''))
                        && mode.iter().any(|byte| b"wax".contains(byte))
                };
                let weight = if writes { Weight::Made } else { Weight::Likely };
                match value {
                    Value::Text(text) => drop(self.push_text(&text, Kind::Open, weight)),
                    Value::Path(path) => {
                        let anchors = self.push_expression(&path, Kind::Open, weight, next);
                        self.said.used(&anchors, writes, name.ends_with(b"open") && !writes);
                    }
                    Value::Unknown => return Some(open + 1),
                }
                Some(next.max(open + 1))
            }
            b"sys.path.insert" | b"sys.path.append" | b"site.addsitedir" => {
                let mut start = open + 1;
                if name.ends_with(b"insert") && self.is(start + 1, b",") {
                    start += 2;
                }
                let (value, next) = self.value(start);
                match value {
                    Value::Text(text) => {
                        if let Some(index) = self.push_text(&text, Kind::Folder, Weight::Likely) {
                            self.said.module_roots.push(Anchor::At(index));
                        }
                    }
                    Value::Path(path) => {
                        let anchors = self.push_expression(&path, Kind::Folder, Weight::Likely, next);
                        self.said.wake(&anchors);
                        self.said.module_roots.extend(anchors);
                    }
                    Value::Unknown => return Some(open + 1),
                }
                Some(next.max(open + 1))
            }
            b"os.system"
            | b"subprocess.run"
            | b"subprocess.call"
            | b"subprocess.check_call"
            | b"subprocess.check_output"
            | b"subprocess.Popen"
            | b"subprocess.getoutput"
            | b"os.popen" => {
                // A string is a command line.
                if let Some(What::Text { start, end, is_raw: false, is_format: false, is_long: false }) =
                    self.tokens.get(open + 1).map(|token| token.what)
                {
                    let quote = self.source.bytes[start - 1];
                    let script = self.source.unescaped(start..end, Outer::Quoted(quote));
                    if script.bytes.contains(&b' ') {
                        shell::read(&script, shell::Place::Example, &[Anchor::Cwd], self.said);
                        return Some(open + 2);
                    }
                }
                None
            }
            _ => None,
        }
    }

    /// The dotted name of a call that begins here, and the place of its bracket.
    fn called(&self, at: usize) -> Option<(&'a [u8], usize)> {
        if !self.is_name(at) {
            return None;
        }
        let mut next = at + 1;
        while self.is(next, b".") && self.is_name(next + 1) {
            next += 2;
        }
        let name = self.tokens[at].span.start..self.tokens[next - 1].span.end;
        self.is(next, b"(").then(|| (&self.source.bytes[name], next))
    }

    /// What an expression gives, and the token behind it.
    fn value(&mut self, at: usize) -> (Value, usize) {
        if self.depth > 30 {
            return (Value::Unknown, at + 1);
        }
        self.depth += 1;
        let (mut value, mut next) = self.primary(at);
        loop {
            let is_slash = self.is(next, b"/") && !self.is(next + 1, b"/");
            let is_plus = self.is(next, b"+");
            if !(is_slash || is_plus) || matches!(value, Value::Unknown) {
                break;
            }
            let joint = self.tokens[next - 1].span.end;
            let (right, after) = self.primary(next + 1);
            match &mut value {
                Value::Path(path) => {
                    match &right {
                        Value::Text(text) => {
                            if !path.join(text, joint, is_plus) {
                                value = Value::Unknown;
                            }
                        }
                        Value::Unknown if is_slash => path.join_unknown(),
                        Value::Path(other)
                            if is_slash && path.parts.is_empty() && path.is_bare() && other.is_bare() =>
                        {
                            path.join_unknown()
                        }
                        _ => value = Value::Unknown,
                    }
                    if let Value::Path(path) = &mut value {
                        path.range.end = self.tokens[after - 1].span.end;
                    }
                }
                Value::Text(text) if is_plus => {
                    // `"dir/" + name`
                    let end = text.bytes.len();
                    text.known.get_or_insert(end);
                    text.bytes.push(b'*');
                    if let Value::Text(more) = right {
                        text.bytes.pop();
                        text.bytes.extend_from_slice(&more.bytes);
                    }
                }
                _ => {}
            }
            next = after;
        }
        self.depth -= 1;
        (value, next)
    }

    fn primary(&mut self, at: usize) -> (Value, usize) {
        let Some(token) = self.tokens.get(at) else { return (Value::Unknown, at + 1) };
        let start = token.span.start;
        let (mut value, mut next) = match token.what {
            What::Text { .. } => self.string(at),
            What::Name => self.named(at),
            What::Sign if self.is(at, b"(") => {
                let (value, next) = self.value(at + 1);
                if self.is(next, b")") { (value, next + 1) } else { (Value::Unknown, self.behind_brackets(at)) }
            }
            What::Sign if self.is(at, b"[") || self.is(at, b"{") => (Value::Unknown, at + 1),
            _ => (Value::Unknown, at + 1),
        };
        // What follows with a dot.
        while self.is(next, b".") && self.is_name(next + 1) {
            let Value::Path(path) = &mut value else {
                // `x.y(…)`: the arguments are read on their own.
                if matches!(value, Value::Text(_)) {
                    value = Value::Unknown;
                    next = self.behind(next - 1);
                }
                break;
            };
            let name = self.text(next + 1);
            let is_call = self.is(next + 2, b"(");
            match (name, is_call) {
                (b"parent", false) => {
                    path.parent(self.tokens[next].span.start..self.tokens[next + 1].span.end);
                    next += 2;
                }
                (b"parents", false) if self.is(next + 2, b"[") => {
                    let digits = self.tokens.get(next + 3).map(|token| token.span.clone()).unwrap_or(0..0);
                    let number =
                        std::str::from_utf8(&self.source.bytes[digits.clone()]).ok().and_then(|text| text.parse().ok());
                    let Some(number) = number.filter(|number: &usize| *number < 30) else {
                        value = Value::Unknown;
                        break;
                    };
                    path.parents(number, digits);
                    next += 5;
                }
                (b"resolve" | b"absolute" | b"as_posix" | b"expanduser" | b"__str__", true) => {
                    next = self.behind_brackets(next + 2)
                }
                (b"joinpath", true) => {
                    let mut joint = self.tokens[next].span.start;
                    let mut argument = next + 3;
                    while !self.is(argument, b")") && argument < self.tokens.len() {
                        let (right, after) = self.value(argument);
                        match &right {
                            Value::Text(text) => drop(path.join(text, joint, false)),
                            _ => path.join_unknown(),
                        }
                        // Only the further ones can go with their comma.
                        joint = self.tokens[after - 1].span.end;
                        argument = after + usize::from(self.is(after, b","));
                        if !self.is(after, b",") {
                            break;
                        }
                    }
                    next = self.behind_brackets(next + 2);
                }
                _ => break,
            }
            if let Value::Path(path) = &mut value {
                path.range = start..self.tokens[next.min(self.tokens.len()) - 1].span.end;
            }
        }
        (value, next)
    }

    fn named(&mut self, at: usize) -> (Value, usize) {
        let name = self.text(at);
        if name == b"__file__" {
            return (Value::Path(Expression::file(self.tokens[at].span.clone())), at + 1);
        }
        if let Some((call, open)) = self.called(at) {
            let close = self.behind_brackets(open);
            match call {
                b"Path" | b"pathlib.Path" | b"PurePath" | b"pathlib.PurePath" => {
                    if self.is(open + 1, b")") {
                        return (Value::Path(Expression::at(vec![Anchor::Cwd], self.span(at, close))), close);
                    }
                    return (self.joined(open, at, close), close);
                }
                b"os.path.join" | b"path.join" | b"osp.join" | b"op.join" | b"join" => {
                    return (self.joined(open, at, close), close);
                }
                b"str"
                | b"os.path.abspath"
                | b"os.path.realpath"
                | b"os.path.normpath"
                | b"os.fspath"
                | b"abspath"
                | b"realpath"
                | b"path.abspath"
                | b"osp.abspath"
                | b"op.abspath"
                | b"osp.realpath"
                | b"os.path.expanduser"
                | b"os.path.relpath"
                | b"inspect.getfile" => {
                    let (value, next) = self.value(open + 1);
                    if !self.is(next, b")") {
                        return (Value::Unknown, open + 1);
                    }
                    return (
                        match value {
                            Value::Path(path) => Value::Path(Expression { range: self.span(at, close), ..path }),
                            Value::Text(text) if call != b"str" => Value::Text(text),
                            _ => Value::Unknown,
                        },
                        close,
                    );
                }
                b"os.path.dirname" | b"dirname" | b"path.dirname" | b"osp.dirname" | b"op.dirname" => {
                    let (value, next) = self.value(open + 1);
                    if let (Value::Path(mut path), true) = (value, self.is(next, b")")) {
                        let inner = self.tokens[open].span.end;
                        path.dirname(self.tokens[at].span.start..inner, self.tokens[next].span.clone());
                        path.range = self.span(at, close);
                        return (Value::Path(path), close);
                    }
                    return (Value::Unknown, open + 1);
                }
                b"os.getcwd" | b"Path.cwd" | b"pathlib.Path.cwd" | b"os.getcwdb" => {
                    return (Value::Path(Expression::at(vec![Anchor::Cwd], self.span(at, close))), close);
                }
                _ => return (Value::Unknown, self.behind(at)),
            }
        }
        // `self.root`: the longest dotted name that is known.
        let start = self.tokens[at].span.start;
        let mut next = at + 1;
        let mut known = None;
        loop {
            let name = &self.source.bytes[start..self.tokens[next - 1].span.end];
            if let Some(anchors) = self.variables.get(name) {
                known = Some((anchors.clone(), next));
            }
            if !self.is(next, b".") || !self.is_name(next + 1) || self.variables.is_empty() {
                break;
            }
            next += 2;
        }
        match known {
            Some((anchors, next)) => (Value::Path(Expression::at(anchors, self.span(at, next))), next),
            None => (Value::Unknown, self.behind(at)),
        }
    }

    /// The token behind a name and all that hangs on it: `.x`, `(…)`, `[…]`.
    fn behind(&self, at: usize) -> usize {
        let mut next = at + 1;
        loop {
            if self.is(next, b".") && self.is_name(next + 1) {
                next += 2;
            } else if self.is(next, b"(") || self.is(next, b"[") {
                next = self.behind_brackets(next);
            } else {
                return next;
            }
        }
    }
    /// The comma or bracket that ends the argument which `at` is in.
    fn argument_end(&self, mut at: usize, depth: usize) -> usize {
        while let Some(token) = self.tokens.get(at) {
            let is_end = token.depth < depth || token.depth == depth && self.is(at, b",");
            if is_end {
                return at;
            }
            at += 1;
        }
        at
    }

    fn span(&self, from: usize, to: usize) -> Range<usize> {
        self.tokens[from].span.start..self.tokens[to.clamp(1, self.tokens.len()) - 1].span.end
    }

    /// The arguments of a call, joined to a path; a single string stays one.
    fn joined(&mut self, open: usize, start: usize, close: usize) -> Value {
        let depth = self.tokens[open].depth;
        let (mut value, mut next) = self.value(open + 1);
        if !self.is(next, b")") && !self.is(next, b",") {
            return Value::Unknown;
        }
        let is_single = self.is(next, b")");
        if let (Value::Text(text), false) = (&value, is_single) {
            // `os.path.join("a", "b")`: read from where it runs.
            let mut path = Expression::at(vec![Anchor::Cwd], self.span(start, close));
            let text = text.clone();
            value = if text.bytes.first() != Some(&b'/') && path.join(&text, text.range.start - 1, false) {
                Value::Path(path)
            } else {
                Value::Unknown
            };
        }
        while self.is(next, b",") && !self.is(next + 1, b")") {
            let joint = self.tokens[next].span.start;
            let (mut right, mut after) = self.value(next + 1);
            if !self.is(after, b",") && !self.is(after, b")") {
                (right, after) = (Value::Unknown, self.argument_end(after, depth));
            }
            if let Value::Path(path) = &mut value {
                match &right {
                    Value::Text(text) if text.bytes.first() == Some(&b'/') => value = Value::Unknown,
                    Value::Text(text) => drop(path.join(text, joint, false)),
                    _ => path.join_unknown(),
                }
            }
            if after <= next {
                break;
            }
            next = after;
        }
        if !self.is(next, b")") {
            // Something in it is not understood: what is known of it may be wrong.
            return Value::Unknown;
        }
        if let Value::Path(path) = &mut value {
            path.range = self.span(start, close);
        }
        value
    }

    /// The token behind the bracket that closes the one at `open`.
    fn behind_brackets(&self, open: usize) -> usize {
        let partner = self.tokens.get(open).map_or(usize::MAX, |token| token.partner);
        partner.saturating_add(1).min(self.tokens.len())
    }

    fn string(&mut self, at: usize) -> (Value, usize) {
        let mut next = at + 1;
        // Strings side by side are one.
        while self.tokens.get(next).is_some_and(|token| matches!(token.what, What::Text { .. })) {
            next += 1;
        }
        let What::Text { start, end, is_raw, is_format, is_long } = self.tokens[at].what else {
            return (Value::Unknown, next);
        };
        if next > at + 1 || is_long {
            return (Value::Unknown, next);
        }
        let raw = &self.source.bytes[start..end];
        let quote = self.source.bytes[start - 1];
        if raw.contains(&b'\\') && !is_raw {
            return (Value::Unknown, next);
        }
        if !is_format || !raw.contains(&b'{') {
            let text = Text { bytes: raw.to_vec(), range: start..end, quote, known: None, is_plain: is_raw };
            return (Value::Text(text), next);
        }
        (self.format(start..end, quote, is_raw), next)
    }

    /// `f"{ROOT}/x/{name}.sql"`
    fn format(&self, range: Range<usize>, quote: u8, is_raw: bool) -> Value {
        let raw = &self.source.bytes[range.clone()];
        let mut text = Vec::new();
        let mut known = None;
        let mut base = None;
        let mut start = range.start;
        let mut at = 0;
        while at < raw.len() {
            match raw[at] {
                b'{' if raw.get(at + 1) == Some(&b'{') => {
                    text.push(b'{');
                    at += 2;
                }
                b'{' => {
                    let Some(length) = raw[at..].iter().position(|byte| *byte == b'}') else { return Value::Unknown };
                    let name = raw[at + 1..at + length].trim_ascii();
                    match self.variables.get(name) {
                        Some(anchors) if at == 0 => {
                            base = Some(anchors.clone());
                            start += length + 1;
                        }
                        _ => {
                            known.get_or_insert(text.len());
                            text.push(b'*');
                        }
                    }
                    at += length + 1;
                }
                byte => {
                    text.push(byte);
                    at += 1;
                }
            }
        }
        let text = Text { bytes: text, range: start..range.end, quote, known, is_plain: is_raw };
        match base {
            None => Value::Text(text),
            Some(anchors) => {
                let mut path = Expression::at(anchors, range);
                if text.bytes.is_empty() || path.join(&text, start, true) { Value::Path(path) } else { Value::Unknown }
            }
        }
    }

    /// Takes a path for a mention, unless it is only where it begins.
    fn push_expression(&mut self, path: &Expression, kind: Kind, weight: Weight, next: usize) -> Vec<Anchor> {
        if path.is_file {
            return Vec::new();
        }
        if path.is_bare() && path.parts.iter().all(|part| !matches!(part, Part::Literal { .. })) {
            return path.bases.clone();
        }
        // One more name goes behind it: `.joinpath("x")`, or `, "x"` before the bracket of a join.
        let end = path.range.end;
        let closes = self.source.bytes[..end].ends_with(b")") && next > 0;
        let is_join = closes && bytes::contains(&self.source.bytes[path.range.clone()], b"join(");
        let gap = if is_join {
            Some(Part::Gap { at: end - 1, before: b", \"".to_vec(), after: b"\"".to_vec() })
        } else if path.parts.iter().any(|part| matches!(part, Part::Parents { .. } | Part::Index { .. })) {
            Some(Part::Gap { at: end, before: b".joinpath(\"".to_vec(), after: b"\")".to_vec() })
        } else {
            None
        };
        let index = self.said.push(self.source, path.mention(kind, weight, gap));
        self.said.wake(&path.bases);
        vec![Anchor::At(index)]
    }

    /// A string by itself: a path read from where the program runs, if it is one.
    fn push_text(&mut self, text: &Text, kind: Kind, weight: Weight) -> Option<usize> {
        let bytes = &text.bytes;
        if bytes.contains(&b' ') || bytes.contains(&b'\n') {
            let is_file = text.known.is_none() && bytes.contains(&b'/') && bytes::extension(bytes).is_some();
            if !is_file || bytes.contains(&b'\n') {
                super::super::words::read_prose(self.source, text.range.clone(), self.said);
                return None;
            }
        }
        let is_candidate = bytes::may_be_path(bytes)
            && bytes[0] != b'/'
            && bytes[0] != b'~'
            && (weight != Weight::Word || bytes.contains(&b'/'));
        let is_name = weight == Weight::Word && kind == Kind::Variable && text.known.is_none() && bytes::is_name(bytes);
        if !is_candidate && !is_name {
            return None;
        }
        let weight = if is_candidate { weight } else { Weight::Idle };
        let outer = if text.is_plain { Outer::Literal(text.quote) } else { Outer::Quoted(text.quote) };
        let (cut, tail) = match text.known {
            None => (bytes.len(), Vec::new()),
            Some(known) => {
                let cut = bytes[..known].iter().rposition(|byte| *byte == b'/').map(|slash| slash + 1)?;
                (cut, bytes[cut..].to_vec())
            }
        };
        let part = self.source.part(text.range.start..text.range.start + cut, outer);
        let mut mention =
            Mention::new(kind, 0..cut, &bytes[..cut], Anchor::Cwd).weight(weight).spelled(Spelling::of(Inner::Bare));
        mention.is_pattern = bytes::has_wildcard(&tail);
        mention.tail = tail;
        Some(self.said.push(&part, mention))
    }
}
