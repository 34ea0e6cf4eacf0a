//! What tables hold, as a number of rows and a hash that does not depend on the order of rows and columns, on settings,
//! or on PostgreSQL's version: two databases with the same have the same content.
//!
//! Tables that belong to an extension, materialised views and generated columns are left out: a restore makes them anew.
//! Large objects count as one table. Sequences are no content of a moment: they run on while a backup is made, so they are
//! held to lie between what they were before it and after it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::session::{Session, literal};
use crate::{Target, ledger};
use base::ui::{Failure, Finding};

/// The method, for whoever wants to do it by hand.
pub const METHOD: &str = "sum over a table's own rows of the exclusive or of each column's hash: columns by name, without \
    generated ones, hashtextextended(column::text collate \"C\", number from 1), hashint4extended for smallint and \
    integer, hashfloat8extended for real and double precision, uuid_hash_extended for uuid, timestamps as \
    encode(timestamp_send(column) or timestamptz_send(column), 'hex'), 0 for null";
/// Blocks that one question reads: 32 MB, so that the last one does not keep the others waiting for long.
const CHUNK: u64 = 4096;

/// Settings that a row's text, and how long things may take, depend on.
const SETTINGS: [(&str, &str); 16] = [
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
    // To compile such a question takes longer than it saves.
    ("jit", "off"),
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

/// Where a sequence may stand in a backup: what it had given out last before the dump was made, and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// `schema.sequence`, quoted where SQL needs it.
    pub name: String,
    /// None when it had not been used.
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Sequence {
    pub fn to_json(&self) -> Value {
        json!({"name": self.name, "from": self.from, "to": self.to})
    }
    pub fn from_json(value: &Value) -> Option<Sequence> {
        Some(Sequence {
            name: value["name"].as_str()?.to_owned(),
            from: value["from"].as_i64(),
            to: value["to"].as_i64(),
        })
    }
    fn allows(&self, found: Option<i64>) -> bool {
        match (self.from, self.to) {
            (None, Some(_)) => true,
            (Some(from), Some(to)) => found.is_some_and(|found| (from.min(to)..=from.max(to)).contains(&found)),
            (from, _) => found == from,
        }
    }
}

/// A table to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub name: String,
    /// What is read, for what has another name to people.
    from: String,
    /// SQL of a row's hash.
    hash: String,
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
         (select json_agg(json_build_array('t.' || quote_ident(a.attname), a.atttypid::regtype, a.attnotnull) \
             order by a.attname) from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 \
           and not a.attisdropped and a.attgenerated = '') as columns, \
         pg_relation_size(c.oid) / current_setting('block_size')::int as blocks \
         {TABLES}"
    ))?;
    let shape = |row: &Value| {
        let name = row["name"].as_str()?.to_owned();
        Some(Shape {
            from: format!("only {name}"),
            name,
            hash: row_hash(row["columns"].as_array().map(Vec::as_slice).unwrap_or_default()),
            blocks: row["blocks"].as_u64()?,
        })
    };
    let shapes = rows.iter().map(|row| shape(row).context("a table was changed meanwhile"));
    let mut shapes = shapes.collect::<Result<Vec<_>>>()?;
    if session.value("select exists (select from pg_catalog.pg_largeobject_metadata)")? == "t" {
        shapes.push(Shape {
            name: "pg_catalog.pg_largeobject".to_owned(),
            from: "pg_catalog.pg_largeobject_metadata".to_owned(),
            // As much as one value can hold.
            hash: "hashtextextended(t.oid || ' ' || encode(sha256(lo_get(t.oid, 0, 1000000000)), 'hex'), 1)".to_owned(),
            blocks: 0,
        });
    }
    Ok(shapes)
}

/// What each sequence has given out last, by name.
pub fn sequences(session: &mut Session) -> Result<Vec<(String, Option<i64>)>> {
    let rows = session.query(
        "select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, pg_sequence_last_value(c.oid) as value \
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where c.relkind = 'S' and c.relpersistence in ('p', 'u') and n.nspname !~ '^pg_' \
         and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass \
           and d.objid = c.oid and d.deptype = 'e') order by 1",
    )?;
    let sequence = |row: &Value| (row["name"].as_str().unwrap_or_default().to_owned(), row["value"].as_i64());
    Ok(rows.iter().map(sequence).collect())
}

