//! SHA-256, the one hash there is, and the keyed form for values that must not be guessed from their hash.

use std::io::Read;

use anyhow::{Context, Result};
use camino::Utf8Path;
use sha2::{Digest, Sha256};

/// SHA-256 as 64 lower-case hex digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes.as_ref()))
}

/// SHA-256 of a file's content, read in pieces.
pub fn sha256_file(path: &Utf8Path) -> Result<String> {
    let file = std::fs::File::open(path).and_then(digest_of);
    Ok(hex(&file.with_context(|| format!("failed to read `{path}`"))?))
}

/// SHA-256 as bytes.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The same of all that a reader gives.
pub fn digest_of(mut reader: impl Read) -> std::io::Result<[u8; 32]> {
    let mut state = Sha256::new();
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(state.finalize().into()),
            length => state.update(&buffer[..length]),
        }
    }
}

/// HMAC-SHA-256 (RFC 2104) as hex: without the key, a value can not be guessed by trying.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut padded = [0u8; BLOCK];
    if key.len() > BLOCK {
        padded[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let with = |pad: u8, tail: &[u8]| {
        let mut state = Sha256::new();
        state.update(padded.map(|byte| byte ^ pad));
        state.update(tail);
        state.finalize()
    };
    hex(&with(0x5c, &with(0x36, message)))
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        // RFC 4231, test cases 2 and 6.
        assert_eq!(
            hmac_sha256(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
