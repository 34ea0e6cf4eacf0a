//! Questions to a person. Without a terminal nothing is asked: the answer is no, with the flag that says yes.

use std::io::BufRead;

use anyhow::Result;

use super::{Failure, steps, terminal};

/// Asks a yes/no question; `assume_yes` is the task's `--yes`.
pub fn confirm(question: &str, assume_yes: bool) -> Result<bool> {
    if assume_yes {
        return Ok(true);
    }
    if !terminal().interactive {
        return Err(Failure::refused(format!("not confirmed: {question}"))
            .hint("add --yes to go on without a terminal")
            .into());
    }
    Ok(matches!(ask(&format!("{question} [y/N] "))?.as_str(), "y" | "Y" | "yes"))
}

/// Asks to type `word`; `given` is the task's `--confirm WORD`.
pub fn confirm_by_name(question: &str, word: &str, given: Option<&str>) -> Result<bool> {
    if let Some(given) = given {
        return Ok(given == word);
    }
    if !terminal().interactive {
        let hint = format!("add --confirm {word} to go on without a terminal");
        return Err(Failure::refused(format!("not confirmed: {question}")).hint(hint).into());
    }
    Ok(ask(&format!("{question} type `{word}` to go on: "))? == word)
}

fn ask(question: &str) -> Result<String> {
    steps::clear_live_line();
    super::say(question);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
