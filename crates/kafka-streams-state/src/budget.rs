//! One bound for the memory of all stores of a process, and how it is shared.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory that all stores of a process may use, in bytes. Shared by all threads; it hands out shares and counts.
///
/// Half of it is for the database (block cache and write buffers), half for rows in memory, in equal shares for the
/// stream threads. Of a thread's share, uncommitted rows may take half before an early commit is asked for; clean rows,
/// which can be read again, fill the rest. A commit only comes between records: uncommitted rows of one step that take
/// more than three quarters are spilled to the database, so that they never take the whole share (rule S1).
#[derive(Debug)]
pub struct MemoryBudget {
    total: usize,
    threads: usize,
    rows_used: AtomicUsize,
}

impl MemoryBudget {
    /// What a process may use if nothing is configured: 128 MiB.
    pub const DEFAULT_TOTAL: usize = 128 << 20;

    /// A budget of `total` bytes for `threads` stream threads (at least one).
    pub fn new(total: usize, threads: usize) -> Arc<Self> {
        Arc::new(MemoryBudget { total, threads: threads.max(1), rows_used: AtomicUsize::new(0) })
    }

    /// All of it, in bytes.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The database's part, in bytes.
    pub fn database(&self) -> usize {
        self.total / 2
    }

    /// The part of the rows in memory of one stream thread, in bytes.
    pub fn rows_per_thread(&self) -> usize {
        (self.total - self.database()) / self.threads
    }

    /// How many bytes of records one step may send before they wait in a file: as much as rows have that are neither
    /// uncommitted nor clean, a quarter of a thread's part, and on top of it.
    pub fn output_per_step(&self) -> usize {
        self.rows_per_thread() / 4
    }

    /// What rows in memory take now, over all threads, in bytes; brought up to date at every commit and every spill.
    pub fn rows_used(&self) -> usize {
        self.rows_used.load(Ordering::Relaxed)
    }
}

/// Rows in memory that can be given up because the database has them.
pub(crate) trait Reclaim {
    /// Gives up rows of at least `bytes` bytes, if there are as many; returns how many bytes it gave up.
    fn reclaim(&self, bytes: usize) -> usize;
}

/// The share of one stream thread in the budget's part for rows. Clones are the same share.
#[derive(Clone)]
pub(crate) struct RowMemory(Rc<Share>);

struct Share {
    budget: Arc<MemoryBudget>,
    limit: usize,
    used: Cell<usize>,
    published: Cell<usize>,
    uncommitted: Cell<usize>,
    stores: RefCell<Vec<Weak<dyn Reclaim>>>,
    next: Cell<usize>,
    on_spill: RefCell<Option<Rc<dyn Fn()>>>,
}

impl RowMemory {
    pub(crate) fn new(budget: Arc<MemoryBudget>) -> Self {
        RowMemory(Rc::new(Share {
            limit: budget.rows_per_thread(),
            budget,
            used: Cell::new(0),
            published: Cell::new(0),
            uncommitted: Cell::new(0),
            stores: RefCell::default(),
            next: Cell::new(0),
            on_spill: RefCell::default(),
        }))
    }

    /// Notes a store that can give up rows for others.
    pub(crate) fn register(&self, store: Weak<dyn Reclaim>) {
        let mut stores = self.0.stores.borrow_mut();
        stores.retain(|store| store.strong_count() > 0);
        stores.push(store);
    }

    #[inline]
    pub(crate) fn add(&self, bytes: usize) {
        self.0.used.set(self.0.used.get() + bytes);
    }

    #[inline]
    pub(crate) fn subtract(&self, bytes: usize) {
        self.0.used.set(self.0.used.get().saturating_sub(bytes));
    }

    #[inline]
    pub(crate) fn add_uncommitted(&self, bytes: usize) {
        self.0.uncommitted.set(self.0.uncommitted.get() + bytes);
    }

    #[inline]
    pub(crate) fn subtract_uncommitted(&self, bytes: usize) {
        self.0.uncommitted.set(self.0.uncommitted.get().saturating_sub(bytes));
    }

    /// By how many bytes the share is exceeded.
    #[inline]
    pub(crate) fn excess(&self) -> usize {
        self.0.used.get().saturating_sub(self.0.limit)
    }

    /// Whether the thread's uncommitted rows ask for an early commit.
    #[inline]
    pub(crate) fn wants_commit(&self) -> bool {
        self.0.uncommitted.get() > self.0.limit / 2
    }

    /// Whether a store is to spill its uncommitted rows, which take `own` bytes.
    ///
    /// A store that has little spares itself the trouble of spilling it over and over while another one has much and is
    /// not written: the least is a quarter of its part, so that all together exceed the limit by a quarter.
    pub(crate) fn wants_spill(&self, own: usize) -> bool {
        let limit = self.0.limit / 4 * 3;
        if self.0.uncommitted.get() <= limit || own == 0 {
            return false;
        }
        let stores = self.0.stores.try_borrow().map_or(1, |stores| stores.len());
        own.saturating_mul(4 * stores.max(1)) >= limit
    }

    /// Calls `probe` whenever rows were spilled.
    pub(crate) fn set_on_spill(&self, probe: Rc<dyn Fn()>) {
        *self.0.on_spill.borrow_mut() = Some(probe);
    }

    /// Notes that rows were spilled.
    pub(crate) fn spilled(&self) {
        self.publish();
        let probe = self.0.on_spill.borrow().clone();
        if let Some(probe) = probe {
            probe();
        }
    }

    /// Asks the other stores of the thread to give up rows, one after the other.
    #[cold]
    pub(crate) fn reclaim_from_others(&self) {
        let Ok(stores) = self.0.stores.try_borrow() else { return };
        for _ in 0..stores.len() {
            let excess = self.excess();
            if excess == 0 {
                return;
            }
            let turn = self.0.next.get() % stores.len();
            self.0.next.set(turn + 1);
            if let Some(store) = stores.get(turn).and_then(Weak::upgrade) {
                store.reclaim(excess);
            }
        }
    }

    /// Tells the process's budget what the thread uses.
    pub(crate) fn publish(&self) {
        let (used, published) = (self.0.used.get(), self.0.published.get());
        self.0.published.set(used);
        // Wraps around in both steps alike, so the sum over all threads is right.
        self.0.budget.rows_used.fetch_add(used.wrapping_sub(published), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.rows_used.fetch_sub(self.published.get(), Ordering::Relaxed);
    }
}

impl fmt::Debug for RowMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Share { limit, used, uncommitted, .. } = &*self.0;
        f.debug_struct("RowMemory")
            .field("limit", limit)
            .field("used", used)
            .field("uncommitted", uncommitted)
            .finish_non_exhaustive()
    }
}
