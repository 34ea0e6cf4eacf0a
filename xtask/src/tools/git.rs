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
