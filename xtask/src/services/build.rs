//! Installing and building components (services and libraries), by content: a record keeps what was last built from
//! which inputs, and a component is built again only when an input differs.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::install;
use crate::tools::versions::{self, Found, TOOLS};
use crate::tools::{self, Cmd, files, git, hash, os};
use crate::ui::Step;
use crate::workspace::service::{Language, Service, Services};
use crate::workspace::suite::Suite;
use crate::workspace::{Workspace, entries};

/// Folders that are made from others and so are never an input.
const DERIVED: [&str; 8] =
    ["node_modules", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", "dist", "coverage", ".git"];

/// What a step of a component was, or would be, made from: each input and its hash.
pub type Inputs = BTreeMap<String, String>;

/// What is done to a component, each with its own record, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What it needs to run, from lock files.
    Install,
    /// What its tests and linters need besides; only adds to what was installed, so that what runs is not disturbed.
    Tools,
    /// What its sources become; at least a check that they can be read.
    Build,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Stage::Install => "install",
            Stage::Tools => "install the tools of",
            Stage::Build => "build",
        }
    }
}

/// What is installed and built as one: a service, a library, or a test suite with dependencies of its own.
#[derive(Clone, Debug)]
pub struct Component {
    pub name: String,
    /// Relative to the workspace.
    pub source: Utf8PathBuf,
    pub languages: Vec<Language>,
    /// Scripts that must at least parse, relative to `source`.
    scripts: Vec<String>,
    /// The sources of the libraries it uses, and the Python roots among them.
    libraries: Vec<Utf8PathBuf>,
    pub python_roots: Vec<Utf8PathBuf>,
}

impl Component {
    pub fn of(workspace: &Workspace, services: &Services, service: &Service) -> Component {
        let used = services.libraries_of(service);
        let own = service.is_library().then_some(service);
        let python = used.iter().copied().chain(own).filter(|library| library.uses(Language::Python));
        let is_script = |word: &&String| [".js", ".mjs", ".cjs"].iter().any(|end| word.ends_with(end));
        Component {
            name: service.name.clone(),
            source: service.source.clone(),
            languages: service.languages.clone(),
            scripts: service.run.iter().filter(is_script).cloned().collect(),
            libraries: used.iter().map(|library| library.source.clone()).collect(),
            python_roots: python.map(|library| python_root(&workspace.root().join(&library.source))).collect(),
        }
    }

    /// A test suite, as far as it has dependencies to install.
    pub fn of_suite(workspace: &Workspace, suite: &Suite) -> Component {
        let has = |file: &str| suite.folder.join(file).is_file();
        let languages = [(Language::Node, has("package-lock.json")), (Language::Python, has("requirements.txt"))];
        Component {
            name: format!("tests-{}", suite.name),
            source: workspace.relative(&suite.folder).to_owned(),
            languages: languages.into_iter().filter(|(_, used)| *used).map(|(language, _)| language).collect(),
            scripts: Vec::new(),
            libraries: Vec::new(),
            python_roots: Vec::new(),
        }
    }

    pub fn uses(&self, language: Language) -> bool {
        self.languages.contains(&language)
    }
}

/// Builds components of one workspace.
pub struct Builder<'a> {
    workspace: &'a Workspace,
    tool_versions: BTreeMap<&'static str, String>,
    /// Files of every source folder, asked of git once.
    files: BTreeMap<Utf8PathBuf, Vec<Utf8PathBuf>>,
}

