//! A stream joined with another: records of equal keys meet if their times are close enough.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_core::{DefaultSerde, SharedSerde};
use kafka_streams_state::{StoreKind, TypedStoreBuilder, WindowStoreBuilder};

use crate::graph::{Body, Graph, GraphId, StreamJoinNode, Traits};
use crate::lower::stream_join::{self, JoinSide, StreamJoinSpec, WaitingStoreBuilder};
use crate::lower::{self, StoreSlot};
use crate::node::waiting_record::{LeftOrRightSerde, WaitingKeySerde};
use crate::option::{StreamJoined, WindowStoreSupplier};
use crate::{BuildError, JoinWindows, KStream, prefix};

/// Whose records are sent on without a partner.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Outer {
    left: bool,
    right: bool,
}

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Joins each record with the records of the other stream that have its key and lie within the windows. Each pair
    /// gives one result, whose time is the later of both. Records with a null key or a null value are dropped.
    ///
    /// Topics of both sides must have equal numbers of partitions. Streams whose keys may have changed are repartitioned.
    ///
    /// ```
    /// # use kafka_streams_dsl::JoinWindows;
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// let orders = builder.stream::<String, i64>("orders");
    /// let payments = builder.stream::<String, i64>("payments");
    /// let within_a_day = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(86_400));
    /// let still_due = orders.join_stream(&payments, |due, paid| due - paid, within_a_day);
    /// ```
    #[track_caller]
    pub fn join_stream<V2, VO, F>(&self, other: &KStream<K, V2>, joiner: F, windows: JoinWindows) -> KStream<K, VO>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        V2: DefaultSerde + Clone,
        VO: Clone + 'static,
        F: Fn(V, V2) -> VO + Send + Sync + 'static,
    {
        self.join_stream_with(other, move |_, left, right| joiner(left, right), windows, StreamJoined::default())
    }

    /// [`join_stream`](KStream::join_stream) by a function that sees the key, named and stored as `joined` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::{JoinWindows, StreamJoined};
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.stream::<String, i64>("orders");
    /// # let payments = builder.stream::<String, i64>("payments");
    /// # let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(86_400));
    /// let joined = StreamJoined::named("paid");
    /// let texts = orders.join_stream_with(&payments, |id, due, paid| format!("{id}: {paid} of {due}"), windows, joined);
    /// ```
    #[track_caller]
    pub fn join_stream_with<V2, VO, F>(
        &self,
        other: &KStream<K, V2>,
        joiner: F,
        windows: JoinWindows,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, V, V2) -> VO + Send + Sync + 'static,
    {
        let f = move |key: &K, left: Option<V>, right: Option<V2>| Some(joiner(key, left?, right?));
        self.join_streams(other, f, windows, joined, Outer { left: false, right: false })
    }

    /// As [`join_stream`](KStream::join_stream); a record of this stream that has found no partner when its windows are
    /// closed is sent on without one, with its own time. A record with a null key has no partner, and is sent on at once.
    ///
    /// Closed windows are looked for when a record moves the time of the streams on, at most once a second.
    ///
    /// ```
    /// # use kafka_streams_dsl::JoinWindows;
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.stream::<String, i64>("orders");
    /// # let payments = builder.stream::<String, i64>("payments");
    /// # let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(86_400));
    /// let still_due = orders.left_join_stream(&payments, |due, paid| due - paid.unwrap_or(0), windows);
    /// ```
    #[track_caller]
    pub fn left_join_stream<V2, VO, F>(&self, other: &KStream<K, V2>, joiner: F, windows: JoinWindows) -> KStream<K, VO>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        V2: DefaultSerde + Clone,
        VO: Clone + 'static,
        F: Fn(V, Option<V2>) -> VO + Send + Sync + 'static,
    {
        self.left_join_stream_with(other, move |_, left, right| joiner(left, right), windows, StreamJoined::default())
    }

    /// [`left_join_stream`](KStream::left_join_stream) by a function that sees the key, named and stored as `joined` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::{JoinWindows, StreamJoined};
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.stream::<String, i64>("orders");
    /// # let payments = builder.stream::<String, i64>("payments");
    /// # let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(86_400));
    /// let joined = StreamJoined::named("paid");
    /// orders.left_join_stream_with(&payments, |id, due, paid| format!("{id}: {paid:?} of {due}"), windows, joined);
    /// ```
    #[track_caller]
    pub fn left_join_stream_with<V2, VO, F>(
        &self,
        other: &KStream<K, V2>,
        joiner: F,
        windows: JoinWindows,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, V, Option<V2>) -> VO + Send + Sync + 'static,
    {
        let f = move |key: &K, left: Option<V>, right: Option<V2>| Some(joiner(key, left?, right));
        self.join_streams(other, f, windows, joined, Outer { left: true, right: false })
    }

    /// As [`left_join_stream`](KStream::left_join_stream), for the records of both streams: the function gets one side or
    /// both.
    ///
    /// ```
    /// # use kafka_streams_dsl::JoinWindows;
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.stream::<String, i64>("orders");
    /// # let payments = builder.stream::<String, i64>("payments");
    /// # let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(86_400));
    /// let open = orders.outer_join_stream(&payments, |due, paid| due.unwrap_or(0) - paid.unwrap_or(0), windows);
    /// ```
    #[track_caller]
    pub fn outer_join_stream<V2, VO, F>(
        &self,
        other: &KStream<K, V2>,
        joiner: F,
        windows: JoinWindows,
    ) -> KStream<K, VO>
    where
        K: DefaultSerde,
        V: DefaultSerde,
        V2: DefaultSerde + Clone,
        VO: Clone + 'static,
        F: Fn(Option<V>, Option<V2>) -> VO + Send + Sync + 'static,
    {
        self.outer_join_stream_with(other, move |_, left, right| joiner(left, right), windows, StreamJoined::default())
    }

    /// [`outer_join_stream`](KStream::outer_join_stream) by a function that sees the key, named and stored as `joined`
    /// says.
    ///
    /// ```
    /// # use kafka_streams_dsl::{JoinWindows, StreamJoined};
    /// # use std::time::Duration;
    /// # let builder = kafka_streams_dsl::StreamsBuilder::new();
    /// # let orders = builder.stream::<String, i64>("orders");
    /// # let payments = builder.stream::<String, i64>("payments");
    /// # let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(86_400));
    /// let joined = StreamJoined::named("paid");
    /// orders.outer_join_stream_with(&payments, |id, due, paid| format!("{id}: {paid:?} of {due:?}"), windows, joined);
    /// ```
    #[track_caller]
    pub fn outer_join_stream_with<V2, VO, F>(
        &self,
        other: &KStream<K, V2>,
        joiner: F,
        windows: JoinWindows,
        joined: StreamJoined<K, V, V2>,
    ) -> KStream<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, Option<V>, Option<V2>) -> VO + Send + Sync + 'static,
    {
        let f = move |key: &K, left: Option<V>, right: Option<V2>| Some(joiner(key, left, right));
        self.join_streams(other, f, windows, joined, Outer { left: true, right: true })
    }

    #[track_caller]
    fn join_streams<V2, VO, F>(
        &self,
        other: &KStream<K, V2>,
        f: F,
        windows: JoinWindows,
        joined: StreamJoined<K, V, V2>,
        outer: Outer,
    ) -> KStream<K, VO>
    where
        V2: Clone + 'static,
        VO: Clone + 'static,
        F: Fn(&K, Option<V>, Option<V2>) -> Option<VO> + Send + Sync + 'static,
    {
        let keys = joined.keys.or_inherited(self.keys.as_ref());
        let values = joined.values.or_inherited(self.values.as_ref());
        let other_values = joined.other_values.or_inherited(other.values.as_ref());
        let mut graph = self.graph.lock();
        let (this_node, mut sources) = self.co_partitioned(&mut graph, &joined, "-left", &keys, &values);
        let foreign = !self.graph.is_same_as(&other.graph);
        let (other_node, other_sources) = match foreign {
            true => (this_node, Vec::new()),
            false => other.co_partitioned(&mut graph, &joined, "-right", &keys, &other_values),
        };
        let further: Vec<_> = other_sources.into_iter().filter(|source| !sources.contains(source)).collect();
        sources.extend(further);
        let names = Names::draw(&mut graph, joined.name.as_ref(), outer);
        if foreign {
            graph.errors.push(BuildError::TwoBuilders { node: names.merge.clone() });
        }
        graph.copartitions.push(sources.clone());
        let plan = StorePlan { windows, joined: &joined, names: &names, outer };
        plan.check(&mut graph);
        let left = JoinSide {
            windowed: names.this_windowed.clone(),
            join: names.this_join.clone(),
            outer: outer.left,
            values: values.clone(),
            store: StoreSlot::default(),
        };
        let right = JoinSide {
            windowed: names.other_windowed.clone(),
            join: names.other_join.clone(),
            outer: outer.right,
            values: other_values.clone(),
            store: StoreSlot::default(),
        };
        let this_store = plan.window_store(&plan.this_store_name(), &joined.this_store, &keys, &values);
        let other_store = plan.window_store(&plan.other_store_name(), &joined.other_store, &keys, &other_values);
        let waiting = outer.left.then(|| plan.waiting_store(&keys, &values, &other_values));
        let windowed = stream_join::join_window(keys.clone(), this_store, left.store.clone());
        graph.add(&[this_node], names.this_windowed.clone(), Traits::default(), Body::Node(windowed));
        let windowed = stream_join::join_window(keys.clone(), other_store, right.store.clone());
        let other_windowed =
            graph.add(&[other_node], names.other_windowed.clone(), Traits::default(), Body::Node(windowed));
        let spec = StreamJoinSpec { windows, keys: keys.clone(), left, right, waiting, f };
        let body =
            Body::StreamJoin(StreamJoinNode { other_windowed, self_join: false }, stream_join::stream_join(spec));
        let traits = Traits { takes_null_keys: outer.left || outer.right, ..Traits::default() };
        let node = graph.add(&[this_node, other_node], names.merge, traits, body);
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

    /// The node of this stream, behind a repartition topic if one is needed, and the sources that it comes from.
    #[track_caller]
    fn co_partitioned<A, B>(
        &self,
        graph: &mut Graph,
        joined: &StreamJoined<K, A, B>,
        suffix: &str,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
    ) -> (GraphId, Vec<GraphId>) {
        if !self.repartition_required {
            return (self.node, self.sources.clone());
        }
        let name = joined.name.as_ref().map(|name| format!("{name}{suffix}"));
        let (keys, values) = (keys.clone(), values.clone());
        let spec = lower::Repartition { keys, values, partitioner: None, key_hash: self.key_hash };
        let (node, source) = self.repartition_for_join(graph, name.as_ref(), spec);
        (node, vec![source])
    }
}

