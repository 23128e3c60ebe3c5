//! Values that wait in a buffer, as they stand in its changelog.
//!
//! | part | layout |
//! |---|---|
//! | context | i64 timestamp, i64 offset, i32 length ‖ topic, i32 partition, i32 number of headers, each: i32 length ‖ key, i32 length ‖ value (−1: null) |
//! | prior value | i32 length ‖ bytes (−1: null) |
//! | old value | i32 length ‖ bytes (−1: null, −2: the same as the prior value) |
//! | new value | i32 length ‖ bytes (−1: null) |
//! | time | i64, by which the entries are ordered |
//!
//! That is version 3, which the header `v` of the record says. Versions 0 (no header), 1 and 2 are read, too. Numbers are
//! big-endian. Source: `BufferValue`, `ProcessorRecordContext` and `TimeOrderedKeyValueBufferChangelogDeserializationHelper`
//! of the JVM.

use kafka_streams_core::{Header, Headers, RawRecord, RecordContext, Timestamp};

/// A change that waits, in bytes, with the record that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BufferValue {
    pub(crate) context: RecordContext,
    /// What the row was before the first of the changes that are put together here.
    pub(crate) prior: Option<Vec<u8>>,
    /// What the row was before the last of them.
    pub(crate) old: Option<Vec<u8>>,
    /// What the row is.
    pub(crate) new: Option<Vec<u8>>,
}

const NULL: i32 = -1;
const SAME_AS_PRIOR: i32 = -2;

impl BufferValue {
    /// Appends the value and its time, in version 3.
    pub(crate) fn write(&self, time: Timestamp, out: &mut Vec<u8>) {
        write_context(&self.context, out);
        write_nullable(self.prior.as_deref(), out);
        match &self.old {
            Some(_) if self.old == self.prior => out.extend_from_slice(&SAME_AS_PRIOR.to_be_bytes()),
            old => write_nullable(old.as_deref(), out),
        }
        write_nullable(self.new.as_deref(), out);
        out.extend_from_slice(&time.to_be_bytes());
    }

    /// Reads a value and its time in version 3.
    pub(crate) fn read(mut bytes: &[u8]) -> Option<(Timestamp, Self)> {
        let bytes = &mut bytes;
        let context = read_context(bytes)?;
        let prior = read_nullable(bytes)?;
        let old = match read_i32(bytes)? {
            SAME_AS_PRIOR => prior.clone(),
            length => read_array(bytes, length)?,
        };
        let new = read_nullable(bytes)?;
        let time = read_i64(bytes)?;
        Some((time, BufferValue { context, prior, old, new }))
    }

    /// Reads a changelog's record in whatever version it is; `prior` is the prior value of the key's entry before it, if
    /// there is one. `None` for a record that is none of a buffer.
    pub(crate) fn of_record(record: &RawRecord<'_>, prior: Option<Option<Vec<u8>>>) -> Option<(Timestamp, Self)> {
        let value = record.value?;
        let version = record.headers.and_then(|headers| headers.last("v"));
        match version.map(|header| header.value.as_deref()) {
            None => read_version_0(value, record, prior),
            Some(Some([1])) => read_version_1(value, prior),
            // Some releases wrote version 3 and said 2.
            Some(Some([2])) => read_version_2(value).or_else(|| BufferValue::read(value)),
            Some(Some([3])) => BufferValue::read(value),
            Some(_) => None,
        }
    }

    /// Bytes of an entry as the JVM counts them (`computeRecordSize`); its strings count one byte a UTF-16 unit.
    pub(crate) fn size(&self, key: &[u8]) -> usize {
        let units = |text: &str| if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
        let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let old = if self.old == self.prior { 0 } else { length(&self.old) };
        let headers = self.context.headers.iter();
        let headers: usize = headers.map(|header| units(&header.key) + length(&header.value)).sum();
        let context = 8 + 8 + self.context.topic.as_ref().map_or(0, |topic| units(topic)) + 4 + headers;
        8 + key.len() + length(&self.prior) + old + length(&self.new) + context
    }
}

/// i64 time ‖ i32 length ‖ old value ‖ i32 length ‖ new value; the context is the record's own.
fn read_version_0(
    mut bytes: &[u8],
    record: &RawRecord<'_>,
    prior: Option<Option<Vec<u8>>>,
) -> Option<(Timestamp, BufferValue)> {
    let bytes = &mut bytes;
    let time = read_i64(bytes)?;
    let (old, new) = (read_nullable(bytes)?, read_nullable(bytes)?);
    let headers = record.headers.cloned().unwrap_or_default();
    let context = RecordContext { offset: record.offset, headers, ..RecordContext::none(record.timestamp) };
    Some((time, BufferValue { context, prior: prior.unwrap_or_else(|| old.clone()), old, new }))
}

