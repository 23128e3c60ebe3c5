//! Several grouped streams, waiting to be aggregated into one table.

use std::sync::{Arc, OnceLock};

use kafka_streams_core::{Change, Children, Record, SharedSerde, TaskContext};
use kafka_streams_state::{
    SessionStoreBuilder, TimestampedKeyValueStoreBuilder, TimestampedWindowStoreBuilder, Windowed,
};

use crate::graph::{Body, Graph, GraphId, SharedGraph, TableId, TableKind, Traits};
use crate::lower::{self, StoreSlot, TableStore};
use crate::node::aggregate::{Aggregate, Aggregation};
use crate::node::session_aggregate::SessionAggregation;
use crate::node::window_aggregate::WindowAggregation;
use crate::option::Materialized;
use crate::session_windowed::{self, merge_some};
use crate::view::View;
use crate::windowed;
use crate::windows::{FixedWindows, Windows};
use crate::{
    BuildError, KGroupedStream, KTable, SessionWindowedSerde, SessionWindows, TimeWindowedSerde, prefix,
    session_windowed_serde, time_windowed_serde,
};

/// Grouped streams that are aggregated into one table of results of type `A`. Made by
/// [`KGroupedStream::cogroup`](KGroupedStream::cogroup).
///
/// It is what aggregating each stream and joining the tables would give, with one store and no join. Each aggregator takes
/// the key, the next value of its stream, and the result so far.
pub struct CogroupedKStream<K: 'static, A: 'static> {
    graph: SharedGraph,
    keys: SharedSerde<K>,
    parts: Vec<Arc<dyn Part<K, A>>>,
}

