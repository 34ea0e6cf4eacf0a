//! The strings of a JSON file with their keys and places. Comments and commas too many do not disturb it.

use super::yaml::{Scalar, Style};

pub(crate) fn strings(text: &[u8]) -> Vec<Scalar> {
    let mut path: Vec<Vec<u8>> = Vec::new();
    // For each open bracket: whether it is a list, and how long the path was before.
    let mut open: Vec<(bool, usize)> = Vec::new();
    let mut scalars = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let start = at + 1;
                let end = closing(text, start);
                at = end + 1;
                let is_key = open.last().is_some_and(|(is_list, _)| !is_list) && {
                    let behind = text.get(at..).unwrap_or_default();
                    behind.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
                };
                if is_key {
                    let level = open.last().map_or(0, |(_, level)| *level);
                    path.truncate(level);
                    path.push(text[start..end.min(text.len())].to_vec());
                } else if start < end {
                    scalars.push(Scalar {
                        path: path.clone(),
                        range: start..end.min(text.len()),
                        style: Style::Double,
                    });
                }
            }
            bracket @ (b'[' | b'{') => {
                open.push((bracket == b'[', path.len()));
                if bracket == b'[' {
                    path.push(b"-".to_vec());
                }
                at += 1;
            }
            b']' | b'}' => {
                if let Some((_, level)) = open.pop() {
                    path.truncate(level);
                }
                at += 1;
            }
            b'/' if text[at..].starts_with(b"//") => {
                at = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length);
            }
            b'/' if text[at..].starts_with(b"/*") => {
                at = super::super::bytes::find(text, b"*/", at).map_or(text.len(), |end| end + 2)
            }
            _ => at += 1,
        }
    }
    scalars
}

fn closing(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' | b'\n' => return at,
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
        let text = r#"{ // c
            "a": {"b": ["x", {"c": "y\"z"}], "d": 1}, /* "no": "no" */
            "e": "w",
        }"#;
        let shown: String = strings(text.as_bytes())
            .iter()
            .map(|scalar| {
                let path: Vec<String> =
                    scalar.path.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
                format!("{} = {}\n", path.join("."), &text[scalar.range.clone()])
            })
            .collect();
        expect![[r#"
            a.b.- = x
            a.b.-.c = y\"z
            e = w
        "#]]
        .assert_eq(&shown);
    }
}
