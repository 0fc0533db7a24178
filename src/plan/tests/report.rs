//! That the report of a connect holds all that happened, with times.

use super::super::simulation::World;
use crate::dial::Stage;
use crate::dns::AnswerSource;
use crate::report::{AttemptOutcome, LookupResult};

/// Direct TLS refused, the next candidate not trusted, the third connects.
fn world() -> World {
    World::example()
        .xmpps(10, "5 0 5223 a.test, 6 0 5223 b.test")
        .xmpp(12, "7 0 5222 a.test, 8 0 5222 c.test")
        .dns("a.test AAAA", 10, "none")
        .dns("a.test A", 15, "192.0.2.1")
        .dns("b.test AAAA", 5, "2001:db8::b")
        .dns("b.test A", 0, "never")
        .peer("192.0.2.1:5223", "refused 3")
        .peer("[2001:db8::b]:5223", "tcp 20, untrusted 30")
}

// spec D7
#[test]
fn the_report_of_a_connection_lists_every_lookup_candidate_and_attempt_with_its_times() {
    let played = world().peer("192.0.2.1:5222", "tcp 10, starttls 20, tls 30").play();
    let expected = "\
example.org (client), 1090.0 ms
  lookup     _xmpps-client._tcp.example.org SRV: 2 records  0.0 ms..10.0 ms  by the given resolver
  lookup     _xmpp-client._tcp.example.org SRV: 2 records  0.0 ms..12.0 ms  by the given resolver
  lookup     example.org AAAA: none  0.0 ms..10.0 ms  by the given resolver
  lookup     example.org A: none  0.0 ms..10.0 ms  by the given resolver
  lookup     a.test AAAA: none  12.0 ms..22.0 ms  by the given resolver
  lookup     a.test A: 1 record  12.0 ms..27.0 ms  by the given resolver
  lookup     b.test AAAA: 1 record  12.0 ms..17.0 ms  by the given resolver
  lookup     b.test A: failed: not waited for
  lookup     c.test AAAA: none  1030.0 ms..1040.0 ms  by the given resolver
  lookup     c.test A: none  1030.0 ms..1040.0 ms  by the given resolver
  candidate  1 a.test:5223 direct TLS  priority 5 weight 0 (srv)
  candidate  2 b.test:5223 direct TLS  priority 6 weight 0 (srv)
  candidate  3 a.test:5222 STARTTLS  priority 7 weight 0 (srv)
  candidate  4 c.test:5222 STARTTLS  priority 8 weight 0 (srv)
  attempt    1 192.0.2.1:5223  27.0 ms  TCP failed 30.0 ms: connection refused: no server listens there, or a firewall rejects the connection
  attempt    2 [2001:db8::b]:5223  37.0 ms  TCP 57.0 ms  TLS failed 87.0 ms: the certificate is not from an authority \
that is trusted here: the server may not send its intermediate certificate, or the certificate is self-signed or from a \
private authority
  attempt    3 192.0.2.1:5222  1030.0 ms  TCP 1040.0 ms  STARTTLS 1060.0 ms  TLS 1090.0 ms  connected
";
    assert_eq!(played.report().to_string(), expected);
}

// spec D7
#[test]
fn the_report_of_an_error_has_the_same() {
    let played = world().peer("192.0.2.1:5222", "tcp 10, starttls 20, reset 30").play();
    let report = played.report();
    // The last attempt ends at 1,090 ms; then the second target's A answer is still awaited.
    let times = [report.attempts[2].ended, report.elapsed].map(|time| time.as_millis());
    assert_eq!(times, [1090, 12 + 5000]);
    let stages: Vec<(usize, Stage)> =
        report.attempts.iter().map(|attempt| (attempt.candidate, attempt.stage)).collect();
    assert_eq!(stages, [(0, Stage::Tcp), (1, Stage::Tls), (2, Stage::Tls)]);
    assert!(report.attempts.iter().all(|attempt| matches!(attempt.outcome, AttemptOutcome::Failed(_))));
    assert_eq!(report.candidates.len(), 4);
    let source = |lookup: &crate::report::LookupReport| lookup.facts.as_ref().map(|facts| facts.source);
    assert!(
        report
            .lookups
            .iter()
            .all(|lookup| source(lookup) == Some(AnswerSource::Resolver) || lookup.facts.is_none())
    );
    assert!(report.lookups.iter().all(|lookup| lookup.result != LookupResult::NotOffered));
}

// spec D7
#[test]
fn a_single_dot_and_a_question_never_asked_are_told_apart_from_none() {
    let played = World::example().xmpps(10, "0 0 0 .").xmpp(10, "none").play();
    let results: Vec<String> =
        played.report().lookups.iter().map(|lookup| lookup.result.to_string()).collect();
    assert_eq!(results, ["not offered", "none", "none", "none"]);
}
