//! The files of database/migrations: which there are, in which order, and the hashes of their content. What stands in
//! one is read only when it is to run, so that a thousand applied ones cost little.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::script::{self, Script};
use crate::ledger::Entry;
use crate::sql::{SyntaxError, canonical};
use base::tools::hash;
use base::ui::{Failure, Finding, Place};
use base::workspace::{Workspace, entries};

/// A migration file.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Digits as in the file's name; empty for a repeatable one.
    pub version: String,
    pub name: String,
    /// Relative to the workspace.
    pub file: Utf8PathBuf,
    /// Canonical: LF, no byte order mark.
    pub text: String,
    /// Of the text, and of what it includes.
    pub sha256: String,
    pub raw_sha256: String,
    /// Already read, for a file that includes others: its hash needs them.
    pub(super) script: Option<Box<Script>>,
}

impl Migration {
    pub fn entry(&self) -> Entry<'_> {
        Entry { version: &self.version, name: &self.name, sha256: &self.sha256, raw_sha256: &self.raw_sha256 }
    }
    /// True for a file that production has not released yet.
    pub fn is_pending_file(&self) -> bool {
        self.file.parent().and_then(Utf8Path::file_name) == Some("pending")
    }
    /// `<version>_<name>`, or the name alone.
    pub fn title(&self) -> String {
        if self.version.is_empty() {
            format!("repeatable/{}", self.name)
        } else {
            format!("{}_{}", self.version, self.name)
        }
    }
}

/// Every migration file in the order of versions, or exit 2 with all that is wrong with names and bytes.
pub fn read(workspace: &Workspace) -> Result<Vec<Migration>> {
    let mut migrations: Vec<Migration> = Vec::new();
    let mut findings = Vec::new();
    let mut downs = Vec::new();
    for folder in ["applied", "pending"] {
        for path in entries(&workspace.migrations().join(folder)) {
            let name = path.file_name().unwrap_or_default();
            if name.ends_with(".down.sql") {
                downs.push(path);
            } else if name.ends_with(".sql") {
                match read_one(workspace, &path) {
                    Ok(migration) => migrations.push(migration),
                    Err(finding) => findings.push(finding),
                }
            }
        }
    }
    migrations.sort_by(|a, b| order(&a.version).cmp(&order(&b.version)).then_with(|| a.file.cmp(&b.file)));
    for pair in migrations.windows(2) {
        if order(&pair[0].version) == order(&pair[1].version) {
            let message = format!("version {} is also that of {}", pair[1].version, pair[0].file);
            findings.push(Finding::error(message).at(start_of(&pair[1].file)).hint("give one of them a later version"));
        }
    }
    for down in downs {
        let up = Utf8PathBuf::from(down.as_str().replace(".down.sql", ".sql"));
        if !up.is_file() {
            let finding = Finding::error("there is no migration that this file would take back");
            let hint =
                format!("remove it, or give it the name of its migration ({} is not there)", workspace.relative(&up));
            findings.push(finding.at(start_of(workspace.relative(&down))).hint(hint));
        }
    }
    done(migrations, findings)
}

fn done(migrations: Vec<Migration>, findings: Vec<Finding>) -> Result<Vec<Migration>> {
    if findings.is_empty() {
        Ok(migrations)
    } else {
        Err(Failure::configuration("the migrations cannot be used", findings).into())
    }
}

/// Files of repeatable/ by name: views and functions, applied again when their content changed.
pub fn read_repeatable(workspace: &Workspace) -> Result<Vec<Migration>> {
    let mut files = Vec::new();
    let mut findings = Vec::new();
    let paths = entries(&workspace.migrations().join("repeatable"));
    for path in paths.iter().filter(|path| path.extension() == Some("sql")) {
        let name = path.file_stem().unwrap_or_default().to_owned();
        match read_content(workspace, path, String::new(), name) {
            Ok(file) => files.push(file),
            Err(finding) => findings.push(finding),
        }
    }
    done(files, findings)
}

/// The file that takes a migration back, where there is one.
pub fn down_file(workspace: &Workspace, migration: &Migration) -> Result<Option<Migration>> {
    let path = workspace.root().join(&migration.file).with_extension("down.sql");
    if !path.is_file() {
        return Ok(None);
    }
    read_content(workspace, &path, migration.version.clone(), migration.name.clone())
        .map(Some)
        .map_err(|finding| Failure::configuration("the migrations cannot be used", vec![finding]).into())
}

/// Versions compare as numbers of any length.
pub fn order(version: &str) -> (usize, &str) {
    let digits = version.trim_start_matches('0');
    (digits.len(), digits)
}

pub(super) fn start_of(file: &Utf8Path) -> Place {
    Place { file: file.to_owned(), line: 1, column: 1 }
}

fn read_one(workspace: &Workspace, path: &Utf8Path) -> Result<Migration, Finding> {
    let file = workspace.relative(path).to_owned();
    let (version, name) = name_parts(path.file_stem().unwrap_or_default()).ok_or_else(|| {
        Finding::error("a migration is named <version>_<name>.sql, the version in digits").at(start_of(&file))
    })?;
    read_content(workspace, path, version, name)
}

fn read_content(workspace: &Workspace, path: &Utf8Path, version: String, name: String) -> Result<Migration, Finding> {
    let file = workspace.relative(path).to_owned();
    if path.is_symlink() && path.canonicalize_utf8().is_ok_and(|real| !real.starts_with(workspace.root())) {
        let finding = Finding::error("the link leads out of the workspace").at(start_of(&file));
        return Err(finding.hint("copy the file: what it says is part of the history"));
    }
    let bytes =
        std::fs::read(path).map_err(|error| Finding::error(format!("cannot be read: {error}")).at(start_of(&file)))?;
    let text = canonical(&bytes).map_err(|error| syntax(&file, &error))?;
    let sha256 = hash::sha256(&text);
    let raw_sha256 = if text.as_bytes() == bytes { sha256.clone() } else { hash::sha256(&bytes) };
    let mut migration = Migration { version, name, file, text, sha256, raw_sha256, script: None };
    if migration.text.contains("\\i") {
        let script = script::read(workspace, &migration)?;
        if let Some(included) = script.included_sha256() {
            migration.sha256 = hash::sha256(format!("{}\n{included}", migration.sha256));
        }
        migration.script = Some(Box::new(script));
    }
    Ok(migration)
}

/// `20260105090000_add_keys` is version and name.
pub fn name_parts(stem: &str) -> Option<(String, String)> {
    let (version, name) = stem.split_once('_')?;
    let valid =
        !version.is_empty() && version.len() <= 20 && version.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty();
    valid.then(|| (version.to_owned(), name.to_owned()))
}

pub(super) fn syntax(file: &Utf8Path, error: &SyntaxError) -> Finding {
    let place = Place { file: file.to_owned(), line: error.place.line, column: error.place.column };
    let finding = Finding::error(error.message.clone()).at(place);
    match &error.hint {
        Some(hint) => finding.hint(hint.clone()),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let mut versions = ["10", "9", "20140924113530", "002", "1"];
        versions.sort_by(|a, b| order(a).cmp(&order(b)));
        assert_eq!(versions, ["1", "002", "9", "10", "20140924113530"]);
        assert_eq!(name_parts("0001_add_keys"), Some(("0001".to_owned(), "add_keys".to_owned())));
        assert_eq!(name_parts("add_keys"), None);
        assert_eq!(name_parts("12_"), None);
    }
}
