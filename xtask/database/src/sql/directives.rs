//! What a migration file says about itself: `-- migrate: no-transaction, lock-timeout=5s` in the comments that stand
//! before its first statement, behind a licence header or a byte order mark as well, as `--` or `/* */`.

use std::ops::Range;
use std::time::Duration;

use super::lexer::{self, Token};
use super::position::Lines;
use super::text::{BYTE_ORDER_MARK, SyntaxError};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Statement by statement, each its own transaction, resumed at the one that failed.
    pub no_transaction: bool,
    /// The file begins and commits by itself.
    pub own_transaction: bool,
    /// The code before this migration works on the schema after it.
    pub compatible: bool,
    pub lock_timeout: Option<Duration>,
    /// Zero is no limit.
    pub statement_timeout: Option<Duration>,
}

pub const NAMES: [&str; 5] = ["no-transaction", "own-transaction", "compatible", "lock-timeout", "statement-timeout"];

impl Directives {
    /// The directives of a file. One that is unknown, contradicts another or stands below the first statement, where a
    /// reader would believe it and nobody would obey it, is an error.
    pub fn read(text: &str) -> Result<Directives, SyntaxError> {
        let mut directives = Directives::default();
        let mut is_head = true;
        let mut at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        while at < text.len() {
            // What never ends is the splitter's to report.
            let Ok((token, end)) = lexer::token(text, at) else { break };
            match token {
                Token::LineComment | Token::BlockComment => directives.comment(text, at..end, is_head)?,
                Token::Space => {}
                _ => is_head = false,
            }
            at = end;
        }
        Ok(directives)
    }

    fn comment(&mut self, text: &str, comment: Range<usize>, is_head: bool) -> Result<(), SyntaxError> {
        let mut line_start = comment.start;
        for line in text[comment].split_inclusive('\n') {
            let content = line.trim_start_matches(['-', '/', '*', ' ', '\t']);
            let found = content.get(.."migrate:".len()).filter(|head| head.eq_ignore_ascii_case("migrate:"));
            if let Some(head) = found {
                let start = line_start + line.len() - content.len() + head.len();
                let words = content[head.len()..].trim_end().trim_end_matches("*/");
                self.line(text, start, words, is_head)?;
            }
            line_start += line.len();
        }
        Ok(())
    }

    /// `words` stand at byte `start`, separated by blanks or commas.
    fn line(&mut self, text: &str, start: usize, words: &str, is_head: bool) -> Result<(), SyntaxError> {
        let error = |at: usize, message: String| SyntaxError::new(Lines::new(text).place(at), message);
        let mut at = start;
        let mut is_empty = true;
        for piece in words.split_inclusive(|char: char| char == ',' || char.is_whitespace()) {
            let word = piece.trim_end_matches(|char: char| char == ',' || char.is_whitespace());
            let place = at;
            at += piece.len();
            if word.is_empty() {
                continue;
            }
            is_empty = false;
            let name = word.split('=').next().unwrap_or_default();
            if !is_head {
                // Prose may begin with "migrate:" here.
                if !NAMES.contains(&name) {
                    return Ok(());
                }
                return Err(error(place, format!("the directive `{name}` stands below the first statement"))
                    .hint("move it to the top of the file"));
            }
            self.set(word).map_err(|problem| {
                let SyntaxProblem { message, hint } = problem;
                error(place, message).hint(hint)
            })?;
        }
        match is_empty && is_head {
            true => {
                Err(error(start, "`migrate:` without a directive".into()).hint(format!("one of {}", NAMES.join(", "))))
            }
            false => Ok(()),
        }
    }

    fn set(&mut self, word: &str) -> Result<(), SyntaxProblem> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("no-transaction", None) => self.no_transaction = true,
            ("own-transaction", None) => self.own_transaction = true,
            ("compatible", None) => self.compatible = true,
            ("lock-timeout", Some(value)) => set_once(&mut self.lock_timeout, name, timeout(name, value, false)?)?,
            ("statement-timeout", Some(value)) => {
                set_once(&mut self.statement_timeout, name, timeout(name, value, true)?)?
            }
            ("lock-timeout" | "statement-timeout", None) => {
                return problem(format!("`{name}` has no value"), format!("write `{name}=5s`"));
            }
            ("no-transaction" | "own-transaction" | "compatible", Some(_)) => {
                return problem(format!("`{name}` takes no value"), format!("write `{name}`"));
            }
            ("up" | "down", _) => {
                return problem(
                    format!("unknown directive `{name}`"),
                    "a dbmate file: take its history over with `cargo xtask migrate import DIR`".into(),
                );
            }
            _ => {
                let hint = match closest(name) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("one of {}", NAMES.join(", ")),
                };
                return problem(format!("unknown directive `{name}`"), hint);
            }
        }
        if self.no_transaction && self.own_transaction {
            return problem(
                "`no-transaction` and `own-transaction` contradict each other".into(),
                "own-transaction: the file says BEGIN and COMMIT; no-transaction: each statement by itself".into(),
            );
        }
        Ok(())
    }
}

