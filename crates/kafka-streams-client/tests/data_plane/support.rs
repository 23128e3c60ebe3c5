//! A broker, topics, and a worker's loop around the ports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use kafka_streams_client::data_plane::{Batch, FetchSettings, ProduceSettings, Properties, RdFetch, RdProduce, Waker};
use kafka_streams_core::{Headers, TopicPartition};
use kafka_streams_engine::port::{
    Delivery, Fetch, FetchEvent, FetchSlot, FetchedBatch, Produce, ProduceRecord, Progress, TransactionStep,
};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The address of the broker, or `None` with a note.
pub(crate) fn bootstrap() -> Option<String> {
    let bootstrap = std::env::var("KAFKA_STREAMS_TEST_BOOTSTRAP").ok();
    if bootstrap.is_none() {
        println!("skipped: KAFKA_STREAMS_TEST_BOOTSTRAP is not set");
    }
    bootstrap
}

/// A name that no other run has used.
pub(crate) fn unique(stem: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    format!("data-plane-{stem}-{now:x}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn properties(bootstrap: &str) -> Properties {
    [("bootstrap.servers", bootstrap)].into_iter().collect()
}

pub(crate) fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A new topic.
pub(crate) fn topic(bootstrap: &str, stem: &str, partitions: i32) -> Arc<str> {
    let name = unique(stem);
    let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let results = block_on(admin(bootstrap).create_topics([&topic], &AdminOptions::new())).unwrap();
    results.into_iter().for_each(|result| drop(result.unwrap()));
    name.into()
}

/// What a sleeping worker waits for.
#[derive(Default)]
pub(crate) struct Bell(Mutex<u64>, Condvar);

impl Bell {
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        let bell = self.clone();
        Arc::new(move || {
            *bell.0.lock().unwrap() += 1;
            bell.1.notify_all();
        })
    }

    /// Polls, and sleeps until the bell rings between polls: a wake-up that never comes fails the test.
    pub(crate) fn until<T>(&self, what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rung = *self.0.lock().unwrap();
            if let Some(value) = poll() {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let guard = self.0.lock().unwrap();
            let (_guard, timeout) = self.1.wait_timeout_while(guard, left, |now| *now == rung).unwrap();
            assert!(!timeout.timed_out(), "waited in vain for {what}");
        }
    }
}

/// A reader with its bell.
pub(crate) struct Reader {
    pub(crate) fetch: RdFetch,
    pub(crate) bell: Arc<Bell>,
}

/// A record as owned values: offset, timestamp, key, value, headers.
pub(crate) type Read = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Headers);

/// What a poll told.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Records(Vec<Read>),
    End(i64),
    OutOfRange,
    Failed(kafka_streams_engine::port::BrokerError),
}

impl Reader {
    pub(crate) fn new(bootstrap: &str, read_committed: bool) -> Self {
        Reader::with(properties(bootstrap), read_committed)
    }

    pub(crate) fn with(properties: Properties, read_committed: bool) -> Self {
        let bell = Arc::<Bell>::default();
        let settings = FetchSettings::new(properties, unique("reader"), read_committed);
        Reader { fetch: RdFetch::new(&settings, bell.waker()).unwrap(), bell }
    }

    pub(crate) fn assign(&mut self, topic: &Arc<str>, partition: i32, offset: i64) -> FetchSlot {
        self.fetch.assign(&TopicPartition::new(topic.clone(), partition), offset).unwrap()
    }

    pub(crate) fn next(&mut self, slot: FetchSlot) -> Told {
        let Reader { fetch, bell } = self;
        bell.until("an event of a partition", || fetch.poll(slot, 1000)).into()
    }

