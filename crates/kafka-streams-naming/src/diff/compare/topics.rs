//! Topics of two versions: those between sub-topologies, those that are read and those that are written.

use std::collections::{BTreeMap, BTreeSet};

use super::{Comparison, naming_advice};
use crate::diff::{Answer, Change, ChangeClass, Verdict};
use crate::{Manifest, RepartitionEntry, SinkEntry, SourceEntry, TopicRef};

impl Comparison<'_, '_> {
    pub(super) fn repartition_topics(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for entry in &self.new.repartition_topics {
            let matched = self.matching.topics.get(entry.topic.name.as_str()).copied();
            match matched.and_then(|name| repartition(self.old, name)) {
                Some(before) => {
                    if before.topic != entry.topic {
                        changes.push(self.renamed_topic(before, entry));
                    }
                    changes.extend(self.changed_topic(before, entry));
                }
                None => changes.push(self.new_topic(entry)),
            }
        }
        let kept: BTreeSet<&str> = self.matching.topics.values().copied().collect();
        let gone = |entry: &&RepartitionEntry| {
            let name = entry.topic.name.as_str();
            !kept.contains(name) && repartition(self.new, name).is_none()
        };
        for entry in self.old.repartition_topics.iter().filter(gone) {
            let change = Change::new(ChangeClass::Removed, Verdict::NeedsThought, topic_text(&entry.topic), "is gone");
            changes.push(change.loses(Answer::Possibly).leaks([entry.topic.clone()]).action(DRAIN));
        }
        changes
    }

    fn new_topic(&self, entry: &RepartitionEntry) -> Change {
        let change = |class, what: &str| Change::new(class, Verdict::NeedsThought, topic_text(&entry.topic), what);
        match repartition(self.old, &entry.topic.name) {
            Some(_) => change(ChangeClass::Renamed, "carries other records than the topic of this name did")
                .stops(Answer::Possibly)
                .action("give it a name that no version had, or let the old version drain it first"),
            None => change(ChangeClass::Added, "is new").action(
                "roll out as usual. If it was put above a store that is there already, the store's keys are found in \
                 other partitions from now on",
            ),
        }
    }

    fn renamed_topic(&self, before: &RepartitionEntry, entry: &RepartitionEntry) -> Change {
        let still = repartition(self.new, &before.topic.name).is_some();
        let what = format!("is called {} now", entry.topic);
        Change::new(ChangeClass::Renamed, Verdict::NeedsThought, topic_text(&before.topic), what)
            .loses(Answer::Possibly)
            .leaks(Some(before.topic.clone()).filter(|_| !still))
            .action(format!("{}. {DRAIN}", naming_advice(&entry.topic.name)))
    }

    fn changed_topic(&self, before: &RepartitionEntry, entry: &RepartitionEntry) -> Vec<Change> {
        let change = |verdict, what: String| Change::new(ChangeClass::Changed, verdict, topic_text(&entry.topic), what);
        let mut changes = Vec::new();
        if before.partitions != entry.partitions {
            let text = |count: Option<i32>| count.map_or("as many as above".to_owned(), |count| count.to_string());
            let what = format!("partitions: {} -> {}", text(before.partitions), text(entry.partitions));
            changes.push(change(Verdict::NeedsThought, what).stops(Answer::Yes).loses(Answer::Possibly).action(
                "the number of partitions of a topic that exists is not changed, and the application does not start if \
                 it differs: take another name for the topic and for the stores below it",
            ));
        }
        if before.partition_by != entry.partition_by {
            let what = "records are given to partitions by another rule".to_owned();
            changes.push(change(Verdict::LosesState, what).loses(Answer::Yes).action(
                "the state of a key stays in its old partition: take another name for the topic and for the stores below \
                 it",
            ));
        }
        let (old, new) = (serdes_of(self.old, &before.topic), serdes_of(self.new, &entry.topic));
        if old != new {
            let action = format!("records in the topic were written in the old way. {DRAIN}");
            let change = change(Verdict::NeedsThought, format!("serdes: {old} -> {new}"));
            changes.push(change.stops(Answer::Possibly).action(action));
        }
        if before.config != entry.config {
            let what = "the configuration of the topic is another one".to_owned();
            let action = "a topic that exists is not configured anew: alter it by hand";
            changes.push(change(Verdict::NeedsThought, what).action(action));
        }
        changes
    }

