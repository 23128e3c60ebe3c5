//! Stores of two versions: kept, renamed, added, removed, changed.

use std::collections::BTreeSet;

use super::{Comparison, naming_advice};
use crate::diff::{Answer, Change, ChangeClass, Verdict};
use crate::{ChangelogEntry, StoreEntry, TopicRef};

impl Comparison<'_, '_> {
    pub(super) fn stores(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for store in &self.new.stores {
            let matched = self.matching.stores.get(store.name.as_str()).and_then(|name| self.old.store(name));
            let namesake = self.old.store(&store.name);
            match (matched, namesake) {
                (Some(before), _) if before.name == store.name => changes.extend(compare(before, store)),
                (Some(before), _) => {
                    changes.push(self.renamed(before, store, namesake));
                    changes.extend(compare(before, store));
                }
                (None, Some(namesake)) => changes.push(self.taken_over(namesake, store)),
                (None, None) => changes.push(added(store)),
            }
        }
        let kept: BTreeSet<&str> = self.matching.stores.values().copied().collect();
        let gone = |store: &&StoreEntry| !kept.contains(store.name.as_str()) && self.new.store(&store.name).is_none();
        changes.extend(self.old.stores.iter().filter(gone).map(removed));
        changes
    }

    fn renamed(&self, before: &StoreEntry, store: &StoreEntry, namesake: Option<&StoreEntry>) -> Change {
        let subject = format!("store {}", before.name);
        let mut what = format!("is called {} now", store.name);
        if is_copy(before) && is_copy(store) {
            what.push_str("; it is a copy of its topic, and is made anew");
            let change = Change::new(ChangeClass::Renamed, Verdict::NeedsThought, subject, what);
            return change.action("roll out as usual; whoever asks the store by its name must follow");
        }
        if namesake.is_some() {
            what.push_str(", the name that another store had: it would be restored from that one's changelog");
        } else if store.changelog.is_some() {
            what.push_str(", so it has another changelog and starts empty");
        }
        let left = own_topic(before).filter(|_| self.new.store(&before.name).is_none());
        let stops = if namesake.is_some() { Answer::Possibly } else { Answer::No };
        let advice = naming_advice(&store.name);
        Change::new(ChangeClass::Renamed, Verdict::LosesState, subject, what)
            .stops(stops)
            .loses(Answer::Yes)
            .leaks(left)
            .action(format!(
                "{advice}. If the new name is wanted, let both stores run side by side until the new one holds what the \
                 old one does, then take the old one out"
            ))
    }

    /// A store that has the name of an old one and is not where that one was.
    fn taken_over(&self, namesake: &StoreEntry, store: &StoreEntry) -> Change {
        let subject = format!("store {}", store.name);
        let elsewhere = self.matching.stores.iter().find(|(_, old)| **old == store.name).map(|(new, _)| *new);
        let (verdict, loses, what) = match elsewhere {
            Some(now) => (
                Verdict::LosesState,
                Answer::Yes,
                format!(
                    "is new, but has the name of the store that is called {now} now: it would be restored from that \
                     one's changelog"
                ),
            ),
            None => (
                Verdict::NeedsThought,
                Answer::Possibly,
                "is used in another place of the topology; it goes on from what it held there".to_owned(),
            ),
        };
        let differs = compare(namesake, store);
        let worst = differs.iter().map(|change| change.verdict).max().unwrap_or(verdict).max(verdict);
        let stops = differs.iter().map(|change| change.stops_processing).max().unwrap_or(Answer::No);
        let change = Change::new(ChangeClass::Renamed, worst, subject, what).stops(stops).loses(loses);
        change.action("if it is another store, give it a name that no version had")
    }
}

fn added(store: &StoreEntry) -> Change {
    let what = match &store.changelog {
        Some(changelog) if changelog.topic.internal => format!("is new, with the changelog {}", changelog.topic),
        Some(changelog) => format!("is new; it is restored from {}", changelog.topic),
        None => "is new, without a changelog".to_owned(),
    };
    let subject = format!("store {} ({})", store.name, store.kind);
    let action = "roll out as usual. The store begins empty: records before the committed offsets are not read for it, \
                  so results are partial until it has seen what it needs";
    Change::new(ChangeClass::Added, Verdict::NeedsThought, subject, what).action(action)
}

