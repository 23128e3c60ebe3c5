//! What the runtime needs of the cluster beyond the engine's ports: clients for its threads, and questions that wait.
//!
//! The Kafka adapter implements [`Clients`] and [`ClusterAdmin`]; the runtime implements [`GroupLeader`], which the adapter
//! calls when this member leads its group. Futures are boxed so that the traits can be objects.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use kafka_streams_core::{TopicId, TopicPartition};
use kafka_streams_engine::port::{Admin, Batching, BrokerError, CommittedOffset, Fetch, Group, Produce};
use kafka_streams_group::{ClassicConfig, LeadError};

/// A future that may move between the threads of an executor.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Wakes the thread that polls a client: there is something new to be polled. Called from any thread, often more than
/// once for the same news; it must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Member id and the bytes of its metadata, or of its assignment.
pub type MemberBytes = (String, Vec<u8>);

/// Does the leader's part of a rebalance: makes everybody's assignment.
pub trait GroupLeader: Send + Sync {
    /// The assignment of every member. It may take its time (topics are created, offsets asked for): heartbeats go on
    /// meanwhile. The future is dropped when the group has moved on, so it must be safe to stop at any `await`.
    ///
    /// # Errors
    /// Why there is none; the group then rebalances again.
    fn lead(&self, generation: i32, members: Vec<MemberBytes>) -> BoxFuture<'_, Result<Vec<MemberBytes>, LeadError>>;
}

/// Makes the clients of the stream threads. One for each application instance.
pub trait Clients: Send + Sync + 'static {
    /// Reads partitions.
    type Fetch: Fetch + Send;
    /// Writes records.
    type Produce: Produce + Send;
    /// A seat in the group.
    type Group: Group + Send;
    /// Asks the cluster.
    type Admin: Admin + Send;

    /// The consumer of a stream thread for its source topics (`main.consumer.`): read-committed under exactly-once.
    /// `thread` is the thread's name, for the client's id.
    ///
    /// # Errors
    /// The client's settings are refused.
    fn main_consumer(&self, thread: &str, waker: Waker) -> Result<Self::Fetch, BrokerError>;

    /// A consumer for changelogs (`restore.consumer.`): always read-committed (rule S8).
    ///
    /// # Errors
    /// The client's settings are refused.
    fn restore_consumer(&self, thread: &str, waker: Waker) -> Result<Self::Fetch, BrokerError>;

    /// The consumer of an instance for the topics of its global stores (`global.consumer.`): always read-committed (rule S8).
    ///
    /// # Errors
    /// The client's settings are refused.
    fn global_consumer(&self, waker: Waker) -> Result<Self::Fetch, BrokerError>;

    /// The producer of a stream thread; transactional if it gets an id. For a while it may have to send one by one.
    ///
    /// # Errors
    /// The client's settings are refused.
    fn producer(
        &self,
        thread: &str,
        transactional_id: Option<&str>,
        batching: Batching,
        waker: Waker,
    ) -> Result<Self::Produce, BrokerError>;

    /// A new member of the group. It does nothing until it is told [`Start`](kafka_streams_group::Event::Start), and leaves
    /// in silence (the session runs out) when it is dropped without [`Leave`](kafka_streams_group::Event::Leave).
    fn join_group(
        &self,
        thread: &str,
        config: ClassicConfig,
        leader: Arc<dyn GroupLeader>,
        waker: Waker,
    ) -> Self::Group;

    /// Questions of one worker. Offsets are those of `group_id`, the application id.
    fn admin(&self, group_id: &str, waker: Waker) -> Self::Admin;

    /// Questions that a task on the executor waits for.
    fn cluster(&self) -> Arc<dyn ClusterAdmin>;
}

/// Questions to the cluster whose answers are waited for: the leader's, and those of start and clean-up.
///
/// Each asks again at most once, of a broker's successor; whether to try on after a
/// [retriable](kafka_streams_engine::port::BrokerErrorKind::Retriable) error is for the caller to decide.
pub trait ClusterAdmin: Send + Sync {
    /// The cluster's id, its brokers and the broker that creates topics.
    fn describe_cluster(&self) -> BoxFuture<'_, Result<ClusterDescription, BrokerError>>;

