//! `cargo xtask bench`: our bench binary and the JVM peer over the same broker and topic, in turn, and a table of ratios.

mod driver;
mod latency;
mod measurement;
mod ratio;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cargo::build_binary;
use crate::jvm::Programs;
use crate::kafka::{BrokerSpec, KafkaVersion, RunningBroker};
use crate::process::Group;
use crate::progress::Step;
use crate::workspace::Workspace;
use crate::{process, setup};
use measurement::Measurement;

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Workloads, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "map,count,rekey-count,window,join,table,restore")]
    workloads: Vec<Workload>,
    /// Guarantees, separated by commas; restore is measured under at-least-once only
    #[arg(long, value_enum, value_delimiter = ',', default_value = "alos,eos")]
    guarantees: Vec<Guarantee>,
    /// Which programs to run, separated by commas; ratios need both
    #[arg(long, value_enum, value_delimiter = ',', default_value = "jvm,rust")]
    sides: Vec<Side>,
    /// Records of the input topic
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    records: u64,
    /// Distinct keys among them (for restore: as many keys as records, both half as many again as --records)
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    keys: u64,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    value_bytes: u32,
    /// Partitions of every topic
    #[arg(long, value_name = "N", default_value_t = 4)]
    partitions: u32,
    /// Stream threads of each program
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: u32,
    /// How often everything is run; the programs take turns in going first
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// Measure end-to-end latency instead of throughput: of map and count, with caching off
    #[arg(long)]
    latency: bool,
    /// Measure the test driver beside the JVM's, without a broker
    #[arg(long, conflicts_with = "latency")]
    driver: bool,
    /// With --latency: records a second that are written
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    rate: u64,
    /// With --latency: seconds that count, after a warm-up of 35 s (a commit interval under at-least-once and a bit)
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    latency_seconds: u64,
    /// End a run that takes longer
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    limit: u64,
}

/// What a program does with the records; the names are the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Workload {
    /// Filter and change each value
    Map,
    /// Count by key
    Count,
    /// Count by another key, through a repartition topic
    RekeyCount,
    /// Count by key and one-minute window
    Window,
    /// Join with itself, within five seconds before and after
    Join,
    /// Join with the same records read as a table
    Table,
    /// Rebuild the store of count from its changelog
    Restore,
}

/// The processing guarantee, by the peer's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Guarantee {
    /// At-least-once
    Alos,
    /// Exactly-once
    Eos,
}

/// A program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Side {
    /// JVM Kafka Streams
    Jvm,
    /// Ours
    Rust,
}

/// Options of the JVM peer.
const PEER_HEAP: &str = "-Xmx2g";
/// With a cache, `count` would hold its results back until a commit, every 30 s under at-least-once.
const CACHING_OFF: &str = "statestore.cache.max.bytes=0";
/// Runs what was asked for.
pub(crate) fn run(workspace: &Workspace, options: &Bench) -> Result<()> {
    setup::ensure(workspace, &setup::BUILD)?;
    if options.driver {
        return driver::run(workspace, options);
    }
    setup::ensure(workspace, &setup::JAVA)?;
    let rust = match options.sides.contains(&Side::Rust) {
        true => build_binary(workspace, "bench", true)?,
        false => PathBuf::new(),
    };
    let programs = Programs::build(workspace)?;
    let directory = workspace.target().join("bench");
    let _ = std::fs::remove_dir_all(directory.join("run"));
    std::fs::create_dir_all(directory.join("run"))?;
    let spec = BrokerSpec { name: "bench".to_owned(), version: KafkaVersion::default(), secured: false, fresh: true };
    let broker = RunningBroker::start_afresh(workspace, &spec)?;
    let stand = Stand { options, rust, programs, directory, bootstrap: broker.state().bootstrap.clone() };
    if options.latency { latency::run(&stand) } else { throughput(&stand) }
}

/// Where the runs take place.
struct Stand<'a> {
    options: &'a Bench,
    rust: PathBuf,
    programs: Programs,
    directory: PathBuf,
    bootstrap: String,
}

/// One run of one program.
#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    side: Side,
    workload: Workload,
    guarantee: Guarantee,
    input: &'a str,
    output: &'a str,
    records: u64,
    application: &'a str,
}

