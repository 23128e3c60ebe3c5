//! A stream split into branches: each record goes to the first whose predicate it meets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_streams_core::{Children, Record, TaskContext};

use crate::graph::Body;
use crate::option::Branched;
use crate::stream::SAME;
use crate::{KStream, lower, prefix};

type Predicate<K, V> = Arc<dyn Fn(&K, &V) -> bool + Send + Sync>;

/// The branches so far, with the names of their nodes. The node of the split reads them when the topology is built.
struct Branches<K, V> {
    predicates: Vec<(String, Predicate<K, V>)>,
    default: Option<String>,
}

/// A stream that is being split (`BranchedKStream` of the JVM). Made by [`KStream::split`].
///
/// A record goes to the first branch whose predicate is true, else to the default branch; without one it is dropped.
#[must_use = "a split is ended by `default_branch` or `no_default_branch`"]
pub struct BranchedKStream<K, V> {
    stream: KStream<K, V>,
    /// The name of the node of the split, with which the names of the branches begin.
    name: String,
    branches: Arc<Mutex<Branches<K, V>>>,
    results: BTreeMap<String, KStream<K, V>>,
}

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Splits the stream.
    ///
    /// The branches come as a map; their names are that of the split and, in the order of the calls, `1`, `2`, … or the
    /// name in [`Branched`], and `0` for the default branch.
    ///
    /// ```
    /// use kafka_streams_dsl::{Branched, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders = builder.stream::<String, i64>("orders");
    /// let branches = orders
    ///     .split_named("orders-")
    ///     .branch_with(|_, amount| *amount > 1000, Branched::named("large"))
    ///     .branch_with(|_, amount| *amount < 0, Branched::with_consumer(|refunds| refunds.to("refunds")))
    ///     .default_branch();
    /// branches["orders-large"].to("large-orders");
    /// branches["orders-0"].to("other-orders");
    /// # builder.build()?;
    /// # Ok::<(), kafka_streams_dsl::BuildError>(())
    /// ```
    #[track_caller]
    pub fn split(&self) -> BranchedKStream<K, V> {
        self.do_split(None)
    }

    /// [`split`](KStream::split) by a node of this name, with which the names of the branches begin: let it end in a dash.
    #[track_caller]
    pub fn split_named(&self, name: impl Into<String>) -> BranchedKStream<K, V> {
        self.do_split(Some(name.into()))
    }

    #[track_caller]
    fn do_split(&self, name: Option<String>) -> BranchedKStream<K, V> {
        let branches = Arc::new(Mutex::new(Branches { predicates: Vec::new(), default: None }));
        let read = branches.clone();
        // The branches are complete when the first task is made: a topology is built after its operators were written.
        let lowering = lower::stateless(move |out: Children<K, V>| {
            let branches = read.lock().unwrap_or_else(PoisonError::into_inner);
            let place = |name: &String| out.index_of(name).unwrap_or(usize::MAX);
            let predicates: Vec<(usize, Predicate<K, V>)> =
                branches.predicates.iter().map(|(name, predicate)| (place(name), predicate.clone())).collect();
            let default = branches.default.as_ref().map(place);
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let matching = predicates.iter().find(|(_, predicate)| predicate(&record.key, &record.value));
                match matching.map(|(branch, _)| *branch).or(default) {
                    Some(branch) => out.forward_at(cx, branch, record),
                    None => Ok(()),
                }
            }
        });
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix::BRANCH);
        let node = graph.add(&[self.node], name.clone(), SAME, Body::Node(lowering));
        drop(graph);
        let stream = KStream { node, ..self.clone() };
        BranchedKStream { stream, name, branches, results: BTreeMap::new() }
    }
}

