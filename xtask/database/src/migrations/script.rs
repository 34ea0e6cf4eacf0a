//! What stands in a migration file: its directives and its statements, those of the files it includes too. What a look
//! at the text alone can refuse is refused here, with its place.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::file::{Migration, start_of, syntax};
use crate::sql::statement::{Nature, nature};
use crate::sql::{Directives, Kind, Piece, canonical, meta, split};
use base::tools::hash;
use base::ui::{Failure, Finding, Place};
use base::workspace::Workspace;

/// A file's text, as the statements point into it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the workspace.
    pub file: Utf8PathBuf,
    pub text: String,
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which source it stands in.
    pub source: usize,
    pub piece: Piece,
    pub nature: Nature,
}

#[derive(Clone, Debug)]
pub struct Script {
    pub directives: Directives,
    /// The file itself, then what it includes.
    pub sources: Vec<Source>,
    pub steps: Vec<Step>,
    /// What it says with `\echo`.
    pub echoes: Vec<String>,
}

/// A migration that has been read and may run.
#[derive(Clone, Debug)]
pub struct Ready {
    pub migration: Migration,
    pub script: Script,
}

/// Reads what is to run, or exit 2 with all that is wrong.
pub fn prepare(workspace: &Workspace, migrations: Vec<Migration>) -> Result<Vec<Ready>> {
    let mut ready = Vec::new();
    let mut findings = Vec::new();
    for mut migration in migrations {
        let script = match migration.script.take() {
            Some(script) => Ok(*script),
            None => read(workspace, &migration),
        };
        match script.and_then(|script| script.check(&migration).map(|()| script)) {
            Ok(script) => ready.push(Ready { migration, script }),
            Err(finding) => findings.push(finding),
        }
    }
    match findings.is_empty() {
        true => Ok(ready),
        false => Err(Failure::configuration("the migrations cannot be used", findings).into()),
    }
}

pub(super) fn read(workspace: &Workspace, migration: &Migration) -> Result<Script, Finding> {
    let directives = Directives::read(&migration.text).map_err(|error| syntax(&migration.file, &error))?;
    let mut script = Script { directives, sources: Vec::new(), steps: Vec::new(), echoes: Vec::new() };
    let mut reader = Reader { workspace, script: &mut script, open: Vec::new() };
    reader.source(migration.file.clone(), migration.text.clone())?;
    Ok(script)
}

struct Reader<'a> {
    workspace: &'a Workspace,
    script: &'a mut Script,
    /// Files that are being read: one that includes itself would never end.
    open: Vec<Utf8PathBuf>,
}

impl Reader<'_> {
    fn source(&mut self, file: Utf8PathBuf, text: String) -> Result<(), Finding> {
        self.open.push(self.workspace.root().join(&file));
        let source = self.script.sources.len();
        let pieces = split(&text).map_err(|error| syntax(&file, &error))?;
        self.script.sources.push(Source { file: file.clone(), text: text.clone() });
        for piece in pieces {
            match &piece.kind {
                Kind::Empty => {}
                Kind::Meta { name, arguments } => {
                    let command = meta::Command::parse(&text[name.clone()], &text[arguments.clone()], piece.place);
                    let at = Place { file: file.clone(), line: piece.place.line, column: piece.place.column };
                    match command.map_err(|error| syntax(&file, &error))? {
                        meta::Command::Echo(words) => self.script.echoes.push(words),
                        meta::Command::Include { path, is_relative } => {
                            self.include(&file, &path, is_relative).map_err(|finding| match finding.place {
                                Some(_) => finding,
                                None => finding.at(at),
                            })?;
                        }
                        meta::Command::StopOnError | meta::Command::Restrict(_) | meta::Command::Unrestrict(_) => {}
                    }
                }
                Kind::Copy { .. } => self.script.steps.push(Step { source, piece, nature: Nature::Plain }),
                Kind::Sql => {
                    let nature = nature(piece.sql(&text));
                    self.script.steps.push(Step { source, piece, nature });
                }
            }
        }
        self.open.pop();
        Ok(())
    }

    fn include(&mut self, from: &Utf8Path, path: &str, is_relative: bool) -> Result<(), Finding> {
        let root = self.workspace.root();
        let folder = match is_relative {
            true => root.join(from).parent().map_or_else(|| root.to_owned(), Utf8Path::to_owned),
            false => root.to_owned(),
        };
        let refuse = |what: &str| Finding::error(format!("the included file `{path}` {what}"));
        let found = folder.join(path).canonicalize_utf8().map_err(|error| {
            refuse(&format!("cannot be read: {error}")).hint(match is_relative {
                true => "\\ir begins in the folder of this file",
                false => "\\i begins in the workspace's folder; \\ir in that of this file",
            })
        })?;
        if !found.starts_with(root) {
            return Err(refuse("is outside the workspace").hint("copy it into the workspace"));
        }
        if self.open.iter().any(|open| open.canonicalize_utf8().is_ok_and(|open| open == found)) {
            return Err(refuse("includes itself"));
        }
        let file = self.workspace.relative(&found).to_owned();
        let bytes = std::fs::read(&found).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
        let text = canonical(&bytes).map_err(|error| syntax(&file, &error))?;
        let directives = Directives::read(&text).map_err(|error| syntax(&file, &error))?;
        if directives != Directives::default() {
            let finding = Finding::error("a directive in an included file has no effect").at(start_of(&file));
            return Err(finding.hint(format!("write it into {from}")));
        }
        self.source(file, text)
    }
}

