//! The cache of answers, positive and negative, by their time to live (RFC 2308; rule H4). No IO.

use std::collections::HashMap;
use std::time::Instant;

use crate::deadline::Deadline;
use crate::dns::{Answer, Question, Record};
use crate::limits::{MAX_CACHE, MAX_CACHE_ENTRIES, MAX_CACHE_ENTRY, MAX_NEGATIVE_TTL, MAX_POSITIVE_TTL};

/// What an entry takes in the table, which is up to half empty and has a control octet for each place.
const PLACE: usize = 2 * (size_of::<(Question, Entry)>() + 1);

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
    /// What the entries take together.
    octets: usize,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    expires: Instant,
    /// What it takes in memory.
    octets: usize,
}

impl Cache {
    /// An empty cache; one that is off stays so.
    pub(crate) fn new(caching: Caching) -> Self {
        Self { caching, entries: HashMap::new(), octets: 0, generation: 0 }
    }

    /// The answer to `question`, with the time that it still has to live.
    pub(crate) fn answer(&mut self, question: &Question, now: Instant) -> Option<Answer> {
        let entry = self.entries.get(question)?;
        let remaining = entry.expires.saturating_duration_since(now);
        if remaining.is_zero() {
            self.remove(question);
            return None;
        }
        Some(entry.answer.clone().with_time_to_live(remaining))
    }

    /// Which answers [`Self::store`] takes: those to questions that were asked since the last [`Self::clear`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Keeps `answer` where it may be kept, without the addresses of its additional section (rule B9).
    pub(crate) fn store(&mut self, generation: u64, question: &Question, answer: &Answer, now: Instant) {
        let longest = if answer.records().is_empty() { MAX_NEGATIVE_TTL } else { MAX_POSITIVE_TTL };
        let time_to_live = answer.time_to_live().unwrap_or_default().min(longest);
        let Some(expires) = Deadline::after(now, time_to_live).at() else { return };
        if self.caching == Caching::Off || generation != self.generation || time_to_live.is_zero() {
            return;
        }
        let octets = octets(question, answer);
        self.remove(question);
        if octets > MAX_CACHE_ENTRY {
            return;
        }
        self.make_room(octets, now);
        // The clones have no spare capacity.
        let answer = answer.without_additional();
        self.octets += octets;
        self.entries.insert(question.clone(), Entry { answer, expires, octets });
    }

    /// Forgets the answer to `question`.
    pub(crate) fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.entries.remove(question) {
            self.octets = self.octets.saturating_sub(entry.octets);
        }
    }

    /// Forgets all, and what is on its way.
    pub(crate) fn clear(&mut self) {
        // The table itself is given back too.
        self.entries = HashMap::new();
        self.octets = 0;
        self.generation += 1;
    }

    /// Removes what has expired, and then the entries that would expire first, until another one of `octets` fits.
    fn make_room(&mut self, octets: usize, now: Instant) {
        let fits =
            |cache: &Self| cache.entries.len() < MAX_CACHE_ENTRIES && cache.octets + octets <= MAX_CACHE;
        if fits(self) {
            return;
        }
        self.entries.retain(|_, entry| entry.expires > now);
        self.octets = self.entries.values().map(|entry| entry.octets).sum();
        while !fits(self) {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.expires);
            let Some(question) = first.map(|(question, _)| question.clone()) else { return };
            self.remove(&question);
        }
    }
}

/// What keeping `answer` takes in memory.
fn octets(question: &Question, answer: &Answer) -> usize {
    let targets = answer.records().iter().map(|record| match record {
        Record::Srv(record) => allocated(record.target.len()),
        Record::Tlsa(record) => allocated(record.data.len()),
        Record::Address(_) => 0,
    });
    let records = allocated(size_of_val(answer.records()));
    PLACE + allocated(question.name().len()) + records + targets.sum::<usize>()
}

