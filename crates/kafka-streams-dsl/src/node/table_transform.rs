//! A table derived from another by code of the user's (`KTableTransformValues` of the JVM).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{
    Change, Children, Context, Failure, Lifecycle, NodeId, Punctuation, Receive, Record, SharedSerde, Step, TaskContext,
};
use kafka_streams_state::{TimestampedKeyValueStore, ValueAndTimestamp};

use super::{Below, forward_updated, in_context_of, listen};
use crate::lower::TableParts;
use crate::{TransformContext, ValueTransformerWithKey};

/// What is the same in all tasks.
pub(crate) struct Transformation<V2> {
    /// How derived values are stored, if they are.
    pub(crate) values: Option<SharedSerde<V2>>,
}

/// The node of one task.
pub(crate) struct TableTransform<T: ValueTransformerWithKey> {
    of: Arc<Transformation<T::VOut>>,
    id: NodeId,
    name: Arc<str>,
    transformer: RefCell<T>,
    store: Option<Rc<TimestampedKeyValueStore<T::Key, T::VOut>>>,
    below: Below<T::Key, T::VOut>,
    sends_old_values: bool,
}

/// What the node of a transformer is made from, in each task.
type Parts<T> = TableParts<
    TimestampedKeyValueStore<<T as ValueTransformerWithKey>::Key, <T as ValueTransformerWithKey>::VOut>,
    <T as ValueTransformerWithKey>::Key,
    Change<<T as ValueTransformerWithKey>::VOut>,
>;

impl<T: ValueTransformerWithKey> TableTransform<T> {
    pub(crate) fn new(of: &Arc<Transformation<T::VOut>>, id: NodeId, transformer: T, parts: Parts<T>) -> Self {
        let TableParts { name, out, store, sends_old_values, .. } = parts;
        let below = Rc::new(out);
        if let Some(store) = &store {
            listen(store, sends_old_values, &below);
        }
        let transformer = RefCell::new(transformer);
        TableTransform { of: of.clone(), id, name, transformer, store, below, sends_old_values }
    }

    fn with<R>(
        &self,
        cx: &mut TaskContext,
        call: impl FnOnce(&mut T, &mut TransformContext<'_>) -> Step<R>,
    ) -> Step<R> {
        match self.transformer.try_borrow_mut() {
            Ok(mut transformer) => call(&mut transformer, &mut Context::new(cx, self.id, &Children::new([]))),
            Err(_) => Err(Failure::bug(format!("transformer {} called from within itself", self.name))),
        }
    }
}

impl<T: ValueTransformerWithKey> Receive<T::Key, Change<T::VIn>> for TableTransform<T> {
    fn receive(&self, cx: &mut TaskContext, record: Record<T::Key, Change<T::VIn>>) -> Step {
        let Record { key, value: Change { old, new }, timestamp, headers } = record;
        let stored = |value: &T::VOut| self.of.values.as_ref().is_none_or(|values| !values.is_null(value));
        let mut transform = |row| {
            in_context_of(cx, timestamp, &headers, |cx| {
                self.with(cx, |transformer, cx| transformer.transform(&key, row, cx))
            })
        };
        let new = transform(new)?.filter(stored);
        let change = match &self.store {
            None => {
                let old = if self.sends_old_values { transform(old)? } else { None };
                Some(Change { old, new })
            }
            Some(store) => in_context_of(cx, timestamp, &headers, |cx| {
                store.update(cx, &key, timestamp, |_| Ok(new.map(|new| ValueAndTimestamp::new(new, timestamp))))
            })?
            .map(|updated| updated.change),
        };
        forward_updated(&self.below, cx, Record { key, value: (), timestamp, headers }, change)
    }
}

impl<T: ValueTransformerWithKey> Lifecycle for TableTransform<T> {
    fn init(&self, cx: &mut TaskContext) -> Step {
        self.with(cx, |transformer, cx| transformer.init(cx)).map_err(|failure| failure.at_node(&self.name))
    }

    fn punctuate(&self, cx: &mut TaskContext, punctuation: Punctuation) -> Step {
        match self.with(cx, |transformer, cx| transformer.punctuate(punctuation, cx)) {
            Ok(()) => Ok(()),
            Err(failure) => cx.on_failure(&self.name, failure),
        }
    }

    fn close(&self) {
        if let Ok(mut transformer) = self.transformer.try_borrow_mut() {
            transformer.close();
        }
    }
}
