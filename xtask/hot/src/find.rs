//! Searching: a byte of a set, a sequence of bytes, a line's number.

/// A set of bytes.
#[derive(Clone, Debug)]
pub struct Set([bool; 256]);

impl Set {
    pub const fn new(bytes: &[u8]) -> Set {
        let mut has = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            has[bytes[at] as usize] = true;
            at += 1;
        }
        Set(has)
    }
    /// Everything that is not in this one.
    pub const fn complement(&self) -> Set {
        let mut has = [false; 256];
        let mut at = 0;
        while at < 256 {
            has[at] = !self.0[at];
            at += 1;
        }
        Set(has)
    }
    pub fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }
    /// Where the first byte of the set stands, at `from` or behind it.
    pub fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let rest = text.get(from..)?;
        rest.iter().position(|byte| self.0[*byte as usize]).map(|at| from + at)
    }
    /// Where the last byte of the set stands, before `end`.
    pub fn rfind(&self, text: &[u8], end: usize) -> Option<usize> {
        text[..end.min(text.len())].iter().rposition(|byte| self.0[*byte as usize])
    }
}

/// Where `byte` stands first, at `from` or behind it.
pub fn byte(text: &[u8], from: usize, byte: u8) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let rest = text.get(from..)?;
    let pattern = LOW * u64::from(byte);
    let mut at = 0;
    for chunk in rest.chunks_exact(8) {
        // The lowest byte that is zero after the xor sets its high bit; those above it may be set wrongly.
        let word = u64::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7]])
            ^ pattern;
        let hit = word.wrapping_sub(LOW) & !word & HIGH;
        if hit != 0 {
            return Some(from + at + hit.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    rest[at..].iter().position(|other| *other == byte).map(|end| from + at + end)
}

/// Where `needle` stands first, at `from` or behind it.
pub fn find(text: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let Some((first, rest)) = needle.split_first() else { return (from <= text.len()).then_some(from) };
    let mut at = from;
    loop {
        at = byte(text, at, *first)?;
        if text[at + 1..].starts_with(rest) {
            return Some(at);
        }
        at += 1;
    }
}

/// Several sequences sought at once.
#[derive(Clone, Debug)]
pub struct Needles {
    needles: Vec<Vec<u8>>,
    /// For each pair of bytes that a needle begins with, folded to lower case: a bit.
    pairs: Vec<u64>,
    folds_case: bool,
}

impl Needles {
    /// Each of two bytes or more; with `folds_case` they are lower case, and ASCII letters match either case.
    pub fn new(needles: &[&str], folds_case: bool) -> Needles {
        let needles: Vec<Vec<u8>> = needles.iter().map(|needle| needle.as_bytes().to_vec()).collect();
        let mut pairs = vec![0u64; 1024];
        for needle in needles.iter().filter(|needle| needle.len() >= 2) {
            let pair = pair(needle[0], needle[1]);
            pairs[pair >> 6] |= 1 << (pair & 63);
        }
        Needles { needles, pairs, folds_case }
    }
    /// The first place where one of them stands, at `from` or behind it, and which.
    pub fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let mut at = from;
        while at + 1 < text.len() {
            let pair = pair(text[at], text[at + 1]);
            if self.pairs[pair >> 6] & (1 << (pair & 63)) != 0 {
                let rest = &text[at..];
                let is_here = |needle: &Vec<u8>| {
                    needle.len() <= rest.len()
                        && if self.folds_case {
                            rest[..needle.len()].eq_ignore_ascii_case(needle)
                        } else {
                            rest.starts_with(needle)
                        }
                };
                if let Some(which) = self.needles.iter().position(is_here) {
                    return Some((at, which));
                }
            }
            at += 1;
        }
        None
    }
}

fn pair(a: u8, b: u8) -> usize {
    usize::from(a.to_ascii_lowercase()) << 8 | usize::from(b.to_ascii_lowercase())
}

/// How many line ends stand before `at`.
pub fn lines_before(text: &[u8], at: usize) -> usize {
    text[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_at_every_place() {
        for length in 0..40 {
            for at in 0..length {
                let mut text = vec![b'\x80'; length];
                text[at] = b'\x01';
                assert_eq!(byte(&text, 0, 1), Some(at));
                assert_eq!(byte(&text, at + 1, 1), None);
                assert_eq!(Set::new(b"\x01z").find(&text, 0), Some(at));
                assert_eq!(Set::new(b"\x01z").rfind(&text, length), Some(at));
            }
        }
        assert_eq!(byte(b"abc", 9, b'a'), None);
    }

    #[test]
    fn sequences_are_found() {
        assert_eq!(find(b"abcabd", 0, b"abd"), Some(3));
        assert_eq!(find(b"aaab", 0, b"aab"), Some(1));
        assert_eq!(find(b"abc", 0, b"abcd"), None);
        assert_eq!(find(b"abc", 3, b""), Some(3));
        let needles = Needles::new(&["password", "token"], true);
        assert_eq!(needles.find(b"API_Token=x PASSWORD", 0), Some((4, 1)));
        assert_eq!(needles.find(b"API_Token=x PASSWORD", 5), Some((12, 0)));
        assert_eq!(needles.find(b"passwor", 0), None);
        assert_eq!(lines_before(b"a\nb\nc", 4), 2);
    }
}
