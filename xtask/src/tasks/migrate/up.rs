//! `migrate up`: plans, takes the lock, applies each pending migration with its ledger row, then what is repeatable.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{PATIENCE, authorise, chain, elsewhere, lock_and_look, look, milliseconds, open_environment, remember};
use crate::flags::MigrateUp;
use crate::ui::{self, Exit, Failure};
use crate::workspace::{Environment, Workspace};
use database::ledger::Look;
use database::lock::{self, Protects};
use database::migrations::standing::check_order;
use database::migrations::{self, Migration, Ready, Runner, leftovers, order};
use database::session::Session;
use database::{Target, ledger, seeds};

/// More files than this are told as one step.
const MANY: usize = 20;

pub fn up(workspace: &Workspace, environment: Option<&str>, flags: &MigrateUp) -> Result<Exit> {
    let (environment, target) = open_environment(workspace, environment)?;
    let patience = flags.wait.map_or(PATIENCE, Duration::from_secs);
    // Side by side: with a thousand files both take a while, also when nothing is to be done.
    let (disk, asked) = std::thread::scope(|scope| {
        let disk = scope.spawn(|| Disk::read(workspace));
        let asked = look(&target, &environment, "migrate up", patience);
        (disk.join().unwrap_or_else(|_| Disk::read(workspace)), asked)
    });
    let disk = disk?;
    disk.check_version(flags.to.as_deref())?;
    let (mut session, look) = asked?;
    let wish = Wish { to: flags.to.as_deref(), out_of_order: flags.out_of_order };
    let plan = Plan::new(workspace, &disk, &look, &environment.name, &wish)?;
    if flags.plan {
        return Ok(plan.show(flags.json));
    }
    let mut applied = Vec::new();
    if plan.is_empty() && look.is_ready {
        remember(workspace, &environment, &look.rows)?;
    } else {
        authorise(&mut session, &look, &environment, &target, flags.confirm.as_deref())?;
        let lock_wait = flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs);
        applied = apply(workspace, &mut session, &disk, &environment, &target, &wish, lock_wait)?;
    }
    if flags.json {
        let object = |(migration, time): &(Migration, Duration)| json!({"version": migration.version, "name": migration.name, "duration_ms": milliseconds(*time)});
        ui::json(&json!({"applied": applied.iter().map(object).collect::<Vec<_>>()}));
    } else if applied.is_empty() {
        ui::say("nothing to do: no migration is pending");
    }
    Ok(Exit::Done)
}

/// Brings a database up to date and seeds it, as `setup` and `test` do.
pub fn apply_and_seed(workspace: &Workspace, environment: &Environment, target: &Target) -> Result<()> {
    let disk = Disk::read(workspace)?;
    let (mut session, look) = look(target, environment, "setup", PATIENCE)?;
    let plan = Plan::new(workspace, &disk, &look, &environment.name, &Wish::ALL)?;
    if plan.is_empty() && look.is_ready {
        ui::step("migrate").same("no migration is pending");
        remember(workspace, environment, &look.rows)?;
        lock::take(&mut session, Protects::Schema, PATIENCE)?;
    } else {
        authorise(&mut session, &look, environment, target, None)?;
        apply(workspace, &mut session, &disk, environment, target, &Wish::ALL, PATIENCE)?;
    }
    let step = ui::step("seed");
    let loaded = seeds::load(&mut session, workspace, environment)?;
    step.done_with(&format!("{} files", loaded.len()));
    Ok(())
}

/// What a deployment was agreed to with.
pub struct Planned<'a> {
    /// Title and SHA-256 of each migration.
    pub files: Vec<(&'a str, &'a str)>,
    /// [`seeds::hash`].
    pub seeds: &'a str,
}

