//! What a classic member needs to know about its application.

use std::collections::BTreeMap;

use crate::{HostInfo, ProcessId};

/// Configuration of one [`ClassicMember`](crate::ClassicMember), that is of one stream thread.
///
/// The times are milliseconds; the defaults are those of Kafka 4.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicConfig {
    /// The group: `application.id`.
    pub group_id: String,
    /// `group.instance.id` of this thread for static membership (KIP-345); `None` for a dynamic member.
    pub instance_id: Option<String>,
    /// The process; the same for all threads of one application instance, and kept over restarts.
    pub process_id: ProcessId,
    /// `application.server`.
    pub user_endpoint: Option<HostInfo>,
    /// `client.tag.*`.
    pub client_tags: BTreeMap<String, String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// `session.timeout.ms`, more than `heartbeat_interval_ms`: without a heartbeat for so long the coordinator throws
    /// the member out, and the member takes itself to be thrown out. Default 45,000.
    pub session_timeout_ms: i32,
    /// `max.poll.interval.ms`: how long the worker may be silent before the member leaves, and how long the coordinator
    /// waits for the member in a rebalance. Default 300,000.
    pub max_poll_interval_ms: i32,
    /// `heartbeat.interval.ms`. Default 3,000.
    pub heartbeat_interval_ms: i32,
    /// `request.timeout.ms`: after so long without an answer the connection is taken to be dead. JoinGroup and SyncGroup,
    /// which wait for other members, get `max_poll_interval_ms` and 5 s instead. Default 30,000.
    pub request_timeout_ms: i32,
    /// `retry.backoff.ms`: wait before the first retry; doubles with each. Default 100.
    pub retry_backoff_ms: i32,
    /// `retry.backoff.max.ms`: the longest wait between retries. Default 1,000.
    pub retry_backoff_max_ms: i32,
    /// How long a rebalance that another member started may be held up for tasks that the worker is still releasing.
    /// After that the member joins and still claims them, so that one more rebalance follows. Far below
    /// `max_poll_interval_ms`, else the coordinator throws the member out. Default 10,000.
    pub release_wait_ms: i32,
    /// Seed of the jitter (± 20 %) of waits, so that members that lost the same coordinator do not return together. Any
    /// number that differs between members.
    pub jitter_seed: u64,
}

impl ClassicConfig {
    /// The defaults for this group and process.
    pub fn new(group_id: impl Into<String>, process_id: ProcessId) -> Self {
        ClassicConfig {
            group_id: group_id.into(),
            instance_id: None,
            process_id,
            user_endpoint: None,
            client_tags: BTreeMap::new(),
            rack_id: None,
            session_timeout_ms: 45_000,
            max_poll_interval_ms: 300_000,
            heartbeat_interval_ms: 3_000,
            request_timeout_ms: 30_000,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 1_000,
            release_wait_ms: 10_000,
            jitter_seed: process_id.uuid().as_u64_pair().1,
        }
    }
}