    /// All records up to the first end, and the end.
    pub(crate) fn read_to_end(&mut self, slot: FetchSlot) -> (Vec<Read>, i64) {
        let mut all = Vec::new();
        loop {
            match self.next(slot) {
                Told::Records(records) => all.extend(records),
                Told::End(next_offset) => return (all, next_offset),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads until there are `count` records.
    pub(crate) fn take(&mut self, slot: FetchSlot, count: usize) -> Vec<Read> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.next(slot) {
                Told::Records(records) => all.extend(records),
                Told::End(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(all.len(), count);
        all
    }
}

impl From<FetchEvent<Batch>> for Told {
    fn from(event: FetchEvent<Batch>) -> Self {
        match event {
            FetchEvent::Batch(batch) => {
                assert!(!batch.is_empty());
                Told::Records((0..batch.len()).map(|index| read(&batch, index)).collect())
            }
            FetchEvent::End { next_offset } => Told::End(next_offset),
            FetchEvent::OutOfRange => Told::OutOfRange,
            FetchEvent::Failed(error) => Told::Failed(error),
        }
    }
}

pub(crate) fn read(batch: &Batch, index: usize) -> Read {
    let record = batch.record(index);
    (
        record.offset,
        record.timestamp,
        record.key.map(<[u8]>::to_vec),
        record.value.map(<[u8]>::to_vec),
        record.headers.cloned().unwrap_or_default(),
    )
}

/// The values, as text.
pub(crate) fn values(records: &[Read]) -> Vec<String> {
    records.iter().map(|(_, _, _, value, _)| String::from_utf8(value.clone().unwrap()).unwrap()).collect()
}

/// A writer with its bell.
pub(crate) struct Writer {
    pub(crate) produce: RdProduce,
    pub(crate) bell: Arc<Bell>,
    pub(crate) deliveries: Vec<Delivery>,
}

impl Writer {
    pub(crate) fn new(bootstrap: &str, transactional_id: Option<&str>) -> Self {
        Writer::with(properties(bootstrap), transactional_id)
    }

    pub(crate) fn with(properties: Properties, transactional_id: Option<&str>) -> Self {
        let bell = Arc::<Bell>::default();
        let settings = ProduceSettings::new(properties, transactional_id.map(str::to_owned));
        let produce = RdProduce::new(&settings, bell.waker()).unwrap();
        Writer { produce, bell, deliveries: Vec::new() }
    }

    /// A transactional writer that may begin.
    pub(crate) fn transactional(bootstrap: &str, id: &str) -> Self {
        let mut writer = Writer::new(bootstrap, Some(id));
        writer.step(|produce| produce.init_transactions()).unwrap();
        writer
    }

    pub(crate) fn send(&mut self, topic: &Arc<str>, partition: i32, value: &str) {
        let record = plain(topic, partition, value);
        let tag = self.deliveries.len() as u64;
        self.produce.send(record, tag).unwrap();
    }

    pub(crate) fn poll(&mut self) {
        let Writer { produce, deliveries, .. } = self;
        produce.poll(&mut |delivery| deliveries.push(delivery));
    }

    /// Flushes, and waits until nothing is in flight.
    pub(crate) fn flush(&mut self) {
        self.produce.flush();
        let Writer { produce, bell, deliveries } = self;
        bell.until("delivery of all records", || {
            produce.poll(&mut |delivery| deliveries.push(delivery));
            (produce.in_flight() == 0).then_some(())
        });
    }

    /// Flushes, and wants every record delivered since the last time to have been written.
    pub(crate) fn flush_all_written(&mut self) {
        self.flush();
        for delivery in self.deliveries.drain(..) {
            assert!(delivery.result.is_ok(), "{delivery:?}");
        }
    }

    pub(crate) fn step(
        &mut self,
        mut step: impl FnMut(&mut RdProduce) -> TransactionStep,
    ) -> Result<(), kafka_streams_engine::port::BrokerError> {
        let Writer { produce, bell, .. } = self;
        bell.until("a step of a transaction", || match step(produce) {
            Progress::Pending => None,
            Progress::Done(result) => Some(result),
        })
    }

    /// Writes values in one transaction and commits it, or aborts it.
    pub(crate) fn transaction(&mut self, topic: &Arc<str>, partition: i32, values: &[&str], commit: bool) {
        self.produce.begin_transaction().unwrap();
        for value in values {
            self.send(topic, partition, value);
        }
        self.flush_all_written();
        if commit {
            self.step(|produce| produce.commit_transaction()).unwrap();
        } else {
            self.step(|produce| produce.abort_transaction()).unwrap();
        }
    }
}

/// A record with a value only.
pub(crate) fn plain<'a>(topic: &'a Arc<str>, partition: i32, value: &'a str) -> ProduceRecord<'a> {
    const NONE: &Headers = &Headers::new();
    ProduceRecord {
        topic,
        partition: Some(partition),
        timestamp: None,
        headers: NONE,
        key: None,
        value: Some(value.as_bytes()),
    }
}
