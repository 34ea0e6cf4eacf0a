//! `migrate measure`: pending migrations on a scratch copy with data, against the environment's budget.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::super::services::DEV;
use super::milliseconds;
use super::up::{Disk, Plan, Wish};
use crate::flags::MigrateMeasure;
use crate::ui::{self, Exit, Failure, Finding, Place};
use crate::workspace::database::Budget;
use crate::workspace::{Environment, Workspace};
use database::Target;
use database::backup::scratch;
use database::backup::store::{self, Backup};
use database::ledger;
use database::measure::{Report, measure as run};
use database::scratch::Scratch;
use database::session::Session;

pub fn measure(workspace: &Workspace, environment: Option<&str>, flags: &MigrateMeasure) -> Result<Exit> {
    let name = environment.unwrap_or(DEV);
    workspace.check_environment_name(name)?;
    let (real, _) = Environment::read(workspace, name)?;
    let data = Data::choose(workspace, &real, flags.data.as_deref())?;
    let (scratch, data_name) = data.scratch(workspace)?;
    let history_of = if matches!(data, Data::Backup(_)) { name } else { DEV };
    let reports = run_pending(workspace, &scratch, history_of)?;
    let budget = scratch.target.config.policy(name).migration_budget;
    let exceeded = exceeded(&reports, &budget, name);
    if flags.json {
        let migrations: Vec<_> = reports.iter().map(to_json).collect();
        let findings: Vec<_> = exceeded.iter().map(Finding::to_json).collect();
        ui::json(&json!({"environment": name, "data": data_name, "migrations": migrations, "exceeded": findings}));
    } else if reports.is_empty() {
        ui::say(&format!("nothing is pending in {data_name}; --data names other data"));
    } else {
        show(&reports);
    }
    match exceeded.is_empty() {
        true => Ok(Exit::Done),
        false => {
            let message = format!("the migrations cost more than `{name}` allows");
            Err(Failure::with_findings(Exit::Findings, &message, exceeded).into())
        }
    }
}

/// The data that the migrations are tried on.
enum Data {
    /// A database of dev's server, copied.
    Copy(Option<String>),
    /// A backup of the environment, restored.
    Backup(Box<Backup>),
}

impl Data {
    /// What `--data` names: a database of dev's server, `backup` (the last that was verified, else the last), or
    /// `backup:ID`. Without it, the environment's last verified backup, where there is one and it is not dev.
    fn choose(workspace: &Workspace, environment: &Environment, given: Option<&str>) -> Result<Data> {
        let verified = || store::latest_verified(workspace, environment).map(|backup| Data::Backup(Box::new(backup)));
        match given {
            None if environment.name == DEV => Ok(Data::Copy(None)),
            None => Ok(verified().unwrap_or_else(|| {
                let name = &environment.name;
                ui::say(&format!("`{name}` has no verified backup here; dev's rows stand for its own"));
                Data::Copy(None)
            })),
            Some("backup") => match verified() {
                Some(data) => Ok(data),
                None => Ok(Data::Backup(Box::new(store::find(workspace, environment, "latest")?))),
            },
            Some(given) => match given.strip_prefix("backup:") {
                Some(id) => Ok(Data::Backup(Box::new(store::find(workspace, environment, id)?))),
                None => Ok(Data::Copy(Some(given.to_owned()))),
            },
        }
    }

    /// A scratch database with it, and its name for people.
    fn scratch(&self, workspace: &Workspace) -> Result<(Scratch, String)> {
        match self {
            Data::Copy(name) => {
                let dev = Environment::load(workspace, DEV)?;
                let mut source = Target::of(workspace, &dev, DEV)?;
                if !source.is_embedded() {
                    let message = "dev's database is run by others, and is copied only on the server that runs here";
                    let hint = "set DATABASE_ADMIN_URL=embedded: in .env.dev, or take a backup: --data backup";
                    return Err(Failure::cannot_tell(message).hint(hint).into());
                }
                if let Some(name) = name {
                    source = source.with_database(name);
                }
                let step = ui::step(format!("copy {}", source.database));
                let scratch = Scratch::copy_of(&source, &step)?;
                step.done();
                Ok((scratch, source.database))
            }
            Data::Backup(backup) => {
                let step = ui::step(format!("restore {}", backup.id()));
                let scratch = Scratch::empty(workspace, &step)?;
                let jobs = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8));
                let is_proven = scratch::fill(&scratch.target, backup, u32::try_from(jobs).unwrap_or(2), &step)?;
                step.done_with(if is_proven { "equal to its manifest" } else { "" });
                Ok((scratch, backup.id().to_owned()))
            }
        }
    }
}

/// What the pending migrations of an environment cost on a copy of its own data beyond its budget; asked by `deploy`.
/// Nothing is run where the environment has no budget. Exit 1 when one of them fails, 4 when no copy can be made.
pub fn measure_for(workspace: &Workspace, environment: &Environment, target: &Target) -> Result<Vec<Finding>> {
    let budget = target.config.policy(&environment.name).migration_budget;
    if budget == Budget::default() {
        return Ok(Vec::new());
    }
    let step = ui::step(format!("copy {}", target.database));
    let scratch = Scratch::of(workspace, target, &step)?;
    step.done();
    let reports = run_pending(workspace, &scratch, &environment.name)?;
    Ok(exceeded(&reports, &budget, &environment.name))
}

