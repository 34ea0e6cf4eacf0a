//! Words of a command that may be paths, or hold one.

use super::super::super::mention::{Anchor, Weight};
use super::super::super::source::Outer;
use super::super::super::spelling::Quote;
use super::super::super::{Kind, bytes};
use super::words::{Unit, What, Word};
use super::{Place, Shell};

/// What `-o` and `--output` take where they mean a manner of printing.
const FORMATS: [&[u8]; 9] = [b"csv", b"json", b"name", b"plain", b"table", b"text", b"tsv", b"wide", b"yaml"];

impl Shell<'_> {
    /// The weight of what must be there when this runs.
    pub(super) fn sure(&self) -> Weight {
        if self.place == Place::Example { Weight::Likely } else { Weight::Sure }
    }

    pub(super) fn copies(&mut self, arguments: &[Word]) {
        let plain: Vec<&Word> = arguments.iter().filter(|word| !word.starts_with(b"-")).collect();
        for word in arguments.iter().filter(|word| word.starts_with(b"-")) {
            self.argument(word, Weight::Likely);
        }
        if let Some((last, sources)) = plain.split_last() {
            sources.iter().for_each(|word| self.argument(word, Weight::Likely));
            if sources.is_empty() { self.argument(last, Weight::Likely) } else { self.made(last) }
        }
    }

    pub(super) fn all_made(&mut self, arguments: &[Word]) {
        arguments.iter().filter(|word| !word.starts_with(b"-")).for_each(|word| self.made(word));
    }
    pub(super) fn made(&mut self, word: &Word) {
        for draft in self.drafts(word, &word.units) {
            if draft.whole.is_none() {
                self.mention(&draft, Kind::Argument, Weight::Made);
            }
        }
    }

    /// The options of a command whose other words mean something elsewhere: in a container, on another machine.
    pub(super) fn options_only(&mut self, arguments: &[Word]) {
        let mut rest = arguments;
        while let Some((word, next)) = rest.split_first() {
            rest = next;
            let text = word.literal();
            let takes_path = matches!(
                text.as_deref(),
                Some(
                    b"-v"
                        | b"--volume"
                        | b"--env-file"
                        | b"--mount"
                        | b"-f"
                        | b"-F"
                        | b"-i"
                        | b"--filename"
                        | b"--kubeconfig"
                )
            );
            if takes_path && let Some((value, next)) = next.split_first() {
                self.argument(value, Weight::Likely);
                rest = next;
            } else if word.starts_with(b"--") && word.position(b'=').is_some() {
                self.argument(word, Weight::Likely);
            }
        }
    }

    pub(super) fn arguments(&mut self, arguments: &[Word]) {
        self.arguments_with(arguments, &[b"-o", b"--output", b"--out", b"--outfile", b"-out"], Weight::Made);
    }

    /// Words of which any may be a path; the one behind one of `options` has another weight.
    pub(super) fn arguments_with(&mut self, arguments: &[Word], options: &[&[u8]], weight: Weight) {
        let mut is_valued = false;
        let mut is_file = false;
        let mut is_folder = false;
        for word in arguments {
            if std::mem::take(&mut is_valued) {
                // `kubectl get -o yaml` names no file.
                if weight == Weight::Made && word.literal().is_some_and(|text| FORMATS.contains(&&*text)) {
                    continue;
                }
                for draft in self.drafts(word, &word.units) {
                    self.mention(&draft, Kind::Argument, weight);
                }
                continue;
            }
            if std::mem::take(&mut is_file) {
                self.argument(word, Weight::Likely);
                continue;
            }
            if std::mem::take(&mut is_folder) {
                self.folder(word);
                continue;
            }
            let text = word.literal();
            is_valued = text.as_deref().is_some_and(|text| options.contains(&text));
            is_file = matches!(
                text.as_deref(),
                Some(b"-f" | b"-c" | b"-r" | b"--file" | b"--config" | b"-k" | b"--values" | b"-p")
            );
            is_folder = matches!(text.as_deref(), Some(b"--prefix" | b"--cwd" | b"-C" | b"--chdir" | b"--directory"));
            if !is_valued && !is_file && !is_folder {
                self.argument(word, Weight::Likely);
            }
        }
    }

    /// A word that may be a path, or hold one: `--option=path`, `path:inside`, `@path`.
    pub(super) fn argument(&mut self, word: &Word, weight: Weight) {
        let mut units: &[Unit] = &word.units;
        if units.is_empty() {
            return;
        }
        let has_blanks = word.literal().is_some_and(|text| text.iter().any(|byte| matches!(byte, b' ' | b'\n')));
        if has_blanks && !word.is_bare() && word.position(b'/').is_some() {
            // A sentence, or a path with blanks.
            let drafts = self.drafts(word, units);
            for draft in &drafts {
                self.mention(draft, Kind::Argument, Weight::Word);
            }
            return self.prose(word);
        }
        if units[0].byte() == Some(b'-') || word.is_bare() || units.iter().any(|unit| unit.byte() == Some(b'=')) {
            let sign = units.iter().position(|unit| unit.byte() == Some(b'='));
            if let Some(sign) = sign {
                units = &units[sign + 1..];
            } else if units[0].byte() == Some(b'-') {
                // `-Ipath`, `-I../x`
                let is_joined = units.len() > 3 && matches!(units[1].byte(), Some(b'I' | b'L' | b'f' | b'C' | b'c'));
                if !is_joined {
                    return;
                }
                units = &units[2..];
            }
        }
        if units.first().and_then(Unit::byte) == Some(b'@') {
            units = &units[1..];
        }
        let limit =
            units.iter().position(|unit| unit.byte() == Some(b':') || unit.byte() == Some(b',')).unwrap_or(units.len());
        units = &units[..limit];
        for draft in self.drafts(word, units) {
            let path = draft.path();
            if draft.whole.is_some() {
                continue;
            }
            let weight = if draft.is_joined() || path.contains(&b'/') { weight } else { Weight::Word };
            if draft.is_joined() || bytes::may_be_path(&path) || draft.has_pattern() && path.contains(&b'.') {
                self.mention(&draft, Kind::Argument, weight);
            }
        }
    }

    /// A word that is a file which must be there.
    pub(super) fn must(&mut self, word: &Word, kind: Kind) -> Option<usize> {
        // `-` is what is piped in.
        if word.literal().as_deref() == Some(b"-") {
            return None;
        }
        let weight = if self.said.fetches { Weight::Likely } else { self.sure() };
        let drafts = self.drafts(word, &word.units);
        let mut last = None;
        for draft in &drafts {
            if let Some([Anchor::At(index)]) = draft.whole.as_deref() {
                last = Some(*index);
                continue;
            }
            if draft.whole.is_none() {
                last = Some(self.mention(draft, kind, weight));
            }
        }
        last
    }

    pub(super) fn folder(&mut self, word: &Word) -> Option<usize> {
        let drafts = self.drafts(word, &word.units);
        let draft = drafts.first()?;
        self.said.wake(draft.whole.as_deref().unwrap_or_default());
        Some(self.mention(draft, Kind::Folder, Weight::Likely))
    }

    /// A file that is run or sourced. `in_path`: without a slash it would be looked up in PATH.
    pub(super) fn program(&mut self, word: &Word, kind: Kind, in_path: bool) {
        let drafts = self.drafts(word, &word.units);
        for draft in &drafts {
            if let Some(whole) = draft.whole.clone() {
                if let Some(Anchor::At(index)) = whole.first() {
                    let cwd = self.cwd.clone();
                    self.said.run(*index, &cwd);
                }
                continue;
            }
            let path = draft.path();
            let is_elsewhere = bytes::is_host(&path) || path.starts_with(b"@") || bytes::contains(&path, b"://");
            // `name/image:tag` is none either.
            if !draft.is_joined() && (is_elsewhere || path.contains(&b':')) {
                continue;
            }
            // A name alone is looked up in PATH when it is sourced.
            let is_certain =
                draft.is_joined() || path.contains(&b'/') || bytes::is_program(&path) && kind != Kind::Source;
            let weight =
                if is_certain && !draft.has_pattern() && !self.said.fetches { self.sure() } else { Weight::Likely };
            let index = self.mention(draft, kind, weight);
            if in_path || kind == Kind::Source {
                self.said.mentions[index].spelling.needs_slash = !draft.is_joined();
            }
            let cwd = self.cwd.clone();
            self.said.run(index, &cwd);
        }
    }

    /// A word whose text is commands: `bash -c '…'`.
    pub(super) fn nested_text(&mut self, word: &Word) {
        let Some(text) = word.literal() else { return };
        if self.depth >= super::DEEPEST || word.units.iter().any(|unit| matches!(unit.what, What::Value(_))) {
            return;
        }
        let (Some(first), Some(last)) = (word.units.first(), word.units.last()) else { return };
        let outer = match first.quote {
            Quote::Single => Outer::Literal(b'\''),
            Quote::Double => Outer::Quoted(b'"'),
            Quote::None | Quote::Ansi => return,
        };
        let places = word.units.iter().map(|unit| unit.at).chain([last.end]).collect();
        let source = self.source.decoded(text, places, outer);
        let cwd = self.cwd.clone();
        super::read(&source, Place::Commands, &cwd, self.said);
    }
}
