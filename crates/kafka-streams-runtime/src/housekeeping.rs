//! What an instance does now and then: removing the folders of unused tasks, and watching the source topics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use kafka_streams_engine::port::BrokerError;

use crate::StreamsError;
use crate::application::Application;
use crate::clock::now_ms;
use crate::leader::{matching, partition_counts};
use crate::port::Clients;
use crate::state_directory::Cleaner;
use crate::stream_thread::ThreadCommand;

/// How often the thread looks around; what it does has its own, longer intervals.
const TICK: Duration = Duration::from_secs(1);

/// The housekeeping thread. Ends when this is dropped.
pub(crate) struct Housekeeping {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    pub(crate) fn start<C: Clients>(application: Arc<Application<C>>) -> Result<Self, StreamsError> {
        let (stop, stopped) = mpsc::channel();
        let delay_ms = i64::try_from(application.settings.state_cleanup_delay.as_millis()).unwrap_or(i64::MAX);
        let metadata_ms =
            i64::try_from(application.settings.administration(&application.ids).metadata_max_age.as_millis());
        let metadata_ms = metadata_ms.unwrap_or(i64::MAX).max(1000);
        let body = move || {
            let (mut cleaner, mut looked) = (Cleaner::default(), now_ms());
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let now = now_ms();
                if let Some(directory) = &application.directory {
                    cleaner.run(directory, &application.task_offsets, delay_ms, now);
                }
                if now - looked >= metadata_ms {
                    looked = now;
                    watch_source_topics(&application);
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("state-cleaner".to_owned()).spawn(body).map_err(StreamsError::Thread)?;
        Ok(Housekeeping { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Makes the group rebalance when the source topics are not what its tasks were made from: the leader then makes new
/// tasks, or tells everybody what is missing.
fn watch_source_topics<C: Clients>(application: &Application<C>) {
    let Some(planned) = application.findings.source_topics() else { return };
    let prefix = format!("{}-", application.settings.application_id);
    let names: Vec<Arc<str>> = planned.keys().filter(|name| !name.starts_with(&prefix)).cloned().collect();
    let by_pattern = application.topology.source_patterns().next().is_some();
    if names.is_empty() && !by_pattern {
        return;
    }
    let look = async {
        let mut present = partition_counts(application.cluster.describe_topics(&names).await?);
        if by_pattern {
            let all = application.cluster.list_topics().await?;
            present.extend(matching(&application.topology, &application.settings.application_id, all));
        }
        Ok::<_, BrokerError>(present)
    };
    match application.handle.block_on(look) {
        Ok(present) => {
            let known = names.iter().chain(present.keys()).collect::<BTreeSet<_>>().into_iter();
            let changed: Vec<&str> =
                known.filter(|name| planned.get(*name) != present.get(*name)).map(|name| &**name).collect();
            if !changed.is_empty() {
                let reason = format!("source topics changed: {}", changed.join(", "));
                tracing::info!(reason, "rebalancing");
                application.tell_threads(&ThreadCommand::Rejoin(reason));
            }
        }
        Err(error) => tracing::debug!(%error, "source topics not looked at"),
    }
}
