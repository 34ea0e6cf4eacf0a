//! `services start|stop|restart|status|logs`: the dev stack of this machine.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::deploy::engine::{self, Applied, Engine, local};
use crate::deploy::gate::{self, Gate};
use crate::flags::{ServicesLogs, ServicesRestart, ServicesStart, ServicesStatus, ServicesStop};
use crate::processes::process::{self, State, UnitFiles};
use crate::services::build::{Builder, Component};
use crate::services::converge::{self, Action, Item};
use crate::services::logs::Follower;
use crate::services::outcomes::Outcomes;
use crate::services::stack::Stack;
use crate::tools::files::Lock;
use crate::tools::guard;
use crate::ui::{self, Exit, Failure, Style};
use crate::workspace::service::{DATABASE, Service, Services};
use crate::workspace::{Database, Environment, Workspace, entries};
use database::{Cluster, Target};

/// The environment whose services run from source on this machine.
pub const DEV: &str = "dev";
/// How long a service may take to be ready, unless `--wait` says otherwise.
const READY: Duration = Duration::from_secs(60);

/// Runs in this order: what is stale is built, the database started, ports checked, then each service as soon as what
/// it depends on is ready.
pub fn start(workspace: &Workspace, flags: &ServicesStart) -> Result<Exit> {
    let _lock = lock(workspace)?;
    let world = World::load(workspace)?;
    check_runs_here(&world.environment)?;
    world.services.select(&flags.service)?;
    let wait = flags.wait.map_or(READY, Duration::from_secs);
    if flags.plan {
        return show_plan(&world, &flags.service, flags.source);
    }
    if flags.source {
        local::forget(&workspace.releases(DEV))?;
    }
    bring_up(&world, &flags.service, false, wait)?;
    if flags.foreground {
        drop(_lock);
        return stay(&world, &flags.service);
    }
    Ok(Exit::Done)
}

pub fn restart(workspace: &Workspace, flags: &ServicesRestart) -> Result<Exit> {
    let _lock = lock(workspace)?;
    let world = World::load(workspace)?;
    check_runs_here(&world.environment)?;
    world.services.select(&flags.service)?;
    bring_up(&world, &flags.service, true, flags.wait.map_or(READY, Duration::from_secs))?;
    Ok(Exit::Done)
}

/// Dependents first; without names the database too, last.
pub fn stop(workspace: &Workspace, flags: &ServicesStop) -> Result<Exit> {
    let _lock = lock(workspace)?;
    // What runs must be stoppable even when a service's file or the environment cannot be read any more.
    let (services, _) = Services::read(workspace)?;
    let (environment, _) = Environment::read(workspace, DEV)?;
    let stack = Stack::new(workspace, &services, &environment, DEV);
    let names: Vec<String> = flags.service.iter().filter(|name| *name != DATABASE).cloned().collect();
    services.select(&names)?;
    let with_database = flags.service.is_empty() || names.len() < flags.service.len();
    let chosen = if with_database { stack.with_dependents(&[]) } else { stack.with_dependents(&names) };
    for service in chosen {
        stop_one(&service.name, &stack.files(&service.name))?;
    }
    // A service whose file is gone may still run.
    for (name, files) in units(workspace, DEV).into_iter().filter(|_| flags.service.is_empty()) {
        if name != DATABASE && services.get(&name).is_none() {
            stop_one(&name, &files)?;
        }
    }
    // A workspace that says nothing of a database has none.
    if with_database && workspace.database_config().is_file() {
        stop_database(workspace, DEV)?;
    }
    Ok(Exit::Done)
}

/// The database by its cluster, which also ends what a crashed server left behind.
fn stop_database(workspace: &Workspace, stack: &str) -> Result<()> {
    let cluster = Cluster::of(workspace, &Database::load(workspace)?, stack);
    let step = ui::step("stop database");
    match cluster.state() {
        State::Stopped => step.same("was not running"),
        _ => {
            cluster.stop()?;
            step.done();
        }
    }
    Ok(())
}

