//! `cargo xtask smoke`: Kafka's own smoke tests of Kafka Streams, whose generators and verifiers run unchanged, against our programs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::cargo::build_binary_of;
use crate::jvm::{self, Programs};
use crate::kafka::{BrokerSpec, KafkaVersion, RunningBroker};
use crate::process::{self, Group};
use crate::progress::Step;
use crate::workspace::Workspace;
use crate::{interrupt, setup};

/// The package with our programs.
const PACKAGE: &str = "smoke-test";
/// What Kafka's system tests create.
const PARTITIONS: &str = "5";

/// Options of `smoke`.
#[derive(Debug, Args)]
pub(crate) struct Smoke {
    /// Tests to run, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "streams,relational")]
    tests: Vec<SmokeTest>,
    /// Guarantees, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "at-least-once,exactly-once")]
    guarantees: Vec<Guarantee>,
    /// Instances of our program that run at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    instances: usize,
    /// Kill -9 and restart one instance after another, with this pause between, while records are generated
    #[arg(long, value_name = "SECONDS")]
    bounce: Option<u64>,
    /// End a test that takes longer
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    limit: u64,
}

/// A test of Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SmokeTest {
    /// `StreamsSmokeTest`: windows, suppress, tables, joins of tables
    Streams,
    /// `RelationalSmokeTest`: foreign-key joins
    Relational,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Guarantee {
    /// Duplicates after a failure are allowed, and verified as such
    AtLeastOnce,
    /// No loss and no duplicates
    ExactlyOnce,
}

impl SmokeTest {
    fn class(self) -> &'static str {
        match self {
            SmokeTest::Streams => "org.apache.kafka.streams.tests.StreamsSmokeTest",
            SmokeTest::Relational => "org.apache.kafka.streams.tests.RelationalSmokeTest",
        }
    }

    /// Our program for it.
    fn binary(self) -> &'static str {
        match self {
            SmokeTest::Streams => "smoke-test",
            SmokeTest::Relational => "relational-smoke-test",
        }
    }

    /// What the verifier prints at the end of a test that passed.
    fn success(self) -> &'static str {
        match self {
            SmokeTest::Streams => "SUCCESS",
            SmokeTest::Relational => "Smoke test complete: passed",
        }
    }

    /// What the generator prints when it has written everything.
    fn generated(self) -> &'static str {
        match self {
            SmokeTest::Streams => " 20000 records produced",
            SmokeTest::Relational => "Smoke test finished producing",
        }
    }

    fn topics(self) -> &'static [&'static str] {
        match self {
            SmokeTest::Streams => &[
                "data",
                "fk",
                "echo",
                "max",
                "min",
                "min-suppressed",
                "min-raw",
                "dif",
                "sum",
                "sws-raw",
                "sws-suppressed",
                "cnt",
                "avg",
                "tagg",
            ],
            SmokeTest::Relational => &["in-article", "in-comment", "out-augmented-article", "out-augmented-comment"],
        }
    }
}

impl Guarantee {
    /// As the JVM's configuration says it.
    fn jvm(self) -> &'static str {
        match self {
            Guarantee::AtLeastOnce => "at_least_once",
            Guarantee::ExactlyOnce => "exactly_once_v2",
        }
    }

    /// As our programs say it.
    fn ours(self) -> &'static str {
        match self {
            Guarantee::AtLeastOnce => "at-least-once",
            Guarantee::ExactlyOnce => "exactly-once",
        }
    }
}

