//! The README of a folder: what it holds, what tasks do with it, where it came from, and each file with what it says of
//! itself.

use std::collections::BTreeMap;

use super::{Teller, Told};
use crate::classify::Class;
use crate::facts::Made;
use crate::language::{Family, Language};
use crate::path::RelPath;
use crate::plan::Readmes;
use crate::tree::{Entry, Kind};

/// Folders that get one: those without, where one does no harm.
pub fn wanted(teller: &Teller) -> Vec<RelPath> {
    if teller.readmes == Readmes::None {
        return Vec::new();
    }
    let folders = teller.after.entries().iter().filter(|entry| entry.kind == Kind::Folder && entry.is_given);
    folders
        .filter(|entry| !has_readme(teller, &entry.path) && why_none(teller, entry).is_none())
        .map(|entry| entry.path.clone())
        .collect()
}

pub fn has_readme(teller: &Teller, folder: &RelPath) -> bool {
    teller.after.children(folder).any(|id| crate::classify::names::is_readme(teller.after.path(id).name()) && !teller.after.is_folder(teller.after.path(id)))
        // The index of the archive is written apart.
        || *folder == teller.folders.into.join(b"_archive")
}

/// Why a folder has none and gets none.
pub fn why_none(teller: &Teller, entry: &Entry) -> Option<&'static str> {
    let folder = &entry.path;
    let below = folder.below(&teller.folders.into).or_else(|| folder.below(&teller.folders.from)).unwrap_or_default();
    let is_foreign = teller.after.below(folder).next().is_some()
        && teller.after.below(folder).all(|id| {
            let path = teller.after.path(id);
            let made = teller.told.get(path).and_then(|told| told.made);
            teller.after.is_folder(path) || matches!(made, Some(Made::Runtime | Made::Vendored))
        });
    let is_chart = folder.ancestors().any(|above| teller.after.is_file(&above.join(b"Chart.yaml")));
    let is_in_unit = teller.unit(folder).is_some_and(|(root, _)| root != folder);
    if entry.closed.is_some() {
        Some("its inside is its owner's: a repository, data, or what is made at run time")
    } else if is_read_whole(&below) {
        Some("its tool reads every document in it")
    } else if is_foreign {
        Some("it is made at run time or copied from elsewhere")
    } else if is_chart {
        Some("Helm reads every file in it")
    } else if is_in_unit && teller.readmes == Readmes::OutsideApplications {
        Some("its program's README tells of it")
    } else if teller.after.children(folder).next().is_none() {
        Some("it is empty")
    } else {
        None
    }
}

/// Hidden folders belong to a tool; a README is one file too many in the tool's own folder (a README in `.github` would be
/// shown in place of the root's) and where each document is a command, an agent or a template to it.
fn is_read_whole(below: &RelPath) -> bool {
    const DOCUMENTS: [&str; 12] = [
        "ISSUE_TEMPLATE",
        "PULL_REQUEST_TEMPLATE",
        "DISCUSSION_TEMPLATE",
        "issue_templates",
        "merge_request_templates",
        "agents",
        "chatmodes",
        "commands",
        "instructions",
        "prompts",
        "rules",
        "skills",
    ];
    let mut parts = below.parts().skip_while(|part| !part.starts_with(b"."));
    let is_hidden = parts.next().is_some();
    let inside = parts.next();
    is_hidden && inside.is_none_or(|part| DOCUMENTS.iter().any(|name| name.as_bytes() == part))
}

pub fn text(teller: &Teller, folder: &RelPath) -> String {
    let name = folder
        .below(&teller.folders.into)
        .filter(|below| !below.is_root())
        .map_or_else(|| crate::path::shown(folder.name()), |below| crate::path::shown(below.name()));
    let mut files: Vec<(&RelPath, Option<&Told>)> = Vec::new();
    let mut folders: Vec<&RelPath> = Vec::new();
    for id in teller.after.children(folder) {
        let path = teller.after.path(id);
        match teller.after.is_folder(path) {
            true => folders.push(path),
            false => files.push((path, teller.told.get(path))),
        }
    }
    let mut text = format!("# {}\n\n{}\n", escape(&title(&name)), holds(teller, folder, &files, folders.len()));
    if let Some(what) = what_tasks_do(teller, folder) {
        text.push_str(&format!("\n{what}\n"));
    }
    if let Some(from) = came_from(&files) {
        text.push_str(&format!("\nThese files came from `{from}/`.\n"));
    }
    if !folders.is_empty() {
        text.push_str("\n| folder | holds |\n|---|---|\n");
        for path in folders {
            text.push_str(&format!("| {} | {} |\n", link(folder, path, true), in_short(teller, path)));
        }
    }
    if !files.is_empty() {
        let has_tasks = files.iter().any(|(_, told)| told.is_some_and(|told| told.script.is_some()));
        text.push_str(if has_tasks {
            "\n| file | what it is | now |\n|---|---|---|\n"
        } else {
            "\n| file | what it is |\n|---|---|\n"
        });
        for (path, told) in files {
            let task = told
                .and_then(|told| told.script)
                .map(|task| task.map_or("no task yet".to_owned(), |task| format!("`cargo xtask {task}`")));
            let task = if has_tasks { format!(" {} |", task.unwrap_or_default()) } else { String::new() };
            text.push_str(&format!("| {} | {} |{task}\n", link(folder, path, false), about(told)));
        }
    }
    text
}

