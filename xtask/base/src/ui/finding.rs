//! A finding: what a check saw, where, and what to do about it. One renderer prints them all.

use camino::Utf8PathBuf;
use serde_json::{Value, json};

/// A place in a file of the workspace; line and column count from 1, the column in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Relative to the workspace's root where it lies below it.
    pub file: Utf8PathBuf,
    pub line: usize,
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub severity: Severity,
    pub place: Option<Place>,
    /// What is there, and what was expected; lower case, no full stop.
    pub message: String,
    /// What to do about it, a command where there is one.
    pub hint: Option<String>,
}

impl Finding {
    pub fn error(message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Error, place: None, message: message.into(), hint: None }
    }
    pub fn warning(message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(message) }
    }
    pub fn at(mut self, place: Place) -> Finding {
        self.place = Some(place);
        self
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }
    pub fn to_json(&self) -> Value {
        let place = self.place.as_ref();
        json!({
            "severity": self.severity.name(),
            "file": place.map(|p| p.file.as_str()),
            "line": place.map(|p| p.line),
            "column": place.map(|p| p.column),
            "message": self.message,
            "hint": self.hint,
        })
    }
    /// The line for people: `file:line:column: error: message`.
    pub fn line(&self) -> String {
        let place = self.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}{}: {}", self.severity.name(), self.message)
    }
    /// The same as a workflow command of GitHub Actions.
    pub fn annotation(&self) -> String {
        let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let place = self.place.as_ref().map(|p| format!(" file={},line={},col={}", p.file, p.line, p.column));
        format!("::{}{}::{}", self.severity.name(), place.unwrap_or_default(), escape(&self.message))
    }
}

/// True when at least one finding is an error.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
