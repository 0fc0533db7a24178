//! The places where a connect can end, with peers that make it end there.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use xmpp_connect::report::Stage as At;
use xmpp_connect::{Attempts, Connector, ConnectorBuilder, Error, ErrorKind, OpenStream, Target, TlsMode};

use crate::given::{self, DOMAIN};
use crate::support::{
    Authority, Behaviour, BlackHole, DnsServer, OverTcp, Rcode, Refused, Script, Stage, Step, XmppServer,
    Zone,
};

/// How a connect ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer closes the connection, or refuses.
    Closed,
    /// The peer resets the connection, or sends half an answer.
    Reset,
    /// The peer sends without end.
    Flooded,
    /// The peer is silent until the limit.
    TimedOut,
    /// The peer is silent until the connect is cancelled.
    Cancelled,
}

impl Ending {
    pub(crate) const ALL: [Self; 5] =
        [Self::Closed, Self::Reset, Self::Flooded, Self::TimedOut, Self::Cancelled];

    /// What a server does.
    fn step(self) -> Step {
        match self {
            Self::Closed => Step::Close,
            Self::Reset => Step::Reset,
            Self::Flooded => Step::SendForEver(b"<a b='c'>  ".repeat(400)),
            Self::TimedOut | Self::Cancelled => Step::Silence,
        }
    }
}

/// Where a connect ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Dns,
    DnsOverTcp,
    Tcp,
    Socks5,
    HttpConnect,
    /// A stage of the server, in a TLS mode.
    Server(TlsMode, Stage),
}

impl Place {
    pub(crate) const ALL: [Self; 13] = [
        Self::Dns,
        Self::DnsOverTcp,
        Self::Tcp,
        Self::Socks5,
        Self::HttpConnect,
        Self::Server(TlsMode::StartTls, Stage::Header),
        Self::Server(TlsMode::StartTls, Stage::Features),
        Self::Server(TlsMode::StartTls, Stage::Proceed),
        Self::Server(TlsMode::StartTls, Stage::Tls),
        Self::Server(TlsMode::Direct, Stage::Tls),
        Self::Server(TlsMode::Direct, Stage::SecureHeader),
        Self::Server(TlsMode::StartTls, Stage::SecureHeader),
        Self::Server(TlsMode::Direct, Stage::SecureFeatures),
    ];

    /// The stage that the report of a connect names, if that got so far.
    fn stage(self) -> Option<At> {
        match self {
            Self::Dns | Self::DnsOverTcp => None,
            Self::Tcp => Some(At::Tcp),
            Self::Socks5 | Self::HttpConnect => Some(At::Proxy),
            Self::Server(_, Stage::Header | Stage::Features | Stage::Proceed) => Some(At::StartTls),
            Self::Server(_, Stage::Tls) => Some(At::Tls),
            Self::Server(_, Stage::SecureHeader | Stage::SecureFeatures | Stage::Echo) => Some(At::Stream),
        }
    }
}

/// The healthy course of a server.
pub(crate) fn script(authority: &Authority, tls: TlsMode) -> Script {
    let config = authority.server(&[DOMAIN]);
    match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    }
}

/// A connect that ends in one way at one place.
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) ending: Ending,
    place: Place,
    pub(crate) builder: ConnectorBuilder,
    /// Connected to in place of the servers of the domain.
    target: Option<Target>,
    _peer: Arc<dyn Any>,
}

