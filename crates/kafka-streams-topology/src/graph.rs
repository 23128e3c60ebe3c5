//! The topology: validated, immutable, shared by all threads; and what one task is made of.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Failure, Lifecycle, NodeId, RouteId, Step, TimestampExtractor};
use kafka_streams_naming::{Naming, changelog_topic};
use kafka_streams_state::{StateStore, StoreParts, StoreSpec};

use crate::draft::RepartitionTopic;
use crate::origin::Origin;
use crate::store::DeclaredStore;
use crate::wiring::TypedStores;
use crate::{
    ExtractTime, Ingest, Node, NodeKind, OffsetReset, StoreIndex, Subtopology, TopicName, TopicPattern, Wiring,
};

/// A topology: nodes, stores, and the sub-topologies that they form.
///
/// Node ids ascend from parents to children, so the graph has no cycle and no node is twice on one call stack.
pub struct Topology {
    pub(crate) nodes: Vec<Node>,
    pub(crate) specs: Vec<StoreSpec>,
    pub(crate) stores: Vec<DeclaredStore>,
    pub(crate) repartition_topics: Vec<RepartitionTopic>,
    pub(crate) copartitions: Vec<Vec<NodeId>>,
    /// What the JVM knows of them.
    pub(crate) told_copartitions: Vec<Vec<NodeId>>,
    pub(crate) subtopologies: Vec<Subtopology>,
    pub(crate) origin: Origin,
}

impl Topology {
    /// The topology as text, byte for byte as `Topology.describe()` of the JVM writes it; internal topics without the
    /// application id.
    pub fn describe(&self) -> String {
        crate::describe::describe(self)
    }

    /// The sub-topologies; their ids are their indexes.
    pub fn subtopologies(&self) -> &[Subtopology] {
        &self.subtopologies
    }

    /// How the names that nobody chose are numbered; `None` for a topology in which every name was chosen, node by node.
    pub fn naming(&self) -> Option<Naming> {
        self.origin.naming
    }

    /// The nodes; their ids are their indexes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// The stores, in the order of registration; their [`StoreIndex`]es are their indexes.
    pub fn stores(&self) -> &[StoreSpec] {
        &self.specs
    }

    /// The source topic that is this store's changelog, if it is one.
    pub fn source_changelog(&self, store: StoreIndex) -> Option<&Arc<str>> {
        self.stores.get(store.0 as usize)?.source_changelog.as_ref()
    }

    /// All topics that the sources of tasks read by name, each with its source's policy for missing offsets. Those of
    /// global stores are not among them.
    pub fn source_topics(&self) -> impl Iterator<Item = (&TopicName, Option<OffsetReset>)> {
        self.task_nodes().flat_map(|node| match &node.kind {
            NodeKind::Source { topics, offset_reset, .. } => topics.iter().map(|t| (t, *offset_reset)).collect(),
            _ => Vec::new(),
        })
    }

    /// What the names of the topics match that are read besides, each with its source's policy for missing offsets.
    pub fn source_patterns(&self) -> impl Iterator<Item = (&TopicPattern, Option<OffsetReset>)> {
        self.task_nodes().filter_map(|node| match &node.kind {
            NodeKind::Source { pattern: Some(pattern), offset_reset, .. } => Some((pattern, *offset_reset)),
            _ => None,
        })
    }

    /// Whether a topic is one that a source reads because its name matches a pattern: none of the application's own, and
    /// none that is read by name.
    pub fn is_read_by_pattern(&self, topic: &str, application_id: &str) -> bool {
        let own =
            |declared: &RepartitionTopic| *kafka_streams_naming::decorate(application_id, &declared.name) == *topic;
        let by_name = |node: &Node| match &node.kind {
            NodeKind::Source { topics, .. } => topics.iter().any(|name| *name.decorated(application_id) == *topic),
            _ => false,
        };
        let changelog = |spec: &StoreSpec| changelog_topic(application_id, &spec.name) == topic;
        self.source_patterns().any(|(pattern, _)| pattern.matches(topic))
            && !self.nodes.iter().any(by_name)
            && !self.repartition_topics.iter().any(own)
            && !self.specs.iter().any(changelog)
    }

