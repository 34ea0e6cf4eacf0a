//! What tables hold, as a number of rows and a hash that does not depend on the order of rows and columns, on settings,
//! or on PostgreSQL's version: two databases with the same have the same content.
//!
//! Tables that belong to an extension, materialised views and generated columns are left out: a restore makes them anew.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::session::{Session, literal};
use crate::{Target, ledger};
use base::ui::{Failure, Finding};

/// The method, for whoever wants to do it by hand.
pub const METHOD: &str = "sum(hashtextextended(row(columns by name, without generated ones)::text collate \"C\", 0)) over a table's own rows";
/// Blocks that one question reads: 32 MB, so that the last one does not keep the others waiting for long.
const CHUNK: u64 = 4096;

/// Settings that a row's text, and how long things may take, depend on.
const SETTINGS: [(&str, &str); 15] = [
    ("search_path", ""),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
];

/// A table's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `schema.table`, quoted where SQL needs it.
    pub name: String,
    pub rows: u64,
    /// A sum of 64-bit numbers, decimal.
    pub hash: String,
}

impl Table {
    pub fn to_json(&self) -> Value {
        json!({"name": self.name, "rows": self.rows, "hash": self.hash})
    }
    pub fn from_json(value: &Value) -> Option<Table> {
        let name = value["name"].as_str()?.to_owned();
        Some(Table { name, rows: value["rows"].as_u64()?, hash: value["hash"].as_str()?.to_owned() })
    }
}

/// A table to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub name: String,
    /// SQL of a row as one text.
    text: String,
    blocks: u64,
}

/// Gives a session the settings; those that this server does not know are left out.
pub fn settle(session: &mut Session) -> Result<()> {
    let rows = SETTINGS.iter().map(|(name, value)| format!("({}, {})", literal(name), literal(value)));
    session.value(&format!(
        "select count(set_config(s.name, wanted.value, false)) from (values {}) wanted (name, value) \
         join pg_catalog.pg_settings s on lower(s.name) = wanted.name",
        rows.collect::<Vec<_>>().join(", ")
    ))?;
    Ok(())
}

/// The tables to look at, `c` in namespace `n`.
const TABLES: &str = "from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     where c.relkind = 'r' and c.relpersistence in ('p', 'u') \
     and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
     and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass \
       and d.objid = c.oid and d.deptype = 'e') \
     order by n.nspname, c.relname";

/// The names of the tables; waits for nobody.
pub fn names(session: &mut Session) -> Result<Vec<String>> {
    let rows =
        session.query(&format!("select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name {TABLES}"))?;
    Ok(rows.iter().filter_map(|row| row["name"].as_str().map(str::to_owned)).collect())
}

/// The tables, by name. Their size is asked for, which waits for whoever has locked one.
pub fn shapes(session: &mut Session) -> Result<Vec<Shape>> {
    let rows = session.query(&format!(
        "select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, \
         (select json_agg('t.' || quote_ident(a.attname) || case when a.attnotnull then '' else '::text' end \
             order by a.attname) from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 \
           and not a.attisdropped and a.attgenerated = '') as columns, \
         pg_relation_size(c.oid) / current_setting('block_size')::int as blocks \
         {TABLES}"
    ))?;
    let shape = |row: &Value| {
        Some(Shape {
            name: row["name"].as_str()?.to_owned(),
            text: row_text(row["columns"].as_array().map(Vec::as_slice).unwrap_or_default()),
            blocks: row["blocks"].as_u64()?,
        })
    };
    rows.iter().map(|row| shape(row).context("a table was changed meanwhile")).collect()
}

/// A row as one text. Twice as fast as a record's own text, which quotes; a function takes a hundred arguments at most.
fn row_text(columns: &[Value]) -> String {
    const MOST: usize = 90;
    let column = |column: &Value| {
        let column = column.as_str().unwrap_or_default();
        if column.ends_with("::text") { format!("coalesce({column}, chr(30))") } else { column.to_owned() }
    };
    let mut parts: Vec<String> = columns.iter().map(column).collect();
    while parts.len() > MOST {
        parts = parts.chunks(MOST).map(|part| format!("concat_ws(chr(31), {})", part.join(", "))).collect();
    }
    match parts.is_empty() {
        true => "''".to_owned(),
        false => format!("concat_ws(chr(31), {})", parts.join(", ")),
    }
}

/// Keeps every table's structure as it is until the transaction ends. `lock_timeout` is the caller's.
pub fn hold(session: &mut Session, names: &[String]) -> Result<()> {
    for part in names.chunks(200) {
        let names: Vec<String> = part.iter().map(|name| format!("only {name}")).collect();
        session.execute(&format!("lock table {} in access share mode", names.join(", ")))?;
    }
    Ok(())
}

/// How a worker's session comes to see what is to be looked at.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// What is committed now: nobody else writes there.
    Now,
    /// An exported snapshot.
    Snapshot(&'a str),
}

/// One question: a part of a table.
struct Part {
    table: usize,
    condition: String,
}

