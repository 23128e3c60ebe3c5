//! Child processes: each in a process group of its own, so that Ctrl-C reaches only us and we end the children in the right order.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::interrupt;

/// How long a child may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// How often a waiting loop looks at its child and at the interrupt flag.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// A child that leads a process group, ended with it when dropped.
pub(crate) struct Group {
    what: String,
    child: Child,
    ended: bool,
}

impl Group {
    /// Starts `command` in a group of its own; `what` names it in errors.
    pub(crate) fn spawn(command: &mut Command, what: impl Into<String>) -> Result<Self> {
        let what = what.into();
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {what} ({})", command.get_program().display()))?;
        Ok(Group { what, child, ended: false })
    }

    /// The child's pipes.
    pub(crate) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The exit status if it has ended.
    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.what))?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// Waits for its end; ends it first when we are interrupted.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.wait_at_most(Duration::MAX)
    }

    /// Like [`Group::wait`], but ends it when it takes longer than `limit`, which is an error.
    pub(crate) fn wait_at_most(&mut self, limit: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if interrupt::requested() {
                self.stop()?;
                return Err(interrupt::Interrupted.into());
            }
            if began.elapsed() > limit {
                self.stop()?;
                bail!("{} took longer than {} s and was ended", self.what, limit.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Asks it to end (SIGTERM) and kills it after the grace period. The status tells which of the two it was.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        self.signal(Signal::KILL);
        let status = self.child.wait().with_context(|| format!("cannot wait for {}", self.what))?;
        self.ended = true;
        Ok(status)
    }

    fn signal(&self, signal: Signal) {
        // The child is not reaped yet, so its pid cannot belong to anybody else.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).filter(|_| !self.ended) {
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.stop();
        }
    }
}

/// Runs `command` with our own output; an error when it fails or we are interrupted.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<()> {
    interrupt::check()?;
    let status = Group::spawn(command.stdin(Stdio::null()), what)?.wait()?;
    expect_success(status, what)
}

/// Runs `command` with its output in the file `log`; an error shows the file's tail.
pub(crate) fn run_logged(command: &mut Command, what: &str, log: &Path) -> Result<()> {
    interrupt::check()?;
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status = Group::spawn(command, what)?.wait()?;
    expect_success(status, what).with_context(|| format!("the end of {}:\n{}", log.display(), tail(log, 25)))
}

/// Runs a short `command` and gives its standard output; its error output is shown when it fails.
pub(crate) fn capture(command: &mut Command, what: &str) -> Result<String> {
    interrupt::check()?;
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {what} ({})", command.get_program().display()))?;
    expect_success(output.status, what).with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
    String::from_utf8(output.stdout).with_context(|| format!("{what} printed bytes that are not UTF-8"))
}

/// The last `lines` lines of a file, or why they cannot be read.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    /// Enough for the lines of any sensible log; a longer file is not read whole.
    const WINDOW: u64 = 64 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
        }
        Err(error) => format!("(cannot read it: {error})"),
    }
}

/// An error that names the step and the status when it failed.
pub(crate) fn expect_success(status: ExitStatus, what: &str) -> Result<()> {
    if !status.success() {
        bail!("{what} failed: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_step_and_shows_the_end_of_its_output() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("step.log");
        let error =
            run_logged(Command::new("sh").args(["-c", "echo the reason; exit 3"]), "the step", &log).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("the step failed") && text.contains("the reason"), "{text}");
    }

    #[test]
    fn a_group_is_ended_with_its_children() {
        let mut group =
            Group::spawn(Command::new("sh").args(["-c", "sleep 600 & sleep 600"]).stdout(Stdio::null()), "sleepers")
                .unwrap();
        let before = Instant::now();
        assert!(!group.stop().unwrap().success());
        assert!(before.elapsed() < GRACE);
    }

    #[test]
    fn the_tail_of_a_file_is_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        std::fs::write(&path, "1\n2\n3\n").unwrap();
        assert_eq!(tail(&path, 2), "2\n3");
    }
}
