//! An old operations folder into this layout, provably: what is there, what refers to what, where each file belongs.

pub mod path;

pub use path::RelPath;
