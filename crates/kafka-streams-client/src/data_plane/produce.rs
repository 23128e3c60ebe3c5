//! Writing records and transactions: the port `Produce` over a librdkafka producer.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_streams_engine::port::{
    BrokerError, BrokerErrorKind, Delivery, OffsetToCommit, Produce, ProduceRecord, Progress, SendError,
    TransactionStep,
};
use kafka_streams_group::GroupMember;
use rdkafka::bindings::rd_kafka_resp_err_t::*;

use super::error_kind::{broker_error, is_for_size, kind_of_code, kind_of_delivery, kind_of_failure};
use super::lane::{Lane, Step, StepKind};
use super::log::PassingErrors;
use super::partition_count::PartitionCount;
use super::raw::{
    Client, DeliveryReport, Event, Failure, GroupMetadata, HeaderList, PartitionList, Queue, Signal, Topic, Unsent,
};
use super::{ProduceSettings, SetupError, Waker};

/// How long a question for a topic's partitions may take before it is an error that passes.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes records, in order for each partition, and runs transactions.
///
/// No call waits: flushes and transactions run on a `lane` of their own, which calls the waker when a step is
/// done. Records are copied into librdkafka's queues, up to the bounds in [`ProduceSettings`].
///
/// A step of a transaction that fails with [`BrokerErrorKind::Retriable`] is taken up by calling it again; init, commit
/// and abort that were left unfinished must be, before any other step. After every other error of a step the transaction
/// is to be aborted, or, with [`BrokerErrorKind::Fenced`], the producer replaced.
///
/// Made for one thread: it may move to another, but not be shared.
pub struct RdProduce {
    topics: BTreeMap<Arc<str>, usize>,
    by_index: Vec<TopicState>,
    /// The topic of the last record: most records go where the one before went.
    last: usize,
    in_flight: usize,
    /// Of those in flight, how many a flush is under way for.
    flushing: usize,
    /// Delivery reports that came while something else was awaited.
    undelivered: VecDeque<Delivery>,
    events: Queue,
    passing: PassingErrors,
    lane: Lane,
    transactional_id: Option<String>,
    in_transaction: bool,
    /// Whether a batch is one record.
    one_by_one: bool,
    /// Last, so that topics and queues go first.
    client: Arc<Client>,
}

/// What is known of a topic.
struct TopicState {
    name: Arc<str>,
    c_name: CString,
    topic: Topic,
    partitions: PartitionCount,
}

impl RdProduce {
    /// A producer. `waker` is called when records were delivered, and when a step of a transaction is done.
    ///
    /// # Errors
    /// The settings are wrong. Brokers that cannot be reached are no error here.
    pub fn new(settings: &ProduceSettings, waker: Waker) -> Result<Self, SetupError> {
        let client = settings.connect()?;
        let no_queue = || SetupError::Client { client: "producer", reason: "it has no queue of events".to_owned() };
        let events = client.main_queue(Signal::new(waker.clone())).ok_or_else(no_queue)?;
        Ok(RdProduce {
            topics: BTreeMap::new(),
            by_index: Vec::new(),
            last: 0,
            in_flight: 0,
            flushing: 0,
            undelivered: VecDeque::new(),
            events,
            passing: PassingErrors::default(),
            lane: Lane::new(client.clone(), waker),
            transactional_id: settings.transactional_id.clone(),
            in_transaction: false,
            one_by_one: settings.sends_one_by_one(),
            client,
        })
    }

    /// The index of a topic, which is made known to librdkafka at first.
    fn topic_index(&mut self, name: &Arc<str>) -> Result<usize, Failure> {
        if let Some(last) = self.by_index.get(self.last)
            && (Arc::ptr_eq(&last.name, name) || last.name == *name)
        {
            return Ok(self.last);
        }
        let index = match self.topics.get(name) {
            Some(index) => *index,
            None => {
                let c_name = CString::new(&**name).map_err(|_| {
                    Failure::new(RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION as i32, "the topic's name has a zero byte")
                })?;
                let topic = Topic::new(&self.client, &c_name)?;
                let index = self.by_index.len();
                let partitions = PartitionCount::default();
                self.by_index.push(TopicState { name: name.clone(), c_name, topic, partitions });
                self.topics.insert(name.clone(), index);
                index
            }
        };
        self.last = index;
        Ok(index)
    }

    /// Takes all events of the client.
    fn serve(&mut self, on_delivery: &mut dyn FnMut(Delivery)) {
        if !self.events.signal().take() {
            return;
        }
        while let Some(event) = self.events.poll() {
            match event {
                Event::Deliveries(reports) => reports.for_each(|report| on_delivery(self.delivered(report))),
                Event::TopicDescribed(index, count) => self.described(index, count),
                Event::Error(failure) => self.passing.report(&failure),
                Event::Other => {}
            }
        }
        if !self.events.is_empty() {
            self.events.signal().raise();
        }
    }

