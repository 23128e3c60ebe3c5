//! What a task has sent and the producer has not taken yet: encoded records, back to back in one buffer.
//!
//! Sinks and changelogs append here, in the order in which things happened; the worker hands the records on to the
//! producer between input records. So a send allocates nothing, and its order is the order of processing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::{Headers, PartitionChoice, Partitions, SerdeError, Timestamp};

/// Where an output record goes: an index into the task's routes (its sinks and its stores' changelogs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

impl RouteId {
    /// The bit that tells routes whose topic was chosen for a record from those of the task's graph.
    const DYNAMIC: u32 = 1 << 31;

    /// Whether the topic was chosen for the record: then [`Output::dynamic_topic`] knows it, and not the task's graph.
    pub fn is_dynamic(self) -> bool {
        self.0 & Self::DYNAMIC != 0
    }

    fn dynamic_index(self) -> Option<usize> {
        self.is_dynamic().then_some((self.0 & !Self::DYNAMIC) as usize)
    }
}

/// One output record of an [`Output`] buffer.
#[derive(Clone, Copy, Debug)]
pub struct OutputRecord<'a> {
    /// The sink or changelog that it belongs to.
    pub route: RouteId,
    /// Its partition.
    pub partition: PartitionChoice,
    /// Its timestamp in milliseconds; `None` lets the producer put the wall-clock time.
    pub timestamp: Option<Timestamp>,
    /// Its headers.
    pub headers: &'a Headers,
    /// Key bytes; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a null value.
    pub value: Option<&'a [u8]>,
}

/// The output buffer of a task.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    taken: usize,
    /// The topics that were chosen for records so far; a route of one stays good for the life of the task.
    dynamic: Vec<DynamicTopic>,
    /// Choices of partitions that wait for the number of partitions, in the order of their records.
    waiting: VecDeque<WaitingChoice>,
}

#[derive(Debug)]
struct DynamicTopic {
    name: Arc<str>,
    /// 0 while not known.
    partitions: i32,
}

struct WaitingChoice(Box<dyn FnOnce(i32) -> Partitions>);

impl fmt::Debug for WaitingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitingChoice")
    }
}

/// A partitioner chose a partition that the topic does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchPartition(pub i32);

#[derive(Clone, Debug)]
struct Entry {
    route: RouteId,
    partition: PartitionChoice,
    timestamp: Option<Timestamp>,
    headers: Headers,
    start: usize,
    key_end: usize,
    value_end: usize,
    key_null: bool,
    value_null: bool,
}

