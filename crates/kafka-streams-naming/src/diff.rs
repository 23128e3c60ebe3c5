//! What a deploy changes: two manifests compared, each change in one of five classes, with what it does and what to do.
//!
//! | class | example | stops processing | loses state | leaks topics |
//! |---|---|---|---|---|
//! | [`Stateless`](ChangeClass::Stateless) | a `peek` was put in | no | no | no |
//! | [`Renamed`](ChangeClass::Renamed) | an unnamed aggregation was renumbered | no | yes, if it owns a store | yes |
//! | [`Added`](ChangeClass::Added) | a new `count` | no | no | no |
//! | [`Removed`](ChangeClass::Removed) | a `count` was taken out | no | what the store held | yes |
//! | [`Changed`](ChangeClass::Changed) | a store's values get another serde | yes | unless it is migrated | possibly |
//!
//! Nodes, stores and topics of the two versions are found in one another as for pinned names: by their names where the
//! user gave them, else by structure. So a renumbering is told from a removal beside an addition.

mod compare;
mod output;

use std::fmt;

use serde::Serialize;

use crate::{Manifest, TopicRef};

/// The changes from one manifest to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The worst of the changes.
    pub verdict: Verdict,
    /// The changes, the worst first.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// How much it asks for.
    pub verdict: Verdict,
    /// Its class.
    pub class: ChangeClass,
    /// What it is about: `store counts`.
    pub subject: String,
    /// What is different.
    pub what: String,
    /// Whether tasks stop, or fail to start.
    pub stops_processing: Answer,
    /// Whether what stores hold, or records on their way, are lost.
    pub loses_state: Answer,
    /// Whether topics stay behind that nobody reads.
    pub leaks_topics: Answer,
    /// The topics that stay behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leaked: Vec<TopicRef>,
    /// What to do about it.
    pub action: String,
}

/// The class of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeClass {
    /// Operators without a store were added, removed, moved or renumbered.
    Stateless,
    /// What owns a store or a topic has another name.
    Renamed,
    /// A store, an internal topic, an input or an output is new.
    Added,
    /// A store, an internal topic, an input or an output is gone.
    Removed,
    /// A store, an internal topic, an input or an output is used in another way.
    Changed,
}

/// Whether something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It does not.
    No,
    /// It depends on what the manifests do not tell; the action says on what.
    Possibly,
    /// It does.
    Yes,
}

/// How much a change asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is different.
    Same,
    /// Roll out as usual.
    Harmless,
    /// Read the change before rolling out.
    NeedsThought,
    /// Rolling out loses state.
    LosesState,
}

impl Verdict {
    /// What a program that compares manifests exits with: 0, 1, 2, 3. (4 is for its own errors.)
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Same => 0,
            Verdict::Harmless => 1,
            Verdict::NeedsThought => 2,
            Verdict::LosesState => 3,
        }
    }
}

/// Compares two versions of a topology.
///
/// ```
/// use kafka_streams_naming::{Manifest, Verdict, diff};
/// let manifest = Manifest::new(None);
/// assert_eq!(diff(&manifest, &manifest).verdict, Verdict::Same);
/// ```
pub fn diff(old: &Manifest, new: &Manifest) -> Diff {
    let mut changes = compare::changes(old, new);
    changes.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.class.cmp(&b.class)));
    let verdict = changes.first().map_or(Verdict::Same, |change| change.verdict);
    Diff { verdict, changes }
}

impl Change {
    /// A change that does nothing of the three.
    fn new(class: ChangeClass, verdict: Verdict, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Change {
            verdict,
            class,
            subject: subject.into(),
            what: what.into(),
            stops_processing: Answer::No,
            loses_state: Answer::No,
            leaks_topics: Answer::No,
            leaked: Vec::new(),
            action: String::new(),
        }
    }

    fn stops(mut self, answer: Answer) -> Self {
        self.stops_processing = answer;
        self
    }

    fn loses(mut self, answer: Answer) -> Self {
        self.loses_state = answer;
        self
    }

    /// Leaves these topics behind.
    fn leaks(mut self, topics: impl IntoIterator<Item = TopicRef>) -> Self {
        self.leaked.extend(topics);
        if !self.leaked.is_empty() {
            self.leaks_topics = Answer::Yes;
        }
        self
    }

    fn action(mut self, action: impl Into<String>) -> Self {
        self.action = action.into();
        self
    }
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChangeClass::Stateless => "stateless",
            ChangeClass::Renamed => "renamed",
            ChangeClass::Added => "added",
            ChangeClass::Removed => "removed",
            ChangeClass::Changed => "changed",
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Answer::No => "no",
            Answer::Possibly => "possibly",
            Answer::Yes => "yes",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Same => "same",
            Verdict::Harmless => "harmless",
            Verdict::NeedsThought => "needs thought",
            Verdict::LosesState => "loses state",
        })
    }
}
