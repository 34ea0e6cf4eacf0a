//! `cargo xtask`: the one entrypoint of this operations workspace. This file parses, dispatches, and turns an error
//! into a message and an exit code; each verb's story is in tasks/.
//!
//! A library, so that it compiles side by side with the crates it stands on; main.rs only calls it.

mod cli;
mod deploy;
#[expect(clippy::allow_attributes, reason = "xflags writes them beside what not every program calls")]
#[expect(clippy::enum_variant_names, reason = "a verb of a family carries its family's name, see flags.rs")]
mod flags;
mod health;
mod services;
mod tasks;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::Result;
use base::{processes, tools, ui, workspace};

use cli::Request;
use flags::{ConfigCmd, Db, DbCmd, Migrate, MigrateCmd, Releases, ReleasesCmd, ServicesCmd, Xtask, XtaskCmd};
use tools::guard;
use ui::Exit;
use workspace::Workspace;

/// The program.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let first = words.next();
    // What this program is to itself: none of it is for people, so none of it is in flags.rs.
    match first.as_ref().and_then(|word| word.to_str()) {
        Some(guard::VERB) => return guard::run(words),
        Some(guard::AFTER_VERB) => return guard::run_after(words),
        Some(processes::keeper::VERB) => return processes::keeper::run(),
        Some(tasks::deploy::rehearse::SWEEP_VERB) => return end(tasks::deploy::rehearse::sweep_at(words)),
        Some(tasks::test::SWEEP_VERB) => return end(tasks::test::sweep_at(words)),
        _ => {}
    }
    end(answer(first.into_iter().chain(words).collect()))
}

fn answer(words: Vec<OsString>) -> Result<Exit> {
    match cli::parse(words)? {
        Request::Run(flags) => run(*flags),
        Request::Help(text) => {
            ui::out(&text);
            Ok(Exit::Done)
        }
    }
}

fn end(result: Result<Exit>) -> ExitCode {
    let exit = result.unwrap_or_else(|error| {
        ui::exit::report(&error);
        ui::exit::exit_of(&error)
    });
    ExitCode::from(exit as u8)
}

