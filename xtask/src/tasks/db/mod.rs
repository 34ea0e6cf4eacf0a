//! `db …`: what one does to a database beside its schema; one file a verb.

pub mod backup;
pub mod backups;
pub mod query;
pub mod reset;
pub mod restore;
pub mod seed;
pub mod shell;

use anyhow::Result;

use crate::ui::Failure;
use crate::workspace::BackupPolicy;

/// Parallel jobs of pg_dump and pg_restore: `--jobs`, else the policy's.
fn jobs(given: Option<u32>, policy: &BackupPolicy) -> Result<u32> {
    match given {
        Some(jobs) if !(1..=64).contains(&jobs) => Err(Failure::usage("`--jobs` is a number from 1 to 64").into()),
        Some(jobs) => Ok(jobs),
        None => Ok(policy.jobs),
    }
}
