//! Keeps secret values out of everything that is printed or written to a log.

use std::borrow::Cow;
use std::sync::RwLock;

/// Shorter values are left alone: replacing every "dev" or "1" would hide the text and protect nothing.
const SHORTEST: usize = 5;
/// What stands in a secret's place.
pub const MASK: &str = "********";

static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// From now on this value is masked wherever this process prints it.
pub fn remember(secret: &str) {
    if let Ok(mut secrets) = SECRETS.write() {
        for form in forms(secret) {
            if !secrets.contains(&form) {
                secrets.push(form);
            }
        }
        // The longest first, so that a secret inside another leaves no remainder of the outer one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }
}

/// The text with every remembered secret masked.
pub fn mask(text: &str) -> Cow<'_, str> {
    match SECRETS.read() {
        Ok(secrets) => mask_with(text, &secrets),
        Err(_) => Cow::Borrowed(MASK),
    }
}

/// The forms in which a value may turn up: as it is, line by line, percent-encoded and JSON-escaped, and, for a URL
/// with a password, that password alone.
pub fn forms(secret: &str) -> Vec<String> {
    let mut forms: Vec<String> = secret.lines().map(str::to_owned).collect();
    forms.push(secret.to_owned());
    if let Some(password) = url_password(secret) {
        forms.push(percent_decode(password));
        forms.push(password.to_owned());
    }
    for index in 0..forms.len() {
        forms.push(percent_encode(&forms[index]));
        forms.push(serde_json::Value::from(forms[index].as_str()).to_string().trim_matches('"').to_owned());
    }
    forms.retain(|form| form.trim().len() >= SHORTEST);
    forms.sort();
    forms.dedup();
    forms
}

/// The text with each of `secrets` masked; `secrets` holds the longest first.
pub fn mask_with<'a>(text: &'a str, secrets: &[String]) -> Cow<'a, str> {
    let mut masked = Cow::Borrowed(text);
    for secret in secrets {
        if masked.contains(secret.as_str()) {
            masked = Cow::Owned(masked.replace(secret.as_str(), MASK));
        }
    }
    masked
}

/// The password in `scheme://user:password@host…`, as written.
pub fn url_password(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1;
    let authority = authority.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password).filter(|password| !password.is_empty())
}

/// A URL with its password masked; other text is returned as it is.
pub fn mask_url(url: &str) -> String {
    match url_password(url) {
        Some(password) => url.replacen(&format!(":{password}@"), &format!(":{MASK}@"), 1),
        None => url.to_owned(),
    }
}

/// RFC 3986 percent-encoding of everything but unreserved characters.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Undoes percent-encoding; what is not a valid escape stays as it is.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_in_a_url_and_masked_in_each_form() {
        let secrets = forms("postgres://app:p%40ss%2Fword@db.example:5432/vital");
        let masked = |text| mask_with(text, &secrets).into_owned();
        assert_eq!(masked("role app, password p@ss/word"), format!("role app, password {MASK}"));
        assert_eq!(masked("x p%40ss%2Fword y"), format!("x {MASK} y"));
        assert_eq!(mask_url("postgres://app:secret1@h/d"), format!("postgres://app:{MASK}@h/d"));
        assert_eq!(mask_url("postgres://app@h/d"), "postgres://app@h/d");
    }

    #[test]
    fn short_values_and_lines_of_long_ones() {
        assert!(forms("dev").is_empty());
        let secrets = forms("first-line\nsecond-line");
        assert_eq!(mask_with("log: second-line!", &secrets), format!("log: {MASK}!"));
    }
}
