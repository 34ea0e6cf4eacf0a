//! `db query`: a named query of database/queries, read-only.

use anyhow::Result;

use crate::flags::DbQuery;
use crate::tasks::migrate::{open_environment, open_own};
use crate::ui::{self, Exit, Failure, suggest};
use crate::workspace::Workspace;
use database::queries;
use database::transfer::csv;

const FORMATS: [&str; 3] = ["table", "json", "csv"];

/// Runs a named query; without a name, says which there are.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbQuery) -> Result<Exit> {
    let queries = queries::read(workspace)?;
    let format = flags.format.as_deref().unwrap_or("table");
    if !FORMATS.contains(&format) {
        return Err(Failure::usage(format!("unknown format `{format}`"))
            .hint(suggest::did_you_mean(format, FORMATS))
            .into());
    }
    let Some(name) = &flags.name else {
        let parameters = |query: &queries::Query| {
            query.parameters.iter().map(|parameter| format!("{}=…", parameter.name)).collect::<Vec<_>>().join(" ")
        };
        let rows = queries
            .iter()
            .map(|query| vec![query.purpose.clone(), query.name.clone(), parameters(query), query.summary.clone()]);
        ui::out(&ui::table(&["PURPOSE", "NAME", "PARAMETERS", "WHAT IT SHOWS"], &rows.collect::<Vec<_>>()));
        return Ok(Exit::Done);
    };
    let Some(query) = queries.iter().find(|query| query.name == *name) else {
        let hint = suggest::did_you_mean(name, queries.iter().map(|query| query.name.as_str()));
        return Err(Failure::usage(format!("unknown query `{name}`")).hint(hint).into());
    };
    let bound = query.bind(&flags.parameter)?;
    let (_, target) = open_environment(workspace, environment)?;
    let mut session = open_own(&target, "db query")?;
    match format {
        "json" => ui::out(&queries::run_json(&mut session, query, &bound)?),
        "csv" => ui::out(&queries::run_csv(&mut session, query, &bound)?),
        _ => {
            let rows = csv_rows(&queries::run_csv(&mut session, query, &bound)?)?;
            let header: Vec<&str> =
                rows.first().map(|row| row.iter().map(String::as_str).collect()).unwrap_or_default();
            ui::out(&ui::table(&header, rows.get(1..).unwrap_or_default()));
            ui::say(&format!("{} rows", rows.len().saturating_sub(1)));
        }
    }
    Ok(Exit::Done)
}

/// CSV as PostgreSQL writes it to rows for a table: line ends inside a value become blanks, null is told from nothing.
fn csv_rows(text: &str) -> Result<Vec<Vec<String>>> {
    let mut reader = csv::Reader::new(text.as_bytes());
    let mut rows = Vec::new();
    while let Some(record) = reader.next_record()? {
        let record =
            record.map_err(|bad| Failure::failed(format!("line {} of the answer: {}", bad.line, bad.reason)))?;
        let cell = |value: Option<Vec<u8>>| match value {
            Some(value) => String::from_utf8_lossy(&value).replace(['\n', '\r', '\t'], " "),
            None => "null".to_owned(),
        };
        rows.push(record.values.into_iter().map(cell).collect());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_table() {
        assert_eq!(
            csv_rows("a,b\n1,\"x, \"\"y\"\"\nz\"\n,\"\"\n").unwrap(),
            [["a", "b"], ["1", "x, \"y\" z"], ["null", ""]]
        );
        assert_eq!(csv_rows("a\n").unwrap(), [["a"]]);
    }
}
