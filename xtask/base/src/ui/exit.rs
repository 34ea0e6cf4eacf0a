//! How a run ends: the exit codes that every task shares, and the error that carries one.

use anyhow::Result;

use super::Finding;

/// The exit codes; docs/architecture/README.md documents them, xtask/tests holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// The task failed.
    Failed = 1,
    /// Usage or configuration: the command line or a workspace file is not what it should be.
    Usage = 2,
    /// The check ran and found problems; nothing was touched.
    Findings = 3,
    /// A needed tool or server is missing or unreachable.
    CannotTell = 4,
    /// Another run holds the lock.
    Busy = 5,
    /// Failed, and what ran before runs again.
    RolledBack = 6,
    /// Failed, and what ran before could not be brought back: a person is needed.
    Stuck = 7,
}

/// A failure with its exit code, the remedy, and the findings that led to it.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    message: String,
    hint: Option<String>,
    findings: Vec<Finding>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None, findings: Vec::new() }
    }
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Failed, message)
    }
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }
    pub fn refused(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Findings, message)
    }
    pub fn cannot_tell(message: impl Into<String>) -> Failure {
        Failure::new(Exit::CannotTell, message)
    }
    pub fn busy(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Busy, message)
    }
    /// What to do about it; printed on a line of its own.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
    /// Unreadable workspace files: all that was found, exit 2.
    pub fn configuration(what: &str, findings: Vec<Finding>) -> Failure {
        let count = findings.len();
        let problems = if count == 1 { "problem" } else { "problems" };
        Failure::with_findings(Exit::Usage, &format!("{what}: {count} {problems}"), findings)
    }
    /// A refusal or failure with everything that led to it.
    pub fn with_findings(exit: Exit, message: &str, findings: Vec<Finding>) -> Failure {
        Failure { findings, ..Failure::new(exit, message) }
    }
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code an error asks for; 1 when nothing in its chain says otherwise.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    failures(error).next().map_or(Exit::Failed, |failure| failure.exit)
}

/// Prints an error as its findings, one line for the whole chain, and a hint.
pub fn report(error: &anyhow::Error) {
    for finding in failures(error).flat_map(Failure::findings) {
        super::finding(finding);
    }
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    super::error(&chain.join(": "));
    let hint = failures(error).find_map(|failure| failure.hint.as_deref());
    if let Some(hint) = hint.or_else(|| crate::tools::files::hint_for(error)) {
        super::hint(hint);
    }
}

/// What all of several side-by-side parts returned. Every failure but the last is reported here, the last is returned.
pub fn all<T>(results: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut good = Vec::new();
    let mut last: Option<anyhow::Error> = None;
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => {
                if let Some(earlier) = last.replace(error) {
                    report(&earlier);
                }
            }
        }
    }
    last.map_or(Ok(good), Err)
}

fn failures(error: &anyhow::Error) -> impl Iterator<Item = &Failure> {
    // `downcast_ref` on the error itself also sees a Failure used as anyhow context.
    let outer = error.downcast_ref::<Failure>();
    let chained = error.chain().filter_map(|cause| cause.downcast_ref::<Failure>());
    outer.into_iter().chain(chained.filter(move |failure| !outer.is_some_and(|o| std::ptr::eq(o, *failure))))
}
