//! Files into tables, all of a run in one transaction: after any error, and after a run that was killed, the database is
//! as it was.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, Result};

use super::catalog::{Reference, Table, list};
use super::files::{Content, Input};
use super::{Format, order};
use crate::session::{Session, SqlError, identifier, literal};
use base::ui::Step;

/// The files of one run, in the order of [`order::order`].
pub struct Plan {
    pub inputs: Vec<Input>,
    /// Tables that refer to each other: their references are checked at the end.
    pub circle: BTreeSet<String>,
    /// Tables that are emptied first, as SQL.
    pub emptied: Vec<String>,
}

/// Why nothing was loaded.
pub enum Trouble {
    /// A row of the file is no row at all.
    Row { input: usize },
    /// The server did not take it; the session may be over.
    Server { input: Option<usize>, error: Box<SqlError> },
}

impl Trouble {
    /// True when rows are to blame: those are then looked for one by one.
    pub fn is_of_rows(&self) -> bool {
        match self {
            Trouble::Row { .. } => true,
            // 22: data, 23: constraints, P0001: a trigger's objection, 44: a view's.
            Trouble::Server { error, .. } => {
                ["22", "23", "44"].iter().any(|class| error.sqlstate.starts_with(class)) || error.sqlstate == "P0001"
            }
        }
    }
}

impl Plan {
    /// Puts the inputs into the order in which they can be loaded.
    pub fn new(inputs: Vec<Input>, emptied: Vec<String>) -> Plan {
        let tables: Vec<&Table> = inputs.iter().map(|input| &input.table).collect();
        let order = order::order(&tables);
        let place = |input: &Input| order.labels.iter().position(|label| *label == input.table.label());
        let mut inputs = inputs;
        inputs.sort_by_key(place);
        Plan { inputs, circle: order.circle, emptied }
    }

    /// The references that are checked at the end, because their tables have no order.
    pub fn late(&self) -> Vec<(&Table, &Reference)> {
        let tables: Vec<&Table> = self.inputs.iter().map(|input| &input.table).collect();
        let mut late = order::within(&tables, &self.circle);
        late.dedup_by_key(|(table, reference)| (table.label(), reference.name.clone()));
        late
    }
}

/// Loads everything, or nothing. The answer is the rows of each input.
pub fn load(session: &mut Session, plan: &Plan, step: &Step) -> Result<Result<Vec<u64>, Trouble>> {
    session.execute("begin")?;
    let mut counts = Vec::new();
    if let Err(error) = prepare(session, plan)? {
        return give_up(session, Trouble::Server { input: None, error });
    }
    for (index, input) in plan.inputs.iter().enumerate() {
        step.detail(&input.table.label());
        let loaded = match input.format {
            Format::Csv => copy(session, input, step)?,
            Format::Jsonl => insert(session, input, step)?,
        };
        match loaded {
            Loaded::Rows(rows) => counts.push(rows),
            Loaded::BadRow => return give_up(session, Trouble::Row { input: index }),
            Loaded::Refused(error) => return give_up(session, Trouble::Server { input: Some(index), error }),
        }
    }
    step.detail("references and sequences");
    for statement in endings(plan) {
        if let Err(error) = session.run(&statement)?.ok() {
            return give_up(session, Trouble::Server { input: None, error });
        }
    }
    match session.run("commit")?.ok() {
        Ok(_) => Ok(Ok(counts)),
        Err(error) => give_up(session, Trouble::Server { input: None, error }),
    }
}

fn give_up(session: &mut Session, trouble: Trouble) -> Result<Result<Vec<u64>, Trouble>> {
    // After a COPY that failed the session is over, and with it the transaction.
    let _rolled_back = session.run("rollback");
    Ok(Err(trouble))
}

