//! A backup in a database of its own, beside the one it was made of: made, loaded, compared with the manifest, and then
//! dropped, named or swapped in. Its name says whose it is, and an advisory lock with that name says that its maker
//! lives; the next run drops one without.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::json;

use super::content::{self, View};
use super::manifest::{self, DUMP, Manifest};
use super::store::Backup;
use super::{facts, guarded};
use crate::session::{Session, identifier, literal};
use crate::{Target, ledger, lock};
use base::tools::{Cmd, files, os};
use base::ui::{self, Exit, Failure, Step};

/// The database that is always there, and that nobody renames.
const MAINTENANCE: &str = "postgres";
/// PostgreSQL cuts names at 63 bytes; this leaves room for what we put behind.
const STEM: usize = 38;

/// A session in the maintenance database of a target's server. It may have nothing to do for as long as a restore takes.
pub fn maintenance(target: &Target, task: &str) -> Result<Session> {
    let mut session = Session::open(&target.with_database(MAINTENANCE), &ledger::purpose(task))?;
    session.execute("set idle_session_timeout = 0")?;
    Ok(session)
}

/// What the names of databases that we make beside `database` begin with.
pub fn beside(database: &str, what: &str) -> String {
    let mut end = database.len().min(STEM);
    while !database.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}__{what}_", &database[..end])
}

pub fn exists(maintenance: &mut Session, database: &str) -> Result<bool> {
    let query = format!("select count(*) from pg_catalog.pg_database where datname = {}", literal(database));
    Ok(maintenance.value(&query)? == "1")
}

