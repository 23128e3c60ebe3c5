//! The envelopes of protocol type `consumer`: what JoinGroup and SyncGroup carry for each member.

use std::sync::Arc;

use kafka_streams_core::TopicPartition;

use super::bytes::{Reader, Writer};
use crate::Error;

/// `ConsumerProtocolSubscription`: a member's metadata in JoinGroup.
///
/// i16 version | topics (i32 n, n × i16-string) | user data (i32 length or -1, bytes) | from 1: owned partitions
/// (i32 n, n × (i16-string topic, i32 m, m × i32)) | from 2: i32 generation | from 3: rack (nullable i16-string).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerSubscription {
    /// The subscribed topics; written sorted.
    pub topics: Vec<String>,
    /// The assignor's own data ([`SubscriptionInfo`](super::SubscriptionInfo)).
    pub user_data: Option<Vec<u8>>,
    /// The partitions that the member works on; written sorted. Empty below version 1.
    pub owned_partitions: Vec<TopicPartition>,
    /// The generation in which they were assigned; `None` (-1 on the wire) if there is none, and below version 2.
    pub generation: Option<i32>,
    /// `client.rack`; `None` below version 3.
    pub rack_id: Option<String>,
}

/// `ConsumerProtocolAssignment`: a member's part in SyncGroup.
///
/// i16 version (0 to 3, all alike) | partitions (i32 n, n × (i16-string topic, i32 m, m × i32)) | user data (i32 length
/// or -1, bytes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerAssignment {
    /// The assigned partitions; written sorted.
    pub partitions: Vec<TopicPartition>,
    /// The assignor's own data ([`AssignmentInfo`](super::AssignmentInfo)).
    pub user_data: Option<Vec<u8>>,
}

/// The version that both are written in.
const VERSION: i16 = 3;

impl ConsumerSubscription {
    /// Writes version 3.
    ///
    /// # Errors
    /// [`Error::TooLong`] for a topic or rack of 32 KiB or more.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut w = Writer::new("ConsumerProtocolSubscription");
        w.i16(VERSION);
        let mut topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        topics.sort_unstable();
        w.count("topics", topics.len())?;
        for topic in topics {
            w.string("topic", topic)?;
        }
        w.nullable_bytes("userData", self.user_data.as_deref())?;
        write_partitions(&mut w, &self.owned_partitions)?;
        w.i32(self.generation.unwrap_or(-1));
        w.nullable_string("rackId", self.rack_id.as_deref())?;
        Ok(w.finish())
    }

    /// Reads any version from 0 on; what versions above 3 added is ignored.
    ///
    /// # Errors
    /// Damaged bytes or a negative version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        const MESSAGE: &str = "ConsumerProtocolSubscription";
        let r = &mut Reader::new(MESSAGE, bytes);
        let version = read_version(r, MESSAGE)?;
        let count = r.count("topics", 2)?;
        let mut subscription = ConsumerSubscription { topics: Vec::with_capacity(count), ..Default::default() };
        for _ in 0..count {
            subscription.topics.push(r.string("topic")?.to_owned());
        }
        subscription.user_data = r.nullable_bytes("userData")?.map(<[u8]>::to_vec);
        if version >= 1 {
            subscription.owned_partitions = read_partitions(r)?;
        }
        if version >= 2 {
            subscription.generation = Some(r.i32("generationId")?).filter(|generation| *generation >= 0);
        }
        if version >= 3 {
            subscription.rack_id = r.nullable_string("rackId")?.map(str::to_owned);
        }
        Ok(subscription)
    }
}

impl ConsumerAssignment {
    /// Writes version 3.
    ///
    /// # Errors
    /// [`Error::TooLong`] for a topic of 32 KiB or more.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut w = Writer::new("ConsumerProtocolAssignment");
        w.i16(VERSION);
        write_partitions(&mut w, &self.partitions)?;
        w.nullable_bytes("userData", self.user_data.as_deref())?;
        Ok(w.finish())
    }

    /// Reads any version from 0 on; what versions above 3 added is ignored.
    ///
    /// # Errors
    /// Damaged bytes or a negative version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        const MESSAGE: &str = "ConsumerProtocolAssignment";
        let r = &mut Reader::new(MESSAGE, bytes);
        read_version(r, MESSAGE)?;
        let partitions = read_partitions(r)?;
        let user_data = r.nullable_bytes("userData")?.map(<[u8]>::to_vec);
        Ok(ConsumerAssignment { partitions, user_data })
    }
}

fn read_version(r: &mut Reader<'_>, message: &'static str) -> Result<i16, Error> {
    let version = r.i16("version")?;
    if version < 0 {
        return Err(Error::Version { message, version: i32::from(version), latest_supported: i32::from(VERSION) });
    }
    Ok(version)
}

/// Groups the sorted partitions by topic.
fn write_partitions(w: &mut Writer, partitions: &[TopicPartition]) -> Result<(), Error> {
    let mut sorted: Vec<&TopicPartition> = partitions.iter().collect();
    sorted.sort_unstable();
    let by_topic: Vec<&[&TopicPartition]> = sorted.chunk_by(|a, b| a.topic == b.topic).collect();
    w.count("partitions", by_topic.len())?;
    for of_topic in by_topic {
        if let Some(first) = of_topic.first() {
            w.string("topic", &first.topic)?;
        }
        w.count("partitions", of_topic.len())?;
        for partition in of_topic {
            w.i32(partition.partition);
        }
    }
    Ok(())
}

fn read_partitions(r: &mut Reader<'_>) -> Result<Vec<TopicPartition>, Error> {
    let mut partitions = Vec::new();
    for _ in 0..r.count("partitions", 6)? {
        let topic: Arc<str> = r.string("topic")?.into();
        let count = r.count("partitions", 4)?;
        partitions.reserve(count);
        for _ in 0..count {
            partitions.push(TopicPartition { topic: Arc::clone(&topic), partition: r.i32("partition")? });
        }
    }
    Ok(partitions)
}
