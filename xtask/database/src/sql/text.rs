//! The bytes of a file as text: UTF-8 without NUL, and the canonical form (LF, no byte order mark) that hashes are
//! taken of and that is executed, so that a checkout with CRLF leaves the same database as one without.

use std::fmt;

use super::position::{Lines, Place};

/// What is wrong with a file, and where. `place` is 1-based, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub place: Place,
    /// Lower case, no full stop.
    pub message: String,
    /// What to do about it, without the word `hint:`.
    pub hint: Option<String>,
}

impl SyntaxError {
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        SyntaxError { place, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `line:column: message`; the caller puts the file before it and the hint after.
impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for SyntaxError {}

pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The text as it stands, checked: PostgreSQL takes neither NUL nor broken UTF-8, and psql would cut the line there.
pub fn decode(bytes: &[u8]) -> Result<&str, SyntaxError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(SyntaxError::new(Place::START, "the file is UTF-16, not UTF-8").hint("save it as UTF-8"));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let place = std::str::from_utf8(valid).map_or(Place::START, |text| Lines::new(text).place(text.len()));
            let byte = bytes[error.valid_up_to()];
            return Err(SyntaxError::new(place, format!("byte 0x{byte:02x} is not UTF-8")).hint("save it as UTF-8"));
        }
    };
    match text.find('\0') {
        Some(at) => Err(SyntaxError::new(Lines::new(text).place(at), "a NUL byte")),
        None => Ok(text),
    }
}

/// LF line ends and no byte order mark; a lone CR stays, as it may be data.
pub fn canonical(bytes: &[u8]) -> Result<String, SyntaxError> {
    let text = decode(bytes)?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // A thousand files are read to find that nothing is to be done.
    Ok(if text.as_bytes().contains(&b'\r') { text.replace("\r\n", "\n") } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_is_the_same_for_every_checkout() {
        let lf = canonical(b"a\nb\n\nc").unwrap();
        assert_eq!(lf, canonical(b"\xef\xbb\xbfa\r\nb\r\n\r\nc").unwrap());
        assert_eq!(canonical(b"a\rb\r\r\n").unwrap(), "a\rb\r\n");
    }

    #[test]
    fn bytes_postgresql_cannot_take_are_placed() {
        let place = |bytes: &'static [u8]| decode(bytes).map_err(|error| error.to_string());
        assert_eq!(place("é\nselect 'é\0'".as_bytes()), Err("2:10: a NUL byte".into()));
        assert_eq!(place(b"a\n\xc3\xa9\xe9"), Err("2:2: byte 0xe9 is not UTF-8".into()));
        assert_eq!(place(b"\xff\xfea\0"), Err("1:1: the file is UTF-16, not UTF-8".into()));
        assert_eq!(place(b"cut \xc3"), Err("1:5: byte 0xc3 is not UTF-8".into()));
    }
}
