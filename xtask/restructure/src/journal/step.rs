//! One step: what it does, how one sees whether it has been done, and how it is taken back. Each is done by a single
//! rename; doing it twice, or taking it back twice, changes nothing.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base::tools::{hash, os};
use base::ui::Failure;
use serde_json::{Value, json};

use super::{mtime_of, path_of, text};
use crate::path::RelPath;

/// What a name must lead to for a step to be taken on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub inode: (u64, u64),
    pub size: u64,
    pub mtime: (i64, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `from` becomes `to`, which nobody has: a file or a link, to its place or into the store of duplicates.
    Rename {
        from: RelPath,
        to: RelPath,
        identity: Identity,
    },
    /// The same by way of the staging place, because somebody has the name: first everything that is in the way goes there…
    Stage {
        from: RelPath,
        stage: RelPath,
        identity: Identity,
    },
    /// … and when all the others are done, to where it belongs. Names that the ones have before, others have after, so it
    /// is the staging place alone that tells what has been done; the journal's progress tells in which half.
    Unstage {
        stage: RelPath,
        to: RelPath,
    },
    MakeFolder {
        path: RelPath,
        mode: u32,
    },
    /// Only when it is empty.
    RemoveFolder {
        path: RelPath,
        mode: u32,
        mtime: (i64, u32),
        owner: (u32, u32),
    },
    /// `path` gets the content that waits at `new`; what it was is kept at `store`.
    Rewrite {
        path: RelPath,
        new: RelPath,
        store: RelPath,
        sha256: String,
    },
    /// What waits at `new` becomes `path`, which nobody has.
    Create {
        path: RelPath,
        new: RelPath,
        sha256: String,
    },
    /// The time of a folder whose content changed, so that the tree after depends on nothing but the plan.
    Touch {
        path: RelPath,
        mtime: (i64, u32),
    },
    /// A commit of each repository: of the moves, then of what was written.
    Commit {
        is_second: bool,
    },
}

