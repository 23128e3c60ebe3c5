//! Doubles of the ports over a cluster in memory: logs with transactions, offsets of one group, and faults on demand.
//!
//! They follow a real broker in what the engine relies on: read-committed readers stop at the first open transaction,
//! markers take an offset, aborted records are passed over, and offsets of a transaction appear with its commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{RawRecord, TaskId, TopicId, TopicPartition};
use kafka_streams_group::{Event, GroupMember, WorkerEvent};

use crate::port::*;
use crate::restore::{Restore, RestoreEvent, RestoreTask, Restorer, StepResult};
use crate::worker::Ports;

/// A record as a test sees it: key, value, timestamp.
pub(crate) type Row = (Option<Vec<u8>>, Option<Vec<u8>>, i64);

/// A batch of records with consecutive offsets, or picked ones.
#[derive(Clone, Debug)]
pub(crate) struct VecBatch {
    records: Vec<(i64, Row)>,
}

impl VecBatch {
    /// Records without keys and values.
    pub(crate) fn of_timestamps(first: i64, timestamps: &[i64]) -> Self {
        let record = |(i, timestamp): (usize, &i64)| (first + i as i64, (None, None, *timestamp));
        VecBatch { records: timestamps.iter().enumerate().map(record).collect() }
    }
}

impl FetchedBatch for VecBatch {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn record(&self, index: usize) -> RawRecord<'_> {
        let (offset, (key, value, timestamp)) = &self.records[index];
        RawRecord {
            offset: *offset,
            timestamp: *timestamp,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: None,
        }
    }

    fn leader_epoch(&self, _index: usize) -> i32 {
        0
    }
}

#[derive(Clone, Debug)]
enum Entry {
    Record { row: Row, transaction: Option<u64> },
    Marker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Default)]
pub(crate) struct Cluster {
    logs: BTreeMap<TopicPartition, Log>,
    transactions: Vec<Fate>,
    offsets: BTreeMap<TopicPartition, (i64, String)>,
    /// Errors that the next steps of these names answer with: `send_offsets`, `commit`, `commit_offsets`, `fetch_offsets`.
    faults: BTreeMap<&'static str, VecDeque<BrokerErrorKind>>,
    /// Transactions begun by a producer that was replaced.
    current_producer: u64,
    pub(crate) deleted: Vec<(TopicPartition, i64)>,
    pub(crate) told: Vec<Event>,
}

#[derive(Clone, Default)]
struct Log {
    start: i64,
    entries: Vec<Entry>,
    id: TopicId,
}

/// The cluster, shared by all doubles of a test.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Rc<RefCell<Cluster>>);

impl Shared {
    pub(crate) fn create(&self, topic: &str, partitions: i32) {
        for partition in 0..partitions {
            let log = Log { id: TopicId::from_u128(topic.len() as u128), ..Log::default() };
            self.0.borrow_mut().logs.insert(TopicPartition::new(topic, partition), log);
        }
    }

    pub(crate) fn recreate(&self, topic: &str) {
        for (partition, log) in &mut self.0.borrow_mut().logs {
            if *partition.topic == *topic {
                *log = Log { id: TopicId::from_u128(log.id.as_u128() + 1000), ..Log::default() };
            }
        }
    }

    pub(crate) fn write(&self, topic: &str, partition: i32, rows: impl IntoIterator<Item = Row>) {
        let mut cluster = self.0.borrow_mut();
        let log = cluster.logs.get_mut(&TopicPartition::new(topic, partition)).expect("topic exists");
        log.entries.extend(rows.into_iter().map(|row| Entry::Record { row, transaction: None }));
    }

    /// Writes in a transaction that stays open; its number.
    pub(crate) fn write_open(&self, topic: &str, rows: impl IntoIterator<Item = Row>) -> u64 {
        let mut cluster = self.0.borrow_mut();
        let id = cluster.transactions.len() as u64;
        cluster.transactions.push(Fate::Open);
        let log = cluster.logs.get_mut(&TopicPartition::new(topic, 0)).expect("topic exists");
        log.entries.extend(rows.into_iter().map(|row| Entry::Record { row, transaction: Some(id) }));
        id
    }

    pub(crate) fn end(&self, transaction: u64, commit: bool) {
        self.0.borrow_mut().end(transaction, if commit { Fate::Committed } else { Fate::Aborted });
    }

