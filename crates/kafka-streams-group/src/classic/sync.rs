//! SyncGroup: the request, the assignment that comes with its answer, and the rebalance that may follow.

use std::collections::BTreeSet;

use kafka_streams_core::TopicPartition;

use super::received::{NextRebalance, Received, ReceivedTasks};
use super::{ClassicMember, FollowUp, State};
use crate::{Action, Assigned, GroupError, RequestId, RevocationId, Revoke, SyncRequest, WorkerEvent};

const FOLLOW_UP_REASON: &str = "a follow-up rebalance was asked for";

impl ClassicMember {
    pub(super) fn send_sync(&mut self, now_ms: i64, assignments: Vec<(String, Vec<u8>)>) {
        let Some(member) = &self.member else {
            return;
        };
        let sync = SyncRequest {
            generation: member.generation(),
            member_id: member.member_id().to_owned(),
            instance_id: self.config.instance_id.clone(),
            assignments,
        };
        let request = self.next_request();
        self.state = State::Syncing { request, sent_at: now_ms, deadline: self.rebalance_deadline(now_ms) };
        self.actions.push_back(Action::Sync { request, sync });
    }

    pub(super) fn on_sync_reply(&mut self, now_ms: i64, request: RequestId, result: Result<Vec<u8>, GroupError>) {
        let sent_at = match self.state {
            State::Syncing { request: expected, sent_at, .. } if expected == request => sent_at,
            _ => return,
        };
        match result {
            Ok(assignment) => {
                self.contact_at = self.contact_at.max(sent_at);
                self.on_assignment(now_ms, &assignment);
            }
            Err(GroupError::RebalanceInProgress) => self.wait(now_ms, "a new rebalance began before SyncGroup"),
            Err(error) => self.remedy(now_ms, "SyncGroup", error),
        }
    }

    pub(super) fn on_assignment(&mut self, now_ms: i64, assignment: &[u8]) {
        self.state = State::Stable;
        self.follow_up = FollowUp::default();
        self.told_rebalancing = false;
        match Received::read(assignment, self.used_version, self.config.user_endpoint.as_ref()) {
            Err(error) => return self.fail(now_ms, error),
            Ok(Received::Shutdown) => {
                self.join_backoff.reset();
                self.tell(WorkerEvent::ShutdownRequested);
            }
            // The worker keeps what it has; it stays claimed.
            Ok(Received::Nothing) => {
                self.follow_up.at = Some(now_ms + self.join_backoff.next_ms());
                self.reason = "the leader sent no assignment".to_owned();
            }
            Ok(Received::Tasks(tasks)) => {
                self.join_backoff.reset();
                self.take_over(now_ms, *tasks);
            }
        }
        if let Some(reason) = self.again.take() {
            self.want_rejoin(now_ms, reason, false);
        }
    }

    pub(super) fn take_over(&mut self, now_ms: i64, received: ReceivedTasks) {
        let Some(member) = self.member.clone() else {
            return;
        };
        let ReceivedTasks { active, info, new_version, endpoint_missing, next } = received;
        let given_up = {
            let assigned: BTreeSet<&TopicPartition> = active.values().flatten().collect();
            self.claimed.iter().any(|partition| !assigned.contains(partition))
        };
        let id = RevocationId(self.last_revocation + 1);
        let changes = self.ownership.assign(active, id);
        let revoked = changes.revoked.iter().map(|(task, _)| *task).collect();
        if !changes.revoked.is_empty() {
            self.last_revocation = id.0;
            let generation = member.generation();
            self.tell(WorkerEvent::Revoke(Revoke { id, generation, tasks: changes.revoked }));
        }
        self.assigned = true;
        self.assigned_in = Some(member.generation());
        if let Some(version) = new_version {
            self.used_version = version;
        }
        let at_once = new_version.is_some() || endpoint_missing || next == NextRebalance::AtOnce;
        self.plan_follow_up(now_ms, given_up, at_once, next);
        self.tell(WorkerEvent::Assigned(Assigned {
            generation: member.generation(),
            member_id: member.member_id().to_owned(),
            active: changes.active,
            standby: info.standby_tasks.into_iter().collect(),
            added: changes.added,
            revoked,
            partitions_by_host: info.partitions_by_host,
            standby_partitions_by_host: info.standby_partitions_by_host,
            next_rebalance_ms: self.follow_up.at,
        }));
    }

    pub(super) fn plan_follow_up(&mut self, now_ms: i64, given_up: bool, at_once: bool, next: NextRebalance) {
        if given_up || self.ownership.is_releasing() {
            // What was given up is free only after a JoinGroup that no longer claims it.
            self.follow_up.when_released = true;
            self.reason = "gave up tasks for other members".to_owned();
        } else if at_once {
            // The first follows at once; when it changes nothing, those after it wait, so that members that cannot agree
            // do not keep the group rebalancing without pause.
            let repeated = self.reason.starts_with(FOLLOW_UP_REASON);
            let wait = if repeated {
                self.follow_up_backoff.next_ms()
            } else {
                self.follow_up_backoff.reset();
                0
            };
            self.follow_up.at = Some(now_ms + wait);
            self.reason = FOLLOW_UP_REASON.to_owned();
            return;
        } else if let NextRebalance::At(at) = next {
            self.follow_up.at = Some(at.max(now_ms));
            self.reason = "the time for a probing rebalance has come".to_owned();
        } else {
            self.reason.clear();
        }
        self.follow_up_backoff.reset();
    }
}
