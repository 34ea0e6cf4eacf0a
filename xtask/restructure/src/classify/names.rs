//! What names say: the words of a file's name and of its folders, and the names by which tools find their files.

use super::class::{self, Class, words};
use super::units::TESTS;
use crate::path::RelPath;

/// How much a word counts by where it stands.
const FIRST: f32 = 3.0;
const LATER: f32 = 2.0;
const FOLDER: f32 = 4.0;
/// Each folder further up counts this share of the one below.
const FADE: f32 = 0.4;

/// What the words of a path speak for, with the reason.
pub fn evidence(path: &RelPath) -> Vec<(Class, f32, String)> {
    let mut evidence = Vec::new();
    let name = String::from_utf8_lossy(path.name()).into_owned();
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or_default();
    for (at, word) in words(stem).iter().enumerate() {
        for (class, weight) in class::said_by(word) {
            let factor = if at == 0 { FIRST } else { LATER };
            evidence.push((*class, factor * weight, format!("`{word}` in its name")));
        }
    }
    let mut factor = FOLDER;
    for folder in path.ancestors().filter(|folder| !folder.is_root()) {
        let name = String::from_utf8_lossy(folder.name()).into_owned();
        let said: Vec<(Class, f32)> = words(&name).iter().flat_map(|word| class::said_by(word)).copied().collect();
        for (class, weight) in &said {
            // A folder of odds and ends says little about what is in it.
            let generic = if *class == Class::Utilities { 0.3 } else { 1.0 };
            let share = factor * weight * generic / said.len() as f32;
            evidence.push((*class, share, format!("lies in `{}/`", crate::path::shown(name.as_bytes()))));
        }
        if !said.is_empty() {
            factor *= FADE;
        }
    }
    evidence
}

/// Files that their tools, or people, find by these names in the folder where they start.
const AT_THE_TOP: &[&str] = &[
    "readme",
    "license",
    "licence",
    "copying",
    "notice",
    "changelog",
    "contributing",
    "security",
    "code_of_conduct",
    "code-of-conduct",
    "notices",
    "governance",
    "support",
    "owners",
    "owners_aliases",
    "contributors",
    "adopters",
    "authors",
    "maintainers",
    "codeowners",
    "catalog",
    "version",
    "makefile",
    "gnumakefile",
    "justfile",
    "taskfile",
    "jenkinsfile",
    "procfile",
    "vagrantfile",
    "rakefile",
    "gemfile",
    "pipfile",
    "package",
    "package-lock",
    "pnpm-lock",
    "pnpm-workspace",
    "yarn",
    "lerna",
    "nx",
    "turbo",
    "tsconfig",
    "jsconfig",
    "vercel",
    "netlify",
    "firebase",
    "fly",
    "railway",
    "render",
    "app",
    "cargo",
    "go",
    "pyproject",
    "setup",
    "tox",
    "noxfile",
    "pytest",
    "conftest",
    "mypy",
    "requirements",
    "environment",
    "poetry",
    "uv",
    "composer",
    "pom",
    "build",
    "settings",
    "gradle",
    "gradlew",
    "mvnw",
    "cmakelists",
    "deno",
    "bun",
    "mkdocs",
    "renovate",
    "dependabot",
    "sonar-project",
    "codecov",
    "appveyor",
    "azure-pipelines",
    "bitbucket-pipelines",
    "cloudbuild",
    "skaffold",
    "tiltfile",
    "docker-bake",
    "dockerfile",
    "docker-compose",
    "compose",
    "next",
    "next-env",
    "nuxt",
    "vite",
    "vitest",
    "jest",
    "babel",
    "webpack",
    "rollup",
    "postcss",
    "tailwind",
    "eslint",
    "prettier",
    "playwright",
    "cypress",
    "karma",
    "components",
];

/// Files that begin or freeze a program, or configure its tools.
pub fn is_manifest(path: &RelPath) -> bool {
    let name = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    AT_THE_TOP.contains(&stem) && !matches!(stem, "readme" | "changelog" | "contributing" | "catalog" | "security")
}

