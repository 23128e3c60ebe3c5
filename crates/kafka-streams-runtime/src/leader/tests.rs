//! The leader over a cluster that only exists here: which topics it makes, what it refuses, and the sums that it assigns by.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use kafka_streams_core::TaskId;
use kafka_streams_dsl::{Grouped, Materialized, Optimization, StreamsBuilder};
use kafka_streams_engine::port::CommittedOffset;

use super::*;
use crate::port::{ClusterDescription, CreatedTopic, PartitionLayout, TopicSettings};

/// A cluster of topics with one partition. Every changelog ends at 100.
#[derive(Default)]
pub(crate) struct Topics {
    names: Mutex<Vec<Arc<str>>>,
    committed: Option<i64>,
    group_is_unknown: bool,
}

impl Topics {
    pub(crate) fn of(names: &[&str]) -> Arc<Topics> {
        Arc::new(Topics { names: Mutex::new(names.iter().map(|name| Arc::from(*name)).collect()), ..Topics::default() })
    }

    fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().iter().map(|name| name.to_string()).collect()
    }

    fn layout(name: &Arc<str>) -> TopicLayout {
        let partition = PartitionLayout { partition: 0, leader: Some(1), replicas: vec![1] };
        TopicLayout { name: name.clone(), id: Default::default(), partitions: vec![partition] }
    }
}

impl ClusterAdmin for Topics {
    fn describe_cluster(&self) -> BoxFuture<'_, Result<ClusterDescription, BrokerError>> {
        Box::pin(async { Ok(ClusterDescription { cluster_id: None, brokers: vec![], controller: None }) })
    }

    fn describe_topics<'a>(
        &'a self,
        topics: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<Option<TopicLayout>>, BrokerError>> {
        let names = self.names.lock().unwrap().clone();
        let describe = move |topic: &Arc<str>| names.contains(topic).then(|| Topics::layout(topic));
        Box::pin(async move { Ok(topics.iter().map(describe).collect()) })
    }

    fn list_topics(&self) -> BoxFuture<'_, Result<Vec<TopicLayout>, BrokerError>> {
        let all = self.names.lock().unwrap().iter().map(Topics::layout).collect();
        Box::pin(async { Ok(all) })
    }

    fn create_topics<'a>(
        &'a self,
        topics: &'a [NewTopic],
    ) -> BoxFuture<'a, Result<Vec<Result<CreatedTopic, CreateTopicError>>, BrokerError>> {
        self.names.lock().unwrap().extend(topics.iter().map(|topic| topic.name.clone()));
        let created = CreatedTopic { id: Default::default(), partitions: 1, replication_factor: 1 };
        Box::pin(async move { Ok(topics.iter().map(|_| Ok(created.clone())).collect()) })
    }

    fn topic_settings<'a>(&'a self, _: &'a [Arc<str>]) -> BoxFuture<'a, Result<Vec<TopicSettings>, BrokerError>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn list_offsets<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
        _: LogEdge,
    ) -> BoxFuture<'a, Result<Vec<i64>, BrokerError>> {
        Box::pin(async { Ok(vec![100; partitions.len()]) })
    }

    fn committed_offsets<'a>(
        &'a self,
        group_id: &'a str,
        partitions: &'a [TopicPartition],
        _: bool,
    ) -> BoxFuture<'a, Result<Vec<CommittedOffset>, BrokerError>> {
        let refused = self.group_is_unknown.then(|| BrokerError {
            kind: BrokerErrorKind::Retriable,
            action: "fetch offsets".to_owned(),
            message: "COORDINATOR_LOAD_IN_PROGRESS".to_owned(),
        });
        assert_eq!(group_id, "app");
        let offset = CommittedOffset { offset: self.committed, metadata: String::new() };
        Box::pin(async move { refused.map_or(Ok(vec![offset; partitions.len()]), Err) })
    }
}