    pub(super) fn sources(&self) -> Vec<Change> {
        let (old, new) = (outer_sources(self.old), outer_sources(self.new));
        let mut changes = Vec::new();
        let mut kept = BTreeSet::new();
        for source in &new {
            let matched = self.matching.nodes.get(source.name.as_str()).copied();
            let same_topics =
                |before: &&&SourceEntry| before.topics == source.topics && before.pattern == source.pattern;
            let before = old.iter().find(|before| matched == Some(before.name.as_str()));
            match before.or_else(|| old.iter().find(same_topics)) {
                Some(before) => {
                    kept.insert(before.name.as_str());
                    changes.extend(changed_source(before, source));
                }
                None => {
                    let subject = source_text(source);
                    let change = Change::new(ChangeClass::Added, Verdict::NeedsThought, subject, "is read now");
                    changes.push(change.action(
                        "there are no committed offsets yet: `auto.offset.reset`, or the source's own policy, says where \
                         to begin",
                    ));
                }
            }
        }
        for source in old.iter().filter(|source| !kept.contains(source.name.as_str())) {
            let what = "is no longer read";
            let change = Change::new(ChangeClass::Removed, Verdict::NeedsThought, source_text(source), what);
            changes.push(change.action(
                "its committed offsets stay in the group until they expire: if the topic is read again before that, \
                 reading goes on from there",
            ));
        }
        changes
    }

    pub(super) fn sinks(&self) -> Vec<Change> {
        let (old, new) = (outer_sinks(self.old), outer_sinks(self.new));
        let mut changes = Vec::new();
        let mut kept = BTreeSet::new();
        for sink in &new {
            let matched = self.matching.nodes.get(sink.name.as_str()).copied();
            match old.iter().find(|before| matched == Some(before.name.as_str())) {
                Some(before) => {
                    kept.insert(before.name.as_str());
                    changes.extend(changed_sink(before, sink));
                }
                None => changes.push(
                    Change::new(ChangeClass::Added, Verdict::NeedsThought, sink_text(sink), "is written now")
                        .action("the topic must exist, and the application must be allowed to write it"),
                ),
            }
        }
        for sink in old.iter().filter(|sink| !kept.contains(sink.name.as_str())) {
            let what = format!("is no longer written by node {}", sink.name);
            let change = Change::new(ChangeClass::Removed, Verdict::NeedsThought, sink_text(sink), what);
            changes.push(change.action("tell those who read the topic"));
        }
        changes
    }

    /// Topics that must have equal numbers of partitions from now on.
    pub(super) fn copartitions(&self) -> Vec<Change> {
        let known: BTreeMap<&str, &str> = self.matching.topics.iter().map(|(new, old)| (*new, *old)).collect();
        let old_name = |topic: &TopicRef| match known.get(topic.name.as_str()).filter(|_| topic.internal) {
            Some(old) => TopicRef::internal(*old),
            None => topic.clone(),
        };
        let before: BTreeSet<BTreeSet<TopicRef>> =
            self.old.copartitioned.iter().map(|group| group.iter().cloned().collect()).collect();
        let mut changes = Vec::new();
        for group in &self.new.copartitioned {
            if before.contains(&group.iter().map(old_name).collect()) {
                continue;
            }
            let subject = format!("topics {}", list(group));
            let what = "are joined now, and must have equal numbers of partitions";
            let change = Change::new(ChangeClass::Added, Verdict::NeedsThought, subject, what);
            changes.push(change.stops(Answer::Possibly).action("compare the numbers before rolling out"));
        }
        changes
    }
}

const DRAIN: &str = "Records that were sent to the old topic and not processed are lost: stop the input and let the old \
                     version work until the topic's lag is 0, then deploy";

fn repartition<'m>(manifest: &'m Manifest, name: &str) -> Option<&'m RepartitionEntry> {
    manifest.repartition_topics.iter().find(|entry| entry.topic.name == name)
}

