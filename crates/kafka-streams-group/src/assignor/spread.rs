//! Sticky and balanced placement of things into bins: tasks onto processes, and a process's tasks onto its consumers.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use kafka_streams_core::TaskId;

/// A place for tasks.
pub(super) struct Bin {
    /// How many threads share the tasks, at least 1.
    pub(super) threads: usize,
    /// Tasks that are there already and stay, such as the stateful ones while the stateless ones are placed.
    pub(super) load: usize,
    /// Those of the tasks that it has and should keep, best first.
    pub(super) previous: Vec<TaskId>,
}

/// Places every task in one bin and returns each bin's tasks.
///
/// With `n` tasks (loads included) for `t` threads every bin gets between ⌊n/t⌋ and ⌊n/t⌋+1 for each of its threads, provided
/// that the loads leave room for it. Within that:
/// 1. a bin keeps its previous tasks up to ⌊n/t⌋ per thread, and while there are more tasks than that, up to one more;
/// 2. the other tasks go to the bin of the smallest `preference` that has room (equal ones: the smallest load per thread,
///    then the first), those first for which some bin has a preference at all.
///
/// Step 1 keeps as many tasks as any balanced placement can. With `keep_all` it keeps all of them.
pub(super) fn spread<P: Ord>(
    tasks: &BTreeSet<TaskId>,
    bins: &[Bin],
    keep_all: bool,
    preference: impl Fn(TaskId, usize) -> Option<P>,
) -> Vec<BTreeSet<TaskId>> {
    let mut places = Places::new(tasks.len(), bins);
    let mut rest = tasks.clone();

    for (bin, Bin { previous, .. }) in bins.iter().enumerate() {
        for task in previous {
            if (keep_all || places.is_short(bin)) && rest.remove(task) {
                places.put(*task, bin);
            }
        }
    }
    for (bin, Bin { previous, .. }) in bins.iter().enumerate() {
        for task in previous {
            if places.has_room(bin) && rest.remove(task) {
                places.put(*task, bin);
            }
        }
    }

    let wanted = |task: &TaskId| (0..bins.len()).any(|bin| preference(*task, bin).is_some());
    let (first, second): (Vec<TaskId>, Vec<TaskId>) = rest.into_iter().partition(wanted);
    for task in first.into_iter().chain(second) {
        let best = (0..bins.len()).min_by(|a, b| {
            let room = [places.has_room(*a), places.has_room(*b)];
            let by_preference = match room {
                [true, true] => none_last(preference(task, *a), preference(task, *b)),
                [a_has, b_has] => b_has.cmp(&a_has),
            };
            by_preference.then_with(|| places.by_load(*a, *b))
        });
        if let Some(bin) = best {
            places.put(task, bin);
        }
    }
    places.placed
}

fn none_last<P: Ord>(a: Option<P>, b: Option<P>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

struct Places<'b> {
    bins: &'b [Bin],
    placed: Vec<BTreeSet<TaskId>>,
    /// ⌊n/t⌋.
    per_thread: usize,
    /// How many of the tasks still to be placed may go where ⌊n/t⌋ per thread is reached, so that enough are left for the
    /// bins that are short of it.
    spare: usize,
}

impl<'b> Places<'b> {
    fn new(tasks: usize, bins: &'b [Bin]) -> Self {
        let threads: usize = bins.iter().map(|bin| bin.threads.max(1)).sum();
        let loads: usize = bins.iter().map(|bin| bin.load).sum();
        let per_thread = (tasks + loads) / threads.max(1);
        let short: usize = bins.iter().map(|bin| (per_thread * bin.threads.max(1)).saturating_sub(bin.load)).sum();
        let placed = bins.iter().map(|_| BTreeSet::new()).collect();
        Places { bins, placed, per_thread, spare: tasks.saturating_sub(short) }
    }

    fn threads(&self, bin: usize) -> usize {
        self.bins.get(bin).map_or(1, |bin| bin.threads.max(1))
    }

    fn load(&self, bin: usize) -> usize {
        self.bins.get(bin).map_or(0, |bin| bin.load) + self.placed.get(bin).map_or(0, BTreeSet::len)
    }

    /// Fewer than ⌊n/t⌋ per thread.
    fn is_short(&self, bin: usize) -> bool {
        self.load(bin) < self.per_thread * self.threads(bin)
    }

    fn has_room(&self, bin: usize) -> bool {
        self.is_short(bin) || (self.spare > 0 && self.load(bin) < (self.per_thread + 1) * self.threads(bin))
    }

    fn by_load(&self, a: usize, b: usize) -> Ordering {
        (self.load(a) * self.threads(b)).cmp(&(self.load(b) * self.threads(a)))
    }

    fn put(&mut self, task: TaskId, bin: usize) {
        if !self.is_short(bin) {
            self.spare = self.spare.saturating_sub(1);
        }
        if let Some(placed) = self.placed.get_mut(bin) {
            placed.insert(task);
        }
    }
}
