//! Wraps the processors of the DSL's operators.

use kafka_streams_topology::ProcessorWrapper;

use crate::StreamsBuilder;

impl StreamsBuilder {
    /// Wraps the processors of all operators, those that were added before as well; see [`ProcessorWrapper`]. An operator
    /// may be several processors, by the names that `describe()` tells.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use kafka_streams_core::{Step, TaskContext};
    /// use kafka_streams_dsl::StreamsBuilder;
    /// use kafka_streams_topology::{ProcessorWrapper, WrappedProcessor, WrappedRecord};
    ///
    /// /// Counts the records that come to the operators whose names begin with `audit-`.
    /// struct Audit(Arc<AtomicU64>);
    ///
    /// struct Audited(Arc<AtomicU64>);
    ///
    /// impl ProcessorWrapper for Audit {
    ///     type Wrapped = Audited;
    ///     type Stores = ();
    ///
    ///     fn stores(&self, processor: &str) -> Option<()> {
    ///         processor.starts_with("audit-").then_some(())
    ///     }
    ///
    ///     fn wrap(&self, _processor: &str, _stores: ()) -> Audited {
    ///         Audited(self.0.clone())
    ///     }
    /// }
    ///
    /// impl WrappedProcessor for Audited {
    ///     fn process(&mut self, record: WrappedRecord<'_>, cx: &mut TaskContext) -> Step {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///         record.process(cx)
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), kafka_streams_dsl::BuildError> {
    /// let seen = Arc::new(AtomicU64::new(0));
    /// let builder = StreamsBuilder::new().with_processor_wrapper(Audit(seen.clone()));
    /// builder.stream::<String, i64>("payments").filter_named("audit-positive", |_, amount| *amount > 0).to("positive");
    /// let topology = builder.build()?;
    /// # let _ = topology;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_processor_wrapper(self, wrapper: impl ProcessorWrapper) -> Self {
        self.graph.lock().draft.set_processor_wrapper(wrapper);
        self
    }
}
