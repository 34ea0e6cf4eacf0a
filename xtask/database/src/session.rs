//! A session: one long-lived psql that runs one statement after the other and tells the answer of each. Locks, the
//! ledger, migrations, seeds and queries all go through it, so that what holds a lock is what does the work.
//!
//! psql reads from a pipe. Behind each statement it is told to print a mark on both of its streams, with the statement's
//! outcome; what stands between two marks is the answer. It never sees a command of the user's (`\q`, `\c`, `\!`), and
//! no text of the user's is put together with ours. Many statements at once, and the next before the last one's answer, are
//! [`batch`]'s.

mod batch;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::sql::lexer;
use super::target::Target;
use base::tools::{Cmd, os};
use base::ui::Failure;

pub use batch::Batch;

/// An error of the server, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlError {
    /// Five characters, appendix A of PostgreSQL's documentation.
    pub sqlstate: String,
    pub message: String,
    /// Characters into the statement, from 1.
    pub position: Option<usize>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub context: Option<String>,
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, " ({more})")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

/// The answer to one statement.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Rows as psql prints them unaligned: a line a row.
    pub rows: String,
    /// Notices and warnings, each on a line.
    pub notices: Vec<String>,
    pub error: Option<Box<SqlError>>,
}

impl Answer {
    /// The rows, or the server's error.
    pub fn ok(self) -> Result<String, Box<SqlError>> {
        self.error.map_or(Ok(self.rows), Err)
    }
}

/// What psql must be given behind one statement before the next may follow.
enum Input<'a> {
    /// Sent as it is, a `;` added where it lacks.
    Statement(&'a str),
    /// A COPY … FROM STDIN and its lines.
    Copy { statement: &'a str, data: &'a str },
}

/// How many bytes of an answer that is passed on piece by piece may wait in memory.
const IN_FLIGHT: usize = 8 * 1024 * 1024;
/// After a COPY that failed at once, psql would run the data as commands; so here it must stop instead.
const COPY_BEGINS: &str = "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP on\n";
const COPY_ENDS: &str = "\\.\n\\set ON_ERROR_STOP off\n\\set VERBOSITY terse\n";

/// Slows the reader of psql's output down to the one who takes it, while an answer is passed on piece by piece. At all
/// other times nothing may hold it up: psql would stop reading what is sent to it.
#[derive(Default)]
struct Flow {
    is_bounded: AtomicBool,
    waiting: AtomicUsize,
}

pub struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    flow: Arc<Flow>,
    mark: String,
    count: u64,
}

impl Session {
    /// Connects. `purpose` becomes the application's name, by which leftovers of a killed run are found. A server that
    /// does not answer is exit 4.
    pub fn open(target: &Target, purpose: &str) -> Result<Session> {
        Session::open_within(target, purpose, Duration::ZERO)
    }

    fn connect(target: &Target, purpose: &str) -> Result<(Session, u32)> {
        let connection = target.connection();
        // The server looks every second whether its client is still there, so that a killed run frees what it held.
        let options =
            format!("{} -c client_connection_check_interval=1000", connection.get("PGOPTIONS").unwrap_or_default());
        let connection =
            connection.with("PGAPPNAME", purpose).with("PGOPTIONS", options.trim()).with("PGCLIENTENCODING", "UTF8");
        let psql = Cmd::new(target.psql()?).args(["-X", "-q", "-A", "-t", "-v", "VERBOSITY=terse", "-w"]);
        let mut child = connection.apply(psql).env("LC_ALL", "C.UTF-8").spawn_piped()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let flow = Arc::new(Flow::default());
        let mut session = Session {
            child,
            stdin: stdin.context("psql has no stdin")?,
            stdout: lines(stdout.context("psql has no stdout")?, Arc::clone(&flow)),
            stderr: lines(stderr.context("psql has no stderr")?, Arc::default()),
            flow,
            mark: format!("xtask-{}", os::random_hex(8)?),
            count: 0,
        };
        let hint = if target.is_embedded() {
            "run `cargo xtask services start`"
        } else {
            "check DATABASE_ADMIN_URL, and that the server runs"
        };
        let major = session.value("select current_setting('server_version_num')::int / 10000").map_err(|error| {
            Failure::cannot_tell(format!("{} does not answer: {error:#}", target.describe())).hint(hint)
        })?;
        Ok((session, major.parse().unwrap_or(0)))
    }

    /// The same, trying again for as long as the server does not answer.
    pub fn open_within(target: &Target, purpose: &str, patience: Duration) -> Result<Session> {
        let mut result = Session::connect(target, purpose);
        os::wait_until(patience, || {
            if result.is_err() {
                result = Session::connect(target, purpose);
            }
            result.is_ok()
        });
        let (session, major) = result?;
        target.note_server(major)?;
        Ok(session)
    }

