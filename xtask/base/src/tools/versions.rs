//! The tools of the machine: which are needed, from which version on, how to get them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use camino::Utf8Path;

use super::{Cmd, files};

/// A tool that tasks call.
pub struct Tool {
    pub program: &'static str,
    /// The oldest version that serves, as numbers.
    pub at_least: &'static [u32],
    /// Needed by `setup` and `test`; the others only by the tasks that name them.
    pub is_required: bool,
    pub purpose: &'static str,
    pub how_to_get: &'static str,
}

pub const TOOLS: &[Tool] = &[
    Tool {
        program: "git",
        at_least: &[2, 20],
        is_required: true,
        purpose: "which files belong to the workspace",
        how_to_get: "install git (Debian: apt-get install git)",
    },
    Tool {
        program: "curl",
        at_least: &[7, 70],
        is_required: true,
        purpose: "health probes",
        how_to_get: "install curl 7.70 or newer (Debian: apt-get install curl)",
    },
    Tool {
        program: "node",
        at_least: &[20],
        is_required: true,
        purpose: "services in Node.js",
        how_to_get: "install Node.js 20 or newer (nodejs.org, or your system's packages)",
    },
    Tool {
        program: "npm",
        at_least: &[9],
        is_required: true,
        purpose: "dependencies of services in Node.js",
        how_to_get: "install npm 9 or newer; it comes with Node.js",
    },
    Tool {
        program: "python3",
        at_least: &[3, 11],
        is_required: true,
        purpose: "services in Python, unpacking PostgreSQL",
        how_to_get: "install Python 3.11 or newer with venv (Debian: apt-get install python3 python3-venv)",
    },
    Tool {
        program: "docker",
        at_least: &[20],
        is_required: false,
        purpose: "environments on the Compose engine",
        how_to_get: "install Docker with Compose v2 (docs.docker.com/engine/install)",
    },
    Tool {
        program: "kubectl",
        at_least: &[1, 27],
        is_required: false,
        purpose: "environments on the Kubernetes engine",
        how_to_get: "install kubectl (kubernetes.io/docs/tasks/tools)",
    },
    Tool {
        program: "terraform",
        at_least: &[1, 5],
        is_required: false,
        purpose: "cargo xtask infra",
        how_to_get: "install Terraform 1.5 or newer (developer.hashicorp.com/terraform/install)",
    },
];

/// What a look at one tool found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Good {
        version: String,
    },
    TooOld {
        version: String,
    },
    Missing,
    /// It is there but does not answer; the text is its own.
    Broken {
        answer: String,
    },
}

/// Asks the tool for its version, once a run.
pub fn look(tool: &Tool) -> Found {
    static KNOWN: Mutex<BTreeMap<&str, Found>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known().get(tool.program) {
        return found.clone();
    }
    let found = ask(tool);
    known().insert(tool.program, found.clone());
    found
}

fn ask(tool: &Tool) -> Found {
    let Some(program) = super::find(tool.program) else { return Found::Missing };
    if let Some(version) = version_beside(&program) {
        return judged(version, tool);
    }
    let args: &[&str] = match tool.program {
        "kubectl" => &["version", "--client"],
        _ => &["--version"],
    };
    // Without HOME kubectl would leave its cache in the current directory.
    let answer = match Cmd::new(tool.program).args(args).env("KUBECACHEDIR", "/dev/null").ask() {
        Ok(answer) if answer.ok() => answer.stdout,
        Ok(answer) => return Found::Broken { answer: answer.stderr.trim().to_owned() },
        Err(error) => return Found::Broken { answer: error.to_string() },
    };
    let Some(version) = version_in(&answer) else { return Found::Broken { answer: answer.trim().to_owned() } };
    judged(version, tool)
}

fn judged(version: String, tool: &Tool) -> Found {
    if is_at_least(&version, tool.at_least) { Found::Good { version } } else { Found::TooOld { version } }
}

/// npm takes a fifth of a second to say what stands in a file beside it.
fn version_beside(program: &Utf8Path) -> Option<String> {
    let script = program.canonicalize_utf8().ok().filter(|path| path.ends_with("npm/bin/npm-cli.js"))?;
    let package = files::read_json(&script.parent()?.parent()?.join("package.json"))?;
    package["version"].as_str().map(str::to_owned)
}

/// The version of a tool that serves.
pub fn of(program: &str) -> Option<String> {
    match look(tool(program)?) {
        Found::Good { version } => Some(version),
        _ => None,
    }
}

pub fn how_to_get(program: &str) -> Option<&'static str> {
    tool(program).map(|tool| tool.how_to_get)
}

fn tool(program: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.program == program)
}

/// The first thing in a text that looks like a version.
fn version_in(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || c == ',')
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(|word| word.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect())
}

/// Compares numbers part by part.
pub fn is_at_least(version: &str, least: &[u32]) -> bool {
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    numbers.as_slice() >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(version_in("git version 2.39.5 (Apple Git-1)").as_deref(), Some("2.39.5"));
        assert_eq!(version_in("v20.20.2\n").as_deref(), Some("20.20.2"));
        assert_eq!(version_in("Docker version 28.2.2, build e6534b4").as_deref(), Some("28.2.2"));
        assert!(is_at_least("3.11.7", &[3, 11]) && is_at_least("20", &[20]) && is_at_least("4.0", &[3, 11]));
        assert!(!is_at_least("3.9.2", &[3, 11]) && !is_at_least("18.19.1", &[20]));
    }
}
