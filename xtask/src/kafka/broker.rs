//! Starts and stops one broker: format the data directory, spawn, wait until it answers, remember; and the way back.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustix::process::{Pid, Signal};

use super::config::{HOST, Ports, server_properties};
use super::security::Security;
use super::state::{BrokerState, ProcessId};
use super::version::KafkaVersion;
use crate::progress::Step;
use crate::workspace::Workspace;
use crate::{interrupt, jvm, process};

/// What broker to start.
#[derive(Debug, Clone)]
pub(crate) struct BrokerSpec {
    /// Unique among the brokers that run.
    pub(crate) name: String,
    /// Kafka's version.
    pub(crate) version: KafkaVersion,
    /// With TLS, SASL and an authorizer.
    pub(crate) secured: bool,
    /// With an empty data directory.
    pub(crate) fresh: bool,
}

/// A start takes 3 s on a quiet machine; this is for a busy one.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A clean stop takes about 1 s; after this the process is killed.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Another program may take a port between our look and the broker's start: so often we try again with other ports.
const ATTEMPTS: usize = 3;
/// The ports of the last start, in the broker's directory.
const PORTS_FILE: &str = "ports.json";
/// What prints the log, of the version that `tests/jvm/broker/pom.xml` names.
const LOG_JAR: &str = "slf4j-simple-1.7.36.jar";

/// The line that a broker logs when it serves requests.
const STARTED: &str = "Kafka Server started";

/// Starts the broker, or finds it running as asked.
pub(crate) fn start(workspace: &Workspace, spec: &BrokerSpec) -> Result<BrokerState> {
    let _lock = lock(workspace, &spec.name)?;
    if let Some(state) = BrokerState::running(workspace)?.into_iter().find(|state| state.name == spec.name) {
        let same = state.version == spec.version.as_str() && state.security.is_some() == spec.secured;
        if same && !spec.fresh {
            eprintln!("the broker \"{}\" runs already (pid {})", state.name, state.process.pid);
            return Ok(state);
        }
        bail!(
            "a broker \"{}\" runs already (Kafka {}, {}): stop it with `cargo xtask kafka down --name {}` or choose another name",
            state.name,
            state.version,
            if state.security.is_some() { "secured" } else { "plain" },
            state.name
        );
    }
    let libraries = jvm::broker_libraries(workspace, spec.version.as_str())?;
    let directory = BrokerState::directory_of(workspace, spec.version.as_str(), &spec.name);
    if spec.fresh {
        let _ = std::fs::remove_dir_all(&directory);
    }
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let step = Step::start(format!("starting Kafka {} as \"{}\"", spec.version, spec.name));
    let launch = Launch { spec, libraries, directory };
    let mut wanted = launch.earlier_ports();
    for attempt in 1.. {
        let ports = wanted.take().map_or_else(free_ports, Ok)?;
        match launch.attempt(ports) {
            Ok(state) => {
                state.save(workspace)?;
                step.done();
                return Ok(state);
            }
            Err(StartError::PortTaken) if attempt < ATTEMPTS => {}
            Err(StartError::PortTaken) => bail!("the broker found its ports taken {attempt} times"),
            Err(StartError::Other(error)) => return Err(error),
        }
    }
    Err(anyhow!("no attempt was made"))
}

/// A broker for the time of one command: stopped when dropped, however the command ends.
pub(crate) struct RunningBroker {
    workspace: Workspace,
    state: BrokerState,
    /// Held as long as the command runs, so that another one does not take the broker away.
    _use: File,
}

impl RunningBroker {
    /// Starts it with empty data. One that an earlier, killed command left behind under this name is stopped first.
    pub(crate) fn start_afresh(workspace: &Workspace, spec: &BrokerSpec) -> Result<Self> {
        let file = lock_file(workspace, &format!("{}.use.lock", spec.name))?;
        if file.try_lock().is_err() {
            bail!("another command uses the broker \"{}\" now; wait for its end", spec.name);
        }
        stop_named(workspace, &spec.name)?;
        let state = start(workspace, &BrokerSpec { fresh: true, ..spec.clone() })?;
        Ok(RunningBroker { workspace: workspace.clone(), state, _use: file })
    }