/// The names of a join's nodes, and the generated ones after which stores are named.
struct Names {
    this_windowed: String,
    other_windowed: String,
    this_generated: String,
    other_generated: String,
    this_join: String,
    other_join: String,
    merge: String,
}

const THIS_JOIN: &str = "-this-join";
const OUTER_THIS_JOIN: &str = "-outer-this-join";
const OTHER_JOIN: &str = "-other-join";
const OUTER_OTHER_JOIN: &str = "-outer-other-join";

impl Names {
    /// Draws in the JVM's order (`KStreamImplJoin.join`).
    #[track_caller]
    fn draw(graph: &mut Graph, name: Option<&String>, outer: Outer) -> Self {
        let this_windowed = graph.suffixed_name(name, "-this-windowed", prefix::WINDOWED);
        let other_windowed = graph.suffixed_name(name, "-other-windowed", prefix::WINDOWED);
        let this_generated = graph.names.next_node(if outer.right { prefix::OUTER_THIS } else { prefix::JOIN_THIS });
        let other_generated = graph.names.next_node(if outer.left { prefix::OUTER_OTHER } else { prefix::JOIN_OTHER });
        let suffixed = |suffix: &str, generated: &String| match name {
            Some(name) => format!("{name}{suffix}"),
            None => generated.clone(),
        };
        let this_join = suffixed(this_suffix(outer), &this_generated);
        let other_join = suffixed(other_suffix(outer), &other_generated);
        let merge = graph.suffixed_name(name, "-merge", prefix::MERGE);
        Names { this_windowed, other_windowed, this_generated, other_generated, this_join, other_join, merge }
    }
}

