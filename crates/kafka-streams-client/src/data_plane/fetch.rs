//! Reading partitions: the port `Fetch` over a librdkafka consumer under manual assignment.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::fmt;
use std::sync::Arc;

use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{BrokerError, BrokerErrorKind, Fetch, FetchEvent, FetchSlot};
use rdkafka::bindings::rd_kafka_resp_err_t::{self as Code, *};

use super::error_kind::{broker_error, kind_of_code, kind_of_failure};
use super::log::PassingErrors;
use super::raw::{Client, Event, Failure, Messages, PartitionList, Queue, Scratch, Signal};
use super::{Batch, FetchSettings, SetupError, Waker};

/// Reads partitions, each from its own queue.
///
/// librdkafka fetches ahead for each partition until its queue is full (see [`FetchSettings`]); a partition that is not
/// polled stays there, and its neighbours go on. `assign` and `unassign` wait for librdkafka's main thread, well below a
/// millisecond; `poll` waits for nothing, and costs one load of an atomic for a partition without news.
///
/// Made for one thread: it may move to another, but not be shared.
pub struct RdFetch {
    slots: BTreeMap<FetchSlot, Slot>,
    next_slot: u64,
    scratch: Scratch,
    /// Errors of the client itself.
    errors: Queue,
    passing: PassingErrors,
    waker: Waker,
    /// Last, so that the queues go first.
    client: Arc<Client>,
}

/// A partition being read.
struct Slot {
    queue: Queue,
    partition: TopicPartition,
    topic: CString,
    /// The partition alone, for questions and for the end.
    list: PartitionList,
    /// Read from the queue, not yet told.
    pending: VecDeque<FetchEvent<Batch>>,
    /// Whether a record came yet.
    begun: bool,
    /// The end that was told last, with nothing after it.
    ended: Option<i64>,
    /// The data is damaged or beyond us: nothing behind that may be told, as records would be missing.
    broken: bool,
}

impl RdFetch {
    /// A consumer without partitions. `waker` is called when a partition has news.
    ///
    /// # Errors
    /// The settings are wrong. Brokers that cannot be reached are no error here.
    pub fn new(settings: &FetchSettings, waker: Waker) -> Result<Self, SetupError> {
        let client = settings.connect()?;
        let no_queue = || SetupError::Client { client: "consumer", reason: "it has no queue of events".to_owned() };
        let errors = client.consumer_queue(Signal::new(waker.clone())).ok_or_else(no_queue)?;
        Ok(RdFetch {
            slots: BTreeMap::new(),
            next_slot: 0,
            scratch: Scratch::default(),
            errors,
            passing: PassingErrors::default(),
            waker,
            client,
        })
    }

    /// Takes what belongs to no partition.
    fn serve_errors(&mut self) {
        if !self.errors.signal().take() {
            return;
        }
        while let Some(event) = self.errors.poll() {
            if let Event::Error(failure) = event {
                self.passing.report(&failure);
            }
        }
        if !self.errors.is_empty() {
            self.errors.signal().raise();
        }
    }
}

impl Fetch for RdFetch {
    type Batch = Batch;

    fn assign(&mut self, partition: &TopicPartition, offset: i64) -> Result<FetchSlot, BrokerError> {
        let action = || format!("read {partition} from offset {offset}");
        let refused = |text: &str| {
            let failure = Failure::new(RD_KAFKA_RESP_ERR__INVALID_ARG as i32, text);
            broker_error(BrokerErrorKind::Fatal, action(), &failure)
        };
        if offset < 0 {
            return Err(refused("an offset is never negative"));
        }
        // A second queue of the partition would take the signal away from the first.
        if self.slots.values().any(|slot| slot.partition == *partition) {
            return Err(refused("it is being read already"));
        }
        let topic = CString::new(&*partition.topic).map_err(|_| refused("the topic's name has a zero byte"))?;
        let list = PartitionList::of(&topic, partition.partition, offset).ok_or_else(|| refused("out of memory"))?;
        // The queue is taken out of the consumer's before the first message can come.
        let queue = self
            .client
            .partition_queue(&topic, partition.partition, Signal::new(self.waker.clone()))
            .ok_or_else(|| refused("there is no queue for the partition"))?;
        self.client.assign(&list).map_err(|failure| broker_error(kind_of_failure(&failure), action(), &failure))?;
        let slot = FetchSlot(self.next_slot);
        self.next_slot += 1;
        let (partition, pending) = (partition.clone(), VecDeque::new());
        self.slots
            .insert(slot, Slot { queue, partition, topic, list, pending, begun: false, ended: None, broken: false });
        Ok(slot)
    }

    fn unassign(&mut self, slot: FetchSlot) {
        let Some(slot) = self.slots.remove(&slot) else { return };
        if let Err(failure) = self.client.unassign(&slot.list) {
            tracing::warn!(partition = %slot.partition, "reading was not ended: {failure}");
        }
    }

