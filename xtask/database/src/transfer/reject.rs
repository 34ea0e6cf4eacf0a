//! Finds every row that PostgreSQL does not take, with its reason: the same load again, row by row, in a transaction that
//! is rolled back whatever happens. (COPY's own ON_ERROR came with PostgreSQL 17 and knows only malformed values.)

use std::io::Write;

use anyhow::Result;
use camino::Utf8Path;
use serde_json::Value;

use super::csv::field;
use super::files::{Content, Input, Row};
use super::load::{Plan, endings, escape, insertion, prepare, record};
use crate::session::{Session, literal};
use base::tools::files;
use base::ui::Step;

/// More are not looked for: such a file is another file.
const MOST: usize = 10_000;
/// Rows that are tried together before they are tried one by one.
const TOGETHER: u64 = 500;

/// A row that was not taken.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub path: camino::Utf8PathBuf,
    pub line: u64,
    /// Of PostgreSQL; empty where the row never got there.
    pub sqlstate: String,
    pub reason: String,
    pub raw: Vec<u8>,
}

/// Every bad row of a plan that could not be loaded. Empty when no single row is to blame.
pub fn find(session: &mut Session, plan: &Plan, step: &Step) -> Result<Vec<Rejected>> {
    session.execute("begin")?;
    session.execute("create temporary table xtask_rows (input int, line bigint, doc text) on commit drop")?;
    session.execute(
        "create temporary table xtask_bad (input int, line bigint, sqlstate text, reason text) on commit drop",
    )?;
    let mut rejected = Vec::new();
    if prepare(session, plan)?.is_ok() {
        for (index, input) in plan.inputs.iter().enumerate() {
            step.detail(&format!("looking for bad rows: {}", input.table.label()));
            stage(session, input, index, &mut rejected)?;
            if !input.columns.is_empty() {
                session.run(&trial(input, index))?.ok()?;
            }
            if rejected.len() >= MOST {
                break;
            }
        }
        let mut bad = Vec::new();
        for row in
            session.query("select input, line, sqlstate, reason from pg_temp.xtask_bad order by 1, 2 limit 10000")?
        {
            bad.push(row);
        }
        // What only shows at the end: references of a circle, deferred constraints.
        if bad.is_empty() && rejected.is_empty() {
            for statement in endings(plan) {
                if let Err(error) = session.run(&statement)?.ok() {
                    rejected.push(last(plan, &error));
                    break;
                }
            }
        }
        for (index, input) in plan.inputs.iter().enumerate() {
            attach(input, index, &bad, &mut rejected)?;
        }
    }
    // The session may be over; nothing was committed either way.
    let _rolled_back = session.run("rollback");
    rejected.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    rejected.truncate(MOST);
    Ok(rejected)
}

fn last(plan: &Plan, error: &crate::session::SqlError) -> Rejected {
    let path = plan.inputs.first().map(|input| input.path.clone()).unwrap_or_default();
    Rejected { path, line: 0, sqlstate: error.sqlstate.clone(), reason: error.to_string(), raw: Vec::new() }
}

/// Every row that is one goes into the temporary table, as a JSON object; the others are bad already.
fn stage(session: &mut Session, input: &Input, index: usize, rejected: &mut Vec<Rejected>) -> Result<()> {
    let is_json: Vec<bool> = input
        .columns
        .iter()
        .map(|name| input.table.column(name).is_some_and(|column| matches!(column.base.as_str(), "json" | "jsonb")))
        .collect();
    let answer = session.copy_from("copy pg_temp.xtask_rows from stdin", |out: &mut dyn Write| {
        input.rows(|row: Row| {
            let document = row.content.and_then(|content| document(input, &is_json, &content));
            match document {
                Ok(document) => {
                    let mut line = format!("{index}\t{}\t", row.line).into_bytes();
                    escape(&document, &mut line);
                    line.push(b'\n');
                    out.write_all(&line)?;
                }
                Err(reason) if rejected.len() < MOST => {
                    let (path, line, raw) = (input.path.clone(), row.line, row.raw);
                    rejected.push(Rejected { path, line, sqlstate: String::new(), reason, raw });
                }
                Err(_) => {}
            }
            Ok(())
        })
    })?;
    answer.ok()?;
    Ok(())
}

