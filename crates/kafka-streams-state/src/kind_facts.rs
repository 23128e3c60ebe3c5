//! A store's kind as data: what the manifest of a topology says of it.

use crate::StoreKind;

/// What a kind is called and which numbers it has; all times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindFacts {
    /// `key-value`, `window`, …
    pub name: &'static str,
    /// Size of a window.
    pub window_size_ms: Option<i64>,
    /// How long a window, or a session, is kept.
    pub retention_ms: Option<i64>,
    /// How far back a versioned store can be asked.
    pub history_retention_ms: Option<i64>,
    /// Whether equal keys and times are kept side by side.
    pub retain_duplicates: bool,
}

impl StoreKind {
    /// The kind as data.
    pub fn facts(&self) -> KindFacts {
        match *self {
            StoreKind::KeyValue => KindFacts { name: "key-value", ..KindFacts::default() },
            StoreKind::LruMap { .. } => KindFacts { name: "lru-map", ..KindFacts::default() },
            StoreKind::Window { window_size_ms, retention_ms, retain_duplicates } => KindFacts {
                name: "window",
                window_size_ms: Some(window_size_ms),
                retention_ms: Some(retention_ms),
                retain_duplicates,
                ..KindFacts::default()
            },
            StoreKind::Session { retention_ms } => {
                KindFacts { name: "session", retention_ms: Some(retention_ms), ..KindFacts::default() }
            }
            StoreKind::Versioned { history_retention_ms, .. } => KindFacts {
                name: "versioned",
                history_retention_ms: Some(history_retention_ms),
                ..KindFacts::default()
            },
            StoreKind::SuppressBuffer => KindFacts { name: "suppress-buffer", ..KindFacts::default() },
        }
    }
}
