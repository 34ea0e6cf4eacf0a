//! `db …`: what one does to a database beside its schema; one file a verb.

pub mod backup;
pub mod backups;
pub mod diff;
pub mod export;
pub mod import;
pub mod maintain;
pub mod query;
pub mod reset;
pub mod restore;
pub mod seed;
pub mod shell;
pub mod sync;

use anyhow::Result;

use crate::ui::{Failure, prompt};
use crate::workspace::{BackupPolicy, Environment};

/// Parallel jobs of pg_dump and pg_restore: `--jobs`, else the policy's.
fn jobs(given: Option<u32>, policy: &BackupPolicy) -> Result<u32> {
    match given {
        Some(jobs) if !(1..=64).contains(&jobs) => Err(Failure::usage("`--jobs` is a number from 1 to 64").into()),
        Some(jobs) => Ok(jobs),
        None => Ok(policy.jobs),
    }
}

/// A protected environment is not written to without its name being typed, or given with `--confirm`.
pub fn confirm(environment: &Environment, question: &str, given: Option<&str>) -> Result<()> {
    if !environment.is_protected() {
        return Ok(());
    }
    let question = format!("`{}` is protected; {question}", environment.name);
    match prompt::confirm_by_name(&question, &environment.name, given)? {
        true => Ok(()),
        false => Err(Failure::refused("not confirmed; nothing was touched").into()),
    }
}
