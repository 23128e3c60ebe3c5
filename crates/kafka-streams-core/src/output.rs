//! What a task has sent and the producer has not taken yet: encoded records, back to back in one buffer.
//!
//! Sinks and changelogs append here, in the order in which things happened; the worker hands the records on to the
//! producer between input records. So a send allocates nothing, and its order is the order of processing.

use crate::{Headers, PartitionChoice, SerdeError, Timestamp};

/// Where an output record goes: an index into the task's routes (its sinks and its stores' changelogs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// One output record of an [`Output`] buffer.
#[derive(Clone, Copy, Debug)]
pub struct OutputRecord<'a> {
    /// The sink or changelog that it belongs to.
    pub route: RouteId,
    /// Its partition.
    pub partition: PartitionChoice,
    /// Its timestamp in milliseconds; `None` lets the producer put the wall-clock time.
    pub timestamp: Option<Timestamp>,
    /// Its headers.
    pub headers: &'a Headers,
    /// Key bytes; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a null value.
    pub value: Option<&'a [u8]>,
}

/// The output buffer of a task.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    taken: usize,
}

#[derive(Debug)]
struct Entry {
    route: RouteId,
    partition: PartitionChoice,
    timestamp: Option<Timestamp>,
    headers: Headers,
    start: usize,
    key_end: usize,
    value_end: usize,
    key_null: bool,
    value_null: bool,
}

impl Output {
    /// Begins a record; it becomes part of the output with [`Draft::send`] and leaves no trace without.
    pub fn draft(&mut self) -> Draft<'_> {
        let start = self.bytes.len();
        Draft { output: self, start, key_end: start, key_null: true, value_null: true, sent: false }
    }

    /// Appends a record whose bytes are at hand.
    pub fn send(&mut self, record: OutputRecord<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(record.value.unwrap_or_default());
        self.entries.push(Entry {
            route: record.route,
            partition: record.partition,
            timestamp: record.timestamp,
            headers: record.headers.clone(),
            start,
            key_end,
            value_end: self.bytes.len(),
            key_null: record.key.is_none(),
            value_null: record.value.is_none(),
        });
    }

    /// The oldest record that was not yet [taken](Output::take).
    pub fn first(&self) -> Option<OutputRecord<'_>> {
        let entry = self.entries.get(self.taken)?;
        Some(OutputRecord {
            route: entry.route,
            partition: entry.partition,
            timestamp: entry.timestamp,
            headers: &entry.headers,
            key: (!entry.key_null).then(|| &self.bytes[entry.start..entry.key_end]),
            value: (!entry.value_null).then(|| &self.bytes[entry.key_end..entry.value_end]),
        })
    }

    /// Removes the record that [`first`](Output::first) shows.
    pub fn take(&mut self) {
        self.taken += 1;
        if self.taken >= self.entries.len() {
            self.clear();
        }
    }

    /// Number of records waiting.
    pub fn len(&self) -> usize {
        self.entries.len() - self.taken
    }

    /// Whether no record waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all records, keeping the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.taken = 0;
    }
}

/// A record being written into an [`Output`].
#[derive(Debug)]
pub struct Draft<'o> {
    output: &'o mut Output,
    start: usize,
    key_end: usize,
    key_null: bool,
    value_null: bool,
    sent: bool,
}

impl Draft<'_> {
    /// Writes the key; without this call it is null. To be called before [`value`](Draft::value).
    ///
    /// # Errors
    /// What `write` returned.
    pub fn key(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), SerdeError>) -> Result<&[u8], SerdeError> {
        self.output.bytes.truncate(self.start);
        write(&mut self.output.bytes)?;
        self.key_end = self.output.bytes.len();
        self.key_null = false;
        Ok(&self.output.bytes[self.start..self.key_end])
    }

    /// Writes the value; without this call it is null.
    ///
    /// # Errors
    /// What `write` returned.
    pub fn value(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), SerdeError>) -> Result<(), SerdeError> {
        self.output.bytes.truncate(self.key_end);
        write(&mut self.output.bytes)?;
        self.value_null = false;
        Ok(())
    }

    /// The key's bytes so far; `None` if it is null.
    pub fn key_bytes(&self) -> Option<&[u8]> {
        (!self.key_null).then(|| &self.output.bytes[self.start..self.key_end])
    }

    /// Makes the record part of the output.
    pub fn send(mut self, route: RouteId, partition: PartitionChoice, timestamp: Option<Timestamp>, headers: Headers) {
        self.sent = true;
        let (start, key_end) = (self.start, self.key_end);
        let entry = Entry {
            route,
            partition,
            timestamp,
            headers,
            start,
            key_end,
            value_end: self.output.bytes.len(),
            key_null: self.key_null,
            value_null: self.value_null,
        };
        self.output.entries.push(entry);
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.output.bytes.truncate(self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), SerdeError> {
        out.extend_from_slice(bytes);
        Ok(())
    }

    #[test]
    fn records_come_out_in_order_and_an_unsent_draft_leaves_no_trace() {
        let mut output = Output::default();
        let mut draft = output.draft();
        draft.key(|out| append(out, b"k")).unwrap();
        draft.value(|out| append(out, b"v1")).unwrap();
        draft.send(RouteId(0), PartitionChoice::Any, Some(5), Headers::new());
        let mut abandoned = output.draft();
        abandoned.key(|out| append(out, b"abandoned")).unwrap();
        drop(abandoned);
        let headers = Headers::new();
        let raw = OutputRecord {
            route: RouteId(1),
            partition: PartitionChoice::Explicit(2),
            timestamp: None,
            headers: &headers,
            key: None,
            value: Some(b""),
        };
        output.send(raw);
        let first = output.first().unwrap();
        assert_eq!((first.key, first.value, first.timestamp), (Some(&b"k"[..]), Some(&b"v1"[..]), Some(5)));
        output.take();
        let second = output.first().unwrap();
        assert_eq!((second.key, second.value, second.route), (None, Some(&b""[..]), RouteId(1)));
        output.take();
        assert!(output.is_empty() && output.first().is_none());
    }
}
