//! How fast counts are updated: a typed store over RocksDB, a changelog record for each update, a commit every 100 ms.
//!
//! `cargo run --release -p kafka-streams-rocksdb --example update_rate [updates] [keys] [commit interval in ms] [which]`
//!
//! Prints updates a second of wall-clock time, and of the processor time of the process, which other work on the machine
//! disturbs less.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example that measures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_streams_core::handler::Handlers;
use kafka_streams_core::serde::{I64Serde, VecSerde};
use kafka_streams_core::{RouteId, TaskContext, TaskId};
use kafka_streams_rocksdb::{RocksDbBackends, RocksDbOptions};
use kafka_streams_state::{
    InMemoryBackends, MemoryBudget, StateStore, StoreBackends, StoreBuilder, StoreParts, StorePosition, Stores,
    ThreadCache, ValueAndTimestamp,
};

const TASK: TaskId = TaskId::new(0, 0);

fn main() {
    let argument = |n: usize, default: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (updates, keys, interval) = (argument(1, 5_000_000), argument(2, 100_000), argument(3, 100));
    let interval = Duration::from_millis(interval);
    let dir = tempfile::tempdir().unwrap();
    let budget = MemoryBudget::new(MemoryBudget::DEFAULT_TOTAL, 1);
    let rocksdb = RocksDbBackends::new(dir.path(), RocksDbOptions::with_memory(budget.database()));
    let only = std::env::args().nth(4).unwrap_or_default();
    if "rocksdb".starts_with(&only) {
        count("count, RocksDB", &rocksdb, &budget, 0, updates, keys, interval);
    }
    if "memory".starts_with(&only) {
        count("count, memory", &InMemoryBackends, &budget, 0, updates, keys, interval);
    }
    if "cache".starts_with(&only) {
        rocksdb.destroy(TASK, "store").unwrap();
        count("count, RocksDB, cache of 10 MiB", &rocksdb, &budget, 10 << 20, updates, keys, interval);
    }
    if "join".starts_with(&only) {
        join("join buffer, RocksDB", &rocksdb, &budget, updates / 20, keys / 10, interval);
    }
}

fn count(
    name: &str,
    backends: &dyn StoreBackends,
    budget: &Arc<MemoryBudget>,
    cache: usize,
    updates: u64,
    keys: u64,
    interval: Duration,
) {
    let builder = Stores::persistent_timestamped_key_value_store("store", VecSerde, I64Serde);
    let builder = if cache > 0 { builder.with_caching_enabled() } else { builder };
    let store = builder.build(parts(backends, budget, cache));
    let mut cx = TaskContext::new(TASK, "application".into(), Handlers::default());
    let mut run = Run::start(interval);
    let mut random = 1;
    let mut key = vec![0; 6];
    for n in 0..updates {
        let number = next(&mut random) % keys;
        key.copy_from_slice(&number.to_be_bytes()[2..]);
        cx.record.timestamp = n as i64;
        let add = |old: Option<ValueAndTimestamp<i64>>| {
            let (count, time) = old.map_or((0, n as i64), |old| (old.value, old.timestamp.max(n as i64)));
            Ok(Some(ValueAndTimestamp::new(count + 1, time)))
        };
        store.update(&mut cx, &key, n as i64, add).unwrap();
        run.between_records(n, &mut cx, &*store);
    }
    run.end(name, updates);
}

fn join(
    name: &str,
    backends: &dyn StoreBackends,
    budget: &Arc<MemoryBudget>,
    updates: u64,
    keys: u64,
    interval: Duration,
) {
    let hour = Duration::from_secs(3600);
    let builder = Stores::persistent_window_store("join", hour, hour, true, VecSerde, VecSerde);
    let store = builder.build(StoreParts { backend: backends.open(TASK, "join").unwrap(), ..parts_of(budget, 0) });
    let mut cx = TaskContext::new(TASK, "application".into(), Handlers::default());
    let mut run = Run::start(interval);
    let mut random = 1;
    let (mut key, value) = (vec![0; 6], vec![7; 16]);
    let mut hits = 0;
    for n in 0..updates {
        let number = next(&mut random) % keys;
        key.copy_from_slice(&number.to_be_bytes()[2..]);
        let time = (n / 4) as i64;
        cx.record.timestamp = time;
        store.put(&mut cx, &key, Some(&value), time).unwrap();
        hits += store.fetch_range(&key, time - 10_000, time).map(Result::unwrap).count();
        run.between_records(n, &mut cx, &*store);
    }
    run.end(&format!("{name}, {:.1} hits", hits as f64 / updates as f64), updates);
}

fn parts(backends: &dyn StoreBackends, budget: &Arc<MemoryBudget>, cache: usize) -> StoreParts {
    StoreParts { backend: backends.open(TASK, "store").unwrap(), ..parts_of(budget, cache) }
}

fn parts_of(budget: &Arc<MemoryBudget>, cache: usize) -> StoreParts {
    let backend = InMemoryBackends.open(TASK, "").unwrap();
    StoreParts::new(backend, Some(RouteId(0)), ThreadCache::with_budget(cache, budget))
}

/// What the worker does between records.
struct Run {
    interval: Duration,
    start: (Instant, Duration),
    committed: Instant,
    commits: u32,
    committing: Duration,
    longest: Duration,
}

impl Run {
    fn start(interval: Duration) -> Self {
        let now = Instant::now();
        let start = (now, processor_time());
        Run { interval, start, committed: now, commits: 0, committing: Duration::ZERO, longest: Duration::ZERO }
    }

    fn between_records(&mut self, n: u64, cx: &mut TaskContext, store: &dyn StateStore) {
        if !n.is_multiple_of(256) {
            return;
        }
        while cx.output.first().is_some() {
            cx.output.take();
        }
        if self.committed.elapsed() >= self.interval || cx.commit_requested {
            cx.commit_requested = false;
            let start = Instant::now();
            store.flush(cx).unwrap();
            cx.output.clear();
            let position = StorePosition {
                topic_id: kafka_streams_core::TopicId::nil(),
                partition: 0,
                offset: n as i64,
                leader_epoch: 0,
                committed_at: 0,
                extensions: Vec::new(),
            };
            store.commit(&position).unwrap();
            self.committed = Instant::now();
            self.commits += 1;
            self.committing += start.elapsed();
            self.longest = self.longest.max(start.elapsed());
        }
    }

    fn end(&self, name: &str, updates: u64) {
        let (wall, processor) = (self.start.0.elapsed(), processor_time() - self.start.1);
        let rate = |time: Duration| updates as f64 / time.as_secs_f64() / 1e6;
        println!(
            "{name}: {:.2} M/s wall, {:.2} M/s processor, {} commits taking {:.0} % of the time, longest {:?}, rows {} MB",
            rate(wall),
            rate(processor),
            self.commits,
            100.0 * self.committing.as_secs_f64() / wall.as_secs_f64(),
            self.longest,
            resident() >> 20,
        );
    }
}

/// A small generator, so that every run does the same.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 20
}

/// Processor time of the process so far, from `/proc`; zero elsewhere.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

/// Memory of the process in bytes, from `/proc`; zero elsewhere.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    4096 * statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0)
}
