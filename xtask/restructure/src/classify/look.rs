//! What the content of a file says it is: a workflow, a compose file, migrations, a module of a program, a script.

use std::sync::LazyLock;

use hot::find::Needles;

use super::class::{COMMANDS, Class};
use crate::language::Language;
use crate::path::RelPath;

/// How code is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Run by itself.
    Script,
    /// Imported or compiled: part of a program.
    Module,
    /// A test of a program.
    Test,
    /// No code.
    None,
}

/// Files whose content has a form of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Workflow,
    Compose,
    Dockerfile,
    Kubernetes,
    Kustomization,
    HelmChart,
    Terraform,
    CloudFormation,
    Ansible,
    PrometheusConfig,
    AlertRules,
    AlertmanagerConfig,
    GrafanaDashboard,
    GrafanaProvisioning,
    LogShipping,
    Nginx,
    Systemd,
    Crontab,
    Environment,
    Dump,
    Plain,
}

impl What {
    /// The class that the form alone decides.
    pub fn class(self) -> Option<Class> {
        match self {
            What::Workflow => Some(Class::Ci),
            What::Compose
            | What::Dockerfile
            | What::Kubernetes
            | What::Kustomization
            | What::HelmChart
            | What::Terraform
            | What::CloudFormation
            | What::Ansible
            | What::Nginx
            | What::Systemd
            | What::Crontab => Some(Class::Infrastructure),
            What::PrometheusConfig
            | What::AlertRules
            | What::AlertmanagerConfig
            | What::GrafanaDashboard
            | What::GrafanaProvisioning
            | What::LogShipping => Some(Class::Monitoring),
            What::Environment => Some(Class::Config),
            What::Dump => Some(Class::Backups),
            What::Plain => None,
        }
    }
    /// In the words of a reason.
    pub fn name(self) -> &'static str {
        match self {
            What::Workflow => "a CI workflow",
            What::Compose => "a Compose file",
            What::Dockerfile => "a Dockerfile",
            What::Kubernetes => "a Kubernetes manifest",
            What::Kustomization => "a Kustomize file",
            What::HelmChart => "part of a Helm chart",
            What::Terraform => "Terraform",
            What::CloudFormation => "a CloudFormation template",
            What::Ansible => "an Ansible playbook",
            What::PrometheusConfig => "a Prometheus configuration",
            What::AlertRules => "alert rules",
            What::AlertmanagerConfig => "an Alertmanager configuration",
            What::GrafanaDashboard => "a Grafana dashboard",
            What::GrafanaProvisioning => "Grafana provisioning",
            What::LogShipping => "configuration of log shipping",
            What::Nginx => "an nginx configuration",
            What::Systemd => "a systemd unit",
            What::Crontab => "a crontab",
            What::Environment => "an environment's values",
            What::Dump => "a database dump",
            What::Plain => "a plain file",
        }
    }
}

/// Statements of an SQL file by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sql {
    /// Tables, columns, indexes, types, policies, grants.
    pub structure: usize,
    /// Functions, views, triggers.
    pub routines: usize,
    pub inserts: usize,
    /// Updates and deletes.
    pub changes: usize,
    pub selects: usize,
    pub upkeep: usize,
    /// Reads the server's own catalogs.
    pub is_about_server: bool,
    pub aggregates: bool,
}

#[derive(Clone, Debug)]
pub struct Look {
    pub shape: Shape,
    /// Its language is compiled before it runs.
    pub is_compiled: bool,
    pub what: What,
    pub sql: Option<Sql>,
    /// Which of [`COMMANDS`] stand in it, and how often, up to a few times.
    pub commands: Vec<(usize, u8)>,
}

impl Look {
    /// `copy` is the look at the same content elsewhere, in the same language, if there was one.
    pub fn of(path: &RelPath, language: Language, content: &[u8], copy: Option<&Look>) -> Look {
        let what = what(path, language, content);
        if let Some(copy) = copy {
            return Look { shape: shape(path, language, content), what, ..copy.clone() };
        }
        let is_script = matches!(
            language,
            Language::Shell
                | Language::Python
                | Language::JavaScript
                | Language::TypeScript
                | Language::Ruby
                | Language::PowerShell
                | Language::Perl
                | Language::Batch
                | Language::Php
        );
        Look {
            shape: shape(path, language, content),
            is_compiled: language.is_compiled(),
            what,
            sql: (language == Language::Sql).then(|| Sql::of(content)),
            commands: if is_script { commands(content) } else { Vec::new() },
        }
    }
}

/// Much of a file says no more than a part.
pub const MUCH: usize = 256 * 1024;
/// The same command more often than this says nothing new.
const OFTEN: u8 = 3;

