//! Processes that outlive the task which started them, services and the embedded database: each runs under a keeper
//! ([`keeper`]) and is recognised by its record ([`process`]).

pub mod keeper;
pub mod process;
