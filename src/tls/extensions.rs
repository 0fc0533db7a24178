//! Reads extensions of a certificate strictly, where they decide whether it is trusted (RFC 5280 section 4.2). No IO.

use super::der::{BIT_STRING, BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, Value, Values, dotted};

/// A certificate, or a part of it, is not DER, or has an extension twice. webpki accepts none of that either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Returns the value of an extension, by its object identifier.
///
/// # Errors
/// The certificate is malformed, whether or not that concerns the extension.
pub(super) fn extension<'a>(certificate: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, Malformed> {
    let certificate = only(certificate, SEQUENCE)?;
    let to_be_signed = values(certificate)?.first().and_then(|value| value.of(SEQUENCE)).ok_or(Malformed)?;
    let fields = values(to_be_signed)?;
    let Some(list) = fields.iter().find_map(|field| field.of(EXTENSIONS)) else { return Ok(None) };
    let mut found = None;
    for extension in values(only(list, SEQUENCE)?)? {
        let mut fields = Values(extension.of(SEQUENCE).ok_or(Malformed)?);
        let identifier = fields.next_of(OBJECT_IDENTIFIER).ok_or(Malformed)?;
        let _is_critical = fields.next_of(BOOLEAN);
        let value = fields.next_of(OCTET_STRING).filter(|_| fields.is_empty()).ok_or(Malformed)?;
        if dotted(identifier) == wanted && found.replace(value).is_some() {
            return Err(Malformed);
        }
    }
    Ok(found)
}

/// All values in some octets, which they fill.
///
/// # Errors
/// Some of it is not DER.
pub(super) fn values(octets: &[u8]) -> Result<Vec<Value<'_>>, Malformed> {
    let mut rest = Values(octets);
    let values = rest.by_ref().collect();
    if rest.is_empty() { Ok(values) } else { Err(Malformed) }
}

/// The content of the value with this tag that fills the octets.
///
/// # Errors
/// Something else is there.
pub(super) fn only(octets: &[u8], tag: u8) -> Result<&[u8], Malformed> {
    match &*values(octets)? {
        [value] => value.of(tag).ok_or(Malformed),
        _ => Err(Malformed),
    }
}

/// What the key of a certificate may be used for (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyUsage {
    DigitalSignature,
    KeyCertSign,
}

/// Whether the key of a certificate may be used so: also if it says nothing about that.
pub(super) fn allows(certificate: &[u8], usage: KeyUsage) -> bool {
    let is_set = |value| -> Result<bool, Malformed> {
        let bits = only(value, BIT_STRING)?;
        let (unused, bits) = bits.split_first().ok_or(Malformed)?;
        let mask = match usage {
            KeyUsage::DigitalSignature => 0b1000_0000,
            KeyUsage::KeyCertSign => 0b0000_0100,
        };
        Ok(*unused < 8 && bits.first().is_some_and(|bits| bits & mask != 0))
    };
    match extension(certificate, KEY_USAGE) {
        Ok(Some(value)) => is_set(value).unwrap_or(false),
        Ok(None) => true,
        Err(Malformed) => false,
    }
}

const EXTENSIONS: u8 = 0xa3;
const KEY_USAGE: &str = "2.5.29.15";

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, KeyPair, KeyUsagePurpose};

    use super::*;

    fn certificate(edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        edit(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    // rule E4
    #[test]
    fn an_extension_is_found_once_and_only_in_what_is_der() {
        let mut der = certificate(|params| {
            params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0])];
        });
        assert_eq!(extension(&der, "1.2.3"), Ok(Some(&[5, 0][..])));
        assert_eq!(extension(&der, "1.2.4"), Ok(None));
        assert_eq!(extension(&[], "1.2.3"), Err(Malformed));
        for length in 0..der.len() {
            assert_eq!(extension(&der[..length], "1.2.3"), Err(Malformed), "cut to {length}");
        }
        der.push(0);
        assert_eq!(extension(&der, "1.2.3"), Err(Malformed));
        let twice = certificate(|params| {
            params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]); 2];
        });
        assert_eq!(extension(&twice, "1.2.3"), Err(Malformed));
        assert_eq!(extension(&twice, "2.5.29.17").map(|value| value.is_some()), Ok(true));
    }

    // rule E4
    #[test]
    fn an_extension_ends_with_its_value() {
        let der = |tag, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let with = |extension: &[u8]| {
            let list = der(SEQUENCE, &der(SEQUENCE, extension));
            der(SEQUENCE, &der(SEQUENCE, &der(EXTENSIONS, &list)))
        };
        let fields = [OBJECT_IDENTIFIER, 2, 0x2a, 3, BOOLEAN, 1, 0xff, OCTET_STRING, 2, 5, 0];
        assert_eq!(extension(&with(&fields), "1.2.3"), Ok(Some(&[5, 0][..])));
        for wrong in [[&fields[..], &[5, 0]].concat(), fields[..7].to_vec(), fields[4..].to_vec()] {
            for wanted in ["1.2.3", "1.2.4"] {
                assert_eq!(extension(&with(&wrong), wanted), Err(Malformed), "{wrong:?}");
            }
        }
    }

    // rule E1
    #[test]
    fn a_key_usage_that_is_there_must_have_the_bit() {
        let usage = |usages: &[KeyUsagePurpose]| certificate(|params| params.key_usages = usages.to_vec());
        let both =
            |der: &[u8]| [KeyUsage::DigitalSignature, KeyUsage::KeyCertSign].map(|usage| allows(der, usage));
        assert_eq!(both(&usage(&[])), [true, true]);
        assert_eq!(both(&usage(&[KeyUsagePurpose::DigitalSignature])), [true, false]);
        assert_eq!(both(&usage(&[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign])), [false, true]);
        assert_eq!(both(&usage(&[KeyUsagePurpose::KeyEncipherment])), [false, false]);
        assert_eq!(both(b"garbage"), [false, false]);
        for wrong in [&[][..], &[5, 0], &[3, 0], &[3, 1, 0], &[3, 2, 8, 0xff], &[3, 2, 0, 0xff, 0]] {
            let extension = CustomExtension::from_oid_content(&[2, 5, 29, 15], wrong.to_vec());
            let der = certificate(|params| params.custom_extensions = vec![extension]);
            assert_eq!(both(&der), [false, false], "{wrong:?}");
        }
    }
}
