//! From the logical graph to the topology: with its submodules the only file that creates topology nodes.
//!
//! ```text
//!   logical node          topology nodes
//!   stream                source
//!   table                 source ─▶ table source
//!   stateless, process    processor
//!   repartition           filter ─▶ sink ─(topic)─▶ source
//!   grouped table         sink ─(topic)─▶ source
//!   to                    sink
//! ```
//!
//! Each operator hands over a [`Lowering`]: a closure that knows the operator's types and is called once.

pub(crate) mod foreign_key;
mod global;
pub(crate) mod stream_join;
pub(crate) mod stream_table_join;
mod supplied;
pub(crate) mod suppress;
pub(crate) mod table_join;
mod transform;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use kafka_streams_core::{
    Children, NodeId, Processor, Receive, Record, SharedSerde, Step, TaskContext, TimestampExtractor,
};
use kafka_streams_state::StoreBuilder;
use kafka_streams_topology::{
    Draft, DynamicSinkSpec, HashedKeyPart, SinkSpec, SourceSpec, StoreRef, StoreRefs, StreamPartitioner, TopicName,
    Topology, TopologyError,
};

use crate::BuildError;
use crate::graph::{Body, Graph, GraphId, RepartitionNode, TableFacts, TableId};
use crate::optimize::{self, Optimization};

pub(crate) use global::{global_processor, global_store, reading_global};
pub(crate) use supplied::{process_supplied, process_with_stores};
pub(crate) use transform::transforming;

/// Writes one logical node.
pub(crate) type Lowering = Box<dyn FnOnce(&mut Site<'_>) -> Result<Lowered, BuildError> + Send>;

/// Writes a repartition topic and the nodes around it, whose names may have changed since the operator was added.
pub(crate) type RepartitionLowering =
    Box<dyn FnOnce(&mut Site<'_>, &RepartitionNode) -> Result<Lowered, BuildError> + Send>;

/// Where a logical node is written.
pub(crate) struct Site<'a> {
    draft: &'a mut Draft,
    name: &'a str,
    parents: &'a [NodeId],
    tables: &'a [TableFacts],
    /// Of each parent, whether its rows are kept with their versions.
    parents_versioned: &'a [bool],
    /// Whether a join below takes null keys.
    null_keys_pass: bool,
    reuse_source_topics: bool,
}

impl Site<'_> {
    /// Whether the rows above are kept with their versions.
    fn below_versions(&self) -> bool {
        self.parents_versioned.first().copied().unwrap_or(false)
    }
}

/// What became of a logical node.
#[derive(Clone, Copy)]
pub(crate) struct Lowered {
    /// The node that the nodes below are attached to.
    output: NodeId,
    /// The source that reads the node's topic.
    source: Option<NodeId>,
}

/// Checks, rewrites and writes `graph`.
pub(crate) fn lower(mut graph: Graph, optimizations: &[Optimization]) -> Result<Topology, BuildError> {
    optimize::merge_sources(&mut graph);
    if let Some(error) = BuildError::of(std::mem::take(&mut graph.errors)) {
        return Err(error);
    }
    if optimizations.contains(&Optimization::MergeRepartitionTopics) {
        optimize::merge_repartition_topics(&mut graph);
    }
    if optimizations.contains(&Optimization::SingleStoreSelfJoin) {
        optimize::join_with_self_in_one_store(&mut graph);
    }
    let mut draft = std::mem::take(&mut graph.draft);
    draft.set_naming(graph.names.naming());
    let lowered = write(&mut graph, &mut draft, optimizations.contains(&Optimization::ReuseKtableSourceTopics))?;
    for group in &graph.copartitions {
        let source = |id: &GraphId| lowered.get(id.0).copied().flatten()?.source;
        let shared = |id: &GraphId| source(graph.shared_sources.get(id).unwrap_or(id));
        let sources: Vec<_> = group.iter().filter_map(shared).collect();
        if !sources.is_empty() {
            draft.copartition_and_tell(&sources, &group.iter().filter_map(source).collect::<Vec<_>>());
        }
    }
    graph.names_policy.apply(draft.build()?)
}

