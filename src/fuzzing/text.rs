//! What holds for every text that is parsed: what is accepted can be written and read again. No IO.

#![expect(clippy::unwrap_used, reason = "code of tests")]

use rustls::pki_types::ServerName;

use super::check_text;
#[cfg(feature = "starttls")]
use super::stream_header;
use crate::dns::{Question, RecordKind};
use crate::domain::{Domain, Host};
use crate::proxy::Proxy;
use crate::service::TlsMode;
use crate::target::{Place, Target};
use crate::tls::{CertificateRecord, Fingerprint};

/// Whether the text is anything.
pub(super) fn text(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let text = text.as_ref();
    let is_domain = domain(text);
    #[cfg(feature = "starttls")]
    let is_jid = stream_header::jid(text);
    #[cfg(not(feature = "starttls"))]
    let is_jid = false;
    let is_other = [is_jid, host(text), target(text), proxy(text), fingerprint(text), record(text)];
    is_domain || is_other.contains(&true)
}

/// What is accepted can also be asked for in TLS: rustls takes it, and takes it for the same kind.
pub(crate) fn domain(text: &str) -> bool {
    let of_jid = Domain::of_jid(text);
    let stream_name = Domain::new("xn--p1ai").and_then(|domain| domain.with_stream_name(text));
    for error in [of_jid.as_ref().err(), stream_name.as_ref().err()].into_iter().flatten() {
        check_text(&error.to_string());
    }
    if let Ok(named) = stream_name {
        assert_eq!(named.as_ascii(), "xn--p1ai");
    }
    let domain = match Domain::new(text) {
        Ok(domain) => domain,
        Err(error) => {
            check_text(&error.to_string());
            return false;
        }
    };
    let ascii = domain.as_ascii();
    assert_eq!(of_jid.as_ref(), Ok(&domain));
    for same in [ascii, domain.as_unicode(), &domain.to_string(), &format!("{ascii}.")] {
        assert_eq!(Domain::new(same).as_ref(), Ok(&domain), "{same}");
    }
    assert_eq!(Domain::of_jid(&format!("a@{text}/b@c")).as_ref(), Ok(&domain));
    assert_eq!(domain.clone().with_stream_name(text).as_ref(), Ok(&domain));
    assert_eq!(ascii, domain.host().to_string());
    check_text(domain.as_unicode());
    let server_name = ServerName::try_from(ascii).unwrap();
    match domain.host() {
        Host::Name(name) => {
            assert!(matches!(server_name, ServerName::DnsName(_)));
            assert!(ascii.len() <= 253 && ascii.split('.').all(|label| (1..=63).contains(&label.len())));
            assert!(ascii.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')), "{ascii}");
            assert_eq!(Host::of_srv_target(name).as_ref(), Ok(domain.host()));
        }
        Host::Address(address) => {
            assert!(matches!(server_name, ServerName::IpAddress(_)));
            assert_eq!(ascii.parse(), Ok(*address));
        }
    }
    #[cfg(feature = "starttls")]
    stream_header::of(&domain, text);
    true
}

fn host(text: &str) -> bool {
    let target = Host::of_srv_target(text);
    let question = Question::new(text, RecordKind::Ipv4);
    assert_eq!(question.name(), text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase());
    if let Ok(target) = &target {
        assert_eq!(Host::of_srv_target(&target.to_string()).as_ref(), Ok(target));
        assert_eq!(Host::parse(text).as_ref(), Ok(target), "whoever names it");
        if let Some(name) = target.srv_name("_xmpps-client._tcp") {
            assert!(name.len() <= 253 && name.ends_with(&target.to_string()));
        }
    }
    let host = match Host::parse(text) {
        Ok(host) => host,
        Err(error) => {
            check_text(&error.to_string());
            return false;
        }
    };
    assert_eq!(Host::parse(&host.to_string()).as_ref(), Ok(&host));
    match &host {
        Host::Name(name) => assert_eq!(Host::of_srv_target(name).as_ref(), Ok(&host)),
        Host::Address(address) => assert_eq!(address.to_string(), host.to_string()),
    }
    let _ = host.special_use();
    true
}

fn target(text: &str) -> bool {
    for tls in [TlsMode::Direct, TlsMode::StartTls] {
        let target = match Target::see_other_host(text, tls) {
            Ok(target) => target,
            Err(error) => {
                check_text(&error.to_string());
                return false;
            }
        };
        let written = match &target.0 {
            Place::Server(server) => match &server.host {
                Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]:{}", server.port),
                host => format!("{host}:{}", server.port),
            },
            Place::SrvOf(host) => host.to_string(),
        };
        assert_eq!(Target::see_other_host(&written, tls).unwrap(), target, "{written}");
    }
    true
}

/// Neither user nor password are shown, whatever is wrong.
fn proxy(text: &str) -> bool {
    let proxy: Proxy = match text.parse() {
        Ok(proxy) => proxy,
        Err(error) => {
            check_text(&format!("{error}"));
            return false;
        }
    };
    let shown = proxy.to_string();
    check_text(&shown);
    let again: Proxy = shown.parse().unwrap();
    assert_eq!((again.to_string(), again.host(), again.port()), (shown.clone(), proxy.host(), proxy.port()));
    assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
    // With any user and password.
    if let Ok(with) = again.credentials(text, "%s3cret") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = shown.replacen("://", &format!("://{encoded}:%25s3cret@"), 1);
        assert_eq!(url.parse().as_ref(), Ok(&with), "{url}");
        assert!(!format!("{with:?}{with}").contains("s3cret"));
    }
    true
}

fn fingerprint(text: &str) -> bool {
    match text.parse::<Fingerprint>() {
        Ok(fingerprint) => {
            assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            assert_eq!(Fingerprint::from(*fingerprint.as_bytes()), fingerprint);
            true
        }
        Err(error) => {
            check_text(&error.to_string());
            false
        }
    }
}

fn record(text: &str) -> bool {
    let Ok(record) = text.parse::<CertificateRecord>() else { return false };
    let written = record.to_string();
    check_text(&written);
    assert_eq!(written.parse().as_ref(), Ok(&record));
    true
}
