//! The manifest of a backup: what it holds, as the database was in one moment, and the SHA-256 of every file. It is
//! written last and carries its own SHA-256, so a backup with a manifest that agrees is whole.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};

use super::content::{Sequence, Table};
use base::tools::{files, hash};
use base::ui::{Exit, Failure, Finding};
use base::workspace::entries;

/// The manifest's file.
pub const NAME: &str = "manifest.json";
/// What a restore into a scratch database has left beside it.
pub const VERIFIED: &str = "verified.json";
/// The folder that pg_dump writes.
pub const DUMP: &str = "dump";
/// Of the manifest's shape.
const FORMAT: u64 = 1;

/// A file of a backup; `path` is relative to its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    pub path: String,
    pub size: u64,
    pub sha256: String,
}

/// Everything that is known of a backup.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub id: String,
    pub environment: String,
    /// The moment of the snapshot.
    pub created_at: String,
    /// Facts of the database, as [`super::facts::read`] tells them.
    pub database: Value,
    /// Versions and who made it.
    pub made_by: Value,
    /// SHA-256 of the schema as SQL, comments taken out; comparable where the client's version is the same.
    pub schema_sha256: String,
    /// The head of the migration ledger.
    pub migrations: Value,
    /// How the tables' content was hashed.
    pub content: String,
    pub tables: Vec<Table>,
    pub sequences: Vec<Sequence>,
    pub files: Vec<BackupFile>,
    /// As it stands in the file; what later versions note there is kept.
    pub text: String,
}

impl Manifest {
    /// Gives it its text, which carries the SHA-256 of all the rest of it.
    pub fn sealed(self) -> Manifest {
        let mut value = json!({
            "format": FORMAT,
            "id": self.id,
            "environment": self.environment,
            "created_at": self.created_at,
            "database": self.database,
            "made_by": self.made_by,
            "schema_sha256": self.schema_sha256,
            "migrations": self.migrations,
            "content": self.content,
            "tables": self.tables.iter().map(Table::to_json).collect::<Vec<_>>(),
            "sequences": self.sequences.iter().map(Sequence::to_json).collect::<Vec<_>>(),
            "files": self.files.iter().map(|file| json!({"path": file.path, "size": file.size, "sha256": file.sha256})).collect::<Vec<_>>(),
        });
        let own = hash::sha256(value.to_string());
        if let Value::Object(map) = &mut value {
            map.insert("sha256".to_owned(), Value::String(own));
        }
        Manifest { text: format!("{value:#}\n"), ..self }
    }

    /// Reads a text that [`Manifest::sealed`] made, byte for byte; anything else is an error.
    pub fn from_text(text: &str) -> Result<Manifest> {
        let value: Value = serde_json::from_str(text).context("not JSON")?;
        if !is_sealed(&value, text) {
            anyhow::bail!("it is not what was written: its own sha256 does not agree");
        }
        let text_of = |map: &Value, key: &str| {
            map[key].as_str().map(str::to_owned).with_context(|| format!("`{key}` is missing"))
        };
        let list = |key: &str| value[key].as_array().with_context(|| format!("`{key}` is missing"));
        if value["format"].as_u64() != Some(FORMAT) {
            anyhow::bail!("its format is {}, and this program reads format {FORMAT}", value["format"]);
        }
        let tables = list("tables")?.iter().map(|table| Table::from_json(table).context("a table lacks a key"));
        let file = |file: &Value| {
            let size = file["size"].as_u64().context("a file has no size")?;
            Ok(BackupFile { path: text_of(file, "path")?, size, sha256: text_of(file, "sha256")? })
        };
        let sequences = value["sequences"].as_array().into_iter().flatten().filter_map(Sequence::from_json);
        Ok(Manifest {
            id: text_of(&value, "id")?,
            environment: text_of(&value, "environment")?,
            created_at: text_of(&value, "created_at")?,
            database: value["database"].clone(),
            made_by: value["made_by"].clone(),
            schema_sha256: text_of(&value, "schema_sha256")?,
            migrations: value["migrations"].clone(),
            content: text_of(&value, "content")?,
            tables: tables.collect::<Result<_>>()?,
            sequences: sequences.collect(),
            files: list("files")?.iter().map(file).collect::<Result<_>>()?,
            text: text.to_owned(),
        })
    }

    /// SHA-256 of the whole text.
    pub fn sha256(&self) -> String {
        hash::sha256(&self.text)
    }
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
    /// The dump's own major version, which pg_restore must be at least.
    pub fn client_major(&self) -> u32 {
        major(&self.made_by["pg_dump"])
    }
    pub fn server_major(&self) -> u32 {
        major(&self.made_by["server"])
    }
    /// Names of a list among the database's facts.
    pub fn names(&self, key: &str) -> Vec<String> {
        let list = self.database[key].as_array().into_iter().flatten();
        list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }
}

/// Whether a text carries the SHA-256 of the rest of it, and is written as this program writes.
fn is_sealed(value: &Value, text: &str) -> bool {
    let mut rest = value.clone();
    let own = rest.as_object_mut().and_then(|map| map.remove("sha256"));
    own.as_ref().and_then(Value::as_str) == Some(&hash::sha256(rest.to_string())) && format!("{value:#}\n") == text
}