/// Writes the nodes in the JVM's order: of those whose parents are written, the one with the lowest priority
/// (`InternalStreamsBuilder.buildAndOptimizeTopology`). What became of each, by its id.
fn write(graph: &mut Graph, draft: &mut Draft, reuse_source_topics: bool) -> Result<Vec<Option<Lowered>>, BuildError> {
    let take_null_keys = optimize::above_joins_that_take_null_keys(graph);
    let mut versioned: Vec<bool> = graph.nodes.iter().map(|_| false).collect();
    let mut lowered: Vec<Option<Lowered>> = graph.nodes.iter().map(|_| None).collect();
    let roots = graph.nodes.iter().enumerate().filter(|(_, node)| node.parents.is_empty() && !node.body.is_gone());
    let mut writable: BTreeSet<(u32, GraphId)> = roots.map(|(at, node)| (node.priority, GraphId(at))).collect();
    while let Some((_, id)) = writable.pop_first() {
        let Some(node) = graph.nodes.get_mut(id.0) else { continue };
        let body = std::mem::replace(&mut node.body, Body::Gone);
        let parents: Vec<NodeId> = node.parents.iter().filter_map(|id| output(&lowered, *id)).collect();
        let parents_versioned: Vec<bool> =
            node.parents.iter().map(|id| versioned.get(id.0).copied().unwrap_or(false)).collect();
        // As on the JVM, what is not stored inherits it from above, through topics, too.
        let inherited = !parents_versioned.is_empty() && parents_versioned.iter().all(|versioned| *versioned);
        if let Some(slot) = versioned.get_mut(id.0) {
            *slot = node.output_versioned.unwrap_or(inherited);
        }
        let (name, tables) = (node.name.as_str(), graph.tables.as_slice());
        let null_keys_pass = take_null_keys.contains(&id);
        let mut site = Site {
            draft,
            name,
            parents: &parents,
            tables,
            parents_versioned: &parents_versioned,
            null_keys_pass,
            reuse_source_topics,
        };
        let written = match body {
            Body::Node(lowering) | Body::Source(_, lowering) => lowering(&mut site)?,
            Body::Repartition(names, lowering) => lowering(&mut site, &names)?,
            Body::StreamJoin(join, lowering) => lowering(&mut site, join.self_join)?,
            Body::Gone => continue,
        };
        if let Some(slot) = lowered.get_mut(id.0) {
            *slot = Some(written);
        }
        for child in graph.nodes.get(id.0).map(|node| node.children.as_slice()).unwrap_or_default() {
            let Some(node) = graph.nodes.get(child.0) else { continue };
            if node.parents.iter().all(|parent| output(&lowered, *parent).is_some()) {
                writable.insert((node.priority, *child));
            }
        }
    }
    Ok(lowered)
}

fn output(lowered: &[Option<Lowered>], id: GraphId) -> Option<NodeId> {
    lowered.get(id.0).copied().flatten().map(|lowered| lowered.output)
}

impl Lowered {
    fn node(output: NodeId) -> Self {
        Lowered { output, source: None }
    }

    fn source(source: NodeId) -> Self {
        Lowered { output: source, source: Some(source) }
    }
}

/// The store that a table may have: it is added if the table turns out to need one.
pub(crate) struct TableStore<B: StoreBuilder> {
    pub(crate) table: TableId,
    /// `None` for a table that never has one.
    pub(crate) builder: Option<B>,
    pub(crate) slot: StoreSlot<B::Store>,
}

/// Where the reference to a table's store will be once the topology is written.
pub(crate) type StoreSlot<S> = Arc<OnceLock<StoreRef<S>>>;

/// What a node of a table is made from, in each task.
pub(crate) struct TableParts<S, K, V> {
    /// The node's name.
    pub(crate) name: Arc<str>,
    /// The nodes below.
    pub(crate) out: Children<K, V>,
    /// The table's store, if it has one.
    pub(crate) store: Option<Rc<S>>,
    /// Whether a node below needs the row before.
    pub(crate) sends_old_values: bool,
    /// Whether the table above keeps its rows with their versions.
    pub(crate) below_versions: bool,
}

impl<B: StoreBuilder> TableStore<B> {
    fn add(self, site: &mut Site<'_>) -> Result<Option<StoreRef<B::Store>>, TopologyError> {
        // Several nodes may write one store; the first that is written adds it.
        if let Some(store) = self.slot.get() {
            return Ok(Some(*store));
        }
        let Some(builder) = self.builder.filter(|_| self.table.facts(site.tables).materialized) else {
            return Ok(None);
        };
        let store = site.draft.add_store(builder)?;
        // A graph is written once, so the slot is empty.
        let _ = self.slot.set(store);
        Ok(Some(store))
    }
}

