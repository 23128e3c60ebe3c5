//! An error as librdkafka tells it.

use std::ffi::{CStr, c_char};
use std::fmt;

use rdkafka::bindings::{self as rd, rd_kafka_error_t};

use super::codes;

/// An error of librdkafka, or of a broker through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Failure {
    /// Kafka's code, or librdkafka's own if negative.
    pub(in super::super) code: i32,
    /// What happened; may be empty.
    pub(in super::super) text: String,
    /// The producer is done for.
    pub(in super::super) fatal: bool,
    /// The transaction must be aborted.
    pub(in super::super) requires_abort: bool,
    /// The same call may be made again.
    pub(in super::super) retriable: bool,
}

impl Failure {
    /// A code without flags, in librdkafka's words.
    pub(in super::super) fn of_code(code: i32) -> Self {
        // SAFETY: the call takes any integer and returns a static text, or one of this thread.
        let text = unsafe { text_at(codes::rd_kafka_err2str(code)) };
        Failure { code, text, fatal: false, requires_abort: false, retriable: false }
    }

    /// A code without flags, in words of our own.
    pub(in super::super) fn new(code: i32, text: impl Into<String>) -> Self {
        Failure { code, text: text.into(), fatal: false, requires_abort: false, retriable: false }
    }

    /// Takes over what a call returned: null is success.
    ///
    /// # Safety
    /// `error` is null or an error that the caller owns.
    pub(super) unsafe fn take(error: *mut rd_kafka_error_t) -> Result<(), Failure> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: `error` is valid until it is destroyed below, and nobody else has it.
        unsafe {
            let failure = Failure::read(error);
            rd::rd_kafka_error_destroy(error);
            Err(failure)
        }
    }

    /// Reads an error that stays where it is.
    ///
    /// # Safety
    /// `error` is valid.
    pub(super) unsafe fn read(error: *const rd_kafka_error_t) -> Failure {
        // SAFETY: the caller says that it is valid; the text lives as long as the error, and is copied.
        unsafe {
            Failure {
                code: codes::rd_kafka_error_code(error),
                text: text_at(rd::rd_kafka_error_string(error)),
                fatal: rd::rd_kafka_error_is_fatal(error) != 0,
                requires_abort: rd::rd_kafka_error_txn_requires_abort(error) != 0,
                retriable: rd::rd_kafka_error_is_retriable(error) != 0,
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", name_of_code(self.code), self.code)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

/// Kafka's or librdkafka's name of a code: `ILLEGAL_GENERATION`, `_FENCED`.
pub(in super::super) fn name_of_code(code: i32) -> String {
    // SAFETY: the call takes any integer and returns a static text, or one of this thread.
    unsafe { text_at(codes::rd_kafka_err2name(code)) }
}

/// Copies a C text; null is empty.
///
/// # Safety
/// `text` is null or ends with a zero byte.
pub(super) unsafe fn text_at(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null; the caller says that it ends.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// All codes that librdkafka can name, with their names.
#[cfg(test)]
pub(in super::super) fn all_codes() -> Vec<(i32, String)> {
    let mut list = std::ptr::null();
    let mut count = 0;
    // SAFETY: librdkafka hands out a static array of `count` entries.
    let list = unsafe {
        codes::rd_kafka_get_err_descs(&mut list, &mut count);
        std::slice::from_raw_parts(list, count)
    };
    // Codes that are not used have no text; the marks around librdkafka's own range (_BEGIN, _END) have no meaning.
    list.iter()
        .filter(|entry| !entry.text.is_null() && !matches!(entry.code, -200 | -100))
        // SAFETY: names and texts are static.
        .map(|entry| (entry.code, unsafe { text_at(entry.name) }))
        .filter(|(_, name)| !name.is_empty())
        .collect()
}
