//! A SyncGroup answer, read and checked: what the leader wants of this member.

use std::collections::BTreeMap;

use kafka_streams_core::{TaskId, TopicPartition};

use crate::codec::{
    AssignmentInfo, ConsumerAssignment, EARLIEST_PROBEABLE_VERSION, LATEST_VERSION, NO_REBALANCE, assignment_error,
};
use crate::{Error, HostInfo};

/// What the leader wants.
#[derive(Debug)]
pub(super) enum Received {
    /// Run these tasks.
    Tasks(Box<ReceivedTasks>),
    /// The leader did not know this member's metadata, or a version is still being negotiated: try again.
    Nothing,
    /// Shut the application down (assignment error 4).
    Shutdown,
}

/// The tasks of a member.
#[derive(Debug)]
pub(super) struct ReceivedTasks {
    /// Active tasks with their partitions, sorted.
    pub(super) active: BTreeMap<TaskId, Vec<TopicPartition>>,
    /// The rest, as it came.
    pub(super) info: AssignmentInfo,
    /// The version to use from now on, if it changes; a rejoin at once belongs to it.
    pub(super) new_version: Option<i32>,
    /// Other members have not learnt of this process's endpoint; a rejoin at once belongs to it.
    pub(super) endpoint_missing: bool,
    /// When to rejoin anyway.
    pub(super) next: NextRebalance,
}

/// The leader's wish for a follow-up rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRebalance {
    Never,
    AtOnce,
    /// Milliseconds since 1970.
    At(i64),
}

impl Received {
    /// Reads the assignment that answers a subscription of version `sent` (`StreamsPartitionAssignor.onAssignment`).
    pub(super) fn read(bytes: &[u8], sent: i32, endpoint: Option<&HostInfo>) -> Result<Received, Error> {
        if bytes.is_empty() {
            return Ok(Received::Nothing);
        }
        let ConsumerAssignment { mut partitions, user_data } = ConsumerAssignment::decode(bytes)?;
        let info = AssignmentInfo::decode(user_data.as_deref().unwrap_or_default())?;
        match info.error_code {
            assignment_error::NONE => {}
            assignment_error::INCOMPLETE_SOURCE_TOPIC_METADATA => return Err(Error::MissingSourceTopics),
            assignment_error::VERSION_PROBING => return Ok(Received::Nothing),
            assignment_error::ASSIGNMENT_ERROR => return Err(Error::AssignmentFailed),
            assignment_error::SHUTDOWN_REQUESTED => return Ok(Received::Shutdown),
            code => return Err(Error::UnknownAssignmentError { code }),
        }
        let new_version = new_version(&info, sent)?;
        if partitions.len() != info.active_tasks.len() {
            return Err(Error::AssignmentMismatch { partitions: partitions.len(), tasks: info.active_tasks.len() });
        }
        partitions.sort_unstable();
        let mut active: BTreeMap<TaskId, Vec<TopicPartition>> = BTreeMap::new();
        for (task, partition) in info.active_tasks.iter().zip(partitions) {
            active.entry(*task).or_default().push(partition);
        }
        let hosts = &info.partitions_by_host;
        let endpoint_missing = endpoint.is_some_and(|own| !hosts.is_empty() && !hosts.contains_key(own));
        let next = match info.next_rebalance_ms {
            0 => NextRebalance::AtOnce,
            NO_REBALANCE => NextRebalance::Never,
            at => NextRebalance::At(at),
        };
        Ok(Received::Tasks(Box::new(ReceivedTasks { active, info, new_version, endpoint_missing, next })))
    }
}

/// Version probing on the follower's side (`validateMetadataVersions`, `maybeUpdateSubscriptionVersion`).
fn new_version(info: &AssignmentInfo, sent: i32) -> Result<Option<i32>, Error> {
    let (received, common) = (info.version, info.commonly_supported_version);
    if received > sent || common > LATEST_VERSION {
        return Err(Error::AssignmentVersion { sent, received, common });
    }
    let changes = received >= EARLIEST_PROBEABLE_VERSION && (common > sent || received < sent);
    // A leader that names a common version below 1 is broken; following it would only fail at the next subscription.
    Ok((changes && common >= 1 && common != sent).then_some(common))
}
