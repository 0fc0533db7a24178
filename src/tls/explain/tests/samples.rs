//! One sample of each error of rustls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    CertRevocationListError, CertificateError, ContentType, EncryptedClientHelloError, Error,
    ExtendedKeyPurpose, HandshakeType, InconsistentKeys, InvalidMessage, OtherError, PeerIncompatible,
    PeerMisbehaved,
};

pub(super) const INVALID_MESSAGES: [InvalidMessage; 27] = {
    use rustls::InvalidMessage::*;
    [
        CertificatePayloadTooLarge,
        HandshakePayloadTooLarge,
        InvalidCcs,
        InvalidContentType,
        InvalidCertificateStatusType,
        InvalidCertRequest,
        InvalidDhParams,
        InvalidEmptyPayload,
        InvalidKeyUpdate,
        InvalidServerName,
        MessageTooLarge,
        MessageTooShort,
        MissingData("ServerHelloPayload"),
        MissingKeyExchange,
        NoSignatureSchemes,
        TrailingData("ServerHelloPayload"),
        UnexpectedMessage("ServerHelloPayload"),
        UnknownProtocolVersion,
        UnsupportedCompression,
        UnsupportedCurveType,
        EmptyTicketValue,
        IllegalEmptyList("ProtocolNames"),
        IllegalEmptyValue,
        DuplicateExtension(16),
        PreSharedKeyIsNotFinalExtension,
        UnknownHelloRetryRequestExtension,
        UnknownCertificateExtension,
    ]
};

pub(super) const MISBEHAVIOURS: [PeerMisbehaved; 78] = {
    use rustls::PeerMisbehaved::*;
    [
        AttemptedDowngradeToTls12WhenTls13IsSupported,
        BadCertChainExtensions,
        CipherSuiteDifferedOnRetry,
        DisallowedEncryptedExtension,
        DuplicateClientHelloExtensions,
        DuplicateEncryptedExtensions,
        DuplicateHelloRetryRequestExtensions,
        DuplicateNewSessionTicketExtensions,
        DuplicateServerHelloExtensions,
        DuplicateServerNameTypes,
        EarlyDataAttemptedInSecondClientHello,
        EarlyDataExtensionWithoutResumption,
        EarlyDataOfferedWithVariedCipherSuite,
        EchAcceptanceVariedAfterRetry,
        HandshakeHashVariedAfterRetry,
        IllegalHelloRetryRequestWithEmptyCookie,
        IllegalHelloRetryRequestWithNoChanges,
        IllegalHelloRetryRequestWithOfferedGroup,
        IllegalHelloRetryRequestWithUnofferedCipherSuite,
        IllegalHelloRetryRequestWithUnofferedNamedGroup,
        IllegalHelloRetryRequestWithUnsupportedVersion,
        IllegalHelloRetryRequestWithWrongSessionId,
        IllegalHelloRetryRequestWithInvalidEch,
        IllegalMiddleboxChangeCipherSpec,
        IllegalTlsInnerPlaintext,
        IncorrectBinder,
        InvalidCertCompression,
        InvalidMaxEarlyDataSize,
        InvalidKeyShare,
        KeyEpochWithPendingFragment,
        KeyUpdateReceivedInQuicConnection,
        MessageInterleavedWithHandshakeMessage,
        MissingBinderInPskExtension,
        MissingKeyShare,
        MissingPskExtensionInSecondClientHello,
        MissingPskModesExtension,
        MissingQuicTransportParameters,
        OfferedDuplicateCertificateCompressions,
        OfferedDuplicateKeyShares,
        OfferedEarlyDataWithOldProtocolVersion,
        OfferedEmptyApplicationProtocol,
        OfferedIncorrectCompressions,
        PskExtensionMustBeLast,
        PskExtensionWithMismatchedIdsAndBinders,
        RefusedToFollowHelloRetryRequest,
        RejectedEarlyDataInterleavedWithHandshakeMessage,
        ResumptionAttemptedWithVariedEms,
        ResumptionOfferedWithVariedCipherSuite,
        ResumptionOfferedWithVariedEms,
        ResumptionOfferedWithIncompatibleCipherSuite,
        SelectedDifferentCipherSuiteAfterRetry,
        SelectedInvalidPsk,
        SelectedTls12UsingTls13VersionExtension,
        SelectedUnofferedApplicationProtocol,
        SelectedUnofferedCertCompression,
        SelectedUnofferedCipherSuite,
        SelectedUnofferedCompression,
        SelectedUnofferedKxGroup,
        SelectedUnofferedPsk,
        SelectedUnusableCipherSuiteForVersion,
        ServerEchoedCompatibilitySessionId,
        ServerHelloMustOfferUncompressedEcPoints,
        ServerNameDifferedOnRetry,
        ServerNameMustContainOneHostName,
        SignedKxWithWrongAlgorithm,
        SignedHandshakeWithUnadvertisedSigScheme,
        TooManyEmptyFragments,
        TooManyKeyUpdateRequests,
        TooManyRenegotiationRequests,
        TooManyWarningAlertsReceived,
        TooMuchEarlyDataReceived,
        UnexpectedCleartextExtension,
        UnsolicitedCertExtension,
        UnsolicitedEncryptedExtension,
        UnsolicitedSctList,
        UnsolicitedServerHelloExtension,
        WrongGroupForKeyShare,
        UnsolicitedEchExtension,
    ]
};