impl Output {
    /// Begins a record; it becomes part of the output with [`Draft::send`] and leaves no trace without.
    pub fn draft(&mut self) -> Draft<'_> {
        let start = self.bytes.len();
        Draft { output: self, start, key_end: start, key_null: true, value_null: true, sent: false }
    }

    /// Appends a record whose bytes are at hand.
    pub fn send(&mut self, record: OutputRecord<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(record.value.unwrap_or_default());
        self.entries.push(Entry {
            route: record.route,
            partition: record.partition,
            timestamp: record.timestamp,
            headers: record.headers.clone(),
            start,
            key_end,
            value_end: self.bytes.len(),
            key_null: record.key.is_none(),
            value_null: record.value.is_none(),
        });
    }

    /// The oldest record that was not yet [taken](Output::take).
    pub fn first(&self) -> Option<OutputRecord<'_>> {
        let entry = self.entries.get(self.taken)?;
        Some(OutputRecord {
            route: entry.route,
            partition: entry.partition,
            timestamp: entry.timestamp,
            headers: &entry.headers,
            key: (!entry.key_null).then(|| &self.bytes[entry.start..entry.key_end]),
            value: (!entry.value_null).then(|| &self.bytes[entry.key_end..entry.value_end]),
        })
    }

    /// Removes the record that [`first`](Output::first) shows.
    pub fn take(&mut self) {
        self.taken += 1;
        if self.taken >= self.entries.len() {
            self.clear();
        }
    }

    /// Number of records waiting.
    pub fn len(&self) -> usize {
        self.entries.len() - self.taken
    }

    /// Whether no record waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all records, keeping the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.waiting.clear();
        self.taken = 0;
    }

    /// The route to a topic that was chosen for a record.
    pub fn dynamic_route(&mut self, topic: &str) -> RouteId {
        let known = self.dynamic.iter().position(|known| *known.name == *topic);
        let index = known.unwrap_or_else(|| {
            self.dynamic.push(DynamicTopic { name: topic.into(), partitions: 0 });
            self.dynamic.len() - 1
        });
        RouteId(RouteId::DYNAMIC | u32::try_from(index).unwrap_or(0))
    }

    /// The topic behind a [dynamic](RouteId::is_dynamic) route.
    pub fn dynamic_topic(&self, route: RouteId) -> Option<&Arc<str>> {
        route.dynamic_index().and_then(|index| self.dynamic.get(index)).map(|topic| &topic.name)
    }

    /// The number of partitions of the topic behind a dynamic route; 0 while it is not known.
    pub fn dynamic_partitions(&self, route: RouteId) -> i32 {
        route.dynamic_index().and_then(|index| self.dynamic.get(index)).map_or(0, |topic| topic.partitions)
    }

    /// Notes the number of partitions of the topic behind a dynamic route.
    pub fn set_dynamic_partitions(&mut self, route: RouteId, partitions: i32) {
        if let Some(topic) = route.dynamic_index().and_then(|index| self.dynamic.get_mut(index)) {
            topic.partitions = partitions;
        }
    }

    /// Makes the choice of the [first](Output::first) record's partitions, if that has waited for the number of
    /// `partitions`. A record for several partitions becomes several, one for none is gone.
    ///
    /// # Errors
    /// The partitioner chose a partition that there is not; the record is still the first, and is to be
    /// [taken](Output::take).
    pub fn settle_first(&mut self, partitions: i32) -> Result<(), NoSuchPartition> {
        let Some(entry) = self.entries.get(self.taken) else { return Ok(()) };
        let PartitionChoice::Waiting(hash) = entry.partition else { return Ok(()) };
        let Some(WaitingChoice(choose)) = self.waiting.pop_front() else { return Ok(()) };
        let by_key = hash.map_or(PartitionChoice::Any, PartitionChoice::ByHash);
        let chosen = choose(partitions).resolve(by_key, partitions);
        let entry = entry.clone();
        let choices = match chosen {
            Ok(choices) => choices,
            Err(error) => {
                // No second choice is to be waited for.
                if let Some(first) = self.entries.get_mut(self.taken) {
                    first.partition = PartitionChoice::Any;
                }
                return Err(error);
            }
        };
        let copies = choices.into_iter().map(|partition| Entry { partition, ..entry.clone() });
        self.entries.splice(self.taken..=self.taken, copies);
        if self.taken >= self.entries.len() {
            self.clear();
        }
        Ok(())
    }
}

/// A record being written into an [`Output`].
#[derive(Debug)]
pub struct Draft<'o> {
    output: &'o mut Output,
    start: usize,
    key_end: usize,
    key_null: bool,
    value_null: bool,
    sent: bool,
}

impl Draft<'_> {
    /// Writes the key; without this call it is null. To be called before [`value`](Draft::value).
    ///
    /// # Errors
    /// What `write` returned.
    pub fn key(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), SerdeError>) -> Result<&[u8], SerdeError> {
        self.output.bytes.truncate(self.start);
        write(&mut self.output.bytes)?;
        self.key_end = self.output.bytes.len();
        self.key_null = false;
        Ok(&self.output.bytes[self.start..self.key_end])
    }

    /// Writes the value; without this call it is null.
    ///
    /// # Errors
    /// What `write` returned.
    pub fn value(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), SerdeError>) -> Result<(), SerdeError> {
        self.output.bytes.truncate(self.key_end);
        write(&mut self.output.bytes)?;
        self.value_null = false;
        Ok(())
    }

    /// The key's bytes so far; `None` if it is null.
    pub fn key_bytes(&self) -> Option<&[u8]> {
        (!self.key_null).then(|| &self.output.bytes[self.start..self.key_end])
    }

    /// Makes the record part of the output.
    pub fn send(mut self, route: RouteId, partition: PartitionChoice, timestamp: Option<Timestamp>, headers: Headers) {
        self.sent = true;
        let (start, key_end) = (self.start, self.key_end);
        let entry = Entry {
            route,
            partition,
            timestamp,
            headers,
            start,
            key_end,
            value_end: self.output.bytes.len(),
            key_null: self.key_null,
            value_null: self.value_null,
        };
        self.output.entries.push(entry);
    }
}

