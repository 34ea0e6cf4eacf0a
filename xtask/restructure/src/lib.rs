//! An old operations folder into this layout, provably: what is there, what refers to what, where each file belongs.

pub mod apply;
pub mod classify;
pub mod contents;
pub mod duplicates;
pub mod facts;
pub mod git;
pub mod journal;
pub mod language;
pub mod moves;
pub mod path;
pub mod plan;
pub mod references;
pub mod report;
pub mod retired;
pub mod scan;
pub mod secrets;
pub mod syntax;
pub mod tasks;
pub mod tell;
pub mod tree;
pub mod undo;
pub mod verify;

pub use moves::{Fate, Moves};
pub use path::RelPath;
pub use tree::{Entry, FileId, Kind, Tree};