    /// The policy for missing offsets of a topic by its name on the broker: that of the source that reads it. `None` is
    /// the application's default.
    pub fn offset_reset(&self, topic: &str, application_id: &str) -> Option<OffsetReset> {
        let by_name = self.source_topics().find(|(name, _)| *name.decorated(application_id) == *topic);
        match by_name {
            // What was sent to a repartition topic was committed with its input: none of it may be skipped.
            Some((name, _)) if name.internal => Some(OffsetReset::Earliest),
            Some((_, reset)) => reset,
            None => self.source_patterns().find(|(pattern, _)| pattern.matches(topic)).and_then(|(_, reset)| reset),
        }
    }

    /// Whether every instance has all of this store.
    pub fn is_global(&self, store: StoreIndex) -> bool {
        self.stores.get(store.0 as usize).is_some_and(|store| store.global)
    }

    /// The topics of the global stores, by their names on the broker.
    pub fn global_topics(&self, application_id: &str) -> Vec<Arc<str>> {
        let parts = self.subtopologies.iter().filter(|part| part.global);
        parts.flat_map(|part| &part.source_topics).map(|topic| topic.decorated(application_id)).collect()
    }

    /// The global stores, in the order of registration.
    pub fn global_stores(&self) -> impl Iterator<Item = (StoreIndex, &StoreSpec)> {
        let indexed = self.specs.iter().enumerate();
        let indexed = indexed.map(|(at, spec)| (StoreIndex(u32::try_from(at).unwrap_or(u32::MAX)), spec));
        indexed.filter(|(index, _)| self.is_global(*index))
    }

    /// The nodes of the sub-topologies that have tasks.
    fn task_nodes(&self) -> impl Iterator<Item = &Node> {
        let parts = self.subtopologies.iter().filter(|part| !part.global);
        parts.flat_map(|part| part.nodes.iter().filter_map(|id| self.node(*id)))
    }

    /// The declared repartition topics, each with its explicit number of partitions.
    pub fn repartition_topics(&self) -> impl Iterator<Item = (TopicName, Option<i32>)> {
        self.repartition_topics.iter().map(|topic| (TopicName::internal(topic.name.clone()), topic.partitions))
    }

    /// The groups of topics that are joined, and so must have equal numbers of partitions. Groups with a topic in common
    /// are one. The sets that the JVM tells are [`copartition_sets`](Topology::copartition_sets).
    pub fn copartition_groups(&self) -> impl Iterator<Item = Vec<&TopicName>> {
        united(self.joins().map(|(topics, _)| topics)).into_iter()
    }

    /// The topics and patterns that each join reads, in the order of the joins.
    pub(crate) fn joins(&self) -> impl Iterator<Item = (Vec<&TopicName>, Vec<&TopicPattern>)> {
        self.copartitions.iter().map(|group| {
            let (mut read, mut matched) = (Vec::new(), Vec::new());
            for node in group.iter().filter_map(|source| self.node(*source)) {
                if let NodeKind::Source { topics, pattern, .. } = &node.kind {
                    read.extend(topics);
                    matched.extend(pattern);
                }
            }
            (read, matched)
        })
    }

    /// Makes the nodes and stores of one task of `subtopology`, on the thread that calls.
    ///
    /// `partitions` tells the number of partitions of a topic by its name on the broker; `store_parts` opens the
    /// back-end of a store, whose changelog gets the given route.
    ///
    /// # Errors
    /// A store cannot be opened, or a processor uses a store that it is not connected to.
    pub fn wire(
        &self,
        subtopology: i32,
        application_id: &str,
        partitions: &dyn Fn(&str) -> Option<i32>,
        store_parts: &mut OpenStore<'_>,
    ) -> Step<TaskGraph> {
        let Some(part) = usize::try_from(subtopology).ok().and_then(|id| self.subtopologies.get(id)) else {
            return Err(Failure::bug(format!("there is no sub-topology {subtopology}")));
        };
        self.wire_part(part, application_id, partitions, store_parts)
    }

