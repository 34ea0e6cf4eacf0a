//! The services of this machine as processes: what each is given, how it is built, started, recognised and stopped.

pub mod keeper;
pub mod process;
