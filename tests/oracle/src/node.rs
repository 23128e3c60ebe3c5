//! What an operation gives: streams, tables and groupings, with the serdes that the interpreter names everywhere.
//!
//! Keys are plain or in windows, and rows are values or counts; [`each_stream!`](crate::each_stream) and
//! [`each_table!`](crate::each_table) run one generic function on whichever it is.

use kafka_streams_core::SharedSerde;
use kafka_streams_dsl::{
    CogroupedKStream, KGroupedStream, KGroupedTable, KStream, KTable, SessionWindowedCogroupedKStream,
    SessionWindowedKStream, TimeWindowedCogroupedKStream, TimeWindowedKStream, Windowed,
};

use crate::value::{Key, KeyText, Row, Value, ValueType};

/// A named result. New kinds of groupings are variants of their own.
#[derive(Clone)]
pub enum Node {
    /// A stream.
    Stream(AnyStream),
    /// A table.
    Table(AnyTable),
    /// A grouped stream.
    Grouped(AnyGrouped),
    /// A global table.
    Global(crate::ops::global::Global),
    /// A grouped table.
    GroupedTable(GroupedTable),
    /// A stream grouped by windows of time.
    TimeWindowed(TimeWindowed),
    /// A stream grouped by sessions.
    SessionWindowed(SessionWindowed),
    /// Grouped streams.
    Cogrouped(AnyCogrouped),
    /// Grouped streams in windows of time.
    TimeWindowedCogrouped(TimeWindowedCogrouped),
    /// Grouped streams in sessions.
    SessionWindowedCogrouped(SessionWindowedCogrouped),
}

/// A stream.
#[derive(Clone)]
pub struct Stream<K> {
    /// The stream.
    pub stream: KStream<K, Value>,
    /// How its keys are written.
    pub keys: SharedSerde<K>,
    /// The type of its values.
    pub values: ValueType,
}

/// A table.
#[derive(Clone)]
pub struct Table<K, V> {
    /// The table.
    pub table: KTable<K, V>,
    /// How its keys are written.
    pub keys: SharedSerde<K>,
    /// The type of its rows.
    pub values: ValueType,
}

/// A grouped stream.
#[derive(Clone)]
pub struct Grouped<K> {
    /// The grouped stream.
    pub grouped: KGroupedStream<K, Value>,
    /// How its keys are written.
    pub keys: SharedSerde<K>,
    /// The type of its values.
    pub values: ValueType,
}

/// A grouped table.
#[derive(Clone)]
pub struct GroupedTable {
    /// The grouped table.
    pub grouped: std::sync::Arc<KGroupedTable<Key, Value>>,
    /// The type of its rows.
    pub values: ValueType,
}

/// A stream grouped by windows of time.
#[derive(Clone)]
pub struct TimeWindowed {
    /// The windowed stream.
    pub windowed: TimeWindowedKStream<Key, Value>,
    /// The size of its windows in milliseconds.
    pub size_ms: u64,
    /// The type of its values.
    pub values: ValueType,
}

/// A stream grouped by sessions.
#[derive(Clone)]
pub struct SessionWindowed {
    /// The windowed stream.
    pub windowed: SessionWindowedKStream<Key, Value>,
    /// The type of its values.
    pub values: ValueType,
}

/// Grouped streams.
#[derive(Clone)]
pub struct Cogrouped<K: 'static> {
    /// The grouped streams.
    pub grouped: CogroupedKStream<K, Value>,
    /// How their keys are written.
    pub keys: SharedSerde<K>,
    /// The type of the results.
    pub out: ValueType,
}

/// Grouped streams of either kind of keys.
#[derive(Clone)]
pub enum AnyCogrouped {
    /// Plain keys.
    Plain(Cogrouped<Key>),
    /// Keys in windows.
    Windowed(Cogrouped<Windowed<Key>>),
}

/// Grouped streams in windows of time.
#[derive(Clone)]
pub struct TimeWindowedCogrouped {
    /// The windowed streams.
    pub windowed: TimeWindowedCogroupedKStream<Key, Value>,
    /// The size of their windows in milliseconds.
    pub size_ms: u64,
    /// The type of the results.
    pub out: ValueType,
}

/// Grouped streams in sessions.
#[derive(Clone)]
pub struct SessionWindowedCogrouped {
    /// The windowed streams.
    pub windowed: SessionWindowedCogroupedKStream<Key, Value>,
    /// The type of the results.
    pub out: ValueType,
}

/// A stream of either kind of keys.
#[derive(Clone)]
pub enum AnyStream {
    /// Plain keys.
    Plain(Stream<Key>),
    /// Keys in windows.
    Windowed(Stream<Windowed<Key>>),
}

