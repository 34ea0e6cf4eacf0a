//! The journal of one restructure: what was there before, and every step, written down before the first one is taken.
//!
//! It is one file that never changes. Which steps have been taken is read off the tree: each is a rename whose two names
//! tell which side it is on, so a run that was killed anywhere can go on, or back, and a loss of power in between loses
//! nothing. Only commits leave a line of their own.

pub mod build;
pub mod commits;
pub mod step;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use base::tools::{files, hash};
use base::ui::Failure;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::path::{self, RelPath};
use crate::plan::Readmes;
use crate::tree::{Closed, Entry, Kind, Tree};
use commits::Commits;
use step::Step;

const VERSION: u64 = 1;

/// Where a restructure of a target keeps its state.
#[derive(Clone, Debug)]
pub struct State {
    /// Absolute: `.ops/restructure` of the target.
    pub folder: Utf8PathBuf,
}

/// How far a restructure has come, told by what lies in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing, or only what a run left that was killed before its first step.
    None,
    /// Begun: some steps may have been taken.
    Begun,
    /// Being taken back: some steps may have been.
    Undoing,
    /// All steps have been taken.
    Applied,
    /// `finish` has begun to remove what undo would need.
    Finishing,
}

impl State {
    pub fn of(into: &Utf8Path) -> State {
        State { folder: into.join(".ops/restructure") }
    }
    /// What decides that a restructure has begun.
    pub fn journal(&self) -> Utf8PathBuf {
        self.folder.join("journal.json")
    }
    pub fn finishing(&self) -> Utf8PathBuf {
        self.folder.join("finishing.json")
    }
    fn progress(&self) -> Utf8PathBuf {
        self.folder.join("progress")
    }
    pub fn stage(&self) -> Stage {
        if self.finishing().exists() {
            Stage::Finishing
        } else if !self.journal().exists() {
            Stage::None
        } else if self.lines().iter().any(|line| line == UNDOING) {
            Stage::Undoing
        } else if self.lines().iter().any(|line| line == APPLIED) {
            Stage::Applied
        } else {
            Stage::Begun
        }
    }
    /// Makes the folder, which git is told to ignore.
    pub fn make(&self) -> Result<()> {
        files::make_folder(&self.folder)?;
        files::write(&self.folder.join(".gitignore"), "*\n", 0o644)
    }
    /// Lines of progress; a last one that was torn is none.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.progress()).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }
    /// Writes a line of progress through to the disk.
    pub fn note(&self, line: &str) -> Result<()> {
        let path = self.progress();
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
            // What a torn line left must not run into this one.
            let torn = std::fs::read(&path)?.last().is_some_and(|last| *last != b'\n');
            let start = if torn { "\n" } else { "" };
            file.write_all(format!("{start}{line}\n").as_bytes())?;
            file.sync_all()
        };
        write().with_context(|| format!("failed to write `{path}`"))
    }
    /// Removes everything but what makes git ignore it.
    pub fn clear(&self) -> Result<()> {
        // What says how far it has come goes last: until then the same can be done again.
        for name in ["stage", "new", "store", "index", "progress", "finishing.json", "journal.json"] {
            files::remove(&self.folder.join(name))?;
        }
        Ok(())
    }
}

/// The line that says all steps have been taken.
pub const APPLIED: &str = "applied";
/// The line that says that what is in the staging place begins to leave it.
pub const UNSTAGING: &str = "unstaging";
/// The line that says that undo has brought all of it back there.
pub const RESTAGED: &str = "restaged";
/// The line that says they are being taken back, after which there is no way but back.
pub const UNDOING: &str = "undoing";

/// An entry as it was before, with everything that undo must bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Was {
    pub kind: Kind,
    pub size: u64,
    pub mode: u32,
    pub mtime: (i64, u32),
    /// SHA-256 of a file; empty for everything else, and for a file that could not be read.
    pub sha256: String,
    /// Its inside was not looked at.
    pub is_closed: bool,
}