/// A source of topics that exist without the application.
pub(crate) fn source<K: Clone + 'static, V: Clone + 'static>(spec: SourceSpec<K, V>) -> Lowering {
    Box::new(move |site| Ok(Lowered::source(site.draft.add_source(site.name, spec)?)))
}

/// A node without a store; `build` makes it from the nodes below it.
pub(crate) fn stateless<K, V, K2, V2, N>(build: impl Fn(Children<K2, V2>) -> N + Send + Sync + 'static) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    N: Receive<K, V> + 'static,
{
    Box::new(move |site| {
        let node = site.draft.add_processor::<(K, V), (K2, V2)>(site.name, site.parents, &[], move |wiring, id| {
            let node = build(wiring.children(id)?);
            wiring.install::<K, V>(id, Rc::new(node));
            Ok(())
        })?;
        Ok(Lowered::node(node))
    })
}

/// A node with nothing below it.
pub(crate) fn terminal<K, V, N>(build: impl Fn() -> N + Send + Sync + 'static) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    N: Receive<K, V> + 'static,
{
    Box::new(move |site| {
        let node = site.draft.add_processor::<(K, V), ()>(site.name, site.parents, &[], move |wiring, id| {
            wiring.install::<K, V>(id, Rc::new(build()));
            Ok(())
        })?;
        Ok(Lowered::node(node))
    })
}

/// The user's processor, with the stores that it names.
pub(crate) fn process<P, S>(stores: S, make: impl Fn(S::Stores) -> P + Send + Sync + 'static) -> Lowering
where
    P: Processor,
    S: StoreRefs,
{
    Box::new(move |site| {
        let (name, parents, indexes) = (site.name, site.parents, stores.indexes());
        let node = site.draft.add_processor::<(P::KIn, P::VIn), (P::KOut, P::VOut)>(
            name,
            parents,
            &indexes,
            move |wiring, id| {
                let processor = make(stores.resolve(wiring)?);
                wiring.install_processor(id, processor)
            },
        )?;
        Ok(Lowered::node(node))
    })
}

/// A node of a table, with the table's store if it has one.
pub(crate) fn table<K, V, K2, V2, B, N>(
    store: TableStore<B>,
    build: impl Fn(TableParts<B::Store, K2, V2>) -> Step<N> + Send + Sync + 'static,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    B: StoreBuilder,
    N: Receive<K, V> + 'static,
{
    Box::new(move |site| {
        let (name, parents) = (site.name, site.parents);
        let (node, _) = add_table_node(site, name, parents, store, build)?;
        Ok(Lowered::node(node))
    })
}

/// A table that is read from a topic: the source of this name, and the table's node below it.
pub(crate) fn table_source<K, V, K2, V2, B, N>(
    source_name: String,
    spec: SourceSpec<K, V>,
    store: TableStore<B>,
    build: impl Fn(TableParts<B::Store, K2, V2>) -> Step<N> + Send + Sync + 'static,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    B: StoreBuilder,
    N: Receive<K, V> + 'static,
{
    Box::new(move |site| {
        let topic = spec.topics.first().map(|topic| topic.name.clone());
        let source = site.draft.add_source(&source_name, spec)?;
        let name = site.name;
        let (output, store) = add_table_node(site, name, &[source], store, build)?;
        if let (Some(store), Some(topic), true) = (store, topic, site.reuse_source_topics) {
            site.draft.use_source_as_changelog(store.index(), &topic);
        }
        Ok(Lowered { output, source: Some(source) })
    })
}

#[expect(clippy::type_complexity, reason = "a pair, used twice")]
fn add_table_node<K, V, K2, V2, B, N>(
    site: &mut Site<'_>,
    name: &str,
    parents: &[NodeId],
    store: TableStore<B>,
    build: impl Fn(TableParts<B::Store, K2, V2>) -> Step<N> + Send + Sync + 'static,
) -> Result<(NodeId, Option<StoreRef<B::Store>>), TopologyError>
where
    K: Clone + 'static,
    V: Clone + 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    B: StoreBuilder,
    N: Receive<K, V> + 'static,
{
    let sends_old_values = store.table.facts(site.tables).sends_old_values;
    let below_versions = site.below_versions();
    let store = store.add(site)?;
    let indexes: Vec<_> = store.iter().map(|store| store.index()).collect();
    let node = site.draft.add_processor::<(K, V), (K2, V2)>(name, parents, &indexes, move |wiring, id| {
        let store = store.map(|store| wiring.store(store)).transpose()?;
        let (name, out) = (wiring.name(id), wiring.children(id)?);
        let parts = TableParts { name, out, store, sends_old_values, below_versions };
        let node = build(parts)?;
        wiring.install::<K, V>(id, Rc::new(node));
        Ok(())
    })?;
    Ok((node, store))
}

/// A node of a table without a store, which is told its name and whether the table above keeps its rows with their
/// versions.
pub(crate) fn below_table<K, V, K2, V2, N>(
    build: impl Fn(Arc<str>, Children<K2, V2>, bool) -> N + Send + Sync + 'static,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    N: Receive<K, V> + 'static,
{
    Box::new(move |site| {
        let below_versions = site.below_versions();
        let node = site.draft.add_processor::<(K, V), (K2, V2)>(site.name, site.parents, &[], move |wiring, id| {
            let node = build(wiring.name(id), wiring.children(id)?, below_versions);
            wiring.install::<K, V>(id, Rc::new(node));
            Ok(())
        })?;
        Ok(Lowered::node(node))
    })
}

/// A sink.
pub(crate) fn sink<K: Clone + 'static, V: Clone + 'static>(spec: SinkSpec<K, V>) -> Lowering {
    Box::new(move |site| Ok(Lowered::node(site.draft.add_sink(site.name, site.parents, spec)?)))
}

/// A sink whose topic is chosen for each record.
pub(crate) fn dynamic_sink<K: Clone + 'static, V: Clone + 'static>(spec: DynamicSinkSpec<K, V>) -> Lowering {
    Box::new(move |site| Ok(Lowered::node(site.draft.add_dynamic_sink(site.name, site.parents, spec)?)))
}

/// How a repartition topic is written and read.
pub(crate) struct Repartition<K, V> {
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    pub(crate) partitioner: Option<Arc<dyn StreamPartitioner<K, V>>>,
    pub(crate) key_hash: Option<HashedKeyPart>,
}

/// A repartition topic: a filter that drops null keys (unless a join below takes them), a sink, and a source.
pub(crate) fn repartition<K: Clone + 'static, V: Clone + 'static>(spec: Repartition<K, V>) -> RepartitionLowering {
    Box::new(move |site, names| {
        site.draft.add_repartition_topic(&names.topic, names.partitions)?;
        let (nulls, keep_nulls) = (spec.keys.clone(), site.null_keys_pass);
        let build = move |wiring: &mut kafka_streams_topology::Wiring<'_>, id| {
            let (out, nulls) = (wiring.children(id)?, nulls.clone());
            let node = move |cx: &mut TaskContext, record: Record<K, V>| match keep_nulls || !nulls.is_null(&record.key)
            {
                true => out.forward(cx, record),
                false => Ok(()),
            };
            wiring.install::<K, V>(id, Rc::new(node));
            Ok(())
        };
        let filter = site.draft.add_processor::<(K, V), (K, V)>(&names.filter, site.parents, &[], build)?;
        through_topic(site, &[filter], spec, names)
    })
}

/// A repartition topic of a table, whose changes have no null key: a sink and a source.
pub(crate) fn table_repartition<K: Clone + 'static, V: Clone + 'static>(
    spec: Repartition<K, V>,
    names: RepartitionNode,
) -> Lowering {
    Box::new(move |site| {
        site.draft.add_repartition_topic(&names.topic, names.partitions)?;
        let parents = site.parents;
        through_topic(site, parents, spec, &names)
    })
}

fn through_topic<K: Clone + 'static, V: Clone + 'static>(
    site: &mut Site<'_>,
    parents: &[NodeId],
    spec: Repartition<K, V>,
    names: &RepartitionNode,
) -> Result<Lowered, BuildError> {
    let Repartition { keys, values, partitioner, key_hash } = spec;
    let topic = TopicName::internal(names.topic.as_str());
    let mut source = SourceSpec::new([topic.clone()], keys.clone(), values.clone());
    // The application wrote the records itself, so their timestamps are good, whatever its default extractor is.
    source.timestamp_extractor = Some(TimestampExtractor::FailOnInvalidTimestamp);
    site.draft.add_sink(&names.sink, parents, SinkSpec { topic, keys, values, partitioner, key_hash })?;
    Ok(Lowered::source(site.draft.add_source(&names.source, source)?))
}
