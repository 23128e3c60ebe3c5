//! Stores that keep headers, and the task's directory, in processors of their own while instances come, go and come back:
//! each record meets the value and the header of the one before it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kafka_streams::prelude::*;
use kafka_streams_tests::reference::Moments;
use kafka_streams_tests::{Record as Written, in_process};

use crate::features::{PARTITIONS, Pair};

type Rows = TimestampedKeyValueStoreWithHeaders<String, String>;
type Windows = TimestampedWindowStoreWithHeaders<String, String>;

/// Sends each value with what two stores have of the one before.
struct Chain {
    rows: Rc<Rows>,
    windows: Rc<Windows>,
}

impl Processor for Chain {
    type KIn = String;
    type VIn = String;
    type KOut = String;
    type VOut = String;

    fn init(&mut self, cx: &mut Context<'_, String, String>) -> Step {
        let task = cx.task_id().to_string();
        let own = cx.state_dir().is_some_and(|directory| directory.is_dir() && directory.ends_with(&task));
        if own { Ok(()) } else { Err(Failure::processing(format!("no directory of task {task}"))) }
    }

    fn process(&mut self, mut record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Step {
        let rows = [self.rows.get(&record.key)?, self.windows.fetch(&record.key, 0)?];
        record.headers.add("of", Some(format!("header-of-{}", record.value).into_bytes()));
        let row = ValueTimestampHeaders::new(record.value.clone(), record.timestamp, record.headers.clone());
        self.rows.put(cx, &record.key, Some(&row))?;
        self.windows.put(cx, &record.key, Some(&row), 0)?;
        let value = format!("{} {} {}", record.value, text(&rows[0]), text(&rows[1]));
        cx.forward(record.with_value(value))
    }
}

/// A row's value with its header.
fn text(row: &Option<ValueTimestampHeaders<String>>) -> String {
    let Some(row) = row else { return "none".to_owned() };
    let header = row.headers.last("of").and_then(|header| header.value.clone()).unwrap_or_default();
    format!("{}+{}", row.value, String::from_utf8_lossy(&header))
}

fn topology(pair: &Pair) -> anyhow::Result<Topology> {
    let mut builder = TopologyBuilder::new();
    let day = Duration::from_secs(86_400);
    let rows = Stores::persistent_timestamped_key_value_store_with_headers("rows", StringSerde, StringSerde);
    let windows = Stores::persistent_timestamped_window_store_with_headers(
        "windows",
        day * 365 * 200,
        day,
        false,
        StringSerde,
        StringSerde,
    );
    builder.add_source("in", &[&pair.left], StringSerde, StringSerde)?;
    let rows = builder.add_state_store(rows.with_caching_enabled(), &[])?;
    let windows = builder.add_state_store(windows, &[])?;
    let make = |(rows, windows)| Chain { rows, windows };
    builder.add_processor_with_stores("chain", (rows, windows), make, &["in"])?;
    builder.add_sink("out", &pair.output, StringSerde, StringSerde, &["chain"])?;
    Ok(builder.build()?)
}

#[tokio::test]
async fn headers_in_stores_move_with_their_task() -> anyhow::Result<()> {
    let Some(pair) = Pair::new(&[]).await? else { return Ok(()) };
    let (mut moments, mut last, mut expected) = (Moments::new(181), BTreeMap::new(), Vec::new());
    let feed = || {
        let records = (0..60).map(|_| {
            let (key, value) = (format!("k{}", moments.below(24)), format!("v{}", expected.len()));
            let before = last.insert(key.clone(), value.clone());
            let before = before.map_or("none".to_owned(), |before| format!("{before}+header-of-{before}"));
            expected.push((key.clone(), Some(format!("{value} {before} {before}"))));
            Written::of(key, value)
        });
        pair.broker.write(&pair.left, records.collect::<Vec<_>>())
    };
    let running = pair.come_and_go(|| topology(&pair), feed).await?;
    expected.sort();
    let written = pair.until_committed().and_then(|()| pair.expect_written(&expected));
    in_process::close(&running)?;
    written?;
    for store in ["rows", "windows"] {
        anyhow::ensure!(pair.restored.of(store) > u64::try_from(PARTITIONS)?, "nothing of {store} was restored");
    }
    Ok(())
}