    /// Deletes the records before `start`.
    pub(crate) fn delete_before(&self, topic: &str, start: i64) {
        let mut cluster = self.0.borrow_mut();
        cluster.logs.get_mut(&TopicPartition::new(topic, 0)).expect("topic exists").start = start;
    }

    pub(crate) fn fail_next(&self, step: &'static str, kind: BrokerErrorKind) {
        self.0.borrow_mut().faults.entry(step).or_default().push_back(kind);
    }

    pub(crate) fn offset(&self, topic: &str, partition: i32) -> Option<i64> {
        self.0.borrow().offsets.get(&TopicPartition::new(topic, partition)).map(|(offset, _)| *offset)
    }

    /// What a read-committed reader of all partitions sees.
    pub(crate) fn read_committed(&self, topic: &str) -> Vec<Row> {
        let cluster = self.0.borrow();
        let logs = cluster.logs.iter().filter(|(partition, _)| *partition.topic == *topic);
        logs.flat_map(|(_, log)| cluster.visible(log, log.start).0).map(|(_, row)| row).collect()
    }

    pub(crate) fn end_offset(&self, topic: &str) -> i64 {
        self.0.borrow().logs[&TopicPartition::new(topic, 0)].entries.len() as i64
    }
}

impl Cluster {
    fn end(&mut self, transaction: u64, fate: Fate) {
        self.transactions[transaction as usize] = fate;
        let wrote = |entry: &Entry| matches!(entry, Entry::Record { transaction: Some(id), .. } if *id == transaction);
        for log in self.logs.values_mut() {
            if log.entries.iter().any(wrote) {
                log.entries.push(Entry::Marker);
            }
        }
    }

    /// The records from `from` that a read-committed reader gets, and where it stands afterwards.
    fn visible(&self, log: &Log, from: i64) -> (Vec<(i64, Row)>, i64) {
        let mut records = Vec::new();
        for (offset, entry) in log.entries.iter().enumerate().skip(from as usize) {
            match entry {
                Entry::Record { transaction: Some(id), row } => match self.transactions[*id as usize] {
                    Fate::Open => return (records, offset as i64),
                    Fate::Committed => records.push((offset as i64, row.clone())),
                    Fate::Aborted => {}
                },
                Entry::Record { transaction: None, row } => records.push((offset as i64, row.clone())),
                Entry::Marker => {}
            }
        }
        (records, log.entries.len() as i64)
    }

    fn fault(&mut self, step: &'static str) -> Option<BrokerError> {
        let kind = self.faults.get_mut(step)?.pop_front()?;
        Some(BrokerError { kind, action: step.to_owned(), message: "injected".to_owned() })
    }
}

#[derive(Default)]
pub(crate) struct FakeFetch {
    cluster: Shared,
    slots: BTreeMap<FetchSlot, (TopicPartition, i64, bool)>,
    next: u64,
}

impl Fetch for FakeFetch {
    type Batch = VecBatch;

    fn assign(&mut self, partition: &TopicPartition, offset: i64) -> Result<FetchSlot, BrokerError> {
        self.next += 1;
        self.slots.insert(FetchSlot(self.next), (partition.clone(), offset, false));
        Ok(FetchSlot(self.next))
    }

    fn unassign(&mut self, slot: FetchSlot) {
        self.slots.remove(&slot);
    }

    fn poll(&mut self, slot: FetchSlot, max_records: usize) -> Option<FetchEvent<VecBatch>> {
        let (partition, position, at_end) = self.slots.get_mut(&slot)?;
        let cluster = self.cluster.0.borrow();
        let log = cluster.logs.get(partition)?;
        if *position < log.start || *position > log.entries.len() as i64 {
            return Some(FetchEvent::OutOfRange);
        }
        let (mut records, end) = cluster.visible(log, *position);
        records.truncate(max_records);
        if let Some((last, _)) = records.last() {
            (*position, *at_end) = (last + 1, false);
            return Some(FetchEvent::Batch(VecBatch { records }));
        }
        if *at_end && *position == end {
            return None;
        }
        (*position, *at_end) = (end, true);
        Some(FetchEvent::End { next_offset: end })
    }
}

pub(crate) struct FakeProduce {
    cluster: Shared,
    id: u64,
    transactional: bool,
    open: Option<u64>,
    staged_offsets: Vec<OffsetToCommit>,
    deliveries: VecDeque<Delivery>,
}

