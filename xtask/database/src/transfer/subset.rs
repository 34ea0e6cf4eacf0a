//! A part of a database in which every reference still has its row. It is computed where the rows are, by queries
//! alone: a read-only transaction cannot make tables.
//!
//! Downwards, a table without a condition of its own gives only rows whose parents are in the part; upwards, whatever a
//! row in the part refers to comes along. Tables that refer to each other in a circle come whole.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::catalog::{Reference, Table};
use super::order::{Order, order};
use crate::session::identifier;
use crate::sql::lexer::{self, Token};
use base::ui::Failure;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Labels; None for every table.
    pub tables: Option<BTreeSet<String>>,
    /// By label, SQL over the table's columns.
    pub conditions: BTreeMap<String, String>,
    pub limit: Option<u64>,
}

pub struct Subset<'a> {
    tables: Vec<&'a Table>,
    pub order: Order,
    wish: Wish,
}

/// `TABLE=CONDITION`; a condition that would end the parentheses it is put into is none.
pub fn condition(text: &str) -> Result<(String, String)> {
    let wrong = |why: &str| {
        Failure::usage(format!("`--only {text}` cannot be used: {why}")).hint("--only \"app.document=id < 100\"")
    };
    let (table, condition) = text.split_once('=').ok_or_else(|| wrong("expected TABLE=CONDITION"))?;
    let (mut depth, mut at) = (0usize, 0);
    while at < condition.len() {
        let (token, end) =
            lexer::token(condition, at).map_err(|open| wrong(&format!("a {} is not closed", open.what)))?;
        match token {
            Token::Semicolon => return Err(wrong("it holds a `;`").into()),
            Token::Backslash => return Err(wrong("it holds a command of psql").into()),
            Token::Open => depth += 1,
            Token::Close => depth = depth.checked_sub(1).ok_or_else(|| wrong("a `)` closes nothing"))?,
            _ => {}
        }
        at = end;
    }
    if depth > 0 || condition.trim().is_empty() {
        return Err(wrong("a `(` is not closed, or there is no condition").into());
    }
    Ok((table.trim().to_owned(), condition.to_owned()))
}

