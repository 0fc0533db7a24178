//! TLS alerts: their names in IANA's registry "TLS Alerts", and what they mean to a client. No IO.

use rustls::AlertDescription;

/// `handshake_failure (40)`.
pub(super) fn name(alert: AlertDescription) -> String {
    let number = u8::from(alert);
    let name = match number {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        52 => "too_many_cids_requested",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        117 => "general_error",
        120 => "no_application_protocol",
        121 => "ech_required",
        number => return format!("number {number}, which has no name"),
    };
    format!("{name} ({number})")
}

/// What a server means that refuses a client without a certificate.
pub(super) const NO_CLIENT_CERTIFICATE: &str =
    "the server requires a client certificate: set one with `client_certificate`";

/// What a fatal alert usually means, if that is known.
pub(super) fn meaning(alert: AlertDescription) -> Option<&'static str> {
    Some(match u8::from(alert) {
        0 | 90 => "it closed the connection",
        10 | 22 | 32 | 47 | 50 | 109 | 110 => {
            "it could not process a message of this client: a fault of one of them, or of a device between them"
        }
        20 | 21 | 51 => {
            "it could not decrypt or verify a message of this client: a fault of one of them, or of a device between them"
        }
        40 => {
            "client and server have no cipher suite, key exchange group or signature algorithm in common; the server's key \
             may be of a kind that is not supported here (feature `aws-lc-rs` supports P-521), or its ciphers are too old"
        }
        41 | 116 => NO_CLIENT_CERTIFICATE,
        42 | 46 | 111 | 113 | 114 => {
            "the server does not accept the client certificate: it may be for another name or purpose, or its intermediate \
             certificate is not sent; the server's log may say more"
        }
        43 => {
            "the server does not support this kind of client certificate, or it is not for client authentication"
        }
        44 => "the client certificate has been revoked: use another one",
        45 => "the client certificate has expired, or the server's clock is wrong: renew it",
        48 => {
            "the server does not trust the authority of the client certificate: use one of an authority that the server \
             trusts, with its intermediate certificates"
        }
        49 => "the server denies access to this client",
        60 | 71 => "the server requires stronger cryptography than this client supports",
        70 => "the server supports neither TLS 1.2 nor TLS 1.3",
        80 | 117 => "an internal error of the server; its log may say more",
        112 => "the server does not serve this domain",
        115 => "the server does not know the session that was to be resumed",
        120 => "the server speaks another protocol here: it refused the ALPN name",
        121 => "the server requires the encrypted client hello",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule E8b
    #[test]
    fn every_alert_has_its_meaning() {
        let table: [(&[u8], &str); 18] = [
            (&[0, 90], "closed the connection"),
            (&[10, 22, 32, 47, 50, 109, 110], "could not process a message"),
            (&[20, 21, 51], "could not decrypt or verify"),
            (&[40], "in common"),
            (&[41, 116], "requires a client certificate"),
            (&[42, 46, 111, 113, 114], "does not accept the client certificate"),
            (&[43], "this kind of client certificate"),
            (&[44], "has been revoked"),
            (&[45], "has expired"),
            (&[48], "the authority of the client certificate"),
            (&[49], "denies access"),
            (&[60, 71], "stronger cryptography"),
            (&[70], "neither TLS 1.2 nor TLS 1.3"),
            (&[80, 117], "an internal error"),
            (&[112], "does not serve this domain"),
            (&[115], "does not know the session"),
            (&[120], "refused the ALPN name"),
            (&[121], "encrypted client hello"),
        ];
        for (numbers, words) in table {
            for number in numbers {
                let text = meaning(AlertDescription::from(*number)).unwrap();
                assert!(text.contains(words), "{number}: {text}");
            }
        }
        for number in [30, 86, 100, 255] {
            assert_eq!(meaning(AlertDescription::from(number)), None);
        }
    }
}
