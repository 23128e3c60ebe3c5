//! A stream joined with a global table: each record meets the row of a key of its choice.

use std::sync::Arc;

use kafka_streams_core::DefaultSerde;

use crate::global_table::check_same_builder;
use crate::graph::{Body, Traits};
use crate::node::stream_global_table_join::{GlobalTableJoin, StreamGlobalTableJoin};
use crate::option::Joined;
use crate::{GlobalKTable, KStream, lower, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Joins each record with the global table's row of the key that `select` finds; a record without a row is dropped, as
    /// is one with a null value. Nothing is repartitioned.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let products = builder.global_table::<String, i64>("prices");
    /// let orders = builder.stream::<String, String>("orders");
    /// let priced = orders.join_global(&products, |_customer, product| product.clone(), |product, price| (product, price));
    /// # let _: kafka_streams_dsl::KStream<String, (String, i64)> = priced;
    /// ```
    #[track_caller]
    pub fn join_global<KG, VG, VO, S, F>(&self, table: &GlobalKTable<KG, VG>, select: S, joiner: F) -> KStream<K, VO>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        KG: Clone + 'static,
        VG: Clone + 'static,
        VO: Clone + 'static,
        S: Fn(&K, &V) -> KG + Send + Sync + 'static,
        F: Fn(V, VG) -> VO + Send + Sync + 'static,
    {
        self.join_global_with(table, select, move |_, value, row| joiner(value, row), Joined::default())
    }

    /// [`join_global`](KStream::join_global) by a joiner that sees the record's key, named as `joined` says. Its serdes only
    /// tell null values.
    ///
    /// ```
    /// # use kafka_streams_dsl::Joined;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let products = builder.global_table::<String, i64>("prices");
    /// # let orders = builder.stream::<String, String>("orders");
    /// let by_product = |_: &String, product: &String| product.clone();
    /// orders.join_global_with(&products, by_product, |who, _, price| format!("{who}: {price}"), Joined::named("priced"));
    /// ```
    #[track_caller]
    pub fn join_global_with<KG, VG, VO, S, F>(
        &self,
        table: &GlobalKTable<KG, VG>,
        select: S,
        joiner: F,
        joined: Joined<K, V>,
    ) -> KStream<K, VO>
    where
        KG: Clone + 'static,
        VG: Clone + 'static,
        VO: Clone + 'static,
        S: Fn(&K, &V) -> KG + Send + Sync + 'static,
        F: Fn(&K, V, VG) -> VO + Send + Sync + 'static,
    {
        let f = move |key: &K, value: V, row: Option<VG>| row.map(|row| joiner(key, value, row));
        self.do_join_global(table, select, f, joined, false)
    }

    /// Joins each record with the global table's row of the key that `select` finds, if there is one. Records with a null
    /// value are dropped; one whose selected key is null has no row.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let products = builder.global_table::<String, i64>("prices");
    /// let orders = builder.stream::<String, String>("orders");
    /// orders.left_join_global(&products, |_, product| product.clone(), |product, price| (product, price.unwrap_or(0)));
    /// ```
    #[track_caller]
    pub fn left_join_global<KG, VG, VO, S, F>(
        &self,
        table: &GlobalKTable<KG, VG>,
        select: S,
        joiner: F,
    ) -> KStream<K, VO>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        KG: Clone + 'static,
        VG: Clone + 'static,
        VO: Clone + 'static,
        S: Fn(&K, &V) -> KG + Send + Sync + 'static,
        F: Fn(V, Option<VG>) -> VO + Send + Sync + 'static,
    {
        self.left_join_global_with(table, select, move |_, value, row| joiner(value, row), Joined::default())
    }

    /// [`left_join_global`](KStream::left_join_global) by a joiner that sees the record's key, named as `joined` says.
    #[track_caller]
    pub fn left_join_global_with<KG, VG, VO, S, F>(
        &self,
        table: &GlobalKTable<KG, VG>,
        select: S,
        joiner: F,
        joined: Joined<K, V>,
    ) -> KStream<K, VO>
    where
        KG: Clone + 'static,
        VG: Clone + 'static,
        VO: Clone + 'static,
        S: Fn(&K, &V) -> KG + Send + Sync + 'static,
        F: Fn(&K, V, Option<VG>) -> VO + Send + Sync + 'static,
    {
        let f = move |key: &K, value: V, row: Option<VG>| Some(joiner(key, value, row));
        self.do_join_global(table, select, f, joined, true)
    }

    #[track_caller]
    fn do_join_global<KG, VG, VO, S, F>(
        &self,
        table: &GlobalKTable<KG, VG>,
        select: S,
        f: F,
        joined: Joined<K, V>,
        left: bool,
    ) -> KStream<K, VO>
    where
        KG: Clone + 'static,
        VG: Clone + 'static,
        VO: Clone + 'static,
        S: Fn(&K, &V) -> KG + Send + Sync + 'static,
        F: Fn(&K, V, Option<VG>) -> Option<VO> + Send + Sync + 'static,
    {
        let values = joined.values.or_inherited(self.values.as_ref());
        let mut graph = self.graph.lock();
        // Both kinds are named as left joins on the JVM.
        let name = graph.node_name(joined.name, prefix::LEFT_JOIN);
        graph.errors.extend(check_same_builder(table, &self.graph, &name));
        let join = Arc::new(GlobalTableJoin { keys: table.keys.clone(), values, left, select, f });
        let lowering = lower::reading_global(table.view.clone(), move |name, out, rows| {
            StreamGlobalTableJoin::new(&join, name, out, rows)
        });
        let traits = Traits { takes_null_keys: left, ..Traits::default() };
        let node = graph.add(&[self.node], name, traits, Body::Node(lowering));
        drop(graph);
        self.with_new_value(node)
    }
}
