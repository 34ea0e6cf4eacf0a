//! Whether files parse, said by the parsers of their own languages where they are there: bash, Python, Node.js, Terraform,
//! each started once or twice for all files; JSON, YAML and SQL by what this program reads them with.
//!
//! Nothing of a file is run. What a parser says of the text is not passed on, only the line: it might hold a secret. An
//! answer is remembered by content, so that the same bytes are parsed once.

use std::collections::HashMap;
use std::path::PathBuf;

use base::tools::{self, Cmd, files, hash};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::facts::{Facts, Made};
use crate::language::Language;
use crate::tree::{FileId, Tree};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Parses,
    /// The line, where the parser tells it, and what is wrong in a few words.
    Broken {
        line: usize,
        message: String,
    },
}

/// What is known of each file that was looked at; files in languages without a parser here are missing.
#[derive(Debug, Default)]
pub struct Syntax {
    pub states: HashMap<FileId, State>,
    /// Languages of files that could not be looked at, with their number.
    pub without_parser: Vec<(Language, usize)>,
}

impl Syntax {
    pub fn broken(&self) -> Vec<(FileId, usize, &str)> {
        let mut broken: Vec<(FileId, usize, &str)> = self
            .states
            .iter()
            .filter_map(|(id, state)| match state {
                State::Broken { line, message } => Some((*id, *line, message.as_str())),
                State::Parses => None,
            })
            .collect();
        broken.sort_unstable();
        broken
    }
}

/// The parser that a file goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Parser {
    Bash,
    Python,
    Toml,
    Node,
    Terraform,
    Json,
    Yaml,
    Sql,
}

/// Larger files are data.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Looks at the syntax of every file that somebody wrote. Answers of earlier runs stand in `memory`.
pub fn check(tree: &Tree, facts: &[Option<Facts>], memory: Option<&Utf8Path>) -> Syntax {
    let mut syntax = Syntax::default();
    let mut memory = Memory::read(memory);
    let mut asked: HashMap<Parser, Vec<FileId>> = HashMap::new();
    let mut without: HashMap<Language, usize> = HashMap::new();
    for id in tree.sources() {
        let Some(facts) = facts[id.index()].as_ref().filter(|facts| facts.is_text && is_written(facts)) else {
            continue;
        };
        if tree.entry(id).size > LARGEST {
            continue;
        }
        let Some(parser) = parser(tree, id, facts.language) else {
            if matches!(
                facts.language,
                Language::TypeScript | Language::Ruby | Language::Php | Language::Perl | Language::PowerShell
            ) {
                *without.entry(facts.language).or_default() += 1;
            }
            continue;
        };
        match memory.get(parser, tree, id) {
            Some(state) => drop(syntax.states.insert(id, state)),
            None => asked.entry(parser).or_default().push(id),
        }
    }
    for (parser, state) in ask(tree, asked, &mut without) {
        for (id, state) in state {
            memory.put(parser, tree, id, &state);
            syntax.states.insert(id, state);
        }
    }
    memory.write();
    syntax.without_parser = without.into_iter().collect();
    syntax.without_parser.sort_unstable();
    syntax
}

fn is_written(facts: &Facts) -> bool {
    !matches!(facts.made, Some(Made::Vendored | Made::Runtime | Made::Generated | Made::Lock))
}

fn parser(tree: &Tree, id: FileId, language: Language) -> Option<Parser> {
    let path = tree.path(id);
    let name = path.name();
    // A template becomes a file of its language only when it is filled in.
    let is_template =
        [&b".j2"[..], b".tmpl", b".tpl", b".template", b".erb", b".ejs"].iter().any(|ending| name.ends_with(ending));
    if is_template {
        return None;
    }
    match language {
        Language::Shell => {
            let is_foreign = name.ends_with(b".zsh") || name.ends_with(b".bats") || name.ends_with(b".ksh");
            (!is_foreign).then_some(Parser::Bash)
        }
        Language::Python => Some(Parser::Python),
        Language::Toml => Some(Parser::Toml),
        // JSX is another language.
        Language::JavaScript if !name.ends_with(b".jsx") => Some(Parser::Node),
        Language::Terraform if name.ends_with(b".tf") || name.ends_with(b".tfvars") => Some(Parser::Terraform),
        Language::Json => {
            // Tools read these with comments in them.
            let takes_comments =
                [&b".jsonc"[..], b".json5", b".jsonl", b".ndjson"].iter().any(|ending| name.ends_with(ending))
                    || name.starts_with(b"tsconfig")
                    || name.starts_with(b"jsconfig")
                    || name.starts_with(b".")
                    || path.parts().any(|part| part.starts_with(b"."));
            (!takes_comments).then_some(Parser::Json)
        }
        Language::Yaml => Some(Parser::Yaml),
        Language::Sql => Some(Parser::Sql),
        _ => None,
    }
}