    /// Topics by name, in the order of the question; `None` for one that does not exist. None is created by asking.
    fn describe_topics<'a>(
        &'a self,
        topics: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<TopicLayout>>, BrokerError>>;

    /// All topics that we may see, internal ones of the broker left out, sorted by name.
    fn list_topics(&self) -> BoxFuture<'_, Result<Vec<TopicLayout>, BrokerError>>;

    /// Creates topics; the outcomes are in the order of the question.
    ///
    /// # Errors
    /// The whole request failed. Errors of single topics are in the outcomes.
    fn create_topics<'a>(
        &'a self,
        topics: &'a [NewTopic],
    ) -> BoxFuture<'a, Result<Vec<Result<CreatedTopic, CreateTopicError>>, BrokerError>>;

    /// The settings of a topic, by key, defaults included; sensitive ones are `None`.
    fn topic_settings<'a>(&'a self, topics: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<TopicSettings>, BrokerError>>;

    /// The first or one past the last offset of every partition, or that of a time, in the order of the question. Open transactions count
    /// (read-uncommitted).
    fn list_offsets<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
        which: LogEdge,
    ) -> BoxFuture<'a, Result<Vec<i64>, BrokerError>>;

    /// A group's offsets, in the order of the question.
    ///
    /// With `require_stable`, offsets that an open transaction may still change are a retriable error
    /// (`UNSTABLE_OFFSET_COMMIT`).
    fn committed_offsets<'a>(
        &'a self,
        group_id: &'a str,
        partitions: &'a [TopicPartition],
        require_stable: bool,
    ) -> BoxFuture<'a, Result<Vec<CommittedOffset>, BrokerError>>;
}

/// Which edge of a partition's log, or which time within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogEdge {
    /// The first offset that is still there.
    Start,
    /// One past the last offset, of whatever record.
    End,
    /// The first record whose timestamp, in milliseconds, is not less than this; -1 if all are.
    At(i64),
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id, if it tells.
    pub cluster_id: Option<String>,
    /// Its brokers, by id.
    pub brokers: Vec<BrokerDescription>,
    /// The id of the broker that takes requests for the controller.
    pub controller: Option<i32>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// Its host, as it advertises itself.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its rack (`broker.rack`).
    pub rack: Option<String>,
}

/// A topic and where its partitions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicLayout {
    /// Its name.
    pub name: Arc<str>,
    /// Its id (KIP-516).
    pub id: TopicId,
    /// Its partitions, sorted by number. Every number from 0 up is there.
    pub partitions: Vec<PartitionLayout>,
}

/// Where a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLayout {
    /// Its number.
    pub partition: i32,
    /// The id of the broker that leads it; `None` during an election.
    pub leader: Option<i32>,
    /// The ids of the brokers that have a copy.
    pub replicas: Vec<i32>,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: Arc<str>,
    /// Number of partitions, at least 1; `None` for the broker's default.
    pub partitions: Option<i32>,
    /// Number of copies, at least 1; `None` for the broker's default (`replication.factor=-1`).
    pub replication_factor: Option<i16>,
    /// Settings that differ from the broker's defaults.
    pub settings: Vec<(String, String)>,
}

/// A topic that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: TopicId,
    /// Its number of partitions.
    pub partitions: i32,
    /// Its number of copies; -1 if we may not see it.
    pub replication_factor: i16,
}

/// Why a topic was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateTopicError {
    /// It is there already (36): made by another, or marked for deletion and not gone yet.
    #[error("topic {0} exists already")]
    Exists(Arc<str>),
    /// Anything else.
    #[error(transparent)]
    Failed(BrokerError),
}

/// Settings of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// The topic.
    pub name: Arc<str>,
    /// Key and value; `None` for a sensitive value.
    pub settings: std::collections::BTreeMap<String, Option<String>>,
}
