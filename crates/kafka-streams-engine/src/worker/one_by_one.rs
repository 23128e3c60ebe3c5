//! After the broker has refused a batch for its size: records go one by one until what was in doubt is committed, so that
//! a refusal concerns one record alone, and records that are only too large together are not refused.
//!
//! The JVM's producer splits such a batch; librdkafka gives up all its records. So the tasks start anew from what is
//! committed (rule S9), which neither loses nor reorders anything, with a producer that makes no batches.

use std::collections::BTreeMap;

use kafka_streams_core::TopicPartition;

use crate::config::Guarantee;
use crate::error::WorkerError;
use crate::port::{Batching, OffsetToCommit, Produce};
use crate::task::Task;
use crate::worker::{Mode, Ports, Worker};

/// Whether, and how long, records are sent one by one.
#[derive(Debug, Default)]
pub(super) struct OneByOne {
    /// The input positions that have to be committed before batches are made again; empty if they may be.
    until: BTreeMap<TopicPartition, i64>,
    /// How the present producer sends.
    batching: Batching,
}

impl OneByOne {
    fn wanted(&self) -> Batching {
        if self.until.is_empty() { Batching::AsConfigured } else { Batching::OneByOne }
    }

    /// Whether the producer is not the one that is wanted.
    pub(super) fn wants_producer(&self) -> bool {
        self.wanted() != self.batching
    }

    /// Notes what was committed.
    pub(super) fn committed(&mut self, offsets: &[OffsetToCommit]) {
        if self.until.is_empty() {
            return;
        }
        let reached = |partition: &TopicPartition, until: i64| {
            offsets.iter().any(|committed| committed.partition == *partition && committed.offset >= until)
        };
        self.until.retain(|partition, until| !reached(partition, *until));
    }

    /// Notes that a partition is no longer this worker's.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.until.remove(partition);
    }
}

impl<P: Ports> Worker<P> {
    /// From the next producer on, which the recovery under way makes, until the present positions are committed.
    pub(super) fn send_one_by_one(&mut self) {
        for offset in self.tasks.values().flat_map(Task::offsets_to_commit) {
            let until = self.one_by_one.until.entry(offset.partition).or_insert(offset.offset);
            *until = offset.offset.max(*until);
        }
    }

    /// Makes batches again once what was in doubt is committed, between two transactions.
    pub(super) fn resume_batches(&mut self, now: i64) -> Result<bool, WorkerError> {
        let idle = self.commit.is_idle() && !self.in_transaction && self.produce.in_flight() == 0;
        let over = self.one_by_one.until.is_empty() && self.one_by_one.wants_producer();
        let resumes = over && self.mode == Mode::Running;
        if !resumes || !idle || !self.tasks.values().all(|task| task.cx.output.is_empty()) {
            return Ok(false);
        }
        self.replace_producer(now)
    }

    /// Puts a new producer in the place of the present one; false if that cannot be done yet.
    pub(super) fn replace_producer(&mut self, now: i64) -> Result<bool, WorkerError> {
        const WHAT: &str = "making a new producer";
        let batching = self.one_by_one.wanted();
        match (self.make_producer)(batching) {
            Ok(producer) => {
                self.failing.remove(WHAT);
                self.produce = producer;
                self.producer_ready = self.config.guarantee == Guarantee::AtLeastOnce;
                self.in_transaction = false;
                self.one_by_one.batching = batching;
                Ok(true)
            }
            Err(error) => self.bear(WHAT, error, now).map(|()| false),
        }
    }
}
