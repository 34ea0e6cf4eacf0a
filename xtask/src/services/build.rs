//! Installing and building components (services and libraries), by content: a record keeps what was last built from
//! which inputs, and a component is built again only when an input differs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::tools::versions::{self, Found, TOOLS};
use crate::tools::{self, Cmd, files, git, hash, os};
use crate::ui::{Exit, Failure, Step};
use crate::workspace::service::{Language, Service, Services};
use crate::workspace::{Workspace, entries};

/// Folders that are made from others and so are never an input.
const DERIVED: [&str; 8] =
    ["node_modules", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", "dist", "coverage", ".git"];

/// What a step of a component was, or would be, made from: each input and its hash.
pub type Inputs = BTreeMap<String, String>;

/// The two things done to a component, each with its own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its dependencies, from lock files.
    Install,
    /// What its sources become; at least a check that they can be read.
    Build,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Stage::Install => "install",
            Stage::Build => "build",
        }
    }
}

/// Builds components of one workspace.
pub struct Builder<'a> {
    workspace: &'a Workspace,
    services: &'a Services,
    tool_versions: BTreeMap<&'static str, String>,
    /// Files of every component, asked of git once.
    files: BTreeMap<String, Vec<Utf8PathBuf>>,
}

impl<'a> Builder<'a> {
    pub fn new(workspace: &'a Workspace, services: &'a Services) -> Builder<'a> {
        let sources: Vec<Utf8PathBuf> = services.all().iter().map(|service| service.source.clone()).collect();
        let tracked = git::files(workspace.root(), &sources);
        let of = |service: &Service| match &tracked {
            Some(all) => all.iter().filter(|file| file.starts_with(&service.source)).cloned().collect(),
            None => walk(workspace.root(), &service.source),
        };
        let files = services.all().iter().map(|service| (service.name.clone(), of(service))).collect();
        let versions = TOOLS.iter().filter(|tool| matches!(tool.program, "node" | "python3"));
        let used = |program: &str| {
            let language = if program == "node" { Language::Node } else { Language::Python };
            services.all().iter().any(|service| service.uses(language))
        };
        let versions = versions.filter(|tool| used(tool.program)).map(|tool| {
            let version = match versions::look(tool) {
                Found::Good { version } | Found::TooOld { version } => version,
                Found::Missing | Found::Broken { .. } => String::new(),
            };
            (tool.program, version)
        });
        Builder { workspace, services, tool_versions: versions.collect(), files }
    }

    /// SHA-256 over a component's files and those of its libraries: names and contents.
    pub fn source_hash(&self, service: &Service) -> Result<String> {
        let mut text = String::new();
        for component in std::iter::once(service).chain(self.services.libraries_of(service)) {
            for (file, hash) in self.hashes(component, |_| true)? {
                text.push_str(&format!("{hash}  {file}\n"));
            }
        }
        Ok(hash::sha256(text))
    }

    /// Why a stage must run; None when its record says that it was made from the same inputs.
    pub fn reasons(&self, service: &Service, stage: Stage) -> Result<Option<Vec<String>>> {
        let now = self.inputs(service, stage)?;
        let Some(then) = self.record(service, stage) else {
            return Ok(Some(vec!["it was never done here".to_owned()]));
        };
        if stage == Stage::Install && !self.is_installed(service) {
            return Ok(Some(vec!["what was installed is gone".to_owned()]));
        }
        let mut reasons = Vec::new();
        for (input, hash) in &now {
            match then.get(input) {
                None => reasons.push(format!("{input} is new")),
                Some(old) if old != hash => reasons.push(format!("{input} changed")),
                Some(_) => {}
            }
        }
        reasons.extend(then.keys().filter(|input| !now.contains_key(*input)).map(|input| format!("{input} is gone")));
        Ok((!reasons.is_empty()).then_some(reasons))
    }

    /// Runs a stage and records what it was made from.
    pub fn perform(&self, service: &Service, stage: Stage, step: &Step) -> Result<()> {
        let inputs = self.inputs(service, stage)?;
        files::remove(&self.record_file(service, stage))?;
        let result = match stage {
            Stage::Install => self.install(service, step),
            Stage::Build => self.build(service, step),
        };
        result.map_err(explain)?;
        let inputs: serde_json::Map<String, Value> = inputs.into_iter().map(|(k, v)| (k, Value::from(v))).collect();
        files::write_json(&self.record_file(service, stage), &json!({"inputs": inputs}))
    }

    fn record_file(&self, service: &Service, stage: Stage) -> Utf8PathBuf {
        self.workspace.build_records().join(format!("{}.{}.json", service.name, stage.name()))
    }

    fn record(&self, service: &Service, stage: Stage) -> Option<Inputs> {
        let value = files::read_json(&self.record_file(service, stage))?;
        let pairs = value["inputs"].as_object()?.iter();
        Some(pairs.filter_map(|(key, hash)| Some((key.clone(), hash.as_str()?.to_owned()))).collect())
    }

    fn inputs(&self, service: &Service, stage: Stage) -> Result<Inputs> {
        let mut inputs = match stage {
            Stage::Build => self.hashes(service, |_| true)?,
            Stage::Install => self.hashes(service, |file| {
                let name = file.file_name().unwrap_or_default();
                let top = file.parent() == Some(&service.source);
                top && (matches!(name, "package.json" | "package-lock.json" | ".npmrc") || is_requirements(name))
            })?,
        };
        for language in &service.languages {
            let program = if *language == Language::Node { "node" } else { "python3" };
            inputs.insert(
                format!("the version of {program}"),
                self.tool_versions.get(program).cloned().unwrap_or_default(),
            );
        }
        if stage == Stage::Install && service.uses(Language::Python) {
            let root = self.workspace.root();
            let paths =
                self.library_paths(service).into_iter().map(|path| path.to_string()).collect::<Vec<_>>().join(":");
            inputs.insert("the place of the clone".to_owned(), format!("{}:{paths}", root.join(&service.source)));
        }
        Ok(inputs)
    }

    fn hashes(&self, service: &Service, wanted: impl Fn(&Utf8Path) -> bool) -> Result<Inputs> {
        let files = self.files.get(&service.name).into_iter().flatten().filter(|file| wanted(file));
        files
            .map(|file| {
                let path = self.workspace.root().join(file);
                let hash = match path.symlink_metadata() {
                    Ok(facts) if facts.is_symlink() => {
                        hash::sha256(std::fs::read_link(&path)?.to_string_lossy().as_bytes())
                    }
                    Ok(facts) if facts.is_file() => hash::sha256_file(&path)?,
                    _ => String::new(),
                };
                Ok((file.to_string(), hash))
            })
            .collect()
    }

    fn is_installed(&self, service: &Service) -> bool {
        let folder = self.folder(service);
        let node = || !folder.join("package-lock.json").is_file() || folder.join("node_modules").is_dir();
        let python = || requirements(&folder).is_empty() || venv_python(&folder).is_file();
        (!service.uses(Language::Node) || node()) && (!service.uses(Language::Python) || python())
    }

    fn folder(&self, service: &Service) -> Utf8PathBuf {
        self.workspace.root().join(&service.source)
    }

    fn install(&self, service: &Service, step: &Step) -> Result<()> {
        let folder = self.folder(service);
        if service.uses(Language::Node) && folder.join("package-lock.json").is_file() {
            let npm = Cmd::new("npm").args(["ci", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]);
            let result = npm.dir(&folder).env("NO_UPDATE_NOTIFIER", "1").run(step);
            if result.is_err() {
                files::remove(&folder.join("node_modules"))?;
            }
            result?;
        }
        if service.uses(Language::Python) && !requirements(&folder).is_empty() {
            let venv = folder.join(".venv");
            files::remove(&venv)?;
            let result = self.make_venv(service, &folder, step);
            if result.is_err() {
                files::remove(&venv)?;
            }
            result?;
        }
        Ok(())
    }

    /// A venv without a pip of its own where the machine's pip can install into it, which saves its unpacking.
    fn make_venv(&self, service: &Service, folder: &Utf8Path, step: &Step) -> Result<()> {
        let outer = Cmd::new("python3").args(["-m", "pip", "--python", "x", "--version"]).dir(folder).ask();
        let has_pip = outer.is_ok_and(|answer| {
            !answer.stderr.contains("no such option") && !answer.stderr.contains("No module named")
        });
        let venv = Cmd::new("python3").args(["-m", "venv"]).args(has_pip.then_some("--without-pip")).arg(".venv");
        venv.dir(folder).run(step).context("failed to make a Python environment")?;
        let python = venv_python(folder);
        let pip = if has_pip {
            Cmd::new("python3").args(["-m", "pip", "--python", python.as_str()])
        } else {
            Cmd::new(python.as_str()).args(["-m", "pip"])
        };
        let mut pip = pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-compile",
            "--require-hashes",
        ]);
        for file in requirements(folder) {
            pip = pip.args(["-r", file.as_str()]);
        }
        pip.dir(folder).run(step)?;
        self.link_libraries(service, folder)
    }

    /// Puts the service's Python libraries on the path of its environment, for every tool that uses it.
    fn link_libraries(&self, service: &Service, folder: &Utf8Path) -> Result<()> {
        let paths: String = self.library_paths(service).iter().map(|path| format!("{path}\n")).collect();
        let versions = entries(&folder.join(".venv/lib"));
        let site = versions.iter().map(|version| version.join("site-packages")).find(|site| site.is_dir());
        let site = site.with_context(|| format!("`{folder}/.venv` has no site-packages"))?;
        if paths.is_empty() { Ok(()) } else { files::write(&site.join("workspace-libraries.pth"), paths, 0o644) }
    }

    /// Folders that hold the Python side of the libraries a component uses, its own included when it is one.
    fn library_paths(&self, service: &Service) -> Vec<Utf8PathBuf> {
        let own = service.is_library().then_some(service);
        let libraries = self.services.libraries_of(service).into_iter().chain(own);
        libraries
            .filter(|library| library.uses(Language::Python))
            .map(|library| python_root(&self.folder(library)))
            .collect()
    }

    fn build(&self, service: &Service, step: &Step) -> Result<()> {
        let folder = self.folder(service);
        if service.uses(Language::Node) {
            if has_script(&folder, "build") {
                Cmd::new("npm").args(["run", "build", "--silent"]).dir(&folder).run(step)?;
            }
            let scripts = service
                .run
                .iter()
                .filter(|word| word.ends_with(".js") || word.ends_with(".mjs") || word.ends_with(".cjs"));
            for script in scripts.filter(|script| folder.join(script).is_file()) {
                Cmd::new("node").args(["--check", script.as_str()]).dir(&folder).run(step)?;
            }
        }
        if service.uses(Language::Python) {
            let python = python(&folder)?;
            let compile = Cmd::new(python).args(["-m", "compileall", "-q", "-x", r"/(\.venv|node_modules)/", "."]);
            compile.dir(&folder).env_remove("PYTHONDONTWRITEBYTECODE").run(step)?;
        }
        Ok(())
    }
}

