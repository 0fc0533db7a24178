//! Tests of certificates that only OpenSSL creates and serves, and of their errors. They need `openssl` but no bench.

use std::error::Error as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use xmpp_connect::rustls::pki_types::pem::PemObject;
use xmpp_connect::rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use xmpp_connect::{Connector, ConnectorBuilder, ErrorKind, RevocationLists, Target, TlsMode};

use crate::{TestResult, negotiator};

pub(super) const P_256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P_521: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"];
const RSA_1024: &[&str] = &["-newkey", "rsa:1024"];
pub(super) const RSA_2048: &[&str] = &["-newkey", "rsa:2048"];
const ED_448: &[&str] = &["-newkey", "ed448"];
const DSA: &[&str] = &["-newkey", "dsa:dsa.parameters"];

/// A folder that is deleted with this value.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("xmpp-connect-{}-{name}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that ends with this value.
pub(super) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One certificate, the arguments of OpenSSL, and the expected error.
pub(super) struct Case {
    pub(super) key: &'static [&'static str],
    /// The key of the root that issues it.
    pub(super) root_key: &'static [&'static str],
    /// Of the certificate; none makes it one of version 1.
    pub(super) extensions: String,
    /// Arguments of `openssl x509`.
    pub(super) sign: &'static [&'static str],
    /// Arguments of `openssl s_server`.
    pub(super) serve: &'static [&'static str],
    /// Of `openssl s_server`.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Of the connector.
    pub(super) options: fn(ConnectorBuilder) -> ConnectorBuilder,
    pub(super) modes: &'static [TlsMode],
    /// `None`: the connect succeeds.
    pub(super) kind: Option<ErrorKind>,
    pub(super) words: &'static [&'static str],
}

impl Case {
    pub(super) fn refused(kind: ErrorKind, words: &'static [&'static str]) -> Self {
        Self {
            key: P_256,
            root_key: P_256,
            extensions: "subjectAltName=DNS:example.org\nbasicConstraints=critical,CA:FALSE".to_owned(),
            sign: &[],
            serve: &[],
            environment: &[],
            options: |builder| builder,
            modes: &[TlsMode::Direct, TlsMode::StartTls],
            kind: Some(kind),
            words,
        }
    }
}

