//! Internal topics and tasks, worked out from the partitions of the source topics.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Counts, pass, sink, source, store};
use kafka_streams_core::TaskId;
use kafka_streams_state::StoreKind;
use kafka_streams_topology::{
    Draft, InternalTopicKind, Plan, PlanError, PlanOptions, Topology, plan, validate_existing,
};
use proptest::prelude::*;

fn counts(topics: &[(&str, i32)]) -> BTreeMap<Arc<str>, i32> {
    topics.iter().map(|(topic, partitions)| ((*topic).into(), *partitions)).collect()
}

fn planned(topology: &Topology, topics: &[(&str, i32)]) -> Result<Plan, PlanError> {
    plan(topology, "app", &PlanOptions::default(), &counts(topics))
}

/// `in` → repartition → count with a store → `out`, beside a topic that is only passed on.
fn word_count() -> Topology {
    let mut draft = Draft::new();
    let lines = source(&mut draft, "lines", &["in"]);
    sink(&mut draft, "to-words", &[lines], "by-word-repartition");
    let words = source(&mut draft, "words", &["by-word-repartition"]);
    let counted = store(&mut draft, "counts");
    let count = pass(&mut draft, "count", &[words], &[counted]);
    sink(&mut draft, "out", &[count], "out");
    let other = source(&mut draft, "other", &["a", "b"]);
    sink(&mut draft, "copy", &[other], "copied");
    draft.build().unwrap()
}

#[test]
fn a_plan_has_the_tasks_and_internal_topics_of_every_subtopology() {
    let plan = planned(&word_count(), &[("in", 3), ("a", 1), ("b", 2), ("unread", 9)]).unwrap();
    let tasks: Vec<String> = plan
        .tasks
        .iter()
        .map(|task| {
            let list = |partitions: &[kafka_streams_core::TopicPartition]| {
                partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            };
            format!("{} reads {} logs {}", task.id, list(&task.sources), list(&task.changelogs))
        })
        .collect();
    assert_eq!(
        tasks,
        [
            "0_0 reads in-0 logs ",
            "0_1 reads in-1 logs ",
            "0_2 reads in-2 logs ",
            "1_0 reads app-by-word-repartition-0 logs app-counts-changelog-0",
            "1_1 reads app-by-word-repartition-1 logs app-counts-changelog-1",
            "1_2 reads app-by-word-repartition-2 logs app-counts-changelog-2",
            "2_0 reads a-0,b-0 logs ",
            "2_1 reads b-1 logs ",
        ]
    );
    let topics: Vec<_> = plan.internal_topics.values().map(|topic| (&*topic.name, topic.partitions)).collect();
    assert_eq!(topics, [("app-by-word-repartition", 3), ("app-counts-changelog", 3)]);
    let changelog = &plan.internal_topics["app-counts-changelog"];
    assert_eq!(changelog.kind, InternalTopicKind::Changelog { store: "counts".into() });
    assert_eq!(changelog.config["cleanup.policy"], "compact");
    assert_eq!((changelog.replication_factor, changelog.explicit_partitions), (-1, false));
    assert_eq!(plan.task(TaskId::new(2, 1)).map(|task| task.sources.len()), Some(1));
    assert_eq!(plan.task(TaskId::new(2, 2)), None);
    assert_eq!(plan.source_topics.len(), 4);
}

#[test]
fn missing_source_topics_are_told_all_at_once() {
    let refused = planned(&word_count(), &[("a", 1)]).unwrap_err();
    assert_eq!(refused, PlanError::MissingSourceTopics { topics: vec!["b".into(), "in".into()] });
    assert_eq!(refused.to_string(), "source topics do not exist: b, in; create them before the application starts");
}

