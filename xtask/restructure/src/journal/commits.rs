//! The two commits of a repository: one of the moves, in which every content is what it was, so that history follows each
//! file; then one of what was rewritten and written. Made from an index of their own, without hooks; what else is staged
//! stays staged.

use std::path::Path;

use anyhow::{Context, Result, bail};
use base::tools::{Cmd, files};
use base::ui::Failure;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::{State, path_of, text};
use crate::git;
use crate::path::RelPath;

/// An entry of git's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Relative to the repository's top.
    pub path: RelPath,
    pub mode: String,
    pub blob: String,
}

/// What one repository commits. Paths are relative to its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commits {
    /// Relative to the root.
    pub top: RelPath,
    /// The commit that was there before.
    pub head: String,
    /// Entries whose path or content changes, as they were.
    pub old: Vec<Tracked>,
    /// Those of them whose path nobody has after the moves.
    pub gone: Vec<RelPath>,
    /// The same contents at their new paths.
    pub moved: Vec<Tracked>,
    /// Files that came from another repository; read from the disk.
    pub brought: Vec<RelPath>,
    /// Files that were rewritten or written; read from the disk.
    pub written: Vec<RelPath>,
    /// A summary for the message.
    pub summary: String,
}

impl Commits {
    fn folder(&self, root: &Path) -> Result<Utf8PathBuf> {
        let folder = Utf8PathBuf::from_path_buf(self.top.on(root));
        folder.map_err(|path| anyhow::anyhow!("`{}` is not UTF-8", path.display()))
    }

    /// Makes a commit, unless it is there. `id` names the restructure.
    pub fn forward(&self, is_second: bool, root: &Path, state: &State, id: &str) -> Result<()> {
        if is_second && self.written.is_empty() {
            return Ok(());
        }
        let top = self.folder(root)?;
        let made = self.made(state);
        let commit = match (is_second, made.as_slice()) {
            (false, [first, ..]) => first.clone(),
            (true, [_, second]) => second.clone(),
            (_, made) => {
                let parent = made.last().unwrap_or(&self.head);
                let new = self.commit(is_second, &top, state, parent, id)?;
                state.note(&format!("commit {} {} {new}", if is_second { 2 } else { 1 }, self.top))?;
                new
            }
        };
        let parent = if is_second { made.first().unwrap_or(&self.head) } else { &self.head };
        let head = head(&top)?.context("the repository has lost its last commit")?;
        if head == *parent {
            let message = format!("restructure {id}");
            git::answer(&writing(&top).args(["update-ref", "-m", &message, "HEAD", &commit, parent]))?;
        } else if head != commit && !(is_ancestor(&top, &commit, &head)) {
            bail!(
                "the repository `{top}` has moved on to {head} meanwhile; the commit of this restructure is {commit}"
            );
        }
        self.update_index(&top, &self.forward_entries(is_second))?;
        if is_second {
            add_from_disk(&writing(&top), &self.written)?;
        } else if !self.brought.is_empty() {
            add_from_disk(&writing(&top), &self.brought)?;
        }
        refresh(&top);
        Ok(())
    }

    /// Takes the commits back: the branch goes back to where it was, or, where others have committed on top, gets one more
    /// commit. The index has the old entries again.
    pub fn back(&self, root: &Path, state: &State, id: &str) -> Result<()> {
        let top = self.folder(root)?;
        let made = self.made(state);
        let Some(last) = made.last() else { return Ok(()) };
        let head = head(&top)?.unwrap_or_default();
        let entries = self.backward_entries();
        if head == *last || made.contains(&head) {
            git::answer(&writing(&top).args([
                "update-ref",
                "-m",
                &format!("undo restructure {id}"),
                "HEAD",
                &self.head,
                &head,
            ]))?;
        } else if head != self.head && is_ancestor(&top, last, &head) {
            let index = self.index(&top, state, &head)?;
            git::answer(&index.clone().args(["update-index", "-z", "--index-info"]).stdin(entries.clone()))?;
            let message = format!(
                "undo restructure {id}\n\nThe files are back where they were before {}.\n",
                &self.head[..12.min(self.head.len())]
            );
            let commit = commit_tree(&top, &index, &head, &message)?;
            git::answer(&writing(&top).args(["update-ref", "-m", "undo restructure", "HEAD", &commit, &head]))?;
        }
        self.update_index(&top, &entries)?;
        refresh(&top);
        Ok(())
    }

