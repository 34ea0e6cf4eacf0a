//! database/masking.yaml: what each column becomes when its rows leave their environment. This file reads the rules,
//! strictly and with places; [`sql`] turns them into what the source selects, [`check`] holds them against the tables.

pub mod check;
mod personal;
mod sql;

use anyhow::Result;
use camino::Utf8Path;

use base::tools::files;
use base::ui::{Failure, Finding, Place};
use base::workspace::Workspace;
use base::workspace::yaml::{self, Fields, Node, Value};
pub use sql::Key;

/// What a value becomes. A null stays null under every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Keep,
    /// A keyed hash: equal values stay equal, unique ones unique, and nobody can guess the value by trying.
    Hash,
    Null,
    Fixed(String),
    Fake(Fake),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fake {
    Name,
    Email,
    Phone,
}

impl Fake {
    const NAMES: [&str; 3] = ["name", "email", "phone"];
}

impl Rule {
    /// As the file writes it.
    pub fn text(&self) -> String {
        match self {
            Rule::Keep => "keep".to_owned(),
            Rule::Hash => "hash".to_owned(),
            Rule::Null => "\"null\"".to_owned(),
            Rule::Fixed(value) => format!("{{fixed: {value}}}"),
            Rule::Fake(Fake::Name) => "{fake: name}".to_owned(),
            Rule::Fake(Fake::Email) => "{fake: email}".to_owned(),
            Rule::Fake(Fake::Phone) => "{fake: phone}".to_owned(),
        }
    }
    /// True when the value does not leave as it is.
    pub fn masks(&self) -> bool {
        *self != Rule::Keep
    }
}

/// One line of the file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `app.api_key`
    pub table: String,
    pub column: String,
    pub rule: Rule,
    pub place: Place,
}

#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub entries: Vec<Entry>,
}

impl Rules {
    /// Reads the file, or exit 2 with all findings. No file is no rules.
    pub fn load(workspace: &Workspace) -> Result<Rules> {
        let path = workspace.masking();
        let file = workspace.relative(&path);
        let Some(text) = files::read(&path)? else { return Ok(Rules::default()) };
        let (rules, findings) = read(file, &text);
        match findings.is_empty() {
            true => Ok(rules),
            false => Err(Failure::configuration(&format!("{file} cannot be used"), findings).into()),
        }
    }
    pub fn of(&self, table: &str, column: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.table == table && entry.column == column)
    }
}

fn read(file: &Utf8Path, text: &str) -> (Rules, Vec<Finding>) {
    let mut rules = Rules::default();
    let mut findings = Vec::new();
    let node = match yaml::parse(file, text) {
        Ok(node) => node,
        Err(findings) => return (rules, findings),
    };
    if node.value == Value::Null {
        return (rules, findings);
    }
    let Some(fields) = Fields::new(file, &node, "the file", &mut findings) else { return (rules, findings) };
    for (key, name, value) in fields.entries() {
        let place = key.place(file);
        let parts: Vec<&str> = name.split('.').collect();
        let [schema, table, column] = parts[..] else {
            let message = format!("`{name}` is no column: expected SCHEMA.TABLE.COLUMN");
            findings.push(Finding::error(message).at(place));
            continue;
        };
        if let Some(rule) = rule(file, value, &mut findings) {
            rules.entries.push(Entry { table: format!("{schema}.{table}"), column: column.to_owned(), rule, place });
        }
    }
    (rules, findings)
}

fn rule(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Rule> {
    match &node.value {
        Value::Null => {
            let finding = Finding::error("an unquoted null is no rule").at(node.place(file));
            findings.push(finding.hint("write \"null\" in quotes"));
            None
        }
        Value::Map(_) => {
            let before = findings.len();
            let mut fields = Fields::new(file, node, "a rule", findings)?;
            let fixed = fields.get("fixed").and_then(|node| scalar(file, node, findings));
            let fake = fields.get("fake").and_then(|node| yaml::word(file, node, &Fake::NAMES, findings));
            let count = fields.entries().len();
            fields.finish(findings);
            let rule = match (fixed, fake) {
                (Some(value), None) => Some(Rule::Fixed(value)),
                (None, Some("name")) => Some(Rule::Fake(Fake::Name)),
                (None, Some("email")) => Some(Rule::Fake(Fake::Email)),
                (None, Some("phone")) => Some(Rule::Fake(Fake::Phone)),
                _ => None,
            };
            if findings.len() == before && (rule.is_none() || count != 1) {
                let message = "a rule is one of keep, hash, \"null\", {fixed: VALUE}, {fake: name|email|phone}";
                findings.push(Finding::error(message).at(node.place(file)));
                return None;
            }
            rule
        }
        _ => match yaml::word(file, node, &["keep", "hash", "null"], findings)? {
            "keep" => Some(Rule::Keep),
            "hash" => Some(Rule::Hash),
            _ => Some(Rule::Null),
        },
    }
}

fn scalar(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => Some(node.to_json().to_string()),
        _ => {
            findings.push(Finding::error("`fixed` takes one value").at(node.place(file)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> Vec<String> {
        let (rules, findings) = read(Utf8Path::new("m.yaml"), text);
        let entry = |entry: &Entry| format!("{}.{} {}", entry.table, entry.column, entry.rule.text());
        rules.entries.iter().map(entry).chain(findings.iter().map(Finding::line)).collect()
    }

    #[test]
    fn rules() {
        assert_eq!(
            show("a.b.c: keep\na.b.d: hash\na.b.e: \"null\"\na.b.f: {fixed: 1}\na.b.g: {fake: email}\n"),
            ["a.b.c keep", "a.b.d hash", "a.b.e \"null\"", "a.b.f {fixed: 1}", "a.b.g {fake: email}"]
        );
        assert!(show("# nothing\n").is_empty());
    }

    #[test]
    fn what_is_no_rule_has_its_place() {
        expect_test::expect![[r#"
            m.yaml:1:8: error: an unquoted null is no rule
            m.yaml:2:1: error: `a.b` is no column: expected SCHEMA.TABLE.COLUMN
            m.yaml:3:8: error: `hsah` is not known here
            m.yaml:4:9: error: unknown key `fxied` in a rule
            m.yaml:5:8: error: a rule is one of keep, hash, "null", {fixed: VALUE}, {fake: name|email|phone}
            m.yaml:6:15: error: `nme` is not known here
            m.yaml:7:8: error: expected one of keep, hash, null, found a list"#]]
        .assert_eq(
            &show(
                "a.b.c: null\na.b: keep\na.b.d: hsah\na.b.e: {fxied: 1}\na.b.f: {fixed: 1, fake: name}\n\
                 a.b.g: {fake: nme}\na.b.h: [keep]\n",
            )
            .join("\n"),
        );
    }
}
