//! Paths in JavaScript's expressions: `path.join(__dirname, '..', 'x')`, `` `${ROOT}/x` ``, `new URL('x', import.meta.url)`.

use std::ops::{Deref, DerefMut, Range};

use super::super::super::mention::{Anchor, Said, Weight};
use super::super::super::source::{Outer, Source};
use super::super::super::spelling::Part;
use super::super::super::{Kind, bytes};
use super::super::expression::{Expression, Text, Value};
use super::super::program::{DEEPEST, Evaluate, Program, Quoted, Token, What};
use super::super::shell;
use super::tokens::hole_end;

pub(super) struct Paths<'a> {
    program: Program<'a>,
    /// Names that are the path of the file itself: `const __filename = …`.
    files: Vec<Vec<u8>>,
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
        Paths { program: Program::new(source, tokens, said), files: Vec::new() }
    }

    /// Something that begins with a name: perhaps an assignment. Where reading goes on.
    pub fn statement(&mut self, at: usize) -> usize {
        let mut sign = self.behind_name(at);
        let name = self.span(at, sign);
        // `const X: string = …`
        if self.is(sign, b":") && self.is_name(sign + 1) && self.is(sign + 2, b"=") {
            sign += 2;
        }
        let is_assignment = self.is(sign, b"=") && !self.is(sign + 1, b"=") && !self.is(sign + 1, b">");
        if !is_assignment {
            return self.expression(at);
        }
        let name = self.source.bytes[name].to_vec();
        let (value, next) = self.value(sign + 1);
        match value {
            Value::Path(path) if path.is_file => {
                self.files.push(name);
                next
            }
            Value::Path(path) => {
                let anchors = self.push_expression(&path, Kind::Variable, Weight::Likely);
                self.variables.insert(name, anchors);
                next
            }
            Value::Text(text) => {
                self.variables.remove(&name);
                if let Some(index) = self.push_text(&text, Kind::Variable, Weight::Word) {
                    self.variables.insert(name, vec![Anchor::At(index)]);
                }
                next
            }
            Value::Unknown => {
                self.variables.remove(&name);
                sign + 1
            }
        }
    }

    pub fn expression(&mut self, at: usize) -> usize {
        let Some(token) = self.tokens.get(at) else { return at + 1 };
        match token.what {
            What::Name => {
                if let Some(next) = self.known_call(at) {
                    return next;
                }
            }
            What::Text(_) => {}
            What::Sign | What::Comment | What::Other | What::Line => return at + 1,
        }
        match self.value(at) {
            (Value::Path(path), next) => {
                if !path.is_file {
                    self.push_expression(&path, Kind::Argument, Weight::Likely);
                }
                next.max(at + 1)
            }
            (Value::Text(text), next) => {
                self.push_text(&text, Kind::Argument, Weight::Word);
                next.max(at + 1)
            }
            (Value::Unknown, _) => {
                if let What::Text(Quoted { start, end, .. }) = token.what {
                    self.prose(start..end);
                }
                at + 1
            }
        }
    }

    fn known_call(&mut self, at: usize) -> Option<usize> {
        // The last name of a call: `fs.readFileSync(`, `readFileSync(`.
        let mut name = at;
        while self.is(name + 1, b".") && self.is_name(name + 2) {
            name += 2;
        }
        let open = name + 1;
        if !self.is(open, b"(") {
            return None;
        }
        let weight = match self.text(name) {
            b"readFileSync" | b"readFile" | b"createReadStream" | b"existsSync" | b"readdirSync" | b"readdir"
            | b"statSync" | b"access" | b"accessSync" | b"lstatSync" | b"readJson" | b"readJsonSync" | b"readJSON"
            | b"copyFileSync" | b"loadEnvFile" => Weight::Likely,
            b"writeFileSync" | b"writeFile" | b"createWriteStream" | b"mkdirSync" | b"mkdir" | b"appendFileSync"
            | b"appendFile" | b"outputFile" | b"outputFileSync" | b"writeJson" | b"writeJsonSync" | b"ensureDir"
            | b"ensureDirSync" | b"mkdirp" => Weight::Made,
            b"exec" | b"execSync" | b"execa" | b"execaCommand" | b"execaCommandSync" => {
                let inner = match self.tokens.get(open + 1).map(|token| token.what) {
                    Some(What::Text(text))
                        if !text.is_format || !self.source.bytes[text.start..text.end].contains(&b'$') =>
                    {
                        text.start..text.end
                    }
                    _ => return None,
                };
                let quote = self.source.bytes[inner.start - 1];
                let script = self.source.unescaped(inner, Outer::Quoted(quote));
                if !script.bytes.contains(&b' ') {
                    return None;
                }
                shell::read(&script, shell::Place::Example, &[Anchor::Cwd], self.said);
                return Some(open + 2);
            }
            _ => return None,
        };
        let (value, next) = self.value(open + 1);
        match value {
            Value::Path(path) if !path.is_file => {
                let anchors = self.push_expression(&path, Kind::Open, weight);
                let reads = self.text(name).starts_with(b"read") || self.text(name) == b"createReadStream";
                self.said.used(&anchors, weight == Weight::Made, reads);
            }
            Value::Text(text) => drop(self.push_text(&text, Kind::Open, weight)),
            _ => return Some(open + 1),
        }
        Some(next)
    }

    fn primary(&mut self, at: usize) -> (Value, usize) {
        let Some(token) = self.tokens.get(at) else { return (Value::Unknown, at + 1) };
        let (mut value, mut next) = match token.what {
            What::Text(Quoted { start, end, is_format: false, .. }) => {
                let raw = &self.source.bytes[start..end];
                if raw.contains(&b'\\') {
                    (Value::Unknown, at + 1)
                } else {
                    let quote = self.source.bytes[start - 1];
                    (
                        Value::Text(Text {
                            bytes: raw.to_vec(),
                            range: start..end,
                            quote,
                            known: None,
                            is_plain: false,
                        }),
                        at + 1,
                    )
                }
            }
            What::Text(Quoted { start, end, .. }) => (self.template(start..end), at + 1),
            What::Name => self.named(at),
            What::Sign if self.is(at, b"(") => {
                let (value, next) = self.value(at + 1);
                if self.is(next, b")") { (value, next + 1) } else { (Value::Unknown, self.behind_brackets(at)) }
            }
            _ => (Value::Unknown, at + 1),
        };
        while self.is(next, b".") && self.is_name(next + 1) {
            match (&value, self.text(next + 1)) {
                (Value::Path(_), b"pathname" | b"href") => next += 2,
                (Value::Path(_), b"toString" | b"normalize") if self.is(next + 2, b"(") => {
                    next = self.behind_brackets(next + 2)
                }
                _ => {
                    value = Value::Unknown;
                    next = self.behind(next - 1);
                }
            }
        }
        (value, next)
    }

    fn named(&mut self, at: usize) -> (Value, usize) {
        let name = self.text(at);
        if name == b"new" {
            return self.new_url(at);
        }
        if name == b"await" {
            return self.primary(at + 1);
        }
        let mut next = at + 1;
        let mut known = self.known(name, at, next);
        while self.is(next, b".") && self.is_name(next + 1) {
            next += 2;
            let name = &self.source.bytes[self.span(at, next)];
            if let Some(found) = self.known(name, at, next) {
                known = Some(found);
            }
        }
        if let Some(found) = known {
            return found;
        }
        if !self.is(next, b"(") {
            return (Value::Unknown, self.behind(at));
        }
        let close = self.behind_brackets(next);
        match &self.source.bytes[self.span(at, next)] {
            b"process.cwd" => (Value::Path(Expression::at(vec![Anchor::Cwd], self.span(at, close))), close),
            b"path.join" | b"path.resolve" | b"join" | b"resolve" | b"path.posix.join" | b"nodePath.join"
            | b"nodePath.resolve" | b"require.resolve" => (self.joined(next, at, close, true), close),
            b"path.dirname" | b"dirname" => {
                let (value, end) = self.value(next + 1);
                match value {
                    Value::Path(mut path) if self.is(end, b")") => {
                        let inner = self.tokens[next].span.end;
                        path.dirname(self.tokens[at].span.start..inner, self.tokens[end].span.clone());
                        path.range = self.span(at, close);
                        (Value::Path(path), close)
                    }
                    _ => (Value::Unknown, close),
                }
            }
            b"fileURLToPath" | b"url.fileURLToPath" | b"path.normalize" | b"normalize" | b"realpathSync"
            | b"fs.realpathSync" | b"String" | b"pathToFileURL" => {
                let (value, end) = self.value(next + 1);
                match value {
                    Value::Path(path) if self.is(end, b")") => {
                        (Value::Path(Expression { range: self.span(at, close), ..path }), close)
                    }
                    _ => (Value::Unknown, close),
                }
            }
            _ => (Value::Unknown, self.behind(at)),
        }
    }

    /// A name whose value is known.
    fn known(&self, name: &[u8], from: usize, to: usize) -> Option<(Value, usize)> {
        let span = self.span(from, to);
        match name {
            b"__filename" | b"import.meta.url" | b"import.meta.filename" => {
                Some((Value::Path(Expression::file(span)), to))
            }
            b"__dirname" | b"import.meta.dirname" | b"import.meta.dir" => {
                Some((Value::Path(Expression::at(vec![Anchor::Own], span)), to))
            }
            name if self.files.iter().any(|file| file == name) => Some((Value::Path(Expression::file(span)), to)),
            name => {
                let anchors = self.variables.get(name)?;
                Some((Value::Path(Expression::at(anchors.clone(), span)), to))
            }
        }
    }

    /// `new URL('./x', import.meta.url)`
    fn new_url(&mut self, at: usize) -> (Value, usize) {
        if !self.is(at + 1, b"URL") || !self.is(at + 2, b"(") {
            return (Value::Unknown, at + 1);
        }
        let close = self.behind_brackets(at + 2);
        let (first, next) = self.value(at + 3);
        if let (Value::Text(text), true) = (first, self.is(next, b","))
            && let (Value::Path(base), _) = self.value(next + 1)
            && base.is_file
        {
            let mut path = Expression::at(base.bases, self.span(at, close));
            if text.bytes.first() != Some(&b'/')
                && !text.bytes.contains(&b':')
                && path.join(&text, text.range.start, false)
            {
                return (Value::Path(path), close);
            }
        }
        (Value::Unknown, close)
    }

    /// `` `${ROOT}/x/${name}.sql` ``
    fn template(&self, range: Range<usize>) -> Value {
        let raw = &self.source.bytes[range.clone()];
        if raw.contains(&b'\\') {
            return Value::Unknown;
        }
        let mut text = Vec::new();
        let mut known = None;
        let mut base = None;
        let mut start = range.start;
        let mut at = 0;
        while at < raw.len() {
            if raw[at] != b'$' || raw.get(at + 1) != Some(&b'{') {
                text.push(raw[at]);
                at += 1;
                continue;
            }
            let end = hole_end(raw, at + 2);
            let name = raw[at + 2..end.saturating_sub(1).max(at + 2)].trim_ascii();
            match self.known(name, 0, 0).map(|(value, _)| value) {
                Some(Value::Path(path)) if at == 0 && !path.is_file => {
                    base = Some(path.bases);
                    start += end;
                }
                _ if name == b"process.cwd()" && at == 0 => {
                    base = Some(vec![Anchor::Cwd]);
                    start += end;
                }
                _ => {
                    known.get_or_insert(text.len());
                    text.push(b'*');
                }
            }
            at = end;
        }
        let text = Text { bytes: text, range: start..range.end, quote: b'`', known, is_plain: false };
        match base {
            None => Value::Text(text),
            Some(anchors) => {
                let mut path = Expression::at(anchors, range);
                if text.bytes.is_empty() || path.join(&text, start, true) { Value::Path(path) } else { Value::Unknown }
            }
        }
    }

    fn push_expression(&mut self, path: &Expression, kind: Kind, weight: Weight) -> Vec<Anchor> {
        if path.is_bare() && path.parts.iter().all(|part| !matches!(part, Part::Literal { .. })) {
            return path.bases.clone();
        }
        let end = path.range.end;
        let expression = &self.source.bytes[path.range.clone()];
        let is_join = expression.ends_with(b")")
            && (bytes::contains(expression, b"join(") || bytes::contains(expression, b"resolve("));
        let gap = is_join.then(|| Part::Gap { at: end - 1, before: b", '".to_vec(), after: b"'".to_vec() });
        self.said.wake(&path.bases);
        let source = self.source;
        vec![Anchor::At(self.said.push(source, path.mention(kind, weight, gap)))]
    }
}