    /// The commits that progress tells of, in order.
    fn made(&self, state: &State) -> Vec<String> {
        let top = self.top.to_string();
        let lines = state.lines();
        let of = |number: &str| {
            lines.iter().find_map(|line| {
                let rest = line.strip_prefix("commit ")?.strip_prefix(number)?.strip_prefix(' ')?;
                let (folder, commit) = rest.rsplit_once(' ')?;
                (folder == top).then(|| commit.to_owned())
            })
        };
        [of("1"), of("2")].into_iter().flatten().collect()
    }

    fn commit(&self, is_second: bool, top: &Utf8Path, state: &State, parent: &str, id: &str) -> Result<String> {
        let index = self.index(top, state, parent)?;
        git::answer(
            &index.clone().args(["update-index", "-z", "--index-info"]).stdin(self.forward_entries(is_second)),
        )?;
        add_from_disk(&index, if is_second { &self.written } else { &self.brought })?;
        let message = if is_second {
            format!("restructure: what refers to moved files, and what tells of them\n\nrestructure {id}\n")
        } else {
            format!(
                "restructure: files move into the layout\n\n{}. No content changes here, so that history follows each file; what refers to\nthem is rewritten by the next commit.\n\nrestructure {id}\n",
                self.summary
            )
        };
        commit_tree(top, &index, parent, &message)
    }

    /// git with an index of its own that holds a commit's files.
    fn index(&self, top: &Utf8Path, state: &State, commit: &str) -> Result<Cmd> {
        let folder = state.folder.join("index");
        files::make_folder(&folder)?;
        let file = folder.join("commit");
        files::remove(&file)?;
        let cmd = writing(top).env("GIT_INDEX_FILE", file.as_str());
        git::answer(&cmd.clone().args(["read-tree", commit]))?;
        Ok(cmd)
    }

    fn forward_entries(&self, is_second: bool) -> Vec<u8> {
        let mut lines = Vec::new();
        if !is_second {
            self.gone.iter().for_each(|path| self.remove(&mut lines, path));
            self.moved.iter().for_each(|moved| entry(&mut lines, moved));
        }
        lines
    }
    fn backward_entries(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        let new = self.moved.iter().map(|moved| &moved.path).chain(&self.brought).chain(&self.written);
        new.for_each(|path| self.remove(&mut lines, path));
        self.old.iter().for_each(|old| entry(&mut lines, old));
        lines
    }
    /// A line that takes a path out of the index.
    fn remove(&self, lines: &mut Vec<u8>, path: &RelPath) {
        lines.extend_from_slice(format!("0 {}\t", "0".repeat(self.head.len())).as_bytes());
        lines.extend_from_slice(path.bytes());
        lines.push(0);
    }
    fn update_index(&self, top: &Utf8Path, entries: &[u8]) -> Result<()> {
        if !entries.is_empty() {
            git::answer(&writing(top).args(["update-index", "-z", "--index-info"]).stdin(entries))?;
        }
        Ok(())
    }

