//! A table derived from another row by row, by code of the user's that keeps state.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::{
    Change, Children, Context, Failure, NodeId, Punctuation, RecordContext, Step, TaskContext, TaskId,
};
use kafka_streams_state::ValueAndTimestamp;
use kafka_streams_topology::{StoreRefs, Wiring};

use crate::graph::{Body, TableKind, Traits};
use crate::lower::{self, StoreSlot, TableStore};
use crate::node::table_transform::{TableTransform, Transformation};
use crate::option::Materialized;
use crate::view::View;
use crate::{KTable, prefix};

/// What a [`ValueTransformerWithKey`] sees of its task. No record can be made for it, so nothing can be forwarded.
pub type TransformContext<'a> = Context<'a, Infallible, Infallible>;

/// Derives the rows of a table, with state of its own (`ValueTransformerWithKey` of the JVM). Made once per task, on the
/// thread that runs it; it need not be `Send`.
pub trait ValueTransformerWithKey: 'static {
    /// The type of the table's keys.
    type Key: Clone + 'static;
    /// The type of the rows that come in.
    type VIn: Clone + 'static;
    /// The type of the rows that go out.
    type VOut: Clone + 'static;

    /// Called once before the first row, with the stores restored: the place to schedule punctuations.
    ///
    /// # Errors
    /// Any error ends the task.
    fn init(&mut self, _cx: &mut TransformContext<'_>) -> Step {
        Ok(())
    }

    /// The derived row; `None` is none. Also called for deletions, and, if a node below needs the row before, for that.
    ///
    /// # Errors
    /// Any error, by `?`; the processing exception handler decides what becomes of the record.
    fn transform(
        &mut self,
        key: &Self::Key,
        row: Option<Self::VIn>,
        cx: &mut TransformContext<'_>,
    ) -> Step<Option<Self::VOut>>;

    /// A punctuation that was scheduled with [`Context::schedule`] is due.
    ///
    /// # Errors
    /// As [`transform`](ValueTransformerWithKey::transform).
    fn punctuate(&mut self, _punctuation: Punctuation, _cx: &mut TransformContext<'_>) -> Step {
        Ok(())
    }

    /// Called once at the end, with the task committed or given up.
    fn close(&mut self) {}
}

impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// Derives a table row by row, by the user's [`ValueTransformerWithKey`]. `make` makes one for each task, from the stores
    /// that are named in `stores`: `()` for none, a [`StoreRef`](crate::StoreRef), or a tuple of them.
    ///
    /// ```
    /// use kafka_streams_core::Step;
    /// use kafka_streams_dsl::{StreamsBuilder, TransformContext, ValueTransformerWithKey};
    ///
    /// /// Says how many updates came before.
    /// struct Revision(i64);
    ///
    /// impl ValueTransformerWithKey for Revision {
    ///     type Key = String;
    ///     type VIn = String;
    ///     type VOut = i64;
    ///
    ///     fn transform(&mut self, _: &String, row: Option<String>, _: &mut TransformContext<'_>) -> Step<Option<i64>> {
    ///         self.0 += 1;
    ///         Ok(row.map(|_| self.0))
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let documents = builder.table::<String, String>("documents");
    /// documents.transform_values((), |()| Revision(0)).to_stream().to("revisions");
    /// # builder.build()?;
    /// # Ok::<(), kafka_streams_dsl::BuildError>(())
    /// ```
    #[track_caller]
    pub fn transform_values<T, S, F>(&self, stores: S, make: F) -> KTable<K, T::VOut>
    where
        T: ValueTransformerWithKey<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> T + Send + Sync + 'static,
    {
        self.do_transform_values(None, stores, make, None)
    }

    /// [`transform_values`](KTable::transform_values) by a node of this name.
    #[track_caller]
    pub fn transform_values_named<T, S, F>(&self, name: impl Into<String>, stores: S, make: F) -> KTable<K, T::VOut>
    where
        T: ValueTransformerWithKey<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> T + Send + Sync + 'static,
    {
        self.do_transform_values(Some(name.into()), stores, make, None)
    }

    /// [`transform_values`](KTable::transform_values), stored as `materialized` says if that names a store.
    #[track_caller]
    pub fn transform_values_with<T, S, F>(
        &self,
        stores: S,
        make: F,
        materialized: Materialized<K, T::VOut>,
    ) -> KTable<K, T::VOut>
    where
        T: ValueTransformerWithKey<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> T + Send + Sync + 'static,
    {
        self.do_transform_values(None, stores, make, Some(materialized))
    }

    /// [`transform_values_with`](KTable::transform_values_with) by a node of this name.
    #[track_caller]
    pub fn transform_values_with_named<T, S, F>(
        &self,
        name: impl Into<String>,
        stores: S,
        make: F,
        materialized: Materialized<K, T::VOut>,
    ) -> KTable<K, T::VOut>
    where
        T: ValueTransformerWithKey<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> T + Send + Sync + 'static,
    {
        self.do_transform_values(Some(name.into()), stores, make, Some(materialized))
    }

    #[track_caller]
    fn do_transform_values<T, S, F>(
        &self,
        name: Option<String>,
        stores: S,
        make: F,
        materialized: Option<Materialized<K, T::VOut>>,
    ) -> KTable<K, T::VOut>
    where
        T: ValueTransformerWithKey<Key = K, VIn = V>,
        S: StoreRefs,
        F: Fn(S::Stores) -> T + Send + Sync + 'static,
    {
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix::TABLE_TRANSFORM_VALUES);
        let keys = materialized.as_ref().map_or_else(|| self.keys.clone(), |stored| stored.key_serde(&self.keys));
        let values = materialized.as_ref().map(|stored| stored.values.or_inherited(None));
        let store_name = materialized.as_ref().and_then(|stored| stored.store.clone());
        let table = graph.add_table(TableKind::Derived(self.table), store_name.is_some());
        let builder = match (&materialized, &store_name, &values) {
            (Some(stored), Some(name), Some(values)) => {
                graph.check("store", name);
                Some(stored.key_value_store(name, &keys, values))
            }
            _ => None,
        };
        if let (Some(stored), None) = (&materialized, &builder) {
            stored.refuse_versions(&mut graph, &name);
        }
        let slot = StoreSlot::default();
        let stored_values = values.clone().filter(|_| builder.is_some());
        let make = Arc::new(make);
        let view = transformed(self.view.clone(), stores, make.clone(), slot.clone());
        let of = Arc::new(Transformation { values: stored_values });
        let store = TableStore { table, builder, slot };
        let lowering = lower::transforming::<K, Change<V>, _, _, _, _, _>(store, stores, move |stores, id, parts| {
            TableTransform::new(&of, id, make(stores), parts)
        });
        let node = graph.add(&[self.node], name, Traits::default(), Body::Node(lowering));
        if materialized.is_some() {
            graph.set_output_versioned(node, false);
        }
        drop(graph);
        KTable {
            graph: self.graph.clone(),
            node,
            table,
            sources: self.sources.clone(),
            keys,
            values,
            key_hash: self.key_hash,
            store_name: store_name.map(Into::into),
            view,
        }
    }
}

/// How others read the rows: the table's own store if it has one, else a transformer of their own over the rows of the
/// table above, as on the JVM.
fn transformed<K, V, T, S, F>(
    parent: View<K, V>,
    stores: S,
    make: Arc<F>,
    slot: StoreSlot<kafka_streams_state::TimestampedKeyValueStore<K, T::VOut>>,
) -> View<K, T::VOut>
where
    K: Clone + 'static,
    V: Clone + 'static,
    T: ValueTransformerWithKey<Key = K, VIn = V>,
    S: StoreRefs,
    F: Fn(S::Stores) -> T + Send + Sync + 'static,
{
    let reader = move |wiring: &Wiring<'_>| {
        let mut transformer = make(stores.resolve(wiring)?);
        let children = Children::new([]);
        let application = wiring.application_id().into();
        let mut cx = TaskContext::new(TaskId::new(-1, -1), application, Handlers::default());
        transformer.init(&mut Context::new(&mut cx, NodeId(u32::MAX), &children))?;
        let reader = RefCell::new((transformer, cx));
        Ok(move |key: &K, row: Option<ValueAndTimestamp<V>>| {
            let (value, timestamp) = row.map_or((None, -1), |row| (Some(row.value), row.timestamp));
            let mut reader =
                reader.try_borrow_mut().map_err(|_| Failure::bug("a transformer called from within itself"))?;
            let (transformer, cx) = &mut *reader;
            cx.record = RecordContext::none(timestamp);
            let value = transformer.transform(key, value, &mut Context::new(cx, NodeId(u32::MAX), &children))?;
            if !cx.output.is_empty() {
                cx.output.clear();
                return Err(Failure::processing(
                    "a transformer has written a store while its table was read by another node; name the table's store, \
                     so that it is read in its place",
                ));
            }
            Ok(value.map(|value| ValueAndTimestamp::new(value, timestamp)))
        })
    };
    View::transformed(parent, reader, slot)
}
