//! What comes from and goes to topics in other ways: dead letters, chosen topics, patterns, resets by time, global stores.

use super::*;

use kafka_streams_core::RecordContext;
use kafka_streams_core::handler::LogAndFail;
use kafka_streams_dsl::{Consumed, ConsumerRecord, GlobalKTable, KStream, Produced};

use crate::{GlobalSetup, GlobalStores, GlobalTurn, GlobalWorker};

fn cluster(topics: &[(&str, i32)]) -> Shared {
    let cluster = Shared::default();
    topics.iter().for_each(|(topic, partitions)| cluster.create(topic, *partitions));
    cluster
}

fn bench(topology: Topology, cluster: &Shared, guarantee: Guarantee, handlers: Handlers) -> Bench {
    let mut bench = Bench::with_topology(topology, cluster.clone(), Lasting::default(), guarantee, handlers);
    bench.now = bench.now.max(cluster.now());
    bench
}

fn assign(bench: &Bench, partitions: &[(&str, i32)]) {
    let partitions = partitions.iter().map(|(topic, partition)| TopicPartition::new(*topic, *partition)).collect();
    bench.tell(WorkerEvent::Assigned(Assigned {
        generation: 1,
        member_id: "member".to_owned(),
        added: vec![TaskId::new(0, 0)],
        active: vec![(TaskId::new(0, 0), partitions)],
        standby: vec![],
        revoked: vec![],
        partitions_by_host: BTreeMap::new(),
        standby_partitions_by_host: BTreeMap::new(),
        next_rebalance_ms: None,
    }));
}

fn values(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| String::from_utf8(row.1.clone().unwrap()).unwrap()).collect()
}

fn parsing() -> Topology {
    let builder = StreamsBuilder::new();
    let lines: KStream<String, String> = builder.stream("in");
    lines.try_map_values(|line| Ok(line.parse::<i64>()?)).to("out");
    builder.build().unwrap()
}

fn with_dead_letters(continues: bool) -> Handlers {
    let dead_letter_topic = Some("dead".into());
    match continues {
        true => Handlers {
            deserialization: Arc::new(LogAndContinue),
            processing: Arc::new(LogAndContinue),
            production: Arc::new(LogAndContinue),
            dead_letter_topic,
        },
        false => Handlers {
            deserialization: Arc::new(LogAndFail),
            processing: Arc::new(LogAndFail),
            production: Arc::new(LogAndFail),
            dead_letter_topic,
        },
    }
}

#[test]
fn records_that_cannot_be_read_or_processed_become_dead_letters_in_the_same_transaction() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let cluster = cluster(&[("in", 1), ("out", 1), ("dead", 1)]);
        let mut bench = bench(parsing(), &cluster, guarantee, with_dead_letters(true));
        assign(&bench, &[("in", 0)]);
        let unreadable = (Some(vec![0xff]), Some(b"7".to_vec()), 3);
        cluster.write("in", 0, [row("a", b"1", 1), row("b", b"no", 2), unreadable.clone(), row("c", b"4", 4)]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(cluster.read_committed("out").len(), 2);
        assert_eq!(cluster.read_committed("dead"), [row("b", b"no", 2), unreadable], "{guarantee:?}");
        assert_eq!(cluster.offset("in", 0), Some(4));
    }
}

#[test]
fn the_dead_letter_of_a_record_that_stops_the_thread_is_sent_unless_all_is_aborted() {
    for (guarantee, letters) in [(Guarantee::AtLeastOnce, 1), (Guarantee::ExactlyOnce, 0)] {
        let cluster = cluster(&[("in", 1), ("out", 1), ("dead", 1)]);
        let mut bench = bench(parsing(), &cluster, guarantee, with_dead_letters(false));
        assign(&bench, &[("in", 0)]);
        // The producer learns of the topic as soon as something is sent there; the letter itself does not wait.
        cluster.write("in", 0, [row("b", b"no", 2)]);
        let error = bench.settle().unwrap_err();
        assert!(matches!(error, WorkerError::Processing { .. }), "{error}");
        bench.worker.abandon(bench.now);
        while bench.settle().unwrap() != Turn::Closed {
            bench.now += 1;
        }
        assert_eq!(cluster.read_committed("dead").len(), letters, "{guarantee:?}");
        assert_eq!(cluster.offset("in", 0), None);
    }
}

