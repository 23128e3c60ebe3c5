//! A clock that was set back: what waits for a time must not wait until the clock has caught up.

use crate::worker::{Ports, Worker};

impl<P: Ports> Worker<P> {
    /// Moves everything that was noted of the time back with the clock. Clocks of the users' making, as punctuations and
    /// timestamps see them, are left as they are.
    pub(super) fn follow_clock(&mut self, now: i64) {
        let by = self.last_turn_ms.saturating_sub(now);
        self.last_turn_ms = now;
        if by <= 0 {
            return;
        }
        tracing::warn!(worker = self.worker, by_ms = by, "the clock was set back");
        let noted = [&mut self.last_commit_ms, &mut self.last_alive_ms, &mut self.purge.last_ms];
        let failing = self.failing.values_mut().flat_map(|failing| [&mut failing.since, &mut failing.last]);
        for time in noted.into_iter().chain(failing) {
            *time = time.saturating_sub(by);
        }
        self.attempts.shift_back(by);
        self.party.shift_back(by);
        self.commit.shift_back(by);
        if let Some(recovery) = &mut self.recovery {
            recovery.shift_back(by);
        }
        for starting in self.starting.values_mut() {
            starting.shift_back(by);
        }
        for task in self.tasks.values_mut() {
            task.group.shift_back(by);
        }
    }
}
