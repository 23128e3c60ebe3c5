//! What a deploy changes, told from the manifests of two topologies: one example at least for each of the five classes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

use std::time::Duration;

use kafka_streams_core::TimestampExtractor;
use kafka_streams_core::serde::{I64Serde, StringSerde};
use kafka_streams_dsl::{
    Consumed, ConsumerRecord, ExtractTimestamp, Grouped, Joined, KStream, Materialized, Naming, Optimization,
    Repartitioned, StreamsBuilder, TimeWindows,
};
use kafka_streams_naming::{Answer, Change, ChangeClass, Diff, Manifest, TopicRef, Verdict, diff, render};

fn manifest(naming: Naming, declare: impl FnOnce(&StreamsBuilder)) -> Manifest {
    let builder = StreamsBuilder::with_naming(naming);
    declare(&builder);
    builder.build().unwrap().to_manifest()
}

fn pinned(previous: &Manifest, declare: impl FnOnce(&StreamsBuilder)) -> Manifest {
    let builder = StreamsBuilder::with_naming(previous.naming.unwrap()).with_pinned_names(previous.clone());
    declare(&builder);
    builder.build().unwrap().to_manifest()
}

fn lines(builder: &StreamsBuilder) -> KStream<String, String> {
    builder.stream("lines")
}

/// Counts by value, with everything named that has a topic.
fn named_count(stream: KStream<String, String>) {
    stream
        .group_by(|_, word| word.clone(), Grouped::named("by-word"))
        .count(Materialized::named("counts"))
        .to_stream()
        .to("totals");
}

fn unnamed_count(stream: KStream<String, String>) {
    let grouped = stream.group_by(|_, word| word.clone(), Grouped::default());
    grouped.count(Materialized::default()).to_stream().to("totals");
}

fn of_class(diff: &Diff, class: ChangeClass) -> Vec<&Change> {
    diff.changes.iter().filter(|change| change.class == class).collect()
}

fn answers(change: &Change) -> [Answer; 3] {
    [change.stops_processing, change.loses_state, change.leaks_topics]
}

#[test]
fn a_stateless_operator_above_named_state_is_harmless() {
    let old = manifest(Naming::Jvm, |builder| named_count(lines(builder)));
    let new = manifest(Naming::Jvm, |builder| named_count(lines(builder).peek(|_, _| {})));
    let diff = diff(&old, &new);
    assert_eq!(diff.verdict, Verdict::Harmless, "{diff}");
    assert!(diff.changes.iter().all(|change| change.class == ChangeClass::Stateless), "{diff}");
    assert!(diff.changes.iter().all(|change| answers(change) == [Answer::No; 3]), "{diff}");
    // The nodes below are renumbered, and that is told as one change.
    assert_eq!(diff.changes.len(), 2, "{diff}");
}

#[test]
fn a_renumbering_that_reaches_a_store_loses_its_state() {
    let old = manifest(Naming::Jvm, |builder| unnamed_count(lines(builder)));
    let new = manifest(Naming::Jvm, |builder| unnamed_count(lines(builder).peek(|_, _| {})));
    let renumbered = diff(&old, &new);
    assert_eq!(renumbered.verdict, Verdict::LosesState, "{renumbered}");
    let [store, topic] = of_class(&renumbered, ChangeClass::Renamed)[..] else { panic!("{renumbered}") };
    assert_eq!(answers(store), [Answer::No, Answer::Yes, Answer::Yes]);
    assert_eq!(store.leaked, [TopicRef::internal("KSTREAM-AGGREGATE-STATE-STORE-0000000002-changelog")]);
    assert_eq!(answers(topic), [Answer::No, Answer::Possibly, Answer::Yes]);
    assert!(store.action.contains("with_pinned_names"));

    let kept = diff(&old, &pinned(&old, |builder| unnamed_count(lines(builder).peek(|_, _| {}))));
    assert_eq!(kept.verdict, Verdict::Harmless, "{kept}");
}

/// A way to find out times that has a name, with a version.
struct ByValue;

impl<K, V> ExtractTimestamp<K, V> for ByValue {
    fn extract(&self, record: &ConsumerRecord<'_, K, V>, _: i64) -> i64 {
        record.timestamp
    }

    fn name(&self) -> &str {
        "by-value-2"
    }
}