#[test]
fn existing_internal_topics_must_have_the_planned_partitions() {
    let plan = planned(&word_count(), &[("in", 3), ("a", 1), ("b", 2)]).unwrap();
    let names = |existing: &[(&str, i32)]| {
        let missing = validate_existing(&plan, &counts(existing))?;
        Ok::<_, PlanError>(missing.iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap(), ["app-by-word-repartition", "app-counts-changelog"]);
    assert_eq!(names(&[("app-counts-changelog", 3), ("app-old-changelog", 7)]).unwrap(), ["app-by-word-repartition"]);
    assert_eq!(names(&[("app-counts-changelog", 3), ("app-by-word-repartition", 3)]).unwrap(), [""; 0]);
    let (topic, existing, required) = ("app-counts-changelog".into(), 2, 3);
    let refused = names(&[("app-counts-changelog", 2)]).unwrap_err();
    assert_eq!(refused, PlanError::PartitionMismatch { topic, existing, required });
}

#[test]
fn a_source_topic_as_changelog_makes_no_topic_and_is_restored_where_it_has_the_partition() {
    let mut draft = Draft::new();
    let read = source(&mut draft, "read", &["big", "table"]);
    let table = store(&mut draft, "table-store");
    pass(&mut draft, "next", &[read], &[table]);
    draft.use_source_as_changelog(table, "table");
    let plan = planned(&draft.build().unwrap(), &[("table", 1), ("big", 2)]).unwrap();
    assert!(plan.internal_topics.is_empty());
    let restored: Vec<usize> = plan.tasks.iter().map(|task| task.source_changelogs.len()).collect();
    assert_eq!(restored, [1, 0]);
    assert!(plan.tasks.iter().all(|task| task.changelogs.is_empty()));
}

/// Two sources that are joined, each on a topic; internal topics are written by a source of `from-<topic>`.
fn joined(left: (&str, Option<i32>), right: (&str, Option<i32>)) -> Topology {
    let mut draft = Draft::new();
    let mut sources = Vec::new();
    for (topic, partitions) in [left, right] {
        if topic.ends_with("-repartition") {
            draft.add_repartition_topic(topic, partitions).unwrap();
            let from = source_of(&mut draft, &format!("from-{topic}").replace("-repartition", ""));
            let to = common::topic(topic);
            let to = kafka_streams_topology::SinkSpec::new(to, common::strings(), common::strings());
            draft.add_sink(&format!("to-{topic}"), &[from], to).unwrap();
        }
        sources.push(source_of(&mut draft, topic));
    }
    pass(&mut draft, "join", &sources, &[]);
    draft.copartition(&sources);
    draft.build().unwrap()
}

fn source_of(draft: &mut Draft, topic: &str) -> kafka_streams_core::NodeId {
    let topics = [common::topic(topic)];
    let spec = kafka_streams_topology::SourceSpec::new(topics, common::strings(), common::strings());
    draft.add_source(&format!("read-{topic}"), spec).unwrap()
}

#[test]
fn joined_external_topics_must_have_equal_numbers() {
    let topology = joined(("l", None), ("r", None));
    assert!(planned(&topology, &[("l", 2), ("r", 2)]).is_ok());
    let refused = planned(&topology, &[("r", 3), ("l", 2)]).unwrap_err();
    assert_eq!(refused, PlanError::NotCopartitioned { topics: vec![("l".into(), 2), ("r".into(), 3)] });
    assert!(refused.to_string().contains("l (2), r (3)"), "{refused}");
}

#[test]
fn a_repartition_topic_takes_the_number_of_what_it_is_joined_with() {
    let topology = joined(("x-repartition", None), ("r", None));
    for (from, joined) in [(5, 2), (2, 5)] {
        let plan = planned(&topology, &[("from-x", from), ("r", joined)]).unwrap();
        assert_eq!(plan.internal_topics["app-x-repartition"].partitions, joined);
    }
    let both = joined(("x-repartition", None), ("y-repartition", None));
    let plan = planned(&both, &[("from-x", 2), ("from-y", 6)]).unwrap();
    assert!(plan.internal_topics.values().all(|topic| topic.partitions == 6 && !topic.explicit_partitions));
}

#[test]
fn sets_that_overlap_are_told_apart_as_on_the_jvm_and_planned_as_one() {
    let mut draft = Draft::new();
    let sources = ["a", "b", "c"].map(|topic| source_of(&mut draft, topic));
    pass(&mut draft, "join", &sources, &[]);
    let [a, b, c] = sources;
    draft.copartition(&[a, b]);
    draft.copartition(&[c]);
    draft.copartition(&[b, c]);
    let topology = draft.build().unwrap();
    // `b` comes before `c` in a Java hash set, so that `c` joins the set of `b`, and its own is no longer anybody's.
    assert_eq!(topology.copartition_sets("app"), [vec!["a".into(), "b".into(), "c".into()]]);
    let equal = [("a", 2), ("b", 2), ("c", 2)];
    assert!(planned(&topology, &equal).is_ok());

    let mut draft = Draft::new();
    let sources = ["a", "b", "c", "d"].map(|topic| source_of(&mut draft, topic));
    pass(&mut draft, "join", &sources, &[]);
    let [a, b, c, d] = sources;
    draft.copartition(&[a, b]);
    draft.copartition(&[c, d]);
    draft.copartition(&[b, c]);
    let topology = draft.build().unwrap();
    let sets = [vec!["a".into(), "b".into(), "c".into()], vec!["c".into(), "d".into()]];
    assert_eq!(topology.copartition_sets("app"), sets);
    let refused = planned(&topology, &[("a", 2), ("b", 2), ("c", 2), ("d", 3)]).unwrap_err();
    assert!(matches!(refused, PlanError::NotCopartitioned { .. }), "{refused}");
}

#[test]
fn an_explicit_number_is_kept_or_refused() {
    let topology = joined(("x-repartition", Some(4)), ("y-repartition", None));
    let plan = planned(&topology, &[("from-x", 9), ("from-y", 9)]).unwrap();
    assert!(plan.internal_topics.values().all(|topic| topic.partitions == 4));
    assert!(plan.internal_topics["app-x-repartition"].explicit_partitions);

    let topology = joined(("x-repartition", Some(4)), ("y-repartition", Some(5)));
    let refused = planned(&topology, &[("from-x", 1), ("from-y", 1)]).unwrap_err();
    let topics = vec![("app-x-repartition".into(), 4), ("app-y-repartition".into(), 5)];
    assert_eq!(refused, PlanError::NotCopartitioned { topics });

    let topology = joined(("x-repartition", Some(4)), ("r", None));
    let refused = planned(&topology, &[("from-x", 1), ("r", 3)]).unwrap_err();
    let (topic, declared, required) = ("app-x-repartition".into(), 4, 3);
    assert_eq!(refused, PlanError::EnforcedPartitions { topic, declared, required });
}

#[test]
fn a_repartition_topic_that_nothing_leads_to_has_no_number() {
    let mut draft = Draft::new();
    source(&mut draft, "read", &["x-repartition"]);
    let refused = planned(&draft.build().unwrap(), &[]).unwrap_err();
    assert_eq!(refused, PlanError::UnknownPartitions { topic: "app-x-repartition".into() });
}

#[test]
fn names_of_internal_topics_fit_on_the_broker_and_are_used_once() {
    let mut draft = Draft::new();
    let read = source(&mut draft, "read", &["in"]);
    let long = store(&mut draft, &"s".repeat(236));
    pass(&mut draft, "next", &[read], &[long]);
    let topology = draft.build().unwrap();
    // 236 for the store, 10 for "-changelog", and the application id with its dash.
    assert!(plan(&topology, "ab", &PlanOptions::default(), &counts(&[("in", 1)])).is_ok());
    let refused = plan(&topology, "abc", &PlanOptions::default(), &counts(&[("in", 1)])).unwrap_err();
    assert!(matches!(refused, PlanError::IllegalTopicName { .. }), "{refused}");

    let mut draft = Draft::new();
    draft.add_repartition_topic("s-changelog", Some(1)).unwrap();
    let read = source(&mut draft, "read", &["in"]);
    let clashing = store(&mut draft, "s");
    pass(&mut draft, "next", &[read], &[clashing]);
    let refused = planned(&draft.build().unwrap(), &[("in", 1)]).unwrap_err();
    assert_eq!(refused, PlanError::DuplicateInternalTopic { topic: "app-s-changelog".into() });
}

#[test]
fn stores_without_logging_have_no_changelog_and_windows_have_a_retention() {
    let mut draft = Draft::new();
    let read = source(&mut draft, "read", &["in"]);
    let mut unlogged = Counts::named("unlogged");
    unlogged.0.logging = None;
    let mut windows = Counts::named("windows");
    windows.0.kind = StoreKind::Window { window_size_ms: 10, retention_ms: 1000, retain_duplicates: false };
    let stores = [draft.add_store(unlogged).unwrap().index(), draft.add_store(windows).unwrap().index()];
    pass(&mut draft, "next", &[read], &stores);
    let plan = planned(&draft.build().unwrap(), &[("in", 1)]).unwrap();
    let names: Vec<_> = plan.internal_topics.keys().map(|name| &**name).collect();
    assert_eq!(names, ["app-windows-changelog"]);
    assert_eq!(plan.internal_topics["app-windows-changelog"].config["retention.ms"], "86401000");
}

/// Stages in a row: each reads what the stage before wrote and, where there is one, an external topic, has a store,
/// and writes a repartition topic.
fn stages(externals: &[Option<i32>], explicit: &[Option<i32>]) -> (Topology, BTreeMap<Arc<str>, i32>) {
    let mut draft = Draft::new();
    let mut partitions = counts(&[("in", 2)]);
    for (stage, (external, number)) in externals.iter().zip(explicit).enumerate() {
        let mut parents = Vec::new();
        let first = if stage == 0 { "in".to_owned() } else { format!("{}-repartition", stage - 1) };
        parents.push(source_of(&mut draft, &first));
        if let Some(count) = external {
            let topic = format!("external-{stage}");
            parents.push(source_of(&mut draft, &topic));
            partitions.insert(topic.into(), *count);
        }
        let counted = store(&mut draft, &format!("store-{stage}"));
        let node = pass(&mut draft, &format!("node-{stage}"), &parents, &[counted]);
        let to = format!("{stage}-repartition");
        draft.add_repartition_topic(&to, *number).unwrap();
        let spec = kafka_streams_topology::SinkSpec::new(common::topic(&to), common::strings(), common::strings());
        draft.add_sink(&format!("to-{stage}"), &[node], spec).unwrap();
    }
    (draft.build().unwrap(), partitions)
}

proptest! {
    #[test]
    fn every_partition_is_read_by_one_task_and_every_changelog_has_one_partition_for_each(
        stage in prop::collection::vec((prop::option::of(1i32..9), prop::option::of(1i32..9)), 1..6)
    ) {
        let (externals, explicit): (Vec<_>, Vec<_>) = stage.into_iter().unzip();
        let (topology, partitions) = stages(&externals, &explicit);
        let plan = plan(&topology, "app", &PlanOptions::default(), &partitions).unwrap();
        let mut read = BTreeMap::new();
        for task in &plan.tasks {
            prop_assert!(task.sources.is_sorted() && !task.sources.is_empty());
            for source in &task.sources {
                prop_assert_eq!(source.partition, task.id.partition);
                prop_assert_eq!(read.insert(source.clone(), task.id), None);
            }
        }
        let expected: i32 = plan.source_topics.values().sum();
        prop_assert_eq!(read.len(), expected as usize);
        for (number, part) in topology.subtopologies().iter().enumerate() {
            let tasks = plan.tasks.iter().filter(|task| task.id.subtopology == part.id).count();
            let topics = part.source_topics.iter().map(|topic| plan.source_topics[&topic.decorated("app")]);
            prop_assert_eq!(tasks, topics.max().unwrap() as usize);
            let changelog = &plan.internal_topics[&*format!("app-store-{number}-changelog")];
            prop_assert_eq!(changelog.partitions as usize, tasks);
            let written = plan.internal_topics.get(&*format!("app-{number}-repartition")).unwrap();
            prop_assert_eq!(written.partitions, explicit[number].unwrap_or(tasks as i32));
        }
        prop_assert!(plan.tasks.is_sorted_by_key(|task| task.id));
    }
}
