//! What records become is what they become on the JVM. `jvm/cases.jsonl` holds topologies in a small language, input
//! records, and what Kafka Streams 4.3 made of them in its `TopologyTestDriver`: the text of `describe()`, and every topic
//! that was written, changelogs and repartition topics included, in order, with timestamps and headers.
//!
//! Keys are strings, values strings or longs, all of them nullable.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod support;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_streams_core::serde::{I64Serde, OptionSerde, StringSerde};
use kafka_streams_core::{Header, Headers, Serde, SerdeError};
use kafka_streams_dsl::{
    BuildError, Consumed, Grouped, Joined, KGroupedStream, KGroupedTable, KStream, KTable, Materialized, Naming,
    Optimization, Produced, Repartitioned, StreamsBuilder, TimeWindowedKStream, TimeWindowedSerde, TimeWindows,
    Windowed,
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
            Type::Long => {
                bytes.try_into().map(|b| Value::Long(i64::from_be_bytes(b))).map_err(SerdeError::invalid::<Value>)
            }
        }
    }
}

type Nullable = Option<Value>;
type Key = Option<String>;
type WindowedKey = Windowed<Option<String>>;

const KEYS: OptionSerde<StringSerde> = OptionSerde(StringSerde);

/// A key as the functions of the menus see it.
trait AnyKey: Clone + PartialEq + 'static {
    type Serde: Serde<Target = Self>;
    fn serde() -> Self::Serde;
    fn plain(&self) -> Option<String>;
    fn text(&self) -> Option<String>;

    fn to_table<V: AnyValue>(
        _: &KStream<Self, Option<V>>,
        _: Option<&str>,
        _: Materialized<Self, V>,
    ) -> KTable<Self, V> {
        panic!("windowed streams become no tables in the cases")
    }

    fn windowed_by<V: AnyValue>(_: &KGroupedStream<Self, V>, _: TimeWindows, _: Type) -> Box<dyn AnyGrouped> {
        panic!("windowed streams get no windows in the cases")
    }
}

impl AnyKey for Key {
    type Serde = OptionSerde<StringSerde>;

    fn serde() -> Self::Serde {
        KEYS
    }

    fn plain(&self) -> Option<String> {
        self.clone()
    }

    fn text(&self) -> Option<String> {
        self.clone()
    }

    fn to_table<V: AnyValue>(
        stream: &KStream<Key, Option<V>>,
        name: Option<&str>,
        stored: Materialized<Key, V>,
    ) -> KTable<Key, V> {
        match name {
            Some(name) => stream.to_table_with_named(name, stored),
            None => stream.to_table_with(stored),
        }
    }

    fn windowed_by<V: AnyValue>(g: &KGroupedStream<Key, V>, windows: TimeWindows, of: Type) -> Box<dyn AnyGrouped> {
        Box::new(Windowing { windowed: g.windowed_by(windows), of })
    }
}

impl AnyKey for WindowedKey {
    type Serde = TimeWindowedSerde<Key>;

    fn serde() -> Self::Serde {
        TimeWindowedSerde::new(KEYS, Duration::ZERO)
    }

    fn plain(&self) -> Option<String> {
        self.key.clone()
    }

    fn text(&self) -> Option<String> {
        Some(format!("{}@{}/{}", text_of(self.key.as_deref()), self.window.start, self.window.end))
    }
}

/// The values of streams and tables, as the functions of the menus see them: `Value` in a table, `Option<Value>` in a
/// stream and where a table was made from such, `i64` in a count.
trait AnyValue: Clone + 'static {
    type Serde: Serde<Target = Self>;
    fn serde(of: Type) -> Self::Serde;
    fn get(&self) -> Nullable;
    fn put(value: Nullable) -> Self;

    fn to_stream<K: AnyKey>(_: &Table<K, Self>, _: &Json) -> Node {
        panic!("such a table becomes no stream in the cases")
    }

    fn to_table<K: AnyKey>(_: &KStream<K, Self>, _: &Json, _: Type) -> Box<dyn AnyTable> {
        panic!("such a stream becomes no table in the cases")
    }
}

impl AnyValue for Value {
    type Serde = ValueSerde;

    fn serde(of: Type) -> ValueSerde {
        ValueSerde(of)
    }

    fn get(&self) -> Nullable {
        Some(self.clone())
    }