    /// Runs one statement and waits for its answer. Err only when the connection is lost.
    pub fn run(&mut self, statement: &str) -> Result<Answer> {
        self.send(&Input::Statement(statement));
        self.receive()
    }

    /// Runs a COPY … FROM STDIN with its data.
    pub fn copy(&mut self, statement: &str, data: &str) -> Result<Answer> {
        self.send(&Input::Copy { statement, data });
        self.receive()
    }

    /// Runs a COPY … FROM STDIN with whatever `fill` writes, in the text format; nothing of it is kept in memory. An
    /// error of `fill` is returned; what it had written is then part of a transaction that must be rolled back.
    pub fn copy_from(&mut self, statement: &str, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Answer> {
        let begin = format!("{COPY_BEGINS}{}", closed(statement));
        let mut marks = String::new();
        self.put_marks(&mut marks);
        let mut stream = std::io::BufWriter::with_capacity(64 * 1024, &mut self.stdin);
        let filled = stream.write_all(begin.as_bytes()).map_err(anyhow::Error::from).and_then(|()| fill(&mut stream));
        // The COPY is ended in any case, so that psql is left in a state one knows; a line begun is one too few or bad.
        let end = format!("{}{COPY_ENDS}{marks}", if filled.is_ok() { "" } else { "\n" });
        // A psql that is gone is told by the answer.
        let _sent = stream.write_all(end.as_bytes()).and_then(|()| stream.flush());
        drop(stream.into_parts());
        let answer = self.receive();
        match filled {
            // psql has ended, after an error of the server: its last words say which.
            Err(error) if !is_broken_pipe(&error) => Err(error),
            _ => answer,
        }
    }

    /// Runs a COPY … TO STDOUT and passes its lines on to `sink`, a few megabytes in memory at most. An error of `sink`
    /// is returned, and the session must then be dropped.
    pub fn copy_to(&mut self, statement: &str, sink: &mut dyn Write) -> Result<Answer> {
        self.flow.is_bounded.store(true, Ordering::Relaxed);
        self.send(&Input::Statement(statement));
        let answer = self.receive_into(Some(sink));
        self.flow.is_bounded.store(false, Ordering::Relaxed);
        answer
    }

    /// Sends all statements at once and returns their answers. The server runs those behind a failure too, so only
    /// statements that do no harm after a failure of an earlier one may follow it (as inside a transaction).
    pub fn run_all(&mut self, statements: &[&str]) -> Result<Vec<Answer>> {
        let mut text = String::new();
        for statement in statements {
            self.put(&mut text, &Input::Statement(statement));
        }
        self.write(&text);
        statements.iter().map(|_| self.receive()).collect()
    }

    /// Runs a statement of our own, which must succeed; its rows.
    pub fn execute(&mut self, statement: &str) -> Result<String> {
        Ok(self.run(statement)?.ok()?)
    }

    /// The rows of a query of our own as JSON objects.
    pub fn query(&mut self, query: &str) -> Result<Vec<Value>> {
        let rows = self.execute(&format!("select coalesce(json_agg(xtask_row), '[]') from ({query}) xtask_row"))?;
        match serde_json::from_str(&rows).context("the server's answer is not JSON")? {
            Value::Array(rows) => Ok(rows),
            other => Ok(vec![other]),
        }
    }

    /// The single value of a query of our own; empty for none.
    pub fn value(&mut self, query: &str) -> Result<String> {
        Ok(self.execute(query)?.trim_end_matches('\n').to_owned())
    }

    fn send(&mut self, input: &Input<'_>) {
        let mut text = String::new();
        self.put(&mut text, input);
        self.write(&text);
    }

    fn write(&mut self, text: &str) {
        // A psql that is gone is told by the answer.
        let _sent = self.stdin.write_all(text.as_bytes()).and_then(|()| self.stdin.flush());
    }

    /// A statement and the marks behind it.
    fn put(&mut self, text: &mut String, input: &Input<'_>) {
        match input {
            Input::Statement(statement) => text.push_str(&sent(statement)),
            Input::Copy { statement, data } => {
                text.push_str(COPY_BEGINS);
                text.push_str(&closed(statement));
                text.push_str(data);
                if !data.is_empty() && !data.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(COPY_ENDS);
            }
        }
        self.put_marks(text);
    }

    fn put_marks(&mut self, text: &mut String) {
        self.count += 1;
        let mark = format!("{}-{}", self.mark, self.count);
        text.push_str(&format!(
            "\\if :ERROR\n\\warn {mark}-v\n\\errverbose\n\\endif\n\\warn {mark} :ERROR :SQLSTATE\n\\echo {mark}\n"
        ));
    }

    fn receive(&mut self) -> Result<Answer> {
        self.receive_into(None)
    }

    /// Rows go to `sink` where there is one, else into the answer.
    fn receive_into(&mut self, mut sink: Option<&mut dyn Write>) -> Result<Answer> {
        // Marks are numbered, but answers come in order: whatever mark of ours comes next ends this answer.
        let mut answer = Answer::default();
        loop {
            let Ok(line) = self.stdout.recv() else { return self.last_words(answer) };
            self.flow.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            if line.starts_with(&self.mark) {
                break;
            }
            match &mut sink {
                Some(sink) => {
                    sink.write_all(line.as_bytes())?;
                    sink.write_all(b"\n")?;
                }
                None => {
                    answer.rows.push_str(&line);
                    answer.rows.push('\n');
                }
            }
        }
        let mut lines = Vec::new();
        let mut verbose = None;
        let outcome = loop {
            match self.stderr.recv() {
                Ok(line) if line.starts_with(&self.mark) && line.ends_with("-v") => verbose = Some(Vec::new()),
                Ok(line) if line.starts_with(&self.mark) => break line,
                Ok(line) => verbose.as_mut().unwrap_or(&mut lines).push(line),
                Err(_) => {
                    let last = lines.iter().rfind(|line| !line.trim().is_empty()).cloned();
                    return Err(last.map_or_else(|| self.lost(), |line| lost(&line)));
                }
            }
        };
        let mut words = outcome.split_whitespace().skip(1);
        if words.next() == Some("true") {
            let verbose = verbose.unwrap_or_default();
            answer.error = Some(Box::new(sql_error(&mut lines, &verbose, words.next().unwrap_or_default())));
        }
        answer.notices = lines;
        Ok(answer)
    }

    /// psql has ended. After a COPY that failed it was told to, and what it said is the statement's error.
    fn last_words(&mut self, mut answer: Answer) -> Result<Answer> {
        let rest: Vec<String> = self.stderr.iter().filter(|line| !line.starts_with(&self.mark)).collect();
        let lines = [std::mem::take(&mut answer.notices), rest].concat();
        let Some(at) = lines.iter().position(|line| line.starts_with("ERROR:  ")) else {
            let words: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
            return Err(lost(&words.join("; ")));
        };
        answer.error = Some(Box::new(sql_error(&mut lines[at..].to_vec(), &[], "")));
        Ok(answer)
    }

    /// psql has ended: its last words say why.
    fn lost(&mut self) -> anyhow::Error {
        let rest: Vec<String> = self.stderr.iter().filter(|line| !line.trim().is_empty()).collect();
        lost(&rest.join("; "))
    }
}

fn lost(words: &str) -> anyhow::Error {
    let words = words.trim_start_matches("psql: ").trim_start_matches("error: ");
    let words = if words.is_empty() { "psql ended" } else { words };
    let failure = Failure::cannot_tell("the connection to the database failed");
    anyhow::Error::new(ConnectionLost(words.to_owned())).context(failure)
}

/// psql ended before it had answered; its last words.
#[derive(Debug)]
struct ConnectionLost(String);

impl std::fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectionLost {}

/// True for the error of a session that is gone, whatever it was to do.
pub fn is_lost(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<ConnectionLost>())
}

