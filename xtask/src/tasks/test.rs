//! `test [NAME…]`: xtask's own tests, each service's, and the suites in tests/, with a database and ports of their own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::database::Target;
use crate::flags::Test;
use crate::services::build::{self, Builder, Component};
use crate::services::converge;
use crate::services::stack::Stack;
use crate::tools::files::{self, Lock};
use crate::tools::{Cmd, find, guard, os};
use crate::ui::{self, Exit, Failure, Style, suggest};
use crate::workspace::service::{Language, Service, Services};
use crate::workspace::suite::{Need, Suite};
use crate::workspace::{Environment, Workspace, entries};

/// The name of xtask's own tests.
const XTASK: &str = "xtask";
/// How long a service of a test stack may take to be ready.
const READY: Duration = Duration::from_secs(120);
/// Names of test stacks begin with this.
const STACK_PREFIX: &str = "test-";

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

/// What one group of tests said.
struct Outcome {
    ok: bool,
    counts: Counts,
    /// Lines that name a skipped test, or why the whole group was.
    skipped: Vec<String>,
    log: Option<Utf8PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

#[derive(Default)]
struct Verdict {
    outcomes: Vec<(String, Outcome)>,
}

impl Verdict {
    fn add(&mut self, name: &str, outcome: Outcome) {
        self.outcomes.push((name.to_owned(), outcome));
    }
    fn failed(&self) -> bool {
        self.outcomes.iter().any(|(_, outcome)| !outcome.ok)
    }
    fn show(&self, time: Duration) {
        let rows: Vec<Vec<String>> = self
            .outcomes
            .iter()
            .map(|(name, outcome)| {
                let Counts { passed, failed, skipped } = outcome.counts;
                let verdict = if outcome.ok { "ok" } else { "FAILED" };
                vec![name.clone(), verdict.to_owned(), format!("{passed} passed, {failed} failed, {skipped} skipped")]
            })
            .collect();
        ui::say(&format!("\n{}", ui::table(&[], &rows)));
        for (name, outcome) in &self.outcomes {
            for line in &outcome.skipped {
                ui::say(&format!("{} {name}: {line}", ui::paint(Style::Warn, "skipped")));
            }
            if let Some(log) = outcome.log.as_ref().filter(|_| !outcome.ok) {
                ui::say(&format!("{} {name}: everything it said is in {log}", ui::paint(Style::Bad, "failed")));
            }
        }
        let sum = |count: fn(&Counts) -> usize| {
            self.outcomes.iter().map(|(_, outcome)| count(&outcome.counts)).sum::<usize>()
        };
        // A group that failed without a count (it did not even begin) counts as one failure.
        let silent = self.outcomes.iter().filter(|(_, outcome)| !outcome.ok && outcome.counts.failed == 0).count();
        let (passed, failed, skipped) = (sum(|c| c.passed), sum(|c| c.failed) + silent, sum(|c| c.skipped));
        ui::say(&format!(
            "{} in {}",
            if self.failed() { "tests failed" } else { "all tests passed" },
            ui::seconds(time)
        ));
        ui::out(&format!("test: {passed} passed, {failed} failed, {skipped} skipped"));
        ui::summary(&format!(
            "**Tests**: {passed} passed, {failed} failed, {skipped} skipped in {}",
            ui::seconds(time)
        ));
    }
}

/// The place where tests run: a stack name of their own, a scratch cluster, and the services once a suite wants them.
struct Bench<'a> {
    workspace: &'a Workspace,
    services: &'a Services,
    environment: Environment,
    name: String,
    target: Option<Target>,
    stack_variables: Option<BTreeMap<String, String>>,
    _lock: Lock,
}

