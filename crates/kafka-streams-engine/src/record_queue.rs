//! The fetched records of one input partition, in order, and how far they were processed.

use std::collections::VecDeque;
use std::sync::Arc;

use kafka_streams_core::{Extracted, RawRecord, Timestamp, TimestampExtractor, TopicPartition};

use kafka_streams_topology::{ExtractTime, TaskSource};

use crate::port::{FetchSlot, FetchedBatch};

/// The queue of an input partition.
///
/// ENGINE-1: `position ≤ offset of the head record ≤ next_fetch`; the position never passes a record whose outcome is
/// not known.
pub(crate) struct RecordQueue<B> {
    pub(crate) partition: TopicPartition,
    /// Which source of the task's graph takes the records.
    pub(crate) source: usize,
    pub(crate) slot: FetchSlot,
    extractor: Extractor,
    batches: VecDeque<B>,
    cursor: usize,
    buffered: usize,
    head: Option<Head>,
    /// Highest timestamp of the records processed; -1 before the first.
    pub(crate) partition_time: Timestamp,
    /// Where fetching will go on once the queue is empty.
    next_fetch: i64,
    /// Leader epoch of the last record processed.
    pub(crate) leader_epoch: i32,
    /// Whether the partition's end was seen behind the last record of the queue.
    pub(crate) at_end: bool,
    /// Whether records were taken since the last commit.
    pub(crate) consumed: bool,
    /// Records skipped by the timestamp policy and not yet counted.
    pub(crate) skipped: u64,
}

/// Who finds out the time of a record.
#[derive(Clone)]
pub(crate) enum Extractor {
    /// One of Kafka Streams' own.
    BuiltIn(TimestampExtractor),
    /// The user's.
    Custom(ExtractTime),
    /// Nobody: the record's own time is taken as it is. So are the records of global stores, whose extractors the JVM
    /// does not ask (`GlobalStateUpdateTask`).
    AsRecorded,
}

impl Extractor {
    /// That of a source, with the application's default.
    pub(crate) fn of(source: &TaskSource, default: TimestampExtractor) -> Self {
        match &source.extract {
            Some(extract) => Extractor::Custom(extract.clone()),
            None => Extractor::BuiltIn(source.timestamp_extractor.unwrap_or(default)),
        }
    }
}

impl From<TimestampExtractor> for Extractor {
    fn from(extractor: TimestampExtractor) -> Self {
        Extractor::BuiltIn(extractor)
    }
}

/// The record to process next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) offset: i64,
    /// Its time by the timestamp extractor; the raw timestamp if that is invalid.
    pub(crate) timestamp: Timestamp,
    pub(crate) valid: bool,
}

impl<B: FetchedBatch> RecordQueue<B> {
    pub(crate) fn new(
        partition: TopicPartition,
        source: usize,
        slot: FetchSlot,
        extractor: impl Into<Extractor>,
        position: i64,
        partition_time: Timestamp,
    ) -> Self {
        RecordQueue {
            partition,
            source,
            slot,
            extractor: extractor.into(),
            batches: VecDeque::new(),
            cursor: 0,
            buffered: 0,
            head: None,
            partition_time,
            next_fetch: position,
            leader_epoch: -1,
            at_end: false,
            consumed: false,
            skipped: 0,
        }
    }

    /// Appends a fetched batch.
    pub(crate) fn push(&mut self, batch: B, wall_clock: Timestamp) {
        if let Some(last) = batch.len().checked_sub(1) {
            self.next_fetch = batch.record(last).offset + 1;
            self.buffered += batch.len();
            self.at_end = false;
            self.batches.push_back(batch);
            self.find_head(wall_clock);
        }
    }

