//! The Processor API: the user's own stateful operators.

use crate::{Context, Punctuation, Record, Step};

/// A stateful operator of the user's. Made once per task, on the thread that runs it; it need not be `Send`.
///
/// Its types are associated, so that `stream.process(..)` knows the output stream's types. Its stores come through the
/// constructor, typed: there is no look-up by name and no cast.
///
/// ```
/// use kafka_streams_core::{Context, Processor, Record, Step};
///
/// /// Passes on every `n`th record.
/// struct Sampler { n: u64, seen: u64 }
///
/// impl Processor for Sampler {
///     type KIn = String;
///     type VIn = i64;
///     type KOut = String;
///     type VOut = i64;
///
///     fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
///         self.seen += 1;
///         if self.seen % self.n == 0 { cx.forward(record) } else { Ok(()) }
///     }
/// }
/// ```
///
/// There are no sensors to ask the context for (`ProcessorContext.metrics` of the JVM): what a processor measures goes to
/// the crate [`metrics`](https://docs.rs/metrics), and so to whatever recorder the program installs. Handles are best made
/// once, when the processor is started:
///
/// ```
/// use kafka_streams_core::{Context, Processor, Record, Step};
///
/// struct Refusals { count: metrics::Counter }
///
/// impl Processor for Refusals {
///     type KIn = String;
///     type VIn = i64;
///     type KOut = String;
///     type VOut = i64;
///
///     fn init(&mut self, cx: &mut Context<'_, String, i64>) -> Step {
///         self.count = metrics::counter!("orders.refused", "task" => cx.task_id().to_string());
///         Ok(())
///     }
///
///     fn process(&mut self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Step {
///         if record.value >= 0 {
///             return cx.forward(record);
///         }
///         self.count.increment(1);
///         Ok(())
///     }
/// }
///
/// let refusals = Refusals { count: metrics::Counter::noop() };
/// # drop(refusals);
/// ```
pub trait Processor: 'static {
    /// The key type of the records that come in.
    type KIn: Clone + 'static;
    /// The value type of the records that come in.
    type VIn: Clone + 'static;
    /// The key type of the records that go out.
    type KOut: Clone + 'static;
    /// The value type of the records that go out.
    type VOut: Clone + 'static;

    /// Called once before the first record, with the stores restored: the place to schedule punctuations.
    ///
    /// # Errors
    /// Any error ends the task.
    fn init(&mut self, _cx: &mut Context<'_, Self::KOut, Self::VOut>) -> Step {
        Ok(())
    }

    /// Takes one record.
    ///
    /// # Errors
    /// Any error, by `?`; the processing exception handler decides what becomes of it.
    fn process(&mut self, record: Record<Self::KIn, Self::VIn>, cx: &mut Context<'_, Self::KOut, Self::VOut>) -> Step;

    /// A punctuation that was scheduled with [`Context::schedule`] is due.
    ///
    /// # Errors
    /// As [`process`](Processor::process).
    fn punctuate(&mut self, _punctuation: Punctuation, _cx: &mut Context<'_, Self::KOut, Self::VOut>) -> Step {
        Ok(())
    }

    /// Called once at the end, with the task committed or given up.
    fn close(&mut self) {}
}