fn removed(store: &StoreEntry) -> Change {
    let subject = format!("store {} ({})", store.name, store.kind);
    if is_copy(store) {
        let what = "is gone; it was a copy of its topic, which stays";
        return Change::new(ChangeClass::Removed, Verdict::NeedsThought, subject, what).action("roll out as usual");
    }
    Change::new(ChangeClass::Removed, Verdict::LosesState, subject, "is gone, and with it what it held")
        .loses(Answer::Yes)
        .leaks(own_topic(store))
        .action(
            "if that is wanted, roll out, and delete the topic by hand once no instance of the old version runs and \
             nobody wants to go back",
        )
}

/// Whether all that it holds is in a topic that others write.
fn is_copy(store: &StoreEntry) -> bool {
    store.global || store.changelog.as_ref().is_some_and(|changelog| !changelog.topic.internal)
}

fn own_topic(store: &StoreEntry) -> Option<TopicRef> {
    store.changelog.as_ref().map(|changelog| changelog.topic.clone()).filter(|topic| topic.internal)
}

/// What is different about a store that is still there.
fn compare(before: &StoreEntry, after: &StoreEntry) -> Vec<Change> {
    let changes = [unreadable(before, after), kept_for(before, after), changelog(before, after), manner(before, after)];
    changes.into_iter().flatten().collect()
}

fn subject(store: &StoreEntry) -> String {
    format!("store {}", store.name)
}

/// Differences that make the old changelog unreadable.
fn unreadable(before: &StoreEntry, after: &StoreEntry) -> Option<Change> {
    let mut what = Vec::new();
    let mut note = |name: &str, before: String, after: String| {
        if before != after {
            what.push(format!("{name}: {before} -> {after}"));
        }
    };
    note("kind", before.kind.clone(), after.kind.clone());
    note("key serde", serde_text(&before.key_serde), serde_text(&after.key_serde));
    note("value serde", serde_text(&before.value_serde), serde_text(&after.value_serde));
    note("window size", ms_text(before.window_size_ms), ms_text(after.window_size_ms));
    note("duplicates kept", before.retain_duplicates.to_string(), after.retain_duplicates.to_string());
    note("global", before.global.to_string(), after.global.to_string());
    if what.is_empty() {
        return None;
    }
    let mut action = "what is in the changelog was written in the old way. Either the new serde reads the old bytes: then \
                      give it the old one's id; or give the store another name, and let both run side by side until the \
                      new one is filled"
        .to_owned();
    if [&before.value_serde, &after.value_serde, &before.key_serde, &after.key_serde].into_iter().any(is_custom) {
        action.push_str(
            ". An id that begins with `custom:` is made from the name of a type: if only that has changed, the bytes \
             are the same; implement `Serde::id`",
        );
    }
    let mut change = Change::new(ChangeClass::Changed, Verdict::LosesState, subject(after), what.join(", "))
        .stops(Answer::Yes)
        .loses(Answer::Yes)
        .action(action);
    change.leaks_topics = Answer::Possibly;
    Some(change)
}

/// Differences in how long things are kept and waited for.
fn kept_for(before: &StoreEntry, after: &StoreEntry) -> Option<Change> {
    let times = [
        ("retention", before.retention_ms, after.retention_ms),
        ("history", before.history_retention_ms, after.history_retention_ms),
        ("grace", before.grace_ms, after.grace_ms),
    ];
    let different: Vec<_> = times.into_iter().filter(|(_, before, after)| before != after).collect();
    let text = |(name, before, after): &(&str, Option<i64>, Option<i64>)| {
        format!("{name}: {} -> {}", ms_text(*before), ms_text(*after))
    };
    let what: Vec<String> = different.iter().map(text).collect();
    let kept = |name: &str| name != "grace";
    let shorter = different.iter().any(|(name, before, after)| kept(name) && after < before);
    let longer = different.iter().any(|(name, before, after)| kept(name) && after > before);
    let action = match (shorter, longer) {
        (true, _) => "what is older than the new time is deleted with the first records; that cannot be undone",
        (_, true) => {
            "existing changelogs keep their configuration: raise `retention.ms` of the topic by hand, or the longer time \
             does not survive a restore"
        }
        _ => "roll out as usual; which late records count is another question from now on",
    };
    let loses = if shorter { Answer::Possibly } else { Answer::No };
    let change = Change::new(ChangeClass::Changed, Verdict::NeedsThought, subject(after), what.join(", "));
    (!what.is_empty()).then(|| change.loses(loses).action(action))
}

