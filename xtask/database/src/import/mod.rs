//! Histories of other tools: which tool a folder belongs to, and its migrations in that tool's order. Read only; what
//! becomes of them is [`convert`]'s.

pub mod adopt;
pub mod convert;
mod flyway;

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use base::ui::{Failure, Finding, Place, suggest};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Dbmate,
    GolangMigrate,
    Sqlx,
    Diesel,
    Flyway,
    Plain,
}

const FORMATS: [(&str, Format); 6] = [
    ("dbmate", Format::Dbmate),
    ("golang-migrate", Format::GolangMigrate),
    ("sqlx", Format::Sqlx),
    ("diesel", Format::Diesel),
    ("flyway", Format::Flyway),
    ("plain", Format::Plain),
];

impl Format {
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
    /// As given with `--format`, or exit 2.
    pub fn parse(name: &str) -> Result<Format> {
        let found = FORMATS.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
        let names = FORMATS.map(|(name, _)| name);
        found.ok_or_else(|| {
            Failure::usage(format!("unknown format `{name}`")).hint(suggest::did_you_mean(name, names)).into()
        })
    }
    /// Reads the files of the folder itself only.
    fn is_flat(self) -> bool {
        matches!(self, Format::Dbmate | Format::GolangMigrate | Format::Sqlx)
    }
    /// Orders versions as text, not as numbers.
    fn is_lexical(self) -> bool {
        matches!(self, Format::Dbmate | Format::Diesel)
    }
}

/// A migration as its tool sees it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Of the folder.
    pub file: Utf8PathBuf,
    /// As the tool's ledger has it; empty for a repeatable one.
    pub theirs: String,
    /// Its numbers: one, or several for `1.2` or a file in a numbered folder.
    parts: Vec<String>,
    /// Ours, once the order is known.
    pub version: String,
    pub name: String,
    pub up: Vec<u8>,
    pub down: Option<(Utf8PathBuf, Vec<u8>)>,
    /// The tool was told to run it outside a transaction.
    pub is_outside: bool,
    /// Whether `${…}` in it is to be replaced.
    pub has_placeholders: bool,
}

/// A folder that was read.
#[derive(Debug)]
pub struct History {
    pub format: Format,
    pub items: Vec<Item>,
    pub repeatable: Vec<Item>,
    /// What is not carried over, and what was decided.
    pub notes: Vec<String>,
    pub findings: Vec<Finding>,
}

pub(super) fn problem(file: &Utf8Path, message: impl Into<String>) -> Finding {
    Finding::error(message).at(Place { file: file.to_owned(), line: 1, column: 1 })
}

/// Reads a folder, of the tool it looks like or of the one that is named.
pub fn read(folder: &Utf8Path, given: Option<Format>) -> Result<History> {
    let mut files = Vec::new();
    walk(folder, folder, &mut files)?;
    let format = given.unwrap_or_else(|| detect(folder, &files));
    let mut history =
        History { format, items: Vec::new(), repeatable: Vec::new(), notes: Vec::new(), findings: Vec::new() };
    match format {
        Format::Flyway => flyway::read(folder, &files, &mut history)?,
        Format::Diesel => diesel(folder, &files, &mut history)?,
        _ => numbered(folder, &files, &mut history)?,
    }
    for file in
        files.iter().filter(|file| matches!(file.extension(), Some("java" | "kt" | "go" | "js" | "ts" | "py" | "rb")))
    {
        history.notes.push(format!("{file}: a migration in another language than SQL is not carried over"));
    }
    if history.items.is_empty() && history.repeatable.is_empty() {
        return Err(Failure::usage(format!("`{folder}` holds no migrations of {}", format.name()))
            .hint("name the tool: --format")
            .into());
    }
    order(&mut history);
    Ok(history)
}

fn walk(root: &Utf8Path, folder: &Utf8Path, files: &mut Vec<Utf8PathBuf>) -> Result<()> {
    let listing =
        folder.read_dir_utf8().map_err(|error| Failure::usage(format!("failed to read `{folder}`: {error}")))?;
    let mut paths: Vec<Utf8PathBuf> = listing.flatten().map(|entry| entry.path().to_owned()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true if path.file_name().is_some_and(|name| name.starts_with('.')) => {}
            true => walk(root, &path, files)?,
            false => files.push(path.strip_prefix(root).unwrap_or(&path).to_owned()),
        }
    }
    Ok(())
}

fn name_of(file: &Utf8Path) -> &str {
    file.file_name().unwrap_or_default()
}

