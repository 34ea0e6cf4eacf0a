//! database/migrations/applied/checksums: the SHA-256 of each frozen file, in the format of `sha256sum -c`.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8PathBuf;

use base::tools::{files, hash};
use base::ui::{Failure, Finding, Place};
use base::workspace::{Workspace, entries};

/// The file, and each name with its hash.
pub struct Checksums {
    path: Utf8PathBuf,
    pub known: BTreeMap<String, String>,
}

impl Checksums {
    /// Reads the file, or exit 2 with the lines that are none.
    pub fn read(workspace: &Workspace) -> Result<Checksums> {
        let path = workspace.migrations().join("applied/checksums");
        let text = files::read(&path)?.unwrap_or_default();
        let mut known = BTreeMap::new();
        let mut findings = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            // Two characters: a blank, and a blank or `*` for how the file is read.
            let parts = line.split_once(' ').map(|(hash, name)| (hash, name.get(1..).unwrap_or_default()));
            match parts {
                Some((hash, name))
                    if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && !name.is_empty() =>
                {
                    known.insert(name.to_owned(), hash.to_ascii_lowercase());
                }
                _ => {
                    let place = Place { file: workspace.relative(&path).to_owned(), line: index + 1, column: 1 };
                    findings.push(Finding::error("expected a SHA-256, two blanks and a file's name").at(place));
                }
            }
        }
        match findings.is_empty() {
            true => Ok(Checksums { path, known }),
            false => Err(Failure::configuration("the checksums cannot be used", findings).into()),
        }
    }

    pub fn write(&self) -> Result<()> {
        let lines = self.known.iter().map(|(name, hash)| format!("{hash}  {name}\n"));
        files::write(&self.path, lines.collect::<String>(), 0o644)
    }

    /// Every frozen file that is not as it was, every line without its file, every file without its line.
    pub fn check(&self, workspace: &Workspace) -> Result<Vec<Finding>> {
        let folder = workspace.migrations().join("applied");
        let mut findings = Vec::new();
        let place = |name: &str| Place { file: workspace.relative(&folder.join(name)).to_owned(), line: 1, column: 1 };
        for (name, expected) in &self.known {
            let path = folder.join(name);
            if !path.is_file() {
                let finding = Finding::error("production has released it, but the file is gone").at(place(name));
                findings.push(finding.hint("take it back from git"));
            } else if hash::sha256_file(&path)? != *expected {
                let finding = Finding::error("production has released it, and it was edited since").at(place(name));
                findings.push(finding.hint("put it back as it was, and write a new migration for the change"));
            }
        }
        for path in entries(&folder) {
            let name = path.file_name().unwrap_or_default();
            if name.ends_with(".sql") && !self.known.contains_key(name) {
                let finding = Finding::error("it has no line in checksums").at(place(name));
                findings.push(finding.hint("run `cargo xtask migrate promote`; nobody moves files here by hand"));
            }
        }
        Ok(findings)
    }
}
