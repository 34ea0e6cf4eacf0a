//! The files of an import: which table each one fills, with which columns, and its rows one after the other.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::Format;
use super::catalog::{Table, find};
use super::csv;
use super::export::MANIFEST;
use base::tools::files;
use base::ui::{Exit, Failure, Finding, Place, suggest};

/// A file and where its rows go.
#[derive(Clone, Debug)]
pub struct Input {
    pub path: Utf8PathBuf,
    pub format: Format,
    pub table: Table,
    /// In the file's order (CSV) or the first line's (JSON lines).
    pub columns: Vec<String>,
}

/// A row, or why it is none.
#[derive(Debug)]
pub struct Row {
    /// Where it begins in the file, from 1.
    pub line: u64,
    pub content: Result<Content, String>,
    /// As it stands in the file.
    pub raw: Vec<u8>,
}

#[derive(Debug)]
pub enum Content {
    /// In the order of the input's columns.
    Values(Vec<Option<Vec<u8>>>),
    /// A JSON object.
    Object(Vec<u8>),
}

/// The files that the words name: a folder stands for its manifest's files, or for every .csv and .jsonl in it.
pub fn named(words: &[String], format: Option<Format>) -> Result<Vec<(Utf8PathBuf, Option<String>, Format)>> {
    let mut found = Vec::new();
    for word in words {
        let path = Utf8PathBuf::from(word);
        if !path.is_dir() {
            if !path.is_file() {
                return Err(Failure::usage(format!("there is no file `{path}`")).into());
            }
            let Some(format) = format.or_else(|| Format::of(&path)) else {
                let failure = Failure::usage(format!("cannot tell the format of `{path}` from its name"));
                return Err(failure.hint("add --format csv or --format jsonl").into());
            };
            found.push((path, None, format));
            continue;
        }
        let before = found.len();
        match files::read(&path.join(MANIFEST))? {
            Some(text) => found.extend(of_manifest(&path, &text)?),
            None => {
                let entries = base::workspace::entries(&path);
                found.extend(entries.into_iter().filter_map(|path| Some((path.clone(), None, Format::of(&path)?))));
            }
        }
        if found.len() == before {
            return Err(Failure::usage(format!("`{path}` holds no .csv or .jsonl of a table")).into());
        }
    }
    Ok(found)
}

fn of_manifest(folder: &Utf8Path, text: &str) -> Result<Vec<(Utf8PathBuf, Option<String>, Format)>> {
    let broken = || Failure::usage(format!("`{}` is not the manifest of an export", folder.join(MANIFEST)));
    let manifest: Value = serde_json::from_str(text).map_err(|_| broken())?;
    let mut found = Vec::new();
    for entry in manifest["files"].as_array().ok_or_else(broken)? {
        let name = entry["file"].as_str().filter(|name| !name.contains('/')).ok_or_else(broken)?;
        // The rows of a query belong to no table.
        let Some(table) = entry["table"].as_str() else { continue };
        let path = folder.join(name);
        if !path.is_file() {
            return Err(Failure::usage(format!("the export is not whole: `{path}` is missing")).into());
        }
        found.push((path.clone(), Some(table.to_owned()), Format::of(&path).ok_or_else(broken)?));
    }
    Ok(found)
}

impl Input {
    /// Looks at the file's beginning; findings are exit 3.
    pub fn open(path: Utf8PathBuf, table: Option<&str>, format: Format, tables: &[Table]) -> Result<Input> {
        let stem = path.file_stem().unwrap_or_default().to_owned();
        let table = find(tables, table.unwrap_or(&stem)).map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) if table.is_none() => {
                let message = format!("`{path}` names no table: {failure}");
                Failure::usage(message).hint("call the file SCHEMA.TABLE.csv, or add --table SCHEMA.TABLE").into()
            }
            Ok(failure) => failure.into(),
            Err(error) => error,
        })?;
        let columns = match format {
            Format::Csv => header(&path)?,
            Format::Jsonl => keys(&path)?,
        };
        let findings = check(&path, table, &columns);
        match findings.is_empty() {
            true => Ok(Input { path, format, table: table.clone(), columns }),
            false => {
                let message = format!("`{path}` does not fit {}; nothing was touched", table.label());
                Err(Failure::with_findings(Exit::Findings, &message, findings).into())
            }
        }
    }

    /// Hands out row after row; stops at the first error of `each`.
    pub fn rows(&self, mut each: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let file = File::open(&self.path).with_context(|| format!("failed to read `{}`", self.path))?;
        let input = BufReader::with_capacity(256 * 1024, file);
        match self.format {
            Format::Csv => self.csv_rows(csv::Reader::new(input), &mut each),
            Format::Jsonl => self.json_rows(input, &mut each),
        }
    }

    fn csv_rows(&self, mut reader: csv::Reader<impl BufRead>, each: &mut impl FnMut(Row) -> Result<()>) -> Result<()> {
        let mut is_header = true;
        let count = self.columns.len();
        while let Some(record) = reader.next_record().with_context(|| format!("failed to read `{}`", self.path))? {
            if std::mem::take(&mut is_header) || (reader.raw().is_empty() && count > 1) {
                continue;
            }
            each(match record {
                Err(bad) => Row { line: bad.line, content: Err(bad.reason), raw: bad.raw },
                Ok(record) if record.values.len() != count => {
                    let reason = format!("{} values, but the header names {count}", record.values.len());
                    Row { line: record.line, content: Err(reason), raw: reader.raw().to_vec() }
                }
                Ok(record) => {
                    Row { line: record.line, content: Ok(Content::Values(record.values)), raw: reader.raw().to_vec() }
                }
            })?;
        }
        Ok(())
    }

    fn json_rows(&self, mut input: impl BufRead, each: &mut impl FnMut(Row) -> Result<()>) -> Result<()> {
        let expected: BTreeSet<&str> = self.columns.iter().map(String::as_str).collect();
        let mut line = 0;
        let mut raw = Vec::new();
        while input.read_until(b'\n', &mut raw).with_context(|| format!("failed to read `{}`", self.path))? > 0 {
            line += 1;
            let text = trim(&raw, line);
            if !text.is_empty() {
                let content = object(text, &expected).map(|()| Content::Object(text.to_vec()));
                each(Row { line, content, raw: text.to_vec() })?;
            }
            raw.clear();
        }
        Ok(())
    }
}

