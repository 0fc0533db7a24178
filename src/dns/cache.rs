//! The cache of answers, positive and negative, by their time to live (RFC 2308; spec H4). No IO.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::dns::{Answer, Question};

/// "At most 1 h positive" (spec H4).
const LONGEST_POSITIVE: Duration = Duration::from_secs(60 * 60);

/// "5 min negative" (spec H4).
const LONGEST_NEGATIVE: Duration = Duration::from_secs(5 * 60);

/// "At most 1,000 entries" (spec H4).
const MOST_ENTRIES: usize = 1000;

/// Whether a connector keeps answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Caching {
    /// By their time to live.
    #[default]
    On,
    /// Not at all.
    Off,
}

/// Answers kept over connects.
#[derive(Debug)]
pub(crate) struct Cache {
    caching: Caching,
    entries: HashMap<Question, Entry>,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    expires: Instant,
}

impl Cache {
    /// An empty cache; one that is off stays so.
    pub(crate) fn new(caching: Caching) -> Self {
        Self { caching, entries: HashMap::new(), generation: 0 }
    }

    /// The answer to `question`, with the time that it still has to live.
    pub(crate) fn answer(&mut self, question: &Question, now: Instant) -> Option<Answer> {
        let entry = self.entries.get(question)?;
        let remaining = entry.expires.saturating_duration_since(now);
        if remaining.is_zero() {
            self.entries.remove(question);
            return None;
        }
        Some(entry.answer.clone().with_time_to_live(remaining))
    }

    /// Which answers [`Self::store`] takes: those to questions that were asked since the last [`Self::clear`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Keeps `answer` where it may be kept, without the addresses of its additional section (spec B9).
    pub(crate) fn store(&mut self, generation: u64, question: &Question, answer: &Answer, now: Instant) {
        let longest = if answer.records().is_empty() { LONGEST_NEGATIVE } else { LONGEST_POSITIVE };
        let time_to_live = answer.time_to_live().unwrap_or_default().min(longest);
        let Some(expires) = Deadline::after(now, time_to_live).at() else { return };
        if self.caching == Caching::Off || generation != self.generation || time_to_live.is_zero() {
            return;
        }
        if self.entries.len() >= MOST_ENTRIES && !self.entries.contains_key(question) {
            self.make_room(now);
        }
        let answer = answer.clone().with_additional(Vec::new());
        self.entries.insert(question.clone(), Entry { answer, expires });
    }

    /// Forgets the answer to `question`.
    pub(crate) fn remove(&mut self, question: &Question) {
        self.entries.remove(question);
    }