fn openssl(folder: &Path, arguments: &[&str]) -> TestResult {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

pub(super) fn make(folder: &Path, case: &Case) -> TestResult {
    openssl(folder, &["dsaparam", "-out", "dsa.parameters", "1024"])?;
    let root = ["req", "-x509", "-nodes", "-days", "30", "-keyout", "root.key", "-out", "root.pem"];
    let root_name = ["-subj", "/CN=Our Root", "-addext", "basicConstraints=critical,CA:TRUE"];
    openssl(folder, &[&root[..], case.root_key, &root_name].concat())?;
    let request = ["req", "-new", "-nodes", "-keyout", "key", "-out", "request", "-subj", "/CN=example.org"];
    openssl(folder, &[&request[..], case.key].concat())?;
    fs::write(folder.join("extensions"), &case.extensions)?;
    let sign = ["x509", "-req", "-in", "request", "-CA", "root.pem", "-CAkey", "root.key", "-days", "30"];
    let extensions: &[&str] = if case.extensions.is_empty() { &[] } else { &["-extfile", "extensions"] };
    openssl(folder, &[&sign[..], &["-out", "pem"], extensions, case.sign].concat())
}

/// Starts the server at a port that the kernel chooses.
pub(super) fn serve(folder: &Path, case: &Case) -> Result<(Server, u16), Box<dyn std::error::Error>> {
    let arguments = ["s_server", "-accept", "127.0.0.1:0", "-cert", "pem", "-key", "key"];
    let mut command = Command::new("openssl");
    command.args(arguments).args(case.serve).envs(case.environment.iter().copied()).current_dir(folder);
    // Its input stays open, since the server exits at its end.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = child.stdout.take().ok_or("there is no output")?;
    let server = Server(child);
    for line in BufReader::new(output).lines() {
        if let Some(address) = line?.strip_prefix("ACCEPT ") {
            let port = address.rsplit(':').next().ok_or("there is no port")?.parse()?;
            return Ok((server, port));
        }
    }
    Err("openssl s_server does not accept".into())
}

fn assert_case(name: &str, case: &Case) -> TestResult {
    let folder = Folder::new(name)?;
    make(&folder.0, case)?;
    let (_server, port) = serve(&folder.0, case)?;
    for tls in case.modes {
        let port = match tls {
            TlsMode::Direct => port,
            TlsMode::StartTls => negotiator::before(port)?,
        };
        connect(name, case, &folder.0, Target::new("127.0.0.1", port, *tls)?)?;
    }
    Ok(())
}

fn connect(name: &str, case: &Case, folder: &Path, target: Target) -> TestResult {
    let root = CertificateDer::from_pem_file(folder.join("root.pem"))?;
    let connector = (case.options)(Connector::builder().only_roots([root])).build()?;
    let connected = connector.connect_to("example.org", target);
    let Err(error) = connected else {
        assert!(case.kind.is_none(), "{name}: it must not connect");
        return Ok(());
    };
    assert_eq!(Some(error.kind()), case.kind, "{name}: {error:?}");
    let text = error.source().ok_or("there is no cause")?.to_string();
    for word in case.words {
        assert!(text.contains(word), "{name}: {word:?} is not in {text:?}");
    }
    for wrong in ["{", "}", "::", "Some(", "Other", "Context", "[6", "Unsupported"] {
        assert!(!text.contains(wrong), "{name}: {wrong:?} in {text:?}");
    }
    Ok(())
}

const NOTHING_IN_COMMON: &[&str] = &["handshake_failure (40)", "in common", "P-521"];
const OLD_CIPHERS: [&str; 2] = ["-cipher", "DEFAULT@SECLEVEL=0"];

// rule E8b
#[test]
#[ignore = "needs openssl"]
fn the_bed_of_these_tests_is_sound() -> TestResult {
    assert_case("sound", &Case { kind: None, ..Case::refused(ErrorKind::Untrusted, &[]) })
}

// rule E8b
#[test]
#[ignore = "needs openssl"]
fn keys_and_algorithms_that_are_not_known_are_named() -> TestResult {
    let case = |words| Case::refused(ErrorKind::Untrusted, words);
    let by_ring = cfg!(feature = "ring");
    let signature = &["ECDSA with SHA-256 by a key on curve P-521", "feature `aws-lc-rs`"];
    if by_ring {
        assert_case("root-p521", &Case { root_key: P_521, ..case(signature) })?;
        let sha_512 = &["ECDSA with SHA-512", "feature `aws-lc-rs`"];
        assert_case("sha512", &Case { sign: &["-sha512"], ..case(sha_512) })?;
        let common = || Case::refused(ErrorKind::Attempts, NOTHING_IN_COMMON);
        assert_case("p521", &Case { key: P_521, ..common() })?;
    }
    assert_case(
        "sha1",
        &Case { sign: &["-sha1"], serve: &OLD_CIPHERS, ..case(&["ECDSA with SHA-1, cannot"]) },
    )?;
    let short = &["the RSA key of \"example.org\" has 1024 bits", "issued by \"Our Root\""];
    assert_case("rsa1024", &Case { key: RSA_1024, serve: &OLD_CIPHERS, ..case(short) })?;
    let short = &["\"Our Root\"", "fewer than 2048 bits"];
    assert_case("root-rsa1024", &Case { root_key: RSA_1024, serve: &OLD_CIPHERS, ..case(short) })?;
    let dsa = &["DSA with SHA-256", "cannot be verified"];
    assert_case("root-dsa", &Case { root_key: DSA, serve: &OLD_CIPHERS, ..case(dsa) })?;
    assert_case("root-ed448", &Case { root_key: ED_448, ..case(&["Ed448", "cannot be verified"]) })
}

// rule E8b
#[test]
#[ignore = "needs openssl"]
fn a_handshake_with_nothing_in_common_is_told_as_such() -> TestResult {
    let case = || Case::refused(ErrorKind::Attempts, NOTHING_IN_COMMON);
    assert_case("ed448", &Case { key: ED_448, ..case() })?;
    let dhe = &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"];
    assert_case("dhe", &Case { key: RSA_2048, serve: dhe, ..case() })?;
    let rsa = &["-tls1_2", "-cipher", "AES128-SHA"];
    assert_case("rsa", &Case { key: RSA_2048, serve: rsa, ..case() })?;
    let old = &["protocol_version (70)", "neither TLS 1.2 nor TLS 1.3"];
    let serve = &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    assert_case("tls11", &Case { serve, ..Case::refused(ErrorKind::Attempts, old) })
}

// rule E8b
#[test]
#[ignore = "needs openssl"]
fn forms_of_a_certificate_that_cannot_be_used_are_told() -> TestResult {
    let case = |words| Case::refused(ErrorKind::Untrusted, words);
    let mut critical = case(&["an unknown critical extension (1.2.3.4)"]);
    critical.extensions += "\n1.2.3.4=critical,ASN1:NULL";
    assert_case("critical", &critical)?;
    let version = &["X.509 version 1", "issued by \"Our Root\", valid from 20"];
    assert_case("version1", &Case { extensions: String::new(), ..case(version) })?;
    let mut authority = case(&["the certificate of an authority (CA:TRUE)", "CA:FALSE"]);
    authority.extensions = authority.extensions.replace("FALSE", "TRUE");
    assert_case("authority", &authority)
}

// rule E8b
#[test]
#[ignore = "needs openssl"]
fn a_certificate_of_2600_names_is_too_large_and_speaks_tls() -> TestResult {
    for (name, serve) in [("huge12", &["-tls1_2"][..]), ("huge13", &["-tls1_3"])] {
        let words = &["its certificate chain is larger than 64 KiB, which is not supported"];
        let mut case = Case { serve, ..Case::refused(ErrorKind::Attempts, words) };
        let names: String =
            (0..2600).map(|number| format!(",DNS:host-{number:05}.customers.example")).collect();
        case.extensions = case.extensions.replace("example.org", &format!("example.org{names}"));
        assert_case(name, &case)?;
    }
    Ok(())
}

// rule E1, E4, E8b: what rustls' own servers can play as well, by another hand.
#[test]
#[ignore = "needs openssl"]
fn certificates_of_openssl_that_prove_nothing_are_refused() -> TestResult {
    let case = |extensions: &str, words| Case {
        extensions: extensions.to_owned(),
        ..Case::refused(ErrorKind::Untrusted, words)
    };
    let other =
        case("subjectAltName=DNS:other.example", &["is not for example.org; it is for other.example"]);
    assert_case("other", &other)?;
    let none = case("basicConstraints=CA:FALSE", &["no alternative names, and its common name is not used"]);
    assert_case("common-name", &none)?;
    let purpose = "subjectAltName=DNS:example.org\nextendedKeyUsage=clientAuth";
    assert_case("purpose", &case(purpose, &["not for server authentication but for client authentication"]))?;
    let usage = "subjectAltName=DNS:example.org\nkeyUsage=keyEncipherment";
    assert_case("usage", &case(usage, &["does not include digital signature"]))?;
    let words = &["is never valid: it ends on 20", ", before it begins on 20"];
    assert_case("never", &Case { sign: &["-days", "-1"], ..Case::refused(ErrorKind::Untrusted, words) })
}

// rule E4
#[test]
#[ignore = "needs openssl"]
fn names_for_xmpp_alone_are_accepted_as_openssl_encodes_them() -> TestResult {
    let case = |name: &str, words: &'static [&'static str]| Case {
        extensions: format!("subjectAltName={name}"),
        kind: (!words.is_empty()).then_some(ErrorKind::Untrusted),
        options: |builder| builder.srv_ids(true).xmpp_addrs(true),
        ..Case::refused(ErrorKind::Untrusted, words)
    };
    let srv_id = |string: &str, name: &str| format!("otherName:1.3.6.1.5.5.7.8.7;{string}:{name}");
    let xmpp_addr = |string: &str| format!("otherName:1.3.6.1.5.5.7.8.5;{string}:example.org");
    let good = srv_id("IA5STRING", "_xmpp-client.example.org");
    assert_case("srv-id", &case(&good, &[]))?;
    assert_case("xmpp-addr", &case(&xmpp_addr("UTF8"), &[]))?;
    let off = &["SRV-ID _xmpp-client.example.org; SRV-IDs and XmppAddrs are not accepted here"];
    assert_case("srv-id-off", &Case { options: |builder| builder, ..case(&good, off) })?;
    let other = srv_id("IA5STRING", "_xmpp-server.example.org");
    assert_case("srv-id-other", &case(&other, &["it is for SRV-ID _xmpp-server.example.org"]))?;
    let wrong = &["its names are all of a kind that is not used"];
    assert_case("srv-id-utf8", &case(&srv_id("UTF8", "_xmpp-client.example.org"), wrong))?;
    assert_case("xmpp-addr-ia5", &case(&xmpp_addr("IA5STRING"), wrong))
}

