//! A database to try things in: on the server that runs here for dev, where that is the pinned one, else on a server of
//! its own. It is gone when the value is; what a killed run left is removed by the next one.

use anyhow::{Context, Result};

use super::backup::scratch::maintenance;
use super::cluster::Cluster;
use super::session::Session;
use super::{Target, lock};
use base::tools::files::{self, Lock};
use base::tools::os;
use base::ui::{Failure, Step};
use base::workspace::{Environment, Workspace};

const PREFIX: &str = "xtask_scratch_";

/// A server of our own: its workspace, its stack, and the lock that keeps it from being swept up.
type Own = (Workspace, String, Lock);

pub struct Scratch {
    pub target: Target,
    server: Target,
    /// Holds the lock by which other runs know that this one is alive.
    _maker: Session,
    /// The stack of a server of its own.
    own: Option<Own>,
}

impl Scratch {
    /// An empty database. Exit 4 where the pinned PostgreSQL cannot be had.
    pub fn empty(workspace: &Workspace, step: &Step) -> Result<Scratch> {
        let (server, own) = server(workspace, step)?;
        Scratch::on(server, own, None)
    }

    /// A copy of a database of dev's server, with its data.
    pub fn copy_of(source: &Target, step: &Step) -> Result<Scratch> {
        source.ensure_running(step)?;
        Scratch::on(source.clone(), None, Some(&source.database))
    }

    /// A copy of any environment's database: on its own server where that runs here, else restored from its dump on the
    /// pinned one.
    pub fn of(workspace: &Workspace, source: &Target, step: &Step) -> Result<Scratch> {
        if source.is_embedded() {
            return Scratch::copy_of(source, step);
        }
        let scratch = Scratch::empty(workspace, step)?;
        copy(source, &scratch.target)?;
        Ok(scratch)
    }

    fn on(server: Target, own: Option<Own>, template: Option<&str>) -> Result<Scratch> {
        let cluster = server.cluster().context("a scratch database needs a server that runs here")?;
        let mut maker = maintenance(&server, "scratch")?;
        sweep(&mut maker, cluster)?;
        let name = format!("{PREFIX}{}", os::random_hex(5)?);
        // From before it is there: a sweep would take it for a killed run's.
        lock::take_as_maker(&mut maker, &name)?;
        let scratch = Scratch { target: server.with_database(&name), server: server.clone(), _maker: maker, own };
        match template {
            None => cluster.create_database(&name, None)?,
            Some(template) => {
                if cluster.create_database(&name, Some(template)).is_err() {
                    // Somebody is connected to it, so it is copied by its dump.
                    cluster.create_database(&name, None)?;
                    copy(&server.with_database(template), &scratch.target)?;
                }
            }
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        if let Some(cluster) = self.server.cluster() {
            let _dropped = cluster.drop_database(&self.target.database);
        }
        if let Some((workspace, stack, _lock)) = self.own.take() {
            let _removed = remove_stack(&workspace, &stack);
        }
    }
}

/// dev's server when it is the pinned one that runs here, else one of its own.
fn server(workspace: &Workspace, step: &Step) -> Result<(Target, Option<Own>)> {
    if workspace.environment_values("dev").is_file()
        && let Ok(environment) = Environment::load(workspace, "dev")
        && let Ok(target) = Target::of(workspace, &environment, "dev")
        && target.is_embedded()
    {
        target.ensure_running(step)?;
        if is_pinned(&target) {
            return Ok((target, None));
        }
    }
    let environment = Environment::for_test(workspace, "dev")?;
    let stack = format!("{}{}", base::workspace::TEST, os::random_hex(4)?);
    let lock = Lock::take(&workspace.lock_file(&stack), "this run", std::time::Duration::ZERO)?;
    let target = Target::for_test(workspace, &environment, &stack)?;
    target.ensure_running(step)?;
    if !is_pinned(&target) {
        remove_stack(workspace, &stack)?;
        let message = format!(
            "the schema is written by PostgreSQL {} only, and that is not here",
            target.config.embedded.version
        );
        return Err(Failure::cannot_tell(message).hint("run `cargo xtask setup`, which unpacks it").into());
    }
    Ok((target, Some((workspace.clone(), stack, lock))))
}

/// Ends the server of a stack of its own and removes all that the stack has here; its services are stopped already.
pub fn remove_stack(workspace: &Workspace, name: &str) -> Result<()> {
    Target::remove_test_cluster(workspace, name)?;
    files::remove(&workspace.run_folder(name))?;
    files::remove(&workspace.log_folder(name))?;
    // Nobody else knows these locks: their names are this run's own.
    for lock in [workspace.lock_file(&format!("database-{name}")), workspace.lock_file(name)] {
        files::remove(&lock.with_extension("holder.json"))?;
        files::remove(&lock)?;
    }
    Ok(())
}

fn is_pinned(target: &Target) -> bool {
    let binaries = target.cluster().and_then(|cluster| cluster.binaries().ok());
    binaries.is_some_and(|binaries| binaries.root.is_some() && binaries.version == target.config.embedded.version)
}

/// Drops the scratch databases of runs that are gone.
fn sweep(maker: &mut Session, cluster: &Cluster) -> Result<()> {
    let names =
        maker.value(&format!("select datname from pg_catalog.pg_database where starts_with(datname, '{PREFIX}')"))?;
    for name in names.lines() {
        if lock::take_as_maker(maker, name)? {
            cluster.drop_database(name)?;
            lock::give_back_as_maker(maker, name)?;
        }
    }
    Ok(())
}

fn copy(from: &Target, to: &Target) -> Result<()> {
    copy_with(from, to, &[])
}

/// Makes in an empty database what another one has, but for its rows, whoever owns it and may use it. As PostgreSQL writes
/// it then, it is written by every later dump.
pub fn copy_schema(from: &Target, to: &Target) -> Result<()> {
    copy_with(from, to, &["--schema-only", "--no-owner", "--no-privileges", "--exclude-schema=ops"])
}

fn copy_with(from: &Target, to: &Target, options: &[&str]) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("xtask-copy-{}-{}", std::process::id(), os::random_hex(4)?));
    let folder = camino::Utf8PathBuf::from_path_buf(folder)
        .map_err(|path| anyhow::anyhow!("`{}` is not UTF-8", path.display()))?;
    let dump =
        base::tools::Cmd::new(from.program("pg_dump")?).args(["-Fd", "-j", "2", "-Z", "0", "-f", folder.as_str()]);
    let dump = dump.args(options);
    let restore =
        base::tools::Cmd::new(to.program("pg_restore")?).args(["-j", "2", "-e", "-d", &to.database, folder.as_str()]);
    let result = (|| {
        for cmd in [from.connection().apply(dump), to.connection().apply(restore)] {
            let output = cmd.output()?;
            if !output.ok() {
                return Err(cmd.failure(&output));
            }
        }
        Ok(())
    })();
    files::remove(&folder)?;
    result
}
