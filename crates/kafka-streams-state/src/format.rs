//! The bytes of keys and values: in changelogs those of Kafka Streams 4.3 on the JVM, in rows our own around them.

pub(crate) mod buffer_value;
pub(crate) mod headers;
pub(crate) mod row_time;
pub(crate) mod session_key;
pub(crate) mod value;
pub(crate) mod version_row;
pub(crate) mod window_key;
pub(crate) mod with_headers;
