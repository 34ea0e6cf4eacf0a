//! The database of an environment: what its address means ([`target`]), and the PostgreSQL that runs here for
//! `embedded:` ([`cluster`]).

pub mod backup;
pub mod binaries;
pub mod checksums;
pub mod cluster;
pub mod compose;
pub mod diff;
pub mod import;
pub mod ledger;
pub mod lock;
pub mod maintain;
pub mod masking;
pub mod measure;
pub mod migrations;
mod place;
mod probe;
pub mod queries;
pub mod releases;
mod roles;
pub mod schema;
pub mod scratch;
pub mod seeds;
pub mod session;
pub mod sql;
mod start;
pub mod target;
pub mod transfer;
mod unpack;
pub mod url;

pub use cluster::Cluster;
pub use target::Target;
