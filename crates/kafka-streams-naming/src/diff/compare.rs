//! The comparison itself: what of an old manifest is still there in a new one, and how.

mod stores;
mod topics;

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Change, ChangeClass, Verdict};
use crate::Manifest;
use crate::grammar::split_generated;
use crate::matching::Matching;
use crate::shape::{Shape, Unit};

/// All changes, in no particular order.
pub(super) fn changes(old: &Manifest, new: &Manifest) -> Vec<Change> {
    let shapes = (Shape::of(old), Shape::of(new));
    let matching = Matching::of(&shapes.0, &shapes.1);
    let comparison = Comparison { old, new, shapes: (&shapes.0, &shapes.1), matching: &matching };
    let mut changes = comparison.stores();
    changes.extend(comparison.repartition_topics());
    changes.extend(comparison.sources());
    changes.extend(comparison.sinks());
    changes.extend(comparison.stateless_units());
    changes.extend(comparison.moved_units());
    changes.extend(comparison.renumbered_nodes());
    changes.extend(comparison.subtopologies());
    changes.extend(comparison.copartitions());
    changes.extend(comparison.rest());
    changes
}

/// Two manifests and what is what in them.
struct Comparison<'c, 'm> {
    old: &'m Manifest,
    new: &'m Manifest,
    shapes: (&'c Shape<'m>, &'c Shape<'m>),
    matching: &'c Matching<'m>,
}

impl<'c, 'm> Comparison<'c, 'm> {
    /// Old units that are gone and new ones that were not there.
    fn unpaired(&self) -> (Vec<&'c Unit<'m>>, Vec<&'c Unit<'m>>) {
        let kept: BTreeSet<usize> = self.matching.units.values().copied().collect();
        let gone = self.shapes.0.units.iter().enumerate().filter(|(at, _)| !kept.contains(at));
        let new = self.shapes.1.units.iter().enumerate().filter(|(at, _)| !self.matching.units.contains_key(at));
        (gone.map(|(_, unit)| unit).collect(), new.map(|(_, unit)| unit).collect())
    }

