//! What a migration may leave half done without an error: invalid indexes and constraints that are not validated.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::session::{Session, literal};
use base::ui::{Exit, Failure, Finding};

/// Kind, name and table of each.
const QUERY: &str = "\
    select concat_ws(E'\\t', 'index', i.indexrelid::regclass::text, i.indrelid::regclass::text) from pg_catalog.pg_index i \
    where not (i.indisvalid and i.indisready) \
    union all \
    select concat_ws(E'\\t', 'constraint', quote_ident(c.conname), c.conrelid::regclass::text) \
    from pg_catalog.pg_constraint c where not c.convalidated and c.conrelid <> 0 \
    and coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true' order by 1";

/// What is half done right now.
pub fn read(session: &mut Session) -> Result<BTreeSet<String>> {
    // Names with their schema, whatever the search path was.
    let answers = session.run_all(&["set search_path to ''", QUERY, "reset search_path"])?;
    let mut rows = String::new();
    for answer in answers {
        rows.push_str(&answer.ok()?);
    }
    Ok(rows.lines().map(str::to_owned).collect())
}

/// Fails (exit 1) when something is half done that was not `before`.
pub fn check(session: &mut Session, before: &BTreeSet<String>) -> Result<()> {
    let findings: Vec<Finding> = read(session)?.difference(before).map(|row| finding(row)).collect();
    match findings.is_empty() {
        true => Ok(()),
        false => {
            let message = "the migrations were applied, but left something half done";
            Err(Failure::with_findings(Exit::Failed, message, findings).into())
        }
    }
}

/// The same for a run that has failed already: what it left, for a person.
pub fn findings(session: &mut Session, before: &BTreeSet<String>) -> Result<Vec<Finding>> {
    Ok(read(session)?.difference(before).map(|row| finding(row)).collect())
}

fn finding(row: &str) -> Finding {
    let parts: Vec<&str> = row.split('\t').collect();
    let (name, table) = (parts.get(1).copied().unwrap_or("?"), parts.get(2).copied().unwrap_or("?"));
    match parts.first() {
        Some(&"index") => {
            Finding::error(format!("the index {name} on {table} is INVALID: it is kept up to date, but never used"))
                .hint(format!("drop index concurrently {name}; then run the statement that makes it again"))
        }
        _ => Finding::error(format!(
            "the constraint {name} on {table} is NOT VALID: rows that were there before may break it"
        ))
        .hint(format!("add a migration: alter table {table} validate constraint {name}")),
    }
}

/// True when there is an index of this name that is INVALID; None when there is none.
pub fn is_invalid_index(session: &mut Session, name: &str) -> Result<Option<bool>> {
    let value = session.value(&format!(
        "select not i.indisvalid from pg_catalog.pg_index i where i.indexrelid = to_regclass({})",
        literal(name)
    ))?;
    Ok((!value.is_empty()).then_some(value == "t"))
}