/// i64 time ‖ context ‖ i32 length ‖ (i32 length ‖ old value ‖ i32 length ‖ new value).
fn read_version_1(mut bytes: &[u8], prior: Option<Option<Vec<u8>>>) -> Option<(Timestamp, BufferValue)> {
    let bytes = &mut bytes;
    let time = read_i64(bytes)?;
    let (context, old, new) = read_contextual(bytes)?;
    Some((time, BufferValue { context, prior: prior.unwrap_or_else(|| old.clone()), old, new }))
}

/// Context ‖ i32 length ‖ (i32 length ‖ old value ‖ i32 length ‖ new value) ‖ i32 length ‖ prior value ‖ i64 time.
fn read_version_2(mut bytes: &[u8]) -> Option<(Timestamp, BufferValue)> {
    let bytes = &mut bytes;
    let (context, old, new) = read_contextual(bytes)?;
    let prior = read_nullable(bytes)?;
    let time = read_i64(bytes)?;
    Some((time, BufferValue { context, prior, old, new }))
}

type Contextual = (RecordContext, Option<Vec<u8>>, Option<Vec<u8>>);

fn read_contextual(bytes: &mut &[u8]) -> Option<Contextual> {
    let context = read_context(bytes)?;
    let change = read_nullable(bytes)??;
    let mut change = change.as_slice();
    let (old, new) = (read_nullable(&mut change)?, read_nullable(&mut change)?);
    Some((context, old, new))
}

fn write_context(context: &RecordContext, out: &mut Vec<u8>) {
    out.extend_from_slice(&context.timestamp.to_be_bytes());
    out.extend_from_slice(&context.offset.to_be_bytes());
    // The JVM fails where there is no topic, in a punctuation; here it is an empty one.
    write_bytes(context.topic.as_deref().unwrap_or_default().as_bytes(), out);
    out.extend_from_slice(&context.partition.to_be_bytes());
    write_length(context.headers.as_slice().len(), out);
    for header in &context.headers {
        write_bytes(header.key.as_bytes(), out);
        write_nullable(header.value.as_deref(), out);
    }
}

fn read_context(bytes: &mut &[u8]) -> Option<RecordContext> {
    let timestamp = read_i64(bytes)?;
    let offset = read_i64(bytes)?;
    let topic = read_text(bytes)?;
    let partition = read_i32(bytes)?;
    let count = read_i32(bytes)?;
    // −1 was written by early releases.
    let headers: Option<Headers> =
        (0..count.max(0)).map(|_| Some(Header { key: read_text(bytes)?, value: read_nullable(bytes)? })).collect();
    let topic = (!topic.is_empty()).then(|| topic.into());
    Some(RecordContext { topic, partition, offset, timestamp, headers: headers? })
}

fn write_nullable(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        Some(bytes) => write_bytes(bytes, out),
        None => out.extend_from_slice(&NULL.to_be_bytes()),
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    // Longer than that is no record.
    out.extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
}

fn read_text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(read_nullable(bytes)??).ok()
}

fn read_nullable(bytes: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let length = read_i32(bytes)?;
    read_array(bytes, length)
}

fn read_array(bytes: &mut &[u8], length: i32) -> Option<Option<Vec<u8>>> {
    if length == NULL {
        return Some(None);
    }
    let (array, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(array.to_vec()))
}

fn read_i32(bytes: &mut &[u8]) -> Option<i32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*number))
}

