//! Paths inside a folder as the bytes the file system has: they need not be UTF-8 and may hold anything but NUL.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path below a root: parts joined by `/`, none of them empty, `.` or `..`; the root itself is the empty path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The path as given when it is a proper one.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<RelPath> {
        let bytes = bytes.into();
        let is_proper = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
        (bytes.is_empty() || bytes.split(|byte| *byte == b'/').all(is_proper)).then_some(RelPath(bytes))
    }
    /// What `text`, read in the folder `self`, means: `.`, `..` and doubled slashes are resolved by name. None when it
    /// leaves the root or is absolute.
    pub fn resolve(&self, text: &[u8]) -> Option<RelPath> {
        if text.first() == Some(&b'/') || text.contains(&0) {
            return None;
        }
        // Most are names and nothing else.
        if text.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")) {
            return Some(self.join(text));
        }
        let mut parts: Vec<&[u8]> = self.parts().collect();
        for part in text.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(parts.pop()?),
                name => parts.push(name),
            }
        }
        Some(RelPath(parts.join(&b'/')))
    }
    pub fn join(&self, name: &[u8]) -> RelPath {
        let mut bytes = self.0.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        RelPath(bytes)
    }
    /// `rest` below this folder.
    pub fn append(&self, rest: &RelPath) -> RelPath {
        if rest.is_root() { self.clone() } else { self.join(&rest.0) }
    }
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
    /// None where it is not UTF-8.
    pub fn utf8(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }
    /// The folder it lies in; None for the root.
    pub fn parent(&self) -> Option<RelPath> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(RelPath(self.0[..end].to_vec()))
    }
    /// The folders above it, the nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = RelPath> {
        std::iter::successors(self.parent(), RelPath::parent)
    }
    /// The ending behind the last dot of the name, without the dot; empty where there is none (`Makefile`, `.env`).
    pub fn extension(&self) -> &[u8] {
        let name = self.name();
        match name.iter().rposition(|byte| *byte == b'.') {
            None | Some(0) => b"",
            Some(dot) => &name[dot + 1..],
        }
    }
    /// True for `folder` itself and everything below it.
    pub fn is_within(&self, folder: &RelPath) -> bool {
        folder.is_root()
            || self.0.strip_prefix(folder.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
    /// The rest below `folder`; None when it does not lie there.
    pub fn below(&self, folder: &RelPath) -> Option<RelPath> {
        if !self.is_within(folder) {
            return None;
        }
        let rest = &self.0[folder.0.len()..];
        Some(RelPath(rest.strip_prefix(b"/").unwrap_or(rest).to_vec()))
    }
    /// The folder in which `end` would be this path; None when it does not end so.
    pub fn without_end(&self, end: &RelPath) -> Option<RelPath> {
        let rest = self.0.strip_suffix(end.0.as_slice())?;
        match rest {
            [] => Some(RelPath::default()),
            [folder @ .., b'/'] => Some(RelPath(folder.to_vec())),
            _ => None,
        }
    }
    /// How one gets from the folder `self` to `target`: `../x/y`; `.` when they are the same.
    pub fn to(&self, target: &RelPath) -> Vec<u8> {
        let (own, other): (Vec<_>, Vec<_>) = (self.parts().collect(), target.parts().collect());
        let common = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let up = std::iter::repeat_n(&b".."[..], own.len() - common);
        let way: Vec<&[u8]> = up.chain(other[common..].iter().copied()).collect();
        if way.is_empty() { b".".to_vec() } else { way.join(&b'/') }
    }
    /// The path below a real folder.
    pub fn on(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_owned() } else { root.join(OsStr::from_bytes(&self.0)) }
    }
}

/// What [`RelPath`]'s Display shows, read back. None where it is no such text or no proper path.
pub fn from_shown(text: &str) -> Option<RelPath> {
    RelPath::new(bytes_of(text)?)
}

/// What [`shown`] shows, read back.
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                rest = tail;
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = tail;
            }
            (b'\\', _) => return None,
            (other, tail) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    Some(bytes)
}

/// Any bytes as a path shows them.
pub fn shown(bytes: &[u8]) -> String {
    RelPath(bytes.to_vec()).to_string()
}

/// As people read it: bytes that are no printable UTF-8 are shown as `\xNN`, control characters too, `\` doubled where it
/// could be taken for one of these.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str(r"\\")?,
                    c if c.is_control() => c.to_string().bytes().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?,
                    c => write!(f, "{c}")?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn only_proper_paths_are_paths() {
        assert!(RelPath::new("a/b").is_some() && RelPath::new("").is_some());
        for text in ["/a", "a/", "a//b", "./a", "a/../b", "..", "a\0b"] {
            assert_eq!(RelPath::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_a_text_means_in_a_folder() {
        let folder = path("a/b");
        assert_eq!(folder.resolve(b"../c//d/."), Some(path("a/c/d")));
        assert_eq!(folder.resolve(b"../.."), Some(path("")));
        assert_eq!(folder.resolve(b"../../.."), None);
        assert_eq!(folder.resolve(b"/etc"), None);
    }

    #[test]
    fn the_way_from_a_folder_to_a_file() {
        assert_eq!(path("a/b").to(&path("a/c/d")), b"../c/d");
        assert_eq!(path("").to(&path("x")), b"x");
        assert_eq!(path("a").to(&path("a")), b".");
        assert_eq!(path("a/b/c").below(&path("a")), Some(path("b/c")));
        assert!(!path("ab").is_within(&path("a")));
        assert_eq!(path("x/b/c").without_end(&path("b/c")), Some(path("x")));
        assert_eq!(path("b/c").without_end(&path("b/c")), Some(path("")));
        assert_eq!(path("xb/c").without_end(&path("b/c")), None);
    }

    #[test]
    fn names_and_folders_above() {
        let above: Vec<RelPath> = path("a/b/c").ancestors().collect();
        assert_eq!(above, [path("a/b"), path("a"), path("")]);
        let ends: Vec<RelPath> = ["a.tar.gz", ".env", "Makefile", "a.d/x"].map(path).into();
        let ends: Vec<&[u8]> = ends.iter().map(RelPath::extension).collect();
        assert_eq!(ends, [&b"gz"[..], b"", b"", b""]);
    }

    #[test]
    fn every_name_can_be_shown() {
        let odd = RelPath::new(b"a\n\xff\\\xc3\xa9".to_vec()).unwrap();
        assert_eq!(odd.to_string(), r"a\x0a\xff\\é");
        assert_eq!(from_shown(&odd.to_string()), Some(odd));
        assert_eq!(from_shown(r"a\b"), None);
    }
}