    /// Forgets all, and what is on its way.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.generation += 1;
    }

    /// Removes what has expired, or else the entry that would expire first.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.expires > now);
        if self.entries.len() < MOST_ENTRIES {
            return;
        }
        let first = self.entries.iter().min_by_key(|(_, entry)| entry.expires);
        if let Some(question) = first.map(|(question, _)| question.clone()) {
            self.entries.remove(&question);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::dns::{Record, RecordKind};
    use crate::wait;

    const SECOND: Duration = Duration::from_secs(1);

    fn question(name: &str) -> Question {
        Question::new(name, RecordKind::Ipv4)
    }

    fn positive() -> Answer {
        Answer::new(vec![Record::Address(Ipv4Addr::new(192, 0, 2, 1).into())])
    }

    fn filled(answer: &Answer, now: Instant) -> Cache {
        let mut cache = Cache::new(Caching::On);
        cache.store(0, &question("example.org"), answer, now);
        cache
    }

    // spec H4
    #[test]
    fn answers_live_as_long_as_they_say_up_to_an_hour_or_five_minutes() {
        let now = wait::now();
        let cases = [
            (positive(), 10, 10),
            (positive(), 3600, 3600),
            (positive(), 86_400, 3600),
            (Answer::new(Vec::new()), 10, 10),
            (Answer::new(Vec::new()), 3600, 300),
            (Answer::no_such_name(), u64::MAX, 300),
        ];
        for (answer, time_to_live, lives) in cases {
            let answer = answer.with_time_to_live(Duration::from_secs(time_to_live));
            let mut cache = filled(&answer, now);
            let last = now + Duration::from_secs(lives) - Duration::from_nanos(1);
            let kept = cache.answer(&question("Example.org."), last).unwrap();
            assert_eq!(kept, answer.with_time_to_live(Duration::from_nanos(1)));
            assert_eq!(cache.answer(&question("example.org"), now + Duration::from_secs(lives)), None);
        }
    }

    // spec H4
    #[test]
    fn no_time_to_live_and_zero_are_not_kept() {
        let now = wait::now();
        for answer in [positive(), Answer::no_such_name(), positive().with_time_to_live(Duration::ZERO)] {
            assert_eq!(filled(&answer, now).answer(&question("example.org"), now), None);
        }
    }

    // spec H4
    #[test]
    fn names_and_kinds_are_kept_apart() {
        let now = wait::now();
        let mut cache = filled(&positive().with_time_to_live(SECOND), now);
        assert_eq!(cache.answer(&question("example.com"), now), None);
        assert_eq!(cache.answer(&Question::new("example.org", RecordKind::Ipv6), now), None);
    }

    // spec H4
    #[test]
    fn a_cache_that_is_off_keeps_nothing() {
        let now = wait::now();
        let mut cache = Cache::new(Caching::Off);
        cache.store(0, &question("example.org"), &positive().with_time_to_live(SECOND), now);
        assert_eq!(cache.answer(&question("example.org"), now), None);
    }

    // spec H4
    #[test]
    fn the_thousand_and_first_entry_replaces_the_one_that_expires_first() {
        let now = wait::now();
        let mut cache = Cache::new(Caching::On);
        let names: Vec<Question> = (0..=1000).map(|number| question(&format!("n{number}.example"))).collect();
        for (name, seconds) in names.iter().zip((1000..2000).rev().chain([5])) {
            cache.store(0, name, &positive().with_time_to_live(Duration::from_secs(seconds)), now);
            assert!(cache.entries.len() <= 1000);
        }
        let missing: Vec<&Question> = names.iter().filter(|name| cache.answer(name, now).is_none()).collect();
        assert_eq!(missing, [&names[999]]);
    }

    // spec H4
    #[test]
    fn what_has_expired_makes_room_before_what_has_not() {
        let now = wait::now();
        let mut cache = Cache::new(Caching::On);
        let long = positive().with_time_to_live(Duration::from_secs(60));
        for number in 0..1000 {
            let short = positive().with_time_to_live(SECOND);
            let answer = if number < 400 { &short } else { &long };
            cache.store(0, &question(&format!("n{number}.example")), answer, now);
        }
        cache.store(0, &question("example.org"), &long, now + SECOND);
        assert_eq!(cache.entries.len(), 601);
    }

    // spec H4, B9
    #[test]
    fn additional_addresses_are_not_kept() {
        let now = wait::now();
        let hint = vec![("a.example".to_owned(), Ipv4Addr::new(192, 0, 2, 1).into())];
        let mut cache = filled(&positive().with_time_to_live(SECOND).with_additional(hint), now);
        assert_eq!(cache.answer(&question("example.org"), now).unwrap().additional(), []);
    }

    // spec H4
    #[test]
    fn what_is_removed_or_cleared_is_gone_and_late_answers_do_not_come_back() {
        let now = wait::now();
        let answer = positive().with_time_to_live(SECOND);
        let mut cache = filled(&answer, now);
        cache.remove(&question("example.org"));
        assert_eq!(cache.answer(&question("example.org"), now), None);

        let mut cache = filled(&answer, now);
        let generation = cache.generation();
        cache.clear();
        assert_eq!(cache.answer(&question("example.org"), now), None);
        cache.store(generation, &question("example.org"), &answer, now);
        assert_eq!(cache.answer(&question("example.org"), now), None);
        cache.store(cache.generation(), &question("example.org"), &answer, now);
        assert!(cache.answer(&question("example.org"), now).is_some());
    }
}
