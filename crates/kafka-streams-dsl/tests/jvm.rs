//! What records become is what they become on the JVM. `jvm/cases.jsonl` holds topologies in a small language, input
//! records, and what Kafka Streams 4.3 made of them in its `TopologyTestDriver`: the text of `describe()`, and every topic
//! that was written, changelogs and repartition topics included, in order, with timestamps and headers.
//!
//! Keys are strings, values strings or longs, all of them nullable. Here a stream is a stream of `Option<Value>`, and a
//! table one of `Value`.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_streams_core::serde::{OptionSerde, StringSerde};
use kafka_streams_core::{Header, Headers, Serde, SerdeError};
use kafka_streams_dsl::{
    BuildError, Consumed, Grouped, Joined, KGroupedStream, KGroupedTable, KStream, KTable, Materialized, Naming,
    Optimization, Produced, Repartitioned, StreamsBuilder, TimeWindowedKStream, TimeWindowedSerde, TimeWindows, Windowed,
};
use kafka_streams_topology::Topology;
use serde_json::Value as Json;
use support::{Driver, Written};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Text,
    Long,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Long(i64),
}

/// Reads and writes values of one type.
#[derive(Clone, Copy)]
struct ValueSerde(Type);

impl Serde for ValueSerde {
    type Target = Value;

    fn serialize(&self, _topic: &str, value: &Value, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        match value {
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Long(number) => out.extend_from_slice(&number.to_be_bytes()),
        }
        Ok(())
    }

    fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<Value, SerdeError> {
        match self.0 {
            Type::Text => Ok(Value::Text(String::from_utf8(bytes.to_vec()).map_err(SerdeError::invalid::<Value>)?)),
            Type::Long => bytes.try_into().map(|b| Value::Long(i64::from_be_bytes(b))).map_err(SerdeError::invalid::<Value>),
        }
    }
}

type Nullable = Option<Value>;
type Key = Option<String>;
type WindowedKey = Windowed<Option<String>>;

const KEYS: OptionSerde<StringSerde> = OptionSerde(StringSerde);

fn nullable(of: Type) -> OptionSerde<ValueSerde> {
    OptionSerde(ValueSerde(of))
}

/// A key as the functions of the menus see it.
trait AnyKey: Clone + 'static {
    fn plain(&self) -> Option<String>;
    fn text(&self) -> Option<String>;
}

impl AnyKey for Key {
    fn plain(&self) -> Option<String> {
        self.clone()
    }

    fn text(&self) -> Option<String> {
        self.clone()
    }
}

impl AnyKey for WindowedKey {
    fn plain(&self) -> Option<String> {
        self.key.clone()
    }

    fn text(&self) -> Option<String> {
        Some(format!("{}@{}/{}", text_of(self.key.as_deref()), self.window.start, self.window.end))
    }
}

fn text_of(text: Option<&str>) -> String {
    text.unwrap_or("null").to_owned()
}

fn str_of(value: Option<&Value>) -> String {
    match value {
        None => "null".to_owned(),
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Long(number)) => number.to_string(),
    }
}

fn long_of(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Long(number)) => *number,
        _ => 0,
    }
}

/// A function of a menu with its arguments.
#[derive(Clone)]
struct Function {
    name: String,
    arguments: Vec<Json>,
}

impl Function {
    fn of(json: &Json) -> Self {
        let list = json.as_array().unwrap();
        Function { name: list[0].as_str().unwrap().to_owned(), arguments: list[1..].to_vec() }
    }

    fn text(&self, at: usize) -> &str {
        self.arguments[at].as_str().unwrap()
    }

    fn number(&self, at: usize) -> i64 {
        self.arguments[at].as_i64().unwrap()
    }

    fn test<K: AnyKey>(&self, key: &K, value: Option<&Value>) -> bool {
        match (self.name.as_str(), value) {
            ("always", _) => true,
            ("never", _) => false,
            ("contains", Some(Value::Text(text))) => text.contains(self.text(0)),
            ("lengthGt", Some(Value::Text(text))) => text.len() as i64 > self.number(0),
            ("longGt", Some(Value::Long(number))) => *number > self.number(0),
            ("keyStartsWith", _) => key.plain().is_some_and(|key| key.starts_with(self.text(0))),
            ("valueNotNull", value) => value.is_some(),
            ("not", value) => !Function::of(&self.arguments[0]).test(key, value),
            ("contains" | "lengthGt" | "longGt", None) => false,
            other => panic!("{other:?}"),
        }
    }