fn title(name: &str) -> String {
    if name.is_empty() { "Contents".to_owned() } else { name.to_owned() }
}

/// The first sentence: how many of what, and for what.
fn holds(teller: &Teller, folder: &RelPath, files: &[(&RelPath, Option<&Told>)], folders: usize) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
    for told in files.iter().filter_map(|(_, told)| *told) {
        *counts.entry(noun(told.language)).or_default() += 1;
        *classes.entry(told.class).or_default() += 1;
    }
    if files.is_empty() {
        for id in teller.after.below(folder) {
            if let Some(told) = teller.told.get(teller.after.path(id)) {
                *classes.entry(told.class).or_default() += 1;
            }
        }
    }
    let mut parts: Vec<(usize, String)> =
        counts.into_iter().map(|(noun, count)| (count, plural(count, noun))).collect();
    parts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut parts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    if folders > 0 {
        parts.push(plural(folders, "folder"));
    }
    let mut what = list(&parts);
    if !files.is_empty() && files.iter().all(|(_, told)| told.is_some_and(|told| told.made == Some(Made::Generated))) {
        what.push_str(", which programs write");
    }
    let purpose =
        classes.into_iter().max_by_key(|(_, count)| *count).map(|(class, _)| purpose(class)).unwrap_or_default();
    if let Some((root, why)) = teller.unit(folder) {
        return match root == folder {
            true => format!("An application ({why}): {what}."),
            false => format!("Part of the application `{}` ({why}): {what}.", teller.shown(root)),
        };
    }
    let what = if what.is_empty() { "nothing yet".to_owned() } else { what };
    format!("{}{purpose}.", capital(&what))
}

fn purpose(class: Class) -> &'static str {
    match class {
        Class::Migrations => " that change the database's schema",
        Class::Schema => " that describe the database's schema",
        Class::Queries => " that ask the database something",
        Class::Seeds => " that fill the database",
        Class::Backups => " about backups of the database",
        Class::Maintenance => " for the upkeep of the database",
        Class::Deployment => " for deployments",
        Class::Services => " for starting and stopping services",
        Class::Setup => " for setting up",
        Class::Monitoring => " for monitoring",
        Class::DataManagement => " that move and change data",
        Class::Testing => " for tests",
        Class::Utilities => " for odd jobs",
        Class::Ci => " for continuous integration",
        Class::Infrastructure => " that describe the infrastructure",
        Class::Config => " of configuration",
        Class::Docs => " of documentation",
        Class::Archive => ", out of use and kept for the record",
        Class::Application => " of an application",
    }
}

/// What tasks do with files here, and what is left to do.
fn what_tasks_do(teller: &Teller, folder: &RelPath) -> Option<String> {
    let below = folder.below(&teller.folders.into)?;
    let parts: Vec<String> = below.parts().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Some(match parts.as_slice() {
        ["database", "migrations", _, ..] => format!(
            "No task runs them: `cargo xtask migrate` reads only `pending/`, `applied/` and `repeatable/`. To take their history over: `cargo xtask migrate import {below}`."
        ),
        ["database", "queries", _, _, ..] => "`cargo xtask db query` runs the files that lie directly in the folder of a purpose, each one documented statement. A file is taken over by moving it up.".to_owned(),
        ["database", "seeds", _, _, ..] => "`cargo xtask db seed` runs the files that lie directly in the folder of an environment. A file is taken over by moving it up, when running it twice changes nothing.".to_owned(),
        ["database", "maintenance", _, ..] => "`cargo xtask db maintain` runs the files that lie directly in `database/maintenance/`.".to_owned(),
        ["database", "schema", _, ..] => "For reading: what the schema is, is said by the migrations; `cargo xtask migrate schema` writes it into `database/schema/current.sql`.".to_owned(),
        ["_archive", _, "deprecated-scripts", ..] => "Out of use, kept with their old paths. The last column names the task that does a script's work now.".to_owned(),
        ["_archive", ..] => "Out of use, kept with their old paths; no task reads them.".to_owned(),
        ["config", "environments", ..] => "`cargo xtask config check` holds the environments against their examples; real values are not committed.".to_owned(),
        ["infrastructure", "terraform", ..] | ["infrastructure", "kubernetes", ..] => "`cargo xtask infra` plans and applies what is described here.".to_owned(),
        ["docs", "runbooks", ..] => "`cargo xtask runbook` lists, checks and runs them.".to_owned(),
        ["scripts", ..] => "Run by hand. The last column names the task that does a script's work, where there is one.".to_owned(),
        _ => return None,
    })
}

