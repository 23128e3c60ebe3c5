//! Headers before the value of a row.
//!
//! `varint size ‖ size bytes`, which are none for no headers, else `varint count`, and for each header
//! `varint length ‖ key in UTF-8 ‖ varint length ‖ value`, with a length of -1 for a null value. Varints are those of
//! Kafka's records: zig-zag, seven bits a byte, lowest first. Source: `HeadersSerializer` of the JVM (KIP-1271).

use kafka_streams_core::{Header, Headers};

/// The least size of a header: two lengths.
const MIN_HEADER_SIZE: usize = 2;

/// Appends the size of the headers and the headers.
#[inline]
pub(crate) fn append(headers: &Headers, out: &mut Vec<u8>) {
    match headers.as_slice() {
        [] => out.push(0),
        headers => append_some(headers, out),
    }
}

/// Splits a row's value into its headers and what comes behind them; `None` if they are damaged.
#[inline]
pub(crate) fn split(bytes: &[u8]) -> Option<(Headers, &[u8])> {
    let (size, rest) = read_length(bytes)?;
    let (headers, rest) = rest.split_at_checked(size)?;
    if headers.is_empty() { Some((Headers::new(), rest)) } else { Some((read_some(headers)?, rest)) }
}

fn append_some(headers: &[Header], out: &mut Vec<u8>) {
    let length = |bytes: &[u8]| size_of_varint(bytes.len() as i64) + bytes.len();
    let size_of = |header: &Header| length(header.key.as_bytes()) + header.value.as_deref().map_or(1, length);
    let size = size_of_varint(headers.len() as i64) + headers.iter().map(size_of).sum::<usize>();
    append_varint(size as i64, out);
    append_varint(headers.len() as i64, out);
    for Header { key, value } in headers {
        append_varint(key.len() as i64, out);
        out.extend_from_slice(key.as_bytes());
        append_varint(value.as_ref().map_or(-1, |value| value.len() as i64), out);
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
}

fn read_some(bytes: &[u8]) -> Option<Headers> {
    let (count, mut rest) = read_length(bytes)?;
    if count > rest.len() / MIN_HEADER_SIZE {
        return None;
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let (key, after) = read_bytes(rest)?;
        let (value, after) = match read_varint(after)? {
            (-1, after) => (None, after),
            _ => read_bytes(after).map(|(value, after)| (Some(value.to_vec()), after))?,
        };
        headers.push(Header { key: std::str::from_utf8(key).ok()?.to_owned(), value });
        rest = after;
    }
    rest.is_empty().then(|| headers.into_iter().collect())
}

fn read_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read_length(bytes)?;
    rest.split_at_checked(length)
}

fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = read_varint(bytes)?;
    Some((usize::try_from(length).ok()?, rest))
}

fn append_varint(number: i64, out: &mut Vec<u8>) {
    let mut left = zig_zag(number);
    while left > 0x7f {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn size_of_varint(number: i64) -> usize {
    let bits = u64::BITS - zig_zag(number).leading_zeros();
    bits.max(1).div_ceil(7) as usize
}

fn zig_zag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Reads a number of 32 bits, which has five bytes at most.
fn read_varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut number = 0u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let signed = (number >> 1) as i64 ^ -((number & 1) as i64);
            return Some((signed, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(headers: &Headers) -> Vec<u8> {
        let mut out = Vec::new();
        append(headers, &mut out);
        out
    }

    #[test]
    fn headers_have_the_jvms_bytes() {
        // Headers h1="v1" and n=null before a timestamp of 1000 and the value "v", written by Kafka Streams 4.3.
        let golden = b"\x14\x04\x04h1\x04v1\x02n\x01\0\0\0\0\0\0\x03\xe8v";
        let mut headers = Headers::new();
        headers.add("h1", Some(b"v1".to_vec()));
        headers.add("n", None);
        assert_eq!(bytes(&headers), golden[..11]);
        assert_eq!(split(golden), Some((headers, &golden[11..])));
        assert_eq!(bytes(&Headers::new()), [0], "no headers have no count either");
        assert_eq!(split(b"\0v"), Some((Headers::new(), &b"v"[..])));
    }

    #[test]
    fn damaged_headers_are_told() {
        for damaged in [
            &b""[..],
            b"\x14\x04\x04h1",
            b"\x01",
            b"\xff\xff\xff\xff\xff\xff",
            b"\x08\x02\x04h1",
            b"\x0a\x02\x02\xff\x02v",
            b"\x0c\x02\x02h\x02v!",
            b"\x04\xfe\xff\x03",
        ] {
            assert_eq!(split(damaged), None, "{damaged:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            list in prop::collection::vec((".{0,100}", prop::option::of(prop::collection::vec(any::<u8>(), 0..200))), 0..70),
            rest in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let headers: Headers = list.into_iter().map(|(key, value)| Header { key, value }).collect();
            let mut row = bytes(&headers);
            row.extend_from_slice(&rest);
            prop_assert_eq!(split(&row), Some((headers, &rest[..])));
        }

        #[test]
        fn no_bytes_are_too_much(row in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = split(&row);
        }
    }
}
