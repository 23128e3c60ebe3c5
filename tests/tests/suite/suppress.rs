//! What waits in a suppress buffer moves with its task and comes back after a restart: nothing is lost, nothing is sent twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_streams::prelude::*;
use kafka_streams_tests::reference::Moments;
use kafka_streams_tests::{Record as Written, in_process};

use crate::features::{PARTITIONS, Pair};

/// Longer than what is fed between two moves of the tasks, so that windows are open over each of them.
const WINDOW_MS: i64 = 1_000_000;

/// The result of a window: key and start of the window, and the count.
type Counts = BTreeMap<(String, i64), i64>;

/// Clicks with timestamps that only grow, so that none is late; what they amount to.
struct Clicks {
    moments: Moments,
    now: i64,
    counts: Counts,
}

impl Clicks {
    fn new(seed: u64) -> anyhow::Result<Clicks> {
        // Not so long ago that the broker would delete it.
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())? - 6 * WINDOW_MS;
        Ok(Clicks { moments: Moments::new(seed), now, counts: Counts::new() })
    }

    /// Some clicks, over a time of less than half a window.
    fn feed(&mut self, pair: &Pair, number: usize) -> anyhow::Result<()> {
        for _ in 0..number {
            self.now += i64::try_from(self.moments.below(10_000))?;
            let key = i32::try_from(self.moments.below(40))?;
            *self.counts.entry((format!("k{key}"), self.now - self.now.rem_euclid(WINDOW_MS))).or_default() += 1;
            self.write(pair, key % PARTITIONS, format!("k{key}"), self.now)?;
        }
        Ok(())
    }

    /// Moves the time of every partition past the end of all windows.
    fn close(&self, pair: &Pair) -> anyhow::Result<()> {
        (0..PARTITIONS)
            .try_for_each(|partition| self.write(pair, partition, "end".to_owned(), self.now + 2 * WINDOW_MS))
    }

    fn write(&self, pair: &Pair, partition: i32, key: String, timestamp: i64) -> anyhow::Result<()> {
        let place = Written { partition: Some(partition), timestamp: Some(timestamp), ..Written::default() };
        pair.broker.write(&pair.left, [Written { key: Some(key.into_bytes()), value: Some(b"x".to_vec()), ..place }])
    }
}

/// Counts by window and tells the final count of each, under `key@start`; `check` sees each before it is sent.
fn final_counts(pair: &Pair, check: impl Fn() -> Step + Send + Sync + 'static) -> anyhow::Result<Topology> {
    let builder = StreamsBuilder::new();
    let clicks = builder.stream::<String, String>(pair.left.as_str());
    let size = Duration::from_millis(WINDOW_MS.unsigned_abs());
    clicks
        .group_by_key(Grouped::default())
        .windowed_by(TimeWindows::of_size_with_no_grace(size))
        .count(Materialized::named("counts"))
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()).with_name("final"))
        .to_stream()
        .map(|windowed, count| {
            (format!("{}@{}", windowed.key, windowed.window.start), count.map(|count| count.to_string()))
        })
        .try_map_values(move |count| check().map(|()| count))
        .to(pair.output.as_str());
    Ok(builder.build()?)
}

/// Waits until every window was told, and checks that each was told once, and right.
fn expect_once(pair: &Pair, clicks: &Clicks) -> anyhow::Result<()> {
    let row = |((key, start), count): (&(String, i64), &i64)| (format!("{key}@{start}"), Some(count.to_string()));
    let mut expected: Vec<_> = clicks.counts.iter().map(row).collect();
    expected.sort();
    pair.expect_written(&expected)
}

const BUFFER: &str = "final-store";

#[tokio::test]
async fn open_windows_move_with_their_task_and_are_told_once() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[]).await? else { return Ok(()) };
    let mut clicks = Clicks::new(181)?;
    let last = pair.come_and_go(|| final_counts(&pair, || Ok(())), || clicks.feed(&pair, 60)).await?;
    clicks.close(&pair)?;
    expect_once(&pair, &clicks)?;
    in_process::close(&last)?;
    anyhow::ensure!(pair.restored.of(BUFFER) > 0, "no window that was open has moved");
    Ok(())
}

#[tokio::test]
async fn open_windows_survive_a_restart_with_and_without_their_directory() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[]).await? else { return Ok(()) };
    let mut clicks = Clicks::new(182)?;
    let mut restored = 0;
    // The buffer lies in memory: its changelog is read at each start.
    for (name, begun) in [("first", false), ("first", true), ("second", true), ("first", true)] {
        let streams = pair.start(name, final_counts(&pair, || Ok(()))?)?;
        clicks.feed(&pair, 60)?;
        in_process::until_running(&streams).await?;
        pair.until_committed()?;
        in_process::close(&streams)?;
        let now = pair.restored.of(BUFFER);
        anyhow::ensure!((now > restored) == begun, "{name}: {restored} records restored, then {now}");
        restored = now;
    }
    let last = pair.start("first", final_counts(&pair, || Ok(()))?)?;
    clicks.close(&pair)?;
    expect_once(&pair, &clicks)?;
    in_process::close(&last)
}

#[tokio::test]
async fn a_window_whose_telling_is_aborted_is_told_once_more() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[]).await? else { return Ok(()) };
    // One failure among the windows that close while records come in, one when the last ones do.
    let (fails, failed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let check = {
        let (fails, failed) = (fails.clone(), failed.clone());
        move || match fails.swap(false, Ordering::Relaxed) {
            true => {
                failed.fetch_add(1, Ordering::Relaxed);
                Err(Failure::processing("this telling fails"))
            }
            false => Ok(()),
        }
    };
    let streams = pair.instance("first", final_counts(&pair, check)?)?;
    streams.set_uncaught_exception_handler(Arc::new(|_| StreamThreadExceptionResponse::ReplaceThread));
    streams.start()?;
    in_process::until_running(&streams).await?;
    let mut clicks = Clicks::new(183)?;
    for _ in 0..6 {
        clicks.feed(&pair, 60)?;
        pair.until_committed()?;
    }
    fails.store(true, Ordering::Relaxed);
    clicks.close(&pair)?;
    expect_once(&pair, &clicks)?;
    in_process::close(&streams)?;
    let failed = failed.load(Ordering::Relaxed);
    anyhow::ensure!(failed == 2, "{failed} tellings have failed");
    Ok(())
}