impl<K: Clone + 'static, A: Clone + 'static> CogroupedKStream<K, A> {
    #[track_caller]
    pub(crate) fn of<V, F>(grouped: &KGroupedStream<K, V>, adder: F) -> Self
    where
        V: Clone + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        let graph = grouped.stream().graph.clone();
        CogroupedKStream { graph, keys: grouped.keys.clone(), parts: Vec::new() }.cogroup(grouped, adder)
    }

    /// Adds a grouped stream, whose values `adder` puts into the result. A grouping that is already there gets this
    /// aggregator instead of its own.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
    /// # let builder = StreamsBuilder::new();
    /// let clicks = builder.stream::<String, String>("clicks").group_by_key(Grouped::default());
    /// let likes = builder.stream::<String, String>("likes").group_by_key(Grouped::default());
    /// let interest = clicks
    ///     .cogroup(|_user, _page, interest: i64| interest + 1)
    ///     .cogroup(&likes, |_user, _page, interest| interest + 10)
    ///     .aggregate(|| 0, Materialized::named("interest"));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn cogroup<V, F>(mut self, grouped: &KGroupedStream<K, V>, adder: F) -> Self
    where
        V: Clone + 'static,
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        if !grouped.stream().graph.is_same_as(&self.graph) {
            self.graph.lock().errors.push(BuildError::TwoBuilders { node: prefix::COGROUP_AGGREGATE.to_owned() });
            return self;
        }
        let identity = grouped.identity();
        let part = Arc::new(PartOf { grouped: grouped.clone(), adder: Arc::new(adder), topic: OnceLock::new() });
        match self.parts.iter_mut().find(|part| part.identity() == identity) {
            Some(known) => *known = part,
            None => self.parts.push(part),
        }
        self
    }

    /// The results of each key; `init` begins one.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder};
    /// # let builder = StreamsBuilder::new();
    /// # let clicks = builder.stream::<String, String>("clicks").group_by_key(Grouped::default());
    /// let clicks_per_user = clicks.cogroup(|_, _, n: i64| n + 1).aggregate(|| 0, Materialized::named("clicks-per-user"));
    /// ```
    pub fn aggregate<I>(&self, init: I, materialized: Materialized<K, A>) -> KTable<K, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
    {
        self.do_aggregate(None, init, materialized)
    }

    /// [`aggregate`](CogroupedKStream::aggregate) by nodes of this name: `<name>-cogroup-agg-0` and so on, and
    /// `<name>-cogroup-merge`.
    pub fn aggregate_named<I>(&self, name: impl Into<String>, init: I, materialized: Materialized<K, A>) -> KTable<K, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
    {
        self.do_aggregate(Some(name.into()), init, materialized)
    }

    /// Groups the records of each key by windows.
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder, TimeWindows};
    /// # use std::time::Duration;
    /// # let builder = StreamsBuilder::new();
    /// # let clicks = builder.stream::<String, String>("clicks").group_by_key(Grouped::default());
    /// # let likes = builder.stream::<String, String>("likes").group_by_key(Grouped::default());
    /// let interest_per_minute = clicks
    ///     .cogroup(|_user, _page, interest: i64| interest + 1)
    ///     .cogroup(&likes, |_user, _page, interest| interest + 10)
    ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
    ///     .aggregate(|| 0, Materialized::named("interest-per-minute"));
    /// ```
    pub fn windowed_by<W: Windows>(&self, windows: W) -> W::Cogrouped<K, A> {
        windows.window_all(self)
    }

    fn do_aggregate<I>(&self, name: Option<String>, init: I, materialized: Materialized<K, A>) -> KTable<K, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
    {
        let mut graph = self.graph.lock();
        let store_name = graph.store_name(materialized.store.as_ref(), prefix::COGROUP_AGGREGATE);
        let (keys, results) = (materialized.key_serde(&self.keys), materialized.values.or_inherited(None));
        let builder = materialized.key_value_store(&store_name, &keys, &results);
        let (init, slot): (Init<A>, _) = (Arc::new(init), StoreSlot::default());
        let (table, node) = self.add(&mut graph, name, &store_name, |part, graph, parent, name, table| {
            let store = TableStore { table, builder: Some(builder.clone()), slot: slot.clone() };
            part.add_plain(graph, (parent, name), store, init.clone(), results.clone())
        });
        let node = add_merge::<K, A>(&mut graph, node);
        drop(graph);
        self.table(node, table, keys, results, None, materialized.store, View::of_store(slot))
    }

    /// Adds the nodes of all streams; their names, and that of the node that puts their results together.
    fn add(
        &self,
        graph: &mut Graph,
        name: Option<String>,
        store_name: &str,
        add: impl Fn(&dyn Part<K, A>, &mut Graph, GraphId, String, TableId) -> GraphId,
    ) -> (TableId, Merge) {
        let parents: Vec<_> = self.parts.iter().map(|part| part.parent(graph, store_name)).collect();
        graph.copartitions.push(self.parts.iter().flat_map(|part| part.sources()).collect());
        let table = graph.add_table(TableKind::Aggregate, true);
        let mut nodes = Vec::new();
        for (at, (part, parent)) in self.parts.iter().zip(parents).enumerate() {
            let suffix = format!("-cogroup-agg-{at}");
            let name = graph.suffixed_name(name.as_ref(), &suffix, prefix::COGROUP_AGGREGATE);
            nodes.push(add(&**part, graph, parent, name, table));
        }
        let name = graph.suffixed_name(name.as_ref(), "-cogroup-merge", prefix::COGROUP_MERGE);
        (table, Merge { name, nodes })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a table, put together in three places")]
    #[track_caller]
    fn table<K2: 'static>(
        &self,
        node: GraphId,
        table: TableId,
        keys: SharedSerde<K2>,
        values: SharedSerde<A>,
        key_hash: Option<kafka_streams_topology::HashedKeyPart>,
        store_name: Option<String>,
        view: View<K2, A>,
    ) -> KTable<K2, A> {
        KTable {
            graph: self.graph.clone(),
            node,
            table,
            // As on the JVM, joins do not look behind the node that puts the results together.
            sources: vec![node],
            keys,
            values: Some(values),
            key_hash,
            store_name: store_name.map(Into::into),
            view,
        }
    }
}

/// Grouped streams in windows of time. Made by [`windowed_by`](CogroupedKStream::windowed_by).
pub struct TimeWindowedCogroupedKStream<K: 'static, A: 'static> {
    grouped: CogroupedKStream<K, A>,
    windows: FixedWindows,
}

