//! Applying one file, or taking it back: in one transaction with its row in the ledger, or, where the file says so,
//! [outside](super::outside) of one. The session holds the schema's lock all the time.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::explain::explain;
use super::script::{Ready, Step};
use crate::ledger::{self, Applied, Chain, Event};
use crate::session::{Batch, Session, SqlError, identifier};
use crate::sql::Kind;
use crate::sql::statement::Nature;
use base::tools::os;
use base::ui::{self, Exit, Failure};
use base::workspace::database::Timeouts;

/// How often a file is tried when a lock was not to be had (55P03) or a deadlock was resolved against it (40P01).
pub(super) const ATTEMPTS: u32 = 5;

/// Puts a session back to how it was opened, without DISCARD ALL, which would free the lock. One exchange. It ends each
/// file, and does not begin the transaction of the next one: that would have what the last file has set.
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

    /// Applies many, in their order; `begins` is told of each. What can be sent at once is sent before the file before it is
    /// answered, so that neither the server nor this program waits for the other. Only the last commit waits for the disk:
    /// it takes all before it along, because the log is written in its order.
    pub fn many(
        &mut self,
        files: &[(&Ready, Option<&Applied>)],
        mut begins: impl FnMut(&Ready),
    ) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        let mut ahead = None;
        for (index, (ready, row)) in files.iter().enumerate() {
            begins(ready);
            let started = Instant::now();
            if !is_plain(ready) {
                match ready.migration.version.is_empty() {
                    true => self.repeatable(ready)?,
                    false => self.up(ready, *row)?,
                };
                times.push(started.elapsed());
                continue;
            }
            self.say_echoes(ready);
            let batch = match ahead.take() {
                Some(batch) => batch,
                None => {
                    let batch = self.planned(ready, index + 1 == files.len());
                    self.session.send_batch(&batch);
                    batch
                }
            };
            if let Some((next, _)) = files.get(index + 1).filter(|(next, _)| is_plain(next)) {
                let next = self.planned(next, index + 2 == files.len());
                self.session.send_batch_ahead(&next);
                ahead = Some(next);
            }
            if let Err(trouble) = self.outcome(ready, &batch, 1) {
                if let Some(ahead) = &ahead {
                    self.session.receive_batch(ahead)?;
                }
                self.again(ready, trouble, |this| {
                    this.session.send_batch(&batch);
                    this.outcome(ready, &batch, 1)
                })?;
                if let Some(ahead) = &ahead {
                    self.session.send_batch(ahead);
                }
            }
            times.push(started.elapsed());
        }
        Ok(times)
    }

    /// The batch of a file; the history's chain goes on behind it.
    fn planned(&mut self, ready: &Ready, waits_for_disk: bool) -> Batch {
        let entry = ready.migration.entry();
        let record = match entry.version.is_empty() {
            true => ledger::record_repeatable(&self.chain, &entry),
            false => {
                let record = ledger::record(&self.chain, Event::Applied, &entry);
                self.chain.last = self.chain.link(Event::Applied, &entry);
                record
            }
        };
        self.batch(ready, &[], &record, waits_for_disk)
    }

    fn say_echoes(&self, ready: &Ready) {
        ready.script.echoes.iter().for_each(|words| ui::say(words));
    }

    /// The file and its row in one transaction, again when a lock was not to be had.
    fn inside(&mut self, ready: &Ready, first: &[String], record: &str) -> Result<()> {
        match self.try_inside(ready, first, record) {
            Ok(()) => Ok(()),
            Err(trouble) => self.again(ready, trouble, |this| this.try_inside(ready, first, record)),
        }
    }

    /// Tries again as long as that may help, or explains.
    fn again(
        &mut self,
        ready: &Ready,
        mut trouble: Trouble,
        mut attempt: impl FnMut(&mut Self) -> Result<(), Trouble>,
    ) -> Result<()> {
        for number in 1..ATTEMPTS {
            if !trouble.is_passing() {
                break;
            }
            self.session.execute("rollback")?;
            // What a transaction has prepared outlives it.
            self.session.execute(RESET)?;
            pause(number);
            match attempt(self) {
                Ok(()) => return Ok(()),
                Err(next) => trouble = next,
            }
        }
        Err(self.explain(ready, trouble))
    }

    /// What is sent after a failure inside a transaction changes nothing, so all is sent at once where that is possible.
    fn try_inside(&mut self, ready: &Ready, first: &[String], record: &str) -> Result<(), Trouble> {
        if is_plain(ready) {
            let batch = self.batch(ready, first, record, true);
            self.session.send_batch(&batch);
            return self.outcome(ready, &batch, 1 + first.len());
        }
        let (begin, end) = self.frame(ready, record, true);
        for statement in std::iter::once(&begin).chain(first) {
            self.session.execute(statement)?;
        }
        let steps = &ready.script.steps;
        for (index, step) in steps.iter().enumerate() {
            self.statement(ready, step, index)?;
        }
        self.session.run(&end)?.ok().map(|_| ()).map_err(|error| Trouble::Statement(error, steps.len()))
    }

    /// What stands around a file's statements in one transaction.
    fn frame(&self, ready: &Ready, record: &str, waits_for_disk: bool) -> (String, String) {
        let [lock, statement] = self.limits(ready, "local");
        let commit = if waits_for_disk { "" } else { "\\; set local synchronous_commit = off" };
        let begin = format!("begin\\; {lock}\\; {statement}{commit}");
        (begin, format!("{AS_OWNER}\\; {record}\\; commit\\; {RESET}"))
    }

    fn batch(&mut self, ready: &Ready, first: &[String], record: &str, waits_for_disk: bool) -> Batch {
        let steps = &ready.script.steps;
        let (begin, end) = self.frame(ready, record, waits_for_disk);
        let mut statements = vec![begin.as_str()];
        statements.extend(first.iter().map(String::as_str));
        let from = statements.len();
        statements.extend(steps.iter().map(|step| ready.script.sql(step)));
        statements.push(&end);
        // With one statement there is no doubt whose notices they are.
        let told = if steps.len() > 1 { from..from + steps.len() } else { 0..0 };
        self.session.batch(&statements, told)
    }

    /// The answer to a batch, in which `from` statements of ours stand before the file's.
    fn outcome(&mut self, ready: &Ready, batch: &Batch, from: usize) -> Result<(), Trouble> {
        let steps = &ready.script.steps;
        let outcome = self.session.receive_batch(batch)?;
        for (index, line) in &outcome.notices {
            if let Some(step) = steps.get(index.saturating_sub(from).min(steps.len().saturating_sub(1))) {
                warn(ready, step, line);
            }
        }
        match outcome.error {
            None => Ok(()),
            Some((index, error)) if index < from => Err(Trouble::Other(error.into())),
            Some((index, error)) => Err(Trouble::Statement(error, index - from)),
        }
    }

    /// One statement of the file.
    pub(super) fn statement(&mut self, ready: &Ready, step: &Step, index: usize) -> Result<(), Trouble> {
        let sql = ready.script.sql(step);
        let answer = match ready.script.data(step) {
            Some(data) => self.session.copy(sql, data)?,
            None => self.session.run(sql)?,
        };
        answer.notices.iter().for_each(|line| warn(ready, step, line));
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

/// Whether all of it can be sent at once: not what could revive its transaction (`ROLLBACK TO`), nor COPY data, nor what
/// runs outside of one.
fn is_plain(ready: &Ready) -> bool {
    let is_plain = |step: &Step| matches!(step.piece.kind, Kind::Sql) && step.nature != Nature::RollbackToSavepoint;
    !ready.script.runs_outside() && ready.script.steps.iter().all(is_plain)
}

/// Shows a line of the server's that warns of something.
fn warn(ready: &Ready, step: &Step, line: &str) {
    if let Some(warning) = line.strip_prefix("WARNING:  ") {
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