/// Runs what is pending there, by the history of an environment.
fn run_pending(workspace: &Workspace, scratch: &Scratch, history_of: &str) -> Result<Vec<Report>> {
    let disk = Disk::read(workspace)?;
    let mut session = Session::open(&scratch.target, &ledger::purpose("migrate measure"))?;
    let look = ledger::look(&mut session, "")?;
    let plan = Plan::new(workspace, &disk, &look, history_of, &Wish::ALL)?;
    let mut reports = Vec::new();
    for ready in plan.pending.iter().chain(&plan.repeatable) {
        let step = ui::step(format!("measure {}", ready.migration.title()));
        reports.push(run(&mut session, &scratch.target, ready)?);
        step.done();
    }
    Ok(reports)
}

fn show(reports: &[Report]) {
    let mut rows = Vec::new();
    for report in reports {
        for cost in &report.statements {
            let locks: Vec<String> = cost.locks.iter().map(|(table, mode)| format!("{table} {mode}")).collect();
            rows.push(vec![
                format!("{}:{}", cost.file.rsplit('/').next().unwrap_or_default(), cost.line),
                cost.statement.chars().take(40).collect(),
                format!("{} ms", milliseconds(cost.time)),
                locks.join(", "),
                cost.rewrites.join(", "),
                cost.rows_scanned.to_string(),
                format!("{:.1} MB", megabytes(cost.wal_bytes)),
            ]);
        }
    }
    ui::out(&ui::table(&["STATEMENT", "", "TIME", "NEW LOCKS", "REWRITES", "ROWS SCANNED", "WAL"], &rows));
    let windows = reports.iter().flat_map(|report| {
        report.windows.iter().map(|window| {
            vec![
                report.name.clone(),
                window.table.clone(),
                window.mode_name().to_owned(),
                format!("{} ms", milliseconds(window.blocks_reads)),
                format!("{} ms", milliseconds(window.blocks_writes)),
            ]
        })
    });
    let windows: Vec<_> = windows.collect();
    if !windows.is_empty() {
        ui::out(&format!("\n{}", ui::table(&["MIGRATION", "TABLE", "LOCK", "READERS WAIT", "WRITERS WAIT"], &windows)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn to_json(report: &Report) -> serde_json::Value {
    let statements = report.statements.iter().map(|cost| {
        let locks: Vec<_> = cost.locks.iter().map(|(table, mode)| json!({"table": table, "mode": mode})).collect();
        json!({
            "file": cost.file, "line": cost.line, "statement": cost.statement, "duration_ms": milliseconds(cost.time),
            "locks": locks, "rewrites": cost.rewrites, "rows_scanned": cost.rows_scanned, "wal_bytes": cost.wal_bytes,
        })
    });
    let tables = report.windows.iter().map(|window| {
        json!({
            "table": window.table, "lock": window.mode_name(),
            "blocks_reads_ms": milliseconds(window.blocks_reads), "blocks_writes_ms": milliseconds(window.blocks_writes),
        })
    });
    json!({
        "version": report.version, "name": report.name, "duration_ms": milliseconds(report.time),
        "statements": statements.collect::<Vec<_>>(), "tables": tables.collect::<Vec<_>>(),
    })
}

/// What goes beyond the budget, each where it stands.
fn exceeded(reports: &[Report], budget: &Budget, environment: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let at = |report: &Report, line| Place { file: report.file.clone().into(), line, column: 1 };
    let over = |time: Duration, limit: Option<Duration>| limit.filter(|limit| time > *limit);
    for report in reports {
        for window in &report.windows {
            for (who, time, limit) in [
                ("readers", window.blocks_reads, budget.blocks_reads),
                ("writers", window.blocks_writes, budget.blocks_writes),
            ] {
                if let Some(limit) = over(time, limit) {
                    let message = format!(
                        "{who} of {} wait {} ms, `{environment}` allows {} ms",
                        window.table,
                        milliseconds(time),
                        milliseconds(limit)
                    );
                    let hint = "take the lock in a file of its own, or build beside the table: not valid and validate, concurrently";
                    findings.push(Finding::error(message).at(at(report, 1)).hint(hint));
                }
            }
        }
        for cost in report.statements.iter().filter(|_| !budget.rewrites) {
            for table in &cost.rewrites {
                let message = format!("it writes {table} anew, which `{environment}` does not allow");
                findings.push(Finding::error(message).at(Place {
                    file: cost.file.clone().into(),
                    line: cost.line,
                    column: 1,
                }));
            }
        }
    }
    let total: Duration = reports.iter().map(|report| report.time).sum();
    if let Some(limit) = over(total, budget.total) {
        findings.push(Finding::error(format!(
            "all together take {}, `{environment}` allows {}",
            ui::seconds(total),
            ui::seconds(limit)
        )));
    }
    let wal: u64 = reports.iter().flat_map(|report| &report.statements).map(|cost| cost.wal_bytes).sum();
    if let Some(limit) = budget.wal_mb.filter(|limit| wal > u64::from(*limit) * 1_048_576) {
        findings.push(Finding::error(format!(
            "they write {:.0} MB of log, `{environment}` allows {limit}",
            megabytes(wal)
        )));
    }
    findings
}
