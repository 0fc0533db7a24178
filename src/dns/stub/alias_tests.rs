//! Tests of what an answer brings along or asks further: aliases, and addresses in the additional section.

use std::time::Duration;

use super::peers::udp_answering;
use super::tests::{look_up, next, numbers, only_address, stub};
use super::*;
use crate::dns::RecordKind;
use crate::dns::testing::{Response, address, alias, asked, srv};
use crate::wait;

// rule B8
#[test]
fn aliases_are_asked_further_and_the_shortest_time_to_live_counts() {
    let server = udp_answering(|query| {
        let response = Response::to(query);
        match asked(query).0.as_str() {
            "a.example" => response.answer(alias("a.example", 30, "b.example")),
            "b.example" => response.answer(alias("b.example", 90, "c.example")),
            "c.example" => response.answer(address("c.example", 60, "192.0.2.1")),
            "d.example" => response.answer(alias("d.example", 60, "e.example")),
            "e.example" => response.answer(alias("e.example", 60, "d.example")),
            "f.example" => response.answer(alias("f.example", 60, "a\\b.example")),
            other => {
                let number: u32 = other.trim_end_matches(".example").parse().unwrap();
                response.answer(alias(other, 60, &format!("{}.example", number + 1)))
            }
        }
        .octets()
    });
    let stub = stub(&[server]);
    let finished = look_up(&stub, "a.example");
    assert_eq!(only_address(&finished), "192.0.2.1");
    assert_eq!(finished.1.unwrap().time_to_live(), Some(Duration::from_secs(30)));
    assert_eq!(finished.2.tries, 3);

    for (name, why) in
        [("d.example", "loop"), ("1.example", "more than 8"), ("f.example", "no name to look up")]
    {
        let message = look_up(&stub, name).1.unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
    }
}

// rule B9
#[test]
fn addresses_in_the_additional_section_come_with_the_answer_and_are_not_kept() {
    let owner = "_xmpp-client._tcp.example.org";
    let server = udp_answering(move |query| {
        let response = Response::to(query).answer(srv(owner, 60, 5222, "host.example"));
        response.additional(address("host.example", 60, "2001:db8::1")).octets()
    });
    let (stub, now) = (stub(&[server]), wait::now());
    for (source, count) in [(AnswerSource::Udp(server), 1), (AnswerSource::Cache, 0)] {
        let mut lookups = stub.lookups(numbers(), None);
        lookups.ask(&[Question::new(owner, RecordKind::Srv)], now);
        let (_, result, facts) = next(&mut lookups, now);
        let answer = result.unwrap();
        assert_eq!((answer.records().len(), answer.additional().len(), facts.source), (1, count, source));
    }
}
