//! A broker that belongs to one test, which may stop it, kill it and start it again.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::Broker;

/// A broker of a test's own. Ended when dropped.
#[derive(Debug)]
pub struct OwnBroker {
    xtask: String,
    name: String,
    /// The running broker, or where it was and will be again.
    pub broker: Broker,
}

impl OwnBroker {
    /// Starts a broker of this name; `None` with a note outside of `cargo xtask test`.
    ///
    /// # Errors
    /// It does not start.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn start(name: &str) -> Result<Option<OwnBroker>> {
        let Some(xtask) = std::env::var("KAFKA_STREAMS_TEST_XTASK").ok().filter(|path| !path.is_empty()) else {
            eprintln!("skipped: KAFKA_STREAMS_TEST_XTASK is not set; run `cargo xtask test`");
            return Ok(None);
        };
        let mut own = OwnBroker { xtask, name: name.to_owned(), broker: Broker { bootstrap: String::new() } };
        own.broker.bootstrap = own.kafka(&["up", "--fresh"])?.trim().to_owned();
        Ok(Some(own))
    }

    /// Starts it again, with the data and the address that it had.
    ///
    /// # Errors
    /// It does not start.
    pub fn up(&self) -> Result<()> {
        let bootstrap = self.kafka(&["up"])?;
        ensure!(bootstrap.trim() == self.broker.bootstrap, "the broker has moved to {bootstrap}");
        Ok(())
    }

    /// Stops it.
    ///
    /// # Errors
    /// It does not stop.
    pub fn down(&self) -> Result<()> {
        self.kafka(&["down"]).map(drop)
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill(&self) -> Result<()> {
        self.kafka(&["down", "--kill"]).map(drop)
    }

    fn kafka(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.xtask);
        command.arg("kafka").args(arguments).args(["--name", &self.name]).stdin(Stdio::null());
        let out = command.output().context("starting xtask")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "xtask kafka {arguments:?} --name {} fails: {said}", self.name);
        Ok(String::from_utf8(out.stdout)?)
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
