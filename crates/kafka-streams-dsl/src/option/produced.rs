//! How a topic is written.

use std::sync::Arc;

use kafka_streams_core::{DefaultSerde, Serde, SharedSerde};
use kafka_streams_state::Windowed;
use kafka_streams_topology::{HashedKeyPart, StreamPartitioner};

use super::serdes::SerdeChoice;
use crate::TimeWindowedSerde;
use crate::time_windowed_serde::base_key;

/// How [`to_with`](crate::KStream::to_with) writes its topic: serdes, partitions, and the name of the sink.
///
/// Serdes that are not given are those with which the stream was read, as long as its types did not change, else those
/// of the types.
///
/// ```
/// use kafka_streams_dsl::{Produced, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let orders = builder.stream::<String, i64>("orders");
/// let by_amount = |_topic: &str, _key: &String, amount: &i64, partitions: i32| Some((*amount as i32).abs() % partitions.max(1));
/// orders.to_with("copy", Produced::named("copy-of-orders").with_partitioner(by_amount));
/// ```
pub struct Produced<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) keys: SerdeChoice<K>,
    pub(crate) values: SerdeChoice<V>,
    pub(crate) partitioner: Option<Arc<dyn StreamPartitioner<K, V>>>,
    pub(crate) key_hash: Option<HashedKeyPart>,
}

impl<K: DefaultSerde, V: DefaultSerde> Produced<Windowed<K>, V> {
    /// The serdes of stream or types, for keys in windows of time: key bytes, and the window's start. All windows of a
    /// key are in one partition. Needed where keys do not come from an aggregation as they are, and for a name.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, Produced, StreamsBuilder, TimeWindows};
    /// # use std::time::Duration;
    /// # let clicks = StreamsBuilder::new().stream::<String, String>("clicks");
    /// clicks
    ///     .group_by_key(Grouped::default())
    ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
    ///     .count(Materialized::named("clicks-per-minute"))
    ///     .to_stream()
    ///     .to_with("clicks-per-minute", Produced::windowed());
    /// ```
    pub fn windowed() -> Self {
        // The window's size is not written.
        let keys = SerdeChoice::Default(Arc::new(TimeWindowedSerde::shared(K::shared(), i64::MAX)));
        Produced { key_hash: Some(base_key), ..Produced::of(keys, SerdeChoice::of_type()) }
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Produced<K, V> {
    /// The serdes of stream or types, and this name for the sink.
    pub fn named(name: impl Into<String>) -> Self {
        Produced::default().with_name(name)
    }
}

impl<K: 'static, V: DefaultSerde> Produced<K, V> {
    /// The serdes of stream or types, where `keys` is that of the keys.
    pub(crate) fn of_keys(keys: SharedSerde<K>) -> Self {
        Produced::of(SerdeChoice::Default(keys), SerdeChoice::of_type())
    }
}

impl<K: 'static, V: 'static> Produced<K, V> {
    /// These serdes.
    pub fn with(keys: impl Serde<Target = K>, values: impl Serde<Target = V>) -> Self {
        Produced::of(SerdeChoice::given(keys), SerdeChoice::given(values))
    }

    fn of(keys: SerdeChoice<K>, values: SerdeChoice<V>) -> Self {
        Produced { name: None, keys, values, partitioner: None, key_hash: None }
    }

    /// The name of the sink.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The user's choice of partitions, instead of the hash of the key's bytes.
    #[must_use]
    pub fn with_partitioner(mut self, partitioner: impl StreamPartitioner<K, V> + 'static) -> Self {
        self.partitioner = Some(Arc::new(partitioner));
        self
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Produced<K, V> {
    /// The serdes of stream or types, everything else by default.
    fn default() -> Self {
        Produced::of(SerdeChoice::of_type(), SerdeChoice::of_type())
    }
}

impl<K, V> Clone for Produced<K, V> {
    fn clone(&self) -> Self {
        Produced {
            name: self.name.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            partitioner: self.partitioner.clone(),
            key_hash: self.key_hash,
        }
    }
}
