//! Files that hold secrets: which kind, on which line. A value never leaves this module, not even in an error; what is
//! shown is masked first.

use std::sync::LazyLock;

use hot::find::{Needles, Set};

/// What a secret looks like, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub kind: &'static str,
    pub line: usize,
    /// Where the value stands; for masking, never for showing.
    span: Span,
}

impl Secret {
    /// The value in the text it was found in: for masking it elsewhere, never for showing.
    pub fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.span.0..self.span.1).unwrap_or_default()
    }
}

/// Prefixes of tokens that name themselves: prefix, what it is, how many characters of the token's alphabet follow at least.
const TOKENS: &[(&str, &str, usize)] = &[
    ("-----BEGIN", "private key", 0),
    ("AKIA", "AWS access key", 16),
    ("ASIA", "AWS access key", 16),
    ("ghp_", "GitHub token", 30),
    ("gho_", "GitHub token", 30),
    ("ghs_", "GitHub token", 30),
    ("github_pat_", "GitHub token", 30),
    ("glpat-", "GitLab token", 18),
    ("xoxb-", "Slack token", 20),
    ("xoxp-", "Slack token", 20),
    ("xapp-", "Slack token", 20),
    ("hooks.slack.com/services/T", "Slack webhook", 20),
    ("AIza", "Google API key", 33),
    ("sk_live_", "Stripe key", 16),
    ("rk_live_", "Stripe key", 16),
    ("whsec_", "Stripe webhook secret", 20),
    ("sk-ant-", "Anthropic key", 20),
    ("sk-proj-", "OpenAI key", 20),
    ("sk-", "API key", 32),
    ("SG.", "SendGrid key", 40),
    ("npm_", "npm token", 30),
    ("pypi-AgE", "PyPI token", 40),
    ("hf_", "Hugging Face token", 30),
    ("dop_v1_", "DigitalOcean token", 40),
    ("ntn_", "Notion token", 30),
    ("secret_", "Notion token", 40),
    ("pcsk_", "Pinecone key", 30),
    ("lsv2_", "LangSmith key", 30),
    ("eyJ", "JSON web token", 60),
    ("AGE-SECRET-KEY-1", "age key", 40),
    ("://", "URL with a password", 0),
];

/// Words in a key's name that say its value is a secret.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "private_key",
    "client_secret",
    "auth_key",
    "encryption_key",
    "service_role_key",
    "signing_key",
    "credential",
    "pwd",
];

static NEEDLES: LazyLock<Needles> =
    LazyLock::new(|| Needles::new(&TOKENS.iter().map(|token| token.0).collect::<Vec<_>>(), NAMES));