impl<K: Clone + 'static, A: Clone + 'static> TimeWindowedCogroupedKStream<K, A> {
    pub(crate) fn new(grouped: CogroupedKStream<K, A>, windows: FixedWindows) -> Self {
        if let Err(error) = windows.check() {
            grouped.graph.lock().errors.push(error);
        }
        TimeWindowedCogroupedKStream { grouped, windows }
    }

    /// The results of each key and window; `init` begins one. As
    /// [`TimeWindowedKStream::aggregate`](crate::TimeWindowedKStream::aggregate).
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, StreamsBuilder, TimeWindows};
    /// # use std::time::Duration;
    /// # let builder = StreamsBuilder::new();
    /// # let clicks = builder.stream::<String, String>("clicks").group_by_key(Grouped::default());
    /// let clicks_per_minute = clicks
    ///     .cogroup(|_user, _page, clicks: i64| clicks + 1)
    ///     .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(60)))
    ///     .aggregate(|| 0, Materialized::named("clicks-per-minute"));
    /// ```
    pub fn aggregate<I>(&self, init: I, materialized: Materialized<K, A>) -> KTable<Windowed<K>, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
    {
        self.do_aggregate(None, init, materialized)
    }

    /// [`aggregate`](TimeWindowedCogroupedKStream::aggregate) by nodes of this name.
    pub fn aggregate_named<I>(
        &self,
        name: impl Into<String>,
        init: I,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
    {
        self.do_aggregate(Some(name.into()), init, materialized)
    }

    fn do_aggregate<I>(&self, name: Option<String>, init: I, materialized: Materialized<K, A>) -> KTable<Windowed<K>, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
    {
        let (grouped, windows) = (&self.grouped, self.windows);
        let mut graph = grouped.graph.lock();
        let store_name = graph.store_name(materialized.store.as_ref(), prefix::COGROUP_AGGREGATE);
        let (keys, results) = (materialized.key_serde(&grouped.keys), materialized.values.or_inherited(None));
        let builder = materialized.window_store(&mut graph, &store_name, windows, false, &keys, &results);
        let (init, slot): (Init<A>, _) = (Arc::new(init), StoreSlot::default());
        let (table, merge) = grouped.add(&mut graph, name, &store_name, |part, graph, parent, name, table| {
            let store = TableStore { table, builder: Some(builder.clone()), slot: slot.clone() };
            part.add_windowed(graph, (parent, name), store, windows, init.clone(), results.clone())
        });
        let node = add_merge::<Windowed<K>, A>(&mut graph, merge);
        drop(graph);
        let keys = Arc::new(TimeWindowedSerde::shared(keys, windows.size_ms()));
        let (hash, view) = (Some(time_windowed_serde::base_key as _), View::of_window_store(slot));
        grouped.table(node, table, keys, results, hash, materialized.store, view)
    }
}

/// Grouped streams in sessions. Made by [`windowed_by`](CogroupedKStream::windowed_by).
pub struct SessionWindowedCogroupedKStream<K: 'static, A: 'static> {
    grouped: CogroupedKStream<K, A>,
    windows: SessionWindows,
}

impl<K: Clone + 'static, A: Clone + 'static> SessionWindowedCogroupedKStream<K, A> {
    pub(crate) fn new(grouped: CogroupedKStream<K, A>, windows: SessionWindows) -> Self {
        if let Err(error) = windows.check() {
            grouped.graph.lock().errors.push(error);
        }
        SessionWindowedCogroupedKStream { grouped, windows }
    }

    /// The results of each session; `init` begins one, and `merger` puts the results of two sessions together that become
    /// one. As [`SessionWindowedKStream::aggregate`](crate::SessionWindowedKStream::aggregate).
    ///
    /// ```
    /// # use kafka_streams_dsl::{Grouped, Materialized, SessionWindows, StreamsBuilder};
    /// # use std::time::Duration;
    /// # let builder = StreamsBuilder::new();
    /// # let clicks = builder.stream::<String, String>("clicks").group_by_key(Grouped::default());
    /// let clicks_per_visit = clicks
    ///     .cogroup(|_user, _page, clicks: i64| clicks + 1)
    ///     .windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(1800)))
    ///     .aggregate(|| 0, |_user, a, b| a + b, Materialized::named("clicks-per-visit"));
    /// ```
    #[track_caller]
    pub fn aggregate<I, M>(&self, init: I, merger: M, materialized: Materialized<K, A>) -> KTable<Windowed<K>, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
        M: Fn(&K, A, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(None, init, merger, materialized)
    }

