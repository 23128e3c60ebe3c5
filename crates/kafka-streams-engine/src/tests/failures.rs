//! A failing task and its neighbours, refused batches, and troubles that do not end (rules C4 and S9).

use std::sync::atomic::{AtomicBool, Ordering};

use kafka_streams_core::Failure;
use kafka_streams_core::handler::LogAndContinue;

use super::*;
use crate::port::Batching;

/// Fails at records with the key `poison`, or at every punctuation, for as long as it is told to.
struct Failing {
    at_punctuation: bool,
    panics: bool,
    armed: Arc<AtomicBool>,
    /// Records seen but for the poison.
    seen: Arc<AtomicU32>,
}

impl Failing {
    fn fail(&self) -> Step {
        match (self.armed.load(Ordering::Relaxed), self.panics) {
            (true, true) => panic!("poison"),
            (true, false) => Err(Failure::processing("poison")),
            (false, _) => Ok(()),
        }
    }
}

impl Processor for Failing {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn init(&mut self, cx: &mut Context<'_, String, String>) -> Step {
        if self.at_punctuation && cx.task_id().partition == 0 {
            cx.schedule(Duration::from_millis(20), PunctuationType::WallClockTime);
        }
        Ok(())
    }

    fn process(&mut self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        if record.key == "poison" {
            self.fail()?;
        } else {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
        cx.forward(record)
    }

    fn punctuate(&mut self, _: Punctuation, _: &mut Context<'_, String, String>) -> Step {
        self.fail()
    }
}

/// A worker with two partitions, and what makes it fail.
struct Poisoned {
    bench: Bench,
    armed: Arc<AtomicBool>,
    seen: Arc<AtomicU32>,
    failures: u32,
}

impl Poisoned {
    fn new(guarantee: Guarantee, at_punctuation: bool, panics: bool) -> Self {
        let cluster = Shared::default();
        cluster.create("in", 2);
        cluster.create("out", 2);
        let armed = Arc::new(AtomicBool::new(true));
        let seen = Arc::new(AtomicU32::new(0));
        let made = (armed.clone(), seen.clone());
        let builder = StreamsBuilder::new();
        let make = move |()| Failing { at_punctuation, panics, armed: made.0.clone(), seen: made.1.clone() };
        builder.stream::<String, String>("in").process((), make).to("out");
        let topology = builder.build().unwrap();
        let bench = Bench::with_topology(topology, cluster, Lasting::default(), guarantee, Handlers::default());
        bench.assign_partitions(2);
        Poisoned { bench, armed, seen, failures: 0 }
    }

    fn write(&self, partition: i32, keys: &[&str]) {
        self.bench.cluster.write("in", partition, keys.iter().map(|key| row(key, b"x", 5)));
    }

    /// Runs for a while, with a new worker after every failure.
    fn run(mut self, ms: i64) -> Self {
        let until = self.bench.now + ms;
        while self.bench.now < until {
            self.bench.cluster.tick(self.bench.now);
            let turn =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.bench.worker.run_once(self.bench.now)));
            match turn {
                Ok(Ok(Turn::Worked)) => {}
                Ok(Ok(Turn::IdleUntil(at))) => self.bench.now = at,
                Ok(Ok(Turn::Closed)) => panic!("nobody closes it"),
                failed => {
                    self.failures += 1;
                    // It takes its time, so that the pauses do not end with a commit.
                    self.bench.now += 30;
                    self.bench = if failed.is_ok() { self.bench.replaced() } else { self.bench.succeeded() };
                    self.bench.assign_partitions(2);
                }
            }
        }
        self
    }

    fn committed(&self) -> [i64; 2] {
        [0, 1].map(|partition| self.bench.cluster.offset("in", partition).unwrap_or(0))
    }

    /// Keys of what was written to partition 0 of the output, where everything with these keys goes.
    fn written(&self) -> Vec<String> {
        let mut keys: Vec<String> = self
            .bench
            .cluster
            .read_committed("out")
            .into_iter()
            .map(|(key, ..)| String::from_utf8(key.unwrap()).unwrap())
            .collect();
        keys.sort();
        keys
    }
}