type States = Vec<(FileId, State)>;

/// Every parser at once.
fn ask(
    tree: &Tree,
    asked: HashMap<Parser, Vec<FileId>>,
    without: &mut HashMap<Language, usize>,
) -> Vec<(Parser, States)> {
    let mut answers = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = asked
            .iter()
            .map(|(parser, ids)| (*parser, ids, scope.spawn(move || ask_one(tree, *parser, ids))))
            .collect();
        for (parser, ids, thread) in threads {
            match thread.join().unwrap_or(None) {
                Some(states) => answers.push((parser, states)),
                None => {
                    let language = match parser {
                        Parser::Bash => Language::Shell,
                        Parser::Python => Language::Python,
                        Parser::Toml => Language::Toml,
                        Parser::Node => Language::JavaScript,
                        Parser::Terraform => Language::Terraform,
                        Parser::Json => Language::Json,
                        Parser::Yaml => Language::Yaml,
                        Parser::Sql => Language::Sql,
                    };
                    *without.entry(language).or_default() += ids.len();
                }
            }
        }
    });
    answers
}

/// None where the parser is not there, or does not answer as it should.
fn ask_one(tree: &Tree, parser: Parser, ids: &[FileId]) -> Option<States> {
    let own = |state: fn(&[u8]) -> Option<State>| {
        Some(ids.iter().filter_map(|id| Some((*id, state(&tree.content(*id).ok()?)?))).collect())
    };
    match parser {
        Parser::Json => own(|content| Some(json(content))),
        Parser::Yaml => own(yaml),
        Parser::Sql => own(|content| Some(sql(content))),
        Parser::Bash => by_program(tree, ids, Cmd::new("bash").args(["--noprofile", "--norc", "-c", BASH])),
        Parser::Python => by_program(tree, ids, python(PYTHON)),
        Parser::Toml => by_program(tree, ids, python(TOML)),
        Parser::Node => by_program(
            tree,
            ids,
            Cmd::new("node")
                .args(["--no-warnings", "--experimental-vm-modules", "-e", NODE])
                .env_remove("NODE_OPTIONS"),
        ),
        Parser::Terraform => terraform(tree, ids),
    }
}

fn python(script: &str) -> Cmd {
    // Isolated: nothing of the user's, of the environment's or of the folder's is imported.
    Cmd::new("python3").args(["-I", "-S", "-c", script])
}

