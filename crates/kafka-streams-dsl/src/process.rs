//! Processors in a stream besides [`process`](KStream::process): those that keep keys, that bring their stores, or that take
//! stores by name.

use kafka_streams_core::{FixedKeyProcessor, KeepingKeys, Processor, Step};
use kafka_streams_topology::{ProcessorStores, ProcessorSupplier, StoreRefs};

use crate::graph::Body;
use crate::stream::SAME;
use crate::{KStream, lower, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Runs the user's [`FixedKeyProcessor`] on every record, as [`process`](KStream::process) does it with a
    /// [`Processor`]. The keys stay, so nothing is repartitioned.
    ///
    /// ```
    /// use kafka_streams_core::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Step};
    /// use kafka_streams_dsl::StreamsBuilder;
    ///
    /// /// Numbers the records.
    /// struct Number(i64);
    ///
    /// impl FixedKeyProcessor for Number {
    ///     type Key = String;
    ///     type VIn = String;
    ///     type VOut = i64;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: FixedKeyRecord<String, String>,
    ///         cx: &mut FixedKeyContext<'_, '_, String, i64>,
    ///     ) -> Step {
    ///         self.0 += 1;
    ///         let number = self.0;
    ///         cx.forward(record.with_value(number))
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream("lines").process_values((), |()| Number(0)).to("numbers");
    /// # builder.build()?;
    /// # Ok::<(), kafka_streams_dsl::BuildError>(())
    /// ```
    #[track_caller]
    pub fn process_values<P, S, F>(&self, stores: S, make: F) -> KStream<K, P::VOut>
    where
        P: FixedKeyProcessor<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> P + Send + Sync + 'static,
    {
        let name = self.graph.lock().names.next_node(prefix::PROCESS_VALUES);
        self.do_process_values(name, stores, make)
    }

    /// [`process_values`](KStream::process_values) by a node of this name.
    #[track_caller]
    pub fn process_values_named<P, S, F>(&self, name: impl Into<String>, stores: S, make: F) -> KStream<K, P::VOut>
    where
        P: FixedKeyProcessor<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> P + Send + Sync + 'static,
    {
        let name = self.given(name);
        self.do_process_values(name, stores, make)
    }

    /// [`process`](KStream::process) with a supplier that brings the processor's stores.
    ///
    /// ```
    /// # use kafka_streams_core::{Context, Processor, Record, Step};
    /// # use kafka_streams_dsl::StreamsBuilder;
    /// use kafka_streams_topology::ProcessorSupplier;
    ///
    /// # struct Copy;
    /// # impl Processor for Copy {
    /// #     type KIn = String;
    /// #     type VIn = String;
    /// #     type KOut = String;
    /// #     type VOut = String;
    /// #     fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
    /// #         cx.forward(record)
    /// #     }
    /// # }
    /// struct Copying;
    ///
    /// impl ProcessorSupplier for Copying {
    ///     type Processor = Copy;
    ///     type Stores = ();
    ///
    ///     fn stores(&self) {}
    ///
    ///     fn get(&self, (): ()) -> Copy {
    ///         Copy
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream("lines").process_supplied(Copying).to("copies");
    /// ```
    #[track_caller]
    pub fn process_supplied<S, P>(&self, supplier: S) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        S: ProcessorSupplier<Processor = P>,
    {
        let name = self.graph.lock().names.next_node(prefix::PROCESSOR);
        let node = self.graph.lock().add(&[self.node], name, SAME, Body::Node(lower::process_supplied(supplier)));
        self.with_new_key(node, None)
    }

    /// [`process_supplied`](KStream::process_supplied) by a node of this name.
    #[track_caller]
    pub fn process_supplied_named<S, P>(&self, name: impl Into<String>, supplier: S) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        S: ProcessorSupplier<Processor = P>,
    {
        let name = self.given(name);
        let node = self.graph.lock().add(&[self.node], name, SAME, Body::Node(lower::process_supplied(supplier)));
        self.with_new_key(node, None)
    }

    /// [`process`](KStream::process) with stores that are connected by their names, for stores that have no reference: those
    /// of tables. `make` gets them by type and name. Global stores need no connection.
    ///
    /// ```
    /// # use kafka_streams_core::{Context, Processor, Record, Step};
    /// # use kafka_streams_dsl::{Consumed, KTable, Materialized, StreamsBuilder};
    /// use std::rc::Rc;
    ///
    /// use kafka_streams_state::TimestampedKeyValueStore;
    ///
    /// struct AddName { names: Rc<TimestampedKeyValueStore<String, String>> }
    /// # impl Processor for AddName {
    /// #     type KIn = String;
    /// #     type VIn = i64;
    /// #     type KOut = String;
    /// #     type VOut = String;
    /// #     fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, String>) -> Step {
    /// #         let name = self.names.get(&record.key)?.map(|row| row.value).unwrap_or_default();
    /// #         cx.forward(record.map_value(|_, amount| format!("{name}: {amount}")))
    /// #     }
    /// # }
    ///
    /// let builder = StreamsBuilder::new();
    /// let names: KTable<String, String> =
    ///     builder.table_with("names", Consumed::default(), Materialized::named("names-store"));
    /// let orders = builder.stream::<String, i64>("orders");
    /// orders
    ///     .process_with_stores(&["names-store"], |stores| Ok(AddName { names: stores.named("names-store")? }))
    ///     .to("named-orders");
    /// # builder.build()?;
    /// # Ok::<(), kafka_streams_dsl::BuildError>(())
    /// ```
    #[track_caller]
    pub fn process_with_stores<P, F>(&self, stores: &[&str], make: F) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        F: Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
    {
        let name = self.graph.lock().names.next_node(prefix::PROCESSOR);
        self.do_process_with_stores(name, stores, make)
    }

    /// [`process_with_stores`](KStream::process_with_stores) by a node of this name.
    #[track_caller]
    pub fn process_with_stores_named<P, F>(
        &self,
        name: impl Into<String>,
        stores: &[&str],
        make: F,
    ) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        F: Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
    {
        let name = self.given(name);
        self.do_process_with_stores(name, stores, make)
    }

    /// [`process_values`](KStream::process_values) with stores that are connected by their names, as in
    /// [`process_with_stores`](KStream::process_with_stores).
    #[track_caller]
    pub fn process_values_with_stores<P, F>(&self, stores: &[&str], make: F) -> KStream<K, P::VOut>
    where
        P: FixedKeyProcessor<Key = K, VIn = V>,
        F: Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
    {
        let name = self.graph.lock().names.next_node(prefix::PROCESS_VALUES);
        self.do_process_values_with_stores(name, stores, make)
    }

    /// [`process_values_with_stores`](KStream::process_values_with_stores) by a node of this name.
    #[track_caller]
    pub fn process_values_with_stores_named<P, F>(
        &self,
        name: impl Into<String>,
        stores: &[&str],
        make: F,
    ) -> KStream<K, P::VOut>
    where
        P: FixedKeyProcessor<Key = K, VIn = V>,
        F: Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
    {
        let name = self.given(name);
        self.do_process_values_with_stores(name, stores, make)
    }

    #[track_caller]
    fn do_process_values<P, S, F>(&self, name: String, stores: S, make: F) -> KStream<K, P::VOut>
    where
        P: FixedKeyProcessor<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> P + Send + Sync + 'static,
    {
        let lowering = lower::process(stores, move |stores| KeepingKeys(make(stores)));
        let node = self.graph.lock().add(&[self.node], name, SAME, Body::Node(lowering));
        self.with_new_value(node)
    }

    #[track_caller]
    fn do_process_with_stores<P, F>(&self, name: String, stores: &[&str], make: F) -> KStream<P::KOut, P::VOut>
    where
        P: Processor<KIn = K, VIn = V>,
        F: Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
    {
        let lowering = lower::process_with_stores(stores, make);
        let node = self.graph.lock().add(&[self.node], name, SAME, Body::Node(lowering));
        self.with_new_key(node, None)
    }

    #[track_caller]
    fn do_process_values_with_stores<P, F>(&self, name: String, stores: &[&str], make: F) -> KStream<K, P::VOut>
    where
        P: FixedKeyProcessor<Key = K, VIn = V>,
        F: Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
    {
        let lowering = lower::process_with_stores(stores, move |stores| Ok(KeepingKeys(make(stores)?)));
        let node = self.graph.lock().add(&[self.node], name, SAME, Body::Node(lowering));
        self.with_new_value(node)
    }

    /// A name that draws no number, as on the JVM.
    #[track_caller]
    fn given(&self, name: impl Into<String>) -> String {
        let name = name.into();
        self.graph.lock().check("node", &name);
        name
    }
}
