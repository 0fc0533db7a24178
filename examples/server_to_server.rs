//! Connects as the server of a domain to the server of another one: the outgoing half of server-to-server.
//!
//! ```text
//! cargo run --example server_to_server -- --client-cert own.pem --client-key own.key own.example other.example
//! ```
//!
//! It authenticates with its certificate (SASL EXTERNAL, XEP-0178), and pings the other domain. The answer comes over
//! the same stream if the other server can do that (XEP-0288); otherwise it would come over a connection to the own
//! domain. Exit status: 0 authenticated, 1 not, 2 wrong usage.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use minidom::Element;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::prelude::{Mechname, SASLClient, SASLConfig, SessionError};
use rsasl::property::AuthzId;
use rxml::xml_ncname;
use xmpp_connect::rustls::pki_types::pem::PemObject;
use xmpp_connect::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xmpp_connect::{Domain, OpenStream, Service};
use xmpp_parsers::ns;
use xmpp_parsers::sasl::{Failure, Nonza};

#[path = "session/mod.rs"]
mod session;

use session::{
    Common, FAILURE, HELP, SUCCESS, Stop, Stream, StreamError, read, say, show_usage, text, value,
};

const USAGE: &str = "\
usage: server_to_server [OPTIONS] --client-cert FILE --client-key FILE OWN-DOMAIN OTHER-DOMAIN

  --client-cert FILE        the certificate of OWN-DOMAIN, and its chain, as a PEM file
  --client-key FILE         its private key, as a PEM file
";
const SERVER: &str = "jabber:server";
const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
const BIDI: &str = "urn:xmpp:bidi";
const LIMIT: Duration = Duration::from_secs(30);

struct Options {
    common: Common,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    own: Domain,
    other: Domain,
}

fn main() -> ExitCode {
    ExitCode::from(run(lexopt::Parser::from_env()))
}

/// Runs the program with these arguments, and returns the exit status.
pub(crate) fn run(arguments: lexopt::Parser) -> u8 {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(why) => return show_usage("server_to_server", &why, &format!("{USAGE}{HELP}")),
    };
    match connect(options) {
        Ok(result) => {
            say(&result);
            SUCCESS
        }
        Err(why) => {
            say(&format!("server_to_server: {why}"));
            FAILURE
        }
    }
}

fn options(arguments: lexopt::Parser) -> Result<Options, String> {
    let (mut certificate, mut key) = (None, None);
    let (common, [own, other]) = Common::parse(arguments, |name, parser| {
        match name {
            "client-cert" => certificate = Some(value(parser)?),
            "client-key" => key = Some(value(parser)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Err("--client-cert and --client-key are needed".to_owned());
    };
    let bad = |file: &str, error: &dyn Display| format!("{file:?}: {error}");
    let chain = CertificateDer::pem_slice_iter(&read(&certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| bad(&certificate, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|error| bad(&key, &error))?;
    let [own, other] = [Domain::new(&own).map_err(text)?, Domain::new(&other).map_err(text)?];
    Ok(Options { common, chain, key, own, other })
}

fn connect(options: Options) -> Result<String, String> {
    let Options { common, chain, key, own, other } = options;
    let builder = common.connector().service(Service::server(own.clone())).client_certificate(chain, key);
    let connector = builder.build().map_err(text)?;
    let mut attempts = connector.attempts(other.clone()).map_err(text)?;
    attempts.open_stream(OpenStream::new());
    let canceller = attempts.canceller();
    let stop = Stop::on_signals().map_err(text)?;
    stop.wake_by(move || canceller.cancel());
    let (own, other) = (own.as_unicode(), other.as_unicode());
    loop {
        let connection = attempts.connect_next().map_err(|error| format!("{error:?}"))?;
        let server = connection.peer_addr();
        match Stream::new(connection, LIMIT)
            .map_err(StreamError::from)
            .and_then(|stream| ping(stream, own, other))
        {
            Ok(Ok(result)) => return Ok(format!("{other} at {server} {result}")),
            // Another server of the domain would refuse the certificate too.
            Ok(Err(refusal)) => return Err(format!("{other} at {server} {refusal}")),
            Err(why) => {
                say(&format!("{other} at {server}: {why}"));
                attempts.reject(why);
            }
        }
    }
}

/// Authenticates and pings. Returns what has happened, or how the server refuses our certificate.
fn ping(mut stream: Stream, own: &str, other: &str) -> Result<Result<String, String>, StreamError> {
    let features = stream.features()?;
    let has_external = features
        .get_child("mechanisms", ns::SASL)
        .is_some_and(|mechanisms| mechanisms.children().any(|mechanism| mechanism.text() == "EXTERNAL"));
    if !has_external {
        return Ok(Err(format!("does not offer EXTERNAL: it does not trust the certificate of {own}")));
    }
    let answers_here = features.has_child("bidi", BIDI_FEATURE);
    if answers_here {
        stream.send(Element::bare("bidi", BIDI))?;
    }
    let message = external(own).map_err(std::io::Error::other)?;
    // xmpp_parsers' list of mechanisms has no EXTERNAL.
    let auth = Element::builder("auth", ns::SASL).attr(xml_ncname!("mechanism").to_owned(), "EXTERNAL");
    stream.send(auth.append(BASE64.encode(message)).build())?;
    match Nonza::try_from(stream.next()?) {
        Ok(Nonza::Success(_)) => {}
        Ok(Nonza::Failure(failure)) => return Ok(Err(refusal(failure, own))),
        Ok(_) | Err(_) => {
            let why = std::io::Error::new(std::io::ErrorKind::InvalidData, "not an answer to EXTERNAL");
            return Err(why.into());
        }
    }
    stream.restart(SERVER, own, other)?;
    let ping = Element::builder("iq", SERVER)
        .attr(xml_ncname!("from").to_owned(), own)
        .attr(xml_ncname!("to").to_owned(), other)
        .attr(xml_ncname!("type").to_owned(), "get")
        .attr(xml_ncname!("id").to_owned(), "ping")
        .append(Element::bare("ping", ns::PING));
    stream.send(ping.build())?;
    if answers_here {
        while stream.next()?.attr("id") != Some("ping") {}
    }
    stream.close()?;
    let answer = if answers_here { "has answered the ping" } else { "has taken the ping" };
    Ok(Ok(format!("has accepted the certificate of {own}, and {answer}")))
}

fn refusal(failure: Failure, own: &str) -> String {
    let condition = Element::from(failure.defined_condition);
    let text = failure.texts.values().next().map(|text| format!(" ({text:?})")).unwrap_or_default();
    format!("refuses the certificate of {own}: {}{text}", condition.name())
}

/// The message of EXTERNAL: the domain that we are (RFC 4422 appendix A).
fn external(own: &str) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    struct Identity(String);
    impl SessionCallback for Identity {
        fn callback(
            &self,
            _: &SessionData,
            _: &Context<'_>,
            request: &mut Request<'_>,
        ) -> Result<(), SessionError> {
            request.satisfy::<AuthzId>(&self.0)?;
            Ok(())
        }
    }
    let config = SASLConfig::builder().with_defaults().with_callback(Identity(own.to_owned()))?;
    let mut message = Vec::new();
    SASLClient::new(config).start_suggested(&[Mechname::parse(b"EXTERNAL")?])?.step(None, &mut message)?;
    Ok(message)
}
