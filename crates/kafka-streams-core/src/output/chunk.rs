//! Encoded records of an output back to back, and the bytes of a whole chunk while it lies outside of memory.

use super::{OutputRecord, RouteId};
use crate::{Headers, PartitionChoice, Timestamp};

/// A run of output records: their bytes in one buffer, what else there is to know beside it.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    taken: usize,
}

/// A record of a [`Chunk`]: the key's bytes are `start..key_end`, the value's follow up to `value_end`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) route: RouteId,
    pub(super) partition: PartitionChoice,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) headers: Headers,
    pub(super) start: usize,
    pub(super) key_end: usize,
    pub(super) value_end: usize,
    pub(super) key_null: bool,
    pub(super) value_null: bool,
}

impl Chunk {
    pub(super) fn send(&mut self, record: OutputRecord<'_>) {
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

    pub(super) fn first_entry(&self) -> Option<&Entry> {
        self.entries.get(self.taken)
    }

    pub(super) fn first(&self) -> Option<OutputRecord<'_>> {
        self.first_entry().map(|entry| self.record(entry))
    }

    fn record<'a>(&'a self, entry: &'a Entry) -> OutputRecord<'a> {
        OutputRecord {
            route: entry.route,
            partition: entry.partition,
            timestamp: entry.timestamp,
            headers: &entry.headers,
            key: (!entry.key_null).then(|| &self.bytes[entry.start..entry.key_end]),
            value: (!entry.value_null).then(|| &self.bytes[entry.key_end..entry.value_end]),
        }
    }

    pub(super) fn take(&mut self) {
        self.taken += 1;
        if self.taken >= self.entries.len() {
            self.clear();
        }
    }

    /// Puts one record with the first one's bytes for each choice in the place of the first one.
    pub(super) fn replace_first(&mut self, choices: Vec<PartitionChoice>) {
        let Some(entry) = self.first_entry().cloned() else { return };
        let copies = choices.into_iter().map(|partition| Entry { partition, ..entry.clone() });
        self.entries.splice(self.taken..=self.taken, copies);
        if self.taken >= self.entries.len() {
            self.clear();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.taken
    }

    /// What it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.taken = 0;
    }

    /// Writes its records to `out`, which only a process of the same build will read:
    ///
    /// ```text
    /// record   u32 route | u8 choice, u32 of it | i64 timestamp or MIN | u32 headers | header… | field key | field value
    /// header   field key | field value
    /// field    u32 length, or MAX for null | bytes           all numbers little-endian
    /// ```
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for entry in self.entries.iter().skip(self.taken) {
            let record = self.record(entry);
            let (choice, argument) = match record.partition {
                PartitionChoice::Explicit(partition) => (0, partition.cast_unsigned()),
                PartitionChoice::ByHash(hash) => (1, hash),
                PartitionChoice::Any => (2, 0),
                PartitionChoice::Waiting(Some(hash)) => (3, hash),
                PartitionChoice::Waiting(None) => (4, 0),
            };
            put_u32(out, record.route.0);
            out.push(choice);
            put_u32(out, argument);
            out.extend_from_slice(&record.timestamp.unwrap_or(Timestamp::MIN).to_le_bytes());
            put_u32(out, length(record.headers.as_slice().len()));
            for header in record.headers.iter() {
                put_field(out, Some(header.key.as_bytes()));
                put_field(out, header.value.as_deref());
            }
            put_field(out, record.key);
            put_field(out, record.value);
        }
    }

    /// Appends the records that [`encode`](Chunk::encode) wrote; `None` if the bytes are others.
    pub(super) fn decode(&mut self, mut bytes: &[u8]) -> Option<()> {
        let from = &mut bytes;
        while !from.is_empty() {
            let route = RouteId(take_u32(from)?);
            let (choice, argument) = (*from.split_off_first()?, take_u32(from)?);
            let partition = match choice {
                0 => PartitionChoice::Explicit(argument.cast_signed()),
                1 => PartitionChoice::ByHash(argument),
                2 => PartitionChoice::Any,
                3 => PartitionChoice::Waiting(Some(argument)),
                4 => PartitionChoice::Waiting(None),
                _ => return None,
            };
            let timestamp = Timestamp::from_le_bytes(take(from, 8)?.try_into().ok()?);
            let mut headers = Headers::new();
            for _ in 0..take_u32(from)? {
                let key = String::from_utf8(take_field(from)??.to_vec()).ok()?;
                headers.add(key, take_field(from)?.map(<[u8]>::to_vec));
            }
            let (key, value) = (take_field(from)?, take_field(from)?);
            let timestamp = (timestamp != Timestamp::MIN).then_some(timestamp);
            self.send(OutputRecord { route, partition, timestamp, headers: &headers, key, value });
        }
        Some(())
    }
}

/// No record of Kafka's is as long as 4 GiB, and no field is longer than its record.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX - 1)
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    put_u32(out, field.map_or(u32::MAX, |field| length(field.len())));
    out.extend_from_slice(field.unwrap_or_default());
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    from.split_off(..count)
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(from, 4)?.try_into().ok()?))
}

fn take_field<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match take_u32(from)? {
        u32::MAX => Some(None),
        length => take(from, length as usize).map(Some),
    }
}
