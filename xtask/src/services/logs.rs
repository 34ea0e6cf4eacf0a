//! Reading the logs of a stack: the last lines of several, and new lines as they come, across rotations.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

/// Every line that is kept of a log, oldest first, those of files that were rotated away too.
pub fn whole(path: &Utf8Path) -> Vec<String> {
    let rotated = (1..=9).rev().map(|number| Utf8PathBuf::from(format!("{path}.{number}")));
    let files = rotated.chain([path.to_owned()]).filter_map(|file| std::fs::read(file).ok());
    files.flat_map(|bytes| String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Follows one log file: hands out what was written since the last look.
pub struct Follower {
    pub name: String,
    path: Utf8PathBuf,
    reader: Option<BufReader<File>>,
    inode: u64,
    partial: Vec<u8>,
}

impl Follower {
    /// Begins at the end of what is there now.
    pub fn new(name: &str, path: Utf8PathBuf) -> Follower {
        let mut follower = Follower { name: name.to_owned(), path, reader: None, inode: 0, partial: Vec::new() };
        follower.open();
        if let Some(reader) = &mut follower.reader {
            // A file that can not be sought is read from its start.
            let _end = reader.seek(SeekFrom::End(0));
        }
        follower
    }

    fn open(&mut self) {
        self.reader = File::open(&self.path).ok().map(BufReader::new);
        self.inode = self.path.metadata().map_or(0, |facts| facts.ino());
        self.partial.clear();
    }

    /// Whole lines written since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = self.read_on();
        let inode = self.path.metadata().map_or(0, |facts| facts.ino());
        if inode != self.inode {
            self.open();
            lines.extend(self.read_on());
        }
        lines
    }

    fn read_on(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(reader) = &mut self.reader else { return lines };
        while reader.read_until(b'\n', &mut self.partial).is_ok_and(|count| count > 0) {
            if self.partial.ends_with(b"\n") {
                lines.push(String::from_utf8_lossy(&self.partial).trim_end().to_owned());
                self.partial.clear();
            }
        }
        lines
    }
}
