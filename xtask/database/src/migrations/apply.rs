//! Applying one file, or taking it back: in one transaction with its row in the ledger, or, where the file says so,
//! [outside](super::outside) of one. The session holds the schema's lock all the time.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::explain::explain;
use super::script::{Ready, Step};
use crate::ledger::{self, Applied, Chain, Event};
use crate::session::{Answer, Session, SqlError, identifier};
use crate::sql::Kind;
use crate::sql::statement::Nature;
use base::tools::os;
use base::ui::{self, Exit, Failure};
use base::workspace::database::Timeouts;

/// How often a file is tried when a lock was not to be had (55P03) or a deadlock was resolved against it (40P01).
pub(super) const ATTEMPTS: u32 = 5;

/// Puts a session back to how it was opened, without DISCARD ALL, which would free the lock. One exchange.
pub const RESET: &str = "reset session authorization\\; reset role\\; reset all\\; close all\\; unlisten *\\; \
                                deallocate all\\; discard temp\\; discard sequences";

/// As the one who logged in, whatever the file made of itself, until the transaction ends.
pub(super) const AS_OWNER: &str = "set local session authorization default\\; set local role none";

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// Runs files one after the other and keeps the ledger.
pub struct Runner<'a> {
    pub session: &'a mut Session,
    pub chain: Chain,
    pub timeouts: Timeouts,
}

pub(super) enum Trouble {
    /// The server's error, and the statement it answers; one past the last for a statement of ours.
    Statement(Box<SqlError>, usize),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Trouble {
        Trouble::Other(error)
    }
}

impl Trouble {
    /// Another try may succeed.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Trouble::Statement(error, _) if matches!(error.sqlstate.as_str(), "55P03" | "40P01"))
    }
}

impl Runner<'_> {
    /// Applies one migration; `row` is what an earlier run left of it.
    pub fn up(&mut self, ready: &Ready, row: Option<&Applied>) -> Result<Duration> {
        let started = Instant::now();
        self.say_echoes(ready);
        let entry = ready.migration.entry();
        if ready.script.runs_outside() {
            self.outside(ready, Way::Up, row)?;
        } else {
            let record = ledger::record(&self.chain, Event::Applied, &entry);
            self.inside(ready, &[], &record)?;
        }
        self.chain.last = self.chain.link(Event::Applied, &entry);
        Ok(started.elapsed())
    }

    /// Takes a migration back by its down file. `views` are those of repeatable files, which may stand in the way; the
    /// next `up` makes them again.
    pub fn down(&mut self, down: &Ready, row: &Applied, views: &[String]) -> Result<Duration> {
        let started = Instant::now();
        self.say_echoes(down);
        let views: Vec<String> = views.iter().map(|view| format!("drop view if exists {view}")).collect();
        if down.script.runs_outside() {
            self.outside(down, Way::Down, Some(row))?;
        } else {
            let forget = ledger::forget(&self.chain, Event::Reverted, &down.migration.entry());
            self.inside(down, &views, &forget)?;
        }
        self.chain.last = self.chain.link(Event::Reverted, &down.migration.entry());
        Ok(started.elapsed())
    }

    /// Applies one repeatable file and records its content.
    pub fn repeatable(&mut self, ready: &Ready) -> Result<Duration> {
        let started = Instant::now();
        self.say_echoes(ready);
        let record = ledger::record_repeatable(&self.chain, &ready.migration.entry());
        self.inside(ready, &[], &record)?;
        Ok(started.elapsed())
    }

    /// What the last file did to the session must not reach what comes after the files.
    pub fn reset(&mut self) -> Result<()> {
        self.session.execute(RESET).map(|_| ())
    }

    fn say_echoes(&self, ready: &Ready) {
        ready.script.echoes.iter().for_each(|words| ui::say(words));
    }

    /// The file and its row in one transaction, again when a lock was not to be had.
    fn inside(&mut self, ready: &Ready, first: &[String], record: &str) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.try_inside(ready, first, record) {
                Ok(()) => return Ok(()),
                Err(trouble) if trouble.is_passing() && attempt < ATTEMPTS => {
                    self.session.execute("rollback")?;
                    pause(attempt);
                    attempt += 1;
                }
                Err(trouble) => return Err(self.explain(ready, trouble)),
            }
        }
    }

    /// What is sent after a failure inside a transaction changes nothing, so all is sent at once; a file that could
    /// revive its transaction (`ROLLBACK TO`), or that has COPY data, goes one by one.
    fn try_inside(&mut self, ready: &Ready, first: &[String], record: &str) -> Result<(), Trouble> {
        let steps = &ready.script.steps;
        let [lock, statement] = self.limits(ready, "local");
        let begin = format!("begin\\; {lock}\\; {statement}");
        let end = format!("{AS_OWNER}\\; {record}\\; commit");
        let is_plain = |step: &Step| matches!(step.piece.kind, Kind::Sql) && step.nature != Nature::RollbackToSavepoint;
        let mut opening = vec![RESET, begin.as_str()];
        opening.extend(first.iter().map(String::as_str));
        if !steps.iter().all(is_plain) {
            for answer in self.session.run_all(&opening)? {
                answer.ok().map_err(|error| Trouble::Other(error.into()))?;
            }
            for (index, step) in steps.iter().enumerate() {
                self.statement(ready, step, index)?;
            }
            self.session.run(&end)?.ok().map_err(|error| Trouble::Statement(error, steps.len()))?;
            return Ok(());
        }
        let mut all = opening.clone();
        all.extend(steps.iter().map(|step| ready.script.sql(step)));
        all.push(&end);
        for (index, answer) in self.session.run_blind(&all)?.into_iter().enumerate() {
            let statement = index.saturating_sub(opening.len()).min(steps.len());
            if let Some(step) = index.checked_sub(opening.len()).and_then(|index| steps.get(index)) {
                warn(ready, step, &answer);
            }
            answer.ok().map_err(|error| match index < opening.len() {
                true => Trouble::Other(error.into()),
                false => Trouble::Statement(error, statement),
            })?;
        }
        Ok(())
    }

    /// One statement of the file.
    pub(super) fn statement(&mut self, ready: &Ready, step: &Step, index: usize) -> Result<(), Trouble> {
        let sql = ready.script.sql(step);
        let answer = match ready.script.data(step) {
            Some(data) => self.session.copy(sql, data)?,
            None => self.session.run(sql)?,
        };
        warn(ready, step, &answer);
        answer.ok().map(|_| ()).map_err(|error| Trouble::Statement(error, index))
    }

    /// The limits of a file, as SET commands.
    pub(super) fn limits(&self, ready: &Ready, local: &str) -> [String; 2] {
        let directives = &ready.script.directives;
        let lock = directives.lock_timeout.unwrap_or(self.timeouts.lock).as_millis();
        let statement = directives.statement_timeout.unwrap_or(self.timeouts.statement).as_millis();
        [format!("set {local} lock_timeout = '{lock}ms'"), format!("set {local} statement_timeout = '{statement}ms'")]
    }

    /// Ends the transaction that a statement failed in, and explains the failure.
    pub(super) fn explain(&mut self, ready: &Ready, trouble: Trouble) -> anyhow::Error {
        let (error, index) = match trouble {
            Trouble::Statement(error, index) => (error, index),
            Trouble::Other(error) => return error,
        };
        // After a failed COPY the session is over, and with it the transaction.
        let _rolled_back = self.session.run("rollback");
        match ready.script.steps.get(index) {
            Some(step) => explain(ready, step, &error),
            None if error.sqlstate == "22012" => {
                let message =
                    format!("the lock of the schema was lost while `{}` ran; it was rolled back", ready.migration.file);
                Failure::failed(message)
                    .hint("a pooler between here and the server, or the file itself, gave it back")
                    .into()
            }
            None => {
                let message =
                    format!("failed to apply `{}`: at its commit: {error} ({})", ready.migration.file, error.sqlstate);
                Failure::new(Exit::Failed, message).into()
            }
        }
    }
}

