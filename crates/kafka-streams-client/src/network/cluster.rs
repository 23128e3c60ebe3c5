//! What is known of the cluster, and the connections to its brokers.
//!
//! Knowledge is a cache: which broker leads a partition or coordinates a group is asked for once and forgotten when a
//! broker denies it. Nothing here retries for long: that is the caller's policy (`task.timeout.ms`).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_streams_core::{TopicId, TopicPartition};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::backoff::Backoff;
use super::connection::Connection;
use super::settings::{Address, ConnectionSettings};
use super::tls;
use crate::error::{Error, code};

/// A Kafka cluster as a client sees it. Cheap to clone; all clones share connections and knowledge.
///
/// Everything runs on the tokio runtime of the caller. Connections are made when they are needed first, and closed with
/// the last clone.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

/// Requests that may hold each other up go over different connections to the same broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Questions about the cluster and its logs, which are answered at once.
    Questions,
    /// CreateTopics and DeleteRecords, which wait on the broker for replicas.
    Changes,
    /// OffsetCommit and OffsetFetch, which must never wait for a JoinGroup.
    Offsets,
}

/// What metadata say about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicMetadata {
    pub(crate) id: TopicId,
    /// By partition number.
    pub(crate) partitions: BTreeMap<i32, PartitionMetadata>,
    pub(crate) is_internal: bool,
}

/// What metadata say about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionMetadata {
    /// The leader's broker id; `None` during an election.
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
}

/// An answer to a Metadata request.
pub(crate) struct Metadata {
    pub(crate) cluster_id: Option<String>,
    /// In the order of the answer; `Err` is the topic's error code.
    pub(crate) topics: Vec<(Arc<str>, Result<TopicMetadata, i16>)>,
    pub(crate) brokers: BTreeMap<i32, (Address, Option<String>)>,
    pub(crate) controller: Option<i32>,
}

/// A partition that a request to its leader is about.
#[derive(Clone, Debug)]
pub(crate) struct Led {
    pub(crate) partition: TopicPartition,
    /// The leader epoch that we know of; -1 if none.
    pub(crate) leader_epoch: i32,
}

/// A leader's answer: for each partition its part, or the error code.
pub(crate) type LeaderReply<T> = Result<Vec<(TopicPartition, Result<T, i16>)>, Error>;

struct Shared {
    settings: ConnectionSettings,
    tls: Option<TlsConnector>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    brokers: BTreeMap<i32, Address>,
    controller: Option<i32>,
    leaders: BTreeMap<TopicPartition, (i32, i32)>,
    coordinators: BTreeMap<String, Address>,
    connections: BTreeMap<(Address, Lane), Arc<Slot>>,
    backoffs: BTreeMap<Address, Backoff>,
}

/// The place of a connection. Who finds it empty makes the connection while the others wait.
type Slot = tokio::sync::Mutex<Place>;

#[derive(Default)]
struct Place {
    connection: Option<Arc<Connection>>,
    /// The last failure and when it was known: it also answers who waited for that attempt.
    failure: Option<(Instant, Error)>,
}

/// Rounds of a request to partition leaders: the first with what is known, the second after asking for leaders again.
const LEADER_ROUNDS: usize = 2;

