//! A plan that is made again: the text that was there, with what is new, and with every comment and every decision that
//! somebody made by hand.

use base::workspace::yaml::{self, Value};
use camino::Utf8Path;

use super::{entry, fields, render, top};
use crate::plan::{Item, Plan};

/// The text of the new plan. `old` is the plan that `text` was read as; entries changed by hand are in `plan` already.
pub fn again(plan: &Plan, file: &Utf8Path, old: &Plan, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let Some(list) = lines.iter().position(|line| line.starts_with("files:")) else { return render(plan, file) };
    let Some(starts) = starts(file, text, &lines) else { return render(plan, file) };
    let mut out: Vec<String> = lines[..list].iter().map(|line| (*line).to_owned()).collect();
    for (key, value) in top(plan, file) {
        set(&mut out, "", key, &value);
    }
    out.push(if plan.items.is_empty() { "files: []".to_owned() } else { "files:".to_owned() });
    // Each old entry with the comments above it.
    let mut chunks: Vec<(usize, &[&str])> = Vec::new();
    let mut from = list + 1;
    for (at, start) in starts.iter().enumerate() {
        let next = starts.get(at + 1).copied().unwrap_or(lines.len());
        let end = next - lines[*start..next].iter().rev().take_while(|line| is_remark(line)).count();
        chunks.push((*start, &lines[from..end]));
        from = end;
    }
    let tail = &lines[from.min(lines.len())..];
    for item in &plan.items {
        let was = old.items.iter().find(|was| was.path == item.path);
        let chunk = was.and_then(|was| chunks.iter().find(|(start, _)| start + 1 == was.line || *start == was.line));
        match (was, chunk) {
            (Some(was), Some((_, chunk))) => out.extend(renewed(item, was, chunk)),
            _ => out.extend(entry(item).lines().map(str::to_owned)),
        }
    }
    // Remarks of entries that are gone stay, at the end.
    for (start, chunk) in &chunks {
        let is_there = old
            .items
            .iter()
            .filter(|was| start + 1 == was.line || *start == was.line)
            .any(|was| plan.items.iter().any(|item| item.path == was.path));
        if !is_there {
            out.extend(chunk.iter().filter(|line| line.trim_start().starts_with('#')).map(|line| (*line).to_owned()));
        }
    }
    out.extend(tail.iter().map(|line| (*line).to_owned()));
    out.join("\n") + "\n"
}

/// The lines, counted from 0, on which the entries begin; None when the text is no plan.
fn starts(file: &Utf8Path, text: &str, lines: &[&str]) -> Option<Vec<usize>> {
    let node = yaml::parse(file, text).ok()?;
    let Value::Map(entries) = &node.value else { return None };
    let (.., list) = entries.iter().find(|(_, key, _)| key == "files")?;
    let Value::List(items) = &list.value else { return None };
    let start = |line: usize| {
        let mut at = line.checked_sub(1)?;
        while !lines.get(at)?.trim_start().starts_with('-') {
            at = at.checked_sub(1)?;
        }
        Some(at)
    };
    items.iter().map(|item| start(item.line)).collect()
}

fn is_remark(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// An old entry's lines with new values. One that nobody touched is simply written anew.
fn renewed(item: &Item, was: &Item, chunk: &[&str]) -> Vec<String> {
    let (remarks, own): (Vec<&str>, Vec<&str>) = {
        let count = chunk.iter().take_while(|line| is_remark(line)).count();
        (chunk[..count].to_vec(), chunk[count..].to_vec())
    };
    let mut out: Vec<String> = remarks.into_iter().map(str::to_owned).collect();
    let plain: Vec<String> = entry(was).lines().map(str::to_owned).collect();
    if own == plain {
        out.extend(entry(item).lines().map(str::to_owned));
        return out;
    }
    let mut own: Vec<String> = own.into_iter().map(str::to_owned).collect();
    if item.by_hand {
        // Only what the program knows better is brought up to date.
        let print = fields(item).into_iter().find(|(key, _)| *key == "print").map(|(_, value)| value);
        let print = print.map(|value| match value.rsplit_once('-') {
            // The mark of the old decision stays, so that this one still counts as made by hand.
            Some((print, _)) => format!("{print}-hand"),
            None => value,
        });
        if let Some(print) = print {
            set(&mut own, "    ", "print", &print);
        }
    } else {
        let is_gone =
            |line: &String| ["to:", "of:"].iter().any(|key| line.trim_start_matches([' ', '-']).starts_with(key));
        own.retain(|line| !is_gone(line) || item.act.target().is_some());
        for (key, value) in fields(item) {
            set(&mut own, "    ", key, &value);
        }
    }
    out.extend(own);
    out
}

/// Gives a key its value where it stands, the remark behind it kept; adds the line where there is none.
fn set(lines: &mut Vec<String>, indent: &str, key: &str, value: &str) {
    let is_it = |line: &&mut String| {
        let rest = line.trim_start_matches([' ', '-']);
        rest.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
    };
    match lines.iter_mut().find(is_it) {
        Some(line) => {
            let at = line.find(&format!("{key}:")).unwrap_or(0) + key.len() + 1;
            let remark = remark(&line[at..]).map(|remark| format!(" {remark}")).unwrap_or_default();
            *line = format!("{} {value}{remark}", &line[..at]);
        }
        None => lines.push(format!("{indent}{key}: {value}")),
    }
}

/// The remark behind a value: a `#` after a blank, outside quotes.
fn remark(text: &str) -> Option<&str> {
    let mut quote = None;
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '#') if last.is_whitespace() => return Some(&text[at..]),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        last = c;
    }
    None
}
