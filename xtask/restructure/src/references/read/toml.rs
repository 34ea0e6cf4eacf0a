//! The strings of a TOML file with their tables, keys and places.

use super::super::bytes;
use super::yaml::{Scalar, Style};

pub(crate) fn strings(text: &[u8]) -> Vec<Scalar> {
    let mut table: Vec<Vec<u8>> = Vec::new();
    let mut key: Vec<Vec<u8>> = Vec::new();
    let mut scalars = Vec::new();
    let mut at = 0;
    let mut is_line_start = true;
    while at < text.len() {
        match text[at] {
            b'\n' => {
                is_line_start = true;
                at += 1;
            }
            b' ' | b'\t' | b'\r' => at += 1,
            b'#' => at = line_end(text, at),
            b'[' if is_line_start
                && !text[at..line_end(text, at)].contains(&b',')
                && text[at..line_end(text, at)].contains(&b']') =>
            {
                let end = line_end(text, at);
                let name = text[at..end].split(|byte| *byte == b']').next().unwrap_or_default();
                let name: Vec<u8> = name.iter().copied().filter(|byte| *byte != b'[').collect();
                table = dotted(&name);
                key.clear();
                at = end;
            }
            quote @ (b'"' | b'\'') => {
                is_line_start = false;
                let long = [quote; 3];
                let (start, end, after) = if text[at..].starts_with(&long) {
                    let end = bytes::find(text, &long, at + 3).unwrap_or(text.len());
                    (at + 3, end, end + 3)
                } else {
                    let end = closing(text, at + 1, quote);
                    (at + 1, end, end + 1)
                };
                at = after.min(text.len());
                let is_key = text[at..line_end(text, at)].trim_ascii_start().first() == Some(&b'=');
                if is_key {
                    key = vec![text[start..end].to_vec()];
                } else {
                    let path = table.iter().chain(&key).cloned().collect();
                    scalars.push(Scalar {
                        path,
                        range: start..end,
                        style: if quote == b'"' { Style::Double } else { Style::Single },
                    });
                }
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                is_line_start = false;
                let start = at;
                while at < text.len() && (text[at].is_ascii_alphanumeric() || matches!(text[at], b'_' | b'-' | b'.')) {
                    at += 1;
                }
                if text[at..line_end(text, at)].trim_ascii_start().first() == Some(&b'=') {
                    key = dotted(&text[start..at]);
                }
            }
            _ => {
                is_line_start = false;
                at += 1;
            }
        }
    }
    scalars
}

fn dotted(name: &[u8]) -> Vec<Vec<u8>> {
    name.split(|byte| *byte == b'.')
        .map(|part| part.trim_ascii().iter().copied().filter(|b| *b != b'"').collect())
        .collect()
}

fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length)
}

fn closing(text: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\\' if quote == b'"' => at += 2,
            b'\n' => return at,
            byte if byte == quote => return at,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn strings_with_their_keys() {
        let text = "top = 'a'\n[tool.x] # c\n\"k e\" = \"b\"\nlist = [\n  \"c\", # no\n  { path = \"d\" },\n]\n[[bin]]\nname.path = \"e\"\n";
        let shown: String = strings(text.as_bytes())
            .iter()
            .map(|scalar| {
                let path: Vec<String> =
                    scalar.path.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
                format!("{} = {}\n", path.join("."), &text[scalar.range.clone()])
            })
            .collect();
        expect![[r#"
            top = a
            tool.x.k e = b
            tool.x.list = c
            tool.x.path = d
            bin.name.path = e
        "#]]
        .assert_eq(&shown);
    }
}
