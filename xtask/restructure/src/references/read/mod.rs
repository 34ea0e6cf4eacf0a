//! The readers, one a language: from the bytes of a file to the paths that it names. They see no tree.

mod ci;
mod compose;
mod dockerfile;
mod expression;
mod hcl;
mod javascript;
pub(crate) mod json;
mod kustomize;
mod makefile;
mod markdown;
mod package;
mod patterns;
mod program;
mod python;
mod settings;
mod shell;
mod sql;
#[cfg(test)]
mod tests;
mod toml;
mod words;
mod yaml;

use super::bytes;
use super::mention::{Anchor, Said, Weight};
use super::source::Source;
use crate::path::RelPath;

/// Larger files are data.
pub(crate) const LARGEST: u64 = 4 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Language {
    /// Nothing in it is read: binary, generated, data.
    None,
    Shell,
    Markdown,
    /// A changelog and the like: only its links are followed.
    Record,
    Sql,
    Compose,
    Dockerfile,
    Makefile,
    /// Workflows and actions of GitHub.
    Github,
    /// Any other CI, or runner of tasks, in YAML.
    Ci,
    Dependabot,
    Kustomize,
    Terraform,
    Package,
    Python,
    JavaScript,
    Tsconfig,
    Yaml,
    Json,
    Toml,
    Html,
    /// .gitignore and its kin, read from their own folder.
    Ignore,
    /// CODEOWNERS and others, read from the root.
    Owners,
    /// Whatever else: words that are unmistakable.
    Text,
    /// Not told by the name.
    Unknown,
}

impl Language {
    /// What a file's name tells. None when it is not worth to open it.
    pub fn by_name(path: &RelPath) -> Option<Language> {
        let name = path.name().to_ascii_lowercase();
        let ending = bytes::extension(&name).unwrap_or_default();
        let is_metadata = path.parts().any(|part| part.ends_with(b".egg-info") || part.ends_with(b".dist-info"));
        if is_generated(&name) || is_metadata {
            return None;
        }
        let has_folder = |folder: &[u8]| path.parts().any(|part| part == folder);
        let is_yaml = ending == b"yml" || ending == b"yaml";
        if is_yaml {
            return Some(match name.as_slice() {
                b"dependabot.yml" | b"dependabot.yaml" => Language::Dependabot,
                b"kustomization.yaml" | b"kustomization.yml" => Language::Kustomize,
                b"action.yml" | b"action.yaml" => Language::Github,
                b".gitlab-ci.yml"
                | b".travis.yml"
                | b"azure-pipelines.yml"
                | b"bitbucket-pipelines.yml"
                | b".drone.yml"
                | b"taskfile.yml"
                | b"taskfile.yaml"
                | b"cloudbuild.yaml"
                | b"buildspec.yml"
                | b".pre-commit-config.yaml"
                | b"lefthook.yml"
                | b".woodpecker.yml" => Language::Ci,
                _ if has_folder(b".github") && has_folder(b"workflows") => Language::Github,
                _ if has_folder(b".circleci")
                    || has_folder(b".gitlab")
                    || has_folder(b".buildkite")
                    || has_folder(b".woodpecker") =>
                {
                    Language::Ci
                }
                name if name.starts_with(b"docker-compose")
                    || name.starts_with(b"compose.")
                    || name.starts_with(b"compose-") =>
                {
                    Language::Compose
                }
                _ => Language::Yaml,
            });
        }
        match name.as_slice() {
            b"package.json" => return Some(Language::Package),
            b"makefile" | b"gnumakefile" => return Some(Language::Makefile),
            b".gitignore" | b".dockerignore" | b".npmignore" | b".eslintignore" | b".prettierignore"
            | b".helmignore" | b".gcloudignore" | b".vercelignore" | b".railwayignore" => {
                return Some(Language::Ignore);
            }
            b"codeowners" => return Some(Language::Owners),
            b"dockerfile" | b"containerfile" => return Some(Language::Dockerfile),
            name if name.starts_with(b"dockerfile.") && ending != b"dockerignore" => return Some(Language::Dockerfile),
            name if name.starts_with(b"makefile.") => return Some(Language::Makefile),
            name if ending == b"json" && (name.starts_with(b"tsconfig") || name.starts_with(b"jsconfig")) => {
                return Some(Language::Tsconfig);
            }
            _ => {}
        }
        Some(match ending {
            b"dockerfile" => Language::Dockerfile,
            _ if name.ends_with(b"dockerfile") => Language::Dockerfile,
            b"dockerignore" => Language::Ignore,
            b"mk" | b"mak" => Language::Makefile,
            b"tf" | b"tfvars" | b"hcl" => Language::Terraform,
            b"json" | b"jsonc" | b"json5" | b"code-workspace" => Language::Json,
            b"toml" => Language::Toml,
            b"js" | b"mjs" | b"cjs" | b"ts" | b"mts" | b"cts" | b"tsx" | b"jsx" => Language::JavaScript,
            b"py" | b"pyi" | b"pyw" => Language::Python,
            b"html" | b"htm" => Language::Html,
            b"sh" | b"bash" | b"zsh" | b"ksh" | b"bats" | b"envrc" => Language::Shell,
            b"md" | b"markdown" | b"mdx" | b"mdown" => {
                if is_record(&name) {
                    Language::Record
                } else {
                    Language::Markdown
                }
            }
            b"sql" | b"psql" | b"ddl" => Language::Sql,
            b"log" | b"csv" | b"tsv" | b"lock" | b"sum" | b"svg" | b"map" | b"png" | b"jpg" | b"jpeg" | b"gif"
            | b"ico" | b"pdf" | b"po" | b"pot" | b"zip" | b"gz" | b"tgz" | b"xz" | b"woff" | b"woff2" | b"ttf"
            | b"eot" | b"mp4" | b"webp" | b"pyc" | b"so" | b"dylib" | b"dll" | b"exe" | b"jar" | b"class" | b"wasm"
            | b"pb" | b"bin" | b"db" | b"sqlite" | b"parquet" | b"xlsx" | b"docx" | b"rtf" => {
                return None;
            }
            _ => Language::Unknown,
        })
    }
    /// What the content tells where the name does not.
    pub fn by_content(self, content: &[u8]) -> Language {
        let head = &content[..content.len().min(1024)];
        if head.contains(&0) {
            return Language::None;
        }
        if self == Language::JavaScript && is_minified(content) {
            return Language::None;
        }
        if self == Language::Yaml {
            let starts_line =
                |word: &[u8]| content.starts_with(word) || bytes::contains(content, &[b"\n", word].concat());
            let is_compose = starts_line(b"services:")
                && (bytes::contains(content, b"image:") || bytes::contains(content, b"build:"));
            return if is_compose { Language::Compose } else { self };
        }
        if self != Language::Unknown {
            return self;
        }
        let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match interpreter(first) {
            Some(b"sh" | b"bash" | b"zsh" | b"dash" | b"ksh" | b"ash" | b"bats") => Language::Shell,
            Some(b"node" | b"deno" | b"bun" | b"tsx" | b"ts-node") => Language::JavaScript,
            Some(name) if name.starts_with(b"python") => Language::Python,
            _ => Language::Text,
        }
    }
}

