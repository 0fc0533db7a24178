//! Faults of servers and of the way to them: fault, finding.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};

use xmpp_connect::TlsMode::{Direct, StartTls};

use crate::given::{DOMAIN, XMPP};
use crate::support::addresses::own_loopback;
use crate::support::xmpp::{FAILURE, HTTP, PROCEED, SASL_FEATURES, header_without_version, stream_error};
use crate::support::{Authority, BlackHole, Identity, Refused, Script, ServerTls, Stage, Step, XmppServer};
use crate::world::{LIMIT, Row, World, authority, direct, hold, ids, loopback, sound, starttls};

/// The records of these rows are as few as possible.
const ABOUT_RECORDS: [&str; 3] = ["no-direct-tls", "no-starttls", "no-ipv6"];

pub(crate) fn direct_with(identity: Identity) -> Script {
    sound(Script::direct(ServerTls::new(identity).config()))
}

pub(crate) fn starttls_with(identity: Identity) -> Script {
    sound(Script::starttls(ServerTls::new(identity).config()))
}

/// A good certificate, whose last day is `days` from now.
pub(crate) fn expiring(days: u64) -> Identity {
    authority().issue_with(&[DOMAIN], |parameters| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        parameters.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(days * 86_400);
    })
}

pub(crate) const CERTIFICATES: &[Row] = &[
    (
        "wrong name",
        || World::of(Direct, direct_with(authority().issue(&["other.example"]))),
        &["certificate-wrong-name"],
    ),
    (
        "wrong name, STARTTLS",
        || World::of(StartTls, starttls_with(authority().issue(&["other.example"]))),
        &["certificate-wrong-name"],
    ),
    ("no name", || World::of(Direct, direct_with(authority().issue(&[]))), &["certificate-wrong-name"]),
    ("expired", || World::of(Direct, direct_with(authority().expired(&[DOMAIN]))), &["certificate-expired"]),
    (
        "not yet valid",
        || World::of(StartTls, starttls_with(authority().not_yet_valid(&[DOMAIN]))),
        &["certificate-not-yet-valid"],
    ),
    (
        "self-signed",
        || World::of(Direct, direct_with(Identity::self_signed(&[DOMAIN]))),
        &["certificate-self-signed"],
    ),
    (
        "private authority",
        || World::of(StartTls, starttls_with(Authority::new().issue_by_intermediate(&[DOMAIN]))),
        &["certificate-untrusted"],
    ),
    (
        "certificate of an authority",
        || {
            let of_authority = |parameters: &mut CertificateParams| {
                parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            };
            World::of(Direct, direct_with(authority().issue_with(&[DOMAIN], of_authority)))
        },
        &["certificate-of-authority"],
    ),
    ("expires in ten days", || World::of(Direct, direct_with(expiring(10))), &["certificate-expires-soon"]),
    ("expires tomorrow", || World::of(StartTls, starttls_with(expiring(1))), &["certificate-expires-soon"]),
    (
        "missing intermediate",
        || {
            let mut identity = authority().issue_by_intermediate(&[DOMAIN]);
            identity.chain.truncate(1);
            World::of(Direct, direct_with(identity))
        },
        &["certificate-no-intermediate"],
    ),
    ("intermediate", || World::of(Direct, direct_with(authority().issue_by_intermediate(&[DOMAIN]))), &[]),
];

#[test]
fn certificates() {
    hold(CERTIFICATES, &ABOUT_RECORDS);
}

pub(crate) const WAYS_TO_A_SERVER: &[Row] = &[
    (
        "refused",
        || {
            let refused = Refused::new();
            World::at(Direct, refused.addr()).with_other(refused)
        },
        &["refused"],
    ),
    (
        "black hole",
        || {
            let hole = BlackHole::new();
            World::at(StartTls, hole.addr()).with_other(hole)
        },
        &["no-answer"],
    ),
    (
        "IPv6 broken",
        || World::of(Direct, direct()).zone(|zone| zone.address("host.example.org", "::1")),
        &["ipv6-broken"],
    ),
    (
        "one of two IPv4 addresses refuses",
        || {
            let other = own_loopback(79).to_string();
            World::of(StartTls, starttls()).zone(|zone| zone.address("host.example.org", &other))
        },
        &["refused"],
    ),
    ("silent, direct TLS", || World::of(Direct, Script::silent()), &["silent"]),
    ("silent, STARTTLS", || World::of(StartTls, Script::silent()), &["silent"]),
    ("closed at once", || World::of(Direct, Script::silent().then(Step::Close)), &["closed"]),
    ("reset at once", || World::of(StartTls, Script::silent().then(Step::Reset)), &["closed"]),
];

