//! Tests of the schedule with a made-up clock.

use super::*;
use crate::dns::Record;
use crate::wait;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(10);
const NANOSECOND: Duration = Duration::from_nanos(1);

fn schedule(servers: usize, attempts: u32) -> (Schedule, Instant) {
    let start = wait::now();
    (Schedule::new(servers, Rounds { attempts, timeout: None }, Deadline::NEVER, start), start)
}

fn ask(server: usize, number: u32) -> Option<LookupOrder> {
    Some(LookupOrder::Ask(Try { server, number }))
}

fn found(answer: Answer) -> Resolved {
    Resolved { answer, source: AnswerSource::Nobody }
}

fn positive() -> Resolved {
    found(Answer::new(vec![Record::Address([192, 0, 2, 1].into())]))
}

fn none() -> Resolved {
    found(Answer::no_such_name())
}

fn finished(found: Resolved) -> Option<LookupOrder> {
    Some(LookupOrder::Finished(Ok(found)))
}

fn failed(why: &str) -> Option<LookupOrder> {
    Some(LookupOrder::Finished(Err(LookupError::new(why))))
}

/// Nothing is due until `at`; then `order` is.
fn assert_next(schedule: &mut Schedule, at: Instant, order: &Option<LookupOrder>) {
    assert_eq!(schedule.wake_at(), at.into());
    assert_eq!(schedule.poll(at - NANOSECOND), None);
    assert_eq!(schedule.poll(at), *order);
}

// rule H3
#[test]
fn silence_sends_a_try_every_second_through_the_servers_and_around_again() {
    let (mut schedule, start) = schedule(3, 2);
    assert_eq!(schedule.wake_at(), start.into());
    for (number, server) in [0, 1, 2, 0, 1, 2].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        assert_eq!(schedule.poll(start + number * SECOND), ask(server, number));
        assert_eq!(schedule.poll(start + number * SECOND), None);
        if number < 5 {
            assert_eq!(schedule.wake_at(), (start + (number + 1) * SECOND).into());
        }
    }
    // All tries are listened to until the lookup limit.
    assert_eq!(schedule.wake_at(), Deadline::NEVER);
    assert_eq!(schedule.poll(start + 3600 * SECOND), None);
    schedule.handle_answer(0, positive());
    assert_eq!(schedule.poll(start + 3600 * SECOND), finished(positive()));
    assert_eq!(schedule.poll(start + 3600 * SECOND), None);
    assert_eq!(schedule.tries, 6);
}

// rule D5
#[test]
fn at_its_deadline_the_lookup_has_timed_out_and_an_answer_that_is_there_goes_before() {
    for is_answered in [false, true] {
        let start = wait::now();
        let mut schedule = Schedule::new(
            2,
            Rounds { attempts: 2, timeout: None },
            Deadline::after(start, 2 * SECOND),
            start,
        );
        assert_eq!(schedule.poll(start), ask(0, 0));
        assert_next(&mut schedule, start + SECOND, &ask(1, 1));
        assert_eq!(schedule.unanswered().collect::<Vec<_>>(), [(0, start), (1, start + SECOND)]);
        assert_eq!(schedule.wake_at(), (start + 2 * SECOND).into());
        assert_eq!(schedule.poll(start + 2 * SECOND - NANOSECOND), None);
        if is_answered {
            schedule.handle_answer(1, positive());
            assert_eq!(schedule.poll(start + 2 * SECOND), finished(positive()));
        } else {
            // No further try leaves at the end, although one is due.
            assert_eq!(schedule.poll(start + 2 * SECOND), Some(LookupOrder::TimedOut));
        }
        assert_eq!((schedule.poll(start + 3 * SECOND), schedule.wake_at()), (None, Deadline::NEVER));
    }
}

// rule H3a
#[test]
fn the_same_server_is_asked_again_after_the_timeout_and_another_one_after_a_second() {
    let start = wait::now();
    let rounds = Rounds { attempts: 2, timeout: Some(10 * SECOND) };
    let mut schedule = Schedule::new(2, rounds, Deadline::NEVER, start);
    assert_eq!(schedule.poll(start), ask(0, 0));
    assert_next(&mut schedule, start + SECOND, &ask(1, 1));
    assert_next(&mut schedule, start + 10 * SECOND, &ask(0, 2));
    assert_next(&mut schedule, start + 11 * SECOND, &ask(1, 3));
    // One that has failed owes nothing: it is asked again at once.
    let mut schedule = Schedule::new(1, rounds, Deadline::NEVER, start);
    assert_eq!(schedule.poll(start), ask(0, 0));
    schedule.handle_failure(Try { server: 0, number: 0 }, "SERVFAIL".to_owned(), start + MOMENT);
    assert_eq!(schedule.wake_at(), (start + MOMENT).into());
    assert_eq!(schedule.poll(start + MOMENT), ask(0, 1));
}

