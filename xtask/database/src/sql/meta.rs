//! The psql commands a file may contain. xtask carries them out itself: the session never hands one to psql, where
//! `\q` would skip the rest of the file, `\c` leave the database and `\!` run a shell.

use super::lexer::is_space;
use super::position::Place;
use super::text::SyntaxError;

/// A command that was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `\set ON_ERROR_STOP on`: how every file is run here anyway.
    StopOnError,
    /// `\echo text`.
    Echo(String),
    /// `\i path` (from the workspace, psql's current directory) or `\ir path` (from the folder of the file). Whether
    /// it stays inside the workspace and includes itself is the caller's to check.
    Include {
        path: String,
        is_relative: bool,
    },
    /// `\restrict token` and `\unrestrict token`, which pg_dump writes around a dump.
    Restrict(String),
    Unrestrict(String),
}

impl Command {
    /// `name` and `arguments` of a `Kind::Meta` piece, which stands at `place`.
    pub fn parse(name: &str, arguments: &str, place: Place) -> Result<Command, SyntaxError> {
        let refuse = |message: String, hint: &str| Err(SyntaxError::new(place, message).hint(hint));
        if !matches!(name, "set" | "echo" | "i" | "include" | "ir" | "include_relative" | "restrict" | "unrestrict") {
            return refuse(format!("the psql command `\\{name}` is not allowed"), remedy(name));
        }
        let words = words(arguments).map_err(|message| SyntaxError::new(place, format!("`\\{name}`: {message}")))?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (name, &words[..]) {
            ("set", ["ON_ERROR_STOP"]) => Ok(Command::StopOnError),
            ("set", ["ON_ERROR_STOP", value]) if is_on(value) => Ok(Command::StopOnError),
            ("set", ["ON_ERROR_STOP", ..]) => refuse(
                format!("`\\set {}` would go on after an error", words.join(" ")),
                "remove the line: a file stops at its first error",
            ),
            ("set", _) => refuse(
                format!("the psql variable of `\\set {}` is not allowed", words.join(" ")),
                "write the value into the statements; only `\\set ON_ERROR_STOP on` may stand here",
            ),
            ("echo", ["-n", rest @ ..] | rest) => Ok(Command::Echo(rest.join(" "))),
            ("restrict", [token]) => Ok(Command::Restrict((*token).to_owned())),
            ("unrestrict", [token]) => Ok(Command::Unrestrict((*token).to_owned())),
            ("i" | "include", [path]) => Ok(Command::Include { path: (*path).to_owned(), is_relative: false }),
            ("ir" | "include_relative", [path]) => Ok(Command::Include { path: (*path).to_owned(), is_relative: true }),
            _ => refuse(
                format!("`\\{name}` takes one argument, not {}", words.len()),
                "quote it with '…' if it has spaces",
            ),
        }
    }
}

fn is_on(value: &str) -> bool {
    ["on", "true", "yes", "1"].iter().any(|on| value.eq_ignore_ascii_case(on))
}

fn remedy(name: &str) -> &'static str {
    match name {
        "q" | "quit" => "remove it: what stands below would never run",
        "c" | "connect" => "remove it: a migration runs in the database of its environment",
        "!" => "a migration runs no shell; put it into a task",
        "copy" => "use COPY … FROM STDIN with the data below it, ended by `\\.`",
        "g" | "gx" | "gexec" | "gset" | "gdesc" | "watch" | "crosstabview" => {
            "end the statement with `;`, or use a DO block"
        }
        "if" | "elif" | "else" | "endif" => "use a DO block with IF",
        "unset" | "prompt" | "getenv" | "setenv" => "write the value into the statements",
        _ => "allowed are `\\set ON_ERROR_STOP on`, `\\echo`, `\\i`, `\\ir`, `\\restrict` and `\\unrestrict`",
    }
}

/// The arguments as psql cuts them: at blanks, `'…'` with escapes. What psql would do beyond that (run a shell command
/// in backquotes, put a variable in, take a backslash for the next command) is refused.
fn words(arguments: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = arguments.chars().peekable();
    while let Some(&next) = chars.peek() {
        if next.is_ascii() && is_space(next as u8) {
            chars.next();
            continue;
        }
        let mut word = String::new();
        while let Some(char) = chars.next_if(|&char| !(char.is_ascii() && is_space(char as u8))) {
            match char {
                '\\' => return Err("one command a line, and no `\\` outside quotes".into()),
                '`' => return Err("a shell command in backquotes is not allowed".into()),
                ':' if word.is_empty()
                    && chars.peek().is_some_and(|&next| next.is_alphanumeric() || "'\"{_".contains(next)) =>
                {
                    return Err("psql variables are not set here".into());
                }
                '\'' => quoted(&mut chars, &mut word)?,
                char => word.push(char),
            }
        }
        words.push(word);
    }
    Ok(words)
}

/// The rest of `'…'`: `''` is a quote, and the escapes are C's.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next().ok_or("unterminated quoted string")? {
            '\'' if chars.next_if_eq(&'\'').is_some() => word.push('\''),
            '\'' => return Ok(()),
            '\\' => word.push(match chars.next().ok_or("unterminated quoted string")? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                char => char,
            }),
            char => word.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
        Command::parse(name, arguments.trim(), Place::START).map_err(|error| error.to_string())
    }

    #[test]
    fn allowed() {
        assert_eq!(parse("set ON_ERROR_STOP 1"), Ok(Command::StopOnError));
        assert_eq!(parse("set ON_ERROR_STOP 'ON'"), Ok(Command::StopOnError));
        assert_eq!(parse("set ON_ERROR_STOP"), Ok(Command::StopOnError));
        assert_eq!(parse("echo 'it''s'  12:30 \"q\""), Ok(Command::Echo("it's 12:30 \"q\"".into())));
        assert_eq!(parse("echo"), Ok(Command::Echo(String::new())));
        assert_eq!(parse("ir 'a b/c.sql'"), Ok(Command::Include { path: "a b/c.sql".into(), is_relative: true }));
        assert_eq!(parse("i a.sql"), Ok(Command::Include { path: "a.sql".into(), is_relative: false }));
        assert_eq!(parse("restrict ab12"), Ok(Command::Restrict("ab12".into())));
    }

    #[test]
    fn refused() {
        for (line, message) in [
            ("q", "1:1: the psql command `\\q` is not allowed"),
            ("connect postgres", "1:1: the psql command `\\connect` is not allowed"),
            ("set ON_ERROR_STOP 0", "1:1: `\\set ON_ERROR_STOP 0` would go on after an error"),
            ("set on_error_stop 1", "1:1: the psql variable of `\\set on_error_stop 1` is not allowed"),
            ("set x 1", "1:1: the psql variable of `\\set x 1` is not allowed"),
            ("echo `id`", "1:1: `\\echo`: a shell command in backquotes is not allowed"),
            ("echo a \\\\ select 1;", "1:1: `\\echo`: one command a line, and no `\\` outside quotes"),
            ("i :dir", "1:1: `\\i`: psql variables are not set here"),
            ("i 'a", "1:1: `\\i`: unterminated quoted string"),
            ("i a b", "1:1: `\\i` takes one argument, not 2"),
            ("ir", "1:1: `\\ir` takes one argument, not 0"),
        ] {
            assert_eq!(parse(line), Err(message.into()), "{line}");
        }
    }
}
