//! The thread that keeps the global stores of an instance (`GlobalStreamThread` of the JVM).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kafka_streams_engine::restore::RestoreEvent;
use kafka_streams_engine::{GlobalSetup, GlobalStores, GlobalTurn, GlobalWorker, WorkerError};
use kafka_streams_state::ThreadCache;

use crate::application::Application;
use crate::clock::now_ms;
use crate::port::{Clients, Waker};
use crate::stream_thread::{DELETE_RETENTION_MS, panic_text};
use crate::{State, StreamsError};

/// The global stores of an instance, and how far they are.
#[derive(Debug)]
pub(crate) struct GlobalState {
    wanted: bool,
    ready: AtomicBool,
    stores: GlobalStores,
}

impl GlobalState {
    pub(crate) fn new(wanted: bool) -> Self {
        GlobalState { wanted, ready: AtomicBool::new(false), stores: GlobalStores::new() }
    }

    /// Whether the topology has global stores.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether they are at the ends that their topics had at the start.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn stores(&self) -> &GlobalStores {
        &self.stores
    }
}

/// The body of the global thread. It ends with the instance, after the stream threads. Where there are none, the
/// instance's state follows from it alone.
pub(crate) struct GlobalStreamThread<C: Clients> {
    application: Arc<Application<C>>,
}

impl<C: Clients> GlobalStreamThread<C> {
    pub(crate) fn start(application: Arc<Application<C>>) -> Result<JoinHandle<()>, StreamsError> {
        let name = application.ids.global_thread();
        let body = GlobalStreamThread { application };
        std::thread::Builder::new().name(name).spawn(move || body.run()).map_err(StreamsError::Thread)
    }

    fn run(self) {
        self.keep_stores_or_fail();
        self.application.lifecycle.end_without_threads();
    }

    fn keep_stores_or_fail(&self) {
        // A panic of the user's code ends the instance like an error of it.
        let end = catch_unwind(AssertUnwindSafe(|| self.keep_stores()));
        let error = match end {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => WorkerError::Panic(panic_text(&*panic)),
        };
        // There is one such thread, and the tasks cannot do without it: whatever the user answers, the instance closes.
        let _ = (self.application.uncaught_exception_handler())(&error);
        tracing::error!(%error, "the global thread failed; the instance is closed");
        self.application.fail(format!("global thread: {error}"));
    }

    fn keep_stores(&self) -> Result<(), WorkerError> {
        let mut worker = self.make_worker().map_err(|error| match error {
            StreamsError::Broker(error) => WorkerError::Broker { what: "starting the global thread".to_owned(), error },
            other => WorkerError::Membership(other.to_string()),
        })?;
        while !self.is_over() {
            let turn = worker.run_once(now_ms())?;
            self.pass_on(&mut worker);
            if worker.is_ready() && !self.application.global.ready.swap(true, Ordering::AcqRel) {
                tracing::info!("the global stores are restored");
                self.application.wake_threads();
                if self.application.lifecycle.has_no_threads() {
                    self.application.lifecycle.become_state(State::Running);
                }
            }
            if let GlobalTurn::IdleUntil(at) = turn
                && let Ok(ms @ 1..) = u64::try_from(at - now_ms())
            {
                std::thread::park_timeout(Duration::from_millis(ms));
            }
        }
        worker.close(now_ms())
    }

    /// The stream threads' tasks read global stores to their end.
    fn is_over(&self) -> bool {
        let lifecycle = &self.application.lifecycle;
        match lifecycle.has_no_threads() {
            true => !lifecycle.state().is_running_or_rebalancing(),
            false => lifecycle.state().is_terminal(),
        }
    }

    fn make_worker(&self) -> Result<GlobalWorker<C::Fetch, C::Admin>, StreamsError> {
        let application = &self.application;
        let this = std::thread::current();
        let waker: Waker = Arc::new(move || this.unpark());
        let set = application.settings.topic_overrides.get("delete.retention.ms").and_then(|text| text.parse().ok());
        Ok(GlobalWorker::new(GlobalSetup {
            topology: application.topology.clone(),
            config: application.worker_config.clone(),
            backends: application.backends.clone(),
            stores: application.global.stores.clone(),
            cache: ThreadCache::with_budget(0, &application.budget),
            max_age_ms: set.unwrap_or(DELETE_RETENTION_MS),
            fetch: application.clients.global_consumer(waker.clone())?,
            admin: application.clients.admin(&application.settings.application_id, waker),
        }))
    }

    fn pass_on(&self, worker: &mut GlobalWorker<C::Fetch, C::Admin>) {
        while let Some(event) = worker.poll_event() {
            match &event {
                RestoreEvent::Started { store, changelog, from, end, .. } => {
                    tracing::info!(%store, topic = %changelog, from, end, "restoring a global store");
                }
                RestoreEvent::Ended { store, changelog, .. } => {
                    tracing::info!(%store, topic = %changelog, "global store restored");
                }
                _ => {}
            }
            let Some(listener) = self.application.restore_listener() else { continue };
            match event {
                RestoreEvent::Started { store, changelog, from, end, .. } => {
                    listener.on_restore_start(&changelog, &store, from, end);
                }
                RestoreEvent::Ended { store, changelog, records, .. } => {
                    listener.on_restore_end(&changelog, &store, records);
                }
                _ => {}
            }
        }
    }
}

impl<C: Clients> Application<C> {
    /// Wakes the stream threads, which may wait for something that has come.
    fn wake_threads(&self) {
        let threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        threads.iter().for_each(|handle| handle.thread.unpark());
    }
}
