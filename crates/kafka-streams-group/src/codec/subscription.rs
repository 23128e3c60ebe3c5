//! What a member tells the leader about its process: `SubscriptionInfo`, versions 1 to 11.

use std::collections::BTreeMap;

use kafka_streams_core::TaskId;

use super::bytes::{Reader, Writer};
use super::{LATEST_VERSION, UNKNOWN_VERSION};
use crate::{Error, ProcessId};

/// Offset sum of a task that runs here as an active task (`Task.LATEST_OFFSET`).
pub const LATEST_OFFSET: i64 = -2;

/// Offset sum of a task that is here, how far nobody knows (`SubscriptionInfo.UNKNOWN_OFFSET_SUM`).
pub const UNKNOWN_OFFSET_SUM: i64 = -3;

/// The user data of a member's subscription.
///
/// | field | bytes | versions |
/// |---|---|---|
/// | version | i32 | 1+ |
/// | latest supported version | i32 | 3+ |
/// | process id | 16 | 1+ |
/// | active tasks, standby tasks | each i32 n, n × (i32, i32) | 1–6 |
/// | user endpoint | i32 length, UTF-8 | 2+ |
/// | offset sums by sub-topology | i32 n, n × (i32, i32 m, m × (i32 partition, i64 sum)) | 7–9 |
/// | offset sums by task | i32 n, n × (i32, i32, i64 sum, nullable i16-string) | 10+ |
/// | unique field | i8 | 8+ |
/// | error code | i32 | 9+ |
/// | client tags | i32 n, n × (i32-bytes, i32-bytes) | 11+ |
///
/// Source: `SubscriptionInfoData.json` and `SubscriptionInfo` of Kafka Streams 4.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// The version in which it was or will be written, 1 to 11.
    pub version: i32,
    /// The latest version that the member can read; -1 if it does not say (versions 1 and 2).
    pub latest_supported_version: i32,
    /// The member's process.
    pub process_id: ProcessId,
    /// `application.server` of the process as `host:port`; `None` if it has none.
    pub user_endpoint: Option<String>,
    /// For every stateful task that is known here: [`LATEST_OFFSET`] for a running active task, [`UNKNOWN_OFFSET_SUM`],
    /// or the sum of the last known offsets over the task's changelogs.
    pub task_offset_sums: BTreeMap<TaskId, i64>,
    /// A counter that makes each subscription differ from the one before, so that the coordinator rebalances.
    pub unique_field: i8,
    /// 0, or 4 to ask the leader to shut the whole application down.
    pub error_code: i32,
    /// `client.tag.*` of the process.
    pub client_tags: BTreeMap<String, String>,
}

/// A subscription as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodedSubscription {
    /// One of the versions 1 to 11.
    Known(SubscriptionInfo),
    /// A version above 11, of which only this much can be read; the sender takes part in version probing.
    Future {
        /// The version that it used, above 11.
        version: i32,
        /// The latest version that it supports, at least `version`.
        latest_supported_version: i32,
    },
}

const MESSAGE: &str = "SubscriptionInfo";

