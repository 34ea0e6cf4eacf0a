//! The plan as a YAML file that people edit: written, read with places for everything that is wrong, and made again
//! without losing a comment or a decision of theirs.

mod again;

use anyhow::{Context, Result};
use base::tools::{files, hash};
use base::ui::{Failure, Finding, Place};
use base::workspace::yaml::{self, Fields, Node, Value};
use camino::{Utf8Path, Utf8PathBuf};

use super::{Act, Item, Options, Plan, Readmes};
use crate::classify::Class;
use crate::classify::class::CLASSES;
use crate::path::{self, RelPath};

pub use again::again;

const VERSION: i64 = 1;
const HEAD: &str = "\
# A plan of `cargo xtask restructure`. Read it, change it, then run `cargo xtask restructure apply` with it.
#
# One entry a file; an entry whose path ends with a slash stands for everything below it that has none of its own.
#   action: keep                   it stays where it is
#   action: move, archive          it goes to the path in `to`, relative to the folder in `into`
#   action: drop-as-duplicate-of   the same bytes stand at the path in `of`; the copy is kept until `finish`
#   action: needs-decision         it stays, and is listed
# `print` tells whether the file or the decision has changed since: leave it. Comments, and entries you changed, are kept
# when the plan is made again.
";

/// The plan as text. `file` is where it will stand: folders are written relative to it.
pub fn render(plan: &Plan, file: &Utf8Path) -> String {
    let mut text = HEAD.to_owned();
    for (key, value) in top(plan, file) {
        text.push_str(&format!("{key}: {value}\n"));
    }
    text.push_str("files:\n");
    plan.items.iter().for_each(|item| text.push_str(&entry(item)));
    if plan.items.is_empty() {
        text = text.replace("files:\n", "files: []\n");
    }
    text
}

fn top(plan: &Plan, file: &Utf8Path) -> Vec<(&'static str, String)> {
    let Options { folder, into, keep_scripts, period } = &plan.options;
    vec![
        ("version", VERSION.to_string()),
        ("folder", scalar(&from_file(file, folder))),
        ("into", scalar(&from_file(file, into))),
        ("period", scalar(period)),
        ("keep-scripts", keep_scripts.to_string()),
        ("readmes", plan.readmes.name().to_owned()),
        ("digest", format!("sha256-{}", plan.digest)),
    ]
}

/// One entry, its lines in the order in which one reads them.
fn entry(item: &Item) -> String {
    let mut text = String::new();
    for (at, (key, value)) in fields(item).into_iter().enumerate() {
        let sign = if at == 0 { "  - " } else { "    " };
        text.push_str(&format!("{sign}{key}: {value}\n"));
    }
    text
}

fn fields(item: &Item) -> Vec<(&'static str, String)> {
    let slash = if item.is_folder && item.act == Act::Keep { "/" } else { "" };
    let mut fields = vec![("path", scalar(&format!("{}{slash}", item.path))), ("action", item.act.name().to_owned())];
    match &item.act {
        Act::Move(to) | Act::Archive(to) => fields.push(("to", scalar(&to.to_string()))),
        Act::Drop(of) => fields.push(("of", scalar(&of.to_string()))),
        Act::Keep | Act::Decide => {}
    }
    fields.push(("class", item.class.name().to_owned()));
    fields.push(("confidence", format!("{:.2}", item.confidence)));
    fields.push(("reason", serde_json::Value::from(item.because.as_str()).to_string()));
    fields.push(("print", format!("{}-{}", item.print, mark(&item.act, item.class))));
    fields
}

/// Changes when somebody changes the decision.
fn mark(act: &Act, class: Class) -> String {
    let target = match act {
        Act::Move(path) | Act::Archive(path) | Act::Drop(path) => path.to_string(),
        Act::Keep | Act::Decide => String::new(),
    };
    hash::sha256(format!("{}\0{target}\0{}", act.name(), class.name()))[..4].to_owned()
}

