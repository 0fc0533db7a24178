//! The settings of the system's resolver: from resolv.conf, read again when it has changed; where the hosts file is.

use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Unusable;
use crate::dns::message::Validation;
use crate::dns::stub::files::{self, Stamp};
use crate::dns::stub::resolv_conf::{ResolverConfig, THIS_MACHINE, Transport};
use crate::limits::MAX_RESOLV_CONF;
use crate::socket;

/// Where the system keeps its resolver's settings (resolv.conf(5)).
#[cfg(not(windows))]
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What to do where the system does not say which name servers there are, as on Android.
pub(crate) const REMEDY: &str =
    "set name servers with `.nameservers(…)` of the builder, or `StubResolver::new`";

/// The settings of the stub resolver, kept over connects.
#[derive(Debug)]
pub(crate) struct SystemConfig {
    source: ConfigSource,
    hosts: Option<PathBuf>,
    known: Mutex<Option<Snapshot>>,
}

#[derive(Debug)]
enum ConfigSource {
    #[cfg_attr(windows, cfg_attr(not(test), expect(dead_code, reason = "Windows has no resolv.conf")))]
    File(PathBuf),
    #[cfg(windows)]
    Adapters,
    Given(Arc<ResolverConfig>),
}

/// What was read, and from which version of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Snapshot {
    stamp: Option<Stamp>,
    settings: SystemSettings,
}

/// The settings as they are for one connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SystemSettings {
    /// Whom to ask, and how.
    pub(crate) config: Arc<ResolverConfig>,
    /// Why the settings are not those of the system, for the error of a lookup that fails with them.
    pub(crate) problem: Option<String>,
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
    /// What the system says: resolv.conf, the network adapters on Windows, and the hosts file.
    pub(crate) fn new() -> Self {
        #[cfg(windows)]
        let source = ConfigSource::Adapters;
        #[cfg(not(windows))]
        let source = ConfigSource::File(RESOLV_CONF.into());
        Self::of(source, system_hosts())
    }

    /// The settings that the caller gives, and the system's hosts file.
    pub(crate) fn given(config: ResolverConfig) -> Self {
        Self::of(ConfigSource::Given(Arc::new(config)), system_hosts())
    }

    /// What the files at these paths say.
    #[cfg(test)]
    pub(crate) fn at(resolv_conf: &Path, hosts: &Path) -> Self {
        Self::of(ConfigSource::File(resolv_conf.to_owned()), Some(hosts.to_owned()))
    }

    /// The settings that the caller gives, and the hosts file at this path.
    #[cfg(test)]
    pub(crate) fn given_with_hosts(config: ResolverConfig, hosts: &Path) -> Self {
        Self::of(ConfigSource::Given(Arc::new(config)), Some(hosts.to_owned()))
    }

    fn of(source: ConfigSource, hosts: Option<PathBuf>) -> Self {
        Self { source, hosts, known: Mutex::default() }
    }

    /// Where the hosts file is, if the system has one.
    pub(crate) fn hosts(&self) -> Option<&Path> {
        self.hosts.as_deref()
    }

    /// The settings for a connect that begins now, and whether they are others than the last time.
    ///
    /// # Errors
    /// When this machine has run out of descriptors or memory: what resolv.conf says is not known then.
    pub(crate) fn current(&self) -> io::Result<(SystemSettings, Change)> {
        let read = match &self.source {
            ConfigSource::Given(config) => {
                return Ok((SystemSettings::of(Arc::clone(config)), Change::Unchanged));
            }
            #[cfg(windows)]
            ConfigSource::Adapters => Snapshot { stamp: None, settings: SystemSettings::of_adapters() },
            ConfigSource::File(path) => {
                if let Some(settings) = self.known_version(path) {
                    return Ok((settings, Change::Unchanged));
                }
                Snapshot::read(path)?
            }
        };
        // Nothing was locked while the file was read: others may have read it too, and the next connect sees that.
        let settings = read.settings.clone();
        let is_same = self.known().replace(read.clone()).is_some_and(|known| known == read);
        Ok((settings, if is_same { Change::Unchanged } else { Change::Changed }))
    }

    /// The settings for questions that go through a proxy: over TCP, and not to the name servers that only this machine can
    /// reach, unless the caller has given them. With an error if none is left.
    pub(crate) fn through_proxy(&self, settings: SystemSettings) -> (SystemSettings, Option<Unusable>) {
        let is_given = matches!(self.source, ConfigSource::Given(_));
        let mut config = ResolverConfig::clone(&settings.config);
        config.transport = Transport::Tcp;
        // `trust-ad` vouches for the path that the system takes to its name servers, not for that behind the proxy.
        if !is_given {
            config.validation = Validation::Untrusted;
        }
        config.servers.retain(|server| is_given || !is_local(server.ip()));
        let unusable = config.servers.is_empty().then(|| {
            let others = || format!("the system knows none but on this machine; {REMEDY}");
            let known = settings.problem.clone().unwrap_or_else(others);
            Unusable::NoServers(format!(
                "no name server can be asked through the proxy: {known}; or look up nothing, with \
                 `.dns_use(DnsUse::Nothing)`"
            ))
        });
        (SystemSettings { config: Arc::new(config), problem: settings.problem }, unusable)
    }

    /// What was read of the file, if it is the same still. What could not be read has no stamp, and is tried again.
    fn known_version(&self, path: &Path) -> Option<SystemSettings> {
        let stamp = Some(Stamp::of(path)?);
        let known = self.known();
        known.as_ref().filter(|known| known.stamp == stamp).map(|known| known.settings.clone())
    }

    fn known(&self) -> MutexGuard<'_, Option<Snapshot>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// Reads resolv.conf. "If this file does not exist, only the name server on the local machine will be queried"
    /// (resolv.conf(5)); glibc does the same when it cannot be read, or names none.
    fn read(path: &Path) -> io::Result<Self> {
        let (text, stamp, lack) = match read(path) {
            Ok((text, stamp)) => (text, Some(stamp), format!("{} names no name server", path.display())),
            Err(error) if socket::is_exhaustion(&error) => return Err(error),
            Err(error) => (Vec::new(), None, format!("cannot read {} ({error})", path.display())),
        };
        let mut config = ResolverConfig::parse(&String::from_utf8_lossy(&text), &interface_index);
        let mut problem = None;
        if config.servers.is_empty() {
            config.servers.push(THIS_MACHINE);
            problem = Some(format!("{lack}, so only the name server of this machine is known; {REMEDY}"));
        }
        Ok(Self { stamp, settings: SystemSettings { config: Arc::new(config), problem } })
    }
}

