//! The Java programs of the project: the JVM's word count, which ours replaces and is replaced by, and tools.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::{Program, WordCount};

/// The compiled Java programs.
#[derive(Clone, Debug)]
pub struct Jvm {
    class_path: String,
}

impl Jvm {
    /// The programs that `cargo xtask test` compiled; `None` with a note outside of it.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn get() -> Option<Jvm> {
        match std::env::var("KAFKA_STREAMS_TEST_JVM") {
            Ok(class_path) if !class_path.is_empty() => Some(Jvm { class_path }),
            _ => {
                eprintln!("skipped: KAFKA_STREAMS_TEST_JVM is not set; run `cargo xtask test`");
                None
            }
        }
    }

    /// Runs a tool to its end; what it printed.
    ///
    /// # Errors
    /// It cannot be started, or fails.
    pub fn run(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let out = self.command(class).args(arguments).stdin(Stdio::null()).output().context("starting java")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{class} {arguments:?} fails, {}: {said}", out.status);
        Ok(String::from_utf8(out.stdout)?)
    }

    /// Starts the JVM's word count in the place of `word_count`, as instance `name`: same topics, application and
    /// settings, with a state directory and a log of its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_word_count(&self, word_count: &WordCount, name: &str) -> Result<Program> {
        self.start_word_count_with(word_count, name, &[])
    }

    /// The same where store and repartition topic have the names that the JVM generates.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_unnamed_word_count(&self, word_count: &WordCount, name: &str) -> Result<Program> {
        self.start_word_count_with(word_count, name, &["-Dunnamed=true"])
    }

    fn start_word_count_with(&self, word_count: &WordCount, name: &str, options: &[&str]) -> Result<Program> {
        let settings: Vec<String> = word_count.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut command = self.command(&format!("-Dconfig={}", settings.join(",")));
        command
            .args(options)
            .arg("interop.WordCount")
            .args([&word_count.bootstrap, &word_count.input, &word_count.output, &word_count.application_id])
            .arg(word_count.state_dir(name))
            .arg(if word_count.exactly_once { "exactly-once" } else { "at-least-once" })
            .arg(word_count.threads.to_string());
        Program::start(command, &word_count.dir.join(format!("{name}.log")))
    }

    /// Allows the user a number of operations on a resource (`allow`, `deny` or `remove`; see `tools.Acls`).
    ///
    /// # Errors
    /// The broker refuses.
    pub fn acl(
        &self,
        bootstrap: &str,
        what: &str,
        user: &str,
        resource: (&str, &str),
        operations: &[&str],
    ) -> Result<()> {
        let mut arguments = vec![bootstrap, what, user, resource.0, resource.1];
        arguments.extend_from_slice(operations);
        self.run("tools.Acls", &arguments).map(drop)
    }

    /// A program with these arguments, to be started.
    pub fn command_of(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(class);
        command.args(arguments);
        command
    }

    fn command(&self, first: &str) -> Command {
        let mut command = Command::new("java");
        // Made for short lives beside many others.
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &self.class_path, first]);
        command
    }
}
