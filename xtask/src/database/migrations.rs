//! Migrations: the files of database/migrations, how they stand against the ledger, and how one is applied.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::ledger::{self, Applied, Entry, Run};
use super::session::{Session, SqlError};
use super::sql::lexer;
use super::sql::position::{self, Lines, snippet};
use super::sql::statement::{Nature, nature};
use super::sql::{Directives, Kind, Piece, SyntaxError, canonical, meta, split};
use crate::tools::{hash, os};
use crate::ui::{Exit, Failure, Finding, Place};
use crate::workspace::{Workspace, entries};

/// How long a statement waits for a lock before the file is tried again, unless the file says otherwise.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a file is tried when a lock was not to be had (55P03) or a deadlock was resolved against it (40P01).
const ATTEMPTS: u32 = 5;

/// Puts a session back to how it was opened, without DISCARD ALL, which would free the lock.
const RESET: [&str; 8] = [
    "reset session authorization",
    "reset role",
    "reset all",
    "close all",
    "unlisten *",
    "deallocate all",
    "discard temp",
    "discard sequences",
];

/// A migration file.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Digits as in the file's name.
    pub version: String,
    pub name: String,
    /// Relative to the workspace.
    pub file: Utf8PathBuf,
    /// Canonical: LF, no byte order mark.
    pub text: String,
    pub sha256: String,
    pub raw_sha256: String,
    pub directives: Directives,
    pieces: Vec<Piece>,
}

/// How one migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Applied,
    Pending,
    /// Applied, but the file has another content now.
    Changed,
    /// Applied, but there is no such file.
    Missing,
    /// Begun outside a transaction and not finished.
    Running,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Applied => "applied",
            State::Pending => "pending",
            State::Changed => "changed",
            State::Missing => "missing",
            State::Running => "running",
        }
    }
}

/// A migration on disk, in the ledger, or both.
#[derive(Clone, Debug)]
pub struct Standing {
    pub version: String,
    pub name: String,
    pub state: State,
    pub applied_at: Option<String>,
    /// Relative to the workspace; None when there is no file.
    pub file: Option<Utf8PathBuf>,
}

/// Every migration file in the order of versions, or exit 2 with all that is wrong.
pub fn read(workspace: &Workspace) -> Result<Vec<Migration>> {
    let mut migrations: Vec<Migration> = Vec::new();
    let mut findings = Vec::new();
    for folder in ["applied", "pending"] {
        for path in entries(&workspace.migrations().join(folder)) {
            let name = path.file_name().unwrap_or_default();
            if name.ends_with(".sql") && !name.ends_with(".down.sql") {
                match read_one(workspace, &path) {
                    Ok(migration) => migrations.push(migration),
                    Err(finding) => findings.push(finding),
                }
            }
        }
    }
    migrations.sort_by(|a, b| order(&a.version).cmp(&order(&b.version)).then_with(|| a.file.cmp(&b.file)));
    for pair in migrations.windows(2) {
        if order(&pair[0].version) == order(&pair[1].version) {
            let message = format!("version {} is also that of {}", pair[1].version, pair[0].file);
            findings.push(Finding::error(message).at(start_of(&pair[1].file)).hint("give one of them a later version"));
        }
    }
    if findings.is_empty() {
        Ok(migrations)
    } else {
        Err(Failure::configuration("the migrations cannot be used", findings).into())
    }
}

/// Versions compare as numbers of any length.
pub fn order(version: &str) -> (usize, &str) {
    let digits = version.trim_start_matches('0');
    (digits.len(), digits)
}

fn start_of(file: &Utf8Path) -> Place {
    Place { file: file.to_owned(), line: 1, column: 1 }
}

fn read_one(workspace: &Workspace, path: &Utf8Path) -> Result<Migration, Finding> {
    let file = workspace.relative(path).to_owned();
    let (version, name) = name_parts(path.file_stem().unwrap_or_default()).ok_or_else(|| {
        Finding::error("a migration is named <version>_<name>.sql, the version in digits").at(start_of(&file))
    })?;
    read_content(workspace, path, version, name)
}