#[test]
fn a_topic_is_chosen_for_each_record_and_its_partitioner_sees_how_many_partitions_it_has() {
    let builder = StreamsBuilder::new();
    let lines: KStream<String, String> = builder.stream("in");
    let topic = |key: &String, _: &String, _: &RecordContext| format!("out-{key}");
    let last = |_: &str, _: &String, value: &String, partitions: i32| match value.as_str() {
        "all" => Some((0..partitions).collect::<Vec<_>>()),
        "none" => Some(vec![]),
        "key" => None,
        _ => Some(vec![partitions - 1]),
    };
    lines.to_dynamic_with(topic, Produced::default().with_partitioner(last));
    let cluster = cluster(&[("in", 1), ("out-a", 3), ("out-b", 2)]);
    let topology = builder.build().unwrap();
    let mut bench = bench(topology, &cluster, Guarantee::ExactlyOnce, Handlers::default());
    assign(&bench, &[("in", 0)]);
    let sent = [("a", "x"), ("b", "y"), ("a", "all"), ("b", "none"), ("a", "z"), ("b", "key")];
    cluster.write("in", 0, sent.iter().map(|(key, value)| row(key, value.as_bytes(), 1)));
    bench.settle().unwrap();
    bench.commit().unwrap();
    let written = |topic: &str, partition: i32| {
        let rows: Vec<Row> = cluster.read_decided(topic, partition).into_iter().map(|(_, row)| row).collect();
        values(&rows)
    };
    assert_eq!([0, 1, 2].map(|p| written("out-a", p)), [vec!["all"], vec!["all"], vec!["x", "all", "z"]]);
    let of_b = [0, 1].map(|p| written("out-b", p));
    assert_eq!(of_b.iter().map(Vec::len).sum::<usize>(), 2, "{of_b:?}");
    assert!(of_b[1].contains(&"y".to_owned()));
}

