//! A typed way into the topology.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::{SharedSerde, Timestamp};

use crate::{TestDriverError, TestRecord, TopologyTestDriver};

/// Pipes records into a topic (`org.apache.kafka.streams.TestInputTopic`). Made by
/// [`create_input_topic`](TopologyTestDriver::create_input_topic).
///
/// It has a time of its own, for records that are piped without one: the driver's wall clock until
/// [`with_start_timestamp`](TestInputTopic::with_start_timestamp) says otherwise.
///
/// ```
/// # use kafka_streams_testing::{TestRecord, TopologyTestDriver};
/// # use std::time::Duration;
/// # let builder = kafka_streams_dsl::StreamsBuilder::new();
/// # builder.stream::<String, i64>("orders").to("copies");
/// # let driver = TopologyTestDriver::new(&builder.build()?)?;
/// let orders = driver
///     .create_input_topic::<String, i64>("orders")
///     .with_start_timestamp(1000)
///     .with_auto_advance(Duration::from_millis(10));
/// orders.pipe_input("jane".to_owned(), 5)?;
/// orders.pipe_input("joe".to_owned(), 7)?;
/// let copies = driver.create_output_topic::<String, i64>("copies");
/// assert_eq!(copies.read_record()?, TestRecord::new("jane".to_owned(), 5).with_timestamp(1000));
/// assert_eq!(copies.read_record()?, TestRecord::new("joe".to_owned(), 7).with_timestamp(1010));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TestInputTopic<K, V> {
    driver: TopologyTestDriver,
    topic: Arc<str>,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
    /// The time of the next record; `None` is the wall clock's.
    now: Cell<Option<Timestamp>>,
    auto_advance_ms: i64,
}

impl<K: 'static, V: 'static> TestInputTopic<K, V> {
    pub(crate) fn new(
        driver: TopologyTestDriver,
        topic: Arc<str>,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
    ) -> Self {
        TestInputTopic { driver, topic, keys, values, now: Cell::new(None), auto_advance_ms: 0 }
    }

    /// The time of the first record that is piped without one, in milliseconds since the epoch.
    #[must_use]
    pub fn with_start_timestamp(self, timestamp: Timestamp) -> Self {
        self.now.set(Some(timestamp));
        self
    }

    /// How much the topic's time moves on with every record that is piped without a time; it stands still by default.
    #[must_use]
    pub fn with_auto_advance(self, by: Duration) -> Self {
        TestInputTopic { auto_advance_ms: i64::try_from(by.as_millis()).unwrap_or(i64::MAX), ..self }
    }

    /// Moves the topic's time on.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn advance_time(&self, by: Duration) -> Result<(), TestDriverError> {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now.set(Some(self.time()?.saturating_add(by)));
        Ok(())
    }

    /// Pipes a record at the topic's time.
    ///
    /// # Errors
    /// Key or value have no bytes, the topology does not read the topic, a node failed, or the topology does not become
    /// quiet.
    pub fn pipe_input(&self, key: K, value: V) -> Result<(), TestDriverError> {
        self.pipe_record(&TestRecord::new(key, value))
    }

    /// Pipes a record at this time, in milliseconds since the epoch.
    ///
    /// # Errors
    /// As [`pipe_input`](TestInputTopic::pipe_input).
    pub fn pipe_input_at(&self, key: K, value: V, timestamp: Timestamp) -> Result<(), TestDriverError> {
        self.pipe_record(&TestRecord::new(key, value).with_timestamp(timestamp))
    }

    /// Pipes a record with all that belongs to it.
    ///
    /// # Errors
    /// As [`pipe_input`](TestInputTopic::pipe_input).
    pub fn pipe_record(&self, record: &TestRecord<K, V>) -> Result<(), TestDriverError> {
        self.pipe(None, record)
    }

    /// Pipes a record into this partition, instead of the one that its key's hash tells.
    ///
    /// # Errors
    /// As [`pipe_input`](TestInputTopic::pipe_input), or there is no such partition.
    pub fn pipe_record_to(&self, partition: i32, record: &TestRecord<K, V>) -> Result<(), TestDriverError> {
        self.pipe(Some(partition), record)
    }

    /// Pipes records, one after the other.
    ///
    /// # Errors
    /// As [`pipe_input`](TestInputTopic::pipe_input); the records after the failed one are not piped.
    pub fn pipe_key_values(&self, records: impl IntoIterator<Item = (K, V)>) -> Result<(), TestDriverError> {
        records.into_iter().try_for_each(|(key, value)| self.pipe_input(key, value))
    }

    /// Pipes records, one after the other, with all that belongs to them.
    ///
    /// # Errors
    /// As [`pipe_key_values`](TestInputTopic::pipe_key_values).
    pub fn pipe_records<'r>(
        &self,
        records: impl IntoIterator<Item = &'r TestRecord<K, V>>,
    ) -> Result<(), TestDriverError> {
        records.into_iter().try_for_each(|record| self.pipe_record(record))
    }

    fn pipe(&self, partition: Option<i32>, record: &TestRecord<K, V>) -> Result<(), TestDriverError> {
        let mut raw = record.to_raw(&self.topic, &self.keys, &self.values)?;
        if raw.timestamp.is_none() {
            let now = self.time()?;
            raw.timestamp = Some(now);
            if self.auto_advance_ms > 0 {
                self.now.set(Some(now.saturating_add(self.auto_advance_ms)));
            }
        }
        self.driver.pipe_raw(&self.topic, partition, raw)
    }

    fn time(&self) -> Result<Timestamp, TestDriverError> {
        self.now.get().map_or_else(|| self.driver.wall_clock_time(), Ok)
    }
}

impl<V: 'static, K: 'static> TestInputTopic<Option<K>, V> {
    /// Pipes a record with a null key at the topic's time.
    ///
    /// # Errors
    /// As [`pipe_input`](TestInputTopic::pipe_input).
    pub fn pipe_value(&self, value: V) -> Result<(), TestDriverError> {
        self.pipe_input(None, value)
    }

    /// Pipes records with null keys, one after the other.
    ///
    /// # Errors
    /// As [`pipe_key_values`](TestInputTopic::pipe_key_values).
    pub fn pipe_values(&self, values: impl IntoIterator<Item = V>) -> Result<(), TestDriverError> {
        values.into_iter().try_for_each(|value| self.pipe_value(value))
    }
}

impl<K, V> fmt::Debug for TestInputTopic<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestInputTopic").field("topic", &self.topic).finish_non_exhaustive()
    }
}