#[test]
fn another_timestamp_extractor_is_a_change_of_the_input() {
    type Rows = Consumed<String, String>;
    let read = |consumed: Rows| manifest(Naming::Jvm, |builder| named_count(builder.stream_with("lines", consumed)));
    let wall_clock = Rows::default().with_timestamp_extractor(TimestampExtractor::WallclockTimestampExtractor);
    let any = Rows::default().with_custom_timestamp_extractor(|record: &ConsumerRecord<'_, _, _>, _| record.timestamp);
    let named = Rows::default().with_custom_timestamp_extractor(ByValue);
    let manifests = [Rows::default(), wall_clock, any, named].map(read);
    let told = manifests.each_ref().map(|manifest| manifest.sources[0].timestamp_extractor.as_deref());
    assert_eq!(told, [None, Some("WallclockTimestampExtractor"), Some("custom"), Some("by-value-2")]);
    for pair in manifests.windows(2) {
        let diff = diff(&pair[0], &pair[1]);
        let [change] = &diff.changes[..] else { panic!("{diff}") };
        assert_eq!((change.class, change.verdict), (ChangeClass::Changed, Verdict::NeedsThought));
        assert_eq!(answers(change), [Answer::No, Answer::Possibly, Answer::No]);
        assert!(change.what.starts_with("timestamp extractor: "), "{diff}");
    }
    let table = manifest(Naming::Jvm, |builder| {
        let rows: Rows = Consumed::default().with_custom_timestamp_extractor(ByValue);
        builder.table_with("rows", rows, Materialized::named("rows"));
    });
    assert_eq!(table.sources[0].timestamp_extractor.as_deref(), Some("by-value-2"));
}

#[test]
fn a_manifest_from_before_the_extractors_were_told_can_be_read() {
    let new = manifest(Naming::Jvm, |builder| named_count(lines(builder)));
    let told: Vec<&str> = new.sources.iter().filter_map(|source| source.timestamp_extractor.as_deref()).collect();
    assert_eq!(told, ["FailOnInvalidTimestamp"], "that of the repartition topic");
    let mut written: serde_json::Value = serde_json::from_str(&new.to_json()).unwrap();
    for source in written["sources"].as_array_mut().unwrap() {
        source.as_object_mut().unwrap().remove("timestamp_extractor");
    }
    let old = Manifest::from_json(&written.to_string()).unwrap();
    assert!(old.sources.iter().all(|source| source.timestamp_extractor.is_none()));
    assert_eq!(diff(&old, &new).verdict, Verdict::Same);
}

#[test]
fn another_name_for_a_store_is_a_rename_and_not_a_removal() {
    let count = |name: &'static str| {
        manifest(Naming::PerClass, |builder| {
            let grouped = lines(builder).group_by_key(Grouped::default());
            match name {
                "" => grouped.count(Materialized::default()),
                name => grouped.count(Materialized::named(name)),
            };
        })
    };
    for (before, after) in [("counts", "totals"), ("counts", ""), ("", "counts")] {
        let diff = diff(&count(before), &count(after));
        let [change] = &diff.changes[..] else { panic!("{diff}") };
        assert_eq!((change.class, change.verdict), (ChangeClass::Renamed, Verdict::LosesState), "{diff}");
        assert_eq!(answers(change), [Answer::No, Answer::Yes, Answer::Yes]);
    }
}

#[test]
fn a_store_that_gets_the_name_of_another_would_read_its_changelog() {
    let counts = |topics: &[&str]| {
        manifest(Naming::PerClass, |builder| {
            for topic in topics {
                let stream = builder.stream::<String, String>(*topic);
                stream.group_by_key(Grouped::default()).count(Materialized::default());
            }
        })
    };
    let diff = diff(&counts(&["a", "b"]), &counts(&["b"]));
    assert_eq!(diff.verdict, Verdict::LosesState);
    let change = diff.changes.iter().find(|change| change.subject.starts_with("store")).unwrap();
    assert_eq!(change.class, ChangeClass::Renamed, "{diff}");
    assert!(change.what.contains("another store had"), "{diff}");
    assert_eq!((change.stops_processing, change.loses_state), (Answer::Possibly, Answer::Yes));
}

#[test]
fn a_new_store_is_added_without_loss() {
    let old = manifest(Naming::PerClass, |builder| named_count(lines(builder)));
    let new = manifest(Naming::PerClass, |builder| {
        named_count(lines(builder));
        lines(builder).group_by_key(Grouped::default()).count(Materialized::named("by-user"));
    });
    let diff = diff(&old, &new);
    assert_eq!(diff.verdict, Verdict::NeedsThought, "{diff}");
    let [change] = of_class(&diff, ChangeClass::Added)[..] else { panic!("{diff}") };
    assert_eq!(answers(change), [Answer::No; 3]);
    assert!(change.subject.contains("by-user"));
}