impl Scene {
    /// `None` where this ending makes no sense.
    pub(crate) fn new(authority: &Authority, place: Place, ending: Ending) -> Option<Self> {
        // No session tickets: how many there are would depend on the moment of the end.
        let builder = Connector::builder().only_roots([authority.root_der()]).resumption(false);
        let roots = || builder.clone().open_stream(OpenStream::new());
        let server = |tls, port| Some(Target::new("127.0.0.1", port, tls).unwrap());
        let (builder, target, peer): (_, _, Arc<dyn Any>) = match place {
            Place::Dns | Place::DnsOverTcp => {
                let dns = DnsServer::start(Zone::new().on_everything(dns_behaviour(place, ending)?));
                let builder = roots().nameservers([dns.addr()]);
                let builder = match ending {
                    // Which otherwise goes on to ask the only server there is.
                    Ending::Closed | Ending::Reset => builder.lookup_timeout(Duration::from_millis(20)),
                    Ending::Flooded | Ending::TimedOut | Ending::Cancelled => builder,
                };
                (builder, None, Arc::new(dns))
            }
            Place::Tcp => match ending {
                Ending::Closed => {
                    let refused = Refused::new();
                    (roots(), server(TlsMode::Direct, refused.addr().port()), Arc::new(refused))
                }
                Ending::TimedOut | Ending::Cancelled => {
                    let hole = BlackHole::new();
                    (roots(), server(TlsMode::Direct, hole.addr().port()), Arc::new(hole))
                }
                Ending::Reset | Ending::Flooded => return None,
            },
            Place::Socks5 | Place::HttpConnect => {
                let proxy = XmppServer::start(Script::silent().then(ending.step()));
                let scheme = if place == Place::Socks5 { "socks5" } else { "http" };
                let url = format!("{scheme}://user:password@{}", proxy.addr());
                (roots().proxy(url.parse().unwrap()), server(TlsMode::Direct, 5223), Arc::new(proxy))
            }
            Place::Server(tls, stage) => {
                let peer = XmppServer::start(script(authority, tls).until(stage).then(ending.step()));
                (roots(), server(tls, peer.port()), Arc::new(peer))
            }
        };
        let name = match place {
            Place::Server(tls, stage) => format!("{tls}, {stage:?}: {ending:?}"),
            place => format!("{place:?}: {ending:?}"),
        };
        Some(Self { name, ending, place, builder, target, _peer: peer })
    }

    pub(crate) fn attempts(&self, connector: &Connector) -> Attempts {
        match &self.target {
            Some(target) => connector.attempts_to(DOMAIN, target.clone()).unwrap(),
            None => connector.attempts(DOMAIN).unwrap(),
        }
    }

    /// Whether the connect has ended at the place.
    pub(crate) fn is_reached(&self, error: &Error) -> bool {
        let expected: &[ErrorKind] = match self.ending {
            Ending::Cancelled => &[ErrorKind::Cancelled],
            Ending::TimedOut => &[ErrorKind::TimedOut],
            Ending::Closed | Ending::Reset | Ending::Flooded => &[ErrorKind::Attempts, ErrorKind::Lookup],
        };
        let (kind, report) = (error.kind(), error.report().unwrap());
        assert!(expected.contains(&kind), "{}: {kind:?}: {}", self.name, given::chain(error));
        let Some(stage) = self.place.stage() else {
            return !report.lookups().is_empty();
        };
        let last = report.attempts().last().map(|attempt| attempt.stage);
        match self.ending {
            Ending::TimedOut | Ending::Cancelled => last == Some(stage),
            // What the peer does may overtake the news that the stage before has succeeded.
            Ending::Closed | Ending::Reset | Ending::Flooded => last.is_some(),
        }
    }
}

fn dns_behaviour(place: Place, ending: Ending) -> Option<Behaviour> {
    let over_tcp = place == Place::DnsOverTcp;
    Some(match ending {
        Ending::Closed if over_tcp => Behaviour::Truncated(OverTcp::Close),
        Ending::Reset if over_tcp => Behaviour::Truncated(OverTcp::Half),
        Ending::TimedOut | Ending::Cancelled if over_tcp => Behaviour::Truncated(OverTcp::Silence),
        Ending::Closed => Behaviour::Code(Rcode::SERVFAIL),
        Ending::Reset => Behaviour::Bytes(vec![0; 40]),
        Ending::TimedOut | Ending::Cancelled => Behaviour::Silence,
        Ending::Flooded => return None,
    })
}
