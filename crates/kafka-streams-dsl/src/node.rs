//! The nodes that keep state: what a record does there, in each task. Stateless nodes are closures beside their operator.

pub(crate) mod aggregate;
pub(crate) mod emit_on_close;
pub(crate) mod foreign_key;
pub(crate) mod session_aggregate;
pub(crate) mod sliding_aggregate;
pub(crate) mod stream_global_table_join;
pub(crate) mod stream_self_join;
pub(crate) mod stream_stream_join;
pub(crate) mod stream_table_join;
pub(crate) mod suppress;
pub(crate) mod table_aggregate;
pub(crate) mod table_map;
pub(crate) mod table_select;
pub(crate) mod table_source;
pub(crate) mod table_table_join;
pub(crate) mod table_transform;
pub(crate) mod versioned_table_source;
pub(crate) mod waiting_record;
pub(crate) mod window_aggregate;

use std::rc::Rc;

use kafka_streams_core::{Change, Children, Headers, Record, Step, TaskContext, Timestamp};
use kafka_streams_state::TimestampedKeyValueStore;

/// The nodes below a table's node; shared with the listener of the table's store, which sends what leaves its cache.
pub(crate) type Below<K, V> = Rc<Children<K, Change<V>>>;

/// Lets updates that leave the store's cache go to the nodes below (`TimestampedCacheFlushListener` of the JVM).
fn listen<K, V>(store: &TimestampedKeyValueStore<K, V>, sends_old_values: bool, below: &Below<K, V>)
where
    K: Clone + 'static,
    V: Clone + 'static,
{
    let below = below.clone();
    store.set_flush_listener(sends_old_values, Rc::new(move |cx, record| below.forward(cx, record)));
}

/// Runs `write` with time and headers of the record that a node has received as those of the record in hand: what the
/// store writes to its changelog, or keeps in its cache, carries them. They differ from the input record's where a node
/// above has changed them.
#[inline]
fn in_context_of<R>(
    cx: &mut TaskContext,
    timestamp: Timestamp,
    headers: &Headers,
    write: impl FnOnce(&mut TaskContext) -> R,
) -> R {
    let time_before = std::mem::replace(&mut cx.record.timestamp, timestamp);
    let headers_before = (!cx.record.headers.is_empty() || !headers.is_empty())
        .then(|| std::mem::replace(&mut cx.record.headers, headers.clone()));
    let result = write(cx);
    cx.record.timestamp = time_before;
    if let Some(headers) = headers_before {
        cx.record.headers = headers;
    }
    result
}

/// Sends an update on that does not wait in a cache. Its timestamp is the one that the node has found.
#[inline]
fn forward_updated<K: Clone + 'static, V: Clone + 'static>(
    below: &Children<K, Change<V>>,
    cx: &mut TaskContext,
    record: Record<K, ()>,
    change: Option<Change<V>>,
) -> Step {
    match change {
        Some(change) => below.forward(cx, record.with_value(change)),
        None => Ok(()),
    }
}

/// The row before a first value, where old values are sent and not held back in a cache: the initial result, as if there
/// had been such a row (`KStreamAggregate` and `KStreamWindowAggregate` of the JVM).
#[inline]
fn with_initial<A>(change: Change<A>, initial: Option<A>) -> Change<A> {
    Change { old: change.old.or(initial), new: change.new }
}