    fn put(value: Nullable) -> Self {
        value.expect("a row is not null")
    }

    fn to_stream<K: AnyKey>(table: &Table<K, Self>, op: &Json) -> Node {
        as_stream(table, op)
    }
}

impl AnyValue for i64 {
    type Serde = I64Serde;

    fn serde(_: Type) -> I64Serde {
        I64Serde
    }

    fn get(&self) -> Nullable {
        Some(Value::Long(*self))
    }

    fn put(value: Nullable) -> Self {
        long_of(value.as_ref())
    }

    fn to_stream<K: AnyKey>(table: &Table<K, Self>, op: &Json) -> Node {
        as_stream(table, op)
    }
}

/// Each of them by itself, as types that grow with every operator have no end.
macro_rules! nullable {
    ($($value:ty $(, $to_stream:item)?;)*) => {$(
        impl AnyValue for Option<$value> {
            type Serde = OptionSerde<<$value as AnyValue>::Serde>;

            fn serde(of: Type) -> Self::Serde {
                OptionSerde(<$value>::serde(of))
            }

            fn get(&self) -> Nullable {
                self.as_ref().and_then(AnyValue::get)
            }

            fn put(value: Nullable) -> Self {
                value.map(|value| <$value>::put(Some(value)))
            }

            fn to_table<K: AnyKey>(stream: &KStream<K, Self>, op: &Json, of: Type) -> Box<dyn AnyTable> {
                let serdes = || (K::serde(), <$value>::serde(of));
                let stored = said(op, serdes().0, serdes().1);
                let stored = stored.unwrap_or_else(|| Materialized::with(serdes().0, serdes().1));
                Box::new(Table { table: K::to_table(stream, op["name"].as_str(), stored), of })
            }

            $($to_stream)?
        }
    )*};
}

