//! What must be written so that each reference means after the moves what it meant before.
//!
//! A text stays when it still leads to where its target went. Else it becomes the way from the folder it will be read
//! from to the target. Where a folder went several ways, what is used through it decides; where nothing decides, the
//! place is listed and left.

mod standing;
mod wording;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use anyhow::Result;

use super::mention::{Anchor, Form};
use super::resolve::Reading;
use super::spelling::{Change, Inner};
use super::{Kind, Reference, Target};
use crate::moves::Moves;
use crate::path::RelPath;
use crate::tree::{FileId, Tree};
use standing::World;

/// Bytes of a file of before and what they become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub file: FileId,
    pub span: Range<usize>,
    pub old: Vec<u8>,
    pub new: Vec<u8>,
    pub line: usize,
    /// What the text leads to, before and after.
    pub from: RelPath,
    pub to: RelPath,
}

/// A reference that a person must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    pub file: FileId,
    pub span: Range<usize>,
    pub line: usize,
    pub text: Vec<u8>,
    pub why: &'static str,
}

#[derive(Clone, Debug, Default)]
pub struct Rewrites {
    /// In the order of files and places; none touches another.
    pub edits: Vec<Edit>,
    pub unclear: Vec<Unclear>,
}

/// What to write. `references` are those of `before`, as `find` returned them.
pub fn rewrite(before: &Tree, references: &[Reference], moves: &Moves) -> Result<Rewrites> {
    let mut rewrites = Rewrites::default();
    if moves.is_empty() {
        return Ok(rewrites);
    }
    let after = before.after(moves, []);
    let world = World::new(before, &after, moves);
    for references in references.chunk_by(|a, b| a.file == b.file) {
        if !moves.is_dropped(before.path(references[0].file)) {
            Rewriter::new(&world, references).write(&mut rewrites)?;
        }
    }
    Ok(rewrites)
}

/// The bytes of a file with its edits, which are in order and do not touch.
pub fn apply(content: &[u8], edits: &[&Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 64);
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(&content[at..edit.span.start]);
        out.extend_from_slice(&edit.new);
        at = edit.span.end;
    }
    out.extend_from_slice(&content[at..]);
    out
}

/// What one reference wants to be written.
struct Wanted {
    index: usize,
    changes: Vec<Change>,
    from: RelPath,
    to: RelPath,
}

struct Rewriter<'a> {
    world: &'a World<'a>,
    references: &'a [Reference],
    path: &'a RelPath,
    own_before: RelPath,
    own_after: RelPath,
    is_document: bool,
    told_from_root: Option<bool>,
    /// By number: where the reference leads once it is rewritten.
    leads: HashMap<usize, Option<RelPath>>,
    unclear: BTreeMap<usize, &'static str>,
}

