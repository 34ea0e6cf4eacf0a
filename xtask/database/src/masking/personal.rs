//! Which columns look as if they told something about people: by name, by type, by what a sample of their values looks
//! like. The sample is looked at where it is; only counts come back.

use anyhow::Result;

use crate::session::{Session, identifier, literal};
use crate::transfer::catalog::{Column, Table};

/// Parts of names of columns that hold text.
const WORDS: [&str; 62] = [
    "email",
    "mail",
    "name",
    "firstname",
    "lastname",
    "surname",
    "forename",
    "fullname",
    "username",
    "nickname",
    "login",
    "phone",
    "telephone",
    "tel",
    "mobile",
    "fax",
    "address",
    "addr",
    "street",
    "city",
    "zip",
    "zipcode",
    "postcode",
    "postal",
    "birth",
    "birthday",
    "birthdate",
    "dob",
    "ssn",
    "passport",
    "iban",
    "bic",
    "card",
    "ip",
    "ipaddr",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "credential",
    "credentials",
    "apikey",
    "cookie",
    "gender",
    "sex",
    "religion",
    "nationality",
    "salary",
    "income",
    "diagnosis",
    "latitude",
    "longitude",
    "contact",
    "person",
    "customer",
    "employee",
    "patient",
    "signature",
    "avatar",
    "recipient",
];
/// The same where a number or a date is enough.
const NUMBERS: [&str; 12] = [
    "birth",
    "birthday",
    "birthdate",
    "dob",
    "ssn",
    "phone",
    "mobile",
    "salary",
    "income",
    "latitude",
    "longitude",
    "iban",
];
const TYPES: [&str; 4] = ["inet", "cidr", "macaddr", "macaddr8"];
/// What a value looks like, as a POSIX regular expression.
const SHAPES: [(&str, &str); 5] = [
    ("e-mail addresses", r"[[:alnum:]._%+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)*\.[[:alpha:]]{2,}"),
    ("telephone numbers", r"^\s*(\+|00)[1-9][0-9 ()/.-]{6,18}[0-9]\s*$"),
    ("IP addresses", r"^\s*([0-9]{1,3}\.){3}[0-9]{1,3}(/[0-9]+)?\s*$"),
    ("account numbers (IBAN)", r"^\s*[A-Z]{2}[0-9]{2}([ ]?[A-Z0-9]{4}){3,7}[ ]?[A-Z0-9]{0,4}\s*$"),
    ("keys or tokens", r"^(sk|pk|rk|gh[opsu]|github_pat|glpat|xox[abprs]|AKIA|eyJ)[A-Za-z0-9_.-]{12,}$"),
];
/// How many rows of a table are looked at.
const SAMPLE: u32 = 1000;

/// Why a column looks personal by what it is called or is made of.
pub fn by_name_or_type(table: &Table, column: &Column) -> Option<String> {
    if TYPES.contains(&column.base.as_str()) {
        return Some(format!("its type is {}", column.base));
    }
    let refers = table.references.iter().any(|reference| reference.columns.contains(&column.name));
    let words = words(&column.name);
    let is_about = words.last().is_some_and(|last| ["id", "count", "at", "type", "kind"].contains(&last.as_str()));
    if refers || is_about || column.base == "boolean" {
        return None;
    }
    let known: &[&str] = if holds_text(column) { &WORDS } else { &NUMBERS };
    let found = words.iter().find(|word| known.contains(&word.as_str()) || known.contains(&word.trim_end_matches('s')));
    found.map(|word| format!("its name says `{word}`"))
}

/// `firstName`, `first_name` and `FIRST NAME` are the same two words.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (was_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

pub fn holds_text(column: &Column) -> bool {
    let base = column.base.as_str();
    matches!(base, "text" | "character varying" | "bpchar" | "json" | "jsonb" | "xml" | "hstore" | "citext" | "bytea")
        || base.ends_with("citext")
        || base.ends_with("hstore")
        || matches!(base, "text[]" | "character varying[]")
}

/// Why columns look personal by their values: asks once a table.
pub fn by_values(session: &mut Session, table: &Table, columns: &[&Column]) -> Result<Vec<(String, String)>> {
    let columns: Vec<&&Column> = columns.iter().filter(|column| holds_text(column) && column.base != "bytea").collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let shape = |name: &str, index: usize| {
        format!("max(case when x.{}::text ~ {} then {index} end)", identifier(name), literal(SHAPES[index].1))
    };
    let mut tests = Vec::new();
    for column in &columns {
        let all: Vec<String> = (0..SHAPES.len()).map(|index| shape(&column.name, index)).collect();
        tests.push(format!("coalesce({}) as {}", all.join(", "), identifier(&column.name)));
    }
    let whole = table.only();
    let counted = "greatest(c.reltuples, 1)";
    let percent = session.value(&format!(
        "select least(100, greatest(0.01, {} * 100.0 / {counted})) from pg_catalog.pg_class c where c.oid = {}::regclass",
        SAMPLE * 20,
        literal(&table.quoted())
    ))?;
    let sample = format!("(select * from {whole} tablesample system ({percent}) limit {SAMPLE}) x");
    let rows = session.query(&format!("select {} from {sample}", tests.join(", ")))?;
    let mut found = Vec::new();
    for column in columns {
        let index =
            rows.first().and_then(|row| row[&column.name].as_u64()).and_then(|index| usize::try_from(index).ok());
        if let Some((what, _)) = index.and_then(|index| SHAPES.get(index)) {
            found.push((column.name.clone(), format!("a sample of its values holds {what}")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str, base: &str) -> Option<String> {
        let column = Column { name: name.to_owned(), base: base.to_owned(), ..Column::default() };
        by_name_or_type(&Table::default(), &column)
    }

    #[test]
    fn names_and_types() {
        for name in ["email", "E-Mail", "firstName", "last_name", "home_address", "clientIp", "phones", "access_token"]
        {
            assert!(look(name, "text").is_some(), "{name}");
        }
        for name in ["id", "body", "title", "email_count", "name_id", "shipped_at", "description", "sha256"] {
            assert!(look(name, "text").is_none(), "{name}");
        }
        assert!(look("x", "inet").is_some() && look("date_of_birth", "date").is_some());
        assert!(look("email_verified", "boolean").is_none() && look("name", "integer").is_none());
    }
}
