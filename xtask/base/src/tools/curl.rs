//! curl: all probes of a round in one parallel call.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Cmd;

/// The answer to one probe.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 0 when there was no answer.
    pub status: u16,
    pub time: Duration,
    /// The start of the body.
    pub body: String,
    /// Why there was no answer.
    pub error: Option<String>,
}

impl Answer {
    /// 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// In words, for a message.
    pub fn describe(&self) -> String {
        let body: String = self.body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
        match &self.error {
            Some(error) => error.clone(),
            None if body.is_empty() => format!("status {}", self.status),
            None => format!("status {}: {body}", self.status),
        }
    }
}

/// Where answers lie for a moment: this, the pid, and a random end.
const FOLDER: &str = "xtask-probe-";

/// Separates a body from the facts behind it; no service answers with these bytes.
const MARK: &str = "\u{1e}facts\u{1e}";

/// Gets every URL at once; the answers stand in the order of `urls`.
pub fn get_all(urls: &[String], limit: Duration) -> Result<Vec<Answer>> {
    if urls.is_empty() {
        return Ok(Vec::new());
    }
    // Each URL prints body and facts in one write at its end (--no-buffer is not set), and the facts carry its number.
    sweep();
    let folder = std::env::temp_dir().join(format!("{FOLDER}{}-{}", std::process::id(), super::os::random_hex(4)?));
    std::fs::create_dir(&folder).context("failed to make a folder for probe answers")?;
    let result = get_into(urls, limit, &folder);
    // Best effort: a left-over folder in the temporary directory harms nobody.
    let _removed = std::fs::remove_dir_all(&folder);
    result
}

/// Removes the folders of runs that were killed during a probe.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| super::os::process(pid).is_none()) {
            // Another user's folder stays.
            let _removed = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn get_into(urls: &[String], limit: Duration, folder: &std::path::Path) -> Result<Vec<Answer>> {
    let seconds = format!("{:.1}", limit.as_secs_f64());
    let mut config = String::new();
    for (index, url) in urls.iter().enumerate() {
        let part = [
            if index > 0 { "next\n".to_owned() } else { String::new() },
            format!("url = {url:?}\n"),
            format!("output = {:?}\n", folder.join(index.to_string())),
            format!("write-out = \"{index} %{{http_code}} %{{time_total}} %{{errormsg}}{MARK}\"\n"),
            format!("max-time = {seconds}\nsilent\nnoproxy = \"*\"\nmax-filesize = 1048576\n"),
        ];
        config.push_str(&part.concat());
    }
    let answer = Cmd::new("curl")
        .args(["--disable", "--parallel", "--parallel-immediate", "--config", "-"])
        .stdin(config)
        .ask()?;
    let mut answers =
        vec![
            Answer { status: 0, time: Duration::ZERO, body: String::new(), error: Some("no answer".to_owned()) };
            urls.len()
        ];
    for facts in answer.stdout.split(MARK) {
        let mut words = facts.trim().splitn(4, ' ');
        let index = words.next().and_then(|word| word.parse::<usize>().ok());
        let Some(answer) = index.and_then(|index| answers.get_mut(index)) else { continue };
        let index = index.unwrap_or_default();
        answer.status = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        answer.time = Duration::from_secs_f64(words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0));
        let error = words.next().unwrap_or_default().trim();
        answer.error =
            (answer.status == 0).then(|| if error.is_empty() { "no answer".to_owned() } else { error.to_owned() });
        let body = std::fs::read(folder.join(index.to_string())).unwrap_or_default();
        answer.body = String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned();
    }
    Ok(answers)
}

/// The body of an answer as JSON, if it is.
pub fn body_json(answer: &Answer) -> Option<Value> {
    serde_json::from_str(&answer.body).ok()
}
