//! What a text says of paths, before anyone looked whether they are there: the readers of each kind of file return it.

use std::ops::Range;

use super::Kind;
use super::source::Source;
use super::spelling::Spelling;

/// A place in a text that names a path.
#[derive(Clone, Debug)]
pub(crate) struct Mention {
    pub kind: Kind,
    /// The bytes of the file that spell it. Empty where a path could be put: behind `"$DIR"`.
    pub span: Range<usize>,
    /// The path as meant: without quotes, escapes and the slash that joins it to its base. It may hold `*` and `?` when
    /// `is_pattern`.
    pub text: Vec<u8>,
    /// What follows in the path but is written elsewhere, or known only when it runs: `*` stands for that.
    pub tail: Vec<u8>,
    /// The folders that the text may be read from, likely ones first.
    pub bases: Vec<Anchor>,
    pub spelling: Spelling,
    pub weight: Weight,
    pub form: Form,
    pub is_pattern: bool,
}

/// A folder that a path is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Anchor {
    /// The folder of the file itself.
    Own,
    /// The root of the repository that the file belongs to.
    Root,
    /// The folder where the program was started; for a Dockerfile, the build context.
    Cwd,
    /// The own folder or one above it: whoever reads the file settles on one.
    Above,
    /// The folder of the file, or the one that Compose is told to be in: the folder of another file it is given with this
    /// one, or `--project-directory`.
    Project,
    /// The folder that a site serves a page as: `a/b.md` is `a/b/`.
    Page,
    /// What the mention with this number, in the same file, names.
    At(usize),
    /// Where a language looks its modules up.
    Modules,
    /// Not known, or not in the tree.
    Outside,
}

/// How sure it is that the text is a path of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Weight {
    /// A name that a variable holds: it counts once a path is made of it.
    Idle,
    /// It is written: what is read there later was made at run time.
    Made,
    /// A word that may be something else: it counts when a file has that path, or a folder and it has a slash.
    Word,
    /// It stands where a path stands, but nobody says that it must be there.
    Likely,
    /// It must be there.
    Sure,
}

/// What else than a path the text can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Path,
    /// A JavaScript module: an ending or `/index` may be left out.
    Module,
    /// A Python module: dots for slashes, `.py` or `/__init__.py` left out. `text` has the slashes.
    Dotted,
    /// A package name of JavaScript that an alias of tsconfig may lead into the tree.
    Alias,
    /// A page of a site: its ending, or that of its folder, may be left out.
    Page,
}

impl Mention {
    pub fn new(kind: Kind, span: Range<usize>, text: impl Into<Vec<u8>>, base: Anchor) -> Mention {
        Mention {
            kind,
            span,
            text: text.into(),
            tail: Vec::new(),
            bases: vec![base],
            spelling: Spelling::plain(),
            weight: Weight::Likely,
            form: Form::Path,
            is_pattern: false,
        }
    }
    pub fn weight(self, weight: Weight) -> Mention {
        Mention { weight, ..self }
    }
    pub fn spelled(self, spelling: Spelling) -> Mention {
        Mention { spelling, ..self }
    }
    pub fn form(self, form: Form) -> Mention {
        Mention { form, ..self }
    }
    pub fn bases(self, bases: &[Anchor]) -> Mention {
        Mention { bases: bases.to_vec(), ..self }
    }
}

/// A program or a build that is started by a text: what it reads is read from there.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The mention that names the program.
    pub what: usize,
    pub folders: Vec<Anchor>,
}

/// What one file says.
#[derive(Default, Debug, Clone)]
pub(crate) struct Said {
    pub mentions: Vec<Mention>,
    /// Line and column of each of them, from 1.
    pub places: Vec<(usize, usize)>,
    pub runs: Vec<Run>,
    /// Folders in which modules are looked up (`sys.path`), in the order they were named.
    pub module_roots: Vec<Anchor>,
    /// Paths that are asked for before they are used: they need not be there.
    pub tested: Vec<Vec<u8>>,
    /// It fetches or unpacks something: folders that are not there may come from that.
    pub fetches: bool,
}

impl Said {
    /// Takes a mention whose span is in the bytes of `source` and gives it the place in the file.
    pub fn push(&mut self, source: &Source, mut mention: Mention) -> usize {
        mention.span = source.place(&mention.span);
        mention.spelling.place_in_file(source);
        self.mentions.push(mention);
        self.mentions.len() - 1
    }
    /// Finds the places, once all mentions are there.
    pub fn find_places(&mut self, content: &[u8]) {
        let mut starts = vec![0];
        let last = self.mentions.iter().map(|mention| mention.span.start).max().unwrap_or(0);
        while let Some(end) = hot::find::byte(&content[..last.min(content.len())], starts[starts.len() - 1], b'\n') {
            starts.push(end + 1);
        }
        let place = |mention: &Mention| {
            let line = starts.partition_point(|start| *start <= mention.span.start);
            (line, mention.span.start - starts[line - 1] + 1)
        };
        self.places = self.mentions.iter().map(place).collect();
    }
    /// A variable that holds a path is handed to a program's own way to write or read a file: what it writes is made at
    /// run time, and what it reads from a folder that is certain must be there.
    pub fn used(&mut self, anchors: &[Anchor], writes: bool, reads: bool) {
        for anchor in anchors {
            let Anchor::At(number) = anchor else { continue };
            let is_certain = self.stands_on_own(*number, 0);
            let Some(mention) = self.mentions.get_mut(*number) else { continue };
            match mention.weight {
                Weight::Idle => mention.weight = if writes { Weight::Made } else { Weight::Likely },
                Weight::Likely | Weight::Word if writes => mention.weight = Weight::Made,
                Weight::Likely if reads && is_certain => mention.weight = Weight::Sure,
                // Read and written: whoever comes first makes it.
                Weight::Sure if writes => mention.weight = Weight::Made,
                _ => {}
            }
        }
    }
    /// What a script asks for before it uses it need not be there.
    pub fn doubt_what_is_tested(&mut self) {
        if self.tested.is_empty() {
            return;
        }
        let is_sure = |mention: &&mut Mention| mention.weight == Weight::Sure;
        for mention in self.mentions.iter_mut().filter(is_sure) {
            let is_same = |path: &Vec<u8>| {
                path.strip_prefix(mention.text.as_slice()).is_some_and(|rest| rest == mention.tail.as_slice())
            };
            if self.tested.iter().any(is_same) {
                mention.weight = Weight::Likely;
            }
        }
    }
    /// Something is read from these: names among them are paths.
    pub fn wake(&mut self, anchors: &[Anchor]) {
        for anchor in anchors {
            if let Anchor::At(number) = anchor
                && let Some(mention) = self.mentions.get_mut(*number)
                && mention.weight == Weight::Idle
            {
                mention.weight = Weight::Likely;
            }
        }
    }
    /// They are used without quotes: a blank in them would end the word.
    pub fn split(&mut self, anchors: &[Anchor]) {
        for anchor in anchors {
            if let Anchor::At(number) = anchor
                && let Some(mention) = self.mentions.get_mut(*number)
            {
                mention.spelling.is_split = true;
            }
        }
    }
    fn stands_on_own(&self, number: usize, depth: usize) -> bool {
        self.mentions.get(number).is_some_and(|mention| {
            mention.bases.iter().all(|base| match base {
                Anchor::Own => true,
                Anchor::At(other) if depth < 10 => self.stands_on_own(*other, depth + 1),
                _ => false,
            })
        })
    }
    pub fn run(&mut self, what: usize, folders: &[Anchor]) {
        self.runs.push(Run { what, folders: folders.to_vec() });
    }
}