impl<K: Clone + 'static, V: Clone + 'static> BranchedKStream<K, V> {
    /// A branch of the records for which `predicate` is true and that went to no earlier branch.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let branches = orders.split_named("by-amount-").branch(|_, amount| *amount > 1000).no_default_branch();
    /// branches["by-amount-1"].to("large-orders");
    /// ```
    #[track_caller]
    pub fn branch<F>(self, predicate: F) -> Self
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.branch_with(predicate, Branched::default())
    }

    /// [`branch`](BranchedKStream::branch), named and used as `branched` says.
    #[track_caller]
    pub fn branch_with<F>(mut self, predicate: F, branched: Branched<K, V>) -> Self
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        let position = self.lock().predicates.len() + 1;
        let name = self.child_name(&branched, position);
        self.lock().predicates.push((name.clone(), Arc::new(predicate)));
        self.add(name, branched);
        self
    }

    /// A branch that `function` turns into the stream of the result: [`branch_with`](BranchedKStream::branch_with) and
    /// [`Branched::with_function`] in one, whose arguments need no types.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let split = orders.split_named("by-amount-");
    /// let branches = split
    ///     .branch_with_function(|_, amount| *amount > 1000, |large| large.map_values(|amount| amount / 100))
    ///     .no_default_branch();
    /// branches["by-amount-1"].to("large-orders");
    /// ```
    #[track_caller]
    pub fn branch_with_function<F>(
        self,
        predicate: F,
        function: impl FnOnce(KStream<K, V>) -> KStream<K, V> + 'static,
    ) -> Self
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.branch_with(predicate, Branched::with_function(function))
    }

    /// A branch that `consumer` takes: [`branch_with`](BranchedKStream::branch_with) and [`Branched::with_consumer`] in one,
    /// whose arguments need no types.
    ///
    /// ```
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let split = orders.split_named("by-amount-");
    /// split
    ///     .branch_with_consumer(|_, amount| *amount > 1000, |large| large.map_values(|amount| amount / 100).to("large"))
    ///     .no_default_branch();
    /// ```
    #[track_caller]
    pub fn branch_with_consumer<F>(self, predicate: F, consumer: impl FnOnce(KStream<K, V>) + 'static) -> Self
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.branch_with(predicate, Branched::with_consumer(consumer))
    }

    /// Ends the split with a branch of all other records; the branches by their names.
    #[track_caller]
    pub fn default_branch(self) -> BTreeMap<String, KStream<K, V>> {
        self.default_branch_with(Branched::default())
    }

    /// [`default_branch`](BranchedKStream::default_branch), named and used as `branched` says.
    ///
    /// ```
    /// # use kafka_streams_dsl::Branched;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let branches = orders
    ///     .split_named("by-amount-")
    ///     .branch_with(|_, amount| *amount > 1000, Branched::named("large"))
    ///     .default_branch_with(Branched::with_function(|rest| rest.map_values(|amount: i64| amount.abs())).with_name("rest"));
    /// branches["by-amount-rest"].to("amounts");
    /// ```
    #[track_caller]
    pub fn default_branch_with(mut self, branched: Branched<K, V>) -> BTreeMap<String, KStream<K, V>> {
        let name = self.child_name(&branched, 0);
        self.lock().default = Some(name.clone());
        self.add(name, branched);
        self.results
    }

    /// Ends the split; all other records are dropped. The branches by their names.
    pub fn no_default_branch(self) -> BTreeMap<String, KStream<K, V>> {
        self.results
    }

    fn child_name(&self, branched: &Branched<K, V>, position: usize) -> String {
        match &branched.name {
            Some(name) => format!("{}{name}", self.name),
            None => format!("{}{position}", self.name),
        }
    }

    #[track_caller]
    fn add(&mut self, name: String, branched: Branched<K, V>) {
        let lowering = lower::stateless(|out: Children<K, V>| {
            move |cx: &mut TaskContext, record: Record<K, V>| out.forward(cx, record)
        });
        let mut graph = self.stream.graph.lock();
        graph.names.burn_jvm();
        graph.check("node", &name);
        let node = graph.add(&[self.stream.node], name.clone(), SAME, Body::Node(lowering));
        drop(graph);
        if let Some(result) = branched.apply(KStream { node, ..self.stream.clone() }) {
            self.results.insert(name, result);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Branches<K, V>> {
        self.branches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> fmt::Debug for BranchedKStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchedKStream").field("name", &self.name).finish_non_exhaustive()
    }
}