    /// The partition's end was reached; what lies before `next_offset` and was not delivered has no records.
    pub(crate) fn end(&mut self, next_offset: i64) {
        // What was passed over counts as read: its position is committed, so that the group's lag comes to nothing.
        self.consumed |= next_offset > self.next_fetch;
        self.next_fetch = self.next_fetch.max(next_offset);
        self.at_end = true;
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.head
    }

    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.partition.topic
    }

    /// Number of records waiting.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    /// The head record's bytes.
    pub(crate) fn head_record(&self) -> Option<RawRecord<'_>> {
        self.head?;
        Some(self.batches.front()?.record(self.cursor))
    }

    /// The offset to commit: of the oldest record that was not processed.
    pub(crate) fn position(&self) -> i64 {
        self.head.map_or(self.next_fetch, |head| head.offset)
    }

    /// Moves behind the head record, which was processed or is skipped.
    pub(crate) fn advance(&mut self, wall_clock: Timestamp) {
        let Some(head) = self.head else { return };
        if head.valid {
            self.partition_time = self.partition_time.max(head.timestamp);
        }
        if let Some(batch) = self.batches.front() {
            self.leader_epoch = batch.leader_epoch(self.cursor);
        }
        self.step();
        self.find_head(wall_clock);
    }

    /// Moves behind the head record without learning the time from it: it could not be read.
    pub(crate) fn skip(&mut self, wall_clock: Timestamp) {
        if let Some(head) = &mut self.head {
            head.valid = false;
        }
        self.advance(wall_clock);
    }

    fn step(&mut self) {
        self.consumed = true;
        self.head = None;
        self.cursor += 1;
        self.buffered -= 1;
        if self.batches.front().is_none_or(|batch| self.cursor >= batch.len()) {
            self.batches.pop_front();
            self.cursor = 0;
        }
    }

    #[inline]
    fn find_head(&mut self, wall_clock: Timestamp) {
        while self.head.is_none() {
            let Some(batch) = self.batches.front() else { return };
            let record = batch.record(self.cursor);
            let offset = record.offset;
            let extracted = match &self.extractor {
                Extractor::BuiltIn(extractor) => extractor.extract(record.timestamp, self.partition_time, wall_clock),
                Extractor::Custom(extract) => extract(&self.partition.topic, &record, self.partition_time),
                Extractor::AsRecorded => Extracted::At(record.timestamp),
            };
            self.head = match extracted {
                Extracted::At(timestamp) => Some(Head { offset, timestamp, valid: true }),
                Extracted::Invalid => Some(Head { offset, timestamp: record.timestamp, valid: false }),
                Extracted::Skip => None,
            };
            if self.head.is_none() {
                self.skipped += 1;
                self.step();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::VecBatch;

    fn queue(extractor: TimestampExtractor) -> RecordQueue<VecBatch> {
        RecordQueue::new(TopicPartition::new("t", 0), 0, FetchSlot(1), extractor, 5, -1)
    }

    #[test]
    fn the_position_is_the_oldest_unprocessed_record_and_then_the_end() {
        let mut queue = queue(TimestampExtractor::FailOnInvalidTimestamp);
        assert_eq!(queue.position(), 5);
        queue.push(VecBatch::of_timestamps(7, &[10, 30, 20]), 0);
        assert_eq!(queue.position(), 7);
        queue.advance(0);
        queue.advance(0);
        assert_eq!((queue.position(), queue.partition_time, queue.buffered()), (9, 30, 1));
        queue.end(12);
        assert_eq!(queue.position(), 9);
        queue.advance(0);
        assert_eq!((queue.position(), queue.head()), (12, None));
    }

    #[test]
    fn records_without_a_usable_time_are_skipped_or_shown_as_invalid() {
        let mut skipping = queue(TimestampExtractor::LogAndSkipOnInvalidTimestamp);
        skipping.push(VecBatch::of_timestamps(5, &[-1, -1, 4]), 0);
        assert_eq!((skipping.position(), skipping.skipped), (7, 2));
        let mut failing = queue(TimestampExtractor::FailOnInvalidTimestamp);
        failing.push(VecBatch::of_timestamps(5, &[-1]), 0);
        assert_eq!(failing.head(), Some(Head { offset: 5, timestamp: -1, valid: false }));
    }
}