#[test]
fn a_source_by_pattern_takes_all_topics_of_its_tasks() {
    let builder = StreamsBuilder::new();
    builder.stream_matching::<String, String>("orders-.*").to("out");
    let cluster = cluster(&[("orders-eu", 1), ("orders-us", 1), ("out", 1)]);
    let mut bench = bench(builder.build().unwrap(), &cluster, Guarantee::AtLeastOnce, Handlers::default());
    assign(&bench, &[("orders-eu", 0), ("orders-us", 0)]);
    cluster.write("orders-eu", 0, [row("a", b"1", 1), row("a", b"3", 3)]);
    cluster.write("orders-us", 0, [row("a", b"2", 2)]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(values(&cluster.read_committed("out")), ["1", "2", "3"]);
    assert_eq!((cluster.offset("orders-eu", 0), cluster.offset("orders-us", 0)), (Some(2), Some(1)));
}

#[test]
fn a_reset_by_duration_begins_at_the_first_record_that_is_young_enough() {
    for (back_ms, expected) in [(10_000, vec!["1", "2", "3"]), (150, vec!["3"]), (10, vec![])] {
        let builder = StreamsBuilder::new();
        let reset = OffsetReset::ByDuration(Duration::from_millis(back_ms));
        let lines: KStream<String, String> = builder.stream_with("in", Consumed::default().with_offset_reset(reset));
        lines.to("out");
        let cluster = cluster(&[("in", 1), ("out", 1)]);
        cluster.write("in", 0, [row("a", b"1", NOW - 2000), row("a", b"2", NOW - 1000), row("a", b"3", NOW - 100)]);
        let mut bench = bench(builder.build().unwrap(), &cluster, Guarantee::AtLeastOnce, Handlers::default());
        assign(&bench, &[("in", 0)]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(values(&cluster.read_committed("out")), expected, "{back_ms}");
    }
}

#[test]
fn the_users_extractor_decides_the_time_and_drops_what_it_calls_negative() {
    let builder = StreamsBuilder::new();
    let by_value = |record: &ConsumerRecord<'_, String, String>, partition_time: i64| match record.value {
        Some(value) if value == "last" => partition_time,
        value => value.and_then(|value| value.parse().ok()).unwrap_or(-1),
    };
    let consumed = Consumed::default().with_custom_timestamp_extractor(by_value);
    let lines: KStream<String, String> = builder.stream_with("in", consumed);
    lines.to("out");
    let cluster = cluster(&[("in", 1), ("out", 1)]);
    let mut bench = bench(builder.build().unwrap(), &cluster, Guarantee::AtLeastOnce, Handlers::default());
    assign(&bench, &[("in", 0)]);
    cluster.write("in", 0, [row("a", b"70", 1), row("a", b"drop", 2), row("a", b"last", 3), row("a", b"30", 4)]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    let times: Vec<i64> = cluster.read_committed("out").iter().map(|row| row.2).collect();
    assert_eq!(times, [70, 70, 30]);
    assert_eq!(cluster.offset("in", 0), Some(4));
}

fn with_products() -> Topology {
    let builder = StreamsBuilder::new();
    let products: GlobalKTable<String, String> =
        builder.global_table_with("products", Consumed::default(), Materialized::named("products"));
    let orders: KStream<String, String> = builder.stream("in");
    orders
        .left_join_global(&products, |_, id| id.clone(), |id, name| format!("{id}:{}", name.unwrap_or_default()))
        .to("out");
    builder.build().unwrap()
}

struct Global {
    worker: GlobalWorker<crate::doubles::FakeFetch, crate::doubles::FakeAdmin>,
    stores: GlobalStores,
}

/// A global worker and the worker of a task, of one process.
fn global(topology: &Arc<Topology>, cluster: &Shared, files: &Lasting, bench: &mut Bench) -> Global {
    let (stores, backends) = (GlobalStores::new(), Arc::new(files.clone()));
    let setup = GlobalSetup {
        topology: topology.clone(),
        config: bench.config.clone(),
        backends: Backends { persistent: backends.clone(), in_memory: backends },
        stores: stores.clone(),
        cache: ThreadCache::new(0),
        max_age_ms: 1_000_000,
        fetch: cluster.fetch(),
        admin: cluster.admin(),
    };
    bench.worker.set_global_stores(stores.clone());
    Global { worker: GlobalWorker::new(setup), stores }
}

impl Global {
    fn settle(&mut self, cluster: &Shared, now: i64) -> Result<(), WorkerError> {
        for _ in 0..1000 {
            cluster.tick(now);
            if self.worker.run_once(now)? != GlobalTurn::Worked && self.worker.is_ready() {
                return Ok(());
            }
        }
        panic!("the global worker does not come to rest");
    }

    fn restored_from(&mut self) -> Vec<i64> {
        let mut offsets = Vec::new();
        while let Some(event) = self.worker.poll_event() {
            if let RestoreEvent::Started { from, .. } = event {
                offsets.push(from);
            }
        }
        offsets
    }
}

#[test]
fn s8_a_global_table_is_read_to_its_end_and_followed_from_all_partitions() {
    let cluster = cluster(&[("in", 1), ("out", 1), ("products", 2)]);
    cluster.write("products", 0, [row("p", b"pen", 1)]);
    cluster.write("products", 1, [row("q", b"ink", 1), row("r", b"cap", 1)]);
    let open = cluster.write_open("products", [row("p", b"not yet", 2)]);
    cluster.end(open, false);
    let mut bench = bench(with_products(), &cluster, Guarantee::AtLeastOnce, Handlers::default());
    let topology = Arc::new(with_products());
    let files = Lasting::default();
    let mut global = global(&topology, &cluster, &files, &mut bench);
    assert!(!global.worker.is_ready());
    global.settle(&cluster, bench.now).unwrap();
    bench.tell(WorkerEvent::Assigned(Assigned {
        generation: 1,
        member_id: "member".to_owned(),
        added: vec![TaskId::new(1, 0)],
        active: vec![(TaskId::new(1, 0), vec![TopicPartition::new("in", 0)])],
        standby: vec![],
        revoked: vec![],
        partitions_by_host: BTreeMap::new(),
        standby_partitions_by_host: BTreeMap::new(),
        next_rebalance_ms: None,
    }));
    cluster.write("in", 0, [row("o", b"p", 1), row("o", b"r", 1), row("o", b"s", 1)]);
    bench.settle().unwrap();
    cluster.write("products", 0, [row("p", b"quill", 3), row("s", b"seal", 3)]);
    global.settle(&cluster, bench.now).unwrap();
    cluster.write("in", 0, [row("o", b"p", 2), row("o", b"s", 2)]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(values(&cluster.read_committed("out")), ["p:pen", "r:cap", "s:", "p:quill", "s:seal"]);
    assert!(global.stores.get("products").is_some());
}

#[test]
fn s6_a_global_store_goes_on_where_it_stands_and_is_wiped_if_its_topic_is_another() {
    let cluster = cluster(&[("in", 1), ("out", 1), ("products", 2)]);
    cluster.write("products", 0, [row("p", b"pen", 1), row("q", b"ink", 1)]);
    cluster.write("products", 1, [row("r", b"cap", 1)]);
    let mut bench = bench(with_products(), &cluster, Guarantee::AtLeastOnce, Handlers::default());
    let (topology, files) = (Arc::new(with_products()), Lasting::default());
    let rows = |global: &Global| global.stores.get("products").unwrap().approximate_rows().unwrap();
    let mut first = global(&topology, &cluster, &files, &mut bench);
    first.settle(&cluster, bench.now).unwrap();
    assert_eq!((first.restored_from(), rows(&first)), (vec![0, 0], 3));
    first.worker.close(bench.now).unwrap();
    cluster.write("products", 0, [row("s", b"seal", 2)]);
    let mut second = global(&topology, &cluster, &files, &mut bench);
    second.settle(&cluster, bench.now).unwrap();
    assert_eq!((second.restored_from(), rows(&second)), (vec![2], 4));
    second.worker.close(bench.now).unwrap();
    cluster.recreate("products");
    cluster.write("products", 0, [row("t", b"tip", 2)]);
    let mut third = global(&topology, &cluster, &files, &mut bench);
    third.settle(&cluster, bench.now).unwrap();
    assert_eq!((third.restored_from(), rows(&third)), (vec![0], 1));
}

#[test]
fn a_missing_topic_of_a_global_store_is_waited_for_and_then_named() {
    let cluster = cluster(&[("in", 1), ("out", 1)]);
    let mut bench = bench(with_products(), &cluster, Guarantee::AtLeastOnce, Handlers::default());
    let (topology, files) = (Arc::new(with_products()), Lasting::default());
    let mut global = global(&topology, &cluster, &files, &mut bench);
    let error = loop {
        cluster.tick(bench.now);
        bench.now += 50;
        if let Err(error) = global.worker.run_once(bench.now) {
            break error.to_string();
        }
        assert!(bench.now < NOW + 10_000);
    };
    assert!(error.contains("products") && error.contains("create it"), "{error}");
}

#[test]
fn a_stream_task_cannot_write_a_global_store() {
    struct Write(Rc<KeyValueStore<String, String>>);
    impl Processor for Write {
        type KIn = String;
        type VIn = String;
        type KOut = String;
        type VOut = String;
        fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
            self.0.put(cx, &record.key, Some(&record.value))
        }
    }
    let topology = || {
        let builder = StreamsBuilder::new();
        let names = Stores::in_memory_key_value_store("products", StringSerde, StringSerde);
        builder.add_global_store(names, "products", Consumed::default(), Write);
        let orders: KStream<String, String> = builder.stream("in");
        orders.process_with_stores(&[], |stores| Ok(Write(stores.named("products")?)));
        builder.build().unwrap()
    };
    let cluster = cluster(&[("in", 1), ("products", 1)]);
    cluster.write("products", 0, [row("p", b"pen", 1)]);
    let mut bench = bench(topology(), &cluster, Guarantee::AtLeastOnce, Handlers::default());
    let files = Lasting::default();
    let mut global = global(&Arc::new(topology()), &cluster, &files, &mut bench);
    global.settle(&cluster, bench.now).unwrap();
    bench.tell(WorkerEvent::Assigned(Assigned {
        generation: 1,
        member_id: "member".to_owned(),
        added: vec![TaskId::new(1, 0)],
        active: vec![(TaskId::new(1, 0), vec![TopicPartition::new("in", 0)])],
        standby: vec![],
        revoked: vec![],
        partitions_by_host: BTreeMap::new(),
        standby_partitions_by_host: BTreeMap::new(),
        next_rebalance_ms: None,
    }));
    cluster.write("in", 0, [row("o", b"p", 1)]);
    let error = bench.settle().unwrap_err().to_string();
    assert!(error.contains("read only"), "{error}");
}

#[test]
fn a_task_that_gets_another_topic_is_committed_and_goes_on_with_both() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let builder = StreamsBuilder::new();
        builder.stream_matching::<String, String>("orders-.*").to("out");
        let cluster = cluster(&[("orders-eu", 1), ("orders-us", 1), ("out", 1)]);
        let mut bench = bench(builder.build().unwrap(), &cluster, guarantee, Handlers::default());
        assign(&bench, &[("orders-eu", 0)]);
        cluster.write("orders-eu", 0, [row("a", b"1", 1)]);
        bench.settle().unwrap();
        cluster.write("orders-us", 0, [row("a", b"2", 2)]);
        assign(&bench, &[("orders-eu", 0), ("orders-us", 0)]);
        bench.settle().unwrap();
        cluster.write("orders-eu", 0, [row("a", b"3", 3)]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(values(&cluster.read_committed("out")), ["1", "2", "3"], "{guarantee:?}");
    }
}
