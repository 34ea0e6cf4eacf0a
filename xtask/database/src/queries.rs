//! Named queries: database/queries/<purpose>/<name>.sql, documented and typed in their leading comment:
//!
//! ```sql
//! -- One sentence that says what it shows
//! -- param min_age interval = 5 minutes : leave out younger ones
//! -- timeout 5s
//! ```
//! `:min_age` in the text becomes a typed, quoted literal. A query runs in a read-only transaction.

use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::session::{Session, literal};
use super::sql::lexer::{Token, tokens};
use super::sql::{Kind, canonical, split};
use base::ui::{Failure, Finding, Place, suggest};
use base::workspace::{Workspace, entries, schema};

/// Types a parameter may have; PostgreSQL's own names.
const TYPES: [&str; 11] =
    ["text", "int", "bigint", "numeric", "bool", "date", "timestamptz", "interval", "uuid", "float", "json"];
/// How long a query may run, unless its header says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub kind: String,
    /// None for a parameter that must be given.
    pub default: Option<String>,
    pub help: String,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub name: String,
    /// The folder it stands in: diagnostics, analytics, utilities…
    pub purpose: String,
    /// Relative to the workspace.
    pub file: Utf8PathBuf,
    pub summary: String,
    pub parameters: Vec<Parameter>,
    pub timeout: Duration,
    sql: String,
}

/// Every query, by purpose and name, or exit 2 with all that is wrong.
pub fn read(workspace: &Workspace) -> Result<Vec<Query>> {
    let mut queries = Vec::new();
    let mut findings = Vec::new();
    for folder in entries(&workspace.queries()) {
        for path in entries(&folder).into_iter().filter(|path| path.extension() == Some("sql")) {
            match read_one(workspace, &path) {
                Ok(query) => queries.push(query),
                Err(finding) => findings.push(finding),
            }
        }
    }
    if findings.is_empty() {
        Ok(queries)
    } else {
        Err(Failure::configuration("database/queries cannot be used", findings).into())
    }
}

fn read_one(workspace: &Workspace, path: &Utf8Path) -> Result<Query, Finding> {
    let file = workspace.relative(path).to_owned();
    let at = |line: usize| Place { file: file.clone(), line, column: 1 };
    let bytes = std::fs::read(path).map_err(|error| Finding::error(format!("cannot be read: {error}")).at(at(1)))?;
    let text = canonical(&bytes).map_err(|error| Finding::error(error.message).at(at(error.place.line)))?;
    let mut query = Query {
        name: path.file_stem().unwrap_or_default().to_owned(),
        purpose: path.parent().and_then(Utf8Path::file_name).unwrap_or_default().to_owned(),
        file: file.clone(),
        summary: String::new(),
        parameters: Vec::new(),
        timeout: TIMEOUT,
        sql: String::new(),
    };
    for (index, line) in text.lines().enumerate() {
        let Some(comment) = line.strip_prefix("--") else { break };
        let comment = comment.trim();
        if let Some(rest) = comment.strip_prefix("param ") {
            query.parameters.push(parameter(rest).map_err(|message| Finding::error(message).at(at(index + 1)))?);
        } else if let Some(rest) = comment.strip_prefix("timeout ") {
            query.timeout = schema::duration(rest.trim())
                .ok_or_else(|| Finding::error("expected a duration such as `-- timeout 5s`").at(at(index + 1)))?;
        } else if !comment.is_empty() {
            let gap = if query.summary.is_empty() { "" } else { " " };
            query.summary.push_str(&format!("{gap}{comment}"));
        }
    }
    let pieces = split(&text).map_err(|error| Finding::error(error.message).at(at(error.place.line)))?;
    let mut statements = pieces.iter().filter(|piece| piece.kind != Kind::Empty);
    match (statements.next(), statements.next()) {
        (Some(one), None) if one.kind == Kind::Sql => {
            query.sql = one.sql(&text).trim_end().trim_end_matches(';').to_owned();
        }
        (_, Some(second)) => return Err(Finding::error("a query is one statement").at(at(second.place.line))),
        _ => return Err(Finding::error("the file holds no query").at(at(1))),
    }
    if query.summary.is_empty() {
        return Err(Finding::error("the query has no summary")
            .at(at(1))
            .hint("begin the file with `-- what it shows`"));
    }
    Ok(query)
}

