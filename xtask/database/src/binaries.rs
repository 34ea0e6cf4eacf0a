//! Which PostgreSQL serves: the embedded one, or one that is installed on this machine.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::unpack;
use base::tools::{self, Cmd};
use base::ui::{self, Exit, Failure, Step, exit};
use base::workspace::{Database, Workspace, entries};

/// The oldest major version that the migrations and the tasks are made for.
pub const OLDEST: u32 = 15;
/// Programs without which a PostgreSQL of the machine is no server to us.
const SERVER: [&str; 5] = ["postgres", "initdb", "psql", "pg_dump", "pg_restore"];

/// The programs of one PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The folder of the programs.
    pub bin: Utf8PathBuf,
    pub major: u32,
    /// For people: `18.6.3`, `15.18 of this machine`.
    pub version: String,
    /// The folder that holds all of it, for the embedded one.
    pub root: Option<Utf8PathBuf>,
}

impl Binaries {
    pub fn program(&self, name: &str) -> Utf8PathBuf {
        self.bin.join(name)
    }
}

/// The embedded PostgreSQL, when it is unpacked.
pub fn embedded(workspace: &Workspace, config: &Database) -> Option<Binaries> {
    let root = workspace.embedded_postgres(&config.embedded.version);
    let bin = unpack::bin(&root);
    bin.is_dir().then(|| Binaries {
        bin,
        major: config.embedded_major(),
        version: config.embedded.version.clone(),
        root: Some(root),
    })
}

/// What can serve a cluster right now, without a download. `made_with` is the major version of the cluster, if there
/// is one.
pub fn ready(workspace: &Workspace, config: &Database, made_with: Option<u32>) -> Option<Binaries> {
    let fits = |binaries: &Binaries| made_with.is_none_or(|major| major == binaries.major);
    embedded(workspace, config).filter(fits).or_else(|| on_machine(&SERVER).into_iter().find(fits))
}

/// What serves a cluster: the embedded PostgreSQL, downloaded when it is not there yet; where it cannot be had, one of
/// the machine. A cluster keeps the major version that it was made with.
pub fn for_cluster(workspace: &Workspace, config: &Database, made_with: Option<u32>, step: &Step) -> Result<Binaries> {
    let wanted = config.embedded_major();
    if let Some(major) = made_with.filter(|major| *major != wanted) {
        let found = on_machine(&SERVER).into_iter().find(|binaries| binaries.major == major);
        return found.ok_or_else(|| {
            let message = format!(
                "the database here was made with PostgreSQL {major}, and PostgreSQL {wanted} cannot read its files"
            );
            let hint = format!(
                "make it anew: `cargo xtask db reset` or `cargo xtask clean --all`; or install PostgreSQL {major}"
            );
            Failure::failed(message).hint(hint).into()
        });
    }
    unpack::unpack(workspace, config, step).or_else(|error| {
        if exit::exit_of(&error) != Exit::CannotTell {
            return Err(error);
        }
        let fits = |binaries: &Binaries| made_with.is_none_or(|major| major == binaries.major);
        let found = on_machine(&SERVER).into_iter().find(|binaries| binaries.major >= OLDEST && fits(binaries));
        let Some(binaries) = found else { return Err(error) };
        ui::warn(&format!("PostgreSQL {} ({}) serves instead: {error:#}", binaries.version, binaries.bin));
        Ok(binaries)
    })
}

/// The programs for a server elsewhere: the oldest that are at least of version `least`, where that is given, else the
/// newest. The embedded ones are built without TLS, so they count only where none is needed.
pub fn client(workspace: &Workspace, config: &Database, needs_tls: bool, least: Option<u32>) -> Result<Binaries> {
    let mut found = on_machine(if least.is_some() { &["psql", "pg_dump", "pg_restore"] } else { &["psql"] });
    found.extend(embedded(workspace, config).filter(|_| !needs_tls));
    found.sort_by_key(|binaries| binaries.major);
    let fits = least.and_then(|least| found.iter().find(|binaries| binaries.major >= least).cloned());
    fits.or_else(|| found.pop()).ok_or_else(|| {
        let what = if needs_tls { "no psql with TLS is installed" } else { "no psql is installed" };
        let hint = "install PostgreSQL's client (Debian: apt-get install postgresql-client)";
        Failure::cannot_tell(what).hint(hint).into()
    })
}

/// Every PostgreSQL of this machine that has these programs, the newest first.
fn on_machine(programs: &[&str]) -> Vec<Binaries> {
    // Packages of several versions lie in these; what PATH has may be a wrapper that chooses among them.
    let mut folders: Vec<Utf8PathBuf> = Vec::new();
    folders.extend(entries(Utf8Path::new("/usr/lib/postgresql")).into_iter().map(|folder| folder.join("bin")));
    let rpm = entries(Utf8Path::new("/usr")).into_iter();
    folders.extend(rpm.filter(|path| path.as_str().starts_with("/usr/pgsql-")).map(|folder| folder.join("bin")));
    folders.push(Utf8PathBuf::from("/usr/local/pgsql/bin"));
    let has_all = |folder: &Utf8PathBuf| programs.iter().all(|name| tools::find(folder.join(name).as_str()).is_some());
    folders.retain(has_all);
    if folders.is_empty() {
        let told = tools::find("pg_config").and_then(|program| Cmd::new(program).arg("--bindir").read().ok());
        folders.extend(told.map(Utf8PathBuf::from));
        folders.extend(tools::find("psql").and_then(|path| path.parent().map(Utf8Path::to_owned)));
        folders.retain(has_all);
    }
    let mut found: Vec<Binaries> = folders.into_iter().filter_map(|bin| look(bin, programs[0])).collect();
    found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    found
}

fn look(bin: Utf8PathBuf, program: &str) -> Option<Binaries> {
    let answer = Cmd::new(bin.join(program)).arg("--version").read().ok()?;
    let version = answer.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    let major = version[..digits].parse().ok()?;
    Some(Binaries { bin, major, version: format!("{version} of this machine"), root: None })
}
