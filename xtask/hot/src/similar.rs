//! Near duplicates among texts: the Jaccard similarity of their sets of three-line shingles.
//!
//! A sketch (the smallest hashes of the set) finds the pairs worth a look in about n log n; the similarity that is
//! reported is computed from the whole sets. Lines count without the blanks around them, empty ones not at all.

/// Hashes that a sketch holds.
const SKETCH: usize = 64;
/// A shingle that more texts share links each only to its neighbours by size: a licence at the head of ten thousand files
/// must not make a hundred million pairs.
const CROWD: usize = 48;
const NEIGHBOURS: usize = 8;

/// The set of shingles of a text, sorted.
pub fn shingles(text: &[u8]) -> Vec<u64> {
    let mut set = Vec::new();
    each_shingle(text, |hash| set.push(hash));
    set.sort_unstable();
    set.dedup();
    set
}

/// What one pass over a text tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The smallest hashes of the set of shingles, sorted; the whole set where that is small.
    pub sketch: Vec<u64>,
    /// Lines that are not blank.
    pub filled: usize,
    /// All lines, the last one also without its end.
    pub lines: usize,
    /// The longest line in bytes.
    pub longest: usize,
}

impl Reading {
    pub fn of(text: &[u8]) -> Reading {
        let mut least: Vec<u64> = Vec::with_capacity(SKETCH);
        let mut reading = each_shingle(text, |hash| {
            if least.len() == SKETCH && hash >= least[SKETCH - 1] {
                return;
            }
            if let Err(at) = least.binary_search(&hash) {
                if least.len() == SKETCH {
                    least.pop();
                }
                least.insert(at, hash);
            }
        });
        reading.sketch = least;
        reading
    }
}

/// Shared elements over all elements of two sorted sets, 0 to 1.
pub fn similarity(a: &[u64], b: &[u64]) -> f64 {
    let shared = shared(a, b);
    let all = a.len() + b.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}

fn shared(a: &[u64], b: &[u64]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        count += usize::from(a[i] == b[j]);
        let (step_a, step_b) = (a[i] <= b[j], b[j] <= a[i]);
        i += usize::from(step_a);
        j += usize::from(step_b);
    }
    count
}

/// The similarity that two sketches let expect: the share of common ones among the smallest of both together.
fn estimate(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut common, mut seen) = (0, 0, 0, 0);
    let limit = if a.len() < SKETCH || b.len() < SKETCH { usize::MAX } else { SKETCH };
    while seen < limit && (i < a.len() || j < b.len()) {
        match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) if x == y => {
                (i, j, common) = (i + 1, j + 1, common + 1);
            }
            (Some(x), Some(y)) if x < y => i += 1,
            (Some(_), None) => i += 1,
            _ => j += 1,
        }
        seen += 1;
    }
    if seen == 0 { 0.0 } else { f64::from(common) / seen as f64 }
}

/// Pairs of texts, by index, whose sketches let expect at least `least`; sorted. `sizes` orders the texts of a crowd.
pub fn candidates(sketches: &[Vec<u64>], sizes: &[usize], least: f64) -> Vec<(u32, u32)> {
    let mut holders: Vec<(u64, u32)> =
        (0u32..).zip(sketches).flat_map(|(text, sketch)| sketch.iter().map(move |hash| (*hash, text))).collect();
    holders.sort_unstable();
    let mut pairs: Vec<u64> = Vec::new();
    for texts in holders.chunk_by_mut(|a, b| a.0 == b.0).filter(|texts| texts.len() > 1) {
        let reach = if texts.len() > CROWD { NEIGHBOURS } else { texts.len() };
        if texts.len() > CROWD {
            texts.sort_unstable_by_key(|(_, text)| (sizes[*text as usize], *text));
        }
        for (at, (_, first)) in texts.iter().enumerate() {
            for (_, second) in texts.iter().skip(at + 1).take(reach) {
                let (a, b) = (first.min(second), first.max(second));
                pairs.push(u64::from(*a) << 32 | u64::from(*b));
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    let both = |pair: u64| ((pair >> 32) as u32, pair as u32);
    let is_near = |(a, b): &(u32, u32)| estimate(&sketches[*a as usize], &sketches[*b as usize]) >= least;
    pairs.into_iter().map(both).filter(is_near).collect()
}

/// Calls `each` with the hash of every three lines in a row; returns what it counted.
fn each_shingle(text: &[u8], mut each: impl FnMut(u64)) -> Reading {
    let (mut before, mut last) = (0u64, 0u64);
    let mut reading = Reading::default();
    let mut start = 0;
    while start < text.len() {
        let end = crate::find::byte(text, start, b'\n').unwrap_or(text.len());
        reading.lines += 1;
        reading.longest = reading.longest.max(end - start);
        let line = text[start..end].trim_ascii();
        start = end + 1;
        if line.is_empty() {
            continue;
        }
        let this = hash(line);
        reading.filled += 1;
        if reading.filled >= 3 {
            each(mix(before.rotate_left(21) ^ mix(last.rotate_left(42) ^ mix(this))));
        }
        (before, last) = (last, this);
    }
    reading
}

/// A hash for texts that nobody chose against it.
fn hash(text: &[u8]) -> u64 {
    let mut state = text.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7]]);
        state = (state ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    let rest = chunks.remainder().iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    mix(state ^ rest)
}

/// The finalizer of MurmurHash3: every bit of the input changes every bit of the output.
fn mix(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(range: std::ops::Range<u32>) -> Vec<u8> {
        range.map(|number| format!("  line {number}\n\n")).collect::<String>().into_bytes()
    }

    #[test]
    fn what_is_shared_is_counted() {
        let (a, b) = (lines(0..102), lines(10..102));
        assert_eq!(shingles(&a).len(), 100);
        assert!((similarity(&shingles(&a), &shingles(&b)) - 0.9).abs() < 1e-9);
        assert_eq!(similarity(&shingles(b"one\ntwo\n"), &shingles(b"one\ntwo\n")), 0.0);
        // Blanks around a line, and its end, make no difference.
        assert_eq!(shingles(b"a\nb\nc"), shingles(b"\ta \r\n\r\n b\r\nc\r\n"));
    }

    #[test]
    fn pairs_worth_a_look_are_found_and_others_are_not() {
        let texts: Vec<Vec<u8>> =
            vec![lines(0..500), lines(50..500), lines(1000..1500), lines(1000..1010), lines(1001..1010)];
        let sketches: Vec<Vec<u64>> = texts.iter().map(|text| Reading::of(text).sketch).collect();
        let sizes: Vec<usize> = texts.iter().map(Vec::len).collect();
        assert_eq!(candidates(&sketches, &sizes, 0.4), [(0, 1), (3, 4)]);
        let reading = Reading::of(&texts[0]);
        assert_eq!((reading.filled, reading.lines, reading.longest), (500, 1000, 10));
        assert!(sketches[0].is_sorted() && sketches[0].len() == SKETCH);
    }

    #[test]
    fn a_crowd_makes_no_square() {
        let texts: Vec<Vec<u8>> = (0..400u32).map(|n| [lines(0..20), lines(n * 100..n * 100 + 3)].concat()).collect();
        let sketches: Vec<Vec<u64>> = texts.iter().map(|text| Reading::of(text).sketch).collect();
        let sizes: Vec<usize> = texts.iter().map(Vec::len).collect();
        let pairs = candidates(&sketches, &sizes, 0.4);
        assert!(pairs.len() <= texts.len() * NEIGHBOURS && pairs.len() >= texts.len() - 1, "{}", pairs.len());
    }
}