fn outer_sources(manifest: &Manifest) -> Vec<&SourceEntry> {
    manifest.sources.iter().filter(|source| !source.topics.iter().any(|topic| topic.internal)).collect()
}

fn outer_sinks(manifest: &Manifest) -> Vec<&SinkEntry> {
    let internal = |sink: &SinkEntry| sink.topic.as_ref().is_some_and(|topic| topic.internal);
    manifest.sinks.iter().filter(|sink| !internal(sink)).collect()
}

fn changed_source(before: &SourceEntry, after: &SourceEntry) -> Option<Change> {
    let mut what = Vec::new();
    let (mut stops, mut loses) = (Answer::No, Answer::No);
    let mut action =
        "make sure that the new version can read what lies in the topics from the committed offsets on".to_owned();
    if before.topics != after.topics || before.pattern != after.pattern {
        what.push(format!("in place of {}", source_text(before)));
    }
    let serdes = |source: &SourceEntry| format!("{}, {}", plain(&source.key_serde), plain(&source.value_serde));
    if serdes(before) != serdes(after) {
        stops = Answer::Possibly;
        what.push(format!("serdes: {} -> {}", serdes(before), serdes(after)));
    }
    if before.offset_reset != after.offset_reset {
        let text = |source: &SourceEntry| source.offset_reset.clone().unwrap_or_else(|| "the application's".to_owned());
        what.push(format!("where to begin without offsets: {} -> {}", text(before), text(after)));
    }
    if before.timestamp_extractor != after.timestamp_extractor {
        let of = |source: &SourceEntry| source.timestamp_extractor.clone();
        let text = |source: &SourceEntry| of(source).unwrap_or_else(|| "the application's".to_owned());
        what.push(format!("timestamp extractor: {} -> {}", text(before), text(after)));
        loses = Answer::Possibly;
        action.push_str(
            ". Windows and joins keep what came by the old times: records whose new times are earlier may come too late \
             for them",
        );
    }
    let change = Change::new(ChangeClass::Changed, Verdict::NeedsThought, source_text(after), what.join("; "));
    (!what.is_empty()).then(|| change.stops(stops).loses(loses).action(action))
}

fn changed_sink(before: &SinkEntry, after: &SinkEntry) -> Option<Change> {
    let mut what = Vec::new();
    if before.topic != after.topic {
        what.push(format!("in place of {}", sink_text(before)));
    }
    let serdes = |sink: &SinkEntry| format!("{}, {}", plain(&sink.key_serde), plain(&sink.value_serde));
    if serdes(before) != serdes(after) {
        what.push(format!("serdes: {} -> {}", serdes(before), serdes(after)));
    }
    if before.partition_by != after.partition_by {
        what.push("records are given to partitions by another rule".to_owned());
    }
    let change = Change::new(ChangeClass::Changed, Verdict::NeedsThought, sink_text(after), what.join("; "));
    (!what.is_empty()).then(|| change.action("make sure that those who read the topic are ready for it"))
}

/// The serdes with which a topic is read.
fn serdes_of(manifest: &Manifest, topic: &TopicRef) -> String {
    let source = manifest.sources.iter().find(|source| source.topics.contains(topic));
    source
        .map_or("unknown".to_owned(), |source| format!("{}, {}", plain(&source.key_serde), plain(&source.value_serde)))
}

/// A serde's id without the mark that nulls are values, too, which changes no bytes.
fn plain(serde: &Option<String>) -> &str {
    serde.as_deref().map_or("unknown", |id| id.trim_end_matches('?'))
}

fn topic_text(topic: &TopicRef) -> String {
    format!("repartition topic {topic}")
}

fn source_text(source: &SourceEntry) -> String {
    match &source.pattern {
        Some(pattern) => format!("input /{pattern}/"),
        None => format!("input {}", list(&source.topics)),
    }
}

fn sink_text(sink: &SinkEntry) -> String {
    match &sink.topic {
        Some(topic) => format!("output {topic}"),
        None => format!("outputs of node {}", sink.name),
    }
}

fn list(topics: &[TopicRef]) -> String {
    topics.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
