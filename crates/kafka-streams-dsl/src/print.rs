//! A stream as lines of text, for a look at it while a topology is developed.

use std::sync::PoisonError;

use kafka_streams_core::{Record, Step, TaskContext};

use crate::option::Printed;
use crate::stream::SAME;
use crate::{KStream, lower, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Writes every record as a line of text, which is the end of this branch of the topology.
    ///
    /// A writer that fails is a failure of processing.
    ///
    /// ```
    /// # use kafka_streams_dsl::Printed;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// orders.print(Printed::to_writer(std::io::stdout()));
    /// ```
    #[track_caller]
    pub fn print(&self, printed: Printed<K, V>) {
        let Printed { writer, label, name, text } = printed;
        let stream_name = self.graph.lock().nodes.get(self.node.0).map(|node| node.name.clone());
        let label = label.or(stream_name).unwrap_or_default();
        let lowering = lower::terminal(move || {
            let (writer, label, text) = (writer.clone(), label.clone(), text.clone());
            move |_: &mut TaskContext, record: Record<K, V>| -> Step {
                let line = format!("[{label}]: {}\n", text(&record.key, &record.value));
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                writer.write_all(line.as_bytes())?;
                writer.flush()?;
                Ok(())
            }
        });
        self.add_below(name, prefix::PRINTER, SAME, lowering);
    }
}
