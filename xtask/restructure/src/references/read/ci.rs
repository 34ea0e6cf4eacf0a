//! CI: what jobs of GitHub, GitLab and their like run and where, which paths start them, which actions of the repository
//! they use.

use super::super::mention::{Anchor, Said, Weight};
use super::super::source::Source;
use super::super::{Kind, bytes};
use super::settings;
use super::shell;
use super::yaml::{Scalar, Style, scalars};

/// GitHub's workflows and actions.
pub(crate) fn github(source: &Source, said: &mut Said) {
    let scalars = scalars(&source.bytes);
    // A checkout into a folder of its own puts that before every path.
    let is_elsewhere = scalars.iter().any(|s| s.key() == b"path" && in_checkout(source, s, &scalars));
    let sure = if is_elsewhere { Weight::Likely } else { Weight::Sure };
    let mut folders: Vec<(Vec<Vec<u8>>, usize, usize)> = Vec::new();
    for (number, scalar) in scalars.iter().enumerate() {
        if scalar.key() == b"working-directory"
            && let Some(index) = settings::path(source, scalar, Kind::Folder, Anchor::Root, Weight::Likely, said)
        {
            folders.push((scalar.path.clone(), number, index));
        }
    }
    for (number, scalar) in scalars.iter().enumerate() {
        let text = &source.bytes[scalar.range.clone()];
        let key = scalar.key();
        if key == b"run" && (scalar.path.len() > 2) {
            let cwd = folder_of(&scalars, number, &folders).map_or(Anchor::Root, Anchor::At);
            // What lies in a checkout of something else is not known.
            let place = if is_elsewhere { shell::Place::Example } else { shell::Place::Commands };
            shell::read(&scalar.source(source), place, &[cwd], said);
        } else if key == b"uses" {
            if text.starts_with(b"./") && !bytes::contains(text, b"${{") {
                let value = scalar.source(source);
                if let Some(index) = settings::path_in(&value, Kind::Call, &[Anchor::Root], sure, said) {
                    said.mentions[index].spelling.needs_dot = true;
                }
            }
        } else if scalar.is_at(&["**", "paths", "-"]) || scalar.is_at(&["**", "paths-ignore", "-"]) || is_filter(scalar)
        {
            let value = scalar.source(source);
            filter(&value, said);
        } else if key == b"working-directory" {
        } else if scalar.path.iter().any(|key| key == b"with" || key == b"env" || key == b"inputs" || key == b"matrix")
        {
            input(source, scalar, said);
        } else {
            expressions(source, scalar, said);
        }
    }
}

/// True for the `path` of a step that checks out.
fn in_checkout(source: &Source, scalar: &Scalar, all: &[Scalar]) -> bool {
    let at = all.iter().position(|other| other.range == scalar.range).unwrap_or(0);
    all[..at].iter().rev().take(6).any(|other| {
        other.key() == b"uses"
            && other.path.len() < scalar.path.len()
            && source.bytes[other.range.clone()].starts_with(b"actions/checkout")
    })
}

/// The working directory that holds for a step: its own, its job's, the workflow's.
fn folder_of(all: &[Scalar], number: usize, folders: &[(Vec<Vec<u8>>, usize, usize)]) -> Option<usize> {
    let path = &all[number].path;
    let level = path.len() - 1;
    // In the same step: the same keys before the last, and nothing of another step between the two.
    let own = folders.iter().find(|(other, place, _)| {
        other.len() == path.len() && other[..level] == path[..level] && {
            let (from, to) = if *place < number { (*place, number) } else { (number, *place) };
            !all[from + 1..=to].iter().any(|scalar| scalar.path[..] == *path && all[from].path[..] == *path)
                && same_step(&all[from..=to], level)
        }
    });
    let job = path.get(1);
    let defaults = |is_job: bool| {
        folders.iter().find(|(other, ..)| {
            other.iter().any(|key| key == b"defaults")
                && if is_job {
                    other.first().is_some_and(|key| key == b"jobs") && other.get(1) == job
                } else {
                    other.len() == 3
                }
        })
    };
    own.or_else(|| defaults(true)).or_else(|| defaults(false)).map(|(_, _, index)| *index)
}

/// True when no key of a step stands twice: that would be two steps.
fn same_step(scalars: &[Scalar], level: usize) -> bool {
    let mut seen: Vec<&[Vec<u8>]> = Vec::new();
    for scalar in scalars.iter().filter(|scalar| scalar.path.len() == level + 1) {
        if seen.contains(&scalar.path.as_slice()) {
            return false;
        }
        seen.push(&scalar.path);
    }
    true
}

/// The lists of a paths-filter action.
fn is_filter(scalar: &Scalar) -> bool {
    scalar.key() == b"changes" || scalar.is_at(&["**", "only", "changes", "-"])
}

/// A path filter: it may begin with `!`.
fn filter(value: &Source, said: &mut Said) {
    let start = usize::from(value.bytes.first() == Some(&b'!'));
    let part = value.part(start..value.bytes.len(), super::super::source::Outer::Plain);
    settings::path_in(&part, Kind::Pattern, &[Anchor::Root], Weight::Likely, said);
}

