//! An aggregate with the headers that came with it.

use kafka_streams_core::Headers;

/// The row of a session store with headers (`AggregationWithHeaders` of the JVM, KIP-1271). It has no timestamp: a
/// session's time is its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregationWithHeaders<A> {
    /// The aggregate.
    pub aggregation: A,
    /// The headers that are kept with it.
    pub headers: Headers,
}

impl<A> AggregationWithHeaders<A> {
    /// An aggregate with these headers.
    pub fn new(aggregation: A, headers: Headers) -> Self {
        AggregationWithHeaders { aggregation, headers }
    }
}
