//! What a command means by the name of its program: what it runs, where it goes, what it reads.

use super::super::super::mention::{Anchor, Form, Mention, Weight};
use super::super::super::spelling::{Inner, Spelling};
use super::super::super::{Kind, bytes};
use super::Shell;
use super::commands::{file_name, part_of};
use super::values::Value;
use super::words::Word;

impl Shell<'_> {
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
    pub(super) fn run_computed(&mut self, program: &Word, arguments: &[Word]) {
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

    pub(super) fn run_wrapped(&mut self, arguments: &[Word], start: usize) {
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
    pub(super) fn package_manager(&mut self, arguments: &[Word], start: usize) {
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

    pub(super) fn change_folder(&mut self, name: &[u8], arguments: &[Word]) {
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

    pub(super) fn dirname_of(&mut self, arguments: &[Word], start: usize) {
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

    pub(super) fn git(&mut self, arguments: &[Word]) {
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
    pub(super) fn interpreter(&mut self, arguments: &[Word], is_shell: bool, code: &[u8], valued: &[u8]) {
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

    pub(super) fn python(&mut self, arguments: &[Word]) {
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

    pub(super) fn python_module(&mut self, word: &Word) {
        let Some(name) = word.literal() else { return };
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte))
            || name.is_empty()
            || name[0] == b'.'
        {
            return;
        }
        let path: Vec<u8> = name.iter().map(|byte| if *byte == b'.' { b'/' } else { *byte }).collect();
        let spelling = Spelling::of(Inner::Dotted);
        let mention = Mention::new(Kind::Import, word.span.clone(), path, Anchor::Cwd)
            .bases(&self.cwd)
            .form(Form::Dotted)
            .spelled(spelling);
        let cwd = self.cwd.clone();
        let index = self.said.push(self.source, mention);
        self.said.run(index, &cwd);
    }

    pub(super) fn docker(&mut self, arguments: &[Word]) {
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

    pub(super) fn docker_build(&mut self, arguments: &[Word]) {
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

    pub(super) fn compose(&mut self, arguments: &[Word]) {
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

    pub(super) fn make(&mut self, arguments: &[Word]) {
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
