//! What kind of bytes a content is, seen in one pass.

/// Facts about a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Line ends.
    pub lines: usize,
    /// The longest line in bytes.
    pub longest: usize,
    pub has_nul: bool,
    /// Lines that end with CR LF.
    pub crlf: usize,
    pub is_utf8: bool,
}

impl Facts {
    pub fn of(text: &[u8]) -> Facts {
        let mut facts = Facts { is_utf8: std::str::from_utf8(text).is_ok(), ..Facts::default() };
        let mut start = 0;
        while let Some(end) = crate::find::byte(text, start, b'\n') {
            facts.lines += 1;
            facts.longest = facts.longest.max(end - start);
            facts.crlf += usize::from(end > start && text[end - 1] == b'\r');
            start = end + 1;
        }
        facts.longest = facts.longest.max(text.len() - start);
        facts.has_nul = crate::find::byte(text, 0, 0).is_some();
        facts
    }
    /// No NUL; an encoding of one byte a letter counts as text too.
    pub fn is_text(&self) -> bool {
        !self.has_nul
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
    fn facts_of_contents() {
        let facts = Facts::of(b"ab\r\ncde\nlast");
        assert_eq!(facts, Facts { lines: 2, longest: 4, has_nul: false, crlf: 1, is_utf8: true });
        assert!(!Facts::of(b"\xff").is_utf8 && Facts::of(b"\xff").is_text() && !Facts::of(b"a\0").is_text());
        assert_eq!(Facts::of(b""), Facts { is_utf8: true, ..Facts::default() });
        assert!((entropy(b"abcd") - 2.0).abs() < 1e-9 && entropy(b"aaaa") == 0.0);
    }
}
