//! Everything that a worker needs of the outside world. No call waits: what is not there yet is asked for again.
//!
//! Adapters implement these traits over Kafka, tests and the simulator over memory. A worker that finds nothing to do
//! tells its thread until when it may sleep; an adapter that has news before that wakes the thread through the waker
//! that it was made with.

use std::fmt;
use std::sync::Arc;

use kafka_streams_core::{Headers, RawRecord, TopicId, TopicPartition};
use kafka_streams_group::{Event, GroupMember, WorkerEvent};

/// Why the broker, or the way to it, did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {message} ({kind})")]
pub struct BrokerError {
    /// What follows from it.
    pub kind: BrokerErrorKind,
    /// What was attempted, and on what: `commit offsets of group word-count`.
    pub action: String,
    /// What the broker or the client said, with Kafka's name of the error.
    pub message: String,
}

/// What follows from an error of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerErrorKind {
    /// It passes by itself: try again, until `task.timeout.ms` is over.
    Retriable,
    /// The transaction must be aborted; the producer goes on.
    AbortRequired,
    /// The producer is done for: another one has its transactional id, or the broker gave up its transaction.
    Fenced,
    /// The group has another generation, or does not know the member: the member must join again.
    Rejoin,
    /// The rights are missing.
    Authorization,
    /// There is no such topic or partition.
    UnknownTopic,
    /// The record is refused, now and for ever: too large, or the topic wants keys.
    RecordRefused,
    /// The broker refuses a batch for its size, and with it records that it might take one by one.
    BatchRefused,
    /// The broker is older than what this needs.
    Unsupported,
    /// Anything else: it does not pass by itself.
    Fatal,
}

impl fmt::Display for BrokerErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BrokerErrorKind::Retriable => "passes by itself, will be tried again",
            BrokerErrorKind::AbortRequired => "the transaction is aborted",
            BrokerErrorKind::Fenced => "the producer is fenced",
            BrokerErrorKind::Rejoin => "the member joins its group again",
            BrokerErrorKind::Authorization => "not authorized, check the ACLs of this principal",
            BrokerErrorKind::UnknownTopic => "no such topic or partition",
            BrokerErrorKind::RecordRefused => "the record is refused",
            BrokerErrorKind::BatchRefused => "a batch is refused, its records will be sent one by one",
            BrokerErrorKind::Unsupported => "the broker is too old",
            BrokerErrorKind::Fatal => "does not pass by itself",
        })
    }
}

/// One partition being fetched. Never used twice: a batch of an earlier assignment has an earlier slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchSlot(pub u64);

/// Reads partitions, each from its own queue: a partition that is not polled is not fetched beyond a bound in bytes.
pub trait Fetch {
    /// Records of one partition, still in the buffer that they were fetched into.
    type Batch: FetchedBatch;

    /// Begins to read `partition` at `offset`.
    ///
    /// # Errors
    /// The client cannot take the assignment.
    fn assign(&mut self, partition: &TopicPartition, offset: i64) -> Result<FetchSlot, BrokerError>;

    /// Ends reading; the slot's queue is thrown away.
    fn unassign(&mut self, slot: FetchSlot);

    /// The next event of a slot; a batch has at most `max_records` records.
    fn poll(&mut self, slot: FetchSlot, max_records: usize) -> Option<FetchEvent<Self::Batch>>;
}

/// News of a partition.
#[derive(Debug)]
pub enum FetchEvent<B> {
    /// Records, in the order of their offsets. Never empty.
    Batch(B),
    /// All that can be read now was read; `next_offset` lies past control records and aborted ones.
    End {
        /// Where reading will go on.
        next_offset: i64,
    },
    /// The position lies outside of the log: it was truncated, or deleted behind the position.
    OutOfRange,
    /// The partition cannot be read; reading goes on if the error passes.
    Failed(BrokerError),
}

/// Records of one partition.
pub trait FetchedBatch {
    /// Number of records, at least 1.
    fn len(&self) -> usize;

    /// Whether there is no record; never true for a fetched batch.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`, which is less than [`len`](FetchedBatch::len).
    fn record(&self, index: usize) -> RawRecord<'_>;

    /// The leader epoch of the record at `index`; -1 if not known.
    fn leader_epoch(&self, index: usize) -> i32;
}

/// A record for the producer.
#[derive(Clone, Copy, Debug)]
pub struct ProduceRecord<'a> {
    /// The topic's full name.
    pub topic: &'a Arc<str>,
    /// The partition; `None` lets the producer choose.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; `None` lets the producer put the wall-clock time.
    pub timestamp: Option<i64>,
    /// The headers.
    pub headers: &'a Headers,
    /// Key bytes; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a null value.
    pub value: Option<&'a [u8]>,
}

/// What became of a record that was sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The tag that it was sent with.
    pub tag: u64,
    /// Its partition.
    pub partition: i32,
    /// Its offset, or why it has none.
    pub result: Result<i64, BrokerError>,
}

/// Why a record was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The queue is full: serve [`Produce::poll`], then send the same record again.
    QueueFull,
    /// It will never be taken in this way.
    Refused(BrokerError),
}

/// How far an operation has come that takes its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T = ()> {
    /// Not done: call again with the same arguments.
    Pending,
    /// Done.
    Done(T),
}

/// Outcome of a step of a transaction.
pub type TransactionStep = Progress<Result<(), BrokerError>>;

/// How a producer puts records together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Batching {
    /// In batches, as its settings say.
    #[default]
    AsConfigured,
    /// Each record by itself, so that the broker's refusal concerns this record alone: slow, and only for a while.
    OneByOne,
}

