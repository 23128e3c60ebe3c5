//! A versioned table, and a join of a stream with it after a grace period, while instances come, go and come back: each
//! record meets the row of its own time, whenever either has come.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kafka_streams::prelude::*;
use kafka_streams_tests::reference::Moments;
use kafka_streams_tests::{Record as Written, in_process};

use crate::features::{PARTITIONS, Pair};

/// Each round of input covers most of so much time; records are late by up to one round.
const ROUND_MS: i64 = 10_000;
/// Longer than the records of a round are late, and shorter than two rounds: all rows of a round are there before its
/// records are joined.
const GRACE_MS: u64 = 15_000;
/// Longer than any record looks back, and short enough for segments to expire within the test.
const HISTORY_MS: u64 = 45_000;

/// What was written, and what becomes of it.
struct Reference {
    moments: Moments,
    /// When the next round begins: near the present, as the broker may compact away versions that are older than the history
    /// by its clock.
    begin: i64,
    /// Of each key its rows by the times from which they are valid.
    rows: BTreeMap<String, BTreeMap<i64, Option<String>>>,
    /// Key, value and time.
    records: Vec<(String, String, i64)>,
}

impl Reference {
    fn new(seed: u64) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let begin = i64::try_from(now)? - 10 * ROUND_MS;
        Ok(Reference { moments: Moments::new(seed), begin, rows: BTreeMap::new(), records: Vec::new() })
    }

    fn below(&mut self, limit: u64) -> i64 {
        i64::try_from(self.moments.below(limit)).unwrap_or_default()
    }

    /// Rows of a round, in any order, no two of them at the same time.
    fn next_rows(&mut self) -> Vec<Written> {
        let begin = self.begin;
        let mut written = Vec::new();
        for number in 0..60 {
            let (key, time) = (format!("k{}", self.below(16)), begin + self.below(90) * 100 + number);
            let row = (self.below(6) > 0).then(|| format!("row-{time}"));
            self.rows.entry(key.clone()).or_default().insert(time, row.clone());
            written.push(at(time, &key, row));
        }
        written
    }

    /// Records of a round and some of the round before.
    fn next_records(&mut self) -> Vec<Written> {
        let begin = self.begin;
        self.begin += ROUND_MS;
        let mut written = Vec::new();
        for number in 0..60 {
            let late = if number % 5 == 4 { ROUND_MS } else { 0 };
            let (key, time) = (format!("k{}", self.below(16)), begin + self.below(9_000) - late);
            let value = format!("record-{}", self.records.len());
            self.records.push((key.clone(), value.clone(), time));
            written.push(at(time, &key, Some(value)));
        }
        written
    }

    fn joined(&self) -> Vec<(String, Option<String>)> {
        let joined = self.records.iter().map(|(key, value, time)| {
            let row = self.rows.get(key).and_then(|rows| rows.range(..=*time).next_back());
            let row = row.and_then(|(_, row)| row.as_deref()).unwrap_or("none");
            (key.clone(), Some(format!("{value} {row}")))
        });
        let mut joined: Vec<_> = joined.collect();
        joined.sort();
        joined
    }
}

fn at(time: i64, key: &str, value: Option<String>) -> Written {
    Written { key: Some(key.into()), value: value.map(String::into_bytes), timestamp: Some(time), ..Written::default() }
}

fn topology(pair: &Pair) -> anyhow::Result<Topology> {
    let builder = StreamsBuilder::new();
    let stored = Materialized::named("rows").versioned(Duration::from_millis(HISTORY_MS));
    let rows: KTable<String, String> = builder.table_with(pair.right.as_str(), Consumed::default(), stored);
    let records = builder.stream::<String, String>(pair.left.as_str());
    let joiner = |_: &String, record: String, row: Option<String>| {
        format!("{record} {}", row.unwrap_or_else(|| "none".to_owned()))
    };
    let joined = Joined::named("join").with_grace_period(Duration::from_millis(GRACE_MS));
    records.left_join_with(&rows, joiner, joined).to(pair.output.as_str());
    Ok(builder.build()?)
}

#[tokio::test]
async fn records_meet_the_rows_of_their_time_while_instances_come_and_go() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[]).await? else { return Ok(()) };
    let mut reference = Reference::new(174)?;
    let feed = || {
        if !reference.records.is_empty() {
            pair.until_committed()?;
        }
        pair.broker.write(&pair.right, reference.next_rows())?;
        pair.broker.write(&pair.left, reference.next_records())
    };
    let last = pair.come_and_go(|| topology(&pair), feed).await?;
    pair.until_committed()?;
    // The grace of everything is over at once; these records wait for ever.
    let far = reference.begin + 100 * ROUND_MS;
    let end = |partition| Written { partition: Some(partition), ..at(far, "end", Some("end".to_owned())) };
    pair.broker.write(&pair.left, (0..PARTITIONS).map(end))?;
    let joined = pair.expect_written(&reference.joined());
    in_process::close(&last)?;
    joined?;
    for store in ["rows", "join-Buffer"] {
        anyhow::ensure!(pair.restored.of(store) > 0, "nothing of {store} was restored");
    }
    Ok(())
}