    /// Keeps the delivery reports for the next `poll`.
    fn serve_aside(&mut self) {
        let mut aside = std::mem::take(&mut self.undelivered);
        self.serve(&mut |delivery| aside.push_back(delivery));
        self.undelivered = aside;
    }

    fn delivered(&mut self, report: DeliveryReport) -> Delivery {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.flushing > 0 {
            self.flushing -= 1;
            if self.flushing == 0 {
                self.lane.end_flush();
            }
        }
        let DeliveryReport { tag, partition, result } = report;
        let result = result.map_err(|(topic, failure)| {
            let ended = self.client.fatal_error();
            let kind = match kind_of_delivery(failure.code, self.transactional_id.is_some(), ended.is_some()) {
                // The broker says this of a batch, and librdkafka of all records in it.
                _ if !self.one_by_one && is_for_size(failure.code) => BrokerErrorKind::BatchRefused,
                kind => kind,
            };
            if kind == BrokerErrorKind::UnknownTopic
                && let Some(state) = self.topics.get(&*topic).and_then(|index| self.by_index.get_mut(*index))
            {
                state.partitions.forget();
            }
            broker_error(kind, format!("write a record to {topic}-{partition}"), &failure)
        });
        Delivery { tag, partition, result }
    }

    fn described(&mut self, index: usize, count: Result<i32, Failure>) {
        let Some(state) = self.by_index.get_mut(index) else { return };
        let count = count.map_err(|failure| broker_error(kind_of_code(failure.code), describe(&state.name), &failure));
        state.partitions.learn(count, Instant::now());
    }

    /// Why a record was not taken.
    fn refusal(&mut self, index: usize, partition: Option<i32>, code: i32) -> SendError {
        if code == RD_KAFKA_RESP_ERR__QUEUE_FULL as i32 {
            return SendError::QueueFull;
        }
        let Some(state) = self.by_index.get_mut(index) else { return SendError::QueueFull };
        let action = match partition {
            Some(partition) => format!("write a record to {}-{partition}", state.name),
            None => format!("write a record to {}", state.name),
        };
        let (kind, failure) = if let Some(fatal) = self.client.fatal_error() {
            (kind_of_failure(&fatal), fatal)
        } else if code == RD_KAFKA_RESP_ERR__STATE as i32 && self.transactional_id.is_some() {
            let text = if self.in_transaction { "the transaction has failed" } else { "no transaction was begun" };
            (BrokerErrorKind::AbortRequired, Failure::new(code, text))
        } else {
            (kind_of_code(code), Failure::of_code(code))
        };
        if kind == BrokerErrorKind::UnknownTopic {
            state.partitions.forget();
        }
        SendError::Refused(broker_error(kind, action, &failure))
    }

    /// One step of a transaction on the lane.
    fn step(
        &mut self,
        kind: StepKind,
        action: impl Fn(&str) -> String,
        make: impl FnOnce() -> Result<Step, Failure>,
    ) -> TransactionStep {
        // librdkafka counts a record as in flight until its delivery report was taken, and an abort waits for all.
        self.serve_aside();
        let Some(id) = &self.transactional_id else {
            return Progress::Done(Err(not_transactional(action("a producer without transactional.id"))));
        };
        match self.lane.step(kind, make) {
            Progress::Pending => Progress::Pending,
            Progress::Done(outcome) => {
                Progress::Done(outcome.map_err(|failure| broker_error(kind_of_failure(&failure), action(id), &failure)))
            }
        }
    }
}

impl Produce for RdProduce {
    fn partitions(&mut self, topic: &Arc<str>) -> Progress<Result<i32, BrokerError>> {
        self.serve_aside();
        let failed = |failure: Failure| broker_error(kind_of_code(failure.code), describe(topic), &failure);
        let index = match self.topic_index(topic) {
            Ok(index) => index,
            Err(failure) => return Progress::Done(Err(failed(failure))),
        };
        let Some(state) = self.by_index.get_mut(index) else { return Progress::Pending };
        let (answer, ask) = state.partitions.answer(Instant::now());
        if ask {
            self.client.describe_topic(&state.c_name, DESCRIBE_TIMEOUT, index, &self.events);
        }
        answer
    }

    fn send(&mut self, record: ProduceRecord<'_>, tag: u64) -> Result<(), SendError> {
        let refused = |kind, failure: &Failure| {
            SendError::Refused(broker_error(kind, format!("write a record to {}", record.topic), failure))
        };
        if let Some(timestamp) = record.timestamp
            && timestamp < 0
        {
            let text = format!("a timestamp is never negative, this is {timestamp}");
            let failure = Failure::new(RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP as i32, text);
            return Err(refused(BrokerErrorKind::RecordRefused, &failure));
        }
        let index = self.topic_index(record.topic).map_err(|f| refused(kind_of_code(f.code), &f))?;
        let Some(state) = self.by_index.get(index) else { return Err(SendError::QueueFull) };
        let ProduceRecord { partition, timestamp, key, value, .. } = record;
        let unsent = Unsent { partition, timestamp, key, value, tag };
        match state.topic.send(unsent, HeaderList::copy_of(record.headers)) {
            Ok(()) => {
                self.in_flight += 1;
                Ok(())
            }
            Err(code) => Err(self.refusal(index, record.partition, code)),
        }
    }

