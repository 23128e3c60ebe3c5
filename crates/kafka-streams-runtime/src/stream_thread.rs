//! A stream thread: makes a worker and turns it until it is closed, sleeping when there is nothing to do.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use kafka_streams_engine::port::BrokerErrorKind;
use kafka_streams_engine::restore::{RestoreEvent, Restorer, RestorerConfig};
use kafka_streams_engine::{Guarantee, Notice, PortSet, Ports, Turn, Worker, WorkerConfig, WorkerError, WorkerSetup};
use kafka_streams_group::{ClassicConfig, HostInfo, ProcessId};

use crate::application::Application;
use crate::clock::now_ms;
use crate::leader::Leader;
use crate::port::{Clients, Waker};
use crate::replacement::Replacements;
use crate::restore_thread::RestoreThread;
use crate::{StreamThreadExceptionResponse, StreamsError, ThreadState};

/// Wait before an unreachable cluster is asked again at the start.
const RETRY: Duration = Duration::from_millis(500);
/// Wait before the global stores are looked at again.
const GLOBAL_WAIT: Duration = Duration::from_millis(20);
/// How long a failed worker may take to abort its transaction and to leave its group.
const ABANDON_TIMEOUT_MS: i64 = 15_000;
/// How long a request to shut down the application may take to reach the group.
const SHUTDOWN_REQUEST_TIMEOUT_MS: i64 = 30_000;
/// `delete.retention.ms` of a topic that does not set it: 24 hours.
pub(crate) const DELETE_RETENTION_MS: i64 = 86_400_000;

/// What a stream thread is told from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ThreadCommand {
    /// Close in good order.
    Close { leave_group: bool },
    /// Close at once, without committing.
    Abandon,
    /// Rebalance the group.
    Rejoin(String),
}

/// The ports that a stream thread's worker has.
struct ThreadPorts<C>(PhantomData<C>);

impl<C: Clients> Ports for ThreadPorts<C> {
    type Fetch = C::Fetch;
    type Produce = C::Produce;
    type Group = C::Group;
    type Admin = C::Admin;
    type Restore = RestoreThread;
}

/// The body of a stream thread; `thread` counts from 1.
pub(crate) struct StreamThread<C: Clients> {
    pub(crate) application: Arc<Application<C>>,
    pub(crate) thread: usize,
    pub(crate) commands: Receiver<ThreadCommand>,
}

/// How a worker ended.
enum End {
    Closed,
    Failed(WorkerError, StreamThreadExceptionResponse),
}

impl<C: Clients> StreamThread<C> {
    pub(crate) fn run(self) {
        let mut replacements = Replacements::default();
        loop {
            self.set_state(ThreadState::Starting);
            // A panic of the user's code ends this worker like an error of it, and not the instance without a word.
            let end = catch_unwind(AssertUnwindSafe(|| self.run_worker()));
            let (error, response) = match end {
                Ok(Ok(End::Closed)) => break,
                Ok(Ok(End::Failed(error, response))) => (error, response),
                Ok(Err(StreamsError::Broker(error))) => {
                    self.respond(WorkerError::Broker { what: "starting a stream thread".to_owned(), error })
                }
                Ok(Err(error)) => self.respond(WorkerError::Membership(error.to_string())),
                Err(panic) => self.respond(WorkerError::Panic(panic_text(&*panic))),
            };
            if !self.is_replaced(&error, response) {
                break;
            }
            self.rest(replacements.pause(&error, now_ms()));
        }
        self.set_state(ThreadState::Dead);
    }

