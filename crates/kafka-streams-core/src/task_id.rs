//! Names of the units of work and of data: a task, a partition of a topic.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One task: one partition of one sub-topology, the unit that is assigned, restored and committed.
///
/// Ordered by sub-topology, then by partition, as on the JVM (`org.apache.kafka.streams.processor.TaskId`).
///
/// ```
/// use kafka_streams_core::TaskId;
/// let task = TaskId::new(1, 3);
/// assert_eq!(task.to_string(), "1_3");
/// assert_eq!("1_3".parse::<TaskId>(), Ok(task));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Number of the sub-topology, from 0.
    pub subtopology: i32,
    /// Number of the partition, from 0.
    pub partition: i32,
}

impl TaskId {
    /// What keeps the global stores of an instance: no task of the group, but named where a task would be.
    pub const GLOBAL: TaskId = TaskId { subtopology: -1, partition: -1 };

    /// The task of `partition` in `subtopology`.
    pub const fn new(subtopology: i32, partition: i32) -> Self {
        TaskId { subtopology, partition }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            TaskId::GLOBAL => f.write_str("global"),
            TaskId { subtopology, partition } => write!(f, "{subtopology}_{partition}"),
        }
    }
}

/// The text is not a task id (`<sub-topology>_<partition>`, two decimal numbers).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a task id: expected <sub-topology>_<partition>, such as 0_3")]
pub struct ParseTaskIdError(String);

impl FromStr for TaskId {
    type Err = ParseTaskIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        text.split_once('_')
            .and_then(|(subtopology, partition)| Some(TaskId::new(number(subtopology)?, number(partition)?)))
            .ok_or_else(|| ParseTaskIdError(text.to_owned()))
    }
}

/// A partition of a topic. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's full name.
    pub topic: Arc<str>,
    /// Number of the partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A Kafka topic id: 16 bytes that change when a topic is deleted and made anew under its old name (KIP-516).
pub type TopicId = uuid::Uuid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_sort_by_subtopology_then_partition() {
        let mut ids = [TaskId::new(1, 0), TaskId::new(0, 10), TaskId::new(0, 2)];
        ids.sort();
        assert_eq!(ids.map(|id| id.to_string()), ["0_2", "0_10", "1_0"]);
    }

    #[test]
    fn text_that_is_no_task_id_is_refused() {
        for text in ["", "1", "_", "1_", "_1", "1_2_3", "-1_0", "+1_0", "1_99999999999", "rocksdb"] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }
}