    pub fn to_json(&self) -> Value {
        let tracked = |list: &[Tracked]| -> Vec<Value> {
            list.iter().map(|one| json!([one.path.to_string(), one.mode, one.blob])).collect()
        };
        let paths = |list: &[RelPath]| -> Vec<String> { list.iter().map(ToString::to_string).collect() };
        json!({
            "top": self.top.to_string(),
            "head": self.head,
            "old": tracked(&self.old),
            "gone": paths(&self.gone),
            "moved": tracked(&self.moved),
            "brought": paths(&self.brought),
            "written": paths(&self.written),
            "summary": self.summary,
        })
    }
    pub fn from_json(value: &Value) -> Result<Commits> {
        let list = |key: &str| value[key].as_array().with_context(|| format!("`{key}` is missing"));
        let tracked = |key: &str| -> Result<Vec<Tracked>> {
            let one = |value: &Value| {
                let word = |at: usize| value[at].as_str().map(str::to_owned).context("an entry is no entry");
                Ok(Tracked { path: path_of(&value[0])?, mode: word(1)?, blob: word(2)? })
            };
            list(key)?.iter().map(one).collect()
        };
        let paths = |key: &str| -> Result<Vec<RelPath>> { list(key)?.iter().map(path_of).collect() };
        Ok(Commits {
            top: path_of(&value["top"])?,
            head: text(value, "head")?,
            old: tracked("old")?,
            gone: paths("gone")?,
            moved: tracked("moved")?,
            brought: paths("brought")?,
            written: paths("written")?,
            summary: text(value, "summary")?,
        })
    }
}

/// git that may write. No hook runs: a hook that reformats would change what is recorded.
fn writing(top: &Utf8Path) -> Cmd {
    let cmd = Cmd::new("git").args([
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.quotepath=off",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "gc.auto=0",
    ]);
    cmd.dir(top).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE")
}

/// The commit a repository stands on; None before the first one.
pub fn head(top: &Utf8Path) -> Result<Option<String>> {
    let answer = git::git(top).args(["rev-parse", "--verify", "-q", "HEAD^{commit}"]).ask()?;
    Ok(answer.ok().then(|| answer.stdout.trim().to_owned()))
}

fn is_ancestor(top: &Utf8Path, commit: &str, of: &str) -> bool {
    git::git(top).args(["merge-base", "--is-ancestor", commit, of]).ask().is_ok_and(|answer| answer.ok())
}

fn commit_tree(top: &Utf8Path, index: &Cmd, parent: &str, message: &str) -> Result<String> {
    let word = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let tree = word(git::answer(&index.clone().args(["write-tree"]))?);
    let mut cmd = writing(top).args(["commit-tree", &tree, "-p", parent]).stdin(message);
    if !writing(top).args(["var", "GIT_COMMITTER_IDENT"]).ask()?.ok() {
        // Nobody has told git who commits here; that must not stop a restructure half-way.
        for who in ["AUTHOR", "COMMITTER"] {
            cmd = cmd
                .env(format!("GIT_{who}_NAME"), "cargo xtask restructure")
                .env(format!("GIT_{who}_EMAIL"), "xtask@localhost");
        }
    }
    Ok(word(git::answer(&cmd)?))
}

fn add_from_disk(git: &Cmd, paths: &[RelPath]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    for path in paths {
        names.extend_from_slice(path.bytes());
        names.push(0);
    }
    git::answer(&git.clone().args(["update-index", "--add", "-z", "--stdin"]).stdin(names))?;
    Ok(())
}

/// What git knows of time stamps, brought up to date; only for the speed of the next `git status`.
fn refresh(top: &Utf8Path) {
    let _only_speed = writing(top).args(["update-index", "-q", "--refresh"]).ask();
}

fn entry(lines: &mut Vec<u8>, tracked: &Tracked) {
    lines.extend_from_slice(format!("{} {}\t", tracked.mode, tracked.blob).as_bytes());
    lines.extend_from_slice(tracked.path.bytes());
    lines.push(0);
}

/// Files that git has changes of, staged or not, among those that will move or be rewritten: they would end up in the
/// commits (exit 3).
pub fn refuse_changes(paths: &[RelPath]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = paths.iter().take(5).map(|path| format!("`{path}`")).collect();
    let more = if paths.len() > 5 { format!(" and {} more", paths.len() - 5) } else { String::new() };
    let message = format!(
        "git has changes that are not committed, of files that the plan moves or rewrites: {}{more}",
        shown.join(", ")
    );
    Err(Failure::refused(message).hint("commit or stash them first; or add --no-commit to leave git alone").into())
}
