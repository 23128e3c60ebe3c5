//! Deadlines that may not be there: which of two comes first.

/// The earlier of two times, in milliseconds; `None` is never.
pub(crate) fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