fn run(flags: Xtask) -> Result<Exit> {
    tools::cmd::VERBOSE.store(flags.verbose, Ordering::Relaxed);
    let workspace = &Workspace::find(flags.workspace.as_deref())?;
    match flags.subcommand {
        XtaskCmd::Overview(flags) => tasks::overview::run(workspace, &flags),
        XtaskCmd::Setup(_) => tasks::setup::run(workspace),
        XtaskCmd::Doctor(flags) => tasks::doctor::run(workspace, &flags),
        XtaskCmd::Build(flags) => tasks::build::run(workspace, &flags),
        XtaskCmd::Test(flags) => tasks::test::run(workspace, &flags),
        XtaskCmd::Ci(_) => tasks::ci::run(workspace),
        XtaskCmd::Services(services) => match services.subcommand {
            ServicesCmd::ServicesStart(flags) => tasks::services::start(workspace, &flags),
            ServicesCmd::ServicesStop(flags) => tasks::services::stop(workspace, &flags),
            ServicesCmd::ServicesRestart(flags) => tasks::services::restart(workspace, &flags),
            ServicesCmd::ServicesStatus(flags) => tasks::services::status(workspace, &flags),
            ServicesCmd::ServicesLogs(flags) => tasks::services::logs(workspace, &flags),
        },
        XtaskCmd::Deploy(flags) => tasks::deploy::deploy(workspace, &flags),
        XtaskCmd::Rollback(flags) => tasks::deploy::rollback(workspace, &flags),
        XtaskCmd::Releases(Releases { env, subcommand }) => match subcommand {
            ReleasesCmd::ReleasesList(flags) => tasks::releases::list(workspace, env.as_deref(), &flags),
            ReleasesCmd::ReleasesShow(flags) => tasks::releases::show(workspace, env.as_deref(), &flags),
            ReleasesCmd::ReleasesVerify(flags) => tasks::releases::verify(workspace, env.as_deref(), &flags),
        },
        XtaskCmd::Logs(flags) => tasks::logs::run(workspace, &flags),
        XtaskCmd::Health(flags) => tasks::health::run(workspace, &flags),
        XtaskCmd::Config(config) => match config.subcommand {
            ConfigCmd::ConfigShow(flags) => tasks::config::show(workspace, flags),
            ConfigCmd::ConfigCheck(flags) => tasks::config::check(workspace, flags),
            ConfigCmd::ConfigInit(flags) => tasks::config::init(workspace, &flags),
            ConfigCmd::ConfigSchema(flags) => tasks::config::schema(workspace, &flags),
        },
        XtaskCmd::Migrate(Migrate { env, subcommand }) => match subcommand {
            MigrateCmd::MigrateUp(flags) => tasks::migrate::up(workspace, env.as_deref(), &flags),
            MigrateCmd::MigrateDown(flags) => tasks::migrate::down(workspace, env.as_deref(), &flags),
            MigrateCmd::MigrateStatus(flags) => tasks::migrate::status(workspace, env.as_deref(), &flags),
            MigrateCmd::MigrateNew(flags) => tasks::migrate::new(workspace, &flags),
            MigrateCmd::MigrateVerify(flags) => tasks::migrate::verify(workspace, &flags),
            MigrateCmd::MigrateMeasure(flags) => tasks::migrate::measure(workspace, env.as_deref(), &flags),
            MigrateCmd::MigrateImport(flags) => tasks::migrate::import(workspace, env.as_deref(), &flags),
            MigrateCmd::MigrateBaseline(flags) => tasks::migrate::baseline(workspace, env.as_deref(), &flags),
            MigrateCmd::MigrateRepair(flags) => tasks::migrate::repair(workspace, env.as_deref(), &flags),
            MigrateCmd::MigratePromote(flags) => tasks::migrate::promote(workspace, env.as_deref(), &flags),
            MigrateCmd::MigrateSchema(flags) => tasks::migrate::schema(workspace, &flags),
        },
        XtaskCmd::Db(Db { env, subcommand }) => match subcommand {
            DbCmd::DbQuery(flags) => tasks::db::query::run(workspace, env.as_deref(), &flags),
            DbCmd::DbSeed(flags) => tasks::db::seed::run(workspace, env.as_deref(), &flags),
            DbCmd::DbExport(flags) => tasks::db::export::run(workspace, env.as_deref(), &flags),
            DbCmd::DbImport(flags) => tasks::db::import::run(workspace, env.as_deref(), &flags),
            DbCmd::DbSync(flags) => tasks::db::sync::run(workspace, env.as_deref(), &flags),
            DbCmd::DbMaintain(flags) => tasks::db::maintain::run(workspace, env.as_deref(), &flags),
            DbCmd::DbDiff(flags) => tasks::db::diff::run(workspace, env.as_deref(), &flags),
            DbCmd::DbShell(flags) => tasks::db::shell::run(workspace, env.as_deref(), &flags),
            DbCmd::DbBackup(flags) => tasks::db::backup::run(workspace, env.as_deref(), &flags),
            DbCmd::DbBackups(flags) => tasks::db::backups::run(workspace, env.as_deref(), &flags),
            DbCmd::DbRestore(flags) => tasks::db::restore::run(workspace, env.as_deref(), &flags),
            DbCmd::DbReset(flags) => tasks::db::reset::run(workspace, env.as_deref(), &flags),
        },
        XtaskCmd::Restructure(flags) => tasks::restructure::run(workspace, flags),
        XtaskCmd::Clean(flags) => tasks::clean::run(workspace, &flags),
        XtaskCmd::Completions(flags) => tasks::completions::run(&flags),
    }
}