fn throughput(stand: &Stand<'_>) -> Result<()> {
    let options = stand.options;
    let mut measurements = Vec::new();
    let mut failures = Vec::new();
    let streaming: Vec<_> = options.workloads.iter().copied().filter(|w| *w != Workload::Restore).collect();
    if !streaming.is_empty() {
        stand.load("bench-input", options.records, options.keys)?;
    }
    if streaming.contains(&Workload::Table) {
        stand.load("bench-input-table", options.records, options.keys)?;
    }
    for round in 0..options.rounds {
        for workload in &streaming {
            for guarantee in &options.guarantees {
                for side in stand.order(round) {
                    let output = format!("{}-{}-{}-{round}", name(workload), name(guarantee), name(&side));
                    let run = Run {
                        side,
                        workload: *workload,
                        guarantee: *guarantee,
                        input: "bench-input",
                        output: &output,
                        records: options.records,
                        application: &format!("app-{output}"),
                    };
                    stand.topic(&output)?;
                    note(stand.measure(&run, round), &run, &mut measurements, &mut failures)?;
                    stand.clean(&run)?;
                }
            }
        }
    }
    if options.workloads.contains(&Workload::Restore) {
        restore(stand, &mut measurements, &mut failures)?;
    }
    report(stand, &measurements)?;
    if !failures.is_empty() {
        bail!("{} runs failed:\n  {}", failures.len(), failures.join("\n  "));
    }
    Ok(())
}

/// Each side counts once to make a changelog, then rebuilds its store from it, round after round, always from nothing.
fn restore(stand: &Stand<'_>, measurements: &mut Vec<Measurement>, failures: &mut Vec<String>) -> Result<()> {
    let records = stand.options.records + stand.options.records / 2;
    stand.load("restore-input", records, records)?;
    let mut ready = Vec::new();
    for side in stand.order(0) {
        let output = format!("restore-{}", name(&side));
        stand.topic(&output)?;
        let application = format!("app-{output}");
        let run = Run {
            side,
            workload: Workload::Count,
            guarantee: Guarantee::Alos,
            input: "restore-input",
            output: &output,
            records,
            application: &application,
        };
        // This run only prepares: what it measures is not kept.
        let before = failures.len();
        note(stand.measure(&run, 0), &run, &mut Vec::new(), failures)?;
        if failures.len() == before {
            ready.push(side);
        }
    }
    for round in 0..stand.options.rounds {
        for side in stand.order(round).into_iter().filter(|side| ready.contains(side)) {
            let output = format!("restore-{}", name(&side));
            let application = format!("app-{output}");
            let run = Run {
                side,
                workload: Workload::Restore,
                guarantee: Guarantee::Alos,
                input: "restore-input",
                output: &output,
                records,
                application: &application,
            };
            stand.empty_group(&application)?;
            note(stand.measure(&run, round), &run, measurements, failures)?;
        }
    }
    Ok(())
}

/// Keeps a result or a failure; an interruption ends everything.
fn note(
    result: Result<Measurement>,
    run: &Run<'_>,
    measurements: &mut Vec<Measurement>,
    failures: &mut Vec<String>,
) -> Result<()> {
    match result {
        Ok(measurement) => measurements.push(measurement),
        Err(error) if error.is::<crate::interrupt::Interrupted>() => return Err(error),
        Err(error) => {
            eprintln!("error: {error:#}");
            failures.push(format!("{} of {}", run.what(), name(&run.side)));
        }
    }
    Ok(())
}

impl Run<'_> {
    fn what(&self) -> String {
        format!("{} {}", name(&self.workload), name(&self.guarantee))
    }
}

