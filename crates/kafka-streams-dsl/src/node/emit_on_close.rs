//! When an aggregation that emits on the close of its windows looks for them (`AbstractKStreamTimeWindowAggregateProcessor`,
//! `KStreamSessionWindowAggregate` of the JVM).

use std::cell::Cell;
use std::sync::Arc;

use kafka_streams_core::{TaskContext, Timestamp};

/// The time up to which windows were emitted is committed with the task's offsets, so that a restart or an abort neither
/// repeats nor skips a window (rule C3).
pub(crate) struct EmitOnClose {
    store: Arc<str>,
    /// Not before this, in the time of the machine.
    next: Cell<Timestamp>,
}

/// What was emitted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Emitted {
    /// The close time of the last emission; `None` before the first.
    pub(crate) until: Option<Timestamp>,
}

impl EmitOnClose {
    /// For the aggregation of this store.
    pub(crate) fn new(store: &Arc<str>) -> Self {
        EmitOnClose { store: store.clone(), next: Cell::new(0) }
    }

    /// Whether it is time to look for the windows that have closed at `close_time`; what was emitted before.
    pub(crate) fn due(&self, cx: &TaskContext, close_time: Timestamp) -> Option<Emitted> {
        if cx.wall_clock < self.next.get() {
            return None;
        }
        self.next.set(cx.wall_clock.saturating_add(cx.emit_intervals.window_close_ms));
        let until = cx.processor_metadata.get(&self.store).filter(|until| *until != -1);
        until.is_none_or(|until| until < close_time).then_some(Emitted { until })
    }

    /// Notes that all windows that have closed at `close_time` are emitted.
    pub(crate) fn emitted(&self, cx: &mut TaskContext, close_time: Timestamp) {
        cx.processor_metadata.put(&self.store, close_time);
    }
}

#[cfg(test)]
mod tests {
    use kafka_streams_core::TaskId;
    use kafka_streams_core::handler::Handlers;

    use super::*;

    #[test]
    fn windows_are_looked_for_at_intervals_and_when_their_close_has_moved_on() {
        let mut cx = TaskContext::new(TaskId::new(0, 0), "app".into(), Handlers::default());
        let emit = EmitOnClose::new(&"store".into());
        cx.wall_clock = 5000;
        assert_eq!(emit.due(&cx, -3), Some(Emitted { until: None }));
        assert_eq!(emit.due(&cx, 10), None, "within a second");
        cx.wall_clock = 6000;
        assert_eq!(emit.due(&cx, 10), Some(Emitted { until: None }));
        emit.emitted(&mut cx, 10);
        cx.wall_clock = 7000;
        assert_eq!(emit.due(&cx, 10), None, "nothing has closed since");
        cx.wall_clock = 7999;
        assert_eq!(emit.due(&cx, 11), None, "looking counts, too");
        cx.wall_clock = 8000;
        assert_eq!(emit.due(&cx, 11), Some(Emitted { until: Some(10) }));
        assert!(cx.processor_metadata.is_changed());
        cx.processor_metadata.merge(&[("store".to_owned(), 30)].into());
        assert_eq!(cx.processor_metadata.get("store"), Some(30));
    }
}
