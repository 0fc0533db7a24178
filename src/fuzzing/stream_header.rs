//! What holds for every stream header that we send: a peer can read it. No IO.

#![expect(clippy::unwrap_used, reason = "code of tests")]

use super::check_text;
use crate::domain::Domain;
use crate::open_stream::OpenStream;
use crate::service::Service;
use crate::starttls::{Item, Negotiation, Progress, Stream};

/// The stream headers to a domain, in a language.
pub(super) fn of(domain: &Domain, lang: &str) {
    header(&OpenStream::new(), domain, &Service::Client);
    header(&OpenStream::new().lang(lang), domain, &Service::server(domain.clone()));
}

/// Asserts that a peer can read our stream header.
fn header(open_stream: &OpenStream, domain: &Domain, service: &Service) {
    let opening = open_stream.opening(domain, service);
    let header = opening.header();
    let mut stream = Stream::new();
    let mut rest = header.as_bytes();
    let item = stream.next(&mut rest);
    assert_eq!(item, Ok(Some(Item::Header { from: opening.from.map(str::to_owned) })), "{header}");
    assert_eq!(rest, b"");
    // A server that sends the same header, but from the domain.
    let mut negotiation = Negotiation::over_tls(&opening, b"", domain);
    let answer = header.replacen(" to=", " xml:id=", 1);
    let from = format!(" from='{}'", opening.from.unwrap_or_default());
    if from == " from=''" {
        assert_eq!(
            negotiation.handle_bytes(answer.as_bytes(), crate::wait::now()),
            Ok(Progress::More),
            "{answer}"
        );
    }
}

/// The `from` of the stream header is the JID, however it is written.
pub(super) fn jid(text: &str) -> bool {
    match OpenStream::new().jid(text) {
        Ok(open_stream) => {
            let domain = Domain::of_jid(text).unwrap();
            header(&open_stream, &domain, &Service::Client);
            let bare = text.split_once('/').map_or(text, |(bare, _)| bare);
            assert_eq!(open_stream.opening(&domain, &Service::Client).from, Some(bare));
            text.contains('@')
        }
        Err(error) => {
            check_text(&error.to_string());
            false
        }
    }
}
