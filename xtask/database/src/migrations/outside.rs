//! Files that no one transaction holds: statement by statement, with the intent written first and what is done beside
//! it, so that the next run goes on at the statement that was not done.
//!
//! A statement that can stand in a transaction gets one, together with the count of what is done, and a COMMIT of the
//! file takes the count along: what is done and what the ledger says cannot part. Only what PostgreSQL runs in no
//! transaction (CREATE INDEX CONCURRENTLY) is counted after it; what a killed run left of that is put right first.

use anyhow::Result;

use super::apply::{AS_OWNER, ATTEMPTS, RESET, Runner, Trouble, Way, pause};
use super::leftovers;
use super::script::{Ready, Step};
use crate::ledger::{self, Applied, Event};
use crate::lock::{self, Protects};
use crate::sql::lexer::{Token, tokens};
use crate::sql::statement::Nature;
use base::ui::{self, Failure, Finding};

/// What an earlier run may have left of a statement.
#[derive(Clone, Copy, Default)]
struct Before {
    /// The file was begun by an earlier run, or the statement was tried before.
    is_resumed: bool,
    /// The earlier run may have been killed between the statement and its count.
    may_be_done: bool,
}

impl Runner<'_> {
    pub(super) fn outside(&mut self, ready: &Ready, way: Way, row: Option<&Applied>) -> Result<()> {
        let (state, event) = match way {
            Way::Up => ("running", Event::Applied),
            Way::Down => ("reverting", Event::Reverted),
        };
        let from = row.filter(|row| row.state == state).map_or(0, |row| row.statements_done);
        if let Some(row) = row.filter(|row| row.state == state) {
            check_head(ready, row)?;
        }
        for limit in self.limits(ready, "session") {
            self.session.execute(&limit)?;
        }
        let entry = ready.migration.entry();
        let is_resumed = row.is_some_and(|row| row.state == state);
        if !is_resumed {
            self.session.execute(&ledger::begin(&self.chain, &entry, state))?;
        } else if from > 0 {
            ui::say(&format!(
                "{}: going on behind statement {from} of {}",
                ready.migration.file,
                ready.script.steps.len()
            ));
        }
        if let Err(trouble) = self.steps(ready, from, is_resumed) {
            return Err(self.explain(ready, trouble));
        }
        self.check_closed(ready)?;
        self.session.execute("reset session authorization\\; reset role")?;
        let finish = match event {
            Event::Reverted => ledger::forget(&self.chain, event, &entry),
            _ => ledger::finish(&self.chain, &entry),
        };
        self.session.execute(&finish)?;
        self.session.execute(RESET)?;
        Ok(())
    }

    fn steps(&mut self, ready: &Ready, from: usize, is_resumed: bool) -> Result<(), Trouble> {
        let version = &ready.migration.version;
        let mut head = String::new();
        let mut is_open = false;
        for (index, step) in ready.script.steps.iter().enumerate() {
            head = ready.script.extend_head(&head, step);
            let sql = ready.script.sql(step);
            if index < from {
                // What a SET of an earlier statement did went with the session it was said in.
                if is_setting(sql) {
                    self.statement(ready, step, index)?;
                }
                continue;
            }
            let progress = ledger::progress(version, index + 1, &head);
            match step.nature {
                Nature::TransactionControl("BEGIN" | "START TRANSACTION") => {
                    self.statement(ready, step, index)?;
                    is_open = true;
                }
                Nature::TransactionControl(what) => {
                    let commits = matches!(what, "COMMIT" | "END");
                    if is_open && commits {
                        self.ours(&format!("{AS_OWNER}\\; {progress}"), index)?;
                    }
                    self.statement(ready, step, index)?;
                    is_open = chains(sql);
                    if !commits && !is_open {
                        self.ours(&progress, index)?;
                    }
                }
                _ if is_open => self.statement(ready, step, index)?,
                Nature::OutsideTransaction(_) | Nature::MayEndTransaction(_) => {
                    let before = Before { is_resumed, may_be_done: is_resumed && index == from };
                    self.bare(ready, step, index, before)?;
                    self.ours(&progress, index)?;
                }
                _ => self.wrapped(ready, step, index, &progress)?,
            }
        }
        Ok(())
    }

    fn ours(&mut self, statement: &str, index: usize) -> Result<(), Trouble> {
        self.session.run(statement)?.ok().map(|_| ()).map_err(|error| Trouble::Statement(error, index))
    }

    /// In a transaction of its own, with the count.
    fn wrapped(&mut self, ready: &Ready, step: &Step, index: usize, progress: &str) -> Result<(), Trouble> {
        let mut attempt = 1;
        loop {
            self.ours("begin", index)?;
            let done = match self.statement(ready, step, index) {
                Ok(()) => self.ours(&format!("{AS_OWNER}\\; {progress}\\; commit"), index),
                Err(trouble) => Err(trouble),
            };
            match done {
                Ok(()) => return Ok(()),
                // active_sql_transaction: PostgreSQL knows better than we that it runs in no transaction.
                Err(Trouble::Statement(error, _)) if error.sqlstate == "25001" => {
                    self.ours("rollback", index)?;
                    self.bare(ready, step, index, Before::default())?;
                    return self.ours(progress, index);
                }
                Err(trouble) if trouble.is_passing() && attempt < ATTEMPTS && ready.script.data(step).is_none() => {
                    self.ours("rollback", index)?;
                    pause(attempt);
                    attempt += 1;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// In no transaction. Without a limit, unless the file sets one: it waits for others by its nature, and stands in
    /// nobody's way meanwhile.
    fn bare(&mut self, ready: &Ready, step: &Step, index: usize, mut before: Before) -> Result<(), Trouble> {
        let directives = &ready.script.directives;
        let says = |word: &str| ready.script.steps.iter().any(|step| ready.script.sql(step).contains(word));
        let limits = self.limits(ready, "session");
        let mut lifted = Vec::new();
        if matches!(step.nature, Nature::OutsideTransaction(_)) {
            if directives.lock_timeout.is_none() && !says("lock_timeout") {
                lifted.push(("set lock_timeout = 0", &limits[0]));
            }
            if directives.statement_timeout.is_none() && !says("statement_timeout") {
                lifted.push(("set statement_timeout = 0", &limits[1]));
            }
        }
        if !lock::is_held(self.session, Protects::Schema)? {
            let message = format!(
                "the lock of the schema was lost while `{}` ran; it goes on from here with the next run",
                ready.migration.file
            );
            return Err(Trouble::Other(Failure::failed(message).into()));
        }
        for (lift, _) in &lifted {
            self.ours(lift, index)?;
        }
        let mut attempt = 1;
        loop {
            if self.is_done(ready, step, before)? {
                break;
            }
            match self.statement(ready, step, index) {
                Ok(()) => break,
                Err(trouble) if trouble.is_passing() && attempt < ATTEMPTS => {
                    pause(attempt);
                    attempt += 1;
                    before.is_resumed = true;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        for (_, restore) in &lifted {
            self.ours(restore, index)?;
        }
        Ok(())
    }

    /// Looks at the index that a statement makes or drops. An INVALID one that a failed attempt left is dropped; one
    /// that is whole was made just before the run was killed.
    fn is_done(&mut self, ready: &Ready, step: &Step, before: Before) -> Result<bool, Trouble> {
        let Some((makes, name)) = index_of(ready.script.sql(step)) else { return Ok(false) };
        let is_invalid = leftovers::is_invalid_index(self.session, &name)?;
        match (makes, is_invalid) {
            (true, Some(true)) if before.is_resumed => {
                ui::say(&format!("the index {name} was left INVALID by a run that did not end; dropping it"));
                let drop = format!("drop index concurrently {name}");
                self.session.execute(&drop)?;
                Ok(false)
            }
            (true, Some(true)) => {
                let finding = Finding::error(format!("an INVALID index {name} is there already"))
                    .at(ready.script.place(step))
                    .hint(format!("drop index concurrently {name}"));
                let what = format!("failed to apply `{}`", ready.migration.file);
                Err(Trouble::Other(Failure::with_findings(ui::Exit::Failed, &what, vec![finding]).into()))
            }
            (true, Some(false)) | (false, None) => Ok(before.may_be_done),
            _ => Ok(false),
        }
    }

    /// A file that begins a transaction must end it.
    fn check_closed(&mut self, ready: &Ready) -> Result<()> {
        let answer = self.session.run("select now() = statement_timestamp()")?;
        if answer.error.is_none() && answer.rows.trim() == "t" {
            return Ok(());
        }
        self.session.execute("rollback")?;
        let file = &ready.migration.file;
        let message = format!("`{file}` does not end its last transaction; what that one did was rolled back");
        Err(Failure::failed(message).hint("end the file with `commit;`, then run it again").into())
    }
}

/// Refuses (exit 3) to go on in a file whose statements are not those that were done.
fn check_head(ready: &Ready, row: &Applied) -> Result<()> {
    let done = row.statements_done;
    if done <= ready.script.steps.len() && ready.script.head_sha256(done) == row.done_sha256 {
        return Ok(());
    }
    let message = format!(
        "`{}` was begun, and {done} of its statements are done; one of those was edited meanwhile",
        ready.migration.file
    );
    let hint =
        "put what is done back as it was (git diff shows it); from the statement that failed on it may be changed";
    Err(Failure::refused(message).hint(hint).into())
}

/// `COMMIT AND CHAIN` begins the next transaction.
fn chains(sql: &str) -> bool {
    let words: Vec<String> =
        tokens(sql).filter(|(token, _)| *token == Token::Word).map(|(_, text)| text.to_uppercase()).collect();
    words.windows(2).any(|pair| pair == ["AND", "CHAIN"])
}

/// Lasts beyond its statement: SET and RESET, but for SET LOCAL, TRANSACTION and CONSTRAINTS, and set_config as pg_dump
/// writes it.
fn is_setting(sql: &str) -> bool {
    let words: Vec<String> =
        tokens(sql).filter(|(token, _)| *token == Token::Word).take(3).map(|(_, text)| text.to_lowercase()).collect();
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    match word(0) {
        "set" => !matches!(word(1), "local" | "transaction" | "constraints"),
        "reset" => true,
        "select" => word(1) == "set_config" || (word(1) == "pg_catalog" && word(2) == "set_config"),
        _ => false,
    }
}

/// Whether a statement makes (true) or drops an index CONCURRENTLY, and which one, as its table's schema has it.
fn index_of(sql: &str) -> Option<(bool, String)> {
    let significant: Vec<(Token, &str)> = tokens(sql).filter(|(token, _)| !token.is_blank()).collect();
    let mut at = 0;
    let word = |at: usize| significant.get(at).map_or(String::new(), |(_, text)| text.to_lowercase());
    let name = |from: usize| {
        let mut end = from;
        while matches!(significant.get(end)?.0, Token::Word | Token::QuotedName) && word(end + 1) == "." {
            end += 2;
        }
        let text = |(_, text): &(Token, &str)| (*text).to_owned();
        Some((significant.get(from..=end)?.iter().map(text).collect::<Vec<_>>(), end + 1))
    };
    let skip = |at: usize, words: &[&str]| {
        if words.iter().enumerate().all(|(i, w)| word(at + i) == *w) { at + words.len() } else { at }
    };
    let makes = match word(0).as_str() {
        "create" => true,
        "drop" => false,
        _ => return None,
    };
    at = skip(at + 1, &["unique"]);
    if word(at) != "index" || word(at + 1) != "concurrently" {
        return None;
    }
    at = skip(skip(at + 2, &["if", "not", "exists"]), &["if", "exists"]);
    if makes && word(at) == "on" {
        return None;
    }
    let (index, after) = name(at)?;
    if !makes || index.len() > 1 {
        return Some((makes, index.concat()));
    }
    let (table, _) = name(skip(after + 1, &["only"]))?;
    let schema = &table[..table.len() - 1];
    Some((true, format!("{}{}", schema.concat(), index.concat())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_named_in_their_schema() {
        let of = |sql: &str| index_of(sql).map(|(makes, name)| format!("{makes} {name}"));
        assert_eq!(
            of("create unique index concurrently if not exists i on only s.\"T\" (a)").as_deref(),
            Some("true s.i")
        );
        assert_eq!(of("CREATE INDEX CONCURRENTLY \"I\" ON t USING gin (a)").as_deref(), Some("true \"I\""));
        assert_eq!(of("create index concurrently on t (a)"), None);
        assert_eq!(of("drop index concurrently if exists a.i;").as_deref(), Some("false a.i"));
        assert_eq!(of("create index i on t (a)"), None);
        assert_eq!(of("vacuum t"), None);
    }

    #[test]
    fn settings_last() {
        assert!(
            is_setting("set search_path = app")
                && is_setting("select pg_catalog.set_config('search_path', '', false);")
        );
        assert!(
            !is_setting("set local x = 1") && !is_setting("set constraints all deferred") && !is_setting("select 1")
        );
        assert!(chains("commit and chain") && !chains("commit and no chain"));
    }
}
