//! Paths in Python's expressions: `Path(__file__).parent / "x"`, `os.path.join(HERE, "..", "x")`, `open("x")`.

use std::ops::{Deref, DerefMut, Range};

use super::super::super::mention::{Anchor, Said, Weight};
use super::super::super::source::{Outer, Source};
use super::super::super::spelling::Part;
use super::super::super::{Kind, bytes};
use super::super::expression::{Expression, Text, Value};
use super::super::program::{DEEPEST, Evaluate, Program, Quoted, Token, What};
use super::super::shell;

pub(super) struct Paths<'a> {
    program: Program<'a>,
}

impl<'a> Deref for Paths<'a> {
    type Target = Program<'a>;

    fn deref(&self) -> &Program<'a> {
        &self.program
    }
}

impl DerefMut for Paths<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.program
    }
}

impl<'a> Paths<'a> {
    pub fn new(source: &'a Source<'a>, tokens: &'a [Token], said: &'a mut Said) -> Paths<'a> {
        Paths { program: Program::new(source, tokens, said) }
    }

    /// A statement that begins with a name: perhaps an assignment. Where reading goes on.
    pub fn statement(&mut self, at: usize) -> usize {
        // `NAME = …`, `self.NAME = …`, `NAME: Path = …`
        let mut sign = self.behind_name(at);
        let name = self.span(at, sign);
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
            What::Text(_) => {
                let (value, next) = self.value(at);
                match value {
                    Value::Text(text) => drop(self.push_text(&text, Kind::Argument, Weight::Word)),
                    Value::Path(path) => drop(self.push_expression(&path, Kind::Argument, Weight::Likely, next)),
                    Value::Unknown => {
                        if let What::Text(Quoted { start, end, .. }) = token.what {
                            self.prose(start..end);
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
                if let Some(What::Text(Quoted { start, end, is_raw: false, is_format: false, is_long: false })) =
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
        let next = self.behind_name(at);
        let name = self.span(at, next);
        self.is(next, b"(").then(|| (&self.source.bytes[name], next))
    }

    fn primary(&mut self, at: usize) -> (Value, usize) {
        let Some(token) = self.tokens.get(at) else { return (Value::Unknown, at + 1) };
        let start = token.span.start;
        let (mut value, mut next) = match token.what {
            What::Text(_) => self.string(at),
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
                    return (self.joined(open, at, close, false), close);
                }
                b"os.path.join" | b"path.join" | b"osp.join" | b"op.join" | b"join" => {
                    return (self.joined(open, at, close, false), close);
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

    fn string(&mut self, at: usize) -> (Value, usize) {
        let mut next = at + 1;
        // Strings side by side are one.
        while self.tokens.get(next).is_some_and(|token| matches!(token.what, What::Text(_))) {
            next += 1;
        }
        let What::Text(Quoted { start, end, is_raw, is_format, is_long }) = self.tokens[at].what else {
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
        let source = self.source;
        let index = self.said.push(source, path.mention(kind, weight, gap));
        self.said.wake(&path.bases);
        vec![Anchor::At(index)]
    }
}

impl<'a> Evaluate<'a> for Paths<'a> {
    fn value(&mut self, at: usize) -> (Value, usize) {
        if self.depth > DEEPEST {
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
}
