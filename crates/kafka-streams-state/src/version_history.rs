//! How versions are put and found, over any rows: those of a store in use, and those of one that is restored.
//!
//! Source: `RocksDBVersionedStore.doPut` and `get` of the JVM, whose every decision is taken here: also that a deletion at
//! the very time of the latest value is only known as long as the value before it is.

use kafka_streams_core::Timestamp;

use crate::StoreError;
use crate::format::version_row::{Found, Versions, latest_key, read_latest, segment_key, write_latest};
use crate::layer::segments::ExpiryRule;

/// The rows under a history.
pub(crate) trait VersionRows {
    /// The value of a row.
    ///
    /// # Errors
    /// It cannot be read.
    fn row(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets a row; `None` deletes it.
    ///
    /// # Errors
    /// It cannot be written.
    fn set_row(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError>;
}

/// What became of a version that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is too old to matter.
    Nowhere,
    /// It is the latest.
    Latest,
    /// It ends where another version begins, at this time.
    Until(Timestamp),
}

/// A version of a key, by bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawVersion {
    pub(crate) value: Vec<u8>,
    pub(crate) from: Timestamp,
    /// `None` for the latest.
    pub(crate) to: Option<Timestamp>,
}

/// Versions of the keys of a store at a stream time.
pub(crate) struct History<'r, R> {
    pub(crate) rule: ExpiryRule,
    pub(crate) observed: Timestamp,
    pub(crate) rows: &'r mut R,
}