impl Draft<'_> {
    /// Makes the record part of the output once for each of `partitions`, its bytes being there once; without any it
    /// leaves no trace.
    pub fn send_to(
        mut self,
        route: RouteId,
        partitions: &[PartitionChoice],
        timestamp: Option<Timestamp>,
        headers: &Headers,
    ) {
        self.sent = !partitions.is_empty();
        let (start, key_end, value_end) = (self.start, self.key_end, self.output.bytes.len());
        let (key_null, value_null) = (self.key_null, self.value_null);
        let entry = |partition: &PartitionChoice| Entry {
            route,
            partition: *partition,
            timestamp,
            headers: headers.clone(),
            start,
            key_end,
            value_end,
            key_null,
            value_null,
        };
        self.output.entries.extend(partitions.iter().map(entry));
    }

    /// Makes the record part of the output; `choose` is asked for its partitions once their number is known.
    pub fn send_when_known(
        self,
        route: RouteId,
        timestamp: Option<Timestamp>,
        headers: Headers,
        hash: Option<u32>,
        choose: impl FnOnce(i32) -> Partitions + 'static,
    ) {
        self.output.waiting.push_back(WaitingChoice(Box::new(choose)));
        self.send(route, PartitionChoice::Waiting(hash), timestamp, headers);
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.output.bytes.truncate(self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), SerdeError> {
        out.extend_from_slice(bytes);
        Ok(())
    }

    #[test]
    fn records_come_out_in_order_and_an_unsent_draft_leaves_no_trace() {
        let mut output = Output::default();
        let mut draft = output.draft();
        draft.key(|out| append(out, b"k")).unwrap();
        draft.value(|out| append(out, b"v1")).unwrap();
        draft.send(RouteId(0), PartitionChoice::Any, Some(5), Headers::new());
        let mut abandoned = output.draft();
        abandoned.key(|out| append(out, b"abandoned")).unwrap();
        drop(abandoned);
        let headers = Headers::new();
        let raw = OutputRecord {
            route: RouteId(1),
            partition: PartitionChoice::Explicit(2),
            timestamp: None,
            headers: &headers,
            key: None,
            value: Some(b""),
        };
        output.send(raw);
        let first = output.first().unwrap();
        assert_eq!((first.key, first.value, first.timestamp), (Some(&b"k"[..]), Some(&b"v1"[..]), Some(5)));
        output.take();
        let second = output.first().unwrap();
        assert_eq!((second.key, second.value, second.route), (None, Some(&b""[..]), RouteId(1)));
        output.take();
        assert!(output.is_empty() && output.first().is_none());
    }

    fn drain(output: &mut Output) -> Vec<(PartitionChoice, Vec<u8>)> {
        let mut records = Vec::new();
        while let Some(record) = output.first() {
            records.push((record.partition, record.key.unwrap_or_default().to_vec()));
            output.take();
        }
        records
    }

    #[test]
    fn a_choice_that_waits_is_made_once_the_partitions_are_known() {
        let mut output = Output::default();
        let route = output.dynamic_route("orders-eu");
        assert_eq!(output.dynamic_route("orders-eu"), route);
        assert!(route.is_dynamic() && !RouteId(7).is_dynamic());
        assert_eq!(output.dynamic_topic(route).map(|topic| &**topic), Some("orders-eu"));
        let mut wait = |key: &'static [u8], choose: fn(i32) -> Partitions| {
            let mut draft = output.draft();
            draft.key(|out| append(out, key)).unwrap();
            draft.send_when_known(route, Some(1), Headers::new(), Some(9), choose);
        };
        wait(b"all", |partitions| Partitions::Only((0..partitions).collect()));
        wait(b"none", |_| Partitions::Only(vec![]));
        wait(b"hash", |_| Partitions::ByKey);
        wait(b"wrong", |partitions| Partitions::Only(vec![partitions]));
        assert_eq!(output.settle_first(2), Ok(()));
        let settled = |choice| (PartitionChoice::Explicit(choice), b"all".to_vec());
        let mut seen = Vec::new();
        for _ in 0..2 {
            let first = output.first().unwrap();
            seen.push((first.partition, first.key.unwrap().to_vec()));
            output.take();
        }
        assert_eq!(seen, [settled(0), settled(1)]);
        assert_eq!(output.settle_first(2), Ok(()), "the record for nowhere");
        assert_eq!(output.settle_first(2), Ok(()));
        assert_eq!(output.first().unwrap().partition, PartitionChoice::ByHash(9));
        output.take();
        assert_eq!(output.settle_first(2), Err(NoSuchPartition(2)));
        output.take();
        assert!(output.is_empty());
    }

    #[test]
    fn a_record_goes_to_each_of_its_partitions() {
        let mut output = Output::default();
        for partitions in [&[][..], &[0, 3]] {
            let mut draft = output.draft();
            draft.key(|out| append(out, b"k")).unwrap();
            let choices: Vec<_> = partitions.iter().map(|partition| PartitionChoice::Explicit(*partition)).collect();
            draft.send_to(RouteId(0), &choices, Some(5), &Headers::new());
        }
        let expected = [0, 3].map(|partition| (PartitionChoice::Explicit(partition), b"k".to_vec()));
        assert_eq!(drain(&mut output), expected);
    }
}
