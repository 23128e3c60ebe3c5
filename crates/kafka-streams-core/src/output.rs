//! What a task has sent and the producer has not taken yet: encoded records, back to back in one buffer.
//!
//! Sinks and changelogs append here, in the order in which things happened; the worker hands the records on to the
//! producer between input records. So a send allocates nothing, and its order is the order of processing.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::{Headers, PartitionChoice, Partitions, SerdeError, Timestamp};

mod chunk;

use chunk::{Chunk, Entry};

/// The most bytes that overflow at once.
const MAX_CHUNK: usize = 4 << 20;

/// Where an output record goes: an index into the task's routes (its sinks and its stores' changelogs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

impl RouteId {
    /// The bit that tells routes whose topic was chosen for a record from those of the task's graph.
    const DYNAMIC: u32 = 1 << 31;

    /// Whether the topic was chosen for the record: then [`Output::dynamic_topic`] knows it, and not the task's graph.
    pub fn is_dynamic(self) -> bool {
        self.0 & Self::DYNAMIC != 0
    }

    fn dynamic_index(self) -> Option<usize> {
        self.is_dynamic().then_some((self.0 & !Self::DYNAMIC) as usize)
    }
}

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

/// Where an [`Output`] puts what one step sends beyond its bound: chunks, which come back in the order in which they went.
pub trait OutputOverflow: fmt::Debug {
    /// Puts a chunk behind all others.
    ///
    /// # Errors
    /// It cannot be kept; it is as if it had not come.
    fn push(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Takes the oldest chunk and appends it to `into`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn pop(&mut self, into: &mut Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Forgets all chunks.
    fn clear(&mut self);
}

/// Why an output's records did not come back from where they [overflowed](OutputOverflow) to.
#[derive(Debug, thiserror::Error)]
#[error("records that were to be sent cannot be read back: {0}")]
pub struct OverflowError(#[source] Box<dyn Error + Send + Sync>);

/// The output buffer of a task.
///
/// It has no bound by itself. With [`bounded`](Output::bounded), records beyond the bound lie in chunks elsewhere:
///
/// ```text
/// take ◀── front ◀── chunks that overflowed ◀── back ◀── send
/// ```
#[derive(Debug, Default)]
pub struct Output {
    /// The oldest records, and all of them as long as nothing has overflowed.
    front: Chunk,
    overflow: Option<Overflow>,
    /// The topics that were chosen for records so far; a route of one stays good for the life of the task.
    dynamic: Vec<DynamicTopic>,
    /// Choices of partitions that wait for the number of partitions, in the order of their records.
    waiting: VecDeque<WaitingChoice>,
}

#[derive(Debug)]
struct Overflow {
    /// How many bytes of records are kept in memory.
    bound: usize,
    place: Box<dyn OutputOverflow>,
    /// How many chunks lie there, and how many records they hold.
    chunks: usize,
    records: usize,
    /// The newest records, which follow those of the chunks.
    back: Chunk,
    /// The bytes of a chunk on its way.
    encoded: Vec<u8>,
    /// The place has refused a chunk: from then on memory must do.
    refused: bool,
}

#[derive(Debug)]
struct DynamicTopic {
    name: Arc<str>,
    /// 0 while not known.
    partitions: i32,
}

struct WaitingChoice(Box<dyn FnOnce(i32) -> Partitions>);

impl fmt::Debug for WaitingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitingChoice")
    }
}

/// A partitioner chose a partition that the topic does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchPartition(pub i32);

impl Output {
    /// An output that keeps about `bound` bytes of records in memory, and more than that in `place`.
    pub fn bounded(bound: usize, place: Box<dyn OutputOverflow>) -> Self {
        let (back, encoded) = (Chunk::default(), Vec::new());
        let overflow = Overflow { bound, place, chunks: 0, records: 0, back, encoded, refused: false };
        Output { overflow: Some(overflow), ..Output::default() }
    }

    /// Begins a record; it becomes part of the output with [`Draft::send`] and leaves no trace without.
    pub fn draft(&mut self) -> Draft<'_> {
        let (chunk, waiting) = self.tail();
        let start = chunk.bytes.len();
        Draft { chunk, waiting, start, key_end: start, key_null: true, value_null: true, sent: false }
    }

    /// Appends a record whose bytes are at hand.
    pub fn send(&mut self, record: OutputRecord<'_>) {
        self.tail().0.send(record);
    }

    /// Where the next record goes.
    #[inline]
    fn tail(&mut self) -> (&mut Chunk, &mut VecDeque<WaitingChoice>) {
        let chunk = match &mut self.overflow {
            Some(overflow) if overflow.is_wanted(&self.front) => overflow.tail(),
            _ => &mut self.front,
        };
        (chunk, &mut self.waiting)
    }

