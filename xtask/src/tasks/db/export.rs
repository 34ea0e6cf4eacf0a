//! `db export`: tables and queries as files, all from one snapshot.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::flags::DbExport;
use crate::services::build;
use crate::tasks::migrate::{open_environment, open_own};
use crate::tasks::services::DEV;
use crate::tools::{files, os};
use crate::ui::{self, Exit, Failure, suggest};
use crate::workspace::Workspace;
use database::masking::check::{Masks, check};
use database::masking::{Key, Rules};
use database::queries;
use database::session::Session;
use database::transfer::catalog::{self, Table};
use database::transfer::export::{self, Item, MANIFEST};
use database::transfer::{Format, order};

/// Decides what goes where, opens the snapshot, writes each file, and gives the result its name last.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbExport) -> Result<Exit> {
    let Some(out) = flags.out.as_deref().map(Utf8PathBuf::from) else {
        return Err(Failure::usage("db export needs --out")
            .hint("--out FOLDER, or --out FILE.csv for one table")
            .into());
    };
    let given = flags.format.as_deref().map(Format::parse).transpose()?;
    let one_file = Format::of(&out).filter(|_| !out.is_dir());
    if one_file.is_some() && flags.name.len() != 1 {
        return Err(Failure::usage(format!("`{out}` is one file, but {} things go out", describe(flags.name.len())))
            .hint("name one table or query, or give a folder")
            .into());
    }
    let format = given.or(one_file).unwrap_or(Format::Csv);
    if one_file.is_none() && out.symlink_metadata().is_ok() {
        let failure = Failure::refused(format!("`{out}` is there already; nothing was touched"));
        return Err(failure.hint("give a folder that is not there yet").into());
    }
    let queries = queries::read(workspace)?;
    let (environment, target) = open_environment(workspace, environment)?;
    let is_masked = environment.name != DEV && !flags.raw;
    if flags.raw && environment.name != DEV {
        super::confirm(&environment, "write out its rows as they are?", flags.confirm.as_deref())?;
    }
    let mut session = open_own(&target, "db export")?;
    export::begin(&mut session)?;
    let tables = catalog::read(&mut session)?;
    let (chosen, asked) = choose(&tables, &queries, &flags.name)?;
    let masks = match is_masked {
        true => {
            let key = Key::of(&build::hash_key(workspace)?);
            Some(check(&mut session, Rules::load(workspace)?, key, &tables, &chosen)?)
        }
        false => None,
    };
    let order = order::order(&chosen);
    let mut items = items(&chosen, &order.labels, masks.as_ref());
    for query in asked {
        items.push(Item { label: query.name.clone(), table: None, select: query.bind(&[])? });
    }
    if one_file.is_some() {
        let temporary = beside(&out)?;
        write_one(&mut session, &items, format, &temporary, &out)?;
    } else {
        let temporary = beside(&out)?;
        let result = write_folder(&mut session, &items, format, &temporary, |written| {
            let circle: Vec<String> = order.circle.iter().cloned().collect();
            export::manifest(&environment.name, format, is_masked, written, &circle)
        });
        finish(result, &temporary, &out)?;
    }
    ui::out(out.as_str());
    Ok(Exit::Done)
}

fn describe(count: usize) -> String {
    if count == 0 { "all tables".to_owned() } else { count.to_string() }
}

/// The tables and the queries that the names mean; every table for none.
fn choose<'a>(
    tables: &'a [Table],
    queries: &'a [queries::Query],
    names: &[String],
) -> Result<(Vec<&'a Table>, Vec<&'a queries::Query>)> {
    if names.is_empty() {
        return Ok((tables.iter().collect(), Vec::new()));
    }
    let (mut chosen, mut asked): (Vec<&Table>, Vec<&queries::Query>) = (Vec::new(), Vec::new());
    for name in names {
        if tables.iter().any(|table| table.label() == *name || table.name == *name) {
            let table = catalog::find(tables, name)?;
            if !chosen.iter().any(|other| other.label() == table.label()) {
                chosen.push(table);
            }
        } else if let Some(query) = queries.iter().find(|query| query.name == *name) {
            asked.push(query);
        } else {
            let labels: Vec<String> = tables.iter().map(Table::label).collect();
            let known = labels.iter().chain(queries.iter().map(|query| &query.name)).map(String::as_str);
            let failure = Failure::usage(format!("there is no table or query `{name}`"));
            return Err(failure.hint(suggest::did_you_mean(name, known.collect::<Vec<_>>())).into());
        }
    }
    Ok((chosen, asked))
}

fn items(tables: &[&Table], order: &[String], masks: Option<&Masks>) -> Vec<Item> {
    let in_order = order.iter().filter_map(|label| tables.iter().find(|table| table.label() == *label));
    let item = |table: &&Table| Item {
        label: table.label(),
        table: Some((*table).clone()),
        select: export::select(table, |column| masks?.expression(table, column), &table.only()),
    };
    in_order.map(item).collect()
}

/// A name in the same folder that no other run has.
fn beside(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    files::make_folder(folder)?;
    Ok(folder.join(format!(".{}.{}.part", path.file_name().unwrap_or("export"), os::random_hex(4)?)))
}

fn write_one(
    session: &mut Session,
    items: &[Item],
    format: Format,
    temporary: &Utf8Path,
    out: &Utf8Path,
) -> Result<()> {
    let Some(item) = items.first() else { return Ok(()) };
    let step = ui::step(format!("export {}", item.label));
    let result = export::write(session, item, format, temporary);
    let rows = finish(result, temporary, out)?;
    step.done_with(&format!("{rows} rows"));
    tell_json_nulls(session, item, format)
}

fn tell_json_nulls(session: &mut Session, item: &Item, format: Format) -> Result<()> {
    let rows = export::json_nulls(session, item, format)?;
    if rows > 0 {
        ui::warn(&format!(
            "{}: {rows} rows hold a JSON null, which comes back as NULL; --format csv tells them apart",
            item.label
        ));
    }
    Ok(())
}

/// Writes every item into a folder, and last the manifest that `describe` makes of them.
pub fn write_folder(
    session: &mut Session,
    items: &[Item],
    format: Format,
    folder: &Utf8Path,
    describe: impl FnOnce(&[(Item, u64)]) -> serde_json::Value,
) -> Result<()> {
    files::make_folder(folder)?;
    let mut written = Vec::new();
    for item in items {
        let step = ui::step(format!("export {}", item.label));
        let rows = export::write(session, item, format, &folder.join(format!("{}.{}", item.label, format.name())))?;
        step.done_with(&format!("{rows} rows"));
        tell_json_nulls(session, item, format)?;
        written.push((item.clone(), rows));
    }
    files::write_json(&folder.join(MANIFEST), &describe(&written))
}

/// Gives what was written its name, or removes what is half.
fn finish<T>(result: Result<T>, temporary: &Utf8Path, out: &Utf8Path) -> Result<T> {
    let done = result.and_then(|value| {
        let out = if out.as_str().contains('/') { out.to_owned() } else { Utf8Path::new(".").join(out) };
        files::rename(temporary, &out).map(|()| value)
    });
    if done.is_err() {
        // The first error is the one to tell.
        let _removed = files::remove(temporary);
    }
    done
}
