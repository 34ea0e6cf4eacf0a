//! What an example file says of its keys: decorators above a key give its type and what holds for it.

use camino::Utf8Path;

use super::dotenv::{Entry, parse};
use crate::ui::{Finding, Place, suggest};

/// What a key's value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    String,
    Port,
    Url,
    Int,
    Bool,
    Duration,
    Path,
    Enum(Vec<String>),
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Type::String => "string",
            Type::Port => "port",
            Type::Url => "url",
            Type::Int => "int",
            Type::Bool => "bool",
            Type::Duration => "duration",
            Type::Path => "path",
            Type::Enum(words) => return write!(f, "enum({})", words.join(",")),
        })
    }
}

impl Type {
    /// Why a value is not of this type; None when it is.
    pub fn objection(&self, value: &str) -> Option<String> {
        let expected = match self {
            Type::String => return None,
            Type::Port if value.parse::<u16>().is_ok_and(|port| port > 0) => return None,
            Type::Port => "a port between 1 and 65535",
            Type::Int if value.parse::<i64>().is_ok() => return None,
            Type::Int => "a whole number",
            Type::Bool if matches!(value, "true" | "false") => return None,
            Type::Bool => "true or false",
            Type::Duration if duration(value).is_some() => return None,
            Type::Duration => "a duration such as 500ms, 30s, 5m, 2h or 1d",
            Type::Path if !value.contains(['\n', '\0']) => return None,
            Type::Path => "a path",
            Type::Url if is_url(value) => return None,
            Type::Url => "a URL such as scheme://host/path",
            Type::Enum(words) if words.iter().any(|word| word == value) => return None,
            Type::Enum(words) => return Some(format!("one of {}", words.join(", "))),
        };
        Some(expected.to_owned())
    }
}

fn is_url(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once(':') else { return false };
    let valid_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    // `embedded:` and `compose:database` are addresses without an authority.
    let local = matches!(scheme, "embedded" | "compose" | "kubernetes");
    valid_scheme
        && !value.contains(char::is_whitespace)
        && (local || rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty()))
}

/// `500ms`, `30s`, `5m`, `2h`, `1d`, or whole seconds.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let milliseconds = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(std::time::Duration::from_millis(number.checked_mul(milliseconds)?))
}

/// What an example file says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    pub key: String,
    pub kind: Type,
    pub is_required: bool,
    pub is_sensitive: bool,
    /// Filled with a random value when the environment's file is made.
    pub is_generated: bool,
    /// Environments that have the key; empty for all.
    pub only: Vec<String>,
    /// The safe value; empty for none.
    pub default: String,
    pub documentation: String,
    pub place: Place,
    pub value_place: Place,
}

impl Declaration {
    /// A key that no example declares.
    pub fn plain(key: &str) -> Declaration {
        let place = Place { file: "-".into(), line: 1, column: 1 };
        Declaration {
            key: key.to_owned(),
            kind: Type::String,
            is_required: false,
            is_sensitive: false,
            is_generated: false,
            only: Vec::new(),
            default: String::new(),
            documentation: String::new(),
            place: place.clone(),
            value_place: place,
        }
    }
}

const DECORATORS: [&str; 5] = ["type", "required", "sensitive", "generate", "only"];
const TYPES: [&str; 8] = ["string", "port", "url", "int", "bool", "duration", "path", "enum(a,b)"];

/// Reads the declarations of an example file.
pub fn declarations(file: &Utf8Path, text: &str) -> (Vec<Declaration>, Vec<Finding>) {
    let (entries, mut findings) = parse(file, text);
    let declarations: Vec<Declaration> = entries.into_iter().map(|entry| declare(entry, &mut findings)).collect();
    (declarations, findings)
}

fn declare(entry: Entry, findings: &mut Vec<Finding>) -> Declaration {
    let mut declared = Declaration {
        key: entry.key,
        kind: Type::String,
        is_required: false,
        is_sensitive: false,
        is_generated: false,
        only: Vec::new(),
        default: entry.value,
        documentation: String::new(),
        place: entry.place,
        value_place: entry.value_place,
    };
    for (place, line) in &entry.comment {
        if !line.starts_with('@') {
            let gap = if declared.documentation.is_empty() { "" } else { " " };
            declared.documentation.push_str(&format!("{gap}{line}"));
            continue;
        }
        for word in line.split_whitespace() {
            if let Err(finding) = decorate(&mut declared, word) {
                let column = place.column + 2;
                findings.push(finding.at(Place { column, ..place.clone() }));
            }
        }
    }
    if declared.is_sensitive && !declared.default.is_empty() {
        let message = format!("`{}` is @sensitive: an example is committed and must not hold its value", declared.key);
        findings.push(Finding::error(message).at(declared.value_place.clone()).hint("leave it empty"));
    } else if let Some(expected) = declared.kind.objection(&declared.default).filter(|_| !declared.default.is_empty()) {
        let message = format!("the default of `{}` must be {expected}, found `{}`", declared.key, declared.default);
        findings.push(Finding::error(message).at(declared.value_place.clone()));
    }
    declared
}