fn parts(shapes: &[Shape]) -> Vec<Part> {
    let mut parts = Vec::new();
    for (table, shape) in shapes.iter().enumerate() {
        let mut from = 0;
        // The last part is open: rows may lie behind the end that was just measured.
        while from + CHUNK < shape.blocks {
            let to = from + CHUNK;
            parts.push(Part {
                table,
                condition: format!("where t.ctid >= '({from},0)'::tid and t.ctid < '({to},0)'::tid"),
            });
            from = to;
        }
        let condition = if from == 0 { String::new() } else { format!("where t.ctid >= '({from},0)'::tid") };
        parts.push(Part { table, condition });
    }
    parts
}

/// Counts and hashes the tables by `jobs` sessions of their own. Stops early when `stop` is set.
pub fn look(target: &Target, shapes: &[Shape], view: View<'_>, jobs: usize, stop: &AtomicBool) -> Result<Vec<Table>> {
    let parts = parts(shapes);
    let next = AtomicUsize::new(0);
    let sums = Mutex::new(vec![(0u64, 0i128); shapes.len()]);
    let work = || -> Result<()> {
        let mut session = Session::open(target, &ledger::purpose("db content"))?;
        settle(&mut session)?;
        session.execute("begin isolation level repeatable read read only")?;
        if let View::Snapshot(snapshot) = view {
            session.execute(&format!("set transaction snapshot {}", literal(snapshot)))?;
        }
        while !stop.load(Ordering::Relaxed) {
            let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let shape = &shapes[part.table];
            let answer = session.value(&format!(
                "select count(*), coalesce(sum(hashtextextended({} collate \"C\", 0)), 0) from only {} t {}",
                shape.text, shape.name, part.condition
            ));
            let answer = answer.with_context(|| format!("failed to read table `{}`", shape.name))?;
            let (rows, hash) = answer.split_once('|').context("a number is missing")?;
            let mut sums = sums.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let sum = &mut sums[part.table];
            *sum = (sum.0 + rows.parse::<u64>()?, sum.1 + hash.parse::<i128>()?);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, parts.len().max(1))).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(_) => Err(Failure::failed("a thread ended early").into()),
        });
        ended.collect::<Result<Vec<()>>>()
    })?;
    let sums = sums.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let table =
        |(shape, (rows, hash)): (&Shape, (u64, i128))| Table { name: shape.name.clone(), rows, hash: hash.to_string() };
    Ok(shapes.iter().zip(sums).map(table).collect())
}

/// How two databases differ, table by table.
pub fn differences(expected: &[Table], found: &[Table]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in expected {
        let name = &table.name;
        match found.iter().find(|other| other.name == *name) {
            None => findings.push(Finding::error(format!("the table `{name}` is missing"))),
            Some(other) if other.rows != table.rows => {
                let message = format!("the table `{name}` has {} rows, and should have {}", other.rows, table.rows);
                findings.push(Finding::error(message));
            }
            Some(other) if other.hash != table.hash => {
                let message = format!("the table `{name}` has the right number of rows, but not their content");
                findings.push(Finding::error(message));
            }
            Some(_) => {}
        }
    }
    let extra = found.iter().filter(|table| !expected.iter().any(|other| other.name == table.name));
    findings.extend(extra.map(|table| Finding::error(format!("the table `{}` is too much", table.name))));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_table_without_a_gap() {
        let shape = |blocks| Shape { name: "a.b".to_owned(), text: "''".to_owned(), blocks };
        let conditions = |blocks| parts(&[shape(blocks)]).into_iter().map(|part| part.condition).collect::<Vec<_>>();
        assert_eq!(conditions(0), [""]);
        assert_eq!(conditions(CHUNK), [""]);
        assert_eq!(
            conditions(CHUNK + 1),
            ["where t.ctid >= '(0,0)'::tid and t.ctid < '(4096,0)'::tid", "where t.ctid >= '(4096,0)'::tid"]
        );
    }

    #[test]
    fn a_row_has_any_number_of_columns() {
        assert_eq!(row_text(&[]), "''");
        let columns = [json!("t.id"), json!("t.note::text")];
        assert_eq!(row_text(&columns), "concat_ws(chr(31), t.id, coalesce(t.note::text, chr(30)))");
        let many: Vec<Value> = (0..200).map(|number| json!(format!("t.c{number}"))).collect();
        assert_eq!(row_text(&many).matches("concat_ws").count(), 4);
    }

    #[test]
    fn each_difference_is_told() {
        let table = |name: &str, rows, hash: &str| Table { name: name.to_owned(), rows, hash: hash.to_owned() };
        let expected = [table("a", 1, "1"), table("b", 1, "1"), table("c", 1, "1"), table("d", 0, "0")];
        let found = [table("a", 2, "1"), table("b", 1, "2"), table("d", 0, "0"), table("e", 0, "0")];
        let lines: Vec<String> = differences(&expected, &found).into_iter().map(|finding| finding.message).collect();
        assert_eq!(
            lines,
            [
                "the table `a` has 2 rows, and should have 1",
                "the table `b` has the right number of rows, but not their content",
                "the table `c` is missing",
                "the table `e` is too much"
            ]
        );
    }
}