// rule E3, E8b
#[test]
#[ignore = "needs openssl"]
fn alpn_and_the_wrong_port_are_told() -> TestResult {
    let words = &["no_application_protocol (120)", "it refused the ALPN name"];
    let direct: &[TlsMode] = &[TlsMode::Direct];
    let alpn = Case { serve: &["-alpn", "h2"], modes: direct, ..Case::refused(ErrorKind::Attempts, words) };
    assert_case("alpn", &alpn)?;
    // STARTTLS with a server that expects TLS at once.
    let folder = Folder::new("port")?;
    let case =
        Case::refused(ErrorKind::Attempts, &["the port may be for another service, or for direct TLS"]);
    make(&folder.0, &case)?;
    let (_server, port) = serve(&folder.0, &case)?;
    connect("port", &case, &folder.0, Target::new("127.0.0.1", port, TlsMode::StartTls)?)
}

/// Makes the list of what is revoked, `list.pem`.
fn make_list(folder: &Path) -> TestResult {
    let config = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\ncrlnumber = number\ndefault_md = sha256\n\
                  default_crl_days = 30\n";
    fs::write(folder.join("config"), config)?;
    let by = ["-config", "config", "-keyfile", "root.key", "-cert", "root.pem"];
    openssl(folder, &[&["ca", "-gencrl", "-out", "list.pem"][..], &by].concat())
}