    /// Makes the nodes and stores of all sub-topologies as one task, which has one stream time and one order of flushing:
    /// what a test driver runs (`TopologyTestDriver` of the JVM). Everything else is as with [`wire`](Topology::wire).
    ///
    /// # Errors
    /// As [`wire`](Topology::wire).
    pub fn wire_whole(
        &self,
        application_id: &str,
        partitions: &dyn Fn(&str) -> Option<i32>,
        store_parts: &mut OpenStore<'_>,
    ) -> Step<TaskGraph> {
        self.wire_part(&Subtopology::whole(&self.nodes), application_id, partitions, store_parts)
    }

    fn wire_part(
        &self,
        part: &Subtopology,
        application_id: &str,
        partitions: &dyn Fn(&str) -> Option<i32>,
        store_parts: &mut OpenStore<'_>,
    ) -> Step<TaskGraph> {
        let mut routes = Vec::new();
        let sink_routes = self.route_sinks(part, application_id, &mut routes);
        let (typed, stores) = self.open_stores(part, application_id, &mut routes, store_parts)?;
        let mut wiring = Wiring {
            topology: self,
            application_id,
            partitions,
            current: NodeId(0),
            stores: typed,
            inputs: self.nodes.iter().map(|_| None).collect(),
            lifecycles: Vec::new(),
            sources: Vec::new(),
            extractors: Vec::new(),
            sink_routes,
            shared: std::collections::BTreeMap::new(),
            wrapped: None,
        };
        let made = part.nodes.iter().rev().try_for_each(|id| self.make_node(*id, &mut wiring));
        made.inspect_err(|_| disconnect(&stores))?;
        let Wiring { inputs, mut lifecycles, mut sources, extractors, .. } = wiring;
        lifecycles.sort_by_key(|(id, _)| *id);
        sources.sort_by_key(|(id, _)| *id);
        let extract = |id: &NodeId| extractors.iter().find(|(source, _)| source == id).map(|(_, extract)| extract);
        let entries = |(id, ingest): &(NodeId, Ingest)| self.task_sources(*id, ingest, extract(id), application_id);
        let sources = sources.iter().flat_map(entries).collect();
        Ok(TaskGraph { sources, stores, routes, lifecycles, nodes: inputs.into_iter().flatten().collect() })
    }

    fn make_node(&self, id: NodeId, wiring: &mut Wiring<'_>) -> Step {
        let Some(node) = self.node(id) else { return Err(Failure::bug(format!("there is no node {}", id.0))) };
        wiring.current = id;
        let at_node = |failure: Failure| failure.at_node(&node.name);
        wiring.wrapped = match &node.wrap {
            Some(wrap) => Some(wrap(wiring, &node.name).map_err(at_node)?),
            None => None,
        };
        (node.build)(wiring, id).map_err(at_node)?;
        wiring.wrap_lifecycle(id);
        let made = match node.kind {
            NodeKind::Source { .. } => wiring.sources.iter().any(|(source, _)| *source == id),
            NodeKind::Processor | NodeKind::Sink { .. } | NodeKind::DynamicSink { .. } => {
                wiring.inputs.get(id.0 as usize).is_some_and(Option::is_some)
            }
        };
        if made { Ok(()) } else { Err(Failure::bug(format!("node {} was declared and not installed", node.name))) }
    }

    fn route_sinks(&self, part: &Subtopology, application_id: &str, routes: &mut Vec<Route>) -> Vec<Option<RouteId>> {
        let mut by_node = vec![None; self.nodes.len()];
        for id in &part.nodes {
            let (Some(node), Some(slot)) = (self.node(*id), by_node.get_mut(id.0 as usize)) else { continue };
            if let NodeKind::Sink { topic } = &node.kind {
                let kind = RouteKind::Sink { node: node.name.clone() };
                *slot = Some(push_route(routes, Route { topic: topic.decorated(application_id), kind }));
            }
        }
        by_node
    }