/// The one folder that all files were in before.
fn came_from(files: &[(&RelPath, Option<&Told>)]) -> Option<RelPath> {
    let mut old =
        files.iter().filter_map(|(_, told)| told.and_then(|told| told.was.as_ref())).filter_map(RelPath::parent);
    let first = old.next()?;
    (!first.is_root() && old.all(|other| other == first)).then_some(first)
}

/// What a folder holds, in a cell.
fn in_short(teller: &Teller, folder: &RelPath) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for id in teller.after.below(folder) {
        if let Some(told) = teller.told.get(teller.after.path(id)) {
            *counts.entry(noun(told.language)).or_default() += 1;
        }
    }
    let mut parts: Vec<(usize, String)> =
        counts.into_iter().map(|(noun, count)| (count, plural(count, noun))).collect();
    parts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let parts: Vec<String> = parts.into_iter().take(3).map(|(_, text)| text).collect();
    if parts.is_empty() { "nothing that is read".to_owned() } else { list(&parts) }
}

/// What a file is, in a cell.
pub fn about(told: Option<&Told>) -> String {
    let Some(told) = told else { return String::new() };
    let made = told.made.map(|made| format!(", {}", made.name())).unwrap_or_default();
    match &told.summary {
        Some(summary) => summary.clone(),
        None if told.lines > 0 => format!("{}, {}{made}", told.language.name(), plural(told.lines, "line")),
        None => format!("{}{made}", told.language.name()),
    }
}

fn noun(language: Language) -> &'static str {
    match language {
        Language::Shell => "shell script",
        Language::Python => "Python file",
        Language::JavaScript => "JavaScript file",
        Language::TypeScript => "TypeScript file",
        Language::Sql => "SQL file",
        Language::Yaml => "YAML file",
        Language::Json => "JSON file",
        Language::Terraform => "Terraform file",
        Language::Markdown => "document",
        other => match other.family() {
            Family::Document => "document",
            Family::Config => "configuration file",
            Family::Infrastructure => "infrastructure file",
            Family::Program | Family::Script => "source file",
            Family::Data | Family::Query | Family::Binary => "data file",
        },
    }
}

pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A link from a folder's own README.
pub fn link(folder: &RelPath, path: &RelPath, is_folder: bool) -> String {
    let way = path.below(folder).map_or_else(|| folder.to(path), |below| below.bytes().to_vec());
    let slash = if is_folder { "/" } else { "" };
    format!("[{}{slash}]({}{slash})", escape(&crate::path::shown(path.name())), url(&way))
}

/// A way as Markdown takes it for a link: everything that could end it is escaped.
pub fn url(way: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/@+,=&!$".contains(byte);
    way.iter().map(|byte| if is_plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Text in a line of Markdown.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]|<>#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_own_folder_gets_none() {
        let is_read = |text: &str| is_read_whole(&RelPath::new(text).unwrap());
        assert!(is_read(".github") && is_read("a/.claude/commands/git") && is_read(".github/ISSUE_TEMPLATE"));
        assert!(!is_read("docs") && !is_read(".github/workflows") && !is_read(".claude/notes/prompts"));
    }

    #[test]
    fn odd_names_make_sound_links() {
        let path = |text: &str| RelPath::new(text).unwrap();
        assert_eq!(link(&path("a"), &path("a/b c (1).md"), false), "[b c (1).md](b%20c%20%281%29.md)");
        assert_eq!(link(&path("a"), &path("a/x_y|z"), true), r"[x\_y\|z/](x_y%7Cz/)");
        assert_eq!((plural(1, "file"), plural(2, "file")), ("1 file".to_owned(), "2 files".to_owned()));
    }
}
