//! From a file of another tool to one of ours: sections taken apart, placeholders filled in, and a directive for what
//! runs outside a transaction or manages its own. The statements themselves stay as they are.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Format, History, Item, problem};
use crate::sql::statement::{Nature, nature};
use crate::sql::{Kind, Piece, SyntaxError, canonical, meta, split};
use base::ui::{Finding, Place};

/// A file to write, relative to database/migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub file: Utf8PathBuf,
    pub text: String,
    pub from: Utf8PathBuf,
    /// Its directive, for a person.
    pub how: &'static str,
}

/// dbmate's sections: what is behind `-- migrate:up` and `-- migrate:down`.
pub(super) fn sections(item: &mut Item, history: &mut History) {
    let text = String::from_utf8_lossy(&item.up).into_owned();
    let (mut head, mut up, mut down) = (String::new(), None::<String>, None::<String>);
    for line in text.split_inclusive('\n') {
        let marker =
            line.trim_start().strip_prefix("--").map(str::trim_start).and_then(|rest| rest.strip_prefix("migrate:"));
        match marker {
            Some(rest) if rest.starts_with("up") => {
                item.is_outside |= rest.replace(' ', "").contains("transaction:false");
                up = Some(String::new());
            }
            Some(rest) if rest.starts_with("down") => down = Some(String::new()),
            _ => match (&mut down, &mut up) {
                (Some(down), _) => down.push_str(line),
                (None, Some(up)) => up.push_str(line),
                (None, None) => head.push_str(line),
            },
        }
    }
    let Some(up) = up else {
        history.findings.push(problem(&item.file, "it has no `-- migrate:up`"));
        return;
    };
    item.up = format!("{head}{up}").into_bytes();
    item.down = down.filter(|down| !down.trim().is_empty()).map(|down| (item.file.clone(), down.into_bytes()));
}

/// Every file to write; what cannot be carried over is added to the history's findings.
pub fn convert(history: &mut History, values: &BTreeMap<String, String>) -> Vec<Output> {
    let mut outputs = Vec::new();
    let items = history.items.clone();
    for item in &items {
        let name = format!("{}_{}", item.version, safe_name(&item.name));
        if let Some(output) = one(history, item, &item.file, &item.up, format!("pending/{name}.sql"), values) {
            outputs.push(output);
        }
        if let Some((file, bytes)) = &item.down {
            match is_blank(bytes) {
                true => history.notes.push(format!("{file}: it holds no statement, so there is no way back")),
                false => outputs.extend(one(history, item, file, bytes, format!("pending/{name}.down.sql"), values)),
            }
        }
    }
    let repeatable = history.repeatable.clone();
    for (item, name) in repeatable.iter().zip(names_in_order(&repeatable)) {
        let file = format!("repeatable/{name}.sql");
        if let Some(output) = one(history, item, &item.file, &item.up, file, values) {
            match output.how {
                "" => outputs.push(output),
                how => history.findings.push(problem(&item.file, format!("a repeatable file cannot be {how}"))),
            }
        }
    }
    outputs
}

/// Names of repeatable files that sort as they stand: one may need what another makes.
fn names_in_order(items: &[Item]) -> Vec<String> {
    let names: Vec<String> = items.iter().map(|item| safe_name(&item.name)).collect();
    match names.windows(2).all(|pair| format!("{}.sql", pair[0]) < format!("{}.sql", pair[1])) {
        true => names,
        false => names.iter().enumerate().map(|(index, name)| format!("{:03}_{name}", index + 1)).collect(),
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    canonical(bytes)
        .ok()
        .and_then(|text| split(&text).ok())
        .is_some_and(|pieces| pieces.iter().all(|piece| piece.kind == Kind::Empty))
}

/// A name as files here have them.
fn safe_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let safe = safe.trim_matches('_').chars().take(120).collect::<String>();
    if safe.is_empty() { "migration".to_owned() } else { safe }
}

