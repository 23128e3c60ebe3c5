//! What the threads of an instance share.

use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::Thread;

use kafka_streams_core::Output;
use kafka_streams_engine::{Backends, CommitProbe, FailedTasks, TaskOffsets, WorkerConfig};
use kafka_streams_state::{MemoryBudget, StoreBackends, ThreadCache};
use kafka_streams_topology::{PlanOptions, Topology};
use uuid::Uuid;

use crate::StreamsError;
use crate::config::{ClientIds, StreamsSettings};
use crate::global_thread::GlobalState;
use crate::leader::Findings;
use crate::lifecycle::Lifecycle;
use crate::listener::{StateRestoreListener, StreamThreadExceptionResponse, TaskListener, UncaughtExceptionHandler};
use crate::output_file::OutputFile;
use crate::port::{Clients, ClusterAdmin};
use crate::state_directory::StateDirectory;
use crate::stream_thread::ThreadCommand;

/// One instance of an application.
pub(crate) struct Application<C: Clients> {
    pub(crate) topology: Arc<Topology>,
    pub(crate) settings: StreamsSettings,
    pub(crate) worker_config: WorkerConfig,
    pub(crate) plan_options: PlanOptions,
    pub(crate) ids: ClientIds,
    pub(crate) process_id: Uuid,
    pub(crate) directory: Option<StateDirectory>,
    pub(crate) backends: Backends,
    pub(crate) budget: Arc<MemoryBudget>,
    pub(crate) task_offsets: TaskOffsets,
    pub(crate) failed_tasks: FailedTasks,
    pub(crate) global: Arc<GlobalState>,
    pub(crate) clients: C,
    pub(crate) cluster: Arc<dyn ClusterAdmin>,
    pub(crate) handle: tokio::runtime::Handle,
    pub(crate) findings: Arc<Findings>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) listeners: RwLock<Listeners>,
    pub(crate) threads: Mutex<Vec<ThreadHandle>>,
}

/// What the user may set before the start.
#[derive(Clone, Default)]
pub(crate) struct Listeners {
    pub(crate) restore: Option<Arc<dyn StateRestoreListener>>,
    pub(crate) tasks: Option<Arc<dyn TaskListener>>,
    pub(crate) uncaught: Option<UncaughtExceptionHandler>,
    pub(crate) probe: CommitProbe,
}

/// The way to a stream thread.
pub(crate) struct ThreadHandle {
    pub(crate) commands: Sender<ThreadCommand>,
    pub(crate) thread: Thread,
}

impl<C: Clients> Application<C> {
    pub(crate) fn uncaught_exception_handler(&self) -> UncaughtExceptionHandler {
        let set = self.listeners().uncaught;
        set.unwrap_or_else(|| Arc::new(|_| StreamThreadExceptionResponse::ShutdownClient))
    }

    pub(crate) fn restore_listener(&self) -> Option<Arc<dyn StateRestoreListener>> {
        self.listeners().restore
    }

    pub(crate) fn task_listener(&self) -> Option<Arc<dyn TaskListener>> {
        self.listeners().tasks
    }

    pub(crate) fn commit_probe(&self) -> CommitProbe {
        self.listeners().probe
    }

    fn listeners(&self) -> Listeners {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells all stream threads something, and wakes them.
    pub(crate) fn tell_threads(&self, command: &ThreadCommand) {
        for handle in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = handle.commands.send(command.clone());
            handle.thread.unpark();
        }
    }

    /// Ends the instance for an error: the threads that live close in good order.
    pub(crate) fn fail(&self, reason: String) {
        if self.lifecycle.fail(reason) {
            self.tell_threads(&ThreadCommand::Close { leave_group: true });
        }
    }

    /// One thread's share of the record cache and of the memory budget.
    pub(crate) fn thread_cache(&self) -> ThreadCache {
        let bytes = usize::try_from(self.settings.statestore_cache_max_bytes).unwrap_or(usize::MAX);
        ThreadCache::with_budget(bytes / self.settings.num_stream_threads.max(1), &self.budget)
    }

    /// Makes output buffers that keep to the memory budget; what goes beyond it lies beside the stores.
    pub(crate) fn make_output(&self) -> Box<dyn Fn() -> Output> {
        let bound = self.budget.output_per_step();
        let directory =
            self.directory.as_ref().map_or_else(std::env::temp_dir, |directory| directory.path().to_owned());
        Box::new(move || Output::bounded(bound, Box::new(OutputFile::new(directory.clone()))))
    }
}

/// Reads how far the stores on disk are, for the group's leader: it gives a task to an instance that has most of it.
pub(crate) fn scan(directory: &StateDirectory, stores: &dyn StoreBackends) -> Result<TaskOffsets, StreamsError> {
    let offsets = TaskOffsets::new();
    for task in directory.tasks()? {
        let names = directory.stores(task)?;
        let mut sum = None;
        for name in &names {
            match stores.open(task, name) {
                Ok(store) => {
                    let offset = store.position().map_or(0, |position| position.next_offset());
                    sum = Some(sum.unwrap_or(0_i64).saturating_add(offset));
                }
                Err(error) => {
                    tracing::warn!(%task, store = name, %error, "a store on disk cannot be read; the task counts without it")
                }
            }
        }
        if let Some(sum) = sum {
            offsets.found_on_disk(task, sum);
        }
    }
    Ok(offsets)
}

/// Makes the back-end of the persistent stores below the application's directory, within the budget.
pub type MakePersistentStores =
    Box<dyn FnOnce(&Path, &Arc<MemoryBudget>) -> Result<Arc<dyn StoreBackends>, StreamsError> + Send>;
