//! Rules of one's own: patterns of paths with what happens to the files they match. They win over every guess.
//!
//! ```yaml
//! rules:
//!   - match: "legacy/**"              # a pattern or a list of them; the first rule that matches decides
//!     action: archive                 # keep, move, archive or needs-decision; move where `to` is given
//!     to: _archive/2024-q4/legacy/    # a folder; the path below the pattern's fixed part is kept
//!     class: archive
//!     why: replaced by the new gateway
//! ```

use anyhow::Result;
use base::tools::files;
use base::ui::{Failure, Finding};
use base::workspace::yaml::{self, Fields, Node, Value};
use camino::Utf8Path;

use crate::classify::Class;
use crate::classify::class::CLASSES;
use crate::path::{self, RelPath};
use crate::references::glob;

#[derive(Clone, Debug)]
pub struct Rule {
    patterns: Vec<String>,
    pub action: Action,
    pub class: Option<Class>,
    pub why: Option<String>,
    /// `restructure.yaml:3`, for the reason.
    place: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Keep,
    /// Into this folder of the layout.
    Move(RelPath),
    Archive(RelPath),
    Decide,
}

/// Reads the rules of a file; none where it is missing, exit 2 with all that is wrong in it.
pub fn read(file: &Utf8Path, shown: &Utf8Path) -> Result<Vec<Rule>> {
    let Some(text) = files::read(file)? else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    let mut rules = Vec::new();
    match yaml::parse(shown, &text) {
        Ok(node) => {
            if let Some(mut fields) = Fields::new(shown, &node, "the file", &mut findings) {
                match fields.get("rules").map(|node| (&node.value, node)) {
                    Some((Value::List(items), _)) => {
                        for item in items {
                            rules.extend(rule(shown, item, &mut findings));
                        }
                    }
                    Some((_, node)) => findings.push(Finding::error("`rules` must be a list").at(node.place(shown))),
                    None => {}
                }
                fields.finish(&mut findings);
            }
        }
        Err(problems) => findings.extend(problems),
    }
    if findings.is_empty() {
        Ok(rules)
    } else {
        Err(Failure::configuration(&format!("{shown} cannot be used"), findings).into())
    }
}

fn rule(file: &Utf8Path, node: &Node, findings: &mut Vec<Finding>) -> Option<Rule> {
    let mut fields = Fields::new(file, node, "a rule", findings)?;
    let patterns = match fields.need("match", findings) {
        Some(node) if matches!(node.value, Value::List(_)) => {
            yaml::texts(file, node, "a pattern or a list of them", findings)
        }
        Some(node) => yaml::text(file, node, "a pattern or a list of them", findings).map(|text| vec![text]),
        None => None,
    };
    let action = fields
        .get("action")
        .map(|node| yaml::word(file, node, &["keep", "move", "archive", "needs-decision"], findings).unwrap_or("keep"));
    let to = fields.get("to").and_then(|node| {
        let text = yaml::text(file, node, "a folder", findings)?;
        let folder = path::from_shown(text.trim_end_matches('/'));
        if folder.is_none() {
            findings.push(Finding::error(format!("`{text}` is no path below the target")).at(node.place(file)));
        }
        folder
    });
    let class = fields.get("class").and_then(|node| {
        let names = CLASSES.map(Class::name);
        yaml::word(file, node, &names, findings).and_then(Class::from_name)
    });
    let why = fields.get("why").and_then(|node| yaml::text(file, node, "text", findings));
    fields.finish(findings);
    let action = match (action, to) {
        (Some("keep"), _) => Action::Keep,
        (Some("needs-decision"), _) => Action::Decide,
        (Some("archive"), Some(to)) => Action::Archive(to),
        (Some("move") | None, Some(to)) => Action::Move(to),
        (_, None) => {
            findings.push(Finding::error("the rule says neither `to` nor `action: keep`").at(node.place(file)));
            return None;
        }
        (Some(_), Some(_)) => return None,
    };
    Some(Rule { patterns: patterns?, action, class, why, place: format!("{file}:{}", node.line) })
}

impl Rule {
    /// The pattern that matches a path.
    pub fn matched(&self, path: &RelPath) -> Option<&str> {
        let is_match = |pattern: &&String| {
            let pattern = pattern.trim_end_matches('/');
            let is_folder = !pattern.contains(['*', '?']);
            glob::matches(pattern.as_bytes(), path.bytes())
                // A plain path stands for all that lies below it too.
                || (is_folder && RelPath::new(pattern).is_some_and(|folder| path.is_within(&folder)))
        };
        self.patterns.iter().find(is_match).map(String::as_str)
    }
    /// Where a path that `pattern` matches goes: below the folder, as it lies below the pattern's fixed part.
    pub fn target(&self, pattern: &str, path: &RelPath) -> Option<RelPath> {
        let (Action::Move(to) | Action::Archive(to)) = &self.action else { return None };
        let fixed: Vec<&str> =
            pattern.trim_end_matches('/').split('/').take_while(|part| !part.contains(['*', '?'])).collect();
        let mut fixed = RelPath::new(fixed.join("/")).unwrap_or_default();
        if fixed == *path {
            fixed = path.parent().unwrap_or_default();
        }
        Some(to.append(&path.below(&fixed)?))
    }
    pub fn because(&self) -> String {
        match &self.why {
            Some(why) => format!("{why} (rule {})", self.place),
            None => format!("the rule {} says so", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<Rule>, Vec<String>) {
        let file = Utf8Path::new("restructure.yaml");
        let mut findings = Vec::new();
        let node = yaml::parse(file, text).unwrap();
        let Value::List(items) = &node.value else { panic!() };
        let rules = items.iter().filter_map(|item| rule(file, item, &mut findings)).collect();
        (rules, findings.iter().map(Finding::line).collect())
    }

    #[test]
    fn the_first_match_decides_where_a_file_goes() {
        let (rules, findings) = parse(
            "- {match: 'old/**/*.sql', to: database/queries/old/}\n- {match: [x, y/z], action: keep}\n- {match: '**', action: archive, to: _archive/a}\n",
        );
        assert_eq!(findings, Vec::<String>::new());
        let path = |text: &str| RelPath::new(text).unwrap();
        let pattern = rules[0].matched(&path("old/a/b.sql")).unwrap();
        assert_eq!(rules[0].target(pattern, &path("old/a/b.sql")), Some(path("database/queries/old/a/b.sql")));
        assert!(rules[0].matched(&path("old/a/b.sh")).is_none());
        assert!(rules[1].matched(&path("y/z/deep")).is_some() && rules[1].matched(&path("y/zz")).is_none());
        let pattern = rules[2].matched(&path("q/w")).unwrap();
        assert_eq!(rules[2].target(pattern, &path("q/w")), Some(path("_archive/a/q/w")));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let (_, findings) =
            parse("- {match: a, action: mvoe}\n- {match: a, to: ../x}\n- {to: x}\n- {match: a, action: archive}\n");
        expect_test::expect![[r#"
            [
                "restructure.yaml:1:22: error: `mvoe` is not known here",
                "restructure.yaml:2:18: error: `../x` is no path below the target",
                "restructure.yaml:2:3: error: the rule says neither `to` nor `action: keep`",
                "restructure.yaml:3:3: error: the key `match` is missing in a rule",
                "restructure.yaml:4:3: error: the rule says neither `to` nor `action: keep`",
            ]
        "#]]
        .assert_debug_eq(&findings);
    }
}
