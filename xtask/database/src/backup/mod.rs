//! Backups of a database: made from one snapshot ([`dump`]), described by a manifest ([`manifest`]) with the content of
//! every table ([`content`]), kept by a policy ([`policy`]) in a folder ([`store`]), and restored into a new database
//! ([`scratch`]) that takes the old one's place by rename ([`swap`]).

pub mod content;
pub mod dump;
mod facts;
pub mod manifest;
pub mod policy;
mod releases;
pub mod scratch;
pub mod store;
pub mod swap;

use super::ledger;
use super::target::Target;
use super::url::Connection;

/// How pg_dump and pg_restore get to a database; what they run there ends soon after they do.
fn guarded(target: &Target, task: &str) -> Connection {
    let connection = target.connection();
    let options = connection.get("PGOPTIONS").unwrap_or_default();
    let options = format!("{options} -c client_connection_check_interval=1000");
    connection.with("PGAPPNAME", &ledger::purpose(task)).with("PGOPTIONS", options.trim())
}
