//! From the words on the command line to [`flags::Xtask`]: default verbs, `--flag=value`, help of one verb,
//! did-you-mean. All of it is read from the one page in flags.rs.

use std::ffi::OsString;

use anyhow::Result;

use crate::flags;
use crate::ui::{Failure, suggest};

/// Verbs that may be left out: `migrate --plan` is `migrate up --plan`.
const DEFAULT_VERBS: &[(&str, &str)] =
    &[("", "overview"), ("services", "status"), ("config", "show"), ("migrate", "up"), ("releases", "list")];

/// What the words ask for.
pub enum Request {
    Run(Box<flags::Xtask>),
    /// Text for stdout.
    Help(String),
}

/// One command of the page.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// `migrate up`; empty for xtask itself.
    pub path: String,
    pub summary: String,
    /// Further paragraphs.
    pub details: String,
    pub options: Vec<Opt>,
    /// Positional arguments as the page writes them (`<name>`, `[count]`, `<service>...`), with their help.
    pub arguments: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Opt {
    pub long: String,
    pub short: Option<String>,
    /// The name of its value, if it takes one.
    pub value: Option<String>,
    pub help: String,
}

/// Understands the words, or fails with exit 2.
pub fn parse(words: Vec<OsString>) -> Result<Request> {
    let mut texts = Vec::with_capacity(words.len());
    for word in words {
        let word = word
            .into_string()
            .map_err(|word| Failure::usage(format!("the argument `{}` is not UTF-8", word.to_string_lossy())))?;
        texts.push(word);
    }
    let page = page();
    let rewritten = Rewriter { page: &page, rest: texts.into(), done: Vec::new(), path: String::new() }.rewrite()?;
    if let Rewritten::Help(path) = &rewritten {
        return Ok(Request::Help(help(&page, path)));
    }
    let Rewritten::Words(words, path) = rewritten else { return Ok(Request::Help(help(&page, ""))) };
    match flags::Xtask::from_vec(words.into_iter().map(OsString::from).collect()) {
        Ok(flags) => Ok(Request::Run(Box::new(flags))),
        Err(error) => Err(usage(&format!("{error}").replace('"', "`"), &path)),
    }
}

fn usage(message: &str, path: &str) -> anyhow::Error {
    let space = if path.is_empty() { "" } else { " " };
    Failure::usage(message).hint(format!("see `cargo xtask {path}{space}--help`")).into()
}

enum Rewritten {
    Words(Vec<String>, String),
    Help(String),
}

struct Rewriter<'a> {
    page: &'a [Command],
    rest: std::collections::VecDeque<String>,
    done: Vec<String>,
    path: String,
}