/// The inputs of an action: lines of which any may be a path of the repository.
fn input(source: &Source, scalar: &Scalar, said: &mut Said) {
    expressions(source, scalar, said);
    if scalar.style == Style::Block {
        for line in bytes::lines(&source.bytes[scalar.range.clone()]) {
            let line = bytes::trim(&source.bytes, scalar.range.start + line.start..scalar.range.start + line.end);
            let text = &source.bytes[line.clone()];
            if text.contains(&b' ') {
                super::words::read_prose(source, line, said);
            } else if text.contains(&b'/') && !text.starts_with(b"*") {
                let part = source.part(line, super::super::source::Outer::Plain);
                filter(&part, said);
            }
        }
        return;
    }
    if !bytes::contains(&source.bytes[scalar.range.clone()], b"hashFiles(") {
        settings::unmistakable(source, scalar, &[Anchor::Root], said);
    }
}

/// `hashFiles('x/package-lock.json')`
fn expressions(source: &Source, scalar: &Scalar, said: &mut Said) {
    let text = &source.bytes[..scalar.range.end];
    let mut at = scalar.range.start;
    while let Some(found) = bytes::find(text, b"hashFiles(", at) {
        at = found + 10;
        let end = text[at..].iter().position(|byte| *byte == b')').map_or(text.len(), |length| at + length);
        while let Some(open) = text[at..end].iter().position(|byte| *byte == b'\'') {
            let start = at + open + 1;
            let Some(length) = text[start..end].iter().position(|byte| *byte == b'\'') else { break };
            let part = source.part(start..start + length, super::super::source::Outer::Literal(b'\''));
            filter(&part, said);
            at = start + length + 1;
        }
    }
}

/// GitLab and others whose jobs are lists of commands: `script`, `commands`, `run`.
pub(crate) fn scripts(source: &Source, said: &mut Said) {
    let scalars = scalars(&source.bytes);
    let mut block: Option<(Vec<Vec<u8>>, std::ops::Range<usize>)> = None;
    for scalar in &scalars {
        let key = scalar.key();
        let is_script = matches!(
            key,
            b"script"
                | b"before_script"
                | b"after_script"
                | b"commands"
                | b"command"
                | b"cmds"
                | b"cmd"
                | b"run"
                | b"bash"
                | b"install"
                | b"before_install"
                | b"sh"
                | b"entry"
        );
        let is_list = is_script && scalar.path.last().is_some_and(|key| key == b"-") && scalar.style == Style::Plain;
        // The lines of a list run one after the other in the same shell.
        match &mut block {
            Some((path, range)) if is_list && *path == scalar.path => {
                range.end = scalar.range.end;
                continue;
            }
            Some((_, range)) => {
                list_of_commands(source, range.clone(), said);
                block = None;
            }
            None => {}
        }
        if is_list {
            block = Some((scalar.path.clone(), scalar.range.clone()));
        } else if is_script {
            settings::commands(source, scalar, &[Anchor::Root], said);
        } else if key == b"changes" || key == b"paths" || key == b"files" {
            filter(&scalar.source(source), said);
        } else if key == b"local" || key == b"include" {
            let value = scalar.source(source);
            let start = usize::from(value.bytes.first() == Some(&b'/'));
            let part = value.part(start..value.bytes.len(), super::super::source::Outer::Plain);
            settings::path_in(&part, Kind::Include, &[Anchor::Root], Weight::Likely, said);
        } else if matches!(key, b"working_directory" | b"workingDirectory" | b"dir") {
            settings::path(source, scalar, Kind::Folder, Anchor::Root, Weight::Likely, said);
        } else {
            settings::unmistakable(source, scalar, &[Anchor::Root, Anchor::Own], said);
        }
    }
    if let Some((_, range)) = block {
        list_of_commands(source, range, said);
    }
}

/// Several items of a list as one script: the signs between them are blanks to it.
fn list_of_commands(source: &Source, range: std::ops::Range<usize>, said: &mut Said) {
    let mut bytes = source.bytes[range.clone()].to_vec();
    let lines: Vec<_> = bytes::lines(&bytes).collect();
    for line in lines {
        let text = &bytes[line.clone()];
        let indent = text.iter().take_while(|byte| **byte == b' ').count();
        if text[indent..].starts_with(b"- ") {
            bytes[line.start + indent] = b' ';
        }
    }
    let places = (range.start..=range.end).collect();
    let script = source.decoded(bytes, places, super::super::source::Outer::YamlPlain);
    shell::read(&script, shell::Place::Commands, &[Anchor::Root], said);
}

/// dependabot: folders that begin with a slash.
pub(crate) fn dependabot(source: &Source, said: &mut Said) {
    for scalar in scalars(&source.bytes) {
        let text = &source.bytes[scalar.range.clone()];
        if matches!(scalar.key(), b"directory" | b"directories") && text.len() > 1 && text[0] == b'/' {
            let value = scalar.source(source);
            let part = value.part(1..value.bytes.len(), super::super::source::Outer::Plain);
            settings::path_in(&part, Kind::Setting, &[Anchor::Root], Weight::Likely, said);
        }
    }
}