    /// Brings back records that have overflowed, if the ones in memory are all taken. To be called before
    /// [`first`](Output::first).
    ///
    /// # Errors
    /// They cannot be read: records are lost, and the task must begin anew from what is committed.
    #[inline]
    pub fn refill(&mut self) -> Result<(), OverflowError> {
        match &mut self.overflow {
            Some(overflow) if self.front.len() == 0 && overflow.len() > 0 => overflow.refill(&mut self.front),
            _ => Ok(()),
        }
    }

    /// The oldest record that was not yet [taken](Output::take); `None` also if it has to be brought
    /// [back](Output::refill).
    pub fn first(&self) -> Option<OutputRecord<'_>> {
        self.front.first()
    }

    /// Removes the record that [`first`](Output::first) shows.
    pub fn take(&mut self) {
        self.front.take();
    }

    /// Number of records waiting.
    pub fn len(&self) -> usize {
        self.front.len() + self.overflow.as_ref().map_or(0, Overflow::len)
    }

    /// Whether no record waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all records, keeping the memory for the next ones.
    pub fn clear(&mut self) {
        self.front.clear();
        self.waiting.clear();
        if let Some(overflow) = &mut self.overflow {
            overflow.clear();
        }
    }

    /// The route to a topic that was chosen for a record.
    pub fn dynamic_route(&mut self, topic: &str) -> RouteId {
        let known = self.dynamic.iter().position(|known| *known.name == *topic);
        let index = known.unwrap_or_else(|| {
            self.dynamic.push(DynamicTopic { name: topic.into(), partitions: 0 });
            self.dynamic.len() - 1
        });
        RouteId(RouteId::DYNAMIC | u32::try_from(index).unwrap_or(0))
    }

    /// The topic behind a [dynamic](RouteId::is_dynamic) route.
    pub fn dynamic_topic(&self, route: RouteId) -> Option<&Arc<str>> {
        route.dynamic_index().and_then(|index| self.dynamic.get(index)).map(|topic| &topic.name)
    }

    /// The number of partitions of the topic behind a dynamic route; 0 while it is not known.
    pub fn dynamic_partitions(&self, route: RouteId) -> i32 {
        route.dynamic_index().and_then(|index| self.dynamic.get(index)).map_or(0, |topic| topic.partitions)
    }

    /// Notes the number of partitions of the topic behind a dynamic route.
    pub fn set_dynamic_partitions(&mut self, route: RouteId, partitions: i32) {
        if let Some(topic) = route.dynamic_index().and_then(|index| self.dynamic.get_mut(index)) {
            topic.partitions = partitions;
        }
    }

    /// Makes the choice of the [first](Output::first) record's partitions, if that has waited for the number of
    /// `partitions`. A record for several partitions becomes several, one for none is gone.
    ///
    /// # Errors
    /// The partitioner chose a partition that there is not; the record is still the first, and is to be
    /// [taken](Output::take).
    pub fn settle_first(&mut self, partitions: i32) -> Result<(), NoSuchPartition> {
        let Some(PartitionChoice::Waiting(hash)) = self.front.first_entry().map(|entry| entry.partition) else {
            return Ok(());
        };
        let Some(WaitingChoice(choose)) = self.waiting.pop_front() else { return Ok(()) };
        let by_key = hash.map_or(PartitionChoice::Any, PartitionChoice::ByHash);
        let chosen = choose(partitions).resolve(by_key, partitions);
        // After an error no second choice is to be waited for.
        self.front.replace_first(chosen.as_ref().map_or_else(|_| vec![PartitionChoice::Any], Vec::clone));
        chosen.map(drop)
    }
}

impl Overflow {
    /// Whether new records go here: the memory is full, or older ones are here.
    #[inline]
    fn is_wanted(&self, front: &Chunk) -> bool {
        self.len() > 0 || (front.size() >= self.bound && !self.refused)
    }

    fn len(&self) -> usize {
        self.records + self.back.len()
    }

    /// Where the next record goes, after what is there has made room for it.
    fn tail(&mut self) -> &mut Chunk {
        let full = self.back.size() >= (self.bound / 4).clamp(1, MAX_CHUNK);
        if full && !self.refused {
            self.encoded.clear();
            self.back.encode(&mut self.encoded);
            match self.place.push(&self.encoded) {
                Ok(()) => {
                    self.chunks += 1;
                    self.records += self.back.len();
                    self.back.clear();
                }
                Err(error) => {
                    self.refused = true;
                    tracing::warn!(error = %error, "what a step sends beyond its memory stays in memory");
                }
            }
        }
        &mut self.back
    }