/// True for what a tool wrote into few lines.
fn is_minified(content: &[u8]) -> bool {
    let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
    content.len() > 20_000 && content.len() / lines > 250
}

/// The program that a `#!` line names.
fn interpreter(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.strip_prefix(b"#!")?.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let program = words.next().filter(|word| word.starts_with(b"/"))?;
    let last = |path: &[u8]| path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let program = &program[last(program)..];
    if program != b"env" {
        return Some(program);
    }
    words.find(|word| !word.starts_with(b"-"))
}

/// Files that tools write: what they name is the tools' affair.
fn is_generated(name: &[u8]) -> bool {
    matches!(
        name,
        b"package-lock.json"
            | b"pnpm-lock.yaml"
            | b"yarn.lock"
            | b"composer.lock"
            | b"go.sum"
            | b"coverage.json"
            | b"coverage.xml"
            | b"npm-shrinkwrap.json"
            | b".ds_store"
            | b"license"
            | b"license.md"
            | b"license.txt"
    ) || bytes::contains(name, b".min.")
}

/// A changelog, a history, release notes: what they say was so at the time.
fn is_record(name: &[u8]) -> bool {
    [&b"changelog"[..], b"changes", b"history", b"news", b"release_notes", b"release-notes", b"releases"]
        .iter()
        .any(|word| name.starts_with(word))
}

/// What a text of a language says.
pub(crate) fn read(language: Language, content: &[u8]) -> Said {
    let mut said = Said::default();
    let source = Source::file(content);
    match language {
        Language::None | Language::Unknown => {}
        Language::Shell => shell::read(&source, shell::Place::Script, &[Anchor::Cwd], &mut said),
        Language::Markdown => markdown::read(&source, false, &mut said),
        Language::Record => markdown::read(&source, true, &mut said),
        Language::Sql => sql::read(&source, &mut said),
        Language::Compose => compose::read(&source, &mut said),
        Language::Dockerfile => dockerfile::read(&source, &mut said),
        Language::Makefile => makefile::read(&source, &mut said),
        Language::Github => ci::github(&source, &mut said),
        Language::Ci => ci::scripts(&source, &mut said),
        Language::Dependabot => ci::dependabot(&source, &mut said),
        Language::Kustomize => kustomize::read(&source, &mut said),
        Language::Terraform => hcl::read(&source, &mut said),
        Language::Package => package::package(&source, &mut said),
        Language::Python => python::read(&source, &mut said),
        Language::JavaScript => javascript::read(&source, &mut said),
        Language::Tsconfig => package::tsconfig(&source, &mut said),
        Language::Yaml => {
            let scalars = yaml::scalars(content);
            package::workspaces(&source, &scalars, &mut said);
            settings::read(&source, &scalars, &mut said);
        }
        Language::Json => {
            let scalars = json::strings(content);
            package::workspaces(&source, &scalars, &mut said);
            settings::read(&source, &scalars, &mut said);
        }
        Language::Toml => settings::read(&source, &toml::strings(content), &mut said),
        Language::Html => html(&source, &mut said),
        Language::Ignore => patterns::read(&source, Anchor::Own, &mut said),
        Language::Owners => patterns::read(&source, Anchor::Root, &mut said),
        Language::Text => words::read_prose(&source, 0..content.len(), &mut said),
    }
    said.doubt_what_is_tested();
    said.find_places(content);
    said
}

fn html(source: &Source, said: &mut Said) {
    let text = &source.bytes;
    let mut at = 0;
    while let Some(open) = text[at..].iter().position(|byte| *byte == b'<') {
        let start = at + open;
        let Some(length) = text[start..].iter().position(|byte| *byte == b'>') else { break };
        markdown::attributes(source, start..start + length, said);
        at = start + length + 1;
    }
    // A page is often served from elsewhere than where it lies.
    said.mentions.iter_mut().for_each(|mention| mention.weight = mention.weight.min(Weight::Likely));
}
