//! The ladder: an environment with PROMOTE_FROM takes only an artifact that the other environment's ledger has verified,
//! and not long ago.

use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use crate::tools::hash;
use crate::ui::{self, Failure, Finding};
use crate::workspace::{Environment, Workspace, schema};
use database::session::{Session, literal};
use database::{Target, ledger, releases};

/// How old a verified release may be, where PROMOTE_WITHIN says nothing.
const WITHIN: Duration = Duration::from_secs(14 * 86_400);
/// How many releases are looked at.
const DEPTH: u32 = 200;

/// What proves it, for the ledger; or why it may not be deployed.
pub enum Verdict {
    /// No ladder holds here.
    Free,
    Proved(Value),
    Refused(Finding),
}

/// `signed_off` is a file that `releases show N --json` wrote, for where the other environment cannot be reached;
/// `session` is one of the environment that is deployed to, which tells the time.
pub fn check(
    workspace: &Workspace,
    environment: &Environment,
    artifact: &str,
    signed_off: Option<&Utf8Path>,
    session: &mut Session,
) -> Result<Verdict> {
    let Some(from) = environment.get("PROMOTE_FROM") else { return Ok(Verdict::Free) };
    let within = environment.get("PROMOTE_WITHIN").and_then(schema::duration).unwrap_or(WITHIN);
    let found = match signed_off {
        Some(path) => Some(from_file(path, from, artifact, session)?),
        None => match from_ledger(workspace, from, artifact) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("`{from}` cannot be asked what it has verified: {error:#}");
                let hint = format!(
                    "write the release to a file where it can be reached, `cargo xtask releases show N --env {from} --json`, \
                     and give it with --signed-off FILE"
                );
                return Ok(Verdict::Refused(Finding::error(message).hint(hint)));
            }
        },
    };
    let name = &environment.name;
    let Some((proof, age)) = found else {
        let message = format!("`{name}` takes only what `{from}` has verified, and it has not verified this artifact");
        let hint = format!("deploy this very commit to `{from}` first: `cargo xtask deploy {from}`");
        return Ok(Verdict::Refused(Finding::error(message).hint(hint)));
    };
    if age > within {
        let message = format!(
            "`{from}` verified this artifact {} ago, and `{name}` takes what is at most {} old",
            ui::age(age),
            ui::age(within)
        );
        let hint = format!("deploy it to `{from}` again, so that it is proved on what is there today");
        return Ok(Verdict::Refused(Finding::error(message).hint(hint)));
    }
    Ok(Verdict::Proved(proof))
}

fn from_ledger(workspace: &Workspace, from: &str, artifact: &str) -> Result<Option<(Value, Duration)>> {
    let environment = Environment::load(workspace, from)?;
    let target = Target::of(workspace, &environment, from)?;
    let mut session = Session::open(&target, &ledger::purpose("deploy, what is verified"))?;
    ledger::check_identity(&mut session, from)?;
    let verified = releases::list(&mut session, DEPTH)?
        .into_iter()
        .find(|release| release.state == releases::State::Verified && release.artifact == artifact);
    Ok(verified.map(|release| {
        let proof = json!({"environment": from, "release": release.number, "verified_at": release.ended_at});
        (proof, Duration::from_secs(release.age_seconds))
    }))
}

fn from_file(path: &Utf8Path, from: &str, artifact: &str, session: &mut Session) -> Result<(Value, Duration)> {
    let refuse = |why: &str| Failure::refused(format!("`{path}` does not sign this artifact off: {why}"));
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read `{path}`"));
    let text = text.map_err(|error| Failure::usage(format!("{error:#}")))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("{path}:{}:{}: it is no JSON: {error}", error.line(), error.column()))
    })?;
    if value["record"]["environment"] != from {
        return Err(refuse(&format!("it is no release of `{from}`")).into());
    }
    if value["state"] != releases::State::Verified.name() {
        return Err(refuse("that release was not verified").into());
    }
    if value["artifact"] != artifact {
        let hint = format!("check out the commit {}", value["commit"].as_str().unwrap_or("that it names"));
        return Err(refuse("it is a release of another artifact").hint(hint).into());
    }
    if let Some(why) = releases::check_file(&value) {
        return Err(refuse(&why).into());
    }
    let ended = value["ended_at"].as_str().unwrap_or_default();
    let age = session
        .value(&format!("select greatest(0, extract(epoch from now() - {}::timestamptz))::bigint", literal(ended)))?;
    let proof = json!({
        "environment": from, "release": value["number"], "verified_at": ended, "file_sha256": hash::sha256(&text),
    });
    Ok((proof, Duration::from_secs(age.parse().unwrap_or(u64::MAX))))
}
