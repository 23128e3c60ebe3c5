//! Events of a client's queue.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use rdkafka::bindings::{self as rd, rd_kafka_event_t};

use super::Failure;
use super::codes::{self, NO_ERROR, RawMessage};
use super::failure::text_at;

/// Messages that are taken out of an event at once.
const MESSAGES_AT_ONCE: usize = 128;

/// `rd_kafka_event_t`.
pub(in super::super) enum Event {
    /// What became of records.
    Deliveries(DeliveryReports),
    /// An error of the client; librdkafka goes on by itself.
    Error(Failure),
    /// The answer to [`Client::describe_topic`](super::Client::describe_topic): its tag and the number of partitions.
    TopicDescribed(usize, Result<i32, Failure>),
    /// Anything else, which nobody asked for.
    Other,
}

/// What became of one record.
pub(in super::super) struct DeliveryReport {
    /// As sent.
    pub(in super::super) tag: u64,
    /// Its partition; negative if it never had one.
    pub(in super::super) partition: i32,
    /// Its offset (negative if the broker was not asked to tell), or its topic and why it was not written.
    pub(in super::super) result: Result<i64, (String, Failure)>,
}

impl Event {
    /// Takes over an event; `None` for null.
    ///
    /// # Safety
    /// `event` is null or an event that the caller owns.
    pub(super) unsafe fn take(event: *mut rd_kafka_event_t) -> Option<Event> {
        let event = Owned(NonNull::new(event)?);
        // SAFETY: the event is valid as long as `event`; what it points to is copied before it goes.
        unsafe {
            Some(match rd::rd_kafka_event_type(event.as_ptr()) {
                rd::RD_KAFKA_EVENT_DR => Event::Deliveries(DeliveryReports(event)),
                rd::RD_KAFKA_EVENT_ERROR => Event::Error(event.failure()),
                rd::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => {
                    let tag = rd::rd_kafka_event_opaque(event.as_ptr()) as usize;
                    Event::TopicDescribed(tag, event.partition_count())
                }
                _ => Event::Other,
            })
        }
    }
}

/// Delivery reports, read once.
pub(in super::super) struct DeliveryReports(Owned);

impl DeliveryReports {
    /// Calls `visit` for each, in the order of the broker's answers.
    pub(in super::super) fn for_each(self, mut visit: impl FnMut(DeliveryReport)) {
        let mut messages = [ptr::null(); MESSAGES_AT_ONCE];
        loop {
            // SAFETY: the event is valid, and the array has the size that is told. The messages stay the event's.
            let count =
                unsafe { rd::rd_kafka_event_message_array(self.0.as_ptr(), messages.as_mut_ptr(), messages.len()) };
            for message in messages.iter().take(count) {
                // SAFETY: the first `count` are messages that live as long as the event; `RawMessage` is their layout.
                let raw = unsafe { &*message.cast::<RawMessage>() };
                let result = if raw.err == NO_ERROR {
                    Ok(raw.offset)
                } else {
                    // SAFETY: the message has its topic; both texts live as long as the message, and are copied.
                    let (topic, text) = unsafe {
                        (
                            text_at(rd::rd_kafka_topic_name(raw.topic)),
                            text_at(rd::rd_kafka_message_produce_errstr(*message)),
                        )
                    };
                    Err((topic, Failure::new(raw.err, text)))
                };
                visit(DeliveryReport { tag: raw.private as u64, partition: raw.partition, result });
            }
            if count < messages.len() {
                return;
            }
        }
    }
}

/// The event itself.
struct Owned(NonNull<rd_kafka_event_t>);

impl Owned {
    fn as_ptr(&self) -> *mut rd_kafka_event_t {
        self.0.as_ptr()
    }

    fn failure(&self) -> Failure {
        // SAFETY: the event is valid; the text is copied.
        unsafe {
            Failure {
                fatal: rd::rd_kafka_event_error_is_fatal(self.as_ptr()) != 0,
                ..Failure::new(
                    codes::rd_kafka_event_error(self.as_ptr()),
                    text_at(rd::rd_kafka_event_error_string(self.as_ptr())),
                )
            }
        }
    }

    /// Number of partitions of the one topic that was asked for.
    fn partition_count(&self) -> Result<i32, Failure> {
        let failure = self.failure();
        if failure.code != NO_ERROR {
            return Err(failure);
        }
        // SAFETY: an event of this type that tells no error has a result; result, topics and their parts belong to the
        // event. The one topic is only looked at if it is there.
        unsafe {
            let result = rd::rd_kafka_event_DescribeTopics_result(self.as_ptr());
            let mut count = 0;
            let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            if count == 0 {
                return Err(Failure::new(UNKNOWN_TOPIC, "the broker's answer has no topic"));
            }
            let topic = *topics;
            let error = rd::rd_kafka_TopicDescription_error(topic);
            if !error.is_null() && codes::rd_kafka_error_code(error) != NO_ERROR {
                return Err(Failure::read(error));
            }
            let mut partitions = 0;
            rd::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
            Ok(i32::try_from(partitions).unwrap_or(i32::MAX))
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the event is ours.
        unsafe { rd::rd_kafka_event_destroy(self.as_ptr()) }
    }
}

const UNKNOWN_TOPIC: c_int = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as c_int;
