//! How many partitions a topic has: asked once, and again from time to time.

use std::time::{Duration, Instant};

use kafka_streams_engine::port::{BrokerError, BrokerErrorKind, Progress};

/// A count is asked for again when it is older than this (`metadata.max.age.ms` of the JVM's clients): a topic that was
/// given more partitions gets records in all of them some minutes later.
const AGE_MAX: Duration = Duration::from_secs(300);

/// The number of partitions of one topic, as far as known.
#[derive(Debug, Default)]
pub(super) struct PartitionCount {
    known: Option<(i32, Instant)>,
    asked: bool,
    failed: Option<BrokerError>,
}

impl PartitionCount {
    /// What can be told now, and whether the broker is to be asked now.
    pub(super) fn answer(&mut self, now: Instant) -> (Progress<Result<i32, BrokerError>>, bool) {
        if let Some(error) = self.failed.take() {
            return (Progress::Done(Err(error)), false);
        }
        let fresh = self.known.is_some_and(|(_, learned)| now.saturating_duration_since(learned) < AGE_MAX);
        let ask = !fresh && !self.asked;
        self.asked |= ask;
        let answer = match self.known {
            Some((count, _)) => Progress::Done(Ok(count)),
            None => Progress::Pending,
        };
        (answer, ask)
    }

    /// The broker's answer.
    pub(super) fn learn(&mut self, answer: Result<i32, BrokerError>, now: Instant) {
        self.asked = false;
        match (answer, &mut self.known) {
            (Ok(count), known) => *known = Some((count, now)),
            // Trouble that passes is no reason to forget what is known.
            (Err(error), Some((_, learned))) if error.kind == BrokerErrorKind::Retriable => *learned = now,
            (Err(error), known) => {
                *known = None;
                self.failed = Some(error);
            }
        }
    }

    /// A record was refused because there is no such topic or partition.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: BrokerErrorKind) -> BrokerError {
        BrokerError { kind, action: "ask".to_owned(), message: String::new() }
    }

    #[test]
    fn the_broker_is_asked_once_until_the_answer_is_old() {
        let (mut count, start) = (PartitionCount::default(), Instant::now());
        assert_eq!(count.answer(start), (Progress::Pending, true));
        assert_eq!(count.answer(start), (Progress::Pending, false));
        count.learn(Ok(3), start);
        assert_eq!(count.answer(start), (Progress::Done(Ok(3)), false));
        let later = start + AGE_MAX;
        assert_eq!(count.answer(later), (Progress::Done(Ok(3)), true), "told while it is asked again");
        assert_eq!(count.answer(later), (Progress::Done(Ok(3)), false));
        count.learn(Ok(4), later);
        assert_eq!(count.answer(later), (Progress::Done(Ok(4)), false));
    }

    #[test]
    fn an_error_is_told_once_and_the_question_asked_again() {
        let (mut count, now) = (PartitionCount::default(), Instant::now());
        assert_eq!(count.answer(now), (Progress::Pending, true));
        count.learn(Err(error(BrokerErrorKind::UnknownTopic)), now);
        assert_eq!(count.answer(now), (Progress::Done(Err(error(BrokerErrorKind::UnknownTopic))), false));
        assert_eq!(count.answer(now), (Progress::Pending, true));
    }

    #[test]
    fn what_is_known_outlives_passing_trouble_but_not_the_topic() {
        let (mut count, now) = (PartitionCount::default(), Instant::now());
        count.learn(Ok(3), now);
        count.learn(Err(error(BrokerErrorKind::Retriable)), now + AGE_MAX);
        assert_eq!(count.answer(now + AGE_MAX), (Progress::Done(Ok(3)), false));
        count.learn(Err(error(BrokerErrorKind::UnknownTopic)), now + AGE_MAX);
        assert!(matches!(count.answer(now + AGE_MAX), (Progress::Done(Err(_)), false)));
        count.learn(Ok(3), now);
        count.forget();
        assert_eq!(count.answer(now), (Progress::Pending, true));
    }
}
