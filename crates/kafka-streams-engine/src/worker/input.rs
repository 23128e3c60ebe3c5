//! A worker's input: from the fetch into the queues, and from there through the tasks, each in its turn.

use kafka_streams_core::TaskId;

use crate::deadline::earliest;
use crate::error::WorkerError;
use crate::port::{BrokerErrorKind, Fetch, FetchEvent};
use crate::worker::recover::Trouble;
use crate::worker::{Ports, Worker, fails};

/// Records that a task processes before the next one has its turn.
const TURN_RECORDS: usize = 1000;
/// How long the tasks of a turn may process, together, before the rest of the loop has its turn.
const TURN_MS: i64 = 50;

impl<P: Ports> Worker<P> {
    /// Takes what was fetched, for every queue with room.
    pub(super) fn fill_queues(&mut self, now: i64) -> Result<bool, WorkerError> {
        let limit = self.config.buffered_records_per_partition.max(1);
        let mut worked = false;
        for task in self.tasks.values_mut() {
            for queue in &mut task.group.queues {
                // What the queue holds was fetched; more is asked for only when it is half empty, so that librdkafka is
                // asked for few large batches.
                while queue.buffered() * 2 <= limit {
                    match self.fetch.poll(queue.slot, limit) {
                        Some(FetchEvent::Batch(batch)) => queue.push(batch, now),
                        Some(FetchEvent::End { next_offset }) => queue.end(next_offset),
                        Some(FetchEvent::OutOfRange) => {
                            let reason = format!("{} has no record at offset {}", queue.partition, queue.position());
                            self.trouble = Some(Trouble::StartAnew { reason });
                            return Ok(true);
                        }
                        Some(FetchEvent::Failed(error)) => {
                            let what = format!("reading {}", queue.partition);
                            let lasted = fails(&mut self.failing, what, now);
                            let passes =
                                matches!(error.kind, BrokerErrorKind::Retriable | BrokerErrorKind::UnknownTopic);
                            if !passes || lasted > self.config.task_timeout_ms {
                                let (task, partition) = (task.id, queue.partition.clone());
                                return Err(WorkerError::Fetch { task, partition, error });
                            }
                            break;
                        }
                        None => break,
                    }
                    worked = true;
                    if !self.failing.is_empty() {
                        self.failing.remove(&format!("reading {}", queue.partition));
                    }
                }
            }
        }
        Ok(worked)
    }

    /// Gives every task its turn, and its output to the producer.
    pub(super) fn process(&mut self, now: i64) -> Result<(bool, Option<i64>), WorkerError> {
        let (mut worked, mut wake_at) = (false, None);
        let mut ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        ids.retain(|id| self.party.has(*id));
        let first = self.next_task.take().and_then(|next| ids.iter().position(|id| *id >= next)).unwrap_or(0);
        ids.rotate_left(first);
        let deadline = (self.clock)() + TURN_MS;
        for id in ids {
            let left = deadline - (self.clock)();
            if left <= 0 {
                self.next_task = Some(id);
                return Ok((true, wake_at));
            }
            if !self.drain(id, now)? {
                continue;
            }
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            self.in_hand = Some(id);
            let (processed, idle_until) =
                task.process(&*self.clock, TURN_RECORDS, left, self.config.max_task_idle_ms)?;
            task.punctuate_wall_clock((self.clock)())?;
            self.in_hand = None;
            worked |= processed > 0;
            wake_at = earliest(wake_at, earliest(idle_until, task.cx.timers.next_wall_clock()));
            self.drain(id, now)?;
        }
        Ok((worked, wake_at))
    }
}
