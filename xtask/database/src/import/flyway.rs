//! Flyway's names: `V1_2__name.sql`, `U1_2__name.sql`, `R__name.sql`, and what stands beside them.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{History, Item, name_of, problem};

/// Prefix, the version's numbers, the name.
pub(super) fn parse(file: &str) -> Option<(char, Vec<String>, String)> {
    let stem = file.strip_suffix(".sql")?;
    let (head, name) = stem.split_once("__")?;
    let prefix = head.chars().next().filter(|prefix| "VURB".contains(*prefix))?;
    let version = &head[1..];
    let parts: Vec<String> = version.split(['.', '_']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let digits = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let fits = if prefix == 'R' { version.is_empty() } else { !parts.is_empty() };
    (digits && fits).then(|| (prefix, parts, name.to_owned()))
}

/// As Flyway's ledger writes it.
fn dotted(parts: &[String]) -> String {
    parts.join(".")
}

pub(super) fn read(folder: &Utf8Path, files: &[Utf8PathBuf], history: &mut History) -> Result<()> {
    let mut undos = Vec::new();
    for file in files.iter().filter(|file| file.extension() == Some("sql")) {
        let Some((prefix, parts, name)) = parse(name_of(file)) else {
            let stem = name_of(file);
            let is_callback = ["before", "after", "create"].iter().any(|word| stem.starts_with(word));
            history.notes.push(match is_callback {
                true => format!(
                    "{file}: a callback is not carried over; what it does belongs into a migration or a repeatable file"
                ),
                false => format!("{file}: it is not named as Flyway names migrations, and is not carried over"),
            });
            continue;
        };
        let bytes = std::fs::read(folder.join(file))?;
        let conf = std::fs::read_to_string(folder.join(format!("{file}.conf"))).unwrap_or_default().replace(' ', "");
        let item = Item {
            theirs: dotted(&parts),
            parts,
            name,
            up: bytes,
            is_outside: conf.contains("executeInTransaction=false"),
            has_placeholders: !conf.contains("placeholderReplacement=false"),
            ..Item::of(file)
        };
        match prefix {
            'V' => history.items.push(item),
            'R' => history.repeatable.push(item),
            'U' => undos.push(item),
            _ => history
                .notes
                .push(format!("{file}: a baseline script is not carried over; the versions it stands for are")),
        }
    }
    // By what Flyway calls their description.
    history.repeatable.sort_by_key(|item| item.name.replace('_', " "));
    let plain = |parts: &[String]| -> Vec<String> {
        let mut parts: Vec<String> = parts.iter().map(|part| part.trim_start_matches('0').to_owned()).collect();
        while parts.last().is_some_and(String::is_empty) {
            parts.pop();
        }
        parts
    };
    for undo in undos {
        match history.items.iter_mut().find(|item| plain(&item.parts) == plain(&undo.parts)) {
            Some(item) => item.down = Some((undo.file, undo.up)),
            None => history.findings.push(problem(&undo.file, "there is no migration that it would take back")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let shown = |name: &str| parse(name).map(|(prefix, parts, name)| format!("{prefix} {} {name}", dotted(&parts)));
        assert_eq!(shown("V1_2__add keys.sql").as_deref(), Some("V 1.2 add keys"));
        assert_eq!(shown("V2.0.1__x.sql").as_deref(), Some("V 2.0.1 x"));
        assert_eq!(shown("R__views.sql").as_deref(), Some("R  views"));
        assert_eq!(shown("afterMigrate__x.sql"), None);
        assert_eq!(shown("V__x.sql"), None);
    }
}
