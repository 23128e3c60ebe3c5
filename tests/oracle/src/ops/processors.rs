//! The menu of processors (section 9 of `SPEC.md`).

use std::time::Duration;

use kafka_streams_core::{
    Context, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Headers, Processor, Punctuation, PunctuationType,
    Record, RecordMetadata, Step,
};
use kafka_streams_state::VersionedRecord;

use crate::fault::Fault;
use crate::node::AnyKey;
use crate::ops::stores::AnyStore;
use crate::spec::Function;
use crate::value::{Key, KeyText, Value, ValueType};

/// What a processor does; the store's name is not part of it.
#[derive(Clone, Debug)]
pub enum What {
    /// Forwards.
    PassThrough,
    /// Forwards two times.
    Twice,
    /// Forwards a key's first record.
    Dedup,
    /// Forwards the sum so far.
    RunningSum,
    /// Forwards all rows every so often.
    Latest(PunctuationType, Duration),
    /// Appends a header.
    AddHeader(String, String),
    /// Moves the timestamp.
    ShiftTimestamp(i64),
    /// Forwards a description of the context.
    Context,
    /// Forwards to one of two children.
    Route(String, String),
    /// Forwards with the stored value.
    Lookup,
    /// Forwards with the version before, and with the latest.
    VersionedGet,
    /// Counts the entries of the key in a window store.
    CountLast(i64),
    /// Puts into the store.
    PutTo,
    /// Puts every record with a key into the global store.
    KeepGlobal,
}

/// A processor of the menu, with the name of its store.
#[derive(Clone, Debug)]
pub struct Menu {
    /// What it does.
    pub what: What,
    /// The store that it uses.
    pub store: Option<String>,
    /// The type of what it forwards.
    pub out: ValueType,
}

impl Menu {
    /// The processor of this name, for values of this type.
    ///
    /// # Errors
    /// There is none, or its arguments are of another type.
    pub fn of(function: &Function, values: ValueType) -> Result<Self, Fault> {
        let string = |index| match function.argument(index) {
            Some(argument) => Ok(crate::spec::text(argument)),
            None => Fault::bad_case(format!("processor {} needs argument {index}", function.name())),
        };
        let number = |index| match function.argument(index).and_then(serde_json::Value::as_i64) {
            Some(argument) => Ok(argument),
            None => Fault::bad_case(format!("processor {} needs a number as argument {index}", function.name())),
        };
        let every = || Ok::<_, Fault>(Duration::from_millis(u64::try_from(number(2)?).unwrap_or_default()));
        let plain = |what| Ok(Menu { what, store: None, out: values });
        let stored = |what, out| Ok(Menu { what, store: Some(string(1)?), out });
        match function.name() {
            "passThrough" => plain(What::PassThrough),
            "twice" => plain(What::Twice),
            "dedup" => stored(What::Dedup, values),
            "runningSum" => stored(What::RunningSum, ValueType::Long),
            "latestOnStreamTime" => stored(What::Latest(PunctuationType::StreamTime, every()?), ValueType::String),
            "latestOnWallClock" => stored(What::Latest(PunctuationType::WallClockTime, every()?), ValueType::String),
            "addHeader" => plain(What::AddHeader(string(1)?, string(2)?)),
            "shiftTimestamp" => plain(What::ShiftTimestamp(number(1)?)),
            "context" => Ok(Menu { what: What::Context, store: None, out: ValueType::String }),
            "route" => plain(What::Route(string(1)?, string(2)?)),
            "lookup" => stored(What::Lookup, ValueType::String),
            "versionedGet" => stored(What::VersionedGet, ValueType::String),
            "countLast" => stored(What::CountLast(number(2)?), ValueType::Long),
            "putTo" => stored(What::PutTo, values),
            other => Fault::bad_case(format!("there is no processor {other}")),
        }
    }
}

/// A processor of the menu in one task.
pub struct MenuProcessor<K> {
    what: What,
    store: Option<AnyStore>,
    key: std::marker::PhantomData<fn(K)>,
}

impl<K> MenuProcessor<K> {
    /// The processor of one task.
    pub fn new(what: What, store: Option<AnyStore>) -> Self {
        MenuProcessor { what, store, key: std::marker::PhantomData }
    }
}

impl<K: AnyKey + FromPlain> Processor for MenuProcessor<K> {
    type KIn = K;
    type VIn = Value;
    type KOut = K;
    type VOut = Value;

    fn init(&mut self, cx: &mut Context<'_, K, Value>) -> Step {
        if let What::Latest(kind, every) = &self.what {
            cx.schedule(*every, *kind);
        }
        Ok(())
    }

