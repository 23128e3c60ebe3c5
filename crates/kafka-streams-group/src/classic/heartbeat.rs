//! Heartbeats, which keep the session and bring the news of a rebalance.

use super::remedy::Remedy;
use super::{ClassicMember, SentHeartbeat, State, positive};
use crate::{Action, GroupError, HeartbeatRequest, RequestId};

impl ClassicMember {
    pub(super) fn send_heartbeat(&mut self, now_ms: i64) {
        let Some(member) = &self.member else {
            return;
        };
        let generation = member.generation();
        let heartbeat = HeartbeatRequest {
            generation,
            member_id: member.member_id().to_owned(),
            instance_id: self.config.instance_id.clone(),
        };
        let request = self.next_request();
        self.heartbeat = Some(SentHeartbeat { request, sent_at: now_ms, generation });
        self.actions.push_back(Action::Heartbeat { request, heartbeat });
    }

    pub(super) fn on_heartbeat_reply(&mut self, now_ms: i64, request: RequestId, result: Result<(), GroupError>) {
        let Some(sent) = self.heartbeat.take_if(|sent| sent.request == request) else {
            return;
        };
        self.heartbeat_at = sent.sent_at + positive(self.config.heartbeat_interval_ms);
        // Before JoinGroup is answered the group may already be in the next generation, with us in it: a heartbeat for
        // the old one is refused then, which means nothing.
        let current = self.join_answered && self.member.as_ref().is_some_and(|m| m.generation() == sent.generation);
        match result {
            Ok(()) => self.on_contact(sent.sent_at),
            Err(GroupError::RebalanceInProgress) => {
                self.on_contact(sent.sent_at);
                if current && matches!(self.state, State::Stable | State::Leading { .. }) {
                    self.wait(now_ms, "the group is rebalancing");
                    if self.ownership.is_releasing() {
                        let at = now_ms + i64::from(self.config.release_wait_ms.max(0));
                        self.state = State::Waiting { at, until_released: true };
                    }
                }
            }
            Err(GroupError::IllegalGeneration) if !current => {}
            Err(error) => match Remedy::of(error) {
                Remedy::Retry => self.heartbeat_at = now_ms + positive(self.config.retry_backoff_ms),
                _ => self.remedy(now_ms, "Heartbeat", error),
            },
        }
    }

    pub(super) fn on_contact(&mut self, sent_at: i64) {
        self.contact_at = self.contact_at.max(sent_at);
        self.find_backoff.reset();
    }

    pub(super) fn heartbeat_deadline(&self, sent: &SentHeartbeat) -> i64 {
        sent.sent_at.saturating_add(positive(self.config.request_timeout_ms))
    }

    pub(super) fn session_deadline(&self) -> i64 {
        self.contact_at.saturating_add(positive(self.config.session_timeout_ms))
    }
}
