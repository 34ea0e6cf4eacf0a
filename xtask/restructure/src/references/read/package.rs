//! package.json, pnpm-workspace.yaml, tsconfig.json: scripts, what is published, workspaces, where sources lie.

use super::super::mention::{Anchor, Said, Weight};
use super::super::source::{Outer, Source};
use super::super::{Kind, bytes};
use super::json;
use super::settings;
use super::yaml::Scalar;

pub(crate) fn package(source: &Source, said: &mut Said) {
    for scalar in json::strings(&source.bytes) {
        let text = &source.bytes[scalar.range.clone()];
        match scalar.path.first().map(Vec::as_slice) {
            Some(b"scripts") => settings::commands(source, &scalar, &[Anchor::Own], said),
            Some(
                b"main" | b"module" | b"types" | b"typings" | b"bin" | b"browser" | b"exports" | b"imports" | b"man"
                | b"directories",
            ) => {
                if !text.starts_with(b"#") {
                    settings::module(source, &scalar, Kind::Setting, said);
                }
            }
            Some(b"files" | b"workspaces") => {
                let value = scalar.source(source);
                let start = usize::from(value.bytes.first() == Some(&b'!'));
                let part = value.part(start..value.bytes.len(), Outer::Plain);
                settings::path_in(&part, Kind::Pattern, &[Anchor::Own], Weight::Likely, said);
            }
            Some(
                b"dependencies"
                | b"devDependencies"
                | b"optionalDependencies"
                | b"peerDependencies"
                | b"resolutions"
                | b"overrides",
            ) => {
                let starts = [&b"file:"[..], b"link:", b"portal:", b"workspace:."];
                if let Some(start) = starts.iter().find(|start| text.starts_with(start)) {
                    let value = scalar.source(source);
                    let skip = bytes::find(start, b":", 0).map_or(0, |colon| colon + 1);
                    let part = value.part(skip..value.bytes.len(), Outer::Plain);
                    settings::path_in(&part, Kind::Setting, &[Anchor::Own], Weight::Likely, said);
                }
            }
            Some(
                b"name" | b"version" | b"description" | b"keywords" | b"homepage" | b"repository" | b"bugs" | b"author"
                | b"license",
            ) => {}
            _ if matches!(scalar.key(), b"seed" | b"build") => {
                settings::commands(source, &scalar, &[Anchor::Own], said)
            }
            _ => settings::unmistakable(source, &scalar, &[Anchor::Own], said),
        }
    }
}

/// pnpm-workspace.yaml and lerna.json: folders of packages.
pub(crate) fn workspaces(source: &Source, scalars: &[Scalar], said: &mut Said) {
    for scalar in scalars.iter().filter(|scalar| scalar.path.first().is_some_and(|key| key == b"packages")) {
        let value = scalar.source(source);
        let start = usize::from(value.bytes.first() == Some(&b'!'));
        let part = value.part(start..value.bytes.len(), Outer::Plain);
        settings::path_in(&part, Kind::Pattern, &[Anchor::Own], Weight::Likely, said);
    }
}

pub(crate) fn tsconfig(source: &Source, said: &mut Said) {
    let scalars = json::strings(&source.bytes);
    let mut base = Anchor::Own;
    for scalar in scalars.iter().filter(|scalar| scalar.is_at(&["compilerOptions", "baseUrl"])) {
        if let Some(index) = settings::path(source, scalar, Kind::Setting, Anchor::Own, Weight::Likely, said) {
            base = Anchor::At(index);
        }
    }
    for scalar in &scalars {
        let text = &source.bytes[scalar.range.clone()];
        if scalar.is_at(&["extends"]) || scalar.is_at(&["extends", "-"]) {
            if text.starts_with(b".") {
                let extends = settings::path(source, scalar, Kind::Include, Anchor::Own, Weight::Sure, said);
                if let Some(index) = extends {
                    said.mentions[index].form = super::super::mention::Form::Module;
                    said.mentions[index].spelling.needs_dot = true;
                }
            }
        } else if scalar.is_at(&["references", "-", "path"]) {
            settings::path(source, scalar, Kind::Include, Anchor::Own, Weight::Sure, said);
        } else if ["include", "exclude", "files"].iter().any(|list| scalar.is_at(&[list, "-"])) {
            settings::path(source, scalar, Kind::Pattern, Anchor::Own, Weight::Likely, said);
        } else if scalar.is_at(&["compilerOptions", "paths", "*", "-"]) {
            settings::path(source, scalar, Kind::Pattern, base, Weight::Likely, said);
        } else if ["rootDir", "outDir", "declarationDir", "tsBuildInfoFile", "outFile"]
            .iter()
            .any(|key| scalar.is_at(&["compilerOptions", key]))
        {
            let weight = if scalar.key() == b"rootDir" { Weight::Likely } else { Weight::Made };
            settings::path(source, scalar, Kind::Setting, Anchor::Own, weight, said);
        } else if ["rootDirs", "typeRoots"].iter().any(|key| scalar.is_at(&["compilerOptions", key, "-"])) {
            settings::path(source, scalar, Kind::Setting, Anchor::Own, Weight::Likely, said);
        }
    }
}