/// `NAME TYPE [= DEFAULT] : HELP`
fn parameter(text: &str) -> Result<Parameter, String> {
    let expected = "expected `-- param NAME TYPE [= DEFAULT] : what it is`";
    let (declaration, help) = text.rsplit_once(" : ").ok_or(expected)?;
    let (declaration, default) = match declaration.split_once('=') {
        Some((declaration, default)) => (declaration, Some(default.trim().trim_matches('\'').to_owned())),
        None => (declaration, None),
    };
    let [name, kind] = declaration.split_whitespace().collect::<Vec<_>>()[..] else { return Err(expected.to_owned()) };
    if !TYPES.contains(&kind) {
        return Err(format!("unknown type `{kind}`; {}", suggest::did_you_mean(kind, TYPES)));
    }
    Ok(Parameter { name: name.to_owned(), kind: kind.to_owned(), default, help: help.trim().to_owned() })
}

impl Query {
    /// The statement with its parameters in place; unknown, missing or mistyped ones are exit 2.
    pub fn bind(&self, given: &[String]) -> Result<String> {
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let mut values: Vec<(&str, &str)> = Vec::new();
        for word in given {
            let Some((name, value)) = word.split_once('=') else {
                return Err(Failure::usage(format!("expected key=value, not `{word}`")).into());
            };
            if !names.contains(&name) {
                let hint = if names.is_empty() { "it has none".to_owned() } else { suggest::did_you_mean(name, names) };
                return Err(Failure::usage(format!("the query `{}` has no parameter `{name}`", self.name))
                    .hint(hint)
                    .into());
            }
            if values.iter().any(|(known, _)| *known == name) {
                return Err(Failure::usage(format!("the parameter `{name}` is given twice")).into());
            }
            values.push((name, value));
        }
        for parameter in &self.parameters {
            if !values.iter().any(|(name, _)| *name == parameter.name) {
                let Some(default) = &parameter.default else {
                    let failure =
                        Failure::usage(format!("the query `{}` needs the parameter `{}`", self.name, parameter.name));
                    return Err(failure.hint(format!("{}=…: {}", parameter.name, parameter.help)).into());
                };
                values.push((&parameter.name, default));
            }
        }
        Ok(self.substitute(&values))
    }

    /// The statement with a null of its type for each parameter: enough to prepare it.
    pub fn for_check(&self) -> String {
        let mut text = String::with_capacity(self.sql.len());
        let mut colon = false;
        for (token, word) in tokens(&self.sql) {
            match self.parameters.iter().find(|parameter| colon && parameter.name == word) {
                Some(parameter) => {
                    text.pop();
                    text.push_str(&format!("cast(null as {})", parameter.kind));
                }
                None => text.push_str(word),
            }
            colon = token == Token::Colon;
        }
        text
    }

    fn substitute(&self, values: &[(&str, &str)]) -> String {
        let mut bound = String::with_capacity(self.sql.len());
        let mut colon = false;
        for (token, text) in tokens(&self.sql) {
            let parameter = self.parameters.iter().find(|parameter| colon && parameter.name == text);
            let value = parameter
                .and_then(|parameter| Some((parameter, values.iter().find(|(name, _)| *name == parameter.name)?.1)));
            if let Some((parameter, value)) = value {
                bound.pop();
                bound.push_str(&format!("cast({} as {})", literal(value), parameter.kind));
            } else {
                bound.push_str(text);
            }
            colon = token == Token::Colon;
        }
        bound
    }
}

/// Runs a bound query read-only and returns its rows as CSV with a header.
pub fn run_csv(session: &mut Session, query: &Query, bound: &str) -> Result<String> {
    run(session, query, &format!("copy ({bound}\n) to stdout with (format csv, header)"))
}

/// The same as one JSON array.
pub fn run_json(session: &mut Session, query: &Query, bound: &str) -> Result<String> {
    run(session, query, &format!("select coalesce(json_agg(xtask_row), '[]') from ({bound}\n) xtask_row"))
}

fn run(session: &mut Session, query: &Query, statement: &str) -> Result<String> {
    session.execute("begin transaction read only")?;
    session.execute(&format!("set local statement_timeout = '{}ms'", query.timeout.as_millis()))?;
    let answer = session.run(statement)?;
    session.execute("rollback")?;
    answer.ok().map_err(|error| match error.sqlstate.as_str() {
        // Class 22: data exceptions, such as a parameter that is no number.
        state if state.starts_with("22") => Failure::usage(format!("the query `{}`: {error}", query.name)).into(),
        _ => anyhow::Error::new(error).context(format!("failed to run the query `{}` ({})", query.name, query.file)),
    })
}
