//! Doubles of the ports over a cluster in memory: logs with transactions, offsets of one group, and faults on demand.
//!
//! They follow a real broker in what the engine relies on: read-committed readers stop at the first open transaction,
//! markers take an offset, aborted records are passed over, and offsets of a transaction appear with its commit.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{OutputOverflow, RawRecord, TaskId, TopicId, TopicPartition};
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
    transactions: Vec<Transaction>,
    offsets: BTreeMap<TopicPartition, (i64, String)>,
    /// Errors that the next steps of these names answer with: `send_offsets`, `commit`, `commit_offsets`, `fetch_offsets`,
    /// `deliver`.
    faults: BTreeMap<&'static str, VecDeque<BrokerErrorKind>>,
    /// The producer that owns each transactional id; others with the id are fenced.
    epochs: BTreeMap<Arc<str>, u64>,
    pub(crate) deleted: Vec<(TopicPartition, i64)>,
    pub(crate) told: Vec<Event>,
    /// The broker refuses values longer than this, and batches that hold more bytes of values; `None` for no limit.
    pub(crate) max_message_bytes: Option<usize>,
    /// What was done, in its order: `init`, `fetch offsets`, `list offsets`, `restore`.
    pub(crate) done: Vec<&'static str>,
    /// Where the last epoch of the logs ends, for those who ask; `None` if the broker does not know.
    pub(crate) epoch_end: Option<i64>,
    /// Producers made, by how they send.
    pub(crate) producers: Vec<Batching>,
    /// Delays and faults at random; none by default.
    pub(crate) chaos: Chaos,
    /// Virtual time, in milliseconds; moved on with [`Shared::tick`].
    now: i64,
    /// The group's members with their generation; commits are checked against it unless it is `None`.
    pub(crate) members: Option<BTreeMap<String, i32>>,
}

struct Transaction {
    fate: Fate,
    owner: Option<Arc<str>>,
    begun: i64,
    /// Input positions that are committed with it.
    offsets: Vec<OffsetToCommit>,
    /// Its end is decided, and its markers are written at this time.
    ends: Option<(Fate, i64)>,
}

/// How long a transaction may stay open before the broker aborts it, in virtual milliseconds.
pub(crate) const TRANSACTION_TIMEOUT_MS: i64 = 1_500;

/// Decides which delays and faults happen: the same for the same seed. The default decides for none.
#[derive(Default)]
pub(crate) struct Chaos {
    state: u64,
    /// Whether answers are delayed.
    pub(crate) delays: bool,
    /// Faults are this many times as frequent as they are by themselves; 0 for none.
    pub(crate) faults: u64,
    /// How many faults were injected, by what they were.
    pub(crate) injected: BTreeMap<&'static str, u64>,
}

impl Chaos {
    pub(crate) fn new(seed: u64) -> Self {
        Chaos { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995, ..Chaos::default() }
    }

    /// A number below `n`, which is at least 1 (SplitMix64).
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Whether something takes its time.
    pub(crate) fn delay(&mut self, one_in: u64) -> bool {
        self.delays && self.one_in(one_in)
    }

    /// Whether this fault happens now.
    pub(crate) fn fault(&mut self, what: &'static str, one_in: u64) -> bool {
        let happens = self.faults > 0 && self.below(one_in) < self.faults;
        if happens {
            *self.injected.entry(what).or_default() += 1;
        }
        happens
    }
}

#[derive(Clone, Default)]
struct Log {
    start: i64,
    entries: Vec<Entry>,
    id: TopicId,
    delete_retention_ms: Option<i64>,
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

