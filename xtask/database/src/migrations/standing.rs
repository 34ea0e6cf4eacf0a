//! How each migration stands: what is on disk against what the ledger says.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8PathBuf;

use super::file::{Migration, order, start_of};
use crate::ledger::Applied;
use base::ui::{Exit, Failure, Finding};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Applied,
    /// Recorded as applied without having run here.
    Baseline,
    Pending,
    /// Applied, but the file has another content or name now.
    Changed,
    /// Applied, but there is no such file.
    Missing,
    /// Begun outside a transaction and not finished.
    Running,
    /// Being taken back outside a transaction, and not finished.
    Reverting,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Applied => "applied",
            State::Baseline => "baseline",
            State::Pending => "pending",
            State::Changed => "changed",
            State::Missing => "missing",
            State::Running => "running",
            State::Reverting => "reverting",
        }
    }
    /// True for what `up` has to run.
    pub fn is_open(self) -> bool {
        matches!(self, State::Pending | State::Running)
    }
}

/// A migration on disk, in the ledger, or both.
#[derive(Clone, Debug)]
pub struct Standing {
    pub version: String,
    pub name: String,
    pub state: State,
    pub applied_at: Option<String>,
    /// Relative to the workspace; None when there is no file.
    pub file: Option<Utf8PathBuf>,
    /// The file lies in pending/, so it may still be edited.
    pub is_pending_file: bool,
}

/// Compares files and ledger, in the order of versions.
pub fn compare(files: &[Migration], ledger: &[Applied]) -> Vec<Standing> {
    let rows: BTreeMap<(usize, &str), &Applied> = ledger.iter().map(|row| (order(&row.version), row)).collect();
    let of_file = |migration: &Migration| {
        let row = rows.get(&order(&migration.version));
        let state = match row {
            None => State::Pending,
            Some(row) if row.state == "running" => State::Running,
            Some(row) if row.state == "reverting" => State::Reverting,
            Some(row) if row.sha256 != migration.sha256 || row.name != migration.name => State::Changed,
            Some(row) if row.state == "baseline" => State::Baseline,
            Some(_) => State::Applied,
        };
        Standing {
            version: migration.version.clone(),
            name: migration.name.clone(),
            state,
            applied_at: row.and_then(|row| row.applied_at.clone()),
            file: Some(migration.file.clone()),
            is_pending_file: migration.is_pending_file(),
        }
    };
    let mut all: Vec<Standing> = files.iter().map(of_file).collect();
    let on_disk: std::collections::BTreeSet<_> = files.iter().map(|file| order(&file.version)).collect();
    let missing = ledger.iter().filter(|row| !on_disk.contains(&order(&row.version)));
    all.extend(missing.map(|row| Standing {
        version: row.version.clone(),
        name: row.name.clone(),
        state: State::Missing,
        applied_at: row.applied_at.clone(),
        file: None,
        is_pending_file: false,
    }));
    all.sort_by(|a, b| order(&a.version).cmp(&order(&b.version)));
    all
}

/// Refuses (exit 3) when the history on disk is not the one that was applied. `elsewhere` names the environments that
/// are known to have a version.
pub fn check_history(standings: &[Standing], environment: &str, elsewhere: impl Fn(&str) -> Vec<String>) -> Result<()> {
    let mut findings = Vec::new();
    for standing in standings {
        let version = &standing.version;
        let finding = match (standing.state, &standing.file) {
            (State::Changed, Some(file)) => {
                Finding::error(format!("version {version} was applied with another content or name")).at(start_of(file))
            }
            (State::Missing, _) => {
                Finding::error(format!("version {version} ({}) was applied, but its file is gone", standing.name))
            }
            (State::Reverting, Some(file)) => {
                Finding::error(format!("version {version} was being taken back, and that was not finished"))
                    .at(start_of(file))
            }
            _ => continue,
        };
        let others = elsewhere(version);
        findings.push(finding.hint(match standing.state {
            State::Reverting => "run `cargo xtask migrate down` to finish it".to_owned(),
            _ if environment != "dev" || (standing.file.is_some() && !standing.is_pending_file) => {
                "put it back as it was (git log shows it), and write a new migration for the change".to_owned()
            }
            _ if !others.is_empty() => format!(
                "put it back as it was: {} has applied it too; write a new migration for the change",
                others.join(", ")
            ),
            _ => "`cargo xtask db reset` makes dev's database anew; `cargo xtask migrate repair` accepts the file as it is \
                  and changes nothing else; or put it back as it was"
                .to_owned(),
        }));
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Failure::with_findings(
            Exit::Findings,
            "the migrations on disk are not the ones that were applied; nothing was touched",
            findings,
        )
        .into()),
    }
}

/// Refuses (exit 3) what is older than the newest applied version, where other runs rely on the order: another branch was
/// merged late. In dev that is told and done, because branches come and go there.
pub fn check_order(
    standings: &[Standing],
    to_run: &[Migration],
    environment: &str,
    is_allowed: bool,
) -> Result<Vec<String>> {
    let done = |standing: &&Standing| matches!(standing.state, State::Applied | State::Baseline);
    let Some(newest) = standings.iter().rfind(done) else { return Ok(Vec::new()) };
    let late: Vec<&Migration> = to_run.iter().filter(|file| order(&file.version) < order(&newest.version)).collect();
    let message =
        |file: &Migration| format!("version {} is older than {}, the newest one applied", file.version, newest.version);
    if late.is_empty() || environment == "dev" || is_allowed {
        return Ok(late.iter().map(|file| format!("{}: {}", file.file, message(file))).collect());
    }
    let finding = |file: &Migration| {
        Finding::error(message(file))
            .at(start_of(&file.file))
            .hint("rename it to a later version, or add --out-of-order when its order does not matter")
    };
    let findings = late.into_iter().map(finding).collect();
    Err(Failure::with_findings(Exit::Findings, "migrations came too late; nothing was touched", findings).into())
}
