//! Whether the ledger of releases is what the tasks wrote: every link follows from the one before, and every release's row
//! is what its first and last entries say.

use anyhow::Result;
use serde_json::Value;

use super::read::is_there;
use super::{CLOSE, OPEN, link, row_sha256};
use crate::session::Session;
use base::tools::hash;
use base::ui::Finding;

/// Everything that does not hold together; empty for a ledger nobody has edited.
pub fn verify(session: &mut Session) -> Result<Vec<Finding>> {
    if !is_there(session)? {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    let broken = session.query(&format!(
        "select x.id, x.release, x.step, x.event from (select s.*, lag(chain_sha256) over (order by id) as before \
         from ops.release_step s) x where x.chain_sha256 is distinct from {} order by x.id",
        link("coalesce(x.before, '-')")
    ))?;
    for row in &broken {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        findings.push(Finding::error(format!(
            "release {}: the entry `{} {}` (ops.release_step {}) does not follow from the one before it: it, or that one, \
             was edited or removed",
            row["release"],
            text("step"),
            text("event"),
            row["id"]
        )));
    }
    let changed = session.query(&format!(
        "select r.number, \
         {} is distinct from (select detail from ops.release_step where release = r.number and step = '{OPEN}' \
         order by id limit 1) as opened, \
         r.state <> 'running' and {} is distinct from (select detail from ops.release_step where release = r.number \
         and step = '{CLOSE}' order by id desc limit 1) as closed, \
         r.state = 'running' and exists (select from ops.release_step where release = r.number and step = '{CLOSE}') \
         as reopened from ops.release r order by r.number",
        row_sha256(false),
        row_sha256(true)
    ))?;
    for row in &changed {
        let is = |key: &str| row[key].as_bool().unwrap_or(false);
        if is("opened") {
            findings.push(Finding::error(format!("release {}: what it was opened with was edited", row["number"])));
        } else if is("closed") || is("reopened") {
            findings.push(Finding::error(format!("release {}: how it ended was edited", row["number"])));
        }
    }
    let gaps = session.query(
        "select number from generate_series(1, (select max(number) from ops.release)) as all_numbers (number) \
         where number not in (select number from ops.release) order by 1",
    )?;
    for row in &gaps {
        findings.push(Finding::error(format!("release {} was removed", row["number"])));
    }
    let is_cut = session.value(
        // A ledger of a version before this one has no such column.
        "select (select to_jsonb(k) ? 'head' from ops.release_key k) and \
         coalesce((select to_jsonb(k) ->> 'head' from ops.release_key k), '-') is distinct from \
         coalesce((select chain_sha256 from ops.release_step order by id desc limit 1), '-')",
    )? == "t";
    if is_cut && findings.is_empty() {
        findings
            .push(Finding::error("the journal does not end where the tasks left it: its newest entries were removed"));
    }
    Ok(findings)
}

/// Why a release that was written to a file by `releases show N --json` cannot be believed; None when its journal is
/// whole and its own facts are what the journal's end says. `value` is that object.
pub fn check_file(value: &Value) -> Option<String> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let or_dash = |value: &Value| value.as_str().map_or("-".to_owned(), str::to_owned);
    let number = value["number"].as_i64().unwrap_or_default().to_string();
    let steps = value["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    for pair in steps.windows(2) {
        let [before, step] = pair else { continue };
        let facts = ["step", "event", "detail", "at"].map(|key| text(step, key));
        let words = [&[text(before, "chain_sha256"), number.clone()][..], &facts[..]].concat();
        if hash::sha256(words.join("\n")) != text(step, "chain_sha256") {
            return Some(format!("its entry `{} {}` does not follow from the one before it", facts[0], facts[1]));
        }
    }
    let Some(last) = steps.iter().rfind(|step| step["step"] == CLOSE) else {
        return Some("its journal has no end".to_owned());
    };
    let restores = value["restores"].as_i64().map_or("-".to_owned(), |number| number.to_string());
    let outcome = if value["outcome"].is_null() { "-".to_owned() } else { value["outcome"].to_string() };
    let columns = [
        number,
        text(value, "kind"),
        text(value, "artifact"),
        restores,
        text(value, "engine"),
        text(value, "run_id"),
        text(value, "user"),
        text(value, "host"),
        or_dash(&value["commit"]),
        text(value, "tool_version"),
        value["record"].to_string(),
        text(value, "started_at"),
        text(value, "state"),
        outcome,
        text(value, "ended_at"),
    ];
    let is_whole = hash::sha256(columns.join("\n")) == text(last, "detail");
    (!is_whole).then(|| "its facts are not those that its journal ended with".to_owned())
}