impl Cluster {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is no bootstrap server, or certificates or keys cannot be read.
    pub fn new(settings: ConnectionSettings) -> Result<Cluster, Error> {
        if settings.bootstrap.is_empty() {
            return Err(Error::Settings { reason: "bootstrap.servers is empty".to_owned() });
        }
        let tls = settings.security.tls.as_ref().map(tls::connector).transpose()?;
        Ok(Cluster { shared: Arc::new(Shared { settings, tls, known: Mutex::default() }) })
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &ConnectionSettings {
        &self.shared.settings
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.shared.settings.request_timeout
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic elsewhere cannot leave a table half-changed.
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection of the caller's own. If this broker failed before, waits until it may be tried again.
    pub(crate) async fn connect(&self, address: &Address) -> Result<Connection, Error> {
        let until = self.known().backoffs.get(address).and_then(Backoff::until);
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
        let settings = &self.shared.settings;
        let outcome = Connection::open(settings, self.shared.tls.as_ref(), address).await;
        let mut known = self.known();
        match &outcome {
            Ok(_) => {
                known.backoffs.remove(address);
            }
            Err(error) => {
                tracing::debug!(broker = %address, %error, "connection failed");
                let (first, longest) = (settings.reconnect_backoff, settings.reconnect_backoff_max);
                let backoff = known
                    .backoffs
                    .entry(address.clone())
                    .or_insert_with(|| Backoff::new(first, longest, settings.jitter_seed));
                backoff.failed(Instant::now());
            }
        }
        outcome
    }

    /// The connection of a lane to a broker, made if need be.
    pub(crate) async fn connection(&self, address: &Address, lane: Lane) -> Result<Arc<Connection>, Error> {
        let asked_at = Instant::now();
        let slot = self.known().connections.entry((address.clone(), lane)).or_default().clone();
        let mut place = slot.lock().await;
        if let Some(usable) = place.connection.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(usable.clone());
        }
        if let Some((_, error)) = place.failure.as_ref().filter(|(failed_at, _)| *failed_at > asked_at) {
            return Err(error.clone());
        }
        match self.connect(address).await {
            Ok(made) => {
                let made = Arc::new(made);
                *place = Place { connection: Some(made.clone()), failure: None };
                Ok(made)
            }
            Err(error) => {
                *place = Place { connection: None, failure: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    /// A connection to whichever broker answers: the known ones, then the bootstrap servers.
    async fn any_connection(&self) -> Result<Arc<Connection>, Error> {
        let candidates = self.candidates();
        let mut last = None;
        for address in candidates {
            match self.connection(&address, Lane::Questions).await {
                Ok(connection) => return Ok(connection),
                Err(error) if error.is_retriable() => last = Some(error),
                // The next broker would refuse us for the same reason.
                Err(error) => return Err(error),
            }
        }
        let bootstrap = self.shared.settings.bootstrap.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let last = last.unwrap_or_else(|| Error::Settings { reason: "bootstrap.servers is empty".to_owned() });
        Err(Error::NoBroker { bootstrap, last: Box::new(last) })
    }

    /// Brokers in the order in which to try them: those that failed last come last, so that nobody waits for a dead one
    /// while another would answer.
    fn candidates(&self) -> Vec<Address> {
        let known = self.known();
        let mut candidates: Vec<Address> = known.brokers.values().cloned().collect();
        for address in &self.shared.settings.bootstrap {
            if !candidates.contains(address) {
                candidates.push(address.clone());
            }
        }
        candidates.sort_by_key(|address| known.backoffs.get(address).and_then(Backoff::until));
        candidates
    }

    /// The address of a broker by its id.
    fn address_of(&self, broker: i32) -> Option<Address> {
        self.known().brokers.get(&broker).cloned()
    }

    /// Asks for topics; `None` asks for all. Never makes the broker create one. Also learns brokers and leaders.
    pub(crate) async fn ask_metadata(&self, topics: Option<&[Arc<str>]>) -> Result<Metadata, Error> {
        let connection = self.any_connection().await?;
        let named = |topic: &Arc<str>| {
            MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(topic.to_string()))))
        };
        let topics = topics.map(|topics| topics.iter().map(named).collect::<Vec<_>>());
        let reply = connection
            .call(self.request_timeout(), |_| {
                MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false)
            })
            .await?;
        let metadata = read_metadata(reply);
        self.learn(&metadata);
        Ok(metadata)
    }

    fn learn(&self, metadata: &Metadata) {
        let mut known = self.known();
        known.controller = metadata.controller;
        known.brokers = metadata.brokers.iter().map(|(id, (address, _))| (*id, address.clone())).collect();
        for (topic, outcome) in &metadata.topics {
            known.leaders.retain(|partition, _| partition.topic != *topic);
            let Ok(topic_metadata) = outcome else { continue };
            for (partition, partition_metadata) in &topic_metadata.partitions {
                if let Some(leader) = partition_metadata.leader {
                    let partition = TopicPartition { topic: topic.clone(), partition: *partition };
                    known.leaders.insert(partition, (leader, partition_metadata.leader_epoch));
                }
            }
        }
        let addresses: BTreeSet<Address> = known
            .brokers
            .values()
            .chain(&self.shared.settings.bootstrap)
            .chain(known.coordinators.values())
            .cloned()
            .collect();
        // Brokers that left the cluster.
        known.connections.retain(|(address, _), _| addresses.contains(address));
        known.backoffs.retain(|address, _| addresses.contains(address));
    }

    /// A connection to the controller (any broker, where brokers pass requests on to it).
    pub(crate) async fn controller(&self, lane: Lane, refresh: bool) -> Result<Arc<Connection>, Error> {
        if refresh || self.known().controller.is_none() {
            self.ask_metadata(Some(&[])).await?;
        }
        let controller = self.known().controller;
        match controller.and_then(|controller| self.address_of(controller)) {
            Some(address) => self.connection(&address, lane).await,
            None => self.any_connection().await,
        }
    }

    /// The address of a group's coordinator, from the cache or asked for.
    ///
    /// # Errors
    /// [`Error::Refused`] with 14 or 15 while there is none.
    pub(crate) async fn coordinator(&self, group: &str) -> Result<Address, Error> {
        let cached = self.known().coordinators.get(group).cloned();
        match cached {
            Some(address) => Ok(address),
            None => self.find_coordinator(group).await,
        }
    }

    /// Asks for the group's coordinator, whatever is cached.
    pub(crate) async fn find_coordinator(&self, group: &str) -> Result<Address, Error> {
        self.forget_coordinator(group);
        let connection = self.any_connection().await?;
        let reply = connection
            .call(self.request_timeout(), |_| {
                FindCoordinatorRequest::default()
                    .with_key_type(0)
                    .with_coordinator_keys(vec![StrBytes::from_string(group.to_owned())])
            })
            .await?;
        let action = || format!("find the coordinator of group {group}");
        let Some(found) = reply.coordinators.into_iter().find(|found| found.key.as_str() == group) else {
            Error::refusal(reply.error_code, action, reply.error_message.as_deref())?;
            return Err(Error::left_out(action()));
        };
        Error::refusal(found.error_code, action, found.error_message.as_deref())?;
        let address = u16::try_from(found.port).map(|port| Address::new(found.host.to_string(), port));
        let address = address.map_err(|_| Error::Refused {
            action: action(),
            code: code::COORDINATOR_NOT_AVAILABLE,
            message: format!("its port is {}", found.port),
        })?;
        self.known().coordinators.insert(group.to_owned(), address.clone());
        Ok(address)
    }

    /// The broker is not the coordinator, or cannot be reached: ask again next time.
    pub(crate) fn forget_coordinator(&self, group: &str) {
        self.known().coordinators.remove(group);
    }

    /// Asks the leader of every partition, in parallel; leaders that moved are looked up again once. The parts come in
    /// the order of `partitions`.
    ///
    /// # Errors
    /// The first partition that failed, as `refused` puts it.
    pub(crate) async fn ask_leaders<T, A, F>(
        &self,
        partitions: &[TopicPartition],
        lane: Lane,
        action: &str,
        ask: A,
    ) -> Result<Vec<T>, Error>
    where
        T: Clone + Send + 'static,
        A: Fn(Arc<Connection>, Vec<Led>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = LeaderReply<T>> + Send + 'static,
    {
        let mut parts: BTreeMap<TopicPartition, Result<T, Error>> = BTreeMap::new();
        for round in 0..LEADER_ROUNDS {
            let open: BTreeSet<&TopicPartition> =
                partitions.iter().filter(|partition| !matches!(parts.get(partition), Some(Ok(_)))).collect();
            if open.is_empty() {
                break;
            }
            let open: Vec<TopicPartition> = open.into_iter().cloned().collect();
            let answers = self.ask_leaders_once(&open, lane, action, round > 0, &ask).await?;
            let moved = answers.iter().any(|(_, answer)| answer.as_ref().is_err_and(leader_moved));
            parts.extend(answers);
            if !moved {
                break;
            }
        }
        let take = |partition: &TopicPartition| {
            let missing = || Err(Error::left_out(format!("{action} of {partition}")));
            parts.get(partition).cloned().unwrap_or_else(missing)
        };
        partitions.iter().map(take).collect()
    }

    async fn ask_leaders_once<T, A, F>(
        &self,
        partitions: &[TopicPartition],
        lane: Lane,
        action: &str,
        refresh: bool,
        ask: &A,
    ) -> Result<Vec<(TopicPartition, Result<T, Error>)>, Error>
    where
        T: Clone + Send + 'static,
        A: Fn(Arc<Connection>, Vec<Led>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = LeaderReply<T>> + Send + 'static,
    {
        let mut answers = Vec::with_capacity(partitions.len());
        let by_leader = self.group_by_leader(partitions, action, refresh, &mut answers).await?;
        let mut tasks = JoinSet::new();
        for (address, led) in by_leader {
            let names: Vec<TopicPartition> = led.iter().map(|led| led.partition.clone()).collect();
            let (cluster, ask) = (self.clone(), ask.clone());
            tasks.spawn(async move {
                let asked = async { ask(cluster.connection(&address, lane).await?, led).await };
                let outcome = asked.await;
                (names, outcome)
            });
        }
        while let Some(joined) = tasks.join_next().await {
            // A request that panicked (it does not) leaves its partitions out.
            let Ok((names, outcome)) = joined else { continue };
            match outcome {
                Ok(parts) => answers.extend(parts.into_iter().map(|(partition, part)| {
                    let part = part.map_err(|code| Error::Refused {
                        action: format!("{action} of {partition}"),
                        code,
                        message: String::new(),
                    });
                    (partition, part)
                })),
                Err(error) => answers.extend(names.into_iter().map(|name| (name, Err(error.clone())))),
            }
        }
        Ok(answers)
    }

    /// Partitions by the address of their leader; those without one go to `answers` with the reason.
    async fn group_by_leader<T>(
        &self,
        partitions: &[TopicPartition],
        action: &str,
        refresh: bool,
        answers: &mut Vec<(TopicPartition, Result<T, Error>)>,
    ) -> Result<BTreeMap<Address, Vec<Led>>, Error> {
        let unknown: BTreeSet<Arc<str>> = {
            let known = self.known();
            let needed = partitions.iter().filter(|partition| refresh || !known.leaders.contains_key(*partition));
            needed.map(|partition| partition.topic.clone()).collect()
        };
        let mut codes: BTreeMap<Arc<str>, i16> = BTreeMap::new();
        if !unknown.is_empty() {
            let topics: Vec<Arc<str>> = unknown.into_iter().collect();
            let metadata = self.ask_metadata(Some(&topics)).await?;
            codes.extend(metadata.topics.into_iter().filter_map(|(topic, outcome)| Some((topic, outcome.err()?))));
        }
        let known = self.known();
        let mut by_leader: BTreeMap<Address, Vec<Led>> = BTreeMap::new();
        for partition in partitions {
            let leader = known.leaders.get(partition).copied();
            let found = leader.and_then(|(leader, epoch)| Some((known.brokers.get(&leader)?.clone(), epoch)));
            match found {
                Some((address, leader_epoch)) => {
                    by_leader.entry(address).or_default().push(Led { partition: partition.clone(), leader_epoch });
                }
                None => {
                    let has_topic = known.leaders.keys().any(|other| other.topic == partition.topic);
                    // The topic's own error; or the partition does not exist; or nobody leads it.
                    let otherwise =
                        if has_topic { code::UNKNOWN_TOPIC_OR_PARTITION } else { code::LEADER_NOT_AVAILABLE };
                    let code = codes.get(&partition.topic).copied().unwrap_or(otherwise);
                    let action = format!("{action} of {partition}");
                    answers.push((partition.clone(), Err(Error::Refused { action, code, message: String::new() })));
                }
            }
        }
        Ok(by_leader)
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// Whether asking for the leader again may help: the broker does not lead the partition (any more), leads it in another
/// epoch, or cannot be reached.
fn leader_moved(error: &Error) -> bool {
    match error {
        Error::Connect { .. } | Error::Disconnected { .. } => true,
        Error::Refused { code, .. } => matches!(
            *code,
            code::UNKNOWN_TOPIC_OR_PARTITION
                | code::LEADER_NOT_AVAILABLE
                | code::NOT_LEADER_OR_FOLLOWER
                | code::REPLICA_NOT_AVAILABLE
                | code::KAFKA_STORAGE_ERROR
                | code::FENCED_LEADER_EPOCH
        ),
        _ => false,
    }
}

fn read_metadata(reply: MetadataResponse) -> Metadata {
    let brokers = reply.brokers.into_iter().filter_map(|broker| {
        let port = u16::try_from(broker.port).ok()?;
        let rack = broker.rack.map(|rack| rack.to_string());
        Some((broker.node_id.0, (Address::new(broker.host.to_string(), port), rack)))
    });
    let topics = reply.topics.into_iter().filter_map(|topic| {
        let name: Arc<str> = Arc::from(topic.name?.as_str());
        if topic.error_code != 0 {
            return Some((name, Err(topic.error_code)));
        }
        let partitions = topic.partitions.into_iter().map(|partition| {
            let leader = Some(partition.leader_id.0).filter(|leader| *leader >= 0);
            let replicas = partition.replica_nodes.iter().map(|replica| replica.0).collect();
            let metadata = PartitionMetadata { leader, leader_epoch: partition.leader_epoch, replicas };
            (partition.partition_index, metadata)
        });
        let partitions = partitions.collect();
        Some((name, Ok(TopicMetadata { id: topic.topic_id, partitions, is_internal: topic.is_internal })))
    });
    Metadata {
        cluster_id: reply.cluster_id.map(|id| id.to_string()),
        topics: topics.collect(),
        brokers: brokers.collect(),
        controller: Some(reply.controller_id.0).filter(|controller| *controller >= 0),
    }
}
