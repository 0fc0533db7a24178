//! Tests of properties of the API's types: threads, sizes, conversions.

#![expect(clippy::unwrap_used, reason = "test code: what fails fails its test")]

use std::io;

use xmpp_connect::dns::{Answers, LookupError, Resolver};
use xmpp_connect::report::Report;
use xmpp_connect::{
    Connection, Connector, ConnectorBuilder, Destination, Discovery, Domain, Doubt, Error, ErrorKind,
    InvalidDomain, InvalidProxy, Liveness, Parts, Policy, Proxy, RevocationLists, Service, TlsMode,
};

const fn crosses_threads<T: Send + Sync + 'static>() {}

const fn is_an_error<T: std::error::Error + Send + Sync + 'static>() {}

const _: () = {
    crosses_threads::<Answers>();
    crosses_threads::<Connection>();
    crosses_threads::<Connector>();
    crosses_threads::<ConnectorBuilder>();
    crosses_threads::<Destination>();
    crosses_threads::<Discovery>();
    crosses_threads::<Domain>();
    crosses_threads::<Doubt>();
    crosses_threads::<Error>();
    crosses_threads::<Liveness>();
    crosses_threads::<Parts>();
    crosses_threads::<Policy>();
    crosses_threads::<Proxy>();
    crosses_threads::<Report>();
    crosses_threads::<RevocationLists>();
    crosses_threads::<Service>();
    crosses_threads::<TlsMode>();
    crosses_threads::<Box<dyn Resolver>>();
    is_an_error::<Error>();
    is_an_error::<InvalidDomain>();
    is_an_error::<InvalidProxy>();
    is_an_error::<LookupError>();
    assert!(size_of::<Error>() == size_of::<usize>(), "an error is as small as a pointer");
    assert!(size_of::<Option<Error>>() == size_of::<usize>(), "and so is none");
    assert!(size_of::<Connector>() == size_of::<usize>(), "a connector is cheap to clone");
};

/// Connects to a domain that is refused before anything is sent.
fn connect<D>(connector: &Connector, domain: D) -> Error
where
    D: TryInto<Domain>,
    Error: From<D::Error>,
{
    connector.connect(domain).unwrap_err()
}

// rule A1, A7
#[test]
fn every_form_of_a_domain_is_taken() {
    let connector = Connector::builder().build().unwrap();
    let text = "example.invalid";
    let domain = Domain::new(text).unwrap();
    for error in [
        connect(&connector, text),
        connect(&connector, text.to_owned()),
        connect(&connector, domain.clone()),
        connect(&connector, &domain),
    ] {
        assert!(error.to_string().contains("invalid"), "{error}");
    }
    for error in [connect(&connector, "no domain"), connect(&connector, "user@host".to_owned())] {
        assert_eq!(error.kind(), ErrorKind::InvalidDomain);
    }
}

#[test]
fn an_error_goes_into_an_io_error_and_can_be_found_there() {
    fn open() -> io::Result<Connection> {
        Ok(Connector::builder().build()?.connect("..")?)
    }
    let error = open().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<Error>()).unwrap();
    assert_eq!(inside.kind(), ErrorKind::InvalidDomain);
}

// rule E5, E6
#[test]
fn roots_beside_a_client_config_are_refused_since_only_one_of_them_can_say_what_is_trusted() {
    let config = || {
        let provider = rustls::crypto::ring::default_provider().into();
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    };
    assert!(Connector::builder().tls_config(config()).build().is_ok());
    for builder in [Connector::builder().only_roots([]), Connector::builder().add_roots([vec![0].into()])] {
        assert_eq!(builder.tls_config(config()).build().unwrap_err().kind(), ErrorKind::Configuration);
    }
}