fn read_content(workspace: &Workspace, path: &Utf8Path, version: String, name: String) -> Result<Migration, Finding> {
    let file = workspace.relative(path).to_owned();
    let bytes =
        std::fs::read(path).map_err(|error| Finding::error(format!("cannot be read: {error}")).at(start_of(&file)))?;
    let text = canonical(&bytes).map_err(|error| syntax(&file, &error))?;
    let directives = Directives::read(&text).map_err(|error| syntax(&file, &error))?;
    let pieces = split(&text).map_err(|error| syntax(&file, &error))?;
    let migration = Migration {
        version,
        name,
        file,
        sha256: hash::sha256(&text),
        raw_sha256: hash::sha256(&bytes),
        text,
        directives,
        pieces,
    };
    migration.check()?;
    Ok(migration)
}

/// `20260105090000_add_keys` is version and name.
pub fn name_parts(stem: &str) -> Option<(String, String)> {
    let (version, name) = stem.split_once('_')?;
    let valid =
        !version.is_empty() && version.len() <= 20 && version.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty();
    valid.then(|| (version.to_owned(), name.to_owned()))
}

fn syntax(file: &Utf8Path, error: &SyntaxError) -> Finding {
    let place = Place { file: file.to_owned(), line: error.place.line, column: error.place.column };
    let finding = Finding::error(error.message.clone()).at(place);
    match &error.hint {
        Some(hint) => finding.hint(hint.clone()),
        None => finding,
    }
}

impl Migration {
    /// What a look at the file alone can refuse.
    fn check(&self) -> Result<(), Finding> {
        let at = |piece: &Piece| Place { file: self.file.clone(), line: piece.place.line, column: piece.place.column };
        let mut statements = 0;
        for piece in &self.pieces {
            match &piece.kind {
                Kind::Empty => continue,
                Kind::Meta { name, arguments } => {
                    let command =
                        meta::Command::parse(&self.text[name.clone()], &self.text[arguments.clone()], piece.place);
                    let command = command.map_err(|error| syntax(&self.file, &error))?;
                    if matches!(command, meta::Command::Include { .. }) {
                        let finding =
                            Finding::error("a migration cannot include another file: its content could change unseen");
                        return Err(finding.at(at(piece)).hint("put the statements into this file"));
                    }
                }
                Kind::Copy { .. } => statements += 1,
                Kind::Sql => {
                    statements += 1;
                    self.check_nature(piece).map_err(|finding| finding.at(at(piece)))?;
                }
            }
        }
        match statements {
            0 => Err(Finding::error("the file holds no statement")
                .at(start_of(&self.file))
                .hint("write the migration, or remove the file")),
            _ => Ok(()),
        }
    }

    fn check_nature(&self, piece: &Piece) -> Result<(), Finding> {
        match nature(piece.sql(&self.text)) {
            Nature::TransactionControl(what) if !self.directives.own_transaction => {
                let message = format!("{what} in a migration: each file runs in one transaction already");
                Err(Finding::error(message).hint("remove it, or begin the file with `-- migrate: own-transaction`"))
            }
            Nature::OutsideTransaction(what) if !self.directives.no_transaction && !self.directives.own_transaction => {
                let message = format!("{what} cannot run inside a transaction");
                Err(Finding::error(message).hint("begin the file with `-- migrate: no-transaction`"))
            }
            _ => Ok(()),
        }
    }