/// What ends a token.
const NOT_TOKEN: Set = Set::new(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+=").complement();
/// What ends the authority of a URL.
const NOT_AUTHORITY: Set = Set::new(b" \t\r\n\"'`<>/?#");
/// More of them are not looked for: the file is named either way.
const MOST: usize = 50;

/// Secrets in a text, in order.
pub fn find(text: &[u8]) -> Vec<Secret> {
    let mut found = Vec::new();
    let (mut at, mut line, mut counted) = (0, 1, 0);
    while let Some((start, which)) = NEEDLES.find(text, at) {
        at = start + 3;
        let Some((kind, span)) = secret(text, start, which) else { continue };
        line += hot::find::lines_before(&text[counted..], span.0 - counted);
        counted = span.0;
        at = span.1.max(at);
        found.push(Secret { kind, line, span });
        if found.len() == MOST {
            break;
        }
    }
    found
}

type Span = (usize, usize);

/// What the needle at `start` gives away, if anything.
fn secret(text: &[u8], start: usize, which: usize) -> Option<(&'static str, Span)> {
    let Some((prefix, kind, least)) = TOKENS.get(which) else {
        let span = assigned_value(text, start)?;
        // A token that names itself says more than the name it is assigned to.
        let inner = NEEDLES.find(&text[..span.1], span.0).filter(|(_, which)| *which < TOKENS.len());
        let token = inner.and_then(|(start, which)| secret(text, start, which));
        return Some(token.unwrap_or(("assigned value", span)));
    };
    let span = match *prefix {
        "-----BEGIN" => private_key(text, start),
        "://" => url_password(text, start),
        _ => token(text, start, prefix.len(), *least),
    }?;
    Some((kind, span))
}

/// The text with every secret value replaced.
pub fn mask(text: &str) -> String {
    let mut masked = text.to_owned();
    for secret in find(text.as_bytes()).into_iter().rev() {
        // Spans begin and end at ASCII bytes, so they are borders of characters.
        if masked.is_char_boundary(secret.span.0) && masked.is_char_boundary(secret.span.1) {
            masked.replace_range(secret.span.0..secret.span.1, base::ui::redact::MASK);
        }
    }
    masked
}

/// A word that no person would write: long, of letters and digits, without much repetition.
pub fn is_random_word(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    let has = |test: fn(char) -> bool| word.chars().any(test);
    word.len() >= 12 && has(|c| c.is_ascii_digit()) && has(char::is_alphabetic) && is_random(word.as_bytes())
}

fn private_key(text: &[u8], start: usize) -> Option<Span> {
    let line_end = hot::find::byte(text, start, b'\n').unwrap_or(text.len());
    let is_private = hot::find::find(&text[..line_end], start, b"PRIVATE KEY").is_some();
    let body_end = hot::find::find(text, line_end, b"-----END").unwrap_or(text.len());
    // A heading alone, in a document or a pattern, has no body of base64.
    let mut body = text[line_end..body_end].split(|byte| *byte == b'\n');
    (is_private && body.any(|line| line.trim_ascii().len() >= 40)).then_some((line_end, body_end))
}

fn token(text: &[u8], start: usize, prefix: usize, least: usize) -> Option<Span> {
    let is_inside_word = start > 0 && (text[start - 1].is_ascii_alphanumeric() || text[start - 1] == b'_');
    let end = NOT_TOKEN.find(text, start).unwrap_or(text.len());
    let rest = &text[start + prefix..end];
    (!is_inside_word && rest.len() >= least && is_random(rest)).then_some((start, end))
}

/// `scheme://user:password@host`.
fn url_password(text: &[u8], colon: usize) -> Option<Span> {
    let from = colon + 3;
    let end = NOT_AUTHORITY.find(text, from).unwrap_or(text.len());
    let authority = &text[from..end];
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let user = authority[..at].iter().position(|byte| *byte == b':')?;
    let span = (from + user + 1, from + at);
    let host = &authority[at + 1..];
    let is_local = [&b"localhost"[..], b"127.0.0.1", b"host", b"example"].iter().any(|name| host.starts_with(name));
    // What every developer's machine has in its place is none.
    (is_literal(&text[span.0..span.1]) && !(is_local && span.1 - span.0 < 12)).then_some(span)
}

fn assigned_value(text: &[u8], at: usize) -> Option<Span> {
    let (start, end) = hot::text::assigned(text, at)?;
    let value = &text[start..end];
    (value.len() <= 500 && is_literal(value) && is_random(value)).then_some((start, end))
}

/// No variable, no template, no placeholder.
fn is_literal(value: &[u8]) -> bool {
    const PLACEHOLDERS: &[&str] = &[
        "change",
        "your",
        "example",
        "placeholder",
        "xxx",
        "***",
        "...",
        "dummy",
        "sample",
        "replace",
        "todo",
        "redacted",
        "insert",
        "fixme",
        "<",
        "${",
        "{{",
        "$(",
        "%(",
        "process.env",
        "os.environ",
        "env.",
        "secrets.",
        "getenv",
        "undefined",
        "null",
        "none",
        "required",
        "optional",
        "test-",
        "test_",
        "fake",
        "mock",
        "abc123",
        "123456",
        "foobar",
        "lorem",
    ];
    let lower = String::from_utf8_lossy(value).to_ascii_lowercase();
    !value.is_empty()
        && !lower.starts_with(['$', '%', '{', '@'])
        && !PLACEHOLDERS.iter().any(|word| lower.contains(word))
}

/// Long enough, and no word or sentence.
fn is_random(value: &[u8]) -> bool {
    let has = |test: fn(&u8) -> bool| value.iter().any(test);
    let kinds = [
        has(u8::is_ascii_lowercase),
        has(u8::is_ascii_uppercase),
        has(u8::is_ascii_digit),
        has(|byte| !byte.is_ascii_alphanumeric()),
    ];
    let is_sentence = value.iter().filter(|byte| **byte == b' ').count() >= 2;
    value.len() >= 8
        && !is_sentence
        && kinds.iter().filter(|kind| **kind).count() >= 2
        && hot::text::entropy(value) >= 2.8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(&'static str, usize)> {
        find(text.as_bytes()).into_iter().map(|secret| (secret.kind, secret.line)).collect()
    }

    #[test]
    fn secrets_are_named_with_their_line() {
        assert_eq!(kinds("a\nDB_PASSWORD=kF83hs9Qpz\n"), [("assigned value", 2)]);
        assert_eq!(kinds("  \"apiKey\": \"Zx81-kkQ0-9sPl\",\n"), [("assigned value", 1)]);
        assert_eq!(kinds("url: postgres://app:hunter2Xy@db.prod:5432/x\n"), [("URL with a password", 1)]);
        assert_eq!(kinds("t = 'ghp_0123456789abcdefghijABCDEFGHIJ456789'"), [("GitHub token", 1)]);
        let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", "MIIa9".repeat(12));
        assert_eq!(kinds(&key), [("private key", 1)]);
    }

    #[test]
    fn what_only_talks_of_secrets_is_none() {
        for text in [
            "PASSWORD=${DB_PASSWORD}\n",
            "password: your-password-here\n",
            "const token = process.env.TOKEN;\n",
            "token = get_token(user)\n",
            "if password == stored: pass\n",
            "The password: it must be long enough, says the policy\n",
            "SECRET_KEY=\nNEXT=1\n",
            "postgres://postgres:postgres@localhost:5432/x\n",
            "api_key: string;\n",
            "-----BEGIN PUBLIC KEY-----\n",
            "token: ${{ secrets.GITHUB_TOKEN }}\n",
        ] {
            assert_eq!(kinds(text), [], "{text}");
        }
    }

    #[test]
    fn values_are_masked_and_the_rest_is_kept() {
        assert_eq!(mask("# export API_TOKEN=kF83hs9Qpz now ü"), "# export API_TOKEN=******** now ü");
        assert_eq!(mask("nothing here"), "nothing here");
    }
}
