//! `suppress`.

use std::time::Duration;

use kafka_streams_dsl::{BufferConfig, StrictBufferConfig, Suppressed, Windowed};

use crate::build::Build;
use crate::fault::Fault;
use crate::node::{AnyKey, AnyRow, AnyTable, Node, Table};
use crate::spec::{self, Buffer, Suppress};
use crate::value::{Key, Shared};

/// Adds a suppression.
///
/// # Errors
/// See [`Fault`].
pub fn add(build: &mut Build, op: &Suppress) -> Result<(), Fault> {
    let node = match build.table(&op.r#in)? {
        AnyTable::Plain(table) => suppress(table, limit(op)?, op),
        AnyTable::Counts(table) => suppress(table, limit(op)?, op),
        AnyTable::Windowed(table) => suppress(table, of_windows(op)?, op),
        AnyTable::WindowedCounts(table) => suppress(table, of_windows(op)?, op),
    };
    build.put(&op.id, node);
    Ok(())
}

fn suppress<K: AnyKey, V: AnyRow>(table: Table<K, V>, suppressed: Suppressed<K>, op: &Suppress) -> Node {
    let suppressed = op.name.iter().fold(suppressed, Suppressed::with_name);
    let Table { table, keys, values } = table;
    let table = table.suppress_with(suppressed, Shared(V::serde(values)));
    K::table(Table { table, keys, values })
}

fn of_windows(op: &Suppress) -> Result<Suppressed<Windowed<Key>>, Fault> {
    match op.until.as_str() {
        "windowCloses" => Ok(Suppressed::until_window_closes(strict(&op.buffer))),
        _ => limit(op),
    }
}

fn limit<K>(op: &Suppress) -> Result<Suppressed<K>, Fault> {
    let (Some(ms), "timeLimit") = (op.ms, op.until.as_str()) else {
        return Fault::bad_case(format!("a table cannot be suppressed until {}", op.until));
    };
    let buffer: BufferConfig = match op.buffer.full.as_deref() {
        Some("shutDown") => strict(&op.buffer).into(),
        _ if op.buffer.max_records.is_none() && op.buffer.max_bytes.is_none() => strict(&op.buffer).into(),
        _ => strict(&op.buffer).emit_early_when_full().into(),
    };
    Ok(Suppressed::until_time_limit(Duration::from_millis(ms), buffer))
}

fn strict(buffer: &Buffer) -> StrictBufferConfig {
    let mut config = BufferConfig::unbounded();
    if let Some(records) = buffer.max_records {
        config = config.with_max_records(records);
    }
    if let Some(bytes) = buffer.max_bytes {
        config = config.with_max_bytes(bytes);
    }
    match buffer.logging.as_ref().map(spec::Logging::settings) {
        Some(Some(settings)) => config.with_logging_enabled(settings),
        Some(None) => config.with_logging_disabled(),
        None => config,
    }
}
