//! The queues of a task by the timestamps of their heads: `java.util.PriorityQueue`, step by step, so that of queues with equal
//! timestamps the same one is next as on the JVM.

use kafka_streams_core::Timestamp;

/// A binary heap of queue numbers, the lowest timestamp first.
#[derive(Debug, Default)]
pub(crate) struct TimeHeap {
    heap: Vec<(Timestamp, usize)>,
    /// By queue: whether it is in the heap.
    present: Vec<bool>,
}

impl TimeHeap {
    /// Whether this queue is in the heap.
    pub(crate) fn contains(&self, queue: usize) -> bool {
        self.present.get(queue).copied().unwrap_or(false)
    }

    /// The queue that is next.
    pub(crate) fn first(&self) -> Option<usize> {
        self.heap.first().map(|(_, queue)| *queue)
    }

    /// Adds a queue (`PriorityQueue.offer`): it rises past those with later heads, and past none with an equal one.
    pub(crate) fn offer(&mut self, queue: usize, timestamp: Timestamp) {
        let mut at = self.heap.len();
        self.heap.push((timestamp, queue));
        if self.present.len() <= queue {
            self.present.resize(queue + 1, false);
        }
        if let Some(present) = self.present.get_mut(queue) {
            *present = true;
        }
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.time(parent) <= timestamp {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    /// Takes the first queue out (`PriorityQueue.poll`): the last one takes its place and sinks.
    pub(crate) fn poll(&mut self) {
        let Some(queue) = self.first() else { return };
        if let Some(present) = self.present.get_mut(queue) {
            *present = false;
        }
        self.heap.swap_remove(0);
        let (length, mut at) = (self.heap.len(), 0);
        while at < length / 2 {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = if right < length && self.time(left) > self.time(right) { right } else { left };
            if self.time(at) <= self.time(child) {
                break;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    fn time(&self, at: usize) -> Timestamp {
        self.heap.get(at).map_or(Timestamp::MAX, |(timestamp, _)| *timestamp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_equal_timestamps_the_order_is_javas() {
        // What java.util.PriorityQueue gives for 0..5 with one key each, polled and offered anew twice.
        let mut heap = TimeHeap::default();
        (0..5).for_each(|queue| heap.offer(queue, 7));
        let mut order = Vec::new();
        for _ in 0..10 {
            let first = heap.first().unwrap();
            order.push(first);
            heap.poll();
            heap.offer(first, 7);
        }
        assert_eq!(order, [0, 4, 0, 4, 0, 4, 0, 4, 0, 4]);
    }

    proptest! {
        #[test]
        fn queues_come_out_by_their_timestamps(times in prop::collection::vec(0_i64..20, 0..40)) {
            let mut heap = TimeHeap::default();
            times.iter().enumerate().for_each(|(queue, time)| heap.offer(queue, *time));
            let mut out = Vec::new();
            while let Some(queue) = heap.first() {
                out.push(times[queue]);
                heap.poll();
            }
            let mut sorted = times.clone();
            sorted.sort_unstable();
            prop_assert_eq!(out, sorted);
        }
    }
}
