//! Writing the timestamp 0.
//!
//! For librdkafka's calls a timestamp of 0 is "now", and nothing else means 0: a record of 1970-01-01T00:00:00Z, such as
//! the first record of a test or of a device without a clock, would be written with today's time. So it is sent with a
//! [`MARK`] in place of 0, and an interceptor, which librdkafka calls with each record before it is queued, puts the 0.
//!
//! There is no call for that: the timestamp is written where librdkafka 2.12 has it, in the structure that begins with
//! the public `rd_kafka_message_t`. Should another version have something else there, the mark is not found, stays, and
//! the broker refuses the record as INVALID_TIMESTAMP: an error, not a wrong time.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use rdkafka::bindings::{self as rd, rd_kafka_conf_t, rd_kafka_message_t, rd_kafka_resp_err_t as Code, rd_kafka_t};

use super::codes::RawMessage;
use super::config::Config;

/// In place of the timestamp 0. No record has it: timestamps are not negative.
pub(super) const MARK: i64 = i64::MIN;

/// Makes the interceptor part of a producer that is made with this configuration.
pub(super) fn intercept(config: &Config) {
    // SAFETY: the configuration is ours, name and callback are static.
    let code = unsafe {
        rd::rd_kafka_conf_interceptor_add_on_new(config.as_ptr(), NAME.as_ptr(), Some(on_new), ptr::null_mut())
    };
    if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
        tracing::warn!("records with the timestamp 0 will be refused: {code:?}");
    }
}

const NAME: &std::ffi::CStr = c"timestamp 0";

/// The beginning of librdkafka's `rd_kafka_msg_t` (`rdkafka_msg.h`).
#[repr(C)]
struct Beginning {
    message: RawMessage,
    link: [*mut c_void; 2],
    flags: c_int,
    timestamp_type: c_int,
    timestamp: i64,
}

/// A producer was made.
unsafe extern "C" fn on_new(
    client: *mut rd_kafka_t,
    _: *const rd_kafka_conf_t,
    _: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> Code {
    // SAFETY: the client is valid here, name and callback are static.
    unsafe { rd::rd_kafka_interceptor_add_on_send(client, NAME.as_ptr(), Some(on_send), ptr::null_mut()) }
}

/// A record was made and not yet queued.
unsafe extern "C" fn on_send(_: *mut rd_kafka_t, message: *mut rd_kafka_message_t, _: *mut c_void) -> Code {
    // SAFETY: the message is valid, nobody else has it yet, and it begins a `rd_kafka_msg_t`, which in every version is
    // longer than `Beginning`. The timestamp is written only where the mark is, and only kept if librdkafka then reads 0.
    unsafe {
        if rd::rd_kafka_message_timestamp(message, ptr::null_mut()) == MARK {
            let timestamp = &raw mut (*message.cast::<Beginning>()).timestamp;
            if timestamp.read() == MARK {
                timestamp.write(0);
                if rd::rd_kafka_message_timestamp(message, ptr::null_mut()) != 0 {
                    timestamp.write(MARK);
                }
            }
        }
    }
    Code::RD_KAFKA_RESP_ERR_NO_ERROR
}
