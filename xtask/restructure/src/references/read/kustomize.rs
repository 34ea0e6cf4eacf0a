//! Kustomize: what a kustomization takes in. Ansible: what a play includes.

use super::super::mention::{Anchor, Said, Weight};
use super::super::source::Source;
use super::super::{Kind, bytes};
use super::settings;
use super::yaml::{Style, scalars};

pub(crate) fn read(source: &Source, said: &mut Said) {
    for scalar in scalars(&source.bytes) {
        let text = &source.bytes[scalar.range.clone()];
        // A repository elsewhere, or a patch that stands here itself.
        if scalar.style == Style::Block
            || bytes::contains(text, b"://")
            || bytes::contains(text, b"?ref=")
            || text.starts_with(b"github.com")
        {
            continue;
        }
        let lists: [&str; 9] = [
            "resources",
            "bases",
            "components",
            "crds",
            "patchesStrategicMerge",
            "generators",
            "transformers",
            "validators",
            "configurations",
        ];
        let is_listed = lists.iter().any(|list| scalar.is_at(&[list, "-"]));
        let is_path = scalar.is_at(&["patches", "-", "path"])
            || scalar.is_at(&["patchesJson6902", "-", "path"])
            || scalar.is_at(&["replacements", "-", "path"])
            || scalar.is_at(&["openapi", "path"])
            || scalar.is_at(&["helmCharts", "-", "valuesFile"])
            || scalar.is_at(&["helmCharts", "-", "additionalValuesFiles", "-"]);
        let is_generated = ["configMapGenerator", "secretGenerator"].iter().any(|generator| {
            scalar.is_at(&[generator, "-", "files", "-"])
                || scalar.is_at(&[generator, "-", "envs", "-"])
                || scalar.is_at(&[generator, "-", "env"])
        });
        if is_listed || is_path {
            settings::path(source, &scalar, Kind::Include, Anchor::Own, Weight::Sure, said);
        } else if is_generated {
            // `name=file`
            let value = scalar.source(source);
            let start = value.bytes.iter().position(|byte| *byte == b'=').map_or(0, |sign| sign + 1);
            let part = value.part(start..value.bytes.len(), super::super::source::Outer::Plain);
            settings::path_in(&part, Kind::Include, &[Anchor::Own], Weight::Likely, said);
        }
    }
}