impl SubscriptionInfo {
    /// Writes it in its version; fields that the version lacks are left out. Versions 1 to 6 keep of the offset sums
    /// only whether each is [`LATEST_OFFSET`].
    ///
    /// # Errors
    /// [`Error::Version`] unless `version` is 1 to 11, and at most `latest_supported_version` from 3 on;
    /// [`Error::TooLong`] for more than 2 GiB.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let version = self.version;
        check_versions(version, self.latest_supported_version)?;
        let mut w = Writer::new(MESSAGE);
        w.i32(version);
        if version >= 3 {
            w.i32(self.latest_supported_version);
        }
        w.raw(self.process_id.as_bytes());
        if version <= 6 {
            self.write_task_set(&mut w, "prevTasks", |sum| sum == LATEST_OFFSET)?;
            self.write_task_set(&mut w, "standbyTasks", |sum| sum != LATEST_OFFSET)?;
        }
        if version >= 2 {
            w.bytes("userEndPoint", self.user_endpoint.as_deref().unwrap_or_default().as_bytes())?;
        }
        match version {
            7..=9 => self.write_sums_by_subtopology(&mut w)?,
            10.. => self.write_sums_by_task(&mut w)?,
            _ => {}
        }
        if version >= 8 {
            w.i8(self.unique_field);
        }
        if version >= 9 {
            w.i32(self.error_code);
        }
        if version >= 11 {
            w.count("clientTags", self.client_tags.len())?;
            for (key, value) in &self.client_tags {
                w.bytes("clientTags.key", key.as_bytes())?;
                w.bytes("clientTags.value", value.as_bytes())?;
            }
        }
        Ok(w.finish())
    }

    /// Reads a subscription's user data.
    ///
    /// # Errors
    /// Damaged bytes, a version below 1, one above the sender's own latest, or a task of a named topology.
    pub fn decode(bytes: &[u8]) -> Result<DecodedSubscription, Error> {
        let r = &mut Reader::new(MESSAGE, bytes);
        let version = r.i32("version")?;
        let latest_supported_version = if version >= 3 { r.i32("latestSupportedVersion")? } else { UNKNOWN_VERSION };
        if version > LATEST_VERSION && latest_supported_version >= version {
            return Ok(DecodedSubscription::Future { version, latest_supported_version });
        }
        check_versions(version, latest_supported_version)?;
        let mut info = SubscriptionInfo {
            version,
            latest_supported_version,
            process_id: ProcessId::new(r.uuid("processId")?),
            user_endpoint: None,
            task_offset_sums: BTreeMap::new(),
            unique_field: 0,
            error_code: 0,
            client_tags: BTreeMap::new(),
        };
        if version <= 6 {
            info.read_task_set(r, "prevTasks", LATEST_OFFSET)?;
            info.read_task_set(r, "standbyTasks", UNKNOWN_OFFSET_SUM)?;
        }
        if version >= 2 {
            let at = r.position();
            let endpoint = r.bytes("userEndPoint")?;
            let endpoint = r.text("userEndPoint", at, endpoint)?;
            info.user_endpoint = (!endpoint.is_empty()).then(|| endpoint.to_owned());
        }
        match version {
            7..=9 => info.read_sums_by_subtopology(r)?,
            10.. => info.read_sums_by_task(r)?,
            _ => {}
        }
        if version >= 8 {
            info.unique_field = r.i8("uniqueField")?;
        }
        if version >= 9 {
            info.error_code = r.i32("errorCode")?;
        }
        if version >= 11 {
            for _ in 0..r.count("clientTags", 8)? {
                let at = r.position();
                let (key, value) = (r.bytes("clientTags.key")?, r.bytes("clientTags.value")?);
                let (key, value) = (r.text("clientTags.key", at, key)?, r.text("clientTags.value", at, value)?);
                info.client_tags.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(DecodedSubscription::Known(info))
    }

    fn write_task_set(&self, w: &mut Writer, field: &'static str, keep: fn(i64) -> bool) -> Result<(), Error> {
        let tasks: Vec<&TaskId> =
            self.task_offset_sums.iter().filter(|(_, sum)| keep(**sum)).map(|(task, _)| task).collect();
        w.count(field, tasks.len())?;
        for task in tasks {
            w.i32(task.subtopology);
            w.i32(task.partition);
        }
        Ok(())
    }

    fn read_task_set(&mut self, r: &mut Reader<'_>, field: &'static str, sum: i64) -> Result<(), Error> {
        for _ in 0..r.count(field, 8)? {
            let task = TaskId::new(r.i32(field)?, r.i32(field)?);
            self.task_offset_sums.insert(task, sum);
        }
        Ok(())
    }

    fn write_sums_by_subtopology(&self, w: &mut Writer) -> Result<(), Error> {
        let mut groups: BTreeMap<i32, Vec<(i32, i64)>> = BTreeMap::new();
        for (task, sum) in &self.task_offset_sums {
            groups.entry(task.subtopology).or_default().push((task.partition, *sum));
        }
        w.count("taskOffsetSums", groups.len())?;
        for (subtopology, sums) in groups {
            w.i32(subtopology);
            w.count("partitionToOffsetSum", sums.len())?;
            for (partition, sum) in sums {
                w.i32(partition);
                w.i64(sum);
            }
        }
        Ok(())
    }

    fn read_sums_by_subtopology(&mut self, r: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..r.count("taskOffsetSums", 8)? {
            let subtopology = r.i32("taskOffsetSums.topicGroupId")?;
            for _ in 0..r.count("partitionToOffsetSum", 12)? {
                let task = TaskId::new(subtopology, r.i32("partitionToOffsetSum.partition")?);
                let sum = r.i64("partitionToOffsetSum.offsetSum")?;
                self.task_offset_sums.insert(task, sum);
            }
        }
        Ok(())
    }

    fn write_sums_by_task(&self, w: &mut Writer) -> Result<(), Error> {
        w.count("taskOffsetSums", self.task_offset_sums.len())?;
        for (task, sum) in &self.task_offset_sums {
            w.i32(task.subtopology);
            w.i32(task.partition);
            w.i64(*sum);
            w.nullable_string("taskOffsetSums.namedTopology", None)?;
        }
        Ok(())
    }

    fn read_sums_by_task(&mut self, r: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..r.count("taskOffsetSums", 18)? {
            let task = TaskId::new(r.i32("taskOffsetSums.topicGroupId")?, r.i32("taskOffsetSums.partition")?);
            let sum = r.i64("taskOffsetSums.offsetSum")?;
            match r.nullable_string("taskOffsetSums.namedTopology")? {
                None | Some("") => {}
                Some(name) => return Err(Error::NamedTopology { task, topology: name.to_owned() }),
            }
            self.task_offset_sums.insert(task, sum);
        }
        Ok(())
    }
}

fn check_versions(version: i32, latest_supported: i32) -> Result<(), Error> {
    let fits = match version {
        1 | 2 => true,
        3..=LATEST_VERSION => version <= latest_supported,
        _ => false,
    };
    if fits { Ok(()) } else { Err(Error::Version { message: MESSAGE, version, latest_supported }) }
}
