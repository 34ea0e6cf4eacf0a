//! Carrying a plan out: everything is looked at, everything that will be written waits in the state, the journal is written,
//! and only then the first step is taken.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use base::tools::{files, hash, os};
use base::ui::{Exit, Failure, Finding, Place, Severity, Step as Progress};
use camino::Utf8Path;

use crate::git;
use crate::journal::build::{self, Built, Places, Written};
use crate::journal::commits;
use crate::journal::{APPLIED, Journal, Stage, State, UNSTAGING, Was, step::Step};
use crate::moves::{Fate, Moves};
use crate::path::RelPath;
use crate::plan::trial::{self, Loss};
use crate::plan::{self, Folders, Item, Plan, check};
use crate::references::{self, Rewrites};
use crate::scan::Scan;
use crate::tell::{self, Teller};
use crate::tree::{FileId, Kind, Tree};

/// A plan that can be carried out.
pub struct Prepared {
    pub scan: Scan,
    pub plan: Plan,
    pub decisions: BTreeMap<RelPath, Item>,
    pub moves: Moves,
    pub rewrites: Rewrites,
    pub built: Built,
    pub journal: Journal,
    pub state: State,
    /// Patterns that will find other files than before.
    pub patterns: Vec<Finding>,
}

pub struct Options<'a> {
    /// How the plan's file is called.
    pub shown: &'a Utf8Path,
    pub commit: bool,
    /// Whether this program has a task.
    pub has_task: &'a dyn Fn(&str) -> bool,
}

/// Looks at everything. Exit 3 with all that stands in the way; nothing has been touched then.
pub fn prepare(file: &Utf8Path, options: &Options) -> Result<Prepared> {
    let plan = plan::file::read(file, options.shown)?;
    let state = State::of(&plan.options.into);
    refuse_second(&state)?;
    let scan = Scan::of(&given(&plan), &[file])?;
    let decisions = plan.decisions(&scan.tree);
    let stale = check::stale(&plan, &scan.tree, &decisions, options.shown);
    refuse(
        "the plan is stale: it was made from another state of the folder",
        stale,
        "make it again: cargo xtask restructure plan DIR -o the same file; what you changed in it is kept",
    )?;
    let problems = check::problems(&plan, &scan.tree, &decisions, options.shown);
    refuse("the plan cannot be carried out", problems, "change these entries, then run it again")?;
    let folders = Folders::of(&scan.tree, &plan.options);
    let moves = plan::moves(&scan.tree, &folders, &decisions);
    let rewrites = references::rewrite(&scan.tree, &scan.references, &moves)?;
    let losses = trial::losses(&scan, &moves, &rewrites)?;
    let (broken, patterns): (Vec<&Loss>, Vec<&Loss>) = losses.iter().partition(|loss| loss.is_broken());
    let broken = broken.into_iter().map(|loss| told(&scan.tree, loss)).collect();
    refuse("the plan would break references", broken, "let the file, or what it refers to, stay where it is")?;
    let patterns = patterns.into_iter().map(|loss| Finding { severity: Severity::Warning, ..told(&scan.tree, loss) });
    let patterns = patterns.collect();
    let (written, commands) = contents(&scan, &plan, &decisions, &moves, &rewrites, options.has_task)?;
    let commits = if options.commit { build::commits(&scan.tree, &moves, &written)? } else { Vec::new() };
    if options.commit {
        commits::refuse_changes(&uncommitted(&scan.tree, &moves, &written))?;
    }
    let places = Places { state: folders.into.join(b".ops").join(b"restructure") };
    let retired = retired(&scan.tree, &moves, &written);
    let built = build::build(&scan.tree, &moves, written, &places, !commits.is_empty());
    refuse_full_disk(&plan.options.into, &built)?;
    let before = before(&scan.tree);
    let undecided = decisions
        .values()
        .filter(|item| item.act == plan::Act::Decide)
        .map(|item| folders.from.append(&item.path))
        .collect();
    let mut journal = Journal {
        id: String::new(),
        from: folders.from.clone(),
        into: folders.into.clone(),
        plan: options.shown.to_string(),
        before,
        steps: built.steps.clone(),
        dropped: dropped(&moves),
        copies: copies(&scan, &plan, &decisions, &moves),
        commands,
        retired,
        undecided,
        commits,
        readmes: Some(plan.readmes),
        made_ops: !plan.options.into.join(".ops").exists(),
    };
    journal.id = hash::sha256(format!("{}{:?}", plan.digest, journal.steps))[..12].to_owned();
    Ok(Prepared { scan, plan, decisions, moves, rewrites, built, journal, state, patterns })
}

