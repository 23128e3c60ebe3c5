//! `cargo xtask kafka`: real brokers on this machine, one KRaft node each, on loopback and free ports.

mod broker;
mod config;
mod security;
mod state;
mod version;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

pub(crate) use broker::{BrokerSpec, RunningBroker};
use broker::{Manner, start, stop};
pub(crate) use state::BrokerState;
pub(crate) use version::KafkaVersion;

use crate::workspace::Workspace;

/// What to do with brokers.
#[derive(Debug, Subcommand)]
pub(crate) enum KafkaCommand {
    /// Start a broker (or find it running) and print its bootstrap address
    ///
    /// The first start of a version fetches it from Maven Central. Data, logs and the state file `broker.json` lie in
    /// the build directory under kafka/VERSION/NAME. Data and ports stay the same until the next `up --fresh`.
    Up(Up),
    /// Stop a broker; only a process that `up` started is ever ended
    Down(Down),
    /// Show the brokers that run: name, version, pid, bootstrap address, data directory
    Status,
}

/// Options of `kafka up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Kafka's version: 4.3.0, 3.9.2, …; "4.3" and "3.9" stand for the newest release known here
    #[arg(long, value_name = "VERSION", default_value_t)]
    kafka_version: KafkaVersion,
    /// The broker's name; brokers of different names run side by side
    #[arg(long, value_parser = broker_name, default_value = "default")]
    name: String,
    /// Add SASL_PLAINTEXT, SASL_SSL and SSL listeners, users, certificates and an ACL authorizer
    ///
    /// Addresses, users with their passwords and the paths of the PEM files are in broker.json. The plaintext listener
    /// and the user "streams" may do everything, the user "nobody" nothing.
    #[arg(long)]
    with_tls_sasl: bool,
    /// Throw away the data of an earlier broker of this name and version
    #[arg(long)]
    fresh: bool,
}

/// Options of `kafka down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// The broker's name
    #[arg(long, value_parser = broker_name, default_value = "default")]
    name: String,
    /// Stop every broker that runs
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Kill it at once (SIGKILL), as if the machine had died
    #[arg(long)]
    kill: bool,
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, command: &KafkaCommand) -> Result<()> {
    match command {
        KafkaCommand::Up(up) => {
            crate::setup::ensure(workspace, &crate::setup::JAVA)?;
            let spec = BrokerSpec {
                name: up.name.clone(),
                version: up.kafka_version.clone(),
                secured: up.with_tls_sasl,
                fresh: up.fresh,
            };
            let state = start(workspace, &spec)?;
            eprintln!("details: {}", workspace.show(&state.file(workspace)));
            println!("{}", state.bootstrap);
            Ok(())
        }
        KafkaCommand::Down(down) => {
            let states = BrokerState::running(workspace)?;
            let chosen: Vec<_> = states.into_iter().filter(|state| down.all || state.name == down.name).collect();
            if chosen.is_empty() {
                eprintln!("no such broker runs");
            }
            let manner = if down.kill { Manner::Kill } else { Manner::Clean };
            chosen.iter().try_for_each(|state| stop(workspace, state, manner))
        }
        KafkaCommand::Status => {
            let states = BrokerState::running(workspace)?;
            if states.is_empty() {
                eprintln!("no broker runs");
            }
            for state in &states {
                println!(
                    "{}\tKafka {}\tpid {}\t{}\t{}",
                    state.name,
                    state.version,
                    state.process.pid,
                    state.bootstrap,
                    workspace.show(&state.directory(workspace))
                );
            }
            Ok(())
        }
    }
}

fn broker_name(text: &str) -> Result<String> {
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.');
    if !fits || text == "lib" {
        bail!("a name starts with a lower-case letter and has only lower-case letters, digits, '-' and '.'");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_directory() {
        assert!(broker_name("test-3.9").is_ok());
        for bad in ["", "..", "a/b", "lib", "A"] {
            assert!(broker_name(bad).is_err(), "{bad}");
        }
    }
}
