//! Reads resolv.conf and the hosts file, and again when they have changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::dns::LookupError;
use crate::dns::config::ResolverConfig;
use crate::dns::hosts::Hosts;

/// Where the system keeps its resolver's settings (resolv.conf(5)).
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where the system keeps its own table of hosts (hosts(5)).
const HOSTS: &str = "/etc/hosts";

/// Where Linux tells the numbers of network interfaces.
const INTERFACES: &str = "/sys/class/net";

/// The settings of the stub resolver, kept over connects.
#[derive(Debug)]
pub(crate) struct SystemConfig {
    source: Source,
    hosts: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Given(Arc<ResolverConfig>),
}

#[derive(Debug, Default)]
struct State {
    config: Option<ReadConfig>,
    hosts: Option<(Stamp, Arc<Hosts>)>,
}

/// What came of reading resolv.conf, and which version of it that was.
#[derive(Debug)]
struct ReadConfig {
    stamp: Option<Stamp>,
    result: Result<Arc<ResolverConfig>, LookupError>,
}

/// The settings as they are for one connect.
#[derive(Debug)]
pub(crate) struct Current {
    /// The resolver's settings, or why there are none.
    pub(crate) config: Result<Arc<ResolverConfig>, LookupError>,
    /// The hosts file; empty where there is none.
    pub(crate) hosts: Arc<Hosts>,
    /// Whether resolv.conf is another one than the last time.
    pub(crate) change: Change,
}

/// Whether resolv.conf has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is the same.
    Unchanged,
    /// It is another one.
    Changed,
}

impl SystemConfig {
    /// What `/etc/resolv.conf` and `/etc/hosts` say.
    pub(crate) fn new() -> Self {
        Self::at(Path::new(RESOLV_CONF), Path::new(HOSTS))
    }

    /// What the files at these paths say.
    pub(crate) fn at(resolv_conf: &Path, hosts: &Path) -> Self {
        let source = Source::File(resolv_conf.to_owned());
        Self { source, hosts: hosts.to_owned(), state: Mutex::default() }
    }

    /// The settings that the caller gives, and `/etc/hosts`.
    pub(crate) fn given(config: ResolverConfig) -> Self {
        Self::given_with_hosts(config, Path::new(HOSTS))
    }

    /// The settings that the caller gives, and the hosts file at this path.
    pub(crate) fn given_with_hosts(config: ResolverConfig, hosts: &Path) -> Self {
        Self { source: Source::Given(Arc::new(config)), hosts: hosts.to_owned(), state: Mutex::default() }
    }

    /// The settings for a connect that begins now.
    pub(crate) fn current(&self) -> Current {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let hosts = state.current_hosts(&self.hosts);
        let (config, change) = match &self.source {
            Source::File(path) => state.current_config(path),
            Source::Given(config) => (Ok(Arc::clone(config)), Change::Unchanged),
        };
        Current { config, hosts, change }
    }
}

impl State {
    fn current_config(&mut self, path: &Path) -> (Result<Arc<ResolverConfig>, LookupError>, Change) {
        // The stamp is taken before the text: what changes in between is seen the next time.
        let stamp = Stamp::of(path);
        if let Some(read) = self.config.as_ref().filter(|read| read.stamp == stamp) {
            // Where there is no file, nothing tells whether what stands for it has changed: it is asked again.
            if read.result.is_ok() && stamp.is_some() {
                return (read.result.clone(), Change::Unchanged);
            }
        }
        let result = read_config(path);
        let is_same =
            |read: &ReadConfig| read.stamp == stamp && (read.result.is_err() || read.result == result);
        let change =
            if self.config.as_ref().is_some_and(is_same) { Change::Unchanged } else { Change::Changed };
        self.config = Some(ReadConfig { stamp, result: result.clone() });
        (result, change)
    }

    fn current_hosts(&mut self, path: &Path) -> Arc<Hosts> {
        let stamp = Stamp::of(path);
        if let (Some((known, hosts)), Some(stamp)) = (&self.hosts, &stamp) {
            if known == stamp {
                return Arc::clone(hosts);
            }
        }
        // What cannot be read now, for want of descriptors for one, is tried again by the next connect.
        let Ok(text) = fs::read(path) else { return Arc::default() };
        let hosts = Arc::new(Hosts::parse(&String::from_utf8_lossy(&text)));
        self.hosts = stamp.map(|stamp| (stamp, Arc::clone(&hosts)));
        hosts
    }
}