impl Planned<'_> {
    /// Refuses (exit 3) what was not in it: a file that came or was changed since.
    fn check(&self, workspace: &Workspace, environment: &str, plan: &Plan) -> Result<()> {
        let all = plan.pending.iter().chain(&plan.repeatable).map(|ready| &ready.migration);
        let is_known = |file: &&Migration| {
            let title = file.title();
            self.files.iter().any(|(name, sha256)| *name == title && *sha256 == file.sha256)
        };
        let new: Vec<String> = all.filter(|file| !is_known(file)).map(|file| file.file.to_string()).collect();
        let what = match new.is_empty() {
            false => new.join(", "),
            true if seeds::hash(workspace, environment)? != self.seeds => "the reference data".to_owned(),
            true => return Ok(()),
        };
        let failure = Failure::refused(format!("{what} changed while this was deployed; no migration was applied"));
        Err(failure.hint("deploy again: the plan is then made of what is there").into())
    }
}

/// The same for `deploy`, which has asked already: migrations, then reference data; what was applied and written.
pub fn apply_for_deploy(
    workspace: &Workspace,
    environment: &Environment,
    target: &Target,
    planned: &Planned<'_>,
) -> Result<Vec<String>> {
    let disk = Disk::read(workspace)?;
    let (mut session, look) = look(target, environment, "deploy, migrate", PATIENCE)?;
    let plan = Plan::new(workspace, &disk, &look, &environment.name, &Wish::ALL)?;
    planned.check(workspace, &environment.name, &plan)?;
    let mut done = Vec::new();
    if !plan.is_empty() || !look.is_ready {
        let applied = apply(workspace, &mut session, &disk, environment, target, &Wish::ALL, PATIENCE)?;
        done.extend(applied.iter().map(|(migration, _)| migration.title()));
    }
    if !seeds::files(workspace, &environment.name).is_empty() {
        lock::take(&mut session, Protects::Schema, PATIENCE)?;
        let (files, rows) = seeds::load_counting(&mut session, workspace, environment)?;
        if rows > 0 {
            done.push(format!("{rows} rows of reference data from {} files", files.len()));
        }
    }
    Ok(done)
}

/// What is pending in a database, as `deploy` plans it.
pub fn pending_for_deploy(workspace: &Workspace, environment: &Environment, look: &Look) -> Result<Vec<Ready>> {
    let disk = Disk::read(workspace)?;
    let plan = Plan::new(workspace, &disk, look, &environment.name, &Wish::ALL)?;
    Ok(plan.pending.into_iter().chain(plan.repeatable).collect())
}

/// What the folders hold.
pub(super) struct Disk {
    pub files: Vec<Migration>,
    pub repeatable: Vec<Migration>,
}

impl Disk {
    pub fn read(workspace: &Workspace) -> Result<Disk> {
        Ok(Disk { files: migrations::read(workspace)?, repeatable: migrations::read_repeatable(workspace)? })
    }
    /// Refuses (exit 2) a version that no file has.
    pub fn check_version(&self, version: Option<&str>) -> Result<()> {
        let Some(version) = version else { return Ok(()) };
        if self.files.iter().any(|file| order(&file.version) == order(version)) {
            return Ok(());
        }
        let failure = Failure::usage(format!("there is no migration of version `{version}`"));
        Err(failure.hint("see `cargo xtask migrate status`").into())
    }
}

/// What is asked for.
pub(super) struct Wish<'a> {
    pub to: Option<&'a str>,
    pub out_of_order: bool,
}

impl Wish<'_> {
    pub const ALL: Wish<'static> = Wish { to: None, out_of_order: false };
}

/// What is to run.
pub(super) struct Plan {
    pub pending: Vec<Ready>,
    pub repeatable: Vec<Ready>,
    /// What is applied although it is older than what was applied before.
    pub late: Vec<String>,
}