nullable! {
    Value, fn to_stream<K: AnyKey>(table: &Table<K, Self>, op: &Json) -> Node {
        as_stream(table, op)
    };
    i64;
    Option<Value>;
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
            ("longEven", Some(Value::Long(number))) => number & 1 == 0,
            ("keyEquals", _) => key.plain().is_some_and(|key| key == self.text(0)),
            ("keyNotNull", _) => key.plain().is_some(),
            ("keyStartsWith", _) => key.plain().is_some_and(|key| key.starts_with(self.text(0))),
            ("valueNotNull", value) => value.is_some(),
            ("not", value) => !Function::of(&self.arguments[0]).test(key, value),
            ("contains" | "lengthGt" | "longGt" | "longEven", None) => false,
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

/// What an operator's result is known as.
enum Node {
    Stream(Box<dyn AnyStream>),
    Table(Box<dyn AnyTable>),
    Grouped(Box<dyn AnyGrouped>),
}

/// A stream of any types; each operation gives what Java's operator of that name gives.
trait AnyStream {
    fn any(&self) -> &dyn Any;
    fn apply(&self, op: &Json, nodes: &BTreeMap<String, Node>) -> Option<Node>;
}

trait AnyTable {
    fn any(&self) -> &dyn Any;
    fn apply(&self, op: &Json) -> Node;
    fn of(&self) -> Type;
}

trait AnyGrouped {
    fn apply(&self, op: &Json) -> Node;
}

struct Stream<K, V> {
    stream: KStream<K, V>,
    of: Type,
}

struct Table<K, V> {
    table: KTable<K, V>,
    of: Type,
}

struct Grouping<K, V> {
    grouped: KGroupedStream<K, V>,
    of: Type,
}

struct Windowing<K, V> {
    windowed: TimeWindowedKStream<K, V>,
    of: Type,
}

struct TableGrouping<K, V> {
    grouped: KGroupedTable<K, V>,
    of: Type,
}

fn stream<K: AnyKey, V: AnyValue>(stream: KStream<K, V>, of: Type) -> Option<Node> {
    Some(Node::Stream(Box::new(Stream { stream, of })))
}

fn table<K: AnyKey, V: AnyValue>(table: KTable<K, V>, of: Type) -> Node {
    Node::Table(Box::new(Table { table, of }))
}

/// Calls the method, or with a name its `_named` twin.
macro_rules! call {
    ($name:expr, $object:expr, $method:ident | $named:ident $(, $argument:expr)*) => {
        match $name {
            Some(name) => $object.$named(name $(, $argument)*),
            None => $object.$method($($argument),*),
        }
    };
}

impl<K: AnyKey, V: AnyValue> AnyStream for Stream<K, V> {
    fn any(&self) -> &dyn Any {
        &self.stream
    }

    fn apply(&self, op: &Json, nodes: &BTreeMap<String, Node>) -> Option<Node> {
        let (s, of, name) = (&self.stream, self.of, op["name"].as_str());
        let f = || Function::of(&op["fn"]);
        let with = || nodes.get(op["with"].as_str().unwrap()).unwrap();
        match op["op"].as_str().unwrap() {
            "to" => {
                let produced = Produced::with(K::serde(), V::serde(of));
                s.to_with(op["topic"].as_str().unwrap(), name.into_iter().fold(produced, Produced::with_name));
                None
            }
            "foreach" => {
                call!(name, s, for_each | for_each_named, |_, _| ());
                None
            }
            "peek" => stream(call!(name, s, peek | peek_named, |_, _| ()), of),
            "filter" => {
                let f = f();
                stream(call!(name, s, filter | filter_named, move |k: &K, v: &V| f.test(k, v.get().as_ref())), of)
            }
            "filterNot" => {
                let f = f();
                stream(
                    call!(name, s, filter_not | filter_not_named, move |k: &K, v: &V| f.test(k, v.get().as_ref())),
                    of,
                )
            }
            "mapValues" => {
                let (f, new) = (f(), f().map_type(of));
                let f = move |k: &K, v: V| f.map(k, v.get());
                stream(call!(name, s, map_values_with_key | map_values_with_key_named, f), new)
            }
            "flatMapValues" => {
                let f = f();
                let f = move |v: V| f.flat_map_values(v.get());
                stream(call!(name, s, flat_map_values | flat_map_values_named, f), of)
            }
            "map" => {
                let (key, value) = (Function::of(&op["key"]), Function::of(&op["value"]));
                let new = value.map_type(of);
                let f = move |k: K, v: V| (key.key(&k, v.get().as_ref()), value.map(&k, v.get()));
                stream(call!(name, s, map | map_named, f), new)
            }
            "flatMap" => {
                let (f, new) = (f(), f().map_type(of));
                stream(call!(name, s, flat_map | flat_map_named, move |k: K, v: V| f.flat_map(&k, v.get())), new)
            }
            "selectKey" => {
                let f = f();
                let f = move |k: &K, v: &V| f.key(k, v.get().as_ref());
                stream(call!(name, s, select_key | select_key_named, f), of)
            }
            "merge" => {
                let Node::Stream(with) = with() else { panic!("merge with a stream") };
                let with = with.any().downcast_ref::<KStream<K, V>>().expect("streams of one type are merged");
                stream(call!(name, s, merge | merge_named, with), of)
            }
            "repartition" => {
                let repartitioned = Repartitioned::with(K::serde(), V::serde(of));
                let repartitioned = name.into_iter().fold(repartitioned, Repartitioned::with_name);
                stream(
                    s.repartition(match op["partitions"].as_i64() {
                        Some(partitions) => repartitioned.with_number_of_partitions(partitions as i32),
                        None => repartitioned,
                    }),
                    of,
                )
            }
            "toTable" => Some(Node::Table(V::to_table(s, op, of))),
            "groupByKey" => {
                let grouped = s.group_by_key(grouped(op, of));
                Some(Node::Grouped(Box::new(Grouping { grouped, of })))
            }
            "groupBy" => {
                let key = Function::of(&op["key"]);
                let grouped = s.group_by(move |k: &K, v: &V| key.key(k, v.get().as_ref()), grouped(op, of));
                Some(Node::Grouped(Box::new(Grouping { grouped, of })))
            }
            "joinTable" => {
                let Node::Table(with) = with() else { panic!("join with a table") };
                let (any, right) = (with.any(), with.of());
                if let Some(table) = any.downcast_ref::<KTable<K, Value>>() {
                    self.join(op, table, right)
                } else if let Some(table) = any.downcast_ref::<KTable<K, Nullable>>() {
                    self.join(op, table, right)
                } else {
                    self.join(op, any.downcast_ref::<KTable<K, i64>>().unwrap(), right)
                }
            }
            other => panic!("{other}"),
        }
    }
}

impl<K: AnyKey, V: AnyValue> Stream<K, V> {
    fn join<VT: AnyValue>(&self, op: &Json, table: &KTable<K, VT>, right: Type) -> Option<Node> {
        let joined = Joined::with(K::serde(), V::serde(self.of));
        let joined = op["name"].as_str().into_iter().fold(joined, Joined::with_name);
        let f = Function::of(&op["joiner"]);
        let new = f.join_type(self.of, right);
        let joined = if op["kind"] == "left" {
            let f = move |k: &K, l: V, r: Option<VT>| f.join(k, l.get().as_ref(), r.and_then(|r| r.get()).as_ref());
            self.stream.left_join_with(table, f, joined)
        } else {
            let f = move |k: &K, l: V, r: VT| f.join(k, l.get().as_ref(), r.get().as_ref());
            self.stream.join_with(table, f, joined)
        };
        stream(joined, new)
    }
}

fn as_stream<K: AnyKey, V: AnyValue>(table: &Table<K, V>, op: &Json) -> Node
where
    Option<V>: AnyValue,
{
    let all = call!(op["name"].as_str(), table.table, to_stream | to_stream_named);
    match op.get("key").map(Function::of) {
        Some(key) => stream(all.select_key(move |k, v| key.key(k, v.get().as_ref())), table.of).unwrap(),
        None => stream(all, table.of).unwrap(),
    }
}

impl<K: AnyKey, V: AnyValue> AnyTable for Table<K, V> {
    fn any(&self) -> &dyn Any {
        &self.table
    }

    fn of(&self) -> Type {
        self.of
    }

    fn apply(&self, op: &Json) -> Node {
        let (t, of, name) = (&self.table, self.of, op["name"].as_str());
        match op["op"].as_str().unwrap() {
            "filter" => {
                let f = Function::of(&op["fn"]);
                let f = move |k: &K, v: &V| f.test(k, v.get().as_ref());
                match said(op, K::serde(), V::serde(of)) {
                    Some(stored) => table(call!(name, t, filter_with | filter_with_named, f, stored), of),
                    None => table(call!(name, t, filter | filter_named, f), of),
                }
            }
            "filterNot" => {
                let f = Function::of(&op["fn"]);
                let f = move |k: &K, v: &V| f.test(k, v.get().as_ref());
                match said(op, K::serde(), V::serde(of)) {
                    Some(stored) => table(call!(name, t, filter_not_with | filter_not_with_named, f, stored), of),
                    None => table(call!(name, t, filter_not | filter_not_named, f), of),
                }
            }
            "mapValues" => {
                let f = Function::of(&op["fn"]);
                let new = f.map_type(of);
                let f = move |k: &K, v: V| f.map(k, v.get());
                match said(op, K::serde(), ValueSerde(new)) {
                    Some(stored) => {
                        table(call!(name, t, filter_map_values_with | filter_map_values_with_named, f, stored), new)
                    }
                    None => table(call!(name, t, filter_map_values | filter_map_values_named, f), new),
                }
            }
            "groupBy" => {
                let key = Function::of(&op["key"]);
                let value = op.get("value").map(Function::of);
                let new = value.as_ref().map_or(of, |value| value.map_type(of));
                let f = move |k: &K, v: V| {
                    let (selected, v) = (key.key(k, v.get().as_ref()), v.get());
                    (selected, if let Some(value) = &value { value.map(k, v) } else { v })
                };
                let grouped = t.group_by(f, grouped::<Key, Nullable>(op, new));
                Node::Grouped(Box::new(TableGrouping { grouped, of: new }))
            }
            "toStream" => V::to_stream(self, op),
            other => panic!("{other}"),
        }
    }
}

/// `aggregate` of the cases always has a `Materialized`; the others are called without one where none is said, which for
/// them is one without a name, as long as its serdes are those of the grouping.
impl<K: AnyKey, V: AnyValue> AnyGrouped for Grouping<K, V> {
    fn apply(&self, op: &Json) -> Node {
        let (g, of, name) = (&self.grouped, self.of, op["name"].as_str());
        match op["op"].as_str().unwrap() {
            "windowedBy" => {
                let millis = |field: &str| Duration::from_millis(op["windows"][field].as_u64().unwrap_or(0));
                let mut windows = TimeWindows::of_size_and_grace(millis("size"), millis("grace"));
                if op["windows"]["type"] == "hopping" {
                    windows = windows.advance_by(millis("advance"));
                }
                Node::Grouped(K::windowed_by(g, windows, of))
            }
            "count" => {
                let stored = said(op, K::serde(), I64Serde).unwrap_or_default();
                table(call!(name, g, count | count_named, stored), Type::Long)
            }
            "reduce" => {
                let stored = said(op, K::serde(), V::serde(of));
                let stored = stored.unwrap_or_else(|| Materialized::with(K::serde(), V::serde(of)));
                table(call!(name, g, reduce | reduce_named, reducer(&op["fn"]), stored), of)
            }
            "aggregate" => {
                let (f, new) = folder(op);
                let stored = aggregated(op, new);
                let table_of = match initial(op) {
                    // An aggregator that never gives null.
                    Some(init) if op["fn"][0] != "traceNullOn" => {
                        let f = move |k: &_, v: V, a: Value| f(k, v, Some(a)).unwrap();
                        call!(name, g, aggregate | aggregate_named, move || init.clone(), f, stored)
                    }
                    _ => call!(name, g, fold | fold_named, f, stored),
                };
                table(table_of, new)
            }
            other => panic!("{other}"),
        }
    }
}

impl<V: AnyValue> AnyGrouped for Windowing<Key, V> {
    fn apply(&self, op: &Json) -> Node {
        let (w, of, name) = (&self.windowed, self.of, op["name"].as_str());
        match op["op"].as_str().unwrap() {
            "count" => {
                let stored = said(op, Key::serde(), I64Serde).unwrap_or_default();
                table(call!(name, w, count | count_named, stored), Type::Long)
            }
            "reduce" => {
                let stored = said(op, Key::serde(), V::serde(of));
                let stored = stored.unwrap_or_else(|| Materialized::with(Key::serde(), V::serde(of)));
                table(call!(name, w, reduce | reduce_named, reducer(&op["fn"]), stored), of)
            }
            "aggregate" => {
                let (f, new) = folder(op);
                let stored = aggregated(op, new);
                let table_of = match initial(op) {
                    // An aggregator that never gives null.
                    Some(init) if op["fn"][0] != "traceNullOn" => {
                        let f = move |k: &_, v: V, a: Value| f(k, v, Some(a)).unwrap();
                        call!(name, w, aggregate | aggregate_named, move || init.clone(), f, stored)
                    }
                    _ => call!(name, w, fold | fold_named, f, stored),
                };
                table(table_of, new)
            }
            other => panic!("{other}"),
        }
    }
}

impl<K: AnyKey, V: AnyValue> AnyGrouped for TableGrouping<K, V> {
    fn apply(&self, op: &Json) -> Node {
        let (g, of, name) = (&self.grouped, self.of, op["name"].as_str());
        match op["op"].as_str().unwrap() {
            "count" => {
                let stored = said(op, K::serde(), I64Serde).unwrap_or_default();
                table(call!(name, g, count | count_named, stored), Type::Long)
            }
            "reduce" => {
                let stored = said(op, K::serde(), V::serde(of));
                let stored = stored.unwrap_or_else(|| Materialized::with(K::serde(), V::serde(of)));
                let (add, subtract) = (reducer(&op["fn"]), reducer(&op["subtract"]));
                table(call!(name, g, reduce | reduce_named, add, subtract, stored), of)
            }
            "aggregate" => {
                let (add, new) = folder(op);
                let f = Function::of(&op["subtract"]);
                let subtract = move |k: &K, v: V, a: Value| f.aggregate(k, v.get().as_ref(), Some(&a));
                table(call!(name, g, fold | fold_named, add, subtract, aggregated(op, new)), new)
            }
            other => panic!("{other}"),
        }
    }
}

fn grouped<K: AnyKey, V: AnyValue>(op: &Json, of: Type) -> Grouped<K, V> {
    op["name"].as_str().into_iter().fold(Grouped::with(K::serde(), V::serde(of)), Grouped::with_name)
}

fn reducer<V: AnyValue>(json: &Json) -> impl Fn(V, V) -> V + Send + Sync + 'static {
    let f = Function::of(json);
    move |so_far, value| V::put(f.reduce(so_far.get().as_ref(), value.get().as_ref()))
}

