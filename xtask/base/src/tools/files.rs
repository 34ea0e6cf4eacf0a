//! Files that survive a crash: replaced by rename after fsync, locked by the kernel, never half-written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::os;
use crate::ui::Failure;

/// Replaces `path` by `bytes` as one step: a reader, and a crash, sees the old content or the new, never a part.
/// The folder is made when it is missing; a symbolic link is followed; `mode` is the permission of a new file, an
/// existing one keeps its own.
pub fn write(path: &Utf8Path, bytes: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let target = std::fs::canonicalize(path).ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let target = target.unwrap_or_else(|| path.to_owned());
    write_new(&target, bytes.as_ref(), mode).with_context(|| explain("write", path))
}

fn write_new(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    make_folder(folder)?;
    let mode = path.metadata().map_or(mode, |file| file.permissions().mode() & 0o777);
    let name = path.file_name().unwrap_or("file");
    let temporary = folder.join(format!(".{name}.{}.new", os::random_hex(6)?));
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_folder(folder)
    })();
    if result.is_err() {
        // Best effort: the caller gets the first error, not this one.
        let _removed = std::fs::remove_file(&temporary);
    }
    Ok(result?)
}

fn sync_folder(folder: &Utf8Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Gives a finished folder or file its name, and makes the name survive a loss of power.
pub fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let renamed = std::fs::rename(from, to).and_then(|()| match to.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    });
    renamed.with_context(|| explain("make", to))
}

/// Writes a folder and all it holds through to the disk; several at a time, because each waits for the disk.
pub fn sync_tree(folder: &Utf8Path) -> Result<()> {
    const THREADS: usize = 8;
    let mut paths = Vec::new();
    list_tree(folder, &mut paths)?;
    let sync = |path: &Utf8PathBuf| File::open(path).and_then(|file| file.sync_all());
    std::thread::scope(|scope| {
        let parts = paths.chunks(paths.len().div_ceil(THREADS).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().try_for_each(sync))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })
    .with_context(|| explain("write", folder))
}

/// Files and folders, not links.
fn list_tree(folder: &Utf8Path, paths: &mut Vec<Utf8PathBuf>) -> Result<()> {
    paths.push(folder.to_owned());
    for entry in folder.read_dir_utf8().with_context(|| explain("read", folder))? {
        let entry = entry.with_context(|| explain("read", folder))?;
        let kind = entry.file_type().with_context(|| explain("read", entry.path()))?;
        if kind.is_dir() {
            list_tree(entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path().to_owned());
        }
    }
    Ok(())
}

/// Makes a folder and its parents.
pub fn make_folder(folder: &Utf8Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| explain("make folder", folder))
}

/// The text of a file; None when there is no such file.
pub fn read(path: &Utf8Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
                Err(Failure::usage(format!("{path}:{line}: not UTF-8")).hint("save the file as UTF-8").into())
            }
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| explain("read", path)),
    }
}

/// A JSON file that this program wrote; None when it is missing or torn, as state that can be made anew.
pub fn read_json(path: &Utf8Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

pub fn write_json(path: &Utf8Path, value: &Value) -> Result<()> {
    write(path, format!("{value:#}\n"), 0o600)
}

/// Removes a file or a folder with all it holds; what is not there is no error.
pub fn remove(path: &Utf8Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(file) if file.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| explain("remove", path)),
        _ => Ok(()),
    }
}

/// Removes what a run that was killed has left half-made. Its children may be writing there for another moment; what
/// they leave in the end is for the next run to remove.
pub fn remove_half_made(paths: &[Utf8PathBuf]) {
    os::wait_until(Duration::from_secs(3), || paths.iter().all(|path| remove(path).is_ok()));
}

/// Bytes that a file or a folder holds.
pub fn size(path: &Utf8Path) -> u64 {
    let Ok(file) = path.symlink_metadata() else { return 0 };
    if !file.is_dir() {
        return file.len();
    }
    let entries = path.read_dir_utf8().into_iter().flatten().flatten();
    entries.map(|entry| size(entry.path())).sum()
}

fn explain(verb: &str, path: &Utf8Path) -> String {
    format!("failed to {verb} `{path}`")
}

/// The remedy for an error of the file system, where there is one to tell.
pub fn hint_for(error: &anyhow::Error) -> Option<&'static str> {
    hint_for_kind(error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>())?.kind())
}

