//! The states of an application instance and of its stream threads, as on the JVM.

use std::fmt;

/// The state of an instance (`KafkaStreams.State` of the JVM).
///
/// ```text
///                 ┌──────────────────────────┐
///  CREATED ─▶ REBALANCING ◀─▶ RUNNING ─▶ PENDING_SHUTDOWN ─▶ NOT_RUNNING
///                 │              │              ▲ (from CREATED too)
///                 └──────────────┴─▶ PENDING_ERROR ─▶ ERROR
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Made, not started.
    Created,
    /// Tasks are being assigned or restored.
    Rebalancing,
    /// All tasks of all threads run.
    Running,
    /// Being closed.
    PendingShutdown,
    /// Closed.
    NotRunning,
    /// Being closed after an error.
    PendingError,
    /// Closed after an error.
    Error,
}

impl State {
    /// Whether an instance may go from this state to `next`.
    pub fn may_become(self, next: State) -> bool {
        use State::*;
        matches!(
            (self, next),
            (Created, Rebalancing | PendingShutdown)
                | (Rebalancing, Running | PendingShutdown | PendingError)
                | (Running, Rebalancing | PendingShutdown | PendingError)
                | (PendingShutdown, NotRunning)
                | (PendingError, Error)
        )
    }

    /// Whether nothing runs any more and nothing will.
    pub fn is_terminal(self) -> bool {
        matches!(self, State::NotRunning | State::Error)
    }

    /// Whether the threads work.
    pub fn is_running_or_rebalancing(self) -> bool {
        matches!(self, State::Running | State::Rebalancing)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Created => "CREATED",
            State::Rebalancing => "REBALANCING",
            State::Running => "RUNNING",
            State::PendingShutdown => "PENDING_SHUTDOWN",
            State::NotRunning => "NOT_RUNNING",
            State::PendingError => "PENDING_ERROR",
            State::Error => "ERROR",
        })
    }
}

/// The state of a stream thread (`StreamThread.State` of the JVM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThreadState {
    /// Made, not started.
    Created,
    /// Its clients are being made, and it joins the group.
    Starting,
    /// Tasks were taken away.
    PartitionsRevoked,
    /// Tasks were given, and some of them are not running yet.
    PartitionsAssigned,
    /// All of its tasks run.
    Running,
    /// Being closed.
    PendingShutdown,
    /// Closed.
    Dead,
}

impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ThreadState::Created => "CREATED",
            ThreadState::Starting => "STARTING",
            ThreadState::PartitionsRevoked => "PARTITIONS_REVOKED",
            ThreadState::PartitionsAssigned => "PARTITIONS_ASSIGNED",
            ThreadState::Running => "RUNNING",
            ThreadState::PendingShutdown => "PENDING_SHUTDOWN",
            ThreadState::Dead => "DEAD",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_instance_stays_closed() {
        use State::*;
        let all = [Created, Rebalancing, Running, PendingShutdown, NotRunning, PendingError, Error];
        for state in [NotRunning, Error] {
            assert!(state.is_terminal());
            assert!(all.iter().all(|next| !state.may_become(*next)));
        }
        assert!(Created.may_become(Rebalancing) && !Created.may_become(Running));
        assert!(!PendingShutdown.may_become(Running));
    }
}
