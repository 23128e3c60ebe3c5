//! The state of an instance and of its threads: who may change it, who is told, who waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::listener::StateListener;
use crate::{State, ThreadState};

/// The instance's state machine. Shared by all of its threads.
pub(crate) struct Lifecycle {
    inner: Mutex<Inner>,
    state: watch::Sender<State>,
}

struct Inner {
    threads: Vec<ThreadState>,
    listener: Option<StateListener>,
    /// The error that ended the instance; the first one counts.
    failure: Option<String>,
}

impl Lifecycle {
    pub(crate) fn new(threads: usize) -> Self {
        let inner = Inner { threads: vec![ThreadState::Created; threads], listener: None, failure: None };
        Lifecycle { inner: Mutex::new(inner), state: watch::Sender::new(State::Created) }
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn threads(&self) -> Vec<ThreadState> {
        self.lock().threads.clone()
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    pub(crate) fn set_listener(&self, listener: StateListener) {
        self.lock().listener = Some(listener);
    }

    /// Goes to `next` if that is allowed from here; whether it was.
    pub(crate) fn become_state(&self, next: State) -> bool {
        self.change(&mut self.lock(), next)
    }

    /// Notes an error that ends the instance. `true` for the first, whose finder then closes the other threads.
    pub(crate) fn fail(&self, reason: String) -> bool {
        let mut inner = self.lock();
        inner.failure.get_or_insert(reason);
        self.change(&mut inner, State::PendingError)
    }

    /// Notes a thread's state, and what follows from it for the instance. `thread` counts from 0.
    pub(crate) fn set_thread(&self, thread: usize, state: ThreadState) {
        let mut inner = self.lock();
        if let Some(slot) = inner.threads.get_mut(thread) {
            *slot = state;
        }
        let living = inner.threads.iter().filter(|state| **state != ThreadState::Dead);
        let (mut any, mut all_running) = (false, true);
        for state in living {
            any = true;
            all_running &= *state == ThreadState::Running;
        }
        let next = match (self.state(), any) {
            (State::PendingShutdown, false) => State::NotRunning,
            (State::PendingError, false) => State::Error,
            (State::Rebalancing, true) if all_running => State::Running,
            (State::Running, true) if !all_running => State::Rebalancing,
            _ => return,
        };
        self.change(&mut inner, next);
    }

    /// Whether the instance has no stream threads: its state is then that of its global thread.
    pub(crate) fn has_no_threads(&self) -> bool {
        self.lock().threads.is_empty()
    }

    /// Notes that the global thread of an instance without stream threads has ended.
    pub(crate) fn end_without_threads(&self) {
        let mut inner = self.lock();
        let next = match self.state() {
            State::PendingShutdown => State::NotRunning,
            State::PendingError => State::Error,
            _ => return,
        };
        if inner.threads.is_empty() {
            self.change(&mut inner, next);
        }
    }

    /// Waits until nothing runs any more; false after `timeout`. Blocks the calling thread.
    pub(crate) fn wait_until_closed(&self, timeout: Duration) -> bool {
        let deadline = std::time::Instant::now() + timeout;
        while !self.state().is_terminal() {
            if std::time::Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// The listener is called under the lock: states are told in order, one at a time.
    fn change(&self, inner: &mut MutexGuard<'_, Inner>, next: State) -> bool {
        let old = self.state();
        if !old.may_become(next) {
            return false;
        }
        self.state.send_replace(next);
        tracing::info!(%old, new = %next, "state transition");
        if let Some(listener) = &inner.listener {
            listener(next, old);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_instance_runs_when_all_threads_run_and_ends_with_the_last() {
        let lifecycle = Lifecycle::new(2);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        lifecycle.set_listener(Arc::new(move |new, _| log.lock().unwrap().push(new)));
        assert!(lifecycle.become_state(State::Rebalancing));
        lifecycle.set_thread(0, ThreadState::Running);
        assert_eq!(lifecycle.state(), State::Rebalancing);
        lifecycle.set_thread(1, ThreadState::Running);
        lifecycle.set_thread(1, ThreadState::PartitionsAssigned);
        lifecycle.set_thread(1, ThreadState::Running);
        assert!(lifecycle.fail("first".to_owned()));
        assert!(!lifecycle.fail("second".to_owned()));
        lifecycle.set_thread(0, ThreadState::Dead);
        lifecycle.set_thread(1, ThreadState::Dead);
        assert_eq!(lifecycle.failure().as_deref(), Some("first"));
        let expected =
            [State::Rebalancing, State::Running, State::Rebalancing, State::Running, State::PendingError, State::Error];
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
