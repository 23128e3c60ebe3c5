//! The driver: one task for each partition, run by hand.

use std::any::Any;
use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::{DefaultSerde, PartitionChoice, Serde, TaskContext, Timestamp};
use kafka_streams_engine::{InputRecord, SoloSetup, SoloTask};
use kafka_streams_state::{
    KeyValueStore, StateStore, ThreadCache, TimestampedKeyValueStore, TimestampedKeyValueStoreWithHeaders,
    TimestampedWindowStore, VersionedKeyValueStore, WindowStore,
};
use kafka_streams_topology::Topology;

use crate::settings::{CommitMode, TestDriverSettings};
use crate::state_directory::StateDirectory;
use crate::topic_log::TopicLogs;
use crate::{RawTestRecord, TestDriverError, TestInputTopic, TestOutputTopic};

/// Runs a topology in a test (`org.apache.kafka.streams.TopologyTestDriver`). Cheap to clone; all clones are one driver,
/// and so are the topics that it makes.
///
/// A record that is piped in is processed to its end before the call returns: through all sub-topologies, with the
/// punctuations and the commits that it makes due. Of several records that wait, the one with the lowest timestamp is
/// next.
#[derive(Clone)]
pub struct TopologyTestDriver(Rc<RefCell<Inner>>);

struct Inner {
    tasks: Vec<SoloTask>,
    logs: TopicLogs,
    wall_clock: Timestamp,
    partitions: i32,
    commit_mode: CommitMode,
    max_records_per_step: usize,
    /// Topics of global stores: their records go to every task.
    global_topics: Vec<Arc<str>>,
    /// Removed with the driver if it is a temporary one.
    _state: StateDirectory,
}

impl TopologyTestDriver {
    /// Runs `topology` with the default settings.
    ///
    /// # Errors
    /// As [`with_settings`](TopologyTestDriver::with_settings).
    pub fn new(topology: &Topology) -> Result<Self, TestDriverError> {
        Self::with_settings(topology, TestDriverSettings::default())
    }

    /// Runs `topology` with these settings.
    ///
    /// # Errors
    /// A store cannot be opened, or a processor failed to start.
    pub fn with_settings(topology: &Topology, settings: TestDriverSettings) -> Result<Self, TestDriverError> {
        let cache = ThreadCache::new(settings.cache_bytes);
        let state = StateDirectory::new(&settings)?;
        let task = |partition| {
            let setup = SoloSetup {
                application_id: settings.application_id.clone(),
                partition,
                partitions: settings.partitions,
                timestamp_extractor: settings.timestamp_extractor,
                handlers: settings.handlers.clone(),
                backends: settings.backends.clone(),
                cache: cache.clone(),
                emit_intervals: settings.emit_intervals,
                state_dir: Some(state.of_task(partition)?),
                app_configs: settings.app_configs.clone(),
                dsl_store_format: settings.dsl_store_format,
            };
            Ok(SoloTask::new(topology, setup, settings.wall_clock)?)
        };
        let tasks = (0..settings.partitions).map(task).collect::<Result<Vec<_>, TestDriverError>>()?;
        let inputs: Vec<Arc<str>> = tasks.iter().take(1).flat_map(SoloTask::input_topics).cloned().collect();
        let mut inner = Inner {
            tasks,
            logs: TopicLogs::new(inputs.into_iter(), settings.partitions, settings.wall_clock),
            wall_clock: settings.wall_clock,
            partitions: settings.partitions,
            commit_mode: settings.commit_mode,
            max_records_per_step: settings.max_records_per_step,
            global_topics: topology.global_topics(&settings.application_id),
            _state: state,
        };
        // What processors sent while they were started.
        inner.run_to_the_end()?;
        Ok(TopologyTestDriver(Rc::new(RefCell::new(inner))))
    }

    /// A way to pipe records into `topic`, by the serdes of the types.
    pub fn create_input_topic<K: DefaultSerde, V: DefaultSerde>(
        &self,
        topic: impl Into<Arc<str>>,
    ) -> TestInputTopic<K, V> {
        TestInputTopic::new(self.clone(), topic.into(), K::shared(), V::shared())
    }

