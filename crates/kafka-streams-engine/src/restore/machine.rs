//! The machine that restores: opens stores, decides what of them can be kept, reads their changelogs to the end.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use kafka_streams_core::{TaskId, TopicId, TopicPartition};
use kafka_streams_state::{RestoreCodec, StoreBackend, StoreBackends, StoreError, StorePosition, StoreSpec};

use super::rows::Rows;
use super::{RestoreError, RestoreEvent, RestoreStore, RestoreTask, RestoredStore};
use crate::deadline::earliest;
use crate::port::{
    Admin, BrokerError, BrokerErrorKind, Call, CallId, Fetch, FetchEvent, FetchSlot, FetchedBatch, LogBounds, Reply,
    TopicDescription,
};
use crate::row_layout;

/// A batch is written when it has this many rows: large enough to be worth sorting, small enough to hold in a cache.
const BATCH_ROWS: usize = 10_000;
/// Or when its keys and values have this many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// Records taken from the fetch at a time.
const POLL_RECORDS: usize = 4096;
/// Batches written in one step, so that a new task or a cancellation does not wait long.
const STEP_BATCHES: usize = 8;
/// Wait before a question is asked again.
const RETRY_MS: i64 = 100;

/// What a restorer needs to know. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct RestorerConfig {
    /// `task.timeout.ms`.
    pub task_timeout_ms: i64,
    /// Age of a store's last commit beyond which tombstones of its compacted changelog may be gone (rule S6), for
    /// changelogs that do not tell their `delete.retention.ms`.
    pub max_age_ms: i64,
}

/// Restores the stores of tasks. Driven by [`step`](Restorer::step); nothing in it waits.
pub struct Restorer<F: Fetch, A: Admin> {
    fetch: F,
    admin: A,
    config: RestorerConfig,
    tasks: BTreeMap<TaskId, Job>,
    events: VecDeque<RestoreEvent>,
}

/// What [`Restorer::step`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// Call again at once.
    Worked,
    /// Nothing to do before this time or a wake-up.
    IdleUntil(Option<i64>),
}

struct Job {
    stores: Vec<StoreJob>,
}

struct StoreJob {
    source: RestoreStore,
    backend: Option<Arc<dyn StoreBackend>>,
    stage: Stage,
    /// When the errors began that should pass.
    failing_since: Option<i64>,
}

enum Stage {
    /// Open the store, then ask.
    Open,
    /// Ask (again) at this time.
    Ask(i64),
    /// The changelog's id and bounds are asked for.
    Asked {
        describe: CallId,
        list: CallId,
        description: Option<TopicDescription>,
        bounds: Option<LogBounds>,
    },
    /// How long the changelog keeps tombstones is asked for, as there is something to read (rule S6).
    RetentionAsked {
        call: CallId,
        log: Log,
    },
    /// The end of the position's leader epoch is asked for (truncation check of rule S6).
    EpochAsked {
        call: CallId,
        log: Log,
    },
    Reading(Reading),
    Done(StorePosition),
}

/// What the cluster says of a changelog.
#[derive(Clone, Copy)]
struct Log {
    topic_id: TopicId,
    bounds: LogBounds,
    /// How old a store's last commit may be.
    max_age_ms: i64,
}

struct Reading {
    slot: FetchSlot,
    topic_id: TopicId,
    codec: Box<dyn RestoreCodec>,
    /// How the rows lie, for the position.
    row_layout: (String, Vec<u8>),
    rows: Rows,
    /// The next offset to read.
    next: i64,
    end: i64,
    records: u64,
    batch_records: u64,
    leader_epoch: i32,
    /// Since when the last stable offset has kept us below the end: a dead writer's transaction is open.
    stalled_since: Option<i64>,
}

impl<F: Fetch, A: Admin> Restorer<F, A> {
    /// A restorer with nothing to do.
    pub fn new(fetch: F, admin: A, config: RestorerConfig) -> Self {
        Restorer { fetch, admin, config, tasks: BTreeMap::new(), events: VecDeque::new() }
    }

    /// Begins to restore a task.
    pub fn submit(&mut self, task: RestoreTask) {
        let job = |source| StoreJob { source, backend: None, stage: Stage::Open, failing_since: None };
        self.tasks.insert(task.task, Job { stores: task.stores.into_iter().map(job).collect() });
    }

