//! Small topologies and a small store for the tests of this crate.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, OptionSerde, StringSerde};
use kafka_streams_core::{
    NodeId, Output, OutputRecord, RawRecord, Record, RouteId, SharedSerde, Step, TaskContext, TaskId,
};
use kafka_streams_state::{
    CommitBatch, KeyRange, Order, StateStore, StoreBackend, StoreBuilder, StoreError, StoreKind, StoreParts,
    StorePosition, StoreSpec, Uncommitted,
};
use kafka_streams_topology::{Draft, SinkSpec, SourceSpec, StoreIndex, TaskGraph, TopicName, Topology, Wiring};

pub(crate) type Text = (String, String);

pub(crate) fn strings() -> SharedSerde<String> {
    Arc::new(StringSerde)
}

pub(crate) fn longs() -> SharedSerde<i64> {
    Arc::new(I64Serde)
}

pub(crate) fn nullable_strings() -> SharedSerde<Option<String>> {
    Arc::new(OptionSerde(StringSerde))
}

/// A topic whose name ends like an internal one's is one.
pub(crate) fn topic(name: &str) -> TopicName {
    match name.ends_with("-repartition") || name.ends_with("-topic") {
        true => TopicName::internal(name),
        false => TopicName::external(name),
    }
}

pub(crate) fn source(draft: &mut Draft, name: &str, topics: &[&str]) -> NodeId {
    for topic in topics.iter().map(|name| topic(name)).filter(|topic| topic.internal) {
        draft.add_repartition_topic(&topic.name, None).unwrap();
    }
    let topics = topics.iter().map(|name| topic(name));
    draft.add_source(name, SourceSpec::new(topics, strings(), strings())).unwrap()
}

pub(crate) fn pass(draft: &mut Draft, name: &str, parents: &[NodeId], stores: &[StoreIndex]) -> NodeId {
    let build = |wiring: &mut Wiring<'_>, id: NodeId| {
        let children = wiring.children::<String, String>(id)?;
        let node = move |cx: &mut TaskContext, record: Record<String, String>| children.forward(cx, record);
        wiring.install::<String, String>(id, Rc::new(node));
        Ok(())
    };
    draft.add_processor::<Text, Text>(name, parents, stores, build).unwrap()
}

pub(crate) fn sink(draft: &mut Draft, name: &str, parents: &[NodeId], to: &str) -> NodeId {
    let topic = topic(to);
    if topic.internal {
        draft.add_repartition_topic(to, None).unwrap();
    }
    draft.add_sink(name, parents, SinkSpec::new(topic, strings(), strings())).unwrap()
}

pub(crate) fn store(draft: &mut Draft, name: &str) -> StoreIndex {
    draft.add_store(Counts::named(name)).unwrap().index()
}

/// Declares a [`CountStore`].
#[derive(Clone)]
pub(crate) struct Counts(pub(crate) StoreSpec);

impl Counts {
    pub(crate) fn named(name: &str) -> Self {
        Counts(StoreSpec {
            name: name.into(),
            kind: StoreKind::KeyValue,
            timestamped: true,
            headers: false,
            persistent: false,
            caching: false,
            logging: Some(BTreeMap::new()),
            time_index: false,
        })
    }
}

impl StoreBuilder for Counts {
    type Store = CountStore;

    fn spec(&self) -> StoreSpec {
        self.0.clone()
    }

    fn set_name(&mut self, name: Arc<str>) {
        self.0.name = name;
    }

    fn build(&self, parts: StoreParts) -> Rc<CountStore> {
        Rc::new(CountStore { name: self.0.name.clone(), changelog: parts.changelog, rows: RefCell::default() })
    }
}

/// Counts in memory and logs every count.
pub(crate) struct CountStore {
    name: Arc<str>,
    changelog: Option<RouteId>,
    rows: RefCell<BTreeMap<String, i64>>,
}

impl CountStore {
    pub(crate) fn add(&self, cx: &mut TaskContext, key: &str) -> i64 {
        let mut rows = self.rows.borrow_mut();
        let count = rows.entry(key.to_owned()).or_default();
        *count += 1;
        if let Some(route) = self.changelog {
            let (partition, timestamp) = (kafka_streams_core::PartitionChoice::Explicit(0), Some(cx.record.timestamp));
            let (headers, value) = (cx.record.headers.clone(), count.to_be_bytes());
            let (key, value) = (Some(key.as_bytes()), Some(&value[..]));
            cx.output.send(OutputRecord { route, partition, timestamp, headers: &headers, key, value });
        }
        *count
    }
}

impl StateStore for CountStore {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn flush(&self, _cx: &mut TaskContext) -> Step {
        Ok(())
    }

    fn commit(&self, _position: &StorePosition) -> Result<(), StoreError> {
        Ok(())
    }

    fn drop_uncommitted(&self) {}

    fn uncommitted(&self) -> Uncommitted {
        Uncommitted::default()
    }
}

#[derive(Debug)]
struct NoBackend;

impl StoreBackend for NoBackend {
    fn get(&self, _key: &[u8], _read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        Ok(())
    }

    fn scan(
        &self,
        _range: KeyRange<'_>,
        _order: Order,
        _visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn position(&self) -> Option<StorePosition> {
        None
    }

    fn commit(&self, _batch: CommitBatch<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn wipe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The first sub-topology's task, with four partitions for every topic.
pub(crate) fn wire(topology: &Topology) -> Step<TaskGraph> {
    topology.wire(0, "app", &|_| Some(4), &mut |_, changelog| {
        Ok(StoreParts::new(Arc::new(NoBackend), changelog, Default::default()))
    })
}

pub(crate) fn context() -> TaskContext {
    TaskContext::new(TaskId::new(0, 0), "app".into(), Handlers::default())
}

/// Sends a record into the source of `topic`, as the engine does.
pub(crate) fn feed(
    graph: &TaskGraph,
    cx: &mut TaskContext,
    topic: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Step {
    let source = graph.sources.iter().find(|source| *source.topic == *topic).unwrap();
    cx.record.topic = Some(source.topic.clone());
    cx.record.timestamp = 7;
    (source.ingest)(cx, &RawRecord { offset: 0, timestamp: 7, key, value, headers: None })
}

/// The route's topic, key and value of everything in the output, as text.
pub(crate) fn drain(graph: &TaskGraph, output: &mut Output) -> Vec<String> {
    let mut sent = Vec::new();
    while let Some(record) = output.first() {
        let text = |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
        let topic = &graph.routes[record.route.0 as usize].topic;
        let value = match record.value {
            Some(bytes) if bytes.len() == 8 => i64::from_be_bytes(bytes.try_into().unwrap()).to_string(),
            other => text(other),
        };
        sent.push(format!("{topic}: {} = {value} @{}", text(record.key), record.timestamp.unwrap_or(-1)));
        output.take();
    }
    sent
}
