//! The ledger of another tool: which of its migrations a database has.

use anyhow::Result;

use super::{Format, Item};
use crate::session::Session;
use base::ui::Failure;

/// The items that the tool's own ledger says are applied, or a refusal (exit 3) when it cannot be trusted.
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
            "select case when not success then 'dirty' when type = 'BASELINE' then 'upto ' || version else version end \
             from flyway_schema_history where version is not null and type not like 'UNDO%' order by installed_rank",
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
    let same = |theirs: &str, row: &str| {
        let plain =
            |text: &str| text.split('.').map(|part| part.trim_start_matches('0').to_owned()).collect::<Vec<_>>();
        plain(theirs) == plain(row)
    };
    let mut upto = None;
    for row in rows.lines() {
        // golang-migrate has one row: the last one. Flyway's baseline stands for all before it.
        let last = if format == Format::GolangMigrate { Some(row) } else { row.strip_prefix("upto ") };
        if let Some(last) = last {
            upto = items.iter().position(|item| same(&item.theirs, last)).or(upto);
        }
    }
    let is_applied = |(index, item): &(usize, &'a Item)| {
        upto.is_some_and(|upto| *index <= upto) || rows.lines().any(|row| same(&item.theirs, row))
    };
    Ok(items.iter().enumerate().filter(is_applied).map(|(_, item)| item).collect())
}