    fn poll(&mut self, slot: FetchSlot, max_records: usize) -> Option<FetchEvent<Batch>> {
        self.serve_errors();
        let slot = self.slots.get_mut(&slot)?;
        if slot.pending.is_empty() && !slot.broken && slot.queue.signal().take() {
            let (messages, failures) = slot.queue.consume(&mut self.scratch, max_records);
            let drained = messages.as_slice().len() < max_records;
            if !drained {
                slot.queue.signal().raise();
            }
            slot.take_in(messages, &mut self.passing);
            for failure in &failures {
                slot.take_in_other(NO_OFFSET, failure, &mut self.passing);
            }
            if drained {
                slot.notice_end(&self.client);
            }
        }
        slot.next(max_records)
    }
}

impl Slot {
    /// Sorts messages into batches and other events, in their order.
    fn take_in(&mut self, mut messages: Messages, passing: &mut PassingErrors) {
        while let Some(first) = messages.as_slice().first() {
            if first.code() == 0 {
                let run = messages.as_slice().iter().take_while(|message| message.code() == 0).count();
                let rest = messages.split_off(run);
                self.take_in_records(messages);
                messages = rest;
            } else {
                self.take_in_other(first.offset(), &first.failure(), passing);
                messages = messages.split_off(1);
            }
            if self.broken {
                return;
            }
        }
    }

    fn take_in_records(&mut self, messages: Messages) {
        let (batch, failed) = Batch::new(messages);
        if let Some(batch) = batch {
            self.begun = true;
            self.ended = None;
            self.pending.push_back(FetchEvent::Batch(batch));
        }
        if let Some((offset, failure)) = failed {
            self.fail(offset, BrokerErrorKind::Fatal, &failure);
            self.broken = true;
        }
    }

    fn take_in_other(&mut self, offset: i64, failure: &Failure, passing: &mut PassingErrors) {
        if failure.code == RD_KAFKA_RESP_ERR__PARTITION_EOF as i32 {
            self.end(offset);
        } else if OUT_OF_RANGE.iter().any(|code| *code as i32 == failure.code) {
            tracing::debug!(partition = %self.partition, offset, "out of range: {failure}");
            self.pending.push_back(FetchEvent::OutOfRange);
        } else if CONNECTION.iter().any(|code| *code as i32 == failure.code) {
            passing.report(failure);
        } else {
            self.broken = DAMAGED.iter().any(|code| *code as i32 == failure.code);
            let kind = match kind_of_code(failure.code) {
                BrokerErrorKind::Retriable | BrokerErrorKind::RecordRefused if self.broken => BrokerErrorKind::Fatal,
                kind => kind,
            };
            self.fail(offset, kind, failure);
        }
    }

    /// Tells the end as soon as all of the last answer was taken.
    ///
    /// librdkafka tells it with the next answer, which comes after `fetch.wait.max.ms`: too late for a restore that waits
    /// for it. The end of the log as of the last answer is known, and so is the position, control records included. Only
    /// once a record came: before that both may be of an earlier assignment.
    fn notice_end(&mut self, client: &Client) {
        if !self.begun || self.broken {
            return;
        }
        let end = client.high_watermark(&self.topic, self.partition.partition);
        if end < 0 || self.ended == Some(end) {
            return;
        }
        client.position(&mut self.list);
        if self.list.first_offset() == end {
            self.end(end);
        }
    }

    fn end(&mut self, next_offset: i64) {
        if self.ended != Some(next_offset) {
            self.ended = Some(next_offset);
            self.pending.push_back(FetchEvent::End { next_offset });
        }
    }

    fn fail(&mut self, offset: i64, kind: BrokerErrorKind, failure: &Failure) {
        let action = if offset < 0 {
            format!("read {}", self.partition)
        } else {
            format!("read {} at {offset}", self.partition)
        };
        self.pending.push_back(FetchEvent::Failed(broker_error(kind, action, failure)));
    }

    /// The next event; a batch that is too long now leaves its rest for later.
    fn next(&mut self, max_records: usize) -> Option<FetchEvent<Batch>> {
        let mut event = self.pending.pop_front()?;
        if let FetchEvent::Batch(batch) = &mut event
            && let Some(rest) = batch.split_off(max_records.max(1))
        {
            self.pending.push_front(FetchEvent::Batch(rest));
        }
        Some(event)
    }
}

impl fmt::Debug for RdFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.slots.iter().map(|(id, slot)| (id, &slot.partition));
        f.debug_map().entries(slots).finish()
    }
}

/// An error that is not of a record.
const NO_OFFSET: i64 = -1;

/// The position lies outside of the log. With `auto.offset.reset=error` librdkafka says the first of these.
const OUT_OF_RANGE: &[Code] =
    &[RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__LOG_TRUNCATION];

/// Trouble of connections, not of the partition.
const CONNECTION: &[Code] = &[
    RD_KAFKA_RESP_ERR__TRANSPORT,
    RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
    RD_KAFKA_RESP_ERR__RESOLVE,
    RD_KAFKA_RESP_ERR__TIMED_OUT,
];

/// librdkafka skips what it cannot read and goes on behind it: not so here.
const DAMAGED: &[Code] = &[
    RD_KAFKA_RESP_ERR__BAD_MSG,
    RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
    RD_KAFKA_RESP_ERR__UNDERFLOW,
    RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
];
