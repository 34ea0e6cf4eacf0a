//! Strict YAML with places: a tree whose every node knows line and column, and readers that collect all problems of a
//! file instead of stopping at the first. Duplicate keys, anchors, tags and several documents are problems.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value as Json};
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

use super::schema;
use crate::ui::{Finding, Place, suggest};

/// A node with its place in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub line: usize,
    pub column: usize,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, String, Node)>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

impl Node {
    pub fn place(&self, file: &Utf8Path) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column }
    }
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::from(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Text(value) => Json::from(value.as_str()),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|(_, key, value)| (key.clone(), value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Parses one file; `file` is the name that findings give.
pub fn parse(file: &Utf8Path, text: &str) -> Result<Node, Vec<Finding>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { file, findings: Vec::new(), stack: Vec::new(), root: None, documents: 0 };
    if let Some((line, column)) = first_indenting_tab(text) {
        let place = Place { file: file.to_owned(), line, column };
        return Err(vec![
            Finding::error("a tab indents this line; YAML allows only spaces")
                .at(place)
                .hint("replace the tab by spaces"),
        ]);
    }
    let mut parser = Parser::new_from_str(text);
    loop {
        match parser.next_token() {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, at)) => builder.event(event, at),
            Err(error) => {
                let place = place(file, error.marker());
                builder.findings.push(Finding::error(format!("not valid YAML: {}", error.info())).at(place));
                break;
            }
        }
    }
    if !builder.findings.is_empty() {
        return Err(builder.findings);
    }
    let empty = Node { line: 1, column: 1, value: Value::Null };
    Ok(builder.root.unwrap_or(empty))
}

fn first_indenting_tab(text: &str) -> Option<(usize, usize)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let indent: Vec<char> = line.chars().take_while(|c| c.is_whitespace()).collect();
        let blank = indent.len() == line.chars().count();
        let tab = indent.iter().position(|c| *c == '\t').filter(|_| !blank)?;
        Some((index + 1, tab + 1))
    })
}

fn place(file: &Utf8Path, marker: &Marker) -> Place {
    Place { file: file.to_owned(), line: marker.line(), column: marker.col() + 1 }
}

enum Open {
    List(Node),
    /// A mapping and the key that waits for its value.
    Map(Node, Option<(Node, String)>),
}

struct Builder<'a> {
    file: &'a Utf8Path,
    findings: Vec<Finding>,
    stack: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

impl Builder<'_> {
    fn problem(&mut self, marker: &Marker, message: impl Into<String>) {
        self.findings.push(Finding::error(message).at(place(self.file, marker)));
    }

    fn event(&mut self, event: Event, at: Marker) {
        let node = |value| Node { line: at.line(), column: at.col() + 1, value };
        match event {
            Event::DocumentStart => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problem(&at, "a second document begins here; one file holds one");
                }
            }
            Event::Alias(_) => {
                self.problem(&at, "an alias (`*name`) is not allowed here");
                self.push(node(Value::Null));
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_marks(&at, anchor, tag.is_some());
                let value = if style == TScalarStyle::Plain { plain(&text) } else { Value::Text(text) };
                self.push(node(value));
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_marks(&at, anchor, tag.is_some());
                self.stack.push(Open::List(node(Value::List(Vec::new()))));
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_marks(&at, anchor, tag.is_some());
                self.stack.push(Open::Map(node(Value::Map(Vec::new())), None));
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Open::List(node) | Open::Map(node, _)) => self.push(node),
                None => {}
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }

    fn refuse_marks(&mut self, at: &Marker, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.problem(at, "an anchor (`&name`) is not allowed here");
        }
        if tagged {
            self.problem(at, "a tag (`!name`) is not allowed here");
        }
    }

    fn push(&mut self, node: Node) {
        let mut finding = None;
        match self.stack.last_mut() {
            None => self.root = self.root.take().or(Some(node)),
            Some(Open::List(list)) => {
                if let Value::List(items) = &mut list.value {
                    items.push(node);
                }
            }
            Some(Open::Map(map, waiting)) => match waiting.take() {
                None => {
                    let key = match &node.value {
                        Value::Text(text) => text.clone(),
                        other => match other {
                            Value::List(_) | Value::Map(_) => {
                                finding = Some(Finding::error("a key must be text").at(node.place(self.file)));
                                String::new()
                            }
                            scalar => Node { value: scalar.clone(), ..node }.to_json().to_string(),
                        },
                    };
                    // The parser's place of a block mapping lies behind its first key.
                    if map.value == Value::Map(Vec::new()) && map.line >= node.line {
                        (map.line, map.column) = (node.line, map.column.min(node.column));
                    }
                    if let Value::Map(entries) = &map.value
                        && let Some((first, ..)) = entries.iter().find(|(_, known, _)| *known == key)
                    {
                        let message =
                            format!("the key `{key}` stands here a second time; the first is on line {}", first.line);
                        finding = Some(Finding::error(message).at(node.place(self.file)));
                    }
                    *waiting = Some((node, key));
                }
                Some((key_node, key)) => {
                    if let Value::Map(entries) = &mut map.value {
                        entries.push((key_node, key, node));
                    }
                }
            },
        }
        self.findings.extend(finding);
    }
}