fn this_suffix(outer: Outer) -> &'static str {
    if outer.right { OUTER_THIS_JOIN } else { THIS_JOIN }
}

fn other_suffix(outer: Outer) -> &'static str {
    if outer.left { OUTER_OTHER_JOIN } else { OTHER_JOIN }
}

/// How the stores of a join are named and made.
struct StorePlan<'a, K, V, V2> {
    windows: JoinWindows,
    joined: &'a StreamJoined<K, V, V2>,
    names: &'a Names,
    outer: Outer,
}

impl<K: Clone + 'static, V: Clone + 'static, V2: Clone + 'static> StorePlan<'_, K, V, V2> {
    fn this_store_name(&self) -> String {
        let base = match &self.joined.store_name {
            Some(name) => format!("{name}{}", this_suffix(self.outer)),
            None => self.names.this_generated.clone(),
        };
        format!("{base}-store")
    }

    fn other_store_name(&self) -> String {
        let base = match &self.joined.store_name {
            Some(name) => format!("{name}{}", other_suffix(self.outer)),
            None => self.names.other_generated.clone(),
        };
        format!("{base}-store")
    }

    /// The name of the store of waiting records (`OuterStreamJoinStoreFactory.buildOuterJoinWindowStoreName`).
    #[track_caller]
    fn waiting_store_name(&self) -> String {
        let suffix = if self.outer.right { "-outer-shared-join" } else { "-left-shared-join" };
        let supplied = self.joined.this_store.as_ref().map(|store| &store.name);
        let base = match supplied.or(self.joined.store_name.as_ref()) {
            Some(name) => format!("{name}{suffix}"),
            None => {
                let class = if self.outer.right { prefix::OUTER_THIS } else { prefix::JOIN_THIS };
                let number = self.names.this_generated.strip_prefix(class).unwrap_or(&self.names.this_generated);
                format!("{}{number}", prefix::OUTER_SHARED)
            }
        };
        format!("{base}-store")
    }

