//! Questions to the cluster, and the few changes that are asked of it: topics, offsets, records to delete.
//!
//! The methods of [`Cluster`] here are the client proper. [`KafkaAdmin`] shows them to the runtime as its
//! [`ClusterAdmin`](kafka_streams_runtime::port::ClusterAdmin), [`PolledAdmin`] to a worker as its `Admin` port.

mod cluster_admin;
mod polled;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DescribeConfigsRequest, GroupId,
    ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_streams_core::TopicPartition;
use kafka_streams_engine::port::{CommittedOffset, OffsetToCommit};
use kafka_streams_group::GroupMember;
use kafka_streams_runtime::port::{
    BrokerDescription, ClusterDescription, CreateTopicError, CreatedTopic, LogEdge, NewTopic, PartitionLayout,
    TopicLayout, TopicSettings,
};

pub use cluster_admin::KafkaAdmin;
pub use polled::PolledAdmin;

use crate::error::{Error, code};
use crate::network::{Address, Cluster, Connection, Lane};

/// Times that a request to a coordinator or controller is sent: the second time after looking for a new one.
const ATTEMPTS: usize = 2;
/// ListOffsets: the timestamp that means the end of the log, and the one that means its start.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// "Not a replica", in requests that replicas send too.
const CLIENT: BrokerId = BrokerId(-1);
/// DescribeConfigs: a topic.
const TOPIC_RESOURCE: i8 = 2;
/// OffsetFetch: the offset that means that there is none.
const NONE_COMMITTED: i64 = -1;

