//! `db sync`: a masked part of another environment's rows, into dev.

use std::time::Duration;

use anyhow::Result;

use super::{export, import};
use crate::flags::DbSync;
use crate::services::build;
use crate::tasks::migrate::{open_environment, open_own};
use crate::tasks::services::DEV;
use crate::tools::files::{self, Lock};
use crate::tools::os;
use crate::ui::{self, Exit, Failure, Finding, prompt, terminal};
use crate::workspace::{Environment, Workspace};
use database::lock::{self, Protects};
use database::masking::check::check;
use database::masking::{Key, Rules};
use database::seeds;
use database::transfer::Format;
use database::transfer::catalog::{self, Table};
use database::transfer::export::{Item, begin, manifest, select};
use database::transfer::files::Input;
use database::transfer::load::Plan;
use database::transfer::subset::{Subset, Wish, condition};

/// Checks both sides and the rules, reads the masked rows out in one snapshot, and puts them in the place of dev's.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbSync) -> Result<Exit> {
    let Some(from) = flags.from.as_deref() else {
        return Err(Failure::usage("db sync needs --from").hint("cargo xtask db sync --from staging").into());
    };
    let into = environment.unwrap_or(DEV);
    workspace.check_environment_name(from)?;
    workspace.check_environment_name(into)?;
    if from == into {
        return Err(Failure::usage(format!("`{from}` is where the rows come from and where they would go")).into());
    }
    refuse_unless_dev(&Environment::load(workspace, into)?)?;
    let rules = Rules::load(workspace)?;
    let (_, source) = open_environment(workspace, Some(from))?;
    let (environment, target) = open_environment(workspace, Some(into))?;

    let mut out = open_own(&source, "db sync")?;
    begin(&mut out)?;
    let there = catalog::read(&mut out)?;
    let subset = Subset::new(&there, wish(&there, flags)?);
    let leaving: Vec<&Table> = subset.tables().collect();
    let masks = check(&mut out, rules, Key::of(&build::hash_key(workspace)?), &there, &leaving)?;

    let mut session = open_own(&target, "db sync")?;
    let here = catalog::read(&mut session)?;
    fits(&leaving, &here, into)?;
    let emptied = emptied(&leaving, &here);
    let rows = leaving.iter().map(|table| {
        let what = if subset.is_whole(table) { "all rows" } else { "some rows" };
        vec![table.label(), what.to_owned(), format!("{} columns masked", masks.masked(table))]
    });
    let plan = ui::table(&["TABLE", "COMES", "MASKING"], &rows.collect::<Vec<_>>());
    let gone: Vec<String> = emptied
        .iter()
        .filter(|table| !leaving.iter().any(|l| l.label() == table.label()))
        .map(|table| table.label())
        .collect();
    if !gone.is_empty() {
        ui::say(&format!("emptied as well, because they refer to what is replaced: {}", gone.join(", ")));
    }
    if flags.plan {
        ui::out(&plan);
        return Ok(Exit::Findings);
    }
    ui::say(plan.trim_end());
    let question = format!("replace the rows of these tables in `{into}`?");
    // Without a terminal dev's rows are replaced without a question: they are there to be.
    if terminal().interactive && !prompt::confirm(&question, flags.yes)? {
        ui::say("nothing was touched");
        return Ok(Exit::Done);
    }

    let wait = flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs);
    let _one_run = Lock::take(&workspace.lock_file("transit"), "rows of another environment", wait)?;
    lock::take(&mut session, Protects::Schema, wait)?;
    // What a run that was killed has left behind.
    files::remove(&workspace.transit())?;
    let folder = workspace.transit().join(os::random_hex(8)?);
    let items = leaving.iter().map(|table| Item {
        label: table.label(),
        table: Some((*table).clone()),
        select: select(table, |column| masks.expression(table, column), &subset.source(table)),
    });
    let items: Vec<Item> = items.collect();
    let loaded = export::write_folder(&mut out, &items, Format::Csv, &folder, |written| {
        manifest(from, Format::Csv, true, written, &[])
    })
    .and_then(|()| {
        drop(out);
        let open = |table: &&Table| {
            let path = folder.join(format!("{}.csv", table.label()));
            Input::open(path, Some(&table.label()), Format::Csv, &here)
        };
        let inputs: Vec<Input> = leaving.iter().map(open).collect::<Result<_>>()?;
        let plan = Plan::new(inputs, emptied.iter().map(|table| table.quoted()).collect());
        import::load_or_explain(workspace, &target, session, &plan)
    });
    files::remove(&workspace.transit())?;
    // Still under the lock: no other run comes between the rows and the seeds that belong to them.
    let mut session = loaded?;
    let step = ui::step(format!("seed {into}"));
    let (loaded, rows) = seeds::load_counting(&mut session, workspace, &environment)?;
    step.done_with(&format!("{} files, {rows} rows written", loaded.len()));
    Ok(Exit::Done)
}