impl FakeProduce {
    fn is_fenced(&self) -> bool {
        self.transactional && self.cluster.0.borrow().current_producer != self.id
    }

    fn answer(&mut self, step: &'static str) -> Result<(), BrokerError> {
        if self.is_fenced() {
            let message = "another producer has this id".to_owned();
            return Err(BrokerError { kind: BrokerErrorKind::Fenced, action: step.to_owned(), message });
        }
        self.cluster.0.borrow_mut().fault(step).map_or(Ok(()), Err)
    }
}

impl Produce for FakeProduce {
    fn partitions(&mut self, topic: &Arc<str>) -> Progress<Result<i32, BrokerError>> {
        let count = self.cluster.0.borrow().logs.keys().filter(|partition| partition.topic == *topic).count();
        Progress::Done(Ok(count.max(1) as i32))
    }

    fn send(&mut self, record: ProduceRecord<'_>, tag: u64) -> Result<(), SendError> {
        let partition = record.partition.unwrap_or(0);
        let row = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), record.timestamp.unwrap_or(-1));
        let mut cluster = self.cluster.0.borrow_mut();
        let log = cluster.logs.entry(TopicPartition::new(record.topic.clone(), partition)).or_default();
        log.entries.push(Entry::Record { row, transaction: self.open });
        let offset = log.entries.len() as i64 - 1;
        self.deliveries.push_back(Delivery { tag, partition, result: Ok(offset) });
        Ok(())
    }

    fn poll(&mut self, on_delivery: &mut dyn FnMut(Delivery)) {
        self.deliveries.drain(..).for_each(on_delivery);
    }

    fn in_flight(&self) -> usize {
        self.deliveries.len()
    }

    fn flush(&mut self) {}

    fn init_transactions(&mut self) -> TransactionStep {
        let open: Vec<u64> = {
            let cluster = self.cluster.0.borrow();
            let ids = cluster.transactions.iter().enumerate();
            ids.filter(|(_, fate)| **fate == Fate::Open).map(|(id, _)| id as u64).collect()
        };
        open.into_iter().for_each(|id| self.cluster.end(id, false));
        Progress::Done(Ok(()))
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        let mut cluster = self.cluster.0.borrow_mut();
        self.open = Some(cluster.transactions.len() as u64);
        cluster.transactions.push(Fate::Open);
        Ok(())
    }

    fn send_offsets(&mut self, offsets: &[OffsetToCommit], _member: &GroupMember) -> TransactionStep {
        let answer = self.answer("send_offsets");
        if answer.is_ok() {
            self.staged_offsets = offsets.to_vec();
        }
        Progress::Done(answer)
    }

    fn commit_transaction(&mut self) -> TransactionStep {
        let answer = self.answer("commit");
        if answer.is_ok() {
            let mut cluster = self.cluster.0.borrow_mut();
            for offset in self.staged_offsets.drain(..) {
                cluster.offsets.insert(offset.partition, (offset.offset, offset.metadata));
            }
            if let Some(id) = self.open.take() {
                cluster.end(id, Fate::Committed);
            }
        }
        Progress::Done(answer)
    }

    fn abort_transaction(&mut self) -> TransactionStep {
        if let Some(id) = self.open.take() {
            self.cluster.end(id, false);
        }
        self.deliveries.clear();
        Progress::Done(Ok(()))
    }
}

#[derive(Default)]
pub(crate) struct FakeAdmin {
    cluster: Shared,
    next: u64,
    replies: VecDeque<(CallId, Reply)>,
}

