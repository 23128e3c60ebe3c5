//! Signals that ask a process to stop.

/// Ready when the process is asked to stop: by SIGTERM or SIGINT (Ctrl-C).
///
/// To be passed to [`KafkaStreams::run_until`](crate::KafkaStreams::run_until). Must be awaited within tokio.
pub async fn ctrl_c() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