impl<'a> Builder<'a> {
    /// `components` are those it will be asked about; their libraries are looked at too.
    pub fn new(workspace: &'a Workspace, components: &[Component]) -> Builder<'a> {
        let used = |language: Language| components.iter().any(|component| component.uses(language));
        let versions = TOOLS.iter().filter(|tool| match tool.program {
            "node" => used(Language::Node),
            "python3" => used(Language::Python),
            _ => false,
        });
        let versions = versions.map(|tool| {
            let version = match versions::look(tool) {
                Found::Good { version } | Found::TooOld { version } => version,
                Found::Missing | Found::Broken { .. } => String::new(),
            };
            (tool.program, version)
        });
        Builder { tool_versions: versions.collect(), ..Builder::of_sources(workspace, components) }
    }

    /// The same for who only asks what the sources are: no tool is asked for its version.
    pub fn of_sources(workspace: &'a Workspace, components: &[Component]) -> Builder<'a> {
        let sources =
            components.iter().flat_map(|component| std::iter::once(&component.source).chain(&component.libraries));
        let mut sources: Vec<Utf8PathBuf> = sources.cloned().collect();
        sources.sort();
        sources.dedup();
        let tracked = git::files(workspace.root(), &sources);
        let of = |source: &Utf8PathBuf| {
            let known = tracked.iter().flatten().filter(|file| file.starts_with(source)).cloned();
            let known: Vec<Utf8PathBuf> = known.collect();
            // git knows nothing of a clone in an ignored folder of another repository.
            if known.is_empty() { walk(workspace.root(), source) } else { known }
        };
        let files = sources.iter().map(|source| (source.clone(), of(source))).collect();
        Builder { workspace, tool_versions: BTreeMap::new(), files }
    }

    /// A component's files and those of its libraries, relative to the workspace, each with the hash of its content; one
    /// that may be run has `+x` behind it.
    pub fn sources(&self, component: &Component) -> Result<Inputs> {
        let mut all = Inputs::new();
        for source in std::iter::once(&component.source).chain(&component.libraries) {
            all.extend(self.hashes(source, |_| true)?);
        }
        Ok(all)
    }

    /// SHA-256 over a component's files and those of its libraries: names and contents.
    pub fn source_hash(&self, component: &Component) -> Result<String> {
        Ok(digest(&self.sources(component)?))
    }

    /// Why a stage must run; None when its record says that it was made from the same inputs.
    pub fn reasons(&self, component: &Component, stage: Stage) -> Result<Option<Vec<String>>> {
        let now = self.inputs(component, stage)?;
        if stage != Stage::Build && !now.keys().any(|input| input.contains('/')) {
            return Ok(None);
        }
        let Some(then) = self.record(component, stage) else {
            return Ok(Some(vec!["it was never done here".to_owned()]));
        };
        if stage != Stage::Build && !install::is_there(&self.folder(component), component, stage) {
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
    pub fn perform(&self, component: &Component, stage: Stage, step: &Step) -> Result<()> {
        let inputs = self.inputs(component, stage)?;
        files::remove(&self.record_file(component, stage))?;
        let folder = self.folder(component);
        let result = match stage {
            Stage::Install => {
                // What was added for tests goes with what it was added to.
                files::remove(&self.record_file(component, Stage::Tools))?;
                install::runtime(self.workspace, &folder, component, step)
            }
            Stage::Tools => install::tools(self.workspace, &folder, component, step),
            Stage::Build => self.build(component, step),
        };
        result.map_err(install::explain)?;
        let inputs: serde_json::Map<String, Value> = inputs.into_iter().map(|(k, v)| (k, Value::from(v))).collect();
        files::write_json(&self.record_file(component, stage), &json!({"inputs": inputs}))
    }

    fn record_file(&self, component: &Component, stage: Stage) -> Utf8PathBuf {
        self.workspace.build_records().join(format!("{}.{}.json", component.name, stage.name()))
    }

    fn record(&self, component: &Component, stage: Stage) -> Option<Inputs> {
        let value = files::read_json(&self.record_file(component, stage))?;
        let pairs = value["inputs"].as_object()?.iter();
        Some(pairs.filter_map(|(key, hash)| Some((key.clone(), hash.as_str()?.to_owned()))).collect())
    }

    fn inputs(&self, component: &Component, stage: Stage) -> Result<Inputs> {
        let mut inputs = match stage {
            Stage::Build => self.hashes(&component.source, |_| true)?,
            stage => self.hashes(&component.source, |file| {
                let top = file.parent() == Some(&component.source);
                top && install::is_input(&self.folder(component), file.file_name().unwrap_or_default(), stage)
            })?,
        };
        for language in &component.languages {
            let program = if *language == Language::Node { "node" } else { "python3" };
            inputs.insert(
                format!("the version of {program}"),
                self.tool_versions.get(program).cloned().unwrap_or_default(),
            );
        }
        if stage != Stage::Build && component.uses(Language::Python) {
            let root = self.workspace.root();
            let paths = component.python_roots.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(":");
            inputs.insert("the place of the clone".to_owned(), format!("{}:{paths}", root.join(&component.source)));
        }
        Ok(inputs)
    }

    fn hashes(&self, source: &Utf8Path, wanted: impl Fn(&Utf8Path) -> bool) -> Result<Inputs> {
        let files = self.files.get(source).into_iter().flatten().filter(|file| wanted(file));
        files
            .map(|file| {
                let path = self.workspace.root().join(file);
                Ok((file.to_string(), content_hash(&path)?))
            })
            .collect()
    }

    fn folder(&self, component: &Component) -> Utf8PathBuf {
        self.workspace.root().join(&component.source)
    }

    fn build(&self, component: &Component, step: &Step) -> Result<()> {
        let folder = self.folder(component);
        if component.uses(Language::Node) {
            if has_script(&folder, "build") {
                Cmd::new("npm").args(["run", "build", "--silent"]).dir(&folder).run(step)?;
            }
            for script in component.scripts.iter().filter(|script| folder.join(script).is_file()) {
                Cmd::new("node").args(["--check", script.as_str()]).dir(&folder).run(step)?;
            }
        }
        if component.uses(Language::Python) {
            let python = python(&folder)?;
            let compile = Cmd::new(python).args(["-m", "compileall", "-q", "-x", r"/(\.venv|node_modules)/", "."]);
            compile.dir(&folder).env_remove("PYTHONDONTWRITEBYTECODE").run(step)?;
        }
        Ok(())
    }
}

/// SHA-256 of a file's content, or of where a link leads, `+x` behind that of one that may be run; empty for a folder.
pub fn content_hash(path: &Utf8Path) -> Result<String> {
    match path.symlink_metadata() {
        Ok(facts) if facts.is_symlink() => {
            let target = std::fs::read_link(path).with_context(|| format!("failed to read `{path}`"))?;
            Ok(hash::sha256(target.as_os_str().as_encoded_bytes()))
        }
        Ok(facts) if facts.is_file() => {
            let may_run = if facts.permissions().mode() & 0o111 != 0 { "+x" } else { "" };
            Ok(hash::sha256_file(path)? + may_run)
        }
        _ => Ok(String::new()),
    }
}

/// SHA-256 over names and their hashes.
pub fn digest(inputs: &Inputs) -> String {
    hash::sha256(inputs.iter().map(|(name, hash)| format!("{hash}  {name}\n")).collect::<String>())
}

/// The Python side of a library: its folder `python` if it has one.
pub fn python_root(folder: &Utf8Path) -> Utf8PathBuf {
    let python = folder.join("python");
    if python.is_dir() { python } else { folder.to_owned() }
}

/// The interpreter for a folder: its own environment's, which may yet have to be made, else the machine's.
pub fn python(folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let own = install::venv_python(folder);
    if own.is_file() || install::has_environment(folder) { Ok(own) } else { Ok(tools::need("python3")?) }
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
