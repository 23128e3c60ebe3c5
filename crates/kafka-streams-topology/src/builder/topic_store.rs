//! Stores that are filled from a topic and have no changelog besides: global ones, and read-only ones.

use std::any::Any;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{NodeId, Processor, Serde};
use kafka_streams_state::StoreBuilder;

use super::TopologyBuilder;
use crate::{OffsetReset, SourceSpec, StoreRef, TopicName, TopologyError, Wiring};

/// The nodes of a store that is filled from a topic.
#[derive(Clone, Copy, Debug)]
pub struct TopicStore<'n> {
    /// The name of the source.
    pub source: &'n str,
    /// The topic.
    pub topic: &'n str,
    /// The name of the processor that keeps the store.
    pub processor: &'n str,
}

impl TopologyBuilder {
    /// Adds a store of which every instance has all: a source of all partitions of a topic, and the processor that keeps
    /// the store. All processors can read it, by the reference that is returned or by its name, without being connected.
    ///
    /// A restart processes the topic again from where the store stands; the processor sends nothing on.
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use kafka_streams_core::serde::StringSerde;
    /// use kafka_streams_core::{Context, Processor, Record, Step};
    /// use kafka_streams_state::{KeyValueStore, Stores};
    /// use kafka_streams_topology::{TopicStore, TopologyBuilder};
    ///
    /// struct Keep { names: Rc<KeyValueStore<String, String>> }
    ///
    /// impl Processor for Keep {
    ///     type KIn = String;
    ///     type VIn = String;
    ///     type KOut = ();
    ///     type VOut = ();
    ///
    ///     fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, (), ()>) -> Step {
    ///         self.names.put(cx, &record.key, Some(&record.value))
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), kafka_streams_topology::TopologyError> {
    /// let mut builder = TopologyBuilder::new();
    /// let store = Stores::in_memory_key_value_store("names", StringSerde, StringSerde);
    /// let nodes = TopicStore { source: "read-names", topic: "names", processor: "keep-names" };
    /// let names = builder.add_global_store(store, nodes, StringSerde, StringSerde, |names| Keep { names })?;
    /// # let _ = names;
    /// # builder.build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An illegal or taken name, or a topic that another source reads.
    #[track_caller]
    pub fn add_global_store<B, K, V, P>(
        &mut self,
        store: B,
        nodes: TopicStore<'_>,
        keys: K,
        values: V,
        supplier: impl Fn(Rc<B::Store>) -> P + Send + Sync + 'static,
    ) -> Result<StoreRef<B::Store>, TopologyError>
    where
        B: StoreBuilder,
        K: Serde<Target: Clone>,
        V: Serde<Target: Clone>,
        P: Processor<KIn = K::Target, VIn = V::Target>,
    {
        let source = SourceSpec::new([TopicName::external(nodes.topic)], Arc::new(keys), Arc::new(values));
        self.draft.enter(Location::caller());
        self.draft.add_global_store(store, nodes.source, source, nodes.processor, |store| {
            move |wiring: &mut Wiring<'_>, id: NodeId| {
                let processor = supplier(wiring.store(store)?);
                wiring.install_processor(id, processor)
            }
        })
    }

    /// Adds a store that is filled from a topic and restored from it, without a changelog of its own (KIP-813): the
    /// source, and the processor that keeps the store. Connect it to the processors that read it.
    ///
    /// A restore takes the topic's records as rows, without the processor; it must put every record as it is.
    ///
    /// # Errors
    /// As [`add_global_store`](TopologyBuilder::add_global_store).
    #[track_caller]
    pub fn add_read_only_state_store<B, K, V, P>(
        &mut self,
        store: B,
        nodes: TopicStore<'_>,
        keys: K,
        values: V,
        supplier: impl Fn(Rc<B::Store>) -> P + Send + Sync + 'static,
    ) -> Result<StoreRef<B::Store>, TopologyError>
    where
        B: StoreBuilder<Store: Any>,
        K: Serde<Target: Clone>,
        V: Serde<Target: Clone>,
        P: Processor<KIn = K::Target, VIn = V::Target>,
    {
        let mut source = SourceSpec::new([TopicName::external(nodes.topic)], Arc::new(keys), Arc::new(values));
        source.offset_reset = Some(OffsetReset::Earliest);
        self.add_source_with(nodes.source, source)?;
        let store = self.add_state_store(store, &[nodes.processor])?;
        self.draft.use_source_as_changelog(store.index(), nodes.topic);
        let parents = self.parents(nodes.processor, &[nodes.source])?;
        let build = move |wiring: &mut Wiring<'_>, id: NodeId| {
            let processor = supplier(wiring.store(store)?);
            wiring.install_processor(id, processor)
        };
        self.draft.add_unwrapped_processor::<(P::KIn, P::VIn), (P::KOut, P::VOut)>(
            nodes.processor,
            &parents,
            &[store.index()],
            build,
        )?;
        Ok(store)
    }
}
