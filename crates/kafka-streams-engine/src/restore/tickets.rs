//! Which news of a restorer that works elsewhere are still wanted: a restore may end while it is being cancelled, and its
//! task may be ordered again before the news of the first order have come.

use std::collections::{BTreeMap, VecDeque};

use kafka_streams_core::TaskId;

use crate::restore::RestoreEvent;

/// The worker's end of a restorer on another thread. Every order has a ticket of its own, which comes back with its news.
#[derive(Debug, Default)]
pub struct RestoreTickets {
    awaited: BTreeMap<TaskId, u64>,
    last: u64,
    /// Tasks that were cancelled without being with the restorer.
    idle: VecDeque<TaskId>,
}

impl RestoreTickets {
    /// The ticket of a new order; news of earlier ones of this task are not wanted any more.
    pub fn submit(&mut self, task: TaskId) -> u64 {
        self.last += 1;
        self.awaited.insert(task, self.last);
        self.last
    }

    /// Whether the restorer has to be told that this task is cancelled. If not, as it was not begun or is at its end, the
    /// answer comes from [`poll_idle`](RestoreTickets::poll_idle).
    pub fn cancel(&mut self, task: TaskId) -> bool {
        let begun = self.awaited.contains_key(&task);
        if !begun {
            self.idle.push_back(task);
        }
        begun
    }

    /// The answer to a cancellation that the restorer was not told of.
    pub fn poll_idle(&mut self) -> Option<RestoreEvent> {
        self.idle.pop_front().map(|task| RestoreEvent::Cancelled { task })
    }

    /// Whether this news is of the order that is waited for. The last news of an order ends it.
    pub fn accept(&mut self, ticket: u64, event: &RestoreEvent) -> bool {
        let task = event.task();
        let wanted = self.awaited.get(&task) == Some(&ticket);
        if wanted && event.is_last() {
            self.awaited.remove(&task);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId::new(0, 0);

    #[test]
    fn news_of_an_earlier_order_are_not_taken_for_the_present_ones() {
        let mut tickets = RestoreTickets::default();
        let (first, second) = (tickets.submit(TASK), tickets.submit(TASK));
        let cancelled = RestoreEvent::Cancelled { task: TASK };
        assert!(!tickets.accept(first, &cancelled));
        assert!(tickets.accept(second, &cancelled));
        assert!(!tickets.accept(second, &cancelled), "it has ended");
    }

    #[test]
    fn a_task_that_the_restorer_does_not_have_is_cancelled_at_once() {
        let mut tickets = RestoreTickets::default();
        assert!(!tickets.cancel(TASK));
        assert!(matches!(tickets.poll_idle(), Some(RestoreEvent::Cancelled { task: TASK })));
        tickets.submit(TASK);
        assert!(tickets.cancel(TASK) && tickets.poll_idle().is_none());
    }
}