/// Another changelog, or another configuration of it.
fn changelog(before: &StoreEntry, after: &StoreEntry) -> Option<Change> {
    let change = |class, what: String| Change::new(class, Verdict::NeedsThought, subject(after), what);
    let own = |log: &ChangelogEntry| Some(log.topic.clone()).filter(|topic| topic.internal);
    match (&before.changelog, &after.changelog) {
        (None, Some(log)) => {
            Some(change(ChangeClass::Added, format!("is logged to {} now", log.topic)).loses(Answer::Possibly).action(
                "what the store holds already is not in the changelog, and is lost with its directory or its next move",
            ))
        }
        (Some(log), None) => Some(
            change(ChangeClass::Removed, "is no longer logged".to_owned())
                .loses(Answer::Possibly)
                .leaks(own(log))
                .action("the store is lost with its directory, and whenever its task moves to another instance"),
        ),
        // Changelogs that are named after a renamed store have been reported with it.
        (Some(old), Some(new)) if old.topic != new.topic && !(old.topic.internal && new.topic.internal) => Some(
            change(ChangeClass::Changed, format!("is restored from {} and no longer from {}", new.topic, old.topic))
                .loses(Answer::Possibly)
                .leaks(own(old))
                .action("make sure that the new topic holds all that the old one does before the old one is given up"),
        ),
        (Some(old), Some(new)) if changed_config(old, new, before, after) => {
            Some(change(ChangeClass::Changed, "the configuration of the changelog is another one".to_owned()).action(
                "a topic that exists is not configured anew: alter it by hand, as `kafka-configs --alter` does",
            ))
        }
        _ => None,
    }
}

/// Whether the configuration differs by more than what follows from a difference that is reported itself.
fn changed_config(old: &ChangelogEntry, new: &ChangelogEntry, before: &StoreEntry, after: &StoreEntry) -> bool {
    let rest = |entry: &ChangelogEntry| {
        let mut config = entry.config.clone();
        if before.retention_ms != after.retention_ms {
            config.remove("retention.ms");
        }
        config
    };
    before.kind == after.kind && rest(old) != rest(new)
}

/// Differences in how a store works that touch none of its bytes on the broker.
fn manner(before: &StoreEntry, after: &StoreEntry) -> Option<Change> {
    let word = |holds: bool, yes: &'static str, no: &'static str| if holds { yes } else { no };
    let mut what = Vec::new();
    if before.persistent != after.persistent {
        what.push(word(after.persistent, "is kept on disk now", "is kept in memory now"));
    }
    if before.caching != after.caching {
        what.push(word(after.caching, "is cached now: fewer results", "is not cached any more: more results"));
    }
    if before.timestamped != after.timestamped {
        what.push(word(after.timestamped, "keeps timestamps now", "keeps no timestamps any more"));
    }
    if before.headers != after.headers {
        what.push(word(after.headers, "keeps headers now", "keeps no headers any more"));
    }
    let change = Change::new(ChangeClass::Changed, Verdict::NeedsThought, subject(after), what.join(", "));
    (!what.is_empty()).then(|| change.action("nothing on the broker changes; the store is restored where it has to be"))
}

/// A `?` says that nulls are values, too; it changes no bytes.
fn serde_text(serde: &Option<String>) -> String {
    serde.as_deref().map_or("unknown", |id| id.trim_end_matches('?')).to_owned()
}

fn is_custom(serde: &Option<String>) -> bool {
    serde.as_deref().is_some_and(|id| id.contains("custom:"))
}

fn ms_text(ms: Option<i64>) -> String {
    ms.map_or("none".to_owned(), |ms| format!("{ms} ms"))
}