fn given(plan: &Plan) -> Vec<&Utf8Path> {
    vec![plan.options.folder.as_path(), plan.options.into.as_path()]
}

/// Another one must be finished or taken back first.
fn refuse_second(state: &State) -> Result<()> {
    let target = state.folder.ancestors().nth(2).unwrap_or(&state.folder);
    let (message, hint) = match state.stage() {
        Stage::None => return Ok(()),
        Stage::Begun => (
            "a restructure of it was begun and not finished",
            format!("cargo xtask restructure apply --resume {target}, or undo {target}"),
        ),
        Stage::Undoing => ("a restructure of it is half taken back", format!("cargo xtask restructure undo {target}")),
        Stage::Applied => {
            ("it has been restructured already", format!("cargo xtask restructure finish {target}, or undo {target}"))
        }
        Stage::Finishing => {
            ("a restructure of it is being finished", format!("cargo xtask restructure finish {target}"))
        }
    };
    Err(Failure::refused(format!("`{target}`: {message}")).hint(hint).into())
}

fn refuse(message: &str, findings: Vec<Finding>, hint: &str) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::with_findings(Exit::Findings, message, findings).hint(hint).into())
}

fn told(tree: &Tree, loss: &Loss) -> Finding {
    let file = tree.path(loss.reference.file).to_string();
    let place = Place { file: file.into(), line: loss.reference.line, column: loss.reference.column };
    let text = crate::path::shown(&loss.reference.text);
    Finding::error(format!("`{text}` would not lead to `{}` any more", loss.lost.wanted)).at(place)
}

/// Tracked files with changes of their own that would get into a commit.
fn uncommitted(tree: &Tree, moves: &Moves, written: &[Written]) -> Vec<RelPath> {
    let rewritten: HashSet<&RelPath> =
        written.iter().filter_map(|written| written.replaces.map(|id| tree.path(id))).collect();
    let mut paths = Vec::new();
    for repository in tree.repositories() {
        let top = git::top_in(tree, repository);
        let changed = repository.changed.iter().map(|path| top.append(path));
        paths.extend(
            changed.filter(|path| rewritten.contains(path) || moves.is_dropped(path) || moves.after(path) != *path),
        );
    }
    paths.sort();
    paths
}

/// Old scripts with the task that does their work, and where they are now.
type Commands = Vec<(RelPath, Option<String>, RelPath)>;

/// Everything that is written: rewritten files, and what is told of the new tree.
fn contents(
    scan: &Scan,
    plan: &Plan,
    decisions: &BTreeMap<RelPath, Item>,
    moves: &Moves,
    rewrites: &Rewrites,
    has_task: &dyn Fn(&str) -> bool,
) -> Result<(Vec<Written>, Commands)> {
    let mut written: Vec<Written> = Vec::new();
    for (id, content) in trial::rewritten(&scan.tree, rewrites)? {
        written.push(Written { path: moves.after(scan.tree.path(id)), content, replaces: Some(id) });
    }
    let after = scan.tree.after(moves, written.iter().map(|written| (written.path.clone(), written.content.clone())));
    let retired = build::retired(&scan.tree, &after, moves);
    let teller = Teller::new(scan, plan, decisions, moves, &after, has_task);
    let origins: HashMap<RelPath, FileId> = scan
        .tree
        .ids()
        .map(|id| (moves.after(scan.tree.path(id)), id))
        .filter(|(_, id)| !moves.is_dropped(scan.tree.path(*id)))
        .collect();
    for told in teller.write(&retired, !moves.is_empty())? {
        let Some(there) = after.get(&told.path) else {
            written.push(told);
            continue;
        };
        if !after.entry(there).is_file() {
            continue;
        }
        // Somebody's own file: what is generated stands in it, marked, and the rest is kept.
        let content = tell::within(&after.content(there)?, &told.content);
        match written.iter_mut().find(|written| written.path == told.path) {
            Some(written) => written.content = content,
            None => {
                written.push(Written { path: told.path.clone(), content, replaces: origins.get(&told.path).copied() })
            }
        }
    }
    written.sort_by(|a, b| a.path.cmp(&b.path));
    let commands = teller.commands.iter().map(|(old, task, now)| (old.clone(), task.map(str::to_owned), now.clone()));
    let commands = commands.collect();
    Ok((written, commands))
}

