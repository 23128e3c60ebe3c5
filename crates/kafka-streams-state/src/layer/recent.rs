//! The rows of a window or session store that are in memory, by segment and key, so that the latest windows of a key are
//! found without asking the back-end.
//!
//! The back-end need not be asked for windows later than all that it had when the store was opened and all that were given
//! up since: every such row is in memory. Joins, sessions and sliding windows ask for little else.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use kafka_streams_core::Timestamp;
use smallvec::SmallVec;

use super::order::{Keyed, SlotId};
use crate::format::row_time::RowTime;
use crate::{KeyRange, Order};

/// What a [`Recent`] takes for each key of each segment, in bytes: the bucket, and its place in the table.
const BUCKET_BYTES: usize = size_of::<Bucket>() * 8 / 7 + 1;

/// The rows in memory, and from which time on they are all that there are.
pub(crate) struct Recent {
    time: RowTime,
    /// Made when it is asked for first: who never walks over windows does not pay for it.
    index: Option<HashTable<Bucket>>,
    hasher: FixedState,
    given_up_until: Timestamp,
}

/// The slots of one key in one segment, in the order of their keys.
type Bucket = SmallVec<[SlotId; 4]>;

impl Recent {
    /// Knows no rows yet; their times are told by `time`.
    pub(crate) fn new(time: RowTime) -> Self {
        Recent { time, index: None, hasher: FixedState::default(), given_up_until: Timestamp::MIN }
    }

    /// The latest time of a row that was in memory and is not any more.
    pub(crate) fn given_up_until(&self) -> Timestamp {
        self.given_up_until
    }

    pub(crate) fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// Begins to keep the rows by their keys. Rows are to be [added](Recent::add) from now on.
    pub(crate) fn begin(&mut self) {
        self.index.get_or_insert_default();
    }

    /// Notes a row that has come into memory; returns by how many bytes this grows.
    #[inline]
    pub(crate) fn add(&mut self, slot: SlotId, slots: &impl Keyed) -> usize {
        let Some(index) = &mut self.index else { return 0 };
        let row_key = slots.key_of(slot);
        let Some(of_key) = self.time.key_part(row_key) else { return 0 };
        let (time, hasher) = (self.time, &self.hasher);
        let same = |bucket: &Bucket| part_of(bucket, time, slots) == Some(of_key);
        let hash = |bucket: &Bucket| hasher.hash_one(part_of(bucket, time, slots).unwrap_or_default());
        match index.entry(hasher.hash_one(of_key), same, hash) {
            Entry::Occupied(mut bucket) => {
                let bucket = bucket.get_mut();
                let after = |other: &SlotId| slots.key_of(*other) < row_key;
                // Most rows are later than all of their key.
                let place = match bucket.last() {
                    Some(last) if after(last) => bucket.len(),
                    _ => bucket.partition_point(after),
                };
                bucket.insert(place, slot);
                0
            }
            Entry::Vacant(place) => {
                place.insert(SmallVec::from_slice(&[slot]));
                BUCKET_BYTES
            }
        }
    }

    /// Notes that a row is about to leave memory; returns by how many bytes this shrinks.
    #[inline]
    pub(crate) fn give_up(&mut self, slot: SlotId, slots: &impl Keyed) -> usize {
        let row_key = slots.key_of(slot);
        let time = self.time.of_row_key(row_key).unwrap_or(Timestamp::MAX);
        self.given_up_until = self.given_up_until.max(time);
        let (Some(index), Some(of_key)) = (&mut self.index, self.time.key_part(row_key)) else { return 0 };
        let same = |bucket: &Bucket| part_of(bucket, self.time, slots) == Some(of_key);
        let Ok(mut found) = index.find_entry(self.hasher.hash_one(of_key), same) else { return 0 };
        let bucket = found.get_mut();
        if let Some(place) = bucket.iter().position(|other| *other == slot) {
            bucket.remove(place);
        }
        if bucket.is_empty() {
            found.remove();
            return BUCKET_BYTES;
        }
        0
    }

    /// Forgets everything, also which rows were given up; returns by how many bytes this shrinks.
    pub(crate) fn forget(&mut self) -> usize {
        self.given_up_until = Timestamp::MIN;
        self.index.take().map_or(0, |index| index.len() * BUCKET_BYTES)
    }

    /// The slots within `range` of the rows whose keys are `of_key` up to the time.
    pub(crate) fn walk<'a, K: Keyed>(
        &'a self,
        of_key: &[u8],
        range: KeyRange<'_>,
        order: Order,
        slots: &'a K,
    ) -> impl Iterator<Item = SlotId> + 'a {
        let same = |bucket: &&Bucket| part_of(bucket, self.time, slots) == Some(of_key);
        let hash = self.hasher.hash_one(of_key);
        let bucket = self.index.as_ref().and_then(|index| index.find(hash, |bucket| same(&bucket)));
        let bucket = bucket.map_or(&[][..], |bucket| &bucket[..]);
        let before = |bound: Option<&[u8]>| {
            bound.map(|bound| bucket.partition_point(|slot| slots.key_of(*slot).cmp(bound) == Ordering::Less))
        };
        let (from, to) = (before(range.from).unwrap_or(0), before(range.to).unwrap_or(bucket.len()));
        let mut rest = bucket.get(from..to).unwrap_or_default().iter();
        std::iter::from_fn(move || match order {
            Order::Ascending => rest.next().copied(),
            Order::Descending => rest.next_back().copied(),
        })
    }
}

/// The part of the key that the rows of a bucket share.
#[inline]
fn part_of<'a>(bucket: &Bucket, time: RowTime, slots: &'a impl Keyed) -> Option<&'a [u8]> {
    bucket.first().and_then(|slot| time.key_part(slots.key_of(*slot)))
}
