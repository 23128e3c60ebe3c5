//! A driver for topologies: one task of all sub-topologies, one partition for each topic, no broker. It does with a
//! record what `TopologyTestDriver` of the JVM does: process, punctuate, flush, and take what was written in again.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::{
    Extracted, Headers, NodeId, PartitionChoice, Punctuation, PunctuationType, RawRecord, Step, TaskContext, TaskId,
    TimestampExtractor, TopicId,
};
use kafka_streams_state::{InMemoryBackend, StoreParts, StorePosition, StoreSpec, ThreadCache};
use kafka_streams_topology::{TaskGraph, Topology};

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp: i64,
    pub headers: Headers,
}

struct Part {
    graph: TaskGraph,
    cx: TaskContext,
    global: bool,
}

pub struct Driver {
    parts: Vec<Part>,
    wall_clock: i64,
    stream_time: i64,
    queue: VecDeque<(String, Written)>,
    offsets: BTreeMap<String, i64>,
    pub topics: BTreeMap<String, Vec<Written>>,
    pub partitions: BTreeMap<String, Vec<PartitionChoice>>,
}

pub const APPLICATION: &str = "app";

impl Driver {
    pub fn new(topology: &Topology) -> Self {
        Driver::with_cache(topology, 10 * 1024 * 1024)
    }

    pub fn with_cache(topology: &Topology, cache_bytes: usize) -> Self {
        Driver::with_handlers(topology, cache_bytes, Handlers::default())
    }

    pub fn with_handlers(topology: &Topology, cache_bytes: usize, handlers: Handlers) -> Self {
        let cache = ThreadCache::new(cache_bytes);
        let globals: Vec<Arc<str>> = topology.global_stores().map(|(_, spec)| spec.name.clone()).collect();
        let mut backends: BTreeMap<Arc<str>, Arc<InMemoryBackend>> = BTreeMap::new();
        let mut wire = |id: i32| {
            let global = topology.subtopologies()[id as usize].global;
            let open = &mut |spec: &StoreSpec, changelog| {
                let backend = backends.entry(spec.name.clone()).or_default().clone();
                let shared = !global && globals.contains(&spec.name);
                let cache = if shared { cache.for_shared_stores() } else { cache.clone() };
                Ok(StoreParts::new(backend, changelog, cache))
            };
            let graph = topology.wire(id, APPLICATION, &|_| Some(1), open).unwrap();
            let mut cx = TaskContext::new(TaskId::new(id, 0), APPLICATION.into(), handlers.clone());
            cx.wall_clock = 0;
            // As `TopologyTestDriver` of the JVM does, so that results come when time allows them.
            let often = kafka_streams_core::EmitIntervals { outer_join_ms: 0, window_close_ms: 0, lose_expired: false };
            cx.emit_intervals = often;
            for (_, node) in &graph.lifecycles {
                node.init(&mut cx).unwrap();
            }
            Part { graph, cx, global }
        };
        let parts = (0..topology.subtopologies().len() as i32).map(&mut wire).collect();
        Driver {
            parts,
            wall_clock: 0,
            stream_time: -1,
            queue: VecDeque::new(),
            offsets: BTreeMap::new(),
            topics: BTreeMap::new(),
            partitions: BTreeMap::new(),
        }
    }

    /// Lets aggregations that emit on close look for closed windows once in so many milliseconds, and not at every record.
    pub fn with_close_interval(mut self, window_close_ms: i64) -> Self {
        for part in &mut self.parts {
            part.cx.emit_intervals.window_close_ms = window_close_ms;
        }
        self
    }

    /// Pipes a record with text or without, and follows it to the end.
    pub fn pipe(&mut self, topic: &str, key: Option<&str>, value: Option<&str>, timestamp: i64) {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let (key, value) = (bytes(key), bytes(value));
        self.pipe_raw(topic, Written { key, value, timestamp, headers: Headers::new() }).unwrap();
    }

    pub fn pipe_raw(&mut self, topic: &str, record: Written) -> Step {
        self.process(topic, &record)?;
        self.drain()
    }

    /// How often waiting results of outer joins are looked for, in milliseconds of the wall clock.
    pub fn set_emit_interval(&mut self, outer_join_ms: i64) {
        for part in &mut self.parts {
            part.cx.emit_intervals.outer_join_ms = outer_join_ms;
        }
    }

    pub fn advance_wall_clock(&mut self, milliseconds: i64) -> Step {
        self.wall_clock += milliseconds;
        self.punctuate(PunctuationType::WallClockTime, self.wall_clock)?;
        self.flush()?;
        self.drain()
    }

    /// What was written to a topic, as key, value and timestamp in readable form: text, or numbers for eight bytes that
    /// are no text.
    pub fn read(&mut self, topic: &str) -> Vec<String> {
        let records = self.topics.remove(topic).unwrap_or_default();
        records
            .iter()
            .map(|r| format!("{}={}@{}", text(r.key.as_deref()), text(r.value.as_deref()), r.timestamp))
            .collect()
    }