#[derive(Clone, Debug)]
pub struct Journal {
    /// Names this restructure; the first digits of a hash over all of it.
    pub id: String,
    /// The folder that is taken apart and the target, relative to the root.
    pub from: RelPath,
    pub into: RelPath,
    /// The plan's file as it was given, for messages.
    pub plan: String,
    /// What lay in the given folders, closed folders as one entry.
    pub before: BTreeMap<RelPath, Was>,
    pub steps: Vec<Step>,
    /// Copies that go, with the path of before of the one that is kept.
    pub dropped: BTreeMap<RelPath, RelPath>,
    /// Copies that stay, by their path after, with the reason.
    pub copies: BTreeMap<RelPath, String>,
    /// Old scripts with the task that does their work, and where they are now.
    pub commands: Vec<(RelPath, Option<String>, RelPath)>,
    /// Old paths that must not come back, with where their content went.
    pub retired: Vec<(RelPath, RelPath)>,
    /// Entries that wait for a decision.
    pub undecided: Vec<RelPath>,
    pub commits: Vec<Commits>,
    /// Where READMEs were written.
    pub readmes: Option<Readmes>,
    /// `.ops` was made for it.
    pub made_ops: bool,
}

impl Journal {
    /// The root that paths are relative to, for a state that lies in the target.
    pub fn root(&self, state: &State) -> Result<PathBuf> {
        let mut root = state.folder.as_std_path();
        let up = 2 + self.into.parts().count();
        for _ in 0..up {
            root = root.parent().context("the journal does not belong to this folder")?;
        }
        Ok(root.to_owned())
    }

    /// The number of the first step out of the staging place.
    pub fn first_unstage(&self) -> Option<usize> {
        self.steps.iter().position(|step| matches!(step, Step::Unstage { .. }))
    }

    pub fn write(&self, state: &State) -> Result<()> {
        files::write_json(&state.journal(), &self.to_json())
    }

    /// The journal of a target, or what to do where there is none.
    pub fn read(state: &State) -> Result<Journal> {
        let path = state.journal();
        let Some(text) = files::read(&path)? else {
            let target = state.folder.ancestors().nth(2).unwrap_or(&state.folder);
            return Err(Failure::usage(format!("`{target}` has not been restructured: there is no journal in it"))
                .hint("cargo xtask restructure plan DIR -o plan.yaml makes a plan, apply carries it out")
                .into());
        };
        let value: Value = serde_json::from_str(&text).with_context(|| format!("failed to read `{path}`"))?;
        Journal::from_json(&value).with_context(|| format!("failed to understand `{path}`"))
    }

    /// The journal of a restructure that is being finished.
    pub fn read_finishing(state: &State) -> Result<Journal> {
        let path = state.finishing();
        let text = files::read(&path)?.with_context(|| format!("failed to read `{path}`"))?;
        Journal::from_json(&serde_json::from_str(&text)?).with_context(|| format!("failed to understand `{path}`"))
    }

    fn to_json(&self) -> Value {
        let text = |path: &RelPath| path.to_string();
        let before: serde_json::Map<String, Value> =
            self.before.iter().map(|(path, was)| (path.to_string(), was.to_json())).collect();
        json!({
            "version": VERSION,
            "id": self.id,
            "from": text(&self.from),
            "into": text(&self.into),
            "plan": self.plan,
            "before": before,
            "steps": self.steps.iter().map(Step::to_json).collect::<Vec<_>>(),
            "dropped": self.dropped.iter().map(|(old, kept)| json!([text(old), text(kept)])).collect::<Vec<_>>(),
            "copies": self.copies.iter().map(|(path, why)| json!([text(path), why])).collect::<Vec<_>>(),
            "commands": self.commands.iter().map(|(old, task, now)| json!([text(old), task, text(now)])).collect::<Vec<_>>(),
            "retired": self.retired.iter().map(|(old, new)| json!([text(old), text(new)])).collect::<Vec<_>>(),
            "undecided": self.undecided.iter().map(text).collect::<Vec<_>>(),
            "commits": self.commits.iter().map(Commits::to_json).collect::<Vec<_>>(),
            "readmes": self.readmes.map(Readmes::name),
            "made_ops": self.made_ops,
        })
    }

