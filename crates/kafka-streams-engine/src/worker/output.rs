//! A worker's output: from the tasks to the producer, and what becomes of it there.

use kafka_streams_core::TaskId;

use crate::config::Guarantee;
use crate::error::WorkerError;
use crate::port::{BrokerError, BrokerErrorKind, Produce};
use crate::task::{Drained, Task};
use crate::worker::recover::Trouble;
use crate::worker::{BatchOf, Ports, Worker, start};

impl<P: Ports> Worker<P> {
    /// Takes what the producer has delivered or given up.
    pub(super) fn serve_producer(&mut self) -> Result<bool, WorkerError> {
        let recovering = self.recovery.is_some();
        let lost = self.recovery.as_ref().is_some_and(|recovery| !recovery.keeps_tasks());
        let exactly_once = self.config.guarantee == Guarantee::ExactlyOnce;
        let trouble = &mut self.trouble;
        let (mut worked, mut failed, mut batch_refused) = (false, None, false);
        let mut tasks: Vec<&mut Task<BatchOf<P>>> = self.tasks.values_mut().collect();
        // Most deliveries are of the same task as the one before.
        let mut at = 0;
        self.produce.poll(&mut |delivery| {
            worked = true;
            let incarnation = (delivery.tag >> 32) as u32;
            if tasks.get(at).is_none_or(|task| task.incarnation != incarnation) {
                let Some(found) = tasks.iter().position(|task| task.incarnation == incarnation) else { return };
                at = found;
            }
            let Some(task) = tasks.get_mut(at) else { return };
            if let Err(error) = &delivery.result {
                batch_refused |= error.kind == BrokerErrorKind::BatchRefused;
                // Refused for ever: a task that began anew would come to the same end.
                let will_repeat = exactly_once && error.kind == BrokerErrorKind::RecordRefused && !lost;
                match trouble_of(error) {
                    Some(_) if recovering => return,
                    Some(of_all) => {
                        trouble.get_or_insert(of_all);
                        return;
                    }
                    None if (recovering || trouble.is_some()) && !will_repeat => return,
                    None => {}
                }
            }
            if let Err(error) = task.on_delivery(delivery) {
                failed.get_or_insert(error);
            }
        });
        if batch_refused && !lost {
            self.send_one_by_one();
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(worked),
        }
    }

    /// Hands a task's output to the producer; whether all of it was taken.
    pub(super) fn drain(&mut self, id: TaskId, now: i64) -> Result<bool, WorkerError> {
        let Some(task) = self.tasks.get_mut(&id) else { return Ok(true) };
        match task.drain_if_any(&mut self.produce, &mut self.in_transaction, self.config.guarantee)? {
            Drained::All => Ok(true),
            Drained::Blocked => Ok(false),
            Drained::Broken(error) => match trouble_of(&error) {
                Some(trouble) => {
                    self.trouble = Some(trouble);
                    Ok(false)
                }
                None => Err(WorkerError::Broker { what: format!("task {id}: writing"), error }),
            },
            Drained::Failing(topic, error) => {
                self.bear(&format!("looking up output topic {topic}"), start::retriable_if_unknown(error), now)?;
                Ok(false)
            }
        }
    }
}

/// What an error of a sent record means for all tasks that share the producer (rule C4); `None` if it concerns the
/// record alone.
fn trouble_of(error: &BrokerError) -> Option<Trouble> {
    match error.kind {
        BrokerErrorKind::Fenced => Some(Trouble::Fenced { reason: error.to_string() }),
        BrokerErrorKind::BatchRefused => Some(Trouble::BatchRefused { reason: error.to_string() }),
        BrokerErrorKind::AbortRequired | BrokerErrorKind::Retriable | BrokerErrorKind::Rejoin => {
            Some(Trouble::StartAnew { reason: error.to_string() })
        }
        _ => None,
    }
}