fn leader(topology: Topology, cluster: Arc<Topics>) -> Leader {
    Leader {
        topology: Arc::new(topology),
        application_id: "app".into(),
        process_id: ProcessId::FUTURE,
        options: PlanOptions::default(),
        cluster,
        patience: Duration::from_secs(10),
        findings: Arc::default(),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// What is refused, if so; what the leader knows of the tasks, if not.
fn lead(leader: &Leader) -> Result<Vec<TaskSpec>, String> {
    let work = async {
        let plan = leader.plan().await?;
        let new = leader.make_internal_topics(&plan).await?;
        leader.task_specs(&plan, &new).await
    };
    block_on(work).map_err(|refusal| match refusal {
        Refusal::Code(_, reason) | Refusal::Later(reason) => reason,
    })
}

fn counting(naming: Naming, counts: Materialized<String, i64>) -> Topology {
    let builder = StreamsBuilder::with_naming(naming);
    builder.stream::<String, String>("words").group_by_key(Grouped::default()).count(counts).to_stream().to("counts");
    builder.build().unwrap()
}

const OURS: &str = "app-KSTREAM-AGGREGATE-STATE-STORE-0000000000-changelog";
const JVMS: &str = "app-KSTREAM-AGGREGATE-STATE-STORE-0000000001-changelog";

#[test]
fn missing_internal_topics_are_made() {
    let cluster = Topics::of(&["words"]);
    let specs = lead(&leader(counting(Naming::PerClass, Materialized::default()), cluster.clone())).unwrap();
    assert_eq!(cluster.names(), ["words", OURS]);
    assert_eq!(specs[0].changelog_end_offset_sum, Some(0), "new");
    let specs = lead(&leader(counting(Naming::PerClass, Materialized::default()), cluster)).unwrap();
    assert_eq!(specs[0].changelog_end_offset_sum, Some(100));
}

#[test]
fn topics_with_the_jvms_numbers_are_an_error_before_any_topic_is_made() {
    let cluster = Topics::of(&["words", JVMS]);
    let error = lead(&leader(counting(Naming::PerClass, Materialized::default()), cluster.clone())).unwrap_err();
    for part in [OURS, JVMS, "Naming::Jvm", "explicitly", "application.id"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    assert_eq!(cluster.names(), ["words", JVMS]);
}

#[test]
fn the_jvms_numbering_goes_on_from_the_jvms_topics() {
    let cluster = Topics::of(&["words", JVMS]);
    lead(&leader(counting(Naming::Jvm, Materialized::default()), cluster.clone())).unwrap();
    assert_eq!(cluster.names(), ["words", JVMS]);
    // Its numbers move with every change, as the JVM's do; that is no error there either.
    let cluster = Topics::of(&["words", "app-KSTREAM-AGGREGATE-STATE-STORE-0000000007-changelog"]);
    lead(&leader(counting(Naming::Jvm, Materialized::default()), cluster)).unwrap();
}

#[test]
fn explicit_names_do_not_mind_the_jvms_topics() {
    let cluster = Topics::of(&["words", JVMS]);
    lead(&leader(counting(Naming::PerClass, Materialized::named("counts")), cluster.clone())).unwrap();
    assert_eq!(cluster.names(), ["words", JVMS, "app-counts-changelog"]);
}

fn table() -> Topology {
    let builder = StreamsBuilder::new();
    builder.table::<String, String>("users").to_stream().to("copies");
    builder.build_optimized(&Optimization::ALL).unwrap()
}

#[test]
fn a_source_topic_used_as_changelog_counts_up_to_its_committed_position() {
    let cluster =
        |committed| Arc::new(Topics { committed, names: Mutex::new(vec!["users".into()]), ..Topics::default() });
    let specs = lead(&leader(table_with_store(), cluster(Some(7)))).unwrap();
    assert_eq!((specs[0].id, specs[0].stateful), (TaskId::new(0, 0), true));
    assert_eq!(specs[0].changelog_end_offset_sum, Some(7));
    let specs = lead(&leader(table_with_store(), cluster(None))).unwrap();
    assert_eq!(specs[0].changelog_end_offset_sum, Some(0), "nothing is committed yet");
    assert!(!lead(&leader(table(), cluster(None))).unwrap()[0].stateful);
}

#[test]
fn a_committed_position_that_cannot_be_had_leaves_tasks_where_they_are() {
    let names = Mutex::new(vec!["users".into()]);
    let cluster = Arc::new(Topics { group_is_unknown: true, names, ..Topics::default() });
    let specs = lead(&leader(table_with_store(), cluster)).unwrap();
    assert_eq!(specs[0].changelog_end_offset_sum, None);
}

fn table_with_store() -> Topology {
    let builder = StreamsBuilder::new();
    let users = builder.table_with::<String, String>("users", Default::default(), Materialized::named("users"));
    users.to_stream().to("copies");
    builder.build_optimized(&Optimization::ALL).unwrap()
}

#[test]
fn topics_that_are_left_over_are_told_once_and_stay() {
    let left = "app-KSTREAM-REDUCE-STATE-STORE-0000000007-changelog";
    let cluster = Topics::of(&["words", "counts", OURS, left, "application-x-changelog"]);
    let leader = leader(counting(Naming::PerClass, Materialized::default()), cluster.clone());
    let orphans = block_on(leader.new_orphans());
    assert_eq!(orphans.iter().map(|orphan| orphan.topic.as_str()).collect::<Vec<_>>(), [left]);
    assert_eq!(block_on(leader.new_orphans()), []);
    assert_eq!(cluster.names().len(), 5);
}

#[test]
fn a_new_store_of_a_pinned_topology_is_not_taken_for_a_renumbered_one() {
    let old = counting(Naming::PerClass, Materialized::default()).to_manifest();
    let builder = StreamsBuilder::with_naming(Naming::PerClass).with_pinned_names(old);
    let words = builder.stream::<String, String>("words");
    words.group_by_key(Grouped::default()).reduce(|_, new| new, Materialized::default());
    words.to("counts");
    let pinned = builder.build().unwrap();
    let cluster = Topics::of(&["words", OURS, "app-KSTREAM-REDUCE-STATE-STORE-0000000009-changelog"]);
    assert!(lead(&leader(pinned, cluster.clone())).is_ok());
    assert!(cluster.names().contains(&"app-KSTREAM-REDUCE-STATE-STORE-0000000000-changelog".to_owned()));
}