    fn from_json(value: &Value) -> Result<Journal> {
        if value["version"] != VERSION {
            bail!("it was written by another version of this program");
        }
        let list = |key: &str| value[key].as_array().with_context(|| format!("`{key}` is missing"));
        let before = value["before"].as_object().context("`before` is missing")?;
        Ok(Journal {
            id: text(value, "id")?,
            from: path_of(&value["from"])?,
            into: path_of(&value["into"])?,
            plan: text(value, "plan")?,
            before: before
                .iter()
                .map(|(path, was)| Ok((path::from_shown(path).context("a path is no path")?, Was::from_json(was)?)))
                .collect::<Result<_>>()?,
            steps: list("steps")?.iter().map(Step::from_json).collect::<Result<_>>()?,
            dropped: list("dropped")?
                .iter()
                .map(|pair| Ok((path_of(&pair[0])?, path_of(&pair[1])?)))
                .collect::<Result<_>>()?,
            copies: list("copies")?
                .iter()
                .map(|pair| Ok((path_of(&pair[0])?, pair[1].as_str().unwrap_or_default().to_owned())))
                .collect::<Result<_>>()?,
            commands: list("commands")?
                .iter()
                .map(|row| Ok((path_of(&row[0])?, row[1].as_str().map(str::to_owned), path_of(&row[2])?)))
                .collect::<Result<_>>()?,
            retired: list("retired")?
                .iter()
                .map(|pair| Ok((path_of(&pair[0])?, path_of(&pair[1])?)))
                .collect::<Result<_>>()?,
            undecided: list("undecided")?.iter().map(path_of).collect::<Result<_>>()?,
            commits: list("commits")?.iter().map(Commits::from_json).collect::<Result<_>>()?,
            readmes: value["readmes"].as_str().and_then(Readmes::from_name),
            made_ops: value["made_ops"].as_bool().unwrap_or(false),
        })
    }
}

/// A path written by Display.
pub fn path_of(value: &Value) -> Result<RelPath> {
    value.as_str().and_then(path::from_shown).with_context(|| format!("{value} is no path"))
}

pub fn text(value: &Value, key: &str) -> Result<String> {
    Ok(value[key].as_str().with_context(|| format!("`{key}` is missing"))?.to_owned())
}

impl Was {
    pub fn of(tree: &Tree, entry: &Entry) -> Was {
        let digest = tree.get(&entry.path).filter(|_| entry.is_file()).and_then(|id| tree.digest(id).ok());
        Was {
            kind: entry.kind.clone(),
            size: entry.size,
            mode: entry.mode,
            mtime: entry.mtime,
            sha256: digest.map(|digest| hash::hex(&digest)).unwrap_or_default(),
            is_closed: matches!(&entry.closed, Some(closed) if !matches!(closed, Closed::Unreadable(_)))
                || entry.closed.is_some(),
        }
    }
    fn to_json(&self) -> Value {
        let (kind, target) = match &self.kind {
            Kind::File => ("file", None),
            Kind::Folder => ("folder", None),
            Kind::Symlink(target) => ("link", Some(path::shown(target))),
            Kind::Other => ("other", None),
        };
        let mut value =
            json!({"kind": kind, "mode": format!("{:o}", self.mode), "mtime": [self.mtime.0, self.mtime.1]});
        if let Some(target) = target {
            value["target"] = target.into();
        }
        if self.kind == Kind::File {
            value["size"] = self.size.into();
            value["sha256"] = self.sha256.as_str().into();
        }
        if self.is_closed {
            value["closed"] = true.into();
        }
        value
    }
    fn from_json(value: &Value) -> Result<Was> {
        let kind = match value["kind"].as_str() {
            Some("file") => Kind::File,
            Some("folder") => Kind::Folder,
            Some("link") => {
                Kind::Symlink(path::bytes_of(&text(value, "target")?).context("a link's target is no text")?)
            }
            Some("other") => Kind::Other,
            other => bail!("{other:?} is no kind of entry"),
        };
        Ok(Was {
            kind,
            size: value["size"].as_u64().unwrap_or(0),
            mode: u32::from_str_radix(value["mode"].as_str().unwrap_or("?"), 8).context("a mode is no mode")?,
            mtime: mtime_of(&value["mtime"])?,
            sha256: value["sha256"].as_str().unwrap_or_default().to_owned(),
            is_closed: value["closed"].as_bool().unwrap_or(false),
        })
    }
}

pub fn mtime_of(value: &Value) -> Result<(i64, u32)> {
    let nanoseconds = value[1].as_u64().and_then(|n| u32::try_from(n).ok());
    value[0].as_i64().zip(nanoseconds).with_context(|| format!("{value} is no moment"))
}