/// Plain where YAML cannot take it for anything else, else in single quotes, in which nothing is special.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./+@".contains(c);
    let first = text.trim_start_matches(['.', '_', '/']).chars().next();
    let is_word = |word: &str| {
        ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&word.to_ascii_lowercase().as_str())
    };
    let is_safe = text == "."
        || text == ".."
        || (first.is_some_and(|c| c.is_ascii_alphabetic()) && text.chars().all(is_plain) && !is_word(text));
    if is_safe && !text.starts_with('-') { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// A folder as the file names it: relative to where the file stands, unless they have nothing in common.
fn from_file(file: &Utf8Path, folder: &Utf8Path) -> String {
    let home = file.parent().unwrap_or(Utf8Path::new("/"));
    let parts = |path: &Utf8Path| RelPath::new(path.as_str().trim_matches('/')).unwrap_or_default();
    let (home, target) = (parts(home), parts(folder));
    let has_common = home.parts().next().is_some() && home.parts().next() == target.parts().next();
    if has_common { String::from_utf8_lossy(&home.to(&target)).into_owned() } else { folder.to_string() }
}

/// Reads a plan, or fails with everything that is wrong in it (exit 2).
pub fn read(file: &Utf8Path, shown: &Utf8Path) -> Result<Plan> {
    let Some(text) = files::read(file)? else {
        let failure = Failure::usage(format!("there is no plan `{shown}`"));
        return Err(failure.hint("make one: cargo xtask restructure plan DIR -o plan.yaml").into());
    };
    let home = file.canonicalize_utf8().with_context(|| format!("failed to read `{shown}`"))?;
    let mut findings = Vec::new();
    let plan = match yaml::parse(shown, &text) {
        Ok(node) => plan(shown, home.parent().unwrap_or(Utf8Path::new("/")), &node, &mut findings),
        Err(problems) => {
            findings.extend(problems);
            None
        }
    };
    match plan {
        Some(plan) if findings.is_empty() => Ok(plan),
        _ => Err(Failure::configuration(&format!("{shown} cannot be used"), findings).into()),
    }
}

fn plan(file: &Utf8Path, home: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Plan> {
    let mut fields = Fields::new(file, node, "the plan", findings)?;
    if let Some(node) = fields.need("version", findings)
        && node.value != Value::Int(VERSION)
    {
        findings.push(Finding::error(format!("this program reads plans of version {VERSION}")).at(node.place(file)));
    }
    let mut folder = |key: &'static str, fields: &mut Fields| -> Option<Utf8PathBuf> {
        let node = fields.need(key, findings)?;
        let text = yaml::text(file, node, "a folder", findings)?;
        match home.join(&text).canonicalize_utf8() {
            Ok(path) => Some(path),
            Err(error) => {
                findings
                    .push(Finding::error(format!("failed to find the folder `{text}`: {error}")).at(node.place(file)));
                None
            }
        }
    };
    let (source, into) = (folder("folder", &mut fields), folder("into", &mut fields));
    let period = fields.need("period", findings).and_then(|node| period(file, node, findings));
    let keep_scripts = match fields.need("keep-scripts", findings) {
        Some(Node { value: Value::Bool(value), .. }) => Some(*value),
        Some(node) => {
            findings.push(Finding::error("expected true or false").at(node.place(file)));
            None
        }
        None => None,
    };
    let readmes = fields.need("readmes", findings).and_then(|node| {
        let word = yaml::word(file, node, &Readmes::ALL.map(Readmes::name), findings)?;
        Readmes::from_name(word)
    });
    let digest = fields.need("digest", findings).and_then(|node| {
        let text = yaml::text(file, node, "the digest that the plan was made with", findings)?;
        Some(text.strip_prefix("sha256-").unwrap_or(&text).to_owned())
    });
    let mut items = Vec::new();
    match fields.need("files", findings) {
        Some(Node { value: Value::List(list), .. }) => {
            for node in list {
                items.extend(item(file, node, findings));
            }
        }
        Some(node) => findings.push(Finding::error("`files` must be a list").at(node.place(file))),
        None => {}
    }
    fields.finish(findings);
    items.sort_by(|a: &Item, b: &Item| a.path.cmp(&b.path));
    for pair in items.windows(2).filter(|pair| pair[0].path == pair[1].path) {
        let (first, second) = (pair[0].line.min(pair[1].line), pair[0].line.max(pair[1].line));
        let place = Place { file: file.to_owned(), line: second, column: 1 };
        findings.push(Finding::error(format!("`{}` has an entry already, on line {first}", pair[0].path)).at(place));
    }
    let options = Options { folder: source?, into: into?, keep_scripts: keep_scripts?, period: period? };
    Some(Plan { options, readmes: readmes?, digest: digest?, items })
}

/// The name of a folder of the archive.
fn period(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<String> {
    let text = match &node.value {
        // A bare year is a number to YAML.
        Value::Int(year) => year.to_string(),
        _ => yaml::text(file, node, "the name of a period, such as 2026-q1", findings)?,
    };
    if is_period(&text) {
        return Some(text);
    }
    findings.push(Finding::error(format!("`{text}` is no name of a period, such as 2026-q1")).at(node.place(file)));
    None
}

/// One name of a folder, of letters, digits, dots and dashes.
pub fn is_period(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !text.is_empty() && !text.starts_with(['.', '-']) && text.len() <= 40 && text.chars().all(is_plain)
}

fn item(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Item> {
    let mut fields = Fields::new(file, node, "an entry", findings)?;
    let path = fields.need("path", findings);
    let path = read_path(file, path, findings);
    let (to, of) = (fields.get("to"), fields.get("of"));
    let (to, of) = (read_path(file, to, findings), read_path(file, of, findings));
    const ACTIONS: [&str; 5] = ["keep", "move", "archive", "drop-as-duplicate-of", "needs-decision"];
    let action = fields.need("action", findings).and_then(|node| yaml::word(file, node, &ACTIONS, findings));
    let names = CLASSES.map(Class::name);
    let class = fields.get("class").and_then(|node| yaml::word(file, node, &names, findings));
    let class = class.and_then(Class::from_name).unwrap_or(Class::Utilities);
    let confidence = match fields.get("confidence").map(|node| &node.value) {
        Some(Value::Float(value)) => *value as f32,
        Some(Value::Int(value)) => *value as f32,
        _ => 1.0,
    };
    let because = match fields.get("reason").map(|node| &node.value) {
        Some(Value::Text(text)) => text.clone(),
        _ => "decided by hand".to_owned(),
    };
    let print = match fields.get("print").map(|node| &node.value) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    fields.finish(findings);
    let (path, is_folder, _) = path?;
    let action = action?;
    let mut wrong = |message: String, node: &Node| findings.push(Finding::error(message).at(node.place(file)));
    let act = match (action, to, of) {
        ("move", Some((to, ..)), None) => Act::Move(to),
        ("archive", Some((to, ..)), None) => Act::Archive(to),
        ("drop-as-duplicate-of", None, Some((of, _, node))) => {
            if of == path {
                wrong("a file is no duplicate of itself".to_owned(), node);
            }
            Act::Drop(of)
        }
        ("keep", None, None) => Act::Keep,
        ("needs-decision", None, None) => Act::Decide,
        ("move" | "archive", None, _) => {
            wrong(format!("`action: {action}` needs `to: PATH`"), node);
            return None;
        }
        ("drop-as-duplicate-of", _, None) => {
            wrong("`action: drop-as-duplicate-of` needs `of: PATH`".to_owned(), node);
            return None;
        }
        (_, Some((_, _, node)), _) => {
            wrong(format!("`to` says nothing with `action: {action}`"), node);
            return None;
        }
        (_, _, Some((_, _, node))) => {
            wrong(format!("`of` says nothing with `action: {action}`"), node);
            return None;
        }
        _ => return None,
    };
    let (print, marked) = print.rsplit_once('-').unwrap_or((&print, ""));
    let by_hand = marked != mark(&act, class);
    Some(Item { path, is_folder, by_hand, print: print.to_owned(), act, class, confidence, because, line: node.line })
}

/// A path of the plan, whether it ends with a slash, and where it stands.
fn read_path<'a>(
    file: &Utf8Path,
    node: Option<&'a Node>,
    findings: &mut Vec<Finding>,
) -> Option<(RelPath, bool, &'a Node)> {
    let node = node?;
    let text = match &node.value {
        // A name that looks like a number is a name.
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => node.to_json().to_string(),
        _ => yaml::text(file, node, "a path", findings)?,
    };
    let found = path::from_shown(text.trim_end_matches('/')).filter(|path| !path.is_root());
    if found.is_none() {
        let message = format!("`{text}` is no path below the folder: no leading slash, no `.` or `..` in it");
        findings.push(Finding::error(message).at(node.place(file)));
    }
    Some((found?, text.ends_with('/'), node))
}

#[cfg(test)]
mod tests;
