//! Progress of long steps: a spinner on a terminal, one plain line at the start and one at the end elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One step under way. Dropping it without [`Step::done`] means that it failed.
pub(crate) struct Step {
    what: String,
    began: Instant,
    spinner: Option<ProgressBar>,
    ended: bool,
}

impl Step {
    /// Says that `what` ("starting Kafka 4.3.0") begins.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        let spinner = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
                bar.set_style(style);
            }
            bar.set_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if spinner.is_none() {
            eprintln!("{what} …");
        }
        Step { what, began: Instant::now(), spinner, ended: false }
    }

    /// Says that it went well, with how long it took.
    pub(crate) fn done(mut self) -> Duration {
        let took = self.began.elapsed();
        self.end(&format!("{}: done in {}", self.what, seconds(took)));
        took
    }

    fn end(&mut self, line: &str) {
        self.ended = true;
        if let Some(bar) = self.spinner.take() {
            bar.finish_and_clear();
        }
        eprintln!("{line}");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            let line = format!("{}: failed after {}", self.what, seconds(self.began.elapsed()));
            self.end(&line);
        }
    }
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{whole} s"),
        _ => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_readable() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4 s");
        assert_eq!(seconds(Duration::from_millis(12_900)), "12 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }
}
