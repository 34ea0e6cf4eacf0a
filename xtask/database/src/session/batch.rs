//! Statements of one transaction, sent together, of which only the first failure counts and nobody wants the rows. The next
//! batch may be sent while the server is still at work on this one: psql leaves it out where this one fails.
//!
//! psql says as little as it can about each. Of a thousand migrations of one statement, half of the time was talk.

use std::ops::Range;
use std::sync::atomic::Ordering;

use anyhow::Result;

use super::{Session, SqlError, sent, sql_error};

/// A psql variable. It cannot get into a user's statement, because no colon there reaches psql as one.
const FAILED: &str = "xtask_failed";

/// What is to be sent; it may be sent again when it has failed or was left out.
#[derive(Debug)]
pub struct Batch {
    text: String,
    mark: String,
    /// The number of the last statement.
    last: usize,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Notices and warnings, each with the number of its statement.
    pub notices: Vec<(usize, String)>,
    /// The first failure, and the number of its statement.
    pub error: Option<(usize, Box<SqlError>)>,
}

impl Session {
    /// Puts a batch together. `told` are the statements whose notices are to be told apart; those of the others count for
    /// the next of them, or for the last statement.
    pub fn batch(&mut self, statements: &[&str], told: Range<usize>) -> Batch {
        self.count += 1;
        let mark = format!("{}-{}", self.mark, self.count);
        let last = statements.len().saturating_sub(1);
        let mut text = String::new();
        for (index, statement) in statements.iter().enumerate() {
            text.push_str(&sent(statement));
            text.push_str(&format!(
                "\\if :ERROR\n\\set {FAILED} 1\n\\warn {mark} {index} -v\n\\errverbose\n\\warn {mark} {index} :SQLSTATE\n"
            ));
            if told.contains(&index) && index != last {
                text.push_str(&format!("\\else\n\\warn {mark} {index}\n"));
            }
            text.push_str("\\endif\n");
        }
        Batch { text, mark, last }
    }

    /// Sends a batch, whatever came before it.
    pub fn send_batch(&mut self, batch: &Batch) {
        let Batch { text, mark, .. } = batch;
        self.write(&format!("\\unset {FAILED}\n{text}\\warn {mark}\n\\echo {mark}\n"));
    }

    /// Sends a batch before the one before it is answered. Where that one fails, this one is left out; its answer, which
    /// says nothing then, must be taken all the same.
    pub fn send_batch_ahead(&mut self, batch: &Batch) {
        let Batch { text, mark, .. } = batch;
        self.write(&format!("\\if :{{?{FAILED}}}\n\\else\n{text}\\endif\n\\warn {mark}\n\\echo {mark}\n"));
    }

    /// Waits for the answer. Err only when the connection is lost.
    pub fn receive_batch(&mut self, batch: &Batch) -> Result<Outcome> {
        let mark = batch.mark.as_str();
        loop {
            let Ok(line) = self.stdout.recv() else { return Err(self.lost()) };
            self.flow.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            if line == mark {
                break;
            }
        }
        let mut outcome = Outcome::default();
        let mut lines = Vec::new();
        let mut verbose: Option<Vec<String>> = None;
        loop {
            let Ok(line) = self.stderr.recv() else { return Err(self.lost()) };
            let words: Option<Vec<&str>> = line.strip_prefix(mark).map(|words| words.split_whitespace().collect());
            let index = match words.as_deref() {
                Some([_, "-v"]) => {
                    verbose = Some(Vec::new());
                    continue;
                }
                Some([index, rest @ ..]) if verbose.is_some() => {
                    let index = index.parse().unwrap_or(batch.last);
                    let sqlstate = rest.first().copied().unwrap_or_default();
                    let error = sql_error(&mut lines, &verbose.take().unwrap_or_default(), sqlstate);
                    outcome.error.get_or_insert((index, Box::new(error)));
                    index
                }
                Some([index]) => index.parse().unwrap_or(batch.last),
                Some(_) => batch.last,
                None => {
                    verbose.as_mut().unwrap_or(&mut lines).push(line);
                    continue;
                }
            };
            outcome.notices.extend(lines.drain(..).map(|line| (index, line)));
            if line == mark {
                return Ok(outcome);
            }
        }
    }
}