fn dropped(moves: &Moves) -> BTreeMap<RelPath, RelPath> {
    let changes = moves.changes().into_iter();
    changes
        .filter_map(|(from, fate)| match fate {
            Fate::DroppedFor(kept) => Some((from.clone(), kept.clone())),
            Fate::At(_) => None,
        })
        .collect()
}

/// Why copies stay: what the plan says of each, or that somebody has decided so.
fn copies(scan: &Scan, plan: &Plan, decisions: &BTreeMap<RelPath, Item>, moves: &Moves) -> BTreeMap<RelPath, String> {
    let folders = Folders::of(&scan.tree, &plan.options);
    let reasons = plan::why_copies_stay(scan);
    let mut copies = BTreeMap::new();
    for group in &scan.groups {
        let there: Vec<FileId> =
            group.files.iter().copied().filter(|id| !moves.is_dropped(scan.tree.path(*id))).collect();
        for id in there.iter().filter(|_| there.len() > 1) {
            let path = scan.tree.path(*id);
            let item = path.below(&folders.from).and_then(|below| decisions.get(&below));
            let why = reasons.get(id).cloned().or_else(|| item.map(|item| item.because.clone()));
            copies.insert(moves.after(path), why.unwrap_or_else(|| "it lies outside the folder".to_owned()));
        }
    }
    copies
}

fn retired(tree: &Tree, moves: &Moves, written: &[Written]) -> Vec<(RelPath, RelPath)> {
    let after = tree.after(moves, written.iter().map(|written| (written.path.clone(), written.content.clone())));
    build::retired(tree, &after, moves)
}

fn refuse_full_disk(into: &Utf8Path, built: &Built) -> Result<()> {
    /// For the journal, folders and what the file system takes for itself.
    const SPARE: u64 = 16 * 1024 * 1024;
    let needed: u64 = built.waiting.iter().map(|(_, written)| written.content.len() as u64 + 4096).sum::<u64>() + SPARE;
    match os::free_bytes(into) {
        Some(free) if free < needed => {
            Err(Failure::refused(format!("{} MB are needed below `{into}`, {} MB are free", needed >> 20, free >> 20))
                .into())
        }
        _ => Ok(()),
    }
}

/// Everything in the given folders, for undo and for the proof that nothing is lost.
fn before(tree: &Tree) -> BTreeMap<RelPath, Was> {
    let given = tree.entries().iter().filter(|entry| entry.is_given);
    given.map(|entry| (entry.path.clone(), Was::of(tree, entry))).collect()
}

impl Prepared {
    /// True when nothing would change.
    pub fn is_nothing(&self) -> bool {
        self.moves.is_empty() && self.built.waiting.is_empty()
    }