impl Cluster {
    /// The cluster's id, its brokers and the one that creates topics.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn describe(&self) -> Result<ClusterDescription, Error> {
        let metadata = self.ask_metadata(Some(&[])).await?;
        let brokers = metadata.brokers.into_iter().map(|(id, (address, rack))| {
            let Address { host, port } = address;
            BrokerDescription { id, host, port, rack }
        });
        let (cluster_id, controller) = (metadata.cluster_id, metadata.controller);
        Ok(ClusterDescription { cluster_id, brokers: brokers.collect(), controller })
    }

    /// Topics by name, in the order of the question; `None` for one that does not exist. None is created by asking.
    ///
    /// # Errors
    /// No broker answers, or a topic may not be seen or is not ready to be described.
    pub async fn describe_topics(&self, topics: &[Arc<str>]) -> Result<Vec<Option<TopicLayout>>, Error> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let metadata = self.ask_metadata(Some(topics)).await?;
        let mut found: BTreeMap<Arc<str>, _> = metadata.topics.into_iter().collect();
        let describe = |topic: &Arc<str>| match found.remove(topic) {
            None | Some(Err(code::UNKNOWN_TOPIC_OR_PARTITION)) => Ok(None),
            Some(Err(code)) => {
                Err(Error::Refused { action: format!("describe topic {topic}"), code, message: String::new() })
            }
            Some(Ok(described)) => Ok(Some(layout(topic.clone(), described))),
        };
        topics.iter().map(describe).collect()
    }

    /// All topics that we may see, internal ones of the broker left out, sorted by name. Topics in trouble are left out too.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn list_topics(&self) -> Result<Vec<TopicLayout>, Error> {
        let metadata = self.ask_metadata(None).await?;
        let described = metadata.topics.into_iter().filter_map(|(topic, outcome)| Some((topic, outcome.ok()?)));
        let mut topics: Vec<TopicLayout> =
            described.filter(|(_, topic)| !topic.is_internal).map(|(name, topic)| layout(name, topic)).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Creates topics; the outcomes are in the order of the question. The request's own time limit on the broker is our
    /// request timeout.
    ///
    /// # Errors
    /// The whole request failed. What happened to single topics is in the outcomes.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Result<CreatedTopic, CreateTopicError>>, Error> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        for attempt in 1.. {
            let connection = self.controller(Lane::Changes, attempt > 1).await?;
            let request = create_topics_request(topics, validate_only, self.request_timeout());
            let reply = connection.call(self.request_timeout(), |_| request).await?;
            let moved = reply.topics.iter().any(|topic| topic.error_code == code::NOT_CONTROLLER);
            if !moved || attempt == ATTEMPTS {
                return Ok(read_create_topics(topics, reply));
            }
        }
        Ok(Vec::new())
    }

    /// The settings of topics, defaults included, in the order of the question; sensitive values are `None`.
    ///
    /// # Errors
    /// No broker answers, or a topic does not exist or may not be described.
    pub async fn topic_settings(&self, topics: &[Arc<str>]) -> Result<Vec<TopicSettings>, Error> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let connection = self.controller(Lane::Questions, false).await?;
        let resource = |topic: &Arc<str>| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC_RESOURCE)
                .with_resource_name(text(topic))
                .with_configuration_keys(None)
        };
        let resources: Vec<_> = topics.iter().map(resource).collect();
        let reply = connection
            .call(self.request_timeout(), |_| DescribeConfigsRequest::default().with_resources(resources))
            .await?;
        let action = |topic: &str| format!("describe the settings of topic {topic}");
        let mut found = BTreeMap::new();
        for result in reply.results {
            let name = result.resource_name.to_string();
            Error::refusal(result.error_code, || action(&name), result.error_message.as_deref())?;
            let settings = result.configs.into_iter().map(|setting| {
                let value = setting.value.filter(|_| !setting.is_sensitive).map(|value| value.to_string());
                (setting.name.to_string(), value)
            });
            found.insert(name, settings.collect::<BTreeMap<_, _>>());
        }
        let take = |topic: &Arc<str>| match found.remove(&**topic) {
            Some(settings) => Ok(TopicSettings { name: topic.clone(), settings }),
            None => Err(Error::left_out(action(topic))),
        };
        topics.iter().map(take).collect()
    }

    /// The first or one past the last offset of every partition, in the order of the question; open transactions count.
    ///
    /// # Errors
    /// The first partition whose leader does not answer, or answers with an error.
    pub async fn list_offsets(&self, partitions: &[TopicPartition], which: LogEdge) -> Result<Vec<i64>, Error> {
        let limit = self.request_timeout();
        let (timestamp, action) = match which {
            LogEdge::Start => (EARLIEST, "find the start"),
            LogEdge::End => (LATEST, "find the end"),
            LogEdge::At(time) => (time.max(0), "find the offset of a time"),
        };
        self.ask_leaders(partitions, Lane::Questions, action, move |connection: Arc<Connection>, led| async move {
            let topics = by_topic(led.into_iter().map(|led| (led.partition, led.leader_epoch)));
            let topics = topics.into_iter().map(|(topic, partitions)| {
                let partition = |(partition, leader_epoch)| {
                    ListOffsetsPartition::default()
                        .with_partition_index(partition)
                        .with_current_leader_epoch(leader_epoch)
                        .with_timestamp(timestamp)
                };
                ListOffsetsTopic::default()
                    .with_name(topic_name(&topic))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            let topics = topics.collect();
            let request =
                ListOffsetsRequest::default().with_replica_id(CLIENT).with_isolation_level(0).with_topics(topics);
            let reply = connection.call(limit, |_| request).await?;
            let parts = reply.topics.into_iter().flat_map(|topic| {
                let name: Arc<str> = Arc::from(topic.name.as_str());
                topic.partitions.into_iter().map(move |part| {
                    let partition = TopicPartition { topic: name.clone(), partition: part.partition_index };
                    (partition, if part.error_code == 0 { Ok(part.offset) } else { Err(part.error_code) })
                })
            });
            Ok(parts.collect())
        })
        .await
    }

    /// The end of every partition's log within a leader epoch (KIP-320), in the order of the question; `None` where the
    /// broker does not know the epoch.
    ///
    /// # Errors
    /// The first partition whose leader does not answer, or answers with an error.
    pub async fn offset_for_leader_epoch(
        &self,
        partitions: &[(TopicPartition, i32)],
    ) -> Result<Vec<Option<i64>>, Error> {
        let limit = self.request_timeout();
        let epochs: Arc<BTreeMap<TopicPartition, i32>> = Arc::new(partitions.iter().cloned().collect());
        let names: Vec<TopicPartition> = partitions.iter().map(|(partition, _)| partition.clone()).collect();
        self.ask_leaders(
            &names,
            Lane::Questions,
            "find the end of an epoch",
            move |connection: Arc<Connection>, led| {
                let epochs = epochs.clone();
                async move {
                    let wanted = led.into_iter().map(|led| {
                        let epoch = epochs.get(&led.partition).copied().unwrap_or(-1);
                        (led.partition, (led.leader_epoch, epoch))
                    });
                    let topics = by_topic(wanted).into_iter().map(|(topic, partitions)| {
                        let partition = |(partition, (current, epoch))| {
                            OffsetForLeaderPartition::default()
                                .with_partition(partition)
                                .with_current_leader_epoch(current)
                                .with_leader_epoch(epoch)
                        };
                        OffsetForLeaderTopic::default()
                            .with_topic(topic_name(&topic))
                            .with_partitions(partitions.into_iter().map(partition).collect())
                    });
                    let topics = topics.collect();
                    let request = OffsetForLeaderEpochRequest::default().with_replica_id(CLIENT).with_topics(topics);
                    let reply = connection.call(limit, |_| request).await?;
                    let parts = reply.topics.into_iter().flat_map(|topic| {
                        let name: Arc<str> = Arc::from(topic.topic.as_str());
                        topic.partitions.into_iter().map(move |part| {
                            let partition = TopicPartition { topic: name.clone(), partition: part.partition };
                            // -1 stands for "unknown".
                            let end = Some(part.end_offset).filter(|end| *end >= 0);
                            (partition, if part.error_code == 0 { Ok(end) } else { Err(part.error_code) })
                        })
                    });
                    Ok(parts.collect())
                }
            },
        )
        .await
    }

    /// Deletes the records before the offset of each partition.
    ///
    /// # Errors
    /// The first partition that failed; others may have been done.
    pub async fn delete_records(&self, before: &[(TopicPartition, i64)]) -> Result<(), Error> {
        let limit = self.request_timeout();
        let timeout_ms = milliseconds(limit);
        let offsets: Arc<BTreeMap<TopicPartition, i64>> = Arc::new(before.iter().cloned().collect());
        let names: Vec<TopicPartition> = before.iter().map(|(partition, _)| partition.clone()).collect();
        let deleted =
            self.ask_leaders(&names, Lane::Changes, "delete records", move |connection: Arc<Connection>, led| {
                let offsets = offsets.clone();
                async move {
                    let wanted = led.into_iter().filter_map(|led| {
                        let offset = *offsets.get(&led.partition)?;
                        Some((led.partition, offset))
                    });
                    let topics = by_topic(wanted).into_iter().map(|(topic, partitions)| {
                        let partition = |(partition, offset)| {
                            DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset)
                        };
                        DeleteRecordsTopic::default()
                            .with_name(topic_name(&topic))
                            .with_partitions(partitions.into_iter().map(partition).collect())
                    });
                    let topics = topics.collect();
                    let request = DeleteRecordsRequest::default().with_timeout_ms(timeout_ms).with_topics(topics);
                    let reply = connection.call(limit, |_| request).await?;
                    let parts = reply.topics.into_iter().flat_map(|topic| {
                        let name: Arc<str> = Arc::from(topic.name.as_str());
                        topic.partitions.into_iter().map(move |part| {
                            let partition = TopicPartition { topic: name.clone(), partition: part.partition_index };
                            (partition, if part.error_code == 0 { Ok(()) } else { Err(part.error_code) })
                        })
                    });
                    Ok(parts.collect())
                }
            });
        deleted.await.map(drop)
    }

    /// A group's offsets, in the order of the question. With `require_stable`, offsets that an open transaction may still
    /// change are the retriable error 88, `UNSTABLE_OFFSET_COMMIT`.
    ///
    /// # Errors
    /// There is no coordinator, or it answers with an error for the group or a partition.
    pub async fn committed_offsets(
        &self,
        group_id: &str,
        partitions: &[TopicPartition],
        require_stable: bool,
    ) -> Result<Vec<CommittedOffset>, Error> {
        if partitions.is_empty() {
            // An empty list would ask for nothing, a missing one for everything.
            return Ok(Vec::new());
        }
        let action = format!("fetch offsets of group {group_id}");
        let request = || {
            let topics = by_topic(partitions.iter().map(|partition| (partition.clone(), ())));
            let topics = topics.into_iter().map(|(topic, partitions)| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic_name(&topic))
                    .with_partition_indexes(partitions.into_iter().map(|(partition, ())| partition).collect())
            });
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text(group_id)))
                .with_topics(Some(topics.collect()));
            OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(require_stable)
        };
        for attempt in 1.. {
            let last = attempt == ATTEMPTS;
            let Some(connection) = self.coordinator_connection(group_id, last).await? else { continue };
            let reply = connection.call(self.request_timeout(), |_| request()).await;
            let Some(reply) = self.unless_moved(group_id, reply, last)? else { continue };
            let group = reply.groups.into_iter().find(|group| group.group_id.0.as_str() == group_id);
            let group = group.ok_or_else(|| Error::left_out(action.clone()))?;
            let worst = group.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code);
            let mut codes = std::iter::once(group.error_code).chain(worst);
            if codes.any(coordinator_moved) && !last {
                self.forget_coordinator(group_id);
                continue;
            }
            Error::refusal(group.error_code, || action.clone(), None)?;
            let mut found = BTreeMap::new();
            for topic in group.topics {
                let name: Arc<str> = Arc::from(topic.name.as_str());
                for part in topic.partitions {
                    let partition = TopicPartition { topic: name.clone(), partition: part.partition_index };
                    Error::refusal(part.error_code, || format!("{action} for {partition}"), None)?;
                    let offset = Some(part.committed_offset).filter(|offset| *offset != NONE_COMMITTED);
                    let metadata = part.metadata.map(|metadata| metadata.to_string()).unwrap_or_default();
                    found.insert(partition, CommittedOffset { offset, metadata });
                }
            }
            let take = |partition: &TopicPartition| {
                found.get(partition).cloned().ok_or_else(|| Error::left_out(format!("{action} for {partition}")))
            };
            return partitions.iter().map(take).collect();
        }
        Ok(Vec::new())
    }

    /// Commits offsets outside of transactions, under a seat in the group (rule C6).
    ///
    /// # Errors
    /// There is no coordinator, or it refuses: 22 and 25 mean that the seat is gone, 27 that the group is just forming.
    pub async fn commit_offsets(&self, member: &GroupMember, offsets: &[OffsetToCommit]) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let group_id = member.group_id();
        let action = || format!("commit offsets of group {group_id}");
        let request = || {
            let topics = by_topic(offsets.iter().map(|offset| (offset.partition.clone(), offset)));
            let topics = topics.into_iter().map(|(topic, partitions)| {
                let partition = |(partition, offset): (i32, &OffsetToCommit)| {
                    OffsetCommitRequestPartition::default()
                        .with_partition_index(partition)
                        .with_committed_offset(offset.offset)
                        .with_committed_leader_epoch(offset.leader_epoch)
                        .with_committed_metadata(Some(text(&offset.metadata)))
                };
                OffsetCommitRequestTopic::default()
                    .with_name(topic_name(&topic))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            OffsetCommitRequest::default()
                .with_group_id(GroupId(text(group_id)))
                .with_generation_id_or_member_epoch(member.generation())
                .with_member_id(text(member.member_id()))
                .with_group_instance_id(member.instance_id().map(text))
                .with_topics(topics.collect())
        };
        for attempt in 1.. {
            let last = attempt == ATTEMPTS;
            let Some(connection) = self.coordinator_connection(group_id, last).await? else { continue };
            let reply = connection.call(self.request_timeout(), |_| request()).await;
            let Some(reply) = self.unless_moved(group_id, reply, last)? else { continue };
            let codes = || reply.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code);
            if codes().any(coordinator_moved) && !last {
                self.forget_coordinator(group_id);
                continue;
            }
            if codes().count() < offsets.len() {
                return Err(Error::left_out(action()));
            }
            for topic in &reply.topics {
                for part in &topic.partitions {
                    let action = || format!("{} for {}-{}", action(), topic.name.as_str(), part.partition_index);
                    Error::refusal(part.error_code, action, None)?;
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// The offsets lane to a group's coordinator; `None` if it cannot be reached and this was not the last attempt.
    async fn coordinator_connection(&self, group_id: &str, last: bool) -> Result<Option<Arc<Connection>>, Error> {
        let coordinator = self.coordinator(group_id).await?;
        let connection = self.connection(&coordinator, Lane::Offsets).await;
        self.unless_moved(group_id, connection, last)
    }

    /// Takes a coordinator that cannot be reached for one that moved.
    fn unless_moved<T>(&self, group_id: &str, outcome: Result<T, Error>, last: bool) -> Result<Option<T>, Error> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let gone = matches!(error, Error::Connect { .. } | Error::Disconnected { .. } | Error::TimedOut { .. });
                if gone {
                    self.forget_coordinator(group_id);
                }
                // A request that was not answered in time has used up the caller's patience.
                let again = gone && !last && !matches!(error, Error::TimedOut { .. });
                if again { Ok(None) } else { Err(error) }
            }
        }
    }
}