impl SystemSettings {
    fn of(config: Arc<ResolverConfig>) -> Self {
        Self { config, problem: None }
    }

    /// Nobody is asked, and `problem` says why.
    pub(crate) fn without_servers(problem: String) -> Self {
        Self { config: Arc::new(ResolverConfig::new(Vec::new())), problem: Some(problem) }
    }

    #[cfg(windows)]
    fn of_adapters() -> Self {
        match crate::dns::stub::windows::read_config() {
            Ok(config) => Self::of(Arc::new(config)),
            Err(error) => Self::without_servers(error.message().to_owned()),
        }
    }
}

/// The text of the file, up to the last whole line of what is read of it.
fn read(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    let (file, stamp) = files::open(path)?;
    let mut text = Vec::new();
    let length = file.take(MAX_RESOLV_CONF).read_to_end(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length >= MAX_RESOLV_CONF) {
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').unwrap_or_default());
    }
    Ok((text, stamp))
}

/// Whether only this machine or its link can reach the address.
fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_unspecified() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local()
        }
    }
}

/// The number of the network interface `name`, on Linux.
fn interface_index(name: &str) -> Option<u32> {
    if !cfg!(any(target_os = "android", target_os = "linux")) || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let (mut file, _) = files::open(&Path::new("/sys/class/net").join(name).join("ifindex")).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Where the system keeps its own table of hosts (hosts(5)).
#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "Windows may have none")]
fn system_hosts() -> Option<PathBuf> {
    Some("/etc/hosts".into())
}

#[cfg(windows)]
fn system_hosts() -> Option<PathBuf> {
    windows_hosts(std::env::var_os("SystemRoot"))
}

/// The hosts file of a Windows that is installed at `system_root`. Never a path that begins at the root of the current
/// drive, such as `\etc`, where every user may create files.
#[cfg(any(windows, test))]
fn windows_hosts(system_root: Option<std::ffi::OsString>) -> Option<PathBuf> {
    let system_root = PathBuf::from(system_root?);
    system_root.is_absolute().then(|| system_root.join("System32").join("drivers").join("etc").join("hosts"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::dns::testing::TemporaryDirectory;

    fn servers(settings: &SystemSettings) -> Vec<String> {
        settings.config.servers.iter().map(ToString::to_string).collect()
    }

    // rule H3
    #[test]
    fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
        let directory = TemporaryDirectory::new();
        let (resolv_conf, hosts) = (directory.path("resolv.conf"), directory.path("hosts"));
        fs::write(&resolv_conf, "nameserver 192.0.2.1\n").unwrap();
        let config = SystemConfig::at(&resolv_conf, &hosts);
        let (first, _) = config.current().unwrap();
        assert_eq!(servers(&first), ["192.0.2.1:53"]);

        let (second, change) = config.current().unwrap();
        assert_eq!(change, Change::Unchanged);
        assert!(Arc::ptr_eq(&first.config, &second.config));

        // As programs do it: another file is put in its place.
        fs::write(directory.path("new"), "nameserver 192.0.2.2\n").unwrap();
        fs::rename(directory.path("new"), &resolv_conf).unwrap();
        let (third, change) = config.current().unwrap();
        assert_eq!((change, servers(&third)), (Change::Changed, vec!["192.0.2.2:53".to_owned()]));
    }

    // rule H3a, H3b
    #[test]
    fn without_a_resolv_conf_this_machine_is_asked_and_the_error_says_why_and_a_later_file_is_found() {
        let directory = TemporaryDirectory::new();
        let nothing = directory.path("nothing");
        #[cfg_attr(not(target_os = "linux"), expect(unused_mut, reason = "these are all"))]
        let mut paths = vec![nothing.clone(), directory.path("")];
        #[cfg(target_os = "linux")]
        {
            crate::dns::testing::make_fifo(&directory.path("fifo"));
            std::os::unix::fs::symlink(directory.path("target"), directory.path("dangling")).unwrap();
            paths.extend([directory.path("fifo"), directory.path("dangling"), "/dev/zero".into()]);
        }
        for path in paths {
            let config = SystemConfig::at(&path, &directory.path("hosts"));
            for expected in [Change::Changed, Change::Unchanged] {
                let (settings, change) = config.current().unwrap();
                assert_eq!((servers(&settings), change), (vec!["127.0.0.1:53".to_owned()], expected));
                let problem = settings.problem.unwrap();
                let start = format!("cannot read {} (", path.to_str().unwrap());
                assert!(problem.starts_with(&start), "{problem}");
                assert!(problem.contains(".nameservers(") && !problem.contains('\n'), "{problem}");
            }
        }
        let config = SystemConfig::at(&nothing, &directory.path("hosts"));
        assert!(config.current().unwrap().0.problem.is_some());
        fs::write(&nothing, b"nameserver 192.0.2.1 # \xff\n").unwrap();
        let (settings, change) = config.current().unwrap();
        assert_eq!((servers(&settings), change), (vec!["192.0.2.1:53".to_owned()], Change::Changed));
        assert_eq!(settings.problem, None);
    }

    // rule H3a
    #[test]
    fn a_resolv_conf_without_a_name_server_is_a_reason_too() {
        let directory = TemporaryDirectory::new();
        let path = directory.path("resolv.conf");
        let config = SystemConfig::at(&path, &directory.path("hosts"));
        for text in ["", "# made by a container\noptions attempts:3\n", "nameserver nobody\n"] {
            fs::write(&path, text).unwrap();
            let (settings, change) = config.current().unwrap();
            assert_eq!((servers(&settings), change), (vec!["127.0.0.1:53".to_owned()], Change::Changed));
            let expected = format!(
                "{} names no name server, so only the name server of this machine is known; {REMEDY}",
                path.display()
            );
            assert_eq!(settings.problem, Some(expected), "{text:?}");
            assert_eq!(config.current().unwrap(), (settings, Change::Unchanged));
        }
        // One that is meant.
        fs::write(&path, "nameserver 127.0.0.1\n").unwrap();
        let (settings, _) = config.current().unwrap();
        assert_eq!((servers(&settings), settings.problem), (vec!["127.0.0.1:53".to_owned()], None));
    }

    // rule H3b
    #[test]
    fn of_a_huge_resolv_conf_the_first_whole_lines_count() {
        let directory = TemporaryDirectory::new();
        let path = directory.path("resolv.conf");
        let servers = || servers(&SystemConfig::at(&path, &directory.path("hosts")).current().unwrap().0);
        let limit = usize::try_from(MAX_RESOLV_CONF).unwrap();
        // The limit cuts 192.0.2.22 behind the first 2.
        let filling = format!("nameserver 192.0.2.1\n{}", "#".repeat(limit));
        let last = "\nnameserver 192.0.2.22\n";
        fs::write(&path, format!("{}{last}", &filling[..limit - last.len() + 2])).unwrap();
        assert_eq!(servers(), ["192.0.2.1:53"]);
        fs::write(&path, format!("{}{last}", &filling[..limit - last.len() - 1])).unwrap();
        assert_eq!(servers(), ["192.0.2.1:53", "192.0.2.22:53"]);
        // Sparse: a gigabyte of NUL octets.
        fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(servers(), ["127.0.0.1:53"]);
    }

    // rule B13
    #[test]
    fn through_a_proxy_name_servers_are_asked_over_tcp_and_those_of_this_machine_not_at_all() {
        let directory = TemporaryDirectory::new();
        let path = directory.path("resolv.conf");
        let config = SystemConfig::at(&path, &directory.path("hosts"));
        let through_proxy = || config.through_proxy(config.current().unwrap().0);
        for (text, expected) in [
            (
                "nameserver 192.0.2.1\nnameserver 127.0.0.53\nnameserver 2001:db8::1",
                "192.0.2.1:53 [2001:db8::1]:53",
            ),
            ("nameserver 127.0.0.1\nnameserver ::1\nnameserver ::ffff:127.0.0.1", ""),
            ("nameserver fe80::1\nnameserver 169.254.1.1\nnameserver 0.0.0.0", ""),
            ("options use-vc", ""),
        ] {
            fs::write(&path, text).unwrap();
            let (settings, unusable) = through_proxy();
            assert_eq!(servers(&settings).join(" "), expected);
            assert_eq!(settings.config.transport, Transport::Tcp);
            let message = unusable.map(|unusable| unusable.to_string());
            assert_eq!(message.is_some_and(|message| message.contains(".nameservers(")), expected.is_empty());
        }
        fs::remove_file(&path).unwrap();
        assert!(through_proxy().1.unwrap().to_string().contains("cannot read "));

        // Whoever answers behind the proxy is not whom the system trusts.
        fs::write(&path, "nameserver 192.0.2.1\noptions trust-ad").unwrap();
        assert_eq!(config.current().unwrap().0.config.validation, Validation::Trusted);
        assert_eq!(through_proxy().0.config.validation, Validation::Untrusted);

        // Those that the caller gives are meant.
        let mut given = ResolverConfig::new(vec!["127.0.0.1:53".parse().unwrap()]);
        given.validation = Validation::Trusted;
        let config = SystemConfig::given(given);
        let (settings, unusable) = config.through_proxy(config.current().unwrap().0);
        assert_eq!((servers(&settings).join(" ").as_str(), unusable), ("127.0.0.1:53", None));
        assert_eq!(settings.config.validation, Validation::Trusted);
        assert_eq!(settings.config.transport, Transport::Tcp);
    }

    // rule H3b
    #[test]
    fn the_hosts_file_of_windows_is_in_its_system_folder_or_nowhere() {
        let root = std::env::temp_dir();
        let hosts = root.join("System32").join("drivers").join("etc").join("hosts");
        assert_eq!(windows_hosts(Some(root.into())), Some(hosts));
        for no_root in ["", "Windows", "..", "C:Windows"] {
            assert_eq!(windows_hosts(Some(no_root.into())), None, "{no_root}");
        }
        assert_eq!(windows_hosts(None), None);
    }

    // rule H3
    #[test]
    fn an_interface_name_cannot_leave_its_directory() {
        assert_eq!(interface_index("../net/lo"), None);
        assert_eq!(interface_index(".."), None);
        assert_eq!(interface_index("no-such-interface"), None);
        #[cfg(target_os = "linux")]
        assert_eq!(interface_index("lo"), Some(1));
    }
}
