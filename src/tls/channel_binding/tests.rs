//! Tests of the choice of the hash function, and of hashes that ring computes by itself.

use ring::digest;
use rustls::crypto::ring::default_provider;

use super::*;

/// One short DER value.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

/// An object identifier from its dotted form.
fn identifier(dotted: &str) -> Vec<u8> {
    let mut numbers = dotted.split('.').map(|number| number.parse::<u32>().unwrap());
    let first = numbers.next().unwrap() * 40 + numbers.next().unwrap();
    let mut octets = Vec::new();
    for number in std::iter::once(first).chain(numbers) {
        let places = (1..5).rev().filter(|place| number >> (7 * place) > 0);
        octets.extend(places.map(|place| 0x80 | u8::try_from(number >> (7 * place) & 0x7f).unwrap()));
        octets.push(u8::try_from(number & 0x7f).unwrap());
    }
    der(OBJECT_IDENTIFIER, &octets)
}

/// A certificate as far as it matters here: what is signed, the algorithm, and the signature.
fn certificate(algorithm: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[der(SEQUENCE, &[5, 0]), der(SEQUENCE, algorithm), vec![3, 1, 0]].concat())
}

/// The parameters of RSASSA-PSS.
fn pss(hash: Option<&str>, mask_hash: Option<&str>) -> Vec<u8> {
    let algorithm = |name: &str| der(SEQUENCE, &[identifier(name), vec![5, 0]].concat());
    let mgf1 = |name: &str| [identifier("1.2.840.113549.1.1.8"), algorithm(name)].concat();
    let hash = hash.map(|name| der(HASH, &algorithm(name))).unwrap_or_default();
    let mask = mask_hash.map(|name| der(MASK, &der(SEQUENCE, &mgf1(name)))).unwrap_or_default();
    let salt_length = der(0xa2, &[2, 1, 32]);
    [identifier("1.2.840.113549.1.1.10"), der(SEQUENCE, &[hash, mask, salt_length].concat())].concat()
}

const SHA_256: &str = "2.16.840.1.101.3.4.2.1";
const SHA_384: &str = "2.16.840.1.101.3.4.2.2";
const SHA_512: &str = "2.16.840.1.101.3.4.2.3";
const SHA3_256: &str = "2.16.840.1.101.3.4.2.8";

// rule E9
#[test]
fn the_end_point_is_hashed_as_the_certificate_is_signed() {
    for (algorithms, expected) in [
        // MD5 and SHA-1 with RSA, DSA and ECDSA.
        (
            &[
                "1.2.840.113549.1.1.4",
                "1.2.840.113549.1.1.5",
                "1.3.14.3.2.29",
                "1.2.840.10040.4.3",
                "1.2.840.10045.4.1",
            ][..],
            Some(&digest::SHA256),
        ),
        (&["1.2.840.113549.1.1.11", "2.16.840.1.101.3.4.3.2", "1.2.840.10045.4.3.2"], Some(&digest::SHA256)),
        (&["1.2.840.113549.1.1.12", "2.16.840.1.101.3.4.3.3", "1.2.840.10045.4.3.3"], Some(&digest::SHA384)),
        // Ed25519, Ed448, ML-DSA-65, and SHA-224, SHA-512/256, SHA3-256 with RSA or ECDSA.
        (&["1.3.101.112", "1.3.101.113", "2.16.840.1.101.3.4.3.18"], None),
        (&["1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1", "1.2.840.113549.1.1.16"], None),
        (&["2.16.840.1.101.3.4.3.14", "2.16.840.1.101.3.4.3.10", "1.2.840.113549.1.1.10", "1.2.3"], None),
    ] {
        for algorithm in algorithms {
            let certificate = certificate(&identifier(algorithm));
            let expected = expected.map(|hash| digest::digest(hash, &certificate).as_ref().to_vec());
            assert_eq!(end_point(&certificate, &default_provider()), expected, "{algorithm}");
        }
    }
}

