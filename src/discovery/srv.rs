//! What the answers to the two SRV questions say: servers, none, or `.`; and what both say together (RFC 2782, XEP-0368). No IO.

use std::collections::HashSet;
use std::fmt;

use super::{Candidate, Origin};
use crate::dns::{Answer, LookupError, Record, SrvRecord};
use crate::domain::{Host, Reason};
use crate::service::TlsMode;

/// The meaning of the answer to one SRV question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SrvAnswer {
    /// These servers, not ordered yet.
    Candidates(Vec<Candidate>),
    /// There are no SRV records.
    None,
    /// "A Target of "." means that the service is decidedly not available at this domain" (RFC 2782, "Target").
    NotOffered,
    /// The lookup failed.
    Failed,
}

impl SrvAnswer {
    /// Reads the answer to the question for candidates of the kind `tls`. Also returns the unusable records, each with
    /// the reason.
    pub(crate) fn read(
        result: &Result<Answer, LookupError>,
        tls: TlsMode,
    ) -> (Self, Vec<(SrvRecord, Unusable)>) {
        let Ok(answer) = result else { return (Self::Failed, Vec::new()) };
        if is_not_offered(answer) {
            return (Self::NotOffered, Vec::new());
        }
        let (mut candidates, mut unusable) = (Vec::new(), Vec::new());
        for record in distinct(answer) {
            match candidate(&record, tls) {
                Ok(candidate) => candidates.push(candidate.authenticated(answer.is_authenticated())),
                Err(why) => unusable.push((record, why)),
            }
        }
        let answer = match (candidates.is_empty(), unusable.is_empty()) {
            (false, _) => Self::Candidates(candidates),
            (true, false) => Self::NotOffered,
            (true, true) => Self::None,
        };
        (answer, unusable)
    }
}

/// Why an SRV record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Target `.` says that there is no service, but the other records contradict it.
    RootAmongOthers,
    Port0,
    Target(Reason),
}

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RootAmongOthers => {
                formatter.write_str("a target of . counts only when it is the only record")
            }
            Self::Port0 => formatter.write_str("port 0 cannot be connected to"),
            Self::Target(Reason::Character(_)) => formatter.write_str(
                "the target is not a host name: only letters, digits, hyphens and underscores are allowed",
            ),
            Self::Target(reason) => write!(formatter, "the target is not a host name: {reason}"),
        }
    }
}

/// Whether the answer is exactly one record, with target `.`.
pub(crate) fn is_not_offered(answer: &Answer) -> bool {
    matches!(distinct(answer).as_slice(), [only] if is_root(&only.target))
}

/// The SRV records without exact duplicates. Names are compared without regard to case (RFC 4343).
fn distinct(answer: &Answer) -> Vec<SrvRecord> {
    let mut seen = HashSet::new();
    let records = answer.records().iter().filter_map(|record| match record {
        Record::Srv(record) => Some(record),
        Record::Address(_) | Record::Tlsa(_) => None,
    });
    let canonical = records.map(|record| SrvRecord {
        target: record.target.strip_suffix('.').unwrap_or(&record.target).to_ascii_lowercase(),
        ..*record
    });
    canonical.filter(|record| seen.insert(record.clone())).collect()
}

fn is_root(target: &str) -> bool {
    target.is_empty()
}

/// The candidate for one record of several, or why the record cannot be used.
fn candidate(record: &SrvRecord, tls: TlsMode) -> Result<Candidate, Unusable> {
    let SrvRecord { priority, weight, port, ref target } = *record;
    if is_root(target) {
        return Err(Unusable::RootAmongOthers);
    }
    if port == 0 {
        return Err(Unusable::Port0);
    }
    let host = Host::of_srv_target(target).map_err(Unusable::Target)?;
    Ok(Candidate::new(tls, host, port, priority, weight, Origin::Srv))
}

/// The meaning of both SRV answers together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Discovered {
    /// These candidates, not ordered yet.
    Candidates(Vec<Candidate>),
    /// There are no SRV records: use the domain itself, STARTTLS, default port.
    Fallback,
    /// The service is not offered.
    NotOffered,
    /// One kind is not offered, and the lookup of the other failed.
    NotOfferedAndFailed,
    /// The lookup of the only kind that the policy allows failed.
    Failed,
}

