//! `migrate verify`: the migrations against themselves, without touching an environment. Every check runs, then the verdict.
//!
//! In this order: files and checksums; git's history and origin's main; replay against database/schema/current.sql; each
//! pending migration taken back by its down file; every query prepared; every environment's seeds loaded twice.

use anyhow::Result;
use serde_json::json;

use super::schema::{compare, replay, replay_some};
use super::up::{Disk, Wish};
use crate::flags::MigrateVerify;
use crate::tools::git;
use crate::ui::{self, Exit, Failure, Finding, Place};
use crate::workspace::{Environment, Workspace, entries};
use database::checksums::Checksums;
use database::ledger::{self, Chain, Run};
use database::lock::{self, Protects};
use database::migrations::{self, Migration, Runner, order};
use database::schema::{dump, first_difference};
use database::scratch::Scratch;
use database::session::Session;
use database::{Target, queries, seeds};

pub fn verify(workspace: &Workspace, flags: &MigrateVerify) -> Result<Exit> {
    let disk = Disk::read(workspace)?;
    migrations::prepare(workspace, [disk.files.clone(), disk.repeatable.clone()].concat())?;
    let mut findings = Vec::new();
    let mut check = |name: &str, found: Vec<Finding>| {
        let step = ui::step(name);
        match found.len() {
            0 => step.done(),
            count => step.failed(&format!("{count} found")),
        }
        findings.extend(found);
    };
    check("applied/ is as it was released", Checksums::read(workspace)?.check(workspace)?);
    check("applied/ in git's history", history(workspace));
    check("versions against origin's main", versions(workspace, &disk));
    let step = ui::step("replay all migrations");
    let scratch = Scratch::empty(workspace, &step)?;
    let target = &scratch.target;
    replay(workspace, &disk, target)?;
    step.done_with(&format!("{} files", disk.files.len() + disk.repeatable.len()));
    check("the schema is what they make", compare(workspace, &dump(target)?)?.into_iter().collect());
    check("every query can be prepared", prepared(workspace, target)?);
    check("seeds load twice", seeded(workspace, target)?);
    check("down after up", taken_back(workspace, &disk, target)?);
    if flags.json {
        let objects = findings.iter().map(Finding::to_json).collect::<Vec<_>>();
        ui::json(&json!({"ok": findings.is_empty(), "findings": objects}));
    }
    match findings.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Failure::with_findings(Exit::Findings, "the migrations do not hold together", findings).into()),
    }
}

fn at(file: impl AsRef<camino::Utf8Path>) -> Place {
    Place { file: file.as_ref().to_owned(), line: 1, column: 1 }
}

/// Files of applied/ that a commit changed after they came there.
fn history(workspace: &Workspace) -> Vec<Finding> {
    let folder = workspace.migrations().join("applied");
    let edited = git::changed_after_added(workspace.root(), workspace.relative(&folder));
    let finding = |(file, commit): &(String, String)| {
        Finding::error(format!("commit {commit} changed it after it was released"))
            .at(at(file))
            .hint(format!("git show {commit} -- {file}; put it back as it was"))
    };
    edited.iter().filter(|(file, _)| file.ends_with(".sql")).map(finding).collect()
}

/// Versions that origin's main has already, or that are older than its newest one.
fn versions(workspace: &Workspace, disk: &Disk) -> Vec<Finding> {
    let folder = workspace.migrations();
    let Some((branch, names)) = git::files_of_main(workspace.root(), workspace.relative(&folder)) else {
        return Vec::new();
    };
    let theirs: Vec<(String, String)> = names
        .iter()
        .filter(|path| path.ends_with(".sql") && !path.ends_with(".down.sql"))
        .filter_map(|path| migrations::file::name_parts(camino::Utf8Path::new(path).file_stem()?))
        .collect();
    let newest = theirs.iter().max_by(|a, b| order(&a.0).cmp(&order(&b.0)));
    let mut findings = Vec::new();
    for file in &disk.files {
        let same = theirs.iter().find(|(version, _)| order(version) == order(&file.version));
        let message = match (same, newest) {
            (Some((_, name)), _) if *name == file.name => continue,
            (Some((version, name)), _) => format!("{branch} has version {version} already: {version}_{name}"),
            (None, Some((version, _))) if order(&file.version) < order(version) => {
                format!("version {} is older than {version}, the newest one of {branch}", file.version)
            }
            _ => continue,
        };
        findings.push(Finding::error(message).at(at(&file.file)).hint("rename it to a later version"));
    }
    findings
}

fn prepared(workspace: &Workspace, target: &Target) -> Result<Vec<Finding>> {
    let mut session = Session::open(target, &ledger::purpose("migrate verify"))?;
    let mut findings = Vec::new();
    for query in queries::read(workspace)? {
        let answer = session.run(&format!("prepare verified as {}", query.for_check()))?;
        match answer.error {
            Some(error) => findings.push(
                Finding::error(format!("it cannot run on the schema: {error} ({})", error.sqlstate))
                    .at(at(&query.file)),
            ),
            None => _ = session.execute("deallocate verified")?,
        }
    }
    Ok(findings)
}

