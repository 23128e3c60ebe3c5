//! How a stream is joined with a table.

use std::time::Duration;

use kafka_streams_core::{DefaultSerde, Serde};

use super::serdes::SerdeChoice;

/// How a stream is joined with a table: the serdes of the stream, in case it must be repartitioned, and the name of the
/// node, which is also that of the repartition topic.
///
/// ```
/// use kafka_streams_dsl::{Joined, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let names = builder.table::<String, String>("names");
/// let orders = builder.stream::<String, i64>("orders");
/// orders.join_with(&names, |_id, amount, name| format!("{name}: {amount}"), Joined::named("with-name")).to("named-orders");
/// ```
pub struct Joined<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) keys: SerdeChoice<K>,
    pub(crate) values: SerdeChoice<V>,
    pub(crate) grace: Option<Duration>,
}

impl<K: DefaultSerde, V: DefaultSerde> Joined<K, V> {
    /// The serdes of stream or types, and this name.
    pub fn named(name: impl Into<String>) -> Self {
        Joined::default().with_name(name)
    }
}

impl<K: 'static, V: 'static> Joined<K, V> {
    /// These serdes.
    pub fn with(keys: impl Serde<Target = K>, values: impl Serde<Target = V>) -> Self {
        Joined { name: None, keys: SerdeChoice::given(keys), values: SerdeChoice::given(values), grace: None }
    }

    /// The name of the node; a repartition topic is `<application id>-<name>-repartition`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Records wait for this long, in the time of the stream, before they are joined with the row of their own time: so
    /// that updates of the table that come late are seen (KIP-923), in steps of a millisecond. The table must be
    /// [`versioned`](crate::Materialized::versioned), with a history at least as long. Records wait in the store
    /// `<name>-Buffer`; one that is later than the grace period is joined at once.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Consumed, Joined, KTable, Materialized};
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let stored = Materialized::named("prices").versioned(Duration::from_secs(3600));
    /// let prices: KTable<String, i64> = builder.table_with("prices", Consumed::default(), stored);
    /// let pieces = builder.stream::<String, i64>("pieces");
    /// let joined = Joined::named("worth").with_grace_period(Duration::from_secs(10));
    /// let worth = pieces.join_with(&prices, |_, pieces, price| pieces * price, joined);
    /// ```
    #[must_use]
    pub fn with_grace_period(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Joined<K, V> {
    /// The serdes of stream or types, and no name.
    fn default() -> Self {
        Joined { name: None, keys: SerdeChoice::of_type(), values: SerdeChoice::of_type(), grace: None }
    }
}

impl<K, V> Clone for Joined<K, V> {
    fn clone(&self) -> Self {
        Joined { name: self.name.clone(), keys: self.keys.clone(), values: self.values.clone(), grace: self.grace }
    }
}
