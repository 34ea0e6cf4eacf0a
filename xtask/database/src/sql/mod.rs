//! SQL files as psql reads them: text, tokens, pieces, directives, positions. Pure: bytes in, values out.
//! Knows no database, no folder and no ledger; what may run where is decided by migrations, from what is found here.
//!
//! A file goes `text::canonical` → `split::split` → `directives::read`, and each piece through `statement::nature` or
//! `meta::Command::parse`. An error that PostgreSQL reports for a piece finds its place in the file by `position`.

pub mod directives;
pub mod lexer;
pub mod meta;
pub mod position;
pub mod split;
pub mod statement;
pub mod text;

pub use directives::Directives;
pub use position::Place;
pub use split::{Kind, Piece, split};
pub use text::{SyntaxError, canonical};
