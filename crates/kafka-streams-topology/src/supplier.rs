//! Makes a processor in each task and brings the stores that belong to it, so that both are added in one step.

use kafka_streams_core::Processor;
use kafka_streams_state::StoreBuilder;

use crate::{Draft, StoreRef, StoreRefs, TopologyError};

/// The stores of a processor, as its supplier gets them in each task.
pub type SuppliedStores<S> = <<<S as ProcessorSupplier>::Stores as StoreBuilders>::Refs as StoreRefs>::Stores;

/// Makes a processor in each task, and brings its stores (`ProcessorSupplier` of the JVM with its `stores()`).
///
/// ```
/// use std::rc::Rc;
///
/// use kafka_streams_core::serde::{I64Serde, StringSerde};
/// use kafka_streams_core::{Context, Processor, Record, Step};
/// use kafka_streams_state::{KeyValueStore, KeyValueStoreBuilder, Stores};
/// use kafka_streams_topology::{ProcessorSupplier, TopologyBuilder};
///
/// struct Count { counts: Rc<KeyValueStore<String, i64>> }
///
/// impl Processor for Count {
///     type KIn = String;
///     type VIn = String;
///     type KOut = String;
///     type VOut = i64;
///
///     fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, i64>) -> Step {
///         let count = self.counts.get(&record.key)?.unwrap_or(0) + 1;
///         self.counts.put(cx, &record.key, Some(&count))?;
///         cx.forward(record.with_value(count))
///     }
/// }
///
/// /// Counts, in a store of its own.
/// struct Counting;
///
/// impl ProcessorSupplier for Counting {
///     type Processor = Count;
///     type Stores = (KeyValueStoreBuilder<String, i64>,);
///
///     fn stores(&self) -> Self::Stores {
///         (Stores::persistent_key_value_store("counts", StringSerde, I64Serde),)
///     }
///
///     fn get(&self, (counts,): (Rc<KeyValueStore<String, i64>>,)) -> Count {
///         Count { counts }
///     }
/// }
///
/// # fn main() -> Result<(), kafka_streams_topology::TopologyError> {
/// let mut builder = TopologyBuilder::new();
/// builder
///     .add_source("words", &["words"], StringSerde, StringSerde)?
///     .add_supplied_processor("count", Counting, &["words"])?
///     .add_sink("counts", "counts", StringSerde, I64Serde, &["count"])?;
/// assert!(builder.build()?.describe().contains("Processor: count (stores: [counts])"));
/// # Ok(())
/// # }
/// ```
pub trait ProcessorSupplier: Send + Sync + 'static {
    /// The processor.
    type Processor: Processor;
    /// The builders of its stores, as a tuple; `()` without stores.
    type Stores: StoreBuilders;

    /// The stores to be added to the topology and connected to the processor. Called once.
    fn stores(&self) -> Self::Stores;

    /// Makes the processor of one task, with its instances of the stores.
    fn get(&self, stores: SuppliedStores<Self>) -> Self::Processor;
}

/// A tuple of up to four builders of stores.
pub trait StoreBuilders {
    /// The references of the stores, in the same shape.
    type Refs: StoreRefs;

    /// Adds the stores to a topology.
    ///
    /// # Errors
    /// As [`Draft::add_store`].
    fn add_to(self, draft: &mut Draft) -> Result<Self::Refs, TopologyError>;
}

macro_rules! tuple {
    ($($builder:ident $at:tt),*) => {
        impl<$($builder: StoreBuilder),*> StoreBuilders for ($($builder,)*) {
            type Refs = ($(StoreRef<$builder::Store>,)*);

            #[allow(clippy::unused_unit, unused_variables, reason = "the empty tuple")]
            fn add_to(self, draft: &mut Draft) -> Result<Self::Refs, TopologyError> {
                Ok(($(draft.add_store(self.$at)?,)*))
            }
        }
    };
}

tuple!();
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
