//! Docker Compose: build contexts and their Dockerfiles, mounted folders, environment, configuration and secret files.

use super::super::mention::{Anchor, Mention, Said, Weight};
use super::super::source::Source;
use super::super::spelling::{Inner, Spelling};
use super::super::{Kind, bytes};
use super::settings;
use super::yaml::{Scalar, scalars};

pub(crate) fn read(source: &Source, said: &mut Said) {
    let scalars = scalars(&source.bytes);
    for scalar in &scalars {
        value(source, scalar, &scalars, said);
    }
}

fn value(source: &Source, scalar: &Scalar, all: &[Scalar], said: &mut Said) {
    let text = &source.bytes[scalar.range.clone()];
    if scalar.is_at(&["services", "*", "build"]) {
        if let Some(context) = build_context(source, scalar, said) {
            unnamed_dockerfile(source, scalar, context, said);
        }
    } else if scalar.is_at(&["services", "*", "build", "context"]) {
        let context = build_context(source, scalar, said);
        // The Dockerfile is read from the context, wherever the two stand.
        let file = all
            .iter()
            .find(|other| other.key() == b"dockerfile" && other.path[..3] == scalar.path[..3] && other.path.len() == 4);
        if let (Some(context), Some(file)) = (context, file)
            && let Some(file) = settings::path(source, file, Kind::Build, Anchor::At(context), Weight::Sure, said)
        {
            said.run(file, &[Anchor::At(context)]);
        } else if let (Some(context), None) = (context, file) {
            unnamed_dockerfile(source, scalar, context, said);
        }
    } else if scalar.is_at(&["services", "*", "build", "dockerfile"]) {
        let has_context = all
            .iter()
            .any(|other| other.key() == b"context" && other.path[..3] == scalar.path[..3] && other.path.len() == 4);
        if !has_context {
            settings::path(source, scalar, Kind::Build, Anchor::Project, Weight::Sure, said);
        }
    } else if scalar.is_at(&["services", "*", "volumes", "-"]) || scalar.is_at(&["services", "*", "tmpfs", "-"]) {
        mount(source, scalar, said);
    } else if scalar.is_at(&["services", "*", "volumes", "-", "source"]) {
        if text.starts_with(b".") || text.starts_with(b"$") {
            mount(source, scalar, said);
        }
    } else if scalar.is_at(&["services", "*", "env_file"])
        || scalar.is_at(&["services", "*", "env_file", "-"])
        || scalar.is_at(&["services", "*", "env_file", "-", "path"])
        || scalar.is_at(&["services", "*", "extends", "file"])
        || scalar.is_at(&["include", "-"])
        || scalar.is_at(&["include", "-", "path"])
        || scalar.is_at(&["include", "-", "path", "-"])
        || scalar.is_at(&["include", "-", "env_file"])
        || scalar.is_at(&["services", "*", "label_file"])
        || scalar.is_at(&["configs", "*", "file"])
    {
        settings::path(source, scalar, Kind::Include, Anchor::Project, Weight::Sure, said);
    } else if scalar.is_at(&["services", "*", "build", "additional_contexts", "**"])
        || scalar.is_at(&["services", "*", "develop", "watch", "-", "path"])
        || scalar.is_at(&["include", "-", "project_directory"])
        // A secret is put there by who runs it.
        || scalar.is_at(&["secrets", "*", "file"])
    {
        settings::path(source, scalar, Kind::Build, Anchor::Project, Weight::Likely, said);
    }
}

fn build_context(source: &Source, scalar: &Scalar, said: &mut Said) -> Option<usize> {
    let text = &source.bytes[scalar.range.clone()];
    let is_remote = text.starts_with(b"github.com") || text.contains(&b'@') || bytes::contains(text, b".git");
    if is_remote { None } else { settings::path(source, scalar, Kind::Build, Anchor::Project, Weight::Sure, said) }
}

/// The Dockerfile of a context that names none.
fn unnamed_dockerfile(source: &Source, scalar: &Scalar, context: usize, said: &mut Said) {
    let end = scalar.range.end;
    let mention = Mention::new(Kind::Build, end..end, *b"Dockerfile", Anchor::At(context));
    let file = said.push(source, mention.spelled(Spelling::of(Inner::Unwritten)));
    said.run(file, &[Anchor::At(context)]);
}

/// `./here:/there:ro`: what does not begin with a dot is the name of a volume.
fn mount(source: &Source, scalar: &Scalar, said: &mut Said) {
    let value = scalar.source(source);
    let text = &value.bytes;
    let mut at = 0;
    if text.starts_with(b"${") {
        at = text.iter().position(|byte| *byte == b'}').unwrap_or(0);
    } else if !text.starts_with(b".") {
        return;
    }
    let end = text[at..].iter().position(|byte| *byte == b':').map_or(text.len(), |length| at + length);
    // A folder that is not there is made; a file would become a folder.
    let is_file = bytes::extension(&text[..end]).is_some_and(|ending| CONFIGURATION.contains(&ending));
    let weight = if is_file { Weight::Sure } else { Weight::Likely };
    let part = value.part(0..end, super::super::source::Outer::Plain);
    if let Some(index) = settings::path_in(&part, Kind::Setting, &[Anchor::Project], weight, said) {
        said.mentions[index].spelling.needs_dot = true;
    }
}

const CONFIGURATION: [&[u8]; 12] =
    [b"yml", b"yaml", b"conf", b"cfg", b"cnf", b"ini", b"toml", b"properties", b"sql", b"sh", b"xml", b"template"];