/// Drops what killed runs have left beside the target's database; a run that lives is left alone.
pub fn sweep(maintenance: &mut Session, target: &Target) -> Result<Vec<String>> {
    let start = beside(&target.database, "restore");
    let rows = maintenance.query("select datname as name from pg_catalog.pg_database")?;
    let mut dropped = Vec::new();
    for name in rows.iter().filter_map(|row| row["name"].as_str()) {
        let is_ours = name
            .strip_prefix(&start)
            .is_some_and(|rest| rest.len() == 10 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_ours && lock::take_as_maker(maintenance, name)? {
            // Another run may have dropped it between the two questions.
            maintenance.execute(&format!("drop database if exists {} with (force)", identifier(name)))?;
            lock::give_back_as_maker(maintenance, name)?;
            dropped.push(name.to_owned());
        }
    }
    Ok(dropped)
}

/// The new database, for as long as this run works on it.
pub struct Scratch {
    pub target: Target,
    /// In the maintenance database; holds the lock of the scratch database's name.
    pub maintenance: Session,
    rights: Rights,
}

impl Scratch {
    /// Looks whether the server can take the backup at all, then makes an empty database like the target's;
    /// `maintenance` is a session of [`maintenance`]. Refused
    /// (exit 3) where roles are missing or the server is older than the backup.
    pub fn make(mut maintenance: Session, target: &Target, manifest: &Manifest) -> Result<Scratch> {
        let rights = preflight(&mut maintenance, target, manifest)?;
        let name = format!("{}{}", beside(&target.database, "restore"), os::random_hex(5)?);
        let model = exists(&mut maintenance, &target.database)?.then_some(target.database.as_str());
        let encoding = manifest.database["encoding"].as_str().unwrap_or("UTF8");
        let options = facts::create_options(&mut maintenance, model, encoding)?;
        lock::take_as_maker(&mut maintenance, &name)?;
        maintenance
            .execute(&format!("create database {} {options}", identifier(&name)))
            .context("failed to make the new database")?;
        let scratch = Scratch { target: target.with_database(&name), maintenance, rights };
        Ok(scratch)
    }

    /// pg_restore, all or nothing to the caller: an error ends it.
    pub fn load(&self, backup: &Backup, jobs: u32, step: &Step) -> Result<()> {
        let made_with = backup.usable()?.client_major();
        pg_restore(&self.target, (&backup.folder.join(DUMP), made_with), jobs, self.rights, step)
    }

    /// As [`compare`].
    pub fn verify(&self, manifest: &Manifest, jobs: u32) -> Result<bool> {
        compare(&self.target, manifest, jobs)
    }

    /// Makes it a database of `environment`, with statistics for the planner.
    pub fn settle(&self, environment: &str) -> Result<()> {
        let mut session = Session::open(&self.target, &ledger::purpose("db restore"))?;
        if session.value("select to_regclass('ops.identity') is not null")? == "t" {
            let name = literal(environment);
            session.execute(&format!("update ops.identity set environment = {name} where environment <> {name}"))?;
        }
        session.execute("set statement_timeout = 0")?;
        session.execute("analyze")?;
        Ok(())
    }

    /// Gives it a name for good.
    pub fn rename(mut self, name: &str) -> Result<()> {
        let (from, to) = (identifier(&self.target.database), identifier(name));
        self.maintenance.execute(&format!("alter database {from} rename to {to}"))?;
        Ok(())
    }

    /// Drops it, whoever is connected.
    pub fn remove(mut self) -> Result<()> {
        let name = identifier(&self.target.database);
        self.maintenance.execute(&format!("drop database if exists {name} with (force)"))?;
        Ok(())
    }
}

/// Compares what a database holds with the manifest, table by table. Exit 1 when it differs. False when another version of
/// this program has hashed the content in a way of its own, so that only the numbers of rows could be compared.
fn compare(target: &Target, manifest: &Manifest, jobs: u32) -> Result<bool> {
    let mut session = Session::open(target, &ledger::purpose("db restore"))?;
    content::settle(&mut session)?;
    let shapes = content::shapes(&mut session)?;
    let jobs = usize::try_from(jobs).unwrap_or(1);
    let mut found = content::look(target, &shapes, View::Now, jobs, &AtomicBool::new(false))?;
    let is_comparable = manifest.content == content::METHOD;
    for table in found.iter_mut().filter(|_| !is_comparable) {
        let known = manifest.tables.iter().find(|known| known.name == table.name);
        table.hash = known.map_or_else(String::new, |known| known.hash.clone());
    }
    let mut findings = content::differences(&manifest.tables, &found);
    findings.extend(content::astray(&manifest.sequences, &content::sequences(&mut session)?));
    if findings.is_empty() {
        return Ok(is_comparable);
    }
    let message = format!("what was restored is not what the backup `{}` held", manifest.id);
    Err(Failure::with_findings(Exit::Failed, &message, findings).into())
}

/// Fills an empty database with a backup to try things in, whoever owned it and could see it, and compares it with its
/// manifest, as [`compare`] says. The files are checked first: a damaged backup is refused (exit 3).
pub fn fill(target: &Target, backup: &Backup, jobs: u32, step: &Step) -> Result<bool> {
    let started = Instant::now();
    let manifest = backup.usable()?;
    step.detail("the backup's files");
    manifest::check(&backup.folder, manifest)?;
    step.detail("pg_restore");
    let mut session = Session::open(target, &ledger::purpose("db restore"))?;
    // It may hold what only few may see.
    session.execute(&format!("revoke all on database {} from public", identifier(&target.database)))?;
    pg_restore(target, (&backup.folder.join(DUMP), manifest.client_major()), jobs, Rights::None, step)?;
    step.detail("comparing");
    let is_proven = compare(target, manifest, jobs)?;
    if is_proven {
        // Best effort: what was proven is proven.
        let _noted = note_verified(backup, target, started);
    }
    session.execute("set statement_timeout = 0")?;
    session.execute("analyze")?;
    Ok(is_proven)
}

/// What a restore keeps of who owns objects and who may use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    All,
    /// Everything belongs to whoever restores.
    Grants,
    None,
}

