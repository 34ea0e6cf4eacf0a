//! What must be written so that each reference means after the moves what it meant before.
//!
//! A text stays when it still leads to where its target went. Else it becomes the way from the folder it will be read
//! from to the target. Where a folder went several ways, what is used through it decides; where nothing decides, the
//! place is listed and left.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use anyhow::Result;

use super::aliases::Aliases;
use super::glob::Folders;
use super::mention::{Anchor, Form, Weight};
use super::resolve::Reading;
use super::spelling::{Change, Inner};
use super::{Kind, Reference, Target, bytes, modules};
use crate::moves::Moves;
use crate::path::RelPath;
use crate::tree::{FileId, Tree};

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
    let world = World {
        before,
        after: &after,
        moves,
        aliases: Aliases::of(before),
        files_after: Folders::of(&after),
        folders: RefCell::new(HashMap::new()),
    };
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

struct World<'a> {
    before: &'a Tree,
    after: &'a Tree,
    moves: &'a Moves,
    aliases: Aliases,
    files_after: Folders<'a>,
    folders: RefCell<HashMap<RelPath, RelPath>>,
}

impl World<'_> {
    /// Where one stands afterwards who stood in this folder: programs are started there, nothing in the text says so.
    fn standing(&self, folder: &RelPath) -> RelPath {
        if let Some(known) = self.folders.borrow().get(folder) {
            return known.clone();
        }
        let place = self.find_standing(folder);
        self.folders.borrow_mut().insert(folder.clone(), place.clone());
        place
    }
    fn find_standing(&self, folder: &RelPath) -> RelPath {
        if folder.is_root() {
            return folder.clone();
        }
        if let Some(went) = self.moves.folder(folder) {
            return went;
        }
        if self.before.given().contains(folder) {
            // The root of what is taken over: afterwards, the root of where most of it went.
            return self
                .most_of(folder, |path| self.before.given().iter().find(|given| path.is_within(given)).cloned());
        }
        for marker in MARKERS {
            let file = folder.join(marker);
            if self.before.is_file(&file) {
                return self.moves.after(&file).parent().unwrap_or_default();
            }
        }
        if self.after.is_folder(folder) { folder.clone() } else { self.majority(folder) }
    }
    /// Where most of what lies in a folder keeps its names below.
    fn majority(&self, folder: &RelPath) -> RelPath {
        self.most_of(folder, |_| None)
    }
    fn most_of(&self, folder: &RelPath, known: impl Fn(&RelPath) -> Option<RelPath>) -> RelPath {
        let mut counts: BTreeMap<RelPath, usize> = BTreeMap::new();
        for id in self.before.below(folder).filter(|id| self.before.entry(*id).is_whole()) {
            let path = self.before.path(id);
            let to = self.moves.after(path);
            let place = known(&to).or_else(|| to.without_end(&path.below(folder).unwrap_or_default()));
            if let Some(place) = place {
                *counts.entry(place).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(path, count)| (*count, std::cmp::Reverse(path.clone())));
        most.map_or_else(|| folder.clone(), |(path, _)| path)
    }
    /// The one place where everything in a folder went but the file that asks. None when it is split.
    fn whole(&self, folder: &RelPath, asking: &RelPath) -> Option<RelPath> {
        if folder.is_root() {
            return Some(folder.clone());
        }
        if let Some(went) = self.moves.folder(folder) {
            return Some(went);
        }
        if !asking.is_within(folder) {
            return None;
        }
        let mut ways = self.before.below(folder).filter(|id| self.before.entry(*id).is_whole()).filter_map(|id| {
            let path = self.before.path(id);
            (path != asking).then(|| self.moves.after(path).without_end(&path.below(folder).unwrap_or_default()))
        });
        let first = ways.next()??;
        ways.all(|way| way.as_ref() == Some(&first)).then_some(first)
    }
}

/// Files by which a folder is known as that of a project: who works in it goes where they go.
const MARKERS: [&[u8]; 8] = [
    b"package.json",
    b"pyproject.toml",
    b"go.mod",
    b"Cargo.toml",
    b"Makefile",
    b"docker-compose.yml",
    b"compose.yaml",
    b"Chart.yaml",
];