    /// What is known of it.
    pub(crate) fn state(&self) -> &BrokerState {
        &self.state
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        // By name: a test may have stopped this process and started another on the same data.
        if let Err(error) = stop_named(&self.workspace, &self.state.name) {
            eprintln!("error: {error:#}");
        }
    }
}

fn stop_named(workspace: &Workspace, name: &str) -> Result<()> {
    let running = BrokerState::running(workspace)?;
    running.iter().filter(|state| state.name == name).try_for_each(|state| stop(workspace, state, Manner::Clean))
}

/// How a broker is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Asked to end; killed only if it does not.
    Clean,
    /// Killed at once, as if the machine had died.
    Kill,
}

/// Stops the broker and forgets it.
pub(crate) fn stop(workspace: &Workspace, state: &BrokerState, manner: Manner) -> Result<()> {
    let _lock = lock(workspace, &state.name)?;
    let step = Step::start(format!("stopping Kafka {} \"{}\"", state.version, state.name));
    let signals = [(Signal::TERM, STOP_LIMIT), (Signal::KILL, Duration::from_secs(10))];
    for (signal, limit) in signals.into_iter().skip(usize::from(manner == Manner::Kill)) {
        send(&state.process, signal)?;
        let deadline = Instant::now() + limit;
        while state.process.is_alive() && Instant::now() < deadline {
            std::thread::sleep(process::POLL);
        }
    }
    if state.process.is_alive() {
        bail!("the broker \"{}\" (pid {}) does not end", state.name, state.process.pid);
    }
    let _ = state.forget(workspace);
    step.done();
    Ok(())
}

/// A start under way.
struct Launch<'a> {
    spec: &'a BrokerSpec,
    libraries: PathBuf,
    directory: PathBuf,
}

enum StartError {
    PortTaken,
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for StartError {
    fn from(error: E) -> Self {
        StartError::Other(error.into())
    }
}

impl Launch<'_> {
    /// The ports of the last start on this data, if they are free: clients then find a restarted broker again.
    fn earlier_ports(&self) -> Option<Ports> {
        let text = std::fs::read_to_string(self.directory.join(PORTS_FILE)).ok()?;
        let ports: Ports = serde_json::from_str(&text).ok()?;
        let all = [ports.plaintext, ports.controller].into_iter().chain(ports.secured);
        let free = |port: u16| TcpListener::bind((HOST, port)).is_ok();
        all.into_iter().all(free).then_some(ports)
    }

    fn attempt(&self, ports: Ports) -> Result<BrokerState, StartError> {
        let data = self.directory.join("data");
        let properties = self.directory.join("server.properties");
        let log = self.directory.join("broker.log");
        let security = match self.spec.secured {
            true => Some(Security::create(&self.directory.join("security")).context("cannot make certificates")?),
            false => None,
        };
        std::fs::write(self.directory.join(PORTS_FILE), serde_json::to_string(&ports)?)?;
        std::fs::write(&properties, server_properties(&data, ports, security.as_ref()))?;
        // The users of SCRAM are in the data, so data formatted without them cannot serve a secured broker.
        let (formatted, kind) = (self.directory.join("formatted"), if self.spec.secured { "secured" } else { "plain" });
        if !data.join("meta.properties").exists() {
            self.format(&properties, security.as_ref())?;
            std::fs::write(&formatted, kind)?;
        } else if std::fs::read_to_string(&formatted)? != kind {
            return Err(
                anyhow!("the data of \"{}\" is of a broker that was not {kind}: add --fresh", self.spec.name).into()
            );
        }
        if log.exists() {
            std::fs::rename(&log, log.with_extension("log.1"))?;
        }
        let mut child = self.spawn(&properties, &log)?;
        if let Err(error) = self.wait_until_ready(&mut child, ports, &log) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        let process = ProcessId::of(child.id()).context("the broker ended right after its start")?;
        Ok(BrokerState {
            name: self.spec.name.clone(),
            version: self.spec.version.to_string(),
            process,
            bootstrap: format!("{HOST}:{}", ports.plaintext),
            controller: format!("{HOST}:{}", ports.controller),
            log,
            data,
            security: security.map(|security| security.state(ports)),
        })
    }

