//! A typed way to what the topology has written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kafka_streams_core::SharedSerde;

use crate::{TestDriverError, TestRecord, TopologyTestDriver};

/// Reads the records of a topic (`org.apache.kafka.streams.TestOutputTopic`). Made by
/// [`create_output_topic`](TopologyTestDriver::create_output_topic). A record is read once, whoever reads it.
pub struct TestOutputTopic<K, V> {
    driver: TopologyTestDriver,
    topic: Arc<str>,
    keys: SharedSerde<K>,
    values: SharedSerde<V>,
}

impl<K: 'static, V: 'static> TestOutputTopic<K, V> {
    pub(crate) fn new(
        driver: TopologyTestDriver,
        topic: Arc<str>,
        keys: SharedSerde<K>,
        values: SharedSerde<V>,
    ) -> Self {
        TestOutputTopic { driver, topic, keys, values }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// There is none, or its bytes are no key or value of these types.
    pub fn read_record(&self) -> Result<TestRecord<K, V>, TestDriverError> {
        let raw = self.driver.read_raw(&self.topic)?;
        let raw = raw.ok_or_else(|| TestDriverError::NoMoreRecords { topic: self.topic.clone() })?;
        TestRecord::from_raw(raw, &self.topic, &self.keys, &self.values)
    }

    /// Takes the next record, and returns its key and value.
    ///
    /// # Errors
    /// As [`read_record`](TestOutputTopic::read_record).
    pub fn read_key_value(&self) -> Result<(K, V), TestDriverError> {
        self.read_record().map(|record| (record.key, record.value))
    }

    /// Takes the next record, and returns its value.
    ///
    /// # Errors
    /// As [`read_record`](TestOutputTopic::read_record).
    pub fn read_value(&self) -> Result<V, TestDriverError> {
        self.read_record().map(|record| record.value)
    }

    /// Takes all records.
    ///
    /// # Errors
    /// Bytes are no key or value of these types.
    pub fn read_records_to_list(&self) -> Result<Vec<TestRecord<K, V>>, TestDriverError> {
        (0..self.queue_size()?).map(|_| self.read_record()).collect()
    }

    /// Takes all records, and returns their keys and values.
    ///
    /// # Errors
    /// As [`read_records_to_list`](TestOutputTopic::read_records_to_list).
    pub fn read_key_values_to_list(&self) -> Result<Vec<(K, V)>, TestDriverError> {
        (0..self.queue_size()?).map(|_| self.read_key_value()).collect()
    }

    /// Takes all records, and returns the last value of each key.
    ///
    /// # Errors
    /// As [`read_records_to_list`](TestOutputTopic::read_records_to_list).
    pub fn read_key_values_to_map(&self) -> Result<BTreeMap<K, V>, TestDriverError>
    where
        K: Ord,
    {
        (0..self.queue_size()?).map(|_| self.read_key_value()).collect()
    }

    /// Takes all records, and returns their values.
    ///
    /// # Errors
    /// As [`read_records_to_list`](TestOutputTopic::read_records_to_list).
    pub fn read_values_to_list(&self) -> Result<Vec<V>, TestDriverError> {
        (0..self.queue_size()?).map(|_| self.read_value()).collect()
    }

    /// Whether all records were read.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn is_empty(&self) -> Result<bool, TestDriverError> {
        Ok(self.queue_size()? == 0)
    }

    /// Number of records that were not read yet.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn queue_size(&self) -> Result<usize, TestDriverError> {
        self.driver.queue_size(&self.topic)
    }
}

impl<K, V> fmt::Debug for TestOutputTopic<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestOutputTopic").field("topic", &self.topic).finish_non_exhaustive()
    }
}
