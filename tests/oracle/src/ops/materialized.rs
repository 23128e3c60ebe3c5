//! How tables are stored (section 7 of `SPEC.md`).

use std::time::Duration;

use kafka_streams_core::SharedSerde;
use kafka_streams_dsl::Materialized;

use crate::fault::Fault;
use crate::spec::{self, StoreType, Supplier};
use crate::value::{Row, Shared, ValueType};

/// `Materialized` as the case says it. The serdes are always set.
///
/// # Errors
/// A supplier that the library does not have.
pub fn materialized<K: 'static, V: Row>(
    said: &spec::Materialized,
    keys: &SharedSerde<K>,
    values: ValueType,
) -> Result<Materialized<K, V>, Fault> {
    let mut result = with_serdes(keys, values);
    if let Some(name) = &said.store {
        result = result.with_name(name);
    }
    match said.supplier {
        None | Some(Supplier::PersistentTimestamped) => {}
        // A supplier in memory makes a store of the same kind as the store type does.
        Some(Supplier::InMemory) => result = result.in_memory(),
        Some(Supplier::Lru) => {
            result = result.lru_map(usize::try_from(said.size.unwrap_or_default()).unwrap_or(usize::MAX))
        }
        Some(Supplier::Versioned) => {
            result = result.versioned(Duration::from_millis(said.history.unwrap_or_default()));
        }
        Some(other) => return Fault::not_built(format!("store supplier {other:?}")),
    }
    if said.store_type == Some(StoreType::InMemory) {
        result = result.in_memory();
    }
    match said.caching {
        Some(true) => result = result.with_caching_enabled(),
        Some(false) => result = result.with_caching_disabled(),
        None => {}
    }
    match said.logging.as_ref().map(spec::Logging::settings) {
        Some(Some(settings)) => result = result.with_logging_enabled(settings),
        Some(None) => result = result.with_logging_disabled(),
        None => {}
    }
    if let Some(retention) = said.retention {
        result = result.with_retention(Duration::from_millis(retention));
    }
    Ok(result)
}

/// `Materialized.with(keySerde, valueSerde)`.
pub fn with_serdes<K: 'static, V: Row>(keys: &SharedSerde<K>, values: ValueType) -> Materialized<K, V> {
    Materialized::with(Shared(keys.clone()), Shared(V::serde(values)))
}