pub(super) fn incompatibilities() -> Vec<PeerIncompatible> {
    use rustls::PeerIncompatible::*;
    vec![
        EcPointsExtensionRequired,
        ExtendedMasterSecretExtensionRequired,
        IncorrectCertificateTypeExtension,
        KeyShareExtensionRequired,
        NamedGroupsExtensionRequired,
        NoCertificateRequestSignatureSchemesInCommon,
        NoCipherSuitesInCommon,
        NoEcPointFormatsInCommon,
        NoKxGroupsInCommon,
        NoSignatureSchemesInCommon,
        NullCompressionRequired,
        ServerDoesNotSupportTls12Or13,
        ServerSentHelloRetryRequestWithUnknownExtension,
        ServerTlsVersionIsDisabledByOurConfig,
        SignatureAlgorithmsExtensionRequired,
        SupportedVersionsExtensionRequired,
        Tls12NotOffered,
        Tls12NotOfferedOrEnabled,
        Tls13RequiredForQuic,
        UncompressedEcPointsRequired,
        UnsolicitedCertificateTypeExtension,
        ServerRejectedEncryptedClientHello(None),
        ServerRejectedEncryptedClientHello(Some(Vec::new())),
    ]
}

/// An error whose text is its debug text, as those of webpki are.
pub(super) struct Named(pub(super) &'static str);

impl fmt::Debug for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Named {}

pub(super) fn named(text: &'static str) -> OtherError {
    OtherError(Arc::new(Named(text)))
}

/// The variants of webpki's error that rustls passes on, some future ones, and a text of a caller's verifier.
pub(super) const OTHERS: [&str; 23] = [
    "CaUsedAsEndEntity",
    "CertDistrusted",
    "EmptyEkuExtension",
    "EndEntityUsedAsCa",
    "ExtensionValueInvalid",
    "InvalidNetworkMaskConstraint",
    "InvalidSerialNumber",
    "MalformedDnsIdentifier",
    "MalformedExtensions",
    "MalformedNameConstraint",
    "MaximumNameConstraintComparisonsExceeded",
    "MaximumPathBuildCallsExceeded",
    "MaximumPathDepthExceeded",
    "MaximumSignatureChecksExceeded",
    "NameConstraintViolation",
    "PathLenConstraintViolated",
    "SignatureAlgorithmMismatch",
    "TrailingData(Certificate)",
    "UnsupportedCertVersion",
    "UnsupportedCriticalExtension",
    "UnsupportedNameType",
    "SomethingNew { field: [1, 2], other: Some(Thing::Else) }",
    "the pin of this host is another one.",
];

pub(super) fn certificate_errors() -> Vec<CertificateError> {
    use rustls::CertificateError::*;
    let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let expected = ServerName::try_from("example.org").unwrap();
    let mut errors = vec![
        BadEncoding,
        Expired,
        ExpiredContext { time: time(86_400), not_after: time(0) },
        ExpiredContext { time: time(0), not_after: time(u64::MAX) },
        NotValidYet,
        NotValidYetContext { time: time(0), not_before: time(86_400) },
        Revoked,
        UnhandledCriticalExtension,
        UnknownIssuer,
        UnknownRevocationStatus,
        ExpiredRevocationList,
        ExpiredRevocationListContext { time: time(86_400), next_update: time(0) },
        BadSignature,
        UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![6, 3, 0x2b, 0x65, 0x71],
            supported_algorithms: Vec::new(),
        },
        UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![6, 8, 42, 134, 72, 206, 61, 4, 3, 2],
            public_key_algorithm_id: vec![6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 5, 43, 129, 4, 0, 35],
        },
        UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: Vec::new(),
            public_key_algorithm_id: vec![0xff; 300],
        },
        NotValidForName,
        InvalidPurpose,
        InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: vec![
                ExtendedKeyPurpose::ClientAuth,
                ExtendedKeyPurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 3]),
                ExtendedKeyPurpose::Other(vec![2, 999, 1]),
            ],
        },
        InvalidPurposeContext { required: ExtendedKeyPurpose::ServerAuth, presented: Vec::new() },
        InvalidOcspResponse,
        ApplicationVerificationFailure,
    ];
    for presented in [
        &[][..],
        &["DnsName(\"a.example\")", "IpAddress(192.0.2.1)", "Unsupported(0x00)", "DirectoryName"],
        &["Unsupported(0x00)", "UniformResourceIdentifier(\"xmpp:a\")", "DirectoryName"],
        &["a.example"],
    ] {
        let presented = presented.iter().map(ToString::to_string).collect();
        errors.push(NotValidForNameContext { expected: expected.clone(), presented });
    }
    errors.extend(OTHERS.iter().map(|text| Other(named(text))));
    errors
}

