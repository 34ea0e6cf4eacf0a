//! Code that belongs together: programs with their sources, tests and configuration, charts, projects of a tool. A unit
//! stays where it is; what only surrounds it is not in it.

use std::collections::{HashMap, HashSet};

use super::class::words;
use super::look::{Look, Shape};
use crate::path::RelPath;
use crate::tree::{FileId, Tree};

/// Folders whose content stays as it is.
#[derive(Clone, Debug)]
pub struct Unit {
    pub root: RelPath,
    /// What makes it one, in words: "a Node.js package with its sources".
    pub why: String,
}

#[derive(Debug, Default)]
pub struct Units {
    pub units: Vec<Unit>,
    /// Folders that hold units side by side and little else.
    pub collections: Vec<RelPath>,
    /// The given folder is a program itself: it has a manifest and sources of its own.
    pub is_program: bool,
}

impl Units {
    /// The unit that a path belongs to.
    pub fn of(&self, path: &RelPath) -> Option<&Unit> {
        path.ancestors().find_map(|folder| self.units.iter().find(|unit| unit.root == folder))
    }
    pub fn collection(&self, path: &RelPath) -> Option<&RelPath> {
        self.collections.iter().find(|folder| path.is_within(folder))
    }
}

/// Files that begin a program or a project, with what they make it.
const MANIFESTS: &[(&str, &str, Strength)] = &[
    ("go.mod", "a Go module", Strength::Compiled),
    ("Cargo.toml", "a Rust package", Strength::Compiled),
    ("pom.xml", "a Maven project", Strength::Compiled),
    ("build.gradle", "a Gradle project", Strength::Compiled),
    ("build.gradle.kts", "a Gradle project", Strength::Compiled),
    ("CMakeLists.txt", "a CMake project", Strength::Compiled),
    ("Package.swift", "a Swift package", Strength::Compiled),
    ("mix.exs", "an Elixir project", Strength::Compiled),
    ("build.sbt", "a Scala project", Strength::Compiled),
    ("Gopkg.toml", "a Go program", Strength::Compiled),
    ("glide.yaml", "a Go program", Strength::Compiled),
    ("meson.build", "a Meson project", Strength::Compiled),
    ("configure.ac", "a program with its configure script", Strength::Compiled),
    ("build.xml", "an Ant project", Strength::Compiled),
    ("Makefile", "a program with its makefile", Strength::Made),
    ("GNUmakefile", "a program with its makefile", Strength::Made),
    ("pubspec.yaml", "a Dart package", Strength::Compiled),
    ("composer.json", "a PHP package", Strength::Interpreted),
    ("package.json", "a Node.js package", Strength::Interpreted),
    ("deno.json", "a Deno project", Strength::Interpreted),
    ("pyproject.toml", "a Python package", Strength::Interpreted),
    ("setup.py", "a Python package", Strength::Interpreted),
    ("manage.py", "a Django project", Strength::Interpreted),
    ("requirements.txt", "a Python program", Strength::Weak),
    ("Pipfile", "a Python program", Strength::Interpreted),
    ("Gemfile", "a Ruby program", Strength::Interpreted),
    ("Dockerfile", "a program with its image", Strength::Weak),
    ("Chart.yaml", "a Helm chart", Strength::Whole),
    ("dbt_project.yml", "a dbt project", Strength::Whole),
    ("serverless.yml", "a Serverless project", Strength::Whole),
    ("firebase.json", "a Firebase project", Strength::Whole),
    ("alembic.ini", "an Alembic project", Strength::Whole),
    ("schema.prisma", "a Prisma project", Strength::Whole),
    ("galaxy.yml", "an Ansible collection", Strength::Whole),
    ("wrangler.toml", "a Workers project", Strength::Whole),
    ("pulumi.yaml", "a Pulumi project", Strength::Whole),
    ("Pulumi.yaml", "a Pulumi project", Strength::Whole),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    /// Any source beside it makes it a program.
    Compiled,
    /// Sources that are compiled must outweigh everything else: a makefile runs scripts as well.
    Made,
    /// Modules must outweigh scripts.
    Interpreted,
    /// It must stand beside modules.
    Weak,
    /// The tool's own layout below it counts, whatever it holds.
    Whole,
}