type Folder<K, V> = Box<dyn Fn(&K, V, Option<Value>) -> Nullable + Send + Sync>;

fn folder<K: AnyKey, V: AnyValue>(op: &Json) -> (Folder<K, V>, Type) {
    let (f, init) = (Function::of(&op["fn"]), initial(op));
    let new = f.aggregate_type();
    let fold = move |k: &K, v: V, a: Option<Value>| f.aggregate(k, v.get().as_ref(), a.as_ref().or(init.as_ref()));
    (Box::new(fold), new)
}

fn initial(op: &Json) -> Nullable {
    match &op["init"] {
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Number(number) => number.as_i64().map(Value::Long),
        _ => None,
    }
}

fn aggregated<K: AnyKey>(op: &Json, of: Type) -> Materialized<K, Value> {
    said(op, K::serde(), ValueSerde(of)).unwrap_or_else(|| Materialized::with(K::serde(), ValueSerde(of)))
}

fn said<K: 'static, V: 'static>(
    op: &Json,
    keys: impl Serde<Target = K>,
    values: impl Serde<Target = V>,
) -> Option<Materialized<K, V>> {
    let said = op.get("materialized")?;
    let mut stored = Materialized::with(keys, values);
    if let Some(name) = said["store"].as_str() {
        stored = stored.with_name(name);
    }
    if said["caching"] == false {
        stored = stored.with_caching_disabled();
    }
    stored = match said.get("logging") {
        Some(Json::Bool(false)) => stored.with_logging_disabled(),
        Some(Json::Object(config)) => {
            stored.with_logging_enabled(config.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default())))
        }
        _ => stored,
    };
    if said["storeType"] == "inMemory" {
        stored = stored.in_memory();
    }
    match said["retention"].as_u64() {
        Some(retention) => Some(stored.with_retention(Duration::from_millis(retention))),
        None => Some(stored),
    }
}

