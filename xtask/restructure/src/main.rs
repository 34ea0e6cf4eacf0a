//! The program behind `cargo xtask restructure`, which builds it when it is first wanted and becomes it: used once in the
//! life of a workspace, it is no part of every clone's build, and is compiled with optimisation instead.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_restructure::tasks::main()
}
