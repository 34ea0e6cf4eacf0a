//! Reading all files of a tree at once: each distinct content a single time, side by side on every core.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use super::mention::Said;
use super::read::{self, Language};
use crate::tree::{Digest, FileId, Tree};

/// What each file says. Files with the same bytes, read by the same reader, share it.
pub(crate) fn said(tree: &Tree) -> Result<Vec<(FileId, Language, Arc<Said>)>> {
    let ids: Vec<FileId> = tree.sources().filter(|id| tree.entry(*id).size <= read::LARGEST).collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(ids.len().max(1));
    let found: Vec<Result<Vec<Found>>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(tree, &ids, &next))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a reader of references died"))))
            .collect()
    });
    let mut all = Vec::with_capacity(ids.len());
    for part in found {
        all.extend(part?);
    }
    all.sort_by_key(|(id, ..)| *id);
    Ok(all)
}

type Found = (FileId, Language, Arc<Said>);

fn work(tree: &Tree, ids: &[FileId], next: &AtomicUsize) -> Result<Vec<Found>> {
    // Copies lie anywhere in the order; one table a thread reads a content at most once a thread.
    let mut known: HashMap<(Digest, Language), Arc<Said>> = HashMap::new();
    let mut found = Vec::new();
    loop {
        let start = next.fetch_add(CHUNK, Ordering::Relaxed);
        if start >= ids.len() {
            return Ok(found);
        }
        for id in &ids[start..ids.len().min(start + CHUNK)] {
            let entry = tree.entry(*id);
            let Some(named) = Language::by_name(&entry.path) else { continue };
            let content = tree.content(*id)?;
            let language = named.by_content(&content, entry.is_executable());
            if language == Language::None {
                continue;
            }
            let digest = tree.digest(*id)?;
            let said = known.entry((digest, language)).or_insert_with(|| Arc::new(read::read(language, &content)));
            found.push((*id, language, Arc::clone(said)));
        }
    }
}

/// Files that a thread takes at a time.
const CHUNK: usize = 16;
