//! One command of a shell: keywords, assignments, redirections, and what its arguments mean by the name of the program.

use super::super::super::mention::{Anchor, Mention, Weight};
use super::super::super::source::Outer;
use super::super::super::spelling::{Quote, Spelling};
use super::super::super::{Kind, bytes};
use super::values::Value;
use super::words::{Unit, What, Word};
use super::{BlockKind, HereDoc, Place, Reader, Shell};

impl Shell<'_> {
    /// Reads one simple command or one keyword.
    pub(super) fn command(&mut self) {
        let start = self.at;
        let mut words: Vec<Word> = Vec::new();
        let mut heredocs: Vec<(Vec<u8>, bool, bool)> = Vec::new();
        loop {
            self.skip_blanks();
            let Some(byte) = self.peek() else { break };
            match byte {
                b'\n' | b';' | b'|' | b')' => break,
                b'&' if self.byte(1) != Some(b'>') => break,
                b'#' => break,
                b'(' if words.len() == 1 && self.byte(1) == Some(b')') => {
                    // `name() {`
                    self.at += 2;
                    return self.function_body();
                }
                b'(' => break,
                b'<' | b'>' | b'&' => self.redirection(&mut heredocs),
                b'`' if self.depth > 0 && words.is_empty() && self.at == start => break,
                _ => {
                    let before = self.at;
                    let word = self.word();
                    if self.at == before {
                        break;
                    }
                    let is_number = matches!(self.peek(), Some(b'<' | b'>'))
                        && word.span.end == self.at
                        && word.literal().is_some_and(|text| text.iter().all(u8::is_ascii_digit));
                    if is_number {
                        continue;
                    }
                    if words.is_empty() {
                        if word.is_bare() && self.keyword(&word) {
                            return;
                        }
                        if self.assignment(&word) {
                            continue;
                        }
                    }
                    words.push(word);
                }
            }
        }
        self.result = Value::Unknown;
        let reader = self.reader_of(&words);
        for (end, strips_tabs, is_literal) in heredocs {
            self.heredocs.push(HereDoc { end, strips_tabs, is_literal, reader });
        }
        if !words.is_empty() {
            self.run(&words, start);
        }
    }

    /// Takes a keyword and what belongs to it. False when it is none.
    fn keyword(&mut self, word: &Word) -> bool {
        let Some(text) = word.literal() else { return false };
        match text.as_slice() {
            b"if" | b"while" | b"until" => self.open(BlockKind::Branch),
            b"then" | b"do" | b"else" | b"elif" | b"!" | b"time" => {}
            b"fi" | b"done" => self.close(BlockKind::Branch),
            b"{" => self.open(BlockKind::Brace),
            b"}" => self.close(if self.innermost() == Some(BlockKind::Function) {
                BlockKind::Function
            } else {
                BlockKind::Brace
            }),
            b"function" => {
                self.skip_blanks();
                self.word();
                self.skip_blanks();
                if self.peek() == Some(b'(') {
                    self.at = (self.at + 2).min(self.end);
                }
                self.function_body();
            }
            b"for" | b"select" => self.for_loop(),
            b"case" => {
                self.skip_blanks();
                self.word();
                while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
                    self.at += 1;
                }
                if self.keyword_at(b"in") {
                    self.at += 2;
                    self.open(BlockKind::CasePattern);
                }
            }
            b"esac" => self.close(BlockKind::Case),
            b"[[" => self.double_brackets(),
            _ => return false,
        }
        true
    }

    fn function_body(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        if self.peek() == Some(b'{') {
            self.at += 1;
            self.open(BlockKind::Function);
        }
    }

    /// `for NAME in words; do`
    fn for_loop(&mut self) {
        self.skip_blanks();
        if self.peek() == Some(b'(') {
            self.skip_arithmetic();
            return self.open(BlockKind::Branch);
        }
        let name = self.word().literal().unwrap_or_default();
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        let mut value = Value::Unknown;
        if self.keyword_at(b"in") {
            self.at += 2;
            let words = self.words_up_to(b"\n;");
            value = self.values(&words);
        }
        self.variables.insert(name, value);
        self.open(BlockKind::Branch);
    }

    fn words_up_to(&mut self, ends: &[u8]) -> Vec<Word> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return words,
                Some(byte) if ends.contains(&byte) => return words,
                Some(b'\n') => self.at += 1,
                Some(b'#') => self.at = self.line_end(),
                _ => {
                    let before = self.at;
                    let word = self.word();
                    if self.at == before {
                        self.at += 1;
                    } else {
                        words.push(word);
                    }
                }
            }
        }
    }

    fn values(&mut self, words: &[Word]) -> Value {
        let mut value: Option<Value> = None;
        for word in words {
            let next = self.assigned(word);
            value = Some(match value {
                None => next,
                Some(_) if next == Value::Unknown => Value::Unknown,
                Some(Value::Unknown) => Value::Unknown,
                Some(value) => value.or(next),
            });
        }
        value.unwrap_or(Value::Unknown)
    }

    /// `[[ … ]]`: words, of which some are paths that are asked for.
    fn double_brackets(&mut self) {
        let mut words: Vec<Word> = Vec::new();
        loop {
            while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || b"&|<>()\\;".contains(&byte)) {
                self.at += 1;
            }
            if self.peek().is_none() {
                break;
            }
            let before = self.at;
            let word = self.word();
            if self.at == before {
                self.at += 1;
                continue;
            }
            if word.literal().as_deref() == Some(b"]]") {
                break;
            }
            words.push(word);
        }
        self.test(&words);
    }

    fn test(&mut self, words: &[Word]) {
        for pair in words.windows(2) {
            let is_question = pair[0]
                .literal()
                .is_some_and(|text| text.len() == 2 && text[0] == b'-' && text[1].is_ascii_alphabetic());
            if is_question && !matches!(pair[0].literal().as_deref(), Some(b"-z" | b"-n")) {
                self.argument(&pair[1], Weight::Likely);
            }
        }
    }

    /// `NAME=value`, `NAME+=value`, `NAME=(…)`. False when the word is none.
    pub(super) fn assignment(&mut self, word: &Word) -> bool {
        let Some(sign) = word.position(b'=') else { return false };
        // `NAME[index]=…`
        let index = word.units[..sign].iter().position(|unit| unit.byte().is_none() || unit.byte() == Some(b'['));
        if let Some(index) = index.filter(|index| *index > 0)
            && word.units[..index]
                .iter()
                .filter_map(Unit::byte)
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.assigned(&part_of(word, sign + 1));
            return true;
        }
        let mut name: Vec<u8> = word.units[..sign].iter().filter_map(Unit::byte).collect();
        let appends = name.last() == Some(&b'+');
        if appends {
            name.pop();
        }
        let is_name = !name.is_empty()
            && !name[0].is_ascii_digit()
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && word.units[..sign].iter().all(|unit| unit.quote == Quote::None && unit.byte().is_some());
        if !is_name {
            return false;
        }
        let value = if word.units.len() == sign + 1 && self.peek() == Some(b'(') {
            self.at += 1;
            let words = self.words_up_to(b")");
            self.at = (self.at + 1).min(self.end);
            self.values(&words)
        } else {
            self.assigned(&part_of(word, sign + 1))
        };
        let value = match self.variables.get(&name) {
            Some(before) if appends && word.units.len() == sign + 1 => before.clone().or(value),
            _ if appends => Value::Unknown,
            Some(before) if self.is_conditional() => before.clone().or(value),
            _ => value,
        };
        self.variables.insert(name, value);
        true
    }

    fn redirection(&mut self, heredocs: &mut Vec<(Vec<u8>, bool, bool)>) {
        let rest = &self.text[self.at..self.end];
        if rest.starts_with(b"<(") || rest.starts_with(b">(") {
            self.at += 2;
            self.nested(Some(b')'));
            return;
        }
        if rest.starts_with(b"<<<") {
            self.at += 3;
            self.skip_blanks();
            let word = self.word();
            return self.prose(&word);
        }
        if rest.starts_with(b"<<") {
            let strips_tabs = rest.get(2) == Some(&b'-');
            self.at += if strips_tabs { 3 } else { 2 };
            self.skip_blanks();
            let word = self.word();
            let is_literal = !word.is_bare() || self.text[word.span.clone()].contains(&b'\\');
            heredocs.push((word.literal().unwrap_or_default(), strips_tabs, is_literal));
            return;
        }
        let writes = rest.contains(&b'>') && rest.iter().take(2).any(|byte| *byte == b'>');
        while matches!(self.peek(), Some(b'<' | b'>' | b'|' | b'&')) {
            self.at += 1;
        }
        self.skip_blanks();
        let word = self.word();
        let is_stream =
            word.literal().is_some_and(|text| text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-'));
        if is_stream || word.units.is_empty() {
            return;
        }
        for draft in self.drafts(&word, &word.units) {
            let is_certain = draft.is_joined() || draft.path().contains(&b'/');
            let read = if is_certain && !self.said.fetches { self.sure() } else { Weight::Likely };
            let weight = if writes { Weight::Made } else { read };
            if draft.whole.is_none() || writes {
                self.mention(&draft, Kind::Redirection, weight);
            }
        }
    }

    /// The weight of what must be there when this runs.
    fn sure(&self) -> Weight {
        if self.place == Place::Example { Weight::Likely } else { Weight::Sure }
    }

    fn reader_of(&self, words: &[Word]) -> Reader {
        let name =
            words.iter().filter_map(Word::literal).find(|text| !matches!(text.as_slice(), b"sudo" | b"env" | b"exec"));
        match name.as_deref().map(file_name) {
            Some(b"bash" | b"sh" | b"zsh" | b"dash") => Reader::Shell,
            Some(b"psql") => Reader::Sql,
            Some(b"ssh" | b"docker" | b"kubectl" | b"python" | b"python3" | b"node" | b"ruby" | b"perl") => {
                Reader::Nobody
            }
            _ => Reader::Words,
        }
    }

    /// What a command reads, runs and writes.
    pub(super) fn run(&mut self, words: &[Word], start: usize) {
        let Some((program, arguments)) = words.split_first() else { return };
        let Some(name) = program.literal() else {
            // `"$DIR/x.sh" …`, `$PYTHON x.py`
            return self.run_computed(program, arguments);
        };
        match file_name(&name) {
            b"$" | b"%" | b"-" | b"+" | b"@" | b"@-" | b"sudo" | b"exec" | b"command" | b"nohup" | b"builtin"
            | b"time" | b"nice" | b"ionice" | b"setsid" | b"stdbuf" | b"unbuffer" | b"doas" | b"dotenvx"
            | b"cross-env" | b"npx" | b"pnpx" | b"bunx" | b"xvfb-run" | b"winpty" | b"chronic" | b"env" | b"then"
            | b"RUN" => self.run_wrapped(arguments, start),
            b"timeout" | b"flock" | b"retry" | b"watch" | b"chroot" => {
                let skip = arguments.iter().position(|word| !word.starts_with(b"-")).map_or(0, |index| index + 1);
                self.run_wrapped(&arguments[skip.min(arguments.len())..], start);
            }
            b"eval" | b"concurrently" => arguments.iter().for_each(|word| self.nested_text(word)),
            b"xargs" | b"parallel" => self.run_wrapped(arguments, start),
            b"pnpm" | b"yarn" | b"npm" | b"bun" | b"poetry" | b"uv" | b"pipenv" | b"bundle" | b"rye" | b"hatch"
            | b"conda" => self.package_manager(arguments, start),
            b"export" | b"local" | b"declare" | b"readonly" | b"typeset" => {
                for word in arguments {
                    if !self.assignment(word) {
                        continue;
                    }
                }
            }
            b"cd" | b"pushd" => self.change_folder(&name, arguments),
            b"popd" => {
                if let Some(cwd) = self.pushed.pop() {
                    self.cwd = cwd;
                }
            }
            b"pwd" => self.result = Value::Path(self.cwd.clone()),
            b"source" | b"." => {
                if let Some(file) = arguments.first() {
                    self.program(file, Kind::Source, false);
                    self.arguments(&arguments[1..]);
                }
            }
            b"dirname" => self.dirname_of(arguments, start),
            b"readlink" | b"realpath" | b"greadlink" | b"grealpath" | b"cygpath" => {
                let last = arguments.iter().rfind(|word| !word.starts_with(b"-"));
                self.result = last.map_or(Value::Unknown, |word| self.assigned(word));
            }
            b"echo" | b"printf" | b"print" => {
                match arguments {
                    [word] => self.result = word.only_value().map_or(Value::Unknown, |(value, _)| value.clone()),
                    _ => self.result = Value::Unknown,
                }
                for word in arguments {
                    self.prose(word);
                }
            }
            b"git" => self.git(arguments),
            b"test" | b"[" => self.test(arguments),
            b"bash" | b"sh" | b"zsh" | b"dash" | b"ksh" | b"ash" => self.interpreter(arguments, true, b"c", b"oO"),
            b"python" | b"python2" | b"python3" | b"pypy" | b"pypy3" => self.python(arguments),
            b"node" | b"nodejs" | b"tsx" | b"ts-node" | b"ts-node-esm" | b"deno" | b"nodemon" | b"babel-node" => {
                let skip = usize::from(
                    arguments
                        .first()
                        .is_some_and(|word| matches!(word.literal().as_deref(), Some(b"watch" | b"run" | b"test"))),
                );
                self.interpreter(&arguments[skip..], false, b"ep", b"rC");
            }
            b"ruby" | b"perl" | b"php" | b"lua" | b"Rscript" | b"bats" | b"pwsh" | b"powershell" | b"osascript"
            | b"expect" => {
                self.interpreter(arguments, false, b"er", b"I");
            }
            b"docker" | b"podman" | b"nerdctl" | b"buildah" => self.docker(arguments),
            b"docker-compose" | b"podman-compose" => self.compose(arguments),
            b"make" | b"gmake" | b"just" | b"task" => self.make(arguments),
            b"mkdir" | b"touch" | b"tee" | b"mktemp" => self.all_made(arguments),
            b"cp" | b"mv" | b"ln" | b"install" | b"rsync" => self.copies(arguments),
            b"ssh" | b"scp" | b"sftp" | b"kubectl" if remote(&name, arguments) => self.options_only(arguments),
            b"curl" | b"wget" | b"unzip" | b"gunzip" | b"aria2c" | b"gsutil" | b"aws" | b"7z" | b"degit" => {
                self.said.fetches = true;
                self.arguments_with(arguments, &[b"-o", b"-O", b"--output", b"-d"], Weight::Made);
            }
            b"tar" => {
                self.said.fetches = true;
                self.arguments(arguments);
            }
            b"virtualenv" | b"venv" => self.all_made(arguments),
            b"rm" | b"rmdir" | b"unlink" => self.arguments(arguments),
            b"set" | b"shift" | b"exit" | b"return" | b"trap" | b"kill" | b"sleep" | b"unset" | b"read"
            | b"getopts" | b"wait" | b"alias" | b"true" | b"false" | b":" | b"let" | b"umask" | b"ulimit"
            | b"shopt" => {}
            _ => {
                if name.contains(&b'/') {
                    self.program(program, Kind::Call, true);
                }
                self.arguments(arguments);
            }
        }
    }

    /// A command whose name is a path with an expansion in it.
    fn run_computed(&mut self, program: &Word, arguments: &[Word]) {
        let is_path = program.units.iter().any(|unit| unit.byte() == Some(b'/'));
        if is_path
            || program.only_value().is_some_and(|(value, _)| matches!(value, Value::Path(_) | Value::Text(_, Some(_))))
        {
            self.program(program, Kind::Call, true);
            return self.arguments(arguments);
        }
        // `$PYTHON script.py`, `$SUDO bash x.sh`: what the variable holds is not known; the words tell enough.
        match arguments.first().and_then(Word::literal) {
            Some(name) if bytes::is_program(&name) && !name.starts_with(b"-") => {
                self.program(&arguments[0], Kind::Call, false);
                self.arguments(&arguments[1..]);
            }
            _ => self.arguments(arguments),
        }
    }

    fn run_wrapped(&mut self, arguments: &[Word], start: usize) {
        let mut rest = arguments;
        while let Some(word) = rest.first() {
            if word.starts_with(b"-") {
                if word.starts_with(b"-C") || word.starts_with(b"--chdir") {
                    return self.arguments(rest);
                }
                rest = &rest[1..];
            } else if word.position(b'=').is_some_and(|index| index > 0) && self.assignment(word) {
                rest = &rest[1..];
            } else {
                break;
            }
        }
        if !rest.is_empty() {
            self.run(rest, start);
        }
    }

    /// `pnpm exec X`, `poetry run X`, `npm --prefix DIR run Y`.
    fn package_manager(&mut self, arguments: &[Word], start: usize) {
        let mut rest = arguments;
        while let Some((word, next)) = rest.split_first() {
            match word.literal().as_deref() {
                Some(b"--prefix" | b"-C" | b"--dir" | b"--cwd" | b"--directory" | b"--project") if !next.is_empty() => {
                    self.folder(&next[0]);
                    rest = &next[1..];
                }
                Some(b"exec" | b"run" | b"dlx" | b"x")
                    if next.first().is_some_and(|word| {
                        word.literal().is_some_and(|text| is_tool(&text) || text == b"--" || bytes::is_program(&text))
                    }) =>
                {
                    let next = if next[0].literal().as_deref() == Some(b"--") { &next[1..] } else { next };
                    return match next.first().and_then(Word::literal) {
                        Some(name) if bytes::is_program(&name) => {
                            self.program(&next[0], Kind::Call, false);
                            self.arguments(&next[1..]);
                        }
                        _ => self.run(next, start),
                    };
                }
                Some(name) if is_tool(name) => return self.run(rest, start),
                Some(b"create" | b"init") => {
                    self.said.fetches = true;
                    rest = next;
                }
                _ => {
                    self.argument(word, Weight::Likely);
                    rest = next;
                }
            }
        }
    }

    fn change_folder(&mut self, name: &[u8], arguments: &[Word]) {
        let target = arguments.iter().find(|word| !word.starts_with(b"-") || word.literal().as_deref() == Some(b"-"));
        let before = self.cwd.clone();
        let Some(word) = target else {
            self.cwd = vec![Anchor::Outside];
            return;
        };
        if word.literal().as_deref() == Some(b"-") {
            if let Some(cwd) = self.pushed.pop() {
                self.cwd = cwd;
            }
            return;
        }
        let drafts = self.drafts(word, &word.units);
        let mut cwd = Vec::new();
        for draft in &drafts {
            if draft.has_pattern() {
                cwd.push(Anchor::Outside);
                continue;
            }
            let is_own =
                draft.whole.as_deref() == Some(&[Anchor::Own]) || draft.whole.as_deref() == Some(&[Anchor::Root]);
            let weight = if self.said.fetches { Weight::Likely } else { self.sure() };
            let index = self.mention(draft, Kind::Folder, weight);
            if is_own && self.depth > 0 {
                // `$(cd "$(dirname "$0")" && pwd)` is the own folder, wherever that is.
                cwd.extend(draft.whole.clone().unwrap_or_default());
                self.said.mentions.truncate(index);
            } else {
                cwd.push(Anchor::At(index));
            }
        }
        if cwd.is_empty() {
            cwd.push(Anchor::Outside);
        }
        if name == b"pushd" || self.pushed.is_empty() {
            self.pushed.push(before);
        } else if let Some(last) = self.pushed.last_mut() {
            *last = before;
        }
        self.cwd = cwd;
    }

    fn dirname_of(&mut self, arguments: &[Word], start: usize) {
        let Some(word) = arguments.iter().find(|word| !word.starts_with(b"-")) else { return };
        let Some((value, inner)) = word.only_value() else {
            // `dirname "$ROOT/x/y"`
            let anchors: Vec<Anchor> = self
                .drafts(word, &word.units)
                .iter()
                .map(|draft| Anchor::At(self.mention(draft, Kind::Argument, Weight::Likely)))
                .collect();
            self.result = if anchors.is_empty() { Value::Unknown } else { self.folder_of(&Value::Path(anchors)) };
            return;
        };
        // `$(dirname "$X")`: two bytes before the command begins the substitution.
        let (value, inner) = (value.clone(), inner.clone());
        let opens = start.checked_sub(2).filter(|at| self.text[*at..].starts_with(b"$("));
        let closes = self.peek() == Some(b')');
        self.result = match (opens, closes, &value) {
            (Some(open), true, Value::Path(_)) => self.dirname(&value, &inner, open..self.at + 1),
            _ => self.folder_of(&value),
        };
    }

    fn git(&mut self, arguments: &[Word]) {
        let texts: Vec<Option<Vec<u8>>> = arguments.iter().map(Word::literal).collect();
        let has = |word: &[u8]| texts.iter().any(|text| text.as_deref() == Some(word));
        if has(b"--show-toplevel") {
            self.result = Value::Path(vec![Anchor::Root]);
            return;
        }
        if has(b"clone") || has(b"submodule") || has(b"worktree") {
            self.said.fetches = true;
            if let Some(last) = arguments.last() {
                self.made(last);
            }
            return;
        }
        let takes_paths =
            [&b"add"[..], b"diff", b"checkout", b"rm", b"mv", b"apply", b"am", b"ls-files", b"log", b"show", b"status"];
        if takes_paths.iter().any(|verb| has(verb)) || has(b"-C") {
            self.arguments(arguments);
        }
    }

    /// `bash x.sh`, `node x.js`: options, then the program.
    fn interpreter(&mut self, arguments: &[Word], is_shell: bool, code: &[u8], valued: &[u8]) {
        let mut rest = arguments;
        while let Some((word, next)) = rest.split_first() {
            let text = word.literal();
            match text.as_deref() {
                Some(b"--") => rest = next,
                Some(option) if option.len() > 1 && option[0] == b'-' => {
                    let letters = &option[1..];
                    let is_short = letters[0] != b'-';
                    if is_short && letters.iter().any(|letter| code.contains(letter))
                        || matches!(option, b"--eval" | b"--print")
                    {
                        if let Some(script) = next.first() {
                            if is_shell {
                                self.nested_text(script);
                            }
                            return self.arguments(&next[1..]);
                        }
                        return;
                    }
                    let takes_value = is_short && letters.len() == 1 && valued.contains(&letters[0])
                        || matches!(
                            option,
                            b"--require"
                                | b"--import"
                                | b"--loader"
                                | b"--project"
                                | b"--env-file"
                                | b"--rcfile"
                                | b"--watch-path"
                        );
                    if let Some(sign) = word.position(b'=') {
                        self.argument(&part_of(word, sign + 1), Weight::Likely);
                    }
                    rest = next;
                    if takes_value && let Some((value, next)) = next.split_first() {
                        self.argument(value, Weight::Likely);
                        rest = next;
                    }
                }
                _ => {
                    self.program(word, Kind::Call, false);
                    return self.arguments(next);
                }
            }
        }
    }

    fn python(&mut self, arguments: &[Word]) {
        if let Some(index) = arguments.iter().position(|word| word.literal().as_deref() == Some(b"-m")) {
            let is_first = arguments[..index].iter().all(|word| word.starts_with(b"-"));
            if is_first && let Some(module) = arguments.get(index + 1) {
                if module.literal().is_some_and(|name| name == b"venv" || name == b"virtualenv") {
                    return self.all_made(&arguments[index + 2..]);
                }
                self.python_module(module);
                return self.arguments(&arguments[index + 2..]);
            }
        }
        self.interpreter(arguments, false, b"c", b"WX");
    }

    fn python_module(&mut self, word: &Word) {
        let Some(name) = word.literal() else { return };
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte))
            || name.is_empty()
            || name[0] == b'.'
        {
            return;
        }
        let path: Vec<u8> = name.iter().map(|byte| if *byte == b'.' { b'/' } else { *byte }).collect();
        let spelling = Spelling::of(super::super::super::spelling::Inner::Dotted);
        let mention = Mention::new(Kind::Import, word.span.clone(), path, Anchor::Cwd)
            .bases(&self.cwd)
            .form(super::super::super::mention::Form::Dotted)
            .spelled(spelling);
        let cwd = self.cwd.clone();
        let index = self.said.push(self.source, mention);
        self.said.run(index, &cwd);
    }

    fn docker(&mut self, arguments: &[Word]) {
        let verb = arguments.iter().position(|word| !word.starts_with(b"-"));
        let Some(index) = verb else { return };
        let rest = &arguments[index + 1..];
        match arguments[index].literal().as_deref() {
            Some(b"compose" | b"stack") => self.compose(rest),
            Some(b"buildx" | b"image" | b"builder") => self.docker(rest),
            Some(b"build" | b"bud") => self.docker_build(rest),
            Some(b"cp") => self.arguments(rest),
            Some(b"run" | b"create") => self.options_only(rest),
            _ => {}
        }
    }

    fn docker_build(&mut self, arguments: &[Word]) {
        let mut dockerfile = None;
        let mut context = None;
        let mut rest = arguments;
        while let Some((word, next)) = rest.split_first() {
            rest = next;
            match word.literal().as_deref() {
                Some(b"-f" | b"--file") if !next.is_empty() => {
                    dockerfile = self.must(&next[0], Kind::Argument);
                    rest = &next[1..];
                }
                Some(
                    b"-t" | b"--tag" | b"--build-arg" | b"--target" | b"--platform" | b"--label" | b"--cache-from"
                    | b"--cache-to" | b"--network" | b"--progress" | b"-o" | b"--output" | b"--secret" | b"--ssh"
                    | b"--builder" | b"--build-context",
                ) if !next.is_empty() => rest = &next[1..],
                _ if word.starts_with(b"--file=") => dockerfile = self.must(&part_of(word, 7), Kind::Argument),
                _ if word.starts_with(b"-") => {}
                _ => context = Some(word.clone()),
            }
        }
        let Some(word) = context else { return };
        if word.literal().as_deref() == Some(b".") {
            let cwd = self.cwd.clone();
            if let Some(dockerfile) = dockerfile {
                self.said.run(dockerfile, &cwd);
            }
            return;
        }
        if let Some(folder) = self.folder(&word)
            && let Some(dockerfile) = dockerfile
        {
            self.said.run(dockerfile, &[Anchor::At(folder)]);
        }
    }

    fn compose(&mut self, arguments: &[Word]) {
        let mut rest = arguments;
        while let Some((word, next)) = rest.split_first() {
            rest = next;
            match word.literal().as_deref() {
                Some(b"-f" | b"--file" | b"-c" | b"--compose-file" | b"--env-file") if !next.is_empty() => {
                    self.must(&next[0], Kind::Argument);
                    rest = &next[1..];
                }
                Some(b"--project-directory") if !next.is_empty() => {
                    self.folder(&next[0]);
                    rest = &next[1..];
                }
                Some(b"-p" | b"--project-name" | b"--profile") if !next.is_empty() => rest = &next[1..],
                _ if word.starts_with(b"-") => self.argument(word, Weight::Likely),
                // What follows the verb is for the container.
                _ => return,
            }
        }
    }

    fn make(&mut self, arguments: &[Word]) {
        let mut rest = arguments;
        while let Some((word, next)) = rest.split_first() {
            rest = next;
            match word.literal().as_deref() {
                Some(b"-C" | b"--directory" | b"--working-directory" | b"-d" | b"--dir") if !next.is_empty() => {
                    self.folder(&next[0]);
                    rest = &next[1..];
                }
                Some(b"-f" | b"--file" | b"--makefile" | b"--justfile" | b"--taskfile" | b"-t") if !next.is_empty() => {
                    let file = self.must(&next[0], Kind::Argument);
                    let cwd = self.cwd.clone();
                    if let Some(file) = file {
                        self.said.run(file, &cwd);
                    }
                    rest = &next[1..];
                }
                _ => self.argument(word, Weight::Likely),
            }
        }
    }

    fn copies(&mut self, arguments: &[Word]) {
        let plain: Vec<&Word> = arguments.iter().filter(|word| !word.starts_with(b"-")).collect();
        for word in arguments.iter().filter(|word| word.starts_with(b"-")) {
            self.argument(word, Weight::Likely);
        }
        if let Some((last, sources)) = plain.split_last() {
            sources.iter().for_each(|word| self.argument(word, Weight::Likely));
            if sources.is_empty() { self.argument(last, Weight::Likely) } else { self.made(last) }
        }
    }

    fn all_made(&mut self, arguments: &[Word]) {
        arguments.iter().filter(|word| !word.starts_with(b"-")).for_each(|word| self.made(word));
    }
    fn made(&mut self, word: &Word) {
        for draft in self.drafts(word, &word.units) {
            if draft.whole.is_none() {
                self.mention(&draft, Kind::Argument, Weight::Made);
            }
        }
    }

    /// The options of a command whose other words mean something elsewhere: in a container, on another machine.
    fn options_only(&mut self, arguments: &[Word]) {
        let mut rest = arguments;
        while let Some((word, next)) = rest.split_first() {
            rest = next;
            let text = word.literal();
            let takes_path = matches!(
                text.as_deref(),
                Some(
                    b"-v"
                        | b"--volume"
                        | b"--env-file"
                        | b"--mount"
                        | b"-f"
                        | b"-F"
                        | b"-i"
                        | b"--filename"
                        | b"--kubeconfig"
                )
            );
            if takes_path && let Some((value, next)) = next.split_first() {
                self.argument(value, Weight::Likely);
                rest = next;
            } else if word.starts_with(b"--") && word.position(b'=').is_some() {
                self.argument(word, Weight::Likely);
            }
        }
    }

    fn arguments(&mut self, arguments: &[Word]) {
        self.arguments_with(arguments, &[b"-o", b"--output", b"--out", b"--outfile", b"-out"], Weight::Made);
    }

    /// Words of which any may be a path; the one behind one of `options` has another weight.
    fn arguments_with(&mut self, arguments: &[Word], options: &[&[u8]], weight: Weight) {
        let mut is_valued = false;
        let mut is_file = false;
        let mut is_folder = false;
        for word in arguments {
            if std::mem::take(&mut is_valued) {
                for draft in self.drafts(word, &word.units) {
                    self.mention(&draft, Kind::Argument, weight);
                }
                continue;
            }
            if std::mem::take(&mut is_file) {
                self.argument(word, Weight::Likely);
                continue;
            }
            if std::mem::take(&mut is_folder) {
                self.folder(word);
                continue;
            }
            let text = word.literal();
            is_valued = text.as_deref().is_some_and(|text| options.contains(&text));
            is_file = matches!(
                text.as_deref(),
                Some(b"-f" | b"-c" | b"-r" | b"--file" | b"--config" | b"-k" | b"--values" | b"-p")
            );
            is_folder = matches!(text.as_deref(), Some(b"--prefix" | b"--cwd" | b"-C" | b"--chdir" | b"--directory"));
            if !is_valued && !is_file && !is_folder {
                self.argument(word, Weight::Likely);
            }
        }
    }

    /// A word that may be a path, or hold one: `--option=path`, `path:inside`, `@path`.
    pub(super) fn argument(&mut self, word: &Word, weight: Weight) {
        let mut units: &[Unit] = &word.units;
        if units.is_empty() {
            return;
        }
        if word.literal().is_some_and(|text| text.iter().any(|byte| matches!(byte, b' ' | b'\n')))
            && word.position(b'/').is_some()
        {
            // A sentence, or a path with blanks.
            let drafts = self.drafts(word, units);
            for draft in &drafts {
                self.mention(draft, Kind::Argument, Weight::Word);
            }
            return self.prose(word);
        }
        if units[0].byte() == Some(b'-') || word.is_bare() || units.iter().any(|unit| unit.byte() == Some(b'=')) {
            let sign = units.iter().position(|unit| unit.byte() == Some(b'='));
            if let Some(sign) = sign {
                units = &units[sign + 1..];
            } else if units[0].byte() == Some(b'-') {
                // `-Ipath`, `-I../x`
                let is_joined = units.len() > 3 && matches!(units[1].byte(), Some(b'I' | b'L' | b'f' | b'C' | b'c'));
                if !is_joined {
                    return;
                }
                units = &units[2..];
            }
        }
        if units.first().and_then(Unit::byte) == Some(b'@') {
            units = &units[1..];
        }
        let limit =
            units.iter().position(|unit| unit.byte() == Some(b':') || unit.byte() == Some(b',')).unwrap_or(units.len());
        units = &units[..limit];
        for draft in self.drafts(word, units) {
            let path = draft.path();
            if draft.whole.is_some() {
                continue;
            }
            let weight = if draft.is_joined() || path.contains(&b'/') { weight } else { Weight::Word };
            if draft.is_joined() || bytes::may_be_path(&path) || draft.has_pattern() && path.contains(&b'.') {
                self.mention(&draft, Kind::Argument, weight);
            }
        }
    }

    /// A word that is a file which must be there.
    fn must(&mut self, word: &Word, kind: Kind) -> Option<usize> {
        // `-` is what is piped in.
        if word.literal().as_deref() == Some(b"-") {
            return None;
        }
        let weight = if self.said.fetches { Weight::Likely } else { self.sure() };
        let drafts = self.drafts(word, &word.units);
        let mut last = None;
        for draft in &drafts {
            if let Some([Anchor::At(index)]) = draft.whole.as_deref() {
                last = Some(*index);
                continue;
            }
            if draft.whole.is_none() {
                last = Some(self.mention(draft, kind, weight));
            }
        }
        last
    }

    fn folder(&mut self, word: &Word) -> Option<usize> {
        let drafts = self.drafts(word, &word.units);
        let draft = drafts.first()?;
        self.said.wake(draft.whole.as_deref().unwrap_or_default());
        Some(self.mention(draft, Kind::Folder, Weight::Likely))
    }

    /// A file that is run or sourced. `in_path`: without a slash it would be looked up in PATH.
    fn program(&mut self, word: &Word, kind: Kind, in_path: bool) {
        let drafts = self.drafts(word, &word.units);
        for draft in &drafts {
            if let Some(whole) = draft.whole.clone() {
                if let Some(Anchor::At(index)) = whole.first() {
                    let cwd = self.cwd.clone();
                    self.said.run(*index, &cwd);
                }
                continue;
            }
            let path = draft.path();
            let is_elsewhere = bytes::is_host(&path) || path.starts_with(b"@") || bytes::contains(&path, b"://");
            if !draft.is_joined() && is_elsewhere {
                continue;
            }
            // A name alone is looked up in PATH when it is sourced.
            let is_certain =
                draft.is_joined() || path.contains(&b'/') || bytes::is_program(&path) && kind != Kind::Source;
            let weight =
                if is_certain && !draft.has_pattern() && !self.said.fetches { self.sure() } else { Weight::Likely };
            let index = self.mention(draft, kind, weight);
            if in_path || kind == Kind::Source {
                self.said.mentions[index].spelling.needs_slash = !draft.is_joined();
            }
            let cwd = self.cwd.clone();
            self.said.run(index, &cwd);
        }
    }

    /// A word whose text is commands: `bash -c '…'`.
    fn nested_text(&mut self, word: &Word) {
        let Some(text) = word.literal() else { return };
        if self.depth >= super::DEEPEST || word.units.iter().any(|unit| matches!(unit.what, What::Value(_))) {
            return;
        }
        let (Some(first), Some(last)) = (word.units.first(), word.units.last()) else { return };
        let outer = match first.quote {
            Quote::Single => Outer::Literal(b'\''),
            Quote::Double => Outer::Quoted(b'"'),
            Quote::None | Quote::Ansi => return,
        };
        let places = word.units.iter().map(|unit| unit.at).chain([last.end]).collect();
        let source = self.source.decoded(text, places, outer);
        let cwd = self.cwd.clone();
        super::read(&source, Place::Commands, &cwd, self.said);
    }
}

/// The part of a word from a unit on.
pub(super) fn part_of(word: &Word, from: usize) -> Word {
    let units = word.units[from.min(word.units.len())..].to_vec();
    let start = units.first().map_or(word.span.end, |unit| unit.at);
    Word { units, values: word.values.clone(), span: start..word.span.end }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Programs that tasks of a package manager start.
fn is_tool(name: &[u8]) -> bool {
    matches!(
        name,
        b"node"
            | b"tsx"
            | b"ts-node"
            | b"python"
            | b"python3"
            | b"bash"
            | b"sh"
            | b"pytest"
            | b"jest"
            | b"vitest"
            | b"tsc"
            | b"eslint"
            | b"prettier"
            | b"playwright"
            | b"prisma"
            | b"nodemon"
            | b"concurrently"
            | b"dotenv"
            | b"cross-env"
            | b"uvicorn"
    )
}

/// True when the words of a command mean something on another machine.
fn remote(name: &[u8], arguments: &[Word]) -> bool {
    match name {
        b"kubectl" => {
            arguments.iter().any(|word| matches!(word.literal().as_deref(), Some(b"exec" | b"cp" | b"run" | b"debug")))
        }
        _ => true,
    }
}