    /// [`aggregate`](SessionWindowedCogroupedKStream::aggregate) by nodes of this name.
    #[track_caller]
    pub fn aggregate_named<I, M>(
        &self,
        name: impl Into<String>,
        init: I,
        merger: M,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
        M: Fn(&K, A, A) -> A + Send + Sync + 'static,
    {
        self.do_aggregate(Some(name.into()), init, merger, materialized)
    }

    #[track_caller]
    fn do_aggregate<I, M>(
        &self,
        name: Option<String>,
        init: I,
        merger: M,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A>
    where
        I: Fn() -> A + Send + Sync + 'static,
        M: Fn(&K, A, A) -> A + Send + Sync + 'static,
    {
        let (grouped, windows) = (&self.grouped, self.windows);
        let mut graph = grouped.graph.lock();
        let store_name = graph.store_name(materialized.store.as_ref(), prefix::COGROUP_AGGREGATE);
        let (keys, results) = (materialized.key_serde(&grouped.keys), materialized.values.or_inherited(None));
        let builder = materialized.session_store(&mut graph, &store_name, windows, false, &keys, &results);
        let (init, slot): (Init<A>, _) = (Arc::new(init), StoreSlot::default());
        let merger: Merger<K, A> = Arc::new(merger);
        let (table, merge) = grouped.add(&mut graph, name, &store_name, |part, graph, parent, name, table| {
            let store = TableStore { table, builder: Some(builder.clone()), slot: slot.clone() };
            let functions = (init.clone(), merger.clone());
            part.add_sessions(graph, (parent, name), store, windows, functions, results.clone())
        });
        let node = add_merge::<Windowed<K>, A>(&mut graph, merge);
        drop(graph);
        let keys = Arc::new(SessionWindowedSerde::shared(keys));
        let (hash, view) = (Some(session_windowed_serde::base_key as _), View::of_session_store(slot));
        grouped.table(node, table, keys, results, hash, materialized.store, view)
    }
}

type Init<A> = Arc<dyn Fn() -> A + Send + Sync>;
type Merger<K, A> = Arc<dyn Fn(&K, A, A) -> A + Send + Sync>;

/// One of the grouped streams, whatever its values are.
trait Part<K: 'static, A: 'static>: Send + Sync {
    /// Tells groupings apart.
    fn identity(&self) -> *const ();

    /// The node below which the part's node is attached.
    fn parent(&self, graph: &mut Graph, store_name: &str) -> GraphId;

    /// The nodes that read the stream's topics.
    fn sources(&self) -> Vec<GraphId>;

    fn add_plain(
        &self,
        graph: &mut Graph,
        place: (GraphId, String),
        store: TableStore<TimestampedKeyValueStoreBuilder<K, A>>,
        init: Init<A>,
        results: SharedSerde<A>,
    ) -> GraphId;

    fn add_windowed(
        &self,
        graph: &mut Graph,
        place: (GraphId, String),
        store: TableStore<TimestampedWindowStoreBuilder<K, A>>,
        windows: FixedWindows,
        init: Init<A>,
        results: SharedSerde<A>,
    ) -> GraphId;

    fn add_sessions(
        &self,
        graph: &mut Graph,
        place: (GraphId, String),
        store: TableStore<SessionStoreBuilder<K, A>>,
        windows: SessionWindows,
        functions: (Init<A>, Merger<K, A>),
        results: SharedSerde<A>,
    ) -> GraphId;
}

struct PartOf<K, V, F> {
    grouped: KGroupedStream<K, V>,
    adder: Arc<F>,
    /// The repartition topic, once there is one.
    topic: OnceLock<GraphId>,
}

impl<K, V, F> PartOf<K, V, F> {
    #[track_caller]
    fn add<A>(&self) -> impl Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + use<K, V, F, A>
    where
        F: Fn(&K, V, A) -> A + Send + Sync + 'static,
    {
        let adder = self.adder.clone();
        move |key, value, before| before.map(|before| adder(key, value, before))
    }
}

impl<K, V, A, F> Part<K, A> for PartOf<K, V, F>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    F: Fn(&K, V, A) -> A + Send + Sync + 'static,
{
    fn identity(&self) -> *const () {
        self.grouped.identity()
    }

    fn parent(&self, graph: &mut Graph, store_name: &str) -> GraphId {
        self.grouped.cogrouped_from(graph, store_name, &self.topic)
    }

    fn sources(&self) -> Vec<GraphId> {
        self.grouped.stream().sources.clone()
    }

    fn add_plain(
        &self,
        graph: &mut Graph,
        (parent, name): (GraphId, String),
        store: TableStore<TimestampedKeyValueStoreBuilder<K, A>>,
        init: Init<A>,
        results: SharedSerde<A>,
    ) -> GraphId {
        let (keys, values) = (self.grouped.keys.clone(), self.grouped.values.clone());
        let aggregation = Arc::new(Aggregation { keys, values, results, init: move || Some(init()), f: self.add() });
        let lowering = lower::table::<K, V, _, _, _, _>(store, move |parts| Aggregate::new(&aggregation, parts));
        graph.add_unversioned(&[parent], name, Traits::default(), Body::Node(lowering))
    }

    fn add_windowed(
        &self,
        graph: &mut Graph,
        (parent, name): (GraphId, String),
        store: TableStore<TimestampedWindowStoreBuilder<K, A>>,
        windows: FixedWindows,
        init: Init<A>,
        results: SharedSerde<A>,
    ) -> GraphId {
        let (keys, values) = (self.grouped.keys.clone(), self.grouped.values.clone());
        let init = move || Some(init());
        let aggregation = WindowAggregation { windows, on_close: false, keys, values, results, init, f: self.add() };
        windowed::add_node(graph, parent, name, store, aggregation)
    }

    fn add_sessions(
        &self,
        graph: &mut Graph,
        (parent, name): (GraphId, String),
        store: TableStore<SessionStoreBuilder<K, A>>,
        windows: SessionWindows,
        (init, merger): (Init<A>, Merger<K, A>),
        results: SharedSerde<A>,
    ) -> GraphId {
        let (keys, init) = (self.grouped.keys.clone(), move || Some(init()));
        let merge = merge_some(move |key: &K, a, b| Some(merger(key, a, b)));
        let aggregation = SessionAggregation { windows, on_close: false, keys, results, init, f: self.add(), merge };
        session_windowed::add_node::<K, V, _, _, _, _>(graph, parent, name, store, aggregation)
    }
}

/// The node that puts the results of all streams together, before it is added.
struct Merge {
    name: String,
    nodes: Vec<GraphId>,
}

/// Adds the node that puts the results of all streams together (`KTablePassThrough` of the JVM).
fn add_merge<K: Clone + 'static, A: Clone + 'static>(graph: &mut Graph, merge: Merge) -> GraphId {
    let lowering = lower::stateless::<K, Change<A>, _, _, _>(|out: Children<K, Change<A>>| {
        move |cx: &mut TaskContext, record: Record<K, Change<A>>| out.forward(cx, record)
    });
    graph.add(&merge.nodes, merge.name, Traits::default(), Body::Node(lowering))
}

impl<K: 'static, A: 'static> Clone for CogroupedKStream<K, A> {
    fn clone(&self) -> Self {
        CogroupedKStream { graph: self.graph.clone(), keys: self.keys.clone(), parts: self.parts.clone() }
    }
}

impl<K: 'static, A: 'static> Clone for TimeWindowedCogroupedKStream<K, A> {
    fn clone(&self) -> Self {
        TimeWindowedCogroupedKStream { grouped: self.grouped.clone(), windows: self.windows }
    }
}

impl<K: 'static, A: 'static> Clone for SessionWindowedCogroupedKStream<K, A> {
    fn clone(&self) -> Self {
        SessionWindowedCogroupedKStream { grouped: self.grouped.clone(), windows: self.windows }
    }
}
