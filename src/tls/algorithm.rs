//! Names of signature algorithms and keys, from the identifiers in certificates (RFC 3279, 5480, 8410). No IO.

use super::der::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, Values, dotted};

/// The shortest RSA key that ring and aws-lc-rs accept, in bits.
pub(super) const SHORTEST_RSA_KEY: usize = 2048;

/// The name of a signature algorithm, from the content of its `AlgorithmIdentifier`: `ECDSA with SHA-512`.
pub(super) fn signature(identifier: &[u8]) -> String {
    let dotted = object_identifier(identifier);
    let name = match &*dotted {
        "1.2.840.113549.1.1.2" => "RSA with MD2",
        "1.2.840.113549.1.1.4" => "RSA with MD5",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "RSA with SHA-1",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.113549.1.1.11" => "RSA with SHA-256",
        "1.2.840.113549.1.1.12" => "RSA with SHA-384",
        "1.2.840.113549.1.1.13" => "RSA with SHA-512",
        "1.2.840.113549.1.1.14" => "RSA with SHA-224",
        "1.2.840.10040.4.3" => "DSA with SHA-1",
        "2.16.840.1.101.3.4.3.1" => "DSA with SHA-224",
        "2.16.840.1.101.3.4.3.2" => "DSA with SHA-256",
        "1.2.840.10045.4.1" => "ECDSA with SHA-1",
        "1.2.840.10045.4.3.1" => "ECDSA with SHA-224",
        "1.2.840.10045.4.3.2" => "ECDSA with SHA-256",
        "1.2.840.10045.4.3.3" => "ECDSA with SHA-384",
        "1.2.840.10045.4.3.4" => "ECDSA with SHA-512",
        "1.2.156.10197.1.501" => "SM2 with SM3",
        _ => return other(dotted),
    };
    name.to_owned()
}

/// The kind of a key, from the content of its `AlgorithmIdentifier`: `a key on curve P-521`, `an RSA key`.
pub(super) fn key(identifier: &[u8]) -> String {
    let dotted = object_identifier(identifier);
    match &*dotted {
        "1.2.840.113549.1.1.1" => "an RSA key".to_owned(),
        "1.2.840.113549.1.1.10" => "an RSA-PSS key".to_owned(),
        "1.2.840.10040.4.1" => "a DSA key".to_owned(),
        "1.2.840.10045.2.1" => format!("a key on curve {}", curve(identifier)),
        _ => format!("a key for {}", other(dotted)),
    }
}

/// Whether aws-lc-rs can verify what ring cannot. (What ring can verify never gets here.)
pub(super) fn is_known_to_aws_lc_rs(signature: &[u8], key: Option<&[u8]>) -> bool {
    let is_signature_known = matches!(
        &*object_identifier(signature),
        "1.2.840.10045.4.3.2"
            | "1.2.840.10045.4.3.3"
            | "1.2.840.10045.4.3.4"
            | "2.16.840.1.101.3.4.3.17"
            | "2.16.840.1.101.3.4.3.18"
            | "2.16.840.1.101.3.4.3.19"
    );
    let is_key_known = |key: &[u8]| {
        object_identifier(key) == "1.2.840.10045.2.1" && matches!(&*curve(key), "P-256" | "P-384" | "P-521")
    };
    is_signature_known && key.is_none_or(is_key_known)
}

/// The number of bits of an RSA key, from the content of a `SubjectPublicKeyInfo`; `None` for another key.
pub(super) fn rsa_bits(public_key: &[u8]) -> Option<usize> {
    let mut values = Values(public_key);
    if object_identifier(values.next_of(SEQUENCE)?) != "1.2.840.113549.1.1.1" {
        return None;
    }
    // The first octet of a bit string is the number of unused bits in the last one.
    let key = Values(values.next_of(BIT_STRING)?.get(1..)?).next_of(SEQUENCE)?;
    let modulus = Values(key).next_of(INTEGER)?;
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let significant = modulus.get(zeros..)?;
    let leading = significant.first()?.leading_zeros();
    Some(significant.len() * 8 - usize::try_from(leading).ok()?)
}

fn other(dotted: String) -> String {
    match &*dotted {
        "1.3.101.112" => "Ed25519".to_owned(),
        "1.3.101.113" => "Ed448".to_owned(),
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44".to_owned(),
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65".to_owned(),
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87".to_owned(),
        "" => "an algorithm without a name".to_owned(),
        _ => format!("algorithm {dotted}"),
    }
}

