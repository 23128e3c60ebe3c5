//! Wraps the processors of a topology with code of the user's, whatever their types are.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::Step;

use crate::{Draft, StoreBuilders, StoreIndex, StoreRefs, TopologyError, Wiring, WrappedProcessor};

/// The stores that a wrapper adds to a processor, as it gets them in each task.
pub type WrapperStores<W> = <<<W as ProcessorWrapper>::Stores as StoreBuilders>::Refs as StoreRefs>::Stores;

/// Wraps the processors of a topology, those of the DSL's operators as well as the user's own (`ProcessorWrapper` of the
/// JVM, KIP-1112): to measure, trace or audit all of them in one place, to look at records, or to let errors of some of
/// them pass. Given to `StreamsBuilder::with_processor_wrapper` or
/// [`TopologyBuilder::with_processor_wrapper`](crate::TopologyBuilder::with_processor_wrapper), where the JVM has the
/// setting `processor.wrapper.class`.
///
/// Sources, sinks and the processors that keep global or read-only stores are not wrapped, as on the JVM. A processor for which
/// [`stores`](ProcessorWrapper::stores) says `None` runs as if there were no wrapper.
///
/// A wrapper cannot put another processor in the place of one, as it does not know its types; see
/// [`WrappedRecord`](crate::WrappedRecord) for what it can do with a record.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use kafka_streams_core::serde::StringSerde;
/// use kafka_streams_core::{Context, Processor, Record, Step, TaskContext};
/// use kafka_streams_topology::{ProcessorWrapper, TopologyBuilder, WrappedProcessor, WrappedRecord};
///
/// /// Counts the records of all processors, and those that failed.
/// #[derive(Clone, Default)]
/// struct Counting { records: Arc<AtomicU64>, failures: Arc<AtomicU64> }
///
/// impl ProcessorWrapper for Counting {
///     type Wrapped = Counted;
///     type Stores = ();
///
///     fn stores(&self, _processor: &str) -> Option<()> {
///         Some(())
///     }
///
///     fn wrap(&self, _processor: &str, _stores: ()) -> Counted {
///         Counted(self.clone())
///     }
/// }
///
/// struct Counted(Counting);
///
/// impl WrappedProcessor for Counted {
///     fn process(&mut self, record: WrappedRecord<'_>, cx: &mut TaskContext) -> Step {
///         self.0.records.fetch_add(1, Ordering::Relaxed);
///         record.process(cx).inspect_err(|_| {
///             self.0.failures.fetch_add(1, Ordering::Relaxed);
///         })
///     }
/// }
/// # struct Parse;
/// # impl Processor for Parse {
/// #     type KIn = String;
/// #     type VIn = String;
/// #     type KOut = String;
/// #     type VOut = String;
/// #     fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
/// #         cx.forward(record)
/// #     }
/// # }
///
/// # fn main() -> Result<(), kafka_streams_topology::TopologyError> {
/// let counting = Counting::default();
/// let mut builder = TopologyBuilder::new().with_processor_wrapper(counting.clone());
/// builder
///     .add_source("lines", &["lines"], StringSerde, StringSerde)?
///     .add_processor("parse", |_| Ok(Parse), &["lines"])?;
/// let topology = builder.build()?;
/// # let _ = topology;
/// # Ok(())
/// # }
/// ```
pub trait ProcessorWrapper: Send + Sync + 'static {
    /// What is around a processor in a task.
    type Wrapped: WrappedProcessor;
    /// The builders of the stores that come with it, as a tuple; `()` without stores.
    type Stores: StoreBuilders;

    /// The stores to be added to the topology and connected to the processor of this name, beside its own; `None` leaves the
    /// processor unwrapped. Stores of different processors have different names. Called once for each processor, when it
    /// is added to the topology.
    fn stores(&self, processor: &str) -> Option<Self::Stores>;

    /// Makes what is around the processor of this name in one task, with the task's instances of the stores.
    fn wrap(&self, processor: &str, stores: WrapperStores<Self>) -> Self::Wrapped;
}

/// A wrapper without its types.
pub(crate) trait AnyProcessorWrapper: Send + Sync {
    /// Adds the stores of a processor, if it is to be wrapped; they are not connected yet.
    fn declare(&self, name: &str, draft: &mut Draft) -> Result<Option<Wrapping>, TopologyError>;
}

/// The stores of what is around a processor, and what makes it.
pub(crate) type Wrapping = (Vec<StoreIndex>, MakeWrapped);

/// What is around a processor in one task.
pub(crate) type Wrapped = Rc<RefCell<dyn WrappedProcessor>>;

/// Makes it, for the processor that now has this name.
pub(crate) type MakeWrapped = Box<dyn Fn(&Wiring<'_>, &str) -> Step<Wrapped> + Send + Sync>;

impl<W: ProcessorWrapper> AnyProcessorWrapper for Arc<W> {
    fn declare(&self, name: &str, draft: &mut Draft) -> Result<Option<Wrapping>, TopologyError> {
        let Some(stores) = self.stores(name) else { return Ok(None) };
        let (stores, wrapper) = (stores.add_to(draft)?, self.clone());
        let make: MakeWrapped = Box::new(move |wiring, name| {
            let wrapped = wrapper.wrap(name, stores.resolve(wiring)?);
            Ok(Rc::new(RefCell::new(wrapped)))
        });
        Ok(Some((stores.indexes(), make)))
    }
}
