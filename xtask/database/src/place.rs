//! Where a cluster's files lie and as whom PostgreSQL runs. It refuses to run as root, so root runs it in a user
//! namespace where it is nobody; where namespaces are forbidden (many containers), it becomes the user nobody and its
//! files lie in /var/tmp, because nobody cannot reach the workspace of root.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::binaries::Binaries;
use base::tools::{self, Cmd, files, hash, os};
use base::ui::Failure;

/// A user and a group, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub user: u32,
    pub group: u32,
}

/// As whom PostgreSQL runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// As this user.
    Plain,
    /// As this user, who has another number in a user namespace.
    Namespace(Ids),
    /// As another user.
    User(Ids),
}

impl Runner {
    /// The command line that runs `program` this way.
    fn words(self, program: &str) -> Vec<String> {
        let words: Vec<String> = match self {
            Runner::Plain => Vec::new(),
            Runner::Namespace(ids) => {
                let (user, group) = (format!("--map-user={}", ids.user), format!("--map-group={}", ids.group));
                ["unshare".to_owned(), "--user".to_owned(), user, group, "--".to_owned()].into()
            }
            Runner::User(ids) => {
                let (user, group) = (format!("--reuid={}", ids.user), format!("--regid={}", ids.group));
                let rest = ["--clear-groups", "--no-new-privs", "--"].map(str::to_owned);
                ["setpriv".to_owned(), user, group].into_iter().chain(rest).collect()
            }
        };
        words.into_iter().chain([program.to_owned()]).collect()
    }

    /// The program to start, with its absolute path, and the arguments that come before the program's own.
    pub fn wrap(self, program: &Utf8Path) -> Result<(Utf8PathBuf, Vec<String>)> {
        let mut words = self.words(program.as_str()).into_iter();
        let first = words.next().unwrap_or_default();
        Ok((tools::need(&first)?, words.collect()))
    }

    pub fn cmd(self, program: &Utf8Path) -> Result<Cmd> {
        let (program, args) = self.wrap(program)?;
        Ok(Cmd::new(program).args(args).env_clear().envs(environment()))
    }

    /// Who owns what PostgreSQL writes.
    pub fn owner(self) -> u32 {
        match self {
            Runner::Plain | Runner::Namespace(_) => os::user_id(),
            Runner::User(ids) => ids.user,
        }
    }

    /// True when the programs run this way, and may write to `home`.
    fn serves(self, bin: &Utf8Path, home: &Utf8Path) -> bool {
        let script = r#"test -w "$1" && test -x "$1" && exec "$2" --version"#;
        let postgres = bin.join("postgres");
        let cmd = self.cmd(Utf8Path::new("/bin/sh"));
        let cmd = cmd.map(|cmd| cmd.args(["-c", script, "sh", home.as_str(), postgres.as_str()]).dir("/"));
        cmd.and_then(|cmd| cmd.ask()).is_ok_and(|answer| answer.ok())
    }
}

