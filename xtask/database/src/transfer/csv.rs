//! CSV as PostgreSQL writes and reads it (RFC 4180): a value without quotes that is empty is null, one in quotes is not.
//! Read record by record from a stream; a record may span lines.

use std::io::BufRead;

/// The longest record that is read; more is no data but an open quote.
const LONGEST: usize = 256 * 1024 * 1024;

/// A record: its values, null or text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Where it begins, from 1.
    pub line: u64,
    pub values: Vec<Option<Vec<u8>>>,
}

/// What stops a record from being one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub line: u64,
    pub reason: String,
    /// The record as it stands in the file, as far as it was read.
    pub raw: Vec<u8>,
}

pub struct Reader<R> {
    input: R,
    /// The line that is read next, from 1.
    line: u64,
    raw: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Reader<R> {
        Reader { input, line: 1, raw: Vec::new() }
    }

    /// The record that was read last, as it stands in the file.
    pub fn raw(&self) -> &[u8] {
        trimmed(&self.raw)
    }

    /// The next record, or what is wrong with it; None at the end.
    pub fn next_record(&mut self) -> std::io::Result<Option<Result<Record, Bad>>> {
        self.raw.clear();
        let line = self.line;
        let mut is_open = false;
        loop {
            let before = self.raw.len();
            if self.input.read_until(b'\n', &mut self.raw)? == 0 {
                if before == 0 {
                    return Ok(None);
                }
                return Ok(Some(Err(self.bad(line, "a quote is opened and never closed"))));
            }
            self.line += 1;
            if line == 1 && before == 0 && self.raw.starts_with(b"\xef\xbb\xbf") {
                self.raw.drain(..3);
            }
            if self.raw.len() > LONGEST {
                return Ok(Some(Err(self.bad(line, "the record is longer than 256 MB"))));
            }
            // Quotes inside a quoted value are doubled: as long as their number is odd, the record goes on.
            is_open ^= self.raw[before..].iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            if !is_open {
                break;
            }
        }
        let record = trimmed(&self.raw);
        Ok(Some(match values(record) {
            Ok(values) => Ok(Record { line, values }),
            Err(reason) => Err(self.bad(line, reason)),
        }))
    }

    fn bad(&self, line: u64, reason: &str) -> Bad {
        Bad { line, reason: reason.to_owned(), raw: trimmed(&self.raw).to_vec() }
    }
}

fn trimmed(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}

fn values(record: &[u8]) -> Result<Vec<Option<Vec<u8>>>, &'static str> {
    if std::str::from_utf8(record).is_err() {
        return Err("not UTF-8");
    }
    if record.contains(&0) {
        return Err("it holds a NUL byte, which PostgreSQL cannot store");
    }
    let mut values = Vec::new();
    let mut at = 0;
    loop {
        if record.get(at) == Some(&b'"') {
            let mut value = Vec::new();
            at += 1;
            loop {
                match (record.get(at), record.get(at + 1)) {
                    (Some(b'"'), Some(b'"')) => {
                        value.push(b'"');
                        at += 2;
                    }
                    (Some(b'"'), _) => break,
                    (Some(byte), _) => {
                        value.push(*byte);
                        at += 1;
                    }
                    (None, _) => return Err("a quote is opened and never closed"),
                }
            }
            values.push(Some(value));
            at += 1;
            if !matches!(record.get(at), None | Some(b',')) {
                return Err("a value goes on behind its closing quote");
            }
        } else {
            let length = record[at..].iter().position(|byte| *byte == b',').unwrap_or(record.len() - at);
            let value = &record[at..at + length];
            if value.contains(&b'"') {
                return Err("a quote stands inside a value that does not begin with one");
            }
            values.push((!value.is_empty()).then(|| value.to_vec()));
            at += length;
        }
        match record.get(at) {
            Some(_) => at += 1,
            None => return Ok(values),
        }
    }
}

/// A value as a field of CSV, for files of our own.
pub fn field(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<String> {
        let mut reader = Reader::new(text);
        let mut all = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            all.push(match record {
                Ok(record) => {
                    let show = |value: &Option<Vec<u8>>| match value {
                        Some(value) => format!("<{}>", String::from_utf8_lossy(value).escape_debug()),
                        None => "null".to_owned(),
                    };
                    format!("{}: {}", record.line, record.values.iter().map(show).collect::<Vec<_>>().join(" "))
                }
                Err(bad) => format!("{}! {}", bad.line, bad.reason),
            });
        }
        all
    }

    #[test]
    fn values_nulls_quotes_and_lines() {
        assert_eq!(
            read(b"a,b\r\n1,\r\n\"\",\"x \"\"y\"\"\nz\"\n,\n"),
            ["1: <a> <b>", "2: <1> null", "3: <> <x \\\"y\\\"\\nz>", "5: null null"]
        );
        assert_eq!(read("\u{feff}a\né".as_bytes()), ["1: <a>", "2: <é>"]);
        assert_eq!(read(b"\"a\n\n\"\"\n\",2\n3,4"), ["1: <a\\n\\n\\\"\\n> <2>", "5: <3> <4>"]);
        assert!(read(b"").is_empty());
    }

    #[test]
    fn what_is_no_record_has_its_line() {
        assert_eq!(read(b"a\n\"x\"y\nb\n"), ["1: <a>", "2! a value goes on behind its closing quote", "3: <b>"]);
        assert_eq!(read(b"a\n\"x\nb\n"), ["1: <a>", "2! a quote is opened and never closed"]);
        assert_eq!(read(b"\xff\n1\n"), ["1! not UTF-8", "2: <1>"]);
        assert_eq!(read(b"a\0\n"), ["1! it holds a NUL byte, which PostgreSQL cannot store"]);
        assert_eq!(read(b"x\"y\",1\n"), ["1! a quote stands inside a value that does not begin with one"]);
    }
}
