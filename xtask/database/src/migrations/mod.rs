//! Migrations: the files of database/migrations ([`file`]), what is in one ([`script`]), how they stand against the
//! ledger ([`standing`]), and how one is applied ([`apply`]) or taken back.

pub mod apply;
mod explain;
pub mod file;
pub mod leftovers;
mod outside;
pub mod script;
pub mod standing;

pub use apply::Runner;
pub use explain::explain as explain_failure;
pub use file::{Migration, down_file, order, read, read_repeatable};
pub use script::{Ready, prepare};
pub use standing::{Standing, State, check_history, compare};
