//! The cluster as the runtime's leader, start-up and clean-up see it.

use std::sync::Arc;

use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{BrokerError, CommittedOffset};
use kafka_streams_runtime::port::{
    BoxFuture, ClusterAdmin, ClusterDescription, CreateTopicError, CreatedTopic, LogEdge, NewTopic, TopicLayout,
    TopicSettings,
};
use tokio::runtime::Handle;

use crate::error::Error;
use crate::network::Cluster;

/// [`ClusterAdmin`] over a [`Cluster`]. Its futures may be awaited on any executor: the requests run on the runtime that it
/// was made with.
#[derive(Clone, Debug)]
pub struct KafkaAdmin {
    cluster: Cluster,
    runtime: Handle,
}

impl KafkaAdmin {
    /// Asks `cluster`, on `runtime`.
    pub fn new(cluster: Cluster, runtime: Handle) -> Self {
        KafkaAdmin { cluster, runtime }
    }

    /// Runs a question on the runtime. Dropping the returned future stops it.
    fn ask<'a, T, F>(
        &'a self,
        action: &'static str,
        ask: impl FnOnce(Cluster) -> F,
    ) -> BoxFuture<'a, Result<T, BrokerError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut task = tokio::task::JoinSet::new();
        task.spawn_on(ask(self.cluster.clone()), &self.runtime);
        Box::pin(async move {
            let outcome = match task.join_next().await {
                Some(Ok(outcome)) => outcome,
                // The runtime is shutting down.
                _ => Err(Error::Settings { reason: "the client was shut down".to_owned() }),
            };
            outcome.map_err(|error| error.into_broker_error(action))
        })
    }
}

impl ClusterAdmin for KafkaAdmin {
    fn describe_cluster(&self) -> BoxFuture<'_, Result<ClusterDescription, BrokerError>> {
        self.ask("describe the cluster", |cluster| async move { cluster.describe().await })
    }

    fn describe_topics<'a>(
        &'a self,
        topics: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<TopicLayout>>, BrokerError>> {
        let topics = topics.to_vec();
        self.ask("describe topics", |cluster| async move { cluster.describe_topics(&topics).await })
    }

    fn list_topics(&self) -> BoxFuture<'_, Result<Vec<TopicLayout>, BrokerError>> {
        self.ask("list topics", |cluster| async move { cluster.list_topics().await })
    }

    fn create_topics<'a>(
        &'a self,
        topics: &'a [NewTopic],
    ) -> BoxFuture<'a, Result<Vec<Result<CreatedTopic, CreateTopicError>>, BrokerError>> {
        let topics = topics.to_vec();
        self.ask("create topics", |cluster| async move { cluster.create_topics(&topics, false).await })
    }

    fn topic_settings<'a>(&'a self, topics: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<TopicSettings>, BrokerError>> {
        let topics = topics.to_vec();
        self.ask("describe the settings of topics", |cluster| async move { cluster.topic_settings(&topics).await })
    }

    fn list_offsets<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
        which: LogEdge,
    ) -> BoxFuture<'a, Result<Vec<i64>, BrokerError>> {
        let partitions = partitions.to_vec();
        self.ask("list offsets", move |cluster| async move { cluster.list_offsets(&partitions, which).await })
    }

    fn committed_offsets<'a>(
        &'a self,
        group_id: &'a str,
        partitions: &'a [TopicPartition],
        require_stable: bool,
    ) -> BoxFuture<'a, Result<Vec<CommittedOffset>, BrokerError>> {
        let (group_id, partitions) = (group_id.to_owned(), partitions.to_vec());
        self.ask("fetch offsets", move |cluster| async move {
            cluster.committed_offsets(&group_id, &partitions, require_stable).await
        })
    }
}
