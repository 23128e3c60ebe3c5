//! How a stream is repartitioned.

use std::sync::Arc;

use kafka_streams_core::{DefaultSerde, Serde};
use kafka_streams_topology::StreamPartitioner;

use super::serdes::SerdeChoice;

/// How [`repartition`](crate::KStream::repartition) sends a stream through a topic: serdes, the topic's name, its number
/// of partitions, and the choice of partitions.
///
/// ```
/// use kafka_streams_dsl::{Repartitioned, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let orders = builder.stream::<String, i64>("orders");
/// let spread = orders.repartition(Repartitioned::named("spread").with_number_of_partitions(12));
/// ```
pub struct Repartitioned<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) keys: SerdeChoice<K>,
    pub(crate) values: SerdeChoice<V>,
    pub(crate) partitions: Option<i32>,
    pub(crate) partitioner: Option<Arc<dyn StreamPartitioner<K, V>>>,
}

impl<K: DefaultSerde, V: DefaultSerde> Repartitioned<K, V> {
    /// The serdes of stream or types; the topic is `<application id>-<name>-repartition`.
    pub fn named(name: impl Into<String>) -> Self {
        Repartitioned::default().with_name(name)
    }
}

impl<K: 'static, V: 'static> Repartitioned<K, V> {
    /// These serdes.
    pub fn with(keys: impl Serde<Target = K>, values: impl Serde<Target = V>) -> Self {
        Repartitioned::of(SerdeChoice::given(keys), SerdeChoice::given(values))
    }

    fn of(keys: SerdeChoice<K>, values: SerdeChoice<V>) -> Self {
        Repartitioned { name: None, keys, values, partitions: None, partitioner: None }
    }

    /// The topic is `<application id>-<name>-repartition`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The topic's number of partitions, at least 1; otherwise it has as many as the topics that it is made from.
    #[must_use]
    pub fn with_number_of_partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// The user's choice of partitions, instead of the hash of the key's bytes.
    #[must_use]
    pub fn with_partitioner(mut self, partitioner: impl StreamPartitioner<K, V> + 'static) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Repartitioned<K, V> {
    /// The serdes of stream or types, everything else by default.
    fn default() -> Self {
        Repartitioned::of(SerdeChoice::of_type(), SerdeChoice::of_type())
    }
}