impl Rewriter<'_> {
    fn rewrite(mut self) -> Result<Rewritten> {
        // `cargo xtask help VERB` is what some type first.
        if self.rest.front().is_some_and(|word| word == "help") {
            self.rest.pop_front();
            self.rest.push_back("--help".to_owned());
        }
        let help = self.rest.iter().take_while(|word| *word != "--").any(|word| word == "--help" || word == "-h");
        loop {
            match self.rest.pop_front() {
                Some(word) if word == "--" => {
                    self.use_default_verb(help);
                    self.done.push(word);
                    self.done.extend(self.rest.drain(..));
                }
                Some(word) if word == "--help" || word == "-h" => {}
                Some(word) if word.starts_with('-') && word.len() > 1 => self.flag(&word, help)?,
                Some(word) => self.word(word)?,
                None => break,
            }
        }
        if help {
            return Ok(Rewritten::Help(self.path));
        }
        self.use_default_verb(help);
        if self.has_children() {
            let verbs: Vec<&str> = self.children().collect();
            let message = format!("`{}` needs a verb: {}", self.path, verbs.join(", "));
            return Err(usage(&message, &self.path));
        }
        Ok(Rewritten::Words(self.done, self.path))
    }

    fn flag(&mut self, word: &str, help: bool) -> Result<()> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word, None),
        };
        if self.find(name).is_none() && self.has_children() {
            self.use_default_verb(help);
        }
        let Some(option) = self.find(name) else {
            let known: Vec<String> =
                self.levels().flat_map(|command| &command.options).map(|option| option.long.clone()).collect();
            let near = suggest::nearest(name, known.iter().map(String::as_str));
            let message =
                format!("unknown flag `{name}` for `{}`", if self.path.is_empty() { "xtask" } else { &self.path });
            return Err(match near {
                Some(near) => Failure::usage(message).hint(format!("did you mean `{near}`?")).into(),
                None => usage(&message, &self.path),
            });
        };
        match (option.value.is_some(), value) {
            (false, Some(_)) => return Err(usage(&format!("the flag `{name}` takes no value"), &self.path)),
            (false, None) => self.done.push(name.to_owned()),
            (true, Some(value)) => self.done.extend([name.to_owned(), value]),
            (true, None) => match self.rest.pop_front() {
                // A value that looks like a known flag was forgotten; one that must begin so can follow an `=`.
                Some(value) if self.find(&value).is_none() => self.done.extend([name.to_owned(), value]),
                _ => return Err(usage(&format!("the flag `{name}` needs a value"), &self.path)),
            },
        }
        Ok(())
    }

    fn word(&mut self, word: String) -> Result<()> {
        if !self.has_children() {
            self.done.push(word);
            return Ok(());
        }
        if self.children().any(|verb| verb == word) {
            self.enter(&word);
            return Ok(());
        }
        let is_top = self.path.is_empty();
        let message =
            if is_top { format!("unknown task `{word}`") } else { format!("unknown verb `{word}` of `{}`", self.path) };
        let near = suggest::nearest(&word, self.children());
        Err(match near {
            Some(near) => Failure::usage(message).hint(format!("did you mean `{near}`?")).into(),
            None => usage(&message, &self.path),
        })
    }

    fn use_default_verb(&mut self, help: bool) {
        let default = DEFAULT_VERBS.iter().find(|(path, _)| *path == self.path && !help);
        if let Some((_, verb)) = default.filter(|_| self.has_children()) {
            self.enter(verb);
        }
    }

    fn enter(&mut self, verb: &str) {
        if self.path.is_empty() {
            self.done.push(verb.to_owned());
            self.path.push_str(verb);
        } else {
            self.done.push(format!("{}-{verb}", self.path.replace(' ', "-")));
            self.path.push_str(&format!(" {verb}"));
        }
    }

    fn children(&self) -> impl Iterator<Item = &str> {
        children(self.page, &self.path).map(|command| command.path.rsplit(' ').next().unwrap_or_default())
    }
    fn has_children(&self) -> bool {
        self.children().next().is_some()
    }
    /// The command itself and those above it, whose flags hold for it too.
    fn levels(&self) -> impl Iterator<Item = &Command> {
        let below = |command: &&Command| {
            let path = &command.path;
            path.is_empty()
                || *path == self.path
                || self.path.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with(' '))
        };
        self.page.iter().filter(below)
    }
    fn find(&self, name: &str) -> Option<&Opt> {
        self.levels()
            .flat_map(|command| &command.options)
            .find(|option| option.long == name || option.short.as_deref() == Some(name))
    }
}

/// The commands directly below a path, in the page's order.
pub fn children<'a>(page: &'a [Command], path: &'a str) -> impl Iterator<Item = &'a Command> {
    page.iter().filter(move |command| {
        let below = if path.is_empty() {
            Some(command.path.as_str())
        } else {
            command.path.strip_prefix(path).and_then(|rest| rest.strip_prefix(' '))
        };
        below.is_some_and(|rest| !rest.is_empty() && !rest.contains(' '))
    })
}

/// The page, parsed: xtask itself first, then every command.
pub fn page() -> Vec<Command> {
    let text = match flags::Xtask::from_vec(vec![OsString::from("--help")]) {
        Err(error) => error.to_string(),
        Ok(_) => String::new(),
    };
    let mut commands = vec![Command::default()];
    let mut listing = false;
    for line in text.lines().skip(1) {
        let trimmed = line.trim();
        if let Some(path) = line.strip_prefix("xtask ") {
            commands.push(Command { path: shown_path(path), ..Command::default() });
            listing = false;
        } else if matches!(trimmed, "OPTIONS:" | "ARGS:") {
            listing = true;
        } else if let Some(command) = commands.last_mut()
            && !trimmed.is_empty()
            && trimmed != "SUBCOMMANDS:"
        {
            if listing { add_listed(command, line) } else { add_prose(command, trimmed) }
        }
    }
    commands
}