fn one(
    history: &mut History,
    item: &Item,
    file: &Utf8Path,
    bytes: &[u8],
    output: String,
    values: &BTreeMap<String, String>,
) -> Option<Output> {
    let findings = &mut history.findings;
    let refuse = |error: &SyntaxError| {
        let place = Place { file: file.to_owned(), line: error.place.line, column: error.place.column };
        let finding = Finding::error(error.message.clone()).at(place);
        error.hint.iter().fold(finding, |finding, hint| finding.hint(hint.clone()))
    };
    let mut text = canonical(bytes).map_err(|error| findings.push(refuse(&error))).ok()?;
    if history.format == Format::Flyway && item.has_placeholders {
        text = filled(&text, values)
            .map_err(|name| {
                let hint = format!("say what it is: --set {name}=VALUE");
                findings.push(problem(file, format!("it has the placeholder `{name}`")).hint(hint));
            })
            .ok()?;
    }
    let pieces = split(&text).map_err(|error| findings.push(refuse(&error))).ok()?;
    let mut is_whole = true;
    for piece in &pieces {
        if let Kind::Meta { name, arguments } = &piece.kind {
            let command = meta::Command::parse(&text[name.clone()], &text[arguments.clone()], piece.place);
            let error = match command {
                Ok(meta::Command::Include { path, .. }) => {
                    SyntaxError::new(piece.place, format!("it includes `{path}`, which does not come along"))
                        .hint("put its content into the file")
                }
                Ok(_) => continue,
                Err(error) => error,
            };
            findings.push(refuse(&error));
            is_whole = false;
        }
    }
    let (how, text) = arranged(text, &pieces, item.is_outside, history.format);
    let mut text = match how {
        "" => text,
        how => format!("-- migrate: {how}\n{text}"),
    };
    if pieces.iter().all(|piece| matches!(piece.kind, Kind::Empty | Kind::Meta { .. })) {
        history
            .notes
            .push(format!("{file}: it holds no statement; `select 1` stands for it, so that its version stays"));
        text = format!("{}\nselect 1;\n", text.trim_end());
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    is_whole.then(|| Output { file: output.into(), text, from: file.to_owned(), how })
}

/// The directive that a file needs, and the file with the transaction closed that its tool would have closed.
fn arranged(text: String, pieces: &[Piece], is_outside: bool, format: Format) -> (&'static str, String) {
    let natures: Vec<Nature> =
        pieces.iter().filter(|piece| piece.kind == Kind::Sql).map(|piece| nature(piece.sql(&text))).collect();
    let controls: Vec<&str> = natures
        .iter()
        .filter_map(|nature| match nature {
            Nature::TransactionControl(what) => Some(*what),
            _ => None,
        })
        .collect();
    let begins = |what: &&str| matches!(*what, "BEGIN" | "START TRANSACTION");
    if let (Some(first), Some(last)) = (controls.first(), controls.last()) {
        // Some files end the transaction that their tool has begun, and begin the one that it will end.
        let before = if begins(first) { "" } else { "begin;\n" };
        let after = if begins(last) { "\n;commit;\n" } else { "" };
        return ("own-transaction", format!("{before}{text}{after}"));
    }
    let is_bare = |nature: &Nature| match nature {
        Nature::OutsideTransaction(_) => true,
        // Where the tool has begun a transaction, it cannot have ended it.
        Nature::MayEndTransaction(_) => matches!(format, Format::Plain | Format::GolangMigrate),
        // psql, by which plain files are run, commits the new value before the next statement wants it.
        Nature::AddsEnumValue => format == Format::Plain && natures.len() > 1,
        _ => false,
    };
    (if is_outside || natures.iter().any(is_bare) { "no-transaction" } else { "" }, text)
}

/// `${name}` replaced, or the name of one that has no value.
fn filled(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(values.get(name).ok_or_else(|| name.to_owned())?);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how_in(format: Format, text: &str) -> (&'static str, String) {
        arranged(text.to_owned(), &split(text).unwrap(), false, format)
    }
    fn how(text: &str) -> (&'static str, String) {
        how_in(Format::Sqlx, text)
    }

    #[test]
    fn what_a_file_needs() {
        assert_eq!(how("create table t();").0, "");
        assert_eq!(how("create index concurrently i on t (a);").0, "no-transaction");
        assert_eq!(how("begin; select 1; commit;"), ("own-transaction", "begin; select 1; commit;".to_owned()));
        for (format, call, value) in [
            (Format::Sqlx, "", ""),
            (Format::GolangMigrate, "no-transaction", ""),
            (Format::Plain, "no-transaction", "no-transaction"),
        ] {
            assert_eq!(how_in(format, "call p();").0, call);
            assert_eq!(how_in(format, "alter type k add value 'x'; insert into t values ('x');").0, value);
            assert_eq!(how_in(format, "alter type k add value 'x';").0, "");
        }
        assert_eq!(how("commit; vacuum; begin;").1, "begin;\ncommit; vacuum; begin;\n;commit;\n");
    }

    #[test]
    fn placeholders() {
        let values = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(filled("x ${a} $${", &values), Ok("x 1 $${".to_owned()));
        assert_eq!(filled("${b}", &values), Err("b".to_owned()));
    }

    #[test]
    fn names() {
        assert_eq!(safe_name("Add keys.v2"), "Add_keys_v2");
        assert_eq!(safe_name(""), "migration");
    }
}