/// The Python side of a library: its folder `python` if it has one.
pub fn python_root(folder: &Utf8Path) -> Utf8PathBuf {
    let python = folder.join("python");
    if python.is_dir() { python } else { folder.to_owned() }
}

/// The interpreter for a folder: its own environment's, else the machine's.
pub fn python(folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let own = venv_python(folder);
    if own.is_file() { Ok(own) } else { Ok(tools::need("python3")?) }
}

/// The program of a service's `run`, absolute: `python` is its environment's, a path is its own, else PATH decides.
pub fn program(folder: &Utf8Path, word: &str) -> Result<Utf8PathBuf> {
    match word {
        "python" | "python3" => python(folder),
        path if path.contains('/') => Ok(folder.join(path)),
        name => Ok(tools::need(name)?),
    }
}

/// True when package.json has this script.
pub fn has_script(folder: &Utf8Path, script: &str) -> bool {
    files::read_json(&folder.join("package.json")).is_some_and(|package| package["scripts"][script].is_string())
}

fn venv_python(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join(".venv/bin/python")
}

fn is_requirements(name: &str) -> bool {
    name.starts_with("requirements") && name.ends_with(".txt")
}

fn requirements(folder: &Utf8Path) -> Vec<String> {
    let names = entries(folder).into_iter().filter_map(|path| path.file_name().map(str::to_owned));
    names.filter(|name| is_requirements(name)).collect()
}