#[test]
fn c4_a_task_that_always_fails_does_not_stop_its_neighbours() {
    for (guarantee, panics) in
        [(Guarantee::ExactlyOnce, false), (Guarantee::AtLeastOnce, false), (Guarantee::ExactlyOnce, true)]
    {
        let mut poisoned = Poisoned::new(guarantee, false, panics);
        poisoned.write(0, &["a", "poison", "b"]);
        let mut sent = 0;
        for _ in 0..40 {
            poisoned.write(1, &["n", "n"]);
            sent += 2;
            poisoned = poisoned.run(100);
        }
        let [first, second] = poisoned.committed();
        assert!(first <= 1 && second >= sent - 4, "{guarantee:?}: {first}, {second} of {sent}");
        assert!((3..=6).contains(&poisoned.failures), "{guarantee:?}: {} failures in 4 s", poisoned.failures);
        let neighbours = poisoned.written().iter().filter(|key| *key == "n").count() as i64;
        // The first failure, which nobody knew of, may repeat some under at-least-once.
        assert!(neighbours >= second && (neighbours == second || guarantee == Guarantee::AtLeastOnce));

        poisoned.armed.store(false, Ordering::Relaxed);
        let mended = poisoned.run(20_000);
        assert_eq!(mended.committed(), [3, sent], "{guarantee:?}");
        assert!(!mended.bench.failed_tasks.contains(TaskId::new(0, 0)), "{guarantee:?}: healthy again");
        let keys = mended.written();
        for key in ["a", "b", "poison"] {
            assert_eq!(keys.iter().filter(|written| *written == key).count(), 1, "{guarantee:?} {key}");
        }
    }
}

#[test]
fn c4_neighbours_are_committed_before_a_failed_task_has_its_turn() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let poisoned = Poisoned::new(guarantee, false, false);
        poisoned.write(0, &["poison"]);
        // The first failure comes as a surprise, and may take something with it.
        let mut poisoned = poisoned.run(200);
        let (known, seen) = (poisoned.failures, poisoned.seen.load(Ordering::Relaxed));
        let mut sent = 0;
        for _ in 0..800 {
            poisoned.write(1, &["n", "n"]);
            sent += 2;
            poisoned = poisoned.run(5);
        }
        poisoned = poisoned.run(300);
        assert!(poisoned.failures >= known + 2, "{guarantee:?}: {} failures", poisoned.failures);
        let seen = poisoned.seen.load(Ordering::Relaxed) - seen;
        assert_eq!(seen, sent, "{guarantee:?}: whatever was dropped is processed again");
    }
}

#[test]
fn c4_a_failing_punctuation_does_not_stop_the_neighbours() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let mut poisoned = Poisoned::new(guarantee, true, false);
        let mut sent = 0;
        for _ in 0..100 {
            poisoned.write(1, &["n"]);
            sent += 1;
            poisoned = poisoned.run(100);
        }
        assert!(poisoned.committed()[1] >= sent - 3, "{guarantee:?}: {} of {sent}", poisoned.committed()[1]);
        assert!((4..=8).contains(&poisoned.failures), "{guarantee:?}: {} failures in 10 s", poisoned.failures);
    }
}

#[test]
fn a_failed_task_that_is_held_back_does_not_keep_the_worker_from_running() {
    let poisoned = Poisoned::new(Guarantee::ExactlyOnce, false, false);
    poisoned.write(0, &["poison"]);
    let mut poisoned = poisoned.run(150);
    let mut running = false;
    while let Some(notice) = poisoned.bench.worker.poll_notice() {
        running |= matches!(notice, crate::Notice::Running);
    }
    assert!(running && poisoned.failures == 2, "{} failures", poisoned.failures);
}

