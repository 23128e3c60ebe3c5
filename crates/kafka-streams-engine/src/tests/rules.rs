//! Rules of stores and commits that the other tests do not name (S4, S6, S7, S8, C1, C3, C5, C6, S9 under at-least-once).

use std::sync::atomic::Ordering;

use kafka_streams_core::handler::LogAndContinue;
use kafka_streams_state::{BatchSource, CommitBatch, KeyRange, Order};

use super::*;
use crate::OffsetMetadata;

/// A back-end of which some commits of processing fail.
#[derive(Debug)]
pub(super) struct Fragile {
    pub(super) inner: Arc<InMemoryBackend>,
    pub(super) failures: Arc<AtomicU32>,
}

impl StoreBackend for Fragile {
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.inner.get(key, read)
    }

    fn scan(
        &self,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.inner.scan(range, order, visit)
    }

    fn position(&self) -> Option<StorePosition> {
        self.inner.position()
    }

    fn commit(&self, batch: CommitBatch<'_>) -> Result<(), StoreError> {
        let fails = |left: u32| left.checked_sub(1);
        let processing = batch.source == BatchSource::Processing;
        if processing && self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
            return Err(StoreError::Io { action: "write a batch", reason: "injected".to_owned() });
        }
        self.inner.commit(batch)
    }

    fn wipe(&self) -> Result<(), StoreError> {
        self.inner.wipe()
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync()
    }
}

#[test]
fn s4_n_stays_where_it_is_if_a_commit_writes_nothing() {
    let handlers = Handlers { deserialization: Arc::new(LogAndContinue), ..Handlers::default() };
    let mut bench = Bench::with_topology(counting(), places(), Lasting::default(), Guarantee::ExactlyOnce, handlers);
    bench.assign();
    bench.send(&["a", "a"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.position().map(|position| position.offset), Some(1));
    // Skipped, so that the input moves on and the changelog does not.
    bench.cluster.write("in", 0, [(Some(vec![0xff]), Some(b"x".to_vec()), 5)]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.cluster.offset("in", 0), Some(3));
    assert_eq!(bench.position().map(|position| position.offset), Some(1));
}

#[test]
fn s4_after_a_restore_n_is_the_offset_before_the_end_even_if_that_is_a_marker() {
    let cluster = changelog();
    let committed = cluster.write_open(CHANGELOG, [count("a")]);
    cluster.end(committed, true);
    let stores = Lasting::default();
    restore(&cluster, &stores);
    assert_eq!(cluster.end_offset(CHANGELOG), 2);
    let store = stores.open(TaskId::new(0, 0), "counts").unwrap();
    assert_eq!(store.position().map(|position| position.offset), Some(1));
}

#[test]
fn s6_a_changelog_that_ends_before_n_wipes_the_store() {
    let cluster = changelog();
    cluster.write(CHANGELOG, 0, ["a", "b", "c", "d", "e"].map(count));
    let stores = Lasting::default();
    assert_eq!(restore(&cluster, &stores), (5, 4));
    cluster.truncate(CHANGELOG, 3);
    assert_eq!(restore(&cluster, &stores), (3, 2), "N = 4 lies behind the end");
}

#[test]
fn s6_a_changelog_that_was_truncated_and_has_grown_again_is_found_by_its_leader_epoch() {
    for (epoch_end, expected) in [(None, (2, 3)), (Some(2), (2, 3)), (Some(1), (4, 3))] {
        let cluster = changelog();
        cluster.write(CHANGELOG, 0, ["a", "b"].map(count));
        let stores = Lasting::default();
        assert_eq!(restore(&cluster, &stores), (2, 1));
        cluster.truncate(CHANGELOG, 1);
        cluster.write(CHANGELOG, 0, ["x", "y", "z"].map(count));
        cluster.0.borrow_mut().epoch_end = epoch_end;
        assert_eq!(restore(&cluster, &stores), expected, "the epoch of N = 1 ends at {epoch_end:?}");
    }
}

#[test]
fn s7_offsets_and_stores_are_asked_for_once_the_old_transaction_is_settled() {
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    // Unstable at first: another producer's transaction may still change them.
    for _ in 0..3 {
        bench.cluster.fail_next("fetch_offsets", BrokerErrorKind::Retriable);
    }
    bench.assign();
    bench.send(&["a"]);
    for _ in 0..5 {
        bench.settle().unwrap();
        bench.now += 20;
    }
    let done = bench.cluster.0.borrow().done.clone();
    assert_eq!(done.first(), Some(&"init"));
    assert_eq!(done.iter().filter(|what| **what == "init").count(), 1);
    assert_eq!(done.iter().filter(|what| **what == "fetch offsets").count(), 4);
    // Behind the offsets come the bounds of their logs.
    let last_fetch = done.iter().rposition(|what| *what == "fetch offsets").unwrap();
    assert!(done[last_fetch..].contains(&"list offsets"), "{done:?}");
    bench.commit().unwrap();
    assert_eq!(bench.counts(), counted(&[("a", 1)]));
}

#[test]
fn s8_what_was_aborted_gets_into_no_store_under_either_guarantee() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let cluster = places();
        let aborted = cluster.write_open(CHANGELOG, [count("a")]);
        cluster.end(aborted, false);
        let mut bench = Bench::over(cluster, Lasting::default(), guarantee, Handlers::default());
        bench.assign();
        bench.send(&["a"]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(bench.counts(), counted(&[("a", 1)]), "{guarantee:?}: seven more were aborted");
    }
}

