//! Small questions about bytes.

/// Where `needle` stands in `text` at or behind `from`.
pub(crate) fn find(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = from;
    while at + needle.len() <= text.len() {
        at = hot::find::byte(&text[..=text.len() - needle.len()], at, first)?;
        if text[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

pub(crate) fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle, 0).is_some()
}

pub(crate) fn has_wildcard(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// The ending of a file's name, without its dot.
pub(crate) fn extension(path: &[u8]) -> Option<&[u8]> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    (dot > 0 && dot + 1 < name.len()).then(|| &name[dot + 1..])
}

/// True for letters that could be a path of the tree: not a number, a version, an option, a URL or a sentence.
pub(crate) fn may_be_path(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > 400 || text[0] == b'-' || contains(text, b"://") {
        return false;
    }
    if text
        .iter()
        .any(|byte| matches!(byte, b'\n' | b'\0' | b'|' | b'<' | b'>' | b'"' | b'=' | b';' | b'(' | b')' | b'@' | b','))
    {
        return false;
    }
    if text.contains(&b'/') {
        return text.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80 || *byte == b'.');
    }
    // A name: with an ending of letters, or one that is known by itself.
    match extension(text) {
        Some(ending) => {
            !ending[0].is_ascii_digit()
                && ending.len() <= 12
                && ending.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        }
        None => is_known_name(text),
    }
}

/// True for a word that may name a file or a folder, as any other thing.
pub(crate) fn is_name(text: &[u8]) -> bool {
    text.len() <= 64
        && text.iter().any(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && text[0] != b'-'
}

pub(crate) fn is_known_name(name: &[u8]) -> bool {
    matches!(
        name,
        b"Makefile"
            | b"Dockerfile"
            | b"LICENSE"
            | b"VERSION"
            | b"Procfile"
            | b"Vagrantfile"
            | b"Jenkinsfile"
            | b"Tiltfile"
    ) || name == b".."
        || name.starts_with(b"Dockerfile.")
}

/// True for a path that begins with the name of a host: `github.com/x`.
pub(crate) fn is_host(path: &[u8]) -> bool {
    let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
    let ending = extension(first).unwrap_or_default();
    matches!(
        ending,
        b"com"
            | b"org"
            | b"io"
            | b"net"
            | b"dev"
            | b"land"
            | b"ai"
            | b"app"
            | b"co"
            | b"cloud"
            | b"edu"
            | b"gov"
            | b"in"
    )
}

pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let start = at;
        let end = hot::find::byte(text, at, b'\n').unwrap_or(text.len());
        at = end + 1;
        Some(start..end)
    })
}

/// The range without blanks at its ends.
pub(crate) fn trim(text: &[u8], range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let (mut start, mut end) = (range.start, range.end);
    while start < end && text[start].is_ascii_whitespace() {
        start += 1;
    }
    while start < end && text[end - 1].is_ascii_whitespace() {
        end -= 1;
    }
    start..end
}

/// The endings of what is run as a program.
pub(crate) fn is_program(path: &[u8]) -> bool {
    matches!(
        extension(path),
        Some(
            b"sh"
                | b"bash"
                | b"zsh"
                | b"ksh"
                | b"py"
                | b"js"
                | b"mjs"
                | b"cjs"
                | b"ts"
                | b"mts"
                | b"cts"
                | b"tsx"
                | b"jsx"
        ) | Some(
            b"rb" | b"pl" | b"php" | b"sql" | b"bats" | b"awk" | b"lua" | b"ps1" | b"jar" | b"go" | b"groovy" | b"R"
        )
    )
}
