//! Fetched messages: read where librdkafka put them, freed together.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use kafka_streams_core::{Header, Headers};
use rdkafka::bindings::{self as rd, rd_kafka_message_t};

use super::codes::{NO_ERROR, RawMessage};
use super::failure::text_at;
use super::{Client, Failure};

/// Messages of one call, in the order of the queue.
pub(in super::super) struct Messages {
    list: Vec<Message>,
    /// Keeps the client alive until after the messages: fields are dropped in the order in which they stand here.
    client: Arc<Client>,
}

impl Messages {
    /// Takes over messages of `client`.
    ///
    /// # Safety
    /// The pointers are messages of `client` that the caller owns.
    pub(super) unsafe fn take(pointers: &[*mut rd_kafka_message_t], client: Arc<Client>) -> Self {
        let list = pointers.iter().filter_map(|pointer| NonNull::new(pointer.cast())).map(Message).collect();
        Messages { list, client }
    }

    /// All of them.
    pub(in super::super) fn as_slice(&self) -> &[Message] {
        &self.list
    }

    /// All of them.
    pub(in super::super) fn as_mut_slice(&mut self) -> &mut [Message] {
        &mut self.list
    }

    /// Keeps the first `at` (or all, if there are fewer) and returns the others.
    pub(in super::super) fn split_off(&mut self, at: usize) -> Messages {
        Messages { list: self.list.split_off(at.min(self.list.len())), client: self.client.clone() }
    }
}

/// One message: a record, the end of its partition, or an error of it.
pub(in super::super) struct Message(NonNull<RawMessage>);

// SAFETY: a message belongs to whoever took it, and may be read and freed by any thread.
unsafe impl Send for Message {}
// SAFETY: everything that takes `&self` only reads. Headers, which librdkafka decodes and keeps at first use, take
// `&mut self`.
unsafe impl Sync for Message {}

impl Message {
    /// 0 for a record, else what it tells in place of one.
    pub(in super::super) fn code(&self) -> i32 {
        self.raw().err
    }

    /// The record's offset; of an end, where reading will go on.
    pub(in super::super) fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// The record's key.
    pub(in super::super) fn key(&self) -> Option<&[u8]> {
        let raw = self.raw();
        // SAFETY: librdkafka keeps `key_len` bytes there as long as the message.
        unsafe { bytes_at(raw.key, raw.key_len) }
    }

    /// The record's value; of an error, its text.
    pub(in super::super) fn value(&self) -> Option<&[u8]> {
        let raw = self.raw();
        // SAFETY: librdkafka keeps `len` bytes there as long as the message.
        unsafe { bytes_at(raw.payload, raw.len) }
    }

    /// The record's time in milliseconds since the epoch, -1 if it has none.
    pub(in super::super) fn timestamp(&self) -> i64 {
        // SAFETY: the message is valid; it is only read.
        unsafe { rd::rd_kafka_message_timestamp(self.as_ptr(), ptr::null_mut()) }
    }

    /// The leader epoch of the record's batch, -1 if not known.
    pub(in super::super) fn leader_epoch(&self) -> i32 {
        // SAFETY: the message is valid; it is only read.
        unsafe { rd::rd_kafka_message_leader_epoch(self.as_ptr()) }
    }

    /// Decodes the record's headers; empty where there are none.
    pub(in super::super) fn headers(&mut self) -> Result<Headers, Failure> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is valid and nobody else has it. The list stays the message's.
        let code = unsafe { rd::rd_kafka_message_headers(self.as_ptr(), &mut list) } as i32;
        if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOENT as i32 {
            return Ok(Headers::new());
        }
        if code != NO_ERROR || list.is_null() {
            return Err(Failure::of_code(code));
        }
        let next = |index| {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the list is valid as long as the message; librdkafka writes the three on success only, and what
            // they point to is as long as told.
            unsafe {
                let code = rd::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size) as i32;
                (code == NO_ERROR)
                    .then(|| Header { key: text_at(name), value: bytes_at(value, size).map(<[u8]>::to_vec) })
            }
        };
        Ok((0..).map_while(next).collect())
    }

    /// As the error that it stands for.
    pub(in super::super) fn failure(&self) -> Failure {
        let text = self.value().map_or_else(String::new, |text| String::from_utf8_lossy(text).into_owned());
        Failure::new(self.code(), text)
    }

    fn raw(&self) -> &RawMessage {
        // SAFETY: the message is ours and valid until dropped; `RawMessage` is its layout.
        unsafe { self.0.as_ref() }
    }

    fn as_ptr(&self) -> *mut rd_kafka_message_t {
        self.0.as_ptr().cast()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours, and not used afterwards.
        unsafe { rd::rd_kafka_message_destroy(self.as_ptr()) }
    }
}

/// Bytes at a pointer; null is "no bytes", which is not the same as an empty value.
///
/// # Safety
/// `pointer` is null or has `size` bytes that live and stay unchanged for `'a`.
unsafe fn bytes_at<'a>(pointer: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: not null, and as long as the caller says.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer.cast(), size) })
}