/// Runs every test under every guarantee, each on a broker of its own; a failed one does not keep the others from running.
pub(crate) fn run(workspace: &Workspace, options: &Smoke) -> Result<()> {
    setup::ensure(workspace, &setup::BUILD)?;
    setup::ensure(workspace, &setup::JAVA)?;
    if options.instances == 0 {
        bail!("--instances must be at least 1");
    }
    let programs = Programs::build(workspace)?;
    let libraries = jvm::smoke_libraries(workspace, &KafkaVersion::default().to_string())?;
    let directory = workspace.target().join("smoke/run");
    let _ = std::fs::remove_dir_all(&directory);
    let mut failed = Vec::new();
    for test in &options.tests {
        let program = build_binary_of(workspace, PACKAGE, test.binary(), false)?;
        for guarantee in &options.guarantees {
            let name = format!("{} {}", test.class().rsplit('.').next().unwrap_or_default(), guarantee.ours());
            let directory = directory.join(name.replace(' ', "-"));
            std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
            let stand =
                Stand { workspace, programs: &programs, libraries: &libraries, program: &program, directory, options };
            match stand.run(&name, *test, *guarantee) {
                Ok(()) => println!("{name}: {}", test.success()),
                Err(error) if error.is::<interrupt::Interrupted>() => return Err(error),
                Err(error) => {
                    println!("{name}: FAILED: {error:#}");
                    failed.push(name);
                }
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("failed: {}", failed.join(", ")),
    }
}

/// Everything that one test needs.
struct Stand<'a> {
    workspace: &'a Workspace,
    programs: &'a Programs,
    libraries: &'a Path,
    program: &'a Path,
    /// Logs and stores of this test.
    directory: PathBuf,
    options: &'a Smoke,
}

impl Stand<'_> {
    fn run(&self, name: &str, test: SmokeTest, guarantee: Guarantee) -> Result<()> {
        let spec =
            BrokerSpec { name: "smoke".to_owned(), version: KafkaVersion::default(), secured: false, fresh: true };
        let broker = RunningBroker::start_afresh(self.workspace, &spec)?;
        let bootstrap = &broker.state().bootstrap;
        for topic in test.topics() {
            let mut command = self.programs.command("tools.Topics", &[]);
            process::capture(command.args([bootstrap, "create", topic, PARTITIONS]), "creating a topic")?;
        }
        let mut instances = Vec::new();
        for number in 0..self.options.instances {
            instances.push(self.start_instance(bootstrap, guarantee, number)?);
        }
        let step = Step::start(name);
        let verdict = self.drive(bootstrap, test, guarantee, &mut instances);
        for instance in &mut instances {
            let status = instance.stop()?;
            if verdict.is_ok() {
                process::expect_success(status, &self.program.display().to_string())?;
            }
        }
        verdict?;
        step.done();
        Ok(())
    }

    /// Lets Kafka's program generate and verify, and bounces our instances meanwhile.
    fn drive(&self, bootstrap: &str, test: SmokeTest, guarantee: Guarantee, instances: &mut [Group]) -> Result<()> {
        let log = self.directory.join("driver.log");
        let mut driver = Group::spawn(&mut self.driver(bootstrap, test, guarantee, &log)?, test.class())?;
        let limit = Instant::now() + Duration::from_secs(self.options.limit * 60);
        let mut bounces = self.options.bounce.map(|pause| Bounces::every(Duration::from_secs(pause)));
        let status = loop {
            if let Some(status) = driver.try_wait()? {
                break status;
            }
            for (number, instance) in instances.iter_mut().enumerate() {
                if let Some(status) = instance.try_wait()? {
                    bail!("instance {number} ended by itself ({status}); its log: {}", self.log(number).display());
                }
            }
            if let Some(number) = bounces.as_mut().and_then(|bounces| bounces.due(instances.len())) {
                if said(&log, test.generated())? {
                    bounces = None;
                    continue;
                }
                eprintln!("  kill -9 and restart of instance {number}");
                if let Some(instance) = instances.get_mut(number) {
                    instance.child_mut().kill()?;
                    instance.wait()?;
                    *instance = self.start_instance(bootstrap, guarantee, number)?;
                }
            }
            if Instant::now() > limit {
                bail!(
                    "not done after {} minutes; the end of {}:\n{}",
                    self.options.limit,
                    log.display(),
                    process::tail(&log, 30)
                );
            }
            std::thread::sleep(process::POLL);
        };
        if !status.success() || !said(&log, test.success())? {
            bail!("no \"{}\" ({status}); the end of {}:\n{}", test.success(), log.display(), process::tail(&log, 40));
        }
        Ok(())
    }

    fn driver(&self, bootstrap: &str, test: SmokeTest, guarantee: Guarantee, log: &Path) -> Result<Command> {
        let mut command = Command::new(jvm::java());
        command.args(["-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
        // The relational test says how it ended in its log only.
        command.arg("-Dorg.slf4j.simpleLogger.log.org.apache.kafka.streams.tests=info");
        command.arg("-cp").arg(self.libraries.join("*")).arg(test.class());
        match test {
            SmokeTest::Streams => {
                let properties = self.directory.join("smoke.properties");
                let text = format!("bootstrap.servers={bootstrap}\nprocessing.guarantee={}\n", guarantee.jvm());
                std::fs::write(&properties, text)?;
                command.arg(properties).arg("run");
            }
            SmokeTest::Relational => {
                command.args(["driver", bootstrap]);
            }
        }
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(command)
    }

    fn start_instance(&self, bootstrap: &str, guarantee: Guarantee, number: usize) -> Result<Group> {
        let file = File::options().create(true).append(true).open(self.log(number))?;
        let mut command = Command::new(self.program);
        command.args(["--bootstrap", bootstrap, "--guarantee", guarantee.ours(), "--state-dir"]);
        command.arg(self.directory.join(format!("state-{number}")));
        if self.options.bounce.is_some() {
            // With the default of 45 seconds the killed ones would be waited for longer than the next one lives.
            command.args(["--config", "session.timeout.ms=6000", "--config", "heartbeat.interval.ms=1000"]);
        }
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Group::spawn(&mut command, format!("instance {number}"))
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.join(format!("instance-{number}.log"))
    }
}

/// Whether a line of the log ends with this.
fn said(log: &Path, end: &str) -> Result<bool> {
    let printed = std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(printed.lines().any(|line| line.trim_end().ends_with(end)))
}

/// When the next instance is to be killed, and which.
struct Bounces {
    pause: Duration,
    next: Instant,
    number: usize,
}

impl Bounces {
    fn every(pause: Duration) -> Self {
        Bounces { pause, next: Instant::now() + pause, number: 0 }
    }

    /// The instance whose turn it is, if it is time.
    fn due(&mut self, instances: usize) -> Option<usize> {
        if Instant::now() < self.next {
            return None;
        }
        self.next = Instant::now() + self.pause;
        let number = self.number.checked_rem(instances)?;
        self.number += 1;
        Some(number)
    }
}