    fn format(&self, properties: &Path, security: Option<&Security>) -> Result<()> {
        let mut command = self.java("-Xmx256m");
        command.args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster_id()?, "--config"]).arg(properties);
        command.args(security.map(Security::format_arguments).unwrap_or_default());
        process::run_logged(&mut command, "formatting the data directory", &self.directory.join("format.log"))
    }

    fn spawn(&self, properties: &Path, log: &Path) -> Result<Child> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = self.java("-Xmx1g");
        command.arg("kafka.Kafka").arg(properties);
        // A group of its own: Ctrl-C in the terminal must not reach it.
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        command.spawn().context("cannot start java")
    }

    fn java(&self, heap: &str) -> Command {
        let mut command = Command::new(jvm::java());
        command
            .args([heap, "-XX:+UseG1GC", "-Djava.awt.headless=true"])
            .args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.showShortLogName=true"])
            .arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS")
            .arg("-cp")
            .arg(self.class_path())
            .current_dir(&self.directory);
        command
    }

    /// All jars, ours for the log first: old releases bring another one, which prints nothing.
    fn class_path(&self) -> OsString {
        let mut path = self.libraries.join(LOG_JAR).into_os_string();
        path.push(":");
        path.push(self.libraries.join("*"));
        path
    }

    fn wait_until_ready(&self, child: &mut Child, ports: Ports, log: &Path) -> Result<(), StartError> {
        let deadline = Instant::now() + START_LIMIT;
        let trouble = |what: &str| anyhow!("{what}; the end of {}:\n{}", log.display(), process::tail(log, 30));
        loop {
            interrupt::check()?;
            if let Some(status) = child.try_wait()? {
                if std::fs::read_to_string(log)?.contains("Address already in use") {
                    return Err(StartError::PortTaken);
                }
                return Err(trouble(&format!("the broker ended at its start ({status})")).into());
            }
            if std::fs::read_to_string(log).is_ok_and(|text| text.contains(STARTED)) && answers(ports.plaintext) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(trouble(&format!("the broker did not start within {} s", START_LIMIT.as_secs())).into());
            }
            std::thread::sleep(process::POLL);
        }
    }
}

fn answers(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(1)).is_ok()
}

/// Ports that were free a moment ago. All are held together, so that they differ.
fn free_ports() -> Result<Ports> {
    let mut held = Vec::new();
    let mut next = || -> Result<u16> {
        let listener = TcpListener::bind((HOST, 0)).context("no free port on loopback")?;
        let port = listener.local_addr()?.port();
        held.push(listener);
        Ok(port)
    };
    Ok(Ports { plaintext: next()?, controller: next()?, secured: [next()?, next()?, next()?] })
}

/// A random cluster id: 16 bytes in URL-safe base 64, as `StorageTool random-uuid` makes them.
fn cluster_id() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("cannot read /dev/urandom")?;
    // Java's Uuid refuses text that starts with '-'; clearing the top bits keeps the first letter in A..P.
    bytes[0] &= 0x3f;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Sends a signal, but only to the very process that was started.
fn send(process: &ProcessId, signal: Signal) -> Result<()> {
    if !process.is_alive() {
        return Ok(());
    }
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).context("not a process number")?;
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot signal process {}", process.pid)),
    }
}

/// Holds the name while a broker is started or stopped, so that two commands do not do it at once.
fn lock(workspace: &Workspace, name: &str) -> Result<File> {
    let file = lock_file(workspace, &format!("{name}.lock"))?;
    file.lock().with_context(|| format!("cannot lock the broker \"{name}\""))?;
    Ok(file)
}

fn lock_file(workspace: &Workspace, name: &str) -> Result<File> {
    let directory = workspace.kafka();
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let path = directory.join(name);
    File::create(&path).with_context(|| format!("cannot create {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let ports = free_ports().unwrap();
        let mut all = vec![ports.plaintext, ports.controller];
        all.extend(ports.secured);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn a_cluster_id_is_a_kafka_uuid() {
        let id = cluster_id().unwrap();
        assert_eq!(id.len(), 22);
        assert!(id.starts_with(|c: char| c.is_ascii_uppercase()));
    }

    #[test]
    fn a_process_that_is_not_ours_is_never_signalled() {
        let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        let other = ProcessId { pid: sleeper.id(), started: "another time".to_owned() };
        send(&other, Signal::KILL).unwrap();
        assert!(sleeper.try_wait().unwrap().is_none());
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
