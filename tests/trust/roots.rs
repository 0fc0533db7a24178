//! Tests of root certificates: from files, and of the operating system (rule E6).

use std::fs;
use std::path::{Path, PathBuf};

use xmpp_connect::{Connector, ErrorKind, parse_certificates, read_certificates};

use crate::given::{DOMAIN, chain};
use crate::support::{Authority, Identity};
use crate::{MODES, connect, server};

/// PEM of a certificate.
fn pem(der: &[u8]) -> String {
    use base64::Engine;

    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A file of this test with this content.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    fs::write(&path, content).unwrap();
    path
}

// rule E6
#[test]
fn roots_are_read_from_files_and_memory_as_pem_and_der() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = server(&authority.server(&[DOMAIN]), MODES[0]);
    let both = pem(&other.root_der()) + &pem(&authority.root_der());
    for (name, content) in [("both.pem", both.as_bytes()), ("one.der", &authority.root_der())] {
        let path = file(name, content);
        for roots in [read_certificates(&path).unwrap(), parse_certificates(content).unwrap()] {
            let connector = Connector::builder().only_roots(roots).build().unwrap();
            connect(&connector, &server, MODES[0]).unwrap();
        }
        fs::remove_file(path).unwrap();
    }
}

// rule E6
#[test]
fn files_without_certificates_are_errors_that_say_what_they_have() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing.pem");
    let error = read_certificates(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let text = chain(&error);
    assert!(
        text.starts_with(&format!("the certificates in {} cannot be read: ", missing.display())),
        "{text}"
    );
    let key = file("key.pem", Identity::self_signed(&[DOMAIN]).key.secret_der());
    let text = chain(&read_certificates(&key).unwrap_err());
    assert!(text.ends_with("key.pem cannot be read: it has DER, but not of a certificate"), "{text}");
    fs::remove_file(key).unwrap();
    assert!(read_certificates(env!("CARGO_TARGET_TMPDIR")).is_err());
    #[cfg(unix)]
    assert!(chain(&read_certificates("/dev/zero").unwrap_err()).contains("longer than 16 MiB"));
    let text = parse_certificates(b"").unwrap_err().to_string();
    assert_eq!(text, "the certificates cannot be read: it is empty");
}

/// The system's store of a process is where its environment says, so each test has a process of its own.
#[cfg(all(target_os = "linux", any(feature = "native-certs", feature = "platform-verifier")))]
mod system {
    use std::process::Command;

    use xmpp_connect::report::{AttemptErrorKind, UntrustedReason};
    use xmpp_connect::rustls::pki_types::CertificateDer;
    use xmpp_connect::{ConnectorBuilder, Domain};

    use super::*;

    /// In the environment of the child.
    const CHILD: &str = "XMPP_CONNECT_TEST_CHILD";

