//! What happens to a record that cannot be read, processed or written: the user's policies.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::TaskId;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Skip the record, count it as dropped, and go on (the JVM's `RESUME`).
    Continue,
    /// Stop: the failure goes to the uncaught exception handler. Nothing of the record is committed.
    Fail,
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

/// Logs the error and stops: the default of all three handlers.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndFail;

/// Logs the error and goes on with the next record.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndContinue;

macro_rules! log_and {
    ($handler:ident, $response:expr, $level:ident, $what:literal) => {
        impl DeserializationExceptionHandler for $handler {
            fn handle(&self, context: &ErrorContext, error: &(dyn Error + 'static)) -> Response {
                tracing::$level!(%context, %error, concat!("record cannot be deserialized, ", $what));
                $response
            }
        }

        impl ProcessingExceptionHandler for $handler {
            fn handle(&self, context: &ErrorContext, error: &(dyn Error + 'static)) -> Response {
                tracing::$level!(%context, %error, concat!("record cannot be processed, ", $what));
                $response
            }
        }

        impl ProductionExceptionHandler for $handler {
            fn handle(&self, context: &ErrorContext, topic: &str, error: &(dyn Error + 'static)) -> Response {
                tracing::$level!(%context, topic, %error, concat!("record cannot be written, ", $what));
                $response
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
}

impl Default for Handlers {
    fn default() -> Self {
        Handlers {
            deserialization: Arc::new(LogAndFail),
            processing: Arc::new(LogAndFail),
            production: Arc::new(LogAndFail),
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handlers { .. }")
    }
}