/// Which side of a rename a step is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Step {
    /// For progress and errors.
    pub fn describe(&self) -> String {
        match self {
            Step::Rename { from, to, .. } => format!("move {from} to {to}"),
            Step::Stage { from, .. } => format!("take {from} out of the way"),
            Step::Unstage { to, .. } => format!("put what waits to {to}"),
            Step::MakeFolder { path, .. } => format!("make {path}/"),
            Step::RemoveFolder { path, .. } => format!("remove {path}/"),
            Step::Rewrite { path, .. } => format!("rewrite {path}"),
            Step::Create { path, .. } => format!("write {path}"),
            Step::Touch { path, .. } => format!("time of {path}/"),
            Step::Commit { is_second: false } => "commit the moves".to_owned(),
            Step::Commit { is_second: true } => "commit what was rewritten".to_owned(),
        }
    }

    /// Takes the step, unless it has been taken. Commits are not taken here.
    pub fn forward(&self, root: &Path) -> Result<()> {
        let on = |path: &RelPath| path.on(root);
        match self {
            Step::Rename { from, to, identity } => {
                let (old, new) = (on(from), on(to));
                if side(&old, &new, from, to)? == Side::Before {
                    identity.check(&old, from)?;
                    rename(&old, &new, from, to)?;
                }
                Ok(())
            }
            Step::Stage { from, stage, identity } => {
                if !exists(&on(stage)) {
                    identity.check(&on(from), from)?;
                    rename(&on(from), &on(stage), from, stage)?;
                }
                Ok(())
            }
            Step::Unstage { stage, to } => {
                if exists(&on(stage)) {
                    rename(&on(stage), &on(to), stage, to)?;
                }
                Ok(())
            }
            Step::MakeFolder { path, mode } => make_folder(&on(path), path, *mode),
            Step::RemoveFolder { path, .. } => remove_folder(&on(path), path),
            Step::Create { path, new, .. } => {
                let (waits, there) = (on(new), on(path));
                if side(&waits, &there, new, path)? == Side::Before {
                    rename(&waits, &there, new, path)?;
                }
                Ok(())
            }
            Step::Rewrite { path, new, store, .. } => {
                let (there, waits, kept) = (on(path), on(new), on(store));
                if !exists(&kept) {
                    keep(&there, &kept).with_context(|| format!("failed to keep what `{path}` was"))?;
                }
                if exists(&waits) {
                    std::fs::rename(&waits, &there).with_context(|| format!("failed to write `{path}`"))?;
                }
                Ok(())
            }
            Step::Touch { path, mtime } => {
                let there = on(path);
                let done = if exists(&there) { os::set_modified(&there, mtime.0, mtime.1) } else { Ok(()) };
                done.with_context(|| format!("failed to set the time of `{path}`"))
            }
            Step::Commit { .. } => Ok(()),
        }
    }

    /// Takes the step back, if it has been taken.
    pub fn back(&self, root: &Path) -> Result<()> {
        let on = |path: &RelPath| path.on(root);
        match self {
            Step::Rename { from, to, .. } => {
                let (old, new) = (on(from), on(to));
                if side(&old, &new, from, to)? == Side::After {
                    rename(&new, &old, to, from)?;
                }
                Ok(())
            }
            Step::Stage { from, stage, .. } => {
                if exists(&on(stage)) {
                    rename(&on(stage), &on(from), stage, from)?;
                }
                Ok(())
            }
            Step::Unstage { stage, to } => {
                if !exists(&on(stage)) {
                    rename(&on(to), &on(stage), to, stage)?;
                }
                Ok(())
            }
            Step::MakeFolder { path, .. } => remove_folder(&on(path), path),
            Step::RemoveFolder { path, mode, owner, .. } => {
                let there = on(path);
                if !exists(&there) {
                    make_folder(&there, path, *mode)?;
                    // Only root can give a folder away, and only then it was somebody else's.
                    if os::is_root() {
                        std::os::unix::fs::chown(&there, Some(owner.0), Some(owner.1))
                            .with_context(|| format!("failed to give `{path}` its owner"))?;
                    }
                }
                Ok(())
            }
            Step::Create { path, new, .. } => {
                let (waits, there) = (on(new), on(path));
                if !exists(&waits) && exists(&there) {
                    rename(&there, &waits, path, new)?;
                }
                Ok(())
            }
            Step::Rewrite { path, store, .. } => {
                let (there, kept) = (on(path), on(store));
                if !exists(&kept) {
                    return Ok(());
                }
                if is_same(&there, &kept) {
                    // Kept, but not yet replaced: two names of one file, which rename would leave alone.
                    std::fs::remove_file(&kept)
                } else {
                    std::fs::rename(&kept, &there)
                }
                .with_context(|| format!("failed to bring back what `{path}` was"))
            }
            Step::Touch { .. } | Step::Commit { .. } => Ok(()),
        }
    }

    pub fn to_json(&self) -> Value {
        let text = |path: &RelPath| path.to_string();
        match self {
            Step::Rename { from, to, identity } => {
                json!({"rename": text(from), "to": text(to), "identity": identity.to_json()})
            }
            Step::Stage { from, stage, identity } => {
                json!({"stage": text(from), "at": text(stage), "identity": identity.to_json()})
            }
            Step::Unstage { stage, to } => json!({"unstage": text(stage), "to": text(to)}),
            Step::MakeFolder { path, mode } => json!({"make": text(path), "mode": mode}),
            Step::RemoveFolder { path, mode, mtime, owner } => {
                json!({"remove": text(path), "mode": mode, "mtime": [mtime.0, mtime.1], "owner": [owner.0, owner.1]})
            }
            Step::Rewrite { path, new, store, sha256 } => {
                json!({"rewrite": text(path), "new": text(new), "store": text(store), "sha256": sha256})
            }
            Step::Create { path, new, sha256 } => json!({"create": text(path), "new": text(new), "sha256": sha256}),
            Step::Touch { path, mtime } => json!({"touch": text(path), "mtime": [mtime.0, mtime.1]}),
            Step::Commit { is_second } => json!({"commit": if *is_second { 2 } else { 1 }}),
        }
    }
    pub fn from_json(value: &Value) -> Result<Step> {
        let number = |value: &Value| {
            value.as_u64().and_then(|n| u32::try_from(n).ok()).with_context(|| format!("{value} is no number"))
        };
        let key = value.as_object().and_then(|object| {
            ["rename", "stage", "unstage", "make", "remove", "rewrite", "create", "touch", "commit"]
                .into_iter()
                .find(|key| object.contains_key(*key))
        });
        let path = || path_of(&value[key.unwrap_or_default()]);
        Ok(match key {
            Some("rename") => Step::Rename {
                from: path()?,
                to: path_of(&value["to"])?,
                identity: Identity::from_json(&value["identity"])?,
            },
            Some("stage") => Step::Stage {
                from: path()?,
                stage: path_of(&value["at"])?,
                identity: Identity::from_json(&value["identity"])?,
            },
            Some("unstage") => Step::Unstage { stage: path()?, to: path_of(&value["to"])? },
            Some("make") => Step::MakeFolder { path: path()?, mode: number(&value["mode"])? },
            Some("remove") => Step::RemoveFolder {
                path: path()?,
                mode: number(&value["mode"])?,
                mtime: mtime_of(&value["mtime"])?,
                owner: (number(&value["owner"][0])?, number(&value["owner"][1])?),
            },
            Some("rewrite") => Step::Rewrite {
                path: path()?,
                new: path_of(&value["new"])?,
                store: path_of(&value["store"])?,
                sha256: text(value, "sha256")?,
            },
            Some("create") => {
                Step::Create { path: path()?, new: path_of(&value["new"])?, sha256: text(value, "sha256")? }
            }
            Some("touch") => Step::Touch { path: path()?, mtime: mtime_of(&value["mtime"])? },
            Some("commit") => Step::Commit { is_second: value["commit"] == 2 },
            _ => bail!("{value} is no step"),
        })
    }
}