impl Plan {
    /// Compares folders and ledger, or refuses.
    pub fn new(workspace: &Workspace, disk: &Disk, look: &Look, environment: &str, wish: &Wish<'_>) -> Result<Plan> {
        look.check_chain()?;
        let standings = migrations::compare(&disk.files, &look.rows);
        migrations::check_history(&standings, environment, elsewhere(workspace, environment))?;
        let open: std::collections::BTreeSet<_> =
            standings.iter().filter(|it| it.state.is_open()).map(|it| it.version.as_str()).collect();
        let is_wanted = |file: &&Migration| {
            open.contains(file.version.as_str()) && wish.to.is_none_or(|to| order(&file.version) <= order(to))
        };
        let pending: Vec<Migration> = disk.files.iter().filter(is_wanted).cloned().collect();
        let late = check_order(&standings, &pending, environment, wish.out_of_order)?;
        let is_known = |file: &Migration| {
            look.repeatable.iter().any(|(name, sha256)| *name == file.name && *sha256 == file.sha256)
        };
        let stale = disk.repeatable.iter().filter(|file| wish.to.is_none() && !is_known(file)).cloned().collect();
        Ok(Plan {
            pending: migrations::prepare(workspace, pending)?,
            repeatable: migrations::prepare(workspace, stale)?,
            late,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.repeatable.is_empty()
    }

    fn show(&self, as_json: bool) -> Exit {
        let all = self.pending.iter().chain(&self.repeatable);
        if as_json {
            let object = |ready: &Ready| {
                let file = &ready.migration;
                json!({"version": file.version, "name": file.name, "file": file.file.as_str()})
            };
            ui::json(&json!({"pending": all.map(object).collect::<Vec<_>>()}));
        } else {
            let how = |ready: &Ready| match ready.script.directives {
                ref it if it.no_transaction => "statement by statement",
                ref it if it.own_transaction => "in transactions of its own",
                _ => "",
            };
            let row = |ready: &Ready| vec![ready.migration.file.to_string(), how(ready).to_owned()];
            ui::out(&ui::table(&[], &all.map(row).collect::<Vec<_>>()));
            self.late.iter().for_each(|late| ui::warn(late));
        }
        if self.is_empty() { Exit::Done } else { Exit::Findings }
    }
}

/// Applies everything that is pending, under the lock; what was applied and how long each took.
fn apply(
    workspace: &Workspace,
    session: &mut Session,
    disk: &Disk,
    environment: &Environment,
    target: &Target,
    wish: &Wish<'_>,
    lock_wait: Duration,
) -> Result<Vec<(Migration, Duration)>> {
    let look = lock_and_look(session, target, environment, lock_wait)?;
    let plan = Plan::new(workspace, disk, &look, &environment.name, wish)?;
    plan.late.iter().for_each(|late| ui::warn(late));
    let before = leftovers::read(session)?;
    let mut runner = Runner { session, chain: chain(workspace, &look)?, timeouts: target.config.timeouts };
    let result = run(&mut runner, &plan, &look, true);
    let applied = match result {
        Ok(applied) => applied,
        Err(error) => {
            // After a failed COPY the session is over; what is left half done is told all the same.
            if let Ok(mut session) = Session::open(target, &ledger::purpose("migrate look")) {
                leftovers::findings(&mut session, &before).unwrap_or_default().iter().for_each(ui::finding);
            }
            return Err(error);
        }
    };
    remember(workspace, environment, &ledger::read(session)?)?;
    if !applied.is_empty() {
        leftovers::check(session, &before)?;
    }
    Ok(applied)
}

/// Runs a plan, file by file.
pub(super) fn run(
    runner: &mut Runner<'_>,
    plan: &Plan,
    look: &Look,
    is_told: bool,
) -> Result<Vec<(Migration, Duration)>> {
    let begun: Vec<_> = look.rows.iter().filter(|row| matches!(row.state.as_str(), "running" | "reverting")).collect();
    let row = |ready: &Ready| begun.iter().copied().find(|row| order(&row.version) == order(&ready.migration.version));
    let files: Vec<_> = plan.pending.iter().chain(&plan.repeatable).map(|ready| (ready, row(ready))).collect();
    let mut times = Vec::new();
    if is_told && files.len() <= MANY {
        for (ready, row) in &files {
            let step = ui::step(format!("migrate {}", ready.migration.title()));
            times.push(match ready.migration.version.is_empty() {
                true => runner.repeatable(ready)?,
                false => runner.up(ready, *row)?,
            });
            step.done();
        }
    } else {
        let step = is_told.then(|| ui::step(format!("migrate {} files", files.len())));
        let begins = |ready: &Ready| step.iter().for_each(|step| step.detail(&ready.migration.title()));
        times = runner.many(&files, begins)?;
        if let Some(step) = step {
            step.done();
        }
    }
    Ok(files.iter().map(|(ready, _)| ready.migration.clone()).zip(times).collect())
}