/// All that PostgreSQL gets to see. The time zone is given, because initdb would try hundreds to find the machine's.
pub fn environment() -> Vec<(String, String)> {
    let pairs = [("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Where a cluster lies and how it is run.
#[derive(Clone, Debug)]
pub struct Place {
    /// Holds `data` and what belongs to it.
    pub home: Utf8PathBuf,
    /// The folder of the programs, perhaps a copy that the runner can read.
    pub bin: Utf8PathBuf,
    pub runner: Runner,
}

/// Twelve digits that name a cluster on this machine, from its folder in the workspace.
pub fn digits(folder: &Utf8Path) -> String {
    hash::sha256(folder.as_str())[..12].to_owned()
}

/// The home of a cluster whose workspace is out of reach for the user that runs it.
pub fn elsewhere(folder: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("/var/tmp/ops-{}-{}", os::user_id(), digits(folder)))
}

/// Where the cluster of `folder` lies, if it has been made.
pub fn home(folder: &Utf8Path) -> Utf8PathBuf {
    let elsewhere = elsewhere(folder);
    if os::is_root() && elsewhere.join("data").is_dir() { elsewhere } else { folder.to_owned() }
}

/// Decides where and how, and makes the home. A cluster stays where it was made.
pub fn choose(binaries: &Binaries, folder: &Utf8Path) -> Result<Place> {
    let here = |runner| Place { home: folder.to_owned(), bin: binaries.bin.clone(), runner };
    if !os::is_root() {
        files::make_folder(folder)?;
        return Ok(here(Runner::Plain));
    }
    let nobody = nobody();
    let elsewhere = elsewhere(folder);
    if home(folder) != elsewhere {
        files::make_folder(folder)?;
        let namespace = Runner::Namespace(nobody);
        if namespace.serves(&binaries.bin, folder) {
            return Ok(here(namespace));
        }
        if folder.join("data").is_dir() {
            let message =
                format!("the database in `{folder}` was made by root in a user namespace, and none can be made now");
            let hint =
                "allow user namespaces (sysctl user.max_user_namespaces), or make it anew: `cargo xtask clean --all`";
            return Err(Failure::failed(message).hint(hint).into());
        }
    }
    let runner = Runner::User(nobody);
    own_folder(&elsewhere, nobody)?;
    let mut bin = binaries.bin.clone();
    if !runner.serves(&bin, &elsewhere) {
        if let Some(root) = &binaries.root {
            let copy = copy_of(root, &elsewhere)?;
            bin = copy.join(binaries.bin.strip_prefix(root).unwrap_or(&binaries.bin));
        }
        if !runner.serves(&bin, &elsewhere) {
            let message =
                "PostgreSQL does not run as root, and here root can neither make a user namespace nor become nobody";
            let hint = "run it as an ordinary user, or install util-linux (unshare, setpriv)";
            return Err(Failure::cannot_tell(message).hint(hint).into());
        }
    }
    Ok(Place { home: elsewhere, bin, runner })
}

/// The programs where nobody can read them.
fn copy_of(root: &Utf8Path, home: &Utf8Path) -> Result<Utf8PathBuf> {
    let copy = home.join(root.file_name().unwrap_or("postgres"));
    if !copy.is_dir() {
        let half = home.join(format!(".tools.{}.new", os::random_hex(4).context("failed to read /dev/urandom")?));
        let copied = Cmd::new("cp").args(["-R", root.as_str(), half.as_str()]).output()?;
        if !copied.ok() {
            let _removed = files::remove(&half);
            anyhow::bail!("failed to copy PostgreSQL to `{copy}`: {}", copied.stderr.trim());
        }
        files::rename(&half, &copy)?;
    }
    Ok(copy)
}

/// The user that PostgreSQL becomes: initdb wants one that has a name.
fn nobody() -> Ids {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        Some((fields.first()?.to_string(), Ids { user: number(2)?, group: number(3)? }))
    };
    let nobody = users.lines().filter_map(ids).find(|(name, ids)| name == "nobody" && ids.user != 0);
    nobody.map_or(Ids { user: 65_534, group: 65_534 }, |(_, ids)| ids)
}

/// Makes a folder that only `ids` may enter, in a place where everybody may make one; refuses one that is not ours.
fn own_folder(folder: &Utf8Path, ids: Ids) -> Result<()> {
    private_folder(folder, &[os::user_id(), ids.user])?;
    chown(folder, Some(ids.user), Some(ids.group)).with_context(|| format!("failed to give `{folder}` to nobody"))
}

/// Makes a folder of mode 0700 in a place where everybody may make one. One that is there already, but is a link, open
/// to others or owned by nobody of `owners`, is refused: somebody else would hear what we say.
pub fn private_folder(folder: &Utf8Path, owners: &[u32]) -> Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("failed to make folder `{folder}`")),
    }
    if is_private(folder, owners) {
        return Ok(());
    }
    let failure = Failure::failed(format!("`{folder}` is not a private folder of this user"));
    Err(failure.hint(format!("see whose it is (ls -ld {folder}), and remove it")).into())
}

/// True for a folder, no link, of mode 0700, that one of `owners` owns.
pub fn is_private(folder: &Utf8Path, owners: &[u32]) -> bool {
    folder
        .symlink_metadata()
        .is_ok_and(|facts| facts.is_dir() && facts.mode() & 0o077 == 0 && owners.contains(&facts.uid()))
}

/// The users that a cluster of this user may run as.
pub fn owners() -> Vec<u32> {
    if os::is_root() { vec![0, nobody().user] } else { vec![os::user_id()] }
}

/// Gives the socket's folder to the user that PostgreSQL runs as.
pub fn socket_folder(folder: &Utf8Path, runner: Runner) -> Result<()> {
    private_folder(folder, &owners())?;
    match runner {
        Runner::User(ids) => own_folder(folder, ids),
        Runner::Plain | Runner::Namespace(_) if os::is_root() => {
            chown(folder, Some(0), Some(0)).with_context(|| format!("failed to take over `{folder}`"))
        }
        Runner::Plain | Runner::Namespace(_) => Ok(()),
    }
}
/// How initdb runs: it wants a user that has a name, which the one of a container may lack.
pub fn for_initdb(runner: Runner) -> Runner {
    let nameless = runner == Runner::Plain && !Cmd::new("id").arg("-un").ask().is_ok_and(|answer| answer.ok());
    if nameless { Runner::Namespace(nobody()) } else { runner }
}