/// Words that name a folder of scripts, whatever manifest it has.
const SCRIPTS: &[&str] = &[
    "script",
    "scripts",
    "tools",
    "tool",
    "bin",
    "hack",
    "ops",
    "util",
    "utils",
    "utilities",
    "automation",
    "devops",
    "misc",
];
/// Words that name a part of a program.
const PARTS: &[&str] = &[
    "src",
    "app",
    "apps",
    "lib",
    "libs",
    "pkg",
    "internal",
    "cmd",
    "components",
    "pages",
    "public",
    "static",
    "assets",
    "server",
    "client",
    "frontend",
    "backend",
    "web",
    "api",
    "packages",
    "modules",
    "core",
    "ui",
    "views",
    "templates",
    "styles",
    "locales",
    "i18n",
    "proto",
];
/// Words that name tests.
pub const TESTS: &[&str] = &["test", "tests", "__tests__", "spec", "specs", "e2e", "testdata", "cypress", "playwright"];

/// Code below a folder, by shape.
#[derive(Clone, Copy, Debug, Default)]
struct Code {
    modules: usize,
    tests: usize,
    scripts: usize,
    /// Of the modules and tests, those in a language that is compiled.
    compiled: usize,
}

/// Sources from which a folder is a program whatever else says so.
const MANY_SOURCES: usize = 10;

impl Code {
    /// Most of it is compiled: nobody runs these files one by one.
    fn is_compiled(self) -> bool {
        self.compiled * 2 > self.modules + self.tests + self.scripts
    }
    fn is_program(self) -> bool {
        self.modules > 0 && self.modules + self.tests > self.scripts
    }
}

/// Finds the units below one given folder.
pub fn find(tree: &Tree, given: &RelPath, looks: &[Option<Look>]) -> Units {
    let code = code_below(tree, given, looks);
    let none = Code::default();
    let of = |folder: &RelPath| code.get(folder).copied().unwrap_or(none);
    let mut units = Units::default();
    let mut roots: HashSet<RelPath> = HashSet::new();
    // In the order of paths a folder comes before what lies in it: the outermost wins.
    for id in tree.below(given).filter(|id| tree.is_folder(tree.path(*id))) {
        let folder = tree.path(id);
        if folder.ancestors().any(|above| roots.contains(&above)) {
            continue;
        }
        if let Some(why) = why_unit(tree, folder, of(folder)) {
            roots.insert(folder.clone());
            units.units.push(Unit { root: folder.clone(), why });
        }
    }
    let says = |strength: Strength| match strength {
        Strength::Weak => false,
        Strength::Made => of(given).is_compiled(),
        _ => true,
    };
    let is_plain = of(given).compiled >= MANY_SOURCES && of(given).is_compiled();
    let has_manifest = is_plain || manifests(tree, given).any(|(_, strength)| says(strength));
    let own = own_code(tree, given, looks);
    let tops: Vec<RelPath> = tree
        .children(given)
        .map(|id| tree.path(id).clone())
        .filter(|path| tree.is_folder(path) && !roots.contains(path) && tree.closed(path).is_none())
        .collect();
    // A program at the top: its sources are the folders in which modules outweigh scripts.
    if has_manifest {
        let is_source = |folder: &RelPath| {
            let outside = outside_of(tree, folder, &roots, looks);
            outside.is_program() && (!is_named(folder, SCRIPTS) || outside.modules > 3 * outside.scripts)
        };
        let sources: Vec<RelPath> = tops.iter().filter(|folder| is_source(folder)).cloned().collect();
        units.is_program = own.is_program() || !sources.is_empty();
        for folder in sources {
            units.units.push(Unit { root: folder, why: "sources of the program at the top".to_owned() });
        }
        for folder in tops.iter().filter(|_| units.is_program) {
            let is_part = is_named(folder, PARTS) && !units.units.iter().any(|unit| unit.root == *folder);
            if is_part && of(folder).scripts == 0 && !units.units.iter().any(|unit| unit.root.is_within(folder)) {
                units.units.push(Unit { root: folder.clone(), why: "part of the program at the top".to_owned() });
            }
        }
    }
    units.collections = collections(tree, &tops, &units);
    units
}

