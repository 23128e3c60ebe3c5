//! Writing to a topic.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use kafka_streams_core::Headers;
use rdkafka::bindings::{self as rd, rd_kafka_headers_t, rd_kafka_topic_t, rd_kafka_vtype_t as V};

use super::codes::{self, NO_ERROR};
use super::{Client, Failure, epoch};

// Tags travel as pointers.
const _: () = assert!(size_of::<u64>() <= size_of::<*mut c_void>(), "tags of 64 bits need a 64-bit platform");

/// `RD_KAFKA_PARTITION_UA`, a macro of rdkafka.h.
const PARTITION_UNASSIGNED: i32 = -1;

/// `rd_kafka_topic_t` of a producer: saves the look-up of the name with each record.
pub(in super::super) struct Topic {
    topic: NonNull<rd_kafka_topic_t>,
    client: Arc<Client>,
}

// SAFETY: librdkafka's topic handles may be used by any thread.
unsafe impl Send for Topic {}

/// What librdkafka needs of a record.
#[derive(Clone, Copy)]
pub(in super::super) struct Unsent<'a> {
    /// `None` lets librdkafka's partitioner choose.
    pub(in super::super) partition: Option<i32>,
    /// Milliseconds since the epoch, not negative; `None` lets librdkafka put the wall-clock time.
    pub(in super::super) timestamp: Option<i64>,
    /// `None` is a null key.
    pub(in super::super) key: Option<&'a [u8]>,
    /// `None` is a null value.
    pub(in super::super) value: Option<&'a [u8]>,
    /// Comes back in the delivery report.
    pub(in super::super) tag: u64,
}

impl Topic {
    /// A handle of a topic, which need not exist.
    pub(in super::super) fn new(client: &Arc<Client>, name: &CStr) -> Result<Self, Failure> {
        // SAFETY: the client is alive, the name is copied, and null takes the client's topic configuration.
        let topic = unsafe { rd::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), ptr::null_mut()) };
        match NonNull::new(topic) {
            Some(topic) => Ok(Topic { topic, client: client.clone() }),
            // SAFETY: no conditions; it is the error of the call above, on the same thread.
            None => Err(Failure::of_code(unsafe { codes::rd_kafka_last_error() })),
        }
    }

    /// Queues a record: copied, so that the caller's bytes are free at once. The error is a code.
    pub(in super::super) fn send(&self, record: Unsent<'_>, headers: Option<HeaderList>) -> Result<(), i32> {
        let (key, key_size) = parts(record.key);
        let (value, value_size) = parts(record.value);
        let partition = record.partition.unwrap_or(PARTITION_UNASSIGNED);
        let flags: c_int = rd::RD_KAFKA_MSG_F_COPY;
        // librdkafka's 0 is "now".
        let timestamp = match record.timestamp {
            None => 0,
            Some(0) => epoch::MARK,
            Some(timestamp) => timestamp,
        };
        let tag = record.tag as *mut c_void;
        let list = headers.as_ref().map_or(ptr::null_mut(), |headers| headers.0.as_ptr());
        // SAFETY: each tag is followed by arguments of the C types that rdkafka.h has for it, and the list ends with END.
        // Client and topic are alive; key and value are copied. The headers become librdkafka's only on success; a null
        // list is none.
        let code = unsafe {
            codes::rd_kafka_producev(
                self.client.as_ptr(),
                V::RD_KAFKA_VTYPE_RKT as c_int,
                self.topic.as_ptr(),
                V::RD_KAFKA_VTYPE_PARTITION as c_int,
                partition,
                V::RD_KAFKA_VTYPE_MSGFLAGS as c_int,
                flags,
                V::RD_KAFKA_VTYPE_TIMESTAMP as c_int,
                timestamp,
                V::RD_KAFKA_VTYPE_KEY as c_int,
                key,
                key_size,
                V::RD_KAFKA_VTYPE_VALUE as c_int,
                value,
                value_size,
                V::RD_KAFKA_VTYPE_OPAQUE as c_int,
                tag,
                V::RD_KAFKA_VTYPE_HEADERS as c_int,
                list,
                V::RD_KAFKA_VTYPE_END as c_int,
            )
        };
        if code != NO_ERROR {
            return Err(code);
        }
        std::mem::forget(headers);
        Ok(())
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the client is still alive.
        unsafe { rd::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

/// Headers on their way to librdkafka: `rd_kafka_headers_t`.
pub(in super::super) struct HeaderList(NonNull<rd_kafka_headers_t>);

impl HeaderList {
    /// A copy; `None` for no headers.
    pub(in super::super) fn copy_of(headers: &Headers) -> Option<Self> {
        if headers.is_empty() {
            return None;
        }
        // SAFETY: no conditions.
        let list = HeaderList(NonNull::new(unsafe { rd::rd_kafka_headers_new(headers.as_slice().len()) })?);
        for header in headers {
            let (value, size) = parts(header.value.as_deref());
            let (name, name_size) = (header.key.as_ptr().cast::<c_char>(), header.key.len());
            // SAFETY: the list is ours; name and value have the sizes that are told, and are copied. Lengths in Rust are
            // at most isize::MAX.
            unsafe { rd::rd_kafka_header_add(list.0.as_ptr(), name, name_size as isize, value, size as isize) };
        }
        Some(list)
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: it was not given away.
        unsafe { rd::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

/// Pointer and size; null for "no bytes". The pointer of an empty slice is not null.
fn parts(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}
