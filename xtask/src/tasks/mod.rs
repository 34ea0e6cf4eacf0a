//! One file a verb: the story of the verb, top to bottom.

pub mod completions;
pub mod config;
