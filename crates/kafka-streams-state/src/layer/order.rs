//! The order of keys that live elsewhere, established only when somebody asks for it.
//!
//! New keys go to a tail. A walk sorts the tail and goes over both runs at once; the tail joins the main run when it is
//! long compared with the square root of that run, so that a store that is written and walked in turn pays about that
//! root for each walk, and one that is never walked pays for sorting once, at its commit.

use std::cmp::Ordering;

use crate::{KeyRange, Order};

/// Index of a slot in the collection that owns the keys.
pub(crate) type SlotId = u32;

/// A collection of keys by slot.
pub(crate) trait Keyed {
    /// The key in `slot`.
    fn key_of(&self, slot: SlotId) -> &[u8];
}

/// Slots in the order of their keys. Every slot is pushed once.
#[derive(Debug, Default)]
pub(crate) struct LazyOrder {
    main: Vec<Entry>,
    tail: Vec<Entry>,
    tail_sorted: usize,
}

/// The shortest tail that is worth joining with the main run.
const TAIL_MIN: usize = 64;

/// Up to so many new keys are put into their places one by one.
const FEW: usize = 8;

/// A slot, with the first sixteen bytes of its key: a segment and more, so that most comparisons end here.
#[derive(Clone, Copy, Debug)]
struct Entry {
    head: u128,
    slot: SlotId,
}

impl LazyOrder {
    pub(crate) fn push(&mut self, key: &[u8], slot: SlotId) {
        self.tail.push(Entry { head: head(key), slot });
    }

    pub(crate) fn clear(&mut self) {
        self.main.clear();
        self.tail.clear();
        self.tail_sorted = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.main.len() + self.tail.len()
    }

    /// To be called before [`sorted`](LazyOrder::sorted).
    pub(crate) fn sort(&mut self, keys: &impl Keyed) {
        self.sort_tail(keys);
        self.join(keys);
    }

    /// All slots in the order of their keys.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = SlotId> + '_ {
        self.main.iter().map(|entry| entry.slot)
    }

    /// To be called before [`walk`](LazyOrder::walk).
    pub(crate) fn settle(&mut self, keys: &impl Keyed) {
        self.sort_tail(keys);
        if self.tail.len() > self.main.len().isqrt().max(TAIL_MIN) {
            self.join(keys);
        }
    }

    /// The slots whose keys are within `range`, in `order`.
    pub(crate) fn walk<'a, K: Keyed>(&'a self, keys: &'a K, range: KeyRange<'_>, order: Order) -> Walk<'a, K> {
        Walk { keys, main: within(&self.main, keys, range), tail: within(&self.tail, keys, range), order }
    }

    fn sort_tail(&mut self, keys: &impl Keyed) {
        let new = self.tail.len() - self.tail_sorted;
        if new > FEW {
            self.tail.sort_unstable_by(|a, b| compare(a, b, keys));
            self.tail_sorted = self.tail.len();
        }
        // A store that is written and walked in turn comes here with one new key.
        while self.tail_sorted < self.tail.len() {
            let (sorted, rest) = self.tail.split_at(self.tail_sorted);
            let Some(new) = rest.first() else { break };
            let place = sorted.partition_point(|entry| compare(entry, new, keys) == Ordering::Less);
            self.tail[place..=self.tail_sorted].rotate_right(1);
            self.tail_sorted += 1;
        }
    }

    /// Joins the two sorted runs: from the back, moving as a block what lies between two keys of the tail.
    fn join(&mut self, keys: &impl Keyed) {
        if self.main.is_empty() {
            std::mem::swap(&mut self.main, &mut self.tail);
        } else {
            let mut left = self.main.len();
            self.main.extend_from_slice(&self.tail);
            while let Some(last) = self.tail.pop() {
                let place = self.main[..left].partition_point(|entry| compare(entry, &last, keys) == Ordering::Less);
                self.main.copy_within(place..left, place + self.tail.len() + 1);
                self.main[place + self.tail.len()] = last;
                left = place;
            }
        }
        self.tail_sorted = 0;
    }
}