    fn open_stores(
        &self,
        part: &Subtopology,
        application_id: &str,
        routes: &mut Vec<Route>,
        store_parts: &mut OpenStore<'_>,
    ) -> Step<(TypedStores, Vec<TaskStore>)> {
        let mut typed: TypedStores = self.specs.iter().map(|_| None).collect();
        let mut stores = Vec::with_capacity(part.stores.len());
        for index in &part.stores {
            let index = index.0 as usize;
            let (Some(spec), Some(declared)) = (self.specs.get(index), self.stores.get(index)) else { continue };
            let (changelog, route) = match &declared.source_changelog {
                Some(topic) => (Some(topic.clone()), None),
                None if spec.logging.is_some() => {
                    let topic: Arc<str> = changelog_topic(application_id, &spec.name).into();
                    let kind = RouteKind::Changelog { store: stores.len() };
                    let route = push_route(routes, Route { topic: topic.clone(), kind });
                    (Some(topic), Some(route))
                }
                None => (None, None),
            };
            let serde_topic = Some(self.serde_topic(index, application_id));
            let (any, store) = declared.build(StoreParts { serde_topic, ..store_parts(spec, route)? });
            if let Some(slot) = typed.get_mut(index) {
                *slot = Some(any.clone());
            }
            let source_changelog = declared.source_changelog.is_some();
            stores.push(TaskStore { spec: spec.clone(), changelog, source_changelog, store, typed: any });
        }
        if !part.global {
            self.open_global_stores(&mut typed, application_id, store_parts)?;
        }
        Ok((typed, stores))
    }

    /// Global stores as tasks see them. They belong to the instance: the task neither commits nor restores them.
    fn open_global_stores(
        &self,
        typed: &mut TypedStores,
        application_id: &str,
        store_parts: &mut OpenStore<'_>,
    ) -> Step {
        for (index, spec) in self.global_stores() {
            let index = index.0 as usize;
            let (Some(declared), Some(slot)) = (self.stores.get(index), typed.get_mut(index)) else { continue };
            // In a part of all nodes the global stores are among its own.
            if slot.is_none() {
                let serde_topic = Some(self.serde_topic(index, application_id));
                *slot = Some(declared.build(StoreParts { serde_topic, ..store_parts(spec, None)? }).0);
            }
        }
        Ok(())
    }

    /// The topic that a store's serdes are told (`ProcessorContextUtils.changelogFor` of the JVM): the one that it is
    /// restored from, or without logging the name that its changelog would have.
    fn serde_topic(&self, store: usize, application_id: &str) -> Arc<str> {
        if let Some(topic) = self.stores.get(store).and_then(|declared| declared.source_changelog.clone()) {
            return topic;
        }
        let keeps = |part: &&Subtopology| part.global && part.stores.iter().any(|index| index.0 as usize == store);
        let global = self.subtopologies.iter().find(keeps).and_then(|part| part.source_topics.first());
        let own = || changelog_topic(application_id, self.specs.get(store).map_or("", |spec| &spec.name)).into();
        global.map_or_else(own, |topic| topic.decorated(application_id))
    }

    fn task_sources(
        &self,
        id: NodeId,
        ingest: &Ingest,
        extract: Option<&ExtractTime>,
        application_id: &str,
    ) -> Vec<TaskSource> {
        let Some(node) = self.node(id) else { return Vec::new() };
        let NodeKind::Source { topics, pattern, timestamp_extractor, .. } = &node.kind else { return Vec::new() };
        let source = |topic: Arc<str>, pattern: Option<&TopicPattern>| TaskSource {
            topic,
            pattern: pattern.cloned(),
            node: node.name.clone(),
            ingest: ingest.clone(),
            timestamp_extractor: *timestamp_extractor,
            extract: extract.cloned(),
        };
        let named = topics.iter().map(|topic| source(topic.decorated(application_id), None));
        named.chain(pattern.iter().map(|pattern| source(pattern.as_str().into(), Some(pattern)))).collect()
    }
}

/// Opens the back-end of a store for one task; its changelog, if it has one, gets this route. The task's own stores come
/// first, in the order of registration, then the global stores, which the task is to read and never to write
/// ([`ThreadCache::for_shared_stores`](kafka_streams_state::ThreadCache::for_shared_stores)).
pub type OpenStore<'a> = dyn FnMut(&StoreSpec, Option<RouteId>) -> Step<StoreParts> + 'a;

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("nodes", &self.nodes)
            .field("stores", &self.specs)
            .field("subtopologies", &self.subtopologies)
            .finish_non_exhaustive()
    }
}

