//! Rule S3 against `kill -9`: a child process commits batch after batch and is killed in the midst of them.
//!
//! The child is this very test binary, told by an environment variable what to do.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kafka_streams_core::TaskId;
use kafka_streams_rocksdb::{RocksDbBackends, RocksDbOptions};
use kafka_streams_state::conformance::position;
use kafka_streams_state::{BatchSource, CommitBatch, KeyRange, Order, StoreBackend, StoreBackends};

const TASK: TaskId = TaskId::new(0, 0);
const DIR: &str = "KILL_TEST_DIR";
const MODE: &str = "KILL_TEST_MODE";
/// Every batch writes all of these rows: after a kill they must tell of one and the same batch.
const ROWS: u32 = 2_000;

/// How the child commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Processing,
    Restore,
    /// A few batches of a restore, then one of processing, and so on.
    Mixed,
    /// Each batch is a step that outgrows its memory: most of its rows are spilled before the commit.
    Spill,
}

const MODES: [(&str, Mode); 4] =
    [("processing", Mode::Processing), ("restore", Mode::Restore), ("mixed", Mode::Mixed), ("spill", Mode::Spill)];

fn open(dir: &Path) -> std::sync::Arc<dyn StoreBackend> {
    // Small write buffers, so that flushes happen all the time.
    RocksDbBackends::new(dir, RocksDbOptions::with_memory(2 << 20)).open(TASK, "store").unwrap()
}

fn source(mode: Mode, batch: i64) -> BatchSource {
    match mode {
        Mode::Processing | Mode::Spill => BatchSource::Processing,
        Mode::Mixed if batch % 5 == 0 => BatchSource::Processing,
        Mode::Restore | Mode::Mixed => BatchSource::Restore,
    }
}

/// The child: commits without end, and tells of each batch once it is committed.
#[test]
fn child() {
    let (Ok(dir), Ok(mode)) = (std::env::var(DIR), std::env::var(MODE)) else { return };
    let mode = MODES.iter().find(|(name, _)| *name == mode).unwrap().1;
    let store = open(Path::new(&dir));
    let first = store.position().map_or(1, |position| position.offset + 1);
    let mut out = std::io::stdout().lock();
    for batch in first.. {
        // Spilled rows are larger than a write buffer, so that flushes come in the midst of spilling and merging.
        let value = batch.to_be_bytes().repeat(if mode == Mode::Spill { 100 } else { 1 });
        let keys: Vec<[u8; 4]> = (0..ROWS).map(u32::to_be_bytes).collect();
        // A row of the batch before is deleted as a range, and one of its own comes in its place.
        let own = |batch: i64| [&[0xff][..], &batch.to_be_bytes()].concat();
        let deleted = [(own(batch - 1), own(batch))];
        let own = own(batch);
        let (position, source) = (position(batch), source(mode, batch));
        let keys = keys.iter().map(|key| &key[..]).chain([&own[..]]);
        let mut rows: Vec<_> = keys.map(|key| (key, Some(&value[..]))).collect();
        if mode == Mode::Spill {
            let left = rows.split_off(ROWS as usize - 100);
            for part in rows.chunks(500) {
                // First what is spilled over at once, rows and deletions.
                store.spill(&mut part.iter().map(|(key, _)| (*key, Some(&b"an earlier value"[..])))).unwrap();
                store.spill(&mut part.iter().map(|(key, _)| (*key, None))).unwrap();
                store.spill(&mut part.iter().copied()).unwrap();
                tell(&mut out, "spilled", batch);
            }
            rows = left;
            tell(&mut out, "committing", batch);
        }
        let mut rows = rows.iter().copied();
        store.commit(CommitBatch { deleted_ranges: &deleted, rows: &mut rows, position: &position, source }).unwrap();
        tell(&mut out, "committed", batch);
    }
}

fn tell(out: &mut impl Write, what: &str, batch: i64) {
    writeln!(out, "{what} {batch}").unwrap();
    out.flush().unwrap();
}

#[test]
fn s3_a_killed_process_leaves_whole_batches() {
    for (name, mode) in MODES {
        let dir = tempfile::tempdir().unwrap();
        let mut survived = 0;
        let rounds = if mode == Mode::Spill { 15 } else { 6 };
        for round in 1..=rounds {
            let told = match mode {
                // Five lines or so tell of a batch: some rounds end within its spill, others within its commit.
                Mode::Spill => {
                    run_and_kill(dir.path(), name, 5 + round as usize, Duration::from_millis(4 * (round % 7)))
                }
                _ => run_and_kill(dir.path(), name, 3 + 17 * round as usize, Duration::ZERO),
            };
            let store = open(dir.path());
            let reached = check(&*store, &format!("{mode:?}, round {round}, batch {told} was told of"));
            assert!(reached >= survived, "{mode:?}: batch {survived} was there before the child started");
            match mode {
                Mode::Processing | Mode::Spill => {
                    assert!(reached >= told, "batch {told} was committed, {reached} was found")
                }
                // The latest batches of a restore may be gone, but not those before the last batch of processing.
                Mode::Mixed => assert!(reached >= told / 5 * 5, "batch {told} was committed, {reached} was found"),
                Mode::Restore => {}
            }
            survived = reached;
        }
    }
}

/// Runs the child until it has told so many lines, kills it after a moment, and returns the last batch that it told to be
/// committed.
fn run_and_kill(dir: &Path, mode: &str, lines: usize, moment: Duration) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(MODE, mode)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = 0;
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, batch)) = line.split_once("committed ") {
            told = batch.trim().parse().unwrap();
        }
        seen += usize::from(["spilled ", "committing ", "committed "].iter().any(|what| line.contains(what)));
        if seen == lines {
            // Only spreads the kills over what the child does; nothing is waited for.
            std::thread::sleep(moment);
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "the child ended by itself after {seen} lines");
    told
}

/// All rows tell of the batch of the position, which is returned; 0 without one.
fn check(store: &dyn StoreBackend, when: &str) -> i64 {
    let mut batches = BTreeSet::new();
    let mut rows = 0;
    let visit = &mut |_: &[u8], value: &[u8]| {
        let batch: Vec<_> = value.chunks(8).map(|batch| i64::from_be_bytes(batch.try_into().unwrap())).collect();
        batches.extend(batch);
        rows += 1;
        true
    };
    store.scan(KeyRange::default(), Order::Ascending, visit).unwrap();
    let Some(position) = store.position() else {
        assert_eq!(rows, 0, "no position, no rows ({when})");
        return 0;
    };
    assert_eq!(batches.into_iter().collect::<Vec<_>>(), [position.offset], "other batches ({when})");
    assert_eq!(rows, ROWS + 1, "{when}");
    position.offset
}