    /// Runs a test of this module in a child with this store. Returns whether this is the child.
    fn in_child(test: &str, store: &Path) -> bool {
        if std::env::var_os(CHILD).is_some() {
            return true;
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &format!("roots::system::{test}"), "--nocapture"]);
        child.env(CHILD, "1").env("SSL_CERT_FILE", store).env_remove("SSL_CERT_DIR");
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        false
    }

    /// The ways to trust the system's roots, with these in addition.
    fn ways(given: &[CertificateDer<'static>]) -> Vec<ConnectorBuilder> {
        vec![
            #[cfg(feature = "native-certs")]
            Connector::builder().only_roots(given.iter().cloned()).native_roots(),
            #[cfg(feature = "native-certs")]
            Connector::builder().add_roots(given.iter().cloned()).native_roots(),
            #[cfg(feature = "platform-verifier")]
            Connector::builder().add_roots(given.iter().cloned()).platform_verifier(),
        ]
    }

    // rule E6, E8b
    #[test]
    fn the_roots_of_the_system_are_trusted_in_addition_and_all_else_is_checked() {
        let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("system-roots.pem");
        // The child makes the store itself, before it is read.
        if !in_child("the_roots_of_the_system_are_trusted_in_addition_and_all_else_is_checked", &store) {
            return;
        }
        let (system, given, stranger) = (Authority::new(), Authority::new(), Authority::new());
        // Stores have certificates that cannot be used.
        let unusable = pem(b"0\x03\x02\x01\x05");
        fs::write(&store, unusable + &pem(&system.root_der())).unwrap();
        for tls in MODES {
            for authority in [&system, &given] {
                let trusted = server(&authority.server(&[DOMAIN]), tls);
                for builder in ways(&[given.root_der()]) {
                    let connection = connect(&builder.build().unwrap(), &trusted, tls).unwrap();
                    assert!(connection.certificate().unwrap().matched_name().is_some());
                }
            }
            let reasons = [
                (stranger.issue(&[DOMAIN]), UntrustedReason::UnknownIssuer, "private authority"),
                (system.issue(&["other.example"]), UntrustedReason::WrongName, "it is for other.example"),
                (system.expired(&[DOMAIN]), UntrustedReason::Expired, "expired on 2020-12-31"),
            ];
            for (identity, reason, words) in reasons {
                let server = server(&crate::support::ServerTls::new(identity).config(), tls);
                for builder in ways(&[]) {
                    let error = connect(&builder.build().unwrap(), &server, tls).unwrap_err();
                    let kind = error.report().unwrap().attempts()[0].error().unwrap().kind();
                    assert!(
                        matches!(kind, AttemptErrorKind::Untrusted(other) if other == reason),
                        "{kind:?}"
                    );
                    assert!(chain(&error).contains(words), "{}", chain(&error));
                }
            }
            // Pins go together with the system's roots.
            let trusted = server(&system.server(&[DOMAIN]), tls);
            for builder in ways(&[]) {
                let pinned = builder.require_pins(Domain::new(DOMAIN).unwrap(), [[0; 32].into()]);
                let error = connect(&pinned.build().unwrap(), &trusted, tls).unwrap_err();
                assert!(chain(&error).contains("pinned for this domain"), "{}", chain(&error));
            }
        }
        // Names that private authorities may use do not count below them.
        for tls in MODES {
            let [private, public] = [&given, &system].map(|authority| {
                let identity = authority.issue_srv_ids(&[&format!("_xmpp-client.{DOMAIN}")]);
                server(&crate::support::ServerTls::new(identity).config(), tls)
            });
            for builder in ways(&[given.root_der()]) {
                let connector = builder.srv_ids(true).build().unwrap();
                connect(&connector, &private, tls).unwrap();
                let error = connect(&connector, &public, tls).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Untrusted, "{}", chain(&error));
            }
        }
        // They are not used without being asked for.
        let connector = Connector::builder().build().unwrap();
        connect(&connector, &server(&system.server(&[DOMAIN]), MODES[0]), MODES[0]).unwrap_err();
        fs::remove_file(store).unwrap();
    }

    // rule E6
    #[test]
    fn a_system_without_roots_is_an_error_when_building() {
        let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-system-roots.pem");
        if !in_child("a_system_without_roots_is_an_error_when_building", &store) {
            return;
        }
        for builder in ways(&[]) {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let text = error.to_string();
            assert!(text.starts_with("the root certificates of this system cannot be used: "), "{text}");
        }
    }

    // rule E6
    #[test]
    #[cfg(feature = "platform-verifier")]
    fn what_the_system_does_not_do_is_an_error_when_building() {
        let root = Authority::new().root_der();
        let error = Connector::builder().only_roots([root]).platform_verifier().build().unwrap_err();
        assert!(error.to_string().starts_with("both only_roots and platform_verifier are given"), "{error}");
        let lists = xmpp_connect::RevocationLists::new([]);
        let error = Connector::builder().revocation_lists(lists).platform_verifier().build().unwrap_err();
        assert!(error.to_string().starts_with("both revocation lists and platform_verifier"), "{error}");
    }
}
