//! The proof before anything is touched: moves and rewrites in memory, then every reference resolved again.

use std::collections::HashMap;

use anyhow::Result;

use crate::contents;
use crate::moves::Moves;
use crate::path::RelPath;
use crate::references::{self, Kind, Lost, Outcome, Reference, Rewrites, Target};
use crate::scan::Scan;
use crate::tree::{FileId, Tree};

/// A reference that does not lead where it led, with the reference of before.
pub struct Loss<'a> {
    pub reference: &'a Reference,
    pub lost: Lost,
}

impl Loss<'_> {
    /// It named a file or a folder. Else it is a pattern, which takes what it finds.
    pub fn is_broken(&self) -> bool {
        !matches!(self.reference.outcome, Outcome::Resolved(Target::Files(_)))
    }
    /// Also a pattern that finds nothing any more, unless it stands in prose or takes anything there is.
    pub fn matters(&self) -> bool {
        let is_prose = matches!(self.reference.kind, Kind::Prose | Kind::CodeSpan);
        let takes_anything = self.reference.text.iter().all(|byte| b"*/.".contains(byte));
        self.is_broken() || (self.lost.found.is_none() && !is_prose && !takes_anything)
    }
}

/// What the moves with these edits would lose.
pub fn losses<'a>(scan: &'a Scan, moves: &Moves, rewrites: &Rewrites) -> Result<Vec<Loss<'a>>> {
    let Scan { tree, references, said, .. } = scan;
    if moves.is_empty() {
        return Ok(Vec::new());
    }
    let after = tree.after(moves, written(tree, moves, rewrites)?);
    let references_after = references::resolved(&after, &contents::said_after(&after, tree, said)?);
    Ok(compare((tree, references), (&after, &references_after), moves, rewrites))
}

/// The same for a tree after that is there.
pub fn compare<'a>(
    before: (&Tree, &'a [Reference]),
    after: (&Tree, &[Reference]),
    moves: &Moves,
    rewrites: &Rewrites,
) -> Vec<Loss<'a>> {
    let lost = references::compare(before, after, moves, &rewrites.edits);
    if lost.is_empty() {
        return Vec::new();
    }
    let resolved = before.1.iter().filter(|reference| matches!(reference.outcome, Outcome::Resolved(_)));
    let by_place: HashMap<(FileId, usize), &Reference> =
        resolved.map(|reference| ((reference.file, reference.span.start), reference)).collect();
    let loss = |lost: Lost| {
        let reference = *by_place.get(&(lost.file, lost.span.start))?;
        Some(Loss { reference, lost })
    };
    lost.into_iter().filter_map(loss).collect()
}

fn written(tree: &Tree, moves: &Moves, rewrites: &Rewrites) -> Result<Vec<(RelPath, Vec<u8>)>> {
    let by_file = rewritten(tree, rewrites)?.into_iter();
    Ok(by_file.map(|(id, content)| (moves.after(tree.path(id)), content)).collect())
}

/// The new content of every file that is rewritten; of a link, its target.
pub fn rewritten(tree: &Tree, rewrites: &Rewrites) -> Result<Vec<(FileId, Vec<u8>)>> {
    let by_file = rewrites.edits.chunk_by(|a, b| a.file == b.file);
    by_file
        .map(|edits| {
            let id = edits[0].file;
            let content = match &tree.entry(id).kind {
                crate::tree::Kind::Symlink(target) => target.clone(),
                _ => tree.content(id)?.into_owned(),
            };
            let edits: Vec<&references::Edit> = edits.iter().collect();
            Ok((id, references::apply(&content, &edits)))
        })
        .collect()
}