/// The place of a file that must not change, with its class; `path` is relative to the given folder.
pub fn fixed(path: &RelPath) -> Option<(Class, String)> {
    let parts: Vec<String> = path.parts().map(|part| String::from_utf8_lossy(part).to_lowercase()).collect();
    match parts.as_slice() {
        [only] => {
            let stem = only.trim_start_matches('.').split('.').next().unwrap_or_default();
            let is_config = only.contains(".config.") || stem.starts_with("tsconfig");
            let is_known = only.starts_with('.') || is_config || AT_THE_TOP.contains(&stem);
            let is_readme_like =
                ["readme", "license", "changelog", "contributing", "catalog", "security"].contains(&stem);
            let class = if is_readme_like { Class::Docs } else { Class::Config };
            is_known.then(|| (class, "its tool or its readers look for it at the top".to_owned()))
        }
        [first, ..] if first == ".github" || first == ".gitlab" || first == ".circleci" || first == ".husky" => {
            Some((Class::Ci, format!("its tool looks for it in `{first}/`")))
        }
        [first, _, ..] if first == "_archive" => Some((Class::Archive, "is in the archive already".to_owned())),
        [first, ..] if first.starts_with('.') => Some((Class::Config, format!("its tool looks for it in `{first}/`"))),
        [first, _, ..] if TESTS.contains(&first.as_str()) => {
            Some((Class::Testing, format!("`{first}/` stays with what it tests")))
        }
        _ => None,
    }
}

/// A text that people read, by its name: it has an ending of such texts, or none and is written in capitals.
pub fn is_prose(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 8] = [b"txt", b"text", b"adoc", b"asciidoc", b"org", b"rtf", b"textile", b"wiki"];
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 => ENDINGS.contains(&name[dot + 1..].to_ascii_lowercase().as_slice()),
        _ => name.iter().all(|byte| byte.is_ascii_uppercase() || b"-_0123456789".contains(byte)),
    }
}

pub fn is_readme(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    name == "readme" || name.starts_with("readme.")
}

/// Names of files that belong to whatever code lies beside them.
const BESIDE: &[&str] = &[
    "package.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    "turbo.json",
    "vercel.json",
    "components.json",
    "deno.json",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "conftest.py",
    "pytest.ini",
    "tox.ini",
    "pipfile",
    "pipfile.lock",
    "poetry.lock",
    "uv.lock",
    "gemfile",
    "gemfile.lock",
    "go.mod",
    "go.sum",
    "cargo.toml",
    "cargo.lock",
    "codeowners",
];

/// Files that say nothing by themselves and follow what lies around them.
pub fn is_attached(path: &RelPath) -> bool {
    let name = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    is_readme(path.name())
        || BESIDE.contains(&name.as_str())
        || name.starts_with(".git")
        || name.starts_with(".docker")
        || name.starts_with(".eslint")
        || name.starts_with(".prettier")
        || name == ".keep"
        || name == ".npmrc"
        || name == ".nvmrc"
        || name.starts_with("license")
        || name.starts_with("requirements") && name.ends_with(".txt")
        || (name.starts_with("tsconfig") || name.starts_with("jsconfig")) && name.ends_with(".json")
        || name.contains(".config.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn what_tools_look_for_stays() {
        for name in [
            "Makefile",
            "package.json",
            ".gitignore",
            "tsconfig.build.json",
            "jest.config.js",
            ".github/workflows/x.yml",
            "tests/unit/a.js",
        ] {
            assert!(fixed(&path(name)).is_some(), "{name}");
        }
        for name in ["deploy.sh", "scripts/package.json", "notes.md", "test.sh"] {
            assert_eq!(fixed(&path(name)), None, "{name}");
        }
    }

    #[test]
    fn words_speak_by_place() {
        let said = evidence(&path("scripts/monitoring/start-services.sh"));
        let of = |wanted: Class| {
            said.iter().filter(|(class, ..)| *class == wanted).map(|(_, weight, _)| weight).sum::<f32>()
        };
        assert!(of(Class::Services) > of(Class::Monitoring) && of(Class::Monitoring) > 3.0);
    }

    #[test]
    fn followers() {
        assert!(is_attached(&path("scripts/README.md")) && is_attached(&path("scripts/package.json")));
        assert!(!is_attached(&path("scripts/setup.sh")) && !is_attached(&path("docker/docker-compose.yml")));
    }
}
