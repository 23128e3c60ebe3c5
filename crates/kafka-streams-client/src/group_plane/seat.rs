//! What a worker and its member's task share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_streams_group::{GroupMember, WorkerEvent};
use kafka_streams_runtime::port::Waker;
use tokio::sync::Notify;

/// Events on their way to the worker, and the seat to commit under. Both change under one lock, so that a worker that has
/// not yet heard of a loss at least finds no seat.
pub(super) struct Seat {
    state: Mutex<State>,
    waker: Waker,
    /// The worker was heard of since the task looked last.
    alive: AtomicBool,
    /// The task sleeps until the worker is heard of.
    parked: AtomicBool,
    heard: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<WorkerEvent>,
    member: Option<GroupMember>,
}

impl Seat {
    pub(super) fn new(waker: Waker) -> Self {
        Seat {
            state: Mutex::default(),
            waker,
            alive: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            heard: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The worker's side.

    pub(super) fn poll(&self) -> Option<WorkerEvent> {
        self.state().events.pop_front()
    }

    pub(super) fn member(&self) -> Option<GroupMember> {
        self.state().member.clone()
    }

    /// The worker went round its loop. It does so thousands of times a second, so this is a flag that the task looks at
    /// when it wakes anyway (at every heartbeat), not an event.
    pub(super) fn worker_alive(&self) {
        self.alive.store(true, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst) {
            self.heard.notify_one();
        }
    }

    // The task's side.

    /// Whether the worker was heard of since the last call.
    pub(super) fn take_alive(&self) -> bool {
        self.alive.swap(false, Ordering::SeqCst)
    }

    /// From now on, or no longer, the worker's sign of life is waited for.
    pub(super) fn set_parked(&self, parked: bool) {
        self.parked.store(parked, Ordering::SeqCst);
        // It may have been heard of just before it could know.
        if parked && self.alive.load(Ordering::SeqCst) {
            self.heard.notify_one();
        }
    }

    /// The worker was heard of while parked.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Hands over events and the seat that goes with them.
    pub(super) fn publish(&self, events: Vec<WorkerEvent>, member: Option<&GroupMember>) {
        let news = !events.is_empty();
        let mut state = self.state();
        state.events.extend(events);
        if state.member.as_ref() != member {
            state.member = member.cloned();
        }
        drop(state);
        if news {
            (self.waker)();
        }
    }
}
