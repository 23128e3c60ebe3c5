//! Topics that are joined need equal numbers of partitions: equal keys must meet in one task.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::PlanError;

/// A repartition topic whose number of partitions is being settled.
#[derive(Clone, Debug)]
pub(crate) struct RepartitionCount {
    /// The number; `None` until something tells it.
    pub(crate) partitions: Option<i32>,
    /// Whether the user gave it.
    pub(crate) explicit: bool,
}

/// Gives the repartition topics of one group of joined topics a common number, as `CopartitionedTopicsEnforcer` of the
/// JVM does: that of the external topics, else an explicit one, else the highest.
///
/// # Errors
/// External topics that differ, explicit numbers that differ from them or from one another.
pub(crate) fn enforce(
    group: &[Arc<str>],
    repartition: &mut BTreeMap<Arc<str>, RepartitionCount>,
    external: &BTreeMap<Arc<str>, i32>,
) -> Result<(), PlanError> {
    let internal: Vec<&Arc<str>> = group.iter().filter(|topic| repartition.contains_key(*topic)).collect();
    let outside: Vec<(Arc<str>, i32)> = group
        .iter()
        .filter(|topic| !repartition.contains_key(*topic))
        .filter_map(|topic| Some((topic.clone(), *external.get(topic)?)))
        .collect();
    let explicit: Vec<(Arc<str>, i32)> = internal
        .iter()
        .filter_map(|topic| repartition.get(*topic).map(|count| (*topic, count)))
        .filter(|(_, count)| count.explicit)
        .filter_map(|(topic, count)| Some((topic.clone(), count.partitions?)))
        .collect();
    let common = match same(&outside)? {
        Some(partitions) => {
            if let Some((topic, declared)) = explicit.iter().find(|(_, declared)| *declared != partitions) {
                let (topic, declared) = (topic.clone(), *declared);
                return Err(PlanError::EnforcedPartitions { topic, declared, required: partitions });
            }
            Some(partitions)
        }
        None => match same(&explicit)? {
            Some(partitions) => Some(partitions),
            None => internal.iter().filter_map(|topic| repartition.get(*topic)?.partitions).max(),
        },
    };
    for topic in internal {
        if let Some(count) = repartition.get_mut(topic) {
            count.partitions = common;
        }
    }
    Ok(())
}

/// The number that all topics have; `None` without topics.
fn same(topics: &[(Arc<str>, i32)]) -> Result<Option<i32>, PlanError> {
    let first = topics.first().map(|(_, partitions)| *partitions);
    if topics.iter().any(|(_, partitions)| Some(*partitions) != first) {
        let mut topics = topics.to_vec();
        topics.sort();
        return Err(PlanError::NotCopartitioned { topics });
    }
    Ok(first)
}