impl<'a> Bench<'a> {
    /// Sweeps up what a killed run left, then takes a name of its own.
    fn new(workspace: &'a Workspace, services: &'a Services) -> Result<Bench<'a>> {
        sweep(workspace)?;
        let environment = Environment::for_test(workspace, super::services::DEV)?;
        let name = format!("{STACK_PREFIX}{}", os::random_hex(4)?);
        let lock = Lock::take(&workspace.lock_file(&name), "this test run", Duration::ZERO)?;
        let args = ["--workspace", workspace.root().as_str()].map(str::to_owned);
        guard::after_this_process(&[vec![SWEEP_VERB.to_owned()], args.to_vec()].concat(), std::process::Stdio::null())?;
        Ok(Bench { workspace, services, environment, name, target: None, stack_variables: None, _lock: lock })
    }

    /// The scratch cluster, started when first wanted.
    fn target(&mut self) -> Result<&Target> {
        if self.target.is_none() {
            let target = Target::for_test(self.workspace, &self.environment, &self.name)?;
            super::migrate::start_embedded(&target)?;
            self.target = Some(target);
        }
        self.target.as_ref().context("the scratch database is not there")
    }

    /// An empty database of its own; its address for the owner.
    fn scratch_database(&mut self, purpose: &str) -> Result<Target> {
        let name = format!("test_{}", purpose.replace('-', "_"));
        self.target()?.scratch(&name)
    }

    /// What a suite is told: where the services are, a key, the database. Starts the stack when first wanted.
    fn stack_variables(&mut self) -> Result<BTreeMap<String, String>> {
        if let Some(variables) = &self.stack_variables {
            return Ok(variables.clone());
        }
        let database = self.scratch_database("stack")?;
        super::migrate::apply_and_seed(self.workspace, &self.environment, &database)?;
        let mut stack = Stack::new(self.workspace, self.services, &self.environment, &self.name).with_free_ports()?;
        stack.database_url = database.service_url()?;
        let chosen = stack.with_dependencies(&[]);
        let components: Vec<Component> =
            chosen.iter().map(|service| Component::of(self.workspace, self.services, service)).collect();
        let builder = Builder::new(self.workspace, &components);
        let units =
            chosen.iter().map(|service| Ok((*service, stack.unit(service, &builder)?))).collect::<Result<Vec<_>>>()?;
        converge::execute(&converge::plan(&stack, units, false), READY)?;
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        for service in chosen {
            variables.insert(service.url_variable(), stack.url(service));
        }
        for setting in self.environment.settings().iter().filter(|setting| setting.declaration.is_generated) {
            variables.insert(setting.declaration.key.clone(), setting.value.clone());
        }
        variables.insert("DATABASE_URL".to_owned(), database.service_url()?);
        self.stack_variables = Some(variables.clone());
        Ok(variables)
    }

    fn log(&self, name: &str) -> Utf8PathBuf {
        self.workspace.log_folder("test").join(format!("{name}.log"))
    }

    fn close(self) -> Result<()> {
        remove_stack(self.workspace, &self.name)
    }
}

/// The hidden verb of the watcher that cleans up after a killed test run.
pub const SWEEP_VERB: &str = "sweep-tests";

/// The watcher's call: `--workspace DIR` follows.
pub fn sweep_at(words: impl Iterator<Item = std::ffi::OsString>) -> Result<Exit> {
    let words: Vec<String> = words.filter_map(|word| word.into_string().ok()).collect();
    sweep(&Workspace::find(words.get(1).map(String::as_str))?)?;
    Ok(Exit::Done)
}

/// Ends and removes every test stack whose run is gone.
pub fn sweep(workspace: &Workspace) -> Result<()> {
    for path in entries(&workspace.ops().join("run")) {
        let Some(name) = path.file_name().filter(|name| name.starts_with(STACK_PREFIX)) else { continue };
        if !Lock::is_held(&workspace.lock_file(name)) {
            remove_stack(workspace, name)?;
        }
    }
    Ok(())
}