#[test]
fn s9_an_offset_commit_of_unknown_outcome_loses_nothing_if_the_seat_is_lost_meanwhile() {
    let mut bench = Bench::new(Guarantee::AtLeastOnce);
    bench.assign();
    bench.send(&["a", "a"]);
    bench.settle().unwrap();
    // Nobody knows whether it was done, and then it does not matter any more whose it was.
    for _ in 0..3 {
        bench.cluster.fail_next("commit_offsets", BrokerErrorKind::Retriable);
    }
    bench.now += 100;
    bench.worker.run_once(bench.now).unwrap();
    bench.tell(WorkerEvent::Lost { reason: LostReason::SessionExpired });
    bench.settle().unwrap();
    assert_eq!(bench.worker.tasks().count(), 0);
    bench.cluster.0.borrow_mut().forgive("commit_offsets");
    bench.assign();
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.cluster.offset("in", 0), Some(2));
    // The stores were committed before the offsets: two are counted again, and none is lost.
    assert_eq!(bench.counts(), counted(&[("a", 4)]));
    let end = bench.cluster.end_offset(CHANGELOG);
    assert_eq!(bench.position().map(|position| position.offset + 1), Some(end), "the tail was read before going on");
}

#[test]
fn c1_a_task_that_only_writes_commits_its_position_again() {
    let mut bench = clockwork(true);
    bench.assign();
    bench.settle().unwrap();
    assert_eq!(bench.cluster.offset("in", 0), None);
    bench.now += 60;
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(bench.cluster.read_committed(CHANGELOG).len(), 1);
    assert_eq!(bench.cluster.offset("in", 0), Some(0), "a transaction without offsets is not fenced by the group");
}

/// Says how many records it has seen, and the stream time; keeps the count with the committed offsets.
#[derive(Default)]
struct Observer {
    seen: u64,
}

impl Processor for Observer {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        self.seen += 1;
        let said = format!("{} at {}", self.seen, cx.current_stream_time_ms());
        let observed = cx.processor_metadata.get("observed").unwrap_or(0) + 1;
        cx.processor_metadata.put("observed", observed);
        cx.forward(Record { key: record.key, value: said, timestamp: record.timestamp, headers: record.headers })
    }
}

fn observing() -> Bench {
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("in").process((), |()| Observer::default()).to("out");
    let topology = builder.build().unwrap();
    Bench::with_topology(topology, places(), Lasting::default(), Guarantee::ExactlyOnce, Handlers::default())
}

