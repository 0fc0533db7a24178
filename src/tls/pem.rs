//! Certificates from files, as PEM (RFC 7468) or DER, with errors in words. No IO.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject, SectionKind};

use super::certificate::Fields;
use super::der::{SEQUENCE, Values};

/// Reads all certificates in PEM, or the one in DER.
///
/// # Errors
/// What is wrong, for a sentence: `it has …`.
pub(crate) fn certificates(octets: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    if Values(octets).next_of(SEQUENCE).is_some() {
        return match Fields::read(octets) {
            Some(_) => Ok(vec![CertificateDer::from(octets.to_vec())]),
            None => Err("it has DER, but not of a certificate".to_owned()),
        };
    }
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(octets).collect::<Result<Vec<_>, _>>();
    let sections = sections.map_err(|error| damage(&error))?;
    let mut certificates = Vec::new();
    let mut other = None;
    for (kind, der) in sections {
        match kind {
            SectionKind::Certificate if Fields::read(&der).is_none() => {
                return Err(format!("certificate {} in it is damaged", certificates.len() + 1));
            }
            SectionKind::Certificate => certificates.push(CertificateDer::from(der)),
            kind => other = other.or_else(|| Some(name(kind))),
        }
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
        assert!(certificates(&key.serialize_der()).unwrap_err().starts_with("it has DER, but not of"));
        assert!(certificates(&[0x1f, 0x8b, 8, 0]).unwrap_err().starts_with("it has no certificate"));
    }
}
