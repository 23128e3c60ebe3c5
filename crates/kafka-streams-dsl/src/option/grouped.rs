//! How records are grouped.

use kafka_streams_core::{DefaultSerde, Serde};

use super::serdes::SerdeChoice;

/// How records are grouped by key: serdes, and the name of the repartition topic.
///
/// The name is worth giving: the topic of an unnamed grouping is named after the store of its aggregation.
///
/// ```
/// use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let clicks = builder.stream::<String, String>("clicks");
/// clicks.group_by(|_user, page| page.clone(), Grouped::named("by-page")).count(Materialized::named("views"));
/// ```
pub struct Grouped<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) keys: SerdeChoice<K>,
    pub(crate) values: SerdeChoice<V>,
}

impl<K: DefaultSerde, V: DefaultSerde> Grouped<K, V> {
    /// The serdes of stream or types; the repartition topic is `<application id>-<name>-repartition`.
    pub fn named(name: impl Into<String>) -> Self {
        Grouped::default().with_name(name)
    }
}

impl<K: 'static, V: 'static> Grouped<K, V> {
    /// These serdes.
    pub fn with(keys: impl Serde<Target = K>, values: impl Serde<Target = V>) -> Self {
        Grouped { name: None, keys: SerdeChoice::given(keys), values: SerdeChoice::given(values) }
    }

    /// The repartition topic is `<application id>-<name>-repartition`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Grouped<K, V> {
    /// The serdes of stream or types, and no name.
    fn default() -> Self {
        Grouped { name: None, keys: SerdeChoice::of_type(), values: SerdeChoice::of_type() }
    }
}

impl<K, V> Clone for Grouped<K, V> {
    fn clone(&self) -> Self {
        Grouped { name: self.name.clone(), keys: self.keys.clone(), values: self.values.clone() }
    }
}
