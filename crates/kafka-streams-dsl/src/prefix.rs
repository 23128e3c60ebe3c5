//! What generated names begin with: the class of the operator, as on the JVM (`KStreamImpl`, `KTableImpl`).

pub(crate) const AGGREGATE: &str = "KSTREAM-AGGREGATE-";
pub(crate) const FILTER: &str = "KSTREAM-FILTER-";
pub(crate) const FLAT_MAP: &str = "KSTREAM-FLATMAP-";
pub(crate) const FLAT_MAP_VALUES: &str = "KSTREAM-FLATMAPVALUES-";
pub(crate) const FOR_EACH: &str = "KSTREAM-FOREACH-";
pub(crate) const JOIN: &str = "KSTREAM-JOIN-";
pub(crate) const LEFT_JOIN: &str = "KSTREAM-LEFTJOIN-";
pub(crate) const MAP: &str = "KSTREAM-MAP-";
pub(crate) const MAP_VALUES: &str = "KSTREAM-MAPVALUES-";
pub(crate) const MERGE: &str = "KSTREAM-MERGE-";
pub(crate) const PEEK: &str = "KSTREAM-PEEK-";
pub(crate) const PROCESSOR: &str = "KSTREAM-PROCESSOR-";
pub(crate) const REDUCE: &str = "KSTREAM-REDUCE-";
pub(crate) const REPARTITION: &str = "KSTREAM-REPARTITION-";
pub(crate) const SELECT_KEY: &str = "KSTREAM-KEY-SELECT-";
pub(crate) const SINK: &str = "KSTREAM-SINK-";
pub(crate) const SOURCE: &str = "KSTREAM-SOURCE-";
pub(crate) const TO_TABLE: &str = "KSTREAM-TOTABLE-";
pub(crate) const TABLE_AGGREGATE: &str = "KTABLE-AGGREGATE-";
pub(crate) const TABLE_FILTER: &str = "KTABLE-FILTER-";
pub(crate) const TABLE_MAP_VALUES: &str = "KTABLE-MAPVALUES-";
pub(crate) const TABLE_REDUCE: &str = "KTABLE-REDUCE-";
pub(crate) const TABLE_SELECT: &str = "KTABLE-SELECT-";
pub(crate) const TABLE_SOURCE: &str = "KTABLE-SOURCE-";
pub(crate) const TABLE_TO_STREAM: &str = "KTABLE-TOSTREAM-";
