//! Seeds: reference data of an environment, loaded in one transaction; loading it again changes nothing.
//!
//! A seed may name keys of the environment whose SHA-256 it needs: the header line `-- seed: sha256 API_KEY` makes the
//! hash readable as `current_setting('seed.api_key_sha256')`. The value itself never reaches the database.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::session::{Session, literal};
use super::sql::position::{self, Lines, snippet};
use super::sql::{Kind, canonical, split};
use base::tools::hash;
use base::ui::{Exit, Failure, Finding, Place};
use base::workspace::{Environment, Workspace, entries};

/// The seeds of an environment, in the order they are loaded in.
pub fn files(workspace: &Workspace, environment: &str) -> Vec<Utf8PathBuf> {
    let files = entries(&workspace.seeds(environment)).into_iter();
    files.filter(|path| path.extension() == Some("sql")).collect()
}

/// SHA-256 over the seeds of an environment.
pub fn hash(workspace: &Workspace, environment: &str) -> Result<String> {
    let mut text = String::new();
    for file in files(workspace, environment) {
        text.push_str(&format!("{}  {}\n", hash::sha256_file(&file)?, file.file_name().unwrap_or_default()));
    }
    Ok(hash::sha256(text))
}

/// The keys of the environment whose SHA-256 its seeds load.
pub fn keys(workspace: &Workspace, environment: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for path in files(workspace, environment) {
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        for (_, order) in orders(&text) {
            if let ["sha256", key] = order.split_whitespace().collect::<Vec<_>>()[..] {
                keys.push(key.to_owned());
            }
        }
    }
    Ok(keys)
}

/// What the head of a seed asks for, with the index of its line.
fn orders(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let head = text.lines().enumerate().take_while(|(_, line)| line.starts_with("--") || line.trim().is_empty());
    head.filter_map(|(index, line)| Some((index, line.strip_prefix("-- seed:")?)))
}

/// Loads every seed of an environment; the files that were loaded.
pub fn load(session: &mut Session, workspace: &Workspace, environment: &Environment) -> Result<Vec<Utf8PathBuf>> {
    Ok(load_counting(session, workspace, environment)?.0)
}

/// The same, with the number of rows that were added, changed or removed; none of temporary tables.
pub fn load_counting(
    session: &mut Session,
    workspace: &Workspace,
    environment: &Environment,
) -> Result<(Vec<Utf8PathBuf>, u64)> {
    let files = files(workspace, &environment.name);
    session.execute("begin")?;
    for path in &files {
        let file = workspace.relative(path);
        if let Err(error) = load_one(session, path, file, environment) {
            // After a failed COPY the session is over, and with it the transaction.
            let _rolled_back = session.run("rollback");
            return Err(error);
        }
    }
    let rows = session.value(
        "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) from pg_catalog.pg_stat_xact_user_tables \
         where schemaname !~ '^pg_temp'",
    )?;
    session.execute("commit")?;
    let files = files.iter().map(|path| workspace.relative(path).to_owned()).collect();
    Ok((files, rows.parse().unwrap_or(0)))
}

fn load_one(session: &mut Session, path: &Utf8Path, file: &Utf8Path, environment: &Environment) -> Result<()> {
    let at = |line: usize, column: usize| Place { file: file.to_owned(), line, column };
    let refuse = |finding: Finding| {
        anyhow::Error::new(Failure::configuration(&format!("failed to load `{file}`"), vec![finding]))
    };
    let bytes = std::fs::read(path)?;
    let syntax = |error: super::sql::SyntaxError| {
        refuse(Finding::error(error.message).at(at(error.place.line, error.place.column)))
    };
    let text = canonical(&bytes).map_err(syntax)?;
    for (index, order) in orders(&text) {
        let key = match order.split_whitespace().collect::<Vec<_>>()[..] {
            ["sha256", key] => key,
            _ => return Err(refuse(Finding::error("expected `-- seed: sha256 KEY`").at(at(index + 1, 1)))),
        };
        let Some(value) = environment.get(key) else {
            let message = format!("the environment `{}` has no value for `{key}`", environment.name);
            return Err(refuse(Finding::error(message).at(at(index + 1, 1)).hint("run `cargo xtask config show`")));
        };
        let setting = format!("seed.{}_sha256", key.to_lowercase());
        session.execute(&format!(
            "select set_config({}, {}, true)",
            literal(&setting),
            literal(&hash::sha256(value))
        ))?;
    }
    for piece in split(&text).map_err(syntax)? {
        let answer = match &piece.kind {
            Kind::Empty => continue,
            Kind::Meta { .. } => {
                return Err(refuse(
                    Finding::error("a seed holds SQL only, no psql commands")
                        .at(at(piece.place.line, piece.place.column)),
                ));
            }
            Kind::Copy { data } => session.copy(piece.sql(&text), &text[data.clone()])?,
            Kind::Sql => session.run(piece.sql(&text))?,
        };
        if let Some(error) = answer.error {
            let lines = Lines::new(&text);
            let place = error
                .position
                .map_or(piece.place, |position| lines.place(position::byte_of(&text, piece.body.start, position)));
            let message = format!("{} ({})\n{}", error, error.sqlstate, snippet(&lines, place).trim_end());
            let finding = Finding::error(message).at(at(place.line, place.column));
            return Err(Failure::with_findings(Exit::Failed, &format!("failed to load `{file}`"), vec![finding]).into());
        }
    }
    Ok(())
}
