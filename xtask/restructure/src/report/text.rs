//! The summary of a scan for people: what matters, with figures, and no more lines than one reads.

use base::ui::{self, Style};

use super::data::why_closed;
use super::{Report, percent};

/// Rows of a table; the rest is in the JSON and on the page.
const ROWS: usize = 12;

pub fn scan(report: &Report) -> String {
    let scan = report.scan;
    let counts = report.counts();
    let mut text = String::new();
    let mut head = |title: &str| text.push_str(&format!("\n{}\n", ui::paint(Style::Strong, title)));
    head("what is there");
    let mut languages: Vec<(usize, &str)> = counts.languages.iter().map(|(name, count)| (*count, *name)).collect();
    languages.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let languages: Vec<String> = languages.iter().take(10).map(|(count, name)| format!("{count} {name}")).collect();
    let mut rows = vec![
        vec!["files".to_owned(), format!("{} in {} folders, {}", counts.files, counts.folders, bytes(counts.bytes))],
        vec!["languages".to_owned(), languages.join(", ")],
        vec!["executable".to_owned(), format!("{}; empty {}; links {}", counts.executable, counts.empty, counts.links)],
    ];
    if !counts.made.is_empty() {
        let made: Vec<String> = counts.made.iter().map(|(name, count)| format!("{count} {name}")).collect();
        rows.push(vec!["not written here".to_owned(), made.join(", ")]);
    }
    text.push_str(&ui::table(&[], &rows));

    let redundant: usize = scan.groups.iter().map(|group| group.redundant()).sum();
    let spare: u64 = scan.groups.iter().map(|group| group.size * group.redundant() as u64).sum();
    section(
        &mut text,
        "duplicates",
        &format!("{} groups of identical files, {redundant} redundant copies, {}", scan.groups.len(), bytes(spare)),
    );
    let rows: Vec<Vec<String>> = scan
        .overlaps
        .iter()
        .take(ROWS)
        .map(|overlap| {
            let share = |shared: usize, all: usize| format!("{shared} of {all} ({} %)", percent(shared, all));
            vec![
                report.shown(&overlap.a),
                report.shown(&overlap.b),
                share(overlap.shared_a, overlap.files_a),
                share(overlap.shared_b, overlap.files_b),
                overlap.same_path.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&ui::table(
            &["folder", "and folder", "of the first", "of the second", "at the same path"],
            &rows,
        ));
        more(&mut text, scan.overlaps.len());
    }
    section(
        &mut text,
        "near duplicates",
        &format!("{} pairs of different texts with half of their lines or more in common", scan.near.len()),
    );
    let rows: Vec<Vec<String>> = scan
        .near
        .iter()
        .take(ROWS)
        .map(|near| vec![format!("{:.2}", near.similarity), report.shown_id(near.a), report.shown_id(near.b)])
        .collect();
    text.push_str(&ui::table(&[], &rows));
    more(&mut text, scan.near.len());

    let references = report.references();
    let of = |name: &str| references.get(name).map_or(0, Vec::len);
    section(
        &mut text,
        "references",
        &format!(
            "{} resolve, {} are broken, {} are to be made at run time, {} lead outside, {} are ambiguous",
            of("resolved"),
            of("broken"),
            of("runtime"),
            of("external"),
            of("ambiguous")
        ),
    );
    let broken = references.get("broken").map_or(&[][..], Vec::as_slice);
    let rows: Vec<Vec<String>> = broken
        .iter()
        .take(ROWS)
        .map(|reference| {
            let place = format!("{}:{}", report.shown_id(reference.file), reference.line);
            vec![place, reference.kind.name().to_owned(), crate::path::shown(&reference.text)]
        })
        .collect();
    text.push_str(&ui::table(&[], &rows));
    more(&mut text, broken.len());

    let units: Vec<Vec<String>> = scan
        .units
        .iter()
        .flat_map(|(_, units)| &units.units)
        .map(|unit| vec![report.shown(&unit.root), unit.why.clone()])
        .collect();
    if !units.is_empty() {
        section(&mut text, "applications, which stay together", "");
        text.push_str(&ui::table(&[], &units[..units.len().min(ROWS)]));
        more(&mut text, units.len());
    }
    let closed: Vec<Vec<String>> = report
        .ids()
        .filter_map(|id| Some(vec![report.shown_id(id), why_closed(scan.tree.entry(id).closed.as_ref()?)]))
        .collect();
    if !closed.is_empty() {
        section(&mut text, "left alone", "");
        text.push_str(&ui::table(&[], &closed[..closed.len().min(ROWS)]));
        more(&mut text, closed.len());
    }
    secrets(report, &mut text);
    syntax(report, &mut text);
    text.trim_start().to_owned()
}

fn secrets(report: &Report, text: &mut String) {
    let mut rows = Vec::new();
    for id in report.ids() {
        let Some(facts) = &report.scan.facts[id.index()] else { continue };
        for secret in &facts.secrets {
            rows.push(vec![format!("{}:{}", report.shown_id(id), secret.line), secret.kind.to_owned()]);
        }
    }
    if !rows.is_empty() {
        section(text, "secrets", "what looks like one; values are never shown");
        text.push_str(&ui::table(&[], &rows[..rows.len().min(ROWS)]));
        more(text, rows.len());
    }
}

fn syntax(report: &Report, text: &mut String) {
    let Some(syntax) = report.syntax else { return };
    let broken = syntax.broken();
    section(text, "syntax", &format!("{} files were parsed, {} do not parse", syntax.states.len(), broken.len()));
    let rows: Vec<Vec<String>> = broken
        .iter()
        .take(ROWS)
        .map(|(id, line, message)| vec![format!("{}:{line}", report.shown_id(*id)), (*message).to_owned()])
        .collect();
    text.push_str(&ui::table(&[], &rows));
    more(text, broken.len());
    if !syntax.without_parser.is_empty() {
        let names: Vec<String> =
            syntax.without_parser.iter().map(|(language, count)| format!("{count} {}", language.name())).collect();
        text.push_str(&format!("no parser here for {}\n", names.join(", ")));
    }
}

fn section(text: &mut String, title: &str, line: &str) {
    text.push_str(&format!("\n{}\n", ui::paint(Style::Strong, title)));
    if !line.is_empty() {
        text.push_str(&format!("{line}\n"));
    }
}

fn more(text: &mut String, all: usize) {
    if all > ROWS {
        text.push_str(&format!("and {} more\n", all - ROWS));
    }
}

pub fn bytes(bytes: u64) -> String {
    match bytes {
        b if b < 10_000 => format!("{b} bytes"),
        b if b < 10_000_000 => format!("{} kB", b / 1000),
        b => format!("{} MB", b / 1_000_000),
    }
}
