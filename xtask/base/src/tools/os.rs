//! The few calls into the kernel that std does not offer, made safe: sessions, signals, process facts from /proc.
#![expect(unsafe_code, reason = "the only module that calls libc; each call says why it is sound")]

use std::time::Duration;

/// Flags for opening a file that may be anybody's: fail on a symbolic link, do not wait for the other end of a pipe.
pub const NO_FOLLOW: i32 = libc::O_NOFOLLOW;
pub const NO_BLOCK: i32 = libc::O_NONBLOCK;

/// A signal this program sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ask to end.
    Term,
    /// PostgreSQL's fast shutdown.
    Int,
    /// PostgreSQL's immediate shutdown.
    Quit,
    /// End without asking.
    Kill,
}

impl Signal {
    fn number(self) -> i32 {
        match self {
            Signal::Term => libc::SIGTERM,
            Signal::Int => libc::SIGINT,
            Signal::Quit => libc::SIGQUIT,
            Signal::Kill => libc::SIGKILL,
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            Signal::Term => "TERM",
            Signal::Int => "INT",
            Signal::Quit => "QUIT",
            Signal::Kill => "KILL",
        }
    }
    pub fn from_name(name: &str) -> Option<Signal> {
        [Signal::Term, Signal::Int, Signal::Quit, Signal::Kill].into_iter().find(|signal| signal.name() == name)
    }
}

/// Sends a signal to one process. A process that is gone is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = valid(pid) {
        // SAFETY: kill takes no pointers.
        unsafe { libc::kill(pid, signal.number()) };
    }
}

/// Sends a signal to every process of a group. A group that is gone is no error.
pub fn signal_group(group: u32, signal: Signal) {
    if let Some(group) = valid(group) {
        // SAFETY: kill takes no pointers; a negative id names a group, and `valid` excludes 0 and 1.
        unsafe { libc::kill(-group, signal.number()) };
    }
}

/// Pids this program may signal: never 0 (own group), 1 (init) or what does not fit.
fn valid(pid: u32) -> Option<i32> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1)
}

/// Makes this process the leader of a new session without a terminal.
pub fn new_session() -> std::io::Result<()> {
    // SAFETY: setsid takes no arguments.
    if unsafe { libc::setsid() } == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// Points these file descriptors of this process at /dev/null.
pub fn redirect_to_null(descriptors: &[i32]) {
    use std::os::fd::AsRawFd;
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        for descriptor in descriptors {
            // SAFETY: dup2 takes no pointers; the standard streams it replaces are not owned by any value here.
            unsafe { libc::dup2(null.as_raw_fd(), *descriptor) };
        }
    }
}

/// Lets others have the processors first, from now on: this thread, and the programs that it starts.
pub fn step_back() {
    // SAFETY: it sets a number of the calling thread; where it may not, nothing is lost.
    let _set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 4) };
}

/// True for root.
pub fn is_root() -> bool {
    // SAFETY: geteuid cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The effective user id.
pub fn user_id() -> u32 {
    // SAFETY: geteuid cannot fail.
    unsafe { libc::geteuid() }
}

fn c_path(path: &std::path::Path) -> std::io::Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| std::io::ErrorKind::InvalidInput.into())
}

/// Renames without ever replacing: `AlreadyExists` when something has the new name, whenever it came there.
pub fn rename_new(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    let (old, new) = (c_path(from)?, c_path(to)?);
    // SAFETY: both pointers are valid C strings that outlive the call.
    let done =
        unsafe { libc::renameat2(libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), libc::RENAME_NOREPLACE) };
    if done == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    // A file system that does not know the flag.
    if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::ENOTSUP)) {
        return match to.symlink_metadata() {
            Ok(_) => Err(std::io::ErrorKind::AlreadyExists.into()),
            Err(_) => std::fs::rename(from, to),
        };
    }
    Err(error)
}

/// Sets when a file, a folder or a link itself was last changed.
pub fn set_modified(path: &std::path::Path, seconds: i64, nanoseconds: u32) -> std::io::Result<()> {
    let path = c_path(path)?;
    let unchanged = libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT };
    let modified = libc::timespec { tv_sec: seconds, tv_nsec: i64::from(nanoseconds) };
    let times = [unchanged, modified];
    // SAFETY: the path is a valid C string and the array has the two elements that the call reads; both outlive it.
    let done = unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// True when this user may make and remove names in a folder.
pub fn may_change(folder: &std::path::Path) -> bool {
    let Ok(path) = c_path(folder) else { return false };
    // SAFETY: the path is a valid C string that outlives the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) == 0 }
}

/// Bytes free for this user on the file system of `path`.
pub fn free_bytes(path: &camino::Utf8Path) -> Option<u64> {
    let path = std::ffi::CString::new(path.as_str()).ok()?;
    // SAFETY: an all-zero statvfs is a valid value to be overwritten; both pointers outlive the call.
    let facts = unsafe {
        let mut facts: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut facts) == 0).then_some(facts)?
    };
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Writes everything of the file system that `path` lies on through to the disk, with one call.
pub fn sync_file_system(path: &camino::Utf8Path) -> anyhow::Result<()> {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(path)?;
    // SAFETY: syncfs takes no pointers; the descriptor is open for as long as the call takes.
    if unsafe { libc::syncfs(file.as_raw_fd()) } == -1 { Err(std::io::Error::last_os_error().into()) } else { Ok(()) }
}

/// Columns of the terminal on stderr.
pub fn terminal_columns() -> Option<usize> {
    // SAFETY: an all-zero winsize is a valid value to be overwritten; the pointer outlives the call.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(2, libc::TIOCGWINSZ, &raw mut size) == 0).then_some(size)?
    };
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// A process as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    pub pid: u32,
    pub parent: u32,
    pub session: u32,
    /// Clock ticks since boot; with the pid and the boot id it names one process for ever.
    pub start_time: u64,
    /// Ended, but not yet collected by its parent.
    pub is_zombie: bool,
}

/// Reads /proc/PID/stat; None when there is no such process.
pub fn process(pid: u32) -> Option<ProcessFacts> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command stands in parentheses and may hold anything, so fields count from the last ')'.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(ProcessFacts {
        pid,
        parent: u32::try_from(number(1)?).ok()?,
        session: u32::try_from(number(3)?).ok()?,
        start_time: number(19)?,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// Every process that can be seen.
pub fn processes() -> Vec<ProcessFacts> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

/// The arguments of a process, the program first; none when they may not be read. What PostgreSQL writes over its
/// own is one argument.
pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The command line of a process, shortened to what fits a message; empty when it may not be read.
pub fn command_line(pid: u32) -> String {
    arguments(pid).join(" ").chars().take(120).collect()
}

/// The value of an environment variable of another process of this user.
pub fn environment_of(pid: u32, name: &str) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    bytes.split(|byte| *byte == 0).find_map(|entry| {
        let entry = String::from_utf8_lossy(entry);
        entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
    })
}

/// The name of this machine.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// Changes with every boot of the machine.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Random bytes from the kernel as lower-case hex.
pub fn random_hex(bytes: usize) -> std::io::Result<String> {
    let mut buffer = vec![0u8; bytes];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Polls `ready` until it is true or the time is over; the pause grows from 5 ms to 100 ms.
pub fn wait_until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let started = std::time::Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if ready() {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(100));
    }
}