impl<'a> Subset<'a> {
    /// The tables of the part: those that are asked for, and all that they refer to.
    pub fn new(all: &'a [Table], wish: Wish) -> Subset<'a> {
        let mut labels: BTreeSet<String> = match &wish.tables {
            Some(tables) => tables.clone(),
            None => all.iter().map(Table::label).collect(),
        };
        let mut open: Vec<String> = labels.iter().cloned().collect();
        while let Some(label) = open.pop() {
            for parent in all.iter().filter(|table| table.label() == label).flat_map(Table::parents) {
                if labels.insert(parent.table.clone()) {
                    open.push(parent.table.clone());
                }
            }
        }
        let tables: Vec<&Table> = all.iter().filter(|table| labels.contains(&table.label())).collect();
        let order = order(&tables);
        Subset { tables, order, wish }
    }

    /// In the order they are loaded in.
    pub fn tables(&self) -> impl Iterator<Item = &'a Table> {
        self.order.labels.iter().filter_map(|label| self.table(label))
    }
    fn table(&self, label: &str) -> Option<&'a Table> {
        self.tables.iter().find(|table| table.label() == label).copied()
    }

    /// True when every row of the table comes.
    pub fn is_whole(&self, table: &Table) -> bool {
        let label = table.label();
        let is_wished = self.wish.tables.as_ref().is_none_or(|tables| tables.contains(&label));
        let is_restricted =
            self.wish.conditions.contains_key(&label) || (self.wish.limit.is_some() && self.is_root(table));
        let parents_are =
            || table.parents().all(|parent| self.table(&parent.table).is_none_or(|parent| self.is_whole(parent)));
        self.order.circle.contains(&label) || (is_wished && !is_restricted && parents_are())
    }
    fn is_root(&self, table: &Table) -> bool {
        table.parents().next().is_none()
    }

    /// What stands for the table in a FROM.
    pub fn source(&self, table: &Table) -> String {
        if self.is_whole(table) {
            return table.only();
        }
        let mut parts = Vec::new();
        let mut done = BTreeSet::new();
        for label in &self.order.labels {
            self.base(label, &mut done, &mut parts);
        }
        for label in self.order.labels.iter().rev() {
            self.whole_row_set(label, &mut parts);
        }
        format!("(with recursive {} select * from {})", parts.join(", "), set("part", &table.label()))
    }

    /// `base`: rows that are asked for, before what they refer to.
    fn base(&self, label: &str, done: &mut BTreeSet<String>, parts: &mut Vec<String>) {
        let Some(table) = self.table(label).filter(|_| done.insert(label.to_owned())) else { return };
        let is_wished = self.wish.tables.as_ref().is_none_or(|tables| tables.contains(label));
        let mut select = format!("select x.* from {} x", table.only());
        if self.is_whole(table) {
        } else if !is_wished {
            select.push_str(" where false");
        } else if let Some(condition) = self.wish.conditions.get(label) {
            // A comment at its end must not take the rest with it.
            select.push_str(&format!(" where ({condition}\n)"));
        } else {
            let parents = table.parents().filter(|parent| self.table(&parent.table).is_some());
            let inside = parents.map(|parent| {
                let null = parent.columns.iter().map(|column| format!("x.{} is null", identifier(column)));
                let null = null.collect::<Vec<_>>().join(" or ");
                format!(
                    "({null} or exists (select from {} p where {}))",
                    set("base", &parent.table),
                    matches(parent, "x", "p")
                )
            });
            let inside: Vec<String> = inside.collect();
            if !inside.is_empty() {
                select.push_str(&format!(" where {}", inside.join(" and ")));
            }
        }
        if let Some(limit) = self.wish.limit.filter(|_| self.is_root(table) && is_wished && !self.is_whole(table)) {
            let key: Vec<String> = table.key.iter().map(|column| format!("x.{}", identifier(column))).collect();
            let by = if key.is_empty() { String::new() } else { format!(" order by {}", key.join(", ")) };
            select.push_str(&format!("{by} limit {limit}"));
        }
        parts.push(format!("{} as ({select})", set("base", label)));
    }

    /// `part`: the same with every row that a row of the part refers to, its own table's included.
    fn whole_row_set(&self, label: &str, parts: &mut Vec<String>) {
        let Some(table) = self.table(label) else { return };
        let base = set("base", label);
        if self.is_whole(table) {
            parts.push(format!("{} as (select * from {base})", set("part", label)));
            return;
        }
        let mut seeds = Vec::new();
        for child in &self.tables {
            for reference in child.parents().filter(|reference| reference.table == label) {
                let from = set("part", &child.label());
                seeds.push(format!("exists (select from {from} c where {})", matches(reference, "c", "x")));
            }
        }
        let key = table.key.iter().map(|column| format!("x.{0} = b.{0}", identifier(column))).collect::<Vec<_>>();
        let asked = match key.is_empty() {
            true => format!("(x.*)::text in (select (b.*)::text from {base} b)"),
            false => format!("exists (select from {base} b where {})", key.join(" and ")),
        };
        seeds.push(asked);
        let own: Vec<&Reference> = table.references.iter().filter(|reference| reference.table == label).collect();
        let only = table.only();
        let rows = format!("select x.* from {only} x where {}", seeds.join(" or "));
        if own.is_empty() || table.key.is_empty() {
            parts.push(format!("{} as ({rows})", set("part", label)));
            return;
        }
        let keys = |row: &str| {
            table.key.iter().map(|column| format!("{row}.{}", identifier(column))).collect::<Vec<_>>().join(", ")
        };
        let links: Vec<String> = own.iter().map(|reference| format!("({})", matches(reference, "c", "x"))).collect();
        let names: Vec<String> =
            own.iter().flat_map(|reference| &reference.columns).map(|name| identifier(name)).collect();
        let carried: Vec<String> = names.iter().map(|name| format!("x.{name}")).collect();
        let up = set("up", label);
        parts.push(format!(
            "{up} as (select {}, {} from {only} x where {} union select {}, {} from {up} c join {only} x on {})",
            keys("x"),
            carried.join(", "),
            seeds.join(" or "),
            keys("x"),
            carried.join(", "),
            links.join(" or ")
        ));
        let same: Vec<String> = table.key.iter().map(|column| format!("u.{0} = x.{0}", identifier(column))).collect();
        parts.push(format!(
            "{} as (select x.* from {only} x where exists (select from {up} u where {}))",
            set("part", label),
            same.join(" and ")
        ));
    }
}

fn set(what: &str, label: &str) -> String {
    identifier(&format!("{what} {label}"))
}

fn matches(reference: &Reference, child: &str, parent: &str) -> String {
    let pairs = reference.columns.iter().zip(&reference.target);
    let pairs =
        pairs.map(|(column, target)| format!("{child}.{} = {parent}.{}", identifier(column), identifier(target)));
    pairs.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        assert_eq!(
            condition("a.b=id < 3 and (x = ')')").unwrap(),
            ("a.b".to_owned(), "id < 3 and (x = ')')".to_owned())
        );
        for bad in ["a.b", "a=", "a=1) union select (1", "a=1; drop", "a=(1", "a='x", "a=\\q"] {
            assert!(condition(bad).is_err(), "{bad}");
        }
    }
}
