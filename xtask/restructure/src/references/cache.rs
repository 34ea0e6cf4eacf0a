//! Reading all files of a tree at once: each distinct content a single time, side by side on every core.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use super::mention::Said;
use super::read::{self, Language};
use crate::tree::{FileId, Tree};

/// A file, what it was read as, and what it says.
pub(crate) type Spoken = (FileId, Language, Arc<Said>);

/// What each file says. Files with the same bytes, read by the same reader, share it.
pub(crate) fn said(tree: &Tree) -> Result<Vec<Spoken>> {
    let is_small = |id: &FileId| tree.entry(*id).size <= read::LARGEST;
    let named = tree.sources().filter(is_small).filter_map(|id| Some((id, Language::by_name(tree.path(id))?)));
    let mut files: Vec<(FileId, Language)> = named.collect();
    // Copies have the same size: they come to the same thread, which compares them byte by byte. The large ones first, so
    // that no thread ends with one.
    files.sort_by_key(|(id, _)| (std::cmp::Reverse(tree.entry(*id).size), *id));
    let groups: Vec<&[(FileId, Language)]> =
        files.chunk_by(|(a, _), (b, _)| tree.entry(*a).size == tree.entry(*b).size).collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(groups.len().max(1));
    let parts: Vec<Result<Vec<Spoken>>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(tree, &groups, &next))).collect();
        let died = |_| Err(anyhow::anyhow!("a reader of references died"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(died)).collect()
    });
    let mut all = Vec::with_capacity(files.len());
    for part in parts {
        all.extend(part?);
    }
    all.sort_by_key(|(id, ..)| *id);
    Ok(all)
}

fn work(tree: &Tree, groups: &[&[(FileId, Language)]], next: &AtomicUsize) -> Result<Vec<Spoken>> {
    let mut all = Vec::new();
    while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut known: Vec<(Cow<'_, [u8]>, Language, Arc<Said>)> = Vec::new();
        for (id, named) in *group {
            let content = tree.content(*id)?;
            let language = named.by_content(&content);
            if language == Language::None {
                continue;
            }
            let same = known.iter().find(|(other, by, _)| *by == language && *other == content);
            let said = match same {
                Some((_, _, said)) => Arc::clone(said),
                None => {
                    let said = Arc::new(read::read(language, &content));
                    if group.len() > 1 {
                        known.push((content, language, Arc::clone(&said)));
                    }
                    said
                }
            };
            all.push((*id, language, said));
        }
    }
    Ok(all)
}
