//! The ways out of the group: by wish, for silence, for an error, and what the worker loses by it.

use super::{ClassicMember, Coordinator, FollowUp, State};
use crate::codec::LATEST_OFFSET;
use crate::{Action, Error, LeaveRequest, LostReason, RequestId, WorkerEvent};

/// How long a leaving member waits for the answer to LeaveGroup, so that a shutdown does not hang on a dead broker.
const LEAVE_WAIT_MS: i64 = 5_000;

impl ClassicMember {
    pub(super) fn on_leave(&mut self, now_ms: i64, notify_coordinator: bool) {
        self.clear_membership();
        self.assigned = false;
        self.part(now_ms, notify_coordinator, "the application is closing", true);
    }

    /// The worker is silent: what it holds must move to others, and what it still does cannot be known.
    pub(super) fn park(&mut self, now_ms: i64) {
        let member_id = self.member_id.take();
        self.lose_membership(LostReason::WorkerSilent);
        self.state = State::Parked;
        if let Some(member_id) = member_id
            && self.config.instance_id.is_none()
            && matches!(self.coordinator, Coordinator::Known)
        {
            self.send_leave(now_ms, &member_id, "the worker was silent for max.poll.interval.ms");
        }
    }

    pub(super) fn fail(&mut self, now_ms: i64, error: Error) {
        self.lose_membership(LostReason::Fatal);
        self.tell(WorkerEvent::Fatal(error));
        // A static member's place is kept for its return, so it does not leave by itself (KIP-345).
        self.part(now_ms, self.config.instance_id.is_none(), "the member failed", false);
    }

    pub(super) fn on_unreachable(&mut self, now_ms: i64, reason: String) {
        if let State::Leaving { tell, .. } = self.state {
            return self.stop(tell);
        }
        self.lose_membership(LostReason::Fatal);
        self.tell(WorkerEvent::Fatal(Error::Unreachable { reason }));
        // LeaveGroup would come no further.
        self.part(now_ms, false, "the coordinator cannot be reached", false);
    }

    /// Ends the membership, telling the coordinator if that is wanted and possible, and the worker if `tell`.
    pub(super) fn part(&mut self, now_ms: i64, notify_coordinator: bool, reason: &str, tell: bool) {
        match self.member_id.take() {
            Some(member_id)
                if notify_coordinator && matches!(self.coordinator, Coordinator::Known) && self.is_running() =>
            {
                let (request, deadline) = self.send_leave(now_ms, &member_id, reason);
                self.state = State::Leaving { request, deadline, tell };
            }
            _ => self.stop(tell),
        }
    }

    pub(super) fn send_leave(&mut self, now_ms: i64, member_id: &str, reason: &str) -> (RequestId, i64) {
        let request = self.next_request();
        let leave = LeaveRequest {
            member_id: member_id.to_owned(),
            instance_id: self.config.instance_id.clone(),
            reason: reason.to_owned(),
        };
        self.actions.push_back(Action::Leave { request, leave });
        (request, now_ms + LEAVE_WAIT_MS)
    }

    pub(super) fn on_leave_reply(&mut self, request: RequestId) {
        if let State::Leaving { request: expected, tell, .. } = self.state
            && expected == request
        {
            self.stop(tell);
        }
    }

    pub(super) fn stop(&mut self, tell: bool) {
        self.state = State::Stopped;
        self.actions.push_back(Action::Disconnect);
        if tell {
            self.tell(WorkerEvent::Left);
        }
    }

    pub(super) fn is_running(&self) -> bool {
        !matches!(self.state, State::Idle | State::Parked | State::Leaving { .. } | State::Stopped)
    }

    /// Out of the group: the worker hears of it if it has anything to lose.
    pub(super) fn lose_membership(&mut self, reason: LostReason) {
        self.clear_membership();
        if std::mem::take(&mut self.assigned) {
            self.tell(WorkerEvent::Lost { reason });
        }
    }

    pub(super) fn clear_membership(&mut self) {
        self.member = None;
        self.heartbeat = None;
        self.join_answered = true;
        self.ownership.clear();
        self.assigned_in = None;
        self.told_rebalancing = false;
        self.follow_up = FollowUp::default();
        // Nothing runs here any more; saying so would draw the tasks back as if their state were complete.
        self.task_offset_sums.retain(|_, sum| *sum != LATEST_OFFSET);
    }
}
