//! The ledger of another tool: which of its migrations a database has.

use anyhow::Result;

use super::{Format, Item, number, same_version};
use crate::session::Session;
use base::ui::{Exit, Failure, Finding};

/// The items that the tool's own ledger says are applied, or a refusal (exit 3) when it cannot be trusted: it says that a
/// migration failed, or has one that no file is.
pub fn applied<'a>(session: &mut Session, format: Format, items: &'a [Item]) -> Result<Vec<&'a Item>> {
    let (table, query) = match format {
        Format::Dbmate => ("schema_migrations", "select version from schema_migrations"),
        Format::GolangMigrate => {
            ("schema_migrations", "select case when dirty then 'dirty' else version::text end from schema_migrations")
        }
        Format::Sqlx => {
            ("_sqlx_migrations", "select case when success then version::text else 'dirty' end from _sqlx_migrations")
        }
        Format::Diesel => ("__diesel_schema_migrations", "select version from __diesel_schema_migrations"),
        Format::Flyway => (
            "flyway_schema_history",
            "select case when not success then 'dirty' when type = 'BASELINE' then 'upto ' || version \
             when type like 'UNDO%' or type = 'DELETE' then 'undone ' || version else version end \
             from flyway_schema_history where version is not null order by installed_rank",
        ),
        Format::Plain => {
            let failure = Failure::refused("plain SQL has no ledger that says what is applied");
            return Err(failure.hint("run `cargo xtask migrate baseline VERSION` with the last one that is").into());
        }
    };
    let answer = session.run(query)?;
    let rows = match answer.error {
        Some(error) if error.sqlstate == "42P01" => {
            let failure = Failure::refused(format!("there is no table {table} in this database; nothing was touched"));
            return Err(failure.hint("name the tool: --format; or run `cargo xtask migrate baseline VERSION`").into());
        }
        Some(error) => return Err(error.into()),
        None => answer.rows,
    };
    if rows.lines().any(|row| row == "dirty") {
        let failure = Failure::refused(format!("{table} says that a migration failed half-way; nothing was touched"));
        return Err(failure.hint("finish or undo it with its own tool first").into());
    }
    let ledger = Ledger::read(format, rows.lines(), items);
    if !ledger.unknown.is_empty() {
        let finding = |version: &String| Finding::error(format!("{table} has version {version}, and no file is that"));
        let message = "the files are not the history that was applied; nothing was touched";
        let findings = ledger.unknown.iter().map(finding).collect();
        let hint = "take the folder as it was when the database was last migrated; versions and names stay as they are";
        return Err(Failure::with_findings(Exit::Findings, message, findings).hint(hint).into());
    }
    Ok(ledger.applied)
}

#[derive(Debug, Default)]
struct Ledger<'a> {
    applied: Vec<&'a Item>,
    /// Versions that are applied and that no item has.
    unknown: Vec<String>,
}

impl<'a> Ledger<'a> {
    /// `rows` are versions in the order in which they were applied, or `upto VERSION` and `undone VERSION`.
    fn read<'r>(format: Format, rows: impl Iterator<Item = &'r str>, items: &'a [Item]) -> Ledger<'a> {
        let mut is_applied = vec![false; items.len()];
        let mut unknown: Vec<String> = Vec::new();
        for row in rows {
            if let Some(baseline) = row.strip_prefix("upto ") {
                // It stands for all before it; there may be no file that is just that.
                let key = |version: &str| version.split('.').map(number).collect::<Vec<_>>();
                let before = |item: &Item| key(&item.theirs) <= key(baseline) || same_version(&item.theirs, baseline);
                items.iter().zip(&mut is_applied).for_each(|(item, flag)| *flag |= before(item));
                continue;
            }
            let undone = row.strip_prefix("undone ");
            let version = undone.unwrap_or(row);
            match items.iter().position(|item| same_version(&item.theirs, version)) {
                // It has one row: the last version.
                Some(at) if format == Format::GolangMigrate => is_applied[..=at].fill(true),
                Some(at) => is_applied[at] = undone.is_none(),
                None => unknown.retain(|known| known != version),
            }
            if undone.is_none() && !items.iter().any(|item| same_version(&item.theirs, version)) {
                unknown.push(version.to_owned());
            }
        }
        let applied = items.iter().zip(is_applied).filter(|(_, flag)| *flag).map(|(item, _)| item).collect();
        Ledger { applied, unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, rows: &[&str], versions: &[&str]) -> (String, String) {
        let item = |theirs: &&str| Item { theirs: (*theirs).to_owned(), ..Item::of(camino::Utf8Path::new("x")) };
        let items: Vec<Item> = versions.iter().map(item).collect();
        let ledger = Ledger::read(format, rows.iter().copied(), &items);
        let applied: Vec<&str> = ledger.applied.iter().map(|item| item.theirs.as_str()).collect();
        (applied.join(" "), ledger.unknown.join(" "))
    }

    #[test]
    fn what_is_applied() {
        let of = |rows: &[&str]| read(Format::GolangMigrate, rows, &["1", "2", "10"]);
        assert_eq!(of(&["2"]), ("1 2".to_owned(), String::new()));
        assert_eq!(of(&["3"]), (String::new(), "3".to_owned()));
        assert_eq!(of(&[]), (String::new(), String::new()));
        let of = |rows: &[&str]| read(Format::Flyway, rows, &["1.0", "1.2", "1.10", "2"]);
        assert_eq!(of(&["upto 1.5", "1.10"]), ("1.0 1.2 1.10".to_owned(), String::new()));
        assert_eq!(of(&["1", "1.2", "undone 1.2", "3", "undone 3"]), ("1.0".to_owned(), String::new()));
        assert_eq!(of(&["1", "1.2", "undone 1.2", "1.2", "4"]), ("1.0 1.2".to_owned(), "4".to_owned()));
    }
}
