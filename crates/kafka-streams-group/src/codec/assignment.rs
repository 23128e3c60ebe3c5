//! What the leader tells a member: `AssignmentInfo`, versions 1 to 11.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicPartition};

use super::bytes::{Reader, Writer};
use super::{LATEST_VERSION, UNKNOWN_VERSION, task_id};
use crate::{Error, HostInfo};

/// [`AssignmentInfo::next_rebalance_ms`] when no follow-up rebalance is wanted (`Long.MAX_VALUE`).
pub const NO_REBALANCE: i64 = i64::MAX;

/// The codes of [`AssignmentInfo::error_code`] (`AssignorError` of the JVM).
pub mod assignment_error {
    /// All is well.
    pub const NONE: i32 = 0;
    /// A source topic is missing.
    pub const INCOMPLETE_SOURCE_TOPIC_METADATA: i32 = 1;
    /// Old leaders only: versions are still being negotiated.
    pub const VERSION_PROBING: i32 = 2;
    /// The leader failed.
    pub const ASSIGNMENT_ERROR: i32 = 3;
    /// A member asked that the whole application shut down.
    pub const SHUTDOWN_REQUESTED: i32 = 4;
}

/// The user data of a member's assignment.
///
/// | field | bytes | versions |
/// |---|---|---|
/// | version | i32 | 1+ |
/// | commonly supported version | i32 | 3+ |
/// | active tasks | i32 n, n × task | 1+ |
/// | standby tasks | i32 n, n × (task, i32 m, m × (utf topic, i32)) | 1+ |
/// | partitions by host | i32 n, n × (utf host, i32 port, i32 m, m × (utf topic, i32)) | 2–4 |
/// | topic dictionary | i32 n, n × (i32 index, utf topic) | 5+ |
/// | partitions by host | i32 n, n × (utf host, i32 port, i32 m, m × (i32 index, i32)) | 5+ |
/// | standby partitions by host | the same | 6+ |
/// | error code | i32 | 4+ |
/// | next rebalance | i64 ms | 7+ |
///
/// A task is i32 sub-topology and i32 partition, from version 10 on also an i32 name length (0); `utf` is a u16 length
/// and Java's modified UTF-8. Source: `AssignmentInfo` of Kafka Streams 4.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentInfo {
    /// The version in which it was or will be written, 1 to 11.
    pub version: i32,
    /// The latest version that all members support; -1 if it does not say (versions 1 and 2).
    pub commonly_supported_version: i32,
    /// One entry for each assigned partition, in the order of the partitions sorted by topic and number: the task that
    /// reads it.
    pub active_tasks: Vec<TaskId>,
    /// The standby tasks, each with its source partitions.
    pub standby_tasks: BTreeMap<TaskId, Vec<TopicPartition>>,
    /// For each process with an endpoint: the source partitions of its active tasks.
    pub partitions_by_host: BTreeMap<HostInfo, Vec<TopicPartition>>,
    /// The same for its standby tasks.
    pub standby_partitions_by_host: BTreeMap<HostInfo, Vec<TopicPartition>>,
    /// One of [`assignment_error`].
    pub error_code: i32,
    /// When to rejoin: 0 at once, [`NO_REBALANCE`] never, otherwise milliseconds since 1970.
    pub next_rebalance_ms: i64,
}

const MESSAGE: &str = "AssignmentInfo";

type HostMap = BTreeMap<HostInfo, Vec<TopicPartition>>;

impl AssignmentInfo {
    /// Without tasks, hosts, error or follow-up rebalance.
    pub fn empty(version: i32, commonly_supported_version: i32) -> Self {
        AssignmentInfo {
            version,
            commonly_supported_version,
            active_tasks: Vec::new(),
            standby_tasks: BTreeMap::new(),
            partitions_by_host: BTreeMap::new(),
            standby_partitions_by_host: BTreeMap::new(),
            error_code: assignment_error::NONE,
            next_rebalance_ms: NO_REBALANCE,
        }
    }

