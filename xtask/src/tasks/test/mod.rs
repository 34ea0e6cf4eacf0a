//! `test [NAME…]`: xtask's own tests, each service's, and the suites in tests/, with a database and ports of their own.

pub mod bench;
mod outcome;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use camino::Utf8PathBuf;

use self::bench::Bench;
pub use self::bench::{SWEEP_VERB, sweep_at};
use self::outcome::{Counts, Outcome, Verdict, count, is_skip};
use crate::flags::Test;
use crate::services::build::{self, Component};
use crate::tools::{Cmd, files, find, guard};
use crate::ui::{self, Exit, Failure, suggest};
use crate::workspace::service::{Language, Service, Services};
use crate::workspace::suite::{Need, Suite};
use crate::workspace::{Workspace, entries};

/// The name of xtask's own tests.
const XTASK: &str = "xtask";

/// Runs in this order: tools checked; what is needed is installed and built; a scratch database started; xtask's tests,
/// each service's, then the suites on a stack of their own. All run, then the verdict.
pub fn run(workspace: &Workspace, flags: &Test) -> Result<Exit> {
    let started = Instant::now();
    let services = Services::load(workspace)?;
    let plan = Plan::new(workspace, &services, &flags.name)?;
    super::doctor::preflight(workspace)?;
    let mut bench = Bench::new(workspace, &services)?;
    plan.prepare(workspace, &services)?;
    let mut verdict = Verdict::default();
    if plan.xtask {
        verdict.add(XTASK, test_xtask(&mut bench)?);
    }
    for service in &plan.services {
        verdict.add(&service.name, test_service(&mut bench, service)?);
    }
    for suite in &plan.suites {
        verdict.add(&suite.name, test_suite(&mut bench, suite)?);
    }
    bench.close()?;
    verdict.show(started.elapsed());
    Ok(if verdict.failed() { Exit::Failed } else { Exit::Done })
}

/// What is to be run.
struct Plan<'a> {
    xtask: bool,
    services: Vec<&'a Service>,
    suites: Vec<Suite>,
}

