//! The bytes of the classic group protocol's metadata, equal to those of the JVM's encoders.
//!
//! ```text
//!   JoinGroup metadata  = ConsumerSubscription { topics, user data ──▶ SubscriptionInfo, owned partitions, generation }
//!   SyncGroup assignment = ConsumerAssignment  { partitions, user data ──▶ AssignmentInfo }
//! ```
//!
//! All integers are big-endian. Decoding never panics and never allocates more than a small multiple of the input's
//! size, whatever the bytes; bytes after the last known field are ignored, as by the JVM.

mod bytes;

mod assignment;
mod consumer_protocol;
mod subscription;
mod task_id;

pub use assignment::{AssignmentInfo, NO_REBALANCE, assignment_error};
pub use consumer_protocol::{ConsumerAssignment, ConsumerSubscription};
pub use subscription::{DecodedSubscription, LATEST_OFFSET, SubscriptionInfo, UNKNOWN_OFFSET_SUM};

/// The latest version of [`SubscriptionInfo`] and [`AssignmentInfo`], as of Kafka Streams 4.3
/// (`StreamsAssignmentProtocolVersions.LATEST_SUPPORTED_VERSION`).
pub const LATEST_VERSION: i32 = 11;

/// The first version whose members can take part in version probing (`EARLIEST_PROBEABLE_VERSION`).
pub const EARLIEST_PROBEABLE_VERSION: i32 = 3;

/// What a version 1 or 2 member is taken to support, since it does not say.
pub const UNKNOWN_VERSION: i32 = -1;