/// Empties what is to be replaced, and lets references of a circle wait.
pub fn prepare(session: &mut Session, plan: &Plan) -> Result<Result<(), Box<SqlError>>> {
    let mut statements = vec![
        "set local datestyle = 'ISO, YMD'".to_owned(),
        // A trigger or a default may look at it; what it is must not depend on who runs this.
        "set local row_security = off".to_owned(),
    ];
    if !plan.emptied.is_empty() {
        statements.push(format!("truncate only {}", plan.emptied.join(", only ")));
    }
    for (table, reference) in plan.late().iter().filter(|(_, reference)| !reference.is_deferrable) {
        statements.push(alter(table, reference, "deferrable"));
    }
    statements.push("set constraints all deferred".to_owned());
    for statement in statements {
        if let Err(error) = session.run(&statement)?.ok() {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn alter(table: &Table, reference: &Reference, how: &str) -> String {
    format!("alter table {} alter constraint {} {how}", table.quoted(), identifier(&reference.name))
}

/// What follows the last row: all references hold, sequences go on behind the highest value.
pub fn endings(plan: &Plan) -> Vec<String> {
    let mut statements = vec!["set constraints all immediate".to_owned()];
    for (table, reference) in plan.late().iter().filter(|(_, reference)| !reference.is_deferrable) {
        statements.push(alter(table, reference, "not deferrable"));
    }
    for input in &plan.inputs {
        for column in input.table.columns.iter().filter(|column| input.columns.contains(&column.name)) {
            let Some(sequence) = &column.sequence else { continue };
            statements.push(format!(
                "select setval({name}, v.last) from (select case when s.seqincrement > 0 then max({column}) else \
                 min({column}) end as last, s.seqincrement as step from {table}, pg_catalog.pg_sequence s \
                 where s.seqrelid = {name}::regclass group by s.seqincrement) v, {sequence} q where v.last is not null \
                 and case when v.step > 0 then v.last >= q.last_value else v.last <= q.last_value end",
                name = literal(sequence),
                column = identifier(&column.name),
                table = input.table.quoted(),
            ));
        }
    }
    statements
}

enum Loaded {
    Rows(u64),
    BadRow,
    Refused(Box<SqlError>),
}

/// Marks the end of the rows before their time: one of them is none.
#[derive(Debug)]
struct Stop;
impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row is not one")
    }
}
impl std::error::Error for Stop {}

/// CSV goes straight into the table, re-written as COPY's text format, in which no value can be taken for an end mark.
fn copy(session: &mut Session, input: &Input, step: &Step) -> Result<Loaded> {
    let statement = format!("copy {} ({}) from stdin", input.table.quoted(), list(&input.columns));
    stream(session, input, step, &statement, |row, out| match row {
        Content::Values(values) => {
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b'\t');
                }
                match value {
                    Some(value) => escape(value, out),
                    None => out.extend(b"\\N"),
                }
            }
        }
        Content::Object(text) => escape(text, out),
    })
}

/// Lines of JSON go into a temporary table first: PostgreSQL takes the values out of them.
fn insert(session: &mut Session, input: &Input, step: &Step) -> Result<Loaded> {
    if input.columns.is_empty() {
        return Ok(Loaded::Rows(0));
    }
    let answer = session.run("create temporary table xtask_rows (doc text) on commit drop")?;
    if let Err(error) = answer.ok() {
        return Ok(Loaded::Refused(error));
    }
    let loaded = stream(session, input, step, "copy pg_temp.xtask_rows from stdin", |row, out| match row {
        Content::Object(text) => escape(text, out),
        Content::Values(_) => {}
    })?;
    if matches!(loaded, Loaded::Rows(_)) {
        let insert = format!("{} from pg_temp.xtask_rows, {}", insertion(input), record(input, "doc"));
        for statement in [insert.as_str(), "drop table pg_temp.xtask_rows"] {
            if let Err(error) = session.run(statement)?.ok() {
                return Ok(Loaded::Refused(error));
            }
        }
    }
    Ok(loaded)
}

/// The beginning of an INSERT of the input's columns out of a record `r`.
pub fn insertion(input: &Input) -> String {
    let values: Vec<String> = input.columns.iter().map(|name| format!("r.{}", identifier(name))).collect();
    let columns = list(&input.columns);
    format!("insert into {} ({columns}) overriding system value select {}", input.table.quoted(), values.join(", "))
}

/// The record that a JSON object is, each value read as its column would read it.
pub fn record(input: &Input, document: &str) -> String {
    let column = |name: &String| {
        let kind = input.table.column(name).map_or("text", |column| column.kind.as_str());
        format!("{} {kind}", identifier(name))
    };
    let columns: Vec<String> = input.columns.iter().map(column).collect();
    format!("json_to_record({document}::json) as r ({})", columns.join(", "))
}

fn stream(
    session: &mut Session,
    input: &Input,
    step: &Step,
    statement: &str,
    encode: impl Fn(&Content, &mut Vec<u8>),
) -> Result<Loaded> {
    let mut count = 0u64;
    let answer = session.copy_from(statement, |out: &mut dyn Write| {
        let mut line = Vec::new();
        input.rows(|row| {
            let Ok(content) = &row.content else { return Err(Stop.into()) };
            line.clear();
            encode(content, &mut line);
            line.push(b'\n');
            out.write_all(&line)?;
            count += 1;
            if count.is_multiple_of(10_000) {
                step.detail(&format!("{}, {count} rows", input.table.label()));
            }
            Ok(())
        })
    });
    match answer {
        Ok(answer) => Ok(answer.error.map_or(Loaded::Rows(count), Loaded::Refused)),
        Err(error) if error.is::<Stop>() => Ok(Loaded::BadRow),
        Err(error) => Err(error).with_context(|| format!("failed to load `{}`", input.path)),
    }
}

/// A value in COPY's text format.
pub fn escape(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            byte => out.push(*byte),
        }
    }
}
