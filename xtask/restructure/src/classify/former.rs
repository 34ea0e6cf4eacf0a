//! What has had its time: names that say so, and the period it belongs to.

use std::time::{Duration, SystemTime};

use crate::language::FORMER;
use crate::path::RelPath;

/// Words of a folder's name that say its content is not in use.
const FOLDERS: &[&str] = &[
    "archive",
    "archived",
    "archives",
    "deprecated",
    "obsolete",
    "legacy",
    "old",
    "unused",
    "attic",
    "trash",
    "graveyard",
    "retired",
    "superseded",
    "outdated",
];
/// The same at the end of a file's name.
const FILES: &[&str] =
    &["deprecated", "obsolete", "old", "unused", "archived", "backup", "bak", "superseded", "legacy"];
/// Endings that are examples to copy, not remains.
const EXAMPLES: &[&str] = &["example", "sample", "template", "dist", "copy", "off"];

/// Why a file counts as out of use, by its name; None where nothing says so.
pub fn why(path: &RelPath) -> Option<String> {
    if let Some(folder) = path.ancestors().filter(|folder| !folder.is_root()).find(is_former_folder) {
        return Some(format!("lies in `{}/`, whose name says it is out of use", crate::path::shown(folder.name())));
    }
    let name = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    let name = name.trim_end_matches(['"', '\'', ' ']);
    if name.ends_with('~') || name.ends_with(".swp") {
        return Some("is an editor's copy".to_owned());
    }
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let plain = ending.split(['_', '-']).next().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    if !stem.is_empty() && FORMER.contains(&plain) && !EXAMPLES.contains(&plain) {
        return Some(format!("ends with `.{ending}`"));
    }
    let last = super::class::words(stem).into_iter().rfind(|word| !word.chars().all(|c| c.is_ascii_digit()));
    // `backup.sh` makes backups, `deploy_backup.sh` is one.
    let is_more = super::class::words(stem).len() > 1;
    last.filter(|word| is_more && FILES.contains(&word.as_str()) && word != "backup" || is_dated_backup(stem))
        .map(|word| format!("its name ends with `{word}`"))
}

/// `x_backup_20240101`.
fn is_dated_backup(stem: &str) -> bool {
    let words = super::class::words(stem);
    matches!(words.as_slice(), [.., name, date] if name == "backup" && date.len() >= 6 && date.chars().all(|c| c.is_ascii_digit()))
}

fn is_former_folder(folder: &RelPath) -> bool {
    let name = String::from_utf8_lossy(folder.name()).to_ascii_lowercase();
    let words = super::class::words(&name);
    // `old-sql` and `migrations_ARCHIVED_20251116`; not `archive-service`, a program that archives.
    let is_date = |word: &String| word.chars().all(|c| c.is_ascii_digit());
    let said: Vec<&String> = words.iter().filter(|word| !is_date(word)).collect();
    match said.as_slice() {
        [] => false,
        [only] => FOLDERS.contains(&only.as_str()),
        [first, .., last] => {
            FOLDERS.contains(&last.as_str())
                || ["old", "deprecated", "archived", "legacy", "obsolete", "unused"].contains(&first.as_str())
                || (first.as_str() == "archive"
                    && !["service", "server", "job", "worker", "api", "app"].contains(&last.as_str()))
        }
    }
}

/// The period a path names: `2024-q4`, `20251116`, `2024-11`, `2024`.
pub fn period_in(path: &RelPath) -> Option<String> {
    path.ancestors().filter(|folder| !folder.is_root()).find_map(|folder| {
        let name = String::from_utf8_lossy(folder.name()).to_ascii_lowercase();
        let parts = super::class::words(&name);
        parts.iter().enumerate().find_map(|(at, part)| {
            let year = part.get(..4).filter(|year| (1990..2100).contains(&year.parse().unwrap_or(0)))?;
            let rest = &part[4..];
            let next = parts.get(at + 1).map(String::as_str).unwrap_or_default();
            let month = |text: &str| {
                text.get(..2).and_then(|month| month.parse::<u32>().ok()).filter(|month| (1..=12).contains(month))
            };
            match (rest, next) {
                (rest, _) if rest.len() >= 2 && rest.chars().all(|c| c.is_ascii_digit()) => {
                    month(rest).map(|month| quarter(year, month))
                }
                ("", "q1" | "q2" | "q3" | "q4") => Some(format!("{year}-{next}")),
                ("", next) if next.len() == 2 => {
                    Some(month(next).map_or_else(|| year.to_owned(), |month| quarter(year, month)))
                }
                ("", _) => Some(year.to_owned()),
                _ => None,
            }
        })
    })
}

/// The quarter of a moment, `2025-q4`.
pub fn period_of(seconds: i64) -> String {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let date = base::ui::utc(moment);
    quarter(&date[..4], date[5..7].parse().unwrap_or(1))
}

fn quarter(year: &str, month: u32) -> String {
    format!("{year}-q{}", (month - 1) / 3 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn names_say_what_is_out_of_use() {
        for name in [
            "scripts/archive/a.sh",
            "a/migrations_ARCHIVED_20251116/x.sql",
            "old-sql/x.sql",
            "a.sql.bak2",
            "a.py.backup_wf",
            "x.sql.disabled",
            "run_old.sh",
            "deploy_backup_20240101.sh",
            "a.sh~",
        ] {
            assert!(why(&path(name)).is_some(), "{name}");
        }
        for name in [
            "scripts/backup.sh",
            "archive-service/main.go",
            "config/.env.example",
            "a.conf.template",
            "backups/db.sql",
            "gold.sql",
            "db/backup_daily.sh",
            "threshold.py",
        ] {
            assert_eq!(why(&path(name)), None, "{name}");
        }
    }

    #[test]
    fn periods() {
        assert_eq!(period_in(&path("archive/2024-q4/x")).as_deref(), Some("2024-q4"));
        assert_eq!(period_in(&path("m_ARCHIVED_20251116/x")).as_deref(), Some("2025-q4"));
        assert_eq!(period_in(&path("old/2024-02/x")).as_deref(), Some("2024-q1"));
        assert_eq!(period_in(&path("old/2023/x")).as_deref(), Some("2023"));
        assert_eq!(period_in(&path("old/v12345/x")), None);
        assert_eq!(period_of(1_763_700_000), "2025-q4");
    }
}