struct Rewriter<'a> {
    world: &'a World<'a>,
    references: &'a [Reference],
    path: &'a RelPath,
    own_before: RelPath,
    own_after: RelPath,
    is_document: bool,
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
            leads: HashMap::new(),
            unclear: BTreeMap::new(),
        }
    }

    fn write(mut self, rewrites: &mut Rewrites) -> Result<()> {
        let mut changes: Vec<(Change, usize, RelPath, RelPath)> = Vec::new();
        let mut content = None;
        // By number: what could not be written, and all that is read from there.
        let mut failed: HashSet<usize> = HashSet::new();
        for index in 0..self.references.len() {
            let reference = &self.references[index];
            if reference.readings.is_empty() {
                continue;
            }
            let stands_on =
                |reading: &Reading| matches!(reading.anchor, Anchor::At(number) if failed.contains(&number));
            if reference.readings.iter().any(stands_on) {
                failed.insert(reference.number);
                self.unclear.insert(index, "what it is read from cannot be rewritten");
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
            let Some(Some((text, from, to))) = texts.pop() else { continue };
            if content.is_none() {
                content = Some(self.world.before.content(reference.file)?);
            }
            let bytes = content.as_deref().unwrap_or_default();
            match reference.mention.spelling.respell(&reference.span, &reference.mention.text, &text, bytes) {
                Some(parts) => changes.extend(parts.into_iter().map(|part| (part, index, from.clone(), to.clone()))),
                None => {
                    failed.insert(reference.number);
                    self.unclear.insert(index, "the new path cannot be written in its place");
                }
            }
        }
        let content = content.unwrap_or_default();
        changes.sort_by(|a, b| (a.0.0.start, a.0.0.end).cmp(&(b.0.0.start, b.0.0.end)).then(a.0.1.cmp(&b.0.1)));
        changes.dedup_by(|a, b| a.0 == b.0);
        changes.retain(|((span, new), ..)| content[span.clone()] != **new);
        // Two that want the same bytes otherwise: neither is written.
        let is_crossed = |a: &Change, b: &Change| a.0.end > b.0.start || a.0 == b.0;
        let crossed: Vec<usize> = (1..changes.len())
            .filter(|i| is_crossed(&changes[i - 1].0, &changes[*i].0))
            .flat_map(|i| [i - 1, i])
            .collect();
        for (place, ((span, new), index, from, to)) in changes.into_iter().enumerate() {
            let reference = &self.references[index];
            if crossed.contains(&place) {
                self.unclear.insert(index, "what is used through it goes different ways");
                continue;
            }
            let old = content[span.clone()].to_vec();
            rewrites.edits.push(Edit { file: reference.file, span, old, new, line: reference.line, from, to });
        }
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
                    Some(if is_module { modules::package_folder(&lead) } else { lead })
                });
                lead.unwrap_or_else(|| self.world.standing(&reading.base))
            }
            Anchor::Cwd | Anchor::Above if reading.base == self.own_before => self.own_after.clone(),
            Anchor::Cwd | Anchor::Above if self.path.is_within(&reading.base) => {
                // Of a file that left the folder above it, nobody would read anything from there any more.
                let standing = self.world.standing(&reading.base);
                if self.own_after.is_within(&standing) { standing } else { self.root_after() }
            }
            _ => self.world.standing(&reading.base),
        }
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
                let mut text = self.spelled(reference, reading, &base, path, &wanted);
                // An example is followed by somebody who stands in the root rather than beside the document.
                let is_example = self.is_document && reading.anchor == Anchor::Cwd;
                let goes_up = |text: &[u8]| text.starts_with(b"..");
                if is_example && !goes_up(&mention.text) && text.as_deref().is_some_and(goes_up) {
                    text = self.spelled(reference, reading, &self.root_after(), path, &wanted);
                }
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

    fn leads_to(&self, form: Form, base: &RelPath, text: &[u8], wanted: &RelPath) -> bool {
        let Some(place) = base.resolve(text) else { return false };
        if place == *wanted {
            return true;
        }
        let found = match form {
            Form::Path => super::resolve::through_links(self.world.after, &place, 0),
            Form::Page => modules::page(self.world.after, &place, text),
            Form::Module | Form::Alias => modules::javascript(self.world.after, &place),
            Form::Dotted => modules::python(self.world.after, &place),
        };
        matches!(found, Some(Target::File(path) | Target::Folder(path)) if path == *wanted)
    }

    /// The way from `base` to `wanted`, in the manner of the old text, without what stands elsewhere.
    fn spelled(
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
    fn new_pattern(
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
            let after = self.world.whole_or_file(path);
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

/// True for what is taken for a path without a slash in it.
fn is_told(kind: Kind, way: &[u8]) -> bool {
    match kind {
        Kind::Setting | Kind::Prose | Kind::CodeSpan => false,
        Kind::Variable => bytes::may_be_path(way) || bytes::is_name(way),
        Kind::Argument => bytes::may_be_path(way),
        _ => true,
    }
}

impl World<'_> {
    fn whole_or_file(&self, path: &RelPath) -> Option<RelPath> {
        if self.before.is_folder(path) { self.moves.folder(path) } else { Some(self.moves.after(path)) }
    }
}

fn same_set(a: &[RelPath], b: &[RelPath]) -> bool {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    a.sort();
    b.sort();
    b.dedup();
    a == b
}
