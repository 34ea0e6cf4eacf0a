//! Tables and queries as files, and files as rows: export, import, and the subset that `db sync` brings.

pub mod catalog;
pub mod csv;
pub mod export;
pub mod files;
pub mod load;
pub mod order;
pub mod reject;
pub mod subset;

use base::ui::{Failure, suggest};

/// How rows stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With a header; RFC 4180 as PostgreSQL writes it.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    pub const NAMES: [&str; 2] = ["csv", "jsonl"];

    /// By its name, or exit 2.
    pub fn parse(name: &str) -> Result<Format, Failure> {
        match name {
            "csv" => Ok(Format::Csv),
            "jsonl" => Ok(Format::Jsonl),
            _ => {
                Err(Failure::usage(format!("unknown format `{name}`")).hint(suggest::did_you_mean(name, Format::NAMES)))
            }
        }
    }
    /// By the ending of a file's name.
    pub fn of(path: &camino::Utf8Path) -> Option<Format> {
        Format::parse(path.extension().unwrap_or_default()).ok()
    }
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        }
    }
}