fn detect(folder: &Utf8Path, files: &[Utf8PathBuf]) -> Format {
    let holds = |test: &dyn Fn(&Utf8PathBuf) -> bool| files.iter().any(test);
    let begins = |file: &Utf8PathBuf, wanted: &str| {
        std::fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains(wanted))
    };
    let is_of = |file: &Utf8PathBuf, tool: &str| {
        std::fs::read(folder.join(file)).is_ok_and(|bytes| stranger(&bytes) == Some(tool))
    };
    let is_rust =
        folder.ancestors().take(4).any(|folder| folder.join("Cargo.toml").is_file() || folder.join(".sqlx").is_dir());
    if holds(&|file| name_of(file) == "up.sql") {
        Format::Diesel
    } else if holds(&|file| flyway::parse(name_of(file)).is_some()) {
        Format::Flyway
    } else if holds(&|file| file.extension() == Some("sql") && is_of(file, "dbmate")) {
        Format::Dbmate
    } else if holds(&|file| file.extension() == Some("sql") && begins(file, "-- no-transaction")) {
        Format::Sqlx
    } else if holds(&|file| name_of(file).ends_with(".up.sql")) {
        if is_rust { Format::Sqlx } else { Format::GolangMigrate }
    } else if is_rust
        && files.iter().filter(|file| file.extension() == Some("sql")).all(|file| numbers(name_of(file)).is_some())
    {
        Format::Sqlx
    } else {
        Format::Plain
    }
}

/// The digits that a name begins with, and the rest without what separates them.
fn numbers(name: &str) -> Option<(String, String)> {
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    let rest = name[digits.len()..].trim_start_matches(['_', '-', '.', ' ']);
    (!digits.is_empty()).then(|| (digits, rest.to_owned()))
}

fn diesel(folder: &Utf8Path, files: &[Utf8PathBuf], history: &mut History) -> Result<()> {
    for file in files.iter().filter(|file| name_of(file) == "up.sql") {
        let parent = file.parent().unwrap_or(Utf8Path::new(""));
        let (version, name) = name_of(parent).split_once('_').unwrap_or((name_of(parent), ""));
        let version: String = version.chars().filter(|c| *c != '-').collect();
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            history.findings.push(problem(file, "its folder does not begin with a version"));
            continue;
        }
        let metadata = std::fs::read_to_string(folder.join(parent).join("metadata.toml")).unwrap_or_default();
        let is_outside = metadata.lines().any(|line| line.replace(' ', "").starts_with("run_in_transaction=false"));
        let down = parent.join("down.sql");
        let down = std::fs::read(folder.join(&down)).ok().map(|bytes| (down, bytes));
        history.items.push(Item {
            theirs: version.clone(),
            parts: vec![version],
            name: name.to_owned(),
            up: std::fs::read(folder.join(file))?,
            down,
            is_outside,
            ..Item::of(file)
        });
    }
    Ok(())
}

/// How a file of plain SQL that takes back is named, and the one that it takes back: `1.undo.a.sql` and `1.do.a.sql`.
const WAYS_BACK: [(&str, &str); 11] = [
    (".undo.", ".do."),
    (".down.", ".up."),
    (".down.", "."),
    (".undo.", "."),
    ("_down.sql", "_up.sql"),
    ("-down.sql", "-up.sql"),
    ("_down.sql", ".sql"),
    ("_undo.sql", ".sql"),
    (".revert.sql", ".sql"),
    (".rollback.sql", ".sql"),
    ("_rollback.sql", ".sql"),
];

/// The file that another one takes back.
fn taken_back<'a>(file: &Utf8Path, files: &'a [Utf8PathBuf]) -> Option<&'a Utf8PathBuf> {
    let name = name_of(file);
    let ups = WAYS_BACK.iter().filter(|(back, _)| name.contains(back)).map(|(back, up)| name.replacen(back, up, 1));
    ups.map(|up| file.with_file_name(up)).find_map(|up| files.iter().find(|file| **file == up))
}

