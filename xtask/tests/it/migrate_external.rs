//! Everything that is tested of migrations, backups and transfers, again on a server that others run: Debian's
//! PostgreSQL 15 with TLS, over TCP, with a password, through Debian's own client.

use std::path::Path;
use std::process::Command;

use crate::backup_external::{BIN, Server};

#[test]
fn the_same_holds_on_an_older_server_of_others() {
    // Another password than the one that is looked for in every command line while this runs.
    let Some(server) = Server::with("the_same_holds_on_an_older_server_of_others", "m&m", "m%26m") else { return };
    let psql = Path::new(BIN).join("psql");
    let made = Command::new(&psql).args(["-Xqc", "create database others", "-d", &server.url("postgres")]).status();
    assert!(made.unwrap().success());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["migrate::", "migrate_killed::", "migrate_traps::", "import::", "database::", "backup::"])
        .args(["transfer::", "sync::", "--test-threads=4"])
        .env("XTASK_TEST_DATABASE", server.url("others"))
        .env("XTASK_TEST_PSQL", &psql)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("skipped:"), "{said}");
    let passed = said.split("test result: ok. ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed >= 60), "{said}");
}