/// The second value of the identifier of an elliptic curve key.
fn curve(identifier: &[u8]) -> String {
    let mut values = Values(identifier);
    let curve = values.nth(1).and_then(|curve| curve.of(OBJECT_IDENTIFIER)).map(dotted).unwrap_or_default();
    let name = match &*curve {
        "1.2.840.10045.3.1.1" => "P-192",
        "1.3.132.0.33" => "P-224",
        "1.2.840.10045.3.1.7" => "P-256",
        "1.3.132.0.34" => "P-384",
        "1.3.132.0.35" => "P-521",
        "1.3.132.0.10" => "secp256k1",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        "1.3.36.3.3.2.8.1.1.11" => "brainpoolP384r1",
        "1.3.36.3.3.2.8.1.1.13" => "brainpoolP512r1",
        "1.2.156.10197.1.301" => "SM2",
        "" => "without a name",
        _ => return curve,
    };
    name.to_owned()
}

/// The first value of an `AlgorithmIdentifier`, in dotted form.
pub(super) fn object_identifier(identifier: &[u8]) -> String {
    Values(identifier).next_of(OBJECT_IDENTIFIER).map(dotted).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECDSA_WITH_SHA_256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const P_521: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 35];
    const SHA_1: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5, 5, 0];

    // rule E8b
    #[test]
    fn algorithms_and_curves_have_the_names_that_people_use() {
        assert_eq!(signature(ECDSA_WITH_SHA_256), "ECDSA with SHA-256");
        assert_eq!(signature(SHA_1), "RSA with SHA-1");
        assert_eq!(signature(&[6, 3, 0x2b, 0x65, 0x71]), "Ed448");
        assert_eq!(signature(&[6, 2, 0x2a, 3]), "algorithm 1.2.3");
        assert_eq!(key(P_521), "a key on curve P-521");
        assert_eq!(key(&[6, 3, 0x2b, 0x65, 0x71]), "a key for Ed448");
        for nothing in [&[][..], &[6], &[6, 200, 1], &[0xff; 40], P_521.get(..9).unwrap()] {
            assert!(!signature(nothing).is_empty() && !key(nothing).is_empty());
            assert_eq!(rsa_bits(nothing), None);
        }
    }

    /// A value in DER.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// An object identifier in DER.
    fn identifier(dotted: &str) -> Vec<u8> {
        let numbers: Vec<u32> = dotted.split('.').map(|number| number.parse().unwrap()).collect();
        let mut octets = Vec::new();
        for number in std::iter::once(numbers[0] * 40 + numbers[1]).chain(numbers[2..].iter().copied()) {
            let digits =
                (0..4).rev().map(|place| number >> (7 * place) & 0x7f).skip_while(|digit| *digit == 0);
            let digits: Vec<u8> = digits.map(|digit| u8::try_from(digit).unwrap() | 0x80).collect();
            octets.extend(if digits.is_empty() { vec![0x80] } else { digits });
            *octets.last_mut().unwrap() &= 0x7f;
        }
        der(OBJECT_IDENTIFIER, &octets)
    }

    // rule E8b
    #[test]
    fn every_algorithm_has_its_name() {
        for (dotted, name) in [
            ("1.2.840.113549.1.1.2", "RSA with MD2"),
            ("1.2.840.113549.1.1.4", "RSA with MD5"),
            ("1.3.14.3.2.29", "RSA with SHA-1"),
            ("1.2.840.113549.1.1.10", "RSA-PSS"),
            ("1.2.840.113549.1.1.11", "RSA with SHA-256"),
            ("1.2.840.113549.1.1.12", "RSA with SHA-384"),
            ("1.2.840.113549.1.1.13", "RSA with SHA-512"),
            ("1.2.840.113549.1.1.14", "RSA with SHA-224"),
            ("1.2.840.10040.4.3", "DSA with SHA-1"),
            ("2.16.840.1.101.3.4.3.1", "DSA with SHA-224"),
            ("2.16.840.1.101.3.4.3.2", "DSA with SHA-256"),
            ("1.2.840.10045.4.1", "ECDSA with SHA-1"),
            ("1.2.840.10045.4.3.1", "ECDSA with SHA-224"),
            ("1.2.840.10045.4.3.3", "ECDSA with SHA-384"),
            ("1.2.840.10045.4.3.4", "ECDSA with SHA-512"),
            ("1.2.156.10197.1.501", "SM2 with SM3"),
            ("1.3.101.112", "Ed25519"),
            ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
            ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
            ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
        ] {
            assert_eq!(signature(&identifier(dotted)), name);
        }
        assert_eq!(signature(&[]), "an algorithm without a name");
        for (dotted, name) in [
            ("1.2.840.113549.1.1.1", "an RSA key"),
            ("1.2.840.113549.1.1.10", "an RSA-PSS key"),
            ("1.2.840.10040.4.1", "a DSA key"),
            ("1.3.101.112", "a key for Ed25519"),
            ("1.2.840.10045.2.1", "a key on curve without a name"),
        ] {
            assert_eq!(key(&identifier(dotted)), name);
        }
        for (dotted, name) in [
            ("1.2.840.10045.3.1.1", "P-192"),
            ("1.3.132.0.33", "P-224"),
            ("1.2.840.10045.3.1.7", "P-256"),
            ("1.3.132.0.34", "P-384"),
            ("1.3.132.0.35", "P-521"),
            ("1.3.132.0.10", "secp256k1"),
            ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
            ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
            ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
            ("1.2.156.10197.1.301", "SM2"),
            ("1.2.3", "1.2.3"),
        ] {
            let on_curve = [identifier("1.2.840.10045.2.1"), identifier(dotted)].concat();
            assert_eq!(key(&on_curve), format!("a key on curve {name}"));
        }
    }

    // rule E8b
    #[test]
    fn the_bits_of_an_rsa_key_are_counted_from_the_highest_that_is_set() {
        let bits = |algorithm: &str, modulus: &[u8]| {
            let key = der(SEQUENCE, &[der(INTEGER, modulus), der(INTEGER, &[3])].concat());
            let key = der(BIT_STRING, &[vec![0], key].concat());
            rsa_bits(&[der(SEQUENCE, &identifier(algorithm)), key].concat())
        };
        for (modulus, expected) in
            [(&[0x80, 1][..], 16), (&[0, 0x80, 1], 16), (&[1, 0xff], 9), (&[0, 0, 1], 1)]
        {
            assert_eq!(bits("1.2.840.113549.1.1.1", modulus), Some(expected));
        }
        assert_eq!(bits("1.2.840.113549.1.1.1", &[0]), None);
        assert_eq!(bits("1.2.840.10045.2.1", &[0x80, 1]), None);
    }

    // rule E8b
    #[test]
    fn what_aws_lc_rs_knows_is_what_it_verifies() {
        assert!(is_known_to_aws_lc_rs(ECDSA_WITH_SHA_256, Some(P_521)));
        assert!(!is_known_to_aws_lc_rs(SHA_1, None));
        assert!(!is_known_to_aws_lc_rs(&[6, 3, 0x2b, 0x65, 0x71], None));
        assert!(!is_known_to_aws_lc_rs(ECDSA_WITH_SHA_256, Some(SHA_1)));
        let on = |curve| [identifier("1.2.840.10045.2.1"), identifier(curve)].concat();
        assert!(!is_known_to_aws_lc_rs(ECDSA_WITH_SHA_256, Some(&on("1.3.132.0.33"))));
        // The parameter of a key of another kind is no curve.
        let other = [identifier("1.2.840.10040.4.1"), identifier("1.3.132.0.34")].concat();
        assert!(!is_known_to_aws_lc_rs(ECDSA_WITH_SHA_256, Some(&other)));
    }

    // rule E8b
    #[test]
    #[cfg(feature = "aws-lc-rs")]
    fn the_provider_has_what_is_said_of_it() {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let has = |signature: &[u8], key: &[u8]| {
            algorithms.all.iter().any(|algorithm| {
                algorithm.signature_alg_id().as_ref() == signature
                    && algorithm.public_key_alg_id().as_ref() == key
            })
        };
        assert!(has(ECDSA_WITH_SHA_256, P_521));
        assert!(!algorithms.all.iter().any(|algorithm| algorithm.signature_alg_id().as_ref() == SHA_1));
    }
}