/// dbmate, golang-migrate, sqlx and plain SQL: a number in front of the name, and of the folder where there is one.
fn numbered(folder: &Utf8Path, files: &[Utf8PathBuf], history: &mut History) -> Result<()> {
    let is_plain = history.format == Format::Plain;
    let backs: BTreeMap<&Utf8PathBuf, &Utf8PathBuf> =
        files.iter().filter(|_| is_plain).filter_map(|file| Some((taken_back(file, files)?, file))).collect();
    for file in files.iter().filter(|file| file.extension() == Some("sql")) {
        let name = name_of(file);
        if history.format.is_flat() && file.components().count() > 1 {
            let message = "it lies in a folder, where its tool does not look, and is not carried over";
            history.notes.push(format!("{file}: {message}"));
            continue;
        }
        if name.ends_with(".down.sql") || backs.values().any(|back| *back == file) {
            continue;
        }
        if is_plain && name.contains(".undo.") {
            history.notes.push(format!("{file}: there is no migration that it would take back"));
            continue;
        }
        if history.format == Format::GolangMigrate && !name.ends_with(".up.sql") {
            history
                .notes
                .push(format!("{file}: its name ends in neither .up.sql nor .down.sql; it is not carried over"));
            continue;
        }
        let stem = name.trim_end_matches(".sql").trim_end_matches(".up");
        let (mut parts, mut rest) = (Vec::new(), stem.to_owned());
        for folder in file.parent().into_iter().flat_map(Utf8Path::components) {
            parts.extend(numbers(folder.as_str()).map(|(digits, _)| digits));
        }
        let theirs = match numbers(stem) {
            Some((digits, name)) => {
                parts.push(digits.clone());
                rest = name;
                digits
            }
            None if is_plain => String::new(),
            None => {
                history.notes.push(format!("{file}: it has no version, and is not carried over"));
                continue;
            }
        };
        let bytes = std::fs::read(folder.join(file))?;
        if let Some(tool) = stranger(&bytes).filter(|_| is_plain) {
            let message = format!("it is a file of {tool}, whose parts would all be run");
            history.findings.push(problem(file, message).hint("take only what goes up into a folder of its own"));
        }
        let down = match backs.get(file) {
            Some(down) => (*down).clone(),
            None => file.with_file_name(format!("{stem}.down.sql")),
        };
        let down = std::fs::read(folder.join(&down)).ok().map(|bytes| (down, bytes));
        let rest = rest.strip_prefix("do.").filter(|_| is_plain).map_or(rest.clone(), str::to_owned);
        let mut item = Item { theirs, parts, name: rest, up: bytes, down, ..Item::of(file) };
        match history.format {
            Format::Dbmate => convert::sections(&mut item, history),
            Format::Sqlx => item.is_outside = item.up.starts_with(b"-- no-transaction"),
            _ => {}
        }
        history.items.push(item);
    }
    let is_read = |file: &&Utf8PathBuf| !history.format.is_flat() || file.components().count() == 1;
    for file in files.iter().filter(is_read).filter(|file| name_of(file).ends_with(".down.sql")) {
        if !history.items.iter().any(|item| item.down.as_ref().is_some_and(|(down, _)| down == file)) {
            history.notes.push(format!("{file}: there is no migration that it would take back"));
        }
    }
    Ok(())
}

/// The tool whose marks a file has, when that is none that runs a file as a whole.
fn stranger(bytes: &[u8]) -> Option<&'static str> {
    const MARKS: [(&str, &str); 5] = [
        ("migrate:up", "dbmate"),
        ("+goose ", "goose"),
        ("+migrate ", "sql-migrate"),
        ("liquibase formatted sql", "Liquibase"),
        ("//@UNDO", "MyBatis Migrations"),
    ];
    let text = String::from_utf8_lossy(bytes);
    let notes = || text.lines().filter_map(|line| line.trim_start().strip_prefix("--")).map(str::trim_start);
    MARKS.into_iter().find(|(mark, _)| notes().any(|note| note.starts_with(mark))).map(|(_, tool)| tool)
}

impl Item {
    fn of(file: &Utf8Path) -> Item {
        Item {
            file: file.to_owned(),
            theirs: String::new(),
            parts: Vec::new(),
            version: String::new(),
            name: String::new(),
            up: Vec::new(),
            down: None,
            is_outside: false,
            has_placeholders: false,
        }
    }
}

/// Whether two versions are one to their tool: `1.02` and `1.2`.
pub(super) fn same_version(a: &str, b: &str) -> bool {
    let plain = |text: &str| {
        let mut parts: Vec<String> = text.split('.').map(|part| part.trim_start_matches('0').to_owned()).collect();
        while parts.len() > 1 && parts.last().is_some_and(String::is_empty) {
            parts.pop();
        }
        parts
    };
    plain(a) == plain(b)
}

/// Digits as a number of any length, to be compared.
fn number(digits: &str) -> (usize, String) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits.to_owned())
}

/// A path cut into texts and numbers, so that `2.10` comes behind `2.9`.
fn natural(file: &Utf8Path) -> Vec<(usize, String)> {
    let mut parts = Vec::new();
    let mut rest = file.as_str();
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|char: char| char.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        let digits = part.trim_start_matches('0');
        parts.push(if is_number { (digits.len() + 1, digits.to_owned()) } else { (0, part.to_owned()) });
        rest = behind;
    }
    parts
}

