//! Timers of processors: when the next punctuation is due, on stream time or on the wall clock.

use crate::{NodeId, TimeHeap, Timestamp};

/// Which clock a punctuation follows (`PunctuationType` of the JVM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunctuationType {
    /// The highest timestamp that the task has seen; it stands still without input.
    StreamTime,
    /// The time of the machine.
    WallClockTime,
}

/// A scheduled punctuation, to be told apart from others and to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Punctuation(u32);

/// The timers of a task.
#[derive(Debug, Default)]
pub struct Timers {
    stream_time: TimeHeap<Scheduled>,
    wall_clock: TimeHeap<Scheduled>,
    /// The one that was given out last and is to be scheduled again: after it has run, so that those that it schedules
    /// come before it (`PunctuationQueue.maybePunctuate` of the JVM).
    in_hand: Option<(Timestamp, Scheduled)>,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Scheduled {
    id: Punctuation,
    node: NodeId,
    kind: PunctuationType,
    interval: i64,
}

impl Timers {
    /// Schedules a punctuation every `interval_ms` (at least 1).
    ///
    /// Stream time is aligned to the epoch, so that the first record fires at once; the wall clock starts from `now`
    /// (`StreamTask.schedule` of the JVM).
    pub fn schedule(&mut self, node: NodeId, kind: PunctuationType, interval_ms: i64, now: Timestamp) -> Punctuation {
        let interval = interval_ms.max(1);
        let at = match kind {
            PunctuationType::StreamTime => 0,
            PunctuationType::WallClockTime => now.saturating_add(interval),
        };
        let id = Punctuation(self.next);
        self.next += 1;
        self.of(kind).offer(at, Scheduled { id, node, kind, interval });
        id
    }

    /// Ends a punctuation; nothing happens if it is already ended.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        self.in_hand = self.in_hand.filter(|(_, scheduled)| scheduled.id != punctuation);
        for timers in [&mut self.stream_time, &mut self.wall_clock] {
            timers.retain(|scheduled| scheduled.id != punctuation);
        }
    }

    /// The next punctuation of this clock that is due at `now`, rescheduled for the first moment of its rhythm after
    /// `now`: missed moments are not made up for (`PunctuationSchedule.next` of the JVM). Of those that are due at one
    /// time, the order is the JVM's.
    pub fn due(&mut self, kind: PunctuationType, now: Timestamp) -> Option<(NodeId, Punctuation)> {
        if let Some((at, scheduled)) = self.in_hand.take() {
            self.of(scheduled.kind).offer(at, scheduled);
        }
        let timers = self.of(kind);
        timers.first().filter(|(at, _)| *at <= now)?;
        let (at, scheduled) = timers.poll()?;
        let missed = now.saturating_sub(at) / scheduled.interval;
        let next = at.saturating_add((missed + 1).saturating_mul(scheduled.interval));
        self.in_hand = Some((next, scheduled));
        Some((scheduled.node, scheduled.id))
    }

    /// When the wall clock makes the next punctuation due.
    pub fn next_wall_clock(&self) -> Option<Timestamp> {
        let in_hand = self.in_hand.filter(|(_, scheduled)| scheduled.kind == PunctuationType::WallClockTime);
        let in_hand = in_hand.map(|(at, _)| at);
        self.wall_clock.first().map(|(at, _)| at).into_iter().chain(in_hand).min()
    }

    fn of(&mut self, kind: PunctuationType) -> &mut TimeHeap<Scheduled> {
        match kind {
            PunctuationType::StreamTime => &mut self.stream_time,
            PunctuationType::WallClockTime => &mut self.wall_clock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_time_fires_on_the_first_record_and_then_in_step_with_the_epoch() {
        let mut timers = Timers::default();
        timers.schedule(NodeId(0), PunctuationType::StreamTime, 100, 7);
        assert!(timers.due(PunctuationType::StreamTime, 250).is_some());
        assert!(timers.due(PunctuationType::StreamTime, 299).is_none());
        assert!(timers.due(PunctuationType::StreamTime, 300).is_some());
        assert_eq!(timers.next_wall_clock(), None);
    }

    #[test]
    fn a_late_wall_clock_fires_once_and_keeps_its_rhythm() {
        let mut timers = Timers::default();
        let id = timers.schedule(NodeId(3), PunctuationType::WallClockTime, 10, 1000);
        assert_eq!(timers.due(PunctuationType::WallClockTime, 1009), None);
        assert_eq!(timers.due(PunctuationType::WallClockTime, 1035), Some((NodeId(3), id)));
        assert_eq!(timers.next_wall_clock(), Some(1040));
        timers.cancel(id);
        assert_eq!(timers.due(PunctuationType::WallClockTime, 2000), None);
    }
}
