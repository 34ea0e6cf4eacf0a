//! One file a verb: the story of the verb, top to bottom.

pub mod build;
pub mod ci;
pub mod clean;
pub mod completions;
pub mod config;
pub mod db;
pub mod deploy;
pub mod doctor;
pub mod health;
pub mod logs;
pub mod migrate;
pub mod overview;
pub mod releases;
pub mod restructure;
pub mod services;
pub mod setup;
pub mod test;