// rule E8a, E8b
#[test]
#[ignore = "needs openssl"]
fn lists_of_openssl_are_used() -> TestResult {
    let folder = Folder::new("revoked")?;
    let case = Case::refused(ErrorKind::Untrusted, &[]);
    make(&folder.0, &case)?;
    fs::write(folder.0.join("index"), "")?;
    fs::write(folder.0.join("number"), "01\n")?;
    let (_server, port) = serve(&folder.0, &case)?;
    let connect = || {
        let root = CertificateDer::from_pem_file(folder.0.join("root.pem"))?;
        let lists = CertificateRevocationListDer::pem_file_iter(folder.0.join("list.pem"))?;
        let lists = RevocationLists::new(lists.collect::<Result<Vec<_>, _>>()?);
        let connector = Connector::builder().only_roots([root]).revocation_lists(lists).build()?;
        let target = Target::new("127.0.0.1", port, TlsMode::Direct)?;
        Ok::<_, Box<dyn std::error::Error>>(connector.connect_to("example.org", target).map(drop))
    };
    make_list(&folder.0)?;
    connect()??;
    let by = ["-config", "config", "-keyfile", "root.key", "-cert", "root.pem"];
    openssl(&folder.0, &[&["ca", "-revoke", "pem", "-crl_reason", "superseded"][..], &by].concat())?;
    make_list(&folder.0)?;
    let Err(error) = connect()? else { return Err("it is accepted".into()) };
    let text = error.source().ok_or("there is no cause")?.to_string();
    assert!(text.starts_with("the certificate was revoked on 20"), "{text}");
    assert!(text.contains(" by \"Our Root\" (reason: superseded); the server needs a new one"), "{text}");
    Ok(())
}
