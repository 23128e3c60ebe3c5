//! A client's configuration before the client exists.

use std::ffi::{CString, c_char};
use std::ptr::NonNull;

use rdkafka::bindings::{self as rd, rd_kafka_conf_res_t, rd_kafka_conf_t};

use super::failure::text_at;

/// Room for what librdkafka has to say about a configuration, in bytes.
pub(super) const ERROR_TEXT_SIZE: usize = 512;

/// `rd_kafka_conf_t`.
pub(in super::super) struct Config {
    conf: NonNull<rd_kafka_conf_t>,
}

/// Why a property was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum PropertyError {
    /// librdkafka has no such property.
    Unknown,
    /// The value is out of range or no such value; librdkafka's words.
    Invalid(String),
}

impl Config {
    /// librdkafka's defaults.
    pub(in super::super) fn new() -> Option<Self> {
        // SAFETY: no conditions.
        NonNull::new(unsafe { rd::rd_kafka_conf_new() }).map(|conf| Config { conf })
    }

    /// Sets a property; the last value wins.
    pub(in super::super) fn set(&mut self, key: &str, value: &str) -> Result<(), PropertyError> {
        let zero_byte = |_| PropertyError::Invalid("a zero byte is not allowed".to_owned());
        let key = CString::new(key).map_err(|_| PropertyError::Unknown)?;
        let value = CString::new(value).map_err(zero_byte)?;
        let mut text = [0 as c_char; ERROR_TEXT_SIZE];
        // SAFETY: `conf` is ours; the texts end with a zero byte and are copied; `text` has the size that is told.
        let result = unsafe {
            rd::rd_kafka_conf_set(self.conf.as_ptr(), key.as_ptr(), value.as_ptr(), text.as_mut_ptr(), text.len())
        };
        match result {
            rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(PropertyError::Unknown),
            // SAFETY: librdkafka ends the text within its size.
            _ => Err(PropertyError::Invalid(unsafe { text_at(text.as_ptr()) })),
        }
    }

    /// The pointer; still ours.
    pub(super) fn as_ptr(&self) -> *mut rd_kafka_conf_t {
        self.conf.as_ptr()
    }

    /// Gives the pointer away.
    pub(super) fn into_ptr(self) -> *mut rd_kafka_conf_t {
        let conf = self.conf.as_ptr();
        std::mem::forget(self);
        conf
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: it was not given away.
        unsafe { rd::rd_kafka_conf_destroy(self.conf.as_ptr()) }
    }
}