    /// Gives up the restore of a task: what was committed stays, its stores are closed.
    pub fn cancel(&mut self, task: TaskId) {
        if let Some(job) = self.tasks.remove(&task) {
            self.release(job);
        }
        self.events.push_back(RestoreEvent::Cancelled { task });
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<RestoreEvent> {
        self.events.pop_front()
    }

    /// Goes on with all tasks. `now` is the wall-clock time in milliseconds.
    pub fn step(&mut self, now: i64) -> StepResult {
        let mut worked = false;
        while let Some((call, reply)) = self.admin.poll() {
            worked = true;
            self.on_reply(call, reply, now);
        }
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        let mut deadline = None;
        for id in ids {
            match self.step_task(id, now) {
                Ok(StepResult::Worked) => worked = true,
                Ok(StepResult::IdleUntil(at)) => deadline = earliest(deadline, at),
                Err(error) => {
                    worked = true;
                    self.events.push_back(RestoreEvent::Failed { task: id, error });
                }
            }
        }
        if worked { StepResult::Worked } else { StepResult::IdleUntil(deadline) }
    }

    fn step_task(&mut self, id: TaskId, now: i64) -> Result<StepResult, RestoreError> {
        let Some(mut job) = self.tasks.remove(&id) else { return Ok(StepResult::IdleUntil(None)) };
        let mut result = StepResult::IdleUntil(None);
        for store in &mut job.stores {
            match self.step_store(id, store, now) {
                Ok(StepResult::Worked) => result = StepResult::Worked,
                Ok(StepResult::IdleUntil(at)) => {
                    if let StepResult::IdleUntil(deadline) = result {
                        result = StepResult::IdleUntil(earliest(deadline, at));
                    }
                }
                Err(error) => {
                    self.release(job);
                    return Err(error);
                }
            }
        }
        let restored = |store: &StoreJob| match (&store.stage, &store.backend) {
            (Stage::Done(position), Some(backend)) => {
                Some(RestoredStore { backend: backend.clone(), position: position.clone() })
            }
            _ => None,
        };
        match job.stores.iter().map(restored).collect::<Option<Vec<_>>>() {
            Some(stores) => {
                self.events.push_back(RestoreEvent::Completed { task: id, stores });
                Ok(StepResult::Worked)
            }
            None => {
                self.tasks.insert(id, job);
                Ok(result)
            }
        }
    }

    fn step_store(&mut self, id: TaskId, store: &mut StoreJob, now: i64) -> Result<StepResult, RestoreError> {
        match &mut store.stage {
            Stage::Open => {
                let backend = open(id, &store.source)?;
                check_layout(id, &store.source, &*backend)?;
                store.stage = match &store.source.changelog {
                    Some(_) => Stage::Ask(now),
                    None => Stage::Done(
                        backend.position().unwrap_or_else(|| start_of(id, TopicId::nil(), &store.source.spec)),
                    ),
                };
                store.backend = Some(backend);
                Ok(StepResult::Worked)
            }
            // A time that lies further ahead was noted before the clock was set back.
            Stage::Ask(at) if (now + 1..=now + RETRY_MS).contains(at) => Ok(StepResult::IdleUntil(Some(*at))),
            Stage::Ask(_) => {
                if let Some(changelog) = &store.source.changelog {
                    let describe = self.admin.call(Call::DescribeTopics(vec![changelog.topic.clone()]));
                    let list = self.admin.call(Call::ListOffsets(vec![changelog.clone()]));
                    store.stage = Stage::Asked { describe, list, description: None, bounds: None };
                }
                Ok(StepResult::Worked)
            }
            Stage::Asked { .. } | Stage::RetentionAsked { .. } | Stage::EpochAsked { .. } => {
                Ok(StepResult::IdleUntil(None))
            }
            Stage::Reading(_) => self.read(id, store, now),
            Stage::Done(_) => Ok(StepResult::IdleUntil(None)),
        }
    }

    fn on_reply(&mut self, call: CallId, reply: Reply, now: i64) {
        let asked_by = |store: &StoreJob| match &store.stage {
            Stage::Asked { describe, list, .. } => *describe == call || *list == call,
            Stage::RetentionAsked { call: asked, .. } | Stage::EpochAsked { call: asked, .. } => *asked == call,
            _ => false,
        };
        let found = self.tasks.iter().find_map(|(id, job)| Some((*id, job.stores.iter().position(asked_by)?)));
        let Some((id, index)) = found else { return };
        let Some(mut job) = self.tasks.remove(&id) else { return };
        let outcome = match job.stores.get_mut(index) {
            Some(store) => self.on_answer(id, store, reply, now),
            None => Ok(()),
        };
        match outcome {
            Ok(()) => {
                self.tasks.insert(id, job);
            }
            Err(error) => {
                self.release(job);
                self.events.push_back(RestoreEvent::Failed { task: id, error });
            }
        }
    }

    fn on_answer(&mut self, id: TaskId, store: &mut StoreJob, reply: Reply, now: i64) -> Result<(), RestoreError> {
        let Some(changelog) = store.source.changelog.clone() else { return Ok(()) };
        let missing =
            || RestoreError::NoChangelog { store: store.source.spec.name.clone(), changelog: changelog.clone() };
        match (&mut store.stage, reply) {
            (Stage::Asked { description, .. }, Reply::DescribeTopics(Ok(topics))) => {
                match topics.into_iter().next().flatten() {
                    Some(found) if found.partitions > changelog.partition => *description = Some(found),
                    _ => return Err(missing()),
                }
            }
            (Stage::Asked { bounds, .. }, Reply::ListOffsets(Ok(all))) => *bounds = all.first().copied(),
            (Stage::RetentionAsked { log, .. }, Reply::DeleteRetention(retention)) => {
                // Who may not read a topic's settings goes by the application's own.
                let max_age_ms = retention.ok().flatten().unwrap_or(log.max_age_ms);
                let log = Log { max_age_ms, ..*log };
                return self.check_epoch(id, store, changelog, log, now);
            }
            (Stage::EpochAsked { log, .. }, Reply::EpochEnd(Ok(ends))) => {
                let log = *log;
                let truncated = match (ends.first().copied().flatten(), position_of(store)) {
                    (Some(end), Some(position)) => position.offset >= end,
                    _ => false,
                };
                return self.begin(id, store, log, truncated, now);
            }
            (_, Reply::DescribeTopics(Err(error)) | Reply::ListOffsets(Err(error)) | Reply::EpochEnd(Err(error))) => {
                return self.retry(store, error, now);
            }
            _ => {}
        }
        if let Stage::Asked { description: Some(description), bounds: Some(bounds), .. } = &store.stage {
            let log = Log { topic_id: description.id, bounds: *bounds, max_age_ms: self.config.max_age_ms };
            store.failing_since = None;
            if position_of(store).is_some_and(|position| position.next_offset() < log.bounds.end) {
                let call = self.admin.call(Call::DeleteRetention(changelog.topic));
                store.stage = Stage::RetentionAsked { call, log };
                return Ok(());
            }
            return self.check_epoch(id, store, changelog, log, now);
        }
        Ok(())
    }

    /// Asks for the end of the position's leader epoch, where that can tell whether the store can be kept.
    fn check_epoch(
        &mut self,
        id: TaskId,
        store: &mut StoreJob,
        changelog: TopicPartition,
        log: Log,
        now: i64,
    ) -> Result<(), RestoreError> {
        match position_of(store) {
            Some(position) if position.leader_epoch >= 0 && keep(&position, log, now).is_ok() => {
                let call = self.admin.call(Call::EpochEnd(vec![(changelog, position.leader_epoch)]));
                store.stage = Stage::EpochAsked { call, log };
                Ok(())
            }
            _ => self.begin(id, store, log, false, now),
        }
    }

    /// Decides by rule S6 what of the store can be kept, and begins to read after it.
    fn begin(
        &mut self,
        id: TaskId,
        store: &mut StoreJob,
        log: Log,
        truncated: bool,
        now: i64,
    ) -> Result<(), RestoreError> {
        let Log { topic_id, bounds, .. } = log;
        let (Some(changelog), Some(backend)) = (store.source.changelog.clone(), store.backend.clone()) else {
            return Ok(());
        };
        let end = store.source.limit.map_or(bounds.end, |limit| limit.min(bounds.end));
        let kept = match backend.position() {
            None => None,
            Some(_) if truncated => Some(Err("its changelog was truncated: the leader epoch ends before its position")),
            Some(position) => Some(keep(&position, log, now).map(|()| position)),
        };
        let next = match kept {
            Some(Ok(position)) => position.next_offset(),
            Some(Err(reason)) => {
                tracing::warn!(task = %id, store = %store.source.spec.name, %changelog, reason, "store is wiped and restored from its topic (S6)");
                backend.wipe().map_err(|error| of_store(store, error))?;
                bounds.start
            }
            None => bounds.start,
        };
        let mut reading = Reading {
            slot: FetchSlot(u64::MAX),
            topic_id,
            codec: store.source.spec.restore_codec(),
            row_layout: row_layout::extension(&store.source.spec),
            rows: Rows::default(),
            next,
            end,
            records: 0,
            batch_records: 0,
            leader_epoch: -1,
            stalled_since: None,
        };
        reading.codec.resume(&backend).map_err(|error| of_store(store, error))?;
        if next < end {
            match self.fetch.assign(&changelog, next) {
                Ok(slot) => reading.slot = slot,
                Err(error) => return self.retry(store, error, now),
            }
            let name = store.source.spec.name.clone();
            self.events.push_back(RestoreEvent::Started { task: id, store: name, changelog, from: next, end });
        }
        store.stage = Stage::Reading(reading);
        Ok(())
    }

    /// Reads on; ends by position, never by "last record seen" (rule C8).
    fn read(&mut self, id: TaskId, store: &mut StoreJob, now: i64) -> Result<StepResult, RestoreError> {
        let (Some(changelog), Some(backend)) = (store.source.changelog.clone(), store.backend.clone()) else {
            return Ok(StepResult::IdleUntil(None));
        };
        let name = store.source.spec.name.clone();
        let store_error = |error| RestoreError::Store { store: name.clone(), error };
        let Stage::Reading(reading) = &mut store.stage else { return Ok(StepResult::IdleUntil(None)) };
        let mut batches = 0;
        while reading.next < reading.end && batches < STEP_BATCHES {
            match self.fetch.poll(reading.slot, POLL_RECORDS) {
                Some(FetchEvent::Batch(batch)) => {
                    store.failing_since = None;
                    reading.take(&batch).map_err(store_error)?;
                }
                Some(FetchEvent::End { next_offset }) => {
                    reading.next = reading.next.max(next_offset);
                    if reading.next < reading.end {
                        reading.stalled(id, &name, &changelog, now);
                    }
                }
                Some(FetchEvent::OutOfRange) => {
                    tracing::warn!(task = %id, store = %name, %changelog, "the changelog moved under the restore; asking again");
                    self.fetch.unassign(reading.slot);
                    store.stage = Stage::Ask(now + RETRY_MS);
                    return Ok(StepResult::Worked);
                }
                Some(FetchEvent::Failed(error)) => {
                    self.fetch.unassign(reading.slot);
                    self.retry(store, error, now)?;
                    return Ok(StepResult::Worked);
                }
                None => break,
            }
            if reading.rows.len() >= BATCH_ROWS || reading.rows.bytes() >= BATCH_BYTES {
                batches += 1;
                let event = reading.write(id, &name, &changelog, &*backend, now).map_err(store_error)?;
                self.events.push_back(event);
            }
        }
        if reading.next < reading.end {
            let wait = reading.stalled_since.map(|_| now + 1000);
            return Ok(if batches > 0 { StepResult::Worked } else { StepResult::IdleUntil(wait) });
        }
        if reading.slot != FetchSlot(u64::MAX) {
            self.fetch.unassign(reading.slot);
        }
        // S4: after a restore N is the end − 1, even if that is a control record.
        reading.next = reading.end.max(reading.next);
        if reading.slot != FetchSlot(u64::MAX) || backend.position().is_none() {
            let event = reading.write(id, &name, &changelog, &*backend, now).map_err(store_error)?;
            self.events.push_back(event);
            backend.sync().map_err(store_error)?;
            let records = reading.records;
            self.events.push_back(RestoreEvent::Ended { task: id, store: name.clone(), changelog, records });
        }
        let position = backend.position().unwrap_or_else(|| start_of(id, reading.topic_id, &store.source.spec));
        store.stage = Stage::Done(position);
        Ok(StepResult::Worked)
    }

    fn retry(&mut self, store: &mut StoreJob, error: BrokerError, now: i64) -> Result<(), RestoreError> {
        let since = *store.failing_since.get_or_insert(now);
        let passes = matches!(error.kind, BrokerErrorKind::Retriable | BrokerErrorKind::UnknownTopic);
        if !passes || now - since > self.config.task_timeout_ms {
            return Err(RestoreError::Broker(error));
        }
        store.stage = Stage::Ask(now + RETRY_MS);
        Ok(())
    }

    fn release(&mut self, job: Job) {
        for store in job.stores {
            if let Stage::Reading(Reading { slot, .. }) = store.stage
                && slot != FetchSlot(u64::MAX)
            {
                self.fetch.unassign(slot);
            }
        }
    }
}

impl Reading {
    fn take(&mut self, batch: &impl FetchedBatch) -> Result<(), StoreError> {
        for index in 0..batch.len() {
            let record = batch.record(index);
            if record.offset >= self.end {
                self.next = self.end;
                return Ok(());
            }
            let rows = &mut self.rows;
            self.codec.rows(&record, &mut |key, value| {
                rows.push(key, value);
                Ok(())
            })?;
            self.next = record.offset + 1;
            self.leader_epoch = batch.leader_epoch(index);
            self.records += 1;
            self.batch_records += 1;
        }
        self.stalled_since = None;
        Ok(())
    }

