//! The directory of an application on this machine: one process at a time, one folder for each task.
//!
//! ```text
//!  <state.dir>/<application.id>/        mode 0700
//!     .lock                             locked until the instance is closed; holds its process's id
//!     kafka-streams-rust-metadata       {"format":1,"processId":"<uuid>"}
//!     <sub-topology>_<partition>/       a task; its stores below
//!     global/                           the global stores
//! ```
//! The JVM's state directory has other files of other formats; it is recognised and refused (rule S6), as is its process
//! id: two processes of one id would take each other for one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_streams_core::TaskId;
use kafka_streams_engine::TaskOffsets;
use uuid::Uuid;

use crate::StreamsError;

const LOCK_FILE: &str = ".lock";
const METADATA_FILE: &str = "kafka-streams-rust-metadata";
const JVM_METADATA_FILE: &str = "kafka-streams-process-metadata";
const FORMAT: u32 = 1;

/// The application's directory, locked.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    process_id: Uuid,
    /// Locked while it is open; the system lets go of it however the process ends. `None` once released.
    lock: Mutex<Option<File>>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    format: u32,
    process_id: Uuid,
}

impl StateDirectory {
    /// Locks the directory of `application_id` below `state_dir`, and makes it if there is none.
    ///
    /// # Errors
    /// Another process has it, the JVM has it, or the file system refuses.
    pub fn open(state_dir: &Path, application_id: &str) -> Result<Self, StreamsError> {
        let path = state_dir.join(application_id);
        create_private(&path)?;
        if path.join(JVM_METADATA_FILE).exists() {
            return Err(StreamsError::JvmStateDirectory { path });
        }
        let lock = lock(&path)?;
        let process_id = process_id(&path)?;
        Ok(StateDirectory { path, process_id, lock: Mutex::new(Some(lock)) })
    }

    /// The application's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets another instance have the directory: for one that is closed and does nothing here any more.
    pub fn release(&self) {
        *self.held() = None;
    }

    /// Runs `work` with the directory locked, also after [`release`](StateDirectory::release).
    ///
    /// # Errors
    /// Another process has it by now, or what `work` says.
    pub fn while_locked<T>(&self, work: impl FnOnce() -> Result<T, StreamsError>) -> Result<T, StreamsError> {
        let held = self.held();
        let _again = match *held {
            Some(_) => None,
            None => Some(lock(&self.path)?),
        };
        work()
    }

    fn held(&self) -> MutexGuard<'_, Option<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of this instance, the same after a restart in this directory.
    pub fn process_id(&self) -> Uuid {
        self.process_id
    }

    /// The tasks that have a folder here.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn tasks(&self) -> Result<Vec<TaskId>, StreamsError> {
        let mut tasks: Vec<TaskId> = entries(&self.path)?.iter().filter_map(|name| name.parse().ok()).collect();
        tasks.sort();
        Ok(tasks)
    }

    /// The folder of a task.
    pub fn task_path(&self, task: TaskId) -> PathBuf {
        self.path.join(task.to_string())
    }

    /// The names of the persistent stores in a task's folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn stores(&self, task: TaskId) -> Result<Vec<String>, StreamsError> {
        let stores = self.task_path(task).join("rocksdb");
        if stores.is_dir() { entries(&stores) } else { Ok(Vec::new()) }
    }

    /// Removes the folder of a task that nobody works on; false if somebody does.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn remove_task(&self, task: TaskId, tasks: &TaskOffsets) -> Result<bool, StreamsError> {
        let path = self.task_path(task);
        tasks.remove_unowned(task, || remove_all(&path))
    }

    /// Removes everything of an application that does not run, of this machine only: no topic and no group is touched
    /// (`KafkaStreams.cleanUp` of the JVM).
    ///
    /// # Errors
    /// Another process works there, or the files cannot be removed.
    pub fn clean_up(state_dir: &Path, application_id: &str) -> Result<(), StreamsError> {
        let path = state_dir.join(application_id);
        if !path.is_dir() {
            return Ok(());
        }
        let directory = Self::open(state_dir, application_id)?;
        for task in directory.tasks()?.into_iter().chain([TaskId::GLOBAL]) {
            remove_all(&directory.task_path(task))?;
        }
        Ok(())
    }
}

/// The folders of tasks that no thread works on, and since when, to be removed after `state.cleanup.delay.ms`.
#[derive(Debug, Default)]
pub struct Cleaner {
    unused_since: BTreeMap<TaskId, i64>,
}

impl Cleaner {
    /// Removes the folders that have been unused for `delay_ms` at `now`; to be called now and then.
    pub fn run(&mut self, directory: &StateDirectory, tasks: &TaskOffsets, delay_ms: i64, now: i64) {
        let on_disk = match directory.tasks() {
            Ok(on_disk) => on_disk,
            Err(error) => return tracing::warn!(%error, "state directory not cleaned"),
        };
        self.unused_since.retain(|task, _| on_disk.contains(task));
        for task in on_disk {
            if tasks.is_owned(task) {
                self.unused_since.remove(&task);
                continue;
            }
            if now - *self.unused_since.entry(task).or_insert(now) < delay_ms {
                continue;
            }
            match directory.remove_task(task, tasks) {
                Ok(true) => tracing::info!(%task, delay_ms, "removed the folder of a task that ran here no more"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%task, %error, "the folder of an unused task was not removed"),
            }
        }
    }
}