fn declare(case: &Json) -> Result<Topology, BuildError> {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for op in case["topology"].as_array().unwrap() {
        let node = match op["in"].as_str().map(|id| &nodes[id]) {
            None => Some(declare_source(&builder, op)),
            Some(Node::Stream(stream)) => stream.apply(op, &nodes),
            Some(Node::Table(table)) => Some(table.apply(op)),
            Some(Node::Grouped(grouped)) => Some(grouped.apply(op)),
        };
        if let (Some(id), Some(node)) = (op["id"].as_str(), node) {
            nodes.insert(id.to_owned(), node);
        }
    }
    let mut optimizations = Vec::new();
    for rule in case["config"]["topology.optimization"].as_str().unwrap_or("none").split(',') {
        match rule.trim() {
            "all" => optimizations.extend(Optimization::ALL),
            "reuse.ktable.source.topics" => optimizations.push(Optimization::ReuseKtableSourceTopics),
            "merge.repartition.topics" => optimizations.push(Optimization::MergeRepartitionTopics),
            _ => {}
        }
    }
    builder.build_optimized(&optimizations)
}

fn declare_source(builder: &StreamsBuilder, op: &Json) -> Node {
    let of = if op["value"] == "long" { Type::Long } else { Type::Text };
    let name = op["name"].as_str();
    if op["op"] == "table" {
        let consumed = Consumed::with(KEYS, ValueSerde(of));
        let consumed = name.into_iter().fold(consumed, Consumed::with_name);
        let stored = said(op, KEYS, ValueSerde(of)).unwrap_or_else(|| Materialized::with(KEYS, ValueSerde(of)));
        return table(builder.table_with(op["topic"].as_str().unwrap(), consumed, stored), of);
    }
    let consumed = Consumed::with(KEYS, OptionSerde(ValueSerde(of)));
    let consumed = name.into_iter().fold(consumed, Consumed::with_name);
    let topics = match op["topics"].as_array() {
        Some(topics) => topics.iter().map(|topic| topic.as_str().unwrap().to_owned()).collect(),
        None => vec![op["topic"].as_str().unwrap().to_owned()],
    };
    stream(builder.stream_with(topics, consumed), of).unwrap()
}

