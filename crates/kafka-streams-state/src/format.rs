//! The bytes of keys and values, as the JVM writes them to changelogs (`jvm` facts of release 4.3).

pub(crate) mod value;
pub(crate) mod window_key;
