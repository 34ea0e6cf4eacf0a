//! The server's error as a finding at the place it means, with the line and a caret below.

use super::script::{Ready, Step};
use crate::session::SqlError;
use crate::sql::position::{self, Lines, snippet};
use crate::sql::{self, Piece, lexer};
use base::ui::{Exit, Failure, Finding, Place};

/// The failure of one statement of a file.
pub fn explain(ready: &Ready, step: &Step, error: &SqlError) -> anyhow::Error {
    let source = &ready.script.sources[step.source];
    let piece = &step.piece;
    let lines = Lines::new(&source.text);
    let copy_line = error.context.as_deref().and_then(position::copy_line).zip(piece.data_line(&source.text));
    let block_line = error.context.as_deref().and_then(position::inline_block_line);
    let place = match (copy_line, error.position) {
        (Some((line, first)), _) => sql::Place { line: first + line - 1, column: 1 },
        (None, Some(position)) => lines.place(position::byte_of(&source.text, piece.body.start, position)),
        (None, None) => match block_line.zip(block_start(&source.text, piece)) {
            Some((line, start)) => sql::Place { line: lines.place(start).line + line - 1, column: 1 },
            None => piece.place,
        },
    };
    let mut message = format!("{} ({})\n{}", error.message, error.sqlstate, snippet(&lines, place).trim_end());
    if let Some(detail) = &error.detail {
        message.push_str(&format!("\n  detail: {detail}"));
    }
    let at = Place { file: source.file.clone(), line: place.line, column: place.column };
    let finding = Finding::error(message).at(at);
    let finding = match ours(error).map(str::to_owned).or_else(|| error.hint.clone()) {
        Some(hint) => finding.hint(hint),
        None => finding,
    };
    let what = format!("failed to apply `{}`", ready.migration.file);
    Failure::with_findings(Exit::Failed, &what, vec![finding]).into()
}

/// What to do about an error here, where PostgreSQL has no hint or none that names the way.
fn ours(error: &SqlError) -> Option<&'static str> {
    match error.sqlstate.as_str() {
        "55P03" => Some(
            "another session holds the table: see `cargo xtask db query locks`, or wait longer with `-- migrate: lock-timeout=10s`",
        ),
        "57014" if error.message.contains("statement timeout") => {
            Some("give the file more time: `-- migrate: statement-timeout=10min`")
        }
        "55P04" => Some("use the new value in a migration of its own, after this one"),
        _ => None,
    }
}

/// Where the body of a DO begins: its first dollar quote or string.
fn block_start(text: &str, piece: &Piece) -> Option<usize> {
    let mut at = piece.body.start;
    for (token, word) in lexer::tokens(piece.sql(text)) {
        if matches!(token, lexer::Token::DollarText | lexer::Token::Text) {
            return Some(at);
        }
        at += word.len();
    }
    None
}