fn document(input: &Input, is_json: &[bool], content: &Content) -> Result<Vec<u8>, String> {
    let values = match content {
        Content::Object(text) => return Ok(text.clone()),
        Content::Values(values) => values,
    };
    let mut object = String::from("{");
    for (index, (name, value)) in input.columns.iter().zip(values).enumerate() {
        let comma = if index > 0 { "," } else { "" };
        object.push_str(&format!("{comma}{}:", Value::from(name.as_str())));
        match value {
            None => object.push_str("null"),
            Some(value) => {
                let text = String::from_utf8_lossy(value);
                if is_json[index] {
                    let parsed: Result<Value, _> = serde_json::from_str(&text);
                    parsed.map_err(|error| format!("`{name}` is not JSON: {error}"))?;
                    object.push_str(&text);
                } else {
                    object.push_str(&Value::from(text.as_ref()).to_string());
                }
            }
        }
    }
    object.push('}');
    Ok(object.into_bytes())
}

/// Tries the rows of one input: some at a time, then one by one; rows that refer to others of their own table are tried
/// again as long as that gets further.
fn trial(input: &Input, index: usize) -> String {
    let from = format!(
        "from (select doc from pg_temp.xtask_rows where input = {index} and line between a and b order by line) s, {}",
        record(input, "s.doc")
    );
    let insert = format!("{} {from}", insertion(input));
    let again = input.table.references.iter().any(|reference| reference.table == input.table.label());
    let body = format!(
        "declare a bigint; b bigint; chunk record; one record; message text; detail text; state text; before bigint; \
         now bigint; bad bigint := 0;
begin
    for chunk in select min(line) as first, max(line) as last from (select line, (row_number() over (order by line) - 1) / {TOGETHER} as part from pg_temp.xtask_rows where input = {index}) p group by part order by 1 loop
        a := chunk.first; b := chunk.last;
        begin
            {insert};
        exception when data_exception or integrity_constraint_violation or with_check_option_violation or raise_exception then
            for one in select line from pg_temp.xtask_rows where input = {index} and line between chunk.first and chunk.last order by line loop
                a := one.line; b := one.line;
                begin
                    {insert};
                exception when data_exception or integrity_constraint_violation or with_check_option_violation or raise_exception then
                    get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
                    insert into pg_temp.xtask_bad values ({index}, one.line, state, message || coalesce(' (' || nullif(detail, '') || ')', ''));
                    bad := bad + 1;
                end;
            end loop;
        end;
        exit when bad >= {MOST};
    end loop;
    loop
        exit when not {again};
        before := (select count(*) from pg_temp.xtask_bad where input = {index});
        for one in select line from pg_temp.xtask_bad where input = {index} and sqlstate = '23503' order by line loop
            a := one.line; b := one.line;
            begin
                {insert};
                delete from pg_temp.xtask_bad where input = {index} and line = one.line;
            exception when data_exception or integrity_constraint_violation or with_check_option_violation or raise_exception then null;
            end;
        end loop;
        now := (select count(*) from pg_temp.xtask_bad where input = {index});
        exit when now = before;
    end loop;
end"
    );
    format!("do {}", literal(&body))
}

/// Reads the file once more for the text of its bad rows.
fn attach(input: &Input, index: usize, bad: &[Value], rejected: &mut Vec<Rejected>) -> Result<()> {
    let mine: std::collections::BTreeMap<u64, &Value> = bad
        .iter()
        .filter(|row| row["input"].as_u64() == u64::try_from(index).ok())
        .filter_map(|row| Some((row["line"].as_u64()?, row)))
        .collect();
    if mine.is_empty() {
        return Ok(());
    }
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    input.rows(|row| {
        if let Some(found) = mine.get(&row.line) {
            let (sqlstate, reason) = (text(found, "sqlstate"), text(found, "reason"));
            rejected.push(Rejected { path: input.path.clone(), line: row.line, sqlstate, reason, raw: row.raw });
        }
        Ok(())
    })
}

/// Writes the rows down, with file, line and reason, for whoever mends them.
pub fn write(path: &Utf8Path, rejected: &[Rejected]) -> Result<()> {
    let mut text = String::from("file,line,sqlstate,reason,row\n");
    for row in rejected {
        let raw = String::from_utf8_lossy(&row.raw);
        let cells = [row.path.as_str(), &row.line.to_string(), &row.sqlstate, &row.reason, &raw];
        text.push_str(&cells.map(field).join(","));
        text.push('\n');
    }
    files::write(path, text, 0o600)
}