/// The table of rule B5. `None` is a kind that the policy excludes.
pub(crate) fn merge(direct: Option<SrvAnswer>, starttls: Option<SrvAnswer>) -> Discovered {
    use SrvAnswer::{Candidates, Failed, None as NoRecords, NotOffered};
    match (direct, starttls) {
        (Some(Candidates(mut direct)), Some(Candidates(starttls))) => {
            direct.extend(starttls);
            Discovered::Candidates(direct)
        }
        (Some(Candidates(candidates)), Some(NoRecords | NotOffered | Failed) | None)
        | (Some(NoRecords | NotOffered | Failed) | None, Some(Candidates(candidates))) => {
            Discovered::Candidates(candidates)
        }
        (Some(NotOffered), Some(NotOffered | NoRecords)) | (Some(NoRecords), Some(NotOffered)) => {
            Discovered::NotOffered
        }
        (Some(NotOffered), Some(Failed)) | (Some(Failed), Some(NotOffered)) => {
            Discovered::NotOfferedAndFailed
        }
        (Some(NoRecords | Failed) | None, Some(NoRecords | Failed)) => Discovered::Fallback,
        // Direct TLS only: there is no fallback, since no RFC defines a default port for direct TLS.
        (Some(NotOffered | NoRecords), None) | (None, Some(NotOffered)) => Discovered::NotOffered,
        (Some(Failed), None) => Discovered::Failed,
        // No policy excludes both.
        (None, None) => Discovered::NotOffered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Record {
        Record::Srv(SrvRecord { priority, weight, port, target: target.to_owned() })
    }

    fn read(records: Vec<Record>) -> SrvAnswer {
        SrvAnswer::read(&Ok(Answer::new(records)), TlsMode::Direct).0
    }

    fn direct(target: &str, port: u16) -> Candidate {
        Candidate::new(TlsMode::Direct, Host::Name(target.to_owned()), port, 1, 2, Origin::Srv)
    }

    fn starttls(target: &str, port: u16) -> Candidate {
        Candidate::new(TlsMode::StartTls, Host::Name(target.to_owned()), port, 1, 2, Origin::Srv)
    }

    // rule B5
    #[test]
    fn a_single_dot_says_not_offered_whatever_its_numbers() {
        assert_eq!(read(vec![srv(0, 0, 0, ".")]), SrvAnswer::NotOffered);
        assert_eq!(read(vec![srv(5, 7, 5223, ".")]), SrvAnswer::NotOffered);
        assert_eq!(read(vec![srv(5, 7, 5223, "."), srv(5, 7, 5223, ".")]), SrvAnswer::NotOffered);
    }

    // rule B5
    #[test]
    fn exact_duplicates_collapse_and_others_stay() {
        let twice = vec![srv(1, 2, 5223, "a.example."), srv(1, 2, 5223, "a.example.")];
        assert_eq!(read(twice), SrvAnswer::Candidates(vec![direct("a.example", 5223)]));
        let two = vec![srv(1, 2, 5223, "a.example."), srv(1, 2, 443, "a.example.")];
        assert_eq!(
            read(two),
            SrvAnswer::Candidates(vec![direct("a.example", 5223), direct("a.example", 443)])
        );
    }

    // rule B5
    #[test]
    fn names_are_equal_however_they_are_spelled() {
        let spelled = ["a.example", "a.example.", "A.Example"].map(|target| srv(1, 2, 5223, target));
        assert_eq!(read(spelled.to_vec()), SrvAnswer::Candidates(vec![direct("a.example", 5223)]));
    }

    // rule A3a, B5
    #[test]
    fn a_target_is_any_name_that_dns_serves() {
        for target in ["xmpp_1.example", "_xmpp.example", "-a-.example", "a", "xn--a.example"] {
            assert_eq!(
                read(vec![srv(1, 2, 5223, target)]),
                SrvAnswer::Candidates(vec![direct(target, 5223)])
            );
        }
    }

    // rule A3a, B5
    #[test]
    fn what_cannot_be_a_server_is_given_with_its_reason() {
        let records = vec![
            srv(1, 2, 5223, "."),
            srv(1, 2, 0, "b.example."),
            srv(1, 2, 5223, "192.0.2.1."),
            srv(1, 2, 5223, "a b"),
            srv(1, 2, 5223, "a..b"),
        ];
        let (answer, unusable) = SrvAnswer::read(&Ok(Answer::new(records)), TlsMode::Direct);
        assert_eq!(answer, SrvAnswer::NotOffered);
        let reasons: Vec<Unusable> = unusable.into_iter().map(|(_, why)| why).collect();
        let expected = [
            Unusable::RootAmongOthers,
            Unusable::Port0,
            Unusable::Target(Reason::AddressTarget),
            Unusable::Target(Reason::Character(' ')),
            Unusable::Target(Reason::EmptyLabel),
        ];
        assert_eq!(reasons, expected);
    }

    // rule B5
    #[test]
    fn what_cannot_be_a_server_is_left_out() {
        for bad in [
            srv(1, 2, 5223, "."),
            srv(1, 2, 0, "b.example."),
            srv(1, 2, 5223, "192.0.2.1."),
            srv(1, 2, 5, "a b."),
        ] {
            let answer = read(vec![bad, srv(1, 2, 5223, "a.example.")]);
            assert_eq!(answer, SrvAnswer::Candidates(vec![direct("a.example", 5223)]));
        }
    }

    // rule B5
    #[test]
    fn no_records_no_name_and_no_answer_are_three_things() {
        assert_eq!(read(Vec::new()), SrvAnswer::None);
        assert_eq!(SrvAnswer::read(&Ok(Answer::no_such_name()), TlsMode::Direct).0, SrvAnswer::None);
        let failed = Err(LookupError::new("no answer"));
        assert_eq!(SrvAnswer::read(&failed, TlsMode::Direct).0, SrvAnswer::Failed);
    }

    // rule B3
    #[test]
    fn the_kind_of_a_candidate_is_that_of_its_question() {
        let answer = Ok(Answer::new(vec![srv(1, 2, 5222, "a.example.")]));
        for tls in [TlsMode::Direct, TlsMode::StartTls] {
            let (SrvAnswer::Candidates(candidates), _) = SrvAnswer::read(&answer, tls) else {
                panic!("no candidates")
            };
            assert_eq!(candidates[0].tls(), tls);
        }
    }

    // rule B3, B5
    #[test]
    fn the_table_of_answers_row_by_row() {
        use SrvAnswer::{Failed, None as NoRecords, NotOffered};
        let x = || SrvAnswer::Candidates(vec![direct("a.example", 5223)]);
        let s = || SrvAnswer::Candidates(vec![starttls("a.example", 5222)]);
        let only_direct = || Discovered::Candidates(vec![direct("a.example", 5223)]);
        let only_starttls = || Discovered::Candidates(vec![starttls("a.example", 5222)]);
        let both = Discovered::Candidates(vec![direct("a.example", 5223), starttls("a.example", 5222)]);
        assert_eq!(merge(Some(x()), Some(s())), both);
        for other in [NoRecords, NotOffered, Failed] {
            assert_eq!(merge(Some(x()), Some(other.clone())), only_direct());
            assert_eq!(merge(Some(other), Some(s())), only_starttls());
        }
        for (direct, starttls, expected) in [
            (NotOffered, NotOffered, Discovered::NotOffered),
            (NotOffered, NoRecords, Discovered::NotOffered),
            (NoRecords, NotOffered, Discovered::NotOffered),
            (NoRecords, NoRecords, Discovered::Fallback),
            (Failed, NoRecords, Discovered::Fallback),
            (NoRecords, Failed, Discovered::Fallback),
            (Failed, Failed, Discovered::Fallback),
            (NotOffered, Failed, Discovered::NotOfferedAndFailed),
            (Failed, NotOffered, Discovered::NotOfferedAndFailed),
        ] {
            assert_eq!(
                merge(Some(direct.clone()), Some(starttls.clone())),
                expected,
                "{direct:?} {starttls:?}"
            );
        }
    }

    // rule B4
    #[test]
    fn with_one_kind_only_the_other_column_does_not_exist() {
        use SrvAnswer::{Failed, None as NoRecords, NotOffered};
        assert_eq!(merge(Some(NotOffered), None), Discovered::NotOffered);
        assert_eq!(merge(Some(NoRecords), None), Discovered::NotOffered);
        assert_eq!(merge(Some(Failed), None), Discovered::Failed);
        assert_eq!(merge(None, Some(NotOffered)), Discovered::NotOffered);
        assert_eq!(merge(None, Some(NoRecords)), Discovered::Fallback);
        assert_eq!(merge(None, Some(Failed)), Discovered::Fallback);
        let candidates = || vec![direct("a.example", 5223)];
        assert_eq!(
            merge(Some(SrvAnswer::Candidates(candidates())), None),
            Discovered::Candidates(candidates())
        );
    }
}
