//! The join of two streams (`KStreamJoinWindow`, `KStreamKStreamJoin` of the JVM).
//!
//! ```text
//!   left ──▶ window node (this) ──▶ join node (this) ──┐
//!              │ puts, after forwarding │ fetches      ├──▶ merge
//!              ▼                        ▼              │
//!            left window store   right window store    │        and of left and outer joins: records without a
//!              ▲                        ▲              │        partner, in a store that both join nodes share
//!              │ fetches                │ puts         │
//!   right ─▶ join node (other) ◀── window node (other) ┘
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Children, Receive, Record, SharedSerde, Step, TaskContext, Timestamp};
use kafka_streams_state::{ListValueStore, WindowStore};

use super::in_context_of;
use super::waiting_record::{LeftOrRight, Side, WaitingKey};
use crate::JoinWindows;

/// Keeps each record of one side, after the nodes below have seen it.
pub(crate) struct JoinWindow<K, V> {
    pub(crate) keys: SharedSerde<K>,
    pub(crate) store: Rc<WindowStore<K, V>>,
    pub(crate) out: Children<K, V>,
}

impl<K: Clone + 'static, V: Clone + 'static> Receive<K, V> for JoinWindow<K, V> {
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record.clone();
        self.out.forward(cx, record)?;
        if self.keys.is_null(&key) {
            return Ok(());
        }
        in_context_of(cx, timestamp, &headers, |cx| self.store.put(cx, &key, Some(&value), timestamp))
    }
}

/// What both sides of a join know of each other within a task (`TimeTracker` of the JVM).
pub(crate) struct JoinClock {
    /// The highest time of a record of either side; -1 before the first.
    stream_time: Cell<Timestamp>,
    /// The time of the oldest waiting record, as far as it is known; the maximum if it is not.
    oldest: Cell<Timestamp>,
    /// Wall-clock time before which no waiting records are looked for.
    next_emit: Cell<Timestamp>,
}

impl Default for JoinClock {
    fn default() -> Self {
        JoinClock { stream_time: Cell::new(-1), oldest: Cell::new(Timestamp::MAX), next_emit: Cell::new(0) }
    }
}

/// The store of waiting records.
pub(crate) type WaitingStore<K, L, R> = ListValueStore<WaitingKey<K>, LeftOrRight<L, R>>;

/// Puts the values of the own and the other side where left and right are.
pub(crate) type Places<V, V2, L, R> = fn(Option<V>, Option<V2>) -> (Option<L>, Option<R>);

/// What is the same in all tasks, of the side that takes values `V` and looks for values `V2`.
pub(crate) struct StreamJoin<K, V, V2, L, R, F> {
    pub(crate) side: Side,
    pub(crate) windows: JoinWindows,
    /// Whether a record without a partner is sent on.
    pub(crate) outer: bool,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    /// From key and what there is of both sides to the result. There is none only if the join needs both.
    pub(crate) f: Arc<F>,
    /// Puts the value of this side and of the other into their places, left and right.
    pub(crate) places: Places<V, V2, L, R>,
    /// The value of this side, as it waits.
    pub(crate) waits: fn(V) -> LeftOrRight<L, R>,
}

/// The node of one side in one task.
pub(crate) struct StreamStreamJoin<K, V, V2, L, R, F, VO> {
    pub(crate) of: Arc<StreamJoin<K, V, V2, L, R, F>>,
    pub(crate) name: Arc<str>,
    pub(crate) out: Children<K, VO>,
    pub(crate) other: Rc<WindowStore<K, V2>>,
    /// Of left and outer joins.
    pub(crate) waiting: Option<Rc<WaitingStore<K, L, R>>>,
    pub(crate) clock: Rc<JoinClock>,
}

impl<K, V, V2, L, R, F, VO> Receive<K, V> for StreamStreamJoin<K, V, V2, L, R, F, VO>
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: 'static,
    L: 'static,
    R: 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<L>, Option<R>) -> Option<VO>,
{
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let (of, clock, timestamp) = (&*self.of, &*self.clock, record.timestamp);
        clock.stream_time.set(clock.stream_time.get().max(timestamp));
        let (null_key, null_value) = (of.keys.is_null(&record.key), of.values.is_null(&record.value));
        if null_value || (null_key && !of.outer) {
            cx.drop_record(&self.name, "null join key or value");
            return Ok(());
        }
        if null_key {
            return self.forward_alone(cx, record);
        }
        if let Some(waiting) = &self.waiting
            && timestamp == clock.stream_time.get()
        {
            self.emit_waiting(cx, waiting, &record)?;
        }
        let (before, after) = of.reach();
        let from = timestamp.saturating_sub(before).max(0);
        let to = timestamp.saturating_add(after).max(0);
        let mut partners = self.other.fetch_range(&record.key, from, to).peekable();
        if partners.peek().is_some() || !of.outer {
            return partners.try_for_each(|partner| {
                let (partner_time, partner) = partner?;
                self.forward_joined(cx, &record, partner_time, partner)
            });
        }
        match &self.waiting {
            // Late as seen from both sides: a partner would have been here.
            Some(waiting) if to >= clock.stream_time.get() => {
                clock.oldest.set(clock.oldest.get().min(timestamp));
                let Record { key, value, timestamp, headers } = record;
                let key = WaitingKey { timestamp, side: of.side, key };
                in_context_of(cx, timestamp, &headers, |cx| waiting.append(cx, &key, &(of.waits)(value)))
            }
            _ => self.forward_alone(cx, record),
        }
    }
}

