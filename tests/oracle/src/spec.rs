//! The oracle's language as types; see `SPEC.md`, whose sections the doc comments name. Unknown fields are refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::value::ValueType;

/// A case (section 1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What it is about.
    #[serde(default)]
    pub doc: Option<String>,
    /// Configuration by Kafka's names.
    #[serde(default)]
    pub config: BTreeMap<String, Json>,
    /// Wall clock at the start, in milliseconds.
    #[serde(default)]
    pub wall_clock: i64,
    /// Operations of the DSL (section 6).
    #[serde(default)]
    pub topology: Vec<Op>,
    /// Instead of it, steps of the Processor API (section 10).
    #[serde(default)]
    pub processors: Option<Vec<PapiStep>>,
    /// The steps of the input (section 3).
    #[serde(default)]
    pub input: Vec<Step>,
}

/// A step of the input (section 3).
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Moves the wall clock on.
    Advance(Advance),
    /// Pipes a record: topic, key, value, timestamp, headers.
    RecordWithHeaders(String, Json, Json, i64, Vec<(String, Json)>),
    /// Pipes a record: topic, key, value, timestamp.
    Record(String, Json, Json, i64),
}

/// Moves the wall clock on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Advance {
    /// By so many milliseconds.
    pub advance_wall_clock: i64,
}

/// A function of one of the menus (section 8): its name, then its arguments; or only its name.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Function {
    /// Without arguments.
    Name(String),
    /// The name and the arguments.
    Call(Vec<Json>),
}

/// What most operations have.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md, section 6, under the same names")]
pub enum Op {
    Stream {
        id: String,
        topic: Option<String>,
        topics: Option<Vec<String>>,
        pattern: Option<String>,
        #[serde(default)]
        value: ValueType,
        timestamp_extractor: Option<String>,
        name: Option<String>,
    },
    Table(TableSource),
    GlobalTable(TableSource),
    AddStateStore {
        store: Store,
    },
    AddGlobalStore {
        topic: String,
        #[serde(default)]
        value: ValueType,
        timestamp_extractor: Option<String>,
        store: Store,
        name: Option<String>,
    },
    Filter(FnOp),
    FilterNot(FnOp),
    MapValues(FnOp),
    Map {
        r#in: String,
        id: String,
        key: Function,
        value: Function,
        name: Option<String>,
    },
    FlatMap(FnOp),
    FlatMapValues(FnOp),
    SelectKey(FnOp),
    Peek {
        r#in: String,
        id: String,
        name: Option<String>,
    },
    Foreach {
        r#in: String,
        id: Option<String>,
        name: Option<String>,
    },
    Merge {
        r#in: String,
        with: String,
        id: String,
        name: Option<String>,
    },
    Split {
        r#in: String,
        id: Option<String>,
        branches: Vec<Branch>,
        default: Option<DefaultBranch>,
        name: Option<String>,
    },
    Repartition {
        r#in: String,
        id: String,
        partitions: Option<i32>,
        name: Option<String>,
    },
    ToTable {
        r#in: String,
        id: String,
        materialized: Option<Materialized>,
        name: Option<String>,
    },
    ToStream {
        r#in: String,
        id: String,
        key: Option<Function>,
        name: Option<String>,
    },
    GroupByKey {
        r#in: String,
        id: String,
        name: Option<String>,
    },
    GroupBy {
        r#in: String,
        id: String,
        key: Function,
        value: Option<Function>,
        name: Option<String>,
    },
    WindowedBy {
        r#in: String,
        id: String,
        windows: Windows,
        emit: Option<String>,
    },
    Count(Aggregate),
    Reduce(Aggregate),
    Aggregate(Aggregate),
    Cogroup {
        id: String,
        parts: Vec<CogroupPart>,
    },
    Suppress(Suppress),
    JoinStream(JoinStream),
    JoinTable {
        r#in: String,
        with: String,
        id: String,
        kind: JoinKind,
        joiner: Function,
        grace: Option<i64>,
        name: Option<String>,
    },
    JoinGlobal {
        r#in: String,
        with: String,
        id: String,
        kind: JoinKind,
        key: Function,
        joiner: Function,
        name: Option<String>,
    },
    JoinTables(JoinTables),
    FkJoin(FkJoin),
    Process(Process),
    ProcessValues(Process),
    To {
        r#in: String,
        id: Option<String>,
        topic: Option<String>,
        topic_fn: Option<Function>,
        name: Option<String>,
    },
}

