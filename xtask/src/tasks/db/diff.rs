//! `db diff`: a live database against what its migrations make.

use anyhow::Result;
use serde_json::json;

use crate::flags::DbDiff;
use crate::tasks::migrate::{self, open_environment, open_own};
use crate::tools::os;
use crate::ui::{self, Exit};
use crate::workspace::Workspace;
use database::diff::{self, Difference};
use database::scratch::{Scratch, copy_schema};
use database::session::{Session, identifier};
use database::{Target, ledger, lock};

/// Replays the migrations that are applied there into an empty database, and compares the two catalogs.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbDiff) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let mut live = open_own(&target, "db diff")?;
    let look = ledger::look(&mut live, &target.config.service_role)?;
    let step = ui::step("replay the migrations that are applied");
    sweep(&mut live)?;
    let empty = Empty::beside(workspace, &target, &mut live, &step)?;
    let (count, missing) = migrate::replay_applied(workspace, &look, empty.target())?;
    step.done_with(&format!("{count} files"));
    let expected = diff::read(&mut Session::open(empty.target(), &ledger::purpose("db diff"))?)?;
    let mut differences: Vec<Difference> = missing
        .into_iter()
        .map(|object| Difference {
            kind: "migration".to_owned(),
            object,
            expected: None,
            found: Some("applied".to_owned()),
        })
        .collect();
    let found = diff::compare(&expected, &diff::read(&mut live)?);
    differences.extend(match found.iter().any(Difference::may_be_writing) {
        true => written_alike(workspace, found, (empty.target(), &target), &mut live)?,
        false => found,
    });
    if flags.json {
        let all: Vec<_> = differences.iter().map(Difference::to_json).collect();
        ui::json(&json!({"environment": environment.name, "differences": all}));
    } else {
        for difference in &differences {
            ui::out(&difference.line());
        }
        match differences.len() {
            0 => ui::say("nothing differs: the database is what its migrations make"),
            count => ui::say(&format!("{count} differences; a new migration brings both together")),
        }
    }
    Ok(if differences.is_empty() { Exit::Done } else { Exit::Findings })
}

/// The differences that remain when both databases are written by one more dump: a database that was restored, or that has
/// another version of PostgreSQL, has the same expressions in other words.
fn written_alike(
    workspace: &Workspace,
    differences: Vec<Difference>,
    (expected, found): (&Target, &Target),
    live: &mut Session,
) -> Result<Vec<Difference>> {
    let step = ui::step("compare how both are written");
    let mut again = |of: &Target| {
        let empty = Empty::beside(workspace, found, live, &step)?;
        copy_schema(of, empty.target())?;
        diff::read(&mut Session::open(empty.target(), &ledger::purpose("db diff"))?)
    };
    match again(expected).and_then(|expected| Ok((expected, again(found)?))) {
        Ok((expected, found)) => {
            step.done();
            let is_one = |it: &Difference| !(it.may_be_writing() && it.is_gone_in(&expected, &found));
            Ok(differences.into_iter().filter(is_one).collect())
        }
        // Better too many than too few.
        Err(error) => {
            step.failed(&format!("{error:#}"));
            ui::warn("some of these may be the same, written in another way");
            Ok(differences)
        }
    }
}

/// An empty database, best on the same server: then both are written by the same version, and roles are the same.
enum Empty {
    Here(Scratch),
    There { target: Target, server: Target },
}

/// Behind it stands the number of the database that it was made for, in which its maker holds the lock of its name.
const PREFIX: &str = "xtask_diff_";

/// Drops what killed runs have left, for this database or for one that is gone. Called before this run makes one itself.
fn sweep(live: &mut Session) -> Result<()> {
    let rows = live.query(&format!(
        "select datname as name from pg_catalog.pg_database, lateral split_part(substr(datname, {}), '_', 1) as made_for \
         where starts_with(datname, '{PREFIX}') and not exists (select from pg_catalog.pg_database it \
         where it.oid::text = made_for and it.datname <> current_database())",
        PREFIX.len() + 1
    ))?;
    for name in rows.iter().filter_map(|row| row["name"].as_str()) {
        if lock::take_as_maker(live, name)? {
            // What cannot be removed now is removed by the next run.
            let _dropped = live.run(&format!("drop database if exists {} with (force)", identifier(name)))?;
            lock::give_back_as_maker(live, name)?;
        }
    }
    Ok(())
}

impl Empty {
    fn beside(workspace: &Workspace, target: &Target, live: &mut Session, step: &ui::Step) -> Result<Empty> {
        if target.is_embedded() && target.environment == crate::tasks::services::DEV {
            return Ok(Empty::Here(Scratch::empty(workspace, step)?));
        }
        let made_for = live.value("select oid from pg_catalog.pg_database where datname = current_database()")?;
        let name = format!("{PREFIX}{made_for}_{}", os::random_hex(4)?);
        // From before it is there: a sweep would take it for a killed run's.
        lock::take_as_maker(live, &name)?;
        match live.run(&format!("create database {} template template0", identifier(&name)))?.ok() {
            Ok(_) => Ok(Empty::There { target: target.with_database(&name), server: target.clone() }),
            Err(error) if error.sqlstate == "42501" => {
                ui::warn("the role may not make databases there, so this is compared with a database on this machine");
                Ok(Empty::Here(Scratch::empty(workspace, step)?))
            }
            Err(error) => Err(error.into()),
        }
    }
    fn target(&self) -> &Target {
        match self {
            Empty::Here(scratch) => &scratch.target,
            Empty::There { target, .. } => target,
        }
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        if let Empty::There { target, server } = self {
            // What cannot be removed now is removed by the next run.
            let _dropped = Session::open(server, &ledger::purpose("db diff")).and_then(|mut session| {
                session.run(&format!("drop database {} with (force)", identifier(&target.database)))
            });
        }
    }
}
