//! git, as far as tasks ask it.

use camino::{Utf8Path, Utf8PathBuf};

use super::Cmd;

/// Files below `folders` that git tracks or would track, relative to `root`, sorted; None outside a repository.
pub fn files(root: &Utf8Path, folders: &[Utf8PathBuf]) -> Option<Vec<Utf8PathBuf>> {
    let listing = Cmd::new("git")
        .args(["-c", "core.quotepath=off", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"])
        .args(folders)
        .dir(root)
        .ask()
        .ok()
        .filter(super::cmd::Output::ok)?;
    let mut files: Vec<Utf8PathBuf> =
        listing.stdout.split('\0').filter(|name| !name.is_empty()).map(Utf8PathBuf::from).collect();
    files.sort();
    files.dedup();
    // A tracked file that was removed from the tree is still listed.
    files.retain(|file| root.join(file).symlink_metadata().is_ok());
    Some(files)
}

/// The commit the tree stands on; None outside a repository or before the first commit.
pub fn commit(root: &Utf8Path) -> Option<String> {
    Cmd::new("git").args(["rev-parse", "--short=12", "HEAD"]).dir(root).read().ok()
}

/// What differs from the commit that the tree stands on, untracked files too; None outside a repository.
pub fn dirty(root: &Utf8Path) -> Option<Vec<String>> {
    let status = Cmd::new("git")
        .args(["-c", "core.quotepath=off", "status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames"])
        .dir(root)
        .ask()
        .ok()
        .filter(super::cmd::Output::ok)?;
    let entries = status.stdout.split('\0').filter(|entry| entry.len() > 3);
    Some(entries.map(|entry| entry[3..].to_owned()).collect())
}

/// Files below `folder` that a commit changed after the one that brought them there, with that commit; none outside a
/// repository.
pub fn changed_after_added(root: &Utf8Path, folder: &Utf8Path) -> Vec<(String, String)> {
    let log = Cmd::new("git")
        .args([
            "-c",
            "core.quotepath=off",
            "log",
            "--no-renames",
            "--diff-filter=M",
            "--name-only",
            "--format=commit %h",
            "--",
        ])
        .arg(folder)
        .dir(root)
        .ask()
        .ok()
        .filter(super::cmd::Output::ok);
    let mut commit = String::new();
    let mut changed = Vec::new();
    for line in log.map(|log| log.stdout).unwrap_or_default().lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("commit ") {
            Some(hash) => commit = hash.to_owned(),
            None => changed.push((line.to_owned(), commit.clone())),
        }
    }
    changed
}

/// The main branch of origin as it was last fetched, and its files below `folder`; None where there is no such branch.
pub fn files_of_main(root: &Utf8Path, folder: &Utf8Path) -> Option<(String, Vec<String>)> {
    ["origin/HEAD", "origin/main", "origin/master"].iter().find_map(|branch| {
        let listing = Cmd::new("git")
            .args(["-c", "core.quotepath=off", "ls-tree", "-r", "--name-only", branch, "--"])
            .arg(format!("{folder}/"))
            .dir(root)
            .ask()
            .ok()
            .filter(super::cmd::Output::ok)?;
        Some(((*branch).to_owned(), listing.stdout.lines().map(str::to_owned).collect()))
    })
}
