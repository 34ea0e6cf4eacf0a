//! Rows to files by COPY: all of one run from one snapshot, each file whole or not there.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use super::Format;
use super::catalog::{Column, Table};
use crate::session::Session;

/// The file that a folder of an export holds beside its rows.
pub const MANIFEST: &str = "export.json";

/// What goes to one file.
#[derive(Clone, Debug)]
pub struct Item {
    /// `app.document`, or the query's name; with the format's ending it is the file's name.
    pub label: String,
    /// None for a query.
    pub table: Option<Table>,
    /// A SELECT.
    pub select: String,
}

/// A table, or its masked columns: `expressions` says what stands for a column, where it is not the column itself.
pub fn select(table: &Table, expressions: impl Fn(&str) -> Option<String>, from: &str) -> String {
    let quoted = |name: &str| crate::session::identifier(name);
    let column = |name: &str| match expressions(name) {
        Some(expression) => format!("{expression} as {}", quoted(name)),
        None => quoted(name),
    };
    let columns: Vec<String> = table.written().map(|column_| column(&column_.name)).collect();
    // By the key, so that two exports of the same rows are the same file; the source's own columns, not the masked ones.
    let order = match table.key.is_empty() {
        true => String::new(),
        false => {
            let keys: Vec<String> = table.key.iter().map(|name| format!("x.{}", quoted(name))).collect();
            format!(" order by {}", keys.join(", "))
        }
    };
    format!("select {} from {from} x{order}", columns.join(", "))
}

/// Begins the transaction that all of an export is read in. What row-level security would hide is an error instead.
pub fn begin(session: &mut Session) -> Result<()> {
    session.execute("begin isolation level repeatable read read only")?;
    session.execute("set local row_security = off")?;
    // Texts that mean the same under every setting of whoever reads them.
    session.execute("set local datestyle = 'ISO, YMD'")?;
    session.execute("set local intervalstyle = 'postgres'")?;
    session.execute("set local extra_float_digits = 1")?;
    session.execute("set local bytea_output = 'hex'")?;
    Ok(())
}

/// Writes one file and returns how many rows it holds. The transaction goes on.
pub fn write(session: &mut Session, item: &Item, format: Format, path: &Utf8Path) -> Result<u64> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file: File = options.with_context(|| format!("failed to write `{path}`"))?;
    let mut sink = Counter { inner: BufWriter::with_capacity(256 * 1024, file), ends: 0, is_quoted: false, format };
    let select = item.select.trim_end().trim_end_matches(';');
    let statement = match format {
        Format::Csv => format!("copy ({select}\n) to stdout with (format csv, header)"),
        // JSON escapes all control characters, so none of these ever stands in it and nothing is quoted. A line end
        // inside a value of type json is blank space between its words.
        Format::Jsonl => format!(
            "copy (select translate(row_to_json(xtask_row)::text, e'\\n\\r', '  ') from ({select}\n) xtask_row) \
             to stdout with (format csv, quote e'\\x01', escape e'\\x01', delimiter e'\\x02')"
        ),
    };
    let answer = session.copy_to(&statement, &mut sink).with_context(|| format!("failed to export {}", item.label))?;
    answer.ok().with_context(|| format!("failed to export {}", item.label))?;
    sink.inner
        .flush()
        .and_then(|()| sink.inner.get_ref().sync_all())
        .with_context(|| format!("failed to write `{path}`"))?;
    Ok(sink.ends.saturating_sub(u64::from(format == Format::Csv)))
}

/// How many rows of a table hold a JSON null, which JSON lines cannot tell from a column that is null.
pub fn json_nulls(session: &mut Session, item: &Item, format: Format) -> Result<u64> {
    let table = item.table.as_ref().filter(|_| format == Format::Jsonl);
    let columns = table.iter().flat_map(|table| table.written()).filter(|column| column.base.starts_with("json"));
    let is_null = |column: &Column| {
        format!("{}_typeof(xtask_row.{}) = 'null'", column.base, crate::session::identifier(&column.name))
    };
    let conditions: Vec<String> = columns.map(is_null).collect();
    if conditions.is_empty() {
        return Ok(0);
    }
    let query = format!("select count(*) from ({}) xtask_row where {}", item.select, conditions.join(" or "));
    Ok(session.value(&query)?.parse().unwrap_or(0))
}

/// What is known of an export, for whoever imports it: tables in the order they can be loaded in.
pub fn manifest(environment: &str, format: Format, masked: bool, files: &[(Item, u64)], circle: &[String]) -> Value {
    let entry = |(item, rows): &(Item, u64)| {
        let columns = item.table.as_ref().map(|table| table.written().map(|c| c.name.clone()).collect::<Vec<_>>());
        json!({
            "file": format!("{}.{}", item.label, format.name()),
            "table": item.table.as_ref().map(Table::label),
            "columns": columns,
            "rows": rows,
        })
    };
    json!({
        "environment": environment,
        "exported_at": base::ui::utc(std::time::SystemTime::now()),
        "format": format.name(),
        "masked": masked,
        "files": files.iter().map(entry).collect::<Vec<_>>(),
        "circle": circle,
    })
}

/// Counts records while they pass.
struct Counter<W> {
    inner: W,
    ends: u64,
    is_quoted: bool,
    format: Format,
}

impl<W: Write> Write for Counter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        for byte in &bytes[..written] {
            match byte {
                b'"' if self.format == Format::Csv => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => self.ends += 1,
                _ => {}
            }
        }
        Ok(written)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