#[test]
fn ways_to_a_server() {
    hold(WAYS_TO_A_SERVER, &ABOUT_RECORDS);
}

/// No server has an address of this kind, and connecting to one sends nothing. Where this machine has a route to it, the
/// error is the one that a router or a firewall on the way causes.
#[test]
fn an_error_that_a_router_may_have_caused_is_not_blamed_on_this_machine() {
    let address: SocketAddr = "224.0.0.1:5222".parse().unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let expected = if socket.connect(address).is_ok() { "unreachable" } else { "this-machine" };
    let found = ids(&World::at(StartTls, address).check());
    assert!(found.contains(&expected), "{found:?}");
}

#[test]
fn what_this_machine_cannot_even_route_is_blamed_on_it() {
    let broadcast = "255.255.255.255:5222".parse().unwrap();
    let found = ids(&World::at(StartTls, broadcast).check());
    assert!(found.contains(&"this-machine"), "{found:?}");
}

pub(crate) const WHAT_IS_NO_XMPP: &[Row] = &[
    ("garbage", || World::of(StartTls, Script::silent().then(Step::send("%&/()=?"))), &["not-xmpp"]),
    (
        "garbage, direct TLS",
        || World::of(Direct, Script::silent().then(Step::send("%&/()=?"))),
        &["tls-fails"],
    ),
    (
        "web server",
        || World::of(StartTls, Script::silent().then(Step::send(HTTP)).then(Step::Close)),
        &["not-xmpp"],
    ),
    (
        "never ends",
        || {
            let end = Step::SendForEver(b"<a/>".to_vec());
            World::of(StartTls, starttls().instead(Stage::Features, &[end]))
        },
        &["not-xmpp"],
    ),
    (
        "web server behind _xmpps",
        || {
            let steps = [Step::AwaitHeader, Step::send(HTTP), Step::Close];
            World::of(Direct, direct().instead(Stage::SecureHeader, &steps).until(Stage::SecureFeatures))
        },
        &["no-xmpp-over-tls"],
    ),
    ("silent over TLS", || World::of(Direct, direct().until(Stage::SecureHeader)), &["no-xmpp-over-tls"]),
    (
        "closes after TLS",
        || World::of(StartTls, starttls().until(Stage::SecureHeader).then(Step::Close)),
        &["no-xmpp-over-tls"],
    ),
    ("other domain", || World::of(Direct, direct().hosts(&["other.example"])), &["host-unknown"]),
    (
        "stream error",
        || {
            let error = Step::send(stream_error("policy-violation"));
            World::of(Direct, direct().instead(Stage::SecureFeatures, &[error]))
        },
        &["stream-error"],
    ),
    (
        "no version",
        || {
            let header = Step::send(header_without_version(DOMAIN));
            let steps = [Step::AwaitHeader, header, Step::Close];
            World::of(StartTls, starttls().instead(Stage::Header, &steps).until(Stage::Features))
        },
        &["not-xmpp"],
    ),
];

#[test]
fn what_is_no_xmpp() {
    hold(WHAT_IS_NO_XMPP, &ABOUT_RECORDS);
}