/// Loads the seeds of each environment twice, in transactions that are thrown away.
fn seeded(workspace: &Workspace, target: &Target) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in workspace.environment_names().iter().filter(|name| !entries(&workspace.seeds(name)).is_empty()) {
        let environment = Environment::for_test(workspace, name)?;
        let copy = target.scratch(&format!("{}_seeds", target.database))?;
        replay(workspace, &Disk::read(workspace)?, &copy)?;
        let mut counts = Vec::new();
        for turn in ["first", "second"] {
            let mut session = Session::open(&copy, &ledger::purpose("migrate verify"))?;
            if let Err(error) = seeds::load(&mut session, workspace, &environment) {
                if let Some(failure) = error.downcast_ref::<Failure>() {
                    findings.extend(failure.findings().iter().cloned());
                }
                let folder = workspace.seeds(name);
                findings.push(
                    Finding::error(format!("the {turn} load failed: {error:#}")).at(at(workspace.relative(&folder))),
                );
                break;
            }
            counts.push(rows(&mut session)?);
        }
        if let [first, second] = &counts[..]
            && first != second
        {
            let folder = workspace.seeds(name);
            let finding = Finding::error(format!("the second load changed the number of rows: {first} then {second}"));
            findings.push(
                finding.at(at(workspace.relative(&folder))).hint("use `on conflict … do nothing` or `do update`"),
            );
        }
        if let Some(cluster) = target.cluster() {
            cluster.drop_database(&copy.database)?;
        }
    }
    Ok(findings)
}

/// Rows of each table.
fn rows(session: &mut Session) -> Result<String> {
    let tables = session.value(
        "select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'ops') order by 1",
    )?;
    let mut counts = Vec::new();
    for table in tables.lines() {
        counts.push(format!("{table} {}", session.value(&format!("select count(*) from {table}"))?));
    }
    Ok(counts.join(", "))
}

/// Takes each pending migration back and applies it again; the schema must be the one before it, then the one after it.
fn taken_back(workspace: &Workspace, disk: &Disk, target: &Target) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let has_down = |file: &&Migration| {
        file.is_pending_file() && migrations::down_file(workspace, file).is_ok_and(|down| down.is_some())
    };
    let Some(first) = disk.files.iter().find(has_down) else { return Ok(findings) };
    let copy = target.scratch(&format!("{}_down", target.database))?;
    let files: Vec<&Migration> = disk.files.iter().collect();
    let start = files.iter().position(|file| file.version == first.version).unwrap_or(0);
    if start > 0 {
        replay_some(workspace, disk, &copy, &Wish { to: Some(&files[start - 1].version), out_of_order: false })?;
    }
    for file in &files[start..] {
        let wish = Wish { to: Some(&file.version), out_of_order: false };
        let Some(down) = migrations::down_file(workspace, file)? else {
            replay_some(workspace, disk, &copy, &wish)?;
            continue;
        };
        let before = dump(&copy)?;
        replay_some(workspace, disk, &copy, &wish)?;
        let ready = migrations::prepare(workspace, vec![down])?.remove(0);
        let place = at(&ready.migration.file);
        let difference = match take_back(&copy, &ready) {
            Ok(()) => first_difference(&before, &dump(&copy)?),
            Err(error) => {
                if let Some(failure) = error.downcast_ref::<Failure>() {
                    findings.extend(failure.findings().iter().cloned());
                }
                findings.push(Finding::error(format!("it cannot take its migration back: {error:#}")).at(place));
                // What it has done until then is not known: the next ones begin anew.
                copy.recreate()?;
                replay_some(workspace, disk, &copy, &wish)?;
                continue;
            }
        };
        if let Some((_, expected, found)) = difference {
            let message = format!(
                "it does not restore the schema: before was `{}`, after it is `{}`",
                expected.trim(),
                found.trim()
            );
            findings.push(Finding::error(message).at(place));
            copy.recreate()?;
        }
        replay_some(workspace, disk, &copy, &wish)?;
    }
    if let Some(cluster) = target.cluster() {
        cluster.drop_database(&copy.database)?;
    }
    Ok(findings)
}

fn take_back(target: &Target, down: &migrations::Ready) -> Result<()> {
    let mut session = Session::open(target, &ledger::purpose("migrate verify"))?;
    lock::take(&mut session, Protects::Schema, super::PATIENCE)?;
    let look = ledger::look(&mut session, "")?;
    let row = look.rows.iter().find(|row| order(&row.version) == order(&down.migration.version));
    let Some(row) = row else { return Ok(()) };
    let chain = Chain { last: look.chain.clone(), run: Run::new(None)? };
    let mut runner = Runner { session: &mut session, chain, timeouts: target.config.timeouts };
    runner.down(down, row, &[]).map(|_| ())
}
