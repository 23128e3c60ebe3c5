//! The topics of a cluster, for tools that look at it and change nothing.

use kafka_streams_client::admin::KafkaAdmin;
use kafka_streams_runtime::StreamsError;
use kafka_streams_runtime::config::StreamsConfig;
use kafka_streams_runtime::port::ClusterAdmin;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::clients::{cluster, connection};

/// Names of the topics that the user of this configuration may describe, sorted. The cluster is asked for its topics, as
/// `bootstrap.servers` and the settings of security say, and for nothing else. To be called on a tokio runtime.
///
/// ```no_run
/// # use kafka_streams::prelude::*;
/// # async fn run() -> Result<(), StreamsError> {
/// let topics = kafka_streams::visible_topics(&StreamsConfig::new("orders", "localhost:9092")).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The configuration is wrong, or the cluster does not answer.
pub async fn visible_topics(config: &StreamsConfig) -> Result<Vec<String>, StreamsError> {
    let settings = config.validate()?;
    let connection = connection(&settings.administration(&settings.client_ids(Uuid::nil())))?;
    let topics = KafkaAdmin::new(cluster(connection)?, Handle::current()).list_topics().await?;
    let mut names: Vec<String> = topics.into_iter().map(|topic| topic.name.to_string()).collect();
    names.sort_unstable();
    Ok(names)
}
