//! A fetched batch.

use kafka_streams_core::{Headers, RawRecord};
use kafka_streams_engine::port::FetchedBatch;

use super::raw::{Failure, Messages};

/// Records of one partition, still where librdkafka put them.
///
/// Keys and values are borrowed; dropping the batch frees them, and the answer that they came in once it was the last
/// batch of that answer. A batch may outlive its [`RdFetch`](super::RdFetch), whose threads then end with the last batch.
pub struct Batch {
    messages: Messages,
    /// One for each message, or nothing if no message has headers.
    headers: Vec<Headers>,
}

impl Batch {
    /// Takes messages that are all records. If the headers of one cannot be decoded, what is before it becomes a batch
    /// (`None` if that is nothing), and the rest is lost.
    pub(super) fn new(mut messages: Messages) -> (Option<Self>, Option<(i64, Failure)>) {
        let mut headers = Vec::new();
        let mut failed = None;
        for (index, message) in messages.as_mut_slice().iter_mut().enumerate() {
            match message.headers() {
                Ok(list) if list.is_empty() => {}
                Ok(list) => {
                    headers.resize(index, Headers::new());
                    headers.push(list);
                }
                Err(failure) => {
                    failed = Some((index, message.offset(), failure));
                    break;
                }
            }
        }
        if let Some((index, ..)) = failed {
            drop(messages.split_off(index));
        }
        let batch = (!messages.as_slice().is_empty()).then_some(Batch { messages, headers });
        (batch, failed.map(|(_, offset, failure)| (offset, failure)))
    }

    /// Keeps the first `at` records, and returns the others if there are any.
    pub(super) fn split_off(&mut self, at: usize) -> Option<Batch> {
        if at >= self.len() {
            return None;
        }
        let headers = if at < self.headers.len() { self.headers.split_off(at) } else { Vec::new() };
        Some(Batch { messages: self.messages.split_off(at), headers })
    }

    /// The last record's offset.
    pub(super) fn last_offset(&self) -> Option<i64> {
        self.messages.as_slice().last().map(|message| message.offset())
    }
}

impl FetchedBatch for Batch {
    fn len(&self) -> usize {
        self.messages.as_slice().len()
    }

    /// # Panics
    /// As a slice does, for an index that is not less than the length.
    fn record(&self, index: usize) -> RawRecord<'_> {
        let message = &self.messages.as_slice()[index];
        RawRecord {
            offset: message.offset(),
            timestamp: message.timestamp(),
            key: message.key(),
            value: message.value(),
            headers: self.headers.get(index).filter(|headers| !headers.is_empty()),
        }
    }

    /// # Panics
    /// As a slice does, for an index that is not less than the length.
    fn leader_epoch(&self, index: usize) -> i32 {
        self.messages.as_slice()[index].leader_epoch()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = self.messages.as_slice().first().map(|message| message.offset());
        f.debug_struct("Batch")
            .field("first", &first)
            .field("last", &self.last_offset())
            .field("len", &self.len())
            .finish()
    }
}
