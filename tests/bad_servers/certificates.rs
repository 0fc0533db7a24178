//! The rows about certificates.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyUsagePurpose, NameConstraints, SerialNumber, date_time_ymd,
};
use xmpp_connect::RevocationLists;
use xmpp_connect::report::UntrustedReason;

use crate::given::DOMAIN;
use crate::row::Row;
use crate::support::{Authority, Identity};

/// Below an intermediate authority that may issue certificates for `other.example` only.
fn constrained(authority: &Authority) -> Identity {
    authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("other.example".to_owned())];
        intermediate.name_constraints =
            Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    })
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn chains() -> Vec<Row> {
    use UntrustedReason::{Expired, NotYetValid, UnknownIssuer};
    vec![
        Row::identity(
            "expired",
            |authority| authority.expired(&[DOMAIN]),
            Expired,
            &["the certificate expired on 2020-12-31, ", " days ago, or the clock of this machine is wrong"],
        ),
        Row::identity(
            "ends before it begins",
            |authority| {
                authority.issue_with(&[DOMAIN], |parameters| {
                    parameters.not_before = date_time_ymd(2024, 1, 2);
                    parameters.not_after = date_time_ymd(2024, 1, 1);
                })
            },
            Expired,
            &["the certificate is never valid: it ends on 2024-01-01, before it begins on 2024-01-02"],
        ),
        Row::identity(
            "authority expired",
            |authority| {
                authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                    intermediate.not_before = date_time_ymd(2020, 1, 1);
                    intermediate.not_after = date_time_ymd(2021, 5, 6);
                })
            },
            Expired,
            &["the certificate of the authority \"Intermediate of a test\" expired on 2021-05-06"],
        ),
        Row::identity(
            "not yet valid",
            |authority| authority.not_yet_valid(&[DOMAIN]),
            NotYetValid,
            &["the certificate is not valid before 3000-01-01, ", "or the clock of this machine is wrong"],
        ),
        Row::identity(
            "self-signed",
            |_| Identity::self_signed(&[DOMAIN]),
            UnknownIssuer,
            &["the certificate is self-signed, and not trusted"],
        ),
        Row::identity(
            "untrusted root",
            |_| {
                let stranger = Authority::new();
                let Identity { mut chain, key } = stranger.issue(&[DOMAIN]);
                chain.push(stranger.root_der());
                Identity { chain, key }
            },
            UnknownIssuer,
            &["the chain ends at the private authority \"Root ", "which is not trusted"],
        ),
        Row::identity(
            "untrusted root that is not sent",
            |_| Authority::new().issue(&[DOMAIN]),
            UnknownIssuer,
            &["the certificate was issued by \"Root "],
        ),
        Row::identity(
            "intermediate of an untrusted root",
            |_| Authority::new().issue_by_intermediate(&[DOMAIN]),
            UnknownIssuer,
            &["the chain ends at \"Intermediate of a test\", issued by \"Root "],
        ),
        Row::identity(
            "missing intermediate",
            |authority| {
                let Identity { mut chain, key } = authority.issue_by_intermediate(&[DOMAIN]);
                chain.truncate(1);
                Identity { chain, key }
            },
            UnknownIssuer,
            &[
                "the certificate was issued by \"Intermediate of a test\", which is not trusted and whose certificate the \
                 server did not send: the server may not send its intermediate certificate, or \"Intermediate of a test\" \
                 is a private authority",
            ],
        ),
    ]
}

pub(crate) fn names() -> Vec<Row> {
    let row = |name, identity: fn(&Authority) -> Identity, words| {
        Row::identity(name, identity, UntrustedReason::WrongName, words)
    };
    vec![
        row(
            "wrong host",
            |authority| authority.issue(&["other.example", "www.example.org"]),
            &["the certificate is not for example.org; it is for other.example, www.example.org"],
        ),
        row(
            "address",
            |authority| authority.issue(&["127.0.0.1"]),
            &["the certificate is not for example.org; it is for 127.0.0.1"],
        ),
        row(
            "name of the SRV target",
            |authority| authority.issue(&["host0.example.org", "127.0.0.1"]),
            &["not for example.org; it is for host0.example.org, 127.0.0.1"],
        ),
        row(
            "wildcard too deep",
            |authority| authority.issue(&["*.example.org"]),
            &["not for a.chat.example.org; it is for *.example.org"],
        )
        .domain("a.chat.example.org"),
        row(
            "wildcard for the domain itself",
            |authority| authority.issue(&["*.example.org"]),
            &["not for example.org; it is for *.example.org"],
        ),
        row(
            "wildcard for a part of a label",
            |authority| authority.issue(&["c*.example.org", "*t.example.org", "ch*t.example.org"]),
            &["not for chat.example.org"],
        )
        .domain("chat.example.org"),
        row(
            "common name only",
            |authority| {
                authority.issue_with(&[], |parameters| {
                    parameters.distinguished_name.push(DnType::CommonName, DOMAIN);
                })
            },
            &["it has no alternative names, and its common name is not used (RFC 9525)"],
        ),
    ]
}

