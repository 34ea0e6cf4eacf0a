//! `db …`: what one does to a database beside its schema; one file a verb.

pub mod query;
pub mod reset;
pub mod seed;
pub mod shell;
