//! From a table to a stream whose values are not just rows: both steps in one node.

use std::sync::Arc;

use kafka_streams_core::{Change, Children, Record, TaskContext};

use crate::graph::{Body, Traits};
use crate::lower;
use crate::{KStream, KTable, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// [`to_stream`](KTable::to_stream) with values that `f` makes of the rows, `None` of a deletion, in the same node: for
    /// a type that knows its own null, where an `Option` of it would be one null too many.
    ///
    /// ```
    /// # use kafka_streams_dsl::{KStream, StreamsBuilder};
    /// # let balances = StreamsBuilder::new().table::<String, i64>("balances");
    /// let changes: KStream<String, i64> = balances.to_stream_with(|balance| balance.unwrap_or(0));
    /// ```
    #[track_caller]
    pub fn to_stream_with<V2, F>(&self, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(Option<V>) -> V2 + Send + Sync + 'static,
    {
        self.do_to_stream_with(None, f)
    }

    /// [`to_stream_with`](KTable::to_stream_with) by a node of this name.
    #[track_caller]
    pub fn to_stream_with_named<V2, F>(&self, name: impl Into<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(Option<V>) -> V2 + Send + Sync + 'static,
    {
        self.do_to_stream_with(Some(name.into()), f)
    }

    #[track_caller]
    fn do_to_stream_with<V2, F>(&self, name: Option<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(Option<V>) -> V2 + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let lowering = lower::stateless(move |out: Children<K, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, Change<V>>| {
                out.forward(cx, record.map_value(|_, change| f(change.new)))
            }
        });
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix::TABLE_TO_STREAM);
        let node = graph.add(&[self.node], name, Traits::default(), Body::Node(lowering));
        drop(graph);
        KStream {
            graph: self.graph.clone(),
            node,
            sources: self.sources.clone(),
            keys: Some(self.keys.clone()),
            values: None,
            key_hash: self.key_hash,
            repartition_required: false,
        }
    }
}
