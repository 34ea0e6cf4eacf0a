//! Paths in JavaScript's expressions: `path.join(__dirname, '..', 'x')`, `` `${ROOT}/x` ``, `new URL('x', import.meta.url)`.

use std::collections::HashMap;
use std::ops::Range;

use super::super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::super::source::{Outer, Source};
use super::super::super::spelling::Part;
use super::super::super::{Kind, bytes};
use super::super::expression::{Expression, Text, Value};
use super::super::shell;
use super::tokens::{Token, What, hole_end};

pub(super) struct Paths<'a> {
    source: &'a Source<'a>,
    tokens: &'a [Token],
    pub said: &'a mut Said,
    variables: HashMap<Vec<u8>, Vec<Anchor>>,
    /// Names that are the path of the file itself: `const __filename = …`.
    files: Vec<Vec<u8>>,
    depth: usize,
}

impl<'a> Paths<'a> {
    pub fn new(source: &'a Source<'a>, tokens: &'a [Token], said: &'a mut Said) -> Paths<'a> {
        Paths { source, tokens, said, variables: HashMap::new(), files: Vec::new(), depth: 0 }
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
    fn span(&self, from: usize, to: usize) -> Range<usize> {
        self.tokens[from].span.start..self.tokens[to.clamp(1, self.tokens.len()) - 1].span.end
    }

    /// Something that begins with a name: perhaps an assignment. Where reading goes on.
    pub fn statement(&mut self, at: usize) -> usize {
        let mut sign = at + 1;
        while self.is(sign, b".") && self.is_name(sign + 1) {
            sign += 2;
        }
        let name = self.tokens[at].span.start..self.tokens[sign - 1].span.end;
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
            What::Text { .. } | What::Template { .. } => {}
            What::Sign | What::Comment | What::Other => return at + 1,
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
                if let What::Text { start, end } | What::Template { start, end } = token.what {
                    super::super::words::read_prose(self.source, start..end, self.said);
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
                    Some(What::Text { start, end }) => start..end,
                    Some(What::Template { start, end }) if !self.source.bytes[start..end].contains(&b'$') => start..end,
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

    /// What an expression gives, and the token behind it.
    fn value(&mut self, at: usize) -> (Value, usize) {
        if self.depth > 30 {
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

    fn primary(&mut self, at: usize) -> (Value, usize) {
        let Some(token) = self.tokens.get(at) else { return (Value::Unknown, at + 1) };
        let (mut value, mut next) = match token.what {
            What::Text { start, end } => {
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
            What::Template { start, end } => (self.template(start..end), at + 1),
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
            | b"nodePath.resolve" | b"require.resolve" => (self.joined(next, at, close), close),
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

    fn joined(&mut self, open: usize, start: usize, close: usize) -> Value {
        let depth = self.tokens[open].depth;
        let (mut value, mut next) = self.value(open + 1);
        if !self.is(next, b")") && !self.is(next, b",") {
            return Value::Unknown;
        }
        if let Value::Text(text) = &value {
            // `path.resolve('a', 'b')`: read from where it runs.
            let mut path = Expression::at(vec![Anchor::Cwd], self.span(start, close));
            let text = text.clone();
            let is_path = text.bytes.first() != Some(&b'/') && path.join(&text, text.range.start - 1, false);
            value = if is_path { Value::Path(path) } else { Value::Unknown };
        }
        if let Value::Path(path) = &mut value
            && path.is_file
        {
            // `join(__filename, '..', 'x')`: the first step up leads to its folder; rarely written, and not followed.
            value = Value::Unknown;
        }
        while self.is(next, b",") && !self.is(next + 1, b")") {
            let joint = self.tokens[next].span.start;
            let (mut right, mut after) = self.value(next + 1);
            if !self.is(after, b",") && !self.is(after, b")") {
                (right, after) = (Value::Unknown, self.argument_end(after, depth));
            }
            if let Value::Path(path) = &mut value {
                match &right {
                    Value::Text(text) if text.bytes.first() == Some(&b'/') && path.is_bare() => {
                        path.join(text, joint, false);
                    }
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
        if !(self.is(next, b")") || self.is(next, b",") && self.is(next + 1, b")")) {
            return Value::Unknown;
        }
        if let Value::Path(path) = &mut value {
            path.range = self.span(start, close);
        }
        value
    }

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
    fn argument_end(&self, mut at: usize, depth: usize) -> usize {
        while let Some(token) = self.tokens.get(at) {
            if token.depth < depth || token.depth == depth && self.is(at, b",") {
                return at;
            }
            at += 1;
        }
        at
    }
    fn behind_brackets(&self, open: usize) -> usize {
        let partner = self.tokens.get(open).map_or(usize::MAX, |token| token.partner);
        partner.saturating_add(1).min(self.tokens.len())
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
        vec![Anchor::At(self.said.push(self.source, path.mention(kind, weight, gap)))]
    }

    fn push_text(&mut self, text: &Text, kind: Kind, weight: Weight) -> Option<usize> {
        let bytes = &text.bytes;
        if bytes.contains(&b'\n') || bytes.contains(&b' ') && (text.known.is_some() || !is_file_with_blanks(bytes)) {
            super::super::words::read_prose(self.source, text.range.clone(), self.said);
            return None;
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
        let (cut, tail) = match text.known {
            None => (bytes.len(), Vec::new()),
            Some(known) => {
                let cut = bytes[..known].iter().rposition(|byte| *byte == b'/').map(|slash| slash + 1)?;
                (cut, bytes[cut..].to_vec())
            }
        };
        let part = self.source.part(text.range.start..text.range.start + cut, Outer::Quoted(text.quote));
        let mut mention = Mention::new(kind, 0..cut, &bytes[..cut], Anchor::Cwd).weight(weight);
        mention.is_pattern = bytes::has_wildcard(&tail);
        mention.tail = tail;
        Some(self.said.push(&part, mention))
    }
}

fn is_file_with_blanks(text: &[u8]) -> bool {
    text.contains(&b'/') && bytes::extension(text).is_some()
}