    fn map_type(&self, of: Type) -> Type {
        match self.name.as_str() {
            "length" | "constLong" | "wordLengths" => Type::Long,
            "toString" | "withKey" | "const" => Type::Text,
            _ => of,
        }
    }

    fn map<K: AnyKey>(&self, key: &K, value: Nullable) -> Nullable {
        let text = |text: String| Some(Value::Text(text));
        match (self.name.as_str(), value) {
            ("identity", value) => value,
            ("withKey", value) => text(format!("{}:{}", text_of(key.text().as_deref()), str_of(value.as_ref()))),
            ("orElse", value) => value.or_else(|| text(self.text(0).to_owned())),
            (_, None) => None,
            ("upper", Some(Value::Text(v))) => text(v.to_ascii_uppercase()),
            ("lower", Some(Value::Text(v))) => text(v.to_ascii_lowercase()),
            ("append", Some(Value::Text(v))) => text(v + self.text(0)),
            ("length", Some(Value::Text(v))) => Some(Value::Long(v.len() as i64)),
            ("toString", Some(v)) => text(str_of(Some(&v))),
            ("add", Some(Value::Long(v))) => Some(Value::Long(v.wrapping_add(self.number(0)))),
            ("mul", Some(Value::Long(v))) => Some(Value::Long(v.wrapping_mul(self.number(0)))),
            ("nullIfContains", Some(Value::Text(v))) => (!v.contains(self.text(0))).then_some(Value::Text(v)),
            other => panic!("{other:?}"),
        }
    }

    fn key<K: AnyKey>(&self, key: &K, value: Option<&Value>) -> Option<String> {
        match self.name.as_str() {
            "key" => key.plain(),
            "windowKey" => key.text(),
            "constant" => Some(self.text(0).to_owned()),
            "keyAppend" => key.plain().map(|key| key + self.text(0)),
            "value" => value.map(|value| str_of(Some(value))),
            "firstChar" => str_of(Some(value?)).get(..1).map(str::to_owned),
            "valuePart" => {
                let at = usize::try_from(self.number(1)).unwrap();
                str_of(Some(value?)).split(self.text(0)).nth(at).map(str::to_owned)
            }
            "mod" => Some(format!("m{}", long_of(Some(value?)).rem_euclid(self.number(0)))),
            "lengthMod" => Some(format!("l{}", str_of(Some(value?)).len() as i64 % self.number(0))),
            other => panic!("{other}"),
        }
    }