impl Script {
    pub fn sql(&self, step: &Step) -> &str {
        step.piece.sql(&self.sources[step.source].text)
    }
    /// The lines of a COPY.
    pub fn data(&self, step: &Step) -> Option<&str> {
        match &step.piece.kind {
            Kind::Copy { data } => Some(&self.sources[step.source].text[data.clone()]),
            _ => None,
        }
    }
    pub fn place(&self, step: &Step) -> Place {
        let file = self.sources[step.source].file.clone();
        Place { file, line: step.piece.place.line, column: step.piece.place.column }
    }
    /// The hash of what the file includes; None when it includes nothing.
    pub(super) fn included_sha256(&self) -> Option<String> {
        let included = &self.sources[1..];
        let hashes: Vec<String> = included.iter().map(|source| hash::sha256(&source.text)).collect();
        (!included.is_empty()).then(|| hash::sha256(hashes.join("\n")))
    }
    /// True when no one transaction holds all of it.
    pub fn runs_outside(&self) -> bool {
        self.directives.no_transaction || self.directives.own_transaction
    }
    /// The hash of the first statements, by which a resumed run knows them again.
    pub fn head_sha256(&self, statements: usize) -> String {
        self.steps.iter().take(statements).fold(String::new(), |head, step| self.extend_head(&head, step))
    }
    /// The same, with one more statement.
    pub fn extend_head(&self, head: &str, step: &Step) -> String {
        hash::sha256(format!("{head}\n{}{}", self.sql(step), self.data(step).unwrap_or_default()))
    }

    fn check(&self, migration: &Migration) -> Result<(), Finding> {
        if self.steps.is_empty() {
            return Err(Finding::error("the file holds no statement")
                .at(start_of(&migration.file))
                .hint("write the migration, or remove the file"));
        }
        if migration.version.is_empty() && self.runs_outside() {
            let finding = Finding::error("a repeatable migration runs in a transaction").at(start_of(&migration.file));
            return Err(finding.hint("remove the directive, or write a versioned migration"));
        }
        self.steps.iter().try_for_each(|step| self.check_step(step).map_err(|finding| finding.at(self.place(step))))
    }

    fn check_step(&self, step: &Step) -> Result<(), Finding> {
        match step.nature {
            Nature::TransactionControl(what) if !self.directives.own_transaction => {
                let message = format!("{what} in a migration: each file runs in one transaction already");
                Err(Finding::error(message).hint("remove it, or begin the file with `-- migrate: own-transaction`"))
            }
            Nature::OutsideTransaction(what) if !self.runs_outside() => {
                let message = format!("{what} cannot run inside a transaction");
                Err(Finding::error(message).hint("begin the file with `-- migrate: no-transaction`"))
            }
            _ => Ok(()),
        }
    }
}