    /// An assignment that carries only an error code, in the latest version, as the JVM sends it.
    pub fn error(code: i32) -> Self {
        AssignmentInfo { error_code: code, ..AssignmentInfo::empty(LATEST_VERSION, LATEST_VERSION) }
    }

    /// Writes it in its version; fields that the version lacks are left out.
    ///
    /// # Errors
    /// [`Error::Version`] unless `version` is 1 to 11; [`Error::TooLong`] for a topic or host of 64 KiB or more.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let version = self.version;
        self.check_version()?;
        let mut w = Writer::new(MESSAGE);
        w.i32(version);
        if version >= 3 {
            w.i32(self.commonly_supported_version);
        }
        w.count("activeTasks", self.active_tasks.len())?;
        for task in &self.active_tasks {
            task_id::write(&mut w, *task, version);
        }
        w.count("standbyTasks", self.standby_tasks.len())?;
        for (task, partitions) in &self.standby_tasks {
            task_id::write(&mut w, *task, version);
            write_partitions(&mut w, partitions)?;
        }
        match version {
            2..=4 => write_hosts(&mut w, &self.partitions_by_host, write_partitions)?,
            5 => {
                let topics = Dictionary::of([&self.partitions_by_host]);
                topics.write(&mut w)?;
                write_hosts(&mut w, &self.partitions_by_host, |w, p| topics.write_partitions(w, p))?;
            }
            6.. => {
                let topics = Dictionary::of([&self.partitions_by_host, &self.standby_partitions_by_host]);
                topics.write(&mut w)?;
                write_hosts(&mut w, &self.partitions_by_host, |w, p| topics.write_partitions(w, p))?;
                write_hosts(&mut w, &self.standby_partitions_by_host, |w, p| topics.write_partitions(w, p))?;
            }
            _ => {}
        }
        if version >= 4 {
            w.i32(self.error_code);
        }
        if version >= 7 {
            w.i64(self.next_rebalance_ms);
        }
        Ok(w.finish())
    }

    /// Reads an assignment's user data.
    ///
    /// # Errors
    /// Damaged bytes, a version other than 1 to 11, or a task of a named topology.
    pub fn decode(bytes: &[u8]) -> Result<AssignmentInfo, Error> {
        let r = &mut Reader::new(MESSAGE, bytes);
        let mut info = AssignmentInfo::empty(r.i32("version")?, UNKNOWN_VERSION);
        info.check_version()?;
        let version = info.version;
        if version >= 3 {
            info.commonly_supported_version = r.i32("commonlySupportedVersion")?;
        }
        let active = r.count("activeTasks", task_id::min_size(version))?;
        info.active_tasks.reserve_exact(active);
        for _ in 0..active {
            info.active_tasks.push(task_id::read(r, version)?);
        }
        for _ in 0..r.count("standbyTasks", task_id::min_size(version) + 4)? {
            let task = task_id::read(r, version)?;
            info.standby_tasks.insert(task, read_partitions(r)?);
        }
        match version {
            2..=4 => info.partitions_by_host = read_hosts(r, read_partitions)?,
            5.. => {
                let topics = read_dictionary(r)?;
                info.partitions_by_host = read_hosts(r, |r| read_indexed_partitions(r, &topics))?;
                if version >= 6 {
                    info.standby_partitions_by_host = read_hosts(r, |r| read_indexed_partitions(r, &topics))?;
                }
            }
            _ => {}
        }
        if version >= 4 {
            info.error_code = r.i32("errCode")?;
        }
        if version >= 7 {
            info.next_rebalance_ms = r.i64("nextRebalanceMs")?;
        }
        Ok(info)
    }

    fn check_version(&self) -> Result<(), Error> {
        let (version, latest_supported) = (self.version, self.commonly_supported_version);
        if (1..=LATEST_VERSION).contains(&version) {
            Ok(())
        } else {
            Err(Error::Version { message: MESSAGE, version, latest_supported })
        }
    }
}

