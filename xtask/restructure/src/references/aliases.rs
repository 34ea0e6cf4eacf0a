//! Names of modules that a tsconfig.json leads into the tree: `paths`, `baseUrl`, also of one that it extends.

use std::collections::HashMap;

use super::Target;
use super::modules;
use super::read::{Language, json};
use crate::moves::Moves;
use crate::path::RelPath;
use crate::tree::Tree;

#[derive(Default)]
pub(crate) struct Aliases {
    /// By the folder of the tsconfig.json: it holds for the files below.
    configurations: Vec<(RelPath, Vec<Alias>)>,
}

#[derive(Clone, Debug)]
struct Alias {
    /// The letters before the star, or the whole name.
    start: Vec<u8>,
    has_star: bool,
    /// What they stand for.
    place: RelPath,
}

/// What one file declares.
#[derive(Default)]
struct Declared {
    base: Option<RelPath>,
    paths: Vec<(Vec<u8>, Vec<u8>)>,
    extends: Option<RelPath>,
    folder: RelPath,
}

impl Aliases {
    pub fn of(tree: &Tree) -> Aliases {
        let mut declared: HashMap<RelPath, Declared> = HashMap::new();
        for id in tree.sources() {
            let path = tree.path(id);
            if Language::by_name(path) != Some(Language::Tsconfig) {
                continue;
            }
            let Ok(text) = tree.content(id) else { continue };
            declared.insert(path.clone(), read(&text, &path.parent().unwrap_or_default(), tree));
        }
        let mut configurations = Vec::new();
        for (path, own) in &declared {
            let is_main = matches!(path.name(), b"tsconfig.json" | b"jsconfig.json");
            let aliases = aliases(own, &declared);
            if is_main && !aliases.is_empty() {
                configurations.push((own.folder.clone(), aliases));
            }
        }
        // The nearest one holds.
        configurations.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.bytes().len()));
        Aliases { configurations }
    }

    /// True when the configuration that holds for a folder will hold for another one as well, once all has moved.
    pub fn follow(&self, moves: &Moves, own: &RelPath, own_after: &RelPath) -> bool {
        let holds = self.configurations.iter().find(|(folder, _)| own.is_within(folder));
        holds.is_some_and(|(folder, _)| {
            let names: [&[u8]; 2] = [b"tsconfig.json", b"jsconfig.json"];
            names.iter().any(|name| own_after.is_within(&moves.after(&folder.join(name)).parent().unwrap_or_default()))
        })
    }

    /// Where a name leads: the folder that its end is read from, how many letters stand before that end, the target.
    pub fn lead(&self, tree: &Tree, own: &RelPath, name: &[u8]) -> Option<(RelPath, usize, Target)> {
        let (_, aliases) = self.configurations.iter().find(|(folder, _)| own.is_within(folder))?;
        aliases.iter().find_map(|alias| {
            let rest = name.strip_prefix(alias.start.as_slice())?;
            if !alias.has_star {
                let target = rest.is_empty().then(|| modules::javascript(tree, &alias.place))??;
                return Some((alias.place.clone(), name.len(), target));
            }
            let target = modules::javascript(tree, &alias.place.resolve(rest)?)?;
            Some((alias.place.clone(), alias.start.len(), target))
        })
    }
}

fn read(text: &[u8], folder: &RelPath, tree: &Tree) -> Declared {
    let mut declared = Declared { folder: folder.clone(), ..Declared::default() };
    for scalar in json::strings(text) {
        let value = &text[scalar.range.clone()];
        if scalar.is_at(&["compilerOptions", "baseUrl"]) {
            declared.base = folder.resolve(value);
        } else if scalar.is_at(&["compilerOptions", "paths", "*", "-"]) {
            declared.paths.push((scalar.path[2].clone(), value.to_vec()));
        } else if scalar.is_at(&["extends"]) && value.starts_with(b".") {
            let place = folder.resolve(value);
            declared.extends = place.and_then(|place| match modules::javascript(tree, &place) {
                Some(Target::File(path)) => Some(path),
                _ => None,
            });
        }
    }
    declared
}

/// The own aliases, or those of the file that is extended, each read from where it is declared.
fn aliases(own: &Declared, all: &HashMap<RelPath, Declared>) -> Vec<Alias> {
    let chain = || {
        let mut next = Some(own);
        (0..DEEPEST).map_while(move |_| {
            let here = next?;
            next = here.extends.as_ref().and_then(|path| all.get(path));
            Some(here)
        })
    };
    let base = chain().find_map(|declared| declared.base.clone());
    let with_paths = chain().find(|declared| !declared.paths.is_empty());
    let mut aliases = Vec::new();
    if let Some(declared) = with_paths {
        let from = base.clone().unwrap_or_else(|| declared.folder.clone());
        for (name, value) in &declared.paths {
            let star = |text: &[u8]| text.iter().position(|byte| *byte == b'*');
            let (start, value) = match (star(name), star(value)) {
                // Something behind the star is rare, and not followed.
                (Some(at), Some(to)) if at + 1 == name.len() && to + 1 == value.len() => (&name[..at], &value[..to]),
                (None, None) => (name.as_slice(), value.as_slice()),
                _ => continue,
            };
            if let Some(place) = from.resolve(value) {
                aliases.push(Alias { start: start.to_vec(), has_star: name.ends_with(b"*"), place });
            }
        }
    }
    aliases.extend(base.map(|place| Alias { start: Vec::new(), has_star: true, place }));
    aliases
}

/// Files that extend each other in a circle end here.
const DEEPEST: usize = 10;
