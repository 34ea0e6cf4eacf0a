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
    // Long stretches without it; the compiler compares these at once.
    for chunk in rest.chunks_exact(32) {
        if chunk.iter().fold(false, |any, other| any | (*other == byte)) {
            break;
        }
        at += 32;
    }
    for chunk in rest[at..].chunks_exact(8) {
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

/// Several sequences sought at once, each of three bytes or more.
#[derive(Clone, Debug)]
pub struct Needles {
    needles: Vec<Needle>,
    /// By the hash of the three bytes that a needle begins with, case folded: 1 where there is one.
    filter: Box<[u8; TRIGRAMS]>,
    /// By the same hash: the first needle that begins so.
    first: Vec<u16>,
}

#[derive(Clone, Debug)]
struct Needle {
    text: Vec<u8>,
    folds_case: bool,
    /// Its first four bytes, case folded, and which of them there are: nearly all that is no needle ends here.
    head: u32,
    mask: u32,
    /// The next one with the same hash.
    next: u16,
}

/// No needle has this number.
const NONE: u16 = u16::MAX;

impl Needles {
    /// `exact` ones match as they are; `folded` ones are lower case and match ASCII letters of either case.
    pub fn new(exact: &[&str], folded: &[&str]) -> Needles {
        let needle = |text: &&str, folds_case| {
            let text = text.as_bytes().to_vec();
            let mask = if text.len() < 4 { 0x00ff_ffff } else { u32::MAX };
            Needle { head: head(&text) & mask, mask, text, folds_case, next: NONE }
        };
        let exact = exact.iter().map(|text| needle(text, false));
        let mut needles: Vec<Needle> = exact.chain(folded.iter().map(|text| needle(text, true))).collect();
        let mut filter = Box::new([0; TRIGRAMS]);
        let mut first = vec![NONE; TRIGRAMS];
        // From the end, so that of those with the same hash the first one comes first.
        for (number, needle) in (0..NONE).zip(&mut needles).rev() {
            let hash = trigram(needle.head);
            filter[hash] = 1;
            needle.next = std::mem::replace(&mut first[hash], number);
        }
        Needles { needles, filter, first }
    }
    /// The first place where one of them stands, at `from` or behind it, and which: exact ones count before folded ones.
    pub fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let mut at = from;
        let filter = &*self.filter;
        // Six places in eight bytes: one question answers for all of them, and nearly always it is no.
        while let Some(bytes) = text.get(at..)?.first_chunk() {
            let word = u64::from_le_bytes(*bytes);
            let hashes = [
                trigram(word as u32),
                trigram((word >> 8) as u32),
                trigram((word >> 16) as u32),
                trigram((word >> 24) as u32),
                trigram((word >> 32) as u32),
                trigram((word >> 40) as u32),
            ];
            let [a, b, c, d, e, f] = hashes;
            if filter[a] | filter[b] | filter[c] | filter[d] | filter[e] | filter[f] != 0 {
                for (offset, hash) in hashes.into_iter().enumerate() {
                    if filter[hash] != 0
                        && let Some(which) = self.at(&text[at + offset..], hash)
                    {
                        return Some((at + offset, which));
                    }
                }
            }
            at += hashes.len();
        }
        while let Some(rest) = text.get(at..).filter(|rest| rest.len() >= 3) {
            if let Some(which) = self.at(rest, trigram(head(rest))) {
                return Some((at, which));
            }
            at += 1;
        }
        None
    }
    fn at(&self, rest: &[u8], hash: usize) -> Option<usize> {
        let mut number = usize::from(self.first[hash]);
        let begins = head(rest);
        while let Some(needle) = self.needles.get(number) {
            let is_whole = |start: &[u8]| {
                if needle.folds_case { start.eq_ignore_ascii_case(&needle.text) } else { start == needle.text }
            };
            if begins & needle.mask == needle.head && rest.get(..needle.text.len()).is_some_and(is_whole) {
                return Some(number);
            }
            number = usize::from(needle.next);
        }
        None
    }
}

const TRIGRAM_BITS: u32 = 13;
const TRIGRAMS: usize = 1 << TRIGRAM_BITS;

/// The first four bytes, upper case folded to lower; what is not there is as 0.
#[inline]
fn head(text: &[u8]) -> u32 {
    let bytes = match text {
        [a, b, c, d, ..] => [*a, *b, *c, *d],
        [a, b, c] => [*a, *b, *c, 0],
        _ => [0; 4],
    };
    u32::from_le_bytes(bytes) | 0x2020_2020
}

/// A hash of the first three of four bytes that makes no difference between upper and lower case.
#[inline]
fn trigram(bytes: u32) -> usize {
    let folded = (bytes & 0x00ff_ffff) | 0x0020_2020;
    (folded.wrapping_mul(0x9e37_79b1) >> (32 - TRIGRAM_BITS)) as usize
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
        for length in 0..100 {
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
        let needles = Needles::new(&["AKIA", "://"], &["password", "token"]);
        assert_eq!(needles.find(b"API_Token=x PASSWORD", 0), Some((4, 3)));
        assert_eq!(needles.find(b"API_Token=x PASSWORD", 5), Some((12, 2)));
        assert_eq!(needles.find(b"passwor akia", 0), None);
        assert_eq!(needles.find(b"a://", 0), Some((1, 1)));
        assert_eq!(needles.find(b"AKIA", 0), Some((0, 0)));
        assert_eq!(needles.find(b"AKIA", 1), None);
        assert_eq!(needles.find(b"AKIA", 9), None);
        for before in 0..20 {
            for behind in 0..20 {
                let text = [&vec![b'x'; before][..], b"ToKeN", &vec![b'x'; behind]].concat();
                assert_eq!(needles.find(&text, 0), Some((before, 3)));
                assert_eq!(needles.find(&text, before), Some((before, 3)));
                assert_eq!(needles.find(&text, before + 1), None);
            }
        }
        // Of two that begin alike, and of two that are the same.
        let needles = Needles::new(&["secret_", "sec"], &["secret", "sec"]);
        assert_eq!(needles.find(b"a secret", 0), Some((2, 1)));
        assert_eq!(needles.find(b"a secret_", 0), Some((2, 0)));
        assert_eq!(needles.find(b"a SECRET_", 0), Some((2, 2)));
        assert_eq!(lines_before(b"a\nb\nc", 4), 2);
    }
}