/// A grouped stream of either kind of keys.
#[derive(Clone)]
pub enum AnyGrouped {
    /// Plain keys.
    Plain(Grouped<Key>),
    /// Keys in windows.
    Windowed(Grouped<Windowed<Key>>),
}

/// A table of either kind of keys and rows.
#[derive(Clone)]
pub enum AnyTable {
    /// Plain keys.
    Plain(Table<Key, Value>),
    /// Plain keys, counted.
    Counts(Table<Key, i64>),
    /// Keys in windows.
    Windowed(Table<Windowed<Key>, Value>),
    /// Keys in windows, counted.
    WindowedCounts(Table<Windowed<Key>, i64>),
}

/// Keys of streams and tables: plain, or in windows.
pub trait AnyKey: KeyText + Clone + PartialEq + Send + Sync + 'static {
    /// The key itself, if it is plain.
    fn as_plain(&self) -> Option<&Key>;

    /// A stream of such keys.
    fn stream(stream: Stream<Self>) -> Node;

    /// A grouped stream of such keys.
    fn grouped(grouped: Grouped<Self>) -> Node;

    /// A table of such keys.
    fn table<V: AnyRow>(table: Table<Self, V>) -> Node;

    /// A stream as one of such keys, if it is.
    fn stream_of(stream: AnyStream) -> Option<Stream<Self>>;
}

/// Rows of tables: values, or counts.
pub trait AnyRow: Row {
    /// A table of such rows and plain keys.
    fn plain(table: Table<Key, Self>) -> AnyTable;

    /// A table of such rows and keys in windows.
    fn windowed(table: Table<Windowed<Key>, Self>) -> AnyTable;
}

impl AnyKey for Key {
    fn as_plain(&self) -> Option<&Key> {
        Some(self)
    }

    fn stream(stream: Stream<Self>) -> Node {
        Node::Stream(AnyStream::Plain(stream))
    }

    fn grouped(grouped: Grouped<Self>) -> Node {
        Node::Grouped(AnyGrouped::Plain(grouped))
    }

    fn table<V: AnyRow>(table: Table<Self, V>) -> Node {
        Node::Table(V::plain(table))
    }

    fn stream_of(stream: AnyStream) -> Option<Stream<Self>> {
        match stream {
            AnyStream::Plain(stream) => Some(stream),
            AnyStream::Windowed(_) => None,
        }
    }
}

impl AnyKey for Windowed<Key> {
    fn as_plain(&self) -> Option<&Key> {
        None
    }

    fn stream(stream: Stream<Self>) -> Node {
        Node::Stream(AnyStream::Windowed(stream))
    }

    fn grouped(grouped: Grouped<Self>) -> Node {
        Node::Grouped(AnyGrouped::Windowed(grouped))
    }

    fn table<V: AnyRow>(table: Table<Self, V>) -> Node {
        Node::Table(V::windowed(table))
    }

    fn stream_of(stream: AnyStream) -> Option<Stream<Self>> {
        match stream {
            AnyStream::Plain(_) => None,
            AnyStream::Windowed(stream) => Some(stream),
        }
    }
}

impl AnyRow for Value {
    fn plain(table: Table<Key, Self>) -> AnyTable {
        AnyTable::Plain(table)
    }

    fn windowed(table: Table<Windowed<Key>, Self>) -> AnyTable {
        AnyTable::Windowed(table)
    }
}

impl AnyRow for i64 {
    fn plain(table: Table<Key, Self>) -> AnyTable {
        AnyTable::Counts(table)
    }

    fn windowed(table: Table<Windowed<Key>, Self>) -> AnyTable {
        AnyTable::WindowedCounts(table)
    }
}

/// Evaluates an expression with a name for the stream, whatever its keys are.
#[macro_export]
macro_rules! each_stream {
    ($stream:expr, $name:ident => $body:expr) => {
        match $stream {
            $crate::node::AnyStream::Plain($name) => $body,
            $crate::node::AnyStream::Windowed($name) => $body,
        }
    };
}

/// Evaluates an expression with a name for the grouped stream, whatever its keys are.
#[macro_export]
macro_rules! each_grouped {
    ($grouped:expr, $name:ident => $body:expr) => {
        match $grouped {
            $crate::node::AnyGrouped::Plain($name) => $body,
            $crate::node::AnyGrouped::Windowed($name) => $body,
        }
    };
}

/// Evaluates an expression with a name for the table, whatever its keys and rows are.
#[macro_export]
macro_rules! each_table {
    ($table:expr, $name:ident => $body:expr) => {
        match $table {
            $crate::node::AnyTable::Plain($name) => $body,
            $crate::node::AnyTable::Counts($name) => $body,
            $crate::node::AnyTable::Windowed($name) => $body,
            $crate::node::AnyTable::WindowedCounts($name) => $body,
        }
    };
}
