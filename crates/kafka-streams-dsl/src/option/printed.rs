//! How a stream is printed.

use std::fmt::{self, Display};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// Turns key and value into the text of a line.
pub(crate) type LineText<K, V> = Arc<dyn Fn(&K, &V) -> String + Send + Sync>;

/// Where and how [`print`](crate::KStream::print) writes a stream: `[label]: key, value`, a line for each record.
///
/// This library opens no file and writes to no standard output by itself: the writer is given. All tasks of the instance
/// share it, and every line is flushed.
///
/// ```
/// use kafka_streams_dsl::{Printed, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let orders = builder.stream::<String, i64>("orders");
/// orders.print(Printed::to_writer(std::io::stdout()).with_label("orders"));
/// ```
pub struct Printed<K, V> {
    pub(crate) writer: Arc<Mutex<dyn Write + Send>>,
    pub(crate) label: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) text: LineText<K, V>,
}

impl<K: Display + 'static, V: Display + 'static> Printed<K, V> {
    /// Writes to standard output, an open file, or whatever else can be written to.
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Printed::with_key_value_mapper(writer, |key, value| format!("{key}, {value}"))
    }
}

impl<K: 'static, V: 'static> Printed<K, V> {
    /// Writes what `mapper` makes of key and value in place of `key, value`.
    ///
    /// ```
    /// # use kafka_streams_dsl::Printed;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<Option<String>, i64>("orders");
    /// orders.print(Printed::with_key_value_mapper(std::io::stderr(), |key, value| format!("{key:?} pays {value}")));
    /// ```
    pub fn with_key_value_mapper(
        writer: impl Write + Send + 'static,
        mapper: impl Fn(&K, &V) -> String + Send + Sync + 'static,
    ) -> Self {
        Printed { writer: Arc::new(Mutex::new(writer)), label: None, name: None, text: Arc::new(mapper) }
    }

    /// What stands in brackets before each record, instead of the name of the stream's node.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The name of the node.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<K, V> fmt::Debug for Printed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printed").field("label", &self.label).field("name", &self.name).finish_non_exhaustive()
    }
}