impl Admin for FakeAdmin {
    fn call(&mut self, call: Call) -> CallId {
        self.next += 1;
        let mut cluster = self.cluster.0.borrow_mut();
        let reply = match call {
            Call::FetchOffsets(partitions) => Reply::FetchOffsets(match cluster.fault("fetch_offsets") {
                Some(error) => Err(error),
                None => {
                    let found = partitions.iter().map(|partition| match cluster.offsets.get(partition) {
                        Some((offset, metadata)) => {
                            CommittedOffset { offset: Some(*offset), metadata: metadata.clone() }
                        }
                        None => CommittedOffset { offset: None, metadata: String::new() },
                    });
                    Ok(found.collect())
                }
            }),
            Call::CommitOffsets(_, offsets) => Reply::CommitOffsets(match cluster.fault("commit_offsets") {
                Some(error) => Err(error),
                None => {
                    let offsets = offsets.into_iter().map(|o| (o.partition, (o.offset, o.metadata)));
                    cluster.offsets.extend(offsets);
                    Ok(())
                }
            }),
            Call::ListOffsets(partitions) => {
                let bounds = partitions.iter().map(|partition| {
                    let log = cluster.logs.get(partition).cloned().unwrap_or_default();
                    LogBounds { start: log.start, end: log.entries.len() as i64 }
                });
                Reply::ListOffsets(Ok(bounds.collect()))
            }
            Call::DescribeTopics(topics) => {
                let describe = |topic: &Arc<str>| {
                    let log = cluster.logs.get(&TopicPartition::new(topic.clone(), 0))?;
                    let partitions = cluster.logs.keys().filter(|partition| partition.topic == *topic).count();
                    Some(TopicDescription { id: log.id, partitions: partitions as i32 })
                };
                Reply::DescribeTopics(Ok(topics.iter().map(describe).collect()))
            }
            Call::DeleteRecords(offsets) => {
                cluster.deleted.extend(offsets);
                Reply::DeleteRecords(Ok(()))
            }
            Call::EpochEnd(partitions) => Reply::EpochEnd(Ok(partitions.iter().map(|_| None).collect())),
        };
        self.replies.push_back((CallId(self.next), reply));
        CallId(self.next)
    }

    fn poll(&mut self) -> Option<(CallId, Reply)> {
        self.replies.pop_front()
    }
}

/// A seat whose events the test brings.
#[derive(Clone, Default)]
pub(crate) struct FakeGroup {
    pub(crate) cluster: Shared,
    pub(crate) events: Rc<RefCell<VecDeque<WorkerEvent>>>,
}

impl Group for FakeGroup {
    fn poll(&mut self) -> Option<WorkerEvent> {
        self.events.borrow_mut().pop_front()
    }

    fn tell(&mut self, event: Event) {
        if matches!(event, Event::Leave { .. }) {
            self.events.borrow_mut().push_back(WorkerEvent::Left);
        }
        self.cluster.0.borrow_mut().told.push(event);
    }

    fn member(&self) -> Option<GroupMember> {
        GroupMember::new("app", "member", 1, None)
    }
}

/// A restorer on the worker's own thread, one step for each poll.
pub(crate) struct InlineRestore {
    restorer: Restorer<FakeFetch, FakeAdmin>,
}

impl Restore for InlineRestore {
    fn submit(&mut self, task: RestoreTask) {
        self.restorer.submit(task);
    }

    fn cancel(&mut self, task: TaskId) {
        self.restorer.cancel(task);
    }

    fn poll(&mut self) -> Option<RestoreEvent> {
        for _ in 0..100 {
            if let Some(event) = self.restorer.poll_event() {
                return Some(event);
            }
            if self.restorer.step(NOW) != StepResult::Worked {
                break;
            }
        }
        self.restorer.poll_event()
    }
}

/// The time that the doubles take it to be.
pub(crate) const NOW: i64 = 1_000_000;

pub(crate) struct FakePorts;

impl Ports for FakePorts {
    type Fetch = FakeFetch;
    type Produce = FakeProduce;
    type Group = FakeGroup;
    type Admin = FakeAdmin;
    type Restore = InlineRestore;
}

impl Shared {
    pub(crate) fn fetch(&self) -> FakeFetch {
        FakeFetch { cluster: self.clone(), ..FakeFetch::default() }
    }

    pub(crate) fn admin(&self) -> FakeAdmin {
        FakeAdmin { cluster: self.clone(), ..FakeAdmin::default() }
    }

    pub(crate) fn restorer(&self) -> Restorer<FakeFetch, FakeAdmin> {
        let config = crate::restore::RestorerConfig { task_timeout_ms: 1000, max_age_ms: 86_400_000 };
        Restorer::new(self.fetch(), self.admin(), config)
    }

    pub(crate) fn restore(&self) -> InlineRestore {
        InlineRestore { restorer: self.restorer() }
    }

    /// A producer; with `transactional`, the one before it is fenced.
    pub(crate) fn producer(&self, transactional: bool) -> FakeProduce {
        let mut cluster = self.0.borrow_mut();
        cluster.current_producer += 1;
        FakeProduce {
            cluster: self.clone(),
            id: cluster.current_producer,
            transactional,
            open: None,
            staged_offsets: Vec::new(),
            deliveries: VecDeque::new(),
        }
    }
}