/// Puts the items into the tool's order and gives each the version by which our order, that of numbers, is the same.
fn order(history: &mut History) {
    let is_lexical = history.format.is_lexical();
    history.items.sort_by(|a, b| {
        let by_text = || a.parts.cmp(&b.parts);
        let by_number = || a.parts.iter().map(|part| number(part)).cmp(b.parts.iter().map(|part| number(part)));
        let first = if is_lexical { by_text() } else { by_number() };
        let by_name = || natural(&a.file).cmp(&natural(&b.file)).then_with(|| a.file.cmp(&b.file));
        (a.parts.is_empty().cmp(&b.parts.is_empty())).then(first).then_with(by_name)
    });
    if history.format != Format::Plain {
        for pair in history.items.windows(2).filter(|pair| same_version(&pair[0].theirs, &pair[1].theirs)) {
            let message = format!("version {} is also that of {}", pair[1].theirs, pair[0].file);
            history.findings.push(problem(&pair[1].file, message));
        }
    }
    let rises = |versions: &[String]| {
        versions.iter().all(|version| !version.is_empty() && version.len() <= 20)
            && versions.windows(2).all(|pair| number(&pair[0]) < number(&pair[1]))
    };
    let width = |index: usize| {
        history
            .items
            .iter()
            .filter_map(|item| item.parts.get(index))
            .map(|part| part.trim_start_matches('0').len().max(1))
            .max()
            .unwrap_or(0)
    };
    let columns = history.items.iter().map(|item| item.parts.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let joined = |item: &Item| -> String {
        let column = |(index, width): (usize, &usize)| {
            let part = item.parts.get(index).map_or("", |part| part.trim_start_matches('0'));
            format!("{part:0>width$}")
        };
        widths.iter().enumerate().map(column).collect::<String>()
    };
    let longest = history.items.iter().filter_map(|item| item.parts.first()).map(String::len).max().unwrap_or(0);
    let padded = |item: &Item| format!("{:0<longest$}", item.parts.first().map_or("", String::as_str));
    let kept: Vec<String> = history.items.iter().map(|item| item.parts.join("")).collect();
    let digits = history.items.len().to_string().len().max(4);
    let counted: Vec<String> = (1..=history.items.len()).map(|count| format!("{count:0digits$}")).collect();
    let all = |make: &dyn Fn(&Item) -> String| history.items.iter().map(make).collect::<Vec<_>>();
    let (versions, note) = if columns == 1 && rises(&kept) {
        (kept, None)
    } else if columns > 1 && rises(&all(&joined)) {
        (all(&joined), Some("versions of several numbers became one number each, in the same order"))
    } else if columns == 1 && rises(&all(&padded)) {
        (all(&padded), Some("versions of different lengths were filled up with zeros, to keep the tool's order"))
    } else {
        (counted, Some("the migrations were numbered anew, to keep the tool's order"))
    };
    for (item, version) in history.items.iter_mut().zip(versions) {
        item.version = version;
    }
    history.notes.extend(note.map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(format: Format, names: &[&[&str]]) -> Vec<String> {
        let item = |parts: &&[&str]| Item {
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            ..Item::of(Utf8Path::new("x"))
        };
        let items = names.iter().map(item).collect();
        let mut history = History { format, items, repeatable: Vec::new(), notes: Vec::new(), findings: Vec::new() };
        order(&mut history);
        history.items.iter().map(|item| format!("{}:{}", item.parts.join("."), item.version)).collect()
    }

    #[test]
    fn the_tools_order_is_kept() {
        assert_eq!(versions(Format::Sqlx, &[&["10"], &["9"]]), ["9:9", "10:10"]);
        assert_eq!(
            versions(Format::Flyway, &[&["1", "10"], &["2"], &["1", "2"], &["1"]]),
            ["1:100", "1.2:102", "1.10:110", "2:200"]
        );
        assert_eq!(versions(Format::Diesel, &[&["2023"], &["202201"]]), ["202201:202201", "2023:202300"]);
        assert_eq!(versions(Format::Dbmate, &[&["2"], &["10"], &["1"]]), ["1:0001", "10:0002", "2:0003"]);
        let mut names = ["2.10_a", "2.9_z", "a/1", "02.9_b", "10"];
        names.sort_by_key(|name| natural(Utf8Path::new(name)));
        assert_eq!(names, ["a/1", "02.9_b", "2.9_z", "2.10_a", "10"]);
        assert!(same_version("1.0", "01") && same_version("0", "00") && !same_version("1.1", "11"));
    }
}