fn coordinator_moved(code: i16) -> bool {
    matches!(code, code::COORDINATOR_NOT_AVAILABLE | code::NOT_COORDINATOR)
}

fn layout(name: Arc<str>, topic: crate::network::TopicMetadata) -> TopicLayout {
    let partitions = topic.partitions.into_iter().map(|(partition, metadata)| PartitionLayout {
        partition,
        leader: metadata.leader,
        replicas: metadata.replicas,
    });
    TopicLayout { name, id: topic.id, partitions: partitions.collect() }
}

fn create_topics_request(topics: &[NewTopic], validate_only: bool, timeout: Duration) -> CreateTopicsRequest {
    let creatable = |topic: &NewTopic| {
        let setting = |(key, value): &(String, String)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        };
        CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions.unwrap_or(-1))
            .with_replication_factor(topic.replication_factor.unwrap_or(-1))
            .with_configs(topic.settings.iter().map(setting).collect())
    };
    CreateTopicsRequest::default()
        .with_topics(topics.iter().map(creatable).collect())
        .with_timeout_ms(milliseconds(timeout))
        .with_validate_only(validate_only)
}

fn read_create_topics(topics: &[NewTopic], reply: CreateTopicsResponse) -> Vec<Result<CreatedTopic, CreateTopicError>> {
    let outcome = |topic: &NewTopic| {
        let action = format!("create topic {}", topic.name);
        let failed = |error: Error| CreateTopicError::Failed(error.into_broker_error(&action));
        let result = reply.topics.iter().find(|result| result.name.0.as_str() == &*topic.name);
        let Some(result) = result else { return Err(failed(Error::left_out(action.clone()))) };
        if result.error_code == code::TOPIC_ALREADY_EXISTS {
            return Err(CreateTopicError::Exists(topic.name.clone()));
        }
        Error::refusal(result.error_code, || action.clone(), result.error_message.as_deref()).map_err(failed)?;
        let (id, partitions) = (result.topic_id, result.num_partitions);
        Ok(CreatedTopic { id, partitions, replication_factor: result.replication_factor })
    };
    topics.iter().map(outcome).collect()
}

/// Groups partitions by topic, each partition once.
fn by_topic<T>(partitions: impl Iterator<Item = (TopicPartition, T)>) -> BTreeMap<Arc<str>, BTreeMap<i32, T>> {
    let mut topics: BTreeMap<Arc<str>, BTreeMap<i32, T>> = BTreeMap::new();
    for (partition, value) in partitions {
        topics.entry(partition.topic).or_default().insert(partition.partition, value);
    }
    topics
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