    /// A way to pipe records into `topic`, by these serdes.
    pub fn create_input_topic_with<K: 'static, V: 'static>(
        &self,
        topic: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TestInputTopic<K, V> {
        TestInputTopic::new(self.clone(), topic.into(), Arc::new(keys), Arc::new(values))
    }

    /// A way to read the records that the topology writes to `topic`, by the serdes of the types. Any topic can be read,
    /// changelogs and repartition topics by their full names.
    pub fn create_output_topic<K: DefaultSerde, V: DefaultSerde>(
        &self,
        topic: impl Into<Arc<str>>,
    ) -> TestOutputTopic<K, V> {
        TestOutputTopic::new(self.clone(), topic.into(), K::shared(), V::shared())
    }

    /// A way to read the records that the topology writes to `topic`, by these serdes.
    pub fn create_output_topic_with<K: 'static, V: 'static>(
        &self,
        topic: impl Into<Arc<str>>,
        keys: impl Serde<Target = K>,
        values: impl Serde<Target = V>,
    ) -> TestOutputTopic<K, V> {
        TestOutputTopic::new(self.clone(), topic.into(), Arc::new(keys), Arc::new(values))
    }

    /// Pipes a record of bytes in. `partition` is by the hash of the key if it is `None`. A record without a timestamp has
    /// the wall-clock time.
    ///
    /// # Errors
    /// The topology does not read the topic, a node failed, or the topology does not become quiet.
    pub fn pipe_raw(&self, topic: &str, partition: Option<i32>, record: RawTestRecord) -> Result<(), TestDriverError> {
        self.inner_mut()?.pipe(topic, partition, record)
    }

    /// Moves the wall clock on, and runs what that makes due.
    ///
    /// # Errors
    /// A punctuation failed, or a node below.
    pub fn advance_wall_clock_time(&self, by: Duration) -> Result<(), TestDriverError> {
        self.inner_mut()?.advance(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }

    /// Commits: flushes the caches and suppress buffers, sends what comes out of them, and commits the stores; then
    /// processes what was written to topics that the topology reads.
    ///
    /// # Errors
    /// A node failed, or a store.
    pub fn commit(&self) -> Result<(), TestDriverError> {
        let mut inner = self.inner_mut()?;
        for at in 0..inner.tasks.len() {
            inner.commit_task(at)?;
        }
        inner.run_to_the_end()
    }

    /// The names of all topics that the topology has written to so far, internal ones included, sorted.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn produced_topic_names(&self) -> Result<Vec<Arc<str>>, TestDriverError> {
        Ok(self.inner()?.logs.produced().cloned().collect())
    }

    /// Takes the next record of a topic, as bytes; `None` if there is no more.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn read_raw(&self, topic: &str) -> Result<Option<RawTestRecord>, TestDriverError> {
        Ok(self.inner_mut()?.logs.unread(topic).and_then(|records| records.pop_front()))
    }