impl Identity {
    fn check(&self, path: &Path, shown: &RelPath) -> Result<()> {
        let facts = path.symlink_metadata().with_context(|| format!("failed to look at `{shown}`"))?;
        let is_same =
            facts.size() == self.size && (facts.mtime(), facts.mtime_nsec()) == (self.mtime.0, i64::from(self.mtime.1));
        // A folder that was copied with its journal has other inodes, so they say nothing on their own.
        if is_same || (facts.dev(), facts.ino()) == self.inode && facts.is_symlink() {
            return Ok(());
        }
        Err(Failure::failed(format!("`{shown}` has changed while its folder was restructured"))
            .hint("cargo xtask restructure undo DIR takes back what was done; then plan again")
            .into())
    }
    fn to_json(&self) -> Value {
        json!([self.inode.0, self.inode.1, self.size, self.mtime.0, self.mtime.1])
    }
    fn from_json(value: &Value) -> Result<Identity> {
        let number = |at: usize| value[at].as_u64().with_context(|| format!("{value} is no identity"));
        Ok(Identity {
            inode: (number(0)?, number(1)?),
            size: number(2)?,
            mtime: mtime_of(&json!([value[3], value[4]]))?,
        })
    }
}

/// Which of two names there is. Both or none is nothing that this program has done.
fn side(old: &Path, new: &Path, from: &RelPath, to: &RelPath) -> Result<Side> {
    // A folder of the name is another thing: it has that name before or after what moves has it.
    let is_it = |path: &Path| path.symlink_metadata().is_ok_and(|facts| !facts.is_dir());
    match (is_it(old), is_it(new)) {
        (true, false) => Ok(Side::Before),
        (false, true) => Ok(Side::After),
        (true, true) => {
            let failure = Failure::failed(format!("both `{from}` and `{to}` are there, where there was one of them"));
            Err(failure.hint("somebody else has made one: move that away, then run it again").into())
        }
        (false, false) => {
            let failure = Failure::failed(format!("neither `{from}` nor `{to}` is there, where there was one of them"));
            Err(failure.hint("somebody else has removed it: bring it back, then run it again").into())
        }
    }
}

fn rename(old: &Path, new: &Path, from: &RelPath, to: &RelPath) -> Result<()> {
    os::rename_new(old, new).with_context(|| format!("failed to move `{from}` to `{to}`"))
}

fn make_folder(there: &Path, path: &RelPath, mode: u32) -> Result<()> {
    match std::fs::create_dir(there) {
        Ok(()) => {}
        Err(error)
            if error.kind() == ErrorKind::AlreadyExists
                && there.symlink_metadata().is_ok_and(|facts| facts.is_dir()) => {}
        Err(error) => return Err(error).with_context(|| format!("failed to make folder `{path}`")),
    }
    // As it is asked for, whatever the umask is; also where a killed run came no further than making it.
    std::fs::set_permissions(there, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("failed to set the mode of `{path}`"))
}

/// One that somebody has put something into stays.
fn remove_folder(there: &Path, path: &RelPath) -> Result<()> {
    match std::fs::remove_dir(there) {
        // Gone, in use again, or a file's name by now.
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
            ) =>
        {
            Err(error).with_context(|| format!("failed to remove folder `{path}`"))
        }
        _ => Ok(()),
    }
}

