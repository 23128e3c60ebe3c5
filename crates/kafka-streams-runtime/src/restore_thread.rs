//! The thread that restores beside a stream thread: a [`Restorer`] in a loop, and the worker's end of it.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kafka_streams_core::TaskId;
use kafka_streams_engine::port::{Admin, Fetch};
use kafka_streams_engine::restore::{Restore, RestoreEvent, RestoreTask, RestoreTickets, Restorer, StepResult};

use crate::StreamsError;
use crate::clock::now_ms;
use crate::port::Waker;

/// The longest wait of the restore thread; a wake-up of its consumer or its admin ends it before.
const MAX_WAIT: Duration = Duration::from_millis(100);
/// The shortest: a deadline in the past is no reason to spin.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// What the thread is told. Every restore has a ticket, so that news of a cancelled one is not taken for the next one's.
pub(crate) enum Command {
    Submit(u64, RestoreTask),
    Cancel(TaskId),
    /// Its consumer or its admin has news.
    Wake,
    Stop,
}

/// The worker's end of a restore thread. The thread ends when this is dropped.
pub(crate) struct RestoreThread {
    commands: Sender<Command>,
    events: Receiver<(u64, RestoreEvent)>,
    tickets: RestoreTickets,
    thread: Option<JoinHandle<()>>,
}

impl RestoreThread {
    /// A channel whose sender makes the wakers of the thread's clients before the thread itself starts.
    pub(crate) fn channel() -> (Sender<Command>, Receiver<Command>) {
        mpsc::channel()
    }

    /// A waker for the thread's clients.
    pub(crate) fn waker(commands: &Sender<Command>) -> Waker {
        let commands = commands.clone();
        std::sync::Arc::new(move || {
            let _ = commands.send(Command::Wake);
        })
    }

    /// Starts the thread; `on_event` wakes the worker.
    pub(crate) fn start<F: Fetch + Send + 'static, A: Admin + Send + 'static>(
        name: String,
        (commands, inbox): (Sender<Command>, Receiver<Command>),
        restorer: Restorer<F, A>,
        on_event: Waker,
    ) -> Result<Self, StreamsError> {
        let (outbox, events) = mpsc::channel();
        let body = move || run(restorer, &inbox, &outbox, &on_event);
        let thread = thread::Builder::new().name(name).spawn(body).map_err(StreamsError::Thread)?;
        Ok(RestoreThread { commands, events, tickets: RestoreTickets::default(), thread: Some(thread) })
    }
}

impl Restore for RestoreThread {
    fn submit(&mut self, task: RestoreTask) {
        let ticket = self.tickets.submit(task.task);
        let _ = self.commands.send(Command::Submit(ticket, task));
    }

    fn cancel(&mut self, task: TaskId) {
        if self.tickets.cancel(task) {
            let _ = self.commands.send(Command::Cancel(task));
        }
    }

    fn poll(&mut self) -> Option<RestoreEvent> {
        if let Some(event) = self.tickets.poll_idle() {
            return Some(event);
        }
        loop {
            let (ticket, event) = self.events.try_recv().ok()?;
            if self.tickets.accept(ticket, &event) {
                return Some(event);
            }
        }
    }
}

impl Drop for RestoreThread {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run<F: Fetch, A: Admin>(
    mut restorer: Restorer<F, A>,
    inbox: &Receiver<Command>,
    outbox: &Sender<(u64, RestoreEvent)>,
    on_event: &Waker,
) {
    let mut tickets: BTreeMap<TaskId, u64> = BTreeMap::new();
    let mut wait = MIN_WAIT;
    loop {
        let mut next = match inbox.recv_timeout(wait) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        while let Some(command) = next {
            match command {
                Command::Submit(ticket, task) => {
                    tickets.insert(task.task, ticket);
                    restorer.submit(task);
                }
                Command::Cancel(task) => {
                    restorer.cancel(task);
                    // Before the next command: a new order of this task has a ticket of its own.
                    if !pass_on(&mut restorer, &tickets, outbox, on_event) {
                        return;
                    }
                }
                Command::Wake => {}
                Command::Stop => return,
            }
            next = inbox.try_recv().ok();
        }
        let result = restorer.step(now_ms());
        if !pass_on(&mut restorer, &tickets, outbox, on_event) {
            return;
        }
        wait = match result {
            StepResult::Worked => Duration::ZERO,
            StepResult::IdleUntil(None) => MAX_WAIT,
            StepResult::IdleUntil(Some(at)) => {
                Duration::from_millis(u64::try_from(at - now_ms()).unwrap_or_default()).clamp(MIN_WAIT, MAX_WAIT)
            }
        };
    }
}

/// Passes the restorer's news on to the worker; false if the worker is gone.
fn pass_on<F: Fetch, A: Admin>(
    restorer: &mut Restorer<F, A>,
    tickets: &BTreeMap<TaskId, u64>,
    outbox: &Sender<(u64, RestoreEvent)>,
    on_event: &Waker,
) -> bool {
    let mut news = false;
    while let Some(event) = restorer.poll_event() {
        let Some(ticket) = tickets.get(&event.task()) else { continue };
        if outbox.send((*ticket, event)).is_err() {
            return false;
        }
        news = true;
    }
    if news {
        on_event();
    }
    true
}
