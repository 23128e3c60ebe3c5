//! The coordinator: looked for, found, lost.

use super::remedy::Remedy;
use super::{ClassicMember, Coordinator, State, positive};
use crate::{Action, Error, GroupError, RequestId};

impl ClassicMember {
    /// Looks for the coordinator if that is due.
    pub(super) fn find_coordinator(&mut self, now_ms: i64) {
        if matches!(self.coordinator, Coordinator::Unknown { find_at } if find_at <= now_ms) {
            let request = self.next_request();
            let deadline = now_ms + positive(self.config.request_timeout_ms);
            self.coordinator = Coordinator::Finding { request, deadline };
            self.actions.push_back(Action::FindCoordinator { request });
        }
    }

    pub(super) fn on_coordinator(&mut self, now_ms: i64, request: RequestId, result: Result<(), GroupError>) {
        if !matches!(self.coordinator, Coordinator::Finding { request: expected, .. } if expected == request) {
            return;
        }
        match result {
            Ok(()) => {
                self.coordinator = Coordinator::Known;
                self.heartbeat_at = now_ms;
            }
            Err(error) => match Remedy::of(error) {
                Remedy::Stop => self.fail(now_ms, Error::Refused { request: "FindCoordinator", error }),
                _ => self.coordinator = Coordinator::Unknown { find_at: now_ms + self.find_backoff.next_ms() },
            },
        }
    }

    /// The connections are of no use any more. Membership and tasks stay: the session timer decides about those.
    pub(super) fn lose_coordinator(&mut self, now_ms: i64) {
        match self.state {
            State::Idle | State::Stopped => return,
            State::Leaving { tell, .. } => return self.stop(tell),
            State::Joining { .. } | State::Leading { .. } | State::Syncing { .. } => {
                self.wait(now_ms, "the connection to the coordinator was lost in a rebalance");
            }
            State::Waiting { .. } | State::Stable | State::Parked => {}
        }
        self.heartbeat = None;
        self.actions.push_back(Action::Disconnect);
        self.coordinator = Coordinator::Unknown { find_at: now_ms + self.find_backoff.next_ms() };
    }
}
