//! Records that could not be read, processed or written, on their way to a topic of their own (KIP-1034).

use std::error::Error;
use std::sync::Arc;

use crate::handler::ErrorContext;
use crate::{Headers, Timestamp};

/// What the error is called: the JVM's class name; here, the type or the kind of the error where it is known.
pub const EXCEPTION_HEADER: &str = "__streams.errors.exception";
/// The text of the error.
pub const MESSAGE_HEADER: &str = "__streams.errors.message";
/// The error and what caused it, a line each. On the JVM it is the stack trace.
pub const STACKTRACE_HEADER: &str = "__streams.errors.stacktrace";
/// The input topic.
pub const TOPIC_HEADER: &str = "__streams.errors.topic";
/// The input partition, in decimal.
pub const PARTITION_HEADER: &str = "__streams.errors.partition";
/// The input offset, in decimal.
pub const OFFSET_HEADER: &str = "__streams.errors.offset";

/// A record that a handler sends to a topic of dead letters, by the producer of the task, in its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None` leaves the choice to the producer.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; `None` lets the producer put the wall-clock time.
    pub timestamp: Option<Timestamp>,
    /// Key bytes; `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is a null value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

impl DeadLetter {
    /// The input record as it was fetched, for `topic`, with headers that tell what happened to it: what the built-in
    /// handlers send (`ExceptionHandlerUtils.buildDeadLetterQueueRecord` of the JVM).
    ///
    /// All headers are text in UTF-8: [`EXCEPTION_HEADER`], [`MESSAGE_HEADER`], [`STACKTRACE_HEADER`], [`TOPIC_HEADER`]
    /// (a null if the record had none), [`PARTITION_HEADER`], [`OFFSET_HEADER`], in this order, behind the record's own.
    pub fn of(topic: impl Into<Arc<str>>, context: &ErrorContext, error: &(dyn Error + 'static)) -> Self {
        let source = context.source.as_deref().cloned().unwrap_or_default();
        let mut headers = source.headers;
        let mut add = |name: &str, text: Option<String>| headers.add(name, text.map(String::into_bytes));
        add(EXCEPTION_HEADER, Some(name_of(error)));
        add(MESSAGE_HEADER, Some(error.to_string()));
        add(STACKTRACE_HEADER, Some(causes(error)));
        add(TOPIC_HEADER, context.topic.as_ref().map(|topic| topic.to_string()));
        add(PARTITION_HEADER, Some(context.partition.to_string()));
        add(OFFSET_HEADER, Some(context.offset.to_string()));
        DeadLetter {
            topic: topic.into(),
            partition: None,
            timestamp: Some(context.timestamp).filter(|timestamp| *timestamp >= 0),
            key: source.key,
            value: source.value,
            headers,
        }
    }
}

/// A name for the kind of an error. Rust does not tell the type behind `dyn Error`; its debug form begins with it for
/// nearly all types that derive it.
fn name_of(error: &(dyn Error + 'static)) -> String {
    if error.is::<crate::SerdeError>() {
        return "SerdeError".to_owned();
    }
    let debug = format!("{error:?}");
    let name: String = debug.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
    if name.is_empty() { "Error".to_owned() } else { name }
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\nCaused by: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::SourceRecord;
    use crate::{SerdeError, TaskId};

    #[test]
    fn a_dead_letter_is_the_record_and_says_what_happened() {
        let mut headers = Headers::new();
        headers.add("own", Some(b"1".to_vec()));
        let source = SourceRecord { key: Some(b"k".to_vec()), value: Some(b"bad".to_vec()), headers };
        let context = ErrorContext {
            task: TaskId::new(0, 3),
            node: None,
            topic: Some("in".into()),
            partition: 3,
            offset: 42,
            timestamp: 7,
            source: Some(Arc::new(source)),
            dead_letter_topic: None,
        };
        let error = std::io::Error::other(SerdeError::invalid::<i64>("no number"));
        let letter = DeadLetter::of("dead", &context, &error);
        assert_eq!((&*letter.topic, letter.key, letter.value), ("dead", Some(b"k".to_vec()), Some(b"bad".to_vec())));
        assert_eq!(letter.timestamp, Some(7));
        let text = |name: &str| String::from_utf8(letter.headers.last(name).unwrap().value.clone().unwrap()).unwrap();
        assert_eq!(text("own"), "1");
        assert_eq!(text(EXCEPTION_HEADER), "Custom");
        assert_eq!(text(MESSAGE_HEADER), error.to_string());
        assert!(text(STACKTRACE_HEADER).starts_with(&error.to_string()));
        assert_eq!(
            (text(TOPIC_HEADER), text(PARTITION_HEADER), text(OFFSET_HEADER)),
            ("in".into(), "3".into(), "42".into())
        );
    }
}
