//! Turns answers into results, if the left row is still the one that asked (`ResponseJoinProcessorSupplier` of the JVM).

use std::sync::Arc;

use kafka_streams_core::{Children, Failure, Receive, Record, SharedSerde, Step, TaskContext};

use super::PseudoTopics;
use super::subscription::Response;
use crate::view::Getter;

/// What is the same in all tasks.
pub(crate) struct Resolving<V, F> {
    pub(crate) left: bool,
    pub(crate) topics: Arc<PseudoTopics>,
    pub(crate) values: SharedSerde<V>,
    /// From the left value and what there is of the right one to the result; `None` is none.
    pub(crate) f: F,
}

/// The node of one task.
pub(crate) struct ResponseResolve<K, V, VR, F> {
    pub(crate) of: Arc<Resolving<V, F>>,
    pub(crate) name: Arc<str>,
    pub(crate) rows: Getter<K, V>,
    pub(crate) out: Children<K, Option<VR>>,
}

impl<K, V, VO, VR, F> Receive<K, Response<VO>> for ResponseResolve<K, V, VR, F>
where
    K: Clone + 'static,
    V: 'static,
    VO: Clone + 'static,
    VR: Clone + 'static,
    F: Fn(V, Option<VO>) -> Option<VR>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, Response<VO>>) -> Step {
        let Record { key, value: response, timestamp, headers } = record;
        response.check_version()?;
        let Resolving { left, topics, values, f } = &*self.of;
        let row = (self.rows)(&key)?.map(|row| row.value);
        let hash = row.as_ref().map(|row| topics.hash(values, row)).transpose();
        let hash = hash.map_err(|error| {
            Failure::processing(format!("{}: the value of a left row has no bytes: {error}", self.name))
        })?;
        if hash != response.hash {
            cx.drop_record(&self.name, "an answer to a row that has changed since");
            return Ok(());
        }
        let value = match row {
            Some(row) if *left || response.value.is_some() => f(row, response.value),
            _ => None,
        };
        self.out.forward(cx, Record { key, value, timestamp, headers })
    }
}
