//! `cargo xtask`: the one entrypoint of this operations workspace. This file parses, dispatches, and turns an error
//! into a message and an exit code; each verb's story is in tasks/.

mod cli;
mod flags;
mod services;
mod tasks;
mod tools;
mod ui;
mod workspace;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::Result;

use cli::Request;
use flags::{ConfigCmd, Xtask, XtaskCmd};
use ui::Exit;
use workspace::Workspace;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(verb) if verb == tools::guard::VERB => return tools::guard::run(words),
        Some(verb) if verb == services::keeper::VERB => return services::keeper::run(),
        first => {
            let words = first.into_iter().chain(words).collect();
            let result = match cli::parse(words) {
                Ok(Request::Run(flags)) => run(*flags),
                Ok(Request::Help(text)) => {
                    ui::out(&text);
                    Ok(Exit::Done)
                }
                Err(error) => Err(error),
            };
            let exit = result.unwrap_or_else(|error| {
                ui::exit::report(&error);
                ui::exit::exit_of(&error)
            });
            ExitCode::from(exit as u8)
        }
    }
}

fn run(flags: Xtask) -> Result<Exit> {
    tools::cmd::VERBOSE.store(flags.verbose, Ordering::Relaxed);
    let workspace = Workspace::find(flags.workspace.as_deref())?;
    match flags.subcommand {
        XtaskCmd::Config(config) => match config.subcommand {
            ConfigCmd::ConfigShow(flags) => tasks::config::show(&workspace, flags),
            ConfigCmd::ConfigCheck(flags) => tasks::config::check(&workspace, flags),
        },
        XtaskCmd::Completions(flags) => tasks::completions::run(&flags),
        _ => Ok(Exit::Done),
    }
}
