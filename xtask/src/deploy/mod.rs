//! Deployments: from a commit and an environment to what runs there, step by step, and back.

pub mod artifact;
pub mod database;
pub mod engine;
pub mod facts;
pub mod gate;
pub mod hooks;
pub mod ladder;
pub mod pipeline;
pub mod plan;
pub mod preflight;
pub mod retention;
pub mod schema;
pub mod values;
