//! `cargo xtask demo`: word count, exactly-once, on a real broker, with a live table of the words counted most.

mod counts;
mod text;

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cargo::build_binary;
use crate::jvm::Programs;
use crate::kafka::{BrokerSpec, KafkaVersion, RunningBroker};
use crate::process::Group;
use crate::progress::Step;
use crate::workspace::Workspace;
use crate::{interrupt, process, setup};
use counts::{Counts, Update};

const INPUT: &str = "lines";
const OUTPUT: &str = "counts";
const PARTITIONS: &str = "4";
const THREADS: &str = "2";
/// Rows of the table.
const TOP: usize = 20;
/// Lines fed at once, and the pause after them on a terminal, so that the table can be seen to grow: about 2,000 lines a second.
const FEED: (usize, Duration) = (40, Duration::from_millis(20));
/// Without a terminal nobody watches: if nothing is counted for so long, the demo has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The text to count, UTF-8; without it, a few thousand lines made up here
    file: Option<PathBuf>,
    /// Kafka's version
    #[arg(long, value_name = "VERSION", default_value_t)]
    kafka_version: KafkaVersion,
}

/// Runs the demo: on a terminal until Ctrl-C, else until every word was counted.
pub(crate) fn run(workspace: &Workspace, options: &Demo) -> Result<()> {
    setup::ensure(workspace, &setup::BUILD)?;
    setup::ensure(workspace, &setup::JAVA)?;
    let text = match &options.file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => text::made_up(),
    };
    let directory = workspace.target().join("demo");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let binary = build_binary(workspace, "word-count", false)?;
    let programs = Programs::build(workspace)?;
    let spec =
        BrokerSpec { name: "demo".to_owned(), version: options.kafka_version.clone(), secured: false, fresh: true };
    let broker = RunningBroker::start_afresh(workspace, &spec)?;
    let bootstrap = &broker.state().bootstrap;
    for topic in [INPUT, OUTPUT] {
        let mut command = programs.command("tools.Topics", &[]);
        process::capture(command.args([bootstrap, "create", topic, PARTITIONS]), "creating a topic")?;
    }
    let log = directory.join("word-count.log");
    let mut counter = start_counter(&binary, bootstrap, &directory, &log)?;
    let (mut tail, updates) = follow(&programs, bootstrap)?;
    let mut feeder = feed(&programs, bootstrap, &text)?;

    let mut counts = Counts::expecting(&text);
    let shown = show(&mut counts, &updates, &mut counter, &mut feeder, &log);
    // In this order: whoever reads what another writes goes first, the broker last (it goes with its guard).
    feeder.stop()?;
    tail.stop()?;
    let step = Step::start("stopping word-count");
    let status = counter.stop()?;
    if !status.success() {
        bail!("word-count did not stop cleanly ({status}); the end of its log:\n{}", process::tail(&log, 30));
    }
    step.done();
    shown?;
    println!("{}", counts.top(TOP));
    match counts.difference() {
        None => eprintln!("{} words counted, exactly as counted without Kafka", counts.seen()),
        Some(difference) if counts.is_complete() => bail!("the counts are wrong: {difference}"),
        Some(_) => eprintln!("stopped after {} of {} words", counts.seen(), counts.expected()),
    }
    Ok(())
}

fn start_counter(binary: &Path, bootstrap: &str, directory: &Path, log: &Path) -> Result<Group> {
    let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = std::process::Command::new(binary);
    command
        .args(["--bootstrap", bootstrap, "--input", INPUT, "--output", OUTPUT])
        .args(["--application-id", "word-count-demo", "--guarantee", "exactly-once", "--threads", THREADS])
        .arg("--state-dir")
        .arg(directory.join("state"))
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    Group::spawn(&mut command, "word-count")
}

/// Starts the reader of the output topic; its updates come through the channel.
fn follow(programs: &Programs, bootstrap: &str) -> Result<(Group, Receiver<Update>)> {
    let mut command = programs.command("tools.Tail", &["-Xmx256m"]);
    command.args([bootstrap, OUTPUT]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut group = Group::spawn(&mut command, "the reader of the counts")?;
    let output = group.child_mut().stdout.take().context("the reader has no output")?;
    let (sender, updates) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        for update in lines.filter_map(|line| Update::parse(&line)) {
            if sender.send(update).is_err() {
                return;
            }
        }
    });
    Ok((group, updates))
}

/// Starts the writer of the input topic and feeds it from a thread of its own.
fn feed(programs: &Programs, bootstrap: &str, text: &str) -> Result<Group> {
    let mut command = programs.command("tools.Produce", &["-Xmx256m"]);
    command.args([bootstrap, INPUT, "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut group = Group::spawn(&mut command, "the writer of the lines")?;
    let mut input = group.child_mut().stdin.take().context("the writer has no input")?;
    let lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    let pause = if std::io::stderr().is_terminal() { FEED.1 } else { Duration::ZERO };
    std::thread::spawn(move || {
        for chunk in lines.chunks(FEED.0) {
            // The writer is gone: the main thread finds out and says why.
            if input.write_all(chunk.concat().as_bytes()).is_err() {
                return;
            }
            std::thread::sleep(pause);
        }
    });
    Ok(group)
}

/// Takes updates in and redraws, until it is time to stop.
fn show(
    counts: &mut Counts,
    updates: &Receiver<Update>,
    counter: &mut Group,
    feeder: &mut Group,
    log: &Path,
) -> Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::new(counts.expected());
    bar.set_style(ProgressStyle::with_template("{msg}\n{bar:40} {pos} of {len} words, {elapsed} (Ctrl-C stops)")?);
    if !terminal {
        eprintln!("counting {} words …", counts.expected());
    }
    let mut progress = Instant::now();
    loop {
        if interrupt::requested() {
            bar.finish_and_clear();
            // On a terminal this is the way to end it.
            return if terminal { Ok(()) } else { Err(interrupt::Interrupted.into()) };
        }
        if let Some(status) = counter.try_wait()? {
            bar.finish_and_clear();
            bail!("word-count ended by itself ({status}); the end of its log:\n{}", process::tail(log, 30));
        }
        if feeder.try_wait()?.is_some_and(|status| !status.success()) {
            bar.finish_and_clear();
            bail!("the lines could not be written");
        }
        match updates.recv_timeout(Duration::from_millis(100)) {
            Ok(update) => {
                counts.apply(update);
                updates.try_iter().for_each(|update| counts.apply(update));
                progress = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                bar.finish_and_clear();
                bail!("the reader of the counts ended by itself");
            }
        }
        if terminal {
            bar.set_message(counts.top(TOP));
            bar.set_position(counts.seen());
        } else if counts.is_complete() {
            return Ok(());
        } else if progress.elapsed() > PATIENCE {
            bail!(
                "nothing was counted for {} s; {} of {} words are; the end of word-count's log:\n{}",
                PATIENCE.as_secs(),
                counts.seen(),
                counts.expected(),
                process::tail(log, 30)
            );
        }
    }
}
