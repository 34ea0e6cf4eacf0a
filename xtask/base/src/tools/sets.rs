//! What was downloaded or installed once, for all clones of a user. pip and npm keep packages too, but pip asks the index
//! about each before it takes it from there, and npm unpacks each anew: that is four fifths of an installation.
//!
//! A set is a folder named by what was asked for. It has its name when it is complete; what is in it is checked by whoever
//! uses it.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::{files, hash, os};
use crate::workspace::{self, Workspace};

/// A set that nobody has used for this long is removed.
const UNUSED: Duration = Duration::from_secs(90 * 24 * 3600);

/// What was asked for, and where it is kept.
#[derive(Clone, Debug)]
pub struct Set {
    folders: Vec<Utf8PathBuf>,
    name: String,
}

impl Set {
    /// `caches` are folders where sets may be kept, the best first; `key` is all that decides what is in the set.
    pub fn new(caches: Vec<Utf8PathBuf>, key: &str) -> Set {
        Set { folders: caches, name: hash::sha256(key)[..32].to_owned() }
    }

    /// The wheels that requirements ask for; `platform` says which are taken here.
    pub fn of_wheels(workspace: &Workspace, requirements: &[Utf8PathBuf], platform: &str) -> Result<Set> {
        let mut key = format!("{platform}\n");
        for file in requirements {
            key.push_str(&hash::sha256_file(file)?);
        }
        Ok(Set::new(workspace.shared_caches("wheels"), &key))
    }

    /// The folder of the set, when it was downloaded before.
    pub fn ready(&self) -> Option<Utf8PathBuf> {
        let folder = self.folders.iter().map(|folder| folder.join(&self.name)).find(|folder| folder.is_dir())?;
        // Best effort: it says that the set is still used.
        let _noted = std::fs::File::open(&folder).and_then(|file| file.set_modified(SystemTime::now()));
        Some(folder)
    }

    /// As [`Set::fill`], by a download. None when not all of it is wheels: what must be built first is left to pip.
    pub fn fill_with_wheels(&self, download: impl FnOnce(&Utf8Path) -> Result<()>) -> Result<Option<Utf8PathBuf>> {
        self.fill(|folder| {
            download(folder)?;
            let all = workspace::entries(folder);
            Ok(!all.is_empty() && all.iter().all(|path| path.extension() == Some("whl")))
        })
    }

    /// Makes it by `make`, which fills a folder and says whether it may be kept.
    pub fn fill(&self, make: impl FnOnce(&Utf8Path) -> Result<bool>) -> Result<Option<Utf8PathBuf>> {
        let temporary = self.temporary()?;
        let result = make(&temporary).and_then(|is_whole| {
            if !is_whole {
                return Ok(None);
            }
            let folder = temporary.with_file_name(&self.name);
            // Another clone may have been faster.
            match std::fs::rename(&temporary, &folder) {
                Err(_) if folder.is_dir() => {}
                other => other.with_context(|| format!("failed to make `{folder}`"))?,
            }
            Ok(Some(folder))
        });
        // Best effort: one that is left is removed with what nobody has used.
        let _removed = files::remove(&temporary);
        result
    }

    /// Forgets it, so that it is made anew.
    pub fn forget(&self) -> Result<()> {
        self.folders.iter().try_for_each(|folder| files::remove(&folder.join(&self.name)))
    }

    /// An empty folder in the first place that can be written to.
    fn temporary(&self) -> Result<Utf8PathBuf> {
        let mut made = Err(anyhow::anyhow!("there is no place for what all clones share"));
        for folder in &self.folders {
            let temporary = folder.join(format!("{}.{}.new", self.name, os::random_hex(4)?));
            made = files::make_folder(&temporary).map(|()| temporary);
            if made.is_ok() {
                sweep(folder);
                break;
            }
        }
        made
    }
}

/// Removes what has not been used for long. Nobody minds when that fails.
fn sweep(folder: &Utf8Path) {
    let is_old = |path: &Utf8PathBuf| {
        let used = path.metadata().and_then(|facts| facts.modified());
        used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > UNUSED))
    };
    for path in workspace::entries(folder).into_iter().filter(is_old) {
        let _removed = files::remove(&path);
    }
}

/// Whether a file is one that its requirements name, by its hash.
pub fn is_asked_for(file: &Utf8Path, requirements: &str) -> bool {
    hash::sha256_file(file).is_ok_and(|hash| requirements.contains(&format!("--hash=sha256:{hash}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_complete_or_not_there() {
        let folder = Utf8PathBuf::from_path_buf(std::env::temp_dir()).unwrap();
        let folder = folder.join(format!("xtask-sets-{}", std::process::id()));
        let requirements = folder.join("requirements.txt");
        files::write(&requirements, "a==1 --hash=sha256:00\n", 0o600).unwrap();
        // The first place cannot be written to: it is no folder.
        let caches = [requirements.clone(), folder.join("cache")];
        let set = Set::new(caches.to_vec(), "a==1, here");
        let write = |name: &'static str| move |folder: &Utf8Path| files::write(&folder.join(name), "x", 0o600);
        assert!(set.fill_with_wheels(|_| anyhow::bail!("no network")).is_err() && set.ready().is_none());
        assert_eq!(set.fill_with_wheels(write("a-1.tar.gz")).unwrap(), None);
        assert!(set.ready().is_none());
        let there = set.fill_with_wheels(write("a-1.whl")).unwrap();
        assert_eq!((there.is_some(), &there), (true, &set.ready()));
        assert_eq!(set.fill_with_wheels(write("b-1.whl")).unwrap(), there, "one that is there stays");
        let names: Vec<_> = workspace::entries(&folder.join("cache"));
        assert_eq!(names, [there.unwrap()], "something half-made is left");
        set.forget().unwrap();
        assert!(set.ready().is_none());
        files::remove(&folder).unwrap();
    }
}