    fn process(&mut self, record: Record<K, Value>, cx: &mut Context<'_, K, Value>) -> Step {
        let key = record.key.as_plain().cloned().unwrap_or_default();
        let timestamp = record.timestamp;
        let get = |key: &Key| self.store.as_ref().map_or(Ok(Value::Null), |store| store.get(key));
        let put = |cx: &mut Context<'_, K, Value>, value: Value| match &self.store {
            Some(store) => store.put(cx, &key, value, timestamp),
            None => Ok(()),
        };
        match &self.what {
            What::PassThrough => cx.forward(record),
            What::Twice => {
                cx.forward(record.clone())?;
                cx.forward(record)
            }
            What::Dedup => {
                if key.is_null() || !get(&key)?.is_null() {
                    return Ok(());
                }
                put(cx, Value::text(record.value.show()))?;
                cx.forward(record)
            }
            What::RunningSum => {
                if key.is_null() {
                    return Ok(());
                }
                let sum = Value::Long(get(&key)?.number().wrapping_add(record.value.number()));
                put(cx, sum.clone())?;
                cx.forward(record.with_value(sum))
            }
            What::Latest(..) => {
                if key.is_null() {
                    return Ok(());
                }
                let row = if record.value.is_null() { Value::Null } else { Value::text(record.value.show()) };
                put(cx, row)
            }
            What::AddHeader(name, value) => {
                let mut headers: Headers = record.headers.clone();
                headers.add(name, Some(value.as_bytes().to_vec()));
                cx.forward(record.with_headers(headers))
            }
            What::ShiftTimestamp(by) => cx.forward(record.with_timestamp(timestamp.saturating_add(*by).max(0))),
            What::Context => {
                let text = describe(
                    cx.record_metadata(),
                    timestamp,
                    cx.current_stream_time_ms(),
                    cx.current_system_time_ms(),
                    &record.headers,
                );
                cx.forward(record.with_value(Value::text(text)))
            }
            What::Route(even, odd) => {
                let child = if record.value.show().len().is_multiple_of(2) { even } else { odd };
                cx.forward_to(child, record)
            }
            What::Lookup => {
                let text = format!("{}/{}", record.value.show(), get(&key)?.show());
                cx.forward(record.with_value(Value::text(text)))
            }
            What::VersionedGet => {
                let Some(AnyStore::Versioned(store)) = &self.store else { return Ok(()) };
                if key.is_null() {
                    return Ok(());
                }
                let show = |version: Option<VersionedRecord<Value>>| {
                    version
                        .map_or("none".to_owned(), |version| format!("{}@{}", version.value.show(), version.timestamp))
                };
                let before = show(store.get_as_of(&key, timestamp.saturating_sub(1).max(0))?);
                store.put(cx, &key, record.value.clone().into_row().as_ref(), timestamp)?;
                let last = show(store.get(&key)?);
                cx.forward(record.with_value(Value::text(format!("{before},{last}"))))
            }
            What::CountLast(ms) => {
                if key.is_null() {
                    return Ok(());
                }
                put(cx, Value::text(record.value.show()))?;
                let from = timestamp.saturating_sub(*ms).max(0);
                let mut count = 0;
                if let Some(AnyStore::Window(store)) = &self.store {
                    for row in store.fetch_range(&key, from, timestamp) {
                        row?;
                        count += 1;
                    }
                }
                cx.forward(record.with_value(Value::Long(count)))
            }
            What::PutTo | What::KeepGlobal => {
                if key.is_null() {
                    return Ok(());
                }
                put(cx, record.value)
            }
        }
    }

    fn punctuate(&mut self, _punctuation: Punctuation, cx: &mut Context<'_, K, Value>) -> Step {
        let time = cx.record.timestamp;
        let Some(AnyStore::KeyValue(store)) = &self.store else { return Ok(()) };
        let rows = store.all().collect::<Step<Vec<_>>>()?;
        for (key, value) in rows {
            if let Some(key) = K::from_plain(key) {
                cx.forward(Record::new(key, value, time))?;
            }
        }
        Ok(())
    }
}

impl<K: AnyKey> FixedKeyProcessor for MenuProcessor<K> {
    type Key = K;
    type VIn = Value;
    type VOut = Value;

    fn process(&mut self, record: FixedKeyRecord<K, Value>, cx: &mut FixedKeyContext<'_, '_, K, Value>) -> Step {
        let key = record.key().as_plain().cloned().unwrap_or_default();
        let get = |key: &Key| self.store.as_ref().map_or(Ok(Value::Null), |store| store.get(key));
        match &self.what {
            What::RunningSum => {
                if key.is_null() {
                    return Ok(());
                }
                let sum = Value::Long(get(&key)?.number().wrapping_add(record.value.number()));
                if let Some(store) = &self.store {
                    store.put(cx, &key, sum.clone(), record.timestamp)?;
                }
                cx.forward(record.with_value(sum))
            }
            What::Context => {
                let text = describe(
                    cx.record_metadata(),
                    record.timestamp,
                    cx.current_stream_time_ms(),
                    cx.current_system_time_ms(),
                    &record.headers,
                );
                cx.forward(record.with_value(Value::text(text)))
            }
            What::Lookup => {
                let text = format!("{}/{}", record.value.show(), get(&key)?.show());
                cx.forward(record.with_value(Value::text(text)))
            }
            _ => cx.forward(record),
        }
    }
}

/// What the processor `context` says.
fn describe(
    place: Option<RecordMetadata>,
    timestamp: i64,
    stream_time: i64,
    wall_clock: i64,
    headers: &Headers,
) -> String {
    let place = place
        // The JVM has metadata without a topic in punctuations.
        .map_or_else(
            || "null--1@-1".to_owned(),
            |place| format!("{}-{}@{}", place.topic, place.partition, place.offset),
        );
    format!("{place} ts={timestamp} st={stream_time} wc={wall_clock} h={}", headers.as_slice().len())
}

/// Keys that a store's key can become.
pub trait FromPlain: Sized {
    /// The key; `None` if it is of another kind.
    fn from_plain(key: Key) -> Option<Self>;
}

impl FromPlain for Key {
    fn from_plain(key: Key) -> Option<Self> {
        Some(key)
    }
}

impl FromPlain for kafka_streams_dsl::Windowed<Key> {
    fn from_plain(_key: Key) -> Option<Self> {
        None
    }
}