    fn refill(&mut self, front: &mut Chunk) -> Result<(), OverflowError> {
        if self.chunks == 0 {
            std::mem::swap(front, &mut self.back);
            return Ok(());
        }
        self.encoded.clear();
        self.place.pop(&mut self.encoded).map_err(OverflowError)?;
        front.decode(&self.encoded).ok_or_else(|| OverflowError("they have changed".into()))?;
        self.chunks -= 1;
        self.records = self.records.saturating_sub(front.len());
        Ok(())
    }

    fn clear(&mut self) {
        self.back.clear();
        self.place.clear();
        (self.chunks, self.records) = (0, 0);
    }
}

/// A record being written into an [`Output`].
#[derive(Debug)]
pub struct Draft<'o> {
    chunk: &'o mut Chunk,
    waiting: &'o mut VecDeque<WaitingChoice>,
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
        self.chunk.bytes.truncate(self.start);
        write(&mut self.chunk.bytes)?;
        self.key_end = self.chunk.bytes.len();
        self.key_null = false;
        Ok(&self.chunk.bytes[self.start..self.key_end])
    }

    /// Writes the value; without this call it is null.
    ///
    /// # Errors
    /// What `write` returned.
    pub fn value(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), SerdeError>) -> Result<(), SerdeError> {
        self.chunk.bytes.truncate(self.key_end);
        write(&mut self.chunk.bytes)?;
        self.value_null = false;
        Ok(())
    }

    /// The key's bytes so far; `None` if it is null.
    pub fn key_bytes(&self) -> Option<&[u8]> {
        (!self.key_null).then(|| &self.chunk.bytes[self.start..self.key_end])
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
            value_end: self.chunk.bytes.len(),
            key_null: self.key_null,
            value_null: self.value_null,
        };
        self.chunk.entries.push(entry);
    }
}