#[test]
fn a_removed_store_is_gone_and_leaves_its_changelog() {
    let old = manifest(Naming::PerClass, |builder| {
        lines(builder).to("copy");
        lines(builder).group_by_key(Grouped::default()).count(Materialized::named("by-user"));
    });
    let new = manifest(Naming::PerClass, |builder| lines(builder).to("copy"));
    let diff = diff(&old, &new);
    assert_eq!(diff.verdict, Verdict::LosesState, "{diff}");
    let [change] = of_class(&diff, ChangeClass::Removed)[..] else { panic!("{diff}") };
    assert_eq!(answers(change), [Answer::No, Answer::Yes, Answer::Yes]);
    assert_eq!(change.leaked, [TopicRef::internal("by-user-changelog")]);
}

#[test]
fn another_serde_or_window_of_a_store_makes_its_changelog_unreadable() {
    let windowed = |seconds: u64, text: bool| {
        manifest(Naming::PerClass, |builder| {
            let grouped = lines(builder).group_by_key(Grouped::default());
            let windows = grouped.windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_secs(seconds)));
            match text {
                true => drop(windows.aggregate(String::new, |_, v, a| a + &v, Materialized::named("sums"))),
                false => drop(windows.aggregate(|| 0_i64, |_, _, n| n + 1, Materialized::named("sums"))),
            }
        })
    };
    for (new, what) in [(windowed(10, true), "value serde: i64 -> string"), (windowed(20, false), "window size: 10000")]
    {
        let diff = diff(&windowed(10, false), &new);
        let change = of_class(&diff, ChangeClass::Changed)[0];
        assert!(change.what.contains(what), "{diff}");
        assert_eq!(answers(change), [Answer::Yes, Answer::Yes, Answer::Possibly]);
        assert_eq!(change.verdict, Verdict::LosesState);
    }
}

#[test]
fn differences_that_change_no_bytes_ask_for_less() {
    let count = |materialized: Materialized<String, i64>| {
        manifest(Naming::PerClass, |builder| {
            lines(builder).group_by_key(Grouped::default()).count(materialized);
        })
    };
    let old = count(Materialized::named("counts"));
    for new in [
        count(Materialized::named("counts").with_caching_disabled()),
        count(Materialized::named("counts").in_memory()),
        count(Materialized::named("counts").with_logging_enabled([("min.insync.replicas", "2")])),
    ] {
        let diff = diff(&old, &new);
        let [change] = &diff.changes[..] else { panic!("{diff}") };
        assert_eq!((change.class, change.verdict), (ChangeClass::Changed, Verdict::NeedsThought), "{diff}");
        assert_eq!(answers(change), [Answer::No; 3], "{diff}");
    }
    let without = diff(&old, &count(Materialized::named("counts").with_logging_disabled()));
    assert_eq!(answers(&without.changes[0]), [Answer::No, Answer::Possibly, Answer::Yes], "{without}");
}

#[test]
fn a_store_that_copies_its_topic_loses_nothing_with_its_name() {
    let table = |name: &'static str| {
        let builder = StreamsBuilder::new();
        builder
            .table_with::<String, String>("users", Default::default(), Materialized::named(name))
            .to_stream()
            .to("out");
        builder.build_optimized(&[Optimization::ReuseKtableSourceTopics]).unwrap().to_manifest()
    };
    let diff = diff(&table("users"), &table("people"));
    let change = &diff.changes[0];
    assert_eq!((change.class, change.verdict), (ChangeClass::Renamed, Verdict::NeedsThought), "{diff}");
    assert_eq!(answers(change), [Answer::No; 3], "{diff}");
}

#[test]
fn topics_that_are_used_in_another_way_are_told() {
    let through = |repartitioned: Repartitioned<String, String>| {
        manifest(Naming::PerClass, |builder| lines(builder).repartition(repartitioned).to("out"))
    };
    let old = through(Repartitioned::named("spread"));
    let more = diff(&old, &through(Repartitioned::named("spread").with_number_of_partitions(7)));
    assert_eq!((more.changes[0].stops_processing, more.verdict), (Answer::Yes, Verdict::NeedsThought), "{more}");
    let partitioner = |_: &str, _: &String, _: &String, _: i32| Some(0);
    let other = diff(&old, &through(Repartitioned::named("spread").with_partitioner(partitioner)));
    assert_eq!(other.verdict, Verdict::LosesState, "{other}");
    let renamed = diff(&old, &through(Repartitioned::named("wide")));
    assert_eq!(renamed.changes[0].class, ChangeClass::Renamed, "{renamed}");

    let copy = |from: &'static str, to: &'static str| {
        manifest(Naming::PerClass, |builder| builder.stream::<String, String>(from).to(to))
    };
    let output = diff(&copy("in", "out"), &copy("in", "elsewhere"));
    assert_eq!(output.verdict, Verdict::NeedsThought, "{output}");
    assert!(output.to_string().contains("output elsewhere"), "{output}");
    let input = diff(&copy("in", "out"), &copy("new", "out"));
    assert!(input.to_string().contains("input new"), "{input}");
}