    /// Waits, unless the instance is closed meanwhile.
    fn rest(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while self.application.lifecycle.state().is_running_or_rebalancing() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left.min(RETRY));
        }
    }

    /// Asks the user, once for each error, what follows from it.
    fn respond(&self, error: WorkerError) -> (WorkerError, StreamThreadExceptionResponse) {
        let response = match error {
            WorkerError::ShutdownRequested => StreamThreadExceptionResponse::ShutdownClient,
            _ => (self.application.uncaught_exception_handler())(&error),
        };
        (error, response)
    }

    /// Does what follows from an error: whether a new worker takes the place of the failed one.
    fn is_replaced(&self, error: &WorkerError, response: StreamThreadExceptionResponse) -> bool {
        let reason = match (self.application.findings.failure(), error) {
            (Some(finding), WorkerError::Membership(_)) => format!("{error}: {finding}"),
            _ => error.to_string(),
        };
        tracing::error!(thread = self.thread, error = reason, ?response, "stream thread failed");
        match response {
            StreamThreadExceptionResponse::ReplaceThread => {
                self.application.lifecycle.state().is_running_or_rebalancing()
            }
            StreamThreadExceptionResponse::ShutdownClient | StreamThreadExceptionResponse::ShutdownApplication => {
                self.application.fail(reason);
                false
            }
        }
    }

    fn run_worker(&self) -> Result<End, StreamsError> {
        if !self.cluster_is_ready()? || !self.global_stores_are_ready() {
            return Ok(End::Closed);
        }
        let mut worker = self.make_worker()?;
        let error = loop {
            self.obey(&mut worker);
            let turn = worker.run_once(now_ms());
            self.pass_on(&mut worker);
            match turn {
                Ok(Turn::Worked) => {}
                Ok(Turn::IdleUntil(at)) => sleep_until(at),
                Ok(Turn::Closed) => return Ok(End::Closed),
                Err(error) => break error,
            }
        };
        let (error, response) = self.respond(error);
        self.end_failed(&mut worker, response == StreamThreadExceptionResponse::ShutdownApplication);
        Ok(End::Failed(error, response))
    }

    /// Lets a failed worker drop what it has, abort, and leave; bounded in time.
    fn end_failed(&self, worker: &mut Worker<ThreadPorts<C>>, ask_all: bool) {
        let patience = if ask_all { SHUTDOWN_REQUEST_TIMEOUT_MS } else { ABANDON_TIMEOUT_MS };
        let deadline = now_ms() + patience;
        if ask_all {
            worker.abandon_and_request_shutdown(now_ms());
        } else {
            worker.abandon(now_ms());
        }
        while now_ms() < deadline {
            let turn = worker.run_once(now_ms());
            self.pass_on(worker);
            match turn {
                Ok(Turn::Worked) => {}
                Ok(Turn::IdleUntil(at)) => sleep_until(at),
                Ok(Turn::Closed) => return,
                // The reply to our own request; or a second error on the way out, which changes nothing.
                Err(error) => tracing::debug!(thread = self.thread, %error, "while closing a failed stream thread"),
            }
        }
        tracing::warn!(
            thread = self.thread,
            "a failed stream thread did not close in time; its transaction will time out"
        );
    }

    fn obey(&self, worker: &mut Worker<ThreadPorts<C>>) {
        loop {
            match self.commands.try_recv() {
                Ok(ThreadCommand::Close { leave_group }) => {
                    self.set_state(ThreadState::PendingShutdown);
                    worker.close(leave_group);
                }
                Ok(ThreadCommand::Abandon) => worker.abandon(now_ms()),
                Ok(ThreadCommand::Rejoin(reason)) => worker.rejoin(reason),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn pass_on(&self, worker: &mut Worker<ThreadPorts<C>>) {
        let application = &self.application;
        while let Some(notice) = worker.poll_notice() {
            match notice {
                Notice::Assigned { generation, tasks } => {
                    tracing::info!(thread = self.thread, generation, ?tasks, "tasks assigned");
                    self.set_state(ThreadState::PartitionsAssigned);
                }
                Notice::Revoking(tasks) => {
                    tracing::info!(thread = self.thread, ?tasks, "tasks revoked");
                    self.set_state(ThreadState::PartitionsRevoked);
                }
                Notice::Acquired { generation, task } => {
                    if let Some(listener) = application.task_listener() {
                        listener.on_acquired(task, generation);
                    }
                }
                Notice::Released { generation, task } => {
                    if let Some(listener) = application.task_listener() {
                        listener.on_released(task, generation);
                    }
                }
                Notice::Running => self.set_state(ThreadState::Running),
                Notice::Restore(event) => self.pass_on_restore(event),
            }
        }
    }

    fn pass_on_restore(&self, event: RestoreEvent) {
        match &event {
            RestoreEvent::Started { task, store, changelog, from, end } => {
                tracing::info!(%task, %store, %changelog, from, end, "restoring a store");
            }
            RestoreEvent::Ended { task, store, changelog, records } => {
                tracing::info!(%task, %store, %changelog, records, "store restored");
            }
            _ => {}
        }
        let Some(listener) = self.application.restore_listener() else { return };
        match event {
            RestoreEvent::Started { store, changelog, from, end, .. } => {
                listener.on_restore_start(&changelog, &store, from, end);
            }
            RestoreEvent::Batch { store, changelog, offset, records, .. } => {
                listener.on_batch_restored(&changelog, &store, offset, records);
            }
            RestoreEvent::Ended { store, changelog, records, .. } => {
                listener.on_restore_end(&changelog, &store, records)
            }
            RestoreEvent::Completed { .. } | RestoreEvent::Cancelled { .. } | RestoreEvent::Failed { .. } => {}
        }
    }

    /// Waits for the cluster; false if the instance is closed meanwhile.
    ///
    /// A cluster that is down is waited for as on the JVM; one that is too old is an error.
    fn cluster_is_ready(&self) -> Result<bool, StreamsError> {
        let application = &self.application;
        let mut told = false;
        loop {
            if !application.lifecycle.state().is_running_or_rebalancing() {
                return Ok(false);
            }
            match application.handle.block_on(application.cluster.describe_cluster()) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind == BrokerErrorKind::Retriable => {
                    if !told {
                        tracing::warn!(%error, bootstrap = ?application.settings.bootstrap_servers, "cannot reach the cluster yet; trying on");
                        told = true;
                    }
                    std::thread::park_timeout(RETRY);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the global stores are at the ends of their topics; false if the instance is closed meanwhile.
    fn global_stores_are_ready(&self) -> bool {
        while self.application.global.is_wanted() && !self.application.global.is_ready() {
            if !self.application.lifecycle.state().is_running_or_rebalancing() {
                return false;
            }
            std::thread::park_timeout(GLOBAL_WAIT);
        }
        true
    }

    fn make_worker(&self) -> Result<Worker<ThreadPorts<C>>, StreamsError> {
        let application = &self.application;
        let (settings, ids, thread) = (&application.settings, &application.ids, self.thread);
        let this = std::thread::current();
        let waker: Waker = Arc::new(move || this.unpark());
        let name = ids.stream_thread(thread);
        let fetch = application.clients.main_consumer(&name, waker.clone())?;
        let admin = application.clients.admin(&settings.application_id, waker.clone());
        let restore = self.make_restore_thread(waker.clone())?;
        let leader = Leader {
            topology: application.topology.clone(),
            application_id: application.worker_config.application_id.clone(),
            process_id: ProcessId::new(application.process_id),
            options: application.plan_options.clone(),
            cluster: application.cluster.clone(),
            patience: settings.group.max_poll_interval / 2,
            findings: application.findings.clone(),
        };
        let group = application.clients.join_group(&name, self.member_config(), Arc::new(leader), waker.clone());
        let producer = {
            let application = application.clone();
            let exactly_once = application.worker_config.guarantee == Guarantee::ExactlyOnce;
            let transactional_id = exactly_once.then(|| ids.transactional_id(thread));
            move |batching| application.clients.producer(&name, transactional_id.as_deref(), batching, waker.clone())
        };
        let setup = WorkerSetup {
            topology: application.topology.clone(),
            config: WorkerConfig { probe: application.commit_probe(), ..application.worker_config.clone() },
            backends: application.backends.clone(),
            cache: application.thread_cache(),
            make_output: application.make_output(),
            global_stores: application.global.stores().clone(),
            task_offsets: application.task_offsets.clone(),
            failed_tasks: application.failed_tasks.clone(),
            worker: u32::try_from(thread).unwrap_or(u32::MAX),
            clock: Box::new(now_ms),
        };
        let ports = PortSet { fetch, group, admin, restore, make_producer: Box::new(producer) };
        Worker::new(setup, ports, now_ms()).map_err(|error| match error {
            WorkerError::Broker { error, .. } => StreamsError::Broker(error),
            other => StreamsError::Stopped(other.to_string()),
        })
    }

    fn make_restore_thread(&self, on_event: Waker) -> Result<RestoreThread, StreamsError> {
        let application = &self.application;
        let (settings, ids) = (&application.settings, &application.ids);
        let name = ids.stream_thread(self.thread);
        let channel = RestoreThread::channel();
        let waker = RestoreThread::waker(&channel.0);
        let fetch = application.clients.restore_consumer(&name, waker.clone())?;
        let admin = application.clients.admin(&settings.application_id, waker);
        let set = settings.topic_overrides.get("delete.retention.ms").and_then(|text| text.parse().ok());
        let config = RestorerConfig {
            task_timeout_ms: application.worker_config.task_timeout_ms,
            max_age_ms: set.unwrap_or(DELETE_RETENTION_MS),
        };
        RestoreThread::start(ids.state_updater(self.thread), channel, Restorer::new(fetch, admin, config), on_event)
    }

    fn member_config(&self) -> ClassicConfig {
        let application = &self.application;
        let (settings, group) = (&application.settings, &application.settings.group);
        let ms = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let endpoint = settings.application_server.as_ref();
        let mut config = ClassicConfig::new(settings.application_id.clone(), ProcessId::new(application.process_id));
        config.user_endpoint = endpoint.map(|server| HostInfo::new(server.host.clone(), i32::from(server.port)));
        config.client_tags = settings.client_tags.clone();
        config.rack_id = group.client_rack.clone();
        config.session_timeout_ms = ms(group.session_timeout);
        config.heartbeat_interval_ms = ms(group.heartbeat_interval);
        config.max_poll_interval_ms = ms(group.max_poll_interval);
        let connection = settings.membership(&application.ids, self.thread);
        config.request_timeout_ms = ms(connection.request_timeout);
        config.retry_backoff_ms = ms(connection.retry_backoff);
        config.retry_backoff_max_ms = ms(connection.retry_backoff_max);
        config.jitter_seed = config.jitter_seed.wrapping_add(self.thread as u64);
        config
    }

    fn set_state(&self, state: ThreadState) {
        self.application.lifecycle.set_thread(self.thread - 1, state);
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

fn sleep_until(at: i64) {
    if let Ok(ms @ 1..) = u64::try_from(at - now_ms()) {
        std::thread::park_timeout(Duration::from_millis(ms));
    }
}
