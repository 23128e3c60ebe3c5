//! The input partitions of a task: which record is next, and whether it may be taken yet.

use kafka_streams_core::Timestamp;

use crate::port::FetchedBatch;
use crate::queue_heap::QueueHeap;
use crate::record_queue::RecordQueue;

/// All queues of a task. Records are taken in the order of their timestamps, so far as they are there (KIP-353, KIP-695).
pub(crate) struct PartitionGroup<B> {
    pub(crate) queues: Vec<RecordQueue<B>>,
    /// Those with records.
    by_time: QueueHeap,
    /// When the task began to wait for an empty partition that is at its end.
    idle_since: Option<Timestamp>,
}

/// Whether a task can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The head of this queue is next.
    Queue(usize),
    /// A partition is empty and its next records may be older: wait for the fetch, or until this time.
    Wait(Option<Timestamp>),
    /// No records at all.
    Empty,
}

impl<B> PartitionGroup<B> {
    /// The clock was set back by so many milliseconds.
    pub(crate) fn shift_back(&mut self, by: i64) {
        self.idle_since = self.idle_since.map(|since| since.saturating_sub(by));
    }
}

impl<B: FetchedBatch> PartitionGroup<B> {
    pub(crate) fn new(queues: Vec<RecordQueue<B>>) -> Self {
        PartitionGroup { queues, by_time: QueueHeap::default(), idle_since: None }
    }

    /// Notes that a queue has records now; those that nobody noted are found by [`choose`](PartitionGroup::choose), in
    /// the order of their numbers. The order decides between equal timestamps.
    pub(crate) fn filled(&mut self, index: usize) {
        if let Some(head) = self.queues.get(index).and_then(RecordQueue::head)
            && !self.by_time.contains(index)
        {
            self.by_time.offer(index, head.timestamp);
        }
    }

    /// Notes that the head of the queue that was chosen is gone.
    pub(crate) fn taken(&mut self, index: usize) {
        if self.queues.len() > 1 && self.by_time.first() == Some(index) {
            self.by_time.poll();
            self.filled(index);
        }
    }

    /// Chooses the queue with the oldest head; ties are decided as on the JVM (`PartitionGroup.nonEmptyQueuesByTime`).
    ///
    /// An empty partition holds the others back until its end was seen, and then for `max_task_idle_ms` more; with -1
    /// it never does.
    #[inline]
    pub(crate) fn choose(&mut self, now: Timestamp, max_task_idle_ms: i64) -> Choice {
        if let [only] = &*self.queues {
            return if only.head().is_some() { Choice::Queue(0) } else { Choice::Empty };
        }
        for index in 0..self.queues.len() {
            self.filled(index);
        }
        let Some(oldest) = self.by_time.first() else {
            self.idle_since = None;
            return Choice::Empty;
        };
        if max_task_idle_ms < 0 {
            return Choice::Queue(oldest);
        }
        let mut empty = self.queues.iter().filter(|queue| queue.head().is_none()).peekable();
        if empty.peek().is_none() {
            self.idle_since = None;
            return Choice::Queue(oldest);
        }
        if empty.any(|queue| !queue.at_end) {
            return Choice::Wait(None);
        }
        let deadline = self.idle_since.get_or_insert(now).saturating_add(max_task_idle_ms);
        if now >= deadline { Choice::Queue(oldest) } else { Choice::Wait(Some(deadline)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::VecBatch;
    use crate::port::FetchSlot;
    use kafka_streams_core::{TimestampExtractor, TopicPartition};

    fn group(timestamps: &[&[i64]]) -> PartitionGroup<VecBatch> {
        let queue = |(i, times): (usize, &&[i64])| {
            let partition = TopicPartition::new(format!("t{i}"), 0);
            let mut queue = RecordQueue::new(partition, i, FetchSlot(i as u64), TimestampExtractor::default(), 0, -1);
            queue.push(VecBatch::of_timestamps(0, times), 0);
            queue
        };
        PartitionGroup::new(timestamps.iter().enumerate().map(queue).collect())
    }

    #[test]
    fn records_are_taken_in_the_order_of_their_timestamps() {
        let mut group = group(&[&[1, 5], &[2, 3]]);
        let mut order = Vec::new();
        while let Choice::Queue(i) = group.choose(0, -1) {
            order.push(group.queues[i].head().unwrap().timestamp);
            group.queues[i].advance(0);
            group.taken(i);
        }
        assert_eq!(order, [1, 2, 3, 5]);
    }

    #[test]
    fn an_empty_partition_holds_the_task_back_until_its_end_is_seen_and_the_idle_time_is_over() {
        let mut group = group(&[&[1], &[]]);
        assert_eq!(group.choose(100, 0), Choice::Wait(None));
        group.queues[1].end(0);
        assert_eq!(group.choose(100, 0), Choice::Queue(0));
        assert_eq!(group.choose(100, 50), Choice::Wait(Some(150)));
        assert_eq!(group.choose(150, 50), Choice::Queue(0));
        assert_eq!(group.choose(0, -1), Choice::Queue(0));
    }
}
