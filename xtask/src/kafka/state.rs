//! `broker.json`: what is known of a started broker. Tests read it too, by the path in `KAFKA_STREAMS_TEST_BROKER_FILE`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::workspace::Workspace;

/// The name of the state file in a broker's directory.
const FILE: &str = "broker.json";

/// A broker that was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BrokerState {
    /// The name given at `up`.
    pub(crate) name: String,
    /// Kafka's version.
    pub(crate) version: String,
    /// The process, so that no other one is ever ended in its place.
    pub(crate) process: ProcessId,
    /// `HOST:PORT` of the plaintext listener, which may do everything.
    pub(crate) bootstrap: String,
    /// `HOST:PORT` of the controller listener.
    pub(crate) controller: String,
    /// The broker's log file.
    pub(crate) log: PathBuf,
    /// The broker's data directory.
    pub(crate) data: PathBuf,
    /// The other listeners, if they were asked for.
    pub(crate) security: Option<SecurityState>,
}

/// Listeners with TLS and SASL, and who may come in. Throw-away secrets of a broker on loopback.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SecurityState {
    /// `HOST:PORT` of the SASL_PLAINTEXT listener.
    pub(crate) sasl_plaintext: String,
    /// `HOST:PORT` of the SASL_SSL listener.
    pub(crate) sasl_ssl: String,
    /// `HOST:PORT` of the SSL listener; a client certificate may be shown, without one the peer is ANONYMOUS.
    pub(crate) ssl: String,
    /// PEM file of the authority that signed the broker's certificate.
    pub(crate) ca_pem: PathBuf,
    /// PEM file of an authority that signed nothing here: to see a client refuse the broker.
    pub(crate) other_ca_pem: PathBuf,
    /// PEM file of a client's certificate, principal `User:CN=streams`.
    pub(crate) client_certificate_pem: PathBuf,
    /// PEM file (PKCS #8, not encrypted) of that client's key.
    pub(crate) client_key_pem: PathBuf,
    /// Every user, known to PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    pub(crate) users: Vec<User>,
}

/// A user of the SASL listeners.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    /// The principal is `User:NAME`.
    pub(crate) name: String,
    /// In clear.
    pub(crate) password: String,
    /// May do everything; others may do what ACLs allow, at first nothing.
    pub(crate) super_user: bool,
}

/// A process, told from a later one that got the same number by its start time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// The process number.
    pub(crate) pid: u32,
    /// When it started, in the system's own words; opaque, only compared.
    pub(crate) started: String,
}

impl ProcessId {
    /// The live process of this number; none when it is gone or ended already.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let started = if Path::new("/proc/self/stat").exists() { start_from_proc(pid) } else { start_from_ps(pid) };
        started.map(|started| ProcessId { pid, started })
    }

    /// Whether this very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

impl BrokerState {
    /// The directory of a broker: data, configuration, logs and the state file.
    pub(crate) fn directory_of(workspace: &Workspace, version: &str, name: &str) -> PathBuf {
        workspace.kafka().join(version).join(name)
    }

    /// This broker's directory.
    pub(crate) fn directory(&self, workspace: &Workspace) -> PathBuf {
        Self::directory_of(workspace, &self.version, &self.name)
    }

    /// This broker's state file.
    pub(crate) fn file(&self, workspace: &Workspace) -> PathBuf {
        self.directory(workspace).join(FILE)
    }

    /// Writes the state file.
    pub(crate) fn save(&self, workspace: &Workspace) -> Result<()> {
        let file = self.file(workspace);
        std::fs::write(&file, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Removes the state file.
    pub(crate) fn forget(&self, workspace: &Workspace) -> Result<()> {
        let file = self.file(workspace);
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
    }

    /// Every broker that runs, in the order of their names. A state file without its process is removed.
    pub(crate) fn running(workspace: &Workspace) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for version in sub_directories(&workspace.kafka())? {
            for broker in sub_directories(&version)? {
                let file = broker.join(FILE);
                let Ok(text) = std::fs::read_to_string(&file) else { continue };
                match serde_json::from_str::<Self>(&text) {
                    Ok(state) if state.process.is_alive() => found.push(state),
                    Ok(_) => std::fs::remove_file(&file)?,
                    Err(error) => eprintln!("{} cannot be understood ({error}); remove it", workspace.show(&file)),
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

fn sub_directories(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut directories = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            directories.push(path);
        }
    }
    Ok(directories)
}

/// Field 22 of `/proc/PID/stat`, clock ticks from the boot to the start; none for a zombie. See proc(5).
fn start_from_proc(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything, so count from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| start.to_owned())
}

fn start_from_ps(pid: u32) -> Option<String> {
    let output = Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, start) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| start.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start_time() {
        let own = ProcessId::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { started: "another time".to_owned(), ..own }.is_alive());
    }

    #[test]
    fn an_ended_child_is_not_alive_although_nobody_waited_for_it() {
        let mut child = Command::new("true").spawn().unwrap();
        let process = ProcessId::of(child.id());
        for _ in 0..200 {
            if process.as_ref().is_none_or(|process| !process.is_alive()) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(process.is_none_or(|process| !process.is_alive()));
        child.wait().unwrap();
    }
}
