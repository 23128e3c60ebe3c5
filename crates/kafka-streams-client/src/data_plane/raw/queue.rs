//! A queue of librdkafka: messages of a partition, or events.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::bindings::{self as rd, rd_kafka_message_t, rd_kafka_queue_t, rd_kafka_t};

use super::{Client, Event, Failure, Messages};
use crate::data_plane::Waker;

/// Tells whether a queue may hold something, without asking the queue: an empty partition costs one load to poll.
pub(in super::super) struct Signal {
    raised: AtomicBool,
    waker: Waker,
}

impl Signal {
    /// Raised at first, so that the first poll looks.
    pub(in super::super) fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Signal { raised: AtomicBool::new(true), waker })
    }

    /// Whether it was raised; lowers it. Take it BEFORE reading the queue: what comes during the reading raises it again.
    pub(in super::super) fn take(&self) -> bool {
        self.raised.load(Ordering::Relaxed) && self.raised.swap(false, Ordering::AcqRel)
    }

    /// Raises it, for the thread that polls: there may be more.
    pub(in super::super) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
    }
}

/// `rd_kafka_queue_t`, with a signal that librdkafka raises whenever the queue stops being empty.
pub(in super::super) struct Queue {
    queue: NonNull<rd_kafka_queue_t>,
    signal: Arc<Signal>,
    /// Keeps the client alive until after the queue.
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues may be used by any thread; the rest is Send itself.
unsafe impl Send for Queue {}

impl Queue {
    /// Takes over a reference to a queue; `None` for null.
    pub(super) fn new(queue: *mut rd_kafka_queue_t, client: Arc<Client>, signal: Arc<Signal>) -> Option<Self> {
        let queue = NonNull::new(queue)?;
        // SAFETY: the queue is ours. The signal lives in `self` until after `drop` has switched the callback off.
        unsafe {
            rd::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(on_event), Arc::as_ptr(&signal) as *mut c_void);
        }
        Some(Queue { queue, signal, client })
    }

    /// Whether there may be something to read since the last time.
    pub(in super::super) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Takes at most `max` messages, errors and ends of the partition among them, without waiting. Also told: errors that
    /// librdkafka had put into the queue not as messages, and that came after the messages before them.
    pub(in super::super) fn consume(&self, scratch: &mut Scratch, max: usize) -> (Messages, Vec<Failure>) {
        let max = max.max(1);
        if scratch.0.len() < max {
            scratch.0.resize(max, ptr::null_mut());
        }
        // SAFETY: the array has at least `max` entries; librdkafka writes at most that many.
        let taken = unsafe { rd::rd_kafka_consume_batch_queue(self.as_ptr(), 0, scratch.0.as_mut_ptr(), max) };
        // An error is told as -1: nothing was taken.
        let taken = usize::try_from(taken).unwrap_or(0).min(max);
        // SAFETY: the first `taken` entries were written by the call above, and every message is ours now.
        let messages = unsafe { Messages::take(&scratch.0[..taken], self.client.clone()) };
        (messages, self.client.take_told())
    }

    /// The next event, without waiting.
    pub(in super::super) fn poll(&self) -> Option<Event> {
        // SAFETY: the queue is valid; the event is ours.
        unsafe { Event::take(rd::rd_kafka_queue_poll(self.as_ptr(), 0)) }
    }

    /// Whether something is left.
    pub(in super::super) fn is_empty(&self) -> bool {
        // SAFETY: the queue is valid.
        unsafe { rd::rd_kafka_queue_length(self.as_ptr()) == 0 }
    }

    /// The pointer, valid as long as the queue.
    pub(super) fn as_ptr(&self) -> *mut rd_kafka_queue_t {
        self.queue.as_ptr()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours. The callback is called with the queue's lock held, which switching it off takes:
        // afterwards none is running, and the signal may go.
        unsafe {
            rd::rd_kafka_queue_cb_event_enable(self.as_ptr(), None, ptr::null_mut());
            rd::rd_kafka_queue_destroy(self.as_ptr());
        }
    }
}

/// An array to read messages into, used again and again. Between calls its pointers mean nothing.
#[derive(Default)]
pub(in super::super) struct Scratch(Vec<*mut rd_kafka_message_t>);

// SAFETY: the pointers are never followed after the call that wrote them.
unsafe impl Send for Scratch {}

/// A queue stopped being empty. Runs on threads of librdkafka, under the queue's lock.
unsafe extern "C" fn on_event(_client: *mut rd_kafka_t, signal: *mut c_void) {
    // SAFETY: `Queue` keeps the signal alive until the callback was switched off.
    let signal = unsafe { &*signal.cast::<Signal>() };
    signal.raise();
    // Unwinding into C is not allowed.
    if catch_unwind(AssertUnwindSafe(|| (signal.waker)())).is_err() {
        tracing::error!("the waker of a stream thread panicked");
    }
}
