//! Suppression: a table's changes wait, so that only the last of a key is sent on.

use std::borrow::Cow;
use std::sync::Arc;

use kafka_streams_core::{Change, DefaultSerde, Serde, SerdeError, SharedSerde};
use kafka_streams_state::SuppressBufferBuilder;
use kafka_streams_topology::{SinkSpec, TopicName};

use crate::graph::{Body, Graph, GraphId, TableKind, Traits};
use crate::lower::StoreSlot;
use crate::lower::suppress::{SuppressSpec, suppress};
use crate::node::suppress::Suppression;
use crate::option::{BufferConfig, Suppressed};
use crate::view::View;
use crate::{BuildError, KTable, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Lets the changes of the table wait as `suppressed` says, and sends on only the last of a key. They wait in memory,
    /// and in a changelog; the values are written with the table's serde if it has one, else with that of their type.
    ///
    /// ```
    /// use kafka_streams_dsl::{BufferConfig, Suppressed};
    /// use std::time::Duration;
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let calmer =
    ///     balances.suppress(Suppressed::until_time_limit(Duration::from_secs(10), BufferConfig::unbounded()));
    /// ```
    #[track_caller]
    pub fn suppress(&self, suppressed: Suppressed<K>) -> KTable<K, V>
    where
        V: DefaultSerde,
    {
        let values = self.values.clone().unwrap_or_else(V::shared);
        self.do_suppress(suppressed, values)
    }

    /// [`suppress`](KTable::suppress) with this serde for the values that wait.
    ///
    /// ```
    /// use kafka_streams_core::serde::I64Serde;
    /// use kafka_streams_dsl::{BufferConfig, Suppressed};
    /// use std::time::Duration;
    /// # let balances = kafka_streams_dsl::StreamsBuilder::new().table::<String, i64>("balances");
    /// let limit = Suppressed::until_time_limit(Duration::from_secs(10), BufferConfig::max_records(1000));
    /// let calmer = balances.suppress_with(limit.with_name("calm"), I64Serde);
    /// ```
    #[track_caller]
    pub fn suppress_with(&self, suppressed: Suppressed<K>, values: impl Serde<Target = V>) -> KTable<K, V> {
        self.do_suppress(suppressed, Arc::new(values))
    }

    #[track_caller]
    fn do_suppress(&self, suppressed: Suppressed<K>, values: SharedSerde<V>) -> KTable<K, V> {
        let Suppressed { name, buffer, wait_ms, window_end } = suppressed;
        let BufferConfig { max_records, max_bytes, when_full, shed_to, logging } = buffer;
        let mut graph = self.graph.lock();
        let store_name = name.as_ref().map(|name| format!("{name}-store"));
        // A name that is given draws no number here, other than elsewhere.
        let name = match name {
            Some(name) => {
                graph.check("node", &name);
                name
            }
            None => graph.names.next_node(prefix::SUPPRESS),
        };
        let store_name = graph.store_name(store_name.as_ref(), prefix::SUPPRESS);
        let wait_ms = wait_ms.unwrap_or_else(|| match window_grace_ms(&graph, self.node) {
            Some(grace_ms) => grace_ms,
            None => {
                graph.errors.push(BuildError::NoWindow { node: name.clone() });
                0
            }
        });
        let shed = shed_to.map(|topic| {
            graph.check("topic", &topic);
            let spec = SinkSpec {
                topic: TopicName::external(topic),
                keys: self.keys.clone(),
                values: NewValueSerde::around(&values),
                partitioner: None,
                key_hash: self.key_hash,
            };
            (format!("{name}-shed"), spec)
        });
        let table = graph.add_table(TableKind::Derived(self.table), false);
        // What the rows were to those below is told by the first change that waits.
        graph.send_old_values(self.table, true);
        let slot = StoreSlot::default();
        let spec = SuppressSpec {
            suppression: Suppression { wait_ms, window_end, max_records, max_bytes, when_full },
            builder: SuppressBufferBuilder::new(store_name, self.keys.clone(), values.clone(), logging),
            slot: slot.clone(),
            shed,
        };
        let node = graph.add_unversioned(&[self.node], name, Traits::default(), Body::Node(suppress(spec)));
        drop(graph);
        KTable {
            graph: self.graph.clone(),
            node,
            table,
            // As on the JVM, joins do not look behind a suppressed table for the topics that it comes from.
            sources: vec![node],
            keys: self.keys.clone(),
            values: Some(values),
            key_hash: self.key_hash,
            store_name: None,
            view: View::suppressed(self.view.clone(), slot),
        }
    }
}

/// How long after its end a window of the table at `node` can change (`GraphGraceSearchUtil` of the JVM); `None` if the
/// table is not windowed.
fn window_grace_ms(graph: &Graph, node: GraphId) -> Option<i64> {
    let node = graph.nodes.get(node.0)?;
    if node.traits.grace_ms.is_some() {
        return node.traits.grace_ms;
    }
    let graces = node.parents.iter().map(|parent| window_grace_ms(graph, *parent));
    graces.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The new value of a change, as it is written to the topic of those that had no room.
struct NewValueSerde<V>(SharedSerde<V>);

impl<V: 'static> NewValueSerde<V> {
    fn around(values: &SharedSerde<V>) -> SharedSerde<Change<V>> {
        Arc::new(NewValueSerde(values.clone()))
    }
}

impl<V: 'static> Serde for NewValueSerde<V> {
    type Target = Change<V>;

    fn serialize(&self, topic: &str, change: &Change<V>, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        change.new.as_ref().map_or(Ok(()), |new| self.0.serialize(topic, new, out))
    }

    fn deserialize(&self, topic: &str, bytes: &[u8]) -> Result<Change<V>, SerdeError> {
        Ok(Change { old: None, new: Some(self.0.deserialize(topic, bytes)?) })
    }

    fn is_null(&self, change: &Change<V>) -> bool {
        change.new.as_ref().is_none_or(|new| self.0.is_null(new))
    }

    fn id(&self) -> Cow<'static, str> {
        self.0.id()
    }
}