/// Folders half of whose subfolders, and at least one, are units.
fn collections(tree: &Tree, tops: &[RelPath], units: &Units) -> Vec<RelPath> {
    let is_collection = |folder: &&RelPath| {
        let children: Vec<FileId> = tree.children(folder).filter(|id| tree.is_folder(tree.path(*id))).collect();
        let inside = children.iter().filter(|id| units.units.iter().any(|unit| unit.root == *tree.path(**id))).count();
        inside > 0 && inside * 2 >= children.len() && !is_named(folder, SCRIPTS)
    };
    tops.iter().filter(is_collection).cloned().collect()
}

fn manifests(tree: &Tree, folder: &RelPath) -> impl Iterator<Item = (&'static str, Strength)> {
    let there = |row: &&(&str, &'static str, Strength)| tree.is_file(&folder.join(row.0.as_bytes()));
    MANIFESTS.iter().filter(there).map(|(_, why, strength)| (*why, *strength))
}

fn why_unit(tree: &Tree, folder: &RelPath, code: Code) -> Option<String> {
    if folder.name() == b"supabase"
        && (tree.is_file(&folder.join(b"config.toml")) || tree.is_folder(&folder.join(b"migrations")))
    {
        return Some("a Supabase project, which its tool finds by these names".to_owned());
    }
    let is_scripts = is_named(folder, SCRIPTS);
    for (why, strength) in manifests(tree, folder) {
        let holds = match strength {
            Strength::Whole => true,
            Strength::Compiled => code.modules + code.tests > 0 && !(is_scripts && code.scripts > code.modules),
            Strength::Interpreted => {
                let has_sources =
                    ["src", "lib", "app"].iter().any(|name| tree.is_folder(&folder.join(name.as_bytes())));
                (code.is_program() || (has_sources && code.modules > 0))
                    && !(is_scripts && code.scripts * 2 > code.modules)
            }
            Strength::Made => code.compiled >= 2 && code.is_compiled(),
            Strength::Weak => code.modules >= 2 && code.is_program() && !is_scripts,
        };
        if holds {
            return Some(match code {
                Code { modules: 0, .. } => why.to_owned(),
                Code { modules, tests, .. } => format!("{why} with {modules} modules and {tests} tests"),
            });
        }
    }
    None
}

/// A folder above says that scripts lie in it.
pub fn is_among_scripts(path: &RelPath) -> bool {
    path.ancestors().filter(|folder| !folder.is_root()).any(|folder| is_named(&folder, SCRIPTS))
}

fn is_named(folder: &RelPath, names: &[&str]) -> bool {
    let name = String::from_utf8_lossy(folder.name()).to_lowercase();
    names.contains(&name.as_str()) || words(&name).iter().all(|word| names.contains(&word.as_str()) || word == "root")
}

/// Code below every folder.
fn code_below(tree: &Tree, given: &RelPath, looks: &[Option<Look>]) -> HashMap<RelPath, Code> {
    let mut code: HashMap<RelPath, Code> = HashMap::new();
    for id in tree.below(given) {
        let Some(shape) = looks[id.index()].as_ref().map(|look| look.shape).filter(|shape| *shape != Shape::None)
        else {
            continue;
        };
        let is_compiled = looks[id.index()].as_ref().is_some_and(|look| look.is_compiled);
        for folder in tree.path(id).ancestors() {
            let code = code.entry(folder).or_default();
            count(code, shape);
            code.compiled += usize::from(is_compiled && shape != Shape::Script);
        }
    }
    code
}

fn count(code: &mut Code, shape: Shape) {
    match shape {
        Shape::Module => code.modules += 1,
        Shape::Test => code.tests += 1,
        Shape::Script => code.scripts += 1,
        Shape::None => {}
    }
}

/// Code directly in a folder.
fn own_code(tree: &Tree, folder: &RelPath, looks: &[Option<Look>]) -> Code {
    let mut code = Code::default();
    tree.children(folder).filter_map(|id| looks[id.index()].as_ref()).for_each(|look| count(&mut code, look.shape));
    code
}

/// Code below a folder that is in none of the units.
fn outside_of(tree: &Tree, folder: &RelPath, roots: &HashSet<RelPath>, looks: &[Option<Look>]) -> Code {
    let mut code = Code::default();
    for id in tree.below(folder) {
        if !tree.path(id).ancestors().any(|above| roots.contains(&above))
            && let Some(look) = &looks[id.index()]
        {
            count(&mut code, look.shape);
        }
    }
    code
}
