//! Ports: whether one is free, and who listens on it when it is not.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use super::os;

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// None when the process belongs to another user.
    pub pid: Option<u32>,
    pub command: String,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "pid {pid} ({})", self.command),
            None => f.write_str("a process of another user"),
        }
    }
}

/// How long a port may be bound by somebody who does not listen on it yet.
const SETTLING: Duration = Duration::from_millis(500);

/// Who listens on a local TCP port; None when nobody does.
pub fn listener(port: u16) -> Option<Owner> {
    let mut inodes = Vec::new();
    // The tables may be hidden (another network namespace's view); a bind is the last word. It can also fail because
    // somebody began to listen after the tables were read, so a second look is due.
    let told = os::wait_until(SETTLING, || {
        inodes = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .flat_map(|table| listening_inodes(&std::fs::read_to_string(table).unwrap_or_default(), port))
            .collect();
        !inodes.is_empty() || can_bind(port)
    });
    if inodes.is_empty() {
        return (!told).then(|| Owner { pid: None, command: String::new() });
    }
    let pid = os::processes().into_iter().map(|process| process.pid).find(|pid| holds_socket(*pid, &inodes));
    Some(Owner { pid, command: pid.map(os::command_line).unwrap_or_default() })
}

/// Socket inodes in state LISTEN on this port, out of a table of /proc/net (field 1 address:port in hex, 3 state, 9 inode).
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[1].ends_with(&wanted) && row[3] == "0A")
        .map(|row| row[9].to_owned())
        .collect()
}

fn holds_socket(pid: u32, inodes: &[String]) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|target| {
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.iter().any(|wanted| wanted == inode))
    })
}

/// True when the port can be bound on every address (a port in TIME_WAIT counts as free, as std sets SO_REUSEADDR).
fn can_bind(port: u16) -> bool {
    let free = |address: SocketAddr| match TcpListener::bind(address) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
    };
    free((Ipv4Addr::UNSPECIFIED, port).into()) && free((Ipv6Addr::UNSPECIFIED, port).into())
}

/// A port that is free now.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_with_its_pid_and_gone_when_it_closes() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(listener(port).and_then(|owner| owner.pid), Some(std::process::id()));
        drop(socket);
        assert_eq!(listener(port), None);
    }
}
