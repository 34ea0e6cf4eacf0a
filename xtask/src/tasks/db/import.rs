//! `db import`: files into tables, all rows or none.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::flags::DbImport;
use crate::tasks::migrate::{PATIENCE, open_environment, open_own};
use crate::tools::files;
use crate::ui::{self, Exit, Failure, Finding, Place};
use crate::workspace::Workspace;
use database::lock::{self, Protects};
use database::session::Session;
use database::transfer::files::{Input, named};
use database::transfer::load::{self, Plan, Trouble};
use database::transfer::{Format, catalog, reject};
use database::{Target, ledger};

/// How many bad rows are shown; the file has all of them.
const SHOWN: usize = 5;

/// Finds out which file fills which table, checks headers, shows the order, loads, and looks for bad rows if it must.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbImport) -> Result<Exit> {
    if flags.file.is_empty() {
        return Err(Failure::usage("db import needs a folder or files").hint("cargo xtask db import FOLDER").into());
    }
    let format = flags.format.as_deref().map(Format::parse).transpose()?;
    let mut found = named(&flags.file, format)?;
    if let Some(table) = &flags.table {
        let [(_, given, _)] = &mut found[..] else {
            return Err(Failure::usage(format!("--table names one table, but there are {} files", found.len())).into());
        };
        *given = Some(table.clone());
    }
    let (environment, target) = open_environment(workspace, environment)?;
    let mut session = open_own(&target, "db import")?;
    let tables = catalog::read(&mut session)?;
    let inputs = open(found, &tables)?;
    let plan = Plan::new(inputs, Vec::new());
    if flags.plan {
        show(&plan);
        return Ok(Exit::Findings);
    }
    super::confirm(&environment, "load rows into its database?", flags.confirm.as_deref())?;
    lock::take(&mut session, Protects::Schema, flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs))?;
    load_or_explain(workspace, &target, session, &plan)?;
    Ok(Exit::Done)
}

/// Every file with its table; all that is wrong with any of them at once.
fn open(found: Vec<(Utf8PathBuf, Option<String>, Format)>, tables: &[catalog::Table]) -> Result<Vec<Input>> {
    let opened = found.into_iter().map(|(path, table, format)| Input::open(path, table.as_deref(), format, tables));
    let inputs = ui::exit::all(opened.collect::<Vec<_>>())?;
    for (index, input) in inputs.iter().enumerate() {
        if let Some(other) = inputs[..index].iter().find(|other| other.path == input.path) {
            return Err(Failure::usage(format!("`{}` is given twice", other.path)).into());
        }
    }
    Ok(inputs)
}

fn show(plan: &Plan) {
    let rows = plan.inputs.iter().map(|input| {
        let circle = if plan.circle.contains(&input.table.label()) { "references checked at the end" } else { "" };
        vec![input.table.label(), input.path.to_string(), input.columns.join(", "), circle.to_owned()]
    });
    ui::out(&ui::table(&["TABLE", "FILE", "COLUMNS", ""], &rows.collect::<Vec<_>>()));
}

/// Loads the plan, and gives the session back with its lock. When rows are to blame, finds and writes down all of them
/// (exit 3); nothing is loaded then.
pub fn load_or_explain(workspace: &Workspace, target: &Target, mut session: Session, plan: &Plan) -> Result<Session> {
    if !plan.circle.is_empty() {
        let circle: Vec<&str> = plan.circle.iter().map(String::as_str).collect();
        ui::say(&format!("{} refer to each other; their references are checked at the end", circle.join(", ")));
    }
    let step = ui::step("load");
    let lock_timeout = target.config.timeouts.lock.as_millis();
    session.execute(&format!("set lock_timeout = '{lock_timeout}ms'"))?;
    let trouble = match load::load(&mut session, plan, &step)? {
        Ok(counts) => {
            let rows: u64 = counts.iter().sum();
            step.done_with(&format!("{rows} rows into {} tables", plan.inputs.len()));
            return Ok(session);
        }
        Err(trouble) => trouble,
    };
    step.failed("rolled back");
    if !trouble.is_of_rows() {
        return Err(explain(plan, trouble));
    }
    // After a COPY that failed its session is over, with the lock; what follows only reads and rolls back.
    drop(session);
    let step = ui::step("find the rows that were not taken");
    let mut session = Session::open_within(target, &ledger::purpose("db import"), PATIENCE)?;
    session.execute(&format!("set lock_timeout = '{lock_timeout}ms'"))?;
    let rejected = reject::find(&mut session, plan, &step)?;
    step.done_with(&format!("{} rows", rejected.len()));
    if rejected.is_empty() {
        return Err(explain(plan, trouble));
    }
    let stamp: String = ui::utc(SystemTime::now()).chars().filter(char::is_ascii_alphanumeric).collect();
    let path = workspace.rejected().join(format!("{stamp}-{}.csv", std::process::id()));
    files::make_folder(&workspace.rejected())?;
    reject::write(&path, &rejected)?;
    let findings = rejected.iter().take(SHOWN).map(|row| {
        let place = Place { file: row.path.clone(), line: usize::try_from(row.line).unwrap_or(0), column: 1 };
        Finding::error(row.reason.clone()).at(place)
    });
    let message = format!("{} rows were not taken, so nothing was loaded", rejected.len());
    let failure = Failure::with_findings(Exit::Findings, &message, findings.collect());
    Err(failure.hint(format!("all of them, with reasons, are in {}", workspace.relative(&path))).into())
}

fn explain(plan: &Plan, trouble: Trouble) -> anyhow::Error {
    match trouble {
        Trouble::Row { input } => {
            let path = plan.inputs.get(input).map(|input| input.path.as_str()).unwrap_or_default();
            Failure::failed(format!("a row of `{path}` is not one; nothing was loaded")).into()
        }
        Trouble::Server { input, error } => {
            let where_ =
                input.and_then(|input| plan.inputs.get(input)).map(|input| format!(" into {}", input.table.label()));
            let message = format!("failed to load{}: {error}; nothing was loaded", where_.unwrap_or_default());
            let failure = match error.sqlstate.as_str() {
                "55P03" => Failure::busy(message).hint("another session holds the table; run it again"),
                _ => Failure::failed(message),
            };
            failure.into()
        }
    }
}
