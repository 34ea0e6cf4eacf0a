//! The text by which a target is reached from where it will be read, in the manner of the text before.

use super::super::mention::{Anchor, Form, Weight};
use super::super::resolve::{self, Reading};
use super::super::spelling::Inner;
use super::super::{Kind, Reference, Target, bytes, modules};
use super::Rewriter;
use crate::path::RelPath;

impl Rewriter<'_> {
    pub(super) fn leads_to(&self, form: Form, base: &RelPath, text: &[u8], wanted: &RelPath) -> bool {
        let Some(place) = base.resolve(text) else { return false };
        if place == *wanted {
            return true;
        }
        let found = match form {
            Form::Path => resolve::through_links(self.world.after, &place, 0),
            Form::Page => modules::page(self.world.after, &place, text),
            Form::Module | Form::Alias => modules::javascript(self.world.after, &place),
            Form::Dotted => modules::python(self.world.after, &place),
        };
        matches!(found, Some(Target::File(path) | Target::Folder(path)) if path == *wanted)
    }

    /// The way from `base` to `wanted`, in the manner of the old text, without what stands elsewhere.
    pub(super) fn spelled(
        &self,
        reference: &Reference,
        reading: &Reading,
        base: &RelPath,
        path: &RelPath,
        wanted: &RelPath,
    ) -> Option<Vec<u8>> {
        let mention = &reference.mention;
        let text = &reference.text[reading.skip..];
        let mut way = base.to(wanted);
        if mention.form != Form::Path {
            way = self.shortened(mention.form, way, reading, text, path, wanted, base);
        }
        if mention.form == Form::Alias {
            let holds = self.world.aliases.follow(self.world.moves, &self.own_before, &self.own_after);
            if holds && !way.starts_with(b"..") && reading.skip < reference.text.len() {
                return Some([&reference.text[..reading.skip], way.as_slice()].concat());
            }
            // Out of what the alias stands for: by a path of its own.
            let own = &self.own_after;
            let mut way = self.shortened(Form::Module, own.to(wanted), reading, text, path, wanted, own);
            if !way.starts_with(b"../") {
                way.splice(0..0, *b"./");
            }
            return Some(way);
        }
        if !mention.tail.is_empty() {
            let rest = way.strip_suffix(mention.tail.as_slice())?;
            if !(rest.is_empty() || rest.ends_with(b"/") || mention.tail.starts_with(b"/")) {
                return None;
            }
            way = rest.to_vec();
        } else if mention.text.ends_with(b"/") && !way.ends_with(b"/") {
            way.push(b'/');
        }
        if matches!(mention.spelling.inner, Inner::Dotted)
            && (way.starts_with(b"..")
                || way.contains(&b'/')
                    && !mention.text.contains(&b'/')
                    && matches!(reading.anchor, Anchor::At(_))
                    && mention.weight == Weight::Word)
        {
            return None;
        }
        let has_dot = mention.text.starts_with(b"./")
            || mention.spelling.needs_dot
            || way.starts_with(b"-")
            || mention.spelling.needs_slash && !way.contains(&b'/')
            // Without a slash nobody would take it for a path any more.
            || reference.text.contains(&b'/') && !way.contains(&b'/') && !is_told(reference.kind, &way)
            || mention.text.starts_with(b"../") && self.likes_dots(reference.kind);
        let is_relative = way.starts_with(b"../") || way == b".." || way == b"." || way.starts_with(b"./");
        if has_dot && !is_relative && !mention.spelling.joins {
            way.splice(0..0, *b"./");
        }
        Some(way)
    }

    /// True when the file begins its paths of this kind with `./` rather than without.
    fn likes_dots(&self, kind: Kind) -> bool {
        let mut balance = 0;
        for other in self.references.iter().filter(|other| other.kind == kind) {
            if other.text.starts_with(b"./") {
                balance += 1;
            } else if !other.text.starts_with(b"..") {
                balance -= 1;
            }
        }
        balance > 0
    }

    /// A way without what the old text left out.
    #[expect(clippy::too_many_arguments, reason = "the two sides of one question")]
    fn shortened(
        &self,
        form: Form,
        way: Vec<u8>,
        reading: &Reading,
        text: &[u8],
        path: &RelPath,
        wanted: &RelPath,
        base: &RelPath,
    ) -> Vec<u8> {
        let Some(place) = reading.base.resolve(text) else { return way };
        if form == Form::Dotted {
            let end = [&b"/__init__.py"[..], b".py", b".pyi"].iter().find_map(|end| way.strip_suffix(*end));
            return end.map_or(way.clone(), <[u8]>::to_vec);
        }
        if place == *path {
            return way;
        }
        let left_out = path.bytes().strip_prefix(place.bytes());
        let candidates: Vec<Vec<u8>> = match left_out {
            Some(end) => {
                let same = way.strip_suffix(end).filter(|short| !short.is_empty()).map(<[u8]>::to_vec);
                let ending = way.iter().rposition(|byte| *byte == b'.').filter(|dot| !way[*dot..].contains(&b'/'));
                let index = ending.and_then(|dot| way[..dot].strip_suffix(b"/index")).map(<[u8]>::to_vec);
                let index = index.filter(|_| end.starts_with(b"/index"));
                [same, index, ending.map(|dot| way[..dot].to_vec())].into_iter().flatten().collect()
            }
            None => {
                // `x.js` for x.ts, `x.html` for x.md: the other ending stays.
                let old = text.iter().rposition(|byte| *byte == b'.').map_or(&b""[..], |dot| &text[dot..]);
                let dot = way.iter().rposition(|byte| *byte == b'.').unwrap_or(way.len());
                vec![[&way[..dot], old].concat()]
            }
        };
        let is_right = |short: &Vec<u8>| self.leads_to(form, base, short, wanted);
        candidates.into_iter().find(is_right).unwrap_or(way)
    }

    /// A pattern whose files all went one way leads there.
    pub(super) fn new_pattern(
        &mut self,
        reference: &Reference,
        reading: &Reading,
        base: &RelPath,
        files: &[RelPath],
    ) -> Option<(Vec<u8>, RelPath, RelPath)> {
        let index = self.by_number(reference.number)?;
        let mention = &reference.mention;
        let from = reading.base.resolve(&mention.text)?;
        // In strings that are joined the slash belongs to what follows.
        let tail = mention.tail.strip_prefix(b"/").unwrap_or(&mention.tail);
        let is_joined_after = tail.len() < mention.tail.len();
        let mut ways = files.iter().map(|path| {
            let end = path.below(&from)?;
            let after = self.world.of_match(path);
            after?.without_end(&end)
        });
        let first = ways.next()?;
        let is_one = first.is_some() && ways.all(|way| way == first);
        let stays = base.resolve(&mention.text);
        let Some(to) = first.filter(|_| is_one) else {
            // Where the same text matches the same files, all is well; else somebody must look.
            let now = stays.map(|place| self.world.files_after.expand(&place, tail)).unwrap_or_default();
            let expected: Vec<RelPath> = files.iter().map(|path| self.world.moves.after(path)).collect();
            if !same_set(&now, &expected) {
                self.unclear.insert(index, "the files that it matches go different ways");
            }
            return None;
        };
        let now = self.world.files_after.expand(&to, tail);
        if now.len() > files.len() {
            self.unclear.insert(index, "it matches more files than before");
        }
        if stays.as_ref() == Some(&to) {
            return None;
        }
        let mut way = base.to(&to);
        if !is_joined_after {
            if way == b"." {
                way = Vec::new();
            } else {
                way.push(b'/');
            }
        }
        let has_dot = mention.text.starts_with(b"./") || mention.spelling.needs_dot;
        if has_dot && !way.starts_with(b"../") && !mention.spelling.joins {
            way.splice(0..0, *b"./");
        }
        Some((way, from, to))
    }
}

fn same_set(a: &[RelPath], b: &[RelPath]) -> bool {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    a.sort();
    b.sort();
    b.dedup();
    a == b
}

/// True for what is taken for a path without a slash in it.
fn is_told(kind: Kind, way: &[u8]) -> bool {
    match kind {
        Kind::Setting | Kind::Prose | Kind::CodeSpan => false,
        Kind::Variable => bytes::may_be_path(way) || bytes::is_name(way),
        Kind::Argument => bytes::may_be_path(way),
        _ => true,
    }
}
