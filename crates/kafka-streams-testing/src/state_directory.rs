//! The directory of a driver's tasks, in which their processors may keep files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka_streams_core::TaskId;
use tempfile::TempDir;

use crate::{TestDriverError, TestDriverSettings};

/// The application's directory, removed when dropped if it is a temporary one.
pub(crate) struct StateDirectory {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl StateDirectory {
    /// The directory that the settings name, or a temporary one.
    pub(crate) fn new(settings: &TestDriverSettings) -> Result<Self, TestDriverError> {
        let application = &*settings.application_id;
        if let Some(state_dir) = &settings.state_dir {
            return Ok(StateDirectory { path: state_dir.join(application), _temporary: None });
        }
        let made = tempfile::Builder::new().prefix("kafka-streams-test-").tempdir();
        let temporary = made.map_err(|error| TestDriverError::StateDirectory { path: std::env::temp_dir(), error })?;
        Ok(StateDirectory { path: temporary.path().join(application), _temporary: Some(temporary) })
    }

    /// The directory of the task of this partition, which is made if it is not there.
    pub(crate) fn of_task(&self, partition: i32) -> Result<Arc<Path>, TestDriverError> {
        let path = self.path.join(TaskId::new(0, partition).to_string());
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(path.into()),
            Err(error) => Err(TestDriverError::StateDirectory { path, error }),
        }
    }
}
