//! Tests of channel bindings with OpenSSL: the hashes are its own, and it can do without the extended master secret.

use std::error::Error;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring::default_provider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use xmpp_connect::{ChannelBinding, Connection, Connector, ErrorKind, Target, TlsMode};

use super::TestResult;
use super::certificates::{Case, Folder, P_256, RSA_2048, make, serve};

/// Accepts every certificate, since webpki refuses signatures with SHA-1.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn config() -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = default_provider().into();
    let verifier = Anyone(provider.signature_verification_algorithms);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

fn connect(config: ClientConfig, port: u16) -> Result<Connection, Box<dyn Error>> {
    let target = Target::new("127.0.0.1", port, TlsMode::Direct)?;
    Ok(Connector::builder().tls_config(config).build()?.connect_to("example.org", target)?)
}

fn names(connection: &Connection) -> Vec<&'static str> {
    connection.channel_bindings().iter().map(ChannelBinding::name).collect()
}

/// The end point of a connection to a server whose certificate is signed in this way, and OpenSSL's hash of it.
fn end_points(
    name: &str,
    root_key: &'static [&'static str],
    sign: &'static [&'static str],
    hash: &str,
) -> Result<(Option<String>, String), Box<dyn Error>> {
    let folder = Folder::new(&format!("binding-{name}"))?;
    let case = Case {
        root_key,
        sign,
        serve: &["-cipher", "DEFAULT@SECLEVEL=0"],
        ..Case::refused(ErrorKind::Untrusted, &[])
    };
    make(&folder.0, &case)?;
    let (_server, port) = serve(&folder.0, &case)?;
    let connection = connect(config()?, port)?;
    let bindings = connection.channel_bindings();
    let end_point = bindings.iter().find(|binding| binding.name() == "tls-server-end-point");
    let ours = end_point.map(|binding| binding.data().iter().map(|octet| format!("{octet:02x}")).collect());

    let der = ["x509", "-in", "pem", "-outform", "DER", "-out", "der"];
    let made = Command::new("openssl").args(der).current_dir(&folder.0).status()?;
    let digest = Command::new("openssl").args(["dgst", hash, "-r", "der"]).current_dir(&folder.0).output()?;
    assert!(made.success() && digest.status.success(), "{digest:?}");
    let theirs = String::from_utf8(digest.stdout)?;
    Ok((ours, theirs.split(' ').next().unwrap_or_default().to_owned()))
}

// rule E9
#[test]
#[ignore = "needs openssl"]
fn the_end_point_is_the_hash_that_openssl_computes() -> TestResult {
    const PSS: [&str; 4] = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    const PSS_384: &[&str] = &["-sha384", PSS[0], PSS[1], PSS[2], PSS[3]];
    const PSS_512: &[&str] = &["-sha512", PSS[0], PSS[1], PSS[2], PSS[3]];
    const TWO_HASHES: &[&str] = &["-sha384", PSS[0], PSS[1], "-sigopt", "rsa_mgf1_md:sha256"];
    for (name, root_key, sign, hash, is_defined) in [
        ("ecdsa-256", P_256, &["-sha256"][..], "-sha256", true),
        ("ecdsa-384", P_256, &["-sha384"], "-sha384", true),
        ("ecdsa-512", P_256, &["-sha512"], "-sha512", true),
        ("ecdsa-1", P_256, &["-sha1"], "-sha256", true),
        ("ecdsa-224", P_256, &["-sha224"], "-sha224", false),
        ("rsa-256", RSA_2048, &["-sha256"], "-sha256", true),
        ("rsa-384", RSA_2048, &["-sha384"], "-sha384", true),
        ("rsa-512", RSA_2048, &["-sha512"], "-sha512", true),
        ("rsa-1", RSA_2048, &["-sha1"], "-sha256", true),
        ("rsa-md5", RSA_2048, &["-md5"], "-sha256", true),
        ("pss-384", RSA_2048, PSS_384, "-sha384", true),
        ("pss-512", RSA_2048, PSS_512, "-sha512", true),
        ("pss-two", RSA_2048, TWO_HASHES, "-sha384", false),
        ("ed25519", &["-newkey", "ed25519"], &[], "-sha512", false),
        ("ed448", &["-newkey", "ed448"], &[], "-sha512", false),
    ] {
        let (ours, theirs) = end_points(name, root_key, sign, hash)?;
        assert_eq!(ours, is_defined.then_some(theirs), "{name}");
    }
    Ok(())
}

// rule E9
#[test]
#[ignore = "needs openssl"]
fn without_the_extended_master_secret_there_is_no_exporter() -> TestResult {
    let folder = Folder::new("ems")?;
    let off = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = -ExtendedMasterSecret\n";
    fs::write(folder.0.join("off"), off)?;
    let case = Case {
        serve: &["-tls1_2"],
        environment: &[("OPENSSL_CONF", "off")],
        ..Case::refused(ErrorKind::Attempts, &[])
    };
    make(&folder.0, &case)?;
    let (_server, port) = serve(&folder.0, &case)?;
    assert_eq!(names(&connect(config()?, port)?), ["tls-server-end-point"]);
    let mut required = config()?;
    required.require_ems = true;
    let Err(error) = connect(required.clone(), port) else {
        return Err("connected without the extended master secret".into());
    };
    assert!(format!("{error:?}").contains("does not support the extended master secret"), "{error:?}");

    let (_server, port) = serve(&folder.0, &Case { environment: &[], ..case })?;
    assert_eq!(names(&connect(required, port)?), ["tls-exporter", "tls-server-end-point"]);
    Ok(())
}
