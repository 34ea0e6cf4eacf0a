//! What git knows of the files of a folder: which are tracked, which it ignores. Only asked, never changed here.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use base::tools::Cmd;
use base::ui::Failure;
use camino::{Utf8Path, Utf8PathBuf};

use crate::path::RelPath;
use crate::tree::{FileId, Tree};

/// A repository as far as one folder of it is concerned. Paths are relative to its top.
#[derive(Debug, Default)]
pub struct Repository {
    pub top: Utf8PathBuf,
    /// Mode and blob of what the index holds.
    pub tracked: HashMap<RelPath, Tracked>,
    /// Files git neither tracks nor ignores.
    pub untracked: HashSet<RelPath>,
    /// Tracked files whose content, mode or presence differs from the last commit, or is staged.
    pub changed: HashSet<RelPath>,
    /// Files and whole folders that it ignores.
    pub ignored: HashSet<RelPath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// As git writes it: `100644`, `100755`, `120000` for a link, `160000` for a repository inside.
    pub mode: String,
    pub blob: String,
}

/// The top of the repository that `folder` belongs to. None where there is none, git is missing, or the repository
/// ignores the folder.
pub fn top(folder: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    let git = git(folder);
    if !git.is_there() {
        return Ok(None);
    }
    let answer = git.args(["rev-parse", "--show-toplevel"]).ask()?;
    if !answer.ok() {
        // A repository that git refuses to read must not be taken for none: its ignored files would be moved.
        let says = answer.stderr.lines().next().unwrap_or_default();
        if says.contains("dubious ownership") {
            let hint = format!("git config --global --add safe.directory {folder}, or run as the owner of `{folder}`");
            return Err(Failure::cannot_tell(says.trim_start_matches("fatal: ").to_owned()).hint(hint).into());
        }
        return Ok(None);
    }
    let top = Utf8PathBuf::from(answer.stdout.trim_end_matches('\n')).canonicalize_utf8()?;
    let is_top = top == folder;
    let is_ignored = || self::git(folder).args(["check-ignore", "-q", "."]).ask().is_ok_and(|answer| answer.ok());
    Ok(Some(top).filter(|_| is_top || !is_ignored()))
}

/// git in a folder, as one asks a repository that may be anybody's: nothing is written, and no program that its
/// configuration names is run.
pub fn git(folder: &Utf8Path) -> Cmd {
    let cmd = Cmd::new("git").args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotepath=off"]);
    // Set where this runs below a hook, for another repository than the one that is asked.
    cmd.dir(folder).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE")
}

impl Repository {
    /// All that is tracked, and the state of what lies below `folders` (relative to the top).
    pub fn read(top: &Utf8Path, folders: &[RelPath]) -> Result<Repository> {
        let mut repository = Repository { top: top.to_owned(), ..Repository::default() };
        std::thread::scope(|scope| {
            let listing = scope.spawn(|| answer(&git(top).args(["ls-files", "-z", "--stage"])));
            let status = status(top, folders);
            let listing = listing.join().unwrap_or_else(|_| Err(anyhow::anyhow!("failed to read what git tracks")))?;
            for record in listing.split(|byte| *byte == 0) {
                repository.add_tracked(record);
            }
            let status = status?;
            let mut records = status.split(|byte| *byte == 0);
            while let Some(record) = records.next() {
                let [x, y, b' ', path @ ..] = record else { continue };
                let path = path.strip_suffix(b"/").unwrap_or(path);
                let Some(path) = RelPath::new(path) else { continue };
                match (x, y) {
                    (b'?', _) => repository.untracked.insert(path),
                    (b'!', _) => repository.ignored.insert(path),
                    (b'R' | b'C', _) => {
                        // The path it came from follows.
                        repository.changed.extend(records.next().and_then(RelPath::new));
                        repository.changed.insert(path)
                    }
                    _ => repository.changed.insert(path),
                };
            }
            Ok(repository)
        })
    }

    /// A line of `git ls-files --stage`: `mode blob stage\tpath`.
    fn add_tracked(&mut self, record: &[u8]) {
        let Some(tab) = record.iter().position(|byte| *byte == b'\t') else { return };
        let head = String::from_utf8_lossy(&record[..tab]);
        let mut words = head.split(' ');
        if let (Some(mode), Some(blob), Some(path)) = (words.next(), words.next(), RelPath::new(&record[tab + 1..])) {
            self.tracked.insert(path, Tracked { mode: mode.to_owned(), blob: blob.to_owned() });
        }
    }
}

/// Where the repository's top is in a tree.
pub fn top_in(tree: &Tree, repository: &Repository) -> RelPath {
    RelPath::new(repository.top.strip_prefix(tree.root()).map_or("", Utf8Path::as_str)).unwrap_or_default()
}

/// When each of some files was last changed, in seconds since 1970, as far as the last commits tell.
pub fn ages(repository: &Repository, tree: &Tree, files: &[FileId]) -> HashMap<RelPath, i64> {
    /// Older commits say little about which of two copies is alive.
    const COMMITS: &str = "5000";
    let here = top_in(tree, repository);
    let mut wanted: HashSet<RelPath> = files.iter().filter_map(|id| tree.path(*id).below(&here)).collect();
    let mut ages = HashMap::new();
    if wanted.is_empty() {
        return ages;
    }
    let log = ["log", "-z", "--no-renames", "--name-only", "--format=%x01%ct", "--max-count", COMMITS];
    let Ok(log) = answer(&git(&repository.top).args(log)) else { return ages };
    let mut time = 0;
    for record in log.split(|byte| *byte == 0) {
        // A commit's time stands before its first file, behind a mark that no path begins with.
        let record = record.strip_prefix(b"\n").unwrap_or(record);
        if let Some(seconds) = record.strip_prefix(b"\x01") {
            time = String::from_utf8_lossy(seconds).trim().parse().unwrap_or(0);
        } else if let Some(path) = RelPath::new(record).filter(|path| wanted.remove(path)) {
            ages.insert(here.append(&path), time);
        }
    }
    ages
}

fn status(top: &Utf8Path, folders: &[RelPath]) -> Result<Vec<u8>> {
    let mut cmd = git(top).args(["status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignored=matching"]);
    cmd = cmd.args(["--ignore-submodules=dirty", "--no-renames", "--"]);
    // A folder whose name is no UTF-8 cannot be named in an argument; then the whole repository is asked.
    if let Some(names) = folders.iter().map(RelPath::utf8).collect::<Option<Vec<&str>>>() {
        cmd = cmd.args(
            names
                .into_iter()
                .map(|name| if name.is_empty() { ":/".to_owned() } else { format!(":(top,literal){name}") }),
        );
    }
    answer(&cmd)
}

/// What git answered, or its own words for why it did not.
pub fn answer(cmd: &Cmd) -> Result<Vec<u8>> {
    let output = cmd.ask_bytes()?;
    if !output.status.success() {
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::bail!("`{}` failed: {}", cmd.line(), says.trim());
    }
    Ok(output.stdout)
}
