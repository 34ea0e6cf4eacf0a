//! The services of this machine as processes: what each is given, how it is built, started, recognised and stopped.

pub mod build;
pub mod converge;
mod install;
pub mod logs;
mod node_modules;
pub mod outcomes;
pub mod stack;
