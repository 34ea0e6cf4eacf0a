//! Everything outside this process: the child-process runner, one small module a tool, files and the kernel.

pub mod cmd;
pub mod curl;
pub mod docker;
pub mod files;
pub mod git;
pub mod guard;
pub mod hash;
pub mod os;
pub mod ports;
pub mod python;
pub mod sets;
pub mod versions;

pub use cmd::Cmd;

use camino::Utf8PathBuf;

use crate::ui::Failure;

/// Where a program is found in PATH.
pub fn find(program: &str) -> Option<Utf8PathBuf> {
    if program.contains('/') {
        return Some(Utf8PathBuf::from(program)).filter(is_executable);
    }
    let path = std::env::var("PATH").ok()?;
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Utf8PathBuf::from(folder).join(program))
        .find(is_executable)
}

/// The same, or an error that says how to get it (exit 4).
pub fn need(program: &str) -> Result<Utf8PathBuf, Failure> {
    find(program).ok_or_else(|| missing(program))
}

fn missing(program: &str) -> Failure {
    let failure = Failure::cannot_tell(format!("`{program}` is not installed, or not in PATH"));
    match versions::how_to_get(program) {
        Some(how) => failure.hint(how),
        None => failure,
    }
}

fn is_executable(path: &Utf8PathBuf) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