impl<R: VersionRows> History<'_, R> {
    /// Whether a version of this time is too old to be put, or a time too old to be asked for.
    pub(crate) fn has_expired(&self, time: Timestamp) -> bool {
        time < self.observed.saturating_sub(self.rule.retention_ms)
    }

    /// Puts a version that has not expired; `None` is a deletion. The stream time has been moved on to it.
    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>, time: Timestamp) -> Result<Placed, StoreError> {
        let mut next = None;
        if let Some((latest_time, latest)) = self.latest(key)? {
            if time >= latest_time {
                if time > latest_time {
                    self.retire(key, latest, latest_time, time)?;
                }
                self.set_latest(key, value, time)?;
                return Ok(Placed::Latest);
            }
            next = Some(latest_time);
        }
        for segment in self.segments_from(time) {
            let Some(versions) = self.versions(segment, key)? else { continue };
            if versions.next() <= time {
                break;
            }
            if versions.min() <= time {
                return self.put_among(key, value, time, segment, versions);
            }
            if self.has_expired(versions.min()) {
                return Ok(Placed::Nowhere);
            }
            next = Some(versions.min());
        }
        match next {
            Some(next) => self.put_before(key, value, time, next),
            None => self.put_last(key, value, time),
        }
    }

    /// The latest version, if it is a value.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<RawVersion>, StoreError> {
        Ok(self.latest(key)?.map(|(from, value)| RawVersion { value, from, to: None }))
    }

    /// The version at a time, if it is a value and its history is still kept.
    pub(crate) fn get_as_of(&mut self, key: &[u8], time: Timestamp) -> Result<Option<RawVersion>, StoreError> {
        let latest = self.get(key)?.filter(|latest| latest.from <= time);
        if latest.is_some() || self.has_expired(time) {
            return Ok(latest);
        }
        for segment in self.segments_from(time) {
            let Some(versions) = self.versions(segment, key)? else { continue };
            if versions.next() <= time {
                return Ok(None);
            }
            let Some(Found { from, to, value, .. }) = versions.find(time) else { continue };
            return Ok(value.map(|value| RawVersion { value, from, to: Some(to) }));
        }
        Ok(None)
    }

    /// The latest value moves among the versions that end at `time`.
    fn retire(&mut self, key: &[u8], value: Vec<u8>, from: Timestamp, time: Timestamp) -> Result<(), StoreError> {
        let segment = self.rule.segment(time);
        if !self.is_live(segment) {
            return Ok(());
        }
        let versions = match self.versions(segment, key)? {
            None => Versions::one(Some(value), from, time),
            Some(mut versions) => {
                versions.insert_as_latest(from, time, Some(value));
                versions
            }
        };
        self.set_versions(segment, key, &versions)
    }

    /// Puts a version among those of a segment, one of which is there at its time.
    fn put_among(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        time: Timestamp,
        segment: i64,
        mut versions: Versions,
    ) -> Result<Placed, StoreError> {
        let Some(Found { index, from, to, value: before }) = versions.find(time) else { return Ok(Placed::Nowhere) };
        let value = value.map(<[u8]>::to_vec);
        let earlier = self.rule.segment(time);
        if from == time {
            versions.update(index, time, value);
        } else if earlier == segment {
            versions.insert(index, time, value);
        } else {
            // The version that was there ends now in an earlier segment.
            if self.is_live(earlier) {
                let moved = match self.versions(earlier, key)? {
                    None => Versions::one(before, from, time),
                    Some(mut older) => {
                        older.insert_as_latest(from, time, before);
                        older
                    }
                };
                self.set_versions(earlier, key, &moved)?;
            }
            versions.update(index, time, value);
        }
        self.set_versions(segment, key, &versions)?;
        Ok(Placed::Until(to))
    }

    /// Puts a version that ends where another begins, at `next`.
    fn put_before(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        time: Timestamp,
        next: Timestamp,
    ) -> Result<Placed, StoreError> {
        let segment = self.rule.segment(next);
        if !self.is_live(segment) {
            return Ok(Placed::Nowhere);
        }
        let value = value.map(<[u8]>::to_vec);
        let versions = match self.versions(segment, key)? {
            None => Versions::one(value, time, next),
            Some(mut versions) if versions.next() <= time => {
                versions.insert_as_latest(time, next, value);
                versions
            }
            Some(mut versions) => {
                versions.insert_as_earliest(time, value);
                versions
            }
        };
        self.set_versions(segment, key, &versions)?;
        Ok(Placed::Until(next))
    }

    /// Puts a version after which nothing is known.
    fn put_last(&mut self, key: &[u8], value: Option<&[u8]>, time: Timestamp) -> Result<Placed, StoreError> {
        if value.is_some() {
            self.set_latest(key, value, time)?;
            return Ok(Placed::Latest);
        }
        let segment = self.rule.segment(time);
        if !self.is_live(segment) {
            return Ok(Placed::Nowhere);
        }
        let versions = match self.versions(segment, key)? {
            None => Versions::one(None, time, time),
            Some(versions) if versions.next() == time => return Ok(Placed::Latest),
            Some(mut versions) => {
                versions.insert_as_latest(versions.next(), time, None);
                versions
            }
        };
        self.set_versions(segment, key, &versions)?;
        Ok(Placed::Latest)
    }

    /// The segments in which versions can lie that end after `time`, the latest first.
    fn segments_from(&self, time: Timestamp) -> impl Iterator<Item = i64> + use<R> {
        let lowest = self.rule.segment(time).max(self.rule.lowest_live(self.observed));
        (lowest..=self.rule.segment(self.observed)).rev()
    }

    fn is_live(&self, segment: i64) -> bool {
        segment >= self.rule.lowest_live(self.observed)
    }

    fn latest(&mut self, key: &[u8]) -> Result<Option<(Timestamp, Vec<u8>)>, StoreError> {
        let Some(row) = self.rows.row(&latest_key(key))? else { return Ok(None) };
        let (time, value) = read_latest(&row).ok_or_else(|| damaged("latest value"))?;
        Ok(Some((time, value.to_vec())))
    }

    fn set_latest(&mut self, key: &[u8], value: Option<&[u8]>, time: Timestamp) -> Result<(), StoreError> {
        let row = value.map(|value| write_latest(time, value));
        self.rows.set_row(&latest_key(key), row.as_deref())
    }

    fn versions(&mut self, segment: i64, key: &[u8]) -> Result<Option<Versions>, StoreError> {
        let Some(row) = self.rows.row(&segment_key(segment, key))? else { return Ok(None) };
        Versions::read(&row).map(Some).ok_or_else(|| damaged("row of versions"))
    }

    fn set_versions(&mut self, segment: i64, key: &[u8], versions: &Versions) -> Result<(), StoreError> {
        self.rows.set_row(&segment_key(segment, key), Some(&versions.write()))
    }
}

#[cold]
fn damaged(what: &str) -> StoreError {
    StoreError::Unreadable { reason: format!("a {what} of a versioned store cannot be read") }
}
