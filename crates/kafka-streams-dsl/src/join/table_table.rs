//! A table joined with another of the same keys: a table of what comes of the rows of both.

use kafka_streams_core::SharedSerde;

use crate::graph::{Body, TableKind, Traits};
use crate::lower::table_join::{self, TableJoinSide, TableJoinSpec};
use crate::lower::{StoreSlot, TableStore};
use crate::node::table_table_join::Missing;
use crate::option::Materialized;
use crate::view::View;
use crate::{BuildError, IntoRow, KTable, prefix};

/// Whose rows give results without a row of the other table.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Outer {
    left: bool,
    right: bool,
}

const INNER: Outer = Outer { left: false, right: false };
const LEFT: Outer = Outer { left: true, right: false };
const OUTER: Outer = Outer { left: true, right: true };

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// The table of the keys that both tables have, with what `joiner` makes of their rows. An update of either table
    /// updates the result; its time is the later of both rows'.
    ///
    /// `joiner` returns a row, or an `Option`, whose `None` is no row; in that case the type of the result must be said.
    /// Topics of both sides must have equal numbers of partitions.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # use kafka_streams_dsl::KTable;
    /// let prices = builder.table::<String, i64>("prices");
    /// let stock = builder.table::<String, i64>("stock");
    /// let worth = prices.join(&stock, |price, pieces| price * pieces);
    /// let not_nothing: KTable<String, i64> = prices.join(&stock, |price, pieces| (pieces > 0).then(|| price * pieces));
    /// ```
    #[track_caller]
    pub fn join<V2, R, VO, F>(&self, other: &KTable<K, V2>, joiner: F) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, V2) -> R + Send + Sync + 'static,
    {
        self.join_tables(None, other, inner(joiner), None, INNER)
    }

    /// [`join`](KTable::join) by nodes of this name.
    #[track_caller]
    pub fn join_named<V2, R, VO, F>(&self, name: impl Into<String>, other: &KTable<K, V2>, joiner: F) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, V2) -> R + Send + Sync + 'static,
    {
        self.join_tables(Some(name.into()), other, inner(joiner), None, INNER)
    }

    /// [`join`](KTable::join), stored as `materialized` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let prices = builder.table::<String, i64>("prices");
    /// # let stock = builder.table::<String, i64>("stock");
    /// let worth = prices.join_with(&stock, |price, pieces| price * pieces, Materialized::named("worth"));
    /// ```
    #[track_caller]
    pub fn join_with<V2, R, VO, F>(
        &self,
        other: &KTable<K, V2>,
        joiner: F,
        materialized: Materialized<K, VO>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, V2) -> R + Send + Sync + 'static,
    {
        self.join_tables(None, other, inner(joiner), Some(materialized), INNER)
    }

    /// [`join_with`](KTable::join_with) by nodes of this name.
    #[track_caller]
    pub fn join_with_named<V2, R, VO, F>(
        &self,
        name: impl Into<String>,
        other: &KTable<K, V2>,
        joiner: F,
        materialized: Materialized<K, VO>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, V2) -> R + Send + Sync + 'static,
    {
        self.join_tables(Some(name.into()), other, inner(joiner), Some(materialized), INNER)
    }

    /// As [`join`](KTable::join), for all keys of this table; the other table may have no row.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let prices = builder.table::<String, i64>("prices");
    /// # let stock = builder.table::<String, i64>("stock");
    /// let worth = prices.left_join(&stock, |price, pieces| price * pieces.unwrap_or(0));
    /// ```
    #[track_caller]
    pub fn left_join<V2, R, VO, F>(&self, other: &KTable<K, V2>, joiner: F) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(None, other, left(joiner), None, LEFT)
    }

    /// [`left_join`](KTable::left_join) by nodes of this name.
    #[track_caller]
    pub fn left_join_named<V2, R, VO, F>(
        &self,
        name: impl Into<String>,
        other: &KTable<K, V2>,
        joiner: F,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(Some(name.into()), other, left(joiner), None, LEFT)
    }

    /// [`left_join`](KTable::left_join), stored as `materialized` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let prices = builder.table::<String, i64>("prices");
    /// # let stock = builder.table::<String, i64>("stock");
    /// let stored = Materialized::named("worth");
    /// let worth = prices.left_join_with(&stock, |price, pieces| price * pieces.unwrap_or(0), stored);
    /// ```
    #[track_caller]
    pub fn left_join_with<V2, R, VO, F>(
        &self,
        other: &KTable<K, V2>,
        joiner: F,
        materialized: Materialized<K, VO>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(None, other, left(joiner), Some(materialized), LEFT)
    }

    /// [`left_join_with`](KTable::left_join_with) by nodes of this name.
    #[track_caller]
    pub fn left_join_with_named<V2, R, VO, F>(
        &self,
        name: impl Into<String>,
        other: &KTable<K, V2>,
        joiner: F,
        materialized: Materialized<K, VO>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(V, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(Some(name.into()), other, left(joiner), Some(materialized), LEFT)
    }

    /// As [`join`](KTable::join), for all keys of either table: `joiner` gets one row or both.
    ///
    /// ```
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let web = builder.table::<String, i64>("web-orders");
    /// # let shop = builder.table::<String, i64>("shop-orders");
    /// let all_orders = web.outer_join(&shop, |web, shop| web.unwrap_or(0) + shop.unwrap_or(0));
    /// ```
    #[track_caller]
    pub fn outer_join<V2, R, VO, F>(&self, other: &KTable<K, V2>, joiner: F) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(Option<V>, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(None, other, outer(joiner), None, OUTER)
    }

    /// [`outer_join`](KTable::outer_join) by nodes of this name.
    #[track_caller]
    pub fn outer_join_named<V2, R, VO, F>(
        &self,
        name: impl Into<String>,
        other: &KTable<K, V2>,
        joiner: F,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(Option<V>, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(Some(name.into()), other, outer(joiner), None, OUTER)
    }

    /// [`outer_join`](KTable::outer_join), stored as `materialized` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let web = builder.table::<String, i64>("web-orders");
    /// # let shop = builder.table::<String, i64>("shop-orders");
    /// let stored = Materialized::named("all-orders");
    /// let all_orders = web.outer_join_with(&shop, |web, shop| web.unwrap_or(0) + shop.unwrap_or(0), stored);
    /// ```
    #[track_caller]
    pub fn outer_join_with<V2, R, VO, F>(
        &self,
        other: &KTable<K, V2>,
        joiner: F,
        materialized: Materialized<K, VO>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(Option<V>, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(None, other, outer(joiner), Some(materialized), OUTER)
    }

    /// [`outer_join_with`](KTable::outer_join_with) by nodes of this name.
    #[track_caller]
    pub fn outer_join_with_named<V2, R, VO, F>(
        &self,
        name: impl Into<String>,
        other: &KTable<K, V2>,
        joiner: F,
        materialized: Materialized<K, VO>,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        R: IntoRow<VO>,
        VO: Clone + 'static,
        F: Fn(Option<V>, Option<V2>) -> R + Send + Sync + 'static,
    {
        self.join_tables(Some(name.into()), other, outer(joiner), Some(materialized), OUTER)
    }

    /// Names are drawn in the JVM's order (`KTableImpl.doJoin`): the store's if it is generated, merge, this, other.
    #[track_caller]
    fn join_tables<V2, VO, F>(
        &self,
        name: Option<String>,
        other: &KTable<K, V2>,
        f: F,
        materialized: Option<Materialized<K, VO>>,
        outer: Outer,
    ) -> KTable<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, Option<V>, Option<V2>) -> Option<VO> + Clone + Send + Sync + 'static,
    {
        let mut graph = self.graph.lock();
        let stored = materialized.as_ref();
        let store_name = stored.map(|stored| graph.store_name(stored.store.as_ref(), prefix::TABLE_MERGE));
        let merge = graph.node_name(name.clone(), prefix::TABLE_MERGE);
        let mut sources = self.sources.clone();
        if self.graph.is_same_as(&other.graph) {
            sources.extend(other.sources.iter().filter(|source| !self.sources.contains(source)));
            graph.copartitions.push(sources.clone());
            if outer.left {
                graph.send_old_values(self.table, true);
            }
            if outer.right {
                graph.send_old_values(other.table, true);
            }
            graph.make_readable(self.table);
            graph.make_readable(other.table);
        } else {
            graph.errors.push(BuildError::TwoBuilders { node: merge.clone() });
        }
        let this_name = graph.suffixed_name(name.as_ref(), "-join-this", prefix::TABLE_JOIN_THIS);
        let other_name = graph.suffixed_name(name.as_ref(), "-join-other", prefix::TABLE_JOIN_OTHER);
        let keys = stored.map_or_else(|| self.keys.clone(), |stored| stored.key_serde(&self.keys));
        let values: Option<SharedSerde<VO>> = stored.map(|stored| stored.values.or_inherited(None));
        let builder = stored.zip(store_name.as_ref()).zip(values.as_ref());
        let builder = builder.map(|((stored, name), values)| stored.key_value_store(name, &keys, values));
        let table = graph.add_table(TableKind::Joined(self.table, other.table), builder.is_some());
        let slot = StoreSlot::default();
        let reverse = {
            let f = f.clone();
            move |key: &K, own: Option<V2>, other: Option<V>| f(key, other, own)
        };
        let view = View::joined(self.view.clone(), other.view.clone(), present(f.clone(), outer), slot.clone());
        let left = TableJoinSide {
            name: this_name,
            view: self.view.clone(),
            missing: Missing { other: outer.left, own: outer.right },
            f,
        };
        let right = TableJoinSide {
            name: other_name,
            view: other.view.clone(),
            missing: Missing { other: outer.right, own: outer.left },
            f: reverse,
        };
        let store = TableStore { table, builder, slot };
        let spec = TableJoinSpec { left, right, store, values: values.clone() };
        let body = Body::Node(table_join::table_join(spec));
        let parents: &[_] = if self.graph.is_same_as(&other.graph) { &[self.node, other.node] } else { &[self.node] };
        let node = graph.add(parents, merge, Traits::default(), body);
        graph.set_output_versioned(node, false);
        drop(graph);
        KTable {
            graph: self.graph.clone(),
            node,
            table,
            sources,
            keys,
            values,
            key_hash: self.key_hash,
            store_name: materialized.and_then(|stored| stored.store).map(Into::into),
            view,
        }
    }
}

/// The function of a view: none where the kind of the join asks for a row that is not there.
fn present<K, V1, V2, VO>(
    f: impl Fn(&K, Option<V1>, Option<V2>) -> Option<VO>,
    outer: Outer,
) -> impl Fn(&K, Option<V1>, Option<V2>) -> Option<VO> {
    move |key, left, right| {
        let has_result = match (&left, &right) {
            (Some(_), Some(_)) => true,
            (Some(_), None) => outer.left,
            (None, Some(_)) => outer.right,
            (None, None) => false,
        };
        if has_result { f(key, left, right) } else { None }
    }
}

trait Joiner<K, V1, V2, VO>: Fn(&K, Option<V1>, Option<V2>) -> Option<VO> + Clone + Send + Sync + 'static {}
impl<K, V1, V2, VO, F> Joiner<K, V1, V2, VO> for F where
    F: Fn(&K, Option<V1>, Option<V2>) -> Option<VO> + Clone + Send + Sync + 'static
{
}

fn inner<K, V1, V2, R: IntoRow<VO>, VO>(f: impl Fn(V1, V2) -> R + Send + Sync + 'static) -> impl Joiner<K, V1, V2, VO> {
    let f = std::sync::Arc::new(f);
    move |_: &K, left: Option<V1>, right: Option<V2>| f(left?, right?).into_row()
}

fn left<K, V1, V2, R: IntoRow<VO>, VO>(
    f: impl Fn(V1, Option<V2>) -> R + Send + Sync + 'static,
) -> impl Joiner<K, V1, V2, VO> {
    let f = std::sync::Arc::new(f);
    move |_: &K, left: Option<V1>, right: Option<V2>| f(left?, right).into_row()
}

fn outer<K, V1, V2, R: IntoRow<VO>, VO>(
    f: impl Fn(Option<V1>, Option<V2>) -> R + Send + Sync + 'static,
) -> impl Joiner<K, V1, V2, VO> {
    let f = std::sync::Arc::new(f);
    move |_: &K, left: Option<V1>, right: Option<V2>| f(left, right).into_row()
}