fn trim(raw: &[u8], line: u64) -> &[u8] {
    let raw = if line == 1 { raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw) } else { raw };
    raw.trim_ascii()
}

/// Why a line is no object with just these keys.
fn object(text: &[u8], expected: &BTreeSet<&str>) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(object) = value else { return Err("not a JSON object".to_owned()) };
    if text.contains("\\u0000") {
        return Err("it holds a NUL character, which PostgreSQL cannot store".to_owned());
    }
    let unknown = object.keys().find(|key| !expected.contains(key.as_str()));
    let missing = expected.iter().find(|key| !object.contains_key(**key));
    match (unknown, missing) {
        (Some(key), _) => Err(format!("it has the key `{key}`, which the first line has not")),
        (_, Some(key)) => Err(format!("it lacks the key `{key}` of the first line")),
        _ => Ok(()),
    }
}

fn header(path: &Utf8Path) -> Result<Vec<String>> {
    let file = File::open(path).with_context(|| format!("failed to read `{path}`"))?;
    let refuse = |message: &str| Failure::refused(format!("`{path}`: {message}; nothing was touched"));
    match csv::Reader::new(BufReader::new(file)).next_record().with_context(|| format!("failed to read `{path}`"))? {
        None => Err(refuse("the file is empty: it lacks a header").into()),
        Some(Err(bad)) => Err(refuse(&format!("line {}: {}", bad.line, bad.reason)).into()),
        Some(Ok(record)) => {
            let name = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).unwrap_or_default();
            Ok(record.values.into_iter().map(name).collect())
        }
    }
}

/// The keys of the first line; none for a file without lines.
fn keys(path: &Utf8Path) -> Result<Vec<String>> {
    let file = File::open(path).with_context(|| format!("failed to read `{path}`"))?;
    let mut input = BufReader::new(file);
    let mut raw = Vec::new();
    let mut line = 0;
    while input.read_until(b'\n', &mut raw).with_context(|| format!("failed to read `{path}`"))? > 0 {
        line += 1;
        let text = trim(&raw, line);
        if !text.is_empty() {
            return match serde_json::from_slice(text) {
                Ok(Value::Object(object)) => Ok(object.keys().cloned().collect()),
                _ => {
                    let message = format!("`{path}`: line {line} is not a JSON object; nothing was touched");
                    Err(Failure::refused(message).into())
                }
            };
        }
        raw.clear();
    }
    Ok(Vec::new())
}

/// What is wrong with a header.
fn check(path: &Utf8Path, table: &Table, columns: &[String]) -> Vec<Finding> {
    let place = || Place { file: path.to_owned(), line: 1, column: 1 };
    let label = table.label();
    let mut findings = Vec::new();
    for (index, name) in columns.iter().enumerate() {
        match table.column(name) {
            None => {
                let known = table.written().map(|column| column.name.as_str());
                let hint = suggest::did_you_mean(name, known.collect::<Vec<_>>());
                findings.push(Finding::error(format!("{label} has no column `{name}`")).at(place()).hint(hint));
            }
            Some(column) if column.is_generated => {
                let message = format!("{label}.{name} is generated: PostgreSQL computes it");
                findings.push(Finding::error(message).at(place()).hint("leave the column out of the file"));
            }
            Some(_) if columns[..index].contains(name) => {
                findings.push(Finding::error(format!("the column `{name}` stands here twice")).at(place()));
            }
            Some(_) => {}
        }
    }
    let is_needed = |column: &&super::catalog::Column| column.is_not_null && !column.has_default;
    for column in table.written().filter(is_needed).filter(|column| !columns.contains(&column.name)) {
        if !columns.is_empty() {
            let message =
                format!("the column `{}` of {label} is missing; it has no default and takes no null", column.name);
            findings.push(Finding::error(message).at(place()));
        }
    }
    findings
}