/// A plain scalar by YAML 1.2's core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => {
            let looks_numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            let integer = text.parse::<i64>().ok().filter(|_| looks_numeric);
            let float = || text.parse::<f64>().ok().filter(|value| looks_numeric && value.is_finite());
            match integer {
                Some(value) => Value::Int(value),
                None => float().map_or_else(|| Value::Text(text.to_owned()), Value::Float),
            }
        }
    }
}

/// Reads one mapping key by key; problems are collected in `findings`, and [`Fields::finish`] names unknown keys.
pub struct Fields<'a> {
    file: Utf8PathBuf,
    node: &'a Node,
    /// How messages call this mapping: "a service", "`health`".
    what: String,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// None, and a finding, when the node is not a mapping.
    pub fn new(file: &Utf8Path, node: &'a Node, what: &str, findings: &mut Vec<Finding>) -> Option<Fields<'a>> {
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("{what} must be a mapping (`key: value`), not {}", node.value.kind());
            findings.push(Finding::error(message).at(node.place(file)));
            return None;
        }
        Some(Fields { file: file.to_owned(), node, what: what.to_owned(), asked: Vec::new() })
    }

    pub fn place(&self, node: &Node) -> Place {
        node.place(&self.file)
    }

    /// The value of a key, if it is there.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        self.entries().iter().find(|(_, name, _)| name == key).map(|(_, _, value)| value)
    }

    /// The value of a key that must be there.
    pub fn need(&mut self, key: &'static str, findings: &mut Vec<Finding>) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            let message = format!("the key `{key}` is missing in {}", self.what);
            findings.push(Finding::error(message).at(self.place(self.node)));
        }
        found
    }

    pub fn entries(&self) -> &'a [(Node, String, Node)] {
        match &self.node.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Names every key that nobody asked for.
    pub fn finish(self, findings: &mut Vec<Finding>) {
        for (node, key, _) in self.entries() {
            if !self.asked.contains(&key.as_str()) {
                let hint = suggest::did_you_mean(key, self.asked.iter().copied());
                let message = format!("unknown key `{key}` in {}", self.what);
                findings.push(Finding::error(message).at(self.place(node)).hint(hint));
            }
        }
    }
}

fn expect<T>(file: &Utf8Path, node: &Node, what: &str, got: Option<T>, findings: &mut Vec<Finding>) -> Option<T> {
    if got.is_none() {
        let there = match &node.value {
            Value::List(_) | Value::Map(_) | Value::Null => node.value.kind().to_owned(),
            _ => format!("`{}`", node.to_json().to_string().trim_matches('"')),
        };
        findings.push(Finding::error(format!("expected {what}, found {there}")).at(node.place(file)));
    }
    got
}

/// The node as text that is not empty.
pub fn text(file: &Utf8Path, node: &Node, what: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let got = match &node.value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    expect(file, node, what, got, findings)
}