pub(super) fn revocation_list_errors() -> Vec<CertRevocationListError> {
    use rustls::CertRevocationListError::*;
    vec![
        BadSignature,
        UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![6, 3, 0x2b, 0x65, 0x71],
            supported_algorithms: Vec::new(),
        },
        UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![6, 3, 0x2b, 0x65, 0x71],
            public_key_algorithm_id: vec![6, 3, 0x2b, 0x65, 0x71],
        },
        InvalidCrlNumber,
        InvalidRevokedCertSerialNumber,
        IssuerInvalidForCrl,
        Other(named("UnsupportedCrlIssuingDistributionPoint")),
        ParseError,
        UnsupportedCrlVersion,
        UnsupportedCriticalExtension,
        UnsupportedDeltaCrl,
        UnsupportedIndirectCrl,
        UnsupportedRevocationReason,
    ]
}

pub(super) fn other_errors() -> Vec<Error> {
    vec![
        Error::InappropriateMessage {
            expect_types: vec![ContentType::Handshake],
            got_type: ContentType::ApplicationData,
        },
        Error::InappropriateMessage { expect_types: Vec::new(), got_type: ContentType::from(99) },
        Error::InappropriateHandshakeMessage {
            expect_types: vec![HandshakeType::Finished, HandshakeType::CertificateRequest],
            got_type: HandshakeType::ServerHello,
        },
        Error::InappropriateHandshakeMessage { expect_types: Vec::new(), got_type: HandshakeType::from(99) },
        Error::NoCertificatesPresented,
        Error::UnsupportedNameType,
        Error::DecryptError,
        Error::EncryptError,
        Error::General("The provider says:\n  No. ".to_owned()),
        Error::General(String::new()),
        Error::FailedToGetCurrentTime,
        Error::FailedToGetRandomBytes,
        Error::HandshakeNotComplete,
        Error::PeerSentOversizedRecord,
        Error::NoApplicationProtocol,
        Error::BadMaxFragmentSize,
        InconsistentKeys::KeyMismatch.into(),
        InconsistentKeys::Unknown.into(),
        Error::Other(named("SomeProviderError { code: 7 }")),
        Error::Other(named("no such key")),
        EncryptedClientHelloError::InvalidConfigList.into(),
        EncryptedClientHelloError::NoCompatibleConfig.into(),
        EncryptedClientHelloError::SniRequired.into(),
    ]
}
