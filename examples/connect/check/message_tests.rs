//! Tests of the DNS messages: what is not the answer, what is malformed, and octets that were changed at random.

use super::*;

/// A query for SRV records, and an answer with one alias and one record, as a server would write them.
fn answer() -> (Vec<u8>, Vec<u8>) {
    let query = query(7, "a.test", Kind::Srv, true).unwrap();
    let question = Message::from_slice(&query).unwrap();
    let mut answer =
        MessageBuilder::new_vec().start_answer(question, domain::base::iana::Rcode::NOERROR).unwrap();
    answer.header_mut().set_aa(true);
    let name = |text: &str| Name::<Vec<u8>>::vec_from_str(text).unwrap();
    answer.push((name("a.test"), 60, domain::rdata::Cname::new(name("b.test")))).unwrap();
    answer.push((name("B.TEST"), 30, domain::rdata::Srv::new(1, 2, 5223, name("Host.test.")))).unwrap();
    (query, answer.finish())
}

#[test]
fn aliases_are_followed_and_the_smallest_ttl_counts() {
    let (query, answer) = answer();
    let reply = reply(&answer, &query).unwrap().unwrap();
    assert_eq!(reply.srv, [Srv { priority: 1, weight: 2, port: 5223, target: "host.test".into() }]);
    assert_eq!((reply.ttl, &*reply.aliases, reply.has_loop), (Some(30), &["b.test".to_owned()][..], false));
    assert!(reply.is_answer() && reply.is_authoritative && !reply.is_recursive && !reply.is_lame());
}

#[test]
fn another_id_or_question_is_no_answer() {
    let (query_of_a, answer) = answer();
    for other in [
        query(8, "a.test", Kind::Srv, true).unwrap(),
        query(7, "b.test", Kind::Srv, true).unwrap(),
        query(7, "a.test", Kind::Ipv4, true).unwrap(),
    ] {
        assert_eq!(reply(&answer, &other), None);
    }
    assert_eq!(reply(&query_of_a, &query_of_a), None);
}

#[test]
fn what_is_cut_or_changed_is_no_panic() {
    let (query, answer) = answer();
    for length in 0..answer.len() {
        let _ = reply(&answer[..length], &query);
        for bit in 0..8 {
            let mut changed = answer.clone();
            changed[length] ^= 1 << bit;
            let _ = reply(&changed, &query);
        }
    }
}

#[test]
fn a_name_that_cannot_be_asked_for_is_an_error() {
    query(1, &"a".repeat(64), Kind::Srv, false).unwrap_err();
}
