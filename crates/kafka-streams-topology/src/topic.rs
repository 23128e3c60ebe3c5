//! A topic as the topology names it: internal ones get the application id in front once it is known.

use std::fmt;
use std::sync::Arc;

/// A topic of a topology.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName {
    /// The name; without the application id if the topic is internal.
    pub name: Arc<str>,
    /// Whether the topic belongs to the application (a repartition topic) and is created by it.
    pub internal: bool,
}

impl TopicName {
    /// A topic that exists without the application.
    pub fn external(name: impl Into<Arc<str>>) -> Self {
        TopicName { name: name.into(), internal: false }
    }

    /// A topic of the application's own; `name` is without the application id.
    pub fn internal(name: impl Into<Arc<str>>) -> Self {
        TopicName { name: name.into(), internal: true }
    }

    /// The name on the broker: `<application id>-<name>` if the topic is internal.
    pub fn decorated(&self, application_id: &str) -> Arc<str> {
        match self.internal {
            true => kafka_streams_naming::decorate(application_id, &self.name).into(),
            false => self.name.clone(),
        }
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