impl<K, V, V2, L, R, F> StreamJoin<K, V, V2, L, R, F> {
    /// How far before and after a record of this side its partners lie, in milliseconds.
    fn reach(&self) -> (i64, i64) {
        match self.side {
            Side::Left => (self.windows.before_ms, self.windows.after_ms),
            Side::Right => (self.windows.after_ms, self.windows.before_ms),
        }
    }
}

impl<K, V, V2, L, R, F, VO> StreamStreamJoin<K, V, V2, L, R, F, VO>
where
    K: Clone + 'static,
    V: Clone + 'static,
    L: 'static,
    R: 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<L>, Option<R>) -> Option<VO>,
{
    fn forward_joined(
        &self,
        cx: &mut TaskContext,
        record: &Record<K, V>,
        partner_time: Timestamp,
        partner: V2,
    ) -> Step {
        let of = &*self.of;
        if let Some(waiting) = &self.waiting {
            // The partner has found one. All equal partners are taken from the store with the first of them: all of them
            // are joined in this step.
            let side = if of.side == Side::Left { Side::Right } else { Side::Left };
            let key = WaitingKey { timestamp: partner_time, side, key: record.key.clone() };
            in_context_of(cx, record.timestamp, &record.headers, |cx| waiting.delete_if_present(cx, &key))?;
        }
        let (left, right) = (of.places)(Some(record.value.clone()), Some(partner));
        let timestamp = record.timestamp.max(partner_time);
        self.forward(cx, record.key.clone(), left, right, timestamp, record.headers.clone())
    }

    fn forward_alone(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Record { key, value, timestamp, headers } = record;
        let (left, right) = (self.of.places)(Some(value), None);
        self.forward(cx, key, left, right, timestamp, headers)
    }

    fn forward(
        &self,
        cx: &mut TaskContext,
        key: K,
        left: Option<L>,
        right: Option<R>,
        timestamp: Timestamp,
        headers: kafka_streams_core::Headers,
    ) -> Step {
        match (self.of.f)(&key, left, right) {
            Some(value) => self.out.forward(cx, Record { key, value, timestamp, headers }),
            None => Ok(()),
        }
    }

    /// Sends on the waiting records whose windows have closed, in the order of their times. The times wrap around as they
    /// do on the JVM, where the unknown time of the oldest record is the maximum.
    fn emit_waiting(&self, cx: &mut TaskContext, waiting: &WaitingStore<K, L, R>, record: &Record<K, V>) -> Step {
        let (clock, windows) = (&*self.clock, self.of.windows);
        let (_, after) = self.of.reach();
        let closes = |reach: i64| clock.oldest.get().wrapping_add(reach).wrapping_add(windows.grace_ms);
        if closes(after) >= clock.stream_time.get() || cx.wall_clock < clock.next_emit.get() {
            return Ok(());
        }
        clock.next_emit.set(cx.wall_clock.saturating_add(cx.emit_intervals.outer_join_ms));
        clock.oldest.set(Timestamp::MAX);
        let (mut left_open, mut right_open) = (false, false);
        for entry in waiting.all() {
            let (key, values) = entry?;
            clock.oldest.set(key.timestamp);
            if left_open && right_open {
                break;
            }
            let (open, reach) = match key.side {
                Side::Left => (&mut left_open, windows.after_ms),
                Side::Right => (&mut right_open, windows.before_ms),
            };
            if closes(reach) >= clock.stream_time.get() {
                *open = true;
                // The JVM walks over the values one by one: the next one of this key would be the last that it looks at.
                if left_open && right_open && values.len() > 1 {
                    break;
                }
                continue;
            }
            for value in values {
                let (left, right) = match value {
                    LeftOrRight::Left(value) => (Some(value), None),
                    LeftOrRight::Right(value) => (None, Some(value)),
                };
                self.forward(cx, key.key.clone(), left, right, key.timestamp, record.headers.clone())?;
            }
            in_context_of(cx, record.timestamp, &record.headers, |cx| waiting.delete(cx, &key))?;
        }
        Ok(())
    }
}
