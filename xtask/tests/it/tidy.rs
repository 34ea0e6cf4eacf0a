//! The rules of this repository that a program can hold: words at the head of every module, help for every flag, no
//! panics outside tests, a README in every folder, the agreed dependencies, files of a size one can hold in mind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli;
use crate::sandbox::{Sandbox, skip};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the program and the crates it stands on, with its text; tests have none of it.
fn sources() -> Vec<(PathBuf, String)> {
    files_below(&["src", "base/src", "database/src", "hot/src", "restructure/src"])
}

/// Every Rust file of this package below some folders, with its text.
fn files_below(folders: &[&str]) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    folders.iter().for_each(|folder| walk(&package().join(folder), &mut files));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    assert!(!files.is_empty());
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(package()).unwrap().display().to_string()
}

#[test]
fn every_module_says_what_it_is() {
    let mut silent = Vec::new();
    for (path, text) in sources().into_iter().chain(files_below(&["tests"])) {
        // A module of unit tests is told by the module it tests.
        if !text.starts_with("//! ") && !path.ends_with("tests.rs") {
            silent.push(shown(&path));
        }
    }
    assert!(silent.is_empty(), "begin each with a `//!` line: {silent:#?}");
}

#[test]
fn nothing_outside_tests_ends_the_program_by_surprise() {
    let mut found = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.ends_with("tests.rs")) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (index, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "dbg!("]
                .iter()
                .any(|word| line.contains(word))
            {
                found.push(format!("{}:{}: {}", shown(&path), index + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "return an error instead: {found:#?}");
}

#[test]
fn every_verb_argument_and_flag_has_help() {
    let sandbox = Sandbox::new();
    let mut silent = Vec::new();
    for path in cli::commands(&sandbox) {
        let help = cli::help(&sandbox, &path);
        if help.lines().next().is_none_or(|summary| summary.trim().is_empty() || summary.starts_with("USAGE")) {
            silent.push(format!("{path:?} itself"));
        }
        // Rows of a list: a name, two blanks or more, its help.
        let rows = help.lines().filter(|line| line.starts_with("  "));
        silent.extend(rows.filter(|row| !row.trim().contains("  ")).map(|row| format!("{path:?} {}", row.trim())));
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn every_task_stands_in_exactly_one_group_of_the_overview() {
    let sandbox = Sandbox::new();
    let overview = sandbox.xtask("overview --json").exits(0).json();
    let groups = overview["groups"].as_array().unwrap();
    let grouped: Vec<String> = groups
        .iter()
        .flat_map(|group| group["tasks"].as_array().unwrap())
        .map(|task| task.as_str().unwrap().to_owned())
        .collect();
    let once: BTreeSet<String> = grouped.iter().cloned().collect();
    assert_eq!(once.len(), grouped.len(), "one stands in two groups: {grouped:?}");
    let tasks = cli::commands(&sandbox).into_iter().filter(|path| path.len() == 1).map(|path| path[0].clone());
    assert_eq!(once, tasks.collect());
}

#[test]
fn dependencies_are_the_agreed_ones_each_with_its_reason() {
    let manifest = fs::read_to_string(package().parent().unwrap().join("Cargo.toml")).unwrap();
    let rest = manifest.split_once("[workspace.dependencies]\n").unwrap().1;
    let lines = rest.lines().take_while(|line| !line.starts_with('[')).filter(|line| line.contains(" = "));
    let (own, foreign): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains("path = "));
    let names: Vec<&str> = foreign.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(foreign.iter().all(|line| line.contains(" # ")), "say why, each: {foreign:#?}");
    let agreed =
        ["anyhow", "camino", "duct", "libc", "serde_json", "sha2", "xflags", "xshell", "yaml-rust2", "expect-test"];
    assert_eq!(names, agreed);
    // No package takes one that is not among them.
    for folder in own.iter().map(|line| line.split("path = \"").nth(1).unwrap().split('"').next().unwrap()) {
        let manifest = fs::read_to_string(package().parent().unwrap().join(folder).join("Cargo.toml")).unwrap();
        // A package may have none.
        let taken = manifest.split_once("dependencies]\n").map_or("", |(_, taken)| taken);
        let taken = taken.lines().take_while(|line| *line != "[lints]");
        let stray: Vec<&str> = taken.filter(|line| line.contains('=') && !line.contains(".workspace = true")).collect();
        assert!(stray.is_empty(), "{folder}: {stray:?}");
    }
}

/// Most files have at most this many lines; the longer ones are listed when tests run…
const FEW_LINES: usize = 400;
/// … and none is longer than this.
const MOST_LINES: usize = 700;

#[test]
fn files_can_be_held_in_mind() {
    let mut too_long = Vec::new();
    for (path, text) in sources().into_iter().chain(files_below(&["tests"])) {
        // What a macro writes below the page is not for reading.
        let lines = text.split("// generated start").next().unwrap().lines().count();
        if lines > FEW_LINES {
            println!("{}: {lines} lines", shown(&path));
        }
        if lines > MOST_LINES {
            too_long.push(format!("{}: {lines} lines", shown(&path)));
        }
    }
    assert!(too_long.is_empty(), "the second idea in each wants a file of its own: {too_long:#?}");
}

#[test]
fn every_folder_has_a_readme() {
    let root = package().parent().unwrap();
    let listing = Command::new("git").args(["ls-files", "-z", "--cached"]).current_dir(root).output();
    let Some(listing) = listing.ok().filter(|output| output.status.success()) else {
        return skip("every_folder_has_a_readme", "this is no git repository");
    };
    let listing = String::from_utf8(listing.stdout).unwrap();
    let mut folders = BTreeSet::new();
    for file in listing.split('\0').filter(|file| !file.is_empty()) {
        folders.extend(Path::new(file).ancestors().skip(1).map(Path::to_owned));
    }
    // Sources are explained by their service's or program's README and by their own first lines; what begins with a dot
    // is where its tool wants it.
    let is_told_elsewhere = |folder: &Path| {
        let parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
        match parts.as_slice() {
            [first, ..] if first.starts_with('.') => true,
            ["services" | "xtask", _, ..] if parts.len() > 2 => true,
            ["xtask", "src" | "tests"] => true,
            ["tests", "fixtures", _, ..] => true,
            ["tests", _, _, ..] | ["infrastructure", "kubernetes" | "docker", _, _, ..] => true,
            _ => false,
        }
    };
    let missing: Vec<&PathBuf> = folders
        .iter()
        .filter(|folder| {
            !is_told_elsewhere(folder) && root.join(folder).is_dir() && !root.join(folder).join("README.md").is_file()
        })
        .collect();
    assert!(missing.is_empty(), "say what belongs there, what tasks do with it, one example: {missing:#?}");
}