/// Only dev, or an environment named dev-…, and never a protected one.
fn refuse_unless_dev(environment: &Environment) -> Result<()> {
    let name = &environment.name;
    if environment.is_protected() {
        return Err(Failure::refused(format!(
            "`{name}` is protected: its rows are never replaced by those of another"
        ))
        .into());
    }
    if name != DEV && !name.starts_with("dev-") {
        let message = format!("`{name}` is not a development environment; nothing was touched");
        return Err(Failure::refused(message)
            .hint("rows are brought into `dev`, or into an environment named dev-…")
            .into());
    }
    Ok(())
}

fn wish(tables: &[Table], flags: &DbSync) -> Result<Wish> {
    let mut wish = Wish { limit: flags.limit, ..Wish::default() };
    for text in &flags.only {
        let (table, condition) = condition(text)?;
        if wish.conditions.insert(catalog::find(tables, &table)?.label(), condition).is_some() {
            return Err(Failure::usage(format!("there is more than one --only for `{table}`"))
                .hint("join them with `and`")
                .into());
        }
    }
    if let Some(names) = &flags.tables {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        wish.tables = Some(names.map(|name| Ok(catalog::find(tables, name)?.label())).collect::<Result<_>>()?);
    }
    Ok(wish)
}

/// Refuses (exit 3) when the schema here cannot take what comes.
fn fits(leaving: &[&Table], here: &[Table], into: &str) -> Result<()> {
    let mut findings = Vec::new();
    for table in leaving {
        let Some(own) = here.iter().find(|own| own.label() == table.label()) else {
            findings.push(Finding::error(format!("`{into}` has no table {}", table.label())));
            continue;
        };
        for column in table.written().filter(|column| own.column(&column.name).is_none_or(|own| own.is_generated)) {
            findings.push(Finding::error(format!(
                "`{into}` has no column {}.{} to write to",
                table.label(),
                column.name
            )));
        }
    }
    match findings.is_empty() {
        true => Ok(()),
        false => {
            let message = format!("the schema of `{into}` is not that of the source; nothing was read out");
            let failure = Failure::with_findings(Exit::Findings, &message, findings);
            Err(failure
                .hint(format!("run `cargo xtask migrate --env {into}`, or leave tables out with --tables"))
                .into())
        }
    }
}

/// The tables that are emptied: those that are replaced, and whatever here refers to them.
fn emptied<'a>(leaving: &[&Table], here: &'a [Table]) -> Vec<&'a Table> {
    let mut emptied: Vec<&Table> =
        here.iter().filter(|own| leaving.iter().any(|table| table.label() == own.label())).collect();
    loop {
        let refers =
            |table: &&Table| table.parents().any(|parent| emptied.iter().any(|other| other.label() == parent.table));
        let is_new = |table: &&Table| !emptied.iter().any(|other| other.label() == table.label());
        match here.iter().filter(is_new).find(refers) {
            Some(table) => emptied.push(table),
            None => return emptied,
        }
    }
}
