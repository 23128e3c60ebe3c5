//! Programs under test as processes of their own: started, asked to stop, killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::Broker;
use crate::broker::PATIENCE;

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
    /// Where its own part of the log begins.
    from: usize,
}

impl Program {
    /// Starts `command` with its output going to the file `log`, appended.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let from = usize::try_from(out.metadata()?.len())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        Ok(Program { child, log: log.to_owned(), from })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would (SIGKILL), and waits until it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop (SIGTERM), and waits; its exit status.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.stop_within(PATIENCE)
    }

    /// Asks it to stop (SIGTERM), and waits so long at most; its exit status.
    pub fn stop_within(&mut self, limit: Duration) -> Result<ExitStatus> {
        #[expect(unsafe_code, reason = "there is no safe way to send SIGTERM in std")]
        // SAFETY: kill takes any pid; this one is our child's, which was not waited for yet, so it is nobody else's.
        let sent = unsafe { libc::kill(i32::try_from(self.child.id())?, libc::SIGTERM) };
        ensure!(sent == 0, "SIGTERM was not sent");
        self.wait(limit)
    }

    /// Waits until it fails by itself; what it has printed.
    pub fn failure(&mut self) -> Result<String> {
        let status = self.wait(PATIENCE)?;
        let log = self.own_log()?;
        ensure!(!status.success(), "the program ends well, but should fail; its log:\n{log}");
        Ok(log)
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the program does not end within {limit:?}; its log:\n{}", self.log()?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What it has printed so far, after what others with the same log have printed before.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    /// What it has printed so far itself.
    pub fn own_log(&self) -> Result<String> {
        let log = std::fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(log.get(self.from..).unwrap_or_default()).into_owned())
    }

    /// Waits until it has printed `text`.
    pub fn wait_for_log(&mut self, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.own_log()?.contains(text) {
            if !self.is_running()? || Instant::now() > deadline {
                bail!("the program has not printed `{text}`; its log:\n{}", self.log()?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A word count to start, possibly several times: the program `word-count` with its options.
#[derive(Clone, Debug)]
pub struct WordCount {
    /// The broker's address.
    pub bootstrap: String,
    /// The topic with lines.
    pub input: String,
    /// The topic for counts.
    pub output: String,
    /// The application's id.
    pub application_id: String,
    /// Whether exactly-once.
    pub exactly_once: bool,
    /// Number of stream threads.
    pub threads: u32,
    /// Further settings, by their JVM keys.
    pub config: Vec<(String, String)>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Holds state directories and logs.
    pub dir: PathBuf,
}

impl WordCount {
    /// A word count with topics of its own.
    pub async fn new(broker: &Broker, dir: &Path, partitions: i32, exactly_once: bool) -> Result<Self> {
        let word_count = WordCount {
            bootstrap: broker.bootstrap.clone(),
            input: broker.unique("lines"),
            output: broker.unique("counts"),
            application_id: broker.unique("word-count"),
            exactly_once,
            threads: 1,
            // A killed member is missed after this; the broker allows no less than 6 seconds.
            config: vec![
                ("session.timeout.ms".to_owned(), "6000".to_owned()),
                ("heartbeat.interval.ms".to_owned(), "500".to_owned()),
                ("commit.interval.ms".to_owned(), "100".to_owned()),
            ],
            env: Vec::new(),
            dir: dir.to_owned(),
        };
        broker.create_topic(&word_count.input, partitions).await?;
        broker.create_topic(&word_count.output, partitions).await?;
        Ok(word_count)
    }

    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Starts instance `name`: its state directory and its log keep that name.
    pub fn start(&self, name: &str) -> Result<Program> {
        self.start_program(&program_path()?, name, &[])
    }

    /// Starts another program with the same options, and more.
    pub fn start_program(&self, program: &Path, name: &str, more: &[String]) -> Result<Program> {
        Program::start(self.command(program, name, more), &self.log_file(name))
    }

    /// Starts instance `name` where no file may grow beyond `blocks` of 512 bytes, as if the disk were full.
    pub fn start_with_file_size_limit(&self, name: &str, blocks: u32) -> Result<Program> {
        let whole = self.command(&program_path()?, name, &[]);
        let mut command = Command::new("sh");
        // Without its signal, the write that goes too far fails with an error.
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
        command.arg(whole.get_program()).args(whole.get_args());
        Program::start(command, &self.log_file(name))
    }

    fn command(&self, program: &Path, name: &str, more: &[String]) -> Command {
        let mut command = Command::new(program);
        command
            .args(["--bootstrap", &self.bootstrap, "--input", &self.input, "--output", &self.output])
            .args(["--application-id", &self.application_id, "--threads", &self.threads.to_string()])
            .args(["--guarantee", if self.exactly_once { "exactly-once" } else { "at-least-once" }])
            .arg("--state-dir")
            .arg(self.state_dir(name))
            .arg("--task-log")
            .arg(self.dir.join(format!("{name}.tasks")))
            .args(more);
        for (key, value) in &self.config {
            command.arg("--config").arg(format!("{key}={value}"));
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// The log of instance `name`.
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// The changelog of its store.
    pub fn changelog(&self) -> String {
        format!("{}-word-counts-changelog", self.application_id)
    }

    /// The state directory of instance `name`.
    pub fn state_dir(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}-state"))
    }

    /// The lines of the task log of instance `name`: time, task, generation, acquired or released.
    pub fn task_log(&self, name: &str) -> Result<Vec<(u128, String, i32, String)>> {
        let text = std::fs::read_to_string(self.dir.join(format!("{name}.tasks"))).unwrap_or_default();
        let line = |line: &str| {
            let mut fields = line.split(' ');
            let mut next = || fields.next().context("four fields in a line");
            Ok((next()?.parse()?, next()?.to_owned(), next()?.parse()?, next()?.to_owned()))
        };
        text.lines().map(line).collect()
    }

    /// Waits until the output's last counts are these, read-committed; then checks that nothing else was written.
    pub fn expect_counts(&self, broker: &Broker, expected: &std::collections::BTreeMap<String, i64>) -> Result<()> {
        self.expect_counts_within(broker, expected, PATIENCE)
    }

    /// As [`expect_counts`](WordCount::expect_counts) with a limit of its own.
    pub fn expect_counts_within(
        &self,
        broker: &Broker,
        expected: &std::collections::BTreeMap<String, i64>,
        limit: Duration,
    ) -> Result<()> {
        let mut difference = String::new();
        let mut equal = || {
            let found = crate::reference::last_counts(&broker.read(&self.output, crate::Isolation::ReadCommitted)?)?;
            difference = first_difference(&found, expected);
            Ok(difference.is_empty())
        };
        let result = broker.wait_at_most(limit, &mut equal, "the counts are right");
        result.with_context(|| format!("{difference}\n{}", self.log_tails()))
    }

    /// The ends of all instances' logs, for the message of a failed test.
    pub fn log_tails(&self) -> String {
        const LINES: usize = 60;
        let mut text = String::new();
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
                text.push_str(&format!("--- {}\n{tail}\n", path.display()));
            }
        }
        text
    }
}

impl WordCount {
    /// Feeds a little text again and again until the program ends by itself, since nobody can say how many commits a text
    /// makes; `lines` gains what was fed.
    pub fn feed_until_it_ends(
        &self,
        broker: &Broker,
        program: &mut Program,
        lines: &mut Vec<String>,
    ) -> Result<ExitStatus> {
        let mut seed = 1_000;
        let ended = || {
            let running = program.is_running()?;
            if running {
                let more = crate::reference::text(1_000, seed);
                broker.write_lines(&self.input, more.iter().map(String::as_str))?;
                lines.extend(more);
                seed += 1;
            }
            Ok(!running)
        };
        broker.wait_until(ended, "the program ends by itself").with_context(|| self.log_tails())?;
        program.wait(PATIENCE)
    }

    /// Waits until no word's last count is too low, read-committed: what at-least-once promises after a failure.
    pub fn expect_at_least(&self, broker: &Broker, expected: &std::collections::BTreeMap<String, i64>) -> Result<()> {
        let enough = || {
            let found = crate::reference::last_counts(&broker.read(&self.output, crate::Isolation::ReadCommitted)?)?;
            Ok(expected.iter().all(|(word, count)| found.get(word).is_some_and(|found| found >= count)))
        };
        broker.wait_until(enough, "no count is too low")
    }
}

/// How many records were restored into stores, as a log says.
pub fn records_restored(log: &str) -> u64 {
    let lines = log.lines().filter(|line| line.contains("store restored"));
    lines.filter_map(|line| line.split("records=").nth(1)?.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

fn first_difference(
    found: &std::collections::BTreeMap<String, i64>,
    expected: &std::collections::BTreeMap<String, i64>,
) -> String {
    let unexpected = found.keys().filter(|word| !expected.contains_key(*word));
    let words = expected.keys().chain(unexpected);
    let mut wrong = words.filter(|word| found.get(*word) != expected.get(*word));
    match wrong.next() {
        Some(word) => format!(
            "`{word}` is counted {:?}, expected {:?}; {} words of {} differ",
            found.get(word),
            expected.get(word),
            wrong.count() + 1,
            expected.len()
        ),
        None => String::new(),
    }
}

fn program_path() -> Result<PathBuf> {
    let path = std::env::var_os("KAFKA_STREAMS_TEST_WORD_COUNT");
    Ok(PathBuf::from(path.context("KAFKA_STREAMS_TEST_WORD_COUNT is not set; run `cargo xtask test`")?))
}
