//! What resolved before and no longer does: the proof that a move broke nothing.

use std::collections::HashMap;
use std::ops::Range;

use super::{Edit, Outcome, Reference, Target};
use crate::moves::Moves;
use crate::path::RelPath;
use crate::tree::{FileId, Tree};

/// A reference that led somewhere before the moves and leads nowhere, or elsewhere, after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Of the tree before.
    pub file: FileId,
    pub span: Range<usize>,
    pub line: usize,
    pub text: Vec<u8>,
    pub wanted: RelPath,
    /// None when nothing is found by it any more.
    pub found: Option<Target>,
}

/// Compares the references of two trees, between which `moves` and then `edits` were carried out.
pub fn compare(
    before: (&Tree, &[Reference]),
    after: (&Tree, &[Reference]),
    moves: &Moves,
    edits: &[Edit],
) -> Vec<Lost> {
    let mut by_place: HashMap<(FileId, usize), Vec<&Reference>> = HashMap::new();
    for reference in after.1 {
        by_place.entry((reference.file, reference.span.start)).or_default().push(reference);
    }
    let mut edits_of: HashMap<FileId, Vec<&Edit>> = HashMap::new();
    for edit in edits {
        edits_of.entry(edit.file).or_default().push(edit);
    }
    let mut lost = Vec::new();
    for reference in before.1 {
        let Outcome::Resolved(target) = &reference.outcome else { continue };
        let path = before.0.path(reference.file);
        if moves.is_dropped(path) {
            continue;
        }
        let wanted = match target {
            Target::File(path) => moves.after(path),
            Target::Folder(path) => moves.folder(path).unwrap_or_else(|| path.clone()),
            Target::Files(files) => files.first().map(|path| moves.after(path)).unwrap_or_default(),
        };
        let shift: isize = edits_of
            .get(&reference.file)
            .into_iter()
            .flatten()
            .filter(|edit| edit.span.start < reference.span.start)
            .map(|edit| edit.new.len() as isize - edit.old.len() as isize)
            .sum();
        // Steps up that were taken away leave nothing to look at: `"$HERE/.."` became `"$HERE"`.
        let own_edits = edits_of
            .get(&reference.file)
            .into_iter()
            .flatten()
            .filter(|edit| edit.span.start >= reference.span.start && edit.span.end <= reference.span.end);
        let own_edits: Vec<&&Edit> = own_edits.collect();
        let has_gap = own_edits.iter().any(|edit| edit.span.is_empty());
        let grown: usize = own_edits.iter().map(|edit| edit.new.len()).sum();
        let is_shorter = !own_edits.is_empty() && own_edits.iter().all(|edit| edit.new.is_empty());
        if matches!(target, Target::Folder(_)) && is_shorter {
            continue;
        }
        let start = reference.span.start.saturating_add_signed(shift);
        // `$(dirname "$X")/sub`: what was one path is two now, the second behind the first.
        let is_reached = |at: usize| {
            let now = after.0.get(&moves.after(path)).and_then(|id| by_place.get(&(id, at)));
            now.into_iter().flatten().any(|now| now.outcome == Outcome::Resolved(Target::Folder(wanted.clone())))
        };
        if matches!(target, Target::Folder(_))
            && has_gap
            && (start..=start + reference.span.len() + grown).any(is_reached)
        {
            continue;
        }
        let now = after.0.get(&moves.after(path)).and_then(|id| by_place.get(&(id, start)));
        let outcomes = now.into_iter().flatten().filter(|now| now.kind == reference.kind).map(|now| &now.outcome);
        let mut found = None;
        let mut is_kept = false;
        for outcome in outcomes {
            is_kept |= match (outcome, target) {
                (Outcome::Resolved(Target::File(now)), Target::File(_)) => *now == wanted,
                (Outcome::Resolved(Target::Folder(_)), Target::Folder(_)) => true,
                (Outcome::Resolved(Target::Files(now)), Target::Files(files)) => {
                    files.iter().all(|file| now.contains(&moves.after(file)) || before.0.is_folder(file))
                }
                (Outcome::Ambiguous(targets), _) => {
                    targets.contains(&Target::File(wanted.clone())) || targets.contains(&Target::Folder(wanted.clone()))
                }
                _ => false,
            };
            if let Outcome::Resolved(target) = outcome {
                found = Some(target.clone());
            }
        }
        if !is_kept {
            let Reference { file, span, line, text, .. } = reference;
            lost.push(Lost { file: *file, span: span.clone(), line: *line, text: text.clone(), wanted, found });
        }
    }
    lost
}