/// Every file below a folder that is no derived one, relative to `root`, sorted.
fn walk(root: &Utf8Path, folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut files = Vec::new();
    for path in entries(&root.join(folder)) {
        let name = path.file_name().unwrap_or_default();
        let is_folder = path.symlink_metadata().is_ok_and(|facts| facts.is_dir());
        let below = path.strip_prefix(root).unwrap_or(&path);
        if is_folder && !DERIVED.contains(&name) {
            files.extend(walk(root, below));
        } else if !is_folder && path.extension() != Some("pyc") {
            files.push(below.to_owned());
        }
    }
    files.sort();
    files
}

/// The same error with the exit code and the remedy that its text tells.
fn explain(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    let network = [
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ETIMEDOUT",
        "ENETUNREACH",
        "network request",
        "NewConnectionError",
        "name resolution",
        "Connection refused",
        "Network is unreachable",
        "No matching distribution found",
        "ReadTimeout",
    ];
    if has(&["ENOSPC", "No space left on device", "Disk quota exceeded"]) {
        let hint =
            "the disk is full: free some space (`cargo xtask clean` removes what can be rebuilt), then run it again";
        return error.context(Failure::failed("the disk is full").hint(hint));
    }
    if has(&network) {
        let hint = "dependencies come from the network the first time: check the connection and the proxy settings, then run it again";
        return error.context(Failure::new(Exit::CannotTell, "a package registry could not be reached").hint(hint));
    }
    error
}

/// The key that makes hashes of values unguessable; made once a clone.
pub fn hash_key(workspace: &Workspace) -> Result<String> {
    let path = workspace.hash_key_file();
    if let Some(key) = files::read(&path)?.filter(|key| key.len() >= 64) {
        return Ok(key);
    }
    let key = os::random_hex(32)?;
    files::write(&path, &key, 0o600)?;
    // Two first runs at once: the file as it stands now is the one both must use.
    Ok(files::read(&path)?.unwrap_or(key))
}