fn stop_one(name: &str, files: &UnitFiles) -> Result<()> {
    let step = ui::step(format!("stop {name}"));
    match State::look(files) {
        State::Stopped if process::session_of(files).is_none() => step.same("was not running"),
        State::Ended(_) => {
            process::stop(files)?;
            step.same("had ended already");
        }
        State::Stopped | State::Running(_) | State::Unkept(_) => {
            process::stop(files)?;
            step.done();
        }
    }
    Ok(())
}

pub fn status(workspace: &Workspace, flags: &ServicesStatus) -> Result<Exit> {
    let services = Services::load(workspace)?;
    services.select(&flags.service)?;
    let (environment, _) = Environment::read(workspace, DEV)?;
    let mut stack = Stack::new(workspace, &services, &environment, DEV);
    // What can not be told here will be told by `start`.
    stack.database_url =
        Target::of(workspace, &environment, DEV).and_then(|target| target.service_url()).unwrap_or_default();
    let chosen: Vec<&Service> = stack.with_dependencies(&flags.service);
    let components: Vec<Component> =
        chosen.iter().map(|service| Component::of(workspace, &services, service)).collect();
    let builder = Builder::new(workspace, &components);
    // One whose files are gone is told by `start`.
    let live = local::live(&workspace.releases(DEV)).unwrap_or_default();
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    let mut add = |name: &str, port: Option<u16>, state: &State, stale: bool, release: Option<i64>| {
        let since = state.pid().and(state.record()).map(|record| record.started_at);
        rows.push(vec![
            name.to_owned(),
            state.describe(),
            state.pid().map_or("-".to_owned(), |pid| pid.to_string()),
            port.map_or("-".to_owned(), |port| port.to_string()),
            since.map_or("-".to_owned(), |since| ui::age(since.elapsed().unwrap_or_default())),
            match (release, stale) {
                (Some(number), false) => format!("release {number}"),
                (Some(number), true) => format!("not what release {number} says"),
                (None, true) => "changed since its start".to_owned(),
                (None, false) => String::new(),
            },
        ]);
        objects.push(json!({
            "name": name, "state": state.name(), "detail": state.describe(), "pid": state.pid(), "port": port,
            "since": since.map(ui::utc), "stale": stale, "release": release,
        }));
    };
    if flags.service.is_empty() && stack.wants_database() {
        add(DATABASE, None, &State::look(&stack.files(DATABASE)), false, None);
    }
    for service in chosen {
        let state = stack.state(service);
        // What can not be told (its program is missing) will be told by `start`.
        let wanted = match &live {
            Some(live) => {
                live.render.units().into_iter().find(|unit| unit.name == service.name).map(|unit| unit.fingerprint)
            }
            None => stack.unit(service, &builder).ok().map(|unit| unit.fingerprint),
        };
        let fresh = |record: &process::Record| wanted.as_ref().is_none_or(|wanted| *wanted == record.fingerprint);
        let stale = state.pid().is_some() && !state.record().is_none_or(fresh);
        add(&service.name, Some(stack.port(service)), &state, stale, live.as_ref().map(|live| live.number));
    }
    if flags.json {
        ui::json(&json!({"services": objects}));
    } else {
        ui::out(&ui::table(&["SERVICE", "STATE", "PID", "PORT", "FOR", ""], &rows));
    }
    Ok(Exit::Done)
}

