//! Nothing that a caller keeps secret is in a log, an error, a report or the debug text of a type; nothing is sent in clear.
//!
//! It has one test only, since a process has one logger.

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

mod given;
mod support;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use log::{LevelFilter, Log, Metadata, Record};
use rustls::pki_types::PrivateKeyDer;
use xmpp_connect::{Connection, Connector, ConnectorBuilder, Error, OpenStream, Target, TlsMode};

use given::{DOMAIN, chain};
use support::{
    After, Authority, DnsServer, Identity, PATIENCE, ProxyScript, ProxyServer, Script, ServerTls, Stage,
    Step, XmppServer, Zone,
};

const PROXY_PASSWORD: &str = "proxy-pA55word";
const WRONG_PASSWORD: &str = "wrong-pA55word";
const FIRST_FLIGHT: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>in-the-first-flight</auth>";
const WRITTEN: &str = "<message><body>written-later</body></message>";
/// The local part of the JID: no secret from the logs, but to be sent over TLS only (RFC 6120 section 4.7.1).
const LOCAL_PART: &str = "juliet-capulet";

/// All that is logged, at every level, by this crate and by rustls.
static LOGGED: Mutex<String> = Mutex::new(String::new());

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut logged = LOGGED.lock().unwrap();
        writeln!(logged, "{} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

/// The texts in which octets could be found: as they are, and as base64 (wherever it begins), hexadecimal and debug text.
fn forms(secret: &[u8]) -> Vec<String> {
    let list = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let hex = |upper: bool| -> String {
        secret
            .iter()
            .map(|octet| if upper { format!("{octet:02X}") } else { format!("{octet:02x}") })
            .collect()
    };
    let mut forms = vec![list, hex(false), hex(true), secret.escape_ascii().to_string()];
    forms.push(String::from_utf8_lossy(secret).into_owned());
    for before in 0..3 {
        let shifted = [vec![0; before], secret.to_vec()].concat();
        let text = STANDARD.encode(shifted);
        // The characters that stand for octets of the secret alone.
        let whole = (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6;
        forms.push(text.get(whole).unwrap().to_owned());
    }
    forms
}

/// What must not be found.
struct Secrets(Vec<(&'static str, Vec<String>)>);

impl Secrets {
    fn new(client: &Identity) -> Self {
        let PrivateKeyDer::Pkcs8(key) = &client.key else { unreachable!("rcgen writes PKCS #8") };
        // The private key itself is behind the header, which all keys have (RFC 5915); a part of it is enough.
        let key = key.secret_pkcs8_der().get(36..52).unwrap();
        let secrets: [(&str, &[u8]); 5] = [
            ("the proxy's password", PROXY_PASSWORD.as_bytes()),
            ("a wrong password", WRONG_PASSWORD.as_bytes()),
            ("the first flight", b"in-the-first-flight"),
            ("what was written", b"written-later"),
            ("the private key", key),
        ];
        Self(secrets.map(|(what, secret)| (what, forms(secret))).to_vec())
    }

    fn find(&self, text: &str) -> Option<&'static str> {
        let found = self.0.iter().find(|(_, forms)| forms.iter().any(|form| text.contains(&**form)));
        found.map(|(what, _)| *what)
    }

    fn assert_not_in(&self, place: &str, text: &str) {
        assert_eq!(self.find(text), None, "found in {place}: {text}");
    }

    fn assert_not_in_error(&self, error: &Error) {
        self.assert_not_in("an error", &format!("{} {error} {error:?} {error:#?}", chain(error)));
        if let Some(report) = error.report() {
            self.assert_not_in("a report", &format!("{report} {report:?}"));
        }
    }
}

/// The authority of all certificates, the client's among them, and what must not be found.
struct World {
    authority: Authority,
    client: Identity,
    secrets: Secrets,
}

/// How a server ends: at `stage` with `step`, or not at all.
type Ending = Option<(Stage, Step)>;

struct Bed<'a> {
    world: &'a World,
    tls: TlsMode,
    server: XmppServer,
    proxy: ProxyServer,
    _dns: DnsServer,
    builder: ConnectorBuilder,
}

impl<'a> Bed<'a> {
    fn new(world: &'a World, tls: TlsMode, proxy: ProxyScript, password: &str, ending: Ending) -> Self {
        let authority = &world.authority;
        let config = ServerTls::new(authority.issue(&[DOMAIN]));
        let config = config.client_certificates(authority.root_der()).config();
        let script = match tls {
            TlsMode::Direct => Script::direct(config),
            TlsMode::StartTls => Script::starttls(config),
        };
        let script = match ending {
            Some((stage, step)) => script.until(stage).then(step),
            None => script,
        };
        let server = XmppServer::start(script);
        let proxy = ProxyServer::start(proxy);
        let dns =
            DnsServer::start(Zone::new().srv(given::owner(tls), 0, 0, server.port(), "host.example.org"));
        let url = proxy.url_with(&format!("user:{password}"));
        let builder = given::builder(authority, &dns).proxy(url.parse().unwrap());
        Self { world, tls, server, proxy, _dns: dns, builder }
    }

    /// A connect to the domain, with all that is secret.
    fn connect(&self, limit: Duration) -> Result<Connection, Error> {
        let World { client, secrets, .. } = self.world;
        let key = client.key.clone_key();
        let builder = self.builder.clone().client_certificate(client.chain.clone(), key).timeout(limit);
        secrets.assert_not_in("a builder", &format!("{builder:?} {builder:#?}"));
        let connector = builder.build().unwrap();
        let mut attempts = connector.attempts(DOMAIN).unwrap();
        let jid = format!("{LOCAL_PART}@{DOMAIN}");
        let open_stream = OpenStream::new().jid(&jid).unwrap().first_flight(FIRST_FLIGHT);
        secrets.assert_not_in("the options of a stream", &format!("{open_stream:?}"));
        attempts.open_stream(open_stream);
        let events = std::sync::Arc::new(Mutex::new(String::new()));
        let seen = std::sync::Arc::clone(&events);
        attempts.observe(move |event| writeln!(seen.lock().unwrap(), "{event} {event:?}").unwrap());
        let result = attempts.connect_next();
        secrets.assert_not_in("a connector", &format!("{connector:?} {connector:#?}"));
        secrets.assert_not_in("attempts", &format!("{attempts:?} {attempts:#?}"));
        secrets.assert_not_in("events", &events.lock().unwrap());
        result
    }

    /// Before TLS, nobody is named, and nothing secret is sent.
    fn assert_clear_bytes(&self) {
        for record in self.server.records() {
            let clear = record.clear_reads().concat();
            assert!(!clear.contains(LOCAL_PART) && !clear.contains("from="), "{clear:?}");
            self.world.secrets.assert_not_in("clear text", &clear);
        }
    }
}

fn proxies() -> [ProxyScript; 2] {
    [ProxyScript::socks5(), ProxyScript::http()].map(|script| script.credentials("user", PROXY_PASSWORD))
}

// rule B13, E6, F5, G1
#[test]
fn nothing_secret_is_logged_or_in_an_error_or_sent_in_clear() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let authority = Authority::new();
    let client = authority.issue(&["client.example"]);
    let world = World { authority, secrets: Secrets::new(&client), client };
    let World { client, secrets, .. } = &world;
    // They would be found.
    for (what, text) in [
        ("the proxy's password", format!("Basic {}", STANDARD.encode(format!("user:{PROXY_PASSWORD}")))),
        ("the private key", format!("{:?}", client.key.secret_der())),
        ("what was written", format!("{:?}", WRITTEN.as_bytes())),
    ] {
        assert_eq!(secrets.find(&text), Some(what));
    }
    a_working_connection(&world);
    failures_at_every_stage(&world);
    proxies_that_refuse(&world);
    options_that_are_refused(&world);
    let logged = LOGGED.lock().unwrap();
    // The log has the events of this crate, and what rustls says.
    assert!(logged.contains("xmpp_connect") && logged.contains("rustls"), "{logged}");
    secrets.assert_not_in("the log", &logged);
}

fn a_working_connection(world: &World) {
    let secrets = &world.secrets;
    for tls in [TlsMode::Direct, TlsMode::StartTls] {
        for proxy in proxies() {
            let bed = Bed::new(world, tls, proxy, PROXY_PASSWORD, None);
            let mut connection = bed.connect(PATIENCE).unwrap();
            connection.set_read_timeout(Some(PATIENCE)).unwrap();
            connection.write_all(WRITTEN.as_bytes()).unwrap();
            let mut read = String::new();
            while !read.contains("written-later") {
                let mut buffer = [0; 4096];
                let length = connection.read(&mut buffer).unwrap();
                read += std::str::from_utf8(buffer.get(..length).unwrap()).unwrap();
            }
            assert!(read.contains("in-the-first-flight"), "the first flight was echoed: {read}");
            let report = connection.report().clone();
            secrets.assert_not_in("a report", &format!("{report} {report:?}"));
            secrets.assert_not_in("a connection", &format!("{connection:?} {connection:#?}"));
            let bindings = connection.channel_bindings();
            assert!(!bindings.is_empty());
            for binding in bindings {
                let shown = format!("{binding:?} {binding:#?}");
                assert!(!forms(binding.data()).iter().any(|form| shown.contains(&**form)), "{shown}");
            }
            let (read, write) = connection.split();
            secrets.assert_not_in("the halves", &format!("{read:?} {write:?}"));
            let parts = read.reunite(write).unwrap().into_parts().unwrap();
            secrets.assert_not_in("the parts", &format!("{parts:?}"));
            assert_eq!(bed.server.wait_secured(0).client_certificates, 1);
            assert!(
                bed.server
                    .records()
                    .iter()
                    .any(|record| { record.headers.iter().any(|header| header.contains(LOCAL_PART)) })
            );
            bed.assert_clear_bytes();
        }
    }
}

fn failures_at_every_stage(world: &World) {
    let secrets = &world.secrets;
    let clear = [Stage::Header, Stage::Features, Stage::Proceed];
    let over_tls = [Stage::Tls, Stage::SecureHeader, Stage::SecureFeatures];
    for (tls, stages) in
        [(TlsMode::Direct, over_tls.to_vec()), (TlsMode::StartTls, [clear, over_tls].concat())]
    {
        for stage in stages {
            for step in [Step::Close, Step::Reset, Step::send("<what?"), Step::Silence] {
                let limit = if matches!(step, Step::Silence) { Duration::from_millis(150) } else { PATIENCE };
                let socks = proxies().into_iter().next().unwrap();
                let bed = Bed::new(world, tls, socks, PROXY_PASSWORD, Some((stage, step)));
                secrets.assert_not_in_error(&bed.connect(limit).unwrap_err());
                bed.assert_clear_bytes();
            }
        }
    }
}

fn proxies_that_refuse(world: &World) {
    let secrets = &world.secrets;
    let connect = |proxy, password| {
        let bed = Bed::new(world, TlsMode::Direct, proxy, password, None);
        secrets.assert_not_in_error(&bed.connect(PATIENCE).unwrap_err());
        let target = Target::new("host.example.org", bed.server.port(), bed.tls).unwrap();
        let url = bed.proxy.url_with(&format!("user:{password}"));
        let builder =
            Connector::builder().only_roots([world.authority.root_der()]).proxy(url.parse().unwrap());
        let error = builder.build().unwrap().connect_to(DOMAIN, target).unwrap_err();
        secrets.assert_not_in_error(&error);
    };
    for proxy in proxies() {
        connect(proxy.clone(), WRONG_PASSWORD);
        connect(proxy.answer(b"HTTP/1.1 500 no\r\n\r\n", After::Close), PROXY_PASSWORD);
    }
    // One that repeats what it was sent.
    let basic = STANDARD.encode(format!("user:{PROXY_PASSWORD}"));
    let repeats =
        format!("HTTP/1.1 403 Forbidden\r\nProxy-Authorization: Basic {basic}\r\n\r\n{PROXY_PASSWORD}");
    connect(ProxyScript::http().answer(repeats.as_bytes(), After::Close), PROXY_PASSWORD);
    let reason = format!("HTTP/1.1 407 Basic {basic}\r\n\r\n");
    connect(ProxyScript::http().answer(reason.as_bytes(), After::Close), PROXY_PASSWORD);
    let not_http = format!("Basic {basic}\r\n");
    connect(ProxyScript::http().answer(not_http.as_bytes(), After::Close), PROXY_PASSWORD);
}

fn options_that_are_refused(world: &World) {
    let secrets = &world.secrets;
    let proxy = format!("socks5://user:{PROXY_PASSWORD}@192.0.2.1:1080");
    let builder = Connector::builder().proxy(proxy.parse().unwrap()).interface("lo");
    secrets.assert_not_in_error(&builder.filter(|_, _| true).build().unwrap_err());
    // The key of another certificate.
    let key = Authority::new().issue(&["client.example"]);
    let builder = Connector::builder().client_certificate(key.chain, world.client.key.clone_key());
    secrets.assert_not_in_error(&builder.build().unwrap_err());
    for url in ["socks4://user:SECRET@host:1", "http://user:SECRET@host:x", "socks5://us%zzer:SECRET@host:1"]
    {
        let error = url.replace("SECRET", PROXY_PASSWORD).parse::<xmpp_connect::Proxy>().unwrap_err();
        secrets.assert_not_in("the error of a URL", &format!("{error} {error:?}"));
    }
}
