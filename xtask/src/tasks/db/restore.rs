//! `db restore ID`: a backup into a new database, compared with its manifest, and then in the place of the old one, which
//! is kept; `--into NAME` beside it, `--verify` only to prove it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::backups::megabytes;
use crate::flags::DbRestore;
use crate::tasks::migrate::{open_environment, open_own};
use crate::tasks::services::DEV;
use crate::tools::files;
use crate::ui::{self, Exit, Failure, prompt};
use crate::workspace::{BackupPolicy, Environment, Workspace};
use database::Target;
use database::backup::manifest::{self, Manifest};
use database::backup::scratch::{self, Scratch};
use database::backup::store::{self, Backup};
use database::backup::swap;
use database::lock::{self, Protects};
use database::session::{Session, identifier};

/// Checks every file, asks, restores beside, compares, and only then touches the database that is in use.
pub fn run(workspace: &Workspace, environment: Option<&str>, flags: &DbRestore) -> Result<Exit> {
    let environment = Environment::load(workspace, environment.unwrap_or(DEV))?;
    let jobs = super::jobs(flags.jobs, &BackupPolicy::load(workspace, &environment.name)?)?;
    if flags.verify && flags.into.is_some() {
        return Err(Failure::usage("`--verify` and `--into` are two different things; give one").into());
    }
    let backup = store::find(workspace, &environment, &flags.id)?;
    let manifest = backup.usable()?;
    let step = ui::step(format!("check {}", manifest.id));
    let times = Times::default();
    times.take("check", || manifest::check(&backup.folder, manifest))?;
    step.done_with(&format!("{} files, {}", manifest.files.len(), megabytes(manifest.bytes())));
    if flags.plan {
        return plan(&environment, manifest, flags);
    }
    if !flags.verify && !is_confirmed(&environment, manifest, flags)? {
        return Err(Failure::refused("not confirmed; nothing was touched").into());
    }
    let (_, target) = open_environment(workspace, Some(&environment.name))?;
    let job =
        Job { workspace, target: &target, backup: &backup, manifest, jobs, flags, started: Instant::now(), times };
    match (&flags.into, flags.verify) {
        (_, true) => job.prove(),
        (Some(name), _) => job.beside(name),
        (None, _) => job.replace(),
    }
}

/// One line of what would be done; exit 3.
fn plan(environment: &Environment, manifest: &Manifest, flags: &DbRestore) -> Result<Exit> {
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let what = match (&flags.into, flags.verify) {
        (_, true) => "a scratch database, which is dropped again".to_owned(),
        (Some(name), _) => format!("the new database `{name}`"),
        (None, _) => format!("a new database, which then replaces that of `{}`; the old one is kept", environment.name),
    };
    let (tables, at) = (manifest.tables.len(), &manifest.created_at);
    ui::out(&format!("restore {} ({tables} tables, {rows} rows, as of {at}) into {what}", manifest.id));
    Ok(Exit::Findings)
}

fn is_confirmed(environment: &Environment, manifest: &Manifest, flags: &DbRestore) -> Result<bool> {
    let name = &environment.name;
    let from = match manifest.environment == *name {
        true => format!("`{}`", manifest.id),
        false => format!("`{}`, a backup of another environment with all that it holds of it", manifest.id),
    };
    let question = match &flags.into {
        Some(into) => format!("restore {from} into the new database `{into}` on the server of `{name}`?"),
        None => format!("replace the database of `{name}` by {from}, as of {}?", manifest.created_at),
    };
    if environment.is_protected() {
        return prompt::confirm_by_name(&format!("`{name}` is protected; {question}"), name, flags.confirm.as_deref());
    }
    match flags.confirm.as_deref() {
        Some(given) => Ok(given == name),
        None => prompt::confirm(&question, flags.yes || (flags.into.is_some() && manifest.environment == *name)),
    }
}

struct Job<'a> {
    workspace: &'a Workspace,
    target: &'a Target,
    backup: &'a Backup,
    manifest: &'a Manifest,
    jobs: u32,
    flags: &'a DbRestore,
    started: Instant,
    /// What each step took.
    times: Times,
}

/// Names of steps and their seconds, as `--json` tells them.
#[derive(Default)]
struct Times(RefCell<Map<String, Value>>);

impl Times {
    fn take<T>(&self, step: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let result = work();
        self.0.borrow_mut().insert(step.to_owned(), json!(started.elapsed().as_secs_f64()));
        result
    }
}

