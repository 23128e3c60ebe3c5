//! A librdkafka client: its threads, its calls, its end.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code, rd_kafka_t};

use super::config::{Config, ERROR_TEXT_SIZE};
use super::failure::text_at;
use super::sockets::Sockets;
use super::{Failure, GroupMetadata, PartitionList, Queue, Signal, codes, epoch};
use crate::data_plane::log;

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// Reads.
    Consumer,
    /// Writes.
    Producer,
}

/// `rd_kafka_t`. Destroyed with its last handle.
pub(in super::super) struct Client {
    rk: NonNull<rd_kafka_t>,
    /// What librdkafka tells by callback. Boxed, as the callbacks have its address.
    told: Box<Told>,
}

/// What the callbacks share with the client.
#[derive(Default)]
pub(super) struct Told {
    /// Errors that nobody has taken.
    failures: Mutex<Vec<Failure>>,
    /// A producer's connections.
    pub(super) sockets: Sockets,
}

// SAFETY: librdkafka's clients may be used by any number of threads at once ("librdkafka is completely thread-safe",
// rdkafka.h and INTRODUCTION.md).
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Starts a client and its threads. The error is librdkafka's text.
    pub(in super::super) fn new(role: Role, config: Config) -> Result<Arc<Self>, String> {
        let kind = match role {
            Role::Consumer => rd::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            Role::Producer => rd::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        let told = Box::<Told>::default();
        // SAFETY: the configuration is ours, and the callbacks are functions of this program. What the opaque pointer
        // points to lives as long as the client, see `drop`.
        unsafe {
            rd::rd_kafka_conf_set_opaque(config.as_ptr(), (&raw const *told).cast_mut().cast());
            rd::rd_kafka_conf_set_log_cb(config.as_ptr(), Some(on_log));
            rd::rd_kafka_conf_set_events(config.as_ptr(), rd::RD_KAFKA_EVENT_DR | rd::RD_KAFKA_EVENT_ERROR);
            rd::rd_kafka_conf_set_error_cb(config.as_ptr(), Some(on_error));
        }
        if role == Role::Producer {
            epoch::intercept(&config);
            Sockets::serve(&config);
        }
        let mut text = [0 as c_char; ERROR_TEXT_SIZE];
        let conf = config.into_ptr();
        // SAFETY: `text` has the size that is told. The configuration belongs to the client if there is one, else to us.
        unsafe {
            match NonNull::new(rd::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len())) {
                Some(rk) => Ok(Arc::new(Client { rk, told })),
                None => {
                    rd::rd_kafka_conf_destroy(conf);
                    Err(text_at(text.as_ptr()))
                }
            }
        }
    }

    /// The queue of events that belong to no partition: delivery reports, errors, replies.
    pub(in super::super) fn main_queue(self: &Arc<Self>, signal: Arc<Signal>) -> Option<Queue> {
        // SAFETY: the client is alive; the reference that is returned goes to the queue.
        let queue = unsafe { rd::rd_kafka_queue_get_main(self.as_ptr()) };
        Queue::new(queue, self.clone(), signal)
    }

    /// A consumer's queue of everything that belongs to no partition; the main queue flows into it.
    pub(in super::super) fn consumer_queue(self: &Arc<Self>, signal: Arc<Signal>) -> Option<Queue> {
        // SAFETY: the client is alive; the call fails for a producer, and then there is no consumer queue either. The
        // reference that is returned goes to the queue.
        let queue = unsafe {
            rd::rd_kafka_poll_set_consumer(self.as_ptr());
            rd::rd_kafka_queue_get_consumer(self.as_ptr())
        };
        Queue::new(queue, self.clone(), signal)
    }

    /// The queue of a partition, taken out of the consumer's queue: its messages are only seen here.
    pub(in super::super) fn partition_queue(
        self: &Arc<Self>,
        topic: &CStr,
        partition: i32,
        signal: Arc<Signal>,
    ) -> Option<Queue> {
        // SAFETY: the client is alive, `topic` ends with a zero byte and is copied; null is returned for a producer.
        let queue = unsafe {
            let queue = rd::rd_kafka_queue_get_partition(self.as_ptr(), topic.as_ptr(), partition);
            if !queue.is_null() {
                rd::rd_kafka_queue_forward(queue, std::ptr::null_mut());
            }
            queue
        };
        Queue::new(queue, self.clone(), signal)
    }

    /// Begins to fetch the partitions of the list, in addition to those assigned before. Waits for the client's main
    /// thread, not for a broker.
    pub(in super::super) fn assign(&self, partitions: &PartitionList) -> Result<(), Failure> {
        // SAFETY: both are alive; the list is copied; the error is ours.
        unsafe { Failure::take(rd::rd_kafka_incremental_assign(self.as_ptr(), partitions.as_ptr())) }
    }

    /// Ends fetching the partitions of the list. Waits for the client's main thread, not for a broker.
    pub(in super::super) fn unassign(&self, partitions: &PartitionList) -> Result<(), Failure> {
        // SAFETY: both are alive; the list is copied; the error is ours.
        unsafe { Failure::take(rd::rd_kafka_incremental_unassign(self.as_ptr(), partitions.as_ptr())) }
    }

    /// Fills the list with the offsets behind the last message taken from each partition's queue, control messages
    /// included; negative where none was taken.
    pub(in super::super) fn position(&self, partitions: &mut PartitionList) {
        // SAFETY: both are alive, and nobody else has the list. It answers from memory.
        unsafe { rd::rd_kafka_position(self.as_ptr(), partitions.as_ptr()) };
    }

    /// The end of the partition's log as the last fetch told; negative if there was none.
    pub(in super::super) fn high_watermark(&self, topic: &CStr, partition: i32) -> i64 {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, `topic` ends with a zero byte. It answers from memory.
        unsafe {
            rd::rd_kafka_get_watermark_offsets(self.as_ptr(), topic.as_ptr(), partition, &mut low, &mut high);
        }
        high
    }

    /// Errors that were told by callback since the last time.
    ///
    /// librdkafka calls back on the thread that reads a queue, for errors that it put into that queue not as messages:
    /// that the topic of a partition is missing, for one.
    pub(super) fn take_told(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.told.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The error that ended this client, if one did.
    pub(in super::super) fn fatal_error(&self) -> Option<Failure> {
        let mut text = [0 as c_char; ERROR_TEXT_SIZE];
        // SAFETY: `text` has the size that is told and is ended by librdkafka.
        let (code, text) = unsafe {
            let code = codes::rd_kafka_fatal_error(self.as_ptr(), text.as_mut_ptr(), text.len());
            (code, text_at(text.as_ptr()))
        };
        (code != codes::NO_ERROR).then(|| Failure { fatal: true, ..Failure::new(code, text) })
    }

    /// Asks for the number of partitions of a topic. The answer comes as an event of `queue`, with `tag`.
    pub(in super::super) fn describe_topic(&self, topic: &CStr, timeout: Duration, tag: usize, queue: &Queue) {
        let mut names = [topic.as_ptr()];
        let mut text = [0 as c_char; ERROR_TEXT_SIZE];
        // SAFETY: names are copied into the collection; options, collection and queue are valid during the call, which
        // copies what it needs. The tag is carried as a pointer that nobody follows.
        unsafe {
            let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            let api = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            let options = rd::rd_kafka_AdminOptions_new(self.as_ptr(), api);
            rd::rd_kafka_AdminOptions_set_opaque(options, tag as *mut c_void);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, millis(timeout), text.as_mut_ptr(), text.len());
            rd::rd_kafka_DescribeTopics(self.as_ptr(), topics, options, queue.as_ptr());
            rd::rd_kafka_AdminOptions_destroy(options);
            rd::rd_kafka_TopicCollection_destroy(topics);
        }
    }

    /// Sends what is queued without `linger.ms`, and waits until nothing is in flight. Whether that came true in time.
    pub(in super::super) fn flush(&self, timeout: Duration) -> bool {
        // SAFETY: the client is alive.
        unsafe { rd::rd_kafka_flush(self.as_ptr(), millis(timeout)) == Code::RD_KAFKA_RESP_ERR_NO_ERROR }
    }

    /// Waits at most `timeout`; goes on in the background, and another call takes it up.
    pub(in super::super) fn init_transactions(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: the client is alive; the error is ours.
        unsafe { Failure::take(rd::rd_kafka_init_transactions(self.as_ptr(), millis(timeout))) }
    }

    /// Waits for the client's main thread, not for a broker.
    pub(in super::super) fn begin_transaction(&self) -> Result<(), Failure> {
        // SAFETY: the client is alive; the error is ours.
        unsafe { Failure::take(rd::rd_kafka_begin_transaction(self.as_ptr())) }
    }

    /// Does NOT go on in the background when `timeout` is over: another call sends the offsets again. While the group's
    /// coordinator cannot be reached, librdkafka waits beyond `timeout`, possibly for ever: see
    /// [`cut_a_connection`](Client::cut_a_connection).
    pub(in super::super) fn send_offsets(
        &self,
        offsets: &PartitionList,
        member: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), Failure> {
        // SAFETY: all are alive; list and metadata are copied; the error is ours.
        unsafe {
            Failure::take(rd::rd_kafka_send_offsets_to_transaction(
                self.as_ptr(),
                offsets.as_ptr(),
                member.as_ptr(),
                millis(timeout),
            ))
        }
    }

    /// Waits at most `timeout`; goes on in the background, and another call takes it up.
    pub(in super::super) fn commit_transaction(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: the client is alive; the error is ours.
        unsafe { Failure::take(rd::rd_kafka_commit_transaction(self.as_ptr(), millis(timeout))) }
    }

    /// Waits at most `timeout`; goes on in the background, and another call takes it up. Delivery reports must be taken
    /// meanwhile.
    pub(in super::super) fn abort_transaction(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: the client is alive; the error is ours.
        unsafe { Failure::take(rd::rd_kafka_abort_transaction(self.as_ptr(), millis(timeout))) }
    }

    /// Cuts one of a producer's connections, each time another one; it is made anew. Whether there was one.
    pub(in super::super) fn cut_a_connection(&self) -> bool {
        self.told.sockets.cut_one()
    }

    /// The pointer, valid as long as the client.
    pub(super) fn as_ptr(&self) -> *mut rd_kafka_t {
        self.rk.as_ptr()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A manual assignment needs no goodbye to a group. librdkafka's threads are joined here.
        let flags = rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
        // SAFETY: this was the last handle: queues, topics and messages hold one each, and are gone. No callback of
        // librdkafka holds one, so that this does not run on one of its threads. `told` is dropped afterwards.
        unsafe { rd::rd_kafka_destroy_flags(self.as_ptr(), flags as c_int) }
    }
}

/// As librdkafka takes times. At least 1, as 0 has a meaning of its own for some calls.
fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX).max(1)
}

/// An error, on the thread that reads the queue which held it.
unsafe extern "C" fn on_error(_: *mut rd_kafka_t, code: c_int, text: *const c_char, told: *mut c_void) {
    // SAFETY: the client keeps `told` alive until librdkafka is gone; the text ends with a zero byte.
    let (told, text) = unsafe { (&*told.cast::<Told>(), text_at(text)) };
    told.failures.lock().unwrap_or_else(PoisonError::into_inner).push(Failure::new(code, text));
}

/// A log line, from any thread of librdkafka.
unsafe extern "C" fn on_log(rk: *const rd_kafka_t, level: c_int, facility: *const c_char, text: *const c_char) {
    // Unwinding into C is not allowed; a log line is no reason to abort either.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: librdkafka's texts end with a zero byte. `rk` is null, or a client that is at least half made and has
        // its name: librdkafka's own printer reads it too.
        unsafe {
            let client = if rk.is_null() { String::new() } else { text_at(rd::rd_kafka_name(rk)) };
            log::line(level, &client, &text_at(facility), &text_at(text));
        }
    }));
}