/// An iterator over two sorted runs.
#[derive(Debug)]
pub(crate) struct Walk<'a, K> {
    keys: &'a K,
    main: &'a [Entry],
    tail: &'a [Entry],
    order: Order,
}

impl<K: Keyed> Iterator for Walk<'_, K> {
    type Item = SlotId;

    #[inline]
    fn next(&mut self) -> Option<SlotId> {
        match self.order {
            Order::Ascending => {
                let from_main = match (self.main.first(), self.tail.first()) {
                    (Some(main), Some(tail)) => compare(main, tail, self.keys) == Ordering::Less,
                    (main, _) => main.is_some(),
                };
                let run = if from_main { &mut self.main } else { &mut self.tail };
                run.split_off_first().map(|entry| entry.slot)
            }
            Order::Descending => {
                let from_main = match (self.main.last(), self.tail.last()) {
                    (Some(main), Some(tail)) => compare(main, tail, self.keys) == Ordering::Greater,
                    (main, _) => main.is_some(),
                };
                let run = if from_main { &mut self.main } else { &mut self.tail };
                run.split_off_last().map(|entry| entry.slot)
            }
        }
    }
}

fn within<'a>(run: &'a [Entry], keys: &impl Keyed, range: KeyRange<'_>) -> &'a [Entry] {
    let before = |bound: &[u8]| {
        let bound_head = head(bound);
        run.partition_point(|entry| {
            entry.head.cmp(&bound_head).then_with(|| keys.key_of(entry.slot).cmp(bound)) == Ordering::Less
        })
    };
    let from = range.from.map_or(0, before);
    let to = range.to.map_or(run.len(), before);
    run.get(from..to).unwrap_or_default()
}

#[inline]
fn compare(a: &Entry, b: &Entry, keys: &impl Keyed) -> Ordering {
    a.head.cmp(&b.head).then_with(|| keys.key_of(a.slot).cmp(keys.key_of(b.slot)))
}

/// The first sixteen bytes as a number; shorter keys are filled up with zeros, which full comparison sorts out.
#[inline]
fn head(key: &[u8]) -> u128 {
    match key.first_chunk::<16>() {
        Some(chunk) => u128::from_be_bytes(*chunk),
        None => {
            let mut chunk = [0; 16];
            chunk[..key.len()].copy_from_slice(key);
            u128::from_be_bytes(chunk)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Keyed for Vec<Vec<u8>> {
        fn key_of(&self, slot: SlotId) -> &[u8] {
            &self[slot as usize]
        }
    }

    proptest! {
        #[test]
        fn a_walk_sees_the_pushed_keys_of_its_range_in_order(
            batches in prop::collection::vec(prop::collection::btree_set(prop::collection::vec(0u8..3, 0..20), 0..90), 1..4),
            from in prop::option::of(prop::collection::vec(0u8..3, 0..20)),
            to in prop::option::of(prop::collection::vec(0u8..3, 0..20)),
        ) {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            let mut order = LazyOrder::default();
            for batch in batches {
                for key in batch {
                    if !keys.contains(&key) {
                        order.push(&key, keys.len() as u32);
                        keys.push(key);
                    }
                }
                order.settle(&keys);
                let range = KeyRange { from: from.as_deref(), to: to.as_deref() };
                let inside = |key: &&Vec<u8>| {
                    from.as_ref().is_none_or(|from| *key >= from) && to.as_ref().is_none_or(|to| *key < to)
                };
                let mut expected: Vec<&Vec<u8>> = keys.iter().filter(inside).collect();
                expected.sort();
                let up: Vec<_> = order.walk(&keys, range, Order::Ascending).map(|s| &keys[s as usize]).collect();
                prop_assert_eq!(&up, &expected);
                expected.reverse();
                let down: Vec<_> = order.walk(&keys, range, Order::Descending).map(|s| &keys[s as usize]).collect();
                prop_assert_eq!(&down, &expected);
            }
            let mut expected: Vec<u32> = (0..keys.len() as u32).collect();
            expected.sort_by_key(|slot| &keys[*slot as usize]);
            order.sort(&keys);
            prop_assert_eq!(order.sorted().collect::<Vec<_>>(), expected);
        }
    }
}
