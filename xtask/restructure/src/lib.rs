//! An old operations folder into this layout, provably: what is there, what refers to what, where each file belongs.

pub mod classify;
pub mod duplicates;
pub mod facts;
pub mod git;
pub mod language;
pub mod moves;
pub mod path;
pub mod plan;
pub mod references;
pub mod scan;
pub mod secrets;
pub mod tree;

pub use moves::{Fate, Moves};
pub use path::RelPath;
pub use tree::{Entry, FileId, Kind, Tree};
