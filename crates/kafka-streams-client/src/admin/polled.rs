//! The cluster as a worker sees it: questions whose answers are polled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{Admin, BrokerError, Call, CallId, LogBounds, Reply, TopicDescription};
use kafka_streams_runtime::port::{LogEdge, TopicSettings, Waker};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::network::Cluster;

/// The engine's `Admin` port over a [`Cluster`]: each call runs as a task on the runtime, and its answer waits in a queue
/// until it is polled. Dropping it stops the calls that are not answered.
pub struct PolledAdmin {
    cluster: Cluster,
    group_id: Arc<str>,
    runtime: Handle,
    calls: JoinSet<()>,
    answers: Arc<Answers>,
    next_id: u64,
}

struct Answers {
    queue: Mutex<VecDeque<(CallId, Reply)>>,
    waker: Waker,
}

impl PolledAdmin {
    /// Asks `cluster` on `runtime`, about the offsets of `group_id`. `waker` is called when an answer can be polled.
    pub fn new(cluster: Cluster, group_id: &str, runtime: Handle, waker: Waker) -> Self {
        PolledAdmin {
            cluster,
            group_id: Arc::from(group_id),
            runtime,
            calls: JoinSet::new(),
            answers: Arc::new(Answers { queue: Mutex::default(), waker }),
            next_id: 0,
        }
    }
}

impl Admin for PolledAdmin {
    fn call(&mut self, call: Call) -> CallId {
        // Forgets the calls that are done.
        while self.calls.try_join_next().is_some() {}
        let id = CallId(self.next_id);
        self.next_id += 1;
        let (cluster, group_id, answers) = (self.cluster.clone(), self.group_id.clone(), self.answers.clone());
        let asked = async move {
            let reply = ask(&cluster, &group_id, call).await;
            answers.queue().push_back((id, reply));
            (answers.waker)();
        };
        self.calls.spawn_on(asked, &self.runtime);
        id
    }

    fn poll(&mut self) -> Option<(CallId, Reply)> {
        self.answers.queue().pop_front()
    }
}

impl Answers {
    fn queue(&self) -> MutexGuard<'_, VecDeque<(CallId, Reply)>> {
        // A panic elsewhere cannot leave the queue half-changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(cluster: &Cluster, group_id: &str, call: Call) -> Reply {
    match call {
        Call::FetchOffsets(partitions) => {
            let offsets = cluster.committed_offsets(group_id, &partitions, true).await;
            Reply::FetchOffsets(offsets.map_err(|error| of(error, "fetch offsets", group_id)))
        }
        Call::CommitOffsets(member, offsets) => {
            let committed = cluster.commit_offsets(&member, &offsets).await;
            Reply::CommitOffsets(committed.map_err(|error| of(error, "commit offsets", group_id)))
        }
        Call::ListOffsets(partitions) => {
            let edges = tokio::try_join!(
                cluster.list_offsets(&partitions, LogEdge::Start),
                cluster.list_offsets(&partitions, LogEdge::End),
            );
            let bounds = edges.map(|(starts, ends)| {
                starts.into_iter().zip(ends).map(|(start, end)| LogBounds { start, end }).collect()
            });
            Reply::ListOffsets(bounds.map_err(|error| of(error, "list offsets", group_id)))
        }
        Call::OffsetsForTimes(times) => {
            let found = offsets_for_times(cluster, &times).await;
            Reply::OffsetsForTimes(found.map_err(|error| of(error, "find the offsets of times", group_id)))
        }
        Call::DescribeTopics(topics) => {
            let topics = cluster.describe_topics(&topics).await;
            let described = topics.map(|topics| {
                let describe = |topic: kafka_streams_runtime::port::TopicLayout| {
                    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                    TopicDescription { id: topic.id, partitions }
                };
                topics.into_iter().map(|topic| topic.map(describe)).collect()
            });
            Reply::DescribeTopics(described.map_err(|error| of(error, "describe topics", group_id)))
        }
        Call::DeleteRecords(before) => {
            let deleted = cluster.delete_records(&before).await;
            Reply::DeleteRecords(deleted.map_err(|error| of(error, "delete records", group_id)))
        }
        Call::EpochEnd(partitions) => {
            let ends = cluster.offset_for_leader_epoch(&partitions).await;
            Reply::EpochEnd(ends.map_err(|error| of(error, "find the end of epochs", group_id)))
        }
        Call::DeleteRetention(topic) => {
            let found = cluster.topic_settings(&[topic]).await;
            let retention = found.map(|settings| delete_retention_ms(&settings));
            Reply::DeleteRetention(retention.map_err(|error| of(error, "read topic settings", group_id)))
        }
    }
}

fn delete_retention_ms(settings: &[TopicSettings]) -> Option<i64> {
    settings.first()?.settings.get("delete.retention.ms")?.as_ref()?.parse().ok()
}

/// One question for each time: a task's sources seldom have more than one.
async fn offsets_for_times(cluster: &Cluster, times: &[(TopicPartition, i64)]) -> Result<Vec<Option<i64>>, Error> {
    let mut found = BTreeMap::new();
    let distinct: BTreeSet<i64> = times.iter().map(|(_, time)| *time).collect();
    for time in distinct {
        let asked = times.iter().filter(|(_, other)| *other == time).map(|(partition, _)| partition.clone());
        let asked: Vec<TopicPartition> = asked.collect();
        let offsets = cluster.list_offsets(&asked, LogEdge::At(time)).await?;
        found.extend(asked.into_iter().zip(offsets));
    }
    Ok(times.iter().map(|(partition, _)| found.get(partition).copied().filter(|offset| *offset >= 0)).collect())
}

fn of(error: Error, action: &str, group_id: &str) -> BrokerError {
    error.into_broker_error(&format!("{action} for {group_id}"))
}