/// The node as a whole number within a range.
pub fn int(
    file: &Utf8Path,
    node: &Node,
    what: &str,
    range: std::ops::RangeInclusive<i64>,
    findings: &mut Vec<Finding>,
) -> Option<i64> {
    let got = match node.value {
        Value::Int(value) if range.contains(&value) => Some(value),
        _ => None,
    };
    expect(file, node, what, got, findings)
}

/// The node as a duration with its unit, never zero; a bare number is refused, because nobody agrees on its unit.
pub fn duration(file: &Utf8Path, node: &Node, examples: &str, findings: &mut Vec<Finding>) -> Option<Duration> {
    let given = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    let found = schema::duration(given).filter(|time| !time.is_zero());
    if found.is_none() {
        let there = node.to_json().to_string();
        let message = format!("expected a duration such as {examples}, found `{}`", there.trim_matches('"'));
        findings.push(Finding::error(message).at(node.place(file)));
    }
    found
}

/// The node as a list of texts; numbers and booleans count as the text they are written as.
pub fn texts(file: &Utf8Path, node: &Node, what: &str, findings: &mut Vec<Finding>) -> Option<Vec<String>> {
    let Value::List(items) = &node.value else { return expect(file, node, what, None, findings) };
    let mut texts = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) => texts.push(text.clone()),
            Value::Int(_) | Value::Bool(_) | Value::Float(_) => texts.push(item.to_json().to_string()),
            _ => return expect(file, item, "text", None, findings),
        }
    }
    Some(texts)
}

/// The node as one of some words.
pub fn word<'w>(file: &Utf8Path, node: &Node, words: &[&'w str], findings: &mut Vec<Finding>) -> Option<&'w str> {
    let given = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    let found = words.iter().find(|word| **word == given).copied();
    if found.is_none() && !given.is_empty() {
        let hint = suggest::did_you_mean(given, words.iter().copied());
        findings.push(Finding::error(format!("`{given}` is not known here")).at(node.place(file)).hint(hint));
        return None;
    }
    expect(file, node, &format!("one of {}", words.join(", ")), found, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(Utf8Path::new("x.yaml"), text).unwrap_err().iter().map(Finding::line).collect()
    }

    #[test]
    fn scalars_places_and_nesting() {
        let node =
            parse(Utf8Path::new("x.yaml"), "port: 8080\nrun: [node, 'a b', \"8\"]\nhealth:\n  live: /x # y\n").unwrap();
        assert_eq!(node.to_json().to_string(), r#"{"health":{"live":"/x"},"port":8080,"run":["node","a b","8"]}"#);
        let Value::Map(entries) = &node.value else { panic!() };
        assert_eq!((entries[1].2.line, entries[1].2.column), (2, 6));
    }

    #[test]
    fn each_kind_of_bad_yaml_has_its_place() {
        assert_eq!(
            problems("a: 1\nb: 2\na: 3\n"),
            ["x.yaml:3:1: error: the key `a` stands here a second time; the first is on line 1"]
        );
        assert_eq!(problems("a:\n\tb: 1\n"), ["x.yaml:2:1: error: a tab indents this line; YAML allows only spaces"]);
        assert_eq!(problems("a: &x 1\n"), ["x.yaml:1:7: error: an anchor (`&name`) is not allowed here"]);
        assert!(problems("a: [1\n")[0].starts_with("x.yaml:2:1: error: not valid YAML"));
        assert!(problems("a: 1\n---\nb: 2\n")[0].contains("a second document"));
        assert!(problems("a: 'x\n")[0].contains("not valid YAML"));
    }

    #[test]
    fn unknown_keys_get_a_suggestion() {
        let file = Utf8Path::new("x.yaml");
        let node = parse(file, "prot: 1\n").unwrap();
        let mut findings = Vec::new();
        let mut fields = Fields::new(file, &node, "a service", &mut findings).unwrap();
        fields.need("port", &mut findings);
        fields.finish(&mut findings);
        assert_eq!(findings[0].line(), "x.yaml:1:1: error: the key `port` is missing in a service");
        assert_eq!(findings[1].hint.as_deref(), Some("did you mean `port`?"));
    }
}