    /// Records that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.parts.iter().map(|part| part.cx.counters.dropped).sum()
    }

    pub fn changelog_topics(&self) -> Vec<String> {
        let stores = self.parts.iter().flat_map(|part| &part.graph.stores);
        stores.filter_map(|store| store.changelog.as_ref().map(|topic| topic.to_string())).collect()
    }

    fn drain(&mut self) -> Step {
        while let Some(at) = (0..self.queue.len()).min_by_key(|at| {
            // The first record of each topic; of those the one with the lowest timestamp.
            let (topic, record) = &self.queue[*at];
            let is_head = self.queue.iter().take(*at).all(|(earlier, _)| earlier != topic);
            (!is_head, record.timestamp, *at)
        }) {
            let (topic, record) = self.queue.remove(at).unwrap();
            self.process(&topic, &record)?;
        }
        Ok(())
    }

    fn process(&mut self, topic: &str, record: &Written) -> Step {
        let offset = self.offsets.entry(topic.to_owned()).or_default();
        let raw = RawRecord {
            offset: *offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: Some(&record.headers),
        };
        *offset += 1;
        let found = self.parts.iter_mut().find_map(|part| {
            let source = part.graph.sources[part.graph.source_of(topic)?].clone();
            Some((part, source))
        });
        let (part, source) = found.unwrap_or_else(|| panic!("nobody reads {topic}"));
        let extractor = source.timestamp_extractor.unwrap_or(TimestampExtractor::FailOnInvalidTimestamp);
        let extracted = match &source.extract {
            Some(extract) => extract(topic, &raw, -1),
            None => extractor.extract(raw.timestamp, -1, self.wall_clock),
        };
        let Extracted::At(timestamp) = extracted else { return Ok(()) };
        self.stream_time = self.stream_time.max(timestamp);
        part.cx.record.topic = Some(topic.into());
        part.cx.record.partition = 0;
        part.cx.record.offset = raw.offset;
        part.cx.record.timestamp = timestamp;
        part.cx.record.headers = record.headers.clone();
        part.cx.stream_time = self.stream_time;
        part.cx.wall_clock = self.wall_clock;
        (source.ingest)(&mut part.cx, &raw)?;
        if part.global {
            let (topic_id, extensions) = (TopicId::nil(), Vec::new());
            let position =
                StorePosition { topic_id, partition: -1, offset: -1, leader_epoch: -1, committed_at: 0, extensions };
            part.graph.stores.iter().for_each(|store| store.store.commit(&position).unwrap());
        }
        self.punctuate(PunctuationType::StreamTime, self.stream_time)?;
        self.flush()
    }

    fn punctuate(&mut self, kind: PunctuationType, now: i64) -> Step {
        for part in &mut self.parts {
            part.cx.wall_clock = self.wall_clock;
            part.cx.stream_time = self.stream_time;
            while let Some((node, punctuation)) = part.cx.timers.due(kind, now) {
                part.cx.record = kafka_streams_core::RecordContext::none(now);
                run(&part.graph, &mut part.cx, node, punctuation)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Step {
        for part in &mut self.parts {
            for store in &part.graph.stores {
                store.store.flush(&mut part.cx)?;
            }
        }
        self.collect();
        Ok(())
    }

    fn collect(&mut self) {
        let mut sent = Vec::new();
        for part in &mut self.parts {
            while let Some(record) = part.cx.output.first() {
                let topic = match part.cx.output.dynamic_topic(record.route) {
                    Some(topic) => topic.to_string(),
                    None => part.graph.routes[record.route.0 as usize].topic.to_string(),
                };
                let written = Written {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp.unwrap_or(-1),
                    headers: record.headers.clone(),
                };
                self.partitions.entry(topic.clone()).or_default().push(record.partition);
                part.cx.output.take();
                sent.push((topic, written));
            }
        }
        for (topic, written) in sent {
            self.topics.entry(topic.clone()).or_default().push(written.clone());
            let sources = self.parts.iter().flat_map(|part| &part.graph.sources);
            if sources.into_iter().any(|source| source.pattern.is_none() && *source.topic == *topic) {
                self.queue.push_back((topic, written));
            }
        }
    }
}

fn run(graph: &TaskGraph, cx: &mut TaskContext, node: NodeId, punctuation: Punctuation) -> Step {
    match graph.lifecycles.iter().find(|(id, _)| *id == node) {
        Some((_, node)) => node.punctuate(cx, punctuation),
        None => Ok(()),
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => match (bytes.len(), bytes.split_last_chunk::<8>()) {
            (8, Some((_, number))) => i64::from_be_bytes(*number).to_string(),
            (_, Some((key, start))) => format!("{}@{}", text(Some(key)), i64::from_be_bytes(*start)),
            _ => format!("{bytes:?}"),
        },
    }
}
