//! librdkafka's calls and structures that carry error codes, declared with integers in place of the Rust enum.

use std::ffi::{c_char, c_int, c_void};

use rdkafka::bindings::{rd_kafka_error_t, rd_kafka_event_t, rd_kafka_message_t, rd_kafka_t, rd_kafka_topic_t};

/// `rd_kafka_message_t`.
#[repr(C)]
pub(super) struct RawMessage {
    pub(super) err: c_int,
    pub(super) topic: *mut rd_kafka_topic_t,
    pub(super) partition: i32,
    pub(super) payload: *mut c_void,
    pub(super) len: usize,
    pub(super) key: *mut c_void,
    pub(super) key_len: usize,
    pub(super) offset: i64,
    pub(super) private: *mut c_void,
}

/// `struct rd_kafka_err_desc`.
#[cfg(test)]
#[repr(C)]
pub(super) struct RawDescription {
    pub(super) code: c_int,
    pub(super) name: *const c_char,
    pub(super) text: *const c_char,
}

// The declaration above and that of rdkafka-sys describe the same structure.
const _: () = {
    assert!(size_of::<RawMessage>() == size_of::<rd_kafka_message_t>());
    assert!(std::mem::offset_of!(RawMessage, partition) == std::mem::offset_of!(rd_kafka_message_t, partition));
    assert!(std::mem::offset_of!(RawMessage, key_len) == std::mem::offset_of!(rd_kafka_message_t, key_len));
    assert!(std::mem::offset_of!(RawMessage, offset) == std::mem::offset_of!(rd_kafka_message_t, offset));
    assert!(std::mem::offset_of!(RawMessage, private) == std::mem::offset_of!(rd_kafka_message_t, _private));
};

/// `RD_KAFKA_RESP_ERR_NO_ERROR`.
pub(super) const NO_ERROR: c_int = 0;

unsafe extern "C" {
    pub(super) fn rd_kafka_err2name(code: c_int) -> *const c_char;
    pub(super) fn rd_kafka_err2str(code: c_int) -> *const c_char;
    pub(super) fn rd_kafka_error_code(error: *const rd_kafka_error_t) -> c_int;
    pub(super) fn rd_kafka_event_error(event: *mut rd_kafka_event_t) -> c_int;
    pub(super) fn rd_kafka_fatal_error(client: *mut rd_kafka_t, text: *mut c_char, text_size: usize) -> c_int;
    pub(super) fn rd_kafka_producev(client: *mut rd_kafka_t, ...) -> c_int;
    pub(super) fn rd_kafka_last_error() -> c_int;
    #[cfg(test)]
    pub(super) fn rd_kafka_get_err_descs(descriptions: *mut *const RawDescription, count: *mut usize);
}
