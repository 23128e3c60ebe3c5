//! Why an application cannot be started or has ended.

use std::path::PathBuf;

use kafka_streams_engine::port::BrokerError;
use kafka_streams_naming::UnnamedResource;
use kafka_streams_state::StoreError;

use crate::State;
use crate::config::ConfigError;

/// An error of an application instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamsError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The topology reads no topic.
    #[error("the topology reads no topic: give it a source, or a global table")]
    NothingToRead,
    /// Explicit names are required, and some were generated.
    #[error(
        "ensure.explicit.internal.resource.naming is true, but these names were generated: {}",
        resources.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    UnnamedResources {
        /// Stores and repartition topics without a name of their own.
        resources: Vec<UnnamedResource>,
    },
    /// The call does not fit the instance's state.
    #[error("cannot {action} in state {state}")]
    State {
        /// What was called.
        action: &'static str,
        /// The state then.
        state: State,
    },
    /// Another process works in the state directory.
    #[error(
        "state directory {} is in use by process {holder}; give every instance on a machine its own state.dir, \
         or stop that process",
        path.display()
    )]
    StateDirectoryLocked {
        /// The application's directory.
        path: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// The state directory was made by JVM Kafka Streams, whose files have another layout.
    #[error(
        "state directory {} belongs to JVM Kafka Streams; choose another state.dir: the stores are restored from their \
         changelogs",
        path.display()
    )]
    JvmStateDirectory {
        /// The application's directory.
        path: PathBuf,
    },
    /// The state directory cannot be used.
    #[error("cannot {action} {}: {error}; check the rights and the space of state.dir", path.display())]
    StateDirectory {
        /// What was attempted.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A store on disk cannot be opened or removed.
    #[error("state directory: {0}")]
    Store(#[from] StoreError),
    /// A client cannot be made, or the cluster refuses.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}; check the limits of the process")]
    Thread(std::io::Error),
    /// Stream threads failed, and the instance has closed.
    #[error("the application has stopped: {0}")]
    Stopped(String),
    /// The instance did not close in time.
    #[error("the application did not close within {0:?}; what was not committed will be processed again")]
    CloseTimeout(std::time::Duration),
}
