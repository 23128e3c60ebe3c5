//! A stream joined with a table: each record meets the row of its key, as the table is at that moment.

use std::sync::Arc;

use kafka_streams_core::DefaultSerde;
use kafka_streams_state::{StoreKind, TypedStoreBuilder};

use crate::graph::{Body, Graph, GraphId, Traits};
use crate::lower;
use crate::lower::stream_table_join::{Grace, stream_table_join};
use crate::node::stream_table_join::TableJoin;
use crate::option::Joined;
use crate::time_windows::millis;
use crate::{BuildError, KStream, KTable, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Joins each record with the table's row of its key; a record without a row is dropped, as is one with a null key or
    /// a null value. Only records of the stream give results, updates of the table do not.
    ///
    /// Topics of both sides must have equal numbers of partitions. A stream whose key may have changed is repartitioned.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let names = builder.table::<String, String>("names");
    /// let orders = builder.stream::<String, i64>("orders");
    /// let named_orders = orders.join(&names, |amount, name| format!("{name}: {amount}"));
    /// ```
    #[track_caller]
    pub fn join<VT, VO, F>(&self, table: &KTable<K, VT>, joiner: F) -> KStream<K, VO>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        VT: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(V, VT) -> VO + Send + Sync + 'static,
    {
        self.join_with(table, move |_, value, row| joiner(value, row), Joined::default())
    }

    /// [`join`](KStream::join) by a function that sees the key, named and repartitioned as `joined` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::Joined;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let names = builder.table::<String, String>("names");
    /// let orders = builder.stream::<String, i64>("orders");
    /// orders.join_with(&names, |id, amount, name| format!("{name} ({id}): {amount}"), Joined::named("with-name"));
    /// ```
    #[track_caller]
    pub fn join_with<VT, VO, F>(&self, table: &KTable<K, VT>, joiner: F, joined: Joined<K, V>) -> KStream<K, VO>
    where
        VT: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, V, VT) -> VO + Send + Sync + 'static,
    {
        let f = move |key: &K, value: V, row: Option<VT>| row.map(|row| joiner(key, value, row));
        self.join_table(table, f, joined, false)
    }

    /// Joins each record with the table's row of its key, if there is one. Records with a null value are dropped; one
    /// with a null key has no row.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let names = builder.table::<String, String>("names");
    /// let orders = builder.stream::<String, i64>("orders");
    /// let named_orders = orders.left_join(&names, |amount, name| format!("{}: {amount}", name.unwrap_or_default()));
    /// ```
    #[track_caller]
    pub fn left_join<VT, VO, F>(&self, table: &KTable<K, VT>, joiner: F) -> KStream<K, VO>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        VT: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(V, Option<VT>) -> VO + Send + Sync + 'static,
    {
        self.left_join_with(table, move |_, value, row| joiner(value, row), Joined::default())
    }

    /// [`left_join`](KStream::left_join) by a function that sees the key, named and repartitioned as `joined` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::Joined;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let names = builder.table::<String, String>("names");
    /// let orders = builder.stream::<String, i64>("orders");
    /// orders.left_join_with(&names, |id, amount, name| (name.unwrap_or(id.clone()), amount), Joined::named("with-name"));
    /// ```
    #[track_caller]
    pub fn left_join_with<VT, VO, F>(&self, table: &KTable<K, VT>, joiner: F, joined: Joined<K, V>) -> KStream<K, VO>
    where
        VT: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, V, Option<VT>) -> VO + Send + Sync + 'static,
    {
        let f = move |key: &K, value: V, row: Option<VT>| Some(joiner(key, value, row));
        self.join_table(table, f, joined, true)
    }

    #[track_caller]
    fn join_table<VT, VO, F>(&self, table: &KTable<K, VT>, f: F, joined: Joined<K, V>, left: bool) -> KStream<K, VO>
    where
        VT: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, V, Option<VT>) -> Option<VO> + Send + Sync + 'static,
    {
        let Joined { name, keys, values, grace } = joined;
        let keys = keys.or_inherited(self.keys.as_ref());
        let values = values.or_inherited(self.values.as_ref());
        let mut graph = self.graph.lock();
        let spec = || lower::Repartition {
            keys: keys.clone(),
            values: values.clone(),
            partitioner: None,
            key_hash: self.key_hash,
        };
        let (parent, mut sources) = match self.repartition_required {
            true => {
                let (repartition, source) = self.repartition_for_join(&mut graph, name.as_ref(), spec());
                (repartition, vec![source])
            }
            false => (self.node, self.sources.clone()),
        };
        let name = graph.node_name(name, if left { prefix::LEFT_JOIN } else { prefix::JOIN });
        if !self.graph.is_same_as(&table.graph) {
            graph.errors.push(BuildError::TwoBuilders { node: name.clone() });
        } else {
            let further: Vec<_> = table.sources.iter().copied().filter(|source| !sources.contains(source)).collect();
            sources.extend(further);
            graph.copartitions.push(sources.clone());
            graph.make_readable(table.table);
        }
        let view = table.view.clone();
        let join = Arc::new(TableJoin { keys: keys.clone(), values, left, f });
        let grace = grace.map(|grace| {
            let (keys, values) = (keys.clone(), join.values.clone());
            let buffer = TypedStoreBuilder::new(format!("{name}-Buffer"), StoreKind::KeyValue, true, keys, values);
            Grace { grace_ms: millis(grace), buffer }
        });
        let lowering = stream_table_join(view, join, grace);
        let traits = Traits { takes_null_keys: left, ..Traits::default() };
        let node = graph.add(&[parent], name, traits, Body::Node(lowering));
        drop(graph);
        KStream {
            graph: self.graph.clone(),
            node,
            sources,
            keys: Some(keys),
            values: None,
            key_hash: self.key_hash,
            repartition_required: false,
        }
    }

    /// The node of a join's repartition topic, and its source. A join without a name shares the last topic that its stream
    /// was repartitioned by for a join (`repartitionForJoin`).
    pub(super) fn repartition_for_join(
        &self,
        graph: &mut Graph,
        name: Option<&String>,
        spec: lower::Repartition<K, V>,
    ) -> (GraphId, GraphId) {
        let stream_name = graph.nodes.get(self.node.0).map(|node| node.name.clone()).unwrap_or_default();
        let names = graph.repartition(name.unwrap_or(&stream_name));
        if let (None, Some(shared)) = (name, graph.join_repartitions.get(&self.node).copied()) {
            // After a stream with a name of its own the source is called the same each time, so that it is one.
            let known = graph.nodes.get(shared.0).is_some_and(|node| node.name == names.source);
            return (shared, if known { shared } else { graph.share(shared) });
        }
        let (source, body) = (names.source.clone(), Body::Repartition(names, lower::repartition(spec)));
        let node = graph.add(&[self.node], source, Traits::default(), body);
        graph.join_repartitions.insert(self.node, node);
        (node, node)
    }
}