// rule H3a
#[test]
fn a_lookup_lasts_as_long_as_the_last_try_may_take() {
    let longest = |servers, attempts, timeout: u32| {
        Rounds { attempts, timeout: Some(timeout * SECOND) }.longest(servers)
    };
    assert_eq!(longest(1, 2, 10), Some(20 * SECOND));
    assert_eq!(longest(3, 1, 10), Some(12 * SECOND));
    assert_eq!(longest(3, 2, 2), Some(7 * SECOND));
    assert_eq!(longest(1, 1, 2), Some(2 * SECOND));
    // What is usual anyway asks for no more.
    assert_eq!(longest(3, 5, 1), None);
    assert_eq!(Rounds { attempts: 5, timeout: None }.longest(3), None);
    let extreme = Rounds { attempts: u32::MAX, timeout: Some(Duration::MAX) };
    assert_eq!(extreme.longest(usize::MAX), Some(Duration::MAX));
}

// rule H3
#[test]
fn an_explicit_failure_sends_the_next_try_at_once() {
    let (mut schedule, start) = schedule(2, 2);
    assert_eq!(schedule.poll(start), ask(0, 0));
    schedule.handle_failure(Try { server: 0, number: 0 }, "SERVFAIL".to_owned(), start + MOMENT);
    assert_eq!(schedule.wake_at(), (start + MOMENT).into());
    assert_eq!(schedule.poll(start + MOMENT), ask(1, 1));
    // The second counts from the try before, whenever that was.
    assert_next(&mut schedule, start + MOMENT + SECOND, &ask(0, 2));
}

// rule H3
#[test]
fn the_lookup_fails_at_once_when_every_try_of_every_server_has_failed() {
    let (mut schedule, start) = schedule(2, 2);
    for (number, server) in [0, 1, 0, 1].into_iter().enumerate() {
        let attempt = Try { server, number: number.try_into().unwrap() };
        assert_eq!(schedule.poll(start), Some(LookupOrder::Ask(attempt)));
        schedule.handle_failure(attempt, format!("reason {number}"), start);
    }
    assert_eq!(schedule.poll(start), failed("reason 2; reason 3"));
    assert_eq!((schedule.poll(start), schedule.wake_at()), (None, Deadline::NEVER));
}

// rule H3
#[test]
fn one_silent_server_keeps_the_lookup_open() {
    let (mut schedule, start) = schedule(2, 1);
    assert_eq!(schedule.poll(start), ask(0, 0));
    assert_eq!(schedule.poll(start + SECOND), ask(1, 1));
    schedule.handle_failure(Try { server: 1, number: 1 }, "REFUSED".to_owned(), start + SECOND);
    assert_eq!(schedule.poll(start + 4 * SECOND), None);
    schedule.handle_failure(Try { server: 0, number: 0 }, "SERVFAIL".to_owned(), start + 4 * SECOND);
    assert_eq!(schedule.poll(start + 4 * SECOND), failed("SERVFAIL; REFUSED"));
}

// rule H3
#[test]
fn a_late_failure_of_an_early_try_leaves_the_later_try_open() {
    let (mut schedule, start) = schedule(1, 2);
    assert_eq!(schedule.poll(start), ask(0, 0));
    assert_eq!(schedule.poll(start + SECOND), ask(0, 1));
    schedule.handle_failure(Try { server: 0, number: 0 }, "SERVFAIL".to_owned(), start + SECOND);
    assert_eq!(schedule.poll(start + SECOND), None);
    schedule.handle_answer(0, positive());
    assert_eq!(schedule.poll(start + SECOND), finished(positive()));
}

// rule H3
#[test]
fn records_from_any_server_are_final() {
    let (mut schedule, start) = schedule(2, 2);
    assert_eq!(schedule.poll(start), ask(0, 0));
    assert_eq!(schedule.poll(start + SECOND), ask(1, 1));
    schedule.handle_answer(1, none());
    assert_eq!(schedule.poll(start + SECOND), None);
    schedule.handle_answer(0, positive());
    assert_eq!(schedule.poll(start + SECOND), finished(positive()));
}