/// Puts groups with a member in common together, until none is left.
pub(crate) fn united<T: PartialEq>(groups: impl Iterator<Item = Vec<T>>) -> Vec<Vec<T>> {
    let mut disjoint: Vec<Vec<T>> = Vec::new();
    for mut group in groups {
        let (overlapping, others): (Vec<_>, Vec<_>) =
            disjoint.into_iter().partition(|known| known.iter().any(|topic| group.contains(topic)));
        for known in overlapping.into_iter().flatten() {
            if !group.contains(&known) {
                group.push(known);
            }
        }
        disjoint = others;
        disjoint.push(group);
    }
    disjoint
}

fn push_route(routes: &mut Vec<Route>, route: Route) -> RouteId {
    let id = RouteId(u32::try_from(routes.len()).unwrap_or(u32::MAX));
    routes.push(route);
    id
}

/// Nodes and stores of one task. Belongs to the thread that made it.
pub struct TaskGraph {
    /// Where records enter, one for each topic.
    pub sources: Vec<TaskSource>,
    /// The stores, in the order of registration.
    pub stores: Vec<TaskStore>,
    /// Where records leave; the index is the [`RouteId`]. The sinks come first.
    pub routes: Vec<Route>,
    /// The nodes to be started once the stores are restored, to be woken by timers and closed at the end; by id.
    pub lifecycles: Vec<(NodeId, Rc<dyn Lifecycle>)>,
    /// Keeps all nodes alive, parents before children, and is dropped last and in this order: so a parent's end only
    /// lets go of children that are still held, and dropping a long chain does not recurse.
    pub nodes: Vec<Box<dyn Any>>,
}

impl TaskGraph {
    /// The index of the source that takes the records of a topic.
    pub fn source_of(&self, topic: &str) -> Option<usize> {
        let named = self.sources.iter().position(|source| source.pattern.is_none() && *source.topic == *topic);
        let matches = |source: &TaskSource| source.pattern.as_ref().is_some_and(|pattern| pattern.matches(topic));
        named.or_else(|| self.sources.iter().position(matches))
    }
}

impl Drop for TaskGraph {
    fn drop(&mut self) {
        disconnect(&self.stores);
    }
}

/// Nodes hold stores, and stores hold the nodes below: joined tables hold each other, and would never be closed.
fn disconnect(stores: &[TaskStore]) {
    stores.iter().for_each(|store| store.store.disconnect());
}

impl fmt::Debug for TaskGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGraph")
            .field("sources", &self.sources)
            .field("stores", &self.stores)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

/// Where the records of one topic enter a task.
#[derive(Clone)]
pub struct TaskSource {
    /// The topic's name on the broker; of a source that reads by pattern, the pattern.
    pub topic: Arc<str>,
    /// What the names of the topics match, for a source that reads by pattern. See [`TaskGraph::source_of`].
    pub pattern: Option<TopicPattern>,
    /// The source's name.
    pub node: Arc<str>,
    /// Takes a record in; shared by the topics of a source.
    pub ingest: Ingest,
    /// Which time the records have; `None` is the application's default.
    pub timestamp_extractor: Option<TimestampExtractor>,
    /// The user's own way to find out the time; it wins.
    pub extract: Option<ExtractTime>,
}

impl fmt::Debug for TaskSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSource").field("topic", &self.topic).field("node", &self.node).finish_non_exhaustive()
    }
}

/// A store of a task.
#[derive(Clone)]
pub struct TaskStore {
    /// What was declared.
    pub spec: StoreSpec,
    /// The topic that it is restored from, by its name on the broker; `None` without logging.
    pub changelog: Option<Arc<str>>,
    /// Whether the changelog is a source topic of the task, which is read and never written.
    pub source_changelog: bool,
    /// The store.
    pub store: Rc<dyn StateStore>,
    /// The store as its own type, for whoever knows it.
    pub typed: Rc<dyn Any>,
}

impl fmt::Debug for TaskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskStore")
            .field("spec", &self.spec)
            .field("changelog", &self.changelog)
            .field("source_changelog", &self.source_changelog)
            .finish_non_exhaustive()
    }
}

/// Where records leave a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The topic's name on the broker.
    pub topic: Arc<str>,
    /// Who sends there.
    pub kind: RouteKind,
}

/// Who sends to a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// A sink.
    Sink {
        /// The sink's name.
        node: Arc<str>,
    },
    /// The changelog of a store.
    Changelog {
        /// Index of the store in [`TaskGraph::stores`].
        store: usize,
    },
}