fn commands(content: &[u8]) -> Vec<(usize, u8)> {
    static NEEDLES: LazyLock<Needles> =
        LazyLock::new(|| Needles::new(&[], &COMMANDS.iter().map(|command| command.0).collect::<Vec<_>>()));
    let content = &content[..content.len().min(MUCH)];
    let mut seen = vec![0u8; COMMANDS.len()];
    let mut at = 0;
    while let Some((start, which)) = NEEDLES.find(content, at) {
        at = start + 1;
        seen[which] = (seen[which] + 1).min(OFTEN);
    }
    seen.into_iter().enumerate().filter(|(_, count)| *count > 0).collect()
}

fn shape(path: &RelPath, language: Language, content: &[u8]) -> Shape {
    let name = String::from_utf8_lossy(path.name());
    let head = &content[..content.len().min(MUCH)];
    let lines = || head.split(|byte| *byte == b'\n');
    let begins = |words: &[&[u8]]| lines().any(|line| words.iter().any(|word| line.starts_with(word)));
    let has = |needle: &[u8]| hot::find::find(head, 0, needle).is_some();
    let is_run = head.starts_with(b"#!");
    match language {
        Language::Shell | Language::Batch | Language::PowerShell | Language::Perl => {
            if name.ends_with(".bats") {
                Shape::Test
            } else {
                Shape::Script
            }
        }
        Language::Python => {
            if name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py" {
                Shape::Test
            } else if name == "__init__.py" {
                Shape::Module
            } else if is_run
                || has(b"__name__ ==")
                || has(b"__name__==")
                || !begins(&[b"def ", b"class ", b"async def "])
            {
                Shape::Script
            } else {
                Shape::Module
            }
        }
        Language::JavaScript | Language::TypeScript => {
            let is_test = [".test.", ".spec.", ".cy."].iter().any(|mark| name.contains(mark));
            let is_component = name.ends_with(".tsx") || name.ends_with(".jsx") || name.ends_with(".d.ts");
            if is_test {
                Shape::Test
            } else if is_run {
                Shape::Script
            } else if is_component || begins(&[b"export ", b"module.exports", b"exports."]) {
                // What exports and also runs itself when it is the program.
                if has(b"require.main === module") || has(b"import.meta.main") { Shape::Script } else { Shape::Module }
            } else {
                Shape::Script
            }
        }
        Language::Go => {
            if name.ends_with("_test.go") {
                Shape::Test
            } else if begins(&[b"//go:build ignore", b"// +build ignore"]) {
                Shape::Script
            } else {
                Shape::Module
            }
        }
        Language::Ruby => {
            if name.ends_with("_spec.rb") || name.ends_with("_test.rb") {
                Shape::Test
            } else if !is_run && begins(&[b"class ", b"module "]) {
                Shape::Module
            } else {
                Shape::Script
            }
        }
        Language::Php | Language::Lua | Language::R | Language::Groovy => {
            if is_run {
                Shape::Script
            } else {
                Shape::Module
            }
        }
        Language::Rust
        | Language::Java
        | Language::Kotlin
        | Language::Scala
        | Language::CSharp
        | Language::C
        | Language::Swift
        | Language::Elixir
        | Language::Html
        | Language::Css
        | Language::Proto
        | Language::GraphQl => {
            if is_run {
                Shape::Script
            } else {
                Shape::Module
            }
        }
        _ => Shape::None,
    }
}

fn what(path: &RelPath, language: Language, content: &[u8]) -> What {
    let head = &content[..content.len().min(64 * 1024)];
    let name = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    let keys = || head.split(|byte| *byte == b'\n').filter(|line| line.first().is_some_and(u8::is_ascii_alphabetic));
    let has_key = |key: &[u8]| keys().any(|line| line.starts_with(key));
    let has = |needle: &[u8]| hot::find::find(head, 0, needle).is_some();
    match language {
        Language::Dockerfile => What::Dockerfile,
        Language::Terraform => What::Terraform,
        Language::Nginx => What::Nginx,
        Language::Systemd => What::Systemd,
        Language::Crontab => What::Crontab,
        Language::Dotenv => What::Environment,
        Language::Ini if has(b"server {") || has(b"proxy_pass") || has(b"upstream ") => What::Nginx,
        Language::Ini if has(b"[Unit]") && has(b"[Install]") => What::Systemd,
        Language::Sql if has(b"PostgreSQL database dump") || has(b"MySQL dump") => What::Dump,
        Language::Json if has(b"\"panels\"") && has(b"\"schemaVersion\"") => What::GrafanaDashboard,
        Language::Json if has(b"AWSTemplateFormatVersion") => What::CloudFormation,
        Language::Yaml if name == "chart.yaml" || path.parts().any(|part| part == b"templates") && has(b"{{") => {
            What::HelmChart
        }
        Language::Yaml if name.starts_with("kustomization.y") => What::Kustomization,
        Language::Yaml if has_key(b"jobs:") && (has_key(b"on:") || has_key(b"\"on\":") || has_key(b"'on':")) => {
            What::Workflow
        }
        Language::Yaml
            if matches!(
                name.as_str(),
                ".gitlab-ci.yml" | ".travis.yml" | "azure-pipelines.yml" | "bitbucket-pipelines.yml"
            ) =>
        {
            What::Workflow
        }
        Language::Yaml if has_key(b"AWSTemplateFormatVersion") => What::CloudFormation,
        Language::Yaml if has_key(b"scrape_configs:") => What::PrometheusConfig,
        Language::Yaml if has_key(b"groups:") && has(b"expr:") => What::AlertRules,
        Language::Yaml if has_key(b"receivers:") && has_key(b"route:") => What::AlertmanagerConfig,
        Language::Yaml if has_key(b"datasources:") || has_key(b"providers:") && has(b"dashboards") => {
            What::GrafanaProvisioning
        }
        Language::Yaml if has_key(b"positions:") || has_key(b"ingester:") || has_key(b"schema_config:") => {
            What::LogShipping
        }
        Language::Yaml if has_key(b"services:") && (has(b"image:") || has(b"build:")) => What::Compose,
        Language::Yaml if has_key(b"apiVersion:") && has_key(b"kind:") => What::Kubernetes,
        Language::Yaml if head.starts_with(b"- hosts:") || has(b"\n- hosts:") => What::Ansible,
        _ => What::Plain,
    }
}

