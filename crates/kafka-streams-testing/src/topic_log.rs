//! What the topology has produced: a log for each topic, read by the test, and what is to be taken in again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kafka_streams_core::{Headers, Timestamp};
use kafka_streams_engine::port::ProduceRecord;
use kafka_streams_engine::{InputRecord, RecordLog};

use crate::RawTestRecord;

/// All topics of a driver.
#[derive(Debug)]
pub(crate) struct TopicLogs {
    partitions: i32,
    inputs: BTreeMap<Arc<str>, usize>,
    /// The log of each topic that the topology reads, by its number.
    input_logs: Vec<usize>,
    logs: Vec<TopicLog>,
    by_name: BTreeMap<Arc<str>, usize>,
    /// The topic of the last record, and its log: most records in a row go to one topic.
    last: Option<(Arc<str>, usize)>,
    /// Records of topics that the topology reads, in the order in which they were produced.
    to_read: VecDeque<ToRead>,
    /// Output is stamped with it where no timestamp was given.
    pub(crate) wall_clock: Timestamp,
}

/// A record that the topology is to take in.
#[derive(Debug)]
pub(crate) struct ToRead {
    pub(crate) partition: i32,
    pub(crate) input: usize,
    pub(crate) record: InputRecord,
}

#[derive(Debug)]
struct TopicLog {
    /// Its number among the topics that the topology reads.
    input: Option<usize>,
    /// The next offset of each partition.
    next: Vec<i64>,
    records: VecDeque<RawTestRecord>,
    /// Whether the topology has written to it.
    produced: bool,
}

impl TopicLogs {
    pub(crate) fn new(inputs: impl Iterator<Item = Arc<str>>, partitions: i32, wall_clock: Timestamp) -> Self {
        let inputs: Vec<Arc<str>> = inputs.collect();
        let mut logs = TopicLogs {
            partitions,
            input_logs: Vec::new(),
            inputs: inputs.iter().enumerate().map(|(at, topic)| (topic.clone(), at)).collect(),
            logs: Vec::new(),
            by_name: BTreeMap::new(),
            last: None,
            to_read: VecDeque::new(),
            wall_clock,
        };
        for topic in &inputs {
            let at = logs.log(topic);
            logs.input_logs.push(at);
        }
        logs
    }

    /// The number of a topic among those that the topology reads.
    pub(crate) fn input(&self, topic: &str) -> Option<usize> {
        self.inputs.get(topic).copied()
    }

    /// Notes a topic that the topology reads from now on, under the next number.
    pub(crate) fn add_input(&mut self, topic: &Arc<str>, input: usize) {
        self.inputs.insert(topic.clone(), input);
        let at = self.log(topic);
        if let Some(log) = self.logs.get_mut(at) {
            log.input = Some(input);
        }
        self.input_logs.push(at);
    }

    /// The topic of this number among those that the topology reads.
    pub(crate) fn name_of(&self, input: usize) -> Option<&Arc<str>> {
        self.inputs.iter().find(|(_, at)| **at == input).map(|(topic, _)| topic)
    }

    /// The topics that the topology reads.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Arc<str>> {
        self.inputs.keys()
    }

    /// The topics that the topology has written to.
    pub(crate) fn produced(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_name.iter().filter(|(_, at)| self.logs.get(**at).is_some_and(|log| log.produced)).map(|(name, _)| name)
    }

    /// The offset of the next record of a partition of an input topic, which is thereby taken.
    pub(crate) fn next_offset(&mut self, input: usize, partition: i32) -> i64 {
        let log = self.input_logs.get(input).and_then(|at| self.logs.get_mut(*at));
        log.map_or(0, |log| log.next_offset(partition))
    }

    /// The records of a topic that the test has not read yet.
    pub(crate) fn unread(&mut self, topic: &str) -> Option<&mut VecDeque<RawTestRecord>> {
        let at = *self.by_name.get(topic)?;
        Some(&mut self.logs.get_mut(at)?.records)
    }

    /// The next record that the topology is to take in.
    pub(crate) fn next_to_read(&mut self) -> Option<ToRead> {
        self.to_read.pop_front()
    }

    fn log(&mut self, topic: &Arc<str>) -> usize {
        if let Some((last, at)) = &self.last
            && Arc::ptr_eq(last, topic)
        {
            return *at;
        }
        let at = match self.by_name.get(topic) {
            Some(at) => *at,
            None => {
                let next = vec![0; usize::try_from(self.partitions).unwrap_or(1)];
                let (input, records) = (self.input(topic), VecDeque::new());
                self.logs.push(TopicLog { input, next, records, produced: false });
                self.by_name.insert(topic.clone(), self.logs.len() - 1);
                self.logs.len() - 1
            }
        };
        self.last = Some((topic.clone(), at));
        at
    }
}

impl TopicLog {
    fn next_offset(&mut self, partition: i32) -> i64 {
        let Some(next) = usize::try_from(partition).ok().and_then(|at| self.next.get_mut(at)) else { return 0 };
        *next += 1;
        *next - 1
    }
}

impl RecordLog for TopicLogs {
    fn append(&mut self, record: ProduceRecord<'_>) -> i64 {
        let at = self.log(record.topic);
        let wall_clock = self.wall_clock;
        let Some(log) = self.logs.get_mut(at) else { return 0 };
        let partition = record.partition.unwrap_or(0);
        let offset = log.next_offset(partition);
        let bytes = |bytes: Option<&[u8]>| bytes.map(Box::from);
        let headers: Headers = record.headers.clone();
        if let Some(input) = log.input {
            let (key, value) = (bytes(record.key), bytes(record.value));
            let timestamp = record.timestamp.unwrap_or(wall_clock);
            let record = InputRecord { offset, timestamp, key, value, headers: headers.clone() };
            self.to_read.push_back(ToRead { partition, input, record });
        }
        let (key, value, timestamp) = (bytes(record.key), bytes(record.value), record.timestamp);
        log.produced = true;
        log.records.push_back(RawTestRecord { key, value, timestamp, headers });
        offset
    }
}
