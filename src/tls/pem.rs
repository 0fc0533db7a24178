//! Certificates from files, as PEM (RFC 7468) or DER, with errors in words. No IO.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject, SectionKind};

use super::certificate::Fields;
use super::der::{SEQUENCE, Values};
use crate::quoted::Quoted;

/// Reads all certificates in PEM, or the one in DER.
///
/// # Errors
/// What is wrong, for a sentence: `it has …`.
pub(crate) fn certificates(octets: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut values = Values(octets);
    let der = values.next_encoded_of(SEQUENCE);
    let text = String::from_utf8_lossy(octets);
    if let Some(der) = der.filter(|_| values.is_empty() || !text.contains("-----BEGIN ")) {
        return match (Fields::read(der), values.0.trim_ascii().is_empty()) {
            (Some(_), true) => Ok(vec![CertificateDer::from(der.to_vec())]),
            (Some(_), false) => {
                Err("it has more than one certificate in DER; use PEM for several".to_owned())
            }
            (None, _) => Err("it has DER, but not of a certificate".to_owned()),
        };
    }
    let text = as_lines(&text);
    let labels = text.lines().filter_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    if let Some(label) = labels.clone().find(|label| label.ends_with(" CERTIFICATE")) {
        return Err(format!(
            "it has {}, which is not read: convert it with `openssl x509`",
            Quoted(label, LONGEST_LABEL)
        ));
    }
    let wanted = labels.filter(|label| *label == "CERTIFICATE").count();
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let sections = sections.map_err(|error| damage(&error))?;
    let mut certificates = Vec::new();
    let mut other = None;
    for (kind, der) in sections {
        match kind {
            SectionKind::Certificate if !is_whole(&der) => {
                return Err(format!("certificate {} in it is damaged", certificates.len() + 1));
            }
            SectionKind::Certificate => certificates.push(CertificateDer::from(der)),
            kind => other = other.or_else(|| Some(name(kind))),
        }
    }
    if certificates.len() != wanted {
        return Err("its PEM is damaged: a certificate in it cannot be found".to_owned());
    }
    match (certificates.is_empty(), other) {
        (false, _) => Ok(certificates),
        (true, Some(other)) => Err(format!("it has {other}, and no certificate")),
        (true, None) if octets.is_empty() => Err("it is empty".to_owned()),
        (true, None) => {
            Err("it has no certificate, neither as PEM (-----BEGIN CERTIFICATE-----) nor as DER".to_owned())
        }
    }
}

/// Whether it is one certificate, and nothing else.
fn is_whole(der: &[u8]) -> bool {
    let mut values = Values(der);
    values.next_encoded_of(SEQUENCE).is_some_and(|whole| Fields::read(whole).is_some()) && values.is_empty()
}

/// How much of an unknown label is shown.
const LONGEST_LABEL: usize = 40;

/// The text as the reader of PEM wants it: without byte order mark and blanks, each BEGIN on a line of its own, where files
/// were joined that do not end with a line end.
fn as_lines(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').replace("----------BEGIN ", "-----\n-----BEGIN ");
    text.split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join("\n")
}

fn name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => "a private key",
        SectionKind::PublicKey => "a public key",
        SectionKind::Crl => "a revocation list",
        SectionKind::Csr => "a certificate request",
        _ => "something else",
    }
}

fn damage(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => "its PEM is cut off: a line -----END …----- is missing".to_owned(),
        Error::IllegalSectionStart { .. } => {
            "its PEM is damaged: a line -----BEGIN …----- is not complete".to_owned()
        }
        _ => "its PEM is damaged: the text between BEGIN and END is not base64".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    // rule E6
    #[test]
    fn pem_and_der_are_read_and_anything_else_is_named() {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        // On Windows, rcgen ends lines by CR LF.
        let (pem, der) = (certificate.pem().replace('\r', ""), certificate.der().clone());
        let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let read = |text: &str| certificates(text.as_bytes());
        let both = [der.clone(), der.clone()];
        assert_eq!(certificates(&der).unwrap(), both[..1]);
        assert_eq!(read(&pem).unwrap(), both[..1]);
        // A comment as OpenSSL writes it, a key in the same file, another kind of line end.
        let with_more = format!("subject=CN = a.test\n{pem}{}\n# more\n{pem}", key.serialize_pem());
        assert_eq!(read(&with_more).unwrap(), both);
        assert_eq!(read(&with_more.replace('\n', "\r\n")).unwrap(), both);
        for (text, expected) in [
            ("", "it is empty"),
            ("hello\n", "it has no certificate, neither as PEM"),
            (&key.serialize_pem(), "it has a private key, and no certificate"),
            (&request, "it has a certificate request, and no certificate"),
            (
                "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
                "it has a public key, and no certificate",
            ),
            (
                "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
                "it has a revocation list, and no certificate",
            ),
            (&pem[..pem.len() / 2], "its PEM is cut off"),
            (&pem.replacen('M', "!", 1), "its PEM is damaged"),
            (
                &pem.replacen("-----\n", "--\n", 1),
                "its PEM is damaged: a line -----BEGIN …----- is not complete",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                "certificate 1 in it is damaged",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        // Joined without a line end, with a byte order mark, indented.
        for text in
            [format!("{}{pem}", pem.trim_end()), format!("\u{feff}{pem}{pem}"), format!("  {pem}\t{pem}")]
        {
            assert_eq!(read(&text).unwrap(), both, "{text}");
        }
        // `0 ` begins DER too.
        assert_eq!(read(&format!("0 s:CN = a.test\n{pem}")).unwrap(), both[..1]);
        // Two in one section, or one that has lost its end line.
        let begin_only = pem.replace("-----END CERTIFICATE-----", "");
        assert!(read(&format!("{begin_only}{pem}")).is_err());
        let trusted = pem.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-");
        let error = read(&format!("{trusted}{pem}")).unwrap_err();
        assert!(error.starts_with("it has TRUSTED CERTIFICATE, which is not read"), "{error}");
        assert_eq!(certificates(&[&der[..], b"\n"].concat()).unwrap(), both[..1]);
        let error = certificates(&[&der[..], &der[..]].concat()).unwrap_err();
        assert!(error.starts_with("it has more than one certificate in DER"), "{error}");
        assert!(certificates(&key.serialize_der()).unwrap_err().starts_with("it has DER, but not of"));
        assert!(certificates(&[0x1f, 0x8b, 8, 0]).unwrap_err().starts_with("it has no certificate"));
    }
}