    pub fn entry(&self) -> Entry<'_> {
        Entry { version: &self.version, name: &self.name, sha256: &self.sha256, raw_sha256: &self.raw_sha256 }
    }

    fn statements(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| matches!(piece.kind, Kind::Sql | Kind::Copy { .. }))
    }

    /// Ends the transaction that a statement failed in, and explains the failure.
    fn trouble(&self, session: &mut Session, error: SqlError, index: usize) -> anyhow::Error {
        // After a failed COPY the session is over, and with it the transaction.
        let _rolled_back = session.run("rollback");
        match self.statements().nth(index) {
            Some(piece) => self.explain(piece, &error),
            None => anyhow::Error::new(error).context(format!("failed to record `{}`", self.file)),
        }
    }

    /// The server's error as a finding at the place it means, with the line and a caret below.
    fn explain(&self, piece: &Piece, error: &SqlError) -> anyhow::Error {
        let lines = Lines::new(&self.text);
        let copy_line = error.context.as_deref().and_then(position::copy_line).zip(piece.data_line(&self.text));
        let block_line = error.context.as_deref().and_then(position::inline_block_line);
        let place = match (copy_line, error.position) {
            (Some((line, first)), _) => super::sql::Place { line: first + line - 1, column: 1 },
            (None, Some(position)) => lines.place(position::byte_of(&self.text, piece.body.start, position)),
            (None, None) => match block_line.zip(block_start(&self.text, piece)) {
                Some((line, start)) => super::sql::Place { line: lines.place(start).line + line - 1, column: 1 },
                None => piece.place,
            },
        };
        let mut message = format!("{} ({})\n{}", error.message, error.sqlstate, snippet(&lines, place).trim_end());
        if let Some(detail) = &error.detail {
            message.push_str(&format!("\n  detail: {detail}"));
        }
        let at = Place { file: self.file.clone(), line: place.line, column: place.column };
        let finding = Finding::error(message).at(at);
        let finding = match &error.hint {
            Some(hint) => finding.hint(hint.clone()),
            None => finding,
        };
        Failure::with_findings(Exit::Failed, &format!("failed to apply `{}`", self.file), vec![finding]).into()
    }
}

/// Where the body of a DO begins: its first dollar quote or string.
fn block_start(text: &str, piece: &Piece) -> Option<usize> {
    let mut at = piece.body.start;
    for (token, word) in lexer::tokens(piece.sql(text)) {
        if matches!(token, lexer::Token::DollarText | lexer::Token::Text) {
            return Some(at);
        }
        at += word.len();
    }
    None
}

/// Compares files and ledger, in the order of versions.
pub fn compare(files: &[Migration], ledger: &[Applied]) -> Vec<Standing> {
    let of_file = |migration: &Migration| {
        let row = ledger.iter().find(|row| order(&row.version) == order(&migration.version));
        let state = match row {
            None => State::Pending,
            Some(row) if row.state == "running" => State::Running,
            Some(row) if row.sha256 != migration.sha256 || row.name != migration.name => State::Changed,
            Some(_) => State::Applied,
        };
        Standing {
            version: migration.version.clone(),
            name: migration.name.clone(),
            state,
            applied_at: row.and_then(|row| row.applied_at.clone()),
            file: Some(migration.file.clone()),
        }
    };
    let mut all: Vec<Standing> = files.iter().map(of_file).collect();
    let missing = ledger.iter().filter(|row| !files.iter().any(|file| order(&file.version) == order(&row.version)));
    all.extend(missing.map(|row| Standing {
        version: row.version.clone(),
        name: row.name.clone(),
        state: State::Missing,
        applied_at: row.applied_at.clone(),
        file: None,
    }));
    all.sort_by(|a, b| order(&a.version).cmp(&order(&b.version)));
    all
}

/// Refuses (exit 3) when the history on disk is not the one that was applied.
pub fn check_history(standings: &[Standing], environment: &str) -> Result<()> {
    let mut findings = Vec::new();
    for standing in standings {
        let version = &standing.version;
        let finding = match (standing.state, &standing.file) {
            (State::Changed, Some(file)) => {
                Finding::error(format!("version {version} was applied with another content or name")).at(start_of(file))
            }
            (State::Missing, _) => {
                Finding::error(format!("version {version} ({}) was applied, but its file is gone", standing.name))
            }
            _ => continue,
        };
        findings.push(finding.hint(match environment {
            "dev" => "put it back as it was, or run `cargo xtask db reset` to make dev's database anew",
            _ => "put it back as it was (git log shows it), and write a new migration for the change",
        }));
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Failure::with_findings(
            Exit::Findings,
            "the migrations on disk are not the ones that were applied; nothing was touched",
            findings,
        )
        .into()),
    }
}