/// Ends and removes one test stack.
pub fn remove_stack(workspace: &Workspace, name: &str) -> Result<()> {
    super::services::stop_stack(workspace, name)?;
    Target::remove_test_cluster(workspace, name)?;
    files::remove(&workspace.run_folder(name))?;
    files::remove(&workspace.log_folder(name))?;
    let lock = workspace.lock_file(name);
    files::remove(&lock.with_extension("holder.json"))?;
    files::remove(&lock)
}

fn test_xtask(bench: &mut Bench<'_>) -> Result<Outcome> {
    let target = bench.scratch_database("xtask")?;
    let cargo = Cmd::cargo().args(["test", "--locked", "--package", "xtask", "--quiet"]);
    let cargo = cargo
        .dir(bench.workspace.root())
        .env("XTASK_TEST_DATABASE", target.owner_url())
        .env("XTASK_TEST_WORKSPACE", bench.workspace.root());
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
        variables.insert("DATABASE_URL".to_owned(), database.owner_url());
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

/// Sums the closing lines of cargo test, node:test, pytest, unittest and the plain form.
fn count(lines: &[String]) -> Counts {
    let mut counts = Counts::default();
    for line in lines {
        let line = line.trim();
        let words: Vec<&str> = line
            .split(|c: char| c.is_whitespace() || c == ';' || c == ',' || c == '=')
            .filter(|word| !word.is_empty())
            .collect();
        let before = |name: &str| {
            words
                .iter()
                .position(|word| *word == name)
                .and_then(|at| words.get(at.checked_sub(1)?)?.parse::<usize>().ok())
        };
        if line.starts_with("test result:") {
            counts.passed += before("passed").unwrap_or(0);
            counts.failed += before("failed").unwrap_or(0);
            counts.skipped += before("ignored").unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("\u{2139} ")) {
            // node:test closes with `# pass 3` or, in its other reporter, `ℹ pass 3`.
            let number = rest.split_whitespace().nth(1).and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
            match rest.split_whitespace().next() {
                Some("pass") => counts.passed += number,
                Some("fail" | "cancelled") => counts.failed += number,
                Some("skipped" | "todo") => counts.skipped += number,
                _ => {}
            }
        } else if (line.contains(" in ") && line.ends_with(['s', '=']))
            && (before("passed").is_some() || before("failed").is_some() || before("error").is_some())
        {
            counts.passed += before("passed").unwrap_or(0);
            counts.failed += before("failed").unwrap_or(0) + before("error").or(before("errors")).unwrap_or(0);
            counts.skipped += before("skipped").unwrap_or(0);
        } else if let Some(rest) =
            line.strip_prefix("Ran ").filter(|rest| rest.contains(" tests in ") || rest.contains(" test in "))
        {
            counts.passed += rest.split_whitespace().next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
        }
    }
    counts
}

/// Lines in which a runner names a test it skipped.
fn is_skip(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("SKIPPED [")
        || line.contains("# SKIP")
        || line.starts_with("\u{fe63} ")
        || line.starts_with("skipped: ")
        || (line.starts_with("test ") && line.contains("... ignored"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> (usize, usize, usize) {
        let Counts { passed, failed, skipped } = count(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        (passed, failed, skipped)
    }

    #[test]
    fn closing_lines_of_each_runner() {
        assert_eq!(
            counted("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s"),
            (5, 0, 1)
        );
        assert_eq!(counted("# tests 4\n# pass 3\n# fail 1\n# cancelled 0\n# skipped 2\n# todo 0"), (3, 1, 2));
        assert_eq!(counted("\u{2139} pass 7\n\u{2139} fail 0\n\u{2139} skipped 1"), (7, 0, 1));
        assert_eq!(counted("12 passed, 2 skipped in 0.51s"), (12, 0, 2));
        assert_eq!(counted("==== 1 failed, 12 passed in 3.51s ===="), (12, 1, 0));
        assert_eq!(counted("Ran 3 tests in 0.001s"), (3, 0, 0));
    }
}
