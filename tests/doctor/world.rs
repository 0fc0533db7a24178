//! What the tests of the doctor share: a domain with its name server and its servers, and the check of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{Domain, Service, TlsMode};

use crate::check::{Diagnosis, Settings, Stop, examine};
use crate::given::{DOMAIN, XMPP, XMPPS, owner};
use crate::support::addresses::own_loopback;
use crate::support::{Authority, DnsServer, Script, Stage, Step, XmppServer, Zone};

/// Long enough for a busy machine, and for a server that is silent in each stage of each form: a stage has 5 s.
pub(crate) const LIMIT: Duration = Duration::from_secs(36);
/// So many rows of a table are checked at once.
const AT_ONCE: usize = 4;

/// Stream features with which nothing is wrong.
pub(crate) const FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>\
     <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>\
     </stream:features>";

/// The root that the check trusts.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// A sound server for direct TLS.
pub(crate) fn direct() -> Script {
    sound(Script::direct(authority().server(&[DOMAIN])))
}

/// A sound server for STARTTLS.
pub(crate) fn starttls() -> Script {
    sound(Script::starttls(authority().server(&[DOMAIN])))
}

/// With features in which nothing is wrong.
pub(crate) fn sound(script: Script) -> Script {
    script.instead(Stage::SecureFeatures, &[Step::send(FEATURES)])
}

/// A domain: its zones, one for each name server, and what has to live as long as it.
pub(crate) struct World {
    pub(crate) zone: Zone,
    pub(crate) name_servers: Vec<DnsServer>,
    pub(crate) servers: Vec<XmppServer>,
    pub(crate) others: Vec<Box<dyn std::any::Any + Send>>,
    pub(crate) limit: Duration,
}

impl World {
    pub(crate) fn new(zone: Zone) -> Self {
        Self { zone, name_servers: Vec::new(), servers: Vec::new(), others: Vec::new(), limit: LIMIT }
    }

    /// A domain with one server of this kind, at 127.0.0.1.
    pub(crate) fn of(tls: TlsMode, script: Script) -> Self {
        Self::of_scripts(tls, vec![script])
    }

    /// The same, with a script for each connection.
    pub(crate) fn of_scripts(tls: TlsMode, scripts: Vec<Script>) -> Self {
        let server = XmppServer::start_at(SocketAddr::new(loopback(), 0), scripts);
        Self::at(tls, server.addr()).with(server)
    }

    /// A domain with one record, and its server at `address`.
    pub(crate) fn at(tls: TlsMode, address: SocketAddr) -> Self {
        let zone = Zone::new().start_of_authority(DOMAIN, 300);
        let zone = zone.srv(owner(tls), 5, 0, address.port(), "host.example.org");
        Self::new(zone.address("host.example.org", &address.ip().to_string()))
    }

    pub(crate) fn with(mut self, server: XmppServer) -> Self {
        self.servers.push(server);
        self
    }

    pub(crate) fn with_other(mut self, other: impl std::any::Any + Send) -> Self {
        self.others.push(Box::new(other));
        self
    }

    /// One more name server, with a zone of its own.
    pub(crate) fn with_name_server(mut self, zone: Zone) -> Self {
        self.name_servers.push(DnsServer::start(zone));
        self
    }

    pub(crate) fn zone(mut self, change: impl FnOnce(Zone) -> Zone) -> Self {
        self.zone = change(self.zone);
        self
    }

    /// The check of this domain. The server of its own zone is the first name server.
    pub(crate) fn check(&self) -> Diagnosis {
        let own = DnsServer::start(self.zone.clone());
        let servers = [own.addr()].into_iter().chain(self.name_servers.iter().map(DnsServer::addr));
        let settings = Settings { limit: self.limit, ..settings(servers.collect()) };
        examine(&settings, &Stop::after(self.limit), &|_, _| {}).unwrap()
    }
}

/// An address of this process alone, so that nobody else has its ports 5222 and 5223.
pub(crate) fn loopback() -> IpAddr {
    own_loopback(77).into()
}

/// Checks [`DOMAIN`] with these name servers.
pub(crate) fn check(nameservers: Vec<SocketAddr>, stop: &Stop) -> Diagnosis {
    examine(&settings(nameservers), stop, &|_, _| {}).unwrap()
}

pub(crate) fn settings(nameservers: Vec<SocketAddr>) -> Settings {
    let roots: Vec<CertificateDer<'static>> = vec![authority().root_der()];
    Settings {
        domain: Domain::new(DOMAIN).unwrap(),
        service: Service::Client,
        nameservers,
        roots,
        client: None,
        limit: LIMIT,
    }
}

/// The ids of all findings, hints included.
pub(crate) fn ids(diagnosis: &Diagnosis) -> Vec<&'static str> {
    diagnosis.findings.iter().map(|finding| finding.id).collect()
}

/// A fault: its name, how it is set up, and what is found.
pub(crate) type Row = (&'static str, fn() -> World, &'static [&'static str]);

/// Checks each row: its findings, those in `ignored` apart, are exactly those of the row.
pub(crate) fn hold(rows: &[Row], ignored: &[&str]) {
    let failed = Mutex::new(Vec::new());
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, world, expected)) =
                    rows.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let diagnosis = world().check();
                    let mut found = ids(&diagnosis);
                    found.retain(|id| !ignored.contains(id));
                    found.sort_unstable();
                    found.dedup();
                    let mut expected = expected.to_vec();
                    expected.sort_unstable();
                    if found != expected {
                        let findings = &diagnosis.findings;
                        let complaint = format!("{name}: {found:?}, expected {expected:?}: {findings:#?}");
                        failed.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Servers at one port of both families.
pub(crate) fn pair(ipv4: IpAddr, script: &Script) -> [XmppServer; 2] {
    loop {
        let first = XmppServer::start_at(SocketAddr::new(ipv4, 0), vec![script.clone()]);
        let other = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), first.port());
        if TcpListener::bind(other).is_ok() {
            return [first, XmppServer::start_at(other, vec![script.clone()])];
        }
    }
}

/// A sound domain: two hosts, both kinds of TLS, both families.
pub(crate) fn sound_world() -> World {
    let mut world = World::new(Zone::new().start_of_authority(DOMAIN, 300));
    for (priority, host, last) in [(5, "one.example.org", 77), (10, "two.example.org", 78)] {
        let ipv4 = own_loopback(last).into();
        for (owner, script) in [(XMPPS, direct()), (XMPP, starttls())] {
            let servers = pair(ipv4, &script);
            world = world.zone(|zone| zone.srv(owner, priority, 0, servers[0].port(), host));
            world.servers.extend(servers);
        }
        world = world.zone(|zone| zone.address(host, &ipv4.to_string()).address(host, "::1"));
    }
    world
}