pub(crate) fn other_names() -> Vec<Row> {
    let row = |name, identity: fn(&Authority) -> Identity, words| {
        let row = Row::identity(name, identity, UntrustedReason::WrongName, words);
        row.options(|builder, _| builder.srv_ids(true).xmpp_addrs(true))
    };
    vec![
        row(
            "SRV-ID for the other service",
            |authority| authority.issue_srv_ids(&["_xmpp-server.example.org"]),
            &["not for example.org; it is for SRV-ID _xmpp-server.example.org"],
        ),
        row(
            "SRV-ID with a wildcard",
            |authority| authority.issue_srv_ids(&["_xmpp-client.*.example.org"]),
            &["not for chat.example.org; it is for SRV-ID _xmpp-client.*.example.org"],
        )
        .domain("chat.example.org"),
        row(
            "XmppAddr with a wildcard",
            |authority| authority.issue_xmpp_addresses(&["*.example.org"]),
            &["not for chat.example.org; it is for XmppAddr *.example.org"],
        )
        .domain("chat.example.org"),
        row(
            "XmppAddr of a user",
            |authority| authority.issue_xmpp_addresses(&["user@example.org"]),
            &["not for example.org; it is for XmppAddr user@example.org"],
        ),
        row(
            "SRV-ID in a string of the wrong type",
            |authority| authority.issue_srv_id_as_utf8("_xmpp-client.example.org"),
            &["not for example.org; its names are all of a kind that is not used"],
        ),
        row(
            "XmppAddr in a string of the wrong type",
            |authority| authority.issue_xmpp_address_as_ia5(DOMAIN),
            &["not for example.org; its names are all of a kind that is not used"],
        ),
        row(
            "SRV-ID without the option",
            |authority| authority.issue_srv_ids(&["_xmpp-client.example.org"]),
            &["it is for SRV-ID _xmpp-client.example.org; SRV-IDs and XmppAddrs are not accepted here"],
        )
        .options(|builder, _| builder),
        row(
            "XmppAddr without the option",
            |authority| authority.issue_xmpp_addresses(&[DOMAIN]),
            &["it is for XmppAddr example.org; SRV-IDs and XmppAddrs are not accepted here"],
        )
        .options(|builder, _| builder),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn purposes() -> Vec<Row> {
    let row = |name, identity: fn(&Authority) -> Identity, words| {
        Row::identity(name, identity, UntrustedReason::Unacceptable, words)
    };
    vec![
        row(
            "extended key usage",
            |authority| {
                authority.issue_with(&[DOMAIN], |parameters| {
                    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                })
            },
            &["the certificate is not for server authentication but for client authentication"],
        ),
        row(
            "key usage",
            |authority| {
                authority.issue_with(&[DOMAIN], |parameters| {
                    parameters.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
                })
            },
            &["the key usage of the certificate does not include digital signature"],
        ),
        Row::identity(
            "key usage of an authority",
            |authority| {
                authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                    intermediate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                })
            },
            UntrustedReason::UnknownIssuer,
            &["the authority \"Intermediate of a test\" may not be used to sign certificates (key usage)"],
        ),
        row(
            "issued by a server",
            |authority| {
                authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                    intermediate.is_ca = IsCa::ExplicitNoCa;
                    intermediate.key_usages.clear();
                })
            },
            &["issued by one that is not an authority's (CA:FALSE)"],
        ),
        row(
            "certificate of an authority",
            |authority| {
                authority.issue_with(&[DOMAIN], |parameters| {
                    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                })
            },
            &["this is the certificate of an authority (CA:TRUE)"],
        ),
        row(
            "critical extension",
            |authority| {
                authority.issue_by_intermediate_with(&[DOMAIN], |intermediate| {
                    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                    extension.set_criticality(true);
                    intermediate.custom_extensions = vec![extension];
                })
            },
            &["the certificate has an unknown critical extension (1.2.3.4)"],
        ),
        row(
            "outside of name constraints",
            constrained,
            &["an authority in the chain may not issue certificates for these names (name constraints)"],
        ),
    ]
}

/// The serial number that is revoked.
const REVOKED: u64 = 7;

fn with_serial(authority: &Authority, serial: u64) -> Identity {
    let set =
        |parameters: &mut CertificateParams| parameters.serial_number = Some(SerialNumber::from(serial));
    authority.issue_with(&[DOMAIN], set)
}

pub(crate) fn revoked() -> Vec<Row> {
    let row = |name, serial, words| {
        let identity = move |authority: &Authority| with_serial(authority, serial);
        Row::identity(name, identity, UntrustedReason::Revoked, words)
    };
    vec![
        row(
            "revoked",
            REVOKED,
            &[
                "the certificate was revoked on 2020-03-01 by \"Root ",
                "of a test\" (reason: the key is compromised); the server needs a new one",
            ],
        )
        .options(|builder, authority| {
            builder.revocation_lists(RevocationLists::new([authority.revocation_list(3000, &[REVOKED])]))
        }),
        Row::identity(
            "revocation status unknown",
            |authority| authority.issue_by_intermediate(&[DOMAIN]),
            UntrustedReason::Revoked,
            &[
                "the revocation status of the certificate is unknown: no revocation list of its issuer, \"Intermediate of a \
                 test\", was given",
            ],
        )
        .options(|builder, authority| {
            builder.revocation_lists(RevocationLists::new([authority.revocation_list(3000, &[])]))
        }),
    ]
}
