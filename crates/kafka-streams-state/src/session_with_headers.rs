//! Session stores that remember the headers of each aggregate.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use kafka_streams_core::SharedSerde;

use crate::format::with_headers::AggregationWithHeadersSerde;
use crate::layer::Layers;
use crate::store::delegate_state_store;
use crate::{AggregationWithHeaders, SessionStore};

/// A store of one aggregate with its headers for each key and session (`SessionStoreWithHeaders` of the JVM, KIP-1271).
///
/// It is a [`SessionStore`] of [`AggregationWithHeaders`]. In the changelog the headers are those of the record, and a
/// deletion has those of the record in hand. A row is `varint length of the headers ‖ headers ‖ aggregate`.
pub struct SessionStoreWithHeaders<K, A>(SessionStore<K, AggregationWithHeaders<A>>);

impl<K: 'static, A: 'static> SessionStoreWithHeaders<K, A> {
    pub(crate) fn new(layers: Layers, keys: SharedSerde<K>, aggregations: SharedSerde<A>) -> Self {
        let aggregations = Arc::new(AggregationWithHeadersSerde(aggregations));
        SessionStoreWithHeaders(SessionStore::new(layers, keys, aggregations))
    }
}

impl<K, A> Deref for SessionStoreWithHeaders<K, A> {
    type Target = SessionStore<K, AggregationWithHeaders<A>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

delegate_state_store!(SessionStoreWithHeaders, 0);

impl<K, A> fmt::Debug for SessionStoreWithHeaders<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionStoreWithHeaders").field(&self.0.layers).finish()
    }
}