/// Names behind arrows stand in an order that no simple rule gives: they are compared as sets.
fn with_sorted_arrows(text: &str) -> String {
    let line = |line: &str| match line.trim_start().split_once(' ') {
        Some((arrow @ ("-->" | "<--"), names)) => {
            let names: BTreeSet<&str> = names.split(", ").collect();
            format!("{arrow} {}", names.into_iter().collect::<Vec<_>>().join(", "))
        }
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn bytes(json: &Json) -> Option<Vec<u8>> {
    match json {
        Json::Null => None,
        Json::String(text) => Some(text.as_bytes().to_vec()),
        Json::Number(number) => Some(number.as_i64().unwrap().to_be_bytes().to_vec()),
        other => {
            let hex = other["hex"].as_str().unwrap();
            Some((0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
        }
    }
}

fn headers(json: &Json) -> Headers {
    let header = |header: &Json| Header { key: header[0].as_str().unwrap().to_owned(), value: bytes(&header[1]) };
    json.as_array().into_iter().flatten().map(header).collect()
}

fn written(record: &Written) -> Json {
    let hex = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => Json::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        None => Json::Null,
    };
    let mut list = vec![hex(&record.key), hex(&record.value), record.timestamp.into()];
    if !record.headers.is_empty() {
        let header = |header: &Header| Json::Array(vec![header.key.clone().into(), hex(&header.value)]);
        list.push(record.headers.iter().map(header).collect());
    }
    Json::Array(list)
}

/// What is different, if anything is.
fn difference(case: &Json, expected: &Json) -> Option<String> {
    let topology = match declare(case) {
        Ok(topology) => topology,
        Err(error) if expected["error"]["phase"] == "build" => {
            assert!(!error.to_string().is_empty());
            return None;
        }
        Err(error) => return Some(format!("not built: {error}")),
    };
    if expected["error"]["phase"] == "build" {
        return Some(format!("built, where the JVM says {}", expected["error"]));
    }
    let (text, golden) = (topology.describe(), expected["describe"].as_str().unwrap());
    if with_sorted_arrows(&text) != with_sorted_arrows(golden) {
        return Some(format!("described as\n{text}\ninstead of\n{golden}"));
    }
    let cache = &case["config"]["statestore.cache.max.bytes"];
    let cache = cache.as_u64().or_else(|| cache.as_str()?.parse().ok()).unwrap_or(10 * 1024 * 1024);
    let mut driver = Driver::with_cache(&topology, cache as usize);
    for (at, step) in case["input"].as_array().unwrap().iter().enumerate() {
        let result = match step["advanceWallClock"].as_i64() {
            Some(milliseconds) => driver.advance_wall_clock(milliseconds),
            None => {
                let (key, value) = (bytes(&step[1]), bytes(&step[2]));
                let record = Written { key, value, timestamp: step[3].as_i64().unwrap(), headers: headers(&step[4]) };
                driver.pipe_raw(step[0].as_str().unwrap(), record)
            }
        };
        match (result, expected["error"]["step"].as_u64()) {
            (Ok(()), Some(step)) if step == at as u64 => return Some(format!("step {at} fails on the JVM")),
            (Ok(()), _) => {}
            (Err(_), Some(step)) if step == at as u64 => break,
            (Err(failure), _) => return Some(format!("step {at}: {failure}")),
        }
    }
    let topics: BTreeMap<String, Json> =
        driver.topics.iter().map(|(topic, records)| (topic.clone(), records.iter().map(written).collect())).collect();
    let golden: BTreeMap<String, Json> = expected["topics"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(topic, records)| (topic.clone(), records.clone()))
        .collect();
    for topic in topics.keys().chain(golden.keys()) {
        let (ours, theirs) = (topics.get(topic), golden.get(topic));
        if ours != theirs {
            let text = |records: Option<&Json>| records.map_or("nothing".to_owned(), Json::to_string);
            return Some(format!("topic {topic} has\n{}\ninstead of\n{}", text(ours), text(theirs)));
        }
    }
    None
}

#[test]
fn every_topic_holds_what_the_jvm_writes() {
    let path = format!("{}/tests/jvm/cases.jsonl", env!("CARGO_MANIFEST_DIR"));
    let only = std::env::var("CASE").ok();
    let mut differences = Vec::new();
    let mut count = 0;
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let json: Json = serde_json::from_str(line).unwrap();
        let (case, expected) = (&json["case"], &json["expected"]);
        let name = case["name"].as_str().unwrap();
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        count += 1;
        if let Some(difference) = difference(case, expected) {
            differences.push(format!("## {name}\n{difference}\n"));
        }
    }
    assert!(count > 0);
    assert!(differences.is_empty(), "{} of {count} cases differ\n{}", differences.len(), differences.join("\n"));
}