    /// Writes down what will be done; from here on it can be resumed or undone.
    pub fn begin(&self) -> Result<()> {
        self.state.clear()?;
        let into = &self.plan.options.into;
        let was = into.metadata().with_context(|| format!("failed to look at `{into}`"))?;
        self.state.make()?;
        // Until the journal is there, nothing has happened to the target.
        let time = (was.mtime(), u32::try_from(was.mtime_nsec()).unwrap_or(0));
        os::set_modified(into.as_std_path(), time.0, time.1)
            .with_context(|| format!("failed to set the time of `{into}`"))?;
        for folder in ["stage", "new", "store"] {
            files::make_folder(&self.state.folder.join(folder))?;
        }
        let root = self.scan.tree.root().as_std_path();
        for (new, written) in &self.built.waiting {
            self.put(&new.on(root), written).with_context(|| format!("failed to write `{}`", written.path))?;
        }
        files::sync_tree(&self.state.folder)?;
        self.journal.write(&self.state)
    }

    /// A content in the place where it waits, with the mode, the owner and the time it will have.
    fn put(&self, there: &Path, written: &Written) -> Result<()> {
        let tree = &self.scan.tree;
        let replaced = written.replaces.map(|id| tree.entry(id));
        let (mode, mtime) = match replaced {
            // A second later: what is cached by time stamp is looked at again, and two runs write the same.
            Some(entry) => (entry.mode, (entry.mtime.0 + 1, entry.mtime.1)),
            None => (0o644, self.built.latest),
        };
        if matches!(replaced.map(|entry| &entry.kind), Some(Kind::Symlink(_))) {
            std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&written.content), there)?;
        } else {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode & 0o777).open(there)?;
            file.write_all(&written.content)?;
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            file.sync_all()?;
        }
        if os::is_root() {
            let like = match written.replaces {
                Some(id) => tree.on_disk(id).and_then(|path| path.symlink_metadata().ok()),
                None => tree.root().as_std_path().symlink_metadata().ok(),
            };
            if let Some(facts) = like {
                std::os::unix::fs::lchown(there, Some(facts.uid()), Some(facts.gid()))?;
            }
        }
        Ok(os::set_modified(there, mtime.0, mtime.1)?)
    }
}

/// Takes every step that has not been taken; what was begun is finished.
pub fn carry_out(state: &State, journal: &Journal, progress: &Progress) -> Result<()> {
    let root = journal.root(state)?;
    let first = journal.first_unstage();
    // Once things leave the staging place, names mean something else, and all that was to be done before has been done.
    let is_unstaging = state.lines().iter().any(|line| line == UNSTAGING);
    for (number, step) in journal.steps.iter().enumerate() {
        if is_unstaging && Some(number) < first {
            continue;
        }
        progress.detail(&format!("{} of {}: {}", number + 1, journal.steps.len(), step.describe()));
        if Some(number) == first && !is_unstaging {
            sync(&root, journal)?;
            state.note(UNSTAGING)?;
        }
        match step {
            Step::Commit { is_second } => {
                sync(&root, journal)?;
                for commits in &journal.commits {
                    commits.forward(*is_second, &root, state, &journal.id)?;
                }
            }
            step => step.forward(&root)?,
        }
    }
    sync(&root, journal)?;
    state.note(APPLIED)
}

/// The names that steps have made and removed, through to the disk.
pub fn sync(root: &Path, journal: &Journal) -> Result<()> {
    let mut folders: HashSet<RelPath> = HashSet::new();
    for step in &journal.steps {
        match step {
            Step::Rename { from, to, .. } | Step::Stage { from, stage: to, .. } | Step::Unstage { stage: from, to } => {
                folders.extend([from.parent(), to.parent()].into_iter().flatten());
            }
            Step::MakeFolder { path, .. }
            | Step::RemoveFolder { path, .. }
            | Step::Create { path, .. }
            | Step::Rewrite { path, .. } => {
                folders.extend(path.parent());
            }
            Step::Touch { .. } | Step::Commit { .. } => {}
        }
    }
    for folder in folders {
        match std::fs::File::open(folder.on(root)) {
            Ok(file) => file.sync_all().with_context(|| format!("failed to write `{folder}`"))?,
            // Gone, or a file's name by now.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error).with_context(|| format!("failed to write `{folder}`")),
        }
    }
    Ok(())
}
