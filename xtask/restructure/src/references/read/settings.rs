//! Values of configurations: those that are paths by their key, and of the others those that are unmistakable.

use super::super::mention::{Anchor, Form, Mention, Said, Weight};
use super::super::source::Source;
use super::super::{Kind, bytes};
use super::shell;
use super::yaml::{Scalar, Style};

/// A value that is a path, or a pattern of paths.
pub(crate) fn path(
    source: &Source,
    scalar: &Scalar,
    kind: Kind,
    base: Anchor,
    weight: Weight,
    said: &mut Said,
) -> Option<usize> {
    path_in(&scalar.source(source), kind, &[base], weight, said)
}

/// The same for a text that is nothing but the path.
pub(crate) fn path_in(value: &Source, kind: Kind, bases: &[Anchor], weight: Weight, said: &mut Said) -> Option<usize> {
    let range = bytes::trim(&value.bytes, 0..value.bytes.len());
    let text = &value.bytes[range.clone()];
    if text.is_empty()
        || text.len() > 400
        || text[0] == b'/'
        || text[0] == b'~'
        || bytes::contains(text, b"://")
        || bytes::contains(text, b"git@")
    {
        return None;
    }
    if let Some(mention) = with_variable(value, &range, kind, bases, weight) {
        return Some(said.push(value, mention));
    }
    if text.iter().any(|byte| matches!(byte, b'$' | b'{' | b'\n' | b'<' | b'|')) {
        return None;
    }
    let mention = match text.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[')) {
        None => Mention::new(kind, range, text, Anchor::Own),
        Some(wild) => {
            let cut = text[..wild].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let mut mention = Mention::new(kind, range.start..range.start + cut, &text[..cut], Anchor::Own);
            mention.tail = text[cut..].iter().map(|byte| if *byte == b'[' { b'*' } else { *byte }).collect();
            mention.is_pattern = true;
            mention
        }
    };
    Some(said.push(value, mention.bases(bases).weight(weight)))
}

/// `${NAME:-./x}`: the default is the path.
fn with_variable(
    value: &Source,
    range: &std::ops::Range<usize>,
    kind: Kind,
    bases: &[Anchor],
    weight: Weight,
) -> Option<Mention> {
    let text = &value.bytes[range.clone()];
    if !text.starts_with(b"${") {
        return None;
    }
    let sign = bytes::find(text, b":-", 0)?;
    let close = text.iter().position(|byte| *byte == b'}')?;
    let inner = text.get(sign + 2..close)?;
    let is_path = close + 1 == text.len() && !inner.is_empty() && inner[0] != b'/' && !inner.contains(&b'$');
    let start = range.start + sign + 2;
    is_path.then(|| {
        Mention::new(kind, start..start + inner.len(), inner, Anchor::Own)
            .bases(bases)
            .weight(weight.min(Weight::Likely))
    })
}

/// A value of which nobody knows what it is for: it counts where it has a slash and is there.
pub(crate) fn unmistakable(source: &Source, scalar: &Scalar, bases: &[Anchor], said: &mut Said) {
    let text = &source.bytes[scalar.range.clone()];
    if scalar.style == Style::Block || text.contains(&b' ') || text.contains(&b'\n') {
        // A command, a sentence, or a path with blanks.
        if scalar.style != Style::Block && text.contains(&b'/') && bytes::extension(text).is_some() {
            path_in(&scalar.source(source), Kind::Setting, bases, Weight::Word, said);
        }
        if text.contains(&b'/') && scalar.range.len() < 20_000 {
            super::words::read_prose(source, scalar.range.clone(), said);
        }
        return;
    }
    let is_relative = text.starts_with(b"./") || text.starts_with(b"../");
    let has_slash = text.contains(&b'/');
    if !(has_slash || says_file(scalar.key()) && bytes::may_be_path(text)) {
        return;
    }
    let weight = if is_relative { Weight::Likely } else { Weight::Word };
    let value = scalar.source(source);
    if text.contains(&b'*') && !is_relative && text.starts_with(b"*") {
        return;
    }
    if has_slash && value.bytes.iter().any(|byte| matches!(byte, b':' | b',' | b'=' | b'(' | b'@' | b'$')) {
        return super::words::read_prose(source, scalar.range.clone(), said);
    }
    path_in(&value, Kind::Setting, bases, weight, said);
}

/// Keys whose value is a file even where it has no slash.
fn says_file(key: &[u8]) -> bool {
    let key = key.to_ascii_lowercase();
    [
        &b"file"[..],
        b"path",
        b"src",
        b"source",
        b"template",
        b"schema",
        b"readme",
        b"script",
        b"include",
        b"config",
        b"extends",
    ]
    .iter()
    .any(|word| bytes::contains(&key, word))
}

/// A value that is commands.
pub(crate) fn commands(source: &Source, scalar: &Scalar, cwd: &[Anchor], said: &mut Said) {
    shell::read(&scalar.source(source), shell::Place::Commands, cwd, said);
}

/// A module that a configuration names: `./x` with its ending left out.
pub(crate) fn module(source: &Source, scalar: &Scalar, kind: Kind, said: &mut Said) {
    if let Some(index) = path(source, scalar, kind, Anchor::Own, Weight::Likely, said)
        && !said.mentions[index].is_pattern
    {
        said.mentions[index].form = Form::Module;
        said.mentions[index].spelling.needs_dot = source.bytes[scalar.range.clone()].starts_with(b".");
    }
}

/// Any configuration.
pub(crate) fn read(source: &Source, scalars: &[Scalar], said: &mut Said) {
    for scalar in scalars {
        unmistakable(source, scalar, &[Anchor::Own, Anchor::Above], said);
    }
}