impl Drop for Session {
    fn drop(&mut self) {
        // psql ends when its input ends; the server then frees what the session held. Nothing to do if it is gone.
        let _sent = self.stdin.write_all(b"\\q\n").and_then(|()| self.stdin.flush());
        if !os::wait_until(Duration::from_millis(500), || matches!(self.child.try_wait(), Ok(Some(_)))) {
            let _killed = self.child.kill();
            let _waited = self.child.wait();
        }
    }
}

/// A statement for psql: its own variables kept out, a `;` and a line end at its end. A line comment at the end would
/// swallow a `;` on the same line.
fn closed(statement: &str) -> String {
    let text = lexer::for_psql(statement.trim_end());
    if text.ends_with(';') { format!("{text}\n") } else { format!("{text}\n;\n") }
}

/// The same, with what psql must be told of a COPY TO: one that fails behind its first row leaves `ERROR` alone in some
/// versions (15), and says its SQLSTATE in none, but verbosely.
fn sent(statement: &str) -> String {
    let mut words = lexer::tokens(statement).filter(|(token, _)| !token.is_blank());
    let is_copy = words.next().is_some_and(|(_, word)| word.eq_ignore_ascii_case("copy"));
    let text = closed(statement);
    match is_copy {
        true => format!(
            "\\unset ERROR\n\\set SQLSTATE ''\n\\set VERBOSITY verbose\n{text}\\if :{{?ERROR}}\n\\else\n\\set ERROR true\n\\endif\n\
             \\set VERBOSITY terse\n"
        ),
        false => text,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn lines(stream: impl Read + Send + 'static, flow: Arc<Flow>) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            flow.waiting.fetch_add(text.len(), Ordering::Relaxed);
            if sender.send(text).is_err() {
                return;
            }
            while flow.is_bounded.load(Ordering::Relaxed) && flow.waiting.load(Ordering::Relaxed) > IN_FLIGHT {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    receiver
}

/// What psql tells of an error, each from the beginning of a line.
const LABELS: [&str; 11] = [
    "DETAIL:  ",
    "HINT:  ",
    "CONTEXT:  ",
    "QUERY:  ",
    "LOCATION:  ",
    "LINE ",
    "SCHEMA NAME:  ",
    "TABLE NAME:  ",
    "COLUMN NAME:  ",
    "DATATYPE NAME:  ",
    "CONSTRAINT NAME:  ",
];

/// Puts an error together from psql's terse line ("ERROR:  … at character N") and what `\errverbose` repeats. Takes the
/// error out of `lines`; what stays are notices.
fn sql_error(lines: &mut Vec<String>, verbose: &[String], sqlstate: &str) -> SqlError {
    let begins = |line: &String| ["ERROR:  ", "FATAL:  ", "PANIC:  "].iter().any(|word| line.contains(word));
    let start = lines.iter().rposition(begins).unwrap_or(lines.len());
    let own = lines.split_off(start);
    // Said verbosely: `ERROR:  22P02: invalid input …`, and the rest below it.
    let said = own.first().and_then(|line| line.split_once(":  ")).and_then(|(_, said)| said.split_once(": "));
    if let Some((code, message)) = said
        && code.len() == 5
        && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && (sqlstate.is_empty() || sqlstate == code)
    {
        return sql_error(&mut vec![format!("ERROR:  {message}")], &own[1..], code);
    }
    let terse = own.join("\n");
    let (message, position) = match terse.rsplit_once(" at character ") {
        Some((message, position)) if position.trim().parse::<usize>().is_ok() => {
            (message, position.trim().parse().ok())
        }
        _ => (terse.as_str(), None),
    };
    let message = message.split_once(":  ").map_or(message, |(_, message)| message).trim().to_owned();
    let mut error = SqlError { sqlstate: sqlstate.to_owned(), message, position, ..SqlError::default() };
    let mut current: Option<&str> = None;
    let mut parts: std::collections::BTreeMap<&str, String> = std::collections::BTreeMap::new();
    for line in verbose {
        let label = LABELS.into_iter().find(|label| line.starts_with(label));
        match label {
            Some(label) => {
                current = Some(label);
                parts.insert(label, line[label.len()..].to_owned());
            }
            None => {
                if let Some(part) = current.and_then(|label| parts.get_mut(label)) {
                    part.push('\n');
                    part.push_str(line);
                }
            }
        }
    }
    if parts.contains_key("QUERY:  ") {
        // It counts into a query that a function made, which nobody can see in the file.
        error.position = None;
    }
    error.detail = parts.remove("DETAIL:  ");
    error.hint = parts.remove("HINT:  ");
    error.context = parts.remove("CONTEXT:  ");
    error
}

/// A value as a SQL literal; the one function that quotes values.
pub fn literal(value: &str) -> String {
    let doubled = value.replace('\'', "''");
    if value.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// A name as a SQL identifier, always quoted.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\b'c"), r"E'a\\b''c'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn an_error_that_was_said_verbosely() {
        let lines =
            ["NOTICE:  hi", "psql:<stdin>:3: ERROR:  22012: division by zero", "DETAIL:  d", "LOCATION:  f, a.c:1"];
        let mut lines = lines.map(str::to_owned).to_vec();
        let error = sql_error(&mut lines, &["There is no previous error.".to_owned()], "");
        assert_eq!(lines, ["NOTICE:  hi"]);
        assert_eq!((error.message.as_str(), error.sqlstate.as_str()), ("division by zero", "22012"));
        assert_eq!(error.detail.as_deref(), Some("d"));
        let plain = sql_error(&mut vec!["ERROR:  WHAT1: no code".to_owned()], &[], "P0001");
        assert_eq!((plain.message.as_str(), plain.sqlstate.as_str()), ("WHAT1: no code", "P0001"));
    }

    #[test]
    fn an_error_is_put_together() {
        let mut lines =
            vec!["NOTICE:  hi".to_owned(), "ERROR:  column \"x\" does not exist at character 12".to_owned()];
        let verbose = [
            "error: ERROR:  42703: column",
            "LINE 1: select x",
            "        ^",
            "HINT:  try y",
            "and z",
            "LOCATION:  f, a.c:1",
        ];
        let error = sql_error(&mut lines, &verbose.map(str::to_owned), "42703");
        assert_eq!(lines, ["NOTICE:  hi"]);
        assert_eq!((error.message.as_str(), error.position), ("column \"x\" does not exist", Some(12)));
        assert_eq!(error.hint.as_deref(), Some("try y\nand z"));
    }
}
