//! Rule S3 against `kill -9`: a child process commits batch after batch and is killed in the midst of them.
//!
//! The child is this very test binary, told by an environment variable what to do.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

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
}

const MODES: [(&str, Mode); 3] = [("processing", Mode::Processing), ("restore", Mode::Restore), ("mixed", Mode::Mixed)];

fn open(dir: &Path) -> std::sync::Arc<dyn StoreBackend> {
    // Small write buffers, so that flushes happen all the time.
    RocksDbBackends::new(dir, RocksDbOptions::with_memory(2 << 20)).open(TASK, "store").unwrap()
}

fn source(mode: Mode, batch: i64) -> BatchSource {
    match mode {
        Mode::Processing => BatchSource::Processing,
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
        let value = batch.to_be_bytes();
        let keys: Vec<[u8; 4]> = (0..ROWS).map(u32::to_be_bytes).collect();
        // A row of the batch before is deleted as a range, and one of its own comes in its place.
        let own = |batch: i64| [&[0xff][..], &batch.to_be_bytes()].concat();
        let deleted = [(own(batch - 1), own(batch))];
        let own = own(batch);
        let (position, source) = (position(batch), source(mode, batch));
        let keys = keys.iter().map(|key| &key[..]).chain([&own[..]]);
        let rows: Vec<_> = keys.map(|key| (key, Some(&value[..]))).collect();
        let mut rows = rows.iter().copied();
        store.commit(CommitBatch { deleted_ranges: &deleted, rows: &mut rows, position: &position, source }).unwrap();
        writeln!(out, "committed {batch}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn s3_a_killed_process_leaves_whole_batches() {
    for (name, mode) in MODES {
        let dir = tempfile::tempdir().unwrap();
        let mut survived = 0;
        for round in 1..=6 {
            let told = run_and_kill(dir.path(), name, 3 + 17 * round);
            let store = open(dir.path());
            let reached = check(&*store);
            assert!(reached >= survived, "{mode:?}: batch {survived} was there before the child started");
            match mode {
                Mode::Processing => assert!(reached >= told, "batch {told} was committed, {reached} was found"),
                // The latest batches of a restore may be gone, but not those before the last batch of processing.
                Mode::Mixed => assert!(reached >= told / 5 * 5, "batch {told} was committed, {reached} was found"),
                Mode::Restore => {}
            }
            survived = reached;
        }
    }
}

/// Runs the child until it has told of `batches` batches, kills it, and returns the last that it told of.
fn run_and_kill(dir: &Path, mode: &str, batches: usize) -> i64 {
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
            seen += 1;
        }
        if seen == batches {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= batches, "the child ended by itself after {seen} batches");
    told
}

/// All rows tell of the batch of the position, which is returned; 0 without one.
fn check(store: &dyn StoreBackend) -> i64 {
    let mut batches = BTreeSet::new();
    let mut rows = 0;
    let visit = &mut |_: &[u8], value: &[u8]| {
        batches.insert(i64::from_be_bytes(value.try_into().unwrap()));
        rows += 1;
        true
    };
    store.scan(KeyRange::default(), Order::Ascending, visit).unwrap();
    let Some(position) = store.position() else {
        assert_eq!(rows, 0, "no position, no rows");
        return 0;
    };
    assert_eq!(batches.into_iter().collect::<Vec<_>>(), [position.offset], "rows of other batches than the position's");
    assert_eq!(rows, ROWS + 1);
    position.offset
}
