//! What can go wrong in this crate.

use kafka_streams_core::{TaskId, TopicPartition};

use crate::GroupError;

/// A failure of the group machinery: what, where, and whose fault it is.
///
/// The variants fall into four kinds: bytes from another member that cannot be read or written (`Truncated` to
/// `NamedTopology`), a refusal by the group coordinator (`Refused`), an assignment that this member cannot follow
/// (`MissingSourceTopics` to `AssignmentMismatch`), and defects of our own (`BrokenAssignment`, `MalformedReply`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end before the field does.
    #[error("{message} is cut short: `{field}` at byte {at} needs {needed} bytes, {left} are left")]
    Truncated {
        /// Which message was read.
        message: &'static str,
        /// Which field of it.
        field: &'static str,
        /// Position of the field from the start of the message.
        at: usize,
        /// Bytes that the field needs (at least).
        needed: usize,
        /// Bytes that were there.
        left: usize,
    },
    /// A length or count is negative.
    #[error("{message} is damaged: `{field}` at byte {at} has the length {length}")]
    NegativeLength {
        /// Which message was read.
        message: &'static str,
        /// Which field of it.
        field: &'static str,
        /// Position of the field from the start of the message.
        at: usize,
        /// The length as read.
        length: i64,
    },
    /// Text that is not UTF-8 (or Java's modified UTF-8, where the format says so).
    #[error("{message} is damaged: `{field}` at byte {at} is not valid text")]
    NotText {
        /// Which message was read.
        message: &'static str,
        /// Which field of it.
        field: &'static str,
        /// Position of the text from the start of the message.
        at: usize,
    },
    /// A topic index that the message's dictionary does not have.
    #[error("{message} is damaged: topic index {index} at byte {at} is not in its dictionary")]
    TopicIndex {
        /// Which message was read.
        message: &'static str,
        /// Position of the index from the start of the message.
        at: usize,
        /// The index as read.
        index: i32,
    },
    /// A version that this crate can neither read nor write, or one that contradicts another field.
    #[error("{message} has version {version}, latest supported {latest_supported}: expected 1 to 11")]
    Version {
        /// Which message.
        message: &'static str,
        /// Its version.
        version: i32,
        /// The latest version that its sender says it supports; -1 if unknown.
        latest_supported: i32,
    },
    /// A value is too long for its length field.
    #[error("{message} cannot be written: `{field}` has {length} bytes or elements, at most {limit} fit")]
    TooLong {
        /// Which message was to be written.
        message: &'static str,
        /// Which field of it.
        field: &'static str,
        /// Its length.
        length: usize,
        /// The longest that the format can hold.
        limit: usize,
    },
    /// A task of a named topology (an internal feature of the JVM library), which this library does not have.
    #[error("task {task} belongs to the named topology `{topology}`: named topologies are not supported")]
    NamedTopology {
        /// The task's id without the name.
        task: TaskId,
        /// The topology's name.
        topology: String,
    },
    /// `application.server` is not `host:port`.
    #[error("`{endpoint}` is not an endpoint: expected host:port, such as localhost:8080")]
    Endpoint {
        /// The text as given.
        endpoint: String,
    },
    /// The coordinator refuses this member for good: a matter of configuration or permission.
    #[error("the group coordinator refuses {request}: {error}")]
    Refused {
        /// The request: `FindCoordinator`, `JoinGroup`, `SyncGroup`, `Heartbeat` or `LeaveGroup`.
        request: &'static str,
        /// Its answer.
        error: GroupError,
    },
    /// The group coordinator cannot be talked to, and trying again does not help.
    #[error("the group coordinator cannot be talked to: {reason}")]
    Unreachable {
        /// What went wrong: TLS, authentication, or a broker that is too old.
        reason: String,
    },
    /// The leader misses a source topic (assignment error 1, `MissingSourceTopicException` of the JVM).
    #[error("the group's leader found source topics missing: create them, then restart the application")]
    MissingSourceTopics,
    /// The leader could not make an assignment (assignment error 3, `TaskAssignmentException` of the JVM).
    #[error("the group's leader failed to assign tasks: see its log")]
    AssignmentFailed,
    /// The leader sent an assignment error that this library does not know.
    #[error("the group's leader sent the unknown assignment error {code}")]
    UnknownAssignmentError {
        /// The code as received.
        code: i32,
    },
    /// The assignment's version is newer than the subscription that it answers, or its common version newer than ours.
    #[error("the leader answered version {sent} with version {received}, commonly supported {common}: ours is 11")]
    AssignmentVersion {
        /// Version of the subscription that this member sent.
        sent: i32,
        /// Version of the assignment.
        received: i32,
        /// Commonly supported version that the leader found.
        common: i32,
    },
    /// The assignment names another number of tasks than of partitions.
    #[error("the leader assigned {partitions} partitions, but named {tasks} tasks for them")]
    AssignmentMismatch {
        /// Partitions assigned.
        partitions: usize,
        /// Entries of the list of active tasks.
        tasks: usize,
    },
    /// The group has members older than Kafka 2.0 and members newer than this library at the same time.
    #[error(
        "the group has a member with metadata version {newest}, which we cannot read, and one with version {oldest}, \
         which knows no version probing: upgrade the old one first"
    )]
    IncompatibleVersions {
        /// The newest version received.
        newest: i32,
        /// The oldest version received.
        oldest: i32,
    },
    /// Two tasks were to be assigned that read the same partition: a defect of the topology or of the caller.
    #[error("partition {partition} belongs to both task {first} and task {second}")]
    SharedPartition {
        /// The partition.
        partition: TopicPartition,
        /// One task.
        first: TaskId,
        /// The other.
        second: TaskId,
    },
    /// The assignor broke its own rules: a defect of this library.
    #[error("the assignor made an invalid assignment, please report this: {defect}")]
    BrokenAssignment {
        /// Which rule.
        defect: crate::assignor::Defect,
    },
    /// The coordinator's answer breaks the protocol: an empty member id or a negative generation after a success.
    #[error("the coordinator answered JoinGroup with member id `{member_id}` and generation {generation}")]
    MalformedReply {
        /// The member id as received.
        member_id: String,
        /// The generation as received.
        generation: i32,
    },
}