impl Draft<'_> {
    /// Makes the record part of the output once for each of `partitions`, its bytes being there once; without any it
    /// leaves no trace.
    pub fn send_to(
        mut self,
        route: RouteId,
        partitions: &[PartitionChoice],
        timestamp: Option<Timestamp>,
        headers: &Headers,
    ) {
        self.sent = !partitions.is_empty();
        let (start, key_end, value_end) = (self.start, self.key_end, self.chunk.bytes.len());
        let (key_null, value_null) = (self.key_null, self.value_null);
        let entry = |partition: &PartitionChoice| Entry {
            route,
            partition: *partition,
            timestamp,
            headers: headers.clone(),
            start,
            key_end,
            value_end,
            key_null,
            value_null,
        };
        self.chunk.entries.extend(partitions.iter().map(entry));
    }

    /// Makes the record part of the output; `choose` is asked for its partitions once their number is known.
    pub fn send_when_known(
        self,
        route: RouteId,
        timestamp: Option<Timestamp>,
        headers: Headers,
        hash: Option<u32>,
        choose: impl FnOnce(i32) -> Partitions + 'static,
    ) {
        self.waiting.push_back(WaitingChoice(Box::new(choose)));
        self.send(route, PartitionChoice::Waiting(hash), timestamp, headers);
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.chunk.bytes.truncate(self.start);
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

    fn drain(output: &mut Output) -> Vec<(PartitionChoice, Vec<u8>)> {
        let mut records = Vec::new();
        while let Some(record) = output.first() {
            records.push((record.partition, record.key.unwrap_or_default().to_vec()));
            output.take();
        }
        records
    }

    #[test]
    fn a_choice_that_waits_is_made_once_the_partitions_are_known() {
        let mut output = Output::default();
        let route = output.dynamic_route("orders-eu");
        assert_eq!(output.dynamic_route("orders-eu"), route);
        assert!(route.is_dynamic() && !RouteId(7).is_dynamic());
        assert_eq!(output.dynamic_topic(route).map(|topic| &**topic), Some("orders-eu"));
        let mut wait = |key: &'static [u8], choose: fn(i32) -> Partitions| {
            let mut draft = output.draft();
            draft.key(|out| append(out, key)).unwrap();
            draft.send_when_known(route, Some(1), Headers::new(), Some(9), choose);
        };
        wait(b"all", |partitions| Partitions::Only((0..partitions).collect()));
        wait(b"none", |_| Partitions::Only(vec![]));
        wait(b"hash", |_| Partitions::ByKey);
        wait(b"wrong", |partitions| Partitions::Only(vec![partitions]));
        assert_eq!(output.settle_first(2), Ok(()));
        let settled = |choice| (PartitionChoice::Explicit(choice), b"all".to_vec());
        let mut seen = Vec::new();
        for _ in 0..2 {
            let first = output.first().unwrap();
            seen.push((first.partition, first.key.unwrap().to_vec()));
            output.take();
        }
        assert_eq!(seen, [settled(0), settled(1)]);
        assert_eq!(output.settle_first(2), Ok(()), "the record for nowhere");
        assert_eq!(output.settle_first(2), Ok(()));
        assert_eq!(output.first().unwrap().partition, PartitionChoice::ByHash(9));
        output.take();
        assert_eq!(output.settle_first(2), Err(NoSuchPartition(2)));
        output.take();
        assert!(output.is_empty());
    }

    /// Chunks in memory; after `room` of them it is full.
    #[derive(Debug)]
    struct Chunks {
        kept: VecDeque<Vec<u8>>,
        room: usize,
    }

    impl OutputOverflow for Chunks {
        fn push(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
            self.room = self.room.checked_sub(1).ok_or("no room is left")?;
            self.kept.push_back(chunk.to_vec());
            Ok(())
        }

        fn pop(&mut self, into: &mut Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
            into.extend(self.kept.pop_front().ok_or("nothing is there")?);
            Ok(())
        }

        fn clear(&mut self) {
            self.kept.clear();
        }
    }

    fn bounded(room: usize) -> Output {
        Output::bounded(500, Box::new(Chunks { kept: VecDeque::new(), room }))
    }

    /// A record with everything that a record can have, the `n`th.
    fn send(output: &mut Output, n: u32) {
        let key = n.to_le_bytes();
        let mut headers = Headers::new();
        if n.is_multiple_of(3) {
            headers.add("trace", Some(key.to_vec()));
            headers.add("", None);
        }
        let partition = match n % 4 {
            0 => PartitionChoice::Explicit(-1 + i32::try_from(n).unwrap()),
            1 => PartitionChoice::ByHash(n),
            2 => PartitionChoice::Any,
            _ => PartitionChoice::Waiting((n % 8 == 3).then_some(n)),
        };
        if matches!(partition, PartitionChoice::Waiting(_)) {
            output.waiting.push_back(WaitingChoice(Box::new(move |_| Partitions::One(n.cast_signed()))));
        }
        output.send(OutputRecord {
            route: RouteId(n),
            partition,
            timestamp: (!n.is_multiple_of(5)).then(|| i64::from(n) - 2),
            headers: &headers,
            key: (!n.is_multiple_of(7)).then_some(&key),
            value: (!n.is_multiple_of(2)).then_some(b"a value"),
        });
    }

    /// All that is there, as text; what waits is settled.
    fn read(output: &mut Output, most: usize) -> Vec<String> {
        let mut records = Vec::new();
        while records.len() < most {
            output.refill().unwrap();
            output.settle_first(0).unwrap();
            let Some(record) = output.first() else { break };
            records.push(format!("{record:?}"));
            output.take();
        }
        records
    }

    #[test]
    fn what_overflows_comes_back_in_order_and_whole() {
        for room in [usize::MAX, 3, 0] {
            let (mut plain, mut bounded) = (Output::default(), bounded(room));
            for (sent, taken) in [(300, 7), (5, 200), (100, 40), (1, 400)] {
                for n in 0..sent {
                    send(&mut plain, n);
                    send(&mut bounded, n);
                }
                assert_eq!(plain.len(), bounded.len());
                if room > 0 && sent > 100 {
                    assert!(bounded.front.size() < 700 && bounded.overflow.as_ref().unwrap().chunks > 2);
                }
                assert_eq!(read(&mut bounded, taken), read(&mut plain, taken), "{room} chunks");
            }
            assert!(bounded.is_empty() && plain.is_empty());
            assert!(bounded.first().is_none());
        }
    }

    #[test]
    fn a_forgotten_overflow_leaves_nothing_and_a_lost_one_is_an_error() {
        let mut output = bounded(usize::MAX);
        (0..100).for_each(|n| send(&mut output, n));
        output.clear();
        assert!(output.is_empty() && output.refill().is_ok() && output.first().is_none());
        (0..100).for_each(|n| send(&mut output, n));
        output.overflow.as_mut().unwrap().place.clear();
        while output.first().is_some() {
            output.take();
        }
        assert!(output.refill().unwrap_err().to_string().contains("nothing is there"));
    }

    #[test]
    fn a_record_goes_to_each_of_its_partitions() {
        let mut output = Output::default();
        for partitions in [&[][..], &[0, 3]] {
            let mut draft = output.draft();
            draft.key(|out| append(out, b"k")).unwrap();
            let choices: Vec<_> = partitions.iter().map(|partition| PartitionChoice::Explicit(*partition)).collect();
            draft.send_to(RouteId(0), &choices, Some(5), &Headers::new());
        }
        let expected = [0, 3].map(|partition| (PartitionChoice::Explicit(partition), b"k".to_vec()));
        assert_eq!(drain(&mut output), expected);
    }
}