// rule H3
#[test]
fn none_from_the_first_server_is_final() {
    let (mut schedule, start) = schedule(2, 2);
    assert_eq!(schedule.poll(start), ask(0, 0));
    schedule.handle_answer(0, none());
    assert_eq!(schedule.poll(start), finished(none()));
}

// rule H3
#[test]
fn none_from_a_later_server_waits_until_the_earlier_has_been_silent_for_two_seconds() {
    let (mut schedule, start) = schedule(2, 1);
    assert_eq!(schedule.poll(start), ask(0, 0));
    assert_eq!(schedule.poll(start + SECOND), ask(1, 1));
    schedule.handle_answer(1, none());
    assert_next(&mut schedule, start + 2 * SECOND, &finished(none()));
}

// rule H3
#[test]
fn none_from_the_third_server_waits_for_both_before_it() {
    let (mut schedule, start) = schedule(3, 1);
    for number in 0..3 {
        assert!(matches!(schedule.poll(start + number * SECOND), Some(LookupOrder::Ask(_))));
    }
    schedule.handle_answer(2, none());
    // The second was asked a second after the first.
    assert_next(&mut schedule, start + 3 * SECOND, &finished(none()));
}

// rule H3
#[test]
fn none_from_a_later_server_is_final_when_the_earlier_has_failed() {
    for before in [true, false] {
        let (mut schedule, start) = schedule(2, 2);
        assert_eq!(schedule.poll(start), ask(0, 0));
        let failure = Try { server: 0, number: 0 };
        if before {
            schedule.handle_failure(failure, "REFUSED".to_owned(), start);
            assert_eq!(schedule.poll(start), ask(1, 1));
            schedule.handle_answer(1, none());
        } else {
            assert_eq!(schedule.poll(start + SECOND), ask(1, 1));
            schedule.handle_answer(1, none());
            assert_eq!(schedule.poll(start + SECOND), None);
            schedule.handle_failure(failure, "REFUSED".to_owned(), start + SECOND);
        }
        assert_eq!(schedule.poll(start + SECOND), finished(none()));
    }
}

// rule H3
#[test]
fn a_server_that_said_none_is_not_asked_again() {
    let (mut schedule, start) = schedule(3, 2);
    assert_eq!(schedule.poll(start), ask(0, 0));
    schedule.handle_failure(Try { server: 0, number: 0 }, "REFUSED".to_owned(), start);
    assert_eq!(schedule.poll(start), ask(1, 1));
    assert_next(&mut schedule, start + SECOND, &ask(2, 2));
    schedule.handle_answer(2, none());
    schedule.handle_failure(Try { server: 0, number: 0 }, "REFUSED".to_owned(), start + SECOND);
    assert_eq!(schedule.poll(start + SECOND), ask(0, 3));
    // The third one's turn is left out, and the second is waited for.
    assert_next(&mut schedule, start + 2 * SECOND, &finished(none()));
}

// rule H3
#[test]
fn servers_that_let_a_try_go_by_are_named_and_others_are_not() {
    let (mut schedule, start) = schedule(3, 1);
    let silent = |schedule: &Schedule, at| schedule.silent(at).collect::<Vec<_>>();
    assert_eq!(schedule.poll(start), ask(0, 0));
    assert_eq!(silent(&schedule, start + SECOND - NANOSECOND), []);
    assert_eq!(silent(&schedule, start + SECOND), [(0, start)]);
    assert_eq!(schedule.poll(start + SECOND), ask(1, 1));
    schedule.handle_failure(Try { server: 1, number: 1 }, "REFUSED".to_owned(), start + SECOND);
    assert_eq!(schedule.poll(start + SECOND), ask(2, 2));
    schedule.handle_answer(2, none());
    assert_eq!(silent(&schedule, start + 3 * SECOND), [(0, start)]);
}

// rule H3, H6
#[test]
fn nobody_to_ask_is_a_failure_and_extreme_numbers_are_no_trouble() {
    for (servers, attempts) in [(0, 2), (2, 0)] {
        let (mut schedule, start) = schedule(servers, attempts);
        assert_eq!(schedule.poll(start), failed("no name server to ask"));
    }
    let start = wait::now();
    let mut schedule =
        Schedule::new(2, Rounds { attempts: u32::MAX, timeout: Some(Duration::MAX) }, Deadline::NEVER, start);
    assert_eq!(schedule.poll(start), ask(0, 0));
    assert_eq!(schedule.wake_at(), (start + SECOND).into());
}