fn read_config(path: &Path) -> Result<Arc<ResolverConfig>, LookupError> {
    #[cfg(windows)]
    if !path.exists() {
        return super::windows::read_config().map(Arc::new);
    }
    let text = fs::read(path).map_err(|error| {
        let path = path.display();
        LookupError::new(format!(
            "cannot read {path} ({error}); `.nameservers(…)` gives name servers without it"
        ))
    })?;
    Ok(Arc::new(ResolverConfig::parse(&String::from_utf8_lossy(&text), &interface_index)))
}

/// The number of the network interface `name`.
fn interface_index(name: &str) -> Option<u32> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    fs::read_to_string(Path::new(INTERFACES).join(name).join("ifindex")).ok()?.trim().parse().ok()
}

/// What tells two versions of a file apart.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok(), length: metadata.len(), inode: inode(&metadata) })
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::TemporaryDirectory;
    use crate::dns::{Question, RecordKind};

    fn servers(current: &Current) -> Vec<String> {
        current.config.as_ref().unwrap().servers.iter().map(ToString::to_string).collect()
    }

    // spec H3
    #[test]
    fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
        let directory = TemporaryDirectory::new();
        let (resolv_conf, hosts) = (directory.path("resolv.conf"), directory.path("hosts"));
        fs::write(&resolv_conf, "nameserver 192.0.2.1\n").unwrap();
        let config = SystemConfig::at(&resolv_conf, &hosts);
        let first = config.current();
        assert_eq!(servers(&first), ["192.0.2.1:53"]);

        let second = config.current();
        assert_eq!(second.change, Change::Unchanged);
        assert!(Arc::ptr_eq(&first.config.unwrap(), &second.config.unwrap()));

        // As programs do it: another file is put in its place.
        fs::write(directory.path("new"), "nameserver 192.0.2.2\n").unwrap();
        fs::rename(directory.path("new"), &resolv_conf).unwrap();
        let third = config.current();
        assert_eq!(third.change, Change::Changed);
        assert_eq!(servers(&third), ["192.0.2.2:53"]);
    }

    // spec H3
    #[test]
    fn without_a_resolv_conf_the_error_names_the_option_and_a_later_file_is_found() {
        let directory = TemporaryDirectory::new();
        let resolv_conf = directory.path("resolv.conf");
        let config = SystemConfig::at(&resolv_conf, &directory.path("hosts"));
        for _ in 0..2 {
            let message = config.current().config.unwrap_err().to_string();
            assert!(message.contains("resolv.conf") && message.contains(".nameservers("), "{message}");
            assert!(!message.contains('\n'));
        }
        fs::write(&resolv_conf, b"nameserver 192.0.2.1 # \xff\n").unwrap();
        let current = config.current();
        assert_eq!(
            (servers(&current).as_slice(), current.change),
            (["192.0.2.1:53".to_owned()].as_slice(), Change::Changed)
        );
    }

    // spec H3
    #[test]
    fn the_hosts_file_is_read_again_when_it_has_changed() {
        let directory = TemporaryDirectory::new();
        let hosts = directory.path("hosts");
        let config = SystemConfig::given_with_hosts(ResolverConfig::new(Vec::new()), &hosts);
        let question = Question::new("chat.example.org", RecordKind::Ipv4);
        assert_eq!(config.current().hosts.answer(&question), None);
        fs::write(&hosts, "192.0.2.1 chat.example.org\n").unwrap();
        assert_eq!(config.current().hosts.answer(&question).unwrap().records().len(), 1);
        fs::write(&hosts, "192.0.2.1 chat.example.org\n192.0.2.2 chat.example.org\n").unwrap();
        assert_eq!(config.current().hosts.answer(&question).unwrap().records().len(), 2);
        fs::remove_file(&hosts).unwrap();
        assert_eq!(config.current().hosts.answer(&question), None);
    }

    // spec H3
    #[test]
    fn a_hosts_file_that_cannot_be_read_is_tried_again_even_if_it_does_not_change() {
        // A directory has a stamp, and reading it fails, as reading a file does when there are no descriptors left.
        let directory = TemporaryDirectory::new();
        let hosts = directory.path("");
        let config = SystemConfig::given_with_hosts(ResolverConfig::new(Vec::new()), &hosts);
        assert!(!config.current().hosts.has("localhost"));
        assert!(config.state.lock().unwrap().hosts.is_none());
    }

    // spec H3
    #[test]
    fn an_interface_name_cannot_leave_its_directory() {
        assert_eq!(interface_index("../net/lo"), None);
        assert_eq!(interface_index(".."), None);
        assert_eq!(interface_index("no-such-interface"), None);
        #[cfg(target_os = "linux")]
        assert_eq!(interface_index("lo"), Some(1));
    }
}
