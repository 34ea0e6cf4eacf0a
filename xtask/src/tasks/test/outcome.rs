//! What groups of tests said: their counts, their skipped tests by name, and the verdict over all.

use std::collections::BTreeSet;
use std::time::Duration;

use camino::Utf8PathBuf;

use crate::ui::{self, Style};

/// What one group of tests said.
pub struct Outcome {
    pub ok: bool,
    pub counts: Counts,
    /// Lines that name a skipped test, or why the whole group was.
    pub skipped: Vec<String>,
    pub log: Option<Utf8PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

#[derive(Default)]
pub struct Verdict {
    outcomes: Vec<(String, Outcome)>,
}

impl Verdict {
    pub fn add(&mut self, name: &str, outcome: Outcome) {
        self.outcomes.push((name.to_owned(), outcome));
    }
    pub fn failed(&self) -> bool {
        self.outcomes.iter().any(|(_, outcome)| !outcome.ok)
    }
    pub fn show(&self, time: Duration) {
        let rows: Vec<Vec<String>> = self
            .outcomes
            .iter()
            .map(|(name, outcome)| {
                let Counts { passed, failed, skipped } = outcome.counts;
                let verdict = if outcome.ok { "ok" } else { "FAILED" };
                vec![name.clone(), verdict.to_owned(), format!("{passed} passed, {failed} failed, {skipped} skipped")]
            })
            .collect();
        ui::say(&format!("\n{}", ui::table(&[], &rows)));
        for (name, outcome) in &self.outcomes {
            for line in &outcome.skipped {
                ui::say(&format!("{} {name}: {line}", ui::paint(Style::Warn, "skipped")));
            }
            if let Some(log) = outcome.log.as_ref().filter(|_| !outcome.ok) {
                ui::say(&format!("{} {name}: everything it said is in {log}", ui::paint(Style::Bad, "failed")));
            }
        }
        let sum = |count: fn(&Counts) -> usize| {
            self.outcomes.iter().map(|(_, outcome)| count(&outcome.counts)).sum::<usize>()
        };
        // A group that failed without a count (it did not even begin) counts as one failure.
        let silent = self.outcomes.iter().filter(|(_, outcome)| !outcome.ok && outcome.counts.failed == 0).count();
        let (passed, failed, skipped) = (sum(|c| c.passed), sum(|c| c.failed) + silent, sum(|c| c.skipped));
        ui::say(&format!(
            "{} in {}",
            if self.failed() { "tests failed" } else { "all tests passed" },
            ui::seconds(time)
        ));
        ui::out(&format!("test: {passed} passed, {failed} failed, {skipped} skipped"));
        ui::summary(&format!(
            "**Tests**: {passed} passed, {failed} failed, {skipped} skipped in {}",
            ui::seconds(time)
        ));
    }
}

/// Sums the closing lines of cargo test, node:test, pytest, unittest and the plain form.
pub fn count(lines: &[String]) -> Counts {
    let mut counts = Counts::default();
    // A test in Rust cannot say that it was skipped: it says so in a line, ends, and counts as passed.
    let mut ended_early = BTreeSet::new();
    for line in lines {
        let line = line.trim();
        if line.starts_with("skipped: ") {
            ended_early.insert(line);
        }
        let words: Vec<&str> = line
            .split(|c: char| c.is_whitespace() || c == ';' || c == ',' || c == '=')
            .filter(|word| !word.is_empty())
            .collect();
        let before = |name: &str| {
            words
                .iter()
                .position(|word| *word == name)
                .and_then(|at| words.get(at.checked_sub(1)?)?.parse::<usize>().ok())
        };
        if line.starts_with("test result:") {
            counts.passed += before("passed").unwrap_or(0);
            counts.failed += before("failed").unwrap_or(0);
            counts.skipped += before("ignored").unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("\u{2139} ")) {
            // node:test closes with `# pass 3` or, in its other reporter, `ℹ pass 3`.
            let number = rest.split_whitespace().nth(1).and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
            match rest.split_whitespace().next() {
                Some("pass") => counts.passed += number,
                Some("fail" | "cancelled") => counts.failed += number,
                Some("skipped" | "todo") => counts.skipped += number,
                _ => {}
            }
        } else if (line.contains(" in ") && line.ends_with(['s', '=']))
            && (before("passed").is_some() || before("failed").is_some() || before("error").is_some())
        {
            counts.passed += before("passed").unwrap_or(0);
            counts.failed += before("failed").unwrap_or(0) + before("error").or(before("errors")).unwrap_or(0);
            counts.skipped += before("skipped").unwrap_or(0);
        } else if let Some(rest) =
            line.strip_prefix("Ran ").filter(|rest| rest.contains(" tests in ") || rest.contains(" test in "))
        {
            counts.passed += rest.split_whitespace().next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
        }
    }
    counts.skipped += ended_early.len();
    counts.passed = counts.passed.saturating_sub(ended_early.len());
    counts
}

/// Lines in which a runner names a test it skipped.
pub fn is_skip(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("SKIPPED [")
        || line.contains("# SKIP")
        || line.starts_with("\u{fe63} ")
        || line.starts_with("skipped: ")
        || (line.starts_with("test ") && line.contains("... ignored"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> (usize, usize, usize) {
        let Counts { passed, failed, skipped } = count(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        (passed, failed, skipped)
    }

    #[test]
    fn closing_lines_of_each_runner() {
        assert_eq!(
            counted("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s"),
            (5, 0, 1)
        );
        assert_eq!(counted("# tests 4\n# pass 3\n# fail 1\n# cancelled 0\n# skipped 2\n# todo 0"), (3, 1, 2));
        assert_eq!(counted("\u{2139} pass 7\n\u{2139} fail 0\n\u{2139} skipped 1"), (7, 0, 1));
        assert_eq!(counted("12 passed, 2 skipped in 0.51s"), (12, 0, 2));
        assert_eq!(counted("==== 1 failed, 12 passed in 3.51s ===="), (12, 1, 0));
        assert_eq!(counted("Ran 3 tests in 0.001s"), (3, 0, 0));
        let early = "skipped: one: no Docker\n.\nskipped: two: no network";
        assert_eq!(counted(&format!("{early}\ntest result: ok. 5 passed; 0 failed; 1 ignored;")), (3, 0, 3));
    }
}