/// What an allocator takes for `octets`: rounded up, and with a head.
fn allocated(octets: usize) -> usize {
    if octets == 0 { 0 } else { octets.next_multiple_of(16) + 16 }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::dns::{RecordKind, SrvRecord, TlsaRecord};
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

    // rule H4
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

    // rule H4
    #[test]
    fn no_time_to_live_and_zero_are_not_kept() {
        let now = wait::now();
        for answer in [positive(), Answer::no_such_name(), positive().with_time_to_live(Duration::ZERO)] {
            assert_eq!(filled(&answer, now).answer(&question("example.org"), now), None);
        }
    }

    // rule H4
    #[test]
    fn names_and_kinds_are_kept_apart() {
        let now = wait::now();
        let mut cache = filled(&positive().with_time_to_live(SECOND), now);
        assert_eq!(cache.answer(&question("example.com"), now), None);
        assert_eq!(cache.answer(&Question::new("example.org", RecordKind::Ipv6), now), None);
    }

    // rule H4
    #[test]
    fn a_cache_that_is_off_keeps_nothing() {
        let now = wait::now();
        let mut cache = Cache::new(Caching::Off);
        cache.store(0, &question("example.org"), &positive().with_time_to_live(SECOND), now);
        assert_eq!(cache.answer(&question("example.org"), now), None);
    }

    // rule H4
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

    // rule H4
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

    fn services(count: usize, target: &str) -> Answer {
        let record =
            |port| Record::Srv(SrvRecord { priority: 1, weight: 1, port, target: format!("{port}{target}") });
        Answer::new((0..u16::try_from(count).unwrap()).map(record).collect()).with_time_to_live(SECOND)
    }

    fn owner(number: usize) -> Question {
        Question::new(&format!("_xmpp-client._tcp.n{number}.example"), RecordKind::Srv)
    }

    // rule H4
    #[test]
    fn what_is_too_large_is_not_kept_and_takes_the_place_of_nothing_else() {
        let now = wait::now();
        let mut cache = Cache::new(Caching::On);
        cache.store(0, &owner(1), &services(64, ".a-host-with-a-usual-name.example.org"), now);
        assert!(cache.answer(&owner(1), now).is_some(), "as many as a connect can use");
        // As a name of 127 labels of escaped octets reads.
        let huge = services(3000, &"\\255.".repeat(126));
        cache.store(0, &owner(2), &huge, now);
        assert_eq!(cache.answer(&owner(2), now), None);
        assert!(cache.answer(&owner(1), now).is_some());
        // What it replaces is not true any more.
        cache.store(0, &owner(1), &huge, now);
        assert_eq!((cache.answer(&owner(1), now), cache.octets), (None, 0));
    }

    // rule H4, H6
    #[test]
    fn all_together_takes_a_mebioctet_at_most() {
        let now = wait::now();
        let mut cache = Cache::new(Caching::On);
        let large = services(100, &"x".repeat(250));
        for number in 0..1000 {
            let time_to_live = SECOND * u32::try_from(number + 1).unwrap();
            cache.store(0, &owner(number), &large.clone().with_time_to_live(time_to_live), now);
            assert!(cache.octets <= MAX_CACHE);
        }
        let sum: usize = cache.entries.iter().map(|(question, entry)| octets(question, &entry.answer)).sum();
        assert_eq!(sum, cache.octets);
        assert!(cache.octets > MAX_CACHE - 2 * MAX_CACHE_ENTRY && cache.entries.len() > 16);
        assert!(cache.answer(&owner(999), now).is_some(), "those that live longest stay");
        for number in 0..1000 {
            cache.remove(&owner(number));
        }
        assert_eq!((cache.octets, cache.entries.len()), (0, 0));
    }

    // rule H4
    #[test]
    fn an_entry_counts_for_all_that_it_allocates() {
        let answer = services(7, ".example.org");
        let records = answer.records();
        let strings: usize = records
            .iter()
            .map(|record| match record {
                Record::Srv(record) => record.target.capacity(),
                Record::Address(_) | Record::Tlsa(_) => 0,
            })
            .sum();
        let least = size_of::<(Question, Entry)>() + size_of_val(records) + strings;
        let counted = octets(&owner(1), &answer);
        assert!(counted > least && counted < 3 * least, "{counted} {least}");
    }

    // rule H4
    #[test]
    fn an_allocation_is_rounded_up_and_has_a_head() {
        let expected = [(0, 0), (1, 32), (16, 32), (17, 48), (1000, 1024)];
        for (octets, taken) in expected {
            assert_eq!(allocated(octets), taken);
        }
        let name = question("example.org");
        let empty = PLACE + allocated("example.org".len());
        assert_eq!(octets(&name, &Answer::new(Vec::new())), empty);
        assert_eq!(octets(&name, &positive()), empty + allocated(size_of::<Record>()));
    }

    // rule H4
    #[test]
    fn the_largest_answer_that_is_kept_takes_a_sixteenth_of_the_cache() {
        let now = wait::now();
        let answer = |length| {
            let data = TlsaRecord { usage: 3, selector: 0, matching: 0, data: vec![0; length] };
            Answer::new(vec![Record::Tlsa(data)]).with_time_to_live(SECOND)
        };
        let name = question("example.org");
        // Found, since a `PLACE` differs between machines.
        let largest = (0..MAX_CACHE_ENTRY).rfind(|length| octets(&name, &answer(*length)) <= MAX_CACHE_ENTRY);
        for (length, is_kept) in [(largest.unwrap(), true), (largest.unwrap() + 1, false)] {
            let kept = filled(&answer(length), now).answer(&name, now);
            assert_eq!(kept.is_some(), is_kept, "{length}");
        }
    }

    // rule H4, E10
    #[test]
    fn the_data_of_tlsa_records_counts() {
        let record = |length| TlsaRecord { usage: 3, selector: 0, matching: 0, data: vec![0; length] };
        let counted = |length| octets(&owner(1), &Answer::new(vec![Record::Tlsa(record(length))]));
        assert!((990..1100).contains(&(counted(1001) - counted(1))));
    }

    // rule H4
    #[test]
    fn clearing_gives_the_memory_back() {
        let now = wait::now();
        let mut cache = filled(&positive().with_time_to_live(SECOND), now);
        cache.clear();
        assert_eq!((cache.entries.capacity(), cache.octets), (0, 0));
    }

    // rule H4, B9
    #[test]
    fn additional_addresses_are_not_kept() {
        let now = wait::now();
        let hint = vec![("a.example".to_owned(), Ipv4Addr::new(192, 0, 2, 1).into())];
        let mut cache = filled(&positive().with_time_to_live(SECOND).with_additional(hint), now);
        assert_eq!(cache.answer(&question("example.org"), now).unwrap().additional(), []);
    }

    // rule H4
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
