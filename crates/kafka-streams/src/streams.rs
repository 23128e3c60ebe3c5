//! The runtime joined with its adapters: Kafka through rdkafka and our own client, stores in RocksDB.

use std::ops::Deref;
use std::sync::Arc;

use kafka_streams_rocksdb::{RocksDbBackends, RocksDbOptions};
use kafka_streams_runtime::config::StreamsConfig;
use kafka_streams_runtime::{Adapters, StreamsError};
use kafka_streams_state::MemoryBudget;
use kafka_streams_topology::Topology;

use crate::KafkaClients;

/// An instance of an application on Kafka with stores in RocksDB.
///
/// All methods are those of [`kafka_streams_runtime::KafkaStreams`], to which this dereferences.
pub struct KafkaStreams(kafka_streams_runtime::KafkaStreams<KafkaClients>);

impl KafkaStreams {
    /// An instance of the application that `topology` describes; nothing is started and no broker is asked. The state
    /// directory is locked from here on.
    ///
    /// # Errors
    /// The configuration is wrong, or the state directory cannot be used.
    pub fn new(topology: Topology, config: StreamsConfig) -> Result<Self, StreamsError> {
        let adapters = Adapters {
            clients: Box::new(KafkaClients::new),
            persistent_stores: Box::new(|directory, budget: &Arc<MemoryBudget>| {
                let options = RocksDbOptions::with_memory(budget.database());
                Ok(Arc::new(RocksDbBackends::new(directory, options)))
            }),
        };
        kafka_streams_runtime::KafkaStreams::new(topology, &config, adapters).map(KafkaStreams)
    }

    /// Starts, runs until `shutdown` is ready or the application fails, and closes.
    ///
    /// # Errors
    /// The instance cannot be started, has failed, or did not close within a minute.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), StreamsError> {
        self.0.run_until(shutdown).await
    }
}

impl Deref for KafkaStreams {
    type Target = kafka_streams_runtime::KafkaStreams<KafkaClients>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