impl Job<'_> {
    /// `--verify`.
    fn prove(&self) -> Result<Exit> {
        let mut maintenance = scratch::maintenance(self.target, "db restore")?;
        drop(self.current(&mut maintenance)?);
        self.sweep(&mut maintenance)?;
        let (scratch, is_verified) = self.load(maintenance)?;
        scratch.remove()?;
        self.report(&json!({"id": self.manifest.id, "database": null, "kept": null, "is_verified": is_verified}), "");
        Ok(Exit::Done)
    }

    /// `--into NAME`.
    fn beside(&self, name: &str) -> Result<Exit> {
        let is_name = !name.is_empty() && name.len() <= 63 && !name.chars().any(char::is_control);
        if !is_name {
            return Err(Failure::usage(format!("`{name}` cannot name a database")).into());
        }
        let mut maintenance = scratch::maintenance(self.target, "db restore")?;
        if scratch::exists(&mut maintenance, name)? {
            let failure = Failure::refused(format!("there is a database `{name}` already; nothing was touched"));
            return Err(failure.hint("give another name, or drop it first").into());
        }
        drop(self.current(&mut maintenance)?);
        self.sweep(&mut maintenance)?;
        let (scratch, is_verified) = self.load(maintenance)?;
        self.settle(&scratch)?;
        scratch.rename(name)?;
        let result = json!({"id": self.manifest.id, "database": name, "kept": null, "is_verified": is_verified});
        self.report(&result, &format!("restored into `{name}`"));
        Ok(Exit::Done)
    }

    /// In the place of the database that is in use.
    fn replace(&self) -> Result<Exit> {
        let mut maintenance = scratch::maintenance(self.target, "db restore")?;
        let mut held = self.current(&mut maintenance)?;
        self.sweep(&mut maintenance)?;
        if let Some(session) = &mut held {
            let patience = self.flags.lock_wait.map_or(Duration::ZERO, Duration::from_secs);
            lock::take(session, Protects::Schema, patience)?;
            session.execute("set idle_session_timeout = 0")?;
            swap::preflight(&mut maintenance, &self.target.database)?;
        }
        let (scratch, is_verified) = self.load(maintenance)?;
        // The session that will end all others connects meanwhile.
        let (ender, settled) = std::thread::scope(|scope| {
            let ender = scope.spawn(|| scratch::maintenance(self.target, "db restore"));
            let settled = self.settle(&scratch);
            (ender.join().unwrap_or_else(|_| Err(Failure::failed("a thread ended early").into())), settled)
        });
        settled?;
        let ender = ender?;
        let step = ui::step(format!("put it in the place of {}", self.target.database));
        let carried = match &mut held {
            Some(held) => swap::carry_releases(held, self.target, &scratch, self.manifest, self.workspace, &step),
            None => Ok(0),
        };
        let carried = match carried {
            Ok(carried) => carried,
            Err(error) => {
                // Best effort: the next run drops it as well.
                let _dropped = scratch.remove();
                return Err(error);
            }
        };
        if let Some(held) = &mut held
            && !lock::is_held(held, Protects::Schema)?
        {
            let _dropped = scratch.remove();
            return Err(Failure::failed("the lock of the schema was lost; the old database serves on").into());
        }
        let kept = self.times.take("swap", || swap::swap(scratch, self.target, held.map(|held| (held, ender))))?;
        step.done_with(&if carried == 0 {
            String::new()
        } else {
            format!("{carried} tables of releases carried over")
        });
        // What the overview remembers of this database is no longer so.
        files::remove(&self.workspace.facts_file(&self.target.environment))?;
        let mut words = format!("`{}` is {} now", self.target.database, self.manifest.id);
        if let Some(kept) = &kept {
            let drop = format!("drop database {}", identifier(kept));
            words.push_str(&format!("; the old one is kept as `{kept}`, closed; when it is no longer needed: {drop}"));
        }
        let result =
            json!({"id": self.manifest.id, "database": self.target.database, "kept": kept, "is_verified": is_verified});
        self.report(&result, &words);
        Ok(Exit::Done)
    }

    /// A session in the database that is in use, if there is one; refused (exit 3) when it is not the environment's.
    fn current(&self, maintenance: &mut Session) -> Result<Option<Session>> {
        if !scratch::exists(maintenance, &self.target.database)? {
            return Ok(None);
        }
        open_own(self.target, "db restore").map(Some)
    }

    fn sweep(&self, maintenance: &mut Session) -> Result<()> {
        for name in scratch::sweep(maintenance, self.target)? {
            ui::say(&format!("dropped `{name}`, which a run that was killed had left"));
        }
        Ok(())
    }

    /// A new database with what the backup holds, compared with the manifest, and whether its content could be; dropped
    /// again when anything fails.
    fn load(&self, maintenance: Session) -> Result<(Scratch, bool)> {
        let scratch = Scratch::make(maintenance, self.target, self.manifest)?;
        let result = (|| {
            let step = ui::step(format!("restore into {}", scratch.target.database));
            self.times.take("restore", || scratch.load(self.backup, self.jobs, &step))?;
            step.done();
            let step = ui::step("verify");
            let is_verified = self.times.take("verify", || scratch.verify(self.manifest, self.jobs))?;
            let count = self.manifest.tables.len();
            step.done_with(&match is_verified {
                true => format!("{count} tables equal the backup's snapshot"),
                false => format!("{count} tables have as many rows as in the backup's snapshot"),
            });
            Ok(is_verified)
        })();
        match result {
            Ok(is_verified) => {
                self.note(is_verified);
                Ok((scratch, is_verified))
            }
            Err(error) => {
                // Best effort: the next run drops it as well.
                let _dropped = scratch.remove();
                Err(error)
            }
        }
    }

    fn settle(&self, scratch: &Scratch) -> Result<()> {
        let step = ui::step("analyze");
        self.times.take("analyze", || scratch.settle(&self.target.environment))?;
        step.done();
        Ok(())
    }

    /// Notes what was proven beside the backup.
    fn note(&self, is_verified: bool) {
        if !is_verified {
            ui::warn(
                "another version of this program has made the backup, whose way to hash content is not known here",
            );
        } else if let Err(error) = scratch::note_verified(self.backup, self.target, self.started) {
            ui::warn(&format!("the backup is proven, but this could not be noted beside it: {error:#}"));
        }
    }

    fn report(&self, result: &Value, words: &str) {
        if self.flags.json {
            let mut result = result.clone();
            result["seconds"] = Value::Object(self.times.0.borrow().clone());
            ui::json(&result);
        } else if words.is_empty() {
            ui::say(&format!("{} holds what it should", self.manifest.id));
        } else {
            ui::say(words);
        }
    }
}