/// `table` and `globalTable`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct TableSource {
    pub id: String,
    pub topic: String,
    #[serde(default)]
    pub value: ValueType,
    pub timestamp_extractor: Option<String>,
    pub materialized: Option<Materialized>,
    pub name: Option<String>,
}

/// An operation with one function.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct FnOp {
    pub r#in: String,
    pub id: String,
    pub r#fn: Function,
    pub materialized: Option<Materialized>,
    pub name: Option<String>,
}

/// A branch of `split`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct Branch {
    pub id: String,
    pub r#fn: Function,
    pub name: Option<String>,
}

/// The default branch of `split`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct DefaultBranch {
    pub id: String,
    pub name: Option<String>,
}

/// Windows of `windowedBy`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub enum Windows {
    Tumbling { size: u64, grace: Option<u64> },
    Hopping { size: u64, advance: u64, grace: Option<u64> },
    Sliding { difference: u64, grace: Option<u64> },
    Session { gap: u64, grace: Option<u64> },
}

/// `count`, `reduce` and `aggregate`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct Aggregate {
    pub r#in: String,
    pub id: String,
    /// Absent and null differ, so it is looked at as it is.
    #[serde(default, deserialize_with = "present")]
    pub init: Option<Json>,
    pub r#fn: Option<Function>,
    pub subtract: Option<Function>,
    pub merger: Option<Function>,
    pub materialized: Option<Materialized>,
    pub name: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// A part of `cogroup`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct CogroupPart {
    pub r#in: String,
    pub r#fn: Function,
}

/// `suppress`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct Suppress {
    pub r#in: String,
    pub id: String,
    pub until: String,
    pub ms: Option<u64>,
    #[serde(default)]
    pub buffer: Buffer,
    pub name: Option<String>,
}

/// The buffer of `suppress`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct Buffer {
    pub max_records: Option<u64>,
    pub max_bytes: Option<u64>,
    pub full: Option<String>,
    pub logging: Option<Logging>,
}

/// The kind of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "they are what they say")]
pub enum JoinKind {
    Inner,
    Left,
    Outer,
}

/// `joinStream`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct JoinStream {
    pub r#in: String,
    pub with: String,
    pub id: String,
    pub kind: JoinKind,
    pub joiner: Function,
    pub windows: JoinWindows,
    pub store_name: Option<String>,
    pub logging: Option<Logging>,
    pub store_type: Option<StoreType>,
    pub this_store: Option<JoinStore>,
    pub other_store: Option<JoinStore>,
    pub name: Option<String>,
}

/// The windows of `joinStream`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct JoinWindows {
    pub before: i64,
    pub after: i64,
    pub grace: Option<i64>,
}

/// A store supplier of `joinStream`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct JoinStore {
    pub name: String,
    pub retention: u64,
    pub window_size: u64,
    #[serde(default = "yes")]
    pub retain_duplicates: bool,
    #[serde(default = "yes")]
    pub persistent: bool,
}

/// `joinTables`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct JoinTables {
    pub r#in: String,
    pub with: String,
    pub id: String,
    pub kind: JoinKind,
    pub joiner: Function,
    pub materialized: Option<Materialized>,
    pub name: Option<String>,
}

/// `fkJoin`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct FkJoin {
    pub r#in: String,
    pub with: String,
    pub id: String,
    pub kind: JoinKind,
    pub key: Function,
    pub joiner: Function,
    pub materialized: Option<Materialized>,
    pub name: Option<String>,
}