#[test]
fn s9_trouble_that_comes_again_and_again_is_met_with_growing_pauses_and_ends_with_an_error() {
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    bench.assign();
    bench.send(&["a"]);
    for _ in 0..10_000 {
        bench.cluster.fail_next("commit", BrokerErrorKind::AbortRequired);
    }
    let begun = bench.now;
    let error = loop {
        match bench.commit() {
            Ok(_) => assert!(bench.now < begun + 1_000_000, "it never ends"),
            Err(error) => break error,
        }
    };
    let WorkerError::NoProgress { attempts, lasted_ms, .. } = &error else { panic!("{error}") };
    // 50 ms, doubled until 10 s: a hot loop would come to thousands.
    assert!(*attempts <= 12 && *lasted_ms > 1000, "{error}");
    assert!(error.to_string().contains("injected"), "{error}");
}

#[test]
fn trouble_that_ends_with_a_commit_is_forgotten() {
    let mut bench = Bench::new(Guarantee::ExactlyOnce);
    bench.assign();
    for _ in 0..100 {
        bench.send(&["a"]);
        bench.cluster.fail_next("commit", BrokerErrorKind::AbortRequired);
        bench.commit().unwrap();
        bench.commit().unwrap();
    }
    assert_eq!(bench.cluster.offset("in", 0), Some(100));
}

/// Writes as many bytes as its input says, to a topic that takes no more than 100.
fn sizes(guarantee: Guarantee, handlers: Handlers) -> Bench {
    let cluster = Shared::default();
    cluster.create("in", 1);
    cluster.create("out", 1);
    cluster.0.borrow_mut().max_message_bytes = Some(100);
    let builder = StreamsBuilder::new();
    let text = |size: String| "x".repeat(size.parse().unwrap());
    builder.stream::<String, String>("in").map_values(text).to("out");
    let bench = Bench::with_topology(builder.build().unwrap(), cluster, Lasting::default(), guarantee, handlers);
    bench.assign();
    bench
}

fn write_sizes(bench: &Bench, sizes: &[usize]) {
    bench.cluster.write("in", 0, sizes.iter().map(|size| row("k", size.to_string().as_bytes(), 5)));
}

fn written_sizes(bench: &Bench) -> Vec<usize> {
    bench.cluster.read_committed("out").into_iter().map(|(_, value, _)| value.unwrap().len()).collect()
}

#[test]
fn a_batch_that_is_refused_for_its_size_is_sent_record_by_record_and_then_batches_are_made_again() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let mut bench = sizes(guarantee, Handlers::default());
        write_sizes(&bench, &[60, 61, 62]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        bench.commit().unwrap();
        assert_eq!(written_sizes(&bench), [60, 61, 62], "{guarantee:?}");
        assert_eq!(bench.cluster.offset("in", 0), Some(3));
        write_sizes(&bench, &[1, 2]);
        bench.settle().unwrap();
        bench.commit().unwrap();
        assert_eq!(written_sizes(&bench), [60, 61, 62, 1, 2], "{guarantee:?}");
        let producers = bench.cluster.0.borrow().producers.clone();
        assert_eq!(producers, [Batching::AsConfigured, Batching::OneByOne, Batching::AsConfigured], "{guarantee:?}");
    }
}

#[test]
fn one_record_that_is_too_large_is_the_production_handlers_matter_and_its_neighbours_are_written() {
    let handlers = Handlers { production: Arc::new(LogAndContinue), ..Handlers::default() };
    let mut bench = sizes(Guarantee::AtLeastOnce, handlers.clone());
    write_sizes(&bench, &[10, 500, 20]);
    bench.settle().unwrap();
    bench.commit().unwrap();
    assert_eq!(written_sizes(&bench), [10, 20]);
    assert_eq!(bench.cluster.offset("in", 0), Some(3));

    // Under exactly-once its transaction has failed with it.
    for handlers in [handlers, Handlers::default()] {
        let mut bench = sizes(Guarantee::ExactlyOnce, handlers);
        write_sizes(&bench, &[10, 500, 20]);
        let error = bench.settle().and_then(|_| bench.commit()).unwrap_err();
        assert!(matches!(error, WorkerError::Production { .. }), "{error}");
        assert!(error.to_string().contains("the record is refused"), "{error}");
    }
}