const ROUTINES: [&str; 5] = ["function", "view", "trigger", "procedure", "rule"];
const SERVER: [&str; 7] =
    ["pg_stat", "pg_catalog", "information_schema", "pg_class", "pg_tables", "pg_policies", "pg_indexes"];
const AGGREGATES: [&str; 4] = ["count(", "sum(", "avg(", "group by"];
static TELLING: LazyLock<Needles> = LazyLock::new(|| Needles::new(&[], &[&SERVER[..], &AGGREGATES].concat()));

/// Without the blanks at its beginning.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = &line[line.iter().position(|byte| !matches!(byte, b'\t'..=b'\r' | b' ')).unwrap_or(line.len())..];
    if line.first().is_none_or(u8::is_ascii) {
        return line;
    }
    let text = line.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    &line[text.len() - text.trim_start().len()..]
}

fn is_between_words(c: char) -> bool {
    c.is_whitespace() || c == '(' || c == ';'
}

impl Sql {
    fn of(content: &[u8]) -> Sql {
        let content = &content[..content.len().min(MUCH)];
        let mut sql = Sql::default();
        let mut in_comment = false;
        // In a body between `$$`: of a block that runs at once, or of a function.
        let mut body = None;
        let mut is_block = false;
        let mut next = 0;
        while next < content.len() {
            let end = hot::find::byte(content, next, b'\n').unwrap_or(content.len());
            let line = trimmed(&content[next..end]);
            next = end + 1;
            let ends_comment = || hot::find::find(line, 0, b"*/").is_some();
            if in_comment {
                in_comment = !ends_comment();
                continue;
            }
            if line.starts_with(b"--") || line.is_empty() {
                continue;
            }
            if line.starts_with(b"/*") {
                in_comment = !ends_comment();
                continue;
            }
            let mut at = 0;
            while !(sql.is_about_server && sql.aggregates)
                && let Some((start, which)) = TELLING.find(line, at)
            {
                *(if which < SERVER.len() { &mut sql.is_about_server } else { &mut sql.aggregates }) = true;
                at = start + 1;
            }
            if body.is_none() {
                let begins = line.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"do"));
                is_block =
                    begins && matches!(line[2..], [] | [b'\r'] | [b' ', ..]) || (is_block && line.starts_with(b"$"));
            }
            // What stands in a function's body is the function's.
            if body != Some(false) {
                sql.count(line);
            }
            if line.iter().filter(|byte| **byte == b'$').count() % 4 == 2 {
                body = if body.is_some() { None } else { Some(is_block) };
            }
        }
        sql
    }

    /// The statement that begins on a line, if one does.
    fn count(&mut self, line: &[u8]) {
        let is_between = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ' | b'(' | b';');
        let line = &line[line.iter().position(|byte| !is_between(byte)).unwrap_or(line.len())..];
        // The longest word that counts has eight letters, all of them ASCII.
        let Some(end) = line.iter().chain(b" ").take(9).position(|byte| is_between(byte) || !byte.is_ascii()) else {
            return;
        };
        if line.get(end).is_none_or(u8::is_ascii) {
            return self.count_statement(&line[..end], &line[end..]);
        }
        // A blank of another alphabet ends a word as well.
        let text = String::from_utf8_lossy(line);
        let text = text.trim_start_matches(is_between_words);
        let (first, rest) = text.split_at(text.find(is_between_words).unwrap_or(text.len()));
        self.count_statement(first.as_bytes(), rest.as_bytes());
    }

    fn count_statement(&mut self, first: &[u8], rest: &[u8]) {
        let mut lower = [0; 8];
        let Some(lower) = lower.get_mut(..first.len()) else { return };
        lower.copy_from_slice(first);
        lower.make_ascii_lowercase();
        let has_next = |is: fn(&str) -> bool| {
            let rest = String::from_utf8_lossy(rest);
            rest.split(is_between_words).filter(|word| !word.is_empty()).take(4).any(is)
        };
        match &*lower {
            b"create" | b"alter" | b"drop" => {
                let is_routine = has_next(|word| ROUTINES.iter().any(|routine| word.eq_ignore_ascii_case(routine)));
                *(if is_routine { &mut self.routines } else { &mut self.structure }) += 1;
            }
            b"grant" | b"revoke" | b"comment" | b"truncate" => self.structure += 1,
            b"insert" | b"copy" | b"merge" => self.inserts += 1,
            b"update" | b"delete" if has_next(|_| true) => self.changes += 1,
            b"select" | b"explain" | b"show" | b"with" | b"table" => self.selects += 1,
            b"vacuum" | b"analyze" | b"reindex" | b"cluster" | b"refresh" => self.upkeep += 1,
            _ => {}
        }
    }

    pub fn writes(&self) -> bool {
        self.structure + self.routines + self.inserts + self.changes + self.upkeep > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str, content: &str) -> Look {
        let path = RelPath::new(name).unwrap();
        let language = Language::of(&path, content.as_bytes(), true);
        Look::of(&path, language, content.as_bytes(), None)
    }

    #[test]
    fn a_form_is_recognised_by_content() {
        for (name, content, expected) in [
            ("x.yml", "on: push\njobs:\n  a:\n", What::Workflow),
            ("x.yml", "services:\n  db:\n    image: postgres\n", What::Compose),
            ("x.yaml", "apiVersion: v1\nkind: Service\n", What::Kubernetes),
            ("x.yml", "scrape_configs:\n  - job_name: x\n", What::PrometheusConfig),
            ("x.yml", "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up == 0\n", What::AlertRules),
            ("x.json", "{\"panels\": [], \"schemaVersion\": 1}", What::GrafanaDashboard),
            ("x.conf", "server {\n listen 80;\n}\n", What::Nginx),
            ("dump.sql", "--\n-- PostgreSQL database dump\n--\n", What::Dump),
            ("x.yml", "name: x\nvalue: 1\n", What::Plain),
        ] {
            assert_eq!(look(name, content).what, expected, "{name}: {content}");
        }
    }

    #[test]
    fn code_is_a_script_a_module_or_a_test() {
        for (name, content, expected) in [
            ("a.py", "import os\nprint(1)\n", Shape::Script),
            ("a.py", "def f():\n    pass\n", Shape::Module),
            ("a.py", "def f():\n    pass\nif __name__ == '__main__':\n    f()\n", Shape::Script),
            ("test_a.py", "def test_f():\n    pass\n", Shape::Test),
            ("a.js", "const x = require('x');\nx();\n", Shape::Script),
            ("a.js", "module.exports = 1;\n", Shape::Module),
            ("a.test.ts", "describe('x', () => {});\n", Shape::Test),
            ("a.go", "package a\n", Shape::Module),
            ("a.md", "# x\n", Shape::None),
        ] {
            assert_eq!(look(name, content).shape, expected, "{name}: {content}");
        }
    }

    #[test]
    fn sql_is_counted_by_statement() {
        let sql = look("a.sql", "-- create table no\nCREATE TABLE a (\n id int);\nALTER TABLE a ADD b int;\nCREATE OR REPLACE FUNCTION f() RETURNS int AS $$\n INSERT INTO a VALUES (1);\n$$ LANGUAGE sql;\n").sql.unwrap();
        assert_eq!((sql.structure, sql.routines, sql.inserts), (2, 1, 0));
        let sql = look("b.sql", "SELECT count(*)\nFROM pg_stat_activity;\n").sql.unwrap();
        assert!(sql.selects == 1 && sql.is_about_server && sql.aggregates && !sql.writes());
        let sql = look(
            "c.sql",
            "\u{a0}Select\u{a0}1;\r\n\u{feff}select 1;\n(SELECT 1);\nupdate\nUpdate\u{a0}a\nDO\r\n$$\ninsert into a\n$$;\ninserting into\nCREATE\u{a0}VIEW v\ndrop\r\n",
        );
        let sql = sql.sql.unwrap();
        assert_eq!((sql.selects, sql.changes, sql.inserts, sql.routines, sql.structure), (2, 1, 1, 1, 1));
    }
}
