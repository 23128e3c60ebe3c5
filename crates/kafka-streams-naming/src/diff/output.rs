//! A diff for people, for programs, and for the pages of a pull request.

use std::fmt;

use super::{Change, Diff, Verdict};

impl Diff {
    /// The diff as JSON; ends with a line break.
    pub fn to_json(&self) -> String {
        // Texts and names of variants only: nothing in it can be refused.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The diff as workflow commands of GitHub Actions, one line each, which show it at `file` in a pull request: an
    /// error where state is lost, a warning where thought is needed, else a notice.
    pub fn to_github_annotations(&self, file: &str) -> String {
        let annotation = |change: &Change| {
            let level = match change.verdict {
                Verdict::LosesState => "error",
                Verdict::NeedsThought => "warning",
                Verdict::Harmless | Verdict::Same => "notice",
            };
            let title = format!("{} ({}): {}", change.verdict, change.class, change.subject);
            let message = format!("{}\n{}\n{}", change.what, answers(change), change.action);
            format!("::{level} file={},title={}::{}\n", property(file), property(&title), data(message.trim_end()))
        };
        self.changes.iter().map(annotation).collect()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return writeln!(f, "no difference");
        }
        let count = self.changes.len();
        writeln!(f, "{count} change{}, verdict: {}", if count == 1 { "" } else { "s" }, self.verdict)?;
        self.changes.iter().try_for_each(|change| write!(f, "\n{change}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[{}] {}: {}", self.verdict, self.class, self.subject)?;
        writeln!(f, "    {}", self.what)?;
        writeln!(f, "    {}", answers(self))?;
        match self.action.is_empty() {
            true => Ok(()),
            false => writeln!(f, "    -> {}", self.action),
        }
    }
}

fn answers(change: &Change) -> String {
    let mut text = format!(
        "stops processing: {}, loses state: {}, leaks topics: {}",
        change.stops_processing, change.loses_state, change.leaks_topics
    );
    if !change.leaked.is_empty() {
        let topics: Vec<String> = change.leaked.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" ({})", topics.join(", ")));
    }
    text
}

/// The text of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
