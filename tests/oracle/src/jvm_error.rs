//! Our errors under the names that the JVM has for them.

use kafka_streams_dsl::BuildError;
use kafka_streams_naming::{NameError, UnnamedResource};
use kafka_streams_testing::TestDriverError;
use kafka_streams_topology::TopologyError;

use crate::fault::Fault;

/// An exception of the JVM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JvmError {
    /// Its class.
    pub class: &'static str,
    /// Its message, where it is compared.
    pub message: Option<String>,
}

const TOPOLOGY_EXCEPTION: &str = "org.apache.kafka.streams.errors.TopologyException";
const STREAMS_EXCEPTION: &str = "org.apache.kafka.streams.errors.StreamsException";
const CONFIG_EXCEPTION: &str = "org.apache.kafka.common.config.ConfigException";
const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";

/// The exception that the JVM has for what stopped the building; `None` for what the interpreter cannot do.
pub fn of_fault(fault: &Fault) -> Option<JvmError> {
    match fault {
        Fault::NotBuilt(_) | Fault::BadCase(_) => None,
        Fault::Config(_) => Some(JvmError { class: CONFIG_EXCEPTION, message: None }),
        Fault::Build(error) => Some(of_build(error)),
        Fault::Topology(error) => Some(of_topology(error)),
    }
}

/// The exception that the JVM has for a failure of the driver.
pub fn of_driver(error: &TestDriverError) -> JvmError {
    match error {
        TestDriverError::UnknownTopic { .. } => JvmError { class: ILLEGAL_ARGUMENT, message: None },
        _ => JvmError { class: STREAMS_EXCEPTION, message: None },
    }
}

fn of_build(error: &BuildError) -> JvmError {
    match error {
        // The JVM throws at the first.
        BuildError::Several { errors } => errors.first().map_or_else(|| other(error), of_build),
        BuildError::Topology(error) => of_topology(error),
        BuildError::IllegalName { error, .. } => topology(illegal_name(error)),
        BuildError::DuplicateName { what: "store", name, .. } => {
            topology(format!("StateStore {name} is already added."))
        }
        // The first node around a topic that is named twice.
        BuildError::DuplicateName { what: "repartition topic", name, .. } => {
            topology(format!("Processor {name}-repartition-filter is already added."))
        }
        BuildError::DuplicateName { name, .. } => topology(format!("Processor {name} is already added.")),
        BuildError::OverlappingTopics { topic } => {
            topology(format!("Topic {topic} has already been registered by another source."))
        }
        BuildError::Unnamed { resources } => topology(unnamed(resources)),
        BuildError::JoinStoreMismatch { .. } => JvmError { class: STREAMS_EXCEPTION, message: None },
        BuildError::IllegalWindows { .. }
        | BuildError::RetentionTooShort { .. }
        | BuildError::GraceWithoutVersions { .. }
        | BuildError::HistoryTooShort { .. } => JvmError { class: ILLEGAL_ARGUMENT, message: None },
        BuildError::SuppressesVersions { .. } => JvmError { class: TOPOLOGY_EXCEPTION, message: None },
        _ => other(error),
    }
}

fn of_topology(error: &TopologyError) -> JvmError {
    match error {
        TopologyError::IllegalName { error, .. } => topology(illegal_name(error)),
        TopologyError::DuplicateNode { name, .. } => topology(format!("Processor {name} is already added.")),
        TopologyError::DuplicateStore { name, .. } => topology(format!("StateStore {name} is already added.")),
        TopologyError::TopicReadTwice { topic, .. } => {
            topology(format!("Topic {topic} has already been registered by another source."))
        }
        TopologyError::UnknownNode { node, .. } => topology(format!("Parent node {node} is unknown.")),
        TopologyError::UnknownStore { store, .. } => topology(format!("StateStore {store} is not added yet.")),
        TopologyError::IllegalStore { .. } => JvmError { class: ILLEGAL_ARGUMENT, message: None },
        other => JvmError { class: TOPOLOGY_EXCEPTION, message: Some(other.to_string()) },
    }
}

fn topology(message: impl std::fmt::Display) -> JvmError {
    JvmError { class: TOPOLOGY_EXCEPTION, message: Some(format!("Invalid topology: {message}")) }
}

fn other(error: &BuildError) -> JvmError {
    JvmError { class: TOPOLOGY_EXCEPTION, message: Some(error.to_string()) }
}

/// The first line of what `InternalTopologyBuilder.checkUnprovidedNames` says, with the names in the order in which they
/// were drawn.
fn unnamed(resources: &[UnnamedResource]) -> String {
    let (mut changelogs, mut stores, mut repartitions) = (Vec::new(), Vec::new(), Vec::new());
    for resource in resources {
        match resource {
            UnnamedResource::Store { name, changelog: true } => changelogs.push(format!("{name}-changelog")),
            UnnamedResource::Store { name, .. } => stores.push(name.clone()),
            UnnamedResource::RepartitionTopic { name } => repartitions.push(name.clone()),
            _ => {}
        }
    }
    let lists = [("changelog topic", changelogs), ("state store", stores), ("repartition topic", repartitions)];
    let Some((what, mut names)) = lists.into_iter().find(|(_, names)| !names.is_empty()) else { return String::new() };
    names.sort_by_key(|name| name.chars().filter(char::is_ascii_digit).collect::<String>());
    format!("Following {what}(s) has not been named: {}", names.join(", "))
}

/// `Named.validate` and `Topic.validate` of the JVM.
fn illegal_name(error: &NameError) -> String {
    match error {
        NameError::Empty => "Name is illegal, it can't be empty".to_owned(),
        NameError::Dots { .. } => "Name cannot be \".\" or \"..\"".to_owned(),
        NameError::TooLong { name, .. } => {
            format!("Name is illegal, it can't be longer than 249 characters, name: {name}")
        }
        NameError::IllegalCharacter { name, .. } => format!(
            "Name \"{name}\" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'"
        ),
        other => other.to_string(),
    }
}
