//! The moments of the commit cycle at which a crash would tell a right implementation from a wrong one (rule S10).

use std::fmt;
use std::sync::Arc;

/// A moment of the commit cycle or of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitPoint {
    /// A commit is due and nothing was flushed for it yet.
    BeforeFlush,
    /// Everything is flushed, sent and acknowledged.
    AfterFlush,
    /// The offsets are part of the transaction.
    AfterOffsets,
    /// The end of the transaction was asked for and is not answered yet.
    AfterEndTxnSent,
    /// The transaction is committed (under at-least-once: the changelogs are acknowledged), and no store is.
    BeforeStores,
    /// All stores are committed.
    AfterStores,
    /// The commit cycle is over.
    AfterCommit,
    /// A batch of a restore is in its store.
    InRestore,
    /// Within a step: rows that outgrew the memory are in the spill of their store.
    InSpill,
}

/// Called at every [`CommitPoint`]; for tests that crash there.
#[derive(Clone, Default)]
pub struct CommitProbe(Option<Arc<dyn Fn(CommitPoint) + Send + Sync>>);

impl CommitProbe {
    /// A probe that calls `probe`.
    pub fn new(probe: impl Fn(CommitPoint) + Send + Sync + 'static) -> Self {
        CommitProbe(Some(Arc::new(probe)))
    }

    #[inline]
    pub(crate) fn at(&self, point: CommitPoint) {
        if let Some(probe) = &self.0 {
            probe(point);
        }
    }
}

impl fmt::Debug for CommitProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "CommitProbe(set)" } else { "CommitProbe" })
    }
}