impl<'a> Rewriter<'a> {
    fn new(world: &'a World<'a>, references: &'a [Reference]) -> Rewriter<'a> {
        let path = world.before.path(references[0].file);
        Rewriter {
            world,
            references,
            path,
            own_before: path.parent().unwrap_or_default(),
            own_after: world.moves.after(path).parent().unwrap_or_default(),
            is_document: matches!(path.extension(), b"md" | b"mdx" | b"markdown"),
            told_from_root: None,
            leads: HashMap::new(),
            unclear: BTreeMap::new(),
        }
    }

    fn write(mut self, rewrites: &mut Rewrites) -> Result<()> {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut stays: HashSet<&Range<usize>> = HashSet::new();
        let mut content = None;
        // By number: what could not be written, and all that is read from there.
        let mut failed: HashSet<usize> = HashSet::new();
        for index in 0..self.references.len() {
            let reference = &self.references[index];
            if reference.readings.is_empty() {
                continue;
            }
            let mut texts: Vec<Option<(Vec<u8>, RelPath, RelPath)>> = Vec::new();
            for reading in &reference.readings {
                let text = self.new_text(reference, reading);
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
            if texts.len() > 1 {
                self.unclear.entry(index).or_insert("it may mean several files, and they go different ways");
                continue;
            }
            let Some(Some((text, from, to))) = texts.pop() else {
                stays.insert(&reference.span);
                continue;
            };
            if content.is_none() {
                content = Some(self.world.before.content(reference.file)?);
            }
            let bytes = content.as_deref().unwrap_or_default();
            match reference.mention.spelling.respell(&reference.span, &reference.mention.text, &text, bytes) {
                Some(changes) => wanted.push(Wanted { index, changes, from, to }),
                None => {
                    failed.insert(reference.number);
                    self.unclear.insert(index, "the new path cannot be written in its place");
                }
            }
        }
        self.drop_what_crosses(&mut wanted, &stays, &mut failed);
        let content = content.unwrap_or_default();
        let mut edits: Vec<Edit> = Vec::new();
        for Wanted { index, changes, from, to } in wanted {
            let Reference { file, line, .. } = self.references[index];
            for (span, new) in changes {
                let old = content[span.clone()].to_vec();
                if old != new {
                    edits.push(Edit { file, span, old, new, line, from: from.clone(), to: to.clone() });
                }
            }
        }
        edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        edits.dedup_by(|a, b| a.span == b.span && a.new == b.new);
        rewrites.edits.extend(edits);
        for (index, why) in self.unclear {
            let reference = &self.references[index];
            rewrites.unclear.push(Unclear {
                file: reference.file,
                span: reference.span.clone(),
                line: reference.line,
                text: reference.text.clone(),
                why,
            });
        }
        Ok(())
    }

    /// Takes away all changes of a reference when one of them wants bytes that another one wants otherwise, or wants to
    /// stay; then those of what is read from there.
    fn drop_what_crosses(
        &mut self,
        wanted: &mut Vec<Wanted>,
        stays: &HashSet<&Range<usize>>,
        failed: &mut HashSet<usize>,
    ) {
        loop {
            let mut changes: Vec<(&Change, usize)> =
                wanted.iter().flat_map(|wanted| wanted.changes.iter().map(|change| (change, wanted.index))).collect();
            changes.sort_by_key(|((span, _), _)| (span.start, span.end));
            let mut lost: Vec<usize> = Vec::new();
            for pair in changes.windows(2) {
                let ((a, one), (b, other)) = (pair[0], pair[1]);
                let is_crossed = a != b && (a.0.end > b.0.start || a.0 == b.0);
                if is_crossed {
                    lost.extend([one, other]);
                }
            }
            let is_held = |index: &usize| {
                let span = &self.references[*index].span;
                !span.is_empty() && stays.contains(span)
            };
            lost.extend(wanted.iter().map(|wanted| wanted.index).filter(is_held));
            for index in &lost {
                failed.insert(self.references[*index].number);
                self.unclear.insert(*index, "what is used through it goes different ways");
            }
            let mut is_settled = lost.is_empty();
            for (index, reference) in self.references.iter().enumerate() {
                let stands_on =
                    |reading: &Reading| matches!(reading.anchor, Anchor::At(number) if failed.contains(&number));
                if reference.readings.iter().any(stands_on) && failed.insert(reference.number) {
                    self.unclear.insert(index, "what it is read from cannot be rewritten");
                    is_settled = false;
                }
            }
            wanted.retain(|wanted| !failed.contains(&self.references[wanted.index].number));
            if is_settled {
                return;
            }
        }
    }

    fn by_number(&self, number: usize) -> Option<usize> {
        self.references.binary_search_by_key(&number, |reference| reference.number).ok()
    }

    /// What a reading's text is joined to afterwards.
    fn base_after(&mut self, reading: &Reading) -> RelPath {
        match reading.anchor {
            Anchor::Own => self.own_after.clone(),
            Anchor::Page => {
                let path = self.world.moves.after(self.path);
                super::resolve::page_folder(&path).unwrap_or_else(|| self.own_after.clone())
            }
            Anchor::At(number) => {
                let lead = self.by_number(number).and_then(|index| {
                    let lead = self.lead(index)?;
                    // What is imported from a package is read from its folder.
                    let is_module = self.references[index].mention.form == Form::Dotted;
                    Some(if is_module { super::modules::package_folder(&lead) } else { lead })
                });
                lead.unwrap_or_else(|| self.world.standing(&reading.base))
            }
            Anchor::Cwd if reading.base == self.own_before && self.is_told_from_root() => self.root_after(),
            Anchor::Cwd | Anchor::Above if reading.base == self.own_before => self.own_after.clone(),
            Anchor::Cwd | Anchor::Above | Anchor::Project if self.path.is_within(&reading.base) => {
                // Of a file that left the folder above it, nobody would read anything from there any more.
                let standing = self.world.standing(&reading.base);
                if self.own_after.is_within(&standing) { standing } else { self.root_after() }
            }
            _ => self.world.standing(&reading.base),
        }
    }

    /// True for a document that moved away from most of what its examples name: they were followed from its folder, now
    /// somebody who stands in the root follows them, all of them.
    fn is_told_from_root(&mut self) -> bool {
        if let Some(known) = self.told_from_root {
            return known;
        }
        let (mut near, mut far) = (0, 0);
        if self.is_document && self.own_after != self.own_before {
            for reading in self.references.iter().flat_map(|reference| &reference.readings) {
                if reading.anchor != Anchor::Cwd || reading.base != self.own_before {
                    continue;
                }
                let target = match &reading.target {
                    Target::File(path) | Target::Folder(path) => path,
                    Target::Files(files) => &files[0],
                };
                let goes_up = |from: &RelPath, to: &RelPath| from.to(to).starts_with(b"..");
                let is_far = goes_up(&self.own_after, &self.world.moves.after(target));
                if is_far && !goes_up(&self.own_before, target) { far += 1 } else { near += 1 }
            }
        }
        let is_told = far > near;
        self.told_from_root = Some(is_told);
        is_told
    }

    /// True when the file lay in a folder and will not lie where that went.
    fn left(&self, folder: &RelPath) -> bool {
        let project = folder.parent().filter(|_| folder.name() == b"src");
        let folder = &project.unwrap_or_else(|| folder.clone());
        self.path.is_within(folder) && !self.own_after.is_within(&self.world.standing(folder))
    }

    /// The root of what the file belongs to afterwards.
    fn root_after(&self) -> RelPath {
        let given = self.world.before.given().iter().find(|given| self.own_after.is_within(given));
        given.cloned().unwrap_or_default()
    }

    /// Where a reference leads once it is rewritten; None when it has no one target.
    fn lead(&mut self, index: usize) -> Option<RelPath> {
        if let Some(known) = self.leads.get(&index) {
            return known.clone();
        }
        // Something that stands on itself leads nowhere.
        self.leads.insert(index, None);
        let reference = &self.references[index];
        let lead = reference.readings.first().and_then(|reading| match &reading.target {
            Target::File(path) => Some(self.world.moves.after(path)),
            Target::Folder(path) => Some(self.folder(index, reading, path)),
            Target::Files(_) => None,
        });
        self.leads.insert(index, lead.clone());
        lead
    }

    /// Where a folder that is named should lead.
    fn folder(&mut self, index: usize, reading: &Reading, folder: &RelPath) -> RelPath {
        let world = self.world;
        // `dirname "$FILE"` goes where the file goes.
        let is_written = !matches!(self.references[index].mention.spelling.inner, Inner::Unwritten);
        if !is_written && let Some(place) = self.base_after(reading).resolve(&self.references[index].text) {
            return place;
        }
        if let Some(whole) = world.whole(folder, self.path) {
            return whole;
        }
        if world.before.given().contains(folder) {
            return world.standing(folder);
        }
        let number = self.references[index].number;
        let mut ways: Vec<RelPath> = Vec::new();
        let mut has_uses = false;
        for user in self.references {
            for used in user.readings.iter().filter(|used| used.anchor == Anchor::At(number) && used.base == *folder) {
                has_uses = true;
                let way = self.way_of(user, used);
                if let Some(way) = way.filter(|way| !ways.contains(way)) {
                    ways.push(way);
                }
            }
        }
        if let [way] = ways.as_slice() {
            return way.clone();
        }
        let text = &self.references[index].text;
        let base = self.base_after(reading);
        if let Some(same) = base.resolve(text).filter(|place| world.after.is_folder(place)) {
            // A document that names the folder still does.
            let is_told = matches!(self.references[index].kind, Kind::Prose | Kind::CodeSpan | Kind::Link);
            if !has_uses && !is_told {
                self.unclear.insert(index, "the folder's files go different ways");
            }
            return same;
        }
        if !has_uses {
            self.unclear.insert(index, "the folder's files go different ways; it leads to where most of them are");
        }
        world.majority(folder)
    }

    /// Where the folder should lead for the sake of one thing that is used through it.
    fn way_of(&self, user: &Reference, used: &Reading) -> Option<RelPath> {
        let end = used.base.resolve(&user.text).and_then(|place| place.below(&used.base));
        match (&used.target, end) {
            (Target::File(path), Some(end)) => {
                self.world.moves.after(path).without_end(&path.below(&used.base).unwrap_or(end))
            }
            (Target::Folder(path), Some(end)) => self.world.whole(path, self.path)?.without_end(&end),
            (Target::Files(paths), _) => {
                let mut ways =
                    paths.iter().map(|path| self.world.moves.after(path).without_end(&path.below(&used.base)?));
                let first = ways.next()??;
                ways.all(|way| way.as_ref() == Some(&first)).then_some(first)
            }
            _ => None,
        }
    }

    /// The text by which the target is reached afterwards, with what it led to; None when the text can stay.
    fn new_text(&mut self, reference: &Reference, reading: &Reading) -> Option<(Vec<u8>, RelPath, RelPath)> {
        let base = self.base_after(reading);
        let mention = &reference.mention;
        match &reading.target {
            Target::Files(files) => self.new_pattern(reference, reading, &base, files),
            Target::File(path) | Target::Folder(path) => {
                let index = self.by_number(reference.number)?;
                let wanted = match &reading.target {
                    Target::File(path) => self.world.moves.after(path),
                    _ if reference.readings.len() == 1 => self.lead(index)?,
                    _ => self.world.whole(path, self.path)?,
                };
                let is_python = mention.form == Form::Dotted;
                if is_python && reading.anchor == Anchor::Modules && self.left(&reading.base) {
                    self.unclear.insert(index, "the file leaves the folder that its modules are looked up in");
                    return None;
                }
                let holds = mention.form != Form::Alias
                    || self.world.aliases.follow(self.world.moves, &self.own_before, &self.own_after);
                if holds && self.leads_to(mention.form, &base, &reference.text[reading.skip..], &wanted) {
                    return None;
                }
                // What leads through a link to where it went does so by another path: only a moved one is followed.
                if holds && wanted == *path && base == reading.base {
                    return None;
                }
                let text = self.spelled(reference, reading, &base, path, &wanted);
                match text {
                    Some(text) => Some((text, path.clone(), wanted)),
                    None => {
                        self.unclear.insert(index, "only a part of the path stands here");
                        None
                    }
                }
            }
        }
    }
}
