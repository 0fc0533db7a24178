//! Tests in network namespaces: not one packet goes past the proxy, and none is needed.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::{AddressFamily, ErrorKind, Target};

use super::support::namespaces::{self, FAR_ADDRESS, Far, from_digits, ip, run, to_digits};
use super::*;
use crate::given::talk;

/// Where the XMPP server and the name server are: behind the proxy.
const BEHIND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// Runs `scenario` in the near namespace, which has a route to everywhere through the other end of the link.
fn inside(test: &str, scenario: impl FnOnce(&Near)) {
    namespaces::inside(test, |far| scenario(&Near::set_up(far)), serve);
}

fn serve() -> (XmppServer, DnsServer, [ProxyServer; 2]) {
    ip(&["address", "add", &format!("{BEHIND}/32"), "dev", "lo"]);
    let authority = Authority::new();
    let config = authority.server(&[DOMAIN, "abcdefgh.onion"]);
    let server = XmppServer::start_at((BEHIND, 5222).into(), vec![script(config, TlsMode::StartTls)]);
    let zone = Zone::new()
        .srv(XMPP, 0, 0, 5222, "host.example.org")
        .address("host.example.org", &BEHIND.to_string());
    let dns = DnsServer::start_at(BEHIND.into(), zone);
    let known = |script: ProxyScript| {
        let hosts = ["host.example.org", DOMAIN, "abcdefgh.onion"];
        let script = hosts.iter().fold(script, |script, host| script.host(host, &BEHIND.to_string()));
        ProxyServer::start_at((Ipv4Addr::UNSPECIFIED, 0).into(), script)
    };
    let proxies = scripts().map(known);
    let ports = proxies.each_ref().map(|proxy| proxy.addr().port());
    println!("\nservers {} {} {} {}", dns.addr(), ports[0], ports[1], to_digits(&authority.root_der()));
    (server, dns, proxies)
}

/// The near namespace, in which the test runs.
struct Near {
    dns: SocketAddr,
    proxies: [(String, u16); 2],
    root: CertificateDer<'static>,
    wire: Capture,
    _far: Far,
}

impl Near {
    fn set_up(mut far: Far) -> Self {
        let said = far.said("servers");
        let words: Vec<_> = said.split(' ').collect();
        far.link();
        ip(&["route", "add", "default", "via", &FAR_ADDRESS.to_string()]);
        let proxy = |scheme: &str, port: &str| {
            (format!("{scheme}://{FAR_ADDRESS}:{port}"), port.parse::<u16>().unwrap())
        };
        Self {
            dns: words[0].parse().unwrap(),
            proxies: [proxy("socks5", words[1]), proxy("http", words[2])],
            root: CertificateDer::from(from_digits(words[3])),
            wire: Capture::start(),
            _far: far,
        }
    }

    fn builder(&self) -> ConnectorBuilder {
        Connector::builder().only_roots([self.root.clone()]).nameservers([self.dns])
    }

    /// Asserts that all packets since the last call were TCP segments to or from a proxy. Returns how many there were.
    fn expect_only_proxies(&self) -> usize {
        let packets = self.wire.packets();
        for packet in &packets {
            let is_with = |(_, port): &(_, u16)| packet.is_tcp_with(FAR_ADDRESS, *port);
            assert!(self.proxies.iter().any(is_with), "a packet went past the proxy: {packet:?}");
        }
        packets.len()
    }
}

/// Everything that leaves or enters this namespace.
struct Capture(Socket);

/// A frame of Ethernet.
#[derive(Debug)]
struct Packet(Vec<u8>);

impl Capture {
    fn start() -> Self {
        // ETH_P_ALL, in network byte order.
        let all = Protocol::from(i32::from(3_u16.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.set_recv_buffer_size(4 << 20).unwrap();
        Self(socket)
    }

    fn packets(&self) -> Vec<Packet> {
        let (mut packets, mut buffer) = (Vec::new(), [0; 65_536]);
        while let Ok(length) = (&self.0).read(&mut buffer) {
            packets.push(Packet(buffer[..length].to_vec()));
        }
        packets
    }
}

impl Packet {
    /// Whether it is a segment to or from this address and port.
    fn is_tcp_with(&self, address: Ipv4Addr, port: u16) -> bool {
        let (ethernet, rest) = self.0.split_at(14);
        let is_ipv4_tcp = ethernet[12..] == [8, 0] && rest[9] == 6;
        let header = usize::from(rest[0] & 0xf) * 4;
        let ends =
            [(&rest[12..16], &rest[header..header + 2]), (&rest[16..20], &rest[header + 2..header + 4])];
        is_ipv4_tcp && ends.contains(&(&address.octets(), &port.to_be_bytes()))
    }
}

// rule B13
#[test]
#[ignore = "needs network namespaces: unshare, nsenter, ip"]
fn not_one_packet_goes_past_the_proxy() {
    inside("sealed::not_one_packet_goes_past_the_proxy", |near| {
        for (url, _) in &near.proxies {
            let through = |dns_use| near.builder().proxy(url.parse().unwrap()).dns_use(dns_use);
            for dns_use in [DnsUse::Srv, DnsUse::All, DnsUse::Nothing] {
                let mut connection = through(dns_use).build().unwrap().connect(DOMAIN).unwrap();
                talk(&mut connection);
                let looked_up = connection.report().lookups().len();
                drop(connection);
                let packets = near.expect_only_proxies();
                println!("{url} {dns_use:?}: {packets} packets, {looked_up} lookups");
                assert!(packets > 10);
            }
            // Nor when it fails.
            let target = Target::new("host.example.org", 9, TlsMode::Direct).unwrap();
            let error = through(DnsUse::All).build().unwrap().connect_to(DOMAIN, target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Attempts);
            let onion = through(DnsUse::Srv).build().unwrap();
            talk(&mut onion.connect("abcdefgh.onion").unwrap());
            assert!(near.expect_only_proxies() > 10);
        }

        // What goes past it would have been seen.
        let direct = near.builder().address_family(AddressFamily::Ipv4Only).build().unwrap();
        direct.connect(DOMAIN).unwrap();
        let past = near.wire.packets();
        let is_to = |packet: &&Packet| packet.is_tcp_with(BEHIND, 5222);
        assert!(past.iter().filter(is_to).count() > 5 && !past.iter().all(|packet| is_to(&packet)));
    });
}

// rule B13
#[test]
#[ignore = "needs network namespaces: unshare, nsenter, ip"]
fn without_a_name_server_that_the_proxy_can_reach_the_error_says_so() {
    inside("sealed::without_a_name_server_that_the_proxy_can_reach_the_error_says_so", |near| {
        let (url, _) = &near.proxies[0];
        let builder = || Connector::builder().only_roots([near.root.clone()]).proxy(url.parse().unwrap());
        let file = std::env::temp_dir().join(format!("resolv.conf.{}", std::process::id()));
        fs::write(&file, "nameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1\n").unwrap();
        run(&["mount", "--bind", file.to_str().unwrap(), "/etc/resolv.conf"]);
        fs::remove_file(&file).unwrap();
        let error = builder().build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!((error.kind(), error.is_permanent()), (ErrorKind::Lookup, false));
        assert!(error.to_string().contains(".nameservers("), "{error}");
        assert!(error.report().is_some_and(|report| report.attempts().is_empty()));
        assert_eq!(near.wire.packets().len(), 0);
        // Without DNS, none is needed.
        builder().dns_use(DnsUse::Nothing).build().unwrap().connect(DOMAIN).unwrap();
        assert!(near.expect_only_proxies() > 10);
    });
}
