//! Sockets and threads of this process, read from `/proc` (Linux), so that a test can prove that nothing is left behind.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// How many descriptors this process has open. Other tests of the same binary count too: for a binary with one test.
pub(crate) fn open_descriptors() -> usize {
    // The directory itself is open while it is read.
    fs::read_dir("/proc/self/fd").expect("Linux has /proc").count().saturating_sub(1)
}

/// How many threads this process has. Other tests of the same binary count too: for a binary with one test.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("Linux has /proc").count()
}

/// How many threads other than the calling one run or could run: they are awake, or kept waiting by a busy machine.
pub(crate) fn busy_threads() -> usize {
    let own = fs::read_link("/proc/thread-self").expect("Linux has /proc");
    let tasks = fs::read_dir("/proc/self/task").expect("Linux has /proc");
    tasks
        .flatten()
        .filter(|task| Some(&*task.file_name()) != own.file_name() && is_busy(&task.path()))
        .count()
}

/// Whether a thread runs, is ready to run, or waits for a disk. A thread that has just ended is not busy.
fn is_busy(task: &Path) -> bool {
    let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
    // "pid (name) state ...", where the name may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'D']))
}

/// How many sockets of this process are connected, or connecting, *to* `remote`, over TCP or connected UDP. The server's own
/// ends do not count, nor do sockets of tests that run beside this one against other servers.
pub(crate) fn sockets_to(remote: SocketAddr) -> usize {
    let own = own_sockets();
    let remote = proc_address(remote);
    let tables = ["/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"];
    let lines = tables.iter().map(|table| fs::read_to_string(table).unwrap_or_default());
    let count = |table: String| {
        let fields =
            table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>();
        fields
            .iter()
            .filter(|f| f.get(2) == Some(&&*remote) && f.get(9).is_some_and(|i| own.contains(*i)))
            .count()
    };
    lines.map(count).sum()
}

/// The inode numbers of this process's sockets.
fn own_sockets() -> HashSet<String> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("Linux has /proc");
    let links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode = |link: &Path| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    links.filter_map(|link| inode(&link)).collect()
}

/// An address as `/proc/net/tcp` writes it: 32-bit words in the machine's order, in hexadecimal.
fn proc_address(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().expect("four octets")));
    let words = words.map(|word| format!("{word:08X}")).collect::<String>();
    format!("{words}:{:04X}", address.port())
}