/// Paths go in, NUL after each; a line comes back for each that does not parse: its number among them, the line, what is
/// wrong. The last line says `done`, so that a parser that died is not taken for one that found nothing.
fn by_program(tree: &Tree, ids: &[FileId], cmd: Cmd) -> Option<States> {
    if !cmd.is_there() {
        return None;
    }
    let mut paths = Vec::new();
    for id in ids {
        use std::os::unix::ffi::OsStrExt;
        let path: PathBuf = tree.on_disk(*id)?;
        paths.extend_from_slice(path.as_os_str().as_bytes());
        paths.push(0);
    }
    let output = cmd.dir("/").stdin(paths).ask().ok()?;
    let mut broken: HashMap<usize, State> = HashMap::new();
    let mut is_done = false;
    for line in output.stdout.lines() {
        if line == "done" {
            is_done = true;
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let number = words.next().and_then(|word| word.parse::<usize>().ok());
        let (Some(number), Some(place)) = (number, words.next()) else { continue };
        let message = without_text(words.next().unwrap_or("does not parse"));
        broken.insert(number, State::Broken { line: place.parse().unwrap_or(0), message });
    }
    is_done.then(|| ids.iter().enumerate().map(|(at, id)| (*id, broken.remove(&at).unwrap_or(State::Parses))).collect())
}

const BASH: &str = r#"
n=0
while IFS= read -r -d '' file; do
  if ! said=$(bash -n -- "$file" 2>&1 </dev/null); then
    line=${said#*: line }
    echo "$n ${line%%:*} syntax error"
  fi
  n=$((n + 1))
done
echo done
"#;
const PYTHON: &str = r#"
import sys, warnings
warnings.simplefilter("ignore")
for n, path in enumerate(sys.stdin.buffer.read().split(b"\0")[:-1]):
    try:
        with open(path, "rb") as file:
            compile(file.read(), "file", "exec", 0x400, dont_inherit=True)
    except SyntaxError as error:
        print(n, error.lineno or 0, error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        print(n, 0, type(error).__name__)
    except OSError:
        pass
print("done")
"#;
const TOML: &str = r#"
import re, sys
try:
    import tomllib
except ImportError:
    sys.exit(0)
for n, path in enumerate(sys.stdin.buffer.read().split(b"\0")[:-1]):
    try:
        with open(path, "rb") as file:
            tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        place = re.search(r"line (\d+)", str(error))
        print(n, place.group(1) if place else 0, "not valid TOML")
    except OSError:
        pass
print("done")
"#;
const NODE: &str = r#"
const fs = require("fs"), vm = require("vm");
const paths = fs.readFileSync(0).toString("latin1").split("\0").slice(0, -1);
const wrapped = (text) => new vm.Script("(function (exports, require, module, __filename, __dirname) {" + text.replace(/^#!.*/, "") + "\n})");
const asModule = (text) => new vm.SourceTextModule(text.replace(/^#!.*/, ""));
for (const [n, path] of paths.entries()) {
  let text;
  try { text = fs.readFileSync(Buffer.from(path, "latin1"), "utf8"); } catch { continue; }
  const ways = path.endsWith(".mjs") ? [asModule] : path.endsWith(".cjs") ? [wrapped] : [wrapped, asModule];
  let error;
  for (const way of ways) {
    try { way(text); error = undefined; break; } catch (caught) { error = error && !/import|export|await/.test(error.message) ? error : caught; }
  }
  if (error) {
    const line = /:(\d+)\n/.exec(error.stack || "");
    console.log(n, line ? line[1] : 0, error.message);
  }
}
console.log("done");
"#;

/// `terraform fmt` reads every file and says which it cannot.
fn terraform(tree: &Tree, ids: &[FileId]) -> Option<States> {
    let cmd = Cmd::new("terraform");
    if !cmd.is_there() {
        return None;
    }
    let mut states: HashMap<FileId, State> = ids.iter().map(|id| (*id, State::Parses)).collect();
    let named: Vec<(FileId, Utf8PathBuf)> =
        ids.iter().filter_map(|id| Some((*id, Utf8PathBuf::from_path_buf(tree.on_disk(*id)?).ok()?))).collect();
    let output = cmd
        .args(["fmt", "-check", "-write=false", "-list=false", "-no-color"])
        .args(named.iter().map(|(_, path)| path))
        .env("CHECKPOINT_DISABLE", "1")
        .dir("/")
        .ask()
        .ok()?;
    // Exit 3: it parses and could be prettier.
    if !output.ok() && output.code != 3 {
        let text = output.stderr.replace('\u{2502}', " ");
        for (id, path) in &named {
            let place = text
                .find(&format!("on {path} line "))
                .or_else(|| text.find(&format!("on {} line ", path.as_str().trim_start_matches('/'))));
            if let Some(at) = place {
                let rest = text[at..].split(" line ").nth(1).unwrap_or_default();
                let line = rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
                states.insert(*id, State::Broken { line, message: "not valid HCL".to_owned() });
            }
        }
        if states.values().all(|state| *state == State::Parses) {
            return None;
        }
    }
    Some(states.into_iter().collect())
}

fn json(content: &[u8]) -> State {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    match serde_json::from_slice::<Value>(content) {
        Ok(_) => State::Parses,
        Err(error) => State::Broken { line: error.line(), message: "not valid JSON".to_owned() },
    }
}

fn yaml(content: &[u8]) -> Option<State> {
    let text = std::str::from_utf8(content).ok()?;
    // A template in YAML's clothes.
    if text.contains("{{") || text.contains("{%") || text.contains("<%") {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut parser = yaml_rust2::parser::Parser::new_from_str(text);
    loop {
        match parser.next_token() {
            Ok((yaml_rust2::parser::Event::StreamEnd, _)) => return Some(State::Parses),
            Ok(_) => {}
            Err(error) => {
                return Some(State::Broken { line: error.marker().line(), message: "not valid YAML".to_owned() });
            }
        }
    }
}

fn sql(content: &[u8]) -> State {
    let split = database::sql::canonical(content).and_then(|text| database::sql::split(&text).map(|_| ()));
    match split {
        Ok(()) => State::Parses,
        Err(error) => State::Broken { line: error.place.line, message: without_text(&error.message) },
    }
}

/// A parser's words without what they quote from the file.
fn without_text(message: &str) -> String {
    let mut plain = String::new();
    let mut quote: Option<char> = None;
    for c in message.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if "'\"`‘".contains(c) => {
                quote = Some(if c == '‘' { '’' } else { c });
                plain.push('…');
            }
            None => plain.push(c),
        }
    }
    let words: Vec<&str> = plain.split_whitespace().filter(|word| word.len() <= 24).collect();
    words.join(" ").chars().take(80).collect()
}

/// Answers of earlier runs: by parser and content.
struct Memory {
    file: Option<Utf8PathBuf>,
    known: serde_json::Map<String, Value>,
    has_changed: bool,
    keys: HashMap<Parser, String>,
}

/// More of them are forgotten at once.
const MOST: usize = 200_000;

impl Memory {
    fn read(file: Option<&Utf8Path>) -> Memory {
        let known = match file.and_then(files::read_json) {
            Some(Value::Object(known)) => known,
            _ => serde_json::Map::new(),
        };
        Memory { file: file.map(Utf8Path::to_owned), known, has_changed: false, keys: HashMap::new() }
    }
    /// Another version of a parser may see it otherwise.
    fn key(&mut self, parser: Parser, tree: &Tree, id: FileId) -> Option<String> {
        let digest = tree.digest(id).ok()?;
        let version = self.keys.entry(parser).or_insert_with(|| {
            let program = match parser {
                Parser::Bash => "bash",
                Parser::Python | Parser::Toml => "python3",
                Parser::Node => "node",
                Parser::Terraform => "terraform",
                Parser::Json | Parser::Yaml | Parser::Sql => {
                    return format!("{parser:?}-{}", env!("CARGO_PKG_VERSION"));
                }
            };
            let facts = tools::find(program).and_then(|path| path.metadata().ok());
            let time = facts.and_then(|facts| Some((facts.len(), facts.modified().ok()?)));
            format!("{parser:?}-{}", &hash::sha256(format!("{time:?}"))[..8])
        });
        Some(format!("{version}-{}", hash::hex(&digest[..12])))
    }
    fn get(&mut self, parser: Parser, tree: &Tree, id: FileId) -> Option<State> {
        let key = self.key(parser, tree, id)?;
        match self.known.get(&key)? {
            Value::Null => Some(State::Parses),
            Value::Array(pair) => {
                let line = pair.first()?.as_u64().and_then(|line| usize::try_from(line).ok())?;
                Some(State::Broken { line, message: pair.get(1)?.as_str()?.to_owned() })
            }
            _ => None,
        }
    }
    fn put(&mut self, parser: Parser, tree: &Tree, id: FileId, state: &State) {
        if let Some(key) = self.key(parser, tree, id) {
            let value = match state {
                State::Parses => Value::Null,
                State::Broken { line, message } => json!([line, message]),
            };
            self.known.insert(key, value);
            self.has_changed = true;
        }
    }
    /// A memory that cannot be written is a slow one, no failure.
    fn write(&self) {
        if let Some(file) = self.file.as_ref().filter(|_| self.has_changed) {
            let known = if self.known.len() > MOST { json!({}) } else { Value::Object(self.known.clone()) };
            let _only_speed = files::write(file, known.to_string(), 0o600);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parser_quotes_is_left_out() {
        assert_eq!(without_text("Unexpected identifier 'ghp_secret'"), "Unexpected identifier …");
        assert_eq!(without_text("invalid syntax (file.py, line 3)"), "invalid syntax (file.py, line 3)");
    }

    #[test]
    fn own_parsers() {
        assert_eq!(json(b"{\"a\": [1, 2]}"), State::Parses);
        assert!(matches!(json(b"{\"a\": 1,\n}"), State::Broken { line: 2, .. }));
        assert_eq!(yaml(b"a: &x 1\n---\nb: !t 2\n"), Some(State::Parses));
        assert!(matches!(yaml(b"a: [1\n"), Some(State::Broken { .. })));
        assert_eq!(yaml(b"a: {{ .Values.x }}\n"), None);
        assert_eq!(sql(b"select 'it''s'; -- done\n"), State::Parses);
        assert!(matches!(sql(b"select 'open;\n"), State::Broken { line: 1, .. }));
    }
}
