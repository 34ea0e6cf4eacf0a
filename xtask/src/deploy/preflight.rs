//! Everything that would stop a deployment, collected before the first effect.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::engine::{Engine, World};
use super::ladder::{self, Verdict};
use super::plan::Plan;
use crate::tools::git;
use crate::ui::{Exit, Failure, Finding, exit, has_errors};
use crate::workspace::freeze::{self, Local};
use database::Target;
use database::session::{Session, literal};

/// What a person may decide against the checks.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub allow_dirty: bool,
    /// Why judgements (freeze, ladder, budget, the way back) do not hold this time.
    pub break_glass: Option<String>,
    pub dangerous_schema: bool,
    /// A release file of the environment that the ladder asks for.
    pub signed_off: Option<Utf8PathBuf>,
}

impl Overrides {
    pub fn to_json(&self) -> Value {
        json!({
            "allow_dirty": self.allow_dirty, "break_glass": self.break_glass, "dangerous_schema": self.dangerous_schema,
            "signed_off": self.signed_off.as_ref().map(|path| path.as_str()),
        })
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// Judgements that `--break-glass` overrode.
    pub overridden: Vec<String>,
    /// What the ladder rests on.
    pub proof: Value,
}

/// One question to be answered.
struct Check<'a> {
    report: Report,
    overrides: &'a Overrides,
}

impl Check<'_> {
    fn fact(&mut self, finding: Finding) {
        self.report.findings.push(finding);
    }
    /// Something that a person may decide otherwise, with a reason.
    fn judgement(&mut self, finding: Finding) {
        if self.overrides.break_glass.is_some() {
            self.report.overridden.push(finding.message.clone());
            self.report.findings.push(Finding::warning(format!("{} (overridden)", finding.message)));
            return;
        }
        let hint = match &finding.hint {
            Some(hint) => format!("{hint}; or go on with --break-glass REASON, which is recorded"),
            None => "go on with --break-glass REASON, which is recorded".to_owned(),
        };
        self.report.findings.push(finding.hint(hint));
    }
}

/// Collects. `measure` is asked what pending migrations cost: a reason why they may not run, or that it cannot be told.
pub fn run(
    world: &World<'_>,
    engine: &dyn Engine,
    target: &Target,
    session: &mut Session,
    plan: &Plan,
    overrides: &Overrides,
) -> Result<Report> {
    let mut check = Check { report: Report::default(), overrides };
    tree(world, &mut check);
    engine.preflight(&plan.changing())?.into_iter().for_each(|finding| check.fact(finding));
    if let Some(live) = plan.live.as_ref().filter(|live| live.engine == engine.name()) {
        let (then, now) = (live.record["target"].as_str().unwrap_or_default(), engine.target()?);
        if !then.is_empty() && then != now {
            let message = format!("this is `{now}`, and release {} was deployed to `{then}`", live.number);
            check.judgement(Finding::error(message).hint("deploy from there"));
        }
    }
    for objection in plan.no_way_back.iter().filter(|objection| objection.is_binding) {
        let message = format!("the release that runs now could not be brought back: {}", objection.why);
        check.judgement(Finding::error(message));
    }
    freeze(world, session, &mut check)?;
    match ladder::check(world.workspace, world.environment, &plan.artifact.id, overrides.signed_off.as_deref(), session)
    {
        Ok(Verdict::Free) => {}
        Ok(Verdict::Proved(proof)) => check.report.proof = proof,
        Ok(Verdict::Refused(finding)) => check.judgement(finding),
        Err(error) if exit::exit_of(&error) == Exit::Findings => check.judgement(Finding::error(format!("{error:#}"))),
        Err(error) => return Err(error),
    }
    if !plan.migrations.is_empty() {
        measure(world, target, &mut check);
    }
    clock(session, &mut check)?;
    Ok(check.report)
}

impl Report {
    /// Exit 3 with all findings where one of them is an error.
    pub fn result(&self) -> Result<()> {
        if !has_errors(&self.findings) {
            self.findings.iter().for_each(crate::ui::finding);
            return Ok(());
        }
        Err(Failure::with_findings(Exit::Findings, "refused; nothing was touched", self.findings.clone()).into())
    }
}

fn tree(world: &World<'_>, check: &mut Check<'_>) {
    if check.overrides.allow_dirty {
        return;
    }
    let finding = match git::dirty(world.workspace.root()) {
        Some(changes) if changes.is_empty() => return,
        Some(changes) => {
            let more = if changes.len() > 3 { format!(" and {} more", changes.len() - 3) } else { String::new() };
            let some = changes.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            Finding::error(format!("the tree is not what is committed: {some}{more}"))
                .hint("commit it, or add --allow-dirty")
        }
        None => Finding::error("this is no git repository, so nobody could tell what was deployed")
            .hint("deploy from a clone, or add --allow-dirty"),
    };
    check.fact(finding);
}

fn freeze(world: &World<'_>, session: &mut Session, check: &mut Check<'_>) -> Result<()> {
    let text = world.environment.get("FREEZE").unwrap_or_default();
    for window in freeze::parse(text).map_err(Failure::usage)? {
        let now = format!("clock_timestamp() at time zone {}", literal(&window.zone));
        let answer = session.run(&format!(
            "select concat_ws(' ', to_char({now}, 'YYYY-MM-DD'), extract(isodow from {now})::int, \
             (extract(hour from {now}) * 60 + extract(minute from {now}))::int)"
        ))?;
        let Ok(told) = answer.ok() else {
            let message = format!("FREEZE names the time zone `{}`, which PostgreSQL does not know", window.zone);
            check.fact(Finding::error(message).hint("names stand in pg_timezone_names, such as Europe/Vienna"));
            continue;
        };
        let words: Vec<&str> = told.split_whitespace().collect();
        let number = |index: usize| words.get(index).and_then(|word| word.parse().ok()).unwrap_or(0);
        let local = Local {
            date: words.first().copied().unwrap_or_default().to_owned(),
            weekday: number(1),
            minute: number(2),
        };
        if window.holds(&local) {
            let name = &world.environment.name;
            let message = format!(
                "`{name}` is frozen: {} (there it is {} {:02}:{:02})",
                window.text,
                local.date,
                local.minute / 60,
                local.minute % 60
            );
            check.judgement(Finding::error(message).hint("wait until it is over"));
        }
    }
    Ok(())
}

fn measure(world: &World<'_>, target: &Target, check: &mut Check<'_>) {
    match crate::tasks::migrate::measure_for(world.workspace, world.environment, target) {
        Ok(findings) => findings.into_iter().for_each(|finding| check.judgement(finding)),
        // A migration that fails on the copy would fail there too.
        Err(error) if exit::exit_of(&error) == Exit::Failed => {
            check.fact(Finding::error(format!("a pending migration fails on a copy: {error:#}")));
        }
        Err(error) => {
            let message = format!("what the pending migrations cost cannot be measured: {error:#}");
            check.judgement(Finding::error(message));
        }
    }
}

/// Seconds by which this machine's clock and the server's may differ.
const SKEW: f64 = 5.0;

fn clock(session: &mut Session, check: &mut Check<'_>) -> Result<()> {
    let there: f64 = session.value("select extract(epoch from clock_timestamp())")?.parse().unwrap_or(0.0);
    let here = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    if (there - here).abs() > SKEW {
        let message = format!("this machine's clock and the database's differ by {:.0} s", (there - here).abs());
        check.fact(Finding::warning(message).hint("let both keep time (NTP)"));
    }
    Ok(())
}
