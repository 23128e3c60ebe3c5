//! One instance of an application: started, watched and closed (`KafkaStreams` of the JVM).

use std::future::Future;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use kafka_streams_engine::{Backends, CommitProbe, FailedTasks, Guarantee, WorkerConfig};
use kafka_streams_state::{InMemoryBackends, MemoryBudget};
use kafka_streams_topology::{OffsetReset, PlanOptions, Topology};
use uuid::Uuid;

use crate::application::{Application, Listeners, MakePersistentStores, ThreadHandle, scan};
use crate::config::{AutoOffsetReset, ClientIds, MaxTaskIdle, ProcessingGuarantee, StreamsConfig, StreamsSettings};
use crate::global_thread::{GlobalState, GlobalStreamThread};
use crate::housekeeping::Housekeeping;
use crate::leader::Findings;
use crate::lifecycle::Lifecycle;
use crate::listener::{StateListener, StateRestoreListener, TaskListener, UncaughtExceptionHandler};
use crate::port::Clients;
use crate::state_directory::StateDirectory;
use crate::stream_thread::{StreamThread, ThreadCommand};
use crate::{State, StreamsError, ThreadState};

#[cfg(test)]
mod tests;

/// Rows of one thread's stores that wait for a commit at most: writing them holds up the thread (some 0.1 s).
const MAX_UNCOMMITTED_ROWS: usize = 250_000;
/// Share of the memory budget that uncommitted rows may take, of all threads together: one part in so many.
const UNCOMMITTED_SHARE: u64 = 4;
/// How long closing may take by default.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes the clients of an instance.
pub type MakeClients<C> =
    Box<dyn FnOnce(tokio::runtime::Handle, &StreamsSettings, &ClientIds) -> Result<C, StreamsError> + Send>;

/// How the runtime reaches the world: the facade fills it in from the adapters.
pub struct Adapters<C> {
    /// Makes the clients, on the instance's own tokio runtime.
    pub clients: MakeClients<C>,
    /// Makes the back-end of persistent stores.
    pub persistent_stores: MakePersistentStores,
}

