//! The folders that the paths of a file may be read from.

use std::collections::HashSet;

use crate::path::RelPath;
use crate::tree::Tree;

/// The folders a file's paths may be read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub own: RelPath,
    /// Roots of what it belongs to: its repository, the given folder; for CI the folder that holds `.github`.
    pub roots: Vec<RelPath>,
    /// Where those who run it stand.
    pub callers: Vec<RelPath>,
    /// Folders between its own and the roots, nearest first.
    pub above: Vec<RelPath>,
    /// Where a site would serve it, when it is a document.
    pub page: Option<RelPath>,
    /// It belongs to a site, whose links may be routes.
    pub is_of_site: bool,
    /// Test data and the like: nothing in it must be there.
    pub is_sample: bool,
}

impl Places {
    /// `sites` are the folders of [`sites`].
    pub fn of(tree: &Tree, sites: &HashSet<RelPath>, path: &RelPath) -> Places {
        let own = path.parent().unwrap_or_default();
        let mut roots = Vec::new();
        let parts: Vec<&[u8]> = own.parts().collect();
        if let Some(index) =
            parts.iter().position(|part| matches!(*part, b".github" | b".circleci" | b".buildkite" | b".gitlab"))
        {
            roots.extend(RelPath::new(parts[..index].join(&b'/')));
        }
        if roots.is_empty() {
            roots.push(RelPath::default());
        }
        for given in tree.given() {
            if path.is_within(given) && !roots.contains(given) {
                roots.push(given.clone());
            }
        }
        let above = own.ancestors().filter(|folder| !roots.contains(folder)).collect();
        let is_document = matches!(path.extension(), b"md" | b"mdx" | b"markdown");
        let is_of_site =
            is_document && [&own].into_iter().chain(&above).chain(&roots).any(|folder| sites.contains(folder));
        let is_sample = path.parts().any(is_sample);
        let page = if is_document { page_folder(path) } else { None };
        Places { own, roots, callers: Vec::new(), above, page, is_of_site, is_sample }
    }
}

/// The folder that a document is served as; None for the page of a folder.
pub(crate) fn page_folder(path: &RelPath) -> Option<RelPath> {
    let name = path.name();
    let stem = &name[..name.iter().rposition(|byte| *byte == b'.')?];
    let is_index = matches!(stem.to_ascii_lowercase().as_slice(), b"index" | b"_index" | b"readme");
    Some(path.parent()?.join(stem)).filter(|_| !is_index)
}

/// The folders that the generator of a site is set up in.
pub(super) fn sites(tree: &Tree) -> HashSet<RelPath> {
    let markers: [&[u8]; 17] = [
        b"mkdocs.yml",
        b"docusaurus.config.js",
        b"docusaurus.config.ts",
        b"_config.yml",
        b"_index.md",
        b"book.toml",
        b"SUMMARY.md",
        b"sidebars.js",
        b"sidebars.json",
        b".vitepress",
        b"docs.json",
        b"mint.json",
        b"antora.yml",
        b"conf.py",
        b"hugo.toml",
        b"gatsby-config.js",
        b"next.config.js",
    ];
    let marks = tree.entries().iter().filter(|entry| markers.contains(&entry.path.name()));
    marks.filter_map(|entry| entry.path.parent()).collect()
}

fn is_sample(part: &[u8]) -> bool {
    let words: [&[u8]; 10] = [
        b"testdata",
        b"testdata2",
        b"fixtures",
        b"__fixtures__",
        b"test-fixtures",
        b"__snapshots__",
        b"golden",
        b"test-data",
        b"test_data",
        b"__mocks__",
    ];
    words.contains(&part)
}
