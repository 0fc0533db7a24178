//! The two SRV answers of one connect, and when one of them is enough. No IO.

use std::time::Instant;

use super::srv::{Discovered, SrvAnswer, Unusable, merge};
use crate::deadline::Deadline;
use crate::dns::{Answer, LookupError, Question, SrvRecord};
use crate::limits::OTHER_SRV_DELAY;
use crate::quoted::Quoted;
use crate::service::TlsMode;

/// How many characters of a target a sentence shows.
const MAX_TARGET: usize = 100;
/// How many ignored records of an answer get a sentence. A domain can publish thousands.
const MAX_SENTENCES: usize = 5;

#[derive(Debug)]
struct SrvQuestion {
    tls: TlsMode,
    /// `None` if the name would be too long to exist.
    question: Option<Question>,
    answer: Option<(SrvAnswer, Instant)>,
}

/// The SRV questions that the policy allows.
#[derive(Debug, Default)]
pub(crate) struct SrvAnswers(Vec<SrvQuestion>);

impl SrvAnswers {
    /// Adds the question for candidates of the kind `tls`. A name that is too long for the prefix has no SRV records.
    pub(crate) fn add(&mut self, tls: TlsMode, question: Option<Question>, now: Instant) {
        let answer = question.is_none().then_some((SrvAnswer::None, now));
        self.0.push(SrvQuestion { tls, question, answer });
    }

    /// Stores the answer to a question. Returns a sentence for each record that is ignored; if those are many, the last
    /// sentence has their number.
    pub(crate) fn answer(
        &mut self,
        question: &Question,
        result: &Result<Answer, LookupError>,
        now: Instant,
    ) -> Vec<String> {
        let mut left_out = Vec::new();
        for srv in self.0.iter_mut().filter(|srv| srv.question.as_ref() == Some(question)) {
            let (answer, unusable) = SrvAnswer::read(result, srv.tls);
            srv.answer = Some((answer, now));
            let sentence = |(record, why): &(SrvRecord, Unusable)| {
                let SrvRecord { priority, weight, port, target } = record;
                let target = Quoted(target, MAX_TARGET);
                format!("the record {priority} {weight} {port} {target}. of {question} was ignored: {why}")
            };
            left_out.extend(unusable.iter().take(MAX_SENTENCES).map(sentence));
            if unusable.len() > MAX_SENTENCES {
                left_out.push(format!("{} records of {question} were ignored in total", unusable.len()));
            }
        }
        left_out
    }

    /// Whether SRV records were asked for, and all answers are there.
    pub(crate) fn is_complete(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|srv| srv.answer.is_some())
    }

    /// From when on one answer is enough: once it has records and the other has been missing for [`OTHER_SRV_DELAY`].
    /// Never if it is "none" or "not offered".
    pub(crate) fn enough_from(&self) -> Deadline {
        let with_records = |srv: &SrvQuestion| match srv.answer {
            Some((SrvAnswer::Candidates(_), at)) => Some(at),
            Some((SrvAnswer::None | SrvAnswer::NotOffered | SrvAnswer::Failed, _)) | None => None,
        };
        let at = self.0.iter().find_map(with_records);
        at.map_or(Deadline::NEVER, |at| Deadline::after(at, OTHER_SRV_DELAY))
    }

    /// Whether the lookup of any kind failed.
    pub(crate) fn any_failed(&self) -> bool {
        self.has_failed(TlsMode::Direct) || self.has_failed(TlsMode::StartTls)
    }

    /// Whether the lookup of one kind failed.
    pub(crate) fn has_failed(&self, tls: TlsMode) -> bool {
        self.0.iter().any(|srv| srv.tls == tls && matches!(srv.answer, Some((SrvAnswer::Failed, _))))
    }

    /// The meaning of both answers. A missing one counts as failed.
    pub(crate) fn merged(&self) -> Discovered {
        let answer = |tls: TlsMode| {
            let srv = self.0.iter().find(|srv| srv.tls == tls)?;
            Some(srv.answer.as_ref().map_or(SrvAnswer::Failed, |(answer, _)| answer.clone()))
        };
        merge(answer(TlsMode::Direct), answer(TlsMode::StartTls))
    }
}
