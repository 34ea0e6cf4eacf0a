//! Black-box tests: the real binary in a temporary workspace whose path has spaces. What a module proves stands in its
//! first lines; sandbox.rs is the builder they share.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may end a test")]

mod add_service;
mod backup;
mod backup_external;
mod backup_killed;
mod cli;
mod config;
mod database;
mod deploy_compose;
mod deploy_killed;
mod deploy_local;
mod deployment;
mod import;
mod killed;
mod migrate;
mod migrate_external;
mod migrate_killed;
mod migrate_proven;
mod migrate_traps;
mod restructure;
mod restructure_killed;
mod sandbox;
mod secrets;
mod services;
mod services_killed;
mod services_misbehaving;
mod setup;
mod sync;
mod tidy;
mod traced;
mod transfer;