#[test]
fn sub_topologies_with_other_numbers_are_told() {
    let old = manifest(Naming::PerClass, |builder| named_count(lines(builder)));
    let new = manifest(Naming::PerClass, |builder| {
        builder.stream::<String, String>("first").to("copy");
        named_count(lines(builder));
    });
    let diff = diff(&old, &new);
    let renumbered: Vec<&str> =
        of_class(&diff, ChangeClass::Renamed).into_iter().map(|change| change.what.as_str()).collect();
    assert_eq!(renumbered.len(), 2, "{diff}");
    assert!(renumbered.iter().any(|what| what.contains("tasks 0_* are 1_*")), "{diff}");
}

#[test]
fn the_same_topology_and_another_form_of_null_are_no_difference() {
    let old = manifest(Naming::Jvm, application);
    assert_eq!(diff(&old, &manifest(Naming::Jvm, application)).changes, []);
    let mut nullable = old.clone();
    for source in &mut nullable.sources {
        source.value_serde = source.value_serde.take().map(|id| format!("{id}?"));
    }
    assert_eq!(diff(&old, &nullable).verdict, Verdict::Same);
}

/// Something of most of what there is.
fn application(builder: &StreamsBuilder) {
    let users = builder.table_with::<String, String>("users", Default::default(), Materialized::named("users"));
    let words = lines(builder).flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words
        .filter(|_, word| !word.is_empty())
        .group_by(|_, word| word.clone(), Grouped::named("by-word"))
        .windowed_by(TimeWindows::of_size_and_grace(Duration::from_secs(60), Duration::from_secs(5)))
        .count(
            Materialized::with(StringSerde, I64Serde)
                .with_name("words-per-minute")
                .with_retention(Duration::from_secs(3600)),
        )
        .to_stream()
        .to_with("words-per-minute", kafka_streams_dsl::Produced::windowed());
    words
        .left_join_with(&users, |_, word, user| word + &user.unwrap_or_default(), Joined::named("with-user"))
        .to("joined");
    words.repartition(Repartitioned::default().with_number_of_partitions(3)).to("spread");
}

/// Compares with the file of this name, which `UPDATE_GOLDEN=1` writes anew.
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/evolution/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name}: UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn the_manifest_is_readable_and_always_the_same() {
    let manifest = manifest(Naming::Jvm, application);
    golden("manifest.json", &manifest.to_json());
    assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
}

#[test]
fn drawings_are_always_the_same() {
    let manifest = manifest(Naming::Jvm, application);
    golden("topology.mmd", &render::mermaid(&manifest));
    golden("topology.dot", &render::dot(&manifest));
    golden("topology.svg", &render::svg(&manifest));
}

#[test]
fn a_diff_is_written_for_people_programs_and_pull_requests() {
    let old = manifest(Naming::Jvm, |builder| unnamed_count(lines(builder)));
    let new = manifest(Naming::Jvm, |builder| unnamed_count(lines(builder).peek(|_, _| {})));
    let diff = diff(&old, &new);
    golden("diff.txt", &diff.to_string());
    golden("diff.json", &diff.to_json());
    golden("diff.annotations", &diff.to_github_annotations("golden/word,count.json"));
}

#[test]
fn what_an_extension_adds_is_in_the_manifest_and_compared() {
    let with = |ttl_ms: u64| {
        let builder = StreamsBuilder::new();
        named_count(lines(&builder));
        let topology = builder.build().unwrap().with_extension("ttl", serde_json::json!({ "lost": true }));
        topology.with_extension("ttl", serde_json::json!({ "counts": ttl_ms })).to_manifest()
    };
    let manifest = with(60_000);
    assert!(manifest.to_json().contains("\"counts\": 60000"));
    assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
    assert_eq!(diff(&manifest, &with(60_000)).verdict, Verdict::Same);
    let diff = diff(&manifest, &with(1_000));
    assert_eq!(diff.verdict, Verdict::NeedsThought);
    assert!(diff.to_string().contains("extension ttl"), "{diff}");
}
