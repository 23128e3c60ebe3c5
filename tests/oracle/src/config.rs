//! The configuration of a case: by Kafka's names, to what builder and driver take.

use std::collections::BTreeMap;

use kafka_streams_core::handler::LogAndContinue;
use kafka_streams_core::{DslStoreFormat, EmitIntervals};
use kafka_streams_dsl::Optimization;
use kafka_streams_testing::TestDriverSettings;
use serde_json::Value as Json;

use crate::fault::Fault;
use crate::spec::text;

/// What a case's configuration comes to.
pub struct Config {
    /// `topology.optimization`.
    pub optimizations: Vec<Optimization>,
    /// `ensure.explicit.internal.resource.naming`.
    pub explicit_names: bool,
    /// The driver's settings.
    pub settings: TestDriverSettings,
}

/// `application.id` of all cases.
pub const APPLICATION: &str = "app";

const LOG_AND_CONTINUE: &str = "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler";
const LOG_AND_CONTINUE_PROCESSING: &str = "org.apache.kafka.streams.errors.LogAndContinueProcessingExceptionHandler";

impl Config {
    /// Reads the configuration of a case.
    ///
    /// # Errors
    /// A value that Kafka refuses, or a key that the interpreter does not know.
    pub fn read(config: &BTreeMap<String, Json>, wall_clock: i64) -> Result<Self, Fault> {
        let mut optimizations = Vec::new();
        let mut explicit_names = false;
        let mut settings = TestDriverSettings::default().with_application_id(APPLICATION).with_wall_clock(wall_clock);
        // A window that the JVM loses is no mistake of ours: entry 55 of `docs/differences.md`.
        let mut emit = EmitIntervals { outer_join_ms: 0, window_close_ms: 0, lose_expired: true };
        for (key, value) in config {
            let value = text(value);
            match key.as_str() {
                "topology.optimization" => optimizations = optimizations_of(&value)?,
                "dsl.store.format" => settings = settings.with_dsl_store_format(store_format(key, &value)?),
                "ensure.explicit.internal.resource.naming" => explicit_names = truth(key, &value)?,
                "statestore.cache.max.bytes" => settings = settings.with_cache_bytes(number(key, &value)?),
                "deserialization.exception.handler" if value == LOG_AND_CONTINUE => {
                    settings = settings.with_deserialization_handler(LogAndContinue);
                }
                "processing.exception.handler" if value == LOG_AND_CONTINUE_PROCESSING => {
                    settings = settings.with_processing_handler(LogAndContinue);
                }
                "__emit.interval.ms.kstreams.outer.join.spurious.results.fix__" => {
                    emit.outer_join_ms = number(key, &value)?
                }
                "__emit.interval.ms.kstreams.windowed.aggregation__" => emit.window_close_ms = number(key, &value)?,
                _ => return Fault::not_built(format!("configuration {key}={value}")),
            }
        }
        Ok(Config { optimizations, explicit_names, settings: settings.with_emit_intervals(emit) })
    }
}

fn store_format(key: &str, value: &str) -> Result<DslStoreFormat, Fault> {
    match value.to_ascii_uppercase().as_str() {
        "DEFAULT" => Ok(DslStoreFormat::Default),
        "HEADERS" => Ok(DslStoreFormat::Headers),
        _ => Err(Fault::Config(format!("{key}={value} is none of Kafka's"))),
    }
}

fn optimizations_of(value: &str) -> Result<Vec<Optimization>, Fault> {
    match value {
        "all" => return Ok(Optimization::ALL.to_vec()),
        "none" => return Ok(Vec::new()),
        _ => {}
    }
    let of = |name: &str| match name.trim() {
        "reuse.ktable.source.topics" => Ok(Optimization::ReuseKtableSourceTopics),
        "single.store.self.join" => Ok(Optimization::SingleStoreSelfJoin),
        "merge.repartition.topics" => Ok(Optimization::MergeRepartitionTopics),
        other => Err(Fault::Config(format!("topology.optimization={other} is none of Kafka's"))),
    };
    value.split(',').map(of).collect()
}

/// A Boolean as Kafka reads it, in any case.
fn truth(key: &str, value: &str) -> Result<bool, Fault> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Fault::Config(format!("{key}={value} is neither true nor false"))),
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, Fault> {
    value.parse().map_err(|_| Fault::Config(format!("{key}={value} is no number of its range")))
}