struct SyntaxProblem {
    message: String,
    hint: String,
}

fn problem<T>(message: String, hint: String) -> Result<T, SyntaxProblem> {
    Err(SyntaxProblem { message, hint })
}

fn set_once(slot: &mut Option<Duration>, name: &str, value: Duration) -> Result<(), SyntaxProblem> {
    match slot.replace(value) {
        Some(before) if before != value => {
            problem(format!("`{name}` stands twice with different values"), "keep one".into())
        }
        _ => Ok(()),
    }
}

fn timeout(name: &str, value: &str, may_be_endless: bool) -> Result<Duration, SyntaxProblem> {
    match duration(value) {
        None => problem(
            format!("`{name}={value}` is not a duration"),
            "a number with ms, s, min or h, such as `500ms` or `5s`".into(),
        ),
        Some(Duration::ZERO) if !may_be_endless => problem(
            format!("`{name}={value}` would wait for ever and stop everyone behind it"),
            "say how long, such as `5s`".into(),
        ),
        Some(duration) => Ok(duration),
    }
}

/// `500ms`, `5s`, `2min` (or `2m`, as in the YAML files), `1h` or `0`; a bare number is refused, since PostgreSQL would read milliseconds and a person
/// seconds. At most what PostgreSQL's integer of milliseconds holds.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => number,
        "s" => number.checked_mul(1_000)?,
        "m" | "min" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        "" if number == 0 => 0,
        _ => return None,
    };
    (milliseconds <= i32::MAX as u64).then(|| Duration::from_millis(milliseconds))
}

/// The directive within two typing errors.
fn closest(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase().replace('_', "-");
    let (distance, name) = NAMES.iter().map(|name| (distance(&word, name), *name)).min()?;
    (distance <= 2).then_some(name)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.chars().enumerate() {
            let cost = if left == right { diagonal } else { diagonal.min(row[j]).min(row[j + 1]) + 1 };
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Directives, String> {
        Directives::read(text).map_err(|error| match &error.hint {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        })
    }

    #[test]
    fn found_in_every_kind_of_head() {
        let expected = Directives {
            no_transaction: true,
            compatible: true,
            lock_timeout: Some(Duration::from_secs(5)),
            statement_timeout: Some(Duration::ZERO),
            ..Directives::default()
        };
        for text in [
            "-- migrate: no-transaction, compatible lock-timeout=5s,statement-timeout=0\nselect 1;",
            "\u{feff}/*\r\n * Licence\r\n * migrate: no-transaction compatible\r\n */\r\n\r\n--migrate:lock-timeout=5s\r\n-- migrate: statement-timeout=0\r\n",
            "/* migrate: no-transaction */ -- Migrate: compatible, lock-timeout=5000ms\n/* migrate: statement-timeout=0s*/ x",
        ] {
            assert_eq!(read(text), Ok(expected.clone()), "{text}");
        }
        assert_eq!(
            read("-- about migrate: x\nselect '-- migrate: y';\n-- migrate: the rows\n"),
            Ok(Directives::default())
        );
    }

    #[test]
    fn refused_with_a_place() {
        for (text, message) in [
            ("-- migrate: no-transction", "1:13: unknown directive `no-transction` (did you mean `no-transaction`?)"),
            (
                "\u{feff}-- é\n/*\n * migrate: compatible, nope\n */",
                "3:25: unknown directive `nope` (one of no-transaction, own-transaction, compatible, lock-timeout, statement-timeout)",
            ),
            (
                "-- migrate:up",
                "1:12: unknown directive `up` (a dbmate file: take its history over with `cargo xtask migrate import DIR`)",
            ),
            (
                "-- migrate:",
                "1:12: `migrate:` without a directive (one of no-transaction, own-transaction, compatible, lock-timeout, statement-timeout)",
            ),
            (
                "-- migrate: lock-timeout=5",
                "1:13: `lock-timeout=5` is not a duration (a number with ms, s, min or h, such as `500ms` or `5s`)",
            ),
            (
                "-- migrate: lock-timeout=0",
                "1:13: `lock-timeout=0` would wait for ever and stop everyone behind it (say how long, such as `5s`)",
            ),
            ("-- migrate: lock-timeout", "1:13: `lock-timeout` has no value (write `lock-timeout=5s`)"),
            (
                "-- migrate: lock-timeout=1s lock-timeout=2s",
                "1:29: `lock-timeout` stands twice with different values (keep one)",
            ),
            ("-- migrate: compatible=yes", "1:13: `compatible` takes no value (write `compatible`)"),
            (
                "-- migrate: statement-timeout=999h",
                "1:13: `statement-timeout=999h` is not a duration (a number with ms, s, min or h, such as `500ms` or `5s`)",
            ),
            (
                "select 1;\n-- migrate: no-transaction\n",
                "2:13: the directive `no-transaction` stands below the first statement (move it to the top of the file)",
            ),
        ] {
            assert_eq!(read(text), Err(message.into()), "{text}");
        }
        assert!(read("-- migrate: no-transaction own-transaction").is_err_and(|error| error.contains("contradict")));
    }
}
