//! JoinGroup: the wish to join, the request with all that is claimed, the answer, and the leader's work.

use std::sync::Arc;

use super::{ClassicMember, State, positive};
use crate::codec::{ConsumerSubscription, LATEST_VERSION, SubscriptionInfo};
use crate::{
    Action, Error, GroupError, GroupMember, JoinRefusal, JoinReply, JoinRequest, LeadError, PROTOCOL_NAME, RequestId,
    WorkerEvent,
};

/// The longest reason that the broker takes (`JoinGroupRequest.maybeTruncateReason`).
const REASON_BYTES_MAX: usize = 255;

impl ClassicMember {
    pub(super) fn want_rejoin(&mut self, now_ms: i64, reason: String, at_once: bool) {
        match self.state {
            State::Stable if at_once || !self.ownership.is_releasing() => self.wait(now_ms, reason),
            State::Stable => {
                self.follow_up.when_released = true;
                self.reason = reason;
            }
            State::Joining { .. } | State::Leading { .. } | State::Syncing { .. } => self.again = Some(reason),
            // The subscription is made when JoinGroup is sent, so it will have the news.
            _ => {}
        }
    }

    pub(super) fn send_join(&mut self, now_ms: i64) {
        let Some(topics) = self.topics.clone() else {
            return;
        };
        self.unique_field = self.unique_field.wrapping_add(1);
        self.claimed = self.ownership.claims();
        let metadata = match self.subscription(topics) {
            Ok(metadata) => metadata,
            Err(error) => return self.fail(now_ms, error),
        };
        if self.assigned && !self.told_rebalancing {
            self.told_rebalancing = true;
            self.tell(WorkerEvent::Rebalancing);
        }
        let request = self.next_request();
        let join = JoinRequest {
            member_id: self.member_id.as_deref().unwrap_or_default().to_owned(),
            instance_id: self.config.instance_id.clone(),
            session_timeout_ms: self.config.session_timeout_ms,
            rebalance_timeout_ms: self.config.max_poll_interval_ms,
            protocols: vec![(PROTOCOL_NAME.to_owned(), metadata)],
            reason: cut(&self.reason, REASON_BYTES_MAX).to_owned(),
        };
        self.join_answered = false;
        self.again = None;
        self.state = State::Joining { request, deadline: self.rebalance_deadline(now_ms) };
        self.actions.push_back(Action::Join { request, join });
    }

    pub(super) fn subscription(&self, topics: Vec<String>) -> Result<Vec<u8>, Error> {
        let info = SubscriptionInfo {
            version: self.used_version,
            latest_supported_version: LATEST_VERSION,
            process_id: self.config.process_id,
            user_endpoint: self.config.user_endpoint.as_ref().map(ToString::to_string),
            task_offset_sums: self.task_offset_sums.clone(),
            unique_field: self.unique_field,
            error_code: self.error_code,
            client_tags: self.config.client_tags.clone(),
        };
        let subscription = ConsumerSubscription {
            topics,
            user_data: Some(info.encode()?),
            owned_partitions: self.claimed.iter().cloned().collect(),
            generation: self.assigned_in,
            rack_id: self.config.rack_id.clone(),
        };
        subscription.encode()
    }

    pub(super) fn on_join_reply(&mut self, now_ms: i64, request: RequestId, result: Result<JoinReply, JoinRefusal>) {
        if !matches!(self.state, State::Joining { request: expected, .. } if expected == request) {
            return;
        }
        self.join_answered = true;
        let reply = match result {
            Ok(reply) => reply,
            Err(refusal) => return self.on_join_refused(now_ms, refusal),
        };
        let JoinReply { generation, member_id, leader, skip_assignment, members } = reply;
        let instance_id = self.config.instance_id.as_deref().map(Arc::from);
        let member = GroupMember::new(self.config.group_id.as_str(), member_id.as_str(), generation, instance_id);
        let Some(member) = member else {
            return self.fail(now_ms, Error::MalformedReply { member_id, generation });
        };
        self.find_backoff.reset();
        if self.member.is_none() {
            // Of an older membership the heartbeats, which went on, know better: the answer may have been on its way for
            // long while the coordinator's timer ran.
            self.contact_at = now_ms;
            self.heartbeat_at = now_ms + positive(self.config.heartbeat_interval_ms);
        }
        self.member_id = Some(member_id.as_str().into());
        self.member = Some(member);
        if leader == member_id && !skip_assignment {
            self.state = State::Leading { deadline: self.rebalance_deadline(now_ms) };
            self.actions.push_back(Action::Lead { generation, members });
        } else {
            self.send_sync(now_ms, Vec::new());
        }
    }

    pub(super) fn on_join_refused(&mut self, now_ms: i64, refusal: JoinRefusal) {
        let had_id = self.member_id.is_some();
        match refusal.error {
            GroupError::MemberIdRequired if !had_id && !refusal.member_id.is_empty() => {
                self.member_id = Some(refusal.member_id.into());
                self.wait(now_ms, "joining with the member id that the coordinator gave");
            }
            GroupError::MemberIdRequired => {
                self.member_id = None;
                self.wait_longer(now_ms, "the coordinator gave no usable member id");
            }
            GroupError::UnknownMemberId if !had_id => self.wait_longer(now_ms, "unknown member without an id"),
            error => self.remedy(now_ms, "JoinGroup", error),
        }
    }

    pub(super) fn on_led(&mut self, now_ms: i64, generation: i32, result: Result<Vec<(String, Vec<u8>)>, LeadError>) {
        let current = self.member.as_ref().is_some_and(|member| member.generation() == generation);
        if !current || !matches!(self.state, State::Leading { .. }) {
            return;
        }
        match result {
            Ok(assignments) => self.send_sync(now_ms, assignments),
            Err(error) => self.wait_longer(now_ms, &error.to_string()),
        }
    }
}

/// The longest prefix of at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}