pub fn logs(workspace: &Workspace, flags: &ServicesLogs) -> Result<Exit> {
    let services = Services::load(workspace)?;
    let names: Vec<String> = flags.service.iter().filter(|name| *name != DATABASE).cloned().collect();
    services.select(&names)?;
    let mut chosen: Vec<String> = match flags.service.is_empty() {
        true => services.running().map(|service| service.name.clone()).collect(),
        false => names,
    };
    if flags.service.iter().any(|name| name == DATABASE) {
        chosen.insert(0, DATABASE.to_owned());
    }
    let (environment, _) = Environment::read(workspace, DEV)?;
    let stack = Stack::new(workspace, &services, &environment, DEV);
    let width = chosen.iter().map(String::len).max().unwrap_or(0);
    let show = |name: &str, line: &str| {
        if flags.grep.as_ref().is_none_or(|text| line.contains(text.as_str())) {
            ui::out(&format!("{}  {line}", ui::paint(Style::Faint, &format!("{name:<width$}"))));
        }
    };
    let mut followers: Vec<Follower> = chosen.iter().map(|name| Follower::new(name, stack.files(name).log)).collect();
    for name in &chosen {
        process::last_lines(&stack.files(name).log, flags.lines.unwrap_or(50)).iter().for_each(|line| show(name, line));
    }
    if !flags.follow {
        return Ok(Exit::Done);
    }
    loop {
        for follower in &mut followers {
            let name = follower.name.clone();
            follower.lines().iter().for_each(|line| show(&name, line));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What the dev stack is made of, read once.
pub struct World<'a> {
    pub workspace: &'a Workspace,
    pub services: Services,
    pub environment: Environment,
}

impl<'a> World<'a> {
    pub fn load(workspace: &'a Workspace) -> Result<World<'a>> {
        let services = Services::load(workspace)?;
        let environment = Environment::load(workspace, DEV)?;
        Ok(World { workspace, services, environment })
    }
    /// The services whose start no other one waits for.
    pub fn last_to_start(&self) -> Vec<&str> {
        let is_wanted = |name: &String| self.services.running().any(|other| other.depends_on.contains(name));
        let last = self.services.running().filter(|service| !is_wanted(&service.name));
        last.map(|service| service.name.as_str()).collect()
    }
    pub fn components(&self, chosen: &[&Service]) -> Vec<Component> {
        let libraries = chosen.iter().flat_map(|service| self.services.libraries_of(service));
        let mut all: Vec<&Service> = libraries.chain(chosen.iter().copied()).collect();
        all.dedup_by(|a, b| a.name == b.name);
        let mut components: Vec<Component> = Vec::new();
        for service in all {
            if !components.iter().any(|known| known.name == service.name) {
                components.push(Component::of(self.workspace, &self.services, service));
            }
        }
        components
    }
}

/// Refuses (exit 2) to run sources beside the containers of dev.
pub fn check_runs_here(environment: &Environment) -> Result<()> {
    let engine = environment.get("DEPLOY_ENGINE").unwrap_or("local");
    if engine == "local" {
        return Ok(());
    }
    let failure = Failure::usage(format!("`{DEV}` is run by the engine {engine}, not from the sources of this clone"));
    let hint = format!("`cargo xtask deploy {DEV}` runs it; or set DEPLOY_ENGINE=local in .env.{DEV}");
    Err(failure.hint(hint).into())
}

/// The lock of everything that starts or stops processes of the dev stack.
pub fn lock(workspace: &Workspace) -> Result<Lock> {
    Lock::take(&workspace.lock_file("services"), "the services of this clone", Duration::ZERO)
}

/// Builds what is stale, starts the database, and converges; where a release is deployed here, starts that one. The caller
/// holds [`lock`].
pub fn bring_up(world: &World<'_>, names: &[String], restart: bool, wait: Duration) -> Result<()> {
    if let Some(live) = local::live(&world.workspace.releases(DEV))? {
        return bring_up_release(world, &live, names, restart, wait);
    }
    let mut stack = Stack::new(world.workspace, &world.services, &world.environment, DEV);
    let chosen = stack.with_dependencies(names);
    // Before anything is built for it.
    converge::check_ports(&stack, chosen.iter().copied())?;
    let components = world.components(&chosen);
    super::build::bring_up_to_date(world.workspace, &components, super::build::RUN)?;
    if wants_database(&chosen) {
        stack.database_url = start_database(world)?;
    }
    let is_asked = |service: &Service| restart && (names.is_empty() || names.contains(&service.name));
    let items = items(&stack, &chosen, &Builder::new(world.workspace, &components), &is_asked)?;
    converge::execute(&stack, &items, wait)
}

/// Starts the services of a stack of which none runs, each as soon as `there` has what it is made from and, where it wants
/// one, the database. False when one runs: then nothing was done, and [`bring_up`] is to be called when all is there.
pub fn start_as_it_comes(world: &World<'_>, there: &Outcomes, wait: Duration) -> Result<bool> {
    let mut stack = Stack::new(world.workspace, &world.services, &world.environment, DEV);
    let chosen = stack.with_dependencies(&[]);
    if wants_database(&chosen) {
        stack.database_url = Target::of(world.workspace, &world.environment, DEV)?.service_url()?;
    }
    let items = items(&stack, &chosen, &Builder::new(world.workspace, &world.components(&chosen)), &|_| false)?;
    if items.iter().any(|item| item.action != Action::Start) {
        return Ok(false);
    }
    let may_begin = |service: &Service| {
        let parts = world.components(&[service]).into_iter().map(|component| component.name);
        let database = wants_database(&[service]).then(|| DATABASE.to_owned());
        there.wait(parts.chain(database))
    };
    converge::execute_when(&stack, &items, wait, &may_begin)?;
    Ok(true)
}

/// The same for a release that `deploy` has put in the place of the sources: what does not run of it is started.
fn bring_up_release(
    world: &World<'_>,
    live: &local::Live,
    names: &[String],
    restart: bool,
    wait: Duration,
) -> Result<()> {
    let stack = Stack::new(world.workspace, &world.services, &world.environment, DEV);
    let chosen: Vec<String> = stack.with_dependencies(names).iter().map(|service| service.name.clone()).collect();
    if stack.wants_database() {
        super::migrate::start_embedded(&Target::of(world.workspace, &world.environment, DEV)?)?;
    }
    let engine_world = engine::World::new(world.workspace, &world.environment, &world.services, &[]);
    let engine = local::Local::new(&engine_world);
    let applied = Applied { folder: &live.folder, render: &live.render, values: &live.values };
    let gate = Gate { ready: wait, soak: Duration::ZERO, is_sabotaged: false };
    let running = engine.observe()?;
    for unit in live.render.units().iter().filter(|unit| chosen.contains(&unit.name)) {
        let step = ui::step(format!("service {}", unit.name));
        let is_asked = restart && (names.is_empty() || names.contains(&unit.name));
        let runs = running.iter().any(|it| it.name == unit.name && it.is_up && it.fingerprint == unit.fingerprint);
        if runs && !is_asked {
            step.same(&format!("runs, release {}", live.number));
            continue;
        }
        engine.apply(&applied, unit, &step)?;
        gate::wait_until_ready(&engine, unit, &gate, &step)?;
        step.done_with(&format!("ready, release {}", live.number));
    }
    Ok(())
}

fn wants_database(services: &[&Service]) -> bool {
    services.iter().any(|service| service.depends_on.iter().any(|name| name == DATABASE))
}

/// Makes sure that the database answers and that no migration is pending; its address for the services.
fn start_database(world: &World<'_>) -> Result<String> {
    let target = Target::of(world.workspace, &world.environment, DEV)?;
    super::migrate::start_embedded(&target)?;
    let pending = super::migrate::pending(world.workspace, &target, DEV)?;
    if !pending.is_empty() {
        let message = format!("{} migrations are pending, so the services would not become ready", pending.len());
        return Err(Failure::refused(message).hint("run `cargo xtask migrate`, then this again").into());
    }
    target.service_url()
}

fn items<'a>(
    stack: &Stack<'a>,
    chosen: &[&'a Service],
    builder: &Builder<'_>,
    is_asked: &dyn Fn(&Service) -> bool,
) -> Result<Vec<Item<'a>>> {
    let mut items = Vec::new();
    for service in chosen {
        let unit = stack.unit(service, builder)?;
        items.extend(converge::plan(stack, vec![(*service, unit)], is_asked(service)));
    }
    Ok(items)
}

fn show_plan(world: &World<'_>, names: &[String], from_source: bool) -> Result<Exit> {
    if let Some(live) = local::live(&world.workspace.releases(DEV))?.filter(|_| !from_source) {
        return show_release_plan(world, &live, names);
    }
    let mut stack = Stack::new(world.workspace, &world.services, &world.environment, DEV);
    let chosen = stack.with_dependencies(names);
    if wants_database(&chosen) {
        stack.database_url = Target::of(world.workspace, &world.environment, DEV)?.service_url()?;
    }
    let components = world.components(&chosen);
    let items = items(&stack, &chosen, &Builder::new(world.workspace, &components), &|_| false)?;
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| vec![item.service.name.clone(), item.action.describe()]).collect();
    ui::out(&ui::table(&[], &rows));
    let changes = items.iter().any(|item| item.action != Action::Keep);
    Ok(if changes { Exit::Findings } else { Exit::Done })
}

fn show_release_plan(world: &World<'_>, live: &local::Live, names: &[String]) -> Result<Exit> {
    let stack = Stack::new(world.workspace, &world.services, &world.environment, DEV);
    let chosen: Vec<String> = stack.with_dependencies(names).iter().map(|service| service.name.clone()).collect();
    let state = |unit: &engine::Unit| {
        let state = State::look(&stack.files(&unit.name));
        let runs = matches!(&state, State::Running(record) if record.fingerprint == unit.fingerprint);
        (runs, if runs { "runs as it should".to_owned() } else { format!("start: release {}", live.number) })
    };
    let units = live.render.units().into_iter().filter(|unit| chosen.contains(&unit.name));
    let states: Vec<(String, (bool, String))> = units.map(|unit| (unit.name.clone(), state(&unit))).collect();
    let rows: Vec<Vec<String>> = states.iter().map(|(name, (_, words))| vec![name.clone(), words.clone()]).collect();
    ui::out(&ui::table(&[], &rows));
    Ok(if states.iter().all(|(_, (runs, _))| *runs) { Exit::Done } else { Exit::Findings })
}

/// Shows the logs until Ctrl-C; a watcher then stops the services, however this process ends.
fn stay(world: &World<'_>, names: &[String]) -> Result<Exit> {
    let root = world.workspace.root().to_string();
    let mut args = vec!["services".to_owned(), "stop".to_owned(), "--workspace".to_owned(), root];
    args.extend(names.iter().cloned());
    guard::after_this_process(&args, std::process::Stdio::inherit())?;
    ui::say("the services run; Ctrl-C stops them");
    let flags = ServicesLogs { service: names.to_vec(), follow: true, lines: Some(0), grep: None };
    logs(world.workspace, &flags)
}

/// Every unit that has a record in a stack.
pub fn units(workspace: &Workspace, stack: &str) -> Vec<(String, UnitFiles)> {
    let (run, logs) = (workspace.run_folder(stack), workspace.log_folder(stack));
    let records = entries(&run)
        .into_iter()
        .filter(|path| path.extension() == Some("json") && !path.as_str().ends_with(".holder.json"));
    records
        .filter_map(|path| path.file_stem().map(|name| (name.to_owned(), UnitFiles::new(&run, &logs, name))))
        .collect()
}

/// The names of what runs in a stack.
pub fn running_units(workspace: &Workspace, stack: &str) -> Vec<String> {
    let running = units(workspace, stack).into_iter().filter(|(_, files)| State::look(files).pid().is_some());
    running.map(|(name, _)| name).collect()
}

/// What runs here beside the dev stack: `staging (api-gateway, database)`.
pub fn other_stacks(workspace: &Workspace) -> Vec<String> {
    let stacks = entries(&workspace.run_folder(DEV).with_file_name("")).into_iter();
    let names = stacks.filter_map(|path| path.file_name().map(str::to_owned)).filter(|name| name != DEV);
    let running = names.map(|name| (running_units(workspace, &name), name)).filter(|(units, _)| !units.is_empty());
    running.map(|(units, name)| format!("{name} ({})", units.join(", "))).collect()
}

/// Stops every unit of a stack, the database last.
pub fn stop_stack(workspace: &Workspace, stack: &str) -> Result<()> {
    let (database, others): (Vec<_>, Vec<_>) =
        units(workspace, stack).into_iter().partition(|(name, _)| name == DATABASE);
    for (_, files) in others.iter().chain(&database) {
        process::stop(files)?;
    }
    Ok(())
}

/// Stops the dev stack and removes its database, for `clean --all`.
pub fn stop_everything(workspace: &Workspace) -> Result<()> {
    let _lock = lock(workspace)?;
    stop_stack(workspace, DEV)?;
    local::forget(&workspace.releases(DEV))?;
    Cluster::of(workspace, &Database::load(workspace)?, DEV).remove()
}
