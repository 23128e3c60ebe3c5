//! Opens and removes the databases of an application.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka_streams_core::TaskId;
use kafka_streams_state::{StoreBackend, StoreBackends, StoreError};

use crate::RocksDbOptions;
use crate::backend::RocksDbBackend;
use crate::options::Shared;

/// The stores of an application on this machine, as RocksDB databases below its directory.
pub struct RocksDbBackends {
    dir: PathBuf,
    shared: Shared,
}

impl RocksDbBackends {
    /// The stores below `dir`, which is the application's: `<state.dir>/<application.id>`. It is made when needed.
    pub fn new(dir: impl Into<PathBuf>, options: RocksDbOptions) -> Self {
        RocksDbBackends { dir: dir.into(), shared: Shared::new(options) }
    }

    /// Where the files of a store are.
    pub fn store_dir(&self, task: TaskId, name: &str) -> PathBuf {
        self.dir.join(task.to_string()).join("rocksdb").join(name)
    }

    /// Where files go that are being removed. No store has such a name.
    fn trash_dir(&self, task: TaskId, name: &str) -> PathBuf {
        self.store_dir(task, &format!("{name}~removed"))
    }
}

impl StoreBackends for RocksDbBackends {
    fn open(&self, task: TaskId, name: &str) -> Result<Arc<dyn StoreBackend>, StoreError> {
        remove(&self.trash_dir(task, name))?;
        let dir = self.store_dir(task, name);
        fs::create_dir_all(&dir).map_err(|error| io("make the directory of a store", &dir, &error))?;
        tracing::debug!(%task, store = name, dir = %dir.display(), "opening store");
        Ok(Arc::new(RocksDbBackend::open(&dir, &self.shared)?))
    }

    fn destroy(&self, task: TaskId, name: &str) -> Result<(), StoreError> {
        let (dir, trash) = (self.store_dir(task, name), self.trash_dir(task, name));
        remove(&trash)?;
        // First out of the way, at once: what is left if the process is killed within must not be opened as a store.
        match fs::rename(&dir, &trash) {
            Ok(()) => remove(&trash),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io("remove the directory of a store", &dir, &error)),
        }
    }

    fn is_persistent(&self) -> bool {
        true
    }
}

impl fmt::Debug for RocksDbBackends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksDbBackends").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove the directory of a store", dir, &error)),
        _ => Ok(()),
    }
}

fn io(action: &'static str, dir: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Io { action, reason: format!("{}: {error}", dir.display()) }
}