fn read_i64(bytes: &mut &[u8]) -> Option<i64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(i64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn context() -> RecordContext {
        let mut headers = Headers::new();
        headers.add("hk", Some(vec![1, 2]));
        RecordContext { topic: Some("in".into()), partition: 0, offset: 1, timestamp: 2000, headers }
    }

    #[test]
    fn a_value_has_the_jvms_bytes() {
        // "suppress windowed" as Kafka Streams 4.3 wrote it: the second change of a window, and the first of another.
        let second = "00000000000007d0000000000000000100000002696e000000000000000100000002686b00000002010200000008\
                      0000000000000000000000080000000000000001000000080000000000000002000000000000\
                      2710";
        let value = BufferValue {
            context: context(),
            prior: Some(0i64.to_be_bytes().to_vec()),
            old: Some(1i64.to_be_bytes().to_vec()),
            new: Some(2i64.to_be_bytes().to_vec()),
        };
        let mut bytes = Vec::new();
        value.write(10_000, &mut bytes);
        assert_eq!(bytes, unhex(second));
        assert_eq!(BufferValue::read(&bytes), Some((10_000, value)));
        let first = "0000000000003a98000000000000000200000002696e000000000000000100000002686b0000000201020000000800000000\
                     00000000fffffffe0000000800000000000000010000000000004e20";
        let (time, value) = BufferValue::read(&unhex(first)).unwrap();
        assert_eq!((time, &value.old), (20_000, &value.prior));
        let mut bytes = Vec::new();
        value.write(time, &mut bytes);
        assert_eq!(bytes, unhex(first));
    }

    #[test]
    fn sizes_are_counted_as_on_the_jvm() {
        let mut value = BufferValue { context: context(), prior: None, old: None, new: Some(vec![0; 5]) };
        assert_eq!(value.size(b"key"), 8 + 3 + 5 + (8 + 8 + 2 + 4 + 2 + 2));
        value.prior = Some(vec![0; 7]);
        value.old = value.prior.clone();
        assert_eq!(value.size(b"key"), 8 + 3 + 5 + 26 + 7, "an old value that is the prior one is counted once");
        value.old = Some(vec![0; 9]);
        assert_eq!(value.size(b"key"), 8 + 3 + 5 + 26 + 7 + 9);
    }

    #[test]
    fn earlier_versions_are_read() {
        let value = BufferValue { context: context(), prior: None, old: Some(vec![1]), new: Some(vec![2]) };
        let (mut change, mut contextual, mut head) = (Vec::new(), Vec::new(), Vec::new());
        write_nullable(Some(&[1]), &mut change);
        write_nullable(Some(&[2]), &mut change);
        write_context(&value.context, &mut head);
        contextual.extend_from_slice(&head);
        write_nullable(Some(&change), &mut contextual);
        let read = |version: Option<u8>, bytes: &[u8], prior: Option<Option<Vec<u8>>>| {
            let mut headers = Headers::new();
            if let Some(version) = version {
                headers.add("v", Some(vec![version]));
            }
            let (key, value) = (Some(&b"k"[..]), Some(bytes));
            let record = RawRecord { offset: 7, timestamp: 5, key, value, headers: Some(&headers) };
            BufferValue::of_record(&record, prior)
        };
        let time = 99i64.to_be_bytes();
        let zero = read(None, &[&time[..], &change].concat(), None).unwrap();
        assert_eq!(
            (zero.0, zero.1.context.offset, zero.1.prior),
            (99, 7, Some(vec![1])),
            "the old value is the prior one"
        );
        let one = read(Some(1), &[&time[..], &contextual].concat(), Some(None)).unwrap();
        assert_eq!(one, (99, value.clone()), "the prior value is that of the entry before");
        let two = read(Some(2), &[&contextual[..], &NULL.to_be_bytes(), &time].concat(), None).unwrap();
        assert_eq!(two, (99, value.clone()));
        let mut three = Vec::new();
        value.write(99, &mut three);
        assert_eq!(read(Some(2), &three, None), Some((99, value.clone())), "version 3 that says 2");
        assert_eq!(read(Some(3), &three, None), Some((99, value)));
        assert_eq!(read(Some(4), &three, None), None);
    }

    proptest! {
        #[test]
        fn values_survive_the_round_trip(
            time: i64, offset: i64, topic in "[a-z]{1,5}", prior: Option<Vec<u8>>, old: Option<Vec<u8>>,
            new: Option<Vec<u8>>, headers: Vec<(String, Option<Vec<u8>>)>,
        ) {
            let headers = headers.into_iter().map(|(key, value)| Header { key, value }).collect();
            let context = RecordContext { topic: Some(topic.into()), partition: 3, offset, timestamp: time, headers };
            let value = BufferValue { context, prior, old, new };
            let mut bytes = Vec::new();
            value.write(time, &mut bytes);
            prop_assert_eq!(BufferValue::read(&bytes), Some((time, value)));
            for end in 0..bytes.len() {
                prop_assert_eq!(BufferValue::read(&bytes[..end]), None);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, version in 0u8..5) {
            let mut headers = Headers::new();
            headers.add("v", Some(vec![version]));
            let record = RawRecord { offset: 0, timestamp: 0, key: None, value: Some(&bytes), headers: Some(&headers) };
            BufferValue::of_record(&record, None);
        }
    }
}
