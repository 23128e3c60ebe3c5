//! How a topic is read.

use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::{DefaultSerde, Serde, SharedSerde, Timestamp, TimestampExtractor};
use kafka_streams_state::Windowed;
use kafka_streams_topology::{ConsumerRecord, ExtractTimestamp, OffsetReset};

use super::serdes::SerdeChoice;
use crate::TimeWindowedSerde;

/// How [`stream_with`](crate::StreamsBuilder::stream_with) and [`table_with`](crate::StreamsBuilder::table_with) read
/// their topics: serdes, timestamps, where to begin, and the name of the source.
///
/// ```
/// use kafka_streams_core::serde::{I64Serde, StringSerde};
/// use kafka_streams_dsl::{Consumed, OffsetReset, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let consumed = Consumed::with(StringSerde, I64Serde).with_name("orders").with_offset_reset(OffsetReset::Latest);
/// let orders = builder.stream_with("orders", consumed);
/// # let _: kafka_streams_dsl::KStream<String, i64> = orders;
/// ```
pub struct Consumed<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    pub(crate) timestamp_extractor: Option<TimestampExtractor>,
    pub(crate) extract: Option<Arc<dyn ExtractTimestamp<K, V>>>,
    pub(crate) offset_reset: Option<OffsetReset>,
}

impl<K: DefaultSerde, V: DefaultSerde> Consumed<Windowed<K>, V> {
    /// Keys in windows of time of this size, as [`Produced::windowed`](crate::Produced::windowed) writes them.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Consumed, KStream, StreamsBuilder, Windowed};
    /// # use std::time::Duration;
    /// # let builder = StreamsBuilder::new();
    /// let per_minute: KStream<Windowed<String>, Option<i64>> =
    ///     builder.stream_with("clicks-per-minute", Consumed::windowed(Duration::from_secs(60)));
    /// ```
    pub fn windowed(size: Duration) -> Self {
        Consumed::with(TimeWindowedSerde::new(K::Serde::default(), size), V::Serde::default())
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Consumed<K, V> {
    /// The serdes of the types, and this name for the source; of a table, for its node, and `<name>-source` for the
    /// source.
    pub fn named(name: impl Into<String>) -> Self {
        Consumed::default().with_name(name)
    }
}

impl<K: 'static, V: 'static> Consumed<K, V> {
    /// These serdes.
    pub fn with(keys: impl Serde<Target = K>, values: impl Serde<Target = V>) -> Self {
        Consumed::of(SerdeChoice::given(keys), SerdeChoice::given(values))
    }

    fn of(keys: SerdeChoice<K>, values: SerdeChoice<V>) -> Self {
        Consumed {
            name: None,
            keys: keys.or_inherited(None),
            values: values.or_inherited(None),
            timestamp_extractor: None,
            extract: None,
            offset_reset: None,
        }
    }

    /// The name of the source; of a table, of its node, with `<name>-source` for the source.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Which time the records have, instead of the application's default.
    #[must_use]
    pub fn with_timestamp_extractor(mut self, extractor: TimestampExtractor) -> Self {
        self.timestamp_extractor = Some(extractor);
        self
    }

    /// The user's own way to find out a record's time, from the record (with the timestamp that it was fetched with) and
    /// the highest time so far of its partition, -1 before the first. A negative time drops the record.
    ///
    /// Every record of the topic is read twice: once for its time, once to be processed.
    ///
    /// ```
    /// use kafka_streams_dsl::{Consumed, ConsumerRecord, KStream, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// let by_value = |record: &ConsumerRecord<'_, String, i64>, _partition_time: i64| record.value.copied().unwrap_or(-1);
    /// let times: KStream<String, i64> = builder.stream_with("times", Consumed::default().with_custom_timestamp_extractor(by_value));
    /// ```
    #[must_use]
    pub fn with_custom_timestamp_extractor(mut self, extract: impl ExtractTimestamp<K, V> + 'static) -> Self {
        self.extract = Some(Arc::new(extract));
        self
    }

    /// Where to begin in a partition for which the group has no committed offset, instead of the application's default.
    #[must_use]
    pub fn with_offset_reset(mut self, reset: OffsetReset) -> Self {
        self.offset_reset = Some(reset);
        self
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Consumed<K, V> {
    /// The serdes of the types, everything else by default.
    fn default() -> Self {
        Consumed::of(SerdeChoice::of_type(), SerdeChoice::of_type())
    }
}

impl<K, V> Clone for Consumed<K, V> {
    fn clone(&self) -> Self {
        Consumed {
            name: self.name.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            timestamp_extractor: self.timestamp_extractor,
            extract: self.extract.clone(),
            offset_reset: self.offset_reset,
        }
    }
}

/// An extractor for the rows of a table, out of one whose records may have no row.
pub(crate) fn of_rows<K: 'static, V: 'static>(
    extract: Arc<dyn ExtractTimestamp<K, V>>,
) -> Arc<dyn ExtractTimestamp<K, Option<V>>> {
    Arc::new(OfRows(extract))
}

struct OfRows<K, V>(Arc<dyn ExtractTimestamp<K, V>>);

impl<K, V> ExtractTimestamp<K, Option<V>> for OfRows<K, V> {
    fn extract(&self, record: &ConsumerRecord<'_, K, Option<V>>, partition_time: Timestamp) -> Timestamp {
        let ConsumerRecord { topic, offset, timestamp, key, value, headers } = *record;
        let value = value.and_then(Option::as_ref);
        self.0.extract(&ConsumerRecord { topic, offset, timestamp, key, value, headers }, partition_time)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}