// rule E9
#[test]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn sha_512_comes_from_the_provider_that_is_compiled_in() {
    for algorithm in ["1.2.840.113549.1.1.13", "2.16.840.1.101.3.4.3.4", "1.2.840.10045.4.3.4"] {
        let certificate = certificate(&identifier(algorithm));
        let expected = digest::digest(&digest::SHA512, &certificate).as_ref().to_vec();
        assert_eq!(end_point(&certificate, &default_provider()), Some(expected), "{algorithm}");
    }
    // So do the others, where the caller's provider has no cipher suite with them.
    let bare = CryptoProvider { cipher_suites: Vec::new(), ..default_provider() };
    for (algorithm, expected) in [
        (HashAlgorithm::SHA256, Some(&digest::SHA256)),
        (HashAlgorithm::SHA384, Some(&digest::SHA384)),
        (HashAlgorithm::SHA512, Some(&digest::SHA512)),
        (HashAlgorithm::SHA1, None),
    ] {
        let expected = expected.map(|expected| digest::digest(expected, b"octets").as_ref().to_vec());
        assert_eq!(hash(algorithm, b"octets", &bare), expected, "{algorithm:?}");
    }
}

// rule E9
#[test]
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn without_a_provider_there_is_no_sha_512_and_no_other_hash_instead() {
    assert_eq!(end_point(&certificate(&identifier("1.2.840.10045.4.3.4")), &default_provider()), None);
}

// rule E9
#[test]
fn the_parameters_of_pss_say_the_hash_if_it_is_a_single_one() {
    for (hash, mask_hash, expected) in [
        (Some(SHA_256), Some(SHA_256), Some(HashAlgorithm::SHA256)),
        (Some(SHA_384), Some(SHA_384), Some(HashAlgorithm::SHA384)),
        (Some(SHA_512), Some(SHA_512), Some(HashAlgorithm::SHA512)),
        (None, None, Some(HashAlgorithm::SHA256)),
        (Some(SHA_1), None, Some(HashAlgorithm::SHA256)),
        (Some(SHA_256), None, None),
        (None, Some(SHA_256), None),
        (Some(SHA_512), Some(SHA_256), None),
        (Some(SHA3_256), Some(SHA3_256), None),
    ] {
        assert_eq!(hash_of_signature(&pss(hash, mask_hash)), expected, "{hash:?} {mask_hash:?}");
    }
    // SHAKE256 as the mask, which has no hash of its own.
    let shake = der(SEQUENCE, &identifier("2.16.840.1.101.3.4.2.12"));
    let hash = der(HASH, &der(SEQUENCE, &identifier(SHA_256)));
    let parameters = der(SEQUENCE, &[hash, der(MASK, &shake)].concat());
    let algorithm = [identifier("1.2.840.113549.1.1.10"), parameters].concat();
    assert_eq!(hash_of_signature(&algorithm), None);
}

// rule E9
#[test]
fn what_is_no_certificate_has_no_end_point() {
    let whole = certificate(&pss(Some(SHA_256), Some(SHA_256)));
    let provider = default_provider();
    assert!(end_point(&whole, &provider).is_some());
    // Cut anywhere, the outermost length is wrong.
    for end in 0..whole.len() {
        assert_eq!(end_point(&whole[..end], &provider), None, "{end}");
    }
    // A raw public key (RFC 7250): an algorithm, and a bit string.
    let key = der(SEQUENCE, &[der(SEQUENCE, &identifier("1.2.840.10045.2.1")), vec![3, 1, 0]].concat());
    assert_eq!(end_point(&key, &provider), None);
}

// rule E9
#[test]
fn the_data_is_not_shown() {
    let binding = ChannelBinding { name: "tls-exporter", data: vec![0xaa; 32] };
    assert_eq!(format!("{binding:?}"), "ChannelBinding { name: \"tls-exporter\", .. }");
}