    pub(crate) fn set_delete_retention(&self, topic: &str, ms: i64) {
        if let Some(log) = self.0.borrow_mut().logs.get_mut(&TopicPartition::new(topic, 0)) {
            log.delete_retention_ms = Some(ms);
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
        let id = cluster.begin(None);
        let log = cluster.logs.get_mut(&TopicPartition::new(topic, 0)).expect("topic exists");
        log.entries.extend(rows.into_iter().map(|row| Entry::Record { row, transaction: Some(id) }));
        id
    }

    pub(crate) fn end(&self, transaction: u64, commit: bool) {
        self.0.borrow_mut().end(transaction, if commit { Fate::Committed } else { Fate::Aborted });
    }

    /// Truncates the log: `end` is its end now.
    pub(crate) fn truncate(&self, topic: &str, end: usize) {
        let mut cluster = self.0.borrow_mut();
        cluster.logs.get_mut(&TopicPartition::new(topic, 0)).expect("topic exists").entries.truncate(end);
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

    pub(crate) fn committed_metadata(&self, topic: &str, partition: i32) -> String {
        let offsets = &self.0.borrow().offsets;
        offsets.get(&TopicPartition::new(topic, partition)).map(|(_, text)| text.clone()).unwrap_or_default()
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

    /// Moves the time on: markers are written, and transactions that were open for too long are aborted.
    pub(crate) fn tick(&self, now: i64) {
        let mut cluster = self.0.borrow_mut();
        cluster.now = now;
        for id in 0..cluster.transactions.len() as u64 {
            let transaction = &cluster.transactions[id as usize];
            if transaction.fate != Fate::Open {
                continue;
            }
            match transaction.ends {
                Some((fate, at)) if at <= now => cluster.end(id, fate),
                None if transaction.begun + TRANSACTION_TIMEOUT_MS < now && cluster.is_begun(id) => {
                    if let Some(owner) = cluster.transactions[id as usize].owner.clone() {
                        *cluster.epochs.entry(owner).or_default() += 1;
                    }
                    cluster.end(id, Fate::Aborted);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.borrow().now
    }

    /// What a read-committed reader of one partition sees, with offsets, and where it stands afterwards.
    pub(crate) fn read_partition(&self, topic: &str, partition: i32, from: i64) -> (Vec<(i64, Row)>, i64) {
        let cluster = self.0.borrow();
        cluster.visible(&cluster.logs[&TopicPartition::new(topic, partition)], from)
    }

    /// As [`read_partition`](Shared::read_partition) from the start, with the transactions that are decided and whose
    /// markers are still to come.
    pub(crate) fn read_decided(&self, topic: &str, partition: i32) -> Vec<(i64, Row)> {
        let cluster = self.0.borrow();
        let log = &cluster.logs[&TopicPartition::new(topic, partition)];
        let mut records = Vec::new();
        for (offset, entry) in log.entries.iter().enumerate() {
            let Entry::Record { row, transaction } = entry else { continue };
            let fate = transaction.map_or(Fate::Committed, |id| {
                let transaction = &cluster.transactions[id as usize];
                transaction.ends.map_or(transaction.fate, |(fate, _)| fate)
            });
            if fate == Fate::Committed {
                records.push((offset as i64, row.clone()));
            }
        }
        records
    }

    /// A number that changes whenever anything is written or committed.
    pub(crate) fn version(&self) -> (usize, i64) {
        let cluster = self.0.borrow();
        let entries = cluster.logs.values().map(|log| log.entries.len()).sum();
        (entries, cluster.offsets.values().map(|(offset, _)| *offset).sum())
    }

    /// Transactions that are neither committed nor aborted.
    pub(crate) fn open_transactions(&self) -> usize {
        let cluster = self.0.borrow();
        (0..cluster.transactions.len() as u64).filter(|id| cluster.is_open(*id)).count()
    }
}

impl Cluster {
    fn offset_for_time(&self, partition: &TopicPartition, time: i64) -> Option<i64> {
        let log = self.logs.get(partition)?;
        let late = |entry: &Entry| matches!(entry, Entry::Record { row, .. } if row.2 >= time);
        log.entries.iter().position(late).map(|at| (at as i64).max(log.start))
    }

    fn begin(&mut self, owner: Option<Arc<str>>) -> u64 {
        let begun = self.now;
        self.transactions.push(Transaction { fate: Fate::Open, owner, begun, offsets: Vec::new(), ends: None });
        self.transactions.len() as u64 - 1
    }

    /// Whether the broker knows of it.
    fn is_begun(&self, transaction: u64) -> bool {
        let wrote = |entry: &Entry| matches!(entry, Entry::Record { transaction: Some(id), .. } if *id == transaction);
        !self.transactions[transaction as usize].offsets.is_empty()
            || self.logs.values().any(|log| log.entries.iter().any(wrote))
    }

    fn is_open(&self, transaction: u64) -> bool {
        self.transactions[transaction as usize].fate == Fate::Open && self.is_begun(transaction)
    }

    /// Decides a transaction; its markers come at once or later.
    fn decide(&mut self, transaction: u64, fate: Fate) {
        if self.chaos.delay(2) {
            let at = self.now + self.chaos.below(30) as i64;
            self.transactions[transaction as usize].ends = Some((fate, at));
        } else {
            self.end(transaction, fate);
        }
    }

    fn end(&mut self, transaction: u64, fate: Fate) {
        let ended = &mut self.transactions[transaction as usize];
        ended.fate = fate;
        let offsets = std::mem::take(&mut ended.offsets);
        if fate == Fate::Committed {
            self.offsets.extend(offsets.into_iter().map(|o| (o.partition, (o.offset, o.metadata))));
        }
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
                Entry::Record { transaction: Some(id), row } => match self.transactions[*id as usize].fate {
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

    /// Forgets the errors that were still to come.
    pub(crate) fn forgive(&mut self, step: &'static str) {
        self.faults.remove(step);
    }

    fn fault(&mut self, step: &'static str) -> Option<BrokerError> {
        let kind = self.faults.get_mut(step)?.pop_front()?;
        Some(injected(kind, step))
    }

    fn is_member(&self, member: &GroupMember) -> bool {
        let members = self.members.as_ref();
        members.is_none_or(|members| members.get(member.member_id()) == Some(&member.generation()))
    }

    /// Whether a transaction is open that will commit offsets of one of these partitions.
    fn is_unstable(&self, partitions: &[TopicPartition]) -> bool {
        let open = self.transactions.iter().filter(|transaction| transaction.fate == Fate::Open);
        open.flat_map(|transaction| &transaction.offsets).any(|offset| partitions.contains(&offset.partition))
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
        let mut cluster = self.cluster.0.borrow_mut();
        if cluster.chaos.delay(3) {
            return None;
        }
        if cluster.chaos.fault("fetch failed", 300) {
            return Some(FetchEvent::Failed(injected(BrokerErrorKind::Retriable, "fetch")));
        }
        if cluster.chaos.fault("out of range", 1500) {
            return Some(FetchEvent::OutOfRange);
        }
        let max_records = match cluster.chaos.delay(2) {
            true => 1 + cluster.chaos.below(max_records as u64) as usize,
            false => max_records,
        };
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
    transactional_id: Option<Arc<str>>,
    /// Known once the transactions are initialised.
    epoch: Option<u64>,
    open: Option<u64>,
    /// Taken and not written yet.
    waiting: VecDeque<(TopicPartition, Row, u64)>,
    deliveries: VecDeque<Delivery>,
    /// Why nothing is taken before an abort, or ever again.
    failed: Option<BrokerErrorKind>,
    batching: Batching,
}

impl FakeProduce {
    fn is_fenced(&self) -> bool {
        match (&self.transactional_id, self.epoch) {
            (Some(id), Some(epoch)) => self.cluster.0.borrow().epochs.get(id) != Some(&epoch),
            _ => false,
        }
    }

    /// Whether a step that is asked for takes its time.
    fn is_pending(&self) -> bool {
        self.cluster.0.borrow_mut().chaos.delay(2)
    }

    fn answer(&mut self, step: &'static str) -> Result<(), BrokerError> {
        if self.is_fenced() {
            self.failed = Some(BrokerErrorKind::Fenced);
        }
        if let Some(kind) = self.failed {
            return Err(injected(kind, step));
        }
        self.cluster.0.borrow_mut().fault(step).map_or(Ok(()), Err)
    }

    /// An error of a step, at random.
    fn chance(&mut self, step: &'static str) -> Result<(), BrokerError> {
        let chaos = &mut self.cluster.0.borrow_mut().chaos;
        let kind = if chaos.fault("step retriable", 25) {
            BrokerErrorKind::Retriable
        } else if chaos.fault("step abort", 50) {
            BrokerErrorKind::AbortRequired
        } else if chaos.fault("step fenced", 80) {
            BrokerErrorKind::Fenced
        } else if chaos.fault("step fatal", 400) {
            BrokerErrorKind::Fatal
        } else {
            return Ok(());
        };
        if kind != BrokerErrorKind::Retriable {
            self.failed = Some(kind);
        }
        Err(injected(kind, step))
    }

    /// Whether the end of the transaction is decided at the broker.
    fn decided(&self) -> Option<Fate> {
        let cluster = self.cluster.0.borrow();
        let transaction = &cluster.transactions[self.open? as usize];
        transaction.ends.map(|(fate, _)| fate).or((transaction.fate != Fate::Open).then_some(transaction.fate))
    }

    /// Writes up to `count` of the waiting records.
    fn write(&mut self, count: usize) {
        if self.is_fenced() {
            self.failed = Some(BrokerErrorKind::Fenced);
        }
        for _ in 0..count {
            let mut cluster = self.cluster.0.borrow_mut();
            // The broker takes nothing of the next transaction before the markers of the last one are written.
            let before = |transaction: &Transaction| {
                transaction.owner == self.transactional_id
                    && transaction.ends.is_some()
                    && transaction.fate == Fate::Open
            };
            if self.transactional_id.is_some() && cluster.transactions.iter().any(before) {
                return;
            }
            if self.failed.is_none()
                && let Some(kind) = refusal_of(&mut cluster, &self.waiting, self.batching)
            {
                drop(cluster);
                self.refuse_batch(kind);
                continue;
            }
            let Some((partition, row, tag)) = self.waiting.pop_front() else { return };
            let number = partition.partition;
            let mut failed = self.failed.map(|_| BrokerErrorKind::Retriable);
            let mut written = failed.is_none();
            if self.failed == Some(BrokerErrorKind::Fenced) {
                failed = self.failed;
            } else if failed.is_none() && cluster.chaos.fault("delivery", 600) {
                failed = Some(BrokerErrorKind::Retriable);
                written = cluster.chaos.one_in(2);
                self.failed = self.transactional_id.is_some().then_some(BrokerErrorKind::AbortRequired);
            }
            let mut offset = -1;
            if written {
                let log = cluster.logs.entry(partition).or_default();
                log.entries.push(Entry::Record { row, transaction: self.open });
                offset = log.entries.len() as i64 - 1;
            }
            let result = failed.map_or(Ok(offset), |kind| Err(injected(kind, "write a record")));
            self.deliveries.push_back(Delivery { tag, partition: number, result });
        }
    }
}

impl FakeProduce {
    /// Gives up the first of the waiting records, with all of its batch.
    fn refuse_batch(&mut self, kind: BrokerErrorKind) {
        let Some(first) = self.waiting.front().map(|(partition, ..)| partition.clone()) else { return };
        let all = self.batching == Batching::AsConfigured;
        let mut given_up = 0;
        self.waiting.retain(|(partition, _, tag)| {
            let refused = *partition == first && (all || given_up == 0);
            if refused {
                given_up += 1;
                let result = Err(injected(kind, "write a record"));
                self.deliveries.push_back(Delivery { tag: *tag, partition: partition.partition, result });
            }
            !refused
        });
        if self.transactional_id.is_some() {
            self.failed = Some(BrokerErrorKind::AbortRequired);
        }
    }
}

/// Whether the broker refuses the batch of the first waiting record: all that wait for its partition, or it alone.
fn refusal_of(
    cluster: &mut Cluster,
    waiting: &VecDeque<(TopicPartition, Row, u64)>,
    batching: Batching,
) -> Option<BrokerErrorKind> {
    let (partition, row, _) = waiting.front()?;
    if let Some(error) = cluster.fault("deliver") {
        return Some(error.kind);
    }
    let bytes = |row: &Row| row.1.as_ref().map_or(0, Vec::len);
    let limit = cluster.max_message_bytes.unwrap_or(usize::MAX);
    match batching {
        Batching::OneByOne if bytes(row) > limit => Some(BrokerErrorKind::RecordRefused),
        Batching::OneByOne => None,
        Batching::AsConfigured => {
            let batch = waiting.iter().filter(|(other, ..)| other == partition).map(|(_, row, _)| bytes(row));
            let refused = batch.sum::<usize>() > limit || cluster.chaos.fault("batch refused", 900);
            refused.then_some(BrokerErrorKind::BatchRefused)
        }
    }
}

impl Produce for FakeProduce {
    fn partitions(&mut self, topic: &Arc<str>) -> Progress<Result<i32, BrokerError>> {
        if self.cluster.0.borrow_mut().chaos.delay(4) {
            return Progress::Pending;
        }
        if self.cluster.0.borrow_mut().chaos.fault("partitions", 60) {
            return Progress::Done(Err(injected(BrokerErrorKind::Retriable, "partitions")));
        }
        let count = self.cluster.0.borrow().logs.keys().filter(|partition| partition.topic == *topic).count();
        Progress::Done(Ok(count.max(1) as i32))
    }

    fn send(&mut self, record: ProduceRecord<'_>, tag: u64) -> Result<(), SendError> {
        if let Some(kind) = self.failed {
            return Err(SendError::Refused(injected(kind, "send")));
        }
        if !self.waiting.is_empty() && self.cluster.0.borrow_mut().chaos.delay(40) {
            return Err(SendError::QueueFull);
        }
        let partition = TopicPartition::new(record.topic.clone(), record.partition.unwrap_or(0));
        let row = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), record.timestamp.unwrap_or(-1));
        self.waiting.push_back((partition, row, tag));
        let waits = self.cluster.0.borrow().chaos.delays || self.cluster.0.borrow().max_message_bytes.is_some();
        if !waits {
            self.write(1);
        }
        Ok(())
    }

    fn poll(&mut self, on_delivery: &mut dyn FnMut(Delivery)) {
        let count = self.cluster.0.borrow_mut().chaos.below(6) as usize;
        self.write(count);
        self.deliveries.drain(..).for_each(on_delivery);
    }

    fn in_flight(&self) -> usize {
        self.waiting.len() + self.deliveries.len()
    }

    fn flush(&mut self) {
        self.write(self.waiting.len());
    }

    fn init_transactions(&mut self) -> TransactionStep {
        if self.is_pending() {
            return Progress::Pending;
        }
        self.cluster.0.borrow_mut().done.push("init");
        if let Some(id) = self.transactional_id.clone() {
            let mut cluster = self.cluster.0.borrow_mut();
            if self.epoch.is_none() {
                let epoch = cluster.epochs.entry(id.clone()).or_default();
                *epoch += 1;
                self.epoch = Some(*epoch);
            }
            for transaction in 0..cluster.transactions.len() as u64 {
                let left = &cluster.transactions[transaction as usize];
                if left.owner.as_ref() == Some(&id) && left.fate == Fate::Open {
                    let fate = left.ends.map_or(Fate::Aborted, |(fate, _)| fate);
                    cluster.end(transaction, fate);
                }
            }
        }
        if self.cluster.0.borrow_mut().chaos.fault("init", 30) {
            return Progress::Done(Err(injected(BrokerErrorKind::Retriable, "init")));
        }
        Progress::Done(Ok(()))
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        if let Some(kind) = self.failed {
            return Err(injected(kind, "begin"));
        }
        self.open = Some(self.cluster.0.borrow_mut().begin(self.transactional_id.clone()));
        Ok(())
    }

    fn send_offsets(&mut self, offsets: &[OffsetToCommit], member: &GroupMember) -> TransactionStep {
        if self.is_pending() {
            return Progress::Pending;
        }
        let mut answer = self.answer("send_offsets");
        // Without offsets librdkafka asks nobody, so nothing fences the transaction (rule C1).
        if answer.is_ok() && !offsets.is_empty() && !self.cluster.0.borrow().is_member(member) {
            self.failed = Some(BrokerErrorKind::Rejoin);
            answer = self.answer("send_offsets");
        }
        if answer.is_ok() {
            let chance = self.chance("send_offsets");
            // Errors may come before or after it is done.
            let id = self.open.expect("a transaction was begun");
            let mut cluster = self.cluster.0.borrow_mut();
            if chance.is_ok() || cluster.chaos.one_in(2) {
                cluster.transactions[id as usize].offsets = offsets.to_vec();
            }
            answer = chance;
        }
        Progress::Done(answer)
    }

    fn commit_transaction(&mut self) -> TransactionStep {
        if let Err(error) = self.answer("commit") {
            return Progress::Done(Err(error));
        }
        assert_eq!(self.in_flight(), 0, "a commit with records in flight");
        let id = self.open.expect("a transaction was begun");
        // Until it is done at the broker it may fail in every way; after that its answer can only get lost.
        if self.decided().is_none() {
            if self.is_pending() {
                return Progress::Pending;
            }
            if let Err(error) = self.chance("commit") {
                let cluster = &mut *self.cluster.0.borrow_mut();
                if !matches!(error.kind, BrokerErrorKind::AbortRequired) && cluster.chaos.one_in(2) {
                    cluster.decide(id, Fate::Committed);
                }
                return Progress::Done(Err(error));
            }
            self.cluster.0.borrow_mut().decide(id, Fate::Committed);
        }
        if self.is_pending() {
            return Progress::Pending;
        }
        self.open = None;
        Progress::Done(Ok(()))
    }

    fn abort_transaction(&mut self) -> TransactionStep {
        if self.is_pending() {
            return Progress::Pending;
        }
        if self.is_fenced() {
            self.failed = Some(BrokerErrorKind::Fenced);
        }
        if let Some(kind @ (BrokerErrorKind::Fenced | BrokerErrorKind::Fatal)) = self.failed {
            return Progress::Done(Err(injected(kind, "abort")));
        }
        if self.decided() == Some(Fate::Committed) {
            return Progress::Done(Err(injected(BrokerErrorKind::Fatal, "abort what is committed")));
        }
        if self.cluster.0.borrow_mut().chaos.fault("abort retriable", 30) {
            return Progress::Done(Err(injected(BrokerErrorKind::Retriable, "abort")));
        }
        if self.cluster.0.borrow_mut().chaos.fault("abort fenced", 60) {
            self.failed = Some(BrokerErrorKind::Fenced);
            return Progress::Done(Err(injected(BrokerErrorKind::Fenced, "abort")));
        }
        if let Some(id) = self.open.take() {
            self.cluster.0.borrow_mut().decide(id, Fate::Aborted);
        }
        self.failed = None;
        self.waiting.clear();
        self.deliveries.clear();
        Progress::Done(Ok(()))
    }
}

fn injected(kind: BrokerErrorKind, action: &str) -> BrokerError {
    BrokerError { kind, action: action.to_owned(), message: "injected".to_owned() }
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
        cluster.done.extend(match &call {
            Call::FetchOffsets(_) => Some("fetch offsets"),
            Call::ListOffsets(_) => Some("list offsets"),
            Call::DescribeTopics(_) => Some("restore"),
            _ => None,
        });
        let passing = cluster.chaos.fault("call", 40);
        let reply = match call {
            Call::FetchOffsets(_) if passing => {
                Reply::FetchOffsets(Err(injected(BrokerErrorKind::Retriable, "fetch offsets")))
            }
            Call::ListOffsets(_) if passing => {
                Reply::ListOffsets(Err(injected(BrokerErrorKind::Retriable, "list offsets")))
            }
            Call::DescribeTopics(_) if passing => {
                Reply::DescribeTopics(Err(injected(BrokerErrorKind::Retriable, "describe topics")))
            }
            Call::FetchOffsets(partitions) => Reply::FetchOffsets(match cluster.fault("fetch_offsets") {
                Some(error) => Err(error),
                None if cluster.is_unstable(&partitions) => Err(injected(BrokerErrorKind::Retriable, "88")),
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
            Call::CommitOffsets(member, offsets) => Reply::CommitOffsets(match cluster.fault("commit_offsets") {
                Some(error) => Err(error),
                None if !cluster.is_member(&member) => Err(injected(BrokerErrorKind::Rejoin, "22")),
                None => {
                    if !passing || cluster.chaos.one_in(2) {
                        let offsets = offsets.into_iter().map(|o| (o.partition, (o.offset, o.metadata)));
                        cluster.offsets.extend(offsets);
                    }
                    if passing { Err(injected(BrokerErrorKind::Retriable, "commit offsets")) } else { Ok(()) }
                }
            }),
            Call::ListOffsets(partitions) => {
                let bounds = partitions.iter().map(|partition| {
                    let log = cluster.logs.get(partition).cloned().unwrap_or_default();
                    LogBounds { start: log.start, end: log.entries.len() as i64 }
                });
                Reply::ListOffsets(Ok(bounds.collect()))
            }
            Call::OffsetsForTimes(times) => {
                let first = |(partition, time): &(TopicPartition, i64)| cluster.offset_for_time(partition, *time);
                Reply::OffsetsForTimes(Ok(times.iter().map(first).collect()))
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
            Call::EpochEnd(partitions) => Reply::EpochEnd(Ok(vec![cluster.epoch_end; partitions.len()])),
            Call::DeleteRetention(topic) => {
                let log = cluster.logs.get(&TopicPartition::new(topic, 0));
                Reply::DeleteRetention(Ok(log.and_then(|log| log.delete_retention_ms)))
            }
        };
        self.replies.push_back((CallId(self.next), reply));
        CallId(self.next)
    }

    fn poll(&mut self) -> Option<(CallId, Reply)> {
        if self.cluster.0.borrow_mut().chaos.delay(2) {
            return None;
        }
        self.replies.pop_front()
    }
}

/// A seat whose events the test brings.
#[derive(Clone, Default)]
pub(crate) struct FakeGroup {
    pub(crate) cluster: Shared,
    pub(crate) events: Rc<RefCell<VecDeque<WorkerEvent>>>,
    /// Between two seats.
    pub(crate) unseated: Rc<Cell<bool>>,
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
        if self.unseated.get() { None } else { GroupMember::new("app", "member", 1, None) }
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

    /// A producer; with `transactional`, the one before it is fenced at once.
    pub(crate) fn producer(&self, transactional: bool, batching: Batching) -> FakeProduce {
        let id: Arc<str> = "test".into();
        let mut cluster = self.0.borrow_mut();
        let epoch = cluster.epochs.entry(id.clone()).or_default();
        *epoch += 1;
        let epoch = transactional.then_some(*epoch);
        drop(cluster);
        FakeProduce { epoch, ..self.producer_of(transactional.then_some(id), batching) }
    }

    /// A producer that fences the one before it when its transactions are initialised.
    pub(crate) fn producer_of(&self, transactional_id: Option<Arc<str>>, batching: Batching) -> FakeProduce {
        self.0.borrow_mut().producers.push(batching);
        FakeProduce {
            cluster: self.clone(),
            transactional_id,
            epoch: None,
            open: None,
            waiting: VecDeque::new(),
            deliveries: VecDeque::new(),
            failed: None,
            batching,
        }
    }
}

/// Chunks of an output that overflowed, in memory.
#[derive(Debug, Default)]
pub(crate) struct Chunks(VecDeque<Vec<u8>>);

impl OutputOverflow for Chunks {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.push_back(chunk.to_vec());
        Ok(())
    }

    fn pop(&mut self, into: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        into.extend(self.0.pop_front().ok_or("nothing has overflowed")?);
        Ok(())
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
