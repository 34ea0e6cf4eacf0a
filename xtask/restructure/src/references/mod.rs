//! References: which file names which other one, where in its text, read from which folder, and how the text must change
//! so that it means the same when files move.
//!
//! One reader a language takes the paths out of a text (`read`), one place decides what they mean in a tree (`resolve`),
//! one what must be written after a move (`rewrite`). Nothing is run, nothing is guessed: what may mean several files is
//! listed as ambiguous.

mod aliases;
mod bytes;
mod compare;
pub(crate) mod glob;
pub(crate) mod mention;
mod modules;
pub(crate) mod read;
mod resolve;
mod rewrite;
mod runtime;
mod source;
mod spelling;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::contents::Spoken;
use crate::path::RelPath;
use crate::tree::{FileId, Tree};

pub use compare::{Lost, compare};
pub use rewrite::{Edit, Rewrites, Unclear, apply, rewrite};

/// A place in a file that names a path.
#[derive(Clone, Debug)]
pub struct Reference {
    pub file: FileId,
    /// The bytes of the file that spell the path; empty behind `"$DIR"`, where one could stand.
    pub span: Range<usize>,
    /// The path as it is meant, without quotes and escapes; `*` stands for what is known only when it runs.
    pub text: Vec<u8>,
    pub kind: Kind,
    /// Both count from 1; the column counts bytes.
    pub line: usize,
    pub column: usize,
    pub base: Base,
    pub outcome: Outcome,
    /// Its number among the mentions of the file, by which others of the same file stand on it.
    pub(crate) number: usize,
    pub(crate) mention: mention::Mention,
    /// Each way to read it: on which of its bases, and what that gives.
    pub(crate) readings: Vec<resolve::Reading>,
}

/// The folder that a path is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// None when it is not known, or not one folder.
    pub folder: Option<RelPath>,
    pub why: &'static str,
}

/// What a path is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A script that another one sources.
    Source,
    /// A program that is run by its path, or by its interpreter.
    Call,
    /// A folder in which something runs: `cd`, working-directory, `make -C`.
    Folder,
    /// A word of a command.
    Argument,
    Redirection,
    /// What a variable is set to.
    Variable,
    Link,
    Image,
    CodeSpan,
    /// A word in a comment or in prose.
    Prose,
    /// SQL's `\i`, make's include, `extends` of a configuration.
    Include,
    /// A module of a language.
    Import,
    /// A file that a program opens.
    Open,
    /// A value of a configuration.
    Setting,
    /// A build context, a Dockerfile, what it copies.
    Build,
    /// A pattern of paths: .gitignore, filters of CI, workspaces.
    Pattern,
    /// The target of a symbolic link; its text is the link itself.
    Symlink,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Call => "call",
            Kind::Folder => "folder",
            Kind::Argument => "argument",
            Kind::Redirection => "redirection",
            Kind::Variable => "variable",
            Kind::Link => "link",
            Kind::Image => "image",
            Kind::CodeSpan => "code span",
            Kind::Prose => "prose",
            Kind::Include => "include",
            Kind::Import => "import",
            Kind::Open => "open",
            Kind::Setting => "setting",
            Kind::Build => "build",
            Kind::Pattern => "pattern",
            Kind::Symlink => "symlink",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Resolved(Target),
    /// It must be there and is not.
    Broken,
    /// Ignored by git, or made when something runs.
    Runtime,
    /// Outside the tree: absolute, above the root, a package.
    External,
    /// Read from different folders it means different things.
    Ambiguous(Vec<Target>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A file or a symbolic link.
    File(RelPath),
    Folder(RelPath),
    /// Every file that a pattern matches, in order.
    Files(Vec<RelPath>),
}

/// Every reference that files name, each resolved in the tree, in the order of files and places.
pub(crate) fn resolved(tree: &Tree, said: &[Spoken]) -> Vec<Reference> {
    resolve::all(tree, said)
}
