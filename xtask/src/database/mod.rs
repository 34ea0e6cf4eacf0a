//! stub
pub mod ledger;
pub mod lock;
pub mod migrations;
pub mod queries;
pub mod seeds;
pub mod session;
pub mod sql;
pub mod target;
pub use target::Target;
