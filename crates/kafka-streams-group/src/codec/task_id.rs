//! Task ids inside an assignment: from version 10 on they carry the name of their topology.

use kafka_streams_core::TaskId;

use super::bytes::{Reader, Writer};
use crate::Error;

/// The first version whose task ids name a topology (`MIN_NAMED_TOPOLOGY_VERSION`).
const NAMED_SINCE: i32 = 10;

/// Bytes of a task id without the name's characters in `version`.
pub(super) const fn min_size(version: i32) -> usize {
    if version >= NAMED_SINCE { 12 } else { 8 }
}

/// i32 sub-topology, i32 partition; from version 10 on an i32 number of UTF-16 units and the units, none being no name.
pub(super) fn read(reader: &mut Reader<'_>, version: i32) -> Result<TaskId, Error> {
    let task = TaskId::new(reader.i32("task.subtopology")?, reader.i32("task.partition")?);
    if version >= NAMED_SINCE {
        let units = reader.count("task.topologyName", 2)?;
        let name = reader.take("task.topologyName", units.saturating_mul(2))?;
        if !name.is_empty() {
            let units = name.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            let topology = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
            return Err(Error::NamedTopology { task, topology });
        }
    }
    Ok(task)
}

/// The reverse of [`read`]; the name is always empty.
pub(super) fn write(writer: &mut Writer, task: TaskId, version: i32) {
    writer.i32(task.subtopology);
    writer.i32(task.partition);
    if version >= NAMED_SINCE {
        writer.i32(0);
    }
}
