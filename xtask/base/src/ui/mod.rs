//! What people and machines see: data on stdout, talk on stderr, every line masked by [`redact`].
//! Nothing else in the program prints.

pub mod exit;
mod finding;
pub mod prompt;
pub mod redact;
pub mod steps;
pub mod suggest;
mod table;

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use exit::{Exit, Failure};
pub use finding::{Finding, Place, Severity, has_errors};
use serde_json::Value;
pub use steps::{Step, step};
pub use table::table;

/// What the terminal can do, looked up once.
pub struct Terminal {
    /// stderr is a terminal that understands cursor movement.
    pub live: bool,
    pub color: bool,
    /// A person can be asked: stdin and stderr are a terminal.
    pub interactive: bool,
    pub github: bool,
}

pub fn terminal() -> &'static Terminal {
    static TERMINAL: OnceLock<Terminal> = OnceLock::new();
    TERMINAL.get_or_init(|| {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let live = std::io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb");
        Terminal {
            live,
            color: live && !set("NO_COLOR"),
            interactive: live && std::io::stdin().is_terminal() && !set("CI"),
            github: std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true"),
        }
    })
}

/// Data for stdout, with a line end. A reader that went away (`| head`) is no failure.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let text = redact::mask(text);
    if writeln!(stdout, "{}", text.strip_suffix('\n').unwrap_or(&text)).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(Exit::Done as i32);
    }
}

/// One JSON value for stdout.
pub fn json(value: &Value) {
    out(&format!("{value:#}"));
}

/// A line of talk for stderr.
pub fn say(text: &str) {
    steps::print_line(&redact::mask(text));
}

pub fn error(text: &str) {
    say(&format!("{} {text}", paint(Style::Bad, "error:")));
}

pub fn hint(text: &str) {
    say(&format!("{} {text}", paint(Style::Strong, "hint:")));
}

pub fn warn(text: &str) {
    say(&format!("{} {text}", paint(Style::Warn, "warning:")));
}

/// One finding for people; in GitHub Actions also as an annotation of the file.
pub fn finding(finding: &Finding) {
    say(&finding.line());
    if let Some(hint) = &finding.hint {
        say(&format!("  {} {hint}", paint(Style::Strong, "hint:")));
    }
    if terminal().github {
        // Workflow commands are read from stdout as well as stderr; stdout stays data.
        say(&finding.annotation());
    }
}

/// Adds Markdown to the job's summary page where GitHub Actions offers one.
pub fn summary(markdown: &str) {
    let Ok(path) = std::env::var("GITHUB_STEP_SUMMARY") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // The summary is an extra: a job must not fail because it could not be written.
    let _written = file.and_then(|mut file| writeln!(file, "{}", redact::mask(markdown)));
}

#[derive(Clone, Copy)]
pub enum Style {
    Good,
    Bad,
    Warn,
    Strong,
    Faint,
}

pub fn paint(style: Style, text: &str) -> String {
    paint_if(terminal().color, style, text)
}

fn paint_if(color: bool, style: Style, text: &str) -> String {
    let code = match style {
        Style::Good => "32",
        Style::Bad => "1;31",
        Style::Warn => "33",
        Style::Strong => "1",
        Style::Faint => "2",
    };
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// `0.3 s`, `12.0 s`, `3 min 05 s`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 100 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

/// How long ago, roughly: `12 s`, `5 min`, `3 h`, `2 days`.
pub fn age(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s @ 7200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// A moment as RFC 3339 in UTC, to the second.
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a civil date, by eras of 400 years beginning in March (Howard Hinnant, "chrono-compatible
    // low-level date algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_times() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(at(4_102_444_799), "2099-12-31T23:59:59Z");
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }
}