/// `services services-start` of the page is `services start` for people.
fn shown_path(path: &str) -> String {
    let mut shown: Vec<&str> = Vec::new();
    for word in path.split_whitespace() {
        let family = format!("{}-", shown.join("-"));
        shown.push(word.strip_prefix(&family).unwrap_or(word));
    }
    shown.join(" ")
}

fn add_prose(command: &mut Command, text: &str) {
    if command.summary.is_empty() {
        command.summary = text.to_owned();
    } else {
        command.details.push_str(&format!("{text}\n"));
    }
}

/// A line of OPTIONS or ARGS: names are indented by four, their help by six.
fn add_listed(command: &mut Command, line: &str) {
    let text = line.trim();
    if line.starts_with("     ") {
        let last = match (command.options.last_mut(), command.arguments.last_mut()) {
            (Some(option), _) => Some(&mut option.help),
            (None, argument) => argument.map(|(_, help)| help),
        };
        if let Some(help) = last {
            help.push_str(if help.is_empty() { "" } else { " " });
            help.push_str(text);
        }
    } else if text.starts_with('-') {
        let (names, value) = text.split_once(" <").map_or((text, None), |(names, value)| (names, Some(value)));
        let (short, long) =
            names.split_once(", ").map_or((None, names), |(short, long)| (Some(short.to_owned()), long));
        let value = value.map(|value| value.trim_end_matches('>').to_owned());
        command.options.push(Opt { long: long.to_owned(), short, value, help: String::new() });
    } else {
        command.arguments.push((text.to_owned(), String::new()));
    }
}

/// The help of one command: what it does, how it is called, its verbs, arguments and flags.
pub fn help(page: &[Command], path: &str) -> String {
    let Some(command) = page.iter().find(|command| command.path == path) else { return String::new() };
    let verbs: Vec<&Command> = children(page, path).collect();
    let mut usage = vec!["cargo xtask".to_owned()];
    usage.extend((!path.is_empty()).then(|| path.to_owned()));
    usage.extend((!verbs.is_empty()).then(|| if path.is_empty() { "TASK" } else { "VERB" }.to_owned()));
    usage.extend(command.arguments.iter().map(|(name, _)| name.clone()));
    usage.push("[FLAGS]".to_owned());
    let mut text = format!("{}\n\n", command.summary);
    if !command.details.is_empty() {
        text.push_str(&format!("{}\n", command.details));
    }
    text.push_str(&format!("USAGE: {}\n", usage.join(" ")));

    let verb_row = |verb: &&Command| {
        let name = verb.path.rsplit(' ').next().unwrap_or_default();
        let is_default = DEFAULT_VERBS.contains(&(path, name));
        vec![
            format!("  {name}"),
            format!("{}{}", verb.summary, if is_default { " (what runs without a verb)" } else { "" }),
        ]
    };
    let argument_row = |(name, help): &(String, String)| vec![format!("  {name}"), help.clone()];
    let option_row = |option: &Opt| {
        let short = option.short.as_ref().map(|short| format!("{short}, ")).unwrap_or_default();
        let value = option.value.as_ref().map(|value| format!(" <{value}>")).unwrap_or_default();
        vec![format!("  {short}{}{value}", option.long), option.help.clone()]
    };
    let above = |other: &&Command| {
        other.path.is_empty() || path.strip_prefix(&other.path).is_some_and(|rest| rest.starts_with(' '))
    };
    let inherited: Vec<Vec<String>> = page
        .iter()
        .filter(|other| other.path != path)
        .filter(above)
        .rev()
        .flat_map(|other| other.options.iter().map(option_row))
        .collect();
    let sections = [
        (if path.is_empty() { "TASKS" } else { "VERBS" }, verbs.iter().map(verb_row).collect::<Vec<_>>()),
        ("ARGUMENTS", command.arguments.iter().map(argument_row).collect()),
        ("FLAGS", command.options.iter().map(option_row).collect()),
        ("FLAGS OF EVERY TASK", inherited),
    ];
    for (title, rows) in sections.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        text.push_str(&format!("\n{title}:\n{}", crate::ui::table(&[], &rows)));
    }
    text
}