/// Applies one migration. `before` is the last link of the ledger's chain; the new link is returned with the time.
pub fn apply(
    session: &mut Session,
    migration: &Migration,
    before: &str,
    run: &Run,
    resume_at: usize,
) -> Result<(String, Duration)> {
    let started = Instant::now();
    let chain = ledger::link(before, &migration.entry());
    let outside = migration.directives.no_transaction || migration.directives.own_transaction;
    let mut attempt = 1;
    loop {
        let result = match outside {
            true => apply_outside(session, migration, &chain, run, resume_at),
            false => {
                let record = ledger::record(&migration.entry(), &chain, run, "transaction_timestamp()");
                apply_inside(session, migration, &record)
            }
        };
        match result {
            Ok(()) => return Ok((chain, started.elapsed())),
            Err(Trouble::Statement(error, _))
                if !outside && attempt < ATTEMPTS && matches!(error.sqlstate.as_str(), "55P03" | "40P01") =>
            {
                session.execute("rollback")?;
                pause(attempt);
                attempt += 1;
            }
            Err(Trouble::Statement(error, index)) => return Err(migration.trouble(session, *error, index)),
            Err(Trouble::Other(error)) => return Err(error),
        }
    }
}

/// Longer with each attempt, and never the same for two runs.
fn pause(attempt: u32) {
    let jitter = os::random_hex(1).ok().and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or(0);
    std::thread::sleep(Duration::from_millis(u64::from(attempt) * 300 + jitter));
}

enum Trouble {
    /// The server's error, and the statement it answers; one past the last for a statement of ours.
    Statement(Box<SqlError>, usize),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Trouble {
        Trouble::Other(error)
    }
}

fn settings(migration: &Migration, local: &str) -> [String; 2] {
    let lock = migration.directives.lock_timeout.unwrap_or(LOCK_TIMEOUT).as_millis();
    let statement = migration.directives.statement_timeout.unwrap_or(Duration::ZERO).as_millis();
    [format!("set {local} lock_timeout = '{lock}ms'"), format!("set {local} statement_timeout = '{statement}ms'")]
}

/// The file and its ledger row in one transaction. What is sent after a failure inside it changes nothing, so all is
/// sent at once; a file that could revive its transaction (`ROLLBACK TO`), or that has COPY data, goes one by one.
fn apply_inside(session: &mut Session, migration: &Migration, record: &str) -> Result<(), Trouble> {
    let limits = settings(migration, "local");
    let pieces: Vec<&Piece> = migration.statements().collect();
    let is_plain = |piece: &&Piece| {
        matches!(piece.kind, Kind::Sql) && nature(piece.sql(&migration.text)) != Nature::RollbackToSavepoint
    };
    let mut opening: Vec<&str> = RESET.to_vec();
    opening.push("begin");
    opening.extend(limits.iter().map(String::as_str));
    if !pieces.iter().all(is_plain) {
        for answer in session.run_all(&opening)? {
            answer.ok().map_err(|error| Trouble::Other(error.into()))?;
        }
        for (index, piece) in pieces.iter().enumerate() {
            run_piece(session, migration, piece)
                .and_then(|answer| Ok(answer.ok()?))
                .map_err(|error| at_statement(error, index))?;
        }
        for statement in [record, "commit"] {
            session.run(statement)?.ok().map_err(|error| Trouble::Statement(error, pieces.len()))?;
        }
        return Ok(());
    }
    let mut all = opening.clone();
    all.extend(pieces.iter().map(|piece| piece.sql(&migration.text)));
    all.extend([record, "commit"]);
    for (index, answer) in session.run_all(&all)?.into_iter().enumerate() {
        let statement = index.saturating_sub(opening.len()).min(pieces.len());
        answer.ok().map_err(|error| match index < opening.len() {
            true => Trouble::Other(error.into()),
            false => Trouble::Statement(error, statement),
        })?;
    }
    Ok(())
}

fn at_statement(error: anyhow::Error, index: usize) -> Trouble {
    match error.downcast::<Box<SqlError>>() {
        Ok(error) => Trouble::Statement(error, index),
        Err(other) => Trouble::Other(other),
    }
}