/// The same for an error that came as text from another process.
pub fn hint_in(text: &str) -> Option<&'static str> {
    let number = text.rsplit_once("(os error ")?.1.split(')').next()?.parse().ok()?;
    hint_for_kind(std::io::Error::from_raw_os_error(number).kind())
}

fn hint_for_kind(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(
            "the disk is full: free some space (`cargo xtask clean` removes what can be rebuilt), then run it again",
        ),
        ErrorKind::ReadOnlyFilesystem => Some("the file system is read-only: use a clone on one that can be written"),
        ErrorKind::PermissionDenied => {
            Some("this user may not do that here: check the owner of the clone and of .ops/")
        }
        _ => None,
    }
}

/// How long a lock may outlive its holder.
const LEFT_OVER: Duration = Duration::from_secs(2);

/// A lock on this machine, held as long as the value lives: the kernel frees it when the process is gone, so it can
/// not go stale. Children do not inherit it. The file beside it tells who holds it.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who holds it (exit 5) after waiting for `patience`.
    pub fn take(path: &Utf8Path, what: &str, patience: Duration) -> Result<Lock> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.with_context(|| explain("open lock", path))?;
        let mut failed = None;
        let mut try_lock = || match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => {
                failed = Some(error);
                true
            }
        };
        let holder = holder_file(path);
        // A child that a killed holder had just forked keeps the lock until it becomes its own program.
        let is_left_over = || {
            let pid = read_json(&holder).and_then(|holder| u32::try_from(holder["pid"].as_u64()?).ok());
            pid.is_some_and(|pid| os::process(pid).is_none_or(|facts| facts.is_zombie))
        };
        let got =
            os::wait_until(patience, &mut try_lock) || (is_left_over() && os::wait_until(LEFT_OVER, &mut try_lock));
        if let Some(error) = failed {
            return Err(error).with_context(|| explain("lock", path));
        }
        if !got {
            let by = read_json(&holder).map(|holder| describe_holder(&holder)).unwrap_or_default();
            let failure = Failure::busy(format!("another run is at work on {what}{by}"));
            return Err(failure.hint("wait until it ends, then run it again").into());
        }
        let command: Vec<String> = std::env::args().skip(1).collect();
        let command = crate::ui::redact::mask(&command.join(" ")).into_owned();
        write_json(&holder, &json!({"pid": std::process::id(), "command": command}))?;
        Ok(Lock { _file: file })
    }

    /// True when somebody holds it right now.
    pub fn is_held(path: &Utf8Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// The pid of who holds it right now.
    pub fn holder(path: &Utf8Path) -> Option<u32> {
        let pid = read_json(&holder_file(path)).filter(|_| Lock::is_held(path))?["pid"].as_u64()?;
        u32::try_from(pid).ok()
    }
}

fn holder_file(lock: &Utf8Path) -> Utf8PathBuf {
    lock.with_extension("holder.json")
}

fn describe_holder(holder: &Value) -> String {
    let command = holder["command"].as_str().unwrap_or("?");
    format!(": pid {}, `cargo xtask {command}`", holder["pid"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Utf8PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-files-{name}-{}", std::process::id()));
        let folder = Utf8PathBuf::from_path_buf(folder).unwrap();
        remove(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_is_replaced_and_keeps_its_mode_and_its_link() {
        let folder = scratch("replace");
        let path = folder.join("sub/value");
        write(&path, "one", 0o600).unwrap();
        write(&path, "two", 0o644).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "three", 0o600).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(read(&path).unwrap().as_deref(), Some("three"));
        assert_eq!(folder.join("sub").read_dir_utf8().unwrap().count(), 1);
        remove(&folder).unwrap();
    }

    #[test]
    fn what_is_not_utf8_is_named_by_line() {
        let folder = scratch("utf8");
        let path = folder.join("x");
        write(&path, b"ok\n\xff\n", 0o600).unwrap();
        assert!(read(&path).unwrap_err().to_string().ends_with("x:2: not UTF-8"));
        assert_eq!(read(&folder.join("none")).unwrap(), None);
        remove(&folder).unwrap();
    }

    #[test]
    fn a_lock_excludes_and_is_freed() {
        let folder = scratch("lock");
        let path = folder.join("a.lock");
        let lock = Lock::take(&path, "this", Duration::ZERO).unwrap();
        assert!(Lock::is_held(&path));
        let error = Lock::take(&path, "this", Duration::ZERO).unwrap_err();
        assert!(error.to_string().starts_with("another run is at work on this: pid "));
        drop(lock);
        assert!(!Lock::is_held(&path));
        remove(&folder).unwrap();
    }
}