    fn poll(&mut self, on_delivery: &mut dyn FnMut(Delivery)) {
        while let Some(delivery) = self.undelivered.pop_front() {
            on_delivery(delivery);
        }
        self.serve(on_delivery);
    }

    /// Reports that were taken while a step was awaited are still in flight for the caller.
    fn in_flight(&self) -> usize {
        self.in_flight + self.undelivered.len()
    }

    fn flush(&mut self) {
        if self.in_flight > 0 {
            self.flushing = self.in_flight;
            self.lane.flush();
        }
    }

    fn init_transactions(&mut self) -> TransactionStep {
        self.step(StepKind::Init, |id| format!("initialise the transactions of {id}"), || Ok(Step::Init))
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        let Some(id) = &self.transactional_id else { return Err(not_transactional("begin a transaction".to_owned())) };
        let action = || format!("begin a transaction of {id}");
        if self.lane.is_busy() {
            let failure = Failure::new(RD_KAFKA_RESP_ERR__STATE as i32, "the step before is not done");
            return Err(broker_error(BrokerErrorKind::Fatal, action(), &failure));
        }
        self.client
            .begin_transaction()
            .map_err(|failure| broker_error(kind_of_failure(&failure), action(), &failure))?;
        self.in_transaction = true;
        Ok(())
    }

    fn send_offsets(&mut self, offsets: &[OffsetToCommit], member: &GroupMember) -> TransactionStep {
        let group = member.group_id();
        self.step(
            StepKind::SendOffsets,
            |id| format!("send offsets of group {group} to the transaction of {id}"),
            || Ok(Step::SendOffsets(offset_list(offsets)?, group_metadata(member)?)),
        )
    }

    fn commit_transaction(&mut self) -> TransactionStep {
        let step = self.step(StepKind::Commit, |id| format!("commit the transaction of {id}"), || Ok(Step::Commit));
        if step == Progress::Done(Ok(())) {
            self.in_transaction = false;
        }
        step
    }

    /// Without a transaction there is nothing to abort, and it is done at once.
    fn abort_transaction(&mut self) -> TransactionStep {
        if self.transactional_id.is_some() && !self.in_transaction {
            return Progress::Done(Ok(()));
        }
        let step = self.step(StepKind::Abort, |id| format!("abort the transaction of {id}"), || Ok(Step::Abort));
        if step == Progress::Done(Ok(())) {
            self.in_transaction = false;
        }
        step
    }
}

impl fmt::Debug for RdProduce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdProduce")
            .field("transactional_id", &self.transactional_id)
            .field("in_transaction", &self.in_transaction)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

fn describe(topic: &str) -> String {
    format!("ask for the partitions of {topic}")
}

fn not_transactional(action: String) -> BrokerError {
    let failure = Failure::new(RD_KAFKA_RESP_ERR__NOT_CONFIGURED as i32, "the producer has no transactional.id");
    broker_error(BrokerErrorKind::Fatal, action, &failure)
}

fn offset_list(offsets: &[OffsetToCommit]) -> Result<PartitionList, Failure> {
    let invalid = |text: String| Failure::new(RD_KAFKA_RESP_ERR__INVALID_ARG as i32, text);
    let mut list = PartitionList::new(offsets.len()).ok_or_else(|| invalid("out of memory".to_owned()))?;
    for OffsetToCommit { partition, offset, leader_epoch, metadata } in offsets {
        let topic = CString::new(&*partition.topic).map_err(|_| invalid(format!("zero byte in {partition}")))?;
        // librdkafka leaves out what it does not take for an offset, and says nothing.
        if *offset < 0 {
            return Err(invalid(format!("offset {offset} of {partition} is negative")));
        }
        list.add(&topic, partition.partition, *offset, *leader_epoch, metadata);
    }
    Ok(list)
}

fn group_metadata(member: &GroupMember) -> Result<GroupMetadata, Failure> {
    let text = |text: &str| {
        CString::new(text)
            .map_err(|_| Failure::new(RD_KAFKA_RESP_ERR__INVALID_ARG as i32, "the member's names have a zero byte"))
    };
    let instance = member.instance_id().map(text).transpose()?;
    GroupMetadata::new(&text(member.group_id())?, member.generation(), &text(member.member_id())?, instance.as_deref())
        .ok_or_else(|| Failure::new(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE as i32, "out of memory"))
}