impl<'a> Evaluate<'a> for Paths<'a> {
    fn value(&mut self, at: usize) -> (Value, usize) {
        if self.depth > DEEPEST {
            return (Value::Unknown, at + 1);
        }
        self.depth += 1;
        let (mut value, mut next) = self.primary(at);
        while self.is(next, b"+")
            && !self.is(next + 1, b"+")
            && !self.is(next + 1, b"=")
            && !matches!(value, Value::Unknown)
        {
            let joint = self.tokens[next - 1].span.end;
            let (right, after) = self.primary(next + 1);
            match &mut value {
                Value::Path(path) => {
                    let is_joined = match &right {
                        Value::Text(text) => path.join(text, joint, path.tail.is_empty()),
                        _ if !path.text.is_empty() || !path.tail.is_empty() => {
                            path.join_unknown();
                            true
                        }
                        _ => false,
                    };
                    if is_joined {
                        path.range.end = self.tokens[after - 1].span.end;
                    } else {
                        value = Value::Unknown;
                    }
                }
                Value::Text(text) => {
                    let end = text.bytes.len();
                    text.known.get_or_insert(end);
                    match right {
                        Value::Text(more) => text.bytes.extend_from_slice(&more.bytes),
                        _ => text.bytes.push(b'*'),
                    }
                }
                Value::Unknown => {}
            }
            next = after;
        }
        self.depth -= 1;
        (value, next)
    }
}
