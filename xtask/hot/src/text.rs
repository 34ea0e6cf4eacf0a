//! What stands in a text: what is assigned to a name, how random a value is.

/// The span of the literal that is assigned to the name which `at` stands in or behind: `NAME=value`, `name: "value"`,
/// `"name": 'value'`, `name := value`. None where none is: a comparison, an expression, nothing.
pub fn assigned(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let skip = |mut at: usize| {
        while matches!(text.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        at
    };
    let mut at = at;
    while text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        at += 1;
    }
    if matches!(text.get(at), Some(b'"' | b'\'')) {
        at += 1;
    }
    at = skip(at);
    match (text.get(at)?, text.get(at + 1)?) {
        (b':', b'=') => at += 2,
        (b'=', b'=' | b'>' | b'~') => return None,
        (b'=' | b':', _) => at += 1,
        _ => return None,
    }
    at = skip(at);
    match text.get(at)? {
        quote @ (b'"' | b'\'' | b'`') => {
            let line_end = crate::find::byte(text, at, b'\n').unwrap_or(text.len());
            crate::find::byte(&text[..line_end], at + 1, *quote).map(|end| (at + 1, end))
        }
        _ => {
            let ends = |byte: &u8| b" \t\r\n\"'`,;)}]<>&|".contains(byte);
            let end = text[at..].iter().position(ends).map_or(text.len(), |length| at + length);
            // A call, an index, a member: an expression, not a literal.
            let is_code = text[at..end].iter().any(|byte| b"(.[$".contains(byte));
            (end > at && !is_code).then_some((at, end))
        }
    }
}

/// Bits of information in a byte of `text`, 0 to 8 (Shannon).
pub fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = text.len() as f64;
    let bits = |count: &u32| {
        let share = f64::from(*count) / total;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assigned_to_a_name() {
        let value = |text: &'static str| assigned(text.as_bytes(), 1).map(|(start, end)| &text[start..end]);
        for (text, expected) in [
            ("NAME=value # x", Some("value")),
            ("name: \"a b\",", Some("a b")),
            ("name\": 'v'", Some("v")),
            ("name := `v`", Some("v")),
            ("name == 'v'", None),
            ("name = get(x)", None),
            ("name=\nNEXT=1", None),
            ("name = \"not closed\n\"", None),
            ("name", None),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn entropy_in_bits() {
        assert!((entropy(b"abcd") - 2.0).abs() < 1e-9 && entropy(b"aaaa") == 0.0);
    }
}