fn write_partitions(w: &mut Writer, partitions: &[TopicPartition]) -> Result<(), Error> {
    w.count("partitions", partitions.len())?;
    for partition in partitions {
        w.java_utf("topic", &partition.topic)?;
        w.i32(partition.partition);
    }
    Ok(())
}

fn read_partitions(r: &mut Reader<'_>) -> Result<Vec<TopicPartition>, Error> {
    let count = r.count("partitions", 6)?;
    let mut partitions = Vec::with_capacity(count);
    for _ in 0..count {
        partitions.push(TopicPartition { topic: r.java_topic("topic")?, partition: r.i32("partition")? });
    }
    Ok(partitions)
}

fn write_hosts(
    w: &mut Writer,
    hosts: &HostMap,
    partitions: impl Fn(&mut Writer, &[TopicPartition]) -> Result<(), Error>,
) -> Result<(), Error> {
    w.count("partitionsByHost", hosts.len())?;
    for (host, hosted) in hosts {
        w.java_utf("host", &host.host)?;
        w.i32(host.port);
        partitions(w, hosted)?;
    }
    Ok(())
}

fn read_hosts(
    r: &mut Reader<'_>,
    partitions: impl Fn(&mut Reader<'_>) -> Result<Vec<TopicPartition>, Error>,
) -> Result<HostMap, Error> {
    let mut hosts = BTreeMap::new();
    for _ in 0..r.count("partitionsByHost", 10)? {
        let host = HostInfo { host: r.java_utf("host")?, port: r.i32("port")? };
        hosts.insert(host, partitions(r)?);
    }
    Ok(hosts)
}

/// The topics of the host maps, numbered from 0 in the order of their names.
struct Dictionary<'a>(BTreeMap<&'a str, i32>);

impl<'a> Dictionary<'a> {
    fn of<const N: usize>(maps: [&'a HostMap; N]) -> Self {
        let partitions = maps.into_iter().flat_map(|map| map.values()).flatten();
        let mut topics: BTreeMap<&str, i32> = partitions.map(|partition| (&*partition.topic, 0)).collect();
        for (index, number) in topics.values_mut().zip(0..) {
            *index = number;
        }
        Dictionary(topics)
    }

    fn write(&self, w: &mut Writer) -> Result<(), Error> {
        w.count("topics", self.0.len())?;
        for (topic, index) in &self.0 {
            w.i32(*index);
            w.java_utf("topic", topic)?;
        }
        Ok(())
    }

    fn write_partitions(&self, w: &mut Writer, partitions: &[TopicPartition]) -> Result<(), Error> {
        w.count("partitions", partitions.len())?;
        for partition in partitions {
            // Every topic of the maps is in the dictionary, which was made from them.
            w.i32(self.0.get(&*partition.topic).copied().unwrap_or_default());
            w.i32(partition.partition);
        }
        Ok(())
    }
}

fn read_dictionary(r: &mut Reader<'_>) -> Result<BTreeMap<i32, Arc<str>>, Error> {
    let mut topics = BTreeMap::new();
    for _ in 0..r.count("topics", 6)? {
        let index = r.i32("topics.index")?;
        topics.insert(index, r.java_topic("topics.topic")?);
    }
    Ok(topics)
}

fn read_indexed_partitions(r: &mut Reader<'_>, topics: &BTreeMap<i32, Arc<str>>) -> Result<Vec<TopicPartition>, Error> {
    let count = r.count("partitions", 8)?;
    let mut partitions = Vec::with_capacity(count);
    for _ in 0..count {
        let at = r.position();
        let (index, partition) = (r.i32("topicIndex")?, r.i32("partition")?);
        let topic = topics.get(&index).cloned().ok_or_else(|| r.no_such_topic(at, index))?;
        partitions.push(TopicPartition { topic, partition });
    }
    Ok(partitions)
}