/// Writes records, in order for each partition, and runs transactions.
pub trait Produce {
    /// Number of partitions of a topic; asked of the broker the first time.
    fn partitions(&mut self, topic: &Arc<str>) -> Progress<Result<i32, BrokerError>>;

    /// Takes a record. Its [`Delivery`] comes with `tag`.
    ///
    /// # Errors
    /// [`SendError::QueueFull`] for now, [`SendError::Refused`] for ever.
    fn send(&mut self, record: ProduceRecord<'_>, tag: u64) -> Result<(), SendError>;

    /// Calls `on_delivery` for what was delivered or given up since the last call.
    fn poll(&mut self, on_delivery: &mut dyn FnMut(Delivery));

    /// Number of records taken and neither delivered nor given up.
    fn in_flight(&self) -> usize;

    /// Sends what waits without waiting for more to come (`linger.ms`).
    fn flush(&mut self);

    /// Makes the transactional id ours, and settles what its last owner left open. Once, before all else.
    fn init_transactions(&mut self) -> TransactionStep;

    /// Begins a transaction.
    ///
    /// # Errors
    /// The producer is fenced or broken.
    fn begin_transaction(&mut self) -> Result<(), BrokerError>;

    /// Makes the offsets part of the transaction, fenced by the member's generation.
    fn send_offsets(&mut self, offsets: &[OffsetToCommit], member: &GroupMember) -> TransactionStep;

    /// Commits the transaction; nothing is in flight.
    fn commit_transaction(&mut self) -> TransactionStep;

    /// Aborts the transaction; what was in flight is given up.
    fn abort_transaction(&mut self) -> TransactionStep;
}

/// An input position on its way into the group's offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The input partition.
    pub partition: TopicPartition,
    /// Offset of the next record to process.
    pub offset: i64,
    /// Leader epoch of the last record processed; -1 if not known.
    pub leader_epoch: i32,
    /// The task's metadata, in the JVM's format.
    pub metadata: String,
}

/// A position as the group has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Offset of the next record to process; `None` if nothing was committed.
    pub offset: Option<i64>,
    /// The metadata that was committed with it; empty if none.
    pub metadata: String,
}

/// This worker's seat in its group.
pub trait Group {
    /// The next event for the worker.
    fn poll(&mut self) -> Option<WorkerEvent>;

    /// Tells the membership machine something.
    fn tell(&mut self, event: Event);

    /// The seat to commit under; `None` while there is none.
    fn member(&self) -> Option<GroupMember>;
}

/// A question to the cluster whose answer comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What can be asked of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// The group's offsets of these partitions; with transactions still open on them, a retriable error
    /// (`UNSTABLE_OFFSET_COMMIT`).
    FetchOffsets(Vec<TopicPartition>),
    /// Commits offsets outside of transactions, under this seat (rule C6).
    CommitOffsets(GroupMember, Vec<OffsetToCommit>),
    /// Start and end of these partitions, open transactions included (read-uncommitted).
    ListOffsets(Vec<TopicPartition>),
    /// The first record of each partition whose timestamp, in milliseconds, is not less than the given one.
    OffsetsForTimes(Vec<(TopicPartition, i64)>),
    /// Ids and partition counts of topics.
    DescribeTopics(Vec<Arc<str>>),
    /// Deletes the records before the offset of each partition.
    DeleteRecords(Vec<(TopicPartition, i64)>),
    /// The end of the log of each partition within a leader epoch (KIP-320): for telling truncation.
    EpochEnd(Vec<(TopicPartition, i32)>),
    /// How long a topic keeps the tombstones of deleted rows (`delete.retention.ms`).
    DeleteRetention(Arc<str>),
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Call::FetchOffsets`], in the order of the question.
    FetchOffsets(Result<Vec<CommittedOffset>, BrokerError>),
    /// To [`Call::CommitOffsets`].
    CommitOffsets(Result<(), BrokerError>),
    /// To [`Call::ListOffsets`], in the order of the question.
    ListOffsets(Result<Vec<LogBounds>, BrokerError>),
    /// To [`Call::OffsetsForTimes`], in the order of the question; `None` where all records are older.
    OffsetsForTimes(Result<Vec<Option<i64>>, BrokerError>),
    /// To [`Call::DescribeTopics`], in the order of the question; `None` for a topic that does not exist.
    DescribeTopics(Result<Vec<Option<TopicDescription>>, BrokerError>),
    /// To [`Call::DeleteRecords`].
    DeleteRecords(Result<(), BrokerError>),
    /// To [`Call::EpochEnd`], in the order of the question; `None` where the broker does not know the epoch.
    EpochEnd(Result<Vec<Option<i64>>, BrokerError>),
    /// To [`Call::DeleteRetention`], in milliseconds; `None` if the broker does not say.
    DeleteRetention(Result<Option<i64>, BrokerError>),
}

/// Start and end of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// The first offset that is still there.
    pub start: i64,
    /// One past the last offset, of whatever record.
    pub end: i64,
}

/// What the cluster says of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// The topic's id; nil from brokers without ids.
    pub id: TopicId,
    /// Number of partitions.
    pub partitions: i32,
}

/// Questions to the cluster.
pub trait Admin {
    /// Asks; the answer comes out of [`poll`](Admin::poll).
    fn call(&mut self, call: Call) -> CallId;

    /// The next answer.
    fn poll(&mut self) -> Option<(CallId, Reply)>;
}