/// What rights can be kept; refused where the server cannot take the backup.
fn preflight(maintenance: &mut Session, target: &Target, manifest: &Manifest) -> Result<Rights> {
    target.check_client(manifest.client_major())?;
    let server: u32 = maintenance.value("select current_setting('server_version_num')::int / 10000")?.parse()?;
    if server < manifest.server_major() {
        let message = format!(
            "the backup is of PostgreSQL {}, and the server of `{}` is {server}: it may not understand all of it",
            manifest.server_major(),
            target.environment
        );
        return Err(Failure::refused(message).hint("restore it on a server of that version or a later one").into());
    }
    let missing = facts::missing_roles(maintenance, &manifest.names("grantees"))?;
    let owners = manifest.names("owners");
    let strangers = facts::missing_roles(maintenance, &owners)?;
    // One owner of everything simply has another name here: it is whoever restores.
    let keep_owners = strangers.is_empty();
    let needed: Vec<String> = match keep_owners || owners.len() == 1 {
        true => missing,
        false => missing.into_iter().chain(strangers).collect(),
    };
    if needed.is_empty() {
        return Ok(if keep_owners { Rights::All } else { Rights::Grants });
    }
    let message = format!("the backup grants to roles that the server does not have: {}", needed.join(", "));
    let hint = format!("make them first: `create role {} nologin;`", identifier(&needed[0]));
    Err(Failure::refused(message).hint(hint).into())
}

/// Fills an empty database of a rehearsal with a backup, but for its releases: those belong to the environment itself.
pub fn load_into(target: &Target, backup: &Backup, jobs: u32, step: &Step) -> Result<()> {
    let manifest = backup.usable()?;
    step.detail("the backup's files");
    manifest::check(&backup.folder, manifest)?;
    step.detail("pg_restore");
    pg_restore(target, (&backup.folder.join(DUMP), manifest.client_major()), jobs, Rights::Grants, step)?;
    let mut session = Session::open(target, &ledger::purpose("rehearsal"))?;
    session.execute("set client_min_messages = warning")?;
    session.execute("drop table if exists ops.release_step, ops.release, ops.release_key cascade")?;
    session.execute("analyze")?;
    Ok(())
}

/// pg_restore of a folder, and the major version of the pg_dump that wrote it, into a database; the first error ends it.
pub fn pg_restore(
    target: &Target,
    (dump, made_with): (&Utf8Path, u32),
    jobs: u32,
    rights: Rights,
    step: &Step,
) -> Result<()> {
    // As a connection string: a plain name with a `=` in it would be read as one.
    let database = target.database.replace('\\', "\\\\").replace('\'', "\\'");
    let connection = guarded(target, "db restore");
    // Nobody reads it yet, and what makes it the database in use is written through to the disk with all before it.
    let options = format!("{} -c synchronous_commit=off", connection.get("PGOPTIONS").unwrap_or_default());
    let tools = target.tools(made_with)?;
    let mut restore = connection.with("PGOPTIONS", options.trim()).apply(Cmd::new(tools.program("pg_restore"))).args([
        "--format=directory",
        "--no-password",
        &format!("--jobs={jobs}"),
        &format!("--dbname=dbname='{database}'"),
    ]);
    restore = restore.args(match rights {
        Rights::All => &[][..],
        Rights::Grants => &["--no-owner"],
        Rights::None => &["--no-owner", "--no-privileges"],
    });
    if tools.major < 17 || target.server_major() >= 17 {
        return restore.arg("--exit-on-error").arg(dump).run(step);
    }
    // From 17 on, pg_restore begins with a setting that older servers do not know, and cannot be told not to.
    let restore = restore.env("LC_ALL", "C.UTF-8").arg(dump);
    let output = restore.output()?;
    let is_serious = |line: &str| line.starts_with("pg_restore: error: ") && !line.contains("\"transaction_timeout\"");
    match output.code > 1 || output.stderr.lines().any(is_serious) {
        true => Err(restore.failure(&output)),
        false => Ok(()),
    }
}

/// Notes beside the manifest that the backup was proven by a restore.
pub fn note_verified(backup: &Backup, target: &Target, started: Instant) -> Result<()> {
    let manifest = backup.usable()?;
    let run = ledger::Run::new(None)?;
    let note = json!({
        "verified_at": ui::utc(std::time::SystemTime::now()),
        "manifest_sha256": manifest.sha256(),
        "tables": manifest.tables.len(),
        "seconds": started.elapsed().as_secs_f64(),
        "on": {"environment": target.environment, "database": target.database, "host": run.host, "user": run.os_user},
    });
    files::write_json(&backup.folder.join(manifest::VERIFIED), &note)
}