/// An instance of an application.
pub struct KafkaStreams<C: Clients> {
    application: Arc<Application<C>>,
    stream_threads: Mutex<Vec<JoinHandle<()>>>,
    housekeeping: Mutex<Option<Housekeeping>>,
    global_thread: Mutex<Option<JoinHandle<()>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl<C: Clients> KafkaStreams<C> {
    /// An instance of the application that `topology` describes; nothing is started and no broker is asked. The state
    /// directory is locked from here on.
    ///
    /// # Errors
    /// The configuration is wrong, names that it requires are missing, or the state directory cannot be used.
    pub fn new(topology: Topology, config: &StreamsConfig, adapters: Adapters<C>) -> Result<Self, StreamsError> {
        let settings = config.validate()?;
        settings.log_warnings();
        check_names(&topology, &settings)?;
        let threads = number_of_stream_threads(&topology, &settings)?;
        let in_memory: Arc<InMemoryBackends> = Arc::default();
        let total = usize::try_from(settings.memory_budget_bytes).unwrap_or(usize::MAX);
        let budget = MemoryBudget::new(total, settings.num_stream_threads);
        let stateful = topology.stores().iter().any(|store| store.persistent);
        // Without persistent stores no file is made, and the instance has a new id each time, as on the JVM.
        let directory = match stateful {
            true => Some(StateDirectory::open(&settings.state_dir, &settings.application_id)?),
            false => None,
        };
        let process_id = directory.as_ref().map_or_else(Uuid::new_v4, StateDirectory::process_id);
        let (backends, task_offsets) = match &directory {
            Some(directory) => {
                let persistent = (adapters.persistent_stores)(directory.path(), &budget)?;
                let offsets = scan(directory, &*persistent)?;
                (Backends { persistent, in_memory }, offsets)
            }
            None => (Backends { persistent: in_memory.clone(), in_memory }, Default::default()),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(format!("{}-network", settings.application_id))
            .enable_all()
            .build()
            .map_err(StreamsError::Thread)?;
        let ids = settings.client_ids(process_id);
        let clients = (adapters.clients)(runtime.handle().clone(), &settings, &ids)?;
        let cluster = clients.cluster();
        let has_global = topology.global_stores().next().is_some();
        let application = Application {
            topology: Arc::new(topology),
            worker_config: worker_config(&settings),
            plan_options: plan_options(&settings),
            ids,
            process_id,
            directory,
            backends,
            budget,
            task_offsets,
            failed_tasks: FailedTasks::new(),
            global: Arc::new(GlobalState::new(has_global)),
            clients,
            cluster,
            handle: runtime.handle().clone(),
            findings: Arc::new(Findings::default()),
            lifecycle: Arc::new(Lifecycle::new(threads)),
            listeners: RwLock::new(Listeners::default()),
            threads: Mutex::default(),
            settings,
        };
        Ok(KafkaStreams {
            application: Arc::new(application),
            stream_threads: Mutex::default(),
            housekeeping: Mutex::default(),
            global_thread: Mutex::default(),
            runtime: Some(runtime),
        })
    }

    /// Starts the stream threads; returns at once. The state goes to [`State::Rebalancing`], and to [`State::Running`]
    /// when all tasks run.
    ///
    /// A topology of global stores only has no stream threads, whatever `num.stream.threads` says, and joins no group: it
    /// runs when its stores are restored.
    ///
    /// # Errors
    /// The instance was started or closed before, or a thread cannot be started.
    pub fn start(&self) -> Result<(), StreamsError> {
        let application = &self.application;
        if !application.lifecycle.become_state(State::Rebalancing) {
            return Err(StreamsError::State { action: "start", state: self.state() });
        }
        let mut joins = self.stream_threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in 1..=application.lifecycle.threads().len() {
            let (commands, inbox) = mpsc::channel();
            let body = StreamThread { application: application.clone(), thread, commands: inbox };
            let name = application.ids.stream_thread(thread);
            let join =
                std::thread::Builder::new().name(name).spawn(move || body.run()).map_err(StreamsError::Thread)?;
            let handle = ThreadHandle { commands, thread: join.thread().clone() };
            application.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
            joins.push(join);
        }
        if application.global.is_wanted() {
            let thread = GlobalStreamThread::start(application.clone())?;
            *self.global_thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        }
        let housekeeping = Housekeeping::start(application.clone())?;
        *self.housekeeping.lock().unwrap_or_else(PoisonError::into_inner) = Some(housekeeping);
        Ok(())
    }

    /// Closes in good order: commits, closes the tasks, and leaves the group, so that other instances take over at once.
    /// After `timeout` what is left is dropped without a commit. Blocks; whether all was closed in time.
    ///
    /// Unlike the JVM, which by default waits for the session timeout to hand the tasks on, the member leaves: see
    /// [`close_and_remain_in_group`](KafkaStreams::close_and_remain_in_group).
    pub fn close(&self, timeout: Duration) -> bool {
        self.close_with(timeout, true)
    }

    /// As [`close`](KafkaStreams::close), without leaving the group: the tasks stay unassigned until this instance's
    /// session expires (`CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP` of the JVM).
    pub fn close_and_remain_in_group(&self, timeout: Duration) -> bool {
        self.close_with(timeout, false)
    }

    fn close_with(&self, timeout: Duration, leave_group: bool) -> bool {
        let lifecycle = &self.application.lifecycle;
        let fresh = self.state() == State::Created;
        if lifecycle.become_state(State::PendingShutdown) {
            if fresh {
                lifecycle.become_state(State::NotRunning);
            }
            self.application.tell_threads(&ThreadCommand::Close { leave_group });
            if let Some(global) = &*self.global_thread.lock().unwrap_or_else(PoisonError::into_inner) {
                global.thread().unpark();
            }
        }
        let mut in_time = lifecycle.wait_until_closed(timeout);
        if !in_time {
            self.application.tell_threads(&ThreadCommand::Abandon);
            // Aborting and leaving are bounded in time by themselves.
            in_time = false;
            lifecycle.wait_until_closed(Duration::from_secs(20));
        }
        if lifecycle.state().is_terminal() {
            let all_ended = self.join();
            if let Some(directory) = self.application.directory.as_ref().filter(|_| all_ended) {
                directory.release();
            }
        }
        in_time
    }

    /// Waits for the threads; whether all have ended, which one that asks cannot.
    fn join(&self) -> bool {
        let mut all_ended = true;
        let mut wait_for = |join: JoinHandle<()>, what: &str| {
            if join.thread().id() == std::thread::current().id() {
                all_ended = false;
            } else if join.join().is_err() {
                tracing::error!("{what} panicked");
            }
        };
        *self.housekeeping.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let joins = std::mem::take(&mut *self.stream_threads.lock().unwrap_or_else(PoisonError::into_inner));
        for join in joins {
            wait_for(join, "a stream thread");
        }
        // Last: the tasks read global stores to their end.
        if let Some(join) = self.global_thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            join.thread().unpark();
            wait_for(join, "the global thread");
        }
        all_ended
    }

    /// Starts, runs until `shutdown` is ready or the application fails, and closes.
    ///
    /// # Errors
    /// The instance cannot be started, has failed, or did not close within a minute.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), StreamsError>
    where
        C: Send + Sync,
    {
        let mut states = self.application.lifecycle.watch();
        self.start()?;
        tokio::select! {
            () = shutdown => {}
            _ = states.wait_for(|state| matches!(state, State::PendingError | State::Error)) => {}
        }
        let this = Arc::new(self);
        let closing = this.clone();
        let closed = tokio::task::spawn_blocking(move || closing.close(CLOSE_TIMEOUT)).await.unwrap_or(false);
        match this.application.lifecycle.failure() {
            Some(reason) => Err(StreamsError::Stopped(reason)),
            None if closed => Ok(()),
            None => Err(StreamsError::CloseTimeout(CLOSE_TIMEOUT)),
        }
    }

    /// Removes the stores of this application on this machine; they are restored from their changelogs at the next
    /// start. No topic and no committed offset is touched.
    ///
    /// # Errors
    /// The instance runs, or another process does in the same directory, or the files cannot be removed.
    pub fn clean_up(&self) -> Result<(), StreamsError> {
        let state = self.state();
        if state != State::Created && !state.is_terminal() {
            return Err(StreamsError::State { action: "clean up", state });
        }
        let Some(directory) = &self.application.directory else { return Ok(()) };
        directory.while_locked(|| {
            for task in directory.tasks()? {
                directory.remove_task(task, &self.application.task_offsets)?;
            }
            Ok(())
        })
    }

    /// The present state.
    pub fn state(&self) -> State {
        self.application.lifecycle.state()
    }

    /// The error that ended the instance, if one did.
    pub fn failure(&self) -> Option<String> {
        self.application.lifecycle.failure()
    }

    /// The states of the stream threads.
    pub fn thread_states(&self) -> Vec<ThreadState> {
        self.application.lifecycle.threads()
    }

    /// Waits until the instance is in one of the states that `wanted` accepts, or will change no more.
    pub async fn wait_for_state(&self, wanted: impl Fn(State) -> bool) -> State {
        let mut states = self.application.lifecycle.watch();
        let found = states.wait_for(|state| wanted(*state) || state.is_terminal()).await.map(|state| *state);
        found.unwrap_or_else(|_| self.state())
    }

    /// Sets who is told of changes of state. To be called before the start.
    pub fn set_state_listener(&self, listener: impl Fn(State, State) + Send + Sync + 'static) {
        let listener: StateListener = Arc::new(listener);
        self.application.lifecycle.set_listener(listener);
    }

    /// Sets who follows the restoring of stores. To be called before the start.
    pub fn set_global_state_restore_listener(&self, listener: Arc<dyn StateRestoreListener>) {
        self.application.listeners.write().unwrap_or_else(PoisonError::into_inner).restore = Some(listener);
    }

    /// Sets who follows tasks as they come and go. To be called before the start.
    pub fn set_task_listener(&self, listener: Arc<dyn TaskListener>) {
        self.application.listeners.write().unwrap_or_else(PoisonError::into_inner).tasks = Some(listener);
    }

    /// Sets what is called at the points of the commit cycle; for tests that crash there. To be called before the start.
    #[doc(hidden)]
    pub fn set_commit_probe(&self, probe: CommitProbe) {
        self.application.listeners.write().unwrap_or_else(PoisonError::into_inner).probe = probe;
    }

    /// Sets who decides what follows when a stream thread fails; by default the instance closes.
    pub fn set_uncaught_exception_handler(&self, handler: UncaughtExceptionHandler) {
        self.application.listeners.write().unwrap_or_else(PoisonError::into_inner).uncaught = Some(handler);
    }
}

impl<C: Clients> Drop for KafkaStreams<C> {
    fn drop(&mut self) {
        if !self.state().is_terminal() {
            self.close(CLOSE_TIMEOUT);
        }
        if let Some(runtime) = self.runtime.take() {
            // May be dropped from within another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// As many as configured, or none if there are no tasks for them but global stores.
fn number_of_stream_threads(topology: &Topology, settings: &StreamsSettings) -> Result<usize, StreamsError> {
    let has_tasks = topology.subtopologies().iter().any(|part| !part.global);
    match has_tasks {
        true => Ok(settings.num_stream_threads),
        false if topology.global_stores().next().is_some() => {
            tracing::info!("the topology has global stores only: there are no stream threads, and no group is joined");
            Ok(0)
        }
        false => Err(StreamsError::NothingToRead),
    }
}

/// `ensure.explicit.internal.resource.naming` (KIP-1111).
fn check_names(topology: &Topology, settings: &StreamsSettings) -> Result<(), StreamsError> {
    let resources = match settings.explicit_names {
        true => topology.to_manifest().unnamed_resources(),
        false => Vec::new(),
    };
    if resources.is_empty() { Ok(()) } else { Err(StreamsError::UnnamedResources { resources }) }
}

fn worker_config(settings: &StreamsSettings) -> WorkerConfig {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let budget = settings.memory_budget_bytes / UNCOMMITTED_SHARE / settings.num_stream_threads.max(1) as u64;
    WorkerConfig {
        application_id: settings.application_id.as_str().into(),
        guarantee: match settings.processing_guarantee {
            ProcessingGuarantee::AtLeastOnce => Guarantee::AtLeastOnce,
            ProcessingGuarantee::ExactlyOnceV2 => Guarantee::ExactlyOnce,
        },
        commit_interval_ms: ms(settings.commit_interval),
        max_task_idle_ms: match settings.max_task_idle {
            MaxTaskIdle::Disabled => -1,
            MaxTaskIdle::UntilFetched => 0,
            MaxTaskIdle::Wait(wait) => ms(wait),
        },
        buffered_records_per_partition: settings.buffered_records_per_partition,
        task_timeout_ms: ms(settings.task_timeout),
        repartition_purge_interval_ms: ms(settings.repartition_purge_interval),
        offset_reset: match settings.group.auto_offset_reset {
            AutoOffsetReset::Earliest => OffsetReset::Earliest,
            AutoOffsetReset::Latest => OffsetReset::Latest,
            AutoOffsetReset::None => OffsetReset::None,
            AutoOffsetReset::ByDuration(duration) => OffsetReset::ByDuration(duration),
        },
        timestamp_extractor: settings.default_timestamp_extractor,
        max_uncommitted_rows: MAX_UNCOMMITTED_ROWS,
        max_uncommitted_bytes: usize::try_from(budget).unwrap_or(usize::MAX),
        handlers: settings.handlers.clone(),
        global_processing_handler: settings.processing_exception_handler_global_enabled,
        dsl_store_format: settings.dsl_store_format,
        app_configs: settings.app_configs.clone(),
        state_dir: Some(settings.state_dir.join(&*settings.application_id).into()),
        probe: CommitProbe::default(),
    }
}

fn plan_options(settings: &StreamsSettings) -> PlanOptions {
    let additional = settings.windowstore_changelog_additional_retention.as_millis();
    PlanOptions {
        replication_factor: settings.replication_factor.unwrap_or(-1),
        topic_overrides: settings.topic_overrides.clone(),
        windowstore_additional_retention_ms: i64::try_from(additional).unwrap_or(i64::MAX),
    }
}