/// Shows what the server warns of.
fn warn(ready: &Ready, step: &Step, answer: &Answer) {
    for warning in answer.notices.iter().filter_map(|line| line.strip_prefix("WARNING:  ")) {
        ui::warn(&format!("{}: {warning}", ready.script.place(step)));
    }
}

/// Longer with each attempt, and never the same for two runs.
pub(super) fn pause(attempt: u32) {
    let jitter = os::random_hex(1).ok().and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or(0);
    ui::say(&format!("another session holds a lock that is needed; trying again ({} of {ATTEMPTS})", attempt + 1));
    std::thread::sleep(Duration::from_millis(u64::from(attempt) * 300 + jitter));
}

/// The views that repeatable files make, quoted.
pub fn views(files: &[Ready]) -> Vec<String> {
    let mut views = Vec::new();
    for ready in files {
        for step in &ready.script.steps {
            views.extend(view(ready.script.sql(step)));
        }
    }
    views.reverse();
    views
}

/// The name in `create or replace view a.b as …`.
fn view(sql: &str) -> Option<String> {
    use crate::sql::lexer::{Token, tokens};
    let mut words = tokens(sql).filter(|(token, _)| !token.is_blank());
    let mut name = Vec::new();
    let mut seen_view = false;
    if !words.next()?.1.eq_ignore_ascii_case("create") {
        return None;
    }
    for (token, text) in words {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        match token {
            Token::Word if !seen_view => match () {
                () if is("view") => seen_view = true,
                () if is("or") || is("replace") || is("recursive") => {}
                () => return None,
            },
            Token::Word if is("as") || is("with") => break,
            Token::Word => name.push(identifier(&text.to_lowercase())),
            Token::QuotedName => name.push(text.to_owned()),
            Token::Other if text == "." => {}
            _ => break,
        }
    }
    (!name.is_empty()).then(|| name.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_views() {
        assert_eq!(
            view("create or replace view app.\"My View\" (a) as select 1").as_deref(),
            Some("\"app\".\"My View\"")
        );
        assert_eq!(view("-- c\ncreate view v with (security_barrier) as select 1").as_deref(), Some("\"v\""));
        assert_eq!(view("create function v() returns int"), None);
    }
}