fn lock(path: &Path) -> Result<File, StreamsError> {
    let file = path.join(LOCK_FILE);
    let failed = |error| StreamsError::StateDirectory { action: "lock", path: file.clone(), error };
    let mut lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = lock.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
            return Err(StreamsError::StateDirectoryLocked { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let pid = format!("{}\n", std::process::id());
    lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(pid.as_bytes())).map_err(failed)?;
    Ok(lock)
}

fn process_id(path: &Path) -> Result<Uuid, StreamsError> {
    let file = path.join(METADATA_FILE);
    let failed = |action| {
        let file = file.clone();
        move |error| StreamsError::StateDirectory { action, path: file, error }
    };
    if file.exists() {
        let text = fs::read_to_string(&file).map_err(failed("read"))?;
        if let Ok(metadata) = serde_json::from_str::<Metadata>(&text)
            && metadata.format <= FORMAT
        {
            return Ok(metadata.process_id);
        }
        tracing::warn!(path = %file.display(), "the file of the process id is damaged; a new id is made");
    }
    let metadata = Metadata { format: FORMAT, process_id: Uuid::new_v4() };
    let text = serde_json::to_string(&metadata).map_err(|error| failed("write")(error.into()))?;
    let draft = path.join(format!("{METADATA_FILE}.tmp"));
    fs::write(&draft, text).and_then(|()| fs::rename(&draft, &file)).map_err(failed("write"))?;
    Ok(metadata.process_id)
}

fn entries(path: &Path) -> Result<Vec<String>, StreamsError> {
    let failed = |error| StreamsError::StateDirectory { action: "read", path: path.to_owned(), error };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link may lead anywhere; ours are folders.
        if entry.file_type().map_err(failed)?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn create_private(path: &Path) -> Result<(), StreamsError> {
    let failed = |error| StreamsError::StateDirectory { action: "create", path: path.to_owned(), error };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ if path.is_dir() => Ok(()),
            _ => Err(failed(std::io::ErrorKind::NotADirectory.into())),
        }
    }
    #[cfg(not(unix))]
    {
        fs::create_dir_all(path).map_err(failed)
    }
}

fn remove_all(path: &Path) -> Result<(), StreamsError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StreamsError::StateDirectory { action: "remove", path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_user_is_refused_and_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDirectory::open(dir.path(), "app").unwrap();
        let error = StateDirectory::open(dir.path(), "app").unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        let id = first.process_id();
        drop(first);
        assert_eq!(StateDirectory::open(dir.path(), "app").unwrap().process_id(), id);
    }

    #[test]
    fn a_released_directory_is_free_and_is_locked_again_for_work() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDirectory::open(dir.path(), "app").unwrap();
        first.release();
        first.while_locked(|| StateDirectory::open(dir.path(), "app").map(drop)).unwrap_err();
        let second = StateDirectory::open(dir.path(), "app").unwrap();
        let error = first.while_locked(|| Ok(())).unwrap_err();
        assert!(matches!(error, StreamsError::StateDirectoryLocked { .. }));
        second.while_locked(|| Ok(())).unwrap();
    }

    #[test]
    fn the_jvms_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("app")).unwrap();
        fs::write(dir.path().join("app").join(JVM_METADATA_FILE), "{}").unwrap();
        let error = StateDirectory::open(dir.path(), "app").unwrap_err();
        assert!(matches!(error, StreamsError::JvmStateDirectory { .. }));
    }

    #[test]
    fn a_folder_is_removed_once_it_was_unused_for_the_delay() {
        let dir = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(dir.path(), "app").unwrap();
        let (used, unused) = (TaskId::new(0, 0), TaskId::new(0, 1));
        for task in [used, unused] {
            fs::create_dir_all(directory.task_path(task).join("rocksdb").join("store")).unwrap();
        }
        assert_eq!(directory.stores(used).unwrap(), ["store"]);
        let tasks = TaskOffsets::new();
        assert!(tasks.try_own(used, 1));
        let mut cleaner = Cleaner::default();
        cleaner.run(&directory, &tasks, 100, 1_000);
        cleaner.run(&directory, &tasks, 100, 1_099);
        assert_eq!(directory.tasks().unwrap(), [used, unused]);
        cleaner.run(&directory, &tasks, 100, 1_100);
        assert_eq!(directory.tasks().unwrap(), [used]);
    }

    #[test]
    fn cleaning_up_leaves_other_applications_alone_and_refuses_a_running_one() {
        let dir = tempfile::tempdir().unwrap();
        let other = StateDirectory::open(dir.path(), "app-2").unwrap();
        fs::create_dir_all(other.task_path(TaskId::new(0, 0))).unwrap();
        let running = StateDirectory::open(dir.path(), "app").unwrap();
        fs::create_dir_all(running.task_path(TaskId::new(0, 0))).unwrap();
        assert!(StateDirectory::clean_up(dir.path(), "app").is_err());
        drop(running);
        StateDirectory::clean_up(dir.path(), "app").unwrap();
        assert!(StateDirectory::open(dir.path(), "app").unwrap().tasks().unwrap().is_empty());
        assert_eq!(other.tasks().unwrap().len(), 1);
    }
}