fn run_piece(session: &mut Session, migration: &Migration, piece: &Piece) -> Result<super::session::Answer> {
    match &piece.kind {
        Kind::Copy { data } => session.copy(piece.sql(&migration.text), &migration.text[data.clone()]),
        _ => session.run(piece.sql(&migration.text)),
    }
}

/// Statement by statement, with an intent row first; a file without a transaction goes on at the statement that was
/// not done, one that manages its own begins anew.
fn apply_outside(
    session: &mut Session,
    migration: &Migration,
    chain: &str,
    run: &Run,
    resume_at: usize,
) -> Result<(), Trouble> {
    for statement in RESET.iter().map(|statement| (*statement).to_owned()).chain(settings(migration, "session")) {
        session.execute(&statement)?;
    }
    if ledger_state(session, migration)?.is_empty() {
        session.execute(&ledger::intend(&migration.entry(), chain, run))?;
    }
    let from = if migration.directives.no_transaction { resume_at } else { 0 };
    for (index, piece) in migration.statements().enumerate().skip(from) {
        run_piece(session, migration, piece)
            .and_then(|answer| Ok(answer.ok()?))
            .map_err(|error| at_statement(error, index))?;
        if migration.directives.no_transaction {
            session.execute(&ledger::progress(&migration.version, index + 1))?;
        }
    }
    session.execute(&ledger::finish(&migration.version))?;
    Ok(())
}

/// Files of repeatable/ by name: views and functions, applied again when their content changed.
pub fn read_repeatable(workspace: &Workspace) -> Result<Vec<Migration>> {
    let mut files = Vec::new();
    let mut findings = Vec::new();
    for path in
        entries(&workspace.migrations().join("repeatable")).iter().filter(|path| path.extension() == Some("sql"))
    {
        let name = path.file_stem().unwrap_or_default().to_owned();
        match read_content(workspace, path, String::new(), name) {
            Ok(file) if file.directives.no_transaction || file.directives.own_transaction => {
                let finding = Finding::error("a repeatable migration runs in a transaction").at(start_of(&file.file));
                findings.push(finding.hint("remove the directive, or write a versioned migration"));
            }
            Ok(file) => files.push(file),
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() {
        Ok(files)
    } else {
        Err(Failure::configuration("the migrations cannot be used", findings).into())
    }
}

/// Those repeatable files whose content the database does not have yet.
pub fn stale_repeatable(session: &mut Session, files: Vec<Migration>) -> Result<Vec<Migration>> {
    if !ledger::exists(session)? {
        return Ok(files);
    }
    let known = session.query("select name, sha256 from ops.repeatable")?;
    let is_known = |file: &Migration| {
        known.iter().any(|row| row["name"] == file.name.as_str() && row["sha256"] == file.sha256.as_str())
    };
    Ok(files.into_iter().filter(|file| !is_known(file)).collect())
}

/// Applies one repeatable file and records its content, in one transaction.
pub fn apply_repeatable(session: &mut Session, file: &Migration, run: &Run) -> Result<Duration> {
    let started = Instant::now();
    match apply_inside(session, file, &ledger::record_repeatable(&file.entry(), run)) {
        Ok(()) => Ok(started.elapsed()),
        Err(Trouble::Other(error)) => Err(error),
        Err(Trouble::Statement(error, index)) => Err(file.trouble(session, *error, index)),
    }
}

fn ledger_state(session: &mut Session, migration: &Migration) -> Result<String> {
    session.value(&format!(
        "select state from ops.migration where version = {}",
        super::session::literal(&migration.version)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let mut versions = ["10", "9", "20140924113530", "002", "1"];
        versions.sort_by(|a, b| order(a).cmp(&order(b)));
        assert_eq!(versions, ["1", "002", "9", "10", "20140924113530"]);
        assert_eq!(name_parts("0001_add_keys"), Some(("0001".to_owned(), "add_keys".to_owned())));
        assert_eq!(name_parts("add_keys"), None);
        assert_eq!(name_parts("12_"), None);
    }
}