    fn flat_map_values(&self, value: Nullable) -> Vec<Nullable> {
        match (self.name.as_str(), value) {
            ("repeat", value) => vec![value; usize::try_from(self.number(0)).unwrap()],
            ("splitWords", None) => vec![],
            ("splitWords", Some(Value::Text(text))) => words(&text).map(|word| Some(Value::Text(word))).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn flat_map<K: AnyKey>(&self, key: &K, value: Nullable) -> Vec<(Key, Nullable)> {
        match (self.name.as_str(), value) {
            ("twoKeys", value) => vec![(key.plain(), value.clone()), (key.plain().map(|key| key + "2"), value)],
            ("wordLengths", None) => vec![],
            ("wordLengths", Some(Value::Text(text))) => {
                words(&text).map(|word| (Some(word.clone()), Some(Value::Long(word.len() as i64)))).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn reduce(&self, so_far: Option<&Value>, value: Option<&Value>) -> Nullable {
        match self.name.as_str() {
            "first" => so_far.cloned(),
            "last" => value.cloned(),
            "concat" => Some(Value::Text(str_of(so_far) + self.text(0) + &str_of(value))),
            "sum" => Some(Value::Long(long_of(so_far).wrapping_add(long_of(value)))),
            "minus" => Some(Value::Long(long_of(so_far).wrapping_sub(long_of(value)))),
            "max" => match (so_far, value) {
                (Some(Value::Long(a)), Some(Value::Long(b))) => Some(Value::Long(*a.max(b))),
                (Some(Value::Text(a)), Some(Value::Text(b))) => Some(Value::Text(a.max(b).clone())),
                (a, b) => a.or(b).cloned(),
            },
            other => panic!("{other}"),
        }
    }

    fn aggregate_type(&self) -> Type {
        if self.name.starts_with("trace") { Type::Text } else { Type::Long }
    }

    fn aggregate<K: AnyKey>(&self, key: &K, value: Option<&Value>, so_far: Option<&Value>) -> Nullable {
        let long = |n: i64| Some(Value::Long(long_of(so_far).wrapping_add(n)));
        match self.name.as_str() {
            "plus1" => long(1),
            "sum" => long(long_of(value)),
            "minus" => long(long_of(value).wrapping_neg()),
            "max" => Some(Value::Long(long_of(so_far).max(long_of(value)))),
            "sumLength" => long(str_of(value).len() as i64),
            "minusLength" => long(-(str_of(value).len() as i64)),
            "traceNullOn" if str_of(value) == self.text(1) => None,
            "trace" | "traceNullOn" => Some(Value::Text(str_of(so_far) + self.text(0) + &str_of(value))),
            "traceKey" => {
                let key = text_of(key.text().as_deref());
                Some(Value::Text(format!("{}{}{key}={}", str_of(so_far), self.text(0), str_of(value))))
            }
            other => panic!("{other}"),
        }
    }

    fn join<K: AnyKey>(&self, key: &K, left: Option<&Value>, right: Option<&Value>) -> Nullable {
        match self.name.as_str() {
            "pipe" => Some(Value::Text(format!("{}|{}", str_of(left), str_of(right)))),
            "pipeKey" => {
                Some(Value::Text(format!("{}:{}|{}", text_of(key.text().as_deref()), str_of(left), str_of(right))))
            }
            "left" => left.cloned(),
            "right" => right.cloned(),
            other => panic!("{other}"),
        }
    }

    fn join_type(&self, left: Type, right: Type) -> Type {
        match self.name.as_str() {
            "left" => left,
            "right" => right,
            _ => Type::Text,
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned)
}

#[derive(Clone)]
enum Node {
    Stream(KStream<Key, Nullable>, Type),
    WindowedStream(KStream<WindowedKey, Nullable>, Type),
    Table(KTable<Key, Value>, Type),
    WindowedTable(KTable<WindowedKey, Value>, Type),
    Grouped(KGroupedStream<Key, Nullable>, Type),
    GroupedTable(KGroupedTable<Key, Nullable>, Type),
    TimeWindowed(TimeWindowedKStream<Key, Nullable>, Type),
}

/// Calls the method, or with a name its `_named` twin.
macro_rules! call {
    ($name:expr, $object:expr, $method:ident | $named:ident, $($argument:expr),*) => {
        match $name {
            Some(name) => $object.$named(name, $($argument),*),
            None => $object.$method($($argument),*),
        }
    };
}

/// Operators of streams that do not depend on the key's type.
fn stream_op<K: AnyKey>(op: &Json, stream: &KStream<K, Nullable>, of: Type) -> Result<(KStream<K, Nullable>, Type), Node> {
    let name = op["name"].as_str();
    let f = || Function::of(&op["fn"]);
    Ok(match op["op"].as_str().unwrap() {
        "filter" => {
            let f = f();
            (call!(name, stream, filter | filter_named, move |k: &K, v: &Nullable| f.test(k, v.as_ref())), of)
        }
        "filterNot" => {
            let f = f();
            (call!(name, stream, filter_not | filter_not_named, move |k: &K, v: &Nullable| f.test(k, v.as_ref())), of)
        }
        "mapValues" => {
            let (f, new) = (f(), f().map_type(of));
            let f = move |k: &K, v: Nullable| f.map(k, v);
            (call!(name, stream, map_values_with_key | map_values_with_key_named, f), new)
        }
        "flatMapValues" => {
            let f = f();
            (call!(name, stream, flat_map_values | flat_map_values_named, move |v: Nullable| f.flat_map_values(v)), of)
        }
        "peek" => (call!(name, stream, peek | peek_named, |_: &K, _: &Nullable| ()), of),
        "map" => {
            let (key, value) = (Function::of(&op["key"]), Function::of(&op["value"]));
            let new = value.map_type(of);
            let f = move |k: K, v: Nullable| (key.key(&k, v.as_ref()), value.map(&k, v));
            return Err(Node::Stream(call!(name, stream, map | map_named, f), new));
        }
        "flatMap" => {
            let (f, new) = (f(), f().map_type(of));
            let f = move |k: K, v: Nullable| f.flat_map(&k, v);
            return Err(Node::Stream(call!(name, stream, flat_map | flat_map_named, f), new));
        }
        "selectKey" => {
            let f = f();
            let f = move |k: &K, v: &Nullable| f.key(k, v.as_ref());
            return Err(Node::Stream(call!(name, stream, select_key | select_key_named, f), of));
        }
        "groupBy" => {
            let key = Function::of(&op["key"]);
            let f = move |k: &K, v: &Nullable| key.key(k, v.as_ref());
            return Err(Node::Grouped(stream.group_by(f, grouped(op, of)), of));
        }
        other => panic!("{other}"),
    })
}

/// Operators of tables that do not depend on the key's type.
fn table_op<K: AnyKey>(
    op: &Json,
    table: &KTable<K, Value>,
    of: Type,
    materialized: impl Fn(Type) -> Option<Materialized<K, Value>>,
) -> Result<(KTable<K, Value>, Type), Node> {
    let name = op["name"].as_str();
    Ok(match op["op"].as_str().unwrap() {
        "filter" => {
            let f = Function::of(&op["fn"]);
            let f = move |k: &K, v: &Value| f.test(k, Some(v));
            match materialized(of) {
                Some(m) => (call!(name, table, filter_with | filter_with_named, f, m), of),
                None => (call!(name, table, filter | filter_named, f), of),
            }
        }
        "filterNot" => {
            let f = Function::of(&op["fn"]);
            let f = move |k: &K, v: &Value| f.test(k, Some(v));
            match materialized(of) {
                Some(m) => (call!(name, table, filter_not_with | filter_not_with_named, f, m), of),
                None => (call!(name, table, filter_not | filter_not_named, f), of),
            }
        }
        "mapValues" => {
            let f = Function::of(&op["fn"]);
            let new = f.map_type(of);
            let f = move |k: &K, v: Value| f.map(k, Some(v));
            match materialized(new) {
                Some(m) => (call!(name, table, filter_map_values_with | filter_map_values_with_named, f, m), new),
                None => (call!(name, table, filter_map_values | filter_map_values_named, f), new),
            }
        }
        "groupBy" => {
            let key = Function::of(&op["key"]);
            let value = op.get("value").map(Function::of);
            let new = value.as_ref().map_or(of, |value| value.map_type(of));
            let f = move |k: &K, v: Value| {
                let selected = key.key(k, Some(&v));
                (selected, value.as_ref().map_or(Some(v.clone()), |value| value.map(k, Some(v))))
            };
            return Err(Node::GroupedTable(table.group_by(f, grouped(op, new)), new));
        }
        other => panic!("{other}"),
    })
}

fn grouped(op: &Json, of: Type) -> Grouped<Key, Nullable> {
    let grouped = Grouped::with(KEYS, nullable(of));
    match op["name"].as_str() {
        Some(name) => grouped.with_name(name),
        None => grouped,
    }
}

fn materialized<K: 'static>(op: &Json, keys: impl Serde<Target = K>, of: Type) -> Option<Materialized<K, Value>> {
    let said = op.get("materialized")?;
    let mut materialized = Materialized::with(keys, ValueSerde(of));
    if let Some(name) = said["store"].as_str() {
        materialized = materialized.with_name(name);
    }
    materialized = match said["caching"].as_bool() {
        Some(false) => materialized.with_caching_disabled(),
        _ => materialized,
    };
    materialized = match said.get("logging") {
        Some(Json::Bool(false)) => materialized.with_logging_disabled(),
        Some(Json::Object(config)) => {
            materialized.with_logging_enabled(config.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default())))
        }
        _ => materialized,
    };
    if said["storeType"] == "inMemory" {
        materialized = materialized.in_memory();
    }
    if let Some(retention) = said["retention"].as_u64() {
        materialized = materialized.with_retention(Duration::from_millis(retention));
    }
    Some(materialized)
}

/// `Materialized` where the operator has one in any case; unless one is said, the overload without it.
fn stored(op: &Json, of: Type) -> Materialized<Key, Value> {
    materialized(op, KEYS, of).unwrap_or_else(|| unsaid(of))
}

/// As the JVM's methods without a `Materialized`, though the values' serde must be said here.
fn unsaid(of: Type) -> Materialized<Key, Value> {
    Materialized::of_serdes(KEYS, ValueSerde(of))
}

fn constant(json: &Json) -> Nullable {
    match json {
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Number(number) => number.as_i64().map(Value::Long),
        _ => None,
    }
}

fn declare(case: &Json) -> Result<Topology, BuildError> {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for op in case["topology"].as_array().unwrap() {
        let input = op["in"].as_str().map(|id| nodes[id].clone());
        let node = declare_op(&builder, op, input, &nodes);
        if let (Some(id), Some(node)) = (op["id"].as_str(), node) {
            nodes.insert(id.to_owned(), node);
        }
    }
    let config = &case["config"]["topology.optimization"];
    let mut optimizations = Vec::new();
    for rule in config.as_str().unwrap_or("none").split(',') {
        match rule.trim() {
            "all" => optimizations.extend(Optimization::ALL),
            "reuse.ktable.source.topics" => optimizations.push(Optimization::ReuseKtableSourceTopics),
            "merge.repartition.topics" => optimizations.push(Optimization::MergeRepartitionTopics),
            _ => {}
        }
    }
    builder.build_optimized(&optimizations)
}

fn declare_op(builder: &StreamsBuilder, op: &Json, input: Option<Node>, nodes: &BTreeMap<String, Node>) -> Option<Node> {
    let name = op["name"].as_str();
    let kind = op["op"].as_str().unwrap();
    let of = if op["value"] == "long" { Type::Long } else { Type::Text };
    let Some(input) = input else {
        return Some(match kind {
            "stream" => {
                let mut consumed = Consumed::with(KEYS, nullable(of));
                if let Some(name) = name {
                    consumed = consumed.with_name(name);
                }
                let topics: Vec<String> = match op["topics"].as_array() {
                    Some(topics) => topics.iter().map(|topic| topic.as_str().unwrap().to_owned()).collect(),
                    None => vec![op["topic"].as_str().unwrap().to_owned()],
                };
                Node::Stream(builder.stream_with(topics, consumed), of)
            }
            "table" => {
                let mut consumed = Consumed::with(KEYS, ValueSerde(of));
                if let Some(name) = name {
                    consumed = consumed.with_name(name);
                }
                Node::Table(builder.table_with(op["topic"].as_str().unwrap(), consumed, stored(op, of)), of)
            }
            other => panic!("{other}"),
        });
    };
    Some(match (input, kind) {
        (Node::Stream(stream, of), "to") => {
            let produced = Produced::with(KEYS, nullable(of));
            let produced = name.iter().fold(produced, |produced, name| produced.with_name(*name));
            stream.to_with(op["topic"].as_str().unwrap(), produced);
            return None;
        }
        (Node::WindowedStream(stream, of), "to") => {
            let produced = Produced::with(TimeWindowedSerde::new(KEYS, Duration::ZERO), nullable(of));
            let produced = name.iter().fold(produced, |produced, name| produced.with_name(*name));
            stream.to_with(op["topic"].as_str().unwrap(), produced);
            return None;
        }
        (Node::Stream(stream, _), "foreach") => {
            call!(name, stream, for_each | for_each_named, |_, _| ());
            return None;
        }
        (Node::Stream(stream, of), "merge") => {
            let Node::Stream(with, _) = &nodes[op["with"].as_str().unwrap()] else { panic!("merge with a stream") };
            Node::Stream(call!(name, stream, merge | merge_named, with), of)
        }
        (Node::Stream(stream, of), "repartition") => {
            let mut repartitioned = Repartitioned::with(KEYS, nullable(of));
            if let Some(name) = name {
                repartitioned = repartitioned.with_name(name);
            }
            if let Some(partitions) = op["partitions"].as_i64() {
                repartitioned = repartitioned.with_number_of_partitions(partitions as i32);
            }
            Node::Stream(stream.repartition(repartitioned), of)
        }
        (Node::Stream(stream, of), "toTable") => {
            Node::Table(call!(name, stream, to_table_with | to_table_with_named, stored(op, of)), of)
        }
        (Node::Stream(stream, of), "groupByKey") => Node::Grouped(stream.group_by_key(grouped(op, of)), of),
        (Node::Stream(stream, left), "joinTable") => {
            let Node::Table(table, right) = &nodes[op["with"].as_str().unwrap()] else { panic!("join with a table") };
            let joined = Joined::with(KEYS, nullable(left));
            let joined = name.iter().fold(joined, |joined, name| joined.with_name(*name));
            let f = Function::of(&op["joiner"]);
            let new = f.join_type(left, *right);
            let stream = match op["kind"].as_str() {
                Some("left") => {
                    stream.left_join_with(table, move |k, l: Nullable, r| f.join(k, l.as_ref(), r.as_ref()), joined)
                }
                _ => stream.join_with(table, move |k, l: Nullable, r| f.join(k, l.as_ref(), Some(&r)), joined),
            };
            Node::Stream(stream, new)
        }
        (Node::Stream(stream, of), _) => match stream_op(op, &stream, of) {
            Ok((stream, of)) => Node::Stream(stream, of),
            Err(node) => node,
        },
        (Node::WindowedStream(stream, of), _) => match stream_op(op, &stream, of) {
            Ok((stream, of)) => Node::WindowedStream(stream, of),
            Err(node) => node,
        },
        (Node::Table(table, of), "toStream") => {
            let stream = call!(name, table, to_stream | to_stream_named,);
            match op.get("key").map(Function::of) {
                Some(key) => Node::Stream(stream.select_key(move |k, v| key.key(k, v.as_ref())), of),
                None => Node::Stream(stream, of),
            }
        }
        (Node::WindowedTable(table, of), "toStream") => {
            let stream = call!(name, table, to_stream | to_stream_named,);
            match op.get("key").map(Function::of) {
                Some(key) => Node::Stream(stream.select_key(move |k, v| key.key(k, v.as_ref())), of),
                None => Node::WindowedStream(stream, of),
            }
        }
        (Node::Table(table, of), _) => match table_op(op, &table, of, |of| materialized(op, KEYS, of)) {
            Ok((table, of)) => Node::Table(table, of),
            Err(node) => node,
        },
        (Node::WindowedTable(table, of), _) => match table_op(op, &table, of, |_| None) {
            Ok((table, of)) => Node::WindowedTable(table, of),
            Err(node) => node,
        },
        (Node::Grouped(grouped, of), "windowedBy") => {
            let millis = |field: &str| Duration::from_millis(op["windows"][field].as_u64().unwrap_or(0));
            let windows = TimeWindows::of_size_and_grace(millis("size"), millis("grace"));
            let windows = match op["windows"]["type"].as_str() {
                Some("hopping") => windows.advance_by(millis("advance")),
                _ => windows,
            };
            Node::TimeWindowed(grouped.windowed_by(windows), of)
        }
        (Node::Grouped(grouped, of), _) => {
            let (f, new) = aggregation(op, of);
            let stored = aggregated_store(op, new);
            let table = match kind {
                "count" => {
                    let f = |_: &Key, _: Nullable, n: Nullable| Some(Value::Long(long_of(n.as_ref()) + 1));
                    return Some(Node::Table(count(op, &grouped, f), Type::Long));
                }
                "reduce" => reduce(name, &grouped, f, stored),
                _ => call!(name, grouped, fold | fold_named, move |k: &Key, v: Nullable, a: Nullable| f(k, v, a), stored),
            };
            Node::Table(table, new)
        }
        (Node::TimeWindowed(windowed, of), _) => {
            let (f, new) = aggregation(op, of);
            let stored = aggregated_store(op, new);
            let f = move |k: &Key, v: Nullable, a: Nullable| f(k, v, a);
            let table = match kind {
                // What counting draws besides is drawn by counting only.
                "count" if op.get("materialized").is_some_and(|m| m.get("store").is_none()) => panic!("not in the cases"),
                "reduce" => windowed_reduce(name, &windowed, f, stored),
                _ => call!(name, windowed, fold | fold_named, f, stored),
            };
            Node::WindowedTable(table, new)
        }
        (Node::GroupedTable(grouped, of), _) => {
            let (f, new) = aggregation(op, of);
            let subtract = op.get("subtract").map(Function::of);
            let stored = aggregated_store(op, new);
            let table = match kind {
                "count" => {
                    let minus = |_: &Key, _: Nullable, n: Value| Some(Value::Long(long_of(Some(&n)) - 1));
                    call!(name, grouped, fold | fold_named, move |k: &Key, v: Nullable, a: Nullable| f(k, v, a), minus, stored)
                }
                "reduce" => {
                    // Rows of a grouped table are never null, so neither is what they are reduced to.
                    let (add, subtract) = (Function::of(&op["fn"]), subtract.unwrap());
                    let add = move |a: Nullable, v: Nullable| add.reduce(a.as_ref(), v.as_ref());
                    let subtract = move |a: Nullable, v: Nullable| subtract.reduce(a.as_ref(), v.as_ref());
                    let stored = nullable_store(op, new);
                    let table = call!(name, grouped, reduce | reduce_named, add, subtract, stored);
                    return Some(Node::Table(denull(table), new));
                }
                _ => {
                    let subtract = subtract.unwrap();
                    let minus = move |k: &Key, v: Nullable, a: Value| subtract.aggregate(k, v.as_ref(), Some(&a));
                    call!(name, grouped, fold | fold_named, move |k: &Key, v: Nullable, a: Nullable| f(k, v, a), minus, stored)
                }
            };
            Node::Table(table, new)
        }
    })
}