fn major(version: &Value) -> u32 {
    let digits: String = version.as_str().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Reads the manifest of a backup's folder.
pub fn read(folder: &Utf8Path) -> Result<Manifest> {
    let text = std::fs::read_to_string(folder.join(NAME)).context("its manifest.json cannot be read")?;
    Manifest::from_text(&text).context("its manifest.json cannot be used")
}

/// Sizes and hashes of all files below a folder, several at a time; paths are relative to `root`.
pub fn measure(root: &Utf8Path, folder: &Utf8Path) -> Result<Vec<BackupFile>> {
    let mut paths = Vec::new();
    list(folder, &mut paths)?;
    let measured = in_parallel(&paths, |path| {
        let size = path.metadata().with_context(|| format!("failed to read `{path}`"))?.len();
        let relative = path.strip_prefix(root).unwrap_or(path).to_string();
        Ok(BackupFile { path: relative, size, sha256: hash::sha256_file(path)? })
    });
    let mut measured = measured.into_iter().collect::<Result<Vec<_>>>()?;
    measured.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(measured)
}

/// Compares every file with the manifest; refused (exit 3) with a finding for each that is missing, too much, of another
/// size or of other content.
pub fn check(folder: &Utf8Path, manifest: &Manifest) -> Result<()> {
    let mut findings = Vec::new();
    let mut there = Vec::new();
    list(folder, &mut there)?;
    for path in &there {
        let relative = path.strip_prefix(folder).unwrap_or(path);
        let known = relative == NAME || relative == VERIFIED;
        if !known && !manifest.files.iter().any(|file| file.path == relative.as_str()) {
            findings.push(Finding::error(format!("`{relative}` is there, but the manifest does not name it")));
        }
    }
    let faults = in_parallel(&manifest.files, |file| fault(folder, file));
    findings.extend(faults.into_iter().flatten().map(Finding::error));
    if findings.is_empty() {
        return Ok(());
    }
    let message = format!("the backup `{}` is damaged; nothing was touched", manifest.id);
    let hint = "take another one: `cargo xtask db backups` lists them";
    Err(Failure::with_findings(Exit::Findings, &message, findings).hint(hint).into())
}

fn fault(folder: &Utf8Path, file: &BackupFile) -> Option<String> {
    let path = folder.join(&file.path);
    let Ok(facts) = path.symlink_metadata() else { return Some(format!("`{}` is missing", file.path)) };
    if !facts.is_file() {
        return Some(format!("`{}` is not a file", file.path));
    }
    if facts.len() != file.size {
        return Some(format!("`{}` has {} bytes, and should have {}", file.path, facts.len(), file.size));
    }
    match hash::sha256_file(&path) {
        Ok(found) if found == file.sha256 => None,
        Ok(_) => Some(format!("`{}` is not what was written: its sha256 differs", file.path)),
        Err(error) => Some(format!("{error:#}")),
    }
}

/// Everything below a folder that is not a folder, links too.
fn list(folder: &Utf8Path, paths: &mut Vec<Utf8PathBuf>) -> Result<()> {
    for path in entries(folder) {
        match path.symlink_metadata().with_context(|| format!("failed to read `{path}`"))?.is_dir() {
            true => list(&path, paths)?,
            false => paths.push(path),
        }
    }
    Ok(())
}

fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    const THREADS: usize = 4;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = std::sync::Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let result = work(item);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// When a restore has proven the backup, and where; None when none has, or of another manifest than this.
pub fn verified(folder: &Utf8Path, manifest: &Manifest) -> Option<Map<String, Value>> {
    let value = files::read_json(&folder.join(VERIFIED))?;
    (value["manifest_sha256"].as_str() == Some(&manifest.sha256())).then_some(())?;
    value.as_object().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            id: "dev-20260101T000000Z".to_owned(),
            environment: "dev".to_owned(),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            database: json!({"owners": ["postgres"]}),
            made_by: json!({"server": "18.6", "pg_dump": "18.6"}),
            schema_sha256: "00".to_owned(),
            migrations: json!({"count": 2, "head": "2"}),
            content: "some way".to_owned(),
            tables: vec![Table { name: "a.b".to_owned(), rows: 3, hash: "-17".to_owned() }],
            sequences: vec![Sequence { name: "a.s".to_owned(), from: None, to: Some(4) }],
            files: vec![BackupFile { path: "dump/toc.dat".to_owned(), size: 1, sha256: "11".to_owned() }],
            text: String::new(),
        }
        .sealed()
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let text = manifest().text;
        let read = Manifest::from_text(&text).unwrap();
        assert_eq!((read.server_major(), read.names("owners")), (18, vec!["postgres".to_owned()]));
        assert_eq!((read.sequences.clone(), read.sealed().text), (manifest().sequences, text.clone()));
        for at in 0..text.len() {
            for flip in [1u8, 0x20, 0x80] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= flip;
                let damaged = String::from_utf8(bytes).ok().and_then(|text| Manifest::from_text(&text).ok());
                assert!(damaged.is_none(), "byte {at} flipped by {flip} went unseen");
            }
        }
    }
}
