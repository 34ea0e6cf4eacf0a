//! Reading all files of a tree at once: each a single time, side by side on every core. What the content alone tells is
//! found once, however many copies there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use crate::classify::look::{self, Look};
use crate::facts::{self, Facts, Reading};
use crate::language::Language;
use crate::path::RelPath;
use crate::references::mention::Said;
use crate::references::read;
use crate::tree::{Digest, FileId, Tree};

/// A file, what it was read as, and what it says.
pub(crate) type Spoken = (FileId, read::Language, Arc<Said>);

pub struct Contents {
    /// By the index of the entry; None for what is no file or lies outside the given folders.
    pub facts: Vec<Option<Facts>>,
    /// The same, of texts.
    pub looks: Vec<Option<Look>>,
    pub(crate) said: Result<Vec<Spoken>>,
}

impl Contents {
    pub fn read(tree: &Tree) -> Result<Contents> {
        let mut facts: Vec<Option<Facts>> = tree.ids().map(|_| None).collect();
        let mut looks: Vec<Option<Look>> = tree.ids().map(|_| None).collect();
        let mut said = Vec::new();
        for seen in side_by_side(tree, tree.sources().collect(), |group, buffer| of_one_size(tree, group, buffer))? {
            facts[seen.id.index()] = Some(seen.facts);
            looks[seen.id.index()] = seen.look;
            said.extend(seen.said);
        }
        Ok(Contents { facts, looks, said: in_order(said) })
    }
}

/// What each file says after moves, where it is known what each said `before`: only what is written anew is read, and what
/// is read as something else at its new place.
pub(crate) fn said_after(after: &Tree, before: &Tree, said: &[Spoken]) -> Result<Vec<Spoken>> {
    let by_name = |tree: &Tree, id: FileId| read::Language::by_name(tree.path(id));
    let known: HashMap<&RelPath, &Spoken> =
        said.iter().filter_map(|spoken| Some((before.place(spoken.0)?, spoken))).collect();
    let mut all = Vec::with_capacity(said.len());
    let mut others = Vec::new();
    for id in after.sources() {
        let spoken = after.place(id).and_then(|place| known.get(place));
        match spoken.filter(|(old, ..)| by_name(before, *old) == by_name(after, id)) {
            Some((_, language, said)) => all.push(Ok((id, *language, Arc::clone(said)))),
            None => others.push(id),
        }
    }
    all.extend(said_in(after, others)?);
    in_order(all)
}

/// What each of these files says, where nothing else is asked.
fn said_in(tree: &Tree, mut files: Vec<FileId>) -> Result<Vec<Result<Spoken>>> {
    let is_small = |id: &FileId| tree.entry(*id).size <= read::LARGEST;
    files.retain(|id| is_small(id) && read::Language::by_name(tree.path(*id)).is_some());
    side_by_side(tree, files, |group, _| {
        let mut known: Vec<(Vec<u8>, Told)> = Vec::new();
        let mut said = Vec::new();
        for id in group {
            match tree.content(*id) {
                Ok(content) => {
                    let at = known.iter().position(|(other, _)| *other == *content).unwrap_or_else(|| {
                        known.push((content.into_owned(), Told::default()));
                        known.len() - 1
                    });
                    let (content, told) = &mut known[at];
                    said.extend(told.said(tree, *id, content).map(Ok));
                }
                Err(error) => said.push(Err(error)),
            }
        }
        said
    })
}

fn in_order(said: Vec<Result<Spoken>>) -> Result<Vec<Spoken>> {
    let mut said = said.into_iter().collect::<Result<Vec<Spoken>>>()?;
    said.sort_unstable_by_key(|(id, ..)| *id);
    Ok(said)
}

/// Does the work for groups of files that have the same size: copies come to the same thread. The large ones first, so that
/// no thread ends with one. Each thread has a buffer to read into.
fn side_by_side<T: Send>(
    tree: &Tree,
    mut files: Vec<FileId>,
    work: impl Fn(&[FileId], &mut Vec<u8>) -> Vec<T> + Sync,
) -> Result<Vec<T>> {
    let size = |id: &FileId| tree.entry(*id).size;
    files.sort_by_key(|id| std::cmp::Reverse(size(id)));
    let groups: Vec<&[FileId]> = files.chunk_by(|a, b| size(a) == size(b)).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        let mut buffer = Vec::new();
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.extend(work(group, &mut buffer));
        }
        done
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(groups.len().max(1));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::with_capacity(files.len());
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a reader of files died"))?);
        }
        Ok(all)
    })
}

/// What was seen of one file.
struct Seen {
    id: FileId,
    facts: Facts,
    look: Option<Look>,
    said: Option<Result<Spoken>>,
}

/// What a content tells by itself, found when it is asked for.
#[derive(Default)]
struct Told {
    reading: Reading,
    looks: Vec<(Language, Look)>,
    said: Vec<(read::Language, Arc<Said>)>,
}

impl Told {
    fn look(&mut self, tree: &Tree, id: FileId, language: Language, content: &[u8]) -> Look {
        let copy = self.looks.iter().find(|(known, _)| *known == language).map(|(_, look)| look);
        let look = Look::of(tree.path(id), language, content, copy);
        if copy.is_none() {
            self.looks.push((language, look.clone()));
        }
        look
    }
    /// None where nothing in it is read.
    fn said(&mut self, tree: &Tree, id: FileId, content: &[u8]) -> Option<Spoken> {
        let language = read::Language::by_name(tree.path(id))?.by_content(content);
        if language == read::Language::None {
            return None;
        }
        let copy = self.said.iter().find(|(known, _)| *known == language).map(|(_, said)| Arc::clone(said));
        let said = copy.unwrap_or_else(|| {
            let said = Arc::new(read::read(language, content));
            self.said.push((language, Arc::clone(&said)));
            said
        });
        Some((id, language, said))
    }
}

fn of_one_size(tree: &Tree, group: &[FileId], buffer: &mut Vec<u8>) -> Vec<Seen> {
    let mut known: HashMap<Digest, Told> = HashMap::new();
    let mut seen = Vec::with_capacity(group.len());
    for id in group {
        let entry = tree.entry(*id);
        buffer.clear();
        let digest = match facts::read(tree, *id, buffer) {
            Ok(digest) => digest,
            Err(error) => {
                let facts = Facts::of(entry, buffer, &Reading::default(), Some(&error));
                // What it refers to cannot be told: nothing may be moved on such grounds.
                let is_read = entry.size <= read::LARGEST && read::Language::by_name(&entry.path).is_some();
                seen.push(Seen { id: *id, facts, look: None, said: is_read.then_some(Err(error)) });
                continue;
            }
        };
        let told = known.entry(digest).or_insert_with(|| Told { reading: Reading::of(buffer), ..Told::default() });
        let facts = Facts::of(entry, buffer, &told.reading, None);
        let head = &buffer[..buffer.len().min(look::MUCH)];
        let look = facts.is_text.then(|| told.look(tree, *id, facts.language, head));
        let said = if entry.size <= read::LARGEST { told.said(tree, *id, buffer).map(Ok) } else { None };
        seen.push(Seen { id: *id, facts, look, said });
    }
    seen
}