    fn write(
        &mut self,
        task: TaskId,
        store: &Arc<str>,
        changelog: &TopicPartition,
        backend: &dyn StoreBackend,
        now: i64,
    ) -> Result<RestoreEvent, StoreError> {
        let position = StorePosition {
            topic_id: self.topic_id,
            partition: changelog.partition,
            offset: self.next - 1,
            leader_epoch: self.leader_epoch,
            committed_at: now,
            extensions: vec![self.row_layout.clone()],
        };
        self.rows.write(backend, &position, &self.codec.take_deleted_ranges())?;
        let records = std::mem::take(&mut self.batch_records);
        let (store, changelog) = (store.clone(), changelog.clone());
        Ok(RestoreEvent::Batch { task, store, changelog, offset: position.offset, records })
    }

    fn stalled(&mut self, task: TaskId, store: &Arc<str>, changelog: &TopicPartition, now: i64) {
        if self.stalled_since.is_none() {
            self.stalled_since = Some(now);
            let (next, end) = (self.next, self.end);
            tracing::info!(%task, %store, %changelog, next, end, "waiting for an open transaction of a dead writer to end");
        }
    }
}

fn open(task: TaskId, source: &RestoreStore) -> Result<Arc<dyn StoreBackend>, RestoreError> {
    let name = &source.spec.name;
    let store_error = |error| RestoreError::Store { store: name.clone(), error };
    match source.changelog {
        Some(_) => open_store(task, &source.spec, &*source.backends).map_err(store_error),
        None => source.backends.open(task, name).map_err(store_error),
    }
}

/// Opens a store that can be restored: one that cannot be read is wiped (rule S6).
pub(crate) fn open_store(
    task: TaskId,
    spec: &StoreSpec,
    backends: &dyn StoreBackends,
) -> Result<Arc<dyn StoreBackend>, StoreError> {
    match backends.open(task, &spec.name) {
        Err(error @ (StoreError::Unreadable { .. } | StoreError::UnknownFormat { .. })) => {
            tracing::warn!(%task, store = %spec.name, %error, "store is wiped and restored from its topic (S6)");
            backends.destroy(task, &spec.name)?;
            backends.open(task, &spec.name)
        }
        opened => opened,
    }
}

/// Rule S6: a store whose rows lie otherwise than it is declared now is wiped, if a changelog can bring it back.
fn check_layout(task: TaskId, source: &RestoreStore, backend: &dyn StoreBackend) -> Result<(), RestoreError> {
    let spec = &source.spec;
    let Some(position) = backend.position().filter(|position| !row_layout::fits(position, spec)) else {
        return Ok(());
    };
    let (found, declared) = (row_layout::noted(&position), spec.row_layout());
    let checked = match (&source.changelog, found) {
        (Some(_), found) => {
            tracing::warn!(%task, store = %spec.name, found, declared, "the store's rows lie otherwise than it is declared now; it is wiped and restored from its topic (S6)");
            backend.wipe()
        }
        (None, Some(found)) => Err(StoreError::OtherLayout { found, declared }),
        (None, None) => Ok(()),
    };
    checked.map_err(|error| RestoreError::Store { store: spec.name.clone(), error })
}

/// Rule S6: `Err` tells why the store cannot be kept.
fn keep(position: &StorePosition, log: Log, now: i64) -> Result<(), &'static str> {
    let Log { topic_id, bounds, max_age_ms } = log;
    if position.topic_id != topic_id {
        Err("its changelog was deleted and made anew: the topic id differs")
    } else if position.next_offset() < bounds.start {
        Err("its changelog begins after its position: records were deleted that it has not seen")
    } else if position.offset >= bounds.end {
        Err("its changelog ends before its position: it was truncated or is another one")
    } else if position.next_offset() < bounds.end && now - position.committed_at > max_age_ms {
        Err("its last commit is older than delete.retention.ms: deletions may have been compacted away")
    } else {
        Ok(())
    }
}

fn position_of(store: &StoreJob) -> Option<StorePosition> {
    store.backend.as_ref().and_then(|backend| backend.position())
}

fn start_of(task: TaskId, topic_id: TopicId, spec: &StoreSpec) -> StorePosition {
    StorePosition {
        topic_id,
        partition: task.partition,
        offset: -1,
        leader_epoch: -1,
        committed_at: 0,
        extensions: vec![row_layout::extension(spec)],
    }
}

fn of_store(store: &StoreJob, error: StoreError) -> RestoreError {
    RestoreError::Store { store: store.source.spec.name.clone(), error }
}
