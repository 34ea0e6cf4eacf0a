//! Runs a program and kills it at its n-th change of the file system: the kernel stops it at every system call, so that
//! no state in between is missed. Linux on x86-64; elsewhere, and where tracing is not allowed, it says so.
#![expect(unsafe_code, reason = "ptrace is a system call that std does not offer; each call says why it is sound")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// How a traced run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Killed before its n-th change.
    Killed,
    /// It came to its end after so many changes.
    Ended { code: i32, changes: usize },
    /// Tracing is not possible here.
    Impossible,
}

/// Calls that make, remove, rename or alter something. Writing into an open file is none: what counts is which names lead
/// to what, and those files are only given their name when they are whole.
#[cfg(target_arch = "x86_64")]
const CHANGES: [i64; 22] = [
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_rmdir,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
];

#[cfg(not(target_arch = "x86_64"))]
pub fn kill_at(_command: Command, _change: usize) -> End {
    End::Impossible
}

/// Runs the command to its end, or until it is about to make its `change`-th change (from 0) of the file system. Its threads
/// count, its children do not: they are let go.
#[cfg(target_arch = "x86_64")]
pub fn kill_at(mut command: Command, change: usize) -> End {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: the closure calls nothing but ptrace, which is safe between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let Ok(child) = command.spawn() else { return End::Impossible };
    let main = i32::try_from(child.id()).unwrap();
    let mut changes = 0;
    let mut entering = std::collections::HashSet::new();
    if wait(main).is_none() {
        return End::Impossible;
    }
    let options =
        libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    // SAFETY: PTRACE_SETOPTIONS takes no pointer; the child is stopped and ours.
    unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, main, 0, options) };
    go_on(main, 0);
    loop {
        let Some((thread, status)) = wait(-1) else { return End::Impossible };
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if thread == main {
                let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 };
                return End::Ended { code, changes };
            }
            continue;
        }
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | 0x80 {
            // A stop at the way in, then one at the way out.
            if entering.remove(&thread) {
                go_on(thread, 0);
                continue;
            }
            entering.insert(thread);
            if CHANGES.contains(&call(thread)) {
                if changes == change {
                    // SAFETY: kill takes no pointers.
                    unsafe { libc::kill(main, libc::SIGKILL) };
                    while let Some((thread, status)) = wait(-1) {
                        if thread == main && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status)) {
                            break;
                        }
                    }
                    return End::Killed;
                }
                changes += 1;
            }
            go_on(thread, 0);
        } else if status >> 16 != 0 || signal == libc::SIGTRAP || signal == libc::SIGSTOP {
            // A new thread, a new program, the first stop of either.
            if status >> 16 == libc::PTRACE_EVENT_EXEC {
                entering.clear();
                entering.insert(thread);
            }
            go_on(thread, 0);
        } else {
            go_on(thread, signal);
        }
    }
}

/// The number of the system call that a stopped thread is about to make.
#[cfg(target_arch = "x86_64")]
fn call(thread: i32) -> i64 {
    // SAFETY: an all-zero value is a valid one to be overwritten; the thread is stopped, and the pointer outlives the call.
    unsafe {
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        libc::ptrace(libc::PTRACE_GETREGS, thread, 0, &raw mut registers);
        registers.orig_rax as i64
    }
}

#[cfg(target_arch = "x86_64")]
fn go_on(thread: i32, signal: i32) {
    // SAFETY: PTRACE_SYSCALL takes no pointer; a thread that is gone is no error.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, signal) };
}

/// The next stop or end of a traced thread; children of other tests, which run beside this one, are theirs.
#[cfg(target_arch = "x86_64")]
fn wait(thread: i32) -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the pointer outlives the call.
    let stopped = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
    (stopped > 0).then_some((stopped, status))
}