/// `process` and `processValues`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md under the same names")]
pub struct Process {
    pub r#in: String,
    pub id: String,
    pub processor: Function,
    #[serde(default)]
    pub stores: Vec<String>,
    #[serde(default)]
    pub own_stores: Vec<Store>,
    pub name: Option<String>,
}

/// How a table is stored (section 7).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md, section 7, under the same names")]
pub struct Materialized {
    pub store: Option<String>,
    pub supplier: Option<Supplier>,
    pub size: Option<u64>,
    pub history: Option<u64>,
    pub supplier_retention: Option<u64>,
    pub supplier_window_size: Option<u64>,
    pub store_type: Option<StoreType>,
    pub caching: Option<bool>,
    pub logging: Option<Logging>,
    pub retention: Option<u64>,
}

/// A store supplier (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "they are described in SPEC.md, section 7, under the same names")]
pub enum Supplier {
    InMemory,
    Persistent,
    PersistentTimestamped,
    Lru,
    Versioned,
}

/// `storeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "they are what they say")]
pub enum StoreType {
    #[serde(rename = "inMemory")]
    InMemory,
    #[serde(rename = "rocksDB")]
    RocksDb,
}

/// `logging`: on or off, or on with settings of the topic.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Logging {
    /// On or off.
    Switch(bool),
    /// On, with these settings.
    Settings(BTreeMap<String, Json>),
}

impl Logging {
    /// The settings of the topic; `None` without logging.
    pub fn settings(&self) -> Option<BTreeMap<String, String>> {
        match self {
            Logging::Switch(on) => on.then(BTreeMap::new),
            Logging::Settings(settings) => Some(settings.iter().map(|(k, v)| (k.clone(), text(v))).collect()),
        }
    }
}

/// A store of processors (section 9).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md, section 9, under the same names")]
pub struct Store {
    pub name: String,
    #[serde(default)]
    pub kind: StoreKind,
    #[serde(default)]
    pub value: ValueType,
    pub history: Option<u64>,
    pub retention: Option<u64>,
    pub window_size: Option<u64>,
    #[serde(default)]
    pub retain_duplicates: bool,
    #[serde(default = "yes")]
    pub persistent: bool,
    pub caching: Option<bool>,
    pub logging: Option<Logging>,
}

/// The kind of a store of processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "they are what they say")]
pub enum StoreKind {
    #[default]
    KeyValue,
    TimestampedKeyValue,
    Versioned,
    Window,
}

/// A step of the Processor API (section 10).
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "add", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in SPEC.md, section 10, under the same names")]
pub enum PapiStep {
    Source {
        name: String,
        topics: Option<Vec<String>>,
        pattern: Option<String>,
        #[serde(default)]
        value: ValueType,
        timestamp_extractor: Option<String>,
    },
    Processor {
        name: String,
        processor: Function,
        parents: Vec<String>,
        #[serde(default)]
        value: ValueType,
        #[serde(default)]
        own_stores: Vec<Store>,
    },
    StateStore {
        store: Store,
        #[serde(default)]
        processors: Vec<String>,
    },
    Connect {
        processor: String,
        stores: Vec<String>,
    },
    GlobalStore {
        store: Store,
        source: String,
        topic: String,
        name: String,
        #[serde(default)]
        value: ValueType,
    },
    Sink {
        name: String,
        topic: Option<String>,
        topic_fn: Option<Function>,
        parents: Vec<String>,
        #[serde(default)]
        value: ValueType,
    },
}

impl Function {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Function::Name(name) => name,
            Function::Call(call) => call.first().and_then(Json::as_str).unwrap_or_default(),
        }
    }

    /// The argument at `index`, from 1.
    pub fn argument(&self, index: usize) -> Option<&Json> {
        match self {
            Function::Name(_) => None,
            Function::Call(call) => call.get(index),
        }
    }
}

/// A scalar as text.
pub fn text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn yes() -> bool {
    true
}