    /// Number of records of a topic that the test has not read yet.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn queue_size(&self, topic: &str) -> Result<usize, TestDriverError> {
        Ok(self.inner_mut()?.logs.unread(topic).map_or(0, |records| records.len()))
    }

    /// The wall-clock time, in milliseconds since the epoch.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn wall_clock_time(&self) -> Result<Timestamp, TestDriverError> {
        Ok(self.inner()?.wall_clock)
    }

    /// The highest timestamp of the records processed; -1 before the first. With several partitions the highest of all.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn stream_time(&self) -> Result<Timestamp, TestDriverError> {
        Ok(self.inner()?.tasks.iter().map(SoloTask::stream_time).max().unwrap_or(-1))
    }

    /// Records dropped so far: null keys, late records, records that a handler skipped.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn dropped_records(&self) -> Result<u64, TestDriverError> {
        Ok(self.inner()?.tasks.iter().map(SoloTask::dropped).sum())
    }

    /// The names of all stores, in the order of registration.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn store_names(&self) -> Result<Vec<Arc<str>>, TestDriverError> {
        Ok(self.inner()?.store_names())
    }

    /// A store by its name and type, of partition 0: for reading, also what is not committed yet.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
    /// # use kafka_streams_testing::TopologyTestDriver;
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, String>("clicks").group_by_key(Grouped::default()).count(Materialized::named("counts"));
    /// let driver = TopologyTestDriver::new(&builder.build()?)?;
    /// driver.create_input_topic("clicks").pipe_input("jane".to_owned(), "home".to_owned())?;
    /// let counts = driver.timestamped_key_value_store::<String, i64>("counts")?;
    /// assert_eq!(counts.get(&"jane".to_owned()).unwrap().unwrap().value, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such store.
    pub fn store<S: StateStore + Any>(&self, name: &str) -> Result<Rc<S>, TestDriverError> {
        self.store_of_partition(name, 0)
    }

    /// [`store`](TopologyTestDriver::store), of this partition.
    ///
    /// # Errors
    /// There is no such store or partition.
    pub fn store_of_partition<S: StateStore + Any>(
        &self,
        name: &str,
        partition: i32,
    ) -> Result<Rc<S>, TestDriverError> {
        let inner = self.inner()?;
        let task = usize::try_from(partition).ok().and_then(|at| inner.tasks.get(at));
        task.and_then(|task| task.store::<S>(name)).ok_or_else(|| inner.no_such_store::<S>(name))
    }

    /// A key-value store without timestamps, such as those that processors use.
    ///
    /// # Errors
    /// As [`store`](TopologyTestDriver::store).
    pub fn key_value_store<K: 'static, V: 'static>(
        &self,
        name: &str,
    ) -> Result<Rc<KeyValueStore<K, V>>, TestDriverError> {
        self.store(name)
    }

    /// The store of a table or an aggregation.
    ///
    /// # Errors
    /// As [`store`](TopologyTestDriver::store).
    pub fn timestamped_key_value_store<K: 'static, V: 'static>(
        &self,
        name: &str,
    ) -> Result<Rc<TimestampedKeyValueStore<K, V>>, TestDriverError> {
        self.store(name)
    }

    /// A window store without timestamps of its values.
    ///
    /// # Errors
    /// As [`store`](TopologyTestDriver::store).
    pub fn window_store<K: 'static, V: 'static>(&self, name: &str) -> Result<Rc<WindowStore<K, V>>, TestDriverError> {
        self.store(name)
    }

    /// The store of a windowed aggregation.
    ///
    /// # Errors
    /// As [`store`](TopologyTestDriver::store).
    pub fn timestamped_window_store<K: 'static, V: 'static>(
        &self,
        name: &str,
    ) -> Result<Rc<TimestampedWindowStore<K, V>>, TestDriverError> {
        self.store(name)
    }

    /// The store of a versioned table.
    ///
    /// # Errors
    /// As [`store`](TopologyTestDriver::store).
    pub fn versioned_key_value_store<K: 'static, V: 'static>(
        &self,
        name: &str,
    ) -> Result<Rc<VersionedKeyValueStore<K, V>>, TestDriverError> {
        self.store(name)
    }

    /// A key-value store that keeps headers.
    ///
    /// # Errors
    /// As [`store`](TopologyTestDriver::store).
    pub fn timestamped_key_value_store_with_headers<K: 'static, V: 'static>(
        &self,
        name: &str,
    ) -> Result<Rc<TimestampedKeyValueStoreWithHeaders<K, V>>, TestDriverError> {
        self.store(name)
    }

    /// Writes a store: `write` gets it and what its methods need. Its changelog records are sent with the next commit.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
    /// # use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};
    /// # use kafka_streams_testing::TopologyTestDriver;
    /// # let builder = StreamsBuilder::new();
    /// # builder.stream::<String, String>("clicks").group_by_key(Grouped::default()).count(Materialized::named("counts"));
    /// # let driver = TopologyTestDriver::new(&builder.build()?)?;
    /// driver.with_store("counts", |counts: &TimestampedKeyValueStore<String, i64>, cx| {
    ///     counts.put(cx, &"jane".to_owned(), Some(&ValueAndTimestamp::new(41, 0)))
    /// })?.unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such store.
    pub fn with_store<S: StateStore + Any, R>(
        &self,
        name: &str,
        write: impl FnOnce(&S, &mut TaskContext) -> R,
    ) -> Result<R, TestDriverError> {
        let mut inner = self.inner_mut()?;
        let wall_clock = inner.wall_clock;
        let no_such_store = inner.no_such_store::<S>(name);
        let Some(task) = inner.tasks.first_mut() else { return Err(no_such_store) };
        let store = task.store::<S>(name).ok_or(no_such_store)?;
        let cx = task.context();
        cx.wall_clock = wall_clock;
        Ok(write(&store, cx))
    }

    /// Ends the processors. What is not committed is dropped, and nothing is written.
    ///
    /// # Errors
    /// The driver is in use.
    pub fn close(&self) -> Result<(), TestDriverError> {
        self.inner_mut()?.tasks.iter_mut().for_each(SoloTask::close);
        Ok(())
    }

    fn inner(&self) -> Result<Ref<'_, Inner>, TestDriverError> {
        self.0.try_borrow().map_err(|_| TestDriverError::InUse)
    }

    fn inner_mut(&self) -> Result<RefMut<'_, Inner>, TestDriverError> {
        self.0.try_borrow_mut().map_err(|_| TestDriverError::InUse)
    }
}

impl Inner {
    fn pipe(&mut self, topic: &str, partition: Option<i32>, record: RawTestRecord) -> Result<(), TestDriverError> {
        let Some(input) = self.input(topic) else {
            let known = self.logs.inputs().map(|topic| topic.to_string()).collect();
            return Err(TestDriverError::UnknownTopic { topic: topic.into(), known });
        };
        let RawTestRecord { key, value, timestamp, headers } = record;
        let partition = match partition {
            Some(partition) => partition,
            None if self.partitions == 1 => 0,
            None => PartitionChoice::by_key(key.as_deref()).resolve(self.partitions).unwrap_or(0),
        };
        if partition < 0 || partition >= self.partitions {
            let (topic, partitions) = (topic.into(), self.partitions);
            return Err(TestDriverError::UnknownPartition { topic, partition, partitions });
        }
        let offset = self.logs.next_offset(input, partition);
        let timestamp = timestamp.unwrap_or(self.wall_clock);
        self.enqueue(partition, input, InputRecord { offset, timestamp, key, value, headers })?;
        self.run_to_the_end()
    }