fn metadata(bench: &Bench) -> OffsetMetadata {
    OffsetMetadata::decode(&bench.cluster.committed_metadata("in", 0))
}

#[test]
fn c3_an_abort_resets_processors_times_and_metadata_to_what_is_committed() {
    let mut bench = observing();
    bench.assign();
    bench.cluster.write("in", 0, [row("a", b"x", 5)]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    bench.cluster.write("in", 0, [row("a", b"x", 100)]);
    bench.settle().unwrap();
    bench.cluster.fail_next("commit", BrokerErrorKind::AbortRequired);
    bench.commit().unwrap();
    // Of what was aborted nothing is left, not even the time; then the record comes again.
    bench.cluster.write("in", 0, [row("a", b"x", 50)]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    let said: Vec<String> = bench.cluster.read_committed("out").into_iter().map(text).collect();
    assert_eq!(said, ["1 at 5", "1 at 100", "2 at 100"]);
    let metadata = metadata(&bench);
    assert_eq!((metadata.partition_time, metadata.processor.get("observed")), (100, Some(&3)));
}

#[test]
fn values_of_processors_are_committed_with_the_offsets_and_are_there_after_a_restart() {
    let mut bench = observing();
    bench.assign();
    bench.send(&["a", "a"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(metadata(&bench).processor.get("observed"), Some(&2));
    let mut bench = bench.replaced();
    bench.assign();
    bench.send(&["a"]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(metadata(&bench).processor.get("observed"), Some(&3));
}

#[test]
fn c5_a_store_that_cannot_take_its_batch_is_restored_from_the_tail() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let mut bench = Bench::new(guarantee);
        bench.assign();
        bench.send(&["a", "a"]);
        bench.settle().unwrap();
        bench.stores.1.store(1, Ordering::Relaxed);
        bench.commit().unwrap();
        assert_eq!(bench.cluster.offset("in", 0), Some(2), "{guarantee:?}: it is committed all the same");
        bench.send(&["a"]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(bench.counts(), counted(&[("a", 3)]), "{guarantee:?}");
        assert!(bench.position().is_some_and(|position| position.offset >= 2), "{guarantee:?}");
    }
}

#[test]
fn c6_offsets_are_committed_by_a_member_only() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let mut bench = Bench::new(guarantee);
        bench.assign();
        bench.send(&["a"]);
        bench.settle().unwrap();
        bench.group.unseated.set(true);
        bench.now += 100;
        for _ in 0..50 {
            bench.now += 1;
            bench.worker.run_once(bench.now).unwrap();
        }
        assert_eq!(bench.cluster.offset("in", 0), None, "{guarantee:?}: nobody commits without a seat");
        bench.group.unseated.set(false);
        bench.commit().unwrap();
        assert_eq!(bench.cluster.offset("in", 0), Some(1), "{guarantee:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_stops_neither_commits_nor_retries() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let mut bench = Bench::new(guarantee);
        bench.cluster.fail_next("fetch_offsets", BrokerErrorKind::Retriable);
        bench.assign();
        bench.send(&["a"]);
        bench.worker.run_once(bench.now).unwrap();
        bench.now -= 500_000;
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(bench.cluster.offset("in", 0), Some(1), "{guarantee:?}");
        bench.send(&["a"]);
        bench.settle().unwrap();
        bench.cluster.fail_next("commit_offsets", BrokerErrorKind::Retriable);
        bench.now += 100;
        bench.worker.run_once(bench.now).unwrap();
        bench.now -= 300_000;
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(bench.cluster.offset("in", 0), Some(2), "{guarantee:?}");
    }
}

fn text((_, value, _): Row) -> String {
    String::from_utf8(value.unwrap()).unwrap()
}

fn places() -> Shared {
    let cluster = Shared::default();
    for topic in ["in", "out", CHANGELOG] {
        cluster.create(topic, 1);
    }
    cluster
}