fn decorate(declared: &mut Declaration, word: &str) -> Result<(), Finding> {
    let Some(word) = word.strip_prefix('@') else {
        return Err(Finding::error(format!("`{word}` stands among decorators, which begin with `@`")));
    };
    let (name, argument) = word.split_once('=').map_or((word, None), |(name, argument)| (name, Some(argument)));
    let flag = match argument {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(Finding::error(format!("@{name} takes true or false, not `{other}`"))),
    };
    match name {
        "required" => declared.is_required = flag?,
        "sensitive" => declared.is_sensitive = flag?,
        "generate" => declared.is_generated = flag?,
        "only" => match argument.filter(|argument| !argument.is_empty()) {
            Some(environments) => declared.only = environments.split(',').map(str::to_owned).collect(),
            None => return Err(Finding::error("@only needs an environment: @only=production")),
        },
        "type" => declared.kind = kind(argument.unwrap_or_default())?,
        _ => {
            let hint = suggest::did_you_mean(name, DECORATORS);
            return Err(Finding::error(format!("unknown decorator `@{name}`")).hint(hint));
        }
    }
    Ok(())
}

fn kind(name: &str) -> Result<Type, Finding> {
    Ok(match name {
        "string" => Type::String,
        "port" => Type::Port,
        "url" => Type::Url,
        "int" => Type::Int,
        "bool" => Type::Bool,
        "duration" => Type::Duration,
        "path" => Type::Path,
        _ => match name.strip_prefix("enum(").and_then(|rest| rest.strip_suffix(')')) {
            Some(words) if !words.is_empty() => {
                Type::Enum(words.split(',').map(|word| word.trim().to_owned()).collect())
            }
            _ => return Err(Finding::error(format!("unknown type `{name}`")).hint(suggest::did_you_mean(name, TYPES))),
        },
    })
}

/// True for what people write when they mean "fill this in".
pub fn is_placeholder(value: &str) -> bool {
    let low = value.to_lowercase();
    let exact = [
        "changeme",
        "change-me",
        "change_me",
        "replaceme",
        "replace-me",
        "replace_me",
        "todo",
        "tbd",
        "fixme",
        "placeholder",
        "secret",
        "password",
    ];
    exact.contains(&low.as_str())
        || (value.starts_with('<') && value.ends_with('>'))
        || ["your-", "your_", "changeme", "change-me", "replace-me", "replace_me", "insert-"]
            .iter()
            .any(|start| low.starts_with(start))
        || (low.len() >= 3 && low.chars().all(|c| c == 'x'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decorators_and_documentation() {
        let text = "# header\n\n# How loud the services are.\n# @type=enum(debug,info) @required\nLOG_LEVEL=info\n";
        let (declared, findings) = declarations(Utf8Path::new(".env"), text);
        assert!(findings.is_empty());
        assert_eq!(declared[0].documentation, "How loud the services are.");
        assert_eq!(declared[0].kind, Type::Enum(vec!["debug".into(), "info".into()]));
        assert!(declared[0].is_required && !declared[0].is_sensitive);
    }

    #[test]
    fn types_and_placeholders() {
        assert!(Type::Url.objection("embedded:").is_none() && Type::Url.objection("postgres://h/d").is_none());
        assert!(Type::Url.objection("nonsense").is_some() && Type::Url.objection("http://").is_some());
        assert_eq!(duration("5m"), Some(std::time::Duration::from_secs(300)));
        assert_eq!(duration("5 m"), None);
        assert!(
            is_placeholder("changeme")
                && is_placeholder("<your key>")
                && is_placeholder("YOUR-KEY")
                && is_placeholder("xxxx")
        );
        assert!(!is_placeholder("info") && !is_placeholder("") && !is_placeholder("8f2c1a"));
    }
}