impl Stand<'_> {
    /// The sides in the order of a round: they take turns in going first.
    fn order(&self, round: u32) -> Vec<Side> {
        let mut sides = self.options.sides.clone();
        if round % 2 == 1 {
            sides.reverse();
        }
        sides
    }

    fn load(&self, topic: &str, records: u64, keys: u64) -> Result<()> {
        let step = Step::start(format!("loading {records} records into {topic}"));
        let mut command = self.programs.command("peer.Load", &["-Xmx512m"]);
        command.args([&self.bootstrap, topic, &self.options.partitions.to_string(), &records.to_string()]);
        command.args([&keys.to_string(), &self.options.value_bytes.to_string()]);
        process::run_logged(&mut command, "peer.Load", &self.directory.join("run/load.log"))?;
        step.done();
        Ok(())
    }

    fn topic(&self, topic: &str) -> Result<()> {
        let mut command = self.programs.command("tools.Topics", &["-Xmx128m"]);
        command.args([&self.bootstrap, "create", topic, &self.options.partitions.to_string(), "retention.ms=-1"]);
        process::capture(&mut command, "creating a topic").map(drop)
    }

    /// Removes what a run left: its output and internal topics, so that the disk and the page cache are the next run's.
    fn clean(&self, run: &Run<'_>) -> Result<()> {
        let mut command = self.programs.command("tools.Topics", &["-Xmx128m"]);
        command.args([&self.bootstrap, "delete", run.output, &format!("{}-*", run.application)]);
        process::capture(&mut command, "deleting topics")?;
        let _ = std::fs::remove_dir_all(self.state_directory(run));
        Ok(())
    }

    /// Removes the members of an earlier run, which does not leave when it closes, as on the JVM: the next run would wait for its session
    /// to time out, and burn CPU time meanwhile.
    fn empty_group(&self, application: &str) -> Result<()> {
        let mut command = self.programs.command("tools.Groups", &["-Xmx128m"]);
        process::capture(command.args([&self.bootstrap, "empty", application]), "emptying the group").map(drop)
    }

    fn state_directory(&self, run: &Run<'_>) -> PathBuf {
        self.directory.join("run").join(format!("{}-state", run.application))
    }

    /// The program with the peer's arguments, which ours takes too, on an empty state directory.
    fn command(&self, run: &Run<'_>) -> Result<Command> {
        let state = self.state_directory(run);
        let _ = std::fs::remove_dir_all(&state);
        std::fs::create_dir_all(&state).with_context(|| format!("cannot create {}", state.display()))?;
        let latency = self.options.latency;
        let mut command = match run.side {
            Side::Jvm if latency => {
                self.programs.command("peer.Bench", &[PEER_HEAP, &format!("-Dconfig={CACHING_OFF}")])
            }
            Side::Jvm => self.programs.command("peer.Bench", &[PEER_HEAP]),
            Side::Rust => Command::new(&self.rust),
        };
        if latency && run.side == Side::Rust {
            command.args(["--config", CACHING_OFF]);
        }
        let (workload, guarantee) = (name(&run.workload), name(&run.guarantee));
        command.args([&self.bootstrap, &workload, run.input, run.output, &run.records.to_string(), &guarantee]);
        command.arg(self.options.threads.to_string()).arg(state).arg(run.application);
        Ok(command)
    }

    /// Runs a program to its end and reads the line that it prints.
    fn measure(&self, run: &Run<'_>, round: u32) -> Result<Measurement> {
        let what = format!("round {}: {} by {}", round + 1, run.what(), name(&run.side));
        let step = Step::start(&what);
        let output = self.capture(&mut self.command(run)?, &what, run)?;
        let Some(measurement) = output.lines().rev().find_map(|line| Measurement::parse(run.side, round, line)) else {
            bail!("{what}: no line of figures among what it printed:\n{output}");
        };
        step.done();
        eprintln!("  {measurement}");
        Ok(measurement)
    }

    /// Standard output of a program that ends by itself within the limit; its error output goes to a file and is shown when it fails.
    fn capture(&self, command: &mut Command, what: &str, run: &Run<'_>) -> Result<String> {
        let base = self.directory.join("run").join(run.application);
        let (out, log) = (base.with_extension("out"), base.with_extension("log"));
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&log)?);
        let mut group = Group::spawn(command, what)?;
        let status = group.wait_at_most(Duration::from_secs(self.options.limit * 60))?;
        if !status.success() {
            bail!("{what} failed ({status}); the end of {}:\n{}", log.display(), process::tail(&log, 25));
        }
        std::fs::read_to_string(&out).with_context(|| format!("cannot read {}", out.display()))
    }
}

/// Prints the table and writes everything as JSON.
fn report(stand: &Stand<'_>, measurements: &[Measurement]) -> Result<()> {
    if measurements.is_empty() {
        return Ok(());
    }
    println!("{}", ratio::throughput_table(measurements));
    write_json(stand, "throughput", measurements)
}

/// Writes `target/bench/KIND-TIME.json`: the settings and every single run.
fn write_json<T: Serialize>(stand: &Stand<'_>, kind: &str, runs: &[T]) -> Result<()> {
    let options = stand.options;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
    let path = stand.directory.join(format!("{kind}-{seconds}.json"));
    let document = serde_json::json!({
        "unix_time": seconds,
        "kafka": KafkaVersion::default().as_str(),
        "records": options.records,
        "keys": options.keys,
        "value_bytes": options.value_bytes,
        "partitions": options.partitions,
        "threads": options.threads,
        "cores": std::thread::available_parallelism().map(usize::from).unwrap_or_default(),
        "runs": runs,
    });
    write(&path, &serde_json::to_string_pretty(&document)?)?;
    eprintln!("every run: {}", path.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The name of a choice as on the command line.
fn name<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
