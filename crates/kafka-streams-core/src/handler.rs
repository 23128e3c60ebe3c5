//! What happens to a record that cannot be read, processed or written: the user's policies.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::{DeadLetter, Headers, TaskId};

/// Where a record failed; passed to the handlers and part of what they log.
#[derive(Clone, Debug)]
pub struct ErrorContext {
    /// The task.
    pub task: TaskId,
    /// The node in which it failed, where known.
    pub node: Option<Arc<str>>,
    /// The topic of the input record; `None` in a punctuation.
    pub topic: Option<Arc<str>>,
    /// The partition of the input record; -1 in a punctuation.
    pub partition: i32,
    /// The offset of the input record; -1 in a punctuation.
    pub offset: i64,
    /// The timestamp of the record in milliseconds.
    pub timestamp: i64,
    /// The input record as it was fetched. `None` in a punctuation, in a flush, and for errors of processing and writing
    /// if no topic for dead letters is configured: bytes that nobody asks for are not kept.
    pub source: Option<Arc<SourceRecord>>,
    /// `errors.dead.letter.queue.topic.name`: where the built-in handlers send what fails.
    pub dead_letter_topic: Option<Arc<str>>,
}

/// An input record as it was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceRecord {
    /// Key bytes; `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is a null value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

impl fmt::Display for ErrorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.task)?;
        if let Some(node) = &self.node {
            write!(f, ", node {node}")?;
        }
        match &self.topic {
            Some(topic) => write!(f, ", topic {topic}, partition {}, offset {}", self.partition, self.offset),
            None => write!(f, ", in a punctuation"),
        }
    }
}

/// A handler's decision.
///
/// ```
/// use kafka_streams_core::DeadLetter;
/// use kafka_streams_core::handler::{ErrorContext, ProcessingExceptionHandler, Response};
///
/// /// Sends what fails to a topic, and goes on.
/// struct Park;
///
/// impl ProcessingExceptionHandler for Park {
///     fn handle(&self, context: &ErrorContext, error: &(dyn std::error::Error + 'static)) -> Response {
///         Response::Continue.with_dead_letter(DeadLetter::of("parked", context, error))
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Skip the record, count it as dropped, and go on (the JVM's `RESUME`).
    Continue,
    /// Stop: the failure goes to the uncaught exception handler. Nothing of the record is committed.
    Fail,
    /// As [`Continue`](Response::Continue), after these records are sent, in the same transaction if there are any.
    ContinueWith(Vec<DeadLetter>),
    /// As [`Fail`](Response::Fail), after these records are sent. Under exactly-once they are aborted with everything
    /// else.
    FailWith(Vec<DeadLetter>),
}

impl Response {
    /// The same decision, with one more record to be sent.
    #[must_use]
    pub fn with_dead_letter(self, letter: DeadLetter) -> Self {
        let (goes_on, mut letters) = self.into_parts();
        letters.push(letter);
        if goes_on { Response::ContinueWith(letters) } else { Response::FailWith(letters) }
    }

    /// The same decision, with the record for the configured topic of dead letters, if there is one.
    fn with_configured_dead_letter(self, context: &ErrorContext, error: &(dyn Error + 'static)) -> Self {
        match &context.dead_letter_topic {
            Some(topic) => self.with_dead_letter(DeadLetter::of(topic.clone(), context, error)),
            None => self,
        }
    }

    /// Whether processing goes on, and the records to be sent.
    pub fn into_parts(self) -> (bool, Vec<DeadLetter>) {
        match self {
            Response::Continue => (true, Vec::new()),
            Response::Fail => (false, Vec::new()),
            Response::ContinueWith(letters) => (true, letters),
            Response::FailWith(letters) => (false, letters),
        }
    }

    /// Whether processing goes on.
    pub fn goes_on(&self) -> bool {
        matches!(self, Response::Continue | Response::ContinueWith(_))
    }
}

/// Decides about records whose key or value cannot be read (`deserialization.exception.handler`).
pub trait DeserializationExceptionHandler: Send + Sync {
    /// Skip the record, or fail?
    fn handle(&self, context: &ErrorContext, error: &(dyn Error + 'static)) -> Response;
}

/// Decides about errors of the user's code (`processing.exception.handler`).
pub trait ProcessingExceptionHandler: Send + Sync {
    /// Skip the record, or fail?
    fn handle(&self, context: &ErrorContext, error: &(dyn Error + 'static)) -> Response;
}

/// Decides about records that cannot be written (`production.exception.handler`). Errors that pass by themselves are
/// retried before this handler is asked.
pub trait ProductionExceptionHandler: Send + Sync {
    /// Skip the record, or fail? `topic` is the output topic.
    fn handle(&self, context: &ErrorContext, topic: &str, error: &(dyn Error + 'static)) -> Response;
}

/// Logs the error and stops: the default of all three handlers. With `errors.dead.letter.queue.topic.name` the record is
/// sent there.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndFail;

/// Logs the error and goes on with the next record. With `errors.dead.letter.queue.topic.name` the record is sent there.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndContinue;

macro_rules! log_and {
    ($handler:ident, $response:expr, $level:ident, $what:literal) => {
        impl DeserializationExceptionHandler for $handler {
            fn handle(&self, context: &ErrorContext, error: &(dyn Error + 'static)) -> Response {
                tracing::$level!(%context, %error, concat!("record cannot be deserialized, ", $what));
                $response.with_configured_dead_letter(context, error)
            }
        }

        impl ProcessingExceptionHandler for $handler {
            fn handle(&self, context: &ErrorContext, error: &(dyn Error + 'static)) -> Response {
                tracing::$level!(%context, %error, concat!("record cannot be processed, ", $what));
                $response.with_configured_dead_letter(context, error)
            }
        }

        impl ProductionExceptionHandler for $handler {
            fn handle(&self, context: &ErrorContext, topic: &str, error: &(dyn Error + 'static)) -> Response {
                tracing::$level!(%context, topic, %error, concat!("record cannot be written, ", $what));
                $response.with_configured_dead_letter(context, error)
            }
        }
    };
}

log_and!(LogAndFail, Response::Fail, error, "stopping");
log_and!(LogAndContinue, Response::Continue, warn, "skipping it");

/// The handlers of an application.
#[derive(Clone)]
pub struct Handlers {
    /// For records that cannot be read.
    pub deserialization: Arc<dyn DeserializationExceptionHandler>,
    /// For errors of the user's code.
    pub processing: Arc<dyn ProcessingExceptionHandler>,
    /// For records that cannot be written.
    pub production: Arc<dyn ProductionExceptionHandler>,
    /// `errors.dead.letter.queue.topic.name`.
    pub dead_letter_topic: Option<Arc<str>>,
}

impl Default for Handlers {
    fn default() -> Self {
        Handlers {
            deserialization: Arc::new(LogAndFail),
            processing: Arc::new(LogAndFail),
            production: Arc::new(LogAndFail),
            dead_letter_topic: None,
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handlers { .. }")
    }
}
