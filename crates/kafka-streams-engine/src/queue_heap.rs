//! The queues of a task by the timestamps of their heads, so that of queues with equal timestamps the same one is next as on
//! the JVM.

use kafka_streams_core::{TimeHeap, Timestamp};

/// Numbers of queues, the one with the lowest timestamp first.
#[derive(Debug, Default)]
pub(crate) struct QueueHeap {
    heap: TimeHeap<usize>,
    /// By queue: whether it is in the heap.
    present: Vec<bool>,
}

impl QueueHeap {
    /// Whether this queue is in the heap.
    pub(crate) fn contains(&self, queue: usize) -> bool {
        self.present.get(queue).copied().unwrap_or(false)
    }

    /// The queue that is next.
    pub(crate) fn first(&self) -> Option<usize> {
        self.heap.first().map(|(_, queue)| *queue)
    }

    /// Adds a queue.
    pub(crate) fn offer(&mut self, queue: usize, timestamp: Timestamp) {
        if self.present.len() <= queue {
            self.present.resize(queue + 1, false);
        }
        if let Some(present) = self.present.get_mut(queue) {
            *present = true;
        }
        self.heap.offer(timestamp, queue);
    }

    /// Takes the first queue out.
    pub(crate) fn poll(&mut self) {
        if let Some((_, queue)) = self.heap.poll()
            && let Some(present) = self.present.get_mut(queue)
        {
            *present = false;
        }
    }
}