impl<'a> Plan<'a> {
    fn new(workspace: &Workspace, services: &'a Services, names: &[String]) -> Result<Plan<'a>> {
        let suite_names = workspace.suite_names();
        for name in names {
            if name != XTASK && services.get(name).is_none() && !suite_names.contains(name) {
                let known = services.all().iter().map(|service| service.name.as_str());
                let known: Vec<&str> = known.chain(suite_names.iter().map(String::as_str)).chain([XTASK]).collect();
                let hint = suggest::did_you_mean(name, known);
                return Err(Failure::usage(format!("unknown test `{name}`")).hint(hint).into());
            }
        }
        let named = |name: &str| names.iter().any(|wanted| wanted == name);
        let mut suites = Vec::new();
        for name in suite_names {
            let suite = Suite::load(workspace, &name)?;
            if named(&name) || (names.is_empty() && suite.by_default) {
                suites.push(suite);
            }
        }
        let chosen = services.all().iter().filter(|service| names.is_empty() || named(&service.name)).collect();
        let has_xtask = workspace.root().join("xtask/Cargo.toml").is_file();
        Ok(Plan { xtask: has_xtask && (names.is_empty() || named(XTASK)), services: chosen, suites })
    }

    /// Installs and builds what the plan needs.
    fn prepare(&self, workspace: &Workspace, services: &Services) -> Result<()> {
        let wants_stack = self.suites.iter().any(|suite| suite.needs.contains(&Need::Services));
        let used = services
            .all()
            .iter()
            .filter(|service| wants_stack || self.services.iter().any(|wanted| wanted.name == service.name));
        let mut components: Vec<Component> = used.map(|service| Component::of(workspace, services, service)).collect();
        components.extend(self.suites.iter().map(|suite| Component::of_suite(workspace, suite)));
        components.retain(|component| !component.languages.is_empty());
        super::build::bring_up_to_date(workspace, &components, super::build::TEST)?;
        Ok(())
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn test_xtask(bench: &mut Bench<'_>) -> Result<Outcome> {
    let target = bench.scratch_database("xtask")?;
    let cargo = Cmd::cargo().args(["test", "--locked", "--workspace", "--no-fail-fast"]);
    let cargo = cargo
        .dir(bench.workspace.root())
        .env("XTASK_TEST_DATABASE", target.owner_url())
        .env("XTASK_TEST_WORKSPACE", bench.workspace.root())
        // Most of them wait for processes, so more run at once than there are cores.
        .env("RUST_TEST_THREADS", (2 * cores() + 1).to_string());
    run_group(bench, XTASK, cargo)
}

/// A service's own tests, by what its folder has: an npm script `test`, a folder `tests` for pytest or unittest.
fn test_service(bench: &mut Bench<'_>, service: &Service) -> Result<Outcome> {
    let folder = bench.workspace.root().join(&service.source);
    let mut commands = Vec::new();
    if service.uses(Language::Node) {
        if build::has_script(&folder, "test") {
            commands.push((Language::Node, Cmd::new("npm").args(["test", "--silent"]).dir(&folder)));
        } else if has_node_tests(&folder) {
            commands.push((Language::Node, Cmd::new("node").arg("--test").dir(&folder)));
        }
    }
    if service.uses(Language::Python) {
        let root = build::python_root(&folder);
        let python = build::python(&folder)?;
        if root.join("tests").is_dir() {
            let pytest =
                Cmd::new(&python).args(["-m", "pytest", "--version"]).dir(&root).ask().is_ok_and(|answer| answer.ok());
            let args: &[&str] = if pytest {
                &["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
            } else {
                &["-m", "unittest", "discover", "-s", "tests"]
            };
            commands.push((Language::Python, Cmd::new(&python).args(args).dir(&root)));
        }
    }
    if commands.is_empty() {
        return Ok(Outcome {
            ok: true,
            counts: Counts::default(),
            skipped: vec!["it has no tests".to_owned()],
            log: None,
        });
    }
    let mut all = Outcome { ok: true, counts: Counts::default(), skipped: Vec::new(), log: None };
    for (language, command) in commands {
        let purpose = format!("{}-{}", service.name, language.name());
        let database = bench.scratch_database(&purpose)?;
        let command = command.env("TEST_DATABASE_URL", database.owner_url());
        let name = if service.languages.len() > 1 { purpose } else { service.name.clone() };
        let one = run_group(bench, &name, command)?;
        all.ok &= one.ok;
        all.counts.passed += one.counts.passed;
        all.counts.failed += one.counts.failed;
        all.counts.skipped += one.counts.skipped;
        all.skipped.extend(one.skipped);
        all.log = if one.ok { all.log } else { one.log };
    }
    Ok(all)
}

fn has_node_tests(folder: &camino::Utf8Path) -> bool {
    let is_test =
        |path: &Utf8PathBuf| path.file_name().is_some_and(|name| name.contains(".test.") || name.starts_with("test."));
    folder.join("test").is_dir() || entries(folder).iter().any(is_test)
}

fn test_suite(bench: &mut Bench<'_>, suite: &Suite) -> Result<Outcome> {
    if suite.needs.contains(&Need::Docker) && !has_docker() {
        let reason = "Docker does not answer";
        let must = std::env::var("CI_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
        return Ok(Outcome {
            ok: !must,
            counts: Counts { skipped: usize::from(!must), failed: usize::from(must), passed: 0 },
            skipped: vec![reason.to_owned()],
            log: None,
        });
    }
    let mut variables = BTreeMap::new();
    if suite.needs.contains(&Need::Services) {
        variables = bench.stack_variables()?;
    } else if suite.needs.contains(&Need::Database) {
        let database = bench.scratch_database(&format!("suite-{}", suite.name))?;
        for name in ["DATABASE_URL", "XTASK_TEST_DATABASE"] {
            variables.insert(name.to_owned(), database.owner_url());
        }
    }
    let program = build::program(&suite.folder, &suite.run[0])?;
    let command = Cmd::new(program).args(&suite.run[1..]).dir(&suite.folder).envs(variables);
    let command = command.env("XTASK", guard::program()?).env("XTASK_TEST_WORKSPACE", bench.workspace.root());
    run_group(bench, &suite.name, command)
}

fn has_docker() -> bool {
    find("docker").is_some()
        && Cmd::new("docker").args(["version", "--format", "{{.Server.Version}}"]).ask().is_ok_and(|answer| answer.ok())
}

/// Runs one group of tests: quiet when it passes, everything it said when it fails; all of it in a log.
fn run_group(bench: &Bench<'_>, name: &str, command: Cmd) -> Result<Outcome> {
    let step = ui::step(format!("test {name}"));
    let started = Instant::now();
    let mut lines = Vec::new();
    let is_shown = name == "performance";
    let command = command.env("XTASK_TEST", "1").env("FORCE_COLOR", "0").env("NO_COLOR", "1");
    let result = command.follow_code(|line| {
        step.detail(line);
        if is_shown {
            ui::say(line);
        }
        lines.push(line.to_owned());
    })?;
    let log = bench.log(name);
    files::write(&log, ui::redact::mask(&(lines.join("\n") + "\n")).as_ref(), 0o600)?;
    let counts = count(&lines);
    let ok = result.code == 0;
    if ok {
        step.done_with(&format!("{} passed", counts.passed));
    } else {
        step.failed(&format!("exit {} after {}", result.code, ui::seconds(started.elapsed())));
        lines.iter().filter(|_| !is_shown).for_each(|line| ui::say(&format!("  | {line}")));
    }
    let skipped = lines.iter().filter(|line| is_skip(line)).map(|line| line.trim().to_owned()).collect();
    Ok(Outcome { ok, counts, skipped, log: Some(bench.workspace.relative(&log).to_owned()) })
}