    fn check(&self, graph: &mut Graph) {
        let (windows, joined) = (self.windows, self.joined);
        for store in [&joined.this_store, &joined.other_store].into_iter().flatten() {
            let fits = store.retain_duplicates
                && store.retention_ms == windows.retention_ms()
                && store.window_size_ms == windows.size_ms();
            if !fits {
                graph.errors.push(BuildError::JoinStoreMismatch {
                    store: store.name.clone(),
                    window_size_ms: windows.size_ms(),
                    retention_ms: windows.retention_ms(),
                });
            }
        }
    }

    /// The store of one side's records. It has headers in its changelog as the JVM's has, and is not compacted, because
    /// equal records stand side by side in it.
    fn window_store<T: 'static>(
        &self,
        name: &str,
        supplier: &Option<WindowStoreSupplier>,
        keys: &SharedSerde<K>,
        values: &SharedSerde<T>,
    ) -> WindowStoreBuilder<K, T> {
        let kind = StoreKind::Window {
            window_size_ms: self.windows.size_ms(),
            retention_ms: self.windows.retention_ms(),
            retain_duplicates: true,
        };
        let (keys, values) = (keys.clone(), values.clone());
        if let Some(supplier) = supplier {
            let (name, persistent) = (supplier.name.as_str(), supplier.persistent);
            return TypedStoreBuilder::new(name, kind, persistent, keys, values).with_record_headers_logged();
        }
        let builder = TypedStoreBuilder::new(name, kind, self.joined.persistent.unwrap_or(true), keys, values);
        let config = self.joined.logging.clone().map(|mut config| {
            config.insert("cleanup.policy".to_owned(), "delete".to_owned());
            config
        });
        logged(builder, config).with_record_headers_logged()
    }

    #[track_caller]
    fn waiting_store(
        &self,
        keys: &SharedSerde<K>,
        values: &SharedSerde<V>,
        other_values: &SharedSerde<V2>,
    ) -> WaitingStoreBuilder<K, V, V2> {
        let supplied = self.joined.this_store.as_ref().map(|store| store.persistent);
        let persistent = self.joined.persistent.or(supplied).unwrap_or(true);
        let serde = LeftOrRightSerde { left: values.clone(), right: other_values.clone() };
        let (keys, values) = (Arc::new(WaitingKeySerde(keys.clone())), Arc::new(serde));
        let builder = TypedStoreBuilder::new(self.waiting_store_name(), StoreKind::KeyValue, persistent, keys, values);
        logged(builder, self.joined.logging.clone())
    }
}

fn logged<S: kafka_streams_state::TypedStore>(
    builder: TypedStoreBuilder<S>,
    config: Option<BTreeMap<String, String>>,
) -> TypedStoreBuilder<S> {
    match config {
        Some(config) => builder.with_logging_enabled(config),
        None => builder.with_logging_disabled(),
    }
}