/// Where each sequence may stand. One that began anew meanwhile, or went, is left out.
pub fn between(before: Vec<(String, Option<i64>)>, after: &[(String, Option<i64>)]) -> Vec<Sequence> {
    let of = |(name, from): (String, Option<i64>)| {
        let to = after.iter().find(|(other, _)| *other == name)?.1;
        (from.is_none() || to.is_some()).then_some(Sequence { name, from, to })
    };
    before.into_iter().filter_map(of).collect()
}

/// Sequences that stand where they cannot have stood.
pub fn astray(expected: &[Sequence], found: &[(String, Option<i64>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for sequence in expected {
        let name = &sequence.name;
        match found.iter().find(|(other, _)| other == name) {
            None => findings.push(Finding::error(format!("the sequence `{name}` is missing"))),
            Some((_, value)) if !sequence.allows(*value) => {
                let told = |value: Option<i64>| value.map_or("unused".to_owned(), |value| value.to_string());
                let message =
                    format!("the sequence `{name}` is at {}, and should be at {}", told(*value), told(sequence.from));
                findings.push(Finding::error(message));
            }
            Some(_) => {}
        }
    }
    findings
}

/// The hash of a row whose columns are given as SQL, type, and whether they are never null. Column by column: to put them
/// together as one text first takes half as long again.
fn row_hash(columns: &[Value]) -> String {
    let hash = |(column, number): (&Value, usize)| {
        let sql = column[0].as_str().unwrap_or_default();
        let hex = |send: &str| format!("hashtextextended(encode({send}({sql}), 'hex') collate \"C\", {number})");
        let hash = match column[1].as_str().unwrap_or_default() {
            "smallint" | "integer" => format!("hashint4extended({sql}, {number})"),
            "real" | "double precision" => format!("hashfloat8extended({sql}, {number})"),
            "uuid" => format!("uuid_hash_extended({sql}, {number})"),
            // As text they take twice as long.
            "timestamp without time zone" => hex("timestamp_send"),
            "timestamp with time zone" => hex("timestamptz_send"),
            _ => format!("hashtextextended({sql}::text collate \"C\", {number})"),
        };
        if column[2] == json!(true) { hash } else { format!("coalesce({hash}, 0)") }
    };
    let hashes: Vec<String> = columns.iter().zip(1..).map(hash).collect();
    if hashes.is_empty() { "0".to_owned() } else { hashes.join(" # ") }
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
                "select count(*), coalesce(sum({}), 0) from {} t {}",
                shape.hash, shape.from, part.condition
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
        let shape = |blocks| Shape { name: "a.b".to_owned(), from: String::new(), hash: String::new(), blocks };
        let conditions = |blocks| parts(&[shape(blocks)]).into_iter().map(|part| part.condition).collect::<Vec<_>>();
        assert_eq!(conditions(0), [""]);
        assert_eq!(conditions(CHUNK), [""]);
        assert_eq!(
            conditions(CHUNK + 1),
            ["where t.ctid >= '(0,0)'::tid and t.ctid < '(4096,0)'::tid", "where t.ctid >= '(4096,0)'::tid"]
        );
    }

    #[test]
    fn a_row_is_hashed_column_by_column() {
        assert_eq!(row_hash(&[]), "0");
        let columns = [
            json!(["t.at", "timestamp with time zone", true]),
            json!(["t.id", "integer", true]),
            json!(["t.note", "text", false]),
        ];
        assert_eq!(
            row_hash(&columns),
            "hashtextextended(encode(timestamptz_send(t.at), 'hex') collate \"C\", 1) # hashint4extended(t.id, 2) \
             # coalesce(hashtextextended(t.note::text collate \"C\", 3), 0)"
        );
    }

    #[test]
    fn a_sequence_may_run_on_while_a_backup_is_made() {
        let values = |value| vec![("s".to_owned(), value)];
        let lines = |before, after, found| {
            let findings = astray(&between(values(before), &values(after)), &values(found));
            findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(lines(Some(3), Some(5), Some(4)), "");
        assert_eq!(lines(Some(-3), Some(-5), Some(-5)), "");
        assert_eq!(lines(None, Some(5), None), "");
        assert_eq!(lines(Some(3), None, Some(9)), "");
        assert_eq!(lines(None, None, Some(1)), "the sequence `s` is at 1, and should be at unused");
        assert_eq!(lines(Some(3), Some(5), Some(2)), "the sequence `s` is at 2, and should be at 3");
        assert_eq!(lines(Some(3), Some(3), None), "the sequence `s` is at unused, and should be at 3");
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
