//! Holds the rules against the tables: each rule has its column and fits it, and no column that looks personal goes
//! without one. All of it before a row is read out.

use anyhow::Result;

use super::sql::longest;
use super::{Entry, Fake, Key, Rule, Rules, personal};
use crate::session::{Session, literal};
use crate::transfer::catalog::{Column, Table};
use base::ui::{Exit, Failure, Finding, Place};

/// Where rules stand, for hints.
const FILE: &str = "database/masking.yaml";

/// Rules that fit, with the key: what [`Masks::expression`] makes is safe to read out.
pub struct Masks {
    rules: Rules,
    key: Key,
}

impl Masks {
    /// What is selected for a column of row `x`; None for the column itself.
    pub fn expression(&self, table: &Table, column: &str) -> Option<String> {
        let entry = self.rules.of(&table.label(), column)?;
        self.key.expression(table.column(column)?, &entry.rule)
    }
    /// The columns of a table that do not leave as they are.
    pub fn masked(&self, table: &Table) -> usize {
        let label = table.label();
        self.rules.entries.iter().filter(|entry| entry.table == label && entry.rule.masks()).count()
    }
}

/// Checks all rules, and the columns of the tables that are to leave; findings are exit 3, and nothing was read out.
pub fn check(session: &mut Session, rules: Rules, key: Key, all: &[Table], leaving: &[&Table]) -> Result<Masks> {
    let mut findings = Vec::new();
    for entry in &rules.entries {
        let table = all.iter().find(|table| table.label() == entry.table);
        let Some(column) = table.and_then(|table| table.column(&entry.column)) else {
            let message = format!("there is no column {}.{} any more", entry.table, entry.column);
            findings
                .push(Finding::error(message).at(entry.place.clone()).hint("take the line out, or correct the name"));
            continue;
        };
        if let Some(objection) = objection(session, entry, column)? {
            findings.push(Finding::error(objection).at(entry.place.clone()));
        }
    }
    for table in leaving {
        findings.extend(references(&rules, table));
        findings.extend(without_rule(session, &rules, table)?);
    }
    match findings.is_empty() {
        true => Ok(Masks { rules, key }),
        false => {
            let message = format!("{FILE} does not cover what would leave; nothing was read out");
            Err(Failure::with_findings(Exit::Findings, &message, findings).into())
        }
    }
}

/// Why a rule does not fit its column.
fn objection(session: &mut Session, entry: &Entry, column: &Column) -> Result<Option<String>> {
    let name = format!("{}.{}", entry.table, entry.column);
    let is_text =
        matches!(column.base.as_str(), "text" | "character varying" | "bpchar") || column.base.ends_with("citext");
    if entry.rule.masks() && column.is_generated {
        return Ok(Some(format!("{name} is generated: mask the columns it is made of")));
    }
    if let (Some(longest), Some(length)) = (longest(&entry.rule, column.is_unique), column.length)
        && u64::try_from(longest).unwrap_or(u64::MAX) > length
    {
        return Ok(Some(format!("the rule makes up to {longest} characters, {name} takes {length}")));
    }
    Ok(match &entry.rule {
        Rule::Keep => None,
        Rule::Null => column.is_not_null.then(|| format!("{name} takes no null")),
        Rule::Fixed(_) if column.is_unique => Some(format!("{name} is unique: it cannot be the same in every row")),
        Rule::Fixed(value) => {
            // As data, never as part of a statement: COPY would read it the same way.
            session.execute("savepoint xtask_mask")?;
            let answer = session.run(&format!("select {}::{}", literal(value), column.kind))?;
            session.execute("rollback to savepoint xtask_mask")?;
            answer.error.map(|error| format!("the fixed value does not fit {name}: {}", error.message))
        }
        Rule::Hash if column.is_unique && column.length.is_some_and(|length| length < 16) => {
            Some(format!("{name} is unique and takes {} characters: too few for a hash", column.length.unwrap_or(0)))
        }
        Rule::Hash if is_text || matches!(column.base.as_str(), "uuid" | "bytea") => None,
        Rule::Hash => Some(format!("{name} is {}: only text, uuid and bytea can be hashed", column.kind)),
        Rule::Fake(Fake::Phone) if column.is_unique => Some(format!("{name} is unique: invented numbers may repeat")),
        Rule::Fake(_) => (!is_text).then(|| format!("{name} is {}: only text can be invented", column.kind)),
    })
}

/// A column and what it refers to must become the same value.
fn references(rules: &Rules, table: &Table) -> Vec<Finding> {
    let rule = |table: &str, column: &str| rules.of(table, column).map_or(&Rule::Keep, |entry| &entry.rule);
    let mut findings = Vec::new();
    for reference in &table.references {
        for (column, target) in reference.columns.iter().zip(&reference.target) {
            let (here, there) = (rule(&table.label(), column), rule(&reference.table, target));
            if here == there || *here == Rule::Null {
                continue;
            }
            let entry = rules.of(&table.label(), column).or_else(|| rules.of(&reference.table, target));
            let message = format!(
                "{}.{column} refers to {}.{target}, but one becomes {} and the other {}",
                table.label(),
                reference.table,
                here.text(),
                there.text()
            );
            let finding = Finding::error(message).hint("give both the same rule");
            findings.push(match entry {
                Some(entry) => finding.at(entry.place.clone()),
                None => finding,
            });
        }
    }
    findings
}

/// Columns that look personal and have no rule, each with the line to add.
fn without_rule(session: &mut Session, rules: &Rules, table: &Table) -> Result<Vec<Finding>> {
    let label = table.label();
    let open: Vec<&Column> = table.written().filter(|column| rules.of(&label, &column.name).is_none()).collect();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut unsuspected = Vec::new();
    for column in open {
        match personal::by_name_or_type(table, column) {
            Some(why) => found.push((column.name.clone(), why)),
            None => unsuspected.push(column),
        }
    }
    found.extend(personal::by_values(session, table, &unsuspected)?);
    let end =
        Place { file: FILE.into(), line: rules.entries.iter().map(|e| e.place.line).max().unwrap_or(0) + 1, column: 1 };
    let finding = |(name, why): &(String, String)| {
        let message = format!("{label}.{name} looks personal ({why}) and has no rule");
        let rule = table.column(name).map_or("keep".to_owned(), |column| suggestion(column, why));
        Finding::error(message).at(end.clone()).hint(format!("add to {FILE}: `{label}.{name}: {rule}` (or keep)"))
    };
    Ok(found.iter().map(finding).collect())
}

/// The rule that most would choose.
fn suggestion(column: &Column, why: &str) -> String {
    let about =
        |words: &[&str]| words.iter().any(|word| why.contains(word) || column.name.to_lowercase().contains(word));
    let is_text = matches!(column.base.as_str(), "text" | "character varying") && column.length.is_none_or(|n| n >= 40);
    let rule = if is_text && about(&["mail"]) {
        Rule::Fake(Fake::Email)
    } else if is_text && about(&["phone", "mobile", "fax"]) && !column.is_unique {
        Rule::Fake(Fake::Phone)
    } else if is_text && about(&["name"]) {
        Rule::Fake(Fake::Name)
    } else if is_text || matches!(column.base.as_str(), "uuid" | "bytea") {
        Rule::Hash
    } else if column.is_not_null {
        return "{fixed: VALUE}".to_owned();
    } else {
        Rule::Null
    };
    rule.text()
}
