//! A rule as the expression that the source computes, so that what is masked never leaves it.

use super::{Fake, Rule};
use crate::session::{identifier, literal};
use crate::transfer::catalog::Column;

const FIRST: [&str; 24] = [
    "Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "June", "Kai", "Lena", "Milo", "Nora", "Otto",
    "Pia", "Quin", "Rosa", "Sven", "Tess", "Uma", "Vito", "Wren", "Zoe",
];
const LAST: [&str; 24] = [
    "Abel", "Brook", "Carver", "Dell", "Elm", "Frost", "Grove", "Hart", "Ivers", "Jansen", "Klein", "Lund", "Marsh",
    "North", "Oakes", "Park", "Quist", "Reed", "Stone", "Thorn", "Unger", "Vale", "Wells", "York",
];

/// What keeps hashes from being guessed; of this clone, so that the same value is masked alike in every run.
#[derive(Clone)]
pub struct Key([u8; 64]);

impl Key {
    /// From the clone's own key; never that key itself, because the source's log may hold the statement.
    pub fn of(clone_key: &str) -> Key {
        let derived = base::tools::hash::hmac_sha256(clone_key.as_bytes(), b"masking");
        let mut key = [0u8; 64];
        key.copy_from_slice(&derived.as_bytes()[..64]);
        Key(key)
    }

    /// HMAC-SHA-256 (RFC 2104) of a value's text, as bytea, by functions that every PostgreSQL has.
    fn hmac(&self, value: &str) -> String {
        let pad = |with: u8| self.0.iter().map(|byte| format!("{:02x}", byte ^ with)).collect::<String>();
        format!(
            "sha256(decode('{}', 'hex') || sha256(decode('{}', 'hex') || convert_to({value}::text, 'UTF8')))",
            pad(0x5c),
            pad(0x36)
        )
    }
    fn hex(&self, value: &str, digits: usize) -> String {
        format!("left(encode({}, 'hex'), {digits})", self.hmac(value))
    }
    /// One of some words, by one byte of the hash.
    fn pick(&self, value: &str, words: &[&str], byte: usize) -> String {
        let words: Vec<String> = words.iter().map(|word| literal(word)).collect();
        format!("(array[{}])[1 + get_byte({}, {byte}) % {}]", words.join(", "), self.hmac(value), words.len())
    }

    /// What is selected for the column of row `x`; None for the column itself.
    pub fn expression(&self, column: &Column, rule: &Rule) -> Option<String> {
        let value = format!("x.{}", identifier(&column.name));
        let masked = match rule {
            Rule::Keep => return None,
            Rule::Null => "null".to_owned(),
            Rule::Fixed(fixed) => format!("case when {value} is not null then {} end", literal(fixed)),
            Rule::Hash => match column.base.as_str() {
                "uuid" => self.hex(&value, 32),
                "bytea" => format!("'\\x' || {}", self.hex(&value, 64)),
                _ => self.hex(&value, usize::try_from(column.length.unwrap_or(64).min(64)).unwrap_or(64)),
            },
            Rule::Fake(Fake::Name) => {
                let (first, last) = (self.pick(&value, &FIRST, 0), self.pick(&value, &LAST, 1));
                let unique =
                    if column.is_unique { format!(" || ' ' || {}", self.hex(&value, 16)) } else { String::new() };
                format!("{first} || ' ' || {last}{unique}")
            }
            Rule::Fake(Fake::Email) => {
                let first = self.pick(&value, &FIRST, 0);
                format!("lower({first}) || '.' || {} || '@example.com'", self.hex(&value, 16))
            }
            // The country code 999 is nobody's.
            Rule::Fake(Fake::Phone) => {
                let hash = self.hmac(&value);
                let digits: Vec<String> = (0..9).map(|byte| format!("(get_byte({hash}, {byte}) % 10)::text")).collect();
                format!("'+999' || {}", digits.join(" || "))
            }
        };
        Some(format!("({masked})"))
    }
}

/// The longest text that a rule makes, where it does not follow from the column.
pub fn longest(rule: &Rule, is_unique: bool) -> Option<usize> {
    match rule {
        Rule::Fixed(value) => Some(value.chars().count()),
        Rule::Fake(Fake::Name) => Some(if is_unique { 28 } else { 11 }),
        Rule::Fake(Fake::Email) => Some(33),
        Rule::Fake(Fake::Phone) => Some(13),
        Rule::Keep | Rule::Hash | Rule::Null => None,
    }
}
