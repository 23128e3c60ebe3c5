//! How two tables are joined on a foreign key.

use std::fmt;
use std::sync::Arc;

use kafka_streams_topology::StreamPartitioner;

/// How two tables are joined on a foreign key: the name of nodes, topics and stores, and how the two internal topics are
/// partitioned.
///
/// The topics must be partitioned as the tables are: without more words by the hash of the keys' bytes, as Kafka's
/// producers do it. If a table's topic is written by another partitioner, name it here.
///
/// ```
/// use kafka_streams_dsl::{Materialized, StreamsBuilder, TableJoined};
///
/// let builder = StreamsBuilder::new();
/// let orders = builder.table::<String, String>("customer-of-order");
/// let customers = builder.table::<String, String>("customers");
/// let with_customer = orders.join_foreign_key_with(
///     &customers,
///     |_order, customer| customer.clone(),
///     |_, customer| customer,
///     TableJoined::named("with-customer"),
///     Materialized::named("orders-with-customer"),
/// );
/// # let _: kafka_streams_dsl::KTable<String, String> = with_customer;
/// ```
pub struct TableJoined<K, KO> {
    pub(crate) name: Option<String>,
    pub(crate) partitioner: Option<Arc<dyn StreamPartitioner<K, ()>>>,
    pub(crate) other_partitioner: Option<Arc<dyn StreamPartitioner<KO, ()>>>,
}

impl<K: 'static, KO: 'static> TableJoined<K, KO> {
    /// This name for nodes, and for topics and store: `<application id>-<name>-subscription-registration-topic`,
    /// `…-subscription-response-topic`, `…-subscription-store-changelog`.
    pub fn named(name: impl Into<String>) -> Self {
        TableJoined::default().with_name(name)
    }

    /// See [`named`](TableJoined::named).
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        TableJoined { name: Some(name.into()), ..self }
    }

    /// How the left table's topic is partitioned: `|topic, key, _, partitions| Some(partition)`.
    #[must_use]
    pub fn with_partitioner(self, partitioner: impl StreamPartitioner<K, ()> + 'static) -> Self {
        TableJoined { partitioner: Some(Arc::new(partitioner)), ..self }
    }

    /// How the right table's topic is partitioned, by the foreign key.
    #[must_use]
    pub fn with_other_partitioner(self, partitioner: impl StreamPartitioner<KO, ()> + 'static) -> Self {
        TableJoined { other_partitioner: Some(Arc::new(partitioner)), ..self }
    }
}

impl<K, KO> Default for TableJoined<K, KO> {
    /// Generated names, and Kafka's own partitioner.
    fn default() -> Self {
        TableJoined { name: None, partitioner: None, other_partitioner: None }
    }
}

impl<K, KO> Clone for TableJoined<K, KO> {
    fn clone(&self) -> Self {
        TableJoined {
            name: self.name.clone(),
            partitioner: self.partitioner.clone(),
            other_partitioner: self.other_partitioner.clone(),
        }
    }
}

impl<K, KO> fmt::Debug for TableJoined<K, KO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableJoined").field("name", &self.name).finish_non_exhaustive()
    }
}