    /// The number of an input topic; one whose name matches a pattern of the topology gets it now.
    fn input(&mut self, topic: &str) -> Option<usize> {
        if let Some(known) = self.logs.input(topic) {
            return Some(known);
        }
        let mut input = None;
        for task in &mut self.tasks {
            input = task.input(topic);
        }
        self.logs.add_input(&topic.into(), input?);
        input
    }

    /// Lets a record wait at its task; those of global stores wait for nothing, and go to every task.
    fn enqueue(&mut self, partition: i32, input: usize, record: InputRecord) -> Result<(), TestDriverError> {
        let is_global = |topic: &Arc<str>| self.global_topics.contains(topic);
        if !self.global_topics.is_empty() && self.logs.name_of(input).is_some_and(is_global) {
            for task in &mut self.tasks {
                task.put_global(input, &record, self.wall_clock)?;
            }
        } else if let Some(task) = usize::try_from(partition).ok().and_then(|at| self.tasks.get_mut(at)) {
            task.enqueue(input, record, self.wall_clock);
        }
        Ok(())
    }

    fn advance(&mut self, by: i64) -> Result<(), TestDriverError> {
        self.wall_clock = self.wall_clock.saturating_add(by);
        self.logs.wall_clock = self.wall_clock;
        for at in 0..self.tasks.len() {
            if let Some(task) = self.tasks.get_mut(at) {
                task.punctuate_wall_clock(self.wall_clock)?;
            }
            self.after_step(at)?;
        }
        self.run_to_the_end()
    }

    /// Processes record after record until none waits.
    fn run_to_the_end(&mut self) -> Result<(), TestDriverError> {
        let mut processed = 0;
        let mut waiting = true;
        while waiting {
            waiting = false;
            for at in 0..self.tasks.len() {
                while self.process_one(at)? {
                    // What a task writes for itself it has read by the time it is done.
                    waiting = self.tasks.len() > 1;
                    processed += 1;
                    if processed > self.max_records_per_step {
                        return self.never_quiet(processed);
                    }
                }
            }
        }
        Ok(())
    }

    /// Processes the next record of a task, and commits if that is due.
    fn process_one(&mut self, at: usize) -> Result<bool, TestDriverError> {
        let Some(task) = self.tasks.get_mut(at) else { return Ok(false) };
        let processed = task.process(self.wall_clock)?;
        if processed {
            self.after_step(at)?;
        }
        Ok(processed)
    }

    fn after_step(&mut self, at: usize) -> Result<(), TestDriverError> {
        let Some(task) = self.tasks.get_mut(at) else { return Ok(()) };
        if self.commit_mode == CommitMode::EveryRecord || task.commit_requested() {
            return self.commit_task(at);
        }
        task.drain(&mut self.logs)?;
        self.take_in()
    }

    fn commit_task(&mut self, at: usize) -> Result<(), TestDriverError> {
        if let Some(task) = self.tasks.get_mut(at) {
            task.commit(self.wall_clock, &mut self.logs)?;
        }
        self.take_in()
    }

    /// Puts what was written to topics that the topology reads into its queues.
    fn take_in(&mut self) -> Result<(), TestDriverError> {
        while let Some(record) = self.logs.next_to_read() {
            self.enqueue(record.partition, record.input, record.record)?;
        }
        Ok(())
    }

    fn never_quiet(&self, records: usize) -> Result<(), TestDriverError> {
        let waiting = self.tasks.iter().find_map(SoloTask::next_topic).cloned();
        Err(TestDriverError::NeverQuiet { records, topic: waiting.unwrap_or_else(|| "?".into()) })
    }

    fn store_names(&self) -> Vec<Arc<str>> {
        let first = self.tasks.iter().take(1);
        first.flat_map(SoloTask::stores).map(|store| store.spec.name.clone()).collect()
    }

    fn no_such_store<S>(&self, name: &str) -> TestDriverError {
        let known = self.store_names().iter().map(|name| name.to_string()).collect();
        TestDriverError::NoSuchStore { store: name.to_owned(), type_name: std::any::type_name::<S>(), known }
    }
}

impl fmt::Debug for TopologyTestDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopologyTestDriver").finish_non_exhaustive()
    }
}
