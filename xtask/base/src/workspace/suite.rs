//! A test suite that spans services: tests/<name>/suite.yaml says what runs and what it needs.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::Workspace;
use super::yaml::{self, Fields};
use crate::tools::files;
use crate::ui::{Failure, Finding, has_errors};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Database,
    Services,
    Docker,
}

#[derive(Clone, Debug)]
pub struct Suite {
    pub name: String,
    /// Absolute.
    pub folder: Utf8PathBuf,
    /// Program and arguments, run in `folder`.
    pub run: Vec<String>,
    pub needs: Vec<Need>,
    /// False for a suite that runs only when it is named.
    pub by_default: bool,
}

impl Suite {
    /// Reads tests/<name>/suite.yaml, or exit 2 with all findings.
    pub fn load(workspace: &Workspace, name: &str) -> Result<Suite> {
        let folder = workspace.tests().join(name);
        let path = folder.join("suite.yaml");
        let file = workspace.relative(&path).to_owned();
        let text = files::read(&path)?.unwrap_or_default();
        let mut findings = Vec::new();
        let suite = match yaml::parse(&file, &text) {
            Ok(node) => read(&file, &node, &mut findings),
            Err(problems) => {
                findings.extend(problems);
                None
            }
        };
        match suite {
            Some((run, needs, by_default)) if !has_errors(&findings) => {
                Ok(Suite { name: name.to_owned(), folder, run, needs, by_default })
            }
            _ => Err(Failure::configuration(&format!("{file} cannot be used"), findings).into()),
        }
    }
}

fn read(file: &Utf8PathBuf, node: &yaml::Node, findings: &mut Vec<Finding>) -> Option<(Vec<String>, Vec<Need>, bool)> {
    let mut fields = Fields::new(file, node, "a suite", findings)?;
    let run = fields.need("run", findings)?;
    let run = yaml::texts(file, run, "a list: the program and its arguments", findings)?;
    let mut needs = Vec::new();
    if let Some(node) = fields.get("needs")
        && let yaml::Value::List(items) = &node.value
    {
        for item in items {
            needs.extend(match yaml::word(file, item, &["database", "services", "docker"], findings) {
                Some("database") => Some(Need::Database),
                Some("services") => Some(Need::Services),
                Some(_) => Some(Need::Docker),
                None => None,
            });
        }
    }
    let by_default = match fields.get("by_default").map(|node| &node.value) {
        None | Some(yaml::Value::Bool(true)) => true,
        Some(yaml::Value::Bool(false)) => false,
        Some(_) => {
            findings.push(Finding::error("`by_default` must be true or false").at(fields.place(node)));
            true
        }
    };
    fields.finish(findings);
    Some((run, needs, by_default))
}