/// A second name for what is about to be replaced; where the file system has none, the name moves.
fn keep(there: &Path, kept: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(there, kept) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::TooManyLinks
            ) =>
        {
            std::fs::rename(there, kept)
        }
        other => other,
    }
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn is_same(a: &Path, b: &Path) -> bool {
    let inode = |path: &Path| path.symlink_metadata().map(|facts| (facts.dev(), facts.ino())).ok();
    inode(a).is_some() && inode(a) == inode(b)
}

/// SHA-256 of what a name leads to: of a link, of its target's text.
pub fn sha256_at(path: &PathBuf) -> Option<String> {
    use std::os::unix::ffi::OsStrExt;
    let facts = path.symlink_metadata().ok()?;
    if facts.is_symlink() {
        return Some(hash::sha256(path.read_link().ok()?.as_os_str().as_bytes()));
    }
    Some(hash::hex(&hash::digest_of(std::fs::File::open(path).ok()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let folder = std::env::temp_dir().join(format!("xtask-step-{name}-{}", std::process::id()));
            let _old = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Place(folder)
        }
        fn write(&self, name: &str, content: &str) {
            fs::write(self.0.join(name), content).unwrap();
        }
        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.0.join(name)).ok()
        }
        fn identity(&self, name: &str) -> Identity {
            let facts = self.0.join(name).symlink_metadata().unwrap();
            let mtime = (facts.mtime(), u32::try_from(facts.mtime_nsec()).unwrap());
            Identity { inode: (facts.dev(), facts.ino()), size: facts.size(), mtime }
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn each_step_can_be_taken_twice_and_taken_back_twice() {
        let place = Place::new("twice");
        place.write("a", "one");
        place.write("b", "old");
        place.write("new", "fresh");
        place.write("readme", "text");
        let steps = [
            Step::MakeFolder { path: path("d"), mode: 0o750 },
            Step::Rename { from: path("a"), to: path("d/a"), identity: place.identity("a") },
            Step::Rewrite { path: path("b"), new: path("new"), store: path("kept"), sha256: String::new() },
            Step::Create { path: path("d/README"), new: path("readme"), sha256: String::new() },
        ];
        for step in steps.iter().flat_map(|step| [step, step]) {
            step.forward(&place.0).unwrap();
            assert_eq!(Step::from_json(&step.to_json()).unwrap(), *step);
        }
        assert_eq!(place.read("d/a").as_deref(), Some("one"));
        assert_eq!((place.read("b").as_deref(), place.read("kept").as_deref()), (Some("fresh"), Some("old")));
        assert_eq!(place.read("d/README").as_deref(), Some("text"));
        for step in steps.iter().rev().flat_map(|step| [step, step]) {
            step.back(&place.0).unwrap();
        }
        assert_eq!((place.read("a").as_deref(), place.read("b").as_deref()), (Some("one"), Some("old")));
        assert!(place.read("kept").is_none() && !place.0.join("d").exists());
    }

    #[test]
    fn a_rewrite_that_was_killed_half_way_goes_on_or_back() {
        let place = Place::new("half");
        place.write("b", "old");
        place.write("new", "fresh");
        let step = Step::Rewrite { path: path("b"), new: path("new"), store: path("kept"), sha256: String::new() };
        let before = place.identity("b");
        fs::hard_link(place.0.join("b"), place.0.join("kept")).unwrap();
        step.back(&place.0).unwrap();
        assert!(place.read("kept").is_none() && place.identity("b") == before);
        fs::hard_link(place.0.join("b"), place.0.join("kept")).unwrap();
        step.forward(&place.0).unwrap();
        assert_eq!(place.read("b").as_deref(), Some("fresh"));
        step.back(&place.0).unwrap();
        assert!(place.identity("b") == before);
    }

    #[test]
    fn nothing_is_replaced_and_nothing_that_changed_is_moved() {
        let place = Place::new("refuse");
        place.write("a", "one");
        let step = Step::Rename { from: path("a"), to: path("b"), identity: place.identity("a") };
        place.write("b", "somebody's");
        assert!(step.forward(&place.0).unwrap_err().to_string().starts_with("both `a` and `b`"));
        fs::remove_file(place.0.join("b")).unwrap();
        place.write("a", "changed");
        assert!(step.forward(&place.0).unwrap_err().to_string().contains("has changed"));
        fs::remove_file(place.0.join("a")).unwrap();
        assert!(step.forward(&place.0).unwrap_err().to_string().starts_with("neither"));
    }
}