pub(crate) const NEGOTIATIONS: &[Row] = &[
    (
        "STARTTLS refused",
        || {
            let steps = [Step::AwaitStartTls, Step::send(FAILURE), Step::Close];
            World::of(StartTls, starttls().instead(Stage::Proceed, &steps).until(Stage::Tls))
        },
        &["starttls-not-offered"],
    ),
    (
        "offer stripped",
        || World::of(StartTls, starttls().instead(Stage::Features, &[Step::send(SASL_FEATURES)])),
        &["starttls-offer-missing"],
    ),
    (
        "no STARTTLS",
        || {
            let features = [Step::send(SASL_FEATURES), Step::Silence];
            let script = starttls().instead(Stage::Features, &features).until(Stage::Proceed);
            // The library waits 3 s for an answer.
            World { limit: LIMIT * 2, ..World::of(StartTls, script) }
        },
        &["starttls-not-offered"],
    ),
    (
        "injected bytes",
        || {
            let bytes = Step::send(format!("{PROCEED}<iq/>"));
            World::of(StartTls, starttls().instead(Stage::Proceed, &[Step::AwaitStartTls, bytes]))
        },
        &["injected-bytes"],
    ),
    (
        "pipelining breaks",
        || {
            let reset = starttls().until(Stage::Proceed).then(Step::Reset);
            World::of_scripts(StartTls, vec![reset, starttls()])
        },
        &["pipelining-breaks"],
    ),
    (
        "ALPN refused",
        || {
            let tls = ServerTls::new(authority().issue(&[DOMAIN])).alpn(&["h2"]).config();
            World::of(Direct, sound(Script::direct(tls)))
        },
        &["alpn-refused"],
    ),
    (
        "ALPN required",
        || {
            let tls = ServerTls::new(authority().issue(&[DOMAIN])).alpn(&["xmpp-client"]).config();
            World::of(Direct, direct().instead(Stage::Tls, &[Step::SecureWithAlpn(tls)]))
        },
        &["alpn-required"],
    ),
    (
        "TLS 1.2",
        || {
            let tls = ServerTls::new(authority().issue(&[DOMAIN])).only_tls12().config();
            World::of(Direct, sound(Script::direct(tls)))
        },
        &["no-tls13"],
    ),
    (
        "client certificate required",
        || {
            let tls = ServerTls::new(authority().issue(&[DOMAIN]))
                .require_client_certificate(authority().root_der());
            World::of(Direct, sound(Script::direct(tls.config())))
        },
        &["client-certificate-required"],
    ),
    (
        "client certificate required, TLS 1.2",
        || {
            let tls = ServerTls::new(authority().issue(&[DOMAIN]))
                .only_tls12()
                .require_client_certificate(authority().root_der());
            World::of(Direct, sound(Script::direct(tls.config())))
        },
        &["client-certificate-required"],
    ),
    (
        "client certificate not required",
        || {
            let tls =
                ServerTls::new(authority().issue(&[DOMAIN])).client_certificates(authority().root_der());
            World::of(StartTls, sound(Script::starttls(tls.config())))
        },
        &[],
    ),
    (
        "cut in the TLS handshake",
        || World::of(Direct, direct().before(Stage::Tls, &[Step::Allow(100)])),
        &["silent"],
    ),
    (
        "one byte at a time",
        || World::of(StartTls, starttls().before(Stage::Header, &[Step::Drip(Duration::from_millis(400))])),
        &["silent"],
    ),
    (
        "no resumption is no fault",
        || {
            let tls = ServerTls::new(authority().issue(&[DOMAIN])).without_resumption().config();
            World::of(Direct, sound(Script::direct(tls)))
        },
        &[],
    ),
    (
        "resumption breaks",
        || {
            let broken = Script::silent().then(Step::AwaitHello).then(Step::Reset);
            World::of_scripts(Direct, vec![direct(), broken, direct()])
        },
        &["resumption-broken"],
    ),
];

#[test]
fn negotiations() {
    hold(NEGOTIATIONS, &ABOUT_RECORDS);
}

pub(crate) const FEATURES: &[Row] = &[
    (
        "no mechanisms",
        || {
            let features = Step::send("<stream:features/>");
            World::of(Direct, direct().instead(Stage::SecureFeatures, &[features]))
        },
        &["no-mechanisms"],
    ),
    (
        "channel binding types not said",
        || World::of(StartTls, Script::starttls(authority().server(&[DOMAIN]))),
        &["no-channel-binding-types"],
    ),
    (
        "mechanisms differ",
        || {
            let plain = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN\
                    </mechanism></mechanisms></stream:features>";
            let script = starttls().instead(Stage::SecureFeatures, &[Step::send(plain)]);
            let other = XmppServer::start_at(SocketAddr::new(loopback(), 0), vec![script]);
            let port = other.port();
            let world = World::of(Direct, direct()).with(other);
            world.zone(|zone| zone.srv(XMPP, 0, 0, port, "host.example.org"))
        },
        &["mechanisms-differ"],
    ),
];

#[test]
fn features() {
    hold(FEATURES, &ABOUT_RECORDS);
}