    /// Operators without a store that were put in or taken out.
    fn stateless_units(&self) -> Vec<Change> {
        let (gone, new) = self.unpaired();
        let names = |units: Vec<&Unit<'m>>| -> Vec<String> {
            units.into_iter().filter(|unit| unit.is_stateless()).map(|unit| unit.name().to_owned()).collect()
        };
        let change = |names: Vec<String>, what: &str| {
            let change = Change::new(ChangeClass::Stateless, Verdict::Harmless, nodes_text(&names), what);
            (!names.is_empty()).then(|| change.action("roll out as usual"))
        };
        let added = change(names(new), "put in; no store and no topic hangs on the name");
        let removed = change(names(gone), "taken out; no store and no topic hung on the name");
        added.into_iter().chain(removed).collect()
    }

    /// Units that get their records from elsewhere than before.
    fn moved_units(&self) -> Vec<Change> {
        let back: BTreeMap<usize, usize> = self.matching.units.iter().map(|(new, old)| (*old, *new)).collect();
        let moved = |(new, old): (&usize, &usize)| {
            let before = nearest(&self.shapes.0.units, *old, &|at| back.contains_key(&at).then_some(at));
            let after = nearest(&self.shapes.1.units, *new, &|at| self.matching.units.get(&at).copied());
            (before != after).then_some((*new, before, after))
        };
        let name = |at: &usize| self.shapes.0.units.get(*at).map_or("?", Unit::name).to_owned();
        let list = |units: &BTreeSet<usize>| match units.is_empty() {
            true => "nothing that was there before".to_owned(),
            false => units.iter().map(name).collect::<Vec<_>>().join(", "),
        };
        let mut changes = Vec::new();
        for (at, before, after) in self.matching.units.iter().filter_map(moved) {
            let Some(unit) = self.shapes.1.units.get(at) else { continue };
            let stateful = self.has_state_below(at);
            let (verdict, action) = match stateful {
                true => (
                    Verdict::NeedsThought,
                    "stores below keep what the old path gave them: make sure that the new path goes on from there, or \
                     give them new names",
                ),
                false => (Verdict::Harmless, "roll out as usual"),
            };
            let loses = if stateful { Answer::Possibly } else { Answer::No };
            let what = format!("attached below {} and no longer below {}", list(&after), list(&before));
            let subject = format!("node {}", unit.name());
            changes.push(Change::new(ChangeClass::Stateless, verdict, subject, what).loses(loses).action(action));
        }
        changes
    }

    fn has_state_below(&self, start: usize) -> bool {
        let units = &self.shapes.1.units;
        let (mut open, mut seen) = (vec![start], BTreeSet::from([start]));
        while let Some(unit) = open.pop().and_then(|at| units.get(at)) {
            if !unit.stores.is_empty() {
                return true;
            }
            open.extend(unit.children.iter().copied().filter(|at| seen.insert(*at)));
        }
        false
    }

    /// Nodes that are called otherwise. What owns a store or a topic loses it by the store's or topic's name alone, so
    /// the nodes' own names are harmless.
    fn renumbered_nodes(&self) -> Option<Change> {
        let renamed = self.matching.nodes.iter().filter(|(new, old)| new != old);
        let names: Vec<String> = renamed.map(|(new, old)| format!("{old} is now {new}")).collect();
        let what = format!("{}; no store and no topic is named after them", names.join(", "));
        let subject = match names.len() {
            1 => "1 node has another name".to_owned(),
            count => format!("{count} nodes have other names"),
        };
        let change = Change::new(ChangeClass::Stateless, Verdict::Harmless, subject, what);
        (!names.is_empty()).then(|| change.action("roll out as usual; dashboards that name nodes must follow"))
    }

    /// Sub-topologies that have another number, and with it their tasks.
    fn subtopologies(&self) -> Vec<Change> {
        let of_node = |manifest: &'m Manifest| -> BTreeMap<&'m str, i32> {
            let parts = manifest.subtopologies.iter();
            parts.flat_map(|part| part.nodes.iter().map(|node| (node.as_str(), part.id))).collect()
        };
        let (before, after) = (of_node(self.old), of_node(self.new));
        let renumbered: BTreeSet<(i32, i32)> = self
            .matching
            .nodes
            .iter()
            .filter_map(|(new, old)| Some((*before.get(old)?, *after.get(new)?)))
            .filter(|(before, after)| before != after)
            .collect();
        let change = |(before, after): (i32, i32)| {
            Change::new(
                ChangeClass::Renamed,
                Verdict::NeedsThought,
                format!("sub-topology {before}"),
                format!("is sub-topology {after} now, so tasks {before}_* are {after}_*"),
            )
            .stops(Answer::Possibly)
            .action(
                "stop all instances before the new version starts: in a group of both versions one task id means two \
                 things. Stores are restored from their changelogs, as their directories belong to the old task ids",
            )
        };
        renumbered.into_iter().map(change).collect()
    }

    /// The naming scheme, and what extensions say.
    fn rest(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.old.naming != self.new.naming {
            let text = |manifest: &Manifest| match manifest.naming {
                Some(naming) => format!("{naming:?}"),
                None => "none".to_owned(),
            };
            let what = format!("{} in place of {}", text(self.new), text(self.old));
            let change = Change::new(ChangeClass::Stateless, Verdict::Harmless, "numbering of unnamed nodes", what);
            changes.push(change.action("stores and topics that it renames are listed on their own"));
        }
        let keys: BTreeSet<&String> = self.old.extensions.keys().chain(self.new.extensions.keys()).collect();
        for key in keys {
            let (before, after) = (self.old.extensions.get(key), self.new.extensions.get(key));
            let (class, what) = match (before, after) {
                (None, Some(after)) => (ChangeClass::Added, format!("new: {after}")),
                (Some(before), None) => (ChangeClass::Removed, format!("was: {before}")),
                (Some(before), Some(after)) if before != after => {
                    (ChangeClass::Changed, format!("{before} -> {after}"))
                }
                _ => continue,
            };
            let change = Change::new(class, Verdict::NeedsThought, format!("extension {key}"), what);
            changes.push(change.action("see the documentation of the extension"));
        }
        changes
    }
}

/// The nearest units above that are in both versions, by their old indexes.
fn nearest(units: &[Unit<'_>], start: usize, known: &dyn Fn(usize) -> Option<usize>) -> BTreeSet<usize> {
    let (mut open, mut seen, mut found) = (vec![start], BTreeSet::from([start]), BTreeSet::new());
    while let Some(unit) = open.pop().and_then(|at| units.get(at)) {
        for parent in &unit.parents {
            match known(*parent) {
                Some(known) => drop(found.insert(known)),
                None if seen.insert(*parent) => open.push(*parent),
                None => {}
            }
        }
    }
    found
}

fn nodes_text(names: &[String]) -> String {
    match names {
        [name] => format!("node {name}"),
        names => format!("nodes {}", names.join(", ")),
    }
}

/// How the old name is kept.
fn naming_advice(new_name: &str) -> &'static str {
    match split_generated(new_name) {
        Some(_) => {
            "pin the names (`with_pinned_names`), so that it keeps the old one, or give it the old one explicitly"
        }
        None => "give it back its old name",
    }
}
