//! Things by time: `java.util.PriorityQueue`, step by step, so that of equal times the same one is next as on the JVM.

use crate::Timestamp;

/// A binary heap of things with a time each, the lowest time first.
#[derive(Clone, Debug)]
pub struct TimeHeap<T>(Vec<(Timestamp, T)>);

impl<T> Default for TimeHeap<T> {
    fn default() -> Self {
        TimeHeap(Vec::new())
    }
}

impl<T> TimeHeap<T> {
    /// The next one, with its time in milliseconds.
    pub fn first(&self) -> Option<(Timestamp, &T)> {
        self.0.first().map(|(time, thing)| (*time, thing))
    }

    /// Adds one (`PriorityQueue.offer`): it rises past those with later times, and past none with an equal one.
    pub fn offer(&mut self, time: Timestamp, thing: T) {
        let mut at = self.0.len();
        self.0.push((time, thing));
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.time(parent) <= time {
                break;
            }
            self.0.swap(at, parent);
            at = parent;
        }
    }

    /// Takes the first one out (`PriorityQueue.poll`): the last one takes its place and sinks.
    pub fn poll(&mut self) -> Option<(Timestamp, T)> {
        if self.0.is_empty() {
            return None;
        }
        let first = self.0.swap_remove(0);
        let (length, mut at) = (self.0.len(), 0);
        while at < length / 2 {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = if right < length && self.time(left) > self.time(right) { right } else { left };
            if self.time(at) <= self.time(child) {
                break;
            }
            self.0.swap(at, child);
            at = child;
        }
        Some(first)
    }

    /// Keeps those that `wanted` accepts.
    pub fn retain(&mut self, wanted: impl Fn(&T) -> bool) {
        for (time, thing) in std::mem::take(&mut self.0) {
            if wanted(&thing) {
                self.offer(time, thing);
            }
        }
    }

    fn time(&self, at: usize) -> Timestamp {
        self.0.get(at).map_or(Timestamp::MAX, |(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_times_the_order_is_javas() {
        // What java.util.PriorityQueue gives for 0..5 with one key each, polled and offered anew ten times.
        let mut heap = TimeHeap::default();
        (0..5).for_each(|thing| heap.offer(7, thing));
        let mut order = Vec::new();
        for _ in 0..10 {
            let (time, first) = heap.poll().unwrap();
            order.push(first);
            heap.offer(time, first);
        }
        assert_eq!(order, [0, 4, 0, 4, 0, 4, 0, 4, 0, 4]);
        heap.retain(|thing| *thing != 4);
        assert_eq!(heap.first(), Some((7, &0)));
    }

    #[test]
    fn things_come_out_by_their_times() {
        let mut heap = TimeHeap::default();
        let times = (0..200_i64).map(|n| n * 7_919 % 61);
        times.clone().for_each(|time| heap.offer(time, time));
        let mut sorted: Vec<_> = times.collect();
        sorted.sort_unstable();
        let out: Vec<_> = std::iter::from_fn(|| heap.poll()).map(|(_, time)| time).collect();
        assert_eq!(out, sorted);
    }
}
